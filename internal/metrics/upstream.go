package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Target counts what happens at one target of an upstream; the one without a name counts what concerns none of them. A nil
// Target counts nothing.
type Target struct {
	upstream *upstream
	name     string
	down     atomic.Bool
	used     atomic.Pointer[targetSeries]
}

// targetSeries is what a target has counted.
type targetSeries struct{ attempts, broken counts[string] }

// upstream is what targets count together.
type upstream struct {
	name string
	used atomic.Pointer[upstreamSeries]
}

// upstreamSeries is what an upstream has counted.
type upstreamSeries struct {
	duration histogram
	retries  atomic.Uint64
}

// Attempted counts one attempt to have the target answer a request. cause is what it failed with, a word of package
// upstream's closed set, and "" when the header of an answer came; retry says that an attempt had failed before.
func (t *Target) Attempted(cause string, retry bool, took time.Duration) {
	if t == nil {
		return
	}
	if cause == "" {
		cause = "ok"
	}
	lazily(&t.used).attempts.of(cause).Add(1)
	u := lazily(&t.upstream.used)
	u.duration.observe(took)
	if retry {
		u.retries.Add(1)
	}
}

// Broke counts an answer that ended before it was whole, after its header had come. cause is what it failed with, a word of
// package upstream's closed set.
func (t *Target) Broke(cause string) {
	if t == nil {
		return
	}
	lazily(&t.used).broken.of(cause).Add(1)
}

// Down says that the target takes no requests for now.
func (t *Target) Down() {
	if t == nil {
		return
	}
	t.down.Store(true)
	lazily(&t.used) // so that it is shown, whether or not anything was attempted
}

// Up says that the target takes requests, which is what is assumed of one that is new. An upstream that replaces another
// of the same name knows nothing of what the other has seen: then it is to be called for each of its targets, and what
// the other says afterwards is not to be passed on.
func (t *Target) Up() {
	if t == nil {
		return
	}
	t.down.Store(false)
}

func (u *upstream) collect(out chan<- prometheus.Metric) {
	if s := u.used.Load(); s != nil {
		s.duration.emit(upstreamAttemptDuration, out, u.name)
		upstreamRetries.emit(out, float64(s.retries.Load()), u.name)
	}
}

func (t *Target) collect(out chan<- prometheus.Metric) {
	s := t.used.Load()
	if s == nil {
		return
	}
	for result, n := range s.attempts.all() {
		upstreamAttempts.emit(out, float64(n.Load()), t.upstream.name, t.name, result)
	}
	for result, n := range s.broken.all() {
		upstreamBroken.emit(out, float64(n.Load()), t.upstream.name, t.name, result)
	}
	if t.name == "" {
		return // what concerns no target
	}
	up := 1.0
	if t.down.Load() {
		up = 0
	}
	upstreamTargetUp.emit(out, up, t.upstream.name, t.name)
}
