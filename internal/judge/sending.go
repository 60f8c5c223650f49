package judge

import (
	"crypto/dsa" //nolint:staticcheck // SA1019: to name keys that are refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"

	"sallyport/internal/decision"
)

// goodKeys are the keys for which every client sends a certificate, for a sentence.
const goodKeys = "RSA, ECDSA on P-256, P-384 or P-521, or Ed25519"

// unsent says why no client sends its certificate in a handshake of this version, "" where clients do. The gateway lists the
// signatures that it takes, those of crypto/tls, and a client whose key makes none of them sends an empty list (RFC 8446,
// sections 4.2.3 and 4.4.2.3; RFC 5246, section 7.4.6). ECDSA names a curve in TLS 1.3 and none in TLS 1.2.
func unsent(leaf *x509.Certificate, version uint16) string {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey, ed25519.PublicKey:
		return ""
	case *ecdsa.PublicKey:
		if version < tls.VersionTLS13 || key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521() {
			return ""
		}
	}
	return "the gateway takes no signature of its key, which is " + keyKind(leaf) + ": clients send a certificate for " + goodKeys + " only"
}

// keyKind names the kind of a certificate's key, also of one that x509 does not know.
func keyKind(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA on " + key.Curve.Params().Name
	case *dsa.PublicKey:
		return "DSA"
	case *ecdh.PublicKey:
		return "X25519"
	}
	var info struct {
		Algorithm struct {
			ID         asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Key asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &info); err != nil {
		return "of an unknown kind"
	}
	id := info.Algorithm.ID.String()
	switch id {
	case "1.2.840.113549.1.1.10": // RFC 4055, section 1.2
		return "RSA-PSS (a key of its own kind; RSA keys make RSA-PSS signatures, too)"
	case "1.3.101.113": // RFC 8410, section 3
		return "Ed448"
	}
	return "of the kind " + id
}

// sent returns what of the certificates a client sends over TLS 1.3, and says so where that is nothing: what would become of
// them over TLS 1.2, too, where the profile allows it.
func (w *witness) sent(presented []*x509.Certificate, p *Profile) []*x509.Certificate {
	if len(presented) == 0 {
		return nil
	}
	why := unsent(presented[0], tls.VersionTLS13)
	if why == "" {
		return presented
	}
	w.out.NotSent = why
	w.trace.Add("evidence", decision.Info, "over TLS 1.3 no client sends this certificate: "+why)
	switch {
	case p.MinVersion > tls.VersionTLS12:
	case unsent(presented[0], tls.VersionTLS12) != "":
		w.trace.Add("evidence", decision.Info, "over TLS 1.2 no client sends it either")
	default:
		w.trace.Add("evidence", decision.Info, "over TLS 1.2 clients send it: then the request is "+w.overTLS12(presented, p))
	}
	return nil
}

// overTLS12 is what a request comes to whose certificate is sent.
func (w *witness) overTLS12(presented []*x509.Certificate, p *Profile) string {
	v := *w.request
	v.TLSVersion, v.Evidence = tls.VersionTLS12, NewEvidence(presented, true)
	refused := p.admits(v.Evidence, v.Now, nil).Decision
	if refused.Allowed() {
		refused = w.rules.Decide(&v, nil).Decision
	}
	if refused.Allowed() {
		return "allowed"
	}
	return "refused: " + refused.Reason.String()
}
