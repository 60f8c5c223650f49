package config

import (
	"net/netip"

	"sallyport/internal/identity"
	"sallyport/internal/route"
)

// Document is the desired state as the files say it: every section, decoded and checked, with the files that it names
// read. Load returns it; nothing changes it afterwards. Strings that had to mean something are kept parsed next to the
// text; those fields have no YAML key and say so.
// Paths are joined to the folder of the file that names them.
//
// A nil pointer or slice means that the key is absent; the comment of the field says what that means.
type Document struct {
	// ClientCertificate is the gateway-wide default that listeners and APIs inherit field by field.
	ClientCertificate *ClientCertificate `yaml:"client_certificate"`
	// Listeners are the bound addresses. At least one is needed to run.
	Listeners []Listener `yaml:"listeners"`
	// Credentials are the certificates with private keys that the gateway itself uses.
	Credentials []Credential `yaml:"credentials"`
	// TrustStores are the named sets of trust anchors and pins.
	TrustStores []TrustStore `yaml:"trust_stores"`
	// APIs are what callers reach.
	APIs []API `yaml:"apis"`
	// Upstreams are where the APIs' requests go.
	Upstreams []Upstream `yaml:"upstreams"`
	// UpstreamCredentials maps a host pattern to the credential shown there, gateway-wide.
	UpstreamCredentials map[string]string `yaml:"upstream_credentials"`
	// IdentityProviders are where users come from.
	IdentityProviders []IdentityProvider `yaml:"identity_providers"`
	// Users are the accounts of the internal provider and the certificates bound to them.
	Users []User `yaml:"users"`
	// Plans are rate limits and quotas that keys carry.
	Plans []Plan `yaml:"plans"`
	// Keys are API keys, or certificates that stand in for one.
	Keys []Key `yaml:"keys"`
	// NamedValues are texts that other values use as {{named.x}}, resolved when the document is loaded.
	NamedValues []NamedValue `yaml:"named_values"`
	// Orgs are the tenants.
	Orgs []Org `yaml:"orgs"`
	// Log says what is logged and how.
	Log Log `yaml:"log"`
	// Shutdown says how the program ends when it is told to.
	Shutdown Shutdown `yaml:"shutdown"`

	source source // positions and files, kept for error messages and for watching; see Position, Files
}

// Listener is a bound address and how it speaks.
type Listener struct {
	// Name is unique among listeners.
	Name string `yaml:"name"`
	// Address is host:port, as in "127.0.0.1:8443" or ":8443".
	Address string `yaml:"address"`
	// Protocols are the HTTP versions served: h1 and h2 with TLS by default, h1 alone without.
	Protocols []Protocol `yaml:"protocols" enum:"h1 h2 h3 h2c"`
	// TLS says how the listener speaks TLS; absent means plain HTTP.
	TLS *ListenerTLS `yaml:"tls"`
	// Limits bound what callers can make the listener hold, read or wait for; see Bounds for the defaults.
	Limits *ListenerLimits `yaml:"limits"`
	// ClientCertificate is what the APIs on this listener inherit.
	ClientCertificate *ClientCertificate `yaml:"client_certificate"`
	// ProxyProtocol says from whom a PROXY protocol header is expected.
	ProxyProtocol *ProxyProtocol `yaml:"proxy_protocol"`
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

// ListenerTLS is the default TLS profile of a listener and the profiles for particular server names.
type ListenerTLS struct {
	// Credentials names the server credentials; the first is used when no server name matches.
	Credentials []string `yaml:"credentials"`
	// ClientAuth says whether the handshake asks for a client certificate; none by default.
	ClientAuth ClientAuth `yaml:"client_auth" enum:"none optional required"`
	// Trust names the trust stores that the handshake accepts besides those of the APIs, and the last
	// fallback of APIs that have no trust of their own.
	Trust []string `yaml:"trust"`
	// MinVersion is the lowest TLS version, "1.2" by default.
	MinVersion TLSVersion `yaml:"min_version" enum:"1.2 1.3"`
	// Profiles are the server names that speak TLS differently.
	Profiles []TLSProfile `yaml:"profiles"`
}

// TLSProfile is how a listener speaks TLS for some server names. What it leaves out it takes from the listener's tls.
type TLSProfile struct {
	// ServerNames are host names or wildcards such as "*.example.test"; an exact name wins over a wildcard,
	// the longer wildcard over the shorter.
	ServerNames []string `yaml:"server_names"`
	// Credential names the server credential of these names.
	Credential string `yaml:"credential"`
	// ClientAuth replaces the listener's.
	ClientAuth ClientAuth `yaml:"client_auth" enum:"none optional required"`
	// Trust replaces the listener's.
	Trust []string `yaml:"trust"`
	// MinVersion replaces the listener's.
	MinVersion TLSVersion `yaml:"min_version" enum:"1.2 1.3"`

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

// ProxyProtocol says which peers send a PROXY protocol header.
type ProxyProtocol struct {
	// TrustedProxies are the networks whose connections must begin with the header.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
}

// ClientCertificate is what a gateway, a listener or an API says about client certificates. See Document.Rules for how
// the three levels combine.
type ClientCertificate struct {
	// Source says where the certificate comes from; a listener's alone, tls by default.
	Source Source `yaml:"source" enum:"tls header"`
	// Mode says whether a certificate is demanded; inherit by default, none where nobody says anything.
	Mode Mode `yaml:"mode" enum:"inherit none optional required"`
	// Trust names the trust stores that certificates are validated against; the word inherit stands for the
	// list of the level above.
	Trust []string `yaml:"trust"`
	// Allow lists the certificates that may call; absent means that every valid one may.
	Allow []Matcher `yaml:"allow"`
	// Deny lists the certificates that may not, whatever allow says; the lists of all levels add up.
	Deny []Matcher `yaml:"deny"`
	// OnInvalid says what an optional certificate that is not valid means; refuse by default.
	OnInvalid OnInvalid `yaml:"on_invalid" enum:"refuse ignore present"`
	// Enforce says where a missing certificate is answered; request by default.
	Enforce Enforce `yaml:"enforce" enum:"request auto"`
	// ObserveOnly lets refused requests through as anonymous and logs what would have been refused.
	ObserveOnly *bool `yaml:"observe_only"`
	// Strip removes the certificate header that a proxy sent before the request goes on; true by default.
	Strip *bool `yaml:"strip"`
	// Forward says how the backend is told who is calling; RFC 9440 by default.
	Forward []Forward `yaml:"forward"`
	// Errors changes the answers to refused callers.
	Errors *Errors `yaml:"errors"`

	// Header says which header carries the certificate; a listener's alone, with source: header.
	Header *CertificateHeader `yaml:"header"`
	// TrustedProxies are the peers whose header is believed; a listener's alone.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// ProxyCertificate is what the proxy itself must present; a listener's alone.
	ProxyCertificate *ProxyCertificate `yaml:"proxy_certificate"`
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

// Matcher is one entry of allow or deny: every given field must hold. The scalar "inherit" in an allow list stands for
// the list of the level above; then Inherit is true and nothing else is set.
type Matcher struct {
	// SHA256 is the thumbprint of the certificate, as pasted: colons, blanks and case do not matter.
	SHA256 *identity.SHA256 `yaml:"sha256"`
	// SHA1 is the SHA-1 thumbprint, for lists that come from elsewhere; prefer sha256.
	SHA1 *identity.SHA1 `yaml:"sha1"`
	// SPKISHA256 is the SHA-256 of the public key, in hex or base64.
	SPKISHA256 *identity.SHA256 `yaml:"spki_sha256"`
	// Alias is the name of an entry of a key store that a trust store is made of; it means exactly that certificate.
	// Upper and lower case are the same.
	Alias string `yaml:"alias"`
	// Certificate is the id of a stored certificate.
	Certificate string `yaml:"certificate"`
	// Subject is a pattern for the subject DN; see match.
	Subject string `yaml:"subject"`
	// Issuer is a pattern for the issuer DN; see match.
	Issuer string `yaml:"issuer"`
	// Match is how subject and issuer are compared; rdn by default.
	Match DNMatch `yaml:"match" enum:"rdn exact ant"`
	// CommonName is the subject's only common name; * stands for one or more characters.
	CommonName string `yaml:"common_name"`
	// Serial is the serial number in hex.
	Serial string `yaml:"serial"`
	// IssuerSHA256 is the thumbprint of the certificate that issued the leaf on the validated path.
	IssuerSHA256 *identity.SHA256 `yaml:"issuer_sha256"`
	// SANDNS is a DNS name of the certificate, or *.name for one label below.
	SANDNS string `yaml:"san_dns"`
	// SANURI is a URI of the certificate; a last segment * stands for one segment, ** for one or more.
	SANURI string `yaml:"san_uri"`
	// SANEmail is an email address of the certificate, or *@domain.
	SANEmail string `yaml:"san_email"`
	// SANIP is an IP address of the certificate, or a network.
	SANIP string `yaml:"san_ip"`
	// PolicyOID is a certificate policy of the certificate.
	PolicyOID string `yaml:"policy_oid"`
	// Expression is a CEL expression over the certificate.
	Expression string `yaml:"expression,expression"`

	// Inherit is true for the scalar "inherit".
	Inherit bool `yaml:"-"`
	// Parsed holds the compiled patterns of the text fields above, nil where a field is absent.
	Parsed MatcherPatterns `yaml:"-"`
}

// MatcherPatterns are the compiled patterns of a Matcher; nil means that the field is absent.
type MatcherPatterns struct {
	Subject, Issuer                 *identity.Pattern
	CommonName                      *identity.Glob
	Alias                           *identity.SHA256 // the thumbprint of the certificate that Alias names
	Serial                          *identity.Serial
	SANDNS, SANURI, SANEmail, SANIP *identity.SANPattern
}

// DNMatch is how a DN pattern is compared.
type DNMatch string

// The values of match; the empty string means absent.
const (
	MatchRDN   DNMatch = "rdn"
	MatchExact DNMatch = "exact"
	MatchAnt   DNMatch = "ant"
)

// Forward is one header, or family of headers, that tells the backend who is calling: either a format or a header with
// a value.
type Forward struct {
	// Format is a family of headers: rfc9440 (Client-Cert, Client-Cert-Chain) or xfcc.
	Format string `yaml:"format" enum:"rfc9440 xfcc"`
	// Header is the name of a single header.
	Header string `yaml:"header"`
	// Value is what the single header says, such as subject.
	Value string `yaml:"value"`
}

// Errors changes the answers to refused callers: the scalar form names a vendor's style, the mapping form changes
// status and text.
type Errors struct {
	// Style is a vendor's: boomi, tyk, wso2 or apim; empty means RFC 9457.
	Style ErrorStyle `yaml:"style" enum:"boomi tyk wso2 apim"`
	// HideReason leaves the reason out of problem bodies; the log has it all the same.
	HideReason bool `yaml:"hide_reason"`
	// Missing replaces status and text where no certificate was presented.
	Missing *ErrorAnswer `yaml:"missing"`
	// Refused replaces status and text where a certificate was refused.
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

// ErrorAnswer is a status and a text; zero values keep the default.
type ErrorAnswer struct {
	// Status is an HTTP status from 400 to 599.
	Status int `yaml:"status"`
	// Detail is the text of the answer.
	Detail string `yaml:"detail"`
}

// CertificateHeader says which header carries the client certificate.
type CertificateHeader struct {
	// Name is the header's name.
	Name string `yaml:"name"`
	// Format is auto, rfc9440, xfcc, pem, url_pem or base64_der; auto by default.
	Format string `yaml:"format" enum:"auto rfc9440 xfcc pem url_pem base64_der"`
	// Verify is path (validate the certificate, the default) or proxy (believe the proxy).
	Verify string `yaml:"verify" enum:"path proxy"`
}

// ProxyCertificate is what the proxy in front must present itself.
type ProxyCertificate struct {
	// Required is true by default; false is for proxies that cannot present a certificate.
	Required *bool `yaml:"required"`
	// Trust names the trust stores that validate the proxy's certificate.
	Trust []string `yaml:"trust"`
	// Allow lists the proxies' certificates.
	Allow []Matcher `yaml:"allow"`
}

// Log says what is logged and how.
type Log struct {
	// Access is on (the default), off or sampled; refusals are logged whatever it says.
	Access AccessLog `yaml:"access" enum:"on off sampled"`
	// Format is json (the default) or text.
	Format string `yaml:"format" enum:"json text"`
	// Level is debug, info (the default), warn or error.
	Level string `yaml:"level" enum:"debug info warn error"`
	// SampleEvery keeps one in so many allowed requests with access: sampled; absent means 100.
	SampleEvery int `yaml:"sample_every"`
}

// AccessLog says which allowed requests are logged.
type AccessLog string

// The values of access; the empty string means absent: on.
const (
	AccessOn      AccessLog = "on"
	AccessOff     AccessLog = "off"
	AccessSampled AccessLog = "sampled"
)
