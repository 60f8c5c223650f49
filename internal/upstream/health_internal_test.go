package upstream

import (
	"testing"
	"time"
)

// episode is a health with a clock of its own.
type episode struct {
	*testing.T
	h   health
	now time.Time
}

func newEpisode(t *testing.T) *episode {
	t.Helper()
	return &episode{T: t, h: health{max: 3, recovery: 10 * time.Second}, now: time.Unix(1000, 0)}
}

func (e *episode) admit(want bool) *ticket {
	e.Helper()
	if due := e.h.due(e.now); due != want {
		e.Fatalf("due %v, want %v", due, want)
	}
	k, ok := e.h.admit(e.now)
	if ok != want {
		e.Fatalf("admitted %v, want %v", ok, want)
	}
	return &k
}

func (e *episode) fail(k *ticket, down bool) {
	e.Helper()
	if got := e.h.failed(k, e.now); got != down {
		e.Fatalf("the failure took the target out: %v, want %v", got, down)
	}
}

func (e *episode) succeed(k *ticket, up bool) {
	e.Helper()
	if got := e.h.succeeded(k); got != up {
		e.Fatalf("the success brought the target in: %v, want %v", got, up)
	}
}

func (e *episode) takeOut() {
	e.Helper()
	e.fail(e.admit(true), false)
	e.fail(e.admit(true), false)
	e.fail(e.admit(true), true)
}

func TestFailuresInARowTakeATargetOutAndOneTrialBringsItIn(t *testing.T) {
	t.Parallel()
	e := newEpisode(t)
	e.fail(e.admit(true), false)
	e.fail(e.admit(true), false)
	e.succeed(e.admit(true), false) // not in a row
	e.takeOut()
	e.now = e.now.Add(10*time.Second - 1)
	e.admit(false)
	e.now = e.now.Add(1)
	trial := e.admit(true)
	e.admit(false) // one at a time
	e.fail(trial, false)
	e.admit(false) // the recovery begins again
	e.now = e.now.Add(10 * time.Second)
	e.succeed(e.admit(true), true)
	e.admit(true)
	e.fail(e.admit(true), false) // it counts from the beginning
	e.fail(e.admit(true), false)
}

func TestATrialWithoutAVerdictLeavesTheTrialToTheNext(t *testing.T) {
	t.Parallel()
	e := newEpisode(t)
	e.takeOut()
	e.now = e.now.Add(10 * time.Second)
	trial := e.admit(true)
	e.h.abandoned(trial)
	next := e.admit(true)
	e.h.abandoned(trial) // once more changes nothing
	e.admit(false)
	e.succeed(next, true)
}

func TestRequestsFromBeforeAChangeSayNothingAboutAfterwards(t *testing.T) {
	t.Parallel()
	e := newEpisode(t)
	early, late := e.admit(true), e.admit(true)
	e.takeOut()
	e.succeed(early, false) // it was sent while the target was in
	e.fail(late, false)
	e.admit(false)
	e.now = e.now.Add(10 * time.Second)
	e.succeed(e.admit(true), true)
	for range 5 {
		e.fail(late, false)
	}
	e.admit(true)
}

func TestASuccessAlthoughTheTargetIsOutBringsItIn(t *testing.T) {
	t.Parallel()
	e := newEpisode(t)
	e.takeOut()
	forced := e.h.force()
	e.fail(&forced, false)
	again := e.h.force()
	e.succeed(&again, true)
	e.admit(true)
}

func TestABodyThatFailsUndoesTheSuccessOfItsHeader(t *testing.T) {
	t.Parallel()
	e := newEpisode(t)
	for i := range 3 {
		k := e.admit(true)
		e.succeed(k, false)
		e.fail(k, i == 2)
	}
	e.now = e.now.Add(10 * time.Second)
	k := e.admit(true)
	e.succeed(k, true)
	e.fail(k, false) // the trial's own body is one failure
	e.fail(e.admit(true), false)
	e.fail(e.admit(true), true)
}

func TestATrialThatTakesItsTimeIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	e := newEpisode(t)
	e.takeOut()
	e.now = e.now.Add(10 * time.Second)
	slow := e.admit(true) // an upload, perhaps
	e.now = e.now.Add(10*time.Second - 1)
	e.admit(false)
	e.now = e.now.Add(1)
	next := e.admit(true)
	e.admit(false)
	e.fail(slow, false) // it does not speak for the trial any more
	e.h.abandoned(slow)
	e.admit(false)
	e.succeed(next, true)
}
