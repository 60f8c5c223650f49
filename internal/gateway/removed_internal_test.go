package gateway

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestARequestOnAListenerThatWasRemovedIsSentElsewhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	g := New(Options{Log: logger, Access: logger})
	s := newCostSite(t, 1)
	g.snapshot.Store(s.snapshot)
	answer := httptest.NewRecorder()
	(&handler{g: g, address: "127.0.0.1:1"}).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/0/", http.NoBody))
	if answer.Code != http.StatusMisdirectedRequest || answer.Header().Get("Connection") != "close" {
		t.Errorf("answer %d %v", answer.Code, answer.Header())
	}
	if !strings.Contains(log.String(), `"reason":"misdirected_request"`) {
		t.Errorf("no record: %s", log.String())
	}
}
