package trust

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a set's cache. Accepted and refused chains are kept apart, so that whoever sends endless chains that are
// refused displaces nobody who is accepted.
const (
	// maxAcceptedVerdicts is the number of chains of which a set remembers that they are accepted.
	maxAcceptedVerdicts = 16384
	// maxRefusedVerdicts is the number of chains of which a set remembers that they are refused.
	maxRefusedVerdicts = 2048
)

// entry is a verdict with the chain it is about and the time in which it is exact. Entries do not change.
type entry struct {
	id      [32]byte
	window  window
	verdict *Verdict
}

// cache holds verdicts. The zero value must be prepared.
type cache struct {
	accepted, refused table
}

func (c *cache) prepare() {
	c.accepted.prepare(maxAcceptedVerdicts)
	c.refused.prepare(maxRefusedVerdicts)
}

// get returns the verdict on the chain id at the time now, or nil.
func (c *cache) get(id *[32]byte, now time.Time) *Verdict {
	if v := c.accepted.get(id, now); v != nil {
		return v
	}
	return c.refused.get(id, now)
}

// put remembers e, in place of what was there about the same chain.
func (c *cache) put(e *entry, now time.Time) {
	if e.verdict.Accepted() {
		c.accepted.put(e, now)
	} else {
		c.refused.put(e, now)
	}
}

// ways is how many slots an id may be in.
const ways = 4

// table is a hash table of a bounded number of slots that is read without locks. An id may be in the slots of one
// group only; a full group makes the table grow fourfold up to its limit and then loses an entry. The seed keeps
// outsiders from filling one group on purpose.
type table struct {
	limit int
	seed  maphash.Seed
	slots atomic.Pointer[[]atomic.Pointer[entry]] // nil until the first put; the length is a power of two

	mu     sync.Mutex // held while writing
	victim uint8      // the way lost last
}

func (t *table) prepare(limit int) {
	t.limit = limit
	t.seed = maphash.MakeSeed()
}

// group returns the slots that id may be in.
func (t *table) group(slots []atomic.Pointer[entry], id *[32]byte) []atomic.Pointer[entry] {
	at := int(maphash.Bytes(t.seed, id[:])&uint64(len(slots)/ways-1)) * ways //nolint:gosec // below the length of slots
	return slots[at : at+ways]
}

func (t *table) get(id *[32]byte, now time.Time) *Verdict {
	slots := t.slots.Load()
	if slots == nil {
		return nil
	}
	group := t.group(*slots, id)
	for i := range group {
		if e := group[i].Load(); e != nil && e.id == *id && e.window.holds(now) {
			return e.verdict
		}
	}
	return nil
}

func (t *table) put(e *entry, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots.Load() == nil {
		first := make([]atomic.Pointer[entry], 16*ways)
		t.slots.Store(&first)
	}
	for {
		slots := *t.slots.Load()
		group := t.group(slots, &e.id)
		if slot := place(group, e, now); slot != nil {
			slot.Store(e)
			return
		}
		if len(slots) >= t.limit {
			t.victim++
			group[t.victim%ways].Store(e)
			return
		}
		t.grow(slots, now)
	}
}

// place returns the slot of group that e may take: the one that holds the same chain, an empty one, or one whose time
// has passed; nil when there is none.
func place(group []atomic.Pointer[entry], e *entry, now time.Time) *atomic.Pointer[entry] {
	var free *atomic.Pointer[entry]
	for i := range group {
		old := group[i].Load()
		if old != nil && old.id == e.id {
			return &group[i]
		}
		if old == nil || !old.window.holds(now) {
			free = &group[i]
		}
	}
	return free
}

// grow replaces the slots by four times as many, within the limit.
func (t *table) grow(old []atomic.Pointer[entry], now time.Time) {
	slots := make([]atomic.Pointer[entry], min(4*len(old), t.limit))
	for i := range old {
		if e := old[i].Load(); e != nil && e.window.holds(now) {
			if slot := place(t.group(slots, &e.id), e, now); slot != nil {
				slot.Store(e)
			}
		}
	}
	t.slots.Store(&slots)
}
