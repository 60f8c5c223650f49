package config

import (
	"slices"
	"strings"
	"unicode"
)

// index finds the named things of a document.
type index struct {
	listeners   names[Listener]
	credentials names[Credential]
	stores      names[TrustStore]
	upstreams   names[Upstream]
	providers   names[IdentityProvider]
	plans       names[Plan]
	orgs        names[Org]
	apis        map[string][]*API // by name: versions and orgs share one
	apiNames    []string
}

// names finds the entries of one section.
type names[T any] struct {
	byName     map[string]*T
	sorted     []string
	incomplete bool // an entry's name could not be read: a reference to nothing may be a consequence
}

// check applies every rule that needs nothing but the document.
func (l *loader) check() {
	d := l.doc
	x := &l.index
	x.listeners = collect(l, "listener", d.Listeners, func(v *Listener) *string { return &v.Name })
	x.credentials = collect(l, "credential", d.Credentials, func(v *Credential) *string { return &v.Name })
	x.stores = collect(l, "trust store", d.TrustStores, func(v *TrustStore) *string { return &v.Name })
	x.upstreams = collect(l, "upstream", d.Upstreams, func(v *Upstream) *string { return &v.Name })
	x.providers = collect(l, "identity provider", d.IdentityProviders, func(v *IdentityProvider) *string { return &v.Name })
	x.plans = collect(l, "plan", d.Plans, func(v *Plan) *string { return &v.Name })
	x.orgs = collect(l, "org", d.Orgs, func(v *Org) *string { return &v.Name })
	collect(l, "key", d.Keys, func(v *Key) *string { return &v.Name })
	collect(l, "named value", d.NamedValues, func(v *NamedValue) *string { return &v.Name })
	l.collectAPIs()

	if len(d.Listeners) == 0 && !l.unsound["listeners"] && !l.unread && !l.damaged[d] {
		l.add(Error{Position: Position{File: d.source.names[0], Line: 1, Column: 1}, Message: "there is no listener: at least one is needed"})
	}
	l.checkClientCertificate(gatewayLevel, d.ClientCertificate)
	l.checkListeners()
	for i := range d.Credentials {
		l.checkCredential(&d.Credentials[i])
	}
	for i := range d.TrustStores {
		l.checkTrustStore(&d.TrustStores[i])
	}
	for i := range d.APIs {
		l.checkAPI(&d.APIs[i])
	}
	l.checkHosts()
	l.checkOverlaps()
	for i := range d.Upstreams {
		l.checkUpstream(&d.Upstreams[i])
	}
	l.checkUpstreamCredentials(&d.UpstreamCredentials)
	l.checkIdentityProviders()
	l.checkUsers()
	for i := range d.Plans {
		l.checkPlan(&d.Plans[i])
	}
	l.checkKeys()
	for i := range d.NamedValues {
		v := &d.NamedValues[i]
		l.exactlyOne(v, "a named value", choice{"value", &v.Value}, choice{"values", &v.Values})
	}
	l.checkLog(&d.Log)
	l.checkShutdown(&d.Shutdown)
}

// collect indexes the entries of a section by name and checks the names.
func collect[T any](l *loader, what string, list []T, name func(*T) *string) names[T] {
	n := names[T]{byName: make(map[string]*T, len(list)), sorted: make([]string, 0, len(list))}
	for i := range list {
		at := name(&list[i])
		if !l.checkName(what, &list[i], at) {
			n.incomplete = true
			continue
		}
		if first := n.byName[*at]; first != nil {
			l.shape(at, "the %s %s is already defined at %s", what, quote(*at), l.doc.Position(name(first)))
			continue
		}
		n.byName[*at] = &list[i]
		n.sorted = append(n.sorted, *at)
	}
	slices.Sort(n.sorted)
	return n
}

// checkName reports whether an entry has a name that can be referred to.
func (l *loader) checkName(what string, holder any, at *string) bool {
	l.need(holder, at, article(what)+" "+what+" needs a name")
	switch {
	case *at == "": // missing, or could not be decoded
		return false
	case !visible(*at):
		l.shape(at, "the name %s has blanks around it or characters that cannot be seen", quote(*at))
	case *at == inheritWord:
		l.shape(at, "the word inherit cannot be a name: it stands for the level above")
	case len(*at) > 256:
		l.shape(at, "the name is longer than 256 bytes")
	}
	return true
}

// visible reports whether a text looks like what it is.
func visible(s string) bool {
	return strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// need reports a field that is missing from a struct, unless a misspelt key there may be the reason.
func (l *loader) need(holder, field any, message string) {
	if !l.doc.source.given(field) && !l.damaged[holder] {
		l.shape(holder, "%s", message)
	}
}

// article returns the indefinite article of one of the nouns that messages use.
func article(noun string) string {
	if noun != "user" && strings.ContainsRune("aeiouA", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// find returns the entry that a reference names, or nil with an error of the kind in the list.
func (n *names[T]) find(l *loader, kind Kind, what string, at *string) *T {
	if *at == "" { // could not be decoded
		return nil
	}
	v := n.byName[*at]
	if v == nil && !n.incomplete {
		l.dangling(kind, what, at, n.sorted)
	}
	return v
}

func (l *loader) dangling(kind Kind, what string, at *string, known []string) {
	l.add(Error{
		Position:   l.doc.source.position(at),
		Kind:       kind,
		Message:    "there is no " + what + " " + quote(*at),
		Suggestion: l.nearest(*at, known),
	})
}

// noRepeats reports entries of a list that stand in it twice.
func (l *loader) noRepeats(list []string) {
	first := make(map[string]int, len(list))
	for i, s := range list {
		if k, ok := first[s]; ok && s != "" {
			l.shape(&list[i], "%s stands in this list twice, first at %s", quote(s), l.doc.Position(&list[k]))
			continue
		}
		first[s] = i
	}
}

// choice is one of several keys of a mapping that exclude each other.
type choice struct {
	key   string
	field any // pointer to the field
}

// exactlyOne checks that one of several keys is given.
func (l *loader) exactlyOne(at any, what string, choices ...choice) bool {
	var keys []string
	var given []choice
	for _, c := range choices {
		keys = append(keys, c.key)
		if l.doc.source.given(c.field) {
			given = append(given, c)
		}
	}
	switch {
	case len(given) == 0 && l.damaged[at]:
	case len(given) == 0:
		l.shape(at, "%s needs %s", what, oneOf(keys))
	case len(given) > 1:
		l.shape(given[1].field, "%s takes only one of %s: %s is already given", what, oneOf(keys), given[0].key)
	default:
		return true
	}
	return false
}
