package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/judge"
)

func TestAFieldOfAQuestionIsTakenAsItWouldBeSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, line, field, value string }{
		{"a blank after the colon", "X-Tenant: acme", "X-Tenant", "acme"},
		{"no blank", "X-Tenant:acme", "X-Tenant", "acme"},
		{"blanks and tabs around the value", "X-Tenant: \t acme\t ", "X-Tenant", "acme"},
		{"blanks and a tab within", "X-Tenant: a \t b", "X-Tenant", "a \t b"},
		{"a colon within", "X-Tenant: a:b", "X-Tenant", "a:b"},
		{"no value", "X-Tenant:", "X-Tenant", ""},
		{"no-break spaces belong to the value", "X-Tenant: \u00a0acme\u00a0", "X-Tenant", "\u00a0acme\u00a0"},
		{"octets that are no UTF-8", "X-Tenant: \xa0acme\x85", "X-Tenant", "\xa0acme\x85"},
		{"every mark of a token", "!#$%&'*+-.^_`|~9aZ: acme", "!#$%&'*+-.^_`|~9aZ", "acme"},
		{"a name that looks like that of a length", "Content_Length: 1", "Content_Length", "1"},
		{"a name that begins like that of the host", "Hosts: a", "Hosts", "a"},
	} {
		got, err := questionFields([]string{tt.line})
		if diff := cmp.Diff([]judge.QuestionField{{Name: tt.field, Value: tt.value}}, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", tt.name, err, diff)
		}
	}
}

func TestAFieldThatNoClientCouldSendIsAUsageError(t *testing.T) {
	t.Parallel()
	const noToken = "the name is no token"
	for _, tt := range []struct{ name, line, says string }{
		{"no colon", "X-Tenant", `--field: want a name`},
		{"no name", ": acme", `--field "": ` + noToken},
		{"a pseudo-header field", ":authority: acme", `--field "": ` + noToken},
		{"a blank within the name", "X Tenant: acme", `--field "X Tenant": ` + noToken},
		{"a blank after the name", "X-Tenant : acme", `--field "X-Tenant ": ` + noToken},
		{"a blank before the name", " X-Tenant: acme", `--field " X-Tenant": ` + noToken},
		{"a tab after the name", "X-Tenant\t: acme", `--field "X-Tenant\t": ` + noToken},
		{"a no-break space after the name", "X-Tenant\u00a0: acme", `--field "X-Tenant\u00a0": ` + noToken},
		{"a letter above ASCII", "X-Ténant: acme", `--field "X-Ténant": ` + noToken},
		{"an octet above ASCII", "X-\xff: acme", `--field "X-\xff": ` + noToken},
		{"a control character in the name", "X-\x01: acme", `--field "X-\x01": ` + noToken},
		{"a line break in the value", "X-Tenant: a\r\nX-Mode: b", `--field "X-Tenant": the value has the control character '\r'`},
		{"a line feed at the end", "X-Tenant: acme\n", `--field "X-Tenant": the value has the control character '\n'`},
		{"a vertical tab before the value", "X-Tenant: \x0bacme", `--field "X-Tenant": the value has the control character '\v'`},
		{"an SOH", "X-Tenant: a\x01", `--field "X-Tenant": the value has the control character '\x01'`},
		{"a DEL", "X-Tenant: a\x7f", `--field "X-Tenant": the value has the control character '\x7f'`},
		{"the host", "Host: acme", `--field "Host": say --host`},
		{"the host in another case", "hOST: acme", `--field "hOST": say --host`},
		{"a length", "content-length: 1", `--field "content-length": the field belongs to`},
		{"a transfer coding", "Transfer-Encoding: chunked", `--field "Transfer-Encoding": the field belongs to`},
		{"an expectation", "Expect: 100-continue", `--field "Expect": the field belongs to`},
		{"what concerns the connection", "Connection: close", `--field "Connection": the field belongs to`},
		{"another protocol", "UPGRADE: websocket", `--field "UPGRADE": the field belongs to`},
	} {
		var out, errs bytes.Buffer
		args := []string{"explain", "--config", "no-such-file", "--field", "X-Mode: open", "--field", tt.line, "https://localhost/"}
		if code := execute(t.Context(), args, &out, &errs); code != 2 || !strings.HasPrefix(errs.String(), "sallyport: "+tt.says) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %q; want 2 and %q", tt.name, code, out.String(), errs.String(), tt.says)
		}
	}
}
