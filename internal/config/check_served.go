package config

import (
	"crypto/rsa"
	"crypto/x509"
	"slices"

	"sallyport/internal/route"
)

// noteServed warns about certificates that listeners present and that clients will refuse.
func (l *loader) noteServed(served map[string]bool) {
	for i := range l.doc.Credentials {
		c := &l.doc.Credentials[i]
		if !served[c.Name] || c.Resolved == nil {
			continue
		}
		leaf := c.Resolved.Leaf
		what := "the certificate of the credential " + quote(c.Name)
		if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
			l.note(c.Certificate, "%s has an RSA key of %d bits: clients want at least 2048", what, key.N.BitLen())
		}
		if !servesAsServer(leaf) {
			l.note(c.Certificate, "%s states what it is for, and server_auth is not among it: clients refuse it", what)
		}
	}
	for i := range l.doc.Listeners {
		if t := l.doc.Listeners[i].TLS; t != nil {
			for k := range t.Profiles {
				l.noteNames(t, &t.Profiles[k])
			}
		}
	}
}

// servesAsServer reports whether the extended key usages of a certificate, where it states any, let a server present it.
func servesAsServer(leaf *x509.Certificate) bool {
	stated := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0
	return !stated || slices.ContainsFunc(leaf.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny
	})
}

// noteNames warns about a TLS profile whose certificate is for none of the names that it spells out.
func (l *loader) noteNames(t *ListenerTLS, p *TLSProfile) {
	at, names, what := any(&p.Credential), []string{p.Credential}, "the certificate of the credential "+quote(p.Credential)
	if p.Credential == "" {
		at, names, what = p, t.Credentials, "the certificate of tls.credentials"
	}
	exact := slices.DeleteFunc(slices.Clone(p.Hosts), route.HostPattern.Wildcard)
	if len(exact) == 0 {
		return
	}
	for _, name := range names {
		c := l.index.credentials.byName[name]
		if c == nil || c.Resolved == nil { // reported already
			return
		}
		if slices.ContainsFunc(exact, func(h route.HostPattern) bool { return c.Resolved.Leaf.VerifyHostname(h.String()) == nil }) {
			return
		}
	}
	l.note(at, "%s is for none of the server names of this profile, such as %s: clients refuse it", what, quote(exact[0].String()))
}
