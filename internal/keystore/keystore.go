// Package keystore turns the contents of certificate and key files into parsed certificates and private keys: PEM (RFC
// 7468, with the private keys of RFC 5208, RFC 5915 and RFC 8017), DER (RFC 5280, RFC 5652 for bundles), PKCS#12 (RFC
// 7292, RFC 8018, RFC 9579) and Java's JKS. It owns what is accepted of them, the limits, the names of their entries, and
// which leaf a private key belongs to. It never reads a file, never decides whether a certificate is trusted, and never
// puts key material or a password into an error.
//
// It is strict. Text around PEM blocks is ignored, but whatever else is damaged, unknown or left over is an error that
// says where it is and what to do, because a certificate dropped in silence is an outage or worse. PKCS#12 and PKCS#7
// have to be DER, as OpenSSL, Java, Windows and Go write them, and a key store's integrity is verified before anything in
// it counts. All functions are pure and safe for concurrent use.
package keystore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// Limits on what is accepted, whatever the format.
const (
	// MaxBytes is the largest file.
	MaxBytes = 32 << 20
	// MaxCertificates is the largest number of certificates, duplicates not counted.
	MaxCertificates = 100_000
	// MaxCertificateBytes is the largest DER of one certificate.
	MaxCertificateBytes = 64 << 10
	// MaxKeys is the largest number of private keys, duplicates counted: decrypting and checking one is slow.
	MaxKeys = 16
	// MaxKeyBytes is the largest DER of one private key; an RSA key of 16,384 bits has 9,300.
	MaxKeyBytes = 16 << 10
)

// Bundle is what a file holds: at least one certificate or key.
type Bundle struct {
	// Format is the file's.
	Format Format
	// Certificates are in the order of the file; a certificate that occurs again is left out.
	Certificates []*x509.Certificate
	// Keys are the private keys in the order of the file: *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey.
	Keys []crypto.Signer
	// Entries are those of a key store, in the order of the file. They are nil for PEM and DER, which have none.
	Entries []Entry
}

// Entry is one entry of a key store: a private key with its certificate, or a certificate alone.
type Entry struct {
	// Alias is the name of the entry as the file has it; empty when it has none, which PKCS#12 allows.
	Alias string
	// Certificate is the entry's own; nil for a private key without one, which PKCS#12 allows.
	Certificate *x509.Certificate
	// Chain is Certificate and its issuers: as the file has them in JKS, and as far as the file holds them in PKCS#12,
	// which does not order them. It is nil for an entry without a private key.
	Chain []*x509.Certificate
	// Key is the private key; nil for a certificate alone.
	Key crypto.Signer
	// TrustedJava says that Java takes the entry for a trusted certificate: any certificate alone in JKS, one that is
	// marked so in PKCS#12. Other programs than Java do not mark them.
	TrustedJava bool
}

// Entry returns the entry with an alias. As in Java, upper and lower case are the same. An alias that no entry has is an
// error that lists those there are, and so is one that several entries have.
func (b *Bundle) Entry(alias string) (*Entry, error) {
	const most = 20
	var found *Entry
	var known []string
	unnamed, matches := 0, 0
	wanted := FoldAlias(alias)
	for i := range b.Entries {
		e := &b.Entries[i]
		switch {
		case e.Alias == "":
			unnamed++
		case FoldAlias(e.Alias) == wanted:
			found = e
			matches++
		case len(known) < most:
			known = append(known, quoteAlias(e.Alias))
		default:
			known = append(known[:most], "and others")
		}
	}
	switch {
	case matches == 1:
		return found, nil
	case matches > 1:
		return nil, fmt.Errorf("%d entries have the alias %s", matches, quoteAlias(alias))
	case len(known) == 0:
		return nil, fmt.Errorf("no entry has the alias %s: none of the %d has one", quoteAlias(alias), unnamed)
	}
	return nil, fmt.Errorf("no entry has the alias %s: there are %s", quoteAlias(alias), strings.Join(known, ", "))
}

// FoldAlias returns what two aliases have in common that Java takes for the same: their text in lower case, by the rules of
// Unicode that depend on no language. That is neither strings.ToLower nor strings.EqualFold: İ becomes two characters, and
// a Σ at the end of a word another sigma. It is safe for concurrent use.
func FoldAlias(alias string) string { return cases.Lower(language.Und).String(alias) }

// quoteAlias quotes an alias for an error.
func quoteAlias(alias string) string {
	const longest = 60
	if runes := []rune(alias); len(runes) > longest {
		alias = string(runes[:longest-1]) + "…"
	}
	return strconv.Quote(alias)
}

// Parse recognises the format of a file and reads it. The password is for key stores; PEM and DER have none, and an empty
// one means that there is none. Encrypted private keys of PEM and DER are refused.
func Parse(data []byte, password string) (*Bundle, error) {
	return parse(data, password, x509.ParseCertificate)
}

func parse(data []byte, password string, certificate certificateParser) (*Bundle, error) {
	format, err := Recognise(data)
	if err != nil {
		return nil, err
	}
	switch format {
	case FormatDER:
		return parseDER(data, certificate)
	case FormatPKCS12:
		return parsePKCS12(data, password, MaxRounds, certificate)
	case FormatJKS:
		return parseJKS(data, password, certificate)
	case FormatPEM:
	}
	return parsePEM(data, certificate)
}

// ParsePEM parses a PEM text. It needs at least one certificate or key. Byte order marks, CRLF and blanks before and
// after a line are accepted, and so is text outside the blocks, such as openssl's -text output, but no control octets,
// which text has not. PKCS#7 bundles give their certificates; parameters of elliptic curves and Diffie-Hellman groups are skipped. Everything else is an error: blocks
// of other types, encrypted keys, blocks that do not decode or do not end, and binary formats, which it names.
func ParsePEM(data []byte) (*Bundle, error) { return parsePEM(data, x509.ParseCertificate) }

func parsePEM(data []byte, certificate certificateParser) (*Bundle, error) {
	if err := refuseOthers(data); err != nil {
		return nil, err
	}
	c := newCollector(FormatPEM, certificate)
	s := scanner{rest: data}
	for number := 1; ; number++ {
		b, err := s.next()
		switch {
		case errors.Is(err, errNoText) && !bytes.Contains(data, boundaryBegin):
			return nil, noBlock(data)
		case errors.Is(err, errNoText):
			return nil, fmt.Errorf("line %d: %w", s.start, err)
		case err != nil:
			return nil, fmt.Errorf("PEM block %d, line %d: %w", number, s.start, err)
		case b == nil && number == 1:
			return nil, noBlock(data)
		case b == nil && len(c.bundle.Certificates) == 0 && len(c.bundle.Keys) == 0:
			return nil, errors.New("the text holds parameters only: expected a certificate or a private key")
		case b == nil:
			return c.bundle, nil
		}
		if err := c.add(b); err != nil {
			return nil, fmt.Errorf("PEM block %d, line %d: %w", number, b.line, err)
		}
	}
}

// collector parses certificates and keys into a bundle, each once.
type collector struct {
	bundle *Bundle
	certs  map[[32]byte]*x509.Certificate // by the SHA-256 of their DER
	keys   map[[32]byte]crypto.Signer

	certificate certificateParser

	keyItems int // private keys in the file, duplicates counted
}

func newCollector(format Format, certificate certificateParser) collector {
	return collector{bundle: &Bundle{Format: format}, certs: map[[32]byte]*x509.Certificate{}, keys: map[[32]byte]crypto.Signer{}, certificate: certificate}
}

// The labels that ParsePEM reads.
const (
	labelCertificate     = "CERTIFICATE"
	labelCertificateX509 = "X509 CERTIFICATE"
	labelPKCS8           = "PRIVATE KEY"
	labelRSA             = "RSA PRIVATE KEY"
	labelEC              = "EC PRIVATE KEY"
	labelPKCS7           = "PKCS7"
	labelPKCS7Signed     = "PKCS #7 SIGNED DATA"
	labelCMS             = "CMS"
)

func (c *collector) add(b *block) error {
	var err error
	switch b.label {
	case labelCertificate, labelCertificateX509:
		_, err = c.addCertificate(b.der)
	case labelPKCS8, labelRSA, labelEC:
		_, err = c.addKey(b.label, b.der)
	case labelPKCS7, labelPKCS7Signed, labelCMS:
		err = c.addPKCS7(b.der)
	}
	return err // nil for parameters: the scanner lets nothing else through
}

func (c *collector) addCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificateBytes {
		return nil, fmt.Errorf("certificate of %d bytes is larger than %d", len(der), MaxCertificateBytes)
	}
	sum := sha256.Sum256(der)
	if known := c.certs[sum]; known != nil {
		return known, nil
	}
	if len(c.bundle.Certificates) == MaxCertificates {
		return nil, fmt.Errorf("more than %d certificates", MaxCertificates)
	}
	cert, err := c.certificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w", err)
	}
	c.certs[sum] = cert
	c.bundle.Certificates = append(c.bundle.Certificates, cert)
	return cert, nil
}

// addKey adds a private key in the form that a label of PEM stands for.
func (c *collector) addKey(label string, der []byte) (crypto.Signer, error) {
	if len(der) > MaxKeyBytes {
		return nil, fmt.Errorf("private key of %d bytes is larger than %d", len(der), MaxKeyBytes)
	}
	if err := c.roomForKey(); err != nil {
		return nil, err
	}
	c.keyItems++
	sum := sha256.Sum256(der)
	if known := c.keys[sum]; known != nil {
		return known, nil
	}
	key, err := parseKey(label, der)
	if err != nil {
		return nil, err
	}
	c.keys[sum] = key
	c.bundle.Keys = append(c.bundle.Keys, key)
	return key, nil
}

// roomForKey refuses one private key more than a file may hold. Copies count: each is decrypted and becomes an entry.
func (c *collector) roomForKey() error {
	if c.keyItems == MaxKeys {
		return fmt.Errorf("more than %d private keys", MaxKeys)
	}
	return nil
}

// parseKey parses a private key as its label says. The parsers' errors are not passed on: they might quote the key.
func parseKey(label string, der []byte) (crypto.Signer, error) {
	var key any
	var err error
	var format string
	switch label {
	case labelRSA:
		format = "PKCS#1"
		key, err = x509.ParsePKCS1PrivateKey(der)
	case labelEC:
		format = "SEC 1"
		key, err = x509.ParseECPrivateKey(der)
	default:
		format = "PKCS#8"
		key, err = x509.ParsePKCS8PrivateKey(der)
	}
	header, length, sizeErr := lengthOf(der) // the parsers do not say what follows
	if err != nil || sizeErr != nil || header+length != len(der) {
		if kind := unsupportedKind(der); kind != "" {
			return nil, fmt.Errorf("the private key is %s, which is not supported: have the certificate issued anew for RSA, ECDSA on P-256, P-384 or P-521, or Ed25519", kind)
		}
		return nil, fmt.Errorf("parse private key: it does not hold a valid %s key of a supported kind", format)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	default:
		return nil, fmt.Errorf("private key of type %T cannot sign: expected RSA, ECDSA or Ed25519", key)
	}
}
