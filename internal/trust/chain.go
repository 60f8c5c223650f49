package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/decision"
)

// Limits on what a peer may present. Beyond them nothing is validated: the verdict is certificate_chain.
const (
	// MaxChainCertificates is the largest number of certificates, the leaf included.
	MaxChainCertificates = 10
	// MaxChainBytes is the largest sum of their DER.
	MaxChainBytes = 48 << 10
	// maxIssuerCandidates is the largest number of pairs in which one presented certificate may, by its name, have
	// issued another. An honest chain of ten has nine; hostile ones repeat a name to make path building slow.
	maxIssuerCandidates = 12
)

// Chain is what a peer presented, leaf first. It is made once for each connection. The zero value and nil are nothing.
type Chain struct {
	certs   []*x509.Certificate
	id      [32]byte
	refusal *Verdict // why the chain is refused without being validated; nil when it is not

	outlineOnce sync.Once
	outlined    *outline // see outline

	own atomic.Pointer[[]*ownVerdict] // see remember
}

// NewChain returns the chain of the certificates presented, leaf first; nil when there are none. It does not keep the
// slice. Of a chain beyond the limits, and of one with a certificate that was changed where its signature does not cover
// it, only the leaf is kept.
func NewChain(presented []*x509.Certificate) *Chain {
	if len(presented) == 0 {
		return nil
	}
	c := &Chain{}
	digest := sha256.New()
	var length [8]byte
	size := 0
	for _, cert := range presented {
		if cert == nil || len(cert.Raw) == 0 {
			c.refuse(decision.CertificateMalformed, "a presented certificate was not parsed")
			return c
		}
		binary.BigEndian.PutUint64(length[:], uint64(len(cert.Raw)))
		digest.Write(length[:])
		digest.Write(cert.Raw)
		size += len(cert.Raw)
	}
	digest.Sum(c.id[:0])
	if excess, flaw := excess(presented, size); excess != "" {
		c.certs = []*x509.Certificate{presented[0]}
		c.refuse(decision.CertificateChain, excess)
		c.refusal.Flaw = flaw
		return c
	}
	for _, cert := range presented {
		if looseness := looseness(cert); looseness != "" {
			c.certs = []*x509.Certificate{presented[0]}
			c.refuse(decision.CertificateMalformed, name(cert)+" "+looseness)
			return c
		}
	}
	c.certs = slices.Clone(presented)
	return c
}

func (c *Chain) refuse(reason decision.Reason, detail string) {
	c.refusal = &Verdict{Reason: reason, Detail: detail}
}

// excess says which limit the certificates break; empty when none.
func excess(presented []*x509.Certificate, size int) (string, Flaw) {
	if len(presented) > MaxChainCertificates {
		return fmt.Sprintf("%d certificates presented, at most %d are looked at", len(presented), MaxChainCertificates), FlawExcess
	}
	if size > MaxChainBytes {
		return fmt.Sprintf("%d bytes of certificates presented, at most %d are looked at", size, MaxChainBytes), FlawExcess
	}
	candidates := 0
	for i, child := range presented {
		if slowness := slowness(child); slowness != "" {
			return name(child) + " " + slowness, FlawSlow
		}
		for j, parent := range presented {
			if i != j && bytes.Equal(child.RawIssuer, parent.RawSubject) {
				candidates++
			}
		}
	}
	if candidates > maxIssuerCandidates {
		return fmt.Sprintf("%d ways to order the presented certificates by name, at most %d are looked at", candidates, maxIssuerCandidates), FlawExcess
	}
	return "", FlawOther
}

// Kept is a chain for whoever keeps it longer than its connection. It has the bytes of the certificates alone, because what
// they are parsed to can be many times as large; and nothing of a chain that is refused without being validated, but why.
// It does not change.
type Kept struct {
	der     [][]byte
	id      [32]byte
	refusal *Verdict
}

// Keep returns what is kept of the chain; nil for nil.
func (c *Chain) Keep() *Kept {
	if c == nil {
		return nil
	}
	k := &Kept{id: c.id, refusal: c.refusal}
	if c.refusal != nil {
		return k
	}
	for _, cert := range c.certs {
		k.der = append(k.der, bytes.Clone(cert.Raw))
	}
	return k
}

// Bytes is how much is kept.
func (k *Kept) Bytes() int {
	if k == nil {
		return 0
	}
	n := 0
	for _, der := range k.der {
		n += len(der)
	}
	return n
}

// Chain returns the chain as it was before any set judged it; without certificates where none were kept. It is nil for nil.
func (k *Kept) Chain() *Chain {
	if k == nil {
		return nil
	}
	c := &Chain{id: k.id, refusal: k.refusal}
	for _, der := range k.der {
		cert, err := x509.ParseCertificate(der)
		if err != nil { // never: it was parsed before
			c.refuse(decision.CertificateMalformed, "a certificate that was kept cannot be parsed")
			return c
		}
		c.certs = append(c.certs, cert)
	}
	return c
}

// ID returns the SHA-256 over all certificates presented and their lengths; zero for nil and for a chain that holds a
// certificate that was not parsed.
func (c *Chain) ID() [32]byte {
	if c == nil {
		return [32]byte{}
	}
	return c.id
}

// Leaf returns the certificate whose key the peer holds; nil when there is none.
func (c *Chain) Leaf() *x509.Certificate {
	if c == nil || len(c.certs) == 0 {
		return nil
	}
	return c.certs[0]
}

// Certificates returns what was presented, leaf first: the leaf alone where NewChain keeps nothing else. The caller must
// not change it.
func (c *Chain) Certificates() []*x509.Certificate {
	if c == nil {
		return nil
	}
	return c.certs
}

// outline returns what validation in every store needs, made once.
func (c *Chain) outline() *outline {
	c.outlineOnce.Do(func() { c.outlined = newOutline(c.certs) })
	return c.outlined
}

// ownVerdict is what a set said about this chain alone.
type ownVerdict struct {
	set     *Set
	window  window
	verdict *Verdict
}

// maxOwnVerdicts is how many verdicts a chain remembers by itself.
const maxOwnVerdicts = 8

// recall returns the verdict of a set that the chain itself remembers, or nil.
func (c *Chain) recall(s *Set, now time.Time) *Verdict {
	own := c.own.Load()
	if own == nil {
		return nil
	}
	for _, o := range *own {
		if o.set == s && o.window.holds(now) {
			return o.verdict
		}
	}
	return nil
}

// remember keeps a verdict that the set does not, for as long as the connection is.
func (c *Chain) remember(o *ownVerdict) {
	old := c.own.Load()
	fresh := []*ownVerdict{o}
	if old != nil {
		for _, other := range *old {
			if other.set != o.set && len(fresh) < maxOwnVerdicts {
				fresh = append(fresh, other)
			}
		}
	}
	c.own.CompareAndSwap(old, &fresh) // whoever lost may have to ask again
}

// spells reports whether the chain is the path of a verdict and nothing else, in its order, the anchor at the end
// presented or not. There are few such chains of one leaf: the certificates on a path are what issuers made of them.
// Of chains that merely contain a path everybody who holds one certificate makes any number.
func (c *Chain) spells(v *Verdict) bool {
	path := v.Path
	if len(c.certs) == len(path)-1 {
		path = path[:len(c.certs)]
	}
	return slices.EqualFunc(c.certs, path, (*x509.Certificate).Equal)
}

// window returns the time around now in which no certificate presented begins or ceases to be valid.
func (c *Chain) window(w window, now time.Time) window {
	for _, cert := range c.certs {
		w.narrow(cert.NotBefore, now)
		w.narrow(afterLast(cert), now)
	}
	return w
}

// window is the time from since, inclusive, to until, exclusive; zero means unbounded.
type window struct {
	since, until time.Time
}

// narrow cuts the window at t, which is on one side of now.
func (w *window) narrow(t, now time.Time) {
	switch {
	case t.After(now):
		if w.until.IsZero() || t.Before(w.until) {
			w.until = t
		}
	case w.since.IsZero() || t.After(w.since):
		w.since = t
	}
}

// holds reports whether t is inside.
func (w *window) holds(t time.Time) bool {
	return (w.since.IsZero() || !t.Before(w.since)) && (w.until.IsZero() || t.Before(w.until))
}

// afterLast returns the first moment at which cert has expired: it is valid through NotAfter (RFC 5280 §4.1.2.5).
func afterLast(cert *x509.Certificate) time.Time { return cert.NotAfter.Add(1) }
