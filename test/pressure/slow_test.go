package pressure_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"sallyport/test/internal/run"
)

const (
	slowCallers = 1000 // of each kind
	// slowMemory is what all of them together may cost, 160 KiB each; 100 were seen. Besides what an idle connection has
	// (TestTenThousandIdleConnections) there is one to the backend with its two goroutines and buffers, and 32 KiB that
	// bodies are copied with.
	slowMemory = 3 * slowCallers * 160 << 10
)

// Three crowds at the same time: one sends heads slowly, one bodies, one takes no answers. Each is ended by its own limit.
func TestThreeThousandSlowCallers(t *testing.T) {
	t.Parallel()
	if runsElsewhere(t) {
		return
	}
	scale(t, 3*slowCallers, 3*slowCallers)
	s := newCrowdSite(t, "{max_connections: 8000, max_connections_per_address: 4000, header_timeout: 3s, send_timeout: 3s, handshake_timeout: 60s}")
	before := s.usage()
	finish := s.others(t, "three thousand slow callers", 10*time.Second)

	var mu sync.Mutex
	ended := map[string]int{}
	over := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		ended[what]++
	}
	var wg sync.WaitGroup
	slowly := func(kind, begin, drop string, want func(c *rawCaller) string) {
		crowd(t, slowCallers, s.front, "http/1.1", func(_ int, c *tls.Conn) error {
			_, err := io.WriteString(c, begin)
			wg.Go(func() {
				drip := dripper(c, drop)
				defer drip()
				over(kind + ": " + want(newRawCaller(c)))
			})
			return err
		})
	}
	answered := func(c *rawCaller) string {
		got, err := c.answer("GET")
		if err == nil {
			err = c.ends()
		}
		return fmt.Sprint(got, " ", err)
	}
	slowly("body", "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000\r\n\r\n", "a", answered)
	crowd(t, slowCallers, s.front, "http/1.1", func(_ int, c *tls.Conn) error {
		_, err := io.WriteString(c, "GET /big/ HTTP/1.1\r\nHost: api.test\r\n\r\n")
		return err
	})
	slowly("head", "GET / HTTP/1.1\r\nHost: api.test\r\nX-A: ", "a", answered)
	peak := s.usage()
	t.Logf("from %v to %v", before, peak)
	s.awaitMetric(func(n float64) bool { return n >= slowCallers }, "sallyport_connections_closed_total", `cause="send_timeout"`)
	wg.Wait()
	finish()
	peak.memory = max(peak.memory, s.usage().memory)
	if grown := peak.memory - before.memory; grown > slowMemory {
		t.Errorf("slow callers take %.1f MiB, want at most %d", grown/(1<<20), slowMemory>>20)
	}
	for what, n := range map[string]int{"head: 408 request_timeout <nil>": slowCallers, "body: 408 request_timeout <nil>": slowCallers} {
		if ended[what] != n {
			t.Errorf("%d callers ended with %q, want %d; all: %v", ended[what], what, n, ended)
		}
	}
	s.calmsDown(before)
	m := s.metrics()
	for _, cause := range []string{"header_timeout", "body_rate", "send_timeout"} {
		if n := m.sum("sallyport_connections_closed_total", `cause="`+cause+`"`); n != slowCallers {
			t.Errorf("%v connections are counted as closed for %s, want %d", n, cause, slowCallers)
		}
	}
	s.stop()
}

// dripper sends a drop again and again until the returned function is called.
func dripper(c io.Writer, drop string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			if _, err := io.WriteString(c, drop); err != nil {
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// What HTTP/2 makes slow in its own ways, a few connections of each.
func TestSlowCallersOverHTTP2(t *testing.T) {
	t.Parallel()
	if runsElsewhere(t) {
		return
	}
	s := newCrowdSite(t, "{header_timeout: 2s, send_timeout: 2s, idle_timeout: 3s}")
	before := s.usage()
	finish := s.others(t, "slow callers over HTTP/2", 5*time.Second)
	dial := func(t *testing.T) *tls.Conn {
		c, err := dialFrom(t.Context(), "127.0.0.2", s.front, "h2")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	const streams = 100
	tests := []struct {
		name string
		do   func(t *testing.T)
	}{
		{"one that does not even begin", func(t *testing.T) {
			silent(t, dial(t))
		}},
		{"one that stops in the preface", func(t *testing.T) {
			c := dial(t)
			_, _ = io.WriteString(c, http2.ClientPreface[:10])
			silent(t, c)
		}},
		{"one that stops in its settings", func(t *testing.T) {
			c := dial(t)
			_, _ = io.WriteString(c, http2.ClientPreface+"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03")
			silent(t, c)
		}},
		{"one that is idle", func(t *testing.T) {
			newFramer(t, dial(t), true).over(t)
		}},
		{"one that stops in a header block", func(t *testing.T) {
			f := newFramer(t, dial(t), true)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(to("GET", "/")...)[:3], EndStream: true})
			f.over(t)
		}},
		{"one that goes on with a header block slowly", func(t *testing.T) {
			f := newFramer(t, dial(t), true)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(to("GET", "/")...), EndStream: true})
			more := block("x-a", "b")
			stop := dripper(writer(func() error { return f.WriteContinuation(1, false, more) }), "")
			f.over(t)
			stop()
		}},
		{"one that stops in a frame", func(t *testing.T) {
			f := newFramer(t, dial(t), true)
			_, _ = f.Write([]byte("\x00\x00\x08\x06\x00\x00\x00\x00\x00abc"))
			f.over(t)
		}},
		{"one that opens no window", func(t *testing.T) {
			f := newFramer(t, dial(t), false, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			for i := range streams {
				_ = f.open(uint32(2*i+1), true, to("GET", fmt.Sprint("/big/", i))...)
			}
			notServed(t, f, streams)
		}},
		{"one that opens its windows by single bytes", func(t *testing.T) {
			f := newFramer(t, dial(t), true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
			for i := range streams {
				_ = f.open(uint32(2*i+1), true, to("GET", fmt.Sprint("/big/", i))...)
			}
			stop := dripper(writer(func() error {
				for i := range streams {
					if err := f.WriteWindowUpdate(uint32(2*i+1), 1); err != nil {
						return err
					}
				}
				return nil
			}), "")
			notServed(t, f, streams)
			stop()
		}},
		{"one that reads nothing", func(t *testing.T) {
			c := dial(t)
			f := http2.NewFramer(c, c)
			_, _ = io.WriteString(c, http2.ClientPreface)
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			_ = f.WriteWindowUpdate(0, 1<<30)
			for i := range 10 {
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block(to("GET", fmt.Sprint("/big/r", i))...), EndHeaders: true, EndStream: true})
			}
			s.awaitRecord(0, "the end of its requests", func(r record) bool {
				return strings.HasPrefix(r.text("path"), "/big/r") && strings.Contains(r.text("failure"), "send_timeout")
			})
		}},
		{"one that sends bodies slowly", func(t *testing.T) {
			f := newFramer(t, dial(t), true)
			for i := range streams {
				_ = f.open(uint32(2*i+1), false, to("POST", "/")...)
			}
			stop := dripper(writer(func() error {
				for i := range streams {
					if err := f.WriteData(uint32(2*i+1), false, []byte("a")); err != nil {
						return err
					}
				}
				return nil
			}), "")
			defer stop()
			for i := range streams {
				if got := f.outcome(t, uint32(2*i+1)); got != "408 request_timeout" {
					t.Fatalf("stream %d ends with %q", 2*i+1, got)
				}
			}
		}},
	}
	t.Run("all", func(t *testing.T) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.do(t)
			})
		}
	})
	finish()
	peak := s.usage()
	t.Logf("from %v to %v", before, peak)
	if grown := peak.memory - before.memory; grown > 100<<20 {
		t.Errorf("they took %.1f MiB", grown/(1<<20))
	}
	s.calmsDown(before)
	s.stop()
}

// silent waits until the other end closes a connection on which nothing was asked.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(run.Patience))
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("it is still open: %v", err)
	}
}

// notServed checks that none of the streams gets to the end of its answer, and that all of them are ended.
func notServed(t *testing.T, f *framer, streams int) {
	t.Helper()
	for i := range streams {
		if got := f.outcome(t, uint32(2*i+1)); strings.HasPrefix(got, "200") {
			t.Fatalf("stream %d ends with %.50q", 2*i+1, got)
		}
	}
}

// writer is an io.Writer that does something else.
type writer func() error

func (w writer) Write(p []byte) (int, error) { return len(p), w() }
