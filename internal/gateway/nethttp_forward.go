package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/metrics"
	"sallyport/internal/tcp"
	"sallyport/internal/upstream"
)

// forward sends a request that may pass to its upstream, and what comes back to the client, both as they come.
func (x *exchange) forward() {
	x.bounds = x.outcome.Binding.Bounds
	if most := x.bounds.MaxBody; most > 0 && x.request.ContentLength > most {
		x.refuse(decision.RequestTooLarge, 0, fmt.Sprintf("the body of %d bytes is larger than max_body_size: %d bytes", x.request.ContentLength, most))
		return
	}
	rpc, upgrade := isGRPC(x.request), x.upgrade || x.websocket
	if !upgrade { // what follows an upgrade is no body
		x.body.limit(x.bounds, !rpc)
	}

	ctx, cancel := context.WithCancelCause(context.WithoutCancel(x.request.Context()))
	defer cancel(nil)
	stop := context.AfterFunc(x.request.Context(), func() {
		if x.gone() {
			x.departed.Store(true) // whatever is ended for that
			cancel(context.Cause(x.request.Context()))
		}
	})
	defer stop()
	x.stream.begin(x, cancel, rpc || upgrade)
	x.g.streams.add(&x.stream)
	early := &earlyAnswers{x: x}
	out := x.outgoing(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { x.body.answers(true) }, // unless it is of the 100 class
		Got100Continue:       func() { x.body.answers(false) },
		Got1xxResponse:       early.pass,
	}), upgrade)
	sent := time.Now()
	reply, err := x.snapshot.targets[x.outcome.API.Index].Send(out, upstream.Options{Upgrade: upgrade})
	early.stop()
	x.record.upstream = time.Since(sent)
	x.record.retried = firstFailure(reply, err)
	if err != nil {
		x.failed(err)
		return
	}
	defer reply.Response.Body.Close()   //nolint:errcheck // it was read
	if reply.Response.ProtoMajor == 2 { // net/http minds no cancelled context while it waits for a window to send the body
		defer context.AfterFunc(ctx, func() { _ = reply.Response.Body.Close() })()
	}
	x.record.target = reply.Target.String()
	if reply.Response.StatusCode == http.StatusSwitchingProtocols {
		x.tunnel(reply)
		return
	}
	x.relay(reply, rpc)
}

// firstFailure returns what the first of two attempts failed with, nil when there was one.
func firstFailure(reply *upstream.Reply, err error) *upstream.Failure {
	if reply != nil {
		return reply.Retried
	}
	if failure, ok := errors.AsType[*upstream.Failure](err); ok {
		return failure.Retried
	}
	return nil
}

// outgoing makes the upstream's request. What only concerned the connection to the client goes first, then whatever could
// say who is calling; what identify sets afterwards cannot be taken away by a Connection field.
func (x *exchange) outgoing(ctx context.Context, upgrade bool) *http.Request {
	r, o := x.request, &x.outcome
	h := r.Header
	removeHopByHop(h)
	strip(h)
	if o.API.RestrictsMethods() {
		stripMethodOverrides(h)
	}
	host := hostAndPort(o.Host, r.Host)
	scheme := "http"
	if x.view.OverTLS {
		scheme = "https"
	}
	identify(h, &caller{Standing: o.Caller, remote: hostOf(x.record.remote), host: host, scheme: scheme, requestID: x.record.id})
	if _, sent := h["User-Agent"]; !sent {
		h["User-Agent"] = nil // net/http would add its own
	}
	out := &http.Request{
		Method: x.view.Method,
		URL: &url.URL{
			Opaque:   o.Path.String(), // byte for byte what was judged
			RawQuery: strings.TrimPrefix(o.Query, "?"), ForceQuery: o.Query == "?",
		},
		Host:          host, // empty for clients that sent none: then the target's own
		Header:        h,
		ContentLength: r.ContentLength,
		Body:          http.NoBody,
		ProtoMajor:    1, ProtoMinor: 1,
	}
	switch {
	case upgrade:
		x.askForWebSocket(out)
	case r.ContentLength != 0:
		out.Body = x.body
		if r.ContentLength < 0 {
			out.TransferEncoding = []string{"chunked"} // without it net/http waits for the first byte of some methods
		}
		x.passTrailers(out)
	}
	return out.WithContext(ctx)
}

// passTrailers passes the trailer fields on that the client announced, once they are there.
func (x *exchange) passTrailers(out *http.Request) {
	announced := x.request.Trailer
	if len(announced) == 0 {
		return
	}
	passed := make(http.Header, len(announced))
	for name := range announced {
		passed[name] = nil
	}
	strip(passed)
	removeHopByHop(passed)
	if x.outcome.API.RestrictsMethods() {
		stripMethodOverrides(passed)
	}
	for _, name := range neverTrailers {
		delete(passed, name)
	}
	maps.DeleteFunc(passed, func(name string, _ []string) bool { // what was judged by stays as it was judged
		return slices.ContainsFunc(x.snapshot.rules.Headers(), func(judged string) bool { return judge.SameName(judged, name) })
	})
	if len(passed) == 0 {
		return
	}
	out.Trailer = passed
	x.body.atEOF = func() { // in the goroutine that writes the trailer afterwards
		for name := range passed {
			passed[name] = x.request.Trailer[name]
		}
	}
}

// neverTrailers are the fields that decide about a message before its body is read, and mean nothing or harm behind it
// (RFC 9110, section 6.5.1).
var neverTrailers = []string{
	"Authorization", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Cookie", "Expect", "Host",
	"Max-Forwards", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
}

// hopByHop are the fields that concern one connection only (RFC 9110, section 7.6.1), and those of old that did.
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings", "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Authentication-Info"}

// removeHopByHop removes the fields that concern the connection, and those that Connection lists, from a request or an
// answer. TE stays where it says that trailers are understood, which gRPC insists on.
func removeHopByHop(h http.Header) {
	trailers := false
	for _, list := range h["Te"] {
		for coding := range strings.SplitSeq(list, ",") {
			trailers = trailers || strings.EqualFold(textproto.TrimString(coding), "trailers")
		}
	}
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
	delete(h, ":protocol")
	if trailers {
		h["Te"] = []string{"trailers"}
	}
}

// isGRPC reports whether a request is gRPC, whose messages come when they come.
func isGRPC(r *http.Request) bool {
	if r.ProtoMajor != 2 || r.Method != http.MethodPost || r.ContentLength >= 0 || !strings.EqualFold(r.Header.Get("TE"), "trailers") {
		return false
	}
	kind := r.Header.Get("Content-Type")
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+") || strings.HasPrefix(kind, "application/grpc;")
}

// earlyAnswers passes 1xx answers on while the final one is awaited. The transport calls it in a goroutine of its own.
type earlyAnswers struct {
	x       *exchange
	mu      sync.Mutex
	seen    int
	stopped bool
}

func (e *earlyAnswers) pass(code int, fields textproto.MIMEHeader) error {
	e.x.body.answers(false)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen++; e.seen > upstream.MaxEarly {
		return errors.New("the target sends 1xx answers without end") // package upstream has said so already
	}
	if e.stopped || code == http.StatusContinue || e.x.expects || !e.x.request.ProtoAtLeast(1, 1) {
		return nil // 100 is between two neighbours: net/http sends one when the body is read, and minds no other meanwhile
	}
	if code == http.StatusSwitchingProtocols {
		return nil // over HTTP/2; the request fails
	}
	h := e.x.out.Header()
	maps.Copy(h, fields)
	removeHopByHop(h)
	delete(h, "Content-Length") // there is nothing that it could mean (RFC 9110, section 8.6)
	e.x.out.WriteHeader(code)
	clear(h)
	return nil
}

// stop waits for an answer that is being passed and lets no further one through.
func (e *earlyAnswers) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
}

// relay sends a target's answer to the client.
func (x *exchange) relay(reply *upstream.Reply, rpc bool) {
	response := reply.Response
	events := isEventStream(response.Header.Get("Content-Type"))
	if rpc || events {
		reply.SetPause(0) // it may be silent; stream_idle_timeout holds
	}
	if events {
		x.stream.declared.Store(true)
	}
	if response.ContentLength < 0 {
		x.stream.endless.Store(true)
	}
	h := x.out.Header()
	removeHopByHop(response.Header)
	maps.Copy(h, response.Header)
	if _, sent := h["Content-Type"]; !sent {
		h["Content-Type"] = nil // net/http would guess one
	}
	x.sayLength(h, response)
	h.Set("X-Request-ID", x.record.id)
	if x.lastOnConnection() || x.unread() { // what is left of the body may not be ours to read any more
		h.Set("Connection", "close")
	}
	cleanTrailer(response.Trailer)
	announced := slices.Sorted(maps.Keys(response.Trailer))
	for _, name := range announced {
		h.Add("Trailer", name)
	}
	if len(announced) > 0 && x.request.ProtoMajor == 1 {
		delete(h, "Content-Length") // HTTP/2 has trailers beside a length; HTTP/1 has them after chunks only
	}
	if why := x.stream.verdict(); why != "" {
		x.cut(why)
		return
	}
	x.out.WriteHeader(response.StatusCode)
	if bodied := x.view.Method != http.MethodHead && response.Body != http.NoBody; bodied && (len(announced) > 0 || response.ContentLength < 0) {
		if err := x.out.flush(); err != nil { // whoever waits for a stream sees that it began; trailers need chunks
			x.notDelivered()
			return
		}
	}
	if !x.copyBody(response) {
		return
	}
	cleanTrailer(response.Trailer) // there may be more now
	for name, values := range response.Trailer {
		if len(values) == 0 {
			continue
		}
		if _, found := slices.BinarySearch(announced, name); !found {
			name = http.TrailerPrefix + name // it came without an announcement
		}
		h[name] = values
	}
}

// sayLength writes the length of an answer as it was understood, which is what the client's side of net/http goes by. Where
// there is no body to count, for HEAD and 304, it is the length of another answer and stays as it came; upstream has
// checked that it is one number. 204 has none (RFC 9110, section 8.6), and callers of HTTP/2 would take it for malformed.
func (x *exchange) sayLength(h http.Header, response *http.Response) {
	_, sent := h["Content-Length"]
	switch {
	case !sent:
	case response.StatusCode == http.StatusNoContent:
		delete(h, "Content-Length")
	case response.StatusCode == http.StatusNotModified, x.view.Method == http.MethodHead:
	case response.ContentLength >= 0:
		h["Content-Length"] = []string{strconv.FormatInt(response.ContentLength, 10)}
	default:
		delete(h, "Content-Length")
	}
}

// cleanTrailer removes from the trailer of an answer what only concerned the connection to the target, what has its meaning
// before a body or none, and what is the gateway's to say.
func cleanTrailer(trailer http.Header) {
	if len(trailer) == 0 {
		return
	}
	removeHopByHop(trailer)
	strip(trailer)
	delete(trailer, "Te")
	for _, name := range neverTrailers {
		delete(trailer, name)
	}
}

// bodyBuffer is how much of a body is copied at a time.
const bodyBuffer = 32 << 10

// copyBody sends the body on as it comes. It reports whether all of it went.
func (x *exchange) copyBody(response *http.Response) bool {
	pooled := x.g.buffers.Get()
	defer x.g.buffers.Put(pooled)
	buffer := *pooled
	remaining := response.ContentLength
	for {
		n, err := response.Body.Read(buffer)
		if n > 0 {
			if _, wrote := x.out.Write(buffer[:n]); wrote != nil {
				x.notDelivered()
				return false
			}
			remaining -= int64(n)
			if remaining != 0 { // the last piece goes with the end of the response
				if wrote := x.out.flush(); wrote != nil {
					x.notDelivered()
					return false
				}
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return true
		default:
			x.notRead(err)
			return false
		}
	}
}

// notDelivered cuts a response that the client does not take.
func (x *exchange) notDelivered() {
	switch {
	case x.stream.verdict() != "":
		x.cut(x.stream.verdict())
	case x.out.watch.expired():
		x.cut(tookNothing)
	default:
		x.left()
	}
}

const tookNothing = "the client took nothing of the answer within send_timeout"

// gone reports whether the client has left. Over HTTP/1 net/http believes that, too, when it was the gateway that ended a read.
func (x *exchange) gone() bool {
	return x.departed.Load() || x.request.Context().Err() != nil && (x.request.ProtoMajor != 1 || !x.body.wasCut())
}

// deserted reports whether the client has reset an HTTP/1 connection from which nobody reads, because the target takes nothing of
// the body or has not asked for it. net/http notices who leaves where somebody reads.
func (x *exchange) deserted() bool {
	socket, ok := x.conn.Conn.(*net.TCPConn)
	if !ok || !x.unread() || !tcp.Reset(socket) {
		return false
	}
	x.departed.Store(true)
	return true
}

// left cuts a response whose reader is gone, or was sent away.
func (x *exchange) left() {
	if severed := x.conn.severed.Load(); severed != nil {
		x.out.status = 0 // nobody got an answer, and it was not the client who left
		x.cut(*severed)
		return
	}
	if x.conn.writes.stuck.Load() {
		x.cut(tookNothing)
		return
	}
	x.cut("the client closed the connection")
}

// notRead cuts a response whose rest does not come.
func (x *exchange) notRead(err error) {
	switch {
	case x.stream.verdict() != "":
		x.cut(x.stream.verdict())
	case x.gone():
		x.left()
	default:
		x.cut(err.Error())
		if failure, ok := errors.AsType[*upstream.Failure](err); ok {
			x.g.metrics.Target(failure.Upstream, failure.Target).Broke(string(failure.Cause))
		}
	}
}

// failed answers for a target that did not. What went wrong is for the log alone.
func (x *exchange) failed(err error) {
	refusal, status := x.body.refusal()
	failure, _ := errors.AsType[*upstream.Failure](err)
	switch {
	case !refusal.Allowed():
		x.outcome.Reconnect = x.request.ProtoMajor == 1
		if refusal.Reason == decision.RequestTimeout && x.outcome.Reconnect {
			x.conn.blame(metrics.ClosedBodyRate)
		}
		x.refuse(refusal.Reason, status, refusal.Detail)
	case x.stream.verdict() != "":
		x.refuse(decision.UpstreamUnavailable, 0, x.stream.verdict())
	case x.gone(), failure != nil && failure.Cause == upstream.CauseRequestBody:
		if failure != nil {
			x.record.target = failure.Target
		}
		x.out.status = statusClientGone // nobody reads an answer
		x.left()
	case failure != nil && failure.Cause == upstream.CauseFull:
		x.g.metrics.Target(failure.Upstream, "").Attempted(string(failure.Cause), false, x.record.upstream)
		x.refuse(decision.Overloaded, 0, failure.Error())
	case failure != nil && failure.TimedOut():
		x.record.target = failure.Target
		x.refuse(decision.UpstreamUnavailable, http.StatusGatewayTimeout, failure.Error())
	default:
		if failure != nil {
			x.record.target = failure.Target
		}
		x.refuse(decision.UpstreamUnavailable, 0, err.Error())
	}
}

// refuse turns a request away that was let through before.
func (x *exchange) refuse(reason decision.Reason, status int, detail string) {
	x.stage = afterJudging
	x.outcome.Decision = decision.Decision{Reason: reason, Detail: detail}
	x.answer(status)
}

// statusClientGone stands in records for an answer that nobody was there to read.
const statusClientGone = 499

// hostAndPort returns the normal form of a host with the port of the authority that it was taken from.
func hostAndPort(host, authority string) string {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.IndexByte(authority[colon:], ']') >= 0 || colon == len(authority)-1 {
		return host
	}
	return host + authority[colon:]
}

// buffers lends what bodies are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, bodyBuffer)
	return &p
}

func (b *buffers) Put(p *[]byte) { b.pool.Put(p) }
