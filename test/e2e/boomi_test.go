package e2e_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

// boomi has the settings of a gateway on its listener: certificates required, a trusted one, distinguished names. Its APIs take
// them over or have their own. NAMES stands for a list of a thousand names and one.
const boomi = `
listeners:
  - name: gateway
    address: 127.0.0.1:18443
    tls: {credentials: [server], client_auth: optional}
    client_certificate:
      mode: required
      trust: [trusted]
      allow: [{subject: "CN=*,OU=API,O=Acme,L=NYC,ST=NY,C=US", match: ant}]
      errors: boomi
  - {name: untouched, address: 127.0.0.1:18444, tls: {credentials: [server]}}
credentials:
  - {name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: trusted, anchors: [{file: pki/ca.pem}, {file: pki/second-ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:18080"]}
apis:
  - {name: untouched, path: /untouched/, listeners: [untouched], upstream: echo}
  - {name: inherited, path: /inherited/, listeners: [gateway], upstream: echo}
  - name: relaxed
    path: /relaxed/
    listeners: [gateway]
    upstream: echo
    client_certificate: {mode: optional}
  - name: other-names
    path: /other-names/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "CN=partner-b,**", match: ant}, {subject: "CN=nobody,**", match: ant}]}
  - name: both
    path: /both/
    listeners: [gateway]
    upstream: echo
    client_certificate: {mode: optional, allow: [{subject: "CN=partner-b,**", match: ant}]}
  - name: added-names
    path: /added-names/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [inherit, {subject: "CN=partner-b,**", match: ant}]}
  - name: one-character
    path: /one-character/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "CN=partner?a,OU=???,O=Acme,L=NYC,ST=NY,C=US", match: ant}]}
  - name: no-character
    path: /no-character/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "CN=partner-?,OU=API?,O=*,L=NYC,ST=NY,C=US", match: ant}]}
  - name: many-characters
    path: /many-characters/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "*partner-a*,O=*me,L=NYC,ST=NY*,C=US", match: ant}]}
  - name: directories
    path: /directories/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "CN=partner-a,OU=API/**/orders,O=Acme", match: ant}]}
  - name: one-directory
    path: /one-directory/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "CN=partner-a,OU=API/*/orders,O=Acme", match: ant}]}
  - name: example
    path: /example/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "CN=localhost,C=IND,ST=KA,L=BLR,O=Boomi,OU=Boomi,Email=abc@test.com"}]}
  - name: as-text
    path: /as-text/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "CN=localhost,C=IND,ST=KA,L=BLR,O=Boomi,OU=Boomi,Email=abc@test.com", match: ant}]}
  - name: as-we-write-it
    path: /as-we-write-it/
    listeners: [gateway]
    upstream: echo
    client_certificate: {allow: [{subject: "CN=localhost,C=IND,ST=KA,L=BLR,O=Boomi,OU=Boomi,emailAddress=abc@test.com", match: ant}]}
  - name: thousand
    path: /thousand/
    listeners: [gateway]
    upstream: echo
    client_certificate:
      allow:
NAMES`

func TestBoomi(t *testing.T) {
	t.Parallel()
	s := newWalkSite(t)
	s.issueCA(t, "stranger-ca", "second-ca", "/O=Beta/CN=Second CA")
	s.issue(t, "second-ca", "second", partnerSubject, farOff)
	s.issue(t, "ca", "shallow", "/O=Acme/OU=API\\/v1\\/orders/CN=partner-a", farOff)
	s.issue(t, "ca", "deep", "/O=Acme/OU=API\\/v1\\/eu\\/orders/CN=partner-a", farOff)
	s.issueBoomisExample(t)
	var names strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&names, "        - {subject: \"CN=client-%d,OU=*,O=Acme,L=NYC,ST=NY,C=US\", match: ant}\n", i)
	}
	names.WriteString("        - {subject: \"CN=partner-a,OU=*,O=Acme,L=NYC,ST=NY,C=US\", match: ant}\n")
	w := s.walk(t, strings.Replace(boomi, "NAMES", names.String(), 1))

	const (
		demanded = "Certificate authorization required to access the resource."
		failed   = "Certificate validation failed. You are not allowed to access the resource."
	)
	missing := expect{status: 401, reason: "certificate_missing", plain: demanded}
	notAllowed := expect{status: 403, reason: "certificate_not_allowed", plain: failed}
	untrusted := expect{status: 403, reason: "certificate_untrusted", plain: failed}
	outdated := expect{status: 403, reason: "certificate_expired", plain: failed}
	usual := cast{missing, known, notAllowed, untrusted, outdated}
	gateway := func(api string) row { return row{path: "/" + api + "/", listener: "gateway", api: api} }
	w.steps(t, []step{
		{
			says: "at first there is no authentication by certificates",
			row:  row{port: portSecond, path: "/untouched/", unasked: true, listener: "untouched", api: "untouched"},
			want: all(anonymous),
		},
		{
			says: "a deployed API takes over what the gateway says: certificates, trust and names",
			row:  gateway("inherited"), want: usual,
			also: map[string]expect{"second": known, "shallow": notAllowed},
		},
		{
			says: "an API need not insist on a certificate where the gateway does",
			row:  gateway("relaxed"), want: cast{anonymous, known, notAllowed, untrusted, outdated},
		},
		{
			says: "an API has its own names in the place of the gateway's, and any of them is enough",
			row:  gateway("other-names"), want: cast{missing, notAllowed, known, untrusted, outdated},
		},
		{
			says: "an API has its own names and does not insist",
			row:  gateway("both"), want: cast{anonymous, notAllowed, known, untrusted, outdated},
		},
		{
			says: "an API adds names to the gateway's",
			row:  gateway("added-names"), want: cast{missing, known, known, untrusted, outdated},
		},
		{
			says: "the question mark is one character",
			row:  gateway("one-character"), want: usual,
		},
		{
			says: "the question mark is not no character",
			row:  gateway("no-character"), want: cast{missing, notAllowed, notAllowed, untrusted, outdated},
		},
		{
			says: "the star is any number of characters, none included",
			row:  gateway("many-characters"), want: usual,
		},
		{
			says: "two stars are any number of directories",
			row:  gateway("directories"), want: cast{missing, notAllowed, notAllowed, untrusted, outdated},
			also: map[string]expect{"shallow": known, "deep": known},
		},
		{
			says: "one star does not leave its directory",
			row:  gateway("one-directory"), want: cast{missing, notAllowed, notAllowed, untrusted, outdated},
			also: map[string]expect{"shallow": known, "deep": notAllowed},
		},
		{
			says: "the name that is given as an example, attribute by attribute",
			row:  gateway("example"), want: cast{missing, notAllowed, notAllowed, untrusted, outdated},
			also: map[string]expect{"example": known},
		},
		{
			says: "the example as a string: a list that allows knows one way to write a name, and that is RFC 4514's",
			row:  gateway("as-text"), want: cast{missing, notAllowed, notAllowed, untrusted, outdated},
			also: map[string]expect{"example": notAllowed},
		},
		{
			says: "the example as a string of RFC 4514",
			row:  gateway("as-we-write-it"), want: cast{missing, notAllowed, notAllowed, untrusted, outdated},
			also: map[string]expect{"example": known},
		},
		{
			says: "the list of names does not end after a thousand",
			row:  gateway("thousand"), want: usual,
		},
	})
	w.refused(t, "the type of the authentication is the gateway's, not an API's",
		`upstream: echo}`, `upstream: echo, client_certificate: {source: header}}`,
		"source belongs to the listener: say it in the client_certificate there")
	w.refused(t, "certificates need TLS",
		"tls: {credentials: [server], client_auth: optional}", "protocols: [h1]",
		`the API "inherited" wants a certificate, but nothing ever asks for one`)
	w.ends(t)
}

// issueBoomisExample makes the certificate whose name the text gives as an example. Its country has three letters, which
// openssl does not write.
func (s *site) issueBoomisExample(t testing.TB) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(s.path("pki", "ca.pem"), s.path("pki", "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatalf("the key of the CA is a %T", pair.PrivateKey)
	}
	attribute := func(value string, oid ...int) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	ca := &testpki.Entity{Cert: pair.Leaf, Key: key}
	ca.Leaf(t, testpki.Options{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		attribute("abc@test.com", 1, 2, 840, 113549, 1, 9, 1), attribute("Boomi", 2, 5, 4, 11), attribute("Boomi", 2, 5, 4, 10),
		attribute("BLR", 2, 5, 4, 7), attribute("KA", 2, 5, 4, 8), attribute("IND", 2, 5, 4, 6), attribute("localhost", 2, 5, 4, 3),
	}}}).Write(t, s.path("pki"), "example")
	s.named(t, "example")
}
