package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/route"
)

func TestAPanicIsAnInternalErrorAndIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	g := New(Options{Log: logger, Access: logger})
	s := newCostSite(t, 1)
	g.snapshot.Store(s.snapshot)
	for _, l := range s.snapshot.listeners {
		l.tls = false
	}
	found := s.snapshot.routes.Lookup("example.com", mustPath(t, "/api/0/"))
	found[0].bindings[0].mode = config.ModeNone
	found[0].upstream = nil // what must never happen
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/0/", http.NoBody)
	request = request.WithContext(context.WithValue(request.Context(), connKey{}, &conn{socket: &socket{g: g, address: "127.0.0.1:0"}}))
	answer := httptest.NewRecorder()
	(&handler{g: g, address: "127.0.0.1:0"}).ServeHTTP(answer, request)
	if answer.Code != http.StatusInternalServerError || !strings.Contains(answer.Body.String(), "internal_error") {
		t.Errorf("answer %d %s", answer.Code, answer.Body)
	}
	for _, want := range []string{`"level":"ERROR"`, `"reason":"internal_error"`, "nethttp.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, log.String())
		}
	}
}

func mustPath(t *testing.T, text string) route.Path {
	t.Helper()
	p, err := route.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestATargetInAbsoluteFormIsHTTP1Alone(t *testing.T) {
	t.Parallel()
	if path, query, ok := splitTarget("https://strict.test/open/?x", true); !ok || path != "/open/" || query != "?x" {
		t.Errorf("HTTP/1.1: %q %q %v", path, query, ok)
	}
	for _, target := range []string{"https://strict.test/open/", "*", "", "open", "?x"} {
		if path, _, ok := splitTarget(target, false); ok {
			t.Errorf("HTTP/2: %q is the path %q", target, path)
		}
	}
}

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
