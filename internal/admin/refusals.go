package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"sallyport/internal/gateway"
)

// Refusals is what the gateway remembers of requests that it refused.
type Refusals interface {
	// Refusals yields the newest, the newest first.
	Refusals() iter.Seq[*gateway.Refusal]
	// Recall explains one by its request id; nil when it is not remembered.
	Recall(requestID string) *gateway.Recollection
}

// minToken is how short a token may be: 16 random hex digits are 64 bits.
const minToken = 16

// refusalsPath is where refusals are read; a request id follows.
const refusalsPath = "/api/v1/refusals"

// The number of refusals in a list, without and at most with ?limit=.
const (
	listedRefusals = 50
	mostRefusals   = 1024
)

// CheckToken says why a text cannot be the token of the admin address, nil when it can. The error does not quote it.
func CheckToken(token string) error {
	if len(token) < minToken {
		return fmt.Errorf("the token has %d characters, %d are needed", len(token), minToken)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the token has blanks or characters that are not printable ASCII")
	}
	return nil
}

// authorised reports whether a request has the token (RFC 6750, section 2.1), and answers it when it has not. What is
// behind it names callers, so without a token nobody reads it, on loopback neither.
func (h *handler) authorised(w http.ResponseWriter, r *http.Request) bool {
	if h.token == nil {
		problem(w, http.StatusForbidden, "This needs a token: start the gateway with SALLYPORT_ADMIN_TOKEN.")
		return false
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if len(r.Header.Values("Authorization")) != 1 || !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], h.token[:]) != 1 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sallyport"`)
		problem(w, http.StatusUnauthorized, "This needs the token of the admin address, as Authorization: Bearer.")
		return false
	}
	return true
}

// recentRefusals lists the newest refusals.
func (h *handler) recentRefusals(w http.ResponseWriter, r *http.Request) {
	if !h.authorised(w, r) {
		return
	}
	limit := listedRefusals
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostRefusals {
			problem(w, http.StatusBadRequest, fmt.Sprintf("limit wants a number from 1 to %d.", mostRefusals))
			return
		}
		limit = n
	}
	list := struct {
		Refusals []*gateway.Refusal `json:"refusals"`
	}{Refusals: []*gateway.Refusal{}}
	for one := range h.refusals.Refusals() {
		if len(list.Refusals) == limit {
			break
		}
		list.Refusals = append(list.Refusals, one)
	}
	h.write(w, r, list)
}

// oneRefusal explains the refusal that the path names.
func (h *handler) oneRefusal(w http.ResponseWriter, r *http.Request) {
	if !h.authorised(w, r) {
		return
	}
	found := h.refusals.Recall(strings.TrimPrefix(r.URL.Path, refusalsPath+"/"))
	if found == nil {
		problem(w, http.StatusNotFound, "No refusal with this request id is remembered: it was none, or it was too long ago.")
		return
	}
	h.write(w, r, found)
}

func (h *handler) write(w http.ResponseWriter, r *http.Request, what any) {
	body, err := json.Marshal(what)
	if err != nil {
		h.log.LogAttrs(r.Context(), slog.LevelError, "write a page of the admin address", slog.String("path", r.URL.Path), slog.Any("error", err))
		problem(w, http.StatusInternalServerError, "The page cannot be written; the log says why.")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}
