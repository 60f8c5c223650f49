package route_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/route"
)

func hostPattern(t testing.TB, text string) route.HostPattern {
	t.Helper()
	p, err := route.ParseHostPattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestHostPatternHasOneNormalForm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
		wildcard         bool
	}{
		{"a host", "a.example.test", "a.example.test", false},
		{"letters are lowered", "A.Example.Test", "a.example.test", false},
		{"a trailing dot is dropped", "a.example.test.", "a.example.test", false},
		{"a single label", "localhost", "localhost", false},
		{"a wildcard", "*.Example.test.", "*.example.test", true},
		{"a wildcard under a single label", "*.test", "*.test", true},
		{"a wildcard under a label that begins with a digit", "*.4u.test", "*.4u.test", true},
		{"an IPv4 address", "192.0.2.1", "192.0.2.1", false},
		{"an IPv6 address", "[2001:DB8::0:1]", "[2001:db8::1]", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := hostPattern(t, tt.text)
			if p.String() != tt.want || p.Wildcard() != tt.wildcard {
				t.Fatalf("ParseHostPattern(%q) = %q, wildcard %t; want %q, %t", tt.text, p, p.Wildcard(), tt.want, tt.wildcard)
			}
			if p != hostPattern(t, p.String()) {
				t.Errorf("%q is not its own normal form", p)
			}
		})
	}
}

func TestHostPatternRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"nothing", "", "leave hosts out"},
		{"a lone asterisk", "*", "leave hosts out"},
		{"a wildcard under nothing", "*.", "without a host"},
		{"two asterisks", "*.*.test", "beginning"},
		{"an asterisk inside", "a.*.test", "beginning"},
		{"an asterisk at the end", "a.*", "beginning"},
		{"half a label", "a*.test", "beginning"},
		{"an asterisk without a dot", "*test", "beginning"},
		{"a double asterisk", "**.test", "beginning"},
		{"a suffix without an asterisk", ".test", "empty label"},
		{"a port", "a.test:443", "no port"},
		{"an empty port", "a.test:", "no port"},
		{"a wildcard with a port", "*.test:443", "no port"},
		{"a literal with a port", "[::1]:443", "no port"},
		{"an IPv6 address without brackets", "2001:db8::1", "in brackets"},
		{"names under an IPv6 address", "*.[::1]", "IP address"},
		{"names under an IPv4 address", "*.192.0.2.1", "IP address"},
		{"names under the tail of addresses", "*.1", "IP address"},
		{"a literal that is none", "[x]", "brackets"},
		{"a zone", "[fe80::1%eth0]", "percent"},
		{"userinfo", "u@a.test", "userinfo"},
		{"a URL", "https://a.test", "no port"},
		{"a path", "a.test/x", "octet"},
		{"a blank", " a.test", "octet"},
		{"an empty label", "a..test", "empty label"},
		{"letters beyond ASCII", "b\u00fccher.test", "xn--"},
		{"a name of 254 octets", strings.Repeat("a", 254), "253"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := route.ParseHostPattern(tt.text)
			if err == nil || p != (route.HostPattern{}) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", tt.text)) {
				t.Errorf("ParseHostPattern(%q) = %q, %v; want an error about %q", tt.text, p, err, tt.want)
			}
		})
	}
}

func TestHostPatternMatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, host string
		want          bool
	}{
		{"a.test", "a.test", true},
		{"a.test", "b.a.test", false},
		{"a.test", "xa.test", false},
		{"a.test", "", false},
		{"*.a.test", "b.a.test", true},
		{"*.a.test", "c.b.a.test", true},
		{"*.a.test", "a.test", false},
		{"*.a.test", ".a.test", false},
		{"*.a.test", "xa.test", false},
		{"*.a.test", "b.a.test.evil", false},
		{"*.a.test", "*.a.test", true},
		{"*.a.test", "", false},
		{"[::1]", "[::1]", true},
		{"*.test", "[::1]", false},
	}
	for _, tt := range tests {
		if got := hostPattern(t, tt.pattern).Match(tt.host); got != tt.want {
			t.Errorf("%q matches %q: %t, want %t", tt.pattern, tt.host, got, tt.want)
		}
	}
	for _, host := range []string{"", "a", "*", "*."} {
		if (route.HostPattern{}).Match(host) {
			t.Errorf("the zero pattern matches %q", host)
		}
	}
	if zero := (route.HostPattern{}); zero.String() != "" || zero.Wildcard() {
		t.Errorf("the zero pattern is %q, wildcard %t", zero, zero.Wildcard())
	}
}

func TestHostPatternCovers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		p, other string
		want     bool
	}{
		{"a.test", "a.test", true},
		{"a.test", "b.test", false},
		{"a.test", "*.a.test", false},
		{"a.test", "*.test", false},
		{"*.test", "a.test", true},
		{"*.test", "b.a.test", true},
		{"*.test", "test", false},
		{"*.test", "*.test", true},
		{"*.test", "*.a.test", true},
		{"*.a.test", "*.test", false},
		{"*.a.test", "*.xa.test", false},
		{"*.a.test", "a.test", false},
	}
	for _, tt := range tests {
		if got := hostPattern(t, tt.p).Covers(hostPattern(t, tt.other)); got != tt.want {
			t.Errorf("%q covers %q: %t, want %t", tt.p, tt.other, got, tt.want)
		}
	}
	var zero route.HostPattern
	if zero.Covers(zero) || zero.Covers(hostPattern(t, "a.test")) || hostPattern(t, "*.test").Covers(zero) {
		t.Error("the zero pattern covers or is covered")
	}
}

func TestHostMapFindsTheMostSpecificPatternInAnyOrder(t *testing.T) {
	t.Parallel()
	patterns := []string{"a.example.test", "*.example.test", "*.b.example.test", "*.test", "b.example.test", "[::1]", "*.d.c.b.example.test"}
	tests := []struct{ host, want string }{
		{"a.example.test", "a.example.test"},
		{"x.example.test", "*.example.test"},
		{"y.x.example.test", "*.example.test"},
		{"x.a.example.test", "*.example.test"},
		{"b.example.test", "b.example.test"},
		{"x.b.example.test", "*.b.example.test"},
		{"x.c.b.example.test", "*.b.example.test"},
		{"d.c.b.example.test", "*.b.example.test"},
		{"x.d.c.b.example.test", "*.d.c.b.example.test"},
		{"1.2.3.4.5.6.7.x.d.c.b.example.test", "*.d.c.b.example.test"},
		{"example.test", "*.test"},
		{"other.test", "*.test"},
		{"[::1]", "[::1]"},
		{"test", ""},
		{"", ""},
		{".test", ""},
		{"xexample.invalid", ""},
		{"*.example.test", "*.example.test"}, // no host, and found as any name below would be
	}
	for range 20 {
		rand.Shuffle(len(patterns), func(i, j int) { patterns[i], patterns[j] = patterns[j], patterns[i] })
		m, err := route.NewHostMap(func(yield func(route.HostPattern, string) bool) {
			for _, p := range patterns {
				if !yield(hostPattern(t, p), p) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			if got, ok := m.Lookup(tt.host); got != tt.want || ok != (tt.want != "") {
				t.Errorf("order %q: Lookup(%q) = %q, %t; want %q", patterns, tt.host, got, ok, tt.want)
			}
		}
	}
}

func TestHostMapRefusesAnAmbiguousPattern(t *testing.T) {
	t.Parallel()
	twice := func(a, b route.HostPattern) error {
		m, err := route.NewHostMap(func(yield func(route.HostPattern, int) bool) { _ = yield(a, 1) && yield(b, 2) })
		if _, ok := m.Lookup("a.test"); ok && err != nil {
			t.Error("a refused map finds something")
		}
		return err
	}
	if err := twice(hostPattern(t, "A.test"), hostPattern(t, "a.test.")); err == nil || !strings.Contains(err.Error(), `"a.test" twice`) {
		t.Errorf("the same host twice: %v", err)
	}
	if err := twice(hostPattern(t, "*.A.test"), hostPattern(t, "*.a.test")); err == nil || !strings.Contains(err.Error(), `"*.a.test" twice`) {
		t.Errorf("the same wildcard twice: %v", err)
	}
	if err := twice(hostPattern(t, "a.test"), hostPattern(t, "*.a.test")); err != nil {
		t.Errorf("a host and the names below it: %v", err)
	}
	if err := twice(hostPattern(t, "a.test"), route.HostPattern{}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("a zero pattern: %v", err)
	}
}

func TestZeroHostMapFindsNothing(t *testing.T) {
	t.Parallel()
	var m route.HostMap[int]
	for _, host := range []string{"", "a", "a.test", "*", "*.test"} {
		if got, ok := m.Lookup(host); ok || got != 0 {
			t.Errorf("Lookup(%q) = %d, %t", host, got, ok)
		}
	}
}

func TestHostMapLookupAllocatesNothing(t *testing.T) {
	m := bigHostMap(t, 1000)
	for _, host := range []string{"h7.example.test", "x.y.z7.example.test", "nowhere.invalid", strings.Repeat("a.", 100_000) + "test"} {
		if n := testing.AllocsPerRun(100, func() { m.Lookup(host) }); n != 0 {
			t.Errorf("Lookup(%.40q) allocates %v times, want none", host, n)
		}
	}
}

func bigHostMap(t testing.TB, n int) route.HostMap[int] {
	t.Helper()
	entries := make(map[route.HostPattern]int, 2*n)
	for i := range n {
		entries[hostPattern(t, fmt.Sprintf("h%d.example.test", i))] = i
		entries[hostPattern(t, fmt.Sprintf("*.z%d.example.test", i))] = i
	}
	m, err := route.NewHostMap(maps.All(entries))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// FuzzHostPattern checks that Match, Covers and Lookup agree with what their comments say, label by label.
func FuzzHostPattern(f *testing.F) {
	f.Add("*.a.test", "*.b.a.test", "c.b.a.test")
	f.Add("a.test", "*.test", "A.test.:443")
	f.Add("[::1]", "*.1", "[::1]:1")
	f.Fuzz(func(t *testing.T, a, b, authority string) {
		host, err := route.Host(authority)
		if err != nil {
			return
		}
		pa, errA := route.ParseHostPattern(a)
		pb, errB := route.ParseHostPattern(b)
		for _, p := range []route.HostPattern{pa, pb} {
			if got, want := p.Match(host), naiveMatch(p.String(), host); got != want {
				t.Fatalf("%q matches %q: %t, want %t", p, host, got, want)
			}
		}
		if pa.Covers(pb) && pb.Match(host) && !pa.Match(host) {
			t.Fatalf("%q covers %q but does not match %q", pa, pb, host)
		}
		if errA != nil || errB != nil || pa == pb {
			return
		}
		m, err := route.NewHostMap(func(yield func(route.HostPattern, string) bool) {
			_ = yield(pa, pa.String()) && yield(pb, pb.String())
		})
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		for _, p := range []string{pa.String(), pb.String()} {
			if naiveMatch(p, host) && (want == "" || strings.HasPrefix(want, "*") && (!strings.HasPrefix(p, "*") || len(p) > len(want))) {
				want = p
			}
		}
		if got, _ := m.Lookup(host); got != want {
			t.Fatalf("of %q and %q, %q finds %q, want %q", pa, pb, host, got, want)
		}
	})
}

func naiveMatch(pattern, host string) bool {
	if pattern == "" || host == "" {
		return false
	}
	p, h := strings.Split(pattern, "."), strings.Split(host, ".")
	if p[0] != "*" {
		return slices.Equal(p, h)
	}
	return len(h) >= len(p) && slices.Equal(p[1:], h[len(h)-len(p)+1:])
}

func BenchmarkHostMapLookup(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		m := bigHostMap(b, n)
		for _, host := range []string{"h7.example.test", "x.y.z7.example.test"} {
			b.Run(fmt.Sprintf("%d/%s", n, host), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					m.Lookup(host)
				}
			})
		}
	}
}
