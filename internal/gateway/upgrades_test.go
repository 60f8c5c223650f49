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

// plainSite has a listener without TLS before a backend that tells the upgrades it was asked for and their bodies, and agrees to
// each.
func plainSite(t *testing.T, protocols string) (s *site, upgrades chan string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	upgrades = make(chan string, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					upgrades <- fmt.Sprintf("%s %q %s", r.Method, r.Header.Get("Upgrade"), body)
					if r.Header.Get("Upgrade") == "" {
						fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
						continue
					}
					fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
				}
			}()
		}
	}()
	return newSite(t, strings.NewReplacer("PROTOCOLS", protocols, "BACKEND", l.Addr().String()).Replace(`
listeners:
  - {name: public, address: 127.0.0.1:0, protocols: [PROTOCOLS], limits: {header_timeout: 300ms, idle_timeout: 1m}}
upstreams:
  - {name: all, targets: ["http://BACKEND"]}
apis:
  - {name: all, path: /all/, upstream: all}
`)), upgrades
}

// plain opens a connection without TLS.
func (s *site) plain(listener string) net.Conn {
	s.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.address(listener))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func TestOnlyWhatCanBeAWebSocketIsAskedForAsOne(t *testing.T) {
	t.Parallel()
	s, upgrades := plainSite(t, "h1")
	const wish = "Host: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, c := range []struct {
		name, request, got string
		status             int
	}{
		{"a WebSocket", "GET /all/ HTTP/1.1\r\n" + wish + "Connection: keep-alive,\tUPGRADE\r\n\r\n", `GET "websocket" `, 101},
		{"a method with a body", "POST /all/ HTTP/1.1\r\n" + wish + "Connection: Upgrade\r\nContent-Length: 5\r\n\r\nhello", `POST "" hello`, 200},
		{"GET with a body", "GET /all/ HTTP/1.1\r\n" + wish + "Connection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", `GET "" hello`, 200},
		{"a method without one", "DELETE /all/ HTTP/1.1\r\n" + wish + "Connection: Upgrade\r\n\r\n", `DELETE "" `, 200},
		{"HTTP/1.0", "GET /all/ HTTP/1.0\r\n" + wish + "Connection: Upgrade\r\n\r\n", `GET "" `, 200},
		{"a no-break space behind the option", "GET /all/ HTTP/1.1\r\n" + wish + "Connection: Upgrade\u00a0\r\n\r\n", `GET "" `, 200},
		{"a no-break space behind the protocol", "GET /all/ HTTP/1.1\r\n" + strings.Replace(wish, "websocket", "websocket\u00a0", 1) + "Connection: Upgrade\r\n\r\n", `GET "" `, 200},
		{"a letter that folds to another", "GET /all/ HTTP/1.1\r\n" + strings.Replace(wish, "websocket", "web\u017focket", 1) + "Connection: Upgrade\r\n\r\n", `GET "" `, 200},
	} {
		conn := s.plain("public")
		if _, err := io.WriteString(conn, c.request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		_ = response.Body.Close()
		if got := <-upgrades; got != c.got || response.StatusCode != c.status {
			t.Errorf("%s: answered %d, and the backend got %s", c.name, response.StatusCode, got)
		}
	}
}

func TestHTTP10HasNoExpectation(t *testing.T) {
	t.Parallel()
	s, _ := plainSite(t, "h1")
	for range 10 {
		conn := s.plain("public")
		fmt.Fprint(conn, "POST /none HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		in := bufio.NewReader(conn)
		first, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, first.Body)
		_ = first.Body.Close()
		if first.StatusCode != http.StatusNotFound {
			t.Fatalf("the first answer is %d", first.StatusCode)
		}
		if first.Close {
			continue // it said so, and nobody loses a request
		}
		fmt.Fprint(conn, "12345GET /all/ HTTP/1.0\r\n\r\n")
		second, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("the second request: %v", err)
		}
		_ = second.Body.Close()
	}
}

func TestAHeadHasItsTimeWhereHTTP2IsServedWithoutTLS(t *testing.T) {
	t.Parallel()
	s, _ := plainSite(t, "h1, h2c")
	for _, first := range []string{"G", "P", "PRI * HTTP/2.0\r\n"} {
		conn := s.plain("public")
		_, _ = io.WriteString(conn, first)
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // idle_timeout is a minute
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q: %v", first, err)
			continue
		}
		_ = response.Body.Close()
	}
}

func TestAnEventStreamMaySpellItsTypeInAnyCase(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"text/event-stream", "Text/Event-Stream", "TEXT/EVENT-STREAM ; charset=utf-8"} {
		s := newSite(t, firstDocument)
		release := make(chan struct{})
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\n\n\r\n", kind)
			<-release
			fmt.Fprint(conn, "3\r\nb\n\n\r\n0\r\n\r\n")
		}()
		s.apply(strings.Replace(firstDocument, `targets: ["http://BACKEND"]}`, fmt.Sprintf(`targets: ["http://%s"], timeouts: {pause: 50ms}}`, l.Addr()), 1))
		time.AfterFunc(200*time.Millisecond, func() { close(release) })
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/open/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := s.caller("public", "localhost", nil).client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(response.Body); err != nil || string(got) != "a\n\nb\n\n" {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
		_ = response.Body.Close()
	}
}
