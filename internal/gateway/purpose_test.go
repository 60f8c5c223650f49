package gateway_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"sallyport/internal/testpki"
)

// A partner whose certificate comes from a public CA is let in until the day that the document names. Then the next request
// on his open connection is refused, his stream is cut, and no handshake that insists on a certificate accepts him. Nobody reloads.
func TestThePurposeOfATrustStoreEndsOnOpenConnections(t *testing.T) {
	t.Parallel()
	b := newStreamer(t)
	s := newSite(t, firstDocument)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	document := strings.Replace(streams(b, "ca.pem", "{common_name: partner-a}"), "anchors: [{file: ca.pem}]",
		"anchors: [{file: ca.pem}], purpose: client_auth_or_missing, until: "+until.Format(time.RFC3339), 1)
	document = strings.Replace(document, "client_auth: optional", "client_auth: optional, profiles: [{server_names: [strict.example.test], client_auth: required, trust: [partners]}]", 1)
	s.apply(document)
	serverOnly := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	public := s.ca.Intermediate(t, testpki.Options{CommonName: "Public CA", ExtKeyUsage: serverOnly}).Leaf(t, testpki.Options{CommonName: "partner-a", ExtKeyUsage: serverOnly})
	mail := s.ca.Leaf(t, testpki.Options{CommonName: "partner-a", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}})
	s.caller("public", "localhost", mail).get("https://localhost/members/x").is(t, 403, "certificate_purpose")

	theirs, ours := s.caller("public", "localhost", public), s.caller("public", "localhost", s.a)
	theirs.get("https://localhost/members/x").is(t, 200, "")
	ours.get("https://localhost/members/x").is(t, 200, "")
	theirStream, ourStream := s.webSocket(public, "/members/ws"), s.webSocket(s.a, "/members/ws")
	strict := func() error {
		_, err := connect(t, s.caller("public", "strict.example.test", public))
		return err
	}
	if err := strict(); err != nil {
		t.Errorf("before the end the handshake refuses: %v", err)
	}

	s.clock.set(until)
	theirs.get("https://localhost/members/x").is(t, 403, "certificate_purpose")
	ours.get("https://localhost/members/x").is(t, 200, "")
	isCut(t, theirStream)
	s.echoes(ourStream)
	if err := strict(); err == nil {
		t.Error("after the end the handshake accepts")
	}
	r := s.records.wait(t, func(r map[string]any) bool {
		return r["msg"] == "request" && r["reason"] == "certificate_purpose" && r["client_sha256"] == sum(public)
	})
	if detail, _ := r["detail"].(string); !strings.Contains(detail, "until "+until.Format(time.RFC3339)+" the purpose of the trust store was client_auth_or_missing") {
		t.Errorf("the record does not name the end: %v", r)
	}
}
