package keystore_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/keystore"
)

func TestJKSStoresOfJavaAreRead(t *testing.T) {
	t.Parallel()
	w, ca, leaves := newWorkshop(t)
	w.write(t, "chain.pem", joined(leaves["rsa"], ca))
	w.openssl(t, "pkcs12", "-export", "-name", "Server", "-inkey", "rsa.key", "-in", "chain.pem", "-passout", "pass:"+storePassword, "-out", "from.p12")
	w.keytool(t, "-importcert", "JKS", "trust.jks", "-alias", "partner-A", "-file", "ec.pem")
	w.keytool(t, "-importcert", "JKS", "trust.jks", "-alias", "über-β 🔑", "-file", "ed.pem")
	w.keytool(t, "-importkeystore", "JKS", "keys.jks", "-srckeystore", "from.p12", "-srcstorepass", storePassword, "-destkeypass", storePassword)
	w.keytool(t, "-importcert", "JKS", "keys.jks", "-alias", "beside", "-file", "ca.pem")
	for file, want := range map[string][]line{
		"trust.jks": {{Alias: "partner-a", Chain: "ec", Java: true}, {Alias: "über-β 🔑", Chain: "ed", Java: true}},
		"keys.jks":  {{Alias: "beside", Chain: "Workshop CA", Java: true}, {Alias: "server", Chain: "rsa < Workshop CA", Key: true}},
	} {
		got, err := keystore.Parse(w.read(t, file), storePassword)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found := lines(got)
		slices.SortFunc(found, func(a, b line) int { return strings.Compare(a.Alias, b.Alias) }) // Java's order is that of a hash table
		if diff := cmp.Diff(want, found); diff != "" || got.Format != keystore.FormatJKS {
			t.Errorf("%s, %s (-want +got):\n%s", file, got.Format, diff)
		}
		if file == "keys.jks" {
			sameKey(t, got, leaves["rsa"])
		}
		if e, err := got.Entry("PARTNER-A"); file == "trust.jks" && (err != nil || !e.Certificate.Equal(leaves["ec"].Cert)) {
			t.Errorf("Entry: %v", err)
		}
	}
	w.keytool(t, "-keypasswd", "JKS", "keys.jks", "-alias", "server", "-keypass", storePassword, "-new", "another")
	if _, err := keystore.Parse(w.read(t, "keys.jks"), storePassword); err == nil || !strings.Contains(err.Error(), `"server": the private key has another password than the store`) {
		t.Errorf("a key with a password of its own: %v", err)
	}
	w.keytool(t, "-importcert", "JCEKS", "old.jceks", "-alias", "a", "-file", "ca.pem")
	if _, err := keystore.Parse(w.read(t, "old.jceks"), storePassword); err == nil || !strings.Contains(err.Error(), "convert it with: keytool -importkeystore") {
		t.Errorf("JCEKS: %v", err)
	}
	w.keytool(t, "-delete", "JKS", "trust.jks", "-alias", "partner-a")
	w.keytool(t, "-delete", "JKS", "trust.jks", "-alias", "über-β 🔑")
	if _, err := keystore.Parse(w.read(t, "trust.jks"), storePassword); err == nil || err.Error() != "the key store holds no entry" {
		t.Errorf("an empty store: %v", err)
	}
}

// Java keeps an alias in JKS as it folds it, so that what was asked for has to be found in what it wrote.
func TestAliasesAreFoldedAsJavaDoes(t *testing.T) {
	t.Parallel()
	w, _, _ := newWorkshop(t)
	aliases := []string{"İstanbul", "ΟΔΟΣ", "ΑΣ ΣΑ", "\u212aelvin", "STRASSE ẞ"}
	for i, alias := range aliases {
		w.keytool(t, "-importcert", "JKS", "folded.jks", "-alias", alias, "-file", []string{"ec.pem", "ed.pem", "rsa.pem", "ca.pem", "ec.pem"}[i])
	}
	got, err := keystore.Parse(w.read(t, "folded.jks"), storePassword)
	if err != nil {
		t.Fatal(err)
	}
	for _, alias := range aliases {
		if _, err := got.Entry(alias); err != nil {
			t.Error(err)
		}
	}
	for _, e := range got.Entries {
		if folded := keystore.FoldAlias(e.Alias); folded != e.Alias {
			t.Errorf("%q of Java is folded to %q", e.Alias, folded)
		}
	}
}
