package upstream

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// writeGrace is how long a write that failed waits for an answer that came before.
const writeGrace = time.Second

// conn is an HTTP/1.1 connection to a target, over TLS or not. It carries one exchange at a time.
//
// It keeps bytes that belong to no answer from net/http, and it remembers what happened to the connection itself, so
// that a broken connection and a broken answer can be told apart. A target that answers early and closes while the
// request is still being written is heard: the write ends when the answer has been read.
type conn struct {
	net.Conn

	closed  chan struct{} // closed by Close
	ended   chan struct{} // closed when a read failed
	closing sync.Once
	ending  sync.Once

	mu      sync.Mutex
	framing framing
	began   bool   // bytes of an answer came
	broken  error  // what a read or a write failed with, unless we had closed the connection
	stray   bool   // bytes came that no request asked for
	lost    func() // called when the answer cannot be read to its end; nil for nobody

	wrote atomic.Bool // of this exchange
}

func newConn(c net.Conn) *conn {
	return &conn{Conn: c, closed: make(chan struct{}), ended: make(chan struct{})}
}

// begin starts an exchange. It comes before the first byte of the request. lost, if there is one, is called when the
// connection ends before the answer is known to.
func (c *conn) begin(head bool, lost func()) {
	c.mu.Lock()
	c.wrote.Store(false)
	c.began, c.lost = false, lost
	c.framing.expect(head)
	c.mu.Unlock()
	select {
	case <-c.ended: // while it was idle, and net/http does not know yet
		c.lose()
	default:
	}
}

// state is what is known about a connection and the exchange on it.
type state struct {
	broken error  // the connection failed; nil when it did not, or when we closed it first
	fault  string // the answer is not to be trusted
	late   bool   // the fault is in its body
	wrote  bool   // something of the request was sent, or may have been
	began  bool   // something of an answer came
}

func (c *conn) look() state {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := state{broken: c.broken, fault: c.framing.fault, late: c.framing.late, wrote: c.wrote.Load(), began: c.began}
	if c.stray && s.fault == "" && !s.began {
		s.fault = "the target spoke before it was asked"
	}
	return s
}

// Read reads what belongs to the answer of the exchange. Bytes that belong to none are the end of the connection.
func (c *conn) Read(p []byte) (int, error) {
	n, err := 0, io.EOF
	if !c.isStray() {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		if own := c.follow(p[:n]); own < n {
			if n, err = own, nil; own == 0 {
				err = io.EOF
			}
		}
	}
	if errors.Is(err, errTruncated) && c.isWhole() {
		err = io.EOF
	}
	if err != nil {
		c.failed(err)
		c.ending.Do(func() { close(c.ended); c.lose() })
	}
	return n, err
}

// isWhole reports whether nothing more belongs to the answer, so that the end of the connection cuts nothing off. Where the
// protocol has changed, the end is the affair of those who speak it.
func (c *conn) isWhole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framing.state == betweenAnswers || c.framing.status == switchingProtocols
}

// lose tells the exchange that nothing more of its answer will come.
func (c *conn) lose() {
	c.mu.Lock()
	lost := c.lost
	c.mu.Unlock()
	if lost != nil {
		lost()
	}
}

func (c *conn) isStray() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stray
}

// follow returns how much of what was read belongs to the answer. Once something does not, nothing that comes later does.
func (c *conn) follow(p []byte) (own int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stray && c.wrote.Load() { // an answer to what was not asked yet is none
		own = c.framing.follow(p)
		if c.framing.state == betweenAnswers {
			c.lost = nil // the answer is complete; an idle connection keeps nothing of its last exchange
		}
	}
	c.began = c.began || own > 0
	c.stray = c.stray || own < len(p)
	return own
}

// failed remembers why the connection does not work any more.
func (c *conn) failed(err error) {
	select {
	case <-c.closed: // by us: the error says only that
		return
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		c.broken = err
	}
}

// Write writes a part of the request.
func (c *conn) Write(p []byte) (int, error) {
	if c.isStray() {
		c.failed(net.ErrClosed)
		return 0, net.ErrClosed
	}
	first := !c.wrote.Swap(true)
	n, err := c.Conn.Write(p)
	if err != nil {
		if first && n == 0 {
			c.wrote.Store(false)
		}
		c.failed(err)
		c.hear()
	}
	return n, err
}

// hear holds back the failure of a write while an answer can be read: net/http gives the connection up with the first
// error that it sees.
func (c *conn) hear() {
	timer := time.NewTimer(writeGrace)
	defer timer.Stop()
	for {
		select {
		case <-c.closed:
			return
		case <-c.ended:
			return
		case <-timer.C:
			c.mu.Lock()
			answered := c.framing.answered()
			c.mu.Unlock()
			if !answered {
				return
			}
		}
	}
}

// underTLS is the connection below TLS. When it ends without TLS having been ended first, somebody may have cut it (RFC 9112
// section 9.8); crypto/tls takes that for an ordinary end.
type underTLS struct {
	net.Conn
	secured atomic.Bool // the handshake is over
}

var errTruncated = errors.New("the connection ended without the close_notify of TLS")

// Read reads on.
func (c *underTLS) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF && c.secured.Load() { //nolint:errorlint // net.Conn's own
		err = errTruncated
	}
	return n, err
}

// bodyBuffers lends the buffers that request bodies are copied with.
var bodyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom writes what r has. Without it net/http would allocate a buffer for each body.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	buffer, ok := bodyBuffers.Get().(*[32 << 10]byte)
	if !ok {
		buffer = new([32 << 10]byte)
	}
	defer bodyBuffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{r}, buffer[:])
}

// Close closes the connection.
func (c *conn) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// CloseWrite ends our half of a tunnel, so that the target can finish its own.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
