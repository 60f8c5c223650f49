package judge

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"strings"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/identity"
)

// vendorAnswer is what another gateway answers to a caller without a certificate, or with one that it refuses; see
// docs/answers.md. Status and text that the document gives stand in the place of the vendor's. leaf is nil when nothing was
// presented.
func vendorAnswer(errors config.Errors, reason decision.Reason, leaf *x509.Certificate) Answer {
	custom := customAnswer(errors, reason)
	var a Answer
	switch errors.Style {
	case config.StyleTyk:
		a = Answer{Status: 403, ContentType: "application/json", Body: tykBody(cmp.Or(custom.Detail, tykText(reason, leaf)))}
	case config.StyleWSO2:
		a = Answer{Status: 401, ContentType: "application/json", Challenge: `Mutual SSL realm="WSO2 API Microgateway"`, Body: wso2Body(custom.Detail)}
	case config.StyleAPIM:
		a = Answer{Status: 403, ContentType: plainText, Body: []byte(cmp.Or(custom.Detail, apimText(reason)))}
	case config.StyleBoomi: // whose texts and statuses the reasons have anyhow
		a = Answer{Status: reason.Status(), ContentType: plainText, Body: []byte(cmp.Or(custom.Detail, reason.Detail()))}
	}
	a.Status = cmp.Or(custom.Status, a.Status)
	if a.Status != 401 {
		a.Challenge = "" // it answers the question of a 401 only
	}
	return a
}

// plainText is the media type of answers that are a sentence. Boomi and Azure do not say theirs.
const plainText = "text/plain; charset=utf-8"

// tykText is Tyk's sentence.
func tykText(reason decision.Reason, leaf *x509.Certificate) string {
	switch {
	case reason == decision.CertificateExpired:
		return "Certificate has expired"
	case reason != decision.CertificateMissing && leaf != nil:
		return "Certificate with SHA256 " + identity.Thumbprint(leaf).String() + " not allowed"
	}
	return "Client TLS certificate is required"
}

// tykBody is Tyk's body, byte for byte: no line feed at its end.
func tykBody(text string) []byte { return []byte("{\n    \"error\": " + quoted(text) + "\n}") }

// wso2Body is the body of WSO2's Microgateway 3.2, byte for byte. It says the same whatever is wrong with a caller.
func wso2Body(text string) []byte {
	text = cmp.Or(text, "Invalid Credentials. Make sure you have given the correct access token")
	return []byte(`{"fault":{"code":900901, "message":"Invalid Credentials", "description":` + quoted(text) + `}}`)
}

// apimText is the sentence of the policies with which Azure API Management is told to check client certificates: a list says
// another thing than the validation of the path.
func apimText(reason decision.Reason) string {
	switch reason { //nolint:exhaustive // the rest is what validation refuses
	case decision.CertificateMissing:
		return "Client certificate is required"
	case decision.CertificateExpired:
		return "Client certificate has expired"
	case decision.CertificateNotAllowed, decision.CertificateDenied:
		return "Invalid client certificate"
	default:
		return "Client certificate validation failed"
	}
}

// quoted is a text as JSON has it, without the escapes that only HTML needs.
func quoted(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a text always marshals
	return strings.TrimSuffix(b.String(), "\n")
}
