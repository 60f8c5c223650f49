package keystore_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// What follows writes key stores that no tool writes. All of it uses one iteration, so that many can be read.

// tlv is one element of DER.
func tlv(tag byte, parts ...[]byte) []byte {
	contents := slices.Concat(parts...)
	header := []byte{tag, byte(len(contents))}
	if len(contents) > 127 {
		header = []byte{tag, 0x84, 0, 0, 0, 0}
		binary.BigEndian.PutUint32(header[2:], uint32(len(contents)))
		skip := len(header[2:]) - len(bytes.TrimLeft(header[2:], "\x00"))
		header = append([]byte{tag, byte(0x84 - skip)}, header[2+skip:]...)
	}
	return append(header, contents...)
}

func seq(parts ...[]byte) []byte  { return tlv(0x30, parts...) }
func set(parts ...[]byte) []byte  { return tlv(0x31, parts...) }
func ctx0(parts ...[]byte) []byte { return tlv(0xa0, parts...) }
func octets(data []byte) []byte   { return tlv(4, data) }

func integer(n int) []byte {
	der, err := asn1.Marshal(n)
	if err != nil {
		panic(err)
	}
	return der
}

func oid(dotted string) []byte {
	var id asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.Atoi(arc)
		if err != nil {
			panic(err)
		}
		id = append(id, n)
	}
	der, err := asn1.Marshal(id)
	if err != nil {
		panic(err)
	}
	return der
}

// Object identifiers under PKCS, and others.
const (
	pkcs7Data      = "1.2.840.113549.1.7.1"
	pkcs7Encrypted = "1.2.840.113549.1.7.6"
	certBagOID     = "1.2.840.113549.1.12.10.1.3"
	keyBagOID      = "1.2.840.113549.1.12.10.1.1"
	shroudedBagOID = "1.2.840.113549.1.12.10.1.2"
	x509OID        = "1.2.840.113549.1.9.22.1"
	friendlyName   = "1.2.840.113549.1.9.20"
	localKeyID     = "1.2.840.113549.1.9.21"
	javaTrusted    = "2.16.840.1.113894.746875.1.1"
	pbkdf2OID      = "1.2.840.113549.1.5.12"
	pbes2OID       = "1.2.840.113549.1.5.13"
	pbmac1OID      = "1.2.840.113549.1.5.14"
	hmacSHA256OID  = "1.2.840.113549.2.9"
	aes128OID      = "2.16.840.1.101.3.4.1.2"
)

var salt = []byte("crafted salt")

// bagOf is a SafeBag.
func bagOf(kind string, value []byte, attributes ...[]byte) []byte {
	bag := [][]byte{oid(kind), ctx0(value)}
	if attributes != nil {
		bag = append(bag, set(attributes...))
	}
	return seq(bag...)
}

func certBag(der []byte, attributes ...[]byte) []byte {
	return bagOf(certBagOID, seq(oid(x509OID), ctx0(octets(der))), attributes...)
}

func attribute(kind string, values ...[]byte) []byte { return seq(oid(kind), set(values...)) }

func bmp(text string) []byte {
	var raw []byte
	for _, u := range utf16.Encode([]rune(text)) {
		raw = append(raw, byte(u>>8), byte(u))
	}
	return tlv(0x1e, raw)
}

func named(alias string) []byte { return attribute(friendlyName, bmp(alias)) }

// plain is a part of a store that is not encrypted.
func plain(bags ...[]byte) []byte {
	return seq(oid(pkcs7Data), ctx0(octets(seq(bags...))))
}

// derivation is the algorithm of PBKDF2 with HMAC-SHA256.
func derivation(iterations int, more ...[]byte) []byte {
	return seq(oid(pbkdf2OID), seq(append([][]byte{octets(salt), integer(iterations)}, append(more, seq(oid(hmacSHA256OID), tlv(5)))...)...))
}

// aesWith is PBES2 with AES of 128 bits, and what it makes of a text.
func aesWith(t testing.TB, password string, text []byte) (algorithm, ciphertext []byte) {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, password, salt, 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 16)
	padding := 16 - len(text)%16
	padded := append(bytes.Clone(text), bytes.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return seq(oid(pbes2OID), seq(derivation(1), seq(oid(aes128OID), octets(iv)))), padded
}

// encrypted is a part of a store that is encrypted, with any algorithm for a label.
func encrypted(algorithm, ciphertext []byte) []byte {
	return seq(oid(pkcs7Encrypted), ctx0(seq(integer(0), seq(oid(pkcs7Data), algorithm, tlv(0x80, ciphertext)))))
}

// pfx is a store with a MAC of RFC 9579 where the password is not empty, and without one where it is.
func pfx(t testing.TB, password string, parts ...[]byte) []byte {
	t.Helper()
	content := seq(parts...)
	info := seq(oid(pkcs7Data), ctx0(octets(content)))
	if password == "" {
		return seq(integer(3), info)
	}
	key, err := pbkdf2.Key(sha256.New, password, salt, 1, 32)
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, key)
	h.Write(content)
	algorithm := seq(oid(pbmac1OID), seq(derivation(1, integer(32)), seq(oid(hmacSHA256OID), tlv(5))))
	return seq(integer(3), info, seq(seq(algorithm, octets(h.Sum(nil))), octets(salt), integer(1)))
}

// javaText is a text as DataOutput writes it, for letters of ASCII.
func javaText(text string) []byte {
	return append([]byte{byte(len(text) >> 8), byte(len(text))}, text...)
}

func number(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// sized is data with its size before it.
func sized(data []byte) []byte { return append(number(len(data)), data...) }

func javaCert(der []byte) []byte { return append(javaText("X.509"), sized(der)...) }

// trusted is an entry of a JKS store.
func trusted(alias string, der []byte) []byte {
	return slices.Concat(number(2), javaText(alias), make([]byte, 8), javaCert(der))
}

// private is an entry of a JKS store.
func private(alias string, protected []byte, chain ...[]byte) []byte {
	entry := slices.Concat(number(1), javaText(alias), make([]byte, 8), sized(protected), number(len(chain)))
	for _, der := range chain {
		entry = append(entry, javaCert(der)...)
	}
	return entry
}

// protect encrypts a private key as Java does.
func protect(password string, der []byte) []byte {
	link := salt20
	out := bytes.Clone(link)
	for block := range slices.Chunk(der, 20) {
		sum := sha1.Sum(append(javaPassword(password), link...))
		link = sum[:]
		for i, b := range block {
			out = append(out, b^link[i])
		}
	}
	sum := sha1.Sum(append(javaPassword(password), der...))
	return seq(seq(oid("1.3.6.1.4.1.42.2.17.1.1"), tlv(5)), octets(append(out, sum[:]...)))
}

var salt20 = []byte("a salt of 20 letters")

func javaPassword(password string) []byte {
	var raw []byte
	for _, u := range utf16.Encode([]rune(password)) {
		raw = append(raw, byte(u>>8), byte(u))
	}
	return raw
}

// jks is a store with a digest.
func jks(password string, version, count int, entries ...[]byte) []byte {
	store := slices.Concat([]byte("\xfe\xed\xfe\xed"), number(version), number(count), slices.Concat(entries...))
	sum := sha1.Sum(slices.Concat(javaPassword(password), []byte("Mighty Aphrodite"), store))
	return append(store, sum[:]...)
}
