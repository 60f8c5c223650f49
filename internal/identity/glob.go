package identity

import (
	"errors"
	"fmt"
	"strings"
)

// Glob is a pattern for one text, such as a common name: an asterisk stands for one or more characters, never for none
// and never for a NUL. The zero Glob and a nil Glob match nothing.
type Glob struct {
	parts []string // prepared, between the asterisks; nil matches nothing
}

// ParseGlob reads a pattern. "\*" is an asterisk and "\\" a backslash; no other backslash is allowed. The pattern is
// prepared (see Prepare) and compared case-sensitively. An empty pattern is an error, and so is one of nothing but
// asterisks, as it would match everybody.
func ParseGlob(text string) (*Glob, error) {
	if err := checkPatternText(text); err != nil {
		return nil, err
	}
	var parts []string
	var b strings.Builder
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, `\*`), strings.HasPrefix(rest, `\\`):
			b.WriteByte(rest[1])
			rest = rest[2:]
			continue
		case rest[0] == '\\':
			return nil, errors.New(`a backslash is written "\\", an asterisk that is meant literally "\*"`)
		case rest[0] == '*':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(rest[0])
		}
		rest = rest[1:]
	}
	g, err := newGlob(append(parts, b.String()))
	if err != nil {
		return nil, err
	}
	if g.any() {
		return nil, errors.New(`"*" alone matches everybody: leave the field out if that is meant`)
	}
	return &g, nil
}

// newGlob prepares the texts between the asterisks.
func newGlob(parts []string) (Glob, error) {
	prepared := make([]string, len(parts))
	for i, part := range parts {
		p, err := prepare(part, i == 0, i == len(parts)-1)
		if err != nil {
			return Glob{}, err
		}
		if p == "" && len(parts) == 1 {
			return Glob{}, errors.New("empty value")
		}
		if p == "" && i > 0 && i < len(parts)-1 {
			return Glob{}, errors.New(`"**" inside a value: write "*" once, or "\*" for the character`)
		}
		prepared[i] = p
	}
	return Glob{parts: prepared}, nil
}

// any reports whether the glob is a lone asterisk.
func (g *Glob) any() bool { return len(g.parts) == 2 && g.parts[0] == "" && g.parts[1] == "" }

// Match reports whether the text, once prepared, matches. A text that cannot be prepared does not.
func (g *Glob) Match(s string) bool {
	if g == nil {
		return false
	}
	prepared, err := Prepare(s)
	return err == nil && g.matchPrepared(prepared)
}

// Literal returns the prepared text that the glob matches and true, or "" and false when it has an asterisk.
func (g *Glob) Literal() (string, bool) {
	if g == nil || len(g.parts) != 1 {
		return "", false
	}
	return g.parts[0], true
}

// String returns the pattern in canonical form.
func (g *Glob) String() string {
	if g == nil {
		return ""
	}
	escaped := make([]string, len(g.parts))
	for i, part := range g.parts {
		escaped[i] = strings.NewReplacer(`\`, `\\`, `*`, `\*`).Replace(part)
	}
	return strings.Join(escaped, "*")
}

// matchPrepared takes the leftmost place for every part between two asterisks: when any place fits, that one does. All
// parts and the text are valid UTF-8, so an asterisk that takes a byte takes a character.
func (g *Glob) matchPrepared(s string) bool {
	switch len(g.parts) {
	case 0:
		return false
	case 1:
		return s == g.parts[0] // which is not empty
	}
	s, ok := strings.CutPrefix(s, g.parts[0])
	if !ok {
		return false
	}
	for _, part := range g.parts[1 : len(g.parts)-1] {
		if s == "" {
			return false
		}
		i := strings.Index(s[1:], part)
		if i < 0 {
			return false
		}
		s = s[1+i+len(part):]
	}
	last := g.parts[len(g.parts)-1]
	return len(s) > len(last) && strings.HasSuffix(s, last)
}

// text is the pattern as an explanation shows it.
func (g *Glob) text() string {
	if literal, ok := g.Literal(); ok {
		return literal
	}
	return g.String()
}

// valueGlob is the glob of a pattern's attribute, or the DER of a value that is not text.
type valueGlob struct {
	glob Glob
	der  string
}

func newValueGlob(t textAttribute) (valueGlob, error) {
	if t.der == nil {
		g, err := newGlob(t.parts)
		if err != nil {
			return valueGlob{}, fmt.Errorf("%s: %w", typeName(t.oid), err)
		}
		return valueGlob{glob: g}, nil
	}
	a, err := t.attribute()
	switch {
	case err != nil:
		return valueGlob{}, err
	case a.opaque:
		return valueGlob{der: a.der}, nil
	case a.empty():
		return valueGlob{}, fmt.Errorf("%s: empty value", typeName(t.oid))
	}
	return valueGlob{glob: Glob{parts: []string{a.prepared}}}, nil
}

// match compares with an attribute of the same type. A value that is not text equals only itself; a lone asterisk
// stands for it too, lest a rule that refuses every value of a type be avoided by an odd one.
func (v *valueGlob) match(a *attribute) bool {
	if a.opaque {
		return v.der == a.der || v.glob.any()
	}
	return v.glob.matchPrepared(a.prepared)
}

// describe shows what was expected, beside the texts that were presented.
func (v *valueGlob) describe(presented string) string {
	if v.der != "" {
		return fmt.Sprintf("#%x", shortenBytes(v.der))
	}
	return quoteBeside(v.glob.text(), presented)
}

func shortenBytes(s string) string { return s[:min(len(s), quotedErrorBytes/2)] }

// describeValue is an attribute's value as an explanation shows it, beside the texts that were expected.
func describeValue(a *attribute, expected string) string {
	if a.opaque {
		return fmt.Sprintf("#%x", shortenBytes(a.der))
	}
	return quoteBeside(a.text, expected)
}
