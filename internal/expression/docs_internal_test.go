package expression

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// reference are the rows of docs/expressions.md about fields.
func reference() (rows []string) {
	row := func(object string, f field) {
		rows = append(rows, fmt.Sprintf("| `%s.%s` | %s | %s |", object, f.name, typeNames(f.kind.String()), f.doc))
	}
	for i := range certificateTable {
		row("certificate", certificateTable[i].field)
	}
	for _, f := range presentedTable {
		row("presented", f.field)
	}
	for _, f := range requestTable {
		row("request", f.field)
	}
	return rows
}

func TestTheReferenceHasEveryFieldAndFunction(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.SplitSeq(string(data), "\n") {
		for _, object := range []string{"certificate.", "presented.", "request."} {
			if strings.HasPrefix(line, "| `"+object) {
				documented = append(documented, line)
			}
		}
	}
	want := reference()
	for _, row := range want {
		if !slices.Contains(documented, row) {
			t.Errorf("docs/expressions.md has no row\n%s", row)
		}
	}
	if len(documented) != len(want) {
		t.Errorf("docs/expressions.md has %d rows, and there are %d fields", len(documented), len(want))
	}
	for _, name := range slices.Concat(functionNames, variableNames) {
		if !strings.Contains(string(data), name) {
			t.Errorf("docs/expressions.md does not speak of %s", name)
		}
	}
}
