package identity

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxNameBytes  = 8 << 10 // DER of a DN
	maxAttributes = 64      // in a DN or a pattern
)

// DN is a distinguished name: relative distinguished names in the order in which a certificate has them. The zero value
// is the empty name, which no pattern matches. A DN is immutable; copies share what they point to.
type DN struct {
	attributes []attribute        // of all RDNs, in DER order
	canonical  rendering          // RFC 4514
	key        string             // see Key
	renderings func() []rendering // all usual ones, made when first asked for
}

// rendering is a DN as text, and the text cut at its slashes for Ant patterns.
type rendering struct {
	text     string
	segments []string
}

// attribute is one attribute of a DN: text, or for types that have no word possibly something else.
type attribute struct {
	rdn      int    // index of its RDN in the DN
	oid      string // dotted
	text     string // as the certificate says it
	prepared string // text as it is compared
	der      string // the value's DER; "" where the DN was read from text
	opaque   bool   // the value is not text: der is what is compared
}

// ParseDN reads a DER name, such as a certificate's RawSubject or RawIssuer. Every string type is understood; T61String
// is read as Latin-1. An attribute type without a word may have a value that is not text, any other may not. A value
// that cannot be decoded or prepared (see Prepare), an empty RDN, more than 64 attributes or 8 KiB are an error: the
// caller treats the certificate as malformed.
func ParseDN(der []byte) (DN, error) {
	if len(der) > maxNameBytes {
		return DN{}, fmt.Errorf("name of %d bytes is too long", len(der))
	}
	rdns, err := readSequence(der)
	if err != nil {
		return DN{}, fmt.Errorf("name: %w", err)
	}
	var attributes []attribute
	n := 0
	for ; len(rdns) > 0; n++ {
		var set, pair []byte
		if set, rdns, err = cutConstructed(rdns, asn1.TagSet); err != nil {
			return DN{}, fmt.Errorf("RDN %d: %w", n+1, err)
		}
		if len(set) == 0 {
			return DN{}, fmt.Errorf("RDN %d is empty", n+1)
		}
		for len(set) > 0 {
			if pair, set, err = cutConstructed(set, asn1.TagSequence); err != nil {
				return DN{}, fmt.Errorf("RDN %d: %w", n+1, err)
			}
			a, err := parseAttribute(pair)
			if err != nil {
				return DN{}, fmt.Errorf("RDN %d: %w", n+1, err)
			}
			if len(attributes) == maxAttributes {
				return DN{}, fmt.Errorf("more than %d attributes", maxAttributes)
			}
			a.rdn = n
			attributes = append(attributes, a)
		}
	}
	return newDN(attributes), nil
}

// newDN takes over the attributes, which are checked and in DER order.
func newDN(attributes []attribute) DN {
	if len(attributes) == 0 {
		return DN{}
	}
	keys := make([]string, len(attributes))
	for i, a := range attributes {
		keys[i] = attributeKey(a)
	}
	canonical := newRendering(render(attributes, canonicalStyle))
	return DN{
		attributes: attributes,
		canonical:  canonical,
		key:        joinKeys(keys),
		renderings: sync.OnceValue(func() []rendering { return usualRenderings(attributes, canonical) }),
	}
}

func newRendering(text string) rendering { return rendering{text: text, segments: pathSegments(text)} }

// String returns the name by RFC 4514: last RDN first, separated by commas without blanks. Types have their usual word,
// or else are dotted with the value in hex. What is not printable is escaped, so the text is one line. The empty name
// is "".
func (d *DN) String() string {
	if d == nil {
		return ""
	}
	return d.canonical.text
}

// Empty reports whether the name has no attribute.
func (d *DN) Empty() bool { return d == nil || len(d.attributes) == 0 }

// CommonNames returns the common names in DER order, as the certificate says them, not prepared.
func (d *DN) CommonNames() []string { return d.values(oidCommonName) }

// values returns the values of a type that has a word, and so is text, in DER order, as the certificate says them.
func (d *DN) values(oid string) []string {
	if d == nil {
		return nil
	}
	var found []string
	for _, a := range d.attributes {
		if a.oid == oid {
			found = append(found, a.text)
		}
	}
	return found
}

// Renderings returns the usual ways to write the name, each once, RFC 4514 first: either order, with and without blanks
// after the separator, the slashes of OpenSSL, the words that Java, Microsoft, Boomi and others use for the same type,
// and RFC 2253 to the letter. Some are ambiguous: they serve to refuse, never to allow. The empty name has none.
func (d *DN) Renderings() []string {
	if d.Empty() {
		return nil
	}
	var texts []string
	for _, r := range d.renderings() {
		texts = append(texts, r.text)
	}
	return texts
}

// Key returns a text that two names share exactly when they have the same attributes, in whatever order and however
// grouped into RDNs, compared as patterns compare them. The empty name's key is "". See Pattern.Key.
func (d *DN) Key() string {
	if d == nil {
		return ""
	}
	return d.key
}

// attributeKey and joinKeys cannot be confused by a value: prepared text has no control characters, and what is not
// text is in hex.
func attributeKey(a attribute) string {
	if a.opaque {
		return a.oid + "\x01" + hex.EncodeToString([]byte(a.der))
	}
	return a.oid + "\x02" + a.prepared
}

func joinKeys(keys []string) string {
	slices.Sort(keys)
	return strings.Join(keys, "\x00")
}

// empty reports whether the value says nothing.
func (a attribute) empty() bool { return !a.opaque && a.prepared == "" }

// newTextAttribute prepares a text value.
func newTextAttribute(oid, text string) (attribute, error) {
	prepared, err := Prepare(text)
	if err != nil {
		return attribute{}, fmt.Errorf("%s: %w", typeName(oid), err)
	}
	return attribute{oid: oid, text: text, prepared: prepared}, nil
}

// newDERAttribute decodes a value. What is not text is kept as it is, if the type allows it.
func newDERAttribute(oid string, value asn1.RawValue) (attribute, error) {
	text, isText, err := decodeString(value)
	if err != nil {
		return attribute{}, fmt.Errorf("%s: %w", typeName(oid), err)
	}
	if isText {
		a, err := newTextAttribute(oid, text)
		a.der = string(value.FullBytes)
		return a, err
	}
	if _, named := nameByOID[oid]; named {
		return attribute{}, fmt.Errorf("%s: the value is not text", typeName(oid))
	}
	return attribute{oid: oid, der: string(value.FullBytes), opaque: true}, nil
}

func typeName(oid string) string {
	if name, ok := nameByOID[oid]; ok {
		return name
	}
	return oid
}

// parseAttribute reads the contents of an AttributeTypeAndValue.
func parseAttribute(pair []byte) (attribute, error) {
	var oid asn1.ObjectIdentifier
	value, err := asn1.Unmarshal(pair, &oid)
	if err != nil {
		return attribute{}, errors.New("attribute type is not an OID")
	}
	raw, err := readValue(value)
	if err != nil {
		return attribute{}, fmt.Errorf("%s: %w", typeName(oid.String()), err)
	}
	return newDERAttribute(oid.String(), raw)
}

// readValue reads exactly one DER value. Only its own tag and length are checked, not what is inside.
func readValue(der []byte) (asn1.RawValue, error) {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(der, &raw)
	if err != nil {
		return raw, errors.New("the value is not DER")
	}
	if len(rest) > 0 {
		return raw, errors.New("data after the value")
	}
	return raw, nil
}

// readSequence returns the contents of the one SEQUENCE that der is.
func readSequence(der []byte) ([]byte, error) {
	contents, rest, err := cutConstructed(der, asn1.TagSequence)
	if err == nil && len(rest) > 0 {
		err = errors.New("data after the end")
	}
	return contents, err
}

// cutConstructed returns the contents of the SEQUENCE or SET at the beginning of der, and what follows it.
func cutConstructed(der []byte, tag int) (contents, rest []byte, err error) {
	var raw asn1.RawValue
	rest, err = asn1.Unmarshal(der, &raw)
	if err != nil || raw.Class != asn1.ClassUniversal || raw.Tag != tag || !raw.IsCompound {
		return nil, nil, errors.New("not the DER of a name")
	}
	return raw.Bytes, rest, nil
}

// String types that encoding/asn1 has no names for.
const (
	tagVisibleString   = 26
	tagUniversalString = 28
)

// decodeString decodes a value of a string type; isText is false for a value of any other type.
func decodeString(value asn1.RawValue) (text string, isText bool, err error) {
	if value.Class != asn1.ClassUniversal || value.IsCompound {
		return "", false, nil
	}
	b := value.Bytes
	switch value.Tag {
	case asn1.TagUTF8String:
		if !utf8.Valid(b) {
			return "", true, errors.New("UTF8String is not valid UTF-8")
		}
		return string(b), true, nil
	case asn1.TagPrintableString:
		return decodeSubset(b, "PrintableString", isPrintableStringByte)
	case asn1.TagNumericString:
		return decodeSubset(b, "NumericString", func(c byte) bool { return c == ' ' || '0' <= c && c <= '9' })
	case asn1.TagIA5String:
		return decodeSubset(b, "IA5String", func(c byte) bool { return c < utf8.RuneSelf })
	case tagVisibleString:
		return decodeSubset(b, "VisibleString", func(c byte) bool { return ' ' <= c && c <= '~' })
	case asn1.TagT61String:
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return string(runes), true, nil
	case asn1.TagBMPString:
		text, err := decodeBMP(b)
		return text, true, err
	case tagUniversalString:
		text, err := decodeUniversal(b)
		return text, true, err
	}
	return "", false, nil
}

func decodeSubset(b []byte, name string, allowed func(byte) bool) (string, bool, error) {
	for _, c := range b {
		if !allowed(c) {
			return "", true, fmt.Errorf("%s with the byte %#02x", name, c)
		}
	}
	return string(b), true, nil
}

// isPrintableStringByte allows, besides what X.680 does, the asterisk and the ampersand, as crypto/x509 does.
func isPrintableStringByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("0123456789 '()+,-./:=?*&", c) >= 0
}

// decodeBMP decodes UCS-2. A surrogate is not a character there.
func decodeBMP(b []byte) (string, error) {
	if len(b)%2 != 0 {
		return "", errors.New("BMPString of odd length")
	}
	runes := make([]rune, 0, len(b)/2)
	for i := 0; i < len(b); i += 2 {
		r := rune(b[i])<<8 | rune(b[i+1])
		if utf16.IsSurrogate(r) {
			return "", fmt.Errorf("BMPString with the surrogate %U", r)
		}
		runes = append(runes, r)
	}
	return string(runes), nil
}

// decodeUniversal decodes UCS-4.
func decodeUniversal(b []byte) (string, error) {
	if len(b)%4 != 0 {
		return "", errors.New("UniversalString whose length is not a multiple of four")
	}
	runes := make([]rune, 0, len(b)/4)
	for i := 0; i < len(b); i += 4 {
		v := uint32(b[i])<<24 | uint32(b[i+1])<<16 | uint32(b[i+2])<<8 | uint32(b[i+3])
		if v > unicode.MaxRune || !utf8.ValidRune(rune(v)) {
			return "", fmt.Errorf("UniversalString with the invalid character %#x", v)
		}
		runes = append(runes, rune(v))
	}
	return string(runes), nil
}
