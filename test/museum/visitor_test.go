package museum_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/testpki"
	"sallyport/test/internal/run"
)

// nobody presents no certificate.
var nobody *testpki.Entity

// visitor is a client with connections of its own.
type visitor struct {
	g         *gateway
	tls       *tls.Config
	transport *http.Transport
	wrap      func(net.Conn) net.Conn // around the TCP connection; nil for nothing
}

// visitor returns a client that names serverName in the handshake, "" for none, and presents who's chain, whatever the
// gateway announces.
func (g *gateway) visitor(serverName string, who *testpki.Entity) *visitor {
	if who == nil {
		return g.visitorWith(serverName, tls.Certificate{})
	}
	return g.visitorWith(serverName, who.TLS())
}

func (g *gateway) visitorWith(serverName string, presented tls.Certificate) *visitor {
	roots := x509.NewCertPool()
	roots.AddCert(g.s.serverCA.Cert)
	v := &visitor{g: g, tls: &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12}}
	if serverName == "" {
		v.tls.InsecureSkipVerify = true // without a name to check; the tests look at the gateway's side
	}
	v.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &presented, nil }
	v.transport = &http.Transport{
		DialTLSContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return v.dial(ctx) },
		DisableCompression: true,
	}
	g.s.t.Cleanup(v.transport.CloseIdleConnections)
	return v
}

// http2 makes the visitor speak HTTP/2.
func (v *visitor) http2() *visitor {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	v.transport.Protocols = protocols
	v.tls.NextProtos = []string{"h2"}
	return v
}

// version makes the visitor speak one version of TLS alone.
func (v *visitor) version(n uint16) *visitor {
	v.tls.MinVersion, v.tls.MaxVersion = n, n
	return v
}

// keeps makes the visitor keep its tickets in a box, and use what is in it for whatever server.
func (v *visitor) keeps(b *ticketBox) *visitor {
	v.tls.ClientSessionCache = b
	return v
}

// ticketBox keeps the last session, whomever it was with. It may be used concurrently.
type ticketBox struct {
	mu   sync.Mutex
	last *tls.ClientSessionState
}

// Put implements tls.ClientSessionCache.
func (b *ticketBox) Put(_ string, s *tls.ClientSessionState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s != nil {
		b.last = s
	}
}

// Get implements tls.ClientSessionCache.
func (b *ticketBox) Get(string) (*tls.ClientSessionState, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last, b.last != nil
}

// dial opens a connection and does the handshake.
func (v *visitor) dial(ctx context.Context) (*tls.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", v.g.address)
	if err != nil {
		return nil, err
	}
	return v.handshake(ctx, raw)
}

func (v *visitor) handshake(ctx context.Context, raw net.Conn) (*tls.Conn, error) {
	if err := raw.SetDeadline(time.Now().Add(run.Patience)); err != nil {
		return nil, err
	}
	if v.wrap != nil {
		raw = v.wrap(raw)
	}
	c := tls.Client(raw, v.tls)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

// answer is what a visitor got.
type answer struct {
	err     error // of the connection; then there is nothing else
	status  int
	reason  string // of a refusal
	id      string // of the request
	header  http.Header
	body    string
	resumed bool
}

// get asks for a URL. The request may be adjusted.
func (v *visitor) get(url string, adjust ...func(*http.Request)) answer {
	t := v.g.s.t
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range adjust {
		f(r)
	}
	response, err := v.transport.RoundTrip(r)
	if err != nil {
		return answer{err: err}
	}
	return read(t, response)
}

// host makes a request one for another host than that of its URL.
func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

// send writes a request as it is on a connection of its own and reads one answer.
func (v *visitor) send(request string) answer {
	t := v.g.s.t
	t.Helper()
	c, err := v.dial(t.Context())
	if err != nil {
		return answer{err: err}
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return answer{err: err}
	}
	method, _, _ := strings.Cut(request, " ") // an answer to HEAD has no body
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return answer{err: err}
	}
	a := read(t, response)
	a.resumed = c.ConnectionState().DidResume
	return a
}

func read(t *testing.T, response *http.Response) answer {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(body), id: response.Header.Get("Backend-Saw-Request-Id")}
	if response.TLS != nil {
		a.resumed = response.TLS.DidResume
	}
	if a.id != "" {
		return a // the backend's own
	}
	a.id = response.Header.Get(requestID)
	if len(body) > 0 && strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") {
		var problem struct{ Reason string }
		if err := json.Unmarshal(body, &problem); err != nil {
			t.Fatalf("problem body %q: %v", body, err)
		}
		a.reason = problem.Reason
	}
	return a
}

// serves checks that a request was answered by the backend, and returns what the backend got. It is nil when the request
// was not served; the test has failed then.
func (g *gateway) serves(t *testing.T, a answer) *seen {
	t.Helper()
	if a.err != nil || a.status != http.StatusOK {
		t.Errorf("got %d %s (%v), want the backend's answer\n%s", a.status, a.reason, a.err, a.body)
		return nil
	}
	got := g.s.backend.request(a.id)
	if a.id == "" || got == nil {
		t.Errorf("the backend has not seen request %q", a.id)
		return nil
	}
	g.s.expected.Add(1)
	if r := g.access(a.id); r.Decision != "allow" || r.Reason != "ok" {
		t.Errorf("the log says %s %s, want allow ok", r.Decision, r.Reason)
	}
	return got
}

// refuses checks that a request was refused, for the reason that the log has, too, and that the backend saw nothing of it.
func (g *gateway) refuses(t *testing.T, a answer, status int, reason string) *record {
	t.Helper()
	if a.err != nil || a.status != status || a.reason != reason {
		t.Errorf("got %d %s (%v), want %d %s\n%s", a.status, a.reason, a.err, status, reason, a.body)
		return &record{}
	}
	if g.s.backend.request(a.id) != nil {
		t.Error("the backend has seen a request that was refused")
	}
	r := g.access(a.id)
	if r.Decision != "deny" || r.Reason != reason {
		t.Errorf("the log says %s %s, want deny %s", r.Decision, r.Reason, reason)
	}
	return r
}

// access waits for the access record of a request.
func (g *gateway) access(id string) *record {
	g.s.t.Helper()
	if id == "" {
		g.s.t.Fatal("an answer without a request id")
	}
	return g.await(0, "the access record of "+id, func(r *record) bool { return r.Message == "request" && r.RequestID == id })
}

// turnsAway checks that a visitor does not get through the handshake, for the reason in the log. The alert of TLS 1.3 comes
// after what the client takes for its end, so a request is tried.
func (g *gateway) turnsAway(t *testing.T, v *visitor, reason string) {
	t.Helper()
	from := g.Stdout.Count()
	local, err := v.knock(t)
	if err == nil {
		t.Errorf("the gateway answered, want a refused handshake: %s", reason)
		return
	}
	r := g.await(from, "the record of a refused handshake from "+local+" ("+err.Error()+")", func(r *record) bool {
		return r.Message == "handshake" && r.Remote == local
	})
	if r.Decision != "deny" || r.Reason != reason {
		t.Errorf("the log says %s %s, want deny %s", r.Decision, r.Reason, reason)
	}
}

// knock opens a connection, does the handshake and tries a request. It returns the address of this end, and the error that
// ended it all; nil when there was an answer.
func (v *visitor) knock(t *testing.T) (local string, err error) {
	t.Helper()
	raw, err := new(net.Dialer).DialContext(t.Context(), "tcp", v.g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	local = raw.LocalAddr().String()
	c, err := v.handshake(t.Context(), raw)
	if err != nil {
		return local, err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+v.tls.ServerName+"\r\n\r\n"); err != nil {
		return local, err
	}
	_, err = c.Read(make([]byte, 1))
	return local, err
}
