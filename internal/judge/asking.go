package judge

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/route"
	"sallyport/internal/trust"
)

// Ask is what the handshakes of a listener ask of clients that name one of some servers. Two names have the same Ask exactly
// when their handshakes are the same. It is compiled with the rules and never changes.
type Ask struct {
	// Index counts the asks of the listener.
	Index int
	// Profile is the TLS profile of the names.
	Profile *Profile
	// Raised says that the handshake insists although the profile only asks: every API under the name requires a certificate,
	// says enforce: auto and can be served.
	Raised bool

	// union is what the APIs under the name trust, and the profile's own trust. Nil where nobody trusts anybody.
	union *trust.Set
	// accepts is what the handshake accepts where it insists: the union or, where the profile insists, the same for all names
	// of the profile, because its requests may be for any of them.
	accepts *trust.Set
	// silence says why no authorities are announced; "" where they are.
	silence string
}

// Asks are the asks of the listener; Ask.Index counts them. There are none without TLS.
func (l *Listener) Asks() []*Ask { return l.asks }

// AskFor returns what a handshake asks of a client that names a server, canonical; "" is one that names none. It is nil without
// TLS. Its Profile is that of ProfileFor.
func (l *Listener) AskFor(serverName string) *Ask {
	switch {
	case !l.TLS:
		return nil
	case serverName == "":
		return l.unnamed
	}
	if i, ok := l.askOf.Lookup(serverName); ok {
		return l.asks[i]
	}
	return l.others
}

// Asks reports whether the handshake asks for a client certificate. A nil Ask does not.
func (a *Ask) Asks() bool { return a != nil && a.Profile.Asks() }

// Insists reports whether the handshake ends without an acceptable certificate. That of a nil Ask does not.
func (a *Ask) Insists() bool { return a != nil && (a.Raised || a.Profile.insists()) }

// VerifyHandshake says whether a handshake that insists on a certificate may go on. The error is a *trust.Error. It runs on
// every handshake, resumed ones included. Where a certificate is only asked for nobody calls it: what it found would be judged
// again by each API's own trust, and whoever sends hostile chains would be served twice.
func (a *Ask) VerifyHandshake(presented []*x509.Certificate, now time.Time) error {
	return a.accepts.Verify(trust.NewChain(presented), now).Err()
}

// Announce returns the DER of the names that the handshake announces as acceptable issuers (RFC 8446, section 4.2.4), nil for
// none: clients choose their certificate by themselves then.
func (a *Ask) Announce() [][]byte {
	if a.silence != "" || a.union == nil {
		return nil
	}
	return a.union.Announce()
}

// Fingerprint identifies the content of the trust behind the handshake: asks that differ in it must not share session ticket
// keys. It is empty where nobody is trusted.
func (a *Ask) Fingerprint() []byte {
	if a.union == nil && a.accepts == nil {
		return nil
	}
	union, accepts := a.union.Fingerprint(), a.accepts.Fingerprint()
	return slices.Concat(union[:], accepts[:])
}

// admits says whether the handshake would accept the evidence.
func (a *Ask) admits(ev *Evidence, now time.Time, t *decision.Trace) Judgement {
	if a.Raised && t.Enabled() {
		t.Add("handshake", decision.Info, raisedText)
	}
	text := insistsText
	if a.Raised {
		text = raisedMissingText
	}
	switch {
	case !a.Insists():
		return anonymous
	case !ev.presented():
		t.Add("handshake", decision.Fail, text)
		return refuse(decision.CertificateMissing, text)
	case t.Enabled():
		return admitted(a.accepts.Explain(ev.chain, now, nil), ev, a.accepts, t)
	}
	return admitted(ev.judge(a.accepts, now).verdict, ev, a.accepts, t)
}

const (
	raisedText        = "it insists: every API under the server name requires a client certificate and says enforce: auto"
	raisedMissingText = "every API under the server name requires a client certificate in the handshake (enforce: auto), and none was presented"
)

// MaxAnnounced is how many bytes of names a handshake announces at most. The protocol has room for 65,535 with everything
// around them (RFC 8446, section 4.2.4), but clients have less: Java takes messages of 32 KiB, and small devices one record,
// 16 KiB.
const MaxAnnounced = 16_000

// asking computes the asks of one listener.
type asking struct {
	c        *compiler
	listener *Listener
	profiles []config.TLSProfile
	levels   map[string]*level // by the text of a host pattern; "" is every host
	made     map[string]*Ask   // by content
	silent   int               // asks with too many authorities
}

// level is the APIs of one host pattern that the listener has, in groups of those that mean the same to a handshake.
type level struct {
	groups []*group
	known  map[string]*group // by what they mean
}

type group struct {
	willing bool // they require a certificate and say enforce: auto
	offered bool // they look at certificates that nobody trusts
	trust   []string
	apis    []*API
}

// compileAsks computes what the handshakes of a listener ask, for every name that its APIs or profiles tell from others, for
// all other names, and for clients that name none.
func (c *compiler) compileAsks(l *Listener, profiles []config.TLSProfile) error {
	a := &asking{c: c, listener: l, profiles: profiles, levels: map[string]*level{}, made: map[string]*Ask{}}
	names := map[route.HostPattern]bool{}
	for _, api := range c.out.apis { // those of other listeners, too: where they own a path, nobody else does
		for _, h := range api.hosts {
			names[h] = true
		}
		if b := api.bindings[l.Index]; b != nil {
			a.enter(api, b)
		}
	}
	for _, p := range profiles {
		for _, h := range p.Hosts {
			names[h] = true
		}
	}
	sorted := slices.SortedFunc(maps.Keys(names), func(x, y route.HostPattern) int { return strings.Compare(x.String(), y.String()) })
	l.unnamed, l.others = a.unnamed(), a.under("")
	var err error
	l.askOf, err = route.NewHostMap(func(yield func(route.HostPattern, int) bool) {
		for _, h := range sorted {
			if !yield(h, a.under(h.String()).Index) {
				return
			}
		}
	})
	if a.silent > 1 {
		c.out.notes = append(c.out.notes, fmt.Sprintf("listener %q: the same holds for %d other sets of server names", l.Name, a.silent-1))
	}
	return err
}

// enter puts an API on the levels of its hosts.
func (a *asking) enter(api *API, b *Binding) {
	texts := []string{""}
	if len(api.hosts) > 0 {
		texts = texts[:0]
		for _, h := range api.hosts {
			texts = append(texts, h.String())
		}
	}
	key := fmt.Sprintf("%t\x00%t\x00%s", b.willing(api), b.offered(), strings.Join(b.stores, "\x00"))
	for _, text := range texts {
		at := a.levels[text]
		if at == nil {
			at = &level{known: map[string]*group{}}
			a.levels[text] = at
		}
		g := at.known[key]
		if g == nil {
			g = &group{willing: b.willing(api), offered: b.offered(), trust: b.stores}
			at.known[key], at.groups = g, append(at.groups, g)
		}
		g.apis = append(g.apis, api)
	}
}

// under returns the ask of a host name, or of the names below a wildcard that no longer pattern has: the wildcard's text is
// looked up like a host. "" stands for the names that no pattern has.
func (a *asking) under(name string) *Ask {
	p := a.listener.ProfileFor(name)
	raised, offered, stores := p.ClientAuth == config.ClientAuthOptional, false, []string{}
	some := false
	for _, at := range a.above(name) {
		for _, g := range at.groups {
			if !slices.ContainsFunc(g.apis, func(api *API) bool { return a.c.out.reachable(name, api) }) {
				continue
			}
			some = true
			raised, offered, stores = raised && g.willing, offered || g.offered, append(stores, g.trust...)
		}
	}
	return a.make(name, p, stores, raised && some, offered)
}

// above returns the levels of a name, the most specific first.
func (a *asking) above(name string) []*level {
	var found []*level
	add := func(text string) {
		if at := a.levels[text]; at != nil {
			found = append(found, at)
		}
	}
	if name != "" {
		add(name)
	}
	for i := range len(name) {
		if name[i] == '.' && (i != 1 || name[0] != '*') {
			add("*" + name[i:])
		}
	}
	add("")
	return found
}

// unnamed returns the ask of clients that name no server. Their requests may be for every host, so nothing is raised, and
// what is announced is what any API of the listener trusts.
func (a *asking) unnamed() *Ask {
	p := a.listener.profiles[0]
	var stores []string
	offered := false
	for _, at := range a.levels {
		for _, g := range at.groups {
			stores, offered = append(stores, g.trust...), offered || g.offered
		}
	}
	for i := range a.profiles {
		stores = append(stores, a.profiles[i].Trust...)
	}
	return a.make("", p, stores, false, offered)
}

// make returns the ask with a content, one for all names that have it.
func (a *asking) make(name string, p *Profile, stores []string, raised, offered bool) *Ask {
	stores = a.c.stores.usable(append(stores, a.profiles[p.Index].Trust...))
	if !p.Asks() {
		stores = nil
	}
	slices.Sort(stores)
	stores = slices.Compact(stores)
	key := fmt.Sprintf("%d\x00%t\x00%t\x00%s", p.Index, raised, offered, strings.Join(stores, "\x00"))
	if known := a.made[key]; known != nil {
		return known
	}
	union, _ := a.c.stores.Set(trust.ClientAuth, stores)
	out := &Ask{Index: len(a.listener.asks), Profile: p, Raised: raised && union != nil, union: union, accepts: union}
	if p.insists() {
		out.accepts = p.handshake
	}
	out.silence = a.silence(name, p, out.union, offered)
	a.made[key] = out
	a.listener.asks = append(a.listener.asks, out)
	return out
}

// silence says why a handshake announces nothing; "" where it does.
func (a *asking) silence(name string, p *Profile, union *trust.Set, offered bool) string {
	switch {
	case !p.Asks():
		return "nothing is asked for"
	case p.quiet:
		return "announce_authorities is false"
	case offered: // who chooses by what is announced would have nothing to show
		return "an API looks at certificates that no trust store accepts (on_invalid: present)"
	case union == nil:
		return "no trust store is in effect"
	}
	size, names := 0, union.Announce()
	for _, n := range names {
		size += 2 + len(n)
	}
	if size <= MaxAnnounced {
		return ""
	}
	text := fmt.Sprintf("the names of %d certificate authorities take %d bytes, more than %d", len(names), size, MaxAnnounced)
	if a.silent++; a.silent == 1 {
		where := "clients that name no server"
		if name != "" {
			where = "server names such as " + quote(name)
		}
		a.c.out.notes = append(a.c.out.notes, fmt.Sprintf("listener %q announces no certificate authorities to %s: %s; clients choose their certificate by themselves",
			a.listener.Name, where, text))
	}
	return text
}

// reachable reports whether a request under a canonical host name can be for an API, whatever its listener.
func (r *Rules) reachable(host string, api *API) bool {
	return slices.Contains(r.routes.Lookup(host, api.root), api)
}

// unwilling returns an API that keeps the handshakes of a server name from insisting; nil where there is none.
func (r *Rules) unwilling(l *Listener, serverName string) *API {
	for _, api := range r.apis {
		b := api.bindings[l.Index]
		if b != nil && !b.willing(api) && api.owns(serverName) && r.reachable(serverName, api) {
			return api
		}
	}
	return nil
}

// willing reports whether the API of the binding would have a handshake insist. One that refuses everybody over HTTP, because
// something that it needs is broken, would not: that has nothing to do with certificates.
func (b *Binding) willing(api *API) bool {
	return b.auto && b.mode == config.ModeRequired && !b.observeOnly && api.broken.Allowed()
}

// offered reports whether the API looks at certificates that no trust store accepts.
func (b *Binding) offered() bool {
	return b.mode == config.ModeOptional && b.onInvalid == config.OnInvalidPresent
}
