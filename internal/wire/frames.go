package wire

import "encoding/binary"

// The types of frames (RFC 9113 §6) that are told apart.
const (
	dataFrame         = 0x0
	headersFrame      = 0x1
	windowUpdateFrame = 0x8
	continuationFrame = 0x9
	unknownFrame      = 0xa // and all above
	frameKinds        = unknownFrame + 1
)

// frameNames returns what frames are called in logs, by their types.
func frameNames() [frameKinds]string {
	return [frameKinds]string{
		"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION", "unknown",
	}
}

// The flags of frames that matter here.
const (
	endStream  = 0x1
	endHeaders = 0x4
	padded     = 0x8
)

// frameHeader is the length of what every frame begins with (RFC 9113 §4.1).
const frameHeader = 9

// frames follows frames through a stream of octets, however it is cut. The zero value stands before a frame; preface is
// how many octets come before the first.
type frames struct {
	preface int
	header  [frameHeader]byte // of the frame that comes, or of the last one
	have    int               // how much of it there is
	length  int               // of the payload
	left    int               // of the payload
	payload [4]byte           // its first octets
	begun   bool              // there was a frame
	block   bool              // a header block was begun and not ended
}

// kind returns the type of the frame.
func (f *frames) kind() byte { return f.header[3] }

// next goes on to the end of a frame. It returns how much of b that took, and whether b reaches that far.
func (f *frames) next(b []byte) (n int, whole bool) {
	n = min(f.preface, len(b))
	f.preface -= n
	if f.have < frameHeader {
		k := copy(f.header[f.have:], b[n:])
		f.have += k
		n += k
		if f.have < frameHeader {
			return n, false
		}
		f.length = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
		f.left = f.length
		f.payload = [4]byte{}
	}
	if got := f.length - f.left; got < len(f.payload) {
		copy(f.payload[got:min(f.length, len(f.payload))], b[n:])
	}
	k := min(f.left, len(b)-n)
	f.left -= k
	n += k
	if f.left > 0 {
		return n, false
	}
	f.have, f.begun = 0, true
	switch f.kind() {
	case headersFrame:
		f.block = f.header[4]&endHeaders == 0
	case continuationFrame:
		f.block = f.block && f.header[4]&endHeaders == 0
	}
	return n, true
}

// free reports whether the frame that ended cost its sender nothing. A request, data, and room for responses do.
func (f *frames) free() bool {
	switch f.kind() {
	case headersFrame:
		return false
	case dataFrame:
		flags, content := f.header[4], f.length
		if flags&padded != 0 {
			content -= 1 + int(f.payload[0])
		}
		return content <= 0 && flags&endStream == 0
	case windowUpdateFrame:
		return binary.BigEndian.Uint32(f.payload[:])<<1 == 0 // the first bit is reserved
	}
	return true
}

// pending reports whether the client has begun something that it has to end soon.
func (f *frames) pending() bool {
	inside := f.have > 0 && (f.have < frameHeader || f.kind() != dataFrame)
	return !f.begun || f.block || inside
}
