package gateway_test

import (
	"crypto/elliptic"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

// listDocument has one API whose client_certificate is RULES, on a listener that says LISTENER and a gateway that says
// GATEWAY.
const listDocument = `
GATEWAY
listeners:
  - name: public
    address: 127.0.0.1:0
    tls: {credentials: [server], client_auth: optional, trust: [partners]}
    LISTENER
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: strangers, anchors: [{file: stranger-ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
apis:
  - {name: api, path: /, upstream: echo, client_certificate: RULES}
`

func rules(gateway, listener, api string) string {
	level := func(text string) string {
		if text == "" {
			return ""
		}
		return "client_certificate: " + text
	}
	return strings.NewReplacer("GATEWAY", level(gateway), "LISTENER", level(listener), "RULES", api).Replace(listDocument)
}

func TestEachFieldOfAMatcherMatchesWhatItSays(t *testing.T) {
	t.Parallel()
	s := newSite(t, rules("", "", "{mode: required, trust: [partners]}"))
	issuing := s.ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	who := issuing.Leaf(t, testpki.Options{
		Subject: pkix.Name{CommonName: "orders", Organization: []string{"Acme"}, OrganizationalUnit: []string{"API"}, Country: []string{"US"}},
		Serial:  0x1f2e, Hosts: []string{"a.acme.test", "192.0.2.7"}, URIs: []string{"spiffe://acme.test/orders/eu"}, Emails: []string{"ops@acme.test"},
	})
	twoNames := s.ca.Leaf(t, testpki.Options{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: []int{2, 5, 4, 3}, Value: "orders"}, {Type: []int{2, 5, 4, 3}, Value: "other"},
	}}})
	sha1Sum := sha1.Sum(who.Cert.Raw)
	spki := sha256.Sum256(who.Cert.RawSubjectPublicKeyInfo)
	colons := func(sum string) string {
		var pairs []string
		for i := 0; i < len(sum); i += 2 {
			pairs = append(pairs, strings.ToUpper(sum[i:i+2]))
		}
		return strings.Join(pairs, ":")
	}
	spaced := s.ca.Leaf(t, testpki.Options{CommonName: " orders  eu"}) // the same name as "orders eu" (RFC 4518)
	for _, c := range []struct {
		matcher string
		who     *testpki.Entity
		ok      bool
	}{
		{"{common_name: orders eu}", spaced, true},
		{"{common_name: 'orders *'}", spaced, true},
		{"{subject: CN=orders eu}", spaced, true},
		{fmt.Sprintf("{sha256: %q}", colons(sum(who))), who, true},
		{fmt.Sprintf("{sha256: %q}", sum(s.a)), who, false},
		{fmt.Sprintf("{sha1: %q}", hex.EncodeToString(sha1Sum[:])), who, true},
		{fmt.Sprintf("{sha1: %q}", hex.EncodeToString(make([]byte, 20))), who, false},
		{fmt.Sprintf("{spki_sha256: %q}", hex.EncodeToString(spki[:])), who, true},
		{fmt.Sprintf("{spki_sha256: %q}", sum(who)), who, false},
		{fmt.Sprintf("{issuer_sha256: %q}", sum(issuing)), who, true},
		{fmt.Sprintf("{issuer_sha256: %q}", sum(s.ca)), who, false},
		{"{common_name: orders}", who, true},
		{"{common_name: ord*}", who, true},
		{"{common_name: Orders}", who, false},
		{"{common_name: orders}", twoNames, false},
		{"{common_name: 'ord*'}", twoNames, false},
		{"{subject: 'CN=orders,OU=API,O=Acme,C=US'}", who, true},
		{"{subject: 'C=US,O=Acme,OU=API,CN=orders'}", who, true},
		{"{subject: 'CN=orders,O=Acme'}", who, false},
		{"{subject: 'CN=orders,O=Acme,*'}", who, true},
		{"{subject: 'CN=orders,*'}", twoNames, false},
		{"{subject: 'CN=orders,OU=API,O=Acme,C=US', match: exact}", who, true},
		{"{subject: 'C=US,O=Acme,OU=API,CN=orders', match: exact}", who, false},
		{"{subject: 'CN=orders,**', match: ant}", who, true},
		{"{subject: 'C=US*', match: ant}", who, false},
		{"{issuer: 'CN=Issuing CA'}", who, true},
		{"{issuer: 'CN=Partner CA'}", who, false},
		{"{issuer: 'CN=Partner CA'}", s.a, true},
		{"{serial: '1F:2E'}", who, true},
		{"{serial: '0x1f2f'}", who, false},
		{"{san_dns: A.acme.test}", who, true},
		{"{san_dns: '*.acme.test'}", who, true},
		{"{san_dns: acme.test}", who, false},
		{"{san_uri: 'spiffe://acme.test/orders/*'}", who, true},
		{"{san_uri: 'spiffe://acme.test/*'}", who, false},
		{"{san_email: ops@ACME.test}", who, true},
		{"{san_email: '*@other.test'}", who, false},
		{"{san_ip: 192.0.2.0/24}", who, true},
		{"{san_ip: 192.0.2.8}", who, false},
		{"{san_dns: 192.0.2.7}", who, false},
		{"{common_name: orders, san_dns: a.acme.test}", who, true},
		{"{common_name: orders, san_dns: b.acme.test}", who, false},
		{fmt.Sprintf("{sha256: %q, serial: '1f2f'}", sum(who)), who, false},
	} {
		for list, status := range map[string]int{"allow": map[bool]int{true: 200, false: 403}[c.ok], "deny": map[bool]int{true: 403, false: 200}[c.ok]} {
			document := rules("", "", fmt.Sprintf("{mode: required, trust: [partners], %s: [%s]}", list, c.matcher))
			if list == "deny" && (strings.Contains(c.matcher, "'C=US*'") || c.who == twoNames) {
				status = 403 // a deny list tries every usual rendering, and a second common name evades nothing
			}
			snapshot, err := s.compile(document)
			if err != nil && strings.Contains(c.matcher, "san_dns: 192") {
				continue // refused at load, which is as good
			}
			if err != nil {
				t.Errorf("%s %s: %v", list, c.matcher, err)
				continue
			}
			if err := s.gateway.Swap(snapshot); err != nil {
				t.Fatal(err)
			}
			if a := s.caller("public", "localhost", c.who).get("https://localhost/"); a.status != status {
				t.Errorf("%s %s answers %s with %d %s, want %d", list, c.matcher, c.who.Cert.Subject, a.status, a.reason, status)
			}
		}
	}
}

func TestTheHolderOfADeniedCertificateCannotReencodeIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, rules("", "", "{mode: required, trust: [partners]}"))
	issuing := s.ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	denied := issuing.Leaf(t, testpki.Options{CommonName: "denied"})
	sha1Sum := sha1.Sum(denied.Cert.Raw)
	n := elliptic.P256().Params().N
	flipped, padded := denied.TLS(), denied.TLS()
	flipped.Certificate[0] = reencode(t, denied.Cert.Raw, n, 0)
	padded.Certificate[0] = reencode(t, denied.Cert.Raw, nil, 1)
	flippedIssuer := denied.TLS()
	flippedIssuer.Certificate[1] = reencode(t, issuing.Cert.Raw, n, 0)
	for _, deny := range []string{
		fmt.Sprintf("{sha256: %q}", sum(denied)),
		fmt.Sprintf("{sha1: %q}", hex.EncodeToString(sha1Sum[:])),
		fmt.Sprintf("{sha256: %q, common_name: denied}", sum(denied)),
		fmt.Sprintf("{sha1: %q, common_name: denied}", hex.EncodeToString(sha1Sum[:])),
		fmt.Sprintf("{issuer_sha256: %q}", sum(issuing)),
	} {
		s.apply(rules("", "", "{mode: required, trust: [partners], deny: ["+deny+"]}"))
		s.caller("public", "localhost", s.a).get("https://localhost/").is(t, 200, "")
		for name, chain := range map[string]tls.Certificate{"as issued": denied.TLS(), "flipped": flipped, "padded": padded} {
			a := s.callerWith("public", "localhost", chain).get("https://localhost/")
			if a.status != 403 {
				t.Errorf("%s, %s: %d", deny, name, a.status)
			}
		}
		if strings.Contains(deny, "issuer") {
			s.callerWith("public", "localhost", flippedIssuer).get("https://localhost/").is(t, 403, "certificate_denied")
		}
	}
	// A list that allows admits the very certificate alone.
	s.apply(rules("", "", fmt.Sprintf("{mode: required, trust: [partners], allow: [{sha256: %q}]}", sum(denied))))
	s.caller("public", "localhost", denied).get("https://localhost/").is(t, 200, "")
	s.callerWith("public", "localhost", flipped).get("https://localhost/").is(t, 403, "certificate_not_allowed")
}

// reencode writes a certificate's signature in another way that verifies: with n - s for s where n is given, and with
// unused bits. What was signed stays the same.
func reencode(t *testing.T, der []byte, n *big.Int, unused int) []byte {
	t.Helper()
	var outer struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	if n != nil {
		var signature struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(outer.Signature.Bytes, &signature); err != nil {
			t.Fatal(err)
		}
		signature.S.Sub(n, signature.S)
		flipped, err := asn1.Marshal(signature)
		if err != nil {
			t.Fatal(err)
		}
		outer.Signature = asn1.BitString{Bytes: flipped, BitLength: 8 * len(flipped)}
	}
	if unused > 0 { // shifted left, which the parser undoes
		shifted := new(big.Int).Lsh(new(big.Int).SetBytes(outer.Signature.Bytes), uint(unused)).Bytes()
		outer.Signature = asn1.BitString{Bytes: shifted, BitLength: 8*len(shifted) - unused}
	}
	out, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLevelsMergeFieldByField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                   string
		gateway, listener, api string
		nobody, a, b, outsider string // reasons; "" is allowed
	}{
		{
			"an API inherits everything", "", "{mode: required, trust: [partners], allow: [{common_name: partner-a}]}", "{mode: inherit}",
			"certificate_missing", "", "certificate_not_allowed", "certificate_untrusted",
		},
		{
			"the gateway's rules reach the API", "{mode: required, trust: [partners], deny: [{common_name: partner-b}]}", "", "{}",
			"certificate_missing", "", "certificate_denied", "certificate_untrusted",
		},
		{
			"an API changes the mode alone", "", "{mode: required, trust: [partners], allow: [{common_name: partner-a}]}", "{mode: optional}",
			"", "", "certificate_not_allowed", "certificate_untrusted",
		},
		{
			"an API replaces the list", "", "{mode: required, trust: [partners], allow: [{common_name: partner-a}]}", "{allow: [{common_name: partner-b}]}",
			"certificate_missing", "certificate_not_allowed", "", "certificate_untrusted",
		},
		{
			"an API adds to the list", "", "{mode: required, trust: [partners], allow: [{common_name: partner-a}]}", "{allow: [inherit, {common_name: partner-b}]}",
			"certificate_missing", "", "", "certificate_untrusted",
		},
		{
			"deny always adds", "{deny: [{common_name: partner-a}]}", "{mode: required, trust: [partners]}", "{deny: [{common_name: partner-b}]}",
			"certificate_missing", "certificate_denied", "certificate_denied", "certificate_untrusted",
		},
		{
			"deny wins over allow", "", "", "{mode: required, trust: [partners], allow: [{common_name: partner-a}], deny: [{common_name: partner-a}]}",
			"certificate_missing", "certificate_denied", "certificate_not_allowed", "certificate_untrusted",
		},
		{
			"an API replaces the trust", "", "{mode: required, trust: [partners]}", "{trust: [strangers]}",
			"certificate_missing", "certificate_untrusted", "certificate_untrusted", "",
		},
		{
			"an API adds to the trust", "", "{mode: required, trust: [partners]}", "{trust: [inherit, strangers]}",
			"certificate_missing", "", "", "",
		},
		{
			"the handshake's trust is the last fallback", "", "", "{mode: required}",
			"certificate_missing", "", "", "certificate_untrusted",
		},
		{"a lax API below a strict listener", "", "{mode: required, trust: [partners]}", "{mode: none}", "", "", "", ""},
		{
			"on_invalid is inherited", "", "{mode: optional, trust: [partners], on_invalid: ignore}", "{deny: [{common_name: partner-b}]}",
			"", "", "certificate_denied", "",
		},
		{
			"on_invalid means nothing where a certificate is required", "", "{on_invalid: ignore}", "{mode: required, trust: [partners]}",
			"certificate_missing", "", "", "certificate_untrusted",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, rules(c.gateway, c.listener, c.api))
			for _, caller := range []struct {
				who    *testpki.Entity
				reason string
			}{{nil, c.nobody}, {s.a, c.a}, {s.b, c.b}, {s.outsider, c.outsider}} {
				a := s.caller("public", "localhost", caller.who).get("https://localhost/")
				if a.err != nil || a.reason != caller.reason || (a.reason == "") != (a.status == 200) {
					t.Errorf("%+v gets %d %q, want %q (%v)", caller.who, a.status, a.reason, caller.reason, a.err)
				}
			}
		})
	}
}

func TestWhereNothingIsDemandedACertificateStillNamesItsCaller(t *testing.T) {
	t.Parallel()
	s := newSite(t, rules("", "", "{mode: none, trust: [partners], allow: [{common_name: partner-a}]}"))
	for _, c := range []struct {
		who  *testpki.Entity
		told bool
	}{{s.a, true}, {s.b, false}, {s.outsider, false}, {nil, false}} {
		s.caller("public", "localhost", c.who).get("https://localhost/").is(t, 200, "")
		if told := s.backend.got().Header.Get("Client-Cert") != ""; told != c.told {
			t.Errorf("the backend was told of %+v: %v", c.who, told)
		}
	}
}

func TestTwoAPIsOnOneHostTrustDifferentCAs(t *testing.T) {
	t.Parallel()
	s := newSite(t, rules("", "", "{mode: required, trust: [partners]}")+
		"  - {name: other, path: /other/, upstream: echo, client_certificate: {mode: required, trust: [strangers]}}\n")
	c := s.caller("public", "localhost", s.a)
	c.get("https://localhost/").is(t, 200, "")
	c.get("https://localhost/other/").is(t, 403, "certificate_untrusted")
	c.get("https://localhost/").is(t, 200, "") // a refusal for one API leaves the other
	d := s.caller("public", "localhost", s.outsider)
	d.get("https://localhost/").is(t, 403, "certificate_untrusted")
	d.get("https://localhost/other/").is(t, 200, "")
}

func TestAPinIsExactlyThatCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t, rules("", "", "{mode: required, trust: [partners]}"))
	self := testpki.NewCA(t, testpki.Options{CommonName: "tutorial"}) // CA:TRUE, as tutorials make them
	issued := self.Leaf(t, testpki.Options{CommonName: "issued by the pin"})
	self.Write(t, s.dir, "self")
	s.apply(strings.Replace(rules("", "", "{mode: required, trust: [partners]}"), "{file: ca.pem}", "{file: self.pem, pin: true}", 1))
	s.caller("public", "localhost", self).get("https://localhost/").is(t, 200, "")
	s.caller("public", "localhost", issued).get("https://localhost/").is(t, 403, "certificate_untrusted")
	s.caller("public", "localhost", s.a).get("https://localhost/").is(t, 403, "certificate_untrusted")
}
