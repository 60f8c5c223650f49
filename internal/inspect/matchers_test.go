package inspect_test

import (
	"crypto/x509"
	"encoding/asn1"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/inspect"
	"sallyport/internal/testpki"
)

// TestMatchersCanBePasted puts the matchers of odd certificates into a document and loads it.
func TestMatchersCanBePasted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := testpki.NewCA(t, testpki.Options{CommonName: `Root "A", *`})
	ca.Write(t, dir, "ca")
	names := []asn1.RawValue{
		{Tag: 1, Bytes: []byte("joe@acme.test")},
		{Tag: 2, Bytes: []byte("a.acme.test")},
		{Tag: 2, Bytes: []byte("*.acme.test")},
		{Tag: 6, Bytes: []byte("spiffe://acme.test/joe")},
		{Tag: 6, Bytes: []byte("no scheme")},
		{Tag: 7, Bytes: []byte{10, 1, 2, 3}},
	}
	leaf := ca.Leaf(t, soon(testpki.Options{
		Hosts:      []string{},
		RawSubject: rawName(t, value{oidO, asn1.TagUTF8String, "Büro \\ \u202e<Inc>; #"}, value{oidOther, asn1.TagPrintableString, "x"}, value{asn1.ObjectIdentifier{2, 5, 4, 97}, asn1.TagUTF8String, `VAT"\ *`}, value{oidCN, asn1.TagUTF8String, "*"}),
		Adjust: func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, generalNames(t, names...))
		},
	}))
	matchers := report(leaf.Cert).Certificates[0].Matchers
	kinds := []string{}
	var allow strings.Builder
	for _, m := range matchers {
		kind, _, _ := strings.Cut(m, ":")
		kinds = append(kinds, kind)
		allow.WriteString("        - " + m + "\n")
	}
	if want := []string{"sha256", "spki_sha256", "subject", "{issuer", "organization_identifier", "san_email", "san_dns", "san_uri", "san_ip"}; !slices.Equal(kinds, want) {
		t.Errorf("matchers %q, want %q", kinds, want)
	}
	document := `listeners: [{name: public, address: "127.0.0.1:8080", tls: {credentials: [server], client_auth: optional}}]
credentials: [{name: server, certificate: {file: ca.pem}, private_key: {file: ca.key}}]
trust_stores: [{name: partners, anchors: [{file: ca.pem}]}]
upstreams: [{name: orders, targets: ["http://127.0.0.1:8081"]}]
apis:
  - name: orders
    path: /
    upstream: orders
    client_certificate:
      mode: required
      trust: [partners]
      allow:
` + allow.String()
	path := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(path, config.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	if got := len(loaded.APIs[0].ClientCertificate.Allow); got != len(matchers) {
		t.Errorf("%d entries of %d", got, len(matchers))
	}
	for _, m := range matchers {
		if inspect.Printable(m) != m {
			t.Errorf("%q is not printable", m)
		}
	}
}
