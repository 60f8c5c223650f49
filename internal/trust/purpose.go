package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/decision"
)

// Purpose is the extended key usage (RFC 5280 §4.2.1.12) that a store asks of certificates. A certificate that states none
// may be used for all.
type Purpose uint8

// The purposes.
const (
	PurposeDefault Purpose = iota // what the set is used for: ClientAuth or ServerAuth
	ClientAuth                    // id-kp-clientAuth
	ServerAuth                    // id-kp-serverAuth
	Any                           // no extended key usage is asked for
	// ClientAuthOrMissing is id-kp-clientAuth or, where that is missing, id-kp-serverAuth: what public CAs issue since they
	// leave the client's purpose out. One of the two has to be allowed by the whole path, so a CA for servers alone has no
	// callers of its own, and what is for neither is refused. Whoever has a certificate for a web server has a caller's.
	ClientAuthOrMissing
)

// String returns the purpose's word in the configuration.
func (p Purpose) String() string {
	switch p {
	case ClientAuth:
		return "client_auth"
	case ServerAuth:
		return "server_auth"
	case Any:
		return "any"
	case ClientAuthOrMissing:
		return "client_auth_or_missing"
	case PurposeDefault:
	}
	return "default"
}

// usages returns the extended key usages of which a whole path has to allow one.
func (p Purpose) usages() []x509.ExtKeyUsage {
	switch p {
	case ServerAuth:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case Any:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	case ClientAuthOrMissing:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	case ClientAuth, PurposeDefault:
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// forCallers reports whether the purpose is one of those that only callers have.
func (p Purpose) forCallers() bool { return p == ClientAuth || p == ClientAuthOrMissing }

// ends reports whether a purpose is one that may end: it admits more than the default does.
func (p Purpose) ends() bool { return p == Any || p == ClientAuthOrMissing }

// allows reports whether a certificate may be used for the purpose.
func (p Purpose) allows(cert *x509.Certificate) bool {
	return p == Any || slices.ContainsFunc(p.usages(), func(usage x509.ExtKeyUsage) bool { return allows(cert, usage) })
}

// usageFault finds the certificate of a path that states extended key usages without the one asked for. Usages nest
// from the anchor down, as x509 has it. Where one of two is enough it is the certificate that ends the better one.
func usageFault(path []*x509.Certificate, p Purpose) *fault {
	if p == Any {
		return nil
	}
	farthest := 0
	for _, usage := range p.usages() {
		at := slices.IndexFunc(path, func(cert *x509.Certificate) bool { return !allows(cert, usage) })
		if at < 0 {
			return nil
		}
		farthest = max(farthest, at)
	}
	cert := path[farthest]
	if !p.allows(cert) {
		return faultf(cert, decision.CertificatePurpose, "%s is not meant for %s: its extended key usages leave it out", name(cert), p)
	}
	return faultf(cert, decision.CertificatePurpose, "%s is not meant for %s as the certificates below it are: no extended key usage is allowed by all of them",
		name(cert), p)
}

// allows reports whether a certificate may be used for usage; one that states none may be used for all.
func allows(cert *x509.Certificate, usage x509.ExtKeyUsage) bool {
	if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(cert.ExtKeyUsage, usage) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// purposeIn returns the purpose that the store has in a set used for use, at the time now.
func (s *Store) purposeIn(use Purpose, now time.Time) Purpose {
	if s.purpose == PurposeDefault || s.ended(now) {
		return use
	}
	return s.purpose
}

// ended reports whether the store's purpose has ended.
func (s *Store) ended(now time.Time) bool { return !s.until.IsZero() && !now.Before(s.until) }

// purpose is what a store asks for in this inquiry.
func (in *inquiry) purpose(s *Store) Purpose { return s.purposeIn(in.use, in.now) }

// lapse says of a refusal for its purpose that the store had admitted more before, "" where it had not.
func (in *inquiry) lapse(s *Store, f *fault) string {
	if f.reason != decision.CertificatePurpose || !s.ended(in.now) {
		return ""
	}
	return fmt.Sprintf("; until %s the purpose of the trust store was %s", s.untilText(), s.purpose)
}

// reprieve says of an accepted path that the store will refuse it for its purpose, "" where it will not.
func (in *inquiry) reprieve(s *Store, path []*x509.Certificate, pinned bool) string {
	if s.until.IsZero() || s.ended(in.now) {
		return ""
	}
	if usageFault(path, in.use) == nil && (pinned || in.keyUsageFault(in.use, path[0]) == nil) {
		return ""
	}
	return fmt.Sprintf("%s passes only because the purpose of the trust store is %s, which ends at %s", name(path[0]), s.purpose, s.untilText())
}

// untilText is the end of the store's purpose for a text.
func (s *Store) untilText() string { return s.until.UTC().Format(time.RFC3339) }
