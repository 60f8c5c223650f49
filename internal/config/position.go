package config

import "slices"

// place is a Position without its text: documents of a hundred thousand APIs hold a million of them.
type place struct {
	file, line, column uint32
}

// entry identifies the value of a key in a map, which has no address of its own.
type entry struct {
	of  any // pointer to the map
	key string
}

// source remembers where a document came from.
type source struct {
	names     []string      // the files that positions speak of
	places    map[any]place // pointer to a field or list element, or an entry, to where it stands
	files     []string      // every file and directory that was read
	notes     []Note
	seenFiles map[string]bool
	seen      func(path string) // Options.Seen
}

func newSource(seen func(path string)) source {
	if seen == nil {
		seen = func(string) {}
	}
	return source{places: map[any]place{}, seenFiles: map[string]bool{}, seen: seen}
}

// read remembers that a file or directory took part.
func (s *source) read(path string) {
	if !s.seenFiles[path] {
		s.seenFiles[path] = true
		s.files = append(s.files, path)
		s.seen(path)
	}
}

// file gives a file that positions speak of its number.
func (s *source) file(path string) *file {
	f := &file{path: path, index: uint32(len(s.names))} //nolint:gosec // nobody has that many
	s.names = append(s.names, path)
	return f
}

func (s *source) position(key any) Position {
	p, ok := s.places[key]
	if !ok {
		return Position{}
	}
	return Position{File: s.names[p.file], Line: int(p.line), Column: int(p.column)}
}

// given reports whether the document says anything about a field, be it wrong.
func (s *source) given(key any) bool {
	_, ok := s.places[key]
	return ok
}

// Position returns where a part of the document stands: field is a pointer to a field or a list element of this
// document, as in d.Position(&d.APIs[3].Policy), or a pointer that the document holds, as in d.Position(d.APIs[3].ClientCertificate).
// A mapping or list that is the value of a key stands where its key does. The zero Position means unknown: the
// document does not say anything there.
func (d *Document) Position(field any) Position { return d.source.position(field) }

// Files returns every file and directory that was read, the document's own first, for watching.
func (d *Document) Files() []string { return slices.Clone(d.source.files) }

// Notes returns the warnings, ordered by position.
func (d *Document) Notes() []Note { return slices.Clone(d.source.notes) }
