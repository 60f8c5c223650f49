package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"fmt"
	"time"
)

// Warning is what an operator should know about a store or one certificate of it.
type Warning struct {
	// Certificate is the anchor or pin, as NewStore was given it: of those that are the same, the first. Nil where it is about
	// the end of the store's purpose.
	Certificate *x509.Certificate
	// Text is a sentence that names the store and the certificate.
	Text string
}

// Warnings returns what an operator should know about the store at the time now, in a fixed order:
// a purpose that has ended or soon does, anchors that are skipped because they are expired or not yet valid, keys that are
// too weak, CA certificates that cannot issue anything of use, and self-signed certificates that look like a single party's
// and yet stand for a CA.
func (s *Store) Warnings(now time.Time) []Warning {
	if s == nil {
		return nil
	}
	var warnings []Warning
	warn := func(cert *x509.Certificate, text string) {
		warnings = append(warnings, Warning{cert, fmt.Sprintf("trust store %q: %s %s", s.name, name(cert), text)})
	}
	if !s.until.IsZero() && !now.Add(purposeNotice).Before(s.until) {
		warnings = append(warnings, Warning{Text: fmt.Sprintf("trust store %q: %s", s.name, s.untilWarning(now))})
	}
	for _, cert := range s.anchors {
		if odd := unpresentable(cert); odd != "" {
			warn(cert, odd+": whoever presents it along with his own is refused")
		}
		if n := len(s.bySubject[string(cert.RawSubject)]); n > maxNamesakes {
			warn(cert, fmt.Sprintf("is one of %d CAs of this name: only %d are tried on a certificate", n, maxNamesakes))
		}
		if f := validityFault(cert, now); f != nil {
			warn(cert, fmt.Sprintf("is skipped: %s", validityText(cert, now)))
		}
		if weakness := s.keys.weakness(cert); weakness != "" {
			warn(cert, "has "+weakness+": nothing that it issued is accepted")
		}
		if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
			warn(cert, "is a CA whose key usage does not allow it to issue certificates: nothing that it issued is accepted")
		}
		if p := s.purposeIn(PurposeDefault, now); p != PurposeDefault && !p.allows(cert) {
			warn(cert, fmt.Sprintf("is a CA that is not meant for %s: nothing that it issued is accepted", p))
		}
		if looksLikeLeaf(cert) {
			warn(cert, "is self-signed and CA:TRUE, so it is taken for a CA and everything that it issued is trusted; with pin: true it means only itself")
		}
	}
	for _, cert := range s.sortedPins() {
		if odd := unpresentable(cert); odd != "" {
			warn(cert, "is pinned and refused: it "+odd)
		}
		if validityFault(cert, now) != nil {
			warn(cert, "is pinned and refused: "+validityText(cert, now))
		}
		if weakness := s.keys.weakness(cert); weakness != "" {
			warn(cert, "is pinned and refused: it has "+weakness)
		}
		if cert.Version < 3 && !s.allowV1 {
			warn(cert, fmt.Sprintf("is pinned and refused: it has version %d, which allow_v1: true admits", cert.Version))
		}
		if p := s.purposeIn(PurposeDefault, now); p != PurposeDefault && !p.allows(cert) {
			warn(cert, fmt.Sprintf("is pinned and refused: it is not meant for %s", p))
		}
	}
	return warnings
}

// purposeNotice is how long before its end the purpose of a store is worth a word: as long as it takes to have certificates
// issued anew.
const purposeNotice = 90 * 24 * time.Hour

// untilWarning says when the purpose ends or has ended.
func (s *Store) untilWarning(now time.Time) string {
	if s.ended(now) {
		return fmt.Sprintf("its purpose %s ended at %s: since then it asks callers for %s, as if it had none", s.purpose, s.untilText(), ClientAuth)
	}
	return fmt.Sprintf("its purpose %s ends at %s: from then on it asks callers for %s, as if it had none", s.purpose, s.untilText(), ClientAuth)
}

// unpresentable says why no chain may have the certificate in it; empty when one may.
func unpresentable(cert *x509.Certificate) string {
	return cmp.Or(looseness(cert), slowness(cert))
}

// validityText says how a certificate is outside its validity.
func validityText(cert *x509.Certificate, now time.Time) string {
	if now.Before(cert.NotBefore) {
		return "it is valid from " + cert.NotBefore.UTC().Format(time.RFC3339) + " on"
	}
	return "it expired after " + cert.NotAfter.UTC().Format(time.RFC3339)
}

// looksLikeLeaf recognises what `openssl req -x509` makes and tutorials tell people to trust: self-signed, CA:TRUE, and
// without the key usage that RFC 5280 §4.2.1.3 asks of a CA, or with names or usages of an end entity.
func looksLikeLeaf(cert *x509.Certificate) bool {
	if !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		return false
	}
	names := len(cert.DNSNames) + len(cert.IPAddresses) + len(cert.URIs) + len(cert.EmailAddresses)
	return names > 0 || len(cert.ExtKeyUsage) > 0 || cert.KeyUsage&x509.KeyUsageCertSign == 0
}
