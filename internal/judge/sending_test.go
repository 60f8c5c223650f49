package judge_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/keystore"
	"sallyport/internal/testpki"
)

// rekeyed is a certificate with a key of another kind in it, which x509 does not know. Nothing signed it.
func rekeyed(tb testing.TB, cert *x509.Certificate, kind asn1.ObjectIdentifier) *x509.Certificate {
	tb.Helper()
	info, err := asn1.Marshal(struct {
		Algorithm struct{ ID asn1.ObjectIdentifier }
		Key       asn1.BitString
	}{struct{ ID asn1.ObjectIdentifier }{kind}, asn1.BitString{Bytes: make([]byte, 57), BitLength: 8 * 57}})
	if err != nil {
		tb.Fatal(err)
	}
	var outer struct{ TBS, Algorithm, Signature asn1.RawValue }
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(cert.Raw, &outer); err != nil {
		tb.Fatal(err)
	}
	if _, err := asn1.Unmarshal(outer.TBS.FullBytes, &fields); err != nil {
		tb.Fatal(err)
	}
	fields[6] = asn1.RawValue{FullBytes: info} // version, number, algorithm, issuer, validity, subject, key
	if outer.TBS.FullBytes, err = asn1.Marshal(fields); err != nil {
		tb.Fatal(err)
	}
	der, err := asn1.Marshal(outer)
	if err != nil {
		tb.Fatal(err)
	}
	fresh, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return fresh
}

var mldsa44 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}

var ed448, rsaPSS = asn1.ObjectIdentifier{1, 3, 101, 113}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

func TestACertificateThatNoClientSendsIsJudgedAsNone(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	small := p.issuing.Leaf(t, testpki.Options{CommonName: "small", Key: testpki.P224})
	text := document(`  - {name: required, path: /required/, listeners: [public], upstream: echo, client_certificate: {mode: required}}
  - {name: optional, path: /optional/, listeners: [public], upstream: echo, client_certificate: {mode: optional, on_invalid: ignore}}`)
	lax := p.rules(t, text)
	late := p.rules(t, replaced(t, text, "client_auth: optional,", "client_auth: optional, min_version: '1.3',"))
	open := document("  - {name: optional, path: /optional/, listeners: [public], upstream: echo, client_certificate: {mode: none}}")
	never := p.rules(t, replaced(t, open, "client_auth: optional,", "client_auth: none,"))
	insists := p.rules(t, replaced(t, text, "client_auth: optional,", "client_auth: required,"))
	readable := rekeyed(t, p.outsider.Cert, mldsa44)
	readable.PublicKey = struct{}{} // as a later Go has something there
	for _, c := range []struct {
		name      string
		rules     *judge.Rules
		path      string
		presented []*x509.Certificate
		reason    decision.Reason
		notSent   string   // "" for sent, or never asked
		checks    []string // some of their texts
		advice    []string
	}{
		{
			"Ed448, required", lax, "required/",
			[]*x509.Certificate{rekeyed(t, p.villain.Cert, ed448)},
			decision.CertificateMissing, "which is Ed448:",
			[]string{"over TLS 1.3 no client sends this certificate", "over TLS 1.2 no client sends it either", "no certificate"},
			[]string{"issued anew for another key", "Ed448", "RSA, ECDSA on P-256, P-384 or P-521, or Ed25519"},
		},
		{
			"Ed448, optional", lax, "optional/",
			[]*x509.Certificate{rekeyed(t, p.villain.Cert, ed448)},
			decision.OK, "which is Ed448:",
			[]string{"over TLS 1.2 no client sends it either"},
			nil,
		},
		{
			"RSA-PSS", lax, "required/",
			[]*x509.Certificate{rekeyed(t, p.villain.Cert, rsaPSS)},
			decision.CertificateMissing, "which is RSA-PSS",
			[]string{"over TLS 1.2 no client sends it either"},
			[]string{"RSA-PSS"},
		},
		{
			"a kind without a name", lax, "required/",
			[]*x509.Certificate{rekeyed(t, p.villain.Cert, asn1.ObjectIdentifier{1, 2, 3})},
			decision.CertificateMissing,
			"of the kind 1.2.3:", nil, nil,
		},
		{
			"P-224, required", lax, "required/", small.Chain(), decision.CertificateMissing, "ECDSA on P-224",
			[]string{"over TLS 1.2 clients send it: then the request is refused: certificate_weak"},
			[]string{"ECDSA on P-224"},
		},
		{
			"P-224, optional", lax, "optional/", small.Chain(), decision.OK, "ECDSA on P-224",
			[]string{"over TLS 1.2 clients send it: then the request is refused: certificate_weak"},
			nil,
		},
		{
			"P-224 where TLS 1.2 is not spoken", late, "required/", small.Chain(), decision.CertificateMissing, "ECDSA on P-224",
			[]string{"not over TLS 1.2"},
			nil,
		},
		{
			"P-224 where the handshake insists", insists, "optional/", small.Chain(), decision.CertificateMissing, "ECDSA on P-224",
			[]string{"over TLS 1.2 clients send it: then the request is refused: certificate_weak"},
			[]string{"another key"},
		},
		{
			"P-224 where nobody is asked", never, "optional/", small.Chain(), decision.OK, "",
			[]string{"never asks"},
			nil,
		},
		{
			"ML-DSA where it cannot be read", lax, "required/",
			[]*x509.Certificate{rekeyed(t, p.villain.Cert, mldsa44)},
			decision.CertificateMissing, "which is ML-DSA-44:",
			[]string{"over TLS 1.2 no client sends it either"},
			[]string{"ML-DSA-44"},
		},
		{
			"ML-DSA where it can", lax, "required/",
			[]*x509.Certificate{readable},
			decision.CertificateUntrusted, "",
			[]string{"a TLS certificate"},
			nil,
		},
		{"RSA", lax, "required/", p.issuing.Leaf(t, testpki.Options{Key: testpki.RSA2048}).Chain(), decision.OK, "", []string{"a TLS certificate"}, nil},
		{"Ed25519", lax, "required/", p.issuing.Leaf(t, testpki.Options{Key: testpki.Ed25519}).Chain(), decision.OK, "", []string{"a TLS certificate"}, nil},
		{"P-256", lax, "required/", p.partner.Chain(), decision.OK, "", []string{"a TLS certificate"}, nil},
		{"P-384", lax, "required/", p.issuing.Leaf(t, testpki.Options{Key: testpki.P384}).Chain(), decision.OK, "", []string{"a TLS certificate"}, nil},
		{"P-521", lax, "required/", p.issuing.Leaf(t, testpki.Options{Key: testpki.P521}).Chain(), decision.OK, "", []string{"a TLS certificate"}, nil},
		{"nothing", lax, "required/", nil, decision.CertificateMissing, "", []string{"no certificate"}, []string{"whose key is not RSA, ECDSA on P-256"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := explain(t, c.rules, judge.Question{URL: "https://localhost/" + c.path, Presented: c.presented})
			if e.Reason != c.reason || (e.NotSent == "") != (c.notSent == "") || !strings.Contains(e.NotSent, c.notSent) {
				t.Errorf("%s %s: %s, not sent: %q", e.Decision, e.Reason, e.Detail, e.NotSent)
			}
			if c.notSent != "" && e.Presented != nil {
				t.Errorf("presented is %+v", e.Presented)
			}
			var all []string
			for _, check := range e.Checks {
				all = append(all, check.Detail)
			}
			for _, want := range c.checks {
				unwanted, negative := strings.CutPrefix(want, "not ")
				if found := strings.Contains(strings.Join(all, "\n"), unwanted); found == negative {
					t.Errorf("the checks are %q, want %q", all, want)
				}
			}
			advises(t, e, c.advice...)
		})
	}
}

func TestAHandshakeThatTLSBreaksOffIsExplained(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single("{mode: none}"))
	sized := func(bits uint) *x509.Certificate {
		cert := *p.villain.Cert
		cert.PublicKey = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
		return &cert
	}
	unread := func(e *testpki.Entity) *x509.Certificate { // on prime192v1
		der := bytes.Replace(e.Cert.Raw, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1}, 1)
		bundle, err := keystore.Look(der, "")
		if err != nil {
			t.Fatal(err)
		}
		return bundle.Certificates[0]
	}
	for _, c := range []struct {
		name      string
		presented []*x509.Certificate
		reason    decision.Reason // OK for none
		broken    string
		alert     string
		checks    string
	}{
		{"RSA with 1023 bits", []*x509.Certificate{sized(1023)}, decision.CertificateWeak, "CN=villain", "decrypt_error", "less than 1024 bits"},
		{"RSA with 1024 bits", []*x509.Certificate{sized(1024)}, decision.OK, "CN=villain", "", "a TLS certificate"},
		{"RSA with 8192 bits", []*x509.Certificate{sized(8192)}, decision.OK, "", "", "a TLS certificate"},
		{"RSA with 8193 bits", []*x509.Certificate{sized(8193)}, decision.CertificateChain, "CN=villain", "bad_certificate", "more than 8192 bits"},
		{"a CA with 512 bits", []*x509.Certificate{p.villain.Cert, sized(512)}, decision.OK, "", "", "a TLS certificate"},
		{"a CA with 16384 bits", []*x509.Certificate{p.villain.Cert, sized(16384)}, decision.CertificateChain, "CN=villain", "bad_certificate", "more than 8192 bits"},
		{"a CA that cannot be read", []*x509.Certificate{p.partner.Cert, unread(p.issuing)}, decision.CertificateMalformed, "CN=Issuing CA", "decode_error", "unsupported elliptic curve"},
		{"a leaf that cannot be read", []*x509.Certificate{unread(p.villain)}, decision.OK, "", "", "over TLS 1.2 clients send it: then TLS breaks the handshake off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := explain(t, rules, judge.Question{URL: "https://localhost/", Presented: c.presented})
			if e.Reason != c.reason || e.Handshake == c.reason.Allowed() || (e.Broken == nil) != (c.broken == "") || e.Broken != nil && e.Broken.Subject != c.broken {
				t.Errorf("%s %s: %s, in the handshake: %t, broken by %+v", e.Decision, e.Reason, e.Detail, e.Handshake, e.Broken)
			}
			if e.Alert != c.alert || e.Profile != "default" || e.ServerName != "localhost" {
				t.Errorf("alert %q, want %q; profile %q of %q", e.Alert, c.alert, e.Profile, e.ServerName)
			}
			if text := fmt.Sprint(e.Checks); !strings.Contains(text, c.checks) {
				t.Errorf("the checks are %s, want %q", text, c.checks)
			}
			if !c.reason.Allowed() {
				advises(t, e, "issued anew for a key of RSA, ECDSA", `"handshake failed"`)
			}
		})
	}
}
