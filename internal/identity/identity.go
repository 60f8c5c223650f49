package identity

import (
	"crypto/sha1" //nolint:gosec // see SHA1
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
)

// maxSubjectText bounds SubjectText, in bytes.
const maxSubjectText = 1024

// Identity is what a validated certificate says about its holder. It is immutable and safe for concurrent use. A nil
// Identity and the zero Identity have no names and match nothing.
type Identity struct {
	leaf            *x509.Certificate
	sha256, spki    SHA256
	sha1            SHA1
	serial          Serial
	subject, issuer DN
	commonName      string
	hasCommonName   bool
	names           alternativeNames
}

// Of reads the identity off a leaf. It checks no signature, validity or purpose: only package trust calls it, after the
// certification path of this leaf was validated. A leaf whose subject, issuer, serial number or alternative names
// cannot be read to the last byte is an error and has no identity; the reason is certificate_malformed.
func Of(leaf *x509.Certificate) (*Identity, error) {
	if leaf == nil || len(leaf.Raw) == 0 {
		return nil, errors.New("no certificate")
	}
	id := &Identity{
		leaf:   leaf,
		sha256: sha256.Sum256(leaf.Raw),
		sha1:   sha1.Sum(leaf.Raw), //nolint:gosec // see SHA1
		spki:   sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
	}
	var err error
	if id.serial, err = serialOf(leaf.SerialNumber); err != nil {
		return nil, err
	}
	if id.subject, err = ParseDN(leaf.RawSubject); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if id.issuer, err = ParseDN(leaf.RawIssuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	oidSubjectAltName := asn1.ObjectIdentifier{2, 5, 29, 17}
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(oidSubjectAltName) {
			continue
		}
		if id.names, err = parseAlternativeNames(extension.Value); err != nil {
			return nil, err
		}
	}
	if names := id.subject.CommonNames(); len(names) == 1 && names[0] != "" {
		id.commonName, id.hasCommonName = names[0], true
	}
	return id, nil
}

// Leaf returns the certificate, which must not be changed; nil for a nil Identity.
func (id *Identity) Leaf() *x509.Certificate {
	if id == nil {
		return nil
	}
	return id.leaf
}

// SHA256 returns the certificate's thumbprint.
func (id *Identity) SHA256() SHA256 {
	if id == nil {
		return SHA256{}
	}
	return id.sha256
}

// SHA1 returns the certificate's SHA-1 thumbprint.
func (id *Identity) SHA1() SHA1 {
	if id == nil {
		return SHA1{}
	}
	return id.sha1
}

// SPKI returns the SHA-256 of the certificate's subjectPublicKeyInfo: the same for every certificate of one key.
func (id *Identity) SPKI() SHA256 {
	if id == nil {
		return SHA256{}
	}
	return id.spki
}

// Serial returns the serial number.
func (id *Identity) Serial() Serial {
	if id == nil {
		return Serial{}
	}
	return id.serial
}

// Subject returns the subject's name, nil for a nil Identity.
func (id *Identity) Subject() *DN {
	if id == nil {
		return nil
	}
	return &id.subject
}

// Issuer returns the issuer's name, nil for a nil Identity.
func (id *Identity) Issuer() *DN {
	if id == nil {
		return nil
	}
	return &id.issuer
}

// CommonName returns the subject's common name as the certificate says it and true, or "" and false when there is none
// or more than one.
func (id *Identity) CommonName() (string, bool) {
	if id == nil {
		return "", false
	}
	return id.commonName, id.hasCommonName
}

// DNSNames returns the dNSName alternative names as the certificate says them.
func (id *Identity) DNSNames() []string {
	if id == nil {
		return nil
	}
	return slices.Clone(id.names.dns)
}

// URIs returns the uniformResourceIdentifier alternative names as the certificate says them.
func (id *Identity) URIs() []string {
	if id == nil {
		return nil
	}
	return slices.Clone(id.names.uris)
}

// Emails returns the rfc822Name alternative names as the certificate says them. The subject's emailAddress is none.
func (id *Identity) Emails() []string {
	if id == nil {
		return nil
	}
	return slices.Clone(id.names.emails)
}

// IPs returns the iPAddress alternative names, IPv4-mapped ones as IPv4.
func (id *Identity) IPs() []netip.Addr {
	if id == nil {
		return nil
	}
	return slices.Clone(id.names.ips)
}

// SANKeys yields a key for each alternative name that patterns exist for; see SANPattern.Key.
func (id *Identity) SANKeys() iter.Seq[string] {
	if id == nil {
		return slices.Values[[]string](nil)
	}
	return slices.Values(id.names.keys)
}

// SubjectText returns a certificate's subject for a log, whether the certificate was validated or not: by RFC 4514, or
// "#" and its DER in hex when it cannot be parsed, cut to 1024 bytes. It is one printable line. It never fails; a nil
// certificate has none.
func SubjectText(cert *x509.Certificate) string {
	if cert == nil {
		return ""
	}
	dn, err := ParseDN(cert.RawSubject)
	if err != nil {
		raw := cert.RawSubject[:min(len(cert.RawSubject), maxSubjectText)]
		return shorten("#"+hex.EncodeToString(raw), maxSubjectText)
	}
	return shorten(dn.String(), maxSubjectText)
}
