package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestACallerThatLeavesWhenItIsServedLeavesNoSlotTaken(t *testing.T) {
	t.Parallel()
	u, err := New(Config{Targets: []string{"http://127.0.0.1:1"}, Max: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		held, cause := u.acquire(t.Context(), time.Now())
		if cause != "" {
			t.Fatalf("no lease: %s", cause)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if l, cause := u.acquire(ctx, time.Now()); cause == "" { // it was served first
				l.release()
			}
		}()
		for u.waiting.Load() == 0 {
			runtime.Gosched()
		}
		u.mu.Lock() // the waiter cannot leave while it is served
		cancel()
		w := u.queue.Remove(u.queue.Front()).(*waiter)
		w.at = nil
		u.waiting.Add(-1)
		w.got <- held
		u.mu.Unlock()
		<-done
		if n := u.targets[0].inFlight.Load(); n != 0 {
			t.Fatalf("%d slots are taken", n)
		}
	}
}

func TestAPoolThatIsRenewedAfterCloseIsRetired(t *testing.T) {
	t.Parallel()
	u, err := New(Config{Targets: []string{"http://a.test"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	u.targets[0].renew()
	if !u.targets[0].pool.Load().retired.Load() {
		t.Error("the new pool would keep connections")
	}
}

func TestATimeoutOfTheNetworkIsNoTimeoutOfAHeader(t *testing.T) {
	t.Parallel()
	lost := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}
	if !lost.Timeout() || headerTimeout(lost) {
		t.Errorf("%v is a timeout of the header", lost)
	}
}

func TestAnAddressThatIsSilentGetsItsShareOfTheTime(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n := &names{port: port}
	known := &addresses{list: []*address{n.address(netip.MustParseAddr("127.0.0.2")), n.address(netip.MustParseAddr("127.0.0.1"))}}
	dialer := &net.Dialer{ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		if address == "127.0.0.2:"+port {
			<-ctx.Done() // as if nobody answered
			return ctx.Err()
		}
		return nil
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := known.connect(ctx, dialer)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := known.connect(canceled, dialer); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
}

func TestAConnectionThatEndedWhileItWasIdleIsLostAtOnce(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	c := newConn(ours)
	_ = theirs.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("there is something to read")
	}
	lost := false
	c.begin(false, func() { lost = true })
	if !lost {
		t.Error("the exchange would wait for a caller who sends slowly")
	}
}

func TestWhatIsKnownAboutAnAddressOutlivesTheLookup(t *testing.T) {
	t.Parallel()
	n := &names{port: "80", changed: func([]string, bool) {}}
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	answered := func(found ...netip.Addr) { n.answered(&question{done: make(chan struct{})}, found, nil) }
	answered(one, two)
	n.known.Load().find(one).failed.Store(true)
	answered(two, one)
	answered(two)
	answered(one, two)
	if a := n.known.Load().find(one); a == nil || !a.failed.Load() {
		t.Error("that nobody answered there is forgotten")
	}
	for range missedUntilGone {
		answered(two)
	}
	if n.known.Load().find(one) != nil {
		t.Error("an address is kept for ever")
	}
}

func TestAKeptConnectionThatSpeaksUnaskedIsOnlyAConnection(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stray := make(chan struct{}, 1)
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			in := bufio.NewReader(c)
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if n == 0 {
				<-stray
				_, _ = io.WriteString(c, "\r\n")
			}
		}
	}()
	u, err := New(Config{Targets: []string{"http://" + l.Addr().String()}, MaxFailures: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	post := func(ctx context.Context) {
		t.Helper()
		r := &http.Request{Method: http.MethodPost, URL: &url.URL{Opaque: "/x"}, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("body")), ContentLength: 4}
		reply, err := u.Send(r.WithContext(ctx), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(reply.Response.Body); string(body) != "ok" {
			t.Errorf("%q, %v", body, err)
		}
		_ = reply.Response.Body.Close()
	}
	post(t.Context())
	post(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*conn); ok && info.Reused { // the request has the connection and is about to be written
			stray <- struct{}{}
			for !c.isStray() {
				runtime.Gosched()
			}
		}
	}}))
	if Out(u)[0] {
		t.Error("the target was blamed")
	}
}
