package pressure_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// rawSite is a gateway in front of a backend of bytes: without TLS, where HTTP/1 and HTTP/2 are told apart by their first
// bytes, and with TLS. What a caller sends is bounded tightly enough to be reached.
type rawSite struct {
	*site
	*running
	backend    *rawBackend
	plain, tls string // addresses
}

const rawDocument = `
log: {access: off}
listeners:
  - name: plain
    address: 127.0.0.1:PLAIN
    protocols: [h1, h2c]
    limits: LIMITS
  - name: tls
    address: 127.0.0.1:TLS
    tls: {credentials: [server], client_auth: none}
    limits: LIMITS
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
upstreams:
  - {name: raw, targets: ["http://BACKEND"], timeouts: {response: 2s, pause: 2s}}
apis:
  - {name: everything, hosts: [HOST], path: /, upstream: raw}
`

// tightLimits can be reached.
const tightLimits = "{max_header_size: 8KiB, max_target_size: 4KiB, max_header_fields: 100}"

func newRawSite(t *testing.T, answer func(*message) ([]byte, bool), host, limits string) *rawSite {
	t.Helper()
	s := &rawSite{site: newSite(t), backend: newRawBackend(t, answer)}
	plain, tls := free.Free(t), free.Free(t)
	s.plain, s.tls = "127.0.0.1:"+plain, "127.0.0.1:"+tls
	document := strings.NewReplacer("BACKEND", s.backend.address, "PLAIN", plain, "TLS", tls, "LIMITS", limits, "HOST", host).Replace(rawDocument)
	s.running = s.start(built(t, builtProgram), document)
	return s
}

// ways are how a vector is sent, because a reader may stumble over where the bytes were cut.
var ways = []struct {
	name    string
	overTLS bool
	pieces  int  // of so many bytes
	later   bool // the marked request comes when the first was answered
}{
	{name: "at once"},
	{name: "in pieces", pieces: 5},
	{name: "later over TLS", overTLS: true, later: true},
}

func TestNothingAmbiguousReachesTheBackend(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, nil, serverName, tightLimits)
	vectors := slices.Concat(lengthVectors, codingVectors, chunkVectors, lineVectors, hostVectors)
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			for k := range vectors {
				v := &vectors[k]
				if way.later && v.waits {
					continue
				}
				c := newRawCaller(s.caller(t, way.overTLS))
				s.try(t, v, c, fmt.Sprintf("%d/%d", i, k), way.pieces, way.later)
				_ = c.Close()
			}
		})
	}
	for _, bad := range s.backend.ambiguous() {
		t.Errorf("ambiguous at the backend: %s", bad)
	}
	for _, r := range s.backend.since(0) {
		if parts := strings.Split(r.target(), "/"); len(parts) < 4 || parts[len(parts)-2] != "0" && parts[len(parts)-2] != "1" && parts[len(parts)-2] != "2" {
			t.Errorf("smuggled: %q", r.raw)
		}
	}
	s.stop()
}

// caller connects with the gateway.
func (s *rawSite) caller(t testing.TB, overTLS bool) net.Conn {
	t.Helper()
	if !overTLS {
		return dial(t, s.plain)
	}
	return dialTLS(t, s.tls, s.site.tls(nobody, "http/1.1"))
}

// try sends one vector and the marked request, and looks at the answers and at what the backend got.
func (s *rawSite) try(t *testing.T, v *vector, c *rawCaller, id string, pieces int, later bool) {
	t.Helper()
	path, marker := "/v/"+id, "/m/"+id
	next := "GET " + marker + " HTTP/1.1\r\nHost: api.test\r\n\r\n"
	before := s.backend.count()
	first := v.bytes(path)
	if !later {
		first += next
	}
	c.send(first, pieces)

	wantPath := path
	if v.path != "" {
		wantPath = strings.ReplaceAll(v.path, "{}", path)
	}
	reaches := v.answer == passes
	want := v.answer
	if reaches {
		want = "200 this answers " + wantPath
	}
	if got, err := c.answer("GET"); err != nil || got != want {
		t.Errorf("%s: answered %q (%v), want %q", v.name, got, err, want)
		return
	}
	last := v.closes || !reaches && !v.open
	if !last {
		if later {
			c.send(next, 0)
		}
		want := "200 this answers " + marker
		if v.next != "" {
			want, last = v.next, true
		}
		if got, err := c.answer("GET"); err != nil || got != want {
			t.Errorf("%s: the request behind it was answered %q (%v), want %q", v.name, got, err, want)
			return
		}
	}
	if last {
		if err := c.ends(); err != nil {
			t.Errorf("%s: the connection goes on: %v", v.name, err)
		}
		if said := c.last.values("Connection"); !slices.Equal(said, []string{"close"}) && !strings.Contains(v.raw, "HTTP/1.0\n") { // which ends by itself
			t.Errorf("%s: the connection ends, and the last answer said %q of it", v.name, said)
		}
	}
	s.checkBackend(t, v, before, wantPath, marker, reaches, !last)
}

// checkBackend compares what reached the backend with what should have: the vector where it may, as it was, then the
// marked request where it may.
func (s *rawSite) checkBackend(t *testing.T, v *vector, before int, path, marker string, reaches, marked bool) {
	t.Helper()
	var want, got []string
	if reaches {
		method := v.method
		if method == "" {
			method, _, _ = strings.Cut(strings.TrimLeft(v.raw, "\n"), " ")
		}
		want = append(want, fmt.Sprintf("%s %s %q", method, path, v.body))
	}
	if marked {
		want = append(want, fmt.Sprintf("GET %s %q", marker, ""))
	}
	for _, r := range s.backend.since(before) {
		if r.target() != path && r.target() != marker {
			continue // of another vector; what nobody may have sent is looked for at the end
		}
		if !r.whole {
			if !v.begun {
				t.Errorf("%s: a part of a request reached the backend: %q", v.name, r.raw)
			}
			continue
		}
		got = append(got, fmt.Sprintf("%s %s %q", r.start[0], r.target(), r.body))
		if host := r.values("Host"); host[0] != "api.test" {
			t.Errorf("%s: the backend was asked for host %q", v.name, host)
		}
		for name, values := range map[string][]string{"X-Forwarded-For": {"127.0.0.1"}, "Client-Cert": nil, "TE": nil, "Upgrade": nil, "HTTP2-Settings": nil} {
			if seen := r.values(name); !slices.Equal(seen, values) && v.name != "a wish for a WebSocket that is not granted" {
				t.Errorf("%s: the backend got %s %q, want %q", v.name, name, seen, values)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: the backend got\n%q\nwant\n%q", v.name, got, want)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, nil, serverName, tightLimits)
	good := func(n int) string {
		if n%2 == 0 {
			return fmt.Sprintf("GET /p/%d HTTP/1.1\r\nHost: api.test\r\n\r\n", n)
		}
		return fmt.Sprintf("POST /p/%d HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", n)
	}
	const bad = "GET /p/bad HTTP/1.1\r\nHost: api.test\r\nHost: evil.test\r\n\r\n"
	for name, row := range map[string]struct{ good, behind int }{
		"twenty":                     {20, 0},
		"three and a bad one":        {3, 1},
		"a bad one and others":       {0, 5},
		"some, a bad one and others": {7, 5},
	} {
		t.Run(name, func(t *testing.T) {
			c := newRawCaller(dial(t, s.plain))
			var text strings.Builder
			for n := range row.good {
				text.WriteString(good(n))
			}
			if row.behind > 0 {
				text.WriteString(bad)
				for n := range row.behind {
					text.WriteString(good(100 + n))
				}
			}
			before := s.backend.count()
			c.send(text.String(), 0)
			for n := range row.good {
				if got, err := c.answer("GET"); err != nil || got != fmt.Sprintf("200 this answers /p/%d", n) {
					t.Fatalf("answer %d is %q (%v)", n, got, err)
				}
			}
			if row.behind > 0 {
				if got, err := c.answer("GET"); err != nil || got != malformed {
					t.Errorf("the bad one is answered %q (%v)", got, err)
				}
				if err := c.ends(); err != nil {
					t.Error(err)
				}
			}
			if n := s.backend.count() - before; n != row.good {
				t.Errorf("the backend got %d requests, want %d", n, row.good)
			}
		})
	}
	for _, text := range s.backend.ambiguous() {
		t.Errorf("ambiguous at the backend: %s", text)
	}
	s.stop()
}

func TestARequestThatIsCutShortIsNoRequest(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, nil, serverName, tightLimits)
	whole := "POST /cut HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for n := 1; n < len(whole); n++ {
		c := dial(t, s.plain)
		newRawCaller(c).send(whole[:n], 0)
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if m, err := newReader(c).response("POST"); err == nil && m.target() == "200" {
			t.Errorf("%q was answered %s", whole[:n], describe(m))
		}
		_ = c.Close()
	}
	for _, r := range s.backend.since(0) {
		if r.whole {
			t.Errorf("the backend got %q", r.raw)
		}
	}
	for _, text := range s.backend.ambiguous() {
		t.Errorf("ambiguous at the backend: %s", text)
	}
	s.stop()
}
