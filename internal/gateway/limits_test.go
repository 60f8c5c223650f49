package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// limited is firstDocument with limits on its listener.
func limited(limits string) string {
	return strings.Replace(firstDocument, "    address: 127.0.0.1:0\n", "    address: 127.0.0.1:0\n    limits: {"+limits+"}\n", 1)
}

// dial opens a connection with a handshake.
func (c *caller) dial() net.Conn {
	c.s.t.Helper()
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(c.s.t.Context(), "tcp", c.s.address(c.listener))
	if err != nil {
		c.s.t.Fatal(err)
	}
	c.s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func TestConnectionsAreCapped(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("max_connections: 3, max_connections_per_address: 2"))
	var open []net.Conn
	for range 2 {
		open = append(open, s.caller("public", "localhost", nil).dial())
	}
	c := s.caller("public", "localhost", nil)
	if conn, err := (&tls.Dialer{Config: c.tls}).DialContext(t.Context(), "tcp", s.address("public")); err == nil {
		_ = conn.Close()
		t.Fatal("one address has a third connection")
	}
	record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "connections refused" })
	if record["cause"] != "address_full" || record["listener"] != "public" || record["reason"] != "overloaded" {
		t.Errorf("the log says %v", record)
	}
	from := func(address string) error {
		d := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}, Config: c.tls}
		conn, err := d.DialContext(t.Context(), "tcp", s.address("public"))
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		return err
	}
	if err := from("127.0.0.2"); err != nil {
		t.Errorf("another address: %v", err)
	}
	if err := from("127.0.0.3"); err == nil {
		t.Error("the listener has a fourth connection")
	}
	_ = open[0].Close() // makes room, once the gateway has noticed
	for deadline := time.Now().Add(10 * time.Second); from("127.0.0.3") != nil; {
		if time.Now().After(deadline) {
			t.Fatal("a connection that was closed still counts")
		}
	}
}

func TestAPlainListenerThatIsFullSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t, withListener(`{name: plain, address: "127.0.0.2:0", limits: {max_connections: 1}}`))
	first, err := net.Dial("tcp", s.address("plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	fmt.Fprint(first, "GET /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
	served, err := http.ReadResponse(bufio.NewReader(first), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = served.Body.Close()
	second, err := net.Dial("tcp", s.address("plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	response, err := http.ReadResponse(bufio.NewReader(second), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !response.Close {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}

func TestAnOldConnectionEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("max_connection_age: 1ms"))
	c := s.caller("public", "localhost", nil)
	closes := false
	for range 3 { // the first may be over within a millisecond
		a := c.get("https://localhost/open/")
		a.is(t, 200, "")
		closes = closes || a.closes
	}
	if !closes {
		t.Error("HTTP/1.1: an old connection goes on")
	}
	h := s.http2Client(nil)
	for stream := uint32(1); stream < 7 && !h.saw(func(f frame) bool { return f.kind == "GOAWAY" }); stream += 2 {
		h.get("/open/")
		h.waitFor(t, "the answer", func(f frame) bool { return f.kind == "HEADERS" && f.stream == stream || f.kind == "GOAWAY" })
	}
	h.waitFor(t, "GOAWAY", func(f frame) bool { return f.kind == "GOAWAY" })
}

func TestAHeadThatTakesTooLongIsAnswered(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("header_timeout: 100ms"))
	s.raw("public", "localhost", nil, "GET /open/ HTTP/1.1\r\nHost: loc").is(t, 408, "request_timeout")
	s.records.wait(t, func(r map[string]any) bool { return r["reason"] == "request_timeout" && r["status"] == 408.0 })
}

func TestAnIdleConnectionIsClosedWithoutAWord(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("idle_timeout: 100ms"))
	conn := s.caller("public", "localhost", nil).dial()
	if said, err := io.ReadAll(conn); err != nil || len(said) > 0 {
		t.Errorf("%q, %v", said, err)
	}
	h := s.http2Client(nil)
	h.waitFor(t, "the end", func(f frame) bool { return f.kind == "end" })
}

func TestLargeHeadsAreAnsweredOverHTTP2AsWell(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("max_header_size: 4KiB, max_header_fields: 20, max_target_size: 1KiB"))
	field := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	many := func(r *http.Request) {
		for i := range 25 {
			r.Header.Set(fmt.Sprintf("X-%d", i), "x")
		}
	}
	for _, c := range []struct {
		name   string
		path   string
		adjust func(*http.Request)
		status int
	}{
		{"a field of 5 KiB", "", field("X", strings.Repeat("x", 5<<10)), 431},
		{"25 fields", "", many, 431},
		{"a target of 2 KiB", strings.Repeat("x", 2<<10), field("X", "x"), 414},
		{"enough of everything", strings.Repeat("x", 900), field("X", strings.Repeat("x", 2000)), 200},
	} {
		for _, front := range []*caller{s.caller("public", "localhost", nil), s.caller("public", "localhost", nil).http2()} {
			a := front.get("https://localhost/open/"+c.path, c.adjust)
			if reason := map[int]string{200: ""}[c.status]; c.status != 200 {
				reason = "request_too_large"
				a.is(t, c.status, reason)
			} else {
				a.is(t, 200, reason)
			}
			if t.Failed() {
				t.Fatalf("%s over %s", c.name, a.proto)
			}
		}
	}
}

// send makes a request with a body of the caller's own making.
func send(body io.Reader, length int64) func(*http.Request) {
	return func(r *http.Request) { r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(body), length }
}

func TestABodyHasASizeAndAPace(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("max_body_size: 1KiB"))
	for _, c := range []struct {
		name   string
		size   int
		length bool
		status int
		reason string
	}{
		{"a declared kibibyte", 1024, true, 200, ""},
		{"a kibibyte in chunks", 1024, false, 200, ""},
		{"one byte more, declared", 1025, true, 413, "request_too_large"},
		{"one byte more, in chunks", 1025, false, 413, "request_too_large"},
		{"a hundred times as much", 102400, false, 413, "request_too_large"},
	} {
		for _, front := range []*caller{s.caller("public", "localhost", nil), s.caller("public", "localhost", nil).http2()} {
			length := int64(-1)
			if c.length {
				length = int64(c.size)
			}
			before := s.backend.count()
			a := front.get("https://localhost/open/", send(strings.NewReader(strings.Repeat("x", c.size)), length))
			a.is(t, c.status, c.reason)
			if c.length && c.status == 413 && s.backend.count() != before {
				t.Errorf("%s reached the backend", c.name)
			}
			if t.Failed() {
				t.Fatalf("%s over %s", c.name, a.proto)
			}
		}
	}
}

func TestABodyThatCannotBeReadIsTheClientsMistake(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	const head = "POST /open/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, rest := range []string{"ZZ\r\n", "0\r\nContent-Length: 5\r\n\r\n", "0\r\nX : 1\r\n\r\n"} {
		a := s.raw("public", "localhost", nil, head+"2\r\nok\r\n"+rest)
		a.is(t, 400, "request_malformed")
		if !a.closes {
			t.Errorf("the connection stays open after %q", rest)
		}
	}
	// A client that goes in the middle of its body is no failure of the upstream's.
	conn := s.caller("public", "localhost", nil).dial()
	fmt.Fprint(conn, head+"2\r\nok\r\n5\r\nab")
	_ = conn.Close()
	record := s.records.wait(t, func(r map[string]any) bool { return r["status"] == 499.0 })
	if record["failure"] != "the client closed the connection" || record["reason"] != "ok" {
		t.Errorf("the record: %v", record)
	}
}

func TestAClientThatTakesNothingIsCut(t *testing.T) {
	t.Parallel()
	endless := make(chan struct{})
	backend := serveRaw(t, func(conn net.Conn) {
		defer close(endless)
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	})
	s := newSite(t, strings.Replace(limited("send_timeout: 200ms"), "BACKEND", backend, 1))
	conn := s.caller("public", "localhost", nil).dial()
	fmt.Fprint(conn, "GET /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
	record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" })
	if failure, _ := record["failure"].(string); !strings.Contains(failure, "send_timeout") {
		t.Errorf("the record: %v", record)
	}
	<-endless // the backend's connection ended, too
}

// serveRaw serves one connection after the other with a function and returns the address.
func serveRaw(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			serve(conn)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
