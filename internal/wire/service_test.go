package wire_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/wire"
)

func limits() wire.Limits {
	return wire.Limits{
		HeaderBytes: 8 << 10, HeaderFields: 20, TargetBytes: 1 << 10,
		HeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ControlFrames: 10,
	}
}

// request is what a handler saw of one.
type request struct {
	Method, Target, Host, Body string
	Status                     int    // 0 for a request that was served
	Detail                     string // of the problem
}

// clientGone is seen instead of a status when a body could not be read and broke no rule.
const clientGone = 499

// service is net/http's server over HTTP1 as the gateway uses it. What its handler saw comes out of seen.
type service struct {
	address string
	conns   chan *wire.HTTP1 // the first of them
	seen    chan request
	handle  http.HandlerFunc // after the body was read; nil for an empty answer
}

type connKey struct{}

// client is the state of one connection.
type client struct {
	conn  *wire.HTTP1
	count atomic.Int64
}

// wrapping is a listener whose connections are HTTP1.
type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// serve starts a service that lives as long as the test. under wraps connections below HTTP1; nil for nothing.
func serve(t testing.TB, l wire.Limits, handle http.HandlerFunc, under func(net.Conn) net.Conn) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{address: listener.Addr().String(), conns: make(chan *wire.HTTP1, 100), seen: make(chan request, 1000), handle: handle}
	server := &http.Server{
		Handler:                      s,
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               1 << 20,
		ErrorLog:                     slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, &client{conn: c.(*wire.HTTP1)})
		},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(wrapping{listener, func(c net.Conn) net.Conn {
			if under != nil {
				c = under(c)
			}
			wrapped := wire.NewHTTP1(c, l)
			select {
			case s.conns <- wrapped:
			default: // the test does not look at them
			}
			return wrapped
		}})
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*client)
	if !ok {
		panic("a connection that nobody wrapped")
	}
	defer c.conn.Done()
	got := request{Method: r.Method, Target: r.RequestURI, Host: r.Host}
	number := c.count.Add(1)
	if ordinal, p := c.conn.Problem(); p != nil && ordinal == number {
		s.seen <- request{Status: p.Status, Detail: p.Detail}
		http.Error(w, p.Detail, p.Status)
		return
	}
	body, err := io.ReadAll(r.Body)
	got.Body = string(body)
	if err != nil {
		got.Status, got.Detail = clientGone, "the client ended before the body"
		if violation, ok := errors.AsType[*wire.BodyError](c.conn.Err()); ok {
			got.Status, got.Detail = violation.Problem.Status, violation.Problem.Detail
		}
	}
	for name, values := range r.Trailer {
		got.Body += "|" + name + "=" + values[0]
	}
	s.seen <- got
	switch {
	case err != nil:
		http.Error(w, got.Detail, got.Status)
	case s.handle != nil:
		s.handle(w, r)
	}
}

// dial connects to a service until the end of the test.
func (s *service) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func write(t testing.TB, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads one response with its body and returns its status.
func answer(t testing.TB, r *bufio.Reader) int {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}
