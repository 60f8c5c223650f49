package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/upstream"
)

// This file is the only one of the package that knows net/http: it turns its requests into views, carries out what was
// decided about them, and proxies what passed.

// The bounds of what a client may send before a request is there, and how long it may take.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// server serves HTTP on the connections of one socket.
type server struct{ http *http.Server }

func newServer(s *socket) server {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true) // whether a listener serves it is checked on each request
	return server{&http.Server{
		Handler:   &handler{g: s.g, address: s.address},
		Protocols: &p,
		// OPTIONS * is for nobody's API; net/http would answer it without anybody judging or logging it.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ErrorLog:                     slog.NewLogLogger(s.g.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, underlying(c))
		},
		ConnState: s.g.unread,
	}}
}

// unread is net/http's ConnState. Requests that net/http refuses by itself, because they cannot be read, come to no handler;
// it notices them by a connection that closes with more requests begun than handled, and records the last one.
func (g *Gateway) unread(nc net.Conn, state http.ConnState) {
	c := underlying(nc)
	if c == nil {
		return
	}
	switch state { //nolint:exhaustive // the others say nothing about requests
	case http.StateActive:
		c.begun.Add(1)
	case http.StateClosed:
		if c.http2.Load() || c.begun.Load() <= c.handled.Load() {
			return
		}
		g.access.LogAttrs(context.Background(), slog.LevelInfo, "request",
			slog.String("remote", c.RemoteAddr().String()), slog.String("listener", c.socket.listenerName()), slog.String("server_name", c.serverName),
			slog.String("decision", "deny"), slog.String("reason", decision.RequestMalformed.String()),
			slog.String("detail", "it could not be read as a request, or was cut short"))
	}
}

func (s server) serve(l net.Listener) { _ = s.http.Serve(l) } // ends with the listener, which is no error

func (s server) stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	return err
}

type connKey struct{}

func underlying(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, ok := c.(*conn)
	if !ok {
		return nil
	}
	return own
}

// handler serves every request of one socket.
type handler struct {
	g       *Gateway
	address string
}

// exchange is one request on its way.
type exchange struct {
	view    view
	outcome outcome
	record  record

	target *upstream.Target
	out    *response
}

type exchangeKey struct{}

// ServeHTTP walks one request: evidence, route, judge, headers, upstream, log.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(connKey{}).(*conn)
	snapshot := h.g.snapshot.Load()
	l := snapshot.listeners[h.address]
	gone := c == nil || l == nil // the listener was removed while the connection was open
	if gone {
		c, l = &conn{}, &listener{address: h.address}
	}
	c.handled.Add(1)
	if r.ProtoMajor > 1 {
		c.http2.Store(true)
	}
	now := h.g.clock.Now()
	x := &exchange{view: view{
		method: r.Method, target: r.RequestURI, absolute: r.ProtoMajor == 1, authority: r.Host, listener: l,
		overTLS: c.overTLS, tlsVersion: c.tlsVersion, serverName: c.serverName, profileKey: c.profileKey(),
		evidence: c.evidence, now: now,
	}}
	x.record = record{id: newRequestID(), protocol: r.Proto, remote: r.RemoteAddr, start: time.Now()}
	counted := &countingBody{ReadCloser: r.Body}
	r.Body = counted
	out := &response{ResponseWriter: w}
	defer func() {
		cut := false
		if failed := recover(); failed != nil {
			cut = x.panicked(h.g, out, failed)
		}
		x.record.end, x.record.status = time.Now(), out.status
		x.record.bytesIn, x.record.bytesOut = counted.read.Load(), out.written
		h.g.record(snapshot, &x.view, &x.outcome, &x.record)
		if cut {
			panic(http.ErrAbortHandler) // net/http's way to cut a response
		}
	}()

	switch {
	case gone:
		x.outcome = outcome{judgement: refuse(decision.MisdirectedRequest, "the listener was removed"), wouldBe: passes, reconnect: true}
	case !l.speaks(r):
		x.outcome = outcome{judgement: refuse(decision.RequestMalformed, "the listener does not serve "+r.Proto), wouldBe: passes}
	default:
		x.outcome = snapshot.decide(&x.view, nil)
	}
	if !x.outcome.Allowed() {
		x.answer(out, 0)
		return
	}
	h.g.proxy.serve(x, out, r)
}

// speaks reports whether the listener serves the protocol of a request. ALPN has chosen it with TLS; without TLS a
// client that knows beforehand may begin with HTTP/2.
func (l *listener) speaks(r *http.Request) bool {
	switch {
	case r.ProtoMajor < 2:
		return l.protocols.http1
	case r.TLS == nil:
		return l.protocols.h2c
	default:
		return l.protocols.http2
	}
}

// panicked is called for a panic while a request was served. http.ErrAbortHandler says that a response was cut, because
// the upstream or the client went away; anything else is a mistake of the gateway, which refuses. It reports whether the
// response has to be cut because it has begun.
func (x *exchange) panicked(g *Gateway, out *response, failed any) (cut bool) {
	if failed == http.ErrAbortHandler { //nolint:errorlint // the very value
		x.record.failure = "the response was cut"
		return true
	}
	g.log.Error("panic", slog.String("request_id", x.record.id), slog.Any("panic", failed), slog.String("stack", string(debug.Stack())))
	x.outcome.judgement = refuse(decision.InternalError, "panic; the log has the stack")
	if out.status != 0 {
		return true
	}
	x.outcome.reconnect = true
	x.answer(out, 0)
	return false
}

// answer refuses a request. status replaces the reason's own where it is not zero.
func (x *exchange) answer(w *response, status int) {
	var leaf *identity.SHA256
	if cert := x.view.evidence.leaf(); cert != nil {
		sum := identity.Thumbprint(cert)
		leaf = &sum
	}
	a := answerTo(&x.outcome, status, x.record.id, leaf)
	head := w.Header()
	clear(head) // nothing of an upstream's answer remains
	head.Set("Content-Type", a.contentType)
	head.Set("Content-Length", fmt.Sprint(len(a.body)))
	head.Set("Cache-Control", "no-store")
	head.Set("X-Request-ID", x.record.id)
	head.Set("X-Content-Type-Options", "nosniff")
	if len(x.outcome.allowed) > 0 {
		head.Set("Allow", strings.Join(x.outcome.allowed, ", "))
	}
	if x.outcome.reconnect {
		head.Set("Connection", "close") // with HTTP/2 net/http sends GOAWAY
	}
	w.WriteHeader(a.status)
	if x.view.method != http.MethodHead {
		_, _ = w.Write(a.body) // a client that is gone is in the record by its bytes
	}
}

// proxy sends requests to upstreams.
type proxy struct{ reverse *httputil.ReverseProxy }

func newProxy(g *Gateway) proxy {
	return proxy{&httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      roundTripper{},
		ModifyResponse: answered,
		FlushInterval:  -1, // what an upstream sends goes on at once
		BufferPool:     newBufferPool(),
		ErrorLog:       slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		ErrorHandler:   upstreamFailed,
	}}
}

func (p proxy) serve(x *exchange, w *response, r *http.Request) {
	x.target, x.out = x.outcome.api.upstream.Pick(), w
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
}

// rewrite makes the upstream's request. ReverseProxy has removed hop-by-hop fields, those that Connection lists, and the
// client's own X-Forwarded fields before; what identify sets afterwards cannot be taken away by a Connection field.
func rewrite(r *httputil.ProxyRequest) {
	r.Out.URL = &url.URL{} // nothing of an absolute-form target decides where the request goes
	x, ok := r.In.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return // never: serve put it there; without a host the request goes nowhere
	}
	r.Out.URL = &url.URL{
		Scheme: x.target.Scheme, Host: x.target.Authority,
		Opaque:   x.target.BasePath + x.outcome.path.String(), // byte for byte what was judged
		RawQuery: strings.TrimPrefix(x.outcome.query, "?"), ForceQuery: x.outcome.query == "?",
	}
	host := hostAndPort(x.outcome.host, r.In.Host)
	r.Out.Host = host // empty for clients that sent none: then the target's own
	scheme := "http"
	if x.view.overTLS {
		scheme = "https"
	}
	strip(r.Out.Header)
	strip(r.Out.Trailer)
	if x.outcome.api.methods != nil {
		stripMethodOverrides(r.Out.Header)
	}
	identify(r.Out.Header, &caller{
		standing: x.outcome.caller, remote: hostOf(x.record.remote), host: host, scheme: scheme, requestID: x.record.id,
	})
	if !strings.EqualFold(r.Out.Header.Get("Upgrade"), "websocket") {
		// Any other protocol, HTTP/2 above all, would carry requests past the gateway that nobody judges.
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
		r.Out.Header.Del("HTTP2-Settings")
	}
	if _, sent := r.Out.Header["User-Agent"]; !sent {
		r.Out.Header["User-Agent"] = nil // net/http would add its own
	}
}

// roundTripper sends a request to the target that its exchange picked.
type roundTripper struct{}

func (roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok || x.target == nil || r.URL.Host == "" {
		return nil, errors.New("the request has no target")
	}
	sent := time.Now()
	response, err := x.target.RoundTrip(r)
	x.record.upstream = time.Since(sent)
	return response, err
}

// answered looks at a target's answer before it goes on.
func answered(r *http.Response) error {
	x, ok := r.Request.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return errors.New("the answer belongs to no request")
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		x.out.status = r.StatusCode // what follows is written past the response
	}
	if r.StatusCode < 100 || r.StatusCode > 999 { // net/http reads it and panics over writing it
		return fmt.Errorf("the status %d is none", r.StatusCode)
	}
	r.Header.Set("X-Request-ID", x.record.id)
	return nil
}

// upstreamFailed answers for a target that did not. What went wrong is for the log alone.
func upstreamFailed(w http.ResponseWriter, r *http.Request, err error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	out, own := w.(*response)
	if !ok || !own {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if r.Context().Err() != nil { // the client went away: nobody reads the answer, the record says so
		x.record.failure = "the client closed the connection"
		out.status = statusClientGone
		return
	}
	status := http.StatusBadGateway
	if upstream.TimedOut(err) {
		status = http.StatusGatewayTimeout
	}
	refusedByUpstream(&x.outcome, fmt.Sprintf("upstream %q, target %s: %v", x.outcome.api.upstream.Name(), x.target.Authority, err))
	x.answer(out, status)
}

// statusClientGone stands in records for an answer that nobody was there to read.
const statusClientGone = 499

// response remembers what was answered. It passes flushing and hijacking on through Unwrap.
type response struct {
	http.ResponseWriter
	status  int
	written int64
}

func (w *response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// countingBody counts what was read of a request's body. The transport reads it in a goroutine of its own.
type countingBody struct {
	io.ReadCloser
	read atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	return n, err
}

// bufferPool lends the buffers that bodies are copied with.
type bufferPool struct{ pool sync.Pool }

const bodyBuffer = 32 << 10

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { b := make([]byte, bodyBuffer); return &b }}}
}

func (p *bufferPool) Get() []byte {
	b, ok := p.pool.Get().(*[]byte)
	if !ok {
		return make([]byte, bodyBuffer)
	}
	return *b
}

func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }

// newRequestID makes the id that an answer and its record share: 32 hex digits that tell nothing.
func newRequestID() string {
	var raw [16]byte
	rand.Read(raw[:]) // it never fails: it ends the process instead
	return hex.EncodeToString(raw[:])
}

// hostAndPort returns the normal form of a host with the port of the authority that it was taken from.
func hostAndPort(host, authority string) string {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.IndexByte(authority[colon:], ']') >= 0 || colon == len(authority)-1 {
		return host
	}
	return host + authority[colon:]
}
