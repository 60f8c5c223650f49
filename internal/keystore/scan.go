package keystore

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// block is one PEM block, decoded.
type block struct {
	label string
	der   []byte
	line  int // of the BEGIN line, from 1
}

// scanner finds the blocks of a text. encoding/pem is not used because it skips what it cannot decode.
type scanner struct {
	rest  []byte
	line  int // number of the line read last
	start int // number of the line that an error is about
}

var (
	boundaryBegin = []byte("-----BEGIN ")
	boundaryEnd   = []byte("-----END ")
	dashes        = []byte("-----")
)

// next returns the next block, or nil at the end of the text.
func (s *scanner) next() (*block, error) {
	for {
		line, ok := s.readLine()
		if !ok {
			return nil, nil //nolint:nilnil // no block and no error is the end
		}
		s.start = s.line
		switch kind, label, err := boundary(line); {
		case err != nil:
			return nil, err
		case kind == lineEnd:
			return nil, fmt.Errorf("the END of a block%s without its BEGIN", quoteLabel(label))
		case kind == lineBegin:
			return s.body(label)
		case bytes.ContainsFunc(line, unprintable):
			return nil, errNoText
		}
	}
}

// errNoText is about octets outside the blocks: certificates in DER among them would be dropped in silence.
var errNoText = errors.New("there are control octets outside the PEM blocks: this is no text, or binary data such as DER was appended to one")

// unprintable reports whether a character is a control octet that texts do not have; line ends are gone.
func unprintable(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\v' && r != '\f' || r == 0x7f
}

// body reads what follows the BEGIN line up to its END line.
func (s *scanner) body(label string) (*block, error) {
	if err := acceptable(label); err != nil {
		return nil, err
	}
	b := &block{label: label, line: s.line}
	var text []byte
	for {
		line, ok := s.readLine()
		if !ok {
			return nil, fmt.Errorf("BEGIN %s without an END: the text is cut off", label)
		}
		kind, other, err := boundary(line)
		switch {
		case err != nil:
			s.start = s.line
			return nil, err
		case kind == lineBegin:
			return nil, fmt.Errorf("BEGIN %s without an END: the next block begins on line %d", label, s.line)
		case kind == lineEnd && other != label:
			return nil, fmt.Errorf("BEGIN %s is followed by the END of another block%s", label, quoteLabel(other))
		case kind == lineEnd:
			return b.decode(text)
		case bytes.IndexByte(line, ':') >= 0:
			return nil, headerError(line)
		}
		text = append(text, line...)
	}
}

func (b *block) decode(text []byte) (*block, error) {
	if len(text) == 0 {
		return nil, fmt.Errorf("the block %s is empty", b.label)
	}
	b.der = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(b.der, text)
	if err != nil { // not wrapped: nothing about a key's bytes may get into an error
		return nil, fmt.Errorf("the block %s is not valid base64%s", b.label, literalBreaks(text))
	}
	b.der = b.der[:n]
	return b, nil
}

// literalBreaks recognises a backslash and an n where line breaks should be, as left by JSON and environment variables.
func literalBreaks(text []byte) string {
	if bytes.Contains(text, []byte(`\n`)) || bytes.Contains(text, []byte(`\r`)) {
		return ` (it holds a literal \n where line breaks belong)`
	}
	return ""
}

// readLine returns the next line without blanks around it.
func (s *scanner) readLine() ([]byte, bool) {
	if len(s.rest) == 0 {
		return nil, false
	}
	s.line++
	line, rest, _ := bytes.Cut(s.rest, []byte{'\n'})
	s.rest = rest
	if s.line == 1 {
		line = bytes.TrimPrefix(line, utf8BOM)
	}
	return bytes.Trim(line, " \t\r\v\f"), true
}

type lineKind uint8

const (
	lineText lineKind = iota
	lineBegin
	lineEnd
)

// boundary classifies a line. A line that looks like a boundary and is none is an error: taken for text, it would make
// a block disappear.
func boundary(line []byte) (lineKind, string, error) {
	kind, prefix := lineBegin, boundaryBegin
	if bytes.HasPrefix(line, boundaryEnd) {
		kind, prefix = lineEnd, boundaryEnd
	}
	label, isBoundary := bytes.CutPrefix(line, prefix)
	if !isBoundary {
		if looksLikeBoundary(line) {
			return lineText, "", fmt.Errorf("malformed boundary: expected a line of its own like -----BEGIN CERTIFICATE-----%s", literalBreaks(line))
		}
		return lineText, "", nil
	}
	label, closed := bytes.CutSuffix(label, dashes)
	switch {
	case bytes.Contains(label, dashes):
		return lineText, "", fmt.Errorf("the line goes on after the boundary: put a line break there%s", literalBreaks(line))
	case !closed || len(bytes.TrimSpace(label)) == 0:
		return lineText, "", errors.New("malformed boundary: expected a line of its own like -----BEGIN CERTIFICATE-----")
	}
	return kind, string(label), nil
}

// looksLikeBoundary reports whether a line that is no boundary was meant as one: dashes and BEGIN or END.
func looksLikeBoundary(line []byte) bool {
	if bytes.Contains(line, boundaryBegin) || bytes.Contains(line, boundaryEnd) {
		return true
	}
	if !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	word := bytes.TrimLeft(line, "- \t")
	return bytes.HasPrefix(word, []byte("BEGIN ")) || bytes.HasPrefix(word, []byte("END "))
}

// headerError explains a line with a colon in a block: RFC 1421 headers, which RFC 7468 does not have.
func headerError(line []byte) error {
	if bytes.HasPrefix(line, []byte("Proc-Type:")) || bytes.HasPrefix(line, []byte("DEK-Info:")) {
		return errEncrypted
	}
	return errors.New("the block has headers (RFC 1421), expected base64 only (RFC 7468)")
}

var errEncrypted = errors.New("the private key is encrypted: decrypt it with: openssl pkey -in FILE -out FILE.decrypted")

// acceptable returns nil for the labels that ParsePEM reads or skips, and otherwise says what the block is and what is
// expected instead.
func acceptable(label string) error {
	const expected = "expected a certificate or a private key"
	switch label {
	case labelCertificate, labelCertificateX509, labelPKCS8, labelRSA, labelEC, labelPKCS7, labelPKCS7Signed, labelCMS,
		"EC PARAMETERS", "DH PARAMETERS", "X9.42 DH PARAMETERS":
		return nil
	case "ENCRYPTED PRIVATE KEY":
		return errEncrypted
	case "TRUSTED CERTIFICATE":
		return errors.New("this is a TRUSTED CERTIFICATE, OpenSSL's own format with trust settings: convert it with: openssl x509 -in FILE -out FILE.pem")
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return errors.New("this is a CERTIFICATE REQUEST, which a CA has yet to sign: expected the certificate that the CA returned")
	case "X509 CRL":
		return errors.New("this is an X509 CRL, a revocation list: " + expected)
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return errors.New("this is a PUBLIC KEY without a certificate: " + expected)
	case "OPENSSH PRIVATE KEY":
		return errors.New("this is an OPENSSH PRIVATE KEY: convert it with: ssh-keygen -p -m PKCS8 -f FILE")
	case "DSA PRIVATE KEY":
		return errors.New("this is a DSA PRIVATE KEY: expected RSA, ECDSA or Ed25519")
	default:
		return fmt.Errorf("unknown block type%s: %s", quoteLabel(label), expected)
	}
}

// quoteLabel returns the label of a block for an error, with a blank before it; nothing for what is no ordinary label
// and might be a piece of a key.
func quoteLabel(label string) string {
	ordinary := func(r rune) bool {
		return r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == ' ' || r == '#' || r == '.'
	}
	if len(label) > 40 || strings.ContainsFunc(label, func(r rune) bool { return !ordinary(r) }) {
		return ""
	}
	return fmt.Sprintf(" %q", label)
}
