package schema

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// comments are the comments of the types of package config, and of their fields as "Type.Field".
type comments map[string]string

// readComments parses the source of package config. Root is the folder of go.mod.
func readComments(root string) (comments, error) {
	dir := filepath.Join(root, "internal", "config")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the source of package config: %w", err)
	}
	c := comments{}
	for _, e := range entries {
		if name := e.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read the source of package config: %w", err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				c.addTypes(g)
			}
		}
	}
	return c, nil
}

func (c comments) addTypes(g *ast.GenDecl) {
	for _, s := range g.Specs {
		spec, ok := s.(*ast.TypeSpec)
		if !ok {
			continue
		}
		doc := spec.Doc
		if doc == nil {
			doc = g.Doc
		}
		c[spec.Name.Name] = doc.Text()
		body, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range body.Fields.List {
			for _, name := range f.Names {
				c[spec.Name.Name+"."+name.Name] = f.Doc.Text()
			}
		}
	}
}

// ofType returns what the comment of a type says to operators: its first paragraph, without the name that Go comments
// begin with.
func (c comments) ofType(name string) (string, error) {
	text := firstParagraph(c[name])
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(text, name+verb); ok {
			return sentence(name, upper(rest))
		}
	}
	return "", fmt.Errorf("the comment of %s does not begin with %q", name, name+" is ")
}

// ofField returns what the comment of a field says to operators: its first paragraph.
func (c comments) ofField(of, field string) (string, error) {
	text := firstParagraph(c[of+"."+field])
	if words := strings.Fields(text); len(words) > 1 && words[0] == field && slices.Contains([]string{"is", "are", "says", "names", "lists"}, words[1]) {
		return "", errors.New("the comment begins with the name of the field, which operators do not know")
	}
	return sentence(of+"."+field, text)
}

func sentence(what, text string) (string, error) {
	if text == "" || !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ".)") {
		return "", fmt.Errorf("the comment of %s is not a sentence: %q", what, text)
	}
	return text, nil
}

func firstParagraph(doc string) string {
	first, _, _ := strings.Cut(doc, "\n\n")
	return strings.Join(strings.Fields(first), " ")
}

func upper(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}
