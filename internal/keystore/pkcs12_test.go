package keystore_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/keystore"
	"sallyport/internal/testpki"
)

func TestPKCS12StoresOfOpenSSLAreRead(t *testing.T) {
	t.Parallel()
	w, ca, leaves := newWorkshop(t)
	w.write(t, "both.pem", joined(leaves["rsa"], leaves["ec"]))
	withKey := []line{{Alias: "server", Chain: "ec < Workshop CA", Key: true}, {Chain: "Workshop CA"}}
	certs := []line{{Alias: "partner-a", Chain: "rsa"}, {Alias: "Partner β", Chain: "ec"}}
	key := func(name string, more ...string) []string {
		return append([]string{"-export", "-name", "server", "-inkey", name + ".key", "-in", name + ".pem", "-certfile", "ca.pem"}, more...)
	}
	trust := func(more ...string) []string {
		return append([]string{"-export", "-nokeys", "-caname", "partner-a", "-caname", "Partner β", "-in", "both.pem"}, more...)
	}
	for _, tc := range []struct {
		name     string
		args     []string
		password string
		key      string // the leaf whose key it holds
		want     []line
	}{
		{"an elliptic curve key", key("ec"), storePassword, "ec", withKey},
		{"an RSA key", key("rsa"), storePassword, "rsa", []line{{Alias: "server", Chain: "rsa < Workshop CA", Key: true}, {Chain: "Workshop CA"}}},
		{"an Ed25519 key", key("ed"), storePassword, "ed", []line{{Alias: "server", Chain: "ed < Workshop CA", Key: true}, {Chain: "Workshop CA"}}},
		{"a CA with a name", key("ec", "-caname", "the CA"), storePassword, "ec", []line{withKey[0], {Alias: "the CA", Chain: "Workshop CA"}}},
		{"legacy algorithms, RC2 of 40 bits", key("ec", "-legacy"), storePassword, "ec", withKey},
		{"legacy algorithms, certificates in 3DES", key("ec", "-legacy", "-descert"), storePassword, "ec", withKey},
		{"RC2 of 128 bits", key("ec", "-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128"), storePassword, "ec", withKey},
		{"3DES of two keys", key("ec", "-legacy", "-certpbe", "PBE-SHA1-2DES", "-keypbe", "PBE-SHA1-2DES"), storePassword, "ec", withKey},
		{"AES of 128 and 192 bits", key("ec", "-certpbe", "AES-128-CBC", "-keypbe", "AES-192-CBC"), storePassword, "ec", withKey},
		{"PBES2 with 3DES", key("ec", "-certpbe", "DES-EDE3-CBC", "-keypbe", "DES-EDE3-CBC"), storePassword, "ec", withKey},
		{"certificates that are not encrypted", key("ec", "-certpbe", "NONE"), storePassword, "ec", withKey},
		{"nothing that is encrypted", key("ec", "-certpbe", "NONE", "-keypbe", "NONE"), storePassword, "ec", withKey},
		{"a MAC of SHA-1", key("ec", "-macalg", "sha1"), storePassword, "ec", withKey},
		{"a MAC of SHA-224", key("ec", "-macalg", "sha224"), storePassword, "ec", withKey},
		{"a MAC of SHA-384", key("ec", "-macalg", "sha384"), storePassword, "ec", withKey},
		{"a MAC of SHA-512", key("ec", "-macalg", "sha512"), storePassword, "ec", withKey},
		{"a MAC of SHA-512/256", key("ec", "-macalg", "sha512-256"), storePassword, "ec", withKey},
		{"one iteration", key("ec", "-noiter"), storePassword, "ec", withKey},
		{"many iterations", key("ec", "-iter", "100000"), storePassword, "ec", withKey},
		{"an empty password", key("ec"), "", "ec", withKey},
		{"an empty password with legacy algorithms", key("ec", "-legacy"), "", "ec", withKey},
		{"a password beyond ASCII", key("ec"), "pä🔑ß wort", "ec", withKey},
		{"a password beyond ASCII with legacy algorithms", key("ec", "-legacy"), "pä🔑ß wort", "ec", withKey},
		{"a long password with legacy algorithms", key("ec", "-legacy"), strings.Repeat("long password ", 20), "ec", withKey},
		{"neither MAC nor encryption nor password", key("ec", "-nomac", "-certpbe", "NONE", "-keypbe", "NONE"), "", "ec", withKey},
		{"certificates alone", trust(), storePassword, "", certs},
		{"certificates alone, legacy", trust("-legacy"), storePassword, "", certs},
		{"certificates alone without MAC", trust("-nomac", "-certpbe", "NONE"), "", "", certs},
		{"certificates alone with an empty password", trust(), "", "", certs},
		{"certificates without names", []string{"-export", "-nokeys", "-in", "both.pem"}, storePassword, "", []line{{Chain: "rsa"}, {Chain: "ec"}}},
		{"a key alone", []string{"-export", "-name", "k", "-nocerts", "-inkey", "ec.key"}, storePassword, "", []line{{Alias: "k", Key: true}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := strings.ReplaceAll(strings.ReplaceAll(tc.name, " ", "-"), "/", "-") + ".p12"
			w.openssl(t, append(append([]string{"pkcs12"}, tc.args...), "-passout", "pass:"+tc.password, "-out", file)...)
			got, err := keystore.Parse(w.read(t, file), tc.password)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, lines(got)); diff != "" || got.Format != keystore.FormatPKCS12 {
				t.Errorf("%s entries (-want +got):\n%s", got.Format, diff)
			}
			if tc.key != "" {
				sameKey(t, got, leaves[tc.key])
				if len(got.Certificates) != 2 || !got.Certificates[1].Equal(ca.Cert) {
					t.Errorf("%d certificates", len(got.Certificates))
				}
			}
		})
	}
}

func TestPKCS12StoresOfJavaAreRead(t *testing.T) {
	t.Parallel()
	w, ca, leaves := newWorkshop(t)
	w.write(t, "chain.pem", joined(leaves["ec"], ca))
	w.openssl(t, "pkcs12", "-export", "-name", "Server", "-inkey", "ec.key", "-in", "chain.pem", "-passout", "pass:"+storePassword, "-out", "from.p12")

	w.keytool(t, "-importcert", "PKCS12", "trust.p12", "-alias", "partner-A", "-file", "rsa.pem")
	w.keytool(t, "-importcert", "PKCS12", "trust.p12", "-alias", "über-β 🔑", "-file", "ed.pem")
	w.keytool(t, "-importcert", "PKCS12", "trust.p12", "-alias", "ca", "-file", "ca.pem")
	w.keytool(t, "-importkeystore", "PKCS12", "keys.p12", "-srckeystore", "from.p12", "-srcstorepass", storePassword)
	w.keytool(t, "-genkeypair", "PKCS12", "keys.p12", "-alias", "made by Java", "-keyalg", "EC", "-groupname", "secp384r1", "-dname", "CN=java")
	w.keytool(t, "-importcert", "PKCS12", "keys.p12", "-alias", "beside", "-file", "rsa.pem")
	legacy := []string{"-J-Dkeystore.pkcs12.legacy=true", "-alias", "old", "-file", "rsa.pem"}
	w.keytool(t, "-importcert", "PKCS12", "legacy.p12", legacy...)
	for file, want := range map[string][]line{
		"trust.p12":  {{Alias: "ca", Chain: "Workshop CA", Java: true}, {Alias: "partner-A", Chain: "rsa", Java: true}, {Alias: "über-β 🔑", Chain: "ed", Java: true}},
		"keys.p12":   {{Alias: "beside", Chain: "rsa", Java: true}, {Alias: "made by java", Chain: "java", Key: true}, {Alias: "server", Chain: "ec < Workshop CA", Key: true}, {Alias: "CN=Workshop CA", Chain: "Workshop CA"}},
		"legacy.p12": {{Alias: "old", Chain: "rsa", Java: true}},
	} {
		got, err := keystore.Parse(w.read(t, file), storePassword)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found := lines(got)
		slices.SortFunc(found, func(a, b line) int { return strings.Compare(a.Alias, b.Alias) }) // Java's order is that of a hash table
		slices.SortFunc(want, func(a, b line) int { return strings.Compare(a.Alias, b.Alias) })
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	got, err := keystore.Parse(w.read(t, "trust.p12"), storePassword)
	if err != nil {
		t.Fatal(err)
	}
	for alias, want := range map[string]*testpki.Entity{"PARTNER-A": leaves["rsa"], "ÜBER-Β 🔑": leaves["ed"], "ca": ca} {
		if e, err := got.Entry(alias); err != nil || !e.Certificate.Equal(want.Cert) {
			t.Errorf("Entry(%q): %v", alias, err)
		}
	}
}

// TestPKCS12StoresOfGoAreRead compares with the library that wrote them.
func TestPKCS12StoresOfGoAreRead(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Root"})
	leaf := ca.Leaf(t, testpki.Options{CommonName: "leaf"})
	for name, e := range map[string]*gopkcs12.Encoder{
		"LegacyRC2": gopkcs12.LegacyRC2, "LegacyDES": gopkcs12.LegacyDES, "Modern2023": gopkcs12.Modern2023, "Modern2026": gopkcs12.Modern2026,
		"one iteration":   gopkcs12.Modern2023.WithIterations(1),
		"Passwordless":    gopkcs12.Passwordless,
		"empty Modern":    gopkcs12.Modern2023,
		"empty legacy":    gopkcs12.LegacyRC2,
		"empty 2026":      gopkcs12.Modern2026,
		"beyond ASCII":    gopkcs12.LegacyDES,
		"beyond ASCII 26": gopkcs12.Modern2026,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			password := storePassword
			switch {
			case name == "Passwordless", strings.HasPrefix(name, "empty"):
				password = ""
			case strings.HasPrefix(name, "beyond"):
				password = "pässwörtβ"
			}
			store, err := e.Encode(leaf.Key, leaf.Cert, []*x509.Certificate{ca.Cert}, password)
			if err != nil {
				t.Fatal(err)
			}
			key, cert, cas, err := gopkcs12.DecodeChain(store, password)
			if err != nil || key == nil || !cert.Equal(leaf.Cert) || len(cas) != 1 {
				t.Fatalf("the library itself: %v", err)
			}
			got, err := keystore.Parse(store, password)
			if err != nil {
				t.Fatal(err)
			}
			sameKey(t, got, leaf)
			if diff := cmp.Diff([]line{{Chain: "leaf < Root", Key: true}, {Chain: "Root"}}, lines(got)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			trust, err := e.EncodeTrustStoreEntries([]gopkcs12.TrustStoreEntry{{Cert: ca.Cert, FriendlyName: "Röot"}, {Cert: leaf.Cert, FriendlyName: "leaf"}}, password)
			if err != nil {
				t.Fatal(err)
			}
			got, err = keystore.Parse(trust, password)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]line{{Alias: "Röot", Chain: "Root", Java: true}, {Alias: "leaf", Chain: "leaf", Java: true}}, lines(got)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPKCS12AndTheLibraryAgree reads stores of OpenSSL in both ways.
func TestPKCS12AndTheLibraryAgree(t *testing.T) {
	t.Parallel()
	w, _, leaves := newWorkshop(t)
	for _, options := range [][]string{nil, {"-legacy"}, {"-legacy", "-descert"}, {"-certpbe", "AES-128-CBC"}, {"-macalg", "sha1"}} {
		for name := range leaves {
			w.openssl(t, append([]string{"pkcs12", "-export", "-inkey", name + ".key", "-in", name + ".pem", "-certfile", "ca.pem", "-passout", "pass:x", "-out", "a.p12"}, options...)...)
			data := w.read(t, "a.p12")
			_, cert, cas, err := gopkcs12.DecodeChain(data, "x")
			if err != nil {
				t.Fatal(err)
			}
			got, err := keystore.Parse(data, "x")
			if err != nil {
				t.Fatal(err)
			}
			if want := append([]*x509.Certificate{cert}, cas...); !slices.EqualFunc(got.Certificates, want, (*x509.Certificate).Equal) {
				t.Errorf("%v, %s: %d certificates, the library has %d", options, name, len(got.Certificates), len(want))
			}
			sameKey(t, got, leaves[name])
			if _, err := gopkcs12.DecodeTrustStore(data, "y"); err == nil {
				t.Error("the library takes any password")
			}
		}
	}
}
