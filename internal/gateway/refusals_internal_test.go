package gateway

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

func TestOnlyTheNewestRefusalsAreKept(t *testing.T) {
	t.Parallel()
	var l refusals
	const many = 5 * maxRefusals
	for i := range many {
		l.add(&Refusal{RequestID: fmt.Sprint(i)})
	}
	if got := len(l.newest(many)); got != maxRefusals || len(l.byID) != maxRefusals {
		t.Errorf("%d are kept, %d by id, want %d", got, len(l.byID), maxRefusals)
	}
	if l.find(fmt.Sprint(many-maxRefusals-1)) != nil || l.find(fmt.Sprint(many-maxRefusals)) == nil {
		t.Error("not exactly the oldest are forgotten")
	}
	if newest := l.newest(1); len(newest) != 1 || newest[0].RequestID != fmt.Sprint(many-1) {
		t.Errorf("the newest is %v", newest)
	}
	if cap(l.kept) > 8*maxRefusals {
		t.Errorf("the array has grown to %d", cap(l.kept))
	}
}

func TestRefusalsAreKeptWithinTheirBytes(t *testing.T) {
	t.Parallel()
	var hosts []string
	for i := range 800 {
		hosts = append(hosts, fmt.Sprintf("host-%03d.some-long-name.example.test", i))
	}
	leaf := testpki.NewCA(t, testpki.Options{}).Leaf(t, testpki.Options{Hosts: hosts})
	large := judge.NewEvidence([]*x509.Certificate{leaf.Cert}, true).Keep()
	if large.Bytes() < 20<<10 || large.Bytes() != len(leaf.Cert.Raw) {
		t.Fatalf("%d bytes are kept of %d", large.Bytes(), len(leaf.Cert.Raw))
	}
	huger := judge.NewEvidence(slices.Repeat([]*x509.Certificate{leaf.Cert}, 11), true).Keep()
	if huger.Bytes() != 0 || huger.Evidence().Leaf() != nil {
		t.Errorf("%d bytes are kept of a chain that nobody looks at", huger.Bytes())
	}
	var l refusals
	for i := range 900 {
		l.add(&Refusal{RequestID: fmt.Sprint(i), kept: large})
		if l.bytes > maxRefusalBytes {
			t.Fatalf("%d bytes are kept after %d", l.bytes, i)
		}
	}
	if n := len(l.newest(900)); n == 0 || n == 900 {
		t.Errorf("%d are kept", n)
	}
	huge := &Refusal{RequestID: "huge", Detail: strings.Repeat("x", maxRefusalBytes)}
	l.add(huge)
	if l.find("huge") != huge || len(l.newest(2)) != 1 {
		t.Error("one that is larger than everything is not the only one that is kept")
	}
}
