// Package decision is the vocabulary of judging: the closed set of reasons, what each one means to a caller, and the
// trace of the checks that led to it.
//
// It owns the words and the status codes and nothing else. It never looks at a certificate, a request or a
// configuration, so every other package can name a reason without importing the one that produced it.
package decision

import (
	"fmt"
	"iter"
)

// Reason says why a request was allowed or refused. The zero value is InternalError, so a decision that nobody filled
// in refuses. Logs, metrics, problem bodies and explain all use the same text, which String returns.
type Reason uint8

// The closed set of reasons. Add a new one here and in the table below; a test checks that the two agree.
const (
	InternalError Reason = iota
	OK

	CertificateMissing
	CertificateMalformed
	CertificateUntrusted
	CertificateExpired
	CertificateNotYetValid
	CertificateRevoked
	RevocationUnknown
	CertificatePurpose
	CertificateWeak
	CertificateChain
	CertificateNotAllowed
	CertificateDenied

	UserUnknown
	UserCertificateMismatch
	UserDisabled

	HeaderSourceUntrusted
	HeaderMalformed
	HeaderAmbiguous

	MisdirectedRequest
	TLSRequired
	CredentialMissing
	CredentialInvalid
	TokenBindingMismatch
	RateLimited
	QuotaExceeded
	PolicyDenied

	TrustUnavailable
	MethodNotAllowed
	RequestMalformed
	RequestTooLarge
	RequestTimeout
	Overloaded
	NoRoute
	UpstreamUnavailable

	reasonCount // not a reason
)

// The two texts that callers see when a certificate is missing or refused, unless an API says otherwise.
const (
	missingText = "Certificate authorization required to access the resource."
	refusedText = "Certificate validation failed. You are not allowed to access the resource."
)

// meaning is what one reason says to a caller. The detail names nothing internal: what exactly failed is for the log.
type meaning struct {
	text   string
	status int
	title  string
	detail string
}

var meanings = [reasonCount]meaning{
	InternalError: {"internal_error", 500, "Internal error", "The gateway could not handle the request."},
	OK:            {"ok", 200, "OK", ""},

	CertificateMissing:     {"certificate_missing", 401, "Client certificate required", missingText},
	CertificateMalformed:   {"certificate_malformed", 403, "Client certificate refused", refusedText},
	CertificateUntrusted:   {"certificate_untrusted", 403, "Client certificate refused", refusedText},
	CertificateExpired:     {"certificate_expired", 403, "Client certificate refused", refusedText},
	CertificateNotYetValid: {"certificate_not_yet_valid", 403, "Client certificate refused", refusedText},
	CertificateRevoked:     {"certificate_revoked", 403, "Client certificate refused", refusedText},
	RevocationUnknown:      {"revocation_unknown", 403, "Client certificate refused", refusedText},
	CertificatePurpose:     {"certificate_purpose", 403, "Client certificate refused", refusedText},
	CertificateWeak:        {"certificate_weak", 403, "Client certificate refused", refusedText},
	CertificateChain:       {"certificate_chain", 403, "Client certificate refused", refusedText},
	CertificateNotAllowed:  {"certificate_not_allowed", 403, "Client certificate refused", refusedText},
	CertificateDenied:      {"certificate_denied", 403, "Client certificate refused", refusedText},

	UserUnknown:             {"user_unknown", 403, "User refused", "The certificate belongs to no user of this API."},
	UserCertificateMismatch: {"user_certificate_mismatch", 403, "User refused", "The certificate is not one of the user's."},
	UserDisabled:            {"user_disabled", 403, "User refused", "The user is disabled."},

	HeaderSourceUntrusted: {"header_source_untrusted", 401, "Client certificate required", missingText},
	HeaderMalformed:       {"header_malformed", 400, "Malformed certificate header", "The certificate header cannot be read."},
	HeaderAmbiguous:       {"header_ambiguous", 400, "Ambiguous certificate header", "The certificate header was sent more than once."},

	MisdirectedRequest:   {"misdirected_request", 421, "Misdirected request", "This connection was opened for another server name. Open a new one for this host."},
	TLSRequired:          {"tls_required", 403, "TLS required", "This API is served over TLS only."},
	CredentialMissing:    {"credential_missing", 401, "Credential required", "A credential is required to access the resource."},
	CredentialInvalid:    {"credential_invalid", 401, "Credential refused", "The credential was not accepted."},
	TokenBindingMismatch: {"token_binding_mismatch", 401, "Credential refused", "The token is bound to another certificate."},
	RateLimited:          {"rate_limited", 429, "Too many requests", "The rate limit is exceeded."},
	QuotaExceeded:        {"quota_exceeded", 429, "Quota exceeded", "The quota is used up."},
	PolicyDenied:         {"policy_denied", 403, "Refused by policy", "A policy of this API refused the request."},

	TrustUnavailable:    {"trust_unavailable", 503, "Not available", "The API cannot check client certificates at the moment."},
	MethodNotAllowed:    {"method_not_allowed", 405, "Method not allowed", "The API does not serve this method here."},
	RequestMalformed:    {"request_malformed", 400, "Malformed request", "The request cannot be understood."},
	RequestTooLarge:     {"request_too_large", 413, "Request too large", "The request is larger than this API accepts."},
	RequestTimeout:      {"request_timeout", 408, "Request timeout", "The request took too long to arrive."},
	Overloaded:          {"overloaded", 503, "Overloaded", "The gateway cannot take this request at the moment."},
	NoRoute:             {"no_route", 404, "Not found", "There is no API here."},
	UpstreamUnavailable: {"upstream_unavailable", 502, "Bad gateway", "The API did not answer."},
}

func (r Reason) meaning() *meaning {
	if r >= reasonCount {
		r = InternalError
	}
	return &meanings[r]
}

// String returns the reason's word, such as "certificate_missing".
func (r Reason) String() string { return r.meaning().text }

// Status returns the HTTP status that answers the reason unless an API configures another: 200 for OK.
func (r Reason) Status() int { return r.meaning().status }

// Title returns the RFC 9457 title of the reason: short, the same for every occurrence.
func (r Reason) Title() string { return r.meaning().title }

// Detail returns the RFC 9457 detail that callers may see; empty for OK. It reveals nothing about the configuration.
func (r Reason) Detail() string { return r.meaning().detail }

// Allowed reports whether the reason lets a request through. Only OK does.
func (r Reason) Allowed() bool { return r == OK }

// MarshalText implements encoding.TextMarshaler.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; a word outside the set is an error.
func (r *Reason) UnmarshalText(text []byte) error {
	for c := range All() {
		if c.String() == string(text) {
			*r = c
			return nil
		}
	}
	return fmt.Errorf("unknown reason %q", text)
}

// All returns every reason, OK included, in the order of the constants.
func All() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := range reasonCount {
			if !yield(r) {
				return
			}
		}
	}
}

// Decision is the outcome of judging one request. The zero value refuses with InternalError.
type Decision struct {
	// Reason is OK when the request may pass, otherwise why not.
	Reason Reason
	// Detail says what exactly failed, for the log and for explain. It may quote the certificate and the
	// configuration, so callers never see it. It is empty when the reason says it all.
	Detail string
}

// Allowed reports whether the request may pass.
func (d Decision) Allowed() bool { return d.Reason.Allowed() }

// Outcome is how one check ended.
type Outcome string

// The outcomes of a check.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Info Outcome = "info" // not a check but a fact that later checks use
)

// Check is one step of a trace.
type Check struct {
	Name    string  `json:"check"` // what was checked, in the words of the configuration: "route", "trust", "allow"
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
}

// Trace collects the checks of one decision for explain. A nil *Trace is the live request path: it records nothing, and
// callers guard the work of building a detail with Enabled.
type Trace struct {
	Checks []Check
}

// Enabled reports whether checks are recorded.
func (t *Trace) Enabled() bool { return t != nil }

// Add records one check; on a nil trace it does nothing.
func (t *Trace) Add(name string, outcome Outcome, detail string) {
	if t == nil {
		return
	}
	t.Checks = append(t.Checks, Check{Name: name, Outcome: outcome, Detail: detail})
}

// Addf is Add with a formatted detail. Guard it with Enabled on the request path: its arguments escape.
func (t *Trace) Addf(name string, outcome Outcome, format string, args ...any) {
	if t == nil {
		return
	}
	t.Add(name, outcome, fmt.Sprintf(format, args...))
}
