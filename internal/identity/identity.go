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
	twin            thumbprints
	issuerSHA256    SHA256
	hasIssuer       bool
	issuerTwin      thumbprints
	serial          Serial
	subject, issuer DN
	commonName      string
	hasCommonName   bool
	organization    string // the subject's only organizationIdentifier
	names           alternativeNames
	policies        []PolicyOID
	statements      QCStatements
}

// Of reads the identity off the leaf of a certification path: leaf first, then the certificate that issued it, up to the
// trust anchor; a pin is a path of one. It checks no signature, validity or purpose: only package trust calls it, after
// the path was validated. Of the certificates above the leaf it takes the thumbprint of the first and what is needed
// for twins (see TwinSHA256). A leaf whose subject, issuer, serial number, alternative names or policies cannot be read
// to the last byte is an error and has no identity, and so is a path with a certificate missing or with an ECDSA
// signature on the leaf or its issuer that has no twin; the reason is certificate_malformed. QC statements that cannot be
// read are no error, as nobody is let in for them without somebody asking: see QCStatements.
func Of(path []*x509.Certificate) (*Identity, error) {
	missing := func(cert *x509.Certificate) bool { return cert == nil || len(cert.Raw) == 0 }
	if len(path) == 0 || slices.ContainsFunc(path, missing) {
		return nil, errors.New("no certificate")
	}
	leaf := path[0]
	id := &Identity{
		leaf:   leaf,
		sha256: sha256.Sum256(leaf.Raw),
		sha1:   sha1.Sum(leaf.Raw), //nolint:gosec // see SHA1
		spki:   sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
	}
	if err := id.readThumbprints(path); err != nil {
		return nil, err
	}
	if err := id.readNames(); err != nil {
		return nil, err
	}
	return id, nil
}

// readThumbprints takes the thumbprints that depend on who issued what.
func (id *Identity) readThumbprints(path []*x509.Certificate) error {
	var err error
	if len(path) > 1 {
		id.issuerSHA256, id.hasIssuer = Thumbprint(path[1]), true
		if id.twin, err = twinOf(path[0], path[1]); err != nil {
			return err
		}
	}
	if len(path) > 2 {
		if id.issuerTwin, err = twinOf(path[1], path[2]); err != nil {
			return fmt.Errorf("issuer: %w", err)
		}
	}
	return nil
}

// readNames reads everything that the leaf says about its holder.
func (id *Identity) readNames() error {
	leaf := id.leaf
	var err error
	if id.serial, err = serialOf(leaf.SerialNumber); err != nil {
		return err
	}
	if id.subject, err = ParseDN(leaf.RawSubject); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	if id.issuer, err = ParseDN(leaf.RawIssuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	oidSubjectAltName, oidPolicies := asn1.ObjectIdentifier{2, 5, 29, 17}, asn1.ObjectIdentifier{2, 5, 29, 32}
	for _, extension := range leaf.Extensions {
		switch {
		case extension.Id.Equal(oidSubjectAltName):
			id.names, err = parseAlternativeNames(extension.Value)
		case extension.Id.Equal(oidPolicies):
			id.policies, err = parsePolicies(extension.Value)
		}
		if err != nil {
			return err
		}
	}
	id.statements = QCStatementsOf(leaf)
	id.organization, _ = id.subject.OrganizationIdentifier()
	if names := id.subject.CommonNames(); len(names) == 1 && names[0] != "" {
		id.commonName, id.hasCommonName = names[0], true
	}
	return nil
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

// TwinSHA256 returns the thumbprint that the same certificate has with the other of its two valid ECDSA signatures.
// Nobody needs a key to turn (r, s) into (r, n-s), so the holder of a certificate may present either: lists that deny
// compare both thumbprints, lists that allow only SHA256. False when the leaf is not signed with ECDSA, and when its
// issuer is unknown, as with pins, which are compared byte by byte.
func (id *Identity) TwinSHA256() (SHA256, bool) {
	if id == nil {
		return SHA256{}, false
	}
	return id.twin.sha256, id.twin.exist
}

// TwinSHA1 is TwinSHA256 with SHA-1.
func (id *Identity) TwinSHA1() (SHA1, bool) {
	if id == nil {
		return SHA1{}, false
	}
	return id.twin.sha1, id.twin.exist
}

// IssuerSHA256 returns the thumbprint of the certificate that issued the leaf in the path that was validated; false when
// the issuer is unknown, as with pins.
func (id *Identity) IssuerSHA256() (SHA256, bool) {
	if id == nil {
		return SHA256{}, false
	}
	return id.issuerSHA256, id.hasIssuer
}

// TwinIssuerSHA256 is to IssuerSHA256 what TwinSHA256 is to SHA256. False also when the issuer is the trust anchor: its
// bytes are the operator's.
func (id *Identity) TwinIssuerSHA256() (SHA256, bool) {
	if id == nil {
		return SHA256{}, false
	}
	return id.issuerTwin.sha256, id.issuerTwin.exist
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
