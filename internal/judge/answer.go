package judge

import (
	"cmp"
	"encoding/json"

	"sallyport/internal/config"
	"sallyport/internal/decision"
)

// Answer is what a refused caller gets.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// ContentType is the media type of Body.
	ContentType string
	// Challenge is the field WWW-Authenticate (RFC 9110, section 11.6.1); empty for none.
	Challenge string
	// Body is whole.
	Body []byte
}

// problem is the body of a refusal (RFC 9457). Reason and request_id are extension members.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Reason    string `json:"reason,omitempty"`
	RequestID string `json:"request_id"`
}

// Answer makes the answer to a refused request. status replaces the reason's own where it is not zero; presented may be
// nil. It tells a caller nothing that the decision's detail knows.
func (o *Outcome) Answer(status int, requestID string, presented *Evidence) Answer {
	reason := o.Reason
	if status == 0 {
		status = reason.Status()
	}
	var errors config.Errors
	if o.Binding != nil {
		errors = o.Binding.errors
	}
	if errors.Style != "" && aboutCertificate(reason) {
		return vendorAnswer(errors, reason, presented.Leaf())
	}
	p := problem{
		Type: "urn:sallyport:" + reason.String(), Title: reason.Title(), Status: status, Detail: reason.Detail(),
		Reason: reason.String(), RequestID: requestID,
	}
	if status == 504 {
		p.Title = "Gateway timeout"
	}
	if custom := customAnswer(errors, reason); aboutCertificate(reason) {
		p.Status, p.Detail = cmp.Or(custom.Status, p.Status), cmp.Or(custom.Detail, p.Detail)
	}
	if errors.HideReason {
		p.Type, p.Reason = "about:blank", ""
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"title":"Internal error","status":500}`) // strings and a number always marshal
	}
	return Answer{Status: p.Status, ContentType: "application/problem+json", Body: append(body, '\n')}
}

// aboutCertificate reports whether a reason is about the caller's certificate.
func aboutCertificate(r decision.Reason) bool {
	return r >= decision.CertificateMissing && r <= decision.CertificateDenied
}

// customAnswer is what the document says of the answer to a reason about the certificate; zero where it says nothing.
func customAnswer(errors config.Errors, r decision.Reason) config.ErrorAnswer {
	custom := errors.Refused
	if r == decision.CertificateMissing {
		custom = errors.Missing
	}
	if custom == nil {
		return config.ErrorAnswer{}
	}
	return *custom
}
