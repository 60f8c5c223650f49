package judge

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/expression"
	"sallyport/internal/identity"
	"sallyport/internal/trust"
)

// advise says what could be changed so that the request passes. It never proposes to trust what was not validated without
// saying what that means, and never to switch a check off.
func (w *witness) advise(d decision.Decision, o *Outcome) {
	if w.brokenOff != nil {
		w.change("%q has to be issued anew for a key of %s; RSA with 2,048 to 8,192 bits. The log of the gateway has such handshakes as \"handshake failed\", without a request id.", w.broken.Subject, goodKeys)
		return
	}
	switch d.Reason {
	case decision.CertificateMissing:
		w.adviseMissing(o)
	case decision.CertificateUntrusted:
		w.adviseUntrusted(o)
	case decision.CertificateMalformed:
		w.change("The caller needs another certificate: the names in this one cannot be read in one way only. sallyport cert inspect shows them.")
	case decision.CertificateExpired:
		w.change("%q has to be replaced: it was valid through %s. An expired certificate is never let in.", w.broken.Subject, date(w.broken.NotAfter))
	case decision.CertificateNotYetValid:
		w.change("Wait until %s, or look at the clocks of the gateway and of the CA: %q is not valid yet.", date(w.broken.NotBefore), w.broken.Subject)
	case decision.CertificatePurpose:
		w.advisePurpose(o)
	case decision.CertificateWeak:
		w.change("Have %q issued anew as an X.509 certificate of version 3, with RSA of 2,048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519 (more where min_key_size of the trust store asks for it), and signed with SHA-256 or better.", w.broken.Subject)
	case decision.CertificateChain:
		w.adviseChain()
	case decision.CertificateNotAllowed:
		w.adviseNotAllowed(o)
	case decision.CertificateDenied:
		w.adviseDenied(o)
	case decision.MisdirectedRequest:
		w.change("The client has to open a new connection whose server name is the host that it asks for; most do so by themselves after 421.")
	case decision.TrustUnavailable:
		if o == nil || o.API == nil || o.API.broken.Allowed() {
			w.adviseTrust()
			return
		}
		w.change("Repair what the API needs (the detail names it); until then it refuses everybody.")
	case decision.MethodNotAllowed:
		w.change("Use a method that the API serves, or add this one to its methods%s.", w.at(o))
	case decision.NoRoute:
		w.adviseNoRoute(o)
	case decision.RequestMalformed:
		w.change("The client has to send the request otherwise; the detail says what is wrong with it.")
	case decision.RequestTooLarge:
		w.change("The client has to ask for a shorter URL, or raise max_target_size in the limits of the listener %q; it can be as large as max_header_size.", w.out.Listener)
	case decision.TLSRequired:
		w.change("The caller has to use https: the listener %q speaks no TLS, and the API wants it.", w.out.Listener)
	case decision.UpstreamUnavailable:
		w.change("Repair the upstream that the detail names.")
	case decision.OK, decision.CertificateRevoked, decision.RevocationUnknown, decision.UserUnknown, decision.UserCertificateMismatch,
		decision.UserDisabled, decision.HeaderSourceUntrusted, decision.HeaderMalformed, decision.HeaderAmbiguous,
		decision.CredentialMissing, decision.CredentialInvalid, decision.TokenBindingMismatch, decision.RateLimited, decision.QuotaExceeded,
		decision.PolicyDenied, decision.RequestTimeout, decision.Overloaded, decision.InternalError:
		// Nothing that judging decides about today.
	}
}

func (w *witness) change(format string, args ...any) {
	w.out.Changes = append(w.out.Changes, fmt.Sprintf(format, args...))
}

// at is where the rules of the API stand, for a sentence; "" when there is no API.
func (w *witness) at(o *Outcome) string {
	if o == nil || o.API == nil {
		return ""
	}
	return inBrackets(o.API.where)
}

// date is how a sentence has a time.
func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func (w *witness) adviseMissing(o *Outcome) {
	p := w.request.Listener.ProfileFor(w.request.ServerName)
	switch {
	case p == nil:
		w.change("Nobody can present a certificate on the listener %q, because it speaks no TLS: the caller has to use one that does.", w.out.Listener)
		return
	case !p.Asks() && o != nil && w.request.Listener.ProfileFor(o.Host).Asks():
		w.change("The client has to name %q in the handshake: without a server name it gets the default TLS profile, which never asks.", o.Host)
		return
	case !p.Asks():
		w.change("The handshake never asks: set client_auth to optional or required in the TLS profile %q of the listener %q.", w.out.Profile, w.out.Listener)
		return
	}
	if w.out.NotSent != "" {
		w.change("Have the certificate issued anew for another key. Over TLS 1.3 no client sends this one: %s.", w.out.NotSent)
		return
	}
	set, _ := w.trustInEffect(o)
	if names := storesOf(set); names != "" {
		w.change("The caller has to present a certificate that the trust store %s accepts, and its key. Clients that find none among the announced issuers send none, "+
			"and so do clients whose key is not %s.", names, goodKeys)
		return
	}
	w.adviseTrust()
}

// adviseTrust is for what nobody's certificate could pass.
func (w *witness) adviseTrust() {
	w.change("No trust store is in effect, so no certificate is accepted: name one in the trust of the TLS profile %q of the listener %q, or in that of an API below it.", w.out.Profile, w.out.Listener)
}

// storesOf names the trust stores of a set for a sentence.
func storesOf(set *trust.Set) string {
	var names []string
	for _, s := range set.Stores() {
		names = append(names, quote(s.Name()))
	}
	return strings.Join(names, " or ")
}

// advisePurpose tells a CA that calls by itself from a certificate that is meant for something else.
func (w *witness) advisePurpose(o *Outcome) {
	leaf := w.request.Evidence.Leaf()
	if leaf != nil && leaf.IsCA && w.brokeAtTheLeaf() {
		for _, c := range w.request.Evidence.Presented() {
			if !c.IsCA {
				w.change("What the caller presents begins with a CA: its own certificate has to come first, which may be %q.", identity.SubjectText(c))
				return
			}
		}
		w.change("The caller has to present a certificate of its own and not that of a CA. If this very certificate is the caller's, make it an anchor with pin: true.")
		return
	}
	if w.flaw == trust.FlawKeyUsage {
		w.change("Have %q issued anew with the key usage digitalSignature.", w.broken.Subject)
		return
	}
	w.change("Have %q issued anew with the extended key usage clientAuth.", w.broken.Subject)
	if !w.brokeAtTheLeaf() || !w.isForServers() || !w.asksForClients(o) {
		return // another purpose of the store would not help, or has ended
	}
	w.change("Where its CA, such as a public one, issues for servers only, purpose: client_auth_or_missing on the trust store helps, with until: for the day by which the caller has another. " +
		"With it everybody passes who has a server's certificate of that CA: the API needs an allow list.")
}

// isForServers reports whether what was presented would do for a server now, leaf and all above it.
func (w *witness) isForServers() bool {
	forServers := func(c *x509.Certificate) bool {
		return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	}
	for i, c := range w.request.Evidence.Presented() {
		anything := i > 0 && len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0
		if !anything && !forServers(c) || w.request.Now.Before(c.NotBefore) || w.request.Now.After(c.NotAfter) {
			return false
		}
	}
	return true
}

// asksForClients reports whether every trust store in effect asks for certificates of clients and never asked for less.
func (w *witness) asksForClients(o *Outcome) bool {
	set, _ := w.trustInEffect(o)
	return !slices.ContainsFunc(set.Stores(), func(s *trust.Store) bool {
		p := s.Purpose()
		return p != trust.PurposeDefault && p != trust.ClientAuth
	})
}

// brokeAtTheLeaf reports whether the caller's own certificate broke the path.
func (w *witness) brokeAtTheLeaf() bool {
	return len(w.out.Presented) > 0 && w.broken.SHA256 == w.out.Presented[0].SHA256
}

func (w *witness) adviseUntrusted(o *Outcome) {
	set, _ := w.trustInEffect(o)
	last, names := &w.broken, storesOf(set)
	switch {
	case w.request.Now.Before(last.NotBefore):
		w.change("%q is valid from %s on: wait, or look at the clocks of the gateway and of the CA. If it is no anchor of the trust store %s, the caller needs another certificate.",
			last.Subject, date(last.NotBefore), names)
	case w.request.Now.After(last.NotAfter):
		w.change("%q is valid from %s through %s only: to trust it would not help. If it is an anchor, add its successor to the trust store %s; otherwise the caller needs another certificate.",
			last.Subject, date(last.NotBefore), date(last.NotAfter), names)
	case len(w.namesakes) > 0:
		w.adviseNamesakes(last)
	case last.Issuer == last.Subject && w.brokeAtTheLeaf():
		w.change("If this very certificate is to be accepted, add it as an anchor with pin: true to the trust store %s; sha256 %s has to be what the partner told you.", names, last.SHA256)
	case last.Issuer == last.Subject:
		w.change("If the CA %q is a partner's, add it as an anchor to the trust store %s; sha256 %s has to be what the partner told you.", last.Subject, names, last.SHA256)
	default:
		w.change("If the CA %q is a partner's, add its certificate as an anchor to the trust store %s.", last.Issuer, names)
		w.change("If it is an intermediate below a CA that is trusted already, the caller has to send it along with its own certificate.")
	}
}

func (w *witness) adviseDenied(o *Outcome) {
	at := ""
	if deny := o.Binding.deny; w.caller != nil {
		if i := deny.find(w.caller, w.scope(o)); i >= 0 {
			at = inBrackets(place(deny.at[i]))
			if e := deny.entries[i].Parsed.Expression; e != nil {
				w.adviseCondition(e, deny.describe(i), at, o)
				return
			}
			file := deny.entries[i].SHA256File
			if line, ok := deny.lineOf(deny.entries[i].Parsed.SHA256File, w.caller); ok {
				w.change("Somebody denied this certificate on purpose. If that is over, remove line %d of %q, or the entry from deny%s.", line, file, at)
				return
			}
		}
	}
	w.change("Somebody denied this certificate on purpose. If that is over, remove the entry from deny%s.", at)
}

// adviseCondition is for an entry of deny that has an expression: nobody denied this very certificate, and to remove the entry would
// let all pass that it is for. at is where it stands.
func (w *witness) adviseCondition(e *expression.Expression, entry, at string, o *Outcome) {
	switch _, err := e.Holds(w.scope(o)); {
	case err != nil:
		w.change("The condition of the entry %s%s has no value here, which denies: %s. The caller has to present or send what it reads, and once; "+
			"or the condition has to allow for what is not there.", entry, at, err)
	case e.AboutRequest():
		w.change("The condition of the entry %s%s holds for this request. Another request may pass; without the entry everything would that it denies.", entry, at)
	default:
		w.change("The condition of the entry %s holds for this certificate, and for all that are like it. If that is over, remove the entry from deny%s: all of them pass then.", entry, at)
	}
}

func (w *witness) adviseNotAllowed(o *Outcome) {
	for i := range w.out.Nearest {
		if miss := &w.out.Nearest[i]; miss.condition {
			w.change("Nothing but its condition keeps %s from matching: it has to hold, for this request and this certificate. An entry with the thumbprint alone would lift the condition for this caller.",
				miss.Entry)
			return
		}
	}
	entry := "{sha256: " + w.out.Presented[0].SHA256 + "}"
	if allow := o.Binding.allow; o.Binding.ownAllow || len(allow.at) == 0 {
		w.change("If this caller may call the API, add %s to allow%s, or a pattern for its names.", entry, w.at(o))
	} else {
		w.change("If this caller may call the API, add %s, or a pattern for its names, to the list that the API inherits%s, or give the API allow: [inherit, %s].",
			entry, inBrackets(place(allow.at[0])), entry)
	}
	switch {
	case len(w.out.Nearest) == 0:
	case w.out.Nearest[0].names:
		w.change("%s is for certificates with one common name, and this one has several, of which none counts: name its subject instead, or have it issued anew with one.",
			w.out.Nearest[0].Entry)
	case w.out.Nearest[0].near > 0:
		w.change("If it was meant to match %s, correct the entry or have the certificate issued anew.", w.out.Nearest[0].Entry)
	}
}

// inBrackets is a place behind a word; "" for none.
func inBrackets(place string) string {
	if place == "" {
		return ""
	}
	return " (" + place + ")"
}

// wanting names the listeners on which an API wants certificates, where the request came to one without TLS; those that are known
// are left out.
func (w *witness) wanting(a *API, known []string) []string {
	var names []string
	for i, b := range a.bindings {
		if name := quote(w.rules.listeners[i].Name); b != nil && b.mode != config.ModeNone && !w.request.Listener.TLS && !slices.Contains(known, name) {
			names = append(names, name)
		}
	}
	return names
}

// mostRoutes is how many APIs explain names where none owns a request.
const mostRoutes = 5

// adviseNoRoute names what is near: APIs that own the place on other listeners, and those that the host has.
func (w *witness) adviseNoRoute(o *Outcome) {
	var elsewhere, here, wanting []string
	for _, a := range w.rules.routes.Lookup(o.Host, o.Path) {
		if a.bindings[w.request.Listener.Index] == nil && len(elsewhere) < mostRoutes {
			elsewhere = append(elsewhere, quote(a.Label()))
			wanting = append(wanting, w.wanting(a, wanting)...)
		}
	}
	if len(wanting) > 0 {
		w.change("The API %s owns this host and path and wants client certificates, which the listener %q cannot ask for, because it speaks no TLS: use the listener %s.",
			strings.Join(elsewhere, " and "), w.out.Listener, strings.Join(wanting, " or "))
		return
	}
	if len(elsewhere) > 0 {
		w.change("The API %s owns this host and path, but not on the listener %q: add that to its listeners, or use another.", strings.Join(elsewhere, " and "), w.out.Listener)
		return
	}
	for _, a := range w.rules.apis {
		if a.bindings[w.request.Listener.Index] == nil || !a.owns(o.Host) {
			continue
		}
		if len(here) == mostRoutes {
			here = append(here, "and more")
			break
		}
		here = append(here, fmt.Sprintf("%q at %s", a.Label(), a.path))
	}
	if len(here) == 0 {
		w.change("No API on the listener %q has the host %q: look at hosts.", w.out.Listener, o.Host)
		return
	}
	w.change("For the host %q the listener has the API %s.", o.Host, strings.Join(here, ", "))
}
