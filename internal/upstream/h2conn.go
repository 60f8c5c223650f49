package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// h2Conn is an HTTP/2 connection to a target, over TLS or not. net/http says neither which stream a request has nor whether
// the target has left it alone, on which it depends whether the request may be sent again. So the frames are followed in
// both directions, as far as they tell (RFC 9113 section 4.1).
//
// It also ends the connection before net/http reads what net/http does not survive: when an increment of a window
// overflows it (section 6.9.1), net/http locks a lock that it holds, and with that the pool of the target. So all windows are
// counted here as well.
type h2Conn struct {
	net.Conn

	// Used by the reader alone.
	in      frames
	greeted bool  // the target's first frame was SETTINGS
	muted   bool  // the WINDOW_UPDATE that is being read concerns nobody
	room    int64 // how much it may add

	fault atomic.Pointer[stop] // why we ended the connection; nil when we did not
	begun chan struct{}        // closed when the target's settings are in force, or never will be
	since time.Time            // when begun was closed; to be read afterwards
	late  *time.Timer          // ends the connection when they do not come

	mu      sync.Mutex
	out     frames
	newest  uint32              // the stream whose header was written last
	streams map[uint32]h2Stream // of those that are asked about, until forget
	away    bool                // the target said GOAWAY
	last    uint32              // the last stream that the target will look at, when away
	over    bool                // begun is closed
	ready   bool                // the settings are in force
	most    uint32              // streams at once, as the target said last
	initial int64               // the window of a stream to which nothing was added
	window  int64               // of the connection
}

// h2Stream is what is known about a stream.
type h2Stream struct {
	fate  fate
	ended bool  // the target has said all that it will
	added int64 // to the initial window, less what was sent
}

// fate is what a target has said about a stream.
type fate uint8

const (
	undecided fate = iota
	unseen         // GOAWAY: it was not and will not be looked at (RFC 9113 section 6.8)
	refused        // REFUSED_STREAM: nothing was done (section 8.7)
	crowded        // the same, while there were other streams: it may have been one too many
	malformed      // PROTOCOL_ERROR: the target does not like this request
)

// The frames, flags, settings and codes that matter here.
const (
	dataFrame, headersFrame, resetFrame, settingsFrame = 0, 1, 3, 4
	goAwayFrame, windowUpdateFrame                     = 7, 8
	endStreamFlag, ackFlag                             = 1, 1
	maxStreamsSetting, initialWindowSetting            = 3, 4
	protocolError, refusedStream                       = 1, 7
)

const (
	prefaceLength = 24
	firstWindow   = 65535 // of a connection, and of a stream until the target says something else
	maxWindow     = math.MaxInt32
	maxFrame      = 16 << 10 // that we take; what the target is told
)

var (
	errNoSettings   = errors.New("the target does not begin with SETTINGS")
	errNotBegun     = errors.New("the connection ended before the target's SETTINGS came")
	errNoStreams    = errors.New("the target takes no request: SETTINGS_MAX_CONCURRENT_STREAMS is 0")
	errFrameTooLong = errors.New("the target sends a frame that is longer than it may be")
	errAwayOnStream = errors.New("the target says GOAWAY on a stream")
	errWindow       = errors.New("the target lets a window of flow control overflow")
	errIdleStream   = errors.New("the target says WINDOW_UPDATE on a stream that nobody has opened")
)

// newH2Conn returns a connection on which nothing was sent yet. The target's settings have to be in force within patience.
func newH2Conn(c net.Conn, patience time.Duration) *h2Conn {
	h := &h2Conn{
		Conn: c, out: skipTo(prefaceLength), streams: map[uint32]h2Stream{}, begun: make(chan struct{}),
		most: math.MaxUint32, initial: firstWindow, window: firstWindow,
	}
	h.mu.Lock() // the timer may be fast
	defer h.mu.Unlock()
	h.late = time.AfterFunc(patience, h.overdue)
	return h
}

// Read reads on, up to what net/http must not see.
func (c *h2Conn) Read(p []byte) (int, error) {
	if why := c.fault.Load(); why != nil {
		return 0, why.err
	}
	n, err := c.Conn.Read(p)
	own, ok := c.in.follow(p[:n], c.comes, c.says)
	if why := c.fault.Load(); why != nil && (!ok || err != nil) {
		err = why.err
	}
	if err != nil && ok && c.in.amid() {
		c.cut()
	}
	return own, err
}

// refuse ends the connection in front of a frame.
func (c *h2Conn) refuse(why error) verdict {
	c.fail(CauseProtocol, why)
	return refuse
}

// fail remembers why the connection ends. The first who says it is right.
func (c *h2Conn) fail(cause Cause, why error) { c.fault.CompareAndSwap(nil, &stop{cause, why}) }

// comes looks at the head of a frame of the target.
func (c *h2Conn) comes(f *frames) verdict {
	kind := f.kind()
	if !c.greeted { // or it does not know the protocol (RFC 9113 section 3.4)
		if kind != settingsFrame {
			return c.refuse(errNoSettings)
		}
		c.greeted = true
	}
	switch {
	case f.length() > maxFrame:
		return c.refuse(errFrameTooLong)
	case kind == goAwayFrame && f.stream() != 0:
		return c.refuse(errAwayOnStream)
	case kind == windowUpdateFrame:
		return c.adds(f.stream())
	case (kind == dataFrame || kind == headersFrame) && f.flags()&endStreamFlag != 0:
		c.end(f.stream(), true)
	}
	return pass
}

// adds finds out how much a WINDOW_UPDATE may add. What is sent until all of the frame is there makes it more, and the target
// cannot know of that. A stream that nobody asks about any more may still be net/http's: it does not hear of it.
func (c *h2Conn) adds(stream uint32) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.muted = false
	s, known := c.streams[stream]
	switch {
	case stream == 0:
		c.room = maxWindow - c.window
	case known:
		c.room = maxWindow - c.initial - s.added
	case stream > c.newest || stream%2 == 0:
		return c.refuse(errIdleStream)
	default:
		c.muted = true
		return mute
	}
	return pass
}

// says looks at what a frame of the target says.
func (c *h2Conn) says(f *frames, payload []byte) verdict {
	switch kind := f.kind(); {
	case kind == resetFrame && len(payload) == 4:
		c.reset(f.stream(), binary.BigEndian.Uint32(payload))
	case kind == goAwayFrame && len(payload) == frameBegin:
		last := binary.BigEndian.Uint32(payload) &^ (1 << 31)
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.away || last < c.last {
			c.away, c.last = true, last
		}
	case kind == windowUpdateFrame && f.length() == 4 && !c.muted:
		return c.add(f.stream(), int64(binary.BigEndian.Uint32(payload)&^(1<<31)))
	case kind == settingsFrame && f.flags()&ackFlag == 0 && len(payload) == oneSetting:
		return c.set(binary.BigEndian.Uint16(payload), binary.BigEndian.Uint32(payload[2:]))
	}
	return pass
}

// add adds to a window (RFC 9113 section 6.9.1). An increment of 0 is net/http's to refuse.
func (c *h2Conn) add(stream uint32, increment int64) verdict {
	if increment > c.room {
		return c.refuse(errWindow)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if stream == 0 {
		c.window += increment
	} else if s, known := c.streams[stream]; known {
		s.added += increment
		c.streams[stream] = s
	}
	return pass
}

// set takes a setting. A new initial window moves those of all streams (section 6.9.2), perhaps below zero.
func (c *h2Conn) set(id uint16, value uint32) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch id {
	case maxStreamsSetting:
		c.most = value
	case initialWindowSetting:
		if value > maxWindow {
			return c.refuse(errWindow)
		}
		for _, s := range c.streams {
			if int64(value)+s.added > maxWindow {
				return c.refuse(errWindow)
			}
		}
		c.initial = int64(value)
	}
	return pass
}

// reset notes why the target has reset a stream.
func (c *h2Conn) reset(stream, code uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, asked := c.streams[stream]
	if !asked {
		return
	}
	switch code {
	case refusedStream:
		s.fate = refused
		for id, other := range c.streams {
			if id != stream && !other.ended && other.fate == undecided {
				s.fate = crowded
				break
			}
		}
	case protocolError:
		s.fate = malformed
	default:
		s.fate = undecided
	}
	c.streams[stream] = s
}

// end notes that the target has ended its half of a stream, or has not.
func (c *h2Conn) end(stream uint32, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, known := c.streams[stream]; known {
		s.ended = ended
		c.streams[stream] = s
	}
}

// cut notes that the connection ended inside a frame: what it would have ended has not.
func (c *h2Conn) cut() {
	if c.in.have == 0 || c.in.have >= frameHead {
		c.end(c.in.stream(), false)
	}
}

// Write writes on. net/http writes one thing at a time.
func (c *h2Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.out.follow(p, c.goes, nil)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// goes looks at the head of a frame of ours. The caller holds mu.
func (c *h2Conn) goes(f *frames) verdict {
	stream := f.stream()
	switch f.kind() {
	case headersFrame:
		if stream > c.newest { // trailers have the number of their stream
			c.newest = stream
			c.streams[stream] = h2Stream{}
		}
	case dataFrame:
		n := int64(f.length())
		c.window -= n
		if s, known := c.streams[stream]; known {
			s.added -= n
			c.streams[stream] = s
		}
	case settingsFrame:
		if f.flags()&ackFlag != 0 { // net/http has put the target's into force, and says so
			c.begin()
		}
	}
	return pass
}

// begin notes that the target's settings are in force. The caller holds mu.
func (c *h2Conn) begin() {
	if c.over {
		return
	}
	if c.most == 0 { // and net/http would open one connection after the other
		c.fail(CauseConnect, errNoStreams)
	}
	c.ready = c.most > 0
	c.decided()
}

// decided says that the beginning is over. The caller holds mu.
func (c *h2Conn) decided() {
	c.late.Stop()
	c.over, c.since = true, time.Now()
	close(c.begun)
}

// overdue ends a connection on which the target's settings do not come.
func (c *h2Conn) overdue() {
	c.mu.Lock()
	if !c.over {
		c.fail(CauseConnect, fmt.Errorf("%s does not begin HTTP/2: no SETTINGS: %w", c.RemoteAddr(), context.DeadlineExceeded))
	}
	over := c.over
	c.mu.Unlock()
	if !over {
		_ = c.Close() // there is nobody to tell
	}
}

// Close closes the connection.
func (c *h2Conn) Close() error {
	c.mu.Lock()
	if !c.over {
		c.fail(CauseConnect, errNotBegun)
		c.decided()
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// stillborn returns why no request can be sent on the connection and none ever could, nil otherwise. begun is closed.
func (c *h2Conn) stillborn() *stop {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready {
		return nil
	}
	return c.fault.Load()
}

// newestStream returns the stream whose header was written last.
func (c *h2Conn) newestStream() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// fateOf says what the target has said about a stream that was not forgotten, and whether it has said all that it will.
func (c *h2Conn) fateOf(stream uint32) (f fate, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[stream]
	if c.away && stream > c.last {
		return unseen, s.ended
	}
	return s.fate, s.ended
}

// forget lets go of a stream that nobody will ask about.
func (c *h2Conn) forget(stream uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, stream)
}
