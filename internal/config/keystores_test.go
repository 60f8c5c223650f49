package config_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

// tool runs a tool in a folder; pkg is the Debian package that has it.
func tool(t testing.TB, dir, pkg, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install the Debian package %s", name, pkg)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// makeKeyStores adds key stores to the folder with the contract's certificates: truststore.jks, two.p12 with two private
// keys, keyonly.p12, otherstore.p12 and mixed.p12, in which one of two certificates is marked for Java.
func makeKeyStores(t testing.TB, pki string) {
	t.Helper()
	keytool := func(command string, args ...string) {
		t.Helper()
		tool(t, pki, "default-jre-headless", "keytool", append([]string{command, "-J-XX:TieredStopAtLevel=1", "-noprompt", "-storepass", "changeit"}, args...)...)
	}
	openssl := func(args ...string) {
		t.Helper()
		tool(t, pki, "openssl", "openssl", append([]string{"pkcs12", "-export", "-passout", "pass:changeit"}, args...)...)
	}
	keytool("-importcert", "-storetype", "JKS", "-keystore", "truststore.jks", "-alias", "Partner-A", "-file", "partner-a.pem")
	keytool("-importcert", "-storetype", "JKS", "-keystore", "truststore.jks", "-alias", "the CA", "-file", "ca.pem")
	openssl("-name", "partner-b", "-inkey", "partner-b.key", "-in", "partner-b.pem", "-out", "two.p12")
	keytool("-importkeystore", "-storetype", "PKCS12", "-keystore", "two.p12", "-srckeystore", "server.p12", "-srcstorepass", "changeit")
	keytool("-importkeystore", "-storetype", "JKS", "-keystore", "java.jks", "-srckeystore", "two.p12", "-srcstorepass", "changeit")
	openssl("-nokeys", "-caname", "Partner-B", "-in", "server.pem", "-out", "otherstore.p12")
	openssl("-name", "lonely", "-inkey", "server.key", "-nocerts", "-out", "keyonly.p12")
	mixed := storeOf(t, bag{"marked", readCertificate(t, pki, "partner-a"), true}, bag{"unmarked", readCertificate(t, pki, "partner-b"), false})
	if err := os.WriteFile(filepath.Join(pki, "mixed.p12"), mixed, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readCertificate(t testing.TB, pki, name string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(pki, name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// bag is a certificate of a store that no tool writes.
type bag struct {
	alias  string
	cert   *x509.Certificate
	marked bool
}

// storeOf writes a PKCS#12 store without encryption and MAC (RFC 7292 §4).
func storeOf(t testing.TB, bags ...bag) []byte {
	t.Helper()
	marshal := func(v any, params string) asn1.RawValue {
		t.Helper()
		der, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	type attribute struct {
		ID     asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	type typed struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
		Attrs []attribute `asn1:"set,omitempty"`
	}
	pkcs := func(arcs ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 2, 840, 113549, 1}, arcs...)
	}
	data := func(v asn1.RawValue) typed {
		return typed{ID: pkcs(7, 1), Value: marshal(v.FullBytes, "explicit,tag:0")}
	}
	var safe []typed
	for _, b := range bags {
		var name []byte
		for _, u := range utf16.Encode([]rune(b.alias)) {
			name = append(name, byte(u>>8), byte(u))
		}
		attrs := []attribute{{pkcs(9, 20), []asn1.RawValue{{Tag: asn1.TagBMPString, Bytes: name}}}}
		if b.marked {
			attrs = append(attrs, attribute{asn1.ObjectIdentifier{2, 16, 840, 1, 113894, 746875, 1, 1}, []asn1.RawValue{marshal(asn1.ObjectIdentifier{2, 5, 29, 37, 0}, "")}})
		}
		cert := typed{ID: pkcs(9, 22, 1), Value: marshal(b.cert.Raw, "explicit,tag:0")}
		safe = append(safe, typed{pkcs(12, 10, 1, 3), marshal(cert, "explicit,tag:0"), attrs})
	}
	pfx := struct {
		Version int
		Safe    typed
	}{3, data(marshal([]typed{data(marshal(safe, ""))}, ""))}
	return marshal(pfx, "").FullBytes
}

const withStores = `listeners:
  - {name: public, address: ":8443", tls: {credentials: [single, beta, separate, fromder, java], client_auth: optional}}
credentials:
  - {name: single, pkcs12: {file: pki/server.p12, password: {env: STORE_PASSWORD}}}
  - {name: beta, pkcs12: {file: pki/two.p12, password: {file: pki/password}, alias: PARTNER-B}}
  - {name: separate, certificate: {pkcs12: pki/two.p12, alias: server, password: changeit}, private_key: {file: pki/server.key.der}}
  - {name: java, jks: {file: pki/java.jks, password: {env: STORE_PASSWORD}, alias: PARTNER-B}}
  - {name: fromder, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: openssl, anchors: [{pkcs12: {file: pki/truststore.p12, password: changeit}, pin: true}]}
  - {name: java, anchors: [{jks: {file: pki/truststore.jks, password: changeit}}]}
  - {name: one, anchors: [{jks: {file: pki/truststore.jks, password: changeit, alias: The CA}}]}
  - {name: reference, anchors: [{certificate: {jks: pki/truststore.jks, alias: partner-a, password: changeit}}, {certificate: {pkcs12: {file: pki/truststore.p12, password: {env: STORE_PASSWORD}}, alias: partner-b}}]}
  - {name: chosen, anchors: [{pkcs12: {file: pki/mixed.p12, alias: unmarked}}]}
  - {name: der, anchors: [{file: pki/ca.der}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:18080"]}
identity_providers: [{name: internal, type: internal}]
users:
  - {name: a, provider: internal, certificates: [{pkcs12: {file: pki/truststore.p12, password: changeit, alias: partner-a}}]}
apis:
  - {name: a, upstream: echo, client_certificate: {mode: required, trust: [openssl, java], allow: [{alias: Partner-A}, {alias: partner-b}], deny: [{alias: the ca}]}}
`

func TestKeyStoresStandWhereCertificatesAndCredentialsDo(t *testing.T) {
	t.Parallel()
	dir := corpusDir(t)
	pki := filepath.Join(dir, "pki")
	path := write(t, dir, "stores.yaml", withStores)
	var seen []string
	d, err := config.Load(path, config.Options{Env: corpusEnv, Seen: func(path string) { seen = append(seen, path) }})
	if err != nil {
		t.Fatal(err)
	}
	credentials := map[string]string{}
	for _, c := range d.Credentials {
		if c.Resolved != nil {
			credentials[c.Name] = c.Resolved.Leaf.Subject.CommonName
		}
	}
	if diff := cmp.Diff(map[string]string{"single": "localhost", "beta": "partner-b", "separate": "localhost", "fromder": "localhost", "java": "partner-b"}, credentials); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	anchors := map[string][]string{}
	for _, s := range d.TrustStores {
		for _, a := range s.Anchors {
			for _, c := range a.Certificates {
				anchors[s.Name] = append(anchors[s.Name], c.Subject.CommonName)
			}
		}
		slices.Sort(anchors[s.Name]) // Java's order is that of a hash table
	}
	want := map[string][]string{
		"openssl": {"partner-a", "partner-b"}, "java": {"Partner CA", "partner-a"}, "one": {"Partner CA"}, "reference": {"partner-a", "partner-b"},
		"chosen": {"partner-b"}, "der": {"Partner CA"},
	}
	if diff := cmp.Diff(want, anchors); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
	if got := d.Users[0].Certificates[0].Certificates; len(got) != 1 || got[0].Subject.CommonName != "partner-a" {
		t.Errorf("%d certificates of the user", len(got))
	}
	rules := d.APIs[0].ClientCertificate
	for i, m := range append(slices.Clone(rules.Allow), rules.Deny...) {
		name := []string{"partner-a", "partner-b", "ca"}[i]
		if want := identity.Thumbprint(readCertificate(t, pki, name)); m.Parsed.Alias == nil || *m.Parsed.Alias != want {
			t.Errorf("the alias %q is not the certificate of %s", m.Alias, name)
		}
	}
	for _, file := range []string{"server.p12", "two.p12", "password", "truststore.p12", "truststore.jks", "java.jks", "mixed.p12", "ca.der", "server.key.der"} {
		if !slices.Contains(seen, filepath.Join(pki, file)) || !slices.Contains(d.Files(), filepath.Join(pki, file)) {
			t.Errorf("%s is not watched", file)
		}
	}
}

// An API whose list names an entry of a store that is broken must not be served without that entry.
func TestServePartialNeverToleratesAnAliasThatIsNotFound(t *testing.T) {
	t.Parallel()
	dir := contractDir(t)
	text, err := os.ReadFile(filepath.Join(dir, "08-stores.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, dir, "broken.yaml", strings.Replace(string(text), "truststore.p12, password: changeit", "truststore.p12, password: secret-and-wrong", 1))
	_, err = config.Load(path, config.Options{Env: corpusEnv})
	if err == nil || !strings.Contains(err.Error(), "the password is wrong, or the file is damaged") || strings.Contains(err.Error(), "alias") || strings.Contains(err.Error(), "secret") {
		t.Errorf("Load() = %v", err)
	}
	_, err = config.Load(path, config.Options{Env: corpusEnv, ServePartial: true})
	if err == nil || !strings.Contains(err.Error(), `has the alias "partner-a": there are none`) {
		t.Errorf("Load() with ServePartial = %v", err)
	}
}

// The line break at the end of a secret's file is not a part of it; a key in DER may end in the same byte.
func TestAKeyInDERKeepsItsLastByte(t *testing.T) {
	t.Parallel()
	dir := pkiDir(t)
	pki := filepath.Join(dir, "pki")
	for range 20_000 {
		e := testpki.NewSelfSigned(t, testpki.Options{})
		der, err := x509.MarshalPKCS8PrivateKey(e.Key)
		if err != nil {
			t.Fatal(err)
		}
		if der[len(der)-1] != '\n' {
			continue
		}
		e.Write(t, pki, "server")
		if err := os.WriteFile(filepath.Join(pki, "server.key"), der, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(write(t, dir, "sallyport.yaml", minimal), config.Options{}); err != nil {
			t.Error(err)
		}
		return
	}
	t.Fatal("no key ends in a line break")
}
