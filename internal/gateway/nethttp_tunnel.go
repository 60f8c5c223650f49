package gateway

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // G505: RFC 6455 asks for it; nothing is protected by it
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/metrics"
	"sallyport/internal/upstream"
)

// asksForWebSocket reports whether a request asks to go on as a WebSocket: with GET, without a body, and not with HTTP/1.0 (RFC
// 6455, section 4.1; RFC 9110, section 7.8). Any other goes on as what it is, without the wish.
func asksForWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.ProtoMinor > 0 && r.Method == http.MethodGet && r.ContentLength == 0 && wantsWebSocket(r.Header)
}

// wantsWebSocket reports whether the fields of an HTTP/1 message ask to go on as a WebSocket, or agree to it. Any other
// protocol, HTTP/2 above all, would carry requests past the gateway that nobody judges: such requests go on without the
// wish. It reads the fields as package wire does.
func wantsWebSocket(h http.Header) bool {
	upgrade := h["Upgrade"]
	if len(upgrade) != 1 || !isWord(upgrade[0], "websocket") {
		return false
	}
	for _, list := range h["Connection"] {
		for option := range strings.SplitSeq(list, ",") {
			if isWord(option, "upgrade") {
				return true
			}
		}
	}
	return false
}

// isWord reports whether a text is a word in ASCII, in any case and with blanks around it. Nothing else folds to it: not a
// no-break space, not the letters beyond ASCII that have a lower case within.
func isWord(text, word string) bool {
	text = textproto.TrimString(text)
	return len(text) == len(word) && strings.EqualFold(text, word)
}

// askForWebSocket makes a request one for a WebSocket. Over HTTP/2 the client has left the key to the two ends of each
// HTTP/1 connection, of which this is one (RFC 8441, section 5.1).
func (x *exchange) askForWebSocket(out *http.Request) {
	h := out.Header
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	out.ContentLength = 0
	if x.websocket {
		var nonce [16]byte
		rand.Read(nonce[:]) // it never fails: it ends the process instead
		h.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(nonce[:]))
		h.Set("Sec-WebSocket-Version", "13")
	}
}

// accepts computes the answer to a WebSocket key (RFC 6455, section 4.2.2).
func accepts(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // G401: see above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// tunnel connects the client with a target that has changed the protocol, until one of them ends it.
func (x *exchange) tunnel(reply *upstream.Reply) {
	reply.SetPause(0)
	response := reply.Response
	backend, ok := response.Body.(io.ReadWriteCloser)
	asked := x.websocket || x.upgrade
	if !ok || !asked || !wantsWebSocket(response.Header) {
		x.refuse(decision.UpstreamUnavailable, 0, "the target changed to a protocol that nobody asked for")
		return
	}
	if key := response.Request.Header.Get("Sec-WebSocket-Key"); response.Header.Get("Sec-WebSocket-Accept") != accepts(key) {
		x.refuse(decision.UpstreamUnavailable, 0, "the target's Sec-WebSocket-Accept does not belong to the key")
		return
	}
	var client io.ReadWriteCloser
	var err error
	if x.websocket {
		client, err = x.tunnelHTTP2(response)
	} else {
		client, err = x.tunnelHTTP1(response)
	}
	if err != nil {
		x.left()
		return
	}
	x.carry(client, backend)
}

// carry copies both ways until one side ends, or the stream is cut.
func (x *exchange) carry(client, backend io.ReadWriteCloser) {
	var once sync.Once
	hangUp := func() { // it waits for nobody
		once.Do(func() {
			go backend.Close() //nolint:errcheck // nothing depends on it
			_ = client.Close() // nor here
		})
	}
	x.stream.waits(hangUp)
	stuck := &watchdog{end: hangUp} // a target that takes nothing would keep us from seeing that the client has left
	defer stuck.close()
	ended := make(chan error, 2)
	go func() { ended <- x.copyTunnel(&target{backend, stuck, x.sendTimeout()}, client, nil) }()
	go func() { ended <- x.copyTunnel(client, backend, x.out) }()
	var first error // what the other direction ends with is of our own making
	for i := range 2 {
		err := <-ended
		if i == 0 {
			first = err
			hangUp() // a WebSocket has no half
		}
	}
	switch why := x.stream.verdict(); {
	case why != "":
		x.record.failure = why
	case x.conn.severed.Load() != nil:
		x.record.failure = *x.conn.severed.Load()
	case stuck.expired():
		x.record.failure = "the target took longer than send_timeout to receive"
	case timedOut(first), x.out.watch.expired(), x.conn.writes.stuck.Load():
		x.record.failure = tookNothing
	}
}

// target is a target's side of a tunnel for writing. It has as long to take a piece as a client has.
type target struct {
	io.Writer
	watch   *watchdog
	timeout time.Duration // 0 for no limit
}

func (t *target) Write(p []byte) (int, error) {
	if t.timeout > 0 {
		t.watch.start(t.timeout)
		defer t.watch.stop()
	}
	return t.Writer.Write(p)
}

// copyTunnel copies one direction. to is counted where it is the client's.
func (x *exchange) copyTunnel(to io.Writer, from io.Reader, out *response) error {
	pooled := x.g.buffers.Get()
	defer x.g.buffers.Put(pooled)
	buffer := *pooled
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, wrote := to.Write(buffer[:n]); wrote != nil {
				return wrote
			}
			if out != nil && !x.websocket {
				out.written.Add(int64(n)) // over HTTP/2 the response counts by itself
			}
		}
		if err != nil {
			return err
		}
	}
}

// tunnelHTTP1 takes the connection from net/http and says that the protocol changes.
func (x *exchange) tunnelHTTP1(response *http.Response) (io.ReadWriteCloser, error) {
	p := x.conn.protocol.Load()
	if p == nil || p.http1 == nil {
		return nil, errors.New("the connection does not speak HTTP/1")
	}
	h := response.Header
	removeHopByHop(h)
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	h.Set("X-Request-ID", x.record.id)
	connection, buffered, err := x.control.Hijack()
	if err != nil {
		return nil, err
	}
	if err := p.http1.Tunnel(); err != nil {
		_ = connection.Close()
		x.cut("change the protocol: " + err.Error())
		return nil, err
	}
	x.out.status = http.StatusSwitchingProtocols
	_ = connection.SetDeadline(time.Time{})
	t := &clientTunnel{Conn: connection, x: x, buffered: buffered.Reader}
	head := bufio.NewWriter(t)
	_, _ = head.WriteString("HTTP/1.1 101 Switching Protocols\r\n") // the buffer keeps the error
	_ = h.Write(head)
	_, _ = head.WriteString("\r\n")
	if err := head.Flush(); err != nil {
		_ = connection.Close()
		return nil, err
	}
	return t, nil
}

// clientTunnel is a client's side of a tunnel over HTTP/1.
type clientTunnel struct {
	net.Conn
	x        *exchange
	buffered *bufio.Reader // what net/http had read already
}

func (t *clientTunnel) Read(p []byte) (int, error) {
	var n int
	var err error
	if t.buffered.Buffered() > 0 {
		n, err = t.buffered.Read(p[:min(len(p), t.buffered.Buffered())])
	} else {
		n, err = t.Conn.Read(p)
	}
	t.x.body.read.Add(int64(n))
	return n, err
}

// cutGrace is how long a client has to take the last record of TLS when a tunnel ends. One that takes nothing is cut.
const cutGrace = time.Second

// Close ends the connection and does not wait for that.
func (t *clientTunnel) Close() error {
	go func() {
		force := time.AfterFunc(cutGrace, func() { t.x.conn.end(metrics.ClosedOther) })
		defer force.Stop()
		_ = t.Conn.Close() // nothing depends on it
	}()
	return nil
}

// tunnelHTTP2 answers the extended CONNECT; the stream of HTTP/2 goes on as the tunnel.
func (x *exchange) tunnelHTTP2(response *http.Response) (io.ReadWriteCloser, error) {
	h := x.out.Header()
	removeHopByHop(response.Header)
	maps.Copy(h, response.Header)
	h.Del("Sec-WebSocket-Accept")
	h["Content-Type"] = nil
	h.Set("X-Request-ID", x.record.id)
	x.out.WriteHeader(http.StatusOK)
	if err := x.out.flush(); err != nil {
		return nil, err
	}
	return &streamTunnel{x: x}, nil
}

// streamTunnel is a client's side of a tunnel over HTTP/2.
type streamTunnel struct{ x *exchange }

func (t *streamTunnel) Read(p []byte) (int, error) { return t.x.body.Read(p) }

func (t *streamTunnel) Write(p []byte) (int, error) {
	n, err := t.x.out.Write(p)
	if err == nil {
		err = t.x.out.flush()
	}
	return n, err
}

// Close ends what waits for the client. The stream itself ends with the handler.
func (t *streamTunnel) Close() error {
	past := time.Unix(1, 0)
	return errors.Join(t.x.control.SetReadDeadline(past), t.x.control.SetWriteDeadline(past))
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
