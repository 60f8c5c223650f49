package judge

import (
	"sallyport/internal/config"
	"sallyport/internal/decision"
)

// step is a step of a policy, compiled. The zero value refuses everybody.
type step struct {
	kind stepKind
	at   string // in the document, for a trace
}

type stepKind uint8

const (
	unknownStep stepKind = iota // one that this build does not run; such documents are refused before they run
	requireTLS
	requireClientCertificate
)

// compileSteps compiles the steps of a policy.
func (c *compiler) compileSteps(policy []config.Step) []step {
	var steps []step
	for i := range policy {
		s := step{at: place(c.doc.Position(&policy[i]))}
		switch {
		case policy[i].RequireTLS != nil:
			s.kind = requireTLS
		case policy[i].RequireClientCertificate != nil:
			s.kind = requireClientCertificate
		}
		steps = append(steps, s)
	}
	return steps
}

// run runs the steps of the API's policy for a caller whom the rules let pass, in order, up to the first that refuses.
func (a *API) run(v *Request, o *Outcome, p *Profile, j Judgement, t *decision.Trace) Judgement {
	for i := range a.steps {
		s := &a.steps[i]
		switch s.kind {
		case requireTLS:
			if !v.OverTLS {
				s.trace(t, "require_tls", decision.Fail, "the request did not come over TLS")
				return refuse(decision.TLSRequired, "a step of the policy wants TLS")
			}
			s.trace(t, "require_tls", decision.Pass, "the request came over TLS")
		case requireClientCertificate:
			if j.Caller.Known() {
				s.trace(t, "require_client_certificate", decision.Pass, "the caller has an accepted certificate")
				continue
			}
			refused := j.demanded(v, p)
			s.trace(t, "require_client_certificate", decision.Fail, refused.Reason.String())
			if j = o.observed(refused, t); !j.Allowed() {
				return j
			}
		case unknownStep:
			s.trace(t, "policy", decision.Fail, "this build does not run the step")
			return refuse(decision.InternalError, "the policy has a step that this build does not run")
		}
	}
	return j
}

// demanded is the refusal of a caller who passed as anonymous where a step wants a certificate: for what was wrong with the
// one that was presented, or because there was none.
func (j *Judgement) demanded(v *Request, p *Profile) Judgement {
	if !j.ignored.Allowed() {
		return Judgement{Decision: j.ignored, ignored: passes, Fell: j.ignoredFell}
	}
	missing := decision.Decision{Reason: decision.CertificateMissing, Detail: "a step of the policy wants a client certificate"}
	return Judgement{Decision: v.reask(p, missing), ignored: passes}
}

func (s *step) trace(t *decision.Trace, name string, outcome decision.Outcome, detail string) {
	if t.Enabled() {
		t.Add(name, outcome, detail+inBrackets(s.at))
	}
}
