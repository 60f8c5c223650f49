package archtest_test

import (
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// rules are all the rules by name.
var rules = map[string]func(*module) complaints{
	"every package has a level":        checkPlaces,
	"imports point down":               checkLevels,
	"the data plane stands alone":      checkWall,
	"banned and confined imports":      checkBanned,
	"package comments":                 checkPackageComments,
	"sizes":                            checkSizes,
	"no init":                          checkInit,
	"no package-level state":           checkState,
	"identity has one source":          checkIdentity,
	"the documents name every package": checkArchitecture,
	"decision records are in order":    checkDecisions,
	"the README is short":              checkReadme,
	"no paths of one machine":          checkPaths,
}

func TestHouse(t *testing.T) {
	t.Parallel()
	m, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, complaint := range check(m) {
				t.Error(complaint)
			}
		})
	}
}

// goodComment is a package comment that no rule complains about.
const goodComment = "// Package p is here. It owns a thing.\n// It never does another.\n"

const goodArchitecture = "| 1 | `trust` | Owns a thing. |\n"

const goodDecision = "# 0001: a title\n\nStatus: accepted\n\n## Context\n\n## Options\n\n## Decision\n\n## Consequences\n"

// house is a small module that keeps every rule, with some files replaced, added or, where the text is empty, removed.
func house(files map[string]string) fstest.MapFS {
	all := map[string]string{
		"go.mod":                     "module sallyport\n\ngo 1.26\n",
		"README.md":                  "# House\n",
		"docs/architecture.md":       goodArchitecture,
		"docs/decisions/0001-one.md": goodDecision,
		"internal/trust/trust.go":    goodComment + "package trust\n",
	}
	maps.Copy(all, files)
	fsys := fstest.MapFS{}
	for name, text := range all {
		if text != "" {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return fsys
}

func TestRulesAreKeptByAGoodHouse(t *testing.T) {
	t.Parallel()
	m, err := load(house(map[string]string{
		"tools/go.mod":              "module tools\n",
		"tools/tools.go":            "package tools\n\nimport _ \"log\"\n",
		"internal/trust/data.bin":   "\x00/" + "root/x",
		"internal/trust/state.go":   "package trust\n\nimport \"sync\"\n\nvar pool = sync.Pool{}\n\nfunc f(list []int) { for i := range list { list[i]++ } }\n",
		"internal/trust/x_test.go":  "package trust_test\n\nimport _ \"sallyport/internal/testpki\"\n",
		"internal/testpki/pki.go":   goodComment + "package testpki\n",
		"test/e2e/run_test.go":      "package e2e\n\nimport _ \"sallyport/internal/testpki\"\n",
		"internal/trust/testdata/x": "https://example.test/root/x",
		"docs/architecture.md":      goodArchitecture + "| – | `testpki` | Owns a thing. |\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range rules {
		if found := check(m); len(found) != 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestRulesComplain(t *testing.T) {
	t.Parallel()
	imports := func(pkg, imported string) string {
		return goodComment + "package " + pkg + "\n\nimport _ \"" + imported + "\"\n"
	}
	tests := []struct {
		name  string
		rule  string
		files map[string]string
		want  string // part of the only complaint
	}{
		{
			name: "a package that is not in the table", rule: "every package has a level",
			files: map[string]string{"internal/util/util.go": "package util\n"},
			want:  "internal/util is not in the layer table",
		},
		{
			name: "a package below a package", rule: "every package has a level",
			files: map[string]string{"internal/trust/inner/x.go": "package inner\n"},
			want:  "internal/trust/inner is not in the layer table",
		},
		{
			name: "a package in the root", rule: "every package has a level",
			files: map[string]string{"sallyport.go": "package sallyport\n"},
			want:  ". is not in the layer table",
		},
		{
			name: "an importer below an importer", rule: "every package has a level",
			files: map[string]string{"internal/importer/a/b/x.go": "package b\n"},
			want:  "internal/importer/a/b is not in the layer table",
		},
		{
			name: "an arrow that points up", rule: "imports point down",
			files: map[string]string{"internal/identity/x.go": imports("identity", "sallyport/internal/trust")},
			want:  "arrows point down only",
		},
		{
			name: "an arrow that points up from a test", rule: "imports point down",
			files: map[string]string{"internal/trust/x_test.go": imports("trust_test", "sallyport/internal/gateway")},
			want:  "arrows point down only",
		},
		{
			name: "an arrow between siblings", rule: "imports point down",
			files: map[string]string{"internal/config/x.go": imports("config", "sallyport/internal/trust")},
			want:  "packages of one level",
		},
		{
			name: "an arrow to a package without a level", rule: "imports point down",
			files: map[string]string{"internal/config/x.go": imports("config", "sallyport/internal/helpers")},
			want:  "not in the layer table",
		},
		{
			name: "an arrow to the root", rule: "imports point down",
			files: map[string]string{"internal/config/x.go": imports("config", "sallyport")},
			want:  "not in the layer table",
		},
		{
			name: "testpki in the program", rule: "imports point down",
			files: map[string]string{"internal/config/x.go": imports("config", "sallyport/internal/testpki")},
			want:  "testpki is for tests only",
		},
		{
			name: "testpki that knows too much", rule: "imports point down",
			files: map[string]string{"internal/testpki/x.go": imports("testpki", "sallyport/internal/trust")},
			want:  "testpki imports level 0 only",
		},
		{
			name: "archtest imported", rule: "imports point down",
			files: map[string]string{"internal/config/x_test.go": imports("config", "sallyport/internal/archtest")},
			want:  "archtest stands alone",
		},
		{
			name: "the harness imported", rule: "imports point down",
			files: map[string]string{"internal/config/x_test.go": imports("config", "sallyport/test/e2e")},
			want:  "imported by nobody",
		},
		{
			name: "the data plane imports the store", rule: "the data plane stands alone",
			files: map[string]string{"internal/gateway/x.go": imports("gateway", "sallyport/internal/store")},
			want:  "gateway: the data plane reaches internal/store",
		},
		{
			name: "the data plane imports an importer", rule: "the data plane stands alone",
			files: map[string]string{"internal/gateway/x.go": imports("gateway", "sallyport/internal/importer/tyk")},
			want:  "internal/importer/tyk",
		},
		{
			name: "a test of the data plane imports the store", rule: "the data plane stands alone",
			files: map[string]string{"internal/gateway/x_test.go": imports("gateway", "sallyport/internal/store")},
			want:  "internal/store",
		},
		{
			name: "the data plane reaches etcd through another package", rule: "the data plane stands alone",
			files: map[string]string{
				"internal/gateway/x.go": imports("gateway", "sallyport/internal/demo"),
				"internal/demo/x.go":    imports("demo", "go.etcd.io/etcd/client/v3"),
			},
			want: "gateway → demo: the data plane reaches go.etcd.io/etcd/client/v3",
		},
		{
			name: "package log", rule: "banned and confined imports",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nimport (\n\t_ \"log\"\n\t_ \"log/slog\"\n)\n"},
			want:  "imports log:",
		},
		{
			name: "package math/rand in a test", rule: "banned and confined imports",
			files: map[string]string{"internal/trust/x_test.go": "package trust\n\nimport (\n\t_ \"math/rand\"\n\t_ \"math/rand/v2\"\n)\n"},
			want:  "imports math/rand:",
		},
		{
			name: "testify", rule: "banned and confined imports",
			files: map[string]string{"internal/trust/x_test.go": imports("trust", "github.com/stretchr/testify/require")},
			want:  "standard testing package",
		},
		{
			name: "net/http outside the adapter", rule: "banned and confined imports",
			files: map[string]string{
				"internal/gateway/serve.go":      imports("gateway", "net/http/httputil"),
				"internal/gateway/nethttp.go":    imports("gateway", "net/http"),
				"internal/gateway/nethttp_b.go":  imports("gateway", "net/http"),
				"internal/gateway/serve_test.go": imports("gateway", "net/http"),
			},
			want: "internal/gateway/serve.go imports net/http/httputil: only files nethttp*.go do",
		},
		{
			name: "no package comment", rule: "package comments",
			files: map[string]string{"internal/trust/trust.go": "package trust\n"},
			want:  "0 package comments",
		},
		{
			name: "two package comments", rule: "package comments",
			files: map[string]string{"internal/trust/x.go": goodComment + "package trust\n"},
			want:  "2 package comments",
		},
		{
			name: "a short package comment", rule: "package comments",
			files: map[string]string{"internal/trust/trust.go": "// Package trust owns a thing, never another, e.g. none. And so on.\npackage trust\n"},
			want:  "has 2 sentences",
		},
		{
			name: "a package comment that claims nothing", rule: "package comments",
			files: map[string]string{"internal/trust/trust.go": "// Package trust is. It is not. It never was.\npackage trust\n"},
			want:  "does not say what the package owns",
		},
		{
			name: "a package comment that promises nothing", rule: "package comments",
			files: map[string]string{"internal/trust/trust.go": "// Package trust is. It owns. It was.\npackage trust\n"},
			want:  "never does",
		},
		{
			name: "a long file", rule: "sizes",
			files: map[string]string{"internal/trust/x_test.go": "package trust\n" + strings.Repeat("\n", maxFileLines)},
			want:  "has 601 lines",
		},
		{
			name: "a long function", rule: "sizes",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nfunc (T) f() {" + strings.Repeat("\n", maxFunctionLines) + "}\n"},
			want:  "f has 81 lines",
		},
		{
			name: "an init function", rule: "no init",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nfunc init() {}\n\nfunc (T) init() {}\n"},
			want:  "internal/trust/x.go:3:1: func init",
		},
		{
			name: "a variable of another file assigned to", rule: "no package-level state",
			files: map[string]string{
				"internal/trust/x.go": "package trust\n\nvar x int\n\nfunc g(x int) { x = 1 }\n",
				"internal/trust/y.go": "package trust\n\nfunc f() { x = 1 }\n",
			},
			want: "internal/trust/y.go:3:12: package-level state changes here",
		},
		{
			name: "a map written to", rule: "no package-level state",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nvar x = map[string]int{}\n\nfunc f() { (x)[\"a\"] = 1 }\n"},
			want:  "state changes",
		},
		{
			name: "a map cleared", rule: "no package-level state",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nvar x = map[string]int{}\n\nfunc f() { clear(x) }\n"},
			want:  "state changes",
		},
		{
			name: "a field counted up", rule: "no package-level state",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nvar x = &struct{ n int }{}\n\nfunc f() { (*x).n++ }\n"},
			want:  "state changes",
		},
		{
			name: "a variable ranged over", rule: "no package-level state",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nvar x int\n\nfunc f() { for x = range 3 {} }\n"},
			want:  "state changes",
		},
		{
			name: "a variable of another package assigned to", rule: "no package-level state",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nimport \"os\"\n\nfunc f() { os.Args = nil }\n"},
			want:  "state changes",
		},
		{
			name: "a global lock", rule: "no package-level state",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nimport \"sync\"\n\nvar x sync.Mutex\n"},
			want:  "sync.Mutex",
		},
		{
			name: "a global pointer to swap", rule: "no package-level state",
			files: map[string]string{"internal/trust/x.go": "package trust\n\nimport a \"sync/atomic\"\n\nvar x = a.Pointer[int]{}\n"},
			want:  "a.Pointer",
		},
		{
			name: "an identity without validation", rule: "identity has one source",
			files: map[string]string{
				"internal/gateway/x.go":      "package gateway\n\nimport id \"sallyport/internal/identity\"\n\nfunc (g *G) f() { id.Of(nil) }\n",
				"internal/gateway/x_test.go": "package gateway\n\nimport \"sallyport/internal/identity\"\n\nvar _ = identity.Of\n",
				"internal/trust/x.go":        "package trust\n\nimport \"sallyport/internal/identity\"\n\nvar of = identity.Of\n",
			},
			want: "internal/gateway/x.go: G.f calls identity.Of",
		},
		{
			name: "two functions that strip", rule: "identity has one source",
			files: map[string]string{
				"internal/gateway/x.go": "package gateway\n\nimport \"sallyport/internal/certheader\"\n\n" +
					"func f() { certheader.Identity(`a`) }\n\nvar g = certheader.Identity\n",
			},
			want: "2 functions call certheader.Identity",
		},
		{
			name: "no architecture", rule: "the documents name every package",
			files: map[string]string{"docs/architecture.md": ""},
			want:  "is missing",
		},
		{
			name: "a package without a row", rule: "the documents name every package",
			files: map[string]string{"docs/architecture.md": "| 1 | trust | Not code. |\n"},
			want:  "no row for internal/trust",
		},
		{
			name: "a row with another level", rule: "the documents name every package",
			files: map[string]string{"docs/architecture.md": "| 2 | `trust` | Owns a thing. |\n"},
			want:  "another level",
		},
		{
			name: "a row without a sentence", rule: "the documents name every package",
			files: map[string]string{"docs/architecture.md": "| 1 | `trust` | |\n"},
			want:  "no sentence",
		},
		{
			name: "a row for a ghost", rule: "the documents name every package",
			files: map[string]string{"docs/architecture.md": goodArchitecture + "| 4 | `admin` | Owns a thing. |\n"},
			want:  "a row for admin, which does not exist",
		},
		{
			name: "two rows for one package", rule: "the documents name every package",
			files: map[string]string{"docs/architecture.md": goodArchitecture + goodArchitecture},
			want:  "two rows for trust",
		},
		{
			name: "no decisions", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/0001-one.md": ""},
			want:  "has no records",
		},
		{
			name: "a gap", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/0003-three.md": strings.Replace(goodDecision, "0001", "0003", 1)},
			want:  "there is no record 0002",
		},
		{
			name: "a number taken", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/0001-two.md": goodDecision},
			want:  "the number is taken",
		},
		{
			name: "a record with a strange name", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/two.md": goodDecision},
			want:  "two.md is not named",
		},
		{
			name: "a record that begins with another number", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/0002-two.md": goodDecision},
			want:  `the first line is not "# 0002: "`,
		},
		{
			name: "a record without a status", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/0001-one.md": strings.Replace(goodDecision, "accepted", "perhaps", 1)},
			want:  "no line such as",
		},
		{
			name: "a record without options", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/0001-one.md": strings.Replace(goodDecision, "## Options", "", 1)},
			want:  `no section "Options"`,
		},
		{
			name: "a record superseded by nothing", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/0001-one.md": strings.Replace(goodDecision, "accepted", "superseded by 0002", 1)},
			want:  "superseded by 0002, which does not exist",
		},
		{
			name: "a long record", rule: "decision records are in order",
			files: map[string]string{"docs/decisions/0001-one.md": goodDecision + strings.Repeat("\n", maxDecisionLines)},
			want:  "at most 60",
		},
		{
			name: "no README", rule: "the README is short",
			files: map[string]string{"README.md": ""},
			want:  "is missing",
		},
		{
			name: "a long README", rule: "the README is short",
			files: map[string]string{"README.md": strings.Repeat("\n", maxReadmeLines+1)},
			want:  "has 151 lines",
		},
		{
			name: "a path of one machine", rule: "no paths of one machine",
			files: map[string]string{"docs/x.md": "\nsee `/" + "root/go/bin`\n"},
			want:  "docs/x.md:2",
		},
	}
	broken := map[string]bool{}
	for _, test := range tests {
		broken[test.rule] = true
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := load(house(test.files))
			if err != nil {
				t.Fatal(err)
			}
			found := rules[test.rule](m)
			if len(found) != 1 || !strings.Contains(found[0], test.want) {
				t.Errorf("complaints = %q, want one with %q", found, test.want)
			}
		})
	}
	for name := range rules {
		if !broken[name] {
			t.Errorf("no module breaks the rule %q", name)
		}
	}
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"no go.mod":              {"go.mod": ""},
		"a go.mod without names": {"go.mod": "go 1.26\n"},
		"a file that is not Go":  {"internal/trust/x.go": "package 1\n"},
	} {
		if _, err := load(house(files)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlanes(t *testing.T) {
	t.Parallel()
	if found := checkPlanes(dataPlane, controlPlane); len(found) != 0 {
		t.Error(found)
	}
	got := checkPlanes([]string{"trust", "helpers"}, []string{"trust"})
	if len(got) != 2 || !strings.HasPrefix(got[0], "helpers") || !strings.HasPrefix(got[1], "trust") {
		t.Errorf("complaints = %q, want one about helpers and one about trust", got)
	}
}
