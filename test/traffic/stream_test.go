package traffic_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestEventsAtOnce: the header comes before the first event, and each event before the next one is sent.
func TestEventsAtOnce(t *testing.T) {
	t.Parallel()
	const kind = "text/event-stream; charset=utf-8"
	var sources mail[string]
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		_ = http.NewResponseController(w).Flush() // the client sees the beginning before there is an event
		for {
			select {
			case e, more := <-sources.of(r.URL.Path):
				if !more {
					return
				}
				fmt.Fprintf(w, "data: %s\n\n", e)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		path := pathOf(t, prefix)
		source := sources.of(path)
		c := g.caller(t, f)
		s := c.open(t, c.request(t, http.MethodGet, path, nil))
		if s.status != 200 || s.header.Get("Content-Type") != kind {
			t.Fatalf("status %d, header %v", s.status, s.header)
		}
		for i := range 5 {
			event := strings.Repeat("x", i*i*1000)
			source <- event
			s.wants(t, "data: "+event+"\n\n")
		}
		close(source)
		if rest, err := io.ReadAll(s.body); len(rest) > 0 || err != nil {
			t.Errorf("%q (%v) came at the end", rest, err)
		}
		g.passed(t, path, 200, 0, int64(30_000+5*len("data: \n\n")))
	})
}

// TestSlowBackends: a backend may take its time within the limits, and no longer.
func TestSlowBackends(t *testing.T) {
	t.Parallel()
	const slow = 400 * time.Millisecond
	pause := func(r *http.Request, d time.Duration) {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		switch {
		case strings.Contains(r.URL.Path, "/header-"):
			pause(r, slow)
			_, _ = io.WriteString(w, "late")
		case strings.Contains(r.URL.Path, "/never-"):
			pause(r, patience)
		case strings.Contains(r.URL.Path, "/body-"):
			for range 5 {
				_, _ = io.WriteString(w, "piece|")
				_ = control.Flush()
				pause(r, 2*slow) // all of them together are more than one may take
			}
		case strings.Contains(r.URL.Path, "/events-"):
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: 1\n\n")
			_ = control.Flush()
			pause(r, 10*slow)
			fmt.Fprint(w, "data: 2\n\n")
		case strings.Contains(r.URL.Path, "/stalls-"):
			if strings.Contains(r.URL.Path, "length") {
				w.Header().Set("Content-Length", "100")
			}
			_, _ = io.WriteString(w, "half")
			_ = control.Flush()
			pause(r, patience)
		}
	})
	g := serve(t, document{apis: bothBackends(target, "timeouts: {response: 3s, pause: 3s}")})
	wait := func(t *testing.T, f front, prefix, what string) (answer, string) {
		t.Helper()
		path := prefix + what + pathOf(t, "-")
		return g.caller(t, f).ask(t, http.MethodGet, path, nil), path
	}
	rows := map[string]func(t *testing.T, f front, prefix string){
		"a header within the time": func(t *testing.T, f front, prefix string) {
			got, path := wait(t, f, prefix, "header")
			got.whole(t, 200)
			g.passed(t, path, 200, 0, 4)
		},
		"a header beyond the time": func(t *testing.T, f front, prefix string) {
			got, path := wait(t, f, prefix, "never")
			got.problem(t, "upstream_unavailable", 504)
			r := g.refused(t, path, "upstream_unavailable", 504, "")
			if r.Target != target || r.DurationMS < 2900 || r.DurationMS > 20_000 {
				t.Errorf("target %q after %v ms", r.Target, r.DurationMS)
			}
			if strings.Contains(got.body, strings.TrimPrefix(target, "http://")) || strings.Contains(got.body, "exceeded") {
				t.Errorf("the caller is told what is behind the gateway: %s", got.body)
			}
		},
		"a body with pauses": func(t *testing.T, f front, prefix string) {
			got, path := wait(t, f, prefix, "body")
			got.whole(t, 200)
			if got.body != strings.Repeat("piece|", 5) {
				t.Errorf("body %q", got.body)
			}
			g.passed(t, path, 200, 0, 30)
		},
		"an event stream with a longer pause": func(t *testing.T, f front, prefix string) {
			got, path := wait(t, f, prefix, "events")
			got.whole(t, 200)
			if got.body != "data: 1\n\ndata: 2\n\n" {
				t.Errorf("body %q", got.body)
			}
			g.passed(t, path, 200, 0, 18)
		},
		"a body that stalls": func(t *testing.T, f front, prefix string) {
			got, path := wait(t, f, prefix, "stalls")
			got.broken(t, 200, "half")
			g.failed(t, path, target, 200)
		},
		"a body with a length that stalls": func(t *testing.T, f front, prefix string) {
			got, path := wait(t, f, prefix, "stalls-length")
			got.broken(t, 200, "half")
			g.failed(t, path, target, 200)
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEveryWay(t, row)
		})
	}
}

// TestStreamsThatAreIdle: a stream may be silent for as long as its API says, and a byte in either direction counts.
func TestStreamsThatAreIdle(t *testing.T) {
	t.Parallel()
	target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		request := readHead(r)
		if request == nil {
			return
		}
		say(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for range 7 {
			<-tick.C
			say(c, "data: x\n\n")
		}
		discard(r) // and nothing more
	})
	g := serve(t, document{apis: []api{{path: "/events/", target: target, limits: "stream_idle_timeout: 3s"}}})
	onBothFronts(t, func(t *testing.T, f front) {
		path := pathOf(t, "/events/")
		got := g.caller(t, f).ask(t, http.MethodGet, path, nil)
		got.broken(t, 200, strings.Repeat("data: x\n\n", 7))
		g.failed(t, path, "stream_idle_timeout", 200)
	})
}
