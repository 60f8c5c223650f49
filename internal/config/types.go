package config

import (
	"net/netip"

	"sallyport/internal/expression"
	"sallyport/internal/identity"
	"sallyport/internal/route"
)

// Document is what a gateway is to do, in sections. All may stand in one file or be spread over the files of a folder:
// lists are joined, every other section stands in one file.
//
// It is the desired state as the files say it: every section, decoded and checked, with the files that it names read. Load
// returns it; nothing changes it afterwards. Strings that had to mean something are kept parsed next to the text; those
// fields have no YAML key and say so. Paths are joined to the folder of the file that names them. A nil pointer or slice
// means that the key is absent.
//
// The types of this package are the one source of the JSON Schema and of docs/configuration.md (see package schema). The
// first paragraph of a comment is for operators, who read it in their editor: it uses the words of the document. What
// follows is for readers of the code. These struct tags go with it; where a check says the same in Go, the tests of
// package schema compare the two:
//
//   - yaml: the key, and options of the decoder.
//   - enum: the words that are allowed; of a Size, the word for no limit.
//   - need: the key has to be given.
//   - unless: with need, the other key that may have it instead.
//   - choice: "one" or "some" of the keys with this tag has to be given.
//   - with: other keys, one of which has to be given as well.
//   - range: the least and the most, as the document writes them.
//   - default: what an absent key means, where that does not depend on anything.
//   - inherit: the word inherit may stand in this list.
//   - level: the only level of client_certificate that has the key.
//   - unbuilt: the words that this build reads and does not run, or * for the key; a test of package gateway compares.
type Document struct {
	// What holds for every listener and every API that does not say otherwise, key by key.
	ClientCertificate *ClientCertificate `yaml:"client_certificate"`
	// The addresses that the gateway serves on. At least one is needed.
	Listeners []Listener `yaml:"listeners"`
	// The certificates with private keys that the gateway itself presents.
	Credentials []Credential `yaml:"credentials"`
	// Named sets of certificates that callers, backends or proxies are validated against.
	TrustStores []TrustStore `yaml:"trust_stores"`
	// What callers reach, and under which rules.
	APIs []API `yaml:"apis"`
	// Where the requests to APIs go.
	Upstreams []Upstream `yaml:"upstreams"`
	// The credential that is shown to a backend, by host pattern (`api.example.test`, `*.example.test`, `*`, each also with
	// `:port`), for every API that does not say otherwise.
	UpstreamCredentials map[string]string `yaml:"upstream_credentials" unbuilt:"*"`
	// Where users come from.
	IdentityProviders []IdentityProvider `yaml:"identity_providers" unbuilt:"*"`
	// The accounts of the internal identity provider and the certificates bound to them.
	Users []User `yaml:"users" unbuilt:"*"`
	// Rate limits and quotas that keys carry.
	Plans []Plan `yaml:"plans" unbuilt:"*"`
	// API keys, and certificates that stand in for one.
	Keys []Key `yaml:"keys" unbuilt:"*"`
	// Texts that other values use as `{{named.x}}`. They are filled in when the document is loaded.
	NamedValues []NamedValue `yaml:"named_values"`
	// The tenants that APIs belong to.
	Orgs []Org `yaml:"orgs" unbuilt:"*"`
	// What is logged and how.
	Log Log `yaml:"log"`
	// How the program ends when it is told to.
	Shutdown Shutdown `yaml:"shutdown"`

	source source // positions and files, kept for error messages and for watching; see Position, Files
}

// Listener is a bound address and how it speaks.
type Listener struct {
	// Unique among listeners; APIs and the log call it so.
	Name string `yaml:"name" need:"yes"`
	// Where it is bound, as `host:port`: `127.0.0.1:8443`, or `:8443` for every address of the machine. With port 0 the
	// system picks one.
	Address string `yaml:"address" need:"yes"`
	// The HTTP versions served: `h1` and `h2` where absent, `h1` alone without `tls`. `h2` and `h3` need `tls`; `h2c` is
	// HTTP/2 without it, for clients that know.
	Protocols []Protocol `yaml:"protocols" enum:"h1 h2 h3 h2c" unbuilt:"h3"`
	// How the listener speaks TLS. Absent means plain HTTP.
	TLS *ListenerTLS `yaml:"tls"`
	// What callers can make the listener hold, read or wait for. Every limit has a safe default.
	Limits *ListenerLimits `yaml:"limits"`
	// What the APIs on this listener inherit.
	ClientCertificate *ClientCertificate `yaml:"client_certificate"`
	// From whom a PROXY protocol header is expected. Absent means from nobody.
	ProxyProtocol *ProxyProtocol `yaml:"proxy_protocol" unbuilt:"*"`
}

// Protocol is an HTTP version of a listener.
type Protocol string

// The protocols.
const (
	H1  Protocol = "h1"
	H2  Protocol = "h2"
	H3  Protocol = "h3"
	H2C Protocol = "h2c" // HTTP/2 without TLS, with prior knowledge
)

// ListenerTLS is the default TLS profile of a listener, and the profiles for particular server names.
type ListenerTLS struct {
	// Names of the credentials that the listener presents: the one whose certificate is for the client's server name, else
	// the first.
	Credentials []string `yaml:"credentials" need:"yes"`
	// Whether the handshake asks for a client certificate. `required` ends a handshake without an acceptable one; with
	// `optional` each API decides.
	ClientAuth ClientAuth `yaml:"client_auth" enum:"none optional required" default:"none"`
	// Names of the trust stores that the handshake accepts besides those of the APIs. They are also the last resort of APIs
	// for which no `client_certificate` names any.
	Trust []string `yaml:"trust"`
	// The lowest TLS version that is accepted.
	MinVersion TLSVersion `yaml:"min_version" enum:"1.2 1.3" default:"1.2"`
	// Whether the handshake names the CAs whose certificates it accepts, those of the APIs under the client's server name.
	// Many clients choose their certificate by that. Lists above 16,000 bytes are left out by themselves.
	AnnounceAuthorities *bool `yaml:"announce_authorities" default:"true"`
	// Whether clients may resume a session instead of a full handshake. False costs every connection a full one.
	SessionTickets *bool `yaml:"session_tickets" default:"true"`
	// The server names that speak TLS differently.
	Profiles []TLSProfile `yaml:"profiles"`
}

// TLSProfile is how a listener speaks TLS for some server names. What it leaves out it takes from the listener's `tls`.
type TLSProfile struct {
	// Host names, or wildcards such as `*.example.test`. An exact name wins over a wildcard, the longer wildcard over the
	// shorter.
	ServerNames []string `yaml:"server_names" need:"yes"`
	// Name of the credential for these server names.
	Credential string `yaml:"credential"`
	// Replaces the listener's.
	ClientAuth ClientAuth `yaml:"client_auth" enum:"none optional required"`
	// Replaces the listener's.
	Trust []string `yaml:"trust"`
	// Replaces the listener's.
	MinVersion TLSVersion `yaml:"min_version" enum:"1.2 1.3"`
	// Replaces the listener's.
	AnnounceAuthorities *bool `yaml:"announce_authorities"`
	// Replaces the listener's.
	SessionTickets *bool `yaml:"session_tickets"`

	// Hosts are the parsed ServerNames.
	Hosts []route.HostPattern `yaml:"-"`
}

// ClientAuth says whether a handshake asks for a client certificate.
type ClientAuth string

// The values of client_auth; the empty string means absent.
const (
	ClientAuthNone     ClientAuth = "none"
	ClientAuthOptional ClientAuth = "optional"
	ClientAuthRequired ClientAuth = "required"
)

// TLSVersion is a TLS version as text.
type TLSVersion string

// The TLS versions; the empty string means absent.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// ProxyProtocol is who sends a PROXY protocol header.
type ProxyProtocol struct {
	// The networks whose connections must begin with the header.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" need:"yes"`
}

// ClientCertificate is what the gateway, a listener or an API says about the certificates of callers. An API's word wins
// over its listener's, and that over the gateway's, key by key; the lists `trust` and `allow` of the level above are kept
// where the word `inherit` stands in them, and `deny` always adds up. Other defaults than `inherit` hold where no level says
// anything.
//
// Document.Rules combines the levels.
type ClientCertificate struct {
	// Where the certificate comes from: the TLS connection, or a header that a proxy in front sets.
	Source Source `yaml:"source" enum:"tls header" default:"tls" level:"listener" unbuilt:"header"`
	// Whether a certificate is demanded. `required` refuses who has no valid one, `optional` lets callers without a
	// certificate through, `none` demands nothing; where no level says anything it is `none`.
	Mode Mode `yaml:"mode" enum:"inherit none optional required" default:"inherit"`
	// Names of the trust stores that certificates are validated against; any one of them is enough. `inherit` stands for
	// the list of the level above.
	Trust []string `yaml:"trust" inherit:"yes"`
	// The certificates that may call, out of those that are valid: one entry has to match. Absent means all of them, unless
	// a level above has a list. `inherit` stands for that list.
	Allow []Matcher `yaml:"allow" inherit:"yes"`
	// The certificates that may not call, whatever `allow` says. The lists of all levels add up.
	Deny []Matcher `yaml:"deny"`
	// What an optional certificate that is not valid means: `refuse` the request, `ignore` the certificate, or `present` it
	// to the steps of the policy.
	OnInvalid OnInvalid `yaml:"on_invalid" enum:"refuse ignore present" default:"refuse" unbuilt:"present"`
	// Where a missing or invalid certificate is answered: in the `request`, over HTTP, or `auto`, in the handshake, for each
	// server name whose APIs all require one, say `auto` and do not only observe. It needs `client_auth: optional`.
	Enforce Enforce `yaml:"enforce" enum:"request auto" default:"request"`
	// Lets refused requests through as anonymous, and logs what would have been refused: the way to switch certificates on
	// without an outage.
	ObserveOnly *bool `yaml:"observe_only" default:"false"`
	// Removes the certificate header that a proxy sent before the request goes on.
	Strip *bool `yaml:"strip" default:"true" unbuilt:"false"`
	// How the backend is told who is calling. Absent means the headers of RFC 9440, `Client-Cert` and `Client-Cert-Chain`.
	Forward []Forward `yaml:"forward"`
	// How refused callers are answered. Absent means problem details (RFC 9457).
	Errors *Errors `yaml:"errors"`

	// The header that carries the certificate. It goes with `source: header`, which needs it.
	Header *CertificateHeader `yaml:"header" level:"listener"`
	// The networks whose header is believed. It goes with `source: header`, which needs it.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" level:"listener"`
	// What the proxy itself must present. It goes with `source: header`.
	ProxyCertificate *ProxyCertificate `yaml:"proxy_certificate" level:"listener"`
}

// Source is where a client certificate comes from.
type Source string

// The sources; the empty string means absent.
const (
	SourceTLS    Source = "tls"
	SourceHeader Source = "header"
)

// Mode says whether an API demands a client certificate.
type Mode string

// The modes; the empty string means absent, which is the same as inherit.
const (
	ModeInherit  Mode = "inherit"
	ModeNone     Mode = "none"
	ModeOptional Mode = "optional"
	ModeRequired Mode = "required"
)

// OnInvalid says what happens to an optional certificate that is not valid.
type OnInvalid string

// The values of on_invalid; the empty string means absent.
const (
	OnInvalidRefuse  OnInvalid = "refuse"
	OnInvalidIgnore  OnInvalid = "ignore"
	OnInvalidPresent OnInvalid = "present"
)

// Enforce says where a missing certificate is answered.
type Enforce string

// The values of enforce; the empty string means absent.
const (
	EnforceRequest Enforce = "request"
	EnforceAuto    Enforce = "auto"
)

// Matcher is one entry of a list of certificates: every given key must hold.
//
// The scalar "inherit" in an allow list stands for the list of the level above; then Inherit is true and nothing else is
// set.
type Matcher struct {
	// SHA-256 of the certificate, in hex or base64 as pasted: colons, blanks and case do not matter.
	SHA256 *identity.SHA256 `yaml:"sha256" choice:"some"`
	// Path of a file of thumbprints as `sha256` has them, one a line, of which one has to be the certificate's. Empty lines
	// and what follows a `#` do not count. A file without a thumbprint, and one larger than 1 GiB, is an error.
	SHA256File string `yaml:"sha256_file" choice:"some"`
	// SHA-1 of the certificate, for lists that come from elsewhere; prefer `sha256`.
	SHA1 *identity.SHA1 `yaml:"sha1" choice:"some"`
	// SHA-256 of the public key, in hex or base64.
	SPKISHA256 *identity.SHA256 `yaml:"spki_sha256" choice:"some"`
	// Name of an entry of a key store that a trust store is made of; it means exactly that certificate. Upper and lower
	// case are the same.
	Alias string `yaml:"alias" choice:"some"`
	// The very certificate that the reference means. It has to mean one: of a key store with several, `alias` picks the
	// entry's own.
	Certificate *CertificateRef `yaml:"certificate" choice:"some"`
	// Pattern for the subject, such as `CN=*,O=Acme,*`; see `match`.
	Subject string `yaml:"subject" choice:"some"`
	// Pattern for the issuer; see `match`.
	Issuer string `yaml:"issuer" choice:"some"`
	// How `subject` and `issuer` are compared. `rdn` takes attributes in any order, `*` stays inside one value, and only a
	// pattern that ends in `,*` admits further attributes. `exact` has no wildcards. `ant` compares the text, with `?`, `*`
	// and `**`.
	Match DNMatch `yaml:"match" enum:"rdn exact ant" default:"rdn" with:"subject issuer"`
	// The only common name of the subject; `*` stands for one or more characters.
	CommonName string `yaml:"common_name" choice:"some"`
	// The only organization identifier of the subject (2.5.4.97), such as `PSDDE-BAFIN-123456`; `*` stands for one or more
	// characters.
	OrganizationIdentifier string `yaml:"organization_identifier" choice:"some"`
	// Serial number in hex.
	Serial string `yaml:"serial" choice:"some"`
	// SHA-256 of the certificate that issued the caller's, on the validated path.
	IssuerSHA256 *identity.SHA256 `yaml:"issuer_sha256" choice:"some"`
	// A DNS name of the certificate, or `*.name` for one label below.
	SANDNS string `yaml:"san_dns" choice:"some"`
	// A URI of the certificate; a last segment `*` stands for one segment, `**` for one or more.
	SANURI string `yaml:"san_uri" choice:"some"`
	// An email address of the certificate, or `*@domain`.
	SANEmail string `yaml:"san_email" choice:"some"`
	// An IP address of the certificate, or a network.
	SANIP string `yaml:"san_ip" choice:"some"`
	// A policy that the certificate itself names, as dotted numbers. `2.5.29.32.0` (anyPolicy) is one like any other and
	// stands for no other. Say by `issuer` or `trust` whose word is good for it.
	PolicyOID string `yaml:"policy_oid" choice:"some"`
	// A condition in CEL over `certificate`, `request` and `now`, such as `certificate.san_dns.exists(n, n.endsWith('.acme.test'))`
	// (docs/expressions.md). One that has no value, because it reads what is not there, denies.
	Expression string `yaml:"expression,expression" choice:"some"`

	// Inherit is true for the scalar "inherit".
	Inherit bool `yaml:"-"`
	// Parsed holds the compiled patterns of the text fields above, nil where a field is absent.
	Parsed MatcherPatterns `yaml:"-"`
}

// MatcherPatterns are the compiled patterns of a Matcher; nil means that the field is absent.
type MatcherPatterns struct {
	Subject, Issuer                 *identity.Pattern
	CommonName                      *identity.Glob
	OrganizationIdentifier          *identity.Glob
	Alias, Certificate              *identity.SHA256     // the thumbprints of the certificates that these fields mean
	SHA256File                      *identity.SHA256List // shared by all who name a file of the same content
	PolicyOID                       identity.PolicyOID   // the zero value is absent
	Serial                          *identity.Serial
	SANDNS, SANURI, SANEmail, SANIP *identity.SANPattern
	Expression                      *expression.Expression
}

// DNMatch is how a DN pattern is compared.
type DNMatch string

// The values of match; the empty string means absent.
const (
	MatchRDN   DNMatch = "rdn"
	MatchExact DNMatch = "exact"
	MatchAnt   DNMatch = "ant"
)

// Forward is one header, or family of headers, that tells the backend who is calling: either a `format`, or a `header` with
// a `value`.
type Forward struct {
	// A family of headers: `rfc9440` (`Client-Cert`, `Client-Cert-Chain`) or `xfcc` (`X-Forwarded-Client-Cert`).
	Format string `yaml:"format" enum:"rfc9440 xfcc" choice:"one" unbuilt:"xfcc"`
	// Name of a single header.
	Header string `yaml:"header" choice:"one" with:"value" unbuilt:"*"`
	// What the single header says, such as `subject`.
	Value string `yaml:"value" with:"header" unbuilt:"*"`
}

// Errors is how refused callers are answered. A word alone is the style. It is about the caller's certificate alone: every
// other refusal is answered with problem details (RFC 9457); see docs/answers.md.
type Errors struct {
	// Answers as another gateway does: its status, headers and body. Absent means problem details (RFC 9457).
	Style ErrorStyle `yaml:"style" enum:"boomi tyk wso2 apim"`
	// Leaves the reason out of problem details; the log has it all the same.
	HideReason bool `yaml:"hide_reason" default:"false"`
	// Status and text for callers without a certificate. With a style they stand where that gateway's are.
	Missing *ErrorAnswer `yaml:"missing"`
	// Status and text for callers whose certificate is refused. With a style they stand where that gateway's are.
	Refused *ErrorAnswer `yaml:"refused"`
}

// ErrorStyle is a vendor's way to answer.
type ErrorStyle string

// The styles; the empty string means absent: RFC 9457 problem details.
const (
	StyleBoomi ErrorStyle = "boomi"
	StyleTyk   ErrorStyle = "tyk"
	StyleWSO2  ErrorStyle = "wso2"
	StyleAPIM  ErrorStyle = "apim"
)

// ErrorAnswer is a status and a text.
//
// Zero values keep the default.
type ErrorAnswer struct {
	// HTTP status. Absent means 401 for a missing certificate and 403 for a refused one, or what the style says.
	Status int `yaml:"status" range:"400 599"`
	// Text of the answer.
	Detail string `yaml:"detail"`
}

// CertificateHeader is the header that carries the client certificate.
type CertificateHeader struct {
	// Name of the header.
	Name string `yaml:"name" need:"yes"`
	// How the certificate is written in it; `auto` tells the formats apart.
	Format string `yaml:"format" enum:"auto rfc9440 xfcc pem url_pem base64_der" default:"auto"`
	// `path` validates the certificate against the trust stores, `proxy` believes that the proxy has done so.
	Verify string `yaml:"verify" enum:"path proxy" default:"path"`
}

// ProxyCertificate is the certificate that a proxy in front must present itself.
type ProxyCertificate struct {
	// False is for proxies that cannot present a certificate; a listener without `tls` needs it.
	Required *bool `yaml:"required" default:"true"`
	// Names of the trust stores that the proxy's certificate is validated against. Absent means those of the listener's
	// `tls`.
	Trust []string `yaml:"trust"`
	// The certificates of proxies, out of those that are valid. Absent means all of them.
	Allow []Matcher `yaml:"allow"`
}

// Log is what is logged and how.
type Log struct {
	// Which allowed requests get a line in the access log. Refused ones always do.
	Access AccessLog `yaml:"access" enum:"on off sampled" default:"on"`
	// How a line is written.
	Format string `yaml:"format" enum:"json text" default:"json"`
	// The least severity that is logged.
	Level string `yaml:"level" enum:"debug info warn error" default:"info"`
	// With `access: sampled`, one in so many allowed requests is logged.
	SampleEvery int `yaml:"sample_every" range:"1" default:"100"`
}

// AccessLog says which allowed requests are logged.
type AccessLog string

// The values of access; the empty string means absent: on.
const (
	AccessOn      AccessLog = "on"
	AccessOff     AccessLog = "off"
	AccessSampled AccessLog = "sampled"
)
