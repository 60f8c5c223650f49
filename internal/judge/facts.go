package judge

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync/atomic"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/expression"
	"sallyport/internal/trust"
)

// facts keeps what expressions see of a certificate, once somebody asks.
type facts struct {
	certificate atomic.Pointer[expression.Certificate]
}

// certificate is what expressions see of the caller's certificate; nil, which is null, where it was not validated.
func (s *Standing) certificate() *expression.Certificate {
	switch {
	case !s.Known():
		return nil
	case s.facts == nil:
		return newCertificate(s.verdict)
	}
	if c := s.facts.certificate.Load(); c != nil {
		return c
	}
	c := newCertificate(s.verdict)
	s.facts.certificate.Store(c) // whoever else does so stores the same
	return c
}

func newCertificate(v *trust.Verdict) *expression.Certificate {
	id := v.Identity
	leaf := id.Leaf()
	f := expression.Facts{
		SHA256: id.SHA256().String(), SHA1: id.SHA1().String(), SPKISHA256: id.SPKI().String(),
		Subject: id.Subject().String(), Issuer: id.Issuer().String(), CommonNames: id.Subject().CommonNames(), Serial: id.Serial().String(),
		DNS: id.DNSNames(), URIs: id.URIs(), Mail: id.Emails(), IP: presentedIPs(id),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, EKU: usagesOf(leaf), TrustStore: v.Store,
		OrganizationIdentifiers: id.OrganizationIdentifiers(),
	}
	for _, policy := range id.Policies() {
		f.Policies = append(f.Policies, policy.String())
	}
	statements := id.QCStatements()
	f.Unreadable = statements.Malformed
	if statements.PSD2 != nil {
		f.PSD2Roles, f.PSD2Authority = statements.PSD2.Roles, statements.PSD2.NCAID
	}
	if sum, known := id.IssuerSHA256(); known {
		f.IssuerSHA256 = sum.String()
	}
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		f.KeyType, f.KeyBits = "rsa", key.N.BitLen()
	case *ecdsa.PublicKey:
		f.KeyType, f.KeyBits = "ecdsa", key.Curve.Params().BitSize
	case ed25519.PublicKey:
		f.KeyType, f.KeyBits = "ed25519", 8*len(key)
	default: // of a later Go
		f.KeyType = strings.ToLower(leaf.PublicKeyAlgorithm.String())
	}
	return expression.NewCertificate(&f)
}

// usagesOf are the extended key usages of a certificate (RFC 5280, section 4.2.1.12).
func usagesOf(leaf *x509.Certificate) []string {
	words := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageAny: "any", x509.ExtKeyUsageClientAuth: "client_auth", x509.ExtKeyUsageServerAuth: "server_auth",
		x509.ExtKeyUsageCodeSigning: "code_signing", x509.ExtKeyUsageEmailProtection: "email_protection",
		x509.ExtKeyUsageTimeStamping: "time_stamping", x509.ExtKeyUsageOCSPSigning: "ocsp_signing",
	}
	var usages []string
	for _, u := range leaf.ExtKeyUsage {
		word, known := words[u]
		if !known {
			word = u.OID().String()
		}
		usages = append(usages, word)
	}
	for _, oid := range leaf.UnknownExtKeyUsage {
		usages = append(usages, oid.String())
	}
	return usages
}

// scope is what the expressions of the binding's lists see of a request and its caller; nil where there are none.
func (b *Binding) scope(v *Request, o *Outcome, s *Standing) *expression.Scope {
	if !b.sees {
		return nil
	}
	c := s.certificate()
	v.scope = expression.Scope{
		Certificate: c,
		Presented:   expression.Presented{Certificate: c, Valid: c != nil},
		Request: expression.Request{
			Method: v.Method, Host: o.Host, Path: o.Path.String(), Listener: v.Listener.Name, API: o.API.Label(), APIVersion: o.API.Version(),
			TLS: v.OverTLS, TLSVersion: versionText(v.TLSVersion), ServerName: v.ServerName, Fields: v.Fields,
		},
		Now: v.Now,
	}
	return &v.scope
}

// versionText is a version of TLS as the document writes it; "" for none.
func versionText(version uint16) string {
	switch version {
	case tls.VersionTLS12:
		return string(config.TLS12)
	case tls.VersionTLS13:
		return string(config.TLS13)
	}
	return ""
}

// mostTraced is how many expressions of a list a trace shows.
const mostTraced = 20

// trace records what the expressions of a list give.
func (l *matchList) trace(check string, x *expression.Scope, t *decision.Trace) {
	if l == nil || !t.Enabled() {
		return
	}
	shown := 0
	for i := range l.entries {
		m := &l.entries[i]
		if m.Expression == "" {
			continue
		}
		if shown++; shown > mostTraced {
			t.Add(check, decision.Info, "further expressions are not shown")
			return
		}
		t.Add(check, decision.Info, "expression "+shortened(m.Expression)+" "+valueOf(m, x))
	}
}

// valueOf says what the expression of an entry gives.
func valueOf(m *config.Matcher, x *expression.Scope) string {
	held, err := m.Parsed.Expression.Holds(x)
	if err != nil {
		return "has no value: " + strings.ToValidUTF8(err.Error(), "?")
	}
	return fmt.Sprintf("is %t", held)
}

// matchText says why an entry of a list that denies matches.
func matchText(m *config.Matcher, x *expression.Scope) string {
	if m.Expression == "" {
		return "matches"
	}
	if _, err := m.Parsed.Expression.Holds(x); err != nil {
		return "denies because its expression has no value: " + err.Error()
	}
	return "matches"
}

// shortened is an expression for a sentence.
func shortened(source string) string {
	const most = 200
	text := []rune(strings.Join(strings.Fields(source), " "))
	if len(text) > most {
		return string(text[:most-1]) + "…"
	}
	return string(text)
}
