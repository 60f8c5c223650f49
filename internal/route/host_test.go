package route_test

import (
	"strings"
	"testing"

	"sallyport/internal/route"
)

func TestHostHasOneNormalForm(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a.", 126) + "a" // 253 octets
	tests := []struct{ name, authority, want string }{
		{"the empty authority stays empty", "", ""},
		{"a canonical name stays", "a.example.test", "a.example.test"},
		{"a port is dropped", "a.example.test:8443", "a.example.test"},
		{"the highest port is a port", "a.example.test:65535", "a.example.test"},
		{"an empty port is no port", "a.example.test:", "a.example.test"},
		{"one trailing dot is dropped", "a.example.test.", "a.example.test"},
		{"a trailing dot before a port is dropped", "a.example.test.:443", "a.example.test"},
		{"letters are lowered", "A.eXample.TEST", "a.example.test"},
		{"digits and hyphens stay", "x-1.example.test", "x-1.example.test"},
		{"an underscore is a letter", "_dmarc.a_b.test", "_dmarc.a_b.test"},
		{"an A-label is a name like another", "XN--BCHER-KVA.test", "xn--bcher-kva.test"},
		{"a single label", "localhost:80", "localhost"},
		{"an IPv4 address", "192.0.2.1:443", "192.0.2.1"},
		{"a short IPv4 address is text", "127.1", "127.1"},
		{"an IPv6 address keeps its brackets", "[2001:db8::1]", "[2001:db8::1]"},
		{"an IPv6 address loses its port", "[::1]:8443", "[::1]"},
		{"an IPv6 address with an empty port", "[::1]:", "[::1]"},
		{"an IPv6 address is lowered and shortened", "[2001:DB8:0:0::0001]:1", "[2001:db8::1]"},
		{"an IPv4-mapped address stays IPv6", "[::FFFF:192.0.2.1]", "[::ffff:192.0.2.1]"},
		{"the longest name", long, long},
		{"the longest name with dot and port", long + ".:443", long},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := route.Host(tt.authority)
			if err != nil || got != tt.want {
				t.Fatalf("Host(%q) = %q, %v; want %q", tt.authority, got, err, tt.want)
			}
			if again, err := route.Host(got); err != nil || again != got {
				t.Errorf("Host(%q) = %q, %v; want its own normal form", got, again, err)
			}
		})
	}
}

func TestHostRefusesWhatIsNoHost(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, authority, want string }{
		{"userinfo", "user@a.test", "userinfo"},
		{"userinfo with a password", "user:pw@a.test", "userinfo"},
		{"userinfo that looks like the host", "a.test:80@evil.test", "userinfo"},
		{"userinfo before a literal", "a.test@[::1]", "userinfo"},
		{"userinfo after a literal", "[::1]@a.test", "userinfo"},
		{"two ports", "a.test:80:81", "more than one port"},
		{"two ports after a literal", "[::1]:80:81", "more than one port"},
		{"an IPv6 address without brackets", "::1", "more than one port"},
		{"a port alone", ":443", "without a host"},
		{"a dot alone", ".", "without a host"},
		{"a dot and a port", ".:443", "without a host"},
		{"two dots alone", "..", "empty label"},
		{"two trailing dots", "a.test..", "empty label"},
		{"an empty label inside", "a..test", "empty label"},
		{"an empty label first", ".a.test", "empty label"},
		{"port zero", "a.test:0", "port"},
		{"a port of letters", "a.test:http", "port"},
		{"a port that is too high", "a.test:65536", "port"},
		{"a port beyond every integer", "a.test:99999999999999999999", "port"},
		{"a port with six digits", "a.test:000080", "port"},
		{"a signed port", "a.test:+80", "port"},
		{"a port with a blank", "a.test: 80", "port"},
		{"a port with an underscore", "a.test:8_0", "port"},
		{"rubbish after a literal", "[::1]x", "port"},
		{"a blank", "a .test", "octet"},
		{"a blank behind", "a.test ", "octet"},
		{"a tab", "a\t.test", "octet"},
		{"a NUL", "a.test\x00", "octet"},
		{"a line break", "a.test\r\nX: y", "port"},
		{"a line break and nothing else", "a.test\n", "octet"},
		{"DEL", "a\x7f.test", "octet"},
		{"a list", "a.test,b.test", "octet"},
		{"a path", "a.test/x", "octet"},
		{"a backslash", `a.test\x`, "octet"},
		{"a query", "a.test?x", "octet"},
		{"a fragment", "a.test#x", "octet"},
		{"a wildcard", "*.test", "octet"},
		{"quotes", `"a.test"`, "octet"},
		{"an escape", "a%2etest", "percent"},
		{"non-ASCII letters", "b\u00fccher.test", "ASCII"},
		{"a letter that folds to ASCII", "\u212aelvin.test", "ASCII"},
		{"an ideographic dot", "a\u3002test", "ASCII"},
		{"invalid UTF-8", "a\xff.test", "ASCII"},
		{"a literal without an end", "[::1", "brackets"},
		{"a literal without anything", "[]", "brackets"},
		{"an IPv4 address in brackets", "[127.0.0.1]", "brackets"},
		{"a name in brackets", "[a.test]", "brackets"},
		{"a future literal", "[v1.x]", "brackets"},
		{"two literals", "[::1][::1]", "port"},
		{"nested brackets", "[[::1]]", "port"},
		{"a zone", "[fe80::1%eth0]", "percent"},
		{"an encoded zone", "[fe80::1%25eth0]", "percent"},
		{"a bracket inside a name", "a[::1]", "port"},
		{"a name of 254 octets", strings.Repeat("a", 254), "253"},
		{"a name of 100 KiB", strings.Repeat("a", 100<<10), "253"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := route.Host(tt.authority)
			if err == nil {
				t.Fatalf("Host(%q) = %q, want an error about %q", tt.authority, got, tt.want)
			}
			if got != "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Host(%q) = %q, %q; want an error about %q", tt.authority, got, err, tt.want)
			}
		})
	}
}

func TestHostAllocatesNothingForCanonicalInput(t *testing.T) {
	for _, authority := range []string{"", "a.example.test", "a.example.test:8443", "a.example.test.", "[2001:db8::1]:443", "a b", "[::1", "a:b", "a:99999"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = route.Host(authority) }); n != 0 {
			t.Errorf("Host(%q) allocates %v times, want none", authority, n)
		}
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"", "A.example.TEST.:443", "[2001:DB8::1]:8443", "[::ffff:1.2.3.4]", "user@a.test", "a..b", ".", "[fe80::1%25e]", "b\u00fccher", "127.1:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, authority string) {
		host, err := route.Host(authority)
		if err != nil {
			if host != "" {
				t.Fatalf("Host(%q) = %q with an error", authority, host)
			}
			return
		}
		if again, err := route.Host(host); err != nil || again != host {
			t.Fatalf("Host(%q) = %q, whose own normal form is %q, %v", authority, host, again, err)
		}
		if upper, err := route.Host(strings.ToUpper(authority)); err != nil || upper != host {
			t.Fatalf("Host(%q) = %q, in upper case %q, %v", authority, host, upper, err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if bare := name != host; !bare && strings.Contains(name, ":") || strings.ContainsAny(name, "@/\\?#% []*,") || strings.Contains(name, "..") || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.ToLower(name) != name {
			t.Fatalf("Host(%q) = %q", authority, host)
		}
		for i := range len(host) {
			if host[i] <= ' ' || host[i] >= 0x7f {
				t.Fatalf("Host(%q) = %q holds %q", authority, host, host[i])
			}
		}
		if host == "" {
			return
		}
		for _, with := range []string{host + ":443", host + ":"} {
			if again, err := route.Host(with); err != nil || again != host {
				t.Fatalf("Host(%q) = %q, %v; want %q", with, again, err, host)
			}
		}
	})
}

func BenchmarkHost(b *testing.B) {
	for name, authority := range map[string]string{
		"canonical": "orders.api.example.test", "port": "orders.api.example.test:8443", "upper": "Orders.API.example.test", "ipv6": "[2001:db8::1]:8443",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = route.Host(authority)
			}
		})
	}
}
