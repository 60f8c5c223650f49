package trust

import (
	"crypto/x509"
	"slices"
	"time"
)

// Remembered returns how many verdicts the cache of a set holds.
func Remembered(s *Set) int {
	n := 0
	for _, t := range []*table{&s.cache.accepted, &s.cache.refused} {
		if t.slots.Load() != nil {
			n += entriesIn(t)
		}
	}
	return n
}

// Calculated returns how many signatures were checked to find out where a chain leads, besides those that x509 checks.
func Calculated(c *Chain) int { return len(c.outline().signed) }

// Acceptable reports whether x509 finds a path that passes the rules on top when it is given all anchors of a store and
// all that was presented, in whatever time it takes.
func Acceptable(set *Set, presented []*x509.Certificate, at time.Time) bool {
	s, in := set.stores[0], &inquiry{chain: NewChain(presented), now: at, use: set.use}
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range s.anchors {
		roots.AddCert(a)
	}
	for _, cert := range presented[1:] {
		others.AddCert(cert)
	}
	paths, err := presented[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: in.purpose(s).usages(),
	})
	return err == nil && slices.ContainsFunc(paths, func(path []*x509.Certificate) bool { return in.rules(s, path) == nil })
}
