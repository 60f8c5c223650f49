package upstream

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
)

// h2Conn is an HTTP/2 connection to a target, over TLS or not. net/http says neither which stream a request has nor whether
// the target has left it alone, on which it depends whether the request may be sent again. So the heads of the frames are
// looked at (RFC 9113 section 4.1), and how the target begins: with SETTINGS (section 3.4), or it does not know the protocol.
type h2Conn struct {
	net.Conn

	seen  int         // bytes that were looked at for the beginning; used by the reader alone
	wrong atomic.Bool // this is no HTTP/2
	in    frames      // used by the reader alone

	mu      sync.Mutex
	out     frames
	newest  uint32          // the stream whose header was written last
	streams map[uint32]fate // of those that are asked about, until forget
	away    bool            // the target said GOAWAY
	last    uint32          // the last stream that the target will look at, when away
}

// fate is what a target has said about a stream.
type fate uint8

const (
	undecided fate = iota
	unseen         // GOAWAY: it was not and will not be looked at (RFC 9113 section 6.8)
	refused        // REFUSED_STREAM: nothing was done (section 8.7)
	malformed      // PROTOCOL_ERROR: the target does not like this request
)

// The frames and codes that matter here.
const (
	headersFrame, resetFrame, settingsFrame, goAwayFrame = 1, 3, 4, 7
	protocolError, refusedStream                         = 1, 7
	prefaceLength                                        = 24
	frameTypeAt                                          = 3 // after the length
)

func newH2Conn(c net.Conn) *h2Conn {
	return &h2Conn{Conn: c, out: frames{skip: prefaceLength}, streams: map[uint32]fate{}}
}

// Read reads on.
func (c *h2Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.seen <= frameTypeAt {
		if at := frameTypeAt - c.seen; at < n && p[at] != settingsFrame {
			c.wrong.Store(true)
		}
		c.seen += n
	}
	c.in.follow(p[:n], c.heard)
	return n, err
}

// heard looks at a frame of the target.
func (c *h2Conn) heard(kind byte, stream uint32, payload []byte) {
	switch {
	case kind == resetFrame && len(payload) == 4:
		verdict := undecided
		switch binary.BigEndian.Uint32(payload) {
		case refusedStream:
			verdict = refused
		case protocolError:
			verdict = malformed
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, asked := c.streams[stream]; asked {
			c.streams[stream] = verdict
		}
	case kind == goAwayFrame && len(payload) == frameBegin:
		last := binary.BigEndian.Uint32(payload) &^ (1 << 31)
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.away || last < c.last {
			c.away, c.last = true, last
		}
	}
}

// Write writes on. net/http writes one thing at a time.
func (c *h2Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.out.follow(p, func(kind byte, stream uint32, _ []byte) {
		if kind == headersFrame && stream > c.newest { // trailers have the number of their stream
			c.newest = stream
			c.streams[stream] = undecided
		}
	})
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// newestStream returns the stream whose header was written last.
func (c *h2Conn) newestStream() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// fateOf says what the target has said about a stream that was not forgotten.
func (c *h2Conn) fateOf(stream uint32) fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away && stream > c.last {
		return unseen
	}
	return c.streams[stream]
}

// forget lets go of a stream that nobody will ask about.
func (c *h2Conn) forget(stream uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, stream)
}

// The parts of a frame that are looked at.
const (
	frameHead  = 9
	frameBegin = 8 // of the payload; all that GOAWAY and RST_STREAM say in numbers
)

// frames follows the heads of HTTP/2 frames in one direction of a connection.
type frames struct {
	skip int // bytes that do not matter
	have int // of begin
	// begin is a frame's head and the first bytes of its payload.
	begin [frameHead + frameBegin]byte
}

func (f *frames) length() int {
	return int(f.begin[0])<<16 | int(f.begin[1])<<8 | int(f.begin[2])
}

// need returns how much of begin there has to be.
func (f *frames) need() int {
	if f.have < frameHead {
		return frameHead
	}
	return frameHead + min(f.length(), frameBegin)
}

// follow calls saw for each frame, as soon as its head and the first bytes of its payload are there.
func (f *frames) follow(p []byte, saw func(kind byte, stream uint32, payload []byte)) {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(p))
			f.skip, p = f.skip-n, p[n:]
			continue
		}
		n := copy(f.begin[f.have:f.need()], p)
		f.have, p = f.have+n, p[n:]
		if f.have < f.need() {
			continue // the head is whole and its payload begins, or there is nothing more
		}
		payload := f.have - frameHead
		saw(f.begin[3], binary.BigEndian.Uint32(f.begin[5:])&^(1<<31), f.begin[frameHead:f.have])
		f.skip, f.have = f.length()-payload, 0
	}
}
