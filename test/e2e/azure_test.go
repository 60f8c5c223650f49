package e2e_test

import (
	"strings"
	"testing"
)

// azure checks the caller's certificate in each of the ways that the text has, as rules of an API. THUMBPRINT-… stand for what
// openssl prints, and LOWER-… for the same without colons and in small letters, as expressions have it.
const azure = `
listeners:
  - {name: untouched, address: 127.0.0.1:18444, tls: {credentials: [server]}}
  - name: gateway
    address: 127.0.0.1:18443
    tls: {credentials: [server], client_auth: optional}
    client_certificate: {errors: apim}
credentials:
  - {name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: authorities, anchors: [{file: pki/ca.pem}, {file: pki/second-ca.pem}]}
  - {name: uploaded, anchors: [{file: pki/ca.pem}, {file: pki/issuing.pem}]}
named_values:
  - {name: rotated, value: "THUMBPRINT-partner-a"}
  - {name: allowed, values: ["LOWER-partner-a", "LOWER-successor", "LOWER-expired"]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:18080"]}
client_certificate: {trust: [authorities]}
apis:
  - {name: public, path: /public/, upstream: echo}
  - {name: everybody, path: /everybody/, upstream: echo, client_certificate: {mode: required}}
  - name: thumbprint
    path: /thumbprint/
    upstream: echo
    client_certificate: {mode: required, allow: [{sha1: "THUMBPRINT-partner-a"}, {sha1: "THUMBPRINT-expired"}]}
  - name: issuer
    path: /issuer/
    upstream: echo
    client_certificate:
      mode: required
      allow: [{issuer: "CN=Partner CA,*"}]
      errors:
        style: apim
        missing: {detail: Certificate must be issued by the trusted CA}
        refused: {detail: Certificate must be issued by the trusted CA}
  - name: issuer-condition
    path: /issuer-condition/
    upstream: echo
    client_certificate: {mode: required, allow: [{expression: "certificate.issuer.contains('CN=Partner CA')"}]}
  - name: subject
    path: /subject/
    upstream: echo
    client_certificate:
      mode: required
      allow: [{subject: "CN=partner-a,*"}]
      errors:
        style: apim
        missing: {detail: Invalid certificate subject}
        refused: {detail: Invalid certificate subject}
  - name: subject-condition
    path: /subject-condition/
    upstream: echo
    client_certificate: {mode: required, allow: [{expression: "certificate.subject.contains('CN=partner-a')"}]}
  - name: expiry
    path: /expiry/
    upstream: echo
    client_certificate: {mode: optional}
  - name: ending
    path: /ending/
    upstream: echo
    client_certificate: {mode: required, deny: [{expression: "certificate.not_after < now + duration('8760h')"}]}
  - name: identities
    path: /identities/
    upstream: echo
    client_certificate:
      mode: required
      allow:
        - {sha1: "THUMBPRINT-partner-a", issuer: "CN=Partner CA,*"}
        - {sha1: "THUMBPRINT-second", issuer: "CN=Partner CA,*"}
        - {sha1: "THUMBPRINT-expired", issuer: "CN=Partner CA,*"}
      errors: {style: apim, refused: {detail: Client certificate validation failed}}
  - {name: uploaded, path: /uploaded/, upstream: echo, client_certificate: {mode: required, trust: [uploaded]}}
  - name: rotation
    path: /rotation/
    upstream: echo
    client_certificate: {mode: required, allow: [{sha1: "THUMBPRINT-partner-a"}, {sha1: "THUMBPRINT-successor"}]}
  - name: named
    path: /named/
    upstream: echo
    client_certificate: {mode: required, allow: [{sha1: "{{named.rotated}}"}]}
  - name: named-list
    path: /named-list/
    upstream: echo
    client_certificate: {mode: required, allow: [{expression: "certificate.sha1 in named.allowed"}]}
`

func TestAzure(t *testing.T) {
	t.Parallel()
	s := newWalkSite(t)
	s.issue(t, "ca", "successor", partnerSubject, farOff)
	s.issueCA(t, "stranger-ca", "second-ca", "/O=Beta/CN=Second CA")
	s.issue(t, "second-ca", "second", partnerSubject, farOff)
	s.issueCA(t, "ca", "issuing", "/O=Acme/CN=Issuing CA")
	s.issue(t, "issuing", "below", partnerSubject, farOff)
	document := azure
	for _, name := range []string{"partner-a", "expired", "successor", "second"} {
		sum := s.fingerprint(t, "-sha1", name)
		document = strings.ReplaceAll(document, "THUMBPRINT-"+name, sum)
		document = strings.ReplaceAll(document, "LOWER-"+name, strings.ToLower(strings.ReplaceAll(sum, ":", "")))
	}
	w := s.walk(t, document)

	missing := expect{status: 403, reason: "certificate_missing", plain: "Client certificate is required"}
	notAllowed := expect{status: 403, reason: "certificate_not_allowed", plain: "Invalid client certificate"}
	untrusted := expect{status: 403, reason: "certificate_untrusted", plain: "Client certificate validation failed"}
	denied := expect{status: 403, reason: "certificate_denied", plain: "Invalid client certificate"}
	outdated := expect{status: 403, reason: "certificate_expired", plain: "Client certificate has expired"}
	usual := cast{missing, known, notAllowed, untrusted, outdated}
	gateway := func(api string) row { return row{path: "/" + api + "/", listener: "gateway", api: api} }
	const (
		byIssuer  = "Certificate must be issued by the trusted CA"
		bySubject = "Invalid certificate subject"
		failed    = "Client certificate validation failed"
	)
	w.steps(t, []step{
		{
			says: "at first no certificate is asked for, so that nobody has one",
			row:  row{port: portSecond, path: "/everybody/", unasked: true, listener: "untouched", api: "everybody"},
			want: all(expect{status: 401, reason: "certificate_missing"}),
		},
		{
			says: "with negotiation on, who presents nothing still connects",
			row:  gateway("public"), want: cast{anonymous, known, known, anonymous, anonymous},
		},
		{
			says: "and is refused where the rules want a certificate",
			row:  gateway("everybody"), want: cast{missing, known, known, untrusted, outdated},
			also: map[string]expect{"below": untrusted},
		},
		{
			says: "by thumbprint: exactly the known certificate",
			row:  gateway("thumbprint"), want: usual,
			also: map[string]expect{"successor": notAllowed, "second": notAllowed},
		},
		{
			says: "by issuer: whoever has a certificate of one authority",
			row:  gateway("issuer"), want: cast{missing.saying(byIssuer), known, known, untrusted.saying(byIssuer), outdated.saying(byIssuer)},
			also: map[string]expect{"second": notAllowed.saying(byIssuer)},
		},
		{
			says: "by issuer, as a condition on its text",
			row:  gateway("issuer-condition"), want: cast{missing, known, known, untrusted, outdated},
			also: map[string]expect{"second": notAllowed},
		},
		{
			says: "by subject: whoever has the expected name, of any authority that is trusted",
			row:  gateway("subject"),
			want: cast{missing.saying(bySubject), known, notAllowed.saying(bySubject), untrusted.saying(bySubject), outdated.saying(bySubject)},
			also: map[string]expect{"second": known, "successor": known},
		},
		{
			says: "by subject, as a condition on its text",
			row:  gateway("subject-condition"), want: usual, also: map[string]expect{"second": known},
		},
		{
			says: "one that has expired is refused with that text, also where nobody needs one",
			row:  gateway("expiry"), want: cast{anonymous, known, known, untrusted, outdated},
		},
		{
			says: "a condition on the day on which it expires: here a year has to be left",
			row:  gateway("ending"), want: cast{missing, denied, denied, untrusted, outdated}, also: map[string]expect{"successor": known},
		},
		{
			says: "everything at once: of each known identity, thumbprint and issuer have to be right",
			row:  gateway("identities"),
			want: cast{missing, known, notAllowed.saying(failed), untrusted, outdated.saying(failed)},
			also: map[string]expect{"second": notAllowed.saying(failed), "successor": notAllowed.saying(failed)},
		},
		{
			says: "an intermediate authority that is uploaded, too, stands for those who do not send it",
			row:  gateway("uploaded"), want: cast{missing, known, known, untrusted, outdated},
			also: map[string]expect{"below": known, "second": untrusted},
		},
		{
			says: "while a certificate is exchanged, the old thumbprint and the new one are listed",
			row:  gateway("rotation"), want: usual, also: map[string]expect{"successor": known},
		},
		{
			says: "a thumbprint is a named value",
			row:  gateway("named"), want: usual, also: map[string]expect{"successor": notAllowed},
		},
		{
			says: "a list of thumbprints is a named value",
			row:  gateway("named-list"), want: usual, also: map[string]expect{"successor": known},
		},
	})
	t.Run("a client has certificate and key in one file with a password", func(t *testing.T) {
		w.opensslRuns(t, "pkcs12", "-export", "-in", "partner-a.pem", "-inkey", "partner-a.key", "-passout", "pass:password", "-out", "client.pfx")
		got := w.call(t, call{
			serverName: "localhost", port: w.ports[portPublic], path: "/thumbprint/",
			args: []string{"--cert-type", "P12", "--cert", "pki/client.pfx:password"},
		})
		if r := w.gateway.access(t, got.requestID()); got.status != 200 || r.ClientSHA256 != w.caller(t, "partner-a").sha256 {
			t.Errorf("%s; the record %+v", got, r)
		}
	})
	w.ends(t)
}

// saying is the same refusal in other words.
func (e expect) saying(text string) expect {
	e.plain = text
	return e
}
