package identity_test

import (
	"encoding/asn1"
	"testing"
	"unicode"

	"sallyport/internal/identity"
)

// encodings write a text in each of the string types that can hold it.
func encodings(text string) map[string]func(oid asn1.ObjectIdentifier) []byte {
	var bmp, universal, latin []byte
	printable, narrow, small := true, true, true
	for _, r := range text {
		bmp = append(bmp, byte(r>>8), byte(r))
		universal = append(universal, byte(r>>24), byte(r>>16), byte(r>>8), byte(r))
		latin = append(latin, byte(r))
		small, narrow = small && r < 0x10000, narrow && r < 0x100
		printable = printable && r < 0x80 && (r == ' ' || r == '-' || r == ',' || unicode.IsLetter(r) || unicode.IsDigit(r))
	}
	as := func(tag byte, value []byte) func(asn1.ObjectIdentifier) []byte {
		return func(oid asn1.ObjectIdentifier) []byte { return attr(oid, tag, string(value)) }
	}
	out := map[string]func(asn1.ObjectIdentifier) []byte{"UTF8": as(asn1.TagUTF8String, []byte(text)), "Universal": as(tagUniversal, universal)}
	if small {
		out["BMP"] = as(asn1.TagBMPString, bmp)
	}
	if narrow {
		out["T61"] = as(asn1.TagT61String, latin)
	}
	if printable {
		out["Printable"] = as(asn1.TagPrintableString, []byte(text))
	}
	return out
}

// TestANameIsTheSameInEveryEncoding writes each value in every string type, alone and in one RDN with another, and matches
// it with every syntax, in lists that allow and in lists that deny.
func TestANameIsTheSameInEveryEncoding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, pattern string
		want           bool
	}{
		{"Acme", "Acme", true},
		{"Acme", "acme", false},
		{"Z\u00fcrich", "Z\u00fcrich", true},
		{"Z\u00fcrich", "Zurich", false},
		{"\u0410cme", "Acme", false}, // a Cyrillic letter
		{"\u0410cme", "\u0410cme", true},
		{"\U0001f511", "\U0001f511", true},
		{"Boomi, Inc", `Boomi\, Inc`, true},
		{"Acme,OU=API", "Acme,OU=API", false}, // one value, which spells two
	} {
		for encoding, write := range encodings(c.value) {
			for pattern, der := range map[string][]byte{
				"CN=a,O=" + c.pattern:      name(rdn(write(oidO)), rdn(utf8Attr(oidCN, "a"))),
				"O=" + c.pattern + "+CN=a": name(rdn(write(oidO), utf8Attr(oidCN, "a"))),
				"O=" + c.pattern + ",CN=a": name(rdn(utf8Attr(oidCN, "a")), rdn(write(oidO))),
			} {
				dn := mustDER(t, der)
				for _, syntax := range []identity.Syntax{identity.RDN, identity.Exact, identity.Ant} {
					p := mustPattern(t, pattern, syntax)

					if got := p.Match(dn); got != c.want {
						t.Errorf("%s, %v: %q matches %q: %v", encoding, syntax, pattern, dn.String(), got)
					}
					if c.want && !p.MatchAnyRendering(dn) {
						t.Errorf("%s, %v: what %q allows it does not deny", encoding, syntax, pattern)
					}
				}
			}
		}
	}
}
