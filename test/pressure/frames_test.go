package pressure_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"sallyport/test/internal/run"
)

// framer is a client of HTTP/2 that writes what it is told to, frame by frame, and remembers what comes back. One
// goroutine writes; another reads from the beginning to the end of the connection.
type framer struct {
	net.Conn
	*http2.Framer

	mu      sync.Mutex
	streams map[uint32]*streamState
	goAway  *goAway
	acks    int
	pongs   int
	ended   bool
	changed chan struct{} // closed at the next frame
	done    chan struct{} // closed when the reader has ended
}

// streamState is what came back on one stream.
type streamState struct {
	status string
	fields []hpack.HeaderField
	body   []byte
	ended  bool
	reset  *http2.ErrCode
}

type goAway struct {
	last uint32
	code http2.ErrCode
}

// newFramer begins HTTP/2 on a connection with the given settings. With consume every byte of an answer is acknowledged.
func newFramer(t testing.TB, c net.Conn, consume bool, settings ...http2.Setting) *framer {
	t.Helper()
	f := &framer{Conn: c, Framer: http2.NewFramer(c, c), streams: map[uint32]*streamState{}, changed: make(chan struct{}), done: make(chan struct{})}
	f.AllowIllegalWrites = true
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	if consume { // once and for all; the tests read less
		if err := f.WriteWindowUpdate(0, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	go f.read()
	t.Cleanup(func() {
		_ = c.Close()
		<-f.done
	})
	return f
}

func (f *framer) read() {
	defer close(f.done)
	var block []byte
	var of uint32
	decoder := hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		f.mu.Lock()
		switch {
		case err != nil:
			f.ended = true
		default:
			switch frame := frame.(type) {
			case *http2.HeadersFrame:
				block, of = bytes.Clone(frame.HeaderBlockFragment()), frame.StreamID
				f.stream(of).ended = frame.StreamEnded()
				if frame.HeadersEnded() {
					f.decode(decoder, of, block)
				}
			case *http2.ContinuationFrame:
				block = append(block, frame.HeaderBlockFragment()...)
				if frame.HeadersEnded() {
					f.decode(decoder, of, block)
				}
			case *http2.DataFrame:
				s := f.stream(frame.StreamID)
				s.body = append(s.body, frame.Data()...)
				s.ended = frame.StreamEnded()
			case *http2.RSTStreamFrame:
				f.stream(frame.StreamID).reset = &frame.ErrCode
			case *http2.GoAwayFrame:
				f.goAway = &goAway{frame.LastStreamID, frame.ErrCode}
			case *http2.SettingsFrame:
				if frame.IsAck() {
					f.acks++
				}
			case *http2.PingFrame:
				if frame.IsAck() {
					f.pongs++
				}
			}
		}
		close(f.changed)
		f.changed = make(chan struct{})
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// stream and decode are called with mu held.
func (f *framer) stream(id uint32) *streamState {
	s := f.streams[id]
	if s == nil {
		s = &streamState{}
		f.streams[id] = s
	}
	return s
}

func (f *framer) decode(decoder *hpack.Decoder, id uint32, block []byte) {
	s := f.stream(id)
	fields, err := decoder.DecodeFull(block)
	if err != nil {
		s.status = "undecodable: " + err.Error()
		return
	}
	for _, field := range fields {
		if field.Name == ":status" && !strings.HasPrefix(field.Value, "1") {
			s.status = field.Value
		}
	}
	s.fields = append(s.fields, fields...)
}

// await waits until yes, which looks at the framer with mu held, says so, or the connection has ended. It reports which.
func (f *framer) await(t testing.TB, what string, yes func() bool) bool {
	t.Helper()
	timeout := time.After(run.Patience)
	for {
		f.mu.Lock()
		met, ended, changed := yes(), f.ended, f.changed
		f.mu.Unlock()
		if met || ended {
			return met
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited %v in vain for %s", run.Patience, what)
		}
	}
}

// block encodes a field section. Names and values are written as they are, and nothing goes into the dynamic table: a
// block may be left out or cut without harm to the next.
func block(fields ...string) []byte {
	var b bytes.Buffer
	coder := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = coder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true}) // into memory
	}
	return b.Bytes()
}

// open sends a field section that begins a stream.
func (f *framer) open(id uint32, end bool, fields ...string) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(fields...), EndHeaders: true, EndStream: end})
}

// to are the pseudo-header fields of a request.
func to(method, path string) []string {
	return []string{":method", method, ":scheme", "http", ":authority", "api.test", ":path", path}
}

// outcome waits for the end of a stream and describes it: as a message, or "reset CODE", "goaway CODE" or "closed".
func (f *framer) outcome(t testing.TB, id uint32) string {
	t.Helper()
	f.await(t, fmt.Sprint("the end of stream ", id), func() bool {
		s := f.stream(id)
		return s.ended && s.status != "" || s.reset != nil || f.goAway != nil && f.goAway.code != http2.ErrCodeNo
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stream(id)
	switch {
	case s.ended && s.status != "":
		m := &message{start: []string{"HTTP/2", s.status}, body: s.body}
		for _, field := range s.fields {
			m.fields = append(m.fields, field2(field))
		}
		return describe(m)
	case s.reset != nil:
		return "reset " + s.reset.String()
	case f.goAway != nil:
		return "goaway " + f.goAway.code.String()
	}
	return "closed"
}

func field2(h hpack.HeaderField) field { return field{h.Name, h.Value} }

// alive asks for an answer to a ping and reports whether it came: everything that was sent before has been read then.
func (f *framer) alive(t testing.TB) bool {
	t.Helper()
	f.mu.Lock()
	want := f.pongs + 1
	f.mu.Unlock()
	if err := f.WritePing(false, [8]byte{1}); err != nil {
		return false
	}
	return f.await(t, "the answer to a ping", func() bool { return f.pongs >= want })
}

// over waits for the end of the connection and describes it.
func (f *framer) over(t testing.TB) string {
	t.Helper()
	f.await(t, "the end of the connection", func() bool { return false })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.goAway != nil {
		return "goaway " + f.goAway.code.String()
	}
	return "closed"
}

var errFlooded = errors.New("the other end has closed the connection")

// flood calls write again and again until the connection ends, at most so many times.
func (f *framer) flood(most int, write func(n int) error) (sent int, err error) {
	for n := range most {
		select {
		case <-f.done:
			return n, errFlooded
		default:
		}
		if err := write(n); err != nil {
			return n, errFlooded
		}
	}
	return most, nil
}
