package judge

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/expression"
	"sallyport/internal/testpki"
)

// costSite is a snapshot with n APIs and n entries on one allow list, and a caller who may call the last API.
type costSite struct {
	rules    *Rules
	evidence *Evidence
	request  Request
}

func newCostSite(tb testing.TB, n int) *costSite {
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
apis:
`)
	for i := range n {
		fmt.Fprintf(&d, "  - {name: api-%d, path: /api/%d/, upstream: echo, client_certificate: {mode: required, trust: [partners]", i, i)
		if i == n-1 {
			d.WriteString(", allow: [")
			for j := range n {
				fmt.Fprintf(&d, "{subject: \"CN=nobody-%d,O=Acme\"},", j)
			}
			d.WriteString(`{subject: "CN=partner,*"}], deny: [{common_name: villain}]`)
		}
		d.WriteString("}}\n")
	}
	path := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(path, []byte(d.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	doc, err := config.Load(path, config.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	stores, err := CompileStores(doc, nil, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	s := &costSite{}
	if s.rules, err = Compile(doc, stores, func(string) bool { return true }); err != nil {
		tb.Fatal(err)
	}
	partner := ca.Intermediate(tb, testpki.Options{CommonName: "Issuing"}).Leaf(tb, testpki.Options{CommonName: "partner"})
	s.evidence = NewEvidence(partner.Chain(), true)
	s.request = Request{
		Method: "GET", Target: fmt.Sprintf("/api/%d/orders/7?x=1", n-1), Authority: "localhost:8443",
		Listener: s.rules.byName["public"], OverTLS: true, TLSVersion: tls.VersionTLS13, ServerName: "localhost", Evidence: s.evidence, Now: time.Now(),
	}
	return s
}

func TestRouteAndJudgeAllocateNothingOnceWarm(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	s := newCostSite(t, 10)
	if o := s.rules.Decide(&s.request, nil); !o.Allowed() || o.Caller.ClientCert == "" {
		t.Fatalf("the caller is refused: %+v", o.Decision)
	}
	if n := testing.AllocsPerRun(1000, func() {
		s.request.Now = time.Now()
		s.rules.Decide(&s.request, nil)
	}); n != 0 {
		t.Errorf("a decision allocates %v times", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("apis=%d", n), func(b *testing.B) {
			s := newCostSite(b, n)
			b.ReportAllocs()
			for b.Loop() {
				s.request.Now = time.Now()
				if o := s.rules.Decide(&s.request, nil); !o.Allowed() {
					b.Fatal(o.Decision)
				}
			}
		})
	}
}

func BenchmarkRoute(b *testing.B) {
	s := newCostSite(b, 10)
	b.ReportAllocs()
	for b.Loop() {
		o := Outcome{Host: "localhost"}
		if r := s.rules.route(&s.request, &o, nil); !r.Allowed() {
			b.Fatal(r.Decision)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	s := newCostSite(b, 10)
	o := s.rules.Decide(&s.request, nil)
	p := s.request.Listener.profiles[0]
	b.ReportAllocs()
	for b.Loop() {
		if j := o.Binding.judge(p, &s.request, &o, nil); !j.Allowed() {
			b.Fatal(j.Decision)
		}
	}
}

// BenchmarkJudgeNewConnection is the first request of a connection: the verdict comes from the set's cache.
func BenchmarkJudgeNewConnection(b *testing.B) {
	s := newCostSite(b, 10)
	o := s.rules.Decide(&s.request, nil)
	p := s.request.Listener.profiles[0]
	certs := s.evidence.chain.Certificates()
	b.ReportAllocs()
	for b.Loop() {
		s.request.Evidence = NewEvidence(certs, true)
		if j := o.Binding.judge(p, &s.request, &o, nil); !j.Allowed() {
			b.Fatal(j.Decision)
		}
	}
}

func BenchmarkRefuse(b *testing.B) {
	s := newCostSite(b, 10)
	s.request.Evidence = NewEvidence(nil, true)
	b.ReportAllocs()
	for b.Loop() {
		if o := s.rules.Decide(&s.request, nil); o.Reason != decision.CertificateMissing {
			b.Fatal(o.Decision)
		}
	}
}

// BenchmarkRefuseNotAllowed is a caller whom nobody put on a long list: the log is told which entries came nearest, of the
// first few.
func BenchmarkRefuseNotAllowed(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			s := newCostSite(b, n)
			allow := s.rules.apis[n-1].bindings[0].allow
			delete(allow.commonName, "partner")
			allow.rest = nil
			b.ReportAllocs()
			for b.Loop() {
				if o := s.rules.Decide(&s.request, nil); o.Reason != decision.CertificateNotAllowed {
					b.Fatal(o.Decision)
				}
			}
		})
	}
}

// newExpressedSite is newCostSite with an expression in both lists.
func newExpressedSite(tb testing.TB) *costSite {
	tb.Helper()
	s := newCostSite(tb, 10)
	compiler, err := expression.NewCompiler(expression.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	entry := func(source string) []*config.Matcher {
		compiled, err := compiler.Compile(source)
		if err != nil {
			tb.Fatal(err)
		}
		return []*config.Matcher{{Expression: source, Parsed: config.MatcherPatterns{Expression: compiled}}}
	}
	b := s.rules.apis[9].bindings[0]
	b.allow = newMatchList(&config.Document{}, entry(`certificate.common_name.startsWith('part') && certificate.key_bits >= 256 && request.tls`), false)
	b.deny = newMatchList(&config.Document{}, entry(`certificate.common_name in ['villain', 'rogue']`), true)
	b.sees = true
	return s
}

func TestAnExpressionAllocatesNothingOnceWarm(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	s := newExpressedSite(t)
	if o := s.rules.Decide(&s.request, nil); !o.Allowed() {
		t.Fatal(o.Decision)
	}
	if n := testing.AllocsPerRun(1000, func() {
		s.request.Now = time.Now()
		s.rules.Decide(&s.request, nil)
	}); n != 0 {
		t.Errorf("a decision with two expressions allocates %v times", n)
	}
	if diff := cmp.Diff(expression.Scope{}, s.request.scope); diff != "" {
		t.Errorf("the request is kept alive: %s", diff)
	}
}

func BenchmarkDecideWithExpressions(b *testing.B) {
	s := newExpressedSite(b)
	b.ReportAllocs()
	for b.Loop() {
		s.request.Now = time.Now()
		if o := s.rules.Decide(&s.request, nil); !o.Allowed() {
			b.Fatal(o.Decision)
		}
	}
}
