package expression_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"sallyport/internal/expression"
)

// FuzzExpression compiles what anybody writes and evaluates it against what anybody sends. Nothing panics, every mistake is
// one line with a place in the source, and an error never holds.
func FuzzExpression(f *testing.F) {
	for _, source := range []string{
		`certificate.common_name == 'partner-a'`, `certificate.comon_name == ''`, `request.header('X-Tenant') == 'a' || now > timestamp(0)`,
		`certificate.san_dns.exists(a, certificate.san_dns.all(b, a + b != ''))`, `certificate.subject.matches('^(a|b)*$')`,
		`certificate.issuer in named['issuers'] ? presented.valid : !request.tls`, `{'a': [1, 2]}['a'][1] == 2`, `"{{" == r'\{{' || b'x' == b''`,
		`-9223372036854775808 / -1 > 0`, `certificate.subject[`, `'\u0000\x1b' == ''`, `named.partner + named['quoted'] == ''`, "a\n.b", `//`, `((((`, `?:`,
		`certificate.san_dns.filter(x, x.size() > 2).exists_one(y, y == certificate.common_name)`, `duration('1h') < certificate.not_after - now`,
	} {
		f.Add(source, "partner-a", "a.acme.test")
	}
	f.Fuzz(func(t *testing.T, source, text, other string) {
		e, err := compiler(t).Compile(source)
		if err != nil {
			list, ok := errors.AsType[expression.ErrorList](err)
			if !ok || len(list) == 0 || e != nil {
				t.Fatalf("%v", err)
			}
			for _, m := range list {
				lines := strings.Count(source, "\n") + 1
				if m.Line < 1 || m.Line > lines+1 || m.Column < 1 || m.Message == "" || strings.ContainsFunc(m.Message, unprintable) {
					t.Errorf("%+v of %q", m, source)
				}
			}
			return
		}
		if len(source) > 4*expression.MaxLength {
			t.Errorf("%d bytes are compiled", len(source))
		}
		fs := facts()
		fs.CommonNames, fs.Subject, fs.DNS, fs.NotAfter = []string{text}, text+other, strings.Split(other, ","), now().AddDate(len(text), 0, 0)
		fields := []expression.Field{{Name: strings.ToLower(text), Value: other}}
		for _, name := range e.Headers() {
			fields = append(fields, expression.Field{Name: name, Value: text, Ambiguous: other == ""})
		}
		c := expression.NewCertificate(fs)
		for _, s := range []*expression.Scope{
			{},
			{Presented: expression.Presented{Certificate: c, Failure: text}, Request: expression.Request{Path: text, Host: other}},
			{Certificate: c, Presented: expression.Presented{Certificate: c, Valid: true}, Request: expression.Request{Path: text, TLS: true, Fields: fields}, Now: now()},
		} {
			if held, err := e.Holds(s); held && err != nil {
				t.Errorf("%q holds with an error: %v", source, err)
			}
		}
	})
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
