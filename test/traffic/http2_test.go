package traffic_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Conn is a client that writes HTTP/2 frame by frame (RFC 9113). It keeps to the flow control of the other side, and lets
// the other side send only what is read here: a stream that nobody reads stands still after the first 64 KiB, and no other does.
type http2Conn struct {
	conn   net.Conn
	framer *http2.Framer // to write with, guarded by mu

	mu       sync.Mutex
	changed  sync.Cond // everything below, and what the streams have
	encoder  *hpack.Encoder
	block    bytes.Buffer
	settings map[http2.SettingID]uint32 // of the gateway; nil until they came
	window   int64                      // that is left for sending on the connection
	initial  int64                      // window of a new stream
	streams  map[uint32]*http2Stream
	next     uint32
	goAway   bool
	err      error // that ended reading
}

// http2Stream is a stream of it.
type http2Stream struct {
	c      *http2Conn
	id     uint32
	window int64
	heads  []http.Header // pseudo-header fields under their names; those of the 100 class, the final one, the trailer
	data   bytes.Buffer  // that came and was not read yet
	ended  bool          // by the other side
	reset  error         // by the other side; nil if it was not
}

// http2 opens a connection with a certificate and waits for the gateway's settings.
func (g *gateway) http2(t testing.TB) *http2Conn {
	t.Helper()
	c := newHTTP2(t, g.dial(t, "h2"))
	c.start(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.settings == nil && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		t.Fatalf("no settings: %v", c.err)
	}
	return c
}

func newHTTP2(t testing.TB, conn net.Conn) *http2Conn {
	t.Helper()
	c := &http2Conn{conn: conn, framer: http2.NewFramer(conn, conn), window: 65535, initial: 65535, streams: map[uint32]*http2Stream{}, next: 1}
	c.changed.L = &c.mu
	c.encoder = hpack.NewEncoder(&c.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	return c
}

// start sends the first settings and begins to read, until the connection ends.
func (c *http2Conn) start(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	err := errors.Join(
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}),
		c.framer.WriteWindowUpdate(0, 1<<30), // a stream that stands still does not hold up the others
	)
	c.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.read()
	}()
	t.Cleanup(func() {
		_ = c.conn.Close() // once more is no harm
		<-ended
	})
}

func (c *http2Conn) read() {
	reader := http2.NewFramer(io.Discard, c.conn)
	reader.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	reader.MaxHeaderListSize = 4 << 20
	for {
		frame, err := reader.ReadFrame()
		c.mu.Lock()
		if err != nil {
			c.err = err
		} else {
			c.take(frame)
		}
		c.changed.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take handles a frame; mu is held.
func (c *http2Conn) take(frame http2.Frame) {
	s := c.streams[frame.Header().StreamID]
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		c.takeSettings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.framer.WritePing(true, f.Data) // the reader notices what is wrong with the connection
		}
	case *http2.GoAwayFrame:
		c.goAway = true
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else if s != nil {
			s.window += int64(f.Increment)
		}
	case *http2.MetaHeadersFrame:
		if s == nil {
			return
		}
		h := http.Header{}
		for _, field := range f.Fields {
			h[http.CanonicalHeaderKey(field.Name)] = append(h[http.CanonicalHeaderKey(field.Name)], field.Value)
		}
		s.heads = append(s.heads, h)
		s.ended = s.ended || f.StreamEnded()
	case *http2.DataFrame:
		if s != nil {
			s.data.Write(f.Data())
			s.ended = s.ended || f.StreamEnded()
		}
	case *http2.RSTStreamFrame:
		if s != nil {
			s.reset = http2.StreamError{StreamID: f.StreamID, Code: f.ErrCode}
		}
	}
}

func (c *http2Conn) takeSettings(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	if c.settings == nil {
		c.settings = map[http2.SettingID]uint32{}
	}
	_ = f.ForeachSetting(func(s http2.Setting) error {
		c.settings[s.ID] = s.Val
		if s.ID == http2.SettingInitialWindowSize {
			for _, stream := range c.streams {
				stream.window += int64(s.Val) - c.initial
			}
			c.initial = int64(s.Val)
		}
		return nil
	})
	_ = c.framer.WriteSettingsAck() // the reader notices what is wrong with the connection
}

// open begins a request. fields are names and values in turn, after those of every request; with end there is no body.
func (c *http2Conn) open(t testing.TB, method, path string, end bool, fields ...string) *http2Stream {
	t.Helper()
	all := append([]string{":method", method, ":scheme", "https", ":authority", "localhost", ":path", path}, fields...)
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &http2Stream{c: c, id: c.next, window: c.initial}
	c.next += 2
	c.streams[s.id] = s
	if err := c.headers(s.id, end, all); err != nil {
		t.Fatal(err)
	}
	return s
}

// headers writes a field section, in as many frames as it takes; mu is held.
func (c *http2Conn) headers(id uint32, end bool, fields []string) error {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return err
		}
	}
	const most = 16 << 10
	first := c.block.Next(most)
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: c.block.Len() == 0})
	for err == nil && c.block.Len() > 0 {
		part := c.block.Next(most)
		err = c.framer.WriteContinuation(id, c.block.Len() == 0, part)
	}
	return err
}

// Write sends a piece of the body as flow control lets it.
func (s *http2Stream) Write(p []byte) (int, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := 0
	for sent < len(p) {
		for c.window <= 0 || s.window <= 0 {
			if err := s.failure(); err != nil {
				return sent, err
			}
			c.changed.Wait()
		}
		if err := s.failure(); err != nil {
			return sent, err
		}
		n := int(min(c.window, s.window, int64(len(p)-sent), 16<<10))
		if err := c.framer.WriteData(s.id, false, p[sent:sent+n]); err != nil {
			return sent, err
		}
		sent += n
		c.window -= int64(n)
		s.window -= int64(n)
	}
	return sent, nil
}

// failure says why nothing comes or goes any more; mu is held.
func (s *http2Stream) failure() error {
	if s.reset != nil {
		return s.reset
	}
	return s.c.err
}

// end ends the body, with a trailer if there are fields.
func (s *http2Stream) end(t testing.TB, trailer ...string) {
	t.Helper()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	var err error
	if len(trailer) > 0 {
		err = s.c.headers(s.id, true, trailer)
	} else {
		err = s.c.framer.WriteData(s.id, true, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// cancel resets the stream.
func (s *http2Stream) cancel(t testing.TB) {
	t.Helper()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.c.framer.WriteRSTStream(s.id, http2.ErrCodeCancel); err != nil {
		t.Fatal(err)
	}
}

// Read reads the body and allows the other side as much more.
func (s *http2Stream) Read(p []byte) (int, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for s.data.Len() == 0 {
		switch {
		case s.ended:
			return 0, io.EOF
		case s.failure() != nil:
			return 0, s.failure()
		}
		c.changed.Wait()
	}
	n, _ := s.data.Read(p)                       // there is something
	_ = c.framer.WriteWindowUpdate(0, uint32(n)) // the reader notices what is wrong with the connection
	if !s.ended && s.reset == nil {
		_ = c.framer.WriteWindowUpdate(s.id, uint32(n)) // as above
	}
	return n, nil
}

// answerHead waits for the final header.
func (s *http2Stream) answerHead() (a answer) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for seen := 0; ; seen++ {
		for len(s.heads) == seen {
			if s.failure() != nil {
				a.err = s.failure()
				return a
			}
			s.c.changed.Wait()
		}
		h := s.heads[seen]
		status, err := strconv.Atoi(h.Get(":status"))
		if err != nil {
			a.err = fmt.Errorf("a header without a status: %v", h)
			return a
		}
		if status >= 200 {
			a.status, a.header, a.proto, a.length = status, h, "HTTP/2.0", -1
			delete(h, ":status")
			return a
		}
		a.early = append(a.early, early{status, h["Link"]})
	}
}

// answer waits for the answer and reads it to its end.
func (s *http2Stream) answer() answer {
	a := s.answerHead()
	if a.err != nil {
		return a
	}
	body, err := io.ReadAll(s)
	a.body, a.err = string(body), err
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if last := s.heads[len(s.heads)-1]; len(s.heads) > len(a.early)+1 {
		a.trailer = last
	}
	return a
}

// closed waits for the end of the connection.
func (c *http2Conn) closed(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil {
		c.changed.Wait()
	}
	if timeout, ok := errors.AsType[net.Error](c.err); ok && timeout.Timeout() {
		t.Errorf("the connection stays open: %v", c.err)
	}
}
