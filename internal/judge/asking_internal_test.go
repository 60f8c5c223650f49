package judge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/testpki"
)

// manyNames is a document with n server names, each with an API of its own, and one API for every name.
func manyNames(tb testing.TB, n int) *config.Document {
	tb.Helper()
	dir := tb.TempDir()
	ca := testpki.NewCA(tb, testpki.Options{CommonName: "CA"})
	ca.Write(tb, dir, "ca")
	ca.Leaf(tb, testpki.Options{Hosts: []string{"localhost"}}).Write(tb, dir, "server")
	var d strings.Builder
	d.WriteString(`listeners: [{name: public, address: "127.0.0.1:0", tls: {credentials: [server], client_auth: optional}}]
credentials: [{name: server, certificate: {file: server.pem}, private_key: {file: server.key}}]
trust_stores: [{name: partners, anchors: [{file: ca.pem}]}]
upstreams: [{name: echo, targets: ["http://127.0.0.1:9"]}]
client_certificate: {mode: required, trust: [partners], enforce: auto}
apis:
  - {name: every, path: /every/, upstream: echo}
`)
	for i := range n {
		fmt.Fprintf(&d, "  - {name: api-%d, hosts: [n%d.example.test], path: /api/, upstream: echo}\n", i, i)
	}
	path := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(path, []byte(d.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	doc, err := config.Load(path, config.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

func namesCompiled(tb testing.TB, doc *config.Document) *Rules {
	tb.Helper()
	stores, err := CompileStores(doc, nil, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	rules, err := Compile(doc, stores, func(string) bool { return true })
	if err != nil {
		tb.Fatal(err)
	}
	return rules
}

func TestNamesOfOneMeaningShareAnAskAndFindItWithoutAllocating(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	l := namesCompiled(t, manyNames(t, 1000)).byName["public"]
	if len(l.asks) != 2 { // who names a server, and who names none
		t.Errorf("%d asks", len(l.asks))
	}
	for _, name := range []string{"n7.example.test", "unknown.example.test", ""} {
		if n := testing.AllocsPerRun(100, func() { l.AskFor(name) }); n != 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
		if l.AskFor(name).Raised != (name != "") {
			t.Errorf("%q: raised %t", name, l.AskFor(name).Raised)
		}
	}
}

func BenchmarkAskFor(b *testing.B) {
	l := namesCompiled(b, manyNames(b, 100_000)).byName["public"]
	for name, host := range map[string]string{"exact": "n77777.example.test", "unknown": "unknown.example.test", "none": ""} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.AskFor(host)
			}
		})
	}
}

// BenchmarkCompileAsks is what the server names of a listener add to the compilation of a document.
func BenchmarkCompileAsks(b *testing.B) {
	doc := manyNames(b, 100_000)
	rules := namesCompiled(b, doc)
	stores, err := CompileStores(doc, nil, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	profiles := []config.TLSProfile{{ClientAuth: config.ClientAuthOptional}}
	b.ReportAllocs()
	for b.Loop() {
		l := rules.byName["public"]
		l.asks = nil
		if err := (&compiler{doc: doc, stores: stores, out: rules}).compileAsks(l, profiles); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnchanged is what judging costs while nothing has changed: for each of the trust sets that a connection uses a
// comparison with the one in effect, and of the time with the end of the verdict.
func BenchmarkUnchanged(b *testing.B) {
	s := newCostSite(b, 1)
	set := s.rules.apis[0].bindings[0].trust
	s.evidence.judge(set, s.request.Now)
	b.ReportAllocs()
	for b.Loop() {
		if v := s.evidence.judge(set, s.request.Now); !v.verdict.Accepted() {
			b.Fatal(v.verdict.Detail)
		}
	}
}
