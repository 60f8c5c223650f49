package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// behind is firstDocument with a backend of the test's own.
func behind(address string) string { return strings.Replace(firstDocument, "BACKEND", address, 1) }

// handled starts a backend with a handler and returns its address.
func handled(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// fronts are a caller over each version of HTTP.
func (s *site) fronts() []*caller {
	return []*caller{s.caller("public", "localhost", nil), s.caller("public", "localhost", nil).http2()}
}

func TestTrailersPassBothWays(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 2)
	s := newSite(t, behind(handled(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, Client-Cert")
		_, _ = io.Copy(w, r.Body)
		got <- r.Trailer
		w.Header().Set("X-Sum", "42")
		w.Header().Set("Client-Cert", "spoofed")
		w.Header().Set(http.TrailerPrefix+"X-Late", "unannounced")
		w.Header().Set(http.TrailerPrefix+"X-Forwarded-For", "1.2.3.4")
	})))
	for _, front := range s.fronts() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/open/", io.NopCloser(strings.NewReader("body")))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = -1
		r.Trailer = http.Header{"X-Check": {"1"}, "Client-Cert": {"spoofed"}, "X-Forwarded-For": {"1.2.3.4"}}
		response, err := front.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || string(body) != "body" {
			t.Errorf("%s: body %q, %v", response.Proto, body, err)
		}
		_ = response.Body.Close()
		if len(response.Trailer) != 2 || response.Trailer.Get("X-Sum") != "42" || response.Trailer.Get("X-Late") != "unannounced" {
			t.Errorf("%s: the client got %v", response.Proto, response.Trailer)
		}
		if sent := <-got; len(sent) != 1 || sent.Get("X-Check") != "1" {
			t.Errorf("%s: the backend got %v", response.Proto, sent)
		}
	}
}

func TestEarlyAnswersPassWithinBounds(t *testing.T) {
	t.Parallel()
	hints := make(chan int, 1)
	s := newSite(t, behind(handled(t, func(w http.ResponseWriter, _ *http.Request) {
		for range <-hints {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.Header().Set("Connection", "X-Hop")
			w.Header().Set("X-Hop", "this connection's")
			w.WriteHeader(http.StatusEarlyHints)
		}
		clear(w.Header())
		fmt.Fprint(w, "done")
	})))
	for _, front := range s.fronts() {
		var seen []textproto.MIMEHeader
		trace := func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
				seen = append(seen, h)
				return nil
			}}))
		}
		hints <- 3
		a := front.get("https://localhost/open/", trace)
		if a.status != 200 || a.body != "done" || a.header.Get("Link") != "" || len(seen) != 3 {
			t.Fatalf("%s: %d with %q and %d early answers", a.proto, a.status, a.body, len(seen))
		}
		for _, h := range seen {
			if h.Get("Link") == "" || h.Get("X-Hop") != "" || h.Get("Connection") != "" {
				t.Errorf("%s: an early answer has %v", a.proto, h)
			}
		}
		hints <- 50
		front.get("https://localhost/open/").is(t, 502, "upstream_unavailable")
	}
}

func TestAnAnswerNeedNotWaitForTheBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, behind(handled(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		w.WriteHeader(http.StatusAccepted)
		_ = control.Flush()
		piece := make([]byte, 16)
		for {
			n, err := r.Body.Read(piece)
			if _, _ = w.Write(piece[:n]); err != nil {
				return
			}
			_ = control.Flush()
		}
	})))
	for _, front := range s.fronts() {
		reader, writer := io.Pipe()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/open/", reader)
		if err != nil {
			t.Fatal(err)
		}
		response, err := front.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{"one", "two"} { // each comes back before the next is sent
			if _, err := io.WriteString(writer, piece); err != nil {
				t.Fatal(err)
			}
			echo := make([]byte, len(piece))
			if _, err := io.ReadFull(response.Body, echo); err != nil || string(echo) != piece {
				t.Fatalf("%s: %q came back as %q, %v", response.Proto, piece, echo, err)
			}
		}
		_ = writer.Close()
		if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 || response.StatusCode != http.StatusAccepted {
			t.Errorf("%s: %d, then %q, %v", response.Proto, response.StatusCode, rest, err)
		}
		_ = response.Body.Close()
	}
}

func TestARefusalDoesNotWaitForTheBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, request := range []string{
		"POST /orders/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
		"POST /orders/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"POST /orders/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
	} {
		s.raw("public", "localhost", nil, request).is(t, 401, "certificate_missing")
	}
}

func TestABodyThatWasNotReadIsNeverTakenForARequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("header_timeout: 200ms"))
	conn := s.caller("public", "localhost", nil).dial()
	const hidden = "GET /open/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
	fmt.Fprintf(conn, "POST /orders/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(hidden))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%v, %v", response, err)
	}
	_ = response.Body.Close()
	s.records.wait(t, func(r map[string]any) bool { return r["reason"] == "certificate_missing" })
	for i := range len(hidden) { // slower than the gateway waits for it
		if _, err := conn.Write([]byte{hidden[i]}); err != nil {
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	_, _ = io.ReadAll(conn)
	if n := s.backend.count(); n != 0 {
		t.Errorf("%d requests reached the backend", n)
	}
}

func TestAnAnswerThatComesTooEarlyLeavesNoBodyBehind(t *testing.T) {
	t.Parallel()
	const hidden = "GET /open/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
	heads := make(chan string, 8)
	s := newSite(t, strings.Replace(limited("header_timeout: 200ms"), "BACKEND", serveRaw(t, func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		heads <- r.RequestURI
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}), 1))
	for _, framing := range []string{
		fmt.Sprintf("Content-Length: %d\r\n\r\n", 2*len(hidden)), fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", 2*len(hidden)),
	} {
		conn := s.caller("public", "localhost", nil).dial()
		fmt.Fprint(conn, "POST /open/ HTTP/1.1\r\nHost: localhost\r\n"+framing)
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%q: %v", framing, err)
		}
		_, _ = io.ReadAll(response.Body)
		_ = response.Body.Close()
		if uri := <-heads; uri != "/open/" {
			t.Errorf("%q: the backend got %s", framing, uri)
		}
		fmt.Fprint(conn, hidden)
		if more, err := io.ReadAll(reader); err != nil || len(more) > 0 {
			t.Errorf("%q: then came %q, %v", framing, more, err)
		}
	}
	if len(heads) > 0 {
		t.Errorf("the backend got %s", <-heads)
	}
}

func TestWhatABackendDoesNotSayIsNotInvented(t *testing.T) {
	t.Parallel()
	s := newSite(t, behind(rawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Two: a\r\nX-Two: b\r\n\r\n<html>")))
	for _, front := range s.fronts() {
		a := front.get("https://localhost/open/")
		a.is(t, 200, "")
		for _, name := range []string{"Content-Type", "X-Hop", "Keep-Alive"} {
			if values, ok := a.header[name]; ok {
				t.Errorf("%s: %s: %q", a.proto, name, values)
			}
		}
		if two := a.header["X-Two"]; len(two) != 2 || two[0] != "a" || two[1] != "b" {
			t.Errorf("%s: X-Two: %q", a.proto, two)
		}
	}
}

func TestABodyThatBreaksOffIsNeverWhole(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"of declared length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"in chunks":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"garbled":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
	} {
		s := newSite(t, behind(rawBackend(t, answer)))
		for _, front := range s.fronts() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/open/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := front.client.Do(r)
			if err != nil {
				continue // it broke before the header was sent
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err == nil {
				t.Errorf("%s, %s: a whole %q", name, response.Proto, body)
			}
		}
		record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" })
		if failure, _ := record["failure"].(string); !strings.Contains(failure, "upstream") {
			t.Errorf("%s: the record %v", name, record)
		}
	}
}

func TestADeadTargetCostsNoRequest(t *testing.T) {
	t.Parallel()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := dead.Addr().String()
	_ = dead.Close()
	s := newSite(t, strings.Replace(firstDocument, `"http://BACKEND"`, `"http://BACKEND", "http://`+address+`"`, 1))
	c := s.caller("public", "localhost", nil)
	for i := range 10 {
		if a := c.get("https://localhost/open/", send(strings.NewReader("pay"), 3)); a.status != 200 {
			t.Fatalf("request %d: %+v", i, a)
		}
	}
	if n := s.backend.count(); n != 10 {
		t.Errorf("%d requests reached the backend, want 10", n)
	}
	s.records.wait(t, func(r map[string]any) bool {
		return r["msg"] == "target down" && r["target"] == "http://"+address && r["cause"] == "connect"
	})
}

func TestARecordNamesTheFailureThatASecondAttemptHid(t *testing.T) {
	t.Parallel()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := dead.Addr().String()
	_ = dead.Close()
	s := newSite(t, strings.Replace(firstDocument, `"http://BACKEND"`, `"http://`+address+`", "http://BACKEND"`, 1))
	if a := s.caller("public", "localhost", nil).get("https://localhost/open/"); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	r := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" })
	why, _ := r["retried_failure"].(string)
	if r["retried_target"] != "http://"+address || !strings.HasPrefix(why, "connect: dial tcp "+address) || r["target"] != "http://"+s.backend.address {
		t.Errorf("the record %v", r)
	}
	if _, failed := r["failure"]; failed {
		t.Errorf("the record says that the request failed: %v", r)
	}
	if a := s.caller("public", "localhost", nil).get("https://localhost/open/"); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	if r := s.records.waitFor(t, 2, func(r map[string]any) bool { return r["msg"] == "request" }); r["retried_target"] != nil {
		t.Errorf("there was one attempt, and the record says %v", r)
	}
}

func TestASlowTargetIsATimeoutAndABusyOneIsOverload(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	s := newSite(t, strings.Replace(behind(handled(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})), `targets: [`, `timeouts: {response: 2s, queue: 50ms}, pool: {max: 1}, targets: [`, 1))
	defer close(release)
	first := make(chan answer, 1)
	go func() { first <- s.caller("public", "localhost", nil).get("https://localhost/open/") }()
	<-arrived
	busy := s.caller("public", "localhost", nil).get("https://localhost/open/")
	busy.is(t, 503, "overloaded")
	if busy.header.Get("Retry-After") == "" {
		t.Error("nobody says when to come again")
	}
	slow := <-first
	slow.is(t, 504, "upstream_unavailable")
	s.records.wait(t, func(r map[string]any) bool { return r["status"] == 504.0 && r["reason"] == "upstream_unavailable" })
}

// TestATargetThatAReloadReplacedIsNotShownAsDown: what the old upstream's requests run into afterwards is no news.
func TestATargetThatAReloadReplacedIsNotShownAsDown(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 3), make(chan struct{})
	document := strings.Replace(behind(handled(t, func(_ http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		panic(http.ErrAbortHandler)
	})), `targets: [`, `retry: false, health: {max_failures: 1}, targets: [`, 1)
	s := newSite(t, document)
	done := make(chan answer)
	go func() { done <- s.caller("public", "localhost", nil).get("https://localhost/open/") }()
	<-arrived
	s.apply(strings.Replace(document, "max_failures: 1", "max_failures: 2", 1))
	close(release)
	(<-done).is(t, 502, "upstream_unavailable")
	if got := s.records.texts("target down"); len(got) > 0 {
		t.Errorf("the upstream that was replaced said that the target is out: %q", got)
	}
}
