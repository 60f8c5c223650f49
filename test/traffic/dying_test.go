package traffic_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"sallyport/test/internal/run"
)

// abort closes a connection so that the other side gets a reset.
func abort(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0) // it is open
	_ = c.Close()                     // as above
}

// dyingBackend dies as the path says.
func dyingBackend(t testing.TB) string {
	t.Helper()
	return rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		request := readHead(r)
		if request == nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body) // the client sends all of it
		how, _, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/dying/"), "-")
		switch how {
		case "silently":
		case "reset":
			abort(c)
		case "garbage":
			say(c, "I am not an HTTP server\r\n\r\n")
		case "binary":
			say(c, "\x00\x01\x02\xff\xfe")
		case "status": // no such status
			say(c, "HTTP/1.1 99 Strange\r\nContent-Length: 0\r\n\r\n")
		case "head": // half of it
			say(c, "HTTP/1.1 200 OK\r\nContent-Type: text/pl")
		case "early": // after an answer that is none yet
			say(c, "HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\n")
		case "bothlengths":
			say(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
		case "lengths":
			say(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody!")
		case "length":
			say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		case "chunks":
			say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		case "chunk":
			say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf")
		case "chunkgarbage":
			say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n")
		case "trailer":
			say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nhalf\r\n0\r\nX-Sum: 1")
		case "close": // which is the end of a body without a length, and nothing is wrong
			say(c, "HTTP/1.1 200 OK\r\n\r\nwhole")
		}
	})
}

// TestBackendsThatDie: before there is an answer it is 502, and afterwards the client sees that the answer is not whole.
func TestBackendsThatDie(t *testing.T) {
	t.Parallel()
	target := dyingBackend(t)
	g := serve(t, document{apis: []api{
		{path: "/dying/", target: target, upstream: "health: {max_failures: 1000}"},
		{path: "/gone/", target: "http://127.0.0.1:" + ports.Free(t)},
	}})
	before := func(how string) func(*testing.T, front) {
		return func(t *testing.T, f front) {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				path := "/dying/" + how + pathOf(t, "-") + method
				if how == "gone" {
					path = pathOf(t, "/gone/") + method
				}
				got := g.caller(t, f).ask(t, method, path, strings.NewReader("sent"))
				got.problem(t, "upstream_unavailable", 502)
				if strings.Contains(got.body, "127.0.0.1") || strings.Contains(got.body, "dying") {
					t.Errorf("the caller is told what is behind the gateway: %s", got.body)
				}
				if r := g.refused(t, path, "upstream_unavailable", 502, ""); r.Target == "" || r.Detail == "" {
					t.Errorf("the record does not say what is wrong with whom: target %q, detail %q", r.Target, r.Detail)
				}
			}
		}
	}
	midway := func(how string) func(*testing.T, front) {
		return func(t *testing.T, f front) {
			for range 3 { // an end that only sometimes looks clean is one too many
				path := fmt.Sprintf("/dying/%s%s", how, pathOf(t, "-"))
				got := g.caller(t, f).ask(t, http.MethodGet, path, nil)
				if got.err == nil || !strings.HasPrefix("half", got.body) || got.status != 200 && got.body != "" {
					t.Errorf("status %d, body %q, error %v; want at most %q and an error", got.status, got.body, got.err, "half")
				}
				if got.trailer.Get("X-Sum") != "" {
					t.Errorf("half a trailer came: %v", got.trailer)
				}
				g.failed(t, path, target, 200)
			}
		}
	}
	rows := map[string]func(*testing.T, front){
		"nobody listens":            before("gone"),
		"the connection ends":       before("silently"),
		"the connection is reset":   before("reset"),
		"the answer is no HTTP":     before("garbage"),
		"the answer is no text":     before("binary"),
		"the status is none":        before("status"),
		"half a head":               before("head"),
		"only early hints":          before("early"),
		"two kinds of length":       before("bothlengths"),
		"two lengths":               before("lengths"),
		"half a body with a length": midway("length"),
		"no last chunk":             midway("chunks"),
		"half a chunk":              midway("chunk"),
		"a chunk that is none":      midway("chunkgarbage"),
		"half a trailer":            midway("trailer"),
		"a body until the end": func(t *testing.T, f front) {
			path := "/dying/close" + pathOf(t, "-")
			got := g.caller(t, f).ask(t, http.MethodGet, path, nil)
			got.whole(t, 200)
			if got.body != "whole" || got.length != -1 {
				t.Errorf("body %q, length %d", got.body, got.length)
			}
			g.passed(t, path, 200, 0, 5)
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, row)
		})
	}
}

// TestNginxDiesMidBody: an nginx that is killed while it sends.
func TestNginxDiesMidBody(t *testing.T) {
	t.Parallel()
	onBothFronts(t, func(t *testing.T, f front) {
		dir := t.TempDir()
		sparse(t, filepath.Join(dir, "file"), gigabyte)
		process, target := nginx(t, dir)
		g := serve(t, document{apis: []api{{path: "/files/", target: target}}})
		c := g.caller(t, f)
		s := c.open(t, c.request(t, http.MethodGet, "/files/file", nil))
		if _, err := io.CopyN(io.Discard, s.body, 1<<20); err != nil || s.status != 200 {
			t.Fatalf("status %d, %v", s.status, err)
		}
		_, worker, _ := strings.Cut(process.Stderr.Text(), "start worker process ")
		var id int
		if _, err := fmt.Sscan(worker, &id); err != nil {
			t.Fatalf("nginx's worker: %v", err)
		}
		if err := syscall.Kill(id, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, s.body)
		if err == nil || n+1<<20 >= gigabyte {
			t.Errorf("%d bytes came, error %v; want an error", n+1<<20, err)
		}
		g.failed(t, "/files/file", target, 200)
	})
}

// TestNginxClosesItsConnections: an nginx that speaks HTTP/2 closes each connection after some requests, with GOAWAY, and
// leaves alone what comes behind it. Nobody notices.
func TestNginxClosesItsConnections(t *testing.T) {
	t.Parallel()
	port := ports.Free(t)
	run.Nginx(t, fmt.Sprintf(`
    access_log /dev/stdout;
    keepalive_requests 20;
    server {
        listen 127.0.0.1:%s http2;
        location / { return 200 "nginx\n"; }
    }`, port))
	g := serve(t, document{apis: []api{{path: "/api/", target: "http://127.0.0.1:" + port, upstream: "protocol: h2"}}})
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			c, method := g.caller(t, http1Front), []string{http.MethodGet, http.MethodPost}[i%2]
			for range 50 {
				if got := c.ask(t, method, "/api/", nil); got.err != nil || got.status != 200 || got.body != "nginx\n" {
					t.Errorf("%s: %d, %q, %v", method, got.status, got.body, got.err)
				}
			}
		})
	}
	all.Wait()
	lines, _ := g.Stdout.Since(0)
	for _, line := range lines {
		if parse(t, line).Message == "target down" {
			t.Errorf("a target that is well was taken out: %s", line)
		}
	}
}

// TestHTTP2BackendsThatDie is the same over HTTP/2: by a reset of the stream, by GOAWAY, by the end of the connection.
func TestHTTP2BackendsThatDie(t *testing.T) {
	t.Parallel()
	target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		framer := http2Side(c, r)
		for framer != nil {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			request, ok := frame.(*http2.MetaHeadersFrame)
			if !ok {
				continue
			}
			id, how := request.StreamID, strings.TrimPrefix(request.PseudoValue("path"), "/dying/")
			how, _, _ = strings.Cut(how, "-")
			if strings.HasPrefix(how, "mid") {
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true}) // :status: 200
				_ = framer.WriteData(id, false, []byte("half"))
			}
			switch strings.TrimPrefix(how, "mid") {
			case "reset":
				_ = framer.WriteRSTStream(id, http2.ErrCodeInternal) // the client tells
				continue
			case "goaway":
				_ = framer.WriteGoAway(0, http2.ErrCodeInternal, nil) // as above
			case "garbage":
				say(c, "HTTP/1.1 200 OK\r\n\r\n, or is it?")
			}
			return
		}
	})
	for _, how := range []string{"reset", "goaway", "garbage", "end"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, func(t *testing.T, f front) {
				// A gateway for each, because what kills a connection kills every request on it.
				g := serve(t, document{apis: []api{{path: "/dying/", target: target, upstream: "protocol: h2"}}})
				path := "/dying/" + how
				got := g.caller(t, f).ask(t, http.MethodPost, path, nil)
				got.problem(t, "upstream_unavailable", 502)
				g.refused(t, path, "upstream_unavailable", 502, "")

				path = "/dying/mid" + how
				got = g.caller(t, f).ask(t, http.MethodGet, path, nil)
				if got.status == 502 { // the end was noticed before the beginning
					got.problem(t, "upstream_unavailable", 502)
					g.refused(t, path, "upstream_unavailable", 502, "")
					return
				}
				if got.err == nil || !strings.HasPrefix("half", got.body) {
					t.Errorf("status %d, body %q, error %v; want at most %q and an error", got.status, got.body, got.err, "half")
				}
				g.failed(t, path, target, 200)
			})
		})
	}
}

// TestBackendsThatDieWhileTheBodyComes: the client is still sending when the backend fails or answers. It gets 502 or that
// answer, and nobody says that it had left.
func TestBackendsThatDieWhileTheBodyComes(t *testing.T) {
	t.Parallel()
	http1 := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		request := readHead(r)
		if request == nil {
			return
		}
		_, _ = io.ReadFull(request.Body, make([]byte, len("half"))) // the rest waits for the answer
		switch {
		case strings.Contains(request.URL.Path, "reset"):
			abort(c)
		case strings.Contains(request.URL.Path, "answered"):
			say(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nearly")
			_, _ = io.Copy(io.Discard, r) // until the gateway ends it
		}
	})
	http2 := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		framer := http2Side(c, r)
		path := ""
		for framer != nil {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			id := frame.Header().StreamID
			switch frame := frame.(type) {
			case *http2.MetaHeadersFrame:
				path = frame.PseudoValue("path")
			case *http2.DataFrame:
				switch {
				case strings.Contains(path, "reset"):
					_ = framer.WriteRSTStream(id, http2.ErrCodeInternal) // the client tells
				case strings.Contains(path, "answered"):
					_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x08, 3, '4', '1', '3'}, EndHeaders: true}) // :status: 413
					_ = framer.WriteData(id, true, []byte("early"))
				default:
					return
				}
			}
		}
	})
	const attempts = 20 // who is first is a matter of luck
	for _, how := range []string{"reset", "closed", "answered"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			g := serve(t, document{apis: []api{
				{path: "/h1/", target: http1, upstream: "health: {max_failures: 1000}"},
				{path: "/h2/", target: http2, upstream: "protocol: h2, health: {max_failures: 1000}"},
			}})
			onEveryWay(t, func(t *testing.T, f front, prefix string) {
				for i := range attempts {
					path := fmt.Sprintf("%s-%d", pathOf(t, prefix), i)
					send, answered := g.trickle(t, f, path, 100)
					if err := send("half"); err != nil {
						t.Fatal(err)
					}
					got := answered()
					if how == "answered" {
						if got.status != 413 || got.body != "early" {
							t.Errorf("status %d, body %q, error %v", got.status, got.body, got.err)
						}
						g.passed(t, path, 413, -1, 5)
						continue
					}
					got.problem(t, "upstream_unavailable", 502)
					g.refused(t, path, "upstream_unavailable", 502, "")
				}
			})
		})
	}
}

// TestAClientThatLeavesAnUploadThatNobodyTakes: the backend has answered and opens no window for the body. The end of the client ends
// the request all the same.
func TestAClientThatLeavesAnUploadThatNobodyTakes(t *testing.T) {
	t.Parallel()
	target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		framer := http2Side(c, r)
		for framer != nil {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if _, ok := frame.(*http2.MetaHeadersFrame); ok {
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.Header().StreamID, BlockFragment: []byte{0x88}, EndHeaders: true}) // :status: 200
				_ = framer.WriteData(frame.Header().StreamID, false, []byte("half"))
			}
		}
	})
	g := serve(t, document{apis: []api{{path: "/stuck/", target: target, upstream: "protocol: h2"}}})
	c := g.http1(t)
	path := pathOf(t, "/stuck/")
	c.write(t, head(http.MethodPost, path, "Content-Length: 1048576")+strings.Repeat("x", 128<<10))
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	abort(c.Conn.(interface{ NetConn() net.Conn }).NetConn())
	g.failed(t, path, "client", 200)
}

// http2Side begins HTTP/2 at a backend; nil when the other side does not.
func http2Side(c net.Conn, r *bufio.Reader) *http2.Framer {
	if _, err := io.ReadFull(r, make([]byte, len(http2.ClientPreface))); err != nil {
		return nil
	}
	framer := http2.NewFramer(c, r)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if framer.WriteSettings() != nil {
		return nil
	}
	return framer
}

// TestBackendsThatResetMidBody: the client has seen a part of the body when the backend's connection is reset.
func TestBackendsThatResetMidBody(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "\r\nhalf"} {
		onBothFronts(t, func(t *testing.T, f front) {
			seen := make(chan struct{})
			target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
				if readHead(r) != nil {
					say(c, "HTTP/1.1 200 OK\r\n%s", head)
					<-seen
					abort(c)
				}
			})
			g := serve(t, document{apis: []api{{path: "/api/", target: target}}})
			c := g.caller(t, f)
			s := c.open(t, c.request(t, http.MethodGet, "/api/", nil))
			s.wants(t, "half")
			close(seen)
			if rest, err := io.ReadAll(s.body); len(rest) > 0 || err == nil {
				t.Errorf("%q came, and no error", rest)
			}
			g.failed(t, "/api/", target, 200)
		})
	}
}
