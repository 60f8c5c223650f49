package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// exits are what can happen at the end of a branch.
type exits uint8

const (
	refuses exits = 1 << iota
	accepts
)

// place is where a statement stands.
type place struct {
	*outcome
	guarded bool // a condition that is mutated leads here
	loop    bool // break leaves a loop
	allowed bool // the condition that leads here says that something was allowed
}

// body mutates a function.
func (f *finder) body(b *ast.BlockStmt, o *outcome) {
	f.statements(b.List, place{outcome: o})
	f.expressions(b)
}

func (f *finder) statements(list []ast.Stmt, at place) (e exits) {
	for _, s := range list {
		e |= f.statement(s, at)
	}
	return e
}

func (f *finder) statement(s ast.Stmt, at place) exits {
	switch s := s.(type) {
	case *ast.BlockStmt:
		return f.statements(s.List, at)
	case *ast.LabeledStmt:
		return f.statement(s.Stmt, at)
	case *ast.IfStmt:
		return f.branch(s, at)
	case *ast.ForStmt:
		return f.statements(s.Body.List, place{outcome: at.outcome, loop: true})
	case *ast.RangeStmt:
		return f.statements(s.Body.List, place{outcome: at.outcome, loop: true})
	case *ast.SwitchStmt:
		if s.Tag != nil {
			return f.taggedSwitch(s, at)
		}
		return f.conditions(s, at)
	case *ast.TypeSwitchStmt:
		return f.clauses(s.Body, at)
	case *ast.SelectStmt:
		return f.clauses(s.Body, at)
	case *ast.BranchStmt:
		switch {
		case s.Tok == token.CONTINUE:
			return refuses
		case s.Tok == token.BREAK && at.loop:
			return refuses | accepts
		}
	case *ast.ReturnStmt:
		return f.returned(s, at)
	case *ast.ExprStmt:
		return f.call(s, at)
	case *ast.AssignStmt:
		f.assignment(s)
	}
	return 0
}

// clauses looks into branches that no condition leads to.
func (f *finder) clauses(b *ast.BlockStmt, at place) (e exits) {
	for _, s := range b.List {
		switch clause := s.(type) {
		case *ast.CaseClause:
			e |= f.statements(clause.Body, place{outcome: at.outcome})
		case *ast.CommClause:
			e |= f.statements(clause.Body, place{outcome: at.outcome})
		}
	}
	return e
}

// branch mutates the condition of an if by what its branches do.
func (f *finder) branch(s *ast.IfStmt, at place) exits {
	inside := at
	inside.guarded, inside.allowed = true, isAllowed(s.Cond)
	then := f.statements(s.Body.List, inside)
	otherwise := exits(0)
	if s.Else != nil {
		inside.allowed = false
		otherwise = f.statement(s.Else, inside)
	}
	e := then | swapped(otherwise)
	if mentionsRefusal(s.Cond) {
		e |= refuses
	}
	f.guard(s.Cond, e)
	return then | otherwise
}

func swapped(e exits) exits { return e>>1&refuses | e<<1&accepts }

// guard mutates a condition that leads to exits.
func (f *finder) guard(condition ast.Expr, e exits) {
	if e&refuses != 0 {
		f.never(condition)
	}
	if e&accepts != 0 {
		f.always(condition)
	}
}

// conditions mutates a switch without a tag.
func (f *finder) conditions(s *ast.SwitchStmt, at place) (all exits) {
	for _, c := range s.Body.List {
		clause, ok := c.(*ast.CaseClause)
		if !ok {
			continue
		}
		inside := place{outcome: at.outcome, guarded: clause.List != nil}
		e := f.statements(clause.Body, inside)
		for _, condition := range clause.List {
			f.guard(condition, e)
		}
		all |= e
	}
	return all
}

// taggedSwitch leaves out the values of a switch that decides. The switch becomes one without a tag for that.
func (f *finder) taggedSwitch(s *ast.SwitchStmt, at place) (all exits) {
	for _, c := range s.Body.List {
		if clause, ok := c.(*ast.CaseClause); ok {
			all |= f.statements(clause.Body, place{outcome: at.outcome, guarded: clause.List != nil})
		}
	}
	if all == 0 || at.kind == neutral {
		return all
	}
	if s.Init != nil {
		f.err = fmt.Errorf("%s: %s: a switch with a statement and a tag is not understood: write the statement before it", f.file.path, f.function)
	}
	total := slices.ContainsFunc(s.Body.List, isDefault)
	for _, c := range s.Body.List {
		clause, ok := c.(*ast.CaseClause)
		if !ok {
			continue
		}
		for _, value := range clause.List {
			if len(clause.Body) == 0 && !total { // as if the value were not there
				f.wrap(value, "mutantTag == (", ")")
			} else {
				f.wrap(value, "!mutant("+itoa(f.add(value, ""))+") && mutantTag == (", ")")
			}
		}
	}
	f.wrap(s.Tag, "mutantTag := (", ");")
	return all
}

func isDefault(s ast.Stmt) bool {
	clause, ok := s.(*ast.CaseClause)
	return ok && clause.List == nil
}

// returned looks at a return, and turns a refusal into an acceptance where no condition leads to it.
func (f *finder) returned(s *ast.ReturnStmt, at place) exits {
	if at.kind == neutral || len(s.Results) != at.of {
		return 0
	}
	answer := s.Results[at.result]
	switch {
	case at.kind == predicate:
		f.answer(answer, at)
		return refuses | accepts
	case at.kind == index:
		return refuses | accepts
	case f.accepts(at.outcome, answer), at.allowed && isName(answer):
		return accepts
	}
	if !at.guarded && at.accept != "" {
		f.instead(s, answer, at.accept)
	}
	return refuses
}

// answer mutates what a predicate returns.
func (f *finder) answer(e ast.Expr, at place) {
	switch {
	case !isFlag(e):
		f.never(e)
		f.always(e)
	case !at.guarded:
		f.flip(e)
	}
}

// instead returns something else.
func (f *finder) instead(s *ast.ReturnStmt, answer ast.Expr, replacement string) {
	text := string(f.file.text)
	from, to := f.offset(s.Pos()), f.offset(s.End())
	begin, end := f.offset(answer.Pos()), f.offset(answer.End())
	if id := f.add(answer, replacement); id != 0 {
		other := strings.ReplaceAll(text[from:begin]+replacement+text[end:to], "\n", " ")
		f.wraps[f.file] = append(f.wraps[f.file], wrap{from, from, "if mutant(" + itoa(id) + ") { " + other + " }; ", ""})
	}
}

// refusers are functions that refuse by being called.
func refusers() []string { return []string{"refuse", "refused", "fail", "delete"} }

// call leaves out a call that refuses; where a condition leads to it that is mutated instead.
func (f *finder) call(s *ast.ExprStmt, at place) exits {
	call := asCall(s.X)
	if call == nil || f.target.only == "" && !slices.Contains(refusers(), calledName(call)) {
		return 0 // in header hygiene, what is called sets or removes a field
	}
	if !at.guarded {
		f.leaveOut(s)
	}
	return refuses
}

// calledName is what the called function is called, "" when it has no name or nothing is called.
func calledName(call *ast.CallExpr) string {
	if call == nil {
		return ""
	}
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

// assignment leaves out an assignment to something that may refuse.
func (f *finder) assignment(s *ast.AssignStmt) {
	if s.Tok != token.ASSIGN {
		return
	}
	for _, left := range s.Lhs {
		if id, ok := left.(*ast.Ident); ok && id.Name == "_" {
			continue
		}
		if t := f.unit.info.TypeOf(left); t != nil && f.outcomeOfType(t).kind == verdict {
			f.leaveOut(s)
			return
		}
	}
}

func (f *finder) leaveOut(s ast.Stmt) {
	if id := f.add(s, ""); id != 0 {
		f.wrap(s, "if !mutant("+itoa(id)+") { ", " }")
	}
}

// isAllowed reports whether a condition is that something was allowed.
func isAllowed(e ast.Expr) bool {
	call := asCall(e)
	if call == nil {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	return ok && (selector.Sel.Name == "Allowed" || selector.Sel.Name == "Accepted")
}

// mentionsRefusal reports whether a condition has in it that something was not allowed.
func mentionsRefusal(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		not, ok := n.(*ast.UnaryExpr)
		found = found || ok && not.Op == token.NOT && isAllowed(not.X)
		return true
	})
	return found
}

func isName(e ast.Expr) bool {
	_, ok := ast.Unparen(e).(*ast.Ident)
	return ok
}

// isFlag reports whether an expression is true or false.
func isFlag(e ast.Expr) bool {
	id, ok := ast.Unparen(e).(*ast.Ident)
	return ok && (id.Name == "true" || id.Name == "false")
}

func (f *finder) isBool(e ast.Expr) bool {
	t := f.unit.info.TypeOf(e)
	if t == nil {
		return false
	}
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsBoolean != 0
}
