package judge_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
	"sallyport/internal/wire"
)

// secret stands in every query, and may stand in no explanation.
const secret = "S3cr3tQuery"

// asked is one request of the cross product.
type asked struct {
	url, method, host string
	who               []*x509.Certificate
	unsent            bool // no client sends that over TLS 1.3
}

// live decides about it as the gateway does, handshake included, without Explain.
func (a *asked) live(t *testing.T, rules *judge.Rules) (o judge.Outcome, handshake bool) {
	t.Helper()
	u, err := url.Parse(a.url)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme == "http" {
		v := judge.Request{Method: a.method, Target: u.RequestURI(), Authority: u.Host, Listener: listener(t, rules, "plain"), Now: now()}
		if a.host != "" {
			v.Authority = a.host
		}
		return readAndDecide(rules, &v), false
	}
	serverName := u.Hostname()
	if serverName == "127.0.0.1" {
		serverName = ""
	}
	v := opened(t, rules, serverName, nil)
	v.Method, v.Authority, v.Target, v.Absolute = a.method, u.Host, strings.SplitAfterN(a.url, u.Host, 2)[1], false
	if a.host != "" {
		v.Authority = a.host
	}
	ask := v.Listener.AskFor(serverName)
	presented := a.who
	if !ask.Asks() || a.unsent {
		presented = nil
	}
	v.Evidence = judge.NewEvidence(presented, ask.Asks())
	if ask.Insists() {
		if presented == nil {
			return judge.Refused(decision.Decision{Reason: decision.CertificateMissing, Detail: ask.NothingPresented()}, false), true
		}
		if err := ask.VerifyHandshake(presented, now()); err != nil {
			refused, _ := errors.AsType[*trust.Error](err)
			return judge.Refused(decision.Decision{Reason: refused.Reason, Detail: refused.Detail}, false), true
		}
	}
	return readAndDecide(rules, v), false
}

// readAndDecide decides about a request that package wire reads first.
func readAndDecide(rules *judge.Rules, v *judge.Request) judge.Outcome {
	if p := wire.RequestLine(v.Method, v.Target, 16<<10); p != nil {
		return judge.Refused(decision.Decision{Reason: decision.RequestMalformed, Detail: p.Detail}, true)
	}
	return rules.Decide(v, nil)
}

// agrees compares what Explain says with what is decided, and returns the reason.
func (a *asked) agrees(t *testing.T, rules *judge.Rules) decision.Reason {
	t.Helper()
	o, handshake := a.live(t, rules)
	e, err := rules.Explain(judge.Question{URL: a.url, Method: a.method, Host: a.host, Presented: a.who}, now())
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.url, err)
	}
	type said struct {
		decision, api, detail, subject string
		reason, wouldBe                decision.Reason
		status                         int
		handshake                      bool
	}
	live := said{decision: "allow", api: o.API.Label(), reason: o.Reason, wouldBe: o.WouldBe.Reason, detail: o.Detail, handshake: handshake}
	if !o.Allowed() {
		live.decision = "deny"
		if !handshake {
			live.status = o.Answer(0, "", nil).Status
		}
	}
	if o.Caller.Known() {
		live.subject = identity.SubjectText(a.who[0])
	}
	explained := said{e.Decision, e.API, e.Detail, e.Caller, e.Reason, decision.OK, e.Status, e.Handshake}
	if e.WouldBe != nil {
		explained.wouldBe = *e.WouldBe
	}
	if diff := cmp.Diff(live, explained, cmp.AllowUnexported(said{})); diff != "" {
		t.Errorf("%+v:\n%s", *a, diff)
	}
	a.helps(t, e)
	reason := e.Reason
	if e.WouldBe != nil {
		reason = *e.WouldBe
	}
	return reason
}

// helps checks what every explanation owes to who reads it.
func (a *asked) helps(t *testing.T, e *judge.Explanation) {
	t.Helper()
	failed := slices.ContainsFunc(e.Checks, func(c decision.Check) bool { return c.Outcome == decision.Fail })
	refused := e.Decision == "deny" || e.WouldBe != nil
	if refused && !failed || refused != (len(e.Changes) > 0) {
		t.Errorf("%+v: %s %s has the checks %+v and the advice %q", *a, e.Decision, e.Reason, e.Checks, e.Changes)
	}
	if e.Decision == "deny" && about(e.Reason) && e.Broken != nil && (!strings.Contains(e.Detail, e.Broken.Subject) || e.Path != nil) {
		t.Errorf("%+v: %s broke the path %+v, and the refusal is %s: %s", *a, e.Broken.Subject, e.Path, e.Reason, e.Detail)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{secret, "unknown time", "%!", "null"} {
		if strings.Contains(string(text), never) {
			t.Errorf("%+v: %q is in %s", *a, never, text)
		}
	}
}

func TestExplainAgreesWithWhatIsDecided(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	callers := [][]*x509.Certificate{nil, p.partner.Chain(), p.villain.Chain(), p.outsider.Chain(), p.pinned.Chain(), p.ca.Chain(), p.partner.Chain()[:1]}
	for _, e := range p.kinds(t) {
		callers = append(callers, e.Chain())
	}
	callers = append(callers, append(p.ca.Leaf(t, testpki.Options{CommonName: "nobody"}).Chain(), p.ca.Cert))
	sent := len(callers)
	callers = append(callers, p.issuing.Leaf(t, testpki.Options{Key: testpki.P224}).Chain(), []*x509.Certificate{rekeyed(t, p.villain.Cert, ed448)})
	const q = "?token=" + secret
	lists := document(`  - {name: lists, path: /lists/, listeners: [public], upstream: echo, client_certificate: {mode: required, allow: [{common_name: orders}, {common_name: villain}], deny: [{common_name: villain}]}}
  - {name: optional, path: /optional/, upstream: echo, listeners: [public], client_certificate: {mode: optional, trust: [both]}}
  - {name: ignored, path: /ignored/, upstream: echo, listeners: [public], client_certificate: {mode: optional, on_invalid: ignore, trust: [strangers]}}
  - {name: watched, path: /watched/, upstream: echo, listeners: [public], client_certificate: {mode: required, observe_only: true, allow: [{common_name: orders}]}}
  - {name: tyk, path: /tyk/, upstream: echo, listeners: [public], client_certificate: {mode: required, errors: tyk}}
  - {name: teapot, path: /teapot/, upstream: echo, listeners: [public], client_certificate: {mode: required, errors: {missing: {status: 418}}}}
  - {name: reading, path: /reading/, methods: [GET], upstream: echo, client_certificate: {mode: none}}`)
	broken := replaced(t, document(torn), "  - {name: both,", "  - {name: torn, anchors: [{file: gone.pem}]}\n  - {name: both,")
	everywhere := replaced(t, strictProfiles, "credentials:\n  - {name", "  - {name: plain, address: 127.0.0.1:8080}\ncredentials:\n  - {name")
	seen := map[decision.Reason]bool{}
	for _, c := range []struct {
		rules *judge.Rules
		urls  []string
		hosts []string
	}{
		{p.rules(t, lists), []string{
			"https://localhost/lists/", "https://localhost/optional/x", "https://localhost/ignored/", "https://localhost/watched/", "https://localhost/tyk/",
			"https://127.0.0.1/teapot/", "https://localhost/reading/", "http://localhost/reading/", "http://localhost/lists/", "https://localhost/lists/%2e%2e/reading/",
			"https://localhost/lists%2f", "https://localhost/ignored/;x",
		}, []string{"", "a..b"}},
		{p.rules(t, everywhere), []string{
			"https://strict.test/anyone/", "https://strict.test/guests/", "https://strict.test/watched/", "https://strict.test/nowhere/", "https://union.test/anyone/",
			"https://quiet.test/partners/", "https://a.lax.test/wanting/", "https://127.0.0.1/guests/", "https://127.0.0.1/anyone/", "https://127.0.0.1/reading/",
			"http://localhost/anyone/", "http://localhost/guests/",
		}, []string{"", "strict.test", "union.test", "localhost"}},
		{p.partial(t, broken), []string{
			"https://localhost/whole/", "https://localhost/torn/", "https://localhost/absent/", "https://localhost/lost/", "https://localhost/nowhere/",
			"https://localhost/naming/", "https://localhost/open/", "http://localhost/lost/",
		}, []string{""}},
	} {
		for _, u := range c.urls {
			u += q
			for _, method := range []string{"GET", "DELETE", "CONNECT"} {
				for _, host := range c.hosts {
					for i, who := range callers {
						if method != "GET" && i%3 != 0 {
							continue
						}
						seen[(&asked{url: u, method: method, host: host, who: who, unsent: i >= sent}).agrees(t, c.rules)] = true
					}
				}
			}
		}
	}
	for r := range decision.All() {
		switch r {
		case decision.CertificateRevoked, decision.RevocationUnknown, decision.UserUnknown, decision.UserCertificateMismatch, decision.UserDisabled,
			decision.HeaderSourceUntrusted, decision.HeaderMalformed, decision.HeaderAmbiguous, decision.TLSRequired, decision.CredentialMissing,
			decision.CredentialInvalid, decision.TokenBindingMismatch, decision.RateLimited, decision.QuotaExceeded, decision.PolicyDenied,
			decision.RequestTooLarge, decision.RequestTimeout, decision.Overloaded, decision.InternalError:
			// Nothing that judging decides about today.
		default:
			if !seen[r] {
				t.Errorf("nothing above led to %s", r)
			}
		}
	}
}
