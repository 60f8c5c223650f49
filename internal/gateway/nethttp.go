package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/metrics"
	"sallyport/internal/wire"
)

// The files nethttp*.go are the only ones of the package that know net/http. This one serves requests with it: it turns them
// into views, carries out what was decided about them, and answers those that were refused.

// server serves HTTP on the connections of one socket.
type server struct {
	handler *handler
	http1   *http.Server // for all connections that speak HTTP/1
}

// largestHead is more than any listener allows: package wire and the handler hold the limits of the document, with an answer
// of ours. It only bounds what net/http would read without them.
const largestHead = 4 << 20

// leastHead is what every request has room in that package wire puts in the place of a refused one.
const leastHead = 16 << 10

func newServer(s *socket) server {
	h := &handler{g: s.g, address: s.address}
	var p http.Protocols
	p.SetHTTP1(true)
	return server{handler: h, http1: h.server(&p)}
}

// server returns a net/http server without timeouts: those are package wire's.
func (h *handler) server(p *http.Protocols) *http.Server {
	return &http.Server{ //nolint:gosec // G112: package wire holds the time for a head
		Handler:   h,
		Protocols: p,
		// OPTIONS * is for nobody's API; net/http would answer it without anybody judging or logging it.
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               largestHead,
		ErrorLog:                     slog.NewLogLogger(h.g.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if own, ok := c.(*clientConn); ok {
				return context.WithValue(ctx, connKey{}, own.conn)
			}
			return ctx
		},
	}
}

// serveHTTP1 serves a connection that speaks HTTP/1; inner is its decrypted side. It returns at once.
func (s server) serveHTTP1(c *conn, inner net.Conn) {
	w := wire.NewHTTP1(inner, wireLimits(c.bounds))
	c.protocol.Store(&protocol{http1: w})
	_ = s.http1.Serve(&single{conn: &clientConn{Conn: w, conn: c}}) // ends with the one connection it accepts, which is no error
}

// serveHTTP2 serves a connection that speaks HTTP/2. It gets a server of its own, because net/http says GOAWAY only to all
// connections of a server, and because limits belong to the connection. It returns at once.
func (s server) serveHTTP2(c *conn, inner net.Conn) {
	w := wire.NewHTTP2(inner, wireLimits(c.bounds), func(r *wire.Refused) { s.handler.unanswered(c, r) })
	var p http.Protocols
	p.SetUnencryptedHTTP2(true) // encryption ends below
	own := s.handler.server(&p)
	own.IdleTimeout = c.bounds.IdleTimeout
	own.MaxHeaderBytes = max(2*c.bounds.MaxHeaderSize, leastHead) // package wire lets no more pass
	own.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          c.bounds.MaxStreams,
		MaxReadFrameSize:              wire.MaxFrameSize,
		MaxReceiveBufferPerConnection: 1 << 20,
		MaxReceiveBufferPerStream:     256 << 10,
		SendPingTimeout:               pingAfter,
		PingTimeout:                   pingWait,
		CountError:                    func(kind string) { s.handler.mistook(c, kind) },
	}
	c.protocol.Store(&protocol{http2: w})
	_ = own.Serve(&single{conn: &clientConn{Conn: w, conn: c}})
	ended, end := context.WithCancel(context.Background())
	end()
	var saying atomic.Bool
	goAway := func() { // it says GOAWAY, and whoever wants that waits for nobody: an idle connection is closed with a last record
		if !saying.Swap(true) {
			go func() {
				defer saying.Store(false)
				_ = own.Shutdown(ended)
			}()
		}
	}
	c.goAway.Store(&goAway) // not before: a server that was shut down would accept nobody
	if c.retiring.Load() {
		c.retire(metrics.ClosedDrain)
	}
}

// wireLimits are the bounds that package wire holds.
func wireLimits(b *config.ListenerBounds) wire.Limits {
	return wire.Limits{
		HeaderBytes: b.MaxHeaderSize, HeaderFields: b.MaxHeaderFields, TargetBytes: b.MaxTargetSize,
		HeaderTimeout: b.HeaderTimeout, IdleTimeout: b.IdleTimeout, ControlFrames: b.MaxControlFrames,
	}
}

// A client that has been silent for pingAfter is asked whether it is there, and has pingWait to answer.
const (
	pingAfter = 45 * time.Second
	pingWait  = 15 * time.Second
)

func (s server) close() { _ = s.http1.Close() }

// single is a listener that accepts one connection, which is there.
type single struct{ conn *clientConn }

func (l *single) Accept() (net.Conn, error) {
	c := l.conn
	if c == nil {
		return nil, net.ErrClosed
	}
	l.conn = nil
	return c, nil
}

func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return nil }

// clientConn is what net/http gets: the strict reader, and whose it is.
type clientConn struct {
	net.Conn
	conn *conn
}

// Read implements net.Conn, and notices who ended the connection.
func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) && !c.conn.retiring.Load() && c.conn.likely() == metrics.ClosedOther {
		c.conn.blame(metrics.ClosedByClient)
	}
	return n, err
}

// CloseWrite lets net/http close gently.
func (c *clientConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

type connKey struct{}

// handler serves every request of one socket.
type handler struct {
	g       *Gateway
	address string
}

// exchange is one request on its way.
type exchange struct {
	g        *Gateway
	snapshot *Snapshot
	conn     *conn
	view     judge.Request
	outcome  judge.Outcome
	record   record
	bounds   config.RequestBounds

	request   *http.Request
	control   *http.ResponseController
	out       *response
	body      *requestBody
	upgrade   bool        // HTTP/1: the request asks to go on as a WebSocket
	last      bool        // HTTP/1: what follows may be meant for another protocol
	expects   bool        // HTTP/1: the client waits for 100 before it sends the body
	departed  atomic.Bool // the client left before anything was ended for the target's sake
	stage     stage
	websocket bool // HTTP/2: the request is an extended CONNECT (RFC 8441)
	stream    stream
}

// ServeHTTP walks one request: evidence, route, judge, headers, upstream, log.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(connKey{}).(*conn)
	snapshot := h.g.snapshot.Load()
	var l *listener
	if c != nil {
		l = c.socket.current(snapshot)
	} else {
		c = &conn{}
	}
	gone := l == nil // it was removed: its connections end with the requests that they have
	if gone {
		l = &listener{Listener: &judge.Listener{Address: h.address}}
	}
	ordinal := c.began()
	defer c.ended()
	c.metrics.RequestBegan()
	x := &exchange{g: h.g, snapshot: snapshot, conn: c, request: r}
	x.out = newResponse(w, x.sendTimeout(), c.taken, func() {
		if r.ProtoMajor == 1 {
			c.blame(metrics.ClosedSendTimeout)
		}
	})
	x.out.begins = x.endless
	x.control = x.out.control
	x.view = newView(c, l, r, h.g.clock.Now())
	x.upgrade, x.websocket = asksForWebSocket(r), extendedConnect(r)
	x.last = r.ProtoMajor == 1 && (r.Method == http.MethodConnect || r.Header["Upgrade"] != nil)
	x.expects = r.ProtoMajor == 1 && r.ProtoMinor > 0 && r.ContentLength != 0 && r.Header["Expect"] != nil // as net/http has it
	if x.websocket {
		x.view.Method = http.MethodGet // what the handshake of a WebSocket is over HTTP/1.1
	}
	x.record = record{id: newRequestID(), protocol: r.Proto, remote: r.RemoteAddr, start: time.Now()}
	x.body = newRequestBody(r.Body, x.control)
	x.body.awaited = r.Header["Expect"] != nil
	x.out.begun = x.body.told
	if p := c.protocol.Load(); p != nil && p.http1 != nil {
		x.body.violation = p.http1.Err
		_ = x.control.EnableFullDuplex() // an answer may come before the end of the request; HTTP/2 always can
		defer p.http1.Done()
	}
	defer x.end()

	switch refused, status := x.unacceptable(ordinal, l); {
	case gone:
		x.outcome = judge.Refused(decision.Decision{Reason: decision.MisdirectedRequest, Detail: "the listener was removed"}, true)
	case !refused.Allowed():
		x.outcome = judge.Refused(refused, r.ProtoMajor == 1)
		x.answer(status)
		return
	default:
		// Taken now: forwarding changes the header, and a stream is judged again.
		x.view.Fields = judge.Fields(snapshot.rules.Headers(), r.Header)
		x.outcome, x.stage = snapshot.rules.Decide(&x.view, nil), whileJudging
	}
	if x.outcome.Allowed() {
		x.forward()
		return
	}
	x.answer(0)
}

// endless is called when an answer begins. To HTTP/1.0 one without a length ends with the connection: there are no chunks.
func (x *exchange) endless(status int) {
	r := x.request
	if r.ProtoMajor != 1 || r.ProtoMinor > 0 || r.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified {
		return
	}
	if x.out.Header().Get("Content-Length") == "" {
		x.conn.endless.Store(true)
	}
}

// newView is what judging sees of a request.
func newView(c *conn, l *listener, r *http.Request, now time.Time) judge.Request {
	return judge.Request{
		Method: r.Method, Target: r.RequestURI, Absolute: r.ProtoMajor == 1, Authority: r.Host, Listener: l.Listener,
		OverTLS: c.overTLS, TLSVersion: c.tlsVersion, ServerName: c.serverName,
		Evidence: c.evidence, Now: now,
	}
}

// stage is how far a request has come.
type stage uint8

const (
	beforeJudging stage = iota
	whileJudging
	afterJudging
)

// extendedConnect reports whether a request opens a WebSocket over HTTP/2 (RFC 8441). Its target is that of the pseudo-header
// fields, and net/http passes it on only where it was told to announce the setting.
func extendedConnect(r *http.Request) bool {
	return r.ProtoMajor == 2 && r.Method == http.MethodConnect && r.Header.Get(":protocol") == "websocket"
}

// unacceptable says what is wrong with a request before anybody is asked whether it may pass: it cannot be read in one way
// only, it is too large, or the listener does not speak its protocol. status is zero where the reason has it.
func (x *exchange) unacceptable(ordinal int64, l *listener) (d decision.Decision, status int) {
	allowed := decision.Decision{Reason: decision.OK}
	refused := func(reason decision.Reason, status int, detail string) (decision.Decision, int) {
		return decision.Decision{Reason: reason, Detail: detail}, status
	}
	r := x.request
	if p := x.conn.protocol.Load(); p != nil && p.http1 != nil {
		if bad, problem := p.http1.Problem(); problem != nil && bad == ordinal {
			x.view.Method, x.view.Target, x.view.Authority = "", "", "" // they are the substitute's
			x.conn.blame(closeCause(problem.Kind))
			return refused(reasonOf(problem.Kind), problem.Status, x.limited(problem))
		}
	}
	if r := x.standsFor(); r != nil {
		x.view.Method, x.view.Target, x.view.Authority = r.Method, r.Target, r.Authority
		return refused(reasonOf(r.Kind), r.Status, x.limited(&r.Problem))
	}
	if !l.speaks(r, x.conn.overTLS) {
		return refused(decision.RequestMalformed, 0, "the listener does not serve "+r.Proto)
	}
	if r.ProtoMajor == 1 || x.conn.bounds == nil {
		return allowed, 0 // package wire has counted
	}
	if other, ok := r.Header["Host"]; ok && (len(other) > 1 || !strings.EqualFold(other[0], r.Host)) {
		return refused(decision.RequestMalformed, 0, "the field Host says something else than :authority (RFC 9113, section 8.3.1)")
	}
	if lengths := r.Header["Content-Length"]; len(lengths) > 1 || len(lengths) == 1 && lengths[0] != strconv.FormatInt(r.ContentLength, 10) {
		return refused(decision.RequestMalformed, 0, "there are two lengths, or one that the request does not have (RFC 9113, section 8.1.1)")
	}
	fields, size := 0, len(r.Method)+len(r.RequestURI)+len(r.Host)
	for name, values := range r.Header {
		fields += len(values)
		for _, value := range values {
			if value != textproto.TrimString(value) {
				return refused(decision.RequestMalformed, 0, "a field value begins or ends with a blank (RFC 9113, section 8.2.1)")
			}
			size += len(name) + len(value) + fieldOverhead
		}
	}
	switch b := x.conn.bounds; {
	case len(r.RequestURI) > b.MaxTargetSize:
		return judge.TargetTooLong(b.MaxTargetSize), http.StatusRequestURITooLong
	case size > b.MaxHeaderSize:
		return refused(decision.RequestTooLarge, http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the header is larger than max_header_size: %d bytes", b.MaxHeaderSize))
	case fields > b.MaxHeaderFields:
		return refused(decision.RequestTooLarge, http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the header has more fields than max_header_fields: %d", b.MaxHeaderFields))
	}
	return allowed, 0
}

// limited says which limit of the document a head went beyond.
func (x *exchange) limited(p *wire.Problem) string {
	switch b := x.conn.bounds; p.Kind {
	case wire.TargetTooLong:
		return judge.TargetTooLong(b.MaxTargetSize).Detail
	case wire.HeaderTooLarge:
		return fmt.Sprintf("%s (max_header_size: %d bytes, max_header_fields: %d)", p.Detail, b.MaxHeaderSize, b.MaxHeaderFields)
	case wire.TooSlow:
		return fmt.Sprintf("%s (header_timeout: %s)", p.Detail, b.HeaderTimeout)
	case wire.Malformed, wire.Unsupported:
	}
	return p.Detail
}

// fieldOverhead is what HTTP/2 counts for each field besides its text (RFC 9113, section 6.5.2).
const fieldOverhead = 32

// reasonOf is the reason for what package wire found.
func reasonOf(k wire.Kind) decision.Reason {
	switch k {
	case wire.TargetTooLong, wire.HeaderTooLarge:
		return decision.RequestTooLarge
	case wire.TooSlow:
		return decision.RequestTimeout
	case wire.Malformed, wire.Unsupported:
	}
	return decision.RequestMalformed
}

// closeCause is what ends a connection after what package wire found.
func closeCause(k wire.Kind) metrics.CloseCause {
	if k == wire.TooSlow {
		return metrics.ClosedHeaderTimeout
	}
	return metrics.ClosedMalformed
}

// speaks reports whether the listener serves the protocol of a request. ALPN has chosen it with TLS; without TLS a
// client that knows beforehand may begin with HTTP/2.
func (l *listener) speaks(r *http.Request, overTLS bool) bool {
	switch {
	case r.ProtoMajor < 2:
		return l.protocols.http1
	case overTLS:
		return l.protocols.http2
	default:
		return l.protocols.h2c
	}
}

// end finishes an exchange, whatever way it took: nothing reads the body any more, and there is a record of it. A response that
// cannot be finished is cut, so that nobody takes a part of it for the whole.
func (x *exchange) end() {
	if failed := recover(); failed != nil {
		x.panicked(failed)
	}
	x.g.streams.remove(&x.stream)
	x.body.finish()
	x.out.finish(x.request.ProtoMajor == 2)
	x.leave()
	x.record.end, x.record.status = time.Now(), x.out.status
	x.record.bytesIn, x.record.bytesOut = x.body.read.Load(), x.out.written.Load()
	x.remember() // first: whoever reads the record can ask about it
	x.g.record(x.snapshot, &x.view, &x.outcome, &x.record)
	x.count()
	if x.record.cut && x.conn.endless.Load() {
		x.conn.end(metrics.ClosedOther) // before net/http ends it as if the answer were whole
	}
	if x.record.cut {
		panic(http.ErrAbortHandler) // net/http's way to cut a response
	}
}

// count adds the exchange to the metrics.
func (x *exchange) count() {
	x.conn.metrics.RequestEnded()
	reason := x.outcome.Reason
	if !x.outcome.WouldBe.Allowed() {
		reason = x.outcome.WouldBe.Reason
	}
	m := x.g.metrics.API(x.outcome.API.Series())
	m.Decided(x.conn.metrics, counted(&x.outcome), reason.String())
	m.Answered(metrics.Exchange{
		Method: x.view.Method, Status: x.record.status, Took: x.record.end.Sub(x.record.start),
		In: x.record.bytesIn, Out: x.record.bytesOut, Stream: x.stream.counted(),
	})
}

// panicked is called for a panic while a request was served: a mistake of the gateway, which refuses.
func (x *exchange) panicked(failed any) {
	x.g.log.Error("panic", slog.String("request_id", x.record.id), slog.Any("panic", failed), slog.String("stack", string(debug.Stack())))
	x.stage = afterJudging
	x.outcome.Judgement = judge.Judgement{Decision: decision.Decision{Reason: decision.InternalError, Detail: "panic; the log has the stack"}}
	if x.out.status != 0 {
		x.cut("the gateway panicked")
		return
	}
	x.outcome.Reconnect = true
	x.answer(0)
}

// cut says that the response cannot be finished; the connection, or the stream of HTTP/2, ends without it.
func (x *exchange) cut(failure string) {
	x.record.cut = true
	if x.record.failure == "" {
		x.record.failure = failure
	}
}

// answer refuses a request. status replaces the reason's own where it is not zero.
func (x *exchange) answer(status int) {
	a := x.outcome.Answer(status, x.record.id, x.view.Evidence)
	head := x.out.Header()
	clear(head) // nothing of an upstream's answer remains
	head.Set("Content-Type", a.ContentType)
	head.Set("Content-Length", fmt.Sprint(len(a.Body)))
	head.Set("Cache-Control", "no-store")
	head.Set("X-Request-ID", x.record.id)
	head.Set("X-Content-Type-Options", "nosniff")
	if a.Challenge != "" {
		head.Set("WWW-Authenticate", a.Challenge)
	}
	if len(x.outcome.Methods) > 0 {
		head.Set("Allow", strings.Join(x.outcome.Methods, ", "))
	}
	if x.outcome.Reason == decision.Overloaded {
		head.Set("Retry-After", "1")
	}
	if x.outcome.Fell {
		x.conn.blame(metrics.ClosedEvidence)
	}
	if x.outcome.Reconnect || x.lastOnConnection() || !x.leaveNothing() {
		head.Set("Connection", "close") // with HTTP/2 net/http sends GOAWAY
	}
	x.out.WriteHeader(a.Status)
	if x.view.Method != http.MethodHead {
		_, _ = x.out.Write(a.Body) // a client that is gone is in the record by its bytes
	}
}

// unread reports whether an HTTP/1 request has a body left of which the end was not read. An answer must say then that the
// connection closes: where the next request would begin is not known.
func (x *exchange) unread() bool {
	return x.request.ProtoMajor == 1 && x.request.ContentLength != 0 && !x.body.complete()
}

// farewell is how long net/http may read what it can of a body that is left, so that the client reads its answer before the
// connection closes.
const farewell = 500 * time.Millisecond

// leave lets the client, who may be sending still, read the answer that told him of the end.
func (x *exchange) leave() {
	p := x.conn.protocol.Load()
	switch {
	case p == nil || p.http1 == nil || !x.unread():
		return
	case x.record.cut: // net/http would read for the client's sake
		_ = x.control.SetReadDeadline(time.Unix(1, 0)) // every connection of ours can
		return
	}
	p.http1.Linger()
	_ = x.control.SetReadDeadline(time.Now().Add(farewell)) // every connection of ours can
}

// leaveNothing reads what is left of the body of a request that is refused, before the answer, which has to say whether the
// connection can have another. It reports whether nothing is left. What a transport has had is not ours to read; what is too
// large is not begun; and a client that waits for 100 gets its answer instead, and may send the body or not (RFC 9110, section
// 10.1.1).
func (x *exchange) leaveNothing() bool {
	switch {
	case !x.unread():
		return true
	case x.stage == afterJudging, x.expects, x.request.ContentLength >= leftOver:
		return false
	}
	return x.body.drain()
}

// lastOnConnection reports whether the connection should end with this exchange: it is old, or its listener is going, or what
// follows on it was meant for a protocol that it did not change to.
func (x *exchange) lastOnConnection() bool {
	if x.conn.aged(x.record.start) {
		x.conn.blame(metrics.ClosedAge)
		return true
	}
	return x.last || x.conn.retiring.Load()
}

// sendTimeout is how long the client may take nothing of the answer.
func (x *exchange) sendTimeout() time.Duration { return x.conn.sendTimeout() }

var errCut = errors.New("the exchange was cut")

// newRequestID makes the id that an answer and its record share: 32 hex digits that tell nothing.
func newRequestID() string {
	var raw [16]byte
	rand.Read(raw[:]) // it never fails: it ends the process instead
	return hex.EncodeToString(raw[:])
}
