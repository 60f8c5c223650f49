package traffic_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mirror is a backend that answers with the head of the request, octet by octet. It reads no bodies.
func mirror(t testing.TB) string {
	t.Helper()
	return rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		for {
			var text strings.Builder
			for !strings.HasSuffix(text.String(), "\r\n\r\n") {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				text.WriteString(line)
			}
			first, _, _ := strings.Cut(text.String(), "\r\n")
			say(c, "HTTP/1.1 200 OK\r\nX-First-Line: %s\r\nContent-Length: %d\r\n\r\n", first, text.Len())
			if !strings.HasPrefix(first, "HEAD ") {
				say(c, "%s", text.String())
			}
		}
	})
}

// fields takes a head apart: the values of each name, in lower case, in their order.
func fields(text string) map[string][]string {
	all := map[string][]string{}
	_, text, _ = strings.Cut(text, "\r\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n\r\n"), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		all[strings.ToLower(name)] = append(all[strings.ToLower(name)], strings.TrimPrefix(value, " "))
	}
	return all
}

// sendsHead sends a request without a body octet by octet, over either front. Names and values are in turn.
func (g *gateway) sendsHead(t *testing.T, f front, method, target string, header ...string) (a answer, local string) {
	t.Helper()
	if f == http1Front {
		c := g.http1(t)
		var lines []string
		for i := 0; i < len(header); i += 2 {
			lines = append(lines, header[i]+": "+header[i+1])
		}
		c.write(t, head(method, target, lines...))
		return c.answer(method), c.LocalAddr().String()
	}
	c := g.http2(t)
	lower := slices.Clone(header)
	for i := 0; i < len(lower); i += 2 {
		lower[i] = strings.ToLower(lower[i])
	}
	return c.open(t, method, target, true, lower...).answer(), c.conn.LocalAddr().String()
}

func TestMethodsPass(t *testing.T) {
	t.Parallel()
	g := serve(t, document{apis: []api{{path: "/api/", target: mirror(t)}}})
	methods := []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MKCOL", "M-SEARCH", "QUERY", "get", "x",
		"!#$%&'*+-.^_`|~09Az",
	}
	onBothFronts(t, func(t *testing.T, f front) {
		for i, method := range methods {
			path := fmt.Sprintf("%s-%d", pathOf(t, "/api/"), i)
			got, _ := g.sendsHead(t, f, method, path)
			got.whole(t, 200)
			if want := method + " " + path + " HTTP/1.1"; got.header.Get("X-First-Line") != want {
				t.Errorf("the backend saw %q, want %q", got.header.Get("X-First-Line"), want)
			}
			if r := g.passed(t, path, 200, 0, int64(len(got.body))); r.Method != method {
				t.Errorf("the record has the method %q, want %q", r.Method, method)
			}
			if method == "HEAD" && (got.body != "" || got.header.Get("Content-Length") == "") {
				t.Errorf("HEAD: body %q, header %v", got.body, got.header)
			}
		}
		// CONNECT would open a tunnel to anywhere (RFC 9110, section 9.3.6).
		if f == http1Front {
			c := g.http1(t)
			c.write(t, "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n")
			if got := c.answer(http.MethodGet); got.status < 400 || got.status > 499 {
				t.Errorf("CONNECT: status %d (%v)", got.status, got.err)
			}
			return
		}
		c := g.http2(t)
		c.mu.Lock()
		s := &http2Stream{c: c, id: 1, window: c.initial}
		c.next, c.streams[1] = 3, s
		err := c.headers(1, false, []string{":method", "CONNECT", ":authority", "localhost:443"})
		c.mu.Unlock()
		if got := s.answerHead(); err != nil || got.err == nil && (got.status < 400 || got.status > 499) {
			t.Errorf("CONNECT: status %d (%v, %v)", got.status, got.err, err)
		}
	})
}

func TestRequestFieldsPass(t *testing.T) {
	t.Parallel()
	octets := make([]byte, 0, 256)
	for c := 0x21; c <= 0xff; c++ {
		if c != 0x7f {
			octets = append(octets, byte(c))
		}
	}
	var many, manyWanted []string
	for i := range 80 {
		many = append(many, fmt.Sprintf("X-Many-%d", i), fmt.Sprint(i))
		manyWanted = append(manyWanted, fmt.Sprint(i))
	}
	tests := []struct {
		name   string
		header []string
		want   map[string][]string // nil for a field that must not be there
	}{
		{"several of one name in their order", []string{"X-Multi", "c", "x-multi", "a", "X-Other", "-", "X-MULTI", "b", "X-Multi", "a"}, map[string][]string{"x-multi": {"c", "a", "b", "a"}}},
		{"an empty value", []string{"X-Empty", "", "X-Empty", "", "X-Then", "x"}, map[string][]string{"x-empty": {"", ""}, "x-then": {"x"}}},
		{"every octet that may stand in a value", []string{"X-Octets", string(octets)}, map[string][]string{"x-octets": {string(octets)}}},
		{"blanks inside", []string{"X-Blanks", "a  b\tc"}, map[string][]string{"x-blanks": {"a  b\tc"}}},
		{"commas and quotes", []string{"X-List", `a,, "b, \"c" ,d;q=0.1`}, map[string][]string{"x-list": {`a,, "b, \"c" ,d;q=0.1`}}},
		{"a name of every kind of octet", []string{"!#$%&'*+-.^_`|~09aZ", "odd"}, map[string][]string{"!#$%&'*+-.^_`|~09az": {"odd"}}},
		{"an underscore", []string{"x_custom", "one", "X-Custom", "two"}, map[string][]string{"x_custom": {"one"}, "x-custom": {"two"}}},
		{"a long value", []string{"X-Long", strings.Repeat("0123456789", 6000)}, map[string][]string{"x-long": {strings.Repeat("0123456789", 6000)}}},
		{"many fields", many, map[string][]string{"x-many-0": manyWanted[:1], "x-many-79": manyWanted[79:]}},
		{"nothing that was not sent", nil, map[string][]string{"user-agent": nil, "accept-encoding": nil, "content-type": nil, "accept": nil, "te": nil, "connection": nil, "content-length": nil, "transfer-encoding": nil}},
		{"content negotiation", []string{"Accept-Encoding", "br;q=1, gzip", "Accept", "*/*", "User-Agent", "x/1"}, map[string][]string{"accept-encoding": {"br;q=1, gzip"}, "accept": {"*/*"}, "user-agent": {"x/1"}}},
		{"credentials", []string{"Authorization", "Bearer a.b.c", "Cookie", "a=1; b=2"}, map[string][]string{"authorization": {"Bearer a.b.c"}, "cookie": {"a=1; b=2"}}},
		{"who is calling", []string{"Client-Cert", "spoofed", "client_cert", "spoofed", "X-Forwarded-For", "192.0.2.1"}, map[string][]string{"client_cert": nil, "x-forwarded-for": {"127.0.0.1"}}},
		{"conditions and ranges", []string{"If-None-Match", `W/"x", "y"`, "Range", "bytes=0-1,5-", "If-Range", `"x"`}, map[string][]string{"if-none-match": {`W/"x", "y"`}, "range": {"bytes=0-1,5-"}, "if-range": {`"x"`}}},
	}
	g := serve(t, document{apis: []api{{path: "/api/", target: mirror(t)}}})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, func(t *testing.T, f front) {
				path := pathOf(t, "/api/")
				got, _ := g.sendsHead(t, f, http.MethodGet, path, test.header...)
				got.whole(t, 200)
				saw := fields(got.body)
				for name, want := range test.want {
					if diff := cmp.Diff(want, saw[name]); diff != "" {
						t.Errorf("what the backend saw of %s (-want +got):\n%s", name, diff)
					}
				}
				if cert := saw["client-cert"]; len(cert) != 1 || !strings.HasPrefix(cert[0], ":") {
					t.Errorf("Client-Cert is %q", cert)
				}
				g.passed(t, path, 200, 0, int64(len(got.body)))
			})
		})
	}
}

// TestFieldsOfOneConnectionStayThere: what is between a client and the gateway is not the backend's business.
func TestFieldsOfOneConnectionStayThere(t *testing.T) {
	t.Parallel()
	g := serve(t, document{apis: []api{{path: "/api/", target: mirror(t)}}})
	c := g.http1(t)
	c.write(t, head(http.MethodGet, "/api/", "Connection: X-Listed, keep-alive", "X-Listed: 1", "Keep-Alive: timeout=5", "Proxy-Connection: x",
		"Proxy-Authorization: Basic x", "TE: trailers, deflate", "Connection: TE, client-cert, x-forwarded-for, x-request-id, ,"))
	got := c.answer(http.MethodGet)
	got.whole(t, 200)
	saw := fields(got.body)
	for name, want := range map[string]int{
		"x-listed": 0, "keep-alive": 0, "proxy-connection": 0, "proxy-authorization": 0, "connection": 0,
		"client-cert": 1, "x-forwarded-for": 1, "x-request-id": 1,
	} {
		if len(saw[name]) != want {
			t.Errorf("the backend saw %s: %q, want %d", name, saw[name], want)
		}
	}
	if te := saw["te"]; len(te) != 1 || te[0] != "trailers" {
		t.Errorf("the backend saw TE: %q, want trailers", te)
	}
}

// TestCookiesInPieces: over HTTP/2 a client may send each cookie in a field of its own, and over HTTP/1.1 they are one (RFC 9113,
// section 8.2.3).
func TestCookiesInPieces(t *testing.T) {
	t.Parallel()
	g := serve(t, document{apis: []api{{path: "/api/", target: mirror(t)}}})
	got, _ := g.sendsHead(t, http2Front, http.MethodGet, "/api/", "cookie", "a=1", "x-other", "x", "cookie", "b=2", "cookie", "c=3")
	got.whole(t, 200)
	if diff := cmp.Diff([]string{"a=1; b=2; c=3"}, fields(got.body)["cookie"]); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
}

func TestQueriesPassByteForByte(t *testing.T) {
	t.Parallel()
	g := serve(t, document{apis: []api{{path: "/api/", target: mirror(t)}}})
	queries := []string{
		"", "?", "??", "?a=1&b=2", "?a=%2f&b=%2F", "?a=+&b=%20", "?a=%zz&b=%", "?;a;b", "?&&=&", "?a=b=c", "?/../x//y", "?a[]=1&b{}=2",
		"?!$'()*,:@-._~", `?"<>\^|` + "`", "?" + strings.Repeat("long=0123456789&", 800),
	}
	onBothFronts(t, func(t *testing.T, f front) {
		for i, query := range queries {
			path := fmt.Sprintf("%s-%d", pathOf(t, "/api/"), i)
			got, _ := g.sendsHead(t, f, http.MethodGet, path+query)
			got.whole(t, 200)
			if want := "GET " + path + query + " HTTP/1.1"; got.header.Get("X-First-Line") != want {
				t.Errorf("the backend saw %.200q, want %.200q", got.header.Get("X-First-Line"), want)
			}
			g.passed(t, path, 200, 0, -1)
		}
	})
}

func TestBodiesOfAnyMethod(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %s %v", r.Method, r.ContentLength, body, err)
	})
	g := serve(t, document{apis: bothBackends(target, "")})
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		c := g.caller(t, f)
		for _, method := range []string{"GET", "DELETE", "OPTIONS", "PROPFIND", "POST"} {
			for _, length := range []int64{4, -1} {
				path := fmt.Sprintf("%s-%s%d", pathOf(t, prefix), method, length)
				r := c.request(t, method, path, unknown{strings.NewReader("body")})
				r.ContentLength = length
				got := c.send(r)
				got.whole(t, 200)
				if want := fmt.Sprintf("%s %d body <nil>", method, length); got.body != want {
					t.Errorf("the backend saw %q, want %q", got.body, want)
				}
				g.passed(t, path, 200, 4, int64(len(got.body)))
			}
		}
	})
}

func TestAnswersPass(t *testing.T) {
	t.Parallel()
	const date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
	tests := []struct {
		name, method, answer string
		status               int
		header               []string // without Date and X-Request-Id
		body                 string
		length               int64 // as the header says it; -1 for nothing
	}{
		{"no type", "GET", "200 OK\r\nContent-Length: 4\r\n\r\n<a>b", 200, []string{"Content-Length: 4"}, "<a>b", 4},
		{"several cookies in their order", "GET", "200 OK\r\nSet-Cookie: z=1\r\nX-A: 1\r\nset-cookie: a=2; Path=/\r\nSet-Cookie: z=1\r\nContent-Length: 0\r\n\r\n", 200, []string{"Content-Length: 0", "Set-Cookie: z=1", "Set-Cookie: a=2; Path=/", "Set-Cookie: z=1", "X-A: 1"}, "", 0},
		{"an empty value", "GET", "200 OK\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n", 200, []string{"Content-Length: 0", "X-Empty: "}, "", 0},
		{"octets beyond ASCII", "GET", "200 OK\r\nX-Octets: \x80\xe4\xff\r\nContent-Length: 0\r\n\r\n", 200, []string{"Content-Length: 0", "X-Octets: \x80\xe4\xff"}, "", 0},
		{"a long value", "GET", "200 OK\r\nX-Long: " + strings.Repeat("x", 100_000) + "\r\nContent-Length: 0\r\n\r\n", 200, []string{"Content-Length: 0", "X-Long: " + strings.Repeat("x", 100_000)}, "", 0},
		{"fields of one connection", "GET", "200 OK\r\nConnection: X-Listed\r\nX-Listed: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n", 200, []string{"Content-Length: 0", "X-Stays: 1"}, "", 0},
		{"a coding that nobody asked for", "GET", "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\x01", 200, []string{"Content-Encoding: gzip", "Content-Length: 4"}, "\x1f\x8b\x00\x01", 4},
		{"HEAD with a length", "HEAD", "200 OK\r\nContent-Length: 1000000\r\nContent-Type: text/x\r\n\r\n", 200, []string{"Content-Length: 1000000", "Content-Type: text/x"}, "", 1000000},
		{"HEAD without a length", "HEAD", "200 OK\r\nETag: \"x\"\r\n\r\n", 200, []string{`Etag: "x"`}, "", -1},
		{"no content", "DELETE", "204 No Content\r\nX-A: 1\r\n\r\n", 204, []string{"X-A: 1"}, "", 0},
		{"no content, with a length", "DELETE", "204 No Content\r\nContent-Length: 5\r\nX-A: 1\r\n\r\n", 204, []string{"X-A: 1"}, "", 0},
		{"a length with zeros", "GET", "200 OK\r\nContent-Length: 004\r\n\r\nbody", 200, []string{"Content-Length: 4"}, "body", 4},
		{"reset content", "POST", "205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205, []string{"Content-Length: 0"}, "", 0},
		{"not modified", "GET", "304 Not Modified\r\nETag: \"x\"\r\nCache-Control: max-age=1\r\n\r\n", 304, []string{"Cache-Control: max-age=1", `Etag: "x"`}, "", 0},
		{"a part", "GET", "206 Partial Content\r\nContent-Range: bytes 0-3/100\r\nContent-Length: 4\r\n\r\npart", 206, []string{"Content-Length: 4", "Content-Range: bytes 0-3/100"}, "part", 4},
		{"a redirect", "GET", "307 Temporary Redirect\r\nLocation: /elsewhere?x=%2f#y\r\nContent-Length: 0\r\n\r\n", 307, []string{"Content-Length: 0", "Location: /elsewhere?x=%2f#y"}, "", 0},
		{"who one is", "GET", "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\"\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n", 401, []string{"Content-Length: 0", `Www-Authenticate: Basic realm="a"`, "Www-Authenticate: Bearer"}, "", 0},
		{"the backend's own refusal", "GET", "503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy", 503, []string{"Content-Length: 4", "Retry-After: 7"}, "busy", 4},
		{"a status without a name", "GET", "299 \r\nContent-Length: 0\r\n\r\n", 299, []string{"Content-Length: 0"}, "", 0},
		{"the last status", "GET", "599 Last\r\nContent-Length: 0\r\n\r\n", 599, []string{"Content-Length: 0"}, "", 0},
		{"no body and no length", "GET", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, nil, "", -1},
	}
	var answers mail[string]
	target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		for request := readHead(r); request != nil; request = readHead(r) {
			say(c, "HTTP/1.1 %s", strings.Replace(<-answers.of(request.URL.Path), "\r\n", "\r\n"+date, 1))
		}
	})
	g := serve(t, document{apis: []api{{path: "/api/", target: target}}})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, func(t *testing.T, f front) {
				path := pathOf(t, "/api/")
				answers.of(path) <- test.answer
				c := g.caller(t, f)
				r := c.request(t, test.method, path, nil)
				got := c.send(r)
				got.whole(t, test.status)
				if diff := cmp.Diff(test.header, sorted(got.header)); diff != "" {
					t.Errorf("header (-want +got):\n%.2000s", diff)
				}
				if dates := got.header["Date"]; len(dates) != 1 || "Date: "+dates[0]+"\r\n" != date {
					t.Errorf("Date is %q", dates)
				}
				if got.body != test.body || got.length != test.length {
					t.Errorf("body %.200q of length %d, want %.200q of %d", got.body, got.length, test.body, test.length)
				}
				g.passed(t, path, test.status, 0, int64(len(test.body)))
			})
		})
	}
}

// TestTrailersOfAnswersAreClean: what concerns the connection, frames the message or is the gateway's to say stays behind.
func TestTrailersOfAnswersAreClean(t *testing.T) {
	t.Parallel()
	target := rawBackend(t, func(c net.Conn, r *bufio.Reader) {
		for readHead(r) != nil {
			say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Request-Id, Client-Cert\r\n\r\n4\r\nbody\r\n0\r\n"+
				"X-Sum: 1\r\nX-Request-Id: evil\r\nClient-Cert: evil\r\nX-Late: 2\r\nConnection: X-Hop\r\nX-Hop: 3\r\nKeep-Alive: 4\r\n"+
				"X-Forwarded-For: 5\r\nContent_Length: 6\r\nSet-Cookie2: 7\r\n\r\n")
		}
	})
	g := serve(t, document{apis: []api{{path: "/api/", target: target}}})
	onBothFronts(t, func(t *testing.T, f front) {
		path := pathOf(t, "/api/")
		got := g.caller(t, f).ask(t, http.MethodGet, path, nil)
		got.whole(t, 200)
		if diff := cmp.Diff(http.Header{"X-Sum": {"1"}, "X-Late": {"2"}, "Set-Cookie2": {"7"}}, got.trailer); diff != "" {
			t.Errorf("trailer (-want +got):\n%s", diff)
		}
		g.passed(t, path, 200, 0, 4)
	})
}

// TestWhatNginxAnswers compares what comes through the gateway with what nginx says to a client of its own.
func TestWhatNginxAnswers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, target := nginx(t, dir)
	g := serve(t, document{apis: []api{
		{path: "/files/", target: target},
		{path: "/said/", target: target},
		{path: "/nothing/", target: target},
		{path: "/moved/", target: target},
		{path: "/teapot/", target: target},
		// With connections of its own: nginx closes them after this answer without a word, perhaps under the next request.
		{path: "/changed/", target: target},
	}})
	tests := []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"a file", "GET", "/files/file", nil, 200},
		{"a file's header", "HEAD", "/files/file", nil, 200},
		{"a part", "GET", "/files/file", []string{"Range", "bytes=2-5"}, 206},
		{"the end", "GET", "/files/file", []string{"Range", "bytes=-3"}, 206},
		{"two parts", "GET", "/files/file", []string{"Range", "bytes=0-1,4-5"}, 206},
		{"no such part", "GET", "/files/file", []string{"Range", "bytes=20-"}, 416},
		{"a file that the client has", "GET", "/files/file", []string{"If-None-Match", "*"}, 304},
		{"a file that is not what the client has", "GET", "/files/file", []string{"If-Match", `"x"`}, 412},
		{"no such file", "GET", "/files/nothing", nil, 404},
		{"no such method", "PROPFIND", "/files/file", nil, 405},
		{"a text", "POST", "/said/", nil, 200},
		{"nothing", "GET", "/nothing/", nil, 204},
		{"a redirect", "GET", "/moved/", nil, 302},
		{"a teapot", "GET", "/teapot/", nil, 418},
	}
	direct := &caller{g: g, client: &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}, CheckRedirect: g.caller(t, http1Front).client.CheckRedirect}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, func(t *testing.T, f front) {
				ask := func(c *caller, base string) answer {
					r := c.request(t, test.method, test.path, nil)
					if base != "" {
						r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(base, "http://")
					}
					for i := 0; i < len(test.header); i += 2 {
						r.Header.Set(test.header[i], test.header[i+1])
					}
					return c.send(r)
				}
				want, got := ask(direct, target), ask(g.caller(t, f), "")
				got.whole(t, test.status)
				want.header.Del("Connection")
				boundary := func(a answer) (header []string, body string) {
					_, mark, found := strings.Cut(a.header.Get("Content-Type"), "boundary=")
					header, body = sorted(a.header), a.body
					if found { // it differs each time
						body = strings.ReplaceAll(body, mark, "boundary")
						header = slices.DeleteFunc(header, func(line string) bool { return strings.HasPrefix(line, "Content-Type:") })
					}
					return header, body
				}
				wantHeader, wantBody := boundary(want)
				gotHeader, gotBody := boundary(got)
				if diff := cmp.Diff(wantHeader, gotHeader); diff != "" || gotBody != wantBody || got.length != want.length {
					t.Errorf("body %q of length %d, want %q of %d; header (-want +got):\n%s", gotBody, got.length, wantBody, want.length, diff)
				}
			})
		})
	}
}

// TestHeadsThatAreTooLarge: a head within the limits passes, one beyond is answered, in words, before anybody is asked.
func TestHeadsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	g := serve(t, document{
		limits: "max_header_size: 8KiB, max_header_fields: 40, max_target_size: 2KiB",
		apis:   []api{{path: "/api/", target: mirror(t)}},
	})
	many := func(n int) (header []string) {
		for i := range n {
			header = append(header, fmt.Sprintf("X-%d", i), "x")
		}
		return header
	}
	tests := []struct {
		name   string
		query  int
		header []string
		status int
	}{
		{"a target that fits", 1900, nil, 200},
		{"a value that fits", 0, []string{"X-Long", strings.Repeat("x", 7500)}, 200},
		{"fields that fit", 0, many(35), 200},
		{"a target that is too long", 2100, nil, 414},
		{"a value that is too long", 0, []string{"X-Long", strings.Repeat("x", 9000)}, 431},
		{"a name that is too long", 0, []string{strings.Repeat("x", 9000), "x"}, 431},
		{"too many fields", 0, many(60), 431},
		{"fields that are too large together", 0, []string{"X-A", strings.Repeat("x", 3000), "X-B", strings.Repeat("x", 3000), "X-C", strings.Repeat("x", 3000)}, 431},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onBothFronts(t, func(t *testing.T, f front) {
				path := pathOf(t, "/api/")
				got, local := g.sendsHead(t, f, http.MethodGet, path+"?"+strings.Repeat("q", test.query), test.header...)
				if test.status == 200 {
					got.whole(t, 200)
					g.passed(t, path, 200, 0, int64(len(got.body)))
					return
				}
				got.problem(t, "request_too_large", test.status)
				r := g.await(t, "the record of the connection", func(r *record) bool { return r.Message == "request" && r.Remote == local })
				if r.Decision != "deny" || r.Reason != "request_too_large" || r.Status != test.status || r.Target != "" {
					t.Errorf("the record says %s", r)
				}
			})
		})
	}
	t.Run("far too large", func(t *testing.T) {
		t.Parallel()
		onBothFronts(t, func(t *testing.T, f front) {
			header := []string{"X-Long", strings.Repeat("x", 200_000)}
			path := pathOf(t, "/api/")
			if f == http1Front {
				c := g.http1(t)
				go func() { _, _ = io.WriteString(c, head(http.MethodGet, path, "X-Long: "+header[1])) }() // the gateway stops reading
				c.answer(http.MethodGet).problem(t, "request_too_large", 431)
				return
			}
			c := g.http2(t)
			if got := c.open(t, http.MethodGet, path, true, "x-long", header[1]).answer(); got.err == nil && got.status != 431 {
				t.Errorf("status %d, want 431 or the end of the stream", got.status)
			}
			if n := g.count(path); n > 0 && g.record(t, path).Decision == "allow" {
				t.Errorf("%d records of it", n)
			}
		})
	})
}

// TestWithoutTLS: a listener without TLS serves HTTP/1.1 and, to those who begin with it, HTTP/2.
func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	target := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		s := look(r)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprintf(w, "%s %q %s", s.body, s.header["Client-Cert"], s.header.Get("X-Forwarded-Proto"))
		_ = http.NewResponseController(w).Flush() // so that there is no length
		w.Header().Set("X-Sum", "sum")
	})
	g := serve(t, document{open: true, limits: "header_timeout: 1s", apis: bothBackends(target, "")})
	onEveryWay(t, func(t *testing.T, f front, prefix string) {
		path := pathOf(t, prefix)
		var p http.Protocols
		p.SetHTTP1(f == http1Front)
		p.SetUnencryptedHTTP2(f == http2Front)
		transport := &http.Transport{Protocols: &p}
		t.Cleanup(transport.CloseIdleConnections)
		c := &caller{g, &http.Client{Transport: transport}}
		r := c.request(t, http.MethodPost, path, unknown{strings.NewReader("body")})
		r.URL.Scheme, r.URL.Host = "http", g.open
		r.ContentLength = -1
		r.Header.Set("Client-Cert", "spoofed")
		got := c.send(r)
		got.whole(t, 200)
		if want := "body [] http"; got.body != want || got.proto != f.name || got.trailer.Get("X-Sum") != "sum" {
			t.Errorf("%q over %s with the trailer %v, want %q", got.body, got.proto, got.trailer, want)
		}
		if r := g.passed(t, path, 200, 4, int64(len(got.body))); r.Listener != "open" || r.Protocol != f.name {
			t.Errorf("the record says %s on %q", r, r.Listener)
		}
	})
	t.Run("half a preface", func(t *testing.T) {
		t.Parallel()
		raw, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.open)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		_, _ = io.WriteString(raw, "PRI * HTTP/2.0\r\n\r\nSM") // the end tells
		(&http1{Conn: raw}).gone(t)
	})
	t.Run("half a head", func(t *testing.T) {
		t.Parallel()
		raw, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.open)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		_, _ = io.WriteString(raw, "P") // as above
		(&http1{raw, bufio.NewReader(raw)}).answer(http.MethodGet).problem(t, "request_timeout", 408)
	})
}
