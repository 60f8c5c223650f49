package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"sallyport/internal/testpki"
)

// fallenDocument has one API, whose callers can fall in every way that a document has; NOTHING is where a list may be added.
const fallenDocument = `
listeners:
  - {name: public, address: 127.0.0.1:0, tls: {credentials: [server], client_auth: optional}}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}, {file: pinned.pem}], purpose: any}
  - {name: strangers, anchors: [{file: stranger-ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
client_certificate: {trust: [partners], deny: [{common_name: nobody}]}
apis:
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, allow: [{common_name: partner}, {common_name: other}]}}
  - {name: open, path: /open/, upstream: echo, client_certificate: {mode: none}}
`

func TestACallerWhoFallsGetsTheReasonAndLosesTheConnection(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		name, old, with string // of the document; "" for nothing
		expires         bool
		who             string
		reason          string
		ends            bool // the connection, after the refusal
	}{
		{name: "the certificate expires", expires: true, who: "short", reason: "certificate_expired", ends: true},
		{name: "its CA expires", expires: true, who: "below a short CA", reason: "certificate_expired", ends: true},
		{name: "its CA is removed", old: "{file: ca.pem}, ", who: "partner", reason: "certificate_untrusted", ends: true},
		{name: "its pin is removed", old: ", {file: pinned.pem}", who: "pinned", reason: "certificate_untrusted", ends: true},
		{name: "its CA is replaced by one of the same name", old: "file: ca.pem", with: "file: twin-ca.pem", who: "partner", reason: "certificate_untrusted", ends: true},
		{name: "its purpose is not enough any more", old: "purpose: any", with: "purpose: client_auth", who: "server", reason: "certificate_purpose"},
		{name: "its chain is too long now", old: "purpose: any", with: "purpose: any, max_depth: 0", who: "below an intermediate", reason: "certificate_chain", ends: true},
		{name: "it is denied by the gateway", old: "common_name: nobody", with: "common_name: partner", who: "partner", reason: "certificate_denied"},
		{name: "it is off the list of the API", old: `allow: [{common_name: partner}, {common_name: other}]`, with: "allow: [{common_name: other}]", who: "partner", reason: "certificate_not_allowed"},
		{name: "the API trusts others", old: "mode: required, allow", with: "mode: required, trust: [strangers], allow", who: "partner", reason: "certificate_untrusted"},
	} {
		for _, speaks := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(c.name+" over "+speaks, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, strings.Replace(fallenDocument, ", {file: pinned.pem}", "", 1))
				pinned := testpki.NewSelfSigned(t, testpki.Options{CommonName: "partner"})
				pinned.Write(t, s.dir, "pinned")
				testpki.NewCA(t, testpki.Options{CommonName: "Partner CA"}).Write(t, s.dir, "twin-ca")
				s.apply(fallenDocument)
				who := map[string]*testpki.Entity{
					"partner": s.ca.Leaf(t, testpki.Options{CommonName: "partner"}), "pinned": pinned,
					"short":                 s.ca.Leaf(t, testpki.Options{CommonName: "partner", NotAfter: soon}),
					"below a short CA":      s.ca.Intermediate(t, testpki.Options{CommonName: "Short", NotAfter: soon}).Leaf(t, testpki.Options{CommonName: "partner"}),
					"server":                s.ca.Leaf(t, testpki.Options{CommonName: "partner", ExtKeyUsage: serverAuthOnly}),
					"below an intermediate": s.ca.Intermediate(t, testpki.Options{CommonName: "Issuing"}).Leaf(t, testpki.Options{CommonName: "partner"}),
				}
				falls := s.caller("public", "localhost", who[c.who])
				stays := s.caller("public", "localhost", s.ca.Leaf(t, testpki.Options{CommonName: "other"}))
				if speaks == "HTTP/2.0" {
					falls.http2()
					stays.http2()
				}
				if c.who == "pinned" || strings.Contains(c.old, "ca.pem") || strings.Contains(c.with, "strangers") {
					stays = nil // it shares the fate, or has nothing to do with it
				}
				falls.on(t, "/orders/", 200, "", false)
				falls.on(t, "/open/", 200, "", true)
				if stays != nil {
					stays.on(t, "/orders/", 200, "", false)
				}
				if c.expires {
					s.clock.set(soon.Add(time.Second))
				} else if changed := strings.Replace(fallenDocument, c.old, c.with, 1); changed != fallenDocument {
					s.apply(changed)
				} else {
					t.Fatalf("%q is not in the document", c.old)
				}
				falls.on(t, "/open/", 200, "", true) // nobody asks for a certificate there
				falls.on(t, "/orders/", 403, c.reason, true)
				falls.on(t, "/orders/", 403, c.reason, !c.ends)
				if stays != nil {
					stays.on(t, "/orders/", 200, "", true)
				}
				s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["reason"] == c.reason })
			})
		}
	}
}

// on makes a request and checks the answer, and whether it came on the connection that there was.
func (c *caller) on(t *testing.T, path string, status int, reason string, kept bool) {
	t.Helper()
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
	a := c.get("https://localhost"+path, func(r *http.Request) { *r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace)) })
	a.is(t, status, reason)
	if reused != kept {
		t.Errorf("%s %s: on the same connection %t, want %t", fmt.Sprint(status), path, reused, kept)
	}
}
