package gateway_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/judge"
	"sallyport/internal/keystore"
	"sallyport/internal/testpki"
)

// autoDocument has names whose APIs all say enforce: auto, and names that share.
const autoDocument = `
listeners:
  - {name: public, address: 127.0.0.1:0, tls: {credentials: [server], client_auth: optionalTLS}}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: strangers, anchors: [{file: stranger-ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
client_certificate: {trust: [partners], enforce: auto}
apis:
  - {name: own, hosts: [own.example.test], path: /, upstream: echo, client_certificate: {mode: required}}
  - {name: listed, hosts: [listed.example.test], path: /, upstream: echo, client_certificate: {mode: required, deny: [{common_name: partner-b}]}}
  - {name: below, hosts: ["*.b2b.example.test"], path: /, upstream: echo, client_certificate: {mode: required}}
  - {name: shared, hosts: [shared.example.test], path: /closed/, upstream: echo, client_certificate: {mode: required}}
  - {name: shared-open, hosts: [shared.example.test], path: /open/, upstream: echo, client_certificate: {mode: none}}
  - {name: partly, hosts: [partly.example.test], path: /orders/, upstream: echo, client_certificate: {mode: required}}
EXTRA`

func autoSays(inTLS, extra string) string {
	if inTLS != "" {
		inTLS = ", " + inTLS
	}
	return strings.NewReplacer("optionalTLS", "optional"+inTLS, "EXTRA", extra).Replace(autoDocument)
}

// alert makes a handshake and returns the alert that ends the connection, by the name that crypto/tls has for it; "" for none.
// With TLS 1.3 it comes after the client's half of the handshake.
func (c *caller) alert() string {
	c.s.t.Helper()
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(c.s.t.Context(), "tcp", c.s.address(c.listener))
	if err == nil {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		hello := "GET / HTTP/1.0\r\n\r\n"
		if slices.Contains(c.tls.NextProtos, "h2") {
			hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" // with empty settings
		}
		_, _ = io.WriteString(conn, hello)
		_, err = conn.Read(make([]byte, 1))
	}
	if err == nil {
		return ""
	}
	_, alert, known := strings.Cut(err.Error(), "remote error: tls: ")
	if !known {
		c.s.t.Errorf("the connection failed without an alert: %v", err)
	}
	return alert
}

func TestEnforceAutoInsistsWhereEveryAPIOfAServerNameDoes(t *testing.T) {
	t.Parallel()
	s := newSite(t, autoSays("", ""))
	const missing, bad = "certificate required", "bad certificate"
	for _, c := range []struct {
		name, serverName, host, path string
		who                          *testpki.Entity
		alert                        string // of the handshake, with TLS 1.3
		status                       int
		reason                       string
	}{
		{"its own name, nothing", "own.example.test", "own.example.test", "/", nil, missing, 0, ""},
		{"its own name, a stranger", "own.example.test", "own.example.test", "/", s.outsider, bad, 0, ""},
		{"its own name, a partner", "own.example.test", "own.example.test", "/", s.a, "", 200, ""},
		{"its own name, in capitals and with a dot", "OWN.example.test", "own.example.test", "/", nil, missing, 0, ""},
		{"below a wildcard, nothing", "x.b2b.example.test", "x.b2b.example.test", "/", nil, missing, 0, ""},
		{"deep below a wildcard, nothing", "y.x.b2b.example.test", "x.b2b.example.test", "/", nil, missing, 0, ""},
		{"below a wildcard, a partner", "x.b2b.example.test", "x.b2b.example.test", "/", s.a, "", 200, ""},
		{"a shared name, nothing", "shared.example.test", "shared.example.test", "/closed/", nil, "", 401, "certificate_missing"},
		{"a shared name, a stranger", "shared.example.test", "shared.example.test", "/closed/", s.outsider, "", 403, "certificate_untrusted"},
		{"a shared name, the open API", "shared.example.test", "shared.example.test", "/open/", s.outsider, "", 200, ""},
		{"a path that no API owns is nobody's", "partly.example.test", "partly.example.test", "/elsewhere/", nil, missing, 0, ""},
		{"a path that no API owns, a partner", "partly.example.test", "partly.example.test", "/elsewhere/", s.a, "", 404, "no_route"},
		{"no server name, nothing", "", "own.example.test", "/", nil, "", 401, "certificate_missing"},
		{"no server name, a stranger", "", "own.example.test", "/", s.outsider, "", 403, "certificate_untrusted"},
		{"no server name, a partner", "", "own.example.test", "/", s.a, "", 200, ""},
		{"no server name, no API", "", "partly.example.test", "/elsewhere/", nil, "", 404, "no_route"},
		{"another name of the profile is no way around", "shared.example.test", "own.example.test", "/", nil, "", 401, "certificate_missing"},
		{"an unknown name is no way around", "unknown.example.test", "own.example.test", "/", nil, "", 401, "certificate_missing"},
		{"nor is it with a stranger's", "unknown.example.test", "own.example.test", "/", s.outsider, "", 403, "certificate_untrusted"},
		{"a denied partner is denied by the API", "listed.example.test", "listed.example.test", "/", s.b, "", 403, "certificate_denied"},
		{"who came in by one name is judged by the other's rules", "own.example.test", "listed.example.test", "/", s.b, "", 403, "certificate_denied"},
		{"who came in by one name may call the open API of another", "own.example.test", "shared.example.test", "/open/", s.a, "", 200, ""},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
				caller := s.caller("public", c.serverName, c.who)
				caller.tls.MinVersion, caller.tls.MaxVersion, caller.tls.InsecureSkipVerify = version, version, true
				if protocol == "HTTP/2.0" {
					caller.http2()
				}
				alert := c.alert
				if alert == missing && version == tls.VersionTLS12 {
					alert = "handshake failure"
				}
				if got := caller.alert(); got != alert {
					t.Errorf("%s, TLS %x, %s: alert %q, want %q", c.name, version, protocol, got, alert)
				} else if alert == "" {
					caller.get("https://"+c.host+c.path, host(c.host)).is(t, c.status, c.reason)
				}
			}
		}
	}
}

func TestARaiseHoldsForConnectionsAndTicketsThatAreOlder(t *testing.T) {
	t.Parallel()
	open := "  - {name: open, hosts: [own.example.test], path: /open/, upstream: echo, client_certificate: {mode: none}}\n"
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newSite(t, autoSays("", open))
		c := s.caller("public", "own.example.test", nil)
		c.tls.MinVersion, c.tls.MaxVersion = version, version
		c.get("https://own.example.test/open/").is(t, 200, "")
		s.apply(autoSays("", ""))
		c.get("https://own.example.test/open/").is(t, 401, "certificate_missing") // the connection is older
		c.transport.CloseIdleConnections()
		if c.alert() == "" { // and so is the ticket
			t.Errorf("TLS %x: a ticket from before the raise led past it", version)
		}
		s.apply(autoSays("", open))
		c.get("https://own.example.test/open/").is(t, 200, "")
	}
}

func TestExplainSaysThatTheHandshakeInsists(t *testing.T) {
	t.Parallel()
	s := newSite(t, autoSays("", ""))
	for _, c := range []struct {
		url, host string
		who       *testpki.Entity
		insists   bool
		alert     string
		reason    string
		check     string
	}{
		{"https://own.example.test/", "", nil, true, "certificate_required", "certificate_missing", "every API under the server name requires"},
		{"https://own.example.test/", "", s.outsider, true, "bad_certificate", "certificate_untrusted", "enforce: auto"},
		{"https://own.example.test/", "", s.a, true, "", "ok", "enforce: auto"},
		{"https://shared.example.test/closed/", "", nil, false, "", "certificate_missing", `the API "shared-open" under that name`},
		{"https://127.0.0.1/", "own.example.test", nil, false, "", "certificate_missing", "the client names no server"},
	} {
		e := s.explain(judge.Question{URL: c.url, Host: c.host, Presented: chain(c.who)})
		var said strings.Builder
		for _, check := range e.Checks {
			said.WriteString(check.Detail + "\n")
		}
		if e.Insists != c.insists || e.Alert != c.alert || e.Reason.String() != c.reason || e.Handshake != (c.alert != "") || !strings.Contains(said.String(), c.check) {
			t.Errorf("%s %s: insists %t, alert %q, %s %s\n%s", c.url, c.host, e.Insists, e.Alert, e.Decision, e.Reason, said.String())
		}
		if c.reason != "ok" && len(e.Changes) == 0 {
			t.Errorf("%s: no advice", c.url)
		}
		if c.alert != "" { // the record of the handshake says it in the same words
			s.caller("public", "own.example.test", c.who).alert()
			s.records.wait(t, func(r map[string]any) bool {
				return r["msg"] == "handshake" && r["reason"] == c.reason && r["detail"] == e.Detail
			})
		}
	}
}

// A certificate that TLS cannot read is not refused, but the handshake ends with an alert all the same.
func TestTheAlertOfAHandshakeThatTLSBreaksOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	p256, prime192 := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1}
	bundle, err := keystore.Look(bytes.Replace(s.outsider.Cert.Raw, p256, prime192, 1), "")
	if err != nil {
		t.Fatal(err)
	}
	unread, presented := bundle.Certificates[0], s.a.TLS()
	presented.Certificate = [][]byte{s.a.Cert.Raw, unread.Raw}
	e := s.explain(judge.Question{URL: "https://localhost/open/", Presented: []*x509.Certificate{s.a.Cert, unread}})
	got := s.callerWith("public", "localhost", presented).alert()
	if e.Alert != "decode_error" || got != "error decoding message" || !e.Handshake || e.Status != 0 {
		t.Errorf("explained as %q with status %d, seen as %q", e.Alert, e.Status, got)
	}
}

// TestTheAlertOfEachRefusal is the table of docs/asking.md, with Go's client; test/e2e has it with openssl.
func TestTheAlertOfEachRefusal(t *testing.T) {
	t.Parallel()
	s := newSite(t, autoSays("profiles: [{server_names: [strict.example.test], client_auth: required, trust: [partners]}]", ""))
	now := s.clock.Now()
	leaf := func(o testpki.Options) *testpki.Entity {
		o.CommonName = "partner-a"
		return s.ca.Leaf(t, o)
	}
	narrow := s.ca.Intermediate(t, testpki.Options{CommonName: "Narrow CA", PathLen: new(0)})
	callers := map[string]*testpki.Entity{
		"certificate_missing":       nil,
		"certificate_untrusted":     s.outsider,
		"certificate_expired":       leaf(testpki.Options{NotAfter: now.Add(-time.Hour)}),
		"certificate_not_yet_valid": leaf(testpki.Options{NotBefore: now.Add(time.Hour)}),
		"certificate_purpose":       leaf(testpki.Options{ExtKeyUsage: serverAuthOnly}),
		"certificate_weak":          leaf(testpki.Options{Key: testpki.RSA1024}),
		"certificate_chain":         narrow.Intermediate(t, testpki.Options{CommonName: "Too deep"}).Leaf(t, testpki.Options{CommonName: "partner-a"}),
		"certificate_malformed": leaf(testpki.Options{Extensions: []pkix.Extension{
			{Id: []int{2, 5, 29, 17}, Value: []byte{0x30, 0x05, 0x82, 0x03, 'a', 0x01, 'b'}},
		}}),
	}
	for reason, who := range callers {
		for _, name := range []string{"strict.example.test", "own.example.test"} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				c := s.caller("public", name, who)
				c.tls.MinVersion, c.tls.MaxVersion = version, version
				want := "bad certificate"
				switch {
				case reason == "certificate_missing" && version == tls.VersionTLS13:
					want = "certificate required"
				case reason == "certificate_missing":
					want = "handshake failure"
				}
				if got := c.alert(); got != want {
					t.Errorf("%s, %s, TLS %x: alert %q, want %q", reason, name, version, got, want)
				}
			}
			s.records.wait(t, func(r map[string]any) bool {
				return r["msg"] == "handshake" && r["reason"] == reason && r["server_name"] == name
			})
		}
	}
}

func TestSessionTicketsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			inTLS   string
			resumes map[string]bool
		}{
			{"", map[string]bool{"own.example.test": true, "strict.example.test": true}},
			{"session_tickets: false", map[string]bool{"own.example.test": false, "strict.example.test": false}},
			{"session_tickets: false, profiles: [{server_names: [strict.example.test], session_tickets: true}]", map[string]bool{"own.example.test": false, "strict.example.test": true}},
			{"profiles: [{server_names: [strict.example.test], session_tickets: false}]", map[string]bool{"own.example.test": true, "strict.example.test": false}},
		} {
			s := newSite(t, autoSays(c.inTLS, ""))
			for name, want := range c.resumes {
				caller := s.caller("public", name, s.a)
				caller.tls.MinVersion, caller.tls.MaxVersion = version, version
				for n := range 2 {
					if resumed, err := connect(t, caller); err != nil || resumed != (want && n == 1) {
						t.Errorf("TLS %x, %q, %s, connection %d: resumed %t, %v", version, c.inTLS, name, n, resumed, err)
					}
				}
			}
		}
	}
}

// Each resumption brings a new ticket, and the first proof of the key is as old as ever.
func TestASessionCannotBeResumedForEver(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newSite(t, autoSays("", ""))
		began := s.clock.Now()
		c := s.caller("public", "own.example.test", s.a)
		c.tls.MinVersion, c.tls.MaxVersion = version, version
		for _, at := range []struct {
			hours   int
			resumes bool
		}{{0, false}, {5, true}, {10, true}, {11, true}, {12, false}, {13, true}, {23, true}, {24, false}} {
			s.clock.set(began.Add(time.Duration(at.hours) * time.Hour))
			if resumed, err := connect(t, c); err != nil || resumed != at.resumes {
				t.Errorf("TLS %x, after %d hours: resumed %t, %v", version, at.hours, resumed, err)
			}
		}
	}
}

func TestASwitchedOffTicketIsOfNoUseAnyMore(t *testing.T) {
	t.Parallel()
	s := newSite(t, autoSays("", ""))
	c := s.caller("public", "own.example.test", s.a)
	if _, err := connect(t, c); err != nil {
		t.Fatal(err)
	}
	s.apply(autoSays("session_tickets: false", ""))
	if resumed, err := connect(t, c); err != nil || resumed {
		t.Errorf("a ticket from before tickets were switched off: resumed %t, %v", resumed, err)
	}
	s.apply(autoSays("", ""))
	if resumed, err := connect(t, c); err != nil || resumed {
		t.Errorf("the old keys came back: resumed %t, %v", resumed, err)
	}
}

// A client with several certificates presents the one that fits what is announced, as Go, Java and Windows do.
func TestClientsThatChooseByAuthoritiesFindTheirs(t *testing.T) {
	t.Parallel()
	s := newSite(t, autoSays("", ""))
	pinned := testpki.NewSelfSigned(t, testpki.Options{CommonName: "partner-a"})
	pinned.Write(t, s.dir, "pinned")
	issued := s.stranger.Leaf(t, testpki.Options{CommonName: "partner-a"})
	issued.Write(t, s.dir, "issued")
	document := strings.Replace(autoSays("", `  - {name: pins, hosts: [pins.example.test], path: /, upstream: echo, client_certificate: {mode: required, trust: [pins]}}
  - {name: issued, hosts: [issued.example.test], path: /, upstream: echo, client_certificate: {mode: required, trust: [issued]}}
`), "trust_stores:", "trust_stores:\n  - {name: pins, anchors: [{file: pinned.pem}]}\n  - {name: issued, anchors: [{file: issued.pem}]}", 1)
	s.apply(document)
	chooses := func(name string, from ...*testpki.Entity) *caller {
		c := s.caller("public", name, nil)
		for _, e := range from {
			c.tls.Certificates = append(c.tls.Certificates, e.TLS())
		}
		return c
	}
	other := testpki.NewSelfSigned(t, testpki.Options{CommonName: "another"})
	chooses("own.example.test", other, s.outsider, pinned, s.a).get("https://own.example.test/").is(t, 200, "")
	chooses("pins.example.test", other, s.outsider, s.a, pinned).get("https://pins.example.test/").is(t, 200, "")
	chooses("issued.example.test", other, s.a, pinned, issued).get("https://issued.example.test/").is(t, 200, "")
	if alert := chooses("pins.example.test", other, s.a).alert(); alert != "certificate required" {
		t.Errorf("a client none of whose certificates fits: %q", alert)
	}
	s.apply(strings.Replace(document, "client_auth: optional", "client_auth: optional, announce_authorities: false", 1))
	if alert := chooses("pins.example.test", other, pinned).alert(); alert != "bad certificate" {
		t.Errorf("where nothing is announced the first certificate is presented, right or wrong: %q", alert)
	}
	chooses("pins.example.test", pinned, other).get("https://pins.example.test/").is(t, 200, "")
}

func TestEachAnnouncementFitsTheHandshake(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, n := range []int{judge.MaxAnnounced/100 - 10, 300} {
		var bundle strings.Builder
		bundle.Write(s.ca.PEM())
		for i := range n {
			pin := testpki.NewSelfSigned(t, testpki.Options{CommonName: fmt.Sprintf("a caller with a name of some length %045d", i), Signer: s.a.Key})
			bundle.Write(pin.PEM())
		}
		writeFile(t, s.dir, "ca.pem", bundle.String())
		s.apply(firstDocument)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := s.caller("public", "localhost", s.a)
			c.tls.MinVersion, c.tls.MaxVersion = version, version
			announced := -1
			inner := c.tls.GetClientCertificate
			c.tls.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				announced = len(r.AcceptableCAs)
				return inner(r)
			}
			c.get("https://localhost/orders/").is(t, 200, "")
			if want := map[bool]int{true: n + 1, false: 0}[n < 200]; announced != want {
				t.Errorf("TLS %x, %d names: %d are announced, want %d", version, n+1, announced, want)
			}
		}
		if notes := s.gateway.Snapshot().Notes(); n > 200 && !strings.Contains(fmt.Sprint(notes), "announces no certificate authorities") {
			t.Errorf("notes %q", notes)
		}
	}
}
