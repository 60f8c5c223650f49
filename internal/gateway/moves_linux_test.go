package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// movesDocument has a listener that moves, and MORE of them.
const movesDocument = `
listeners:
  - {name: moves, address: "MOVES", protocols: [h1]}
MORE
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
apis:
  - {name: all, path: /, upstream: echo}
`

func moves(address, more string) string {
	return strings.NewReplacer("MOVES", address, "MORE", more).Replace(movesDocument)
}

// freePort returns one that nobody has on any address.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func option(level, name, value int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, name, value) })
		if err != nil {
			return err
		}
		return failed
	}
}

func TestAClientWhoseConnectionIsHalfOpenIsServedThoughTheListenerMoves(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := newSite(t, moves(fmt.Sprintf("0.0.0.0:%d", port), ""))
	for i, to := range []string{"127.0.0.1", "0.0.0.0", "127.0.0.1", "0.0.0.0"} {
		// The client's system keeps the last packet of the beginning back, as a long way would.
		d := net.Dialer{Control: option(unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)}
		conn, err := d.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		s.apply(moves(fmt.Sprintf("%s:%d", to, port), ""))
		<-time.After(100 * time.Millisecond) // the long way; its system waits for 200
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("move %d to %s: %v", i+1, to, err)
		}
		_ = response.Body.Close()
		_ = conn.Close()
	}
}

func TestAReloadThatIsRefusedLeavesThePortAsItWas(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := newSite(t, moves(fmt.Sprintf("0.0.0.0:%d", port), ""))
	shares := func() error {
		l, err := (&net.ListenConfig{Control: option(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)}).Listen(context.Background(), "tcp", fmt.Sprintf("0.0.0.0:%d", port))
		if err == nil {
			_ = l.Close()
		}
		return err
	}
	other := freePort(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.4:%d", other))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct{ name, before, after string }{
		{"another address is taken", "", fmt.Sprintf("  - {name: taken, address: %q, protocols: [h1]}", l.Addr())},
		{
			"an address overlaps with one that is taken",
			fmt.Sprintf(`  - {name: taken, address: "127.0.0.3:%d", protocols: [h1]}`, other),
			fmt.Sprintf(`  - {name: taken, address: "0.0.0.0:%d", protocols: [h1]}`, other),
		},
	} {
		s.apply(moves(fmt.Sprintf("0.0.0.0:%d", port), c.before))
		snapshot, err := s.compile(moves(fmt.Sprintf("127.0.0.1:%d", port), c.after))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.gateway.Swap(snapshot); err == nil || !strings.Contains(err.Error(), `listener "taken"`) {
			t.Fatalf("%s: the swap says %v", c.name, err)
		}
		if shares() == nil {
			t.Errorf("%s: another program can share the port now", c.name)
		}
		s.caller("moves", "", nil).get("http://localhost/").is(t, 200, "")
	}
}

func TestAddressesCanMoveFasterThanTheirLastConnectionsCome(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := newSite(t, moves(fmt.Sprintf("0.0.0.0:%d", port), ""))
	for _, addresses := range [][2]string{{"127.0.0.1"}, {"0.0.0.0"}, {"127.0.0.1"}, {"127.0.0.1", "127.0.0.2"}, {"0.0.0.0"}} {
		more := ""
		if addresses[1] != "" {
			more = fmt.Sprintf(`  - {name: more, address: "%s:%d", protocols: [h1]}`, addresses[1], port)
		}
		s.apply(moves(fmt.Sprintf("%s:%d", addresses[0], port), more))
	}
}
