package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/route"
)

func (l *loader) checkListeners() {
	byPort := map[string][]*Listener{}
	for i := range l.doc.Listeners {
		v := &l.doc.Listeners[i]
		l.checkAddress(v, byPort)
		l.checkProtocols(v)
		l.checkListenerLimits(v)
		if v.TLS != nil {
			l.checkListenerTLS(v.TLS)
		}
		l.checkClientCertificate(listenerLevel, v.ClientCertificate)
		l.checkHeaderSource(v)
		if p := v.ProxyProtocol; p != nil {
			l.need(p, &p.TrustedProxies, "proxy_protocol needs trusted_proxies: the networks whose connections begin with the header")
			l.noteEverybody(p.TrustedProxies)
		}
	}
}

// checkAddress checks an address and that no other listener has it.
func (l *loader) checkAddress(v *Listener, byPort map[string][]*Listener) {
	l.need(v, &v.Address, "a listener needs an address, such as 127.0.0.1:8443")
	if v.Address == "" { // missing, or could not be decoded
		return
	}
	host, port, err := net.SplitHostPort(v.Address)
	if err != nil {
		l.shape(&v.Address, "the address %s is not host:port, such as 127.0.0.1:8443 or :8443", quote(v.Address))
		return
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(number, 10) != port {
		l.shape(&v.Address, "the port %s is not a number from 0 to 65535", quote(port))
		return
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		if canonical, err := route.Host(host); err != nil || canonical == "" {
			l.shape(&v.Address, "the host %s is neither an IP address nor a host name", quote(host))
			return
		}
	}
	if port == "0" { // the system picks a free one
		return
	}
	for _, other := range byPort[port] {
		otherHost, _, _ := net.SplitHostPort(other.Address)
		if sameHost(host, otherHost) {
			l.shape(&v.Address, "the address %s is taken by the listener %s at %s", quote(v.Address), quote(other.Name), l.doc.Position(&other.Address))
			return
		}
	}
	byPort[port] = append(byPort[port], v)
}

// sameHost reports whether two hosts of listeners cannot both be bound to one port.
func sameHost(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if a == "" || b == "" || errX == nil && x.IsUnspecified() || errY == nil && y.IsUnspecified() {
		return true
	}
	if errX == nil && errY == nil {
		return x.Unmap() == y.Unmap()
	}
	x1, _ := route.Host(a)
	y1, _ := route.Host(b)
	return x1 == y1
}

func (l *loader) checkProtocols(v *Listener) {
	tls := l.doc.source.given(&v.TLS)
	for i, p := range v.Protocols {
		at := &v.Protocols[i]
		switch {
		case slices.Contains(v.Protocols[:i], p) && p != "":
			l.shape(at, "%s stands in this list twice", p)
		case !tls && p == H2:
			l.shape(at, "h2 needs tls; without it HTTP/2 is called h2c")
		case !tls && p == H3:
			l.shape(at, "h3 needs tls")
		case tls && p == H2C:
			l.shape(at, "h2c is HTTP/2 without tls; with it the protocol is called h2")
		}
	}
}

func (l *loader) checkListenerTLS(t *ListenerTLS) {
	l.need(t, &t.Credentials, "tls needs credentials: the first is used when no server name matches")
	l.noRepeats(t.Credentials)
	for i := range t.Credentials {
		l.index.credentials.find(l, Shape, "credential", &t.Credentials[i])
	}
	l.checkStores(t.Trust, Shape, PurposeClientAuth)
	first := map[route.HostPattern]Position{}
	for i := range t.Profiles {
		p := &t.Profiles[i]
		l.need(p, &p.ServerNames, "a TLS profile needs server_names")
		if p.Credential != "" {
			l.index.credentials.find(l, Shape, "credential", &p.Credential)
		}
		l.checkStores(p.Trust, Shape, PurposeClientAuth)
		p.Hosts = l.hostPatterns(p.ServerNames, serverNameProblem)
		for k, h := range p.Hosts {
			at := &p.ServerNames[k]
			if before, ok := first[h]; ok {
				l.shape(at, "the server name %s already has a profile at %s", quote(h.String()), before)
				continue
			}
			first[h] = l.doc.Position(at)
		}
	}
}

// hostPatterns parses the patterns of a list; those that are wrong, that problem has a word about, or that stand in the
// list twice, are reported. The result is as long as the list when all are right and empty otherwise, so that the indexes
// agree.
func (l *loader) hostPatterns(list []string, problem func(text string) string) []route.HostPattern {
	patterns := make([]route.HostPattern, 0, len(list))
	seen := make(map[route.HostPattern]int, len(list))
	ok := true
	for i, text := range list {
		if text == "" { // could not be decoded
			ok = false
			continue
		}
		if message := problem(text); message != "" {
			l.shape(&list[i], "%s", message)
			ok = false
			continue
		}
		p, err := route.ParseHostPattern(text)
		if err != nil {
			l.shape(&list[i], "%s", oneLine(err.Error()))
			ok = false
			continue
		}
		if k, twice := seen[p]; twice {
			l.shape(&list[i], "%s stands in this list twice, first at %s", quote(text), l.doc.Position(&list[k]))
			ok = false
			continue
		}
		seen[p] = i
		patterns = append(patterns, p)
	}
	if !ok {
		return nil
	}
	return patterns
}

// hostProblem says what is wrong with a pattern that is the beginning of a URL; empty for all others.
func hostProblem(text string) string {
	if !strings.Contains(text, "://") {
		return ""
	}
	if u, err := url.Parse(text); err == nil && u.Hostname() != "" {
		return "a host has no scheme: write " + bare(u.Hostname())
	}
	return "a host has no scheme: write what follows it"
}

// serverNameProblem is hostProblem for server names, which differ from hosts in what a client can send (RFC 6066 §3).
func serverNameProblem(text string) string {
	if text == "*" {
		return `"*" is every server name: those without a profile get what tls itself says`
	}
	if _, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(text, "."), "["), "]")); err == nil {
		return quote(text) + " is an IP address: clients never name one (RFC 6066 §3) and get what tls itself says"
	}
	return hostProblem(text)
}

// checkHeaderSource checks what a listener says about certificates in headers.
func (l *loader) checkHeaderSource(v *Listener) {
	c := v.ClientCertificate
	if c == nil {
		return
	}
	given := l.doc.source.given
	if c.Source != SourceHeader {
		if given(&c.Source) && c.Source == "" { // could not be decoded
			return
		}
		for _, k := range []choice{{"header", &c.Header}, {"trusted_proxies", &c.TrustedProxies}, {"proxy_certificate", &c.ProxyCertificate}} {
			if given(k.field) {
				l.shape(k.field, "%s means something with source: header only", k.key)
			}
		}
		return
	}
	l.need(c, &c.Header, "source: header needs header: the name of the header that carries the certificate")
	l.need(c, &c.TrustedProxies, "source: header needs trusted_proxies: the networks whose header is believed")
	l.noteEverybody(c.TrustedProxies)
	if h := c.Header; h != nil {
		l.need(h, &h.Name, "header needs a name")
		l.checkHeaderName(&h.Name)
	}
	l.checkProxyCertificate(v, c)
}

// checkProxyCertificate checks that a proxy which must present a certificate can be asked for one.
func (l *loader) checkProxyCertificate(v *Listener, c *ClientCertificate) {
	p := c.ProxyCertificate
	at := any(&c.Source)
	if p != nil {
		at = p
		l.checkStores(p.Trust, Shape, PurposeClientAuth)
		l.checkMatchers(p.Allow, false)
		for i := range p.Allow {
			if p.Allow[i].Inherit {
				l.shape(&p.Allow[i], "there is nothing to inherit here: proxy_certificate belongs to the listener alone")
			}
		}
		if p.Required != nil {
			at = &p.Required
		}
	}
	if p != nil && (p.Required != nil && !*p.Required || p.Required == nil && l.doc.source.given(&p.Required)) || p == nil && l.doc.source.given(&c.ProxyCertificate) {
		return
	}
	if !l.doc.source.given(&v.TLS) {
		l.shape(at, "proxy_certificate.required is true unless said otherwise, and a listener without tls cannot ask for one: give it tls, or write proxy_certificate: {required: false}")
		return
	}
	t := v.TLS
	if t == nil { // could not be decoded
		return
	}
	if !asks(t) && !l.unsound[v] {
		l.shape(at, "proxy_certificate.required is true unless said otherwise, but client_auth is none: the proxy is never asked for a certificate")
	}
	if (p == nil || p.Trust == nil && !l.doc.source.given(&p.Trust)) && t.Trust == nil && !l.doc.source.given(&t.Trust) {
		l.shape(at, "the proxy's certificate is required, but no trust store is named to validate it: give proxy_certificate.trust or tls.trust")
	}
}

// asks reports whether a listener ever asks for a certificate.
func asks(t *ListenerTLS) bool {
	return asking(t.ClientAuth) || slices.ContainsFunc(t.Profiles, func(p TLSProfile) bool { return asking(p.ClientAuth) })
}

func asking(a ClientAuth) bool { return a == ClientAuthOptional || a == ClientAuthRequired }

// noteEverybody warns about a list of proxies that lets anybody be one.
func (l *loader) noteEverybody(list []netip.Prefix) {
	for i, p := range list {
		if p.IsValid() && p.Bits() == 0 {
			l.note(&list[i], "%s is every address: anybody counts as a trusted proxy", p)
		}
	}
}
