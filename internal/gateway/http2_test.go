package gateway_test

import (
	"bytes"
	"crypto/tls"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"sallyport/internal/testpki"
)

// frame is what a client saw of an HTTP/2 frame.
type frame struct {
	kind   string
	stream uint32
}

// http2Client is a client that sees frames.
type http2Client struct {
	t      *testing.T
	framer *http2.Framer
	next   uint32

	mu   sync.Mutex
	seen []frame
	more chan struct{}
}

func (s *site) http2Client(who *testpki.Entity) *http2Client {
	s.t.Helper()
	c := s.caller("public", "localhost", who)
	c.tls.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(s.t.Context(), "tcp", s.address("public"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		s.t.Fatal(err)
	}
	h := &http2Client{t: s.t, framer: http2.NewFramer(conn, conn), next: 1, more: make(chan struct{})}
	if err := h.framer.WriteSettings(); err != nil {
		s.t.Fatal(err)
	}
	go h.read()
	return h
}

func (h *http2Client) read() {
	for {
		f, err := h.framer.ReadFrame()
		saw := frame{kind: "end"}
		if err == nil {
			saw = frame{f.Header().Type.String(), f.Header().StreamID}
		}
		h.mu.Lock()
		h.seen = append(h.seen, saw)
		close(h.more)
		h.more = make(chan struct{})
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// get begins a request with more fields, as name, value, name, value.
func (h *http2Client) get(path string, more ...string) {
	h.t.Helper()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "localhost"}, {Name: ":path", Value: path}} {
		_ = e.WriteField(f)
	}
	for i := 0; i+1 < len(more); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: more[i], Value: more[i+1]})
	}
	if err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: h.next, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		h.t.Fatal(err)
	}
	h.next += 2
}

func (h *http2Client) saw(fits func(frame) bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.seen, fits)
}

func (h *http2Client) waitFor(t *testing.T, what string, fits func(frame) bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		h.mu.Lock()
		more := h.more
		h.mu.Unlock()
		if h.saw(fits) {
			return
		}
		select {
		case <-more:
		case <-deadline:
			h.mu.Lock()
			defer h.mu.Unlock()
			t.Fatalf("%s did not come; there was %v", what, h.seen)
		}
	}
}
