// Package upstream is how to reach the targets of an API: which target takes the next request, the connections that are
// kept open to it, how long it may take, and how its certificate is checked. It owns the connections to backends.
//
// It never decides whether a request may pass and never touches the headers that say who is calling. A target's
// certificate is checked against the trust stores of the upstream, or against the operating system's roots where none
// are named, and its name by RFC 9525. Everything here is safe for concurrent use.
//
// net/http is used in nethttp.go alone.
package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/trust"
)

// What a Config that says nothing gets.
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 60 * time.Second
	DefaultIdleTimeout     = 60 * time.Second
	DefaultMaxIdle         = 256
)

// Config describes an upstream. Zero durations and counts stand for the defaults above; a zero Max means no limit.
type Config struct {
	Name    string
	Targets []string // absolute http or https URLs; a path is put before the request's

	// Trust validates the certificates of https targets. Nil means the operating system's roots: a set that
	// could not be built must never reach this field as nil, so the caller refuses the API instead.
	Trust *trust.Set
	// ServerName replaces the target's host name in the handshake and in the name check.
	ServerName string
	// PinSPKI lists the public keys that the target's leaf may have; empty means any.
	PinSPKI []identity.SHA256

	ConnectTimeout  time.Duration // dialling and the TLS handshake, each
	ResponseTimeout time.Duration // from the end of the request to the response's header
	IdleTimeout     time.Duration // how long an unused connection is kept
	MaxIdle         int           // unused connections kept for each target
	Max             int           // connections to each target
}

// equal reports whether two configurations make the same upstream, so that a reload can keep its connections.
func (c *Config) equal(o *Config) bool {
	sameTrust := (c.Trust == nil) == (o.Trust == nil)
	if sameTrust && c.Trust != nil {
		sameTrust = c.Trust.Fingerprint() == o.Trust.Fingerprint()
	}
	return sameTrust && c.Name == o.Name && slices.Equal(c.Targets, o.Targets) && c.ServerName == o.ServerName &&
		slices.Equal(c.PinSPKI, o.PinSPKI) && c.ConnectTimeout == o.ConnectTimeout &&
		c.ResponseTimeout == o.ResponseTimeout && c.IdleTimeout == o.IdleTimeout && c.MaxIdle == o.MaxIdle && c.Max == o.Max
}

// Upstream is a checked, running upstream with its connection pools. The zero value has no target.
type Upstream struct {
	config  Config
	targets []*Target
	next    atomic.Uint32
}

// Target is one place that requests go to.
type Target struct {
	Scheme    string // http or https
	Authority string // host, with a port where the URL has one
	BasePath  string // put before the request's path; never ends in a slash, so it is "" for the root

	transport transport
}

// New checks the configuration and makes the pools. It connects to nothing.
func New(config Config) (*Upstream, error) {
	if len(config.Targets) == 0 {
		return nil, fmt.Errorf("upstream %q has no targets", config.Name)
	}
	u := &Upstream{config: config}
	for _, text := range config.Targets {
		t, err := newTarget(text, &config)
		if err != nil {
			return nil, fmt.Errorf("upstream %q: target %q: %w", config.Name, text, err)
		}
		u.targets = append(u.targets, t)
	}
	return u, nil
}

// Renew returns previous when it was made from an equal configuration, so that its connections live on, and otherwise
// what New returns. A nil previous is New.
func Renew(previous *Upstream, config Config) (*Upstream, error) {
	if previous != nil && previous.config.equal(&config) {
		return previous, nil
	}
	return New(config)
}

func newTarget(text string, config *Config) (*Target, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, errors.Unwrap(err) // the outer error repeats the text
	}
	switch {
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return nil, errors.New("want http://host:port or https://host:port")
	case parsed.Host == "" || parsed.Hostname() == "":
		return nil, errors.New("there is no host")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return nil, errors.New("user, query and fragment do not belong in a target")
	}
	t := &Target{Scheme: parsed.Scheme, Authority: parsed.Host, BasePath: trimSlash(parsed.EscapedPath())}
	t.transport = newTransport(parsed.Hostname(), config)
	return t, nil
}

func trimSlash(path string) string {
	for len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}

// Name returns the upstream's name in the document.
func (u *Upstream) Name() string { return u.config.Name }

// Pick returns the target of the next request: each in turn. It is nil only for the zero Upstream.
func (u *Upstream) Pick() *Target {
	switch len(u.targets) {
	case 0:
		return nil
	case 1:
		return u.targets[0]
	}
	n := u.next.Add(1) - 1
	return u.targets[n%uint32(len(u.targets))] //nolint:gosec // G115: the number of targets fits
}

// Close drops the connections that are not in use; those in use end with their requests.
func (u *Upstream) Close() {
	for _, t := range u.targets {
		t.transport.closeIdle()
	}
}
