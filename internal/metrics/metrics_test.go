package metrics_test

import (
	"crypto/tls"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sallyport/internal/metrics"
)

// pair is an upstream and one of its targets.
type pair struct{ upstream, target string }

func pairs(all ...pair) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range all {
			if !yield(p.upstream, p.target) {
				return
			}
		}
	}
}

// newSet returns a set whose snapshot has the listeners public and partners, the APIs orders and bills@2, and the
// upstream shop with the targets one and two.
func newSet() *metrics.Set {
	s := metrics.New("v1.2.3")
	retainAll(s)
	return s
}

func retainAll(s *metrics.Set) {
	s.Retain(slices.Values([]string{"public", "partners"}), slices.Values([]string{"orders", "bills@2"}),
		pairs(pair{"shop", "one"}, pair{"shop", "two"}))
}

// series returns what the set shows of its own families: values by name and labels in the order of their names. Of
// histograms it has the count, the sum and the buckets.
func series(t testing.TB, s *metrics.Set) map[string]float64 {
	t.Helper()
	families, err := s.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "sallyport_")
		if !ours {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := func(suffix string, more ...string) string {
				list := slices.Concat(labels, more)
				if len(list) == 0 {
					return name + suffix
				}
				return name + suffix + "{" + strings.Join(list, ",") + "}"
			}
			if h := m.GetHistogram(); h != nil {
				all[key("_count")], all[key("_sum")] = float64(h.GetSampleCount()), h.GetSampleSum()
				for _, b := range h.GetBucket() {
					all[key("_bucket", fmt.Sprintf("le=\"%g\"", b.GetUpperBound()))] = float64(b.GetCumulativeCount())
				}
				continue
			}
			all[key("")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// having returns the series whose key contains a text, those that are zero and buckets left out.
func having(t testing.TB, s *metrics.Set, text string) map[string]float64 {
	t.Helper()
	all := series(t, s)
	maps.DeleteFunc(all, func(key string, v float64) bool {
		return v == 0 || strings.Contains(key, "_bucket") || !strings.Contains(key, text)
	})
	return all
}

func expect(t *testing.T, s *metrics.Set, text string, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, having(t, s, text)); diff != "" {
		t.Errorf("series with %q (-want +got):\n%s", text, diff)
	}
}

func TestANewSetHasOnlyWhatIsAlwaysThere(t *testing.T) {
	t.Parallel()
	got := slices.Sorted(maps.Keys(series(t, metrics.New("v1.2.3"))))
	want := []string{
		`build_info{go_version="` + runtime.Version() + `",version="v1.2.3"}`,
		`config_reloads_total{result="refused"}`,
		`config_reloads_total{result="success"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheRuntimeAndTheProcessAreShownToo(t *testing.T) {
	t.Parallel()
	n, err := testutil.GatherAndCount(metrics.New("").Gatherer(), "go_goroutines", "process_cpu_seconds_total")
	if err != nil || n != 2 {
		t.Errorf("%d series, %v", n, err)
	}
}

func TestReloads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // time stands still, so the moment is known
		s := metrics.New("v1")
		s.Reloaded(true, 1)
		s.Reloaded(true, 2)
		success := float64(time.Now().UnixMilli()) / 1000
		time.Sleep(time.Minute) //nolint:forbidigo // a clock that is not real
		s.Reloaded(false, 7)
		expect(t, s, "config", map[string]float64{
			`config_reloads_total{result="success"}`:       2,
			`config_reloads_total{result="refused"}`:       1,
			`config_generation`:                            2,
			`config_last_reload_success_timestamp_seconds`: success,
		})
	})
}

func TestAListenerCounts(t *testing.T) {
	t.Parallel()
	s := newSet()
	l := s.Listener("public")
	for range 5 {
		l.Opened()
	}
	l.Closed(metrics.ClosedIdle)
	l.Closed(metrics.ClosedByClient)
	l.Closed(metrics.CloseCause(200))
	l.Refused(metrics.AddressFull)
	l.Refused(metrics.RefusalCause(200))
	l.RequestBegan()
	l.RequestBegan()
	l.RequestEnded()
	l.HTTP2Error("rst_stream")
	expect(t, s, `listener="public"`, map[string]float64{
		`open_connections{listener="public"}`:                                2,
		`connections_total{listener="public"}`:                               5,
		`connections_closed_total{cause="idle",listener="public"}`:           1,
		`connections_closed_total{cause="client",listener="public"}`:         1,
		`connections_closed_total{cause="other",listener="public"}`:          1,
		`connections_refused_total{cause="address_full",listener="public"}`:  1,
		`connections_refused_total{cause="listener_full",listener="public"}`: 1,
		`requests_in_flight{listener="public"}`:                              1,
		`http2_errors_total{listener="public",type="rst_stream"}`:            1,
	})
	expect(t, s, `listener="partners"`, map[string]float64{})
}

func TestAListenerShowsItsClosedSetsAtZeroFromTheStart(t *testing.T) {
	t.Parallel()
	var got []string
	for key := range series(t, newSet()) {
		if strings.Contains(key, `listener="partners"`) {
			got = append(got, key)
		}
	}
	if want := 3 + 2 + 12; len(got) != want { // gauges and total, causes to refuse, causes to close
		t.Errorf("%d series, want %d: %q", len(got), want, got)
	}
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	s := newSet()
	l := s.Listener("public")
	l.Handshake(tls.VersionTLS13, false, metrics.HandshakeOK, 2*time.Millisecond)
	l.Handshake(tls.VersionTLS13, true, metrics.HandshakeOK, time.Millisecond)
	l.Handshake(tls.VersionTLS12, false, metrics.HandshakeRefused, time.Second)
	l.HandshakeDenied("certificate_missing")
	l.Handshake(0, false, metrics.HandshakeFailed, time.Second)
	l.Handshake(tls.VersionTLS10, false, metrics.HandshakeResult(9), time.Second)
	expect(t, s, "handshake", map[string]float64{
		`tls_handshakes_total{listener="public",result="ok",resumed="false",version="1.3"}`:       1,
		`tls_handshakes_total{listener="public",result="ok",resumed="true",version="1.3"}`:        1,
		`tls_handshakes_total{listener="public",result="refused",resumed="false",version="1.2"}`:  1,
		`tls_handshakes_total{listener="public",result="failed",resumed="false",version=""}`:      1,
		`tls_handshakes_total{listener="public",result="failed",resumed="false",version="other"}`: 1,
		`tls_handshake_refusals_total{listener="public",reason="certificate_missing"}`:            1,
		`tls_handshake_duration_seconds_count{listener="public"}`:                                 2,
		`tls_handshake_duration_seconds_sum{listener="public"}`:                                   0.003,
	})
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	s := newSet()
	public := s.Listener("public")
	s.API("orders").Decided(public, metrics.Allow, "ok")
	s.API("orders").Decided(public, metrics.Deny, "certificate_missing")
	s.API("orders").Decided(s.Listener("partners"), metrics.Deny, "certificate_missing")
	s.API("orders").Decided(public, metrics.Observed, "certificate_expired")
	s.API("orders").Decided(public, metrics.Deny, "certificate_missing")
	s.API("bills@2").Decided(public, metrics.Outcome(77), "internal_error")
	s.API("bills@2").Decided(public, metrics.Deny, "internal_error") // the same series
	s.API("").Decided(nil, metrics.Deny, "request_malformed")
	expect(t, s, "client_auth", map[string]float64{
		`client_auth_total{api="orders",listener="public",reason="ok",result="allow"}`:                     1,
		`client_auth_total{api="orders",listener="public",reason="certificate_missing",result="deny"}`:     2,
		`client_auth_total{api="orders",listener="partners",reason="certificate_missing",result="deny"}`:   1,
		`client_auth_total{api="orders",listener="public",reason="certificate_expired",result="observed"}`: 1,
		`client_auth_total{api="bills@2",listener="public",reason="internal_error",result="deny"}`:         2,
		`client_auth_total{api="",listener="",reason="request_malformed",result="deny"}`:                   1,
	})
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := newSet()
	a := s.API("orders")
	a.Answered(metrics.Exchange{Method: "GET", Status: 200, Took: 20 * time.Millisecond, In: 10, Out: 1000})
	a.Answered(metrics.Exchange{Method: "GET", Status: 200, Took: 30 * time.Millisecond, Out: 500})
	a.Answered(metrics.Exchange{Method: "POST", Status: 403, In: -1, Out: -5})
	a.Answered(metrics.Exchange{Method: "GET", Status: 101, Took: time.Hour, In: 7, Out: 9, Stream: true})
	expect(t, s, `api="orders"`, map[string]float64{
		`requests_total{api="orders",code="200",method="GET"}`:  2,
		`requests_total{api="orders",code="403",method="POST"}`: 1,
		`requests_total{api="orders",code="101",method="GET"}`:  1,
		`request_bytes_total{api="orders"}`:                     17,
		`response_bytes_total{api="orders"}`:                    1509,
		`request_duration_seconds_count{api="orders"}`:          3,
		`request_duration_seconds_sum{api="orders"}`:            0.05,
	})
}

func TestNoMethodOfACallerBecomesALabel(t *testing.T) {
	t.Parallel()
	s := newSet()
	a := s.API("orders")
	standard := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
	for _, m := range standard {
		a.Answered(metrics.Exchange{Method: m, Status: 200})
	}
	strange := []string{"", "get", "PROPFIND", "GET ", "other", "\xff\xfe", strings.Repeat("A", 1<<16)}
	for _, m := range strange {
		a.Answered(metrics.Exchange{Method: m, Status: 200})
	}
	want := map[string]float64{`requests_total{api="orders",code="200",method="other"}`: float64(len(strange))}
	for _, m := range standard {
		want[`requests_total{api="orders",code="200",method="`+m+`"}`] = 1
	}
	expect(t, s, "requests_total", want)
}

func TestCodesAreThreeDigits(t *testing.T) {
	t.Parallel()
	s := newSet()
	for _, code := range []int{-200, 0, 7, 99, 100, 499, 999, 1000, 65536 + 200, 1 << 40} {
		s.API("orders").Answered(metrics.Exchange{Method: "GET", Status: code})
	}
	expect(t, s, "requests_total", map[string]float64{
		`requests_total{api="orders",code="000",method="GET"}`: 7,
		`requests_total{api="orders",code="100",method="GET"}`: 1,
		`requests_total{api="orders",code="499",method="GET"}`: 1,
		`requests_total{api="orders",code="999",method="GET"}`: 1,
	})
}

func TestHTTP2ErrorsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSet()
	for i := range 1000 {
		s.Listener("public").HTTP2Error(fmt.Sprint("kind_", i))
	}
	s.Listener("public").HTTP2Error("kind_0")
	got := having(t, s, "http2_errors_total")
	if n := got[`http2_errors_total{listener="public",type="other"}`]; len(got) > 129 || n < 800 {
		t.Errorf("%d series, %v of them other", len(got), n)
	}
	if n := got[`http2_errors_total{listener="public",type="kind_0"}`]; n != 2 {
		t.Errorf("the first kind counts %v, want 2", n)
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	s := newSet()
	a := s.API("orders")
	a.StreamOpened()
	a.StreamOpened()
	a.StreamCut("certificate_revoked")
	a.StreamClosed()
	expect(t, s, "stream", map[string]float64{
		`open_streams{api="orders"}`:                                   1,
		`streams_cut_total{api="orders",reason="certificate_revoked"}`: 1,
	})
	a.StreamClosed()
	if v, ok := series(t, s)[`open_streams{api="orders"}`]; v != 0 || !ok {
		t.Errorf("open streams %v, shown %v", v, ok)
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	s := newSet()
	one, two := s.Target("shop", "one"), s.Target("shop", "two")
	one.Attempted("connect", false, 100*time.Millisecond)
	one.Down()
	two.Attempted("", true, 200*time.Millisecond)
	two.Attempted("", false, 200*time.Millisecond)
	two.Broke("reset")
	expect(t, s, "upstream", map[string]float64{
		`upstream_attempts_total{result="connect",target="one",upstream="shop"}`:     1,
		`upstream_attempts_total{result="ok",target="two",upstream="shop"}`:          2,
		`upstream_broken_answers_total{result="reset",target="two",upstream="shop"}`: 1,
		`upstream_retries_total{upstream="shop"}`:                                    1,
		`upstream_attempt_duration_seconds_count{upstream="shop"}`:                   3,
		`upstream_attempt_duration_seconds_sum{upstream="shop"}`:                     0.5,
		`upstream_target_up{target="two",upstream="shop"}`:                           1,
	})
	one.Up()
	if up := series(t, s)[`upstream_target_up{target="one",upstream="shop"}`]; up != 1 {
		t.Errorf("a target that is up again shows %v", up)
	}
}

func TestATargetThatGoesDownBeforeAnAttemptIsShown(t *testing.T) {
	t.Parallel()
	s := newSet()
	s.Target("shop", "one").Down()
	if up, ok := series(t, s)[`upstream_target_up{target="one",upstream="shop"}`]; up != 0 || !ok {
		t.Errorf("up %v, shown %v", up, ok)
	}
}

func TestBucketsHoldWhatIsNotLongerThanTheirBound(t *testing.T) {
	t.Parallel()
	s := newSet()
	for _, took := range []time.Duration{
		-time.Second, 0, 500 * time.Microsecond, 500*time.Microsecond + 1, time.Millisecond, time.Minute, time.Minute + 1, 300 * time.Hour,
	} {
		s.API("orders").Answered(metrics.Exchange{Method: "GET", Status: 200, Took: took})
	}
	all := series(t, s)
	for bound, want := range map[string]float64{"0.0005": 3, "0.001": 5, "0.0025": 5, "30": 5, "60": 6} {
		if got := all[`request_duration_seconds_bucket{api="orders",le="`+bound+`"}`]; got != want {
			t.Errorf("up to %s s: %v, want %v", bound, got, want)
		}
	}
	if n := all[`request_duration_seconds_count{api="orders"}`]; n != 8 {
		t.Errorf("count %v", n)
	}
	if sum := all[`request_duration_seconds_sum{api="orders"}`]; sum < 1080120.002 || sum > 1080120.003 { // less than nothing is nothing
		t.Errorf("sum %v", sum)
	}
}

func TestNilCountsNothing(t *testing.T) {
	t.Parallel()
	var s *metrics.Set
	s.Reloaded(true, 1)
	s.Retain(slices.Values([]string{"public"}), nil, nil)
	if families, err := s.Gatherer().Gather(); len(families) != 0 || err != nil {
		t.Errorf("%d families, %v", len(families), err)
	}
	if s.Listener("public") != nil || s.API("") != nil || s.Target("shop", "one") != nil {
		t.Error("a nil set has handles")
	}
	use(nil, nil, nil)
	use(metrics.New("").Listener("unknown"), metrics.New("").API("unknown"), metrics.New("").Target("unknown", "unknown"))
}

// use calls every method once, and leaves nothing open.
func use(l *metrics.Listener, a *metrics.API, target *metrics.Target) {
	l.Opened()
	l.Handshake(tls.VersionTLS13, true, metrics.HandshakeOK, time.Millisecond)
	l.RequestBegan()
	a.Decided(l, metrics.Allow, "ok")
	target.Attempted("", false, time.Millisecond)
	a.StreamOpened()
	a.StreamCut("certificate_revoked")
	a.StreamClosed()
	a.Answered(metrics.Exchange{Method: "GET", Status: 200, Took: time.Millisecond, In: 1, Out: 1})
	l.RequestEnded()
	l.HTTP2Error("ping")
	l.Closed(metrics.ClosedByClient)
	l.Refused(metrics.ListenerFull)
	target.Down()
	target.Up()
}

func TestNamesThatAreNoTextBreakNoScrape(t *testing.T) {
	t.Parallel()
	s := metrics.New("v\xff")
	s.Retain(slices.Values([]string{"l\xff", "l\xfe"}), slices.Values([]string{"a\xff"}), pairs(pair{"u\xff", "t\xff"}))
	use(s.Listener("l\xff"), s.API("a\xff"), s.Target("u\xff", "t\xff"))
	s.Listener("l\xfe").Opened()
	all := series(t, s)
	for _, key := range []string{
		`connections_total{listener="\"l\\xff\""}`, `connections_total{listener="\"l\\xfe\""}`,
		`request_bytes_total{api="\"a\\xff\""}`, `upstream_target_up{target="\"t\\xff\"",upstream="\"u\\xff\""}`,
	} {
		if all[key] != 1 {
			t.Errorf("no %s in %q", key, slices.Sorted(maps.Keys(all)))
		}
	}
}

func TestTheNamesAreAsPrometheusWantsThem(t *testing.T) {
	t.Parallel()
	s := newSet()
	s.Reloaded(true, 1)
	use(s.Listener("public"), s.API("orders"), s.Target("shop", "one"))
	var ours []string
	for key := range series(t, s) {
		name, _, _ := strings.Cut(key, "{")
		ours = append(ours, "sallyport_"+name)
	}
	problems, err := testutil.GatherAndLint(s.Gatherer(), ours...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestNoFirstUseIsLostWhenManyComeAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, workers = 500, 4
	s := newSet()
	a := s.API("orders")
	for round := range rounds {
		var counting sync.WaitGroup
		start := make(chan struct{})
		for range workers {
			counting.Go(func() {
				<-start
				a.Decided(nil, metrics.Allow, fmt.Sprint("reason_", round))
			})
		}
		close(start)
		counting.Wait()
	}
	for key, n := range having(t, s, "client_auth") {
		if n != workers {
			t.Errorf("%s = %v, want %v", key, n, workers)
		}
	}
}

func TestNoDurationIsLostWhenManyEndAtOnce(t *testing.T) {
	t.Parallel()
	const workers, each = 4, 200_000
	s := newSet()
	a := s.API("orders")
	var counting sync.WaitGroup
	start := make(chan struct{})
	for range workers {
		counting.Go(func() {
			<-start
			for range each {
				a.Answered(metrics.Exchange{Method: "GET", Status: 200, Took: time.Second})
			}
		})
	}
	close(start)
	counting.Wait()
	if sum := series(t, s)[`request_duration_seconds_sum{api="orders"}`]; sum != workers*each {
		t.Errorf("sum %v, want %v", sum, workers*each)
	}
}

func TestNothingIsLostWhenManyCountAtOnce(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 500
	s := newSet()
	var counting, reloading sync.WaitGroup
	for range workers {
		counting.Go(func() {
			for i := range each {
				a := s.API("orders")
				use(s.Listener("public"), a, s.Target("shop", "one"))
				a.Decided(s.Listener("public"), metrics.Deny, fmt.Sprint("reason_", i%20))
			}
		})
	}
	done := make(chan struct{})
	reloading.Go(func() {
		for {
			select {
			case <-done:
				return
			default: // everything stays
				retainAll(s)
				series(t, s)
			}
		}
	})
	counting.Wait()
	close(done)
	reloading.Wait()
	all, want := series(t, s), float64(workers*each)
	for key, want := range map[string]float64{
		`open_connections{listener="public"}`:                                               0,
		`requests_in_flight{listener="public"}`:                                             0,
		`open_streams{api="orders"}`:                                                        0,
		`connections_total{listener="public"}`:                                              want,
		`requests_total{api="orders",code="200",method="GET"}`:                              want,
		`request_duration_seconds_count{api="orders"}`:                                      want,
		`upstream_attempts_total{result="ok",target="one",upstream="shop"}`:                 want,
		`client_auth_total{api="orders",listener="public",reason="ok",result="allow"}`:      want,
		`client_auth_total{api="orders",listener="public",reason="reason_7",result="deny"}`: want / 20,
	} {
		if got, ok := all[key]; got != want || !ok {
			t.Errorf("%s = %v (shown %v), want %v", key, got, ok, want)
		}
	}
	if sum := all[`request_duration_seconds_sum{api="orders"}`]; sum < 3.99 || sum > 4.01 {
		t.Errorf("sum of the durations %v, want 4", sum)
	}
}
