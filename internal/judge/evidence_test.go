package judge_test

import (
	"crypto/x509"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

func TestAVerdictEndsWithTheCertificate(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single("{mode: required}"))
	end := now().Add(time.Hour)
	e := evidence(p.issuing.Leaf(t, testpki.Options{NotBefore: now().Add(-time.Hour), NotAfter: end}))
	v := opened(t, rules, "localhost", e)
	for _, c := range []struct {
		at        time.Time
		want      string
		reconnect bool
	}{
		{now().Add(-2 * time.Hour), "certificate_not_yet_valid", false},
		{now(), "", false},
		{end, "", false}, // through NotAfter (RFC 5280, section 4.1.2.5)
		{end.Add(time.Nanosecond), "certificate_expired", true},
		{end.Add(time.Hour), "certificate_expired", true},
	} {
		v.Now = c.at
		o := rules.Decide(v, nil)
		expect(t, o, c.want)
		if o.Reconnect != c.reconnect || o.Fell != c.reconnect {
			t.Errorf("at %v the evidence fell: %v, and the connection must end: %v", c.at, o.Fell, o.Reconnect)
		}
	}
}

func TestAnAnchorThatExpiresOrGoesEndsWhatItAccepted(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	short := testpki.NewCA(t, testpki.Options{CommonName: "Short CA", NotAfter: now().Add(time.Hour)})
	short.Write(t, p.dir, "stranger-ca")
	who := short.Leaf(t, testpki.Options{})
	text := single("{mode: required, trust: [strangers]}")
	rules := p.rules(t, text)
	e := evidence(who)
	expect(t, decide(t, rules, e), "")
	v := opened(t, rules, "localhost", e)
	v.Now = now().Add(2 * time.Hour)
	if o := rules.Decide(v, nil); reason(&o) != "certificate_untrusted" || !o.Reconnect {
		t.Errorf("under an anchor that expired: %v, the connection must end: %v", o.Reason, o.Reconnect)
	}

	p.stranger.Write(t, p.dir, "stranger-ca")
	next := p.rules(t, text)
	if o := decide(t, next, e); o.Reason != decision.CertificateUntrusted || !o.Reconnect {
		t.Errorf("without its anchor: %v, the connection must end: %v", o.Reason, o.Reconnect)
	}
	if o := decide(t, next, evidence(who)); o.Reason != decision.CertificateUntrusted || o.Reconnect {
		t.Errorf("on a connection that never was accepted: %v, the connection must end: %v", o.Reason, o.Reconnect)
	}
	// Other stores that refuse it are another API's affair, and so are lists.
	if o := decide(t, p.rules(t, single("{mode: required, trust: [partners]}")), e); o.Reason != decision.CertificateUntrusted || o.Reconnect {
		t.Errorf("by other stores: %v, the connection must end: %v", o.Reason, o.Reconnect)
	}
	short.Write(t, p.dir, "stranger-ca")
	denied := p.rules(t, single("{mode: required, trust: [strangers], deny: [{common_name: Test Leaf}]}"))
	if o := decide(t, denied, e); o.Reason != decision.CertificateDenied || o.Reconnect {
		t.Errorf("denied: %v, the connection must end: %v", o.Reason, o.Reconnect)
	}
	// What is let through goes on.
	p.stranger.Write(t, p.dir, "stranger-ca")
	for _, lax := range []string{"{mode: none, trust: [strangers]}", "{mode: optional, trust: [strangers], on_invalid: ignore}", "{mode: required, trust: [strangers], observe_only: true}"} {
		if o := decide(t, p.rules(t, single(lax)), e); !o.Allowed() || o.Reconnect || o.Fell {
			t.Errorf("%s: %v, the connection must end: %v", lax, o.Reason, o.Reconnect)
		}
	}
}

func TestTheProfilesTrustCanFallToo(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	e := evidence(p.partner)
	v := opened(t, rules, "strict.test", e)
	v.Target = "/anyone/"
	expect(t, rules.Decide(v, nil), "")
	p.stranger.Write(t, p.dir, "ca")
	next := p.rules(t, replaced(t, strictProfiles, "anchors: [{file: stranger-ca.pem}]", "anchors: [{file: stranger-ca.pem}], max_depth: 2"))
	v = opened(t, next, "strict.test", e)
	for _, target := range []string{"/anyone/", "/nowhere/"} {
		v.Target = target
		if o := next.Decide(v, nil); o.Reason != decision.CertificateUntrusted || o.Reconnect != (target == "/anyone/") {
			t.Errorf("%s: %v, the connection must end: %v", target, o.Reason, o.Reconnect)
		}
	}
}

func TestWhatTheSameStoresRefuseByNowFell(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	first := p.rules(t, single("{mode: required}"))
	for _, c := range []struct {
		name, store string
		who         *testpki.Entity
		want        string
		reconnect   bool
	}{
		{"a path that is too long now", ", max_depth: 0", p.partner, "certificate_chain", true},
		{"a store that says the same", ", max_depth: 5", p.partner, "", false},
	} {
		e := evidence(c.who)
		expect(t, decide(t, first, e), "")
		o := decide(t, p.rules(t, replaced(t, single("{mode: required}"), "{file: pinned.pem}]", "{file: pinned.pem}]"+c.store)), e)
		if reason(&o) != c.want || o.Reconnect != c.reconnect {
			t.Errorf("%s: %q, the connection must end: %v", c.name, reason(&o), o.Reconnect)
		}
	}
	// What it may be used for is not the evidence's affair: it may be for another API.
	both := p.ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	e := evidence(both)
	expect(t, decide(t, p.rules(t, replaced(t, single("{mode: required}"), "{file: pinned.pem}]", "{file: pinned.pem}], purpose: any")), e), "")
	if o := decide(t, first, e); o.Reason != decision.CertificatePurpose || o.Reconnect {
		t.Errorf("%v, the connection must end: %v", o.Reason, o.Reconnect)
	}
}

func TestOneConnectionMayUseManyTrustSets(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	var apis, stores strings.Builder
	const n = 11
	for i := range n {
		apis.WriteString("  - {name: api-" + string(rune('a'+i)) + ", path: /" + string(rune('a'+i)) + "/, listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [store-" + string(rune('a'+i)) + "]}}\n")
		file := "ca.pem"
		if i%2 == 1 {
			file = "stranger-ca.pem"
		}
		stores.WriteString("  - {name: store-" + string(rune('a'+i)) + ", anchors: [{file: " + file + "}]}\n")
	}
	rules := p.rules(t, replaced(t, document(apis.String()), "trust_stores:\n", "trust_stores:\n"+stores.String()))
	e := evidence(p.partner)
	for round := range 3 {
		for i := range n {
			v := opened(t, rules, "localhost", e)
			v.Target = "/" + string(rune('a'+i)) + "/"
			v.Now = now().Add(time.Duration(round) * time.Minute)
			o := rules.Decide(v, nil)
			if want := map[bool]string{true: "", false: "certificate_untrusted"}[i%2 == 0]; reason(&o) != want {
				t.Errorf("round %d, %s: %q", round, v.Target, reason(&o))
			}
		}
	}
}

func TestEvidenceIsJudgedConcurrently(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	e := evidence(p.partner)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 200 {
				v := opened(t, rules, "localhost", e)
				v.Target, v.Now = "/partners/", now().Add(time.Duration(n)*time.Second)
				want := ""
				if (i+n)%2 == 0 {
					v.Target, want = "/guests/", "certificate_untrusted"
				}
				expect(t, rules.Decide(v, nil), want)
			}
		})
	}
	group.Wait()
}

func TestRefusedIsARefusalThatNobodyJudged(t *testing.T) {
	t.Parallel()
	o := judge.Refused(decision.Decision{Reason: decision.Overloaded, Detail: "x"}, true)
	if o.Allowed() || o.Reason != decision.Overloaded || !o.Reconnect || !o.WouldBe.Allowed() || o.API != nil {
		t.Errorf("%+v", o)
	}
	var zero judge.Outcome
	if zero.Allowed() {
		t.Error("an outcome that nobody filled in allows")
	}
}
