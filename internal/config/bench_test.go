package config_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/config"
)

// manyAPIs is a document as a generator writes it.
func manyAPIs(n int) string {
	var b strings.Builder
	b.WriteString(minimal)
	b.WriteString("apis:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: api-%[1]d
    version: v1
    hosts: [api-%[2]d.example.test]
    path: /api/%[1]d/
    methods: [GET, POST]
    upstream: echo
    client_certificate:
      mode: required
      trust: [partners]
      allow:
        - subject: "CN=partner-%[1]d,O=Acme,C=US,*"
        - sha256: "%064[1]x"
`, i, i%100)
	}
	return b.String()
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("%d-apis", n), func(b *testing.B) {
			path := write(b, pkiDir(b), "sallyport.yaml", manyAPIs(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := config.Load(path, config.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/API")
		})
	}
}

// BenchmarkLoadMistakes is the case that compares every mistake with every name.
func BenchmarkLoadMistakes(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("%d-apis", n), func(b *testing.B) {
			path := write(b, pkiDir(b), "sallyport.yaml", strings.ReplaceAll(manyAPIs(n), "upstream: echo", "upstream: ecko"))
			for b.Loop() {
				if _, err := config.Load(path, config.Options{}); err == nil {
					b.Fatal("the document loads")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/API")
		})
	}
}
