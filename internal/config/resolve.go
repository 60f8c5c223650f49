package config

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/keystore"
)

const maxSecretSize = 1 << 20

// resolver reads what the document names.
type resolver struct {
	*loader
	now   time.Time
	files map[fileUse]parsedFile
	lists map[string]thumbprintFile // by path

	authorities map[identity.SHA256]bool     // the CAs among them
	aliases     map[string][]identity.SHA256 // what the entries of trust stores are called, folded
}

// damage is what is broken, by name, with the error that says why. References to names that do not exist are not in it.
type damage struct {
	stores, credentials map[string]error
}

// resolve reads the files and environment variables that the document names.
func (l *loader) resolve() {
	r := &resolver{loader: l, now: time.Now(), files: map[fileUse]parsedFile{}, lists: map[string]thumbprintFile{}, aliases: map[string][]identity.SHA256{}, authorities: map[identity.SHA256]bool{}}
	l.lost = damage{stores: map[string]error{}, credentials: map[string]error{}}
	served := l.servedCredentials()
	for i := range l.doc.Credentials {
		c := &l.doc.Credentials[i]
		kind := Broken
		if served[c.Name] {
			kind = Shape
		}
		if err := r.credential(c, kind); err != nil {
			l.lost.credentials[c.Name] = err
		}
	}
	for i := range l.doc.TrustStores {
		s := &l.doc.TrustStores[i]
		if err := r.trustStore(s); err != nil {
			s.Broken = err
			l.lost.stores[s.Name] = err
		}
	}
	for i := range l.doc.Users {
		for k := range l.doc.Users[i].Certificates {
			ref := &l.doc.Users[i].Certificates[k]
			_, _ = r.public(ref, r.locate(ref), Shape) // what is wrong is in the list of errors
		}
	}
	r.keys()
	r.matchers()
	r.filedMatchers()
	l.noteServed(served)
}

// servedCredentials are the credentials of listeners: without one of them a listener could not serve.
func (l *loader) servedCredentials() map[string]bool {
	served := map[string]bool{}
	for i := range l.doc.Listeners {
		t := l.doc.Listeners[i].TLS
		if t == nil {
			continue
		}
		for _, name := range t.Credentials {
			served[name] = true
		}
		for k := range t.Profiles {
			served[t.Profiles[k].Credential] = true
		}
	}
	return served
}

// fault records a problem with what a field names and returns it.
func (r *resolver) fault(at any, kind Kind, format string, args ...any) error {
	e := Error{Position: r.doc.Position(at), Kind: kind, Message: fmt.Sprintf(format, args...)}
	r.add(e)
	return e
}

func (r *resolver) credential(c *Credential, kind Kind) error {
	var pair *tls.Certificate
	var err error
	var at any = c.Certificate
	switch {
	case c.PKCS12 != nil:
		at = &c.PKCS12.File
		pair, err = r.keyStoreCredential(c.PKCS12, keystore.FormatPKCS12, kind)
	case c.JKS != nil:
		at = &c.JKS.File
		pair, err = r.keyStoreCredential(c.JKS, keystore.FormatJKS, kind)
	case c.Certificate != nil && c.PrivateKey != nil:
		pair, err = r.pemCredential(c, kind)
	}
	if c.Resolved = pair; pair != nil {
		r.noteValidity(at, "the certificate of the credential "+quote(c.Name), pair.Leaf)
	}
	return err
}

// pemCredential puts a certificate and a private key together that have two references. Without a credential or an error,
// a mistake was reported before.
func (r *resolver) pemCredential(c *Credential, kind Kind) (*tls.Certificate, error) {
	found, certErr := r.reference(c.Certificate, r.locate(c.Certificate), kind) // a key beside the certificates is usual, and not used
	keyErr := r.binarySecret(c.PrivateKey, kind)
	if err := errors.Join(certErr, keyErr); err != nil || found.certificates == nil || c.PrivateKey.value == nil {
		return nil, err
	}
	c.Certificate.Certificates = found.certificates
	key, err := parseFile(c.PrivateKey.value.bytes, keystore.FormatPEM, "")
	switch {
	case err != nil:
		return nil, r.fault(c.PrivateKey, kind, "the private key: %s", oneLine(err.Error()))
	case len(key.Keys) == 0:
		return nil, r.fault(c.PrivateKey, kind, "there is no private key here, but a certificate")
	case len(key.Keys) > 1:
		return nil, r.fault(c.PrivateKey, kind, "there are %d private keys here: one is needed", len(key.Keys))
	}
	pair, err := keystore.Credential(found.certificates, key.Keys[0])
	if err != nil {
		return nil, r.fault(c.PrivateKey, kind, "%s", oneLine(err.Error()))
	}
	return pair, nil
}

func (r *resolver) noteValidity(at any, what string, cert *x509.Certificate) {
	switch {
	case r.now.After(cert.NotAfter):
		r.note(at, "%s expired at %s", what, cert.NotAfter.UTC().Format(time.RFC3339))
	case r.now.Before(cert.NotBefore):
		r.note(at, "%s is not valid before %s", what, cert.NotBefore.UTC().Format(time.RFC3339))
	}
}

func (r *resolver) trustStore(s *TrustStore) error {
	var errs []error
	for i := range s.Anchors {
		a := &s.Anchors[i]
		ref := a.Certificate
		var at any
		switch {
		case a.File != "":
			a.File = r.join(&a.File, a.File)
			ref, at = &CertificateRef{File: a.File}, &a.File
		case a.PEM != "":
			ref, at = &CertificateRef{PEM: a.PEM}, &a.PEM
		case a.PKCS12 != nil, a.JKS != nil:
			ref = &CertificateRef{PKCS12: a.PKCS12, JKS: a.JKS}
			at = r.locate(ref)
		case ref != nil:
			at = r.locate(ref)
		default:
			continue // reported already
		}
		m, err := r.public(ref, at, Broken)
		a.Certificates = m.certificates
		r.remember(m.entries)
		errs = append(errs, err)
	}
	if s.Revocation != nil {
		for i := range s.Revocation.CRL {
			c := &s.Revocation.CRL[i]
			if c.File == "" {
				continue
			}
			c.File = r.join(&c.File, c.File)
			if _, err := r.read(c.File, keystore.MaxBytes); err != nil {
				errs = append(errs, r.fault(&c.File, Broken, "the revocation list %s: %s", quotePath(c.File), cause(err)))
			}
		}
	}
	return errors.Join(errs...)
}

// read reads a regular file that the document names.
func (r *resolver) read(path string, limit int64) ([]byte, error) {
	r.doc.source.read(path)
	return readRegular(path, limit)
}

// cause is why a file could not be used, without its path.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return oneLine(err.Error())
}

// secret fetches what a secret stands for. People put the secret itself where its name belongs, so errors say what stands
// there only when it looks like a name.
func (r *resolver) secret(s *Secret, kind Kind) error {
	err := r.binarySecret(s, kind)
	if err == nil && s != nil && s.value != nil && s.File != "" {
		s.value = &hidden{bytes.TrimRight(s.value.bytes, "\r\n")}
	}
	return err
}

// binarySecret is secret for what may be no text: a line break at the end of a file is not taken away.
func (r *resolver) binarySecret(s *Secret, kind Kind) error {
	var found []byte
	switch {
	case s == nil || s.value != nil:
		return nil
	case s.Env != "":
		value, ok := r.opts.Env(s.Env)
		if !ok {
			return r.fault(&s.Env, kind, "the environment variable %s is not set", variableName(s.Env))
		}
		found = []byte(value)
	case s.File != "":
		written := s.File
		s.File = r.join(&s.File, written)
		var err error
		found, err = r.read(s.File, maxSecretSize)
		if err != nil {
			name := hiddenName
			if looksLikePath(written) {
				name = quotePath(s.File)
			}
			return r.fault(&s.File, kind, "the file %s: %s", name, cause(err))
		}
		if info, err := os.Stat(s.File); err == nil && info.Mode().Perm()&0o004 != 0 {
			r.note(&s.File, "everybody on this machine can read the file that is named here: chmod o-r")
		}
	default:
		return nil // reported already
	}
	if len(bytes.TrimSpace(found)) == 0 {
		return r.fault(s, kind, "the secret is empty")
	}
	s.value = &hidden{found}
	return nil
}

// keys resolves the certificates and secrets of keys: each may open one key only.
func (r *resolver) keys() {
	certificates := map[identity.SHA256]Position{}
	secrets := map[[sha256.Size]byte]Position{}
	for i := range r.doc.Keys {
		k := &r.doc.Keys[i]
		for n := range k.Certificates {
			ref := &k.Certificates[n]
			m, _ := r.public(ref, r.locate(ref), Shape)
			for _, c := range m.certificates {
				id := identity.Thumbprint(c)
				if first, ok := certificates[id]; ok {
					r.shape(ref, "the certificate %s already stands in for a key at %s", id, first)
					continue
				}
				certificates[id] = r.doc.Position(ref)
			}
		}
		if r.secret(k.Secret, Shape) != nil || k.Secret == nil || k.Secret.value == nil {
			continue
		}
		sum := sha256.Sum256(k.Secret.value.bytes)
		if first, ok := secrets[sum]; ok {
			r.shape(k.Secret, "another key has the same secret, see %s", first)
			continue
		}
		secrets[sum] = r.doc.Position(k.Secret)
	}
}
