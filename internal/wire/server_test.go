package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/testpki"
	"sallyport/internal/wire"
)

func TestNetHTTPServesManyRequestsOfOneConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, limits(), nil, nil)
	c := s.dial(t)
	r := bufio.NewReader(c)
	body := strings.Repeat("0123456789abcdef", 20<<10)
	for _, stream := range []string{
		plain,
		fmt.Sprintf("POST /length HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"\r\n" + plain,
		fmt.Sprintf("POST /chunks HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n", len(body), body),
		"GET /end HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
	} {
		go func() { _, _ = io.WriteString(c, stream) }() // the answer says whether it arrived
		if got := answer(t, r); got != http.StatusOK {
			t.Errorf("%.20q is answered %d", stream, got)
		}
		got := <-s.seen
		want := ""
		switch got.Target {
		case "/length":
			want = body
		case "/chunks":
			want = body + "abc|A=b"
		}
		if got.Status != 0 || got.Body != want {
			t.Errorf("%.20q is seen as %s %s with %d octets", stream, got.Method, got.Target, len(got.Body))
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
}

func TestNetHTTPServesRequestsThatComeInAnyPieces(t *testing.T) {
	t.Parallel()
	s := serve(t, limits(), nil, nil)
	stream := strings.Repeat(plain+"POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n\r\n", 3)
	for size := 1; size < len(stream); size += 1 + size/3 {
		c := s.dial(t)
		r := bufio.NewReader(c)
		if err := c.SetNoDelay(true); err != nil {
			t.Fatal(err)
		}
		go func() {
			for at := 0; at < len(stream); at += size {
				_, _ = io.WriteString(c, stream[at:min(at+size, len(stream))])
			}
		}()
		for i := range 6 {
			answer(t, r)
			if got := <-s.seen; got.Status != 0 || i%2 == 1 && got.Body != "hello" {
				t.Fatalf("in pieces of %d, request %d is seen as %+v", size, i+1, got)
			}
		}
	}
}

func TestAnExpectationIsMetByTheHandler(t *testing.T) {
	t.Parallel()
	s := serve(t, limits(), nil, nil)
	c := s.dial(t)
	r := bufio.NewReader(c)
	write(t, c, post("Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"))
	if got := answer(t, r); got != http.StatusContinue {
		t.Fatalf("the answer is %d", got)
	}
	write(t, c, "hello")
	if got := answer(t, r); got != http.StatusOK || (<-s.seen).Body != "hello" {
		t.Errorf("the answer is %d", got)
	}
}

func TestTheHandlerIsToldWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	entered, left := make(chan struct{}), make(chan error, 1)
	s := serve(t, limits(), func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		left <- r.Context().Err()
	}, nil)
	c := s.dial(t)
	write(t, c, post("Content-Length: 5\r\n\r\nhello"))
	<-entered
	c.Close()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAHandlerOfARefusedRequestIsNotToldThatTheClientLeft(t *testing.T) {
	t.Parallel()
	client, c := pipe(t, limits())
	problem := make(chan *wire.Problem, 1)
	server := &http.Server{DisableGeneralOptionsHandler: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, p := c.Problem()
		if _, err := io.ReadAll(r.Body); err != nil || r.Context().Err() != nil {
			p = nil
		}
		problem <- p
		w.WriteHeader(http.StatusTeapot)
	})}
	defer server.Close()
	once := make(chan net.Conn, 1)
	once <- c
	go func() { _ = server.Serve(&acceptor{conns: once, done: make(chan struct{})}) }()
	send(t, client, "GET / HTTP/9.9\r\n\r\n")
	if got := answer(t, bufio.NewReader(client)); got != http.StatusTeapot {
		t.Errorf("the answer is %d", got)
	}
	if p := <-problem; p == nil || p.Status != http.StatusHTTPVersionNotSupported {
		t.Errorf("the problem is %+v", p)
	}
}

// acceptor gives a server connections that were not accepted from a socket.
type acceptor struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (a *acceptor) Accept() (net.Conn, error) {
	select {
	case c := <-a.conns:
		return c, nil
	case <-a.done:
		return nil, net.ErrClosed
	}
}

func (a *acceptor) Close() error {
	a.once.Do(func() { close(a.done) })
	return nil
}

func (*acceptor) Addr() net.Addr { return &net.UnixAddr{} }

func TestAHijackedConnectionSpeaksAnotherProtocol(t *testing.T) {
	t.Parallel()
	s := serve(t, limits(), func(w http.ResponseWriter, _ *http.Request) {
		hijacked, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer hijacked.Close()
		if err := hijacked.(*wire.HTTP1).Tunnel(); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(hijacked, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(hijacked, rw)
		_ = hijacked.(interface{ CloseWrite() error }).CloseWrite()
	}, nil)
	c := s.dial(t)
	echo := "\x00\r\n\n\xffGET / HTTP/1.1\n" + strings.Repeat("x", 100<<10)
	go func() {
		_, _ = io.WriteString(c, upgrade+echo[:1000]) // a client need not wait for the answer
		_, _ = io.WriteString(c, echo[1000:])
		_ = c.CloseWrite()
	}()
	r := bufio.NewReader(c)
	if got := answer(t, r); got != http.StatusSwitchingProtocols {
		t.Fatalf("the answer is %d", got)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != echo {
		t.Errorf("%d octets of %d come back, then %v", len(got), len(echo), err)
	}
}

func TestAClientReadsTheAnswerToWhatItIsStillSending(t *testing.T) {
	t.Parallel()
	s := serve(t, limits(), nil, nil)
	c := s.dial(t)
	write(t, c, plain[:len(plain)-2]+"A: "+strings.Repeat("b", 100<<10))
	got := answer(t, bufio.NewReader(c))
	if got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("the answer is %d", got)
	}
	write(t, c, strings.Repeat("b", 10<<10)) // nobody resets the connection
}

func TestHTTP1OverTLS(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, testpki.Options{Hosts: []string{"a.test"}})
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	canceled := make(chan struct{}, 1)
	s := serve(t, limits(), func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
			canceled <- struct{}{}
		}
	}, func(c net.Conn) net.Conn {
		return tls.Server(c, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}, MinVersion: tls.VersionTLS12})
	})
	c := tls.Client(s.dial(t), &tls.Config{RootCAs: roots, ServerName: "a.test"})
	r := bufio.NewReader(c)
	for range 5 {
		write(t, c, post("Content-Length: 5\r\n\r\nhello"))
		if got := answer(t, r); got != http.StatusOK || (<-s.seen).Body != "hello" {
			t.Fatalf("the answer is %d", got)
		}
	}
	write(t, c, "GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n")
	<-s.seen
	c.Close()
	<-canceled
}

// Every octet is tried in every place; what passes is what net/http's server takes, and it takes all of it.
func TestNetHTTPAgreesOnEveryOctet(t *testing.T) {
	t.Parallel()
	s := serve(t, limits(), nil, nil)
	places := map[string]string{
		"method": "G%sT / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"path":   "GET /a%sb HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"query":  "GET /?a%sb HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"host":   "GET / HTTP/1.1\r\nHost: a%sb\r\n\r\n",
		"URI":    "GET http://a%sb/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"name":   "GET / HTTP/1.1\r\nHost: a.test\r\nA%sB: c\r\n\r\n",
		"value":  "GET / HTTP/1.1\r\nHost: a.test\r\nA: b%sc\r\n\r\n",
		"coding": "GET / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked%s\r\n\r\n0\r\n\r\n",
		"length": "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0%s\r\n\r\n",
	}
	passed := map[string]int{"method": 77, "path": 92, "query": 93, "host": 81, "name": 78, "value": 256 - 32, "coding": 2, "length": 3}
	for place, format := range places {
		count := 0
		for octet := range 256 {
			c := s.dial(t)
			write(t, c, fmt.Sprintf(format, string([]byte{byte(octet)})))
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			status := answer(t, bufio.NewReader(c))
			c.Close()
			if len(s.seen) == 0 {
				t.Errorf("%#x in a %s is answered %d by net/http itself", octet, place, status)
				continue
			}
			got := <-s.seen
			if got.Status == 0 {
				count++
			}
			if (got.Status == 0) != (status == http.StatusOK) {
				t.Errorf("%#x in a %s is answered %d", octet, place, status)
			}
		}
		if want, ok := passed[place]; ok && count != want {
			t.Errorf("%d octets pass in a %s, want %d", count, place, want)
		}
	}
}

// A deadline may be set, a connection retired and looked at, whatever a Read is doing.
func TestMethodsMayBeCalledAtTheSameTime(t *testing.T) {
	t.Parallel()
	client, c := pipe(t, limits())
	stop := make(chan struct{})
	var others sync.WaitGroup
	for _, call := range []func(){
		func() { _ = c.SetReadDeadline(past) },
		func() { _ = c.SetDeadline(time.Time{}) },
		func() { c.Idle() },
		func() { c.Problem() },
		func() { _ = c.Err() },
		func() { c.Done() },
	} {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					call()
				}
			}
		})
	}
	const messages = 200
	want := strings.Repeat(plain, messages) // without bodies: a deadline inside one is the end
	send(t, client, want)
	var got bytes.Buffer
	for p := make([]byte, 100); got.Len() < len(want); {
		n, err := c.Read(p)
		got.Write(p[:n])
		if err != nil && !isTimeout(err) {
			t.Fatal(err)
		}
	}
	close(stop)
	others.Wait()
	if got.String() != want {
		t.Error("something was lost")
	}
	c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a closed connection reads")
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
