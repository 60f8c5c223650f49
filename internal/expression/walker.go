package expression

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// maxInserted is how many entries of named lists the expressions of a document may hold, and maxNamed how many one may.
const (
	maxInserted = 1 << 20
	maxNamed    = 5000
)

// walker looks at the syntax tree of an expression.
type walker struct {
	compiler *Compiler
	source   *ast.SourceInfo
	errs     ErrorList
	headers  []string
	reads    map[string]bool

	aboutRequest, aboutMethod bool
	entries                   int   // of named lists
	lastID                    int64 // of the nodes that there are
}

func (w *walker) fail(at ast.Expr, e Error) {
	location := w.source.GetStartLocation(at.ID())
	e.Line, e.Column = max(location.Line(), 1), max(location.Column(), 0)+1
	w.errs = append(w.errs, e)
}

// count refuses a tree that is too large: macros can make much of a few characters.
func (w *walker) count(root ast.Expr) {
	nodes := 0
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(ast.Expr) { nodes++ }))
	if nodes > maxNodes {
		w.errs = append(w.errs, Error{Line: 1, Column: 1, Message: tooLarge})
	}
}

// insertNamed puts the values of named values in the place of named['x'] and named.x, before types are checked: they are
// constants.
func (w *walker) insertNamed(root ast.Expr) {
	isNamed := func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "named" }
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() { //nolint:exhaustive // nothing else has a name in it
		case ast.ComprehensionKind:
			c := e.AsComprehension()
			for _, name := range []string{c.IterVar(), c.IterVar2()} {
				if slices.Contains(variableNames, name) {
					w.fail(e, Error{Message: name + " cannot be the name of a variable: it has a meaning already"})
				}
			}
		case ast.SelectKind:
			if s := e.AsSelect(); isNamed(s.Operand()) {
				w.insert(e, s.FieldName())
			}
		case ast.CallKind:
			c := e.AsCall()
			if c.FunctionName() != "_[_]" || !isNamed(c.Args()[0]) {
				return
			}
			name, ok := constant(c.Args()[1])
			if !ok {
				w.fail(e, Error{Message: "named takes the name itself, such as named['x']"})
				return
			}
			w.insert(e, name)
		}
	}))
}

func (w *walker) insert(e ast.Expr, name string) {
	value, ok := w.compiler.opts.Named[name]
	if !ok {
		known := make([]string, 0, len(w.compiler.opts.Named))
		for n := range w.compiler.opts.Named {
			known = append(known, n)
		}
		slices.Sort(known)
		w.fail(e, Error{Message: "the named value " + quote(name) + " is not defined", Named: true, Word: name, Known: known})
		return
	}
	factory := ast.NewExprFactory()
	if value.List == nil {
		e.SetKindCase(factory.NewLiteral(0, types.String(value.Text)))
		return
	}
	w.entries += len(value.List)
	w.compiler.inserted += len(value.List)
	if w.entries > maxNamed || w.compiler.inserted > maxInserted {
		w.fail(e, Error{Message: fmt.Sprintf("the named list %s is too long for an expression: lists of thousands belong in allow and deny, which find an entry at once", quote(name))})
		return
	}
	entries := make([]ast.Expr, len(value.List))
	for i, s := range value.List {
		w.lastID++
		entries[i] = factory.NewLiteral(w.lastID, types.String(s))
	}
	e.SetKindCase(factory.NewList(0, entries, nil))
}

// inspect refuses what would only show when a request comes, and notes what the expression reads.
func (w *walker) inspect(checked *ast.AST) {
	w.reads = map[string]bool{}
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() { //nolint:exhaustive // the others can do no harm
		case ast.StructKind:
			w.fail(e, Error{Message: "an object cannot be made in an expression"})
		case ast.SelectKind:
			s := e.AsSelect()
			switch checked.GetType(s.Operand().ID()).TypeName() {
			case certificateType.TypeName():
				w.reads[s.FieldName()] = true
			case requestType.TypeName():
				w.aboutMethod = w.aboutMethod || s.FieldName() == "method"
			}
		case ast.IdentKind:
			w.aboutRequest = w.aboutRequest || e.AsIdent() == "request" || e.AsIdent() == "now"
		case ast.CallKind:
			c := e.AsCall()
			switch c.FunctionName() {
			case "matches":
				w.pattern(e, c)
			case "header":
				w.header(e, c.Args()[0])
			case "_==_", "_!=_", "@in":
				w.comparison(checked, c.Args()[0], c.Args()[1])
				w.comparison(checked, c.Args()[1], c.Args()[0])
			}
		}
	}))
}

// forms are those of the fields that have only one: a text in another form equals nothing, and would deny nobody.
var forms = map[string]struct {
	pattern *regexp.Regexp
	says    string
}{
	"sha256":        {regexp.MustCompile(`^[0-9a-f]{64}$`), "64 hex digits with small letters, without colons"},
	"sha1":          {regexp.MustCompile(`^[0-9a-f]{40}$`), "40 hex digits with small letters, without colons"},
	"spki_sha256":   {regexp.MustCompile(`^[0-9a-f]{64}$`), "64 hex digits with small letters, without colons"},
	"issuer_sha256": {regexp.MustCompile(`^([0-9a-f]{64})?$`), "64 hex digits with small letters, without colons"},
	"serial":        {regexp.MustCompile(`^(0|[1-9A-F][0-9A-F]*)$`), "hex digits with capital letters, without colons and leading zeros"},
	"key_type":      {regexp.MustCompile(`^(rsa|ecdsa|ed25519)$`), "rsa, ecdsa or ed25519"},
}

// comparison checks texts that a field with one form is compared with.
func (w *walker) comparison(checked *ast.AST, field, with ast.Expr) {
	if field.Kind() != ast.SelectKind || checked.GetType(field.AsSelect().Operand().ID()).TypeName() != certificateType.TypeName() {
		return
	}
	form, strict := forms[field.AsSelect().FieldName()]
	if !strict {
		return
	}
	texts := []ast.Expr{with}
	if with.Kind() == ast.ListKind {
		texts = with.AsList().Elements()
	}
	for _, t := range texts {
		if text, ok := constant(t); ok && !form.pattern.MatchString(text) {
			w.fail(with, Error{Message: fmt.Sprintf("%s is %s: it never equals %s", field.AsSelect().FieldName(), form.says, quote(text))})
			return
		}
	}
}

// pattern checks the regular expression of matches. CEL looks for a pattern anywhere in a text, and who forgets that lets
// everybody in whose name has the right one in it.
func (w *walker) pattern(e ast.Expr, c ast.CallExpr) {
	arg := c.Args()[len(c.Args())-1]
	source, ok := constant(arg)
	if !ok {
		w.fail(e, Error{Message: "the pattern of matches has to be written out: a text in quotes"})
		return
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err == nil {
		_, err = regexp.Compile(source)
	}
	switch {
	case err != nil:
		w.fail(arg, Error{Message: oneLine(err.Error())})
	case !anchored(parsed, syntax.OpBeginText) || !anchored(parsed, syntax.OpEndText):
		w.fail(arg, Error{Message: "the pattern has to begin with ^ and end with $, in each alternative: matches looks for it anywhere in the text; contains does so, too, and says it"})
	}
}

// anchored reports whether whatever a pattern matches begins with the beginning of the text, or ends with its end.
func anchored(re *syntax.Regexp, op syntax.Op) bool {
	switch re.Op { //nolint:exhaustive // everything else can match inside a text
	case op:
		return true
	case syntax.OpCapture:
		return anchored(re.Sub[0], op)
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !anchored(sub, op) {
				return false
			}
		}
		return true
	case syntax.OpConcat:
		if op == syntax.OpBeginText {
			return anchored(re.Sub[0], op)
		}
		return anchored(re.Sub[len(re.Sub)-1], op)
	}
	return false
}

// header checks the name of a header field and notes it.
func (w *walker) header(e, arg ast.Expr) {
	name, ok := constant(arg)
	if !ok {
		w.fail(e, Error{Message: "the name of a header has to be written out: a text in quotes"})
		return
	}
	if check := w.compiler.opts.CheckHeader; check != nil {
		if err := check(name); err != nil {
			w.fail(arg, Error{Message: oneLine(err.Error())})
			return
		}
	}
	w.headers = append(w.headers, strings.ToLower(name))
}

// constant returns the text that an expression is.
func constant(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}
