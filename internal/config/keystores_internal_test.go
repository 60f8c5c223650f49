package config

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/keystore"
)

func TestAListOfAliasesIsShort(t *testing.T) {
	t.Parallel()
	var many []keystore.Entry
	for i := range 16 {
		many = append(many, keystore.Entry{Alias: fmt.Sprintf("a%d", i)})
	}
	for _, tc := range []struct {
		entries []keystore.Entry
		want    string
	}{
		{many[:2], `"a0", "a1"`},
		{[]keystore.Entry{{}, {Alias: "b"}}, `(one without an alias), "b"`},
		{many[:10], `"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"`},
		{many, `"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9" and 6 more`},
	} {
		if got := aliasList(tc.entries); got != tc.want {
			t.Errorf("%d entries: %s, want %s", len(tc.entries), got, tc.want)
		}
	}
	if got := aliasList([]keystore.Entry{{Alias: strings.Repeat("x", 1000)}, {Alias: "a\x1b[2J"}}); len(got) > 300 || strings.Contains(got, "\x1b") {
		t.Errorf("%s", got)
	}
}
