package config

import "time"

// ListenerBounds are the limits of a listener with every default filled in: all are more than 0, and none contradicts
// another. What a request may do besides is in RequestBounds.
type ListenerBounds struct {
	// MaxConnections and MaxConnectionsPerAddress count open connections; an address is an IPv4 address or an IPv6
	// network of 64 bits.
	MaxConnections, MaxConnectionsPerAddress int
	// MaxConnectionAge is the age at which a connection ends after its current request.
	MaxConnectionAge time.Duration
	// HandshakeTimeout, HeaderTimeout, IdleTimeout and SendTimeout bound the waiting for a client; see ListenerLimits.
	HandshakeTimeout, HeaderTimeout, IdleTimeout, SendTimeout time.Duration
	// MaxHeaderSize and MaxTargetSize are bytes, MaxHeaderFields is a number of fields.
	MaxHeaderSize, MaxHeaderFields, MaxTargetSize int
	// MaxStreams is a number of requests at once on one connection, MaxControlFrames one of frames per second.
	MaxStreams, MaxControlFrames int
}

// RequestBounds are the limits of a request to an API that arrives on a listener, with every default filled in. They come
// from Document.RequestBounds alone: the zero value bounds nothing.
type RequestBounds struct {
	// MaxBody is in bytes; 0 means that there is no bound.
	MaxBody int64
	// MinBodyRate is in bytes per second; 0 means that there is no minimum.
	MinBodyRate int64
	// StreamIdle is how long a stream may go without a byte in either direction; more than 0.
	StreamIdle time.Duration
}

// Bounds returns the limits of the listener with the defaults filled in. A nil listener says nothing.
func (l *Listener) Bounds() ListenerBounds {
	var w ListenerLimits
	if l != nil && l.Limits != nil {
		w = *l.Limits
	}
	b := ListenerBounds{
		MaxConnections:   orDefault(w.MaxConnections, 20_000),
		MaxConnectionAge: orDefault(w.MaxConnectionAge, time.Hour),
		HandshakeTimeout: orDefault(w.HandshakeTimeout, 10*time.Second),
		HeaderTimeout:    orDefault(w.HeaderTimeout, 10*time.Second),
		IdleTimeout:      orDefault(w.IdleTimeout, 2*time.Minute),
		SendTimeout:      orDefault(w.SendTimeout, 30*time.Second),
		MaxHeaderSize:    int(orDefault(w.MaxHeaderSize, 64*kib)),
		MaxHeaderFields:  orDefault(w.MaxHeaderFields, 100),
		MaxTargetSize:    int(orDefault(w.MaxTargetSize, 16*kib)),
		MaxStreams:       orDefault(w.MaxStreams, 100),
		MaxControlFrames: orDefault(w.MaxControlFrames, 200),
	}
	b.MaxConnectionsPerAddress = min(orDefault(w.MaxConnectionsPerAddress, max(b.MaxConnections/2, 1)), b.MaxConnections)
	b.MaxTargetSize = min(b.MaxTargetSize, b.MaxHeaderSize)
	return b
}

// RequestBounds returns what holds for requests to an API that arrive on a listener: what the API says, else what the
// listener says, else the default, key by key. A nil listener or API says nothing.
func (d *Document) RequestBounds(l *Listener, a *API) RequestBounds {
	b := RequestBounds{MaxBody: int64(gib), MinBodyRate: 240, StreamIdle: time.Hour}
	if l != nil && l.Limits != nil {
		b.override(APILimits{l.Limits.MaxBodySize, l.Limits.MinBodyRate, l.Limits.StreamIdleTimeout})
	}
	if a != nil && a.Limits != nil {
		b.override(*a.Limits)
	}
	return b
}

// override lets a lower level speak.
func (b *RequestBounds) override(w APILimits) {
	b.MaxBody = w.MaxBodySize.bytesOr(b.MaxBody)
	b.MinBodyRate = w.MinBodyRate.bytesOr(b.MinBodyRate)
	b.StreamIdle = orDefault(w.StreamIdleTimeout, b.StreamIdle)
}

// Bounds returns the shutdown with the defaults filled in.
func (s Shutdown) Bounds() Shutdown {
	return Shutdown{Delay: max(s.Delay, 0), Drain: orDefault(s.Drain, 20*time.Second)}
}

// bytesOr returns the size as a number of bytes, 0 for NoLimit and above for a size that is absent.
func (s Size) bytesOr(above int64) int64 {
	if s == NoLimit {
		return 0
	}
	return orDefault(int64(s), above)
}

// orDefault returns what was written, which is more than 0 if it was.
func orDefault[T int | int64 | Size | time.Duration](written, byDefault T) T {
	if written > 0 {
		return written
	}
	return byDefault
}
