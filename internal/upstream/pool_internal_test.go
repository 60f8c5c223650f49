package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// stuck is a connection that does not close until it is released.
type stuck struct {
	net.Conn

	closing, release chan struct{}
}

func (s *stuck) Close() error {
	s.closing <- struct{}{}
	<-s.release
	return s.Conn.Close()
}

// TestNobodyWaitsForAnUpstreamToClose: net/http closes connections under locks of its own.
func TestNobodyWaitsForAnUpstreamToClose(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(u *Upstream) <-chan struct{}{
		"it is closed":           (*Upstream).Close,
		"its addresses are gone": func(u *Upstream) <-chan struct{} { u.targets[0].renew(); return nil },
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
		u, err := New(Config{Targets: []string{s.URL}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		closing, release := make(chan struct{}, 1), make(chan struct{})
		u.targets[0].pool.Load().http.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(s.URL, "http://"))
			return newConn(&stuck{c, closing, release}), err
		}
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Opaque: "/x"}, Header: http.Header{}}
		reply, err := u.Send(r.WithContext(t.Context()), Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, reply.Response.Body)
		_ = reply.Response.Body.Close()
		closed := leave(u) // and here we are
		<-closing
		select {
		case <-closed:
			t.Errorf("%s: it says that it is done", name)
		default:
		}
		close(release)
		if closed != nil {
			<-closed
		}
		<-u.Close()
		s.Close()
	}
}
