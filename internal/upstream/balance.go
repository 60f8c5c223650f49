package upstream

import (
	"container/list"
	"context"
	"math"
	"time"
)

// lease is a slot at a target: one request in flight. It ends with release, exactly once.
type lease struct {
	target *Target
	ticket ticket
}

// waiter is a request that waits for a slot.
type waiter struct {
	got   chan lease // holds one
	avoid *Target    // which it does not want; nil for none
	at    *list.Element
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
	if k.trial != 0 { // somebody may wait for the next
		time.AfterFunc(t.health.patience(), t.upstream.wake)
	}
	return lease{target: t, ticket: k}, true
}

// release gives the slot back, to the request that has waited longest if one waits.
func (l *lease) release() {
	u := l.target.upstream
	l.target.inFlight.Add(-1)
	u.wake()
}

// wake looks whether somebody who waits can be served now.
func (u *Upstream) wake() {
	if u.waiting.Load() > 0 {
		u.serve()
	}
}

// pick leases a target for the next request: by the policy of the upstream among those that are in and have a free slot.
// It reports false when they have none. When all are out, it picks as if none were: a try is better than a certain
// refusal. It never picks avoid, which may be nil.
func (u *Upstream) pick(now time.Time, avoid *Target) (lease, bool) {
	turn := u.turn.Load()
	if avoid == nil { // a second attempt is nobody's turn
		turn = u.turn.Add(1) - 1
	}
	if l, ok := u.pickIn(now, avoid, turn); ok {
		return l, true
	}
	if u.anyIn(avoid) {
		return lease{}, false
	}
	start := 0
	if n := uint32(len(u.targets)); n > 1 { //nolint:gosec // G115: the number of targets fits
		start = int(turn % n)
	}
	for t := range u.from(start, avoid) {
		if t.take() {
			return lease{target: t, ticket: t.health.force()}, true
		}
	}
	return lease{}, false
}

// anyIn reports whether a target other than avoid is in.
func (u *Upstream) anyIn(avoid *Target) bool {
	for t := range u.from(0, avoid) {
		if !t.health.out.Load() {
			return true
		}
	}
	return false
}

// pickIn is pick among the targets that are in, or whose trial is due. They take turns among themselves: where the turn went
// through those that are out, the neighbour of each would get double.
func (u *Upstream) pickIn(now time.Time, avoid *Target, turn uint32) (lease, bool) {
	n, most := u.candidates(now, avoid)
	if n == 0 {
		return lease{}, false
	}
	mine := int(turn % uint32(n)) //nolint:gosec // G115: the number of targets fits
	for t := range u.from(0, avoid) {
		if !t.available(now) || t.inFlight.Load() > most {
			continue
		}
		if mine--; mine >= 0 {
			continue
		}
		if l, ok := t.lease(now); ok {
			return l, true
		}
	}
	for t := range u.from(0, avoid) { // somebody was faster
		if l, ok := t.lease(now); ok {
			return l, true
		}
	}
	return lease{}, false
}

// candidates returns how many targets may be next, and the number of requests that they have in flight at most.
func (u *Upstream) candidates(now time.Time, avoid *Target) (n int, most int64) {
	least := u.config.Balancing == LeastRequests
	most = math.MaxInt64
	for t := range u.from(0, avoid) {
		if !t.available(now) {
			continue
		}
		if load := t.inFlight.Load(); least && load < most {
			n, most = 1, load
		} else if load <= most {
			n++
		}
	}
	return n, most
}

// available reports whether a lease may be had.
func (t *Target) available(now time.Time) bool {
	limit := int64(t.upstream.config.Max)
	return (limit == 0 || t.inFlight.Load() < limit) && t.health.due(now)
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
	return u.wait(ctx, nil)
}

// wait waits in line for a lease.
func (u *Upstream) wait(ctx context.Context, avoid *Target) (lease, Cause) {
	w := &waiter{got: make(chan lease, 1), avoid: avoid}
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
	for e := u.queue.Front(); e != nil; {
		w := e.Value.(*waiter) //nolint:forcetypeassert // the queue holds nothing else
		l, ok := u.pick(time.Now(), w.avoid)
		if !ok && w.avoid == nil {
			return
		}
		here := e
		e = e.Next()
		if !ok {
			continue // what it does not want may be free for those behind
		}
		u.queue.Remove(here)
		w.at = nil
		u.waiting.Add(-1)
		w.got <- l
	}
}
