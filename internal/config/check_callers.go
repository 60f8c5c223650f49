package config

import "strings"

func (l *loader) checkIdentityProviders() {
	for i := range l.doc.IdentityProviders {
		p := &l.doc.IdentityProviders[i]
		l.need(p, &p.Type, "an identity provider needs a type: internal or ldap")
	}
}

func (l *loader) checkUsers() {
	type id struct{ provider, name string }
	first := map[id]*User{}
	for i := range l.doc.Users {
		u := &l.doc.Users[i]
		l.need(u, &u.Provider, "a user needs a provider")
		provider := l.index.providers.find(l, Shape, "identity provider", &u.Provider)
		if provider != nil && provider.Type == "ldap" {
			l.shape(&u.Provider, "the users of %s live in its directory, not here", quote(u.Provider))
		}
		for k := range u.Certificates {
			l.checkCertificateRef(&u.Certificates[k])
		}
		if !l.checkName("user", u, &u.Name) {
			continue
		}
		key := id{u.Provider, u.Name}
		if other := first[key]; other != nil {
			l.shape(&u.Name, "the user %s is already defined at %s", quote(u.Name), l.doc.Position(&other.Name))
			continue
		}
		first[key] = u
	}
}

func (l *loader) checkPlan(p *Plan) {
	given := l.doc.source.given
	if !given(&p.RateLimit) && !given(&p.Quota) && !l.damaged[p] {
		l.shape(p, "a plan needs rate_limit or quota")
	}
	for _, limit := range []*Limit{p.RateLimit, p.Quota} {
		if limit == nil {
			continue
		}
		l.need(limit, &limit.Requests, "a limit needs requests")
		l.need(limit, &limit.Per, "a limit needs per: the time, such as 1s or 24h")
		l.positive(&limit.Requests, "requests")
	}
}

func (l *loader) checkKeys() {
	for i := range l.doc.Keys {
		k := &l.doc.Keys[i]
		given := l.doc.source.given
		if k.Plan != "" {
			l.index.plans.find(l, Shape, "plan", &k.Plan)
		}
		l.need(k, &k.APIs, "a key needs apis: the ones that it opens")
		l.noRepeats(k.APIs)
		for n := range k.APIs {
			l.checkAPIReference(&k.APIs[n])
		}
		if !given(&k.Certificates) && !given(&k.Secret) && !l.damaged[k] {
			l.shape(k, "a key needs certificates or a secret")
		}
		for n := range k.Certificates {
			l.checkCertificateRef(&k.Certificates[n])
		}
		l.checkSecret(k.Secret)
	}
}

// checkAPIReference checks a reference to an API by name, or by name@version.
func (l *loader) checkAPIReference(at *string) {
	if *at == "" { // could not be decoded
		return
	}
	name, version, versioned := strings.Cut(*at, "@")
	candidates := l.index.apis[name]
	if len(candidates) == 0 {
		if !l.unsound["apis"] {
			l.dangling(Shape, "API", at, l.index.apiNames)
		}
		return
	}
	if !versioned {
		if len(candidates) > 1 {
			l.shape(at, "there are %d APIs with the name %s: write name@version, such as %s", len(candidates), quote(name), quote(name+"@"+candidates[len(candidates)-1].Version))
		}
		return
	}
	var versions []string
	matches := 0
	for _, a := range candidates {
		versions = append(versions, name+"@"+a.Version)
		if a.Version == version {
			matches++
		}
	}
	switch {
	case matches == 0 && !l.unsound["apis"]:
		l.dangling(Shape, "API", at, versions)
	case matches > 1:
		l.shape(at, "several orgs have an API %s: a key cannot say which is meant", quote(*at))
	}
}

func (l *loader) checkLog(g *Log) {
	l.positive(&g.SampleEvery, "sample_every")
	if l.doc.source.given(&g.SampleEvery) && g.Access != AccessSampled && !l.damaged[&g.Access] {
		l.shape(&g.SampleEvery, "sample_every has no effect without access: sampled")
	}
}
