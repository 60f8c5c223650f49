package judge_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
)

const (
	plain     = "text/plain; charset=utf-8"
	challenge = `Mutual SSL realm="WSO2 API Microgateway"`
	wso2      = `{"fault":{"code":900901, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct access token"}}`
)

// vendors are what each style answers to a reason about the certificate of somebody who presented the partner's.
func vendors(p *pki, r decision.Reason) map[string]judge.Answer {
	boomi := judge.Answer{Status: 403, ContentType: plain, Body: []byte("Certificate validation failed. You are not allowed to access the resource.")}
	tyk := judge.Answer{Status: 403, ContentType: "application/json", Body: []byte("{\n    \"error\": \"Certificate with SHA256 " + thumbprint(p.partner) + " not allowed\"\n}")}
	apim := judge.Answer{Status: 403, ContentType: plain, Body: []byte("Client certificate validation failed")}
	switch r {
	case decision.CertificateMissing:
		boomi.Status, boomi.Body = 401, []byte("Certificate authorization required to access the resource.")
		tyk.Body = []byte("{\n    \"error\": \"Client TLS certificate is required\"\n}")
		apim.Body = []byte("Client certificate is required")
	case decision.CertificateExpired:
		tyk.Body = []byte("{\n    \"error\": \"Certificate has expired\"\n}")
		apim.Body = []byte("Client certificate has expired")
	case decision.CertificateNotAllowed, decision.CertificateDenied:
		apim.Body = []byte("Invalid client certificate")
	}
	return map[string]judge.Answer{
		"boomi": boomi, "tyk": tyk, "apim": apim,
		"wso2": {Status: 401, ContentType: "application/json", Challenge: challenge, Body: []byte(wso2)},
	}
}

func TestEachStyleAnswersByteForByteAndOnlyAboutCertificates(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, style := range []string{"boomi", "tyk", "wso2", "apim"} {
		for name, outcome := range map[string]func(decision.Reason) *judge.Outcome{
			"word": answers(t, p, style), "mapping": answers(t, p, "{style: "+style+", hide_reason: true}"),
		} {
			for r := range decision.All() {
				a := outcome(r).Answer(0, "id", evidence(p.partner))
				if about(r) {
					if diff := cmp.Diff(vendors(p, r)[style], a); diff != "" {
						t.Errorf("%s, %s, as a %s: %s", style, r, name, diff)
					}
					continue
				}
				if got := read(t, a); (got.Reason != nil) != (name == "word") || got.Status != r.Status() || a.Challenge != "" {
					t.Errorf("%s, %s, as a %s: %+v", style, r, name, a)
				}
			}
		}
	}
}

// What the request asked for is answered with 502 or 504 in whatever style the API refuses certificates.
func TestAFailureBehindTheGatewayHasNoStyle(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, style := range []string{"boomi", "tyk", "wso2", "apim"} {
		o := answers(t, p, style)(decision.UpstreamUnavailable)
		if got := read(t, o.Answer(504, "id", evidence(p.partner))); got.Status != 504 || got.RequestID != "id" {
			t.Errorf("%s: %+v", style, got)
		}
	}
}

func TestADocumentsOwnStatusAndTextStandInTheVendorsForm(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	const own = `missing: {status: 401, detail: "Bring \"one\" <now>"}, refused: {status: 418}`
	const escaped = `"Bring \"one\" <now>"`
	for style, want := range map[string][2]judge.Answer{
		"boomi": {
			{Status: 401, ContentType: plain, Body: []byte(`Bring "one" <now>`)},
			{Status: 418, ContentType: plain, Body: []byte("Certificate validation failed. You are not allowed to access the resource.")},
		},
		"tyk": {
			{Status: 401, ContentType: "application/json", Body: []byte("{\n    \"error\": " + escaped + "\n}")},
			{Status: 418, ContentType: "application/json", Body: []byte("{\n    \"error\": \"Certificate with SHA256 " + thumbprint(p.partner) + " not allowed\"\n}")},
		},
		"wso2": {
			{Status: 401, ContentType: "application/json", Challenge: challenge, Body: []byte(`{"fault":{"code":900901, "message":"Invalid Credentials", "description":` + escaped + `}}`)},
			{Status: 418, ContentType: "application/json", Body: []byte(wso2)},
		},
		"apim": {
			{Status: 401, ContentType: plain, Body: []byte(`Bring "one" <now>`)},
			{Status: 418, ContentType: plain, Body: []byte("Client certificate validation failed")},
		},
	} {
		outcome := answers(t, p, "{style: "+style+", "+own+"}")
		for i, r := range []decision.Reason{decision.CertificateMissing, decision.CertificateUntrusted} {
			a := outcome(r).Answer(0, "id", evidence(p.partner))
			if diff := cmp.Diff(want[i], a); diff != "" {
				t.Errorf("%s, %s: %s", style, r, diff)
			}
			if a.ContentType == "application/json" && !json.Valid(a.Body) {
				t.Errorf("%s: %s is no JSON", style, a.Body)
			}
		}
	}
}
