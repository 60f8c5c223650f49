package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// HTTP2 is a client's HTTP/2 connection on which heads are read before net/http sees them. A head that net/http would refuse by
// itself is replaced: by a harmless request that the handler knows by its RefusedField, where it can be answered, else by one
// whose stream net/http resets, as RFC 9113 §8.1.1 has it of what is malformed. What can be neither ends the connection. Every
// other octet passes as it is; only header blocks behind one that was replaced are written anew, because the tables of both
// sides are not the same any more.
//
// A trailer section on a stream that was reset meanwhile is read for the table's sake and dropped (RFC 9113 §5.1); net/http would
// end the connection.
//
// The connection also ends when the client sends too many frames that cost it nothing: resets, settings, pings, priorities,
// continuations, window updates of nothing, DATA without data, and frames of types that mean nothing to a server.
//
// The client also has to send its preface with the first frame within HeaderTimeout, and every header block that it has
// begun, and so every other frame but DATA.
type HTTP2 struct {
	waiter // its mu guards what follows, too
	limits Limits

	frames  frames // that the client sends
	written frames // that it is sent
	heads   heads
	streams streams
	passage
	bucket bucket
	abuse  *AbuseError
	untold []*Refused
	told   func(*Refused)
}

// AbuseError says why an HTTP/2 connection was ended.
type AbuseError struct {
	Slow  bool   // something was not complete in time; else there were too many frames
	Frame string // the type that most of too many frames were of: RST_STREAM and so on, or "unknown"
}

func (e *AbuseError) Error() string {
	if e.Slow {
		return "http/2: a header block or another frame was not complete in time"
	}
	return fmt.Sprintf("http/2: too many control frames, most of them %s", e.Frame)
}

// NewHTTP2 wraps a connection that has yet to send the preface and belongs to the result from now on. The time for the
// preface begins now. Read tells of each request that is refused and not answered, when its stream or the connection is
// about to end for it; nil tells nobody.
func NewHTTP2(c net.Conn, l Limits, told func(*Refused)) *HTTP2 {
	h := &HTTP2{waiter: waiter{conn: c}, limits: l, told: told}
	h.heads.fields.longest = roomier * l.HeaderBytes
	h.frames.preface = len(preface)
	h.bucket.rate = l.ControlFrames
	h.ours = time.Now().Add(l.HeaderTimeout)
	return h
}

// Abuse returns why the connection was ended, or nil.
func (c *HTTP2) Abuse() *AbuseError {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.abuse
}

// Close closes the connection.
func (c *HTTP2) Close() error {
	c.shut()
	return c.conn.Close()
}

// Read reads what the client sends, one Read at a time. With abuse it closes the connection and returns the *AbuseError, and
// so does every later Read; what came together with the abuse is dropped.
func (c *HTTP2) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := c.attempt(p)
		c.report()
		if abuse := c.Abuse(); abuse != nil {
			if c.shut() {
				_ = c.conn.Close() // the abuse is what there is to say
			}
			return 0, abuse
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// report tells of what was refused.
func (c *HTTP2) report() {
	c.mu.Lock()
	untold := c.untold
	c.untold = nil
	c.mu.Unlock()
	if c.told == nil {
		return
	}
	for _, r := range untold {
		c.told(r)
	}
}

// attempt returns what may pass, or reads once. It returns 0 and nil when nothing of that may pass yet, or a deadline passed
// that no longer holds.
func (c *HTTP2) attempt(p []byte) (int, error) {
	if n, ok := c.waiting(p); ok {
		return n, nil
	}
	n, err := c.read(p)
	defer c.mu.Unlock()
	if n > 0 {
		c.place, c.there = 0, len(c.queue.bytes()) == 0
		c.follow(p[:n])
		n = c.place
	}
	if !c.closed && (c.ready > 0 || n > 0 && errors.Is(err, os.ErrDeadlineExceeded)) {
		return n, nil // the next attempt finds the error again
	}
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	ours, theirs := c.passed()
	if theirs {
		return 0, os.ErrDeadlineExceeded
	}
	if ours && c.abuse == nil {
		c.abuse = &AbuseError{Slow: true}
		c.lose(&Problem{TooSlow, 408, "the head was not complete in time"})
	}
	return 0, nil
}

// waiting returns what was let pass before.
func (c *HTTP2) waiting(p []byte) (n int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready == 0 || c.closed {
		return 0, false
	}
	n = c.queue.take(p[:min(len(p), c.ready)])
	c.ready -= n
	return n, true
}

// lose notes that a head which was begun goes under with its connection.
func (c *HTTP2) lose(p *Problem) {
	if c.heads.open && !c.heads.trailer && !c.over {
		c.tell(c.heads.head.refused(p))
	}
}

// follow decides what of b passes, counts the frames that end in it, and sets our deadline for what is not complete. It is
// called with mu held.
func (c *HTTP2) follow(b []byte) {
	var now time.Time // asked for once, where it matters
	fresh := false
	if k := min(c.frames.preface, len(b)); k > 0 {
		c.frames.preface -= k
		c.let(b[:k])
		b = b[k:]
	}
	for len(b) > 0 && !c.over {
		n, whole := c.frames.next(b)
		c.pass(b[:n], whole)
		b = b[n:]
		if !whole {
			break
		}
		fresh = fresh || !c.frames.block
		if !c.frames.free() {
			continue
		}
		if now.IsZero() {
			now = time.Now()
		}
		if !c.bucket.take(c.frames.kind(), now) {
			c.abuse = &AbuseError{Frame: c.bucket.most()}
			c.lose(headerTooLarge("the head came in too many frames"))
			return
		}
	}
	switch {
	case c.over || !c.frames.pending():
		c.ours = time.Time{}
	case fresh || c.ours.IsZero():
		c.ours = time.Now().Add(c.limits.HeaderTimeout)
	}
}

// burst is how long a client may send frames at a multiple of its rate, after it has sent none: the bucket holds as many
// as come in this time.
const burst = 5 * time.Second

// bucket counts frames against a rate. The zero value lets none pass.
type bucket struct {
	rate  int       // per second
	full  time.Time // when the bucket will be full again
	taken [frameKinds]int
}

// take counts a frame and reports whether it was still to be had.
func (b *bucket) take(kind byte, now time.Time) bool {
	if !now.Before(b.full) {
		b.full = now
		clear(b.taken[:])
	}
	b.taken[min(kind, unknownFrame)]++
	if b.rate <= 0 {
		return false
	}
	b.full = b.full.Add(time.Second / time.Duration(b.rate))
	return b.full.Sub(now) <= burst
}

// most names the kind of frame that was taken most since the bucket was full.
func (b *bucket) most() string {
	most := 0
	for kind, n := range b.taken {
		if n > b.taken[most] {
			most = kind
		}
	}
	return frameNames()[most]
}
