package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/upstream"
)

// zone is a resolver whose answers change.
type zone struct {
	mu        sync.Mutex
	addresses []string
	err       error
	asked     atomic.Int32
}

func (z *zone) set(err error, addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addresses, z.err = addresses, err
}

func (z *zone) find(context.Context, string) ([]netip.Addr, error) {
	z.asked.Add(1)
	z.mu.Lock()
	defer z.mu.Unlock()
	var found []netip.Addr
	for _, a := range z.addresses {
		found = append(found, netip.MustParseAddr(a))
	}
	return found, z.err
}

// cluster is one backend on the same port of several loopback addresses, each of which says its own address.
func cluster(t *testing.T, h2c bool, addresses ...string) (port string) {
	t.Helper()
	port = "0"
	for _, a := range addresses {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(a, port))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(l.Addr().String())
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always is
			_, _ = io.WriteString(w, a)
			_ = http.NewResponseController(w).Flush()
			if r.URL.Path == "/long" {
				_, _ = io.Copy(w, r.Body)
			}
		}))
		_ = s.Listener.Close()
		s.Listener = l
		mute(s)
		if h2c {
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
		}
		s.Start()
		t.Cleanup(s.Close)
	}
	return port
}

func named(t *testing.T, z *zone, config upstream.Config, events upstream.Events) *upstream.Upstream {
	t.Helper()
	config.Name = "u"
	u, err := upstream.NewWithLookup(config, events, z.find)
	if err != nil {
		t.Fatal(err)
	}
	drained(t, u)
	return u
}

func TestANameThatMovesIsFollowedAndRunningRequestsStay(t *testing.T) {
	t.Parallel()
	for protocol, name := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := cluster(t, protocol == 1, "127.0.0.1", "127.0.0.2", "127.0.0.3")
			target := "http://backend.test:" + port
			var z zone
			z.set(nil, "127.0.0.1")
			var events recorder
			u := named(t, &z, upstream.Config{Targets: []string{target}, ResolveEvery: time.Millisecond, Protocol: upstream.Protocol(protocol)}, &events)
			if got, err := get(t, u); got != "127.0.0.1" {
				t.Fatalf("%q, %v", got, err)
			}
			rest, write := io.Pipe()
			long, err := u.Send(request(t.Context(), http.MethodPost, "/long", rest), upstream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer long.Response.Body.Close()

			z.set(nil, "127.0.0.2", "::ffff:127.0.0.2")
			until(t, "the move", func() bool { got, _ := get(t, u); return got == "127.0.0.2" })
			for range 10 {
				if got, err := get(t, u); got != "127.0.0.2" {
					t.Errorf("after the move: %q, %v", got, err)
				}
			}
			go func() { _, _ = io.WriteString(write, " goes on"); _ = write.Close() }()
			if got, err := io.ReadAll(long.Response.Body); string(got) != "127.0.0.1 goes on" {
				t.Errorf("the request that was running: %q, %v", got, err)
			}

			until(t, "forgetting the first address", func() bool { _, _ = get(t, u); return len(events.all(false)) == 2 })
			z.set(nil, "127.0.0.3", "127.0.0.2")
			until(t, "the growth", func() bool { _, _ = get(t, u); return len(events.all(false)) == 3 })
			z.set(errors.New("the resolver is down"))
			asked := z.asked.Load()
			until(t, "asking again", func() bool { _, _ = get(t, u); return z.asked.Load() > asked+2 })
			if got, err := get(t, u); err != nil {
				t.Errorf("without a resolver: %q, %v", got, err)
			}
			if d := cmp.Diff([]string{"addresses 127.0.0.1 127.0.0.2", "addresses 127.0.0.2", "addresses 127.0.0.2 127.0.0.3"}, events.all(false)); d != "" {
				t.Errorf("events: %s", d)
			}
		})
	}
}

func TestConnectionsSpreadOverTheAddressesAndPassOverDeadOnes(t *testing.T) {
	t.Parallel()
	port := cluster(t, false, "127.0.0.1", "127.0.0.2")
	var z zone
	z.set(nil, "127.0.0.9", "127.0.0.1", "127.0.0.2") // nobody listens at the first
	u := named(t, &z, upstream.Config{Targets: []string{"http://backend.test:" + port}}, nil)
	got := map[string]int{}
	var dead atomic.Int32
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{ConnectStart: func(_, address string) {
		if strings.HasPrefix(address, "127.0.0.9:") {
			dead.Add(1)
		}
	}})
	var open []*upstream.Reply
	for range 20 {
		reply, err := u.Send(request(ctx, http.MethodGet, "/x", nil), upstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, reply) // so that the next needs a connection of its own
	}
	for _, reply := range open {
		name, err := io.ReadAll(reply.Response.Body)
		if err != nil {
			t.Error(err)
		}
		got[string(name)]++
		_ = reply.Response.Body.Close()
	}
	if got["127.0.0.1"] < 5 || got["127.0.0.2"] < 5 {
		t.Errorf("the connections went to %v", got)
	}
	if n := dead.Load(); n != 1 {
		t.Errorf("the address where nobody listens was tried %d times", n)
	}
}

func TestWhenNoAddressAnswersTheFirstIsNamed(t *testing.T) {
	t.Parallel()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(gone(t), "http://"))
	var z zone
	z.set(nil, "127.0.0.1", "127.0.0.2")
	_, err := get(t, named(t, &z, upstream.Config{Targets: []string{"http://backend.test:" + port}}, nil))
	f := failure(t, err)
	if f.Cause != upstream.CauseConnect || !strings.Contains(err.Error(), "127.0.0.1:"+port) || !strings.Contains(err.Error(), "2 in all") {
		t.Error(err)
	}
}

func TestManyRequestsAskOnceForAName(t *testing.T) {
	t.Parallel()
	port := cluster(t, false, "127.0.0.1")
	var asked atomic.Int32
	answer := make(chan struct{})
	u, err := upstream.NewWithLookup(upstream.Config{Name: "u", Targets: []string{"http://backend.test:" + port}}, nil,
		func(context.Context, string) ([]netip.Addr, error) {
			asked.Add(1)
			<-answer
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	drained(t, u)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := get(t, u); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "asking", func() bool { return asked.Load() == 1 && upstream.InFlight(u)[0] == 50 })
	close(answer)
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the name was asked for %d times", n)
	}
}

func TestAnAddressIsNeverAskedFor(t *testing.T) {
	t.Parallel()
	var z zone
	u := named(t, &z, upstream.Config{Targets: []string{backend(t, "a")}, ResolveEvery: time.Nanosecond}, nil)
	for range 3 {
		if _, err := get(t, u); err != nil {
			t.Error(err)
		}
	}
	if n := z.asked.Load(); n != 0 {
		t.Errorf("the resolver was asked %d times", n)
	}
}

func TestANameThatCouldNotBeResolvedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	port := cluster(t, false, "127.0.0.1")
	var z zone
	z.set(errors.New("the resolver is down"))
	u := named(t, &z, upstream.Config{Targets: []string{"http://backend.test:" + port}}, nil)
	if _, err := get(t, u); failure(t, err).Cause != upstream.CauseResolve {
		t.Error(err)
	}
	z.set(nil, "127.0.0.1")
	if got, err := get(t, u); err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestANameServerThatSaysAPartEachTimeCostsNoConnections(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	counted := forward(t, backend(t, "a"), &connections)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(counted, "http://"))
	var asked atomic.Int32
	var events recorder
	u, err := upstream.NewWithLookup(upstream.Config{Name: "u", Targets: []string{"http://backend.test:" + port}, ResolveEvery: time.Nanosecond}, &events,
		func(context.Context, string) ([]netip.Addr, error) {
			if asked.Add(1)%2 == 0 {
				return []netip.Addr{netip.MustParseAddr("127.0.0.77")}, nil // nobody listens there, and nobody needs to
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	drained(t, u)
	until(t, "many lookups", func() bool {
		if _, err := get(t, u); err != nil {
			t.Fatal(err)
		}
		return asked.Load() > 20
	})
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if d := cmp.Diff([]string{"addresses 127.0.0.1 127.0.0.77"}, events.all(false)); d != "" {
		t.Errorf("events: %s", d)
	}
}
