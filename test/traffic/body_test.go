package traffic_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// unknown hides how long a body is, so that it has to be sent in chunks.
type unknown struct{ io.Reader }

// saw is what a Go backend saw of a request.
type saw struct {
	length   int64
	chunked  bool
	body     string
	bodyErr  error
	header   http.Header
	trailer  http.Header
	protocol string
}

// look reads a request to its end.
func look(r *http.Request) saw {
	body, err := io.ReadAll(r.Body)
	return saw{r.ContentLength, len(r.TransferEncoding) > 0, string(body), err, r.Header, r.Trailer, r.Proto}
}

func TestBodiesOfUnknownLength(t *testing.T) {
	t.Parallel()
	var arrived mail[saw]
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		s := look(r)
		arrived.of(r.URL.Path) <- s
		_ = http.NewResponseController(w).Flush() // without it a short answer would have a length
		for piece := range bytes.SplitSeq([]byte(s.body), []byte("|")) {
			_, _ = w.Write(piece)
			_ = http.NewResponseController(w).Flush()
		}
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	bodies := map[string]string{
		"empty":    "",
		"short":    "a|b",
		"in parts": strings.Repeat("0123456789|", 1000) + strings.Repeat("x", 70_000) + "|" + strings.Repeat("y", 200_000),
	}
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		c := g.caller(t, f)
		for name, body := range bodies { // one after the other: they share a connection
			path := pathOf(t, prefix) + notAWord.ReplaceAllString(name, "-")
			r := c.request(t, http.MethodPost, path, unknown{strings.NewReader(body)})
			r.ContentLength = -1
			got := c.send(r)
			got.whole(t, 200)
			want := strings.ReplaceAll(body, "|", "")
			if got.body != want || got.length != -1 || got.chunked != (f == http1Front) || got.proto != f.name {
				t.Errorf("%s: %d bytes over %s, length %d, chunked %t; want %d", name, len(got.body), got.proto, got.length, got.chunked, len(want))
			}
			s := receive(t, arrived.of(path), "the request at the backend")
			if s.body != body || s.bodyErr != nil || s.length != -1 || s.chunked != (prefix == "/h1/") {
				t.Errorf("%s: the backend saw %d bytes (%v), length %d, chunked %t; want %d", name, len(s.body), s.bodyErr, s.length, s.chunked, len(body))
			}
			g.passed(t, path, 200, int64(len(body)), int64(len(want)))
		}
	})
}

// TestEveryCutOfChunks sends a chunked body in one piece for each of many ways to cut it, and one octet at a time.
func TestEveryCutOfChunks(t *testing.T) {
	t.Parallel()
	g := serve(t, document{apis: []api{{path: "/echo/", target: goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})}}})
	body := []byte("The quick brown fox jumps over the lazy dog.\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
	c := g.http1(t)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		var text strings.Builder
		for rest := body; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 9))
			fmt.Fprintf(&text, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		message := head(http.MethodPost, fmt.Sprintf("/echo/%d", i), "Transfer-Encoding: chunked") + text.String() + "0\r\n\r\n"
		for len(message) > 0 {
			n := len(message)
			if i%2 == 1 {
				n = min(n, 1+random.IntN(40))
			}
			c.write(t, message[:n])
			message = message[n:]
		}
		got := c.answer(http.MethodPost)
		got.whole(t, 200)
		if got.body != string(body) {
			t.Errorf("cut %d: %q came back", i, got.body)
		}
		g.passed(t, fmt.Sprintf("/echo/%d", i), 200, int64(len(body)), int64(len(body)))
	}
}

// trailing is a body that announces trailer fields and knows them only at its end.
type trailing struct {
	io.Reader
	atEnd func()
}

func (b trailing) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.atEnd()
	}
	return n, err
}

func TestTrailersPassBothWays(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		s := look(r)
		w.Header().Set("Trailer", "X-Sum, X-Absent")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "of the answer")
		w.Header().Add(http.TrailerPrefix+"X-Late", "one")
		w.Header().Add(http.TrailerPrefix+"X-Late", "two")
		w.Header().Set(http.TrailerPrefix+"X-Request-Trailer", fmt.Sprintf("%q %q %v", sorted(s.trailer), s.body, s.bodyErr))
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		c, path := g.caller(t, f), pathOf(t, prefix)
		announced := http.Header{
			"X-Sum": nil, "X-Other": nil, "Client-Cert": nil, "X-Forwarded-For": nil, "X_ssl_cert": nil, "X-Request-Id": nil,
		}
		r := c.request(t, http.MethodPost, path, nil)
		r.ContentLength, r.Trailer = -1, announced
		r.Body = io.NopCloser(trailing{strings.NewReader("sent"), func() {
			for name := range announced {
				announced.Add(name, "of the request")
			}
		}})
		got := c.send(r)
		got.whole(t, 200)
		want := http.Header{
			"X-Sum": {"of the answer"}, "X-Late": {"one", "two"},
			"X-Request-Trailer": {`["X-Other: of the request" "X-Sum: of the request"] "sent" <nil>`},
		}
		delete(got.trailer, "X-Absent") // announced and never sent: nil or not there
		if diff := cmp.Diff(want, got.trailer); diff != "" || got.body != "body" {
			t.Errorf("body %q, trailer (-want +got):\n%s", got.body, diff)
		}
		if _, early := got.header["X-Late"]; early {
			t.Errorf("a trailer field came in the header: %v", got.header)
		}
		g.passed(t, path, 200, 4, 4)
	})
}

// TestTrailersThatNobodyAnnounced: fields of a request that came without an announcement are left out, which RFC 9110, section
// 6.5.1, lets anybody do; the body is none the worse for it. Those that say who is calling are left out in any case.
func TestTrailersThatNobodyAnnounced(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		s := look(r)
		fmt.Fprintf(w, "%q %v %q %.1s", s.body, s.bodyErr, sorted(s.trailer), s.header.Get("Client-Cert"))
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	const want = `"sent" <nil> [] :` // the last is the beginning of the gateway's own Client-Cert
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		path := pathOf(t, prefix)
		var got answer
		if f == http1Front {
			c := g.http1(t)
			c.write(t, head(http.MethodPost, path, "Transfer-Encoding: chunked", "TE: trailers")+
				"4\r\nsent\r\n0\r\nX-Late: late\r\nClient-Cert: spoofed\r\nclient_cert: spoofed\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
			got = c.answer(http.MethodPost)
		} else {
			s := g.http2(t).open(t, http.MethodPost, path, false, "te", "trailers")
			_, _ = io.WriteString(s, "sent") // the answer tells
			s.end(t, "x-late", "late", "client-cert", "spoofed", "client_cert", "spoofed", "x-forwarded-for", "192.0.2.1")
			got = s.answer()
		}
		got.whole(t, 200)
		if got.body != want {
			t.Errorf("the backend says %q, want %q", got.body, want)
		}
		g.passed(t, path, 200, 4, int64(len(want)))
	})
}

// TestEachPieceAtOnce: a request and its answer go on at the same time, and no piece waits for the next one.
func TestEachPieceAtOnce(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // HTTP/2 always is
		_ = control.Flush()
		buffer := make([]byte, 64)
		for {
			n, err := r.Body.Read(buffer)
			if n > 0 {
				_, _ = w.Write(bytes.ToUpper(buffer[:n]))
				_ = control.Flush()
			}
			if err != nil {
				return
			}
		}
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	pieces := []string{"one", "two", "three"}
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		path := pathOf(t, prefix)
		var send func(piece string)
		var end func()
		var answered io.Reader
		if f == http1Front {
			c := g.http1(t)
			c.write(t, head(http.MethodPost, path, "Transfer-Encoding: chunked"))
			send = func(piece string) { c.write(t, fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)) }
			end = func() { c.write(t, "0\r\n\r\n") }
			response, err := http.ReadResponse(c.reader, &http.Request{Method: http.MethodPost})
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			answered = response.Body
		} else {
			s := g.http2(t).open(t, http.MethodPost, path, false)
			send = func(piece string) { _, _ = io.WriteString(s, piece) } // the answer tells
			end = func() { s.end(t) }
			if a := s.answerHead(); a.status != 200 {
				t.Fatalf("status %d (%v)", a.status, a.err)
			}
			answered = s
		}
		for _, piece := range pieces {
			send(piece)
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(answered, got); err != nil || string(got) != strings.ToUpper(piece) {
				t.Fatalf("%q (%v) came for %q", got, err, piece)
			}
		}
		end()
		if rest, err := io.ReadAll(answered); len(rest) > 0 || err != nil {
			t.Errorf("%q (%v) came after the end", rest, err)
		}
		g.passed(t, path, 200, 11, 11)
	})
}

// TestAnswersBeforeTheEndOfTheBody: a backend that has heard enough is heard, whatever the client still sends.
func TestAnswersBeforeTheEndOfTheBody(t *testing.T) {
	t.Parallel()
	deaf := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		if readHead(r) == nil {
			return
		}
		say(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\nno more\n")
		discard(r) // so that the answer is not lost with the connection
	})
	g := serve(t, document{apis: []api{
		{path: "/raw/", target: deaf},
		{path: "/h1/", target: goBackend(t, enough), upstream: "protocol: h1"},
		{path: "/h2/", target: goBackend(t, enough), upstream: "protocol: h2"},
	}})
	for _, prefix := range []string{"/raw/", "/h1/", "/h2/"} {
		t.Run(prefix[1:len(prefix)-1], func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, func(t *testing.T, f front) {
				for round := range 5 { // an answer that is only sometimes lost is lost
					path := fmt.Sprintf("%s-%d", pathOf(t, prefix), round)
					got := g.floods(t, f, path)
					status, body := 200, "enough\n"
					if prefix == "/raw/" {
						status, body = 413, "no more\n"
					}
					got.whole(t, status)
					if got.body != body {
						t.Errorf("body %q, want %q", got.body, body)
					}
					g.passed(t, path, status, -1, int64(len(body)))
				}
			})
		})
	}
}

// TestAnswersWhileTheClientIsSilent: an answer ends when it ends, with a body that the client neither sends nor ends.
func TestAnswersWhileTheClientIsSilent(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always is
		_, _ = io.ReadFull(r.Body, make([]byte, 4))          // the answer goes on anyway
		enough(w, r)
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		path, began := pathOf(t, prefix), time.Now()
		var got answer
		if f == http1Front {
			c := g.http1(t)
			c.write(t, head(http.MethodPost, path, "Transfer-Encoding: chunked")+"4\r\nsent\r\n")
			got = c.answer(http.MethodPost)
		} else {
			s := g.http2(t).open(t, http.MethodPost, path, false)
			_, _ = io.WriteString(s, "sent") // the answer tells
			got = s.answer()
		}
		got.whole(t, 200)
		if took := time.Since(began); got.body != "enough\n" || took > 5*time.Second {
			t.Errorf("body %q after %v", got.body, took)
		}
		g.passed(t, path, 200, 4, 7)
	})
}

// enough answers without reading.
func enough(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "7")
	_, _ = io.WriteString(w, "enough\n")
}

// floods sends a body without end until it is cut off, and returns the answer that comes meanwhile.
func (g *gateway) floods(t *testing.T, f front, path string) answer {
	t.Helper()
	piece := strings.Repeat("x", 16<<10)
	ended := make(chan struct{})
	defer func() { receive(t, ended, "the end of the flood") }()
	if f == http1Front {
		c := g.http1(t)
		c.write(t, head(http.MethodPost, path, "Transfer-Encoding: chunked"))
		go func() {
			defer close(ended)
			for {
				if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(piece), piece); err != nil {
					return
				}
			}
		}()
		got := c.answer(http.MethodPost)
		_ = c.Close() // the gateway may have done it
		return got
	}
	c := g.http2(t)
	s := c.open(t, http.MethodPost, path, false)
	go func() {
		defer close(ended)
		for {
			if _, err := io.WriteString(s, piece); err != nil {
				return
			}
		}
	}()
	got := s.answer()
	_ = c.conn.Close() // as above
	return got
}

// TestManyRequestsAtOnce: streams of one connection do not get into each other's way, nor into each other's bodies.
func TestManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always is
		_, _ = io.Copy(w, r.Body)                            // the client tells
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		c := g.caller(t, f)
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				body := strings.Repeat(fmt.Sprintf("%d|", i), 1+i*i*3)
				path := fmt.Sprintf("%s-%d", pathOf(t, prefix), i)
				got := c.ask(t, http.MethodPost, path, strings.NewReader(body))
				got.whole(t, 200)
				if got.body != body {
					t.Errorf("request %d got another body", i)
				}
				g.passed(t, path, 200, int64(len(body)), int64(len(body)))
			})
		}
		all.Wait()
	})
}
