package judge_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/decision"
)

// at is the place of a text in a document, as a sentence ends with it.
func at(tb testing.TB, document, text string) string {
	tb.Helper()
	before, _, found := strings.Cut(document, text)
	if !found || strings.Count(document, text) != 1 {
		tb.Fatalf("%q is not in the document once", text)
	}
	return fmt.Sprintf("sallyport.yaml:%d)", strings.Count(before, "\n")+1)
}

func TestTheAdviceNamesTheListThatDecided(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	const gateway = `
  mode: required
  allow:
    - {common_name: nobody}
    - {common_name: villain}
  deny:
    - {common_name: nobody-else}
    - {common_name: villain, issuer: CN=Partner CA}`
	entry := "{sha256: " + thumbprint(p.partner) + "}"
	for _, c := range []struct {
		name, api   string
		allow, deny string // the places of the lists
		own         bool   // the list that allows is the API's
		denied      bool   // the partner is denied, by the API's own list
	}{
		{"both are inherited", "{mode: required}", "{common_name: nobody}", "{common_name: villain, issuer", false, false},
		{"an own list that allows", "{mode: required, allow: [{common_name: x}]}", "  - {name: api", "{common_name: villain, issuer", true, false},
		{"one that begins with the inherited", "{mode: required, allow: [inherit, {common_name: x}]}", "  - {name: api", "{common_name: villain, issuer", true, false},
		{"an own list that denies", "{mode: required, deny: [{common_name: villain}]}", "{common_name: nobody}", "  - {name: api", false, false},
		{"an own list beside the inherited one that denies", "{mode: required, deny: [{common_name: orders}]}", "", "{common_name: villain, issuer", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := inherited(gateway, "", c.api)
			rules := p.rules(t, text)
			e := explain(t, rules, question("https://localhost/", p.villain))
			if e.Reason != decision.CertificateDenied {
				t.Fatalf("%s: %s", e.Reason, e.Detail)
			}
			advises(t, e, "remove the entry from deny (", at(t, text, c.deny))

			e = explain(t, rules, question("https://localhost/", p.partner))
			if c.denied {
				advises(t, e, "remove the entry from deny (", at(t, text, "  - {name: api"))
				return
			}
			if e.Reason != decision.CertificateNotAllowed {
				t.Fatalf("%s: %s", e.Reason, e.Detail)
			}
			want := []string{"add " + entry + ", or a pattern for its names, to the list that the API inherits (", "or give the API allow: [inherit, " + entry + "]", "not to allow ("}
			if c.own {
				want = []string{"add " + entry + " to allow (", "not inherit"}
			}
			advises(t, e, append(want, at(t, text, c.allow))...)
		})
	}
}
