package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"sallyport/internal/decision"
)

// maxPaths bounds how many paths a diagnosis looks at: enough for every honest chain, little for a hostile one.
const maxPaths = 16

// diagnose says why a store refuses a chain, given what path validation said. Of several paths to an anchor the one
// that passes most checks is reported.
func (in *inquiry) diagnose(s *Store, cause error) *fault {
	paths := in.paths(s)
	if len(paths) == 0 {
		return in.unanchored(s)
	}
	var nearest *fault
	for _, path := range paths {
		f := in.pathFault(s, path)
		if f == nil { // x509 gave up before it came here, for example because of its own limits
			f = faultf(decision.CertificateChain, "%s: %v", name(path[0]), cause)
		}
		if nearest == nil || rank(f.reason) > rank(nearest.reason) {
			nearest = f
		}
	}
	return nearest
}

// pathFault returns the first check that a path with good signatures fails: the anchor's validity, the form of the
// path, its strength, its purpose, its validity.
func (in *inquiry) pathFault(s *Store, path []*x509.Certificate) *fault {
	anchor := path[len(path)-1]
	if f := validityFault(anchor, in.now); f != nil {
		return faultf(decision.CertificateUntrusted, "the trust anchor of %s is skipped: %s", name(path[0]), f.detail)
	}
	if f := formFault(path); f != nil {
		return f
	}
	if f := in.rules(s, path); f != nil {
		return f
	}
	if f := usageFault(path, s.purposeIn(in.use)); f != nil {
		return f
	}
	return timeFault(path, in.now)
}

// formFault checks what does not depend on the time and the purpose: critical extensions, the right to issue, path
// lengths, name constraints, policies.
func formFault(path []*x509.Certificate) *fault {
	for i, cert := range path {
		if len(cert.UnhandledCriticalExtensions) > 0 {
			return faultf(decision.CertificateChain, "%s has the critical extension %s, which is not understood", name(cert), cert.UnhandledCriticalExtensions[0])
		}
		if i == 0 {
			continue
		}
		if err := path[i-1].CheckSignatureFrom(cert); errors.Is(err, x509.ConstraintViolationError{}) {
			return faultf(decision.CertificateChain, "%s may not issue certificates, as it did %s", name(cert), name(path[i-1]))
		}
		if cert.BasicConstraintsValid && cert.MaxPathLen >= 0 && i-1 > cert.MaxPathLen {
			return faultf(decision.CertificateChain, "%s allows %d intermediates below it, there are %d", name(cert), cert.MaxPathLen, i-1)
		}
	}
	if signatureFault(path) != nil {
		return nil // x509 would stumble over the signature; strength is judged next
	}
	if err := verifyTimeless(path); err != nil {
		return faultf(decision.CertificateChain, "%s: %v", name(path[0]), err)
	}
	return nil
}

// verifyTimeless has x509 judge exactly this path as if all of it were valid now and meant for any purpose.
func verifyTimeless(path []*x509.Certificate) error {
	at := time.Unix(0, 0) // any, but not the zero time: to Verify it means the real clock
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	copies := make([]*x509.Certificate, len(path))
	for i, cert := range path {
		timeless := *cert
		timeless.NotBefore, timeless.NotAfter = at, at
		copies[i] = &timeless
	}
	roots.AddCert(copies[len(copies)-1])
	for _, cert := range copies[1:max(len(copies)-1, 1)] {
		others.AddCert(cert)
	}
	_, err := copies[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: others,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// linked returns for each presented certificate which of the others signed it.
func (c *Chain) linked() [][]int {
	c.linksOnce.Do(func() {
		c.links = make([][]int, len(c.certs))
		for i, child := range c.certs {
			for j, parent := range c.certs {
				if i != j && j != 0 && bytes.Equal(child.RawIssuer, parent.RawSubject) && !child.Equal(parent) && signed(child, parent) {
					c.links[i] = append(c.links[i], j)
				}
			}
		}
	})
	return c.links
}

// paths returns paths from the leaf to anchors of the store along good signatures, nothing else checked. It finds every
// path that x509 can accept, as long as there are not too many.
func (in *inquiry) paths(s *Store) [][]*x509.Certificate {
	w := &walk{store: s, certs: in.chain.certs, links: in.chain.linked(), anchors: map[int][]*x509.Certificate{}}
	w.from(0)
	return w.found
}

// walk is the search for paths. That maxIssuerCandidates is small bounds how many ways there are.
type walk struct {
	store   *Store
	certs   []*x509.Certificate
	links   [][]int
	anchors map[int][]*x509.Certificate // see issuers
	path    []int                       // indices of the certificates on the way
	found   [][]*x509.Certificate
}

func (w *walk) from(at int) {
	if len(w.found) >= maxPaths {
		return
	}
	w.path = append(w.path, at)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	cert := w.certs[at]
	if anchor := w.store.anchor(cert); anchor != nil {
		w.reach(w.path[:len(w.path)-1], anchor)
		return
	}
	for _, anchor := range w.issuers(at) {
		w.reach(w.path, anchor)
	}
	for _, next := range w.links[at] {
		if !slices.Contains(w.path, next) {
			w.from(next)
		}
	}
}

// issuers returns the anchors that signed a presented certificate.
func (w *walk) issuers(at int) []*x509.Certificate {
	found, known := w.anchors[at]
	if !known {
		cert := w.certs[at]
		for _, anchor := range w.store.bySubject[string(cert.RawIssuer)] {
			if signed(cert, anchor) {
				found = append(found, anchor)
			}
		}
		w.anchors[at] = found
	}
	return found
}

// reach records the path that ends in anchor.
func (w *walk) reach(path []int, anchor *x509.Certificate) {
	var certs []*x509.Certificate
	for _, i := range path {
		certs = append(certs, w.certs[i])
	}
	w.found = append(w.found, append(certs, anchor))
}

// unanchored says which issuer is missing: that of the last presented certificate on the way up.
func (in *inquiry) unanchored(s *Store) *fault {
	certs, links := in.chain.certs, in.chain.linked()
	top := 0
	for seen := []int{0}; len(links[top]) > 0 && !slices.Contains(seen, links[top][0]); seen = append(seen, top) {
		top = links[top][0]
	}
	last := certs[top]
	switch {
	case s.bySubject[string(last.RawIssuer)] != nil:
		return faultf(decision.CertificateUntrusted, "the trust anchor %s did not sign %s", issuerName(last), name(last))
	case bytes.Equal(last.RawIssuer, last.RawSubject):
		return faultf(decision.CertificateUntrusted, "%s is self-signed and no trust anchor", name(last))
	}
	return faultf(decision.CertificateUntrusted, "the issuer %s of %s is no trust anchor and was not presented", issuerName(last), name(last))
}
