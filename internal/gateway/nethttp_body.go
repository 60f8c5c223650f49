package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/wire"
)

// requestBody is the body of a request on its way to a target. It holds the limits of what a client may send and how slowly,
// and remembers what went wrong with it: the other end only sees that a body ended early. The transport reads it in a
// goroutine of its own, which may outlive the handler.
type requestBody struct {
	source    io.ReadCloser
	awaited   bool         // the client waits for 100 before it sends it
	violation func() error // what package wire found in the body, nil for nothing: net/http does not pass on all of it
	read      atomic.Int64
	watch     watchdog // a read of the target's
	leaving   watchdog // the reading of what nobody wanted

	mu       sync.Mutex
	max      int64 // bytes; 0 for no limit
	rate     int64 // bytes a second; 0 for no minimum
	patience time.Duration
	atEOF    func() // called once, at the end of the body; nil for nothing
	problem  decision.Decision
	status   int // of the answer to the problem; 0 for the reason's own
	err      error
	reading  bool
	answered bool // the target has begun a final answer
	headed   bool // the client has the head of it
	closed   bool // nobody wants the rest
	cut      bool // a read was ended for that: the client has not gone, whatever net/http says
	ended    bool // the handler has returned
	eof      bool
	changed  sync.Cond // one of answered, headed, closed and ended did
}

// patience is how long a client may send nothing of a body, all pauses together; what it sends buys time at the minimum
// rate, up to this again.
const patience = 10 * time.Second

func newRequestBody(source io.ReadCloser, control *http.ResponseController) *requestBody {
	b := &requestBody{source: source, problem: decision.Decision{Reason: decision.OK}, violation: func() error { return nil }}
	b.watch.end = func() { _ = control.SetReadDeadline(time.Unix(1, 0)) } // every connection of ours can
	b.leaving.end = b.watch.end
	b.changed.L = &b.mu
	return b
}

// limit sets what the body may be. A stream that has no pace of its own is not held to a rate.
func (b *requestBody) limit(bounds config.RequestBounds, paced bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.max, b.patience = bounds.MaxBody, patience
	if paced {
		b.rate = bounds.MinBodyRate
	}
}

var errBodyEnded = errors.New("the request has ended")

func (b *requestBody) Read(p []byte) (int, error) {
	b.invite()
	if err := b.arm(); err != nil {
		return 0, err
	}
	began := time.Now()
	n, err := b.source.Read(p)
	b.watch.stop()
	return b.took(n, err, time.Since(began))
}

// answers says whether the target has begun a final answer.
func (b *requestBody) answers(final bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered = final
	b.changed.Broadcast()
}

// told says that the client has got the head of a final answer: from then on nothing invites it.
func (b *requestBody) told() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.headed = true
	b.changed.Broadcast()
}

// invite waits until the first read, with which net/http says 100, may begin. Behind a final answer transports read the body for
// their connection's sake alone: a client that has waited until then is told the answer first, and what it sends all the same is
// read after that (RFC 9110, section 10.1.1).
func (b *requestBody) invite() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.awaited && b.answered && !b.headed && !b.closed && !b.ended && b.read.Load() == 0 {
		b.changed.Wait()
	}
}

// arm prepares for a read, unless none is wanted any more.
func (b *requestBody) arm() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended, b.closed:
		return errBodyEnded
	case b.err != nil:
		return b.err
	}
	if b.rate > 0 {
		b.watch.start(b.patience)
	}
	b.reading = true
	return nil
}

// took accounts for a read.
func (b *requestBody) took(n int, err error, blocked time.Duration) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	total := b.read.Add(int64(n))
	if b.max > 0 && total > b.max {
		b.fail(decision.RequestTooLarge, 0, fmt.Sprintf("the body is larger than max_body_size: %d bytes", b.max))
		return 0, b.err
	}
	if b.rate > 0 {
		bought := time.Duration(float64(n) / float64(b.rate) * float64(time.Second))
		b.patience = min(patience, b.patience-blocked+bought)
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.eof = true
		b.err = io.EOF
		if b.atEOF != nil {
			b.atEOF()
		}
	default:
		b.broke(err)
	}
	return n, b.err
}

// broke says why a body cannot be read to its end.
func (b *requestBody) broke(err error) {
	violation, malformed := errors.AsType[*wire.BodyError](errors.Join(err, b.violation()))
	switch {
	case b.watch.expired() && !malformed:
		b.slow()
	case strings.Contains(err.Error(), "declared a Content-Length"): // net/http's HTTP/2 has no type for it
		b.fail(decision.RequestMalformed, 0, "the body is not as long as its Content-Length")
	case malformed:
		b.fail(reasonOf(violation.Problem.Kind), violation.Problem.Status, violation.Problem.Detail)
	case b.ended, b.closed:
		b.err = errBodyEnded
	default:
		b.err = err // the client has gone, or cut it short
	}
}

func (b *requestBody) slow() {
	b.fail(decision.RequestTimeout, 0, fmt.Sprintf("the body came more slowly than min_body_rate: %d bytes a second", b.rate))
}

func (b *requestBody) fail(reason decision.Reason, status int, detail string) {
	b.problem, b.status = decision.Decision{Reason: reason, Detail: detail}, status
	b.err = errors.New(detail)
}

// refusal returns what the client did wrong with the body, and the status to answer it with if that is not the reason's
// own; it is allowed where nothing was wrong.
func (b *requestBody) refusal() (decision.Decision, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.problem.Allowed() { // net/http tells everybody of an error before it tells the reader
		if violation, ok := errors.AsType[*wire.BodyError](b.violation()); ok {
			b.fail(reasonOf(violation.Problem.Kind), violation.Problem.Status, violation.Problem.Detail)
		} else if b.watch.expired() {
			b.slow()
		}
	}
	return b.problem, b.status
}

// Close implements io.Closer: the target does not want the rest, and a Read that waits for it returns. What remains of the
// body is net/http's to read or to leave.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.eof || b.ended || b.closed {
		return nil
	}
	b.closed = true
	b.changed.Broadcast()
	if b.reading {
		b.cut = true
		b.watch.end()
	}
	return nil
}

// wasCut reports whether a read of the client was ended for the target's sake. net/http takes that for the end of the client.
func (b *requestBody) wasCut() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cut
}

// leftOver bounds what is read of a body that nobody wanted, and for how long, so that its connection can have another
// request. The answer waits for it, so the time is what a refusal may take for a client that is still sending.
const (
	leftOver     = 256 << 10
	leftOverTime = 500 * time.Millisecond
)

// drain reads what is left of a body that nobody else reads, within bounds, and reports whether that was all. Nothing is read
// after it.
func (b *requestBody) drain() bool {
	b.leaving.start(leftOverTime)
	n, err := io.CopyN(io.Discard, b.source, leftOver)
	b.leaving.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.changed.Broadcast()
	b.eof = errors.Is(err, io.EOF) && n < leftOver && !b.leaving.expired() // it ends every later read, too
	return b.eof
}

// finish ends reading. After it nothing here touches the connection, which may have its next request.
func (b *requestBody) finish() {
	b.watch.close()
	b.leaving.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.changed.Broadcast()
}

// complete reports whether the body was read to its end.
func (b *requestBody) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.eof
}

// response remembers what was answered, and gives the client so long to accept each piece of it.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	begins  func(status int) // called before the head of the answer is written; nil for nothing
	begun   func()           // called after it; nil for nothing
	status  int
	written atomic.Int64
	timeout time.Duration // within which the client has to take something; 0 for no limit
	watch   watchdog
}

// newResponse watches what is written to w. taken is how many octets the client has taken, and slow is called before one that
// takes nothing is cut.
func newResponse(w http.ResponseWriter, timeout time.Duration, taken func() uint64, slow func()) *response {
	out := &response{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
	out.watch.taken = taken
	out.watch.end = func() {
		slow()
		out.interrupt()
	}
	return out
}

// interrupt ends what waits for the client to take something.
func (w *response) interrupt() { _ = w.control.SetWriteDeadline(time.Unix(1, 0)) } // every connection of ours can

func (w *response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
		if w.begins != nil {
			w.begins(status)
		}
	} else if w.timeout > 0 { // it is sent at once
		w.watch.start(w.timeout)
		defer w.watch.stop()
	}
	w.ResponseWriter.WriteHeader(status)
	if w.status != 0 && w.begun != nil {
		w.begun()
	}
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.timeout > 0 {
		w.watch.start(w.timeout)
		defer w.watch.stop()
	}
	n, err := w.ResponseWriter.Write(p)
	w.written.Add(int64(n))
	return n, err
}

// flush sends what was written.
func (w *response) flush() error {
	if w.timeout > 0 {
		w.watch.start(w.timeout)
		defer w.watch.stop()
	}
	return w.control.Flush()
}

// finish ends watching. What net/http still holds waits for the connection, which has its own bound, and with HTTP/2 for the
// client's window, which has none.
func (w *response) finish(http2 bool) {
	w.watch.close()
	if http2 && w.timeout > 0 {
		_ = w.control.SetWriteDeadline(time.Now().Add(longestPiece * w.timeout)) // every connection of ours can
	}
}
