package pressure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sallyport/internal/daemon"
	"sallyport/internal/gateway"
	"sallyport/test/internal/run"
)

// TestNothingIsLeftAfterDrain runs the program's inside in this process, gives it every kind of exchange, reloads it, and
// looks at the goroutines when it has ended. It does not run beside other tests, whose goroutines it would see.
func TestNothingIsLeftAfterDrain(t *testing.T) { //nolint:paralleltest // see above
	s := &streamSite{site: newSite(t)}
	port, other := free.Free(t), free.Free(t)
	backend, release := newStreamBackend(t)
	s.front, s.release, s.replace = "127.0.0.1:"+port, release, []string{"FRONT", port, "BACKEND", backend, "SHUTDOWN", "drain: 2s"}
	before := goleak.IgnoreCurrent()

	more := "  - {name: other, address: 127.0.0.1:" + other + ", tls: {credentials: [server], client_auth: optional}}\n"
	s.write(documentName, s.document("MORE", more))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, reload := make(reloads, 16), make(chan struct{})
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- daemon.Run(ctx, daemon.Options{
			Config: filepath.Join(s.dir, documentName), Log: log, Reload: reload, Poll: time.Hour, Admin: "127.0.0.1:0",
			Ready: func(*gateway.Gateway) { close(ready) },
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}

	t.Run("exchanges", func(t *testing.T) { // what they opened is closed at the end of this
		for _, address := range []string{"127.0.0.1:" + other, s.front} {
			s.front = address
			socket, events, events2, rpc, f := s.all(t, "caller", s.site.caller)
			for _, o := range []*open{socket, events, events2, rpc} {
				if err := o.beats(); err != nil {
					t.Errorf("%s: %v", o.path, err)
				}
			}
			if got := s.asks(t); got != "200 here" {
				t.Errorf("answered %q", got)
			}
			s.hostile(t)
			for i := range 20 { // some that the client resets, some that wait until everything is cut
				id := uint32(101 + 2*i)
				_ = f.open(id, true, ":method", "GET", ":scheme", "https", ":authority", "api.test", ":path", fmt.Sprint("/wait/", i))
				if i%2 == 0 {
					_ = f.WriteRSTStream(id, 8)
				}
			}
			if !f.alive(t) {
				t.Error("the connection has ended")
			}
		}
		for _, document := range []string{s.document(), s.document("DENIED", "caller"), s.document("OTHER", "ca.pem"), "listeners: ["} {
			s.write(documentName, document)
			reload <- struct{}{}
			select {
			case <-log:
			case <-time.After(run.Patience):
				t.Fatal("it does not reload")
			}
		}
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(run.Patience):
			t.Fatal("it does not end")
		}
	})
	goleak.VerifyNone(t, before)
}

// reloads is a log that gets a value for each reload, refused or not.
type reloads chan struct{}

func (r reloads) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"msg":"reload`)) {
		r <- struct{}{}
	}
	return len(p), nil
}

// hostile makes calls that are refused, cut or left.
func (s *streamSite) hostile(t *testing.T) {
	t.Helper()
	for _, text := range []string{
		"", "GET", "\x00", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"POST /rpc/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
		"POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\nzz",
		"GET /events/left HTTP/1.1\r\nHost: api.test\r\n\r\n",
	} {
		c := newRawCaller(dialTLS(t, s.front, s.site.tls(s.site.caller, "http/1.1")))
		c.send(text, 0)
		if strings.HasSuffix(text, "\r\n\r\n") {
			_, err := c.in.head()
			if err != nil && !errors.Is(err, errEnded) {
				t.Error(err)
			}
		}
		_ = c.Close()
	}
	_ = dial(t, s.front).Close() // in the middle of the handshake
}
