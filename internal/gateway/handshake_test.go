package gateway_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"sallyport/internal/testpki"
)

// profilesDocument has a lax listener default and two strict names; TRUST is what the strict APIs trust.
const profilesDocument = `
listeners:
  - name: public
    address: 127.0.0.1:0
    tls:
      credentials: [server]
      client_auth: none
      profiles:
        - {server_names: ["strict.example.test"], client_auth: required, trust: [TRUST]}
        - {server_names: ["*.b2b.example.test"], client_auth: optional}
        - {server_names: ["lax.example.test"], client_auth: optional}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: strangers, anchors: [{file: stranger-ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
apis:
  - {name: anyone, path: /anyone/, upstream: echo}
  - name: b2b
    hosts: ["*.b2b.example.test"]
    path: /b2b/
    upstream: echo
    client_certificate: {mode: required, trust: [partners]}
  - name: strict-only
    hosts: ["strict.example.test"]
    path: /strict/
    upstream: echo
EXTRA`

func profiles(trust, extra string) string {
	return strings.NewReplacer("TRUST", trust, "EXTRA", extra).Replace(profilesDocument)
}

// connect makes one handshake and reports whether it was resumed; TLS 1.3 tickets arrive with the first answer.
func connect(t *testing.T, c *caller) (resumed bool, err error) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(t.Context(), "tcp", c.s.address(c.listener))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET /anyone/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", c.tls.ServerName); err != nil {
		return false, err
	}
	if _, err := io.ReadAll(conn); err != nil {
		return false, err
	}
	own, ok := conn.(*tls.Conn)
	if !ok {
		t.Fatalf("the dialer returned a %T", conn)
	}
	return own.ConnectionState().DidResume, nil
}

func TestARequiredCertificateIsHeldInTheHandshake(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			name   string
			who    *testpki.Entity
			ok     bool
			reason string
		}{
			{"nothing", nil, false, "certificate_missing"},
			{"a partner's", s.a, true, ""},
			{"a stranger's", s.outsider, false, "certificate_untrusted"},
		} {
			caller := s.caller("public", "strict.example.test", c.who)
			caller.tls.MinVersion, caller.tls.MaxVersion = version, version
			_, err := connect(t, caller)
			if (err == nil) != c.ok {
				t.Errorf("TLS %x, %s certificate: %v", version, c.name, err)
			}
			if c.reason != "" {
				r := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "handshake" && r["reason"] == c.reason })
				if detail, _ := r["detail"].(string); detail == "" || c.who == nil && !strings.Contains(detail, "requires a client certificate and none was presented") {
					t.Errorf("%s: the detail is %q", c.reason, detail)
				}
				if r["server_name"] != "strict.example.test" || r["decision"] != "deny" || r["listener"] != "public" {
					t.Errorf("record %v", r)
				}
			}
		}
	}
}

func TestResumptionAcrossProfilesIsRefused(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newSite(t, profiles("partners", ""))
		// One ticket, obtained where an outsider may come in, is shown at every other name.
		lax := s.caller("public", "lax.example.test", s.outsider)
		lax.tls.MinVersion, lax.tls.MaxVersion = version, version
		if resumed, err := connect(t, lax); err != nil || resumed {
			t.Fatalf("first handshake: resumed %v, %v", resumed, err)
		}
		if resumed, err := connect(t, lax); err != nil || !resumed {
			t.Fatalf("the ticket does not even work where it belongs: resumed %v, %v", resumed, err)
		}
		for _, name := range []string{"strict.example.test", "a.b2b.example.test", "localhost"} {
			other := lax.tls.Clone()
			other.ServerName = name
			other.ClientSessionCache = renamed{lax.tls.ClientSessionCache, "lax.example.test"}
			victim := &caller{s: s, listener: "public", tls: other}
			resumed, err := connect(t, victim)
			if resumed {
				t.Errorf("TLS %x: a ticket of the lax profile resumed at %s", version, name)
			}
			if name == "strict.example.test" && err == nil {
				t.Errorf("TLS %x: an outsider's ticket opened the strict profile", version)
			}
		}
	}
}

// renamed offers the sessions of one server name to another.
type renamed struct {
	tls.ClientSessionCache
	name string
}

func (r renamed) Get(string) (*tls.ClientSessionState, bool) { return r.ClientSessionCache.Get(r.name) }
func (r renamed) Put(string, *tls.ClientSessionState)        {}

func TestResumptionAcrossAReloadEndsWhenTheTrustChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	c := s.caller("public", "strict.example.test", s.a)
	if _, err := connect(t, c); err != nil {
		t.Fatal(err)
	}
	s.apply(profiles("partners", "  - {name: another, path: /another/, upstream: echo}\n"))
	if resumed, err := connect(t, c); err != nil || !resumed {
		t.Errorf("an unrelated change cost the ticket: resumed %v, %v", resumed, err)
	}
	s.apply(profiles("strangers", ""))
	if resumed, err := connect(t, c); err == nil || resumed {
		t.Errorf("a ticket outlived the anchor that it was given for: resumed %v, %v", resumed, err)
	}
	s.apply(profiles("partners", ""))
	if resumed, err := connect(t, c); err != nil || resumed {
		t.Errorf("old keys came back with the old trust: resumed %v, %v", resumed, err)
	}
}

func TestARequestIsJudgedByTheTrustOfTheMoment(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, protocol := range []int{1, 2} {
		s.apply(firstDocument)
		c := s.caller("public", "localhost", s.a)
		if protocol == 2 {
			c.http2()
		}
		c.get("https://localhost/orders/").is(t, 200, "")
		s.apply(strings.Replace(firstDocument, "file: ca.pem", "file: stranger-ca.pem", 1))
		a := c.get("https://localhost/orders/") // on the connection that is open
		a.is(t, 403, "certificate_untrusted")
		if protocol == 1 && !a.closes {
			t.Error("the connection of a caller who fell stays open")
		}
		s.apply(strings.Replace(firstDocument, "mode: required, trust: [partners], allow", "mode: required, trust: [partners], deny: [{common_name: partner-a}], allow", 1))
		c.get("https://localhost/orders/").is(t, 403, "certificate_denied")
		c.get("https://localhost/open/").is(t, 200, "")
	}
}

func TestTheConnectionOfACallerWhoFellEndsAndOneRefusedForAnAPIStays(t *testing.T) {
	t.Parallel()
	for _, protocol := range []int{1, 2} {
		s := newSite(t, firstDocument)
		c := s.caller("public", "localhost", s.a)
		if protocol == 2 {
			c.http2()
		}
		reused := func() (again bool) {
			trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { again = i.Reused }}
			c.get("https://localhost/orders/", func(r *http.Request) { *r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace)) })
			return again
		}
		reused()
		s.apply(strings.Replace(firstDocument, "required, trust: [partners], allow", "required, trust: [partners], deny: [{common_name: partner-a}], allow", 1))
		reused() // denied, on the open connection
		if !reused() {
			t.Errorf("HTTP/%d: a refusal for one API ended the connection", protocol)
		}
		s.apply(strings.Replace(firstDocument, "file: ca.pem", "file: stranger-ca.pem", 1))
		if !reused() { // untrusted now, on the open connection
			t.Errorf("HTTP/%d: the connection had ended before the evidence fell", protocol)
		}
		if reused() {
			t.Errorf("HTTP/%d: the connection of a caller who fell is still used", protocol)
		}
	}
}

func TestACertificateThatExpiresOnAnOpenConnectionIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	c := s.caller("public", "localhost", s.ca.Leaf(t, testpki.Options{CommonName: "partner-a", NotAfter: soon}))
	c.get("https://localhost/orders/").is(t, 200, "")
	s.clock.set(soon.Add(time.Second))
	c.get("https://localhost/orders/").is(t, 403, "certificate_expired")
	s.clock.set(soon.Add(-time.Minute)) // a clock that is put back revives nothing
	c.get("https://localhost/orders/").is(t, 403, "certificate_expired")
}

func TestAPurposeThatIsNotClientAuthIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	server := s.ca.Leaf(t, testpki.Options{CommonName: "partner-a", ExtKeyUsage: serverAuthOnly})
	s.caller("public", "localhost", server).get("https://localhost/orders/").is(t, 403, "certificate_purpose")
}

func TestNilPoolNeverMeansTheSystemsRoots(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	// The default profile accepts nothing and announces nothing; still nobody becomes somebody.
	s.caller("public", "localhost", s.outsider).get("https://localhost/anyone/").is(t, 200, "")
	if got := s.backend.got().Header.Get("Client-Cert"); got != "" {
		t.Errorf("a certificate that nobody trusts was forwarded: %q", got)
	}
	for _, document := range []string{
		strings.Replace(firstDocument, "anchors: [{file: ca.pem}]", "anchors: []", 1),
		strings.Replace(firstDocument, "anchors: [{file: ca.pem}]", "anchors: [{file: none.pem}]", 1),
		strings.Replace(firstDocument, "anchors: [{file: ca.pem}]", `anchors: [{pem: ""}]`, 1),
		strings.Replace(firstDocument, "trust: [partners], allow", "trust: [], allow", 1),
	} {
		if _, err := s.compile(document); err == nil {
			t.Errorf("an empty or unreadable trust store compiled:\n%s", document)
		}
	}
	s.caller("public", "strict.example.test", s.a).get("https://strict.example.test/anyone/").is(t, 200, "")
}

func TestAnAllowListedCertificateAppendedToSomebodyElsesChainIsNothing(t *testing.T) {
	t.Parallel()
	document := strings.Replace(firstDocument, `allow: [{subject: "CN=partner-a,*"}]`, `allow: [{sha256: "SUM"}]`, 1)
	pinned := strings.Replace(firstDocument, "anchors: [{file: ca.pem}]", "anchors: [{file: a.pem, pin: true}]", 1)
	s := newSite(t, firstDocument)
	s.a.Write(t, s.dir, "a")
	for name, document := range map[string]string{"allow": strings.Replace(document, "SUM", sum(s.a), 1), "pin": pinned} {
		s.apply(document)
		s.caller("public", "localhost", s.a).get("https://localhost/orders/").is(t, 200, "")
		for _, thief := range []*testpki.Entity{s.b, s.outsider, testpki.NewSelfSigned(t, testpki.Options{CommonName: "partner-a"})} {
			chain := thief.TLS()
			chain.Certificate = append(chain.Certificate, s.a.Cert.Raw)
			a := s.callerWith("public", "localhost", chain).get("https://localhost/orders/")
			if a.status != 403 {
				t.Errorf("%s: a chain that begins with %s and ends with the listed certificate gets %d", name, thief.Cert.Subject, a.status)
			}
		}
	}
}

func TestTheSameLeafWithOtherIntermediatesIsAnotherChain(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	issuing := s.ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	leaf := issuing.Leaf(t, testpki.Options{CommonName: "partner-a"})
	whole, alone, wrong := leaf.TLS(), leaf.TLS(), leaf.TLS()
	alone.Certificate = alone.Certificate[:1]
	foreign := s.stranger.CrossSign(t, issuing, testpki.Options{})
	wrong.Certificate = [][]byte{leaf.Cert.Raw, foreign.Cert.Raw}
	for range 2 { // the second time from the caches
		s.callerWith("public", "localhost", whole).get("https://localhost/orders/").is(t, 200, "")
		s.callerWith("public", "localhost", alone).get("https://localhost/orders/").is(t, 403, "certificate_untrusted")
		s.callerWith("public", "localhost", wrong).get("https://localhost/orders/").is(t, 403, "certificate_untrusted")
	}
}

func TestOversizedChainsAreRefusedWithoutAPath(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	long := s.a.TLS()
	for range 40 {
		long.Certificate = append(long.Certificate, s.stranger.Cert.Raw)
	}
	s.callerWith("public", "localhost", long).get("https://localhost/orders/").is(t, 403, "certificate_chain")
	s.callerWith("public", "localhost", long).get("https://localhost/open/").is(t, 200, "")
	fat := s.ca.Leaf(t, testpki.Options{CommonName: "partner-a", Extensions: []pkix.Extension{{Id: []int{1, 2, 3, 4}, Value: make([]byte, 52_000)}}})
	s.caller("public", "localhost", fat).get("https://localhost/orders/").is(t, 403, "certificate_chain")
}

func TestTicketsOfOneProfileAreOfNoUseWithoutTheSocketsKeys(t *testing.T) {
	t.Parallel()
	first, second := newSite(t, profiles("partners", "")), newSite(t, profiles("partners", ""))
	c := first.caller("public", "lax.example.test", nil)
	c.tls.InsecureSkipVerify = true
	if _, err := connect(t, c); err != nil {
		t.Fatal(err)
	}
	if resumed, err := connect(t, &caller{s: second, listener: "public", tls: c.tls}); err != nil || resumed {
		t.Errorf("a ticket of another process resumed: %v, %v", resumed, err)
	}
}

func TestAServerNameThatIsNoHostNameGetsNoProfile(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	c := s.caller("public", "a..b", nil)
	c.tls.InsecureSkipVerify = true
	if _, err := connect(t, c); err == nil {
		t.Error("a server name with an empty label got the default profile")
	}
}

func TestASlowHandshakeDelaysNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for range 20 {
		silent, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address("public"))
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	s.caller("public", "localhost", s.a).get("https://localhost/orders/").is(t, 200, "")
}
