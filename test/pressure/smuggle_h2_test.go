package pressure_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// h2Vector is a request over HTTP/2 that must not reach an HTTP/1 backend as anything else (RFC 9113, sections 8.1 to 8.3).
type h2Vector struct {
	name   string
	method string   // GET where it is empty
	path   string   // {} where it is empty
	fields []string // names and values, behind the pseudo-header fields
	pseudo []string // in their place, where it is not nil
	body   []string // DATA frames; nil for none
	after  []string // a trailer section

	want  []string // how it may end
	gets  string   // what the backend gets as the body when it ends with 200
	begun bool     // the head was in order, so it may have reached the backend before the fault came
	hides []string // fields that the backend must not see
}

var (
	// net/http answers some of them itself, in its own words, which begin with the status.
	reset  = []string{"reset PROTOCOL_ERROR", "400"}
	served = []string{"200"}
)

var h2Vectors = []h2Vector{
	{name: "Connection", fields: []string{"connection", "close"}, want: reset},
	{name: "Connection that lists", fields: []string{"connection", "x-a"}, want: reset},
	{name: "Keep-Alive", fields: []string{"keep-alive", "timeout=5"}, want: reset},
	{name: "Proxy-Connection", fields: []string{"proxy-connection", "keep-alive"}, want: reset},
	{name: "Transfer-Encoding", method: "POST", fields: []string{"transfer-encoding", "chunked"}, body: []string{"0\r\n\r\nGET /m/0 HTTP/1.1\r\nHost: api.test\r\n\r\n"}, want: reset},
	{name: "Transfer-Encoding and a length", method: "POST", fields: []string{"transfer-encoding", "chunked", "content-length", "5"}, body: []string{"0\r\n\r\n"}, want: reset},
	{name: "Upgrade", fields: []string{"upgrade", "websocket"}, want: reset},
	{name: "TE other than trailers", fields: []string{"te", "chunked"}, want: reset},
	{name: "TE that says trailers", fields: []string{"te", "trailers"}, want: served},

	{name: "a length that is too large", method: "POST", fields: []string{"content-length", "10"}, body: []string{"hello"}, want: reset, begun: true},
	{name: "a length that is too small", method: "POST", fields: []string{"content-length", "3"}, body: []string{"hello"}, want: reset, begun: true},
	{name: "a length of zero and a body", method: "POST", fields: []string{"content-length", "0"}, body: []string{"GET /m/0 HTTP/1.1\r\nHost: api.test\r\n\r\n"}, want: reset, begun: true},
	{name: "a length without a body", method: "POST", fields: []string{"content-length", "5"}, want: reset},
	{name: "two lengths", method: "POST", fields: []string{"content-length", "5", "content-length", "6"}, body: []string{"hello"}, want: reset},
	{name: "two lengths that are equal", method: "POST", fields: []string{"content-length", "5", "content-length", "5"}, body: []string{"hello"}, want: append(slices.Clone(reset), served...), gets: "hello"},
	{name: "a list of lengths", method: "POST", fields: []string{"content-length", "5, 5"}, body: []string{"hello"}, want: reset},
	{name: "a signed length", method: "POST", fields: []string{"content-length", "+5"}, body: []string{"hello"}, want: reset},
	{name: "a length that is no number", method: "POST", fields: []string{"content-length", "0x5"}, body: []string{"hello"}, want: reset},
	{name: "a look-alike of a length", method: "POST", fields: []string{"content_length", "0"}, body: []string{"hello"}, want: served, gets: "hello"},
	{name: "a look-alike of a coding", method: "POST", fields: []string{"transfer_encoding", "chunked"}, body: []string{"hello"}, want: served, gets: "hello"},
	{name: "a look-alike of what says who is calling", fields: []string{"x_forwarded_for", "10.0.0.1", "client_cert", ":AA==:"}, want: served, hides: []string{"client-cert"}},
	{name: "a right length", method: "POST", fields: []string{"content-length", "5"}, body: []string{"he", "", "llo"}, want: served, gets: "hello"},
	{name: "a body that looks like a request", method: "POST", body: []string{"0\r\n\r\n", "GET /m/0 HTTP/1.1\r\nHost: api.test\r\n\r\n"}, want: served, gets: "0\r\n\r\nGET /m/0 HTTP/1.1\r\nHost: api.test\r\n\r\n"},

	{name: "a line end in a value", fields: []string{"x-a", "b\r\ntransfer-encoding: chunked"}, want: reset},
	{name: "an LF in a value", fields: []string{"x-a", "b\ncontent-length: 5"}, want: reset},
	{name: "a CR in a value", fields: []string{"x-a", "b\rc"}, want: reset},
	{name: "a NUL in a value", fields: []string{"x-a", "b\x00c"}, want: reset},
	{name: "a request in a value", fields: []string{"x-a", "b\r\n\r\nGET /m/0 HTTP/1.1\r\nHost: api.test\r\n\r\n"}, want: reset},
	{name: "a line end in a name", fields: []string{"x-a: b\r\ncontent-length", "5"}, want: reset},
	{name: "a colon in a name", fields: []string{"content-length:", "5"}, want: reset},
	{name: "a field in a name", fields: []string{"transfer-encoding: chunked\r\nx", "y"}, want: reset},
	{name: "a blank in a name", fields: []string{"transfer-encoding ", "chunked"}, want: reset},
	{name: "an empty name", fields: []string{"", "b"}, want: reset},
	{name: "a name in capitals", fields: []string{"X-A", "b"}, want: reset},
	{name: "a name beyond ASCII", fields: []string{"x-\u00e9", "b"}, want: reset},

	{name: "a line end in the path", path: "{} HTTP/1.1\r\nHost: evil.test\r\nx-a: b", want: reset},
	{name: "a blank in the path", path: "{} HTTP/1.1", want: append(slices.Clone(reset), served...)},
	{name: "a request in the path", path: "{} HTTP/1.1\r\nHost: api.test\r\n\r\nGET /m/0", want: reset},
	{name: "an empty path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "api.test", ":path", ""}, want: reset},
	{name: "an absolute path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "api.test", ":path", "http://evil.test/"}, want: reset},
	{name: "a path that is an asterisk", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "api.test", ":path", "*"}, want: reset},
	{name: "no path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "api.test"}, want: reset},
	{name: "no method", pseudo: []string{":scheme", "http", ":authority", "api.test", ":path", "/"}, want: reset},
	{name: "no scheme", pseudo: []string{":method", "GET", ":authority", "api.test", ":path", "/"}, want: reset},
	{name: "two paths", pseudo: append(to("GET", "{}"), ":path", "/m/0"), want: reset},
	{name: "two methods", pseudo: append(to("GET", "{}"), ":method", "POST"), want: reset},
	{name: "two authorities", pseudo: append(to("GET", "{}"), ":authority", "evil.test"), want: reset},
	{name: "a pseudo-header field that is unknown", pseudo: append(to("GET", "{}"), ":foo", "bar"), want: reset},
	{name: "a status in a request", pseudo: append(to("GET", "{}"), ":status", "200"), want: reset},
	{name: "a pseudo-header field behind others", fields: []string{"x-a", "b", ":path", "/m/0"}, want: reset},
	{name: "a line end in the method", pseudo: []string{":method", "GET /m/0 HTTP/1.1\r\nHost: api.test\r\n\r\nGET", ":scheme", "http", ":authority", "api.test", ":path", "{}"}, want: reset},
	{name: "a blank in the method", pseudo: []string{":method", "GET /m/0 HTTP/1.1", ":scheme", "http", ":authority", "api.test", ":path", "{}"}, want: reset},
	{name: "a line end in the authority", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "api.test\r\nx-a: b", ":path", "{}"}, want: reset},
	{name: "a blank in the authority", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "api.test evil.test", ":path", "{}"}, want: reset},
	{name: "a user in the authority", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "evil@api.test", ":path", "{}"}, want: reset},
	{name: "another host", fields: []string{"host", "evil.test"}, want: reset},
	{name: "the same host", fields: []string{"host", "api.test"}, want: served},
	{name: "CONNECT", pseudo: []string{":method", "CONNECT", ":authority", "api.test:443"}, want: reset},
	{name: "a CONNECT that goes on as something else", pseudo: append(to("CONNECT", "{}"), ":protocol", "foo"), want: reset},
	{name: "a CONNECT that goes on as a WebSocket where that was not announced", pseudo: append(to("CONNECT", "{}"), ":protocol", "websocket"), want: reset},

	{name: "a length as a trailer", method: "POST", fields: []string{"trailer", "content-length"}, body: []string{"hello"}, after: []string{"content-length", "99"}, want: append(slices.Clone(reset), served...), gets: "hello"},
	{name: "a coding as a trailer", method: "POST", body: []string{"hello"}, after: []string{"transfer-encoding", "chunked"}, want: append(slices.Clone(reset), served...), gets: "hello"},
	{name: "a line end in a trailer", method: "POST", fields: []string{"trailer", "x-a"}, body: []string{"hello"}, after: []string{"x-a", "b\r\nc: d"}, want: append(slices.Clone(reset), served...), gets: "hello"},
	{name: "a pseudo-header field as a trailer", method: "POST", body: []string{"hello"}, after: []string{":path", "/m/0"}, want: append(slices.Clone(reset), served...), gets: "hello"},
	{name: "an identity as a trailer", method: "POST", fields: []string{"trailer", "client-cert"}, body: []string{"hello"}, after: []string{"client-cert", ":AA==:"}, want: served, gets: "hello", hides: []string{"client-cert"}},
}

func TestNothingAmbiguousReachesTheBackendOverHTTP2(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, nil, serverName, tightLimits)
	for i := range h2Vectors {
		s.tryHTTP2(t, &h2Vectors[i], fmt.Sprint("h2/", i))
	}
	for _, bad := range s.backend.ambiguous() {
		t.Errorf("ambiguous at the backend: %s", bad)
	}
	for _, r := range s.backend.since(0) {
		if !strings.Contains(r.target(), "/h2/") || r.values("Host")[0] != "api.test" {
			t.Errorf("smuggled: %q", r.raw)
		}
	}
	s.stop()
}

func (s *rawSite) tryHTTP2(t *testing.T, v *h2Vector, id string) {
	t.Helper()
	path, marker := "/v/"+id, "/m/"+id
	method, target := v.method, v.path
	if method == "" {
		method = "GET"
	}
	if target == "" {
		target = "{}"
	}
	fields := to(method, target)
	if v.pseudo != nil {
		fields = slices.Clone(v.pseudo)
	}
	fields = append(fields, v.fields...)
	for i := range fields {
		fields[i] = strings.ReplaceAll(fields[i], "{}", path)
	}
	f := newFramer(t, dial(t, s.plain), true)
	before := s.backend.count()
	s.write(t, f, v, fields)
	got := f.outcome(t, 1)
	if strings.HasPrefix(got, "200 this answers ") || strings.HasPrefix(got, "400 ") {
		got = got[:3]
	}
	if !slices.Contains(v.want, got) {
		t.Errorf("%s: it ends with %q, want one of %q", v.name, got, v.want)
	}
	if err := f.open(3, true, to("GET", marker)...); err == nil && !f.over3(t, marker) {
		t.Errorf("%s: the stream behind it ends with %q", v.name, f.outcome(t, 3))
	}
	for _, r := range s.backend.since(before) {
		switch {
		case r.target() == marker:
		case got != "200" && (v.begun || v.after != nil):
			if len(r.body) > 0 && r.whole {
				t.Errorf("%s: the backend got a whole request %q", v.name, r.raw)
			}
		case got != "200" || r.target() != path && v.path == "":
			t.Errorf("%s: the backend got %q", v.name, r.raw)
		default:
			if string(r.body) != v.gets {
				t.Errorf("%s: the backend got the body %q, want %q", v.name, r.body, v.gets)
			}
			for _, name := range append([]string{"upgrade", "te"}, v.hides...) {
				for _, trailer := range r.trailers {
					if foldName(trailer.name) == name {
						t.Errorf("%s: the backend got the trailer %q", v.name, trailer)
					}
				}
				if seen := r.values(name); len(seen) > 0 && (name != "te" || seen[0] != "trailers") {
					t.Errorf("%s: the backend got %s %q", v.name, name, seen)
				}
			}
		}
	}
	_ = f.Close()
}

// write sends the frames of a vector. The other end may reset the stream, or end the connection, at any time.
func (s *rawSite) write(t testing.TB, f *framer, v *h2Vector, fields []string) {
	t.Helper()
	_ = f.open(1, len(v.body) == 0 && v.after == nil, fields...)
	for i, piece := range v.body {
		_ = f.WriteData(1, i == len(v.body)-1 && v.after == nil, []byte(piece))
	}
	if v.after != nil {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(v.after...), EndHeaders: true, EndStream: true})
	}
}

// over3 reports whether the marked request was answered as its own, or the connection had ended before.
func (f *framer) over3(t testing.TB, marker string) bool {
	t.Helper()
	got := f.outcome(t, 3)
	return got == "200 this answers "+marker || got == "closed" || strings.HasPrefix(got, "goaway")
}
