package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/wire"
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frame returns a frame of HTTP/2.
func frame(kind, flags byte, payload string) string {
	return string([]byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, 1}) + payload
}

// pipe2 is pipe for HTTP/2.
func pipe2(t *testing.T) (net.Conn, *wire.HTTP2) {
	t.Helper()
	client, server := net.Pipe()
	c := wire.NewHTTP2(server, limits(), nil)
	t.Cleanup(func() {
		client.Close()
		c.Close()
	})
	return client, c
}

func TestWhatCostsNothingIsCounted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, frame, abuse string // "" for what is not counted
	}{
		{"resets", frame(3, 0, "\x00\x00\x00\x08"), "RST_STREAM"},
		{"settings", frame(4, 0, ""), "SETTINGS"},
		{"acknowledged settings", frame(4, 1, ""), "SETTINGS"},
		{"pings", frame(6, 0, "12345678"), "PING"},
		{"priorities", frame(2, 0, "12345"), "PRIORITY"},
		{"continuations", frame(9, 0, "1234"), "CONTINUATION"},
		{"goodbyes", frame(7, 0, "12345678"), "GOAWAY"},
		{"promises", frame(5, 4, "1234"), "PUSH_PROMISE"},
		{"updates of priorities", frame(16, 0, "1234u=1"), "unknown"},
		{"unknown frames", frame(255, 0, ""), "unknown"},
		{"data without data", frame(0, 0, ""), "DATA"},
		{"data of padding", frame(0, 8, "\x02\x00\x00"), "DATA"},
		{"data of padding alone", frame(0, 8, "\x00"), "DATA"},
		{"window updates of nothing", frame(8, 0, "\x80\x00\x00\x00"), "WINDOW_UPDATE"},
		{"window updates without a number", frame(8, 0, ""), "WINDOW_UPDATE"},
		{"window updates", frame(8, 0, "\x00\x00\x00\x01"), ""},
		{"data", frame(0, 0, "x"), ""},
		{"data and padding", frame(0, 8, "\x01x\x00"), ""},
		{"the end of data", frame(0, 1, ""), ""},
		{"requests", frame(1, 5, "\x82\x86\x84"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, c := pipe2(t)
				send(t, client, preface+strings.Repeat(tt.frame, 200))
				total, want := 0, len(preface)+50*len(tt.frame)
				for {
					text, err := read(io.LimitReader(c, int64(len(tt.frame))))
					total += len(text)
					if tt.abuse == "" && total == len(preface)+200*len(tt.frame) {
						if c.Abuse() != nil {
							t.Errorf("the abuse is %v", c.Abuse())
						}
						return
					}
					if err == nil {
						continue
					}
					abuse, ok := errors.AsType[*wire.AbuseError](err)
					if !ok || abuse.Slow || abuse.Frame != tt.abuse || abuse != c.Abuse() || !strings.Contains(err.Error(), tt.abuse) {
						t.Fatalf("Read returned %v", err)
					}
					if total >= want+len(tt.frame) || total < want-len(tt.frame) {
						t.Errorf("it was abuse after %d octets, want %d", total, want)
					}
					break
				}
				wantEnd(t, c, c.Abuse())
				if _, err := client.Write([]byte("x")); err == nil {
					t.Error("the connection is open")
				}
			})
		})
	}
}

func TestTheBucketFillsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe2(t)
		ping := frame(6, 0, "12345678")
		send(t, client, preface)
		wantRead(t, c, preface)
		for range 100 { // ten per second, and a burst now and then
			send(t, client, strings.Repeat(ping, 50))
			wantRead(t, c, strings.Repeat(ping, 50))
			<-time.After(5 * time.Second)
		}
		for range 50 {
			send(t, client, ping)
			wantRead(t, c, ping)
		}
		for range 10 {
			<-time.After(100 * time.Millisecond)
			send(t, client, ping)
			wantRead(t, c, ping)
		}
		send(t, client, ping)
		if _, err := read(c); err == nil || c.Abuse() == nil {
			t.Errorf("Read returned %v", err)
		}
	})
}

func TestMostOfTheAbuseIsNamed(t *testing.T) {
	t.Parallel()
	client, c := pipe2(t)
	send(t, client, preface+strings.Repeat(frame(4, 0, ""), 20)+strings.Repeat(frame(3, 0, "1234"), 28)+strings.Repeat(frame(6, 0, "12345678"), 10))
	if _, err := io.Copy(io.Discard, c); err == nil || c.Abuse().Frame != "RST_STREAM" {
		t.Errorf("%v", err)
	}
}

func TestWhatHTTP2BeginsItHasToEndInTime(t *testing.T) {
	t.Parallel()
	settings := frame(4, 0, "")
	tests := []struct {
		name  string
		steps []string // a second apart
		slow  bool
	}{
		{"nothing", []string{""}, true},
		{"a part of the preface", []string{preface[:5], preface[5:8]}, true},
		{"the preface alone", []string{preface}, true},
		{"settings", []string{preface + settings}, false},
		{"a part of settings", []string{preface, frame(4, 0, "123456")[:10]}, true},
		{"a part of a frame's header", []string{preface + settings, settings[:5]}, true},
		{"a header block", []string{preface + settings, frame(1, 4, "\x82\x86\x84")}, false},
		{"a header block that goes on", []string{preface + settings, frame(1, 0, "\x82\x86\x84")}, true},
		{"a header block that went on", []string{preface + settings, frame(1, 0, "\x82\x86\x84"), frame(9, 0, ""), frame(9, 4, "\x90")}, false},
		{"a header block that goes on and on", []string{preface + settings, frame(1, 0, "\x82\x86\x84"), frame(9, 0, ""), frame(9, 0, "")}, true},
		{"a header block in a frame that is cut", []string{preface + settings, frame(1, 4, "\x82\x86\x84")[:11]}, true},
		{"data that are cut", []string{preface + settings, frame(0, 0, "xxx")[:10]}, false},
		{"the next header block has its own time", []string{
			preface + settings, frame(1, 0, "\x82\x86\x84"), "", "", frame(9, 4, "\x90") + frame(1, 0, "\x82\x86\x84"), "", "", "", "", "", "", frame(9, 4, "\x90"),
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, c := pipe2(t)
				start, begun := time.Now(), time.Duration(-1)
				go func() { _, _ = io.Copy(io.Discard, c) }()
				for i, step := range tt.steps {
					if _, err := io.WriteString(client, step); err != nil {
						t.Fatalf("step %d: %v", i, err)
					}
					if begun < 0 && tt.slow && i > 0 && strings.HasPrefix(tt.steps[0], preface+settings) {
						begun = time.Since(start)
					}
					<-time.After(time.Second)
				}
				begun = max(begun, 0)
				<-time.After(time.Until(start.Add(begun + limits().HeaderTimeout - time.Nanosecond)))
				synctest.Wait()
				if abuse := c.Abuse(); abuse != nil {
					t.Errorf("it is abuse too early: %v", abuse)
				}
				<-time.After(time.Hour)
				synctest.Wait()
				if abuse := c.Abuse(); (abuse != nil) != tt.slow || abuse != nil && (!abuse.Slow || abuse.Frame != "") {
					t.Errorf("the abuse is %v, want slow = %v", abuse, tt.slow)
				}
			})
		})
	}
}

func TestAReadOfHTTP2ThatIsEndedLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe2(t)
		_ = c.SetDeadline(past)
		wantEnd(t, c, os.ErrDeadlineExceeded)
		_ = c.SetDeadline(time.Time{})
		done := background(c)
		_ = c.SetReadDeadline(past)
		if r := <-done; !errors.Is(r.err, os.ErrDeadlineExceeded) {
			t.Errorf("Read returned %v", r.err)
		}
		_ = c.SetReadDeadline(time.Time{})
		send(t, client, preface)
		wantRead(t, c, preface)
		if c.NetConn() == nil || !errors.Is(c.CloseWrite(), errors.ErrUnsupported) { // net.Pipe cannot
			t.Error("the connection below is hidden")
		}
		c.Close()
		wantEnd(t, c, net.ErrClosed)
	})
}

// A service that speaks both over one socket, as the gateway does without TLS.
func TestNetHTTPSpeaksBothProtocolsBehindPreface(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	var mu sync.Mutex
	var wrapped []*wire.HTTP2
	server := &http.Server{
		Protocols: &protocols, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s over %s", body, r.Proto)
		}),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(wrapping{listener, func(raw net.Conn) net.Conn {
			isHTTP2, c, err := wire.Preface(raw, limits())
			switch {
			case err != nil:
				return raw // one that the transport dialled beside another, and has given up
			case isHTTP2:
				h := wire.NewHTTP2(c, limits(), nil)
				mu.Lock()
				defer mu.Unlock()
				wrapped = append(wrapped, h)
				return h
			}
			return wire.NewHTTP1(c, limits())
		}})
	}()
	defer func() {
		server.Close()
		<-ended
	}()
	body := strings.Repeat("0123456789abcdef", 10<<10)
	for _, http2 := range []bool{false, true} {
		var p http.Protocols
		p.SetHTTP1(!http2)
		p.SetUnencryptedHTTP2(http2)
		transport := &http.Transport{Protocols: &p}
		for range 3 {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+listener.Addr().String(), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || string(got) != body+" over "+response.Proto || (response.ProtoMajor == 2) != http2 {
				t.Errorf("%d octets over %s, %v", len(got), response.Proto, err)
			}
		}
		if !http2 {
			transport.CloseIdleConnections()
			continue
		}
		reset(t, transport, listener.Addr().String(), func() bool {
			mu.Lock() // resets that are on their way count as streams, so there may be several connections
			defer mu.Unlock()
			return slices.ContainsFunc(wrapped, func(h *wire.HTTP2) bool { a := h.Abuse(); return a != nil && a.Frame == "RST_STREAM" })
		})
		transport.CloseIdleConnections()
	}
}

// reset begins requests and cancels them until somebody minds.
func reset(t *testing.T, transport *http.Transport, address string, minds func() bool) {
	t.Helper()
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, r)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = w.Write([]byte("x"))
			cancel()
			_ = w.Close()
		}()
		response, err := transport.RoundTrip(request)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body) // it is cut as soon as it begins
			response.Body.Close()
		}
		cancel()
		if minds() {
			return
		}
	}
	t.Error("nobody minds the resets")
}
