package route_test

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/internal/route"
)

func TestPathHasOneNormalForm(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, raw, want string }{
		{"the root", "/", "/"},
		{"a plain path", "/orders/1", "/orders/1"},
		{"a slash at the end stays", "/orders/", "/orders/"},
		{"letter case stays", "/Orders", "/Orders"},
		{"everything unreserved", "/aZ09-._~", "/aZ09-._~"},
		{"everything else that may stand raw", "/!$&'()*+,=:@", "/!$&'()*+,=:@"},

		{"an encoded letter is decoded", "/%61dmin", "/admin"},
		{"all unreserved characters are decoded", "/%41%7A%30%2D%2E%5F%7E", "/Az0-._~"},
		{"hex digits are upper case", "/%c3%a9%2a", "/%C3%A9%2A"},
		{"encoded reserved characters stay encoded", "/a%21%24%26%27%28%29%2A%2B%2C%3D%3A%40", "/a%21%24%26%27%28%29%2A%2B%2C%3D%3A%40"},
		{"an encoded blank stays", "/a%20b", "/a%20b"},
		{"an encoded question mark stays", "/a%3fb", "/a%3Fb"},
		{"an encoded number sign stays", "/a%23b", "/a%23b"},
		{"an encoded percent sign stays", "/100%25", "/100%25"},
		{"an encoded line break stays", "/a%0d%0ab", "/a%0D%0Ab"},
		{"double encoding is not undone", "/%252e%252e/a", "/%252e%252e/a"},
		{"double encoding of a letter is not undone", "/%2561", "/%2561"},
		{"double encoding of a slash is not undone", "/%252F", "/%252F"},
		{"double encoding built out of escapes is not undone", "/%25%32%65", "/%252e"},
		{"raw UTF-8 is encoded", "/caf\u00e9", "/caf%C3%A9"},
		{"raw and encoded octets of one character", "/caf\xc3%a9", "/caf%C3%A9"},
		{"four octets", "/\U0001F600", "/%F0%9F%98%80"},
		{"the replacement character is a character", "/%EF%BF%BD", "/%EF%BF%BD"},
		{"a fullwidth dot is no dot", "/%EF%BC%8E%EF%BC%8E/a", "/%EF%BC%8E%EF%BC%8E/a"},
		{"a fullwidth slash is no slash", "/a%EF%BC%8Fb", "/a%EF%BC%8Fb"},
		{"what RFC 3986 wants encoded", "/\"<>[]^`{|}", "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"},

		{"two slashes", "//", "/"},
		{"a run of slashes", "/a///b////", "/a/b/"},
		{"slashes first", "///a", "/a"},
		{"an authority in the path is a segment", "//evil.test/a", "/evil.test/a"},

		{"a dot segment", "/./a", "/a"},
		{"a dot segment inside", "/a/./b", "/a/b"},
		{"a dot segment at the end leaves a slash", "/a/.", "/a/"},
		{"a dot segment with a slash", "/a/./", "/a/"},
		{"only a dot", "/.", "/"},
		{"two dots go up", "/a/../b", "/b"},
		{"two dots at the end leave a slash", "/a/b/..", "/a/"},
		{"two dots and a slash at the end", "/a/b/../", "/a/"},
		{"two dots never go above the root", "/../../a", "/a"},
		{"only two dots", "/..", "/"},
		{"two dots at the root with a slash", "/../", "/"},
		{"up and down", "/a/b/c/./../../g", "/a/g"},
		{"up past empty segments", "/a//../b", "/b"},
		{"up past many empty segments", "/a/b////../c", "/a/c"},
		{"encoded dots", "/%2e%2e/a", "/a"},
		{"encoded dots, upper case", "/x/%2E%2E/a", "/a"},
		{"a half encoded pair", "/x/.%2e/a", "/a"},
		{"the other half", "/x/%2e./a", "/a"},
		{"an encoded single dot", "/a/%2E/b", "/a/b"},
		{"encoded dots at the end", "/a/b/%2e%2e", "/a/"},
		{"three dots are a name", "/.../a", "/.../a"},
		{"a hidden file is a name", "/.well-known/a", "/.well-known/a"},
		{"two dots and a letter are a name", "/..a/b..", "/..a/b.."},
		{"dots with an encoded blank are a name", "/..%20/a", "/..%20/a"},
		{"a special segment that goes away", "/a%2Fb/../c", "/c"},
		{"a reserved segment that goes away", "/a%3Ab/../c", "/c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := route.ParsePath(tt.raw)
			if err != nil || got.String() != tt.want {
				t.Fatalf("ParsePath(%q) = %q, %v; want %q", tt.raw, got, err, tt.want)
			}
			if got.Special() != 0 {
				t.Errorf("ParsePath(%q) is special: %b", tt.raw, got.Special())
			}
			if again, err := route.ParsePath(got.String()); err != nil || again != got {
				t.Errorf("ParsePath(%q) = %+v, %v; want %+v", got, again, err, got)
			}
		})
	}
}

func TestPathReportsSpecialCharacters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw, want string
		special         route.Characters
	}{
		{"an encoded slash", "/a%2Fb", "/a%2Fb", route.EncodedSlash},
		{"an encoded slash, lower case", "/a%2fb", "/a%2Fb", route.EncodedSlash},
		{"a raw backslash", `/a\b`, "/a%5Cb", route.Backslash},
		{"an encoded backslash", "/a%5cb", "/a%5Cb", route.Backslash},
		{"a raw semicolon", "/a;b", "/a;b", route.Semicolon},
		{"an encoded semicolon", "/a%3bb", "/a%3Bb", route.Semicolon},
		{"a session parameter", "/a;jsessionid=1/b", "/a;jsessionid=1/b", route.Semicolon},
		{"all of them", `/a%2f\;%3b%5c`, "/a%2F%5C;%3B%5C", route.EncodedSlash | route.Backslash | route.Semicolon},
		{"one that survives a removed segment", "/a;b/c%2Fd/../e", "/a;b/e", route.Semicolon},
		{"dots that are a name", "/a%2F...%2Fb", "/a%2F...%2Fb", route.EncodedSlash},
		{"dots after a letter", "/a..;x", "/a..;x", route.Semicolon},
		{"dots before a letter", "/;..a", "/;..a", route.Semicolon},
		{"dots before an escape", "/..%20;x", "/..%20;x", route.Semicolon},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := route.ParsePath(tt.raw)
			if err != nil || got.String() != tt.want || got.Special() != tt.special {
				t.Fatalf("ParsePath(%q) = %q %b, %v; want %q %b", tt.raw, got, got.Special(), err, tt.want, tt.special)
			}
			if again, err := route.ParsePath(got.String()); err != nil || again != got {
				t.Errorf("ParsePath(%q) = %+v, %v; want %+v", got, again, err, got)
			}
		})
	}
}

func TestPathRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, raw, want string }{
		{"nothing", "", "begin"},
		{"an asterisk", "*", "begin"},
		{"a path without a slash", "orders", "begin"},
		{"a URL", "https://a.test/orders", "begin"},
		{"an encoded slash first", "%2Forders", "begin"},
		{"a backslash first", `\orders`, "begin"},
		{"an encoded NUL", "/a%00", "%00"},
		{"an encoded NUL in a segment that goes away", "/%00/../a", "%00"},
		{"a raw NUL", "/a\x00", "control"},
		{"a raw line break", "/a\r\nX: y", "control"},
		{"a raw tab", "/a\t", "control"},
		{"a raw blank", "/a b", "blank"},
		{"DEL", "/a\x7f", "control"},
		{"a number sign", "/a#b", "number sign"},
		{"a question mark", "/a?b", "question mark"},
		{"a percent sign alone", "/%", "percent"},
		{"a percent sign at the end", "/a%", "percent"},
		{"half an escape at the end", "/a%2", "percent"},
		{"a first digit that is none", "/%g0", "percent"},
		{"a second digit that is none", "/%0g", "percent"},
		{"an escape in an escape", "/%%32%65", "percent"},
		{"a signed escape", "/%+1", "percent"},
		{"a wide escape", "/%u002e", "percent"},
		{"an overlong slash", "/..%c0%afa", "UTF-8"},
		{"an overlong dot", "/%c0%ae%c0%ae/a", "UTF-8"},
		{"an overlong slash of three octets", "/%e0%80%af", "UTF-8"},
		{"a raw overlong slash", "/..\xc0\xafa", "UTF-8"},
		{"a surrogate", "/%ed%a0%80", "UTF-8"},
		{"beyond Unicode", "/%f4%90%80%80", "UTF-8"},
		{"a continuation alone", "/%80", "UTF-8"},
		{"a mixed case continuation alone", "/%aB", "UTF-8"},
		{"Latin-1", "/caf%e9", "UTF-8"},
		{"Latin-1 before a letter", "/%e9a", "UTF-8"},
		{"Latin-1 before an encoded letter", "/%e9%61", "UTF-8"},
		{"a character broken by a slash", "/%c3/%a9", "UTF-8"},
		{"a character broken by an encoded slash", "/%c3%2f%a9", "UTF-8"},
		{"a character broken by a semicolon", "/%c3;%a9", "UTF-8"},
		{"a character that never ends", "/%f0%9f%98", "UTF-8"},
		{"a raw character that never ends", "/\xf0\x9f", "UTF-8"},

		{"dots before an encoded slash", "/a/..%2fb", "dot segment"},
		{"encoded dots before an encoded slash", "/a/%2e%2e%2fb", "dot segment"},
		{"dots after an encoded slash", "/a%2f..", "dot segment"},
		{"dots between encoded slashes", "/a%2F..%2Fb", "dot segment"},
		{"a dot between encoded slashes", "/a%2F.%2Fb", "dot segment"},
		{"dots before a backslash", `/a/..\b`, "dot segment"},
		{"dots after a backslash", `/a\..`, "dot segment"},
		{"dots before an encoded backslash", "/a/..%5cb", "dot segment"},
		{"dots with a parameter", "/a/..;/b", "dot segment"},
		{"dots with a parameter that says something", "/a/..;x=1/b", "dot segment"},
		{"a dot with a parameter", "/a/.;x", "dot segment"},
		{"half encoded dots with a parameter", "/a/.%2e;/b", "dot segment"},
		{"dots with an encoded parameter", "/a/..%3bx", "dot segment"},
		{"dots as a parameter", "/a;..", "dot segment"},
		{"dots as a parameter before a slash", "/a;../b", "dot segment"},
		{"separators of two kinds", `/a%2f..\b`, "dot segment"},

		{"17 KiB", "/" + strings.Repeat("a", 17<<10), "16 KiB"},
		{"16 KiB that would grow", "/" + strings.Repeat("{", 8<<10), "16 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := route.ParsePath(tt.raw)
			if err == nil {
				t.Fatalf("ParsePath(%q) = %q, want an error about %q", tt.raw, got, tt.want)
			}
			if got != (route.Path{}) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParsePath(%q) = %+v, %q; want an error about %q", tt.raw, got, err, tt.want)
			}
		})
	}
}

func TestEveryOctetOfAPathIsTreatedAlikeRawAndEncoded(t *testing.T) {
	t.Parallel()
	for c := range 0x80 {
		raw, rawErr := route.ParsePath("/x" + string(rune(c)) + "x")
		encoded, err := route.ParsePath(fmt.Sprintf("/x%%%02xx", c))
		if c == 0 {
			if err == nil || rawErr == nil {
				t.Errorf("a NUL is accepted")
			}
			continue
		}
		if err != nil {
			t.Errorf("%%%02X is refused: %v", c, err)
			continue
		}
		text := strings.TrimSuffix(strings.TrimPrefix(encoded.String(), "/x"), "x")
		if len(text) != 1 && text != fmt.Sprintf("%%%02X", c) {
			t.Errorf("%%%02X becomes %q", c, text)
		}
		if len(text) == 1 && (rawErr != nil || raw != encoded) {
			t.Errorf("%%%02X is decoded to %q, but raw it is %q, %v", c, text, raw, rawErr)
		}
	}
}

func TestALongPathInNormalFormIsAccepted(t *testing.T) {
	t.Parallel()
	raw := "/" + strings.Repeat("a", 16<<10-1)
	if p, err := route.ParsePath(raw); err != nil || p.String() != raw {
		t.Errorf("16 KiB: %v", err)
	}
	if _, err := route.ParsePath(raw + "a"); err == nil {
		t.Error("one octet more is accepted")
	}
}

func TestParsePathAllocatesNothingForNormalInput(t *testing.T) {
	for _, raw := range []string{
		"/", "/orders/1/items", "/a%20b/caf%C3%A9/%F0%9F%98%80", "/a%40b%2Cc", "/a;b%2Fc", "/.well-known/x..y",
		"/" + strings.Repeat("a/", 4000), "orders", "/a b", "/%", "/%c0%af", "/..%2F",
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = route.ParsePath(raw) }); n != 0 {
			t.Errorf("ParsePath(%.40q) allocates %v times, want none", raw, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = route.ParsePath("/a/../%6frders//1") }); n > 1 {
		t.Errorf("rewriting allocates %v times, want the result alone", n)
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/", "//", "/a/../b", "/a/./b/..", "/%2e%2e/a", "/.%2e/%2E.", "/a%2fb", `/a\b`, "/a;b/..;x", "/%c3%a9\u00e9", "/%00", "/%", "/a%252e",
		"/{x}|", "/a%3Ab/../c%40", "/..%5c", "/a/b/../../../..", "/;../%3b..", "/a%2F/../b", "*", "/\xff", "/%c3/%a9",
	} {
		f.Add(s)
	}
	f.Fuzz(checkPath)
}

// TestEveryShortPathKeepsThePromises tries every path of up to six of the pieces that attacks are made of.
func TestEveryShortPathKeepsThePromises(t *testing.T) {
	t.Parallel()
	pieces := []string{"/", ".", "%2e", "%2F", `\`, ";", "a"}
	var try func(raw string, left int)
	try = func(raw string, left int) {
		checkPath(t, raw)
		for _, piece := range pieces {
			if left > 0 {
				try(raw+piece, left-1)
			}
		}
	}
	try("/", 6)
}

// checkPath checks everything that ParsePath promises of one path.
func checkPath(t *testing.T, raw string) {
	p, err := route.ParsePath(raw)
	if err != nil {
		if p != (route.Path{}) {
			t.Fatalf("ParsePath(%q) = %+v with an error", raw, p)
		}
		return
	}
	text := p.String()
	if again, err := route.ParsePath(text); err != nil || again != p {
		t.Fatalf("ParsePath(%q) = %+v, whose own normal form is %+v, %v", raw, p, again, err)
	}
	if want := naivePath(raw); text != want {
		t.Fatalf("ParsePath(%q) = %q, want %q", raw, text, want)
	}
	if text[0] != '/' || strings.Contains(text, "//") || len(text) > 16<<10 {
		t.Fatalf("ParsePath(%q) = %q", raw, text)
	}
	noDots(t, raw, text, "/")
	if u, err := url.ParseRequestURI(text); err != nil || u.EscapedPath() != text || u.RawQuery != "" {
		t.Fatalf("ParsePath(%q) = %q, which net/url reads as %v, %v", raw, text, u, err)
	}
	decoded, err := url.PathUnescape(text)
	if err != nil || !utf8.ValidString(decoded) || strings.Contains(decoded, "\x00") {
		t.Fatalf("ParsePath(%q) = %q decodes to %q, %v", raw, text, decoded, err)
	}
	noDots(t, raw, decoded, `/\;`)
	has := func(set ...string) bool {
		for _, s := range set {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
	for c, found := range map[route.Characters]bool{
		route.EncodedSlash: has("%2F"), route.Backslash: has("%5C", `\`), route.Semicolon: has(";", "%3B"),
	} {
		if p.Special()&c != 0 != found {
			t.Fatalf("ParsePath(%q) = %q, special %b", raw, text, p.Special())
		}
	}
}

func noDots(t *testing.T, raw, text, separators string) {
	t.Helper()
	for segment := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if segment == "." || segment == ".." {
			t.Fatalf("ParsePath(%q) lets %q through in %q", raw, segment, text)
		}
	}
}

// naivePath is the normal form by the letter of the rules, without a thought for cost.
func naivePath(raw string) string {
	var b bytes.Buffer
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			n, _ := strconv.ParseUint(raw[i+1:i+3], 16, 8)
			c = byte(n)
			i += 2
			if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~", rune(c)) && c < 0x80 {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else if c >= 0x80 || strings.IndexByte("\"<>[\\]^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	segments := strings.Split(b.String(), "/")
	var out []string
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, s)
			continue
		}
		if last {
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/")
}

func BenchmarkParsePath(b *testing.B) {
	for name, raw := range map[string]string{
		"clean":   "/orders/2026/11/21/items/4711/lines",
		"escapes": "/orders/caf%C3%A9/a%20b/x%40example.test",
		"dirty":   "/orders//x/../%6ftems/./4711",
		"longest": "/" + strings.Repeat("a/", 8<<10-1),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = route.ParsePath(raw)
			}
		})
	}
}
