package wire_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"sallyport/internal/wire"
)

func TestTheRestOfABodyThatWasGivenUpOnIsNeverRead(t *testing.T) {
	t.Parallel()
	const body = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc"
	const chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nabc"
	const trailer = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A"
	for _, sent := range []string{body, chunked, trailer} {
		server, client := net.Pipe()
		limits := wire.Limits{HeaderBytes: 4096, HeaderFields: 10, TargetBytes: 100, HeaderTimeout: time.Minute, IdleTimeout: time.Minute, ControlFrames: 1}
		c := wire.NewHTTP1(server, limits)
		go func() {
			_, _ = io.WriteString(client, sent)
			_, _ = io.WriteString(client, "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n")
		}()
		p := make([]byte, 4096)
		head := 0
		for head < len(sent)-len("X-A") { // net.Pipe returns what was written at once
			n, err := c.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			head += n
		}
		if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(p); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: the read that was given up on: %q, %v", sent, p[:n], err)
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		c.Done()
		if n, err := c.Read(p); n > 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%q: then came %q, %v", sent, p[:n], err)
		}
		_ = c.Close()
		_ = client.Close()
	}
}
