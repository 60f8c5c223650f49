package identity_test

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/identity"
)

func TestPrepare(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"plain text stays":                    {"partner-a", "partner-a"},
		"case stays":                          {"Partner-A", "Partner-A"},
		"blanks at the ends go":               {"  Acme Inc ", "Acme Inc"},
		"blanks inside collapse":              {"Acme   Inc", "Acme Inc"},
		"tabs and line breaks are blanks":     {"Acme\t\r\nInc", "Acme Inc"},
		"no-break spaces are blanks":          {"Acme\u00a0\u3000Inc", "Acme Inc"},
		"line separator is a blank":           {"Acme\u2028Inc", "Acme Inc"},
		"next line is a blank":                {"Acme\u0085Inc", "Acme Inc"},
		"soft hyphens go":                     {"part\u00adner", "partner"},
		"zero width characters go":            {"par\u200bt\u200dn\ufeffer", "partner"},
		"direction marks go":                  {"\u202epartner\u200e", "partner"},
		"variation selectors go":              {"partner\ufe0f", "partner"},
		"tags go":                             {"partner\U000e0041\U000e0001", "partner"},
		"musical format controls go":          {"partner\U0001d173", "partner"},
		"full-width letters unify":            {"\uff21cme", "Acme"},
		"ligatures unify":                     {"\ufb01n", "fin"},
		"combining sequences compose":         {"u\u0308ber", "\u00fcber"},
		"Cyrillic lookalikes stay themselves": {"\u0430cme", "\u0430cme"},
		"letters newer than Unicode 3.2 stay": {"\U0001f511\u20bf", "\U0001f511\u20bf"},
		"unassigned characters stay":          {"\u0378", "\u0378"},
		"a blank with an accent is a letter":  {"a  \u0308b", "a \u0020\u0308b"},
		"nothing stays nothing":               {"", ""},
		"only blanks are nothing":             {" \t\u00a0 ", ""},
		"only invisible is nothing":           {"\u200b\u00ad", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := identity.Prepare(c.in)
			if err != nil || got != c.want {
				t.Errorf("Prepare(%+q) = %+q, %v, want %+q", c.in, got, err, c.want)
			}
		})
	}
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"NUL":                          "partner-a\x00.evil",
		"other control characters":     "part\x08ner",
		"C1 control characters":        "part\u0090ner",
		"DEL":                          "part\u007fner",
		"private use":                  "part\ue000ner",
		"supplementary private use":    "part\U00100000ner",
		"non-characters":               "part\ufdd0ner",
		"the last code point":          "part\U0010ffffner",
		"the replacement character":    "part\ufffdner",
		"invalid UTF-8":                "part\xffner",
		"an encoded surrogate":         "part\xed\xa0\x80ner",
		"bidi isolates":                "part\u2066ner",
		"a leading combining mark":     "\u0308partner",
		"a mark after dropped letters": "\u00ad\u0308partner",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := identity.Prepare(in); err == nil || got != "" {
				t.Errorf("Prepare(%+q) = %+q, %v, want an error", in, got, err)
			}
		})
	}
}

// TestPrepareEveryCharacter checks each character of Unicode, alone and between letters: what comes out is stable, and
// has nothing in it that would have been refused or dropped at the front door.
func TestPrepareEveryCharacter(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		prepared, err := identity.Prepare("a" + string(r) + "b")
		if err != nil {
			continue
		}
		again, err := identity.Prepare(prepared)
		if err != nil || again != prepared {
			t.Errorf("%U: prepared to %+q, then to %+q, %v", r, prepared, again, err)
		}
		for _, p := range prepared {
			if p != ' ' && unicode.In(p, unicode.Cc, unicode.Cf, unicode.Co, unicode.Z) {
				t.Errorf("%U: prepared to %+q with %U", r, prepared, p)
			}
		}
	}
}

func TestPrepareOfPreparedTextDoesNotAllocate(t *testing.T) {
	for _, s := range []string{"partner-a", "Acme, Inc. of New York"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = identity.Prepare(s) }); n != 0 {
			t.Errorf("Prepare(%q) allocates %v times", s, n)
		}
	}
}
