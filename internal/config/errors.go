package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is where something stands in a configuration file. The zero value means that it stands in none.
type Position struct {
	// File is the path of the file as Load was given it, or joined to the directory that Load was given.
	File string
	// Line and Column begin at 1; the column counts characters. 0 means unknown.
	Line, Column int
}

// String returns "file:line:column", leaving out what is unknown.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// IsZero reports whether the position is unknown.
func (p Position) IsZero() bool { return p == Position{} }

// compare orders positions by file, line and column.
func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Kind says what an error breaks.
type Kind uint8

// The kinds. Options.ServePartial tolerates Broken ones, never Shape.
const (
	// Shape is an error of the document itself: no part of it can be used.
	Shape Kind = iota
	// Broken is a reference to something that is not there or cannot be read: what depends on it cannot be used.
	Broken
)

// String returns "shape" or "broken".
func (k Kind) String() string {
	if k == Broken {
		return "broken"
	}
	return "shape"
}

// Error is one mistake in a document. Its text never holds a secret.
type Error struct {
	Position
	// Kind says what the mistake breaks.
	Kind Kind
	// Message says what is wrong, and how to put it right where that is known.
	Message string
	// Suggestion is the word that was probably meant; empty when there is none near enough.
	Suggestion string
}

// Error returns "file:line:column: message (did you mean "word"?)".
func (e Error) Error() string {
	var b strings.Builder
	if !e.IsZero() {
		b.WriteString(e.Position.String())
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Suggestion != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", e.Suggestion)
	}
	return b.String()
}

// ErrorList is every mistake of a document, ordered by file, line and column.
type ErrorList []Error //nolint:errname // a list of Error, as in go/scanner

// Error returns the mistakes, one a line.
func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes as errors.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// Note is a warning: the document is usable, but something about it deserves a look.
type Note struct {
	Position
	// Message says what was noticed.
	Message string
}

// String returns "file:line:column: message".
func (n Note) String() string {
	if n.IsZero() {
		return n.Message
	}
	return n.Position.String() + ": " + n.Message
}

func sortErrors(l ErrorList) {
	slices.SortStableFunc(l, func(a, b Error) int { return a.Position.compare(b.Position) })
}

// SortNotes orders notes by file, line and column; those of one place stay as they are.
func SortNotes(l []Note) {
	slices.SortStableFunc(l, func(a, b Note) int { return a.Position.compare(b.Position) })
}
