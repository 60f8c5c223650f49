package gateway

import (
	"crypto/tls"
	"iter"
	"maps"
	"slices"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/route"
	"sallyport/internal/trust"
	"sallyport/internal/upstream"
)

// Snapshot is the compiled, immutable running state of one document. Compile makes it, Gateway.Swap puts it to work,
// and Explain asks it. Its zero value serves nothing: no listener, no API.
type Snapshot struct {
	generation uint64
	listeners  map[string]*listener // by address
	byName     map[string]*listener
	routes     *route.Table[*api]

	apis      []*api                        // in document order
	sets      map[string]*trust.Set         // by the names of their stores; a broken one is absent
	upstreams map[string]*upstream.Upstream // by name

	reporter *reporter // the same in every generation

	access accessPolicy
	drain  time.Duration  // how long the requests of a removed listener may go on
	stores []*trust.Store // the usable ones
	notes  []string
	broken []string
}

// Generation numbers the snapshots of one process from 1; a higher one is newer.
func (s *Snapshot) Generation() uint64 { return s.generation }

// names are what metrics are kept for: listeners, APIs, and the targets of upstreams.
func (s *Snapshot) names() (listeners, apis iter.Seq[string], targets iter.Seq2[string, string]) {
	apis = func(yield func(string) bool) {
		for _, a := range s.apis {
			if !yield(a.series) {
				return
			}
		}
	}
	targets = func(yield func(string, string) bool) {
		for name, u := range s.upstreams {
			if !yield(name, "") { // for what concerns no target
				return
			}
			for _, t := range u.Targets() {
				if !yield(name, t.String()) {
					return
				}
			}
		}
	}
	return maps.Keys(s.byName), apis, targets
}

// Notes are remarks about the compiled state for whoever watches the log: an expired anchor that is skipped, a CA that
// looks like a self-signed caller.
func (s *Snapshot) Notes() []string { return s.notes }

// Broken names the APIs that refuse every request because something that they need is broken, and what that is. It is
// empty unless the document was loaded with config.Options.ServePartial.
func (s *Snapshot) Broken() []string { return s.broken }

// warnings are what the trust stores deserve a look for at a time, such as an anchor that has expired since.
func (s *Snapshot) warnings(now time.Time) []string {
	var all []string
	for _, store := range s.stores {
		all = append(all, store.Warnings(now)...)
	}
	return all
}

// listener is a bound address: how it speaks TLS, and at which index its bindings stand in every api.
type listener struct {
	name      string
	address   string
	index     int
	protocols protocols
	bounds    config.ListenerBounds

	tls            bool
	all            []*profile         // every profile once, the default first
	owner          route.HostMap[int] // which of them a host has; none means the default
	defaultProfile *profile           // nil without TLS
}

// profileFor returns the TLS profile of a canonical host name, the listener's default when no other matches. It is nil
// without TLS.
func (l *listener) profileFor(host string) *profile {
	if !l.tls {
		return nil
	}
	if i, ok := l.owner.Lookup(host); ok {
		return l.all[i]
	}
	return l.defaultProfile
}

// profile is how a listener speaks TLS for some server names.
type profile struct {
	key        string // identifies the profile across generations: its server names, "" for the default
	clientAuth config.ClientAuth
	config     *tls.Config

	// handshake is what the handshake accepts: the stores of every API that can be reached through this profile
	// and the profile's own. Nil accepts nothing.
	handshake *trust.Set
	// gates is what a request has to pass where the profile insists, by the API's own trust: that and the profile's
	// own; with neither, what the handshake accepts. The key nil is for APIs without trust of their own.
	gates map[*trust.Set]*trust.Set
	// fallback is the trust of APIs that have none of their own: the profile's tls.trust. Nil when there is none.
	fallback *trust.Set
	// ticketID names the ticket keys: two profiles share keys exactly when they are the same profile with the
	// same effective trust.
	ticketID [32]byte
}

// asks reports whether the handshake asks for a client certificate.
func (p *profile) asks() bool { return p != nil && p.clientAuth != config.ClientAuthNone }

// insists reports whether nobody may pass this profile without an acceptable certificate.
func (p *profile) insists() bool { return p != nil && p.clientAuth == config.ClientAuthRequired }

// protocols are the HTTP versions of a listener.
type protocols struct {
	http1, http2, h2c bool
}

func (p protocols) alpn() []string {
	var names []string
	if p.http2 {
		names = append(names, "h2")
	}
	if p.http1 {
		names = append(names, "http/1.1", "http/1.0")
	}
	return names
}

// api is one API of the document, with its rules on each listener.
type api struct {
	name, version string
	series        string   // what metrics call it: the name, with @version where there is one
	methods       []string // nil means all
	special       route.Characters
	upstream      *upstream.Upstream
	broken        decision.Decision // why the API cannot be served; OK when it can
	bindings      []*binding        // by listener.index; nil where the API is not reachable
}

// label is how logs name the API; "" for no API.
func (a *api) label() string {
	if a == nil {
		return ""
	}
	return a.name
}

// counted is how metrics name the API; "" for no API.
func (a *api) counted() string {
	if a == nil {
		return ""
	}
	return a.series
}

// serves reports whether the API serves a method.
func (a *api) serves(method string) bool {
	return a.methods == nil || slices.Contains(a.methods, method)
}

// binding is an API on a listener: the merged rules about client certificates, compiled.
type binding struct {
	mode        config.Mode
	onInvalid   config.OnInvalid
	observeOnly bool

	trust    *trust.Set // nil: the profile's fallback applies
	ownTrust bool       // the document names trust for this API; with trust nil it is broken
	allow    *matchList // nil: every valid certificate may call
	deny     *matchList // nil: none is denied

	errors config.Errors
	bounds config.RequestBounds
}
