package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawHTTP2 sends heads as they are and reads what comes back.
type rawHTTP2 struct {
	t      *testing.T
	framer *http2.Framer
	text   bytes.Buffer
	fields *hpack.Encoder // the client's, with its table
	stream uint32
}

func (s *site) rawHTTP2() *rawHTTP2 {
	s.t.Helper()
	c := s.caller("public", "localhost", nil)
	c.tls.NextProtos = []string{"h2"}
	conn := c.dial()
	h := &rawHTTP2{t: s.t, framer: http2.NewFramer(conn, conn), stream: 1}
	h.fields = hpack.NewEncoder(&h.text)
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		s.t.Fatal(err)
	}
	if err := h.framer.WriteSettings(); err != nil {
		s.t.Fatal(err)
	}
	return h
}

// begin sends a head of names and values on the next stream, in frames of 16 KiB.
func (h *rawHTTP2) begin(fields ...string) {
	h.t.Helper()
	h.text.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = h.fields.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	h.block(h.text.Bytes())
}

func (h *rawHTTP2) block(block []byte) {
	h.t.Helper()
	const most = 16 << 10
	first := block[:min(len(block), most)]
	err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: h.stream, BlockFragment: first, EndStream: true, EndHeaders: len(block) <= most})
	for block = block[len(first):]; len(block) > 0 && err == nil; {
		piece := block[:min(len(block), most)]
		block = block[len(piece):]
		err = h.framer.WriteContinuation(h.stream, len(block) == 0, piece)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.stream += 2
}

// outcome is how the last request that was begun ended.
type outcome struct {
	status, kind, id, reason string // of an answer
	body                     string
	reset, goAway            http2.ErrCode // 0 for none
}

func (h *rawHTTP2) outcome() (o outcome) {
	h.t.Helper()
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			h.t.Fatalf("the connection ended: %v", err)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if o.goAway = f.ErrCode; f.ErrCode != http2.ErrCodeNo {
				return o
			}
			continue
		case *http2.RSTStreamFrame:
			if f.StreamID == h.stream-2 {
				o.reset = f.ErrCode
				return o
			}
		case *http2.MetaHeadersFrame:
			o.status = f.PseudoValue("status")
			for _, field := range f.RegularFields() {
				switch field.Name {
				case "content-type":
					o.kind = field.Value
				case "x-request-id":
					o.id = field.Value
				}
			}
		case *http2.DataFrame:
			o.body += string(f.Data())
		}
		if f.Header().StreamID == h.stream-2 && f.Header().Flags.Has(http2.FlagDataEndStream) {
			var problem struct{ Reason string }
			_ = json.Unmarshal([]byte(o.body), &problem)
			o.reason = problem.Reason
			return o
		}
	}
}

// head is that of a plain request with more fields.
func head(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", path}, more...)
}

// Every head that is refused over HTTP/2 has a record, and the gateway's own answer where HTTP/2 allows one.
func TestEveryHeadThatIsRefusedOverHTTP2HasARecord(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("a", 7<<10)
	tests := []struct {
		name   string
		fields []string
		status string // "" where the stream is reset
		reason string
		detail string // a part of it
	}{
		{"connection", head("/open/1", "connection", "keep-alive"), "400", "request_malformed", "8.2.2"},
		{"keep-alive", head("/open/1", "keep-alive", "timeout=5"), "400", "request_malformed", "8.2.2"},
		{"proxy-connection", head("/open/1", "proxy-connection", "close"), "400", "request_malformed", "8.2.2"},
		{"transfer-encoding", head("/open/1", "transfer-encoding", "chunked"), "400", "request_malformed", "8.2.2"},
		{"upgrade", head("/open/1", "upgrade", "websocket"), "400", "request_malformed", "8.2.2"},
		{"te that is not trailers", head("/open/1", "te", "gzip"), "400", "request_malformed", "TE"},
		{"te twice", head("/open/1", "te", "trailers", "te", "trailers"), "400", "request_malformed", "TE"},
		{"a path with a broken escape", head("/open/%zz"), "400", "request_malformed", "path"},
		{"a user in the authority", []string{":method", "GET", ":scheme", "https", ":authority", "me@localhost", ":path", "/open/1"}, "400", "request_malformed", "8.3.1"},
		{"a little too large", head("/open/1", "x-a", many, "x-b", many[:3<<10]), "431", "request_too_large", "max_header_size"},
		{"much too large", head("/open/1", "x-a", many, "x-b", many, "x-c", many, "x-d", many), "431", "request_too_large", "max_header_size"},
		{"much too large, in few octets", head("/open/1", slices.Repeat([]string{"x-a", many[:3000]}, 200)...), "431", "request_too_large", "max_header_size"},
		{"too many fields", head("/open/1", slices.Repeat([]string{"x", "y"}, 101)...), "431", "request_too_large", "max_header_fields"},
		{"much too many fields", head("/open/1", slices.Repeat([]string{"x", "y"}, 2000)...), "431", "request_too_large", "max_header_size"},
		{"a name in capitals", head("/open/1", "X-A", "b"), "", "request_malformed", "name"},
		{"a line end in a value", head("/open/1", "x-a", "b\r\nc"), "", "request_malformed", "value"},
		{"a pseudo-header field behind others", head("/open/1", "x-a", "b", ":path", "/open/2"), "", "request_malformed", "8.3"},
		{"an unknown pseudo-header field", []string{":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/open/1", ":x", "y"}, "", "request_malformed", "8.3"},
		{"two paths", []string{":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/open/1", ":path", "/open/2"}, "", "request_malformed", "8.3"},
		{"no method", []string{":scheme", "https", ":authority", "localhost", ":path", "/open/1"}, "", "request_malformed", "8.3.1"},
		{"another scheme", []string{":method", "GET", ":scheme", "ftp", ":authority", "localhost", ":path", "/open/1"}, "", "request_malformed", "8.3.1"},
		{"CONNECT with a path", []string{":method", "CONNECT", ":scheme", "https", ":authority", "localhost", ":path", "/open/1"}, "", "request_malformed", "8.5"},
		{"CONNECT for a protocol that was not announced", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "localhost", ":path", "/open/1"}, "", "request_malformed", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, limited("max_header_size: 8KiB"))
			h := s.rawHTTP2()
			for round := range 3 { // each time between two requests that are served, with the client's table going on
				h.begin(head(fmt.Sprint("/open/before/", round), "x-kept", "what the table keeps", "x-round", fmt.Sprint(round))...)
				if got := h.outcome(); got.status != "200" || got.body != fmt.Sprint("backend got GET /open/before/", round) {
					t.Fatalf("a request in order got %+v", got)
				}
				if got := s.backend.got().Header; got.Get("X-Kept") != "what the table keeps" || got.Get("X-Round") != fmt.Sprint(round) {
					t.Fatalf("the backend got %v", got)
				}
				h.begin(tt.fields...)
				got := h.outcome()
				record := s.records.waitFor(t, round+1, func(r map[string]any) bool { return r["msg"] == "request" && r["decision"] == "deny" })
				if record["reason"] != tt.reason || !strings.Contains(fmt.Sprint(record["detail"]), tt.detail) || record["listener"] != "public" ||
					record["protocol"] != "HTTP/2.0" || record["request_id"] == "" || record["remote"] == "" || record["server_name"] != "localhost" {
					t.Errorf("the record is %v", record)
				}
				if r := s.gateway.Recall(fmt.Sprint(record["request_id"])); r == nil || r.Reason.String() != tt.reason {
					t.Errorf("remembered is %+v", r)
				}
				if tt.status == "" {
					if got.reset != http2.ErrCodeProtocol || got.status != "" || record["status"] != 0.0 {
						t.Errorf("it ended with %+v, and the record is %v", got, record)
					}
					continue
				}
				if got.status != tt.status || fmt.Sprint(record["status"]) != tt.status || got.reason != tt.reason || got.kind != "application/problem+json" || got.id != record["request_id"] {
					t.Errorf("the answer is %+v, and the record is %v", got, record)
				}
				if path := fmt.Sprint(record["path"]); !strings.HasPrefix(path, "/open/") || record["method"] != "GET" {
					t.Errorf("the record does not say what was asked for: %v", record)
				}
			}
			if n := s.backend.count(); n != 3 {
				t.Errorf("the backend got %d requests, want 3", n)
			}
			if denied := s.deniedRecords(); denied != 3 {
				t.Errorf("there are %d records of refusals, want 3", denied)
			}
		})
	}
}

// deniedRecords counts the records of requests that were refused.
func (s *site) deniedRecords() (n int) {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	for _, r := range s.records.lines {
		if r["msg"] == "request" && r["decision"] == "deny" {
			n++
		}
	}
	return n
}

// A head that ends its connection has a record as well.
func TestAHeadThatEndsItsHTTP2ConnectionHasARecord(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		send   func(*rawHTTP2)
		goAway http2.ErrCode
		reason string
	}{
		{"what is no field section", func(h *rawHTTP2) { h.block([]byte{0x80}) }, http2.ErrCodeCompression, "request_malformed"},
		{"a stream that is the server's", func(h *rawHTTP2) { h.stream = 2; h.begin(head("/open/")...) }, http2.ErrCodeProtocol, "request_malformed"},
		{"a stream that comes late", func(h *rawHTTP2) {
			h.stream = 5
			h.begin(head("/open/")...)
			h.stream = 3
			h.begin(head("/open/")...)
		}, http2.ErrCodeProtocol, "request_malformed"},
		{"a block that another frame interrupts", func(h *rawHTTP2) {
			_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			_ = h.framer.WriteData(1, true, []byte("x"))
		}, http2.ErrCodeProtocol, "request_malformed"},
		{"a frame that is too large", func(h *rawHTTP2) {
			_ = h.framer.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, make([]byte, 65<<10))
		}, http2.ErrCodeFrameSize, "request_too_large"},
		{"a field that is larger than any head", func(h *rawHTTP2) { h.begin(head("/open/", "x-a", strings.Repeat("a", 30<<10))...) }, http2.ErrCodeCompression, "request_too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, limited("max_header_size: 8KiB"))
			h := s.rawHTTP2()
			tt.send(h)
			for {
				got := h.outcome()
				if got.goAway == http2.ErrCodeNo {
					continue // that is a request before
				}
				if got.goAway != tt.goAway {
					t.Errorf("it ended with %+v", got)
				}
				break
			}
			record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["decision"] == "deny" })
			if record["reason"] != tt.reason || record["status"] != 0.0 || record["listener"] != "public" {
				t.Errorf("the record is %v", record)
			}
		})
	}
}

// A stream beyond max_streams is refused, and its request has a record.
func TestAStreamThatIsOneTooManyHasARecord(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("max_streams: 1"))
	h := s.rawHTTP2()
	h.fields.SetMaxDynamicTableSize(0) // so that blocks are the same wherever they come
	_ = h.fields.WriteField(hpack.HeaderField{Name: ":method", Value: "POST"})
	_ = h.fields.WriteField(hpack.HeaderField{Name: ":scheme", Value: "https"})
	_ = h.fields.WriteField(hpack.HeaderField{Name: ":path", Value: "/open/"})
	if err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.text.Bytes(), EndHeaders: true}); err != nil { // its body is to come
		t.Fatal(err)
	}
	h.stream = 3
	h.begin(head("/open/")...)
	if got := h.outcome(); got.reset != http2.ErrCodeProtocol && got.reset != http2.ErrCodeRefusedStream {
		t.Errorf("it ended with %+v", got)
	}
	record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["decision"] == "deny" })
	if record["reason"] != "overloaded" || record["status"] != 0.0 || !strings.Contains(fmt.Sprint(record["detail"]), "max_streams") {
		t.Errorf("the record is %v", record)
	}
}

// A client that sends a body behind a head that is refused harms nobody else on its connection, HEAD gets no content, and nobody
// else can make a request look refused.
func TestWhatComesWithARefusedHeadOverHTTP2(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	h := s.rawHTTP2()
	for _, bad := range [][]string{{"te", "gzip"}, {"X-A", "b"}} {
		h.text.Reset()
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/open/"}, {bad[0], bad[1]}} {
			_ = h.fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		if err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: h.stream, BlockFragment: h.text.Bytes(), EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_ = h.framer.WriteData(h.stream, false, bytes.Repeat([]byte("x"), 1000))
		}
		_ = h.framer.WriteData(h.stream, true, nil)
		h.stream += 2
		h.begin(head("/open/", "sallyport-refused", "x?kind=0&status=400")...)
		if got := h.outcome(); got.status != "200" {
			t.Errorf("the request behind %v got %+v", bad, got)
		}
	}
	h.begin(":method", "HEAD", ":scheme", "https", ":authority", "localhost", ":path", "/open/", "te", "gzip")
	if got := h.outcome(); got.status != "400" || got.body != "" || got.id == "" {
		t.Errorf("HEAD got %+v", got)
	}
	h.begin(head("/open/")...)
	if got := h.outcome(); got.status != "200" {
		t.Errorf("the last request got %+v", got)
	}
	s.records.waitFor(t, 3, func(r map[string]any) bool { return r["reason"] == "request_malformed" && r["decision"] == "deny" })
}

// Each head whose stream is reset counts as a mistake, and a client that makes nothing else is ended.
func TestManyMalformedHeadsEndTheirConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("max_control_frames: 4"))
	h := s.rawHTTP2()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := h.framer.ReadFrame(); err != nil {
				return
			}
		}
	}()
	h.fields.SetMaxDynamicTableSize(0)
	for range 1000 { // of which it reads as many as it takes
		h.text.Reset()
		_ = h.fields.WriteField(hpack.HeaderField{Name: "X", Value: "y"})
		if h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: h.stream, BlockFragment: h.text.Bytes(), EndHeaders: true, EndStream: true}) != nil {
			break
		}
		h.stream += 2
	}
	<-ended
	if denied := s.deniedRecords(); denied < 20 || denied == 1000 {
		t.Errorf("the connection ended after %d records", denied)
	}
}

// postUntilReset sends the head of a request whose body is to come on the next stream, then some of that, and waits until the stream is reset.
func (h *rawHTTP2) postUntilReset(fields ...string) (stream uint32) {
	h.t.Helper()
	stream = h.stream
	h.headers(stream, false, append([]string{":method", "POST", ":scheme", "https", ":authority", "localhost"}, fields...)...)
	h.stream += 2
	_ = h.framer.WriteData(stream, false, []byte("some of it"))
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			h.t.Fatalf("the connection ended: %v", err)
		}
		if r, ok := f.(*http2.RSTStreamFrame); ok && r.StreamID == stream {
			return stream
		}
	}
}

// headers sends a header block in one frame.
func (h *rawHTTP2) headers(stream uint32, ends bool, fields ...string) {
	h.t.Helper()
	h.text.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = h.fields.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h.text.Bytes(), EndHeaders: true, EndStream: ends}); err != nil {
		h.t.Fatal(err)
	}
}

// A client may have sent its trailers before it reads that the request was refused. That harms no other stream, makes no second
// record, and leaves the tables of both sides in step.
func TestTrailersBehindARefusalHarmNobody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, reason string // "" where the backend refuses
		fields       []string
	}{
		{"without a certificate", "certificate_missing", []string{":path", "/orders/"}},
		{"to nowhere", "no_route", []string{":path", "/nowhere"}},
		{"malformed, and reset", "request_malformed", []string{":path", "/open/", "X-A", "b"}},
		{"malformed, and answered", "request_malformed", []string{":path", "/open/", "te", "gzip"}},
		{"refused by the backend", "", []string{":path", "/open/"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					_ = http.NewResponseController(w).EnableFullDuplex() // else it waits for the body
					w.WriteHeader(http.StatusForbidden)
					return
				}
				<-release
				fmt.Fprint(w, r.Header.Get("X-Kept"))
			}))
			t.Cleanup(backend.Close)
			s := newSite(t, strings.Replace(firstDocument, "BACKEND", backend.Listener.Addr().String(), 1))
			h := s.rawHTTP2()
			h.begin(head("/open/slow", "x-kept", "of the first")...)
			refused := h.postUntilReset(tt.fields...)
			h.headers(refused, true, "x-kept", "of the trailers") // which goes into the table
			close(release)
			h.stream = 3 // the outcome is that of the first
			if got := h.outcome(); got.status != "200" || got.body != "of the first" {
				t.Errorf("the other request got %+v", got)
			}
			h.stream = refused + 2
			for _, kept := range []string{"of the trailers", "of the first", "of the next"} {
				h.begin(head("/open/", "x-kept", kept)...)
				if got := h.outcome(); got.status != "200" || got.body != kept {
					t.Errorf("a request that says %q by the table got %+v", kept, got)
				}
			}
			want := 0
			if tt.reason != "" {
				want = 1
				s.records.wait(t, func(r map[string]any) bool { return r["decision"] == "deny" && r["reason"] == tt.reason })
			}
			if n := s.deniedRecords(); n != want {
				t.Errorf("there are %d records of refusals, want %d", n, want)
			}
		})
	}
}

// A stream has one trailer section. A client that goes on sending them to one that was reset loses its connection.
func TestManyTrailersBehindARefusalEndTheirConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	h := s.rawHTTP2()
	refused := h.postUntilReset(":path", "/orders/")
	for range 2 {
		h.headers(refused, true, "x-a", "b")
	}
	for {
		got := h.outcome()
		if got.goAway == http2.ErrCodeProtocol {
			return
		}
		if got.reset == 0 { // the data met the reset
			t.Fatalf("the connection ended with %+v", got)
		}
	}
}
