package wire

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	reference "golang.org/x/net/http2/hpack"
)

// again is a client that sends the same again and again, in one piece each time.
type again struct {
	script
	text []byte
}

func (a *again) Read(p []byte) (int, error) {
	if len(a.in) == 0 {
		a.in = a.text
	}
	return a.script.Read(p)
}

// typical is a request of about 500 octets as browsers send them.
func typical() []byte {
	return fmt.Appendf(nil, "GET /orders/2024/17?expand=lines&fields=id,total HTTP/1.1\r\nHost: orders.api.example.test\r\n"+
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"+
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"+
		"Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nCookie: session=%s\r\nX-Request-ID: %s\r\n\r\n",
		strings.Repeat("c", 60), strings.Repeat("d", 32))
}

func typicalConn(text []byte) *HTTP1 {
	return NewHTTP1(&again{text: text}, Limits{
		HeaderBytes: 64 << 10, HeaderFields: 100, TargetBytes: 8 << 10, HeaderTimeout: time.Minute, IdleTimeout: time.Minute,
	})
}

func TestAMessageInOneReadCostsNoAllocation(t *testing.T) {
	for name, text := range map[string][]byte{
		"without a body": typical(),
		"with a body":    []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
		"with chunks":    []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
	} {
		c, p := typicalConn(text), make([]byte, 4<<10)
		if n := testing.AllocsPerRun(100, func() {
			n, err := c.Read(p)
			if err != nil || !bytes.Equal(p[:n], text) {
				t.Fatalf("Read returned %q, %v", p[:n], err)
			}
			if c.ahead.buf != nil {
				t.Fatal("a buffer is kept")
			}
			c.Done()
		}); n != 0 {
			t.Errorf("a request %s allocates %v times", name, n)
		}
	}
}

// begun returns a connection after the preface on which the same frames come again and again.
func begun(tb testing.TB, frames string, rate int) *HTTP2 {
	tb.Helper()
	client := &again{text: []byte(preface)}
	c := NewHTTP2(client, Limits{ControlFrames: rate, HeaderTimeout: time.Minute}, nil)
	if _, err := io.ReadFull(c, make([]byte, len(preface))); err != nil {
		tb.Fatal(err)
	}
	client.text = []byte(frames)
	return c
}

func TestFramesCostNoAllocation(t *testing.T) {
	const frames = "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678" + "\x00\x00\x04\x00\x00\x00\x00\x00\x01data"
	c, p := begun(t, frames, 1<<30), make([]byte, 3)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := c.Read(p); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("frames allocate %v times", n)
	}
}

func BenchmarkHTTP1(b *testing.B) {
	text := typical()
	p := make([]byte, 4<<10)
	b.Run("raw", func(b *testing.B) {
		c := &again{text: text}
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			_ = c.SetReadDeadline(time.Time{})
			_, _ = c.Read(p)
		}
	})
	b.Run("whole head", func(b *testing.B) {
		c := typicalConn(text)
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			_ = c.SetReadDeadline(time.Time{})
			_, _ = c.Read(p)
			c.Done()
		}
	})
	b.Run("head in two pieces", func(b *testing.B) {
		c := typicalConn(text)
		c.conn.(*again).sizes = []byte{250, 0}
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			_ = c.SetReadDeadline(time.Time{})
			_, _ = c.Read(p)
			c.Done()
		}
	})
}

func BenchmarkBody(b *testing.B) {
	const size = 32 << 10
	for name, text := range map[string]string{
		"length":       fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size) + strings.Repeat("x", size),
		"large chunks": fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", size) + strings.Repeat("x", size) + "\r\n0\r\n\r\n",
		"small chunks": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", size) + "0\r\n\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			c, p := typicalConn([]byte(text)), make([]byte, 64<<10)
			b.ReportAllocs()
			b.SetBytes(size)
			for b.Loop() {
				for n := 0; n < len(text); {
					k, err := c.Read(p)
					if err != nil {
						b.Fatal(err)
					}
					n += k
				}
				c.Done()
			}
		})
	}
}

// requests2 are requests of one client over HTTP/2, as frames, of which the path and an id are others each time.
func requests2(n int) string {
	var block, frames bytes.Buffer
	e := reference.NewEncoder(&block)
	for i := range n {
		block.Reset()
		for _, f := range [][2]string{
			{":method", "GET"},
			{":scheme", "https"},
			{":authority", "orders.api.example.test"},
			{":path", fmt.Sprintf("/orders/2024/%d?expand=lines&fields=id,total", 100+i)},
			{"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
			{"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
			{"accept-language", "en-US,en;q=0.5"},
			{"accept-encoding", "gzip, deflate, br, zstd"},
			{"cookie", "session=" + strings.Repeat("c", 60)},
			{"x-request-id", fmt.Sprintf("%032d", i)},
		} {
			_ = e.WriteField(reference.HeaderField{Name: f[0], Value: f[1]})
		}
		frames.Write(appendFrameHeader(nil, block.Len(), headersFrame, endStream|endHeaders, uint32(2*i+1)))
		frames.Write(block.Bytes())
	}
	return frames.String()
}

// speaking2 returns a function that reads so many requests of a client, as if the connection had just begun.
func speaking2(tb testing.TB, requests int) (read func()) {
	tb.Helper()
	text := requests2(requests)
	client := &again{text: []byte(preface)}
	c := NewHTTP2(client, Limits{HeaderBytes: 64 << 10, HeaderTimeout: time.Minute, ControlFrames: 1}, nil)
	p := make([]byte, len(text))
	if _, err := io.ReadFull(c, p[:len(preface)]); err != nil {
		tb.Fatal(err)
	}
	client.text = []byte(text)
	return func() {
		c.heads.last = 0
		c.heads.fields.table.resize(0)
		c.heads.fields.table.resize(tableSize)
		if n, err := c.Read(p); err != nil || n != len(text) || string(p[:n]) != text {
			tb.Fatal(n, err)
		}
	}
}

func TestAHeadOfHTTP2CostsNoAllocation(t *testing.T) {
	read := speaking2(t, 200)
	read()
	if n := testing.AllocsPerRun(10, read); n != 0 {
		t.Errorf("200 requests allocate %v times", n)
	}
}

func BenchmarkHTTP2Heads(b *testing.B) {
	const requests = 200
	read := speaking2(b, requests)
	b.ReportAllocs()
	for b.Loop() {
		read()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*requests), "ns/request")
}

func BenchmarkHTTP2(b *testing.B) {
	data := "\x00\x40\x00\x00\x00\x00\x00\x00\x01" + strings.Repeat("x", 16<<10)
	c, p := begun(b, data, 1), make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Read(p)
	}
}
