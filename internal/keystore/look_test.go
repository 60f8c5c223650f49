package keystore_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/keystore"
	"sallyport/internal/testpki"
)

// unreadable makes certificates with openssl on curves that x509 does not read: NAME.pem and NAME.key.
func (w *workshop) unreadable(t *testing.T, names ...string) {
	t.Helper()
	for _, curve := range names {
		w.openssl(t, "ecparam", "-name", curve, "-genkey", "-noout", "-out", curve+".key")
		w.openssl(t, "req", "-new", "-key", curve+".key", "-subj", "/O=Acme/CN="+curve, "-out", curve+".csr")
		w.openssl(t, "x509", "-req", "-in", curve+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", "-out", curve+".pem")
	}
}

func TestLookShowsCertificatesWhoseKeysCannotBeRead(t *testing.T) {
	t.Parallel()
	w, ca, leaves := newWorkshop(t)
	curves := []string{"brainpoolP256r1", "brainpoolP512t1", "secp256k1"}
	w.unreadable(t, curves...)
	for _, curve := range curves {
		text := w.read(t, curve+".pem")
		block, _ := pem.Decode(text)
		w.write(t, "all.pem", append(joined(leaves["ec"]), text...))
		w.openssl(t, "pkcs12", "-export", "-nokeys", "-in", "all.pem", "-passout", "pass:"+storePassword, "-out", "all.p12")
		for name, data := range map[string][]byte{"PEM": w.read(t, "all.pem"), "PKCS#12": w.read(t, "all.p12"), "DER": append(bytes.Clone(leaves["ec"].Cert.Raw), block.Bytes...)} {
			if _, err := keystore.Parse(data, storePassword); err == nil || !strings.Contains(err.Error(), "unsupported elliptic curve") {
				t.Errorf("%s, %s: Parse says %v", curve, name, err)
			}
			bundle, err := keystore.Look(data, storePassword)
			if err != nil || len(bundle.Certificates) != 2 {
				t.Fatalf("%s, %s: %v", curve, name, err)
			}
			cert := bundle.Certificates[1]
			if cert.Subject.CommonName != curve {
				cert = bundle.Certificates[0] // PKCS#12 has no order
			}
			if sha256.Sum256(cert.Raw) != sha256.Sum256(block.Bytes) || cert.Subject.CommonName != curve || cert.PublicKey != nil || cert.NotAfter.IsZero() {
				t.Errorf("%s, %s: %+v", curve, name, cert.Subject)
			}
			if err := cert.CheckSignatureFrom(ca.Cert); err != nil {
				t.Errorf("%s, %s: the signature: %v", curve, name, err)
			}
			if !bytes.Contains(cert.Raw, cert.RawSubjectPublicKeyInfo) || !bytes.Contains(cert.Raw, cert.RawTBSCertificate) {
				t.Errorf("%s, %s: the parts are not the certificate's", curve, name)
			}
		}
	}
}

func TestLookRefusesWhatIsDamagedElsewhere(t *testing.T) {
	t.Parallel()
	whole := testpki.NewSelfSigned(t, testpki.Options{}).Cert.Raw
	if bundle, err := keystore.Look(whole, ""); err != nil || bundle.Certificates[0].PublicKey == nil {
		t.Errorf("%v", err)
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x55
		bundle, err := keystore.Look(damaged, "")
		if err != nil || bundle.Certificates[0].PublicKey != nil {
			continue
		}
		cert := bundle.Certificates[0]
		key := bytes.Index(whole, testKey(t, whole))
		if i < key || i >= key+len(testKey(t, whole)) || !bytes.Equal(cert.Raw, damaged) {
			t.Errorf("octet %d is damaged, and a certificate without a key comes out", i)
		}
	}
	for _, text := range []string{"", "0", "0\x00", "0\x030\x010", "0\x060\x000\x000\x00"} {
		if _, err := keystore.Look([]byte(text), ""); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// testKey is the SubjectPublicKeyInfo in a certificate.
func testKey(t *testing.T, der []byte) []byte {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert.RawSubjectPublicKeyInfo
}

func TestPrivateKeysOfOtherKindsAreNamed(t *testing.T) {
	t.Parallel()
	w, _, _ := newWorkshop(t)
	w.openssl(t, "dsaparam", "-out", "dsa.param", "2048")
	for kind, args := range map[string][]string{
		"Ed448":   {"-algorithm", "ed448"},
		"RSA-PSS": {"-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"},
		"DSA":     {"-paramfile", "dsa.param"},
		"ECDSA on the curve 1.3.36.3.3.2.8.1.1.7": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"},
	} {
		w.openssl(t, append(append([]string{"genpkey"}, args...), "-out", "other.key")...)
		w.openssl(t, "req", "-x509", "-new", "-key", "other.key", "-subj", "/CN=other", "-days", "30", "-out", "other.pem")
		w.openssl(t, "pkcs12", "-export", "-inkey", "other.key", "-in", "other.pem", "-passout", "pass:"+storePassword, "-out", "other.p12")
		for _, file := range []string{"other.key", "other.p12"} {
			_, err := keystore.Parse(w.read(t, file), storePassword)
			if file == "other.p12" && strings.Contains(fmt.Sprint(err), "elliptic curve") {
				continue // its certificate is read first
			}
			if want := "the private key is " + kind + ", which is not supported: have the certificate issued anew"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", file, err, want)
			}
		}
	}
	sound, err := x509.MarshalPKCS8PrivateKey(testpki.NewSelfSigned(t, testpki.Options{}).Key)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(sound, []byte{2, 1, 1, 4, 32}, []byte{2, 1, 5, 4, 32}, 1) // the version of RFC 5915
	if _, err := keystore.Parse(damaged, ""); err == nil || !strings.Contains(err.Error(), "it does not hold a valid PKCS#8 key of a supported kind") {
		t.Errorf("a damaged one: %v", err)
	}
}
