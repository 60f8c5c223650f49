package archtest_test

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"strings"
)

// The sizes from which a file or a function holds a second thing that wants a place of its own.
const (
	maxFileLines     = 600
	maxFunctionLines = 80
)

// minSentences is the length of the shortest package comment that can say what a package owns and what it never does.
const minSentences = 3

var (
	// A full stop inside a sentence, as after an abbreviation, is not followed by a capital letter.
	sentenceEnd = regexp.MustCompile(`[.!?][)"']*(\s+[A-Z"(]|\s*$)`)
	owns        = regexp.MustCompile(`\bowns?\b`)
	never       = regexp.MustCompile(`(?i)\bnever\b`)
)

// checkPackageComments complains about packages that do not say what they are for.
func checkPackageComments(m *module) (found complaints) {
	for _, p := range m.sorted() {
		code := p.code()
		if len(code) == 0 {
			continue // tests only, as under test/
		}
		var comments []string
		for _, f := range code {
			if f.syntax.Doc != nil {
				comments = append(comments, f.syntax.Doc.Text())
			}
		}
		if len(comments) != 1 {
			found.addf("%s has %d package comments, one file has it", p.dir, len(comments))
			continue
		}
		text := comments[0]
		if n := len(sentenceEnd.FindAllString(text, -1)); n < minSentences {
			found.addf("%s: the package comment has %d sentences, at least %d are needed", p.dir, n, minSentences)
		}
		if !owns.MatchString(text) {
			found.addf("%s: the package comment does not say what the package owns", p.dir)
		}
		if !never.MatchString(text) {
			found.addf("%s: the package comment does not say what the package never does", p.dir)
		}
	}
	return found
}

// checkSizes complains about long files, and about long functions outside tests.
func checkSizes(m *module) (found complaints) {
	for _, p := range m.sorted() {
		for _, f := range p.files {
			if f.lines > maxFileLines {
				found.addf("%s/%s has %d lines, at most %d are allowed", p.dir, f.name, f.lines, maxFileLines)
			}
			if f.test {
				continue
			}
			for _, declaration := range f.syntax.Decls {
				function, ok := declaration.(*ast.FuncDecl)
				if !ok {
					continue
				}
				first, last := m.fset.Position(function.Pos()).Line, m.fset.Position(function.End()).Line
				if n := last - first + 1; n > maxFunctionLines {
					found.addf("%s/%s: %s has %d lines, at most %d are allowed", p.dir, f.name, function.Name.Name, n, maxFunctionLines)
				}
			}
		}
	}
	return found
}

// checkInit complains about functions that run before main and that nobody calls.
func checkInit(m *module) (found complaints) {
	for _, p := range m.sorted() {
		for _, f := range p.files {
			for _, declaration := range f.syntax.Decls {
				function, ok := declaration.(*ast.FuncDecl)
				if ok && function.Recv == nil && function.Name.Name == "init" {
					found.addf("%s: func init; construct it where it is used", m.fset.Position(function.Pos()))
				}
			}
		}
	}
	return found
}

// checkState complains about package-level variables that change: assigned to, written through, counted up, cleared, or
// made of a lock, a map or a counter of package sync. It does not follow a value into another variable. A sync.Pool is
// fine: nobody can tell what is in it.
func checkState(m *module) (found complaints) {
	for _, p := range m.sorted() {
		var files []*ast.File
		for _, f := range p.code() {
			files = append(files, f.syntax)
			m.findLocks(f, &found)
		}
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		lenient := types.Config{Importer: noImports{}, Error: func(error) {}}
		// What is wrong with the types is the compiler's to say; here only scopes matter.
		this, _ := lenient.Check(p.dir, m.fset, files, info)
		global := func(e ast.Expr) bool {
			id := root(e)
			if id == nil {
				return false
			}
			switch object := info.Uses[id].(type) {
			case *types.Var:
				return object.Parent() == this.Scope()
			case *types.PkgName: // a variable of another package
				return true
			}
			return false
		}
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				for _, target := range written(n) {
					if global(target) {
						found.addf("%s: package-level state changes here", m.fset.Position(target.Pos()))
					}
				}
				return true
			})
		}
	}
	return found
}

// written returns the expressions that a node writes to.
func written(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") {
			return n.Args[:1]
		}
	}
	return nil
}

// root returns the variable, or the package, at the beginning of an expression such as a.b[i]; nil when there is none.
func root(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return nil
}

// findLocks complains about package-level variables whose type comes from package sync or sync/atomic.
func (m *module) findLocks(f *source, found *complaints) {
	for _, declaration := range f.syntax.Decls {
		variables, ok := declaration.(*ast.GenDecl)
		if !ok || variables.Tok != token.VAR {
			continue
		}
		for _, spec := range variables.Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			kinds := []ast.Expr{value.Type}
			for _, v := range value.Values {
				if literal, ok := v.(*ast.CompositeLit); ok {
					kinds = append(kinds, literal.Type)
				}
			}
			for _, kind := range kinds {
				if generic, ok := kind.(*ast.IndexExpr); ok { // atomic.Pointer[T]
					kind = generic.X
				}
				selector, ok := kind.(*ast.SelectorExpr)
				if !ok || selector.Sel.Name == "Pool" {
					continue
				}
				id := root(selector)
				if id != nil && (id.Name == f.localName("sync") || id.Name == f.localName("sync/atomic")) {
					found.addf("%s: package-level state of type %s.%s", m.fset.Position(value.Pos()), id.Name, selector.Sel.Name)
				}
			}
		}
	}
}

// noImports lets the type checker look at one package alone.
type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not imported") }

// checkIdentity complains when anybody but package trust says what a certificate says, and when gateway asks in more
// than one function which headers carry identity: they are stripped in exactly one.
func checkIdentity(m *module) (found complaints) {
	stripping := map[string]bool{}
	for _, p := range m.sorted() {
		for _, f := range p.code() {
			for _, function := range m.callers(f, "internal/identity", "Of") {
				if name(p.dir) != "trust" {
					found.addf("%s/%s: %s calls identity.Of; only package trust does, for a path that it validated", p.dir, f.name, function)
				}
			}
			for _, function := range m.callers(f, "internal/certheader", "Identity") {
				if name(p.dir) == "gateway" {
					stripping[function] = true
				}
			}
		}
	}
	if len(stripping) > 1 {
		found.addf("internal/gateway: %d functions call certheader.Identity; one function strips", len(stripping))
	}
	return found
}

// callers returns the declarations of a file that mention an exported function of one of the module's packages.
func (m *module) callers(f *source, dir, function string) (names []string) {
	local := f.localName(m.path + "/" + dir)
	if local == "" {
		return nil
	}
	for _, declaration := range f.syntax.Decls {
		mentioned := false
		ast.Inspect(declaration, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			id, ok := selector.X.(*ast.Ident)
			mentioned = mentioned || ok && id.Name == local && selector.Sel.Name == function
			return true
		})
		if !mentioned {
			continue
		}
		names = append(names, declared(declaration))
	}
	return names
}

// declared names a top-level declaration.
func declared(d ast.Decl) string {
	function, ok := d.(*ast.FuncDecl)
	if !ok {
		return "a declaration"
	}
	if function.Recv == nil {
		return function.Name.Name
	}
	var b strings.Builder
	if id := root(function.Recv.List[0].Type); id != nil {
		b.WriteString(id.Name + ".")
	}
	return b.String() + function.Name.Name
}
