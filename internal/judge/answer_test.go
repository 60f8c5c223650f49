package judge_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
)

// problem is the body of a refusal as a client reads it; a member that it does not know fails the test.
type problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Reason    *string `json:"reason"`
	RequestID string  `json:"request_id"`
}

func read(t *testing.T, a judge.Answer) problem {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(a.Body)))
	decoder.DisallowUnknownFields()
	var p problem
	if err := decoder.Decode(&p); err != nil || a.ContentType != "application/problem+json" || !strings.HasSuffix(string(a.Body), "}\n") {
		t.Fatalf("%s %q: %v", a.ContentType, a.Body, err)
	}
	return p
}

// answers is an outcome of an API with these errors, with a reason of its own.
func answers(t *testing.T, p *pki, errors string) func(decision.Reason) *judge.Outcome {
	t.Helper()
	o := decide(t, p.rules(t, single("{mode: required, errors: "+errors+"}")), nil)
	if o.Binding == nil {
		t.Fatal("no API was found")
	}
	return func(r decision.Reason) *judge.Outcome {
		of := o
		of.Decision = decision.Decision{Reason: r, Detail: "SECRET of the configuration"}
		return &of
	}
}

// aboutCertificates are the reasons for which an API may have an answer of its own.
func aboutCertificates() []decision.Reason {
	return []decision.Reason{
		decision.CertificateMissing, decision.CertificateMalformed, decision.CertificateUntrusted, decision.CertificateExpired,
		decision.CertificateNotYetValid, decision.CertificateRevoked, decision.RevocationUnknown, decision.CertificatePurpose,
		decision.CertificateWeak, decision.CertificateChain, decision.CertificateNotAllowed, decision.CertificateDenied,
	}
}

func about(r decision.Reason) bool {
	return slices.Contains(aboutCertificates(), r)
}

func TestEveryReasonHasItsProblem(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	plain, hidden := answers(t, p, "{}"), answers(t, p, "{hide_reason: true}")
	for r := range decision.All() {
		a := plain(r).Answer(0, "id-1", nil)
		got := read(t, a)
		word := r.String()
		want := problem{"urn:sallyport:" + word, r.Title(), r.Status(), r.Detail(), &word, "id-1"}
		if diff := cmp.Diff(want, got); diff != "" || a.Status != r.Status() {
			t.Errorf("%s with status %d: %s", r, a.Status, diff)
		}
		want.Type, want.Reason = "about:blank", nil
		a = hidden(r).Answer(0, "id-1", nil)
		if diff := cmp.Diff(want, read(t, a)); diff != "" || a.Status != r.Status() || strings.Contains(string(a.Body), word) {
			t.Errorf("%s, hidden: %s", r, diff)
		}
		if strings.Contains(string(a.Body)+string(plain(r).Answer(0, "", nil).Body), "SECRET") {
			t.Errorf("%s: the caller is told what only the log knows", r)
		}
	}
}

func TestAnAPICanAnswerInItsOwnWords(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	both := answers(t, p, "{missing: {status: 418, detail: Bring a certificate.}, refused: {status: 499, detail: Not this one.}}")
	words := answers(t, p, "{refused: {detail: Not this one.}}")
	status := answers(t, p, "{refused: {status: 404}}")
	for r := range decision.All() {
		wantStatus, wantDetail := r.Status(), r.Detail()
		switch {
		case r == decision.CertificateMissing:
			wantStatus, wantDetail = 418, "Bring a certificate."
		case about(r):
			wantStatus, wantDetail = 499, "Not this one."
		}
		a := both(r).Answer(0, "id", nil)
		if got := read(t, a); got.Status != wantStatus || a.Status != wantStatus || got.Detail != wantDetail || got.Title != r.Title() {
			t.Errorf("%s: %+v", r, got)
		}
		refused := about(r) && r != decision.CertificateMissing
		if got := read(t, words(r).Answer(0, "id", nil)); got.Status != r.Status() || (got.Detail == "Not this one.") != refused {
			t.Errorf("%s, with words alone: %+v", r, got)
		}
		if got := read(t, status(r).Answer(0, "id", nil)); (got.Status == 404) != (refused || r == decision.NoRoute) || got.Detail != r.Detail() {
			t.Errorf("%s, with a status alone: %+v", r, got)
		}
	}
}

func TestAStatusCanSayMoreThanTheReason(t *testing.T) {
	t.Parallel()
	o := judge.Refused(decision.Decision{Reason: decision.UpstreamUnavailable}, false)
	if got := read(t, o.Answer(0, "", nil)); got.Status != 502 || got.Title != "Bad gateway" {
		t.Errorf("%+v", got)
	}
	if got := read(t, o.Answer(504, "", nil)); got.Status != 504 || got.Title != "Gateway timeout" || *got.Reason != "upstream_unavailable" {
		t.Errorf("%+v", got)
	}
	o = judge.Refused(decision.Decision{Reason: decision.RequestMalformed}, false)
	if got := read(t, o.Answer(505, "", nil)); got.Status != 505 || got.Title != decision.RequestMalformed.Title() {
		t.Errorf("%+v", got)
	}
}

func TestTykIsAnsweredByteForByte(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	outcome := answers(t, p, "tyk")
	body := func(message string) string { return "{\n    \"error\": \"" + message + "\"\n}" }
	for r := range decision.All() {
		for name, e := range map[string]*judge.Evidence{"none": nil, "nothing": evidence(nil), "partner": evidence(p.partner)} {
			a := outcome(r).Answer(0, "id", e)
			if !about(r) {
				if got := read(t, a); *got.Reason != r.String() {
					t.Errorf("%s: %+v", r, got)
				}
				continue
			}
			want := body("Client TLS certificate is required")
			switch {
			case r == decision.CertificateExpired:
				want = body("Certificate has expired")
			case r != decision.CertificateMissing && name == "partner":
				want = body("Certificate with SHA256 " + thumbprint(p.partner) + " not allowed")
			}
			if diff := cmp.Diff(judge.Answer{Status: 403, ContentType: "application/json", Body: []byte(want)}, a); diff != "" {
				t.Errorf("%s, %s: %s", r, name, diff)
			}
		}
	}
}
