package gateway

import (
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/testpki"
)

// costSite is a snapshot with n APIs and n entries on one allow list, and a caller who may call the last API.
type costSite struct {
	snapshot *Snapshot
	clock    *Clock
	evidence *evidence
	view     view
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
	s := &costSite{clock: NewClock(nil)}
	if s.snapshot, err = Compile(doc, nil, s.clock); err != nil {
		tb.Fatal(err)
	}
	partner := ca.Intermediate(tb, testpki.Options{CommonName: "Issuing"}).Leaf(tb, testpki.Options{CommonName: "partner"})
	s.evidence = newEvidence(partner.Chain(), true)
	s.view = view{
		method: "GET", target: fmt.Sprintf("/api/%d/orders/7?x=1", n-1), authority: "localhost:8443",
		listener: s.snapshot.byName["public"], overTLS: true, tlsVersion: tls.VersionTLS13, serverName: "localhost", evidence: s.evidence, now: time.Now(),
	}
	return s
}

func TestRouteAndJudgeAllocateNothingOnceWarm(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	s := newCostSite(t, 10)
	if o := s.snapshot.decide(&s.view, nil); !o.Allowed() || o.caller.clientCert == "" {
		t.Fatalf("the caller is refused: %+v", o.Decision)
	}
	if n := testing.AllocsPerRun(1000, func() {
		s.view.now = s.clock.Now()
		s.snapshot.decide(&s.view, nil)
	}); n != 0 {
		t.Errorf("a decision allocates %v times", n)
	}
}

func TestHeaderHygieneAllocatesAtMostThreeTimes(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	s := newCostSite(t, 10)
	o := s.snapshot.decide(&s.view, nil)
	c := &caller{standing: o.caller, remote: "192.0.2.1", host: "localhost", scheme: "https", requestID: "0123456789abcdef"}
	c.clientCertChain = c.clientCert // a caller with the most to tell
	h := typicalHeader()
	identify(h, c) // the map has grown
	if n := testing.AllocsPerRun(1000, func() {
		h["X_SSL_Client_Cert"] = nil
		strip(h)
		identify(h, c)
	}); n > 3 {
		t.Errorf("header hygiene allocates %v times", n)
	}
	if h["Client-Cert"][0] != o.caller.clientCert || len(h["X_SSL_Client_Cert"]) != 0 {
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

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("apis=%d", n), func(b *testing.B) {
			s := newCostSite(b, n)
			b.ReportAllocs()
			for b.Loop() {
				s.view.now = s.clock.Now()
				if o := s.snapshot.decide(&s.view, nil); !o.Allowed() {
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
		o := outcome{host: "localhost"}
		if r := s.snapshot.route(&s.view, &o, nil); !r.Allowed() {
			b.Fatal(r.Decision)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	s := newCostSite(b, 10)
	o := s.snapshot.decide(&s.view, nil)
	p := s.view.listener.defaultProfile
	b.ReportAllocs()
	for b.Loop() {
		if j := o.binding.judge(p, s.evidence, s.view.now, nil); !j.Allowed() {
			b.Fatal(j.Decision)
		}
	}
}

// BenchmarkJudgeNewConnection is the first request of a connection: the verdict comes from the set's cache.
func BenchmarkJudgeNewConnection(b *testing.B) {
	s := newCostSite(b, 10)
	o := s.snapshot.decide(&s.view, nil)
	p := s.view.listener.defaultProfile
	certs := s.evidence.chain.Certificates()
	b.ReportAllocs()
	for b.Loop() {
		if j := o.binding.judge(p, newEvidence(certs, true), s.view.now, nil); !j.Allowed() {
			b.Fatal(j.Decision)
		}
	}
}

func BenchmarkHeaders(b *testing.B) {
	s := newCostSite(b, 10)
	o := s.snapshot.decide(&s.view, nil)
	c := &caller{standing: o.caller, remote: "192.0.2.1", host: "localhost", scheme: "https", requestID: "0123456789abcdef"}
	h := typicalHeader()
	b.ReportAllocs()
	for b.Loop() {
		strip(h)
		identify(h, c)
	}
}

func BenchmarkRefuse(b *testing.B) {
	s := newCostSite(b, 10)
	s.view.evidence = newEvidence(nil, true)
	b.ReportAllocs()
	for b.Loop() {
		if o := s.snapshot.decide(&s.view, nil); o.Reason != decision.CertificateMissing {
			b.Fatal(o.Decision)
		}
	}
}
