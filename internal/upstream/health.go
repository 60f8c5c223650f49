package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// health is what is known about a target from the requests that it got. A target is in until max failures in a row take
// it out. When recovery has passed, one request at a time is the trial: its success brings the target in, its failure
// starts the recovery again. The zero value is not usable; max must be positive.
//
// A request that began before the last change from in to out or back says nothing about the state after it.
type health struct {
	max      int
	recovery time.Duration

	out      atomic.Bool   // written under mu; read without it by the requests that find nothing to do
	failures atomic.Int64  // in a row while in; written under mu
	epoch    atomic.Uint64 // counts the changes between in and out; written under mu

	mu    sync.Mutex
	until time.Time // the end of the recovery
	trial bool      // a request is trying the target
}

// ticket is what a request remembers of the health that it began with.
type ticket struct {
	epoch uint64
	trial bool
	prior int64 // the failures that its own success forgot
}

// due reports whether admit would let a request through, without taking the trial.
func (h *health) due(now time.Time) bool {
	if !h.out.Load() {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.out.Load() || !h.trial && !now.Before(h.until)
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
	if h.trial || now.Before(h.until) {
		return ticket{}, false
	}
	h.trial, t.trial = true, true
	return t, true
}

// force lets a request through whatever the state is.
func (h *health) force() ticket { return ticket{epoch: h.epoch.Load()} }

// succeeded notes that the target answered. It reports whether that brought the target in.
func (h *health) succeeded(t *ticket) (up bool) {
	if h.failures.Load() == 0 && !h.out.Load() && !t.trial {
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
	h.trial, t.trial = false, false
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
		if t.trial {
			h.trial, t.trial = false, false
			h.until = now.Add(h.recovery)
		}
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
	if !t.trial {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.epoch == h.epoch.Load() {
		h.trial = false
	}
	t.trial = false
}
