package config

import (
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/route"
)

// stance is what a set of TLS profiles means for an API that wants a certificate.
type stance struct {
	asks      bool // one of them asks for a certificate
	quiet     bool // one of them never does
	trusted   bool // one of them has trust of its own
	untrusted bool // one of them asks and has none
}

func (s stance) or(t stance) stance {
	return stance{s.asks || t.asks, s.quiet || t.quiet, s.trusted || t.trusted, s.untrusted || t.untrusted}
}

// profileView is a TLS profile with what it takes from its listener filled in; the first of a listener is its default.
type profileView struct {
	at      any // where client_auth comes from
	hosts   []route.HostPattern
	auth    ClientAuth
	trust   []string
	accepts bool // an API that can be reached here brings trust
}

func (p *profileView) stance() stance {
	asks := asking(p.auth)
	return stance{asks: asks, quiet: !asks, trusted: p.trust != nil, untrusted: asks && p.trust == nil}
}

// listenerView is a listener as the APIs on it see it.
type listenerView struct {
	*Listener
	rules    Rules // of an API that says nothing
	profiles []profileView
	byHost   map[route.HostPattern]int
	all      stance
	accepts  bool   // an API that can be reached under every profile brings trust
	quiet    []*API // those that want a certificate where it is not always asked for
}

func (l *loader) view(v *Listener) *listenerView {
	view := &listenerView{Listener: v, rules: l.doc.Rules(v, nil), byHost: map[route.HostPattern]int{}}
	t := v.TLS
	if t == nil {
		t = &ListenerTLS{}
	}
	view.profiles = append(view.profiles, profileView{at: &t.ClientAuth, auth: t.ClientAuth, trust: t.Trust})
	for i := range t.Profiles {
		p := &t.Profiles[i]
		profile := profileView{at: p, hosts: p.Hosts, auth: t.ClientAuth, trust: t.Trust}
		if p.ClientAuth != "" {
			profile.at, profile.auth = &p.ClientAuth, p.ClientAuth
		}
		if p.Trust != nil {
			profile.trust = p.Trust
		}
		view.profiles = append(view.profiles, profile)
		for _, h := range p.Hosts {
			view.byHost[h] = len(view.profiles) - 1
		}
	}
	for i := range view.profiles {
		view.all = view.all.or(view.profiles[i].stance())
	}
	return view
}

// reach returns the profiles under whose server names an API's hosts are asked for; nil means all of them.
func (v *listenerView) reach(hosts []route.HostPattern) []int {
	if len(hosts) == 0 || len(v.profiles) == 1 {
		return nil
	}
	var reached []int
	for _, h := range hosts {
		best := 0 // the default
		if i, ok := v.byHost[h]; ok {
			best = i
		} else if above, ok := v.above(h); ok {
			best = above
		}
		reached = append(reached, best)
		if h.Wildcard() {
			for i := range v.profiles {
				if slices.ContainsFunc(v.profiles[i].hosts, h.Covers) {
					reached = append(reached, i)
				}
			}
		}
	}
	slices.Sort(reached)
	return slices.Compact(reached)
}

// above returns the profile with the longest wildcard that covers a host.
func (v *listenerView) above(h route.HostPattern) (int, bool) {
	name := strings.TrimPrefix(h.String(), "*.")
	for {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return 0, false
		}
		if wildcard, err := route.ParseHostPattern("*." + rest); err == nil {
			if i, ok := v.byHost[wildcard]; ok {
				return i, true
			}
		}
		name = rest
	}
}

// checkReach checks what listeners and APIs say together: whether a certificate that an API wants can be asked for, and
// judged by some trust store.
func (l *loader) checkReach() {
	if l.unsound["client_certificate"] || l.unsound["listeners"] || l.unread {
		return
	}
	var views []*listenerView
	byName := map[string]*listenerView{}
	for i := range l.doc.Listeners {
		v := l.view(&l.doc.Listeners[i])
		l.inherits(v.ClientCertificate, l.doc.Rules(nil, nil), "the gateway's client_certificate")
		views = append(views, v)
		byName[v.Name] = v
	}
	for i := range l.doc.APIs {
		a := &l.doc.APIs[i]
		if l.unsound[a] {
			continue
		}
		on := views
		if a.Listeners != nil {
			on = nil
			for _, name := range a.Listeners {
				if v := byName[name]; v != nil {
					on = append(on, v)
				}
			}
		}
		if a.TLSOnly { // nobody comes further on the others
			on = slices.DeleteFunc(slices.Clone(on), func(v *listenerView) bool { return v.TLS == nil })
		}
		l.checkReachOf(a, on)
	}
	if !l.unsound["apis"] {
		for _, v := range views {
			l.checkRequired(v)
		}
	}
	for _, v := range views {
		l.noteQuiet(v)
	}
}

// inherits refuses the word inherit where the level above has no list.
func (l *loader) inherits(c *ClientCertificate, above Rules, what string) {
	if c == nil {
		return
	}
	if i := slices.Index(c.Trust, inheritWord); i >= 0 && above.Trust == nil {
		l.shape(&c.Trust[i], "there is no trust to inherit from %s", what)
	}
	if i := slices.IndexFunc(c.Allow, func(m Matcher) bool { return m.Inherit }); i >= 0 && above.Allow == nil {
		l.shape(&c.Allow[i], "there is no allow list to inherit from %s", what)
	}
}

// checkReachOf checks one API on the listeners that it can be reached on.
func (l *loader) checkReachOf(a *API, on []*listenerView) {
	wanted, asked, provable := false, false, false
	var quiet, open []*listenerView
	for _, v := range on {
		l.inherits(a.ClientCertificate, v.rules, "the listener "+quote(v.Name)+" or the gateway")
		r := v.rules
		if a.ClientCertificate != nil {
			r = l.doc.Rules(v.Listener, a)
		}
		reached := v.reach(a.HostPatterns)
		v.accept(r.Trust != nil, reached)
		l.checkValidateRevocation(a.Policy, r.Trust, v)
		s := v.all
		if reached != nil {
			s = stance{}
			for _, i := range reached {
				s = s.or(v.profiles[i].stance())
			}
		}
		if r.Source == SourceHeader {
			verified := r.Header == nil || r.Header.Verify != "proxy"
			trusted := v.profiles[0].trust != nil || !verified
			s = stance{asks: true, trusted: trusted, untrusted: !trusted}
		}
		// A client that sends no server name is asked by the default profile, wherever the host belongs.
		asks := s.asks || asking(v.profiles[0].auth)
		provable = provable || asks && (r.Trust != nil || s.trusted)
		if r.Mode == ModeNone {
			if !l.modeNone(a, v) {
				open = append(open, v)
			}
			continue
		}
		wanted = true
		if r.Trust == nil && (s.untrusted || !s.trusted) {
			l.shape(modeAt(a), "the API %s has mode %s on the listener %s, but no trust store judges its callers: name one in client_certificate.trust of the API, the listener or the gateway, or in tls.trust",
				quote(a.Name), r.Mode, quote(v.Name))
		}
		asked = asked || asks
		if s.quiet {
			quiet = append(quiet, v)
		}
	}
	l.checkOpen(a, open, len(open) == len(on))
	l.checkDemands(a, on, wanted || provable)
	switch {
	case wanted && !asked:
		l.shape(modeAt(a), "the API %s wants a certificate, but nothing ever asks for one: client_auth is none everywhere that it can be reached", quote(a.Name))
	case wanted:
		for _, v := range quiet {
			v.quiet = append(v.quiet, a)
		}
	}
}

// checkDemands looks for steps of a policy that nobody could pass. provable says that a certificate can be asked for and
// accepted somewhere, or that something else was said about that.
func (l *loader) checkDemands(a *API, on []*listenerView, provable bool) {
	for i := range a.Policy {
		s := &a.Policy[i]
		if s.RequireClientCertificate != nil && !provable {
			l.shape(&s.RequireClientCertificate, "nobody can pass require_client_certificate: no listener that the API %s can be reached on asks for a certificate and has a trust store that accepts one", quote(a.Name))
		}
		if s.RequireTLS != nil && len(on) > 0 && !slices.ContainsFunc(on, func(v *listenerView) bool { return v.TLS != nil }) {
			l.note(&s.RequireTLS, "nobody can pass require_tls: no listener that the API %s can be reached on speaks TLS", quote(a.Name))
		}
	}
}

// modeAt is where an API says that it wants a certificate, or the API where it inherits that.
func modeAt(a *API) any {
	if c := a.ClientCertificate; c != nil && c.Mode != "" && c.Mode != ModeInherit {
		return &c.Mode
	}
	return a
}

// noteQuiet says once per listener which APIs want a certificate there although it does not ask everybody.
func (l *loader) noteQuiet(v *listenerView) {
	if len(v.quiet) == 0 {
		return
	}
	const most = 3
	var names []string
	for _, a := range v.quiet[:min(len(v.quiet), most)] {
		names = append(names, quote(a.Name))
	}
	list, want := strings.Join(names, ", "), "API %s wants"
	if len(v.quiet) > 1 {
		want = "APIs %s want"
	}
	if more := len(v.quiet) - most; more > 0 {
		list += " and " + strconv.Itoa(more) + " more"
	}
	l.note(modeAt(v.quiet[0]), "the "+want+" a certificate, but on the listener %s it is not always asked for: client_auth is none there for some or all server names", list, quote(v.Name))
}

// accept remembers that an API brings trust to the profiles that it is reached under.
func (v *listenerView) accept(trust bool, reached []int) {
	if !trust {
		return
	}
	if reached == nil {
		v.accepts = true
		return
	}
	for _, i := range append(reached, 0) { // the default profile accepts for clients without a server name
		v.profiles[i].accepts = true
	}
}

// checkRequired reports handshakes that demand a certificate and could accept none.
func (l *loader) checkRequired(v *listenerView) {
	proxy := v.ClientCertificate != nil && v.ClientCertificate.ProxyCertificate != nil && v.ClientCertificate.ProxyCertificate.Trust != nil
	for i := range v.profiles {
		p := &v.profiles[i]
		if p.auth == ClientAuthRequired && p.trust == nil && !p.accepts && !v.accepts && !proxy {
			l.shape(p.at, "client_auth is required on the listener %s, but no trust store could accept a certificate: name one in tls.trust, or in an API that can be reached there", quote(v.Name))
		}
	}
}

// checkValidateRevocation checks that a step which asks for revocation gets it: it is on unless said otherwise.
func (l *loader) checkValidateRevocation(steps []Step, trust []string, v *listenerView) {
	for i := range steps {
		for k := range steps[i].Choose {
			l.checkValidateRevocation(steps[i].Choose[k].Then, trust, v)
		}
		step := steps[i].ValidateClientCertificate
		if step == nil || step.ValidateRevocation != nil && !*step.ValidateRevocation {
			continue
		}
		at := any(step)
		if step.ValidateRevocation != nil {
			at = &step.ValidateRevocation
		}
		stores := trust
		if stores == nil {
			stores = v.profiles[0].trust
		}
		for _, name := range stores {
			s := l.index.stores.byName[name]
			if s != nil && (s.Revocation == nil || s.Revocation.Mode == "off") {
				l.shape(at, "validate_revocation is true unless said otherwise, but the trust store %s does not check revocation: write validate_revocation: false, or give the store a revocation mode and source", quote(name))
			}
		}
	}
}
