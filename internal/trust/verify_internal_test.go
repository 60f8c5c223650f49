package trust

import (
	"crypto/x509"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/internal/testpki"
)

// What may issue is what x509 says, or a refusal would name the wrong certificate; and of what has no extensions, nothing,
// which x509 says only of whole paths.
func TestWhoMayIssueIsWhatX509Says(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	child := ca.Leaf(t, testpki.Options{}).Cert
	for _, version := range []int{1, 3} {
		for _, constrained := range []bool{false, true} {
			for _, says := range []bool{false, true} {
				for _, usage := range []x509.KeyUsage{0, x509.KeyUsageCertSign, x509.KeyUsageCRLSign, x509.KeyUsageCertSign | x509.KeyUsageCRLSign} {
					parent := *ca.Cert
					parent.Version, parent.BasicConstraintsValid, parent.IsCA, parent.KeyUsage = version, constrained, says, usage
					if err := child.CheckSignatureFrom(&parent); mayIssue(&parent) != (err == nil && constrained) {
						t.Errorf("version %d, basic constraints %v, CA %v, key usage %d: x509 says %v, we say the opposite", version, constrained, says, usage, err)
					}
				}
			}
		}
	}
}

func TestDetailsArePrintableWhateverTheyQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                        "plain",
		"a\nb\x1b[31m\x00":             "a\ufffdb\ufffd[31m\ufffd",
		"right\u202eleft":              "right\ufffdleft",
		"not UTF-8 \xff":               "not UTF-8 \ufffd",
		strings.Repeat("\u00e9", 1024): strings.Repeat("\u00e9", 1024),
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
	if long := printable("x" + strings.Repeat("\u00e9", 2000)); len(long) > 2100 || !utf8.ValidString(long) || !strings.HasSuffix(long, "...") {
		t.Errorf("%d bytes, valid UTF-8: %v", len(long), utf8.ValidString(long))
	}
}

func TestWhatIsNoCertificateHasNoAlgorithmOfALaterGo(t *testing.T) {
	t.Parallel()
	if key, signature := laterKeyWeakness(&x509.Certificate{}), unverifiable(&x509.Certificate{}); key != unknownKey || signature != "" {
		t.Errorf("key %q, signature %q", key, signature)
	}
}
