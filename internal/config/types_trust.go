package config

import (
	"crypto/tls"
	"crypto/x509"
)

// Credential is a certificate and its private key, given as two references or as one PKCS#12 file.
type Credential struct {
	// Name is unique among credentials.
	Name string `yaml:"name"`
	// Certificate is the leaf with the intermediates that are sent with it.
	Certificate *CertificateRef `yaml:"certificate"`
	// PrivateKey is the leaf's key.
	PrivateKey *Secret `yaml:"private_key"`
	// PKCS12 holds both, in place of the two above.
	PKCS12 *KeyStoreRef `yaml:"pkcs12"`

	// Resolved is the credential itself; nil when the reference is broken.
	Resolved *tls.Certificate `yaml:"-"`
}

// CertificateRef is the one way to refer to certificates: a string (64 hex digits are an id, "-----BEGIN" is PEM, a bare
// name or name@version is in the store, anything with a slash or a dot is a path) or a mapping with one of the keys.
type CertificateRef struct {
	// File is a path, relative to the file that names it.
	File string `yaml:"file"`
	// ID is the id of a stored certificate.
	ID string `yaml:"id"`
	// Name is the name of a stored certificate, or name@version.
	Name string `yaml:"name"`
	// PEM is the text itself.
	PEM string `yaml:"pem"`
	// PKCS12 is a PKCS#12 file.
	PKCS12 *KeyStoreRef `yaml:"pkcs12"`
	// JKS is a Java key store.
	JKS *KeyStoreRef `yaml:"jks"`
	// Alias picks one entry of a key store; absent means every certificate in it. Upper and lower case are the same.
	Alias string `yaml:"alias"`
	// Password opens the key store; it and the alias may as well stand beside the key store's file.
	Password *Secret `yaml:"password,text"`

	// Certificates is what the reference stands for, in the order of the file; nil when it is broken.
	Certificates []*x509.Certificate `yaml:"-"`
}

// KeyStoreRef is a PKCS#12 or JKS file: a path, or a mapping with its password.
type KeyStoreRef struct {
	// File is a path, relative to the file that names it.
	File string `yaml:"file"`
	// Password opens the store: a text, {env: NAME} or {file: path}; absent is the empty password.
	Password *Secret `yaml:"password,text"`
	// Alias picks one entry; absent means every certificate or, of a credential, the only private key. Upper and lower
	// case are the same.
	Alias string `yaml:"alias"`
}

// Secret is a value that is never written to a log, an error or standard output: {env: NAME} or {file: path}, and for
// the passwords of key stores a text. It prints as "[secret]" whatever formats it.
type Secret struct { //nolint:recvcheck // values must print as little as pointers do, and a nil one reveals nothing
	// Env is the name of an environment variable; unset or empty is an error.
	Env string `yaml:"env"`
	// File is a path, relative to the file that names it.
	File string `yaml:"file"`

	value *hidden // what it stands for; nil when the reference is broken
}

// TrustStore is a named set of trust anchors and pins.
type TrustStore struct {
	// Name is unique among trust stores.
	Name string `yaml:"name"`
	// Anchors are the CAs and pins.
	Anchors []Anchor `yaml:"anchors"`
	// Revocation says how revocation is checked; off by default.
	Revocation *Revocation `yaml:"revocation"`
	// Purpose is the extended key usage that a certificate must have: client_auth (the default where clients are
	// judged), server_auth (the default towards backends) or any.
	Purpose Purpose `yaml:"purpose" enum:"client_auth server_auth any"`
	// MaxDepth is the largest number of intermediate CAs between the leaf and the anchor; absent means 5.
	MaxDepth *int `yaml:"max_depth"`

	// Broken says why the store cannot be used; nil when it can. A broken store only survives Load with
	// Options.ServePartial.
	Broken error `yaml:"-"`
}

// Anchor is one source of trust anchors: a file or text that may hold several certificates. A CA certificate stands for
// everybody below it unless pin is true; any other certificate is a pin: exactly that leaf. A string is a CertificateRef.
type Anchor struct {
	// File is a path to PEM or DER, relative to the file that names it.
	File string `yaml:"file"`
	// Certificate is a reference to a certificate.
	Certificate *CertificateRef `yaml:"certificate"`
	// PEM is the text itself.
	PEM string `yaml:"pem"`
	// PKCS12 is a PKCS#12 trust store.
	PKCS12 *KeyStoreRef `yaml:"pkcs12"`
	// JKS is a Java trust store.
	JKS *KeyStoreRef `yaml:"jks"`
	// Pin makes every certificate of the source a pin, CAs included.
	Pin bool `yaml:"pin"`

	// Certificates is what the source holds; nil when it is broken.
	Certificates []*x509.Certificate `yaml:"-"`
}

// Purpose is the extended key usage that a trust store asks for.
type Purpose string

// The purposes; the empty string means absent.
const (
	PurposeClientAuth Purpose = "client_auth"
	PurposeServerAuth Purpose = "server_auth"
	PurposeAny        Purpose = "any"
)

// Revocation says how a trust store checks revocation.
type Revocation struct {
	// Mode is off, soft or hard.
	Mode string `yaml:"mode" enum:"off soft hard"`
	// CRL are the sources of revocation lists.
	CRL []CRLSource `yaml:"crl"`
	// OCSP asks responders.
	OCSP *OCSP `yaml:"ocsp"`
}

// CRLSource is where a revocation list comes from.
type CRLSource struct {
	// File is a path, relative to the file that names it.
	File string `yaml:"file"`
	// URL is an http or https address.
	URL string `yaml:"url"`
}

// OCSP says which responders are asked.
type OCSP struct {
	// URL replaces the responder that certificates name.
	URL string `yaml:"url"`
}
