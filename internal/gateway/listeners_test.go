package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/testpki"
)

// withListener is firstDocument with one more listener.
func withListener(line string) string {
	return strings.Replace(firstDocument, "credentials:\n  - {name: server", "  - "+line+"\ncredentials:\n  - {name: server", 1)
}

func TestListenersComeAndGoWithoutTouchingTheOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	stays := s.caller("public", "localhost", s.a)
	stays.get("https://localhost/orders/").is(t, 200, "")
	before := s.address("public")
	s.apply(withListener(`{name: more, address: "127.0.0.2:0"}`))
	if s.address("public") != before {
		t.Error("the listener that stays moved")
	}
	more := s.address("more")
	s.caller("more", "", nil).get("http://localhost/open/").is(t, 200, "")
	s.apply(firstDocument)
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", more); err == nil {
		conn.Close()
		t.Error("the listener that was removed still accepts")
	}
	stays.get("https://localhost/orders/").is(t, 200, "")
}

func TestAListenerTurnsToTLSAndBackOnItsSocket(t *testing.T) {
	t.Parallel()
	plain := withListener(`{name: more, address: "127.0.0.2:0"}`)
	s := newSite(t, plain)
	s.caller("more", "", nil).get("http://localhost/open/").is(t, 200, "")
	address := s.address("more")
	s.apply(withListener(`{name: renamed, address: "127.0.0.2:0", tls: {credentials: [server]}}`))
	if s.address("renamed") != address {
		t.Error("the socket was not kept")
	}
	s.caller("renamed", "localhost", nil).get("https://localhost/open/").is(t, 200, "")
	s.apply(plain)
	s.caller("more", "", nil).get("http://localhost/open/").is(t, 200, "")
}

func TestAnAddressThatIsTakenChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	snapshot, err := s.compile(withListener(fmt.Sprintf("{name: taken, address: %q}", s.backend.address)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.gateway.Swap(snapshot); err == nil || !strings.Contains(err.Error(), `listener "taken"`) {
		t.Errorf("the swap says %v", err)
	}
	if g := s.gateway.Snapshot().Generation(); g != 1 {
		t.Errorf("generation %d runs", g)
	}
	s.caller("public", "localhost", s.a).get("https://localhost/orders/").is(t, 200, "")
}

func TestARequestInFlightEndsOnAListenerThatIsRemoved(t *testing.T) {
	t.Parallel()
	s := newSite(t, withListener(`{name: more, address: "127.0.0.2:0"}`))
	began, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-release
		_, _ = io.WriteString(w, "late")
	}))
	t.Cleanup(slow.Close)
	s.apply(strings.Replace(withListener(`{name: more, address: "127.0.0.2:0"}`), "http://BACKEND", slow.URL, 1))
	caller, answers := s.caller("more", "", nil), make(chan answer, 1)
	go func() { answers <- caller.get("http://localhost/open/") }()
	<-began
	s.apply(firstDocument)
	close(release)
	if a := <-answers; a.err != nil || a.status != 200 || a.body != "late" {
		t.Errorf("the request in flight got %+v", a)
	}
}

func TestAListenerServesItsProtocolsOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, withListener(`{name: h2c, address: "127.0.0.2:0", protocols: [h1, h2c]}
  - {name: h1, address: "127.0.0.3:0"}
  - {name: only1, address: "127.0.0.4:0", protocols: [h1], tls: {credentials: [server]}}
  - {name: only2, address: "127.0.0.5:0", protocols: [h2], tls: {credentials: [server]}}`))
	var prior http.Protocols
	prior.SetUnencryptedHTTP2(true)
	c := s.caller("h2c", "", nil)
	c.transport.Protocols = &prior
	if a := c.get("http://localhost/open/"); a.status != 200 || a.proto != "HTTP/2.0" {
		t.Errorf("h2c: %+v", a)
	}
	c = s.caller("h1", "", nil)
	c.transport.Protocols = &prior
	if a := c.get("http://localhost/open/"); a.err == nil { // what it reads is HTTP/1
		t.Errorf("h2c where it is not served: %+v", a)
	}
	if a := s.caller("only1", "localhost", nil).http2().get("https://localhost/open/"); a.err == nil {
		t.Errorf("h2 where it is not served: %+v", a)
	}
	if a := s.caller("only2", "localhost", nil).http2().get("https://localhost/open/"); a.status != 200 || a.proto != "HTTP/2.0" {
		t.Errorf("h2 alone: %+v", a)
	}
	if a := s.raw("only2", "localhost", nil, "GET /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n"); a.err == nil && a.status != 400 {
		t.Errorf("HTTP/1.1 where it is not served: %+v", a)
	}
}

func TestOldTLSVersionsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, withListener(`{name: modern, address: "127.0.0.2:0", tls: {credentials: [server], min_version: "1.3"}}`))
	for _, c := range []struct {
		listener string
		version  uint16
		ok       bool
	}{
		{"public", tls.VersionTLS11, false},
		{"public", tls.VersionTLS12, true},
		{"public", tls.VersionTLS13, true},
		{"modern", tls.VersionTLS12, false},
		{"modern", tls.VersionTLS13, true},
	} {
		caller := s.caller(c.listener, "localhost", nil)
		caller.tls.MinVersion, caller.tls.MaxVersion = c.version, c.version
		if a := caller.get("https://localhost/open/"); (a.err == nil) != c.ok {
			t.Errorf("%s, TLS %x: %v", c.listener, c.version, a.err)
		}
	}
}

func TestTheHandshakeAnnouncesWhatItsAPIsTrust(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", "  - {name: lax, hosts: [lax.example.test], path: /lax/, upstream: echo, client_certificate: {mode: optional, trust: [strangers]}}\n"))
	for name, want := range map[string][]*testpki.Entity{
		"lax.example.test":    {s.stranger},
		"a.b2b.example.test":  {s.ca},
		"strict.example.test": {s.ca},
	} {
		c := s.caller("public", name, s.a)
		var announced []string
		inner := c.tls.GetClientCertificate
		c.tls.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			for _, ca := range r.AcceptableCAs {
				announced = append(announced, string(ca))
			}
			return inner(r)
		}
		if a := c.get("https://" + name + "/anyone/"); a.status != 200 {
			t.Errorf("%s: %+v", name, a)
		}
		if len(announced) != len(want) || announced[0] != string(want[0].Cert.RawSubject) {
			t.Errorf("%s announces %q", name, announced)
		}
	}
}

func TestManyAnchorsDoNotBreakTheHandshake(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, n := range []int{100, 1500} {
		var bundle strings.Builder
		bundle.Write(s.ca.PEM())
		for i := range n {
			pin := testpki.NewSelfSigned(t, testpki.Options{CommonName: fmt.Sprintf("a caller with a name of some length %d", i), Signer: s.a.Key})
			bundle.Write(pin.PEM())
		}
		writeFile(t, s.dir, "ca.pem", bundle.String())
		s.apply(firstDocument)
		s.caller("public", "localhost", s.a).get("https://localhost/orders/").is(t, 200, "")
	}
}

func TestShutdownLetsRequestsEndAndRefusesMore(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	address := s.address("public")
	s.caller("public", "localhost", s.a).get("https://localhost/orders/").is(t, 200, "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.gateway.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address); err == nil {
		conn.Close()
		t.Error("a gateway that is shut down accepts")
	}
	snapshot, err := s.compile(firstDocument)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.gateway.Swap(snapshot); err == nil {
		t.Error("a gateway that is shut down takes another snapshot")
	}
}

func TestABackendThatIsSlowIs504(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	s.apply(strings.Replace(firstDocument, `targets: ["http://BACKEND"]}`, fmt.Sprintf(`targets: ["http://%s"], timeouts: {response: 50ms}}`, silent.Addr()), 1))
	s.caller("public", "localhost", nil).get("https://localhost/open/").is(t, 504, "upstream_unavailable")
}

func TestABackendOverTLSIsCheckedAgainstItsStores(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secure") }))
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{s.ca.Leaf(t, testpki.Options{Hosts: []string{"backend.test"}}).TLS()}, MinVersion: tls.VersionTLS12}
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) // refusals are the point
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for settings, status := range map[string]int{
		"tls: {trust: [partners], server_name: backend.test}": 200,
		"tls: {trust: [partners]}":                            502, // 127.0.0.1 is not its name
		"tls: {server_name: backend.test}":                    502, // the system does not know the CA
		fmt.Sprintf("tls: {trust: [partners], server_name: backend.test, pin_spki_sha256: [%s]}", sum(s.a)): 502,
	} {
		s.apply(strings.Replace(firstDocument, `targets: ["http://BACKEND"]}`, fmt.Sprintf(`targets: [%q], %s}`, secure.URL, settings), 1))
		if a := s.caller("public", "localhost", nil).get("https://localhost/open/"); a.status != status {
			t.Errorf("%s: %d, want %d", settings, a.status, status)
		}
	}
}

func TestAccessLogPolicies(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]int{"on": 10, "off": 0, "sampled, sample_every: 5": 2} {
		s := newSite(t, firstDocument+"log: {access: "+policy+"}\n")
		c := s.caller("public", "localhost", nil)
		for range 10 {
			c.get("https://localhost/open/").is(t, 200, "")
		}
		refused := c.get("https://localhost/orders/") // always recorded, and recorded last
		s.records.wait(t, func(r map[string]any) bool { return r["request_id"] == refused.header.Get("X-Request-ID") })
		allowed := 0
		s.records.mu.Lock()
		for _, r := range s.records.lines {
			if r["decision"] == "allow" {
				allowed++
			}
		}
		s.records.mu.Unlock()
		if allowed != want {
			t.Errorf("access: %s records %d of 10 allowed requests, want %d", policy, allowed, want)
		}
	}
}

func TestAnswersCanBeChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t, rules("", "", "{mode: required, trust: [partners], errors: {hide_reason: true, missing: {status: 403, detail: Bring a certificate.}, refused: {status: 404}}}"))
	a := s.caller("public", "localhost", nil).get("https://localhost/")
	if a.status != 403 || a.reason != "" || !strings.Contains(a.body, "Bring a certificate.") || strings.Contains(a.body, "certificate_missing") {
		t.Errorf("missing: %d %s", a.status, a.body)
	}
	a = s.caller("public", "localhost", s.outsider).get("https://localhost/")
	if a.status != 404 || a.reason != "" || strings.Contains(a.body, "untrusted") {
		t.Errorf("refused: %d %s", a.status, a.body)
	}
	s.records.wait(t, func(r map[string]any) bool { return r["reason"] == "certificate_untrusted" && r["status"] == 404.0 })
}

func TestHeadGetsAnAnswerWithoutABody(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	c := s.caller("public", "localhost", nil)
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(t.Context(), "tcp", s.address("public"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "HEAD /orders/ HTTP/1.1\r\nHost: localhost\r\n\r\nGET /open/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	in := bufio.NewReader(conn)
	for _, want := range []int{401, 200} { // a body would be read as the beginning of the second answer
		method := map[int]string{401: "HEAD", 200: "GET"}[want]
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil || response.StatusCode != want {
			t.Fatalf("%s: %v %v", method, response, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

func TestADocumentWithWhatIsNotBuiltIsRefusedByName(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for addition, says := range map[string]string{
		"users: [{name: u, provider: p}]\nidentity_providers: [{name: p, type: internal}]": "users",
		"plans: [{name: p, rate_limit: {requests: 1, per: 1s}}]":                           "plans",
		"orgs: [{name: o}]":                   "orgs",
		"upstream_credentials: {'*': server}": "upstream_credentials",
		"  - {name: x, path: /x/, upstream: echo, policy: [{require_tls: {}}, {set_header: {X-A: b}}]}":                                `set_header in the policy of API "x"`,
		"  - {name: x, path: /x/, upstream: echo, policy: [{respond: {status: 403}}]}":                                                 `respond in the policy of API "x"`,
		"  - {name: x, path: /x/, upstream: echo, policy: [{choose: [{then: [{require_tls: {}}]}]}]}":                                  `choose in the policy of API "x"`,
		"  - {name: x, path: /x/, upstream: echo, policy: [{validate_client_certificate: {validate_revocation: false}}]}":              `validate_client_certificate in the policy of API "x"`,
		"  - {name: x, path: /x/, upstream: echo, authentication: {methods: [{certificate_key: {}}]}}":                                 `authentication of API "x"`,
		"  - {name: x, path: /x/, upstream: echo, client_certificate: {mode: optional, trust: [partners], on_invalid: present}}":       "on_invalid: present",
		"  - {name: x, path: /x/, upstream: echo, client_certificate: {mode: required, trust: [partners], forward: [{format: xfcc}]}}": "forward",
	} {
		_, err := s.compile(firstDocument + addition + "\n")
		list, ok := err.(config.ErrorList) //nolint:errorlint // compile wraps nothing
		if !ok || !strings.Contains(err.Error(), says) || list[0].Line == 0 || !strings.Contains(err.Error(), "this build does not run yet") {
			t.Errorf("%s: %v", addition, err)
		}
	}
}
