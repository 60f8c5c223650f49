package judge_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/expression"
	"sallyport/internal/judge"
)

func TestExpressionsSeeAFieldThatEveryBackendReadsAlike(t *testing.T) {
	t.Parallel()
	type header = map[string][]string
	value := func(text string) expression.Field { return expression.Field{Name: "x-tenant", Value: text} }
	absent, ambiguous := value(""), expression.Field{Name: "x-tenant", Ambiguous: true}
	for _, tt := range []struct {
		name   string
		header header
		want   expression.Field
	}{
		{"no header", nil, absent},
		{"the field", header{"X-Tenant": {"acme"}}, value("acme")},
		{"the field in another case", header{"x-tENANT": {"acme"}}, value("acme")},
		{"the field without a value", header{"X-Tenant": {""}}, absent},
		{"the field beside one that begins like it", header{"X-Tenant": {"acme"}, "X-Tenants": {"other"}}, value("acme")},
		{"the field beside one of the same length", header{"X-Tenant": {"acme"}, "X-Tenand": {"other"}}, value("acme")},
		{"only one without the hyphen", header{"Xtenant": {"acme"}}, absent},
		{"twice", header{"X-Tenant": {"acme", "other"}}, ambiguous},
		{"twice the same", header{"X-Tenant": {"acme", "acme"}}, ambiguous},
		{"twice in different case", header{"X-Tenant": {"acme"}, "x-tenant": {"acme"}}, ambiguous},
		{"only an underscore", header{"X_Tenant": {"acme"}}, ambiguous},
		{"only a dot", header{"x.tenant": {"acme"}}, ambiguous},
		{"only another mark", header{"x~tenant": {"acme"}}, ambiguous},
		{"the field and an underscore", header{"X-Tenant": {"acme"}, "X_Tenant": {"acme"}}, ambiguous},
		{"the field, an underscore and a dot", header{"X-Tenant": {"acme"}, "X_Tenant": {"a"}, "X.Tenant": {"b"}}, ambiguous},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mode := expression.Field{Name: "x-mode", Value: "open"}
			h := header{"X-Mode": {"open"}}
			maps.Copy(h, tt.header)
			for range 8 { // a map has a new order each time
				if diff := cmp.Diff([]expression.Field{mode, tt.want}, judge.Fields([]string{"x-mode", "x-tenant"}, h)); diff != "" {
					t.Fatalf("(-want +got)\n%s", diff)
				}
			}
		})
	}
	if got := judge.Fields(nil, header{"X-Tenant": {"acme"}}); got != nil {
		t.Errorf("nobody asks, and there is %v", got)
	}
}

// net/http adds Cache-Control to a request over HTTP/1 whose Pragma says no-cache: nobody decides by what nobody sent.
func TestCacheControlIsNotReadWherePragmaMaySayIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header map[string][]string
		want   expression.Field
	}{
		{map[string][]string{"Pragma": {"no-cache"}, "Cache-Control": {"no-cache"}}, expression.Field{Ambiguous: true}},
		{map[string][]string{"pragma": {"no-cache"}}, expression.Field{Ambiguous: true}},
		{map[string][]string{"Pragma": {"no-cache"}, "Cache-Control": {"no-store"}}, expression.Field{Value: "no-store"}},
		{map[string][]string{"Pragma": {"x"}, "Cache-Control": {"no-cache"}}, expression.Field{Value: "no-cache"}},
		{map[string][]string{"Cache-Control": {"no-cache"}}, expression.Field{Value: "no-cache"}},
		{map[string][]string{"Pragma": {"x"}}, expression.Field{}},
	} {
		c.want.Name = "cache-control"
		if diff := cmp.Diff([]expression.Field{c.want}, judge.Fields([]string{"cache-control"}, c.header)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.header, diff)
		}
	}
}
