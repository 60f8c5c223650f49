package pressure_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/test/internal/run"
)

// crowdSite is a gateway that a crowd of callers comes to, without the race detector. Its backend answers everything, and
// below /big/ with more than anybody's buffers hold.
type crowdSite struct {
	*site
	*running
	front string
}

const crowdDocument = `
shutdown: {drain: 10s}
listeners:
  - {name: front, address: 0.0.0.0:FRONT, tls: {credentials: [server]}, limits: LIMITS}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
upstreams:
  - {name: raw, targets: ["http://BACKEND"]}
apis:
  - {name: everything, path: /, upstream: raw}
`

func newCrowdSite(t *testing.T, limits string) *crowdSite {
	t.Helper()
	s := &crowdSite{site: newSite(t)}
	port := free.Free(t)
	s.front = "127.0.0.1:" + port
	document := crowdDocument
	for _, pair := range [][2]string{{"FRONT", port}, {"LIMITS", limits}, {"BACKEND", newBigBackend(t)}} {
		document = replaceOnce(t, document, pair[0], pair[1])
	}
	s.running = s.start(built(t, builtPlain), document)
	return s
}

// bigAnswer is how much the backend sends below /big/, and pieceOfBig how much of it at a time.
const (
	bigAnswer  = 64 << 20
	pieceOfBig = 32 << 10
)

// newBigBackend starts the backend of a crowdSite.
func newBigBackend(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, pieceOfBig)
	mux := http.NewServeMux()
	mux.HandleFunc("/big/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(bigAnswer))
		for range bigAnswer / pieceOfBig {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // one that breaks off is none
		_, _ = io.WriteString(w, "here")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: run.Patience}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return l.Addr().String()
}

// anybody is how a crowd speaks TLS: whom it speaks to it does not check, which is what takes the time.
func anybody(protocol string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: serverName, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS13}
}

// dialFrom opens a connection from a source address, such as 127.0.0.2, and brings it through its handshake. Segments are
// as small as on Ethernet, and so are the buffers that the system gives it: on loopback it would take megabytes from a
// sender before that has to wait for its reader.
func dialFrom(ctx context.Context, source, address, protocol string) (*tls.Conn, error) {
	d := net.Dialer{Timeout: run.Patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Control: func(_, _ string, c syscall.RawConn) error {
		var small error
		err := c.Control(func(fd uintptr) {
			small = errors.Join(syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400))
		})
		return errors.Join(err, small)
	}}
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(2 * run.Patience))
	c := tls.Client(raw, anybody(protocol))
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

// source is one of the addresses that a crowd comes from.
func source(n int) string { return fmt.Sprintf("127.0.0.%d", 2+n%8) }

// crowd opens n connections, several at a time, and keeps what with returns for each. The connections end with the test.
func crowd(t *testing.T, n int, address, protocol string, with func(i int, c *tls.Conn) error) []*tls.Conn {
	t.Helper()
	all := make([]*tls.Conn, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !t.Failed(); i = int(next.Add(1)) - 1 {
				c, err := dialFrom(t.Context(), source(i), address, protocol)
				if err == nil {
					all[i] = c
					err = with(i, c)
				}
				if err != nil {
					t.Errorf("caller %d of %d: %v", i, n, err)
				}
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, c := range all {
			if c != nil {
				_ = c.NetConn().Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// scale is how many connections a test can have: as many as wanted, or as the limit on open files allows, but not fewer
// than least. Go has raised the limit as far as it may.
func scale(t *testing.T, wanted, least int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const other = 500
	n := wanted
	if limit.Cur < uint64(wanted+other) {
		n = int(limit.Cur) - other
		t.Logf("SMALLER SCALE: %d connections instead of %d, because only %d files may be open (ulimit -n)", n, wanted, limit.Cur)
	}
	if n < least {
		t.Fatalf("%d open files are too few for %d connections: raise ulimit -n", limit.Cur, least)
	}
	return n
}

// others call the gateway again and again on new connections, as ordinary callers do, until the returned function is
// called; it reports how that went: every call has to be answered, and the slowest within the bound.
func (s *crowdSite) others(t *testing.T, during string, slowest time.Duration) (finish func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var calls, longest atomic.Int64
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				if err := s.callOnce(); err != nil {
					t.Errorf("during %s another caller got: %v", during, err)
					return
				}
				calls.Add(1)
				if took := int64(time.Since(began)); took > longest.Load() {
					longest.Store(took)
				}
				wait(ctx, 20*time.Millisecond)
			}
		})
	}
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		took := time.Duration(longest.Load())
		t.Logf("during %s: %d calls of others, the slowest in %v", during, calls.Load(), took)
		if calls.Load() == 0 || took > slowest {
			t.Errorf("during %s: %d calls of others, the slowest in %v, want less than %v", during, calls.Load(), took, slowest)
		}
	})
}

// callOnce makes one call as the site's caller.
func (s *crowdSite) callOnce() error {
	c, err := dialFrom(context.Background(), "127.0.0.100", s.front, "http/1.1")
	if err != nil {
		return err
	}
	defer c.Close()
	w := newRawCaller(c)
	w.send("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", 0)
	if got, err := w.answer("GET"); err != nil || got != "200 here" {
		return fmt.Errorf("%q, %w", got, err)
	}
	return nil
}

// usage is what the program uses.
type usage struct{ memory, goroutines, cpu, connections float64 }

func (s *crowdSite) usage() usage {
	m := s.metrics()
	return usage{
		m["process_resident_memory_bytes"], m["go_goroutines"], m["process_cpu_seconds_total"],
		m.sum("sallyport_open_connections"),
	}
}

func (u usage) String() string {
	return fmt.Sprintf("%.1f MiB, %v goroutines, %v connections, %.2f s of CPU", u.memory/(1<<20), u.goroutines, u.connections, u.cpu)
}

// calmsDown waits until the crowd has left nothing behind but what a few callers need.
func (s *crowdSite) calmsDown(before usage) {
	s.site.t.Helper()
	s.awaitMetric(func(n float64) bool { return n == 0 }, "sallyport_open_connections")
	s.awaitMetric(func(n float64) bool { return n == 0 }, "sallyport_requests_in_flight")
	s.awaitMetric(func(n float64) bool { return n <= before.goroutines+40 }, "go_goroutines") // idle connections to the backend have two each
}
