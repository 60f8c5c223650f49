package gateway

import (
	"sync"
	"time"
)

// watchdog ends an operation that takes too long. Deadlines of net/http would do for HTTP/1, but with HTTP/2 they reset the
// stream when they pass, whether anybody waits or not. The zero value with an end is ready; it is for one operation at a time.
type watchdog struct {
	end   func()        // what makes the operation return; called at most once, and not after close
	taken func() uint64 // for a write to a client: see progress; nil for what has to be over in time

	mu       sync.Mutex
	timer    *time.Timer
	deadline time.Time // zero while nothing is watched
	limit    time.Duration
	progress progress
	bit      bool
	over     bool
}

// start begins to watch an operation.
func (w *watchdog) start(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.limit, w.progress = limit, progress{began: now}
	w.wait(now)
}

// wait sets the timer for the next look, which is the only one where nobody asks for progress.
func (w *watchdog) wait(now time.Time) {
	pause := w.limit
	if w.taken != nil {
		pause /= looks
	}
	w.deadline = now.Add(pause)
	if w.timer == nil {
		w.timer = time.AfterFunc(pause, w.expire)
		return
	}
	w.timer.Reset(pause)
}

// stop says that the operation has returned.
func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = time.Time{}
	if w.timer != nil {
		w.timer.Stop()
	}
}

// expire is called by the timer, which may be that of an earlier operation.
func (w *watchdog) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.over || w.bit || w.deadline.IsZero() || now.Before(w.deadline) {
		return
	}
	if w.taken != nil && !w.progress.stuck(now, w.limit, w.taken()) {
		w.wait(now)
		return
	}
	w.bit = true
	w.end()
}

// expired reports whether an operation was ended.
func (w *watchdog) expired() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bit
}

// close ends watching for good: after it the connection may have its next request, and is not touched.
func (w *watchdog) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
