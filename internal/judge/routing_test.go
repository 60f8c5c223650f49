package judge_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/judge"
)

// routes has APIs that differ in what they match. Those called strict want a certificate.
const routes = `  - {name: root, listeners: [public], upstream: echo}
  - {name: orders, path: /orders/, upstream: echo, listeners: [public], client_certificate: {mode: required}}
  - {name: orders-eu, hosts: [eu.test], path: /orders/, upstream: echo, listeners: [public]}
  - {name: wild, hosts: ["*.test"], path: /orders/open/, upstream: echo, listeners: [public]}
  - {name: reading, path: /reading/, methods: [GET, HEAD], upstream: echo, listeners: [public]}
  - {name: strict-writing, path: /reading/, methods: [POST], upstream: echo, listeners: [public], client_certificate: {mode: required}}
  - {name: only-get, path: /get/, methods: [GET], upstream: echo, listeners: [public]}
  - {name: put-elsewhere, path: /get/, methods: [PUT], upstream: echo, listeners: [plain]}
  - {name: elsewhere, path: /elsewhere/, upstream: echo, listeners: [plain]}
  - {name: special, path: /special/, allow_in_path: ["%2f", "%5c", ";"], upstream: echo, listeners: [public]}
  - {name: strict-special, path: /special/strict/, upstream: echo, listeners: [public], client_certificate: {mode: required}}
  - {name: slashes, path: /slashes/, allow_in_path: ["%2f"], upstream: echo, listeners: [public]}
  - {name: "v", version: "2", path: /v/, upstream: echo, listeners: [public]}`

func TestHostThenPathDecideBeforeMethodAndListener(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, document(routes))
	for _, c := range []struct {
		name                 string
		method, host, target string
		api                  string // "" for none
		want                 string
		methods              []string
		path, query          string // where they are not what was asked for
	}{
		{name: "the longest path owns", target: "/orders/1", api: "orders", want: "certificate_missing"},
		{name: "a prefix owns the path without its slash", target: "/orders", api: "orders", want: "certificate_missing"},
		{name: "segments are whole", target: "/ordersx", api: "root"},
		{name: "the host decides before the path", host: "eu.test", target: "/orders/open/", api: "orders-eu"},
		{name: "a wildcard before every host", host: "us.test", target: "/orders/open/x", api: "wild"},
		{name: "of a host without the path the next one", host: "us.test", target: "/orders/x", api: "orders", want: "certificate_missing"},
		{name: "upper case, a port and a dot name the same host", host: "EU.Test.:8443", target: "/orders/", api: "orders-eu"},
		{name: "no host has the APIs of every host", host: "-", target: "/orders/", api: "orders", want: "certificate_missing"},
		{name: "escapes hide no path", target: "/%6frders/1", api: "orders", want: "certificate_missing", path: "/orders/1"},
		{name: "nor do dots", target: "/open/../orders/./1", api: "orders", want: "certificate_missing", path: "/orders/1"},
		{name: "nor do slashes", target: "//orders///1", api: "orders", want: "certificate_missing", path: "/orders/1"},
		{name: "nor encoded dots", target: "/orders/%2e%2e/x", api: "root", path: "/x"},
		{name: "the method picks among APIs of one place", method: "POST", target: "/reading/", api: "strict-writing", want: "certificate_missing"},
		{name: "and the other one", method: "HEAD", target: "/reading/", api: "reading"},
		{name: "a method of neither is nobody's", method: "DELETE", target: "/reading/", want: "method_not_allowed", methods: []string{"GET", "HEAD", "POST"}},
		{name: "a method that does not fit is never a laxer API's", method: "POST", target: "/get/", api: "only-get", want: "method_not_allowed", methods: []string{"GET"}},
		{name: "nor is it that of another listener's", method: "PUT", target: "/get/", api: "only-get", want: "method_not_allowed", methods: []string{"GET"}},
		{name: "methods are compared as they are", method: "get", target: "/get/", api: "only-get", want: "method_not_allowed", methods: []string{"GET"}},
		{name: "another listener's API is not there, nor is a laxer one", target: "/elsewhere/", want: "no_route"},
		{name: "a version is its own", target: "/v/", api: "v"},
		{name: "no method", method: "-", target: "/", want: "request_malformed"},
		{name: "CONNECT asks for a tunnel", method: "CONNECT", target: "/", want: "request_malformed"},
		{name: "a method with a blank", method: "GET /", target: "/", want: "request_malformed"},
		{name: "a method that is too long", method: strings.Repeat("A", 65), target: "/", want: "request_malformed"},
		{name: "any token is a method", method: "M-SEARCH!#$%&'*+.^_`|~", target: "/", api: "root"},
		{name: "a user in the host", host: "localhost@eu.test", target: "/", want: "request_malformed"},
		{name: "two hosts", host: "localhost,eu.test", target: "/", want: "request_malformed"},
		{name: "an empty label", host: "a..b", target: "/", want: "request_malformed"},
		{name: "absolute-form", target: "https://whatever/orders/1?x=1", api: "orders", want: "certificate_missing", path: "/orders/1", query: "?x=1"},
		{name: "absolute-form in upper case", target: "HTTP://localhost/v/", api: "v", path: "/v/"},
		{name: "absolute-form without a path", target: "https://localhost", api: "root", path: "/"},
		{name: "absolute-form with a query alone", target: "https://localhost?x", api: "root", path: "/", query: "?x"},
		{name: "a user in absolute-form", target: "https://user@localhost/", want: "request_malformed"},
		{name: "an at sign behind the authority", target: "https://localhost/@", api: "root", path: "/@"},
		{name: "a scheme alone", target: "http", want: "request_malformed"},
		{name: "another one", target: "HTTPS", want: "request_malformed"},
		{name: "a scheme and a colon", target: "https:", want: "request_malformed"},
		{name: "another scheme", target: "ftp://localhost/", want: "request_malformed"},
		{name: "the asterisk", method: "OPTIONS", target: "*", want: "request_malformed"},
		{name: "no target", target: "-", want: "request_malformed"},
		{name: "no slash", target: "orders/", want: "request_malformed"},
		{name: "a query goes on as it is", target: "/v/?a=%zz&b=/../?;", api: "v", path: "/v/", query: "?a=%zz&b=/../?;"},
		{name: "an empty query stays", target: "/v/?", api: "v", path: "/v/", query: "?"},
		{name: "a blank in the query", target: "/v/?a b", want: "request_malformed"},
		{name: "a tab in the query", target: "/v/?a\tb", want: "request_malformed"},
		{name: "DEL in the query", target: "/v/?a\x7f", want: "request_malformed"},
		{name: "what is not ASCII in the query", target: "/v/?é", want: "request_malformed"},
		{name: "what is not ASCII in the path", target: "/v/é", want: "request_malformed"},
		{name: "a fragment in the query", target: "/v/?a#b", want: "request_malformed"},
		{name: "a fragment in the path", target: "/v/#b", want: "request_malformed"},
		{name: "NUL", target: "/v/%00", want: "request_malformed"},
		{name: "a broken escape", target: "/v/%2", want: "request_malformed"},
		{name: "what is not UTF-8", target: "/v/%ff", want: "request_malformed"},
		{name: "an encoded slash", target: "/v/a%2fb", api: "v", want: "request_malformed", path: "/v/a%2Fb"},
		{name: "a backslash", target: `/v/a\b`, api: "v", want: "request_malformed", path: "/v/a%5Cb"},
		{name: "a semicolon", target: "/v/a;b", api: "v", want: "request_malformed", path: "/v/a;b"},
		{name: "an encoded slash where nobody is", target: "/elsewhere/a%2fb", want: "request_malformed", path: "/elsewhere/a%2Fb"},
		{name: "where it is opted into", target: "/special/a%2fb", api: "special", path: "/special/a%2Fb"},
		{name: "all of them", target: `/special/a%2fb\c;d%3be`, api: "special", path: "/special/a%2Fb%5Cc;d%3Be"},
		{name: "only those that were opted into", target: "/slashes/a;b", api: "slashes", want: "request_malformed", path: "/slashes/a;b"},
		{name: "one and another", target: "/slashes/a%2fb%5cc", api: "slashes", want: "request_malformed", path: "/slashes/a%2Fb%5Cc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := opened(t, rules, "localhost", evidence(nil))
			for to, from := range map[*string]string{&v.Method: c.method, &v.Authority: c.host, &v.Target: c.target} {
				switch from {
				case "":
				case "-":
					*to = ""
				default:
					*to = from
				}
			}
			o := rules.Decide(v, nil)
			expect(t, o, c.want)
			if o.API.Label() != c.api || (o.Binding != nil) != (c.api != "" && c.want != "method_not_allowed") {
				t.Errorf("it is of the API %q, bound: %v", o.API.Label(), o.Binding != nil)
			}
			if diff := cmp.Diff(c.methods, o.Methods); diff != "" {
				t.Errorf("methods: %s", diff)
			}
			if c.path != "" && (o.Path.String() != c.path || o.Query != c.query) {
				t.Errorf("path %q, query %q", o.Path, o.Query)
			}
		})
	}
}

func TestABackendCannotReadAPathAsAnotherAPIs(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, document(routes))
	for target, want := range map[string]string{
		"/special/a%2fstrict/":        "",
		"/special/strictly;x":         "",
		"/special/x%2f..%2fstrict/":   "request_malformed",
		"/special/strict%2fx":         "request_malformed", // decoded: /special/strict/x
		"/special/strict%5cx":         "request_malformed",
		`/special/strict\x`:           "request_malformed",
		"/special/strict;v=1":         "request_malformed", // without parameters: /special/strict
		"/special/strict%3bv=1":       "request_malformed",
		"/special/strict;v=1/x":       "request_malformed",
		"/special%2fstrict":           "request_malformed", // the root's, and it opted into nothing
		"/special/;x%2fstrict/":       "request_malformed", // decoded, then without parameters: /special//strict/
		"/special/;x/strict":          "request_malformed",
		"/special/;x%2fy/%2fstrict":   "request_malformed", // without parameters, then decoded
		"/special/x;%2f..%2fstrict":   "request_malformed",
		"/special/a%252fstrict":       "", // decoded twice it is still below /special/a/
		"/special/a;b%2fc%5cd;e/f%3b": "",
	} {
		v := opened(t, rules, "localhost", evidence(nil))
		v.Target = target
		o := rules.Decide(v, nil)
		if got := reason(&o); got != want {
			t.Errorf("%s: %q (%s), want %q", target, got, o.Detail, want)
		}
		v.Target = target
		v.Evidence = evidence(p.partner)
		if again := rules.Decide(v, nil); reason(&again) != want {
			t.Errorf("%s with a certificate: %q", target, again.Reason)
		}
	}
}

func TestATargetInAbsoluteFormIsHTTP1Alone(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, document(routes))
	for _, target := range []string{"https://localhost/v/", "*", "", "v", "?x"} {
		v := opened(t, rules, "localhost", evidence(nil))
		v.Absolute, v.Target = false, target
		expect(t, rules.Decide(v, nil), "request_malformed")
	}
}

func TestAPIsSayWhoTheyAre(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, document(routes))
	apis := rules.APIs()
	last := apis[len(apis)-1]
	if last.Label() != "v" || last.Version() != "2" || last.Series() != "v@2" || last.Index != len(apis)-1 || last.RestrictsMethods() {
		t.Errorf("%s %s %s %d", last.Label(), last.Version(), last.Series(), last.Index)
	}
	if apis[0].Series() != "root" || !apis[4].RestrictsMethods() {
		t.Errorf("%s restricts: %v", apis[0].Series(), apis[4].RestrictsMethods())
	}
	var none *judge.API
	if none.Label() != "" || none.Version() != "" || none.Series() != "" {
		t.Error("no API has a name")
	}
	if ls := rules.Listeners(); len(ls) != 2 || ls[1].Name != "plain" || ls[1].TLS || ls[1].Index != 1 || ls[1].ProfileFor("x") != nil || len(ls[1].Profiles()) != 0 {
		t.Errorf("%+v", ls[1])
	}
	if len(rules.Broken()) != 0 {
		t.Errorf("broken: %q", rules.Broken())
	}
	var asks *judge.Profile
	if asks.Asks() {
		t.Error("no profile asks")
	}
}

// strictProfiles are TLS profiles that differ in what they demand, and APIs under them.
const strictProfiles = `
listeners:
  - name: public
    address: 127.0.0.1:8443
    tls:
      credentials: [server]
      client_auth: optional
      profiles:
        - {server_names: ["strict.test", "also-strict.test"], client_auth: required, trust: [partners]}
        - {server_names: ["union.test"], client_auth: required}
        - {server_names: ["quiet.test"], client_auth: none}
        - {server_names: ["modern.test"], min_version: "1.3"}
        - {server_names: ["*.lax.test"], client_auth: optional, trust: [strangers]}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: strangers, anchors: [{file: stranger-ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:9"]}
apis:
  - {name: anyone, path: /anyone/, upstream: echo}
  - {name: guests, path: /guests/, upstream: echo, client_certificate: {mode: required, trust: [strangers]}}
  - {name: partners, path: /partners/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
  - {name: wanting, hosts: [a.lax.test], listeners: [public], path: /wanting/, upstream: echo, client_certificate: {mode: optional}}
  - {name: reading, hosts: [strict.test], path: /reading/, methods: [GET], upstream: echo}
  - {name: watched, hosts: [strict.test], path: /watched/, upstream: echo, client_certificate: {mode: required, trust: [partners], observe_only: true}}
`

func TestARequestBelongsToTheProfileOfItsConnection(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	unasked := judge.NewEvidence(nil, false)
	for _, c := range []struct {
		name, serverName, host, target string
		evidence                       *judge.Evidence
		version                        uint16
		plain                          bool
		want                           string
		reconnect                      bool
	}{
		{name: "the same name", serverName: "strict.test", host: "strict.test", target: "/anyone/", evidence: evidence(p.partner)},
		{name: "another spelling of it", serverName: "strict.test", host: "STRICT.Test.:443", target: "/anyone/", evidence: evidence(p.partner)},
		{name: "another name of the same profile", serverName: "strict.test", host: "also-strict.test", target: "/anyone/", evidence: evidence(p.partner)},
		{name: "a strict host on a lax connection", serverName: "localhost", host: "strict.test", target: "/anyone/", evidence: evidence(p.partner), want: "misdirected_request"},
		{name: "a lax host on a strict connection", serverName: "strict.test", host: "localhost", target: "/anyone/", evidence: evidence(p.partner), want: "misdirected_request"},
		{name: "one wildcard, two names", serverName: "a.lax.test", host: "b.lax.test", target: "/anyone/", evidence: evidence(nil)},
		{name: "a wildcard is one level and more", serverName: "localhost", host: "x.y.lax.test", target: "/anyone/", evidence: evidence(nil), want: "misdirected_request"},
		{name: "a wildcard's own suffix is not below it", serverName: "localhost", host: "lax.test", target: "/anyone/", evidence: evidence(nil)},
		{name: "no server name and a strict host", host: "strict.test", target: "/anyone/", evidence: evidence(nil), want: "certificate_missing"},
		{name: "no server name, a strict host and a partner", host: "strict.test", target: "/anyone/", evidence: evidence(p.partner)},
		{name: "no server name, a strict host and a stranger", host: "strict.test", target: "/anyone/", evidence: evidence(p.outsider), want: "certificate_untrusted"},
		{name: "no server name and no host", host: "", target: "/anyone/", evidence: evidence(nil)},
		{name: "no host on a strict connection", serverName: "strict.test", host: "", target: "/anyone/", evidence: evidence(p.partner), want: "misdirected_request"},

		{name: "an old version of TLS where it is served", serverName: "localhost", host: "localhost", target: "/anyone/", evidence: evidence(nil), version: tls.VersionTLS12},
		{name: "an old version of TLS and no server name", host: "modern.test", target: "/anyone/", evidence: evidence(nil), version: tls.VersionTLS12, want: "misdirected_request"},
		{name: "the version that is wanted", host: "modern.test", target: "/anyone/", evidence: evidence(nil)},
		{name: "an old version of TLS under a name that wants a later one by now", serverName: "modern.test", host: "modern.test", target: "/anyone/", evidence: evidence(nil), version: tls.VersionTLS12, want: "misdirected_request", reconnect: true},
		{name: "no TLS at all any more, and a host with a profile of its own", plain: true, host: "strict.test", target: "/anyone/", want: "misdirected_request", reconnect: true},
		{name: "no TLS at all any more", plain: true, host: "localhost", target: "/anyone/", want: "misdirected_request", reconnect: true},

		{name: "who was never asked is asked to come again", serverName: "localhost", host: "localhost", target: "/partners/", evidence: unasked, want: "misdirected_request"},
		{name: "and under a strict name", serverName: "strict.test", host: "strict.test", target: "/anyone/", evidence: unasked, want: "misdirected_request"},
		{name: "a stranger who was never asked is a stranger", serverName: "localhost", host: "localhost", target: "/partners/", evidence: judge.NewEvidence(p.outsider.Chain(), false), want: "certificate_untrusted"},
		{name: "and under a strict name all the more", serverName: "strict.test", host: "strict.test", target: "/anyone/", evidence: judge.NewEvidence(p.outsider.Chain(), false), want: "certificate_untrusted"},
		{name: "who was asked and has none is told", serverName: "localhost", host: "localhost", target: "/partners/", evidence: evidence(nil), want: "certificate_missing"},
		{name: "who named no server would get the same again", host: "localhost", target: "/partners/", evidence: unasked, want: "certificate_missing"},
		{name: "under a strict host likewise", host: "strict.test", target: "/partners/", evidence: unasked, want: "certificate_missing"},
		{name: "a profile that never asks would not ask then either", serverName: "quiet.test", host: "quiet.test", target: "/partners/", evidence: unasked, want: "certificate_missing"},

		{name: "the API's trust passes a strict profile", serverName: "strict.test", host: "strict.test", target: "/guests/", evidence: evidence(p.outsider)},
		{name: "for that API alone", serverName: "strict.test", host: "strict.test", target: "/anyone/", evidence: evidence(p.outsider), want: "certificate_untrusted"},
		{name: "a partner passes the profile and not the API", serverName: "strict.test", host: "strict.test", target: "/guests/", evidence: evidence(p.partner), want: "certificate_untrusted"},
		{name: "observe_only does not open a profile", serverName: "strict.test", host: "strict.test", target: "/watched/", evidence: evidence(p.outsider), want: "certificate_untrusted"},
		{name: "nor for who presents nothing", host: "strict.test", target: "/watched/", evidence: evidence(nil), want: "certificate_missing"},
		{name: "and lets through whom the API accepts", serverName: "strict.test", host: "strict.test", target: "/watched/", evidence: evidence(p.partner)},

		{name: "a profile without trust accepts whom some API under it does", serverName: "union.test", host: "union.test", target: "/anyone/", evidence: evidence(p.outsider)},
		{name: "each of them", serverName: "union.test", host: "union.test", target: "/anyone/", evidence: evidence(p.partner)},
		{name: "and nobody else", serverName: "union.test", host: "union.test", target: "/anyone/", evidence: evidence(p.pinned), want: "certificate_untrusted"},

		{name: "the trust of the profile is the API's", serverName: "a.lax.test", host: "a.lax.test", target: "/wanting/", evidence: evidence(p.outsider)},
		{name: "and refuses others", serverName: "a.lax.test", host: "a.lax.test", target: "/wanting/", evidence: evidence(p.partner), want: "certificate_untrusted"},

		{name: "which APIs there are is not told to strangers", host: "strict.test", target: "/nowhere/", evidence: evidence(p.pinned), want: "certificate_untrusted"},
		{name: "nor to nobody", host: "strict.test", target: "/nowhere/", evidence: evidence(nil), want: "certificate_missing"},
		{name: "it is told to partners", host: "strict.test", target: "/nowhere/", evidence: evidence(p.partner), want: "no_route"},
		{name: "and to all where nothing is required", host: "localhost", target: "/nowhere/", evidence: evidence(p.pinned), want: "no_route"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := opened(t, rules, c.serverName, c.evidence)
			v.Authority, v.Target = c.host, c.target
			if c.version != 0 {
				v.TLSVersion = c.version
			}
			if c.plain {
				v.OverTLS, v.TLSVersion = false, 0
			}
			o := rules.Decide(v, nil)
			expect(t, o, c.want)
			if o.Reconnect != c.reconnect {
				t.Errorf("the connection must end: %v", o.Reconnect)
			}
		})
	}
}

func TestAConnectionOfBeforeARuleEnds(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, replaced(t, strictProfiles, "client_auth: optional\n", "client_auth: optional\n      min_version: \"1.3\"\n"))
	for _, serverName := range []string{"localhost", ""} { // each has the default profile
		v := opened(t, rules, serverName, evidence(nil))
		v.Authority, v.Target, v.TLSVersion = "localhost", "/anyone/", tls.VersionTLS12
		o := rules.Decide(v, nil)
		expect(t, o, "misdirected_request")
		if !o.Reconnect || !strings.Contains(o.Detail, "a later version of TLS") {
			t.Errorf("the server name %q: %s, the connection must end: %v", serverName, o.Detail, o.Reconnect)
		}
	}
}

func TestARefusalSaysWhatIsWrongWithTheRequest(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	for _, c := range []struct {
		name   string
		change func(*judge.Request)
		says   string
	}{
		{"the listener speaks TLS by now", func(v *judge.Request) { v.OverTLS, v.TLSVersion = false, 0 }, "the listener speaks TLS now"},
		{"the version of TLS", func(v *judge.Request) {
			v.ServerName, v.Authority, v.TLSVersion = "modern.test", "modern.test", tls.VersionTLS12
		}, "a later version of TLS"},
		{"another host", func(v *judge.Request) { v.Authority = "quiet.test" }, "server name localhost and host quiet.test"},
		{"no path", func(v *judge.Request) { v.Target = "*" }, "neither a path nor a URL"},
		{"a fragment", func(v *judge.Request) { v.Target = "/#" }, "percent-encoded"},
		{"a path that cannot be read", func(v *judge.Request) { v.Target = "/%zz" }, "path: "},
		{"a host that cannot be read", func(v *judge.Request) { v.Authority = "a..b" }, "host: "},
		{"no method", func(v *judge.Request) { v.Method = "" }, "the method"},
	} {
		v := opened(t, rules, "localhost", evidence(nil))
		c.change(v)
		if o := rules.Decide(v, nil); o.Allowed() || !strings.Contains(o.Detail, c.says) {
			t.Errorf("%s: %s %q", c.name, o.Reason, o.Detail)
		}
	}
}

func TestStrangersOfAStrictProfileAreToldNothing(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	for _, target := range []string{"/nowhere/", "/reading/", "/reading/a%2fb", "/reading/?a b"} {
		v := opened(t, rules, "", evidence(p.pinned))
		v.Method, v.Authority, v.Target = "DELETE", "strict.test", target
		o := rules.Decide(v, nil)
		expect(t, o, "certificate_untrusted")
		if o.API != nil || o.Binding != nil || o.Methods != nil {
			t.Errorf("%s: %+v", target, o)
		}
	}
	v := opened(t, rules, "strict.test", evidence(p.partner))
	v.Method, v.Target = "DELETE", "/reading/"
	if o := rules.Decide(v, nil); o.API.Label() != "reading" || len(o.Methods) != 1 {
		t.Errorf("a partner is not told the methods: %+v", o)
	}
}

func TestHandshakesAcceptWhatSomeAPIUnderThemDoes(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	l := listener(t, rules, "public")
	for _, c := range []struct {
		host, key                  string
		partner, outsider, nothing string
		announced                  int
	}{
		{"strict.test", "also-strict.test,strict.test", "", "", "certificate_missing", 2},
		{"union.test", "union.test", "", "", "certificate_missing", 2},
		{"localhost", "", "", "", "certificate_missing", 2},
	} {
		ask := l.AskFor(c.host)
		if ask.Profile.Key != c.key || ask.Profile != l.ProfileFor(c.host) || ask != l.Asks()[ask.Index] {
			t.Errorf("%s has the profile %q", c.host, ask.Profile.Key)
		}
		for who, want := range map[*judge.Evidence]string{evidence(p.partner): c.partner, evidence(p.outsider): c.outsider, evidence(nil): c.nothing} {
			got := ""
			if err := ask.VerifyHandshake(who.Presented(), now()); err != nil {
				got, _, _ = strings.Cut(err.Error(), ":")
			}
			if got != want {
				t.Errorf("%s: the handshake says %q, want %q", c.host, got, want)
			}
		}
		if got := len(ask.Announce()); got != c.announced || len(ask.Fingerprint()) != 64 {
			t.Errorf("%s announces %d issuers", c.host, got)
		}
	}
	// Where no API trusts anybody, and the profile neither.
	quiet := listener(t, p.rules(t, replaced(t, document("  - {name: open, upstream: echo}"), "client_auth: optional, trust: [partners]", "client_auth: none")), "public").AskFor("localhost")
	if quiet.Asks() || quiet.Announce() != nil || quiet.Fingerprint() != nil {
		t.Errorf("announces %q", quiet.Announce())
	}
	if err := quiet.VerifyHandshake(p.partner.Chain(), now()); err == nil {
		t.Error("nothing accepts everybody")
	}
}

func TestAProfileAcceptsForTheAPIsThatItsNamesReach(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, c := range []struct {
		hosts   string
		reached string // the profiles, of default, exact, wildcard and deep, that accept an outsider
	}{
		{"", "default exact wildcard deep"},
		{"hosts: [exact.test],", "exact"},
		{"hosts: [other.test],", "default"},
		{"hosts: [a.wild.test],", "wildcard"},
		{"hosts: ['*.wild.test'],", "wildcard deep"},
		{"hosts: ['*.deep.wild.test'],", "deep"},
		{"hosts: [a.deep.wild.test],", "deep"},
		{"hosts: ['*.test'],", "default exact wildcard deep"},
		{"hosts: [other.test, exact.test],", "default exact"},
	} {
		text := document("  - {name: open, upstream: echo, path: /open/}\n  - {name: api, " + c.hosts +
			" listeners: [public], upstream: echo, client_certificate: {mode: required, trust: [strangers]}}")
		rules := p.rules(t, replaced(t, text, "trust: [partners]}", `trust: [partners], profiles: [
        {server_names: [exact.test]}, {server_names: ["*.wild.test"]}, {server_names: ["*.deep.wild.test"]}]}`))
		var accept []string
		for _, profile := range [][]string{
			{"default", "unknown.test", "other.test"}, {"exact", "exact.test"}, {"wildcard", "a.wild.test", "b.wild.test"}, {"deep", "a.deep.wild.test", "b.deep.wild.test"},
		} {
			for _, name := range profile[1:] {
				if listener(t, rules, "public").AskFor(name).VerifyHandshake(p.outsider.Chain(), now()) == nil {
					accept = append(accept, profile[0])
					break
				}
			}
		}
		if got := strings.Join(accept, " "); got != c.reached {
			t.Errorf("%s reaches %s, want %s", c.hosts, got, c.reached)
		}
	}
}
