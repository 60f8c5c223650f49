package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// halves is a backend that sends half of an answer without a length and waits until it is told what to do with the other half.
func halves(t *testing.T) (address string, then chan func(net.Conn)) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	then = make(chan func(net.Conn), 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			(<-then)(conn)
			_ = conn.Close()
		}
	}()
	return l.Addr().String(), then
}

func TestACutAnswerThatEndsWithTheConnectionDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	address, then := halves(t)
	for _, c := range []struct {
		name  string
		then  func(*site, net.Conn)
		whole bool
	}{
		{"the target ends it", func(_ *site, conn net.Conn) { fmt.Fprint(conn, "6\r\n world\r\n0\r\n\r\n") }, true},
		{"the target breaks off", func(*site, net.Conn) {}, false},
		{"the time to drain is over", func(s *site, _ net.Conn) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = s.gateway.Shutdown(ctx)
		}, false},
	} {
		for _, listener := range []string{"public", "plain"} {
			s := newSite(t, strings.Replace(withListener(`{name: plain, address: "127.0.0.2:0"}`), "BACKEND", address, 1))
			conn := s.plain(listener)
			if listener == "public" {
				conn = tls.Client(conn, s.caller("public", "localhost", nil).tls)
			}
			fmt.Fprint(conn, "GET /open/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
			in := bufio.NewReader(conn)
			response, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if half, err := io.ReadAll(io.LimitReader(response.Body, 5)); err != nil || string(half) != "hello" {
				t.Fatalf("%s: %q, %v", c.name, half, err)
			}
			then <- func(backend net.Conn) { c.then(s, backend) }
			rest, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if c.whole && (err != nil || string(rest) != " world") || !c.whole && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s, %s: %q, %v", c.name, listener, rest, err)
			}
		}
	}
}

func TestASilentConnectionDoesNotHoldADrain(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"protocols: [h1]", "protocols: [h1, h2c]", "tls: {credentials: [server]}"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withListener(`{name: more, address: "127.0.0.2:0", `+kind+`}`))
			conn := s.plain("more")
			s.caller("more", "localhost", nil).get("http://localhost/none") // the connection before it was accepted by now
			began := time.Now()
			s.apply(firstDocument)
			if _, err := conn.Read(make([]byte, 1)); err == nil || time.Since(began) > 5*time.Second { // handshake_timeout is ten
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}
