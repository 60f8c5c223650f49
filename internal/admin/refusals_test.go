package admin_test

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"

	"sallyport/internal/admin"
	"sallyport/internal/decision"
	"sallyport/internal/gateway"
	"sallyport/internal/judge"
)

// memory is a gateway that remembers these refusals, the newest first.
type memory []*gateway.Refusal

func (m memory) Refusals() iter.Seq[*gateway.Refusal] {
	return func(yield func(*gateway.Refusal) bool) {
		for _, r := range m {
			if !yield(r) {
				return
			}
		}
	}
}

func (m memory) Recall(id string) *gateway.Recollection {
	for _, r := range m {
		if r.RequestID == id {
			return &gateway.Recollection{Refusal: *r, ExplainedBy: 7, Explanation: &judge.Explanation{Decision: "deny", Reason: r.Reason}}
		}
	}
	return nil
}

const token = "0123456789abcdef-token"

func newMemory(n int) memory {
	var m memory
	for i := range n {
		m = append(m, &gateway.Refusal{RequestID: fmt.Sprintf("id-%d", i), Decision: "deny", Reason: decision.CertificateDenied, Detail: "about somebody"})
	}
	return m
}

// authorised asks for a path with these values of the field Authorization.
func (s *site) authorised(t *testing.T, path string, values ...string) reply {
	t.Helper()
	request := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	for _, value := range values {
		request += "Authorization: " + value + "\r\n"
	}
	return s.send(t, request+"\r\n")
}

func TestRefusalsAreForThoseWhoHaveTheToken(t *testing.T) {
	t.Parallel()
	with := open(t, admin.Options{Refusals: newMemory(3), Token: token})
	without := open(t, admin.Options{Refusals: newMemory(3)})
	for _, c := range []struct {
		name   string
		site   *site
		values []string
		want   int
	}{
		{"the token", with, []string{"Bearer " + token}, http.StatusOK},
		{"the scheme in another case", with, []string{"bearer " + token}, http.StatusOK},
		{"nothing", with, nil, http.StatusUnauthorized},
		{"no token", with, []string{"Bearer"}, http.StatusUnauthorized},
		{"the beginning of the token", with, []string{"Bearer " + token[:20]}, http.StatusUnauthorized},
		{"more than the token", with, []string{"Bearer " + token + "x"}, http.StatusUnauthorized},
		{"the token by another scheme", with, []string{"Basic " + token}, http.StatusUnauthorized},
		{"the token and something else", with, []string{"Bearer " + token, "Bearer x"}, http.StatusUnauthorized},
		{"a gateway without a token", without, []string{"Bearer " + token}, http.StatusForbidden},
		{"a gateway without a token, and none", without, []string{"Bearer "}, http.StatusForbidden},
	} {
		for _, path := range []string{"/api/v1/refusals", "/api/v1/refusals/id-1", "/api/v1/refusals/unknown"} {
			r := c.site.authorised(t, path, c.values...)
			status, header, body := r.status, r.header, r.body
			want := c.want
			if path == "/api/v1/refusals/unknown" && want == http.StatusOK {
				want = http.StatusNotFound
			}
			if status != want || (status != http.StatusOK) == strings.Contains(body, "about somebody") {
				t.Errorf("%s: %s: %d %s", c.name, path, status, body)
			}
			if status == http.StatusUnauthorized && !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s: %s: WWW-Authenticate %q", c.name, path, header.Get("WWW-Authenticate"))
			}
		}
	}
	if text := with.log.String() + without.log.String(); strings.Contains(text, token) {
		t.Errorf("the log has the token: %s", text)
	}
}

func TestTheListOfRefusalsIsAsLongAsItIsAskedFor(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{Refusals: newMemory(60), Token: token})
	for query, want := range map[string]int{"": 50, "?limit=1": 1, "?limit=1024": 60, "?limit=0": -1, "?limit=1025": -1, "?limit=x": -1, "?limit=-1": -1} {
		r := s.authorised(t, "/api/v1/refusals"+query, "Bearer "+token)
		status, body := r.status, r.body
		if want < 0 && status != http.StatusBadRequest || want >= 0 && (status != http.StatusOK || strings.Count(body, "request_id") != want) {
			t.Errorf("%q: %d with %d refusals", query, status, strings.Count(body, "request_id"))
		}
	}
}

func TestWhereThereAreNoRefusalsThereIsNoPage(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{Token: token})
	for _, path := range []string{"/api/v1/refusals", "/api/v1/refusals/x", "/api/v1/refusals/"} {
		if r := s.authorised(t, path, "Bearer "+token); r.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, r.status)
		}
	}
}

func TestATokenThatCanBeGuessedOpensNoAddress(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"short", "fifteen-letters", "sixteen letters!!", "sixteenletters\n!", "sechzehnbuchstäben"} {
		_, err := admin.Listen(t.Context(), admin.Options{Address: "127.0.0.1:0", Token: bad})
		if err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTheClientReadsARefusal(t *testing.T) {
	t.Parallel()
	s := open(t, admin.Options{Refusals: newMemory(2), Token: token})
	client := &admin.Client{Address: s.server.Address(), Token: token}
	got, err := client.Refusal(t.Context(), "id-1")
	if err != nil || got.RequestID != "id-1" || got.Reason != decision.CertificateDenied || got.ExplainedBy != 7 || got.Explanation == nil {
		t.Errorf("read %+v (%v)", got, err)
	}
	if _, err := client.Refusal(t.Context(), "x/../id-1?y"); !isNotFound(err) {
		t.Errorf("an id that is none: %v", err)
	}
	client.Token = "another-token-that-is-wrong"
	if _, err := client.Refusal(t.Context(), "id-1"); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), client.Token) {
		t.Errorf("with another token: %v", err)
	}
	client.Address = "nowhere"
	if _, err := client.Refusal(t.Context(), "id-1"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("at no address: %v", err)
	}
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*admin.NotFoundError](err)
	return ok
}
