package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is one file that is mutated.
type source struct {
	path   string // relative to the root, with slashes
	text   []byte
	syntax *ast.File
}

// unit is one package with everything that the search for refusals needs.
type unit struct {
	dir   string // relative to the root, with slashes
	name  string
	fset  *token.FileSet
	files []*source
	types *types.Package
	info  *types.Info
}

// load parses and type-checks the package in a directory below root. It calls the go command for what the package imports.
func load(ctx context.Context, root, dir string) (*unit, error) {
	exports, err := exportsOf(ctx, root, dir)
	if err != nil {
		return nil, err
	}
	u := &unit{dir: dir, fset: token.NewFileSet(), info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
	}}
	names, err := goFiles(ctx, root, dir)
	if err != nil {
		return nil, err
	}
	var all []*ast.File
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, dir, name))
		if err != nil {
			return nil, err
		}
		syntax, err := parser.ParseFile(u.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		all = append(all, syntax)
		u.files = append(u.files, &source{path: dir + "/" + name, text: text, syntax: syntax})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no Go files", dir)
	}
	u.name = all[0].Name.Name
	config := types.Config{Importer: importer.ForCompiler(u.fset, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(file)
	})}
	u.types, err = config.Check(dir, u.fset, all, u.info)
	return u, err
}

// exportsOf returns the files with the export data of everything that a package imports, by import path.
func exportsOf(ctx context.Context, root, dir string) (map[string]string, error) {
	out, err := goCommand(ctx, root, "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", "./"+dir)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		if file != "" {
			exports[path] = file
		}
	}
	return exports, nil
}

// goFiles returns the names of the files of a package on this platform, without tests.
func goFiles(ctx context.Context, root, dir string) ([]string, error) {
	out, err := goCommand(ctx, root, "list", "-f", `{{range .GoFiles}}{{.}}{{"\n"}}{{end}}`, "./"+dir)
	return strings.Fields(string(out)), err
}

// goCommand runs the go command in root and returns what it printed. The error has what it complained about.
func goCommand(ctx context.Context, root string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // G204: our own arguments
	cmd.Dir = root
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("go %s: %w", args[0], err), errors.New(complaint.String()))
	}
	return out, nil
}
