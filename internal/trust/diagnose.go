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
const maxPaths = 8

// diagnose says why a store refuses a chain that leads to an anchor, given what path validation said. Of several paths
// the one that passes most checks is reported.
func (in *inquiry) diagnose(s *Store, t *trails, cause error) *fault {
	var nearest *fault
	for _, path := range t.paths() {
		f := in.pathFault(s, path)
		if f == nil { // x509 gave up before it came here, for example because of its own limits
			f = faultf(path[0], decision.CertificateChain, "%s: %v", name(path[0]), cause)
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
		return faultf(anchor, decision.CertificateUntrusted, "the trust anchor of %s is skipped: %s", name(path[0]), f.detail)
	}
	if f := formFault(path); f != nil {
		return f
	}
	if f := in.rules(s, path); f != nil {
		return f
	}
	if f := usageFault(path, in.purpose(s)); f != nil {
		return f
	}
	return timeFault(path, in.now)
}

// formFault checks what does not depend on the time and the purpose: critical extensions, the right to issue, path
// lengths, name constraints, policies.
func formFault(path []*x509.Certificate) *fault {
	for i, cert := range path {
		if len(cert.UnhandledCriticalExtensions) > 0 {
			return faultf(cert, decision.CertificateChain, "%s has the critical extension %s, which is not understood", name(cert), cert.UnhandledCriticalExtensions[0]).as(FlawExtension)
		}
		if i == 0 {
			continue
		}
		if !mayIssue(cert) {
			return faultf(cert, decision.CertificateChain, "%s may not issue certificates, as it did %s", name(cert), name(path[i-1])).as(FlawNoIssuer)
		}
		if cert.BasicConstraintsValid && cert.MaxPathLen >= 0 && i-1 > cert.MaxPathLen {
			return faultf(cert, decision.CertificateChain, "%s allows %d intermediates below it, there are %d", name(cert), cert.MaxPathLen, i-1).as(FlawPathLen)
		}
	}
	if signatureFault(path) != nil {
		return nil // x509 would stumble over the signature; strength is judged next
	}
	if err := verifyTimeless(path); err != nil {
		f := faultf(path[0], decision.CertificateChain, "%s: %v", name(path[0]), err)
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.CANotAuthorizedForThisName {
			return f.as(FlawNames)
		}
		return f
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

// unanchored says what is missing: the issuer of the last presented certificate on the way up, by the names.
func (in *inquiry) unanchored(s *Store, t *trails) *fault {
	certs, o := in.chain.certs, in.chain.outline()
	if t.strays >= maxStrays {
		return faultf(certs[0], decision.CertificateChain, "%d of the presented certificates were not signed by the issuer that they name, more are not looked at", t.strays).as(FlawStrays)
	}
	seen := []int{0}
	for top := 0; top >= 0; {
		top = -1
		for _, parent := range o.parents[seen[len(seen)-1]] {
			if !t.reached[parent] && !slices.Contains(seen, parent) { // what is anchored did not sign, or this would be, too
				top = parent
				seen = append(seen, parent)
				break
			}
		}
	}
	at := seen[len(seen)-1]
	last := certs[at]
	for _, parent := range o.parents[at] {
		if at != 0 && t.reached[parent] && !mayIssue(certs[parent]) {
			return faultf(certs[parent], decision.CertificateChain, "%s may not issue certificates, as it seems to have %s", name(certs[parent]), name(last)).as(FlawNoIssuer)
		}
	}
	switch n := len(s.bySubject[string(last.RawIssuer)]); {
	case n+len(o.parents[at]) > 0 && unverifiable(last) != "":
		return faultf(last, decision.CertificateWeak, "%s is signed with %s", name(last), unverifiable(last))
	case n > maxNamesakes:
		return faultf(last, decision.CertificateUntrusted, "none of the first %d of %d trust anchors %s signed %s", maxNamesakes, n, issuerName(last), name(last))
	case n > 0:
		return faultf(last, decision.CertificateUntrusted, "the trust anchor %s did not sign %s", issuerName(last), name(last))
	case bytes.Equal(last.RawIssuer, last.RawSubject):
		return faultf(last, decision.CertificateUntrusted, "%s is self-signed and no trust anchor", name(last))
	case len(o.parents[at]) > 0:
		return faultf(last, decision.CertificateUntrusted, "the issuer %s of %s is no trust anchor, and what was presented by that name did not sign it", issuerName(last), name(last))
	}
	return faultf(last, decision.CertificateUntrusted, "the issuer %s of %s is no trust anchor and was not presented", issuerName(last), name(last))
}
