package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/testpki"
	"sallyport/internal/upstream"
)

// bothProtocols runs a test with a backend of each.
func bothProtocols(t *testing.T, handle http.HandlerFunc, test func(t *testing.T, u *upstream.Upstream)) {
	t.Helper()
	for protocol, name := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, _ := handling(t, protocol == 1, handle)
			test(t, start(t, upstream.Config{Targets: []string{target}, Protocol: upstream.Protocol(protocol), MaxFailures: 1}, nil))
		})
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = fmt.Fprintf(w, "%s with %s", body, r.Trailer.Get("Checksum"))
		w.Header().Set("Grpc-Status", "0")
	}, func(t *testing.T, u *upstream.Upstream) {
		r := request(t.Context(), http.MethodPost, "/x", nil)
		r.Trailer = http.Header{"Checksum": nil} // its value is known when the body has been read
		r.Body, r.ContentLength = io.NopCloser(&atEnd{Reader: strings.NewReader("a body"), do: func() { r.Trailer.Set("Checksum", "42") }}), -1
		reply, err := u.Send(r, upstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Response.Body.Close()
		body, err := io.ReadAll(reply.Response.Body)
		if err != nil || string(body) != "a body with 42" || reply.Response.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%q, %v, %v", body, reply.Response.Trailer, err)
		}
	})
}

// atEnd does something when its reader has ended.
type atEnd struct {
	io.Reader
	do func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err == io.EOF {
		a.do()
	}
	return n, err
}

func TestInformationalResponsesReachTheCallersTrace(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // which sends 100
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = w.Write(body)
	}, func(t *testing.T, u *upstream.Upstream) {
		var got []string
		continued := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got100Continue: func() { continued = true },
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				got = append(got, fmt.Sprint(code, header.Get("Link")))
				return nil
			},
		})
		r := withHeader(request(ctx, http.MethodPost, "/x", strings.NewReader("a body")), "Expect", "100-continue")
		if body, err := exchange(t, u, r); body != "a body" {
			t.Errorf("%q, %v", body, err)
		}
		if d := cmp.Diff([]string{"100", "103</a.css>"}, got); d != "" || !continued {
			t.Errorf("100 seen %v, the others: %s", continued, d)
		}
	})
}

func TestAnAnswerStreamsWhileTheRequestDoes(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = fmt.Fprintf(w, "%s!\n", lines.Text())
			_ = control.Flush()
		}
	}, func(t *testing.T, u *upstream.Upstream) {
		say, speech := io.Pipe()
		reply, err := u.Send(request(t.Context(), http.MethodPost, "/x", say), upstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Response.Body.Close()
		hear := bufio.NewReader(reply.Response.Body)
		for i := range 5 {
			_, _ = fmt.Fprintf(speech, "line %d\n", i)
			if got, err := hear.ReadString('\n'); err != nil || got != fmt.Sprintf("line %d!\n", i) {
				t.Fatalf("%q, %v", got, err)
			}
		}
		_ = speech.Close()
		if rest, err := io.ReadAll(hear); err != nil || len(rest) != 0 {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

func TestAnEarlyAnswerIsHeardAlthoughTheTargetClosesWhileWeSend(t *testing.T) {
	t.Parallel()
	const body = 100 << 10
	target := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: "+fmt.Sprint(body)+"\r\n\r\n")
		_, _ = io.WriteString(c, strings.Repeat("x", body))
		// Closing with unread data resets the connection, and what is being written fails.
	})
	var events recorder
	u := start(t, upstream.Config{Targets: []string{target}}, &events)
	early := 0
	for range 50 {
		r := request(t.Context(), http.MethodPost, "/x", nil)
		r.Body, r.ContentLength = io.NopCloser(io.LimitReader(endless{}, 64<<20)), 64<<20
		reply, err := u.Send(r, upstream.Options{})
		if err != nil {
			continue // the reset overtook the answer, in the kernel
		}
		if n, _ := io.Copy(io.Discard, reply.Response.Body); reply.Response.StatusCode == http.StatusRequestEntityTooLarge && n > 0 {
			early++
		}
		_ = reply.Response.Body.Close()
	}
	if early < 40 {
		t.Errorf("the early answer was heard %d times of 50; %q", early, events.all(true))
	}
}

// echoUpgrade is a backend that changes its protocol to one that echoes.
func echoUpgrade(t *testing.T) string {
	return raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
		_, _ = io.Copy(c, in)
		_, _ = io.WriteString(c, " bye")
	})
}

func upgrade(ctx context.Context) *http.Request {
	return withHeader(withHeader(request(ctx, http.MethodGet, "/x", nil), "Connection", "Upgrade"), "Upgrade", "echo")
}

func TestAnUpgradeIsATunnel(t *testing.T) {
	t.Parallel()
	u := start(t, upstream.Config{Targets: []string{echoUpgrade(t)}, Max: 1, PauseTimeout: 1}, nil)
	reply, err := u.Send(upgrade(t.Context()), upstream.Options{Upgrade: true})
	if err != nil {
		t.Fatal(err)
	}
	tunnel, ok := reply.Response.Body.(interface {
		io.ReadWriteCloser
		CloseWrite() error
	})
	if !ok || reply.Response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%d with a body of %T", reply.Response.StatusCode, reply.Response.Body)
	}
	got := make([]byte, 6)
	for _, word := range []string{"hello ", "world!", "again."} {
		if _, err := io.ReadFull(tunnel, got); err != nil || string(got) != word {
			t.Fatalf("%q, %v", got, err)
		}
		next := map[string]string{"hello ": "world!", "world!": "again."}[word]
		if _, err := io.WriteString(tunnel, next); err != nil {
			t.Fatal(err)
		}
	}
	if n := upstream.InFlight(u)[0]; n != 1 {
		t.Errorf("the tunnel has %d slots", n)
	}
	if err := tunnel.CloseWrite(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(tunnel); err != nil || string(rest) != " bye" {
		t.Errorf("after CloseWrite: %q, %v", rest, err)
	}
	if err := tunnel.Close(); err != nil {
		t.Error(err)
	}
	if n := upstream.InFlight(u)[0]; n != 0 {
		t.Errorf("the closed tunnel has %d slots", n)
	}
}

func TestATunnelEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	var events recorder
	u := start(t, upstream.Config{Targets: []string{echoUpgrade(t)}, MaxFailures: 1}, &events)
	ctx, cancel := context.WithCancel(t.Context())
	reply, err := u.Send(upgrade(ctx), upstream.Options{Upgrade: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Response.Body.Close()
	if _, err := io.ReadFull(reply.Response.Body, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = reply.Response.Body.Read(make([]byte, 1))
	if f := failure(t, err); f.Cause != upstream.CauseCanceled {
		t.Error(err)
	}
	if got := events.all(false); got != nil {
		t.Errorf("the target was blamed: %q", got)
	}
}

func TestTheEndOfATunnelSaysNothingAboutTheTarget(t *testing.T) {
	t.Parallel()
	target := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_, _ = in.ReadByte()
			_ = c.SetLinger(0)
		}
	})
	u := start(t, upstream.Config{Targets: []string{target}, MaxFailures: 1}, nil)
	reply, err := u.Send(upgrade(t.Context()), upstream.Options{Upgrade: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Response.Body.Close()
	_, _ = io.WriteString(reply.Response.Body.(io.Writer), "x")
	_, err = reply.Response.Body.Read(make([]byte, 1))
	if f := failure(t, err); f.Cause != upstream.CauseReset || upstream.Out(u)[0] {
		t.Errorf("%v, out %v", err, upstream.Out(u)[0])
	}
}

func TestAnUpgradeThatTheTargetDoesNotWantIsAnOrdinaryAnswer(t *testing.T) {
	t.Parallel()
	u := start(t, upstream.Config{Targets: []string{backend(t, "a")}}, nil)
	for range 2 {
		reply, err := u.Send(upgrade(t.Context()), upstream.Options{Upgrade: true})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(reply.Response.Body); string(body) != "a/x" {
			t.Errorf("%q, %v", body, err)
		}
		_ = reply.Response.Body.Close()
	}
}

func TestWhatFollowsAnAnswerIsNobodysAnswer(t *testing.T) {
	t.Parallel()
	const second = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse"
	for name, first := range map[string]string{
		"a length":        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
		"chunks":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n",
		"trailers":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\nA: b\r\n\r\n",
		"no content":      "HTTP/1.1 204 No Content\r\n\r\n",
		"a hint before":   "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
		"a length of 0":   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"not modified":    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"the same length": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\ncontent-length:  4\r\n\r\ntrue",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			target := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
				connections.Add(1)
				for {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					_, _ = io.WriteString(c, first+second)
				}
			})
			u := start(t, upstream.Config{Targets: []string{target}}, nil)
			const n = 200
			for range n {
				body, err := get(t, u)
				if err != nil || body == "false" {
					t.Fatalf("%q, %v", body, err)
				}
			}
			if got := connections.Load(); got < n {
				t.Errorf("%d connections for %d requests: a connection with stray bytes was used again", got, n)
			}
		})
	}
}

func TestAHeadHasNoBodyAndKeepsItsConnection(t *testing.T) {
	t.Parallel()
	target, open := handling(t, false, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000") })
	u := start(t, upstream.Config{Targets: []string{target}}, nil)
	for range 5 {
		if body, err := exchange(t, u, request(t.Context(), http.MethodHead, "/x", nil)); body != "" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	}
	if n := open(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestABigBodyPassesUnchangedBothWays(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 256<<10) // 4 MiB
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}, func(t *testing.T, u *upstream.Upstream) {
		for _, length := range []int64{-1, int64(len(data))} {
			r := request(t.Context(), http.MethodPost, "/x", bytes.NewReader(data))
			r.ContentLength = length
			if got, err := exchange(t, u, r); err != nil || got != string(data) {
				t.Errorf("length %d: %d bytes, %v", length, len(got), err)
			}
		}
	})
}

func TestAReplyThatIsClosedUnreadFreesItsSlotAndBlamesNobody(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}, func(t *testing.T, u *upstream.Upstream) {
		for range 10 {
			reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			read := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, reply.Response.Body)
				read <- err
			}()
			_ = reply.Response.Body.Close()
			if err := <-read; err != nil && failure(t, err).Cause != upstream.CauseCanceled {
				t.Errorf("reading what was closed: %v", err)
			}
			if upstream.InFlight(u)[0] != 0 || upstream.Out(u)[0] {
				t.Fatalf("%d slots, out %v", upstream.InFlight(u)[0], upstream.Out(u)[0])
			}
		}
	})
}

func TestTheEndOfTLSIsTheEndOfABodyOnlyWhenItIsSaid(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}})
	for _, c := range []struct {
		name, answer string
		said         bool
		ok           bool
	}{
		{"until the end, which is said", "HTTP/1.1 200 OK\r\n\r\nhello", true, true},
		{"until the end, which is not said", "HTTP/1.1 200 OK\r\n\r\nhello", false, false},
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, true},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			target := "https://localhost" + raw(t, func(conn *net.TCPConn, in *bufio.Reader) {
				secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}, MaxVersion: version, MinVersion: tls.VersionTLS12})
				if _, err := http.ReadRequest(bufio.NewReader(secured)); err != nil {
					return
				}
				_, _ = io.WriteString(secured, c.answer)
				if c.said {
					_ = secured.CloseWrite()
				}
				_ = conn.CloseWrite()
				_, _ = io.Copy(io.Discard, in) // so that the end is no reset
			})[len("http://127.0.0.1"):]
			u := start(t, upstream.Config{Targets: []string{target}, Trust: serverTrust(t, false, ca)}, nil)
			body, err := get(t, u)
			if body != "hello" || (err == nil) != c.ok {
				t.Errorf("%s: %q, %v", c.name, body, err)
			}
			if err != nil && failure(t, err).Cause != upstream.CauseReset {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

func TestATargetMaySaySixteenTimesThatItWorks(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"100 Continue", "103 Early Hints"} {
		for n, ok := range map[int]bool{16: true, 17: false} {
			target := raw(t, answer(strings.Repeat("HTTP/1.1 "+status+"\r\n\r\n", n)+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			body, err := get(t, start(t, upstream.Config{Targets: []string{target}}, nil))
			switch {
			case ok && body != "ok":
				t.Errorf("%d times %s: %q, %v", n, status, body, err)
			case !ok && (failure(t, err).Cause != upstream.CauseProtocol || !strings.Contains(err.Error(), "1xx")):
				t.Errorf("%d times %s: %v", n, status, err)
			}
		}
	}
}
