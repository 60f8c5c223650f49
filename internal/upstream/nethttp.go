package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Options say how a request is sent. The zero value is an ordinary request.
type Options struct {
	// Upgrade says that the request asks for another protocol on its connection and that the answer may be 101.
	Upgrade bool
}

// Send sends a request to one of the upstream's targets and returns the answer when its header is there. A request that
// failed before anything of it was sent, and one without a body and with an idempotent method (RFC 9110 section 9.2.2)
// that was cut off before any answer, goes to one other target, or to the same one where only a kept connection was
// dead. Nothing is sent a second time after a timeout.
//
// r says the method, the header, the body with its ContentLength and Trailer, and the Host; an empty Host stands for the
// target's own. r.URL.Opaque is the path, which reaches the target behind its base path byte for byte; RawQuery and
// ForceQuery are the query. Send looks at nothing else of the URL and changes nothing in r. It always closes the body,
// as an http.RoundTripper does, perhaps after it has returned, and perhaps while it is read from: a body whose Close ends
// such a read lets Send return as soon as a target is gone. The context of r governs the request and, until it is closed,
// the body of its answer; a trace in it (httptrace) sees informational responses.
//
// An error is a *Failure. The caller closes the body of the reply's response.
func (u *Upstream) Send(r *http.Request, o Options) (*Reply, error) {
	body := newRequestBody(r)
	if failure := u.refuses(r, o); failure != nil {
		body.finish()
		return nil, failure
	}
	l, cause := u.acquire(r.Context(), time.Now())
	if cause != "" {
		body.finish()
		return nil, u.noLease(r.Context(), cause)
	}
	a := u.newAttempt(r, body, o, l)
	reply, failure := a.send()
	if failure != nil && a.repeatable(failure.Cause) {
		not := a.lease.target
		if a.connectionFailed(failure) {
			not = nil
		}
		if l, ok := u.pick(time.Now(), not); ok {
			a = u.newAttempt(r, body, o, l)
			a.retry = true
			reply, failure = a.send()
		}
	}
	if failure != nil {
		body.finish()
		return nil, failure
	}
	return reply, nil
}

// refuses says what is wrong with a request before it has a target.
func (u *Upstream) refuses(r *http.Request, o Options) *Failure {
	refusal := &Failure{Upstream: u.config.Name, Cause: CauseRequest}
	switch {
	case len(u.targets) == 0:
		refusal.Cause, refusal.Err = CauseConnect, errors.New("there are no targets")
	case r.URL == nil || !strings.HasPrefix(r.URL.Opaque, "/") || strings.HasPrefix(r.URL.Opaque, "//"):
		refusal.Err = errors.New("the path does not begin with one slash")
	case r.Method == http.MethodConnect:
		refusal.Err = errors.New("CONNECT asks for a tunnel to somewhere else")
	case o.Upgrade && u.config.Protocol == HTTP2:
		refusal.Cause, refusal.Err = CauseProtocol, errors.New("changing the protocol of a connection needs HTTP/1.1, and the targets speak HTTP/2")
	default:
		return nil
	}
	return refusal
}

func (u *Upstream) noLease(ctx context.Context, cause Cause) *Failure {
	f := &Failure{Upstream: u.config.Name, Cause: cause, Err: context.Cause(ctx)}
	if cause == CauseFull {
		f.Err = fmt.Errorf("every target has %d requests, and none ended within %s", u.config.Max, u.config.QueueTimeout)
	}
	return f
}

// attempt is one request to one target.
type attempt struct {
	upstream *Upstream
	lease    lease
	pool     *pool
	request  *http.Request // the caller's
	body     *requestBody
	upgrade  bool
	retry    bool

	conn    atomic.Pointer[conn]  // HTTP/1.1: the connection, once there is one
	stream  *stream               // HTTP/2: what is known instead; nil for HTTP/1.1
	reused  atomic.Bool           // the connection had carried other requests
	sent    atomic.Bool           // net/http has all of the request
	stopped atomic.Pointer[error] // why the gateway itself ended the attempt
	settled atomic.Bool           // RoundTrip has returned
	guard   *time.Timer           // nil when net/http's own timeouts are enough

	// What each attempt needs is allocated with it.
	trace  httptrace.ClientTrace
	url    url.URL
	reply  Reply
	answer replyBody
}

// stream is what an attempt knows about its HTTP/2 stream. The connection belongs to others as well.
type stream struct {
	cancel context.CancelCauseFunc
	ready  chan struct{} // closed when there is a connection, or when none is needed any more
	taken  bool          // ready is closed; used by the goroutine of RoundTrip alone
	clear  *h2cConn      // the connection when it is without TLS; used as taken is

	connected bool        // there was a connection; used as taken is
	headed    atomic.Bool // the header was sent, or a part of it
	began     atomic.Bool // something of an answer came
}

// streamKey finds the stream in the context of a connection that is opened.
type streamKey struct{}

func (s *stream) take() {
	if !s.taken {
		s.taken = true
		close(s.ready)
	}
}

func (s *stream) isReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

func (u *Upstream) newAttempt(r *http.Request, body *requestBody, o Options, l lease) *attempt {
	l.target.names.refresh(time.Now())
	return &attempt{upstream: u, lease: l, pool: l.target.pool.Load(), request: r, body: body, upgrade: o.Upgrade}
}

// send carries the attempt out. The lease ends here unless there is a reply, which has it then.
func (a *attempt) send() (*Reply, *Failure) {
	u, t := a.upstream, a.lease.target
	began := time.Now()
	out := a.outgoing()
	a.watch()
	response, err := a.pool.http.RoundTrip(out)
	a.settle()
	var failure *Failure
	if err != nil {
		failure = a.failure(a.causeOf(err), err)
	} else if fault := a.distrusts(response); fault != nil {
		a.stop(fault)
		_ = response.Body.Close() // what it says does not matter any more
		failure = a.failure(CauseProtocol, fault)
	}
	if failure != nil {
		if a.stream != nil && strings.Contains(failure.Err.Error(), "PROTOCOL_ERROR; received from peer") { // net/http has no type for it
			a.lease.target.health.abandoned(&a.lease.ticket) // the target refused this request: it may be the caller's doing
		} else {
			a.blame(failure.Cause)
		}
		a.end()
		u.events.Attempt(u.config.Name, t.String(), failure.Cause, a.retry, time.Since(began))
		return nil, failure
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
	if a.upstream.config.Protocol == HTTP2 {
		s := &stream{ready: make(chan struct{})}
		a.trace.WroteHeaders = func() { s.headed.Store(true) }
		a.trace.GotFirstResponseByte = func() { s.began.Store(true) }
		ctx, s.cancel = context.WithCancelCause(context.WithValue(ctx, streamKey{}, s))
		a.stream = s
	}
	a.url = url.URL{
		Scheme: t.Scheme, Host: t.Authority, Opaque: t.BasePath + a.request.URL.Opaque,
		RawQuery: a.request.URL.RawQuery, ForceQuery: a.request.URL.ForceQuery,
	}
	out := a.request.WithContext(httptrace.WithClientTrace(ctx, &a.trace))
	out.URL = &a.url
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1
	out.RequestURI, out.GetBody, out.Response, out.Close, out.TransferEncoding = "", nil, nil, false, nil
	out.Body = http.NoBody
	if a.body.some() {
		a.body.again()
		out.Body = a.body
	}
	return out
}

// gotConn is called when the request has a connection, before anything is sent on it; twice when the first turns out to
// be dead.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	a.reused.Store(info.Reused)
	var lost func()
	if a.body.some() {
		a.body.touch()
		lost = a.body.interrupt
	}
	switch c := info.Conn.(type) {
	case *conn:
		c.begin(a.request.Method == http.MethodHead, lost)
		a.conn.Store(c)
	case *h2cConn:
		a.stream.clear = c
	}
	if a.stream != nil {
		a.stream.connected = true
		a.stream.take()
	}
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

// end gives the slot back and lets go of the connection.
func (a *attempt) end() {
	if a.stream != nil {
		a.stream.cancel(nil)
	}
	a.pool.done()
	a.lease.release()
}

// stop ends the attempt from our side.
func (a *attempt) stop(why error) {
	a.stopped.CompareAndSwap(nil, &why)
	if a.stream != nil {
		a.stream.cancel(why)
	} else if c := a.conn.Load(); c != nil {
		_ = c.Close() // there is nobody to tell
	}
}

func (a *attempt) failure(cause Cause, err error) *Failure {
	return &Failure{Upstream: a.upstream.config.Name, Target: a.lease.target.String(), Cause: cause, Err: err}
}

// blame tells the target's health about a failure. A connection that ended while the caller was still sending may have
// ended because the caller was slow.
func (a *attempt) blame(cause Cause) {
	if cause.blamesTarget() && (cause != CauseReset || a.sent.Load()) {
		a.lease.target.failed(&a.lease.ticket, cause)
		return
	}
	a.lease.target.health.abandoned(&a.lease.ticket)
}

var (
	errNotTaken = errors.New("the target did not take the request's body")
	errNoAnswer = errors.New("no response, whatever was tried")
)

// watch guards what net/http does not. It has no limit on how long a target may refuse to take a body, and over HTTP/2 it
// repeats requests that a target turns away, for more than a minute.
func (a *attempt) watch() {
	config := &a.upstream.config
	switch {
	case a.body.some():
		a.guard = time.AfterFunc(time.Hour, a.watchBody) // Reset orders the write of the field before the call
		a.guard.Reset(config.PauseTimeout)
	case a.stream != nil:
		a.guard = time.AfterFunc(config.ConnectTimeout+config.ResponseTimeout, func() { a.stop(errNoAnswer) })
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
		a.stop(errNotTaken)
	default:
		a.guard.Reset(max(limit-idle, time.Millisecond))
	}
}

// repeatable reports whether the request may go to another target.
func (a *attempt) repeatable(cause Cause) bool {
	if a.upstream.config.NoRetry || a.request.Context().Err() != nil || a.body.started() {
		return false
	}
	wrote, began := a.progress()
	switch cause {
	case CauseResolve, CauseConnect, CauseTLS: // over HTTP/2 net/http may open another connection for what it has sent already
		return !wrote && !began
	case CauseProtocol:
		return !wrote && !began
	case CauseReset:
		return !wrote || !began && !a.upgrade && !a.body.some() && idempotent(a.request.Method)
	case CauseTimeout, CauseStalled, CauseFull, CauseCanceled, CauseRequest, CauseRequestBody:
		return false
	}
	return false
}

// connectionFailed reports whether it was a connection that failed rather than the target: one that was kept and that the
// target closed in the same moment, or one of HTTP/2 that others have ended. Then the same target will do.
func (a *attempt) connectionFailed(f *Failure) bool {
	if a.stream != nil {
		wrote, began := a.progress()
		return !wrote && !began && (f.Cause == CauseReset || errors.Is(f.Err, errNotNeeded))
	}
	return f.Cause == CauseReset && a.reused.Load()
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
