package judge

import (
	"crypto/x509"
	"slices"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

func TestEvidenceFallsByWhatEndsTrustAlone(t *testing.T) {
	t.Parallel()
	s := newCostSite(t, 1)
	set := s.rules.apis[0].bindings[0].trust
	ends := []decision.Reason{
		decision.CertificateUntrusted, decision.CertificateExpired, decision.CertificateRevoked, decision.RevocationUnknown,
		decision.CertificateWeak, decision.CertificateChain,
	}
	for r := range decision.All() {
		if s.evidence.fell(set, r) {
			t.Errorf("%s: what nobody accepted fell", r)
		}
	}
	if v := s.evidence.judge(set, s.request.Now).verdict; !v.Accepted() {
		t.Fatal(v.Detail)
	}
	for r := range decision.All() {
		if got := s.evidence.fell(set, r); got != slices.Contains(ends, r) {
			t.Errorf("%s: it fell: %v", r, got)
		}
		if s.evidence.fell(nil, r) {
			t.Errorf("%s: no stores at all had accepted it", r)
		}
	}
}

func TestAVerdictThatRefusesKnowsNobody(t *testing.T) {
	t.Parallel()
	s := newCostSite(t, 1)
	set := s.rules.apis[0].bindings[0].trust
	stranger := NewEvidence(testpki.NewSelfSigned(t, testpki.Options{}).Chain(), true)
	for name, standing := range map[string]Standing{
		"nothing":              {},
		"by no trust":          s.evidence.judge(nil, s.request.Now),
		"by stores":            stranger.judge(set, s.request.Now),
		"by a look at nothing": NewEvidence(nil, true).judge(set, s.request.Now),
	} {
		if standing.Known() || standing.ClientCert != "" || standing.ClientCertChain != "" {
			t.Errorf("%s: %+v", name, standing)
		}
	}
	if standing := s.evidence.judge(set, s.request.Now); !standing.Known() {
		t.Error("who was accepted is not known")
	}
}

func TestAVerdictIsRememberedWhileItHolds(t *testing.T) {
	t.Parallel()
	s := newCostSite(t, 1)
	set := s.rules.apis[0].bindings[0].trust
	partner := s.evidence.Presented()
	long := slices.Concat(partner, slices.Repeat([]*x509.Certificate{partner[1]}, 10))
	for name, e := range map[string]*Evidence{"until the certificate ends": NewEvidence(partner, true), "without an end": NewEvidence(long, true)} {
		if e.judge(nil, s.request.Now); e.memo.Load() != nil {
			t.Errorf("%s: what trusts nothing is remembered", name)
		}
		v := e.judge(set, s.request.Now).verdict
		if v.Until.IsZero() != (name == "without an end") {
			t.Fatalf("%s: it holds until %v", name, v.Until)
		}
		first := e.memo.Load()
		e.judge(nil, s.request.Now)
		if again := e.judge(set, s.request.Now); first == nil || e.memo.Load() != first || again.verdict != v {
			t.Errorf("%s: it was judged again", name)
		}
	}

	// What ended makes room for its successor.
	until := s.evidence.judge(set, s.request.Now).verdict.Until
	if v := s.evidence.judge(set, until).verdict; v.Accepted() {
		t.Fatalf("it was to hold until %v", until)
	}
	held := 0
	for _, standing := range s.evidence.memo.Load().entries {
		if standing.set != nil {
			held++
		}
	}
	if held != 1 {
		t.Errorf("one set has %d verdicts", held)
	}
}

func TestToExplainLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := newCostSite(t, 1)
	s.rules.listeners[0].profiles[0].ClientAuth = config.ClientAuthRequired
	for _, c := range []struct {
		target    string
		handshake bool
		want      decision.Reason
	}{{s.request.Target, false, decision.OK}, {s.request.Target, true, decision.OK}, {"/nowhere/", false, decision.NoRoute}} {
		request := s.request
		request.Target, request.Evidence = c.target, NewEvidence(s.evidence.Presented(), true)
		e, err := s.rules.ExplainPast(&Past{Request: request, Listener: "public", Handshake: c.handshake})
		if err != nil || e.Reason != c.want {
			t.Fatalf("%+v, %v", e, err)
		}
		if request.Evidence.memo.Load() != nil || request.Evidence.held != nil {
			t.Errorf("the evidence remembers that somebody asked about it: %+v", c)
		}
	}
}

func TestWhatOnlyMistakesCouldAskForRefuses(t *testing.T) {
	t.Parallel()
	zero := config.Matcher{Parsed: config.MatcherPatterns{}}
	for name, l := range map[string]*matchList{
		"no list": nil, "an empty list": {}, "an entry that says nothing": {entries: []config.Matcher{zero}, rest: []int{0}},
		"a thumbprint": {entries: []config.Matcher{zero}, sha256: map[identity.SHA256]int{{}: 0}},
	} {
		if i := l.find(nil, nil); i != -1 {
			t.Errorf("%s: nobody is entry %d", name, i)
		}
	}
	if i := lookUp(map[string]int{"": 0}, "a\x00b"); i != -1 {
		t.Errorf("a name that cannot be prepared is entry %d", i)
	}
	if w := (&witness{out: &Explanation{}}); w.brokeAtTheLeaf() {
		t.Error("the leaf of nothing broke the path")
	}
}

func TestTextsAreAlikeButForWhatIsEasilyOverlooked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{"Orders EU", "orders-eu", true},
		{"É.", "é", true},
		{" -_.", "", true},
		{"orders", "order", false},
		{"a", "b", false},
		{"", "a", false},
		{"", "\uFFFD", false},
		{"", "\xff", false},
		{"a", "a\uFFFD", false}, // what is read behind the end of a text
	} {
		if alike(c.a, c.b) != c.want || alike(c.b, c.a) != c.want {
			t.Errorf("%q and %q: %v", c.a, c.b, !c.want)
		}
	}
}
