package admin

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnAddressAnswersToTheHostItIsBoundTo(t *testing.T) {
	t.Parallel()
	h := newHandler(hosts(t, "Gateway.internal."), &Options{Log: slog.New(slog.DiscardHandler)})
	for host, want := range map[string]bool{
		"gateway.internal": true, "GATEWAY.internal:9901": true, "gateway.internal.": true, "localhost": true, "127.0.0.1:9901": true,
		"internal": false, "a.gateway.internal": false, "gateway.internal.example": false, "gateway.internal..": false, "": false,
	} {
		if got := h.answersTo(host); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}

// hosts is what an address answers to.
func hosts(t testing.TB, bound string, more ...string) map[string]bool {
	t.Helper()
	h, err := names(bound, more)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAnAddressAnswersToNamesThatWereAllowed(t *testing.T) {
	t.Parallel()
	h := newHandler(hosts(t, loopback, "Sallyport.monitoring.svc.", "gateway"), &Options{Log: slog.New(slog.DiscardHandler)})
	for host, want := range map[string]bool{
		"sallyport.monitoring.svc:9901": true, "SALLYPORT.monitoring.svc.": true, "gateway": true, "127.0.0.1": true,
		"monitoring.svc": false, "a.gateway": false, "gateway.example": false, "other": false,
	} {
		if got := h.answersTo(host); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
	for _, bad := range []string{"", "gateway:9901", "*.example", "a b", "[::1]", "user@gateway", "a..b"} {
		if _, err := names(loopback, []string{bad}); err == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
}

// FuzzAnswersTo compares with package net/url: what the address answers to has to be the same host for whoever sent it.
func FuzzAnswersTo(f *testing.F) {
	for _, seed := range []string{
		"localhost", "localhost:1", "127.0.0.1", "[::1]:9901", "[::1]", "::1", "[fe80::1%25eth0]:1", "gateway.internal.", "stranger.example",
		"[localhost]", "[[::1]]", "localhost:1:2", "LOCALHOST.", "[::1", "::1]", "127.0.0.1.", ":1", "[]:1", "localhost]",
	} {
		f.Add(seed)
	}
	h := newHandler(hosts(f, "gateway.internal"), &Options{Log: slog.New(slog.DiscardHandler)})
	f.Fuzz(func(t *testing.T, authority string) {
		if !h.answersTo(authority) {
			return
		}
		if _, err := netip.ParseAddr(authority); err == nil {
			return // an IPv6 address without brackets, which is no authority
		}
		u, err := url.Parse("http://" + authority + "/")
		if err != nil {
			return // nobody can have sent it as one
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && host != "gateway.internal" {
			t.Errorf("%q is answered, and its host is %q", authority, u.Hostname())
		}
	})
}

// pipes is a listener whose connections live in memory, so that time can be made up.
type pipes struct {
	queue  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.queue:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the client's end of a new connection.
func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.queue <- server
	return client
}

// serveInBubble serves in made-up time until the returned function is called, which returns how long Serve took to
// end, and how it ended.
func serveInBubble(t *testing.T, o *Options) (*pipes, func() (time.Duration, error)) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	p := &pipes{queue: make(chan net.Conn), closed: make(chan struct{})}
	s := newServer(p, newHandler(hosts(t, loopback), o), o.Log)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	return p, func() (time.Duration, error) {
		began := time.Now()
		cancel()
		err := <-ended
		return time.Since(began), err
	}
}

// closedAfter returns how long it takes until the server closes a connection on which text was sent.
func closedAfter(t *testing.T, c net.Conn, text string) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c)
	return time.Since(began)
}

func TestSlowClientsAreClosed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		most time.Duration
	}{
		"nothing is sent":             {"", headerTimeout},
		"half a head":                 {"GET /livez HTTP/1.1\r\nHost: local", headerTimeout},
		"a body that does not come":   {"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", readTimeout},
		"a connection that is unused": {"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, stop := serveInBubble(t, &Options{})
				c := p.dial()
				defer c.Close()
				if took := closedAfter(t, c, test.text); took > test.most+time.Second {
					t.Errorf("closed after %v, want at most %v", took, test.most)
				}
				if _, err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAnAnswerThatNobodyTakesEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, stop := serveInBubble(t, &Options{})
		c := p.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(writeTimeout + time.Second) //nolint:forbidigo // a clock that is not real
		if n, _ := io.Copy(io.Discard, c); n != 0 {
			t.Errorf("%d bytes were still waiting", n)
		}
		if _, err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestStoppingWaitsForNoSilentConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, stop := serveInBubble(t, &Options{})
		silent, kept := p.dial(), p.dial()
		defer silent.Close()
		defer kept.Close()
		if _, err := io.WriteString(kept, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(kept), nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if took, err := stop(); err != nil || took > stopTimeout {
			t.Errorf("stopped after %v: %v", took, err)
		}
	})
}

func TestARequestThatDoesNotEndIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, never := make(chan struct{}), make(chan struct{})
		p, stop := serveInBubble(t, &Options{Ready: func() error {
			close(asked)
			<-never
			return nil
		}})
		c := p.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-asked
		if took, err := stop(); err != nil || took < stopTimeout || took > stopTimeout+time.Second {
			t.Errorf("stopped after %v: %v", took, err)
		}
		if n, _ := io.Copy(io.Discard, c); n != 0 {
			t.Errorf("%d bytes of an answer", n)
		}
		close(never)
	})
}
