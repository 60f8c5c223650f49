package gateway

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/judge"
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
	large := judge.NewEvidence([]*x509.Certificate{{Raw: make([]byte, 64<<10)}}, true) // the leaf of what is too large is kept
	var l refusals
	for i := range 200 {
		l.add(&Refusal{RequestID: fmt.Sprint(i), request: judge.Request{Evidence: large}})
		if l.bytes > maxRefusalBytes {
			t.Fatalf("%d bytes are kept after %d", l.bytes, i)
		}
	}
	if n := len(l.newest(200)); n == 0 || n == 200 {
		t.Errorf("%d are kept", n)
	}
	huge := &Refusal{RequestID: "huge", Detail: strings.Repeat("x", maxRefusalBytes)}
	l.add(huge)
	if l.find("huge") != huge || len(l.newest(2)) != 1 {
		t.Error("one that is larger than everything is not the only one that is kept")
	}
}
