package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// followed is where framing saw the end of an answer and what it found wrong, in pieces of a size.
func followed(data []byte, head bool, size int) (own int, f framing) {
	f.expect(head)
	for rest := data; len(rest) > 0; {
		piece := rest[:min(size, len(rest))]
		rest = rest[len(piece):]
		n := f.follow(piece)
		if own += n; n < len(piece) {
			break
		}
	}
	return own, f
}

func TestTheEndOfAnAnswerIsFound(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		name  string
		own   string // what belongs to the answer; what follows is stray
		fault string
		head  bool
		open  bool // it ends with the connection
	}{
		{name: "a length", own: ok + "Content-Length: 5\r\n\r\nhello"},
		{name: "a length, oddly written", own: ok + "cOnTeNt-LeNgTh:\t 5 \r\n\r\nhello"},
		{name: "a length of zero", own: ok + "Content-Length: 0\r\n\r\n"},
		{name: "lines that end in a line feed", own: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"},
		{name: "no reason phrase", own: "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "HTTP/1.0", own: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "the same length twice", own: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "chunks", own: ok + "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\n"},
		{name: "a chunk with a long extension", own: ok + "Transfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("x", 300) + "\r\nhello\r\n0\r\n\r\n"},
		{name: "chunks with trailers", own: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n"},
		{name: "HEAD", own: ok + "Content-Length: 5\r\n\r\n", head: true},
		{name: "HEAD, chunked", own: ok + "Transfer-Encoding: chunked\r\n\r\n", head: true},
		{name: "no content", own: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "not modified", own: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		{name: "hints before", own: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello"},
		{name: "a long field", own: ok + "A: " + strings.Repeat("a", 1000) + "\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "a folded field", own: ok + "A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello"},

		{name: "no length", own: ok + "\r\nhello", open: true},
		{name: "a tunnel", own: "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\nhello", open: true},

		{name: "both lengths", own: ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", fault: "there are Content-Length and Transfer-Encoding"},
		{name: "both lengths, in the other order", own: ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", fault: "there are Content-Length and Transfer-Encoding"},
		{name: "both lengths for HEAD", own: ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", head: true, fault: "there are Content-Length and Transfer-Encoding"},
		{name: "two lengths", own: ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", fault: "there are two lengths"},
		{name: "a list of lengths", own: ok + "Content-Length: 5, 5\r\n\r\n", fault: "the Content-Length is no number"},
		{name: "a negative length", own: ok + "Content-Length: -5\r\n\r\n", fault: "the Content-Length is no number"},
		{name: "a length with a sign", own: ok + "Content-Length: +5\r\n\r\n", fault: "the Content-Length is no number"},
		{name: "a length that is too large", own: ok + "Content-Length: 9223372036854775808\r\n\r\n", fault: "the Content-Length is no number"},
		{name: "a length that is far away", own: ok + "Content-Length: " + strings.Repeat(" ", 300) + "5\r\n\r\n", fault: "the Content-Length is no number"},
		{name: "a folded length", own: ok + "Content-Length: 5\r\n 0\r\n\r\n", fault: "a length goes on in the next line"},
		{name: "another coding", own: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", fault: "the Transfer-Encoding is not chunked alone"},
		{name: "a coding twice", own: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", fault: "the Transfer-Encoding is not chunked alone"},
		{name: "chunks in HTTP/1.0", own: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", fault: "there is a Transfer-Encoding in HTTP/1.0"},
		{name: "an old version", own: "HTTP/0.9 200 OK\r\n\r\n", fault: "the status line is none of HTTP/1.1"},
		{name: "another protocol", own: "RTSP/1.0 200 OK\r\n\r\n", fault: "the status line is none of HTTP/1.1"},
		{name: "a status with a sign", own: "HTTP/1.1 +20 OK\r\n\r\n", fault: "the status line is none of HTTP/1.1"},
		{name: "a status that is none", own: "HTTP/1.1 600 OK\r\n\r\n", fault: "the status line is none of HTTP/1.1"},
		{name: "a chunk without a size", own: ok + "Transfer-Encoding: chunked\r\n\r\n\r\n", fault: "a chunk has no size"},
		{name: "a chunk with a sign", own: ok + "Transfer-Encoding: chunked\r\n\r\n+5\r\n", fault: "a chunk has no size"},
		{name: "a chunk longer than its size", own: ok + "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n", fault: "a chunk is longer than its size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const stray = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
			for size := 1; size <= len(c.own)+len(stray); size++ {
				own, f := followed([]byte(c.own+stray), c.head, size)
				want := len(c.own)
				if c.fault != "" || c.open {
					want += len(stray) // nobody knows where it ends
				}
				if own != want || f.fault != c.fault {
					t.Fatalf("in pieces of %d bytes: %d bytes of %d are its own, fault %q", size, own, want, f.fault)
				}
			}
		})
	}
}

// consumed returns how much of data net/http takes for the answer, and whether it accepts all of it and knows its end.
func consumed(data []byte, head bool) (n int, ok bool) {
	r := &http.Request{Method: http.MethodGet}
	if head {
		r.Method = http.MethodHead
	}
	source := bytes.NewReader(data)
	in := bufio.NewReaderSize(source, 1<<16)
	for {
		response, err := http.ReadResponse(in, r)
		if err != nil {
			return 0, false
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		switch {
		case err != nil || response.StatusCode == http.StatusSwitchingProtocols:
			return 0, false
		case response.StatusCode >= 100 && response.StatusCode < 200:
			continue
		case response.ContentLength < 0 && response.TransferEncoding == nil && !head:
			return 0, false
		}
		return len(data) - source.Len() - in.Buffered(), true
	}
}

func FuzzFramingEndsAnAnswerWhereNetHTTPDoes(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\nmore",
		"HTTP/1.1 103 Early Hints\r\nA:b\r\n\r\nHTTP/1.0 204 No\n\nx",
		"HTTP/1.1 304 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n5\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n 6\r\nTransfer-Encoding:\r\n chunked\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\nContent-Length:5\r\nContent-Length: 5 \r\n\r\nhello",
		"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes",
	} {
		f.Add([]byte(seed), false, uint8(3))
		f.Add([]byte(seed), true, uint8(255))
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool, size uint8) {
		if len(data) > 1<<15 {
			return
		}
		own, whole := followed(data, head, len(data)+1)
		pieces, inPieces := followed(data, head, int(size)+1)
		if pieces != own || inPieces.fault != whole.fault || inPieces.state != whole.state {
			t.Fatalf("%d bytes and %q at once, %d bytes and %q in pieces", own, whole.fault, pieces, inPieces.fault)
		}
		if whole.fault != "" {
			return // it is refused
		}
		if n, ok := consumed(data, head); ok && n != own {
			t.Fatalf("net/http takes %d bytes, framing %d (state %d)", n, own, whole.state)
		}
	})
}
