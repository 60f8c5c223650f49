// Package trust says whether a certification path is acceptable now. It owns trust stores and what their anchors and
// pins mean, path validation (RFC 5280 §6) with the limits on top of it, why a path was refused, and the cache of
// verdicts; nobody else calls identity.Of, so an identity exists only after its path was accepted. It never looks at
// names that a caller may or may not have, never reads files or the network, and never asks the operating system for
// roots: in Go a nil pool means just that, so a store or a set without anchors cannot be made.
//
// A path is accepted only when x509.Certificate.Verify accepts it; the rules of this package refuse more and never
// less. What went wrong is found out afterwards by looking again under relaxed conditions, and nothing found there can
// turn a refusal into an acceptance.
//
// Stores, sets, chains and verdicts do not change after they were made and are safe for concurrent use. Nil and zero
// values refuse everything.
package trust

import (
	"crypto/x509"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
)

// Flaw is a fault that shares its reason with others but not its remedy.
type Flaw uint8

// The flaws. The first stands for all that have a reason of their own, too.
const (
	FlawOther     Flaw = iota
	FlawExcess         // more was presented than is looked at
	FlawSlow           // a presented key is too slow to calculate with
	FlawStrays         // too much was presented that the issuer of its name did not sign
	FlawDepth          // there are more intermediates than the store allows
	FlawPathLen        // there are more intermediates than a CA on the path allows
	FlawNoIssuer       // what issued a certificate may not issue any
	FlawNames          // a CA on the path may not certify the names
	FlawKeyUsage       // a caller's key may not make signatures
	FlawExtension      // a critical extension is not understood
)

// Verdict is what a set says about a chain. Verdicts are shared between callers: nobody changes one. The zero value
// refuses.
type Verdict struct {
	// Reason is decision.OK when the path was accepted.
	Reason decision.Reason
	// Detail says what broke, naming the certificate and the check; empty when accepted. It may quote certificates and
	// names of stores, so callers of the gateway never see it.
	Detail string
	// Path is the accepted path from the leaf to the anchor; for a pin the leaf alone. Nil when refused.
	Path []*x509.Certificate
	// Identity is what the leaf says; not nil exactly when accepted.
	Identity *identity.Identity
	// Store names the store that accepted, or the one whose failure is reported; empty when no store was asked.
	Store string
	// Anchor is the trust anchor or the pin that the path ends in; nil when refused.
	Anchor *x509.Certificate
	// Pinned says that Anchor is a pin.
	Pinned bool
	// Broken is the certificate that broke the path, presented or an anchor; nil when accepted, when there is nothing to
	// validate, and always for Verify.
	Broken *x509.Certificate
	// Flaw says which of the faults that share a reason it was; FlawOther when accepted.
	Flaw Flaw
	// Until is the first moment at which the verdict may be another one. It may be used before, not at, that time;
	// zero means for as long as the set is.
	Until time.Time
}

// Accepted reports whether the path was accepted. A nil verdict was not.
func (v *Verdict) Accepted() bool { return v != nil && v.Reason == decision.OK }

// Err returns nil when the path was accepted and otherwise an *Error.
func (v *Verdict) Err() error {
	switch {
	case v == nil:
		return &Error{}
	case v.Reason == decision.OK:
		return nil
	}
	return &Error{Reason: v.Reason, Detail: v.Detail}
}

// Error is a refusal as an error, for VerifyConnection. The zero value is an internal error.
type Error struct {
	// Reason is never decision.OK.
	Reason decision.Reason
	// Detail is the detail of the verdict.
	Detail string
}

// Error returns the reason's word and the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Reason.String()
	}
	return e.Reason.String() + ": " + e.Detail
}
