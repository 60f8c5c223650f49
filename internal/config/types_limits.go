package config

import "time"

// ListenerLimits bound what callers can make a listener hold, read or wait for. A key that is absent, and a field that is
// zero, means the default; Listener.Bounds and Document.RequestBounds fill the defaults in.
type ListenerLimits struct {
	// MaxConnections is how many connections are open at once, from 1 to 1000000; 20000 by default.
	MaxConnections int `yaml:"max_connections"`
	// MaxConnectionsPerAddress is how many of them one peer holds, an IPv4 address or an IPv6 network of 64 bits; from 1
	// to MaxConnections, half of that by default.
	MaxConnectionsPerAddress int `yaml:"max_connections_per_address"`
	// MaxConnectionAge is the age at which a connection ends after its current request, from 1ms to 720h; 1h by default.
	MaxConnectionAge time.Duration `yaml:"max_connection_age"`
	// HandshakeTimeout bounds a TLS handshake, from 1ms to 24h; 10s by default. It needs tls.
	HandshakeTimeout time.Duration `yaml:"handshake_timeout"`
	// HeaderTimeout is the time from the first byte of a request's head to its last, from 1ms to 24h; 10s by default.
	HeaderTimeout time.Duration `yaml:"header_timeout"`
	// IdleTimeout is how long a connection without a request is kept, from 1ms to 24h; 2m by default.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// SendTimeout is how long a client may take to accept the next 32 KiB, or fewer, of an answer, from 1ms to 24h; 30s by
	// default.
	SendTimeout time.Duration `yaml:"send_timeout"`
	// MaxHeaderSize bounds the request line and the header fields together (HTTP/2: the header list), from 1KiB to 1MiB;
	// 64KiB by default.
	MaxHeaderSize Size `yaml:"max_header_size"`
	// MaxHeaderFields is how many header fields a request has, from 1 to 10000; 100 by default.
	MaxHeaderFields int `yaml:"max_header_fields"`
	// MaxTargetSize bounds the request target, from 1 byte to MaxHeaderSize; 16KiB by default, or MaxHeaderSize where that
	// is less.
	MaxTargetSize Size `yaml:"max_target_size"`
	// MaxStreams is how many requests one connection carries at once, from 1 to 10000; 100 by default. It needs HTTP/2 or
	// HTTP/3.
	MaxStreams int `yaml:"max_streams"`
	// MaxControlFrames is how many frames a second one connection sends that cost the sender nothing (resets, settings,
	// pings and others), from 1 to 100000; 200 by default. It needs HTTP/2.
	MaxControlFrames int `yaml:"max_control_frames"`

	// MaxBodySize bounds the body of a request, up to 1048576GiB; 1GiB by default, NoLimit for the word unlimited.
	MaxBodySize Size `yaml:"max_body_size" enum:"unlimited"`
	// MinBodyRate is how many bytes a second the body of a request has to make, after 10s of patience in all; up to 1GiB,
	// 240 by default, NoLimit for the word none.
	MinBodyRate Size `yaml:"min_body_rate" enum:"none"`
	// StreamIdleTimeout is how long upgraded connections, event streams and gRPC may go without a byte in either
	// direction, from 1ms to 720h; 1h by default.
	StreamIdleTimeout time.Duration `yaml:"stream_idle_timeout"`
}

// APILimits replace, key by key, what the listener says about the requests of one API. A key that is absent, and a field
// that is zero, leaves the listener's.
type APILimits struct {
	// MaxBodySize is that of ListenerLimits.
	MaxBodySize Size `yaml:"max_body_size" enum:"unlimited"`
	// MinBodyRate is that of ListenerLimits.
	MinBodyRate Size `yaml:"min_body_rate" enum:"none"`
	// StreamIdleTimeout is that of ListenerLimits.
	StreamIdleTimeout time.Duration `yaml:"stream_idle_timeout"`
}

// Shutdown says how the program ends when it is told to. A field that is zero means the default; Bounds fills it in.
type Shutdown struct {
	// Delay is how long everything is served as before while readiness is already off, so that load balancers can turn
	// away first; up to 1h, 0s by default.
	Delay time.Duration `yaml:"delay,zero"`
	// Drain is how long requests may go on once nothing new is accepted, from 1ms to 24h; 20s by default. It also bounds
	// the requests of a listener that a reload removed.
	Drain time.Duration `yaml:"drain"`
}
