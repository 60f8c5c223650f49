package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
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
	for fields, piece := range map[string]string{
		"Content-Length: 100000000": strings.Repeat("x", 64<<10), "Transfer-Encoding: chunked": chunked(64<<10, true),
	} {
		for range 5 {
			conn := s.caller("public", "localhost", nil).dial()
			fmt.Fprintf(conn, "POST /orders/ HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", fields)
			sent := make(chan struct{})
			go func() { // much more than the gateway reads of what it has refused
				defer close(sent)
				for range 16 {
					if _, err := io.WriteString(conn, piece); err != nil {
						return
					}
				}
			}()
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusUnauthorized || len(body) == 0 || !response.Close {
				t.Errorf("%s: %d, %q, says close %v (%v)", fields, response.StatusCode, body, response.Close, err)
			}
			_ = response.Body.Close()
			<-sent
		}
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

// chunked is a body in chunks; an open one lacks its end.
func chunked(size int, open bool) string {
	var b strings.Builder
	for size > 0 {
		piece := min(size, 4<<10)
		size -= piece
		fmt.Fprintf(&b, "%x\r\n%s\r\n", piece, strings.Repeat("x", piece))
	}
	if !open {
		b.WriteString("0\r\n\r\n")
	}
	return b.String()
}

// Whoever is not told that his connection closes can use it for his next request, whatever became of his body.
func TestAnAnswerThatDoesNotSayCloseIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	const inChunks, asks = "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n"
	s := newSite(t, strings.Replace(firstDocument, "BACKEND", rawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), 1))
	for _, c := range []struct {
		name, fields, body string
		keeps              bool // where the gateway itself refuses; a target may answer sooner than the body came
		whole              bool // nothing more of the body is to come
	}{
		{"small and declared", "Content-Length: 5\r\n", "hello", true, true},
		{"small and in chunks", inChunks, chunked(5, false), true, true},
		{"empty and in chunks", inChunks, chunked(0, false), true, true},
		{"with a trailer", inChunks, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", true, true},
		{"some chunks", inChunks, chunked(12<<10, false), true, true},
		{"many chunks", inChunks, chunked(300<<10, false), false, true},
		{"very many chunks", inChunks, chunked(2<<20, false), false, true},
		{"large and declared", "Content-Length: 307200\r\n", strings.Repeat("x", 300<<10), false, true},
		{"declared and never sent", "Content-Length: 5\r\n", "", false, false},
		{"declared and half sent", "Content-Length: 5\r\n", "he", false, false},
		{"chunks without an end", inChunks, chunked(5, true), false, false},
		{"many chunks without an end", inChunks, chunked(300<<10, true), false, false},
		{"no chunk at all", inChunks, "", false, false},
		{"what is no chunk", inChunks, "5\r\nhello!\r\n", false, false},
		{"asked for and declared", asks + "Content-Length: 5\r\n", "", false, false},
		{"asked for, in chunks", asks + inChunks, "", false, false},
		{"asked for and sent all the same", asks + "Content-Length: 5\r\n", "hello", false, true},
	} {
		for _, target := range []string{"/orders/", "/nowhere/", "/open/"} {
			t.Run(c.name+target, func(t *testing.T) {
				t.Parallel()
				conn := s.caller("public", "localhost", nil).dial()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, _ = io.WriteString(conn, "POST "+target+" HTTP/1.1\r\nHost: localhost\r\n"+c.fields+"\r\n"+c.body) // it may be closed by then
				}()
				in := bufio.NewReader(conn)
				status, closes, err := finalAnswer(in)
				if err != nil {
					t.Fatal(err)
				}
				if refused := target != "/open/"; closes == c.keeps && refused || !closes && !c.whole || refused && status < 400 {
					t.Errorf("the answer %d says close: %v", status, closes)
				}
				<-sent
				if closes {
					if more, err := io.ReadAll(in); len(more) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("more came: %q (%v)", more, err)
					}
					return
				}
				fmt.Fprint(conn, "GET /orders/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
				if second, _, err := finalAnswer(in); err != nil || second != http.StatusUnauthorized {
					t.Errorf("after an answer %d that did not say close: %d, %v", status, second, err)
				}
			})
		}
	}
}

// finalAnswer reads an answer to its end, and those of the 100 class before it. It returns its status, and whether it says close.
func finalAnswer(in *bufio.Reader) (status int, closes bool, err error) {
	for {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return 0, false, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode >= 200 {
			return response.StatusCode, response.Close, err
		}
	}
}

// Over HTTP/2 only the stream ends.
func TestABodyThatNobodyWantsEndsAStreamAndNotItsConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	c := s.caller("public", "localhost", nil).http2()
	for i, path := range []string{"/orders/", "/nowhere/", "/orders/"} {
		unfinished, more := io.Pipe()
		trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			if got.Reused != (i > 0) {
				t.Errorf("request %d: a connection that was used before: %v", i, got.Reused)
			}
		}}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, "https://localhost"+path, unfinished)
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode < 400 || len(body) == 0 || response.ProtoMajor != 2 {
			t.Errorf("%d %q over %s: %v", response.StatusCode, body, response.Proto, err)
		}
		_ = response.Body.Close()
		_ = more.Close()
	}
}
