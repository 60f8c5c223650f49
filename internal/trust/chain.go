package trust

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
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
	// maxRSABits is the largest RSA key; larger ones are slow to verify with.
	maxRSABits = 8192
)

// Chain is what a peer presented, leaf first. It is made once for each connection. The zero value and nil are nothing.
type Chain struct {
	certs   []*x509.Certificate
	id      [32]byte
	leafID  [32]byte
	refusal *Verdict // why the chain is refused without being validated; nil when it is not

	othersOnce sync.Once
	others     *x509.CertPool // what may serve as intermediates; nil when the leaf came alone

	linksOnce sync.Once
	links     [][]int // see linked
}

// NewChain returns the chain of the certificates presented, leaf first; nil when there are none. It does not keep the
// slice. Of a chain beyond the limits only the leaf is kept.
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
	c.leafID = sha256.Sum256(presented[0].Raw)
	if excess := excess(presented, size); excess != "" {
		c.certs = []*x509.Certificate{presented[0]}
		c.refuse(decision.CertificateChain, excess)
		return c
	}
	c.certs = slices.Clone(presented)
	return c
}

func (c *Chain) refuse(reason decision.Reason, detail string) {
	c.refusal = &Verdict{Reason: reason, Detail: detail}
}

// excess says which limit the certificates break; empty when none.
func excess(presented []*x509.Certificate, size int) string {
	if len(presented) > MaxChainCertificates {
		return fmt.Sprintf("%d certificates presented, at most %d are looked at", len(presented), MaxChainCertificates)
	}
	if size > MaxChainBytes {
		return fmt.Sprintf("%d bytes of certificates presented, at most %d are looked at", size, MaxChainBytes)
	}
	candidates := 0
	for i, child := range presented {
		if key, ok := child.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
			return fmt.Sprintf("%s has an RSA key of %d bits, at most %d are looked at", name(child), key.N.BitLen(), maxRSABits)
		}
		for j, parent := range presented {
			if i != j && bytes.Equal(child.RawIssuer, parent.RawSubject) {
				candidates++
			}
		}
	}
	if candidates > maxIssuerCandidates {
		return fmt.Sprintf("%d ways to order the presented certificates by name, at most %d are looked at", candidates, maxIssuerCandidates)
	}
	return ""
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

// Certificates returns what was presented, leaf first: the leaf alone when the chain is beyond the limits. The caller
// must not change it.
func (c *Chain) Certificates() []*x509.Certificate {
	if c == nil {
		return nil
	}
	return c.certs
}

// prepare does what validation in every store needs, once.
func (c *Chain) prepare() {
	c.othersOnce.Do(func() {
		if len(c.certs) > 1 {
			c.others = x509.NewCertPool()
		}
		for _, cert := range c.certs[1:] {
			c.others.AddCert(cert)
		}
	})
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
