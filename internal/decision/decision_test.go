package decision_test

import (
	"net/http"
	"testing"

	"sallyport/internal/decision"
)

func TestEveryReasonHasAWordAStatusAndATextOfItsOwn(t *testing.T) {
	t.Parallel()
	words := map[string]decision.Reason{}
	for r := range decision.All() {
		if r.String() == "" || r.Title() == "" || http.StatusText(r.Status()) == "" {
			t.Errorf("reason %d: word %q, title %q, status %d: one of them is missing", r, r, r.Title(), r.Status())
		}
		if other, taken := words[r.String()]; taken {
			t.Errorf("reasons %d and %d share the word %q", r, other, r)
		}
		words[r.String()] = r
		if refused := !r.Allowed(); refused && (r.Status() < 400 || r.Detail() == "") {
			t.Errorf("%s refuses with status %d and detail %q", r, r.Status(), r.Detail())
		}
		var back decision.Reason
		if err := back.UnmarshalText([]byte(r.String())); err != nil || back != r {
			t.Errorf("UnmarshalText(%q) = %v, %v", r, back, err)
		}
	}
}

func TestTheZeroDecisionRefuses(t *testing.T) {
	t.Parallel()
	var d decision.Decision
	if d.Allowed() || d.Reason.Status() != http.StatusInternalServerError {
		t.Errorf("zero decision: allowed %v, status %d", d.Allowed(), d.Reason.Status())
	}
	if beyond := decision.Reason(255); beyond.Allowed() || beyond.String() != "internal_error" {
		t.Errorf("a reason outside the set is %q, allowed %v", beyond, beyond.Allowed())
	}
	var r decision.Reason
	if err := r.UnmarshalText([]byte("fine")); err == nil {
		t.Error("an unknown word was accepted")
	}
}

func TestANilTraceRecordsNothing(t *testing.T) {
	t.Parallel()
	var none *decision.Trace
	none.Add("route", decision.Pass, "")
	none.Addf("route", decision.Pass, "%d", 1)
	if none.Enabled() {
		t.Error("a nil trace says it records")
	}
	some := &decision.Trace{}
	some.Addf("route", decision.Fail, "no API at %q", "/x")
	if len(some.Checks) != 1 || some.Checks[0].Detail != `no API at "/x"` {
		t.Errorf("checks = %+v", some.Checks)
	}
}
