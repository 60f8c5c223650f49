package wire

import "errors"

// This file is what HTTP2 lets pass, and what it puts in the place of the rest. All of it is called with mu held.

// passage is what was read and not returned. The zero value holds nothing.
type passage struct {
	queue ahead
	ready int  // of it, what may be returned; the rest is held until more has come
	place int  // what was read last and may be returned from where it is
	there bool // nothing is queued, so what may pass stays where it is
	over  bool // the connection is at its end: nothing more passes
}

// let lets octets pass, and with them what is held.
func (p *passage) let(b []byte) {
	if p.there {
		p.place += len(b)
		return
	}
	p.queue.add(b)
	p.ready = len(p.queue.bytes())
}

// hold keeps octets back.
func (p *passage) hold(b []byte) {
	p.there = false
	p.queue.add(b)
}

// replace lets other octets pass instead of those that are held.
func (p *passage) replace(b []byte) {
	p.drop()
	p.let(b)
}

// drop forgets what is held.
func (p *passage) drop() {
	p.there = false
	p.queue.keep(p.ready)
}

// pass decides about octets that next went over: a frame, or a part of one.
func (c *HTTP2) pass(b []byte, whole bool) {
	kind := c.frames.kind()
	switch {
	case !c.frames.known(whole):
		c.hold(b) // it may be of a head
	case kind == headersFrame, kind == continuationFrame && c.heads.open:
		c.block(b, whole)
	case c.heads.open:
		c.die(malformed("a header block is interrupted (RFC 9113, section 6.10)"), nil)
	default:
		c.let(b)
	}
}

// block goes on with a header block.
func (c *HTTP2) block(b []byte, whole bool) {
	h := &c.heads
	if !h.inside {
		if p := h.begin(&c.frames); p != nil {
			c.die(p, nil)
			return
		}
		if !h.trailer {
			c.streams.opened(h.stream, h.ends)
		}
	}
	h.inside = !whole
	if before, behind := c.frames.around(); whole && before+behind > c.frames.length {
		c.die(malformed("a frame of the header is shorter than it says (RFC 9113, section 6.2)"), nil)
		return
	}
	ended := whole && c.frames.flag(endHeaders)
	err := h.read(c.frames.fragment(), &c.limits)
	if whole && !h.trailer && c.frames.kind() == headersFrame && c.frames.dependsOnItself() {
		h.head.refuse(malformed("a stream depends on itself (RFC 7540, section 5.3.1)"), false)
	}
	if err == nil && ended {
		err = h.end()
	}
	switch {
	case err != nil:
		c.die(nil, err)
	case ended && h.trailer && c.streams.trailer(h.stream):
		c.drop()
		h.anew = true // net/http's table misses the block
	case h.head.problem == nil && !h.anew:
		if ended {
			c.let(b)
		} else {
			c.hold(b)
		}
	case ended:
		c.replace(c.instead())
	default:
		c.drop()
	}
}

// instead returns the frames that stand in for a block that was read.
func (c *HTTP2) instead() []byte {
	h := &c.heads
	if h.head.problem == nil {
		return h.frames(h.written)
	}
	h.anew = true
	refused := h.head.refused(h.head.problem)
	if h.head.answer {
		return h.frames(h.substitute(refused))
	}
	c.tell(refused)
	c.streams.reset(h.stream)
	return h.frames(appendLiteral(nil, []byte(":method"), []byte("GET"))) // which net/http resets
}

// die ends the connection as net/http does it: with a GOAWAY, and time for the client to read it. p is nil where err says why.
func (c *HTTP2) die(p *Problem, err error) {
	h := &c.heads
	last := appendFrameHeader(nil, 0, continuationFrame, 0, 0) // PROTOCOL_ERROR, wherever it comes
	switch {
	case err != nil:
		last = h.frames([]byte{indexedField}) // COMPRESSION_ERROR: whoever does not decode a block has to end the connection
		p = malformed("a header block is not compressed as HTTP/2 has it (RFC 7541)")
		if errors.Is(err, errString) {
			p = headerTooLarge("the head is far larger than the limit")
		}
	case c.frames.length > MaxFrameSize && h.inside:
		last = appendFrameHeader(nil, c.frames.length, headersFrame, endHeaders, h.stream) // FRAME_SIZE_ERROR
	}
	if !h.trailer {
		c.tell(h.head.refused(p))
	}
	c.replace(last)
	c.over = true
}

// tell notes a request that is refused without an answer of the handler.
func (c *HTTP2) tell(r *Refused) { c.untold = append(c.untold, r) }
