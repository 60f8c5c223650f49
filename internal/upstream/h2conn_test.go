package upstream_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/internal/upstream"
)

const windowUpdateFrame = 8

// number is a window or an increment in a frame.
func number(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// initialWindow is the setting of it.
func initialWindow(n uint32) string { return "\x00\x04" + number(n) }

// maxStreams is the setting of how many streams a target takes at once.
func maxStreams(n uint32) string { return "\x00\x03" + number(n) }

// TestATargetThatLetsAWindowOverflowLosesNothingButItsConnection: net/http would lock a lock twice, and the upstream would
// never answer again.
func TestATargetThatLetsAWindowOverflowLosesNothingButItsConnection(t *testing.T) {
	t.Parallel()
	const first, most = 65535, 1<<31 - 1
	for _, c := range []struct {
		name string
		say  func(w io.Writer, s uint32)
		ok   bool
	}{
		{"a stream's, with one increment", func(w io.Writer, s uint32) { frame(w, windowUpdateFrame, 0, s, number(most)) }, false},
		{"a stream's, by one octet", func(w io.Writer, s uint32) { frame(w, windowUpdateFrame, 0, s, number(most-first+1)) }, false},
		{"a stream's, in pieces", func(w io.Writer, s uint32) {
			head := []byte{0, 0, 4, windowUpdateFrame, 0, 0, 0, 0, byte(s), 0x7f, 0xff, 0xff, 0xff}
			for i := range head {
				_, _ = w.Write(head[i : i+1])
			}
		}, false},
		{"the connection's", func(w io.Writer, _ uint32) { frame(w, windowUpdateFrame, 0, 0, number(most-first+1)) }, false},
		{"a stream's, with SETTINGS first", func(w io.Writer, s uint32) {
			frame(w, settingsFrame, 0, 0, initialWindow(most))
			frame(w, windowUpdateFrame, 0, s, number(1))
		}, false},
		{"a stream's, with SETTINGS last", func(w io.Writer, s uint32) {
			frame(w, windowUpdateFrame, 0, s, number(1))
			frame(w, settingsFrame, 0, 0, maxStreams(7)+initialWindow(most))
		}, false},
		{"with SETTINGS that are more than a window", func(w io.Writer, _ uint32) { frame(w, settingsFrame, 0, 0, initialWindow(most+1)) }, false},
		{"the connection's, with nothing", func(w io.Writer, _ uint32) { frame(w, windowUpdateFrame, 0, 0, number(0)) }, false},
		{"a stream's, with nothing", func(w io.Writer, s uint32) { frame(w, windowUpdateFrame, 0, s, number(0)) }, false},
		{"that of a stream that is none", func(w io.Writer, s uint32) { frame(w, windowUpdateFrame, 0, s+2, number(1)) }, false},
		{"both are filled to the brim", func(w io.Writer, s uint32) {
			frame(w, windowUpdateFrame, 0, s, number(most-first))
			frame(w, windowUpdateFrame, 0, 0, number(most-first))
		}, true},
		{"a lower initial one leaves room", func(w io.Writer, s uint32) {
			frame(w, windowUpdateFrame, 0, s, number(most-first))
			frame(w, settingsFrame, 0, 0, initialWindow(0))
			frame(w, windowUpdateFrame, 0, s, number(first))
		}, true},
		{"a lower initial one leaves room, until it is raised", func(w io.Writer, s uint32) {
			frame(w, windowUpdateFrame, 0, s, number(most-first))
			frame(w, settingsFrame, 0, 0, initialWindow(0))
			frame(w, windowUpdateFrame, 0, s, number(first))
			frame(w, settingsFrame, 0, 0, initialWindow(1))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			target := http2(t, "", func(w io.Writer, s uint32) bool {
				if n.Add(1) == 1 {
					c.say(w, s)
				}
				if n.Load() > 1 || c.ok {
					frame(w, headersFrame, endHeaders|endStream, s, status200)
				}
				return true
			})
			u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 1}, nil)
			_, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil))
			if c.ok && err != nil {
				t.Fatal(err)
			}
			if !c.ok && (failure(t, err).Cause != upstream.CauseProtocol || !upstream.Out(u)[0]) {
				t.Errorf("%v, out %v", err, upstream.Out(u)[0])
			}
			if _, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil)); err != nil || n.Load() != 2 {
				t.Errorf("the next request: %v, %d at the target", err, n.Load())
			}
			<-u.Close()
		})
	}
}

func TestWhatWasSentMakesRoomInAWindow(t *testing.T) {
	t.Parallel()
	const first, most, body = 65535, 1<<31 - 1, 1 << 20
	for name, over := range map[string]uint32{"to the brim": 0, "by one octet more": 1} {
		var taken atomic.Int64
		target := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			if _, err := io.CopyN(io.Discard, in, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
				return
			}
			frame(c, settingsFrame, 0, 0, initialWindow(most))
			frame(c, windowUpdateFrame, 0, 0, number(most-first))
			for {
				var head [9]byte
				if _, err := io.ReadFull(in, head[:]); err != nil {
					return
				}
				length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
				if _, err := io.CopyN(io.Discard, in, length); err != nil {
					return
				}
				s := binary.BigEndian.Uint32(head[5:])
				switch {
				case head[3] == settingsFrame && head[4]&ack == 0:
					frame(c, settingsFrame, ack, 0, "")
				case head[3] == dataFrame && length > 0:
					taken.Add(length)
					if taken.Load() == body {
						frame(c, windowUpdateFrame, 0, s, number(body))
						frame(c, windowUpdateFrame, 0, 0, number(body+over))
						frame(c, headersFrame, endHeaders|endStream, s, status200)
					}
				}
			}
		})
		u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2}, nil)
		_, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", bytes.NewReader(make([]byte, body))))
		if over == 0 && err != nil || over > 0 && failure(t, err).Cause != upstream.CauseProtocol {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGOAWAYOnAStreamIsNobodysWord: it is a connection's, so it does not say that a request was left alone.
func TestGOAWAYOnAStreamIsNobodysWord(t *testing.T) {
	t.Parallel()
	var streams atomic.Int32
	target := http2(t, "", func(w io.Writer, s uint32) bool {
		streams.Add(1)
		frame(w, goAwayFrame, 0, s, "\x00\x00\x00\x00\x00\x00\x00\x00")
		return true
	})
	u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 1}, nil)
	_, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil))
	if f := failure(t, err); f.Cause != upstream.CauseProtocol || streams.Load() != 1 || !upstream.Out(u)[0] {
		t.Errorf("%v after %d requests", err, streams.Load())
	}
}

func TestNoRequestIsSentBeforeTheTargetHasSaidHowManyItTakes(t *testing.T) {
	t.Parallel()
	const requests, most = 12, 3
	var u *upstream.Upstream
	var connections, refusals atomic.Int32
	target := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := io.CopyN(io.Discard, in, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		if connections.Add(1) == 1 {
			until(t, "sending", func() bool { return upstream.InFlight(u)[0] == requests })
		}
		frame(c, settingsFrame, 0, 0, maxStreams(most))
		var open []uint32
		settled := false
		for {
			var head [9]byte
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			if _, err := in.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
				return
			}
			if settled = settled || head[3] == settingsFrame && head[4]&ack != 0; head[3] == headersFrame && !settled {
				t.Error("a request came before the target's settings were in force")
			}
			switch s := binary.BigEndian.Uint32(head[5:]); {
			case head[3] == settingsFrame && head[4]&ack == 0:
				frame(c, settingsFrame, ack, 0, "")
			case head[3] == headersFrame && len(open) == most:
				refusals.Add(1)
				frame(c, resetFrame, 0, s, "\x00\x00\x00\x07")
			case head[3] == headersFrame:
				open = append(open, s)
			}
			if in.Buffered() == 0 { // all that were sent at once are there
				for _, s := range open {
					frame(c, headersFrame, endHeaders|endStream, s, status200)
				}
				open = nil
			}
		}
	})
	var events recorder
	u = start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 1}, &events)
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			if _, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", strings.NewReader("body"))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := refusals.Load(); n > 0 {
		t.Errorf("%d requests were refused", n)
	}
	if got := events.all(false); len(got) > 0 {
		t.Errorf("events %q", got)
	}
}

// TestOneStreamTooManyIsNotTheTargetsFailure: a target may take fewer streams than it says.
func TestOneStreamTooManyIsNotTheTargetsFailure(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	release := make(chan uint32, 1)
	target := http2(t, "", func(w io.Writer, s uint32) bool {
		if n.Add(1) == 1 {
			release <- s
			return true
		}
		frame(w, resetFrame, 0, s, "\x00\x00\x00\x07")
		if n.Load() == 3 { // both attempts of the second request
			frame(w, headersFrame, endHeaders|endStream, <-release, status200)
		}
		return true
	})
	u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 1}, nil)
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil)); err != nil {
			t.Error(err)
		}
	})
	until(t, "the first request", func() bool { return n.Load() == 1 })
	_, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil))
	if f := failure(t, err); f.Cause != upstream.CauseReset || !strings.Contains(err.Error(), "REFUSED_STREAM") || upstream.Out(u)[0] {
		t.Errorf("%v, out %v", err, upstream.Out(u)[0])
	}
	first.Wait()
}

// TestATargetThatDoesNotBeginIsNoTargetOfARequest: nothing was sent, so whatever the method is, another target gets it.
func TestATargetThatDoesNotBeginIsNoTargetOfARequest(t *testing.T) {
	t.Parallel()
	good, _ := handling(t, true, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	for name, target := range map[string]string{
		"it closes the connection": raw(t, func(_ *net.TCPConn, in *bufio.Reader) { _, _ = in.ReadByte() }),
		"it takes no streams":      http2(t, maxStreams(0), func(io.Writer, uint32) bool { return true }),
		"it speaks HTTP/1.1": raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
			_, _ = in.ReadByte()
		}),
	} {
		u := start(t, upstream.Config{Targets: []string{target, good}, Protocol: upstream.HTTP2}, nil)
		body, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", strings.NewReader("body")))
		if err != nil || body != "body" {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
}

// TestATargetThatTakesNoStreamsIsNotConnectedToAgainAndAgain: net/http alone would.
func TestATargetThatTakesNoStreamsIsNotConnectedToAgainAndAgain(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	target := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		connections.Add(1)
		frame(c, settingsFrame, 0, 0, maxStreams(0))
		_, _ = io.Copy(io.Discard, in)
	})
	u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2}, nil)
	_, err := get(t, u)
	if f := failure(t, err); f.Cause != upstream.CauseConnect || connections.Load() != 1 {
		t.Errorf("%v after %d connections", err, connections.Load())
	}
}
