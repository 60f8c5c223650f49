package upstream

import (
	"container/list"
	"context"
	"time"
)

// lease is a slot at a target: one request in flight. It ends with release, exactly once.
type lease struct {
	target *Target
	ticket ticket
}

// waiter is a request that waits for a slot.
type waiter struct {
	got chan lease // holds one
	at  *list.Element
}

// take occupies a slot of the target if one is free.
func (t *Target) take() bool {
	limit := int64(t.upstream.config.Max)
	if limit == 0 {
		t.inFlight.Add(1)
		return true
	}
	for {
		n := t.inFlight.Load()
		if n >= limit {
			return false
		}
		if t.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// lease takes a slot of a target that is in, or whose trial is due.
func (t *Target) lease(now time.Time) (lease, bool) {
	k, ok := t.health.admit(now)
	if !ok {
		return lease{}, false
	}
	if !t.take() {
		t.health.abandoned(&k)
		return lease{}, false
	}
	return lease{target: t, ticket: k}, true
}

// release gives the slot back, to the request that has waited longest if one waits.
func (l *lease) release() {
	u := l.target.upstream
	l.target.inFlight.Add(-1)
	if u.waiting.Load() > 0 {
		u.serve()
	}
}

// pick leases a target for the next request: by the policy of the upstream among those that are in and have a free slot.
// It reports false when they have none. When all are out, it picks as if none were: a try is better than a certain
// refusal. It never picks avoid, which may be nil.
func (u *Upstream) pick(now time.Time, avoid *Target) (lease, bool) {
	start := 0
	if n := uint32(len(u.targets)); n > 1 { //nolint:gosec // G115: the number of targets fits
		start = int((u.turn.Add(1) - 1) % n)
	}
	if u.config.Balancing == LeastRequests {
		if t := u.leastLoaded(start, now, avoid); t != nil {
			if l, ok := t.lease(now); ok {
				return l, true
			}
			// Somebody was faster. That is no reason to look for the least again and again.
		}
	}
	anyIn := false
	for t := range u.from(start, avoid) {
		anyIn = anyIn || !t.health.out.Load()
		if l, ok := t.lease(now); ok {
			return l, true
		}
	}
	if anyIn {
		return lease{}, false
	}
	for t := range u.from(start, avoid) {
		if t.take() {
			return lease{target: t, ticket: t.health.force()}, true
		}
	}
	return lease{}, false
}

// leastLoaded returns the target with the fewest requests in flight, the first of several from start on.
func (u *Upstream) leastLoaded(start int, now time.Time, avoid *Target) (best *Target) {
	var fewest int64
	for t := range u.from(start, avoid) {
		n := t.inFlight.Load()
		if (best == nil || n < fewest) && t.health.due(now) {
			best, fewest = t, n
		}
	}
	return best
}

// from yields every target but avoid, beginning at start.
func (u *Upstream) from(start int, avoid *Target) func(yield func(*Target) bool) {
	return func(yield func(*Target) bool) {
		for i := range u.targets {
			t := u.targets[(start+i)%len(u.targets)]
			if t != avoid && !yield(t) {
				return
			}
		}
	}
}

// acquire leases a target, waiting in line for at most the queue timeout when there is no free slot. The cause tells why
// there is no lease.
func (u *Upstream) acquire(ctx context.Context, now time.Time) (lease, Cause) {
	if u.waiting.Load() == 0 { // nobody is overtaken
		if l, ok := u.pick(now, nil); ok {
			return l, ""
		}
	}
	w := &waiter{got: make(chan lease, 1)}
	u.mu.Lock()
	w.at = u.queue.PushBack(w)
	u.waiting.Add(1)
	u.mu.Unlock()
	u.serve() // a slot that became free before the queue was seen is not free for ever

	timer := time.NewTimer(u.config.QueueTimeout)
	defer timer.Stop()
	select {
	case l := <-w.got:
		return l, ""
	case <-timer.C:
		if u.leave(w) {
			return lease{}, CauseFull
		}
		return <-w.got, ""
	case <-ctx.Done():
		if !u.leave(w) {
			l := <-w.got
			l.target.health.abandoned(&l.ticket)
			l.release()
		}
		return lease{}, CauseCanceled
	}
}

// leave takes a waiter out of the queue. It reports false when the waiter has been served already.
func (u *Upstream) leave(w *waiter) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if w.at == nil {
		return false
	}
	u.queue.Remove(w.at)
	w.at = nil
	u.waiting.Add(-1)
	return true
}

// serve hands free slots to those who wait, in the order in which they came.
func (u *Upstream) serve() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for e := u.queue.Front(); e != nil; e = u.queue.Front() {
		l, ok := u.pick(time.Now(), nil)
		if !ok {
			return
		}
		w := u.queue.Remove(e).(*waiter) //nolint:forcetypeassert // the queue holds nothing else
		w.at = nil
		u.waiting.Add(-1)
		w.got <- l
	}
}
