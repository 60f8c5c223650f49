package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
)

// Facts are what the rules of this package see in a certificate, whatever path it is on and whatever the time is.
type Facts struct {
	// CA says that a store takes the certificate for a CA unless it is pinned.
	CA bool
	// MayIssue says that a path may have the certificate above another one.
	MayIssue bool
	// LooksLikeLeaf says that a store would take it for a CA although it seems to be a single party's.
	LooksLikeLeaf bool
	// ClientAuth and ServerAuth say that its extended key usages admit that use, for a CA those of what it issues.
	ClientAuth, ServerAuth bool
	// OldVersion says that it has a version before 3, which is refused unless a store allows it.
	OldVersion bool
	// WeakKey says what is wrong with its key; empty when nothing is.
	WeakKey string
	// WeakSignature says that its signature, which is looked at where it is no anchor, is of a kind that is refused.
	WeakSignature bool
	// Slow says why its key is too slow to calculate with; empty when it is not.
	Slow string
	// Altered says what was changed after it was issued; empty when nothing was.
	Altered string
	// Malformed says why its names or its serial number cannot be read; empty when they can.
	Malformed string
}

// FactsOf returns what there is to say about a certificate. Of nil, and of one that was not parsed, that it is
// malformed.
func FactsOf(cert *x509.Certificate) Facts {
	if cert == nil || len(cert.Raw) == 0 {
		return Facts{Malformed: "no certificate"}
	}
	f := Facts{
		CA:            isCA(cert),
		MayIssue:      mayIssue(cert),
		ClientAuth:    allows(cert, x509.ExtKeyUsageClientAuth),
		ServerAuth:    allows(cert, x509.ExtKeyUsageServerAuth),
		OldVersion:    cert.Version < 3,
		WeakKey:       smallest.weakness(cert),
		WeakSignature: !acceptedSignature(cert.SignatureAlgorithm),
		Slow:          slowness(cert),
		Altered:       looseness(cert),
	}
	f.LooksLikeLeaf = f.CA && looksLikeLeaf(cert)
	if _, err := identity.Of([]*x509.Certificate{cert}); err != nil {
		f.Malformed = printable(err.Error())
	}
	return f
}

// Examine judges a certificate as the leaf of some path to a CA, without having one: its form, strength, purpose, names
// and validity, in the order in which a store looks at them. OK means only that nothing but a path is missing; the
// certificate is not trusted by that. The detail says what broke. PurposeDefault means ClientAuth.
func Examine(cert *x509.Certificate, use Purpose, now time.Time) (reason decision.Reason, detail string) {
	if f := examine(cert, use, now); f != nil {
		return f.reason, f.detail
	}
	return decision.OK, ""
}

func examine(cert *x509.Certificate, use Purpose, now time.Time) *fault {
	c := NewChain([]*x509.Certificate{cert})
	if c.refusal != nil {
		return &fault{reason: c.refusal.Reason, detail: c.refusal.Detail}
	}
	if now.IsZero() {
		return &fault{reason: clockless.Reason, detail: clockless.Detail}
	}
	path := c.Certificates()
	if len(cert.UnhandledCriticalExtensions) > 0 {
		return formFault(path)
	}
	f := cmp.Or(versionFault(path, false), signatureFault([]*x509.Certificate{cert, nil}), smallest.fault(path))
	if use != ServerAuth && use != Any {
		f = cmp.Or(f, (&inquiry{use: ClientAuth}).callerFault(&Store{}, cert))
	}
	f = cmp.Or(f, usageFault(path, use), timeFault(path, now))
	if f != nil {
		return f
	}
	if _, err := identity.Of(path); err != nil {
		return faultf(cert, decision.CertificateMalformed, "%s: %v", name(cert), err)
	}
	return nil
}

// Issued reports whether parent has the name that child says issued it, and whether its key made child's signature.
// Whether parent may issue anything is another question, see Facts. A key that is too slow to calculate with is not
// asked: it signed nothing.
func Issued(parent, child *x509.Certificate) (named, signedIt bool) {
	if parent == nil || child == nil || !bytes.Equal(child.RawIssuer, parent.RawSubject) {
		return false, false
	}
	return true, slowness(parent) == "" && signed(child, parent)
}
