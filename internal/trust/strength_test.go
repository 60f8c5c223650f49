package trust_test

import (
	"strings"
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

func TestTheSmallestKeysOfAStore(t *testing.T) {
	t.Parallel()
	const ok, weak = decision.OK, decision.CertificateWeak
	for _, tc := range []struct {
		name   string
		size   trust.KeySize
		ca     testpki.KeyType
		leaf   testpki.KeyType
		want   decision.Reason
		detail string
	}{
		{"RSA as it was", trust.KeySize{}, "", testpki.RSA2048, ok, ""},
		{"RSA that is asked for", trust.KeySize{RSA: 2048}, "", testpki.RSA2048, ok, ""},
		{"RSA that is smaller than asked for", trust.KeySize{RSA: 3072}, "", testpki.RSA2048, weak, "an RSA key of 2048 bits, 3072 are needed"},
		{"RSA as large as asked for", trust.KeySize{RSA: 3072}, "", testpki.RSA3072, ok, ""},
		{"RSA one bit smaller than asked for", trust.KeySize{RSA: 3073}, "", testpki.RSA3072, weak, "3073"},
		{"an anchor with RSA that is smaller", trust.KeySize{RSA: 3072}, testpki.RSA2048, testpki.RSA3072, weak, `"CN=Test CA" has`},
		{"curves as they were", trust.KeySize{RSA: 8192}, "", testpki.P256, ok, ""},
		{"a curve that is smaller than asked for", trust.KeySize{EC: 384}, testpki.P384, testpki.P256, weak, "an ECDSA key of 256 bits, 384 are needed"},
		{"a curve as large as asked for", trust.KeySize{EC: 384}, testpki.P384, testpki.P384, ok, ""},
		{"a larger curve", trust.KeySize{EC: 384}, testpki.P384, testpki.P521, ok, ""},
		{"the largest curve", trust.KeySize{EC: 521}, testpki.P521, testpki.P384, weak, "521 are needed"},
		{"the largest curve, and it is that", trust.KeySize{EC: 521}, testpki.P521, testpki.P521, ok, ""},
		{"an anchor on a smaller curve", trust.KeySize{EC: 384}, testpki.P256, testpki.P384, weak, `"CN=Test CA" has`},
		{"Ed25519 as it was", trust.KeySize{}, testpki.P384, testpki.Ed25519, ok, ""},
		{"Ed25519 where 256 bits are asked for", trust.KeySize{EC: 256}, testpki.P384, testpki.Ed25519, ok, ""},
		{"Ed25519 where more are asked for", trust.KeySize{EC: 384}, testpki.P384, testpki.Ed25519, weak, "an Ed25519 key, which counts as 256 bits, 384 are needed"},
		{"RSA where only curves are asked for", trust.KeySize{EC: 521}, testpki.P521, testpki.RSA2048, ok, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ca := testpki.NewCA(t, testpki.Options{Key: tc.ca})
			leaf := ca.Leaf(t, testpki.Options{Key: tc.leaf})
			store := newStore(t, trust.StoreConfig{Anchors: cas(ca), MinKeySize: tc.size, MaxDepth: -1})
			v := verify(t, newSet(t, trust.ClientAuth, store), leaf.Chain(), now)
			wantReason(t, v, tc.want)
			if !strings.Contains(v.Detail, tc.detail) {
				t.Errorf("detail = %q, want it to say %q", v.Detail, tc.detail)
			}
			pin := testpki.NewSelfSigned(t, testpki.Options{Key: tc.leaf})
			store = newStore(t, trust.StoreConfig{Anchors: cas(pin), MinKeySize: tc.size})
			want := tc.want
			if strings.Contains(tc.detail, "Test CA") {
				want = ok
			}
			wantReason(t, verify(t, newSet(t, trust.ClientAuth, store), present(pin), now), want)
			if warnings := store.Warnings(now); (len(warnings) > 0) != (want == weak) {
				t.Errorf("warnings = %v", warnings)
			}
		})
	}
}

// Certificates before version 3 have no extensions (RFC 5280 §4.1.2.1): nothing says what they may be used for.
func TestVersionsBefore3AreRefusedUnlessAllowed(t *testing.T) {
	t.Parallel()
	for version, old := range map[string]testpki.Options{
		"version 1": {CommonName: "old", Version1: true},
		"version 2": {CommonName: "old", Version2: true},
	} {
		ca, pin := testpki.NewCA(t, testpki.Options{}), testpki.NewSelfSigned(t, old)
		for _, allowed := range []bool{false, true} {
			store := newStore(t, trust.StoreConfig{Anchors: cas(ca, pin), AllowV1: allowed, MaxDepth: -1})
			set := newSet(t, trust.ClientAuth, store)
			for _, leaf := range []*testpki.Entity{pin, ca.Leaf(t, old), ca.Intermediate(t, testpki.Options{}).Leaf(t, old)} {
				v := verify(t, set, leaf.Chain(), now)
				if allowed {
					wantReason(t, v, decision.OK)
					continue
				}
				wantReason(t, v, decision.CertificateWeak)
				if !strings.Contains(v.Detail, `"CN=old" has `+version) || !strings.Contains(v.Detail, "allow_v1") {
					t.Errorf("%s: detail = %q", version, v.Detail)
				}
			}
			if got := store.Warnings(now); (len(got) == 0) != allowed {
				t.Errorf("%s, allowed %v: warnings = %v", version, allowed, got)
			}
		}
	}
}

// Anybody who has a certificate of version 1 could issue others if such a certificate counted as a CA.
func TestVersion1NeverIssues(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	old := testpki.Options{CommonName: "old", Version1: true}
	root := testpki.NewCA(t, old)
	store := newStore(t, trust.StoreConfig{Anchors: cas(ca, root), AllowV1: true, MaxDepth: -1})
	set := newSet(t, trust.ClientAuth, store)
	wantReason(t, verify(t, set, ca.Intermediate(t, old).Leaf(t, testpki.Options{}).Chain(), now), decision.CertificateChain)
	wantReason(t, verify(t, set, ca.Leaf(t, old).Leaf(t, old).Chain(), now), decision.CertificateChain)
	// What calls itself a root without basic constraints is a pin.
	wantReason(t, verify(t, set, append(root.Leaf(t, testpki.Options{}).Chain(), root.Cert), now), decision.CertificateUntrusted)
	wantReason(t, verify(t, set, present(root), now), decision.OK)
}

// A certificate for a key that is allowed must still not vouch with a weaker one, on whatever path it is found.
func TestALongerPathIsTakenWhereTheShorterOneIsTooSmallForTheStore(t *testing.T) {
	t.Parallel()
	small := testpki.NewCA(t, testpki.Options{CommonName: "Small", Key: testpki.P256})
	large := testpki.NewCA(t, testpki.Options{CommonName: "Large", Key: testpki.P384})
	inter := small.Intermediate(t, testpki.Options{CommonName: "Issuing CA", Key: testpki.P384})
	store := newStore(t, trust.StoreConfig{Anchors: cas(small, large), MinKeySize: trust.KeySize{EC: 384}, MaxDepth: -1})
	presented := present(inter.Leaf(t, testpki.Options{Key: testpki.P384}), inter, large.CrossSign(t, inter, testpki.Options{}))
	v := verify(t, newSet(t, trust.ClientAuth, store), presented, now)
	wantReason(t, v, decision.OK)
	if v.Anchor != large.Cert {
		t.Errorf("anchor = %v", v.Anchor)
	}
}
