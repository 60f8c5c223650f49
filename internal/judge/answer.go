package judge

import (
	"crypto/x509"
	"encoding/json"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/identity"
)

// Answer is what a refused caller gets.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// ContentType is the media type of Body.
	ContentType string
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
	if errors.Style == config.StyleTyk && aboutCertificate(reason) {
		return tykAnswer(reason, presented.Leaf())
	}
	p := problem{
		Type: "urn:sallyport:" + reason.String(), Title: reason.Title(), Status: status, Detail: reason.Detail(),
		Reason: reason.String(), RequestID: requestID,
	}
	if status == 504 {
		p.Title = "Gateway timeout"
	}
	custom := errors.Refused
	if reason == decision.CertificateMissing {
		custom = errors.Missing
	}
	if custom != nil && aboutCertificate(reason) {
		if custom.Status != 0 {
			p.Status = custom.Status
		}
		if custom.Detail != "" {
			p.Detail = custom.Detail
		}
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

// tykAnswer is what Tyk answers at the HTTP level, byte for byte. leaf is nil when nothing was presented.
func tykAnswer(reason decision.Reason, leaf *x509.Certificate) Answer {
	message := "Client TLS certificate is required"
	switch {
	case reason == decision.CertificateExpired:
		message = "Certificate has expired"
	case reason != decision.CertificateMissing && leaf != nil:
		message = "Certificate with SHA256 " + identity.Thumbprint(leaf).String() + " not allowed"
	}
	return Answer{Status: 403, ContentType: "application/json", Body: []byte("{\n    \"error\": \"" + message + "\"\n}")}
}
