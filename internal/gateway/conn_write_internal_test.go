package gateway

import (
	"errors"
	"net"
	"os"
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
		go func() {
			for range 102 {
				<-time.After(15 * time.Second)
				_, _ = client.Read(make([]byte, 1))
			}
		}()
		if n, err := own.Write(make([]byte, 100)); n != 100 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := own.Write(make([]byte, 2)); n != 2 || err != nil { // the deadline of the first does not hold
			t.Errorf("then %d, %v", n, err)
		}
	})
}
