package identity

import (
	"crypto/sha1" //nolint:gosec // thumbprints of foreign lists are SHA-1; nothing is signed or trusted by it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxThumbprintText bounds the text of a thumbprint or serial number, with all its colons and blanks.
const maxThumbprintText = 1024

// SHA256 is a SHA-256 digest: a certificate's thumbprint (over its DER) or that of its public key.
type SHA256 [sha256.Size]byte

// SHA1 is a certificate's SHA-1 thumbprint, for lists that come from elsewhere. It identifies, it never proves.
type SHA1 [sha1.Size]byte

// Thumbprint returns the SHA-256 of the certificate's DER. It says nothing about whether the certificate is trusted. A
// nil certificate, or one that was not parsed from DER, has the zero thumbprint.
func Thumbprint(cert *x509.Certificate) SHA256 {
	if cert == nil || len(cert.Raw) == 0 {
		return SHA256{}
	}
	return sha256.Sum256(cert.Raw)
}

// ParseSHA256 reads a SHA-256 digest as people paste it: hex in any case with colons, blanks and invisible characters
// anywhere, or base64 or base64url with or without padding; with or without a label such as "sha256:" or "SHA256
// Fingerprint=". Anything else is an error of one line that does not repeat the text.
func ParseSHA256(text string) (SHA256, error) {
	var d SHA256
	err := parseDigest(d[:], text, "SHA-256")
	return d, err
}

// ParseSHA1 reads a SHA-1 digest the way ParseSHA256 reads a SHA-256 digest.
func ParseSHA1(text string) (SHA1, error) {
	var d SHA1
	err := parseDigest(d[:], text, "SHA-1")
	return d, err
}

// String returns the digest in lower-case hex.
func (d SHA256) String() string { return hex.EncodeToString(d[:]) }

// MarshalText returns the digest in lower-case hex.
func (d SHA256) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText is ParseSHA256. On error the digest is unchanged.
func (d *SHA256) UnmarshalText(text []byte) error {
	parsed, err := ParseSHA256(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// String returns the digest in lower-case hex.
func (d SHA1) String() string { return hex.EncodeToString(d[:]) }

// MarshalText returns the digest in lower-case hex.
func (d SHA1) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText is ParseSHA1. On error the digest is unchanged.
func (d *SHA1) UnmarshalText(text []byte) error {
	parsed, err := ParseSHA1(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// parseDigest fills dst, whose length says how many bytes are wanted, or leaves it zero and says what is wrong.
func parseDigest(dst []byte, text, algorithm string) error {
	text, err := compact(text)
	if err != nil {
		return err
	}
	if strings.HasPrefix(text, "-----BEGIN") {
		return fmt.Errorf("a PEM block is not a %s thumbprint", algorithm)
	}
	label, digits := cutDigestLabel(text)
	if label != "" && label != algorithm {
		return fmt.Errorf("labelled %s, want %s", label, algorithm)
	}
	hexDigits := strings.ReplaceAll(strings.ReplaceAll(digits, ":", ""), "-", "")
	if hexDigits == "" {
		return fmt.Errorf("empty %s thumbprint", algorithm)
	}
	bad := strings.IndexFunc(hexDigits, func(r rune) bool { return !isHexDigit(r) })
	// A hyphen separates hex digits or is one of base64url; base64 has a length of its own, so only a text without
	// hyphens that is all hex digits is taken for hex of the wrong length.
	if bad < 0 && (len(hexDigits) == 2*len(dst) || !strings.Contains(digits, "-")) {
		return decodeHexDigest(dst, hexDigits, algorithm)
	}
	if decoded, ok := decodeBase64(digits); ok && len(decoded) == len(dst) {
		copy(dst, decoded)
		return nil
	}
	if bad < 0 {
		return decodeHexDigest(dst, hexDigits, algorithm)
	}
	r, _ := utf8.DecodeRuneInString(hexDigits[bad:])
	return fmt.Errorf("%+q is not a hex digit: want %d hex digits (%s), or base64 of %d bytes",
		r, 2*len(dst), algorithm, len(dst))
}

func decodeHexDigest(dst []byte, digits, algorithm string) error {
	if len(digits) == 2*len(dst) {
		_, err := hex.Decode(dst, []byte(digits))
		return err
	}
	looksLike := ""
	switch len(digits) {
	case 2 * sha1.Size:
		looksLike = "; this looks like SHA-1"
	case 2 * sha256.Size:
		looksLike = "; this looks like SHA-256"
	case 32:
		looksLike = "; this looks like MD5"
	}
	return fmt.Errorf("%d hex digits, want %d (%s)%s", len(digits), 2*len(dst), algorithm, looksLike)
}

// decodeBase64 reads the standard and the URL alphabet, padded or not. Bits that are left over must be zero.
func decodeBase64(s string) ([]byte, bool) {
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if decoded, err := e.Strict().DecodeString(s); err == nil {
			return decoded, true
		}
	}
	return nil, false
}

// cutDigestLabel takes the label off a compacted text and returns the algorithm it names, or "" when there is none. The
// forms are those of openssl ("SHA256 Fingerprint=", "sha256 Fingerprint="), of lists ("sha256:") and of curl's pins
// ("sha256//").
func cutDigestLabel(text string) (algorithm, rest string) {
	for _, l := range []struct{ label, algorithm string }{
		{"sha256", "SHA-256"}, {"sha-256", "SHA-256"}, {"sha1", "SHA-1"}, {"sha-1", "SHA-1"},
	} {
		rest, ok := cutPrefixFold(text, l.label)
		if !ok {
			continue
		}
		if r, ok := cutPrefixFold(rest, "fingerprint"); ok {
			rest = r
		}
		for _, separator := range []string{"//", ":", "="} {
			if r, ok := strings.CutPrefix(rest, separator); ok {
				return l.algorithm, r
			}
		}
	}
	return "", text
}

// compact drops blanks and invisible characters of any kind, wherever they stand.
func compact(text string) (string, error) {
	if len(text) > maxThumbprintText {
		return "", fmt.Errorf("%d bytes are too long", len(text))
	}
	if !utf8.ValidString(text) {
		return "", errors.New("not valid UTF-8")
	}
	if strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r >= utf8.RuneSelf }) < 0 {
		return text, nil
	}
	return strings.Map(func(r rune) rune {
		if ' ' < r && r < utf8.RuneSelf {
			return r
		}
		if unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Z) || mappedToNothing(r) {
			return -1
		}
		return r
	}, text), nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func isHexDigit(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F'
}
