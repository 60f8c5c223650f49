package expression

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// Scope is what an expression is evaluated against: one caller, one request, one time. Whoever keeps one may fill it again
// for the next evaluation; it is for one goroutine at a time. The zero value is an anonymous caller without a request, whose
// fields are empty.
type Scope struct {
	// Certificate is the validated one; nil is null.
	Certificate *Certificate
	// Presented is what the caller presented, valid or not.
	Presented Presented
	// Request is what the caller asks for.
	Request Request
	// Now is the time by which the request is judged.
	Now time.Time
}

// Presented is the object presented of CEL.
type Presented struct {
	// Certificate is the caller's, whether its path was validated or not; nil is null: nothing was presented.
	Certificate *Certificate
	// Valid says that the path was validated and accepted.
	Valid bool
	// Failure is the reason why not; empty where it was, and where nothing was presented.
	Failure string
}

// Request is the object request of CEL.
type Request struct {
	// Method is as it was sent; Host and Path are in their normal form.
	Method, Host, Path string
	// Listener, API and APIVersion are names of the document.
	Listener, API, APIVersion string
	// TLS says that the request came over TLS; TLSVersion and ServerName are those of the handshake: 1.2, 1.3 or empty.
	TLS                    bool
	TLSVersion, ServerName string
	// Fields are the header fields that an expression may ask for. One that is not among them is an error for whoever asks.
	Fields []Field
}

// Field is what is known of a header field for header(name). One that the request does not have has no value.
type Field struct {
	// Name is in lower case, as Expression.Headers has it.
	Name string
	// Value is the only value.
	Value string
	// Ambiguous says that the request has the field more than once, or another one that some backend takes for it:
	// nobody can say which of them counts, so asking is an error.
	Ambiguous bool
}

// ResolveName implements interpreter.Activation.
func (s *Scope) ResolveName(name string) (any, bool) {
	switch name {
	case "certificate":
		return s.Certificate.value(), true
	case "presented":
		return (*view[presented])(s), true
	case "request":
		return (*view[request])(s), true
	case "now":
		return types.Timestamp{Time: s.Now}, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (*Scope) Parent() interpreter.Activation { return nil }

// view is a part of a scope as a value of CEL: an object of the type that K says.
type view[K interface{ objectType() *types.Type }] Scope

// presented and request are the parts.
type (
	presented struct{}
	request   struct{}
)

func (presented) objectType() *types.Type { return presentedType }

func (request) objectType() *types.Type { return requestType }

var presentedTable = []struct {
	field
	of func(*Presented) ref.Val
}{
	{object("certificate", "the caller's certificate, valid or not; null when none was presented", certificateType), func(p *Presented) ref.Val { return p.Certificate.value() }},
	{flag("valid", "whether its path was validated and accepted"), func(p *Presented) ref.Val { return types.Bool(p.Valid) }},
	{text("failure", "the reason why not; empty where it was, and where nothing was presented"), func(p *Presented) ref.Val { return types.String(p.Failure) }},
}

var requestTable = []struct {
	field
	of func(*Request) ref.Val
}{
	{text("method", "the method as it was sent"), func(r *Request) ref.Val { return textValue(r.Method) }},
	{text("host", "the host in its normal form, without a port"), func(r *Request) ref.Val { return textValue(r.Host) }},
	{text("path", "the path in its normal form, without the query"), func(r *Request) ref.Val { return textValue(r.Path) }},
	{text("listener", "the name of the listener"), func(r *Request) ref.Val { return textValue(r.Listener) }},
	{text("api", "the name of the API"), func(r *Request) ref.Val { return textValue(r.API) }},
	{text("api_version", "its version; empty for none"), func(r *Request) ref.Val { return textValue(r.APIVersion) }},
	{flag("tls", "whether the request came over TLS"), func(r *Request) ref.Val { return types.Bool(r.TLS) }},
	{text("tls_version", "1.2 or 1.3; empty without TLS"), func(r *Request) ref.Val { return textValue(r.TLSVersion) }},
	{text("server_name", "what the client named in the handshake; empty for nothing"), func(r *Request) ref.Val { return textValue(r.ServerName) }},
}

// header reads a header field.
func (r *Request) header(name string) ref.Val {
	name = strings.ToLower(name) // RFC 9110, section 5.1; it is a token, so there are only letters of ASCII
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Name != name:
			continue
		case f.Ambiguous:
			return types.NewErr("request.header(%q): the request has it more than once, or one that some backends take for it", name)
		}
		return textValue(f.Value)
	}
	return types.NewErr("request.header(%q): it is not known here", name)
}

// ConvertToNative implements ref.Val: there is nothing to convert to.
func (v *view[K]) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s cannot be converted to %s", v.Type().TypeName(), to)
}

// ConvertToType implements ref.Val: there is nothing to convert to.
func (v *view[K]) ConvertToType(to ref.Type) ref.Val {
	return types.NewErr("%s cannot be converted to %s", v.Type().TypeName(), to.TypeName())
}

// Equal implements ref.Val: there is only one.
func (v *view[K]) Equal(other ref.Val) ref.Val { return types.Bool(other == ref.Val(v)) }

// Type implements ref.Val.
func (*view[K]) Type() ref.Type {
	var k K
	return k.objectType()
}

// Value implements ref.Val.
func (v *view[K]) Value() any { return v }
