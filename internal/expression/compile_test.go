package expression_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/expression"
)

// refusal is the first mistake of an expression in one line, with the words that the mistake offers counted as one.
func refusal(err error) string {
	list, ok := errors.AsType[expression.ErrorList](err)
	if !ok || len(list) == 0 {
		return fmt.Sprint(err)
	}
	word := ""
	if list[0].Word != "" && len(list[0].Known) > 0 {
		word = " [" + list[0].Word + "]"
	}
	return fmt.Sprintf("%d:%d: %s%s", list[0].Line, list[0].Column, list[0].Message, word)
}

func TestMistakesAreFoundWhenTheExpressionIsCompiled(t *testing.T) {
	t.Parallel()
	const large = "it is too large: write several entries, or a list"
	for _, c := range []struct{ name, source, want string }{
		{"a misspelt field", `certificate.comon_name == 'x'`, `1:12: certificate has no field "comon_name" [comon_name]`},
		{"a misspelt field of the certificate that was presented", `presented.certificate.isuer == 'x'`, `1:22: certificate has no field "isuer" [isuer]`},
		{"a misspelt field of presented", `presented.cert == null`, `1:10: presented has no field "cert" [cert]`},
		{"a misspelt field of the request", `request.pth == '/'`, `1:8: request has no field "pth" [pth]`},
		{"a misspelt field on the third line", "true &&\n\n  certificate.x == 'y'", `3:14: certificate has no field "x" [x]`},
		{"a field behind characters of several bytes", `'äöü' == 'äöü' && certificate.x == 'y'`, `1:30: certificate has no field "x" [x]`},
		{"an unknown variable", `certifcate.subject == 'x'`, `1:1: "certifcate" is unknown [certifcate]`},
		{"an unknown function", `lower(certificate.subject) == 'x'`, `1:6: "lower" is unknown [lower]`},
		{"an unknown method", `certificate.subject.startWith('x')`, `1:30: "startWith" is unknown [startWith]`},
		{"a user, who is not there yet", `user.name == 'x'`, `1:1: user is not built yet`},

		{"a number that is compared with a text", `certificate.key_bits == '2048'`, `1:22: == does not take (number, text)`},
		{"a certificate that is compared with a text", `certificate == 'x'`, `1:13: == does not take (certificate, text)`},
		{"two objects of different kinds", `request == certificate`, `1:9: == does not take (request, certificate)`},
		{"a text that is compared with null", `certificate.subject == null`, `1:21: == does not take (text, null)`},
		{"a list that is compared with a text", `certificate.san_dns == 'a.acme.test'`, `1:21: == does not take (list(text), text)`},
		{"a time that is compared with a text", `certificate.not_after > '2026-01-01'`, `1:23: > does not take (time, text)`},
		{"a number in a list of texts", `certificate.common_name in ['1f', 2]`, `1:35: expected type 'string' but found 'int'`},
		{"a text as a list", `'x' in certificate.subject`, `1:5: in does not take (text, text)`},
		{"a certificate as a condition", `certificate`, `1:1: it gives a certificate, and has to give true or false`},
		{"a text as a result", `certificate.subject`, `1:1: it gives a text, and has to give true or false`},
		{"null as a result", `null`, `1:1: it gives a null, and has to give true or false`},
		{"an object as a truth value", `certificate && true`, `1:1: expected type 'bool' but found 'certificate'`},
		{"a fraction and a number", `1 == 1.0`, `1:3: == does not take (number, fraction)`},

		{"dyn, which would hide a misspelt field", `dyn(certificate).x == 1`, `1:4: dyn is not here: everything has its type`},
		{"type", `type(certificate) == type(request)`, `1:5: type is not here: everything has its type`},
		{"has, which would hide that there is no certificate", `has(certificate.subject)`, `1:4: has is not here: every field is there; compare with null, or with an empty text`},
		{"map, which makes lists", `certificate.san_dns.map(x, x + x).size() > 1`, `1:24: map is not here: exists, exists_one, all and filter are`},
		{"an object that is made", `certificate{sha256: 'x'} == certificate`, `1:12: an object cannot be made in an expression`},
		{"a message of another world", `google.protobuf.Int32Value{value: 1} == 1`, `1:27: "google.protobuf.Int32Value" is unknown [google.protobuf.Int32Value]`},
		{"a time zone, which is a file", `now.getHours('Europe/Berlin') < 12`, `1:13: getHours does not take time.(text)`},
		{"a variable that hides the request", `certificate.san_dns.exists(request, request == 'x')`, `1:27: request cannot be the name of a variable: it has a meaning already`},

		{"a pattern that is found anywhere", `certificate.subject.matches('O=Acme')`, `1:29: the pattern has to begin with ^ and end with $, in each alternative: matches looks for it anywhere in the text; contains does so, too, and says it`},
		{"a pattern with one open alternative", `certificate.subject.matches('^a$|b$')`, `1:29: the pattern has to begin with ^ and end with $, in each alternative: matches looks for it anywhere in the text; contains does so, too, and says it`},
		{"a pattern that is bound to lines", `certificate.subject.matches('(?m)^a$')`, `1:29: the pattern has to begin with ^ and end with $, in each alternative: matches looks for it anywhere in the text; contains does so, too, and says it`},
		{"a pattern whose end is optional", `certificate.subject.matches('^a$?')`, `1:29: the pattern has to begin with ^ and end with $, in each alternative: matches looks for it anywhere in the text; contains does so, too, and says it`},
		{"an empty pattern", `certificate.subject.matches('')`, `1:29: the pattern has to begin with ^ and end with $, in each alternative: matches looks for it anywhere in the text; contains does so, too, and says it`},
		{"a pattern that is none", `certificate.subject.matches('^(a$')`, "1:29: error parsing regexp: missing closing ): `^(a$`"},
		{"a pattern out of the certificate", `certificate.subject.matches(certificate.issuer)`, `1:28: the pattern of matches has to be written out: a text in quotes`},
		{"a pattern that is put together", `matches(certificate.subject, '^' + 'a$')`, `1:8: the pattern of matches has to be written out: a text in quotes`},
		{"a pattern that becomes too large", `certificate.subject.matches('^(a{1000}){1000}$')`, "1:29: error parsing regexp: invalid repeat count: `{1000}`"},
		{"a pattern of too many instructions", `certificate.subject.matches('^(a{100}){9}b{200}$')`, "1:29: the pattern is too large"},

		{"a header out of the certificate", `request.header(certificate.subject) == 'x'`, `1:15: the name of a header has to be written out: a text in quotes`},
		{"a header that cannot be one", `request.header('X A') == 'x'`, `1:16: that is no name of a header`},
		{"a thumbprint with colons", `certificate.sha256 == 'AB:CD'`, `1:23: sha256 is 64 hex digits with small letters, without colons: it never equals "AB:CD"`},
		{"a thumbprint in capital letters, in a list", `certificate.sha1 in ['` + strings.Repeat("AB", 20) + `']`, `1:21: sha1 is 40 hex digits with small letters, without colons: it never equals "ABABAB`},
		{"a thumbprint on the left", `!('x' == presented.certificate.spki_sha256)`, `1:3: spki_sha256 is 64 hex digits with small letters, without colons: it never equals "x"`},
		{"a thumbprint out of a named value", `certificate.issuer_sha256 != named['partner']`, `1:35: issuer_sha256 is 64 hex digits with small letters, without colons: it never equals "partner-a"`},
		{"a serial number in small letters", `certificate.serial == '1f2e'`, `1:23: serial is hex digits with capital letters, without colons and leading zeros: it never equals "1f2e"`},
		{"a serial number with a zero before it", `certificate.serial == '01F'`, `1:23: serial is hex digits`},
		{"an unknown kind of key", `certificate.key_type == 'RSA'`, `1:25: key_type is rsa, ecdsa or ed25519: it never equals "RSA"`},

		{"headers as a mapping", `request.headers['x'] == 'y'`, `1:8: request has no field "headers" [headers]`},

		{"a named value that is not defined", `certificate.issuer in named['issuer']`, `1:28: the named value "issuer" is not defined [issuer]`},
		{"a named value by another's name", `certificate.issuer in named[certificate.issuer]`, `1:28: named takes the name itself, such as named['x']`},
		{"named alone", `named == null`, `1:1: named takes a name, such as named['x']`},
		{"a named list as a text", `certificate.issuer == named['issuers']`, `1:20: == does not take (text, list(text))`},
		{"a named text as a list", `certificate.issuer in named['partner']`, `1:20: in does not take (text, text)`},
		{"a named list that is too long", `certificate.issuer in named['long']`, `1:28: the named list "long" is too long for an expression: lists of thousands belong in allow and deny, which find an entry at once`},

		{"nothing", ``, `1:1: it is empty`},
		{"blanks", "  \n ", `2:2: it is empty`},
		{"half of one", `certificate.subject ==`, `1:23: it ends before it is complete`},
		{"an open text", `certificate.subject == 'x`, `1:24: ''x' cannot be read; a text begins and ends with a quote`},
		{"an assignment", `certificate.subject = 'x'`, `1:21: = is no operator: == compares`},
		{"something behind it", `true true`, `1:6: 'true' does not fit here`},
		{"control characters", "true \x00 || \x1b[2J true", "1:6: '\ufffd' cannot be read; a text begins and ends with a quote"},

		{"64 KiB of one word", strings.Repeat("a", 64<<10), `1:1: it has 65536 characters, more than 8192`},
		{"64 KiB of conditions", strings.Repeat("true && ", 8<<10) + "true", `1:1: it has 65540 characters, more than 8192`},
		{"64 KiB of brackets", strings.Repeat("(", 64<<10), `1:1: it has 65536 characters, more than 8192`},
		{"deep brackets", strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), "1:1: " + large},
		{"deep lists", strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + " == []", "1:1: " + large},
		{"deep conditions", strings.Repeat("true ? ", 500) + "true" + strings.Repeat(": false", 500), "1:1: " + large},
		{"long lists", "1 in [" + strings.Repeat("1,", 3000) + "1]", "1:1: " + large},
		{"nested macros", strings.Repeat("[1].all(a, ", 60) + "true" + strings.Repeat(")", 60), "1:1: " + large},
		{"what costs too much in any case", "[" + strings.Repeat("1,", 99) + "1].filter(a, [" + strings.Repeat("1,", 99) + "1].filter(b, a + b > 1).size() > 0).size() > 0", "1:1: it costs at least"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := compiler(t).Compile(c.source)
			if e != nil || err == nil {
				t.Fatalf("it was compiled")
			}
			if got := refusal(err); !strings.HasPrefix(got, c.want) || len(got) > len(c.want)+100 {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAllMistakesAreToldUpToThree(t *testing.T) {
	t.Parallel()
	_, err := compiler(t).Compile(`certificate.a == '' && request.b == '' && presented.c == '' && d == ''`)
	list, _ := errors.AsType[expression.ErrorList](err)
	if len(list) != 3 || list.Error() != "certificate has no field \"a\"\nrequest has no field \"b\"\npresented has no field \"c\"" {
		t.Errorf("%v", err)
	}
}

func TestTheWordsThatAMistakeOffersAreThoseOfTheObject(t *testing.T) {
	t.Parallel()
	for source, has := range map[string]string{
		`certificate.x == ''`: "common_name", `presented.x == ''`: "failure", `request.x == ''`: "server_name", `x == ''`: "certificate", `x()`: "startsWith",
		`named['x'] == ''`: "issuers",
	} {
		_, err := compiler(t).Compile(source)
		list, _ := errors.AsType[expression.ErrorList](err)
		if len(list) != 1 || list[0].Word != "x" || !slices.Contains(list[0].Known, has) {
			t.Errorf("%s: %+v", source, list)
		}
	}
}

func TestACompilerGoesOnAfterAMistake(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	if _, err := c.Compile(`certificate.x == ''`); err == nil {
		t.Fatal("it was compiled")
	}
	if e, err := c.Compile(`true`); err != nil || e.String() != "true" {
		t.Errorf("%v %v", e, err)
	}
	if _, err := c.Compile(`request.x == ''`); refusal(err) != `1:8: request has no field "x" [x]` {
		t.Errorf("%v", err)
	}
}

func TestTheSameSourceIsCompiledOnce(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	first, err := c.Compile(`certificate != null`)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Compile(`certificate != null`); err != nil || again != first {
		t.Errorf("%p and %p: %v", again, first, err)
	}
}

func TestAnExpressionSaysWhatItReads(t *testing.T) {
	t.Parallel()
	e := compile(t, `request.header('X-Tenant') == 'a' && presented.certificate.sha256 != request.header('x-tenant') + request.header('A')`)
	if diff := cmp.Diff([]string{"a", "x-tenant"}, e.Headers()); diff != "" {
		t.Error(diff)
	}
	if !e.Reads("sha256") || e.Reads("sha1") || e.Reads("certificate") {
		t.Error("it reads sha256 of a certificate and nothing else")
	}
}

// TestNamedListsAreBoundedInSum has a document that says the same long list in many expressions.
func TestNamedListsAreBoundedInSum(t *testing.T) {
	t.Parallel()
	list := make([]string, 5000)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	c, err := expression.NewCompiler(expression.Options{Named: map[string]expression.Named{"list": {List: list}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 210 {
		if _, err = c.Compile(fmt.Sprintf("certificate.common_name in named.list || request.path == '%d'", i)); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "is too long for an expression") {
		t.Errorf("a million entries and more are taken: %v", err)
	}
}
