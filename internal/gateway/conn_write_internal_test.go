package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/config"
)

// writer returns a connection with a send_timeout of 20 seconds, in made-up time, and the client's end.
func writer(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return &conn{Conn: server, bounds: &config.ListenerBounds{SendTimeout: 20 * time.Second}}, client
}

func TestAWriteThatNobodyBoundedEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before func(*conn)
		during func(*conn)
		least  time.Duration
		most   time.Duration
	}{
		{"without a deadline", func(*conn) {}, func(*conn) {}, 20 * time.Second, 25 * time.Second},
		{"with one that is later", func(c *conn) { _ = c.SetWriteDeadline(time.Now().Add(time.Hour)) }, func(*conn) {}, 20 * time.Second, 25 * time.Second},
		{"with one that is earlier", func(c *conn) { _ = c.SetDeadline(time.Now().Add(2 * time.Second)) }, func(*conn) {}, 2 * time.Second, 2 * time.Second},
		{"with one that comes meanwhile", func(*conn) {}, func(c *conn) { _ = c.SetWriteDeadline(time.Unix(1, 0)) }, time.Second, time.Second},
		{"with one that is taken back", func(c *conn) {
			_ = c.SetWriteDeadline(time.Unix(1, 0))
			_, _ = c.Write([]byte("a"))
			_ = c.SetWriteDeadline(time.Time{})
		}, func(*conn) {}, 20 * time.Second, 25 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				own, _ := writer(t)
				c.before(own)
				began := time.Now()
				time.AfterFunc(time.Second, func() { c.during(own) })
				n, err := own.Write([]byte("nobody reads it"))
				if took := time.Since(began); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took < c.least || took > c.most {
					t.Errorf("%d, %v after %v", n, err, took)
				}
			})
		})
	}
}

func TestAWriteThatSomebodyTakesSlowlyGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own, client := writer(t)
		var reading sync.WaitGroup
		defer reading.Wait()
		reading.Go(func() {
			for {
				<-time.After(15 * time.Second)
				if own.writes.stuck.Load() {
					return
				}
				if _, err := io.ReadFull(client, make([]byte, leastTaken)); err != nil {
					return
				}
			}
		})
		for i := range 2 {
			if n, err := own.Write(make([]byte, 8*leastTaken)); n != 8*leastTaken || err != nil { // the deadline of the first does not hold
				t.Errorf("%d. %d, %v", i, n, err)
			}
		}
		began := time.Now()
		n, err := own.Write(make([]byte, 1<<20))
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took < longestPiece*20*time.Second || took > (longestPiece+1)*20*time.Second {
			t.Errorf("what is endless ends after %v: %d, %v", took, n, err)
		}
		if !own.writes.stuck.Load() {
			t.Error("nobody learns that the client took nothing")
		}
		if _, err := own.Conn.Write([]byte("a")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection is still open: %v", err)
		}
	})
}
