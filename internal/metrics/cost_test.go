package metrics_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"sallyport/internal/metrics"
)

// count is everything that one request on a new connection counts, looked up by name each time.
func count(s *metrics.Set, api string) {
	l := s.Listener("public")
	l.Opened()
	l.Handshake(tls.VersionTLS13, false, metrics.HandshakeOK, time.Millisecond)
	countRequest(s, l, api)
	l.Closed(metrics.ClosedByClient)
}

// countRequest is everything that one request on a kept connection counts.
func countRequest(s *metrics.Set, l *metrics.Listener, api string) {
	l.RequestBegan()
	s.Target("shop", "one").Attempted("", false, 800*time.Microsecond)
	a := s.API(api)
	a.Decided(l, metrics.Allow, "ok")
	a.Answered(metrics.Exchange{Method: "POST", Status: 201, Took: time.Millisecond, In: 100, Out: 1000})
	l.RequestEnded()
}

func TestCountingAllocatesNothingOnceWarm(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	s := newSet()
	count(s, "orders")
	stream := s.API("orders")
	stream.StreamOpened()
	stream.StreamCut("certificate_revoked")
	stream.StreamClosed()
	s.Listener("public").HTTP2Error("ping")
	if n := testing.AllocsPerRun(1000, func() {
		count(s, "orders")
		stream.StreamOpened()
		stream.StreamCut("certificate_revoked")
		stream.StreamClosed()
		s.Listener("public").HTTP2Error("ping")
		s.Target("shop", "one").Down()
		s.Target("shop", "one").Up()
	}); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
}

func BenchmarkCountRequest(b *testing.B) {
	s := newSet()
	l := s.Listener("public")
	b.ReportAllocs()
	for b.Loop() {
		countRequest(s, l, "orders")
	}
}

// BenchmarkCountRequestInParallel has every processor count in the same series.
func BenchmarkCountRequestInParallel(b *testing.B) {
	s := newSet()
	l := s.Listener("public")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			countRequest(s, l, "orders")
		}
	})
}

// BenchmarkFirstRequest is what the first request of an API costs and, by its bytes, what its series take.
func BenchmarkFirstRequest(b *testing.B) {
	s, l := metrics.New(""), newSet().Listener("public")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%100_000 == 0 {
			b.StopTimer()
			s.Retain(nil, nil, nil)
			s.Retain(nil, manyNames(100_000), nil)
			b.StartTimer()
		}
		countRequest(s, l, fmt.Sprint("api-", i%100_000))
	}
}

// BenchmarkRetain is a reload with 100,000 APIs that stay.
func BenchmarkRetain(b *testing.B) {
	s, many := metrics.New(""), manyNames(100_000)
	s.Retain(nil, many, nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Retain(nil, many, nil)
	}
}

// BenchmarkScrape collects 10,000 APIs that have been called.
func BenchmarkScrape(b *testing.B) {
	s, many := metrics.New(""), manyNames(10_000)
	s.Retain(names("public"), many, nil)
	for api := range many {
		countRequest(s, s.Listener("public"), api)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Gatherer().Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
