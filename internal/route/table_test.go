package route_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/route"
)

func prefix(t testing.TB, text string) route.Prefix {
	t.Helper()
	p, err := route.ParsePrefix(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func path(t testing.TB, raw string) route.Path {
	t.Helper()
	p, err := route.ParsePath(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// entry registers text, which is also the value, for a list of hosts and a path: "a.test,*.b.test/orders".
func entry(t testing.TB, text string) route.Entry[string] {
	t.Helper()
	hosts, rest, _ := strings.Cut(text, "/")
	e := route.Entry[string]{Prefix: prefix(t, "/"+rest), Value: text}
	for host := range strings.SplitSeq(hosts, ",") {
		if host != "" {
			e.Hosts = append(e.Hosts, hostPattern(t, host))
		}
	}
	return e
}

func table(t testing.TB, places ...string) *route.Table[string] {
	t.Helper()
	var entries []route.Entry[string]
	for _, p := range places {
		entries = append(entries, entry(t, p))
	}
	return route.NewTable(entries)
}

func TestPrefixEndsInASlash(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "/", "/": "/", "/orders": "/orders/", "/orders/": "/orders/", "/petstore/1.0.5/": "/petstore/1.0.5/",
		"/v1/orders:export": "/v1/orders:export/", "/caf%C3%A9": "/caf%C3%A9/", "/a%20b/": "/a%20b/",
	} {
		if got := prefix(t, text); got.String() != want {
			t.Errorf("ParsePrefix(%q) = %q, want %q", text, got, want)
		}
	}
	if prefix(t, "/orders") != prefix(t, "/orders/") || prefix(t, "") != prefix(t, "/") || prefix(t, "/a") == prefix(t, "/b") {
		t.Error("prefixes do not compare as they match")
	}
	if got := (route.Prefix{}).String(); got != "" {
		t.Errorf("the zero prefix is %q", got)
	}
}

func TestPrefixRefusesWhatIsNotInNormalForm(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"no slash", "orders", "begin"},
		{"two slashes", "//orders", `write "/orders"`},
		{"two slashes at the end", "/orders//", `write "/orders/"`},
		{"dots", "/a/../orders", `write "/orders"`},
		{"an encoded letter", "/%6frders", `write "/orders"`},
		{"hex digits in lower case", "/caf%c3%a9", `write "/caf%C3%A9"`},
		{"non-ASCII letters", "/caf\u00e9", `write "/caf%C3%A9"`},
		{"an encoded reserved character", "/a%3Ab", `write "/a:b"`},
		{"a template", "/orders/{id}", `write "/orders/%7Bid%7D"`},
		{"a semicolon", "/a;b", "semicolon"},
		{"an encoded slash", "/a%2Fb", "encoded slash"},
		{"a backslash", `/a\b`, "backslash"},
		{"a query", "/a?b", "question mark"},
		{"a blank", "/a b", "blank"},
		{"a URL", "https://a.test/", "begin"},
		{"a broken escape", "/100%", "percent"},
		{"2 KiB", "/" + strings.Repeat("a", 2048), "1024"},
		{"17 KiB", "/" + strings.Repeat("a", 17<<10), "16 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := route.ParsePrefix(tt.text)
			if err == nil || p != (route.Prefix{}) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParsePrefix(%q) = %q, %v; want an error about %q", tt.text, p, err, tt.want)
			}
		})
	}
}

func TestTableMatchesOnSegmentBoundaries(t *testing.T) {
	t.Parallel()
	tab := table(t, "/orders", "/orders/new", "/a:b/c@d", "/caf%C3%A9")
	tests := []struct{ name, path, want string }{
		{"the prefix itself", "/orders", "/orders"},
		{"the prefix with its slash", "/orders/", "/orders"},
		{"below the prefix", "/orders/1", "/orders"},
		{"a longer name", "/ordersx", ""},
		{"a longer name with a slash", "/ordersx/", ""},
		{"a shorter name", "/order", ""},
		{"another case", "/Orders", ""},
		{"above the prefix", "/", ""},
		{"the longer prefix", "/orders/new", "/orders/new"},
		{"below the longer prefix", "/orders/new/1", "/orders/new"},
		{"beside the longer prefix", "/orders/newer", "/orders"},
		{"the beginning of the longer prefix", "/orders/ne", "/orders"},
		{"an encoded letter", "/%6frders", "/orders"},
		{"a detour", "/x/..//orders", "/orders"},
		{"out of the prefix", "/orders/../x", ""},
		{"out of the prefix, encoded", "/orders/%2e%2e/x", ""},
		{"an encoded slash is no boundary", "/orders%2Fnew", ""},
		{"a semicolon is no boundary", "/orders;x", ""},
		{"reserved characters", "/a:b/c@d/1", "/a:b/c@d"},
		{"reserved characters, encoded", "/a%3ab/c%40d/1", "/a:b/c@d"},
		{"reserved characters, one encoded", "/a%3Ab/c@d", "/a:b/c@d"},
		{"reserved characters, encoded twice", "/a%253Ab/c@d", ""},
		{"reserved characters and more", "/a%3Ab/c@dx", ""},
		{"non-ASCII letters", "/caf\u00e9/1", "/caf%C3%A9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tab.Lookup("a.test", path(t, tt.path))
			if strings.Join(got, " ") != tt.want {
				t.Errorf("Lookup(%q) = %q, want %q", tt.path, got, tt.want)
			}
		})
	}
}

func TestAnEncodedReservedCharacterDoesNotEvadeAnyPrefix(t *testing.T) {
	t.Parallel()
	for _, c := range "!$&'()*+,=:@" {
		tab := table(t, "/", "/a"+string(c)+"b")
		raw := path(t, "/a"+string(c)+"b/x")
		encoded := path(t, fmt.Sprintf("/a%%%02xb/x", c))
		if got, want := tab.Lookup("", encoded), tab.Lookup("", raw); !slices.Equal(got, want) || want[0] == "/" {
			t.Errorf("%q leads to %q, %q leads to %q", encoded, got, raw, want)
		}
	}
}

func TestTheMostSpecificHostThatHasThePathWins(t *testing.T) {
	t.Parallel()
	tab := table(t, "/", "/any/deep", "a.example.test/x", "*.example.test/", "*.example.test/x/y", "*.b.example.test/x", "*.test/z", "[::1]/v6", "c.test,d.test/cd")
	tests := []struct{ name, host, path, want string }{
		{"an exact host", "a.example.test", "/x", "a.example.test/x"},
		{"an exact host before a wildcard with a longer path", "a.example.test", "/x/y", "a.example.test/x"},
		{"an exact host without the path falls to its wildcard", "a.example.test", "/q", "*.example.test/"},
		{"a wildcard", "q.example.test", "/x", "*.example.test/"},
		{"the longer path of a wildcard", "q.example.test", "/x/y/1", "*.example.test/x/y"},
		{"a wildcard before every host with a longer path", "q.example.test", "/any/deep", "*.example.test/"},
		{"the longer wildcard", "q.b.example.test", "/x/y", "*.b.example.test/x"},
		{"the longer wildcard without the path falls to the shorter", "q.b.example.test", "/z", "*.example.test/"},
		{"the shorter wildcard", "q.test", "/z", "*.test/z"},
		{"the suffix itself is not below the wildcard", "example.test", "/x", "/"},
		{"no wildcard has the path", "q.test", "/x", "/"},
		{"every host", "other.invalid", "/any/deep/1", "/any/deep"},
		{"no host", "", "/x", "/"},
		{"an address", "[::1]", "/v6", "[::1]/v6"},
		{"one of several hosts", "d.test", "/cd", "c.test,d.test/cd"},
		{"a name far below", "1.2.3.4.5.6.7.8.9.example.test", "/x", "*.example.test/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tab.Lookup(tt.host, path(t, tt.path)); strings.Join(got, " ") != tt.want {
				t.Errorf("Lookup(%q, %q) = %q, want %q", tt.host, tt.path, got, tt.want)
			}
		})
	}
}

func TestTableReturnsEverythingRegisteredAtOnePlace(t *testing.T) {
	t.Parallel()
	a, b := entry(t, "a.test,*.test/x"), entry(t, "a.test/x")
	twice := entry(t, "a.test,a.test/x")
	slash := route.Entry[string]{Hosts: a.Hosts[:1], Prefix: prefix(t, "/x/"), Value: "slash"}
	tab := route.NewTable([]route.Entry[string]{a, b, twice, slash})
	got := tab.Lookup("a.test", path(t, "/x/1"))
	if diff := cmp.Diff([]string{a.Value, b.Value, twice.Value, "slash"}, got); diff != "" {
		t.Errorf("at a.test/x (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{a.Value}, tab.Lookup("b.test", path(t, "/x"))); diff != "" {
		t.Errorf("at b.test/x (-want +got):\n%s", diff)
	}
	_ = append(got[:len(got):cap(got)], "intruder")
	if again := tab.Lookup("a.test", path(t, "/x")); len(again) != 4 || again[3] != "slash" || cap(got) != len(got) {
		t.Errorf("appending to a result changed the table: %q", again)
	}
}

func TestZeroValuesMatchNothing(t *testing.T) {
	t.Parallel()
	var none *route.Table[string]
	root := path(t, "/")
	if got := none.Lookup("a.test", root); got != nil {
		t.Errorf("a nil table finds %q", got)
	}
	if got := (&route.Table[string]{}).Lookup("a.test", root); got != nil {
		t.Errorf("a zero table finds %q", got)
	}
	if got := route.NewTable[string](nil).Lookup("", root); got != nil {
		t.Errorf("an empty table finds %q", got)
	}
	if got := table(t, "/").Lookup("", route.Path{}); got != nil {
		t.Errorf("the zero path finds %q", got)
	}
	tab := route.NewTable([]route.Entry[string]{
		{Value: "zero prefix"},
		{Hosts: []route.HostPattern{{}}, Prefix: prefix(t, "/"), Value: "zero host"},
	})
	for _, host := range []string{"", "a.test"} {
		if got := tab.Lookup(host, root); got != nil {
			t.Errorf("Lookup(%q) finds %q, which is registered nowhere", host, got)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	tab := bigTable(t, 1000)
	for _, tt := range []struct{ host, path string }{
		{"h7.example.test", "/p7/items"},
		{"x.z7.example.test", "/p7"},
		{"nowhere.invalid", "/shared/p7/x"},
		{"nowhere.invalid", "/nothing"},
		{"h7.example.test", "/a%40b"},
		{"a", "/" + strings.Repeat("a/", 4000)},
	} {
		p := path(t, tt.path)
		if n := testing.AllocsPerRun(100, func() { tab.Lookup(tt.host, p) }); n != 0 {
			t.Errorf("Lookup(%q, %.40q) allocates %v times, want none", tt.host, tt.path, n)
		}
	}
}

// TestTableAgreesWithAWalk compares tables of many sizes, in random order, with the rules applied to every entry.
func TestTableAgreesWithAWalk(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	randomHost := func() string {
		return pick("a", "b") + pick("", ".a", ".b", ".a.b") + pick("", ".test", ".a.test")
	}
	randomPath := func() string {
		var b strings.Builder
		for range rng.IntN(5) {
			b.WriteString("/" + pick("a", "b", "ab", "a:", "x"))
		}
		return b.String() + pick("", "/")
	}
	for range 300 {
		var entries []route.Entry[int]
		for i := range rng.IntN(60) {
			e := route.Entry[int]{Prefix: prefix(t, strings.ReplaceAll(randomPath(), "//", "/")), Value: i}
			for range rng.IntN(3) {
				e.Hosts = append(e.Hosts, hostPattern(t, pick("", "*.")+randomHost()))
			}
			entries = append(entries, e)
		}
		tab := route.NewTable(entries)
		shuffled := slices.Clone(entries)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		other := route.NewTable(shuffled)
		for range 40 {
			host, p := randomHost(), path(t, "/"+randomPath())
			want := naiveLookup(entries, host, p.String())
			got := tab.Lookup(host, p)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("Lookup(%q, %q) in %v (-want +got):\n%s", host, p, entries, diff)
			}
			reordered := slices.Clone(other.Lookup(host, p))
			if slices.Sort(reordered); !slices.Equal(reordered, got) {
				t.Fatalf("Lookup(%q, %q) = %v, in another order %v", host, p, got, reordered)
			}
		}
	}
}

// naiveLookup looks at every entry.
func naiveLookup[T any](entries []route.Entry[T], host, path string) []T {
	var found []T
	bestHost, bestPath := -1, -1
	for _, e := range entries {
		hostRank := -1
		if len(e.Hosts) == 0 {
			hostRank = 0
		}
		if e.Prefix.String() == "" || !strings.HasPrefix(strings.TrimSuffix(path, "/")+"/", e.Prefix.String()) {
			continue
		}
		best := func(rank int) {
			switch {
			case rank < bestHost || rank == bestHost && len(e.Prefix.String()) < bestPath:
				return
			case rank > bestHost || len(e.Prefix.String()) > bestPath:
				found = nil
			}
			bestHost, bestPath = rank, len(e.Prefix.String())
			found = append(found, e.Value)
		}
		for _, h := range e.Hosts {
			if naiveMatch(h.String(), host) {
				rank := len(h.String())
				if !h.Wildcard() {
					rank = 1000
				}
				hostRank = max(hostRank, rank)
			}
		}
		if hostRank >= 0 {
			best(hostRank)
		}
	}
	return found
}

func FuzzTable(f *testing.F) {
	f.Add("/orders a.test/orders/x *.test/ *.a.test/x", "b.a.test", "/orders/x/../y")
	f.Add("/ /a /a/b /a/b/c /a/b/c/d /b /c /d /e /f /g a.test/a", "a.test:443", "/a/b%2Fc/d")
	f.Add("/a:b *.b/%20", "a.b", "/a%3Ab;x")
	f.Fuzz(func(t *testing.T, places, authority, raw string) {
		host, err := route.Host(authority)
		if err != nil {
			return
		}
		p, err := route.ParsePath(raw)
		if err != nil {
			return
		}
		var entries []route.Entry[int]
		for i, place := range strings.Fields(places) {
			hosts, rest, _ := strings.Cut(place, "/")
			prefix, err := route.ParsePrefix("/" + rest)
			if err != nil {
				continue
			}
			e := route.Entry[int]{Prefix: prefix, Value: i}
			if hosts != "" {
				h, err := route.ParseHostPattern(hosts)
				if err != nil {
					continue
				}
				e.Hosts = []route.HostPattern{h}
			}
			entries = append(entries, e)
		}
		text := p.String()
		for _, c := range "!$&'()*+,=:@" {
			text = strings.ReplaceAll(text, fmt.Sprintf("%%%02X", c), string(c))
		}
		want := naiveLookup(entries, host, text)
		if got := route.NewTable(entries).Lookup(host, p); !slices.Equal(got, want) {
			t.Fatalf("Lookup(%q, %q) in %q = %v, want %v", host, p, places, got, want)
		}
	})
}

// bigTable has an API on each of n hosts, one below each of n hosts, and n for every host.
func bigTable(t testing.TB, n int) *route.Table[int] {
	t.Helper()
	entries := make([]route.Entry[int], 0, 3*n)
	for i := range n {
		own := prefix(t, fmt.Sprintf("/p%d", i))
		entries = append(entries,
			route.Entry[int]{Hosts: []route.HostPattern{hostPattern(t, fmt.Sprintf("h%d.example.test", i))}, Prefix: own, Value: i},
			route.Entry[int]{Hosts: []route.HostPattern{hostPattern(t, fmt.Sprintf("*.z%d.example.test", i))}, Prefix: own, Value: i},
			route.Entry[int]{Prefix: prefix(t, fmt.Sprintf("/shared/p%d", i)), Value: i})
	}
	return route.NewTable(entries)
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		tab := bigTable(b, n)
		for name, at := range map[string]struct{ host, path string }{
			"exact":    {"h7.example.test", "/p7/items/4711"},
			"wildcard": {"x.z7.example.test", "/p7/items/4711"},
			"any":      {"other.invalid", "/shared/p7/items/4711"},
			"none":     {"other.invalid", "/nothing/here"},
			"long":     {"other.invalid", "/shared/p7/" + strings.Repeat("a/", 8000)},
		} {
			p := path(b, at.path)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					tab.Lookup(at.host, p)
				}
			})
		}
	}
}

func BenchmarkNewTable(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		bigTable(b, 33_000)
	}
}
