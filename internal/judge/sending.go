package judge

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
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
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521() {
			return ""
		}
	}
	kind, curve := identity.KeyKind(leaf)
	switch {
	case curve && version < tls.VersionTLS13:
		return ""
	case leaf.PublicKey != nil && strings.HasPrefix(kind, "ML-DSA-") && version >= tls.VersionTLS13: // x509 reads it from Go 1.27 on, and then TLS 1.3 takes it
		return ""
	}
	return "the gateway takes no signature of its key, which is " + kind + ": clients send a certificate for " + goodKeys + " only"
}

// broken says why TLS breaks a handshake off in which certificates are sent, before anything is judged: crypto/tls has to read all
// of them, and to check a signature of the leaf's key. It is nil where it does not.
func broken(presented []*x509.Certificate) *brokenOff {
	for _, cert := range presented {
		key, isRSA := cert.PublicKey.(*rsa.PublicKey)
		if isRSA && key.N.BitLen() > largestRSA {
			return &brokenOff{cert, decision.CertificateChain, badCertificate, fmt.Sprintf("has an RSA key of more than %d bits", largestRSA)}
		}
		if _, err := x509.ParseCertificate(cert.Raw); cert.PublicKey == nil && err != nil {
			return &brokenOff{cert, decision.CertificateMalformed, "decode_error", "cannot be read: " + err.Error()}
		}
	}
	if key, ok := presented[0].PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < smallestRSA {
		return &brokenOff{presented[0], decision.CertificateWeak, "decrypt_error", fmt.Sprintf("has an RSA key of less than %d bits", smallestRSA)}
	}
	return nil
}

// What crypto/tls and crypto/rsa calculate with, in bits.
const largestRSA, smallestRSA = 8192, 1024

// brokenOff is why TLS breaks a handshake off, with the reason that comes nearest: nothing decides, and the log of the gateway
// has no record but "handshake failed".
type brokenOff struct {
	cert   *x509.Certificate
	reason decision.Reason
	alert  string
	why    string
}

func (b *brokenOff) String() string { return fmt.Sprintf("%q %s", identity.SubjectText(b.cert), b.why) }

// breaksOff explains a handshake that TLS breaks off.
func (w *witness) breaksOff(b *brokenOff, a *Ask) *Explanation {
	w.names(a)
	w.brokenOff, w.broken, w.out.Handshake, w.out.Alert = b, certificateOf(b.cert), true, b.alert
	w.out.Broken = &w.broken
	detail := "TLS breaks the handshake off: " + b.String()
	w.trace.Add("handshake", decision.Fail, detail)
	return w.conclude(decision.Decision{Reason: b.reason, Detail: detail}, nil)
}

// sent returns what of the certificates a client sends over TLS 1.3, and says so where that is nothing: what would become of
// them over TLS 1.2, too, where the TLS profile allows it.
func (w *witness) sent(presented []*x509.Certificate, a *Ask) []*x509.Certificate {
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
	case a.Profile.MinVersion > tls.VersionTLS12:
	case unsent(presented[0], tls.VersionTLS12) != "":
		w.trace.Add("evidence", decision.Info, "over TLS 1.2 no client sends it either")
	default:
		w.trace.Add("evidence", decision.Info, "over TLS 1.2 clients send it: then "+w.overTLS12(presented, a))
	}
	return nil
}

// overTLS12 is what a request comes to whose certificate is sent.
func (w *witness) overTLS12(presented []*x509.Certificate, a *Ask) string {
	if b := broken(presented); b != nil {
		return "TLS breaks the handshake off: " + b.String()
	}
	v := *w.request
	v.TLSVersion, v.Evidence = tls.VersionTLS12, NewEvidence(presented, a.Asks())
	refused := a.admits(v.Evidence, v.Now, nil).Decision
	if refused.Allowed() {
		refused = w.rules.Decide(&v, nil).Decision
	}
	if refused.Allowed() {
		return "the request is allowed"
	}
	return "the request is refused: " + refused.Reason.String()
}
