package gateway

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/route"
	"sallyport/internal/trust"
	"sallyport/internal/upstream"
)

// Compile turns a checked document into a snapshot. It reads nothing but its arguments and changes neither of them. What
// has the same content as in previous is taken over: verdict caches and connection pools live on. A nil previous is
// the first compilation. All errors are reported at once, as a
// config.ErrorList; a document that config.Load accepted and Unbuilt has nothing
// to say about compiles.
func Compile(doc *config.Document, previous *Snapshot, clock *Clock) (*Snapshot, error) {
	if previous == nil {
		previous = &Snapshot{}
	}
	c := &compiler{doc: doc, previous: previous, clock: clock, stores: map[string]*trust.Store{}, byFingerprint: map[[32]byte]*trust.Set{}}
	for _, set := range previous.sets {
		c.byFingerprint[set.Fingerprint()] = set
	}
	c.out = &Snapshot{
		generation: previous.generation + 1,
		listeners:  map[string]*listener{},
		byName:     map[string]*listener{},
		sets:       map[string]*trust.Set{},
		upstreams:  map[string]*upstream.Upstream{},
		reporter:   cmp.Or(previous.reporter, &reporter{}),
		access:     newAccessPolicy(doc.Log),
		drain:      doc.Shutdown.Bounds().Drain,
	}
	c.compileStores()
	c.compileUpstreams()
	for i := range doc.Listeners {
		l := &doc.Listeners[i]
		compiled := &listener{name: l.Name, address: l.Address, index: i, tls: l.TLS != nil, protocols: newProtocols(l), bounds: l.Bounds()}
		c.out.listeners[l.Address] = compiled
		c.out.byName[l.Name] = compiled
	}
	c.compileAPIs()
	for i := range doc.Listeners {
		c.compileTLS(&doc.Listeners[i])
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return c.out, nil
}

// compiler holds what the steps of one compilation share.
type compiler struct {
	doc      *config.Document
	previous *Snapshot
	clock    *Clock

	out           *Snapshot
	stores        map[string]*trust.Store // the usable ones
	byFingerprint map[[32]byte]*trust.Set // of the previous generation
	apis          []*api                  // in document order
	errs          config.ErrorList
}

// fail records what keeps the document from running, at a field of it.
func (c *compiler) fail(field any, format string, args ...any) {
	c.errs = append(c.errs, config.Error{Position: c.doc.Position(field), Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) compileStores() {
	for i := range c.doc.TrustStores {
		ts := &c.doc.TrustStores[i]
		if ts.Broken != nil {
			continue // whoever names it refuses
		}
		cfg := trust.StoreConfig{Name: ts.Name, Purpose: purposeOf(ts.Purpose), MaxDepth: -1}
		if ts.MaxDepth != nil {
			cfg.MaxDepth = *ts.MaxDepth
		}
		for _, a := range ts.Anchors {
			for _, cert := range a.Certificates {
				cfg.Anchors = append(cfg.Anchors, trust.Anchor{Certificate: cert, Pin: a.Pin})
			}
		}
		store, err := trust.NewStore(cfg)
		if err != nil {
			c.fail(&ts.Anchors, "%v", err)
			continue
		}
		c.out.notes = append(c.out.notes, store.Warnings(c.clock.Now())...)
		c.stores[ts.Name] = store
		c.out.stores = append(c.out.stores, store)
	}
}

func purposeOf(p config.Purpose) trust.Purpose {
	switch p {
	case config.PurposeClientAuth:
		return trust.ClientAuth
	case config.PurposeServerAuth:
		return trust.ServerAuth
	case config.PurposeAny:
		return trust.Any
	}
	return trust.PurposeDefault
}

// set returns the trust set of the named stores, shared by everybody who names the same ones. It is nil when names is
// empty or one of the stores cannot be used: a set that silently lacked a store could refuse or accept something else
// than what was asked for. The second result says which store is missing.
func (c *compiler) set(use trust.Purpose, names []string) (set *trust.Set, missing string) {
	if len(names) == 0 {
		return nil, ""
	}
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	key := fmt.Sprintf("%d\x00%s", use, strings.Join(names, "\x00"))
	if set, ok := c.out.sets[key]; ok {
		return set, ""
	}
	stores := make([]*trust.Store, len(names))
	for i, name := range names {
		if stores[i] = c.stores[name]; stores[i] == nil {
			return nil, name
		}
	}
	fresh, err := trust.NewSet(use, stores...)
	if err != nil {
		c.fail(&c.doc.TrustStores, "trust stores %q: %v", names, err)
		return nil, names[0]
	}
	if old, ok := c.byFingerprint[fresh.Fingerprint()]; ok {
		fresh = old // with everything its cache knows
	}
	c.out.sets[key] = fresh
	return fresh, ""
}

func (c *compiler) compileUpstreams() {
	for i := range c.doc.Upstreams {
		u := &c.doc.Upstreams[i]
		cfg := upstream.Config{
			Name: u.Name, Targets: u.Targets, Balancing: upstream.RoundRobin, Protocol: upstream.HTTP1,
			NoRetry: u.Retry != nil && !*u.Retry, ResolveEvery: u.ResolveEvery,
		}
		if u.LoadBalancing == "least_requests" {
			cfg.Balancing = upstream.LeastRequests
		}
		if u.Protocol == config.H2 {
			cfg.Protocol = upstream.HTTP2
		}
		if u.TLS != nil {
			set, missing := c.set(trust.ServerAuth, u.TLS.Trust)
			if missing != "" {
				continue // the APIs that use it refuse: without its trust it must not connect
			}
			cfg.Trust, cfg.ServerName, cfg.PinSPKI = set, u.TLS.ServerName, u.TLS.PinSPKISHA256
		}
		if h := u.Health; h != nil {
			cfg.MaxFailures, cfg.Recovery = h.MaxFailures, h.Recovery
		}
		if t := u.Timeouts; t != nil {
			cfg.ConnectTimeout, cfg.ResponseTimeout, cfg.IdleTimeout = t.Connect, t.Response, t.Idle
			cfg.PauseTimeout, cfg.QueueTimeout = t.Pause, t.Queue
		}
		if p := u.Pool; p != nil {
			cfg.MaxIdle, cfg.Max = p.MaxIdle, p.Max
		}
		compiled, err := upstream.Renew(c.previous.upstreams[u.Name], cfg, c.out.reporter)
		if err != nil {
			c.fail(&u.Targets, "%v", err)
			continue
		}
		c.out.upstreams[u.Name] = compiled
	}
}

func (c *compiler) compileAPIs() {
	entries := make([]route.Entry[*api], 0, len(c.doc.APIs))
	for i := range c.doc.APIs {
		a := &c.doc.APIs[i]
		compiled := &api{
			name: a.Name, version: a.Version, series: a.Name, methods: a.Methods,
			upstream: c.out.upstreams[a.Upstream], broken: passes,
			bindings: make([]*binding, len(c.doc.Listeners)),
		}
		if a.Version != "" {
			compiled.series += "@" + a.Version
		}
		for _, ch := range a.AllowInPath {
			compiled.special |= characterOf(ch)
		}
		switch {
		case a.Broken != nil:
			compiled.broken = decision.Decision{Reason: decision.TrustUnavailable, Detail: a.Broken.Error()}
		case compiled.upstream == nil:
			detail := fmt.Sprintf("upstream %q cannot be used", a.Upstream)
			compiled.broken = decision.Decision{Reason: decision.UpstreamUnavailable, Detail: detail}
		}
		for li := range c.doc.Listeners {
			l := &c.doc.Listeners[li]
			if len(a.Listeners) == 0 || slices.Contains(a.Listeners, l.Name) {
				compiled.bindings[li] = c.bind(l, a, compiled)
			}
		}
		if !compiled.broken.Allowed() {
			c.out.broken = append(c.out.broken, fmt.Sprintf("API %q: %s", a.Name, compiled.broken.Detail))
		}
		c.apis = append(c.apis, compiled)
		entries = append(entries, route.Entry[*api]{Hosts: a.HostPatterns, Prefix: a.Prefix, Value: compiled})
	}
	c.out.apis = c.apis
	c.out.routes = route.NewTable(entries)
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
func (c *compiler) bind(l *config.Listener, a *config.API, out *api) *binding {
	rules := c.doc.Rules(l, a)
	b := &binding{
		mode:        rules.Mode,
		onInvalid:   rules.OnInvalid,
		observeOnly: rules.ObserveOnly,
		allow:       newMatchList(rules.Allow, false),
		deny:        newMatchList(rules.Deny, true),
		ownTrust:    rules.Trust != nil,
		bounds:      c.doc.RequestBounds(l, a),
	}
	if rules.Errors != nil {
		b.errors = *rules.Errors
	}
	set, missing := c.set(trust.ClientAuth, rules.Trust)
	b.trust = set
	if missing != "" && out.broken.Allowed() {
		detail := fmt.Sprintf("trust store %q cannot be used", missing)
		out.broken = decision.Decision{Reason: decision.TrustUnavailable, Detail: detail}
	}
	return b
}

func newProtocols(l *config.Listener) protocols {
	if len(l.Protocols) == 0 {
		return protocols{http1: true, http2: l.TLS != nil}
	}
	return protocols{
		http1: slices.Contains(l.Protocols, config.H1),
		http2: slices.Contains(l.Protocols, config.H2),
		h2c:   slices.Contains(l.Protocols, config.H2C),
	}
}

// compileTLS makes the TLS profiles of a listener. It runs after the APIs are bound, because what a handshake accepts is
// the union of what they trust.
func (c *compiler) compileTLS(l *config.Listener) {
	if l.TLS == nil {
		return
	}
	base := config.TLSProfile{ClientAuth: l.TLS.ClientAuth, Trust: l.TLS.Trust, MinVersion: l.TLS.MinVersion}
	profiles := []config.TLSProfile{base}
	for _, p := range l.TLS.Profiles {
		p.ClientAuth = cmp.Or(p.ClientAuth, base.ClientAuth)
		p.MinVersion = cmp.Or(p.MinVersion, base.MinVersion)
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
	out := c.out.byName[l.Name]
	for i := range profiles {
		credentials := l.TLS.Credentials
		if profiles[i].Credential != "" {
			credentials = []string{profiles[i].Credential}
		}
		out.all = append(out.all, c.profile(out, profiles, i, owner, credentials))
	}
	out.defaultProfile, out.owner = out.all[0], owner
}

// profile compiles the i-th of a listener's profiles; the first is its default. owner says which profile a host has.
func (c *compiler) profile(l *listener, profiles []config.TLSProfile, i int, owner route.HostMap[int], credentials []string) *profile {
	p := &profiles[i]
	names := make([]string, len(p.Hosts))
	for i, h := range p.Hosts {
		names[i] = h.String()
	}
	slices.Sort(names)
	out := &profile{key: strings.Join(names, ","), clientAuth: cmp.Or(p.ClientAuth, config.ClientAuthNone), gates: map[*trust.Set]*trust.Set{}}
	out.fallback, _ = c.set(trust.ClientAuth, c.usable(p.Trust))

	accepted := slices.Clone(p.Trust)
	var own [][]string // the trust of each API that can be reached, where it has some
	for a := range c.doc.APIs {
		if c.apis[a].bindings[l.index] == nil || !reaches(p, i, c.doc.APIs[a].HostPatterns, owner) {
			continue
		}
		if names := c.doc.Rules(&c.doc.Listeners[l.index], &c.doc.APIs[a]).Trust; names != nil {
			accepted, own = append(accepted, names...), append(own, names)
		}
	}
	out.handshake, _ = c.set(trust.ClientAuth, c.usable(accepted))
	out.gates[nil] = out.handshake
	if out.fallback != nil {
		out.gates[nil] = out.fallback
	}
	for _, names := range own {
		if set, _ := c.set(trust.ClientAuth, names); set != nil && out.gates[set] == nil {
			out.gates[set], _ = c.set(trust.ClientAuth, c.usable(slices.Concat(p.Trust, names)))
		}
	}
	out.config = c.tlsConfig(l, out, p.MinVersion, credentials)
	out.ticketID = ticketID(l, out)
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

// usable drops the stores that are broken. It is for handshakes alone, which are never a verdict: the APIs that name a
// broken store refuse by themselves.
func (c *compiler) usable(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return c.stores[name] == nil })
}

func (c *compiler) tlsConfig(l *listener, p *profile, version config.TLSVersion, credentials []string) *tls.Config {
	out := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: l.protocols.alpn(),
	}
	if version == config.TLS13 {
		out.MinVersion = tls.VersionTLS13
	}
	for _, name := range credentials {
		if resolved := c.credential(name); resolved != nil {
			out.Certificates = append(out.Certificates, *resolved)
		}
	}
	if len(out.Certificates) == 0 {
		c.fail(&c.doc.Listeners[l.index].TLS.Credentials, "listener %q has no usable credential among %q", l.name, credentials)
	}
	switch p.clientAuth {
	case config.ClientAuthNone:
		return out
	case config.ClientAuthOptional:
		out.ClientAuth = tls.RequestClientCert
	case config.ClientAuthRequired:
		out.ClientAuth = tls.RequireAnyClientCert
		out.VerifyConnection = p.verifyConnection(c.clock)
	}
	out.ClientCAs = announced(p.handshake)
	return out
}

func (c *compiler) credential(name string) *tls.Certificate {
	for i := range c.doc.Credentials {
		if c.doc.Credentials[i].Name == name {
			return c.doc.Credentials[i].Resolved
		}
	}
	return nil
}

// maxAnnounced is the size of the names that a handshake announces at most: the list is one 16-bit length of a message,
// and a list that does not fit breaks every handshake. Beyond it none is announced and clients choose by themselves.
const maxAnnounced = 60_000

// announced returns a pool that makes crypto/tls announce the names of a set. It verifies nothing: client certificates
// are requested, never verified, by crypto/tls, and a nil pool announces nothing.
func announced(set *trust.Set) *x509.CertPool {
	if set == nil {
		return nil
	}
	names := set.Announce()
	size := 0
	for _, name := range names {
		size += len(name) + 2
	}
	if size > maxAnnounced || len(names) == 0 {
		return nil
	}
	pool := x509.NewCertPool()
	for _, name := range names {
		// The pool keeps names of certificates; one that has nothing but a name announces it.
		pool.AddCert(&x509.Certificate{Raw: name, RawSubject: name})
	}
	return pool
}

// ticketID identifies a profile and the content of its effective trust.
func ticketID(l *listener, p *profile) [32]byte {
	h := sha256.New()
	for _, text := range []string{l.name, l.address, p.key, string(p.clientAuth)} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(text))) // a hash does not fail
		h.Write([]byte(text))
	}
	if p.handshake != nil {
		fingerprint := p.handshake.Fingerprint()
		h.Write(fingerprint[:])
	}
	return [32]byte(h.Sum(nil))
}
