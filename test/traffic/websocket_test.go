package traffic_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
)

// socketBackend is a WebSocket server that sends back what it gets. A text "close N" makes it close with a code, and it tells
// with which code it was closed itself; the zero value is for an end without a word.
func socketBackend(t testing.TB, closed *mail[websocket.CloseError]) string {
	t.Helper()
	return goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat", "other"}})
		if err != nil {
			return // the client was told
		}
		defer func() { _ = c.CloseNow() }() // once more is no harm
		c.SetReadLimit(-1)
		for {
			kind, text, err := c.Read(r.Context())
			if err != nil {
				failure, _ := errors.AsType[websocket.CloseError](err)
				closed.of(r.URL.Path) <- failure
				return
			}
			var code websocket.StatusCode
			if _, err := fmt.Sscanf(string(text[:min(len(text), 20)]), "close %d", &code); err == nil {
				_ = c.Close(code, "as you wish") // the client tells
				return
			}
			if c.Write(r.Context(), kind, text) != nil {
				return
			}
		}
	})
}

// connect opens WebSockets over a stream of HTTP/2 (RFC 8441): it is a transport that makes an extended CONNECT of the
// handshake and the answer of HTTP/1.1 of what comes back. The library above it does the rest.
type connect struct {
	t testing.TB
	c *http2Conn
}

func (c connect) RoundTrip(r *http.Request) (*http.Response, error) {
	fields := []string{":protocol", "websocket", "sec-websocket-version", "13", "origin", "https://localhost"}
	for _, list := range r.Header["Sec-Websocket-Protocol"] {
		fields = append(fields, "sec-websocket-protocol", list)
	}
	s := c.c.open(c.t, http.MethodConnect, r.URL.Path, false, fields...)
	a := s.answerHead()
	if a.err != nil {
		return nil, a.err
	}
	response := &http.Response{StatusCode: a.status, Header: a.header, Body: socket{s, c.t}, Request: r, Proto: "HTTP/2.0", ProtoMajor: 2}
	if a.status == http.StatusOK {
		if a.header.Get("Upgrade") != "" || a.header.Get("Connection") != "" || a.header.Get("Sec-WebSocket-Accept") != "" {
			return nil, fmt.Errorf("fields of HTTP/1.1 came over HTTP/2: %v", a.header)
		}
		response.StatusCode = http.StatusSwitchingProtocols
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		response.Header["Connection"], response.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
		response.Header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	}
	return response, nil
}

// socket is a stream as a connection. To close it is to reset it, unless the other side has ended it.
type socket struct {
	*http2Stream
	t testing.TB
}

func (s socket) Close() error {
	s.c.mu.Lock()
	over := s.ended || s.failure() != nil
	s.c.mu.Unlock()
	if !over {
		s.cancel(s.t)
	}
	return nil
}

// socketClient is an HTTP client that opens WebSockets over a front.
func (g *gateway) socketClient(t testing.TB, f front) *http.Client {
	t.Helper()
	if f == http2Front {
		return &http.Client{Transport: connect{t, g.http2(t)}}
	}
	return g.caller(t, f).client
}

// announced is what makes the program offer WebSockets over HTTP/2. Go leaves them out otherwise.
const announced = "GODEBUG=http2xconnect=1"

// dialSocket opens a WebSocket.
func (g *gateway) dialSocket(t testing.TB, f front, path string, subprotocols ...string) *websocket.Conn {
	t.Helper()
	//nolint:bodyclose // the connection is the body
	c, response, err := websocket.Dial(within(t), "https://"+g.address+path, &websocket.DialOptions{HTTPClient: g.socketClient(t, f), Host: "localhost", Subprotocols: subprotocols})
	if err != nil {
		t.Fatal(err)
	}
	if response.Header.Get("X-Request-ID") == "" {
		t.Errorf("no request id: %v", response.Header)
	}
	c.SetReadLimit(-1)
	t.Cleanup(func() { _ = c.CloseNow() }) // once more is no harm
	return c
}

// socketStatus is the status of a WebSocket's record.
func socketStatus(f front) int {
	if f == http1Front {
		return 101
	}
	return 200
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	var closed mail[websocket.CloseError]
	target := socketBackend(t, &closed)
	// Neither a limit for bodies nor one for their pace is about a WebSocket.
	g := serve(t, document{limits: "max_body_size: 1KiB, send_timeout: 20s", apis: []api{{path: "/socket/", target: target}}}, announced)
	echoes := func(t *testing.T, c *websocket.Conn, kind websocket.MessageType, text string) {
		t.Helper()
		sent := make(chan error, 1)
		go func() { sent <- c.Write(within(t), kind, []byte(text)) }()
		gotKind, got, err := c.Read(within(t))
		if err = errors.Join(err, receive(t, sent, "the end of sending")); err != nil || gotKind != kind || string(got) != text {
			t.Fatalf("%d bytes of kind %v came back (%v), want %d of %v", len(got), gotKind, err, len(text), kind)
		}
	}
	onBothFronts(t, func(t *testing.T, f front) {
		path := pathOf(t, "/socket/")
		c := g.dialSocket(t, f, path, "chat")
		if c.Subprotocol() != "chat" {
			t.Errorf("subprotocol %q, want chat", c.Subprotocol())
		}
		for _, text := range []string{"hello", "", strings.Repeat("ü", 5000)} {
			echoes(t, c, websocket.MessageText, text)
		}
		echoes(t, c, websocket.MessageBinary, "\x00\xff\r\n")
		echoes(t, c, websocket.MessageBinary, strings.Repeat("big ", 2<<20))
		pings(t, c)
		if err := c.Close(4001, "bye"); err != nil {
			t.Errorf("close: %v", err)
		}
		if got, want := receive(t, closed.of(path), "the close at the backend"), (websocket.CloseError{Code: 4001, Reason: "bye"}); got != want {
			t.Errorf("the backend was closed with %v, want %v", got, want)
		}
		r := g.passed(t, path, socketStatus(f), -1, -1)
		if r.BytesIn < 8<<20 || r.BytesOut < 8<<20 || r.Protocol != f.name {
			t.Errorf("the record says %s; want 8 MiB each way", r)
		}

		path += "-closed"
		c = g.dialSocket(t, f, path)
		echoes(t, c, websocket.MessageText, "hello")
		if err := c.Write(within(t), websocket.MessageText, []byte("close 4002")); err != nil {
			t.Fatal(err)
		}
		_, _, err := c.Read(within(t))
		if got, _ := errors.AsType[websocket.CloseError](err); got.Code != 4002 || got.Reason != "as you wish" {
			t.Errorf("closed with %v, want 4002", err)
		}
		g.passed(t, path, socketStatus(f), -1, -1)
	})
}

// pings sends pings and waits for their answers, while somebody reads as they have to.
func pings(t *testing.T, c *websocket.Conn) {
	t.Helper()
	read := make(chan error, 1)
	go func() {
		_, _, err := c.Read(within(t))
		read <- err
	}()
	for range 3 {
		if err := c.Ping(within(t)); err != nil {
			t.Fatalf("ping: %v", err)
		}
	}
	if err := c.Write(within(t), websocket.MessageText, []byte("go on")); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, read, "the end of reading"); err != nil {
		t.Fatal(err)
	}
}

// TestWebSocketsThatAreCut: whichever end leaves without a word, the other one notices.
func TestWebSocketsThatAreCut(t *testing.T) {
	t.Parallel()
	var closed mail[websocket.CloseError]
	target := socketBackend(t, &closed)
	dies := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		request := readHead(r)
		if request == nil {
			return
		}
		sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		say(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n\x81\x02hi", base64.StdEncoding.EncodeToString(sum[:]))
		_, _ = r.ReadByte() // the beginning of a message
	})
	g := serve(t, document{apis: []api{
		{path: "/socket/", target: target},
		{path: "/dies/", target: dies},
		{path: "/idle/", target: target, limits: "stream_idle_timeout: 1s"},
	}}, announced)
	onBothFronts(t, func(t *testing.T, f front) {
		t.Run("by the client", func(t *testing.T) {
			path := pathOf(t, "/socket/")
			c := g.dialSocket(t, f, path)
			if err := c.CloseNow(); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, closed.of(path), "the end at the backend"); got.Code != 0 {
				t.Errorf("the backend was closed with %v, want no word", got)
			}
			g.record(t, path)
		})
		t.Run("by the backend", func(t *testing.T) {
			path := pathOf(t, "/dies/")
			c := g.dialSocket(t, f, path)
			if _, text, err := c.Read(within(t)); err != nil || string(text) != "hi" {
				t.Fatalf("%q (%v) came", text, err)
			}
			if err := c.Write(within(t), websocket.MessageText, []byte("die")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Read(within(t)); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the end", err)
			}
			g.record(t, path)
		})
		t.Run("for being idle", func(t *testing.T) {
			path := pathOf(t, "/idle/")
			c := g.dialSocket(t, f, path)
			if _, _, err := c.Read(within(t)); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the end", err)
			}
			g.failed(t, path, "stream_idle_timeout", socketStatus(f))
		})
	})
}

// TestWebSocketRefused: a refusal is an ordinary answer, the gateway's own as well as the backend's.
func TestWebSocketRefused(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "not you")
	})
	g := serve(t, document{apis: []api{
		{path: "/api/", target: target},
		{path: "/post/", target: target, methods: "methods: [POST]"},
		{path: "/h2/", target: target, upstream: "protocol: h2"},
	}}, announced)
	asks := func(t *testing.T, f front, path string) answer {
		t.Helper()
		if f == http1Front {
			c := g.http1(t)
			c.write(t, head(http.MethodGet, path, upgrade("websocket")...))
			return c.answer(http.MethodGet)
		}
		return g.http2(t).open(t, http.MethodConnect, path, false, ":protocol", "websocket", "sec-websocket-version", "13").answer()
	}
	onBothFronts(t, func(t *testing.T, f front) {
		path := pathOf(t, "/api/")
		got := asks(t, f, path)
		got.whole(t, 403)
		if got.body != "not you" {
			t.Errorf("body %q", got.body)
		}
		g.passed(t, path, 403, 0, 7)

		path = pathOf(t, "/post/") // what the handshake asks for is GET, over HTTP/2 as well
		asks(t, f, path).problem(t, "method_not_allowed", 405)
		g.refused(t, path, "method_not_allowed", 405, "")

		path = pathOf(t, "/h2/")
		asks(t, f, path).problem(t, "upstream_unavailable", 502)
		g.refused(t, path, "upstream_unavailable", 502, "HTTP/2")
	})
}

// upgrade are the fields with which a client asks for another protocol.
func upgrade(protocol string) []string {
	return []string{
		"Connection: Upgrade", "Upgrade: " + protocol, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
	}
}

// TestWebSocketsOverHTTP2AreNotAnnounced: without Go's setting, clients are told nothing and use HTTP/1.1; those that try all
// the same are refused.
func TestWebSocketsOverHTTP2AreNotAnnounced(t *testing.T) {
	t.Parallel()
	target := socketBackend(t, new(mail[websocket.CloseError]))
	d := document{apis: []api{{path: "/socket/", target: target}}}
	without, with := serve(t, d, "GODEBUG="), serve(t, d, announced)
	c := without.http2(t)
	if v, sent := c.settings[http2.SettingEnableConnectProtocol]; sent && v != 0 {
		t.Errorf("SETTINGS_ENABLE_CONNECT_PROTOCOL is %d", v)
	}
	s := c.open(t, http.MethodConnect, "/socket/", false, ":protocol", "websocket", "sec-websocket-version", "13")
	if got := s.answer(); got.err == nil && got.status == 200 {
		t.Errorf("an extended CONNECT that nobody announced: %v", got)
	}
	without.dialSocket(t, http1Front, "/socket/")
	if v := with.http2(t).settings[http2.SettingEnableConnectProtocol]; v != 1 {
		t.Errorf("SETTINGS_ENABLE_CONNECT_PROTOCOL is %d, want 1", v)
	}
}

// TestOtherUpgradesDoNotPass: a protocol that would carry requests past the gateway is asked of nobody (h2c above all, with
// which others were bypassed). The request itself is served as it is.
func TestOtherUpgradesDoNotPass(t *testing.T) {
	t.Parallel()
	target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		for {
			request := readHead(r)
			if request == nil {
				return
			}
			if request.Header.Get("X-Switch") != "" { // a backend that changes the protocol unasked
				say(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
				discard(r)
				return
			}
			text := fmt.Sprint(request.Header["Upgrade"], request.Header["Connection"], request.Header["Http2-Settings"])
			say(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		}
	})
	g := serve(t, document{apis: []api{{path: "/api/", target: target}}})
	for _, fields := range [][]string{
		{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		{"Connection: Upgrade", "Upgrade: h2c"},
		{"Connection: upgrade", "Upgrade: TLS/1.0"},
		{"Connection: Upgrade", "Upgrade: websocket, h2c"},
		{"Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"},
		{"Connection: Upgrade", "Upgrade: anything"},
		{"Upgrade: websocket"}, // which does not ask, without Connection
	} {
		t.Run(strings.Join(fields, " "), func(t *testing.T) {
			t.Parallel()
			path := pathOf(t, "/api/")
			c := g.http1(t)
			c.write(t, head(http.MethodGet, path, fields...))
			got := c.answer(http.MethodGet)
			got.whole(t, 200)
			if got.body != "[] [] []" {
				t.Errorf("the backend was asked for %s", got.body)
			}
			g.passed(t, path, 200, 0, int64(len(got.body)))

			c = g.http1(t)
			c.write(t, head(http.MethodGet, path+"-switch", append(fields, "X-Switch: yes")...))
			c.answer(http.MethodGet).problem(t, "upstream_unavailable", 502)
			g.refused(t, path+"-switch", "upstream_unavailable", 502, "")
		})
	}
	t.Run("bytes that follow at once", func(t *testing.T) {
		t.Parallel()
		c := g.http1(t)
		path := pathOf(t, "/api/")
		c.write(t, head(http.MethodGet, path, upgrade("h2c")...)+http2.ClientPreface)
		got := c.answer(http.MethodGet)
		got.whole(t, 200)
		rest, _ := io.ReadAll(c.reader) // the preface is no request of HTTP/1.1
		if bytes.Contains(rest, []byte("HTTP/1.1 200")) || bytes.Contains(rest, []byte{0, 0, 0, 4}) {
			t.Errorf("the preface was understood: %q", rest)
		}
	})
}
