package certheader_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/certheader"
)

// read returns a file of testdata: the certificates and the field values of RFC 9440 appendix A.
func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rfcChain(t *testing.T) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for rest := read(t, "rfc9440-chain.pem"); len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("rubbish between the certificates")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	if len(chain) != 3 {
		t.Fatalf("%d certificates, want 3", len(chain))
	}
	return chain
}

func TestFieldsAreThoseOfTheRFC(t *testing.T) {
	t.Parallel()
	chain := rfcChain(t)
	if got, want := certheader.ClientCert(chain[0]), strings.TrimSpace(string(read(t, "rfc9440-client-cert.txt"))); got != want {
		t.Errorf("Client-Cert:\n got %s\nwant %s", got, want)
	}
	if got, want := certheader.ClientCertChain(chain[1:]), strings.TrimSpace(string(read(t, "rfc9440-client-cert-chain.txt"))); got != want {
		t.Errorf("Client-Cert-Chain:\n got %s\nwant %s", got, want)
	}
}

func TestNoCertificateIsNoField(t *testing.T) {
	t.Parallel()
	if got := certheader.ClientCert(nil); got != "" {
		t.Errorf("ClientCert(nil) = %q", got)
	}
	for _, none := range [][]*x509.Certificate{nil, {}, {nil, nil}} {
		if got := certheader.ClientCertChain(none); got != "" {
			t.Errorf("ClientCertChain(%v) = %q", none, got)
		}
	}
}

func TestChainKeepsTheOrderAndLeavesOutNothingElse(t *testing.T) {
	t.Parallel()
	a, b := &x509.Certificate{Raw: []byte{1}}, &x509.Certificate{Raw: []byte{0xfb, 0xff, 0xfe}}
	for want, chain := range map[string][]*x509.Certificate{
		":AQ==:":                 {a},
		":AQ==:, :+//+:":         {a, b},
		":+//+:, :AQ==:":         {b, a},
		":AQ==:, :AQ==:, :+//+:": {nil, a, nil, a, b, nil},
	} {
		if got := certheader.ClientCertChain(chain); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := certheader.ClientCert(b), ":+//+:"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzClientCert checks that what is written is a byte sequence of structured fields that holds the DER, and that it is
// nothing but visible ASCII, whatever the certificate holds.
func FuzzClientCert(f *testing.F) {
	f.Add([]byte{}, []byte{0})
	f.Add([]byte("\r\nX-Injected: 1"), []byte{0xff, 0xfe, 0xfb})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		item := func(text string) []byte {
			inner, ok := strings.CutPrefix(text, ":")
			inner, ok2 := strings.CutSuffix(inner, ":")
			der, err := base64.StdEncoding.Strict().DecodeString(inner)
			if !ok || !ok2 || err != nil || strings.ContainsAny(inner, "\r\n: ,") {
				t.Fatalf("%q is no byte sequence: %v", text, err)
			}
			return der
		}
		ca, cb := &x509.Certificate{Raw: a}, &x509.Certificate{Raw: b}
		if got := item(certheader.ClientCert(ca)); !bytes.Equal(got, a) {
			t.Fatalf("%x comes back as %x", a, got)
		}
		first, second, ok := strings.Cut(certheader.ClientCertChain([]*x509.Certificate{ca, cb}), ", ")
		if !ok || !bytes.Equal(item(first), a) || !bytes.Equal(item(second), b) {
			t.Fatalf("%x and %x come back as %q and %q", a, b, first, second)
		}
	})
}

func BenchmarkClientCert(b *testing.B) {
	leaf := &x509.Certificate{Raw: bytes.Repeat([]byte{0x5a}, 1200)}
	b.ReportAllocs()
	for b.Loop() {
		certheader.ClientCert(leaf)
	}
}
