package gateway

import (
	"crypto/tls"
	"iter"
	"maps"
	"slices"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/judge"
	"sallyport/internal/upstream"
)

// Snapshot is the compiled, immutable running state of one document. Compile makes it, Gateway.Swap puts it to work,
// and explain asks its Rules. Its zero value serves nothing: no listener, no API.
type Snapshot struct {
	generation uint64
	rules      *judge.Rules
	stores     *judge.Stores
	listeners  map[string]*listener // by address
	byName     map[string]*listener

	upstreams map[string]*upstream.Upstream // by name
	targets   []*upstream.Upstream          // the same, by judge.API.Index; nil where it cannot be used

	reporter *reporter // the same in every generation

	access accessPolicy
	drain  time.Duration // how long the requests of a removed listener may go on
}

// Generation numbers the snapshots of one process from 1; a higher one is newer.
func (s *Snapshot) Generation() uint64 { return s.generation }

// Rules are what requests are judged by.
func (s *Snapshot) Rules() *judge.Rules { return s.rules }

// names are what metrics are kept for: listeners, APIs, and the targets of upstreams.
func (s *Snapshot) names() (listeners, apis iter.Seq[string], targets iter.Seq2[string, string]) {
	apis = func(yield func(string) bool) {
		for _, a := range s.rules.APIs() {
			if !yield(a.Series()) {
				return
			}
		}
	}
	targets = func(yield func(string, string) bool) {
		for name, u := range s.upstreams {
			if !yield(name, "") { // for what concerns no target
				return
			}
			for _, t := range u.Targets() {
				if !yield(name, t.String()) {
					return
				}
			}
		}
	}
	return maps.Keys(s.byName), apis, targets
}

// Notes are remarks about the compiled state for whoever watches the log: an expired anchor that is skipped, a CA that
// looks like a self-signed caller, authorities that are too many to be announced, each with its place.
func (s *Snapshot) Notes() []config.Note { return slices.Concat(s.stores.Notes(), s.rules.Notes()) }

// Broken names the APIs that refuse every request because something that they need is broken, and what that is. It is
// empty unless the document was loaded with config.Options.ServePartial.
func (s *Snapshot) Broken() []string { return s.rules.Broken() }

// listener is a bound address: what judging knows of it, and how it speaks.
type listener struct {
	*judge.Listener

	protocols protocols
	bounds    config.ListenerBounds
	asks      []*ask // by judge.Ask.Index; none without TLS
}

// askFor returns how the listener shakes hands with a client that names a server, canonical or "". The listener speaks TLS.
func (l *listener) askFor(serverName string) *ask { return l.asks[l.AskFor(serverName).Index] }

// ask is how a listener shakes hands with clients that name one of some servers.
type ask struct {
	*judge.Ask

	config *tls.Config
	// ticketID names the ticket keys: two share keys exactly when they are handshakes of the same profile with the
	// same effective trust.
	ticketID [32]byte
}

// protocols are the HTTP versions of a listener.
type protocols struct {
	http1, http2, h2c bool
}

func (p protocols) alpn() []string {
	var names []string
	if p.http2 {
		names = append(names, "h2")
	}
	if p.http1 {
		names = append(names, "http/1.1", "http/1.0")
	}
	return names
}
