package gateway

import (
	"encoding/json"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/identity"
)

// answer is what a refused caller gets.
type answer struct {
	status      int
	contentType string
	body        []byte
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

// answerTo makes the answer to a refused request. status replaces the reason's own where it is not zero. It tells a
// caller nothing that the decision's detail knows.
func answerTo(o *outcome, status int, requestID string, leaf *identity.SHA256) answer {
	reason := o.Reason
	if status == 0 {
		status = reason.Status()
	}
	var errors config.Errors
	if o.binding != nil {
		errors = o.binding.errors
	}
	if errors.Style == config.StyleTyk && aboutCertificate(reason) {
		return tykAnswer(reason, leaf)
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
	return answer{status: p.Status, contentType: "application/problem+json", body: append(body, '\n')}
}

// aboutCertificate reports whether a reason is about the caller's certificate.
func aboutCertificate(r decision.Reason) bool {
	return r >= decision.CertificateMissing && r <= decision.CertificateDenied
}

// tykAnswer is what Tyk answers at the HTTP level, byte for byte.
func tykAnswer(reason decision.Reason, leaf *identity.SHA256) answer {
	message := "Client TLS certificate is required"
	switch {
	case reason == decision.CertificateExpired:
		message = "Certificate has expired"
	case reason != decision.CertificateMissing && leaf != nil:
		message = "Certificate with SHA256 " + leaf.String() + " not allowed"
	}
	return answer{status: 403, contentType: "application/json", body: []byte("{\n    \"error\": \"" + message + "\"\n}")}
}
