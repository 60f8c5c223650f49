package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"sallyport/internal/certheader"
	"sallyport/internal/expression"
)

// maxLocated is how many mistakes of expressions are looked for in the files: each costs reading one.
const maxLocated = 100

// expressed is an expression as a file has it.
type expressed struct {
	file  *file
	node  *yaml.Node
	label string // the key
}

// compile compiles the expression of a field and reports its mistakes where they stand; nil for an absent one and one with
// mistakes.
func (l *loader) compile(at *string) *expression.Expression {
	if *at == "" { // absent, or could not be decoded
		return nil
	}
	w := l.written[at]
	if l.compiler == nil {
		var err error
		if l.compiler, err = expression.NewCompiler(expression.Options{Named: l.namedTexts(), CheckHeader: readableHeader}); err != nil {
			l.shape(at, "%s: %s", w.label, oneLine(err.Error()))
			return nil
		}
	}
	compiled, err := l.compiler.Compile(*at)
	if err == nil {
		return compiled
	}
	mistakes, ok := errors.AsType[expression.ErrorList](err)
	if !ok {
		l.shape(at, "%s: %s", w.label, oneLine(err.Error()))
	}
	for _, m := range mistakes {
		if m.Named && l.unsound["named_values"] {
			continue // it may be one that could not be read
		}
		e := Error{Position: l.doc.Position(at), Message: w.label + ": " + m.Message, Suggestion: l.nearest(m.Word, m.Known)}
		if line, column, ok := l.locate(w, *at, m.Line, m.Column); ok {
			e.Line, e.Column = line, column
		} else {
			e.Message += fmt.Sprintf(" (line %d, character %d of the expression)", m.Line, m.Column)
		}
		l.add(e)
	}
	return nil
}

// namedTexts are the named values as expressions have them.
func (l *loader) namedTexts() map[string]expression.Named {
	named := make(map[string]expression.Named, len(l.doc.NamedValues))
	for i := range l.doc.NamedValues {
		v := &l.doc.NamedValues[i]
		if _, taken := named[v.Name]; !taken {
			named[v.Name] = expression.Named{Text: v.Value, List: v.Values}
		}
	}
	return named
}

// readableHeader says why expressions cannot ask for a header field.
func readableHeader(name string) error {
	switch {
	case strings.EqualFold(name, "Host"):
		return errors.New("the host is request.host")
	case relayed(name):
		return fmt.Errorf("the header %s says what a proxy saw, and anybody can send it: the gateway sets it anew", quote(name))
	case certheader.Identity(name):
		return fmt.Errorf("the header %s says who calls, and anybody can send it: ask the certificate", quote(name))
	}
	return headerName(name)
}

// relayed reports whether a header field is one by which proxies tell what came to them, which is taken out of requests.
func relayed(name string) bool {
	folded := string(certheader.Fold(nil, name))
	return folded == "forwarded" || folded == "x-forwarded" || folded == "x-real-ip" || strings.HasPrefix(folded, "x-forwarded-") ||
		strings.HasPrefix(folded, "x-original-") || strings.HasPrefix(folded, "x-rewrite-")
}

// noteThumbprint notes an expression that denies by a thumbprint.
func (l *loader) noteThumbprint(at *string, e *expression.Expression) {
	for _, field := range []string{"sha256", "sha1", "issuer_sha256"} {
		if e.Reads(field) {
			l.note(at, "an ECDSA certificate has two thumbprints, and its holder chooses: the matcher %s knows both, an expression only one", field)
			return
		}
	}
}

// locate finds a character of an expression in its file. YAML may have quoted, folded or indented the text: what is
// compared is everything but blanks. It fails where a named value was filled in.
func (l *loader) locate(w *expressed, source string, line, column int) (fileLine, fileColumn int, ok bool) {
	if l.located++; l.located > maxLocated {
		return 0, 0, false
	}
	raw := []rune(nthLine(w.file.text, w.node.Line))
	if len(raw) < w.node.Column-1 {
		return 0, 0, false
	}
	at := scan{text: raw[w.node.Column-1:], line: w.node.Line, column: w.node.Column, more: linesAfter(w.file.text, w.node.Line)}
	style := w.node.Style
	block, quoted := style == yaml.LiteralStyle || style == yaml.FoldedStyle, style == yaml.DoubleQuotedStyle || style == yaml.SingleQuotedStyle
	if block {
		at.nextLine()
	}
	if quoted {
		at.next()
	}
	escape := map[yaml.Style]rune{yaml.DoubleQuotedStyle: '\\', yaml.SingleQuotedStyle: '\''}[style]
	sourceLine, sourceColumn := 1, 1
	for _, want := range source {
		here := sourceLine == line && sourceColumn >= column || sourceLine > line
		if !unicode.IsSpace(want) {
			got := at.visible()
			if escape != 0 && got == escape && at.follows() == want {
				if !here {
					at.next()
				}
				got = want
			}
			if got != want {
				return 0, 0, false
			}
		}
		if here {
			return at.line, at.column, true
		}
		if !unicode.IsSpace(want) {
			at.next()
		}
		if sourceColumn++; want == '\n' {
			sourceLine, sourceColumn = sourceLine+1, 1
		}
	}
	return at.line, at.column, true // behind the last character
}

// scan walks over the characters of a file.
type scan struct {
	text         []rune // the rest of the line
	more         []string
	line, column int
}

func (s *scan) next() {
	if len(s.text) > 0 {
		s.text = s.text[1:]
		s.column++
	}
}

func (s *scan) nextLine() {
	s.text = nil
	if len(s.more) > 0 {
		s.text, s.more = []rune(s.more[0]), s.more[1:]
		s.line, s.column = s.line+1, 1
	}
}

// visible skips blanks and returns the character after them; 0 at the end.
func (s *scan) visible() rune {
	for {
		if i := slices.IndexFunc(s.text, func(r rune) bool { return !unicode.IsSpace(r) }); i >= 0 {
			s.text, s.column = s.text[i:], s.column+i
			return s.text[0]
		}
		if len(s.more) == 0 {
			return 0
		}
		s.nextLine()
	}
}

// follows returns the character after the one at hand.
func (s *scan) follows() rune {
	if len(s.text) < 2 {
		return 0
	}
	return s.text[1]
}

func nthLine(text string, n int) string {
	for range n - 1 {
		_, text, _ = strings.Cut(text, "\n")
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// linesAfter are as many lines after the n-th as an expression can have.
func linesAfter(text string, n int) []string {
	for range n {
		var found bool
		if _, text, found = strings.Cut(text, "\n"); !found {
			return nil
		}
	}
	return strings.SplitN(text, "\n", expression.MaxLength)
}
