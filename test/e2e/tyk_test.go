package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tyk has a list of certificates for the whole gateway and APIs with lists of their own, several on one domain and one with a
// domain to itself. ID-… stand for fingerprints as openssl prints them.
const tyk = `
client_certificate: {trust: [common], errors: tyk}
listeners:
  - name: gateway
    address: 127.0.0.1:18443
    tls:
      credentials: [server]
      client_auth: optional
      profiles: [{server_names: [own.example.test], client_auth: required}]
credentials:
  - {name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: common, anchors: [{file: pki/partner-b.pem}, {file: pki/expired.pem}]}
  - {name: listed, anchors: [{file: pki/partner-a.pem}, {file: pki/expired.pem}, {file: pki/tutorial.pem, pin: true}]}
  - {name: authority, anchors: [{file: pki/ca.pem}]}
  - {name: mixed, anchors: [{file: pki/second-ca.pem}, {file: pki/partner-a.pem}, {file: pki/expired.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:18080"]}
apis:
  - {name: keyless, hosts: [shared.example.test], path: /keyless/, upstream: echo}
  - {name: common, hosts: [shared.example.test], path: /common/, upstream: echo, client_certificate: {mode: required}}
  - name: listed
    hosts: [shared.example.test]
    path: /listed/
    upstream: echo
    client_certificate: {mode: required, trust: [listed]}
  - name: common-and-listed
    hosts: [shared.example.test]
    path: /common-and-listed/
    upstream: echo
    client_certificate: {mode: required, trust: [inherit, listed]}
  - name: authority
    hosts: [shared.example.test]
    path: /authority/
    upstream: echo
    client_certificate: {mode: required, trust: [authority]}
  - name: mixed
    hosts: [shared.example.test]
    path: /mixed/
    upstream: echo
    client_certificate: {mode: required, trust: [mixed]}
  - name: ids
    hosts: [shared.example.test]
    path: /ids/
    upstream: echo
    client_certificate:
      mode: required
      trust: [authority, listed]
      allow: [{sha256: "ID-partner-a"}, {sha256: "ID-expired"}, {sha256: "ID-tutorial"}]
  - name: authority-id
    hosts: [shared.example.test]
    path: /authority-id/
    upstream: echo
    client_certificate: {mode: required, trust: [authority, mixed], allow: [{issuer_sha256: "ID-ca"}]}
  - name: own-domain
    hosts: [own.example.test]
    path: /
    upstream: echo
    client_certificate: {mode: required, trust: [listed]}
  - name: own-domain-by-itself
    hosts: [auto.example.test]
    path: /
    upstream: echo
    client_certificate: {mode: required, trust: [listed], enforce: auto}
`

func TestTyk(t *testing.T) {
	t.Parallel()
	s := newWalkSite(t)
	// The command of the text's tips, with a smaller key. What it makes says that it is a CA.
	s.opensslRuns(t, "req", "-x509", "-newkey", "rsa:2048", "-keyout", "tutorial.key", "-out", "tutorial.pem", "-days", "365", "-nodes", "-subj", "/CN=client")
	s.named(t, "tutorial")
	s.issue(t, "tutorial", "tutored", "/CN=client", farOff)
	s.issueCA(t, "stranger-ca", "second-ca", "/O=Beta/CN=Second CA")
	s.issue(t, "second-ca", "second", partnerSubject, farOff)
	s.join(t, "appended.pem", "stranger.pem", "partner-a.pem")
	s.join(t, "appended.key", "stranger.key")
	s.named(t, "appended")
	document := tyk
	for _, name := range []string{"partner-a", "expired", "tutorial", "ca"} {
		document = strings.ReplaceAll(document, "ID-"+name+`"`, s.fingerprint(t, "-sha256", name)+`"`)
	}
	w := s.walk(t, document)

	missing := expect{status: 403, reason: "certificate_missing", tyk: "Client TLS certificate is required"}
	notAllowed := expect{status: 403, reason: "certificate_not_allowed", tyk: "Certificate with SHA256 {} not allowed"}
	untrusted := expect{status: 403, reason: "certificate_untrusted", tyk: "Certificate with SHA256 {} not allowed"}
	outdated := expect{status: 403, reason: "certificate_expired", tyk: "Certificate has expired"}
	usual := cast{missing, known, untrusted, untrusted, outdated}
	shared := func(api string) row {
		return row{serverName: "shared.example.test", path: "/" + api + "/", listener: "gateway", api: api}
	}
	w.steps(t, []step{
		{
			says: "an API without mutual TLS asks nobody, although its domain has others",
			row:  shared("keyless"), want: cast{anonymous, anonymous, known, anonymous, anonymous},
		},
		{
			says: "certificates that all APIs have in common are listed for the gateway",
			row:  shared("common"), want: cast{missing, untrusted, known, untrusted, outdated},
		},
		{
			says: "an API lists the certificates that are trusted, by file; the public half is enough",
			row:  shared("listed"), want: usual,
			also: map[string]expect{"tutorial": known, "tutored": untrusted, "appended": untrusted, "second": untrusted},
		},
		{
			says: "what is listed for the gateway and what is listed for the API add up",
			row:  shared("common-and-listed"), want: cast{missing, known, known, untrusted, outdated},
		},
		{
			says: "an API trusts an authority, and so everybody whom it verified",
			row:  shared("authority"), want: cast{missing, known, known, untrusted, outdated},
			also: map[string]expect{"tutorial": untrusted, "second": untrusted},
		},
		{
			says: "a list mixes authorities and certificates",
			row:  shared("mixed"), want: usual, also: map[string]expect{"second": known, "appended": untrusted},
		},
		{
			says: "ids are fingerprints that openssl prints",
			row:  shared("ids"), want: cast{missing, known, notAllowed, untrusted, outdated},
			also: map[string]expect{"tutorial": known, "appended": untrusted},
		},
		{
			says: "the id of an authority stands for those whom it verified",
			row:  shared("authority-id"), want: cast{missing, known, known, untrusted, outdated},
			also: map[string]expect{"second": notAllowed},
		},
		{
			says: "an API on a domain of its own is authorised in the handshake",
			row:  row{serverName: "own.example.test", path: "/x", listener: "gateway", api: "own-domain"},
			want: cast{handshakeMissing, known, handshakeUntrusted, handshakeUntrusted, handshakeOutdated},
			also: map[string]expect{"tutorial": known, "tutored": handshakeUntrusted},
		},
		{
			says: "and so it is without a TLS profile, because nothing else can be reached there",
			row:  row{serverName: "auto.example.test", path: "/x", listener: "gateway", api: "own-domain-by-itself"},
			want: cast{handshakeMissing, known, handshakeUntrusted, handshakeUntrusted, handshakeOutdated},
		},
	})
	w.fallback(t, "who says no server name gets 403 over HTTP instead of a TLS error", []unnamedStep{
		{shared("listed"), usual},
		{shared("common"), cast{missing, untrusted, known, untrusted, outdated}},
		{shared("keyless"), cast{anonymous, anonymous, known, anonymous, anonymous}},
		{row{serverName: "auto.example.test", path: "/x", api: "own-domain-by-itself"}, usual},
	})
	w.ends(t)
}

// unnamedStep is a request on a connection that named no server.
type unnamedStep struct {
	row  // its server name is that of Host alone
	want cast
}

// fallback asks with s_client and without a server name, and compares the answers and the records.
func (w *walk) fallback(t *testing.T, says string, steps []unnamedStep) {
	t.Helper()
	t.Run(says, func(t *testing.T) {
		for _, step := range steps {
			for caller, e := range step.want.byCaller() {
				t.Run(step.api+"/"+called(caller), func(t *testing.T) {
					t.Parallel()
					got, r := w.unnamed(t, portPublic, caller, step.serverName, step.path)
					who := w.caller(t, caller)
					body := "backend\n"
					if e.tyk != "" {
						body = "{\n    \"error\": \"" + strings.Replace(e.tyk, "{}", who.sha256, 1) + "\"\n}"
					}
					if got.status != e.status || got.body != body {
						t.Errorf("%d, %q; want %d, %q", got.status, got.body, e.status, body)
					}
					want := logRecord{
						Message: "request", Level: "INFO", RequestID: got.requestID, Remote: r.Remote, Listener: "gateway", Method: "GET",
						Host: step.serverName, Path: step.path, Protocol: "HTTP/1.1", API: step.api, ClientSHA256: who.sha256, ClientSubject: who.subject,
						Decision: "allow", Reason: e.reason, Detail: r.Detail, Status: e.status, BytesOut: len(body),
						Generation: 1,
					}
					if e.status != 200 {
						want.Decision = "deny"
					}
					if caller != "" {
						want.ClientAccepted = new(e.validated)
					}
					if diff := cmp.Diff(want, *r); diff != "" {
						t.Errorf("access record (-want +got):\n%s", diff)
					}
				})
			}
		}
	})
}
