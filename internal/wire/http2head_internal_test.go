package wire

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
)

func onStream(stream, kind, flags byte, payload string) string {
	return string([]byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, stream}) + payload
}

// begin reads a client's frames to their end.
func begin(t *testing.T, text string) (c *HTTP2, frames []event, told []Refused) {
	t.Helper()
	c = NewHTTP2(&script{in: []byte(preface + text)}, fuzzLimits, func(r *Refused) { told = append(told, *r) })
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(io.Discard, strings.NewReader(string(out[len(preface):])))
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			return c, frames, told
		}
		e := event{Kind: f.Header().Type.String(), Stream: f.Header().StreamID, Ends: f.Header().Flags.Has(http2.FlagHeadersEndStream)}
		if h, ok := f.(*http2.HeadersFrame); ok {
			table := hpack{longest: 1 << 20}
			e.Fields, _ = readBlock(&table, h.HeaderBlockFragment(), 1<<20)
		}
		frames = append(frames, e)
	}
}

func get(more ...string) string {
	return block(append([]string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/p"}, more...)...)
}

func TestARefusedHeadIsReplacedByARequestThatTheHandlerKnows(t *testing.T) {
	t.Parallel()
	c, frames, told := begin(t, onStream(1, 1, 5, get("te", "gzip")))
	if len(frames) != 1 || len(told) != 0 || frames[0].Stream != 1 || !frames[0].Ends {
		t.Fatalf("%v passed, told of %v", frames, told)
	}
	fields := map[string]string{}
	for _, f := range frames[0].Fields {
		fields[f.Name] = f.Value
	}
	mark := fields[strings.ToLower(RefusedField)]
	if fields[":method"] != "GET" || fields[":path"] != "/" || fields["te"] != "" || mark == "" {
		t.Fatalf("the substitute is %v", fields)
	}
	want := &Refused{Problem{Malformed, 400, "the field TE says something else than trailers (RFC 9113, section 8.2.2)"}, "GET", "a.test", "/p"}
	if diff := cmp.Diff(want, c.Refused([]string{mark})); diff != "" {
		t.Error(diff)
	}
	other, _, _ := begin(t, onStream(1, 1, 5, get("te", "gzip")))
	_, said, _ := strings.Cut(mark, "?")
	forged := NewHTTP2(nil, fuzzLimits, nil)
	for name, r := range map[string]*Refused{
		"nothing":                c.Refused(nil),
		"two":                    c.Refused([]string{mark, mark}),
		"without the secret":     c.Refused([]string{said}),
		"with another secret":    c.Refused([]string{strings.Repeat("0", 32) + "?" + said}),
		"of another connection":  other.Refused([]string{mark}),
		"before any was refused": forged.Refused([]string{"?" + said}),
		"without a kind":         c.Refused([]string{c.heads.secret + "?status=400"}),
	} {
		if r != nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestWhatAHeadSaysIsKeptWithinBounds(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("\xff", 900)
	c, frames, _ := begin(t, onStream(1, 1, 5, block(":method", "HEAD", ":scheme", "http", ":path", long, "upgrade", "x")))
	for _, f := range frames[0].Fields {
		switch r := c.Refused([]string{f.Value}); {
		case f.Name == ":method" && f.Value != "HEAD":
			t.Errorf("the method of the substitute is %q", f.Value)
		case r != nil && (r.Target != long[:512] || r.Method != http.MethodHead || r.Authority != ""):
			t.Errorf("it says %v", r)
		case r != nil:
			return
		}
	}
	t.Error("there is no mark")
}

func TestWhatFollowsARefusedHeadIsWrittenAnew(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("v", 900)
	text := onStream(1, 1, 5, get("connection", "close", "x-a", large)) + // x-a goes into the client's table
		onStream(1, 0, 1, "data") +
		onStream(3, 1, 4, get()+"\xc0") + onStream(3, 0, 0, "data") + onStream(3, 1, 5, "\xc0")
	_, frames, told := begin(t, text)
	if len(told) != 0 {
		t.Errorf("told of %v", told)
	}
	head := []pair{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/p"}, {"x-a", large}}
	want := []event{
		{Kind: "HEADERS", Stream: 1, Ends: true, Fields: frames[0].Fields},
		{Kind: "DATA", Stream: 1, Ends: true},
		{Kind: "HEADERS", Stream: 3, Fields: frames[2].Fields},
		{Kind: "DATA", Stream: 3},
		{Kind: "HEADERS", Stream: 3, Ends: true, Fields: frames[4].Fields},
	}
	if diff := cmp.Diff(want, frames); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([][]pair{head, head[4:]}, [][]pair{frames[2].Fields, frames[4].Fields}); diff != "" {
		t.Error(diff)
	}
}

func TestAHeadThatGoesUnderWithItsConnectionIsToldOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		kind       Kind
		told       bool
	}{
		{"a head that is not complete in time", onStream(1, 1, 0, get()), TooSlow, true},
		{"a head in a frame that is cut", onStream(1, 1, 4, get())[:20], TooSlow, true},
		{"a head in too many frames", onStream(1, 1, 0, get()) + strings.Repeat(onStream(1, 9, 0, ""), 30), HeaderTooLarge, true},
		{"a head whose block goes on elsewhere", onStream(1, 1, 0, get()) + onStream(3, 9, 4, ""), Malformed, true},
		{"a head in another", onStream(1, 1, 0, get()) + onStream(3, 1, 4, get()), Malformed, true},
		{"a head with more padding than payload", onStream(1, 1, 0xc, "\x09abc"), Malformed, true},
		{"a head without a place for its padding", onStream(1, 1, 0xc, ""), Malformed, true},
		{"a head that is cut in a field", onStream(1, 1, 4, get()+"\x40"), Malformed, true},
		{"a head on stream 0", onStream(0, 1, 4, get()), Malformed, true},
		{"a trailer section that is none", onStream(1, 1, 4, get()) + onStream(1, 1, 5, "\x80"), 0, false},
		{"too many pings", strings.Repeat(onStream(0, 6, 0, "12345678"), 30), 0, false},
		{"a ping that is not complete in time", onStream(0, 6, 0, "12345678")[:12], 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer client.Close()
				var told []Refused
				c := NewHTTP2(server, fuzzLimits, func(r *Refused) { told = append(told, *r) })
				defer c.Close()
				go func() { _, _ = io.WriteString(client, preface+onStream(0, 4, 0, "")+tt.text) }()
				_ = c.SetReadDeadline(time.Now().Add(time.Hour))
				_, err := io.Copy(io.Discard, c)
				if err == nil {
					t.Fatal("the connection ended by itself")
				}
				if tt.told != (len(told) == 1) || tt.told && told[0].Kind != tt.kind {
					t.Errorf("told of %v, after %v", told, err)
				}
			})
		})
	}
}

// A head of the wildest growth is refused with its beginning, whatever it would be as a whole.
func TestAHeadThatGrowsIsRefusedWithoutBeingHeld(t *testing.T) {
	t.Parallel()
	text := onStream(1, 1, 0, get("x-a", strings.Repeat("v", 900)))
	for range 10 {
		text += onStream(1, 9, 0, strings.Repeat("\xbe", 1000))
	}
	text += onStream(1, 9, 4, "")
	limits := fuzzLimits
	limits.ControlFrames = 100
	c := NewHTTP2(&script{in: []byte(preface + text), sizes: []byte{100}}, limits, nil)
	p := make([]byte, 1000)
	var out []byte
	for {
		n, err := c.Read(p)
		out = append(out, p[:n]...)
		if held := len(c.queue.bytes()); held > 3*limits.HeaderBytes || len(c.heads.rest) > 3*limits.HeaderBytes {
			t.Fatalf("%d octets are held", held)
		}
		if err != nil {
			break
		}
	}
	if !strings.Contains(string(out), "?"+url.Values{"authority": {"a.test"}}.Encode()) || !strings.Contains(string(out), "status=431") {
		t.Errorf("%q passed", out)
	}
	_, frames, told := begin(t, onStream(1, 1, 0, get())+strings.Repeat(onStream(1, 9, 0, strings.Repeat("\x82", 8000)), 3)) // 16 times the limit
	if len(told) != 1 || told[0].Status != 431 || len(frames) != 1 || frames[0].Fields != nil {
		t.Errorf("told of %v, passed %s", told, fmt.Sprint(frames))
	}
}
