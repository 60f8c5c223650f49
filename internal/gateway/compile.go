package gateway

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"sallyport/internal/config"
	"sallyport/internal/judge"
	"sallyport/internal/trust"
	"sallyport/internal/upstream"
)

// Compile turns a checked document into a snapshot. It reads nothing but its arguments and changes neither of them. What
// has the same content as in previous is taken over: verdict caches and connection pools live on. A nil previous is
// the first compilation. All errors are reported at once, as a config.ErrorList; a document that config.Load accepted
// and Unbuilt has nothing to say about compiles.
func Compile(doc *config.Document, previous *Snapshot, clock *Clock) (*Snapshot, error) {
	if previous == nil {
		previous = &Snapshot{}
	}
	c := &compiler{doc: doc, previous: previous, clock: clock}
	var err error
	if c.stores, err = judge.CompileStores(doc, previous.stores, clock.Now()); err != nil {
		return nil, err
	}
	c.out = &Snapshot{
		generation: previous.generation + 1,
		stores:     c.stores,
		listeners:  map[string]*listener{},
		byName:     map[string]*listener{},
		upstreams:  map[string]*upstream.Upstream{},
		reporter:   cmp.Or(previous.reporter, &reporter{}),
		access:     newAccessPolicy(doc.Log),
		drain:      doc.Shutdown.Bounds().Drain,
	}
	c.compileUpstreams()
	c.out.rules, err = judge.Compile(doc, c.stores, func(name string) bool { return c.out.upstreams[name] != nil })
	if err != nil {
		list, ok := errors.AsType[config.ErrorList](err)
		if !ok {
			return nil, err
		}
		return nil, append(c.errs, list...)
	}
	for i := range doc.APIs {
		c.out.targets = append(c.out.targets, c.out.upstreams[doc.APIs[i].Upstream])
	}
	for i := range doc.Listeners {
		c.compileListener(&doc.Listeners[i], c.out.rules.Listeners()[i])
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return c.out, nil
}

// compiler holds what the steps of one compilation share.
type compiler struct {
	doc      *config.Document
	previous *Snapshot
	clock    *Clock

	out    *Snapshot
	stores *judge.Stores
	errs   config.ErrorList
}

// fail records what keeps the document from running, at a field of it.
func (c *compiler) fail(field any, format string, args ...any) {
	c.errs = append(c.errs, config.Error{Position: c.doc.Position(field), Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) compileUpstreams() {
	for i := range c.doc.Upstreams {
		u := &c.doc.Upstreams[i]
		cfg := upstream.Config{
			Name: u.Name, Targets: u.Targets, Balancing: upstream.RoundRobin, Protocol: upstream.HTTP1,
			NoRetry: u.Retry != nil && !*u.Retry, ResolveEvery: u.ResolveEvery,
		}
		if u.LoadBalancing == "least_requests" {
			cfg.Balancing = upstream.LeastRequests
		}
		if u.Protocol == config.H2 {
			cfg.Protocol = upstream.HTTP2
		}
		if u.TLS != nil {
			set, missing := c.stores.Set(trust.ServerAuth, u.TLS.Trust)
			if missing != "" {
				continue // the APIs that use it refuse: without its trust it must not connect
			}
			cfg.Trust, cfg.ServerName, cfg.PinSPKI = set, u.TLS.ServerName, u.TLS.PinSPKISHA256
		}
		if h := u.Health; h != nil {
			cfg.MaxFailures, cfg.Recovery = h.MaxFailures, h.Recovery
		}
		if t := u.Timeouts; t != nil {
			cfg.ConnectTimeout, cfg.ResponseTimeout, cfg.IdleTimeout = t.Connect, t.Response, t.Idle
			cfg.PauseTimeout, cfg.QueueTimeout = t.Pause, t.Queue
		}
		if p := u.Pool; p != nil {
			cfg.MaxIdle, cfg.Max = p.MaxIdle, p.Max
		}
		compiled, err := upstream.Renew(c.previous.upstreams[u.Name], cfg, c.out.reporter)
		if err != nil {
			c.fail(&u.Targets, "%v", err)
			continue
		}
		c.out.upstreams[u.Name] = compiled
	}
}

func newProtocols(l *config.Listener) protocols {
	if len(l.Protocols) == 0 {
		return protocols{http1: true, http2: l.TLS != nil}
	}
	return protocols{
		http1: slices.Contains(l.Protocols, config.H1),
		http2: slices.Contains(l.Protocols, config.H2),
		h2c:   slices.Contains(l.Protocols, config.H2C),
	}
}

// compileListener adds to what judging knows of a listener how it speaks.
func (c *compiler) compileListener(l *config.Listener, rules *judge.Listener) {
	out := &listener{Listener: rules, protocols: newProtocols(l), bounds: l.Bounds()}
	c.out.listeners[l.Address] = out
	c.out.byName[l.Name] = out
	profiles := make([]*tls.Config, len(rules.Profiles()))
	for i, p := range rules.Profiles() {
		credentials := l.TLS.Credentials
		if i > 0 && l.TLS.Profiles[i-1].Credential != "" { // the first is the listener's own
			credentials = []string{l.TLS.Profiles[i-1].Credential}
		}
		profiles[i] = c.tlsConfig(out, p, credentials)
	}
	for _, a := range rules.Asks() {
		out.asks = append(out.asks, &ask{Ask: a, config: c.askConfig(profiles[a.Profile.Index], a), ticketID: ticketID(rules, a)})
	}
}

// tlsConfig is what the handshakes of a TLS profile have in common.
func (c *compiler) tlsConfig(l *listener, p *judge.Profile, credentials []string) *tls.Config {
	out := &tls.Config{MinVersion: p.MinVersion, NextProtos: l.protocols.alpn(), SessionTicketsDisabled: p.NoTickets}
	for _, name := range credentials {
		if resolved := c.credential(name); resolved != nil {
			out.Certificates = append(out.Certificates, *resolved)
		}
	}
	if len(out.Certificates) == 0 {
		c.fail(&c.doc.Listeners[l.Index].TLS.Credentials, "listener %q has no usable credential among %q", l.Name, credentials)
	}
	return out
}

// askConfig adds to what a profile's handshakes have in common whom one of them asks for what.
func (c *compiler) askConfig(common *tls.Config, a *judge.Ask) *tls.Config {
	out := common.Clone()
	switch {
	case a.Insists():
		out.ClientAuth = tls.RequireAnyClientCert
		out.VerifyConnection = verifyConnection(a, c.clock)
	case a.Asks():
		out.ClientAuth = tls.RequestClientCert
	}
	out.ClientCAs = announced(a.Announce())
	return out
}

func (c *compiler) credential(name string) *tls.Certificate {
	for i := range c.doc.Credentials {
		if c.doc.Credentials[i].Name == name {
			return c.doc.Credentials[i].Resolved
		}
	}
	return nil
}

// announced returns a pool that makes crypto/tls announce names, each the DER of one. It verifies nothing: client
// certificates are requested, never verified, by crypto/tls, and a nil pool announces nothing.
func announced(names [][]byte) *x509.CertPool {
	if len(names) == 0 {
		return nil
	}
	pool := x509.NewCertPool()
	for _, name := range names {
		// The pool keeps names of certificates; one that has nothing but a name announces it.
		pool.AddCert(&x509.Certificate{Raw: name, RawSubject: name})
	}
	return pool
}

// ticketID identifies a profile, what its handshake demands, and the content of the effective trust.
func ticketID(l *judge.Listener, a *judge.Ask) [32]byte {
	h := sha256.New()
	for _, text := range []string{l.Name, l.Address, a.Profile.Key, string(a.Profile.ClientAuth), strconv.FormatBool(a.Raised)} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(text))) // a hash does not fail
		h.Write([]byte(text))
	}
	h.Write(a.Fingerprint())
	return [32]byte(h.Sum(nil))
}
