package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
)

// gate is a backend that lets go of requests below /orders/slow only when it is told to.
type gate struct {
	arrived chan struct{} // a value for each request that waits
	open    chan struct{}
}

// runGate starts a gate where the site's document expects the backend.
func (s *site) runGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{arrived: make(chan struct{}, 16), open: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:"+s.ports[portBackend])
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Backend-Saw-Request-Id", r.Header.Get("X-Request-ID"))
		if strings.HasPrefix(r.URL.Path, "/orders/slow") {
			g.arrived <- struct{}{}
			select {
			case <-g.open:
			case <-r.Context().Done():
				return
			}
		}
		fmt.Fprintln(w, "backend")
	})}}
	server.Start()
	t.Cleanup(server.Close)
	return g
}

// slow starts a call that waits at the gate, and returns once it is there.
func (s *site) slow(t testing.TB, g *gate, c call) *process {
	t.Helper()
	p := start(t, s.curl(t, c))
	select {
	case <-g.arrived:
	case <-p.Exited:
		t.Fatalf("the request did not wait: %s", p.Said())
	}
	return p
}

// finished waits for a call that was let go and returns its answer.
func finished(t testing.TB, p *process) reply {
	t.Helper()
	code := p.ExitCode(t)
	return parseReply(t, result{Code: code, Stdout: p.Stdout.Text(), Stderr: p.Stderr.Text()})
}

// orders is a call of the protected API of 01-first.yaml.
func (s *site) orders(caller string) call {
	return call{serverName: "localhost", port: s.ports[portPublic], path: "/orders/", caller: caller}
}

// wantStatus makes a call and fails unless the status is the wanted one; 0 is no answer at all.
func (s *site) wantStatus(t testing.TB, c call, want int) {
	t.Helper()
	if got := s.call(t, c); got.status != want {
		t.Errorf("%s as %q: %s; want status %d", c.url(), c.caller, got, want)
	}
}

// edit replaces a piece of a document of the site, which must be there.
func (s *site) edit(t testing.TB, document, old, text string) {
	t.Helper()
	before := s.read(t, document)
	if !strings.Contains(before, old) {
		t.Fatalf("%s has no %q", document, old)
	}
	s.replace(t, document, strings.ReplaceAll(before, old, text))
}

func TestReloadOfATrustStoresFile(t *testing.T) {
	t.Parallel()
	const document, anchors = "01-first.yaml", "pki/anchors.pem"
	s := newSite(t)
	runNginx(t, s.ports[portBackend])
	partners, strangers := s.read(t, "pki/ca.pem"), s.read(t, "pki/stranger-ca.pem")
	s.write(t, anchors, partners)
	s.edit(t, document, "pki/ca.pem", anchors)
	g := s.runGateway(t, document)
	s.wantStatus(t, s.orders("partner-a"), 200)
	s.wantStatus(t, s.orders("stranger"), 403)

	open := s.openssl(t, portPublic, "partner-a", "-servername", "localhost", "-quiet")
	const get = "GET /orders/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
	open.send(t, get)
	open.Await(t, open.Stdout, 0, "an answer", func(line string) bool { return line == "backend" })

	from := g.Stdout.Count()
	s.replace(t, anchors, strangers)
	if r := g.awaitLog(t, from, "reloaded"); r.Trigger != "file change" || r.Generation != 2 {
		t.Errorf("reloaded by %q as generation %d, want a file change and 2", r.Trigger, r.Generation)
	}
	s.wantStatus(t, s.orders("partner-a"), 403)
	s.wantStatus(t, s.orders("stranger"), 200) // it has the name that is allowed

	open.send(t, get)
	open.ExitCode(t) // the gateway closes a connection whose certificate fell
	got := parseAnswer(t, afterFirst(open.Stdout.Text(), "backend\n"))
	if got.status != 403 {
		t.Errorf("status %d on the connection that was open, want 403", got.status)
	}
	if r := g.access(t, got.requestID); r.Reason != "certificate_untrusted" || r.Generation != 2 {
		t.Errorf("the record says %q of generation %d, want certificate_untrusted of 2", r.Reason, r.Generation)
	}

	s.write(t, anchors, partners+strangers)
	g.hangup(t, "reloaded")
	s.wantStatus(t, s.orders("partner-a"), 200)
	s.wantStatus(t, s.orders("stranger"), 200)

	for name, spoil := range map[string]func(){
		"no certificate":     func() { s.write(t, anchors, "no certificate\n") },
		"an empty file":      func() { s.write(t, anchors, "") },
		"a file that is cut": func() { s.replace(t, anchors, partners[:len(partners)/2]) },
		"a file that is gone": func() {
			if err := os.Remove(s.path(anchors)); err != nil {
				t.Error(err)
			}
		},
	} {
		from := g.Stdout.Count()
		spoil()
		g.hangup(t, "reload refused; the running configuration stays")
		g.awaitError(t, from, name+" with its place", document+":17:", anchors)
		s.wantStatus(t, s.orders("partner-a"), 200)
		s.wantStatus(t, s.orders("stranger"), 200)
		s.wantStatus(t, s.orders(""), 401)
	}
	s.replace(t, anchors, partners)
	g.hangup(t, "reloaded")
	s.wantStatus(t, s.orders("partner-a"), 200)
	s.wantStatus(t, s.orders("stranger"), 403)
	g.stop(t)
}

func afterFirst(text, separator string) string {
	_, after, _ := strings.Cut(text, separator)
	return after
}

func TestReloadOfABadDocument(t *testing.T) {
	t.Parallel()
	const document = "01-first.yaml"
	s := newSite(t)
	runNginx(t, s.ports[portBackend])
	good := s.read(t, document)
	g := s.runGateway(t, document)
	taken, err := net.Listen("tcp", "127.0.0.1:"+s.ports[portHolders])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // once more is no harm

	const refused = "reload refused; the running configuration stays"
	tests := []struct {
		name, old, text string
		errors          []string // lines that say what is wrong, or parts of them
	}{
		{"no YAML", "listeners:", "listeners: [", []string{document + ":3:3: the text is not YAML"}},
		{"an unknown key", "client_auth:", "clinet_auth:", []string{document + `:7:7: unknown key "clinet_auth" (did you mean "client_auth"?)`}},
		{"two mistakes", "upstream: echo", "upstream: ehco", []string{document + `:26:15: there is no upstream "ehco" (did you mean "echo"?)`, document + `:30:15: there is no upstream "ehco" (did you mean "echo"?)`}},
		{"a section that is not built", "listeners:", "plans: [{name: gold, rate_limit: {requests: 5, per: 1s}}]\nlisteners:", []string{document + ":2:1: this build does not run yet: plans"}},
		{"a port that somebody has", "listeners:", "listeners:\n  - {name: extra, address: " + taken.Addr().String() + "}", []string{`listener "extra": listen tcp ` + taken.Addr().String()}},
	}
	for _, test := range tests {
		if !strings.Contains(good, test.old) {
			t.Fatalf("the document has no %q", test.old)
		}
		from := g.Stdout.Count()
		s.replace(t, document, strings.ReplaceAll(good, test.old, test.text))
		r := g.hangup(t, refused)
		if r.Generation != 1 || r.Level != "ERROR" {
			t.Errorf("%s: level %s, generation %d, want ERROR and 1", test.name, r.Level, r.Generation)
		}
		for _, want := range test.errors {
			g.awaitError(t, from, test.name, want)
		}
		s.wantStatus(t, s.orders("partner-a"), 200)
		s.wantStatus(t, s.orders("stranger"), 403)
		s.wantStatus(t, s.orders(""), 401)
	}
	s.replace(t, document, strings.ReplaceAll(good, "/orders/", "/other/"))
	if r := g.hangup(t, "reloaded"); r.Generation < 2 {
		t.Errorf("reloaded as generation %d", r.Generation)
	}
	s.wantStatus(t, s.orders("partner-a"), 404)
	g.stop(t)
}

// awaitError waits for a record of an error that holds every part, in this order.
func (g *gateway) awaitError(t testing.TB, from int, what string, parts ...string) {
	t.Helper()
	g.awaitRecord(t, from, fmt.Sprintf("%s: %q", what, parts), func(r *logRecord) bool {
		rest, ok := r.Error, r.Level == "ERROR"
		for _, part := range parts {
			var found bool
			_, rest, found = strings.Cut(rest, part)
			ok = ok && found
		}
		return ok
	})
}

func TestListenersChangeUnderARequestInFlight(t *testing.T) {
	t.Parallel()
	const document = "01-first.yaml"
	s := newSite(t)
	backend := s.runGate(t)
	one := s.read(t, document)
	extra := "  - {name: extra, address: 127.0.0.1:" + s.ports[portHolders] + ", tls: {credentials: [server], client_auth: optional}}\n"
	two := strings.Replace(one, "listeners:\n", "listeners:\n"+extra, 1)
	g := s.runGateway(t, document)

	at := func(port, caller, path string) call {
		return call{serverName: "localhost", port: s.ports[port], path: path, caller: caller}
	}
	var inFlight []*process
	for _, protocol := range protocols {
		c := at(portPublic, "partner-a", "/orders/slow")
		c.protocol = protocol
		inFlight = append(inFlight, s.slow(t, backend, c))
	}
	s.wantStatus(t, at(portHolders, "partner-a", "/orders/"), 0)

	s.replace(t, document, two)
	if r := g.hangup(t, "reloaded"); len(r.Listeners) != 2 {
		t.Errorf("listeners %v, want two", r.Listeners)
	}
	s.wantStatus(t, at(portHolders, "partner-a", "/orders/"), 200)
	s.wantStatus(t, at(portHolders, "", "/orders/"), 401)
	inFlight = append(inFlight, s.slow(t, backend, at(portHolders, "partner-a", "/orders/slow")))

	s.replace(t, document, one) // the listener goes while a request on it is in flight
	if r := g.hangup(t, "reloaded"); len(r.Listeners) != 1 {
		t.Errorf("listeners %v, want one", r.Listeners)
	}
	s.wantStatus(t, at(portHolders, "partner-a", "/orders/"), 0)
	s.wantStatus(t, at(portPublic, "partner-a", "/orders/"), 200)

	s.replace(t, document, strings.Replace(one, "client_auth: optional ", "client_auth: required\n      trust: [partners] ", 1))
	g.hangup(t, "reloaded")
	s.wantStatus(t, at(portPublic, "", "/open/"), 0)
	s.wantStatus(t, at(portPublic, "partner-b", "/open/"), 200)

	close(backend.open)
	for _, p := range inFlight {
		if got := finished(t, p); got.status != 200 || got.exit != 0 || got.body != "backend\n" {
			t.Errorf("a request that was in flight: %s", got)
		} else if r := g.access(t, got.requestID()); r.Decision != "allow" || r.Status != 200 {
			t.Errorf("its record: %+v", r)
		}
	}
	g.stop(t)
}

func TestTerminationLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			backend := s.runGate(t)
			g := s.runGateway(t, "01-first.yaml")
			var inFlight []*process
			for _, protocol := range protocols {
				c := s.orders("partner-a")
				c.protocol, c.path = protocol, "/orders/slow"
				inFlight = append(inFlight, s.slow(t, backend, c))
			}
			if err := g.Signal(signal); err != nil {
				t.Fatal(err)
			}
			g.awaitLog(t, 0, "stopping")
			close(backend.open)
			for _, p := range inFlight {
				if got := finished(t, p); got.status != 200 || got.exit != 0 || got.body != "backend\n" {
					t.Errorf("a request that was in flight: %s", got)
				}
			}
			if code := g.ExitCode(t); code != 0 {
				t.Errorf("exit code %d, want 0: %s", code, g.Said())
			}
			g.awaitLog(t, 0, "stopped")
			s.wantStatus(t, s.orders("partner-a"), 0)
		})
	}
}

func TestConfigurationDirectory(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	runNginx(t, s.ports[portBackend])
	common, apis, found := strings.Cut(s.read(t, "01-first.yaml"), "apis:\n")
	if !found {
		t.Fatal("01-first.yaml has no APIs")
	}
	if err := os.Mkdir(s.path("conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(t, "conf/common.yaml", strings.ReplaceAll(common, "pki/", "../pki/"))
	s.write(t, "conf/apis.yaml", "apis:\n"+apis)
	g := s.runGateway(t, "conf")
	more := s.orders("partner-a")
	more.path = "/more/"
	s.wantStatus(t, s.orders("partner-a"), 200)
	s.wantStatus(t, s.orders("partner-b"), 403)
	s.wantStatus(t, more, 404)

	from := g.Stdout.Count()
	s.write(t, "conf/more.yaml", "apis:\n  - {name: more, path: /more/, upstream: echo}\n")
	if r := g.awaitLog(t, from, "reloaded"); r.Trigger != "file change" {
		t.Errorf("reloaded by %q, want a file change", r.Trigger)
	}
	s.wantStatus(t, more, 200)

	from = g.Stdout.Count()
	s.write(t, "conf/twice.yaml", "apis:\n  - {name: more, path: /elsewhere/, upstream: echo}\n")
	g.awaitError(t, from, "the duplicate name with its places", "conf/twice.yaml:2:12: ", `"more"`, "conf/more.yaml:2:12")
	s.wantStatus(t, more, 200)

	from = g.Stdout.Count()
	for _, name := range []string{"conf/twice.yaml", "conf/more.yaml"} {
		if err := os.Remove(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	g.awaitLog(t, from, "reloaded")
	s.wantStatus(t, more, 404)
	s.wantStatus(t, s.orders("partner-a"), 200)
	g.stop(t)
}
