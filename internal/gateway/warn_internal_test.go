package gateway

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

func TestAnAnchorThatExpiresWhileItIsUsedIsSaidOnce(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Short CA", NotAfter: end})
	doc := &config.Document{TrustStores: []config.TrustStore{{Name: "partners", Anchors: []config.Anchor{{Certificates: []*x509.Certificate{ca.Cert}}}}}}
	stores, err := judge.CompileStores(doc, nil, end.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	now := end.Add(-time.Hour)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	g := New(Options{Log: logger, Access: logger, Clock: NewClock(func() time.Time { return now })})
	known := map[string]bool{}
	g.warn(known) // nothing serves yet
	g.snapshot.Store(&Snapshot{stores: stores})
	g.warn(known)
	if log.Len() > 0 {
		t.Fatalf("a valid anchor is warned about: %s", log.String())
	}
	now = end.Add(time.Hour)
	g.warn(known)
	g.warn(known)
	if n := strings.Count(log.String(), "Short CA"); n != 1 || !strings.Contains(log.String(), "partners") {
		t.Errorf("said %d times: %s", n, log.String())
	}
}
