package inspect

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/trust"
)

// subject is a certificate that is looked at for findings.
type subject struct {
	cert   *x509.Certificate
	facts  trust.Facts
	report *Certificate
	at     time.Time
}

// lint is one rule about one certificate. Its check returns a sentence about what the gateway does, "" where there is
// nothing to say.
type lint struct {
	id       string
	severity Severity
	check    func(s *subject) string
}

// lint runs every rule on a certificate.
func (w *web) lint(at int, c *Certificate) []Finding {
	s := &subject{cert: w.certs[at], facts: w.facts[at], report: c, at: w.at}
	found := []Finding{}
	for _, rules := range [][]lint{validityLints(), strengthLints(), formLints(), nameLints(), purposeLints()} {
		for _, l := range rules {
			if message := l.check(s); message != "" {
				found = append(found, Finding{ID: l.id, Severity: l.severity, Message: Printable(message)})
			}
		}
	}
	return found
}

// Days after which a leaf's validity is called long, and before its end at which it is said to end soon. 825 days is
// the longest that any public rule of the last years allowed.
const (
	longDays = 825
	soonDays = 30
)

const publicEnd = "2027-03-15"

func validityLints() []lint {
	day := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return []lint{
		{"never_valid", Error, func(s *subject) string {
			if !s.cert.NotAfter.Before(s.cert.NotBefore) {
				return ""
			}
			return "It ends before it begins: it is refused at any time."
		}},
		{"expired", Error, func(s *subject) string {
			if s.report.Validity.State != "expired" {
				return ""
			}
			return "It expired after " + day(s.cert.NotAfter) + ": a caller is refused with certificate_expired, an anchor is skipped."
		}},
		{"not_yet_valid", Error, func(s *subject) string {
			if s.report.Validity.State != "not_yet_valid" {
				return ""
			}
			return "It is valid from " + day(s.cert.NotBefore) + " on: until then a caller is refused with certificate_not_yet_valid, an anchor is skipped."
		}},
		{"expires_soon", Warning, func(s *subject) string {
			if v := s.report.Validity; v.State != "valid" || v.DaysLeft >= soonDays {
				return ""
			}
			return "It expires after " + day(s.cert.NotAfter) + ": from then on it is refused, on open connections as well."
		}},
		{"long_validity", Info, func(s *subject) string {
			days := (s.cert.NotAfter.Unix() - s.cert.NotBefore.Unix()) / (24 * 60 * 60)
			if s.facts.CA || days <= longDays {
				return ""
			}
			return fmt.Sprintf("It is valid for %d days: the gateway accepts that; only a deny rule ends it before its time.", days)
		}},
	}
}

func strengthLints() []lint {
	return []lint{
		{"weak_key", Error, func(s *subject) string {
			if s.facts.WeakKey == "" {
				return ""
			}
			return "It has " + s.facts.WeakKey + ": it and everything below it is refused with certificate_weak."
		}},
		{"unreadable_key", Error, func(s *subject) string {
			if _, err := x509.ParseCertificate(s.cert.Raw); s.cert.PublicKey != nil || err == nil {
				return ""
			}
			return "Its key, " + s.report.Key.Type + ", cannot be read here: the gateway refuses to load a file that holds it, and TLS breaks a handshake off in which it is sent."
		}},
		{"weak_signature", Error, func(s *subject) string {
			if !s.facts.WeakSignature || s.report.SelfSigned {
				return ""
			}
			return "It is signed with " + s.cert.SignatureAlgorithm.String() + ": below an anchor it is refused with certificate_weak; pinned or an anchor itself it is not."
		}},
		{"weak_self_signature", Info, func(s *subject) string {
			if !s.facts.WeakSignature || !s.report.SelfSigned {
				return ""
			}
			return "It signed itself with " + s.cert.SignatureAlgorithm.String() + ": the signature of an anchor or a pin is not looked at."
		}},
		{"slow_key", Error, func(s *subject) string {
			if s.facts.Slow == "" {
				return ""
			}
			return "It " + s.facts.Slow + ": a chain with it in it is refused unread."
		}},
		{"rsa_exponent", Warning, func(s *subject) string {
			e := s.report.Key.Exponent
			switch {
			case e == 0 || e >= 65537:
				return ""
			case e < 3 || e%2 == 0:
				return fmt.Sprintf("Its RSA key has the public exponent %d, with which no signature can be checked: no handshake with it succeeds.", e)
			}
			return fmt.Sprintf("Its RSA key has the public exponent %d: the gateway accepts that; keys of today have 65537.", e)
		}},
	}
}

func formLints() []lint {
	return []lint{
		{"altered", Error, func(s *subject) string {
			if s.facts.Altered == "" {
				return ""
			}
			return "It " + s.facts.Altered + ": it is refused with certificate_malformed."
		}},
		{"too_large", Error, func(s *subject) string {
			if len(s.cert.Raw) <= trust.MaxChainBytes {
				return ""
			}
			return fmt.Sprintf("It has %d bytes, and a chain of more than %d is refused with certificate_chain.", len(s.cert.Raw), trust.MaxChainBytes)
		}},
		{"old_version", Warning, func(s *subject) string {
			if !s.facts.OldVersion {
				return ""
			}
			return fmt.Sprintf("It has version %d and so no extensions: it is refused with certificate_weak unless the trust store says allow_v1: true, and never taken for a CA.", s.cert.Version)
		}},
		{"unknown_critical_extension", Error, func(s *subject) string {
			if len(s.cert.UnhandledCriticalExtensions) == 0 {
				return ""
			}
			return "It has the critical extension " + s.cert.UnhandledCriticalExtensions[0].String() + ", which the gateway does not understand: a path with it is refused with certificate_chain."
		}},
		{"negative_or_zero_serial", Warning, func(s *subject) string {
			switch {
			case s.cert.SerialNumber == nil || s.cert.SerialNumber.Sign() > 0:
				return ""
			case s.cert.SerialNumber.Sign() == 0:
				return "Its serial number is zero, which RFC 5280 does not allow: the gateway accepts it."
			}
			return "Its serial number is negative: it is refused with certificate_malformed."
		}},
		{"serial_too_long", Warning, func(s *subject) string {
			if s.cert.SerialNumber == nil || s.cert.SerialNumber.BitLen() < 160 {
				return ""
			}
			if _, err := identity.ParseSerial(s.report.Serial.Hex); err != nil {
				return "Its serial number has more than the 20 octets of RFC 5280, and more than a matcher can name: serial: never matches it."
			}
			return "Its serial number has more than the 20 octets of RFC 5280: the gateway accepts it, other programs may not."
		}},
	}
}

func purposeLints() []lint {
	return []lint{
		{"ca_without_key_cert_sign", Error, func(s *subject) string {
			if !s.facts.CA || s.facts.MayIssue {
				return ""
			}
			return "It is a CA whose key usage leaves out keyCertSign: nothing that it issued is accepted."
		}},
		{"leaf_is_ca", Warning, func(s *subject) string {
			if !s.facts.LooksLikeLeaf {
				return ""
			}
			return "It is self-signed and CA:TRUE but looks like one party's own: a trust store takes it for a CA and accepts everything that it issues; with pin: true it means only itself."
		}},
		{"no_client_auth", Warning, func(s *subject) string {
			switch {
			case s.facts.ClientAuth:
				return ""
			case s.facts.CA:
				return "Its extended key usages leave out clientAuth: callers below it are refused with certificate_purpose, unless the trust store's purpose is any or, where serverAuth is left in, client_auth_or_missing."
			}
			return "Its extended key usages leave out clientAuth: as a caller it is refused with certificate_purpose, unless the trust store's purpose is any or, where serverAuth is left in, client_auth_or_missing."
		}},
		{"no_server_auth", Info, func(s *subject) string {
			switch {
			case s.facts.ServerAuth:
				return ""
			case s.facts.CA:
				return "Its extended key usages leave out serverAuth: a backend below it is refused."
			}
			return "Its extended key usages leave out serverAuth: as a backend it is refused, and clients refuse a listener with it."
		}},
		{"no_ext_key_usage", Info, func(s *subject) string {
			if s.facts.CA || len(s.report.ExtKeyUsage) > 0 {
				return ""
			}
			return "It states no extended key usage: the gateway accepts it for every purpose."
		}},
		{"no_digital_signature", Info, func(s *subject) string {
			if s.facts.CA || s.cert.KeyUsage == 0 || s.cert.KeyUsage&x509.KeyUsageDigitalSignature != 0 {
				return ""
			}
			return "Its key usage leaves out digitalSignature, which TLS asks for: the gateway does not look at that, other programs do."
		}},
		{"public_ca_client_auth_ends", Warning, func(s *subject) string {
			if s.facts.CA || s.report.SelfSigned || !hasClientAuth(s.cert) || !looksPublic(s.report) {
				return ""
			}
			return "It is a client certificate that seems to be issued under the rules for public CAs: they end such certificates by " + publicEnd +
				", so its successor has to come from a private CA; the gateway goes on accepting this one until it expires."
		}},
	}
}

// hasClientAuth reports whether the certificate says that it is for clients, rather than nothing.
func hasClientAuth(cert *x509.Certificate) bool {
	return slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}

// looksPublic reports whether a certificate claims the CA/Browser Forum's TLS rules by one of their policies, and has
// the timestamps of public logs. Private CAs have neither, least of all both.
func looksPublic(c *Certificate) bool {
	if !c.hasExtension(oidSCTs) {
		return false
	}
	for _, policy := range c.Policies {
		if policy == "2.23.140.1.1" || strings.HasPrefix(policy, "2.23.140.1.2.") {
			return true
		}
	}
	return false
}
