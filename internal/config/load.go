// Package config owns the document: the one strict description of what a gateway is to do. It decodes YAML files with
// positions, fills in named values, checks every rule that can be checked without running anything, reads the files that
// the document names and says how the levels of client_certificate and of the limits combine, with every default filled
// in.
//
// It never decides about a request, never validates a certification path and never falls back to a guess: an unknown key,
// a reference to nothing and an empty list that would mean everybody are errors with file, line and column, and all of
// them are reported at once. Text of secrets never gets into an error.
//
// A Document is immutable once Load returned it and safe for concurrent use. Standards: YAML 1.2, RFC 4514 (names), RFC
// 7468 (PEM), RFC 9110 (methods, fields, authorities).
package config

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"sallyport/internal/expression"
)

// Options say how a document is loaded; the zero value is the strict reading with the process's environment.
type Options struct {
	// Env looks up an environment variable; nil means os.LookupEnv.
	Env func(name string) (value string, ok bool)
	// ServePartial tolerates errors of kind Broken: they become notes, and what depends on the broken thing says so
	// in its Broken field. The credentials of listeners are never tolerated.
	ServePartial bool
	// Seen is told every file and directory that Load reads or tries to read, also when it fails, so that a document
	// that names a missing file can be loaded again when the file comes. Nil is fine.
	Seen func(path string)
	// Done ends waiting for a pipe in the place of the document when it is closed; nil never is.
	Done <-chan struct{}
	// Lists are the files of thumbprints that are still in use by documents of before: one of the same content is shared
	// with them and not read anew. Nil shares within the document alone.
	Lists *Lists
}

// Load reads a file, or every *.yaml and *.yml file of a directory (not below it, no hidden files, in the order of their
// names) as one document. The paths in a document that the shell hands over, such as /dev/stdin, are relative to the working
// directory. The error is an ErrorList with every mistake, or says why the path itself could not be read.
func Load(path string, opts Options) (*Document, error) {
	if path == "" {
		return nil, errors.New("load configuration: the path is empty")
	}
	if opts.Env == nil {
		opts.Env = os.LookupEnv
	}
	if opts.Lists == nil {
		opts.Lists = &Lists{}
	}
	l := &loader{opts: opts, doc: &Document{source: newSource(opts.Seen)}, written: map[*string]*expressed{}, damaged: map[any]bool{}, unsound: map[any]bool{}, noted: map[any]bool{}}
	files, err := l.readFiles(path)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	l.decode(files)
	l.describe()
	l.check()
	l.resolve()
	l.checkReach()
	l.propagate()
	if err := l.finish(); err != nil {
		return nil, err
	}
	return l.doc, nil
}

// loader is one run of Load.
type loader struct {
	opts Options
	doc  *Document
	errs ErrorList

	index    index
	lost     damage
	unread   bool         // a file could not be parsed: anything may be missing
	damaged  map[any]bool // fields and entries by address that could not be decoded, or have an unknown key: what they lack may be misspelt
	unsound  map[any]bool // sections by key, and their entries by address, with any error in decoding
	noted    map[any]bool // fields that noteOnce has spoken of
	aliased  []aliased    // matchers with an alias
	filed    []aliased    // matchers with a certificate or a file of thumbprints
	suggests int          // how many suggestions were looked for, see nearest

	compiler *expression.Compiler   // of this document; nil until the first expression
	located  int                    // how many mistakes of expressions were looked for, see locate
	written  map[*string]*expressed // where expressions stand, by their fields
}

// shape records a mistake of the document itself at a field or element.
func (l *loader) shape(at any, format string, args ...any) {
	l.add(Error{Position: l.doc.source.position(at), Message: fmt.Sprintf(format, args...)})
}

func (l *loader) note(at any, format string, args ...any) {
	l.doc.source.notes = append(l.doc.source.notes, Note{Position: l.doc.source.position(at), Message: fmt.Sprintf(format, args...)})
}

// noteOnce is note for what many entries would give the same reason to say.
func (l *loader) noteOnce(at any, format string, args ...any) {
	if !l.noted[at] {
		l.noted[at] = true
		l.note(at, format, args...)
	}
}

func (l *loader) add(e Error) { l.errs = append(l.errs, e) }

// finish sorts what was found and decides whether the document can be used.
func (l *loader) finish() error {
	sortErrors(l.errs)
	l.errs = slices.Compact(l.errs)
	fatal := func(e Error) bool { return e.Kind == Shape || !l.opts.ServePartial }
	if slices.ContainsFunc(l.errs, fatal) {
		return l.errs
	}
	for _, e := range l.errs {
		message := e
		message.Position = Position{}
		l.doc.source.notes = append(l.doc.source.notes, Note{Position: e.Position, Message: message.Error()})
	}
	SortNotes(l.doc.source.notes)
	return nil
}
