package identity

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestAntPathsOfSpring has the behaviour of AntPathMatcher on paths, from its documentation and from reading it.
func TestAntPathsOfSpring(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"test", "test", true},
		{"/test", "/test", true},
		{"/test", "test", false},
		{"test", "/test", false},
		{"t?st", "test", true},
		{"t?st", "tst", false},
		{"tes?", "tes", false},
		{"tes?", "testt", false},
		{"??", "ab", true},
		{"*", "test", true},
		{"test*", "test", true},
		{"*.*", "test.", true},
		{"*.*", "test", false},
		{"*", "", false},
		{"test*aaa", "testblaaaa", true},
		{"test*", "tst", false},
		{"*test", "te/st", false},
		{"test/*", "test/t", true},
		{"test/*", "test/", true},
		{"test/*", "test", false},
		{"test/*", "test/t/u", false},
		{"test/*/", "test/", true},
		{"/?", "/a", true},
		{"/?", "/a/a", false},
		{"/a/*", "/a/", true},
		{"/a/*/b", "/a//b", false},
		{"/a//b", "/a/b", true},
		{"/**", "/testing/testing", true},
		{"/*/**", "/testing/testing", true},
		{"/**/*", "/testing/testing", true},
		{"/bla/**/bla", "/bla/testing/testing/bla", true},
		{"/bla/**/bla", "/bla/testing/testing/bla/bla", true},
		{"/bla/**/bla", "/bla/bla", true},
		{"/bla/**/bla", "/bla", false},
		{"/**/test", "/bla/bla/test", true},
		{"/bla/**/**/bla", "/bla/x/bla", true},
		{"/**/a/**/b", "/x/a/y/a/b", true},
		{"/**/a/b/**", "/a/a/b", true},
		{"/bla*bla/test", "/blaXXXbla/test", true},
		{"/*bla/test", "/XXXblab/test", false},
		{"/x/x/**/bla", "/x/x/x/", false},
		{"a/**", "a", true},
		{"a/**", "a/", true},
		{"a/**/", "a", true},
		{"a/**/", "a/b", true},
		{"a", "a/", false},
		{"a/", "a", false},
		{"a/**/*", "a/", false},
		{"a/**/b", "a/c/b/", false},
		{"a/b/", "a/b/", true},
		{"a/**/b/", "a/c/b/", true},
		{"**", "", true},
		{"a**b", "axyb", true},
		{"a**b", "ax/yb", false},
		{"a?b", "aéb", true},
		{"a?", "a\u0308\u0308", false},
	} {
		p, err := parseAnt(c.pattern)
		if err != nil {
			t.Fatalf("%q: %v", c.pattern, err)
		}
		if got := p.match(newRendering(c.text)); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.text, got, c.want)
		}
	}
	if (&antPattern{}).match(rendering{}) || (&antPattern{}).match(newRendering("a")) {
		t.Error("the zero pattern matches")
	}
}

// TestAntAgainstItsDefinition compares with a matcher that tries everything.
func TestAntAgainstItsDefinition(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) // a repeatable test
	matched := 0
	for range 200_000 {
		pattern, text := randomText(random, "ab*?//"), randomText(random, "abb//")
		if strings.Trim(pattern, "/") == "" {
			continue
		}
		p, err := parseAnt(pattern)
		if err != nil {
			t.Fatal(err)
		}
		segments := pathSegments(text)
		got, want := matchSegments(p.segments, segments), definedSegments(p.segments, segments)
		if got != want {
			t.Fatalf("%q matches %q: %v, want %v", p.segments, segments, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d examples matched", matched)
	}
}

func randomText(random *rand.Rand, alphabet string) string {
	b := make([]byte, random.IntN(10))
	for i := range b {
		b[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(b)
}

func definedSegments(pattern, segments []string) bool {
	switch {
	case len(pattern) == 0:
		return len(segments) == 0
	case pattern[0] == anySegments:
		return definedSegments(pattern[1:], segments) || len(segments) > 0 && definedSegments(pattern, segments[1:])
	}
	return len(segments) > 0 && definedSegment(pattern[0], segments[0]) && definedSegments(pattern[1:], segments[1:])
}

func definedSegment(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return definedSegment(pattern[1:], s) || s != "" && definedSegment(pattern, s[1:])
	}
	return s != "" && (pattern[0] == '?' || pattern[0] == s[0]) && definedSegment(pattern[1:], s[1:])
}
