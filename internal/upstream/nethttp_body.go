package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// requestBody is the body of a caller's request on its way through one or two attempts. It knows whether the caller or
// the target is the one that is waited for.
type requestBody struct {
	source io.ReadCloser // nil when there is none
	length int64         // -1 when it is not known

	mu      sync.Mutex
	reads   int       // that have begun
	reading bool      // the caller is waited for
	last    time.Time // when the target took something; zero before there was a connection
	passed  int64
	err     error  // what the source failed with
	keep    bool   // kept is all that was read, for another attempt
	kept    []byte // at most most
	most    int
	at      int  // how much of kept the running attempt has read
	ended   bool // the source has
	turn    int  // counts the times that it was made ready for another attempt or connection
	closing bool // an attempt has closed it, but another may follow
	broken  bool // closing, but only because the connection ended
	final   bool // no other attempt follows
	closed  bool
}

// How much of a body that was read is kept for another attempt. A target that closes an HTTP/2 connection says which
// requests it has not looked at, and by then their bodies are on the way. Over HTTP/1.1 it is what waits to be written.
const (
	maxKeptHTTP1 = 16 << 10
	maxKeptHTTP2 = 32 << 10
)

// newRequestBody takes over the body of a request. A ContentLength of 0 says that there is none, as in the requests that
// a server gets.
func newRequestBody(r *http.Request) *requestBody {
	b := &requestBody{length: r.ContentLength}
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case r.ContentLength == 0:
		_ = r.Body.Close() // nothing is in it
	default:
		b.source = r.Body
	}
	return b
}

func (b *requestBody) some() bool { return b.source != nil }

// keepsBeginning says that another attempt may follow after something was read.
func (b *requestBody) keepsBeginning(most int) { b.keep, b.most = true, most }

// spent reports whether what was read cannot be read again.
func (b *requestBody) spent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isSpent()
}

func (b *requestBody) isSpent() bool { return b.reads > 0 && (!b.keep || b.reading) }

func (b *requestBody) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err != nil
}

// touch notes that there is a connection now.
func (b *requestBody) touch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = time.Now()
	if b.broken { // by the connection before
		b.broken, b.closing = false, false
	}
}

// touchFirst is touch, the first time.
func (b *requestBody) touchFirst() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.IsZero() {
		b.last = time.Now()
	}
}

// turnOf returns what interrupt wants to know.
func (b *requestBody) turnOf() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.turn
}

// interrupt ends reading in a turn that is not over, because nobody can use what it brings. net/http waits for a read that is going on before it
// says that the connection is lost.
func (b *requestBody) interrupt(turn int) {
	b.mu.Lock()
	if turn != b.turn {
		b.mu.Unlock()
		return
	}
	going := b.reading
	b.broken, b.closing = b.broken || !b.closing, true
	b.mu.Unlock()
	if going {
		b.finish()
	}
}

// idle returns for how long the target has not taken anything, and whether there is a connection to it.
func (b *requestBody) idle() (d time.Duration, connected bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.IsZero() || b.reading {
		return 0, !b.last.IsZero()
	}
	return time.Since(b.last), true
}

// bodyTurn is the body for one connection. What net/http still does with it after its turn does not touch the next one.
type bodyTurn struct {
	body *requestBody
	turn int
}

// Read reads from the caller on behalf of net/http.
func (t *bodyTurn) Read(p []byte) (int, error) { return t.body.read(t.turn, p) }

// Close is net/http's: the attempt does not need the body any more.
func (t *bodyTurn) Close() error {
	t.body.close(t.turn)
	return nil
}

func (b *requestBody) read(turn int, p []byte) (int, error) {
	b.mu.Lock()
	if b.closed || b.closing || turn != b.turn {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	if n, again := b.readAgain(p); again {
		b.mu.Unlock()
		return n, nil
	}
	if b.ended {
		b.mu.Unlock()
		return 0, io.EOF
	}
	b.reads++
	b.reading = true
	b.mu.Unlock()

	n, err := b.source.Read(p)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading, b.last = false, time.Now()
	b.passed += int64(n)
	b.remember(p[:n])
	b.ended = errors.Is(err, io.EOF)
	switch {
	case b.length >= 0 && b.passed > b.length:
		err = errors.New("the body is longer than its Content-Length")
	case b.length >= 0 && b.passed < b.length && errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) && !b.closing {
		b.err = err
	}
	return n, err
}

// readAgain reads what an attempt before has read. The caller holds mu, here and below.
func (b *requestBody) readAgain(p []byte) (n int, again bool) {
	if b.at == len(b.kept) {
		return 0, false
	}
	n = copy(p, b.kept[b.at:])
	b.at, b.last = b.at+n, time.Now()
	if !b.keep && b.at == len(b.kept) {
		b.kept, b.at = nil, 0
	}
	return n, true
}

// remember keeps what was read, unless it becomes too much.
func (b *requestBody) remember(p []byte) {
	if b.keep = b.keep && len(b.kept)+len(p) <= b.most; !b.keep {
		b.kept, b.at = nil, 0
		return
	}
	b.kept = append(b.kept, p...)
	b.at = len(b.kept)
}

func (b *requestBody) close(turn int) {
	b.mu.Lock()
	b.closing = b.closing || turn == b.turn
	last := b.closing && (b.final || b.isSpent()) // what has been read cannot be sent again
	b.mu.Unlock()
	if last {
		b.finish()
	}
}

// again makes the body, which is not spent, ready for an attempt.
func (b *requestBody) again() *bodyTurn {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing, b.broken, b.last, b.at = false, false, time.Time{}, 0
	b.turn++
	return &bodyTurn{b, b.turn}
}

// commit says that no other attempt follows.
func (b *requestBody) commit() {
	b.mu.Lock()
	b.final, b.keep = true, false
	if b.at == len(b.kept) {
		b.kept, b.at = nil, 0
	}
	closing := b.closing
	b.mu.Unlock()
	if closing {
		b.finish()
	}
}

// finish closes the source. Some sources cannot be closed while they are read from; nobody waits for those.
func (b *requestBody) finish() {
	if b.source == nil {
		return
	}
	b.mu.Lock()
	first, reading := !b.closed, b.reading
	b.closed = true
	b.mu.Unlock()
	switch {
	case !first:
	case reading:
		go b.source.Close() //nolint:errcheck // there is nobody to tell
	default:
		_ = b.source.Close() // there is nobody to tell
	}
}

// Reply is a target's answer.
type Reply struct {
	// Response has the header and the body. Its Trailer is filled in when the body has been read. Closing the body, and
	// nothing else, ends the request and frees its slot; it may be closed more than once. Reading it fails with a
	// *Failure. For 101 it is an io.ReadWriteCloser, with a method CloseWrite, without a limit on pauses.
	Response *http.Response
	// Target is where the answer came from.
	Target *Target
	// Retried is what the first of two attempts failed with, nil when there was one.
	Retried *Failure

	body *replyBody
}

// SetPause sets for how long the target may be silent while the body is read; 0 is without a limit, for event streams,
// gRPC and tunnels. It counts from the next read on. The time between two reads does not count.
func (r *Reply) SetPause(d time.Duration) { r.body.pause.Store(int64(d)) }

// slowReader is the time between two reads from which on a target that gives up may do so because of the reader.
const slowReader = time.Second

// replyBody is the body of an answer.
type replyBody struct {
	attempt *attempt
	source  io.ReadCloser
	tunnel  bool         // its end says nothing about the target
	empty   bool         // the status says that there is none
	pause   atomic.Int64 // nanoseconds

	closed atomic.Bool
	phase  atomic.Int32 // of the read that is going on
	timer  *time.Timer
	last   time.Time // the end of the last read
	slow   bool      // the reader took its time, once
	err    error     // what every further read fails with
}

// The phases of a read.
const (
	notReading int32 = iota
	reading
	stalled
)

// replyWith makes the reply out of net/http's response.
func (a *attempt) replyWith(r *http.Response) *Reply {
	b := &a.answer
	b.attempt, b.source = a, r.Body
	a.reply = Reply{Response: r, Target: a.lease.target, body: b}
	if conn, ok := r.Body.(io.ReadWriteCloser); ok && r.StatusCode == http.StatusSwitchingProtocols {
		b.tunnel = true
		r.Body = &tunnel{replyBody: b, conn: conn, leave: context.AfterFunc(a.request.Context(), func() { a.stop(CauseCanceled, context.Canceled) })}
		return &a.reply
	}
	b.pause.Store(int64(a.upstream.config.PauseTimeout))
	if b.empty = r.StatusCode == http.StatusNoContent || r.StatusCode == http.StatusNotModified; b.empty && r.Body == http.NoBody {
		b.empty = false // and nothing is left to find out
	}
	r.Body = b
	return &a.reply
}

// Read reads from the target.
func (b *replyBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	b.slow = b.slow || !b.last.IsZero() && time.Since(b.last) > slowReader
	pause := time.Duration(b.pause.Load())
	b.phase.Store(reading)
	if pause > 0 {
		if b.timer == nil {
			b.timer = time.AfterFunc(pause, b.stall)
		} else {
			b.timer.Reset(pause)
		}
	}
	n, err := b.source.Read(p)
	if pause > 0 {
		b.timer.Stop()
	}
	fault := false
	if b.empty && b.phase.Load() == reading {
		// net/http misses what the length of an HTTP/2 answer promises, which is that of another answer here (RFC 9110
		// section 8.6).
		if fault, err = n > 0, io.EOF; fault {
			n, err = 0, errBodyOfNone
		}
	}
	b.last = time.Now()
	if !b.phase.CompareAndSwap(reading, notReading) {
		err = b.failed(CauseStalled, errors.New("the target stopped sending the response's body"))
	} else if fault {
		b.attempt.stop(CauseProtocol, err)
		err = b.failed(CauseProtocol, err)
	} else if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's own
		cause := CauseCanceled // a reader that closes what it reads has lost interest
		if !b.closed.Load() {
			cause = b.attempt.causeOfBody(err)
		}
		err = b.failed(cause, err)
	}
	b.err = err
	return n, err
}

// stall ends a read that takes too long.
func (b *replyBody) stall() {
	if b.phase.CompareAndSwap(reading, stalled) {
		b.attempt.stop(CauseStalled, errSilent)
	}
}

var (
	errSilent     = errors.New("the target is silent")
	errBodyOfNone = errors.New("the target sends a body behind a status that has none")
)

// failed makes the failure of a read and tells the target's health.
func (b *replyBody) failed(cause Cause, err error) *Failure {
	if !b.tunnel && !(cause == CauseReset && b.slow) {
		b.attempt.blame(cause)
	}
	return b.attempt.failure(cause, err)
}

// Close ends the request.
func (b *replyBody) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	err := b.source.Close()
	b.attempt.end()
	b.attempt.lease.release()
	return err
}

// tunnel is the body of an answer that changed the protocol.
type tunnel struct {
	*replyBody
	conn  io.ReadWriteCloser
	leave func() bool
}

// Write sends to the target.
func (t *tunnel) Write(p []byte) (int, error) { return t.conn.Write(p) }

// CloseWrite says that nothing more will be sent.
func (t *tunnel) CloseWrite() error {
	half, ok := t.conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close ends the tunnel.
func (t *tunnel) Close() error {
	t.leave()
	return t.replyBody.Close()
}
