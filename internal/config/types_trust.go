package config

import (
	"crypto/tls"
	"crypto/x509"
)

// Credential is a certificate and its private key, given as two references or as one key store.
type Credential struct {
	// Unique among credentials.
	Name string `yaml:"name" need:"yes"`
	// The certificate, with the intermediates that are sent with it. It goes with `private_key`.
	Certificate *CertificateRef `yaml:"certificate" choice:"one" with:"private_key"`
	// The private key. It goes with `certificate`.
	PrivateKey *Secret `yaml:"private_key" with:"certificate"`
	// A PKCS#12 file that holds both.
	PKCS12 *KeyStoreRef `yaml:"pkcs12" choice:"one"`
	// A Java key store that holds both.
	JKS *KeyStoreRef `yaml:"jks" choice:"one"`

	// Resolved is the credential itself; nil when the reference is broken.
	Resolved *tls.Certificate `yaml:"-"`
}

// CertificateRef is the one way to refer to certificates: a text, or a mapping with one of the keys. A text that begins with
// `-----BEGIN` is PEM, 64 hex digits are an id, what has a slash or a dot is a path, and any other word, also with
// `@version`, is the name of a stored certificate.
type CertificateRef struct {
	// Path of a PEM or DER file, relative to the file that names it.
	File string `yaml:"file" choice:"one"`
	// Id of a stored certificate.
	ID string `yaml:"id" choice:"one" unbuilt:"*"`
	// Name of a stored certificate, or `name@version`.
	Name string `yaml:"name" choice:"one" unbuilt:"*"`
	// The PEM text itself.
	PEM string `yaml:"pem" choice:"one"`
	// PKCS#12 file.
	PKCS12 *KeyStoreRef `yaml:"pkcs12" choice:"one"`
	// Java key store.
	JKS *KeyStoreRef `yaml:"jks" choice:"one"`
	// Picks one entry of the key store; absent means every certificate in it. Upper and lower case are the same.
	Alias string `yaml:"alias" with:"pkcs12 jks"`
	// Opens the key store: a text, `{env: NAME}` or `{file: path}`.
	Password *Secret `yaml:"password,text" with:"pkcs12 jks"`

	// Certificates is what the reference stands for, in the order of the file; nil when it is broken.
	Certificates []*x509.Certificate `yaml:"-"`
}

// KeyStoreRef is a PKCS#12 or JKS file: a path, or a mapping with its password.
type KeyStoreRef struct {
	// Path, relative to the file that names it.
	File string `yaml:"file" need:"yes"`
	// Opens the store: a text, `{env: NAME}` or `{file: path}`; absent is the empty password.
	Password *Secret `yaml:"password,text"`
	// Picks one entry; absent means every certificate or, of a credential, the only private key. Upper and lower case are the
	// same.
	Alias string `yaml:"alias"`
}

// Secret is a value that is never written to a log, an error or standard output: `{env: NAME}` or `{file: path}`.
//
// For the passwords of key stores it may be a text. It prints as "[secret]" whatever formats it.
type Secret struct { //nolint:recvcheck // values must print as little as pointers do, and a nil one reveals nothing
	// Name of an environment variable; unset or empty is an error.
	Env string `yaml:"env" choice:"one"`
	// Path, relative to the file that names it.
	File string `yaml:"file" choice:"one"`

	value *hidden // what it stands for; nil when the reference is broken
}

// TrustStore is a named set of trust anchors and pins.
type TrustStore struct {
	// Unique among trust stores.
	Name string `yaml:"name" need:"yes"`
	// The CAs and pins.
	Anchors []Anchor `yaml:"anchors" need:"yes"`
	// How revocation is checked. Absent means not at all.
	Revocation *Revocation `yaml:"revocation"`
	// The extended key usage that a certificate must have; one that states none is for all. Absent means `client_auth` where
	// callers are judged and `server_auth` towards backends. `client_auth_or_missing` is for callers whose certificates come
	// from a public CA, which leaves `client_auth` out: where it is missing, `server_auth` takes its place, all the way up the
	// path. Everybody who has a server's certificate of that CA then has a caller's, so say who may call with `allow`.
	Purpose Purpose `yaml:"purpose" enum:"client_auth server_auth any client_auth_or_missing"`
	// When a purpose that admits more ends; then the store asks callers for `client_auth`, as if it had none. A day, such as
	// `2027-03-14`, ends at midnight UTC; a time is `2027-03-14T18:00:00Z`. It goes with the purposes `any` and
	// `client_auth_or_missing`. Absent means never. The log says when it is 90 days away.
	Until *Moment `yaml:"until" with:"purpose"`
	// The smallest keys that are accepted, of anchors too.
	MinKeySize *KeySize `yaml:"min_key_size"`
	// Accepts certificates of X.509 version 1, which have no extensions, of callers and as pins. They are never CAs.
	AllowV1 bool `yaml:"allow_v1" default:"false"`
	// The largest number of intermediate CAs between a certificate and its anchor.
	MaxDepth *int `yaml:"max_depth" range:"0 100" default:"5"`

	// Broken says why the store cannot be used; nil when it can. A broken store only survives Load with
	// Options.ServePartial.
	Broken error `yaml:"-"`
}

// Anchor is a file or text with one or more certificates; a text alone is a reference to certificates. A CA certificate
// stands for everybody below it unless `pin` is true; any other certificate is a pin: exactly that one.
type Anchor struct {
	// Path of a PEM or DER file, relative to the file that names it.
	File string `yaml:"file" choice:"one"`
	// Reference to a certificate.
	Certificate *CertificateRef `yaml:"certificate" choice:"one"`
	// The PEM text itself.
	PEM string `yaml:"pem" choice:"one"`
	// PKCS#12 trust store.
	PKCS12 *KeyStoreRef `yaml:"pkcs12" choice:"one"`
	// Java trust store.
	JKS *KeyStoreRef `yaml:"jks" choice:"one"`
	// Makes every certificate of the source a pin, CAs included.
	Pin bool `yaml:"pin" default:"false"`

	// Certificates is what the source holds; nil when it is broken.
	Certificates []*x509.Certificate `yaml:"-"`
}

// Purpose is the extended key usage that a trust store asks for.
type Purpose string

// The purposes; the empty string means absent.
const (
	PurposeClientAuth          Purpose = "client_auth"
	PurposeServerAuth          Purpose = "server_auth"
	PurposeAny                 Purpose = "any"
	PurposeClientAuthOrMissing Purpose = "client_auth_or_missing"
)

// KeySize is the smallest keys that a trust store accepts. It can ask for more than the gateway does, never for less.
type KeySize struct {
	// Bits of RSA keys.
	RSA *int `yaml:"rsa" range:"2048 8192" default:"2048" choice:"some"`
	// The smallest elliptic curve. Ed25519 counts as `P-256`.
	EC Curve `yaml:"ec" enum:"P-256 P-384 P-521" default:"P-256" choice:"some"`
}

// Curve is an elliptic curve of ECDSA.
type Curve string

// The curves; the empty string means absent.
const (
	CurveP256 Curve = "P-256"
	CurveP384 Curve = "P-384"
	CurveP521 Curve = "P-521"
)

// Revocation is how a trust store checks revocation.
type Revocation struct {
	// `off` checks nothing, `soft` accepts a certificate whose state cannot be found out, `hard` refuses it. `soft` and
	// `hard` need a source, `crl` or `ocsp`.
	Mode string `yaml:"mode" enum:"off soft hard" need:"yes" unbuilt:"soft hard"`
	// The sources of revocation lists.
	CRL []CRLSource `yaml:"crl" unbuilt:"*"`
	// The responders that are asked.
	OCSP *OCSP `yaml:"ocsp" unbuilt:"*"`
}

// CRLSource is where a revocation list comes from. A text is a URL where it has `://`, else a path.
type CRLSource struct {
	// Path, relative to the file that names it.
	File string `yaml:"file" choice:"one"`
	// An http or https URL.
	URL string `yaml:"url" choice:"one"`
}

// OCSP is which responders are asked.
type OCSP struct {
	// Replaces the responder that certificates name.
	URL string `yaml:"url"`
}
