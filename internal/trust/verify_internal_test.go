package trust

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDetailsArePrintableWhateverTheyQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                        "plain",
		"a\nb\x1b[31m\x00":             "a\ufffdb\ufffd[31m\ufffd",
		"right\u202eleft":              "right\ufffdleft",
		"not UTF-8 \xff":               "not UTF-8 \ufffd",
		strings.Repeat("\u00e9", 1024): strings.Repeat("\u00e9", 1024),
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
	if long := printable("x" + strings.Repeat("\u00e9", 2000)); len(long) > 2100 || !utf8.ValidString(long) || !strings.HasSuffix(long, "...") {
		t.Errorf("%d bytes, valid UTF-8: %v", len(long), utf8.ValidString(long))
	}
}
