package judge

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Question is a request that Explain decides about.
type Question struct {
	// URL is what the caller would ask for, such as https://api.example.test:8443/orders/.
	URL string
	// Method is the HTTP method; empty means GET.
	Method string
	// Host replaces the URL's host in the request, as a Host field would; empty means the URL's.
	Host string
	// Listener names the listener; empty means the one whose address has the URL's port, or the only one that
	// speaks the URL's scheme.
	Listener string
	// Presented is what the caller would present, leaf first; nil means no certificate.
	Presented []*x509.Certificate
	// Fields are header fields of the request; the others are absent.
	Fields []QuestionField
	// At is the time of the request; zero means now.
	At time.Time
}

// QuestionField is a header field of a question.
type QuestionField struct{ Name, Value string }

// header are the header fields of the question by name, as they are spelt.
func (q *Question) header() map[string][]string {
	header := make(map[string][]string, len(q.Fields))
	for _, f := range q.Fields {
		header[f.Name] = append(header[f.Name], f.Value)
	}
	return header
}

// listenerFor finds the listener of a question.
func (r *Rules) listenerFor(name string, target *url.URL, overTLS bool) (*Listener, error) {
	if name != "" {
		l := r.byName[name]
		switch {
		case l == nil:
			return nil, fmt.Errorf("there is no listener %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(r.byName)), ", "))
		case l.TLS != overTLS:
			return nil, fmt.Errorf("listener %q and the scheme %s do not fit: one speaks TLS, the other does not", name, target.Scheme)
		}
		return l, nil
	}
	port, given := target.Port(), true
	if port == "" {
		given = false
		port = map[bool]string{true: "443", false: "80"}[overTLS]
	}
	var byPort, byScheme []*Listener
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		l := r.byName[name]
		if l.TLS != overTLS {
			continue
		}
		byScheme = append(byScheme, l)
		if _, p, err := net.SplitHostPort(l.Address); err == nil && p == port {
			byPort = append(byPort, l)
		}
	}
	anyPort := func(l *Listener) bool { return strings.HasSuffix(l.Address, ":0") }
	switch {
	case len(byPort) == 1:
		return byPort[0], nil
	case given && len(byPort) == 0 && len(byScheme) > 0 && !slices.ContainsFunc(byScheme, anyPort):
		return nil, fmt.Errorf("no listener that speaks %s has port %s; say with --listener which one is meant", target.Scheme, port)
	case len(byScheme) == 1:
		return byScheme[0], nil
	case len(byScheme) == 0:
		return nil, fmt.Errorf("no listener speaks %s", target.Scheme)
	default:
		return nil, fmt.Errorf("%d listeners speak %s; say which one with --listener", len(byScheme), target.Scheme)
	}
}

// origin is the scheme and the authority of a URL.
func origin(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return raw
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return scheme + "://" + rest
}

// rawTarget returns the origin-form target that a client would send for a URL, byte for byte: normalising it is what is
// to be explained.
func rawTarget(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	rest, _, _ = strings.Cut(rest, "#")
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	}
	return rest[i:]
}
