package config

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/route"
)

func (l *loader) checkUpstream(u *Upstream) {
	given := l.doc.source.given
	l.need(u, &u.Targets, "an upstream needs targets")
	https, named := false, !given(&u.Targets) || l.damaged[&u.Targets]
	seen := map[string]Position{}
	for i := range u.Targets {
		at := &u.Targets[i]
		if *at == "" { // could not be decoded
			https, named = true, true
			continue
		}
		target, problem := parseTarget(*at)
		if problem != "" {
			l.shape(at, "%s", problem)
			https, named = true, true // unknown: no complaint about it below
			continue
		}
		https = https || target.Scheme == "https"
		_, err := netip.ParseAddr(target.Hostname())
		named = named || err != nil
		if first, ok := seen[target.String()]; ok {
			l.shape(at, "the target %s stands in this list twice, first at %s", quote(*at), first)
			continue
		}
		seen[target.String()] = l.doc.Position(at)
	}
	if given(&u.Targets) && !https && !l.damaged[&u.Targets] {
		for _, k := range []choice{{"tls", &u.TLS}, {"credential", &u.Credential}} {
			if given(k.field) {
				l.shape(k.field, "%s has no effect: no target begins with https://", k.key)
			}
		}
	}
	if t := u.TLS; t != nil {
		l.checkStores(t.Trust, Broken, PurposeServerAuth)
		for i, name := range t.Trust {
			if name == inheritWord {
				l.shape(&t.Trust[i], "there is nothing to inherit here: name the trust stores")
			}
		}
		if t.ServerName != "" {
			l.checkServerName(&t.ServerName)
		}
	}
	if u.Credential != "" {
		l.index.credentials.find(l, Broken, "credential", &u.Credential)
	}
	l.checkUpstreamLimits(u, named)
}

// positive checks a number that was given.
func (l *loader) positive(at *int, key string) {
	if l.doc.source.given(at) && !l.damaged[at] && *at < 1 {
		l.shape(at, "%s must be at least 1, not %d", key, *at)
	}
}

// parseTarget parses the URL of a target, or says what is wrong with it.
func parseTarget(text string) (*url.URL, string) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, "the target " + quote(withoutUser(text)) + " is not a URL such as http://127.0.0.1:8080"
	}
	shown := quote(withoutUser(text))
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "the target " + shown + " must begin with http:// or https://"
	case u.Host == "" || u.Hostname() == "":
		return nil, "the target " + shown + " names no host"
	case u.User != nil:
		return nil, "a target cannot hold a user or password"
	case u.RawQuery != "" || u.ForceQuery:
		return nil, "the target " + shown + " cannot have a query (?)"
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, "the target " + shown + " cannot have a fragment (#)"
	}
	if _, err := route.Host(u.Host); err != nil {
		return nil, "the target " + shown + ": " + oneLine(err.Error())
	}
	if port := u.Port(); port == "" && strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port) {
		return nil, "the target " + shown + " has no port from 1 to 65535 after the colon"
	}
	if path := u.EscapedPath(); path != "" {
		normal, err := route.ParsePath(path)
		if err != nil {
			return nil, "the target " + shown + ": " + oneLine(err.Error())
		}
		if normal.String() != path || normal.Special() != 0 {
			return nil, "the path of the target " + shown + " is not in its normal form"
		}
	}
	return u, ""
}

func isPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return err == nil && number > 0 && strconv.FormatUint(number, 10) == text
}

// checkServerName checks a name that is compared with a server's certificate.
func (l *loader) checkServerName(at *string) {
	canonical, err := route.Host(*at)
	switch {
	case err != nil || canonical == "" || strings.ContainsAny(*at, "*"):
		l.shape(at, "%s is not the name of a server", quote(*at))
	case canonical != strings.ToLower(strings.TrimSuffix(*at, ".")):
		l.shape(at, "a server name is written without a port: %s", canonical)
	}
}

// checkUpstreamCredentials checks a map of host patterns to credentials.
func (l *loader) checkUpstreamCredentials(m *map[string]string) {
	seen := map[string]string{}
	for _, pattern := range slices.Sorted(maps.Keys(*m)) {
		at := entry{m, pattern}
		canonical, problem := hostAndPort(pattern)
		if problem != "" {
			l.shape(at, "%s", problem)
		} else if other, ok := seen[canonical]; ok {
			l.shape(at, "%s and %s are the same hosts", quote(other), quote(pattern))
		}
		seen[canonical] = pattern
		if name := (*m)[pattern]; l.index.credentials.byName[name] == nil && !l.index.credentials.incomplete {
			l.add(Error{
				Position:   l.doc.Position(at),
				Kind:       Broken,
				Message:    "there is no credential " + quote(name),
				Suggestion: l.nearest(name, l.index.credentials.sorted),
			})
		}
	}
}

// hostAndPort returns the canonical form of "*", a host pattern, or either with a port.
func hostAndPort(pattern string) (canonical, problem string) {
	if pattern == "*" {
		return pattern, ""
	}
	if message := hostProblem(pattern); message != "" {
		return "", message
	}
	host, port := pattern, ""
	if h, p, err := net.SplitHostPort(pattern); err == nil {
		if host, port = h, p; !isPort(port) {
			return "", "the port " + quote(port) + " is not a number from 1 to 65535"
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	if host == "*" {
		return "*:" + port, ""
	}
	p, err := route.ParseHostPattern(host)
	if err != nil {
		return "", oneLine(err.Error())
	}
	if port == "" {
		return p.String(), ""
	}
	return p.String() + ":" + port, ""
}
