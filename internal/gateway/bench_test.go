package gateway_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/gateway"
	"sallyport/internal/testpki"
)

// benchSite runs firstDocument for a benchmark and returns the address and the caller's configuration.
func benchSite(b *testing.B) (address string, caller *tls.Config) {
	b.Helper()
	dir := b.TempDir()
	ca := testpki.NewCA(b, testpki.Options{CommonName: "Partner CA"})
	ca.Write(b, dir, "ca")
	ca.Leaf(b, testpki.Options{Hosts: []string{"localhost"}}).Write(b, dir, "server")
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	b.Cleanup(backend.Close)
	path := filepath.Join(dir, "sallyport.yaml")
	document := strings.ReplaceAll(firstDocument, "BACKEND", backend.Listener.Addr().String())
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		b.Fatal(err)
	}
	doc, err := config.Load(path, config.Options{})
	if err != nil {
		b.Fatal(err)
	}
	clock := gateway.NewClock(nil)
	snapshot, err := gateway.Compile(doc, nil, clock)
	if err != nil {
		b.Fatal(err)
	}
	silent := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // writing the records is part of the cost
	g := gateway.New(gateway.Options{Log: silent, Access: silent, Clock: clock})
	if err := g.Swap(snapshot); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	who := ca.Leaf(b, testpki.Options{CommonName: "partner-a"}).TLS()
	return g.Addresses()["public"], &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", Certificates: []tls.Certificate{who}}
}

// BenchmarkHandshake is a full handshake with a client certificate whose chain was seen before, both ends counted.
func BenchmarkHandshake(b *testing.B) {
	address, caller := benchSite(b)
	b.ReportAllocs()
	for b.Loop() {
		conn, err := tls.Dial("tcp", address, caller)
		if err != nil {
			b.Fatal(err)
		}
		_ = conn.Close()
	}
}

// BenchmarkRequest is one request on a connection that is kept, client and backend counted.
func BenchmarkRequest(b *testing.B) {
	address, caller := benchSite(b)
	for _, version := range []string{"h1", "h2"} {
		b.Run(version, func(b *testing.B) {
			transport := &http.Transport{
				TLSClientConfig: caller, ForceAttemptHTTP2: version == "h2",
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, network, address)
				},
			}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			b.ReportAllocs()
			for b.Loop() {
				response, err := client.Get("https://localhost/orders/")
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK {
					b.Fatal(response.Status)
				}
			}
		})
	}
}
