package trust_test

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// The extended key usages that tests of purposes have.
var (
	clientOnly = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	serverOnly = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	both       = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	mailOnly   = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	anyUsage   = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	unstated   = []x509.ExtKeyUsage{}
)

func purposeSet(t *testing.T, p trust.Purpose, until time.Time, anchors ...trust.Anchor) *trust.Set {
	t.Helper()
	return newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: anchors, Purpose: p, Until: until, MaxDepth: -1}))
}

// What public CAs issue since 2026 has an intermediate and a leaf for servers alone.
func TestWhereTheClientsPurposeMayBeMissing(t *testing.T) {
	t.Parallel()
	const refused = decision.CertificatePurpose
	for _, tc := range []struct {
		name       string
		ca, leaf   []x509.ExtKeyUsage
		adjust     func(*x509.Certificate)
		want       decision.Reason
		wantStrict decision.Reason // where it may not
		detail     string
	}{
		{"a public CA's certificate for servers", serverOnly, serverOnly, nil, decision.OK, refused, ""},
		{"one for servers below a CA that says nothing", nil, serverOnly, nil, decision.OK, refused, ""},
		{"one for both below a CA for servers", serverOnly, both, nil, decision.OK, refused, ""},
		{"one for both", nil, both, nil, decision.OK, decision.OK, ""},
		{"one for clients", nil, clientOnly, nil, decision.OK, decision.OK, ""},
		{"one for clients below a CA for clients", clientOnly, clientOnly, nil, decision.OK, decision.OK, ""},
		{"one that says nothing", nil, unstated, nil, decision.OK, decision.OK, ""},
		{"one that says nothing below a CA for servers", serverOnly, unstated, nil, decision.OK, refused, ""},
		{"one for any usage", nil, anyUsage, nil, decision.OK, decision.OK, ""},
		{"one for clients below a CA for servers", serverOnly, clientOnly, nil, refused, refused, `"CN=Issuing CA" is not meant for client_auth_or_missing as the certificates below it are`},
		{"one for servers below a CA for clients", clientOnly, serverOnly, nil, refused, refused, `"CN=Issuing CA" is not meant for client_auth_or_missing as`},
		{"one for mail", nil, mailOnly, nil, refused, refused, `"CN=partner-a" is not meant for client_auth_or_missing: its extended`},
		{"one for servers below a CA for mail", mailOnly, serverOnly, nil, refused, refused, `"CN=Issuing CA" is not meant for client_auth_or_missing: its extended`},
		{"one for a usage that nobody knows", nil, unstated, func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 99999, 1}}
		}, refused, refused, "partner-a"},
		{"one for servers whose key may only be encrypted to", nil, serverOnly, usable(x509.KeyUsageKeyEncipherment), refused, refused, "key usage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			root := testpki.NewCA(t, testpki.Options{})
			ca := root.Intermediate(t, testpki.Options{CommonName: "Issuing CA", ExtKeyUsage: tc.ca})
			leaf := ca.Leaf(t, testpki.Options{CommonName: "partner-a", ExtKeyUsage: tc.leaf, Adjust: tc.adjust})
			v := verify(t, purposeSet(t, trust.ClientAuthOrMissing, time.Time{}, cas(root)...), leaf.Chain(), now)
			wantReason(t, v, tc.want)
			if !strings.Contains(v.Detail, tc.detail) {
				t.Errorf("detail = %q, want it to say %q", v.Detail, tc.detail)
			}
			wantReason(t, verify(t, purposeSet(t, trust.ClientAuth, time.Time{}, cas(root)...), leaf.Chain(), now), tc.wantStrict)
		})
	}
}

func TestAPinWhereTheClientsPurposeMayBeMissing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		usage []x509.ExtKeyUsage
		want  decision.Reason
	}{{serverOnly, decision.OK}, {clientOnly, decision.OK}, {unstated, decision.OK}, {mailOnly, decision.CertificatePurpose}} {
		pin := testpki.NewSelfSigned(t, testpki.Options{ExtKeyUsage: tc.usage})
		wantReason(t, verify(t, purposeSet(t, trust.ClientAuthOrMissing, time.Time{}, cas(pin)...), present(pin), now), tc.want)
	}
}

func TestACAIsNoCallerWhereTheClientsPurposeMayBeMissing(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	inter := ca.Intermediate(t, testpki.Options{ExtKeyUsage: serverOnly})
	wantReason(t, verify(t, purposeSet(t, trust.ClientAuthOrMissing, time.Time{}, cas(ca)...), inter.Chain(), now), decision.CertificatePurpose)
}

func TestAPurposeEndsToTheMoment(t *testing.T) {
	t.Parallel()
	until := now.Add(time.Hour)
	ca := testpki.NewCA(t, testpki.Options{})
	server, client := ca.Leaf(t, testpki.Options{ExtKeyUsage: serverOnly}), ca.Leaf(t, testpki.Options{ExtKeyUsage: clientOnly})
	mail := ca.Leaf(t, testpki.Options{ExtKeyUsage: mailOnly})
	sealed := ca.Leaf(t, testpki.Options{ExtKeyUsage: unstated, Adjust: usable(x509.KeyUsageKeyEncipherment)})
	pin := testpki.NewSelfSigned(t, testpki.Options{ExtKeyUsage: serverOnly})
	const ok, refused = decision.OK, decision.CertificatePurpose
	for _, tc := range []struct {
		name          string
		purpose       trust.Purpose
		presented     *testpki.Entity
		before, after decision.Reason
	}{
		{"a server's", trust.ClientAuthOrMissing, server, ok, refused},
		{"a server's where any will do", trust.Any, server, ok, refused},
		{"a client's", trust.ClientAuthOrMissing, client, ok, ok},
		{"a client's where any will do", trust.Any, client, ok, ok},
		{"one for mail", trust.ClientAuthOrMissing, mail, refused, refused},
		{"one for mail where any will do", trust.Any, mail, ok, refused},
		{"one whose key may only be encrypted to", trust.Any, sealed, ok, refused},
		{"a pin for servers", trust.Any, pin, ok, refused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			set := purposeSet(t, tc.purpose, until, cas(ca, pin)...)
			chain := trust.NewChain(tc.presented.Chain())
			for range 2 { // the second time from the cache, and with the clock back
				for at, want := range map[time.Time]decision.Reason{now: tc.before, until.Add(-1): tc.before, until: tc.after, until.Add(time.Hour): tc.after} {
					v := verify(t, set, tc.presented.Chain(), at)
					wantReason(t, v, want)
					wantReason(t, set.Verify(chain, at), want)
					if at.Before(until) && !v.Until.Equal(until) {
						t.Errorf("at %s the verdict lives until %s", at, v.Until)
					}
					const says = "; until 2026-11-21T13:00:00Z the purpose of the trust store was "
					if wanted := want == refused && !at.Before(until); strings.Contains(v.Detail, says+tc.purpose.String()) != wanted {
						t.Errorf("at %s the detail is %q", at, v.Detail)
					}
				}
			}
		})
	}
}

func TestARefusalForAnotherReasonSaysNothingOfThePurpose(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	old := ca.Leaf(t, testpki.Options{NotAfter: now.Add(-time.Hour)})
	v := verify(t, purposeSet(t, trust.Any, now.Add(-time.Minute), cas(ca)...), old.Chain(), now)
	wantReason(t, v, decision.CertificateExpired)
	if strings.Contains(v.Detail, "purpose") {
		t.Errorf("detail = %q", v.Detail)
	}
}

// A backend's certificate is judged by the purpose of backends when the store's has ended.
func TestAnEndedPurposeIsThatOfTheSet(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	store := newStore(t, trust.StoreConfig{Anchors: cas(ca), Purpose: trust.Any, Until: now, MaxDepth: -1})
	set := newSet(t, trust.ServerAuth, store)
	wantReason(t, verify(t, set, ca.Leaf(t, testpki.Options{ExtKeyUsage: clientOnly}).Chain(), now.Add(-1)), decision.OK)
	wantReason(t, verify(t, set, ca.Leaf(t, testpki.Options{ExtKeyUsage: clientOnly}).Chain(), now), decision.CertificatePurpose)
	wantReason(t, verify(t, set, ca.Leaf(t, testpki.Options{ExtKeyUsage: serverOnly}).Chain(), now), decision.OK)
}

func TestExplainSaysWhatAnEndingPurposeWillRefuse(t *testing.T) {
	t.Parallel()
	until := now.Add(time.Hour)
	ca := testpki.NewCA(t, testpki.Options{})
	pin := testpki.NewSelfSigned(t, testpki.Options{ExtKeyUsage: serverOnly})
	sealedPin := testpki.NewSelfSigned(t, testpki.Options{Adjust: usable(x509.KeyUsageKeyEncipherment)})
	const says = `passes only because the purpose of the trust store is any, which ends at 2026-11-21T13:00:00Z`
	for _, tc := range []struct {
		name   string
		leaf   *testpki.Entity
		until  time.Time
		warned bool
	}{
		{"a server's", ca.Leaf(t, testpki.Options{ExtKeyUsage: serverOnly}), until, true},
		{"a key to encrypt to", ca.Leaf(t, testpki.Options{Adjust: usable(x509.KeyUsageKeyEncipherment)}), until, true},
		{"a pinned server's", pin, until, true},
		{"of a pin the key usage does not count", sealedPin, until, false},
		{"a client's", ca.Leaf(t, testpki.Options{}), until, false},
		{"a server's where the purpose does not end", ca.Leaf(t, testpki.Options{ExtKeyUsage: serverOnly}), time.Time{}, false},
		{"a client's when it has ended", ca.Leaf(t, testpki.Options{}), now, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			trace := &decision.Trace{}
			v := purposeSet(t, trust.Any, tc.until, cas(ca, pin, sealedPin)...).Explain(trust.NewChain(tc.leaf.Chain()), now, trace)
			wantReason(t, v, decision.OK)
			last := trace.Checks[len(trace.Checks)-1]
			if (last.Name == "purpose") != tc.warned || strings.Contains(last.Detail, says) != tc.warned || tc.warned && last.Outcome != decision.Info {
				t.Errorf("last check = %+v", last)
			}
		})
	}
}

func TestAPurposeThatEndsIsWorthAWarning(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{ExtKeyUsage: serverOnly})
	store := newStore(t, trust.StoreConfig{Anchors: cas(ca.Intermediate(t, testpki.Options{ExtKeyUsage: mailOnly})), Purpose: trust.Any, Until: now, MaxDepth: -1})
	for _, tc := range []struct {
		at   time.Time
		want string
	}{
		{now.Add(-90*24*time.Hour - 1), ""},
		{now.Add(-90 * 24 * time.Hour), "its purpose any ends at 2026-11-21T12:00:00Z: from then on it asks callers for client_auth"},
		{now.Add(-1), "ends at"},
		{now, "its purpose any ended at 2026-11-21T12:00:00Z: since then it asks callers for client_auth"},
	} {
		got := store.Warnings(tc.at)
		switch {
		case tc.want == "" && len(got) > 0, tc.want != "" && (len(got) != 1 || got[0].Certificate != nil || !strings.HasPrefix(got[0].Text, `trust store "partners": `) || !strings.Contains(got[0].Text, tc.want)):
			t.Errorf("at %s: %v, want %q", tc.at, got, tc.want)
		}
	}
}
