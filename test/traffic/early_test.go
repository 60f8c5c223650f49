package traffic_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hint sends an answer of the 100 class from a Go backend.
func hint(w http.ResponseWriter, status int, links ...string) {
	w.Header()["Link"] = links
	w.WriteHeader(status)
	delete(w.Header(), "Link")
}

func TestEarlyHintsPass(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hint(w, http.StatusEarlyHints, "</one.css>", "</two.css>")
		hint(w, http.StatusProcessing)
		hint(w, http.StatusEarlyHints, "</three.css>")
		_, _ = io.WriteString(w, "page")
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			path := pathOf(t, prefix) + method
			got := g.caller(t, f).ask(t, method, path, strings.NewReader("sent"))
			got.whole(t, 200)
			want := []early{{103, []string{"</one.css>", "</two.css>"}}, {102, nil}, {103, []string{"</three.css>"}}}
			if diff := cmp.Diff(want, got.early, cmp.AllowUnexported(early{})); diff != "" {
				t.Errorf("early answers (-want +got):\n%s", diff)
			}
			if got.header["Link"] != nil || got.body != "page" {
				t.Errorf("the answer has the links of what came before: %v, body %q", got.header, got.body)
			}
			g.passed(t, path, 200, 4, 4)
		}
	})
}

// TestEarlyHintsComeEarly: they do not wait for the answer.
func TestEarlyHintsComeEarly(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		hint(w, http.StatusEarlyHints, "</one.css>")
		select {
		case <-open:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "page")
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	path := pathOf(t, "/h1/")
	c := g.http1(t)
	c.write(t, head(http.MethodGet, path))
	first, err := http.ReadResponse(c.reader, nil)
	if err != nil || first.StatusCode != http.StatusEarlyHints {
		t.Fatalf("%v (%v), want 103", first, err)
	}
	_ = first.Body.Close() // there is none
	s := g.http2(t).open(t, http.MethodGet, path+"2", true)
	s.c.mu.Lock()
	for len(s.heads) == 0 && s.failure() == nil {
		s.c.changed.Wait()
	}
	if len(s.heads) != 1 || s.heads[0].Get(":status") != "103" {
		t.Errorf("%v (%v), want 103", s.heads, s.failure())
	}
	s.c.mu.Unlock()
	close(open)
	for _, got := range []answer{c.answer(http.MethodGet), s.answer()} {
		got.whole(t, 200)
	}
}

// TestEarlyAnswersHaveNoLength: over HTTP/2 the client would have to take the answer for malformed.
func TestEarlyAnswersHaveNoLength(t *testing.T) {
	t.Parallel()
	target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		for readHead(r) != nil {
			say(c, "HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\nLink: </x.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
		}
	})
	g := serve(t, document{apis: []api{{path: "/api/", target: target}}})
	s := g.http2(t).open(t, http.MethodGet, pathOf(t, "/api/"), true)
	s.answer().whole(t, 200)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if len(s.heads) != 2 || s.heads[0].Get(":status") != "103" || s.heads[0].Get("Content-Length") != "" || s.heads[0].Get("Link") == "" {
		t.Errorf("the answers %v", s.heads)
	}
}

// TestEarlyAnswersWithoutEnd: a backend that says 103 for ever is not waited for.
func TestEarlyAnswersWithoutEnd(t *testing.T) {
	t.Parallel()
	target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		for readHead(r) != nil {
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\n"); err != nil {
					return
				}
			}
		}
	})
	g := serve(t, document{apis: []api{{path: "/api/", target: target}}})
	onBothFronts(t, func(t *testing.T, f front) {
		path := pathOf(t, "/api/")
		got := g.caller(t, f).ask(t, http.MethodPost, path, nil)
		got.problem(t, "upstream_unavailable", 502)
		if len(got.early) > 100 {
			t.Errorf("%d early answers", len(got.early))
		}
		g.refused(t, path, "upstream_unavailable", 502, "")
	})
}

// patientBackend is a backend that decides about a body before it asks for it. It tells what it saw of Expect.
func patientBackend(t *testing.T, expected *mail[string]) (target string) {
	t.Helper()
	return rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		for {
			request := readHead(r)
			if request == nil {
				return
			}
			path := request.URL.Path
			expected.of(path) <- request.Header.Get("Expect")
			switch {
			case strings.Contains(path, "accepted"):
				say(c, "HTTP/1.1 100 Continue\r\n\r\n")
				body, _ := io.ReadAll(request.Body) // what did not come is missing in the answer
				say(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			case strings.Contains(path, "echoed"): // it answers before it reads
				say(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", request.ContentLength)
				_, _ = io.Copy(c, request.Body) // the client tells
			case strings.Contains(path, "dribbled"): // the beginning of the answer says nothing yet
				say(c, "HTTP/1.1 100 Continue\r\n")
				body := make(chan []byte, 1)
				go func() {
					all, _ := io.ReadAll(request.Body) // the gateway begins with it after a second without an answer
					body <- all
				}()
				select {
				case all := <-body:
					say(c, "\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(all), all)
				case <-time.After(2 * time.Second):
					say(c, "\r\n")
					all := <-body
					say(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(all), all)
				}
			case strings.Contains(path, "silent"): // as backends that know nothing of it
				body, _ := io.ReadAll(request.Body)
				say(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			case strings.Contains(path, "unauthorized"):
				const refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 4\r\n"
				if strings.Contains(path, "kept") { // transports want to send the body all the same
					say(c, refusal+"\r\nwho?")
					if body, err := io.ReadAll(request.Body); len(body) > 0 {
						expected.of(path) <- fmt.Sprintf("%d bytes of a body that was refused", len(body))
					} else if err != nil {
						return
					}
					continue
				}
				say(c, refusal+"Connection: close\r\n\r\nwho?")
				if n, _ := io.Copy(io.Discard, r); n > 0 {
					expected.of(path) <- fmt.Sprintf("%d bytes of a body that was refused", n)
				}
				return
			default:
				say(c, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				return
			}
		}
	})
}

// TestExpectContinue: a client that asks whether its body is wanted is told by the backend. Over HTTP/2 the answer is the
// backend's all the same, but the body is asked for at once: net/http takes the field away there before anybody sees it.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	const body = "the body"
	tests := []struct {
		name     string
		status   int
		answered string
		asks     bool // the client sends Expect
		invited  bool // it is told to send the body before there is an answer
	}{
		{"accepted", 200, body, true, true},
		{"silent", 200, body, true, true},
		{"unauthorized", 401, "who?", true, false},
		{"unauthorized and kept", 401, "who?", true, false},
		{"failed", 417, "", true, false},
		{"accepted", 200, body, false, false}, // nobody asked
	}
	var expected mail[string]
	g := serve(t, document{apis: []api{{path: "/api/", target: patientBackend(t, &expected)}}})
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s, asked %t", test.name, test.asks), func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, func(t *testing.T, f front) {
				path := pathOf(t, "/api/")
				got, sent := g.asksFirst(t, f, path, body, test.asks)
				got.whole(t, test.status)
				if got.body != test.answered {
					t.Errorf("body %q, want %q", got.body, test.answered)
				}
				invitations := 0
				for _, e := range got.early {
					if e.status == 100 {
						invitations++
					}
				}
				unknown := f == http2Front && test.asks && !test.invited // whether net/http is faster than the backend
				if want := map[bool]int{true: 1, false: 0}[test.invited]; invitations != want && !unknown {
					t.Errorf("the client was told %d times to send the body, want %d", invitations, want)
				}
				in := int64(0)
				switch {
				case unknown:
					in = -1
				case sent:
					in = int64(len(body))
				}
				g.passed(t, path, test.status, in, int64(len(test.answered)))
				want := ""
				if test.asks && f == http1Front {
					want = "100-continue"
				}
				if saw := receive(t, expected.of(path), "what the backend saw"); saw != want {
					t.Errorf("the backend saw Expect: %q, want %q", saw, want)
				}
				select {
				case more := <-expected.of(path):
					if !sent {
						t.Errorf("the backend got %s", more)
					}
				default:
				}
			})
		})
	}
}

// TestABodyThatComesUninvited: a client that asks need not wait, and gives up waiting. Its body is passed on, also behind the
// beginning of an answer.
func TestABodyThatComesUninvited(t *testing.T) {
	t.Parallel()
	const body = "the body"
	var expected mail[string]
	g := serve(t, document{apis: []api{{path: "/api/", target: patientBackend(t, &expected)}}})
	for _, how := range []string{"accepted", "silent", "echoed", "dribbled"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			path := pathOf(t, "/api/")
			c := g.http1(t)
			c.write(t, head(http.MethodPut, path, fmt.Sprintf("Content-Length: %d", len(body)), "Expect: 100-continue")+body)
			got := c.answer(http.MethodPut)
			got.whole(t, 200)
			if got.body != body {
				t.Errorf("body %q, want %q", got.body, body)
			}
			g.passed(t, path, 200, int64(len(body)), int64(len(body)))
		})
	}
}

// asksFirst sends a request whose body waits until it is wanted, if it asks, and reports whether it was sent.
func (g *gateway) asksFirst(t *testing.T, f front, path, body string, asks bool) (got answer, sent bool) {
	t.Helper()
	if f == http1Front {
		c := g.http1(t)
		fields := []string{fmt.Sprintf("Content-Length: %d", len(body))}
		if !asks {
			c.write(t, head(http.MethodPut, path, fields...)+body)
			return c.answer(http.MethodPut), true
		}
		c.write(t, head(http.MethodPut, path, append(fields, "Expect: 100-continue")...))
		status, err := c.reader.Peek(len("HTTP/1.1 100"))
		if err != nil {
			t.Fatal(err)
		}
		if sent = strings.HasSuffix(string(status), "100"); sent {
			c.write(t, body)
		}
		return c.answer(http.MethodPut), sent
	}
	c := g.http2(t)
	fields := []string{"content-length", fmt.Sprint(len(body))}
	if asks {
		fields = append(fields, "expect", "100-continue")
	}
	s := c.open(t, http.MethodPut, path, false, fields...)
	if asks {
		c.mu.Lock()
		for len(s.heads) == 0 && s.failure() == nil {
			c.changed.Wait()
		}
		sent = len(s.heads) > 0 && s.heads[0].Get(":status") == "100"
		c.mu.Unlock()
	} else {
		sent = true
	}
	if sent {
		_, _ = io.WriteString(s, body) // the answer tells
		s.end(t)
	}
	return s.answer(), sent
}

// TestRefusedBeforeTheBody: the gateway's own refusal does not wait for a body either, and invites none.
func TestRefusedBeforeTheBody(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the backend was asked") }))
	t.Cleanup(backend.Close)
	g := serve(t, document{apis: []api{{path: "/api/", target: backend.URL, methods: "methods: [GET]"}}})
	onBothFronts(t, func(t *testing.T, f front) {
		path := pathOf(t, "/api/")
		got, sent := g.asksFirst(t, f, path, "the body", true)
		got.problem(t, "method_not_allowed", 405)
		if sent {
			t.Error("the client was told to send the body")
		}
		g.refused(t, path, "method_not_allowed", 405, "")
	})
}
