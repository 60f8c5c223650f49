package wire

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	reference "golang.org/x/net/http2/hpack"
)

// block is a header block of names and values.
func block(fields ...string) string {
	var b bytes.Buffer
	e := reference.NewEncoder(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		_ = e.WriteField(reference.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.String()
}

func FuzzHTTP2(f *testing.F) {
	on := func(stream, kind, flags byte, payload string) string {
		return string([]byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, stream}) + payload
	}
	frame := func(kind, flags byte, payload string) string { return on(1, kind, flags, payload) }
	get := block(":method", "GET", ":scheme", "http", ":path", "/", "x-a", "b")
	const again = "\x82\x86\x84\xbe" // the same by the tables
	for _, bad := range []string{
		block(":method", "GET", ":scheme", "http", ":path", "/", "connection", "close"), block(":method", "GET", ":scheme", "http", ":path", "/", "te", "gzip", "x-c", "d"),
		block(":method", "GET", ":scheme", "http", ":path", "/%z"), block(":method", "GET", ":path", "/"), block(":method", "CONNECT", ":authority", "a:1"),
		block(":method", "GET", ":scheme", "http", ":path", "/", "X", "y"), block("x", "y", ":path", "/"), block(":method", "GET", ":scheme", "http", ":path", "/", "x", strings.Repeat("~", 2500)),
		block(":method", "GET", ":scheme", "http", ":path", "/", "x", "\x00"), block(":method", "GET", ":scheme", "http", ":path", "/", "host", "a@b"), "\x80", "\x82\x86\x84\x3f",
	} {
		f.Add([]byte(preface+on(0, 4, 0, "")+on(1, 1, 4, get)+on(3, 1, 5, bad)+on(1, 0, 0, "data")+on(1, 1, 5, "\xbe")+on(5, 1, 5, again)), []byte{3}, uint8(100))
		f.Add([]byte(preface+on(0, 4, 0, "")+on(1, 1, 5, get)+on(3, 1, 0, bad[:1])+on(3, 9, 4, bad[1:])+on(5, 1, 0x2d, "\x02\x00\x00\x00\x00\x01"+again+"\x00\x00")), []byte{}, uint8(255))
	}
	f.Add([]byte(preface+on(1, 1, 4, block("X", "y"))+on(1, 0, 0, "data")+on(1, 1, 1, "")+on(1, 9, 4, get)+on(3, 1, 5, again)+on(1, 1, 5, "\xbe")), []byte{2}, uint8(7))
	f.Add([]byte(preface+strings.Repeat(frame(3, 0, "1234"), 30)), []byte{}, uint8(0))
	f.Add([]byte(preface+frame(8, 0, "\x00\x00\x00\x01")+strings.Repeat(frame(8, 0, ""), 30)), []byte{}, uint8(0))
	f.Add([]byte(preface+strings.Repeat(frame(0, 8, "\x03123"), 30)), []byte{1}, uint8(9))
	f.Add([]byte(preface+frame(1, 0, "x")+strings.Repeat(frame(9, 0, "1234"), 18)+frame(9, 4, "")), []byte{13}, uint8(0))
	f.Fuzz(func(t *testing.T, stream, sizes []byte, read uint8) {
		synctest.Test(t, func(t *testing.T) { // the bucket does not fill meanwhile
			whole := passed(t, stream, nil, 1<<20)
			pieces := passed(t, stream, sizes, 1+int(read))
			small := len(stream) < roomier*fuzzLimits.HeaderBytes // else it depends on the pieces what of a head is wrong first
			if small && !whole.abuse && !pieces.abuse && !bytes.Equal(whole.out, pieces.out) {
				t.Fatalf("in pieces %q passed, otherwise %q", pieces.out, whole.out)
			}
			if diff := cmp.Diff(whole.told, pieces.told); diff != "" && small {
				t.Fatalf("in pieces something else is told:\n%s", diff)
			}
			compare(t, stream, whole)
			compare(t, stream, pieces)
		})
	})
}

// outcome2 is what came of a stream of frames.
type outcome2 struct {
	out   []byte
	over  bool // the connection was ended for a head
	abuse bool
	told  []Refused
}

const secret = "secret"

// passed reads a stream of frames to its end.
func passed(t *testing.T, stream, sizes []byte, read int) (got outcome2) {
	t.Helper()
	want := abusedAt(stream, 5*fuzzLimits.ControlFrames)
	c := NewHTTP2(&script{in: stream, sizes: sizes}, fuzzLimits, func(r *Refused) { got.told = append(got.told, *r) })
	c.heads.secret = secret
	p := make([]byte, read)
	for {
		n, err := c.Read(p)
		got.out = append(got.out, p[:n]...)
		if abuse := (*AbuseError)(nil); errors.As(err, &abuse) {
			if want < 0 || c.Abuse() != abuse || abuse.Slow {
				t.Fatalf("%v after %d octets, want it at %d", abuse, len(got.out), want)
			}
			got.abuse = true
			if _, again := c.Read(p); !errors.Is(again, err) {
				t.Fatalf("after %v Read returned %v", err, again)
			}
			break
		}
		if err != nil {
			if want >= 0 && !c.over || !errors.Is(err, io.EOF) {
				t.Fatalf("%d of %d octets, then %v; want abuse at %d", len(got.out), len(stream), err, want)
			}
			break
		}
		if n == 0 {
			t.Fatal("Read returned nothing")
		}
	}
	got.over = c.over
	if len(c.queue.bytes()) == 0 && c.queue.buf != nil {
		t.Error("an empty buffer is kept")
	}
	return got
}

// compare checks that what passed is what came, but for heads that net/http would refuse by itself; of them none passed.
func compare(t *testing.T, stream []byte, got outcome2) {
	t.Helper()
	came, _ := frameList(stream)
	out, end := frameList(got.out)
	came = withoutTrailers(came, out)
	for i := range came { // what is refused has no fields in the end
		if e := &came[i]; e.Kind == "refused" || e.Kind == "head" && bad(e.Fields) {
			*e = event{Kind: "refused", Stream: e.Stream}
		}
	}
	for i, e := range out {
		if e.Kind == "head" && bad(e.Fields) {
			t.Fatalf("net/http would refuse %v by itself", e)
		}
		if i >= len(came) {
			t.Fatalf("%v passed, and did not come", out[i:])
		}
		if diff := cmp.Diff(came[i], e); diff != "" {
			t.Fatalf("frame %d:\n%s", i, diff)
		}
	}
	if !got.abuse && !got.over && len(out) < len(came) {
		t.Fatalf("%d frames passed, %d came: %v", len(out), len(came), came[len(out):])
	}
	if got.over && !got.abuse && end == nil {
		t.Fatal("the connection is over, and net/http would not end it")
	}
	heads := 0
	for _, e := range out {
		if e.Kind == "reset" || e.Kind == "refused" {
			heads++
		}
	}
	if end == nil && !got.abuse && len(got.told) > heads {
		t.Fatalf("%d requests were told of, %d refused: %v, %v", len(got.told), heads, got, out)
	}
}

// The Raw of a head that was replaced and did not end its stream.
const (
	goesOn      = "goes on"
	goesOnReset = "goes on, and is reset"
)

// withoutTrailers drops from what came the first trailer section of each stream whose head was replaced by one that is reset.
func withoutTrailers(came, out []event) []event {
	how := map[uint32]string{}
	for i := range out {
		e := &out[i]
		switch {
		case e.Kind == "refused":
			how[e.Stream], e.Raw = e.Raw, ""
		case e.Kind == "head" && !e.Ends:
			how[e.Stream] = goesOn
		}
	}
	places := map[uint32]uint32{} // streams share them
	return slices.DeleteFunc(came, func(e event) bool {
		place := e.Stream / 2 % manyStreams
		switch {
		case e.Kind == "trailer" && how[e.Stream] == goesOnReset && places[place] == e.Stream:
			delete(places, place)
			return true
		case (e.Kind == "head" || e.Kind == "refused") && how[e.Stream] != "":
			places[place] = e.Stream
		}
		return false
	})
}

// event is a frame as net/http reads it.
type event struct {
	Kind   string // head, trailer, refused, or the type of the frame
	Stream uint32
	Ends   bool
	Fields []pair
	Raw    string
}

// frameList reads frames as net/http does, to the first error that ends the connection.
func frameList(stream []byte) (list []event, end error) {
	if len(stream) < len(preface) {
		return nil, nil
	}
	in := bytes.NewReader(stream[len(preface):])
	framer := http2.NewFramer(io.Discard, in)
	framer.ReadMetaHeaders = reference.NewDecoder(tableSize, nil)
	framer.MaxHeaderListSize = uint32(roomier * fuzzLimits.HeaderBytes)
	framer.SetMaxReadFrameSize(MaxFrameSize)
	last := uint32(0)
	for {
		before := len(stream) - in.Len()
		f, err := framer.ReadFrame()
		if stop := (http2.StreamError{}); errors.As(err, &stop) && stream[before+3] == headersFrame {
			kind := "refused"
			if stop.StreamID <= last {
				kind = "trailer"
			}
			last = max(last, stop.StreamID)
			list = append(list, event{Kind: kind, Stream: stop.StreamID})
			continue
		} else if errors.As(err, &stop) {
			list = append(list, event{Kind: "bad", Raw: string(stream[before : len(stream)-in.Len()])})
			continue
		}
		if err != nil {
			if in.Len() == 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
				err = nil
			}
			return list, err
		}
		meta, ok := f.(*http2.MetaHeadersFrame)
		if !ok {
			list = append(list, event{Kind: f.Header().Type.String(), Stream: f.Header().StreamID, Raw: string(stream[before : len(stream)-in.Len()])})
			continue
		}
		e := event{Kind: "head", Stream: meta.StreamID, Ends: meta.StreamEnded()}
		if meta.StreamID <= last {
			e.Kind = "trailer"
		}
		last = max(last, meta.StreamID)
		ours := false
		for _, field := range meta.Fields {
			e.Fields = append(e.Fields, pair{field.Name, field.Value})
			ours = ours || field.Name == strings.ToLower(RefusedField) && strings.HasPrefix(field.Value, secret)
		}
		itself := meta.HasPriority() && meta.Priority.StreamDep == meta.StreamID
		reset := len(e.Fields) == 1 && e.Fields[0] == pair{":method", "GET"}
		if e.Kind == "head" && (ours || meta.Truncated || itself || reset) {
			how := ""
			if !e.Ends {
				how = goesOn
			}
			if !e.Ends && reset {
				how = goesOnReset
			}
			e = event{Kind: "refused", Stream: e.Stream, Raw: how}
		}
		list = append(list, e)
	}
}

// bad reports whether net/http refuses by itself a head that has nothing but valid fields.
func bad(fields []pair) bool {
	v := map[string][]string{}
	for _, f := range fields {
		v[f.Name] = append(v[f.Name], f.Value)
	}
	get := func(name string) string { return strings.Join(v[name], ", ") }
	for _, name := range []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"} {
		if v[name] != nil {
			return true
		}
	}
	if te := v["te"]; len(te) > 1 || len(te) == 1 && te[0] != "trailers" && te[0] != "" {
		return true
	}
	authority := get(":authority")
	if authority == "" && v["host"] != nil {
		authority = v["host"][0]
	}
	connect := get(":method") == "CONNECT"
	if v[":protocol"] != nil && (!connect || get(":protocol") == "") {
		return true // our own rule
	}
	if connect && v[":protocol"] == nil {
		return get(":path") != "" || get(":scheme") != "" || get(":authority") == ""
	}
	if get(":method") == "" || get(":path") == "" || !slices.Contains([]string{"http", "https"}, get(":scheme")) || strings.Contains(authority, "@") {
		return true
	}
	_, err := url.ParseRequestURI(get(":path"))
	return err != nil
}

// abusedAt returns where the frame ends that is one too many, or -1, reading a stream that is there as a whole.
func abusedAt(stream []byte, most int) int {
	at := len(preface)
	for at+9 <= len(stream) {
		length := int(stream[at])<<16 | int(stream[at+1])<<8 | int(stream[at+2])
		if at+9+length > len(stream) {
			break
		}
		kind, flags, payload := stream[at+3], stream[at+4], stream[at+9:at+9+length]
		at += 9 + length
		costs := kind == 1
		switch kind {
		case 0:
			pad := 0
			if flags&8 != 0 {
				pad = 1
				if length > 0 {
					pad += int(payload[0])
				}
			}
			costs = flags&1 != 0 || length > pad
		case 8:
			for i, octet := range payload[:min(4, length)] {
				costs = costs || octet != 0 && (i > 0 || octet != 0x80)
			}
		}
		if !costs {
			if most--; most < 0 {
				return at
			}
		}
	}
	return -1
}
