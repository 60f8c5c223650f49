package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// HTTP1 is a client's connection that returns whole HTTP/1 messages and nothing else, for net/http to read.
//
// A request's head is returned after it was checked whole, its body as it comes. What is no acceptable request is
// replaced by one that begins with "OPTIONS *" and says Connection: close; Problem then says which one it is and why, and
// no more is read.
// Whoever serves the requests counts them from 1, asks Problem on each, calls Done after each, and has the server pass
// OPTIONS * on to the handler.
//
// A connection is busy from the moment that a head is returned until Done was called for it. Only one that is not busy
// can be idle for too long or too slow with a request; how fast bodies and responses have to be while a handler runs is
// the handler's business.
type HTTP1 struct {
	waiter // its mu guards place and what follows it, too
	limits Limits

	reading sync.Mutex // held by Read; it guards what follows
	head    head
	body    body
	ahead   ahead
	ready   int   // how much of ahead may be returned
	gone    error // what the wrapped connection ended with
	failed  error // what every Read returns after what is ready

	begun     time.Time // when the first head did, if that is known before it is read; zero afterwards
	place     place
	switching bool // the request asks for another protocol
	retired   bool
	gentle    bool  // Close lets the client read what it was sent
	delivered int64 // heads that were returned
	done      int64 // heads that were handled
	ordinal   int64 // of the head that stands for problem
	problem   *Problem
	violation *BodyError
}

// place says what the next octet of the client belongs to.
type place uint8

const (
	between   place = iota // a request that has not begun
	inHead                 // one that has
	inBody                 // a body
	inTrailer              // the section behind its chunks
	onHold                 // nobody knows: the request before asked for another protocol, or for none
	refused                // nothing; a request stands in for what was there
	tunneled               // another protocol
)

const (
	// substitute is read in the place of a request that is none. It is about the server as a whole, so no resource of a
	// backend is ever meant, and RFC 2606 keeps its host out of the world.
	substitute = "OPTIONS * HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n"
	// retireGrace is what a retired connection waits for a request that has arrived and was not read yet.
	retireGrace = time.Millisecond
	// maxHold bounds what is kept of another protocol until a handler has agreed to it.
	maxHold = 64 << 10
	// maxBodyRead bounds what may have to be kept when a body ends within a read.
	maxBodyRead = 64 << 10
	// What a client gets to read an answer after which no more is read: a connection that closes with unread octets is
	// reset, and the answer may be lost with it (RFC 9112 §9.6).
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// NewHTTP1 wraps a connection, which belongs to the result from now on. The time for the first request begins now.
func NewHTTP1(c net.Conn, l Limits) *HTTP1 {
	h := &HTTP1{waiter: waiter{conn: c}, limits: l}
	h.ours = time.Now().Add(l.IdleTimeout)
	if r, ok := c.(*replay); ok {
		h.begun = r.begun
	}
	return h
}

// Problem returns why a request was refused, and its number: heads count from 1 in the order in which they are read, the
// one that stands in for the refused one as well. It returns 0 and nil while there is nothing to refuse. The request with
// that number is the last.
func (c *HTTP1) Problem() (ordinal int64, p *Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ordinal, c.problem
}

// Err returns the *BodyError with which the body of the last request ended, or nil.
func (c *HTTP1) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.violation == nil {
		return nil
	}
	return c.violation
}

// Done says that the oldest request that was not done before was handled. Calls beyond the number of requests do nothing.
func (c *HTTP1) Done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.busy() {
		return
	}
	c.done++
	if c.busy() {
		return
	}
	if c.place == onHold { // the protocol stays what it is
		c.place = between
	}
	c.wait()
	_ = c.changed() // a connection that is gone says so to Read
}

// Retire says that no further request is awaited. When no request is being handled and none has begun, Read returns
// io.EOF, also one that waits already; a request of which an octet has arrived is still returned.
func (c *HTTP1) Retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired {
		return
	}
	c.retired = true
	if c.place == between {
		c.wait()
		_ = c.changed() // as in Done
	}
}

// Idle reports whether no request is being read or handled and no other protocol spoken.
func (c *HTTP1) Idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.busy() && (c.place == between || c.place == refused)
}

// Tunnel says that the connection was hijacked: everything that was not read yet, also what was read ahead, is from now
// on returned as it is, and no deadline holds but the user's. It returns an error and changes nothing unless the last
// request asked for another protocol with Connection and Upgrade fields (RFC 9110 §7.8): behind any other, what comes was
// taken for HTTP, and of a client that was refused nothing is to be trusted any more.
func (c *HTTP1) Tunnel() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place == tunneled {
		return nil
	}
	if c.place != onHold || c.violation != nil {
		return errors.New("http/1: the last request was not read as one that may change the protocol")
	}
	c.place, c.ours = tunneled, time.Time{}
	_ = c.changed() // as in Done
	return nil
}

// Linger says that the client is still sending what nobody will read, although its answer was sent: Close lets it read that
// answer first.
func (c *HTTP1) Linger() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gentle = true
}

// Close closes the connection. After a refusal, or after Linger, it lets the client read the answer first, for half a second at most,
// unless the connection is retired. Another Close meanwhile ends that.
func (c *HTTP1) Close() error {
	first := c.shut()
	c.mu.Lock()
	linger := first && !c.retired && (c.problem != nil || c.violation != nil || c.gentle)
	c.mu.Unlock()
	if linger {
		c.linger()
	}
	return c.conn.Close()
}

// linger ends the direction to the client and drops what still comes from it.
func (c *HTTP1) linger() {
	if c.CloseWrite() != nil || c.conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	var rest ahead
	room := rest.room(1)
	for n := 0; n < lingerBytes; {
		k, err := c.conn.Read(room)
		if err != nil {
			break
		}
		n += k
	}
	rest.clear()
}

// Read returns a part of one message. It never returns octets of two, and of a head only when all of it was checked.
//
// Its errors are io.EOF at the end: of the client, of its patience or ours; os.ErrDeadlineExceeded for the user's
// deadline and for a body that goes on too long after Done; a *BodyError; or those of the wrapped connection. After a
// deadline inside a body nothing more is read: net/http might take the rest of it for a request.
func (c *HTTP1) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	for {
		if n, err := c.step(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// step does what is next. It returns 0 and nil when something else is next then.
func (c *HTTP1) step(p []byte) (int, error) {
	c.mu.Lock()
	at := c.place
	c.mu.Unlock()
	switch {
	case at == tunneled:
		if len(c.ahead.bytes()) > 0 {
			return c.ahead.take(p), nil
		}
		return c.fetch(p)
	case c.ready > 0:
		n := c.ahead.take(p[:min(len(p), c.ready)])
		c.ready -= n
		return n, nil
	case c.failed != nil:
		return 0, c.failed
	}
	switch at {
	case between, inHead:
		return c.readHead(p)
	case inBody:
		return c.readBody(p)
	case inTrailer:
		return 0, c.readTrailer()
	case onHold:
		return 0, c.hold(p)
	case refused:
		return 0, c.rest()
	case tunneled: // see above
	}
	return 0, nil
}

// fetch reads from the client. It returns 0 and nil when a deadline has changed where we are.
func (c *HTTP1) fetch(p []byte) (int, error) {
	if c.gone != nil {
		return 0, c.gone
	}
	n, err := c.read(p)
	defer c.mu.Unlock()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF // a client that ends within a TLS record; net/http would answer that by itself
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.gone = err
	}
	switch {
	case n > 0 || err == nil:
		return n, nil
	case c.gone != nil:
		return 0, c.gone
	}
	ours, theirs := c.passed()
	if theirs {
		if c.place == inBody || c.place == inTrailer {
			c.failed = io.EOF // whoever gave up on a body does not know where the next request begins
		}
		return 0, os.ErrDeadlineExceeded
	}
	if ours {
		c.late()
	}
	return 0, nil
}

// late is called with mu held when our own deadline has passed.
func (c *HTTP1) late() {
	c.ours = time.Time{}
	switch c.place {
	case between:
		c.failed = io.EOF
	case inHead:
		c.refuse(&Problem{TooSlow, 408, "the head was not complete in time"})
	case inBody, inTrailer:
		c.failed = os.ErrDeadlineExceeded
	case onHold, refused, tunneled: // nothing is awaited
	}
}
