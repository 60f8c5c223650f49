package wire

import "sync"

const (
	aheadBytes    = 4 << 10  // what a buffer begins with: net/http's reads are no longer
	maxKeptBuffer = 64 << 10 // larger ones are not kept for others
)

// buffers lends what is read ahead a place. Connections that wait for a request have none.
var buffers = sync.Pool{New: func() any { return &buffer{octets: make([]byte, 0, aheadBytes)} }}

type buffer struct {
	octets []byte
	first  int // what lies before was taken
}

// ahead holds what was read from a client and not returned yet. The zero value is empty and has no buffer.
type ahead struct{ buf *buffer }

// bytes returns what there is. It is valid until the next change.
func (a *ahead) bytes() []byte {
	if a.buf == nil {
		return nil
	}
	return a.buf.octets[a.buf.first:]
}

// add appends octets.
func (a *ahead) add(p []byte) {
	if len(p) == 0 {
		return
	}
	room := a.room(len(p))
	a.fill(copy(room, p))
}

// room returns a place for at least n octets behind what there is; fill makes them part of it.
func (a *ahead) room(n int) []byte {
	if a.buf == nil {
		b, ok := buffers.Get().(*buffer)
		if !ok {
			b = &buffer{}
		}
		a.buf = b
	}
	b := a.buf
	if b.first > 0 {
		b.octets = b.octets[:copy(b.octets, b.octets[b.first:])]
		b.first = 0
	}
	if cap(b.octets)-len(b.octets) < n {
		grown := make([]byte, len(b.octets), max(2*cap(b.octets), len(b.octets)+n))
		copy(grown, b.octets)
		b.octets = grown
	}
	return b.octets[len(b.octets):cap(b.octets)]
}

// fill appends n octets that were put into the room.
func (a *ahead) fill(n int) {
	a.buf.octets = a.buf.octets[:len(a.buf.octets)+n]
	a.tidy()
}

// skip drops n octets from the front.
func (a *ahead) skip(n int) {
	if a.buf == nil {
		return
	}
	a.buf.first += n
	a.tidy()
}

// keep drops everything behind the first n octets.
func (a *ahead) keep(n int) {
	if a.buf == nil {
		return
	}
	a.buf.octets = a.buf.octets[:a.buf.first+n]
	a.tidy()
}

// take moves octets from the front into p.
func (a *ahead) take(p []byte) int {
	n := copy(p, a.bytes())
	a.skip(n)
	return n
}

// clear drops everything.
func (a *ahead) clear() { a.skip(len(a.bytes())) }

// tidy gives an empty buffer back.
func (a *ahead) tidy() {
	b := a.buf
	if b.first < len(b.octets) {
		return
	}
	a.buf = nil
	if cap(b.octets) <= maxKeptBuffer {
		b.octets, b.first = b.octets[:0], 0
		buffers.Put(b)
	}
}
