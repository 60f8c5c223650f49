package upstream_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sallyport/internal/upstream"
)

// BenchmarkSend compares sending a request and reading the answer with net/http's transport alone.
func BenchmarkSend(b *testing.B) {
	b.Run("GET", func(b *testing.B) { benchmarkSend(b, nil) })
	b.Run("POST-64K", func(b *testing.B) { benchmarkSend(b, make([]byte, 64<<10)) })
}

func benchmarkSend(b *testing.B, body []byte) {
	target := serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	})
	fill := func(r *http.Request) *http.Request {
		if body != nil {
			r.Method, r.ContentLength, r.Body = http.MethodPost, int64(len(body)), io.NopCloser(bytes.NewReader(body))
		}
		return r
	}
	b.Run("transport", func(b *testing.B) {
		bare := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
		defer bare.CloseIdleConnections()
		at := &url.URL{Scheme: "http", Host: strings.TrimPrefix(target, "http://"), Path: "/x"}
		b.ReportAllocs()
		for b.Loop() {
			r := fill(request(b.Context(), http.MethodGet, "", nil))
			r.URL = at
			response, err := bare.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	})
	for name, config := range map[string]upstream.Config{
		"upstream": {}, "upstream-3-targets-least-requests-max": {Balancing: upstream.LeastRequests, Max: 100},
	} {
		b.Run(name, func(b *testing.B) {
			config.Targets = []string{target}
			if config.Max > 0 {
				config.Targets = []string{target, target + "/b", target + "/c"}
			}
			u := start(b, config, nil)
			b.ReportAllocs()
			for b.Loop() {
				reply, err := u.Send(fill(request(b.Context(), http.MethodGet, "/x", nil)), upstream.Options{})
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, reply.Response.Body)
				_ = reply.Response.Body.Close()
			}
		})
	}
}
