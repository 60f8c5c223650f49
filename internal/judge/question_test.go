package judge_test

import (
	"strings"
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
)

// listeners is a document with these listeners and an API that everybody may call on all of them.
func listeners(list ...string) string {
	return "listeners:\n  - " + strings.Join(list, "\n  - ") + `
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:9"]}
apis:
  - {name: open, upstream: echo}
`
}

func TestAQuestionFindsItsListener(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	tls := func(name, address string) string {
		return `{name: ` + name + `, address: "` + address + `", tls: {credentials: [server]}}`
	}
	plain := func(name, address string) string { return `{name: ` + name + `, address: "` + address + `"}` }
	for _, c := range []struct {
		name      string
		listeners []string
		url, said string // --listener
		want      string // "" for an error
		err       string
	}{
		{name: "the only one of the scheme", listeners: []string{tls("a", ":8443"), plain("b", ":8080")}, url: "https://h/", want: "a"},
		{name: "and of the other scheme", listeners: []string{tls("a", ":8443"), plain("b", ":8080")}, url: "http://h/", want: "b"},
		{name: "the port decides", listeners: []string{tls("a", ":8443"), tls("b", ":9443")}, url: "https://h:9443/", want: "b"},
		{name: "the port of the scheme decides", listeners: []string{tls("a", ":8443"), tls("b", ":443")}, url: "https://h/", want: "b"},
		{name: "of http likewise", listeners: []string{plain("a", ":8080"), plain("b", "[::1]:80")}, url: "http://h/", want: "b"},
		{name: "the scheme comes before the port", listeners: []string{tls("a", ":8443"), plain("b", ":8080")}, url: "http://h:8443/", err: "no listener that speaks http has port 8443"},
		{name: "a port that nobody has", listeners: []string{tls("a", ":8443")}, url: "https://h:9443/", err: "no listener that speaks https has port 9443"},
		{name: "a port that is not known before it is bound", listeners: []string{tls("a", "127.0.0.1:0")}, url: "https://h:9443/", want: "a"},
		{name: "several whose port is not known", listeners: []string{tls("a", "127.0.0.1:0"), tls("b", "127.0.0.2:0")}, url: "https://h:9443/", err: "2 listeners speak https"},
		{name: "one port on two addresses", listeners: []string{tls("a", "127.0.0.1:8443"), tls("b", "127.0.0.2:8443")}, url: "https://h:8443/", err: "--listener"},
		{name: "several and no port", listeners: []string{tls("a", ":8443"), tls("b", ":9443")}, url: "https://h/", err: "2 listeners speak https"},
		{name: "none of the scheme", listeners: []string{tls("a", ":8443")}, url: "http://h/", err: "no listener speaks http"},
		{name: "none of the scheme, and a port", listeners: []string{tls("a", ":8443")}, url: "http://h:8443/", err: "no listener speaks http"},
		{name: "by name, whatever the port", listeners: []string{tls("a", ":8443"), tls("b", ":9443")}, url: "https://h:1/", said: "b", want: "b"},
		{name: "a name that nobody has", listeners: []string{tls("b", ":8443"), tls("a", ":9443")}, url: "https://h/", said: "c", err: `no listener "c"; there are a, b`},
		{name: "a name without TLS", listeners: []string{tls("a", ":8443"), plain("b", ":8080")}, url: "https://h/", said: "b", err: "do not fit"},
		{name: "a name with TLS", listeners: []string{tls("a", ":8443"), plain("b", ":8080")}, url: "http://h/", said: "a", err: "do not fit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := p.rules(t, listeners(c.listeners...)).Explain(judge.Question{URL: c.url, Listener: c.said}, now())
			switch {
			case c.want == "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%+v, %v", e, err)
			case c.want != "" && (err != nil || e.Listener != c.want):
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
}

func TestAQuestionMustMakeSense(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, document("  - {name: open, upstream: echo}"))
	for url, says := range map[string]string{
		"":                     "http://",
		"localhost":            "http://",
		"localhost/open/":      "http://",
		"//localhost/":         "http://",
		"https://":             "host",
		"https:///x":           "host",
		"https:localhost":      "host",
		"ftp://localhost/":     "http://",
		"https://%zz/":         "URL",
		"https://localhost:x/": "URL",
		"https://a b/":         "URL",
	} {
		if e, err := rules.Explain(judge.Question{URL: url}, now()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %+v, %v", url, e, err)
		}
	}
	for _, url := range []string{"https://h/%", "https://h/%zz", "https://h/\x00", "https://h/a b", "https://h/é", "https://h/?é", "https://h/?a b", "https://h/\x7f"} {
		if e := explain(t, rules, judge.Question{URL: url}); e.Reason != decision.RequestMalformed || e.Status != 400 {
			t.Errorf("%q: %s", url, e.Reason)
		}
	}
}

func TestATargetIsExplainedAsItIsWritten(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, document(routes))
	for url, want := range map[string]string{
		"https://localhost":                         "root ok",
		"HTTPS://LOCALHOST:8443":                    "root ok",
		"https://localhost?x=/orders/":              "root ok",
		"https://localhost/orders":                  "orders certificate_missing",
		"https://localhost/v/%2e%2e/orders/":        "orders certificate_missing",
		"https://localhost//orders/":                "orders certificate_missing",
		"https://localhost/v/..;/orders/":           " request_malformed",
		"https://localhost/v/a%2Fb":                 "v request_malformed",
		"https://localhost/v/?a b":                  " request_malformed",
		"https://localhost/v/?q=https://x/orders/#": "v ok",
		"https://localhost/v/#/../orders/":          "v ok",
		"https://user:pass/word@localhost/":         "-",
		"https://user:password@localhost/orders/":   "orders certificate_missing",
		"https://[::1]/v/":                          "v ok",
		"https://[fe80::1%25lo]/v/":                 " request_malformed",
		"https://:8443/v/":                          " request_malformed",
		"https://localhost./v/":                     "v ok",
		"https://127.1/v/":                          "v ok",
	} {
		e, err := rules.Explain(judge.Question{URL: url}, now())
		if want == "-" {
			if err == nil {
				t.Errorf("%s: %+v", url, e)
			}
			continue
		}
		if err != nil || e.API+" "+e.Reason.String() != want {
			t.Errorf("%s: %+v, %v", url, e, err)
		}
	}
}

func TestAPlainListenerNeverSeesACertificate(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, document("  - {name: api, upstream: echo, client_certificate: {mode: optional, trust: [partners]}}"))
	e := explain(t, rules, question("http://localhost/", p.outsider))
	if e.Decision != "allow" || e.Caller != "" || e.Presented != nil || !strings.Contains(e.Checks[0].Detail, "never sees") {
		t.Errorf("%+v", e)
	}
	quiet := p.rules(t, strictProfiles)
	e = explain(t, quiet, question("https://quiet.test/anyone/", p.partner))
	if e.Decision != "allow" || e.Presented != nil || !strings.Contains(e.Checks[0].Detail, "never asks") {
		t.Errorf("%+v", e)
	}
	// Who has none is not told about it.
	for _, e := range []*judge.Explanation{explain(t, rules, question("http://localhost/", nil)), explain(t, quiet, question("https://quiet.test/anyone/", nil))} {
		for _, c := range e.Checks {
			if strings.Contains(c.Detail, "never") {
				t.Errorf("%+v", e.Checks)
			}
		}
	}
}
