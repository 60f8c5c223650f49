package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"sallyport/internal/tcp"
	"sallyport/internal/trust"
)

const (
	// maxResponseHeader bounds what a target can make the gateway hold before the first byte of a body.
	maxResponseHeader = 256 << 10
	// streamWindow is how much of a response a target may send on an HTTP/2 stream before anybody read it.
	streamWindow = 256 << 10
	// silenceBeforePing and pingTimeout are how a dead HTTP/2 connection is noticed.
	silenceBeforePing = 30 * time.Second
	pingTimeout       = 15 * time.Second
	// keepAlive is the interval of TCP's own probes.
	keepAlive = 30 * time.Second
	// lateLeave is the moment after which an HTTP/2 connection does not count a stream any more that was given up.
	lateLeave = 100 * time.Millisecond
	// handOver is how long net/http may take to hand a new HTTP/2 connection to all that wait for one.
	handOver = 20 * time.Millisecond
	// expectContinue is how long a body waits for "100 Continue" before it is sent all the same.
	expectContinue = time.Second
)

// alertNoProtocol is TLS's no_application_protocol (RFC 7301 section 3.2).
const alertNoProtocol = 120

// pool is the connections to one target. A retired pool keeps no connection that carries nothing.
type pool struct {
	http    *http.Transport
	retired atomic.Bool
}

func newPool(t *Target) *pool {
	config := &t.upstream.config
	transport := &http.Transport{
		Proxy:                  nil, // the environment must not redirect the traffic of a gateway
		ResponseHeaderTimeout:  config.ResponseTimeout,
		IdleConnTimeout:        config.IdleTimeout,
		ExpectContinueTimeout:  expectContinue,
		MaxIdleConnsPerHost:    config.MaxIdle,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // bodies pass as the two ends agreed
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
		Protocols:              new(http.Protocols),
	}
	if config.Protocol == HTTP1 {
		transport.Protocols.SetHTTP1(true)
		transport.MaxConnsPerHost = config.Max
	} else {
		transport.Protocols.SetUnencryptedHTTP2(true) // over TLS, too: it is ours, and net/http sees what is in it
		transport.HTTP2 = &http.HTTP2Config{
			MaxReadFrameSize:          maxFrame,
			MaxReceiveBufferPerStream: streamWindow,
			SendPingTimeout:           silenceBeforePing,
			PingTimeout:               pingTimeout,
			WriteByteTimeout:          silenceBeforePing,
		}
	}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return t.open(ctx) }
	transport.DialTLSContext = transport.DialContext
	return &pool{http: transport}
}

// retire closes the connections that carry nothing, now and whenever one is left over. It waits for nobody: net/http closes
// them under locks of its own. The channel is closed when that is done.
func (p *pool) retire() <-chan struct{} {
	p.retired.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.http.CloseIdleConnections()
	}()
	return done
}

// done is called when a request has left its connection. An HTTP/2 stream that was given up leaves a moment later.
func (p *pool) done() {
	if !p.retired.Load() {
		return
	}
	go p.http.CloseIdleConnections()
	if p.http.HTTP2 != nil {
		time.AfterFunc(lateLeave, p.http.CloseIdleConnections)
	}
}

// open opens a connection: name, address and handshake within the connect timeout. Its errors are *openError.
func (t *Target) open(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.upstream.config.ConnectTimeout)
	defer cancel()
	a, ok := ctx.Value(scopeKey{}).(*attempt)
	if !ok {
		return nil, &openError{CauseRequest, errNotNeeded} // never: the context is an attempt's
	}
	if wrote, _ := a.progress(); wrote {
		return nil, &openError{CauseReset, errCutOff} // net/http would send the request again; Send decides about that
	}
	if t.opening == nil {
		return t.openNow(ctx, nil)
	}
	// An HTTP/2 connection carries many requests. When they come at once, the first opens it and the others wait;
	// net/http hands it to all of them.
	ready := a.stream.needs()
	select {
	case t.opening <- struct{}{}:
		defer func() { <-t.opening }()
	case <-ctx.Done():
		return nil, &openError{CauseConnect, fmt.Errorf("waiting for another connection: %w", ctx.Err())}
	}
	if t.newest != nil {
		if err := t.newest.handedOver(ctx, ready); err != nil {
			return nil, err
		}
	}
	select {
	case <-ready:
		return nil, &openError{CauseReset, errNotNeeded}
	default:
	}
	return t.openNow(ctx, func(c *h2Conn) { t.newest = c })
}

// handedOver waits until a request that needs a connection would have this one: until the target has said how many streams
// it takes, and net/http has told those for whom there is none. Before that, two connections would be offered to one request,
// and net/http lets one that is turned away twice wait for a second. ready ends the waiting.
func (c *h2Conn) handedOver(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return &openError{CauseConnect, fmt.Errorf("waiting for another connection: %w", ctx.Err())}
	case <-c.begun:
	}
	patience := time.NewTimer(time.Until(c.since.Add(handOver)))
	defer patience.Stop()
	select {
	case <-ready:
	case <-patience.C: // it was not for us, or its streams are taken
	}
	return nil
}

// errNotNeeded ends the opening of a connection for a request that has another. Nobody sees it.
var errNotNeeded = errors.New("the connection is not needed")

// openNow opens a connection at once. opened is told of one of HTTP/2.
func (t *Target) openNow(ctx context.Context, opened func(*h2Conn)) (net.Conn, error) {
	began := time.Now()
	known, err := t.names.get(ctx)
	if err != nil {
		return nil, &openError{CauseResolve, err}
	}
	c, err := known.connect(ctx, &net.Dialer{KeepAlive: keepAlive})
	if err != nil {
		return nil, &openError{CauseConnect, err}
	}
	if socket, ok := c.(*net.TCPConn); ok {
		_ = tcp.LimitUnsent(socket) // where that cannot be had, writers learn later that a slow target takes something
	}
	if t.tls != nil {
		below := &underTLS{Conn: c}
		secured := tls.Client(below, t.tls)
		if err := t.handshake(ctx, secured); err != nil {
			_ = c.Close() // there is nobody to tell
			return nil, err
		}
		below.secured.Store(true)
		c = secured
	}
	if t.upstream.config.Protocol == HTTP1 {
		return newConn(c), nil
	}
	h2 := newH2Conn(c, t.upstream.config.ConnectTimeout-time.Since(began))
	opened(h2)
	return h2, nil
}

func (t *Target) handshake(ctx context.Context, c *tls.Conn) error {
	err := c.HandshakeContext(ctx)
	http2 := t.upstream.config.Protocol == HTTP2
	switch {
	case http2 && (noProtocol(err) || err == nil && c.ConnectionState().NegotiatedProtocol != "h2"):
		return &openError{CauseProtocol, fmt.Errorf("%s does not choose h2 by ALPN", c.RemoteAddr())}
	case err != nil:
		if verdict, ok := errors.AsType[*trust.Error](err); ok { // its word is for what callers present
			return &openError{CauseTLS, fmt.Errorf("handshake with %s: the certificate of the target is not accepted: %s", c.RemoteAddr(), verdict.Detail)}
		}
		return &openError{CauseTLS, fmt.Errorf("handshake with %s: %w", c.RemoteAddr(), err)}
	}
	return nil
}

// noProtocol reports whether the target ended a handshake because it speaks none of our protocols. crypto/tls keeps the
// type of its alerts to itself, but an alert is its number.
func noProtocol(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Err == nil {
		return false
	}
	alert := reflect.ValueOf(remote.Err)
	return alert.Kind() == reflect.Uint8 && alert.Uint() == alertNoProtocol
}
