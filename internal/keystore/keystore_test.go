package keystore_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"sallyport/internal/keystore"
	"sallyport/internal/testpki"
)

func block(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

func TestParsePEMReadsCertificatesAndKeysInTheirOrder(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, testpki.Options{Key: testpki.RSA2048})
	ed := ca.Leaf(t, testpki.Options{Key: testpki.Ed25519})
	rsaKey, ok := leaf.Key.(*rsa.PrivateKey)
	if !ok {
		t.Fatalf("key = %T", leaf.Key)
	}
	ecKey, ok := ca.Key.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("key = %T", ca.Key)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	text := slices.Concat(
		[]byte("Certificate:\n    Data:\n        Version: 3 (0x2)\n"), // what openssl x509 -text writes
		leaf.PEM(), block("X509 CERTIFICATE", ca.Cert.Raw), leaf.PEM(),
		block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
		block("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}), block("EC PRIVATE KEY", sec1),
		ed.KeyPEM(), ed.KeyPEM(), []byte("the end\n"))
	bundle, err := keystore.ParsePEM(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := bundle.Certificates; len(got) != 2 || !got[0].Equal(leaf.Cert) || !got[1].Equal(ca.Cert) {
		t.Errorf("certificates = %d, want the leaf and the CA, each once", len(got))
	}
	if len(bundle.Keys) != 3 || !rsaKey.Equal(bundle.Keys[0]) || !ecKey.Equal(bundle.Keys[1]) {
		t.Errorf("keys = %d", len(bundle.Keys))
	}
}

func TestParsePEMToleratesHowTextsArePasted(t *testing.T) {
	t.Parallel()
	leaf := testpki.NewSelfSigned(t, testpki.Options{})
	plain := leaf.PEM()
	for name, text := range map[string][]byte{
		"as written":             plain,
		"CRLF":                   bytes.ReplaceAll(plain, []byte("\n"), []byte("\r\n")),
		"a byte order mark":      append([]byte("\xef\xbb\xbf"), plain...),
		"indented":               bytes.ReplaceAll(plain, []byte("\n"), []byte("\n  \t")),
		"blanks at the ends":     bytes.ReplaceAll(plain, []byte("\n"), []byte(" \n")),
		"no line break at last":  bytes.TrimSpace(plain),
		"empty lines":            bytes.ReplaceAll(plain, []byte("\n"), []byte("\n\n")),
		"text around it":         slices.Concat([]byte("subject=CN=x\n- a list\n--\n"), plain, []byte("\n---\nBEGIN the day\n")),
		"blanks of all kinds":    slices.Concat([]byte("a\tb\vc\fd\re\r\n"), plain, []byte("\f\n\v")),
		"text that is not UTF-8": slices.Concat([]byte("Z\xfcrich\n"), plain, []byte("\xff\x80")),
		"a text like DER":        slices.Concat([]byte("000 certificates\n"), plain),
		"one long line":          []byte("-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString(leaf.Cert.Raw) + "\n-----END CERTIFICATE-----"),
	} {
		bundle, err := keystore.ParsePEM(text)
		if err != nil || len(bundle.Certificates) != 1 || !bundle.Certificates[0].Equal(leaf.Cert) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// marker is base64 text that no error may repeat.
const marker = "U0VDUkVUS0VZTUFURVJJQUw"

func TestParsePEMSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, testpki.Options{})
	good := string(leaf.PEM())
	body := strings.TrimSuffix(strings.TrimPrefix(good, "-----BEGIN CERTIFICATE-----\n"), "-----END CERTIFICATE-----\n")
	ecKey, ok := ca.Key.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("key = %T", ca.Key)
	}
	sec1, _ := x509.MarshalECPrivateKey(ecKey)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(ca.Key)
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := x509.MarshalPKCS8PrivateKey(exchange)
	if err != nil {
		t.Fatal(err)
	}
	pfx, _ := asn1.Marshal(struct {
		Version int
		Safe    []asn1.ObjectIdentifier
	}{3, []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 7, 1}}})
	pkcs7, _ := asn1.Marshal([]asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 7, 2}})
	utf16le := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(good)) {
		utf16le = append(utf16le, byte(unit), byte(unit>>8))
	}

	for _, tc := range []struct {
		name string
		text string
		want string
	}{
		{"empty", "", "the text is empty"},
		{"blank", "\xef\xbb\xbf \r\n\t", "the text is empty"},
		{"no block", "hello\n", "no PEM block found"},
		{"base64 alone", body, "this is base64 without the lines"},
		{"a DER certificate", string(leaf.Cert.Raw), "this is DER, not PEM; convert it with: openssl x509 -inform der"},
		{"a DER key", string(pkcs8), "this is a private key in DER"},
		{"a DER EC key", string(sec1), "this is a private key in DER"},
		{"PKCS#12", string(pfx), "this is PKCS#12"},
		{"PKCS#7 in DER", string(pkcs7), "this is PKCS7 in DER"},
		{"cut DER", "\x30\x82", "no PEM block found"},
		{"a text that begins like DER", "0x30 is not DER\n", "no PEM block found"},
		{"JKS", "\xfe\xed\xfe\xed\x00\x00\x00\x02", "Java key store (JKS)"},
		{"JCEKS", "\xce\xce\xce\xce\x00\x00\x00\x02", "Java key store of the kind JCEKS"},
		{"UTF-16", string(utf16le), "UTF-16"},
		{"UTF-16 without a mark", string(utf16le[2:]), "UTF-16"},
		{"BEGIN without END", good + "-----BEGIN CERTIFICATE-----\n" + body, "PEM block 2, line 12: BEGIN CERTIFICATE without an END: the text is cut off"},
		{"BEGIN twice", "-----BEGIN CERTIFICATE-----\n" + body + good, "without an END: the next block begins on line"},
		{"END first", "text\n-----END CERTIFICATE-----\n" + good, `PEM block 1, line 2: the END of a block "CERTIFICATE" without its BEGIN`},
		{"END of another", strings.Replace(good, "END CERTIFICATE", "END PRIVATE KEY", 1), `BEGIN CERTIFICATE is followed by the END of another block "PRIVATE KEY"`},
		{"END of another with a secret in it", strings.Replace(good, "END CERTIFICATE", "END "+strings.Repeat(marker, 3), 1), "BEGIN CERTIFICATE is followed by the END of another block"},
		{"two files joined without a line break", strings.TrimSpace(good) + good, "put a line break there"},
		{"a boundary in mid-line", "cert: " + good, "malformed boundary"},
		{"an END in mid-line", strings.Replace(good, "\n-----END", "-----END", 1), "malformed boundary"},
		{"four dashes", strings.Replace(good, "-----BEGIN", "----BEGIN", 1), "malformed boundary"},
		{"six dashes", strings.Replace(good, "-----BEGIN", "------BEGIN", 1), "malformed boundary"},
		{"four dashes at the end", strings.Replace(good, "CERTIFICATE-----\nM", "CERTIFICATE----\nM", 1), "malformed boundary"},
		{"a blank among the dashes", strings.Replace(good, "-----BEGIN", "----- BEGIN", 1), "malformed boundary"},
		{"no label", "-----BEGIN -----\n-----END -----\n", "malformed boundary"},
		{"all on one line", strings.ReplaceAll(good, "\n", " "), "put a line break there"},
		{"literal \\n", strings.ReplaceAll(good, "\n", `\n`), `it holds a literal \n`},
		{"literal \\n in the body", "-----BEGIN CERTIFICATE-----\n" + strings.ReplaceAll(body, "\n", `\n`) + "\n-----END CERTIFICATE-----\n", `it holds a literal \n`},
		{"a damaged body", strings.Replace(good, "MI", "M*", 1), "PEM block 1, line 1: the block CERTIFICATE is not valid base64"},
		{"a body that lost its tail", "-----BEGIN CERTIFICATE-----\n" + body[:65] + "\n-----END CERTIFICATE-----\n", "parse certificate"},
		{"bits that belong to nothing", "-----BEGIN EC PARAMETERS-----\nQR==\n-----END EC PARAMETERS-----\n" + good, "not valid base64"},
		{"an empty body", "-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n", "the block CERTIFICATE is empty"},
		{"no certificate in it", string(block("CERTIFICATE", []byte{0x30, 0})), "PEM block 1, line 1: parse certificate"},
		{"something after the certificate", string(block("CERTIFICATE", append(slices.Clone(leaf.Cert.Raw), 0))), "parse certificate"},
		{"a second block that is bad", good + string(block("CERTIFICATE", []byte{0x30, 0})), "PEM block 2, line 12: parse certificate"},
		{"a key under the wrong label", string(block("RSA PRIVATE KEY", sec1)), "does not hold a valid PKCS#1 key"},
		{"another key under the wrong label", string(block("EC PRIVATE KEY", pkcs8)), "does not hold a valid SEC 1 key"},
		{"a key that is none", string(block("PRIVATE KEY", []byte(marker))), "does not hold a valid PKCS#8 key"},
		{"a byte after the key", string(block("PRIVATE KEY", append(slices.Clone(pkcs8), 0))), "does not hold a valid PKCS#8 key"},
		{"a key that cannot sign", string(block("PRIVATE KEY", x25519)), "cannot sign"},
		{"an encrypted key", string(block("ENCRYPTED PRIVATE KEY", []byte{0x30, 0})), "openssl pkey"},
		{"an encrypted key of the old kind", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n" + marker + "\n-----END RSA PRIVATE KEY-----\n", "openssl pkey"},
		{"headers", "-----BEGIN CERTIFICATE-----\nComment: " + marker + "\n\n" + body + "-----END CERTIFICATE-----\n", "RFC 7468"},
		{"a trusted certificate", string(block("TRUSTED CERTIFICATE", leaf.Cert.Raw)), "TRUSTED CERTIFICATE, OpenSSL's own format"},
		{"a request", string(block("CERTIFICATE REQUEST", []byte{0x30, 0})), "expected the certificate that the CA returned"},
		{"a revocation list", string(block("X509 CRL", []byte{0x30, 0})), "revocation list"},
		{"a PKCS#7 bundle that is none", string(block("PKCS7", []byte{0x30, 0})), "damaged at the PKCS#7 bundle"},
		{"a public key", string(block("PUBLIC KEY", []byte{0x30, 0})), "without a certificate"},
		{"an OpenSSH key", string(block("OPENSSH PRIVATE KEY", []byte(marker))), "ssh-keygen"},
		{"a DSA key", string(block("DSA PRIVATE KEY", []byte(marker))), "expected RSA, ECDSA or Ed25519"},
		{"an unknown block", string(block("AGE ENCRYPTED FILE", []byte{1})), `unknown block type "AGE ENCRYPTED FILE"`},
		{"an unknown block with a long name", string(block(strings.Repeat("LONG ", 100), []byte{1})), "unknown block type"},
		{"lower case", strings.ReplaceAll(good, "CERTIFICATE", "certificate"), "unknown block type: expected a certificate or a private key"},
		{"parameters alone", string(block("EC PARAMETERS", []byte{6, 1, 1})), "parameters only"},
		{"a large certificate", string(block("CERTIFICATE", make([]byte, keystore.MaxCertificateBytes+1))), "65537 bytes is larger than 65536"},
		{"a large key", string(block("PRIVATE KEY", make([]byte, keystore.MaxKeyBytes+1))), "16385 bytes is larger than 16384"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bundle, err := keystore.ParsePEM([]byte(tc.text))
			if bundle != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error = %v, want %q", err, tc.want)
			}
			if text := err.Error(); strings.Contains(text, marker) || strings.Contains(text, "SECRETKEY") || strings.ContainsAny(text, "\n\r") || len(text) > 300 {
				t.Errorf("error = %q", text)
			}
		})
	}
}

// A certificate in DER behind a text would disappear: cat root.pem other.der.
func TestParsePEMRefusesWhatIsNoTextAroundBlocks(t *testing.T) {
	t.Parallel()
	leaf, other := testpki.NewSelfSigned(t, testpki.Options{}), testpki.NewSelfSigned(t, testpki.Options{})
	plain := leaf.PEM()
	behind := bytes.Count(plain, []byte("\n")) + 1
	for name, tc := range map[string]struct {
		text []byte
		line int
	}{
		"DER behind a block":     {slices.Concat(plain, other.Cert.Raw), behind},
		"DER between blocks":     {slices.Concat(plain, other.Cert.Raw, []byte("\n"), other.PEM()), behind},
		"a NUL behind a block":   {slices.Concat(plain, []byte("\x00")), behind},
		"a NUL before a block":   {slices.Concat([]byte("a\x00\n"), plain), 1},
		"an escape":              {slices.Concat([]byte("\n\x1b[31m\n"), plain), 2},
		"the end of a DOS text":  {slices.Concat(plain, []byte("\x1a")), behind},
		"a delete":               {slices.Concat(plain, []byte("\x7f")), behind},
		"a UTF-16 text appended": {slices.Concat(plain, []byte("h\x00i\x00")), behind},
	} {
		_, err := keystore.ParsePEM(tc.text)
		want := "there are control octets outside the PEM blocks"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
			continue
		}
		var line int // DER may hold line breaks
		if _, scanErr := fmt.Sscanf(err.Error(), "line %d:", &line); scanErr != nil || line < tc.line || line > tc.line+len(other.Cert.Raw) {
			t.Errorf("%s: %v, want line %d", name, err, tc.line)
		}
	}
}

func TestParsePEMStopsAtItsLimits(t *testing.T) {
	t.Parallel()
	if _, err := keystore.ParsePEM(make([]byte, keystore.MaxBytes+1)); err == nil || !strings.Contains(err.Error(), "more than 33554432") {
		t.Errorf("too many bytes: %v", err)
	}
	var keys []byte
	for range keystore.MaxKeys + 1 {
		keys = append(keys, testpki.NewSelfSigned(t, testpki.Options{}).KeyPEM()...)
	}
	if _, err := keystore.ParsePEM(keys); err == nil || !strings.Contains(err.Error(), "PEM block 17, line") || !strings.Contains(err.Error(), "more than 16 private keys") {
		t.Errorf("too many keys: %v", err)
	}
}

func TestParsePEMNeverShowsAKeyInAnError(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	lines := strings.Split(strings.TrimSpace(string(ca.KeyPEM())), "\n")
	secret := strings.Join(lines[1:len(lines)-1], "")
	text := strings.Join(lines, "\n")
	for i := range len(text) {
		for _, damaged := range []string{text[:i], text[:i] + "*" + text[i+1:], text[:i] + "\n" + text[i:], text[:i] + text[i+1:], text[:i] + ":" + text[i:], text[:i] + "-----END " + text[i:]} {
			_, err := keystore.ParsePEM([]byte(damaged))
			if err == nil {
				continue
			}
			for at := 0; at+6 <= len(secret); at++ {
				if strings.Contains(err.Error(), secret[at:at+6]) {
					t.Fatalf("damaged at %d: %q shows %q", i, err, secret[at:at+6])
				}
			}
		}
	}
}

func TestCredentialFindsTheLeafAndOrdersTheChain(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Root"})
	outer := ca.Intermediate(t, testpki.Options{CommonName: "Outer"})
	inner := outer.Intermediate(t, testpki.Options{CommonName: "Inner"})
	leaf := inner.Leaf(t, testpki.Options{CommonName: "leaf"})
	stranger := testpki.NewCA(t, testpki.Options{CommonName: "Stranger"})
	impostor := testpki.NewCA(t, testpki.Options{CommonName: "Inner"})
	self := testpki.NewSelfSigned(t, testpki.Options{CommonName: "self"})
	aged := outer.Intermediate(t, testpki.Options{CommonName: "Aged", SignatureAlgorithm: x509.ECDSAWithSHA1})
	below := aged.Leaf(t, testpki.Options{CommonName: "below"})
	v1 := testpki.NewSelfSigned(t, testpki.Options{CommonName: "Version 1", Version1: true})
	loopA, loopB := testpki.NewCA(t, testpki.Options{CommonName: "LA"}), testpki.NewCA(t, testpki.Options{CommonName: "LB"})
	ab, ba := loopA.CrossSign(t, loopB, testpki.Options{}), loopB.CrossSign(t, loopA, testpki.Options{})
	looped := loopA.Leaf(t, testpki.Options{CommonName: "looped"})

	for _, tc := range []struct {
		name  string
		certs []*testpki.Entity
		key   *testpki.Entity
		want  string
	}{
		{"in order", []*testpki.Entity{leaf, inner, outer, ca}, leaf, "leaf < Inner < Outer < Root"},
		{"in reverse", []*testpki.Entity{ca, outer, inner, leaf}, leaf, "leaf < Inner < Outer < Root"},
		{"with strangers", []*testpki.Entity{stranger, outer, impostor, leaf, inner, self}, leaf, "leaf < Inner < Outer"},
		{"with a gap", []*testpki.Entity{leaf, outer}, leaf, "leaf"},
		{"the leaf alone", []*testpki.Entity{leaf}, leaf, "leaf"},
		{"self-signed", []*testpki.Entity{self, ca}, self, "self"},
		{"a CA's own", []*testpki.Entity{leaf, inner, outer}, inner, "Inner < Outer"},
		{"an outdated signature", []*testpki.Entity{below, aged, outer}, below, "below < Aged < Outer"},
		{"an issuer of version 1", []*testpki.Entity{v1.Leaf(t, testpki.Options{CommonName: "x", Signer: leaf.Key}), v1}, leaf, "x < Version 1"},
		{"an issuer that may not issue", []*testpki.Entity{self.Leaf(t, testpki.Options{CommonName: "y", Signer: leaf.Key}), self}, leaf, "y"},
		{"a loop", []*testpki.Entity{looped, ba, ab}, looped, "looped < LA < LB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var certs []*x509.Certificate
			for _, e := range tc.certs {
				certs = append(certs, e.Cert)
			}
			credential, err := keystore.Credential(certs, tc.key.Key)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, der := range credential.Certificate {
				c, err := x509.ParseCertificate(der)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, c.Subject.CommonName)
			}
			if got := strings.Join(names, " < "); got != tc.want {
				t.Errorf("chain = %s, want %s", got, tc.want)
			}
			if credential.PrivateKey != tc.key.Key || credential.Leaf == nil || !bytes.Equal(credential.Leaf.Raw, credential.Certificate[0]) {
				t.Error("the credential does not hold the key and its leaf")
			}
		})
	}
}

func TestCredentialNamesBothWhenTheKeyFitsNoCertificate(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, testpki.Options{CommonName: "www"})
	for key, want := range map[testpki.KeyType]string{
		testpki.P256:    "the private key (ECDSA P-256, SPKI SHA-256 ",
		testpki.Ed25519: "the private key (Ed25519, SPKI SHA-256 ",
		testpki.RSA2048: "the private key (RSA 2048, SPKI SHA-256 ",
	} {
		_, err := keystore.Credential([]*x509.Certificate{leaf.Cert, ca.Cert}, testpki.NewSelfSigned(t, testpki.Options{Key: key}).Key)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), `"CN=www" (ECDSA P-256`) || !strings.HasSuffix(err.Error(), "nor to the 1 others") {
			t.Errorf("error = %v", err)
		}
	}
	if _, err := keystore.Credential(nil, leaf.Key); err == nil || err.Error() != "no certificate" {
		t.Errorf("error = %v", err)
	}
	if _, err := keystore.Credential([]*x509.Certificate{leaf.Cert}, nil); err == nil || err.Error() != "no private key" {
		t.Errorf("error = %v", err)
	}
}

func FuzzParsePEM(f *testing.F) {
	leaf := testpki.NewSelfSigned(f, testpki.Options{})
	f.Add(leaf.PEM())
	f.Add(append(leaf.KeyPEM(), leaf.PEM()...))
	f.Add(bytes.ReplaceAll(leaf.PEM(), []byte("\n"), []byte("\r\n  ")))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE----------BEGIN PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Add([]byte("--BEGIN x\n-----END \n"))
	f.Add(leaf.Cert.Raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		bundle, err := keystore.ParsePEM(data)
		if (bundle == nil) == (err == nil) {
			t.Fatalf("bundle %v, error %v", bundle, err)
		}
		if err != nil {
			if text := err.Error(); strings.ContainsAny(text, "\n\r\x00") || len(text) > 600 {
				t.Fatalf("error = %q", text)
			}
			return
		}
		if len(bundle.Certificates)+len(bundle.Keys) == 0 {
			t.Fatal("an empty bundle is no error")
		}
		// What was read, written the plain way, reads the same; and encoding/pem finds no certificate that we dropped.
		again, err := keystore.ParsePEM(testpki.EncodePEM(bundle.Certificates...))
		if len(bundle.Certificates) > 0 && (err != nil || !slices.EqualFunc(again.Certificates, bundle.Certificates, (*x509.Certificate).Equal)) {
			t.Fatalf("second reading: %v", err)
		}
		for rest := data; ; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				break
			}
			if b.Type == "CERTIFICATE" && !slices.ContainsFunc(bundle.Certificates, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, b.Bytes) }) {
				t.Fatal("encoding/pem finds a certificate that was dropped")
			}
		}
	})
}

func BenchmarkParsePEM(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d certificates", n), func(b *testing.B) {
			ca := testpki.NewCA(b, testpki.Options{})
			var text []byte
			for range n {
				text = append(text, testpki.EncodePEM(ca.Leaf(b, testpki.Options{}).Cert)...)
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := keystore.ParsePEM(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// foreign is the key of a device whose public key has a type that crypto/x509 does not know.
type foreign struct{ crypto.Signer }

func (foreign) Public() crypto.PublicKey { return struct{}{} }

// comparableKey is one that can at least be compared.
type comparableKey struct{ crypto.Signer }

func (k comparableKey) Public() crypto.PublicKey  { return k }
func (comparableKey) Equal(crypto.PublicKey) bool { return false }

func TestCredentialRefusesKeysOfUnknownTypes(t *testing.T) {
	t.Parallel()
	leaf := testpki.NewSelfSigned(t, testpki.Options{})
	for want, key := range map[string]crypto.Signer{
		"public key of type struct {}":                       foreign{},
		"the private key (keystore_test.comparableKey) does": comparableKey{},
	} {
		if c, err := keystore.Credential([]*x509.Certificate{leaf.Cert}, key); c != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}
