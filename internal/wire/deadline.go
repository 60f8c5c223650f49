package wire

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// waiter is a connection whose reads end at the earlier of two deadlines: the one that its user set and one of our own.
// The connection below learns of a deadline when a read begins, or at once when one is under way: most of those that
// net/http sets never get there.
type waiter struct {
	conn net.Conn

	mu     sync.Mutex // guards what follows
	theirs time.Time  // zero for none
	ours   time.Time  // zero for none
	below  time.Time  // what conn has
	known  bool       // whether below is true; whoever had conn before may have left a deadline
	inside bool       // a read of conn is under way
	paused chan struct{}
	closed bool
}

func (w *waiter) Write(p []byte) (int, error)        { return w.conn.Write(p) }
func (w *waiter) LocalAddr() net.Addr                { return w.conn.LocalAddr() }
func (w *waiter) RemoteAddr() net.Addr               { return w.conn.RemoteAddr() }
func (w *waiter) SetWriteDeadline(t time.Time) error { return w.conn.SetWriteDeadline(t) }

// NetConn returns the connection that was wrapped. Nobody else may read from it.
func (w *waiter) NetConn() net.Conn { return w.conn }

// CloseWrite ends the direction to the client where the wrapped connection can do that; else it returns
// errors.ErrUnsupported.
func (w *waiter) CloseWrite() error { return closeWrite(w.conn) }

func closeWrite(c net.Conn) error {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// SetReadDeadline sets the user's deadline, for a Read that is under way, too; the zero time is none. A Read returns
// os.ErrDeadlineExceeded when it passes, and what it has read of a message is returned by a later one. What was read
// ahead is returned even after it.
func (w *waiter) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.theirs = t
	return w.changed()
}

// SetDeadline sets the user's deadlines of both directions.
func (w *waiter) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.conn.SetWriteDeadline(t))
}

// changed tells a Read that is under way that something is different. It is called with mu held.
func (w *waiter) changed() error {
	if w.paused != nil {
		close(w.paused)
		w.paused = nil
	}
	if w.inside {
		return w.apply()
	}
	return nil
}

// apply gives conn the deadline that holds. It is called with mu held.
func (w *waiter) apply() error {
	d := w.theirs
	if !w.ours.IsZero() && (d.IsZero() || w.ours.Before(d)) {
		d = w.ours
	}
	if w.known && d.Equal(w.below) {
		return nil
	}
	w.below, w.known = d, true
	return w.conn.SetReadDeadline(d)
}

// read reads from conn. It returns with mu held, so that what its caller concludes is concluded before anything changes.
func (w *waiter) read(p []byte) (int, error) {
	w.mu.Lock()
	if w.closed {
		return 0, net.ErrClosed
	}
	if err := w.apply(); err != nil {
		return 0, err
	}
	w.inside = true
	w.mu.Unlock()
	n, err := w.conn.Read(p)
	w.mu.Lock()
	w.inside = false
	return n, err
}

// passed says, after conn said that a deadline has passed, whose it was; both are false when it was one that no longer
// holds. It is called with mu held.
func (w *waiter) passed() (ours, theirs bool) {
	now := time.Now()
	ours = !w.ours.IsZero() && !now.Before(w.ours)
	theirs = !w.theirs.IsZero() && !now.Before(w.theirs)
	if ours && theirs {
		ours = w.ours.Before(w.theirs)
		theirs = !ours
	}
	if !ours && !theirs {
		w.known = false
	}
	return ours, theirs
}

// pause waits without reading for as long as stay, which is called with mu held, says so. It returns an error when the
// user's deadline passes or the connection is closed.
func (w *waiter) pause(stay func() bool) error {
	for {
		w.mu.Lock()
		if w.closed || !stay() {
			defer w.mu.Unlock()
			if w.closed {
				return net.ErrClosed
			}
			return nil
		}
		w.paused = make(chan struct{})
		woken, deadline := w.paused, w.theirs
		w.mu.Unlock()
		if !await(woken, deadline) {
			return os.ErrDeadlineExceeded
		}
	}
}

// await waits until the channel is closed. It returns false when the deadline, if there is one, comes first.
func await(woken <-chan struct{}, deadline time.Time) bool {
	if deadline.IsZero() {
		<-woken
		return true
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-woken:
		return true
	case <-timer.C:
		return false
	}
}

// shut marks the connection as closed and reports whether it was open. conn itself is the caller's to close.
func (w *waiter) shut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.closed = true
	_ = w.changed() // a deadline that cannot be set: the connection is gone anyway
	return true
}
