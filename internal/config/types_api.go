package config

import (
	"time"

	"sallyport/internal/route"
)

// API is a name, a version, what requests it answers and under which rules.
type API struct {
	// Name and Version and Org together are unique.
	Name string `yaml:"name"`
	// Version is any text; absent is a version of its own.
	Version string `yaml:"version"`
	// Org is the tenant that owns the API.
	Org string `yaml:"org"`
	// Hosts are host names or wildcards; absent means every host.
	Hosts []string `yaml:"hosts"`
	// Path is the prefix that the API owns, on segment boundaries: "/orders/" owns "/orders" and everything below.
	// Absent means "/".
	Path string `yaml:"path"`
	// Methods are the methods that the API serves; absent means all.
	Methods []string `yaml:"methods"`
	// Listeners names the listeners it is reachable on; absent means all.
	Listeners []string `yaml:"listeners"`
	// OpenAPI is a file that gives name, version and paths.
	OpenAPI string `yaml:"openapi"`
	// AllowInPath lists the characters that paths of this API may hold although they are refused elsewhere.
	AllowInPath []PathCharacter `yaml:"allow_in_path" enum:"%2f %5c ;"`
	// Limits replace the listener's for requests to this API; see Document.RequestBounds.
	Limits *APILimits `yaml:"limits"`
	// ClientCertificate is what this API says about client certificates.
	ClientCertificate *ClientCertificate `yaml:"client_certificate"`
	// Authentication asks for credentials besides or instead of a certificate.
	Authentication *Authentication `yaml:"authentication"`
	// Policy are the ordered steps that the API runs.
	Policy []Step `yaml:"policy"`
	// Upstream names where requests go.
	Upstream string `yaml:"upstream"`
	// UpstreamCredentials maps a host pattern to the credential shown there; it wins over the gateway's map.
	UpstreamCredentials map[string]string `yaml:"upstream_credentials"`

	// HostPatterns are the parsed Hosts; empty means every host.
	HostPatterns []route.HostPattern `yaml:"-"`
	// Prefix is the parsed Path.
	Prefix route.Prefix `yaml:"-"`
	// Broken says why the API cannot be served; nil when it can. A broken API only survives Load with
	// Options.ServePartial.
	Broken error `yaml:"-"`
}

// PathCharacter is a character that paths hold only where an API opts in.
type PathCharacter string

// The path characters.
const (
	EncodedSlash     PathCharacter = "%2f"
	EncodedBackslash PathCharacter = "%5c" // a raw backslash is the same
	Semicolon        PathCharacter = ";"   // an encoded one is the same
)

// Authentication asks for credentials.
type Authentication struct {
	// Mode is all or any.
	Mode string `yaml:"mode" enum:"all any"`
	// Methods are the ways to prove oneself.
	Methods []AuthenticationMethod `yaml:"methods"`
}

// AuthenticationMethod is one way to prove oneself; exactly one key is given.
type AuthenticationMethod struct {
	// CertificateKey takes the certificate for a key.
	CertificateKey *Empty `yaml:"certificate_key"`
	// APIKey reads a key from a header.
	APIKey *APIKey `yaml:"api_key"`
}

// Empty is a mapping without keys: {}.
type Empty struct{}

// APIKey says where an API key is sent.
type APIKey struct {
	// Header is the header's name.
	Header string `yaml:"header"`
}

// Step is one step of a policy; exactly one key is given.
type Step struct {
	// Choose runs the first branch whose condition holds.
	Choose []Branch `yaml:"choose"`
	// Respond ends the request with an answer.
	Respond *Respond `yaml:"respond"`
	// SetHeader sets request headers; null removes one.
	SetHeader map[string]*string `yaml:"set_header,templates"`
	// ValidateClientCertificate is Azure's policy of the same name.
	ValidateClientCertificate *ValidateClientCertificate `yaml:"validate_client_certificate"`
	// RequireTLS refuses requests that did not come over TLS.
	RequireTLS *Empty `yaml:"require_tls"`
	// RequireClientCertificate refuses requests without a client certificate.
	RequireClientCertificate *Empty `yaml:"require_client_certificate"`
	// Authenticate finds the user that the certificate belongs to.
	Authenticate *Authenticate `yaml:"authenticate"`
}

// Branch is one branch of choose.
type Branch struct {
	// When is a CEL expression; absent means otherwise.
	When string `yaml:"when,expression"`
	// Then are the steps of the branch.
	Then []Step `yaml:"then"`
}

// Respond is an answer.
type Respond struct {
	// Status is an HTTP status.
	Status int `yaml:"status"`
	// Body is the text.
	Body string `yaml:"body,templates"`
}

// ValidateClientCertificate is Azure API Management's policy of the same name; the checks are on by default.
type ValidateClientCertificate struct {
	// ValidateRevocation checks revocation.
	ValidateRevocation *bool `yaml:"validate_revocation"`
	// ValidateTrust checks the path.
	ValidateTrust *bool `yaml:"validate_trust"`
	// ValidateNotBefore checks the beginning of the validity.
	ValidateNotBefore *bool `yaml:"validate_not_before"`
	// ValidateNotAfter checks its end.
	ValidateNotAfter *bool `yaml:"validate_not_after"`
	// Identities lists the certificates that pass; absent means all.
	Identities []Matcher `yaml:"identities"`
	// OnFailure is the answer to the others.
	OnFailure *Respond `yaml:"on_failure"`
}

// Authenticate finds the user that a certificate belongs to.
type Authenticate struct {
	// Provider names the identity provider.
	Provider string `yaml:"provider"`
}

// IdentityProvider is where users come from.
type IdentityProvider struct {
	// Name is unique among identity providers.
	Name string `yaml:"name"`
	// Type is internal or ldap.
	Type string `yaml:"type" enum:"internal ldap"`
}

// User is an account and the certificates bound to it.
type User struct {
	// Name equals the certificate's common name, byte for byte.
	Name string `yaml:"name"`
	// Provider names the identity provider.
	Provider string `yaml:"provider"`
	// Disabled users are refused.
	Disabled bool `yaml:"disabled"`
	// Certificates are the user's.
	Certificates []CertificateRef `yaml:"certificates"`
}

// Plan is a rate limit and a quota.
type Plan struct {
	// Name is unique among plans.
	Name string `yaml:"name"`
	// RateLimit bounds requests in a short time.
	RateLimit *Limit `yaml:"rate_limit"`
	// Quota bounds requests in a long time.
	Quota *Limit `yaml:"quota"`
}

// Limit is a number of requests in a time.
type Limit struct {
	// Requests is the number.
	Requests int `yaml:"requests"`
	// Per is the time, as in 1s or 24h.
	Per time.Duration `yaml:"per"`
}

// Key is an API key, or a certificate that stands in for one.
type Key struct {
	// Name is unique among keys.
	Name string `yaml:"name"`
	// Plan names the plan.
	Plan string `yaml:"plan"`
	// APIs names the APIs it opens: a name, or name@version where the name alone is ambiguous.
	APIs []string `yaml:"apis"`
	// Certificates stand in for the key.
	Certificates []CertificateRef `yaml:"certificates"`
	// Secret is the key itself.
	Secret *Secret `yaml:"secret"`
}

// NamedValue is a text, or a list of texts, that other values use.
type NamedValue struct {
	// Name is unique among named values.
	Name string `yaml:"name"`
	// Value is the text.
	Value string `yaml:"value,empty"`
	// Values is the list.
	Values []string `yaml:"values"`
}

// Org is a tenant.
type Org struct {
	// Name is unique among orgs.
	Name string `yaml:"name"`
}
