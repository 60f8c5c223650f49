package upstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// FuzzFramesAreFollowedHoweverTheyArrive feeds what a target may send in one piece and byte by byte: what is heard is the
// same, and never more than the beginning of a payload, or a setting at a time.
func FuzzFramesAreFollowedHoweverTheyArrive(f *testing.F) {
	f.Add([]byte{}, byte(1))
	f.Add([]byte{0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7}, byte(2))                                  // RST_STREAM, REFUSED_STREAM
	f.Add([]byte{0, 0, 9, 7, 0, 0, 0, 0, 0, 0x80, 0, 0, 3, 0, 0, 0, 0, 'x'}, byte(5))              // GOAWAY with a reserved bit and a text
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 5, 'y', 0, 0, 4, 3}, byte(10)) // SETTINGS, DATA, and a frame that is cut off
	f.Add([]byte{0, 0, 14, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 4, 0, 1, 0, 0, 'o', 'd', 0, 0, 0, 4, 1, 0, 0, 0, 0}, byte(3))
	f.Add(bytes.Repeat([]byte{0xff}, 64), byte(3))
	f.Fuzz(func(t *testing.T, sent []byte, piece byte) {
		type frame struct {
			kind    byte
			stream  uint32
			payload string
		}
		heard := func(pieces ...[]byte) (all []frame, heads int) {
			var follow frames
			for _, p := range pieces {
				own, ok := follow.follow(p, func(*frames) verdict { heads++; return pass }, func(f *frames, payload []byte) verdict {
					if len(payload) > frameBegin || f.stream() >= 1<<31 {
						t.Fatalf("frame of stream %d begins with %d bytes", f.stream(), len(payload))
					}
					all = append(all, frame{f.kind(), f.stream(), string(payload)})
					return pass
				})
				if own != len(p) || !ok {
					t.Fatalf("%d of %d bytes, %v, and nothing was refused", own, len(p), ok)
				}
			}
			return all, heads
		}
		whole, heads := heard(sent)
		if again, n := heard(slices.Collect(slices.Chunk(sent, int(piece)+1))...); !slices.Equal(whole, again) || n != heads {
			t.Errorf("in one piece %v and %d heads, in pieces of %d %v and %d", whole, heads, piece+1, again, n)
		}
		// The same by hand, of what is whole.
		var want []frame
		begun := 0
		for rest := sent; len(rest) >= frameHead; begun++ {
			length, stream := int(rest[0])<<16|int(rest[1])<<8|int(rest[2]), binary.BigEndian.Uint32(rest[5:])&^(1<<31)
			payload := rest[frameHead:]
			payload = payload[:min(length, len(payload))]
			most := frameBegin
			if rest[3] == settingsFrame {
				most = oneSetting
			}
			for first := true; first || rest[3] == settingsFrame && length > 0; first = false {
				n := min(most, length)
				if len(payload) < n {
					break
				}
				want = append(want, frame{rest[3], stream, string(payload[:n])})
				payload, length = payload[n:], length-n
			}
			length = int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
			rest = rest[min(frameHead+length, len(rest)):]
		}
		if !slices.Equal(whole, want) || heads != begun {
			t.Errorf("heard %v and %d heads, want %v and %d", whole, heads, want, begun)
		}
	})
}

// sent is a connection from which a target's bytes can be read, at most 3 at a time when it is slow.
type sent struct {
	net.Conn

	in   bytes.Buffer
	slow bool
}

func (s *sent) Read(p []byte) (int, error) {
	if s.slow {
		p = p[:min(3, len(p))]
	}
	return s.in.Read(p)
}

func (s *sent) Write(p []byte) (int, error) { return len(p), nil }
func (s *sent) Close() error                { return nil }

// h2Frame makes a frame.
func h2Frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	b := []byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// opened is a connection on which streams were opened, and SETTINGS came.
func opened(t *testing.T, streams ...uint32) (*h2Conn, *sent) {
	t.Helper()
	below := &sent{}
	c := newH2Conn(below, time.Minute)
	t.Cleanup(func() { _ = c.Close() })
	writes := [][]byte{make([]byte, prefaceLength), h2Frame(settingsFrame, ackFlag, 0)}
	for _, s := range streams {
		writes = append(writes, h2Frame(headersFrame, 4, s, 0x82))
	}
	for _, p := range writes {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	below.in.Write(h2Frame(settingsFrame, 0, 0))
	if _, err := io.ReadFull(c, make([]byte, frameHead)); err != nil {
		t.Fatal(err)
	}
	<-c.begun
	return c, below
}

// TestAnIncrementForAStreamThatNobodyAsksAboutReachesNobody: net/http may still have the stream, whose window nobody counts.
func TestAnIncrementForAStreamThatNobodyAsksAboutReachesNobody(t *testing.T) {
	t.Parallel()
	for _, slow := range []bool{false, true} {
		for _, stream := range []uint32{1, 3, 0x1ff} {
			c, below := opened(t, 1, 3, 0x1ff, 0x201)
			c.forget(stream)
			below.slow = slow
			update := h2Frame(windowUpdateFrame, 0, stream, 0x7f, 0xff, 0xff, 0xff)
			other := h2Frame(windowUpdateFrame, 0, 0x201, 0, 0, 0, 1)
			below.in.Write(slices.Concat(update, other))
			got, err := io.ReadAll(c)
			if err != nil || len(got) != len(update)+len(other) {
				t.Fatalf("%x, %v", got, err)
			}
			if to := binary.BigEndian.Uint32(got[5:]); to == 0 || to%2 != 0 {
				t.Errorf("stream %d got it as %d", stream, to)
			}
			if !bytes.Equal(got[9:], append(update[9:], other...)) {
				t.Errorf("stream %d: more has changed: %x", stream, got)
			}
		}
	}
}

// TestOfAFrameThatIsRefusedSomethingIsHeldBack: what came before it goes on.
func TestOfAFrameThatIsRefusedSomethingIsHeldBack(t *testing.T) {
	t.Parallel()
	good, answer := h2Frame(dataFrame, 0, 1, []byte("some")...), h2Frame(dataFrame, endStreamFlag, 1, []byte("more")...)
	for name, bad := range map[string][]byte{
		"too much for a stream":         h2Frame(windowUpdateFrame, 0, 1, 0x7f, 0xff, 0xff, 0xff),
		"too much for the connection":   h2Frame(windowUpdateFrame, 0, 0, 0x7f, 0xff, 0xff, 0xff),
		"too much in the last SETTINGS": h2Frame(settingsFrame, 0, 0, 0, 3, 0, 0, 0, 9, 0, 4, 0xff, 0, 0, 0),
		"a stream that is none":         h2Frame(windowUpdateFrame, 0, 5, 0, 0, 0, 1),
		"a stream of the target's":      h2Frame(windowUpdateFrame, 0, 2, 0, 0, 0, 1),
		"GOAWAY on a stream":            h2Frame(goAwayFrame, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
		"a frame that is too long":      {0, 0x40, 1, dataFrame, 0, 0, 0, 0, 1},
	} {
		for _, slow := range []bool{false, true} {
			c, below := opened(t, 1, 3)
			below.slow = slow
			below.in.Write(slices.Concat(good, bad, answer))
			got, err := io.ReadAll(c)
			why := c.fault.Load()
			if why == nil || why.cause != CauseProtocol || !errors.Is(err, why.err) {
				t.Fatalf("%s: %v", name, err)
			}
			if len(got) < len(good) || len(got) >= len(good)+len(bad) || !slow && len(got) != len(good) {
				t.Errorf("%s: %x", name, got)
			}
			if n, again := c.Read(make([]byte, 9)); n != 0 || !errors.Is(again, why.err) {
				t.Errorf("%s: then %d bytes, %v", name, n, again)
			}
			if f, _ := c.fateOf(3); f != undecided {
				t.Errorf("%s: it decided about a request: %d", name, f)
			}
		}
	}
}

func TestFollowingFramesAllocatesNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	c, below := opened(t, 1)
	out, in := h2Frame(dataFrame, 0, 1, make([]byte, 1000)...), slices.Concat(
		h2Frame(windowUpdateFrame, 0, 1, 0, 0, 3, 0xe8), h2Frame(windowUpdateFrame, 0, 0, 0, 0, 3, 0xe8), h2Frame(dataFrame, 0, 1, make([]byte, 100)...),
		h2Frame(settingsFrame, 0, 0, 0, 4, 0, 1, 0, 0))
	p := make([]byte, 4096)
	below.in.Grow(4096)
	if n := testing.AllocsPerRun(100, func() {
		below.in.Write(in)
		_, _ = c.Write(out)
		_, _ = c.Read(p)
	}); n != 0 {
		t.Errorf("%v allocations for each turn", n)
	}
	if why := c.fault.Load(); why != nil {
		t.Error(why.err)
	}
}

func TestAStreamThatBeginsBehindItsAttemptIsForgotten(t *testing.T) {
	t.Parallel()
	c, _ := opened(t, 1)
	s := &stream{}
	s.conn.Store(c)
	s.end() // the attempt was given up while net/http wrote
	s.wroteHeaders()
	if len(c.streams) != 0 || s.id.Load() != 0 {
		t.Errorf("%d streams are kept", len(c.streams))
	}
}

func TestWhetherAStreamHasEndedIsAskedOnceItsNumberIsKnown(t *testing.T) {
	t.Parallel()
	c, below := opened(t, 1)
	below.in.Write(h2Frame(dataFrame, endStreamFlag, 1))
	if _, err := c.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	s := &stream{}
	s.conn.Store(c)
	answer := make(chan bool)
	go func() { answer <- s.ended() }() // the answer was faster than what tells of the request
	for asked := false; !asked; {
		s.mu.Lock()
		asked = s.known != nil
		s.mu.Unlock()
	}
	s.wroteHeaders()
	if !<-answer || !s.ended() {
		t.Error("it has not ended")
	}
}
