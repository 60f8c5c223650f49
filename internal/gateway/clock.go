package gateway

import (
	"sync/atomic"
	"time"
)

// maxStepBack is how far the clock may jump back before it is worth an event.
const maxStepBack = 5 * time.Minute

// clockGrain is how far the time advances before it is remembered again, which keeps busy processors from writing to
// the same place on every request.
const clockGrain = time.Second

// Clock tells the time that certificates are judged by. It never goes back: when the system's clock does, the latest
// time seen counts on, so that what has expired stays expired. It is safe for concurrent use and must be made with
// NewClock.
type Clock struct {
	source func() time.Time
	latest atomic.Int64 // nanoseconds since 1970
	back   atomic.Bool  // the clock is behind by more than maxStepBack
}

// NewClock returns a clock that reads source; nil is time.Now.
func NewClock(source func() time.Time) *Clock {
	if source == nil {
		source = time.Now
	}
	return &Clock{source: source}
}

// Now returns the time, or the latest time seen where the clock went back.
func (c *Clock) Now() time.Time {
	now := c.source()
	nanos, latest := now.UnixNano(), c.latest.Load()
	behind := time.Duration(latest - nanos)
	switch {
	case behind <= -clockGrain:
		c.latest.CompareAndSwap(latest, nanos)
		if c.back.Load() {
			c.back.Store(false)
		}
	case behind > 0:
		if behind > maxStepBack && !c.back.Load() {
			c.back.Store(true)
		}
		return time.Unix(0, latest)
	}
	return now
}

// SteppedBack reports whether the system's clock is more than five minutes behind the latest time seen.
func (c *Clock) SteppedBack() bool { return c.back.Load() }
