package config

import (
	"net/url"
	"strings"
)

func (l *loader) checkCredential(c *Credential) {
	given := l.doc.source.given
	for _, store := range []struct {
		choice
		ref *KeyStoreRef
	}{{choice{"pkcs12", &c.PKCS12}, c.PKCS12}, {choice{"jks", &c.JKS}, c.JKS}} {
		if !given(store.field) {
			continue
		}
		l.checkKeyStore(store.ref)
		for _, k := range []choice{{"certificate", &c.Certificate}, {"private_key", &c.PrivateKey}, {"jks", &c.JKS}} {
			if k.key != store.key && given(k.field) {
				l.shape(k.field, "%s holds both certificate and key: remove %s", store.key, k.key)
			}
		}
		return
	}
	if !given(&c.Certificate) && !given(&c.PrivateKey) {
		if !l.damaged[c] {
			l.shape(c, "a credential needs certificate and private_key")
		}
		return
	}
	l.need(c, &c.Certificate, "a credential needs certificate besides private_key")
	l.need(c, &c.PrivateKey, "a credential needs private_key besides certificate")
	l.checkCertificateRef(c.Certificate)
	l.checkSecret(c.PrivateKey)
}

// checkSecret checks that a secret says in one way where it is.
func (l *loader) checkSecret(s *Secret) {
	if s == nil || s.value != nil { // missing, or a text
		return
	}
	l.exactlyOne(s, "a secret", choice{"env", &s.Env}, choice{"file", &s.File})
}

// checkCertificateRef checks that a reference says in one way which certificate it means, and one that is built.
func (l *loader) checkCertificateRef(r *CertificateRef) {
	if r == nil || l.damaged[r] {
		return
	}
	given := l.doc.source.given
	if !l.exactlyOne(r, "a certificate", choice{"file", &r.File}, choice{"id", &r.ID}, choice{"name", &r.Name},
		choice{"pem", &r.PEM}, choice{"pkcs12", &r.PKCS12}, choice{"jks", &r.JKS}) {
		return
	}
	if given(&r.ID) || given(&r.Name) {
		l.shape(r, "certificates in the store are not built yet: give a file")
		return
	}
	store := r.keyStore()
	l.checkKeyStore(store)
	l.checkSecret(r.Password)
	for _, k := range []choice{{"alias", &r.Alias}, {"password", &r.Password}} {
		switch {
		case !given(k.field):
		case store == nil && !given(&r.PKCS12) && !given(&r.JKS):
			l.shape(k.field, "%s belongs to a key store (pkcs12, jks)", k.key)
		case store != nil && k.key == "alias" && given(&store.Alias), store != nil && k.key == "password" && given(&store.Password):
			l.shape(k.field, "%s is already given beside the key store's file", k.key)
		}
	}
}

// checkKeyStore checks a reference to a key store; nil is one that is missing or could not be decoded.
func (l *loader) checkKeyStore(k *KeyStoreRef) {
	if k == nil {
		return
	}
	l.need(k, &k.File, "a key store needs a file")
	l.checkSecret(k.Password)
}

func (l *loader) checkTrustStore(s *TrustStore) {
	l.need(s, &s.Anchors, "a trust store needs anchors")
	for i := range s.Anchors {
		a := &s.Anchors[i]
		if !l.exactlyOne(a, "an anchor", choice{"file", &a.File}, choice{"certificate", &a.Certificate}, choice{"pem", &a.PEM},
			choice{"pkcs12", &a.PKCS12}, choice{"jks", &a.JKS}) {
			continue
		}
		l.checkKeyStore(a.PKCS12)
		l.checkKeyStore(a.JKS)
		l.checkCertificateRef(a.Certificate)
	}
	if s.MaxDepth != nil && (*s.MaxDepth < 0 || *s.MaxDepth > 100) {
		l.shape(&s.MaxDepth, "max_depth must be from 0 to 100, not %d", *s.MaxDepth)
	}
	if s.Until != nil && s.Purpose != PurposeAny && s.Purpose != PurposeClientAuthOrMissing && !l.damaged[s] && !l.damaged[&s.Purpose] {
		l.shape(&s.Until, "until has no effect: it ends the purposes any and client_auth_or_missing, which admit more than the default")
	}
	if k := s.MinKeySize; k != nil {
		l.checkKeySize(k)
	}
	if s.Revocation != nil {
		l.checkRevocation(s.Revocation)
	}
}

func (l *loader) checkKeySize(k *KeySize) {
	if k.RSA != nil && (*k.RSA < 2048 || *k.RSA > 8192) {
		l.shape(&k.RSA, "rsa must be from 2048 to 8192, not %d", *k.RSA)
	}
	if !l.doc.source.given(&k.RSA) && !l.doc.source.given(&k.EC) && !l.damaged[k] {
		l.shape(k, "min_key_size needs rsa or ec")
	}
}

func (l *loader) checkRevocation(r *Revocation) {
	given := l.doc.source.given
	l.need(r, &r.Mode, "revocation needs a mode: off, soft or hard")
	for i := range r.CRL {
		c := &r.CRL[i]
		if l.exactlyOne(c, "a revocation list", choice{"file", &c.File}, choice{"url", &c.URL}) && c.URL != "" {
			l.checkURL(&c.URL)
		}
	}
	if r.OCSP != nil && r.OCSP.URL != "" {
		l.checkURL(&r.OCSP.URL)
	}
	if given(&r.CRL) || given(&r.OCSP) || l.damaged[r] {
		return
	}
	switch r.Mode {
	case "hard":
		l.shape(&r.Mode, "mode hard needs a source, crl or ocsp: without one every certificate would be refused")
	case "soft":
		l.shape(&r.Mode, "mode soft needs a source, crl or ocsp: without one nothing is ever checked")
	}
}

// checkURL checks the address that something is fetched from.
func (l *loader) checkURL(at *string) {
	u, err := url.Parse(*at)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		l.shape(at, "%s is not a URL such as http://crl.example.test/ca.crl", quote(withoutUser(*at)))
	case u.User != nil:
		l.shape(at, "a URL here cannot hold a user or password")
	case u.Fragment != "":
		l.shape(at, "a URL here cannot have a fragment (#)")
	}
}

// withoutUser blanks out what could be a password in a URL, for messages.
func withoutUser(text string) string {
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return text
	}
	scheme, _, ok := strings.Cut(text[:i], "://")
	if !ok {
		return "…" + text[i:]
	}
	return scheme + "://…" + text[i:]
}
