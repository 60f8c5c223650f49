package judge

import (
	"crypto/tls"
	"slices"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/route"
	"sallyport/internal/trust"
)

// Rules are everything that requests are judged by, compiled from one document. They never change, and may be used
// concurrently. The zero value has no listener and no API.
type Rules struct {
	listeners []*Listener // in document order
	byName    map[string]*Listener
	routes    *route.Table[*API]
	apis      []*API // in document order
	headers   []string
	notes     []config.Note
}

// Notes are remarks about the rules for whoever watches the log.
func (r *Rules) Notes() []config.Note { return r.notes }

// Listeners are the listeners in the order of the document; Listener.Index counts them.
func (r *Rules) Listeners() []*Listener { return r.listeners }

// APIs are the APIs in the order of the document; API.Index counts them.
func (r *Rules) APIs() []*API { return r.apis }

// Headers are the names of the header fields that expressions ask for, in lower case, ascending: what Request.Fields has to
// have. Nobody may change it.
func (r *Rules) Headers() []string { return r.headers }

// Broken names the APIs that refuse every request because something that they need is broken, and what that is. It is
// empty unless the document was loaded with config.Options.ServePartial.
func (r *Rules) Broken() []string {
	var broken []string
	for _, a := range r.apis {
		if !a.broken.Allowed() {
			broken = append(broken, "API "+quote(a.Label())+": "+a.broken.Detail)
		}
	}
	return broken
}

// Listener is what judging knows of a bound address: whose TLS profiles it has, and at which index its bindings stand in
// every API. The zero value has a name, no address, and no API.
type Listener struct {
	// Name and Address are the document's.
	Name, Address string
	// Index counts the listeners of the document.
	Index int
	// TLS reports whether it speaks TLS.
	TLS bool

	maxTarget int                // bytes; package wire holds it, for explain
	profiles  []*Profile         // every profile once, the default first; none without TLS
	owner     route.HostMap[int] // which of them a host has; none means the default

	asks    []*Ask             // every ask once; none without TLS
	askOf   route.HostMap[int] // which of them a server name has; none means others
	others  *Ask               // of the names that askOf does not have
	unnamed *Ask               // of clients that name no server
}

// Profiles are the TLS profiles, the default first; Profile.Index counts them. There are none without TLS.
func (l *Listener) Profiles() []*Profile { return l.profiles }

// ProfileFor returns the TLS profile of a canonical host name, the listener's default when no other matches. It is nil
// without TLS.
func (l *Listener) ProfileFor(host string) *Profile {
	if !l.TLS {
		return nil
	}
	if i, ok := l.owner.Lookup(host); ok {
		return l.profiles[i]
	}
	return l.profiles[0]
}

// Profile is what a listener demands of handshakes for some server names, and of the requests after them.
type Profile struct {
	// Key identifies the profile across generations: its server names, "" for the default.
	Key string
	// Index counts the profiles of the listener.
	Index int
	// ClientAuth says whether the handshake asks for a certificate, and whether it insists.
	ClientAuth config.ClientAuth
	// MinVersion is the lowest version of TLS, as crypto/tls counts them.
	MinVersion uint16
	// NoTickets says that no session is resumed.
	NoTickets bool

	quiet bool // no authorities are announced
	// handshake is what a handshake of this profile accepts where the profile insists: the stores of every API that can be
	// reached through it and the profile's own. Nil accepts nothing.
	handshake *trust.Set
	// gates is what a request has to pass where the profile insists, by the API's own trust: that and the profile's
	// own; with neither, what the handshake accepts. The key nil is for APIs without trust of their own.
	gates map[*trust.Set]*trust.Set
	// fallback is the trust of APIs that have none of their own: the profile's tls.trust. Nil when there is none.
	fallback *trust.Set
}

// Asks reports whether the profile's handshakes ask for a client certificate. Those of a nil profile do not.
func (p *Profile) Asks() bool { return p != nil && p.ClientAuth != config.ClientAuthNone }

// insists reports whether nobody may pass this profile without an acceptable certificate.
func (p *Profile) insists() bool { return p != nil && p.ClientAuth == config.ClientAuthRequired }

// API is one API of the document, with its rules on each listener. A nil *API stands for no API.
type API struct {
	// Index counts the APIs of the document.
	Index int

	name, version string
	series        string
	methods       []string // nil means all
	judgesMethod  bool     // a condition in its lists reads the method
	special       route.Characters
	broken        decision.Decision // why the API cannot be served; OK when it can
	tlsOnly       string            // why requests have to come over TLS; "" where they need not
	steps         []step            // of its policy, in order
	bindings      []*Binding        // by Listener.Index; nil where the API is not reachable

	where string              // of its rules in the document, file:line, for explain
	hosts []route.HostPattern // empty means every host
	path  route.Prefix
	root  route.Path // the path that path is
}

// Label is the API's name, "" for no API.
func (a *API) Label() string {
	if a == nil {
		return ""
	}
	return a.name
}

// Version is the API's version, "" for none.
func (a *API) Version() string {
	if a == nil {
		return ""
	}
	return a.version
}

// Series is what metrics call the API: its name, with @version where there is one; "" for no API.
func (a *API) Series() string {
	if a == nil {
		return ""
	}
	return a.series
}

// RestrictsMethods reports whether the method is part of what the API matches, or of a condition in its lists.
func (a *API) RestrictsMethods() bool { return a.methods != nil || a.judgesMethod }

// owns reports whether the API has a canonical host.
func (a *API) owns(host string) bool {
	return len(a.hosts) == 0 || slices.ContainsFunc(a.hosts, func(p route.HostPattern) bool { return p.Match(host) })
}

// serves reports whether the API serves a method.
func (a *API) serves(method string) bool {
	return a.methods == nil || slices.Contains(a.methods, method)
}

// Binding is an API on a listener: what the document says there, merged and compiled.
type Binding struct {
	// Bounds are the limits of requests to the API.
	Bounds config.RequestBounds

	mode        config.Mode
	modeFrom    string // in brackets, where an OpenAPI description says the mode; "" for the document
	onInvalid   config.OnInvalid
	observeOnly bool
	auto        bool // enforce: auto, of certificates that come with TLS

	stores   []string   // the names behind trust
	trust    *trust.Set // nil: the profile's fallback applies
	ownTrust bool       // the document names trust for this API; with trust nil it is broken
	ownAllow bool       // the API has a list of its own, which may begin with the one that it inherits
	allow    *matchList // nil: every valid certificate may call
	deny     *matchList // nil: none is denied
	sees     bool       // one of the lists has an expression

	errors config.Errors
}

// minVersion is a version of TLS as crypto/tls counts them.
func minVersion(v config.TLSVersion) uint16 {
	if v == config.TLS13 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}
