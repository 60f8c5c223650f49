package expression

import (
	"errors"
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// Options are what a document says to its expressions.
type Options struct {
	// Named are the named values: a text is a list of one.
	Named map[string]Named
	// CheckHeader says why no expression may ask for a header field; nil, and nil from it, mean that it may.
	CheckHeader func(name string) error
}

// Named is a named value as named['x'] has it.
type Named struct {
	// Text is the value where List is nil.
	Text string
	// List is the value of one that is a list; it is not changed.
	List []string
}

// Compiler compiles the expressions of one document. It is for one goroutine.
type Compiler struct {
	opts     Options
	env      *cel.Env // which parses
	full     *cel.Env // the same with room for named lists, which checks and plans
	provider *provider
	known    map[string]*Expression // by source: a document says the same thing about many APIs
	inserted int                    // entries of named lists
}

// NewCompiler returns a compiler. The error is a mistake of this package.
func NewCompiler(opts Options) (*Compiler, error) {
	e, p, err := newEnvironment()
	if err != nil {
		return nil, err
	}
	full, err := e.Extend(cel.ExpressionNodeLimit(maxNodes + maxNamed))
	if err != nil {
		return nil, fmt.Errorf("expressions: %w", err)
	}
	return &Compiler{opts: opts, env: e, full: full, provider: p, known: map[string]*Expression{}}, nil
}

// Expression is a compiled condition. A nil Expression cannot be evaluated.
type Expression struct {
	source  string
	program cel.Program
	headers []string
	reads   map[string]bool // fields of certificates

	aboutRequest, aboutMethod bool
}

// Compile compiles a condition. The error is an ErrorList.
func (c *Compiler) Compile(source string) (*Expression, error) {
	if e := c.known[source]; e != nil {
		return e, nil
	}
	parsed, issues := c.env.Parse(source)
	if issues.Err() != nil {
		return nil, c.explain(source, issues)
	}
	w := &walker{compiler: c, source: parsed.NativeRep().SourceInfo(), lastID: ast.MaxID(parsed.NativeRep())}
	w.count(parsed.NativeRep().Expr())
	w.insertNamed(parsed.NativeRep().Expr())
	if len(w.errs) > 0 {
		return nil, w.errs
	}
	clear(c.provider.absent)
	checked, issues := c.full.Check(parsed)
	if issues.Err() != nil {
		return nil, c.explain(source, issues)
	}
	if got := checked.OutputType(); !got.IsExactType(types.BoolType) {
		return nil, ErrorList{{Line: 1, Column: 1, Message: "it gives a " + typeName(got.String()) + ", and has to give true or false"}}
	}
	w.inspect(checked.NativeRep())
	if len(w.errs) > 0 {
		return nil, w.errs
	}
	program, err := c.program(checked)
	if err != nil {
		return nil, ErrorList{{Line: 1, Column: 1, Message: err.Error()}}
	}
	slices.Sort(w.headers)
	e := &Expression{source: source, program: program, headers: slices.Compact(w.headers), reads: w.reads, aboutRequest: w.aboutRequest, aboutMethod: w.aboutMethod}
	c.known[source] = e
	return e, nil
}

// program plans the evaluation. Where the worst that a caller can send stays below the bound, nothing is counted.
func (c *Compiler) program(checked *cel.Ast) (cel.Program, error) {
	estimate, err := c.full.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, err
	}
	if estimate.Min > maxCost {
		return nil, fmt.Errorf("it costs at least %d units each time, and no evaluation may cost more than %d", estimate.Min, maxCost)
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if estimate.Max > maxCost {
		opts = append(opts, cel.CostLimit(maxCost))
	}
	return c.full.Program(checked, opts...)
}

// Holds evaluates the condition. An error means that it has no value, and nobody may take that for consent. It is one line
// and may quote the certificate and the request.
func (e *Expression) Holds(s *Scope) (bool, error) {
	if e == nil {
		return false, errors.New("there is no expression")
	}
	if s == nil {
		return false, errors.New("there is nothing to evaluate it against")
	}
	value, _, err := e.program.Eval(s)
	if err != nil {
		if cancelled, ok := errors.AsType[interpreter.EvalCancelledError](err); ok && cancelled.Cause == interpreter.CostLimitExceeded {
			return false, fmt.Errorf("it was stopped: an evaluation may cost %d units", maxCost)
		}
		return false, err
	}
	switch value {
	case types.True:
		return true, nil
	case types.False:
		return false, nil
	}
	return false, fmt.Errorf("it gives no truth value but %T", value)
}

// String is the source; empty for nil.
func (e *Expression) String() string {
	if e == nil {
		return ""
	}
	return e.source
}

// Headers are the names of the header fields that the expression asks for, in lower case, ascending.
func (e *Expression) Headers() []string {
	if e == nil {
		return nil
	}
	return e.headers
}

// Reads reports whether the expression reads this field of a certificate.
func (e *Expression) Reads(field string) bool { return e != nil && e.reads[field] }

// AboutRequest reports whether the expression reads the request or the time, so that the same certificate may get another answer.
func (e *Expression) AboutRequest() bool { return e != nil && e.aboutRequest }

// AboutMethod reports whether the expression reads the method of the request.
func (e *Expression) AboutMethod() bool { return e != nil && e.aboutMethod }
