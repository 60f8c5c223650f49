package identity

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Prepare brings a text into the form in which names are compared, by RFC 4518 without case folding: what has no
// meaning is dropped (§2.2), compatibility characters are unified (§2.3, NFKC), blanks are trimmed and collapsed
// (§2.6.1). Two values are the same name exactly when their prepared forms are equal bytes. A text that is already
// prepared is returned as it is, without allocating.
//
// It differs from the RFC twice. Characters that Unicode 3.2 had not assigned are not refused, because names of today
// use them. Control characters other than the blanks among them are refused instead of dropped: no honest name has
// them, and a NUL has cut names short in other software. Private use characters, non-characters and U+FFFD are refused
// as the RFC says, and so is a text that is not UTF-8 or begins with a combining mark.
func Prepare(s string) (string, error) {
	return prepare(s, true, true)
}

// prepare is Prepare for a text that is the beginning of a value, the end of one, both, or neither. Blanks at a side
// that is not the value's own are kept (collapsed), as they separate words.
func prepare(s string, begins, ends bool) (string, error) {
	if preparedASCII(s, begins, ends) {
		return s, nil
	}
	if !utf8.ValidString(s) {
		return "", errors.New("not valid UTF-8")
	}
	var bad error
	mapped := strings.Map(func(r rune) rune {
		m, err := mapRune(r)
		if err != nil && bad == nil {
			bad = err
		}
		return m
	}, s)
	if bad != nil {
		return "", bad
	}
	normal := norm.NFKC.String(mapped)
	if r, _ := utf8.DecodeRuneInString(normal); begins && unicode.Is(unicode.M, r) {
		return "", fmt.Errorf("begins with the combining mark %U", r)
	}
	return collapseSpaces(normal, begins, ends), nil
}

// preparedASCII reports whether s is printable ASCII that preparation leaves alone: nearly every name there is.
func preparedASCII(s string, begins, ends bool) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c > '~':
			return false
		case c != ' ':
		case i == 0 && begins, i == len(s)-1 && ends, i > 0 && s[i-1] == ' ':
			return false
		}
	}
	return true
}

// mapRune is RFC 4518 §2.2 and §2.4 for one character: a blank for anything blank, -1 for what is dropped, an error for
// what is refused. NFKC, which comes in between in the RFC, makes none of the refused characters out of others.
func mapRune(r rune) (rune, error) {
	switch {
	case ' ' < r && r <= '~':
		return r, nil
	case r >= '\t' && r <= '\r', r == '\u0085', unicode.Is(unicode.Z, r):
		return ' ', nil
	case mappedToNothing(r):
		return -1, nil
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Noncharacter_Code_Point),
		r == utf8.RuneError:
		return -1, fmt.Errorf("the character %U is not allowed in a name", r)
	}
	return r, nil
}

// mappedToNothing reports whether RFC 4518 §2.2 drops the character, control characters aside. It is the RFC's own
// list; format characters that Unicode assigned later are refused rather than dropped.
func mappedToNothing(r rune) bool {
	switch {
	case r == '\u00ad', r == '\u034f', r == '\u06dd', r == '\u070f', r == '\u1806', r == '\ufeff', r == '\ufffc':
		return true
	case '\u180b' <= r && r <= '\u180e', '\u200b' <= r && r <= '\u200f', '\u202a' <= r && r <= '\u202e':
		return true
	case '\u2060' <= r && r <= '\u2063', '\u206a' <= r && r <= '\u206f', '\ufe00' <= r && r <= '\ufe0f':
		return true
	case '\ufff9' <= r && r <= '\ufffb', 0x1d173 <= r && r <= 0x1d17a, r == 0xe0001, 0xe0020 <= r && r <= 0xe007f:
		return true
	}
	return false
}

// collapseSpaces is RFC 4518 §2.6.1: a run of blanks is one blank, none at the value's ends. A blank that carries a
// combining mark is a letter like any other. The RFC pads with blanks where this trims; for equality it is the same.
func collapseSpaces(s string, begins, ends bool) string {
	var b strings.Builder
	b.Grow(len(s))
	blank := false
	for i, r := range s {
		if r == ' ' {
			next, _ := utf8.DecodeRuneInString(s[i+1:])
			if !unicode.Is(unicode.M, next) {
				blank = true
				continue
			}
		}
		if blank && (b.Len() > 0 || !begins) {
			b.WriteByte(' ')
		}
		blank = false
		b.WriteRune(r)
	}
	if blank && !ends && (b.Len() > 0 || !begins) {
		b.WriteByte(' ')
	}
	return b.String()
}
