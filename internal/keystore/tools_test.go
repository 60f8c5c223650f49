package keystore_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"sallyport/internal/keystore"
	"sallyport/internal/testpki"
)

const storePassword = "changeit"

// workshop is a folder in which real tools make key stores.
type workshop struct {
	dir string
}

// newWorkshop makes a folder with a CA and leaves of several kinds of keys, as NAME.pem and NAME.key.
func newWorkshop(t testing.TB) (w *workshop, ca *testpki.Entity, leaves map[string]*testpki.Entity) {
	t.Helper()
	w = &workshop{t.TempDir()}
	ca = testpki.NewCA(t, testpki.Options{CommonName: "Workshop CA"})
	ca.Write(t, w.dir, "ca")
	leaves = map[string]*testpki.Entity{}
	for name, key := range map[string]testpki.KeyType{"ec": testpki.P256, "rsa": testpki.RSA2048, "ed": testpki.Ed25519} {
		leaves[name] = ca.Leaf(t, testpki.Options{CommonName: name, Key: key})
		leaves[name].Write(t, w.dir, name)
	}
	return w, ca, leaves
}

// run runs a tool in the folder; pkg is the Debian package that has it.
func (w *workshop) run(t testing.TB, pkg, tool string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Fatalf("%s is missing: install the Debian package %s", tool, pkg)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", tool, args, err, out)
	}
}

func (w *workshop) openssl(t testing.TB, args ...string) {
	t.Helper()
	w.run(t, "openssl", "openssl", args...)
}

// keytool runs keytool quietly on a store in the folder, with the password of all tests.
func (w *workshop) keytool(t testing.TB, command, kind, store string, args ...string) {
	t.Helper()
	args = append([]string{command, "-J-XX:TieredStopAtLevel=1", "-noprompt", "-storetype", kind, "-keystore", store, "-storepass", storePassword}, args...)
	w.run(t, "default-jre-headless", "keytool", args...)
}

func (w *workshop) read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (w *workshop) write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// line describes an entry: what tests compare.
type line struct {
	Alias string
	Chain string // the common names of the chain, or of the certificate alone
	Key   bool
	Java  bool
}

func lines(b *keystore.Bundle) []line {
	var all []line
	for _, e := range b.Entries {
		l := line{Alias: e.Alias, Key: e.Key != nil, Java: e.TrustedJava}
		chain := e.Chain
		if chain == nil && e.Certificate != nil {
			chain = []*x509.Certificate{e.Certificate}
		}
		for i, c := range chain {
			if i > 0 {
				l.Chain += " < "
			}
			l.Chain += c.Subject.CommonName
		}
		all = append(all, l)
	}
	return all
}

// joined is the PEM of several certificates.
func joined(all ...*testpki.Entity) []byte {
	var text []byte
	for _, e := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Cert.Raw})...)
	}
	return text
}

// sameKey fails unless a bundle holds exactly one private key and it is e's.
func sameKey(t *testing.T, b *keystore.Bundle, e *testpki.Entity) {
	t.Helper()
	want, err := x509.MarshalPKCS8PrivateKey(e.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Keys) != 1 {
		t.Fatalf("%d keys", len(b.Keys))
	}
	got, err := x509.MarshalPKCS8PrivateKey(b.Keys[0])
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("another private key: %v", err)
	}
	if !slices.ContainsFunc(b.Entries, func(x keystore.Entry) bool { return x.Key != nil && x.Certificate.Equal(e.Cert) }) {
		t.Error("no entry has the key and its certificate")
	}
}
