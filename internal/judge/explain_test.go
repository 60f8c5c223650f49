package judge_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// explain asks; a question that makes no sense fails the test.
func explain(tb testing.TB, rules *judge.Rules, q judge.Question) *judge.Explanation {
	tb.Helper()
	e, err := rules.Explain(q, now())
	if err != nil {
		tb.Fatalf("explain %+v: %v", q, err)
	}
	return e
}

// advises checks that each of the texts is in the advice, and those behind "not" are not.
func advises(t *testing.T, e *judge.Explanation, texts ...string) {
	t.Helper()
	advice := strings.Join(e.Changes, "\n")
	for _, text := range texts {
		never, negative := strings.CutPrefix(text, "not ")
		if negative && strings.Contains(advice, never) || !negative && !strings.Contains(advice, text) {
			t.Errorf("%s: the advice is %q, want %q", e.Reason, advice, text)
		}
	}
}

func TestAnExplanationNamesTheCertificateThatBrokeThePath(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	past, future := now().Add(-time.Hour), now().Add(time.Hour)
	oldIssuing := p.ca.Intermediate(t, testpki.Options{CommonName: "Old issuing", NotAfter: past})
	newIssuing := p.ca.Intermediate(t, testpki.Options{CommonName: "New issuing", NotBefore: future})
	serverIssuing := p.ca.Intermediate(t, testpki.Options{CommonName: "Server issuing", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	weakIssuing := p.ca.Intermediate(t, testpki.Options{CommonName: "Weak issuing", Key: testpki.P224})
	narrow := p.ca.Intermediate(t, testpki.Options{CommonName: "Narrow", PathLen: new(0)})
	noCA := p.ca.Leaf(t, testpki.Options{CommonName: "No CA"})
	strangeIssuing := p.stranger.Intermediate(t, testpki.Options{CommonName: "Strange issuing"})
	selfSigned := testpki.NewSelfSigned(t, testpki.Options{CommonName: "self"})
	oldSelf := testpki.NewSelfSigned(t, testpki.Options{CommonName: "old self", NotAfter: past})
	kinds := p.kinds(t)
	leaf := func(by *testpki.Entity) []*x509.Certificate {
		return by.Leaf(t, testpki.Options{CommonName: "caller"}).Chain()
	}
	for _, c := range []struct {
		name, broken string // its subject, "" for none
		presented    []*x509.Certificate
		reason       decision.Reason
		advice       []string
	}{
		{"the leaf expired", "CN=Test Leaf", kinds[decision.CertificateExpired].Chain(), decision.CertificateExpired, []string{"2026-03-01T11:00:00Z", `"CN=Test Leaf"`}},
		{"the intermediate expired", "CN=Old issuing", leaf(oldIssuing), decision.CertificateExpired, []string{`"CN=Old issuing" has to be replaced`, "2026-03-01T11:00:00Z"}},
		{"the leaf is of the future", "CN=Test Leaf", kinds[decision.CertificateNotYetValid].Chain(), decision.CertificateNotYetValid, []string{"2026-03-01T13:00:00Z", "clocks"}},
		{"the intermediate is of the future", "CN=New issuing", leaf(newIssuing), decision.CertificateNotYetValid, []string{`"CN=New issuing"`}},
		{"the leaf is for servers", "CN=Test Leaf", kinds[decision.CertificatePurpose].Chain(), decision.CertificatePurpose, []string{"clientAuth", `"CN=Test Leaf"`, "not purpose: any"}},
		{"the leaf may not sign", "CN=Test Leaf", p.issuing.Leaf(t, testpki.Options{Adjust: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }}).Chain(), decision.CertificatePurpose, []string{"digitalSignature", "not clientAuth"}},
		{"the intermediate is for servers", "CN=Server issuing", leaf(serverIssuing), decision.CertificatePurpose, []string{`"CN=Server issuing"`, "clientAuth"}},
		{"the leaf is weak", "CN=Test Leaf", kinds[decision.CertificateWeak].Chain(), decision.CertificateWeak, []string{`"CN=Test Leaf"`, "2,048"}},
		{"the intermediate is weak", "CN=Weak issuing", leaf(weakIssuing), decision.CertificateWeak, []string{`"CN=Weak issuing"`}},
		{"the intermediate may have none below it", "CN=Narrow", narrow.Intermediate(t, testpki.Options{}).Leaf(t, testpki.Options{}).Chain(), decision.CertificateChain, []string{"intermediates"}},
		{"a leaf issued it", "CN=No CA", leaf(noCA), decision.CertificateChain, nil},
		{"the names cannot be read", "CN=Test Leaf", kinds[decision.CertificateMalformed].Chain(), decision.CertificateMalformed, []string{"another certificate"}},
		{"it was changed", "", reencoded(t, p.partner, nil, 1).Chain(), decision.CertificateMalformed, []string{"another certificate"}},
		{
			"nobody trusts the CA", "CN=orders", p.outsider.Chain(), decision.CertificateUntrusted,
			[]string{`If the CA "CN=Stranger CA" is a partner's`, `"partners"`, "not pin"},
		},
		{
			"nobody trusts the CA of the CA", "CN=Strange issuing", leaf(strangeIssuing), decision.CertificateUntrusted,
			[]string{`If the CA "CN=Stranger CA" is a partner's`, "not pin"},
		},
		{
			"a CA that nobody trusts is sent along", "CN=Stranger CA", append(p.outsider.Chain(), p.stranger.Cert), decision.CertificateUntrusted,
			[]string{`If the CA "CN=Stranger CA" is a partner's`, thumbprint(p.stranger), "not pin"}, // to pin it would let nobody below it in
		},
		{
			"the intermediate is not sent along", "CN=orders,OU=API,O=Acme,C=US", p.partner.Chain()[:1], decision.CertificateUntrusted,
			[]string{`"CN=Issuing CA"`, "send it along"},
		},
		{
			"nobody knows a self-signed one", "CN=self", selfSigned.Chain(), decision.CertificateUntrusted,
			[]string{"pin: true", thumbprint(selfSigned)},
		},
		{
			"nobody knows an expired one", "CN=old self", oldSelf.Chain(), decision.CertificateUntrusted,
			[]string{"through 2026-03-01T11:00:00Z", "would not help", "not pin"},
		},
		{
			"a CA calls", "CN=Issuing CA", p.issuing.Chain(), decision.CertificatePurpose,
			[]string{"a certificate of its own", "pin: true", "not purpose: any"},
		},
		{
			"an anchor calls", "CN=Partner CA", p.ca.Chain(), decision.CertificatePurpose,
			[]string{"a certificate of its own", "pin: true", "not clientAuth"},
		},
		{
			"a CA stands before the caller's certificate", "CN=Partner CA", append(p.ca.Chain(), p.outsider.Cert), decision.CertificatePurpose,
			[]string{"begins with a CA", `may be "CN=`, "not pin: true"},
		},
		{"nothing broke", "", p.partner.Chain(), decision.OK, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := explain(t, p.rules(t, single("{mode: required}")), judge.Question{URL: "https://localhost/", Presented: c.presented})
			if broken := e.Broken; e.Reason != c.reason || (broken == nil) != (c.broken == "") || broken != nil && broken.Subject != c.broken {
				t.Errorf("%s: %s, broken by %+v", e.Reason, e.Detail, broken)
			}
			advises(t, e, c.advice...)
		})
	}
}

func TestAnAnchorThatExpiredIsNotToBeTrustedAgain(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	old := testpki.NewCA(t, testpki.Options{CommonName: "Old CA", NotAfter: now().Add(-time.Hour)})
	old.Write(t, p.dir, "stranger-ca")
	who := old.Leaf(t, testpki.Options{CommonName: "caller"})
	rules := p.rules(t, single("{mode: required, trust: [strangers]}"))
	for _, presented := range [][]*x509.Certificate{who.Chain(), append(who.Chain(), old.Cert)} {
		e := explain(t, rules, judge.Question{URL: "https://localhost/", Presented: presented})
		if e.Reason != decision.CertificateUntrusted || e.Broken == nil || e.Broken.Subject != "CN=Old CA" {
			t.Errorf("%s, broken by %+v", e.Reason, e.Broken)
		}
		advises(t, e, `"CN=Old CA" is valid from 1999-01-01T00:00:00Z through 2026-03-01T11:00:00Z only`, `successor to the trust store "strangers"`, "not pin")
	}
}

func TestWhatTheProfileRefusedIsExplainedByTheProfilesTrust(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	expired := p.issuing.Leaf(t, testpki.Options{CommonName: "expired", NotAfter: now().Add(-time.Hour)})
	// The API trusts strangers alone, to whom an expired partner is a stranger; what refused it knows better.
	e := explain(t, rules, judge.Question{URL: "https://127.0.0.1/guests/", Host: "strict.test", Presented: expired.Chain()})
	if e.Reason != decision.CertificateExpired || e.Store != "partners" || e.Broken == nil || e.Broken.Subject != "CN=expired" || e.API != "guests" {
		t.Errorf("%+v", e)
	}
	advises(t, e, `"CN=expired" has to be replaced`)
	// An API without trust under a profile without trust: what some API there accepts.
	e = explain(t, rules, judge.Question{URL: "https://127.0.0.1/anyone/", Host: "union.test", Presented: p.pinned.Chain()})
	if e.Reason != decision.CertificateUntrusted || e.Broken == nil {
		t.Errorf("%+v", e)
	}
	advises(t, e, "pin: true", `"partners" or "strangers"`)
	// Whom the profile lets in the API's own trust judges.
	e = explain(t, rules, judge.Question{URL: "https://strict.test/guests/", Presented: p.partner.Chain()})
	if e.Reason != decision.CertificateUntrusted || e.Store != "strangers" || e.Handshake {
		t.Errorf("%+v", e)
	}
	advises(t, e, `trust store "strangers"`)
	// In the handshake there is no API yet.
	e = explain(t, rules, judge.Question{URL: "https://strict.test/guests/", Presented: p.pinned.Chain()})
	if !e.Handshake || e.API != "" || e.Reason != decision.CertificateUntrusted || e.Broken == nil || e.Profile != "also-strict.test,strict.test" {
		t.Errorf("%+v", e)
	}
}

func TestAMissingCertificateHasManyCauses(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	for _, c := range []struct {
		name   string
		q      judge.Question
		advice []string
	}{
		{"it was asked for", question("https://localhost/partners/", nil), []string{`"partners"`, "announced"}},
		{"in the handshake", question("https://strict.test/partners/", nil), []string{`"partners" or "strangers"`}},
		{"it was never asked for", question("https://quiet.test/partners/", p.partner), []string{"never asks", `"quiet.test"`, `"public"`}},
	} {
		e := explain(t, rules, c.q)
		if e.Reason != decision.CertificateMissing {
			t.Errorf("%s: %+v", c.name, e)
		}
		advises(t, e, c.advice...)
	}

	quiet := p.rules(t, replaced(t, strictProfiles, "client_auth: optional\n", "client_auth: none\n"))
	e := explain(t, quiet, judge.Question{URL: "https://127.0.0.1/partners/", Host: "a.lax.test", Presented: p.partner.Chain()})
	if e.Reason != decision.CertificateMissing {
		t.Errorf("%+v", e)
	}
	advises(t, e, `has to name "a.lax.test"`, "not set client_auth")

	plain := p.rules(t, document("  - {name: api, upstream: echo, client_certificate: {mode: required, trust: [partners]}}"))
	e = explain(t, plain, question("http://localhost/", p.partner))
	if e.Reason != decision.CertificateMissing || e.Profile != "" || e.ServerName != "" {
		t.Errorf("%+v", e)
	}
	advises(t, e, `"plain"`, "speaks no TLS", "not announced")
}

func TestWhereNoTrustIsInEffectTheAdviceIsToNameSome(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := document("  - {name: lab, hosts: [lab.test], listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [strangers]}}")
	rules := p.rules(t, replaced(t, text, "client_auth: optional, trust: [partners]}", "client_auth: required, profiles: [{server_names: [lab.test], client_auth: optional}]}"))
	for who, want := range map[*testpki.Entity]decision.Reason{nil: decision.CertificateMissing, p.partner: decision.TrustUnavailable, p.outsider: decision.TrustUnavailable} {
		e := explain(t, rules, question("https://unknown.test/", who))
		if e.Reason != want || !e.Handshake {
			t.Errorf("%+v", e)
		}
		advises(t, e, "No trust store is in effect", `TLS profile "default" of the listener "public"`, "not Repair")
	}
	// A connection that was asked before nothing asked any more.
	quiet := replaced(t, document("  - {name: shut, listeners: [public], upstream: echo, client_certificate: {mode: required}}"), "client_auth: optional, trust: [partners]}",
		"client_auth: none, profiles: [{server_names: [strict.test], client_auth: optional, trust: [partners]}]}")
	e, err := p.rules(t, quiet).ExplainPast(&judge.Past{Request: *opened(t, p.rules(t, quiet), "localhost", evidence(p.partner)), Listener: "public"})
	if err != nil || e.Reason != decision.TrustUnavailable || e.API != "shut" {
		t.Fatalf("%+v, %v", e, err)
	}
	advises(t, e, "No trust store is in effect", "not Repair")
}

func TestAdviceNamesTheRuleAndTheWayOut(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := document(`  - {name: reading, hosts: [a.test], path: /reading/, methods: [GET], upstream: echo, listeners: [public]}
  - {name: listed, hosts: [a.test], path: /listed/, upstream: echo, listeners: [public], client_certificate: {mode: required, allow: [{common_name: Orders}], deny: [{common_name: villain}]}}
  - {name: elsewhere, hosts: [b.test], upstream: echo, listeners: [plain]}
  - {name: partners-only, hosts: [d.test], upstream: echo, listeners: [public], client_certificate: {mode: required}}
  - {name: far, hosts: [c.test], path: /far/, upstream: echo, listeners: [plain]}
  - {name: lost, hosts: [a.test], path: /lost/, upstream: lost}`)
	rules := p.rules(t, text)
	for _, c := range []struct {
		q      judge.Question
		reason decision.Reason
		advice []string
	}{
		{judge.Question{URL: "https://a.test/reading/", Method: "PUT"}, decision.MethodNotAllowed, []string{"methods (", "sallyport.yaml:"}},
		{question("https://a.test/listed/", p.villain), decision.CertificateDenied, []string{"remove the entry from deny (", "sallyport.yaml:"}},
		{question("https://a.test/listed/", p.partner), decision.CertificateNotAllowed, []string{"{sha256: " + thumbprint(p.partner) + "}", "sallyport.yaml:", `{common_name: Orders}`}},
		{question("https://a.test/lost/", nil), decision.UpstreamUnavailable, []string{"upstream"}},
		{question("https://a.test/", nil), decision.NoRoute, []string{`"reading" at /reading/`, `"listed" at /listed/`}},
		{question("https://b.test/", nil), decision.NoRoute, []string{`"elsewhere" owns this host and path, but not on the listener "public"`}},
		{question("http://d.test/", nil), decision.NoRoute, []string{`"partners-only" owns this host and path and wants client certificates, which the listener "plain" cannot ask for`, `use the listener "public"`, "not add that"}},
		{question("http://a.test/reading/", nil), decision.NoRoute, []string{`"reading" owns this host and path, but not on the listener "plain": add that`}},
		{question("https://c.test/", nil), decision.NoRoute, []string{`No API on the listener "public" has the host "c.test"`, "not far"}},
		{question("https://a.test/%00", nil), decision.RequestMalformed, []string{"detail"}},
		{judge.Question{URL: "https://a.test/", Host: "a..b"}, decision.RequestMalformed, []string{"detail"}},
		{question("https://a..b/", nil), decision.RequestMalformed, []string{"detail"}},
	} {
		e := explain(t, rules, c.q)
		if e.Reason != c.reason || len(e.Checks) == 0 {
			t.Errorf("%+v: %s, checks %v", c.q, e.Reason, e.Checks)
		}
		advises(t, e, c.advice...)
	}
	if e := explain(t, rules, question("https://a..b/", nil)); !e.Handshake || e.Status != 0 {
		t.Errorf("a server name that is no host name gets an HTTP answer: %+v", e)
	}
	e := explain(t, p.rules(t, strictProfiles), judge.Question{URL: "https://localhost/anyone/", Host: "strict.test"})
	if e.Reason != decision.MisdirectedRequest || e.Status != 421 {
		t.Errorf("%+v", e)
	}
	advises(t, e, "new connection")
}

func TestOfManyAPIsSomeAreNamed(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	var here, there strings.Builder
	for _, c := range "abcdefg" {
		here.WriteString("  - {name: here-" + string(c) + ", path: /" + string(c) + "/, upstream: echo, listeners: [public]}\n")
		there.WriteString("  - {name: there-" + string(c) + ", path: /z/, methods: [M" + strings.ToUpper(string(c)) + "], upstream: echo, listeners: [plain]}\n")
	}
	rules := p.rules(t, document(here.String()+there.String()))
	advises(t, explain(t, rules, question("https://localhost/nowhere", nil)), `"here-e" at /e/, and more`, "not here-f", "not there")
	advises(t, explain(t, rules, question("https://localhost/z/", nil)), `"there-e" owns`, "not there-f", `not "here`)
}

func TestAnExplanationSaysWhoWasAcceptedAndByWhat(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	e := explain(t, p.rules(t, single("{mode: required, allow: [{common_name: orders}], deny: [{common_name: villain}]}")), question("https://LOCALHOST.:8443/x?y#z", p.partner))
	subject := func(c judge.Certificate) string { return c.Subject }
	var path, presented []string
	for _, c := range e.Path {
		path = append(path, subject(c))
	}
	for _, c := range e.Presented {
		presented = append(presented, subject(c))
	}
	if diff := cmp.Diff([]string{"CN=orders,OU=API,O=Acme,C=US", "CN=Issuing CA", "CN=Partner CA"}, path); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(path[:2], presented); diff != "" {
		t.Error(diff)
	}
	if e.Decision != "allow" || e.Store != "partners" || e.Caller != path[0] || e.Profile != "default" || e.ServerName != "localhost" || e.Listener != "public" ||
		e.API != "api" || !strings.Contains(e.Rules, "sallyport.yaml:") || e.Status != 0 || e.Changes != nil || e.Nearest != nil {
		t.Errorf("%+v", e)
	}
	if c := e.Presented[0]; c.Issuer != "CN=Issuing CA" || c.SHA256 != thumbprint(p.partner) || !c.NotAfter.Equal(p.partner.Cert.NotAfter) || c.NotBefore.Location() != time.UTC {
		t.Errorf("%+v", c)
	}
}

func TestObserveOnlyIsExplainedAsWhatItWouldBe(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	e := explain(t, p.rules(t, single("{mode: required, observe_only: true, allow: [{common_name: Orders}]}")), question("https://localhost/", p.partner))
	if e.Decision != "allow" || e.Status != 0 || e.WouldBe == nil || *e.WouldBe != decision.CertificateNotAllowed || e.Caller != "" || len(e.Nearest) != 1 {
		t.Errorf("%+v", e)
	}
	advises(t, e, "to allow")
}

func TestAQuestionAboutAnotherTimeChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single("{mode: required}"))
	q := question("https://localhost/", p.partner)
	q.At = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC)
	if e := explain(t, rules, q); e.Decision != "deny" {
		t.Errorf("in 2150: %+v", e)
	}
	if e := explain(t, rules, question("https://localhost/", p.partner)); e.Decision != "allow" {
		t.Errorf("now: %+v", e)
	}
}

func TestADocumentMadeInMemoryHasNoPlace(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	doc := p.load(t, single("{mode: required, deny: [{common_name: villain}]}"), config.Options{})
	fresh := &config.Document{Listeners: doc.Listeners, TrustStores: doc.TrustStores, Upstreams: doc.Upstreams, APIs: doc.APIs}
	rules := compiled(t, fresh)
	e := explain(t, rules, question("https://localhost/", p.villain))
	if e.Reason != decision.CertificateDenied || e.Rules != "" {
		t.Errorf("%+v", e)
	}
	advises(t, e, "from deny.")
}

func TestThePastIsJudgedByTheRulesOfToday(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	past := func(serverName, target string, e *judge.Evidence) *judge.Past {
		v := *opened(t, rules, serverName, e)
		v.Target, v.Listener = target, nil
		return &judge.Past{Request: v, Listener: "public"}
	}
	expired := evidence(p.issuing.Leaf(t, testpki.Options{NotAfter: now().Add(time.Hour)}))
	later := past("localhost", "/partners/", expired)
	later.Request.Now = now().Add(2 * time.Hour)
	old := past("", "/anyone/", evidence(nil))
	old.Request.Authority, old.Request.TLSVersion = "modern.test", tls.VersionTLS12
	onPlain := past("localhost", "/partners/", nil)
	onPlain.Request.OverTLS, onPlain.Request.TLSVersion, onPlain.Request.ServerName = false, 0, ""
	for _, c := range []struct {
		name      string
		past      *judge.Past
		want      string
		handshake bool
	}{
		{"a request", past("localhost", "/partners/", evidence(nil)), "certificate_missing", false},
		{"without evidence", past("localhost", "/partners/", nil), "certificate_missing", false},
		{"on a connection that was never asked", past("localhost", "/partners/", judge.NewEvidence(nil, false)), "misdirected_request", false},
		{"by a stranger", past("localhost", "/partners/", evidence(p.outsider)), "certificate_untrusted", false},
		{"that passes by now", past("localhost", "/partners/", evidence(p.partner)), "ok", false},
		{"at its own time", past("localhost", "/partners/", expired), "ok", false},
		{"later", later, "certificate_expired", false},
		{"whose handshake was passed then", past("strict.test", "/anyone/", evidence(nil)), "certificate_missing", false},
		{"with an old version of TLS", old, "misdirected_request", false},
		{"before the listener spoke TLS", onPlain, "misdirected_request", false},
		{"a handshake without a certificate", &judge.Past{Request: past("strict.test", "", evidence(nil)).Request, Listener: "public", Handshake: true}, "certificate_missing", true},
		{"a handshake of a stranger", &judge.Past{Request: past("strict.test", "", evidence(p.pinned)).Request, Listener: "public", Handshake: true}, "certificate_untrusted", true},
		{"a handshake that passes by now", &judge.Past{Request: past("strict.test", "", evidence(p.partner)).Request, Listener: "public", Handshake: true}, "ok", false},
		{"a handshake that is only asked by now", &judge.Past{Request: past("localhost", "", evidence(p.pinned)).Request, Listener: "public", Handshake: true}, "ok", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := rules.ExplainPast(c.past)
			if err != nil {
				t.Fatal(err)
			}
			if e.Reason.String() != c.want || e.Handshake != c.handshake || (e.Status == 0) != (c.want == "ok" || c.handshake) {
				t.Errorf("%s %d, in the handshake: %v", e.Reason, e.Status, e.Handshake)
			}
			if (e.Profile == "") != (c.past == onPlain) {
				t.Errorf("its TLS profile is %q", e.Profile)
			}
			(&asked{url: c.name}).helps(t, e)
		})
	}

	for _, c := range []struct {
		name string
		past judge.Past
		says string
	}{
		{"the listener is gone", judge.Past{Listener: "gone"}, `"gone"`},
		{"the handshake was on a listener without TLS", judge.Past{Listener: "plain", Handshake: true}, `"plain" speaks TLS no longer`},
	} {
		if e, err := p.rules(t, document("  - {name: open, upstream: echo}")).ExplainPast(&c.past); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", c.name, e, err)
		}
	}

	// A connection of the time when the listener spoke TLS.
	plain := p.rules(t, document("  - {name: api, upstream: echo, client_certificate: {mode: required, trust: [partners]}}"))
	was := past("localhost", "/", evidence(nil))
	was.Listener = "plain"
	e, err := plain.ExplainPast(was)
	if err != nil || e.Reason != decision.CertificateMissing {
		t.Fatalf("%+v, %v", e, err)
	}
	advises(t, e, "speaks no TLS")
}
