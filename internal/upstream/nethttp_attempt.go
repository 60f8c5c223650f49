package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// attempt is one request to one target.
type attempt struct {
	upstream *Upstream
	lease    lease
	pool     *pool
	request  *http.Request // the caller's
	body     *requestBody
	upgrade  bool
	retry    bool
	fresh    bool // no kept connection will do, because one has failed

	cancel  context.CancelCauseFunc
	conn    atomic.Pointer[conn] // HTTP/1.1: the connection, once there is one
	stream  *stream              // HTTP/2: what is known instead; nil for HTTP/1.1
	reused  atomic.Bool          // the connection had carried other requests
	sent    atomic.Bool          // net/http has all of the request
	early   int                  // answers of the 100 class; used by the goroutine that reads them alone
	stopped atomic.Pointer[stop] // why the gateway itself ended the attempt
	settled atomic.Bool          // RoundTrip has returned
	guard   *time.Timer          // nil when net/http's own timeouts are enough

	// What each attempt needs is allocated with it.
	scope  scope
	trace  httptrace.ClientTrace
	url    url.URL
	reply  Reply
	answer replyBody
}

// stop is why the gateway ended an attempt, or an HTTP/2 connection.
type stop struct {
	cause Cause
	err   error
}

// scope is the context of an attempt. Whoever opens a connection finds the attempt in it.
type scope struct {
	context.Context //nolint:containedctx // it is a context itself
	attempt         *attempt
}

type scopeKey struct{}

// Value returns the attempt, or what the caller's context has.
func (s *scope) Value(key any) any {
	if key == (scopeKey{}) {
		return s.attempt
	}
	return s.Context.Value(key)
}

// stream is what an attempt knows about its HTTP/2 stream. The connection belongs to others as well.
type stream struct {
	conn   atomic.Pointer[h2Conn] // nil before there was one
	id     atomic.Uint32          // of the stream; 0 before the header was sent
	headed atomic.Bool            // the header was sent, or a part of it
	began  atomic.Bool            // something of an answer came
	said   atomic.Uint32          // its fate, when the attempt is over

	mu    sync.Mutex
	ready chan struct{} // closed when there is a connection, or when none is needed any more; nil when nobody asked
	taken bool          // ready is closed, or would be
	over  bool          // nobody will ask about the stream
	known chan struct{} // closed when its number is known; nil when nobody waits for that
}

// want says that a connection is looked for, perhaps because the one before could not be used.
func (s *stream) want() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken {
		s.ready, s.taken = nil, false
	}
}

// needs returns what is closed when no connection needs to be opened.
func (s *stream) needs() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready == nil {
		s.ready = make(chan struct{})
		if s.taken {
			close(s.ready)
		}
	}
	return s.ready
}

// take says that there is a connection, or that none is needed any more.
func (s *stream) take() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready != nil && !s.taken {
		close(s.ready)
	}
	s.taken = true
}

// fate says what the target has said about the stream.
func (s *stream) fate() fate {
	c, id := s.conn.Load(), s.id.Load()
	if c == nil || id == 0 {
		return fate(s.said.Load()) //nolint:gosec // G115: it was one
	}
	f, _ := c.fateOf(id)
	return f
}

// ended reports whether the target has said all that it will. Something of its answer is there, so the number of the stream
// is about to be known.
func (s *stream) ended() bool {
	s.mu.Lock()
	if !s.headed.Load() && s.known == nil {
		s.known = make(chan struct{})
	}
	known := s.known
	s.mu.Unlock()
	if known != nil {
		patience := time.NewTimer(time.Second) // somebody may answer half a header
		defer patience.Stop()
		select {
		case <-known:
		case <-patience.C:
		}
	}
	c, id := s.conn.Load(), s.id.Load()
	if c == nil || id == 0 {
		return false
	}
	_, ended := c.fateOf(id)
	return ended
}

// fault returns why we ended the connection, nil when we did not.
func (s *stream) fault() *stop {
	if c := s.conn.Load(); c != nil {
		return c.fault.Load()
	}
	return nil
}

// wroteHeaders is called when the header was sent. Nothing else is written meanwhile.
func (s *stream) wroteHeaders() {
	c := s.conn.Load()
	id := c.newestStream()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.headed.Store(true); s.over {
		c.forget(id)
	} else {
		s.id.Store(id)
	}
	if s.known != nil {
		close(s.known)
	}
}

// end lets the connection forget the stream.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	c, id := s.conn.Load(), s.id.Load()
	if c == nil || id == 0 {
		return
	}
	f, _ := c.fateOf(id)
	s.said.Store(uint32(f))
	s.id.Store(0)
	c.forget(id)
}

func (u *Upstream) newAttempt(r *http.Request, body *requestBody, o Options, l lease) *attempt {
	l.target.names.refresh(time.Now())
	return &attempt{upstream: u, lease: l, pool: l.target.pool.Load(), request: r, body: body, upgrade: o.Upgrade}
}

// send carries the attempt out. A reply has the lease; after a failure the caller has to end it.
func (a *attempt) send() (*Reply, *Failure) {
	u, t := a.upstream, a.lease.target
	began := time.Now()
	out := a.outgoing()
	a.watch()
	response, err := a.pool.http.RoundTrip(out)
	a.settle()
	if err == nil {
		if fault := a.distrusts(response); fault != nil {
			a.stop(CauseProtocol, fault)
			_ = response.Body.Close() // what it says does not matter any more
			err = fault
		}
	}
	if err != nil {
		cause, err := a.causeOf(err)
		a.blame(cause)
		a.end()
		u.events.Attempt(u.config.Name, t.String(), cause, a.retry, time.Since(began))
		return nil, a.failure(cause, err)
	}
	t.succeeded(&a.lease.ticket)
	a.body.commit()
	u.events.Attempt(u.config.Name, t.String(), "", a.retry, time.Since(began))
	return a.replyWith(response), nil
}

// outgoing makes the request that net/http sends.
func (a *attempt) outgoing() *http.Request {
	t := a.lease.target
	ctx := a.request.Context()
	a.trace.GotConn = a.gotConn
	if a.body.some() {
		a.trace.WroteRequest = func(info httptrace.WroteRequestInfo) { a.sent.Store(info.Err == nil) }
	} else {
		a.sent.Store(true)
	}
	a.trace.Got1xxResponse = a.gotEarly
	if a.upstream.config.Protocol == HTTP2 {
		s := &stream{}
		a.trace.GetConn = func(string) { s.want() }
		a.trace.WroteHeaders = s.wroteHeaders
		a.trace.GotFirstResponseByte = func() { s.began.Store(true) }
		a.stream = s
	}
	ctx, a.cancel = context.WithCancelCause(ctx)
	a.scope = scope{ctx, a}
	a.url = url.URL{
		Scheme: t.Scheme, Host: t.Authority, Opaque: t.BasePath + a.request.URL.Opaque,
		RawQuery: a.request.URL.RawQuery, ForceQuery: a.request.URL.ForceQuery,
	}
	out := a.request.WithContext(httptrace.WithClientTrace(&a.scope, &a.trace))
	out.URL = &a.url
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1
	out.RequestURI, out.GetBody, out.Response, out.Close, out.TransferEncoding = "", nil, nil, false, nil
	out.Body = http.NoBody
	if a.body.some() {
		out.Body, out.GetBody = a.body.again(), a.rewind
	}
	return out
}

// rewind is called when net/http looks for another connection for a request with a body.
func (a *attempt) rewind() (io.ReadCloser, error) {
	if wrote, _ := a.progress(); wrote || a.body.spent() {
		return nil, errCutOff
	}
	return a.body.again(), nil
}

// gotConn is called when the request has a connection, before anything is sent on it; once more when that turns out to be
// dead. net/http would then send a request again that it calls idempotent, once for each connection that it has kept.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	if wrote, _ := a.progress(); wrote {
		a.stop(CauseReset, errCutOff)
		if c, ok := info.Conn.(*conn); ok {
			_ = c.Close() // nothing may be written on it until net/http notices
		}
		return
	}
	a.reused.Store(info.Reused)
	switch c := info.Conn.(type) {
	case *conn:
		if a.body.some() {
			a.body.touch()
		}
		a.conn.Store(c)
		var lost func()
		if turn := a.body.turnOf(); a.body.some() {
			lost = func() {
				if a.conn.Load() == c { // or net/http has found another one
					a.body.interrupt(turn)
				}
			}
		}
		c.begin(a.request.Method == http.MethodHead, lost)
		if a.fresh && info.Reused {
			_ = c.Close() // nothing was written, so net/http looks for another
		}
	case *h2Conn:
		a.gotH2Conn(c)
	}
}

// gotH2Conn waits for the target's settings: net/http would assume that the target takes a hundred streams, and those that
// are too many are refused. When they have come, net/http opens other connections for what does not fit.
func (a *attempt) gotH2Conn(c *h2Conn) {
	a.stream.conn.Store(c)
	a.stream.take()
	select {
	case <-c.begun:
	case <-a.scope.Done():
		return
	}
	if why := c.stillborn(); why != nil {
		a.stop(why.cause, why.err)
		return
	}
	if a.body.some() {
		a.body.touchFirst() // connections without a free stream are no progress
	}
}

// MaxEarly bounds how many answers of the 100 class a target may send before the final one. A trace may see a few more.
const MaxEarly = 16

// gotEarly is called for each of them.
func (a *attempt) gotEarly(code int, _ textproto.MIMEHeader) error {
	a.early++
	switch {
	case a.early > MaxEarly:
		a.stop(CauseProtocol, errEndlessEarly)
	case code == http.StatusSwitchingProtocols: // over HTTP/2, which has no such thing (RFC 9113 section 8.6)
		a.stop(CauseProtocol, errSwitched)
	default:
		return nil
	}
	return a.stopped.Load().err
}

// settle ends what lasts as long as RoundTrip.
func (a *attempt) settle() {
	a.settled.Store(true)
	if a.guard != nil {
		a.guard.Stop()
	}
	if a.stream != nil {
		a.stream.take()
	}
}

// end lets go of the connection.
func (a *attempt) end() {
	a.cancel(nil)
	if a.stream != nil {
		a.stream.end()
	}
	a.pool.done()
}

// stop ends the attempt from our side.
func (a *attempt) stop(cause Cause, why error) {
	a.stopped.CompareAndSwap(nil, &stop{cause, why})
	a.cancel(why)
	if c := a.conn.Load(); c != nil {
		_ = c.Close() // there is nobody to tell
	}
}

func (a *attempt) failure(cause Cause, err error) *Failure {
	return &Failure{Upstream: a.upstream.config.Name, Target: a.lease.target.String(), Cause: cause, Err: err}
}

// blame tells the target's health about a failure. A connection that ended while the caller was still sending may have
// ended because the caller was slow. One that was kept may end at any time, and one of HTTP/2 says so before. When the
// target does not like the frames of one request, that may be the doing of the caller. And a target that refuses one stream
// while it serves others has only had too many, but one that refuses the only stream serves nobody.
func (a *attempt) blame(cause Cause) {
	ours := a.connectionFailed(cause) || cause == CauseReset && !a.sent.Load()
	if a.stream != nil {
		f := a.stream.fate()
		ours = ours && f != refused || f == malformed || f == crowded
	}
	if cause.blamesTarget() && !ours {
		a.lease.target.failed(&a.lease.ticket, cause)
		return
	}
	a.lease.target.health.abandoned(&a.lease.ticket)
}

var (
	errNotTaken     = errors.New("the target did not take the request's body")
	errNoAnswer     = errors.New("no response, whatever was tried")
	errCutOff       = errors.New("the connection ended before any answer")
	errNotKept      = errors.New("the connection was kept and could not be used any more")
	errEndlessEarly = errors.New("the target sends 1xx answers without end")
	errSwitched     = errors.New("the target changes the protocol, which HTTP/2 cannot")
	errUnseen       = errors.New("the target closes the connection and has not looked at the request: GOAWAY")
	errRefused      = errors.New("the target refuses the stream and has not looked at the request: REFUSED_STREAM")
	errMalformed    = errors.New("the target resets the stream: PROTOCOL_ERROR")
)

// watch guards what net/http does not. It has no limit on how long a target may refuse to take a body, and over HTTP/2
// none on how long it may refuse to take a request.
func (a *attempt) watch() {
	config := &a.upstream.config
	switch {
	case a.body.some():
		a.guard = time.AfterFunc(time.Hour, a.watchBody) // Reset orders the write of the field before the call
		a.guard.Reset(config.PauseTimeout)
	case a.stream != nil:
		a.guard = time.AfterFunc(config.ConnectTimeout+config.ResponseTimeout, func() { a.stop(CauseTimeout, errNoAnswer) })
	}
}

// watchBody ends the attempt when the target has not taken anything for too long. While the caller has to send more, it
// is not the target that everybody waits for.
func (a *attempt) watchBody() {
	config := &a.upstream.config
	limit := config.PauseTimeout
	if a.sent.Load() {
		limit += config.ResponseTimeout // net/http's own runs from the time when the last of it is written
	}
	idle, connected := a.body.idle()
	switch {
	case a.settled.Load():
	case connected && idle >= limit:
		a.stop(CauseStalled, errNotTaken)
	default:
		a.guard.Reset(max(limit-idle, time.Millisecond))
	}
}

// repeatable reports whether the request may be sent again: nothing can have happened, or it does no harm twice.
func (a *attempt) repeatable(cause Cause) bool {
	if a.upstream.config.NoRetry || a.request.Context().Err() != nil || a.body.spent() {
		return false
	}
	wrote, began := a.progress()
	harmless := !began && !a.upgrade && !a.body.some() && idempotent(a.request.Method)
	switch cause {
	case CauseResolve, CauseConnect, CauseTLS: // net/http may look for another connection for what it has sent already
		return !wrote || harmless
	case CauseProtocol:
		return !wrote && !began
	case CauseReset:
		return !wrote || harmless || a.leftAlone()
	case CauseTimeout, CauseStalled, CauseFull, CauseCanceled, CauseRequest, CauseRequestBody:
		return false
	}
	return false
}

// leftAlone reports whether the target has said that it did not look at the request.
func (a *attempt) leftAlone() bool {
	if a.stream == nil {
		return false
	}
	f := a.stream.fate()
	return f == unseen || f == refused || f == crowded
}

// connectionFailed reports whether it was a connection that failed rather than the target: one that was kept and that the
// target closed, or wrote to, before it answered; or one of HTTP/2 that ended before the request was on it, or with a word
// about what was left alone. Then the same target will do.
func (a *attempt) connectionFailed(cause Cause) bool {
	wrote, began := a.progress()
	switch {
	case cause != CauseReset || began:
		return false
	case a.stream != nil:
		return !wrote || a.leftAlone()
	}
	return a.reused.Load()
}

// unused reports whether an attempt found only a kept connection that could not be used any more.
func (a *attempt) unused(cause Cause) bool {
	wrote, _ := a.progress()
	return !wrote && a.stream == nil && a.connectionFailed(cause)
}

// progress reports whether something of the request was sent and something of an answer came.
func (a *attempt) progress() (wrote, began bool) {
	if a.stream != nil {
		return a.stream.headed.Load(), a.stream.began.Load()
	}
	if c := a.conn.Load(); c != nil {
		s := c.look()
		return s.wrote, s.began
	}
	return false, false
}

// idempotent reports whether a method may be repeated (RFC 9110 section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
