package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/metrics"
	"sallyport/internal/wire"
)

// conn is an accepted connection and what its handshake found out. The handshake's goroutine writes the fields; the
// HTTP server gets the connection afterwards and only reads them, but for those that are atomic.
type conn struct {
	net.Conn
	socket  *socket
	bounds  *config.ListenerBounds // those of when it was accepted
	born    time.Time
	address netip.Addr // by which the connections of one client are counted
	metrics *metrics.Listener

	overTLS    bool
	tlsVersion uint16
	serverName string // canonical; "" for nothing
	ask        *ask   // of the handshake's snapshot; nil without TLS
	generation uint64 // of the handshake's snapshot
	evidence   *judge.Evidence

	protocol atomic.Pointer[protocol] // nil until HTTP is spoken on it
	goAway   atomic.Pointer[func()]   // HTTP/2: ends the connection with the requests that it has; nil until it is served
	mistakes atomic.Int64             // HTTP/2: errors of the client that net/http answered by itself
	requests atomic.Int64             // that came to the handler
	running  atomic.Int64             // of them, those that have not ended
	rested   atomic.Int64             // when the last one ended, in nanoseconds since 1970; 0 before
	retiring atomic.Bool              // answers say that no further request is wanted
	severed  atomic.Pointer[string]   // why the gateway closed it over its requests; nil when it did not
	cause    atomic.Uint32            // a metrics.CloseCause: why it is being closed; 0 when nobody has said
	closed   sync.Once
	heard    atomic.Bool // an octet came
	endless  atomic.Bool // the answer that is being sent ends with the connection
	lost     atomic.Bool // a write failed
	writes   writing
}

// protocol is HTTP on a connection, of either version.
type protocol struct {
	http1 *wire.HTTP1 // nil with HTTP/2
	http2 *wire.HTTP2 // nil with HTTP/1
}

// Read implements net.Conn, and notices who ended the connection.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	if err != nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		c.blame(metrics.ClosedByClient)
	}
	return n, err
}

// Close implements net.Conn. Whoever closes a connection first, the HTTP server, TLS or the gateway, takes it off the
// socket's table.
func (c *conn) Close() error {
	if !c.lost.Load() {
		c.endless.Store(false) // everything was written
	}
	c.end(c.likely())
	return nil
}

// likely is why a connection is being closed of which nobody has said why: net/http closes those that were idle for too
// long without a word.
func (c *conn) likely() metrics.CloseCause {
	since := time.Unix(0, c.rested.Load())
	if c.rested.Load() == 0 {
		since = c.born
	}
	if c.bounds != nil && c.running.Load() == 0 && time.Since(since) >= c.bounds.IdleTimeout {
		return metrics.ClosedIdle
	}
	return metrics.ClosedOther
}

// began and ended count the requests of the connection.
func (c *conn) began() (ordinal int64) {
	c.running.Add(1)
	return c.requests.Add(1)
}

func (c *conn) ended() {
	c.rested.Store(time.Now().UnixNano())
	c.running.Add(-1)
}

// blame says why the connection is going to be closed. The first who says it is right.
func (c *conn) blame(cause metrics.CloseCause) { c.cause.CompareAndSwap(0, uint32(cause)) }

// end closes the connection for a cause that counts, unless somebody gave another before. A client that would take the end of the
// connection for that of its answer is reset, and gets no farewell from TLS.
func (c *conn) end(cause metrics.CloseCause) {
	c.closed.Do(func() {
		c.abused()
		c.blame(cause)
		if socket, ok := c.Conn.(*net.TCPConn); ok && c.endless.Load() {
			_ = socket.SetLinger(0) // as below
		}
		_ = c.Conn.Close() // nothing depends on it
		if c.socket != nil {
			c.socket.conns.remove(c)
		}
		c.metrics.Closed(metrics.CloseCause(c.cause.Load())) //nolint:gosec // G115: only blame stores it
	})
}

// abused says that the connection ends because its client sent more of what is cheap to send than it may, or too slowly.
func (c *conn) abused() {
	p := c.protocol.Load()
	if p == nil || p.http2 == nil {
		return
	}
	abuse := p.http2.Abuse()
	if abuse == nil {
		return
	}
	level := slog.LevelWarn
	c.cause.Store(uint32(metrics.ClosedAbuse))
	if abuse.Slow { // a bad network, more often than not
		level = slog.LevelDebug
		c.cause.Store(uint32(metrics.ClosedHeaderTimeout))
	}
	c.socket.g.log.LogAttrs(context.Background(), level, "connection closed", slog.String("listener", c.socket.listenerName()),
		slog.String("remote", c.RemoteAddr().String()), slog.String("reason", decision.Overloaded.String()), slog.String("detail", abuse.Error()))
}

// CloseWrite implements what net/http wants in order to close gently.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// What a client that was refused in the handshake may still send, and how long the gateway waits for it to close.
const (
	lingerBytes = 64 << 10
	lingerTime  = time.Second
)

// linger lets a client that was refused in the handshake read the alert. With TLS 1.3 it may have sent a request by then, and a
// socket that is closed with octets unread is reset, which takes away what the client has not read yet (RFC 1122, section
// 4.2.2.13).
func (c *conn) linger() {
	_ = c.SetReadDeadline(time.Now().Add(lingerTime))
	if c.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
}

// retire asks the client to use another connection: answers say so, and HTTP/2 says it at once. Requests that run are not
// touched.
func (c *conn) retire(cause metrics.CloseCause) {
	c.blame(cause)
	c.retiring.Store(true)
	if c.requests.Load() > 0 { // a client that has just connected is told with its first answer
		c.leave()
	}
}

// leave says GOAWAY on a connection that speaks HTTP/2 and is served by now.
func (c *conn) leave() {
	if goAway := c.goAway.Load(); goAway != nil {
		(*goAway)()
	}
}

// dismiss ends a connection as soon as no request runs on it. One on which nothing was ever said has none coming.
func (c *conn) dismiss() {
	c.leave()
	switch p := c.protocol.Load(); {
	case p != nil && p.http1 != nil:
		p.http1.Retire()
	case p == nil && !c.heard.Load():
		c.end(metrics.ClosedDrain)
	}
}

// mistook counts an error of the client that ends a stream or the connection. Each costs little, so a client may make some; one
// that makes nothing else is ended.
func (c *conn) mistook(kind string) {
	c.metrics.HTTP2Error(kind)
	if strings.Contains(kind, "too_many_early_resets") { // net/http ends the connection
		c.blame(metrics.ClosedAbuse)
	}
	if c.mistakes.Add(1) > mistakesPerFrame*int64(c.bounds.MaxControlFrames) {
		c.end(metrics.ClosedAbuse)
	}
}

// mistakesPerFrame is how many mistakes a connection may make for each control frame a second that it may send.
const mistakesPerFrame = 5

// aged reports whether a connection is so old that it should end with this request.
func (c *conn) aged(now time.Time) bool {
	return c.bounds != nil && c.bounds.MaxConnectionAge > 0 && now.Sub(c.born) > c.bounds.MaxConnectionAge
}

// connTable knows the open connections of a socket.
type connTable struct {
	mu        sync.Mutex
	open      map[*conn]struct{}
	byAddress map[netip.Addr]int
	empty     chan struct{} // closed when the last one ends; nil when nobody waits
}

// add puts a connection on the table, unless there is one too many: then it says of what.
func (t *connTable) add(c *conn, l *listener) (cause metrics.RefusalCause, full bool) {
	c.address = clientAddress(c.RemoteAddr())
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.open) >= l.bounds.MaxConnections:
		return metrics.ListenerFull, true
	case t.byAddress[c.address] >= l.bounds.MaxConnectionsPerAddress:
		return metrics.AddressFull, true
	}
	if t.open == nil {
		t.open, t.byAddress = map[*conn]struct{}{}, map[netip.Addr]int{}
	}
	t.open[c] = struct{}{}
	t.byAddress[c.address]++
	return 0, false
}

func (t *connTable) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.open[c]; !ok {
		return
	}
	delete(t.open, c)
	if t.byAddress[c.address]--; t.byAddress[c.address] == 0 {
		delete(t.byAddress, c.address)
	}
	if len(t.open) == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// all returns the open connections.
func (t *connTable) all() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*conn, 0, len(t.open))
	for c := range t.open {
		list = append(list, c)
	}
	return list
}

// ended returns a channel that is closed when no connection is open.
func (t *connTable) ended() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	return t.empty
}

// idleGrace is how long a connection without a request may wait for one while its socket drains. A client that is about
// to send one is served, and told to connect anew; to close at once would cut off requests that are on their way.
const idleGrace = time.Second

// drain retires every connection and waits until all have ended or ctx does. Nothing may be added meanwhile.
func (t *connTable) drain(ctx context.Context) error {
	for _, c := range t.all() {
		c.retire(metrics.ClosedDrain)
	}
	grace := time.NewTimer(idleGrace)
	defer grace.Stop()
	for {
		select {
		case <-t.ended():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-grace.C:
			for _, c := range t.all() {
				c.retire(metrics.ClosedDrain) // those whose handshake has ended since
				c.dismiss()
			}
			grace.Reset(idleGrace)
		}
	}
}

// recordTime is how long the handlers of connections that were cut may take to notice and to write their records.
const recordTime = 2 * time.Second

// closeAll cuts what is left, waits for the records of what was cut, and says how many connections there were.
func (t *connTable) closeAll() (cut int) {
	left := t.all()
	why := "the gateway closed the connection: the time to drain was over"
	for _, c := range left {
		c.severed.Store(&why)
		c.end(metrics.ClosedDrain)
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(recordTime); time.Now().Before(deadline); {
		if !slices.ContainsFunc(left, func(c *conn) bool { return c.running.Load() > 0 }) {
			break
		}
		<-look.C
	}
	return len(left)
}

// clientAddress is by what the connections of one client are counted: its IPv4 address, or the network of 64 bits that an
// IPv6 subscriber has for himself.
func clientAddress(a net.Addr) netip.Addr {
	client, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	address := client.AddrPort().Addr().Unmap().WithZone("")
	if address.Is4() || !address.IsValid() {
		return address
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.Addr()
}
