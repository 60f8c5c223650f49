package pressure_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waiting starts requests that the backend answers when it is released, one over each protocol.
func (s *streamSite) waiting(t *testing.T) (h1 *rawCaller, h2 *framer) {
	t.Helper()
	h1 = newRawCaller(dialTLS(t, s.front, s.site.tls(s.site.caller, "http/1.1")))
	h1.send("GET /wait/h1 HTTP/1.1\r\nHost: api.test\r\n\r\n", 0)
	h2 = newFramer(t, dialTLS(t, s.front, s.site.tls(s.site.caller, "h2")), true)
	if err := h2.open(1, true, ":method", "GET", ":scheme", "https", ":authority", "api.test", ":path", "/wait/h2"); err != nil {
		t.Fatal(err)
	}
	s.awaitMetric(func(n float64) bool { return n == 2 }, "sallyport_requests_in_flight")
	return h1, h2
}

// asks makes a request on a connection of its own and describes the answer.
func (s *streamSite) asks(t *testing.T) string {
	t.Helper()
	c := newRawCaller(dialTLS(t, s.front, s.site.tls(s.site.caller, "http/1.1")))
	c.send("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", 0)
	got, err := c.answer("GET")
	if err != nil {
		return err.Error()
	}
	return got
}

func TestTerminationIsInOrder(t *testing.T) {
	t.Parallel()
	const delay = 2 * time.Second
	s := newStreamSite(t, fmt.Sprintf("delay: %v, drain: 30s", delay))
	if status, _, err := s.page("/readyz"); status != 200 || err != nil {
		t.Fatalf("/readyz is %d at first (%v)", status, err)
	}
	h1, h2 := s.waiting(t)
	idle := dialTLS(t, s.front, s.site.tls(s.site.caller, "http/1.1"))

	told := time.Now()
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.awaitLog(0, "stopping")
	if status, text, err := s.page("/readyz"); status != 503 || !strings.Contains(text, "stopping") || err != nil {
		t.Errorf("/readyz is %d %q (%v)", status, text, err)
	}
	if got := s.asks(t); got != "200 here" && time.Since(told) < delay {
		t.Errorf("while load balancers turn away a new connection is answered %q", got)
	}
	s.eventually("new connections to be refused", func() bool {
		c, err := net.DialTimeout("tcp", s.front, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, func() string { return "they are accepted" })
	if took := time.Since(told); took < delay {
		t.Errorf("new connections are refused after %v, want %v", took, delay)
	}
	if status, _, err := s.page("/livez"); status != 200 || err != nil {
		t.Errorf("/livez is %d (%v) while requests end", status, err)
	}
	if err := newRawCaller(idle).ends(); err != nil {
		t.Errorf("an idle connection: %v", err)
	}
	close(s.release)
	if got, err := h1.answer("GET"); got != "200 waited" || err != nil {
		t.Errorf("the request in flight over HTTP/1 is answered %q (%v)", got, err)
	}
	if err := h1.ends(); err != nil {
		t.Errorf("its connection: %v", err)
	}
	if got := h2.outcome(t, 1); got != "200 waited" {
		t.Errorf("the request in flight over HTTP/2 is answered %q", got)
	}
	if got := h2.over(t); got != "goaway NO_ERROR" {
		t.Errorf("its connection ends with %q", got)
	}
	s.ended()
	s.saidInOrder(t, "serving", "stopping", "request", "request", "stopped")
	if n := len(s.records("stopped before every request had ended")); n > 0 {
		t.Error("the log says that requests were cut")
	}
}

// saidInOrder complains unless the log has these messages in this order, whatever is between them, and ends with the last.
func (g *running) saidInOrder(t *testing.T, messages ...string) {
	t.Helper()
	var said []string
	all, _ := g.Stdout.Since(0)
	for _, line := range all {
		said = append(said, parseRecord(line).text("msg"))
	}
	rest := said
	for _, m := range messages {
		i := slices.Index(rest, m)
		if i < 0 {
			t.Errorf("the log has %q, want %q in order", said, messages)
			return
		}
		rest = rest[i+1:]
	}
	if len(rest) > 0 {
		t.Errorf("behind the last message the log has %q", rest)
	}
}

func TestTerminationCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	const drain = time.Second
	s := newStreamSite(t, fmt.Sprintf("drain: %v", drain))
	h1, h2 := s.waiting(t)
	socket, events, events2, rpc, _ := s.all(t, "caller", s.site.caller)
	told := time.Now()
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*open{socket, events, events2, rpc} {
		if err := o.ends(); err != nil && o != events2 && o != rpc { // those end with their connection
			t.Errorf("%s: %v", o.path, err)
		}
	}
	if got, err := h1.answer("GET"); err == nil {
		t.Errorf("a request that does not end over HTTP/1 is answered %q", got)
	}
	if got := h2.outcome(t, 1); strings.HasPrefix(got, "200") {
		t.Errorf("a request that does not end over HTTP/2 is answered %q", got)
	}
	s.ended()
	if took := time.Since(told); took < drain || took > drain+5*time.Second {
		t.Errorf("it took %v to end, want little more than %v", took, drain)
	}
	s.saidInOrder(t, "serving", "stopping", "stopped before every request had ended", "stopped")
	cut := []string{"/wait/h1", "/wait/h2", socket.path, events.path, events2.path, rpc.path}
	for _, r := range s.records("request") {
		cut = slices.DeleteFunc(cut, func(path string) bool { return path == r.text("path") })
	}
	if len(cut) > 0 {
		t.Errorf("what was cut at %q has no record", cut)
	}
}
