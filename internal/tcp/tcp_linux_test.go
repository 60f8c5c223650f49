package tcp_test

import (
	"io"
	"net"
	"testing"
	"time"

	"sallyport/internal/tcp"
)

// pair returns the two ends of a connection.
func pair(t *testing.T) (accepted, client *net.TCPConn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	dialed, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialed.Close() })
	taken, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	return taken.(*net.TCPConn), dialed.(*net.TCPConn)
}

func TestLittleIsUnsentOnALimitedConnection(t *testing.T) {
	t.Parallel()
	limited, _ := pair(t)
	free, _ := pair(t)
	if err := tcp.LimitUnsent(limited); err != nil {
		t.Fatal(err)
	}
	little, much := fill(t, limited), fill(t, free)
	acknowledged, err := tcp.Acknowledged(limited)
	if err != nil {
		t.Fatal(err)
	}
	if waiting := uint64(little) - acknowledged; waiting > 2<<20 || little >= much {
		t.Errorf("%d octets wait, of %d; without the limit %d fit", waiting, little, much)
	}
}

// fill writes until nothing more fits anywhere.
func fill(t *testing.T, c *net.TCPConn) (written int) {
	t.Helper()
	for {
		if err := c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Write(make([]byte, 64<<10))
		written += n
		if err != nil {
			return written
		}
	}
}

// What the other end's system has acknowledged grows while its program reads, and stands still when it does not.
func TestAcknowledgedIsWhatTheOtherEndTook(t *testing.T) {
	t.Parallel()
	accepted, client := pair(t)
	acknowledged := func() uint64 {
		n, err := tcp.Acknowledged(accepted)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	written := fill(t, accepted)
	full := acknowledged()
	if full == 0 || full >= uint64(written) {
		t.Fatalf("%d octets of %d are acknowledged although nobody read", full, written)
	}
	more := int64(full)
	if _, err := io.CopyN(io.Discard, client, more); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); acknowledged() == full; {
		if time.Now().After(deadline) {
			t.Fatalf("still %d octets although the other end has read", full)
		}
	}
	if err := accepted.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tcp.Acknowledged(accepted); err == nil {
		t.Error("a closed connection tells something")
	}
}
