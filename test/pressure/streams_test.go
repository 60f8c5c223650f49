package pressure_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"sallyport/internal/testpki"
	"sallyport/test/internal/run"
)

// newStreamBackend starts a backend for everything that lasts: /socket/ changes to a protocol that echoes, /events/ sends
// events, /rpc/ echoes its body as it comes, and /wait/ answers when the returned channel is closed. Over HTTP/2 it needs
// prior knowledge.
func newStreamBackend(t testing.TB) (address string, release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/socket/", func(w http.ResponseWriter, r *http.Request) {
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
		_, _ = io.Copy(c, buffered)
	})
	mux.HandleFunc("/events/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("/rpc/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).Flush()
		buffer := make([]byte, 4096)
		for {
			n, err := r.Body.Read(buffer)
			_, _ = w.Write(buffer[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/wait/", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			_, _ = io.WriteString(w, "waited")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux, Protocols: &p, ReadHeaderTimeout: run.Patience}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return l.Addr().String(), release
}

// open is an exchange that lasts.
type open struct {
	name, path string
	// beats proves that it is alive in both directions, or in the one that it has.
	beats func() error
	// ends waits for the end, and returns an error when it was a clean one.
	ends func() error
}

var errClean = errors.New("it ended as if it were whole")

// openSocket opens a WebSocket over HTTP/1.
func openSocket(t *testing.T, s *site, address string, caller *testpki.Entity, path string) *open {
	t.Helper()
	c := dialTLS(t, address, s.tls(caller, "http/1.1"))
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path)
	in := bufio.NewReader(c)
	response, err := http.ReadResponse(in, nil) //nolint:bodyclose // what follows 101 is no body
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s: %+v, %v", path, response, err)
	}
	n := 0
	return &open{
		name: "a WebSocket", path: path,
		beats: func() error {
			n++
			want := fmt.Sprintf("%08d", n)
			if _, err := io.WriteString(c, want); err != nil {
				return err
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
				return fmt.Errorf("%q came back, %w", got, err)
			}
			return nil
		},
		ends: func() error {
			_, err := io.Copy(io.Discard, in)
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				return err
			}
			return nil // a WebSocket has no other end than that of its connection
		},
	}
}

// openEvents opens an event stream over HTTP/1.
func openEvents(t *testing.T, s *site, address string, caller *testpki.Entity, path string) *open {
	t.Helper()
	c := dialTLS(t, address, s.tls(caller, "http/1.1"))
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: api.test\r\n\r\n", path)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %+v, %v", path, response, err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	events := bufio.NewReader(response.Body)
	return &open{
		name: "an event stream", path: path,
		beats: func() error {
			events.Discard(events.Buffered()) //nolint:errcheck // what is buffered is there
			for {
				if line, err := events.ReadString('\n'); err != nil || strings.HasPrefix(line, "data: ") {
					return err
				}
			}
		},
		ends: func() error {
			_, err := io.Copy(io.Discard, events)
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				return err
			}
			if err == nil {
				return errClean
			}
			return nil // however it was cut
		},
	}
}

// openStream opens a stream of HTTP/2: an event stream, or one as gRPC has it, which echoes.
func openStream(t *testing.T, f *framer, id uint32, path string) *open {
	t.Helper()
	method, kind := "GET", ""
	if strings.HasPrefix(path, "/rpc/") {
		method, kind = "POST", "application/grpc"
	}
	fields := []string{":method", method, ":scheme", "https", ":authority", "api.test", ":path", path}
	if kind != "" {
		fields = append(fields, "content-type", kind, "te", "trailers")
	}
	if err := f.open(id, kind == "", fields...); err != nil {
		t.Fatal(err)
	}
	if !f.await(t, "the answer to "+path, func() bool { return f.stream(id).status == "200" }) {
		t.Fatalf("%s ends with %q", path, f.outcome(t, id))
	}
	return &open{
		name: "a stream of " + method, path: path,
		beats: func() error {
			f.mu.Lock()
			seen := len(f.stream(id).body)
			f.mu.Unlock()
			if kind != "" {
				if err := f.WriteData(id, false, []byte("ping")); err != nil {
					return err
				}
			}
			ended := false
			if !f.await(t, "a piece of "+path, func() bool {
				s := f.stream(id)
				ended = s.ended || s.reset != nil
				return len(s.body) > seen || ended
			}) || ended {
				return errors.New("it has ended")
			}
			return nil
		},
		ends: func() error {
			f.await(t, "the end of "+path, func() bool { return f.stream(id).ended || f.stream(id).reset != nil })
			f.mu.Lock()
			defer f.mu.Unlock()
			if s := f.stream(id); s.ended {
				return errClean
			} else if s.reset == nil {
				return errors.New("the connection has ended, and the stream was not reset before")
			} else if *s.reset == http2.ErrCodeNo {
				return errors.New("it was reset as if all were well")
			}
			return nil
		},
	}
}

const streamsDocument = `
shutdown: {SHUTDOWN}
listeners:
  - {name: front, address: 127.0.0.1:FRONT, tls: {credentials: [server], client_auth: optional}}
MORE
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}, {file: OTHER}]}
upstreams:
  - {name: h1, targets: ["http://BACKEND"]}
  - {name: h2, targets: ["http://BACKEND"], protocol: h2}
client_certificate: {mode: required, trust: [partners]}
apis:
  - {name: socket, path: /socket/, upstream: h1}
  - {name: events, path: /events/, upstream: h1, client_certificate: {deny: [{common_name: DENIED}]}}
  - {name: rpc, path: /rpc/, upstream: h2}
  - {name: rest, path: /, upstream: h1}
`

// streamSite is a gateway in front of a backend of streams.
type streamSite struct {
	*site
	*running
	front   string
	release chan struct{}
	replace []string
}

func newStreamSite(t *testing.T, shutdown string) *streamSite {
	t.Helper()
	s := &streamSite{site: newSite(t)}
	port := free.Free(t)
	backend, release := newStreamBackend(t)
	s.front, s.release, s.replace = "127.0.0.1:"+port, release, []string{"FRONT", port, "BACKEND", backend, "SHUTDOWN", shutdown}
	s.running = s.start(built(t, builtProgram), s.document())
	return s
}

// document is the document with some words replaced; what is not replaced is as it is at first.
func (s *streamSite) document(replace ...string) string {
	text := strings.NewReplacer(replace...).Replace(streamsDocument)
	return strings.NewReplacer(append(s.replace, "MORE", "", "OTHER", "other.pem", "DENIED", "nobody")...).Replace(text)
}

// all opens one of each for a caller. Those over HTTP/2 are on one connection.
func (s *streamSite) all(t *testing.T, who string, caller *testpki.Entity) (socket, events, events2, rpc *open, f *framer) {
	t.Helper()
	f = newFramer(t, dialTLS(t, s.front, s.site.tls(caller, "h2")), true)
	return openSocket(t, s.site, s.front, caller, "/socket/"+who), openEvents(t, s.site, s.front, caller, "/events/h1/"+who),
		openStream(t, f, 1, "/events/h2/"+who), openStream(t, f, 3, "/rpc/"+who), f
}

// aboutASecond is how long a stream that was refused may go on, on a machine that is busy with other tests.
const aboutASecond = 3 * time.Second

// cut checks that streams end as those do that are judged again.
func (s *streamSite) cut(t *testing.T, from time.Time, reason string, streams ...*open) {
	t.Helper()
	for _, o := range streams {
		if err := o.ends(); err != nil {
			t.Errorf("%s at %s: %v", o.name, o.path, err)
		}
	}
	if took := time.Since(from); took > aboutASecond {
		t.Errorf("it took %v until they were cut", took)
	} else {
		t.Logf("%s: cut after %v", reason, took)
	}
	for _, o := range streams {
		r := s.access(o.path)
		if failure := r.text("failure"); !strings.HasPrefix(failure, "judged again: "+reason) || r.text("decision") != "allow" {
			t.Errorf("%s: the record says %q, %q", o.path, r.text("decision"), failure)
		}
	}
}

func TestOpenStreamsAreJudgedAgain(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t, "drain: 20s")
	alive := func(when string, streams ...*open) {
		t.Helper()
		for _, o := range streams {
			if err := o.beats(); err != nil {
				t.Fatalf("%s at %s is dead %s: %v", o.name, o.path, when, err)
			}
		}
	}
	socket, events, events2, rpc, f := s.all(t, "caller", s.site.caller)
	mine := []*open{socket, events, events2, rpc}
	socket, events, events2, rpc, doomed := s.all(t, "stranger", s.stranger)
	alive("at first", append(mine, socket, events, events2, rpc)...)

	other := free.Free(t)
	for _, more := range []string{
		"  - {name: other, address: 127.0.0.1:" + other + "}\n",
		"",
		"named_values: [{name: a, value: b}]\n",
	} {
		s.reload(s.document("MORE", more))
		alive("after a reload of something else", append(mine, socket, events, events2, rpc)...)
	}

	s.reload(s.document("DENIED", "stranger"))
	s.cut(t, time.Now(), "certificate_denied", events, events2)
	alive("after another API has refused its caller", append(mine, socket, rpc)...)
	if err := doomed.open(5, true, ":method", "GET", ":scheme", "https", ":authority", "api.test", ":path", "/"); err != nil {
		t.Fatal(err)
	}
	if got := doomed.outcome(t, 5); got != "200 here" || doomed.goAway != nil {
		t.Errorf("another API on the same connection answers %q, GOAWAY %v", got, doomed.goAway)
	}

	s.reload(s.document("DENIED", "stranger", "OTHER", "ca.pem"))
	s.cut(t, time.Now(), "certificate_untrusted", socket, rpc)
	if got := doomed.over(t); got != "goaway NO_ERROR" {
		t.Errorf("the connection of a caller who is not trusted any more ended with %q", got)
	}
	alive("after another caller's CA went", mine...)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.goAway != nil {
		t.Error("GOAWAY for a caller who is trusted as before")
	}
	m := s.metrics()
	for name, want := range map[string]float64{
		`sallyport_streams_cut_total{api="events",reason="certificate_denied"}`:    2,
		`sallyport_streams_cut_total{api="rpc",reason="certificate_untrusted"}`:    1,
		`sallyport_streams_cut_total{api="socket",reason="certificate_untrusted"}`: 1,
		`sallyport_open_streams{api="events"}`:                                     2,
		`sallyport_open_streams{api="rpc"}`:                                        1,
		`sallyport_open_streams{api="socket"}`:                                     1,
	} {
		if m[name] != want {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
}

func TestOpenStreamsEndWithTheirCertificate(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t, "drain: 20s")
	until := time.Now().Add(4 * time.Second).Truncate(time.Second)
	guest := s.ca.Leaf(t, testpki.Options{CommonName: "guest", NotAfter: until})
	socket, events, events2, rpc, f := s.all(t, "guest", guest)
	for _, o := range []*open{socket, events, events2, rpc} {
		if err := o.beats(); err != nil {
			t.Fatalf("%s is dead at first: %v", o.path, err)
		}
	}
	for _, o := range []*open{socket, events, events2, rpc} {
		if err := o.ends(); err != nil {
			t.Errorf("%s: %v", o.path, err)
		}
	}
	if early := time.Until(until); early > 0 {
		t.Errorf("they ended %v before the certificate", early)
	}
	s.cut(t, until, "certificate_expired", socket, events, events2, rpc)
	if got := f.over(t); got != "goaway NO_ERROR" {
		t.Errorf("the connection ended with %q", got)
	}
	s.stop()
}
