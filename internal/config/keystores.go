package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/identity"
	"sallyport/internal/keystore"
)

// fileUse is a file and how it is read.
type fileUse struct {
	path     string
	format   keystore.Format // PEM stands for DER as well
	password string
}

// parsedFile is a file that was read, for all who name it.
type parsedFile struct {
	bundle *keystore.Bundle
	err    error
}

// material is what a reference means.
type material struct {
	certificates []*x509.Certificate // nil: a mistake was reported before
	entries      []keystore.Entry    // of a key store
	keys         int                 // private keys beside the certificates
}

// keyStore returns the key store of a reference; nil when it is none.
func (r *CertificateRef) keyStore() *KeyStoreRef {
	if r.PKCS12 != nil {
		return r.PKCS12
	}
	return r.JKS
}

// reference returns the certificates that a reference means. An alias means the entry's chain, its own certificate first.
func (r *resolver) reference(ref *CertificateRef, at any, kind Kind) (material, error) {
	var bundle *keystore.Bundle
	var err error
	store := ref.keyStore()
	switch {
	case ref.File != "":
		bundle, err = r.file(at, fileUse{path: ref.File}, kind)
	case ref.PEM != "":
		bundle, err = r.pem(at, ref.PEM, kind)
	case store != nil:
		format := keystore.FormatJKS
		if ref.PKCS12 != nil {
			format = keystore.FormatPKCS12
		}
		password := &store.Password
		if !r.doc.source.given(password) {
			password = &ref.Password
		}
		bundle, err = r.openStore(store, format, password, kind)
	}
	if err != nil || bundle == nil {
		return material{}, err
	}
	if len(bundle.Certificates) == 0 {
		return material{}, r.fault(at, kind, "there is no certificate here, but a private key")
	}
	f := material{bundle.Certificates, bundle.Entries, len(bundle.Keys)}
	if store == nil {
		return f, nil
	}
	alias, aliasAt := ref.Alias, &ref.Alias
	if store.Alias != "" {
		alias, aliasAt = store.Alias, &store.Alias
	}
	if alias == "" {
		return f, nil
	}
	entry, err := bundle.Entry(alias)
	switch {
	case err != nil:
		return material{}, r.fault(aliasAt, kind, "%s", oneLine(err.Error()))
	case entry.Certificate == nil:
		return material{}, r.fault(aliasAt, kind, "the entry %s has no certificate", quote(alias))
	}
	f.certificates, f.entries = entry.Chain, []keystore.Entry{*entry}
	if entry.Chain == nil {
		f.certificates = []*x509.Certificate{entry.Certificate}
	}
	return f, nil
}

// public is reference for places where a private key has nothing to do.
func (r *resolver) public(ref *CertificateRef, at any, kind Kind) (material, error) {
	f, err := r.reference(ref, at, kind)
	if err != nil || f.certificates == nil {
		return material{}, err
	}
	if f.keys > 0 {
		return material{}, r.fault(at, kind, "there is a private key beside the certificate: only certificates belong here, and the key is not protected as one")
	}
	// What Java does not take for trusted in its own store must not become so here.
	marked := func(e keystore.Entry) bool { return e.TrustedJava }
	if i := slices.IndexFunc(f.entries, func(e keystore.Entry) bool { return !marked(e) }); i >= 0 && slices.ContainsFunc(f.entries, marked) {
		return material{}, r.fault(at, kind, "the entry %s is not marked as trusted for Java, and others are: name those that are meant, each with its alias", quote(f.entries[i].Alias))
	}
	ref.Certificates = f.certificates
	return f, nil
}

// locate makes the path of a reference relative to the file that names it, and returns the field that says where the
// certificates are.
func (r *resolver) locate(ref *CertificateRef) any {
	switch store := ref.keyStore(); {
	case ref.File != "":
		ref.File = r.join(&ref.File, ref.File)
		return &ref.File
	case store != nil:
		return &store.File
	}
	return &ref.PEM
}

// file reads and parses a file once, whoever names it.
func (r *resolver) file(at any, use fileUse, kind Kind) (*keystore.Bundle, error) {
	f, ok := r.files[use]
	if !ok {
		var data []byte
		if data, f.err = r.read(use.path, keystore.MaxBytes); f.err == nil {
			f.bundle, f.err = parseFile(data, use.format, use.password)
		}
		r.files[use] = f
	}
	if f.err != nil {
		return nil, r.fault(at, kind, "the file %s: %s", quotePath(use.path), cause(f.err))
	}
	return f.bundle, nil
}

// openStore reads a key store with the password that a field holds. Without a bundle or an error, a mistake was reported
// before.
func (r *resolver) openStore(k *KeyStoreRef, format keystore.Format, field **Secret, kind Kind) (*keystore.Bundle, error) {
	password := *field
	if err := r.secret(password, kind); err != nil {
		return nil, err
	}
	if known := password != nil && password.value != nil; k.File == "" || !known && r.doc.source.given(field) {
		return nil, nil //nolint:nilnil // a mistake was reported before
	}
	k.File = r.join(&k.File, k.File)
	use := fileUse{path: k.File, format: format}
	if password != nil {
		use.password = string(password.value.bytes)
	}
	return r.file(&k.File, use, kind)
}

// parseFile reads a file in the format that its place in the document stands for, and says where another belongs.
func parseFile(data []byte, want keystore.Format, password string) (*keystore.Bundle, error) {
	have, err := keystore.Recognise(data)
	switch {
	case err != nil:
		return nil, err
	case have == want, want == keystore.FormatPEM && have == keystore.FormatDER:
		return keystore.Parse(data, password)
	case have == keystore.FormatPKCS12:
		return nil, errors.New("this is PKCS#12: name it under pkcs12")
	case have == keystore.FormatJKS:
		return nil, errors.New("this is a Java key store (JKS): name it under jks")
	case have == keystore.FormatDER:
		return nil, fmt.Errorf("this is DER, but not %s: certificates belong under file", want)
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return nil, fmt.Errorf("this is PEM, not %s: name it under file", want)
	}
	return nil, fmt.Errorf("this is not %s", want)
}

func (r *resolver) pem(at any, text string, kind Kind) (*keystore.Bundle, error) {
	bundle, err := keystore.ParsePEM([]byte(text))
	if err != nil {
		return nil, r.fault(at, kind, "%s", oneLine(err.Error()))
	}
	return bundle, nil
}

// keyStoreCredential returns the credential that a key store of a format holds: of the entry with the alias or, without one, of the
// only private key. Without a credential or an error, a mistake was reported before.
func (r *resolver) keyStoreCredential(k *KeyStoreRef, format keystore.Format, kind Kind) (*tls.Certificate, error) {
	bundle, err := r.openStore(k, format, &k.Password, kind)
	if err != nil || bundle == nil {
		return nil, err
	}
	var entry *keystore.Entry
	if k.Alias != "" {
		if entry, err = bundle.Entry(k.Alias); err != nil {
			return nil, r.fault(&k.Alias, kind, "%s", oneLine(err.Error()))
		}
		if entry.Key == nil {
			return nil, r.fault(&k.Alias, kind, "the entry %s has no private key", quote(k.Alias))
		}
	} else {
		keys := slices.DeleteFunc(slices.Clone(bundle.Entries), func(e keystore.Entry) bool { return e.Key == nil })
		switch len(keys) {
		case 0:
			return nil, r.fault(&k.File, kind, "there is no private key here, but a certificate")
		case 1:
			entry = &keys[0]
		default:
			return nil, r.fault(&k.File, kind, "there are %d private keys here: pick one with alias, out of %s", len(keys), aliasList(keys))
		}
	}
	if len(bundle.Certificates) == 0 {
		return nil, r.fault(&k.File, kind, "there is no certificate here, but a private key")
	}
	pair, err := keystore.Credential(append(slices.Clone(entry.Chain), bundle.Certificates...), entry.Key)
	if err != nil {
		return nil, r.fault(&k.File, kind, "%s", oneLine(err.Error()))
	}
	return pair, nil
}

// aliasList lists entries for an error, the first ten of them. Those without an alias cannot be picked.
func aliasList(entries []keystore.Entry) string {
	const most = 10
	var list []string
	for i, e := range entries {
		switch {
		case i == most:
			return fmt.Sprintf("%s and %d more", strings.Join(list, ", "), len(entries)-most)
		case e.Alias == "":
			list = append(list, "(one without an alias)")
		default:
			list = append(list, quote(e.Alias))
		}
	}
	return strings.Join(list, ", ")
}

// aliased is a matcher with an alias, or with a file.
type aliased struct {
	*Matcher
	deny bool
}

// remember keeps the aliases of what a trust store is made of. Of the certificates that share one, two are enough to know
// that it is ambiguous.
func (r *resolver) remember(entries []keystore.Entry) {
	for _, e := range entries {
		alias, id := keystore.FoldAlias(e.Alias), identity.Thumbprint(e.Certificate)
		if alias != "" && len(r.aliases[alias]) < 2 && !slices.Contains(r.aliases[alias], id) {
			r.aliases[alias] = append(r.aliases[alias], id)
		}
		if e.Certificate.BasicConstraintsValid && e.Certificate.IsCA {
			r.authorities[id] = true
		}
	}
}

// matchers resolves the aliases in lists. One that nothing has is never tolerated, not even where the trust store that
// could have it is broken: an entry of deny that matches nobody would let somebody in.
func (r *resolver) matchers() {
	var known []string
	for _, m := range r.aliased {
		switch ids := r.aliases[keystore.FoldAlias(m.Alias)]; {
		case len(ids) == 1:
			m.Parsed.Alias = &ids[0]
			if r.authorities[ids[0]] {
				r.noteAuthority(m, &m.Alias, "the alias "+quote(m.Alias), ids[0])
			}
		case len(ids) > 1:
			r.shape(&m.Alias, "the alias %s means different certificates in the key stores of the trust stores: use sha256", quote(m.Alias))
		case len(r.lost.stores) > 0 && !r.opts.ServePartial: // it may be in the one that could not be read
		default:
			if known == nil {
				known = slices.Sorted(maps.Keys(r.aliases))
			}
			r.add(Error{
				Position:   r.doc.Position(&m.Alias),
				Message:    "no entry of the trust stores' key stores has the alias " + quote(m.Alias) + knownAliases(known),
				Suggestion: r.nearest(m.Alias, known),
			})
		}
	}
}

// noteAuthority warns of a matcher that means a CA: a matcher is about the caller's own certificate, and a CA's is nobody's
// unless it is pinned.
func (r *resolver) noteAuthority(m aliased, at any, what string, id identity.SHA256) {
	if r.pinned(id) {
		return
	}
	if m.deny {
		r.note(at, "%s means a CA that no trust store pins: this denies nobody, not even those whose certificates it issued; deny those by issuer or issuer_sha256", what)
		return
	}
	r.note(at, "%s means a CA that no trust store pins: this matches nobody, not even those whose certificates it issued; name those by issuer or issuer_sha256", what)
}

// pinned reports whether a trust store pins a CA.
func (r *resolver) pinned(id identity.SHA256) bool {
	for i := range r.doc.TrustStores {
		for _, a := range r.doc.TrustStores[i].Anchors {
			if a.Pin && slices.ContainsFunc(a.Certificates, func(c *x509.Certificate) bool { return identity.Thumbprint(c) == id }) {
				return true
			}
		}
	}
	return false
}

// knownAliases lists aliases for an error.
func knownAliases(known []string) string {
	const most = 20
	if len(known) == 0 {
		return ": there are none"
	}
	more := ""
	if len(known) > most {
		known, more = known[:most], " and others"
	}
	var quoted []string
	for _, alias := range known {
		quoted = append(quoted, quote(alias))
	}
	return ": there are " + strings.Join(quoted, ", ") + more
}
