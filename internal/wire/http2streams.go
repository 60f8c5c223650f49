package wire

// This file is how HTTP2 knows which streams net/http has given up while the client was still sending. All of it but Write is
// called with mu held.

// manyStreams is how many streams with a body are remembered.
const manyStreams = 256

// streams remembers, of the streams that their client did not end with the head, which the server has reset. What is behind a
// reset was sent by a client that has not read it yet, and is no mistake of its. Each stream has one place, which it shares
// with those manyStreams apart from it and loses to the next of them. The zero value knows no stream.
type streams struct {
	places []uint32 // ids, or with wasReset; none before the first stream with a body
}

// wasReset marks the id of a stream that was reset. Ids have 31 bits.
const wasReset = 1 << 31

// place returns where a stream of the client is remembered, nil where none is.
func (s *streams) place(id uint32) *uint32 {
	if s.places == nil {
		return nil
	}
	return &s.places[id/2%manyStreams]
}

// opened remembers a stream that a head has opened, unless the head has ended it, too.
func (s *streams) opened(id uint32, ended bool) {
	if ended {
		return
	}
	if s.places == nil {
		s.places = make([]uint32, manyStreams)
	}
	*s.place(id) = id
}

// reset notes that a stream was reset, if it is one that is remembered.
func (s *streams) reset(id uint32) {
	if p := s.place(id); p != nil && *p == id {
		*p = id | wasReset
	}
}

// trailer reports whether a header block belongs to a stream that was reset. A stream has one such block: it is forgotten.
func (s *streams) trailer(id uint32) bool {
	p := s.place(id)
	if p == nil || *p != id|wasReset {
		return false
	}
	*p = 0
	return true
}

// Write writes to the client, one Write at a time, and looks for the streams that are reset in it. Nothing may be written after
// an error.
func (c *HTTP2) Write(p []byte) (int, error) {
	c.mu.Lock()
	for rest := p; len(rest) > 0; {
		n, whole := c.written.next(rest)
		rest = rest[n:]
		if whole && c.written.kind() == rstStreamFrame {
			c.streams.reset(c.written.stream())
		}
	}
	c.mu.Unlock()
	return c.conn.Write(p) // when the client can know of a reset, it is noted
}
