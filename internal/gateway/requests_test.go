package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestPathTricksReachTheAPIThatOwnsThePath(t *testing.T) {
	t.Parallel()
	// The catch-all is open: whatever slips past /orders/ would be served by it.
	s := newSite(t, firstDocument+"  - {name: rest, upstream: echo}\n  - {name: slashes, path: /files/, upstream: echo, allow_in_path: [\"%2f\"]}\n"+
		"  - {name: lax, path: /lax/, upstream: echo, allow_in_path: [\"%2f\", \";\", \"%5c\"]}\n"+
		"  - {name: strict, path: /lax/strict/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}\n")
	for _, c := range []struct {
		target string
		status int
		reason string
		seen   string // the path that the backend gets
	}{
		{"/orders", 401, "certificate_missing", ""},
		{"/orders/7", 401, "certificate_missing", ""},
		{"/ordersx", 200, "", "/ordersx"},
		{"/%6frders/7", 401, "certificate_missing", ""},
		{"/%6Frders/7", 401, "certificate_missing", ""},
		{"/open/../orders/7", 401, "certificate_missing", ""},
		{"/open/%2e%2e/orders/7", 401, "certificate_missing", ""},
		{"/open/%2E%2e/orders/7", 401, "certificate_missing", ""},
		{"/open/.%2e/orders/7", 401, "certificate_missing", ""},
		{"/open/..;/orders/7", 400, "request_malformed", ""},
		{"//orders/7", 401, "certificate_missing", ""},
		{"/./orders/7", 401, "certificate_missing", ""},
		{"/open//../orders/7", 401, "certificate_missing", ""},
		{"/../../orders/7", 401, "certificate_missing", ""},
		{"/open/%2e%2e%2forders/7", 400, "request_malformed", ""},
		{"/open%2f..%2forders/7", 400, "request_malformed", ""},
		{"/orders%2f7", 400, "request_malformed", ""},
		{"/orders;v=1/7", 400, "request_malformed", ""},
		{"/orders%3bv=1", 400, "request_malformed", ""},
		{"/open\\..\\orders", 400, "request_malformed", ""},
		{"/open/%5c..%5corders", 400, "request_malformed", ""},
		{"/orders/%00", 400, "request_malformed", ""},
		{"/orders/%c0%ae", 400, "request_malformed", ""},
		{"/Orders/7", 200, "", "/Orders/7"},
		{"/ORDERS/7", 200, "", "/ORDERS/7"},
		{"/%252e%252e/orders/7", 200, "", "/%252e%252e/orders/7"},
		{"/open/a%20b/%e4%b8%ad", 200, "", "/open/a%20b/%E4%B8%AD"},
		{"/open/./x//y/../z", 200, "", "/open/x/z"},
		{"/open/?a=/../b//c%2f;d", 200, "", "/open/?a=/../b//c%2f;d"},
		{"/open/?", 200, "", "/open/?"},
		{"/files/a%2fb", 200, "", "/files/a%2Fb"},
		{"/files/..%2forders", 400, "request_malformed", ""},
		{"/lax/a;b=c/d", 200, "", "/lax/a;b=c/d"},
		{"/lax/strict", 401, "certificate_missing", ""},
		{"/lax/strict;x", 400, "request_malformed", ""},
		{"/lax/strict%3bx/y", 400, "request_malformed", ""},
		{"/lax;x/strict", 400, "request_malformed", ""},
		{"/lax/a;x/strict", 200, "", "/lax/a;x/strict"},
		{"/lax/;a%2fstrict/x", 400, "request_malformed", ""}, // decoded first, stripped then
		{"/lax/;a%5cstrict/x", 400, "request_malformed", ""},
		{"/lax/x%3ba%2f..%2fstrict", 400, "request_malformed", ""},
		{"/lax/strict%2fx", 400, "request_malformed", ""},
		{"/lax/strict\\x", 400, "request_malformed", ""},
		{"/lax%2fstrict", 400, "request_malformed", ""},
		{"/files/a;b", 400, "request_malformed", ""},
		{"/open/%7Euser", 200, "", "/open/~user"},
		{"/", 200, "", "/"},
	} {
		a := s.raw("public", "localhost", nil, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", c.target))
		t.Run(c.target, func(t *testing.T) {
			a.is(t, c.status, c.reason)
			if c.seen != "" && a.body != "backend got GET "+c.seen {
				t.Errorf("%s, want %s", a.body, c.seen)
			}
		})
	}
}

func TestMalformedTargetsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, target := range []string{"*", "orders", "localhost:443", "?x", "/%", "/%zz", "/a%2", "/open/\x7f", "/open/?a\x01b", "/open/#x", "/open/?x#y"} {
		a := s.raw("public", "localhost", nil, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target))
		if a.err != nil || a.status != 400 {
			t.Errorf("GET %q: %d %v", target, a.status, a.err)
		}
	}
	if n := s.backend.count(); n != 0 {
		t.Errorf("%d malformed requests reached the backend", n)
	}
}

func TestAQueryCannotEndTheRequestLine(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	c := s.caller("public", "localhost", nil).http2()
	c.get("https://localhost/open/", func(r *http.Request) { r.URL.RawQuery = "x HTTP/1.0" }).is(t, 400, "request_malformed")
	if n := s.backend.count(); n != 0 {
		t.Errorf("%d requests reached the backend", n)
	}
}

// identityNames are fields that tell backends who is calling, one or more of every sender.
var identityNames = []string{
	"Client-Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "X-SSL-Cert", "X-SSL-Client-Cert", "X-SSL-Client-DN",
	"X-SSL-Client-Verify", "SSL-Client-Cert", "SSL-Client-Verify", "SSL-Client-Subject-DN", "X-Forwarded-Tls-Client-Cert",
	"X-Forwarded-Tls-Client-Cert-Info", "X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Subject", "X-ARR-ClientCert",
	"X-WSO2-Client-Certificate", "X-Client-Cert", "Cf-Client-Cert-Der-Base64", "CloudFront-Viewer-Cert-Pem", "SSL-Client-S-DN",
}

func TestIdentityHeadersOfClientsNeverReachTheBackend(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	spell := map[string]func(string) string{
		"as it is":    func(n string) string { return n },
		"lower case":  strings.ToLower,
		"upper case":  strings.ToUpper,
		"underscores": func(n string) string { return strings.ReplaceAll(n, "-", "_") },
		"one underscore": func(n string) string {
			return strings.Replace(n, "-", "_", 1)
		},
		"dots": func(n string) string { return strings.ReplaceAll(n, "-", ".") },
	}
	for spelling, f := range spell {
		for _, hop := range []string{"", "Connection: %s\r\n"} {
			var request strings.Builder
			request.WriteString("GET /orders/ HTTP/1.1\r\nHost: localhost\r\n")
			for _, name := range identityNames {
				fmt.Fprintf(&request, "%s: spoofed\r\n", f(name))
				if hop != "" {
					fmt.Fprintf(&request, hop, f(name))
				}
			}
			request.WriteString("\r\n")
			s.raw("public", "localhost", s.a, request.String()).is(t, 200, "")
			got := s.backend.got()
			for name, values := range got.Header {
				if strings.Contains(strings.Join(values, ""), "spoofed") {
					t.Errorf("%s, %q: the backend saw %s: %q", spelling, hop, name, values)
				}
			}
			if v := got.Header.Values("Client-Cert"); len(v) != 1 || !strings.HasPrefix(v[0], ":MII") {
				t.Errorf("%s, %q: the backend did not see the gateway's Client-Cert: %q", spelling, hop, v)
			}
		}
	}
}

func TestForwardingAndFramingLookAlikesNeverReachTheBackend(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	names := []string{"Content_Length", "Transfer_Encoding", "Transfer.Encoding", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-IP", "X_Forwarded_For", "X-Request-ID", "X-Original-URL"}
	var request strings.Builder
	request.WriteString("GET /open/ HTTP/1.1\r\nHost: localhost\r\n")
	for _, name := range names {
		fmt.Fprintf(&request, "%s: spoofed\r\n", name)
	}
	s.raw("public", "localhost", nil, request.String()+"\r\n").is(t, 200, "")
	for name, values := range s.backend.got().Header {
		if strings.Contains(strings.Join(values, ""), "spoofed") {
			t.Errorf("the backend saw %s: %q", name, values)
		}
	}
}

func TestOrdinaryHeadersPass(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	s.raw("public", "localhost", nil, "GET /open/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nX-Client-Id: 7\r\n"+
		"Cookie: a=b\r\nTraceparent: 00-1\r\nAccept-Encoding: br\r\n\r\n").is(t, 200, "")
	got := s.backend.got().Header
	for name, want := range map[string]string{"Authorization": "Bearer x", "X-Client-Id": "7", "Cookie": "a=b", "Traceparent": "00-1", "Accept-Encoding": "br"} {
		if got.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, got.Get(name), want)
		}
	}
	if _, sent := got["User-Agent"]; sent {
		t.Errorf("the gateway added User-Agent: %q", got["User-Agent"])
	}
}

func TestIdentityTrailersOfClientsNeverReachTheBackend(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	s.raw("public", "localhost", s.a, "POST /orders/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"+
		"Trailer: Client-Cert, X-Sum\r\n\r\n2\r\nok\r\n0\r\nClient-Cert: spoofed\r\nX-Sum: 1\r\n\r\n").is(t, 200, "")
	got := s.backend.got()
	for name, values := range got.Trailer {
		if strings.EqualFold(name, "Client-Cert") || strings.Contains(strings.Join(values, ""), "spoofed") {
			t.Errorf("the backend saw the trailer %s: %q", name, values)
		}
	}
}

func TestOnlyWebSocketsLeaveHTTP(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for upgrade, seen := range map[string]string{"h2c": "", "H2C, websocket": "", "TLS/1.0": "", "websocket": "websocket", "WebSocket": "websocket"} {
		s.raw("public", "localhost", nil, "GET /open/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "+upgrade+
			"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n").is(t, 200, "")
		got := s.backend.got().Header
		if got.Get("Upgrade") != seen || got.Get("HTTP2-Settings") != "" {
			t.Errorf("Upgrade: %s reached the backend as %q, HTTP2-Settings as %q", upgrade, got.Get("Upgrade"), got.Get("HTTP2-Settings"))
		}
	}
}

func TestWhatACallerChoosesDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	long := strings.Repeat("x", 5000)
	s.raw("public", "localhost", nil, fmt.Sprintf("GET /open/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", long)).is(t, 200, "")
	s.raw("public", "localhost", nil, fmt.Sprintf("%s /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n", strings.ToUpper(long))).is(t, 400, "request_malformed")
	for _, status := range []float64{200, 400} {
		r := s.records.wait(t, func(r map[string]any) bool { return r["status"] == status })
		for field, value := range r {
			if text, ok := value.(string); ok && len(text) > 600 {
				t.Errorf("%s has %d characters", field, len(text))
			}
		}
	}
}

func TestRequestsThatCannotBeReadAreRecorded(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, c := range []struct {
		request string
		status  int
		reason  string
		nth     int
	}{
		{"GET /open/ HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n", 400, "request_malformed", 1},
		{"GET /open/ HTTP/1.1\r\n\r\n", 400, "request_malformed", 2},
		{"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "request_malformed", 3},
		{"GET /open/ HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, "request_malformed", 4},
		{"GET /open/ HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 200_000) + "\r\n\r\n", 431, "request_too_large", 1},
		{"GET /open/" + strings.Repeat("x", 20_000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "request_too_large", 2},
	} {
		a := s.raw("public", "localhost", nil, c.request)
		a.is(t, c.status, c.reason)
		if !a.closes {
			t.Errorf("the connection stays open after %.60q", c.request)
		}
		record := s.records.waitFor(t, c.nth, func(r map[string]any) bool {
			return r["msg"] == "request" && r["reason"] == c.reason && r["listener"] == "public"
		})
		if record["detail"] == nil || record["method"] != "" {
			t.Errorf("the record of %.60q is %v", c.request, record)
		}
	}
	s.caller("public", "localhost", nil).get("https://localhost/open/").is(t, 200, "")
	s.caller("public", "localhost", nil).http2().get("https://localhost/open/").is(t, 200, "")
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	refused := 0
	for _, r := range s.records.lines {
		if r["reason"] == "request_malformed" {
			refused++
		}
	}
	if refused != 4 {
		t.Errorf("%d records of requests that could not be read, want 4", refused)
	}
}

func TestMethodsThatAreNoneOrAskForATunnelAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	s.raw("public", "localhost", nil, "CONNECT /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n").is(t, 400, "request_malformed")
	s.raw("public", "localhost", nil, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n").is(t, 400, "request_malformed")
	s.raw("public", "localhost", nil, "PROPFIND /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n").is(t, 200, "")
	s.raw("public", "localhost", nil, "OPTIONS /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n").is(t, 200, "")
}

func TestAMethodCannotBeOverriddenWhereItDecides(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override"} {
		for path, seen := range map[string]bool{"/reading/": false, "/open/": true} {
			s.raw("public", "localhost", nil, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n"+name+": DELETE\r\n\r\n").is(t, 200, "")
			got := false
			for _, values := range s.backend.got().Header {
				got = got || strings.Join(values, "") == "DELETE"
			}
			if got != seen {
				t.Errorf("%s at %s reached the backend: %v", name, path, got)
			}
		}
	}
}

func TestAMethodCannotBeOverriddenByATrailerEither(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for path, seen := range map[string]bool{"/reading/": false, "/open/": true} {
		s.raw("public", "localhost", nil, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"+
			"Trailer: X-HTTP-Method-Override, X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-HTTP-Method-Override: DELETE\r\nX-Sum: 1\r\n\r\n").is(t, 200, "")
		trailer := s.backend.got().Trailer
		_, got := trailer["X-Http-Method-Override"]
		if got != seen || trailer.Get("X-Sum") != "1" {
			t.Errorf("%s: the trailer %v reached the backend", path, trailer)
		}
	}
}

func TestTheHostIsForwardedInItsNormalForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for sent, want := range map[string]string{
		"localhost": "localhost", "LOCALHOST.:8443": "localhost:8443", "Public.Example.TEST.": "public.example.test",
		"localhost:": "localhost", "[::1]:8443": "[::1]:8443", "[::1]": "[::1]",
	} {
		s.raw("public", "localhost", nil, "GET /open/ HTTP/1.1\r\nHost: "+sent+"\r\n\r\n").is(t, 200, "")
		got := s.backend.got()
		if got.Host != want || got.Header.Get("X-Forwarded-Host") != want {
			t.Errorf("Host: %s reached the backend as %q and %q, want %q", sent, got.Host, got.Header.Get("X-Forwarded-Host"), want)
		}
	}
	s.raw("public", "localhost", nil, "GET /open/ HTTP/1.0\r\n\r\n").is(t, 200, "")
	if _, sent := s.backend.got().Header["X-Forwarded-Host"]; sent {
		t.Error("a Host that was not sent was forwarded")
	}
}

func TestAnAbsoluteFormTargetIsAnHTTPURL(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	s.raw("public", "localhost", nil, "GET x:/a://b/open/y HTTP/1.1\r\nHost: localhost\r\n\r\n").is(t, 400, "request_malformed")
	s.raw("public", "localhost", nil, "GET HTTPS://localhost/open/y HTTP/1.1\r\nHost: localhost\r\n\r\n").is(t, 200, "")
}

func TestABackendCannotCrashARequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for status, want := range map[string]int{"000": 502, "099": 502, "200": 200, "599": 599, "600": 502, "999": 502} {
		backend := rawBackend(t, "HTTP/1.1 "+status+" X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		s.apply(strings.Replace(firstDocument, "BACKEND", backend, 1))
		if a := s.caller("public", "localhost", nil).get("https://localhost/open/"); a.status != want {
			t.Errorf("a backend that answers %s: %+v", status, a)
		}
	}
}

// A condition decides about a request that the backend gets: not with another method, and with the fields that were read.
func TestWhatAConditionReadsReachesTheBackendAsItWasRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument+`
  - {name: judged, path: /judged/, upstream: echo, client_certificate: {mode: required, trust: [partners], allow: [{expression: "request.method in ['GET', 'POST'] && request.header('X-Tenant') == 'acme'"}]}}
`)
	ask := func(fields string) answer {
		return s.raw("public", "localhost", s.a, "POST /judged/ HTTP/1.1\r\nHost: localhost\r\n"+fields+"\r\n")
	}
	const body = "Content-Length: 2\r\n\r\nok"
	for _, name := range []string{"X-HTTP-Method-Override", "X-Method-Override"} {
		ask("X-Tenant: acme\r\n"+name+": DELETE\r\n"+body).is(t, 200, "")
		if got := s.backend.got().Header; got.Get(name) != "" || got.Get("X-Tenant") != "acme" {
			t.Errorf("the backend got %v", got)
		}
	}
	for _, connection := range []string{"X-Tenant", "keep-alive, x-tenant", "x_tenant"} {
		ask("X-Tenant: acme\r\nConnection: "+connection+"\r\n"+body).is(t, 403, "certificate_not_allowed")
	}
	ask("X-Tenant: acme\r\nTransfer-Encoding: chunked\r\nTrailer: X-Tenant, X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Tenant: villain\r\nX-Sum: 1\r\n").is(t, 200, "")
	if trailer := s.backend.got().Trailer; trailer.Get("X-Tenant") != "" || trailer.Get("X-Sum") != "1" {
		t.Errorf("the trailer %v reached the backend", trailer)
	}
}
