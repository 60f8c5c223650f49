package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAKeptConnectionServesTheRequestBehindARefusedBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for name, body := range map[string]string{
		"declared": "Content-Length: 5\r\n\r\nhello", "in chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		for _, pipelined := range []bool{true, false} {
			conn := s.caller("public", "localhost", nil).dial()
			reader := bufio.NewReader(conn)
			first := "POST /orders/ HTTP/1.1\r\nHost: localhost\r\n" + body
			second := "GET /open/next HTTP/1.1\r\nHost: localhost\r\n\r\n"
			if pipelined {
				first, second = first+second, ""
			}
			for i, c := range []struct {
				request string
				status  int
			}{{first, http.StatusUnauthorized}, {second, http.StatusOK}} {
				_, _ = io.WriteString(conn, c.request)
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatalf("%s, pipelined %v, answer %d: %v", name, pipelined, i, err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != c.status {
					t.Errorf("%s, pipelined %v: answer %d is %d, want %d", name, pipelined, i, response.StatusCode, c.status)
				}
			}
		}
	}
	if log := s.records.texts("panic"); len(log) > 0 {
		t.Errorf("the log says %v", log)
	}
}

func TestAnEarlyHintDoesNotMeetAnInvitation(t *testing.T) {
	t.Parallel()
	s := newSite(t, behind(serveRaw(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})))
	for range 30 {
		conn := s.caller("public", "localhost", nil).dial()
		fmt.Fprint(conn, "POST /open/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
		reader := bufio.NewReader(conn)
		for status := 0; status != http.StatusOK; {
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			status = response.StatusCode
			_ = response.Body.Close()
		}
		_ = conn.Close()
	}
}

func TestOnlyGRPCHasNoPace(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("min_body_rate: 1MiB"))
	conn := s.caller("public", "localhost", nil).dial()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprint(conn, "POST /open/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 1000\r\n\r\nx")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusRequestTimeout {
		t.Fatalf("%v, %v", response, err)
	}
	_ = response.Body.Close()
}

func TestWhatFollowsARefusedTunnelIsNotARequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, request := range []string{
		"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
		"GET /open/ HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: connect-tcp\r\n\r\n",
		"GET /orders/ HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		conn := s.caller("public", "localhost", nil).dial()
		_, _ = io.WriteString(conn, request+"GET /open/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
		said, _ := io.ReadAll(conn)
		if n := strings.Count(string(said), "HTTP/1.1 "); n != 1 {
			t.Errorf("%d answers to %q", n, request)
		}
	}
}

func TestABlankAroundAFieldValueIsMalformedOverHTTP2(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	h := s.http2Client(nil)
	h.get("/open/", "x-lead", " v")
	h.waitFor(t, "the answer", func(f frame) bool { return f.kind == "HEADERS" && f.stream == 1 })
	s.records.wait(t, func(r map[string]any) bool { return r["reason"] == "request_malformed" && r["status"] == 400.0 })
	if s.backend.count() != 0 {
		t.Error("it reached the backend")
	}
}

func TestAClientThatIsStillSendingReadsItsAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for range 5 {
		conn := s.caller("public", "localhost", nil).dial()
		fmt.Fprint(conn, "POST /orders/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")
		sent := make(chan struct{})
		go func() { // much more than the gateway reads of what it has refused
			defer close(sent)
			piece := make([]byte, 64<<10)
			for range 16 {
				if _, err := conn.Write(piece); err != nil {
					return
				}
			}
		}()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusUnauthorized || len(body) == 0 {
			t.Errorf("%d, %q, %v", response.StatusCode, body, err)
		}
		_ = response.Body.Close()
		<-sent
	}
}

// What is too large to be read to its end is told so: an answer without Connection: close would promise another request.
func TestAnAnswerToAnEndlessBodyDoesNotPromiseAnotherRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	body := strings.Repeat("x", 300<<10)
	for _, target := range []string{"/nowhere/", "/orders/"} {
		a := s.raw("public", "localhost", nil, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body))
		if a.err != nil || a.status < 400 || !a.closes {
			t.Errorf("%s: %d, closes %v (%v)", target, a.status, a.closes, a.err)
		}
	}
}
