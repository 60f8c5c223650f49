package gateway_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

const firstDocument = `
listeners:
  - name: public
    address: 127.0.0.1:0
    tls: {credentials: [server], client_auth: optional}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
apis:
  - {name: open, path: /open/, upstream: echo}
  - name: orders
    path: /orders/
    upstream: echo
    client_certificate: {mode: required, trust: [partners], allow: [{subject: "CN=partner-a,*"}]}
  - name: relaxed
    path: /relaxed/
    upstream: echo
    client_certificate: {mode: optional, trust: [partners], deny: [{common_name: partner-b}]}
  - name: lenient
    path: /lenient/
    upstream: echo
    client_certificate: {mode: optional, on_invalid: ignore, trust: [partners], allow: [{common_name: partner-a}]}
  - name: watched
    path: /watched/
    upstream: echo
    client_certificate: {mode: required, trust: [partners], observe_only: true}
  - name: reading
    path: /reading/
    methods: [GET]
    upstream: echo
  - name: tyk
    path: /tyk/
    upstream: echo
    client_certificate: {mode: required, trust: [partners], allow: [{common_name: partner-a}], errors: tyk}
`

func TestEachModeAnswersEachCaller(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	callers := map[string]*testpki.Entity{"nobody": nil, "partner-a": s.a, "partner-b": s.b, "outsider": s.outsider}
	for _, c := range []struct {
		path, who string
		status    int
		reason    string
	}{
		{"/open/", "nobody", 200, ""},
		{"/open/", "outsider", 200, ""},
		{"/orders/", "nobody", 401, "certificate_missing"},
		{"/orders/", "partner-a", 200, ""},
		{"/orders/", "partner-b", 403, "certificate_not_allowed"},
		{"/orders/", "outsider", 403, "certificate_untrusted"},
		{"/relaxed/", "nobody", 200, ""},
		{"/relaxed/", "partner-a", 200, ""},
		{"/relaxed/", "partner-b", 403, "certificate_denied"},
		{"/relaxed/", "outsider", 403, "certificate_untrusted"},
		{"/lenient/", "nobody", 200, ""},
		{"/lenient/", "partner-a", 200, ""},
		{"/lenient/", "partner-b", 403, "certificate_not_allowed"},
		{"/lenient/", "outsider", 200, ""},
		{"/watched/", "nobody", 200, ""},
		{"/watched/", "partner-a", 200, ""},
		{"/watched/", "outsider", 200, ""},
		{"/nowhere/", "partner-a", 404, "no_route"},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			caller := s.caller("public", "localhost", callers[c.who])
			if protocol == "HTTP/2.0" {
				caller.http2()
			}
			a := caller.get("https://localhost" + c.path)
			t.Run(strings.TrimPrefix(protocol, "HTTP/")+" "+c.path+" "+c.who, func(t *testing.T) {
				a.is(t, c.status, c.reason)
				if a.proto != protocol {
					t.Errorf("the answer came over %s", a.proto)
				}
			})
		}
	}
}

func TestTheBackendSeesAValidatedCallerOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	want := ":" + base64.StdEncoding.EncodeToString(s.a.Cert.Raw) + ":"
	for _, c := range []struct {
		name, path string
		who        *testpki.Entity
		want       string
	}{
		{"an accepted caller is told", "/orders/", s.a, want},
		{"an API without trust tells nobody", "/open/", s.a, ""},
		{"an ignored certificate is nobody", "/lenient/", s.outsider, ""},
		{"a certificate that is only watched is nobody", "/watched/", s.outsider, ""},
		{"a good certificate that is watched is somebody", "/watched/", s.a, want},
	} {
		a := s.caller("public", "localhost", c.who).get("https://localhost" + c.path)
		a.is(t, 200, "")
		got := s.backend.got()
		if values := got.Header.Values("Client-Cert"); strings.Join(values, "|") != c.want {
			t.Errorf("%s: Client-Cert %q, want %q", c.name, values, c.want)
		}
		if got.Header.Get("X-Forwarded-For") != "127.0.0.1" || got.Header.Get("X-Forwarded-Proto") != "https" ||
			got.Header.Get("X-Forwarded-Host") != "localhost" || len(got.Header.Get("X-Request-ID")) != 32 || got.Host != "localhost" {
			t.Errorf("%s: forwarded as %v, host %q", c.name, got.Header, got.Host)
		}
	}
}

func TestTheChainThatIsForwardedIsTheValidatedOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	issuing := s.ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	leaf := issuing.Leaf(t, testpki.Options{CommonName: "partner-a"}).TLS()
	leaf.Certificate = append(leaf.Certificate, s.outsider.Cert.Raw) // appended, and part of no path
	s.callerWith("public", "localhost", leaf).get("https://localhost/orders/").is(t, 200, "")
	want := ":" + base64.StdEncoding.EncodeToString(issuing.Cert.Raw) + ":"
	if got := s.backend.got().Header.Get("Client-Cert-Chain"); got != want {
		t.Errorf("Client-Cert-Chain = %q, want %q", got, want)
	}
}

func TestTheAccessRecordSaysWhoAndWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	a := s.caller("public", "localhost", s.b).get("https://localhost/orders/7?token=hidden")
	a.is(t, 403, "certificate_not_allowed")
	id := a.header.Get("X-Request-ID")
	if id == "" || !strings.Contains(a.body, id) {
		t.Fatalf("the answer has request id %q and body %s", id, a.body)
	}
	r := s.records.wait(t, func(r map[string]any) bool { return r["request_id"] == id })
	for field, want := range map[string]any{
		"msg": "request", "listener": "public", "api": "orders", "method": "GET", "host": "localhost", "path": "/orders/7",
		"decision": "deny", "reason": "certificate_not_allowed", "status": 403.0, "generation": 1.0, "server_name": "localhost",
		"client_subject": "CN=partner-b",
	} {
		if r[field] != want {
			t.Errorf("%s = %v, want %v", field, r[field], want)
		}
	}
	if sum, ok := r["client_sha256"].(string); !ok || len(sum) != 64 {
		t.Errorf("client_sha256 = %v", r["client_sha256"])
	}
	if detail, _ := r["detail"].(string); !strings.Contains(detail, "partner-a") {
		t.Errorf("the detail does not say what was expected: %q", detail)
	}
	if strings.Contains(a.body, "partner-a") {
		t.Errorf("the answer tells the caller what the log should: %s", a.body)
	}
}

func TestAWatchedAPISaysWhatItWouldRefuse(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	s.caller("public", "localhost", s.outsider).get("https://localhost/watched/").is(t, 200, "")
	r := s.records.wait(t, func(r map[string]any) bool { return r["api"] == "watched" })
	if r["decision"] != "allow" || r["reason"] != "ok" || r["would_be_reason"] != "certificate_untrusted" {
		t.Errorf("record %v", r)
	}
}

func TestAMethodThatDoesNotFitIs405(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	a := s.caller("public", "localhost", nil).get("https://localhost/reading/", func(r *http.Request) { r.Method = http.MethodDelete })
	a.is(t, 405, "method_not_allowed")
	if allow := a.header.Get("Allow"); allow != "GET" {
		t.Errorf("Allow = %q", allow)
	}
}

func TestTykStyleAnswersWithTyksBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, c := range []struct {
		name string
		who  *testpki.Entity
		want string
	}{
		{"nothing presented", nil, "Client TLS certificate is required"},
		{"not allowed", s.b, "Certificate with SHA256 "},
		{"untrusted", s.outsider, "Certificate with SHA256 "},
	} {
		a := s.caller("public", "localhost", c.who).get("https://localhost/tyk/")
		if a.status != 403 || !strings.HasPrefix(a.body, "{\n    \"error\": \""+c.want) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %q", c.name, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
}

func TestABackendThatDoesNotAnswerIs502AndTellsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	s.backend.server.Close()
	a := s.caller("public", "localhost", nil).get("https://localhost/open/")
	a.is(t, 502, "upstream_unavailable")
	if strings.Contains(a.body, s.backend.address) || strings.Contains(a.body, "echo") {
		t.Errorf("the answer names the backend: %s", a.body)
	}
	r := s.records.wait(t, func(r map[string]any) bool { return r["reason"] == "upstream_unavailable" })
	if detail, _ := r["detail"].(string); !strings.Contains(detail, s.backend.address) {
		t.Errorf("the record does not name the backend: %v", r)
	}
}

func TestPlainHTTPToATLSListenerIsAnswered(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	a := s.caller("public", "localhost", nil).get("http://localhost/open/")
	if a.err != nil || a.status != 400 || !strings.Contains(a.body, "https") {
		t.Errorf("answer %+v", a)
	}
}

func TestTwoAPIsShareAPathByMethod(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument+`  - {name: read, path: /both/, methods: [GET], upstream: echo}
  - {name: write, path: /both/, methods: [DELETE, PUT], upstream: echo, client_certificate: {mode: required, trust: [partners]}}
`)
	c := s.caller("public", "localhost", nil)
	method := func(name string) func(*http.Request) { return func(r *http.Request) { r.Method = name } }
	c.get("https://localhost/both/x").is(t, 200, "")
	c.get("https://localhost/both/x", method(http.MethodDelete)).is(t, 401, "certificate_missing")
	a := c.get("https://localhost/both/x", method(http.MethodPatch))
	a.is(t, 405, "method_not_allowed")
	if allow := a.header.Get("Allow"); allow != "DELETE, GET, PUT" {
		t.Errorf("Allow = %q", allow)
	}
	c.get("https://localhost/both/x", method("get")).is(t, 405, "method_not_allowed")
	s.caller("public", "localhost", s.a).get("https://localhost/both/x", method(http.MethodPut)).is(t, 200, "")
}
