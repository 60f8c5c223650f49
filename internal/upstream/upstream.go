// Package upstream is how to reach the targets of an API: which target takes the next request, whether it answers these
// days, the connections that are kept open to it, how long it may take, and how its certificate is checked. It owns the
// connections to backends and what is known about their health.
//
// It never decides whether a request may pass and never touches a header field, least of all those that say who is
// calling. A target's certificate is checked against the trust stores of the upstream, or against the operating system's
// roots where none are named, and its name by RFC 9525. Everything here is safe for concurrent use.
//
// net/http is used in the files called nethttp alone.
package upstream

import (
	"container/list"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/trust"
)

// What a Config that says nothing gets.
const (
	DefaultMaxFailures     = 3
	DefaultRecovery        = 10 * time.Second
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 60 * time.Second
	DefaultPauseTimeout    = 60 * time.Second
	DefaultIdleTimeout     = 60 * time.Second
	DefaultQueueTimeout    = DefaultConnectTimeout
	DefaultMaxIdle         = 256
	DefaultResolveEvery    = 10 * time.Second
)

// Balancing says which target takes the next request, among those that are in and have a free slot.
type Balancing uint8

// The zero value is RoundRobin.
const (
	RoundRobin    Balancing = iota // each in turn
	LeastRequests                  // the one with the fewest requests in flight; those that are equal take turns
)

// Protocol is what an upstream's targets speak.
type Protocol uint8

// The zero value is HTTP1. An HTTP2 upstream speaks nothing else: over TLS the target has to choose h2 by ALPN (RFC 9113
// section 3.2), without TLS it is expected to know (section 3.3). Connections that change their protocol, such as
// WebSocket's, need HTTP1.
const (
	HTTP1 Protocol = iota
	HTTP2
)

// Config describes an upstream. Zero durations and counts stand for the defaults above; a zero Max means no limit.
type Config struct {
	Name      string
	Targets   []string // absolute http or https URLs; a path is put before the request's
	Balancing Balancing
	Protocol  Protocol

	// MaxFailures in a row take a target out for Recovery. Then one request at a time tries it, until one succeeds. A
	// trial that takes longer than Recovery, and than a second, is not waited for.
	MaxFailures int
	Recovery    time.Duration
	// NoRetry says that no request is sent a second time, not even where a connection was dead.
	NoRetry bool

	// Trust validates the certificates of https targets. Nil means the operating system's roots: a set that
	// could not be built must never reach this field as nil, so the caller refuses the API instead.
	Trust *trust.Set
	// ServerName replaces the target's host name in the handshake and in the name check.
	ServerName string
	// PinSPKI lists the public keys that the target's leaf may have; empty means any.
	PinSPKI []identity.SHA256

	ConnectTimeout  time.Duration // resolving the name, connecting, the TLS handshake and the SETTINGS of HTTP/2 together
	ResponseTimeout time.Duration // from the end of the request to the response's header
	PauseTimeout    time.Duration // the longest silence inside a response's body, and while a request's body is not taken
	IdleTimeout     time.Duration // how long an unused connection is kept
	QueueTimeout    time.Duration // the wait for a free slot while all targets have Max requests
	MaxIdle         int           // unused connections kept for each target
	Max             int           // requests in flight at each target, tunnels included; HTTP/1.1 connections as well

	// ResolveEvery is how old the addresses behind a name may get while the target is used. Targets that are
	// IP addresses are never resolved.
	ResolveEvery time.Duration
}

// equal reports whether two configurations make the same upstream, so that a reload can keep its connections.
func (c *Config) equal(o *Config) bool {
	sameTrust := (c.Trust == nil) == (o.Trust == nil)
	if sameTrust && c.Trust != nil {
		sameTrust = c.Trust.Fingerprint() == o.Trust.Fingerprint()
	}
	return sameTrust && c.Name == o.Name && slices.Equal(c.Targets, o.Targets) && c.Balancing == o.Balancing &&
		c.Protocol == o.Protocol && c.MaxFailures == o.MaxFailures && c.Recovery == o.Recovery && c.NoRetry == o.NoRetry &&
		c.ServerName == o.ServerName && slices.Equal(c.PinSPKI, o.PinSPKI) && c.ConnectTimeout == o.ConnectTimeout &&
		c.ResponseTimeout == o.ResponseTimeout && c.PauseTimeout == o.PauseTimeout && c.IdleTimeout == o.IdleTimeout &&
		c.QueueTimeout == o.QueueTimeout && c.MaxIdle == o.MaxIdle && c.Max == o.Max && c.ResolveEvery == o.ResolveEvery
}

// fill replaces every zero that stands for a default.
func (c *Config) fill() {
	c.MaxFailures, c.Recovery = or(c.MaxFailures, DefaultMaxFailures), or(c.Recovery, DefaultRecovery)
	c.ConnectTimeout = or(c.ConnectTimeout, DefaultConnectTimeout)
	c.ResponseTimeout = or(c.ResponseTimeout, DefaultResponseTimeout)
	c.PauseTimeout = or(c.PauseTimeout, DefaultPauseTimeout)
	c.IdleTimeout = or(c.IdleTimeout, DefaultIdleTimeout)
	c.QueueTimeout = or(c.QueueTimeout, DefaultQueueTimeout)
	c.MaxIdle = or(c.MaxIdle, DefaultMaxIdle)
	c.ResolveEvery = or(c.ResolveEvery, DefaultResolveEvery)
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// check complains about values that mean nothing.
func (c *Config) check() error {
	for _, d := range []time.Duration{
		c.Recovery, c.ConnectTimeout, c.ResponseTimeout, c.PauseTimeout, c.IdleTimeout, c.QueueTimeout, c.ResolveEvery,
	} {
		if d < 0 {
			return fmt.Errorf("a duration is negative: %s", d)
		}
	}
	switch {
	case c.MaxFailures < 0 || c.MaxIdle < 0 || c.Max < 0:
		return errors.New("a count is negative")
	case c.Balancing > LeastRequests || c.Protocol > HTTP2:
		return errors.New("balancing or protocol is none of the known ones")
	case len(c.Targets) == 0:
		return errors.New("there are no targets")
	}
	return nil
}

// Events is told what happens to the targets. The methods are called from the goroutines that carry requests and from
// those that resolve names, several at a time, so they have to be quick and must not call back. upstream and target are the
// names as configured and few.
type Events interface {
	// TargetDown says that MaxFailures in a row took the target out, and what the last of them was.
	TargetDown(upstream, target string, cause Cause)
	// TargetUp says that a request succeeded at a target that was out. Neither comes from an upstream that is closed.
	TargetUp(upstream, target string)
	// AddressesChanged says that the name of a target means other addresses than before: one came that was not known, or
	// one was missing in three answers in a row. It is not called for the first answer.
	AddressesChanged(upstream, target string, addresses []string)
	// Attempt says how sending a request to a target ended: cause is empty when a response's header arrived in time,
	// whatever its status. retry is true for the second attempt of a request, at whatever target. took runs until the header or the
	// failure. What happens to a body afterwards is for its reader to see and not reported here.
	Attempt(upstream, target string, cause Cause, retry bool, took time.Duration)
}

// silent is the Events of those who do not listen.
type silent struct{}

func (silent) TargetDown(string, string, Cause)                   {}
func (silent) TargetUp(string, string)                            {}
func (silent) AddressesChanged(string, string, []string)          {}
func (silent) Attempt(string, string, Cause, bool, time.Duration) {}

// Upstream is a checked, running upstream with its connection pools. The zero value has no target and refuses every
// request.
type Upstream struct {
	given   Config // as it came, for Renew
	config  Config
	events  Events
	targets []*Target
	closed  atomic.Bool
	telling sync.Mutex // orders what is told of the targets' health, and its end

	turn    atomic.Uint32
	waiting atomic.Int32 // the length of queue, to be read without the lock

	mu    sync.Mutex
	queue list.List // of *waiter: who came first gets the first free slot
}

// New checks the configuration and makes the pools. It connects to nothing and resolves nothing. events may be nil.
func New(config Config, events Events) (*Upstream, error) {
	return newUpstream(config, events, lookup)
}

func newUpstream(config Config, events Events, find lookupFunc) (*Upstream, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("upstream %q: %w", config.Name, err)
	}
	config.Targets, config.PinSPKI = slices.Clone(config.Targets), slices.Clone(config.PinSPKI)
	u := &Upstream{given: config, config: config, events: events}
	u.config.fill()
	if events == nil {
		u.events = silent{}
	}
	for _, text := range config.Targets {
		t, err := newTarget(u, text, find)
		if err != nil {
			return nil, fmt.Errorf("upstream %q: target %q: %w", config.Name, text, err)
		}
		u.targets = append(u.targets, t)
	}
	return u, nil
}

// Renew returns previous when it was made from an equal configuration, so that its connections, its health and its
// events live on, and otherwise what New returns. A nil previous is New.
func Renew(previous *Upstream, config Config, events Events) (*Upstream, error) {
	if previous != nil && previous.given.equal(&config) {
		return previous, nil
	}
	return New(config, events)
}

// Name returns the upstream's name in the document.
func (u *Upstream) Name() string { return u.config.Name }

// Close drops the connections that are not in use; those in use end with their requests. Requests that are sent
// afterwards, by a caller that still had the upstream, are served and leave no connection behind. Close waits for nobody; the
// channel is closed when the connections that were not in use are.
func (u *Upstream) Close() <-chan struct{} {
	u.telling.Lock()
	u.closed.Store(true)
	u.telling.Unlock()
	var retired []<-chan struct{}
	for _, t := range u.targets {
		retired = append(retired, t.pool.Load().retire())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, r := range retired {
			<-r
		}
	}()
	return done
}

// Targets returns the targets in the order of the configuration.
func (u *Upstream) Targets() []*Target { return slices.Clone(u.targets) }
