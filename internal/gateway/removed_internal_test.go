package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/config"
)

func TestAPanicIsAnInternalErrorAndIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	g := New(Options{Log: logger, Access: logger})
	s := smallSnapshot(t)
	g.snapshot.Store(s)
	s.targets[0] = nil // what must never happen
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/", http.NoBody)
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

func TestARequestOnAListenerThatWasRemovedIsSentElsewhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	g := New(Options{Log: logger, Access: logger})
	s := smallSnapshot(t)
	g.snapshot.Store(s)
	answer := httptest.NewRecorder()
	(&handler{g: g, address: "127.0.0.1:1"}).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/", http.NoBody))
	if answer.Code != http.StatusMisdirectedRequest || answer.Header().Get("Connection") != "close" {
		t.Errorf("answer %d %v", answer.Code, answer.Header())
	}
	if !strings.Contains(log.String(), `"reason":"misdirected_request"`) {
		t.Errorf("no record: %s", log.String())
	}
}

// smallSnapshot serves one API to everybody.
func smallSnapshot(t *testing.T) *Snapshot {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	const document = `listeners: [{name: plain, address: "127.0.0.1:0"}]
upstreams: [{name: echo, targets: ["http://127.0.0.1:9"]}]
apis: [{name: open, path: /api/, upstream: echo}]
`
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	doc, err := config.Load(path, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Compile(doc, nil, NewClock(nil))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
