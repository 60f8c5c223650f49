package judge_test

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/judge"
	"sallyport/internal/route"
)

// guarded is a document whose APIs called guarded may be called by partners alone, however they are asked for.
const guarded = `
listeners:
  - name: public
    address: 127.0.0.1:8443
    tls:
      credentials: [server]
      client_auth: optional
      profiles:
        - {server_names: ["strict.test", "*.strict.test"], client_auth: required, trust: [partners]}
        - {server_names: ["lax.test"], client_auth: none}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: strangers, anchors: [{file: stranger-ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:9"]}
apis:
  - {name: root, methods: [GET, POST], upstream: echo}
  - {name: guarded, path: /guarded/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
  - {name: special, path: /special/, allow_in_path: ["%2f", "%5c", ";"], upstream: echo}
  - {name: guarded-special, path: /special/guarded/, upstream: echo, client_certificate: {mode: required, trust: [partners], deny: [{common_name: villain}]}}
  - {name: open-below, hosts: ["*.strict.test", "lax.test"], path: /special/guarded/open/, upstream: echo}
  - {name: strangers, hosts: [strict.test], path: /strangers/, upstream: echo, client_certificate: {mode: required, trust: [strangers]}}
`

// target is what is fuzzed, with what is known about it.
type target struct {
	rules    *judge.Rules
	doc      *config.Document
	evidence []*judge.Evidence
	trusted  []string // by whom the evidence of the same index is: the name of a store, "" for nobody
}

func newTarget(tb testing.TB) *target {
	tb.Helper()
	p := newPKI(tb)
	s := &target{doc: p.load(tb, guarded, config.Options{})}
	s.rules = compiled(tb, s.doc)
	s.evidence = []*judge.Evidence{evidence(nil), evidence(p.partner), evidence(p.outsider), evidence(p.pinned), judge.NewEvidence(nil, false), nil, evidence(p.villain)}
	s.trusted = []string{"", "partners", "strangers", "", "", "", "denied"}
	return s
}

func FuzzDecide(f *testing.F) {
	for _, seed := range []struct{ method, target, authority, serverName string }{
		{"GET", "/", "localhost", "localhost"},
		{"GET", "/guarded/", "localhost:8443", ""},
		{"POST", "//guarded//./x?y", "STRICT.test.", "strict.test"},
		{"GET", "/special/guarded%2fx;y/..", "a.strict.test", "b.strict.test"},
		{"GET", `/special/;x\guarded`, "lax.test", "lax.test"},
		{"GET", "/special/;x%2fy/%2fguarded", "localhost", ""},
		{"GET", "/special/guarded/open/%2e%2e/", "lax.test", ""},
		{"PURGE", "https://lax.test/guarded?x#", "", "localhost"},
		{"CONNECT", "*", "[::1]:443", "\x00"},
		{"OPTIONS", "/strangers/%c3%28", "strict.test@lax.test", "strict.test"},
	} {
		for who := range byte(7) {
			f.Add(seed.method, seed.target, seed.authority, seed.serverName, who, who%2 == 0)
		}
	}
	s := newTarget(f)
	f.Fuzz(func(t *testing.T, method, target, authority, serverName string, who byte, absolute bool) {
		named, err := route.Host(serverName)
		if err != nil {
			return // no TLS profile, so no connection
		}
		i := int(who) % len(s.evidence)
		v := opened(t, s.rules, named, s.evidence[i])
		v.Method, v.Target, v.Authority, v.Absolute = method, target, authority, absolute
		o := s.rules.Decide(v, nil)
		s.sound(t, v, &o, s.trusted[i])
		s.explained(t, v, &o)
	})
}

// sound checks what holds for every outcome, by means that judging does not use.
func (s *target) sound(t *testing.T, v *judge.Request, o *judge.Outcome, trusted string) {
	t.Helper()
	if o.API == nil != (o.Binding == nil) && o.Reason.String() != "method_not_allowed" {
		t.Errorf("API %q, bound %v, for %s", o.API.Label(), o.Binding != nil, o.Reason)
	}
	if o.API != nil {
		a := &s.doc.APIs[o.API.Index]
		owns := len(a.HostPatterns) == 0
		for _, h := range a.HostPatterns {
			owns = owns || h.Match(o.Host)
		}
		if !owns {
			t.Errorf("the API %q does not have the host %q", a.Name, o.Host)
		}
	}
	if !o.Allowed() {
		return
	}
	if o.API == nil || v.Method == http.MethodConnect || strings.ContainsAny(o.Query, " \r\n\t\x00#") || strings.ContainsAny(o.Path.String(), " \r\n\t\x00?#\\") {
		t.Fatalf("%q passes as %q%q of %q", v.Method, o.Path, o.Query, o.API.Label())
	}
	if again, err := route.ParsePath(o.Path.String()); err != nil || again != o.Path {
		t.Errorf("the path %q is not in normal form", o.Path)
	}
	profile := v.Listener.ProfileFor(o.Host)
	if v.ServerName != "" && profile != v.Listener.ProfileFor(v.ServerName) {
		t.Errorf("the server name %q passes for the host %q", v.ServerName, o.Host)
	}
	label := o.API.Label()
	if profile.ClientAuth == config.ClientAuthRequired && trusted != "partners" && trusted != "denied" && (trusted != "strangers" || label != "strangers") {
		t.Errorf("somebody trusted by %q passes the strict profile of %q", trusted, o.Host)
	}
	if strings.HasPrefix(label, "guarded") && trusted != "partners" && (trusted != "denied" || label != "guarded") || label == "strangers" && trusted != "strangers" {
		t.Errorf("somebody trusted by %q may call %q", trusted, label)
	}
	if strings.HasPrefix(label, "guarded") || label == "strangers" || label == "open-below" {
		return
	}
	for _, reading := range readings(o.Path.String()) {
		for _, prefix := range []string{"/guarded/", "/special/guarded/"} {
			if strings.HasPrefix(reading+"/", prefix) {
				t.Errorf("%q is for %q, and a backend may read it as %q", o.Path, label, reading)
			}
		}
	}
}

// readings are paths that backends make of a path: decoded, with backslashes for slashes, and without parameters, in
// either order.
func readings(text string) []string {
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return nil
	}
	slashed := strings.ReplaceAll(decoded, `\`, "/")
	var out []string
	for _, reading := range []string{text, decoded, slashed, bare(text), bare(decoded), bare(slashed), strings.ReplaceAll(slashed, ";", "/")} {
		out = append(out, path.Clean(reading))
	}
	if stripped, err := url.PathUnescape(bare(text)); err == nil {
		out = append(out, path.Clean(stripped), path.Clean(strings.ReplaceAll(stripped, `\`, "/")))
	}
	return out
}

// bare is a path without the parameters of its segments.
func bare(text string) string {
	segments := strings.Split(text, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return strings.Join(segments, "/")
}

// explained checks that whoever asks is told what was decided, and why.
func (s *target) explained(t *testing.T, v *judge.Request, o *judge.Outcome) {
	t.Helper()
	e, err := s.rules.ExplainPast(&judge.Past{Request: *v, Listener: "public"})
	if err != nil {
		t.Fatal(err)
	}
	if e.Reason != o.Reason || e.Detail != o.Detail || e.API != o.API.Label() || (e.Decision == "allow") != o.Allowed() {
		t.Errorf("decided: %s %q of %q, explained: %s %s %q of %q", o.Reason, o.Detail, o.API.Label(), e.Decision, e.Reason, e.Detail, e.API)
	}
	if failed := strings.Contains(checks(e), "fail"); failed == o.Allowed() || (len(e.Changes) > 0) == o.Allowed() {
		t.Errorf("%s: the checks are %s, the advice %q", e.Reason, checks(e), e.Changes)
	}
	if !strings.HasPrefix(v.Target, "/") || strings.ContainsRune(v.Target, '#') || v.Authority == "" || v.ServerName == "" || v.Method == "" {
		return // nothing that a URL can say
	}
	e, err = s.rules.Explain(judge.Question{URL: "https://" + v.ServerName + v.Target, Host: v.Authority, Method: v.Method, Presented: v.Evidence.Presented()}, v.Now)
	asks := v.Listener.ProfileFor(v.ServerName).Asks()
	if err != nil || e.Handshake || len(v.Evidence.Presented()) > 0 != (len(e.Presented) > 0) || asks != v.Evidence.Asked() {
		return // net/url is stricter, or another handshake than the one that is assumed above
	}
	if e.Reason != o.Reason || e.API != o.API.Label() {
		t.Errorf("decided: %s of %q, explained of the URL: %s of %q", o.Reason, o.API.Label(), e.Reason, e.API)
	}
}

func checks(e *judge.Explanation) string {
	var out []string
	for _, c := range e.Checks {
		out = append(out, c.Name+" "+string(c.Outcome))
	}
	return strings.Join(out, ", ")
}
