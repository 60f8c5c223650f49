package upstream

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// TestATargetThatTiresOfASlowReaderIsNotBlamed sets the clock of the reader back; a real one would have to wait.
func TestATargetThatTiresOfASlowReaderIsNotBlamed(t *testing.T) {
	t.Parallel()
	for away, out := range map[time.Duration]bool{0: true, 2 * slowReader: false} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1000))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			_ = c.Close()
		}()
		u, err := New(Config{Targets: []string{"http://" + l.Addr().String()}, MaxFailures: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Opaque: "/x"}, Header: http.Header{}}
		reply, err := u.Send(r.WithContext(t.Context()), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(reply.Response.Body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		reply.body.last = reply.body.last.Add(-away)
		if _, err := reply.Response.Body.Read(make([]byte, 1)); err == nil {
			t.Error("the half of a body is a body")
		}
		_ = reply.Response.Body.Close()
		if got := Out(u)[0]; got != out {
			t.Errorf("the reader was away for %s: out %v", away, got)
		}
		<-served
		_ = l.Close()
		u.Close()
	}
}

func TestABodyThatNobodyReadIsClosedWhenNoOtherAttemptFollows(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	b := newRequestBody(&http.Request{Body: in, ContentLength: -1})
	open := func() bool {
		written := make(chan error)
		go func() { _, err := out.Write(nil); written <- err }()
		select {
		case err := <-written:
			return err == nil
		case <-time.After(10 * time.Millisecond): // an open pipe waits for its reader
			_, _ = in.Read(nil)
			return <-written == nil
		}
	}
	first := b.again()
	_ = first.Close()
	if !open() {
		t.Fatal("it was closed while another attempt could need it")
	}
	second := b.again()
	_ = first.Close() // late
	if n, err := first.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("an attempt that is over takes from the next one")
	}
	_ = second.Close()
	b.commit()
	if open() {
		t.Error("it is still open")
	}
}
