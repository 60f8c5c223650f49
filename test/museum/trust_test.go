package museum_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/testpki"
	"sallyport/test/internal/run"
)

const ordersAndOpen = parts + asking + `
apis:
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [others]}}
  - {name: open, path: /open/, upstream: echo}
`

// An error while the file with the client CAs was read was swallowed; the pool stayed nil, which means the roots of the
// operating system: anybody with a certificate of a public CA was let in.
func TestCVE_2026_27586_CaddyTrustedTheSystemsRootsForAFileItCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(s *site){
		"missing": func(s *site) {
			if err := os.Remove(filepath.Join(s.dir, "others.pem")); err != nil {
				s.t.Fatal(err)
			}
		},
		"empty":      func(s *site) { s.write("others.pem", "") },
		"no PEM":     func(s *site) { s.write("others.pem", "# no certificates yet\n") },
		"no DER":     func(s *site) { s.write("others.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") },
		"only a key": func(s *site) { s.write("others.pem", string(s.others.KeyPEM())) },
		"cut off":    func(s *site) { s.write("others.pem", string(s.others.PEM()[:200])) },
		"a folder": func(s *site) {
			if err := os.Rename(filepath.Join(s.dir, "others.pem"), filepath.Join(s.dir, "moved.pem")); err != nil {
				s.t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(s.dir, "others.pem"), 0o700); err != nil {
				s.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			running := s.serve(ordersAndOpen)
			running.serves(t, running.visitor("localhost", s.stranger).get("https://localhost/orders/"))
			spoil(s)
			if said := s.fails(ordersAndOpen); !strings.Contains(said, wrong+":5:") {
				t.Errorf("the place is not named: %s", said)
			}
			if r := running.hangup(); r.Message == "reloaded" {
				t.Error("a reload put the document to work")
			}
			running.serves(t, running.visitor("localhost", s.stranger).get("https://localhost/orders/"))
			running.refuses(t, running.visitor("localhost", s.alice).get("https://localhost/orders/"), 403, "certificate_untrusted")

			if strings.HasPrefix(name, "no D") || name == "cut off" { // what a file says wrongly is an error whatever is tolerated
				return
			}
			partly := s.serve(ordersAndOpen, "--serve-partial")
			for _, who := range []*testpki.Entity{nobody, s.alice, s.stranger} {
				partly.refuses(t, partly.visitor("localhost", who).get("https://localhost/orders/"), 503, "trust_unavailable")
			}
			partly.serves(t, partly.visitor("localhost", nobody).get("https://localhost/open/"))
		})
	}
}

// The mode called "require" demanded a certificate and did not verify it.
func TestCaddy_ClientAuth_RequireDidNotVerify(t *testing.T) {
	s := newSite(t)
	for _, word := range []string{"require", "request", "require_any", "verify_if_given", "require_and_verify", "true"} {
		if said := s.fails(parts + strings.Replace(asking, "optional", word, 1) + "apis: [{name: all, path: /, upstream: echo}]\n"); !strings.Contains(said, "client_auth") {
			t.Errorf("%s: %s", word, said)
		}
	}
	// required wants a trust store to verify with, and verifies.
	if said := s.fails(parts + strings.Replace(asking, "optional", "required", 1) + "apis: [{name: all, path: /, upstream: echo}]\n"); !strings.Contains(said, "trust") {
		t.Errorf("required without trust: %s", said)
	}
	g := s.serve(parts + strings.Replace(asking, "optional", "required, trust: [partners]", 1) + "apis: [{name: all, path: /, upstream: echo}]\n")
	self := testpki.NewSelfSigned(t, testpki.Options{CommonName: "alice"})
	for _, version := range tlsVersions {
		g.turnsAway(t, g.visitor("localhost", self).version(version), "certificate_untrusted")
		g.turnsAway(t, g.visitor("localhost", s.stranger).version(version), "certificate_untrusted")
	}
	g.serves(t, g.visitor("localhost", s.alice).get("https://localhost/"))
}

// A change moved the verification to a callback that runs without a certificate, too: handshakes without one ended in
// "bad certificate" where one was only asked for.
func TestCaddy_7724_AHandshakeWithoutACertificateWasVerified(t *testing.T) {
	s := newSite(t)
	g := s.serve(parts + `
listeners:
  - name: public
    address: "127.0.0.1:0"
    tls:
      credentials: [server]
      profiles:
        - {server_names: [none.test], client_auth: none}
        - {server_names: [optional.test], client_auth: optional, trust: [partners]}
        - {server_names: [required.test], client_auth: required, trust: [partners]}
apis:
  - {name: all, path: /, upstream: echo}
`)
	for name, version := range tlsVersions {
		for _, mode := range []string{"none", "optional", "required"} {
			for who, entity := range map[string]*testpki.Entity{"nobody": nobody, "alice": s.alice, "a stranger": s.stranger} {
				t.Run(fmt.Sprint(name, " ", mode, " ", who), func(t *testing.T) {
					t.Parallel()
					v := g.visitor(mode+".test", entity).version(version)
					switch {
					case mode == "required" && entity == nobody:
						g.turnsAway(t, v, "certificate_missing")
					case mode == "required" && entity == s.stranger:
						g.turnsAway(t, v, "certificate_untrusted")
					default: // what was only asked for is judged by the API, and this one demands nothing
						g.serves(t, v.get("https://"+mode+".test/"))
					}
				})
			}
		}
	}
}

// An allow-list that was empty, or had not been read, allowed everybody.
func TestBoulder_AnEmptyAllowListAllowedEverybody(t *testing.T) {
	s := newSite(t)
	const api = parts + asking + "apis:\n  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, RULES}}\n"
	for _, rules := range []string{
		"trust: [partners], allow: []", "trust: [partners], allow: [{}]", "trust: [partners], allow: null", `trust: [partners], allow: [{common_name: ""}]`,
		"trust: [partners], allow: [inherit]", `trust: [partners], allow: [{subject: ""}]`, "trust: []", "trust: null", "trust: [inherit]",
	} {
		if said := s.fails(strings.Replace(api, "RULES", rules, 1)); !strings.Contains(said, wrong+":") {
			t.Errorf("%s: the place is not named: %s", rules, said)
		}
	}
	s.fails(strings.Replace(strings.Replace(api, "RULES", "trust: [partners]", 1), "anchors: [{file: partners.pem}]", "anchors: []", 1))
}

// The server's and the client's side were verified by two copies of a function, and what one refused by default the other
// let pass.
func TestGhostunnel_TheOtherDirectionWasVerifiedLess(t *testing.T) {
	s := newSite(t)
	privateCA := testpki.NewCA(t, testpki.Options{CommonName: "Backend CA"})
	s.write("backend-ca.pem", string(privateCA.PEM()))
	s.backend.server.Close()
	secure := func(who *testpki.Entity) string {
		b := newBackendOverTLS(t, s.backend, who.TLS())
		return strings.TrimPrefix(b, "https://")
	}
	good := secure(privateCA.Leaf(t, testpki.Options{Hosts: []string{"127.0.0.1"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
	client := secure(privateCA.Leaf(t, testpki.Options{Hosts: []string{"127.0.0.1"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}))
	name := secure(privateCA.Leaf(t, testpki.Options{Hosts: []string{"backend.test"}}))
	common := secure(privateCA.Leaf(t, testpki.Options{CommonName: "127.0.0.1"}))
	expired := secure(privateCA.Leaf(t, testpki.Options{Hosts: []string{"127.0.0.1"}, NotAfter: time.Now().Add(-time.Hour)}))
	other := secure(s.others.Leaf(t, testpki.Options{Hosts: []string{"127.0.0.1"}}))
	g := s.serve(strings.NewReplacer("upstreams: [{name: echo, targets: [\"http://BACKEND\"]}]", `
  - {name: backends, anchors: [{file: backend-ca.pem}]}
upstreams:
  - {name: good, targets: ["https://`+good+`"], tls: {trust: [backends]}}
  - {name: silent, targets: ["https://`+good+`"]}
  - {name: client, targets: ["https://`+client+`"], tls: {trust: [backends]}}
  - {name: name, targets: ["https://`+name+`"], tls: {trust: [backends]}}
  - {name: common, targets: ["https://`+common+`"], tls: {trust: [backends]}}
  - {name: expired, targets: ["https://`+expired+`"], tls: {trust: [backends]}}
  - {name: other, targets: ["https://`+other+`"], tls: {trust: [backends]}}
`).Replace(parts) + asking + `
apis:
  - {name: good, path: /good/, upstream: good}
  - {name: silent, path: /silent/, upstream: silent}
  - {name: client, path: /client/, upstream: client}
  - {name: name, path: /name/, upstream: name}
  - {name: common, path: /common/, upstream: common}
  - {name: expired, path: /expired/, upstream: expired}
  - {name: other, path: /other/, upstream: other}
`)
	v := g.visitor("localhost", nobody)
	g.serves(t, v.get("https://localhost/good/"))
	for _, path := range []string{"silent", "client", "name", "common", "expired", "other"} {
		a := v.get("https://localhost/" + path + "/")
		if a.status != 502 || a.reason != "upstream_unavailable" {
			t.Errorf("%s: %d %s (%v), want 502 upstream_unavailable", path, a.status, a.reason, a.err)
		}
	}
}

// Validating a document that was not to be run set what runs: options were written to globals on the way.
func TestOAuth2Proxy_ValidatingADocumentChangedWhatRan(t *testing.T) {
	s := newSite(t)
	g := s.serve(ordersAndOpen)
	judged := func() {
		t.Helper()
		g.serves(t, g.visitor("localhost", s.stranger).get("https://localhost/orders/"))
		g.refuses(t, g.visitor("localhost", s.alice).get("https://localhost/orders/"), 403, "certificate_untrusted")
		g.refuses(t, g.visitor("localhost", nobody).get("https://localhost/orders/"), 401, "certificate_missing")
	}
	judged()
	lax := strings.Replace(ordersAndOpen, "mode: required, trust: [others]", "mode: none", 1)
	for _, mistake := range []string{
		"apis: [{name: twice, path: /x/, upstream: nowhere}]\n", "  - {name: late, path: /late/, upstream: nowhere}\n",
		"  - {name: late, path: /late/, upstream: echo, client_certificate: {mode: requierd}}\n",
	} {
		s.document(g.document, lax+mistake)
		if r := g.hangup(); r.Message == "reloaded" {
			t.Fatalf("a wrong document was put to work: %q", mistake)
		}
		if code := run.ToEnd(t, s.command("validate", "--config", g.document)).Code; code != 1 {
			t.Errorf("validate ended with %d", code)
		}
		judged()
	}
	for range 3 { // the same document, again and again, is the same
		g.reload(ordersAndOpen)
		judged()
	}
}

// The verdict about a certificate was kept without the time until which it held, so an expired one was good for as long as
// somebody used it.
func TestPomerium_AVerdictOutlivedItsCertificate(t *testing.T) {
	s := newSite(t)
	g := s.serve(parts + asking + "apis:\n  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}\n")
	brief := s.partners.Leaf(t, testpki.Options{CommonName: "brief", NotAfter: time.Now().Add(3 * time.Second)})
	one, two := g.visitor("localhost", brief), g.visitor("localhost", brief).http2()
	if a := one.get("https://localhost/orders/"); g.serves(t, a) == nil { // on a machine this busy, make it longer
		t.FailNow()
	}
	g.serves(t, two.get("https://localhost/orders/"))
	var last answer
	eventually(t, "the end of the certificate", func() bool {
		begun := time.Now()
		last = one.get("https://localhost/orders/")
		if last.status == 200 {
			g.serves(t, last)
			if begun.After(brief.Cert.NotAfter) {
				t.Errorf("served %v after the end of the certificate", begun.Sub(brief.Cert.NotAfter))
			}
		}
		return last.status != 200
	})
	if time.Now().Before(brief.Cert.NotAfter) {
		t.Error("the certificate was refused before its end")
	}
	g.refuses(t, last, 403, "certificate_expired")
	g.refuses(t, two.get("https://localhost/orders/"), 403, "certificate_expired")
}

// One expired CA in a bundle made the whole bundle unusable, and everybody below the good ones was refused.
func TestEnvoyGateway_7608_OneExpiredCAOfABundleShutEverybodyOut(t *testing.T) {
	s := newSite(t)
	old := testpki.NewCA(t, testpki.Options{CommonName: "Old CA", NotAfter: time.Now().Add(-time.Hour)})
	s.write("partners.pem", string(testpki.EncodePEM(old.Cert, s.partners.Cert)))
	g := s.serve(parts + asking + "apis:\n  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}\n")
	g.serves(t, g.visitor("localhost", s.alice).get("https://localhost/orders/"))
	if a := g.visitor("localhost", old.Leaf(t, testpki.Options{CommonName: "late"})).get("https://localhost/orders/"); a.status != 403 {
		t.Errorf("somebody below the expired CA got %d", a.status)
	}
}

// Any certificate of the chain was looked for in the list, not the one whose key the caller had shown to have. A certificate
// is public: whoever appended an allowed one to his own chain was let in.
func TestCVE_2023_2422_KeycloakTookAnyCertificateOfTheChain(t *testing.T) {
	s := newSite(t)
	s.write("alice.pem", string(testpki.EncodePEM(s.alice.Cert)))
	g := s.serve(strings.Replace(parts, "trust_stores:", "trust_stores:\n  - {name: pins, anchors: [{file: alice.pem}]}", 1) + asking + `
apis:
  - {name: name, path: /name/, upstream: echo, client_certificate: {mode: required, trust: [partners], allow: [{common_name: alice}]}}
  - {name: thumbprint, path: /thumbprint/, upstream: echo, client_certificate: {mode: required, trust: [partners], allow: [{sha256: "` + identity.Thumbprint(s.alice.Cert).String() + `"}]}}
  - {name: pin, path: /pin/, upstream: echo, client_certificate: {mode: required, trust: [pins]}}
`)
	self := testpki.NewSelfSigned(t, testpki.Options{CommonName: "mallory"})
	for who, c := range map[string]struct {
		leaf *testpki.Entity
		want map[string]string
	}{
		"himself": {self, map[string]string{"name": "certificate_untrusted", "thumbprint": "certificate_untrusted", "pin": "certificate_untrusted"}},
		"bob":     {s.bob, map[string]string{"name": "certificate_not_allowed", "thumbprint": "certificate_not_allowed", "pin": "certificate_untrusted"}},
		"other":   {s.stranger, map[string]string{"name": "certificate_untrusted", "thumbprint": "certificate_untrusted", "pin": "certificate_untrusted"}},
	} {
		chain := c.leaf.TLS()
		for _, extra := range [][]*x509.Certificate{{s.alice.Cert}, {s.partners.Cert, s.alice.Cert}, {s.alice.Cert, s.partners.Cert}} {
			presented := tls.Certificate{PrivateKey: chain.PrivateKey, Certificate: [][]byte{c.leaf.Cert.Raw}}
			for _, cert := range extra {
				presented.Certificate = append(presented.Certificate, cert.Raw)
			}
			v := g.visitorWith("localhost", presented)
			for path, reason := range c.want {
				t.Run(fmt.Sprint(who, " ", path, " ", len(extra)), func(t *testing.T) {
					if a := v.get("https://localhost/" + path + "/"); a.reason != reason {
						g.refuses(t, a, 403, reason)
					}
				})
			}
		}
	}
	for _, path := range []string{"name", "thumbprint", "pin"} {
		g.serves(t, g.visitor("localhost", s.alice).get("https://localhost/"+path+"/"))
	}
}

// Two assertions stood behind each other, one for the presence of a certificate and one for its validity; the first let the
// result be kept, and an expired certificate passed the second.
func TestLayer7_7279_PresenceVouchedForValidity(t *testing.T) {
	s := newSite(t)
	g := s.serve(parts + asking + `
apis:
  - {name: open, path: /open/, upstream: echo}
  - {name: watched, path: /watched/, upstream: echo, client_certificate: {mode: required, trust: [partners], observe_only: true}}
  - {name: lenient, path: /lenient/, upstream: echo, client_certificate: {mode: optional, trust: [partners], on_invalid: ignore}}
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
`)
	expired := s.partners.Leaf(t, testpki.Options{CommonName: "alice", NotAfter: time.Now().Add(-time.Hour)})
	for _, v := range []*visitor{g.visitor("localhost", expired), g.visitor("localhost", expired).http2()} {
		for range 2 {
			for _, path := range []string{"open", "watched", "lenient"} {
				got := g.serves(t, v.get("https://localhost/"+path+"/"))
				if got != nil && got.Header.Get("Client-Cert") != "" {
					t.Errorf("/%s/ told the backend of an expired certificate", path)
				}
			}
			g.refuses(t, v.get("https://localhost/orders/"), 403, "certificate_expired")
		}
	}
}

// Requests without a certificate were taken for authenticated on some paths of the code where one was configured.
func TestCVE_2025_9312_WSO2LetRequestsWithoutACertificateIn(t *testing.T) {
	s := newSite(t)
	g := s.serve(parts + asking + "apis:\n  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}\n")
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get"} {
		for _, extra := range []string{
			"", "Authorization: Basic YWRtaW46YWRtaW4=\r\n", "Authorization: Bearer x\r\n", "Client-Cert: :AAAA:\r\n", "X-WSO2-CLIENT-CERTIFICATE: AAAA\r\n",
			"Origin: https://evil.test\r\nAccess-Control-Request-Method: GET\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
			"X-HTTP-Method-Override: OPTIONS\r\n", "X-Forwarded-For: 127.0.0.1\r\n",
		} {
			a := g.visitor("localhost", nobody).send(method + " /orders/ HTTP/1.1\r\nHost: localhost\r\n" + extra + "\r\n")
			if method == "HEAD" && a.err == nil {
				a.reason = g.access(a.id).Reason // there is no body to read it from
			}
			if a.err != nil || a.status != 401 || a.reason != "certificate_missing" {
				t.Errorf("%s %q: %d %s (%v), want 401 certificate_missing", method, extra, a.status, a.reason, a.err)
			}
		}
	}
	for _, method := range []string{"GET", "OPTIONS", "POST"} {
		a := g.visitor("localhost", nobody).http2().get("https://localhost/orders/", func(r *http.Request) { r.Method = method })
		g.refuses(t, a, 401, "certificate_missing")
	}
}
