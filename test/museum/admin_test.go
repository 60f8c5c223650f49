package museum_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"sallyport/test/internal/run"
)

// The administration's address on loopback answered whoever a browser on that machine was made to ask for: a page of
// anybody's site, by a name that it lets resolve to 127.0.0.1.
func TestCaddy_TheAdminAPIAnsweredForForeignNames(t *testing.T) {
	s := newSite(t)
	g := s.serve(orders)
	ask := func(request string) *http.Response {
		t.Helper()
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(run.Patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	_, port, err := net.SplitHostPort(g.admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/"} {
		for _, name := range []string{"evil.test", "evil.test:" + port, "127.0.0.1.evil.test", "localhost.evil.test:" + port, "127.0.0.1@evil.test", ""} {
			response := ask(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, name))
			if response.StatusCode < 400 || response.StatusCode >= 500 {
				t.Errorf("%s for %q: %d", path, name, response.StatusCode)
			}
			_ = response.Body.Close()
		}
	}
	for _, origin := range []string{"", "Origin: https://evil.test\r\n", "Origin: null\r\n"} {
		response := ask("GET /livez HTTP/1.1\r\nHost: 127.0.0.1:" + port + "\r\n" + origin + "\r\n")
		if response.StatusCode != http.StatusOK {
			t.Errorf("its own name with %q: %d", origin, response.StatusCode)
		}
		if allowed := response.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("pages of %s may read it", allowed)
		}
		_ = response.Body.Close()
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		response := ask(method + " /livez HTTP/1.1\r\nHost: 127.0.0.1:" + port + "\r\nOrigin: https://evil.test\r\nContent-Length: 0\r\n\r\n")
		if response.StatusCode < 400 {
			t.Errorf("%s: %d", method, response.StatusCode)
		}
		_ = response.Body.Close()
	}
}
