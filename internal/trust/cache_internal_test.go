package trust

import (
	"encoding/binary"
	"testing"
	"time"

	"sallyport/internal/decision"
)

var tableNow = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

func numbered(n int) *entry {
	e := &entry{verdict: &Verdict{Reason: decision.OK}}
	binary.BigEndian.PutUint64(e.id[:], uint64(n))
	return e
}

func slotsIn(t *table) int { return len(*t.slots.Load()) }

func TestATableGrowsToItsLimitAndNotBeyond(t *testing.T) {
	t.Parallel()
	var small table
	small.prepare(1024)
	if small.slots.Load() != nil {
		t.Error("a table that was never used takes memory")
	}
	for i := range 100_000 {
		e := numbered(i)
		small.put(e, tableNow)
		if small.get(&e.id, tableNow) != e.verdict {
			t.Fatalf("entry %d is gone right after it was put", i)
		}
		if n := slotsIn(&small); n > 1024 {
			t.Fatalf("%d slots after %d entries", n, i+1)
		}
	}
	if n := slotsIn(&small); n != 1024 {
		t.Errorf("%d slots, want 1024", n)
	}
}

func TestATableHoldsAboutAsManyAsItsLimit(t *testing.T) {
	t.Parallel()
	var c cache
	c.prepare()
	const n = 5_000 // callers that are connected at the same time
	for i := range n {
		c.put(numbered(i), tableNow)
	}
	kept := 0
	for i := range n {
		e := numbered(i)
		if c.get(&e.id, tableNow) != nil {
			kept++
		}
	}
	if kept < n*98/100 {
		t.Errorf("%d of %d entries kept", kept, n)
	}
}

func TestRefusedChainsNeverDisplaceAcceptedOnes(t *testing.T) {
	t.Parallel()
	var c cache
	c.prepare()
	accepted := numbered(0)
	c.put(accepted, tableNow)
	for i := range 4 * maxAcceptedVerdicts {
		refused := numbered(i + 1)
		refused.verdict = &Verdict{Reason: decision.CertificateUntrusted}
		c.put(refused, tableNow)
	}
	if c.get(&accepted.id, tableNow) != accepted.verdict {
		t.Error("the accepted chain is gone")
	}
	if n := slotsIn(&c.accepted) + slotsIn(&c.refused); n > 16*ways+maxRefusedVerdicts {
		t.Errorf("%d slots", n)
	}
}

func TestTwoMissesOfOneChainAreOneEntry(t *testing.T) {
	t.Parallel()
	var small table
	small.prepare(64)
	first, second := numbered(1), numbered(1)
	small.put(first, tableNow)
	small.put(second, tableNow)
	if got := small.get(&first.id, tableNow); got != second.verdict || entriesIn(&small) != 1 {
		t.Errorf("%d entries for one chain", entriesIn(&small))
	}
}

func entriesIn(t *table) int {
	found := 0
	for i := range *t.slots.Load() {
		if (*t.slots.Load())[i].Load() != nil {
			found++
		}
	}
	return found
}

func TestAnEntryIsReplacedByItsSuccessor(t *testing.T) {
	t.Parallel()
	var small table
	small.prepare(64)
	boundary := tableNow.Add(time.Hour)
	before, after := numbered(1), numbered(1)
	before.window.until, after.window.since = boundary, boundary
	small.put(before, tableNow)
	if small.get(&before.id, boundary) != nil {
		t.Error("an entry is used at the end of its window")
	}
	small.put(after, boundary)
	if small.get(&after.id, boundary) != after.verdict || small.get(&before.id, boundary.Add(-1)) != nil {
		t.Error("the successor did not take the place")
	}
	if n := entriesIn(&small); n != 1 {
		t.Errorf("%d entries for one chain", n)
	}
}

func TestAnEntryWhoseTimeHasPassedGivesWay(t *testing.T) {
	t.Parallel()
	var tiny table
	tiny.prepare(64)
	for i := range 10_000 {
		e := numbered(i)
		e.window.until = tableNow.Add(time.Minute)
		tiny.put(e, tableNow)
	}
	later := tableNow.Add(time.Hour)
	e := numbered(10_001)
	tiny.put(e, later)
	if tiny.get(&e.id, later) == nil || tiny.victim == 0 {
		t.Error("no place was found")
	}
}

func TestAWindowIsHalfOpen(t *testing.T) {
	t.Parallel()
	w := window{}
	if !w.holds(time.Time{}) || !w.holds(time.Time{}.Add(-1)) || !w.holds(tableNow) {
		t.Error("an unbounded window does not hold everything")
	}
	w.narrow(tableNow.Add(-time.Hour), tableNow)
	w.narrow(tableNow.Add(-2*time.Hour), tableNow)
	w.narrow(tableNow.Add(2*time.Hour), tableNow)
	w.narrow(tableNow.Add(time.Hour), tableNow)
	for offset, want := range map[time.Duration]bool{
		-time.Hour - 1: false, -time.Hour: true, 0: true, time.Hour - 1: true, time.Hour: false,
	} {
		if w.holds(tableNow.Add(offset)) != want {
			t.Errorf("holds at %s = %v", offset, !want)
		}
	}
	w.narrow(tableNow, tableNow)
	if !w.since.Equal(tableNow) {
		t.Error("a boundary that is now begins the window")
	}
}
