package judge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/route"
	"sallyport/internal/trust"
)

// Compile turns what a document says about callers into rules. usable reports whether an upstream can be used at all; the
// APIs of one that cannot refuse. The error is a config.ErrorList. Compile changes nothing but stores, of which it asks
// sets; nobody may ask them for more afterwards.
func Compile(doc *config.Document, stores *Stores, usable func(upstream string) bool) (*Rules, error) {
	c := &compiler{doc: doc, stores: stores, out: &Rules{byName: map[string]*Listener{}}, headers: map[string]struct{}{}}
	for i := range doc.Listeners {
		l := &doc.Listeners[i]
		compiled := &Listener{Name: l.Name, Address: l.Address, Index: i, TLS: l.TLS != nil, maxTarget: l.Bounds().MaxTargetSize}
		c.out.listeners = append(c.out.listeners, compiled)
		c.out.byName[l.Name] = compiled
	}
	c.compileAPIs(usable)
	c.out.headers = slices.Sorted(maps.Keys(c.headers))
	for i := range doc.Listeners {
		c.compileTLS(&doc.Listeners[i], c.out.listeners[i])
	}
	if err := stores.compiled(); err != nil {
		c.fail(&doc.TrustStores, "%v", err)
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return c.out, nil
}

// compiler holds what the steps of one compilation share.
type compiler struct {
	doc    *config.Document
	stores *Stores
	out    *Rules
	errs   config.ErrorList

	headers map[string]struct{} // that expressions ask for
}

// fail records what keeps the document from running, at a field of it.
func (c *compiler) fail(field any, format string, args ...any) {
	c.errs = append(c.errs, config.Error{Position: c.doc.Position(field), Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) compileAPIs(usable func(upstream string) bool) {
	entries := make([]route.Entry[*API], 0, len(c.doc.APIs))
	for i := range c.doc.APIs {
		a := &c.doc.APIs[i]
		compiled := &API{
			Index: i, name: a.Name, version: a.Version, series: a.Name, methods: a.Methods, broken: passes,
			bindings: make([]*Binding, len(c.doc.Listeners)), where: c.where(a), hosts: a.HostPatterns, path: a.Prefix, steps: c.compileSteps(a.Policy),
		}
		if a.Version != "" {
			compiled.series += "@" + a.Version
		}
		compiled.root, _ = route.ParsePath(a.Prefix.String()) // a prefix is one in normal form
		for _, ch := range a.AllowInPath {
			compiled.special |= characterOf(ch)
		}
		if a.TLSOnly {
			compiled.tlsOnly = "x-wso2-transports of the API's definition allows https alone" + inBrackets(place(c.doc.Position(&a.TLSOnly)))
		}
		switch {
		case a.Broken != nil:
			compiled.broken = decision.Decision{Reason: decision.TrustUnavailable, Detail: a.Broken.Error()}
		case !usable(a.Upstream):
			detail := fmt.Sprintf("upstream %q cannot be used", a.Upstream)
			compiled.broken = decision.Decision{Reason: decision.UpstreamUnavailable, Detail: detail}
		}
		for li := range c.doc.Listeners {
			l := &c.doc.Listeners[li]
			if len(a.Listeners) == 0 || slices.Contains(a.Listeners, l.Name) {
				compiled.bindings[li] = c.bind(l, a, compiled)
			}
		}
		c.out.apis = append(c.out.apis, compiled)
		entries = append(entries, route.Entry[*API]{Hosts: a.HostPatterns, Prefix: a.Prefix, Value: compiled})
	}
	c.out.routes = route.NewTable(entries)
}

// where says where the rules of an API stand, for people who look for them.
func (c *compiler) where(a *config.API) string {
	at := c.doc.Position(&a.Name)
	if !c.written(a, &a.Name) {
		at = c.doc.Position(a)
	}
	if a.ClientCertificate != nil && c.written(a, a.ClientCertificate) {
		at = c.doc.Position(a.ClientCertificate)
	}
	return place(at)
}

// written reports whether what is said about an API stands in the document, and not in an OpenAPI description.
func (c *compiler) written(a *config.API, field any) bool {
	at := c.doc.Position(field)
	return at.IsZero() || at.File == c.doc.Position(a).File
}

// place is a position for a sentence; "" for an unknown one.
func place(at config.Position) string {
	if at.Line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", at.File, at.Line)
}

func characterOf(ch config.PathCharacter) route.Characters {
	switch ch {
	case config.EncodedSlash:
		return route.EncodedSlash
	case config.EncodedBackslash:
		return route.Backslash
	case config.Semicolon:
		return route.Semicolon
	}
	return 0
}

// bind merges what gateway, listener and API say about client certificates.
func (c *compiler) bind(l *config.Listener, a *config.API, out *API) *Binding {
	rules := c.doc.Rules(l, a)
	b := &Binding{
		Bounds:      c.doc.RequestBounds(l, a),
		mode:        rules.Mode,
		onInvalid:   rules.OnInvalid,
		observeOnly: rules.ObserveOnly,
		allow:       newMatchList(c.doc, rules.Allow, false),
		deny:        newMatchList(c.doc, rules.Deny, true),
		ownTrust:    rules.Trust != nil,
		ownAllow:    a.ClientCertificate != nil && a.ClientCertificate.Allow != nil,
		auto:        rules.Enforce == config.EnforceAuto && rules.Source == config.SourceTLS,
		stores:      rules.Trust,
	}
	if cc := a.ClientCertificate; cc != nil && !c.written(a, &cc.Mode) {
		b.modeFrom = inBrackets(place(c.doc.Position(&cc.Mode)))
	}
	if rules.Errors != nil {
		b.errors = *rules.Errors
	}
	allow, deny := c.sees(b.allow, out), c.sees(b.deny, out) // both are to be asked
	b.sees = allow || deny
	set, missing := c.stores.Set(trust.ClientAuth, rules.Trust)
	b.trust = set
	if missing != "" && out.broken.Allowed() {
		detail := fmt.Sprintf("trust store %q cannot be used", missing)
		out.broken = decision.Decision{Reason: decision.TrustUnavailable, Detail: detail}
	}
	return b
}

// sees reports whether a list of an API has an expression, and notes the header fields that it asks for, and the method.
func (c *compiler) sees(l *matchList, a *API) bool {
	if l == nil {
		return false
	}
	found := false
	for i := range l.entries {
		if e := l.entries[i].Parsed.Expression; e != nil {
			found = true
			a.judgesMethod = a.judgesMethod || e.AboutMethod()
			for _, name := range e.Headers() {
				c.headers[name] = struct{}{}
			}
		}
	}
	return found
}

// compileTLS makes the TLS profiles of a listener. It runs after the APIs are bound, because what a handshake accepts is
// the union of what they trust.
func (c *compiler) compileTLS(l *config.Listener, out *Listener) {
	if l.TLS == nil {
		return
	}
	base := config.TLSProfile{
		ClientAuth: l.TLS.ClientAuth, Trust: l.TLS.Trust, MinVersion: l.TLS.MinVersion,
		AnnounceAuthorities: l.TLS.AnnounceAuthorities, SessionTickets: l.TLS.SessionTickets,
	}
	profiles := []config.TLSProfile{base}
	for _, p := range l.TLS.Profiles {
		p.ClientAuth = cmp.Or(p.ClientAuth, base.ClientAuth)
		p.MinVersion = cmp.Or(p.MinVersion, base.MinVersion)
		p.AnnounceAuthorities = cmp.Or(p.AnnounceAuthorities, base.AnnounceAuthorities)
		p.SessionTickets = cmp.Or(p.SessionTickets, base.SessionTickets)
		if p.Trust == nil {
			p.Trust = base.Trust
		}
		profiles = append(profiles, p)
	}
	owner, err := route.NewHostMap(func(yield func(route.HostPattern, int) bool) {
		for i, p := range profiles {
			for _, h := range p.Hosts {
				if !yield(h, i) {
					return
				}
			}
		}
	})
	if err != nil {
		c.fail(&l.TLS.Profiles, "listener %q: server_names: %v", l.Name, err)
		return
	}
	for i := range profiles {
		out.profiles = append(out.profiles, c.profile(out, profiles, i, owner))
	}
	out.owner = owner
	if err := c.compileAsks(out, profiles); err != nil {
		c.fail(&l.TLS.Profiles, "listener %q: server names: %v", l.Name, err)
	}
}

// profile compiles the i-th of a listener's profiles; the first is its default. owner says which profile a host has.
func (c *compiler) profile(l *Listener, profiles []config.TLSProfile, i int, owner route.HostMap[int]) *Profile {
	p := &profiles[i]
	names := make([]string, len(p.Hosts))
	for i, h := range p.Hosts {
		names[i] = h.String()
	}
	slices.Sort(names)
	out := &Profile{
		Key: strings.Join(names, ","), Index: i, ClientAuth: cmp.Or(p.ClientAuth, config.ClientAuthNone), MinVersion: minVersion(p.MinVersion),
		NoTickets: p.SessionTickets != nil && !*p.SessionTickets, quiet: p.AnnounceAuthorities != nil && !*p.AnnounceAuthorities,
		gates: map[*trust.Set]*trust.Set{},
	}
	out.fallback, _ = c.stores.Set(trust.ClientAuth, c.stores.usable(p.Trust))

	accepted := slices.Clone(p.Trust)
	var own [][]string // the trust of each API that can be reached, where it has some
	for a := range c.doc.APIs {
		if c.out.apis[a].bindings[l.Index] == nil || !reaches(p, i, c.doc.APIs[a].HostPatterns, owner) {
			continue
		}
		if names := c.out.apis[a].bindings[l.Index].stores; names != nil {
			accepted, own = append(accepted, names...), append(own, names)
		}
	}
	out.handshake, _ = c.stores.Set(trust.ClientAuth, c.stores.usable(accepted))
	out.gates[nil] = out.handshake
	if out.fallback != nil {
		out.gates[nil] = out.fallback
	}
	for _, names := range own {
		if set, _ := c.stores.Set(trust.ClientAuth, names); set != nil && out.gates[set] == nil {
			out.gates[set], _ = c.stores.Set(trust.ClientAuth, c.stores.usable(slices.Concat(p.Trust, names)))
		}
	}
	return out
}

// reaches reports whether a request whose host has the i-th profile can be for one of the API's hosts.
func reaches(p *config.TLSProfile, i int, hosts []route.HostPattern, owner route.HostMap[int]) bool {
	if len(hosts) == 0 {
		return true
	}
	for _, h := range hosts {
		// The pattern itself is looked up like a host: a wildcard is below every wildcard that covers it. Zero is the default.
		if best, _ := owner.Lookup(h.String()); best == i {
			return true
		}
		if slices.ContainsFunc(p.Hosts, h.Covers) {
			return true
		}
	}
	return false
}

func quote(text string) string { return strconv.Quote(text) }
