package traffic_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"sallyport/test/internal/run"
)

// goBackend is a server of HTTP/1.1 and of HTTP/2 with prior knowledge, until the end of the test. It returns its URL.
func goBackend(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// bothBackends are two APIs, /h1/ and /h2/, whose requests go to one backend over HTTP/1.1 and over HTTP/2. more are further
// keys of both upstreams.
func bothBackends(target, more string) []api {
	if more != "" {
		more = ", " + more
	}
	return []api{
		{path: "/h1/", target: target, upstream: "protocol: h1" + more},
		{path: "/h2/", target: target, upstream: "protocol: h2" + more},
	}
}

// onEveryWay runs a row over each front and towards each backend of bothBackends. prefix is the path of the API.
func onEveryWay(t *testing.T, row func(t *testing.T, f front, prefix string)) {
	t.Helper()
	for _, prefix := range []string{"/h1/", "/h2/"} {
		t.Run("backend "+prefix[1:3], func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, func(t *testing.T, f front) { row(t, f, prefix) })
		})
	}
}

// rawBackend runs a backend until the end of the test. serve gets each connection in a goroutine of its own and must return
// when the connection is closed; it need not close it.
func rawBackend(t testing.TB, serve func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	open, over := map[net.Conn]bool{}, false
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			if over {
				_ = c.Close() // the test is over
			}
			mu.Unlock()
			running.Go(func() {
				_ = c.SetDeadline(time.Now().Add(patience)) // it is open
				serve(c, bufio.NewReader(c))
				_ = c.Close() // once more is no harm
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // it was open
		mu.Lock()
		over = true
		for c := range open {
			_ = c.Close() // as above
		}
		mu.Unlock()
		running.Wait()
	})
	return "http://" + l.Addr().String()
}

// readHead reads the head of a request and leaves the body. It returns nil at the end of the connection.
func readHead(r *bufio.Reader) *http.Request {
	request, err := http.ReadRequest(r)
	if err != nil {
		return nil
	}
	return request
}

// say writes what the gateway may no longer want.
func say(c net.Conn, format string, args ...any) { _, _ = fmt.Fprintf(c, format, args...) }

// nginx is a backend that serves the files of a folder, and some answers of its own.
func nginx(t testing.TB, dir string) (*run.Process, string) {
	t.Helper()
	port := ports.Free(t)
	p := run.Nginx(t, fmt.Sprintf(`
    access_log /dev/stdout;
    default_type application/octet-stream;
    client_max_body_size 0;
    server {
        listen 127.0.0.1:%s;
        location /files/ { alias %s/; }
        location /changed/ { alias %s/; }
        location /said/ { return 200 "nginx\n"; }
        location /nothing/ { return 204; }
        location /moved/ { return 302 /elsewhere; }
        location /teapot/ { return 418 "short and stout\n"; }
    }`, port, dir, dir))
	return p, "http://127.0.0.1:" + port
}

// sparse makes a file of zeros that takes no place.
func sparse(t testing.TB, file string, size int64) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

// mail has a channel for each path, by which a backend that serves many tests tells each of them what is theirs. The zero
// value is ready.
type mail[T any] struct {
	mu    sync.Mutex
	boxes map[string]chan T
}

func (m *mail[T]) of(path string) chan T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.boxes == nil {
		m.boxes = map[string]chan T{}
	}
	if m.boxes[path] == nil {
		m.boxes[path] = make(chan T, 4)
	}
	return m.boxes[path]
}

// receive waits for a value.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v in vain for %s", patience, what)
		panic("unreachable")
	}
}

// discard reads everything that is left.
func discard(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
