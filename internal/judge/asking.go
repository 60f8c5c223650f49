package judge

import (
	"crypto/x509"
	"fmt"
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

// NothingPresented is the detail of certificate_missing where the handshake insists and no certificate came.
func (a *Ask) NothingPresented() string {
	if a.Raised {
		return raisedMissingText
	}
	return insistsText
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

// admits says whether the handshake would accept the evidence, for explain: live handshakes ask VerifyHandshake.
func (a *Ask) admits(ev *Evidence, now time.Time, t *decision.Trace) Judgement {
	if a.Raised {
		t.Add("handshake", decision.Info, raisedText)
	}
	switch {
	case !a.Insists():
		return anonymous
	case !ev.presented():
		t.Add("handshake", decision.Fail, a.NothingPresented())
		return refuse(decision.CertificateMissing, a.NothingPresented())
	}
	return admitted(a.accepts.Explain(ev.chain, now, nil), ev, a.accepts, t)
}

const (
	raisedText        = "it insists: every API under the server name requires a client certificate and says enforce: auto"
	raisedMissingText = "every API under the server name requires a client certificate in the handshake (enforce: auto), and none was presented"
)

// MaxAnnounced is how many bytes of names a handshake announces at most. The protocol has room for 65,535 with everything
// around them (RFC 8446, section 4.2.4), but clients have less: Java takes messages of 32 KiB, and small devices one record,
// 16 KiB.
const MaxAnnounced = 16_000

// asking computes the asks of one listener. A hundred thousand names are ordinary, and most mean what others mean: what is the
// same is computed once.
type asking struct {
	c        *compiler
	listener *Listener
	profiles []config.TLSProfile
	root     route.Path // "/"

	exact  map[string][]*group // by host
	suffix map[string][]*group // by what wildcards end in, with its dot
	every  []*group            // of APIs without hosts
	groups map[groupKey]*group // of patterns that have more than a few
	made   map[askKey]*Ask     // by the groups that they come from
	known  map[content]*Ask    // by what they are
	silent int                 // asks with too many authorities
}

// group is the APIs of one host pattern that the listener has and that mean the same to a handshake.
type group struct {
	meaning
	stores []string // by name
	apis   []*API
}

// meaning is what an API means to a handshake.
type meaning struct {
	willing bool       // it requires a certificate and says enforce: auto
	offered bool       // it looks at certificates that nobody trusts
	trust   *trust.Set // its own; nil for none
	broken  string     // the names of the stores where one of them is
}

// groupKey tells groups apart; the text is that of a host pattern, "" for every host.
type groupKey struct {
	pattern string
	meaning meaning
}

// askKey is where an ask comes from: further is for more trust than has a place in it.
type askKey struct {
	profile         int
	raised, offered bool
	trust           [3]*trust.Set
	further         string
}

// content is what an ask is.
type content struct {
	profile         int
	raised, offered bool
	union           *trust.Set
}

// note remarks something about a listener.
func (c *compiler) note(l *Listener, message string) {
	c.out.notes = append(c.out.notes, config.Note{Position: c.doc.Position(&c.doc.Listeners[l.Index]), Message: message})
}

// compileAsks computes what the handshakes of a listener ask, for every name that its APIs or profiles tell from others, for
// all other names, and for clients that name none.
func (c *compiler) compileAsks(l *Listener, profiles []config.TLSProfile) error {
	a := &asking{
		c: c, listener: l, profiles: profiles, exact: make(map[string][]*group, len(c.out.apis)), suffix: map[string][]*group{},
		groups: map[groupKey]*group{}, made: map[askKey]*Ask{}, known: map[content]*Ask{},
	}
	a.root, _ = route.ParsePath("/") // it is one
	var names []route.HostPattern    // those of other listeners' APIs, too: where they own a path, nobody else does
	for _, api := range c.out.apis {
		names = append(names, api.hosts...)
		if b := api.bindings[l.Index]; b != nil {
			a.enter(api, b)
		}
	}
	for i := range profiles {
		names = append(names, profiles[i].Hosts...)
	}
	l.unnamed, l.others = a.unnamed(), a.under("")
	seen := make(map[route.HostPattern]bool, len(names))
	var err error
	l.askOf, err = route.NewHostMap(func(yield func(route.HostPattern, int) bool) {
		for _, h := range names {
			if seen[h] {
				continue
			}
			seen[h] = true
			if !yield(h, a.under(h.String()).Index) {
				return
			}
		}
	})
	if a.silent > 1 {
		c.note(l, fmt.Sprintf("listener %q: the same holds for %d other sets of server names", l.Name, a.silent-1))
	}
	return err
}

// enter puts an API into a group of each of its hosts.
func (a *asking) enter(api *API, b *Binding) {
	m := meaning{willing: b.willing(api), offered: b.offered(), trust: b.trust}
	if b.trust == nil {
		m.broken = strings.Join(b.stores, "\x00")
	}
	join := func(list []*group, pattern string) []*group {
		const few = 8
		for _, g := range list[:min(len(list), few)] {
			if g.meaning == m {
				g.apis = append(g.apis, api)
				return list
			}
		}
		key := groupKey{pattern, m}
		g := a.groups[key]
		if g == nil {
			g = &group{meaning: m, stores: b.stores}
			list = append(list, g)
		}
		if len(list) > few {
			a.groups[key] = g
		}
		g.apis = append(g.apis, api)
		return list
	}
	if len(api.hosts) == 0 {
		a.every = join(a.every, "")
	}
	for _, h := range api.hosts {
		text := h.String()
		if suffix, wildcard := strings.CutPrefix(text, "*"); wildcard {
			a.suffix[suffix] = join(a.suffix[suffix], text)
		} else {
			a.exact[text] = join(a.exact[text], text)
		}
	}
}

// under returns the ask of a host name, or of the names below a wildcard that no longer pattern has: the wildcard's text is
// looked up like a host. "" stands for the names that no pattern has.
func (a *asking) under(name string) *Ask {
	p := a.listener.ProfileFor(name)
	key := askKey{profile: p.Index, raised: p.ClientAuth == config.ClientAuthOptional}
	owner := a.c.out.owner(name, a.root)
	found := a.reached(nil, name, a.exact[name])
	done := !strings.HasPrefix(name, "*") && owner.has(name)
	for i := 0; i < len(name) && !done; i++ {
		if name[i] == '.' {
			found = a.reached(found, name, a.suffix[name[i:]])
			done = owner.has("*" + name[i:])
		}
	}
	if !done {
		found = a.reached(found, name, a.every)
	}
	return a.of(name, p, key, found)
}

// mostHidden is how many APIs of one group are looked at that more specific hosts might hide altogether. Beyond it one of them
// is taken to be reachable: at worst a handshake does not insist that could.
const mostHidden = 100

// reached adds the groups of a pattern of which an API can be reached under a name.
func (a *asking) reached(found []*group, name string, groups []*group) []*group {
	for _, g := range groups {
		here := func(api *API) bool { return a.c.out.reachable(name, api) }
		if slices.ContainsFunc(g.apis[:min(len(g.apis), mostHidden)], here) || len(g.apis) > mostHidden {
			found = append(found, g)
		}
	}
	return found
}

// unnamed returns the ask of clients that name no server. Their requests may be for every host, so nothing is raised, and
// what is announced is what any API or profile of the listener trusts.
func (a *asking) unnamed() *Ask {
	p := a.listener.profiles[0]
	var found []*group
	seen := map[meaning]bool{}
	for _, api := range a.c.out.apis { // in the order of the document
		b := api.bindings[a.listener.Index]
		if b == nil {
			continue
		}
		m := meaning{offered: b.offered(), trust: b.trust}
		if b.trust == nil {
			m.broken = strings.Join(b.stores, "\x00")
		}
		if !seen[m] {
			seen[m] = true
			found = append(found, &group{meaning: m, stores: b.stores})
		}
	}
	for i := range a.profiles {
		found = append(found, &group{stores: a.profiles[i].Trust})
	}
	return a.of("", p, askKey{profile: p.Index}, found)
}

// of returns the ask of groups of APIs, one for all names that have the same.
func (a *asking) of(name string, p *Profile, key askKey, groups []*group) *Ask {
	key.raised = key.raised && len(groups) > 0
	if !p.Asks() {
		groups = nil
	}
	var stores []string
	next := 0
	for _, g := range groups {
		key.raised, key.offered = key.raised && g.willing, key.offered || g.offered
		switch {
		case g.trust != nil && slices.Contains(key.trust[:], g.trust):
		case g.trust != nil && next < len(key.trust):
			key.trust[next] = g.trust
			next++
		case len(g.stores) > 0:
			key.further += "\x00" + strings.Join(g.stores, "\x00")
		}
	}
	if known := a.made[key]; known != nil {
		return known
	}
	for _, g := range groups {
		stores = append(stores, g.stores...)
	}
	if p.Asks() {
		stores = append(stores, a.profiles[p.Index].Trust...)
	}
	union, _ := a.c.stores.Set(trust.ClientAuth, a.c.stores.usable(stores))
	out := &Ask{Profile: p, Raised: key.raised, union: union, accepts: union}
	if p.insists() {
		out.accepts = p.handshake
	}
	is := content{p.Index, out.Raised, key.offered, union}
	if same := a.known[is]; same != nil { // from other groups
		a.made[key] = same
		return same
	}
	out.Index, out.silence = len(a.listener.asks), a.silence(name, p, union, key.offered)
	a.made[key], a.known[is] = out, out
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
		a.c.note(a.listener, fmt.Sprintf("listener %q announces no certificate authorities to %s: %s; clients choose their certificate by themselves",
			a.listener.Name, where, text))
	}
	return text
}

// owner returns an API that owns every path of a host that no longer path owns; nil for none. What is registered for less
// specific hosts cannot be reached.
func (r *Rules) owner(host string, root route.Path) *API {
	for _, api := range r.routes.Lookup(host, root) {
		return api
	}
	return nil
}

// has reports whether an API has a host pattern with a text. No API has none.
func (a *API) has(pattern string) bool {
	return a != nil && slices.ContainsFunc(a.hosts, func(h route.HostPattern) bool { return h.String() == pattern })
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
