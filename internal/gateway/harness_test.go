package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/gateway"
	"sallyport/internal/testpki"
)

// site is a gateway on loopback with a PKI of its own and a backend that remembers what it got.
type site struct {
	t       *testing.T
	dir     string
	clock   *movableClock
	gateway *gateway.Gateway
	records *records
	backend *backend

	ca, stranger   *testpki.Entity // certification authorities
	a, b, outsider *testpki.Entity // partner-a, partner-b, and partner-a's name by the stranger's CA
}

// newSite writes certificates and runs the document. In it BACKEND stands for the backend's address.
func newSite(t *testing.T, document string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), records: newRecords(), backend: newBackend(t), clock: &movableClock{now: time.Now()}}
	s.ca = testpki.NewCA(t, testpki.Options{CommonName: "Partner CA"})
	s.stranger = testpki.NewCA(t, testpki.Options{CommonName: "Stranger CA"})
	s.a = s.ca.Leaf(t, testpki.Options{CommonName: "partner-a"})
	s.b = s.ca.Leaf(t, testpki.Options{CommonName: "partner-b"})
	s.outsider = s.stranger.Leaf(t, testpki.Options{CommonName: "partner-a"})
	s.ca.Write(t, s.dir, "ca")
	s.stranger.Write(t, s.dir, "stranger-ca")
	s.ca.Leaf(t, testpki.Options{CommonName: "server", Hosts: []string{"localhost", "*.example.test", "*.b2b.example.test", "*.strict.example.test", "127.0.0.1"}}).Write(t, s.dir, "server")

	s.gateway = gateway.New(gateway.Options{
		Log:    slog.New(slog.NewJSONHandler(s.records, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Access: slog.New(slog.NewJSONHandler(s.records, nil)), Clock: gateway.NewClock(s.clock.Now),
	})
	working, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { <-working; cancel() }()
		_ = s.gateway.Run(ctx)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.gateway.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		s.expectExplained()
		close(working)
		<-ended
	})
	s.apply(document)
	return s
}

// expectExplained checks that explain says of everything that was refused in a test what was decided then, as long as the
// rules are the same. It runs at the end of every test.
func (s *site) expectExplained() {
	for r := range s.gateway.Refusals() {
		again := s.gateway.Recall(r.RequestID)
		switch e := again.Explanation; {
		case again.ExplainedBy != r.Generation || e == nil:
		case r.After:
			if e.Decision != "allow" {
				s.t.Errorf("%s %s: %s came after judging, which explain says refuses: %s %s", r.Method, r.Path, r.Reason, e.Reason, e.Detail)
			}
		case r.Failure != "" && r.Decision == "allow": // a stream that was cut
			if e.Reason != r.Reason && (e.Decision != "allow" || e.Caller != "") { // or its caller would be anonymous now
				s.t.Errorf("%s %s: cut for %s, explained as %s (%s)", r.Method, r.Path, r.Reason, e.Reason, e.Detail)
			}
		case e.WouldBe != nil:
			if r.Decision != "allow" || *e.WouldBe != r.Reason {
				s.t.Errorf("%s %s: would be %s, explained as %s", r.Method, r.Path, r.Reason, e.WouldBe)
			}
		case e.Reason != r.Reason || e.Decision != r.Decision || e.Handshake != r.Handshake:
			s.t.Errorf("%s %s: %s %s (%s), explained as %s %s (%s)", r.Method, r.Path, r.Decision, r.Reason, r.Detail, e.Decision, e.Reason, e.Detail)
		}
	}
}

// compile loads a document as the gateway would.
func (s *site) compile(document string) (*gateway.Snapshot, error) {
	s.t.Helper()
	path := filepath.Join(s.dir, "sallyport.yaml")
	document = strings.ReplaceAll(document, "BACKEND", s.backend.address)
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		s.t.Fatal(err)
	}
	doc, err := config.Load(path, config.Options{})
	if err != nil {
		return nil, err
	}
	if unbuilt := gateway.Unbuilt(doc); len(unbuilt) > 0 {
		return nil, config.ErrorList(unbuilt)
	}
	return gateway.Compile(doc, s.gateway.Snapshot(), gateway.NewClock(s.clock.Now))
}

// apply puts a document to work.
func (s *site) apply(document string) {
	s.t.Helper()
	snapshot, err := s.compile(document)
	if err != nil {
		s.t.Fatalf("compile:\n%v", err)
	}
	if err := s.gateway.Swap(snapshot); err != nil {
		s.t.Fatal(err)
	}
}

// address is where a listener is bound.
func (s *site) address(listener string) string {
	s.t.Helper()
	address := s.gateway.Addresses()[listener]
	if address == "" {
		s.t.Fatalf("listener %q is not bound", listener)
	}
	return address
}

// trustsServer is a client's view of the server: its CA.
func (s *site) trustsServer() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.Cert)
	return pool
}

// caller is a client of its own with its own connections.
type caller struct {
	s         *site
	listener  string
	client    *http.Client
	transport *http.Transport
	tls       *tls.Config
}

// caller returns a client that names serverName in the handshake ("" for none) and presents the entity's chain.
func (s *site) caller(listener, serverName string, who *testpki.Entity) *caller {
	var chain []tls.Certificate
	if who != nil {
		chain = []tls.Certificate{who.TLS()}
	}
	return s.callerWith(listener, serverName, chain...)
}

func (s *site) callerWith(listener, serverName string, presented ...tls.Certificate) *caller {
	s.t.Helper()
	c := &caller{s: s, listener: listener}
	c.tls = &tls.Config{ServerName: serverName, RootCAs: s.trustsServer(), ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if serverName == "" {
		c.tls.InsecureSkipVerify = true // it names no server, so it cannot check a name
	}
	if len(presented) > 0 { // whatever is announced, as curl does
		c.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &presented[0], nil }
	}
	c.transport = &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := &tls.Dialer{Config: c.tls}
			return d.DialContext(ctx, "tcp", s.address(listener))
		},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.address(listener))
		},
		DisableCompression: true,
	}
	c.client = &http.Client{
		Transport: c.transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// http2 makes the caller speak HTTP/2.
func (c *caller) http2() *caller {
	var p http.Protocols
	p.SetHTTP2(true)
	c.transport.Protocols = &p
	c.tls.NextProtos = []string{"h2"}
	return c
}

// answer is what a caller got.
type answer struct {
	status int
	reason string // of the problem body; "" for none
	body   string
	header http.Header
	proto  string
	closes bool  // the connection ends with it
	err    error // of the connection
}

// get asks for a URL such as https://localhost/orders/. A request may be adjusted before it is sent.
func (c *caller) get(url string, adjust ...func(*http.Request)) answer {
	c.s.t.Helper()
	r, err := http.NewRequestWithContext(c.s.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		c.s.t.Fatal(err)
	}
	for _, f := range adjust {
		f(r)
	}
	response, err := c.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	return readAnswer(c.s.t, response)
}

func readAnswer(t *testing.T, response *http.Response) answer {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, body: string(body), header: response.Header, proto: response.Proto, closes: response.Close}
	var problem struct{ Reason string }
	if response.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(body, &problem); err != nil {
			t.Fatalf("problem body %q: %v", body, err)
		}
		a.reason = problem.Reason
	}
	return a
}

// raw sends bytes over TLS (HTTP/1.1) and reads one response.
func (s *site) raw(listener, serverName string, who *testpki.Entity, request string) answer {
	s.t.Helper()
	return s.rawWith(s.caller(listener, serverName, who), request)
}

// rawWith is raw with a caller's handshake.
func (s *site) rawWith(c *caller, request string) answer {
	s.t.Helper()
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(s.t.Context(), "tcp", s.address(c.listener))
	if err != nil {
		return answer{err: err}
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		return answer{err: err}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	return readAnswer(s.t, response)
}

// is fails the test unless the answer has the status and, when it is refused, the reason.
func (a answer) is(t *testing.T, status int, reason string) {
	t.Helper()
	if a.err != nil {
		t.Errorf("the connection failed: %v; want %d %s", a.err, status, reason)
		return
	}
	if a.status != status || a.reason != reason {
		t.Errorf("answer %d %s, want %d %s\n%s", a.status, a.reason, status, reason, a.body)
	}
}

// backend remembers the requests that reach it.
type backend struct {
	address string
	server  *httptest.Server

	mu   sync.Mutex
	last *http.Request
	hits int
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		b.mu.Lock()
		b.last, b.hits = r, b.hits+1
		b.mu.Unlock()
		fmt.Fprintf(w, "backend got %s %s", r.Method, r.RequestURI)
	}))
	t.Cleanup(b.server.Close)
	b.address = b.server.Listener.Addr().String()
	return b
}

// got returns the last request, nil for none.
func (b *backend) got() *http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hits
}

// records are the log lines of a site.
type records struct {
	mu    sync.Mutex
	lines []map[string]any
	more  chan struct{} // closed and replaced at each line
}

func newRecords() *records { return &records{more: make(chan struct{})} }

func (r *records) Write(line []byte) (int, error) {
	var fields map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(line), &fields); err != nil {
		return 0, fmt.Errorf("log line %q: %w", line, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fields)
	close(r.more)
	r.more = make(chan struct{})
	return len(line), nil
}

// texts returns the messages of the log that hold a word.
func (r *records) texts(word string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for _, line := range r.lines {
		if text, _ := line["msg"].(string); strings.Contains(text, word) {
			found = append(found, text)
		}
	}
	return found
}

// wait returns the first record that fits, waiting for it to be written.
func (r *records) wait(t *testing.T, fits func(map[string]any) bool) map[string]any {
	t.Helper()
	return r.waitFor(t, 1, fits)
}

// waitFor returns the n-th record that fits.
func (r *records) waitFor(t *testing.T, n int, fits func(map[string]any) bool) map[string]any {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		seen := 0
		for _, line := range r.lines {
			if !fits(line) {
				continue
			}
			if seen++; seen == n {
				r.mu.Unlock()
				return line
			}
		}
		more := r.more
		r.mu.Unlock()
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no such record among %d", len(r.lines))
		}
	}
}

// movableClock is the time of day that a test sets.
type movableClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movableClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *movableClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rawBackend answers every connection with the same bytes, once it has read a request's head, and returns its address.
func rawBackend(t *testing.T, answer string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
