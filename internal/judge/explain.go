package judge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/route"
)

// Question is a request that Explain decides about.
type Question struct {
	// URL is what the caller would ask for, such as https://api.example.test:8443/orders/.
	URL string
	// Method is the HTTP method; empty means GET.
	Method string
	// Host replaces the URL's host in the request, as a Host field would; empty means the URL's.
	Host string
	// Listener names the listener; empty means the one whose address has the URL's port, or the only one that
	// speaks the URL's scheme.
	Listener string
	// Presented is what the caller would present, leaf first; nil means no certificate.
	Presented []*x509.Certificate
	// At is the time of the request; zero means now.
	At time.Time
}

// Explanation is a decision with the checks that led there.
type Explanation struct {
	Decision   string           `json:"decision"` // allow or deny
	Reason     decision.Reason  `json:"reason"`
	Detail     string           `json:"detail,omitempty"`
	Status     int              `json:"status,omitempty"`   // what the caller would get from the gateway; 0 when allowed or when the handshake fails
	Handshake  bool             `json:"handshake_refused"`  // the refusal would happen in the handshake
	WouldBe    *decision.Reason `json:"would_be,omitempty"` // observe_only: why the request would be refused
	Listener   string           `json:"listener"`           // its name
	ServerName string           `json:"server_name"`        // what the client names in the handshake
	Profile    string           `json:"tls_profile"`        // the server names of the TLS profile, "default", or "" without TLS
	API        string           `json:"api,omitempty"`      // its name
	Version    string           `json:"api_version,omitempty"`
	Caller     string           `json:"caller,omitempty"` // the subject that the backend is told, "" for an anonymous caller
	Checks     []decision.Check `json:"checks"`
}

// Explain decides about a request that nobody sent, with the functions that decide about live ones, and says which checks
// led there. The error says why the question itself makes no sense.
func (r *Rules) Explain(q Question, now time.Time) (*Explanation, error) {
	target, err := url.Parse(q.URL)
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
	v := Request{Method: q.Method, Target: rawTarget(q.URL), Authority: target.Host, Listener: l, OverTLS: overTLS, Now: q.At}
	if v.Method == "" {
		v.Method = "GET"
	}
	if q.Host != "" {
		v.Authority = q.Host
	}
	if v.Now.IsZero() {
		v.Now = now
	}
	t := &decision.Trace{}
	e := &Explanation{Listener: l.Name}
	if overTLS {
		if refused := v.pretendHandshake(target.Hostname(), q.Presented, e, t); refused != nil {
			e.conclude(*refused, nil, t)
			return e, nil
		}
	} else {
		v.Evidence = NewEvidence(nil, false)
		if len(q.Presented) > 0 {
			t.Add("evidence", decision.Info, "a plain listener never sees the certificate")
		}
	}
	o := r.Decide(&v, t)
	e.conclude(o.Decision, &o, t)
	return e, nil
}

// pretendHandshake does what the listener's handshake would find out. It returns a decision when the handshake fails.
func (v *Request) pretendHandshake(host string, presented []*x509.Certificate, e *Explanation, t *decision.Trace) *decision.Decision {
	if net.ParseIP(strings.Trim(host, "[]")) == nil { // clients name no addresses (RFC 6066, section 3)
		name, err := route.Host(host)
		if err != nil {
			return &decision.Decision{Reason: decision.RequestMalformed, Detail: "server name: " + err.Error()}
		}
		v.ServerName = name
	}
	p := v.Listener.ProfileFor(v.ServerName)
	v.Profile, e.ServerName, e.Profile = p.Key, v.ServerName, p.Key
	if p.Key == "" {
		e.Profile = "default"
	}
	t.Addf("tls profile", decision.Info, "%s, client_auth %s", e.Profile, p.ClientAuth)
	switch {
	case len(presented) == 0:
		v.Evidence = NewEvidence(nil, p.Asks())
		t.Add("evidence", decision.Info, "no certificate")
	case !p.Asks():
		v.Evidence = NewEvidence(nil, false)
		t.Add("evidence", decision.Info, "the handshake never asks for a certificate, so the client does not send it")
	default:
		v.Evidence = NewEvidence(presented, true)
		t.Addf("evidence", decision.Info, "a TLS certificate, %d in its chain", len(presented))
	}
	v.TLSVersion = tls.VersionTLS13
	if j := p.admits(v.Evidence, v.Now, t); !j.Allowed() {
		e.Handshake = true
		return &j.Decision
	}
	return nil
}

func (e *Explanation) conclude(d decision.Decision, o *Outcome, t *decision.Trace) {
	e.Decision, e.Reason, e.Detail, e.Checks = "allow", d.Reason, d.Detail, t.Checks
	if !d.Allowed() {
		e.Decision = "deny"
	}
	if o == nil {
		return
	}
	if !d.Allowed() {
		e.Status = o.Answer(0, "", nil).Status
	}
	if !o.WouldBe.Allowed() {
		reason := o.WouldBe.Reason
		e.WouldBe = &reason
	}
	if o.API != nil {
		e.API, e.Version = o.API.name, o.API.version
	}
	if o.Caller.Known() {
		e.Caller = o.Caller.verdict.Identity.Subject().String()
	}
}

// listenerFor finds the listener of a question.
func (r *Rules) listenerFor(name string, target *url.URL, overTLS bool) (*Listener, error) {
	if name != "" {
		l := r.byName[name]
		switch {
		case l == nil:
			return nil, fmt.Errorf("there is no listener %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(r.byName)), ", "))
		case l.TLS != overTLS:
			return nil, fmt.Errorf("listener %q and the scheme %s do not fit: one speaks TLS, the other does not", name, target.Scheme)
		}
		return l, nil
	}
	port, given := target.Port(), true
	if port == "" {
		given = false
		port = map[bool]string{true: "443", false: "80"}[overTLS]
	}
	var byPort, byScheme []*Listener
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		l := r.byName[name]
		if l.TLS != overTLS {
			continue
		}
		byScheme = append(byScheme, l)
		if _, p, err := net.SplitHostPort(l.Address); err == nil && p == port {
			byPort = append(byPort, l)
		}
	}
	anyPort := func(l *Listener) bool { return strings.HasSuffix(l.Address, ":0") }
	switch {
	case len(byPort) == 1:
		return byPort[0], nil
	case given && len(byPort) == 0 && len(byScheme) > 0 && !slices.ContainsFunc(byScheme, anyPort):
		return nil, fmt.Errorf("no listener that speaks %s has port %s; say with --listener which one is meant", target.Scheme, port)
	case len(byScheme) == 1:
		return byScheme[0], nil
	case len(byScheme) == 0:
		return nil, fmt.Errorf("no listener speaks %s", target.Scheme)
	default:
		return nil, fmt.Errorf("%d listeners speak %s; say which one with --listener", len(byScheme), target.Scheme)
	}
}

// rawTarget returns the origin-form target that a client would send for a URL, byte for byte: normalising it is what is
// to be explained.
func rawTarget(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	rest, _, _ = strings.Cut(rest, "#")
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	}
	return rest[i:]
}
