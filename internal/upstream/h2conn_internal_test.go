package upstream

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzFramesAreFollowedHoweverTheyArrive feeds what a target may send in one piece and byte by byte: what is heard is the
// same, and never more than the beginning of a payload.
func FuzzFramesAreFollowedHoweverTheyArrive(f *testing.F) {
	f.Add([]byte{}, byte(1))
	f.Add([]byte{0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7}, byte(2))                                  // RST_STREAM, REFUSED_STREAM
	f.Add([]byte{0, 0, 9, 7, 0, 0, 0, 0, 0, 0x80, 0, 0, 3, 0, 0, 0, 0, 'x'}, byte(5))              // GOAWAY with a reserved bit and a text
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 5, 'y', 0, 0, 4, 3}, byte(10)) // SETTINGS, DATA, and a frame that is cut off
	f.Add(bytes.Repeat([]byte{0xff}, 64), byte(3))
	f.Fuzz(func(t *testing.T, sent []byte, piece byte) {
		type frame struct {
			kind    byte
			stream  uint32
			payload string
		}
		heard := func(pieces ...[]byte) (all []frame) {
			var follow frames
			for _, p := range pieces {
				follow.follow(p, func(kind byte, stream uint32, payload []byte) {
					if len(payload) > frameBegin || stream >= 1<<31 {
						t.Fatalf("frame of stream %d begins with %d bytes", stream, len(payload))
					}
					all = append(all, frame{kind, stream, string(payload)})
				})
			}
			return all
		}
		whole := heard(sent)
		if again := heard(slices.Collect(slices.Chunk(sent, int(piece)+1))...); !slices.Equal(whole, again) {
			t.Errorf("in one piece %v, in pieces of %d %v", whole, piece+1, again)
		}
		// The same by hand, of what is whole.
		var want []frame
		for rest := sent; len(rest) >= frameHead; {
			length := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
			if len(rest) < frameHead+min(length, frameBegin) {
				break
			}
			stream := uint32(rest[5]&0x7f)<<24 | uint32(rest[6])<<16 | uint32(rest[7])<<8 | uint32(rest[8])
			want = append(want, frame{rest[3], stream, string(rest[frameHead : frameHead+min(length, frameBegin)])})
			rest = rest[min(frameHead+length, len(rest)):]
		}
		if !slices.Equal(whole, want) {
			t.Errorf("heard %v, want %v", whole, want)
		}
	})
}
