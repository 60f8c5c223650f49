package archtest_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// module is what the rules look at: every Go file parsed and every text file as it is. Directories are relative to the
// module's root and written with slashes.
type module struct {
	path      string // the module path of go.mod
	fset      *token.FileSet
	packages  map[string]*pkg   // by directory
	documents map[string]string // every text file by name, Go files included
}

// pkg is one directory with Go files. Its external test package belongs to it.
type pkg struct {
	dir   string
	files []*source
}

// source is one Go file.
type source struct {
	name    string // base name
	test    bool
	lines   int
	syntax  *ast.File
	imports []string
}

// load reads a module. Build constraints are not applied: a rule holds for every platform.
func load(root fs.FS) (*module, error) {
	m := &module{fset: token.NewFileSet(), packages: map[string]*pkg{}, documents: map[string]string{}}
	if err := m.readModulePath(root); err != nil {
		return nil, err
	}
	nested := "" // the nested module that the walk is inside of
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == ".git" && entry.IsDir():
			return fs.SkipDir
		case entry.Name() == ".git": // of a worktree
			return nil
		case !entry.IsDir():
			return m.add(root, name, nested != "" && strings.HasPrefix(name, nested))
		case name != ".":
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil {
				nested = name + "/"
			}
		}
		return nil
	})
	return m, err
}

func (m *module) readModulePath(root fs.FS) error {
	text, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(line, "module "); found {
			m.path = strings.TrimSpace(name)
			return nil
		}
	}
	return errors.New("go.mod names no module")
}

// add records one file; a Go file of the module's own packages is parsed as well.
func (m *module) add(root fs.FS, name string, foreign bool) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	if !utf8.Valid(text) || slices.Contains(text, 0) {
		return nil // a binary
	}
	m.documents[name] = string(text)
	if foreign || path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
		return nil
	}
	syntax, err := parser.ParseFile(m.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	file := &source{
		name:   path.Base(name),
		test:   strings.HasSuffix(name, "_test.go"),
		lines:  strings.Count(string(text), "\n"),
		syntax: syntax,
	}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		file.imports = append(file.imports, imported)
	}
	dir := path.Dir(name)
	if m.packages[dir] == nil {
		m.packages[dir] = &pkg{dir: dir}
	}
	m.packages[dir].files = append(m.packages[dir].files, file)
	return nil
}

// sorted returns the packages in the order of their directories.
func (m *module) sorted() []*pkg {
	var list []*pkg
	for _, dir := range slices.Sorted(maps.Keys(m.packages)) {
		list = append(list, m.packages[dir])
	}
	return list
}

// own turns the import path of one of the module's packages into its directory.
func (m *module) own(imported string) (dir string, ok bool) {
	if imported == m.path {
		return ".", true
	}
	return strings.CutPrefix(imported, m.path+"/")
}

// code returns the files that are part of the program.
func (p *pkg) code() []*source {
	return slices.DeleteFunc(slices.Clone(p.files), func(f *source) bool { return f.test })
}

// localName returns what file calls the package that it imports from importPath, "" when it does not import it.
func (f *source) localName(importPath string) string {
	for i, spec := range f.syntax.Imports {
		switch {
		case f.imports[i] != importPath:
		case spec.Name != nil:
			return spec.Name.Name
		default:
			return path.Base(importPath)
		}
	}
	return ""
}

// complaints collects what a rule has to say.
type complaints []string

func (c *complaints) addf(format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}
