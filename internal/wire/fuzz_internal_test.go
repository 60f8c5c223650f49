package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a connection that brings given octets in pieces of given sizes, then its end.
type script struct {
	net.Conn
	in    []byte
	sizes []byte // of the pieces, one after the other and again from the beginning; none and 0 mean as much as is asked for
	turn  int
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	if len(s.sizes) > 0 {
		if size := int(s.sizes[s.turn%len(s.sizes)]); size > 0 {
			p = p[:min(len(p), size)]
		}
		s.turn++
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (*script) SetReadDeadline(time.Time) error { return nil }
func (*script) Close() error                    { return nil }

var fuzzLimits = Limits{
	HeaderBytes: 1 << 10, HeaderFields: 8, TargetBytes: 128,
	HeaderTimeout: time.Minute, IdleTimeout: time.Minute, ControlFrames: 4,
}

// transcript is what came of a stream.
type transcript struct {
	Messages []string // without the one that stands in for a refused one
	Problem  bool
	Err      bool // the last message's body broke the rules
}

// transcribe reads a stream to its end. Each request is handled at once.
func transcribe(t *testing.T, stream, sizes []byte, read int) (got transcript) {
	t.Helper()
	c := NewHTTP1(&script{in: stream, sizes: sizes}, fuzzLimits)
	p := make([]byte, read)
	var messages []*strings.Builder
	for {
		before := c.delivered
		n, err := c.Read(p)
		if c.delivered > before+1 {
			t.Fatalf("a Read returned octets of %d messages", c.delivered-before)
		}
		if c.delivered > before {
			messages = append(messages, new(strings.Builder))
			c.Done()
		}
		if n > 0 {
			messages[len(messages)-1].Write(p[:n])
		}
		if n == 0 && err == nil {
			t.Fatal("Read returned nothing")
		}
		if err != nil {
			if _, again := c.Read(p); !errors.Is(again, err) {
				t.Fatalf("after %v Read returned %v", err, again)
			}
			break
		}
	}
	if c.ahead.buf != nil && len(c.ahead.bytes()) == 0 && c.failed == nil {
		t.Error("an empty buffer is kept")
	}
	ordinal, problem := c.Problem()
	if problem != nil {
		last := len(messages) - 1
		if int(ordinal) != last+1 || messages[last].String() != substitute {
			t.Fatalf("the problem is said to be with request %d of %d, which is %q", ordinal, last+1, messages[last])
		}
		parse(t, substitute, false, false)
		messages = messages[:last]
	}
	for _, m := range messages {
		got.Messages = append(got.Messages, m.String())
	}
	got.Problem, got.Err = problem != nil, c.Err() != nil
	return got
}

// parse reads a message as net/http does and complains unless it is one. Only the last message of a stream may be cut.
func parse(t *testing.T, message string, mayBeCut, broken bool) {
	t.Helper()
	from := strings.NewReader(message)
	r := bufio.NewReader(from)
	request, err := http.ReadRequest(r)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", message, err)
	}
	_, err = io.Copy(io.Discard, request.Body)
	if err != nil && !mayBeCut && !broken {
		t.Fatalf("net/http refuses the body of %q: %v", message, err)
	}
	if err == nil && broken {
		t.Fatalf("net/http reads %q to an end, although it has none", message)
	}
	if rest := r.Buffered() + from.Len(); err == nil && rest > 0 {
		t.Fatalf("net/http sees the end of %q %d octets earlier", message, rest)
	}
	if err == nil {
		return
	}
	if length := request.ContentLength; length >= 0 && broken {
		t.Fatalf("a body of %d octets broke the rules in %q", length, message)
	}
}

func FuzzHTTP1(f *testing.F) {
	const second = "GET /second HTTP/1.1\r\nHost: b\r\n\r\n"
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"\r\nGET /?q HTTP/1.0\r\nConnection: keep-alive, foo\r\n\r\n\r\n",
		"POST /%41 HTTP/1.1\r\nhost: a:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n5;x=y\r\nhello\r\n00\r\nA: b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + strings.Repeat("x", 0xfff) + "\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
		"GET http://a:80/x?y HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
		"GET /" + strings.Repeat("x", 200) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n",
	} {
		f.Add([]byte(seed+second), []byte{1, 7}, []byte{0})
		f.Add([]byte(seed+second), []byte{}, []byte{3, 0, 200})
	}
	f.Fuzz(func(t *testing.T, stream, first, other []byte) {
		whole := transcribe(t, stream, first, 4096)
		for i, m := range whole.Messages {
			last := i == len(whole.Messages)-1
			parse(t, m, last && !whole.Problem, last && whole.Err)
		}
		for _, read := range []int{1, 24, 333} {
			if diff := cmp.Diff(whole, transcribe(t, stream, other, read)); diff != "" {
				t.Fatalf("in other pieces the stream reads otherwise:\n%s", diff)
			}
		}
		passed := []byte(strings.Join(whole.Messages, ""))
		for i := range whole.Messages { // but for empty lines between messages, what passed is what came
			stream = bytes.TrimPrefix(stream, []byte("\r\n"))
			if !bytes.HasPrefix(stream, []byte(whole.Messages[i])) {
				t.Fatalf("%q passed, %q came", passed, stream)
			}
			stream = stream[len(whole.Messages[i]):]
		}
	})
}

func TestADeadlineThatSomebodyElseSetBelowDoesNotHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		c := NewHTTP1(server, fuzzLimits)
		defer c.Close()
		got := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			got <- err
		}()
		for range 3 {
			synctest.Wait()
			_ = server.SetReadDeadline(time.Unix(1, 0))
		}
		synctest.Wait()
		start := time.Now()
		_ = c.SetReadDeadline(start.Add(time.Second))
		if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Read returned %v after %v", err, time.Since(start))
		}
	})
}

func TestOfTwoDeadlinesThatHavePassedTheEarlierHolds(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, tt := range []struct {
		name                 string
		ours, theirs         time.Time
		wantOurs, wantTheirs bool
	}{
		{"ours is earlier", early, late, true, false},
		{"the user's is earlier", late, early, false, true},
		{"both are the same", early, early, false, true},
		{"only ours has passed", early, time.Time{}, true, false},
		{"only the user's has passed", time.Time{}, early, false, true},
	} {
		w := waiter{ours: tt.ours, theirs: tt.theirs}
		if ours, theirs := w.passed(); ours != tt.wantOurs || theirs != tt.wantTheirs {
			t.Errorf("%s: passed() = %v, %v", tt.name, ours, theirs)
		}
	}
}
