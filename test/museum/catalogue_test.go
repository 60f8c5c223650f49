package museum_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// cited is a name of a test in a document.
var cited = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]*)`")

// inDocument returns the names of tests that a document cites, without repetitions.
func inDocument(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, match := range cited.FindAllSubmatch(text, -1) {
		names[string(match[1])] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// declared returns the tests of the module by name, with the folders that have one of that name.
func declared(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	root := os.DirFS(moduleRoot)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && cited.MatchString("`"+f.Name.Name+"`") {
				found[f.Name.Name] = append(found[f.Name.Name], filepath.ToSlash(filepath.Dir(path)))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheDocumentsCiteTestsThatExist(t *testing.T) {
	t.Parallel()
	tests := declared(t)
	for _, document := range []string{"docs/museum.md", "docs/standards.md", "docs/threat-model.md"} {
		names := inDocument(t, document)
		if len(names) == 0 {
			t.Errorf("%s cites no test", document)
		}
		for _, name := range names {
			if tests[name] == nil {
				t.Errorf("%s cites %s, which does not exist", document, name)
			}
		}
	}
}

func TestEveryExhibitIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	names := inDocument(t, "docs/museum.md")
	exhibits := 0
	for name, folders := range declared(t) {
		if !slices.Contains(folders, "test/museum") || !strings.Contains(name, "_") { // the names of exhibits have one
			continue
		}
		exhibits++
		if !slices.Contains(names, name) {
			t.Errorf("docs/museum.md has no row for %s", name)
		}
	}
	if exhibits < 40 {
		t.Errorf("%d exhibits were found, which cannot be all", exhibits)
	}
}
