package metrics

import (
	"fmt"
	"slices"
	"testing"
)

func TestListenersThatAreGoneTakeNoMemoryInAPIs(t *testing.T) {
	t.Parallel()
	s := New("")
	for i := range 10 {
		name := fmt.Sprint("listener-", i)
		s.Retain(slices.Values([]string{"stays", name}), nil, nil)
		s.API("").Decided(s.Listener(name), Allow, "ok")
		s.API("").Decided(s.Listener("stays"), Allow, "ok")
		s.API("").Decided(nil, Deny, "request_malformed")
	}
	if n := len(s.API("").used.Load().decisions.all()); n != 3 { // of the last listener, of the one that stays, and of none
		t.Errorf("%d counters", n)
	}
	for range 10 { // the same name, each time after the last connection has ended
		l := s.Listener("stays")
		l.Opened()
		s.API("").Decided(l, Allow, "ok")
		s.Retain(nil, nil, nil)
		l.Closed(ClosedDrain)
		s.Retain(slices.Values([]string{"stays"}), nil, nil)
	}
	if n := len(s.API("").used.Load().decisions.all()); n != 1 {
		t.Errorf("%d counters", n)
	}
}
