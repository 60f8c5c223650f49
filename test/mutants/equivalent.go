package main

import (
	"fmt"
	"strings"
)

// equivalent is a mutant that no test can tell from the program.
type equivalent struct {
	path     string // of the file
	function string // with its receiver's type
	before   string // the lines that the mutant touches, without blanks around them
	after    string // the same, mutated
	why      string // nothing can change
}

// equivalents are all that there are. Each has to fit exactly one mutant, and has to survive the tests of its package.
func equivalents() []equivalent {
	return []equivalent{
		{
			path: "internal/certheader/names.go", function: "holdsClient",
			before: "if b[i] != 'c' || string(b[i:i+len(word)]) != word {",
			after:  "if false || string(b[i:i+len(word)]) != word {",
			why:    "the second operand says no wherever the first one does; the first is quicker",
		},
		{
			path: "internal/judge/facts.go", function: "Binding.scope",
			before: "Presented:   expression.Presented{Certificate: c, Valid: c != nil},",
			after:  "Presented:   expression.Presented{Certificate: c, Valid: true},",
			why:    "lists are asked about accepted certificates alone, so there always is one",
		},
		{
			path: "internal/judge/asking.go", function: "compiler.compileAsks",
			before: "return err",
			after:  "return nil",
			why:    "the host map refuses patterns that come twice or are empty: each is given once, and was parsed",
		},
		{
			path: "internal/judge/asking.go", function: "asking.unnamed",
			before: "seen[m] = true",
			after:  "seen[m] = false",
			why:    "what means the same is then given to the set of trust stores more than once, which takes it once; to skip it is quicker",
		},
		{
			path: "internal/judge/matcher.go", function: "matchList.find",
			before: "if i, ok := l.subject[id.Subject().Key()]; ok && l.matches(&l.entries[i], id) {",
			after:  "if i, ok := l.subject[id.Subject().Key()]; true && l.matches(&l.entries[i], id) {",
			why:    "without an entry there it asks the first entry of the list, which is found where it stands when it matches",
		},
		{
			path: "internal/judge/nearest.go", function: "matchList.nearest",
			before: "if len(found) == most && near <= found[most-1].near {",
			after:  "if false {",
			why:    "sorting puts an entry that is not nearer behind those found, and it is cut off; to skip it is quicker",
		},
		{
			path: "internal/judge/walk.go", function: "Rules.sameHowever",
			before: "if err != nil || !slices.Contains(r.routes.Lookup(host, p), a) {",
			after:  "if false || !slices.Contains(r.routes.Lookup(host, p), a) {",
			why:    "a path that was parsed can be parsed in each reading: hidden dots were refused, and nothing grows or is cut inside a character",
		},
		{
			path: "internal/trust/verify.go", function: "Verdict.owned",
			before: "if path[i], err = x509.ParseCertificate(bytes.Clone(cert.Raw)); err != nil {",
			after:  "if path[i], err = x509.ParseCertificate(bytes.Clone(cert.Raw)); false {",
			why:    "identity.Of, which is called next, refuses a path with a certificate that is not there",
		},
	}
}

// exclude finds the mutants of a unit that are known to be equivalent. The error names entries about files of the unit that
// fit no mutant or several.
func exclude(all []*mutant, known []equivalent) (map[*mutant]string, error) {
	excluded := map[*mutant]string{}
	files := map[string]bool{}
	for _, m := range all {
		files[m.file.path] = true
	}
	for _, e := range known {
		if !files[e.path] {
			continue
		}
		fits := 0
		for _, m := range all {
			before, after := m.lines()
			if m.file.path == e.path && m.function == e.function && strings.TrimSpace(before) == e.before && strings.TrimSpace(after) == e.after {
				excluded[m] = e.why
				fits++
			}
		}
		if fits != 1 {
			return nil, fmt.Errorf("equivalent: %s %s: %q fits %d mutants, not one", e.path, e.function, e.after, fits)
		}
	}
	return excluded, nil
}
