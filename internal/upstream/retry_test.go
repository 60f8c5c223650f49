package upstream_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/testpki"
	"sallyport/internal/upstream"
)

// bad is a target that fails in one way, and how.
type bad struct {
	name  string
	url   func(t *testing.T, hits *atomic.Int32) string
	cause upstream.Cause
	// unsent says that nothing of the request is sent; unanswered that nothing of an answer comes.
	unsent, unanswered bool
}

func badTargets() []bad {
	hit := func(hits *atomic.Int32, speak func(*net.TCPConn, *bufio.Reader)) func(*net.TCPConn, *bufio.Reader) {
		return func(c *net.TCPConn, in *bufio.Reader) {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			hits.Add(1)
			speak(c, in)
		}
	}
	return []bad{
		{"the name is unknown", func(*testing.T, *atomic.Int32) string { return "http://unknown.invalid" }, upstream.CauseResolve, true, true},
		{"nobody listens", func(t *testing.T, _ *atomic.Int32) string { return gone(t) }, upstream.CauseConnect, true, true},
		{"the certificate is unknown", func(t *testing.T, _ *atomic.Int32) string {
			return tlsBackend(t, testpki.NewCA(t, testpki.Options{}).Leaf(t, testpki.Options{Hosts: []string{"localhost"}}))
		}, upstream.CauseTLS, true, true},
		{"the connection is reset", func(t *testing.T, hits *atomic.Int32) string {
			return raw(t, hit(hits, func(c *net.TCPConn, _ *bufio.Reader) { _ = c.SetLinger(0) }))
		}, upstream.CauseReset, false, true},
		{"the connection is closed", func(t *testing.T, hits *atomic.Int32) string {
			return raw(t, hit(hits, func(*net.TCPConn, *bufio.Reader) {}))
		}, upstream.CauseReset, false, true},
		{"the header is cut", func(t *testing.T, hits *atomic.Int32) string {
			return raw(t, hit(hits, func(c *net.TCPConn, _ *bufio.Reader) { _, _ = io.WriteString(c, "HTTP/1.1 2") }))
		}, upstream.CauseReset, false, false},
		{"an early hint and then nothing", func(t *testing.T, hits *atomic.Int32) string {
			return raw(t, hit(hits, func(c *net.TCPConn, _ *bufio.Reader) { _, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n") }))
		}, upstream.CauseReset, false, false},
		{"no answer in time", func(t *testing.T, hits *atomic.Int32) string {
			return raw(t, hit(hits, func(_ *net.TCPConn, in *bufio.Reader) { _, _ = in.ReadByte() }))
		}, upstream.CauseTimeout, false, true},
		{"no HTTP", func(t *testing.T, hits *atomic.Int32) string {
			return raw(t, hit(hits, func(c *net.TCPConn, _ *bufio.Reader) { _, _ = io.WriteString(c, "hello\r\n") }))
		}, upstream.CauseProtocol, false, false},
	}
}

func TestARequestIsRepeatedWhereThatIsSafeAndNowhereElse(t *testing.T) {
	t.Parallel()
	for _, b := range badTargets() {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "POST", "PATCH", "PROPFIND"} {
			for _, body := range []string{"", "a body"} {
				t.Run(b.name+" "+method+" "+body, func(t *testing.T) {
					t.Parallel()
					var atBad, atGood atomic.Int32
					good := serve(t, func(_ http.ResponseWriter, r *http.Request) {
						got, _ := io.ReadAll(r.Body)
						if string(got) != body {
							t.Errorf("the second target got the body %q", got)
						}
						atGood.Add(1)
					})
					var events recorder
					config := upstream.Config{Name: "u", Targets: []string{b.url(t, &atBad), good}}
					if b.cause == upstream.CauseTimeout {
						config.ResponseTimeout = 100 * time.Millisecond
					}
					u, err := upstream.NewWithLookup(config, &events, find)
					if err != nil {
						t.Fatal(err)
					}
					drained(t, u)

					r := request(t.Context(), method, "/x", nil)
					if body != "" {
						r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
					}
					_, err = exchange(t, u, r)

					idempotent := !strings.HasPrefix(method, "P") || method == "PUT"
					safe := b.unsent || b.cause == upstream.CauseReset && b.unanswered && idempotent && body == ""
					want := []string{"attempt " + string(b.cause) + " false"}
					hits := int32(1)
					if b.unsent {
						hits = 0
					}
					if safe {
						want = append(want, "attempt ok true")
						if err != nil || atGood.Load() != 1 {
							t.Errorf("it was not repeated: %v", err)
						}
					} else if failure(t, err).Cause != b.cause || atGood.Load() != 0 {
						t.Errorf("it was repeated %d times: %v", atGood.Load(), err)
					}
					if atBad.Load() != hits {
						t.Errorf("the first target got %d requests, want %d", atBad.Load(), hits)
					}
					if d := cmp.Diff(want, events.all(true)); d != "" {
						t.Errorf("events: %s", d)
					}
				})
			}
		}
	}
}

func TestARequestIsRepeatedOnceAtMost(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	dying := func() string {
		return raw(t, func(_ *net.TCPConn, in *bufio.Reader) {
			if _, err := http.ReadRequest(in); err == nil {
				hits.Add(1)
			}
		})
	}
	var events recorder
	u := start(t, upstream.Config{Targets: []string{dying(), dying(), dying()}}, &events)
	_, err := get(t, u)
	if f := failure(t, err); f.Cause != upstream.CauseReset || hits.Load() != 2 {
		t.Errorf("%d requests were sent: %v", hits.Load(), err)
	}
	if d := cmp.Diff([]string{"attempt reset false", "attempt reset true"}, events.all(true)); d != "" {
		t.Errorf("events: %s", d)
	}
}

func TestNothingIsRepeatedWhenThatIsNotWanted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*upstream.Config){
		"NoRetry":         func(c *upstream.Config) { c.NoRetry = true },
		"only one target": func(c *upstream.Config) { c.Targets = c.Targets[:1] },
	} {
		var events recorder
		config := upstream.Config{Targets: []string{gone(t), backend(t, "a")}}
		change(&config)
		_, err := get(t, start(t, config, &events))
		if f := failure(t, err); f.Cause != upstream.CauseConnect {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff([]string{"attempt connect false"}, events.all(true)); d != "" {
			t.Errorf("%s: events: %s", name, d)
		}
	}
}

func TestAnUpgradeIsNotRepeatedOnceItWasSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target string
		ok     bool
	}{
		"sent":   {raw(t, answer("")), false},
		"unsent": {gone(t), true},
	} {
		u := start(t, upstream.Config{Targets: []string{c.target, backend(t, "a")}}, nil)
		reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{Upgrade: true})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = reply.Response.Body.Close()
		}
	}
}

func TestAnUnreadBodyIsClosedOnceWhateverHappens(t *testing.T) {
	t.Parallel()
	for name, targets := range map[string][]string{
		"one target that is gone":           {gone(t)},
		"two targets that are gone":         {gone(t), gone(t)},
		"a target that is gone and one not": {gone(t), backend(t, "a")},
		"a target that answers early":       {raw(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))},
		"a target that dies":                {raw(t, answer(""))},
		"a target that does not want it":    {raw(t, answer("HTTP/1.1 417 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))},
	} {
		u := start(t, upstream.Config{Targets: targets}, nil)
		body := &closing{Reader: strings.NewReader("a body")}
		r := request(t.Context(), http.MethodPost, "/x", nil)
		r.Body, r.ContentLength = body, 6
		if strings.Contains(name, "want") {
			r.Header.Set("Expect", "100-continue")
		}
		_, _ = exchange(t, u, r)
		until(t, name+": closing the body", func() bool { return body.closed.Load() > 0 })
		if n := body.closed.Load(); n != 1 {
			t.Errorf("%s: the body was closed %d times", name, n)
		}
	}
}

type closing struct {
	io.Reader
	closed atomic.Int32
}

func (c *closing) Close() error { c.closed.Add(1); return nil }

func TestAStaleConnectionIsNoFailure(t *testing.T) {
	t.Parallel()
	var served atomic.Int32
	release := make(chan struct{})
	target := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		for range 2 { // the second request on the same connection is cut off
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			if served.Add(1) == 2 {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		<-release
	})
	defer close(release)
	var events recorder
	u := start(t, upstream.Config{Targets: []string{target}, MaxFailures: 1}, &events)
	for range 2 {
		if body, err := get(t, u); err != nil || body != "ok" {
			t.Fatalf("%q, %v", body, err)
		}
	}
	if d := cmp.Diff([]string{"attempt ok false", "attempt reset false", "attempt ok true"}, events.all(true)); d != "" || served.Load() != 3 {
		t.Errorf("%d requests; events: %s", served.Load(), d)
	}
}

func TestAConnectionThatWasUsedBeforeIsRepeatedAsAFreshOneIs(t *testing.T) {
	t.Parallel()
	fickle := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_, _ = http.ReadRequest(in)
		}
	})
	var events recorder
	u := start(t, upstream.Config{Targets: []string{fickle, serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}}, &events)
	for range 3 { // to the first, to the second, and again to the first
		if body, err := exchange(t, u, request(t.Context(), http.MethodPut, "/x", nil)); body != "ok" {
			t.Errorf("%q, %v", body, err)
		}
	}
	if d := cmp.Diff([]string{"attempt ok false", "attempt ok false", "attempt reset false", "attempt ok true"}, events.all(true)); d != "" {
		t.Errorf("events: %s", d)
	}
}

func TestAKeptConnectionThatDiedIsNotTheTargetsDeath(t *testing.T) {
	t.Parallel()
	served := make(chan string, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // it says that it keeps connections, and closes each one behind its first answer
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				served <- r.Method
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			_ = c.Close()
		}
	}()
	u, err := upstream.New(upstream.Config{Name: "one", Targets: []string{"http://" + l.Addr().String()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	for i, method := range []string{"GET", "DELETE", "PUT", "PROPFIND", "DELETE", "DELETE", "PUT", "DELETE"} {
		if method == "PROPFIND" {
			continue // not idempotent for us, who do not know it
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://target/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = "/x"
		reply, err := u.Send(r, upstream.Options{})
		if err != nil {
			t.Fatalf("request %d, %s: %v", i, method, err)
		}
		_, _ = io.ReadAll(reply.Response.Body)
		_ = reply.Response.Body.Close()
		if got := <-served; got != method {
			t.Errorf("the target got %s, want %s", got, method)
		}
	}
}

// keep opens n connections to the targets and leaves them idle.
func keep(t *testing.T, u *upstream.Upstream, n int) {
	t.Helper()
	var open []*upstream.Reply
	for range n {
		reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, reply) // so that the next needs a connection of its own
	}
	for _, reply := range open {
		_, _ = io.ReadAll(reply.Response.Body)
		_ = reply.Response.Body.Close()
	}
}

// fatal is a target that answers the first request on each connection, and ends the connection with the second. It counts
// the second ones.
func fatal(t *testing.T) (target string, seconds *atomic.Int32) {
	seconds = new(atomic.Int32)
	return raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if _, err := http.ReadRequest(in); err == nil {
			seconds.Add(1)
		}
	}), seconds
}

func TestKeptConnectionsDoNotMultiplyARequest(t *testing.T) {
	t.Parallel()
	for _, noRetry := range []bool{false, true} {
		a, atA := fatal(t)
		b, atB := fatal(t)
		u := start(t, upstream.Config{Targets: []string{a, b}, NoRetry: noRetry, MaxFailures: 1}, nil)
		keep(t, u, 20)
		_, err := get(t, u)
		want := int32(2)
		if noRetry {
			want = 1
		}
		if f := failure(t, err); f.Cause != upstream.CauseReset || atA.Load()+atB.Load() != want {
			t.Errorf("no retry %v: %v, after it was sent %d times", noRetry, err, atA.Load()+atB.Load())
		}
		if d := cmp.Diff([]bool{false, false}, upstream.Out(u)); d != "" {
			t.Errorf("kept connections that end took a target out: %s", d)
		}
	}
}

func TestTheSecondAttemptAtTheSameTargetHasAFreshConnection(t *testing.T) {
	t.Parallel()
	target, seconds := fatal(t)
	u := start(t, upstream.Config{Targets: []string{target}, MaxFailures: 1}, nil)
	keep(t, u, 20)
	if body, err := get(t, u); body != "ok" || seconds.Load() != 1 {
		t.Errorf("%q, %v, after %d kept connections", body, err, seconds.Load())
	}
}

func TestATargetThatDiesWithItsKeptConnectionsIsPassedOver(t *testing.T) {
	t.Parallel()
	l := listen(t)
	dying := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				if _, err := http.ReadRequest(in); err == nil {
					<-dying // nobody listens any more when the connection ends
				}
			})
		}
	})
	u := start(t, upstream.Config{Targets: []string{"http://" + l.Addr().String(), serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}}, nil)
	keep(t, u, 10)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if body, err := get(t, u); body != "ok" {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
	until(t, "sending", func() bool { return upstream.InFlight(u)[0] == 5 && upstream.InFlight(u)[1] == 0 })
	_ = l.Close()
	close(dying)
	all.Wait()
	u.Close()
	running.Wait()
}

func TestWhatTheFirstAttemptFailedWithIsKept(t *testing.T) {
	t.Parallel()
	dead := gone(t)
	for name, other := range map[string]string{"the second succeeds": backend(t, "a"), "the second fails": gone(t)} {
		u := start(t, upstream.Config{Targets: []string{dead, other}}, nil)
		reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
		var first *upstream.Failure
		if err == nil {
			first = reply.Retried
			_ = reply.Response.Body.Close()
		} else {
			first = failure(t, err).Retried
		}
		if first == nil || first.Target != dead || first.Cause != upstream.CauseConnect {
			t.Errorf("%s: the first failure is %v", name, first)
		}
	}
}
