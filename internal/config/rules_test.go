package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
	"sallyport/internal/testpki"
)

// load writes a document into a folder with pki/ca.pem, pki/server.pem and pki/server.key and loads it.
func load(t testing.TB, text string, opts config.Options) (*config.Document, error) {
	t.Helper()
	return config.Load(write(t, pkiDir(t), "sallyport.yaml", text), opts)
}

func pkiDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	ca := testpki.NewCA(t, testpki.Options{})
	ca.Write(t, filepath.Join(dir, "pki"), "ca")
	ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}}).Write(t, filepath.Join(dir, "pki"), "server")
	return dir
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t testing.TB, text string) *config.Document {
	t.Helper()
	d, err := load(t, text, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const levels = `
client_certificate:
  mode: optional
  on_invalid: ignore
  trust: [gateway]
  allow: [{common_name: gateway}]
  deny: [{common_name: gateway-denied}]
  errors: wso2
listeners:
  - name: first
    address: ":8081"
    client_certificate:
      source: header
      header: {name: X-Cert, verify: proxy}
      trusted_proxies: [10.0.0.0/8]
      proxy_certificate: {required: false}
      mode: required
      enforce: auto
      trust: [listener, inherit]
      allow: [inherit, {common_name: listener}]
      deny: [{common_name: listener-denied}]
      strip: false
      observe_only: true
      forward: [{format: xfcc}]
  - name: second
    address: ":8082"
    client_certificate: {source: header, header: {name: X-Cert}, trusted_proxies: [10.0.0.0/8], proxy_certificate: {required: false}, mode: inherit}
trust_stores:
  - {name: gateway, anchors: [{file: pki/ca.pem}]}
  - {name: listener, anchors: [{file: pki/ca.pem}]}
  - {name: api, anchors: [{file: pki/ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:1"]}
apis:
  - {name: silent, path: /silent/, upstream: echo}
  - name: loud
    path: /loud/
    upstream: echo
    client_certificate:
      mode: none
      on_invalid: present
      enforce: request
      observe_only: false
      strip: true
      trust: [api, inherit]
      allow: [{common_name: api}]
      deny: [{common_name: api-denied}]
      forward: [{format: rfc9440}]
      errors: {hide_reason: true}
  - name: adding
    path: /adding/
    upstream: echo
    client_certificate: {mode: inherit, allow: [{common_name: api}, inherit]}
`

// said is what a test compares of Rules: matchers by their common names.
type said struct {
	Mode               config.Mode
	OnInvalid          config.OnInvalid
	Enforce            config.Enforce
	ObserveOnly, Strip bool
	Trust, Allow, Deny []string
	Forward            []config.Forward
	Style              config.ErrorStyle
	HideReason         bool
	Source             config.Source
	Header             string
	ProxyCertificate   bool
	TrustedProxies     int
}

func saidBy(r config.Rules) said {
	s := said{
		Mode: r.Mode, OnInvalid: r.OnInvalid, Enforce: r.Enforce, ObserveOnly: r.ObserveOnly, Strip: r.Strip, Trust: r.Trust,
		Forward: r.Forward, Source: r.Source, ProxyCertificate: r.ProxyCertificate != nil, TrustedProxies: len(r.TrustedProxies),
	}
	for _, m := range r.Allow {
		s.Allow = append(s.Allow, m.CommonName)
	}
	for _, m := range r.Deny {
		s.Deny = append(s.Deny, m.CommonName)
	}
	if r.Errors != nil {
		s.Style, s.HideReason = r.Errors.Style, r.Errors.HideReason
	}
	if r.Header != nil {
		s.Header = r.Header.Name
	}
	return s
}

func TestRulesMergeGatewayThenListenerThenAPIFieldByField(t *testing.T) {
	t.Parallel()
	d := mustLoad(t, levels)
	first, second := &d.Listeners[0], &d.Listeners[1]
	silent, loud, adding := &d.APIs[0], &d.APIs[1], &d.APIs[2]
	header := said{Source: config.SourceHeader, Header: "X-Cert", ProxyCertificate: true, TrustedProxies: 1}
	with := func(s said, change func(*said)) said { change(&s); return s }
	onFirst := with(header, func(s *said) {
		s.Mode, s.OnInvalid, s.Enforce, s.ObserveOnly = config.ModeRequired, config.OnInvalidIgnore, config.EnforceAuto, true
		s.Trust, s.Allow, s.Deny = []string{"listener", "gateway"}, []string{"gateway", "listener"}, []string{"gateway-denied", "listener-denied"}
		s.Forward, s.Style = []config.Forward{{Format: "xfcc"}}, config.StyleWSO2
	})
	onSecond := with(header, func(s *said) {
		s.Mode, s.OnInvalid, s.Enforce, s.Strip = config.ModeOptional, config.OnInvalidIgnore, config.EnforceRequest, true
		s.Trust, s.Allow, s.Deny, s.Style = []string{"gateway"}, []string{"gateway"}, []string{"gateway-denied"}, config.StyleWSO2
	})
	loudOn := func(trust, deny []string) said {
		return with(header, func(s *said) {
			s.Mode, s.OnInvalid, s.Enforce, s.Strip = config.ModeNone, config.OnInvalidPresent, config.EnforceRequest, true
			s.Trust, s.Allow, s.Deny = trust, []string{"api"}, append(deny, "api-denied")
			s.Forward, s.HideReason = []config.Forward{{Format: "rfc9440"}}, true
		})
	}
	tests := []struct {
		name string
		l    *config.Listener
		a    *config.API
		want said
	}{
		{"an API that says nothing takes the listener's", first, silent, onFirst},
		{"a listener that says inherit takes the gateway's", second, silent, onSecond},
		{"an API replaces everything but the source", first, loud, loudOn([]string{"api", "listener", "gateway"}, []string{"gateway-denied", "listener-denied"})},
		{"the same API inherits from each listener what that has", second, loud, loudOn([]string{"api", "gateway"}, []string{"gateway-denied"})},
		{"an allow list splices the one above at the place of inherit", first, adding, with(onFirst, func(s *said) { s.Allow = []string{"api", "gateway", "listener"} })},
		{"no API is an API that says nothing", first, nil, onFirst},
		{"no listener leaves the gateway's", nil, nil, with(onSecond, func(s *said) {
			s.Source, s.Header, s.ProxyCertificate, s.TrustedProxies = config.SourceTLS, "", false, 0
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, saidBy(d.Rules(tt.l, tt.a))); diff != "" {
				t.Errorf("Rules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRulesDefaultToAskingNothing(t *testing.T) {
	t.Parallel()
	var d config.Document
	want := config.Rules{Mode: config.ModeNone, OnInvalid: config.OnInvalidRefuse, Enforce: config.EnforceRequest, Strip: true, Source: config.SourceTLS}
	if diff := cmp.Diff(want, d.Rules(&config.Listener{}, &config.API{})); diff != "" {
		t.Errorf("Rules (-want +got):\n%s", diff)
	}
}

func TestRulesOfLoadedDocumentDoNotShareWhatTheyAppendTo(t *testing.T) {
	t.Parallel()
	d := mustLoad(t, levels)
	one := d.Rules(&d.Listeners[0], &d.APIs[1])
	two := d.Rules(&d.Listeners[0], &d.APIs[2])
	if got := len(one.Deny); got != 3 {
		t.Errorf("denies of the first = %d; want 3", got)
	}
	if got := len(two.Deny); got != 2 {
		t.Errorf("denies of the second = %d; want 2", got)
	}
	if d.ClientCertificate.Deny[0].CommonName != "gateway-denied" || len(d.ClientCertificate.Deny) != 1 {
		t.Error("merging changed the document")
	}
}

// A document that Load refuses can still be built by hand: lists that inherit from nothing must not come to mean
// everybody.
func TestInheritingFromNothingTrustsAndAllowsNobody(t *testing.T) {
	t.Parallel()
	var d config.Document
	r := d.Rules(nil, &config.API{ClientCertificate: &config.ClientCertificate{
		Trust: []string{"inherit"},
		Allow: []config.Matcher{{Inherit: true}},
	}})
	if r.Trust == nil || len(r.Trust) != 0 {
		t.Errorf("Trust = %#v; want a list without stores", r.Trust)
	}
	if r.Allow == nil || len(r.Allow) != 0 {
		t.Errorf("Allow = %#v; want a list without matchers", r.Allow)
	}
}
