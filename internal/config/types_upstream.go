package config

import (
	"time"

	"sallyport/internal/identity"
)

// Upstream is where an API's requests go.
type Upstream struct {
	// Name is unique among upstreams.
	Name string `yaml:"name"`
	// Targets are URLs of scheme and authority, http or https; a path is put before the request's.
	Targets []string `yaml:"targets"`
	// LoadBalancing is round_robin (the default) or least_requests.
	LoadBalancing string `yaml:"load_balancing" enum:"round_robin least_requests"`
	// Health says when a target counts as down.
	Health *Health `yaml:"health"`
	// TLS says how https targets are checked.
	TLS *UpstreamTLS `yaml:"tls"`
	// Credential names the credential shown to the targets.
	Credential string `yaml:"credential"`
	// Timeouts bound how long a target may take.
	Timeouts *UpstreamTimeouts `yaml:"timeouts"`
	// Pool bounds the connections to the targets.
	Pool *UpstreamPool `yaml:"pool"`
}

// Health says when a target counts as down.
type Health struct {
	// MaxFailures in a row take a target out.
	MaxFailures int `yaml:"max_failures"`
	// Recovery is how long it stays out.
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

// UpstreamTimeouts bound how long a target may take; absent or zero means the default.
type UpstreamTimeouts struct {
	// Connect bounds dialling and the TLS handshake together; 5s by default.
	Connect time.Duration `yaml:"connect"`
	// Response bounds the wait for the response header; 60s by default.
	Response time.Duration `yaml:"response"`
	// Idle is how long an unused connection is kept; 60s by default.
	Idle time.Duration `yaml:"idle"`
}

// UpstreamPool bounds the connections of each target; absent or zero means the default.
type UpstreamPool struct {
	// MaxIdle is the number of unused connections kept; 256 by default.
	MaxIdle int `yaml:"max_idle"`
	// Max is the number of connections; unlimited by default.
	Max int `yaml:"max"`
}
