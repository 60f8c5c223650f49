package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sallyport/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon bounds what should happen at once.
const soon = 10 * time.Second

// recorder is an Events that remembers.
type recorder struct {
	mu   sync.Mutex
	said []string
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) TargetDown(_, target string, cause upstream.Cause) {
	r.note("down %s %s", target, cause)
}
func (r *recorder) TargetUp(_, target string) { r.note("up %s", target) }
func (r *recorder) AddressesChanged(_, _ string, addresses []string) {
	r.note("addresses %s", strings.Join(addresses, " "))
}

func (r *recorder) Attempt(_, _ string, cause upstream.Cause, retry bool, took time.Duration) {
	if took < 0 {
		cause = "negative time"
	}
	r.note("attempt %s %v", or(string(cause), "ok"), retry)
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// all returns what was said, without the attempts unless they are asked for.
func (r *recorder) all(attempts bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var some []string
	for _, s := range r.said {
		if attempts || !strings.HasPrefix(s, "attempt") {
			some = append(some, s)
		}
	}
	return some
}

// start makes an upstream that is closed at the end, when no slot may be taken any more.
func start(t testing.TB, config upstream.Config, events upstream.Events) *upstream.Upstream {
	t.Helper()
	config.Name = "u"
	u, err := upstream.New(config, events)
	if err != nil {
		t.Fatal(err)
	}
	drained(t, u)
	return u
}

// drained closes the upstream at the end of a test and looks whether every slot is free.
func drained(t testing.TB, u *upstream.Upstream) {
	t.Cleanup(func() {
		u.Close()
		for i, n := range upstream.InFlight(u) {
			if n != 0 {
				t.Errorf("target %d has %d requests in flight at the end", i, n)
			}
		}
		if n := upstream.Waiting(u); n != 0 {
			t.Errorf("%d requests wait at the end", n)
		}
	})
}

// request makes a request as a server hands it on. A nil body is none; otherwise its length is unknown.
func request(ctx context.Context, method, path string, body io.Reader) *http.Request {
	r := &http.Request{Method: method, URL: &url.URL{Opaque: path}, Header: http.Header{}, Body: http.NoBody}
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(body), -1
	}
	return r.WithContext(ctx)
}

// get sends a GET and returns the body of the answer.
func get(t testing.TB, u *upstream.Upstream) (string, error) {
	t.Helper()
	return exchange(t, u, request(t.Context(), http.MethodGet, "/x", nil))
}

// exchange sends a request and reads the answer to its end.
func exchange(t testing.TB, u *upstream.Upstream, r *http.Request) (string, error) {
	t.Helper()
	reply, err := u.Send(r, upstream.Options{})
	if err != nil {
		return "", err
	}
	defer reply.Response.Body.Close()
	body, err := io.ReadAll(reply.Response.Body)
	return string(body), err
}

// failure returns the failure that an error is.
func failure(t testing.TB, err error) *upstream.Failure {
	t.Helper()
	f, ok := errors.AsType[*upstream.Failure](err)
	if !ok {
		t.Fatalf("%v is no failure", err)
	}
	return f
}

// backend answers with its name and the path.
func backend(t testing.TB, name string) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name+r.URL.Path) })
}

// serve starts an HTTP/1.1 backend and returns its URL.
func serve(t testing.TB, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.URL
}

// gone returns a URL where nobody listens.
func gone(t testing.TB) string {
	t.Helper()
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// raw starts a backend that speaks for itself on each connection, which is closed when speak returns, and returns its
// URL. A read that hangs ends with the test.
func raw(t testing.TB, speak func(c *net.TCPConn, in *bufio.Reader)) string {
	t.Helper()
	l := listen(t)
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				speak(c.(*net.TCPConn), bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return "http://" + l.Addr().String()
}

// answer reads a request without its body and writes an answer; an empty one resets the connection.
func answer(text string) func(c *net.TCPConn, in *bufio.Reader) {
	return func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		if text == "" {
			_ = c.SetLinger(0)
			return
		}
		_, _ = io.WriteString(c, text)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for tick := time.NewTicker(time.Millisecond); !met(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func sorted(list ...string) []string {
	slices.Sort(list)
	return list
}

// mute keeps a server from writing to the terminal.
func mute(s *httptest.Server) {
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
}

// counting starts a backend that says "ok" and returns its URL and the number of its connections.
func counting(t testing.TB, h2c bool) (address string, open func() int) {
	return handling(t, h2c, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
}

// handling starts a backend and returns its URL and the number of its connections. With h2c it speaks HTTP/2 without TLS.
func handling(t testing.TB, h2c bool, handle http.HandlerFunc) (address string, open func() int) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewUnstartedServer(handle)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			n.Add(1)
		case http.StateClosed, http.StateHijacked:
			n.Add(-1)
		}
	}
	mute(s)
	if h2c {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL, func() int { return int(n.Load()) }
}
