package traffic_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/test/internal/run"
)

// gigabyte is as much as the default of max_body_size lets pass.
const gigabyte = 1 << 30

// pattern is a body that can be made and checked at the speed of memory. Its period is a prime number, so that a piece that is
// lost, repeated or moved shows.
type pattern struct {
	left   int64
	offset int
}

const period = 65521

// patternBytes are two periods, so that a piece of any offset is in it.
var patternBytes = func() []byte {
	b := make([]byte, 2*period)
	x := uint32(1)
	for i := range period {
		x = x*1664525 + 1013904223
		b[i], b[i+period] = byte(x>>24), byte(x>>24)
	}
	return b
}()

// Read makes the next piece.
func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := copy(b, patternBytes[p.offset:p.offset+period])
	n = int(min(int64(n), p.left))
	p.offset, p.left = (p.offset+n)%period, p.left-int64(n)
	return n, nil
}

// Write checks the next piece.
func (p *pattern) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), period)
		if int64(n) > p.left || !bytes.Equal(rest[:n], patternBytes[p.offset:p.offset+n]) {
			return 0, fmt.Errorf("other bytes than were sent, %d before the end", p.left)
		}
		p.offset, p.left, rest = (p.offset+n)%period, p.left-int64(n), rest[n:]
	}
	return len(b), nil
}

// zeros checks that a body is zeros, which a sparse file is.
type zeros struct{ left int64 }

func (z *zeros) Write(b []byte) (int, error) {
	if int64(len(b)) > z.left || len(bytes.Trim(b, "\x00")) > 0 {
		return 0, fmt.Errorf("other bytes than zeros, %d before the end", z.left)
	}
	z.left -= int64(len(b))
	return len(b), nil
}

// memory is what the operating system says of a process's memory, in bytes.
func (g *gateway) memory(t testing.TB, what string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.ID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), what+":")
	text, _, found := strings.Cut(strings.TrimSpace(rest), " kB")
	kilobytes, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !found {
		t.Fatalf("no %s in %s", what, status)
	}
	return kilobytes << 10
}

// The memory of a gateway that passes one body on at a time. What grows with a body is bounded by the windows of HTTP/2, a
// megabyte for each side of the gateway, and by a few buffers of TLS and of copying; the collector lets as much again be
// garbage. A gateway that kept a tenth of a body would be far beyond both.
const (
	mostGrowth = 24 << 20
	mostMemory = 64 << 20
)

// TestAGigabyteEachWayAtConstantMemory runs in a process of its own where the tests have the race detector, which would take a
// minute for the peers' side of the work and sees the gateway do the same elsewhere.
func TestAGigabyteEachWayAtConstantMemory(t *testing.T) {
	t.Parallel()
	if !run.WithRace() {
		gigabyteEachWay(t)
		return
	}
	file := filepath.Join(scratch, "tests")
	if err := run.BuildTests(".", file); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it is ended with what it started
	p := run.Start(t, cmd)
	select {
	case <-p.Exited:
	case <-time.After(5 * patience): // it is much work, for a machine that may be busy
	}
	if code := p.ExitCode(t); code != 0 || !strings.Contains(p.Stdout.Text(), "--- PASS: "+t.Name()) {
		t.Errorf("exit code %d: %s", code, p.Said())
	}
}

func gigabyteEachWay(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	sparse(t, filepath.Join(dir, "gigabyte"), gigabyte)
	_, files := nginx(t, dir)
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			p := &pattern{left: gigabyte}
			_, err := io.CopyBuffer(struct{ io.Writer }{p}, r.Body, make([]byte, 256<<10))
			fmt.Fprintf(w, "%d left, %v", p.left, err)
			return
		}
		if r.URL.RawQuery == "length" {
			w.Header().Set("Content-Length", strconv.Itoa(gigabyte))
		}
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, &pattern{left: gigabyte}, make([]byte, 256<<10)) // the client tells
	})
	g := serve(t, document{plain: true, apis: append(bothBackends(target, ""), api{path: "/files/", target: files})})

	up := func(c *caller, path string, length int64) string {
		r := c.request(t, http.MethodPost, path, io.NopCloser(&pattern{left: gigabyte}))
		r.ContentLength = length
		got := c.send(r)
		if got.err != nil || got.status != 200 || got.body != "0 left, <nil>" {
			return fmt.Sprintf("status %d, %q (%v)", got.status, got.body, got.err)
		}
		g.passed(t, path, 200, gigabyte, int64(len(got.body)))
		return ""
	}
	down := func(c *caller, path string, check io.Writer) string {
		s := c.open(t, c.request(t, http.MethodGet, path, nil))
		defer s.cancel()
		n, err := io.CopyBuffer(struct{ io.Writer }{check}, struct{ io.Reader }{s.body}, make([]byte, 256<<10))
		if s.status != 200 || n != gigabyte || err != nil {
			return fmt.Sprintf("status %d, %d bytes, %v", s.status, n, err)
		}
		path, _, _ = strings.Cut(path, "?")
		g.passed(t, path, 200, 0, gigabyte)
		return ""
	}
	rows := []struct {
		name string
		f    front
		run  func(c *caller) string
	}{
		{"up with a length over HTTP/1.1", http1Front, func(c *caller) string { return up(c, "/h1/up/length", gigabyte) }},
		{"up in chunks over HTTP/1.1", http1Front, func(c *caller) string { return up(c, "/h1/up/chunks", -1) }},
		{"up with a length over HTTP/2", http2Front, func(c *caller) string { return up(c, "/h1/up/length2", gigabyte) }},
		{"up over HTTP/2 to a backend with HTTP/2", http2Front, func(c *caller) string { return up(c, "/h2/up", -1) }},
		{"down from nginx over HTTP/1.1", http1Front, func(c *caller) string { return down(c, "/files/gigabyte", &zeros{gigabyte}) }},
		{"down in chunks over HTTP/1.1", http1Front, func(c *caller) string { return down(c, "/h1/down/chunks", &pattern{left: gigabyte}) }},
		{"down with a length over HTTP/2", http2Front, func(c *caller) string { return down(c, "/h1/down/length?length", &pattern{left: gigabyte}) }},
		{"down over HTTP/2 from a backend with HTTP/2", http2Front, func(c *caller) string { return down(c, "/h2/down", &pattern{left: gigabyte}) }},
	}
	callers := map[front]*caller{http1Front: g.caller(t, http1Front), http2Front: g.caller(t, http2Front)}
	for _, c := range callers { // so that what is only needed once is there
		c.ask(t, http.MethodGet, "/files/nothing", nil).whole(t, 404)
	}
	before := g.memory(t, "VmHWM")
	for _, row := range rows {
		began := time.Now()
		if wrong := row.run(callers[row.f]); wrong != "" {
			t.Errorf("%s: %s", row.name, wrong)
		}
		t.Logf("%s: %v, %d MiB at most until now", row.name, time.Since(began).Round(time.Millisecond), g.memory(t, "VmHWM")>>20)
	}
	if most := g.memory(t, "VmHWM"); most > mostMemory || most-before > mostGrowth {
		t.Errorf("the program took %d MiB at most, %d MiB before; want at most %d MiB and %d MiB more", most>>20, before>>20, mostMemory>>20, mostGrowth>>20)
	}
}

// TestBodiesThatAreTooLarge: the largest body passes, the next one does not. A body that says how large it is never reaches the
// backend, and one that only turns out to be never reaches it as a whole.
func TestBodiesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	const most = 100_000
	var heard mail[saw]
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		s := look(r)
		heard.of(r.URL.Path) <- s
		fmt.Fprint(w, len(s.body))
	})
	apis := bothBackends(target, "")
	apis = append(apis, api{path: "/more/", target: target, limits: "max_body_size: 200000"}, api{path: "/any/", target: target, limits: "max_body_size: unlimited"})
	g := serve(t, document{limits: fmt.Sprintf("max_body_size: %d", most), apis: apis})

	t.Run("fits", func(t *testing.T) {
		t.Parallel()
		onBothFronts(t, func(t *testing.T, f front) {
			c := g.caller(t, f)
			for prefix, size := range map[string]int{"/h1/": most, "/h2/": most, "/more/": 200_000, "/any/": 300_000} {
				for kind, length := range map[string]int64{"length": int64(size), "chunks": -1} {
					path := pathOf(t, prefix) + kind
					r := c.request(t, http.MethodPost, path, unknown{&pattern{left: int64(size)}})
					r.ContentLength = length
					got := c.send(r)
					got.whole(t, 200)
					if got.body != strconv.Itoa(size) {
						t.Errorf("%s: the backend saw %s bytes, want %d", path, got.body, size)
					}
					g.passed(t, path, 200, int64(size), int64(len(got.body)))
				}
			}
		})
	})
	t.Run("too large by its own account", func(t *testing.T) {
		t.Parallel()
		onBothFronts(t, func(t *testing.T, f front) {
			for prefix, size := range map[string]int{"/h1/": most + 1, "/h2/": most + 1, "/more/": 200_001} {
				path := pathOf(t, prefix)
				var got answer // nothing of the body is sent
				if f == http1Front {
					c := g.http1(t)
					c.write(t, head(http.MethodPost, path, "Content-Length: "+strconv.Itoa(size)))
					got = c.answer(http.MethodPost)
				} else {
					got = g.http2(t).open(t, http.MethodPost, path, false, "content-length", strconv.Itoa(size)).answer()
				}
				got.problem(t, "request_too_large", 413)
				g.refused(t, path, "request_too_large", 413, "max_body_size")
				if len(heard.of(path)) > 0 {
					t.Error("the backend was asked")
				}
			}
		})
	})
	t.Run("turns out too large", func(t *testing.T) {
		t.Parallel()
		onEveryWay(t, func(t *testing.T, f front, prefix string) {
			path := pathOf(t, prefix)
			var got answer
			if f == http1Front {
				c := g.http1(t)
				c.write(t, head(http.MethodPost, path, "Transfer-Encoding: chunked"))
				c.write(t, fmt.Sprintf("%x\r\n%s\r\n", most, make([]byte, most))+"1\r\nx\r\n") // and no end
				got = c.answer(http.MethodPost)
			} else {
				s := g.http2(t).open(t, http.MethodPost, path, false)
				_, _ = s.Write(make([]byte, most+1)) // as above; the answer tells
				got = s.answer()
			}
			got.problem(t, "request_too_large", 413)
			g.refused(t, path, "request_too_large", 413, "max_body_size")
			if s := receive(t, heard.of(path), "the request at the backend"); s.bodyErr == nil || len(s.body) > most {
				t.Errorf("the backend took %d bytes for the whole (%v)", len(s.body), s.bodyErr)
			}
		})
	})
}
