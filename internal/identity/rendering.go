package identity

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// style is one way to write a DN.
type style struct {
	words     map[string]string // instead of the usual word of an OID; "" means dotted with the value in hex
	forward   bool              // in DER order instead of the last RDN first
	separator string
	plus      string
	slashes   bool // OpenSSL's one line: a slash before each RDN
	escaping  escaping
}

// escaping is how a style writes what could be misread.
type escaping uint8

const (
	backslashes      escaping = iota // RFC 4514
	asciiBackslashes                 // RFC 4514, and everything beyond ASCII in hex: nginx
	quotationMarks                   // Java, Microsoft
	unescaped                        // Traefik, and OpenSSL's one line
	asciiOneLine                     // OpenSSL's one line: \xHH for everything beyond ASCII
)

var canonicalStyle = style{separator: ",", plus: "+"}

// usualWords are the words of those who write DNs, besides ours: OpenSSL, Java's toString, Microsoft, Bouncy Castle,
// Boomi, GnuTLS, and RFC 2253 to the letter (Java's getName, Go's pkix.Name), which has no word for anything else.
var usualWords = []map[string]string{
	nil,
	{"2.5.4.4": "SN", "2.5.4.42": "GN"},
	{
		oidEmailAddress: "EMAILADDRESS", "2.5.4.4": "SURNAME", "2.5.4.5": "SERIALNUMBER", "2.5.4.12": "T",
		"2.5.4.42": "GIVENNAME", "2.5.4.43": "INITIALS", "2.5.4.44": "GENERATION", "2.5.4.46": "DNQ",
	},
	{
		oidEmailAddress: "E", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.12": "T", "2.5.4.42": "G",
		"2.5.4.43": "I",
	},
	{oidEmailAddress: "E", "2.5.4.4": "SURNAME", "2.5.4.5": "SERIALNUMBER", "2.5.4.12": "T", "2.5.4.42": "GIVENNAME"},
	{oidEmailAddress: "Email", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.42": "GN"},
	{oidEmailAddress: "EMAIL", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.42": "GN"},
	onlyRFC2253Words(),
}

func onlyRFC2253Words() map[string]string {
	words := map[string]string{}
	for oid, name := range nameByOID {
		switch name {
		case "CN", "L", "ST", "O", "OU", "C", "STREET", "DC", "UID":
		default:
			words[oid] = ""
		}
	}
	return words
}

// usualRenderings writes the name in every usual way, each once, the canonical text first.
func usualRenderings(attributes []attribute, canonical rendering) []rendering {
	all := []rendering{canonical}
	seen := map[string]bool{canonical.text: true}
	add := func(s style) {
		if text := render(attributes, s); !seen[text] {
			seen[text] = true
			all = append(all, newRendering(text))
		}
	}
	for _, words := range usualWords {
		for _, state := range []string{"ST", "S"} {
			words := withWord(words, oidState, state)
			for _, forward := range []bool{false, true} {
				for _, e := range []escaping{backslashes, asciiBackslashes, quotationMarks, unescaped} {
					add(style{words: words, forward: forward, separator: ",", plus: "+", escaping: e})
					add(style{words: words, forward: forward, separator: ", ", plus: " + ", escaping: e})
				}
			}
			add(style{words: words, forward: true, slashes: true, plus: "+", escaping: unescaped})
			add(style{words: words, forward: true, slashes: true, plus: "+", escaping: asciiOneLine})
		}
	}
	return all
}

func withWord(words map[string]string, oid, word string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, words)
	all[oid] = word
	return all
}

// render writes the attributes, which are in DER order, in a style.
func render(attributes []attribute, s style) string {
	var b strings.Builder
	rdns := cutRDNs(attributes)
	if !s.forward {
		slices.Reverse(rdns)
	}
	for _, rdn := range rdns {
		switch {
		case s.slashes:
			b.WriteByte('/')
		case b.Len() > 0:
			b.WriteString(s.separator)
		}
		for i, a := range rdn {
			if i > 0 {
				b.WriteString(s.plus)
			}
			s.writeAttribute(&b, a)
		}
	}
	return b.String()
}

// cutRDNs cuts the attributes of a name into those of each RDN.
func cutRDNs(attributes []attribute) [][]attribute {
	var rdns [][]attribute
	for first := 0; first < len(attributes); {
		next := first + 1
		for next < len(attributes) && attributes[next].rdn == attributes[first].rdn {
			next++
		}
		rdns = append(rdns, attributes[first:next])
		first = next
	}
	return rdns
}

func (s style) writeAttribute(b *strings.Builder, a attribute) {
	word, ok := s.words[a.oid]
	if !ok {
		word = nameByOID[a.oid]
	}
	if word == "" {
		b.WriteString(a.oid)
		b.WriteString("=#")
		b.WriteString(hex.EncodeToString(valueDER(a)))
		return
	}
	b.WriteString(word)
	b.WriteByte('=')
	switch {
	case s.escaping == unescaped:
		b.WriteString(a.text)
	case s.escaping == asciiOneLine:
		for i := range len(a.text) {
			if c := a.text[i]; c < ' ' || c > '~' {
				fmt.Fprintf(b, `\x%02X`, c)
			} else {
				b.WriteByte(c)
			}
		}
	case s.escaping == quotationMarks && strings.ContainsAny(a.text, `,+"\<>;=`):
		b.WriteByte('"')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.text))
		b.WriteByte('"')
	default:
		writeEscaped(b, a.text, s.escaping == asciiBackslashes)
	}
}

// writeEscaped escapes by RFC 4514 §2.4, and in hex what is not printable or, if asked, not ASCII, which §2.4 leaves
// open.
func writeEscaped(b *strings.Builder, text string, ascii bool) {
	for i, r := range text {
		switch {
		case strings.ContainsRune(`"+,;<>\`, r),
			r == '#' && i == 0,
			r == ' ' && (i == 0 || i == len(text)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == ' ' || unicode.IsPrint(r) && (!ascii || r < utf8.RuneSelf):
			b.WriteRune(r)
		default:
			for _, c := range utf8.AppendRune(nil, r) {
				fmt.Fprintf(b, `\%02X`, c)
			}
		}
	}
}

// valueDER is the value as DER. A value that was read from text gets the string type that certificates of today have.
func valueDER(a attribute) []byte {
	if a.der != "" {
		return []byte(a.der)
	}
	tag := asn1.TagUTF8String
	if a.oid == oidEmailAddress && isASCII(a.text) {
		tag = asn1.TagIA5String
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: tag, Bytes: []byte(a.text)})
	if err != nil {
		return nil // a primitive value of a universal class always has DER
	}
	return der
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
