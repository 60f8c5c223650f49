package gateway

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// clogged is a connection whose Close waits until the connection below is closed, as that of TLS does when the client takes
// nothing.
type clogged struct {
	net.Conn
	below net.Conn
}

func (c *clogged) Close() error {
	_, _ = c.below.Write([]byte("close_notify"))
	return nil
}

func TestTheEndOfATunnelWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		raw, client := writer(t)
		x := &exchange{conn: raw, body: &requestBody{}}
		tunnel := &clientTunnel{Conn: &clogged{Conn: raw, below: raw}, x: x, buffered: bufio.NewReader(strings.NewReader(""))}
		began := time.Now()
		if err := tunnel.Close(); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := client.Write([]byte("a")); err == nil || time.Since(began) != cutGrace {
			t.Errorf("the connection is cut after %v: %v", time.Since(began), err)
		}
	})
}
