package trust

import (
	"testing"

	"sallyport/internal/decision"
)

func TestWhatWasKeptAndCannotBeParsedIsRefused(t *testing.T) {
	t.Parallel()
	c := (&Kept{der: [][]byte{{0x30, 0x00}}, id: [32]byte{1}}).Chain()
	if c.refusal == nil || c.refusal.Reason != decision.CertificateMalformed || len(c.certs) != 0 {
		t.Errorf("%+v", c)
	}
}
