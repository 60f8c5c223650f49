package wire

import "encoding/binary"

// The types of frames (RFC 9113 §6) that are told apart.
const (
	dataFrame         = 0x0
	headersFrame      = 0x1
	rstStreamFrame    = 0x3
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
	endStream   = 0x1
	endHeaders  = 0x4
	padded      = 0x8
	prioritized = 0x20
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
	payload [5]byte           // its first octets
	part    []byte            // of the payload, what the last call of next went over
	begun   bool              // there was a frame
	block   bool              // a header block was begun and not ended
}

// kind returns the type of the frame.
func (f *frames) kind() byte { return f.header[3] }

// flag reports whether the frame has a flag.
func (f *frames) flag(bit byte) bool { return f.header[4]&bit != 0 }

// stream returns the stream that the frame is of; the first bit is reserved.
func (f *frames) stream() uint32 { return binary.BigEndian.Uint32(f.header[5:]) & (1<<31 - 1) }

// known reports whether all of the frame's header is there.
func (f *frames) known(whole bool) bool { return whole || f.have == frameHeader }

// around returns how many octets of a HEADERS or CONTINUATION frame's payload stand before the fragment of the header block and
// behind it (RFC 9113 §6.2, §6.10). What it says is final when as much of the payload is there as stands before the fragment.
func (f *frames) around() (before, behind int) {
	if f.kind() != headersFrame {
		return 0, 0
	}
	if f.flag(padded) {
		before, behind = 1, int(f.payload[0])
	}
	if f.flag(prioritized) {
		before += 5
	}
	return before, behind
}

// fragment returns what of the last part belongs to the header block.
func (f *frames) fragment() []byte {
	before, behind := f.around()
	from := f.length - f.left - len(f.part)
	low, high := max(before-from, 0), min(f.length-behind-from, len(f.part))
	if low >= high {
		return nil
	}
	return f.part[low:high]
}

// dependsOnItself reports whether a HEADERS frame, of which all is there, gives its stream priority after that very stream.
func (f *frames) dependsOnItself() bool {
	at := 0
	if f.flag(padded) {
		at = 1
	}
	return f.flag(prioritized) && binary.BigEndian.Uint32(f.payload[at:])&(1<<31-1) == f.stream()
}

// next goes on to the end of a frame. It returns how much of b that took, and whether b reaches that far.
func (f *frames) next(b []byte) (n int, whole bool) {
	f.part = nil
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
		f.payload = [5]byte{}
	}
	if got := f.length - f.left; got < len(f.payload) {
		copy(f.payload[got:min(f.length, len(f.payload))], b[n:])
	}
	k := min(f.left, len(b)-n)
	f.part = b[n : n+k]
	f.left -= k
	n += k
	if f.left > 0 {
		return n, false
	}
	f.have, f.begun = 0, true
	switch f.kind() {
	case headersFrame:
		f.block = !f.flag(endHeaders)
	case continuationFrame:
		f.block = f.block && !f.flag(endHeaders)
	}
	return n, true
}

// free reports whether the frame that ended cost its sender nothing. A request, data, and room for responses do.
func (f *frames) free() bool {
	switch f.kind() {
	case headersFrame:
		return false
	case dataFrame:
		content := f.length
		if f.flag(padded) {
			content -= 1 + int(f.payload[0])
		}
		return content <= 0 && !f.flag(endStream)
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
