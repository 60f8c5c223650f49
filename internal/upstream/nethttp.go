package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Options say how a request is sent. The zero value is an ordinary request.
type Options struct {
	// Upgrade says that the request asks for another protocol on its connection and that the answer may be 101.
	Upgrade bool
}

// Send sends a request to one of the upstream's targets and returns the answer when its header is there. It sends a request
// a second time, once, where the target cannot have acted on it: nothing of it was written, or the target has said that it
// left it alone, or it was cut off before any answer and has no body and an idempotent method (RFC 9110 section 9.2.2). The
// second attempt goes to another target; where it was only a connection that failed, and no other target is free, to the
// same. Nothing is sent a second time after a timeout.
//
// r says the method, the header, the body with its ContentLength and Trailer, and the Host; an empty Host stands for the
// target's own. r.URL.Opaque is the path, which reaches the target behind its base path byte for byte; RawQuery and
// ForceQuery are the query. Send looks at nothing else of the URL and changes nothing in r. It always closes the body,
// as an http.RoundTripper does, perhaps after it has returned, and perhaps while it is read from: a body whose Close ends
// such a read lets Send return as soon as a target is gone. The context of r governs the request and, until it is closed,
// the body of its answer; a trace in it (httptrace) sees informational responses, of which a target may send sixteen.
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
	switch {
	case u.config.NoRetry:
	case u.config.Protocol == HTTP2:
		body.keepsBeginning(maxKeptHTTP2)
	default:
		body.keepsBeginning(maxKeptHTTP1)
	}
	a := u.newAttempt(r, body, o, l)
	var first *Failure
	for n := 1; ; n++ {
		reply, failure := a.send()
		if failure == nil {
			reply.Retried = first
			return reply, nil
		}
		failure.Retried = first
		again, ok := a, false
		if last := a.retry && !a.unused(failure.Cause) || n == maxAttempts; last {
			a.lease.release()
		} else {
			again, ok = a.another(failure)
		}
		if !ok {
			body.finish()
			return nil, failure
		}
		if a = again; first == nil {
			first = failure
		}
	}
}

// maxAttempts bounds how many kept connections may turn out to be dead before anything is written.
const maxAttempts = 4

// another makes the second attempt of a request, if there is to be one. The lease of the first has ended then, whatever it
// returns, or is the lease of the second.
func (a *attempt) another(f *Failure) (*attempt, bool) {
	if !a.repeatable(f.Cause) {
		a.lease.release()
		return nil, false
	}
	u, t := a.upstream, a.lease.target
	if !a.connectionFailed(f.Cause) {
		l, ok := u.pick(time.Now(), t)
		a.lease.release()
		if !ok && u.anyIn(t) { // all that are in are busy
			var cause Cause
			l, cause = u.wait(a.request.Context(), t)
			ok = cause == ""
		}
		return a.again(l), ok
	}
	if l, ok := u.pickIn(time.Now(), t, u.turn.Load()); ok {
		a.lease.release()
		return a.again(l), true
	}
	if a.stream == nil {
		a.pool.http.CloseIdleConnections() // they may be as dead as this one was
	}
	second := a.again(lease{target: t, ticket: t.health.force()}) // the slot is not for those who wait
	second.fresh = a.stream == nil
	return second, true
}

// again makes another attempt with a lease, nil without one.
func (a *attempt) again(l lease) *attempt {
	if l.target == nil {
		return nil
	}
	second := a.upstream.newAttempt(a.request, a.body, Options{Upgrade: a.upgrade}, l)
	second.retry = true
	return second
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
