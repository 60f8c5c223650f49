package gateway

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
func (s *Snapshot) Explain(q Question, clock *Clock) (*Explanation, error) {
	target, err := url.Parse(q.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL: %w", errors.Unwrap(err))
	}
	if target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil, errors.New("the URL must begin with http:// or https:// and a host")
	}
	overTLS := target.Scheme == "https"
	l, err := s.listenerFor(q.Listener, target, overTLS)
	if err != nil {
		return nil, err
	}
	v := view{method: q.Method, target: rawTarget(q.URL), authority: target.Host, listener: l, overTLS: overTLS, now: q.At}
	if v.method == "" {
		v.method = "GET"
	}
	if q.Host != "" {
		v.authority = q.Host
	}
	if v.now.IsZero() {
		v.now = clock.Now()
	}
	t := &decision.Trace{}
	e := &Explanation{Listener: l.name}
	if overTLS {
		if refused := v.pretendHandshake(target.Hostname(), q.Presented, e, t); refused != nil {
			e.conclude(*refused, nil, t)
			return e, nil
		}
	} else {
		v.evidence = newEvidence(nil, false)
		if len(q.Presented) > 0 {
			t.Add("evidence", decision.Info, "a plain listener never sees the certificate")
		}
	}
	o := s.decide(&v, t)
	e.conclude(o.Decision, &o, t)
	return e, nil
}

// pretendHandshake does what the listener's handshake would find out. It returns a decision when the handshake fails.
func (v *view) pretendHandshake(host string, presented []*x509.Certificate, e *Explanation, t *decision.Trace) *decision.Decision {
	if net.ParseIP(strings.Trim(host, "[]")) == nil { // clients name no addresses (RFC 6066, section 3)
		name, err := route.Host(host)
		if err != nil {
			return &decision.Decision{Reason: decision.RequestMalformed, Detail: "server name: " + err.Error()}
		}
		v.serverName = name
	}
	p := v.listener.profileFor(v.serverName)
	v.profileKey, e.ServerName, e.Profile = p.key, v.serverName, p.key
	if p.key == "" {
		e.Profile = "default"
	}
	t.Addf("tls profile", decision.Info, "%s, client_auth %s", e.Profile, p.clientAuth)
	switch {
	case len(presented) == 0:
		v.evidence = newEvidence(nil, p.asks())
		t.Add("evidence", decision.Info, "no certificate")
	case !p.asks():
		v.evidence = newEvidence(nil, false)
		t.Add("evidence", decision.Info, "the handshake never asks for a certificate, so the client does not send it")
	default:
		v.evidence = newEvidence(presented, true)
		t.Addf("evidence", decision.Info, "a TLS certificate, %d in its chain", len(presented))
	}
	v.tlsVersion = tls.VersionTLS13
	if j := p.admits(v.evidence, v.now, t); !j.Allowed() {
		e.Handshake = true
		return &j.Decision
	}
	return nil
}

func (e *Explanation) conclude(d decision.Decision, o *outcome, t *decision.Trace) {
	e.Decision, e.Reason, e.Detail, e.Checks = "allow", d.Reason, d.Detail, t.Checks
	if !d.Allowed() {
		e.Decision = "deny"
	}
	if o == nil {
		return
	}
	if !d.Allowed() {
		e.Status = answerTo(o, 0, "", nil).status
	}
	if !o.wouldBe.Allowed() {
		reason := o.wouldBe.Reason
		e.WouldBe = &reason
	}
	if o.api != nil {
		e.API, e.Version = o.api.name, o.api.version
	}
	if v := o.caller.verdict; v != nil && v.Identity != nil {
		e.Caller = v.Identity.Subject().String()
	}
}

// listenerFor finds the listener of a question.
func (s *Snapshot) listenerFor(name string, target *url.URL, overTLS bool) (*listener, error) {
	if name != "" {
		l := s.byName[name]
		switch {
		case l == nil:
			return nil, fmt.Errorf("there is no listener %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(s.byName)), ", "))
		case l.tls != overTLS:
			return nil, fmt.Errorf("listener %q and the scheme %s do not fit: one speaks TLS, the other does not", name, target.Scheme)
		}
		return l, nil
	}
	port, given := target.Port(), true
	if port == "" {
		given = false
		port = map[bool]string{true: "443", false: "80"}[overTLS]
	}
	var byPort, byScheme []*listener
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		l := s.byName[name]
		if l.tls != overTLS {
			continue
		}
		byScheme = append(byScheme, l)
		if _, p, err := net.SplitHostPort(l.address); err == nil && p == port {
			byPort = append(byPort, l)
		}
	}
	anyPort := func(l *listener) bool { return strings.HasSuffix(l.address, ":0") }
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
