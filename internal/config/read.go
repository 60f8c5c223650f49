package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	maxFileSize = 64 << 20 // of one configuration file
	maxDepth    = 100      // of nested lists and mappings
)

// file is one configuration file.
type file struct {
	path  string
	index uint32 // in source.names
	text  string
	root  *yaml.Node
}

// readFiles reads and parses the document's files. The error is about path itself; mistakes inside go to the list.
func (l *loader) readFiles(path string) ([]*file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	paths := []string{path}
	read := func(path string) ([]byte, error) { return readAny(path, maxFileSize, pipePatience, l.opts.Done) }
	if info.IsDir() {
		read = func(path string) ([]byte, error) { return readRegular(path, maxFileSize) }
		if paths, err = l.directory(path); err != nil {
			return nil, err
		}
	}
	var files []*file
	for _, p := range paths {
		data, err := read(p)
		if err != nil {
			return nil, err
		}
		l.doc.source.read(p)
		f := l.doc.source.file(p)
		if f.root = l.parse(f, data, "sections, such as listeners:"); f.root == nil {
			l.unread = true
			continue
		}
		files = append(files, f)
	}
	return files, nil
}

// directory returns the configuration files of a directory.
func (l *loader) directory(dir string) ([]string, error) {
	l.doc.source.read(dir)
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var paths []string
	irregular := false
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path) // follows links: mounted configuration maps are made of them
		if err != nil {
			return nil, err
		}
		switch ext := filepath.Ext(e.Name()); {
		case info.IsDir():
		case ext != ".yaml" && ext != ".yml":
			l.doc.source.notes = append(l.doc.source.notes, Note{Position{File: path}, "ignored: only *.yaml and *.yml files are read"})
		case !info.Mode().IsRegular():
			irregular = true
			l.add(Error{Position: Position{File: path}, Message: errIrregular.Error() + ", and a directory is read file by file"})
		default:
			paths = append(paths, path)
		}
	}
	l.unread = irregular || len(paths) == 0
	if l.unread && !irregular {
		l.add(Error{Position: Position{File: dir}, Message: "the directory holds no *.yaml or *.yml file"})
	}
	return paths, nil
}

// parse turns a file into the mapping that is its only YAML document, or nil with an error in the list. content is what
// belongs into the mapping, for a message.
func (l *loader) parse(f *file, data []byte, content string) *yaml.Node {
	text := strings.TrimPrefix(string(data), "\ufeff")
	f.text = text
	if pos, message := unprintable(text); message != "" {
		pos.File = f.path
		l.add(Error{Position: pos, Message: message})
		return nil
	}
	// The comments are not needed, but the parser would attach them to nodes at a cost that grows with their number.
	loader, err := yaml.NewLoader(strings.NewReader(text))
	if err != nil {
		l.add(Error{Position: Position{File: f.path}, Message: err.Error()})
		return nil
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF), err == nil && empty(&first):
		l.add(Error{Position: Position{File: f.path, Line: 1, Column: 1}, Message: "the document is empty"})
		return nil
	case err != nil:
		l.add(syntaxError(f, text, err))
		return nil
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		l.add(syntaxError(f, text, err))
		return nil
	default:
		l.add(Error{Position: Position{f.path, second.Line, second.Column}, Message: "a second document begins here: one file holds one document"})
	}
	root := first.Content[0]
	if root.Kind != yaml.MappingNode {
		l.add(Error{Position: Position{f.path, root.Line, root.Column}, Message: "the document must be a mapping of " + content})
		return nil
	}
	return root
}

func empty(n *yaml.Node) bool {
	return len(n.Content) == 0 || n.Content[0].Kind == yaml.ScalarNode && n.Content[0].Tag == "!!null"
}

// unprintable finds what a YAML text cannot hold, where the parser would not say where it is, and what would make the text
// another one than a reader sees: characters that YAML takes for a line break and editors do not, and those that turn the
// direction of writing.
func unprintable(text string) (Position, string) {
	line, column := 1, 1
	for i, r := range text {
		switch {
		case r == '\n':
			line, column = line+1, 1
			continue
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"):
			return Position{Line: line, Column: column}, "the file is not UTF-8 here"
		case r < 0x20 && r != '\t' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0, r == '\r' && !strings.HasPrefix(text[i:], "\r\n"),
			r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff, r == 0xfffe, r == 0xffff:
			return Position{Line: line, Column: column}, fmt.Sprintf("the character U+%04X must be written as an escape in double quotes", r)
		}
		column++
	}
	return Position{}, ""
}

// syntaxError says in our words where the parser gave up. The parser's message can quote the text, which may be a
// secret; ours does not.
func syntaxError(f *file, text string, err error) Error {
	e := Error{Position: Position{File: f.path}, Message: "the text is not YAML"}
	load, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return e
	}
	e.Line, e.Column = load.Mark.Line, load.Mark.Column
	line := lineOf(text, e.Line)
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		e.Column = utf8.RuneCountInString(indent[:strings.IndexByte(indent, '\t')]) + 1
		e.Message = "a tab cannot indent: use blanks"
	case strings.HasPrefix(load.Message, "unknown anchor"):
		e.Message = "aliases (*name) are not supported: repeat the value, or quote it if the text begins with *"
	case strings.Contains(line, "{{"):
		e.Message = "the text is not YAML: quote a value that holds {{…}}"
	case load.Message == "mapping values are not allowed in this context":
		e.Message = `the text is not YAML: a key does not fit here; check the indentation, and quote a value that holds ": "`
	case slices.Contains([]string{"found character that cannot start any token"}, load.Message):
		e.Message = "the text is not YAML: quote a value that begins with this character"
	case known(load.Message):
		e.Message = "the text is not YAML: " + load.Message
	}
	return e
}

// known reports whether a parser's message is one that cannot quote the text.
func known(message string) bool {
	return strings.HasPrefix(message, "did not find expected ") || strings.HasPrefix(message, "could not find expected ") ||
		strings.HasPrefix(message, "found unexpected ") || message == "found unknown escape character" ||
		message == "found incompatible YAML document" || strings.HasPrefix(message, "block sequence entries are not allowed") ||
		strings.HasPrefix(message, "exceeded max depth")
}

// lineOf returns a line of a text, counted from 1; "" when there is none.
func lineOf(text string, number int) string {
	for ; number > 1; number-- {
		_, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return ""
		}
		text = rest
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}
