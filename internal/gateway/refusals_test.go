package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gateway"
)

// recall explains a refusal that has to be remembered.
func (s *site) recall(requestID string) *gateway.Recollection {
	s.t.Helper()
	s.records.wait(s.t, func(line map[string]any) bool { return line["request_id"] == requestID })
	r := s.gateway.Recall(requestID)
	if r == nil {
		s.t.Fatalf("the refusal %q is not remembered", requestID)
	}
	return r
}

func TestARefusalIsExplainedByItsRequestID(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	for _, c := range []struct {
		name, url string
		caller    *caller
		reason    string
	}{
		{"nothing presented", "https://localhost/orders/?secret=1", s.caller("public", "localhost", nil), "certificate_missing"},
		{"a stranger", "https://localhost/orders/", s.caller("public", "localhost", s.outsider), "certificate_untrusted"},
		{"somebody who is not on the list", "https://localhost/orders/", s.caller("public", "localhost", s.b), "certificate_not_allowed"},
		{"nowhere", "https://localhost/nowhere/", s.caller("public", "localhost", s.a), "no_route"},
	} {
		a := c.caller.get(c.url)
		r := s.recall(a.header.Get("X-Request-ID"))
		if r.Reason.String() != c.reason || r.Status != a.status || r.Decision != "deny" || r.Generation != 1 {
			t.Errorf("%s: recalled as %s %d %s, answered %d", c.name, r.Reason, r.Status, r.Decision, a.status)
		}
		e := r.Explanation
		if e == nil || e.Reason.String() != c.reason || e.Status != a.status || r.ExplainedBy != 1 || len(e.Changes) == 0 {
			t.Errorf("%s: explained as %+v (%s)", c.name, e, r.Unexplained)
		}
		if strings.Contains(r.Path, "secret") || e != nil && slices.ContainsFunc(e.Changes, func(s string) bool { return strings.Contains(s, "secret") }) {
			t.Errorf("%s: the query is kept", c.name)
		}
	}
}

func TestARefusalIsExplainedByTheRulesOfNowAtTheTimeOfThen(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	a := s.caller("public", "localhost", s.b).get("https://localhost/orders/")
	s.apply(strings.Replace(firstDocument, "CN=partner-a", "CN=partner-*", 1))
	s.clock.set(time.Now().Add(100 * 365 * 24 * time.Hour))
	r := s.recall(a.header.Get("X-Request-ID"))
	if r.Reason.String() != "certificate_not_allowed" || r.Generation != 1 || r.ExplainedBy != 2 {
		t.Errorf("recalled as %s of generation %d by %d", r.Reason, r.Generation, r.ExplainedBy)
	}
	if r.Explanation == nil || r.Explanation.Decision != "allow" {
		t.Errorf("the list admits the caller now: %+v", r.Explanation)
	}
}

func TestWhatWasAllowedIsNotRemembered(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	a := s.caller("public", "localhost", s.a).get("https://localhost/orders/")
	if a.status != http.StatusOK {
		t.Fatalf("answer %d", a.status)
	}
	s.records.wait(t, func(line map[string]any) bool { return line["decision"] == "allow" })
	for r := range s.gateway.Refusals() {
		t.Errorf("remembered: %+v", r)
	}
	if s.gateway.Recall("") != nil || s.gateway.Recall("0123456789abcdef0123456789abcdef") != nil {
		t.Error("an id that nobody had is explained")
	}
}

func TestWhatObserveOnlyLetThroughIsRemembered(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	if a := s.caller("public", "localhost", nil).get("https://localhost/watched/"); a.status != http.StatusOK {
		t.Fatalf("answer %d", a.status)
	}
	s.records.wait(t, func(line map[string]any) bool { return line["would_be_reason"] == "certificate_missing" })
	for r := range s.gateway.Refusals() {
		if r.Decision != "allow" || r.Reason.String() != "certificate_missing" || r.Status != http.StatusOK {
			t.Errorf("remembered as %+v", r)
		}
		if e := s.recall(r.RequestID).Explanation; e == nil || e.WouldBe == nil || e.WouldBe.String() != "certificate_missing" || len(e.Changes) == 0 {
			t.Errorf("explained as %+v", e)
		}
		return
	}
	t.Error("nothing is remembered")
}

func TestARefusedHandshakeIsExplainedByItsRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(firstDocument, "client_auth: optional", "client_auth: required", 1))
	if a := s.caller("public", "localhost", s.outsider).get("https://localhost/orders/"); a.err == nil {
		t.Fatalf("a stranger's handshake passes: %d", a.status)
	}
	record := s.records.wait(t, func(line map[string]any) bool { return line["msg"] == "handshake" })
	id, _ := record["request_id"].(string)
	r := s.recall(id)
	if !r.Handshake || r.Reason.String() != "certificate_untrusted" || r.Status != 0 || r.Method != "" {
		t.Errorf("recalled as %+v", r.Refusal)
	}
	if e := r.Explanation; e == nil || !e.Handshake || e.Reason != r.Reason || e.Broken == nil || !strings.Contains(strings.Join(e.Changes, " "), "Stranger CA") {
		t.Errorf("explained as %+v", e)
	}
}

// What the rules have no part in has an advice, too.
func TestRefusalsBesideTheRulesSayWhatToChange(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(limited("max_target_size: 64, max_header_size: 1KiB, max_body_size: 1KiB"), "http://BACKEND", "http://127.0.0.1:1", 1))
	post := "POST /open/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4096\r\n\r\n" + strings.Repeat("x", 4096)
	for _, c := range []struct {
		request, reason, advice string
		status                  int
	}{
		{"GET /open/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", "request_malformed", "send the request otherwise", 400},
		{"GET /open/" + strings.Repeat("x", 64) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "request_too_large", "the limit that the detail names has to be raised", 414},
		{"GET /open/ HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n", "request_too_large", "the limit that the detail names has to be raised", 431},
		{post, "request_too_large", "the limit that the detail names has to be raised", 413},
		{"GET /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "upstream_unavailable", "look at the upstream", 502},
	} {
		a := s.raw("public", "localhost", nil, c.request)
		if a.status != c.status || a.reason != c.reason {
			t.Errorf("%.40q: %d %s", c.request, a.status, a.reason)
			continue
		}
		r := s.recall(a.header.Get("X-Request-ID"))
		if len(r.Changes) != 1 || !strings.Contains(r.Changes[0], c.advice) {
			t.Errorf("%.40q: the advice is %q", c.request, r.Changes)
		}
	}
	a := s.raw("public", "localhost", nil, "GET /nowhere/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if r := s.recall(a.header.Get("X-Request-ID")); r.Changes != nil || len(r.Explanation.Changes) == 0 {
		t.Errorf("what the rules decided has its advice in the explanation: %q", r.Changes)
	}
}
