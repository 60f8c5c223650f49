package metrics_test

import (
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/internal/metrics"
)

func names(all ...string) iter.Seq[string] { return slices.Values(all) }

func TestThereAreHandlesForWhatRunsAndNothingElse(t *testing.T) {
	t.Parallel()
	s := metrics.New("")
	if s.Listener("public") != nil || s.API("orders") != nil || s.Target("shop", "one") != nil {
		t.Error("handles before the first snapshot")
	}
	if s.API("") == nil {
		t.Error("no handle for requests of no API")
	}
	retainAll(s)
	l, a, target := s.Listener("public"), s.API("orders"), s.Target("shop", "one")
	if l == nil || a == nil || target == nil || s.Target("one", "shop") != nil {
		t.Fatal("the handles are not those of the snapshot")
	}
	retainAll(s)
	if s.Listener("public") != l || s.API("orders") != a || s.Target("shop", "one") != target {
		t.Error("what stays has other handles")
	}
	s.Retain(nil, nil, nil)
	if s.Listener("public") != nil || s.API("orders") != nil || s.Target("shop", "one") != nil {
		t.Error("handles of what is gone")
	}
	if s.API("") == nil {
		t.Error("the handle for requests of no API is gone")
	}
}

func TestANameThatComesTwiceIsOne(t *testing.T) {
	t.Parallel()
	s := metrics.New("")
	for range 2 {
		s.Retain(names("public", "public"), names("orders", "", "orders"), pairs(pair{"shop", "one"}, pair{"shop", "one"}))
		use(s.Listener("public"), s.API("orders"), s.Target("shop", "one"))
	}
	if n := series(t, s)[`connections_total{listener="public"}`]; n != 2 {
		t.Errorf("connections %v, want 2", n)
	}
}

func TestWhatIsGoneIsShownNoMoreHoweverLateItCounts(t *testing.T) {
	t.Parallel()
	s := newSet()
	l, a, target := s.Listener("public"), s.API("orders"), s.Target("shop", "one")
	use(l, a, target)
	s.API("bills@2").Decided(l, metrics.Allow, "ok")
	s.API("bills@2").Decided(s.Listener("partners"), metrics.Allow, "ok")
	s.Retain(names("partners"), names("bills@2"), pairs(pair{"shop", "two"}))
	late := func() {
		use(l, a, target)
		s.API("bills@2").Decided(l, metrics.Deny, "certificate_expired") // of a connection to the listener that is gone
		for _, gone := range []string{"public", "orders", "one"} {
			expect(t, s, `"`+gone+`"`, map[string]float64{})
		}
	}
	late()
	late() // a scrape in between changes nothing
	expect(t, s, "client_auth", map[string]float64{
		`client_auth_total{api="bills@2",listener="partners",reason="ok",result="allow"}`: 1,
	})
	// The upstream is still there, with what it counted.
	if n := series(t, s)[`upstream_attempt_duration_seconds_count{upstream="shop"}`]; n != 3 {
		t.Errorf("attempts at the upstream %v, want 3", n)
	}

	retainAll(s)
	if s.Listener("public") == l || s.API("orders") == a || s.Target("shop", "one") == target {
		t.Error("what comes back has the old handle")
	}
	use(l, a, target) // later still
	expect(t, s, `"orders"`, map[string]float64{})
	if n, ok := series(t, s)[`connections_total{listener="public"}`]; n != 0 || !ok {
		t.Errorf("the listener that is back shows %v connections (%v)", n, ok)
	}
}

func TestAnUpstreamThatIsGoneIsShownNoMore(t *testing.T) {
	t.Parallel()
	s := newSet()
	target := s.Target("shop", "one")
	target.Attempted("", true, time.Millisecond)
	s.Retain(names("public"), nil, pairs(pair{"store", "one"}))
	target.Attempted("", true, time.Millisecond)
	target.Down()
	expect(t, s, "upstream", map[string]float64{})
	s.Target("store", "one").Attempted("", true, time.Millisecond)
	expect(t, s, "upstream_retries", map[string]float64{`upstream_retries_total{upstream="store"}`: 1})
}

func TestARemovedListenerIsShownUntilItsLastConnectionEnds(t *testing.T) {
	t.Parallel()
	s := newSet()
	l := s.Listener("public")
	l.Opened()
	l.RequestBegan()
	s.API("orders").Decided(l, metrics.Allow, "ok")
	s.Retain(names("partners"), names("orders"), nil)
	if s.Listener("public") != l {
		t.Error("what drains has no handle")
	}
	open := func() (shown bool) {
		_, connections := series(t, s)[`open_connections{listener="public"}`]
		_, decisions := series(t, s)[`client_auth_total{api="orders",listener="public",reason="ok",result="allow"}`]
		if connections != decisions {
			t.Errorf("connections shown: %v, decisions shown: %v", connections, decisions)
		}
		return connections
	}
	if !open() {
		t.Error("gone with an open connection and a request")
	}
	l.Closed(metrics.ClosedDrain) // over HTTP/2 a request may outlast its connection
	if !open() {
		t.Error("gone with a request")
	}
	l.RequestEnded()
	if open() {
		t.Error("still there")
	}
	s.Retain(names("partners"), names("orders"), nil)
	retainAll(s)
	expect(t, s, `"public"`, map[string]float64{})
	if _, ok := series(t, s)[`open_connections{listener="public"}`]; !ok {
		t.Error("the listener that is back is not shown")
	}
}

func TestAListenerThatComesBackInTimeIsTheSame(t *testing.T) {
	t.Parallel()
	s := newSet()
	l := s.Listener("public")
	l.Opened()
	s.Retain(names("partners"), nil, nil)
	s.Retain(names("partners"), nil, nil) // it drains through several reloads
	retainAll(s)
	if s.Listener("public") != l {
		t.Fatal("it has another handle")
	}
	l.Closed(metrics.ClosedDrain)
	l.Opened()
	expect(t, s, `{listener="public"}`, map[string]float64{
		`open_connections{listener="public"}`:  1,
		`connections_total{listener="public"}`: 2,
	})
}

func TestAConnectionToAListenerThatIsGoneBringsNothingBack(t *testing.T) {
	t.Parallel()
	s := newSet()
	l := s.Listener("public")
	s.Retain(names("partners"), names("orders"), nil)
	l.Opened() // accepted at the last moment, and it stays
	s.API("orders").Decided(l, metrics.Allow, "ok")
	expect(t, s, `"public"`, map[string]float64{})
	retainAll(s)
	expect(t, s, `"public"`, map[string]float64{})
}

func TestAListenerThatComesBackTooLateBeginsAtZero(t *testing.T) {
	t.Parallel()
	s := newSet()
	l := s.Listener("public")
	l.Opened()
	s.API("orders").Decided(l, metrics.Allow, "ok")
	s.Retain(names("partners"), names("orders"), nil)
	l.Closed(metrics.ClosedDrain)
	retainAll(s)
	if s.Listener("public") == l {
		t.Error("it has the old handle")
	}
	expect(t, s, `"public"`, map[string]float64{})
	l.Opened() // accepted at the last moment: it is nobody's, and two handles of one name would break the scrape
	s.API("orders").Decided(l, metrics.Allow, "ok")
	expect(t, s, `"public"`, map[string]float64{})
	s.API("orders").Decided(s.Listener("public"), metrics.Allow, "ok")
	expect(t, s, `"public"`, map[string]float64{
		`client_auth_total{api="orders",listener="public",reason="ok",result="allow"}`: 1,
	})
}

func TestARemovedAPIIsShownUntilItsLastStreamEnds(t *testing.T) {
	t.Parallel()
	s := newSet()
	s.API("orders").StreamOpened()
	s.API("orders").StreamOpened()
	s.Retain(names("public"), names("bills@2"), nil)
	s.API("orders").StreamCut("no_route")
	s.API("orders").StreamClosed()
	expect(t, s, `"orders"`, map[string]float64{
		`open_streams{api="orders"}`:                        1,
		`streams_cut_total{api="orders",reason="no_route"}`: 1,
	})
	s.Retain(names("public"), names("orders"), nil) // it is back before the second one ends
	s.API("orders").StreamClosed()
	if n, ok := series(t, s)[`open_streams{api="orders"}`]; n != 0 || !ok {
		t.Errorf("open streams %v, shown %v", n, ok)
	}
	s.API("orders").StreamOpened()
	s.Retain(names("public"), nil, nil)
	s.API("orders").StreamClosed() // the last one: nobody has to reload for the series to go
	if _, ok := series(t, s)[`open_streams{api="orders"}`]; ok {
		t.Error("shown when the last stream has ended")
	}
	expect(t, s, `"orders"`, map[string]float64{})
}

func TestNoGaugeIsEverNegativeWhileNamesComeAndGo(t *testing.T) {
	t.Parallel()
	const workers, each = 4, 300
	s := newSet()
	var counting, watching sync.WaitGroup
	for range workers {
		counting.Go(func() {
			for range each { // as the gateway does: looked up when it is needed, and kept for what belongs together
				use(s.Listener("public"), s.API("orders"), s.Target("shop", "one"))
			}
		})
	}
	done := make(chan struct{})
	watching.Go(func() {
		for round := 0; ; round++ {
			select {
			case <-done:
				return
			default:
			}
			if round%2 == 0 {
				s.Retain(names("partners"), names("bills@2"), nil)
			} else {
				retainAll(s)
			}
			for key, v := range series(t, s) {
				if v < 0 {
					t.Errorf("%s = %v", key, v)
				}
			}
		}
	})
	counting.Wait()
	close(done)
	watching.Wait()
	retainAll(s)
	for _, key := range []string{`open_connections{listener="public"}`, `requests_in_flight{listener="public"}`, `open_streams{api="orders"}`} {
		if n := series(t, s)[key]; n != 0 {
			t.Errorf("%s = %v when all is over", key, n)
		}
	}
}

func TestAHundredThousandAPIsThatNobodyCallsHaveNoSeries(t *testing.T) {
	t.Parallel()
	s := metrics.New("")
	before := len(series(t, s))
	s.Retain(nil, manyNames(100_000), nil)
	if after := len(series(t, s)); after != before {
		t.Errorf("%d series more", after-before)
	}
	s.API("api-99999").Decided(nil, metrics.Allow, "ok")
	if n := having(t, s, "client_auth"); len(n) != 1 {
		t.Errorf("after one request: %v", n)
	}
}

// manyNames are n names of APIs.
func manyNames(n int) iter.Seq[string] {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("api-", i)
	}
	return slices.Values(list)
}
