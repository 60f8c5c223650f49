package upstream_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/testpki"
	"sallyport/internal/upstream"
)

func TestATargetHasToChooseHTTP2(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}})
	for name, c := range map[string]struct {
		protocols []string
		ok        bool
	}{
		"it does":                         {[]string{"h2"}, true},
		"it knows HTTP/1.1 alone by name": {[]string{"http/1.1"}, false},
		"it does not know ALPN":           {nil, false},
	} {
		target := "https://localhost" + raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}}).HandshakeContext(t.Context())
			_, _ = in.ReadByte()
		})[len("http://127.0.0.1"):]
		if c.protocols != nil {
			target = tlsBackend(t, leaf, c.protocols...)
		}
		got, err := get(t, start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, Trust: serverTrust(t, false, ca)}, nil))
		switch {
		case c.ok && got != "HTTP/2.0":
			t.Errorf("%s: %q, %v", name, got, err)
		case !c.ok:
			if f := failure(t, err); f.Cause != upstream.CauseProtocol || !strings.Contains(err.Error(), "h2") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAnUpgradeNeedsHTTP1(t *testing.T) {
	t.Parallel()
	u := start(t, upstream.Config{Targets: []string{"http://127.0.0.1:1"}, Protocol: upstream.HTTP2, MaxFailures: 1}, nil)
	_, err := u.Send(upgrade(t.Context()), upstream.Options{Upgrade: true})
	if f := failure(t, err); f.Cause != upstream.CauseProtocol || !strings.Contains(err.Error(), "HTTP/1.1") || upstream.Out(u)[0] {
		t.Error(err)
	}
}

func TestManyRequestsShareOneHTTP2Connection(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	release := make(chan struct{})
	target, _ := handling(t, true, func(http.ResponseWriter, *http.Request) { <-release })
	counted := forward(t, target, &connections)
	u := start(t, upstream.Config{Targets: []string{counted}, Protocol: upstream.HTTP2}, nil)
	var all sync.WaitGroup
	for range 90 { // fewer than the streams that a connection is assumed to take at first
		all.Go(func() {
			if _, err := get(t, u); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "sending", func() bool { return upstream.InFlight(u)[0] == 90 })
	close(release)
	all.Wait()
	if n := connections.Load(); n > 3 { // one, but for very unlucky moments
		t.Errorf("%d connections", n)
	}
}

// forward counts the connections to a target.
func forward(t *testing.T, target string, connections *atomic.Int32) string {
	return raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		connections.Add(1)
		out, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(target, "http://"))
		if err != nil {
			t.Error(err)
			return
		}
		defer out.Close()
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() })
		_, _ = io.Copy(c, out)
		_ = c.Close()
		both.Wait()
	})
}

// frame writes an HTTP/2 frame (RFC 9113 section 4.1).
func frame(w io.Writer, kind, flags byte, stream uint32, payload string) {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	b = append(b, kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	_, _ = w.Write(append(b, payload...))
}

// The frame types and flags that the tests speak.
const (
	dataFrame, headersFrame, resetFrame, settingsFrame, goAwayFrame = 0, 1, 3, 4, 7
	endStream, endHeaders, ack                                      = 1, 4, 1
)

// status200 is ":status: 200" in HPACK (RFC 7541 appendix A).
const status200 = "\x88"

// http2 is a backend that greets in HTTP/2 and calls respond for each request with the id of its stream. It answers
// nothing else. respond ends the connection with false.
func http2(t *testing.T, settings string, respond func(w io.Writer, stream uint32) bool) string {
	return raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := io.CopyN(io.Discard, in, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		frame(c, settingsFrame, 0, 0, settings)
		for {
			var head [9]byte
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			if _, err := io.CopyN(io.Discard, in, length); err != nil {
				return
			}
			switch {
			case head[3] == settingsFrame && head[4]&ack == 0:
				frame(c, settingsFrame, ack, 0, "")
			case head[3] == headersFrame && !respond(c, binary.BigEndian.Uint32(head[5:])):
				return
			}
		}
	})
}

func TestEveryFailureOfAStreamHasItsCause(t *testing.T) {
	t.Parallel()
	const internalError = "\x00\x00\x00\x02"
	for _, c := range []struct {
		name    string
		respond func(w io.Writer, stream uint32) bool
		cause   upstream.Cause
		body    string
	}{
		{"the stream is reset", func(w io.Writer, s uint32) bool { frame(w, resetFrame, 0, s, internalError); return true }, upstream.CauseReset, ""},
		{"the stream is reset in the body", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200)
			frame(w, dataFrame, 0, s, "half")
			frame(w, resetFrame, 0, s, internalError)
			return true
		}, upstream.CauseReset, "half"},
		{"the connection is closed", func(io.Writer, uint32) bool { return false }, upstream.CauseReset, ""},
		{"the connection is closed in the body", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200)
			frame(w, dataFrame, 0, s, "half")
			return false
		}, upstream.CauseReset, "half"},
		{"the target goes away", func(w io.Writer, _ uint32) bool {
			frame(w, goAwayFrame, 0, 0, "\x00\x00\x00\x01"+internalError)
			return false
		}, upstream.CauseReset, ""},
		{"a frame for a stream that is none", func(w io.Writer, _ uint32) bool { frame(w, dataFrame, 0, 99, "x"); return true }, upstream.CauseProtocol, ""},
		{"no status", func(w io.Writer, s uint32) bool { frame(w, headersFrame, endHeaders|endStream, s, ""); return true }, upstream.CauseProtocol, ""},
		{"no HPACK", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders|endStream, s, "\xff\xff\xff\xff\xff\xff")
			return true
		}, upstream.CauseProtocol, ""},
		{"a body before the header", func(w io.Writer, s uint32) bool { frame(w, dataFrame, 0, s, "x"); return true }, upstream.CauseProtocol, ""},
		{"the status is 99", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders|endStream, s, "\x48\x0299") // literal, indexed name 8
			return true
		}, upstream.CauseProtocol, ""},
		{"more than its length", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200+"\x5c\x014") // content-length: 4
			frame(w, dataFrame, endStream, s, "hello")
			return true
		}, upstream.CauseProtocol, "hell"},
		{"less than its length", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200+"\x5c\x016")
			frame(w, dataFrame, endStream, s, "hello")
			return true
		}, upstream.CauseProtocol, "hello"},
		{"less than its length, which is all", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders|endStream, s, status200+"\x5c\x016")
			return true
		}, upstream.CauseProtocol, ""},
		{"less than its length, and the connection is closed", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200+"\x5c\x016")
			frame(w, dataFrame, 0, s, "hello")
			return false
		}, upstream.CauseReset, "hello"},
		{"the connection is closed in the last frame", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200+"\x5c\x016")
			frame(w, dataFrame, 0, s, "hello")
			_, _ = w.Write([]byte{0, 0, 1, dataFrame, endStream, 0, 0, 0, byte(s)})
			return false
		}, upstream.CauseReset, "hello"},
		{"a frame that is too long", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200)
			frame(w, dataFrame, 0, s, "hello")
			frame(w, dataFrame, endStream, s, strings.Repeat("x", 16<<10+1))
			return true
		}, upstream.CauseProtocol, "hello"},
		{"the head of a frame that is too long", func(w io.Writer, s uint32) bool {
			_, _ = w.Write([]byte{0, 0x40, 1, headersFrame, endHeaders, 0, 0, 0, byte(s)})
			return true
		}, upstream.CauseProtocol, ""},
		{"the longest frame", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200)
			frame(w, dataFrame, endStream, s, strings.Repeat("x", 16<<10))
			return true
		}, "", strings.Repeat("x", 16<<10)},
		{"two lengths", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200+"\x5c\x015\x5c\x0250")
			frame(w, dataFrame, endStream, s, "hello")
			return true
		}, upstream.CauseProtocol, ""},
		{"a length with a sign", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200+"\x5c\x02+5")
			frame(w, dataFrame, endStream, s, "hello")
			return true
		}, upstream.CauseProtocol, ""},
		{"another protocol", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, "\x48\x03101")
			frame(w, headersFrame, endHeaders|endStream, s, status200)
			return true
		}, upstream.CauseProtocol, ""},
		{"100 without end", func(w io.Writer, s uint32) bool {
			for range 17 {
				frame(w, headersFrame, endHeaders, s, "\x48\x03100")
			}
			return true
		}, upstream.CauseProtocol, ""},
		{"sixteen times 100", func(w io.Writer, s uint32) bool {
			for range 16 {
				frame(w, headersFrame, endHeaders, s, "\x48\x03100")
			}
			frame(w, headersFrame, endHeaders|endStream, s, status200)
			return true
		}, "", ""},
		{"the length of another answer behind 304", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders|endStream, s, "\x8b\x5c\x015")
			return true
		}, "", ""},
		{"the end of a 304 comes later", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, "\x8b\x5c\x015")
			frame(w, dataFrame, endStream, s, "")
			return true
		}, "", ""},
		{"a length behind 204", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders|endStream, s, "\x89\x5c\x015")
			return true
		}, "", ""},
		{"a body behind 204", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, "\x89")
			frame(w, dataFrame, endStream, s, "hello")
			return true
		}, upstream.CauseProtocol, ""},
		{"complete", func(w io.Writer, s uint32) bool {
			frame(w, headersFrame, endHeaders, s, status200+"\x5c\x015")
			frame(w, dataFrame, endStream, s, "hello")
			return true
		}, "", "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			target := http2(t, "", c.respond)
			u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 1}, nil)
			body, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil))
			switch {
			case body != c.body:
				t.Errorf("body %q", body)
			case c.cause == "" && err != nil:
				t.Error(err)
			case c.cause != "" && (failure(t, err).Cause != c.cause || !upstream.Out(u)[0]):
				t.Errorf("%v, out %v", err, upstream.Out(u)[0])
			}
		})
	}
}

func TestAHeaderThatTheTargetWouldNotTakeIsTheCallersFault(t *testing.T) {
	t.Parallel()
	const maxHeaderListSize = "\x00\x06\x00\x00\x00\xff"
	ok := func(w io.Writer, s uint32) bool {
		frame(w, headersFrame, endHeaders|endStream, s, status200)
		return true
	}
	target := http2(t, maxHeaderListSize, ok)
	u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 1}, nil)
	if _, err := get(t, u); err != nil { // afterwards the limit is known
		t.Fatal(err)
	}
	_, err := exchange(t, u, withHeader(request(t.Context(), http.MethodGet, "/x", nil), "A", strings.Repeat("a", 300)))
	if f := failure(t, err); f.Cause != upstream.CauseRequest || upstream.Out(u)[0] {
		t.Errorf("%v, out %v", err, upstream.Out(u)[0])
	}
	if _, err := get(t, u); err != nil {
		t.Error(err)
	}
}

func TestATargetThatRefusesEveryStreamIsGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	var streams atomic.Int32
	target := http2(t, "", func(w io.Writer, s uint32) bool {
		streams.Add(1)
		frame(w, resetFrame, 0, s, "\x00\x00\x00\x07") // REFUSED_STREAM: net/http alone would try again, later and later
		return true
	})
	var events recorder
	u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 2}, &events)
	_, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil))
	if f := failure(t, err); f.Cause != upstream.CauseReset || !strings.Contains(err.Error(), "REFUSED_STREAM") || streams.Load() != 2 {
		t.Errorf("%v after %d streams", err, streams.Load())
	}
	if d := cmp.Diff([]string{"attempt reset false", "down " + target + " reset", "attempt reset true"}, events.all(true)); d != "" {
		t.Errorf("events: %s", d)
	}
}

func TestAStreamIsRepeatedElsewhereWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		var sent atomic.Int32
		dying := http2(t, "", func(io.Writer, uint32) bool { sent.Add(1); return false })
		good, _ := handling(t, true, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		u := start(t, upstream.Config{Targets: []string{dying, good}, Protocol: upstream.HTTP2}, nil)
		body, err := exchange(t, u, request(t.Context(), method, "/x", nil))
		if method == http.MethodGet && body != "ok" {
			t.Errorf("GET: %q, %v", body, err)
		}
		if method == http.MethodPost && failure(t, err).Cause != upstream.CauseReset {
			t.Errorf("POST: %q, %v", body, err)
		}
		if sent.Load() != 1 {
			t.Errorf("%s was sent %d times to the first target", method, sent.Load())
		}
	}
}

// leaving is a target that answers every request but the second, which it leaves alone in one of two ways. It counts those
// that it answers, and all that it gets.
func leaving(t *testing.T, alone func(w io.Writer, s uint32)) (target string, answered, got *atomic.Int32) {
	answered, got = new(atomic.Int32), new(atomic.Int32)
	target = http2(t, "", func(w io.Writer, s uint32) bool {
		if got.Add(1) == 2 {
			alone(w, s)
			return true
		}
		answered.Add(1)
		frame(w, headersFrame, endHeaders, s, status200)
		frame(w, dataFrame, endStream, s, "ok")
		return true
	})
	return target, answered, got
}

func TestWhatATargetLeavesAloneIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, alone := range map[string]func(w io.Writer, s uint32){
		"GOAWAY":         func(w io.Writer, _ uint32) { frame(w, goAwayFrame, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00") },
		"REFUSED_STREAM": func(w io.Writer, s uint32) { frame(w, resetFrame, 0, s, "\x00\x00\x00\x07") },
	} {
		for _, body := range []string{"", "a body"} {
			for _, noRetry := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s %v", name, body, noRetry), func(t *testing.T) {
					t.Parallel()
					target, answered, got := leaving(t, alone)
					var events recorder
					u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 2, NoRetry: noRetry}, &events)
					send := func() (string, error) {
						r := request(t.Context(), http.MethodPost, "/x", nil)
						if body != "" {
							r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
						}
						return exchange(t, u, r)
					}
					if _, err := send(); err != nil {
						t.Fatal(err)
					}
					answer, err := send()
					if noRetry {
						f := failure(t, err)
						if f.Cause != upstream.CauseReset || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "GetBody") || got.Load() != 2 {
							t.Errorf("%v after %d requests", err, got.Load())
						}
						return
					}
					if err != nil || answer != "ok" || answered.Load() != 2 || got.Load() != 3 {
						t.Errorf("%q, %v; %d requests, %d answered", answer, err, got.Load(), answered.Load())
					}
					if d := cmp.Diff([]string{"attempt ok false", "attempt reset false", "attempt ok true"}, events.all(true)); d != "" {
						t.Errorf("events: %s", d)
					}
				})
			}
		}
	}
}

func TestATargetThatGoesAwayIsNotBlamed(t *testing.T) {
	t.Parallel()
	target, _, _ := leaving(t, func(w io.Writer, _ uint32) { frame(w, goAwayFrame, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00") })
	u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 1, NoRetry: true}, nil)
	for range 3 {
		_, _ = get(t, u)
	}
	if upstream.Out(u)[0] {
		t.Error("an ordinary GOAWAY took the target out")
	}
}

func TestARequestThatATargetFindsMalformedIsNotSentAgainAndAgain(t *testing.T) {
	t.Parallel()
	var streams atomic.Int32
	target := http2(t, "", func(w io.Writer, s uint32) bool {
		streams.Add(1)
		frame(w, resetFrame, 0, s, "\x00\x00\x00\x01") // PROTOCOL_ERROR: net/http alone would send it seven times
		return true
	})
	u := start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.HTTP2, MaxFailures: 1}, nil)
	_, err := exchange(t, u, request(t.Context(), http.MethodPost, "/x", nil))
	if f := failure(t, err); f.Cause != upstream.CauseReset || !strings.Contains(err.Error(), "PROTOCOL_ERROR") || streams.Load() != 1 || upstream.Out(u)[0] {
		t.Errorf("%v after %d streams, out %v", err, streams.Load(), upstream.Out(u)[0])
	}
}
