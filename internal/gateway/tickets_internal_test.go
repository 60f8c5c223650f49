package gateway

import (
	"crypto/tls"
	"testing"
	"time"

	"sallyport/internal/judge"
)

func TestTicketKeysRotateAndAnOldOneOpensForOneMoreLife(t *testing.T) {
	t.Parallel()
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &ask{config: &tls.Config{}, ticketID: [32]byte{1}}
	s := &Snapshot{listeners: map[string]*listener{"a": {Listener: &judge.Listener{TLS: true}, asks: []*ask{p}}}}
	var tickets tickets
	tickets.adopt(s, born)
	first := tickets.keys[p.ticketID].current

	tickets.rotate(born.Add(ticketLife - time.Second))
	if k := tickets.keys[p.ticketID]; k.current != first || k.hasPrevious {
		t.Error("the keys rotated too early")
	}
	tickets.rotate(born.Add(ticketLife))
	k := tickets.keys[p.ticketID]
	if k.current == first || k.previous != first || !k.hasPrevious {
		t.Error("after one life the old key must open and a new one must seal")
	}
	second := k.current
	tickets.rotate(born.Add(2 * ticketLife))
	if k.current == second || k.previous != second || k.previous == first {
		t.Error("after two lives the first key must be gone")
	}
	third := k.current
	tickets.rotate(born.Add(20 * ticketLife)) // asleep for long: what was sealed then must not open now
	if k.hasPrevious || k.current == third {
		t.Error("a key outlived twelve hours")
	}
}

func TestTicketKeysBelongToAProfileAndTheContentOfItsTrust(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	snapshot := func(ids ...byte) *Snapshot {
		l := &listener{Listener: &judge.Listener{TLS: true}}
		for _, id := range ids {
			l.asks = append(l.asks, &ask{config: &tls.Config{}, ticketID: [32]byte{id}})
		}
		return &Snapshot{listeners: map[string]*listener{"a": l, "plain": {Listener: &judge.Listener{}}}}
	}
	var tickets tickets
	tickets.adopt(snapshot(1, 2), now)
	one, two := tickets.keys[[32]byte{1}].current, tickets.keys[[32]byte{2}].current
	if one == two {
		t.Error("two profiles share a key")
	}
	tickets.adopt(snapshot(1, 3), now)
	if tickets.keys[[32]byte{1}].current != one {
		t.Error("an unrelated change cost a profile its key")
	}
	if tickets.keys[[32]byte{2}] != nil || tickets.keys[[32]byte{3}] == nil {
		t.Error("keys of a profile that is gone are kept, or a new profile has none")
	}
	tickets.adopt(snapshot(1, 2), now)
	if tickets.keys[[32]byte{2}].current == two {
		t.Error("a profile that came back has its old key")
	}
}

func TestTheClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := NewClock(func() time.Time { return now })
	if !c.Now().Equal(now) {
		t.Errorf("now is %v", c.Now())
	}
	latest := now.Add(time.Hour)
	now = latest
	c.Now()
	now = latest.Add(-time.Minute)
	if got := c.Now(); !got.Equal(latest) || c.SteppedBack() {
		t.Errorf("a minute back: %v, stepped back %v", got, c.SteppedBack())
	}
	now = latest.Add(-maxStepBack - time.Second)
	if got := c.Now(); !got.Equal(latest) || !c.SteppedBack() {
		t.Errorf("more than five minutes back: %v, stepped back %v", got, c.SteppedBack())
	}
	now = latest.Add(2 * time.Second)
	if got := c.Now(); !got.Equal(now) || c.SteppedBack() {
		t.Errorf("forward again: %v, stepped back %v", got, c.SteppedBack())
	}
	if NewClock(nil).Now().IsZero() {
		t.Error("the system's clock says nothing")
	}
}
