package gateway_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

var serverAuthOnly = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}

func sum(e *testpki.Entity) string { return identity.Thumbprint(e.Cert).String() }

func TestTheServerNameAndTheHostMustHaveTheSameProfile(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	for _, c := range []struct {
		name       string
		serverName string
		who        *testpki.Entity
		host       string
		path       string
		status     int
		reason     string
	}{
		{"the same name", "lax.example.test", nil, "lax.example.test", "/anyone/", 200, ""},
		{"another name of the same profile", "a.b2b.example.test", s.a, "b.b2b.example.test", "/b2b/", 200, ""},
		{"a strict host on a lax connection", "localhost", nil, "strict.example.test", "/anyone/", 421, "misdirected_request"},
		{"a lax host on a strict connection", "strict.example.test", s.a, "localhost", "/anyone/", 421, "misdirected_request"},
		{"a wildcard host on a lax connection", "lax.example.test", s.a, "a.b2b.example.test", "/b2b/", 421, "misdirected_request"},
		{"upper case", "localhost", nil, "STRICT.Example.Test", "/anyone/", 421, "misdirected_request"},
		{"a trailing dot", "localhost", nil, "strict.example.test.", "/anyone/", 421, "misdirected_request"},
		{"a port", "localhost", nil, "strict.example.test:8443", "/anyone/", 421, "misdirected_request"},
		{"all three, and right", "strict.example.test", s.a, "STRICT.example.test.:443", "/strict/", 200, ""},
		{"deeper below the wildcard", "lax.example.test", s.a, "x.y.b2b.example.test", "/b2b/", 421, "misdirected_request"},
		{"the wildcard's own suffix is not below it", "localhost", nil, "b2b.example.test", "/anyone/", 200, ""},
		{"an unknown host is the default's", "localhost", nil, "unknown.test", "/anyone/", 200, ""},
		{"an unknown host on a strict connection", "strict.example.test", s.a, "unknown.test", "/anyone/", 421, "misdirected_request"},
		{"no server name, a host of the default", "", nil, "localhost", "/anyone/", 200, ""},
		{"no server name, a strict host", "", nil, "strict.example.test", "/anyone/", 401, "certificate_missing"},
		{"no server name, an API of a strict host", "", nil, "strict.example.test", "/strict/", 401, "certificate_missing"},
		{"no server name, a host that would ask", "", nil, "a.b2b.example.test", "/b2b/", 401, "certificate_missing"},
		{"two hosts in one", "localhost", nil, "localhost,strict.example.test", "/anyone/", 400, "request_malformed"},
		{"a user in the host", "localhost", nil, "localhost@strict.example.test", "/anyone/", 400, "request_malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s.raw("public", c.serverName, c.who, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", c.path, c.host)).is(t, c.status, c.reason)
		})
	}
}

func TestAnAbsoluteFormTargetIsTheHost(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	s.raw("public", "localhost", nil, "GET https://strict.example.test/anyone/ HTTP/1.1\r\nHost: localhost\r\n\r\n").
		is(t, 421, "misdirected_request")
	s.raw("public", "localhost", nil, "GET https://localhost/anyone/x?y=1 HTTP/1.1\r\nHost: strict.example.test\r\n\r\n").is(t, 200, "")
	got := s.backend.got()
	if got.Host != "localhost" || got.RequestURI != "/anyone/x?y=1" {
		t.Errorf("forwarded as %s with host %s", got.RequestURI, got.Host)
	}
	s.raw("public", "localhost", nil, "GET http://evil.test@"+s.backend.address+"/anyone/ HTTP/1.1\r\nHost: localhost\r\n\r\n").
		is(t, 400, "request_malformed")
}

func TestARequestWithoutAHostHasTheDefaultProfile(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	s.raw("public", "localhost", nil, "GET /anyone/ HTTP/1.0\r\n\r\n").is(t, 200, "")
	s.raw("public", "strict.example.test", s.a, "GET /anyone/ HTTP/1.0\r\n\r\n").is(t, 421, "misdirected_request")
	if a := s.raw("public", "localhost", nil, "GET /anyone/ HTTP/1.1\r\n\r\n"); a.status != 400 {
		t.Errorf("HTTP/1.1 without Host: %d", a.status)
	}
	if a := s.raw("public", "localhost", nil, "GET /anyone/ HTTP/1.1\r\nHost: localhost\r\nHost: strict.example.test\r\n\r\n"); a.status != 400 {
		t.Errorf("two Host fields: %d", a.status)
	}
}

func TestAnHTTP2ConnectionIsNotReusedForAnotherProfile(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	c := s.caller("public", "localhost", s.a).http2()
	first := c.get("https://localhost/anyone/")
	first.is(t, 200, "")
	if first.proto != "HTTP/2.0" {
		t.Fatalf("spoke %s", first.proto)
	}
	c.get("https://localhost/anyone/", host("strict.example.test")).is(t, 421, "misdirected_request")
	c.get("https://localhost/b2b/", host("a.b2b.example.test")).is(t, 421, "misdirected_request")
	c.get("https://localhost/anyone/").is(t, 200, "") // the connection itself is fine
}

func TestAConnectionThatWasNeverAskedIsToldToComeAgain(t *testing.T) {
	t.Parallel()
	document := func(auth string) string {
		extra := "  - {name: late, path: /late/, upstream: echo, client_certificate: {mode: optional, trust: [partners]}}\n"
		d := profiles("partners", extra)
		if auth == "optional" {
			d = strings.Replace(d, "client_auth: none", "client_auth: optional", 1)
			d = strings.Replace(d, "path: /late/, upstream: echo, client_certificate: {mode: optional", "path: /late/, upstream: echo, client_certificate: {mode: required", 1)
		}
		return d
	}
	s := newSite(t, document("none"))
	c := s.caller("public", "localhost", s.a)
	c.get("https://localhost/late/").is(t, 200, "")
	s.apply(document("optional"))
	c.get("https://localhost/anyone/").is(t, 200, "") // no request fails that the change does not refuse
	c.get("https://localhost/late/").is(t, 421, "misdirected_request")
	c.transport.CloseIdleConnections()
	c.get("https://localhost/late/").is(t, 200, "")
}

func TestARuleYoungerThanTheConnectionHoldsForIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	c := s.caller("public", "lax.example.test", s.outsider)
	c.get("https://lax.example.test/anyone/").is(t, 200, "")
	s.apply(strings.Replace(profiles("partners", ""), `{server_names: ["lax.example.test"], client_auth: optional}`,
		`{server_names: ["lax.example.test"], client_auth: required, trust: [partners]}`, 1))
	c.get("https://lax.example.test/anyone/").is(t, 403, "certificate_untrusted")
}

func TestARequiredCertificateIsTheProfilesAndTheAPIsAffairAlone(t *testing.T) {
	t.Parallel()
	// An API under every name trusts strangers, and so does one whose host has a profile of its own.
	document := profiles("partners", `  - {name: guests, path: /guests/, upstream: echo, client_certificate: {mode: required, trust: [strangers]}}
  - {name: lab, hosts: [lab.strict.example.test], path: /lab/, upstream: echo, client_certificate: {mode: required, trust: [strangers]}}
`)
	document = strings.Replace(document, `        - {server_names: ["strict.example.test"]`, `        - {server_names: ["*.strict.example.test"], client_auth: required, trust: [partners]}
        - {server_names: ["lab.strict.example.test"], client_auth: optional}
        - {server_names: ["strict.example.test"]`, 1)
	s := newSite(t, document)
	stranger := s.caller("public", "strict.example.test", s.outsider)
	stranger.get("https://strict.example.test/guests/").is(t, 200, "") // the handshake has to let strangers in for it
	stranger.get("https://strict.example.test/anyone/").is(t, 403, "certificate_untrusted")
	stranger.get("https://strict.example.test/strict/").is(t, 403, "certificate_untrusted")
	s.raw("public", "", s.outsider, "GET /strict/ HTTP/1.1\r\nHost: strict.example.test\r\n\r\n").is(t, 401, "certificate_missing")
	partner := s.caller("public", "strict.example.test", s.a)
	partner.get("https://strict.example.test/anyone/").is(t, 200, "")
	partner.get("https://strict.example.test/guests/").is(t, 403, "certificate_untrusted")

	// Below the wildcard only /guests/ is a stranger's: the lab has a profile of its own, so its trust does not count here.
	below := s.caller("public", "x.strict.example.test", s.outsider)
	below.get("https://x.strict.example.test/anyone/").is(t, 403, "certificate_untrusted")
	s.apply(strings.Replace(document, "path: /guests/, upstream: echo, client_certificate: {mode: required, trust: [strangers]}", "path: /guests/, upstream: echo", 1))
	if a := s.caller("public", "x.strict.example.test", s.outsider).get("https://x.strict.example.test/anyone/"); a.err == nil {
		t.Errorf("the handshake lets a stranger in for the sake of an API that has a profile of its own: %+v", a)
	}
	s.caller("public", "lab.strict.example.test", s.outsider).get("https://lab.strict.example.test/lab/").is(t, 200, "")
}

func TestWhichAPIsThereAreIsNotToldToStrangersOfAStrictProfile(t *testing.T) {
	t.Parallel()
	document := strings.Replace(profiles("partners", ""), "client_auth: none", "client_auth: optional", 1)
	s := newSite(t, document+"  - {name: reading, hosts: [strict.example.test], path: /reading/, methods: [GET], upstream: echo}\n")
	stranger := s.caller("public", "", s.outsider) // no server name: the default profile lets it in
	for _, target := range []string{"GET /nowhere/", "GET /strict/", "DELETE /reading/", "GET /strict/a%2fb"} {
		method, path, _ := strings.Cut(target, " ")
		a := s.rawWith(stranger, method+" "+path+" HTTP/1.1\r\nHost: strict.example.test\r\n\r\n")
		a.is(t, 403, "certificate_untrusted")
		if a.header.Get("Allow") != "" {
			t.Errorf("%s: Allow: %s", target, a.header.Get("Allow"))
		}
	}
	partner := s.caller("public", "strict.example.test", s.a)
	partner.get("https://strict.example.test/nowhere/").is(t, 404, "no_route")
	s.rawWith(partner, "DELETE /reading/ HTTP/1.1\r\nHost: strict.example.test\r\n\r\n").is(t, 405, "method_not_allowed")
}

func TestARefusalByOtherTrustLeavesTheConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", "  - {name: other, hosts: ['*.b2b.example.test'], path: /other/, upstream: echo, client_certificate: {mode: required, trust: [strangers]}}\n"))
	c := s.caller("public", "a.b2b.example.test", s.a)
	c.get("https://a.b2b.example.test/b2b/").is(t, 200, "")
	refused := c.get("https://a.b2b.example.test/other/")
	refused.is(t, 403, "certificate_untrusted")
	if refused.closes {
		t.Error("a store that never accepted the caller ended the connection")
	}
	c.get("https://a.b2b.example.test/b2b/").is(t, 200, "")
}

func TestAVersionOfTLSCannotBeAvoidedByNamingNoServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(profiles("partners", ""), `{server_names: ["lax.example.test"], client_auth: optional}`,
		`{server_names: ["lax.example.test"], client_auth: optional, min_version: "1.3"}`, 1))
	c := s.caller("public", "", nil)
	c.tls.MaxVersion = tls.VersionTLS12
	c.get("https://localhost/anyone/").is(t, 200, "")
	c.get("https://localhost/anyone/", host("lax.example.test")).is(t, 421, "misdirected_request")
	s.caller("public", "", nil).get("https://localhost/anyone/", host("lax.example.test")).is(t, 200, "")
}

func TestAPlainConnectionDoesNotOutliveTheTurnToTLS(t *testing.T) {
	t.Parallel()
	s := newSite(t, withListener(`{name: more, address: "127.0.0.2:0"}`))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address("more"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	for _, want := range []int{200, 421} {
		fmt.Fprint(conn, "GET /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
		response, err := http.ReadResponse(in, nil)
		if err != nil || response.StatusCode != want || response.Close != (want == 421) {
			t.Fatalf("want %d: %v %v", want, response, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		s.apply(withListener(`{name: more, address: "127.0.0.2:0", tls: {credentials: [server]}}`))
	}
}

func TestAnAPIOfAnotherListenerIsNotThere(t *testing.T) {
	t.Parallel()
	document := strings.Replace(firstDocument, "credentials:\n  - {name: server", `  - {name: plain, address: 127.0.0.1:0}
credentials:
  - {name: server`, 1)
	document = strings.Replace(document, "{name: open, path: /open/", "{name: open, listeners: [public], path: /open/", 1)
	document = strings.Replace(document, "127.0.0.1:0\n    tls", "127.0.0.2:0\n    tls", 1)
	s := newSite(t, document)
	s.caller("public", "localhost", nil).get("https://localhost/open/").is(t, 200, "")
	plain := s.caller("plain", "localhost", nil)
	plain.get("http://localhost/open/").is(t, 404, "no_route")
	plain.get("http://localhost/orders/").is(t, 401, "certificate_missing")
	plain.get("http://localhost/reading/", func(r *http.Request) { r.Header.Set("Client-Cert", ":AAAA:") }).is(t, 200, "")
	if got := s.backend.got().Header.Get("Client-Cert"); got != "" {
		t.Errorf("a spoofed header passed a plain listener: %q", got)
	}
}

func TestAnotherNameOfATLSProfileCostsNobodyTheConnection(t *testing.T) {
	t.Parallel()
	const document = `
listeners:
  - name: public
    address: 127.0.0.1:0
    tls: {credentials: [server], profiles: [{server_names: [a.example.test], client_auth: optional}]}
credentials: [{name: server, certificate: {file: server.pem}, private_key: {file: server.key}}]
upstreams: [{name: echo, targets: ["http://BACKEND"]}]
apis: [{name: open, path: /, upstream: echo}]
`
	s := newSite(t, document)
	c := s.caller("public", "a.example.test", nil)
	if a := c.get("https://a.example.test/"); a.status != http.StatusOK {
		t.Fatalf("at first: %d %s", a.status, a.reason)
	}
	s.apply(strings.Replace(document, "[a.example.test]", "[a.example.test, b.example.test]", 1))
	if a := c.get("https://a.example.test/"); a.status != http.StatusOK || a.closes {
		t.Errorf("after another name was added: %d %s", a.status, a.reason)
	}
	s.apply(strings.Replace(document, "[a.example.test]", "[b.example.test]", 1))
	if a := c.get("https://a.example.test/"); a.status != http.StatusOK {
		t.Errorf("after the name went to the default profile: %d %s", a.status, a.reason)
	}
}
