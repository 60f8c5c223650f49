package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
)

// inquiry is one chain judged at one time by several stores.
type inquiry struct {
	chain *Chain
	now   time.Time
	use   Purpose
}

// finding is what one store says: a path, or a fault.
type finding struct {
	path     []*x509.Certificate
	pin      *x509.Certificate
	identity *identity.Identity
	fault    *fault
}

// fault is a reason with the certificate and the check that it stands for.
type fault struct {
	cert   *x509.Certificate // the element that broke the path
	reason decision.Reason
	flaw   Flaw
	detail string
}

// as returns the fault with its flaw.
func (f *fault) as(flaw Flaw) *fault {
	f.flaw = flaw
	return f
}

// faultf makes a fault about a certificate; the detail names it.
func faultf(about *x509.Certificate, reason decision.Reason, format string, args ...any) *fault {
	return &fault{cert: about, reason: reason, detail: printable(fmt.Sprintf(format, args...))}
}

// printable makes a detail one line of bounded length: errors of crypto/x509 quote names as they are in certificates.
func printable(text string) string {
	const most = 2048 // bytes
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// record puts the finding of a store into a trace.
func (f *finding) record(t *decision.Trace, in *inquiry, s *Store) {
	switch {
	case !t.Enabled():
		return
	case f.fault != nil:
		t.Addf("trust", decision.Fail, "trust store %q: %s: %s", s.name, f.fault.reason, f.fault.detail)
		return
	case f.pin != nil:
		t.Addf("trust", decision.Pass, "trust store %q: %s is pinned", s.name, name(f.pin))
	default:
		t.Addf("trust", decision.Pass, "trust store %q: %s is anchored in %s, intermediates: %d", s.name,
			name(f.path[0]), name(f.path[len(f.path)-1]), depth(f.path))
	}
	if text := in.reprieve(s, f.path, f.pin != nil); text != "" {
		t.Addf("purpose", decision.Info, "trust store %q: %s", s.name, text)
	}
}

// verdict makes the finding of a store a verdict.
func (f *finding) verdict(store string, w window) *Verdict {
	if f.fault != nil {
		return &Verdict{Reason: f.fault.reason, Detail: f.fault.detail, Flaw: f.fault.flaw, Store: store, Until: w.until}
	}
	anchor := f.pin
	if anchor == nil {
		anchor = f.path[len(f.path)-1]
	}
	return &Verdict{
		Reason:   decision.OK,
		Path:     f.path,
		Identity: f.identity,
		Store:    store,
		Anchor:   anchor,
		Pinned:   f.pin != nil,
		Until:    w.until,
	}
}

// owned returns the verdict with certificates of its own instead of those that a peer presented, whose bytes are parts
// of the handshake message with whatever else was in it. Anchors and pins are the store's. Nil if it cannot be done.
func (v *Verdict) owned() *Verdict {
	path := slices.Clone(v.Path)
	for i, cert := range path[:len(path)-1] {
		var err error
		if path[i], err = x509.ParseCertificate(bytes.Clone(cert.Raw)); err != nil {
			return nil
		}
	}
	id, err := identity.Of(path)
	if err != nil {
		return nil
	}
	owned := *v
	owned.Path, owned.Identity = path, id
	return &owned
}

// ask has one store judge the chain and, when it accepts, reads the leaf.
func (in *inquiry) ask(s *Store) *finding {
	leaf := in.chain.certs[0]
	f := &finding{}
	if pin := s.pins[in.chain.outline().ids[0]]; pin != nil && bytes.Equal(pin.Raw, leaf.Raw) {
		f.pin, f.path = pin, []*x509.Certificate{pin}
		f.fault = in.pinFault(s)
	} else {
		f.path, f.fault = in.find(s)
	}
	if f.fault != nil {
		f.fault.detail += in.lapse(s, f.fault)
		return f
	}
	id, err := identity.Of(f.path)
	if err != nil {
		f.fault = faultf(leaf, decision.CertificateMalformed, "%s: %v", name(leaf), err)
		return f
	}
	f.identity = id
	return f
}

// pinFault judges a leaf that the store pins. A pin is its own anchor: nobody's signature on it counts, and none is
// checked. Its version, its key, its purpose where it states one, and its validity are.
func (in *inquiry) pinFault(s *Store) *fault {
	leaf := in.chain.certs[:1]
	if f := s.strengthFault(leaf); f != nil {
		return f
	}
	if f := usageFault(leaf, in.purpose(s)); f != nil {
		return f
	}
	return timeFault(leaf, in.now)
}

// find returns the first acceptable path from the leaf to a CA anchor of the store, or why there is none.
func (in *inquiry) find(s *Store) ([]*x509.Certificate, *fault) {
	leaf := in.chain.certs[0]
	if len(s.anchors) == 0 {
		return nil, faultf(leaf, decision.CertificateUntrusted, "%s is none of the pinned certificates, and there is no CA anchor", name(leaf))
	}
	t := in.trails(s)
	if !t.reached[0] {
		return nil, in.unanchored(s, t)
	}
	roots, others := t.pools(in.now)
	if roots == nil { // to Verify that means the roots of the operating system
		return nil, in.diagnose(s, t, errNoneAcceptable)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: others,
		CurrentTime:   in.now,
		KeyUsages:     in.purpose(s).usages(),
	})
	if err != nil {
		return nil, in.diagnose(s, t, err)
	}
	for _, path := range paths {
		if in.rules(s, path) != nil {
			continue
		}
		if len(path) == 1 { // the leaf is an anchor
			path[0] = t.isAnchor(0)
		}
		return path, nil
	}
	return nil, in.diagnose(s, t, errNoneAcceptable)
}

var errNoneAcceptable = errors.New("there are paths to trust anchors, none of them acceptable")

// rules judges a path that x509 has accepted by the rules on top.
func (in *inquiry) rules(s *Store, path []*x509.Certificate) *fault {
	if f := depthFault(s, path); f != nil {
		return f
	}
	if f := s.strengthFault(path); f != nil {
		return f
	}
	return in.callerFault(s, path[0])
}

// signingUsages are the key usages with which a certificate may be a client's in TLS (RFC 5280 §4.2.1.12).
const signingUsages = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement

// callerFault refuses a CA certificate as a caller's: whoever trusts a CA did not thereby say that the CA itself may
// call. Only a pin says so. Backends often show a self-signed CA certificate that is its own anchor; they may. And it
// refuses a caller whose key may do other things only, such as sign lists or be encrypted to.
func (in *inquiry) callerFault(s *Store, leaf *x509.Certificate) *fault {
	if in.use == ClientAuth && isCA(leaf) {
		return faultf(leaf, decision.CertificatePurpose, "%s is a CA certificate: it calls only where it is anchored with pin: true", name(leaf))
	}
	return in.keyUsageFault(in.purpose(s), leaf)
}

// keyUsageFault refuses a key that may not do what a client's does, where the purpose is a client's.
func (in *inquiry) keyUsageFault(p Purpose, leaf *x509.Certificate) *fault {
	if !p.forCallers() || leaf.KeyUsage == 0 || leaf.KeyUsage&signingUsages != 0 {
		return nil
	}
	return faultf(leaf, decision.CertificatePurpose, "%s is not meant for %s: its key usage allows neither signatures nor key agreement", name(leaf), ClientAuth).as(FlawKeyUsage)
}

// depth returns the number of intermediates of a path.
func depth(path []*x509.Certificate) int { return max(len(path)-2, 0) }

func depthFault(s *Store, path []*x509.Certificate) *fault {
	if depth(path) <= s.maxDepth {
		return nil
	}
	return faultf(path[0], decision.CertificateChain, "%d intermediates between %s and its anchor, max_depth is %d", depth(path), name(path[0]), s.maxDepth).as(FlawDepth)
}

// timeFault finds the first certificate that is outside its validity.
func timeFault(path []*x509.Certificate, now time.Time) *fault {
	for _, cert := range path {
		if f := validityFault(cert, now); f != nil {
			return f
		}
	}
	return nil
}

func isValid(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
}

func validityFault(cert *x509.Certificate, now time.Time) *fault {
	switch {
	case now.Before(cert.NotBefore):
		return faultf(cert, decision.CertificateNotYetValid, "%s is valid from %s on", name(cert), cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return faultf(cert, decision.CertificateExpired, "%s was valid through %s", name(cert), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// name names a certificate in a detail, whatever its bytes say.
func name(cert *x509.Certificate) string { return fmt.Sprintf("%q", identity.SubjectText(cert)) }

// issuerName names the issuer of a certificate.
func issuerName(cert *x509.Certificate) string {
	return fmt.Sprintf("%q", identity.SubjectText(&x509.Certificate{RawSubject: cert.RawIssuer}))
}
