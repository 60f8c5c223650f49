package traffic_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// sufferer is a backend that tells when a request has come, and how it ended. It does what the path says, until then.
func sufferer(t testing.TB, arrived *mail[bool], ended *mail[error]) string {
	t.Helper()
	return goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		control, path := http.NewResponseController(w), r.URL.Path
		switch {
		case strings.Contains(path, "upload"):
			_, _ = io.ReadFull(r.Body, make([]byte, 1)) // what follows tells
			arrived.of(path) <- true
			_, err := io.Copy(io.Discard, r.Body)
			ended.of(path) <- err
			return
		case strings.Contains(path, "download"):
			_, _ = io.WriteString(w, "first")
			_ = control.Flush()
			arrived.of(path) <- true
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					ended.of(path) <- err
					return
				}
			}
		case strings.Contains(path, "silence"): // after the beginning of an answer
			_, _ = io.WriteString(w, "first")
			_ = control.Flush()
			arrived.of(path) <- true
		default:
			_, _ = io.Copy(io.Discard, r.Body) // the client has sent all of it
			arrived.of(path) <- true
		}
		select {
		case <-r.Context().Done():
			ended.of(path) <- r.Context().Err()
		case <-time.After(patience):
			ended.of(path) <- nil
		}
	})
}

// TestClientsThatLeave: the backend hears of it within seconds, and the record says it.
func TestClientsThatLeave(t *testing.T) {
	t.Parallel()
	rows := []struct {
		how    string
		body   string // that the client sends
		rest   int    // of the body, that does not come
		begun  bool   // there is the beginning of an answer
		status int    // of the record
	}{
		{"upload", "some of it", 1_000_000, false, 499},
		{"download", "", 0, true, 200},
		{"silence", "", 0, true, 200},
		{"waiting", "", 0, false, 499},
		{"waiting-with-body", "all of it", 0, false, 499},
	}
	var arrived mail[bool]
	var ended mail[error]
	g := serve(t, document{apis: bothBackends(sufferer(t, &arrived, &ended), "")})
	for _, row := range rows {
		t.Run(row.how, func(t *testing.T) {
			t.Parallel()
			for _, prefix := range []string{"/h1/", "/h2/"} {
				for _, way := range []string{"closes", "resets the connection", "resets the stream"} {
					t.Run(prefix[1:3]+" "+way, func(t *testing.T) {
						t.Parallel()
						onBothFronts(t, func(t *testing.T, f front) {
							if f == http1Front && way == "resets the stream" {
								return // there are none
							}
							path := prefix + row.how + pathOf(t, "-")
							leave := g.begin(t, f, path, row.body, row.rest, row.begun)
							receive(t, arrived.of(path), "the request at the backend")
							leave(way)
							began := time.Now()
							err := receive(t, ended.of(path), "the end of the request at the backend")
							if took := time.Since(began); err == nil || took > 10*time.Second {
								t.Errorf("the backend's request ended after %v with %v", took, err)
							}
							g.failed(t, path, "client", row.status)
						})
					})
				}
			}
		})
	}
}

// begin begins a request and returns how to leave.
func (g *gateway) begin(t *testing.T, f front, path, body string, rest int, begun bool) (leave func(way string)) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	wait := func(r io.Reader) {
		got := make([]byte, 5)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "first" {
			t.Fatalf("%q (%v) came", got, err)
		}
	}
	hangUp := func(way string, c net.Conn) {
		raw := c.(interface{ NetConn() net.Conn }).NetConn()
		if way == "resets the connection" {
			abort(raw)
			return
		}
		_ = raw.Close() // without a word of TLS
	}
	if f == http1Front {
		c := g.http1(t)
		c.write(t, head(method, path, fmt.Sprintf("Content-Length: %d", len(body)+rest))+body)
		if begun {
			response, err := http.ReadResponse(c.reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = response.Body.Close() }) // the connection is closed, or there would be a rest to wait for
			wait(response.Body)
		}
		return func(way string) { hangUp(way, c.Conn) }
	}
	s := g.http2(t).open(t, method, path, body == "")
	if body != "" {
		_, _ = io.WriteString(s, body) // the backend tells
		if rest == 0 {
			s.end(t)
		}
	}
	if begun {
		if a := s.answerHead(); a.status != 200 {
			t.Fatalf("status %d (%v)", a.status, a.err)
		}
		wait(s)
	}
	return func(way string) {
		if way == "resets the stream" {
			s.cancel(t)
			return
		}
		hangUp(way, s.c.conn)
	}
}

// TestBodiesThatAreCutShort: the end of the connection is not the end of a body, for no backend.
func TestBodiesThatAreCutShort(t *testing.T) {
	t.Parallel()
	var heard mail[saw]
	target := goBackend(t, func(_ http.ResponseWriter, r *http.Request) { heard.of(r.URL.Path) <- look(r) })
	g := serve(t, document{apis: bothBackends(target, "")})
	for _, prefix := range []string{"/h1/", "/h2/"} {
		for i, text := range []string{
			head(http.MethodPost, prefix, "Content-Length: 10") + "half",
			head(http.MethodPost, prefix, "Transfer-Encoding: chunked") + "4\r\nhalf\r\n",
			head(http.MethodPost, prefix, "Transfer-Encoding: chunked") + "4\r\nhalf\r\n0\r\n",
			head(http.MethodPost, prefix, "Transfer-Encoding: chunked") + "4\r\nhalf\r\n0\r\nX-Sum: 1\r\n",
		} {
			path := fmt.Sprintf("%s%d", prefix, i)
			c := g.http1(t)
			c.write(t, strings.Replace(text, "POST "+prefix, "POST "+path, 1))
			if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if s := receive(t, heard.of(path), "the request at the backend"); s.bodyErr == nil {
				t.Errorf("%s: the backend took %q for the whole", path, s.body)
			}
			if r := g.record(t, path); r.Status == 200 || r.Decision == "allow" && r.Failure == "" {
				t.Errorf("the record says %s", r)
			}
		}
	}
}
