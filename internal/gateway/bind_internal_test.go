package gateway

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestASocketThatWasBoundForNothingHandsItsClientsOver(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	g := New(Options{Log: logger, Access: logger})
	if err := g.Swap(smallSnapshot(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Shutdown(t.Context()) })
	l, err := listenTCP("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := newSocket(g, "127.0.0.1:1", l).giveBack([]*socket{g.sockets["127.0.0.1:0"]}); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("answered %d", response.StatusCode)
	}
}
