package upstream

import "encoding/binary"

// The parts of a frame that are looked at (RFC 9113 section 4.1).
const (
	frameHead  = 9
	frameBegin = 8 // of the payload; all that GOAWAY, RST_STREAM and WINDOW_UPDATE say in numbers
	oneSetting = 6 // of SETTINGS, which is a list of them
)

// frames follows the HTTP/2 frames in one direction of a connection: their heads and what is at the beginning of their
// payload. It allocates nothing.
type frames struct {
	skip int // bytes that do not matter
	have int // of begin
	left int // of the payload, once the head is there
	// begin is a frame's head and the part of its payload that is looked at.
	begin [frameHead + frameBegin]byte
}

// verdict is what is to become of a frame.
type verdict uint8

const (
	pass   verdict = iota
	mute           // it goes on as one that nobody acts on
	refuse         // the rest of it does not go on, nor does anything behind it
)

// The head of the frame that follow speaks of.
func (f *frames) kind() byte     { return f.begin[3] }
func (f *frames) flags() byte    { return f.begin[4] }
func (f *frames) stream() uint32 { return binary.BigEndian.Uint32(f.begin[5:]) &^ (1 << 31) }
func (f *frames) length() int {
	return int(f.begin[0])<<16 | int(f.begin[1])<<8 | int(f.begin[2])
}

// amid reports whether a frame has begun and not ended.
func (f *frames) amid() bool { return f.skip > 0 || f.have > 0 }

// skipTo leaves what is before the first frame alone.
func skipTo(n int) frames { return frames{skip: n} }

// follow calls headed for each frame as soon as its head is there, and then began with the first bytes of its payload, or
// with each setting of SETTINGS. A nil began looks at heads alone. It returns how much of p comes before a frame that is
// refused; of such a frame something is always held back. A frame that is muted has the number of another stream in p
// afterwards: an even one, and streams with even numbers are the target's to open, which it was told not to do.
func (f *frames) follow(p []byte, headed func(*frames) verdict, began func(f *frames, payload []byte) verdict) (own int, ok bool) {
	start := 0 // of the frame, as far as it is in p
	for at := 0; at < len(p); {
		if f.skip > 0 {
			n := min(f.skip, len(p)-at)
			f.skip, at = f.skip-n, at+n
			continue
		}
		if f.have < frameHead {
			if f.have == 0 {
				start = at
			}
			n := copy(f.begin[f.have:frameHead], p[at:])
			if f.have, at = f.have+n, at+n; f.have < frameHead {
				break
			}
			f.left = f.length()
			switch headed(f) {
			case refuse:
				return start, false
			case mute:
				p[at-1] = p[at-1]&^1 | 2
			case pass:
			}
			if began == nil {
				f.skip, f.have = f.left, 0
				continue
			}
		}
		piece := frameBegin
		if f.kind() == settingsFrame {
			piece = oneSetting
		}
		piece = min(piece, f.left)
		n := copy(f.begin[f.have:frameHead+piece], p[at:])
		if f.have, at = f.have+n, at+n; f.have < frameHead+piece {
			break
		}
		if began(f, f.begin[frameHead:f.have]) == refuse {
			return start, false
		}
		f.have, f.left = frameHead, f.left-piece
		if f.kind() != settingsFrame || f.left == 0 {
			f.skip, f.have = f.left, 0
		}
	}
	return len(p), true
}
