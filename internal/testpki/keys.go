package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"sync"
	"testing"
)

// KeyType is a kind of key. Elliptic curve keys are made anew for every certificate; RSA keys are slow to make, so all
// certificates of one size in a test binary share one.
type KeyType string

// The kinds of key; the empty string means P256.
const (
	P224    KeyType = "P-224"
	P256    KeyType = "P-256"
	P384    KeyType = "P-384"
	P521    KeyType = "P-521"
	Ed25519 KeyType = "Ed25519"
	RSA1024 KeyType = "RSA-1024"
	RSA2048 KeyType = "RSA-2048"
	RSA3072 KeyType = "RSA-3072"
)

// Made once for each process: a key of 3,072 bits takes half a second.
var (
	rsa1024 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) }) //nolint:gosec // for tests that refuse it
	rsa2048 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	rsa3072 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) })
)

func newKey(tb testing.TB, k KeyType) crypto.Signer {
	tb.Helper()
	var key crypto.Signer
	var err error
	switch k {
	case "", P256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P224:
		key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case P384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case P521:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case RSA1024:
		key, err = rsa1024()
	case RSA2048:
		key, err = rsa2048()
	case RSA3072:
		key, err = rsa3072()
	default:
		tb.Fatalf("unknown kind of key %q", k)
	}
	if err != nil {
		tb.Fatalf("make a key %s: %v", k, err)
	}
	return key
}

// serial returns n, or a random positive serial number of 16 bytes (RFC 5280 §4.1.2.2) when n is zero.
func serial(tb testing.TB, n int64) *big.Int {
	tb.Helper()
	if n != 0 {
		return big.NewInt(n)
	}
	random, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		tb.Fatalf("make a serial number: %v", err)
	}
	return random.Add(random, big.NewInt(1))
}
