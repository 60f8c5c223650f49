package gateway

import (
	"maps"
	"testing"

	"sallyport/internal/judge"
)

// talkative is a caller with the most to tell.
func talkative() *caller {
	const value = ":MIIBszCCAVmgAwIBAgIUfoo="
	return &caller{
		Standing: judge.Standing{ClientCert: value, ClientCertChain: value},
		remote:   "192.0.2.1", host: "localhost", scheme: "https", requestID: "0123456789abcdef",
	}
}

func TestHeaderHygieneAllocatesAtMostThreeTimes(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	c := talkative()
	h := typicalHeader()
	identify(h, c) // the map has grown
	if n := testing.AllocsPerRun(1000, func() {
		h["X_SSL_Client_Cert"] = nil
		strip(h)
		identify(h, c)
	}); n > 3 {
		t.Errorf("header hygiene allocates %v times", n)
	}
	if h["Client-Cert"][0] != c.ClientCert || len(h["X_SSL_Client_Cert"]) != 0 {
		t.Errorf("header %v", h)
	}
}

// typicalHeader is what a browser or a program sends.
func typicalHeader() header {
	return maps.Clone(header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"en"}, "Authorization": {"Bearer x"},
		"Content-Length": {"12"}, "Content-Type": {"application/json"}, "Cookie": {"a=b"}, "Sec-Fetch-Mode": {"cors"},
		"Traceparent": {"00-1"}, "User-Agent": {"curl"}, "X-Client-Id": {"7"}, "X-Ssl-Client-Verify": {"SUCCESS"},
	})
}

func BenchmarkHeaders(b *testing.B) {
	c := talkative()
	h := typicalHeader()
	b.ReportAllocs()
	for b.Loop() {
		strip(h)
		identify(h, c)
	}
}
