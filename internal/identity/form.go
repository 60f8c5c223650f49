package identity

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Form is a way in which other software writes a DN, to the letter, for people who compare what they see elsewhere.
type Form uint8

// The forms.
const (
	// FormRFC4514 is the canonical form of this program, see DN.String.
	FormRFC4514 Form = iota
	// FormOpenSSL is OpenSSL's -nameopt oneline, the default of its version 3.0.
	FormOpenSSL
	// FormOpenSSLSlashes is OpenSSL's X509_NAME_oneline and -nameopt compat, the default before version 1.1.
	FormOpenSSLSlashes
	// FormOpenSSLRFC2253 is OpenSSL's -nameopt RFC2253, which nginx uses for $ssl_client_s_dn.
	FormOpenSSLRFC2253
	// FormJava is X500Principal.toString, which keytool prints.
	FormJava
	// FormJavaRFC1779 is X500Principal.getName("RFC1779").
	FormJavaRFC1779
	// FormJavaRFC2253 is X500Principal.getName(), but for values of BMPString and T61String, of which Java 17 writes the octets as
	// if they were UTF-8 there; here they are the text.
	FormJavaRFC2253
)

// Forms returns all forms, the canonical one first.
func Forms() []Form {
	return []Form{
		FormRFC4514, FormOpenSSL, FormOpenSSLSlashes, FormOpenSSLRFC2253, FormJava, FormJavaRFC1779, FormJavaRFC2253,
	}
}

// String returns the form's word in reports.
func (f Form) String() string {
	switch f {
	case FormRFC4514:
		return "rfc4514"
	case FormOpenSSL:
		return "openssl"
	case FormOpenSSLSlashes:
		return "openssl_slashes"
	case FormOpenSSLRFC2253:
		return "openssl_rfc2253"
	case FormJava:
		return "java"
	case FormJavaRFC1779:
		return "java_rfc1779"
	case FormJavaRFC2253:
		return "java_rfc2253"
	}
	return fmt.Sprintf("Form(%d)", uint8(f))
}

// Format writes the name in a form. Only the canonical one is sure to be a printable line: others hold what the
// certificate says, control characters included. What Java makes of string types other than UTF8String and
// PrintableString is not imitated. The empty name and an unknown form give "".
func (d *DN) Format(f Form) string {
	if d.Empty() {
		return ""
	}
	layout := formLayout{separator: ",", plus: "+", equals: "="}
	switch f {
	case FormRFC4514:
		return d.String()
	case FormOpenSSL:
		layout = formLayout{forward: true, separator: ", ", plus: " + ", equals: " = "}
		layout.attribute = openSSLQuotedAttribute
	case FormOpenSSLSlashes:
		layout = formLayout{forward: true, prefix: "/", separator: "/", plus: "+", equals: "="}
		layout.attribute = openSSLOneLineAttribute
	case FormOpenSSLRFC2253:
		layout.flipped = true
		layout.attribute = openSSLRFC2253Attribute
	case FormJava:
		layout.separator, layout.plus = ", ", " + "
		layout.attribute = javaAttribute(javaWords)
	case FormJavaRFC1779:
		layout.separator, layout.plus = ", ", " + "
		layout.attribute = javaAttribute(rfc1779Words)
	case FormJavaRFC2253:
		layout.attribute = javaRFC2253Attribute
	default:
		return ""
	}
	return layout.write(d.attributes)
}

// AttributeName returns the word that DN.String writes for an attribute type, given as a dotted OID, or the OID itself
// where there is none.
func AttributeName(oid string) string { return typeName(oid) }

// Pattern returns the RDN pattern that matches this name and no other (see Pattern), and true; "" and false for a name
// that no such pattern matches: the empty one, and one with an empty value.
func (d *DN) Pattern() (string, bool) {
	if d.Empty() || slices.ContainsFunc(d.attributes, attribute.empty) {
		return "", false
	}
	text := strings.ReplaceAll(d.String(), "*", `\*`)
	p, err := ParsePattern(text, RDN)
	if err != nil || !p.Match(d) {
		return "", false
	}
	return text, true
}

// formLayout is how a form arranges what it writes.
type formLayout struct {
	forward   bool // in DER order instead of the last RDN first
	flipped   bool // the attributes of one RDN backwards as well
	prefix    string
	separator string
	plus      string
	equals    string
	attribute func(a attribute) (word, value string)
}

func (l formLayout) write(attributes []attribute) string {
	var texts []string
	for _, rdn := range cutRDNs(attributes) {
		var parts []string
		for _, a := range rdn {
			word, value := l.attribute(a)
			parts = append(parts, word+l.equals+value)
		}
		if l.flipped {
			slices.Reverse(parts)
		}
		texts = append(texts, strings.Join(parts, l.plus))
	}
	if !l.forward {
		slices.Reverse(texts)
	}
	return l.prefix + strings.Join(texts, l.separator)
}

// openSSLWord is the short name of OpenSSL 3.0; false where it has none.
func openSSLWord(oid string) (string, bool) {
	switch oid {
	case "2.5.4.4":
		return "SN", true
	case "2.5.4.9":
		return "street", true
	case "2.5.4.42":
		return "GN", true
	}
	word, ok := nameByOID[oid]
	return word, ok
}

// openSSLRFC2253Attribute writes types without a name as DER in hex.
func openSSLRFC2253Attribute(a attribute) (word, value string) {
	word, ok := openSSLWord(a.oid)
	if !ok || a.opaque {
		return a.oid, "#" + strings.ToUpper(hex.EncodeToString(valueDER(a)))
	}
	return word, escapeOpenSSL(a.text)
}

func openSSLQuotedAttribute(a attribute) (word, value string) {
	word, ok := openSSLWord(a.oid)
	if !ok {
		word = a.oid
	}
	if a.opaque {
		return word, "#" + strings.ToUpper(hex.EncodeToString(valueDER(a)))
	}
	return word, quoteOpenSSL(a.text)
}

const openSSLSpecial = `,+"\<>;`

// escapeOpenSSL is OpenSSL's ASN1_STRFLGS_RFC2253: what RFC 2253 has, and everything that is not printable ASCII.
func escapeOpenSSL(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%02X`, c)
			continue
		case strings.IndexByte(openSSLSpecial, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(text)-1):
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// quoteOpenSSL is escapeOpenSSL with ASN1_STRFLGS_ESC_QUOTE: quotation marks instead of most backslashes.
func quoteOpenSSL(text string) string {
	var b strings.Builder
	quoted := false
	for i := range len(text) {
		c := text[i]
		switch {
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%02X`, c)
			continue
		case c == '"' || c == '\\':
			b.WriteByte('\\')
		case strings.IndexByte(openSSLSpecial, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(text)-1):
			quoted = true
		}
		b.WriteByte(c)
	}
	if quoted {
		return `"` + b.String() + `"`
	}
	return b.String()
}

// openSSLOneLineAttribute writes the bytes of the value, whatever its string type, as X509_NAME_oneline does.
func openSSLOneLineAttribute(a attribute) (word, value string) {
	word, ok := openSSLWord(a.oid)
	if !ok {
		word = a.oid
	}
	contents := a.text
	var raw asn1.RawValue
	if _, err := asn1.Unmarshal([]byte(a.der), &raw); err == nil {
		contents = string(raw.Bytes)
	}
	var b strings.Builder
	for i := range len(contents) {
		switch c := contents[i]; {
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02X`, c)
			continue
		case c == '/' || c == '+': // as OpenSSL 3.0 does
			b.WriteByte('\\')
		}
		b.WriteByte(contents[i])
	}
	return word, b.String()
}

// javaWords returns the words of Java's toString.
func javaWords(oid string) string {
	switch name := nameByOID[oid]; name {
	case "CN", "C", "L", "ST", "STREET", "O", "OU", "DC", "UID":
		return name
	case "emailAddress", "surname", "serialNumber", "givenName", "initials":
		return strings.ToUpper(name)
	case "title":
		return "T"
	case "generationQualifier":
		return "GENERATION"
	case "dnQualifier":
		return "DNQ"
	}
	return "OID." + oid
}

// rfc1779Words returns the words of RFC 1779, as Java has them.
func rfc1779Words(oid string) string {
	switch name := nameByOID[oid]; name {
	case "CN", "C", "L", "ST", "STREET", "O", "OU":
		return name
	}
	return "OID." + oid
}

// javaAttribute writes values as X500Principal.toString and its RFC 1779 do: with quotation marks around what could be
// misread.
func javaAttribute(words func(oid string) string) func(attribute) (word, value string) {
	return func(a attribute) (word, value string) {
		if a.opaque {
			return words(a.oid), "#" + hex.EncodeToString(valueDER(a))
		}
		text := a.text
		value = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
		if strings.ContainsAny(text, ",+=\n<>#;\\\"") || strings.HasPrefix(text, " ") || strings.HasSuffix(text, " ") ||
			strings.Contains(text, "  ") {
			value = `"` + value + `"`
		}
		return words(a.oid), value
	}
}

// javaRFC2253Attribute writes as X500Principal.getName() does: only the words of RFC 2253, more backslashes than it
// asks for.
func javaRFC2253Attribute(a attribute) (word, value string) {
	switch name := nameByOID[a.oid]; name {
	case "CN", "C", "L", "ST", "STREET", "O", "OU", "DC", "UID":
		word = name
	}
	if word == "" || a.opaque {
		return a.oid, "#" + hex.EncodeToString(valueDER(a))
	}
	var b strings.Builder
	trimmed := strings.Trim(a.text, " ")
	lead := len(a.text) - len(strings.TrimLeft(a.text, " "))
	for i := range len(a.text) {
		c := a.text[i]
		if strings.IndexByte(`,=+<>#;"\`, c) >= 0 || c == ' ' && (i < lead || i >= lead+len(trimmed)) {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return word, b.String()
}
