package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// expressionDocument has expressions over the request in both lists, and steps.
const expressionDocument = `
listeners:
  - {name: public, address: "127.0.0.1:0", tls: {credentials: [server], client_auth: optional, trust: [partners]}}
  - {name: plain, address: "127.0.0.2:0"}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
apis:
  - name: own
    path: /own/
    listeners: [public]
    upstream: echo
    client_certificate:
      mode: required
      allow: [{expression: "request.path.startsWith('/own/' + certificate.common_name + '/')"}]
  - name: tenants
    path: /tenants/
    listeners: [public]
    upstream: echo
    client_certificate:
      mode: required
      allow: [{expression: "request.header('X-Tenant') == certificate.common_name"}]
      deny: [{expression: "request.header('X-Mode') == 'closed'"}]
  - name: stepped
    path: /stepped/
    upstream: echo
    client_certificate: {mode: none, trust: [partners]}
    policy: [{require_tls: {}}, {require_client_certificate: {}}]
`

func TestExpressionsSeeTheRequestAsItWasSent(t *testing.T) {
	t.Parallel()
	s := newSite(t, expressionDocument)
	c := s.caller("public", "localhost", s.a)
	for _, r := range []struct{ name, head, want string }{
		{"its own path", "GET /own/partner-a/1", ""},
		{"its own path, written otherwise", "GET /own/./%70artner-a//1", ""},
		{"another's path", "GET /own/partner-b/1", "certificate_not_allowed"},
		{"another's path behind its own", "GET /own/partner-a/../partner-b/1", "certificate_not_allowed"},
		{"a path that begins like its own", "GET /own/partner-a2/1", "certificate_not_allowed"},

		{"its own tenant", "GET /tenants/\nX-Tenant: partner-a", ""},
		{"its own tenant, another case", "GET /tenants/\nx-tENANT: partner-a", ""},
		{"no tenant", "GET /tenants/", "certificate_not_allowed"},
		{"another's tenant", "GET /tenants/\nX-Tenant: partner-b", "certificate_not_allowed"},
		{"a tenant in capital letters", "GET /tenants/\nX-Tenant: PARTNER-A", "certificate_not_allowed"},
		{"two tenants, its own first", "GET /tenants/\nX-Tenant: partner-a\nX-Tenant: partner-b", "certificate_not_allowed"},
		{"two tenants, its own last", "GET /tenants/\nX-Tenant: partner-b\nX-Tenant: partner-a", "certificate_not_allowed"},
		{"its own tenant twice", "GET /tenants/\nX-Tenant: partner-a\nX-Tenant: partner-a", "certificate_not_allowed"},
		{"a list of tenants", "GET /tenants/\nX-Tenant: partner-a, partner-b", "certificate_not_allowed"},
		// A backend that knows headers as variables takes these for one name, and nobody knows which it reads.
		{"a name that only looks like it", "GET /tenants/\nX_Tenant: partner-a", "certificate_not_allowed"},
		{"another's tenant under a name that looks like it", "GET /tenants/\nX-Tenant: partner-a\nX_Tenant: partner-b", "certificate_not_allowed"},
		{"and before it", "GET /tenants/\nX.Tenant: partner-b\nX-Tenant: partner-a", "certificate_not_allowed"},
		{"a name that begins like it", "GET /tenants/\nX-Tenant: partner-a\nX-Tenants: partner-b", ""},

		{"what is denied", "GET /tenants/\nX-Tenant: partner-a\nX-Mode: closed", "certificate_denied"},
		{"what is denied, hidden behind another", "GET /tenants/\nX-Tenant: partner-a\nX-Mode: open\nX-Mode: closed", "certificate_denied"},
		{"what is denied, under a name that looks like it", "GET /tenants/\nX-Tenant: partner-a\nX_Mode: closed", "certificate_denied"},
		{"what is not denied", "GET /tenants/\nX-Tenant: partner-a\nX-Mode: open", ""},
		{"a value that is longer than anybody looks at", "GET /tenants/\nX-Tenant: partner-a\nX-Mode: " + strings.Repeat("a", 5000), "certificate_denied"},
	} {
		target, fields, _ := strings.Cut(r.head, "\n")
		if fields != "" {
			fields += "\n"
		}
		a := s.rawWith(c, strings.ReplaceAll(target+" HTTP/1.1\nHost: localhost\n"+fields+"\n", "\n", "\r\n"))
		if a.reason != r.want || (r.want == "") != (a.status == http.StatusOK) {
			t.Errorf("%s: %d %s, want %s", r.name, a.status, a.reason, r.want)
		}
	}
}

func TestStepsAnswerOnEachListener(t *testing.T) {
	t.Parallel()
	s := newSite(t, expressionDocument)
	request := "GET /stepped/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
	s.caller("plain", "", nil).get("http://localhost/stepped/").is(t, http.StatusForbidden, "tls_required")
	s.raw("public", "localhost", nil, request).is(t, http.StatusUnauthorized, "certificate_missing")
	s.raw("public", "localhost", s.outsider, request).is(t, http.StatusForbidden, "certificate_untrusted")
	s.raw("public", "localhost", s.b, request).is(t, http.StatusOK, "")
	s.caller("public", "localhost", s.b).http2().get("https://localhost/stepped/").is(t, http.StatusOK, "")
}

// TestAStreamIsCutWhenItsExpressionCeasesToHold judges a stream again by the header that its request had, which was taken
// apart long ago.
func TestAStreamIsCutWhenItsExpressionCeasesToHold(t *testing.T) {
	t.Parallel()
	b := newStreamer(t)
	s := newSite(t, firstDocument)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	s.apply(streams(b, "ca.pem", `{expression: "request.header('Sec-WebSocket-Version') == '13' && now < timestamp('`+end.Format(time.RFC3339)+`')"}`))
	held, cut := s.webSocket(s.a, "/members/ws"), s.webSocket(s.a, "/listed/ws")
	s.clock.set(end.Add(-time.Second))
	s.echoes(cut)
	s.clock.set(end)
	isCut(t, cut)
	s.echoes(held)
	record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["api"] == "listed" })
	if failure, _ := record["failure"].(string); !strings.Contains(failure, "judged again: certificate_not_allowed") {
		t.Errorf("the record: %v", record)
	}
}
