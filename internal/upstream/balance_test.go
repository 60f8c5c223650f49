package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/upstream"
)

func TestTargetsTakeTurns(t *testing.T) {
	t.Parallel()
	u := start(t, upstream.Config{Targets: []string{backend(t, "a"), backend(t, "b") + "/base/", backend(t, "c")}}, nil)
	var got []string
	for range 6 {
		body, err := get(t, u)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body)
	}
	if want := "a/x b/base/x c/x a/x b/base/x c/x"; strings.Join(got, " ") != want {
		t.Errorf("requests went to %q, want %s", got, want)
	}
}

// open sends a request and returns the target's name with a function that ends the request.
func open(t *testing.T, u *upstream.Upstream) (name string, done func()) {
	t.Helper()
	reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reply.Response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(body), "/x"), func() { _ = reply.Response.Body.Close() }
}

func TestTheTargetWithTheFewestRequestsIsNext(t *testing.T) {
	t.Parallel()
	u := start(t, upstream.Config{Targets: []string{backend(t, "a"), backend(t, "b"), backend(t, "c")}, Balancing: upstream.LeastRequests}, nil)
	var ends []func()
	take := func(n int) (names []string) {
		for range n {
			name, end := open(t, u)
			names, ends = append(names, name), append(ends, end)
		}
		return sorted(names...)
	}
	if got := take(3); !cmp.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("three requests went to %q", got)
	}
	if got := take(3); !cmp.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("three more went to %q", got)
	}
	// One target becomes free: it gets everything until it has as many as the others.
	ends[0]()
	free, end := open(t, u)
	end()
	again, end := open(t, u)
	if ends[0] = end; again != free {
		t.Errorf("the target with one request less is %q, the request went to %q", free, again)
	}
	for _, end := range ends {
		end()
		end() // closing twice gives one slot back
	}
	if d := cmp.Diff([]int64{0, 0, 0}, upstream.InFlight(u)); d != "" {
		t.Error(d)
	}
}

func TestATargetWithoutAFreeSlotIsPassedOver(t *testing.T) {
	t.Parallel()
	for _, balancing := range []upstream.Balancing{upstream.RoundRobin, upstream.LeastRequests} {
		u := start(t, upstream.Config{Targets: []string{backend(t, "a"), backend(t, "b")}, Max: 2, Balancing: balancing}, nil)
		var names []string
		for range 4 {
			name, end := open(t, u)
			names = append(names, name)
			defer end()
		}
		if d := cmp.Diff([]string{"a", "a", "b", "b"}, sorted(names...)); d != "" {
			t.Error(d)
		}
	}
}

func TestWhenAllSlotsAreTakenRequestsWaitInLineAndNotForEver(t *testing.T) {
	t.Parallel()
	var events recorder
	u := start(t, upstream.Config{Targets: []string{backend(t, "a")}, Max: 1, QueueTimeout: 50 * time.Millisecond, MaxFailures: 1}, &events)
	_, end := open(t, u)
	_, err := get(t, u)
	if f := failure(t, err); f.Cause != upstream.CauseFull || f.Target != "" || f.TimedOut() {
		t.Errorf("no free slot: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(5*time.Millisecond, cancel)
	_, err = exchange(t, u, request(ctx, http.MethodGet, "/x", nil))
	if f := failure(t, err); f.Cause != upstream.CauseCanceled || !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that leaves: %v", err)
	}
	end()
	if body, err := get(t, u); err != nil || body != "a/x" {
		t.Errorf("afterwards: %q, %v", body, err)
	}
	if got := events.all(true); len(got) != 2 || events.all(false) != nil {
		t.Errorf("events: %q", got)
	}
}

func TestATargetThatIsOutIsNoWayAroundFullOnes(t *testing.T) {
	t.Parallel()
	a, down, hits := moody(t, "a")
	down.Store(true)
	config := upstream.Config{Targets: []string{a, backend(t, "b")}, Max: 1, QueueTimeout: 20 * time.Millisecond, MaxFailures: 1, Recovery: time.Hour}
	u := start(t, config, nil)
	until(t, "going out", func() bool { _, _ = get(t, u); return upstream.Out(u)[0] })
	before := hits.Load()
	_, end := open(t, u)
	defer end()
	_, err := get(t, u)
	if f := failure(t, err); f.Cause != upstream.CauseFull || hits.Load() != before {
		t.Errorf("%v, %d requests were sent", err, hits.Load()-before)
	}
}

func TestASecondAttemptGoesToAnotherTargetWhateverItsLoad(t *testing.T) {
	t.Parallel()
	u := start(t, upstream.Config{Targets: []string{gone(t), backend(t, "b")}, Balancing: upstream.LeastRequests, MaxFailures: 100}, nil)
	for range 5 {
		name, end := open(t, u)
		defer end()
		if name != "b" {
			t.Errorf("the answer is from %q", name)
		}
	}
}

func TestACallerThatLeavesDoesNotMakeRoomForAnotherConnection(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var connections atomic.Int32
	slow := raw(t, func(*net.TCPConn, *bufio.Reader) { // a handshake that takes its time
		connections.Add(1)
		<-release
	})
	u := start(t, upstream.Config{Targets: []string{"https" + strings.TrimPrefix(slow, "http")}, Max: 1}, nil)
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	all.Go(func() { _, _ = exchange(t, u, request(ctx, http.MethodGet, "/x", nil)) })
	until(t, "connecting", func() bool { return connections.Load() == 1 })
	cancel()
	all.Wait()
	connecting := make(chan struct{}, 10)
	ctx = httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{ConnectStart: func(string, string) { connecting <- struct{}{} }})
	all.Go(func() { _, _ = exchange(t, u, request(ctx, http.MethodGet, "/x", nil)) })
	select {
	case <-connecting:
		t.Error("there is a second connection while the first is being opened")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	all.Wait()
}

func TestTheFirstToWaitIsTheFirstToBeServed(t *testing.T) {
	t.Parallel()
	u := start(t, upstream.Config{Targets: []string{backend(t, "a")}, Max: 1, QueueTimeout: soon}, nil)
	_, end := open(t, u)
	const n = 20
	order := make(chan int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			order <- i
			_ = reply.Response.Body.Close()
		})
		until(t, "waiting", func() bool { return upstream.Waiting(u) == i+1 })
	}
	end()
	all.Wait()
	close(order)
	want := 0
	for got := range order {
		if got != want {
			t.Fatalf("request %d was served in place of %d", got, want)
		}
		want++
	}
}

func TestABurstNeverExceedsTheSlotsAndLosesNone(t *testing.T) {
	t.Parallel()
	for protocol, name := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit, sends = 20, 10_000
			var most atomic.Int64
			config := upstream.Config{Max: limit, QueueTimeout: time.Minute, Protocol: upstream.Protocol(protocol), Balancing: upstream.LeastRequests}
			var opens []func() int
			for range 2 {
				var here atomic.Int64
				address, open := handling(t, protocol == 1, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/leave" { // those end for us before the target notices
						n := here.Add(1)
						defer here.Add(-1)
						for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
						}
					}
					if r.URL.Path == "/die" {
						panic(http.ErrAbortHandler)
					}
					_, _ = io.WriteString(w, "ok")
				})
				config.Targets, opens = append(config.Targets, address), append(opens, open)
			}
			u := start(t, config, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var all sync.WaitGroup
			var ok, failed atomic.Int64
			for range sends {
				ctx, method, path := ctx, http.MethodGet, "/x"
				switch rand.IntN(20) {
				case 0:
					limited, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(50))*time.Millisecond)
					defer cancel()
					ctx, path = limited, "/leave"
				case 1:
					method, path = http.MethodPost, "/die"
				}
				all.Go(func() {
					reply, err := u.Send(request(ctx, method, path, nil), upstream.Options{})
					if err != nil {
						failed.Add(1)
						if f := failure(t, err); f.Cause != upstream.CauseCanceled && path != "/die" {
							t.Errorf("%s %s: %v", method, path, err)
						}
						return
					}
					if rand.IntN(2) == 0 {
						_, _ = io.Copy(io.Discard, reply.Response.Body)
					}
					_ = reply.Response.Body.Close()
					ok.Add(1)
				})
			}
			all.Wait()
			if most.Load() > limit || most.Load() == 0 {
				t.Errorf("%d requests at once, at most %d were allowed", most.Load(), limit)
			}
			for _, open := range opens {
				until(t, "having at most as many connections as slots", func() bool { return open() <= limit })
			}
			if ok.Load() < sends*8/10 {
				t.Errorf("%d succeeded, %d failed", ok.Load(), failed.Load())
			}
		})
	}
}

func TestTheNeighbourOfATargetThatIsOutGetsNoMoreThanTheOthers(t *testing.T) {
	t.Parallel()
	for _, balancing := range []upstream.Balancing{upstream.RoundRobin, upstream.LeastRequests} {
		config := upstream.Config{Targets: []string{gone(t), backend(t, "b"), backend(t, "c"), backend(t, "d")}, MaxFailures: 1, Recovery: time.Hour, Balancing: balancing}
		u := start(t, config, nil)
		until(t, "going out", func() bool { _, _ = get(t, u); return upstream.Out(u)[0] })
		got := map[string]int{}
		for range 30 {
			name, end := open(t, u)
			end()
			got[name]++
		}
		if d := cmp.Diff(map[string]int{"b": 10, "c": 10, "d": 10}, got); d != "" {
			t.Errorf("balancing %d: %s", balancing, d)
		}
	}
}

func TestWhoWaitsIsServedByATargetWhoseRecoveryIsOver(t *testing.T) {
	t.Parallel()
	b, down, _ := moody(t, "b")
	down.Store(true)
	config := upstream.Config{Targets: []string{backend(t, "a"), b}, Max: 1, QueueTimeout: soon, MaxFailures: 1, Recovery: 100 * time.Millisecond}
	u := start(t, config, nil)
	until(t, "going out", func() bool { _, _ = get(t, u); return upstream.Out(u)[1] })
	down.Store(false)
	name, end := open(t, u)
	defer end()
	if name != "a" {
		t.Fatalf("the target that is out answered: %q", name)
	}
	if body, err := get(t, u); body != "b" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestASecondAttemptDoesNotLoseItsPlaceToThoseWhoWait(t *testing.T) {
	t.Parallel()
	target, seconds := fatal(t)
	u := start(t, upstream.Config{Targets: []string{target}, Max: 1, QueueTimeout: soon}, nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				if body, err := exchange(t, u, request(t.Context(), http.MethodPut, "/x", nil)); body != "ok" {
					t.Errorf("%q, %v", body, err)
				}
			}
		})
	}
	all.Wait()
	if seconds.Load() == 0 {
		t.Error("no connection was used a second time: the test tests nothing")
	}
}

func TestASecondAttemptWaitsForAnotherTargetThatIsBusy(t *testing.T) {
	t.Parallel()
	config := upstream.Config{Targets: []string{backend(t, "a"), gone(t)}, Max: 1, QueueTimeout: soon, MaxFailures: 100}
	u := start(t, config, nil)
	_, end := open(t, u)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if body, err := get(t, u); body != "a/x" {
			t.Errorf("%q, %v", body, err)
		}
	}()
	until(t, "waiting", func() bool { return upstream.Waiting(u) == 1 })
	end()
	<-done
}
