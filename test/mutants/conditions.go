package main

import (
	"go/ast"
	"go/token"
	"go/types"
)

// operands returns the operands of a chain of one operator, the expression itself when it is none.
func operands(e ast.Expr, op token.Token) []ast.Expr {
	b, ok := ast.Unparen(e).(*ast.BinaryExpr)
	if !ok || b.Op != op {
		return []ast.Expr{e}
	}
	return append(operands(b.X, op), operands(b.Y, op)...)
}

// never makes a condition false: each operand of || of its own, anything else as a whole. Inside it the operands of ||
// are mutated likewise.
func (f *finder) never(e ast.Expr) {
	if not := negated(e); not != nil {
		f.always(not)
		return
	}
	if alternatives := operands(e, token.LOR); len(alternatives) > 1 {
		for _, a := range alternatives {
			f.never(a)
		}
		return
	}
	f.become(e, "false")
	if all := operands(e, token.LAND); len(all) > 1 {
		for _, a := range all {
			if len(operands(a, token.LOR)) > 1 {
				f.never(a)
			}
		}
	}
}

// always makes a condition true: each operand of && of its own, anything else as a whole. Inside it the operands of &&
// are mutated likewise.
func (f *finder) always(e ast.Expr) {
	if not := negated(e); not != nil {
		f.never(not)
		return
	}
	if all := operands(e, token.LAND); len(all) > 1 {
		for _, a := range all {
			f.always(a)
		}
		return
	}
	if f.spares(e) {
		return
	}
	f.become(e, "true")
	if alternatives := operands(e, token.LOR); len(alternatives) > 1 {
		for _, a := range alternatives {
			if len(operands(a, token.LAND)) > 1 {
				f.always(a)
			}
		}
	}
}

// spares reports whether a condition is that a map is not nil: where it is, looking into it finds nothing either.
func (f *finder) spares(e ast.Expr) bool {
	b, ok := ast.Unparen(e).(*ast.BinaryExpr)
	if !ok || b.Op != token.NEQ || types.ExprString(b.Y) != "nil" {
		return false
	}
	_, ok = f.unit.info.TypeOf(b.X).Underlying().(*types.Map)
	return ok
}

// negated returns what stands in parentheses behind an exclamation mark, nil for anything else.
func negated(e ast.Expr) ast.Expr {
	not, ok := ast.Unparen(e).(*ast.UnaryExpr)
	if !ok || not.Op != token.NOT {
		return nil
	}
	if inner, ok := not.X.(*ast.ParenExpr); ok {
		return inner.X
	}
	return nil
}

// become makes an expression true or false.
func (f *finder) become(e ast.Expr, value string) {
	e = ast.Unparen(e)
	if isFlag(e) {
		return
	}
	id := f.add(e, value)
	switch {
	case id == 0:
	case value == "true":
		f.wrap(e, "(mutant("+itoa(id)+") || (", "))")
	default:
		f.wrap(e, "(!mutant("+itoa(id)+") && (", "))")
	}
}

// flip turns a flag round.
func (f *finder) flip(e ast.Expr) {
	id, ok := ast.Unparen(e).(*ast.Ident)
	if !ok {
		return
	}
	other := map[string]string{"true": "false", "false": "true"}[id.Name]
	if n := f.add(e, other); n != 0 {
		f.wrap(e, "(", " != mutant("+itoa(n)+"))")
	}
}

// expressions mutates the flags below a node, and the functions in it.
func (f *finder) expressions(below ast.Node) {
	ast.Inspect(below, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			f.literal(n)
			return false
		case *ast.CallExpr:
			for _, argument := range n.Args {
				if isFlag(argument) {
					f.flip(argument)
				}
			}
		case *ast.KeyValueExpr:
			f.flag(n.Value)
		case *ast.AssignStmt:
			for _, right := range n.Rhs {
				f.flag(right)
			}
		}
		return true
	})
}

// literal mutates a function without a name.
func (f *finder) literal(l *ast.FuncLit) {
	results := f.resultsOf(l)
	f.body(l.Body, f.outcomeOfResults(results, nil, l.Body))
}

// flag mutates what is assigned to something that is true or false: a flag, or a calculation of one.
func (f *finder) flag(e ast.Expr) {
	switch x := ast.Unparen(e).(type) {
	case *ast.Ident:
		if isFlag(e) {
			f.flip(e)
		}
	case *ast.BinaryExpr, *ast.UnaryExpr:
		if f.isBool(x) {
			f.never(x)
			f.always(x)
		}
	}
}
