package gateway_test

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/testpki"
)

// streamer is a backend whose paths end in what it does: /ws echoes after the handshake of a WebSocket, /events sends an
// event and waits, /long sends half of a body and waits for release.
type streamer struct {
	address string
	release chan struct{}
	ended   chan string // paths of the requests that ended
}

func newStreamer(t *testing.T) *streamer {
	t.Helper()
	b := &streamer{release: make(chan struct{}), ended: make(chan string, 16)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { b.ended <- r.URL.Path }()
		switch {
		case strings.HasSuffix(r.URL.Path, "/ws"):
			sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
			connection, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer connection.Close()
			fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
				base64.StdEncoding.EncodeToString(sum[:]))
			_, _ = io.Copy(connection, buffered)
		case strings.HasSuffix(r.URL.Path, "/events"):
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/long"):
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "12345")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-b.release:
				fmt.Fprint(w, "67890")
			case <-r.Context().Done():
			}
		}
	}))
	t.Cleanup(server.Close)
	b.address = server.Listener.Addr().String()
	return b
}

// streamDocument has one API for everybody below CA and one for partner-a below CA, both at BACKEND.
const streamDocument = `
listeners:
  - {name: public, address: 127.0.0.1:0, tls: {credentials: [server], client_auth: optional}}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: CA}]}
upstreams:
  - {name: stream, targets: ["http://BACKEND"]}
apis:
  - name: members
    path: /members/
    upstream: stream
    client_certificate: {mode: required, trust: [partners]}
  - name: listed
    path: /listed/
    upstream: stream
    client_certificate: {mode: required, trust: [partners], allow: [ALLOWED]}
`

func streams(b *streamer, ca, allowed string) string {
	return strings.NewReplacer("BACKEND", b.address, "CA", ca, "ALLOWED", allowed).Replace(streamDocument)
}

// webSocket opens one and returns its connection once it echoes.
func (s *site) webSocket(who *testpki.Entity, path string) net.Conn {
	s.t.Helper()
	c := s.caller("public", "localhost", who)
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(s.t.Context(), "tcp", s.address("public"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close() // it has none
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		s.t.Fatalf("the handshake: %d %v", response.StatusCode, response.Header)
	}
	s.echoes(conn)
	return conn
}

// echoes fails the test unless what goes in comes out.
func (s *site) echoes(conn net.Conn) {
	s.t.Helper()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		s.t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		s.t.Fatalf("echo %q: %v", got, err)
	}
}

// isCut fails the test unless the connection ends soon.
func isCut(t *testing.T, conn io.Reader) {
	t.Helper()
	began := time.Now()
	if rest, err := io.ReadAll(conn); err == nil && len(rest) > 0 {
		t.Errorf("more came: %q", rest)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v to be cut", took)
	}
}

func TestAWebSocketIsCutWhenItsCallerIsNotTrustedAnyMore(t *testing.T) {
	t.Parallel()
	b := newStreamer(t)
	s := newSite(t, firstDocument)
	s.apply(streams(b, "ca.pem", "{common_name: partner-a}"))
	trusted, listed := s.webSocket(s.a, "/members/ws"), s.webSocket(s.a, "/listed/ws")
	s.apply(streams(b, "ca.pem", "{common_name: partner-b}"))
	isCut(t, listed)
	s.echoes(trusted) // the refusal was one API's
	s.apply(streams(b, "stranger-ca.pem", "{common_name: partner-b}"))
	isCut(t, trusted)
	for api, reason := range map[string]string{"members": "certificate_untrusted", "listed": "certificate_not_allowed"} {
		record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["api"] == api })
		if failure, _ := record["failure"].(string); record["status"] != 101.0 || record["decision"] != "allow" || !strings.Contains(failure, "judged again: "+reason) {
			t.Errorf("the record of %s: %v", api, record)
		}
		if record["bytes_in"] != record["bytes_out"] || record["bytes_in"] == 0.0 {
			t.Errorf("%s: %v bytes in, %v out", api, record["bytes_in"], record["bytes_out"])
		}
	}
}

func TestAStreamIsCutWhenItsCertificateExpires(t *testing.T) {
	t.Parallel()
	b := newStreamer(t)
	s := newSite(t, firstDocument)
	s.apply(streams(b, "ca.pem", "{common_name: partner-a}"))
	brief := s.ca.Leaf(t, testpki.Options{CommonName: "partner-a", NotAfter: time.Now().Add(time.Hour)})
	c := s.caller("public", "localhost", brief)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/members/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.http2().client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if event := make([]byte, 9); true {
		if _, err := io.ReadFull(response.Body, event); err != nil {
			t.Fatal(err)
		}
	}
	s.clock.set(brief.Cert.NotAfter.Add(time.Second))
	if rest, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the stream ended as if it were whole, with %q", rest)
	}
	record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["api"] == "members" })
	if failure, _ := record["failure"].(string); !strings.Contains(failure, "judged again: certificate_expired") {
		t.Errorf("the record: %v", record)
	}
	if path := <-b.ended; path != "/members/events" {
		t.Errorf("the backend's request that ended is %s", path)
	}
}

func TestAnOrdinaryRequestEndsUnderTheRulesItBeganWith(t *testing.T) {
	t.Parallel()
	b := newStreamer(t)
	s := newSite(t, firstDocument)
	s.apply(streams(b, "ca.pem", "{common_name: partner-a}"))
	c := s.caller("public", "localhost", s.a)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/members/long", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	half := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, half); err != nil {
		t.Fatal(err)
	}
	ws := s.webSocket(s.a, "/members/ws")
	s.apply(streams(b, "stranger-ca.pem", "{common_name: partner-a}"))
	isCut(t, ws) // the streams were judged by now
	close(b.release)
	if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "67890" {
		t.Errorf("the rest is %q: %v", rest, err)
	}
	c.get("https://localhost/members/long").is(t, 403, "certificate_untrusted")
}

func TestGOAWAYTellsACallerWhoseEvidenceFell(t *testing.T) {
	t.Parallel()
	b := newStreamer(t)
	s := newSite(t, firstDocument)
	for _, c := range []struct {
		name, path, ca, allowed string
		goes                    bool
	}{
		{"trust is gone", "/members/events", "stranger-ca.pem", "{common_name: partner-a}", true},
		{"one API refuses", "/listed/events", "ca.pem", "{common_name: partner-b}", false},
	} {
		s.apply(streams(b, "ca.pem", "{common_name: partner-a}"))
		h := s.http2Client(s.a)
		h.get(c.path)
		h.waitFor(t, "the answer", func(f frame) bool { return f.kind == "HEADERS" && f.stream == 1 })
		s.apply(streams(b, c.ca, c.allowed))
		h.waitFor(t, "the end of the stream", func(f frame) bool { return f.kind == "RST_STREAM" && f.stream == 1 })
		if c.goes {
			h.waitFor(t, "GOAWAY", func(f frame) bool { return f.kind == "GOAWAY" })
			continue
		}
		h.get("/listed/events") // it is answered on the same connection
		h.waitFor(t, "the second answer", func(f frame) bool { return f.kind == "HEADERS" && f.stream == 3 })
		if h.saw(func(f frame) bool { return f.kind == "GOAWAY" }) {
			t.Errorf("%s: GOAWAY", c.name)
		}
	}
}

func TestASilentStreamEnds(t *testing.T) {
	t.Parallel()
	b := newStreamer(t)
	s := newSite(t, firstDocument)
	s.apply(strings.Replace(streams(b, "ca.pem", "{common_name: partner-a}"), "    path: /members/", "    limits: {stream_idle_timeout: 500ms}\n    path: /members/", 1))
	isCut(t, s.webSocket(s.a, "/members/ws"))
	record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["api"] == "members" })
	if failure, _ := record["failure"].(string); !strings.Contains(failure, "stream_idle_timeout") {
		t.Errorf("the record: %v", record)
	}
}

func TestAnUpgradeThatNobodyAskedForOrThatIsForgedIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	const asked = "GET /open/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	for _, c := range []struct{ name, request, answer string }{
		{"not asked for", "GET /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"},
		{"another protocol", asked, "Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"},
		{"the wrong key", asked, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAALMBiTxaQ9kYGzzhZRbK+xOo=\r\n"},
		{"no key", asked, "Connection: Upgrade\r\nUpgrade: websocket\r\n"},
	} {
		s.apply(strings.Replace(firstDocument, "BACKEND", rawBackend(t, "HTTP/1.1 101 Switching Protocols\r\n"+c.answer+"\r\nGET /smuggled"), 1))
		a := s.raw("public", "localhost", nil, c.request)
		if a.err != nil || a.status != 502 || a.reason != "upstream_unavailable" {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
}
