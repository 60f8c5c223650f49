package main

import (
	"go/ast"
	"go/types"
	"strconv"
)

// kind is what the answer of a function says about a refusal.
type kind uint8

const (
	neutral   kind = iota
	predicate      // a bool: either may refuse
	index          // a number, -1 where nothing was found
	verdict        // an error, a decision, or something that holds a reason
	complaint      // a text that says what is wrong, "" for nothing
)

// outcome is how a function answers.
type outcome struct {
	kind   kind
	result int          // which result it is
	of     int          // how many results there are
	accept string       // the expression that accepts, "" when there is none
	value  types.Object // the variable that accepts, nil when it is no variable
}

// outcomeOf looks at the results of a function. The last one that can refuse counts.
func (f *finder) outcomeOf(function types.Object, body *ast.BlockStmt) *outcome {
	signature, ok := function.Type().(*types.Signature)
	if !ok {
		return &outcome{}
	}
	return f.outcomeOfResults(signature.Results(), f.complaints[function], body)
}

func (f *finder) outcomeOfResults(results *types.Tuple, says map[int]bool, body *ast.BlockStmt) *outcome {
	for i := results.Len() - 1; i >= 0; i-- {
		o := f.outcomeOfType(results.At(i).Type())
		basic, _ := results.At(i).Type().(*types.Basic)
		switch {
		case o.kind != neutral:
		case says[i] && basic != nil && basic.Kind() == types.String:
			o.kind, o.accept = complaint, `""`
		case basic != nil && basic.Kind() == types.Int && returnsMinusOne(body, i):
			o.kind = index
		default:
			continue
		}
		o.result, o.of = i, results.Len()
		return o
	}
	return &outcome{}
}

func (f *finder) outcomeOfType(t types.Type) *outcome {
	if basic, ok := t.Underlying().(*types.Basic); ok && basic.Kind() == types.Bool {
		return &outcome{kind: predicate}
	}
	if types.Implements(t, errorType()) {
		return &outcome{kind: verdict, accept: "nil"}
	}
	if !holdsReason(t, 2) {
		return &outcome{}
	}
	o := &outcome{kind: verdict}
	if _, pointer := t.(*types.Pointer); pointer {
		if !judges(t) && holdsReason(t, 1) {
			o.accept = "nil" // a fault: none is fine
		}
		return o
	}
	scope := f.unit.types.Scope()
	for _, name := range scope.Names() {
		if v, ok := scope.Lookup(name).(*types.Var); ok && types.Identical(v.Type(), t) {
			o.accept, o.value = name, v
		}
	}
	return o
}

func errorType() *types.Interface {
	i, _ := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	return i
}

// judges reports whether a type says itself whether it allows.
func judges(t types.Type) bool {
	for _, name := range []string{"Allowed", "Accepted"} {
		object, _, _ := types.LookupFieldOrMethod(t, true, nil, name)
		if method, ok := object.(*types.Func); ok {
			signature, _ := method.Type().(*types.Signature)
			return signature.Params().Len() == 0 && signature.Results().Len() == 1
		}
	}
	return false
}

// holdsReason reports whether a type judges, or is a struct with such a field, fields of fields included down to a depth.
func holdsReason(t types.Type, depth int) bool {
	if judges(t) {
		return true
	}
	if pointer, ok := t.Underlying().(*types.Pointer); ok {
		t = pointer.Elem()
	}
	fields, ok := t.Underlying().(*types.Struct)
	if !ok || depth == 0 {
		return false
	}
	for field := range fields.Fields() {
		if holdsReason(field.Type(), depth-1) {
			return true
		}
	}
	return false
}

// returnsMinusOne reports whether a function has a return of -1 as its i-th result.
func returnsMinusOne(body *ast.BlockStmt, i int) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if _, inner := n.(*ast.FuncLit); inner {
			return false
		}
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > i {
			minus, ok := r.Results[i].(*ast.UnaryExpr)
			found = found || ok && types.ExprString(minus) == "-1"
		}
		return true
	})
	return found
}

// accepts reports whether an expression is the answer that accepts, as far as one sees.
func (f *finder) accepts(o *outcome, e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return o.value != nil && f.unit.info.Uses[e] == o.value || o.accept == "nil" && e.Name == "nil"
	case *ast.BasicLit:
		return o.kind == complaint && e.Value == `""`
	case *ast.UnaryExpr:
		return f.accepts(o, e.X)
	case *ast.CompositeLit:
		accepting := false
		ast.Inspect(e, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				accepting = accepting || n.Sel.Name == "OK"
			case *ast.Ident:
				v, ok := f.unit.info.Uses[n].(*types.Var)
				accepting = accepting || ok && v.Parent() == f.unit.types.Scope() && f.outcomeOfType(v.Type()).value == v
			}
			return true
		})
		return accepting
	}
	return false
}

func itoa(n int) string { return strconv.Itoa(n) }

// resultsOf returns the results of a function without a name.
func (f *finder) resultsOf(l *ast.FuncLit) *types.Tuple {
	if signature, ok := f.unit.info.TypeOf(l).(*types.Signature); ok {
		return signature.Results()
	}
	return nil
}
