package trust_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// mldsaFile holds the certificates of mldsaPKI, in that order. Go before 1.27 cannot make them; TestMLDSAFixtures does, with
// -update.
const mldsaFile = "mldsa.pem"

// mldsaPKI are certificates with keys and signatures of ML-DSA (FIPS 204, RFC 9881) and the usual ones around them.
type mldsaPKI struct {
	ca, leaf, classical *x509.Certificate // a CA with ML-DSA-65; below it a leaf with ML-DSA-44 and one on P-256
	ecdsa, under        *x509.Certificate // a CA on P-256; below it a leaf with ML-DSA-87
	inter, deep         *x509.Certificate // an intermediate with ML-DSA-44 below the latter, and below that a leaf on P-256
	pin                 *x509.Certificate // self-signed with ML-DSA-44
}

func readMLDSA(t *testing.T) *mldsaPKI {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", mldsaFile))
	if err != nil {
		t.Fatal(err)
	}
	p := &mldsaPKI{}
	for _, at := range []**x509.Certificate{&p.ca, &p.leaf, &p.classical, &p.ecdsa, &p.under, &p.inter, &p.deep, &p.pin} {
		block, rest := pem.Decode(text)
		if block == nil {
			t.Fatal("certificates are missing")
		}
		if *at, err = x509.ParseCertificate(block.Bytes); err != nil {
			t.Fatal(err)
		}
		text = rest
	}
	return p
}

// TestMLDSA asks what each kind of certificate with ML-DSA is worth: what it should be with a Go that knows it, and otherwise
// certificate_weak, which says what is missing.
func TestMLDSA(t *testing.T) {
	t.Parallel()
	p := readMLDSA(t)
	anchors := func(certs ...*x509.Certificate) []trust.Anchor {
		var list []trust.Anchor
		for _, c := range certs {
			list = append(list, trust.Anchor{Certificate: c})
		}
		return list
	}
	other := testpki.NewCA(t, testpki.Options{}).Cert
	const later, weak = "takes a build of the gateway with Go 1.27 or later", decision.CertificateWeak
	for _, tc := range []struct {
		name      string
		anchors   []trust.Anchor
		presented []*x509.Certificate
		with      decision.Reason
		without   decision.Reason
		detail    string // where it is refused without
	}{
		{"a leaf below its CA", anchors(p.ca), []*x509.Certificate{p.leaf}, decision.OK, weak, `"CN=leaf" is signed with ML-DSA-65, which ` + later},
		{"with the CA presented", anchors(p.ca), []*x509.Certificate{p.leaf, p.ca}, decision.OK, weak, "ML-DSA-65, which " + later},
		{"a leaf on P-256", anchors(p.ca), []*x509.Certificate{p.classical}, decision.OK, weak, `"CN=classical" is signed with ML-DSA-65, which ` + later},
		{"a leaf below a CA on P-256", anchors(p.ecdsa), []*x509.Certificate{p.under}, decision.OK, weak, `"CN=under" has a key for ML-DSA-87, which ` + later},
		{"a pin", anchors(p.pin), []*x509.Certificate{p.pin}, decision.OK, weak, `"CN=pin" has a key for ML-DSA-44, which ` + later},
		{"a stranger's", anchors(p.ecdsa), []*x509.Certificate{p.leaf}, decision.CertificateUntrusted, decision.CertificateUntrusted, "no trust anchor"},
		{"a stranger's along with his CA", anchors(other), []*x509.Certificate{p.leaf, p.ca}, decision.CertificateUntrusted, decision.CertificateUntrusted, "self-signed"},
		{"a leaf on P-256 below an intermediate", anchors(p.ecdsa), []*x509.Certificate{p.deep, p.inter}, decision.OK, weak, `"CN=deep" is signed with ML-DSA-44, which ` + later},
		{"a leaf on P-256 without its intermediate", anchors(p.ecdsa), []*x509.Certificate{p.deep}, decision.CertificateUntrusted, decision.CertificateUntrusted, "was not presented"},
		{"self-signed by nobody we know", anchors(other), []*x509.Certificate{p.pin}, decision.CertificateUntrusted, decision.CertificateUntrusted, "self-signed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := verify(t, newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: tc.anchors, MaxDepth: -1})), tc.presented, now)
			if knowsMLDSA {
				wantReason(t, v, tc.with)
				return
			}
			wantReason(t, v, tc.without)
			if !strings.Contains(v.Detail, tc.detail) {
				t.Errorf("detail = %q, want it to say %q", v.Detail, tc.detail)
			}
		})
	}
}

func TestAnAnchorWithMLDSAIsWorthAWarningWhereItIsNotKnown(t *testing.T) {
	t.Parallel()
	p := readMLDSA(t)
	for _, anchor := range []*x509.Certificate{p.ca, p.pin} {
		got := newStore(t, trust.StoreConfig{Anchors: []trust.Anchor{{Certificate: anchor}}}).Warnings(now)
		if knowsMLDSA != (len(got) == 0) || !knowsMLDSA && !strings.Contains(got[0].Text, "has a key for ML-DSA-") {
			t.Errorf("warnings = %v", got)
		}
	}
}

func TestFactsOfMLDSA(t *testing.T) {
	t.Parallel()
	p := readMLDSA(t)
	for _, cert := range []*x509.Certificate{p.leaf, p.classical, p.under} {
		f := trust.FactsOf(cert)
		if keyed := cert != p.classical; f.WeakSignature != (cert != p.under && !knowsMLDSA) || (f.WeakKey != "") != (keyed && !knowsMLDSA) {
			t.Errorf("%s: %+v", cert.Subject, f)
		}
		reason, detail := trust.Examine(cert, trust.ClientAuth, now)
		if knowsMLDSA != (reason == decision.OK) || !knowsMLDSA && (reason != decision.CertificateWeak || !strings.Contains(detail, "ML-DSA-")) {
			t.Errorf("%s: %s (%s)", cert.Subject, reason, detail)
		}
	}
}
