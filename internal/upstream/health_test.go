package upstream_test

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/upstream"
)

// moody is a backend that says its name, or cuts off every request while it is down.
func moody(t *testing.T, name string) (address string, down *atomic.Bool, hits *atomic.Int32) {
	down, hits = new(atomic.Bool), new(atomic.Int32)
	address, _ = handling(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // net/http repeats what fails on a connection that was used before
		hits.Add(1)
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, name)
	})
	return address, down, hits
}

func TestATargetThatFailsIsLeftOutAndTriedAfterItsRecovery(t *testing.T) {
	t.Parallel()
	a, aDown, aHits := moody(t, "a")
	b, _, _ := moody(t, "b")
	var events recorder
	u := start(t, upstream.Config{Targets: []string{a, b}, MaxFailures: 2, Recovery: 200 * time.Millisecond}, &events)
	all := func(n int) (names string) {
		t.Helper()
		for range n {
			name, err := get(t, u)
			if err != nil {
				t.Fatalf("a request failed: %v", err)
			}
			names += name
		}
		return names
	}
	if got := all(4); got != "abab" {
		t.Errorf("while both are in: %s", got)
	}
	aDown.Store(true)
	if got := all(6); got != "bbbbbb" { // those that went to a were repeated
		t.Errorf("while one is down: %s", got)
	}
	if n := aHits.Load(); n != 2+2 {
		t.Errorf("the target that is out got %d requests", n)
	}
	if d := cmp.Diff([]bool{true, false}, upstream.Out(u)); d != "" {
		t.Error(d)
	}
	aDown.Store(false)
	until(t, "its return", func() bool { all(1); return !upstream.Out(u)[0] })
	if got := all(4); got != "abab" && got != "baba" {
		t.Errorf("afterwards: %s", got)
	}
	if d := cmp.Diff([]string{"down " + a + " reset", "up " + a}, events.all(false)); d != "" {
		t.Errorf("events: %s", d)
	}
}

func TestWhenAllTargetsAreOutTheyServeAsIfNoneWere(t *testing.T) {
	t.Parallel()
	a, aDown, aHits := moody(t, "a")
	b, bDown, bHits := moody(t, "b")
	var events recorder
	u := start(t, upstream.Config{Targets: []string{a, b}, MaxFailures: 1, Recovery: time.Hour, NoRetry: true}, &events)
	aDown.Store(true)
	bDown.Store(true)
	for range 6 {
		if _, err := get(t, u); err == nil {
			t.Fatal("a target that is down answered")
		}
	}
	if aHits.Load() != 3 || bHits.Load() != 3 {
		t.Errorf("%d and %d requests were sent", aHits.Load(), bHits.Load())
	}
	aDown.Store(false)
	for range 2 {
		_, _ = get(t, u)
	}
	for range 3 {
		if name, err := get(t, u); name != "a" {
			t.Errorf("%s, %v", name, err)
		}
	}
	want := []string{"down " + a + " reset", "down " + b + " reset", "up " + a}
	if d := cmp.Diff(want, events.all(false)); d != "" {
		t.Errorf("events: %s", d)
	}
}

func TestOneRequestAtATimeTriesATarget(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	var down atomic.Bool
	var trials atomic.Int32
	down.Store(true)
	a, _ := handling(t, false, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		if trials.Add(1) == 1 {
			close(begun)
		}
		<-release
		_, _ = io.WriteString(w, "a")
	})
	b, _, _ := moody(t, "b")
	u := start(t, upstream.Config{Targets: []string{a, b}, MaxFailures: 1, Recovery: time.Nanosecond, Balancing: upstream.LeastRequests}, nil)
	until(t, "going out", func() bool { _, _ = get(t, u); return upstream.Out(u)[0] })
	down.Store(false)
	var trial sync.WaitGroup
	trial.Go(func() {
		for name := ""; name != "a"; {
			var err error
			if name, err = get(t, u); err != nil {
				t.Error(err)
				return
			}
		}
	})
	<-begun
	for range 50 {
		if name, err := get(t, u); name != "b" {
			t.Errorf("during the trial: %q, %v", name, err)
		}
	}
	if n := trials.Load(); n != 1 {
		t.Errorf("%d requests tried the target", n)
	}
	close(release)
	trial.Wait()
}

func TestAStreamOfHealthyAnswersIsNotEndedByATargetsState(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	a, _ := handling(t, false, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "one ")
		_ = http.NewResponseController(w).Flush()
		<-goOn
		_, _ = io.WriteString(w, "two")
	})
	u := start(t, upstream.Config{Targets: []string{a}, MaxFailures: 1, Recovery: time.Hour}, nil)
	reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Response.Body.Close()
	if _, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil)); err == nil || !upstream.Out(u)[0] {
		t.Errorf("the target is not out: %v", err)
	}
	close(goOn)
	if body, err := io.ReadAll(reply.Response.Body); err != nil || string(body) != "one two" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestAClosedUpstreamSpeaksForItsTargetsNoMore(t *testing.T) {
	t.Parallel()
	a, down, _ := moody(t, "a")
	down.Store(true)
	var events recorder
	u := start(t, upstream.Config{Targets: []string{a, backend(t, "b")}, MaxFailures: 1, NoRetry: true, Recovery: time.Nanosecond}, &events)
	until(t, "going out", func() bool { _, _ = get(t, u); return upstream.Out(u)[0] })
	u.Close()
	down.Store(false)
	until(t, "coming in", func() bool { _, _ = get(t, u); return !upstream.Out(u)[0] })
	down.Store(true)
	until(t, "going out again", func() bool { _, _ = get(t, u); return upstream.Out(u)[0] })
	if d := cmp.Diff([]string{"down " + a + " reset"}, events.all(false)); d != "" {
		t.Errorf("events: %s", d)
	}
}
