package trust_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

func TestAStoreWithoutAnchorsCannotBeMade(t *testing.T) {
	t.Parallel()
	leaf := testpki.NewSelfSigned(t, testpki.Options{})
	for name, cfg := range map[string]trust.StoreConfig{
		"none":                         {Name: "partners"},
		"nil":                          {Name: "partners", Anchors: []trust.Anchor{{}}},
		"not parsed":                   {Name: "partners", Anchors: []trust.Anchor{{Certificate: &x509.Certificate{IsCA: true, BasicConstraintsValid: true}}}},
		"one good one nil":             {Name: "partners", Anchors: []trust.Anchor{{Certificate: leaf.Cert}, {Pin: true}}},
		"unknown purpose":              {Name: "partners", Anchors: cas(leaf), Purpose: trust.ClientAuthOrMissing + 1},
		"an end of nothing":            {Name: "partners", Anchors: cas(leaf), Until: now},
		"an end of client_auth":        {Name: "partners", Anchors: cas(leaf), Until: now, Purpose: trust.ClientAuth},
		"an end of server_auth":        {Name: "partners", Anchors: cas(leaf), Until: now, Purpose: trust.ServerAuth},
		"RSA keys that are too small":  {Name: "partners", Anchors: cas(leaf), MinKeySize: trust.KeySize{RSA: 2047}},
		"RSA keys that nobody has":     {Name: "partners", Anchors: cas(leaf), MinKeySize: trust.KeySize{RSA: 8193}},
		"a curve that is too small":    {Name: "partners", Anchors: cas(leaf), MinKeySize: trust.KeySize{EC: 224}},
		"a curve between two":          {Name: "partners", Anchors: cas(leaf), MinKeySize: trust.KeySize{EC: 257}},
		"a curve of less than nothing": {Name: "partners", Anchors: cas(leaf), MinKeySize: trust.KeySize{EC: -1}},
	} {
		if s, err := trust.NewStore(cfg); s != nil || err == nil || !strings.Contains(err.Error(), `trust store "partners"`) {
			t.Errorf("%s: store %v, error %v", name, s, err)
		}
	}
}

func TestASetWithoutStoresCannotBeMade(t *testing.T) {
	t.Parallel()
	good := anchored(t, testpki.NewCA(t, testpki.Options{}))
	for name, newOne := range map[string]func() (*trust.Set, error){
		"no stores":          func() (*trust.Set, error) { return trust.NewSet(trust.ClientAuth) },
		"a nil store":        func() (*trust.Set, error) { return trust.NewSet(trust.ClientAuth, good, nil) },
		"a zero store":       func() (*trust.Set, error) { return trust.NewSet(trust.ClientAuth, &trust.Store{}, good) },
		"no use":             func() (*trust.Set, error) { return trust.NewSet(trust.PurposeDefault, good) },
		"any use":            func() (*trust.Set, error) { return trust.NewSet(trust.Any, good) },
		"a use that may end": func() (*trust.Set, error) { return trust.NewSet(trust.ClientAuthOrMissing, good) },
		"a use out of range": func() (*trust.Set, error) { return trust.NewSet(trust.ClientAuthOrMissing+1, good) },
	} {
		if s, err := newOne(); s != nil || err == nil {
			t.Errorf("%s: set %v, error %v", name, s, err)
		}
	}
}

func TestNilAndZeroValuesRefuse(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	chain := trust.NewChain(ca.Leaf(t, testpki.Options{}).Chain())
	var nilSet *trust.Set
	for name, set := range map[string]*trust.Set{"nil": nilSet, "zero": {}} {
		for _, c := range []*trust.Chain{chain, nil, {}} {
			wantReason(t, set.Verify(c, now), decision.TrustUnavailable)
			wantReason(t, set.Explain(c, now, nil), decision.TrustUnavailable)
		}
		if set.Fingerprint() != [32]byte{} || set.Stores() != nil || set.Announce() != nil {
			t.Errorf("%s set has content", name)
		}
	}
	set := callers(t, ca)
	wantReason(t, set.Verify(nil, now), decision.CertificateMissing)
	wantReason(t, set.Verify(&trust.Chain{}, now), decision.CertificateMissing)
	wantReason(t, set.Verify(trust.NewChain(nil), now), decision.CertificateMissing)
	wantReason(t, set.Verify(chain, time.Time{}), decision.InternalError)
	trace := &decision.Trace{}
	wantReason(t, set.Explain(nil, now, trace), decision.CertificateMissing)
	if len(trace.Checks) != 1 || trace.Checks[0].Outcome != decision.Fail {
		t.Errorf("trace = %+v", trace.Checks)
	}

	var store *trust.Store
	if store.Name() != "" || store.Purpose() != trust.PurposeDefault || store.Fingerprint() != [32]byte{} || store.Warnings(now) != nil {
		t.Error("a nil store has content")
	}
	var verdict *trust.Verdict
	for _, v := range []*trust.Verdict{verdict, {}} {
		if v.Accepted() || v.Err() == nil || v.Err().Error() != "internal_error" {
			t.Errorf("verdict %+v: accepted %v, error %v", v, v.Accepted(), v.Err())
		}
	}
}

// In Go a nil pool of roots means the operating system's. A certificate that is trusted there must not be trusted by a
// store that holds nothing but pins; here the trap is shown by asking for the reason.
func TestAStoreOfPinsNeverFallsBackToTheSystemsRoots(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	pinned := ca.Leaf(t, testpki.Options{CommonName: "pinned"})
	set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pinned)}))
	v := verify(t, set, append(ca.Leaf(t, testpki.Options{}).Chain(), ca.Cert), now)
	wantReason(t, v, decision.CertificateUntrusted)
	if !strings.Contains(v.Detail, "no CA anchor") {
		t.Errorf("detail = %q: path building took place", v.Detail)
	}
}

// The operating system trusts the CA under whose key the store holds a certificate that has expired. The variable names its
// roots; they are read once, so this test is not parallel and comes before everything that is.
func TestAStoreWhoseAnchorsExpiredNeverFallsBackToTheSystemsRoots(t *testing.T) {
	expired := testpki.NewCA(t, testpki.Options{CommonName: "Our CA", NotAfter: now.Add(-time.Hour)})
	renewed := testpki.NewCA(t, testpki.Options{CommonName: "Our CA", Signer: expired.Key})
	file, _ := renewed.Write(t, t.TempDir(), "system")
	t.Setenv("SSL_CERT_FILE", file)
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	leaf := expired.Leaf(t, testpki.Options{})
	options := x509.VerifyOptions{CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := leaf.Cert.Verify(options); err != nil {
		t.Fatalf("the trap is not set: the system's roots refuse: %v", err)
	}
	v := verify(t, callers(t, expired), leaf.Chain(), now)
	wantReason(t, v, decision.CertificateUntrusted)
	if !strings.Contains(v.Detail, "skipped") {
		t.Errorf("detail = %q", v.Detail)
	}
}

// Without basic constraints (RFC 5280 §4.2.1.9) a certificate says nothing of being a CA, whatever else was read.
func TestACertificateWithoutBasicConstraintsIsAPin(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	odd := *ca.Cert
	odd.BasicConstraintsValid = false
	set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: []trust.Anchor{{Certificate: &odd}}}))
	v := verify(t, set, ca.Leaf(t, testpki.Options{}).Chain(), now)
	wantReason(t, v, decision.CertificateUntrusted)
	if !strings.Contains(v.Detail, "no CA anchor") {
		t.Errorf("detail = %q", v.Detail)
	}
}

func TestAPinStandsForItselfAlone(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	pinned := ca.Leaf(t, testpki.Options{CommonName: "pinned"})
	set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pinned)}))
	v := verify(t, set, pinned.Chain(), now)
	wantReason(t, v, decision.OK)
	if !v.Pinned || v.Anchor != pinned.Cert || len(v.Path) != 1 || v.Path[0] != pinned.Cert {
		t.Errorf("verdict = %+v", v)
	}
	wantReason(t, verify(t, set, ca.Leaf(t, testpki.Options{CommonName: "pinned"}).Chain(), now), decision.CertificateUntrusted)
}

func TestAPinWithACopyOfItselfAndItsIssuersIsStillThatPin(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	pinned := ca.Leaf(t, testpki.Options{})
	set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(pinned)}))
	wantReason(t, verify(t, set, present(pinned, pinned, ca), now), decision.OK)
}

func TestEachStoreJudgesByItsOwnRules(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "CA"})
	server := ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	deep := under(t, ca, 2)
	expired := ca.Leaf(t, testpki.Options{CommonName: "expired", NotAfter: now.Add(-time.Hour)})
	other := newStore(t, trust.StoreConfig{Name: "other", Anchors: cas(testpki.NewCA(t, testpki.Options{})), MaxDepth: -1})
	strict := newStore(t, trust.StoreConfig{Name: "strict", Anchors: cas(ca), MaxDepth: 0})
	lax := newStore(t, trust.StoreConfig{Name: "lax", Anchors: cas(ca), MaxDepth: -1, Purpose: trust.Any})
	pinsIt := newStore(t, trust.StoreConfig{Name: "pins", Anchors: cas(server, expired)})

	for _, tc := range []struct {
		name      string
		stores    []*trust.Store
		presented []*x509.Certificate
		reason    decision.Reason
		store     string
	}{
		{"the first store that accepts is named", []*trust.Store{other, strict, lax}, ca.Leaf(t, testpki.Options{}).Chain(), decision.OK, "strict"},
		{"what one store refuses another may accept", []*trust.Store{strict, lax}, deep.Chain(), decision.OK, "lax"},
		{"the order does not matter for that", []*trust.Store{lax, strict}, deep.Chain(), decision.OK, "lax"},
		{"a refusal of a store that anchors the path beats untrusted", []*trust.Store{other, strict}, deep.Chain(), decision.CertificateChain, "strict"},
		{"the order does not matter for that either", []*trust.Store{strict, other}, deep.Chain(), decision.CertificateChain, "strict"},
		{"the refusal that passed most checks is reported", []*trust.Store{pinsIt, strict}, under(t, ca, 1).Chain(), decision.CertificateChain, "strict"},
		{"a pin in one store does not excuse another's purpose", []*trust.Store{strict, pinsIt}, server.Chain(), decision.CertificatePurpose, "strict"},
		{"a pin that is expired is refused in every store", []*trust.Store{pinsIt, lax}, expired.Chain(), decision.CertificateExpired, "pins"},
		{"a pin refused for its purpose passes where any will do", []*trust.Store{pinsIt, lax}, server.Chain(), decision.OK, "lax"},
		{"purposes do not leak from one store to the next", []*trust.Store{strict, newStore(t, trust.StoreConfig{Name: "any", Anchors: pins(deep), Purpose: trust.Any})}, server.Chain(), decision.CertificatePurpose, "strict"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := verify(t, newSet(t, trust.ClientAuth, tc.stores...), tc.presented, now)
			wantReason(t, v, tc.reason)
			if v.Store != tc.store {
				t.Errorf("store = %q, want %q", v.Store, tc.store)
			}
		})
	}
}

func TestALeafWhoseNamesCannotBeReadIsMalformed(t *testing.T) {
	t.Parallel()
	// CN=a<NUL>b as a UTF8String.
	raw := []byte{0x30, 0x0e, 0x31, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x03, 'a', 0, 'b'}
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, testpki.Options{RawSubject: raw})
	for name, set := range map[string]*trust.Set{
		"anchored": callers(t, ca),
		"pinned":   newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(leaf)})),
	} {
		v := verify(t, set, leaf.Chain(), now)
		wantReason(t, v, decision.CertificateMalformed)
		if name == "anchored" && strings.ContainsRune(v.Detail, 0) {
			t.Errorf("detail %q holds the NUL", v.Detail)
		}
	}
}

func TestFingerprintsFollowTheContent(t *testing.T) {
	t.Parallel()
	a, b := testpki.NewCA(t, testpki.Options{}), testpki.NewCA(t, testpki.Options{})
	base := trust.StoreConfig{Name: "partners", Anchors: cas(a, b), MaxDepth: -1}
	first := newStore(t, base)
	equal := base
	equal.Anchors = cas(b, a, b)
	equal.MaxDepth = trust.DefaultMaxDepth
	equal.MinKeySize = trust.KeySize{RSA: 2048, EC: 256}
	if newStore(t, equal).Fingerprint() != first.Fingerprint() {
		t.Error("order, repetition and the written-out defaults change the fingerprint")
	}
	seen := map[[32]byte]string{first.Fingerprint(): "base"}
	for name, cfg := range map[string]trust.StoreConfig{
		"name":                  {Name: "other", Anchors: cas(a, b), MaxDepth: -1},
		"anchors":               {Name: "partners", Anchors: cas(a), MaxDepth: -1},
		"pin":                   {Name: "partners", Anchors: append(cas(a), pins(b)...), MaxDepth: -1},
		"pins":                  {Name: "partners", Anchors: pins(a, b), MaxDepth: -1},
		"purpose":               {Name: "partners", Anchors: cas(a, b), MaxDepth: -1, Purpose: trust.Any},
		"depth":                 {Name: "partners", Anchors: cas(a, b), MaxDepth: 1},
		"its end":               {Name: "partners", Anchors: cas(a, b), MaxDepth: -1, Purpose: trust.Any, Until: now},
		"a later end":           {Name: "partners", Anchors: cas(a, b), MaxDepth: -1, Purpose: trust.Any, Until: now.Add(time.Hour)},
		"an end a moment later": {Name: "partners", Anchors: cas(a, b), MaxDepth: -1, Purpose: trust.Any, Until: now.Add(1)},
		"RSA":                   {Name: "partners", Anchors: cas(a, b), MaxDepth: -1, MinKeySize: trust.KeySize{RSA: 3072}},
		"curves":                {Name: "partners", Anchors: cas(a, b), MaxDepth: -1, MinKeySize: trust.KeySize{EC: 384}},
		"version 1":             {Name: "partners", Anchors: cas(a, b), MaxDepth: -1, AllowV1: true},
	} {
		f := newStore(t, cfg).Fingerprint()
		if other, taken := seen[f]; taken {
			t.Errorf("a change of %s has the fingerprint of %s", name, other)
		}
		seen[f] = name
	}

	second := newStore(t, trust.StoreConfig{Name: "second", Anchors: cas(a)})
	set := newSet(t, trust.ClientAuth, first, second)
	if doubled := newSet(t, trust.ClientAuth, first, second, newStore(t, equal)); doubled.Fingerprint() != set.Fingerprint() || len(doubled.Stores()) != 2 {
		t.Errorf("an equal store counts twice: %d stores", len(doubled.Stores()))
	}
	for name, other := range map[string]*trust.Set{
		"order": newSet(t, trust.ClientAuth, second, first),
		"use":   newSet(t, trust.ServerAuth, first, second),
		"fewer": newSet(t, trust.ClientAuth, first),
	} {
		if other.Fingerprint() == set.Fingerprint() {
			t.Errorf("a change of %s does not change the fingerprint", name)
		}
	}
	if s := set.Stores()[0]; s.Name() != "partners" || s.Purpose() != trust.PurposeDefault {
		t.Errorf("store = %q, %s", s.Name(), s.Purpose())
	}
}

func TestAnnounceNamesCAsAndTheIssuersOfPins(t *testing.T) {
	t.Parallel()
	a, b := testpki.NewCA(t, testpki.Options{CommonName: "A"}), testpki.NewCA(t, testpki.Options{CommonName: "B"})
	again := testpki.NewCA(t, testpki.Options{CommonName: "A"})
	pin, self := b.Leaf(t, testpki.Options{}), testpki.NewSelfSigned(t, testpki.Options{CommonName: "me"})
	want := [][]byte{a.Cert.RawSubject, b.Cert.RawSubject, self.Cert.RawSubject}
	slices.SortFunc(want, bytes.Compare)
	for range 5 { // maps are involved
		set := newSet(t, trust.ClientAuth, anchored(t, a, again), newStore(t, trust.StoreConfig{Name: "pins", Anchors: cas(pin, self)}))
		if got := set.Announce(); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("announced %q, want %q", got, want)
		}
	}
}

func TestWarningsNameWhatAnOperatorShouldKnow(t *testing.T) {
	t.Parallel()
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	noKeyUsage := func(c *x509.Certificate) { c.KeyUsage = 0 }
	past, future := now.Add(-time.Hour), now.Add(time.Hour)
	for _, tc := range []struct {
		name    string
		anchor  trust.Anchor
		purpose trust.Purpose
		want    []string
	}{
		{"a proper CA", cas(testpki.NewCA(t, testpki.Options{}))[0], trust.ClientAuth, nil},
		{"a proper pin", cas(testpki.NewSelfSigned(t, testpki.Options{}))[0], trust.ClientAuth, nil},
		{"an intermediate without key usage", cas(testpki.NewCA(t, testpki.Options{}).Intermediate(t, testpki.Options{Adjust: noKeyUsage}))[0], trust.ClientAuth, nil},
		{"an expired CA", cas(testpki.NewCA(t, testpki.Options{NotAfter: past}))[0], trust.PurposeDefault, []string{"skipped: it expired after 2026-11-21T11:00:00Z"}},
		{"a CA that is not yet valid", cas(testpki.NewCA(t, testpki.Options{NotBefore: future}))[0], trust.PurposeDefault, []string{"skipped: it is valid from 2026-11-21T13:00:00Z on"}},
		{"a CA with a small key", cas(testpki.NewCA(t, testpki.Options{Key: testpki.RSA1024}))[0], trust.PurposeDefault, []string{"RSA key of 1024 bits"}},
		{"a CA for servers", cas(testpki.NewCA(t, testpki.Options{}).Intermediate(t, testpki.Options{ExtKeyUsage: server}))[0], trust.ClientAuth, []string{"not meant for client_auth"}},
		{"a CA for servers where any purpose will do", cas(testpki.NewCA(t, testpki.Options{}).Intermediate(t, testpki.Options{ExtKeyUsage: server}))[0], trust.Any, nil},
		{"a CA that may sign revocation lists only", cas(testpki.NewCA(t, testpki.Options{}).Intermediate(t, testpki.Options{Adjust: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }}))[0], trust.PurposeDefault, []string{"does not allow it to issue"}},
		{"what a tutorial makes", cas(testpki.NewCA(t, testpki.Options{Adjust: noKeyUsage}))[0], trust.PurposeDefault, []string{"with pin: true it means only itself"}},
		{"what a tutorial makes, with names", cas(testpki.NewCA(t, testpki.Options{Hosts: []string{"client.test"}}))[0], trust.PurposeDefault, []string{"everything that it issued is trusted"}},
		{"what a tutorial makes, with usages", cas(testpki.NewCA(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}))[0], trust.PurposeDefault, []string{"everything that it issued is trusted"}},
		{"what a tutorial makes, pinned", pins(testpki.NewCA(t, testpki.Options{Adjust: noKeyUsage}))[0], trust.PurposeDefault, nil},
		{"an expired pin", cas(testpki.NewSelfSigned(t, testpki.Options{NotAfter: past}))[0], trust.PurposeDefault, []string{"is pinned and refused: it expired"}},
		{"a pin with a small key", cas(testpki.NewSelfSigned(t, testpki.Options{Key: testpki.RSA1024}))[0], trust.PurposeDefault, []string{"RSA key of 1024 bits"}},
		{"a pin for servers", cas(testpki.NewSelfSigned(t, testpki.Options{ExtKeyUsage: server}))[0], trust.ClientAuth, []string{"not meant for client_auth"}},
		{"a pin for servers where the client's purpose may be missing", cas(testpki.NewSelfSigned(t, testpki.Options{ExtKeyUsage: server}))[0], trust.ClientAuthOrMissing, nil},
		{"a CA for servers where the client's purpose may be missing", cas(testpki.NewCA(t, testpki.Options{}).Intermediate(t, testpki.Options{ExtKeyUsage: server}))[0], trust.ClientAuthOrMissing, nil},
		{"a CA for mail where the client's purpose may be missing", cas(testpki.NewCA(t, testpki.Options{}).Intermediate(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}))[0], trust.ClientAuthOrMissing, []string{"is a CA that is not meant for client_auth_or_missing"}},
		{"a pin of version 1", cas(testpki.NewSelfSigned(t, testpki.Options{Version1: true}))[0], trust.PurposeDefault, []string{"is pinned and refused: it has version 1, which allow_v1: true admits"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := newStore(t, trust.StoreConfig{Anchors: []trust.Anchor{tc.anchor}, Purpose: tc.purpose}).Warnings(now)
			if len(got) != len(tc.want) {
				t.Fatalf("warnings = %v, want %q", got, tc.want)
			}
			for i := range got {
				if !strings.Contains(got[i].Text, tc.want[i]) || !strings.HasPrefix(got[i].Text, `trust store "partners": "CN=Test`) {
					t.Errorf("warning = %q, want it to say %q", got[i].Text, tc.want[i])
				}
				if got[i].Certificate != tc.anchor.Certificate {
					t.Errorf("warning %q is about another certificate", got[i].Text)
				}
			}
		})
	}
}

func TestExplainRecordsEveryStoreAsked(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "CA"})
	other := newStore(t, trust.StoreConfig{Name: "other", Anchors: cas(testpki.NewCA(t, testpki.Options{}))})
	pin := testpki.NewSelfSigned(t, testpki.Options{CommonName: "me"})
	set := newSet(t, trust.ClientAuth, other, anchored(t, ca), newStore(t, trust.StoreConfig{Name: "pins", Anchors: cas(pin)}))
	for _, tc := range []struct {
		name      string
		presented []*x509.Certificate
		outcomes  []decision.Outcome
		says      string
	}{
		{"anchored", under(t, ca, 1).Chain(), []decision.Outcome{decision.Info, decision.Info, decision.Fail, decision.Pass}, `"CN=Test Leaf" is anchored in "CN=CA", intermediates: 1`},
		{"pinned", pin.Chain(), []decision.Outcome{decision.Info, decision.Fail, decision.Fail, decision.Pass}, `"CN=me" is pinned`},
		{"refused", testpki.NewSelfSigned(t, testpki.Options{}).Chain(), []decision.Outcome{decision.Info, decision.Fail, decision.Fail, decision.Fail}, "certificate_untrusted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			trace := &decision.Trace{}
			set.Explain(trust.NewChain(tc.presented), now, trace)
			var outcomes []decision.Outcome
			for _, c := range trace.Checks {
				outcomes = append(outcomes, c.Outcome)
			}
			if !slices.Equal(outcomes, tc.outcomes) {
				t.Errorf("outcomes = %v, want %v", outcomes, tc.outcomes)
			}
			if last := trace.Checks[len(trace.Checks)-1]; last.Name != "trust" || !strings.Contains(last.Detail, tc.says) {
				t.Errorf("last check = %+v, want it to say %q", last, tc.says)
			}
		})
	}
}

func TestPurposesAreNamedAsInTheConfiguration(t *testing.T) {
	t.Parallel()
	for p, want := range map[trust.Purpose]string{
		trust.ClientAuth: "client_auth", trust.ServerAuth: "server_auth", trust.Any: "any", trust.ClientAuthOrMissing: "client_auth_or_missing",
		trust.PurposeDefault: "default", 200: "default",
	} {
		if p.String() != want {
			t.Errorf("purpose %d = %q, want %q", p, p, want)
		}
	}
}
