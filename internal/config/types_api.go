package config

import (
	"time"

	"sallyport/internal/expression"
	"sallyport/internal/route"
)

// API is a set of requests, by hosts, path and methods, with the rules about their callers and the upstream where they go.
type API struct {
	// Unique together with `version` and `org`. It can be left out where the title in `openapi` is the name.
	Name string `yaml:"name" need:"yes" unless:"openapi"`
	// Any text. Two versions of an API may exist side by side; absent is a version of its own, where `openapi` says none.
	Version string `yaml:"version"`
	// Name of the tenant that owns the API. A host belongs to one tenant.
	Org string `yaml:"org"`
	// Host names, or wildcards such as `*.example.test`. Absent means every host. The most specific host decides first, then
	// the longest path.
	Hosts []string `yaml:"hosts"`
	// The prefix that the API owns, segment by segment: `/orders/` owns `/orders` and everything below, and not `/orders2`. Absent
	// means the path that `openapi` says.
	Path string `yaml:"path" default:"/"`
	// The methods that the API serves; others are answered 405. Absent means all.
	Methods []string `yaml:"methods"`
	// Names of the listeners that it is reachable on. Absent means all.
	Listeners []string `yaml:"listeners"`
	// OpenAPI description, version 2 or 3, YAML or JSON: a path. It gives name, version, path, and with WSO2's extensions the mode of
	// `client_certificate` and the listeners, where the document says nothing of them.
	OpenAPI string `yaml:"openapi"`
	// Characters that paths of this API may hold although they are refused elsewhere: an encoded slash, an encoded
	// backslash, a semicolon.
	AllowInPath []PathCharacter `yaml:"allow_in_path" enum:"%2f %5c ;"`
	// What replaces the limits of the listener for requests to this API.
	Limits *APILimits `yaml:"limits"`
	// What this API says about the certificates of its callers.
	ClientCertificate *ClientCertificate `yaml:"client_certificate"`
	// Credentials that are asked for besides a certificate, or instead of one.
	Authentication *Authentication `yaml:"authentication" unbuilt:"*"`
	// The steps that every request runs, in order.
	Policy []Step `yaml:"policy" choice:"some"`
	// Name of the upstream where requests go. It can be left out only where a policy answers itself, with `respond`.
	Upstream string `yaml:"upstream" choice:"some"`
	// The credential that is shown to a backend, by host pattern; it wins over the gateway's map.
	UpstreamCredentials map[string]string `yaml:"upstream_credentials" unbuilt:"*"`

	// HostPatterns are the parsed Hosts; empty means every host.
	HostPatterns []route.HostPattern `yaml:"-"`
	// Prefix is the parsed Path.
	Prefix route.Prefix `yaml:"-"`
	// TLSOnly refuses requests that did not come over TLS: the OpenAPI description allows https alone.
	TLSOnly bool `yaml:"-"`
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

// Authentication is what an API asks for besides a client certificate, or instead of one.
type Authentication struct {
	// Whether `all` methods have to succeed, or `any` of them. It is needed where there are several.
	Mode string `yaml:"mode" enum:"all any"`
	// The ways to prove oneself.
	Methods []AuthenticationMethod `yaml:"methods" need:"yes"`
}

// AuthenticationMethod is one way to prove oneself: exactly one of the keys.
type AuthenticationMethod struct {
	// The certificate stands in for a key: `{}`.
	CertificateKey *Empty `yaml:"certificate_key" choice:"one"`
	// A key in a header.
	APIKey *APIKey `yaml:"api_key" choice:"one"`
}

// Empty is a mapping without keys: `{}`.
type Empty struct{}

// APIKey is where an API key is sent.
type APIKey struct {
	// Name of the header.
	Header string `yaml:"header" need:"yes"`
}

// Step is one step of a policy: exactly one of the keys.
type Step struct {
	// Runs the first branch whose condition holds.
	Choose []Branch `yaml:"choose" choice:"one" unbuilt:"*"`
	// Ends the request with an answer. Nothing follows it.
	Respond *Respond `yaml:"respond" choice:"one" unbuilt:"*"`
	// Sets request headers by name; null removes one. Values may hold `{{certificate.x}}` and `{{request.x}}`.
	SetHeader map[string]*string `yaml:"set_header,templates" choice:"one" unbuilt:"*"`
	// Azure API Management's policy of the same name.
	ValidateClientCertificate *ValidateClientCertificate `yaml:"validate_client_certificate" choice:"one" unbuilt:"*"`
	// Refuses requests that did not come over TLS, with `tls_required`: `{}`. It does so under `observe_only`, too.
	RequireTLS *Empty `yaml:"require_tls" choice:"one"`
	// Refuses callers without a certificate that the trust and the lists in effect accept: `{}`. The reason is
	// `certificate_missing` where none was presented, and what is wrong with it otherwise.
	RequireClientCertificate *Empty `yaml:"require_client_certificate" choice:"one"`
	// Finds the user that the certificate belongs to.
	Authenticate *Authenticate `yaml:"authenticate" choice:"one" unbuilt:"*"`
}

// Branch is one branch of `choose`.
type Branch struct {
	// Condition in CEL over `certificate`, `presented`, `request`, `named` and `now`. Only the last branch may leave it out; that one holds otherwise.
	When string `yaml:"when,expression"`
	// The steps of the branch.
	Then []Step `yaml:"then" need:"yes"`

	// Condition is the compiled When; nil where it is absent.
	Condition *expression.Expression `yaml:"-"`
}

// Respond is an answer.
type Respond struct {
	// HTTP status.
	Status int `yaml:"status" need:"yes" range:"200 599"`
	// Text of the answer. It may hold `{{certificate.x}}` and `{{request.x}}`.
	Body string `yaml:"body,templates"`
}

// ValidateClientCertificate is Azure API Management's policy of the same name. The checks are on unless said otherwise.
type ValidateClientCertificate struct {
	// Checks revocation; the trust stores of the API have to check it, too.
	ValidateRevocation *bool `yaml:"validate_revocation" default:"true"`
	// Checks the path to a trust store.
	ValidateTrust *bool `yaml:"validate_trust" default:"true"`
	// Checks that the validity has begun.
	ValidateNotBefore *bool `yaml:"validate_not_before" default:"true"`
	// Checks that the validity has not ended.
	ValidateNotAfter *bool `yaml:"validate_not_after" default:"true"`
	// The certificates that pass: one entry has to match. Absent means all.
	Identities []Matcher `yaml:"identities"`
	// Answer to the others.
	OnFailure *Respond `yaml:"on_failure"`
}

// Authenticate is the step that finds the user of a certificate.
type Authenticate struct {
	// Name of the identity provider.
	Provider string `yaml:"provider" need:"yes"`
}

// IdentityProvider is where users come from.
type IdentityProvider struct {
	// Unique among identity providers.
	Name string `yaml:"name" need:"yes"`
	// `internal` has its users in this document, `ldap` in a directory.
	Type string `yaml:"type" enum:"internal ldap" need:"yes"`
}

// User is an account and the certificates bound to it.
type User struct {
	// The common name of the user's certificate, byte for byte. Unique in its provider.
	Name string `yaml:"name" need:"yes"`
	// Name of an identity provider of type `internal`.
	Provider string `yaml:"provider" need:"yes"`
	// Refuses the user.
	Disabled bool `yaml:"disabled" default:"false"`
	// The certificates of the user.
	Certificates []CertificateRef `yaml:"certificates"`
}

// Plan is a rate limit, a quota, or both.
type Plan struct {
	// Unique among plans.
	Name string `yaml:"name" need:"yes"`
	// Requests in a short time.
	RateLimit *Limit `yaml:"rate_limit" choice:"some"`
	// Requests in a long time.
	Quota *Limit `yaml:"quota" choice:"some"`
}

// Limit is a number of requests in a time.
type Limit struct {
	// How many.
	Requests int `yaml:"requests" need:"yes" range:"1"`
	// In which time, such as `1s` or `24h`.
	Per time.Duration `yaml:"per" need:"yes"`
}

// Key is an API key, or certificates that stand in for one.
type Key struct {
	// Unique among keys.
	Name string `yaml:"name" need:"yes"`
	// Name of the plan whose limits hold for the key.
	Plan string `yaml:"plan"`
	// The APIs that it opens: a name, or `name@version` where the name alone is ambiguous.
	APIs []string `yaml:"apis" need:"yes"`
	// The certificates that stand in for the key.
	Certificates []CertificateRef `yaml:"certificates" choice:"some"`
	// The key itself.
	Secret *Secret `yaml:"secret" choice:"some"`
}

// NamedValue is a text, or a list of texts, that other values use.
type NamedValue struct {
	// What stands after `named.`; unique among named values.
	Name string `yaml:"name" need:"yes"`
	// The text; it may be empty.
	Value string `yaml:"value,empty" choice:"one"`
	// The list.
	Values []string `yaml:"values" choice:"one"`
}

// Org is a tenant.
type Org struct {
	// Unique among orgs.
	Name string `yaml:"name" need:"yes"`
}
