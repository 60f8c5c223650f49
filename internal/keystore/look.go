package keystore

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
)

// Look is Parse for reports: a certificate that x509 can read but for its key, such as one on a Brainpool curve, is in the
// bundle with a nil PublicKey and everything else. Nothing may be trusted for what Look returned: Parse refuses the file.
func Look(data []byte, password string) (*Bundle, error) {
	return parse(data, password, certificateOrWithoutKey)
}

// certificateParser parses the DER of one certificate.
type certificateParser func(der []byte) (*x509.Certificate, error)

func certificateOrWithoutKey(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		return cert, nil
	}
	cert, without := withoutKey(der)
	if without != nil {
		return nil, err // the key is not what is wrong with it
	}
	return cert, nil
}

// unknownKey is a SubjectPublicKeyInfo of a kind that x509 reads nothing of: the OID 0.0.
var unknownKey = []byte{0x30, 0x09, 0x30, 0x03, tagOID, 0x01, 0x00, 0x03, 0x02, 0x00, 0x00}

// withoutKey parses a certificate with another key in the place of its own (RFC 5280, section 4.1.2.7), and puts its own bytes
// back, so that thumbprints are right.
func withoutKey(der []byte) (*x509.Certificate, error) {
	var outer struct{ TBS, Algorithm, Signature asn1.RawValue }
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 {
		return nil, errors.New("no certificate")
	}
	var fields []asn1.RawValue
	if rest, err := asn1.Unmarshal(outer.TBS.FullBytes, &fields); err != nil || len(rest) > 0 {
		return nil, errors.New("no certificate")
	}
	at := 5 // behind number, algorithm, issuer, validity and subject
	if len(fields) > 0 && fields[0].Class == asn1.ClassContextSpecific {
		at++ // there is a version
	}
	if len(fields) <= at {
		return nil, errors.New("no certificate")
	}
	own := fields[at].FullBytes
	fields[at] = asn1.RawValue{FullBytes: unknownKey}
	tbs, err := asn1.Marshal(fields)
	if err != nil {
		return nil, err
	}
	text, err := asn1.Marshal([]asn1.RawValue{{FullBytes: tbs}, outer.Algorithm, outer.Signature})
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(text)
	if err != nil {
		return nil, err
	}
	cert.Raw, cert.RawTBSCertificate, cert.RawSubjectPublicKeyInfo = slices.Clone(der), slices.Clone(outer.TBS.FullBytes), slices.Clone(own)
	return cert, nil
}

// unsupportedKind names the kind of a PKCS#8 key (RFC 5958, section 2) that is well-formed and of no supported kind; "" for any
// other. It quotes nothing of the key.
func unsupportedKind(der []byte) string {
	var key struct {
		Version   int
		Algorithm struct {
			ID         asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Key  []byte
		Rest []asn1.RawValue `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(der, &key); err != nil || len(rest) > 0 {
		return ""
	}
	kinds := map[string]string{
		"1.3.101.113": "Ed448", "1.3.101.111": "X448", "1.3.101.110": "X25519", "1.2.840.10040.4.1": "DSA", "1.2.840.10046.2.1": "Diffie-Hellman",
		"1.2.840.113549.1.1.10": "RSA-PSS",
	}
	id := key.Algorithm.ID.String()
	kind := kinds[id]
	var curve asn1.ObjectIdentifier
	switch {
	case kind != "":
	case id == "1.2.840.113549.1.1.1", id == "1.3.101.112": // RSA and Ed25519: it is damaged
		return ""
	case id != "1.2.840.10045.2.1":
		kind = "of the kind " + id
	default:
		if _, err := asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &curve); err != nil {
			return ""
		}
		if slices.Contains([]string{"1.3.132.0.33", "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"}, curve.String()) {
			return "" // damaged, too
		}
		kind = "ECDSA on the curve " + curve.String()
	}
	return kind
}
