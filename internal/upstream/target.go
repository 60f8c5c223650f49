package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"sallyport/internal/identity"
)

// Target is one place that requests go to.
type Target struct {
	Scheme    string // http or https
	Authority string // host, with a port where the URL has one
	BasePath  string // put before the request's path; never ends in a slash, so it is "" for the root

	text     string // what String returns
	upstream *Upstream
	tls      *tls.Config // nil for http
	names    *names
	health   health
	saidDown bool // the last event said that it is out; guarded by the upstream's telling
	inFlight atomic.Int64
	opening  chan struct{}        // holds one while an HTTP/2 connection is opened; nil for HTTP/1.1
	newest   *h2Conn              // that was opened, nil before; belongs to who put something into opening
	pool     atomic.Pointer[pool] // never nil
}

// String returns the target as a URL.
func (t *Target) String() string { return t.text }

func newTarget(u *Upstream, text string, find lookupFunc) (*Target, error) {
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
	port := parsed.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[parsed.Scheme]
	}
	t := &Target{
		Scheme: parsed.Scheme, Authority: parsed.Host, BasePath: trimSlash(parsed.EscapedPath()),
		upstream: u,
		health:   health{max: u.config.MaxFailures, recovery: u.config.Recovery},
	}
	t.text = t.Scheme + "://" + t.Authority + t.BasePath
	t.names = &names{
		host: parsed.Hostname(), port: port, find: find, changed: t.moved,
		timeout: u.config.ConnectTimeout, every: u.config.ResolveEvery,
	}
	if parsed.Scheme == "https" {
		t.tls = tlsConfig(parsed.Hostname(), &u.config)
	}
	if u.config.Protocol == HTTP2 {
		t.opening = make(chan struct{}, 1)
	}
	t.pool.Store(newPool(t))
	return t, nil
}

func trimSlash(path string) string {
	for len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}

// tlsConfig returns how a target is checked. Without trust stores the operating system's roots decide, which in
// crypto/tls is a nil pool: that is meant here, and only here.
func tlsConfig(host string, config *Config) *tls.Config {
	name := or(config.ServerName, host)
	c := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if config.Trust != nil {
		c = config.Trust.ClientTLS(name)
	}
	if config.Protocol == HTTP2 {
		c.NextProtos = []string{"h2"}
	}
	if len(config.PinSPKI) == 0 {
		return c
	}
	pins, verify := config.PinSPKI, c.VerifyConnection
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if verify != nil {
			if err := verify(state); err != nil {
				return err
			}
		}
		if len(state.PeerCertificates) == 0 {
			return errors.New("the target presented no certificate")
		}
		if got := identity.SHA256(sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)); !slices.Contains(pins, got) {
			return fmt.Errorf("the target's public key %s is not one of the pinned ones", got)
		}
		return nil
	}
	return c
}

// moved is told that the target's name means other addresses. Connections to an address that is gone carry the requests
// that they have and no new ones.
func (t *Target) moved(now []string, gone bool) {
	if gone {
		t.renew()
	}
	t.upstream.events.AddressesChanged(t.upstream.config.Name, t.String(), now)
}

// renew starts with a new pool and lets the old one run dry.
func (t *Target) renew() {
	fresh := newPool(t)
	_ = t.pool.Swap(fresh).retire() // nobody waits
	if t.upstream.closed.Load() {
		_ = fresh.retire() // Close may have seen the old one
	}
}

// succeeded notes that a request's header was answered.
func (t *Target) succeeded(k *ticket) {
	if t.health.succeeded(k) {
		t.tell(func(e Events) { e.TargetUp(t.upstream.config.Name, t.String()) }, false)
	}
}

// failed notes a failure that the target is to blame for.
func (t *Target) failed(k *ticket, cause Cause) {
	trial := k.trial != 0
	down := t.health.failed(k, time.Now())
	if down || trial {
		time.AfterFunc(t.upstream.config.Recovery, t.upstream.wake) // then somebody may try it
	}
	if down {
		t.tell(func(e Events) { e.TargetDown(t.upstream.config.Name, t.String(), cause) }, true)
	}
}

// tell reports a change between in and out, unless the upstream is closed: whoever replaced it speaks for the target then.
func (t *Target) tell(say func(Events), down bool) {
	t.upstream.telling.Lock()
	defer t.upstream.telling.Unlock()
	if t.upstream.closed.Load() || t.saidDown == down || t.health.out.Load() != down { // or it has changed again
		return
	}
	t.saidDown = down
	say(t.upstream.events)
}
