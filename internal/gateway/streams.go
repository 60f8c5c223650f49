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

// streams are the exchanges that may last: upgraded connections, gRPC, event streams, and bodies of no declared length. They
// are judged again while they last, because their requests were judged when they began.
type streams struct {
	mu   sync.Mutex
	open map[*stream]struct{}
}

// stream is one exchange among them. Its zero value is nowhere.
type stream struct {
	x        *exchange
	cancel   context.CancelCauseFunc
	declared atomic.Bool // it is one by its kind, not by its length alone
	moved    int64
	quiet    time.Duration // without a byte in either direction

	mu      sync.Mutex
	unblock func()            // ends what the handler may be waiting for; nil for nothing but the context
	why     string            // why it was cut; "" while it goes on
	refusal decision.Decision // with which it was cut; its reason is OK for another cause, and InternalError while it goes on
	over    bool
	metered bool
}

// streamAge is how long an exchange whose request or answer has no declared length may last before it counts as a stream. Most are ordinary pages, and a
// reload should not touch those.
const streamAge = 10 * time.Second

// isEventStream reports whether a Content-Type is that of server-sent events. Media types have no case (RFC 9110, section
// 8.3.1).
func isEventStream(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(media, " \t"), "text/event-stream")
}

func (s *stream) begin(x *exchange, cancel context.CancelCauseFunc, declared bool) {
	s.x, s.cancel = x, cancel
	s.declared.Store(declared)
}

// verdict returns why the stream was cut, "" while it goes on.
func (s *stream) verdict() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// refused returns the decision by which the stream was cut, one that allows when it was not, or for another cause.
func (s *stream) refused() decision.Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		return decision.Decision{Reason: decision.OK}
	}
	return s.refusal
}

// waits tells how to end what the handler is going to wait for.
func (s *stream) waits(unblock func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unblock = unblock
	if s.why != "" {
		unblock()
	}
}

// end cuts the stream. The handler writes the record.
func (s *stream) end(why, label string, refusal decision.Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.why != "" {
		return
	}
	s.why, s.refusal = why, refusal
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

// review judges every stream again, as its request would be judged now, and cuts those that would be refused. since is how
// long ago the last review was.
func (g *Gateway) review(since time.Duration) {
	snapshot := g.snapshot.Load()
	if snapshot == nil {
		return
	}
	now := g.clock.Now()
	for _, s := range g.streams.all() {
		x := s.x
		if !s.declared.Load() && time.Since(x.record.start) < streamAge {
			continue
		}
		s.meter()
		if s.silent(since) {
			s.end("nothing was sent in either direction for stream_idle_timeout", "idle", decision.Decision{Reason: decision.OK})
			continue
		}
		l := x.conn.socket.current(snapshot)
		if l == nil {
			continue // it was removed: the stream ends with its connection, at the end of the drain
		}
		v := x.view
		v.Listener, v.Now = l.Listener, now
		o := snapshot.rules.Decide(&v, nil)
		if o.Allowed() {
			continue
		}
		if o.Fell {
			x.conn.retire(metrics.ClosedEvidence)
		}
		s.end(fmt.Sprintf("judged again: %s %s", o.Reason, o.Detail), o.Reason.String(), o.Decision)
	}
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
