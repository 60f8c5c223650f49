package config

import "time"

// ListenerLimits are what callers can make a listener hold, read or wait for. docs/limits.md says what is answered beyond
// each of them.
//
// A key that is absent, and a field that is zero, means the default; Listener.Bounds and Document.RequestBounds fill the
// defaults in.
type ListenerLimits struct {
	// Connections that are open at once.
	MaxConnections int `yaml:"max_connections" range:"1 1000000" default:"20000"`
	// How many of them one peer holds, by IPv4 address or IPv6 network of 64 bits; at most `max_connections`. Absent means
	// half of that.
	MaxConnectionsPerAddress int `yaml:"max_connections_per_address" range:"1 1000000"`
	// Age at which a connection ends after its current request.
	MaxConnectionAge time.Duration `yaml:"max_connection_age" range:"1ms 720h" default:"1h"`
	// Time for a TLS handshake. It needs `tls`.
	HandshakeTimeout time.Duration `yaml:"handshake_timeout" range:"1ms 24h" default:"10s"`
	// Time from the first byte of a request's head to its last.
	HeaderTimeout time.Duration `yaml:"header_timeout" range:"1ms 24h" default:"10s"`
	// How long a connection without a request is kept.
	IdleTimeout time.Duration `yaml:"idle_timeout" range:"1ms 24h" default:"2m"`
	// How long a client may take nothing of an answer. One that takes something, however slowly, is served.
	SendTimeout time.Duration `yaml:"send_timeout" range:"1ms 24h" default:"30s"`
	// Bytes of the request line and the header fields together; with HTTP/2, of the header list.
	MaxHeaderSize Size `yaml:"max_header_size" range:"1KiB 1MiB" default:"64KiB"`
	// Header fields of a request.
	MaxHeaderFields int `yaml:"max_header_fields" range:"1 10000" default:"100"`
	// Bytes of the request target; at most `max_header_size`. Absent means 16KiB, or `max_header_size` where that is less.
	MaxTargetSize Size `yaml:"max_target_size" range:"1 1MiB"`
	// Requests that one connection carries at once. It needs HTTP/2 or HTTP/3.
	MaxStreams int `yaml:"max_streams" range:"1 10000" default:"100"`
	// Frames a second on one connection that cost the sender nothing: resets, settings, pings and others. It needs HTTP/2.
	MaxControlFrames int `yaml:"max_control_frames" range:"1 100000" default:"200"`

	// Bytes of the body of a request.
	//
	// NoLimit for the word unlimited.
	MaxBodySize Size `yaml:"max_body_size" enum:"unlimited" range:"1 1048576GiB" default:"1GiB"`
	// Bytes a second that the body of a request has to make, after ten seconds of patience in all.
	//
	// NoLimit for the word none.
	MinBodyRate Size `yaml:"min_body_rate" enum:"none" range:"1 1GiB" default:"240"`
	// How long an upgraded connection, an event stream or a gRPC stream may go without a byte in either direction.
	StreamIdleTimeout time.Duration `yaml:"stream_idle_timeout" range:"1ms 720h" default:"1h"`
}

// APILimits are what replaces, key by key, the listener's limits for the requests of one API.
//
// A key that is absent, and a field that is zero, leaves the listener's.
type APILimits struct {
	// Bytes of the body of a request. Absent means the listener's limit.
	//
	// NoLimit for the word unlimited.
	MaxBodySize Size `yaml:"max_body_size" enum:"unlimited" range:"1 1048576GiB"`
	// Bytes a second that the body of a request has to make, after ten seconds of patience in all. Absent means the
	// listener's limit.
	//
	// NoLimit for the word none.
	MinBodyRate Size `yaml:"min_body_rate" enum:"none" range:"1 1GiB"`
	// How long an upgraded connection, an event stream or a gRPC stream may go without a byte in either direction. Absent
	// means the listener's limit.
	StreamIdleTimeout time.Duration `yaml:"stream_idle_timeout" range:"1ms 720h"`
}

// Shutdown is how the program ends when it is told to.
//
// A field that is zero means the default; Bounds fills it in.
type Shutdown struct {
	// How long everything is served as before while readiness is already off, so that load balancers can turn away first.
	Delay time.Duration `yaml:"delay,zero" range:"0s 1h" default:"0s"`
	// How long requests may go on once nothing new is accepted. It also bounds the requests of a listener that a reload
	// removed.
	Drain time.Duration `yaml:"drain" range:"1ms 24h" default:"20s"`
}
