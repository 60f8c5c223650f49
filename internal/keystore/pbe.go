package keystore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // G502: what older stores are encrypted with
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // G505: part of the older schemes
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxRounds bounds the work of turning the password into keys, for one store: the sum, over all keys that are
	// derived, of iterations times blocks of output. OpenSSL takes 2,048 iterations a key, Java 10,000, and the highest
	// advice around is 600,000 for HMAC-SHA-256. Ten million rounds take two seconds with that, some more with others.
	MaxRounds = 10_000_000
	// MaxPasswordBytes is the longest password.
	MaxPasswordBytes = 1024

	maxSaltBytes = 1024
)

// Wrong passwords and damaged files cannot be told apart.
var (
	errPassword = errors.New("the password is wrong, or the file is damaged")
	// ErrNoPassword is the error of a key store for which no password is given.
	ErrNoPassword = errors.New("the store needs a password and none is given, or the file is damaged")
	errOtherPass  = errors.New("a part of the store is damaged, or has another password than the store itself: give both the same")
)

// checkPassword refuses what no key derivation gets to see.
func checkPassword(password string) error {
	switch {
	case len(password) > MaxPasswordBytes:
		return fmt.Errorf("the password is longer than %d bytes", MaxPasswordBytes)
	case !utf8.ValidString(password):
		return errors.New("the password is not UTF-8")
	case strings.ContainsRune(password, 0): // HMAC takes it for padding: the password without it would do as well
		return errors.New("the password holds a NUL character")
	}
	return nil
}

// wrongPassword says that a password does not fit.
func wrongPassword(password string) error {
	if password == "" {
		return ErrNoPassword
	}
	return errPassword
}

// secret is the password of a store and what may still be computed with it.
type secret struct {
	text   string
	bmp    []byte // RFC 7292 §B.1
	rounds int    // left
}

// utf16BE returns the text in UTF-16, big-endian.
func utf16BE(text string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		out = append(out, byte(u>>8), byte(u)) //nolint:gosec // G115: the two halves
	}
	return out
}

// minMACKey is the size of the smallest key of PBMAC1 (RFC 9579). Nothing protects the number in the file: whoever could make
// it 1 would guess the MAC of a store of his own in 256 attempts, without the password.
const minMACKey = 20

// spend takes rounds from the budget.
func (s *secret) spend(iterations, blocks int) error {
	if iterations < 1 {
		return errors.New("the structure is damaged: an iteration count of 0")
	}
	if iterations > s.rounds/blocks {
		return fmt.Errorf("deriving the keys takes more than %d rounds in all: write the store anew with fewer iterations", MaxRounds)
	}
	s.rounds -= iterations * blocks
	return nil
}

// The algorithms, by their object identifiers.
const (
	oidSHA1PBE3DES     = "1.2.840.113549.1.12.1.3"
	oidSHA1PBE3DES2Key = "1.2.840.113549.1.12.1.4"
	oidSHA1PBERC2128   = "1.2.840.113549.1.12.1.5"
	oidSHA1PBERC240    = "1.2.840.113549.1.12.1.6"
	oidPBKDF2          = "1.2.840.113549.1.5.12"
	oidPBES2           = "1.2.840.113549.1.5.13"
	oidPBMAC1          = "1.2.840.113549.1.5.14"
	oidHMACSHA1        = "1.2.840.113549.2.7"
	oid3DESCBC         = "1.2.840.113549.3.7"
	oidAES128CBC       = "2.16.840.1.101.3.4.1.2"
	oidAES192CBC       = "2.16.840.1.101.3.4.1.22"
	oidAES256CBC       = "2.16.840.1.101.3.4.1.42"
)

// digest returns the hash function of an identifier, be it the digest's or its HMAC's; nil when it is not supported.
func digest(oid string) func() hash.Hash {
	switch oid {
	case "1.3.14.3.2.26", oidHMACSHA1:
		return sha1.New
	case "2.16.840.1.101.3.4.2.4", "1.2.840.113549.2.8":
		return sha256.New224
	case "2.16.840.1.101.3.4.2.1", "1.2.840.113549.2.9":
		return sha256.New
	case "2.16.840.1.101.3.4.2.2", "1.2.840.113549.2.10":
		return sha512.New384
	case "2.16.840.1.101.3.4.2.3", "1.2.840.113549.2.11":
		return sha512.New
	case "2.16.840.1.101.3.4.2.5", "1.2.840.113549.2.12":
		return sha512.New512_224
	case "2.16.840.1.101.3.4.2.6", "1.2.840.113549.2.13":
		return sha512.New512_256
	}
	return nil
}

func unsupported(what, oid string) error {
	return fmt.Errorf("%s %s is not supported: write the store anew with openssl pkcs12 -export or keytool, without options for algorithms", what, oid)
}

// What the keys of RFC 7292 §B.3 are for.
const (
	forKey byte = 1
	forIV  byte = 2
	forMAC byte = 3
)

// pkcs12Key derives size bytes from the password (RFC 7292 §B.2).
func (s *secret) pkcs12Key(newHash func() hash.Hash, salt []byte, use byte, iterations, size int) ([]byte, error) {
	h := newHash()
	if err := s.spend(iterations, (size+h.Size()-1)/h.Size()); err != nil {
		return nil, err
	}
	v := h.BlockSize()
	diversifier := bytes.Repeat([]byte{use}, v)
	input := append(repeatTo(salt, v), repeatTo(s.bmp, v)...)
	var key []byte
	for {
		h.Reset()
		h.Write(diversifier)
		h.Write(input)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		if key = append(key, a...); len(key) >= size {
			return key[:size], nil
		}
		b := repeatTo(a, v)[:v]
		for block := range slices.Chunk(input, v) {
			carry := 1
			for i := v - 1; i >= 0; i-- {
				carry += int(block[i]) + int(b[i])
				block[i] = byte(carry) //nolint:gosec // G115: the carry stays
				carry >>= 8
			}
		}
	}
}

// repeatTo repeats data up to the next multiple of v; nothing stays nothing.
func repeatTo(data []byte, v int) []byte {
	if len(data) == 0 {
		return nil
	}
	size := (len(data) + v - 1) / v * v
	return bytes.Repeat(data, size/len(data)+1)[:size]
}

// pbkdf2Key derives a key as PBKDF2-params say (RFC 8018 §A.2). size 0 means that they have to say the size.
func (s *secret) pbkdf2Key(algorithm *der, size int) ([]byte, error) {
	const at = "PBKDF2"
	if oid := algorithm.oid(at); algorithm.failed() == nil && oid != oidPBKDF2 {
		return nil, unsupported("the key derivation", oid)
	}
	params := algorithm.in(tagSequence, at)
	algorithm.end(at)
	salt, _ := params.element(tagOctetString, at)
	iterations := params.small(at)
	if params.next(tagInteger) {
		switch length := params.small(at); {
		case size == 0 && length >= minMACKey && length <= 512:
			size = length
		case size != length:
			params.fail(at, "the key length is not possible")
		}
	}
	prf := oidHMACSHA1
	if params.next(tagSequence) {
		function := params.in(tagSequence, at)
		prf = function.oid(at)
		function.null(at)
	}
	params.end(at)
	if size == 0 || len(salt) > maxSaltBytes {
		params.fail(at, "the salt or the key length is not possible")
	}
	if err := params.failed(); err != nil {
		return nil, err
	}
	newHash := digest(prf)
	if newHash == nil {
		return nil, unsupported("the pseudo-random function", prf)
	}
	if err := s.spend(iterations, (size+newHash().Size()-1)/newHash().Size()); err != nil {
		return nil, err
	}
	return pbkdf2.Key(newHash, s.text, salt, iterations, size)
}

// verifyMAC checks MacData (RFC 7292 §4, RFC 9579) over the content.
func (s *secret) verifyMAC(mac *der, content []byte) error {
	const at = "the MAC"
	info := mac.in(tagSequence, at)
	algorithm := info.in(tagSequence, at)
	oid := algorithm.oid(at)
	params := *algorithm
	algorithm.rest = nil
	want, _ := info.element(tagOctetString, at)
	info.end(at)
	salt, _ := mac.element(tagOctetString, at)
	iterations := 1
	if mac.next(tagInteger) {
		iterations = mac.small(at)
	}
	mac.end(at)
	if err := mac.failed(); err != nil {
		return err
	}
	var newHash func() hash.Hash
	var keys [][]byte
	var err error
	if oid == oidPBMAC1 {
		newHash, keys, err = s.pbmac1(&params)
	} else {
		params.null(at)
		if newHash = digest(oid); newHash == nil || oid == oidHMACSHA1 {
			return unsupported("the MAC algorithm", oid)
		}
		if len(salt) > maxSaltBytes {
			params.fail(at, "the salt is not possible")
		}
		if err = params.failed(); err == nil {
			keys, err = s.macKeys(newHash, salt, iterations)
		}
	}
	if err != nil {
		return err
	}
	for i, key := range keys {
		h := hmac.New(newHash, key)
		h.Write(content)
		if hmac.Equal(h.Sum(nil), want) {
			if i > 0 {
				s.bmp = nil
			}
			return nil
		}
	}
	return wrongPassword(s.text)
}

// macKeys derives the keys that the MAC may have: one, and for an empty password two, because some writers take it for no
// bytes at all and others for the terminator alone.
func (s *secret) macKeys(newHash func() hash.Hash, salt []byte, iterations int) ([][]byte, error) {
	size := newHash().Size()
	key, err := s.pkcs12Key(newHash, salt, forMAC, iterations, size)
	if err != nil || s.text != "" {
		return [][]byte{key}, err
	}
	none := secret{rounds: s.rounds}
	other, err := none.pkcs12Key(newHash, salt, forMAC, iterations, size)
	s.rounds = none.rounds
	return [][]byte{key, other}, err
}

// pbmac1 derives the key of RFC 9579 §4.
func (s *secret) pbmac1(algorithm *der) (func() hash.Hash, [][]byte, error) {
	const at = "the MAC"
	params := algorithm.in(tagSequence, at)
	algorithm.end(at)
	derivation := params.in(tagSequence, at)
	scheme := params.in(tagSequence, at)
	params.end(at)
	oid := scheme.oid(at)
	scheme.null(at)
	if err := scheme.failed(); err != nil {
		return nil, nil, err
	}
	newHash := digest(oid)
	if newHash == nil {
		return nil, nil, unsupported("the MAC algorithm", oid)
	}
	key, err := s.pbkdf2Key(derivation, 0)
	return newHash, [][]byte{key}, err
}

// decrypt decrypts what an algorithm identifier was used for, with PKCS#7 padding.
func (s *secret) decrypt(algorithm *der, ciphertext []byte) ([]byte, error) {
	const at = "the encryption algorithm"
	oid := algorithm.oid(at)
	if err := algorithm.failed(); err != nil {
		return nil, err
	}
	var block cipher.Block
	var iv []byte
	var err error
	if oid == oidPBES2 {
		block, iv, err = s.pbes2(algorithm)
	} else {
		block, iv, err = s.legacyPBE(oid, algorithm)
	}
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(ciphertext) == 0 || len(ciphertext)%size != 0 {
		return nil, errOtherPass
	}
	plain := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, ciphertext)
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > size || !bytes.Equal(plain[len(plain)-padding:], bytes.Repeat([]byte{byte(padding)}, padding)) { //nolint:gosec // G115: a byte
		return nil, errOtherPass
	}
	return plain[:len(plain)-padding], nil
}

// pbes2 reads PBES2-params (RFC 8018 §A.4).
func (s *secret) pbes2(algorithm *der) (cipher.Block, []byte, error) {
	const at = "PBES2"
	params := algorithm.in(tagSequence, at)
	algorithm.end(at)
	derivation := params.in(tagSequence, at)
	scheme := params.in(tagSequence, at)
	params.end(at)
	oid := scheme.oid(at)
	iv, _ := scheme.element(tagOctetString, at)
	scheme.end(at)
	if err := scheme.failed(); err != nil {
		return nil, nil, err
	}
	var size int
	newCipher := aes.NewCipher
	switch oid {
	case oidAES128CBC:
		size = 16
	case oidAES192CBC:
		size = 24
	case oidAES256CBC:
		size = 32
	case oid3DESCBC:
		newCipher, size = des.NewTripleDESCipher, 24
	default:
		return nil, nil, unsupported("the cipher", oid)
	}
	key, err := s.pbkdf2Key(derivation, size)
	if err != nil {
		return nil, nil, err
	}
	block, err := newCipher(key)
	if err == nil && len(iv) != block.BlockSize() {
		err = errors.New("the structure is damaged at PBES2: the initialization vector has another size than the cipher's blocks")
	}
	return block, iv, err
}

// legacyPBE reads the schemes of RFC 7292 §C. RC4 is not among them: nobody wrote it by default.
func (s *secret) legacyPBE(oid string, algorithm *der) (cipher.Block, []byte, error) {
	const at = "the encryption algorithm"
	size := map[string]int{oidSHA1PBE3DES: 24, oidSHA1PBE3DES2Key: 16, oidSHA1PBERC2128: 16, oidSHA1PBERC240: 5}[oid]
	if size == 0 {
		return nil, nil, unsupported("the encryption", oid)
	}
	params := algorithm.in(tagSequence, at)
	algorithm.end(at)
	salt, _ := params.element(tagOctetString, at)
	iterations := params.small(at)
	params.end(at)
	if len(salt) > maxSaltBytes {
		params.fail(at, "the salt is not possible")
	}
	if err := params.failed(); err != nil {
		return nil, nil, err
	}
	key, err := s.pkcs12Key(sha1.New, salt, forKey, iterations, size)
	if err != nil {
		return nil, nil, err
	}
	iv, err := s.pkcs12Key(sha1.New, salt, forIV, iterations, des.BlockSize)
	if err != nil {
		return nil, nil, err
	}
	switch oid {
	case oidSHA1PBERC2128, oidSHA1PBERC240:
		return newRC2(key), iv, nil
	case oidSHA1PBE3DES2Key:
		key = append(key, key[:8]...)
	}
	block, err := des.NewTripleDESCipher(key) //nolint:gosec // G405: what older stores are encrypted with
	return block, iv, err
}
