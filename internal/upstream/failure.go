package upstream

import (
	"context"
	"errors"
	"net"
	"strings"
)

// Cause says in one word why a target did not answer, for logs and metrics. The empty cause means success.
type Cause string

// The closed set of causes. Those up to CauseProtocol count against the health of a target. A connection that ends while
// the caller is still sending its body, or while it reads the answer slowly, may have ended because of the caller, and a
// tunnel ends as its users like: these do not count.
const (
	CauseResolve  Cause = "resolve"  // the target's name has no addresses
	CauseConnect  Cause = "connect"  // no address accepted a connection in time, or HTTP/2 did not begin on it
	CauseTLS      Cause = "tls"      // the handshake failed, or the certificate is not acceptable
	CauseTimeout  Cause = "timeout"  // no response's header in time
	CauseStalled  Cause = "stalled"  // a body that the target neither sent on nor took for too long
	CauseReset    Cause = "reset"    // the connection or the stream ended before the answer did
	CauseProtocol Cause = "protocol" // the target speaks something else, or an answer that is not to be trusted

	CauseFull        Cause = "full"         // all targets have as many requests as they may, and the wait was over
	CauseCanceled    Cause = "canceled"     // the caller went away or its own time was over
	CauseRequest     Cause = "request"      // the request cannot be sent as it is: nothing of it was
	CauseRequestBody Cause = "request_body" // reading the request's body failed
)

// blamesTarget reports whether a cause counts against the health of the target.
func (c Cause) blamesTarget() bool {
	switch c {
	case CauseResolve, CauseConnect, CauseTLS, CauseTimeout, CauseStalled, CauseReset, CauseProtocol:
		return true
	case CauseFull, CauseCanceled, CauseRequest, CauseRequestBody:
		return false
	}
	return false
}

// Failure is the error of Send and of reading a response's body. Its text names addresses and is for the log alone.
type Failure struct { //nolint:errname // the word that logs and this package use; an Error is what is in it
	Upstream string
	Target   string // empty when no target was chosen
	Cause    Cause
	Err      error // what happened; never nil
	// Retried is what the first of two attempts failed with, nil when there was one.
	Retried *Failure
}

// Error names the upstream, the target and the cause.
func (f *Failure) Error() string {
	var b strings.Builder
	b.WriteString("upstream " + f.Upstream)
	if f.Target != "" {
		b.WriteString(", target " + f.Target)
	}
	b.WriteString(": " + string(f.Cause) + ": " + f.Err.Error())
	return b.String()
}

// Unwrap returns what happened.
func (f *Failure) Unwrap() error { return f.Err }

// TimedOut reports whether the target took too long, in whatever phase, rather than that it failed at once.
func (f *Failure) TimedOut() bool {
	switch f.Cause {
	case CauseTimeout, CauseStalled:
		return true
	case CauseFull, CauseRequest, CauseRequestBody:
		return false
	case CauseResolve, CauseConnect, CauseTLS, CauseReset, CauseProtocol, CauseCanceled:
		return timedOut(f.Err)
	}
	return false
}

func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// openError is why a connection could not be opened. Nothing was sent.
type openError struct {
	cause Cause
	err   error
}

func (e *openError) Error() string { return e.err.Error() }
func (e *openError) Unwrap() error { return e.err }
