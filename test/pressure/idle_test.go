package pressure_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"sallyport/test/internal/run"
)

// Bounds on what an idle connection over TLS costs the program; 38 KiB and 1.25 goroutines were seen. A goroutine has a
// stack of 8 KiB, net/http keeps buffers of 4 KiB each way, or frame buffers and tables of header fields with HTTP/2, crypto/tls
// keeps secrets and what is left of a record; and the collector lets the heap become twice what is alive. With HTTP/2 there are two
// goroutines, and one connection of four speaks it.
const (
	idleMemory     = 64 << 10 // bytes a connection
	idleGoroutines = 1.4      // a connection
)

func TestTenThousandIdleConnections(t *testing.T) {
	t.Parallel()
	if runsElsewhere(t) {
		return
	}
	s := newCrowdSite(t, "{max_connections: 30000, max_connections_per_address: 5000, handshake_timeout: 60s}")
	n := scale(t, 10_000, 4_000)
	if err := s.callOnce(); err != nil {
		t.Fatal(err)
	}
	before := s.usage()
	finish := s.others(t, "the arrival of the crowd", 10*time.Second)
	began := time.Now()
	h1 := crowd(t, n*3/4, s.front, "http/1.1", func(i int, c *tls.Conn) error {
		if i%2 == 0 {
			return nil // it never says a word
		}
		w := newRawCaller(c)
		w.send("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", 0)
		got, err := w.answer("GET")
		if err == nil && got != "200 here" {
			err = fmt.Errorf("answered %q", got)
		}
		return err
	})
	h2 := crowd(t, n-len(h1), s.front, "h2", func(_ int, c *tls.Conn) error {
		if _, err := io.WriteString(c, http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 9)) // its settings
		return err
	})
	finish()
	idle := s.usage()
	memory, goroutines := (idle.memory-before.memory)/float64(n), (idle.goroutines-before.goroutines)/float64(n)
	t.Logf("%d connections, %d with HTTP/2, came in %v: from %v to %v: %.1f KiB and %.2f goroutines each", n, len(h2), time.Since(began), before, idle, memory/1024, goroutines)
	if memory > idleMemory {
		t.Errorf("an idle connection takes %.1f KiB, want at most %d", memory/1024, idleMemory>>10)
	}
	if goroutines > idleGoroutines {
		t.Errorf("an idle connection takes %.2f goroutines, want at most %v", goroutines, idleGoroutines)
	}
	if int(idle.connections) < n {
		t.Errorf("%v connections are counted, want %d", idle.connections, n)
	}
	finish = s.others(t, "ten thousand idle connections", time.Second)
	for range 100 {
		if err := s.callOnce(); err != nil {
			t.Error(err)
		}
	}
	finish()
	for _, c := range append(h1, h2...) {
		_ = c.NetConn().Close()
	}
	s.calmsDown(before)
	s.stop()
}

func TestConnectionsBeyondACapAreTurnedAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	port, plain := free.Free(t), free.Free(t)
	const limits = "{max_connections: 12, max_connections_per_address: 5}"
	g := s.start(built(t, builtProgram), strings.NewReplacer("PORT", port, "PLAIN", plain, "LIMITS", limits, "BACKEND", newBigBackend(t)).Replace(`
listeners:
  - {name: front, address: 0.0.0.0:PORT, tls: {credentials: [server]}, limits: LIMITS}
  - {name: plain, address: 0.0.0.0:PLAIN, limits: LIMITS}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
upstreams:
  - {name: raw, targets: ["http://BACKEND"]}
apis:
  - {name: everything, path: /, upstream: raw}
`))
	tests := []struct {
		name, listener, address string
		overTLS                 bool
	}{
		{"over TLS", "front", "127.0.0.1:" + port, true},
		{"without TLS", "plain", "127.0.0.1:" + plain, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var kept []net.Conn
			open := func(from string, served bool) {
				t.Helper()
				c, got := knock(t, from, test.address, test.overTLS)
				if served != (got == "200 here") {
					t.Errorf("connection %d, from %s, is answered %q", len(kept)+1, from, got)
				}
				if !served && !test.overTLS && got != "503 " {
					t.Errorf("one too many is answered %q, want 503", got)
				}
				if served {
					kept = append(kept, c)
				}
			}
			for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
				for range 5 {
					open(from, true)
				}
				open(from, false) // it has enough
			}
			open("127.0.0.4", true)
			open("127.0.0.5", true)
			open("127.0.0.6", false) // there are enough
			g.awaitMetric(func(n float64) bool { return n == 2 }, "sallyport_connections_refused_total", `listener="`+test.listener+`"`, `cause="address_full"`)
			g.awaitMetric(func(n float64) bool { return n == 1 }, "sallyport_connections_refused_total", `listener="`+test.listener+`"`, `cause="listener_full"`)
			r := g.awaitRecord(0, "the record of refused connections", func(r record) bool {
				return r.text("msg") == "connections refused" && r.text("listener") == test.listener
			})
			if r.text("reason") != "overloaded" || r.text("cause") != "address_full" || !strings.HasPrefix(r.text("remote"), "127.0.0.2:") {
				t.Errorf("the record is %v", r)
			}
			for _, c := range kept[:2] { // two of 127.0.0.2 go
				_ = c.Close()
			}
			g.awaitMetric(func(n float64) bool { return n == 10 }, "sallyport_open_connections", `listener="`+test.listener+`"`)
			open("127.0.0.2", true)
			open("127.0.0.6", true)
			open("127.0.0.7", false)
		})
	}
	g.stop()
}

// knock opens a connection, asks for something, and describes what came; "" for nothing.
func knock(t *testing.T, from, address string, overTLS bool) (net.Conn, string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: run.Patience}
	var c net.Conn
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(run.Patience))
	t.Cleanup(func() { _ = c.Close() })
	if overTLS {
		c = tls.Client(c, anybody("http/1.1"))
	}
	w := newRawCaller(c)
	w.send("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", 0)
	got, err := w.answer("GET")
	if err != nil {
		return c, ""
	}
	return c, got
}
