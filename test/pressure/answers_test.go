package pressure_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// badAnswer is what a backend sends, written as vectors are, and what its caller gets.
type badAnswer struct {
	name   string
	raw    string
	closes bool // the backend closes the connection behind it
	method string

	// want is the answer that the caller gets, or one of several; cut stands for one that ends in its middle.
	want []string
	// kept says that the connection to the backend may serve another request.
	kept bool
}

const cut = "cut"

var (
	unavailable = []string{"502 upstream_unavailable"}
	broken      = []string{cut, "502 upstream_unavailable"} // whether anything went on before is chance
	hello       = []string{"200 hello"}
)

const ok = "HTTP/1.1 200 OK\n"

var badAnswers = []badAnswer{
	{name: "both lengths", raw: ok + "Content-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n", want: unavailable},
	{name: "both lengths the other way round", raw: ok + "Transfer-Encoding: chunked\nContent-Length: 5\n\n5\nhello\n0\n\n", want: unavailable},
	{name: "two lengths", raw: ok + "Content-Length: 5\nContent-Length: 4\n\nhello", want: unavailable},
	{name: "two lengths in one field", raw: ok + "Content-Length: 5, 4\n\nhello", want: unavailable},
	{name: "a negative length", raw: ok + "Content-Length: -5\n\nhello", want: unavailable},
	{name: "a signed length", raw: ok + "Content-Length: +5\n\nhello", want: unavailable},
	{name: "a hexadecimal length", raw: ok + "Content-Length: 0x5\n\nhello", want: unavailable},
	{name: "an empty length", raw: ok + "Content-Length:\n\nhello", closes: true, want: unavailable},
	{name: "an unknown coding", raw: ok + "Transfer-Encoding: xchunked\n\n0\n\n", want: unavailable},
	{name: "two codings", raw: ok + "Transfer-Encoding: gzip, chunked\n\n0\n\n", want: unavailable},
	{name: "chunked twice", raw: ok + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n", want: unavailable},
	{name: "a coding with HTTP/1.0", raw: "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n", closes: true, want: unavailable},
	{name: "a folded length", raw: ok + "Content-Length: 5\n 0\n\nhello", want: unavailable},
	{name: "a blank behind the name of a length", raw: ok + "Content-Length : 5\n\nhello", want: unavailable},
	{name: "a length that Connection lists", raw: ok + "Connection: Content-Length\nContent-Length: 5\n\nhello", want: hello, kept: true},

	{name: "bytes behind the body", raw: ok + "Content-Length: 5\n\nhello and more", want: hello},
	{name: "a second answer", raw: ok + "Content-Length: 5\n\nhello" + ok + "Content-Length: 6\n\npoison", want: hello},
	{name: "a second answer behind chunks", raw: ok + "Transfer-Encoding: chunked\n\n5\nhello\n0\n\n" + ok + "Content-Length: 6\n\npoison", want: hello},
	{name: "an interim answer behind the body", raw: ok + "Content-Length: 5\n\nhelloHTTP/1.1 100 Continue\n\n", want: hello},
	{name: "a body with 204", raw: "HTTP/1.1 204 No Content\nContent-Length: 6\n\npoison", want: []string{"204 "}},
	{name: "chunks with 204", raw: "HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\n\n6\npoison\n0\n\n", want: []string{"204 ", unavailable[0]}},
	{name: "a body with 304", raw: "HTTP/1.1 304 Not Modified\nContent-Length: 6\n\npoison", want: []string{"304 "}},
	{name: "an answer as the body with HEAD", method: "HEAD", raw: ok + "Content-Length: 44\n\n" + ok + "Content-Length: 6\n\npoison", want: []string{"200 "}},

	{name: "interim answers without end", raw: strings.Repeat("HTTP/1.1 103 Early Hints\nLink: <a>\n\n", 1000) + ok + "Content-Length: 5\n\nhello", want: unavailable},
	{name: "100 again and again", raw: strings.Repeat("HTTP/1.1 100 Continue\n\n", 5000) + ok + "Content-Length: 5\n\nhello", want: []string{"200 hello", unavailable[0]}, kept: true},
	{name: "interim answers and no other", raw: "HTTP/1.1 102 Processing\n\nHTTP/1.1 103 Early Hints\n\n", want: []string{"504 upstream_unavailable"}},
	{name: "101 that nobody asked for", raw: "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n" + ok + "Content-Length: 6\n\npoison", want: unavailable},
	{name: "a header that is too large", raw: ok + "A: " + strings.Repeat("a", 1<<20) + "\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "fields without end", raw: ok + strings.Repeat("A: b\n", 200_000) + "Content-Length: 5\n\nhello", want: unavailable},

	{name: "a name with a blank", raw: ok + "A B: c\nContent-Length: 5\n\nhello", want: []string{"200 hello", unavailable[0]}, kept: true},
	{name: "a line without a colon", raw: ok + "no colon\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "a field without a name", raw: ok + ": a\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "a CR in a value", raw: ok + "A: b␍Set-Cookie: c\nContent-Length: 5\n\nhello", want: []string{"200 hello", unavailable[0]}, kept: true},
	{name: "a NUL in a value", raw: ok + "A: b␀c\nContent-Length: 5\n\nhello", want: []string{"200 hello", unavailable[0]}, kept: true},
	{name: "a folded value", raw: ok + "A: b\n c\nContent-Length: 5\n\nhello", want: []string{"200 hello", unavailable[0]}, kept: true},
	{name: "a status of two digits", raw: "HTTP/1.1 20 OK\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "a status of four digits", raw: "HTTP/1.1 2000 OK\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "a status that is too small", raw: "HTTP/1.1 099 Early\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "a status that is too large", raw: "HTTP/1.1 600 Late\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "a status that is no number", raw: "HTTP/1.1 abc OK\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "another version", raw: "HTTP/2.0 200 OK\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "another protocol", raw: "ICY 200 OK\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "no protocol", raw: "200 OK\nContent-Length: 5\n\nhello", want: unavailable},
	{name: "a body alone", raw: "hello", closes: true, want: unavailable},
	{name: "nothing", raw: "", closes: true, want: unavailable},
	{name: "a part of the header", raw: ok + "Content-Le", closes: true, want: unavailable},

	{name: "a chunk without a size", raw: ok + "Transfer-Encoding: chunked\n\nzz\nhello\n0\n\n", want: broken},
	{name: "a chunk with a negative size", raw: ok + "Transfer-Encoding: chunked\n\n-5\nhello\n0\n\n", want: broken},
	{name: "a chunk with a hexadecimal mark", raw: ok + "Transfer-Encoding: chunked\n\n0x5\nhello\n0\n\n", want: broken},
	{name: "a chunk beyond 64 bits", raw: ok + "Transfer-Encoding: chunked\n\n10000000000000005\nhello\n0\n\n", want: broken},
	{name: "a chunk that is longer than its size", raw: ok + "Transfer-Encoding: chunked\n\n4\nhello\n0\n\n", want: broken},
	{name: "a chunk that is shorter than its size", raw: ok + "Transfer-Encoding: chunked\n\n6\nhello\n0\n\n", want: broken},
	{name: "chunks without a last one", raw: ok + "Transfer-Encoding: chunked\n\n5\nhello\n", closes: true, want: broken},
	{name: "a body that is too short", raw: ok + "Content-Length: 6\n\nhello", closes: true, want: broken},
	{name: "a length as a trailer", raw: ok + "Trailer: Content-Length\nTransfer-Encoding: chunked\n\n5\nhello\n0\nContent-Length: 6\n\n", want: []string{"200 hello", cut, unavailable[0]}, kept: true},
	{name: "a body up to the end", raw: ok + "\nhello", closes: true, want: hello},
	{name: "HTTP/1.0 up to the end", raw: "HTTP/1.0 200 OK\n\nhello", closes: true, want: hello},
}

func TestABadAnswerStaysItsRequestsOwn(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, func(m *message) ([]byte, bool) {
		if n, ok := strings.CutPrefix(m.target(), "/r/"); ok {
			i, err := strconv.Atoi(n)
			if err != nil {
				return nil, true
			}
			v := vector{raw: badAnswers[i].raw}
			return []byte(v.bytes("")), badAnswers[i].closes
		}
		return answerWithTarget(m)
	}, serverName, tightLimits)
	for i := range badAnswers {
		a := &badAnswers[i]
		method := a.method
		if method == "" {
			method = "GET"
		}
		c := newRawCaller(dial(t, s.plain))
		c.send(fmt.Sprintf("%s /r/%d HTTP/1.1\r\nHost: api.test\r\n\r\n", method, i), 0)
		got, err := c.answer(method)
		if bad, ok := errors.AsType[*ambiguity](err); ok {
			t.Errorf("%s: the caller gets what can be read in two ways: %v", a.name, bad)
		} else if err != nil {
			got = cut
		}
		if !slices.Contains(a.want, got) {
			t.Errorf("%s: answered %q (%v), want one of %q", a.name, got, err, a.want)
		}
		if got == cut {
			c = newRawCaller(dial(t, s.plain))
		}
		for k := range 3 {
			path := fmt.Sprintf("/m/%d/%d", i, k)
			c.send("GET "+path+" HTTP/1.1\r\nHost: api.test\r\n\r\n", 0)
			if got, err := c.answer("GET"); err != nil || got != "200 this answers "+path {
				t.Errorf("%s: the next request was answered %q (%v)", a.name, got, err)
				break
			}
		}
		_ = c.Close()
		s.checkReuse(t, a, fmt.Sprint("/r/", i))
	}
	for _, text := range s.backend.ambiguous() {
		t.Errorf("ambiguous at the backend: %s", text)
	}
	s.stop()
}

// checkReuse complains when a request came to the backend on a connection behind a bad answer.
func (s *rawSite) checkReuse(t *testing.T, a *badAnswer, path string) {
	t.Helper()
	tainted := map[int]bool{}
	for _, r := range s.backend.since(0) {
		if tainted[r.connection] && !a.kept {
			t.Errorf("%s: %s came on the same connection behind it", a.name, r.target())
		}
		if r.target() == path {
			tainted[r.connection] = true
		}
	}
	if len(tainted) == 0 {
		t.Errorf("%s: the backend was not asked", a.name)
	}
}

// Whoever gets a connection in the very moment in which it went back to the pool must not get what was behind the last
// answer on it.
func TestWhatIsBehindAnAnswerAnswersNobodyElse(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, func(m *message) ([]byte, bool) {
		text, closes := answerWithTarget(m)
		if strings.HasPrefix(m.target(), "/x/") {
			text = append(text, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"...)
		}
		return text, closes
	}, serverName, tightLimits)
	const callers, requests = 8, 150
	var wg sync.WaitGroup
	for k := range callers {
		c := newRawCaller(dial(t, s.plain))
		wg.Go(func() {
			for n := range requests {
				path := fmt.Sprintf("/%c/%d/%d", "xm"[(k+n)%2], k, n)
				c.send("GET "+path+" HTTP/1.1\r\nHost: api.test\r\n\r\n", 0)
				if got, err := c.answer("GET"); err != nil || got != "200 this answers "+path {
					t.Errorf("GET %s was answered %q (%v)", path, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	// One that met a connection in its last moment is sent again: it is a GET, and nothing of an answer had come.
	if n := s.backend.count(); n < callers*requests {
		t.Errorf("the backend got %d requests, want %d", n, callers*requests)
	}
	s.stop()
}
