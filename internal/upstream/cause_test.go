package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/testpki"
	"sallyport/internal/upstream"
)

// never is a backend that reads a request and does not answer.
func never(t testing.TB) string {
	return raw(t, func(_ *net.TCPConn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) })
}

// deaf is a backend that accepts and reads nothing until the test ends.
func deaf(t testing.TB) string {
	release := make(chan struct{})
	address := raw(t, func(*net.TCPConn, *bufio.Reader) { <-release })
	t.Cleanup(func() { close(release) }) // before raw waits for its goroutines
	return address
}

func TestEveryFailureBeforeTheAnswerHasItsCause(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	stranger := testpki.NewCA(t, testpki.Options{}).Leaf(t, testpki.Options{Hosts: []string{"localhost"}})
	for _, c := range []struct {
		name     string
		target   string
		config   upstream.Config
		cause    upstream.Cause
		timedOut bool
	}{
		{"the name is unknown", "http://unknown.invalid", upstream.Config{}, upstream.CauseResolve, false},
		{"the name has no address", "http://empty.test", upstream.Config{}, upstream.CauseResolve, false},
		{"the name is not answered for", "http://slow.test", upstream.Config{ConnectTimeout: short}, upstream.CauseResolve, true},
		{"nobody listens", gone(t), upstream.Config{}, upstream.CauseConnect, false},
		{"nobody listens, HTTP/2", gone(t), upstream.Config{Protocol: upstream.HTTP2}, upstream.CauseConnect, false},
		{"the certificate is unknown", tlsBackend(t, stranger), upstream.Config{}, upstream.CauseTLS, false},
		{"TLS meets something else", "https" + strings.TrimPrefix(raw(t, func(c *net.TCPConn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "220 smtp.test\r\n")
		}), "http"), upstream.Config{}, upstream.CauseTLS, false},
		{"the handshake takes too long", "https" + strings.TrimPrefix(deaf(t), "http"), upstream.Config{ConnectTimeout: 10 * short}, upstream.CauseTLS, true},
		{"no answer", never(t), upstream.Config{ResponseTimeout: short}, upstream.CauseTimeout, true},
		{"no answer, HTTP/2", http2(t, "", func(io.Writer, uint32) bool { return true }), upstream.Config{ResponseTimeout: short, Protocol: upstream.HTTP2}, upstream.CauseTimeout, true},
		{"no SETTINGS", never(t), upstream.Config{ConnectTimeout: short, Protocol: upstream.HTTP2}, upstream.CauseConnect, true},
		{"the connection is closed before SETTINGS", raw(t, func(_ *net.TCPConn, in *bufio.Reader) { _, _ = in.ReadByte() }), upstream.Config{Protocol: upstream.HTTP2}, upstream.CauseConnect, false},
		{"another frame before SETTINGS", raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			frame(c, resetFrame, 0, 1, "\x00\x00\x00\x07")
			_, _ = io.Copy(io.Discard, in)
		}), upstream.Config{Protocol: upstream.HTTP2}, upstream.CauseProtocol, false},
		{"no streams", http2(t, "\x00\x03\x00\x00\x00\x00", func(io.Writer, uint32) bool { return true }), upstream.Config{Protocol: upstream.HTTP2}, upstream.CauseConnect, false},
		{"the connection is closed", raw(t, func(_ *net.TCPConn, in *bufio.Reader) { _, _ = http.ReadRequest(in) }), upstream.Config{}, upstream.CauseReset, false},
		{"the connection is reset", raw(t, answer("")), upstream.Config{}, upstream.CauseReset, false},
		{"the header is cut", raw(t, answer("HTTP/1.1 200 OK\r\nContent-Le")), upstream.Config{}, upstream.CauseReset, false},
		{"the answer is no HTTP", raw(t, answer("SSH-2.0-OpenSSH_9.2\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"a greeting comes first", raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			_, _ = io.WriteString(c, "220 smtp.test\r\n")
			_, _ = http.ReadRequest(in)
		}), upstream.Config{}, upstream.CauseProtocol, false},
		{"the status has four digits", raw(t, answer("HTTP/1.1 2000 OK\r\n\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"the status is 99", raw(t, answer("HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"the status is 600", raw(t, answer("HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"both lengths", raw(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"two lengths", raw(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")), upstream.Config{}, upstream.CauseProtocol, false},
		{"an unknown coding", raw(t, answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"chunks in HTTP/1.0", raw(t, answer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"the protocol changes and nobody asked", raw(t, answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"the header is endless", raw(t, answer("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 300<<10)+"\r\n\r\n")), upstream.Config{}, upstream.CauseProtocol, false},
		{"HTTP/1.1 where HTTP/2 is expected", backend(t, "a"), upstream.Config{Protocol: upstream.HTTP2}, upstream.CauseProtocol, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var events recorder
			c.config.Name, c.config.Targets, c.config.MaxFailures = "u", []string{c.target}, 1
			u, err := upstream.NewWithLookup(c.config, &events, find)
			if err != nil {
				t.Fatal(err)
			}
			drained(t, u)
			_, err = get(t, u)
			f := failure(t, err)
			if f.Cause != c.cause || f.TimedOut() != c.timedOut || f.Upstream != "u" || f.Target != c.target || f.Err == nil {
				t.Errorf("%v, timed out %v, want %s, %v", err, f.TimedOut(), c.cause, c.timedOut)
			}
			want := []string{"down " + c.target + " " + string(c.cause), "attempt " + string(c.cause) + " false"}
			if d := cmp.Diff(want, events.all(true)); d != "" {
				t.Errorf("events: %s", d)
			}
		})
	}
}

// find is a resolver of names that tests use.
func find(ctx context.Context, host string) ([]netip.Addr, error) {
	switch host {
	case "localhost":
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	case "empty.test":
		return nil, nil
	case "slow.test":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestAnAnswerThatBreaksOffHasItsCause(t *testing.T) {
	t.Parallel()
	const header = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		name   string
		answer string
		cause  upstream.Cause // empty: it is complete
		body   string
	}{
		{"complete by length", header + "Content-Length: 5\r\n\r\nhello", "", "hello"},
		{"complete in chunks", header + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", "", "hello"},
		{"complete by its end", header + "\r\nhello", "", "hello"},
		{"the length is not reached", header + "Content-Length: 6\r\n\r\nhello", upstream.CauseReset, "hello"},
		{"no last chunk", header + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", upstream.CauseReset, "hello"},
		{"a chunk without a size", header + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", upstream.CauseProtocol, "hello"},
		{"a chunk longer than its size", header + "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", upstream.CauseProtocol, "hell"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var events recorder
			target := raw(t, answer(c.answer))
			body, err := get(t, start(t, upstream.Config{Targets: []string{target}, MaxFailures: 1}, &events))
			if body != c.body {
				t.Errorf("body %q, want %q", body, c.body)
			}
			want := []string{"attempt ok false"}
			if c.cause != "" {
				if got := failure(t, err); got.Cause != c.cause || got.TimedOut() {
					t.Errorf("%v, want %s", err, c.cause)
				}
				want = append(want, "down "+target+" "+string(c.cause))
			} else if err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(want, events.all(true)); d != "" {
				t.Errorf("events: %s", d)
			}
		})
	}
}

func TestASilentBodyIsStalledUnlessItMayBe(t *testing.T) {
	t.Parallel()
	for protocol, name := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goOn := make(chan struct{})
			target, _ := handling(t, protocol == 1, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "some")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-goOn:
					_, _ = io.WriteString(w, " more")
				case <-r.Context().Done():
				}
			})
			var events recorder
			u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.Protocol(protocol), PauseTimeout: 200 * time.Millisecond, MaxFailures: 1}, &events)
			body, err := get(t, u)
			if f := failure(t, err); body != "some" || f.Cause != upstream.CauseStalled || !f.TimedOut() {
				t.Errorf("got %q, %v", body, err)
			}
			if d := cmp.Diff([]string{"down " + target + " stalled"}, events.all(false)); d != "" {
				t.Errorf("events: %s", d)
			}

			reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Response.Body.Close()
			reply.SetPause(0)
			if _, err := io.ReadFull(reply.Response.Body, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(400*time.Millisecond, func() { close(goOn) })
			if rest, err := io.ReadAll(reply.Response.Body); err != nil || string(rest) != " more" {
				t.Errorf("without a limit: %q, %v", rest, err)
			}
		})
	}
}

func TestATargetThatDoesNotTakeABodyIsStalledAndASlowCallerIsNot(t *testing.T) {
	t.Parallel()
	const pause = 200 * time.Millisecond
	for protocol, name := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := upstream.Config{Protocol: upstream.Protocol(protocol), PauseTimeout: pause, ResponseTimeout: pause, MaxFailures: 1}
			ignoring, _ := handling(t, protocol == 1, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			if protocol == 0 {
				ignoring = deaf(t)
			}
			var events recorder
			config.Targets = []string{ignoring}
			_, err := exchange(t, start(t, config, &events), request(t.Context(), http.MethodPost, "/x", endless{}))
			if f := failure(t, err); f.Cause != upstream.CauseStalled || !f.TimedOut() {
				t.Errorf("a target that takes nothing: %v", err)
			}
			if d := cmp.Diff([]string{"down " + ignoring + " stalled"}, events.all(false)); d != "" {
				t.Errorf("events: %s", d)
			}

			reading, _ := handling(t, protocol == 1, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
			config.Targets, config.ResponseTimeout = []string{reading}, soon
			slow, write := io.Pipe()
			time.AfterFunc(2*pause, func() { _, _ = io.WriteString(write, "late"); _ = write.Close() })
			if got, err := exchange(t, start(t, config, nil), request(t.Context(), http.MethodPost, "/x", slow)); got != "late" {
				t.Errorf("a slow caller: %q, %v", got, err)
			}

			thinking, _ := handling(t, protocol == 1, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				<-time.After(2 * pause)
				_, _ = w.Write(body)
			})
			config.Targets = []string{thinking}
			if got, err := exchange(t, start(t, config, nil), request(t.Context(), http.MethodPost, "/x", strings.NewReader("all"))); got != "all" {
				t.Errorf("a target that thinks about what it has: %q, %v", got, err)
			}
		})
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestTheCallersOwnFailuresAreNotTheTargets(t *testing.T) {
	t.Parallel()
	for protocol, name := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			took := make(chan struct{}, 100)
			target, _ := handling(t, protocol == 1, func(w http.ResponseWriter, r *http.Request) {
				took <- struct{}{}
				switch r.URL.Path {
				case "/body":
					_, _ = io.Copy(io.Discard, r.Body)
				case "/half":
					_, _ = io.WriteString(w, "half")
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			})
			var events recorder
			u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.Protocol(protocol), MaxFailures: 1}, &events)

			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-took; cancel() }()
			_, err := exchange(t, u, request(ctx, http.MethodGet, "/wait", nil))
			if f := failure(t, err); f.Cause != upstream.CauseCanceled || f.TimedOut() {
				t.Errorf("canceled: %v", err)
			}

			ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_, err = exchange(t, u, request(ctx, http.MethodGet, "/wait", nil))
			if f := failure(t, err); f.Cause != upstream.CauseCanceled || !f.TimedOut() {
				t.Errorf("the caller's deadline: %v", err)
			}

			ctx, cancel = context.WithCancel(t.Context())
			defer cancel()
			reply, err := u.Send(request(ctx, http.MethodGet, "/half", nil), upstream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(reply.Response.Body, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			cancel()
			_, err = reply.Response.Body.Read(make([]byte, 1))
			if f := failure(t, err); f.Cause != upstream.CauseCanceled {
				t.Errorf("canceled in the answer: %v", err)
			}
			if err := reply.Response.Body.Close(); err != nil {
				t.Error(err)
			}

			broken := errors.New("the client is gone")
			for name, body := range map[string]func(*http.Request){
				"fails": func(r *http.Request) {
					r.Body = io.NopCloser(io.MultiReader(strings.NewReader("some"), failing{broken}))
				},
				"fails at first": func(r *http.Request) { r.Body = io.NopCloser(failing{broken}) },
				"is too short":   func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("some")), 5 },
				"is too long":    func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("some")), 3 },
			} {
				r := request(t.Context(), http.MethodPost, "/body", strings.NewReader(""))
				body(r)
				_, err = exchange(t, u, r)
				if f := failure(t, err); f.Cause != upstream.CauseRequestBody || f.TimedOut() {
					t.Errorf("a body that %s: %v", name, err)
				}
			}
			if got := events.all(false); len(got) != 0 {
				t.Errorf("the target was blamed: %q", got)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAConnectionThatEndsWhileTheCallerSendsIsNotBlamedOnTheTarget(t *testing.T) {
	t.Parallel()
	target := raw(t, answer(""))
	var events recorder
	u := start(t, upstream.Config{Targets: []string{target}, MaxFailures: 1}, &events)
	slow, write := io.Pipe()
	defer write.Close()
	r := request(t.Context(), http.MethodPost, "/x", slow)
	r.Body = slow // closing it ends a read
	_, err := exchange(t, u, r)
	if f := failure(t, err); f.Cause != upstream.CauseReset {
		t.Error(err)
	}
	if got := events.all(false); len(got) != 0 {
		t.Errorf("the target was blamed: %q", got)
	}
}
