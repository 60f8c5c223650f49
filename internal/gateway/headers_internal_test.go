package gateway

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/certheader"
	"sallyport/internal/judge"
)

// The tests of headers are not parallel: they take no time, and fail before those with sockets begin.

// told are fields by which a backend may learn who calls, from where, and for what. What certheader knows has its tests
// there.
var told = []string{
	"Forwarded", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-By",
	"X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Uri", "X-Forwarded-Path", "X-Forwarded-Prefix",
	"X-Forwarded-Method", "X-Real-Ip", "X-Request-Id", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Original-Path",
	"X-Original-Uri",
}

// spelled are spellings of a name that some backend takes for it.
func spelled(name string) []string {
	return []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", ".")}
}

func TestWhatTellsWhoCallsIsRemovedInEverySpelling(t *testing.T) {
	for _, field := range append([]string{"Client-Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "X-Ssl-Client-S-Dn"}, told...) {
		for _, name := range spelled(field) {
			h := header{name: {"a", "b"}, "Accept": {"*/*"}}
			strip(h)
			if diff := cmp.Diff(header{"Accept": {"*/*"}}, h); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestFieldsThatOnlyLookLikeFramingAreRemoved(t *testing.T) {
	for _, name := range []string{"Content_Length", "Transfer.Encoding", "Host_"} {
		h := header{name: {"1"}, "Content-Length": {"2"}}
		strip(h)
		if diff := cmp.Diff(header{"Content-Length": {"2"}}, h); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFieldsThatChangeTheMethodAreRemoved(t *testing.T) {
	for _, field := range []string{"X-Http-Method", "X-Http-Method-Override", "X-Method-Override"} {
		for _, name := range spelled(field) {
			h := header{name: {"DELETE"}, "X-Http-Methods": {"GET"}}
			strip(h) // they are not everybody's to lose
			stripped := maps.Clone(h)
			stripMethodOverrides(stripped)
			if len(h) != 2 || len(stripped) != 1 || len(stripped["X-Http-Methods"]) != 1 {
				t.Errorf("%s: %v, then %v", name, h, stripped)
			}
		}
	}
}

func TestOtherFieldsPass(t *testing.T) {
	h := typicalHeader()
	delete(h, "X-Ssl-Client-Verify")
	for _, name := range []string{"X-Forwarded-For-", "X-Forwarded-Fo", "-Forwarded", "X-Http-Method-Override-", strings.Repeat("X", 100<<10), ""} {
		h[name] = []string{"1"}
	}
	want := maps.Clone(h)
	strip(h)
	stripMethodOverrides(h)
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whoever adds a name that is longer than the others must not see it ignored.
func TestNoNameIsLongerThanWhatIsLookedAt(t *testing.T) {
	longest := 0
	for _, set := range []map[string]bool{forwarding, methodOverrides} {
		for name, removed := range set {
			longest = max(longest, len(name))
			if folded := string(certheader.Fold(nil, name)); folded != name || !removed {
				t.Errorf("%q is never found: it is not folded, or not true", name)
			}
		}
	}
	if longest != longestName {
		t.Errorf("the longest name has %d octets, %d are looked at", longest, longestName)
	}
	long := strings.Repeat("X", longestName+1)
	if n := testing.AllocsPerRun(100, func() { isOneOf(forwarding, long) }); n != 0 {
		t.Errorf("a long name is looked at: %v allocations", n)
	}
}

func TestTheBackendIsToldWhoCalls(t *testing.T) {
	anonymous := header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}, "X-Request-Id": {"7"}}
	with := func(more header) header {
		all := maps.Clone(anonymous)
		maps.Copy(all, more)
		return all
	}
	for _, tc := range []struct {
		name string
		who  caller
		want header
	}{
		{"an anonymous caller", caller{}, anonymous},
		{"a host", caller{host: "api.test"}, with(header{"X-Forwarded-Host": {"api.test"}})},
		{"a certificate", caller{Standing: judge.Standing{ClientCert: ":AA==:"}}, with(header{"Client-Cert": {":AA==:"}})},
		{
			"a certificate with its chain",
			caller{Standing: judge.Standing{ClientCert: ":AA==:", ClientCertChain: ":AQ==:"}},
			with(header{"Client-Cert": {":AA==:"}, "Client-Cert-Chain": {":AQ==:"}}),
		},
	} {
		tc.who.remote, tc.who.scheme, tc.who.requestID = "192.0.2.1", "https", "7"
		h := header{"X-Forwarded-For": {"203.0.113.9", "203.0.113.8"}} // what would be left if nobody had removed it
		identify(h, &tc.who)
		if diff := cmp.Diff(tc.want, h); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// talkative is a caller with the most to tell.
func talkative() *caller {
	const value = ":MIIBszCCAVmgAwIBAgIUfoo="
	return &caller{
		Standing: judge.Standing{ClientCert: value, ClientCertChain: value},
		remote:   "192.0.2.1", host: "localhost", scheme: "https", requestID: "0123456789abcdef",
	}
}

func TestHeaderHygieneAllocatesAtMostThreeTimes(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	c := talkative()
	h := typicalHeader()
	identify(h, c) // the map has grown
	if n := testing.AllocsPerRun(1000, func() {
		h["X_SSL_Client_Cert"] = nil
		strip(h)
		identify(h, c)
	}); n > 3 {
		t.Errorf("header hygiene allocates %v times", n)
	}
	if h["Client-Cert"][0] != c.ClientCert || len(h["X_SSL_Client_Cert"]) != 0 {
		t.Errorf("header %v", h)
	}
}

// typicalHeader is what a browser or a program sends.
func typicalHeader() header {
	return maps.Clone(header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"en"}, "Authorization": {"Bearer x"},
		"Content-Length": {"12"}, "Content-Type": {"application/json"}, "Cookie": {"a=b"}, "Sec-Fetch-Mode": {"cors"},
		"Traceparent": {"00-1"}, "User-Agent": {"curl"}, "X-Client-Id": {"7"}, "X-Ssl-Client-Verify": {"SUCCESS"},
	})
}

func BenchmarkHeaders(b *testing.B) {
	c := talkative()
	h := typicalHeader()
	b.ReportAllocs()
	for b.Loop() {
		strip(h)
		identify(h, c)
	}
}
