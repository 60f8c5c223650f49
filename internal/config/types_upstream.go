package config

import (
	"time"

	"sallyport/internal/identity"
)

// Upstream is where an API's requests go.
//
// A key that is absent, and a field that is zero, means the default; package upstream owns those.
type Upstream struct {
	// Unique among upstreams.
	Name string `yaml:"name" need:"yes"`
	// URLs of scheme and authority, `http` or `https`, such as `https://10.0.0.7:8443`; a path is put before the request's.
	Targets []string `yaml:"targets" need:"yes"`
	// What the targets speak. With `h2` the https targets have to agree to it in the handshake, and the http ones have to
	// understand it without being asked.
	//
	// ALPN, and prior knowledge (RFC 9113 §3.3).
	Protocol Protocol `yaml:"protocol" enum:"h1 h2" default:"h1"`
	// How a target is chosen.
	LoadBalancing string `yaml:"load_balancing" enum:"round_robin least_requests" default:"round_robin"`
	// When a target counts as down. It holds where nothing is said, too.
	Health *Health `yaml:"health"`
	// Whether a request is tried once more, at another target, when the first cannot have acted on it.
	Retry *bool `yaml:"retry" default:"true"`
	// How https targets are checked.
	TLS *UpstreamTLS `yaml:"tls"`
	// Name of the credential that is shown to the targets.
	Credential string `yaml:"credential" unbuilt:"*"`
	// How long a target may take.
	Timeouts *UpstreamTimeouts `yaml:"timeouts"`
	// How many connections there are to each target.
	Pool *UpstreamPool `yaml:"pool"`
	// How old the addresses of a target may become before its name is looked up again. It needs a target that is a name.
	ResolveEvery time.Duration `yaml:"resolve_every" range:"1s 24h" default:"10s"`
}

// Health is when a target counts as down, by what becomes of the requests that it gets.
//
// Absent or zero means the default.
type Health struct {
	// So many failures in a row take a target out.
	MaxFailures int `yaml:"max_failures" range:"1" default:"3"`
	// How long it stays out before one request tries it again.
	Recovery time.Duration `yaml:"recovery" range:"1ms 24h" default:"10s"`
}

// UpstreamTLS is how the certificate of an https target is checked: its path against trust stores, its name by RFC 9525.
type UpstreamTLS struct {
	// Names of the trust stores. Absent means the operating system's roots.
	Trust []string `yaml:"trust"`
	// Replaces the target's host name in the handshake and in the check.
	ServerName string `yaml:"server_name"`
	// SHA-256 of the public keys that the certificate may have, in hex or base64. Absent means any.
	PinSPKISHA256 []identity.SHA256 `yaml:"pin_spki_sha256"`
}

// UpstreamTimeouts are how long a target may take.
//
// Absent or zero means the default.
type UpstreamTimeouts struct {
	// Time to connect, the TLS handshake included, and with `protocol: h2` the target's SETTINGS.
	Connect time.Duration `yaml:"connect" range:"1ms 24h" default:"5s"`
	// Wait for the response header.
	Response time.Duration `yaml:"response" range:"1ms 24h" default:"60s"`
	// How long an unused connection is kept.
	Idle time.Duration `yaml:"idle" range:"1ms 24h" default:"60s"`
	// The longest silence inside a response body. Streams have `stream_idle_timeout` instead.
	Pause time.Duration `yaml:"pause" range:"1ms 24h" default:"60s"`
	// Wait for a free connection once `pool.max` is reached, which has to be given.
	Queue time.Duration `yaml:"queue" range:"1ms 24h" default:"5s"`
}

// UpstreamPool is how many connections there are to each target.
//
// Absent or zero means the default.
type UpstreamPool struct {
	// Unused connections that are kept.
	MaxIdle int `yaml:"max_idle" range:"1" default:"256"`
	// Connections at all. Absent means no limit.
	Max int `yaml:"max" range:"1"`
}
