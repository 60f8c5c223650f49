package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/judge"
	"sallyport/internal/metrics"
	"sallyport/internal/route"
	"sallyport/internal/tcp"
	"sallyport/internal/trust"
	"sallyport/internal/wire"
)

// socket is a bound address. What a connection on it gets, TLS or not, which profile, which APIs, is decided by the
// snapshot of that moment: a reload changes it without touching the socket.
type socket struct {
	g        *Gateway
	address  string // as configured
	listener *net.TCPListener
	tls      *tls.Config // only chooses the profile
	server   server

	name      atomic.Pointer[string] // of the listener that it has, or had
	accepting chan struct{}          // closed when accepting has ended
	closing   atomic.Bool
	conns     connTable
	ctx       context.Context //nolint:containedctx // it ends the handshakes, which belong to nobody's call
	cancel    context.CancelFunc
	turned    turnedAway
}

func newSocket(g *Gateway, address string, l *net.TCPListener) *socket {
	s := &socket{g: g, address: address, listener: l, accepting: make(chan struct{})}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: s.configFor}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.server = newServer(s)
	return s
}

// start begins to accept; the goroutine ends with close.
func (s *socket) start() { go s.accept() }

// current returns the socket's listener in a snapshot. One that has another address now keeps its connections: what they
// may is judged by its present rules. It is nil for a listener that is gone.
func (s *socket) current(snapshot *Snapshot) *listener {
	if l := snapshot.listeners[s.address]; l != nil {
		return l
	}
	if name := s.name.Load(); name != nil {
		return snapshot.byName[*name]
	}
	return nil
}

// How long a socket that is being closed still takes connections that the system has completed already: when nothing more
// arrives for it, and when that could not be had.
const (
	quietGrace = 5 * time.Millisecond
	noisyGrace = 50 * time.Millisecond
)

// lateGrace is how long a socket still completes connections whose clients could go on at another one: the last packet of the
// beginning of a connection belongs to the socket that got the first, and takes a round trip.
const lateGrace = 500 * time.Millisecond

// close ends accepting, and waits for that; requests go on. grace is the least time that connections that have begun get.
func (s *socket) close(grace time.Duration) error {
	if s.closing.Swap(true) {
		<-s.accepting
		return nil
	}
	least := quietGrace
	if tcp.Quieten(s.listener) != nil {
		least = noisyGrace
	}
	grace = max(grace, least)
	err := s.listener.SetDeadline(time.Now().Add(grace))
	<-s.accepting
	return errors.Join(err, s.listener.Close())
}

// abandon closes a socket that never started.
func (s *socket) abandon() error {
	s.cancel()
	return s.listener.Close()
}

// drain lets connections end with their requests until ctx ends, then closes what is left and returns the context's error. The
// socket is closed.
func (s *socket) drain(ctx context.Context) error {
	err := s.conns.drain(ctx)
	s.cancel()
	cut := s.conns.closeAll()
	s.server.close()
	if err != nil {
		return fmt.Errorf("listener %q: %d connections were closed when the time to drain was over", s.listenerName(), cut)
	}
	return nil
}

func (s *socket) accept() {
	defer close(s.accepting)
	empty := false
	for {
		raw, err := s.listener.AcceptTCP()
		switch {
		case err == nil:
			empty = false
			s.admit(raw)
		case errors.Is(err, net.ErrClosed):
			return
		case s.closing.Load():
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				if empty {
					return
				}
				empty = true // perhaps: a deadline that has passed comes before what is in the queue
				_ = s.listener.SetDeadline(time.Now().Add(10 * time.Millisecond))
			}
		default: // out of descriptors, or a connection that was gone at once: wait a moment rather than spin
			s.g.log.Warn("accept", slog.String("address", s.address), slog.Any("error", err))
			select {
			case <-time.After(20 * time.Millisecond):
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// admit counts a new connection and brings it through its handshake, in a goroutine of its own so that a slow one delays
// nobody.
func (s *socket) admit(raw *net.TCPConn) {
	l := s.current(s.g.snapshot.Load())
	if l == nil {
		_ = raw.Close() // the listener was just removed
		return
	}
	c := &conn{Conn: raw, socket: s, bounds: &l.bounds, born: time.Now(), metrics: s.g.metrics.Listener(l.Name)}
	if cause, full := s.conns.add(c, l); full {
		s.refuse(l, c, cause)
		return
	}
	c.metrics.Opened()
	_ = tcp.LimitUnsent(raw) // where that cannot be had, slow clients get their answers less evenly
	if l.TLS {
		go s.handshake(c)
		return
	}
	go s.plain(c, l)
}

// refuse turns a connection away that is one too many. Nothing is said over TLS, because saying it would cost a handshake.
func (s *socket) refuse(l *listener, c *conn, cause metrics.RefusalCause) {
	c.metrics.Refused(cause)
	if n := s.turned.due(time.Now()); n > 0 {
		s.g.log.LogAttrs(s.ctx, slog.LevelWarn, "connections refused", slog.String("listener", l.Name), slog.String("cause", cause.String()),
			slog.String("remote", c.RemoteAddr().String()), slog.Int64("since_last", n), slog.String("reason", decision.Overloaded.String()))
	}
	if !l.TLS {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Millisecond)) // it fits the socket's buffer, or is not worth waiting for
		_, _ = io.WriteString(c.Conn, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
	}
	_ = c.Conn.Close()
}

// turnedAway makes one line of the log out of many connections that were turned away.
type turnedAway struct {
	count atomic.Int64
	last  atomic.Int64 // when a line was written, in nanoseconds since 1970
}

// due counts one refusal and returns how many a line stands for, zero when none is due.
func (r *turnedAway) due(now time.Time) int64 {
	r.count.Add(1)
	last := r.last.Load()
	if now.UnixNano()-last < int64(time.Second) || !r.last.CompareAndSwap(last, now.UnixNano()) {
		return 0
	}
	return r.count.Swap(0)
}

// plain serves a connection without TLS. A client that begins with HTTP/2 is told from one that does not by its first
// bytes, where the listener serves both.
func (s *socket) plain(c *conn, l *listener) {
	if !l.protocols.h2c {
		s.server.serveHTTP1(c, c)
		return
	}
	isHTTP2, replay, err := wire.Preface(c, wireLimits(c.bounds))
	switch {
	case err != nil:
		c.end(metrics.ClosedIdle)
	case isHTTP2:
		s.server.serveHTTP2(c, replay)
	default:
		s.server.serveHTTP1(c, replay)
	}
}

func (s *socket) handshake(c *conn) {
	ctx, cancel := context.WithTimeout(s.ctx, c.bounds.HandshakeTimeout)
	defer cancel()
	began := time.Now()
	t := tls.Server(c, s.tls)
	err := t.HandshakeContext(ctx)
	if err != nil {
		if s.handshakeFailed(c, t, err, time.Since(began)) {
			c.linger()
		}
		c.end(metrics.ClosedHandshake)
		return
	}
	state := t.ConnectionState()
	c.metrics.Handshake(state.Version, state.DidResume, metrics.HandshakeOK, time.Since(began))
	c.overTLS, c.tlsVersion = true, state.Version
	c.evidence = judge.NewEvidence(state.PeerCertificates, c.ask.Asks())
	switch {
	case state.NegotiatedProtocol != "h2":
		s.server.serveHTTP1(c, newSession(c, t))
	case state.Version == tls.VersionTLS12 && !fitForHTTP2(state.CipherSuite):
		s.g.log.LogAttrs(ctx, slog.LevelInfo, "connection closed", slog.String("listener", s.listenerName()), slog.String("remote", c.RemoteAddr().String()),
			slog.String("error", "the cipher suite "+tls.CipherSuiteName(state.CipherSuite)+" is not for HTTP/2 (RFC 9113, section 9.2.2)"))
		c.end(metrics.ClosedHandshake)
	default:
		s.server.serveHTTP2(c, newSession(c, t))
	}
}

// fitForHTTP2 reports whether a cipher suite of TLS 1.2 may be used with HTTP/2 (RFC 9113, appendix A): an ephemeral key
// exchange and authenticated encryption. Those of TLS 1.3 all are.
func fitForHTTP2(suite uint16) bool {
	switch suite {
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return true
	}
	return false
}

// configFor is crypto/tls's GetConfigForClient: it binds the connection to what the snapshot of this moment asks under its
// server name. A server name that is no host name gets no TLS profile at all.
func (s *socket) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c, ok := hello.Conn.(*conn)
	if !ok {
		return nil, fmt.Errorf("the handshake runs on a %T", hello.Conn)
	}
	name, err := route.Host(hello.ServerName)
	if err != nil {
		return nil, fmt.Errorf("server name: %w", err)
	}
	snapshot := s.g.snapshot.Load()
	l := s.current(snapshot)
	if l == nil || !l.TLS {
		return nil, errors.New("the listener speaks TLS no longer")
	}
	c.generation = snapshot.generation
	c.serverName, c.ask = name, l.askFor(name)
	return c.resuming(s.g.clock), nil
}

// verifyConnection returns crypto/tls's VerifyConnection of handshakes that insist on a certificate. It runs on every
// handshake, resumed ones included.
func verifyConnection(a *judge.Ask, clock *Clock) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error { return a.VerifyHandshake(state.PeerCertificates, clock.Now()) }
}

// handshakeFailed answers a client that speaks HTTP to a TLS listener, and writes the record of a handshake that ended
// before any request could be judged. Refused certificates are never left out; noise is for level debug. It reports whether the
// certificate was refused, or missing.
func (s *socket) handshakeFailed(c *conn, t *tls.Conn, err error, took time.Duration) bool {
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && speaksHTTP(plain.RecordHeader) {
		answerPlainHTTP(plain.Conn)
	}
	id := newRequestID()
	attrs := []slog.Attr{
		slog.String("request_id", id),
		slog.String("listener", s.listenerName()),
		slog.String("remote", c.RemoteAddr().String()),
		slog.String("server_name", c.serverName),
	}
	state := t.ConnectionState()
	reason, detail, refused := handshakeReason(err, c.ask)
	if !refused {
		c.metrics.Handshake(state.Version, state.DidResume, metrics.HandshakeFailed, took)
		level := slog.LevelInfo // somebody wanted to speak TLS and could not
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			level = slog.LevelDebug // a scanner, a health check, an impatient client
		}
		s.g.log.LogAttrs(context.Background(), level, "handshake failed", append(attrs, slog.String("error", bounded(err.Error())))...)
		return false
	}
	c.metrics.Handshake(state.Version, state.DidResume, metrics.HandshakeRefused, took)
	c.metrics.HandshakeDenied(reason.String())
	s.g.metrics.API("").Decided(c.metrics, metrics.Deny, reason.String())
	if certs := state.PeerCertificates; len(certs) > 0 {
		attrs = append(attrs, certificateAttrs(certs[0])...)
	}
	attrs = append(attrs, slog.String("decision", "deny"), slog.String("reason", reason.String()))
	if detail != "" {
		attrs = append(attrs, slog.String("detail", boundedDetail(detail)))
	}
	s.g.refusals.add(&Refusal{
		RequestID: id, Time: s.g.clock.Now(), Generation: c.generation, Decision: "deny", Reason: reason, Detail: boundedDetail(detail), Handshake: true,
		Remote: c.RemoteAddr().String(), Listener: s.listenerName(),
		request: judge.Request{OverTLS: true, TLSVersion: state.Version, ServerName: c.serverName, Now: s.g.clock.Now()},
		kept:    judge.NewEvidence(state.PeerCertificates, true).Keep(),
	})
	s.g.access.LogAttrs(context.Background(), slog.LevelInfo, "handshake", attrs...)
	return true
}

// listenerName is the name of the listener that the socket has, or had.
func (s *socket) listenerName() string {
	if name := s.name.Load(); name != nil {
		return *name
	}
	return ""
}

// handshakeReason tells a refusal from a handshake that went wrong otherwise. a is nil where it ended before a server name was read.
func handshakeReason(err error, a *ask) (reason decision.Reason, detail string, refused bool) {
	if refusal, ok := errors.AsType[*trust.Error](err); ok {
		return refusal.Reason, refusal.Detail, true
	}
	if a != nil && strings.Contains(err.Error(), "client didn't provide a certificate") { // crypto/tls has no type for it
		return decision.CertificateMissing, a.NothingPresented(), true
	}
	return 0, "", false
}

// certificateAttrs names a certificate in a record. It says what the certificate says, which need not be true.
func certificateAttrs(cert *x509.Certificate) []slog.Attr {
	return []slog.Attr{
		slog.String("client_sha256", identity.Thumbprint(cert).String()),
		slog.String("client_subject", identity.SubjectText(cert)),
	}
}

func speaksHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET", "CONNE", "TRACE", "PRI *":
		return true
	}
	return false
}

func answerPlainHTTP(c net.Conn) {
	const text = "This address speaks TLS: use https.\n"
	_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // nobody waits for the answer to be read
	_, _ = fmt.Fprintf(c, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		len(text), text)
}
