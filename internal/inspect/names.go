package inspect

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"sallyport/internal/identity"
)

// Name is a distinguished name.
type Name struct {
	// Renderings are the name in the forms of package identity, by their words. Empty for the empty name and for one that
	// cannot be read.
	Renderings map[string]string `json:"renderings"`
	// Error says why the gateway cannot read the name; empty when it can.
	Error string `json:"error,omitempty"`
	// Attributes are in the order of the certificate.
	Attributes []Attribute `json:"attributes"`

	dn identity.DN
}

// Attribute is one attribute of a name.
type Attribute struct {
	RDN    int    `json:"rdn"`  // which RDN it is part of, from 1
	Type   string `json:"type"` // its word, or the OID again
	OID    string `json:"oid"`
	String string `json:"string"` // the string type, such as UTF8String
	Value  string `json:"value"`  // as the certificate says it
	// Visible is the value between quotation marks with everything escaped that is not printable.
	Visible string `json:"visible"`
	// Odd are the kinds of characters in the value that people do not see or take for others.
	Odd []string `json:"odd,omitempty"`
}

// Kinds of odd characters.
const (
	oddNUL         = "nul"
	oddControl     = "control"
	oddBidi        = "bidi"
	oddInvisible   = "invisible"
	oddBlanks      = "blanks"
	oddMixedScript = "mixed_script"
	oddLookalike   = "lookalike"
	oddCompatible  = "compatibility"
	oddRefused     = "refused"
)

// Text returns the name by RFC 4514, or its attributes as far as they can be shown.
func (n *Name) Text() string {
	if text := n.Renderings[identity.FormRFC4514.String()]; text != "" || len(n.Attributes) == 0 {
		return text
	}
	var parts []string
	for i := range n.Attributes {
		a := &n.Attributes[len(n.Attributes)-1-i]
		parts = append(parts, a.Type+"="+a.Visible)
	}
	return strings.Join(parts, ",")
}

func (n *Name) odd(kind string) *Attribute {
	for i := range n.Attributes {
		if slices.Contains(n.Attributes[i].Odd, kind) {
			return &n.Attributes[i]
		}
	}
	return nil
}

// newName reads a name out of DER that x509 has parsed.
func newName(der []byte) Name {
	n := Name{Renderings: map[string]string{}, Attributes: readAttributes(der)}
	var err error
	if n.dn, err = identity.ParseDN(der); err != nil {
		n.Error = Printable(err.Error())
		return n
	}
	for _, form := range identity.Forms() {
		if text := n.dn.Format(form); text != "" {
			n.Renderings[form.String()] = text
		}
	}
	return n
}

// readAttributes reads as much as there is, whether the gateway would take it for a name or not.
func readAttributes(der []byte) []Attribute {
	type pair struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type pairSET []pair // the name makes encoding/asn1 read a SET
	var rdns []pairSET
	attributes := []Attribute{}
	if _, err := asn1.Unmarshal(der, &rdns); err != nil {
		return attributes
	}
	for i, rdn := range rdns {
		for _, p := range rdn {
			oid := p.Type.String()
			kind, text := decode(p.Value)
			attributes = append(attributes, Attribute{
				RDN: i + 1, Type: identity.AttributeName(oid), OID: oid, String: kind, Value: text, Visible: strconv.Quote(text), Odd: oddities(text),
			})
		}
	}
	return attributes
}

// decode returns the string type of a value and what it says. What cannot be decoded has U+FFFD in it.
func decode(v asn1.RawValue) (kind, text string) {
	kinds := map[int]string{
		asn1.TagUTF8String: "UTF8String", asn1.TagPrintableString: "PrintableString", asn1.TagIA5String: "IA5String",
		asn1.TagNumericString: "NumericString", asn1.TagT61String: "T61String", asn1.TagBMPString: "BMPString",
		26: "VisibleString", 28: "UniversalString",
	}
	kind, ok := kinds[v.Tag]
	if !ok || v.Class != asn1.ClassUniversal {
		return fmt.Sprintf("tag %d", v.Tag), fmt.Sprintf("#%x", v.FullBytes)
	}
	switch v.Tag {
	case asn1.TagBMPString:
		var units []uint16
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			units = append(units, uint16(v.Bytes[i])<<8|uint16(v.Bytes[i+1]))
		}
		return kind, string(utf16.Decode(units))
	case asn1.TagT61String:
		runes := make([]rune, len(v.Bytes))
		for i, b := range v.Bytes {
			runes[i] = rune(b)
		}
		return kind, string(runes)
	}
	return kind, strings.ToValidUTF8(string(v.Bytes), string(utf8.RuneError))
}

// oddities returns the kinds of odd characters in a value, each once.
func oddities(text string) []string {
	var found []string
	if strings.ContainsRune(text, 0) {
		found = append(found, oddNUL)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r != 0 && unicode.Is(unicode.Cc, r) }) {
		found = append(found, oddControl)
	}
	if strings.ContainsFunc(text, isBidi) {
		found = append(found, oddBidi)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return isInvisible(r) && !isBidi(r) }) {
		found = append(found, oddInvisible)
	}
	if strings.HasPrefix(text, " ") || strings.HasSuffix(text, " ") || strings.Contains(text, "  ") ||
		strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && unicode.Is(unicode.Z, r) }) {
		found = append(found, oddBlanks)
	}
	mixed, lookalike := scripts(text)
	if mixed {
		found = append(found, oddMixedScript)
	}
	if lookalike {
		found = append(found, oddLookalike)
	}
	switch prepared, err := identity.Prepare(text); {
	case err != nil:
		found = append(found, oddRefused)
	case prepared != text && len(found) == 0:
		found = append(found, oddCompatible)
	}
	return found
}

// isBidi reports whether a character changes the direction of what is around it (Unicode UAX #9).
func isBidi(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }

func isInvisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// latinLookalikes are the letters of other scripts that look like Latin ones in most typefaces.
const latinLookalikes = "аеорсухіјѕһԁԛԝАВЕЗКМНОРСТУХІЈЅԌԚԜ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονυα" + "ՕՏԼ"

// scripts says whether a word mixes letters of Latin with those of a script that looks like it, and whether a word of
// such a script could be read as Latin throughout.
func scripts(text string) (mixed, lookalike bool) {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.Is(unicode.M, r) })
	for _, word := range words {
		latin, other, similar := 0, 0, 0
		for _, r := range word {
			switch {
			case unicode.Is(unicode.Latin, r):
				latin++
			case unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee):
				other++
				if strings.ContainsRune(latinLookalikes, r) {
					similar++
				}
			}
		}
		mixed = mixed || latin > 0 && other > 0
		lookalike = lookalike || latin == 0 && other > 0 && other == similar
	}
	return mixed, lookalike
}

// Printable makes a text one line in which nothing is hidden: everything that is not printable is escaped.
func Printable(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !isPlain(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case isPlain(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

func isPlain(r rune) bool { return unicode.IsPrint(r) && r != utf8.RuneError }

// AltName is a subject alternative name.
type AltName struct {
	Kind  string `json:"kind"` // dns, uri, email, ip, other, x400, directory, edi or registered_id
	Value string `json:"value"`
	OID   string `json:"oid,omitempty"` // of an other name
	// SPIFFE says that it is a SPIFFE id: a URI with that scheme.
	SPIFFE bool `json:"spiffe,omitempty"`
}

const (
	oidSubjectAltName = "2.5.29.17"
	oidUPN            = "1.3.6.1.4.1.311.20.2.3" // a Windows user's name, RFC 4556 §3.2.3.1 beside others
)

// alternativeNames lists the names of RFC 5280 §4.2.1.6 in their order, also those that the gateway does not match.
func alternativeNames(cert *x509.Certificate) []AltName {
	found := []AltName{}
	for _, e := range cert.Extensions {
		if e.Id.String() != oidSubjectAltName {
			continue
		}
		var sequence asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &sequence); err != nil {
			continue
		}
		for rest := sequence.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &name); err != nil {
				break
			}
			found = append(found, alternativeName(name))
		}
	}
	return found
}

func alternativeName(name asn1.RawValue) AltName {
	text := strings.ToValidUTF8(string(name.Bytes), string(utf8.RuneError))
	raw := fmt.Sprintf("#%x", name.Bytes)
	switch name.Tag {
	case 0:
		return otherName(name)
	case 1:
		return AltName{Kind: "email", Value: text}
	case 2:
		return AltName{Kind: "dns", Value: text}
	case 3:
		return AltName{Kind: "x400", Value: raw}
	case 4:
		if dn, err := identity.ParseDN(name.Bytes); err == nil {
			return AltName{Kind: "directory", Value: dn.String()}
		}
		return AltName{Kind: "directory", Value: raw}
	case 5:
		return AltName{Kind: "edi", Value: raw}
	case 6:
		scheme, _, _ := strings.Cut(text, "://")
		return AltName{Kind: "uri", Value: text, SPIFFE: strings.EqualFold(scheme, "spiffe")}
	case 7:
		if addr, ok := netip.AddrFromSlice(name.Bytes); ok {
			return AltName{Kind: "ip", Value: addr.Unmap().String()}
		}
		return AltName{Kind: "ip", Value: raw}
	case 8:
		var oid asn1.ObjectIdentifier
		if _, err := asn1.UnmarshalWithParams(name.FullBytes, &oid, "tag:8"); err == nil {
			return AltName{Kind: "registered_id", Value: oid.String()}
		}
	}
	return AltName{Kind: "registered_id", Value: raw}
}

// otherName reads the type and, where it is a string, the value.
func otherName(name asn1.RawValue) AltName {
	n := AltName{Kind: "other", Value: fmt.Sprintf("#%x", name.Bytes)}
	var oid asn1.ObjectIdentifier
	rest, err := asn1.Unmarshal(name.Bytes, &oid)
	if err != nil {
		return n
	}
	n.OID = oid.String()
	var wrapper, value asn1.RawValue
	if _, err := asn1.Unmarshal(rest, &wrapper); err != nil {
		return n
	}
	n.Value = fmt.Sprintf("#%x", wrapper.Bytes)
	if _, err := asn1.Unmarshal(wrapper.Bytes, &value); err == nil && value.Tag == asn1.TagUTF8String && n.OID == oidUPN {
		_, n.Value = decode(value)
	}
	return n
}

// matchersOf returns the matchers that name this certificate or its holder, each one line of YAML. A name that no
// matcher can name has none.
func matchersOf(c *Certificate) []string {
	matchers := []string{"sha256: " + quoted(c.Thumbprints.SHA256), "spki_sha256: " + quoted(c.Thumbprints.SPKI)}
	if subject, ok := c.Subject.dn.Pattern(); ok {
		matchers = append(matchers, "subject: "+quoted(subject))
	}
	if issuer, ok := c.Issuer.dn.Pattern(); ok {
		if _, err := identity.ParseSerial(c.Serial.Hex); err == nil {
			matchers = append(matchers, fmt.Sprintf("{issuer: %s, serial: %s}", quoted(issuer), quoted(c.Serial.Hex)))
		}
	}
	if organization, ok := c.Subject.dn.OrganizationIdentifier(); ok {
		if pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`).Replace(organization); validGlob(pattern) {
			matchers = append(matchers, "organization_identifier: "+quoted(pattern))
		}
	}
	kinds := map[string]identity.SANKind{"dns": identity.SANDNS, "uri": identity.SANURI, "email": identity.SANEmail, "ip": identity.SANIP}
	for _, name := range c.SubjectAltNames {
		kind, ok := kinds[name.Kind]
		if !ok || strings.Contains(name.Value, "*") {
			continue // a pattern of that text stands for more names
		}
		if _, err := identity.ParseSANPattern(kind, name.Value); err == nil {
			matchers = append(matchers, kind.String()+": "+quoted(name.Value))
		}
	}
	return matchers
}

func validGlob(pattern string) bool {
	_, err := identity.ParseGlob(pattern)
	return err == nil
}

// quoted writes a string that JSON and YAML read alike.
func quoted(text string) string {
	var b strings.Builder
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(text); err != nil {
		return `""` // a string always has JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}
