package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"sallyport/internal/config"
	"sallyport/internal/testpki"
)

var hexadecimal = regexp.MustCompile(`[0-9a-f]{16,}`)

var update = flag.Bool("update", false, "write what the corpus gets into its want and note lines")

// corpusDir is a contract folder with a few more files: certificates out of their time, two keys in one file, and things
// that are none.
func corpusDir(t testing.TB) string {
	t.Helper()
	dir := contractDir(t)
	pki := func(name string) string { return filepath.Join(dir, "pki", name) }
	write := func(name string, mode os.FileMode, parts ...[]byte) {
		t.Helper()
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		if err := os.WriteFile(pki(name), all, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(pki(name), mode); err != nil { // whatever the umask says
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(pki(name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }
	leaf := func(from, to int) []byte {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "out-of-time"}, NotBefore: year(from), NotAfter: year(to)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	weak := testpki.NewCA(t, testpki.Options{}).Leaf(t, testpki.Options{Hosts: []string{"other.test"}, Key: testpki.RSA1024})
	weak.Write(t, filepath.Join(dir, "pki"), "weak")
	write("expired.pem", 0o600, leaf(2001, 2002))
	write("early.pem", 0o600, leaf(2901, 2902))
	write("readable.key", 0o644, keyPEM)
	write("two.key", 0o600, keyPEM, read("server.key"))
	write("both.pem", 0o600, read("server.pem"), read("server.key"))
	write("notes.txt", 0o600, []byte("These are not the certificates you are looking for.\n"))
	write("ca.p12", 0o600, read("server.p12"))
	block, _ := pem.Decode(read("ca.pem"))
	write("ca.der", 0o600, block.Bytes)
	block, _ = pem.Decode(read("server.key"))
	write("server.key.der", 0o600, block.Bytes)
	write("password", 0o600, []byte("changeit\n"))
	sum := strings.Repeat("0123456789abcdef", 4)
	write("partners.txt", 0o600, []byte("# partners\n"+sum+" # the first\n\n"+strings.ToUpper(sum)+"\n"))
	write("bad-lines.txt", 0o600, []byte(sum+"\n\n"+sum[1:]+"\n# fine\n"+sum[:40]+"\n"), bytes.Repeat([]byte("Acme\n"), 12))
	write("nobody.txt", 0o600, []byte("# nobody yet\n\n"))
	write("chain.pem", 0o600, read("server.pem"), read("ca.pem"))
	makeKeyStores(t, filepath.Join(dir, "pki"))
	definitions, err := txtar.ParseFile("testdata/openapi.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if err := txtar.Write(definitions, filepath.Join(dir, "api")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func corpusEnv(name string) (string, bool) {
	if name == "STORE_PASSWORD" {
		return "changeit", true
	}
	if name == "EMPTY" {
		return " \n", true
	}
	return contractEnv(name)
}

// TestCorpus loads every *.good.yaml and *.bad.yaml and compares the exact list of errors with the file's "# want:"
// lines, and the notes of those that load with its "# note:" lines.
func TestCorpus(t *testing.T) {
	t.Parallel()
	dir := corpusDir(t)
	files, err := filepath.Glob("testdata/*.*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("corpus: %v, %v", files, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yaml"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, filepath.Base(f))
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := config.Load(path, config.Options{Env: corpusEnv})
			if bad := strings.HasSuffix(f, ".bad.yaml"); bad != (err != nil) {
				t.Errorf("Load() = %v", err)
			}
			var got []string
			if list, ok := errors.AsType[config.ErrorList](err); ok {
				for _, e := range list {
					got = append(got, "# want: "+e.Error())
				}
			} else if d != nil {
				for _, n := range d.Notes() {
					got = append(got, "# note: "+n.String())
				}
			}
			for i := range got {
				got[i] = strings.ReplaceAll(strings.ReplaceAll(got[i], path+":", ""), dir+"/", "")
				got[i] = hexadecimal.ReplaceAllString(got[i], "…") // keys and certificates are new in every run
			}
			body, want := expectations(string(text))
			if *update {
				if err := os.WriteFile(f, []byte(body+strings.Join(append(got, ""), "\n")), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("errors of %s (-want +got):\n%s", f, diff)
			}
		})
	}
}

// expectations splits a corpus file into its document and its last comment lines.
func expectations(text string) (body string, want []string) {
	at := len(text)
	for _, mark := range []string{"# want: ", "# note: "} {
		if strings.HasPrefix(text, mark) {
			at = 0
		} else if i := strings.Index(text, "\n"+mark); i >= 0 {
			at = min(at, i+1)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text[at:], "\n"), "\n") {
		if line != "" {
			want = append(want, line)
		}
	}
	return text[:at], want
}
