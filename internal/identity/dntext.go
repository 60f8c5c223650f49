package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPatternBytes bounds the text of a DN or of any pattern.
const maxPatternBytes = 4096

// quotedErrorBytes bounds what an error or an explanation repeats of a value.
const quotedErrorBytes = 80

// ParseDNText reads a name written by RFC 4514, also with blanks around separators and with the quoted values of RFC
// 2253. The text names the last RDN first; the DN has them in DER order, so DN.String gives the text back. An asterisk
// is an asterisk, with or without a backslash. The empty text is the empty name.
func ParseDNText(s string) (DN, error) {
	rdns, _, err := scanDN(s, false)
	if err != nil {
		return DN{}, err
	}
	slices.Reverse(rdns)
	var attributes []attribute
	for i, rdn := range rdns {
		for _, t := range rdn {
			a, err := t.attribute()
			if err != nil {
				return DN{}, err
			}
			a.rdn = i
			attributes = append(attributes, a)
		}
	}
	return newDN(attributes), nil
}

// textAttribute is one attribute=value of a DN or a pattern as text.
type textAttribute struct {
	oid   string
	parts []string // the value, unescaped, cut at its bare asterisks
	der   []byte   // the value that was written as #hex; parts is nil then
}

// attribute takes bare asterisks for asterisks.
func (t textAttribute) attribute() (attribute, error) {
	if t.der == nil {
		return newTextAttribute(t.oid, strings.Join(t.parts, "*"))
	}
	raw, err := readValue(t.der)
	if err != nil {
		return attribute{}, fmt.Errorf("%s: %w", typeName(t.oid), err)
	}
	return newDERAttribute(t.oid, raw)
}

// scanDN cuts a text into RDNs, in the order of the text, and those into attributes. Of a pattern, a last element that
// is a bare asterisk makes it open.
func scanDN(s string, pattern bool) (rdns [][]textAttribute, open bool, err error) {
	if err := checkPatternText(s); err != nil {
		return nil, false, err
	}
	sc := scanner{rest: s, pattern: pattern}
	if strings.Trim(s, " ") == "" {
		return nil, false, nil
	}
	rdns = [][]textAttribute{nil}
	for n := 1; ; n++ {
		if n > maxAttributes {
			return nil, false, fmt.Errorf("more than %d attributes", maxAttributes)
		}
		a, err := sc.attribute()
		if err != nil {
			return nil, false, err
		}
		last := &rdns[len(rdns)-1]
		*last = append(*last, a)
		switch sc.next() {
		case 0:
			return rdns, false, nil
		case ',':
			if pattern && strings.Trim(sc.rest, " ") == "*" {
				return rdns, true, nil
			}
			rdns = append(rdns, nil)
		case '+':
		case ';':
			return nil, false, errors.New(
				`";" separates nothing here: write "," between attributes, or "\;" for the character`)
		}
	}
}

// checkPatternText refuses what no name or pattern may be.
func checkPatternText(s string) error {
	switch {
	case len(s) > maxPatternBytes:
		return fmt.Errorf("%d bytes are too long, the limit is %d", len(s), maxPatternBytes)
	case !utf8.ValidString(s):
		return errors.New("not valid UTF-8")
	case strings.ContainsRune(s, 0):
		return errors.New("a NUL is not allowed")
	}
	return nil
}

// scanner reads a DN as text from its beginning.
type scanner struct {
	rest    string
	pattern bool // bare asterisks are wildcards
}

func (sc *scanner) skipBlanks() { sc.rest = strings.TrimLeft(sc.rest, " ") }

// next takes the separator that ends a value, 0 at the end of the text.
func (sc *scanner) next() byte {
	if sc.rest == "" {
		return 0
	}
	c := sc.rest[0]
	sc.rest = sc.rest[1:]
	return c
}

// attribute reads attribute=value up to the separator.
func (sc *scanner) attribute() (textAttribute, error) {
	name, value, ok := strings.Cut(sc.rest, "=")
	if i := strings.IndexAny(name, `,+;"\`); !ok || i >= 0 {
		if i >= 0 {
			name = name[:i]
		}
		return textAttribute{}, sc.notAnAttribute(strings.Trim(name, " "))
	}
	oid, err := lookUpType(strings.Trim(name, " "))
	if err != nil {
		return textAttribute{}, err
	}
	sc.rest = value
	sc.skipBlanks()
	t := textAttribute{oid: oid}
	switch {
	case strings.HasPrefix(sc.rest, "#"):
		t.der, err = sc.hexValue()
	case strings.HasPrefix(sc.rest, `"`):
		t.parts, err = sc.quotedValue()
	default:
		t.parts, err = sc.plainValue()
	}
	if err != nil {
		return textAttribute{}, fmt.Errorf("%s: %w", typeName(oid), err)
	}
	return t, nil
}

// notAnAttribute says what is wrong with an element that is not attribute=value.
func (sc *scanner) notAnAttribute(element string) error {
	switch {
	case element == "":
		return errors.New("a separator without an attribute=value beside it")
	case sc.pattern && element == "*":
		return errors.New(`"*" that admits other attributes stands only at the end, as ",*"`)
	case sc.pattern && element == "**":
		return errors.New(`"**" belongs to match: ant; write ",*" at the end to admit other attributes`)
	}
	return fmt.Errorf(`%s is not attribute=value; a "," or "+" inside a value is written "\," or "\+"`, quote(element))
}

// hexValue reads #hex: DER.
func (sc *scanner) hexValue() ([]byte, error) {
	end := strings.IndexAny(sc.rest, ",+;")
	if end < 0 {
		end = len(sc.rest)
	}
	der, err := hex.DecodeString(strings.TrimRight(sc.rest[1:end], " "))
	if err != nil || len(der) == 0 {
		return nil, errors.New(`"#" begins DER in hex; write "\#" for the character`)
	}
	sc.rest = sc.rest[end:]
	return der, nil
}

// quotedValue reads "…" of RFC 2253: separators need no backslash. In a pattern an asterisk does, because people
// disagree about what it means there.
func (sc *scanner) quotedValue() ([]string, error) {
	var b strings.Builder
	for sc.rest = sc.rest[1:]; sc.rest != ""; {
		switch c := sc.rest[0]; {
		case c == '"':
			sc.rest = sc.rest[1:]
			sc.skipBlanks()
			if sc.rest != "" && strings.IndexByte(",+;", sc.rest[0]) < 0 {
				return nil, errors.New("text after the closing quotation mark")
			}
			return []string{b.String()}, nil
		case c == '*' && sc.pattern:
			return nil, errors.New(`an asterisk between quotation marks: write "\*", or leave the quotation marks out`)
		case c == '\\':
			if err := sc.escape(&b); err != nil {
				return nil, err
			}
		default:
			b.WriteByte(c)
			sc.rest = sc.rest[1:]
		}
	}
	return nil, errors.New("no closing quotation mark")
}

// plainValue reads a value up to the separator, without the blanks at its end.
func (sc *scanner) plainValue() ([]string, error) {
	var parts []string
	var b strings.Builder
	significant := 0 // bytes of b that are not blanks at the end
	for sc.rest != "" {
		c := sc.rest[0]
		switch c {
		case ',', '+', ';':
			return append(parts, b.String()[:significant]), nil
		case '"', '<', '>':
			return nil, fmt.Errorf(`%q inside a value is written "\%c"`, c, c)
		case '*':
			parts = append(parts, b.String())
			b.Reset()
			significant = 0
			sc.rest = sc.rest[1:]
			continue
		case '\\':
			if err := sc.escape(&b); err != nil {
				return nil, err
			}
			significant = b.Len()
			continue
		}
		b.WriteByte(c)
		sc.rest = sc.rest[1:]
		if c != ' ' {
			significant = b.Len()
		}
	}
	return append(parts, b.String()[:significant]), nil
}

// escape reads a backslash with what belongs to it: a special character, or two hex digits for one byte.
func (sc *scanner) escape(b *strings.Builder) error {
	if len(sc.rest) < 2 {
		return errors.New("a backslash at the end")
	}
	if c := sc.rest[1]; strings.IndexByte(`"+,;<>\ #=*`, c) >= 0 {
		b.WriteByte(c)
		sc.rest = sc.rest[2:]
		return nil
	}
	if len(sc.rest) >= 3 && isHexDigit(rune(sc.rest[1])) && isHexDigit(rune(sc.rest[2])) {
		c, _ := strconv.ParseUint(sc.rest[1:3], 16, 8)
		b.WriteByte(byte(c))
		sc.rest = sc.rest[3:]
		return nil
	}
	r, _ := utf8.DecodeRuneInString(sc.rest[1:])
	return fmt.Errorf(`a backslash before %q: write "\\" for a backslash`, r)
}

// quote quotes a text for an error or an explanation, shortened when it is long.
func quote(s string) string { return quoteWith(strconv.Quote, s) }

// QuoteBeside quotes a text that is shown beside another one. Where it has characters beyond ASCII that the other has not,
// they are escaped: names that look alike are not to be shown as one.
func QuoteBeside(text, other string) string { return quoterBeside(text, other)(text) }

// quoteBeside is QuoteBeside, shortened when it is long.
func quoteBeside(text, other string) string { return quoteWith(quoterBeside(text, other), text) }

func quoterBeside(text, other string) func(string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf && !strings.ContainsRune(other, r) }) {
		return strconv.QuoteToASCII
	}
	return strconv.Quote
}

// quoteWith shortens more where quoting makes the text longer.
func quoteWith(quote func(string) string, s string) string {
	quoted := quote(shorten(s, quotedErrorBytes))
	if len(quoted) > 2*quotedErrorBytes {
		quoted = quote(shorten(s, quotedErrorBytes/4))
	}
	return quoted
}

// shorten cuts a text at a character's boundary and marks the cut. The result has at most limit bytes.
func shorten(s string, limit int) string {
	const mark = "…"
	if len(s) <= limit {
		return s
	}
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
