package traffic_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// every calls f at each tick until it returns false.
func every(d time.Duration, f func() bool) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for f() {
		<-tick.C
	}
}

// smallWindow keeps the operating system from taking much for a client that does not read.
func smallWindow(t testing.TB, c net.Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
}

// patterned is a backend that sends as many bytes of the pattern as the query says, and tells when a request has ended.
func patterned(t testing.TB) (target string, ended chan string) {
	t.Helper()
	ended = make(chan string, 16)
	return goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.ParseInt(r.URL.RawQuery, 10, 64)
		if err != nil {
			t.Errorf("query %q: %v", r.URL.RawQuery, err)
		}
		_, _ = io.Copy(struct{ io.Writer }{w}, &pattern{left: size}) // the client tells
		ended <- r.URL.Path
	}), ended
}

// download asks for so many bytes of the pattern and returns what they are to be read from.
func (g *gateway) download(t *testing.T, f front, path string, size int) (body io.Reader, whole func() answer) {
	t.Helper()
	path += "?" + strconv.Itoa(size)
	if f == http1Front {
		c := g.http1(t)
		smallWindow(t, c.Conn.(interface{ NetConn() net.Conn }).NetConn())
		c.write(t, head(http.MethodGet, path))
		response, err := http.ReadResponse(c.reader, &http.Request{Method: http.MethodGet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() }) // the connection is closed
		return response.Body, func() answer { return readAnswer(response, nil) }
	}
	s := g.http2(t).open(t, http.MethodGet, path, true)
	if a := s.answerHead(); a.status != 200 {
		t.Fatalf("status %d (%v)", a.status, a.err)
	}
	return s, s.answer
}

// TestClientsThatReadSlowly: who takes something all the time gets everything, however long it takes.
func TestClientsThatReadSlowly(t *testing.T) {
	t.Parallel()
	const size = 6 << 20
	target, _ := patterned(t)
	g := serve(t, document{limits: "send_timeout: 5s", apis: bothBackends(target, "")})
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		path := pathOf(t, prefix)
		body, _ := g.download(t, f, path, size)
		check := &pattern{left: size}
		began := time.Now()
		every(100*time.Millisecond, func() bool {
			_, err := io.CopyN(check, body, 96<<10)
			if err != nil {
				t.Errorf("%v, %d bytes before the end", err, check.left)
			}
			return err == nil && check.left > 0
		})
		if took := time.Since(began); took < 6*time.Second {
			t.Errorf("it took %v, which shows nothing", took)
		}
		g.passed(t, path, 200, 0, size)
	})
}

// TestClientsThatTakeNothing: who takes nothing is cut off after send_timeout, and the backend is let go. Over HTTP/2 that is
// the stream; others on the connection go on.
func TestClientsThatTakeNothing(t *testing.T) {
	t.Parallel()
	const size = 256 << 20
	target, ended := patterned(t)
	g := serve(t, document{limits: "send_timeout: 1s", apis: []api{{path: "/api/", target: target}}})
	t.Run("fronts", func(t *testing.T) {
		onBothFronts(t, func(t *testing.T, f front) {
			path := pathOf(t, "/api/")
			_, whole := g.download(t, f, path, size)
			r := g.failed(t, path, "send_timeout", 200)
			if r.BytesOut >= size || r.DurationMS < 900 {
				t.Errorf("%d bytes went out within %v ms", r.BytesOut, r.DurationMS)
			}
			if got := whole(); got.err == nil || len(got.body) >= size || strings.Contains(got.err.Error(), "timeout") {
				t.Errorf("%d bytes came, error %v; want an error", len(got.body), got.err)
			}
		})
	})
	for range 2 {
		receive(t, ended, "the end of a request at the backend")
	}
	c := g.http2(t)
	stuck := c.open(t, http.MethodGet, "/api/stuck?"+strconv.Itoa(size), true)
	g.failed(t, "/api/stuck", "send_timeout", 200)
	other := c.open(t, http.MethodGet, "/api/other?4", true)
	other.answer().whole(t, 200)
	if got := stuck.answer(); got.err == nil {
		t.Errorf("%d bytes came without an error", len(got.body))
	}
}

// trickle opens a request whose body of a length comes in pieces, and returns how to send one and how to get the answer.
func (g *gateway) trickle(t *testing.T, f front, path string, length int) (send func(text string) error, answered func() answer) {
	t.Helper()
	if f == http1Front {
		c := g.http1(t)
		c.write(t, head(http.MethodPost, path, "Content-Length: "+strconv.Itoa(length)))
		return func(text string) error { _, err := io.WriteString(c, text); return err },
			func() answer { return c.answer(http.MethodPost) }
	}
	s := g.http2(t).open(t, http.MethodPost, path, false, "content-length", strconv.Itoa(length))
	sent := 0
	return func(text string) error {
		_, err := io.WriteString(s, text)
		if sent += len(text); err == nil && sent == length {
			s.end(t)
		}
		return err
	}, s.answer
}

// TestClientsThatSendSlowly: a body may pause and may be slow, for ten seconds in all beyond what its rate earns it.
func TestClientsThatSendSlowly(t *testing.T) {
	t.Parallel()
	var heard mail[saw]
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		s := look(r)
		heard.of(r.URL.Path) <- s
		_, _ = io.WriteString(w, s.body)
	})
	g := serve(t, document{limits: "min_body_rate: 1KiB", apis: []api{
		{path: "/api/", target: target}, {path: "/any/", target: target, limits: "min_body_rate: none"},
	}})
	arrives := func(t *testing.T, f front, path string, pieces int, pause time.Duration) {
		t.Helper()
		send, answered := g.trickle(t, f, path, pieces)
		left := pieces
		every(pause, func() bool {
			if err := send("x"); err != nil {
				t.Errorf("%v, %d bytes before the end", err, left)
				return false
			}
			left--
			return left > 0
		})
		got := answered()
		got.whole(t, 200)
		if got.body != strings.Repeat("x", pieces) {
			t.Errorf("%q came back", got.body)
		}
		g.passed(t, path, 200, int64(pieces), int64(pieces))
	}
	isCut := func(t *testing.T, f front, path string, more func(send func(string) error)) {
		t.Helper()
		send, answered := g.trickle(t, f, path, 1000)
		if err := send("x"); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			more(send)
		}()
		got := answered()
		receive(t, ended, "the end of sending")
		got.problem(t, "request_timeout", 408)
		if r := g.refused(t, path, "request_timeout", 408, "min_body_rate"); r.DurationMS < 9_000 {
			t.Errorf("cut after %v ms", r.DurationMS)
		}
		if s := receive(t, heard.of(path), "the request at the backend"); s.bodyErr == nil {
			t.Errorf("the backend took %q for the whole", s.body)
		}
	}
	rows := map[string]func(t *testing.T, f front){
		"slowly": func(t *testing.T, f front) { arrives(t, f, pathOf(t, "/api/"), 20, 100*time.Millisecond) },
		"where nothing is demanded": func(t *testing.T, f front) {
			arrives(t, f, pathOf(t, "/any/"), 2, 11*time.Second)
		},
		"cut when nothing comes": func(t *testing.T, f front) {
			isCut(t, f, pathOf(t, "/api/"), func(func(string) error) {})
		},
		"cut when too little comes": func(t *testing.T, f front) {
			n := 0
			isCut(t, f, pathOf(t, "/api/"), func(send func(string) error) {
				every(300*time.Millisecond, func() bool { n++; return n < 60 && send("x") == nil && g.count(pathOf(t, "/api/")) == 0 })
			})
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, row)
		})
	}
}

// count returns how many access records of a path there are.
func (g *gateway) count(path string) (n int) {
	all, _ := g.Stdout.Since(0)
	for _, line := range all {
		if strings.Contains(line, fmt.Sprintf("%q", path)) {
			n++
		}
	}
	return n
}

// TestClientsThatAreTooSlowToAsk: nothing is waited for longer than the listener says.
func TestClientsThatAreTooSlowToAsk(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "body") })
	const limit = 2 * time.Second
	g := serve(t, document{
		limits: "header_timeout: 2s, idle_timeout: 2s, handshake_timeout: 2s",
		apis:   []api{{path: "/api/", target: target}},
	})
	within := func(t *testing.T, wait func()) {
		t.Helper()
		began := time.Now()
		wait()
		if took := time.Since(began); took < limit*8/10 || took > patience/2 {
			t.Errorf("it took %v, want about %v", took, limit)
		}
	}
	tooSlow := func(t *testing.T, c *http1) {
		t.Helper()
		c.answer(http.MethodGet).problem(t, "request_timeout", 408)
		c.closed(t)
		local := c.LocalAddr().String()
		r := g.await(t, "the record of the connection", func(r *record) bool { return r.Message == "request" && r.Remote == local })
		if r.Decision != "deny" || r.Reason != "request_timeout" || r.Status != 408 {
			t.Errorf("the record says %s", r)
		}
	}
	rows := map[string]func(t *testing.T){
		"half a handshake": func(t *testing.T) {
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience)) // it is open
			_, _ = io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
			if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Error(err)
			}
		},
		"no request": func(t *testing.T) { g.http1(t).closed(t) },
		"no second request": func(t *testing.T) {
			c := g.http1(t)
			c.write(t, head(http.MethodGet, pathOf(t, "/api/")))
			c.answer(http.MethodGet).whole(t, 200)
			c.closed(t)
		},
		"half a head": func(t *testing.T) {
			c := g.http1(t)
			c.write(t, "GET /api/ HTTP/1.1\r\nHost: local")
			tooSlow(t, c)
		},
		"a head octet by octet": func(t *testing.T) {
			c := g.http1(t)
			text, ended := head(http.MethodGet, "/api/", "X-Long: "+strings.Repeat("x", 1000)), make(chan struct{})
			go func() {
				defer close(ended)
				every(50*time.Millisecond, func() bool {
					_, err := io.WriteString(c, text[:1])
					text = text[1:]
					return err == nil && len(text) > 0
				})
			}()
			tooSlow(t, c)
			_ = c.Close() // the gateway has
			receive(t, ended, "the end of sending")
		},
		"half a preface": func(t *testing.T) {
			c := g.dial(t, "h2")
			_, _ = io.WriteString(c, http2.ClientPreface[:10]) // the answer tells
			(&http1{Conn: c, reader: nil}).gone(t)
		},
		"half a head over HTTP/2": func(t *testing.T) {
			c := g.http2(t)
			c.mu.Lock()
			err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			c.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			c.closed(t)
		},
		"no request over HTTP/2": func(t *testing.T) { g.http2(t).closed(t) },
		"no second request over HTTP/2": func(t *testing.T) {
			c := g.http2(t)
			c.open(t, http.MethodGet, pathOf(t, "/api/"), true).answer().whole(t, 200)
			c.closed(t)
			c.mu.Lock()
			defer c.mu.Unlock()
			if !c.goAway {
				t.Error("the connection was closed without GOAWAY")
			}
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func() { row(t) })
		})
	}
}

// gone waits for the end of a connection on which anything may have come.
func (c *http1) gone(t testing.TB) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c.Conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error(err)
	}
}
