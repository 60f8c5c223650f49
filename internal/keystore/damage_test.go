package keystore_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/keystore"
	"sallyport/internal/testpki"
)

const secretPassword = "Zq7-secret-Wörd"

// discreet fails if an error cannot be shown to anybody: it is one short line without the password.
func discreet(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); strings.Contains(text, "Zq7") || strings.ContainsAny(text, "\n\r\x00") || len(text) > 300 {
		t.Errorf("error = %q", text)
	}
}

// contents is everything that a bundle says.
func contents(t *testing.T, b *keystore.Bundle) string {
	t.Helper()
	var all strings.Builder
	fmt.Fprintf(&all, "%s %+v\n", b.Format, lines(b))
	for _, c := range b.Certificates {
		fmt.Fprintf(&all, "%x\n", c.Raw)
	}
	for _, k := range b.Keys {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%x\n", der)
	}
	return all.String()
}

// smallStores are stores of every kind that are quick to read.
func smallStores(t *testing.T) map[string][]byte {
	t.Helper()
	leaf := testpki.NewSelfSigned(t, testpki.Options{CommonName: "small"})
	other := testpki.NewSelfSigned(t, testpki.Options{CommonName: "other", Key: testpki.Ed25519})
	key, err := x509.MarshalPKCS8PrivateKey(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	algorithm, ciphertext := aesWith(t, secretPassword, key)
	stores := map[string][]byte{
		"PKCS#12 of ours": pfx(t, secretPassword, plain(certBag(leaf.Cert.Raw, named("a"), attribute(localKeyID, octets([]byte{1}))), certBag(other.Cert.Raw, named("b"))),
			plain(bagOf(shroudedBagOID, seq(algorithm, octets(ciphertext)), named("a"), attribute(localKeyID, octets([]byte{1}))))),
		"JKS": jks(secretPassword, 2, 2, private("a", protect(secretPassword, key), leaf.Cert.Raw), trusted("b", other.Cert.Raw)),
	}
	for name, e := range map[string]*gopkcs12.Encoder{"legacy PKCS#12": gopkcs12.LegacyRC2, "PKCS#12": gopkcs12.Modern2023, "PKCS#12 of 2026": gopkcs12.Modern2026} {
		if stores[name], err = e.WithIterations(1).Encode(leaf.Key, leaf.Cert, nil, secretPassword); err != nil {
			t.Fatal(err)
		}
	}
	return stores
}

// TestNoFlippedBitChangesWhatAStoreSays flips every single bit.
func TestNoFlippedBitChangesWhatAStoreSays(t *testing.T) {
	t.Parallel()
	for name, store := range smallStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, err := keystore.Parse(store, secretPassword)
			if err != nil {
				t.Fatal(err)
			}
			want := contents(t, whole)
			tolerated := 0
			for bit := range 8 * len(store) {
				flipped := bytes.Clone(store)
				flipped[bit/8] ^= 1 << (bit % 8)
				got, err := keystore.Parse(flipped, secretPassword)
				if err != nil {
					discreet(t, err)
					continue
				}
				tolerated++
				if contents(t, got) != want {
					t.Fatalf("bit %d of byte %d of %d changes what the store says", bit%8, bit/8, len(store))
				}
			}
			t.Logf("%d bits, %d of which mean nothing", 8*len(store), tolerated)
			if tolerated > 8*(8+len(salt)+8) { // RFC 9579 §4: the salt and the count beside the MAC are not used
				t.Errorf("%d bits can be flipped", tolerated)
			}
		})
	}
}

// TestNoPartOfAStoreIsAStore cuts stores at every length, and puts something after them.
func TestNoPartOfAStoreIsAStore(t *testing.T) {
	t.Parallel()
	for name, store := range smallStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for size := range store {
				got, err := keystore.Parse(store[:size], secretPassword)
				if err == nil {
					t.Fatalf("%d of %d bytes are %+v", size, len(store), got)
				}
				discreet(t, err)
				if want := "cut off"; size >= 20 && !strings.Contains(name, "JKS") && !strings.Contains(err.Error(), want) {
					t.Fatalf("%d bytes: %v, want %q", size, err, want)
				}
			}
			for _, more := range []string{"\x00", "\n", " ", string(store)} {
				_, err := keystore.Parse(append(bytes.Clone(store), more...), secretPassword)
				if err == nil || !strings.Contains(err.Error(), "damaged") {
					t.Errorf("%d bytes after the store: %v", len(more), err)
				}
			}
		})
	}
}

func TestPasswordsAreComparedAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, store := range smallStores(t) {
		for _, wrong := range []string{"", " ", secretPassword + " ", strings.ToLower(secretPassword), strings.ReplaceAll(secretPassword, "ö", "o"), secretPassword + "x"} {
			got, err := keystore.Parse(store, wrong)
			want := "the password is wrong, or the file is damaged"
			if wrong == "" {
				want = "the store needs a password and none is given, or the file is damaged"
			}
			if got != nil || err == nil || err.Error() != want {
				t.Errorf("%s with %q: %v", name, wrong, err)
			}
		}
		for wrong, want := range map[string]string{secretPassword + "\x00": "the password holds a NUL character", "Zq7\xff": "the password is not UTF-8", "Zq7" + strings.Repeat("x", keystore.MaxPasswordBytes): "the password is longer than 1024 bytes"} {
			if _, err := keystore.Parse(store, wrong); err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

func TestStoresThatAreNotWhatTheyShouldBeAreExplained(t *testing.T) {
	t.Parallel()
	w, _, _ := newWorkshop(t)
	export := func(file, password string, args ...string) []byte {
		t.Helper()
		w.openssl(t, append([]string{"pkcs12", "-export", "-inkey", "ec.key", "-in", "ec.pem", "-passout", "pass:" + password, "-out", file}, args...)...)
		return w.read(t, file)
	}
	leaf := testpki.NewSelfSigned(t, testpki.Options{CommonName: "leaf"})
	stranger := testpki.NewSelfSigned(t, testpki.Options{})
	key, err := x509.MarshalPKCS8PrivateKey(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	good := certBag(leaf.Cert.Raw, named("a"))
	p12 := func(parts ...[]byte) []byte { return pfx(t, secretPassword, parts...) }
	algorithm, ciphertext := aesWith(t, secretPassword, seq(good))
	_, otherCiphertext := aesWith(t, "another", seq(good))
	pbes2 := func(kdf, cipher []byte) []byte { return encrypted(seq(oid(pbes2OID), seq(kdf, cipher)), ciphertext) }
	aes := seq(oid(aes128OID), octets(make([]byte, 16)))
	withMAC := func(mac ...[]byte) []byte {
		return seq(integer(3), seq(oid(pkcs7Data), ctx0(octets(seq(plain(good))))), seq(mac...))
	}
	sha256MAC := seq(seq(oid("2.16.840.1.101.3.4.2.1"), tlv(5)), octets(make([]byte, 32)))
	pbmac1 := func(params ...[]byte) []byte {
		return withMAC(seq(seq(oid(pbmac1OID), seq(params...)), octets(make([]byte, 32))), octets(salt), integer(1))
	}
	hmac256 := seq(oid(hmacSHA256OID), tlv(5))
	var manyParts, manyAttributes, manyKeys [][]byte
	for i := range 101 {
		manyParts = append(manyParts, plain(good))
		manyAttributes = append(manyAttributes, attribute(fmt.Sprintf("1.2.3.%d", i)))
	}
	for range keystore.MaxKeys + 1 {
		one, err := x509.MarshalPKCS8PrivateKey(testpki.NewSelfSigned(t, testpki.Options{}).Key)
		if err != nil {
			t.Fatal(err)
		}
		manyKeys = append(manyKeys, bagOf(keyBagOID, one))
	}
	java := func(version, count int, entries ...[]byte) []byte {
		return jks(secretPassword, version, count, entries...)
	}
	withText := func(text string) []byte { return java(2, 1, trusted(text, leaf.Cert.Raw)) }
	for _, tc := range []struct {
		name  string
		store []byte
		want  string
	}{
		// Tools.
		{"RC4", export("rc4.p12", secretPassword, "-legacy", "-certpbe", "PBE-SHA1-RC4-128"), "the encryption 1.2.840.113549.1.12.1.1 is not supported: write the store anew with openssl pkcs12 -export or keytool"},
		{"a cipher that nobody uses", export("camellia.p12", secretPassword, "-certpbe", "CAMELLIA-128-CBC"), "the cipher 1.2.392.200011.61.1.1.1.2 is not supported"},
		{"a MAC of MD5", export("md5.p12", secretPassword, "-macalg", "md5"), "the MAC algorithm 1.2.840.113549.2.5 is not supported"},
		{"a password without a MAC", export("nomac.p12", secretPassword, "-nomac"), "the store has no MAC, so its password protects nothing"},
		{"firefox", append([]byte{0x30, 0x80, 2, 1, 3, 0x30, 0x80}, make([]byte, 100)...), "BER with indefinite lengths, as Firefox, EJBCA and Bouncy Castle write it"},
		{"JCEKS", []byte("\xce\xce\xce\xce\x00\x00\x00\x02\x00\x00\x00\x00"), "convert it with: keytool -importkeystore -srckeystore FILE -srcstoretype JCEKS -destkeystore FILE.p12 -deststoretype PKCS12"},
		{"no store at all", []byte("\x00\x01\x02"), "this is neither PEM nor DER, PKCS#12 or JKS"},
		{"nothing", nil, "the text is empty"},
		// PFX.
		{"a version of its own", seq(integer(3), seq(), seq()), "damaged at the beginning"},
		{"a signature in place of a password", seq(integer(3), seq(oid("1.2.840.113549.1.7.2"), ctx0(seq()))), "protected by a signature instead of a password"},
		{"unknown content", seq(integer(3), seq(oid("1.2.3"), ctx0(seq()))), "damaged at the beginning: unexpected content"},
		{"something after the MAC", withMAC(sha256MAC, octets(salt), integer(1), integer(1)), "damaged at the MAC: 3 more bytes follow"},
		{"something after MacData", seq(integer(3), seq(oid(pkcs7Data), ctx0(octets(seq()))), seq(sha256MAC, octets(salt)), seq()), "damaged at the end: 2 more bytes follow"},
		{"no entries", p12(), "the key store holds no entry"},
		{"no entries in a part", p12(plain()), "the key store holds no entry"},
		{"too many parts", p12(manyParts...), "the store has more than 100 parts"},
		{"something after the parts", seq(integer(3), seq(oid(pkcs7Data), ctx0(octets(append(seq(plain(good)), 5, 0))))), "no MAC, so its password"},
		{"an enveloped part", p12(seq(oid("1.2.840.113549.1.7.3"), ctx0(seq()))), "encrypted for a key instead of with a password"},
		{"an unknown part", p12(seq(oid("1.2.3.4"), ctx0(seq()))), "a part of type 1.2.3.4 is not supported"},
		{"a part of another shape", p12(seq(oid(pkcs7Data), ctx0(seq()))), "damaged at the list of parts: unexpected element"},
		{"a part without an end", p12(seq(oid(pkcs7Data))), "damaged at the list of parts: it is cut off"},
		{"a part with something in it", p12(seq(oid(pkcs7Data), ctx0(octets(append(seq(good), 0))))), "damaged at a part: 1 more bytes follow"},
		// The MAC.
		{"no iteration", withMAC(sha256MAC, octets(salt), integer(0)), "an iteration count of 0"},
		{"more iterations than allowed", withMAC(sha256MAC, octets(salt), integer(10_000_001)), "more than 10000000 rounds in all"},
		{"a negative number of iterations", withMAC(sha256MAC, octets(salt), integer(-1)), "damaged at the MAC: the number is not possible"},
		{"a huge number of iterations", withMAC(sha256MAC, octets(salt), integer(1<<40)), "damaged at the MAC: the number is not possible"},
		{"a number with a leading zero", withMAC(sha256MAC, octets(salt), []byte{2, 2, 0, 1}), "damaged at the MAC: the number is not possible"},
		{"a long salt", withMAC(sha256MAC, octets(make([]byte, 2000)), integer(1)), "the salt is not possible"},
		{"parameters for the digest", withMAC(seq(seq(oid("2.16.840.1.101.3.4.2.1"), integer(1)), octets(make([]byte, 32))), octets(salt), integer(1)), "damaged at the MAC: 3 more bytes"},
		{"parameters that are no NULL", withMAC(seq(seq(oid("2.16.840.1.101.3.4.2.1"), tlv(5, []byte{1})), octets(make([]byte, 32))), octets(salt), integer(1)), "damaged at the MAC: unexpected parameters"},
		{"an HMAC where a digest belongs", withMAC(seq(seq(oid("1.2.840.113549.2.7")), octets(make([]byte, 20))), octets(salt), integer(1)), "the MAC algorithm 1.2.840.113549.2.7 is not supported"},
		{"a short MAC", withMAC(seq(seq(oid("2.16.840.1.101.3.4.2.1"), tlv(5)), octets(nil)), octets(salt), integer(1)), "the password is wrong, or the file is damaged"},
		{"PBMAC1 without a key length", pbmac1(derivation(1), hmac256), "the salt or the key length is not possible"},
		{"PBMAC1 with a key of no length", pbmac1(derivation(1, integer(0)), hmac256), "the key length is not possible"},
		{"PBMAC1 with a key that can be guessed", pbmac1(derivation(1, integer(19)), hmac256), "the key length is not possible"},
		{"PBMAC1 with a huge key", pbmac1(derivation(1, integer(1<<20)), hmac256), "the key length is not possible"},
		{"PBMAC1 of something unknown", pbmac1(derivation(1, integer(32)), seq(oid("1.2.3"))), "the MAC algorithm 1.2.3 is not supported"},
		{"PBMAC1 with more", pbmac1(derivation(1, integer(32)), hmac256, integer(1)), "damaged at the MAC: 3 more bytes"},
		{"PBMAC1 with too many iterations", pbmac1(derivation(5_000_001, integer(64)), hmac256), "more than 10000000 rounds in all"},
		{"PBMAC1 without PBKDF2", pbmac1(seq(oid("1.3.6.1.4.1.11591.4.11")), hmac256), "the key derivation 1.3.6.1.4.1.11591.4.11 is not supported"},
		// Encryption.
		{"another password inside", p12(encrypted(algorithm, otherCiphertext)), "has another password than the store itself"},
		{"a ciphertext of no block", p12(encrypted(algorithm, nil)), "has another password than the store itself"},
		{"a ciphertext of half a block", p12(encrypted(algorithm, ciphertext[:24])), "has another password than the store itself"},
		{"an unknown encryption", p12(encrypted(seq(oid("1.2.3"), tlv(5)), ciphertext)), "the encryption 1.2.3 is not supported"},
		{"an encryption without a name", p12(encrypted(seq(), ciphertext)), "damaged at the encryption algorithm"},
		{"another version of encrypted data", p12(seq(oid(pkcs7Encrypted), ctx0(seq(integer(2), seq(oid(pkcs7Data), algorithm, tlv(0x80, ciphertext)))))), "damaged at an encrypted part: the version is not 0"},
		{"encrypted data of another type", p12(seq(oid(pkcs7Encrypted), ctx0(seq(integer(0), seq(oid("1.2.3"), algorithm, tlv(0x80, ciphertext)))))), "damaged at an encrypted part: unexpected content"},
		{"an unknown cipher", p12(pbes2(derivation(1), seq(oid("1.2.3"), octets(nil)))), "the cipher 1.2.3 is not supported"},
		{"a short initialization vector", p12(pbes2(derivation(1), seq(oid(aes128OID), octets(make([]byte, 8))))), "the initialization vector has another size"},
		{"a cipher with more", p12(pbes2(derivation(1), seq(oid(aes128OID), octets(make([]byte, 16)), integer(1)))), "damaged at PBES2: 3 more bytes"},
		{"a key of another length", p12(pbes2(derivation(1, integer(32)), aes)), "the key length is not possible"},
		{"an unknown function", p12(pbes2(seq(oid(pbkdf2OID), seq(octets(salt), integer(1), seq(oid("1.2.3"), tlv(5)))), aes)), "the pseudo-random function 1.2.3 is not supported"},
		{"a salt that is none", p12(pbes2(seq(oid(pbkdf2OID), seq(octets(make([]byte, 2000)), integer(1))), aes)), "the salt or the key length is not possible"},
		{"legacy encryption with a long salt", p12(encrypted(seq(oid("1.2.840.113549.1.12.1.3"), seq(octets(make([]byte, 2000)), integer(1))), ciphertext)), "the salt is not possible"},
		{"legacy encryption without iterations", p12(encrypted(seq(oid("1.2.840.113549.1.12.1.3"), seq(octets(salt))), ciphertext)), "damaged at the encryption algorithm: it is cut off"},
		{"legacy encryption with too many iterations", p12(encrypted(seq(oid("1.2.840.113549.1.12.1.3"), seq(octets(salt), integer(6_000_000))), ciphertext)), "more than 10000000 rounds in all"},
		{"an initialization vector with too many iterations", p12(encrypted(seq(oid("1.2.840.113549.1.12.1.6"), seq(octets(salt), integer(5_000_001))), ciphertext)), "more than 10000000 rounds in all"},
		// Entries.
		{"a revocation list", p12(plain(good, bagOf("1.2.840.113549.1.12.10.1.4", seq(), named("x")))), `entry 2, "x": this is a revocation list`},
		{"a secret key", p12(plain(bagOf("1.2.840.113549.1.12.10.1.5", seq()))), "entry 1: this is a secret key or password"},
		{"a store in the store", p12(plain(bagOf("1.2.840.113549.1.12.10.1.6", seq(good)))), "this is a store inside the store"},
		{"an unknown entry", p12(plain(bagOf("1.2.3", seq()))), "entry 1: an entry of type 1.2.3 is not supported"},
		{"an SDSI certificate", p12(plain(bagOf(certBagOID, seq(oid("1.2.840.113549.1.9.22.2"), ctx0(octets(nil)))))), "a certificate of type 1.2.840.113549.1.9.22.2 is not supported"},
		{"a certificate that is none", p12(plain(certBag([]byte{0x30, 0}, named("x")))), `entry 1, "x": parse certificate`},
		{"a certificate in another shape", p12(plain(bagOf(certBagOID, seq(oid(x509OID), ctx0(leaf.Cert.Raw))))), "damaged at a certificate: unexpected element"},
		{"a certificate bag with more", p12(plain(bagOf(certBagOID, seq(oid(x509OID), ctx0(octets(leaf.Cert.Raw)), integer(1))))), "damaged at a certificate: 3 more bytes"},
		{"a large certificate", p12(plain(certBag(make([]byte, keystore.MaxCertificateBytes+1)))), "65537 bytes is larger than 65536"},
		{"a key that is none", p12(plain(bagOf(keyBagOID, seq(integer(0))))), "it does not hold a valid PKCS#8 key"},
		{"a key in another shape", p12(plain(bagOf(keyBagOID, octets(key)))), "damaged at an entry: unexpected element"},
		{"an encrypted key in another shape", p12(plain(bagOf(shroudedBagOID, seq(algorithm)))), "damaged at an entry: it is cut off"},
		{"an encrypted key with another password", p12(plain(bagOf(shroudedBagOID, seq(algorithm, octets(otherCiphertext)), named("k")))), `entry 1, "k": a part of the store is damaged, or has another password`},
		{"too many keys", p12(plain(manyKeys...)), "entry 17: more than 16 private keys"},
		{"too many copies of a key", p12(plain(slices.Repeat([][]byte{bagOf(keyBagOID, key)}, 17)...)), "entry 17: more than 16 private keys"},
		{"a key too many that is not decrypted", p12(plain(append(manyKeys[:16:16], bagOf(shroudedBagOID, seq(algorithm, octets(otherCiphertext))))...)), "entry 17: more than 16 private keys"},
		{"an attribute that stands twice", p12(plain(certBag(leaf.Cert.Raw, named("a"), named("b")))), "an attribute stands there twice"},
		{"too many attributes", p12(plain(certBag(leaf.Cert.Raw, manyAttributes...))), "there are more than 32"},
		{"two names in one attribute", p12(plain(certBag(leaf.Cert.Raw, attribute(friendlyName, bmp("a"), bmp("b"))))), "damaged at the attributes: 4 more bytes"},
		{"a name without a value", p12(plain(certBag(leaf.Cert.Raw, attribute(friendlyName)))), "damaged at the attributes: it is cut off"},
		{"a name that is not UTF-16", p12(plain(certBag(leaf.Cert.Raw, attribute(friendlyName, tlv(0x1e, []byte{0xd8, 0}))))), "damaged at an alias: it is not UTF-16"},
		{"half a letter", p12(plain(certBag(leaf.Cert.Raw, attribute(friendlyName, tlv(0x1e, []byte{0}))))), "damaged at an alias"},
		{"a long name", p12(plain(certBag(leaf.Cert.Raw, named(strings.Repeat("x", 600))))), "damaged at an alias: it is longer than 1024 bytes"},
		{"an identifier that is none", p12(seq(tlv(6), ctx0(seq()))), "the object identifier is not possible"},
		{"a long identifier", p12(seq(tlv(6, bytes.Repeat([]byte{1}, 100)), ctx0(seq()))), "the object identifier is not possible"},
		{"a tag of many bytes", p12([]byte{0x3f, 0x21, 0}), "damaged at the list of parts: unexpected element"},
		{"a length of many bytes", p12([]byte{0x30, 0x85, 1, 1, 1, 1, 1}), "its length is not possible"},
		{"a length that is longer than needed", p12([]byte{0x30, 0x81, 0x01, 0x00}), "its length is not possible"},
		{"half a length", p12([]byte{0x30, 0x82, 0x01}), "it is cut off"},
		// JKS.
		{"version 1", java(1, 0), "the Java key store has version 1: expected 2; write it anew with keytool -importkeystore"},
		{"too many entries", java(2, 1<<31), "says that it has 2147483648 entries"},
		{"more entries than there could be", java(2, 50, trusted("a", leaf.Cert.Raw)), "says that it has 50 entries"},
		{"more entries than there are", java(2, 2, trusted("a", leaf.Cert.Raw), []byte{0, 0, 0, 2, 0, 1, 'b', 0, 0, 0, 0, 0, 0, 0, 0}), `entry 2, "b": the structure is damaged: a length is larger than what follows`},
		{"bytes after the entries", java(2, 1, trusted("a", leaf.Cert.Raw), []byte{1}), "1 more bytes follow the entries"},
		{"an entry of no kind", java(2, 1, append(number(3), trusted("a", leaf.Cert.Raw)[4:]...)), `entry 1, "a": it is neither a private key nor a trusted certificate`},
		{"a certificate that is not X.509", java(2, 1, bytes.Replace(trusted("a", leaf.Cert.Raw), []byte("X.509"), []byte("X.508"), 1)), "the certificate is not an X.509 one"},
		{"a certificate that is none in JKS", java(2, 1, trusted("a", []byte{0x30, 0})), `entry 1, "a": parse certificate`},
		{"a certificate that is cut", java(2, 1, trusted("a", leaf.Cert.Raw)[:100]), "a length is larger than what follows"},
		{"a key without a chain", java(2, 1, private("k", protect(secretPassword, key))), `entry 1, "k": its chain has 0 certificates: expected 1 to 100`},
		{"a chain of many", java(2, 1, private("k", protect(secretPassword, key), make([][]byte, 101)...)), "its chain has 101 certificates"},
		{"a chain that is damaged", java(2, 1, private("k", protect(secretPassword, key), leaf.Cert.Raw, nil)), "parse certificate"},
		{"a key with a chain of another", java(2, 1, private("k", protect(secretPassword, key), stranger.Cert.Raw)), "does not belong to the certificate"},
		{"a key with another password", java(2, 1, private("k", protect("another", key), leaf.Cert.Raw)), `entry 1, "k": the private key has another password than the store: give it the same with keytool -keypasswd`},
		{"a key that is not DER", java(2, 1, private("k", []byte{1}, leaf.Cert.Raw)), "damaged at the private key"},
		{"a key encrypted in another way", java(2, 1, private("k", seq(seq(oid("1.2.3"), tlv(5)), octets(make([]byte, 100))), leaf.Cert.Raw)), "the encryption 1.2.3 is not supported"},
		{"a key that is too short", java(2, 1, private("k", seq(seq(oid("1.3.6.1.4.1.42.2.17.1.1"), tlv(5)), octets(make([]byte, 39))), leaf.Cert.Raw)), "its size is not possible"},
		{"a key that is none in JKS", java(2, 1, private("k", protect(secretPassword, []byte("no key")), leaf.Cert.Raw)), "it does not hold a valid PKCS#8 key"},
		{"too many copies of a key in JKS", java(2, 17, slices.Repeat([][]byte{private("k", protect(secretPassword, key), leaf.Cert.Raw)}, 17)...), `entry 17, "k": more than 16 private keys`},
		{"a key too many in JKS that is not decrypted", java(2, 17, append(slices.Repeat([][]byte{private("k", protect(secretPassword, key), leaf.Cert.Raw)}, 16), private("k", protect("another", key), leaf.Cert.Raw))...), `entry 17, "k": more than 16 private keys`},
		{"a long text", withText(strings.Repeat("x", 2000)), "a text is longer than 1024 bytes"},
		{"a text with a NUL", withText("a\x00"), "not in Java's form of UTF-8"},
		{"a text in four bytes", withText("🔑"), "not in Java's form of UTF-8"},
		{"a letter that is cut", withText("\xc3"), "not in Java's form of UTF-8"},
		{"a letter of three that is cut", withText("\xe2\x82"), "not in Java's form of UTF-8"},
		{"a letter that is longer than needed", withText("\xc1\x81"), "not in Java's form of UTF-8"},
		{"a letter of three that is longer than needed", withText("\xe0\x81\x81"), "not in Java's form of UTF-8"},
		{"half a pair", withText("\xed\xa0\xbd"), "not in Java's form of UTF-8"},
		{"a text that ends the file", java(2, 1, append(number(2), 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)), "a text is longer than 1024 bytes"},
		{"a file that is cut", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"), "the file is cut off: it has 8 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := keystore.Parse(tc.store, secretPassword)
			if got != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error = %v, want %q", err, tc.want)
			}
			discreet(t, err)
		})
	}
	emptyAlgorithm, emptyCiphertext := aesWith(t, "", seq(good))
	_, emptyKey := aesWith(t, "", key)
	for _, part := range [][]byte{encrypted(emptyAlgorithm, emptyCiphertext), plain(bagOf(shroudedBagOID, seq(emptyAlgorithm, octets(emptyKey))))} {
		if _, err := keystore.Parse(pfx(t, "", part), ""); err == nil || !strings.Contains(err.Error(), "the store is encrypted and has no MAC") {
			t.Errorf("encrypted, without MAC and password: %v", err)
		}
	}
	if _, err := keystore.Parse(seq(integer(3), seq(oid(pkcs7Data), ctx0(octets(append(seq(plain(good)), 5, 0))))), ""); err == nil || !strings.Contains(err.Error(), "damaged at the list of parts: 2 more bytes") {
		t.Errorf("bytes after the parts: %v", err)
	}
	if _, err := keystore.Parse(seq(integer(3), seq(oid(pkcs7Data), ctx0(octets(seq(plain(good))))), integer(1)), ""); err == nil || !strings.Contains(err.Error(), "damaged at the MAC") {
		t.Errorf("a MAC that is none: %v", err)
	}
}

func TestEntriesOfPKCS12BelongTogether(t *testing.T) {
	t.Parallel()
	leaf := testpki.NewSelfSigned(t, testpki.Options{CommonName: "first"})
	renewed := testpki.NewSelfSigned(t, testpki.Options{CommonName: "renewed", Signer: leaf.Key})
	other := testpki.NewSelfSigned(t, testpki.Options{CommonName: "other"})
	der, err := x509.MarshalPKCS8PrivateKey(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	id := func(b byte) []byte { return attribute(localKeyID, octets([]byte{b})) }
	marked := attribute(javaTrusted, oid("2.5.29.37.0"))
	for _, tc := range []struct {
		name string
		bags [][]byte
		want []line
	}{
		{"by the public key", [][]byte{certBag(other.Cert.Raw), certBag(leaf.Cert.Raw), bagOf(keyBagOID, der, named("k"))}, []line{{Chain: "other"}, {Alias: "k", Chain: "first", Key: true}}},
		{"by localKeyId among several", [][]byte{certBag(leaf.Cert.Raw, id(1)), bagOf(keyBagOID, der, id(2)), certBag(renewed.Cert.Raw, named("r"), id(2))}, []line{{Chain: "first"}, {Alias: "r", Chain: "renewed", Key: true}}},
		{"the first among equals", [][]byte{bagOf(keyBagOID, der, id(3)), certBag(leaf.Cert.Raw, id(1)), certBag(renewed.Cert.Raw, id(2))}, []line{{Chain: "first", Key: true}, {Chain: "renewed"}}},
		{"not by localKeyId against the public key", [][]byte{certBag(other.Cert.Raw, id(1)), bagOf(keyBagOID, der, id(1))}, []line{{Chain: "other"}, {Key: true}}},
		{"each certificate once", [][]byte{bagOf(keyBagOID, der, named("a")), bagOf(keyBagOID, der, named("b")), certBag(leaf.Cert.Raw)}, []line{{Alias: "a", Chain: "first", Key: true}, {Alias: "b", Key: true}}},
		{"the name of the key goes first", [][]byte{bagOf(keyBagOID, der, named("key")), certBag(leaf.Cert.Raw, named("cert"), marked)}, []line{{Alias: "key", Chain: "first", Key: true}}},
		{"the same certificate under two names", [][]byte{certBag(leaf.Cert.Raw, named("a"), marked), certBag(leaf.Cert.Raw, named("b"))}, []line{{Alias: "a", Chain: "first", Java: true}, {Alias: "b", Chain: "first"}}},
	} {
		got, err := keystore.Parse(pfx(t, secretPassword, plain(tc.bags...)), secretPassword)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if diff := cmp.Diff(tc.want, lines(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestAnAliasMeansOneEntry(t *testing.T) {
	t.Parallel()
	leaf := testpki.NewSelfSigned(t, testpki.Options{}).Cert.Raw
	parse := func(aliases ...string) *keystore.Bundle {
		t.Helper()
		var bags [][]byte
		for _, alias := range aliases {
			if alias == "" {
				bags = append(bags, certBag(leaf))
			} else {
				bags = append(bags, certBag(leaf, named(alias)))
			}
		}
		b, err := keystore.Parse(pfx(t, "", plain(bags...)), "")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("entry-%02d", i))
	}
	for _, tc := range []struct {
		name    string
		aliases []string
		alias   string
		found   string
		want    string
	}{
		{"as written", []string{"a", "b"}, "b", "b", ""},
		{"in other letters", []string{"Straße", "ÄÖÜ"}, "äöü", "ÄÖÜ", ""},
		{"twice", []string{"a", "A", "b"}, "a", "", `2 entries have the alias "a"`},
		{"unknown", []string{"a", "b\n", ""}, "c", "", `no entry has the alias "c": there are "a", "b\n"`},
		{"unknown among many", many, "c", "", `"entry-19", and others`},
		{"among entries without names", []string{"", ""}, "c", "", `no entry has the alias "c": none of the 2 has one`},
		{"none", []string{"", "a"}, "", "", `no entry has the alias "": there are "a"`},
		{"a long one", []string{strings.Repeat("x", 500)}, "c", "", `"xxxxxxxx`},
		{"a lower case that Java does not have", []string{"ſ"}, "s", "", `no entry has the alias "s"`},
	} {
		e, err := parse(tc.aliases...).Entry(tc.alias)
		switch {
		case tc.want == "" && (err != nil || e.Alias != tc.found):
			t.Errorf("%s: %+v, %v", tc.name, e, err)
		case tc.want != "" && (e != nil || err == nil || !strings.Contains(err.Error(), tc.want) || len(err.Error()) > 500):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestParseReadsDER(t *testing.T) {
	t.Parallel()
	w, ca, leaves := newWorkshop(t)
	w.write(t, "all.pem", joined(leaves["ec"], leaves["rsa"], ca))
	w.openssl(t, "crl2pkcs7", "-nocrl", "-certfile", "all.pem", "-outform", "DER", "-out", "all.p7b")
	w.openssl(t, "crl2pkcs7", "-nocrl", "-certfile", "all.pem", "-out", "all.p7b.pem")
	w.openssl(t, "pkey", "-in", "rsa.key", "-outform", "DER", "-traditional", "-out", "pkcs1.der")
	w.openssl(t, "pkey", "-in", "ec.key", "-outform", "DER", "-traditional", "-out", "sec1.der")
	w.openssl(t, "pkcs8", "-topk8", "-nocrypt", "-in", "ed.key", "-outform", "DER", "-out", "pkcs8.der")
	ecDER := leaves["ec"].Cert.Raw
	for _, tc := range []struct {
		name  string
		data  []byte
		want  string // common names
		keys  int
		isPEM bool
	}{
		{"a certificate", ecDER, "ec", 0, false},
		{"certificates one after the other", slices.Concat(ecDER, ca.Cert.Raw, ecDER), "ec, Workshop CA", 0, false},
		{"a PKCS#7 bundle", w.read(t, "all.p7b"), "ec, rsa, Workshop CA", 0, false},
		{"a PKCS#7 bundle in PEM", w.read(t, "all.p7b.pem"), "ec, rsa, Workshop CA", 0, true},
		{"a PKCS#1 key", w.read(t, "pkcs1.der"), "", 1, false},
		{"a SEC 1 key", w.read(t, "sec1.der"), "", 1, false},
		{"a PKCS#8 key", w.read(t, "pkcs8.der"), "", 1, false},
		{"a PKCS#8 key with its public one", seq(integer(1), seq(oid("1.3.101.112")), octets(octets(make([]byte, 32))), tlv(0x81, make([]byte, 33))), "", 1, false},
		{"a key and its certificate", slices.Concat(w.read(t, "sec1.der"), ecDER), "ec", 1, false},
		{"PEM", slices.Concat(joined(ca), leaves["ed"].KeyPEM()), "Workshop CA", 1, true},
	} {
		got, err := keystore.Parse(tc.data, "")
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var names []string
		for _, c := range got.Certificates {
			names = append(names, c.Subject.CommonName)
		}
		if strings.Join(names, ", ") != tc.want || len(got.Keys) != tc.keys || got.Entries != nil || (got.Format == keystore.FormatPEM) != tc.isPEM {
			t.Errorf("%s: %v, %d keys, %s", tc.name, names, len(got.Keys), got.Format)
		}
	}
}

func TestParseSaysWhatIsWrongWithDER(t *testing.T) {
	t.Parallel()
	w, ca, leaves := newWorkshop(t)
	w.openssl(t, "pkcs8", "-topk8", "-in", "ec.key", "-passout", "pass:"+secretPassword, "-outform", "DER", "-out", "encrypted.der")
	w.write(t, "text", []byte("hello"))
	w.openssl(t, "cms", "-sign", "-signer", "ec.pem", "-inkey", "ec.key", "-in", "text", "-outform", "DER", "-nodetach", "-out", "signed.der")
	cert := leaves["ec"].Cert.Raw
	signed := func(parts ...[]byte) []byte { return seq(oid("1.2.840.113549.1.7.2"), ctx0(seq(parts...))) }
	inner := seq(oid(pkcs7Data))
	for _, tc := range []struct {
		name string
		data []byte
		want string
	}{
		{"a certificate that is cut", cert[:100], "damaged at element 1 of the file: it is cut off"},
		{"a byte after the certificate", append(bytes.Clone(cert), 0), "damaged at element 2 of the file"},
		{"a damaged second certificate", slices.Concat(cert, []byte{0x30, 2, 0x30, 0}), "element 2 of the file: parse certificate"},
		{"no certificate", []byte{0x30, 2, 0x30, 0}, "parse certificate"},
		{"indefinite lengths", append([]byte{0x30, 0x80}, inner...), "BER with indefinite lengths"},
		{"an encrypted key", w.read(t, "encrypted.der"), "the private key is encrypted"},
		{"a key that is none", seq(integer(0), seq()), "does not hold a valid PKCS#8 key"},
		{"a signed message", w.read(t, "signed.der"), "damaged at the PKCS#7 bundle"},
		{"a bundle with revocation lists", signed(integer(1), set(), inner, ctx0(cert), tlv(0xa1, seq()), set()), "holds revocation lists"},
		{"an empty bundle", signed(integer(1), set(), inner, set()), "the PKCS#7 bundle holds no certificate"},
		{"a bundle of nothing", signed(integer(1), set(), inner, ctx0(), set()), "the PKCS#7 bundle holds no certificate"},
		{"a bundle of something else", signed(integer(1), set(), inner, ctx0(integer(1)), set()), "unexpected element"},
		{"a bundle of a damaged certificate", signed(integer(1), set(), inner, ctx0(seq()), set()), "parse certificate"},
		{"PKCS#7 of another type", seq(oid("1.2.840.113549.1.7.3"), ctx0(seq())), "this is PKCS#7 of type 1.2.840.113549.1.7.3: expected a bundle"},
	} {
		got, err := keystore.Parse(tc.data, "")
		if got != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
			continue
		}
		discreet(t, err)
	}
	bundle := signed(integer(1), set(), inner, ctx0(cert, ca.Cert.Raw), tlv(0xa1), set())
	if got, err := keystore.Parse(bundle, ""); err != nil || len(got.Certificates) != 2 {
		t.Errorf("a bundle with an empty list of revocation lists: %v", err)
	}
	if got, err := keystore.ParsePEM(pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: bundle})); err != nil || len(got.Certificates) != 2 {
		t.Errorf("the same in PEM: %v", err)
	}
}
