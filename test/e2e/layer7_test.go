package e2e_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layer7 has a port for each of the three settings of client authentication, one without TLS, and APIs that are on all of them.
const layer7 = `
listeners:
  - {name: disabled, address: 127.0.0.1:18444, tls: {credentials: [server], client_auth: none}}
  - name: optional
    address: 127.0.0.1:18443
    tls: {credentials: [server], client_auth: optional}
    client_certificate: {mode: optional, trust: [partners], allow: [{common_name: partner-a}]}
  - name: required
    address: 127.0.0.1:18445
    tls: {credentials: [server], client_auth: required, trust: [partners]}
    client_certificate: {mode: required, trust: [partners], allow: [{common_name: partner-a}]}
  - {name: plain, address: 127.0.0.1:18446}
credentials:
  - {name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: partners, anchors: [{file: pki/ca.pem}]}
  - {name: imported, anchors: [{file: pki/partner-a.pem}, {file: pki/expired.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:18080"]}
apis:
  - {name: regular, path: /regular/, upstream: echo, listeners: [disabled], client_certificate: {mode: none}}
  - {name: designated, path: /designated/, upstream: echo, listeners: [optional, required]}
  - name: imported
    path: /imported/
    listeners: [optional]
    upstream: echo
    client_certificate: {mode: required, trust: [imported]}
  - {name: tls-only, path: /tls-only/, listeners: [disabled, plain], upstream: echo, policy: [{require_tls: {}}]}
  - name: asserted
    path: /asserted/
    listeners: [disabled, optional, plain]
    upstream: echo
    client_certificate: {mode: optional, on_invalid: ignore, trust: [partners], allow: [{common_name: partner-a}]}
    policy: [{require_tls: {}}, {require_client_certificate: {}}]
`

func TestLayer7(t *testing.T) {
	t.Parallel()
	w := newWalkSite(t).walk(t, layer7)
	names := []string{"C=US, O=Acme, CN=Partner CA"}
	t.Run("client authentication is a setting of the port, and has three values", func(t *testing.T) {
		for port, want := range map[string][]string{portSecond: nil, portPublic: names, portHolders: names} {
			if diff := cmp.Diff(want, w.openssl(t, port, "").announced(t)); diff != "" {
				t.Errorf("port %s asks for certificates of (-want +got):\n%s", port, diff)
			}
		}
	})
	w.steps(t, []step{
		{
			says: "a port for regular clients, where client authentication is disabled",
			row:  row{port: portSecond, path: "/regular/", unasked: true, listener: "disabled", api: "regular"},
			want: all(anonymous),
		},
		{
			says: "the API of regular clients is not on the other ports",
			row:  row{path: "/regular/", listener: "optional"},
			want: all(noRoute),
		},
		{
			says: "the same API where certificates are optional: who has none is served",
			row:  row{path: "/designated/", listener: "optional", api: "designated"},
			want: cast{anonymous, known, notAllowed, untrusted, outdated},
		},
		{
			says: "the port that clients with certificates always use insists on one",
			row:  row{port: portHolders, path: "/designated/", listener: "required", api: "designated"},
			want: cast{handshakeMissing, known, notAllowed, handshakeUntrusted, handshakeOutdated},
		},
		{
			says: "importing the certificate of a client is what makes it trusted, whoever issued it",
			row:  row{path: "/imported/", listener: "optional", api: "imported"},
			want: cast{missing, known, untrusted, untrusted, outdated},
		},
		{
			says: "the assertion with its box for client certificates ticked",
			row:  row{path: "/asserted/", listener: "optional", api: "asserted"},
			want: cast{missing, known, notAllowed, untrusted, outdated},
		},
		{
			says: "the assertion on a port that never asks refuses everybody",
			row:  row{port: portSecond, path: "/asserted/", unasked: true, listener: "disabled", api: "asserted"},
			want: all(missing),
		},
		{
			says: "TLS is required, and this is TLS",
			row:  row{port: portSecond, path: "/tls-only/", unasked: true, listener: "disabled", api: "tls-only"},
			want: all(anonymous),
		},
	})
	t.Run("TLS is required, and this is not TLS", func(t *testing.T) {
		for path, api := range map[string]string{"/tls-only/": "tls-only", "/asserted/": "asserted"} {
			for caller := range (cast{}).byCaller() {
				got := w.call(t, call{plain: true, serverName: "localhost", port: w.ports[portPlain], path: path, caller: caller})
				if p := got.problem(t); got.status != 403 || p.Reason != "tls_required" {
					t.Errorf("%s, %q: %s; want 403, tls_required", path, caller, got)
				}
				if r := w.gateway.access(t, got.requestID()); r.Decision != "deny" || r.Reason != "tls_required" || r.Listener != "plain" || r.API != api || r.ClientSHA256 != "" {
					t.Errorf("%s, %q: the record %+v", path, caller, r)
				}
			}
		}
	})
	w.ends(t)
}
