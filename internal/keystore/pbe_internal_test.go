package keystore

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"testing"
)

// TestRC2 has the vectors of RFC 2268 §5 whose keys are as long as they count.
func TestRC2(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ key, plain, cipher string }{
		{"ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", "1000000000000001", "30649edf9be7d2c2"},
		{"88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"},
	} {
		key, _ := hex.DecodeString(tc.key)
		text, _ := hex.DecodeString(tc.cipher)
		newRC2(key).Decrypt(text, text)
		if got := hex.EncodeToString(text); got != tc.plain {
			t.Errorf("decrypted with %s: %s, want %s", tc.key, got, tc.plain)
		}
	}
}

// No tool at hand takes an empty password for no bytes at all; Windows and older versions of OpenSSL did.
func TestAnEmptyPasswordMayBeNoBytesAtAll(t *testing.T) {
	t.Parallel()
	const iterations = 3
	salt, content := []byte("salt"), []byte("content")
	for _, bmp := range [][]byte{nil, {0, 0}} {
		writer := &secret{bmp: bmp, rounds: MaxRounds}
		key, err := writer.pkcs12Key(sha1.New, salt, forMAC, iterations, sha1.Size)
		if err != nil {
			t.Fatal(err)
		}
		h := hmac.New(sha1.New, key)
		h.Write(content)
		mac := "\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14" + string(h.Sum(nil)) + "\x04\x04salt\x02\x01\x03"
		reader := &secret{bmp: []byte{0, 0}, rounds: MaxRounds}
		if err := reader.verifyMAC(newDER([]byte(mac)), content); err != nil || len(reader.bmp) != len(bmp) {
			t.Errorf("verified with %x for %x: %v", reader.bmp, bmp, err)
		}
		if want := MaxRounds - 2*iterations; reader.rounds != want {
			t.Errorf("%d rounds left, want %d", reader.rounds, want)
		}
		with := &secret{text: "x", bmp: []byte{0, 'x', 0, 0}, rounds: MaxRounds}
		if err := with.verifyMAC(newDER([]byte(mac)), content); err == nil {
			t.Error("any password does")
		}
	}
}

func TestRC2IsForReadingOnly(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("RC2 encrypts")
		}
	}()
	cipher.NewCBCEncrypter(newRC2(make([]byte, 5)), make([]byte, rc2BlockSize)).CryptBlocks(make([]byte, 8), make([]byte, 8))
}

func TestFormatsHaveNames(t *testing.T) {
	t.Parallel()
	for format, want := range map[Format]string{FormatPEM: "PEM", FormatDER: "DER", FormatPKCS12: "PKCS#12", FormatJKS: "a Java key store (JKS)"} {
		if got := format.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
