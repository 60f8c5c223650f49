package config

import (
	"time"

	"sallyport/internal/identity"
)

// Upstream is where an API's requests go. A key that is absent, and a field that is zero, means the default; package
// upstream owns those.
type Upstream struct {
	// Name is unique among upstreams.
	Name string `yaml:"name"`
	// Targets are URLs of scheme and authority, http or https; a path is put before the request's.
	Targets []string `yaml:"targets"`
	// Protocol is what the targets speak: h1 (the default) or h2. With h2 the https targets have to agree to it in the
	// handshake (ALPN), and the http ones have to understand it without being asked (RFC 9113 §3.3).
	Protocol Protocol `yaml:"protocol" enum:"h1 h2"`
	// LoadBalancing is round_robin (the default) or least_requests.
	LoadBalancing string `yaml:"load_balancing" enum:"round_robin least_requests"`
	// Health says when a target counts as down.
	Health *Health `yaml:"health"`
	// Retry says whether a request is tried once more, at another target, when the first cannot have acted on it; true by
	// default.
	Retry *bool `yaml:"retry"`
	// TLS says how https targets are checked.
	TLS *UpstreamTLS `yaml:"tls"`
	// Credential names the credential shown to the targets.
	Credential string `yaml:"credential"`
	// Timeouts bound how long a target may take.
	Timeouts *UpstreamTimeouts `yaml:"timeouts"`
	// Pool bounds the connections to the targets.
	Pool *UpstreamPool `yaml:"pool"`
	// ResolveEvery is how old the addresses of a target may become before its name is looked up again, from 1s to 24h; 10s
	// by default. It needs a target that is a name.
	ResolveEvery time.Duration `yaml:"resolve_every"`
}

// Health says when a target counts as down, by what becomes of the requests that it gets. It holds for upstreams that do
// not say anything about it, too; absent or zero means the default.
type Health struct {
	// MaxFailures in a row take a target out; at least 1, 3 by default.
	MaxFailures int `yaml:"max_failures"`
	// Recovery is how long it stays out before one request tries it again, from 1ms to 24h; 10s by default.
	Recovery time.Duration `yaml:"recovery"`
}

// UpstreamTLS says how the certificate of an https target is checked: the path against the trust stores, the name by RFC
// 9525.
type UpstreamTLS struct {
	// Trust names the trust stores; absent means the operating system's roots.
	Trust []string `yaml:"trust"`
	// ServerName replaces the target's host name in the handshake and in the check.
	ServerName string `yaml:"server_name"`
	// PinSPKISHA256 lists the public keys that the leaf may have.
	PinSPKISHA256 []identity.SHA256 `yaml:"pin_spki_sha256"`
}

// UpstreamTimeouts bound how long a target may take, each from 1ms to 24h; absent or zero means the default.
type UpstreamTimeouts struct {
	// Connect bounds dialling and the TLS handshake together; 5s by default.
	Connect time.Duration `yaml:"connect"`
	// Response bounds the wait for the response header; 60s by default.
	Response time.Duration `yaml:"response"`
	// Idle is how long an unused connection is kept; 60s by default.
	Idle time.Duration `yaml:"idle"`
	// Pause is the longest silence inside a response body; 60s by default. Streams have stream_idle_timeout instead.
	Pause time.Duration `yaml:"pause"`
	// Queue bounds the wait for a free connection once pool.max is reached, which has to be given; 5s by default.
	Queue time.Duration `yaml:"queue"`
}

// UpstreamPool bounds the connections of each target; absent or zero means the default.
type UpstreamPool struct {
	// MaxIdle is the number of unused connections kept; 256 by default.
	MaxIdle int `yaml:"max_idle"`
	// Max is the number of connections; unlimited by default.
	Max int `yaml:"max"`
}
