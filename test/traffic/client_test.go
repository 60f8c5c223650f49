package traffic_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/test/internal/run"
)

// patience bounds every wait.
const patience = run.Patience

// front is what a client speaks to the gateway.
type front struct {
	name string // as in the records
	alpn string
}

var (
	http1Front = front{"HTTP/1.1", "http/1.1"}
	http2Front = front{"HTTP/2.0", "h2"}
)

// onBothFronts runs a row over HTTP/1.1 and over HTTP/2.
func onBothFronts(t *testing.T, row func(t *testing.T, f front)) {
	t.Helper()
	for _, f := range []front{http1Front, http2Front} {
		t.Run(f.alpn, func(t *testing.T) {
			t.Parallel()
			row(t, f)
		})
	}
}

// tlsConfig is that of a client with the partner's certificate.
func (g *gateway) tlsConfig(alpn ...string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(g.ca.Cert)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{g.partner.TLS()}, NextProtos: alpn}
}

// caller is an HTTP client with a certificate, and connections of its own.
type caller struct {
	g      *gateway
	client *http.Client
}

func (g *gateway) caller(t testing.TB, f front) *caller {
	t.Helper()
	var p http.Protocols
	p.SetHTTP1(f == http1Front)
	p.SetHTTP2(f == http2Front)
	transport := &http.Transport{
		TLSClientConfig: g.tlsConfig(), Protocols: &p, DisableCompression: true, ExpectContinueTimeout: patience,
		MaxResponseHeaderBytes: 4 << 20,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{g: g, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// request makes a request for a path, which may have a query. Its context ends with the test.
func (c *caller) request(t testing.TB, method, path string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, "https://"+c.g.address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "localhost"
	return r
}

// early is an answer before the answer (RFC 9110, section 15.2).
type early struct {
	status int
	link   []string
}

// answer is what a client got, read to its end.
type answer struct {
	status  int
	proto   string
	header  http.Header
	trailer http.Header
	length  int64 // as the header says; -1 for nothing said
	chunked bool
	body    string
	early   []early
	err     error // what was wrong with the connection or the body; nil for an answer that is whole
}

// ask makes a request and reads the answer to its end.
func (c *caller) ask(t testing.TB, method, path string, body io.Reader) answer {
	t.Helper()
	return c.send(c.request(t, method, path, body))
}

// send sends a request and reads the answer to its end.
func (c *caller) send(r *http.Request) answer {
	var first []early
	trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		first = append(first, early{status, h["Link"]})
		return nil
	}}
	response, err := c.client.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		return answer{early: first, err: err}
	}
	return readAnswer(response, first)
}

// readAnswer reads a response to its end.
func readAnswer(response *http.Response, first []early) answer {
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it was read
	return answer{
		status: response.StatusCode, proto: response.Proto, header: response.Header, trailer: response.Trailer,
		length: response.ContentLength, chunked: slices.Contains(response.TransferEncoding, "chunked"),
		body: string(body), early: first, err: err,
	}
}

// stream is an answer that comes piece by piece.
type stream struct {
	status int
	header http.Header
	body   *bufio.Reader
	cancel context.CancelFunc // leaves: closes the stream of HTTP/2 or the connection of HTTP/1
}

// open sends a request and returns as soon as there is the header of an answer.
func (c *caller) open(t testing.TB, r *http.Request) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	response, err := c.client.Do(r.WithContext(ctx))
	if err != nil {
		cancel()
		t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	t.Cleanup(func() {
		cancel()
		_ = response.Body.Close() // the request is over
	})
	return &stream{response.StatusCode, response.Header, bufio.NewReader(response.Body), cancel}
}

// wants fails the test unless exactly this text comes next.
func (s *stream) wants(t testing.TB, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(s.body, got); err != nil || string(got) != text {
		t.Fatalf("%q came (%v), want %q", got, err, text)
	}
}

// whole checks that an answer is whole and has a status.
func (a answer) whole(t testing.TB, status int) {
	t.Helper()
	if a.err != nil || a.status != status {
		t.Errorf("status %d (%v), want %d; header %v, body %.200q", a.status, a.err, status, a.header, a.body)
	}
}

// problem checks that an answer is the gateway's refusal for a reason (RFC 9457).
func (a answer) problem(t testing.TB, reason string, status int) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Reason string
		Status                      int
		RequestID                   string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.err != nil {
		t.Errorf("no problem (%v, %v): status %d, header %v, body %.200q", err, a.err, a.status, a.header, a.body)
		return
	}
	if a.status != status || p.Status != status || p.Reason != reason || p.Type != "urn:sallyport:"+reason || p.Title == "" || p.Detail == "" {
		t.Errorf("status %d, problem %+v; want %d and %s", a.status, p, status, reason)
	}
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("the problem has the type %q", kind)
	}
	if p.RequestID == "" || p.RequestID != a.header.Get("X-Request-ID") || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("request id %q; header %v", p.RequestID, a.header)
	}
}

// broken checks that a client noticed that an answer is not whole, after as much of it as came.
func (a answer) broken(t testing.TB, status int, body string) {
	t.Helper()
	if a.err == nil || a.status != status || a.body != body {
		t.Errorf("status %d, body %.200q, error %v; want %d, %q and an error", a.status, a.body, a.err, status, body)
	}
}

// http1 is a client that writes HTTP/1.1 byte by byte.
type http1 struct {
	net.Conn
	reader *bufio.Reader
}

// http1 opens a connection with a certificate.
func (g *gateway) http1(t testing.TB) *http1 {
	t.Helper()
	c := g.dial(t, "http/1.1")
	return &http1{c, bufio.NewReaderSize(c, 64<<10)}
}

// dial opens a TLS connection, on which nothing is waited for longer than patience.
func (g *gateway) dial(t testing.TB, alpn string) *tls.Conn {
	t.Helper()
	raw, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, g.tlsConfig(alpn))
	t.Cleanup(func() { _ = c.Close() }) // once more is no harm
	if err := errors.Join(c.SetDeadline(time.Now().Add(patience)), c.HandshakeContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := c.ConnectionState().NegotiatedProtocol; got != alpn {
		t.Fatalf("the gateway speaks %q, want %q", got, alpn)
	}
	return c
}

// head is the beginning of a request; fields are whole lines without their ends.
func head(method, path string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path)
	for _, field := range fields {
		b.WriteString(field + "\r\n")
	}
	return b.String() + "\r\n"
}

// write sends text.
func (c *http1) write(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("send %.60q: %v", text, err)
	}
}

// answer reads the answer to a request of a method, with those of the 100 class before it, to its end.
func (c *http1) answer(method string) answer {
	var first []early
	for {
		response, err := http.ReadResponse(c.reader, &http.Request{Method: method})
		if err != nil {
			return answer{early: first, err: err}
		}
		if response.StatusCode >= 200 {
			return readAnswer(response, first)
		}
		_ = response.Body.Close() // there is none
		first = append(first, early{response.StatusCode, response.Header["Link"]})
		if response.StatusCode == http.StatusSwitchingProtocols {
			return answer{status: response.StatusCode, header: response.Header, early: first}
		}
	}
}

// closed checks that the gateway closes the connection, without another word.
func (c *http1) closed(t testing.TB) {
	t.Helper()
	rest, err := io.ReadAll(c.reader)
	if len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%.200q came (%v), want the end of the connection", rest, err)
	}
}

// sorted lists the fields of a header that do not change from time to time.
func sorted(h http.Header) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if name == "Date" || name == "X-Request-Id" {
			continue
		}
		for _, value := range h[name] {
			lines = append(lines, name+": "+value)
		}
	}
	return lines
}
