package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/internal/route"
)

// collectAPIs indexes the APIs by name; org, name and version together are unique.
func (l *loader) collectAPIs() {
	type id struct{ org, name, version string }
	l.index.apis = make(map[string][]*API, len(l.doc.APIs))
	first := make(map[id]*API, len(l.doc.APIs))
	for i := range l.doc.APIs {
		a := &l.doc.APIs[i]
		if !l.checkName("API", a, &a.Name) {
			continue
		}
		if strings.Contains(a.Name, "@") {
			l.shape(&a.Name, "the name of an API cannot hold @: it stands before a version in name@version")
		}
		key := id{a.Org, a.Name, a.Version}
		if other := first[key]; other != nil && !l.damaged[&a.Version] && !l.damaged[&a.Org] {
			what := "the API " + quote(a.Name)
			if a.Version != "" {
				what += " version " + quote(a.Version)
			}
			l.shape(l.nameAt(a), "%s is already defined at %s", what, l.doc.Position(l.nameAt(other)))
			continue
		}
		first[key] = a
		l.index.apis[a.Name] = append(l.index.apis[a.Name], a)
	}
	l.index.apiNames = slices.Sorted(maps.Keys(l.index.apis))
}

// nameAt is where an API is named in the document: the API itself where an OpenAPI description names it.
func (l *loader) nameAt(a *API) any {
	if l.doc.Position(&a.Name).File != l.doc.Position(a).File {
		return a
	}
	return &a.Name
}

func (l *loader) checkAPI(a *API) {
	given := l.doc.source.given
	if !visible(a.Version) {
		l.shape(&a.Version, "the version %s has blanks around it or characters that cannot be seen", quote(a.Version))
	}
	if a.Org != "" {
		l.index.orgs.find(l, Shape, "org", &a.Org)
	}
	a.HostPatterns = l.hostPatterns(a.Hosts, hostProblem)
	l.checkPath(a)
	l.noRepeats(a.Methods)
	for i, m := range a.Methods {
		upper := strings.ToUpper(m)
		switch {
		case m == "": // could not be decoded
		case !isToken(m):
			l.shape(&a.Methods[i], "%s is not a method such as GET", quote(m))
		case m != upper:
			l.add(Error{Position: l.doc.Position(&a.Methods[i]), Message: "methods are case-sensitive, and " + quote(m) + " is not one that anybody sends", Suggestion: upper})
		}
	}
	l.noRepeats(a.Listeners)
	for i := range a.Listeners {
		l.index.listeners.find(l, Shape, "listener", &a.Listeners[i])
	}
	for i, c := range a.AllowInPath {
		if c != "" && slices.Contains(a.AllowInPath[:i], c) {
			l.shape(&a.AllowInPath[i], "%s stands in this list twice", quote(string(c)))
		}
	}
	l.checkAPILimits(a.Limits)
	l.checkClientCertificate(apiLevel, a.ClientCertificate)
	l.checkAuthentication(a.Authentication)
	l.checkSteps(a.Policy, "policy")
	switch {
	case a.Upstream != "":
		l.index.upstreams.find(l, Broken, "upstream", &a.Upstream)
	case !given(&a.Upstream) && !slices.ContainsFunc(a.Policy, func(s Step) bool { return s.Respond != nil }):
		l.need(a, &a.Upstream, "an API needs an upstream, or a policy that ends with respond")
	}
	l.checkUpstreamCredentials(&a.UpstreamCredentials)
}

// checkPath parses the prefix that an API owns.
func (l *loader) checkPath(a *API) {
	// An encoded asterisk is the same character, and has to be written as one.
	text := strings.ReplaceAll(strings.ReplaceAll(a.Path, "%2a", "*"), "%2A", "*")
	if above, _, ok := strings.Cut(text, "*"); ok && strings.HasPrefix(text, "/") {
		l.shape(&a.Path, "a path has no wildcards: %s owns everything below it", bare(above[:strings.LastIndexByte(above, '/')+1]))
		return
	}
	prefix, err := route.ParsePrefix(a.Path)
	if err != nil {
		l.shape(&a.Path, "%s", oneLine(err.Error()))
	}
	a.Prefix = prefix
}

// join makes a path relative to the file that names it.
func (l *loader) join(at any, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	file := l.doc.Position(at).File
	if inherited(file) { // it has no folder of its own
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(file), path)
}

// checkHosts checks that a host belongs to one org.
func (l *loader) checkHosts() {
	first := map[route.HostPattern]*API{}
	for i := range l.doc.APIs {
		a := &l.doc.APIs[i]
		for k, h := range a.HostPatterns {
			other := first[h]
			if other == nil {
				first[h] = a
				continue
			}
			if other.Org != a.Org && !l.damaged[&a.Org] && !l.damaged[&other.Org] {
				l.shape(&a.Hosts[k], "the host %s belongs to %s already, see %s", quote(h.String()), orgText(other.Org), l.doc.Position(other))
			}
		}
	}
}

func orgText(name string) string {
	if name == "" {
		return "the APIs without an org"
	}
	return "the org " + quote(name)
}

// checkOverlaps reports two APIs that would answer the same request.
func (l *loader) checkOverlaps() {
	type spot struct {
		host   route.HostPattern // the zero value stands for every host
		prefix route.Prefix
	}
	taken := map[spot][]*API{}
	for i := range l.doc.APIs {
		a := &l.doc.APIs[i]
		if l.unsound[a] || a.Prefix == (route.Prefix{}) || len(a.HostPatterns) != len(a.Hosts) {
			continue
		}
		hosts := a.HostPatterns
		if len(hosts) == 0 {
			hosts = []route.HostPattern{{}}
		}
		for _, h := range hosts {
			at := spot{h, a.Prefix}
			k := slices.IndexFunc(taken[at], func(b *API) bool { return meet(a.Listeners, b.Listeners) && meet(a.Methods, b.Methods) })
			if k < 0 {
				taken[at] = append(taken[at], a)
				continue
			}
			b := taken[at][k]
			where := "every host"
			if h != (route.HostPattern{}) {
				where = h.String()
			}
			l.shape(a, "the API %s and the API %s (%s) would answer the same requests: %s on %s; give them different hosts, paths, listeners or methods",
				quote(a.Name), quote(b.Name), l.doc.Position(b), a.Prefix, where)
			break
		}
	}
}

// meet reports whether two lists share an entry; an empty list stands for everything.
func meet(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func (l *loader) checkAuthentication(a *Authentication) {
	if a == nil {
		return
	}
	l.need(a, &a.Methods, "authentication needs methods")
	if len(a.Methods) > 1 {
		l.need(a, &a.Mode, "authentication with several methods needs a mode: all or any")
	}
	certificates := 0
	headers := map[string]Position{}
	for i := range a.Methods {
		m := &a.Methods[i]
		if !l.exactlyOne(m, "a method", choice{"certificate_key", &m.CertificateKey}, choice{"api_key", &m.APIKey}) {
			continue
		}
		if m.CertificateKey != nil {
			if certificates++; certificates > 1 {
				l.shape(m, "certificate_key stands in this list twice")
			}
		}
		if k := m.APIKey; k != nil {
			l.need(k, &k.Header, "api_key needs a header")
			l.checkHeaderName(&k.Header)
			name := strings.ToLower(k.Header)
			if first, ok := headers[name]; ok && name != "" {
				l.shape(&k.Header, "the header %s stands in this list twice, first at %s", quote(k.Header), first)
				continue
			}
			headers[name] = l.doc.Position(&k.Header)
		}
	}
}

// checkSteps checks the steps of a policy or a branch.
func (l *loader) checkSteps(steps []Step, where string) {
	ended := false
	for i := range steps {
		s := &steps[i]
		if !l.exactlyOne(s, "a step", choice{"choose", &s.Choose}, choice{"respond", &s.Respond}, choice{"set_header", &s.SetHeader},
			choice{"validate_client_certificate", &s.ValidateClientCertificate}, choice{"require_tls", &s.RequireTLS},
			choice{"require_client_certificate", &s.RequireClientCertificate}, choice{"authenticate", &s.Authenticate}) {
			continue
		}
		if s.Respond != nil && i < len(steps)-1 && !ended {
			ended = true
			l.shape(&steps[i+1], "this step is never reached: respond before it ends the %s", where)
		}
		l.checkRespond(s.Respond)
		l.checkSetHeader(s)
		if v := s.ValidateClientCertificate; v != nil {
			l.checkMatchers(v.Identities, false)
			for k := range v.Identities {
				if v.Identities[k].Inherit && !l.damaged[&v.Identities[k]] {
					l.shape(&v.Identities[k], "there is nothing to inherit here: identities belong to the step alone")
				}
			}
			l.checkRespond(v.OnFailure)
		}
		if a := s.Authenticate; a != nil {
			l.need(a, &a.Provider, "authenticate needs a provider")
			l.index.providers.find(l, Shape, "identity provider", &a.Provider)
		}
		for k := range s.Choose {
			b := &s.Choose[k]
			l.need(b, &b.Then, "a branch needs then")
			if k < len(s.Choose)-1 {
				l.need(b, &b.When, "only the last branch can leave out when: what follows it is never reached")
			}
			b.Condition = l.compile(&b.When)
			l.checkSteps(b.Then, "branch")
		}
	}
}

func (l *loader) checkRespond(r *Respond) {
	if r == nil {
		return
	}
	l.need(r, &r.Status, "an answer needs a status")
	if l.doc.source.given(&r.Status) && !l.damaged[&r.Status] && (r.Status < 200 || r.Status > 599) {
		l.shape(&r.Status, "the status of an answer must be from 200 to 599, not %d", r.Status)
	}
}

func (l *loader) checkSetHeader(s *Step) {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.SetHeader)) {
		at := entry{&s.SetHeader, name}
		if err := headerName(name); err != nil {
			l.shape(at, "%s", err)
			continue
		}
		if other, ok := seen[strings.ToLower(name)]; ok {
			l.shape(at, "%s and %s are the same header", quote(other), quote(name))
		}
		seen[strings.ToLower(name)] = name
		if value := s.SetHeader[name]; value != nil && strings.ContainsAny(*value, "\r\n\x00") {
			l.shape(at, "a header's value cannot hold a line break")
		}
	}
}
