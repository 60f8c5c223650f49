package keystore

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/testpki"
)

// fuzzRounds keeps a fuzzer from spending its time in the derivation of keys.
const fuzzRounds = 100

const fuzzPassword = "Zq7"

// sound checks what holds for everything that was read, and for every error.
func sound(t *testing.T, b *Bundle, err error) {
	t.Helper()
	if (b == nil) == (err == nil) {
		t.Fatalf("bundle %v, error %v", b, err)
	}
	if err != nil {
		if text := err.Error(); strings.ContainsAny(text, "\n\r\x00") || strings.Contains(text, fuzzPassword) || len(text) > 600 {
			t.Fatalf("error = %q", text)
		}
		return
	}
	if len(b.Certificates)+len(b.Keys) == 0 || len(b.Keys) > MaxKeys {
		t.Fatalf("%d certificates and %d keys", len(b.Certificates), len(b.Keys))
	}
	keys, certs := 0, map[*x509.Certificate]bool{}
	for _, e := range b.Entries {
		switch {
		case e.Certificate == nil && e.Key == nil:
			t.Fatal("an entry of nothing")
		case e.Key == nil && e.Chain != nil, e.Key != nil && e.TrustedJava:
			t.Fatalf("entry %+v", e)
		case e.Key != nil && e.Certificate != nil && (!belongs(e.Key, e.Certificate) || len(e.Chain) == 0 || e.Chain[0] != e.Certificate):
			t.Fatal("key, certificate and chain do not belong together")
		}
		if e.Key != nil {
			keys++
		}
		for _, c := range append(e.Chain, e.Certificate) {
			certs[c] = true
		}
	}
	delete(certs, nil)
	if b.Entries != nil && (keys < len(b.Keys) || len(certs) != len(b.Certificates)) {
		t.Fatalf("entries of %d keys and %d certificates, of %d and %d", keys, len(certs), len(b.Keys), len(b.Certificates))
	}
}

// withoutMAC is a store around a list of parts.
func withoutMAC(t testing.TB, parts []byte) []byte {
	t.Helper()
	type info struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	der, err := asn1.Marshal(struct {
		Version int
		Info    info
	}{3, info{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, parts}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// FuzzParsePKCS12 reads data as a store with the password, and as the list of parts of a store without one. The library
// that it is compared with is laxer, but what both read has to be the same.
func FuzzParsePKCS12(f *testing.F) {
	leaf := testpki.NewSelfSigned(f, testpki.Options{})
	for _, e := range []*gopkcs12.Encoder{gopkcs12.LegacyRC2, gopkcs12.Modern2023, gopkcs12.Modern2026, gopkcs12.Passwordless} {
		password := fuzzPassword
		if e == gopkcs12.Passwordless {
			password = ""
		}
		store, err := e.WithIterations(1).Encode(leaf.Key, leaf.Cert, nil, password)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(store)
		if content, _, err := openPFX(store); err == nil {
			f.Add(content)
		}
		if store, err = e.WithIterations(1).EncodeTrustStoreEntries([]gopkcs12.TrustStoreEntry{{Cert: leaf.Cert, FriendlyName: "ä"}}, password); err != nil {
			f.Fatal(err)
		}
		f.Add(store)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for password, store := range map[string][]byte{fuzzPassword: data, "": withoutMAC(t, data)} {
			b, err := parsePKCS12(store, password, fuzzRounds, x509.ParseCertificate)
			sound(t, b, err)
			if err != nil {
				continue
			}
			blocks, err := gopkcs12.ToPEM(store, password) //nolint:staticcheck // SA1019: the only function that reads every kind of store
			if err != nil {
				continue
			}
			found := 0
			for _, block := range blocks {
				if block.Type != "CERTIFICATE" {
					continue
				}
				at := -1
				for i, c := range b.Certificates {
					if bytes.Equal(c.Raw, block.Bytes) {
						at = i
					}
				}
				if at < 0 {
					t.Fatal("the library finds a certificate that was dropped")
				}
				found++
			}
			if found < len(b.Certificates) {
				t.Fatalf("%d certificates, the library finds %d", len(b.Certificates), found)
			}
		}
	})
}

// FuzzParseJKS reads data as the entries of a store, so that the digest is right.
func FuzzParseJKS(f *testing.F) {
	leaf := testpki.NewSelfSigned(f, testpki.Options{})
	entry := "\x00\x00\x00\x02\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05X.509\x00\x00"
	f.Add(1, []byte(entry+string([]byte{byte(len(leaf.Cert.Raw) >> 8), byte(len(leaf.Cert.Raw))})+string(leaf.Cert.Raw)))
	f.Add(2, []byte(entry))
	f.Add(1, []byte("\x00\x00\x00\x01\x00\x01k\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x30\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, count int, entries []byte) {
		store := []byte(magicJKS + "\x00\x00\x00\x02" + string([]byte{byte(count >> 24), byte(count >> 16), byte(count >> 8), byte(count)}))
		store = append(store, entries...)
		digest := sha1.Sum([]byte(string(utf16BE(fuzzPassword)) + "Mighty Aphrodite" + string(store)))
		b, err := parseJKS(append(store, digest[:]...), fuzzPassword, x509.ParseCertificate)
		sound(t, b, err)
		if err == nil && len(b.Entries) != int(uint32(count)) {
			t.Fatalf("%d entries, %d were announced", len(b.Entries), count)
		}
		b, err = parseJKS(append(store, make([]byte, sha1.Size)...), fuzzPassword, x509.ParseCertificate)
		if err == nil {
			t.Fatalf("read %+v without a digest", b)
		}
	})
}

// FuzzParseDER reads data as DER whatever it begins with, and as what it says it is.
func FuzzParseDER(f *testing.F) {
	leaf := testpki.NewSelfSigned(f, testpki.Options{})
	key, err := x509.MarshalPKCS8PrivateKey(leaf.Key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(leaf.Cert.Raw)
	f.Add(append(bytes.Clone(key), leaf.Cert.Raw...))
	f.Add([]byte("\x30\x27\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x1a\x30\x18\x02\x01\x01\x31\x00\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x02\x30\x00\x31\x00"))
	f.Add([]byte("\x30\x06\x02\x01\x00\x02\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		b, err := parseDER(data, x509.ParseCertificate)
		sound(t, b, err)
		if err == nil {
			var again []byte
			for _, c := range b.Certificates {
				again = append(again, c.Raw...)
			}
			second, err := parseDER(again, x509.ParseCertificate)
			if len(again) > 0 && (err != nil || len(second.Certificates) != len(b.Certificates)) {
				t.Fatalf("second reading: %v", err)
			}
		}
		format, err := Recognise(data)
		if err == nil && (format == FormatDER || format == FormatPEM) {
			b, err = Parse(data, "")
			sound(t, b, err)
			if err == nil && b.Format != format {
				t.Fatalf("%s became %s", format, b.Format)
			}
		}
	})
}
