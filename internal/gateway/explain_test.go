package gateway_test

import (
	"bufio"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

func (s *site) explain(q judge.Question) *judge.Explanation {
	s.t.Helper()
	e, err := s.gateway.Snapshot().Rules().Explain(q, s.clock.Now())
	if err != nil {
		s.t.Fatalf("explain %+v: %v", q, err)
	}
	return e
}

func chain(e *testpki.Entity) []*x509.Certificate {
	if e == nil {
		return nil
	}
	return e.Chain()
}

func TestExplainSaysWhatTheGatewayDoes(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, path := range []string{
		"/open/", "/orders/", "/orders/%2e%2e/open/", "/relaxed/x", "/lenient/", "/watched/", "/reading/", "/tyk/", "/nowhere/",
		"/orders%2f", "/open/?a b", "/open/..;/", "",
	} {
		for _, who := range []*testpki.Entity{nil, s.a, s.b, s.outsider} {
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				for _, host := range []string{"localhost", "LOCALHOST.:443", "a..b"} {
					e := s.explain(judge.Question{URL: "https://localhost" + path, Host: host, Method: method, Presented: chain(who)})
					target := path
					if target == "" {
						target = "/"
					}
					a := s.raw("public", "localhost", who, method+" "+target+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
					if a.err != nil || strings.Contains(path, " ") {
						continue // net/http answers before the gateway sees such a request
					}
					wantReason := a.reason
					if a.status == 200 {
						wantReason = "ok"
					}
					if strings.HasPrefix(path, "/tyk/") && a.status == 403 {
						wantReason = e.Reason.String()
					}
					if e.Reason.String() != wantReason || e.Status != 0 && e.Status != a.status || (e.Decision == "allow") != (a.status == 200) {
						t.Errorf("%s %s host %s by %v: explained as %s %s %d, answered %d %s", method, path, host, who != nil, e.Decision, e.Reason, e.Status, a.status, a.reason)
					}
					if e.Decision == "deny" && len(e.Checks) == 0 {
						t.Errorf("%s %s: a refusal without a check", method, path)
					}
				}
			}
		}
	}
}

func TestExplainReadsHeaderFieldsAsTheGatewayDoes(t *testing.T) {
	t.Parallel()
	s := newSite(t, expressionDocument)
	own := func(name string) judge.QuestionField { return judge.QuestionField{Name: name, Value: "partner-a"} }
	for _, tt := range []struct {
		name   string
		fields []judge.QuestionField
		want   string
	}{
		{"no field", nil, "certificate_not_allowed"},
		{"its own", []judge.QuestionField{own("X-Tenant")}, "ok"},
		{"its own in another case", []judge.QuestionField{own("x-tENANT")}, "ok"},
		{"with an underscore", []judge.QuestionField{own("X_Tenant")}, "certificate_not_allowed"},
		{"with a dot", []judge.QuestionField{own("x.tenant")}, "certificate_not_allowed"},
		{"its own, and with an underscore", []judge.QuestionField{own("X-Tenant"), own("X_Tenant")}, "certificate_not_allowed"},
		{"with a dot, and its own", []judge.QuestionField{own("x.tenant"), own("X-Tenant")}, "certificate_not_allowed"},
		{"its own twice", []judge.QuestionField{own("X-Tenant"), own("X-Tenant")}, "certificate_not_allowed"},
		{"its own twice, in different case", []judge.QuestionField{own("X-Tenant"), own("x-tenant")}, "certificate_not_allowed"},
		{"its own, and one that begins like it", []judge.QuestionField{own("X-Tenant"), own("X-Tenants")}, "ok"},
		{"what is denied, with an underscore", []judge.QuestionField{own("X-Tenant"), {Name: "X_Mode", Value: "open"}}, "certificate_denied"},
		{"a value with a no-break space", []judge.QuestionField{{Name: "X-Tenant", Value: "partner-a\u00a0"}}, "certificate_not_allowed"},
	} {
		e := s.explain(judge.Question{URL: "https://localhost/tenants/", Presented: s.a.Chain(), Fields: tt.fields})
		request := "GET /tenants/ HTTP/1.1\r\nHost: localhost\r\n"
		for _, f := range tt.fields {
			request += f.Name + ": " + f.Value + "\r\n"
		}
		a := s.raw("public", "localhost", s.a, request+"\r\n")
		live := a.reason
		if a.status == http.StatusOK {
			live = "ok"
		}
		if e.Reason.String() != tt.want || live != tt.want {
			t.Errorf("%s: explained as %s, answered %d %s, want %s", tt.name, e.Reason, a.status, live, tt.want)
		}
	}
}

func TestExplainShowsTheHandshake(t *testing.T) {
	t.Parallel()
	s := newSite(t, profiles("partners", ""))
	for _, c := range []struct {
		name, url string
		who       *testpki.Entity
		host      string
		decision  string
		reason    string
		handshake bool
		profile   string
	}{
		{"a strict name without a certificate", "https://strict.example.test/anyone/", nil, "", "deny", "certificate_missing", true, "strict.example.test"},
		{"a strict name with a stranger's", "https://strict.example.test/anyone/", s.outsider, "", "deny", "certificate_untrusted", true, "strict.example.test"},
		{"a strict name with a partner's", "https://strict.example.test/anyone/", s.a, "", "allow", "ok", false, "strict.example.test"},
		{"a name that never asks", "https://localhost/anyone/", s.a, "", "allow", "ok", false, "default"},
		{"another profile's host", "https://localhost/anyone/", nil, "strict.example.test", "deny", "misdirected_request", false, "default"},
		{"an address names no server", "https://127.0.0.1/anyone/", nil, "", "allow", "ok", false, "default"},
		{"an address, and a strict host", "https://127.0.0.1/anyone/", nil, "strict.example.test", "deny", "certificate_missing", false, "default"},
		{"below the wildcard", "https://x.b2b.example.test/b2b/", s.a, "", "allow", "ok", false, "*.b2b.example.test"},
	} {
		e := s.explain(judge.Question{URL: c.url, Host: c.host, Presented: chain(c.who)})
		if e.Decision != c.decision || e.Reason.String() != c.reason || e.Handshake != c.handshake || e.Profile != c.profile {
			t.Errorf("%s: %s %s, handshake %v, profile %q", c.name, e.Decision, e.Reason, e.Handshake, e.Profile)
		}
	}
}

func TestExplainSaysWhatWouldBeAndWhoIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	e := s.explain(judge.Question{URL: "https://localhost/watched/", Presented: chain(s.outsider)})
	if e.Decision != "allow" || e.WouldBe == nil || e.WouldBe.String() != "certificate_untrusted" || e.Caller != "" {
		t.Errorf("watched: %+v", e)
	}
	e = s.explain(judge.Question{URL: "https://localhost/orders/", Presented: chain(s.a)})
	if e.Caller != "CN=partner-a" || e.API != "orders" || e.Listener != "public" {
		t.Errorf("orders: %+v", e)
	}
	e = s.explain(judge.Question{URL: "https://localhost/orders/", Presented: chain(s.a), At: time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC)})
	if e.Decision != "allow" {
		t.Errorf("in 2098: %+v", e)
	}
	short := s.ca.Leaf(t, testpki.Options{CommonName: "partner-a", NotAfter: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)})
	e = s.explain(judge.Question{URL: "https://localhost/orders/", Presented: chain(short), At: time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC)})
	if e.Reason.String() != "certificate_expired" {
		t.Errorf("in 2098, of a certificate until 2090: %+v", e)
	}
	if again := s.explain(judge.Question{URL: "https://localhost/orders/", Presented: chain(short)}); again.Decision != "allow" {
		t.Errorf("a question about the future changed the present: %+v", again)
	}
}

func TestQuestionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(firstDocument, "credentials:\n  - {name: server", `  - {name: plain, address: "127.0.0.1:0"}
  - {name: second, address: "127.0.0.2:0", tls: {credentials: [server]}}
credentials:
  - {name: server`, 1))
	for _, c := range []struct {
		q    judge.Question
		says string
	}{
		{judge.Question{URL: "localhost/open/"}, "http"},
		{judge.Question{URL: "https://"}, "host"},
		{judge.Question{URL: "ftp://localhost/"}, "http"},
		{judge.Question{URL: "https://%zz/"}, "URL"},
		{judge.Question{URL: "https://localhost/", Listener: "nobody"}, "nobody"},
		{judge.Question{URL: "https://localhost/", Listener: "plain"}, "TLS"},
		{judge.Question{URL: "http://localhost/", Listener: "public"}, "TLS"},
		{judge.Question{URL: "https://localhost/"}, "--listener"},
		{judge.Question{URL: "ftp://localhost/", Listener: "public"}, "http"},
	} {
		if e, err := s.gateway.Snapshot().Rules().Explain(c.q, time.Now()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v %v", c.q, e, err)
		}
	}
	if e := s.explain(judge.Question{URL: "http://localhost/orders/", Presented: chain(s.a)}); e.Reason.String() != "certificate_missing" {
		t.Errorf("over plain HTTP: %+v", e)
	}
	if e := s.explain(judge.Question{URL: "https://localhost/open/?x#fragment", Listener: "public"}); e.Decision != "allow" {
		t.Errorf("with a fragment: %+v", e)
	}
}

// rawPlain is raw without TLS.
func (s *site) rawPlain(listener, request string) answer {
	s.t.Helper()
	conn := s.plain(listener)
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		return answer{err: err}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	return readAnswer(s.t, response)
}

func TestExplainKnowsTheLimitOfTheTarget(t *testing.T) {
	t.Parallel()
	const limited = `
listeners:
  - {name: public, address: "127.0.0.1:0", limits: LIMITS, tls: {credentials: [server], client_auth: optional, profiles: [{server_names: [strict.example.test], client_auth: required}], trust: [partners]}}
  - {name: plain, address: "127.0.0.2:0", limits: LIMITS}
credentials: [{name: server, certificate: {file: server.pem}, private_key: {file: server.key}}]
trust_stores: [{name: partners, anchors: [{file: ca.pem}]}]
upstreams: [{name: echo, targets: ["http://BACKEND"]}]
apis: [{name: open, path: /open/, upstream: echo}]`
	for limits, most := range map[string]int{"{max_target_size: 64}": 64, "{}": 16 << 10, "{max_header_size: 1KiB}": 1 << 10} {
		s := newSite(t, strings.ReplaceAll(limited, "LIMITS", limits))
		for _, listener := range []string{"public", "plain"} {
			for _, size := range []int{most - 200, most - 1, most, most + 1, 20_000} {
				for _, query := range []string{"", "?q"} {
					target := "/open/" + strings.Repeat("x", max(size-len("/open/")-len(query), 0)) + query
					scheme := map[string]string{"public": "https", "plain": "http"}[listener]
					e := s.explain(judge.Question{URL: scheme + "://localhost" + target, Listener: listener})
					var a answer
					if request := "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n"; listener == "public" {
						a = s.raw(listener, "localhost", nil, request)
					} else {
						a = s.rawPlain(listener, request)
					}
					if (len(target) == most || len(target) == most-1) && limits == "{max_header_size: 1KiB}" {
						continue // no client sends a target alone
					}
					if e.Decision == "allow" {
						e.Status, e.Reason = 200, decision.OK
					}
					if a.status != e.Status || a.status != 200 && a.reason != e.Reason.String() || (len(target) > most) != (e.Status == 414) {
						t.Errorf("%s %s, a target of %d: %d %s, explained as %d %s", limits, listener, len(target), a.status, a.reason, e.Status, e.Reason)
					}
					if e.Status != 200 && !strings.Contains(strings.Join(e.Changes, ""), "max_target_size in the limits of the listener \""+listener) {
						t.Errorf("the advice is %q", e.Changes)
					}
				}
			}
		}
		if e := s.explain(judge.Question{URL: "https://strict.example.test/open/" + strings.Repeat("x", 20_000)}); !e.Handshake || e.Reason != decision.CertificateMissing {
			t.Errorf("a handshake that is refused comes first: %s", e.Reason)
		}
	}
}

// What package wire refuses has the same detail in the record and in what explain says.
func TestExplainSaysWhatTheReaderOfRequestsSays(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, request := range []struct{ method, target string }{
		{"GET", "/open/%zz"}, {"GET", "/open/\x01"}, {"GET", "/open/a b"}, {"G\u00e9T", "/open/"}, {"CONNECT", "/open/"}, {"GET", "/open/" + strings.Repeat("x", 20_000)},
	} {
		e := s.explain(judge.Question{URL: "https://localhost" + request.target, Method: request.method})
		a := s.raw("public", "localhost", nil, request.method+" "+request.target+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if a.status != e.Status || a.reason != e.Reason.String() {
			t.Errorf("%+q: %d %s, explained as %d %s", request, a.status, a.reason, e.Status, e.Reason)
		}
		s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["detail"] == e.Detail })
	}
}
