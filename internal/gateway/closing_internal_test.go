package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAnUpstreamThatDoesNotCloseIsWorthARecord(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	g := New(Options{Log: logger, Access: logger})
	closed := make(chan struct{})
	g.awaitClosed("stuck", closed, time.Millisecond)
	if said := log.String(); !strings.Contains(said, `"level":"WARN"`) || !strings.Contains(said, `"upstream":"stuck"`) {
		t.Errorf("the log says %q", said)
	}
	log.Reset()
	close(closed)
	g.awaitClosed("done", closed, time.Hour)
	if log.Len() > 0 {
		t.Errorf("the log says %s", log.String())
	}
}
