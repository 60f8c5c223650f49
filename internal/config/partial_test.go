package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
)

const broken = `listeners:
  - name: public
    address: "127.0.0.1:8443"
    tls:
      credentials: [server]
      client_auth: optional
      profiles: [{server_names: [profile.test], trust: [torn]}]
  - {name: other, address: "127.0.0.1:8444", tls: {credentials: [server], client_auth: optional, trust: [torn]}}
credentials:
  - {name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
  - {name: lost, certificate: {file: pki/lost.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: whole, anchors: [{file: pki/ca.pem}]}
  - {name: torn, anchors: [{file: pki/ca.pem}, {file: pki/gone.pem}]}
  - {name: unrevoked, anchors: [{file: pki/ca.pem}], revocation: {mode: hard, crl: [pki/gone.crl]}}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:18080"]}
  - {name: secure, targets: ["https://127.0.0.1:18080"]}
  - {name: untrusted, targets: ["https://127.0.0.1:18080"], tls: {trust: [torn]}}
  - {name: anonymous, targets: ["https://127.0.0.1:18080"], credential: lost}
  - {name: nameless, targets: ["https://127.0.0.1:18080"], credential: nobody}
apis:
  - {name: open, path: /open/, upstream: echo}
  - {name: whole, path: /whole/, listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [whole]}}
  - {name: torn, path: /torn/, listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [whole, torn]}}
  - {name: absent, path: /absent/, listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [absent]}}
  - {name: unrevoked, path: /unrevoked/, listeners: [public], upstream: echo, client_certificate: {mode: optional, trust: [unrevoked]}}
  - {name: fallback, path: /fallback/, listeners: [other], upstream: echo, client_certificate: {mode: required}}
  - {name: profile, path: /profile/, hosts: [profile.test], listeners: [public], upstream: echo, client_certificate: {mode: required}}
  - {name: secure, path: /secure/, upstream: secure}
  - {name: untrusted, path: /untrusted/, upstream: untrusted}
  - {name: anonymous, path: /anonymous/, upstream: anonymous}
  - {name: nameless, path: /nameless/, upstream: nameless}
  - {name: nowhere, path: /nowhere/, upstream: nowhere}
  - {name: mapped, path: /mapped/, upstream: secure, upstream_credentials: {"*": lost}}
  - {name: respond, path: /respond/, policy: [{respond: {status: 200}}]}
`

func TestServePartialMarksExactlyWhatIsBroken(t *testing.T) {
	t.Parallel()
	if _, err := load(t, broken, config.Options{}); err == nil {
		t.Fatal("a document with broken references loaded without ServePartial")
	}
	d, err := load(t, broken, config.Options{ServePartial: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for i := range d.APIs {
		got[d.APIs[i].Name] = d.APIs[i].Broken != nil
	}
	want := map[string]bool{
		"open": false, "whole": false, "torn": true, "absent": true, "unrevoked": true, "fallback": true, "profile": true, "secure": false,
		"untrusted": true, "anonymous": true, "nameless": true, "nowhere": true, "mapped": true,
		"respond": true, // its policy could ask for a certificate that the broken tls.trust would have judged
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("broken APIs (-want +got):\n%s", diff)
	}
	for i := range d.TrustStores {
		s := &d.TrustStores[i]
		if (s.Broken != nil) != (s.Name != "whole") {
			t.Errorf("trust store %s: Broken = %v", s.Name, s.Broken)
		}
	}
	e, ok := errors.AsType[config.Error](d.APIs[2].Broken)
	if !ok || e.Kind != config.Broken || e.Line != 14 || !strings.Contains(d.APIs[2].Broken.Error(), `trust store "torn"`) {
		t.Errorf("the API's Broken = %v; want the store's error with its position", d.APIs[2].Broken)
	}
	if got := len(d.Notes()); got != 6+1 {
		t.Errorf("%d notes; every tolerated error should be one, and the name that no certificate is for: %v", got, d.Notes())
	}
	if d.Credentials[1].Resolved != nil || d.Credentials[0].Resolved == nil {
		t.Error("Resolved is set for exactly the credentials that work")
	}
}

func TestServePartialOfAGatewayWideCredentialBreaksWhateverCouldShowIt(t *testing.T) {
	t.Parallel()
	d, err := load(t, broken+"upstream_credentials: {\"*\": lost}\n", config.Options{ServePartial: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.APIs {
		switch a := &d.APIs[i]; a.Name {
		case "secure":
			if a.Broken == nil {
				t.Error("an API that could have shown the credential is served without it")
			}
		case "open", "whole":
			if a.Broken != nil {
				t.Errorf("%s has no https target: %v", a.Name, a.Broken)
			}
		}
	}
}

func TestServePartialNeverToleratesWhatConcernsEverybody(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, from, to, want string }{
		{"a listener's credential", "pki/server.key}}\n  - {name: lost", "pki/gone.key}}\n  - {name: lost", "no such file"},
		{"a profile's credential", "trust: [torn]}]", "trust: [torn], credential: lost}]", "pki/lost.pem"},
		{"a credential that does not exist", "credentials: [server]\n", "credentials: [nobody]\n", "there is no credential"},
		{"trust of a handshake that does not exist", "trust: [torn]}]", "trust: [nothing]}]", "there is no trust store"},
		{"a mistake of shape", "name: open,", "nam: open,", "unknown key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(broken, tt.from, tt.to, 1)
			if text == broken {
				t.Fatal("nothing was replaced")
			}
			_, err := load(t, text, config.Options{ServePartial: true})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load() = %v; want an error with %q", err, tt.want)
			}
		})
	}
}
