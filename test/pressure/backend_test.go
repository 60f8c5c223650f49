package pressure_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/test/internal/run"
)

// rawBackend is a backend on TCP that reads with the strict reader, remembers every byte, and answers what it is told to.
type rawBackend struct {
	address string
	answer  func(*message) (text []byte, closes bool)

	mu       sync.Mutex
	requests []received
	broken   []string // what could be read in two ways
	open     map[net.Conn]struct{}
	closed   bool
}

// received is one request, or the part of one that came before its connection ended.
type received struct {
	*message
	connection int // numbered from 1
	whole      bool
}

// newRawBackend starts a backend that ends with the test. Where answer is nil it answers each request with its target.
func newRawBackend(t testing.TB, answer func(*message) (text []byte, closes bool)) *rawBackend {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &rawBackend{address: l.Addr().String(), answer: answer, open: map[net.Conn]struct{}{}}
	if b.answer == nil {
		b.answer = answerWithTarget
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !b.keep(c) {
				_ = c.Close() // the test has ended
				continue
			}
			serving.Go(func() { b.serve(c, n) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		b.mu.Lock()
		b.closed = true
		for c := range b.open {
			_ = c.Close()
		}
		b.mu.Unlock()
		serving.Wait()
	})
	return b
}

func (b *rawBackend) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.open[c] = struct{}{}
	}
	return !b.closed
}

func (b *rawBackend) serve(c net.Conn, n int) {
	defer func() {
		b.mu.Lock()
		delete(b.open, c)
		b.mu.Unlock()
		_ = c.Close()
	}()
	in := newReader(c)
	for {
		m, err := in.request()
		b.note(n, m, err, in)
		if err != nil {
			return
		}
		text, closes := b.answer(m)
		if _, err := c.Write(text); err != nil || closes {
			return
		}
	}
}

// note remembers what was read.
func (b *rawBackend) note(n int, m *message, err error, in *reader) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var bad *ambiguity
	switch {
	case errors.As(err, &bad):
		b.broken = append(b.broken, fmt.Sprintf("connection %d: %v in\n%q", n, bad, in.raw.String()))
	case m != nil:
		b.requests = append(b.requests, received{m, n, err == nil})
	case err != nil && !errors.Is(err, io.EOF) && in.raw.Len() > 0:
		b.broken = append(b.broken, fmt.Sprintf("connection %d: a part of a head: %q", n, in.raw.String()))
	}
}

// since returns what was received after the first n.
func (b *rawBackend) since(n int) []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests[n:])
}

func (b *rawBackend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.requests)
}

// ambiguous returns what could be read in two ways.
func (b *rawBackend) ambiguous() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.broken)
}

// answerWithTarget says which request was read.
func answerWithTarget(m *message) (text []byte, closes bool) {
	body := "this answers " + m.target()
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body), false
}

// rawCaller is a client of bytes.
type rawCaller struct {
	net.Conn
	in   *reader
	last *message // the latest answer
}

func newRawCaller(c net.Conn) *rawCaller { return &rawCaller{Conn: c, in: newReader(c)} }

// send writes text, in pieces of so many bytes where that is not zero. A connection that the other end has closed is not
// an error: what was answered tells.
func (c *rawCaller) send(text string, pieces int) {
	for len(text) > 0 {
		n := len(text)
		if pieces > 0 {
			n = min(n, pieces)
		}
		if _, err := io.WriteString(c.Conn, text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// answer reads one response and describes it: the status and the reason of a refusal, or the status and the body.
func (c *rawCaller) answer(method string) (string, error) {
	m, err := c.in.response(method)
	if err != nil {
		return "", err
	}
	c.last = m
	return describe(m), nil
}

// describe is "400 request_malformed" for a refusal, else such as "200 this answers /".
func describe(m *message) string {
	if kind := m.values("Content-Type"); len(kind) == 1 && kind[0] == "application/problem+json" {
		_, reason, _ := strings.Cut(string(m.body), `"reason":"`)
		reason, _, _ = strings.Cut(reason, `"`)
		return m.target() + " " + reason
	}
	return m.target() + " " + string(m.body)
}

// ends reads on and reports whether the other end has closed the connection without another byte.
func (c *rawCaller) ends() error {
	if err := c.SetReadDeadline(time.Now().Add(run.Patience)); err != nil {
		return err
	}
	rest, err := io.ReadAll(io.LimitReader(c.in.in, 4096))
	if len(rest) > 0 {
		return fmt.Errorf("more bytes: %q", rest)
	}
	if err != nil && strings.Contains(err.Error(), "connection reset by peer") {
		return nil // the end as well, of a connection on which more was sent
	}
	return err
}
