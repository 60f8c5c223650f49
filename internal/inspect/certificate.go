package inspect

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // to name such a key, never to use it
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what Azure and others call a thumbprint; nothing is trusted by it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sallyport/internal/identity"
)

// Certificate is what there is to say about one certificate.
type Certificate struct {
	Number             int               `json:"number"` // its place in the file, from 1
	Aliases            []string          `json:"aliases,omitempty"`
	Role               string            `json:"role"` // ca or leaf, as a trust store takes it
	Subject            Name              `json:"subject"`
	Issuer             Name              `json:"issuer"`
	SelfIssued         bool              `json:"self_issued"` // subject and issuer are the same name
	SelfSigned         bool              `json:"self_signed"` // its own key made its signature
	IssuedBy           []int             `json:"issued_by"`   // certificates of the file whose key made its signature, without itself
	Thumbprints        Thumbprints       `json:"thumbprints"`
	Serial             Serial            `json:"serial"`
	Version            int               `json:"version"`
	Key                PublicKey         `json:"key"`
	SignatureAlgorithm string            `json:"signature_algorithm"`
	Validity           Validity          `json:"validity"`
	KeyUsage           []string          `json:"key_usage"`
	ExtKeyUsage        []string          `json:"ext_key_usage"`
	BasicConstraints   *BasicConstraints `json:"basic_constraints"` // null without the extension
	SubjectAltNames    []AltName         `json:"subject_alt_names"`
	NameConstraints    *NameConstraints  `json:"name_constraints,omitempty"`
	Policies           []string          `json:"policies,omitempty"`
	// QCStatements are those of a qualified certificate; absent without any.
	QCStatements   *identity.QCStatements `json:"qc_statements,omitempty"`
	OCSP           []string               `json:"ocsp,omitempty"`       // where its status is asked
	IssuerURLs     []string               `json:"ca_issuers,omitempty"` // where its issuer's certificate is said to be
	CRLs           []string               `json:"crl,omitempty"`
	SubjectKeyID   string                 `json:"subject_key_id,omitempty"`
	AuthorityKeyID string                 `json:"authority_key_id,omitempty"`
	Extensions     []Extension            `json:"extensions"`
	Uses           []Use                  `json:"uses"`
	Matchers       []string               `json:"matchers"` // for allow and deny, each one line of YAML
	Lints          []Finding              `json:"lints"`
}

// Thumbprints are the digests of a certificate in the spellings that others use.
type Thumbprints struct {
	SHA256          string `json:"sha256"` // lower-case hex: this program, Tyk behind its organisation's id
	SHA256Colon     string `json:"sha256_colon"`
	SHA256Base64    string `json:"sha256_base64"`
	SHA256Base64URL string `json:"sha256_base64url"` // x5t#S256 of RFC 8705
	SHA1            string `json:"sha1"`
	SHA1Colon       string `json:"sha1_colon"`
	SHA1Upper       string `json:"sha1_upper"`     // Azure, Windows
	SHA1Base64URL   string `json:"sha1_base64url"` // x5t of RFC 7515
	SPKI            string `json:"spki_sha256"`
	SPKIBase64      string `json:"spki_sha256_base64"` // pin-sha256 of RFC 7469
	// Twin is the SHA-256 of the same certificate with the other of its two valid ECDSA signatures, which deny compares
	// as well. Empty when there is none or the file does not show an accepted path.
	Twin string `json:"twin_sha256,omitempty"`
}

// Serial is a serial number as it is spelt.
type Serial struct {
	Hex     string `json:"hex"` // upper case, without leading zeros
	Colon   string `json:"colon"`
	Decimal string `json:"decimal"`
}

// PublicKey is a certificate's key.
type PublicKey struct {
	Type     string `json:"type"`               // such as RSA 2048, ECDSA P-256, Ed25519
	Bits     int    `json:"bits,omitempty"`     // of the modulus or the field
	Exponent int    `json:"exponent,omitempty"` // RSA
}

// Validity is when a certificate is valid.
type Validity struct {
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	State     string    `json:"state"`     // valid, expired or not_yet_valid
	DaysLeft  int       `json:"days_left"` // whole days until not_after; negative after it
}

// BasicConstraints are those of RFC 5280 §4.2.1.9.
type BasicConstraints struct {
	CA      bool `json:"ca"`
	PathLen *int `json:"path_len"` // null: no limit
}

// NameConstraints are those of RFC 5280 §4.2.1.10, each with its kind in front.
type NameConstraints struct {
	Critical  bool     `json:"critical"`
	Permitted []string `json:"permitted"`
	Excluded  []string `json:"excluded"`
}

// Extension is an extension of a certificate.
type Extension struct {
	OID      string `json:"oid"`
	Name     string `json:"name,omitempty"`
	Critical bool   `json:"critical"`
	Bytes    int    `json:"bytes"`
}

// certificate describes the certificate at a place.
func (w *web) certificate(at int, aliases []string) Certificate {
	cert := w.certs[at]
	c := Certificate{
		Number:             at + 1,
		Aliases:            aliases,
		Role:               "leaf",
		Subject:            newName(cert.RawSubject),
		Issuer:             newName(cert.RawIssuer),
		SelfIssued:         string(cert.RawSubject) == string(cert.RawIssuer),
		SelfSigned:         w.selfSigned[at],
		IssuedBy:           []int{},
		Thumbprints:        thumbprintsOf(cert),
		Serial:             serialOf(cert),
		Version:            cert.Version,
		Key:                keyOfCertificate(cert),
		SignatureAlgorithm: cert.SignatureAlgorithm.String(),
		Validity:           validityOf(cert, w.at),
		KeyUsage:           keyUsages(cert.KeyUsage),
		ExtKeyUsage:        extKeyUsages(cert),
		SubjectAltNames:    alternativeNames(cert),
		NameConstraints:    nameConstraintsOf(cert),
		OCSP:               cert.OCSPServer,
		IssuerURLs:         cert.IssuingCertificateURL,
		CRLs:               cert.CRLDistributionPoints,
		SubjectKeyID:       hex.EncodeToString(cert.SubjectKeyId),
		AuthorityKeyID:     hex.EncodeToString(cert.AuthorityKeyId),
		Extensions:         extensionsOf(cert),
	}
	if w.facts[at].CA {
		c.Role = "ca"
	}
	for _, parent := range w.parents[at] {
		c.IssuedBy = append(c.IssuedBy, parent+1)
	}
	if cert.BasicConstraintsValid {
		c.BasicConstraints = &BasicConstraints{CA: cert.IsCA}
		if cert.MaxPathLen > 0 || cert.MaxPathLenZero {
			c.BasicConstraints.PathLen = &cert.MaxPathLen
		}
	}
	for _, policy := range cert.Policies {
		c.Policies = append(c.Policies, policy.String())
	}
	if statements := identity.QCStatementsOf(cert); len(statements.IDs) > 0 || statements.Malformed != "" {
		c.QCStatements = &statements
	}
	c.Uses, c.Thumbprints.Twin = w.uses(at)
	c.Matchers = matchersOf(&c)
	c.Lints = w.lint(at, &c)
	return c
}

func thumbprintsOf(cert *x509.Certificate) Thumbprints {
	long, short := sha256.Sum256(cert.Raw), sha1.Sum(cert.Raw) //nolint:gosec // see the import
	spki := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return Thumbprints{
		SHA256:          identity.Thumbprint(cert).String(),
		SHA256Colon:     strings.ToUpper(colons(long[:])),
		SHA256Base64:    base64.StdEncoding.EncodeToString(long[:]),
		SHA256Base64URL: base64.RawURLEncoding.EncodeToString(long[:]),
		SHA1:            hex.EncodeToString(short[:]),
		SHA1Colon:       strings.ToUpper(colons(short[:])),
		SHA1Upper:       strings.ToUpper(hex.EncodeToString(short[:])),
		SHA1Base64URL:   base64.RawURLEncoding.EncodeToString(short[:]),
		SPKI:            hex.EncodeToString(spki[:]),
		SPKIBase64:      base64.StdEncoding.EncodeToString(spki[:]),
	}
}

// colons writes bytes in lower-case hex with colons between them.
func colons(data []byte) string {
	pairs := make([]string, len(data))
	for i, b := range data {
		pairs[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(pairs, ":")
}

func serialOf(cert *x509.Certificate) Serial {
	n := cert.SerialNumber
	if n == nil {
		return Serial{}
	}
	sign, magnitude := "", n.Bytes()
	if n.Sign() < 0 {
		sign = "-"
	}
	if len(magnitude) == 0 {
		magnitude = []byte{0}
	}
	return Serial{Hex: strings.ToUpper(n.Text(16)), Colon: sign + colons(magnitude), Decimal: n.String()}
}

// keyOfCertificate describes a certificate's key, also one that x509 does not know.
func keyOfCertificate(cert *x509.Certificate) PublicKey {
	if cert.PublicKey != nil {
		return keyOf(cert.PublicKey)
	}
	name, _ := identity.KeyKind(cert)
	return PublicKey{Type: name}
}

// keyOf describes a public key, or a nil one of a kind that x509 does not know.
func keyOf(public crypto.PublicKey) PublicKey {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return PublicKey{Type: fmt.Sprintf("RSA %d", key.N.BitLen()), Bits: key.N.BitLen(), Exponent: key.E}
	case *ecdsa.PublicKey:
		return PublicKey{Type: "ECDSA " + key.Curve.Params().Name, Bits: key.Curve.Params().BitSize}
	case ed25519.PublicKey:
		return PublicKey{Type: "Ed25519", Bits: 256}
	case *dsa.PublicKey:
		return PublicKey{Type: fmt.Sprintf("DSA %d", key.P.BitLen()), Bits: key.P.BitLen()}
	case nil:
		return PublicKey{Type: "unknown"}
	}
	return PublicKey{Type: strings.TrimPrefix(fmt.Sprintf("%T", public), "*")}
}

func validityOf(cert *x509.Certificate, at time.Time) Validity {
	v := Validity{NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), State: "valid"}
	// In seconds: a duration in nanoseconds does not reach the year 9999.
	v.DaysLeft = int(math.Floor(float64(cert.NotAfter.Unix()-at.Unix()) / (24 * 60 * 60)))
	switch {
	case at.Before(cert.NotBefore):
		v.State = "not_yet_valid"
	case at.After(cert.NotAfter):
		v.State = "expired"
	}
	return v
}

// keyUsages are the words of RFC 5280 §4.2.1.3.
func keyUsages(usage x509.KeyUsage) []string {
	names := []string{
		"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign",
		"encipherOnly", "decipherOnly",
	}
	found := []string{}
	for i, name := range names {
		if usage&(1<<i) != 0 {
			found = append(found, name)
		}
	}
	return found
}

// extKeyUsages are the words of RFC 5280 §4.2.1.12, or OIDs.
func extKeyUsages(cert *x509.Certificate) []string {
	names := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageAny: "anyExtendedKeyUsage", x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth",
		x509.ExtKeyUsageCodeSigning: "codeSigning", x509.ExtKeyUsageEmailProtection: "emailProtection",
		x509.ExtKeyUsageIPSECEndSystem: "ipsecEndSystem", x509.ExtKeyUsageIPSECTunnel: "ipsecTunnel", x509.ExtKeyUsageIPSECUser: "ipsecUser",
		x509.ExtKeyUsageTimeStamping: "timeStamping", x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
		x509.ExtKeyUsageMicrosoftServerGatedCrypto: "msServerGatedCrypto", x509.ExtKeyUsageNetscapeServerGatedCrypto: "nsServerGatedCrypto",
		x509.ExtKeyUsageMicrosoftCommercialCodeSigning: "msCommercialCodeSigning", x509.ExtKeyUsageMicrosoftKernelCodeSigning: "msKernelCodeSigning",
	}
	found := []string{}
	for _, usage := range cert.ExtKeyUsage {
		name, ok := names[usage]
		if !ok {
			name = fmt.Sprintf("unknown %d", usage)
		}
		found = append(found, name)
	}
	for _, oid := range cert.UnknownExtKeyUsage {
		found = append(found, oid.String())
	}
	return found
}

func nameConstraintsOf(cert *x509.Certificate) *NameConstraints {
	c := &NameConstraints{Critical: cert.PermittedDNSDomainsCritical, Permitted: []string{}, Excluded: []string{}}
	add := func(list *[]string, kind string, values []string) {
		for _, value := range values {
			*list = append(*list, kind+":"+value)
		}
	}
	add(&c.Permitted, "dns", cert.PermittedDNSDomains)
	add(&c.Permitted, "email", cert.PermittedEmailAddresses)
	add(&c.Permitted, "uri", cert.PermittedURIDomains)
	add(&c.Excluded, "dns", cert.ExcludedDNSDomains)
	add(&c.Excluded, "email", cert.ExcludedEmailAddresses)
	add(&c.Excluded, "uri", cert.ExcludedURIDomains)
	for _, network := range cert.PermittedIPRanges {
		c.Permitted = append(c.Permitted, "ip:"+network.String())
	}
	for _, network := range cert.ExcludedIPRanges {
		c.Excluded = append(c.Excluded, "ip:"+network.String())
	}
	if len(c.Permitted)+len(c.Excluded) == 0 {
		return nil
	}
	return c
}

func extensionsOf(cert *x509.Certificate) []Extension {
	names := map[string]string{
		"2.5.29.14": "subjectKeyIdentifier", "2.5.29.15": "keyUsage", "2.5.29.17": "subjectAltName", "2.5.29.18": "issuerAltName",
		"2.5.29.19": "basicConstraints", "2.5.29.30": "nameConstraints", "2.5.29.31": "cRLDistributionPoints",
		"2.5.29.32": "certificatePolicies", "2.5.29.33": "policyMappings", "2.5.29.35": "authorityKeyIdentifier",
		"2.5.29.36": "policyConstraints", "2.5.29.37": "extKeyUsage", "2.5.29.46": "freshestCRL", "2.5.29.54": "inhibitAnyPolicy",
		"1.3.6.1.5.5.7.1.1": "authorityInfoAccess", "1.3.6.1.5.5.7.1.3": "qcStatements", "1.3.6.1.5.5.7.1.24": "tlsFeature",
		oidSCTs: "signedCertificateTimestamps", "2.16.840.1.113730.1.1": "netscapeCertType", "2.16.840.1.113730.1.13": "netscapeComment",
		"1.3.6.1.4.1.311.20.2": "msCertificateTemplateName", "1.3.6.1.4.1.311.21.7": "msCertificateTemplate",
		"1.3.6.1.4.1.311.25.2": "msSecurityIdentifier",
	}
	found := []Extension{}
	for _, e := range cert.Extensions {
		oid := e.Id.String()
		found = append(found, Extension{OID: oid, Name: names[oid], Critical: e.Critical, Bytes: len(e.Value)})
	}
	return found
}

// oidSCTs is the extension of RFC 6962 §3.3.
const oidSCTs = "1.3.6.1.4.1.11129.2.4.2"

// hasExtension reports whether a certificate has the extension.
func (c *Certificate) hasExtension(oid string) bool {
	return slices.ContainsFunc(c.Extensions, func(e Extension) bool { return e.OID == oid })
}
