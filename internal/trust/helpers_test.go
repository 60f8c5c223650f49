package trust_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// now is the time of tests that do not care.
var now = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

func newStore(tb testing.TB, cfg trust.StoreConfig) *trust.Store {
	tb.Helper()
	if cfg.Name == "" {
		cfg.Name = "partners"
	}
	s, err := trust.NewStore(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// anchored returns a store called partners with the default options.
func anchored(tb testing.TB, anchors ...*testpki.Entity) *trust.Store {
	tb.Helper()
	return newStore(tb, trust.StoreConfig{Anchors: cas(anchors...), MaxDepth: -1})
}

func cas(entities ...*testpki.Entity) []trust.Anchor {
	var anchors []trust.Anchor
	for _, e := range entities {
		anchors = append(anchors, trust.Anchor{Certificate: e.Cert})
	}
	return anchors
}

func pins(entities ...*testpki.Entity) []trust.Anchor {
	anchors := cas(entities...)
	for i := range anchors {
		anchors[i].Pin = true
	}
	return anchors
}

func newSet(tb testing.TB, use trust.Purpose, stores ...*trust.Store) *trust.Set {
	tb.Helper()
	s, err := trust.NewSet(use, stores...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// callers returns a set that judges callers by one store of CA anchors.
func callers(tb testing.TB, anchors ...*testpki.Entity) *trust.Set {
	tb.Helper()
	return newSet(tb, trust.ClientAuth, anchored(tb, anchors...))
}

// present returns the certificates of the entities in the order given.
func present(entities ...*testpki.Entity) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, e := range entities {
		certs = append(certs, e.Cert)
	}
	return certs
}

// verify asks a set three times: uncached, as a miss and as a hit. The answers must agree in everything.
func verify(tb testing.TB, s *trust.Set, presented []*x509.Certificate, at time.Time) *trust.Verdict {
	tb.Helper()
	c := trust.NewChain(presented)
	uncached := s.Explain(c, at, nil)
	miss := s.Verify(c, at)
	hit := s.Verify(trust.NewChain(presented), at)
	if !same(uncached, miss) || !same(miss, hit) {
		tb.Fatalf("uncached, missed and cached verdict differ:\n%+v\n%+v\n%+v", uncached, miss, hit)
	}
	consistent(tb, miss)
	return miss
}

func same(a, b *trust.Verdict) bool {
	return a.Reason == b.Reason && a.Detail == b.Detail && a.Store == b.Store && a.Pinned == b.Pinned &&
		a.Until.Equal(b.Until) && a.Anchor == b.Anchor && slices.EqualFunc(a.Path, b.Path, (*x509.Certificate).Equal) && (a.Identity == nil) == (b.Identity == nil)
}

// consistent checks what holds for every verdict.
func consistent(tb testing.TB, v *trust.Verdict) {
	tb.Helper()
	accepted := v.Reason == decision.OK
	if v.Accepted() != accepted || (v.Err() == nil) != accepted || (v.Identity != nil) != accepted ||
		(v.Path != nil) != accepted || (v.Anchor != nil) != accepted {
		tb.Fatalf("verdict contradicts itself: %+v", v)
	}
	if accepted && (v.Detail != "" || v.Path[len(v.Path)-1] != v.Anchor && !v.Pinned || v.Pinned && len(v.Path) != 1) {
		tb.Fatalf("accepting verdict contradicts itself: %+v", v)
	}
}

func wantReason(tb testing.TB, v *trust.Verdict, want decision.Reason) {
	tb.Helper()
	if v.Reason != want {
		tb.Errorf("reason = %s (%s), want %s", v.Reason, v.Detail, want)
	}
}
