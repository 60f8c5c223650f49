package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/metrics"
)

// writing bounds the writes of a connection. Handlers bound their own, but crypto/tls also writes inside Read, where a client
// that asks for answers and takes none would hold the reader for ever, and with it every time that is given for reading.
type writing struct {
	mu     sync.Mutex
	theirs time.Time // the deadline that somebody set; zero for none
	below  time.Time // what the connection has; before the first write it has none
	inside int       // writes that are under way

	accepted atomic.Uint64 // octets that the system took for sending
	stuck    atomic.Bool   // the connection was closed because the client took nothing

	session atomic.Bool  // the handshake is over: whatever TLS writes unasked is an answer to a client
	asked   atomic.Int64 // writes under way that the gateway asked TLS for
	allowed time.Time    // when the client will have all of unaskedBurst again; crypto/tls writes one record at a time
}

// unaskedBurst is how many records a client may make TLS write at once that carry nothing, such as the answers to KeyUpdate (RFC
// 8446, section 4.6.3); one more comes with each second. Clients update a key after gigabytes.
const unaskedBurst = 32

// Write implements net.Conn. It fails, and the connection ends, when the client takes nothing for about send_timeout, also where
// no deadline was set, and when TLS writes too much that nobody but the client asked for.
func (c *conn) Write(p []byte) (n int, err error) {
	now := time.Now()
	if c.unasked(now) {
		c.end(metrics.ClosedAbuse)
		return 0, net.ErrClosed
	}
	made := progress{began: now}
	for {
		c.writes.begin(c)
		k, err := c.Conn.Write(p[n:])
		ours := c.writes.ended()
		n += k
		c.writes.accepted.Add(uint64(k)) //nolint:gosec // G115: it is no less than 0
		if err == nil {
			return n, nil
		}
		if ours && errors.Is(err, os.ErrDeadlineExceeded) {
			if !made.stuck(time.Now(), c.sendTimeout(), c.taken()) {
				continue
			}
			c.writes.stuck.Store(true)
		}
		c.lost.Store(true)
		if c.writes.stuck.Load() {
			c.end(metrics.ClosedSendTimeout)
		}
		return n, err
	}
}

// SetWriteDeadline implements net.Conn; a write under way learns of it.
func (c *conn) SetWriteDeadline(t time.Time) error {
	w := &c.writes
	w.mu.Lock()
	defer w.mu.Unlock()
	w.theirs = t
	if w.inside == 0 {
		return nil
	}
	return w.apply(c)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// begin prepares the connection for a write.
func (w *writing) begin(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inside++
	_ = w.apply(c) // a connection that takes no deadline takes no write either
}

// ended says that a write has returned, and reports whether no deadline but ours can have ended it.
func (w *writing) ended() (ours bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inside--
	return w.theirs.IsZero() || time.Now().Before(w.theirs)
}

// apply gives the connection the deadline that holds: theirs, or the time of our next look at the client, whichever is earlier.
// The looks may be up to twice as far apart as they should, so that not every write sets a deadline. It is called with mu held.
func (w *writing) apply(c *conn) error {
	d := w.theirs
	if limit := c.sendTimeout(); limit > 0 {
		now := time.Now()
		earliest, latest := now.Add(limit/looks), now.Add(2*limit/looks)
		switch {
		case !d.IsZero() && d.Before(earliest):
		case !w.below.Before(earliest) && !w.below.After(latest):
			return nil
		default:
			d = latest
		}
	}
	if d.Equal(w.below) {
		return nil
	}
	w.below = d
	return c.Conn.SetWriteDeadline(d)
}

// sendTimeout is how long the client may take nothing of what is written; 0 for no limit.
func (c *conn) sendTimeout() time.Duration {
	if c.bounds == nil {
		return 0
	}
	return c.bounds.SendTimeout
}

// unasked accounts for a record that TLS writes for the client's sake alone, and reports whether it is one too many.
func (c *conn) unasked(now time.Time) bool {
	w := &c.writes
	if !w.session.Load() || w.asked.Load() > 0 {
		return false
	}
	if w.allowed.Before(now) {
		w.allowed = now
	}
	w.allowed = w.allowed.Add(time.Second)
	if w.allowed.Sub(now) <= unaskedBurst*time.Second {
		return false
	}
	c.socket.g.log.LogAttrs(context.Background(), slog.LevelWarn, "connection closed", slog.String("listener", c.socket.listenerName()),
		slog.String("remote", c.RemoteAddr().String()), slog.String("reason", decision.Overloaded.String()),
		slog.String("detail", "tls: too many records that ask for an answer, such as KeyUpdate"))
	return true
}

// session is TLS on a connection after its handshake. It tells what the gateway writes from what TLS writes by itself.
type session struct {
	*tls.Conn
	conn *conn
}

func newSession(c *conn, t *tls.Conn) *session {
	c.writes.session.Store(true)
	return &session{Conn: t, conn: c}
}

// Write implements net.Conn.
func (s *session) Write(p []byte) (int, error) {
	s.conn.writes.asked.Add(1)
	defer s.conn.writes.asked.Add(-1)
	return s.Conn.Write(p)
}
