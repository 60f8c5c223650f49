package judge

import (
	"fmt"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/expression"
	"sallyport/internal/identity"
	"sallyport/internal/trust"
)

// Judgement is what judging says of one request.
type Judgement struct {
	decision.Decision
	// Caller is who calls when a certificate was validated and accepted; the zero value is an anonymous caller.
	Caller Standing
	// ignored is what was wrong with the evidence of a caller who is anonymous all the same; its reason is OK for nothing, and
	// ignoredFell is what Fell would have been.
	ignored     decision.Decision
	ignoredFell bool
	// Fell says that trust which had accepted the evidence on this connection refuses it now.
	Fell bool
}

var anonymous = Judgement{Decision: passes, ignored: passes}

// ignoring is the judgement about a caller who is anonymous because what he presented does not count.
func ignoring(why decision.Decision) Judgement { return Judgement{Decision: passes, ignored: why} }

func refuse(reason decision.Reason, detail string) Judgement {
	return Judgement{Decision: decision.Decision{Reason: reason, Detail: detail}}
}

// judge decides whether the evidence of a connection may call the API of the binding now. The caller is anonymous
// unless the leaf's path was validated by the trust in effect and the lists accept it.
func (b *Binding) judge(p *Profile, v *Request, o *Outcome, t *decision.Trace) Judgement {
	ev, now := v.Evidence, v.Now
	if t.Enabled() {
		t.Addf("mode", decision.Info, "%s%s, on_invalid %s", b.mode, b.modeFrom, b.onInvalid)
	}
	if !ev.presented() {
		if b.mode == config.ModeRequired {
			t.Add("certificate", decision.Fail, "none was presented and the API requires one")
			return refuse(decision.CertificateMissing, "")
		}
		t.Add("certificate", decision.Pass, "none was presented and none is required")
		return anonymous
	}
	set := b.trustIn(p)
	if set == nil && b.mode == config.ModeNone {
		t.Add("trust", decision.Info, "no trust is in effect: the certificate is not looked at")
		return ignoring(decision.Decision{Reason: decision.TrustUnavailable, Detail: "no trust store is in effect"})
	}
	var s Standing
	if t.Enabled() {
		s = Standing{set: set, verdict: set.Explain(ev.chain, now, t)}
	} else {
		s = ev.judge(set, now)
	}
	if !s.verdict.Reason.Allowed() {
		j := b.invalid(s.verdict, t)
		j.Fell, j.ignoredFell = ev.fell(set, j.Reason), ev.fell(set, j.ignored.Reason)
		return j
	}
	j := b.lists(s, b.scope(v, o, &s), t)
	v.scope = expression.Scope{} // nobody keeps the request's texts alive by it
	return j
}

// trustIn is the trust in effect below a TLS profile; nil trusts nothing. p is nil without TLS.
func (b *Binding) trustIn(p *Profile) *trust.Set {
	if !b.ownTrust && p != nil {
		return p.fallback
	}
	return b.trust
}

// invalid decides about a certificate that no trust store in effect accepts.
func (b *Binding) invalid(v *trust.Verdict, t *decision.Trace) Judgement {
	switch {
	case b.mode == config.ModeNone:
		t.Add("mode", decision.Pass, "no certificate is demanded: the caller is anonymous")
		return ignoring(decision.Decision{Reason: v.Reason, Detail: v.Detail})
	case b.mode == config.ModeOptional && b.onInvalid == config.OnInvalidIgnore && ignorable(v.Reason):
		t.Add("on_invalid", decision.Pass, "the invalid certificate counts as nothing: the caller is anonymous")
		return ignoring(decision.Decision{Reason: v.Reason, Detail: v.Detail})
	default:
		return refuse(v.Reason, v.Detail)
	}
}

// ignorable reports whether on_invalid: ignore covers a reason. What somebody decided about this very certificate
// (revoked, denied, not allowed) and what makes its proof worthless (weak, broken chain) is refused all the same.
func ignorable(r decision.Reason) bool {
	switch r { //nolint:exhaustive // the list is closed on purpose: every other reason refuses
	case decision.CertificateUntrusted, decision.CertificateExpired, decision.CertificateNotYetValid,
		decision.CertificatePurpose, decision.CertificateMalformed:
		return true
	default:
		return false
	}
}

// lists applies deny and allow to a validated certificate. Deny wins; where no certificate is demanded a certificate
// that the lists refuse makes the caller anonymous, as if it had presented nothing.
func (b *Binding) lists(s Standing, x *expression.Scope, t *decision.Trace) Judgement {
	id := s.verdict.Identity
	b.deny.trace("deny", x, t)
	if i := b.deny.find(id, x); i >= 0 {
		return b.unlisted(decision.CertificateDenied, "deny", "the entry "+b.deny.matched(i, id)+" "+matchText(&b.deny.entries[i], x), t)
	}
	if b.deny != nil && t.Enabled() {
		t.Addf("deny", decision.Pass, "none of %d entries matches", len(b.deny.entries))
	}
	if b.allow == nil {
		return Judgement{Decision: passes, Caller: s, ignored: passes}
	}
	b.allow.trace("allow", x, t)
	i := b.allow.find(id, x)
	if i < 0 {
		return b.unlisted(decision.CertificateNotAllowed, "allow", b.notAllowed(id, x, t), t)
	}
	if t.Enabled() {
		t.Add("allow", decision.Pass, "matches "+b.allow.matched(i, id))
	}
	return Judgement{Decision: passes, Caller: s, ignored: passes}
}

func (b *Binding) unlisted(reason decision.Reason, check, detail string, t *decision.Trace) Judgement {
	if b.mode == config.ModeNone {
		t.Add(check, decision.Pass, "no certificate is demanded: the caller is anonymous ("+detail+")")
		return ignoring(decision.Decision{Reason: reason, Detail: detail})
	}
	t.Add(check, decision.Fail, detail)
	return refuse(reason, detail)
}

// notAllowed says why no entry of the allow list matched: which came nearest, and how it missed. A trace gets each of the
// nearest.
func (b *Binding) notAllowed(id *identity.Identity, x *expression.Scope, t *decision.Trace) string {
	text := fmt.Sprintf("none of %d entries matches %q", len(b.allow.entries), id.Subject().String())
	compared := nearestLive
	if t.Enabled() {
		compared = nearestExplain
	}
	misses := b.allow.nearest(id, x, compared, mostMisses)
	if len(misses) > 0 {
		text += "; "
		if compared < len(b.allow.entries) {
			text += fmt.Sprintf("nearest of the first %d: ", compared)
		}
		text += misses[0].String()
	}
	if t.Enabled() {
		for i := range misses {
			t.Add("allow", decision.Info, "nearest: "+misses[i].Entry+": "+misses[i].String())
		}
	}
	return text
}

// gate holds a profile's client_auth: required against every request for its server names, whatever the handshake of the
// connection was: one that is older than the rule, or that named no server, has passed no such handshake. What counts is
// the profile's own trust and that of the API, not what the handshake had to accept for the sake of other APIs.
func (p *Profile) gate(b *Binding, ev *Evidence, now time.Time, t *decision.Trace) Judgement {
	if !p.insists() {
		return anonymous
	}
	set := p.gates[b.trust]
	var v *trust.Verdict
	if t.Enabled() {
		v = set.Explain(ev.chain, now, nil)
	} else {
		v = ev.judge(set, now).verdict
	}
	return admitted(v, ev, set, t)
}

// admits says whether the profile lets evidence in that was presented, wherever a request goes.
func (p *Profile) admits(ev *Evidence, now time.Time, t *decision.Trace) Judgement {
	if t.Enabled() {
		return admitted(p.handshake.Explain(ev.chain, now, nil), ev, p.handshake, t)
	}
	return admitted(ev.judge(p.handshake, now).verdict, ev, p.handshake, t)
}

func admitted(v *trust.Verdict, ev *Evidence, set *trust.Set, t *decision.Trace) Judgement {
	if !v.Reason.Allowed() {
		if t.Enabled() {
			t.Addf("handshake", decision.Fail, "the TLS profile requires a client certificate that its trust accepts: %s", v.Detail)
		}
		j := refuse(v.Reason, v.Detail)
		j.Fell = ev.fell(set, v.Reason)
		return j
	}
	if t.Enabled() {
		t.Addf("handshake", decision.Pass, "the TLS profile requires a client certificate; trust store %q accepts it", v.Store)
	}
	return anonymous
}
