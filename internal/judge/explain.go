package judge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/expression"
	"sallyport/internal/identity"
	"sallyport/internal/route"
	"sallyport/internal/trust"
	"sallyport/internal/wire"
)

// Explanation is a decision with the checks that led there.
type Explanation struct {
	Decision string          `json:"decision"` // allow or deny
	Reason   decision.Reason `json:"reason"`
	Detail   string          `json:"detail,omitempty"`
	// Status is what the caller would get from the gateway; 0 when allowed and when the handshake fails.
	Status int `json:"status,omitempty"`
	// Handshake says that the refusal would happen in the handshake.
	Handshake bool `json:"handshake_refused"`
	// Alert is what the client sees of such a refusal: the name of the TLS alert, "" for none.
	Alert string `json:"alert,omitempty"`
	// Insists says that the handshake ends without an acceptable certificate.
	Insists bool `json:"handshake_insists,omitempty"`
	// WouldBe is why the request would be refused without observe_only; nil for no reason.
	WouldBe *decision.Reason `json:"would_be,omitempty"`
	// Listener is its name.
	Listener string `json:"listener"`
	// ServerName is what the client names in the handshake.
	ServerName string `json:"server_name"`
	// Profile is the server names of the TLS profile, "default", or "" without TLS.
	Profile string `json:"tls_profile"`
	// API is its name, with its version beside it.
	API     string `json:"api,omitempty"`
	Version string `json:"api_version,omitempty"`
	// Rules is where the document says what holds for callers of the API, as file:line.
	Rules string `json:"rules_at,omitempty"`
	// Caller is the subject that the backend is told, and CallerSHA256 the thumbprint, "" for an anonymous caller. A subject may be
	// empty, too.
	Caller       string `json:"caller,omitempty"`
	CallerSHA256 string `json:"caller_sha256,omitempty"`
	// NotSent says why no client would send the certificate of the question, which was therefore judged without one; "" where
	// clients do, and where nobody asks them.
	NotSent string `json:"not_sent,omitempty"`
	// Presented is what the caller presented, leaf first. Nothing of it need be true.
	Presented []Certificate `json:"presented,omitempty"`
	// Path is the certification path that was accepted, leaf first, by the trust store Store.
	Path  []Certificate `json:"path,omitempty"`
	Store string        `json:"trust_store,omitempty"`
	// Broken is the certificate that broke the path; nil when none did.
	Broken *Certificate `json:"broken,omitempty"`
	// Nearest are the entries of the allow list that came nearest, where none matches.
	Nearest []Miss `json:"nearest,omitempty"`
	// Changes say what could be changed so that the request passes, and by whom.
	Changes []string         `json:"what_to_change,omitempty"`
	Checks  []decision.Check `json:"checks"`
}

// Certificate is what explain says of a certificate.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	SHA256    string    `json:"sha256"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

func certificateOf(cert *x509.Certificate) Certificate {
	issuer := *cert
	issuer.RawSubject, issuer.Subject = cert.RawIssuer, cert.Issuer
	return Certificate{
		Subject: identity.SubjectText(cert), Issuer: identity.SubjectText(&issuer), SHA256: identity.Thumbprint(cert).String(),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
	}
}

func certificatesOf(certs []*x509.Certificate) []Certificate {
	var out []Certificate
	for _, cert := range certs {
		out = append(out, certificateOf(cert))
	}
	return out
}

// Explain decides about a request that nobody sent, with the functions that decide about live ones, and says which checks
// led there. now is the time unless the question has one. The error says why the question itself makes no sense.
func (r *Rules) Explain(q Question, now time.Time) (*Explanation, error) {
	target, err := url.Parse(origin(q.URL)) // what follows is judged as it stands
	if err != nil {
		return nil, fmt.Errorf("the URL: %w", errors.Unwrap(err))
	}
	if target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil, errors.New("the URL must begin with http:// or https:// and a host")
	}
	overTLS := target.Scheme == "https"
	l, err := r.listenerFor(q.Listener, target, overTLS)
	if err != nil {
		return nil, err
	}
	v := Request{Method: q.Method, Target: rawTarget(q.URL), Authority: target.Host, Listener: l, OverTLS: overTLS, Now: q.At, Fields: Fields(r.headers, q.header())}
	if v.Method == "" {
		v.Method = "GET"
	}
	if q.Host != "" {
		v.Authority = q.Host
	}
	if v.Now.IsZero() {
		v.Now = now
	}
	w := &witness{rules: r, request: &v, trace: &decision.Trace{}, out: &Explanation{Listener: l.Name}}
	if !overTLS {
		if len(q.Presented) > 0 {
			w.trace.Add("evidence", decision.Info, "a plain listener never sees the certificate")
		}
		return w.read(), nil
	}
	var named decision.Decision
	if v.ServerName, named = serverName(target.Hostname()); !named.Allowed() {
		w.out.Handshake, w.out.Alert = true, "internal_error" // a name that is no host name gets no TLS profile
		w.trace.Add("server name", decision.Fail, named.Detail)
		return w.conclude(named, nil), nil
	}
	v.TLSVersion = tls.VersionTLS13
	if a := l.AskFor(v.ServerName); a.Asks() {
		sent := w.sent(q.Presented, a)
		if len(sent) > 0 {
			if b := broken(sent); b != nil {
				return w.breaksOff(b, a), nil
			}
		}
		v.Evidence = NewEvidence(sent, true)
	} else if len(q.Presented) > 0 {
		w.trace.Add("evidence", decision.Info, "the handshake never asks for a certificate, so the client does not send it")
	}
	return w.overTLS(true), nil
}

// serverName is what a client names in the handshake when it asks for a host. The decision refuses what no client can name.
func serverName(host string) (string, decision.Decision) {
	if net.ParseIP(strings.Trim(host, "[]")) != nil { // clients name no addresses (RFC 6066, section 3)
		return "", passes
	}
	name, err := route.Host(host)
	if err != nil {
		return "", decision.Decision{Reason: decision.RequestMalformed, Detail: "server name: " + err.Error()}
	}
	return name, passes
}

// Past is a request, or a handshake, that was decided before.
type Past struct {
	// Request is what was judged. Its listener is not looked at, and may be nil.
	Request Request
	// Listener is the listener's name.
	Listener string
	// Handshake says that it was refused in the handshake: there is no request.
	Handshake bool
}

// ExplainPast decides again about something of the past, by these rules and at the time of then, and says which checks lead
// there. The rules may be younger, and the decision another. The error says why the rules have nothing to say.
func (r *Rules) ExplainPast(p *Past) (*Explanation, error) {
	l := r.byName[p.Listener]
	if l == nil {
		return nil, fmt.Errorf("there is no listener %q any more", p.Listener)
	}
	v := p.Request
	v.Listener = l
	w := &witness{rules: r, request: &v, trace: &decision.Trace{}, out: &Explanation{Listener: l.Name}}
	switch {
	case p.Handshake && l.TLS:
		w.asked(l.AskFor(v.ServerName))
		return w.handshake(l.AskFor(v.ServerName)), nil
	case p.Handshake:
		return nil, fmt.Errorf("the listener %q speaks TLS no longer", p.Listener)
	case v.OverTLS && l.TLS:
		return w.overTLS(false), nil
	}
	return w.decide(), nil
}

// witness watches one decision.
type witness struct {
	rules    *Rules
	request  *Request
	caller   *identity.Identity // of the leaf, where the trust in effect accepted it
	standing Standing
	trace    *decision.Trace
	out      *Explanation
	broken   Certificate // what out.Broken points to; zero for none

	brokenOff *brokenOff          // why TLS breaks the handshake off; nil where it does not
	flaw      trust.Flaw          // of the path
	namesakes []*x509.Certificate // the anchors that have the name of the issuer of what broke the path, and did not sign it
}

// overTLS decides about a request over TLS; pretend says that its handshake was not, and would have to be passed.
func (w *witness) overTLS(pretend bool) *Explanation {
	a := w.request.Listener.AskFor(w.request.ServerName)
	w.asked(a)
	if pretend {
		if j := a.admits(w.request.Evidence, w.request.Now, w.trace); !j.Allowed() {
			return w.refusedInHandshake(j.Decision)
		}
		return w.read()
	}
	return w.decide()
}

// read decides about a request that has to be read first: what package wire refuses is never judged.
func (w *witness) read() *Explanation {
	v := w.request
	most := v.Listener.maxTarget
	p := wire.RequestLine(v.Method, v.Target, most)
	if p == nil {
		return w.decide()
	}
	d := decision.Decision{Reason: decision.RequestMalformed, Detail: p.Detail}
	if p.Kind == wire.TargetTooLong {
		d = TargetTooLong(most)
	}
	w.trace.Add("request line", decision.Fail, d.Detail)
	w.out.Status = p.Status
	return w.conclude(d, nil)
}

// TargetTooLong is the decision about a request whose target is longer than the listener's limit, in bytes.
func TargetTooLong(most int) decision.Decision {
	return decision.Decision{Reason: decision.RequestTooLarge, Detail: fmt.Sprintf("the request target is longer than max_target_size: %d bytes", most)}
}

// asked says which handshake it is about, what it asked for, and what was presented in it.
func (w *witness) asked(a *Ask) {
	w.names(a)
	w.trace.Addf("tls profile", decision.Info, "%s, client_auth %s", w.out.Profile, a.Profile.ClientAuth)
	if e := w.request.Evidence; e.presented() {
		w.trace.Addf("evidence", decision.Info, "a TLS certificate, %d in its chain", len(e.chain.Certificates()))
		return
	}
	if a.Asks() {
		w.announced(a)
	}
	w.trace.Add("evidence", decision.Info, "no certificate")
}

// names says by its names which handshake it is about.
func (w *witness) names(a *Ask) {
	w.out.ServerName, w.out.Profile, w.out.Insists = w.request.ServerName, a.Profile.Key, a.Insists()
	if a.Profile.Key == "" {
		w.out.Profile = "default"
	}
}

// announced says which certificates the handshake asked for, to whoever wonders why a client presented none.
func (w *witness) announced(a *Ask) {
	switch names := a.Announce(); {
	case len(names) > 0:
		w.trace.Addf("authorities", decision.Info, "announced: %d; many clients present only a certificate of one of these", len(names))
	default:
		w.trace.Addf("authorities", decision.Info, "announced: none; %s", a.silence)
	}
}

// handshake decides about a handshake alone.
func (w *witness) handshake(a *Ask) *Explanation {
	j := a.admits(w.request.Evidence, w.request.Now, w.trace)
	if !j.Allowed() {
		return w.refusedInHandshake(j.Decision)
	}
	return w.conclude(j.Decision, nil)
}

// refusedInHandshake says what the client sees of a refusal that is no HTTP answer.
func (w *witness) refusedInHandshake(d decision.Decision) *Explanation {
	w.out.Handshake = true
	w.out.Alert = alertFor(d.Reason, w.request.TLSVersion)
	return w.conclude(d, nil)
}

// alertFor is the TLS alert that a client sees when a handshake is refused (RFC 8446, section 6.2; RFC 5246, section 7.2.2).
// crypto/tls says the same about every certificate that is refused.
func alertFor(reason decision.Reason, version uint16) string {
	switch {
	case reason != decision.CertificateMissing:
		return badCertificate
	case version == tls.VersionTLS12:
		return "handshake_failure"
	}
	return "certificate_required"
}

// badCertificate is the alert for certificates that are refused.
const badCertificate = "bad_certificate"

func (w *witness) decide() *Explanation {
	o := w.rules.Decide(w.request, w.trace)
	w.enforced(&o)
	return w.conclude(o.Decision, &o)
}

// enforced says why an API that says enforce: auto is not held in the handshake.
func (w *witness) enforced(o *Outcome) {
	b := o.Binding
	a := w.request.Listener.AskFor(w.request.ServerName)
	if b == nil || !b.auto || !w.request.OverTLS || a == nil || a.Insists() {
		return
	}
	why := "the client names no server"
	switch name := w.request.ServerName; {
	case !a.Asks():
		why = "client_auth is none"
	case name != "":
		why = "no trust store is in effect"
		if api := w.rules.unwilling(w.request.Listener, name); api != nil {
			why = "the API " + quote(api.Label()) + " under that name does not require one in the handshake"
		} else if a.union != nil {
			why = "too many APIs of less specific hosts do not require one, though none of them can be reached under that name"
		}
	}
	w.trace.Add("enforce", decision.Info, "auto, but the handshake does not insist: "+why)
}

// conclude fills in what is known in the end. o is nil when no request came to be decided about.
func (w *witness) conclude(d decision.Decision, o *Outcome) *Explanation {
	e := w.out
	e.Decision, e.Reason, e.Detail = "allow", d.Reason, d.Detail
	if !d.Allowed() {
		e.Decision = "deny"
	}
	if w.request.Evidence.presented() {
		e.Presented = certificatesOf(w.request.Evidence.chain.Certificates())
	}
	refused := d
	if o != nil {
		if !d.Allowed() {
			e.Status = o.Answer(0, "", nil).Status
		}
		if !o.WouldBe.Allowed() {
			refused = o.WouldBe
			e.WouldBe = &refused.Reason
		}
		if o.API != nil {
			e.API, e.Version, e.Rules = o.API.Label(), o.API.Version(), o.API.where
		}
		if o.Caller.Known() {
			id := o.Caller.verdict.Identity
			e.Caller, e.CallerSHA256 = id.Subject().String(), id.SHA256().String()
		}
	}
	w.validated(o)
	if !refused.Allowed() {
		w.advise(refused, o)
	}
	e.Checks = w.trace.Checks
	return e
}

// validated says what the trust in effect made of the certificates, and which entries of the allow list came nearest.
func (w *witness) validated(o *Outcome) {
	set, b := w.trustInEffect(o)
	if set == nil || !w.request.Evidence.presented() {
		return
	}
	verdict := set.Explain(w.request.Evidence.chain, w.request.Now, &decision.Trace{}) // its checks are in the trace
	w.out.Store = verdict.Store
	if !verdict.Accepted() {
		w.flaw = verdict.Flaw
		if verdict.Broken != nil {
			w.broken, w.namesakes = certificateOf(verdict.Broken), set.Namesakes(verdict.Broken)
			w.out.Broken = &w.broken
		}
		return
	}
	w.out.Path, w.caller, w.standing = certificatesOf(verdict.Path), verdict.Identity, Standing{set: set, verdict: verdict}
	if b != nil && b.allow != nil && b.allow.find(verdict.Identity, w.scope(o)) < 0 {
		w.out.Nearest = b.allow.nearest(verdict.Identity, w.scope(o), nearestExplain, mostMisses)
	}
}

// scope is what the expressions of the API's lists saw; nil where they have none.
func (w *witness) scope(o *Outcome) *expression.Scope {
	return o.Binding.scope(w.request, o, &w.standing)
}

// trustInEffect is the trust that judged: the API's, or that of the TLS profile where it refused before, or the
// handshake's where no API was reached.
func (w *witness) trustInEffect(o *Outcome) (*trust.Set, *Binding) {
	var p *Profile
	if w.request.OverTLS && w.request.Listener.TLS {
		p = w.request.Listener.ProfileFor(w.request.ServerName)
		if o != nil && o.Host != "" {
			p = w.request.Listener.ProfileFor(o.Host)
		}
	}
	if o != nil && o.Binding != nil {
		if e := w.request.Evidence; p.insists() && e.presented() {
			if set := p.gates[o.Binding.trust]; !set.Explain(e.chain, w.request.Now, nil).Accepted() {
				return set, nil
			}
		}
		return o.Binding.trustIn(p), o.Binding
	}
	if o == nil && w.out.Insists {
		return w.request.Listener.AskFor(w.request.ServerName).accepts, nil
	}
	if p.insists() {
		return p.handshake, nil
	}
	return nil, nil
}
