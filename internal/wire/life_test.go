package wire_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/wire"
)

func TestRetire(t *testing.T) {
	t.Parallel()
	t.Run("ends a read that waits", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, c := pipe(t, limits())
			done := background(c)
			c.Retire()
			c.Retire()
			if r := after(t, done, time.Now(), grace); !errors.Is(r.err, io.EOF) {
				t.Errorf("Read returned %q, %v", r.text, r.err)
			}
		})
	})
	t.Run("leaves a handler alone and ends the wait after it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, plain)
			wantRead(t, c, plain)
			done := background(c)
			c.Retire()
			<-time.After(time.Hour)
			waiting(t, done)
			c.Done()
			if r := after(t, done, time.Now(), grace); !errors.Is(r.err, io.EOF) {
				t.Errorf("Read returned %q, %v", r.text, r.err)
			}
		})
	})
	t.Run("gives a request that has begun no more time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			start := time.Now()
			done := background(c)
			send(t, client, plain[:1])
			<-time.After(9 * time.Second)
			c.Retire()
			if r := after(t, done, start, 10*time.Second); r.text != "O" {
				t.Errorf("Read returned %q, %v", r.text, r.err)
			}
		})
	})
	t.Run("lets a request come that has begun", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			done := background(c)
			send(t, client, plain[:1])
			waiting(t, done)
			c.Retire()
			<-time.After(time.Second)
			send(t, client, plain[1:])
			if r := <-done; r.text != "G" {
				t.Fatalf("Read returned %q, %v", r.text, r.err)
			}
			wantRead(t, c, plain[1:])
			c.Done()
			wantEnd(t, c, io.EOF)
		})
	})
	t.Run("lets a request come that was read ahead", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, plain+plain)
			wantRead(t, c, plain)
			c.Retire()
			c.Done()
			wantRead(t, c, plain)
			c.Done()
			wantEnd(t, c, io.EOF)
		})
	})
	t.Run("lets a request come that has arrived", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, plain)
			synctest.Wait()
			c.Retire()
			wantRead(t, c, plain)
		})
	})
}

// halved is a pipe of which one direction can be closed, as those of real connections can.
type halved struct {
	net.Conn
	ended chan struct{}
}

func (h halved) CloseWrite() error {
	close(h.ended)
	return nil
}

func TestCloseLetsTheClientReadTheAnswer(t *testing.T) {
	t.Parallel()
	const wrong = "GET\r\n"
	tests := []struct {
		name, stream string
		meanwhile    func(client net.Conn, c *wire.HTTP1)
		want         time.Duration
	}{
		{"but not after a request", plain, nil, 0},
		{"after a refused request", wrong, nil, 500 * time.Millisecond},
		{"after a refused body", chunks("x"), nil, 500 * time.Millisecond},
		{"until the client closes", wrong, func(client net.Conn, _ *wire.HTTP1) { client.Close() }, 100 * time.Millisecond},
		{"until somebody closes again", wrong, func(_ net.Conn, c *wire.HTTP1) { c.Close() }, 100 * time.Millisecond},
		{"until the client has sent enough", wrong, func(client net.Conn, _ *wire.HTTP1) {
			_, _ = client.Write(make([]byte, 1<<20))
		}, 100 * time.Millisecond},
		{"whatever little it sends", wrong, func(client net.Conn, _ *wire.HTTP1) {
			_, _ = client.Write(make([]byte, 100<<10))
		}, 500 * time.Millisecond},
		{"but not when it is retired", wrong, func(_ net.Conn, c *wire.HTTP1) { c.Retire() }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer client.Close()
				below := halved{server, make(chan struct{})}
				c := wire.NewHTTP1(below, limits())
				send(t, client, tt.stream)
				for {
					if text, err := read(c); err != nil || text == plain || strings.HasPrefix(text, "OPTIONS") {
						break
					}
				}
				if strings.HasPrefix(tt.name, "but not when") {
					tt.meanwhile(client, c)
				}
				start := time.Now()
				if tt.want > 0 && tt.meanwhile != nil {
					go func() {
						<-below.ended
						<-time.After(100 * time.Millisecond)
						tt.meanwhile(client, c)
					}()
				}
				_ = c.Close()
				if took := time.Since(start); took != tt.want {
					t.Errorf("Close took %v, want %v", took, tt.want)
				}
				if _, err := read(c); err == nil {
					t.Error("a closed connection reads")
				}
			})
		})
	}
}

func TestWhatFollowsAnUpgradeIsHeld(t *testing.T) {
	t.Parallel()
	const frames = "\x81\x05hello GET / HTTP/1.1\r\n\r\n"
	t.Run("and passes when the handler tunnels", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, upgrade+frames)
			wantRead(t, c, upgrade)
			done := background(c)
			waiting(t, done)
			_ = c.SetReadDeadline(past)
			if r := <-done; !errors.Is(r.err, os.ErrDeadlineExceeded) {
				t.Fatalf("Read returned %q, %v", r.text, r.err)
			}
			_ = c.SetDeadline(time.Time{})
			if err := c.Tunnel(); err != nil {
				t.Error(err)
			}
			c.Done()
			wantRead(t, c, frames)
			if c.Idle() {
				t.Error("a tunnel is idle")
			}
			done = background(c)
			<-time.After(time.Hour)
			c.Retire()
			waiting(t, done)
			send(t, client, "x")
			if r := <-done; r.text != "x" {
				t.Errorf("Read returned %q, %v", r.text, r.err)
			}
			client.Close()
			wantEnd(t, c, io.EOF)
		})
	})
	t.Run("and is a request when the handler does not", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, upgrade+plain)
			wantRead(t, c, upgrade)
			done := background(c)
			waiting(t, done)
			c.Done()
			_ = c.SetReadDeadline(past)
			<-done
			_ = c.SetReadDeadline(time.Time{})
			wantRead(t, c, plain)
		})
	})
	t.Run("but not what follows half of one", func(t *testing.T) {
		t.Parallel()
		for _, half := range []string{"Connection: Upgrade\r\n", "Upgrade: websocket\r\n", "Connection: close\r\nUpgrade: websocket\r\n"} {
			client, c := pipe(t, limits())
			request := plain[:len(plain)-2] + half + "\r\n"
			send(t, client, request+plain)
			wantRead(t, c, request)
			if c.Tunnel() == nil {
				t.Errorf("%q: there is a tunnel, and what follows was taken for a request", half)
			}
			wantRead(t, c, plain)
		}
	})
	t.Run("behind its body", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			request := strings.Replace(upgrade, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1)
			send(t, client, request+frames)
			wantRead(t, c, request)
			waiting(t, background(c))
		})
	})
	t.Run("while a read is under way", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, upgrade)
			wantRead(t, c, upgrade)
			done := background(c)
			if err := c.Tunnel(); err != nil {
				t.Error(err)
			}
			send(t, client, frames)
			if r := <-done; r.text != frames[:1] {
				t.Errorf("Read returned %q, %v", r.text, r.err)
			}
			wantRead(t, c, frames[1:])
		})
	})
	t.Run("until the client ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, upgrade)
			wantRead(t, c, upgrade)
			done := background(c)
			send(t, client, frames)
			waiting(t, done)
			client.Close()
			if r := <-done; !errors.Is(r.err, io.EOF) {
				t.Errorf("Read returned %q, %v", r.text, r.err)
			}
			if err := c.Tunnel(); err != nil {
				t.Error(err)
			}
			wantRead(t, c, frames)
			wantEnd(t, c, io.EOF)
		})
	})
	t.Run("within bounds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, upgrade)
			wantRead(t, c, upgrade)
			done := background(c)
			written := 0
			go func() {
				for range 1 << 10 {
					n, _ := client.Write(make([]byte, 1<<10))
					written += n
				}
			}()
			waiting(t, done)
			if written < 64<<10 || written > 200<<10 {
				t.Errorf("%d octets are held", written)
			}
			held := written
			if err := c.Tunnel(); err != nil {
				t.Error(err)
			}
			<-done
			if n, err := io.CopyN(io.Discard, c, 1<<20-1); err != nil {
				t.Errorf("%d octets after %d were held, then %v", n, held, err)
			}
		})
	})
}
