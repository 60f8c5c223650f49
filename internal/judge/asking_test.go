package judge_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// autoRules are the rules of an API that would be held in the handshake.
const autoRules = "client_certificate: {mode: required, trust: [partners], enforce: auto}"

// auto is a document with one API of autoRules on the hosts, and others.
func auto(hosts string, others ...string) string {
	return document("  - {name: auto, listeners: [public], hosts: [" + hosts + "], upstream: echo, " + autoRules + "}\n  - " + strings.Join(others, "\n  - "))
}

func TestAServerNameIsRaisedWhenEveryAPIUnderItSaysSo(t *testing.T) {
	t.Parallel()
	const plainAPI = "{name: plain, listeners: [plain], upstream: echo}"
	api := func(hosts, path, rules string) string {
		if hosts != "" {
			hosts = "hosts: [" + hosts + "], "
		}
		return "{name: other, listeners: [public], " + hosts + "path: " + path + ", upstream: echo, client_certificate: " + rules + "}"
	}
	for _, c := range []struct {
		name, document string
		raised, not    string // server names
	}{
		{"the only API of a name", auto("a.test", plainAPI), "a.test", "b.test x.a.test -"},
		{"two names of one API", auto("a.test, b.test", plainAPI), "a.test b.test", "c.test -"},
		{"an API without hosts says so, too: every name", replaced(t, auto("a.test", api("", "/", "{mode: required, trust: [partners], enforce: auto}")), ", path: /,", ","), "a.test b.test", "-"},
		{"an API without hosts says nothing, and takes what falls through", replaced(t, auto("a.test", api("", "/open/", "{mode: none}")), "hosts: [a.test],", "hosts: [a.test], path: /orders/,"), "", "a.test b.test -"},
		{"nothing falls through a name that owns every path", auto("a.test", api("", "/open/", "{mode: none}")), "a.test", "b.test -"},
		{"nothing falls through a path that owns it", replaced(t, auto("a.test", api("", "/orders/open/", "{mode: none}")), "hosts: [a.test],", "hosts: [a.test], path: /orders/,"), "a.test", "b.test -"},
		{"a path beside it on the same name", auto("a.test", api("a.test", "/open/", "{mode: none}")), "", "a.test -"},
		{"a wildcard", auto("'*.a.test'", plainAPI), "x.a.test y.x.a.test", "a.test b.test -"},
		{"a more specific name below a wildcard", auto("'*.a.test'", api("open.a.test", "/", "{mode: optional, trust: [partners]}")), "x.a.test x.open.a.test", "open.a.test -"},
		{"a more specific name that leaves paths to the wildcard", auto("'*.a.test'", api("some.a.test", "/some/", "{mode: none}")), "x.a.test", "some.a.test -"},
		{"a wildcard below which a name says so", replaced(t, auto("x.a.test", api("'*.a.test'", "/", "{mode: none}")), "hosts: [x.a.test],", "hosts: [x.a.test], path: /orders/,"), "", "x.a.test y.a.test"},
		{"a name that owns every path below a wildcard that is open", auto("x.a.test", api("'*.a.test'", "/", "{mode: none}")), "x.a.test", "y.a.test a.test -"},
		{"a longer wildcard", auto("'*.b.a.test'", api("'*.a.test'", "/", "{mode: none}")), "x.b.a.test", "b.a.test x.a.test -"},
		{"an API that only answers over HTTP", auto("a.test", api("a.test", "/x/", "{mode: required, trust: [partners]}")), "", "a.test -"},
		{"an API that is optional", auto("a.test", api("a.test", "/x/", "{mode: optional, trust: [partners], enforce: auto}")), "", "a.test -"},
		{"an API that only observes", auto("a.test", api("a.test", "/x/", "{mode: required, trust: [partners], enforce: auto, observe_only: true}")), "", "a.test -"},
		{"an API that denies", auto("a.test", api("a.test", "/x/", "{mode: required, trust: [partners], enforce: auto, deny: [{common_name: villain}]}")), "a.test", "-"},
		{"an API of other trust", auto("a.test", api("a.test", "/x/", "{mode: required, trust: [strangers], enforce: auto}")), "a.test", "-"},
		{"an open API of another listener", auto("a.test", "{name: other, listeners: [plain], hosts: [a.test], path: /x/, upstream: echo}"), "a.test", "-"},
		{"another listener's API takes a path from an open one", replaced(t, auto("a.test",
			"{name: taken, listeners: [plain], hosts: [a.test], path: /x/, upstream: echo}", api("", "/x/", "{mode: none}")),
			"hosts: [a.test], upstream: echo, client", "hosts: [a.test], path: /orders/, upstream: echo, client"), "a.test", "b.test -"},
		{"one method of a path", auto("a.test", replaced(t, api("a.test", "/x/", "{mode: none}"), "path:", "methods: [GET], path:")), "", "a.test -"},
		{"no API", document("  - " + plainAPI), "", "a.test -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := listener(t, newPKI(t).rules(t, c.document), "public")
			for want, names := range map[bool]string{true: c.raised, false: c.not} {
				for name := range strings.FieldsSeq(names) {
					ask := l.AskFor(strings.TrimPrefix(name, "-"))
					if ask.Raised != want || ask.Insists() != want || !ask.Asks() {
						t.Errorf("%q: raised %t, want %t\n%s", name, ask.Raised, want, c.document)
					}
				}
			}
		})
	}
}

func TestAPIsThatAreHiddenAreLookedAtUpToANumber(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, c := range []struct {
		path   string // of the API under the name
		hidden int
		raised bool
	}{{"/", 50, true}, {"/", 500, true}, {"/x/", 50, true}, {"/x/", 500, false}} {
		var hidden []string
		for i := range c.hidden {
			hidden = append(hidden, fmt.Sprintf("{name: hidden-%d, listeners: [public], path: /x/%d/, upstream: echo}", i, i))
		}
		rules := p.rules(t, replaced(t, auto("a.test", hidden...), "hosts: [a.test],", "hosts: [a.test], path: "+c.path+","))
		if got := listener(t, rules, "public").AskFor("a.test").Raised; got != c.raised {
			t.Errorf("%d below %s: raised %t", c.hidden, c.path, got)
		}
		e, err := rules.Explain(question("https://a.test:8443/x/", nil), now())
		if err != nil || e.Handshake != c.raised || !c.raised && !strings.Contains(fmt.Sprint(e.Checks), "too many APIs of less specific hosts") {
			t.Errorf("%d below %s: explained as %+v, %v", c.hidden, c.path, e, err)
		}
	}
}

func TestExplainSaysWhyAHandshakeDoesNotInsist(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := auto("a.test", "{name: beside, listeners: [public], hosts: [a.test], path: /beside/, upstream: echo}",
		"{name: elsewhere, listeners: [public], hosts: [b.test], upstream: echo}", "{name: own, listeners: [public], hosts: [own.test], upstream: echo, "+autoRules+"}")
	for _, c := range []struct {
		document, url, says string
	}{
		{text, "https://a.test:8443/", `auto, but the handshake does not insist: the API "beside" under that name does not require one in the handshake`},
		{text, "https://127.0.0.1:8443/", ""}, // no API has that host
		{text, "https://a.test:8443/beside/", ""},
		{text, "https://own.test:8443/", "it insists: every API under the server name requires"},
		{replaced(t, text, "hosts: [own.test], ", ""), "https://127.0.0.1:8443/", "the client names no server"},
		{replaced(t, text, "client_auth: optional, trust", "client_auth: optional, profiles: [{server_names: [own.test], client_auth: none}], trust"), "https://own.test:8443/", "client_auth is none"},
	} {
		e, err := p.rules(t, c.document).Explain(question(c.url, nil), now())
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		for _, check := range e.Checks {
			if check.Name == "enforce" || check.Name == "handshake" && strings.Contains(check.Detail, "insists") {
				said += check.Detail
			}
		}
		if c.says == "" && said != "" || !strings.Contains(said, c.says) {
			t.Errorf("%s: %q, want %q", c.url, said, c.says)
		}
	}
}

func TestOnlyProfilesThatAskAreRaised(t *testing.T) {
	t.Parallel()
	text := replaced(t, auto("optional.test, required.test, none.test, other.test, '*.wild.test'", "{name: plain, listeners: [plain], upstream: echo}"),
		"client_auth: optional, trust: [partners]}", `client_auth: optional, trust: [partners], profiles: [
        {server_names: [optional.test, "*.wild.test"]}, {server_names: [required.test], client_auth: required}, {server_names: [none.test], client_auth: none}]}`)
	l := listener(t, newPKI(t).rules(t, text), "public")
	for _, c := range []struct {
		name                  string
		asks, insists, raised bool
	}{
		{"optional.test", true, true, true},
		{"x.wild.test", true, true, true},
		{"other.test", true, true, true}, // of the default profile
		{"required.test", true, true, false},
		{"none.test", false, false, false},
		{"unknown.test", true, false, false},
		{"", true, false, false},
	} {
		ask := l.AskFor(c.name)
		if ask.Asks() != c.asks || ask.Insists() != c.insists || ask.Raised != c.raised || ask.Profile != l.ProfileFor(c.name) {
			t.Errorf("%q: asks %t, insists %t, raised %t", c.name, ask.Asks(), ask.Insists(), ask.Raised)
		}
	}
	if plain := listener(t, newPKI(t).rules(t, text), "plain").AskFor("optional.test"); plain != nil || plain.Asks() || plain.Insists() {
		t.Error("a listener without TLS asks")
	}
}

func TestABrokenAPIAnswersOverHTTP(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, c := range []struct {
		document, name string
		raised         bool
	}{
		{replaced(t, auto("a.test", "{name: plain, listeners: [plain], upstream: echo}"), "upstream: echo, client", "upstream: lost, client"), "a.test", false},
		{auto("a.test", "{name: torn, hosts: [a.test], listeners: [public], path: /torn/, upstream: echo, client_certificate: {mode: required, trust: [torn], enforce: auto}}"), "a.test", false},
		{auto("a.test", "{name: torn, hosts: [b.test], listeners: [public], path: /torn/, upstream: echo, client_certificate: {mode: required, trust: [torn], enforce: auto}}"), "a.test", true},
	} {
		text := replaced(t, c.document, "  - {name: both,", "  - {name: torn, anchors: [{file: gone.pem}]}\n  - {name: both,")
		if ask := listener(t, p.partial(t, text), "public").AskFor(c.name); ask.Raised != c.raised {
			t.Errorf("%s: raised %t\n%s", c.name, ask.Raised, text)
		}
	}
}

// TestARaiseFailsNoRequestThatWouldPass makes documents at random. Where a handshake is raised nobody whom it would turn away
// may have a request that passes; where it is not, an API that does not say so can be reached.
func TestARaiseFailsNoRequestThatWouldPass(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	random := rand.New(rand.NewPCG(4, 7))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	hosts := []string{"a.test", "b.test", "x.a.test", "'*.a.test'", "'*.x.a.test'", "'*.test'"}
	names := []string{"a.test", "b.test", "x.a.test", "y.a.test", "z.x.a.test", "c.test", "d.example", "127.0.0.1"}
	paths := []string{"/", "/x/", "/x/y/", "/z/"}
	raisedSome, notSome := 0, 0
	for range 150 {
		var apis []string
		for i := range 1 + random.IntN(5) {
			h := ""
			if random.IntN(4) > 0 {
				h = "hosts: [" + pick(hosts...) + "], "
			}
			apis = append(apis, fmt.Sprintf("{name: api-%d, %slisteners: [%s], path: %s%s, upstream: echo, client_certificate: {mode: %s, trust: [%s], enforce: %s, observe_only: %s}}",
				i, h, pick("public", "public", "public", "plain"), pick(paths...), pick("", "", "", fmt.Sprintf("v%d", i)),
				pick("required", "required", "required", "required", "optional"), pick("partners", "strangers", "both"), pick("auto", "auto", "auto", "auto", "request"),
				pick("false", "false", "false", "false", "true")))
		}
		text := document("  - " + strings.Join(apis, "\n  - "))
		text = strings.Replace(text, "client_auth: optional, trust: [partners]}", `client_auth: optional, trust: [partners], profiles: [{server_names: [b.test, "*.x.a.test"]}]}`, 1)
		p.write(t, "random.yaml", strings.NewReplacer("file: ", "file: "+p.dir+"/").Replace(text))
		doc, err := config.Load(filepath.Join(p.dir, "random.yaml"), config.Options{})
		if err != nil {
			continue // two APIs at one place, or one that nobody could reach
		}
		rules := compiled(t, doc)
		l := listener(t, rules, "public")
		for _, name := range append(slices.Clone(names), "") {
			ask := l.AskFor(name)
			if ask.Profile != l.ProfileFor(name) {
				t.Fatalf("%q: another profile\n%s", name, text)
			}
			if ask.Raised {
				raisedSome++
			} else {
				notSome++
			}
			checkRaise(t, p, rules, ask, name, text, doc)
		}
	}
	if raisedSome < 50 || notSome < 50 {
		t.Errorf("%d raised and %d not: too few to mean anything", raisedSome, notSome)
	}
}

func checkRaise(t *testing.T, p *pki, rules *judge.Rules, ask *judge.Ask, name, text string, doc *config.Document) {
	t.Helper()
	paths := []string{"/", "/x/q", "/q"}
	for i := range doc.APIs {
		paths = append(paths, doc.APIs[i].Prefix.String(), doc.APIs[i].Prefix.String()+"q")
	}
	others := 0 // APIs that do not say so
	for _, who := range []*testpki.Entity{nil, p.partner, p.outsider} {
		turnedAway := who == nil || ask.VerifyHandshake(who.Chain(), now()) != nil
		for _, path := range paths {
			v := opened(t, rules, name, evidence(who))
			v.Authority, v.Target = name, path
			o := rules.Decide(v, nil)
			if ask.Raised && turnedAway && (o.Allowed() || !o.WouldBe.Allowed()) {
				t.Errorf("%q is raised and %s would pass\n%s", name, path, text)
			}
			if o.API != nil && name != "" {
				if c := doc.APIs[o.API.Index].ClientCertificate; c.Mode != config.ModeRequired || c.Enforce != config.EnforceAuto || *c.ObserveOnly {
					others++
				}
			}
		}
	}
	reached := slices.ContainsFunc(paths, func(path string) bool {
		v := opened(t, rules, name, nil)
		v.Authority, v.Target = name, path
		return rules.Decide(v, nil).API != nil
	})
	if want := others == 0 && reached && name != ""; ask.Raised != want {
		t.Errorf("%q: raised %t, want %t\n%s", name, ask.Raised, want, text)
	}
}

func TestAuthoritiesAreAnnouncedPerServerName(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	ca, pinned, stranger := p.ca, p.pinned, p.stranger
	text := document(`  - {name: a, listeners: [public], hosts: [a.test], upstream: echo, client_certificate: {mode: required, trust: [partners]}}
  - {name: b, listeners: [public], hosts: [b.test, "*.b.test"], upstream: echo, client_certificate: {mode: optional, trust: [strangers]}}
  - {name: c, listeners: [public], hosts: [c.test], path: /c/, upstream: echo, client_certificate: {mode: required, trust: [both]}}
  - {name: any, listeners: [public], path: /any/, upstream: echo, client_certificate: {mode: optional, trust: [partners]}}`)
	text = strings.Replace(text, "client_auth: optional, trust: [partners]}", `client_auth: optional, profiles: [
        {server_names: [silent.test, "*.silent.test"], announce_authorities: false}, {server_names: [none.test], client_auth: none},
        {server_names: [own.test], trust: [strangers]}]}`, 1)
	check := func(t *testing.T, text string, names map[string][]*testpki.Entity) {
		t.Helper()
		l := listener(t, p.rules(t, text), "public")
		for name, want := range names {
			var wanted [][]byte
			for _, e := range want {
				wanted = append(wanted, e.Cert.RawSubject)
			}
			got := l.AskFor(name).Announce()
			slices.SortFunc(wanted, slices.Compare)
			if !slices.EqualFunc(got, wanted, slices.Equal) {
				t.Errorf("%q announces %q", name, got)
			}
		}
	}
	check(t, text, map[string][]*testpki.Entity{
		"a.test": {ca, pinned}, "b.test": {stranger}, "x.b.test": {stranger}, "c.test": {ca, pinned, stranger}, "other.test": {ca, pinned},
		"": {ca, pinned, stranger}, "silent.test": nil, "x.silent.test": nil, "none.test": nil, "own.test": {ca, pinned, stranger},
	})
	check(t, strings.Replace(text, "client_auth: optional, profiles", "client_auth: optional, announce_authorities: false, profiles", 1), map[string][]*testpki.Entity{
		"a.test": nil, "other.test": nil, "": nil, "silent.test": nil, "own.test": nil,
	})
	check(t, strings.NewReplacer("client_auth: optional, profiles", "client_auth: optional, announce_authorities: false, profiles",
		"announce_authorities: false}", "announce_authorities: true}").Replace(text), map[string][]*testpki.Entity{
		"a.test": nil, "silent.test": {ca, pinned},
	})
	// Whoever chooses by what is announced would show nothing to an API that wants to see what nobody trusts.
	check(t, replaced(t, text, "{mode: optional, trust: [strangers]}", "{mode: optional, trust: [strangers], on_invalid: present}"), map[string][]*testpki.Entity{
		"a.test": {ca, pinned}, "b.test": nil, "x.b.test": nil, "": nil,
	})
	// One that requires a certificate refuses what nobody trusts, whatever it says about optional ones.
	check(t, replaced(t, text, "{mode: optional, trust: [strangers]}", "{mode: required, trust: [strangers], on_invalid: present}"), map[string][]*testpki.Entity{
		"b.test": {stranger}, "": {ca, pinned, stranger},
	})
}

func TestAuthoritiesThatDoNotFitAreLeftOutWithANote(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	one := testpki.NewSelfSigned(t, testpki.Options{CommonName: fmt.Sprintf("%0100d", 0), Signer: p.pinned.Key})
	each := len(one.Cert.RawSubject) + 2
	for _, c := range []struct {
		pins, notes int
		announced   bool
	}{{(judge.MaxAnnounced - 200) / each, 0, true}, {judge.MaxAnnounced / each, 1, true}, {judge.MaxAnnounced/each + 1, 2, false}} {
		var bundle strings.Builder
		for i := range c.pins {
			bundle.Write(testpki.NewSelfSigned(t, testpki.Options{CommonName: fmt.Sprintf("%0100d", i), Signer: p.pinned.Key}).PEM())
		}
		p.write(t, "many.pem", bundle.String())
		text := document(`  - {name: many, listeners: [public], hosts: [many.test], upstream: echo, client_certificate: {mode: required, trust: [many], enforce: auto}}
  - {name: few, listeners: [public], hosts: [few.test], upstream: echo, client_certificate: {mode: required, trust: [partners]}}`)
		text = strings.Replace(text, "client_auth: optional, trust: [partners]}", "client_auth: optional}", 1)
		rules := p.rules(t, replaced(t, text, "  - {name: both,", "  - {name: many, anchors: [{file: many.pem}]}\n  - {name: both,"))
		l := listener(t, rules, "public")
		if got := len(l.AskFor("many.test").Announce()); c.announced && got != c.pins || !c.announced && got != 0 {
			t.Errorf("%d names: %d are announced", c.pins, got)
		}
		if got := len(l.AskFor("few.test").Announce()); got != 2 {
			t.Errorf("the other name announces %d", got)
		}
		notes := rules.Notes()
		if len(notes) != c.notes || c.notes > 0 && !strings.Contains(notes[0].Message, fmt.Sprintf("%d certificate authorities", c.pins+2)) {
			t.Errorf("%d names: notes %q", c.pins, notes)
		}
		if !l.AskFor("many.test").Raised {
			t.Error("what is announced has nothing to do with what is demanded")
		}
	}
}

func TestNamesThatDifferInTheirFourthTrustDoNotShareAnAsk(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	fourth, fifth := testpki.NewCA(t, testpki.Options{CommonName: "Fourth CA"}), testpki.NewCA(t, testpki.Options{CommonName: "Fifth CA"})
	fourth.Write(t, p.dir, "fourth")
	fifth.Write(t, p.dir, "fifth")
	var apis []string
	for _, c := range []struct{ host, last string }{{"a", "fourth"}, {"b", "fifth"}, {"c", "fourth"}} {
		for i, store := range []string{"partners", "strangers", "both", c.last} {
			apis = append(apis, fmt.Sprintf("  - {name: %s-%d, listeners: [public], hosts: [%s.test], path: /%d/, upstream: echo, client_certificate: {mode: required, trust: [%s], enforce: auto}}",
				c.host, i, c.host, i, store))
		}
	}
	text := replaced(t, document(strings.Join(apis, "\n")), "  - {name: both,",
		"  - {name: fourth, anchors: [{file: fourth.pem}]}\n  - {name: fifth, anchors: [{file: fifth.pem}]}\n  - {name: both,")
	l := listener(t, p.rules(t, text), "public")
	if a, b, c := l.AskFor("a.test"), l.AskFor("b.test"), l.AskFor("c.test"); a == b || a != c || slices.Equal(a.Fingerprint(), b.Fingerprint()) {
		t.Errorf("a.test has the ask %d, b.test %d, c.test %d", a.Index, b.Index, c.Index)
	}
	ofFourth, ofFifth := fourth.Leaf(t, testpki.Options{}), fifth.Leaf(t, testpki.Options{})
	for name, c := range map[string]struct{ own, other *testpki.Entity }{
		"a.test": {ofFourth, ofFifth}, "b.test": {ofFifth, ofFourth}, "c.test": {ofFourth, ofFifth},
	} {
		ask := l.AskFor(name)
		if err := ask.VerifyHandshake(c.own.Chain(), now()); err != nil || !ask.Raised {
			t.Errorf("%s: raised %t, a client of its fourth trust store: %v", name, ask.Raised, err)
		}
		if ask.VerifyHandshake(c.other.Chain(), now()) == nil {
			t.Errorf("%s accepts a client of the other name's fourth trust store", name)
		}
	}
}

// TestAProfileThatInsistsAcceptsWhatAnyOfItsNamesDoes has requests for one name on connections that named another.
func TestAProfileThatInsistsAcceptsWhatAnyOfItsNamesDoes(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := document(`  - {name: r1, listeners: [public], hosts: [r1.test], upstream: echo, client_certificate: {mode: required, trust: [partners]}}
  - {name: r2, listeners: [public], hosts: [r2.test], upstream: echo, client_certificate: {mode: required, trust: [strangers]}}`)
	rules := p.rules(t, replaced(t, text, "client_auth: optional, trust: [partners]}", "client_auth: optional, profiles: [{server_names: [r1.test, r2.test], client_auth: required}]}"))
	unknown := testpki.NewCA(t, testpki.Options{CommonName: "Unknown CA"}).Leaf(t, testpki.Options{})
	for _, c := range []struct {
		serverName, host string
		who              *testpki.Entity
		accepted         bool // in the handshake
		want             string
	}{
		{"r1.test", "r1.test", p.partner, true, ""},
		{"r1.test", "r2.test", p.outsider, true, ""},
		{"r1.test", "r1.test", p.outsider, true, "certificate_untrusted"},
		{"r2.test", "r1.test", p.partner, true, ""},
		{"r2.test", "r2.test", p.partner, true, "certificate_untrusted"},
		{"r1.test", "r2.test", unknown, false, "certificate_untrusted"},
	} {
		ask := listener(t, rules, "public").AskFor(c.serverName)
		if err := ask.VerifyHandshake(c.who.Chain(), now()); (err == nil) != c.accepted || !ask.Insists() {
			t.Errorf("%s for %s: the handshake says %v", c.serverName, c.host, err)
		}
		v := opened(t, rules, c.serverName, evidence(c.who))
		v.Authority = c.host
		expect(t, rules.Decide(v, nil), c.want)
	}
}

// TestAHandshakeWithoutTrustAcceptsNobody has a document that was not made by Load, which refuses one without trust.
func TestAHandshakeWithoutTrustAcceptsNobody(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	doc := p.load(t, auto("a.test", "{name: plain, listeners: [plain], upstream: echo}"), config.Options{})
	doc.APIs[0].ClientCertificate.Trust, doc.Listeners[0].TLS.Trust = nil, nil
	ask := listener(t, compiled(t, doc), "public").AskFor("a.test")
	if err := ask.VerifyHandshake(p.partner.Chain(), now()); err == nil || !ask.Insists() || ask.Announce() != nil || ask.Fingerprint() != nil {
		t.Errorf("insists %t, announces %q, says %v", ask.Insists(), ask.Announce(), err)
	}
}
