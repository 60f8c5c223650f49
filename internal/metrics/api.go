package metrics

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// API counts what happens to the requests of one API, or to those that belong to none. A nil API counts nothing.
type API struct {
	label string
	life  life
	used  atomic.Pointer[apiSeries]
}

// apiSeries is what an API has counted. Most of a hundred thousand APIs have none.
type apiSeries struct {
	decisions counts[decision]
	answers   counts[answer]
	in, out   atomic.Uint64
	duration  histogram
	streamed  atomic.Bool // a stream was opened
	streams   atomic.Int64
	cut       counts[string]
}

// decision tells the counters of client_auth_total of one API apart.
type decision struct {
	listener *Listener
	outcome  Outcome
	reason   string
}

// answer tells the counters of requests_total of one API apart.
type answer struct {
	method method
	code   uint16 // 0 for no answer
}

// Exchange is a request that ended and what became of it.
type Exchange struct {
	Method string        // as the client sent it
	Status int           // what was answered; anything that is not of three digits stands for no answer
	Took   time.Duration // from the head of the request to the end of the answer
	In     int64         // bytes of the request's body that were read; less than zero is zero
	Out    int64         // bytes of the answer's body that were written; less than zero is zero
	Stream bool          // a long-lived exchange, whose duration says nothing about how fast the API is
}

// Decided counts a request that was judged, on the listener that it came in by. A nil listener has the empty label.
// reason is the decision's word; with Observed the one that would have refused.
func (a *API) Decided(l *Listener, outcome Outcome, reason string) {
	if a == nil {
		return
	}
	if outcome >= outcomes {
		outcome = Deny
	}
	lazily(&a.used).decisions.of(decision{listener: l, outcome: outcome, reason: reason}).Add(1)
}

// Answered counts a request that ended, refused ones included.
func (a *API) Answered(x Exchange) {
	if a == nil {
		return
	}
	key := answer{method: methodOf(x.Method)}
	if x.Status >= 100 && x.Status <= 999 {
		key.code = uint16(x.Status)
	}
	s := lazily(&a.used)
	s.answers.of(key).Add(1)
	s.in.Add(uint64(max(x.In, 0)))
	s.out.Add(uint64(max(x.Out, 0)))
	if !x.Stream {
		s.duration.observe(x.Took)
	}
}

// StreamOpened counts a long-lived exchange that is open. Exactly one StreamClosed has to follow.
func (a *API) StreamOpened() {
	if a == nil {
		return
	}
	s := lazily(&a.used)
	s.streams.Add(1)
	s.streamed.Store(true)
}

// StreamClosed counts the end of an exchange that StreamOpened counted, whoever ended it.
func (a *API) StreamClosed() {
	if a == nil {
		return
	}
	lazily(&a.used).streams.Add(-1)
}

// StreamCut counts a long-lived exchange that the gateway ends, with the reason as a word of a closed set. It does not
// stand for StreamClosed.
func (a *API) StreamCut(reason string) {
	if a == nil {
		return
	}
	lazily(&a.used).cut.of(reason).Add(1)
}

func (a *API) become(s stage) { a.life.become(s) }

func (a *API) shown() bool {
	var open int64
	if s := a.used.Load(); s != nil {
		open = s.streams.Load()
	}
	return a.life.shown(open)
}

// forgetListeners drops the counters of listeners that are shown no more.
func (a *API) forgetListeners() {
	if s := a.used.Load(); s != nil {
		s.decisions.forget(func(d decision) bool { return d.listener != nil && !d.listener.shown() })
	}
}

func (a *API) collect(out chan<- prometheus.Metric) {
	s := a.used.Load()
	if s == nil {
		return
	}
	for d, n := range s.decisions.all() {
		if d.listener == nil || d.listener.shown() {
			clientAuth.emit(out, float64(n.Load()), d.listener.label(), a.label, d.outcome.String(), d.reason)
		}
	}
	for k, n := range s.answers.all() {
		requests.emit(out, float64(n.Load()), a.label, k.method.String(), fmt.Sprintf("%03d", k.code))
	}
	requestBytes.emit(out, float64(s.in.Load()), a.label)
	responseBytes.emit(out, float64(s.out.Load()), a.label)
	s.duration.emit(requestDuration, out, a.label)
	if s.streamed.Load() {
		openStreams.emit(out, float64(s.streams.Load()), a.label)
	}
	for reason, n := range s.cut.all() {
		streamsCut.emit(out, float64(n.Load()), a.label, reason)
	}
}
