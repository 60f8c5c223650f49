package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	shortestTime = time.Millisecond    // whoever writes less forgot what the unit is
	longestWait  = 24 * time.Hour      // for what a peer does next
	longestLife  = 30 * 24 * time.Hour // of connections, and of silence on streams

	mostConnections = 1_000_000
)

// within checks that a number, a size or a time that was given lies between two others.
func within[T int | Size | time.Duration](l *loader, at *T, key string, least, most T) {
	if l.doc.source.given(at) && !l.damaged[at] && (*at < least || *at > most) {
		l.shape(at, "%s must be from %s to %s, not %s", key, amount(least), amount(most), amount(*at))
	}
}

// atMost checks a number or a size against another key's, which may be a default.
func atMost[T int | Size](l *loader, at *T, key string, most T, mostKey string) {
	if l.doc.source.given(at) && !l.damaged[at] && *at > most {
		l.shape(at, "%s must be at most %s, which is %s, not %s", key, mostKey, amount(most), amount(*at))
	}
}

// amount writes a number, a size or a time as a document has it.
func amount(v any) string {
	text := fmt.Sprint(v)
	if _, ok := v.(time.Duration); ok {
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
	}
	return text
}

// checkListenerLimits checks the limits of a listener.
func (l *loader) checkListenerLimits(v *Listener) {
	m := v.Limits
	if m == nil {
		return
	}
	bounds := v.Bounds()
	within(l, &m.MaxConnections, "max_connections", 1, mostConnections)
	within(l, &m.MaxConnectionsPerAddress, "max_connections_per_address", 1, mostConnections)
	if !l.damaged[&m.MaxConnections] && m.MaxConnectionsPerAddress <= mostConnections {
		atMost(l, &m.MaxConnectionsPerAddress, "max_connections_per_address", bounds.MaxConnections, "max_connections")
	}
	within(l, &m.MaxConnectionAge, "max_connection_age", shortestTime, longestLife)
	within(l, &m.HandshakeTimeout, "handshake_timeout", shortestTime, longestWait)
	within(l, &m.HeaderTimeout, "header_timeout", shortestTime, longestWait)
	within(l, &m.IdleTimeout, "idle_timeout", shortestTime, longestWait)
	within(l, &m.SendTimeout, "send_timeout", shortestTime, longestWait)
	within(l, &m.MaxHeaderSize, "max_header_size", kib, mib)
	within(l, &m.MaxHeaderFields, "max_header_fields", 1, 10_000)
	if !l.damaged[&m.MaxHeaderSize] {
		atMost(l, &m.MaxTargetSize, "max_target_size", Size(bounds.MaxHeaderSize), "max_header_size")
	}
	within(l, &m.MaxStreams, "max_streams", 1, 10_000)
	within(l, &m.MaxControlFrames, "max_control_frames", 1, 100_000)
	l.checkRequestLimits(&m.MaxBodySize, &m.MinBodyRate, &m.StreamIdleTimeout)

	given := l.doc.source.given
	if given(&m.HandshakeTimeout) && !given(&v.TLS) {
		l.shape(&m.HandshakeTimeout, "handshake_timeout has no effect: the listener has no tls")
	}
	if given(&m.MaxStreams) && !l.speaks(v, H2, H2C, H3) {
		l.shape(&m.MaxStreams, "max_streams has no effect: over HTTP/1 a connection carries one request at a time, and the listener speaks nothing else")
	}
	if given(&m.MaxControlFrames) && !l.speaks(v, H2, H2C) {
		l.shape(&m.MaxControlFrames, "max_control_frames has no effect: the listener does not speak HTTP/2")
	}
}

// checkAPILimits checks the limits of an API.
func (l *loader) checkAPILimits(m *APILimits) {
	if m != nil {
		l.checkRequestLimits(&m.MaxBodySize, &m.MinBodyRate, &m.StreamIdleTimeout)
	}
}

// checkRequestLimits checks the limits that listeners and APIs share.
func (l *loader) checkRequestLimits(maxBody, minRate *Size, streamIdle *time.Duration) {
	if *maxBody != NoLimit {
		within(l, maxBody, "max_body_size", 1, 1<<20*gib)
	}
	if *minRate != NoLimit {
		within(l, minRate, "min_body_rate", 1, gib)
	}
	within(l, streamIdle, "stream_idle_timeout", shortestTime, longestLife)
}

// speaks reports whether a listener speaks one of several protocols, or may do so: what could not be decoded is nobody's
// reason for a complaint.
func (l *loader) speaks(v *Listener, list ...Protocol) bool {
	given := l.doc.source.given
	if !given(&v.Protocols) {
		return given(&v.TLS) && slices.Contains(list, H2)
	}
	return l.damaged[&v.Protocols] || slices.ContainsFunc(v.Protocols, func(p Protocol) bool { return p == "" || slices.Contains(list, p) })
}

// checkShutdown checks how the program ends.
func (l *loader) checkShutdown(s *Shutdown) {
	within(l, &s.Delay, "delay", 0, time.Hour)
	within(l, &s.Drain, "drain", shortestTime, longestWait)
}

// checkUpstreamLimits checks the bounds of an upstream. Named is false where every target is an IP address.
func (l *loader) checkUpstreamLimits(u *Upstream, named bool) {
	given := l.doc.source.given
	if h := u.Health; h != nil {
		l.positive(&h.MaxFailures, "max_failures")
		within(l, &h.Recovery, "recovery", shortestTime, longestWait)
	}
	if p := u.Pool; p != nil {
		l.positive(&p.MaxIdle, "max_idle")
		l.positive(&p.Max, "max")
	}
	if t := u.Timeouts; t != nil {
		within(l, &t.Connect, "connect", shortestTime, longestWait)
		within(l, &t.Response, "response", shortestTime, longestWait)
		within(l, &t.Idle, "idle", shortestTime, longestWait)
		within(l, &t.Pause, "pause", shortestTime, longestWait)
		within(l, &t.Queue, "queue", shortestTime, longestWait)
		if given(&t.Queue) && !l.waits(u) {
			l.shape(&t.Queue, "queue has no effect without pool.max: nobody waits for a free connection")
		}
	}
	within(l, &u.ResolveEvery, "resolve_every", time.Second, longestWait)
	if given(&u.ResolveEvery) && !named {
		l.shape(&u.ResolveEvery, "resolve_every has no effect: every target is an IP address")
	}
}

// waits reports whether requests to an upstream may have to wait for a free connection.
func (l *loader) waits(u *Upstream) bool {
	given := l.doc.source.given
	switch {
	case !given(&u.Pool):
		return false
	case u.Pool == nil || l.damaged[u.Pool]: // could not be decoded, or a misspelt key
		return true
	}
	return given(&u.Pool.Max)
}
