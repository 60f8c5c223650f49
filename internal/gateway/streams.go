package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/metrics"
)

// streams are the exchanges that are on their way. Those that may last, upgraded connections, gRPC and event streams, are judged
// again from the beginning, and any other once it is older than streamAge: their requests were judged when they began.
type streams struct {
	mu   sync.Mutex
	open map[*stream]struct{}
}

// stream is one exchange among them. Its zero value is nowhere.
type stream struct {
	x        *exchange
	cancel   context.CancelCauseFunc
	known    bool        // the backend was told who calls
	declared atomic.Bool // it is a stream by its kind
	endless  atomic.Bool // its request or its answer has no declared length: when it is old it is a stream, too
	moved    int64
	quiet    time.Duration // without a byte in either direction

	mu      sync.Mutex
	began   time.Time
	unblock func()            // ends what the handler may be waiting for, and waits for nobody; nil for nothing but the context
	why     string            // why it was cut; "" while it goes on
	cutAt   time.Time         // by which it was judged then
	refusal decision.Decision // with which it was cut; its reason is OK for another cause, and InternalError while it goes on
	over    bool
	metered bool
}

// streamAge is how long an exchange may last before it is judged again. Most are ordinary ones, and a reload should not touch
// those.
const streamAge = 10 * time.Second

// isEventStream reports whether a Content-Type is that of server-sent events. Media types have no case (RFC 9110, section
// 8.3.1).
func isEventStream(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(media, " \t"), "text/event-stream")
}

func (s *stream) begin(x *exchange, cancel context.CancelCauseFunc, declared bool) {
	s.x, s.cancel, s.known, s.began = x, cancel, x.outcome.Caller.Known(), time.Now()
	s.declared.Store(declared)
	s.endless.Store(x.request.ContentLength < 0)
}

// young reports whether it is too early to judge an exchange again.
func (s *stream) young() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.declared.Load() && time.Since(s.began) < streamAge
}

// verdict returns why the stream was cut, "" while it goes on.
func (s *stream) verdict() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// refused returns the decision by which the stream was cut, and the time that it was judged by; a decision that allows when
// it was not cut, or for another cause.
func (s *stream) refused() (decision.Decision, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		return decision.Decision{Reason: decision.OK}, time.Time{}
	}
	return s.refusal, s.cutAt
}

// waits tells how to end what the handler is going to wait for. unblock is called by the review of all streams, which must not
// wait for anybody.
func (s *stream) waits(unblock func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unblock = unblock
	if s.why != "" {
		unblock()
	}
}

// end cuts the stream. The handler writes the record.
func (s *stream) end(why, label string, refusal decision.Decision, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.why != "" {
		return
	}
	s.why, s.refusal, s.cutAt = why, refusal, at
	s.x.g.metrics.API(s.x.outcome.API.Series()).StreamCut(label)
	s.cancel(errCut)
	if s.unblock != nil {
		s.unblock()
		return
	}
	s.x.out.interrupt() // a client that takes nothing is not waited for
}

func (l *streams) add(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[*stream]struct{}{}
	}
	l.open[s] = struct{}{}
}

// remove takes a stream off the list; after it nothing here touches its connection.
func (l *streams) remove(s *stream) {
	if s.x == nil {
		return
	}
	l.mu.Lock()
	delete(l.open, s)
	l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.metered {
		s.x.g.metrics.API(s.x.outcome.API.Series()).StreamClosed()
	}
}

func (l *streams) all() []*stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*stream, 0, len(l.open))
	for s := range l.open {
		list = append(list, s)
	}
	return list
}

// review judges again what lasts, as its request would be judged now, and cuts what would be refused. since is how long ago
// the last review was. It waits for no client and no target: one that takes nothing would keep all others from being judged.
func (g *Gateway) review(since time.Duration) {
	snapshot := g.snapshot.Load()
	if snapshot == nil {
		return
	}
	now := g.clock.Now()
	for _, s := range g.streams.all() {
		if s.x.deserted() {
			s.cancel(errCut)
		}
		if s.young() {
			continue
		}
		x := s.x
		lasting := s.declared.Load() || s.endless.Load()
		if lasting {
			s.meter()
		}
		if lasting && s.silent(since) {
			s.end("nothing was sent in either direction for stream_idle_timeout", "idle", decision.Decision{Reason: decision.OK}, now)
			continue
		}
		l := x.conn.socket.current(snapshot)
		if l == nil {
			continue // it was removed: the stream ends with its connection, at the end of the drain
		}
		d, fell := s.again(snapshot, l, now, lasting)
		if d.Allowed() {
			continue
		}
		if fell {
			x.conn.retire(metrics.ClosedEvidence)
		}
		s.end(fmt.Sprintf("judged again: %s %s", d.Reason, d.Detail), d.Reason.String(), d, now)
	}
}

// again judges an exchange as its request would be judged now. An ordinary exchange is refused only when its own API refuses the
// caller's certificate. In one that lasts, a caller of whom the backend was told who it is has to be still the same: one that
// would pass as anonymous now is refused for what its certificate would be if one were demanded. fell is the outcome's.
func (s *stream) again(snapshot *Snapshot, l *listener, now time.Time, lasting bool) (d decision.Decision, fell bool) {
	v := s.x.view
	v.Listener, v.Now = l.Listener, now
	o := snapshot.rules.Decide(&v, nil)
	switch {
	case !lasting && (o.Allowed() || !aboutCaller(o.Reason) || o.API.Series() != s.x.outcome.API.Series()):
		return decision.Decision{Reason: decision.OK}, false
	case !o.Allowed():
		return o.Decision, o.Fell
	case !s.known || o.Caller.Known(): // the connection has one certificate, so it is the same caller
		return o.Decision, false
	}
	d = o.Overlooked(&v)
	d.Detail = "the backend was told who calls, and the caller would be anonymous now: " + d.Detail
	return d, false
}

// aboutCaller reports whether a reason is about the caller's certificate, and not about where the request goes.
func aboutCaller(r decision.Reason) bool {
	return r >= decision.CertificateMissing && r <= decision.CertificateDenied
}

// meter counts a stream once it is known to be one.
func (s *stream) meter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.metered && !s.over {
		s.metered = true
		s.x.g.metrics.API(s.x.outcome.API.Series()).StreamOpened()
	}
}

// counted reports whether the metrics know it for a stream.
func (s *stream) counted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metered
}

// silent reports whether nothing has moved for too long. Only review calls it.
func (s *stream) silent(since time.Duration) bool {
	moved := s.x.body.read.Load() + s.x.out.written.Load()
	if moved != s.moved {
		s.moved, s.quiet = moved, 0
		return false
	}
	s.quiet += since
	return s.x.bounds.StreamIdle > 0 && s.quiet > s.x.bounds.StreamIdle
}
