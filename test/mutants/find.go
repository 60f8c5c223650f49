package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// finder looks for the refusals of a unit and collects mutants without them.
//
// What a function answers with decides what is a refusal in it (see outcome). From there:
//   - the condition of a guard that refuses is never met, for each operand of || of its own;
//   - the condition of a guard that accepts is always met, for each operand of && of its own;
//   - a refusal that no condition guards becomes an acceptance;
//   - what a predicate answers is changed both ways: whether true or false refuses is its callers' affair;
//   - a statement that refuses, and an assignment of something that may refuse, is left out;
//   - a flag is the other way round, and so is each operand of what it is calculated from;
//   - a value of a switch that decides, and an element of a list of the package, is left out;
//   - an element that ends with an asterisk or an equals sign, which say what may follow, loses it.
type finder struct {
	unit       *unit
	target     target
	complaints map[types.Object]map[int]bool // functions whose string result says what is wrong, "" meaning nothing

	file     *source
	function string
	found    []*mutant
	wraps    map[*source][]wrap
	seen     map[part]bool
	err      error
}

// part tells mutants apart.
type part struct {
	file        *source
	start, end  int
	replacement string
}

// find returns the mutants of a unit and how each is built in. The error names source that is not
// understood.
func find(u *unit, t target) ([]*mutant, map[*source][]wrap, error) {
	f := &finder{unit: u, target: t, wraps: map[*source][]wrap{}, seen: map[part]bool{}}
	f.findComplaints()
	for _, file := range u.files {
		f.file = file
		if t.only != "" && file.path != t.dir+"/"+t.only {
			f.callsOf(t.calls)
			continue
		}
		for _, declaration := range file.syntax.Decls {
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				f.function = functionName(d)
				if d.Body != nil {
					f.body(d.Body, f.outcomeOf(f.unit.info.Defs[d.Name], d.Body))
				}
			case *ast.GenDecl:
				f.function = ""
				if d.Tok == token.VAR {
					f.table(d)
					f.expressions(d)
				}
			}
		}
	}
	return f.found, f.wraps, f.err
}

// callsOf leaves out the calls of some functions.
func (f *finder) callsOf(names []string) {
	for _, declaration := range f.file.syntax.Decls {
		d, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		f.function = functionName(d)
		ast.Inspect(d, func(n ast.Node) bool {
			if s, ok := n.(*ast.ExprStmt); ok && slices.Contains(names, calledName(asCall(s.X))) {
				f.leaveOut(s)
			}
			return true
		})
	}
}

func functionName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	receiver := d.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	if id, ok := receiver.(*ast.Ident); ok {
		return id.Name + "." + d.Name.Name
	}
	return d.Name.Name
}

// add records a mutant and returns its number; 0 when it is there already.
func (f *finder) add(n ast.Node, replacement string) int {
	p := part{f.file, f.offset(n.Pos()), f.offset(n.End()), replacement}
	if f.seen[p] {
		return 0
	}
	f.seen[p] = true
	m := &mutant{id: len(f.found) + 1, file: f.file, function: f.function, start: p.start, end: p.end, replacement: replacement}
	f.found = append(f.found, m)
	return m.id
}

func (f *finder) offset(p token.Pos) int { return f.unit.fset.Position(p).Offset }

// wrap builds text in around a node.
func (f *finder) wrap(n ast.Node, prefix, suffix string) {
	f.wraps[f.file] = append(f.wraps[f.file], wrap{f.offset(n.Pos()), f.offset(n.End()), prefix, suffix})
}

// findComplaints finds the functions whose string result somebody compares with "": they say what is wrong.
func (f *finder) findComplaints() {
	f.complaints = map[types.Object]map[int]bool{}
	from := map[types.Object]*ast.CallExpr{}
	index := map[types.Object]int{}
	compared := func(e ast.Expr) {
		call, at := asCall(e), 0
		if id, ok := ast.Unparen(e).(*ast.Ident); ok {
			object := f.unit.info.Uses[id]
			call, at = from[object], index[object]
		}
		if call == nil {
			return
		}
		if callee := f.callee(call); callee != nil {
			if f.complaints[callee] == nil {
				f.complaints[callee] = map[int]bool{}
			}
			f.complaints[callee][at] = true
		}
	}
	for _, file := range f.unit.files {
		ast.Inspect(file.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					id, ok := left.(*ast.Ident)
					if !ok || f.unit.info.Defs[id] == nil || asCall(n.Rhs[0]) == nil || len(n.Rhs) > 1 {
						continue
					}
					from[f.unit.info.Defs[id]], index[f.unit.info.Defs[id]] = asCall(n.Rhs[0]), i
				}
			case *ast.BinaryExpr:
				if lit, ok := n.Y.(*ast.BasicLit); ok && n.Op == token.NEQ && lit.Value == `""` {
					compared(n.X)
				}
			}
			return true
		})
	}
}

func asCall(e ast.Expr) *ast.CallExpr {
	call, _ := ast.Unparen(e).(*ast.CallExpr)
	return call
}

// callee returns the function that is called, nil when it is none with a name.
func (f *finder) callee(call *ast.CallExpr) types.Object {
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		return f.unit.info.Uses[fun]
	case *ast.SelectorExpr:
		return f.unit.info.Uses[fun.Sel]
	}
	return nil
}

// table drops the elements of the lists of the package. Maps to bool are flags.
func (f *finder) table(d *ast.GenDecl) {
	ast.Inspect(d, func(n ast.Node) bool {
		if _, inside := n.(*ast.FuncLit); inside {
			return false
		}
		list, ok := n.(*ast.CompositeLit)
		if !ok || len(list.Elts) < 2 {
			return true
		}
		if _, ok := f.unit.info.TypeOf(list).Underlying().(*types.Slice); !ok || slices.ContainsFunc(list.Elts, isKeyed) {
			return true
		}
		first := 0
		for _, element := range list.Elts {
			if id := f.add(element, ""); first == 0 {
				first = id
			}
		}
		f.wrap(list, "mutantWithout("+itoa(first)+", ", ")")
		for _, element := range list.Elts {
			f.shorten(element)
		}
		return true
	})
}

// shorten takes the sign at the end of a pattern away.
func (f *finder) shorten(element ast.Expr) {
	text, ok := element.(*ast.BasicLit)
	if !ok || !strings.HasSuffix(text.Value, `*"`) && !strings.HasSuffix(text.Value, `="`) {
		return
	}
	if id := f.add(text, text.Value[:len(text.Value)-2]+`"`); id != 0 {
		f.wrap(text, "mutantShorter("+itoa(id)+", ", ")")
	}
}

func isKeyed(e ast.Expr) bool {
	_, keyed := e.(*ast.KeyValueExpr)
	return keyed
}
