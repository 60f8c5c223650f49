package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// health is what is known about a target from the requests that it got. A target is in until max failures in a row take
// it out. When recovery has passed, one request at a time is the trial: its success brings the target in, its failure
// starts the recovery again. A trial that has said nothing for as long as a recovery, and for a second at least, is not
// waited for: the next request is the trial then, so that no slow upload keeps a target out. The zero value is not usable;
// max must be positive.
//
// A request that began before the last change from in to out or back says nothing about the state after it.
type health struct {
	max      int
	recovery time.Duration

	out      atomic.Bool   // written under mu; read without it by the requests that find nothing to do
	failures atomic.Int64  // in a row while in; written under mu
	epoch    atomic.Uint64 // counts the changes between in and out; written under mu

	mu     sync.Mutex
	until  time.Time // the end of the recovery
	trials uint64    // how many there were
	trial  uint64    // the number of the request that is trying the target; 0 for none
	over   time.Time // when that one is not waited for any longer
}

// leastTrial is how long a trial is waited for at least.
const leastTrial = time.Second

// ticket is what a request remembers of the health that it began with.
type ticket struct {
	epoch uint64
	trial uint64 // the number of the trial that it is; 0 for none
	prior int64  // the failures that its own success forgot
}

// patience is how long a trial is waited for.
func (h *health) patience() time.Duration { return max(h.recovery, leastTrial) }

// tryable reports whether it is time for a trial. The caller holds mu.
func (h *health) tryable(now time.Time) bool {
	return !now.Before(h.until) && (h.trial == 0 || !now.Before(h.over))
}

// due reports whether admit would let a request through, without taking the trial.
func (h *health) due(now time.Time) bool {
	if !h.out.Load() {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.out.Load() || h.tryable(now)
}

// admit lets a request through when the target is in, or as the trial when it is time for one. Each admitted request
// ends with succeeded, failed or abandoned.
func (h *health) admit(now time.Time) (ticket, bool) {
	if !h.out.Load() {
		return ticket{epoch: h.epoch.Load()}, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := ticket{epoch: h.epoch.Load()}
	if !h.out.Load() {
		return t, true
	}
	if !h.tryable(now) {
		return ticket{}, false
	}
	h.trials++
	h.trial, h.over = h.trials, now.Add(h.patience())
	t.trial = h.trial
	return t, true
}

// force lets a request through whatever the state is.
func (h *health) force() ticket { return ticket{epoch: h.epoch.Load()} }

// succeeded notes that the target answered. It reports whether that brought the target in.
func (h *health) succeeded(t *ticket) (up bool) {
	if h.failures.Load() == 0 && !h.out.Load() && t.trial == 0 {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.epoch != h.epoch.Load() {
		return false
	}
	t.prior = h.failures.Swap(0)
	if !h.out.Load() {
		return false
	}
	h.trial, t.trial = 0, 0
	h.out.Store(false)
	t.epoch = h.epoch.Add(1)
	return true
}

// failed notes that the target did not answer, or not to the end. It reports whether that took the target out. A request
// that succeeded before, whose body failed, counts as if it had not succeeded.
func (h *health) failed(t *ticket, now time.Time) (down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.epoch != h.epoch.Load() {
		return false
	}
	if h.out.Load() {
		if t.trial != 0 && t.trial == h.trial {
			h.trial = 0
			h.until = now.Add(h.recovery)
		}
		t.trial = 0
		return false
	}
	failures := max(h.failures.Load(), t.prior) + 1
	t.prior = 0
	if failures < int64(h.max) {
		h.failures.Store(failures)
		return false
	}
	h.failures.Store(0)
	h.until = now.Add(h.recovery)
	h.epoch.Add(1)
	h.out.Store(true)
	return true
}

// abandoned notes that a request ended without saying anything about the target.
func (h *health) abandoned(t *ticket) {
	if t.trial == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.epoch == h.epoch.Load() && t.trial == h.trial {
		h.trial = 0
	}
	t.trial = 0
}
