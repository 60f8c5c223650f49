package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixture is a hunt in a module of its own, with a refusal of each form.
func fixture(t *testing.T) *hunt {
	t.Helper()
	root, err := filepath.Abs("testdata/fixture")
	if err != nil {
		t.Fatal(err)
	}
	return &hunt{
		root: root, folder: t.TempDir(), target: target{dir: "guard", tests: []string{"guard"}}, workers: 2,
		pattern: regexp.MustCompile(""), out: &strings.Builder{},
	}
}

func TestEveryFormOfRefusalIsFound(t *testing.T) {
	t.Parallel()
	all, err := fixture(t).prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		_, after := m.lines()
		got = append(got, m.function+": "+brief(after))
	}
	want := []string{
		"Reason.Allowed: func (r Reason) Allowed() bool { return false }",
		"Reason.Allowed: func (r Reason) Allowed() bool { return true }",
		"Decision.Allowed: func (d Decision) Allowed() bool { return false }",
		"Decision.Allowed: func (d Decision) Allowed() bool { return true }",
		"refuse: func refuse(r Reason) Decision { return passes }",
		`: var barred = []string{, "mallory", "troll*"}`,
		`: var barred = []string{"eve", , "troll*"}`,
		`: var barred = []string{"eve", "mallory", }`,
		`: var barred = []string{"eve", "mallory", "troll"}`,
		`: var rooms = map[string]bool{"hall": false, "alice": true}`,
		`: var rooms = map[string]bool{"hall": true, "alice": false}`,
		`Enter: if false || name == "" {`,
		"Enter: if age < 18 || false {",
		"Enter: if false {",
		"Enter: return passes",
		"Enter: return passes",
		"room: case true:",
		"room: case false:",
		"room: return passes",
		"known: case , Barred:",
		"known: case Young, :",
		"known: return true",
		"Check: if text := complain(age); false {",
		"complain: if false {",
		"Sweep: if false {",
		"barredRoom: func barredRoom(name string) bool { return false }",
		"barredRoom: func barredRoom(name string) bool { return true && !rooms[name] }",
		`barredRoom: func barredRoom(name string) bool { return name != "" && true }`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The tests of the fixture never ask for the cellar.
func TestMutantsAreKilledByNameAndSurvivorsReported(t *testing.T) {
	t.Parallel()
	h := fixture(t)
	h.pattern = regexp.MustCompile(" (Check|room)$")
	err := h.hunt(t.Context())
	report := h.out.(*strings.Builder).String()
	if err == nil || !strings.Contains(err.Error(), "guard: 1 of 4 mutants survived") {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{
		"killed  guard/guard.go:65 Check: if text := complain(age); false {\n        by TestCheck in guard\n",
		"case true:\n        by TestEnter/zoe in guard\n",
		"SURVIVED guard/guard.go:49 room\n-\tcase name == \"cellar\":\n+\tcase false:\n",
		"guard: 4 mutants, 3 killed, 0 equivalent, 1 survived",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

func TestAMutantThatIsCalledEquivalentMustBe(t *testing.T) {
	t.Parallel()
	cellar := equivalent{"guard/guard.go", "room", `case name == "cellar":`, "case false:", "nobody asks"}
	check := equivalent{"guard/guard.go", "Check", `if text := complain(age); text != "" {`, "if text := complain(age); false {", "a lie"}
	nobody := equivalent{"guard/guard.go", "Nobody", "if x {", "if false {", "it was changed"}
	for _, tc := range []struct {
		name  string
		known []equivalent
		wrong string // "" for nothing
	}{
		{"one that is", []equivalent{cellar}, ""},
		{"one that a test kills", []equivalent{cellar, check}, "is said to be equivalent (a lie), but TestCheck fails"},
		{"one that is not there any more", []equivalent{cellar, nobody}, "fits 0 mutants"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := fixture(t)
			h.pattern, h.equivalents = regexp.MustCompile(" (Check|room)$"), tc.known
			err := h.hunt(t.Context())
			if (err == nil) != (tc.wrong == "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("error %v, want %q", err, tc.wrong)
			}
		})
	}
}

// What the finder makes of the program has to compile, and every equivalent mutant has to be there.
func TestTheMutantsOfTheProgramCompile(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, target := range targets() {
		h := &hunt{root: root, folder: t.TempDir(), target: target, equivalents: equivalents(), pattern: regexp.MustCompile("")}
		all, err := h.prepare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(all) < 20 {
			t.Errorf("%s: %d mutants", target.dir, len(all))
		}
		for _, m := range all {
			files = append(files, m.file.path)
		}
		if _, err := goCommand(t.Context(), root, "build", "-overlay", h.overlay, "./"+target.dir); err != nil {
			t.Errorf("%s: %v", target.dir, err)
		}
	}
	for _, e := range equivalents() {
		if !slices.Contains(files, e.path) || e.why == "" {
			t.Errorf("equivalent mutant in %s, which is not mutated, or without a reason", e.path)
		}
	}
}

func TestBlameNamesATest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, output, want string }{
		{"a test", "=== RUN   TestA\n--- FAIL: TestA (0.00s)\nFAIL\n", "TestA"},
		{"a subtest", "=== RUN   TestA/x\n    --- FAIL: TestA/x (0.00s)\n--- FAIL: TestA (0.00s)\n", "TestA/x"},
		{"the test above a subtest", "--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/x (0.00s)\n", "TestA/x"},
		{"no end", "=== RUN   TestB\npanic: test timed out after 1s\n\trunning tests:\n\t\tTestA (1s)\n", "TestA (never ends)"},
		{"a crash", "=== RUN   TestB\npanic: x\n\ngoroutine 7 [running]:\nmod/pkg.f(...)\nmod/pkg_test.TestA.func1(0x1)\n", "TestA (panics)"},
		{"a crash elsewhere", "=== RUN   TestB\npanic: x\n\ngoroutine 7 [running]:\nmod/pkg.f(...)\n", "TestB (panics)"},
		{"nothing", "panic: in a variable\n", ""},
	} {
		if got := blame(tc.output); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestTheTreeIsNotTouched(t *testing.T) {
	t.Parallel()
	h := fixture(t)
	before, err := os.ReadDir(filepath.Join(h.root, "guard"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadDir(filepath.Join(h.root, "guard"))
	if err != nil || len(before) != len(after) {
		t.Errorf("%d files before, %d after: %v", len(before), len(after), err)
	}
}
