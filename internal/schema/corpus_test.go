package schema_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/config"
)

// notBuilt is in the errors for keys that this build reads and refuses: the schema knows them.
const notBuilt = "not built yet"

// excused reports whether a document with such an error is good but for what is not built and what it names.
func excused(e config.Error) bool {
	return strings.Contains(e.Message, notBuilt) || missing.MatchString(e.Message)
}

// missing are the messages about files and variables that a good document can have here.
var missing = regexp.MustCompile(`^the (file|environment variable) "|PEM block`)

// complain compares what config.Load and the schema say of one text, and returns where they do not agree: what the program
// refuses by a rule that the schema has to know, and what the schema alone refuses.
func complain(list config.ErrorList, d document, refused map[string][]refusal, all []rule) (found []string) {
	own := false
	for _, e := range list {
		own = own || !excused(e) || d.refusedAt(place{e.Line, e.Column}, refused) // what is not built is not looked at
		i := slices.IndexFunc(all, func(r rule) bool { return r.message.MatchString(e.Message) })
		if i < 0 {
			found = append(found, "no rule in rules_test.go knows a message such as: "+e.Error())
			continue
		}
		at := place{e.Line, e.Column}
		if all[i].reason != "" || d.refusedAt(at, refused) {
			continue
		}
		unless := func(pointer string) bool { return all[i].unless != nil && all[i].unless(d.values[pointer]) }
		if !slices.ContainsFunc(d.places[at], unless) {
			found = append(found, "the schema accepts what the program refuses: "+e.Error())
		}
	}
	if !own {
		for pointer, list := range refused {
			found = append(found, "the schema refuses what the program accepts: "+pointer+": "+list[0].message)
		}
	}
	return found
}

// corpus returns the texts of the documents that the tests of package config load, by name.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	for _, pattern := range []string{"../config/testdata/*.yaml", "../config/testdata/contract/*.yaml", "testdata/*.yaml", "example.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no documents at %s: %v", pattern, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.Base(f)] = text
		}
	}
	return texts
}

func TestTheSchemaAgreesWithTheProgramOverTheCorpus(t *testing.T) {
	t.Parallel()
	dir, s, all := folder(t), compiled(t), rules()
	good, bad := 0, 0
	for name, text := range corpus(t) {
		t.Run(name, func(t *testing.T) { // one after the other: they share the folder
			d, list := parse(text), load(t, dir, text)
			refused := refusals(s, d)
			switch {
			case d.root == nil && len(list) == 0:
				t.Fatal("the program reads what is no YAML")
			case d.root == nil:
				return
			case strings.HasSuffix(name, ".bad.yaml"):
				bad++
			default:
				good++
				for _, e := range list {
					if !excused(e) {
						t.Errorf("the document is not good: %v", e)
					}
				}
			}
			for _, c := range complain(list, d, refused, all) {
				t.Error(c)
			}
		})
	}
	if good < 15 || bad < 40 {
		t.Errorf("%d good and %d bad documents were compared", good, bad)
	}
}
