package expression

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Bounds of one expression. Cost is counted in the units of CEL: about one for each step, and one for each ten bytes that a
// step looks at. The bound is a few milliseconds at worst, when regular expressions look at all of it.
const (
	// MaxLength is how many characters an expression may have.
	MaxLength = 8192

	maxNodes   = 2000 // of the syntax tree, macros expanded
	maxDepth   = 50   // of nested brackets and operators
	maxErrors  = 10   // that the parser finds before it gives up
	maxPattern = 100  // instructions of a regular expression
	maxCost    = 10_000
)

// Bounds of what an expression reads. What is larger has no value, so that nobody makes evaluations dear by what he sends.
const (
	// MaxText is how many bytes a text may have.
	MaxText = 4096

	maxTexts = 1000 // of a list
)

// The types of the objects.
var (
	certificateType = types.NewObjectType("certificate")
	presentedType   = types.NewObjectType("presented")
	requestType     = types.NewObjectType("request")
)

// field is a field of an object.
type field struct {
	name, doc string
	kind      *types.Type
}

func text(name, doc string) field   { return field{name, doc, types.StringType} }
func list(name, doc string) field   { return field{name, doc, types.NewListType(types.StringType)} }
func flag(name, doc string) field   { return field{name, doc, types.BoolType} }
func number(name, doc string) field { return field{name, doc, types.IntType} }
func moment(name, doc string) field { return field{name, doc, types.TimestampType} }

func object(name, doc string, kind *types.Type) field { return field{name, doc, kind} }

// provider knows the objects and their fields, and no other type. It remembers which fields it was asked for and does not
// have, because the errors of CEL do not say of which object. It is for one goroutine.
type provider struct {
	types.Provider
	fields map[string]map[string]*types.FieldType
	names  map[string][]string // of the fields
	absent map[string]string   // field to object
}

func newProvider(base types.Provider) *provider {
	p := &provider{Provider: base, fields: map[string]map[string]*types.FieldType{}, names: map[string][]string{}, absent: map[string]string{}}
	for i := range certificateTable {
		p.add(certificateType, certificateTable[i].field, func(object any) (any, error) {
			c, ok := object.(*Certificate)
			if !ok {
				return nil, errNull
			}
			return valueOf("certificate", certificateTable[i].name, c.fields[i])
		})
	}
	for _, f := range presentedTable {
		p.add(presentedType, f.field, func(object any) (any, error) {
			v, ok := object.(*view[presented])
			if !ok {
				return nil, errNull
			}
			return valueOf("presented", f.name, f.of(&v.Presented))
		})
	}
	for _, f := range requestTable {
		p.add(requestType, f.field, func(object any) (any, error) {
			v, ok := object.(*view[request])
			if !ok {
				return nil, errNull
			}
			return valueOf("request", f.name, f.of(&v.Request))
		})
	}
	return p
}

// valueOf says of an error, which is a value of CEL, too, what has it.
func valueOf(object, field string, value ref.Val) (any, error) {
	if err, failed := value.(*types.Err); failed {
		return nil, fmt.Errorf("%s.%s: %w", object, field, err)
	}
	return value, nil
}

func (p *provider) add(object *types.Type, f field, get func(any) (any, error)) {
	name := object.TypeName()
	if p.fields[name] == nil {
		p.fields[name] = map[string]*types.FieldType{}
	}
	p.names[name] = append(p.names[name], f.name)
	p.fields[name][f.name] = &types.FieldType{Type: f.kind, IsSet: func(any) bool { return true }, GetFrom: get}
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	for _, t := range []*types.Type{certificateType, presentedType, requestType} {
		if t.TypeName() == name {
			return types.NewTypeTypeWithParam(t), true
		}
	}
	return nil, false
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	names, ok := p.names[name]
	return names, ok
}

// FindStructFieldType implements types.Provider.
func (p *provider) FindStructFieldType(object, name string) (*types.FieldType, bool) {
	f, ok := p.fields[object][name]
	if !ok {
		p.absent[name] = object
	}
	return f, ok
}

// FindIdent implements types.Provider: no type and no constant has a name.
func (*provider) FindIdent(string) (ref.Val, bool) { return nil, false }

// NewValue implements types.Provider: nobody makes objects.
func (*provider) NewValue(string, map[string]ref.Val) ref.Val {
	return types.NewErr("an object cannot be made in an expression")
}

// functions are those of CEL's library that expressions have. Left out are type and dyn, which would turn a misspelt field
// into an error at the time of a request, bytes, and the functions that read a time zone from a file.
var functions = []*env.Function{
	env.NewFunction("_?_:_"), env.NewFunction("_&&_"), env.NewFunction("_||_"), env.NewFunction("!_"),
	env.NewFunction("@not_strictly_false"),
	env.NewFunction("_==_"), env.NewFunction("_!=_"), env.NewFunction("_<_"), env.NewFunction("_<=_"), env.NewFunction("_>_"), env.NewFunction("_>=_"),
	env.NewFunction("_+_"), env.NewFunction("_-_"), env.NewFunction("-_"), env.NewFunction("_*_"), env.NewFunction("_/_"), env.NewFunction("_%_"),
	env.NewFunction("_[_]"), env.NewFunction("@in"),
	env.NewFunction("size"), env.NewFunction("contains"), env.NewFunction("startsWith"), env.NewFunction("endsWith"), env.NewFunction("matches"),
	env.NewFunction("int"), env.NewFunction("string"), env.NewFunction("timestamp"), env.NewFunction("duration"),
	utc("getFullYear", "timestamp_to_year"), utc("getMonth", "timestamp_to_month"), utc("getDate", "timestamp_to_day_of_month_1_based"),
	utc("getDayOfWeek", "timestamp_to_day_of_week"), utc("getHours", "timestamp_to_hours", "duration_to_hours"),
	utc("getMinutes", "timestamp_to_minutes", "duration_to_minutes"),
}

// utc is a function with these overloads alone: those of a timestamp in UTC.
func utc(name string, overloads ...string) *env.Function {
	f := env.NewFunction(name)
	for _, id := range overloads {
		f.Overloads = append(f.Overloads, &env.Overload{ID: id})
	}
	return f
}

// functionNames are what somebody may have meant by an unknown function.
var functionNames = []string{
	"size", "contains", "startsWith", "endsWith", "matches", "int", "string", "timestamp", "duration", "exists", "exists_one", "all", "filter",
	"header", "getFullYear", "getMonth", "getDate", "getDayOfWeek", "getHours", "getMinutes",
}

// variableNames are what an expression may begin with.
var variableNames = []string{"certificate", "presented", "request", "named", "now"}

const headerOverload = "request_header_string"

// newEnvironment is the environment that expressions are compiled in.
func newEnvironment() (*cel.Env, *provider, error) {
	registry := types.NewEmptyRegistry()
	p := newProvider(registry)
	e, err := cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(&env.LibrarySubset{IncludeMacros: []string{"exists", "exists_one", "all", "filter"}, IncludeFunctions: functions})),
		cel.CustomTypeProvider(p),
		cel.CustomTypeAdapter(registry),
		cel.Variable("certificate", certificateType),
		cel.Variable("presented", presentedType),
		cel.Variable("request", requestType),
		cel.Variable("now", types.TimestampType),
		cel.Function("header", cel.MemberOverload(headerOverload, []*types.Type{requestType, types.StringType}, types.StringType, cel.BinaryBinding(headerOf))),
		cel.HomogeneousAggregateLiterals(),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(maxErrors),
		cel.ParserExpressionSizeLimit(MaxLength),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ExpressionNestingDepthLimit(maxDepth),
		cel.RegexProgramSizeLimit(maxPattern),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("expressions: %w", err)
	}
	return e, p, nil
}

func headerOf(target, name ref.Val) ref.Val {
	v, isRequest := target.(*view[request])
	text, isText := name.(types.String)
	if !isRequest || !isText {
		return types.NewErr("request.header: %v", errNull)
	}
	return v.Request.header(string(text))
}

// sizes tells CEL how large what callers send can be.
type sizes struct{}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	switch path := node.Path(); {
	case len(path) == 0:
		return nil
	case node.Type().Kind() == types.ListKind:
		return &cost.SizeEstimate{Max: maxTexts}
	case node.Type().Kind() == types.StringKind:
		return &cost.SizeEstimate{Max: MaxText}
	}
	return nil
}

// EstimateCallCost implements cost.Estimator.
func (sizes) EstimateCallCost(_, overload string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	if overload != headerOverload {
		return nil
	}
	return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: 10}, &cost.SizeEstimate{Max: MaxText})
}

var errNull = errors.New("a field of null was read: there is no such certificate")
