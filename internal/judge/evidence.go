package judge

import (
	"crypto/x509"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/certheader"
	"sallyport/internal/decision"
	"sallyport/internal/trust"
)

// Evidence is what the caller of a connection presented. It is made once, after the handshake, and judged on every
// request, concurrently too. A nil *Evidence, like one without a chain, means that nothing was presented.
type Evidence struct {
	chain *trust.Chain // nil: nothing
	asked bool         // the handshake asked for a certificate

	memo atomic.Pointer[memo]

	mu   sync.Mutex
	held map[string]bool // the trust that accepted the chain at some time, by the names of its stores
}

// NewEvidence returns the evidence of a connection that presented these certificates, leaf first; none means that it
// presented nothing. asked says whether its handshake asked for one.
func NewEvidence(presented []*x509.Certificate, asked bool) *Evidence {
	return &Evidence{chain: trust.NewChain(presented), asked: asked}
}

// Kept is evidence for whoever keeps it longer than its connection; see trust.Kept. The zero value is nothing presented.
type Kept struct {
	chain *trust.Kept
	asked bool
}

// Keep returns what is kept of the evidence.
func (e *Evidence) Keep() Kept {
	if e == nil {
		return Kept{}
	}
	return Kept{chain: e.chain.Keep(), asked: e.asked}
}

// Bytes is how much is kept.
func (k Kept) Bytes() int { return k.chain.Bytes() }

// Evidence returns the evidence as it was made, without what was found out about it since.
func (k Kept) Evidence() *Evidence { return &Evidence{chain: k.chain.Chain(), asked: k.asked} }

// presented reports whether there is a certificate.
func (e *Evidence) presented() bool { return e != nil && e.chain != nil }

// Presented returns the certificates as they were presented, leaf first, or the leaf alone where there were too many; nil
// for none. Nothing was validated.
func (e *Evidence) Presented() []*x509.Certificate {
	if !e.presented() {
		return nil
	}
	return e.chain.Certificates()
}

// Asked reports whether the handshake asked for a certificate.
func (e *Evidence) Asked() bool { return e != nil && e.asked }

// Leaf returns the caller's own certificate, nil when nothing was presented. It is not an identity: nothing was
// validated.
func (e *Evidence) Leaf() *x509.Certificate {
	if !e.presented() {
		return nil
	}
	return e.chain.Leaf()
}

// memo remembers the last verdicts of one connection, so that a request costs a pointer comparison and a look at the
// clock. Sets are made anew when their content changes, so a verdict of an older generation is never found.
type memo struct {
	entries [memoSize]Standing
	next    int
}

// memoSize is how many trust sets one connection can use without asking the shared cache again.
const memoSize = 4

// Standing is what one trust set says about the chain of a connection, with the header values that tell the backend. The
// zero value is that of somebody unknown.
type Standing struct {
	set     *trust.Set
	verdict *trust.Verdict

	facts *facts // nil where nobody keeps them

	// ClientCert and ClientCertChain are the values of the fields of RFC 9440, empty unless the verdict is OK.
	ClientCert, ClientCertChain string
}

// Known reports whether there is an identity behind it.
func (s *Standing) Known() bool { return s.verdict != nil && s.verdict.Identity != nil }

// judge returns the Standing of the evidence in a set at a time; set may be nil, which trusts nothing.
func (e *Evidence) judge(set *trust.Set, now time.Time) Standing {
	m := e.memo.Load()
	if m != nil && set != nil {
		for i := range m.entries {
			s := &m.entries[i]
			if s.set == set && (s.verdict.Until.IsZero() || now.Before(s.verdict.Until)) {
				return *s
			}
		}
	}
	return e.judgeAnew(m, set, now)
}

func (e *Evidence) judgeAnew(old *memo, set *trust.Set, now time.Time) Standing {
	s := Standing{set: set, verdict: set.Verify(e.chain, now)}
	if s.verdict.Reason.Allowed() {
		e.hold(set)
		s.facts = &facts{}
		path := s.verdict.Path
		s.ClientCert = certheader.ClientCert(path[0])
		if len(path) > 2 { // the leaf is told apart, the anchor is the backend's to know
			s.ClientCertChain = certheader.ClientCertChain(path[1 : len(path)-1])
		}
	}
	if set == nil {
		return s
	}
	fresh := &memo{}
	if old != nil {
		*fresh = *old
	}
	slot := fresh.next
	for i := range fresh.entries {
		if fresh.entries[i].set == set { // an expired verdict makes room for its successor
			slot = i
		}
	}
	fresh.entries[slot] = s
	if slot == fresh.next {
		fresh.next = (fresh.next + 1) % memoSize
	}
	e.memo.CompareAndSwap(old, fresh) // whoever lost computed the same thing; it is in the set's own cache
	return s
}

// hold remembers that a set accepted the chain.
func (e *Evidence) hold(set *trust.Set) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held == nil {
		e.held = map[string]bool{}
	}
	e.held[storeNames(set)] = true
}

// fell reports whether a refusal means that the evidence fell: the same stores had accepted it on this connection before,
// whatever they hold by now. A refusal by stores that never accepted it is one API's affair and leaves the connection.
func (e *Evidence) fell(set *trust.Set, r decision.Reason) bool {
	switch r { //nolint:exhaustive // every other reason is not about the evidence alone
	case decision.CertificateRevoked, decision.CertificateExpired, decision.CertificateUntrusted,
		decision.RevocationUnknown, decision.CertificateWeak, decision.CertificateChain:
	default:
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.held[storeNames(set)]
}

func storeNames(set *trust.Set) string {
	var names strings.Builder
	for _, s := range set.Stores() {
		names.WriteString(s.Name() + "\x00")
	}
	return names.String()
}
