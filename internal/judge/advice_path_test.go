package judge_test

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

func TestEachFaultOfAPathHasAnAdviceOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	below := func(ca *testpki.Entity, intermediates int) *testpki.Entity {
		for i := range intermediates {
			ca = ca.Intermediate(t, testpki.Options{CommonName: fmt.Sprint("Step ", i)})
		}
		return ca
	}
	leaf := func(ca *testpki.Entity, o testpki.Options) []*x509.Certificate {
		o.CommonName = "caller"
		return ca.Leaf(t, o).Chain()
	}
	narrow := p.ca.Intermediate(t, testpki.Options{CommonName: "Narrow", PathLen: new(0)})
	constrained := p.ca.Intermediate(t, testpki.Options{CommonName: "Constrained", Adjust: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"good.test"} }})
	critical := testpki.Options{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}}
	many := p.partner.Chain()
	for range 10 {
		many = append(many, p.stranger.Cert)
	}
	slow := p.ca.Leaf(t, testpki.Options{Key: testpki.RSA2048}).Cert
	slowKey := *slow.PublicKey.(*rsa.PublicKey)
	slowKey.E = 1<<31 - 1
	tooSlow := *slow
	tooSlow.PublicKey = &slowKey
	other := testpki.NewCA(t, testpki.Options{CommonName: "Partner CA"})
	strays := leaf(other.Intermediate(t, testpki.Options{CommonName: "Step"}), testpki.Options{})
	for range 5 {
		strays = append(strays, other.Intermediate(t, testpki.Options{CommonName: "Step"}).Cert)
	}
	for _, c := range []struct {
		name      string
		presented []*x509.Certificate
		advice    []string
	}{
		{"over max_depth", leaf(below(p.ca, 6), testpki.Options{}), []string{`Raise max_depth of the trust store "partners"`, "cert verify"}},
		{"over a CA's own limit", leaf(below(narrow, 1), testpki.Options{}), []string{`The CA "CN=Narrow" limits how many`, "max_depth does not change that", "not Raise"}},
		{"below a leaf", leaf(p.ca.Leaf(t, testpki.Options{CommonName: "No CA"}), testpki.Options{}), []string{`"CN=No CA" is not allowed to issue`, "CA:TRUE", "keyCertSign"}},
		{"names that the CA may not certify", leaf(constrained, testpki.Options{Hosts: []string{"evil.test"}}), []string{`all names of "CN=caller"`, "name constraints"}},
		{"a critical extension of the leaf", leaf(p.ca, critical), []string{`"CN=caller" issued anew without the critical extension`}},
		{"a critical extension of a CA", leaf(p.ca.Intermediate(t, testpki.Options{CommonName: "Special", Extensions: critical.Extensions}), testpki.Options{}), []string{`"CN=Special" issued anew without the critical extension`}},
		{"more than is looked at", many, []string{"has to send less", "10 certificates", "48 KiB"}},
		{"a key that takes too long", []*x509.Certificate{&tooSlow}, []string{"issued anew for an ordinary key"}},
		{"what others signed", strays, []string{"the intermediates that really issued it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := explain(t, p.rules(t, single("{mode: required}")), judge.Question{URL: "https://localhost/", Presented: c.presented})
			if e.Reason != decision.CertificateChain {
				t.Errorf("%s: %s", e.Reason, e.Detail)
			}
			advises(t, e, append(c.advice, "not nothing else", "not See the detail")...)
		})
	}
}

func TestWhoUsesTheNameOfAnAnchorIsNotToldToAddIt(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single("{mode: required, trust: [strangers, partners]}"))
	other := testpki.NewCA(t, testpki.Options{CommonName: "Partner CA"})
	forged := other.Leaf(t, testpki.Options{CommonName: "orders"})
	below := other.Intermediate(t, testpki.Options{CommonName: "Issuing CA"}).Leaf(t, testpki.Options{CommonName: "orders"})
	known := []string{`the name "CN=Partner CA" is trusted with another key (sha256 ` + thumbprint(p.ca) + ")", "ask the partner", "somebody made this certificate himself", "not is a partner's"}
	along := "sent along by that name is another certificate (sha256 " + thumbprint(other) + ")"
	for _, c := range []struct {
		name      string
		presented []*x509.Certificate
		advice    []string
	}{
		{"below it", forged.Chain(), append(known, "not sent along")},
		{"below it, and the CA is sent along", append(forged.Chain(), other.Cert), append(known, along)},
		{"below an intermediate", below.Chain(), append(known, "not sent along")},
		{"below an intermediate, and the CA is sent along", append(below.Chain(), other.Cert), append(known, along)},
		{"the CA itself", other.Chain(), append(known, "not sent along")},
		{"a CA of another name", p.pinned.Leaf(t, testpki.Options{}).Chain(), []string{"not another key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := explain(t, rules, judge.Question{URL: "https://localhost/", Presented: c.presented})
			if e.Reason != decision.CertificateUntrusted {
				t.Errorf("%s: %s", e.Reason, e.Detail)
			}
			advises(t, e, c.advice...)
		})
	}
}

func TestOfManyAnchorsOfOneNameSomeAreNamed(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	var text []byte
	for range 5 {
		text = append(text, testpki.NewCA(t, testpki.Options{CommonName: "Stranger CA"}).PEM()...)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "stranger-ca.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	rules := p.rules(t, single("{mode: required, trust: [strangers]}"))
	advises(t, explain(t, rules, question("https://localhost/", p.outsider)), "trusted with another key (sha256 ", ", 2 more)")
}

func TestAnAnchorOfTheFutureIsAQuestionOfClocks(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	early := testpki.NewCA(t, testpki.Options{CommonName: "New CA", NotBefore: now().Add(time.Hour)})
	early.Write(t, p.dir, "stranger-ca")
	rules := p.rules(t, single("{mode: required, trust: [strangers]}"))
	e := explain(t, rules, question("https://localhost/", early.Leaf(t, testpki.Options{CommonName: "caller"})))
	if e.Reason != decision.CertificateUntrusted {
		t.Errorf("%s: %s", e.Reason, e.Detail)
	}
	advises(t, e, `"CN=New CA" is valid from 2026-03-01T13:00:00Z on`, "clocks", "not successor", "not another key")
}
