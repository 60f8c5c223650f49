package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

const stylesDocument = `
client_certificate: {mode: required, trust: [partners], allow: [{common_name: partner-a}]}
listeners:
  - name: public
    address: 127.0.0.1:0
    tls: {credentials: [server], client_auth: optional, profiles: [{server_names: [other.example.test], client_auth: optional, min_version: "1.3"}]}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
  - {name: nobody, targets: ["http://127.0.0.1:1"]}
apis:
`

// styled is an API with a style, and one whose backend is not there.
func styled(style string) string {
	return stylesDocument + "  - {name: " + style + ", path: /" + style + "/, methods: [GET, HEAD, POST], upstream: echo, client_certificate: {errors: " + style + "}}\n" +
		"  - {name: " + style + "-lost, path: /" + style + "-lost/, upstream: nobody, client_certificate: {errors: " + style + "}}\n"
}

// vendor is what a style answers to nobody, to a partner that is not allowed, and to a stranger.
type vendor struct {
	missing, refused, stranger          string
	missingStatus, refusedStatus        int
	contentType, challenge, expiredText string
}

func vendors() map[string]vendor {
	const credentials = `{"fault":{"code":900901, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct access token"}}`
	tyk := func(text string) string { return "{\n    \"error\": \"" + text + "\"\n}" }
	const boomi = "Certificate validation failed. You are not allowed to access the resource."
	return map[string]vendor{
		"boomi": {"Certificate authorization required to access the resource.", boomi, boomi, 401, 403, "text/plain; charset=utf-8", "", boomi},
		"tyk": {
			tyk("Client TLS certificate is required"), tyk("Certificate with SHA256 {} not allowed"), tyk("Certificate with SHA256 {} not allowed"), 403, 403,
			"application/json", "", tyk("Certificate has expired"),
		},
		"wso2": {credentials, credentials, credentials, 401, 401, "application/json", `Mutual SSL realm="WSO2 API Microgateway"`, credentials},
		"apim": {
			"Client certificate is required", "Invalid client certificate", "Client certificate validation failed", 403, 403,
			"text/plain; charset=utf-8", "", "Client certificate has expired",
		},
	}
}

func TestBoomiStyle(t *testing.T) { t.Parallel(); checkStyle(t, "boomi") }
func TestTykStyle(t *testing.T)   { t.Parallel(); checkStyle(t, "tyk") }
func TestWSO2Style(t *testing.T)  { t.Parallel(); checkStyle(t, "wso2") }
func TestAPIMStyle(t *testing.T)  { t.Parallel(); checkStyle(t, "apim") }

func checkStyle(t *testing.T, style string) {
	t.Helper()
	s := newSite(t, styled(style))
	want := vendors()[style]
	expired := s.ca.Leaf(t, testpki.Options{CommonName: "partner-a", NotAfter: s.clock.Now().Add(-1)})
	for _, c := range []struct {
		name   string
		who    *testpki.Entity
		body   string
		status int
		reason string
	}{
		{"nobody", nil, want.missing, want.missingStatus, "certificate_missing"},
		{"not allowed", s.b, want.refused, want.refusedStatus, "certificate_not_allowed"},
		{"a stranger", s.outsider, want.stranger, want.refusedStatus, "certificate_untrusted"},
		{"expired", expired, want.expiredText, want.refusedStatus, "certificate_expired"},
	} {
		for _, speak := range []func(*caller) *caller{func(c *caller) *caller { return c }, (*caller).http2} {
			caller := speak(s.caller("public", "localhost", c.who))
			body := c.body
			if c.who != nil {
				body = strings.Replace(body, "{}", sum(c.who), 1)
			}
			for method, adjust := range map[string]func(*http.Request){
				"GET":  func(*http.Request) {},
				"HEAD": func(r *http.Request) { r.Method = http.MethodHead },
				"gRPC": func(r *http.Request) { r.Method = http.MethodPost; r.Header.Set("Content-Type", "application/grpc") },
			} {
				a := caller.get("https://localhost/"+style+"/x", adjust)
				if a.err != nil {
					t.Fatal(a.err)
				}
				told := body
				if method == "HEAD" {
					told = ""
				}
				if a.status != c.status || a.body != told || a.header.Get("Content-Type") != want.contentType {
					t.Errorf("%s, %s over %s: %d %s %q, want %d %q", c.name, method, a.proto, a.status, a.header.Get("Content-Type"), a.body, c.status, told)
				}
				challenge := want.challenge
				if got := a.header.Get("WWW-Authenticate"); got != challenge {
					t.Errorf("%s, %s: the challenge %q, want %q", c.name, method, got, challenge)
				}
				id := a.header.Get("X-Request-ID")
				if len(id) != 32 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s, %s: %v", c.name, method, a.header)
				}
				if r := s.records.wait(t, func(r map[string]any) bool { return r["request_id"] == id }); r["reason"] != c.reason || r["status"] != float64(c.status) {
					t.Errorf("%s, %s: %v", c.name, method, r)
				}
			}
		}
	}
	// What is not about the certificate has no style: it is a problem with a reason.
	partner := s.caller("public", "localhost", s.a)
	partner.get("https://localhost/"+style+"/x").is(t, 200, "")
	partner.get("https://localhost/"+style+"-lost/x").is(t, 502, "upstream_unavailable")
	partner.get("https://localhost/nowhere/").is(t, 404, "no_route")
	partner.get("https://localhost/"+style+"/x", func(r *http.Request) { r.Method = http.MethodDelete }).is(t, 405, "method_not_allowed")
	partner.get("https://localhost/"+style+"/x%00").is(t, 400, "request_malformed")
	partner.get("https://localhost/"+style+"/x", func(r *http.Request) { r.Host = "other.example.test" }).is(t, 421, "misdirected_request")
}
