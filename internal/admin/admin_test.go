package admin_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/admin"
	"sallyport/internal/metrics"
)

// site is an admin address that is served until the test ends.
type site struct {
	server *admin.Server
	log    *logged
	stop   context.CancelFunc
	ended  chan error
}

// logged collects log lines.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func open(t *testing.T, o admin.Options) *site {
	t.Helper()
	s := &site{log: &logged{}, ended: make(chan error, 1)}
	o.Log = slog.New(slog.NewTextHandler(s.log, nil))
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	var err error
	if s.server, err = admin.Listen(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.ended <- s.server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-s.ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// port is the port that the address got.
func (s *site) port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.server.Address())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// send sends a request as it stands, on a connection of its own.
func (s *site) send(t *testing.T, request string) reply {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", s.port(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

// ask sends a request of a method for a path.
func (s *site) ask(t *testing.T, method, path string) reply {
	t.Helper()
	return s.send(t, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, path))
}

// expectProblem checks that an answer is an RFC 9457 problem of a status, and returns its detail.
func expectProblem(t *testing.T, r reply, status int) string {
	t.Helper()
	var p struct {
		Title, Detail string
		Status        int
	}
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Errorf("%d %q: %v", r.status, r.body, err)
	}
	if r.status != status || p.Status != status || p.Title != http.StatusText(status) || p.Detail == "" ||
		r.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d, %s, %q; want a problem of status %d", r.status, r.header.Get("Content-Type"), r.body, status)
	}
	return p.Detail
}

// expectGuarded checks the fields that every answer has.
func expectGuarded(t *testing.T, r reply) {
	t.Helper()
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", r.header)
	}
}

func ready() error { return nil }

func TestLivezSaysOKWhileTheProcessServes(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{}) // whether or not it is ready
	r := s.ask(t, http.MethodGet, "/livez")
	if r.status != http.StatusOK || r.body != "ok\n" || r.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %q %v", r.status, r.body, r.header)
	}
	expectGuarded(t, r)
}

func TestReadyzFollowsTheGateway(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	state := errors.New("the first configuration is not serving yet")
	s := open(t, admin.Options{Ready: func() error {
		mu.Lock()
		defer mu.Unlock()
		return state
	}})
	for _, step := range []error{state, nil, errors.New(`it "stops"`), nil} {
		mu.Lock()
		state = step
		mu.Unlock()
		r := s.ask(t, http.MethodGet, "/readyz")
		expectGuarded(t, r)
		if step == nil {
			if r.status != http.StatusOK || r.body != "ok\n" {
				t.Errorf("ready: %d %q", r.status, r.body)
			}
			continue
		}
		if detail := expectProblem(t, r, http.StatusServiceUnavailable); detail != step.Error() {
			t.Errorf("detail %q, want %q", detail, step)
		}
	}
}

func TestNothingThatSaysReadyIsNotReady(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{})
	r := s.ask(t, http.MethodGet, "/readyz")
	expectProblem(t, r, http.StatusServiceUnavailable)
}

func TestMetricsAreWhatTheGathererCollects(t *testing.T) {
	t.Parallel()
	set := metrics.New("v1.2.3")
	s := open(t, admin.Options{Gatherer: set.Gatherer()})
	r := s.ask(t, http.MethodGet, "/metrics")
	if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%d %v", r.status, r.header)
	}
	if !strings.Contains(r.body, `sallyport_build_info{go_version="`) || !strings.Contains(r.body, "\ngo_goroutines ") {
		t.Errorf("body %q", r.body)
	}
	expectGuarded(t, r)
}

func TestMetricsAreCompressedForThoseWhoAsk(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{Gatherer: metrics.New("v1").Gatherer()})
	r := s.send(t, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
	if r.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("header %v", r.header)
	}
	plain, err := gzip.NewReader(strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil || !bytes.Contains(text, []byte("sallyport_build_info")) {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAScrapeThatFailsIsSeenToFail(t *testing.T) {
	t.Parallel()
	broken := prometheus.NewRegistry()
	broken.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fine", Help: "Fine."}, func() float64 { return 1 }), sick{})
	s := open(t, admin.Options{Gatherer: broken})
	r := s.ask(t, http.MethodGet, "/metrics")
	if detail := expectProblem(t, r, http.StatusInternalServerError); strings.Contains(detail, "secret") {
		t.Errorf("the answer tells: %q", detail)
	}
	if !strings.Contains(s.log.String(), "the secret cause") {
		t.Errorf("log %q", s.log)
	}
	expectGuarded(t, r)
}

// sick is a collector that cannot collect.
type sick struct{}

func (sick) desc() *prometheus.Desc                 { return prometheus.NewDesc("sick", "Sick.", nil, nil) }
func (s sick) Describe(out chan<- *prometheus.Desc) { out <- s.desc() }
func (s sick) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.NewInvalidMetric(s.desc(), errors.New("the secret cause"))
}

func TestScrapesAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	const most = 4
	begun, release := make(chan struct{}), make(chan struct{})
	slow := prometheus.NewRegistry()
	slow.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "slow", Help: "Slow."}, func() float64 {
		begun <- struct{}{}
		<-release
		return 1
	}))
	s := open(t, admin.Options{Gatherer: slow})
	var scrapes sync.WaitGroup
	for range most {
		scrapes.Go(func() {
			if r := s.ask(t, http.MethodGet, "/metrics"); r.status != http.StatusOK {
				t.Errorf("%d %q", r.status, r.body)
			}
		})
	}
	for range most {
		<-begun
	}
	r := s.ask(t, http.MethodGet, "/metrics")
	expectProblem(t, r, http.StatusServiceUnavailable)
	if r := s.ask(t, http.MethodGet, "/livez"); r.status != http.StatusOK {
		t.Errorf("livez while scrapes go on: %d", r.status)
	}
	close(release)
	scrapes.Wait()
	go func() { <-begun }()
	if r := s.ask(t, http.MethodGet, "/metrics"); r.status != http.StatusOK {
		t.Errorf("afterwards: %d", r.status)
	}
}

func TestOnlyKnownPathsAreThereAndOnlyToBeRead(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{Ready: ready, Gatherer: metrics.New("").Gatherer()})
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		r := s.ask(t, http.MethodHead, path)
		if r.status != http.StatusOK || r.body != "" {
			t.Errorf("HEAD %s: %d %q", path, r.status, r.body)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "BREW"} {
			r := s.ask(t, method, path)
			expectProblem(t, r, http.StatusMethodNotAllowed)
			expectGuarded(t, r)
			if allow := r.header.Get("Allow"); allow != "GET, HEAD" {
				t.Errorf("%s %s: Allow %q", method, path, allow)
			}
		}
	}
	for _, path := range []string{"/", "/metrics/", "//metrics", "/livez/..", "/LIVEZ", "/debug/pprof/", "/api/v1/", "*"} {
		method := http.MethodGet
		if path == "*" {
			method = http.MethodOptions
		}
		r := s.ask(t, method, path)
		expectProblem(t, r, http.StatusNotFound)
		expectGuarded(t, r)
	}
}

func TestWithoutAGathererThereAreNoMetrics(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{})
	r := s.ask(t, http.MethodGet, "/metrics")
	expectProblem(t, r, http.StatusNotFound)
}

func TestAStrangersNameGetsNoAnswer(t *testing.T) { // DNS rebinding
	t.Parallel()
	s := open(t, admin.Options{Ready: ready, Gatherer: metrics.New("").Gatherer(), Hosts: []string{"gateway.svc"}})
	tests := []struct {
		name string
		head string // %s is the port
		want int
	}{
		{"an address", "GET /livez HTTP/1.1\r\nHost: 127.0.0.1", 200},
		{"an address with the port", "GET /livez HTTP/1.1\r\nHost: 127.0.0.1:%s", 200},
		{"another address of the machine", "GET /livez HTTP/1.1\r\nHost: 192.0.2.1:%s", 200},
		{"an IPv6 address", "GET /livez HTTP/1.1\r\nHost: [::1]:%s", 200},
		{"an IPv6 address without a port", "GET /livez HTTP/1.1\r\nHost: [::1]", 200},
		{"localhost", "GET /livez HTTP/1.1\r\nHost: localhost:%s", 200},
		{"localhost in capitals", "GET /livez HTTP/1.1\r\nHost: LOCALHOST", 200},
		{"localhost with a dot", "GET /livez HTTP/1.1\r\nHost: localhost.:%s", 200},
		{"absolute form", "GET http://localhost/livez HTTP/1.1\r\nHost: stranger.example", 200},
		{"HTTP/1.0 with a host", "GET /livez HTTP/1.0\r\nHost: localhost", 200},
		{"HTTP/1.0 without a host", "GET /livez HTTP/1.0", 200},
		{"a name that was allowed", "GET /livez HTTP/1.1\r\nHost: gateway.svc:%s", 200},

		{"a stranger", "GET /livez HTTP/1.1\r\nHost: stranger.example", 421},
		{"a stranger with the port", "GET /metrics HTTP/1.1\r\nHost: stranger.example:%s", 421},
		{"a stranger in absolute form", "GET http://stranger.example/metrics HTTP/1.1\r\nHost: localhost", 421},
		{"a stranger asking for nothing", "GET /nothing HTTP/1.1\r\nHost: stranger.example", 421},
		{"a stranger writing", "POST /metrics HTTP/1.1\r\nHost: stranger.example", 421},
		{"a name below localhost", "GET /livez HTTP/1.1\r\nHost: a.localhost", 421},
		{"a name that begins as localhost", "GET /livez HTTP/1.1\r\nHost: localhost.stranger.example", 421},
		{"a name that begins as an address", "GET /livez HTTP/1.1\r\nHost: 127.0.0.1.stranger.example", 421},
		{"a number that resolvers take for an address", "GET /livez HTTP/1.1\r\nHost: 2130706433", 421},
		{"a short address", "GET /livez HTTP/1.1\r\nHost: 127.1", 421},
		{"an empty host", "GET /livez HTTP/1.1\r\nHost: ", 421},
		{"a stranger behind user information", "GET http://localhost:1@stranger.example/livez HTTP/1.1\r\nHost: localhost", 421},
		{"a port that is none", "GET /livez HTTP/1.1\r\nHost: localhost:http", 421},
		{"a port alone", "GET /livez HTTP/1.1\r\nHost: :%s", 421},
		{"a stranger with HTTP/1.0", "GET /livez HTTP/1.0\r\nHost: stranger.example", 421},
		{"a name that was allowed and then some", "GET /livez HTTP/1.1\r\nHost: gateway.svc.stranger.example", 421},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := s.send(t, strings.ReplaceAll(test.head, "%s", s.port(t))+"\r\nConnection: close\r\n\r\n")
			expectGuarded(t, r)
			if test.want == http.StatusOK {
				if r.status != http.StatusOK {
					t.Errorf("%d %q", r.status, r.body)
				}
				return
			}
			expectProblem(t, r, test.want)
		})
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{})
	r := s.send(t, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Large: "+strings.Repeat("x", 16<<10)+"\r\n\r\n")
	if r.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", r.status)
	}
}

func TestRequestsEndBeforeTheAddressIsGivenUp(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	s := open(t, admin.Options{Ready: func() error {
		close(asked)
		<-answer
		return nil
	}})
	got := make(chan int)
	go func() {
		r := s.ask(t, http.MethodGet, "/readyz")
		got <- r.status
	}()
	<-asked
	s.stop()
	for { // until nobody listens any more; what is accepted until then is closed
		c, err := net.Dial("tcp", s.server.Address())
		if err != nil {
			break
		}
		c.Close()
	}
	close(answer)
	if status := <-got; status != http.StatusOK {
		t.Errorf("the request that was open got %d", status)
	}
}

func TestTheAddressIsGivenUpWhenServeIsCalledTooLate(t *testing.T) {
	t.Parallel()
	server, err := admin.Listen(t.Context(), admin.Options{Address: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Serve(ctx); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", server.Address()); err == nil {
		c.Close()
		t.Error("the address is still open")
	}
	if err := server.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), server.Address()) {
		t.Errorf("serving twice: %v", err)
	}
}
