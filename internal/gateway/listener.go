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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/route"
	"sallyport/internal/trust"
)

// handshakeTimeout bounds a TLS handshake from the first byte to the last.
const handshakeTimeout = 10 * time.Second

// socket is a bound address. What a connection on it gets, TLS or not, which profile, which APIs, is decided by the
// snapshot of that moment: a reload changes it without touching the socket.
type socket struct {
	g        *Gateway
	address  string // as configured
	listener net.Listener
	tls      *tls.Config // only chooses the profile

	ready  chan net.Conn // connections whose handshake is done
	done   chan struct{} // closed when accepting ends
	closer sync.Once
	server server

	handshakes sync.WaitGroup
	cancel     context.CancelFunc // ends the handshakes
}

func listen(g *Gateway, address string) (*socket, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &socket{g: g, address: address, listener: l, ready: make(chan net.Conn), done: make(chan struct{})}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: s.profileConfig}
	s.server = newServer(s)
	return s, nil
}

// start begins to accept. The two goroutines end with stop.
func (s *socket) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.accept(ctx)
	go s.server.serve(readyListener{s})
}

// close ends accepting, at once; requests go on.
func (s *socket) close() error {
	s.closer.Do(func() { close(s.done) })
	return s.listener.Close()
}

// drain waits for requests until ctx ends, then closes what is left. The socket is closed.
func (s *socket) drain(ctx context.Context) error {
	s.cancel()
	s.handshakes.Wait()
	return s.server.stop(ctx)
}

func (s *socket) accept(ctx context.Context) {
	for {
		raw, err := s.listener.Accept()
		switch {
		case err == nil:
			s.admit(ctx, raw)
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of descriptors, or a connection that was gone at once: wait a moment rather than spin
			s.g.log.Warn("accept", slog.String("address", s.address), slog.Any("error", err))
			select {
			case <-time.After(50 * time.Millisecond):
			case <-s.done:
				return
			}
		}
	}
}

// admit brings a new connection through its handshake, in a goroutine of its own so that a slow one delays nobody.
func (s *socket) admit(ctx context.Context, raw net.Conn) {
	l := s.g.snapshot.Load().listeners[s.address]
	if l == nil {
		_ = raw.Close() // the listener was just removed
		return
	}
	c := &conn{Conn: raw, socket: s}
	if !l.tls {
		s.handshakes.Go(func() { s.deliver(c) })
		return
	}
	s.handshakes.Go(func() { s.handshake(ctx, c) })
}

// deliver hands a connection to the HTTP server, unless the socket stops first.
func (s *socket) deliver(c net.Conn) {
	select {
	case s.ready <- c:
	case <-s.done:
		_ = c.Close()
	}
}

func (s *socket) handshake(ctx context.Context, c *conn) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	t := tls.Server(c, s.tls)
	err := t.HandshakeContext(ctx)
	if err != nil {
		s.handshakeFailed(c, t, err)
		_ = c.Close()
		return
	}
	state := t.ConnectionState()
	c.overTLS, c.tlsVersion = true, state.Version
	c.evidence = newEvidence(state.PeerCertificates, c.profile.asks())
	c.http2.Store(state.NegotiatedProtocol == "h2")
	s.deliver(t)
}

// profileConfig is crypto/tls's GetConfigForClient: it binds the connection to a TLS profile of the snapshot of this
// moment. A server name that is no host name gets no profile at all.
func (s *socket) profileConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c, ok := hello.Conn.(*conn)
	if !ok {
		return nil, fmt.Errorf("the handshake runs on a %T", hello.Conn)
	}
	name, err := route.Host(hello.ServerName)
	if err != nil {
		return nil, fmt.Errorf("server name: %w", err)
	}
	l := s.g.snapshot.Load().listeners[s.address]
	if l == nil || !l.tls {
		return nil, errors.New("the listener speaks TLS no longer")
	}
	c.serverName, c.profile = name, l.profileFor(name)
	return c.profile.config, nil
}

// verifyConnection returns crypto/tls's VerifyConnection of a profile that insists on a certificate. It runs on every
// handshake, resumed ones included. Where a certificate is only asked for, the handshake judges nothing: what it found
// would be judged again by each API's own trust, and whoever sends hostile chains would be served twice.
func (p *profile) verifyConnection(clock *Clock) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		return p.handshake.Verify(trust.NewChain(state.PeerCertificates), clock.Now()).Err()
	}
}

// handshakeFailed answers a client that speaks HTTP to a TLS listener, and writes the record of a handshake that ended
// before any request could be judged. Refused certificates are never left out; noise is for level debug.
func (s *socket) handshakeFailed(c *conn, t *tls.Conn, err error) {
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && speaksHTTP(plain.RecordHeader) {
		answerPlainHTTP(plain.Conn)
	}
	attrs := []slog.Attr{
		slog.String("listener", s.listenerName()),
		slog.String("remote", c.RemoteAddr().String()),
		slog.String("server_name", c.serverName),
	}
	reason, detail, refused := handshakeReason(err)
	if !refused {
		level := slog.LevelInfo // somebody wanted to speak TLS and could not
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			level = slog.LevelDebug // a scanner, a health check, an impatient client
		}
		s.g.log.LogAttrs(context.Background(), level, "handshake failed", append(attrs, slog.String("error", bounded(err.Error())))...)
		return
	}
	if certs := t.ConnectionState().PeerCertificates; len(certs) > 0 {
		attrs = append(attrs, certificateAttrs(certs[0])...)
	}
	attrs = append(attrs, slog.String("decision", "deny"), slog.String("reason", reason.String()))
	if detail != "" {
		attrs = append(attrs, slog.String("detail", boundedDetail(detail)))
	}
	s.g.access.LogAttrs(context.Background(), slog.LevelInfo, "handshake", attrs...)
}

// listenerName is the name of the listener that the socket has now, empty when it was removed.
func (s *socket) listenerName() string {
	if l := s.g.snapshot.Load().listeners[s.address]; l != nil {
		return l.name
	}
	return ""
}

// handshakeReason tells a refusal from a handshake that went wrong otherwise.
func handshakeReason(err error) (reason decision.Reason, detail string, refused bool) {
	if refusal, ok := errors.AsType[*trust.Error](err); ok {
		return refusal.Reason, refusal.Detail, true
	}
	if strings.Contains(err.Error(), "client didn't provide a certificate") { // crypto/tls has no type for it
		return decision.CertificateMissing, "", true
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
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET", "CONNE", "TRACE":
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

// conn is an accepted connection and what its handshake found out. The handshake's goroutine writes the fields; the
// HTTP server gets the connection afterwards and only reads them, but for the counters.
type conn struct {
	net.Conn
	socket *socket

	overTLS    bool
	tlsVersion uint16
	serverName string   // canonical; "" for nothing
	profile    *profile // of the handshake's snapshot; nil without TLS
	evidence   *evidence

	begun, handled atomic.Int64 // requests that net/http began to read, and those that came to the handler
	http2          atomic.Bool  // then the two cannot be compared
}

// profileKey identifies the TLS profile of the handshake across generations.
func (c *conn) profileKey() string {
	if c.profile == nil {
		return ""
	}
	return c.profile.key
}

// readyListener gives an HTTP server the connections whose handshake is done.
type readyListener struct{ s *socket }

func (l readyListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.s.ready:
		return c, nil
	case <-l.s.done:
		return nil, net.ErrClosed
	}
}

func (l readyListener) Close() error   { return nil }
func (l readyListener) Addr() net.Addr { return l.s.listener.Addr() }
