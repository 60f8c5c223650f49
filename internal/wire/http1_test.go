package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/wire"
)

const (
	plain   = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
	upgrade = "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
)

// grace is what Retire waits for a request that has arrived.
const grace = time.Millisecond

// past is what net/http sets to end a read that is under way.
var past = time.Unix(1, 0)

// pipe returns a connection of which the test is the client.
func pipe(t *testing.T, l wire.Limits) (net.Conn, *wire.HTTP1) {
	t.Helper()
	client, server := net.Pipe()
	c := wire.NewHTTP1(server, l)
	t.Cleanup(func() {
		client.Close()
		c.Close()
	})
	return client, c
}

// read reads once, into as much room as net/http has.
func read(c io.Reader) (string, error) {
	p := make([]byte, 4<<10)
	n, err := c.Read(p)
	return string(p[:n]), err
}

// wantRead complains unless the next Read returns all of the text.
func wantRead(t *testing.T, c io.Reader, want string) {
	t.Helper()
	if got, err := read(c); err != nil || got != want {
		t.Fatalf("Read returned %q, %v; want %q", got, err, want)
	}
}

// wantEnd complains unless the next Read returns the error.
func wantEnd(t *testing.T, c io.Reader, want error) {
	t.Helper()
	if got, err := read(c); got != "" || !errors.Is(err, want) {
		t.Fatalf("Read returned %q, %v; want %v", got, err, want)
	}
}

// wantProblem complains unless the next Read returns what stands in for a request with this problem.
func wantProblem(t *testing.T, c *wire.HTTP1, ordinal int64, kind wire.Kind) {
	t.Helper()
	got, err := read(c)
	if err != nil || !strings.HasPrefix(got, "OPTIONS * ") {
		t.Fatalf("Read returned %q, %v", got, err)
	}
	if n, p := c.Problem(); p == nil || n != ordinal || p.Kind != kind || p.Detail == "" {
		t.Fatalf("Problem() = %d, %+v; want %d, %v", n, p, ordinal, kind)
	}
}

// send writes without waiting for a reader.
func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	go func() { _, _ = io.WriteString(c, text) }() // ends with the connection
}

// result is what a Read in a goroutine of its own returned.
type result struct {
	text string
	err  error
	at   time.Time
}

// background starts a Read of one octet, as net/http does while a handler runs.
func background(c io.Reader) <-chan result {
	done := make(chan result, 1)
	go func() {
		p := make([]byte, 1)
		n, err := c.Read(p)
		done <- result{string(p[:n]), err, time.Now()}
	}()
	synctest.Wait()
	return done
}

func waiting(t *testing.T, done <-chan result) {
	t.Helper()
	synctest.Wait()
	select {
	case r := <-done:
		t.Fatalf("Read returned %q, %v; want it to wait", r.text, r.err)
	default:
	}
}

// after returns what Read returned, and complains unless it did after a time.
func after(t *testing.T, done <-chan result, start time.Time, want time.Duration) result {
	t.Helper()
	r := <-done
	if got := r.at.Sub(start); got != want {
		t.Errorf("Read returned after %v, want %v", got, want)
	}
	return r
}

func TestTheZeroLimitsLetNothingPass(t *testing.T) {
	t.Parallel()
	client, c := pipe(t, wire.Limits{})
	send(t, client, plain)
	wantEnd(t, c, io.EOF)
	for name, change := range map[string]func(*wire.Limits){
		"no header bytes":  func(l *wire.Limits) { l.HeaderBytes = 0 },
		"no header fields": func(l *wire.Limits) { l.HeaderFields = 0 },
		"no target bytes":  func(l *wire.Limits) { l.TargetBytes = 0 },
		"no idle time":     func(l *wire.Limits) { l.IdleTimeout = 0 },
	} {
		l := limits()
		change(&l)
		client, c := pipe(t, l)
		send(t, client, plain)
		if got, err := read(c); err == nil && !strings.HasPrefix(got, "OPTIONS *") {
			t.Errorf("%s: %q passed", name, got)
		}
	}
	l := limits()
	l.HeaderTimeout = 0
	client, c = pipe(t, l)
	send(t, client, "GET")
	wantProblem(t, c, 1, wire.TooSlow)
}

func TestAConnectionThatSendsNothingEndsAfterTheIdleTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		start := time.Now()
		if r := after(t, background(c), start, time.Minute); !errors.Is(r.err, io.EOF) {
			t.Errorf("Read returned %q, %v", r.text, r.err)
		}
		send(t, client, plain)
		wantEnd(t, c, io.EOF)
		if _, p := c.Problem(); p != nil || !c.Idle() {
			t.Errorf("the problem is %+v", p)
		}
	})
}

func TestTheIdleTimeoutBeginsAgainWhenARequestIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		<-time.After(50 * time.Second)
		send(t, client, plain)
		wantRead(t, c, plain)
		done := background(c)
		<-time.After(time.Hour)
		waiting(t, done) // a handler may take its time
		c.Done()
		start := time.Now()
		if r := after(t, done, start, time.Minute); !errors.Is(r.err, io.EOF) {
			t.Errorf("Read returned %q, %v", r.text, r.err)
		}
	})
}

func TestAHeadThatDripsIsTooSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		<-time.After(59 * time.Second)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for _, octet := range []byte(plain) {
				if _, err := client.Write([]byte{octet}); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}()
		start := time.Now()
		wantProblem(t, c, 1, wire.TooSlow)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		client.Close()
		<-ended
	})
}

func TestWhatBeginsAsNoRequestDoesIsNotAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for stream, kind := range map[string]wire.Kind{
			"\x16\x03\x01": wire.Malformed, " ": wire.Malformed, "GET\t": wire.Malformed, "\rG": wire.Malformed,
			"GET /" + strings.Repeat("x", 1<<10): wire.TargetTooLong, strings.Repeat("G", 9<<10): wire.HeaderTooLarge,
		} {
			client, c := pipe(t, limits())
			send(t, client, stream)
			start := time.Now()
			wantProblem(t, c, 1, kind)
			if took := time.Since(start); took != 0 {
				t.Errorf("%.5q was refused after %v", stream, took)
			}
		}
	})
}

func TestAFoldedValueIsCalledOne(t *testing.T) {
	t.Parallel()
	client, c := pipe(t, limits())
	send(t, client, post("A: b\r\n c: d\r\n\r\n"))
	wantProblem(t, c, 1, wire.Malformed)
	if _, p := c.Problem(); !strings.Contains(p.Detail, "begins with a blank") {
		t.Errorf("the detail is %q", p.Detail)
	}
}

func TestAnEmptyLineDoesNotBeginARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		send(t, client, "\r\n")
		if r := after(t, background(c), time.Now(), time.Minute); !errors.Is(r.err, io.EOF) {
			t.Errorf("Read returned %q, %v", r.text, r.err)
		}
	})
}

func TestAnEmptyLineInPiecesIsDropped(t *testing.T) {
	t.Parallel()
	client, c := pipe(t, limits())
	go func() {
		for _, piece := range []string{"\r", "\n", plain, "\r", "\n" + plain} {
			_, _ = io.WriteString(client, piece)
		}
	}()
	wantRead(t, c, plain)
	wantRead(t, c, plain)
}

func TestARequestThatComesWhileAnotherIsHandledIsNotHurried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		send(t, client, plain)
		wantRead(t, c, plain)
		done := background(c)
		send(t, client, plain[:10])
		<-time.After(time.Hour)
		waiting(t, done)
		c.Done()
		start := time.Now()
		if r := after(t, done, start, 10*time.Second); r.text != "O" {
			t.Errorf("Read returned %q, %v", r.text, r.err)
		}
		if n, p := c.Problem(); n != 2 || p.Kind != wire.TooSlow {
			t.Errorf("Problem() = %d, %+v", n, p)
		}
	})
}

func TestAReadThatIsEndedLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		send(t, client, plain)
		wantRead(t, c, plain)
		for _, piece := range []string{"", plain[:1], plain[1:20], ""} {
			done := background(c)
			send(t, client, piece)
			waiting(t, done)
			_ = c.SetReadDeadline(past)
			var timeout net.Error
			if r := <-done; !errors.As(r.err, &timeout) || !timeout.Timeout() || !errors.Is(r.err, os.ErrDeadlineExceeded) {
				t.Fatalf("Read returned %q, %v", r.text, r.err)
			}
			_ = c.SetReadDeadline(time.Time{})
		}
		c.Done()
		send(t, client, plain[20:])
		wantRead(t, c, plain)
	})
}

func TestTheEarlierDeadlineHolds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		theirs time.Duration // 0 for none
		want   time.Duration
		err    error
	}{
		{"the user has none", 0, time.Minute, io.EOF},
		{"the user's is later", time.Hour, time.Minute, io.EOF},
		{"the user's is earlier", time.Second, time.Second, os.ErrDeadlineExceeded},
		{"the user's has passed", -time.Second, 0, os.ErrDeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, c := pipe(t, limits())
				start := time.Now()
				done := background(c)
				if tt.theirs != 0 {
					_ = c.SetDeadline(start.Add(tt.theirs))
				}
				if r := after(t, done, start, tt.want); !errors.Is(r.err, tt.err) {
					t.Errorf("Read returned %v, want %v", r.err, tt.err)
				}
			})
		})
	}
}

func TestTheEndOfTheClientPassesWhileAHandlerRuns(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"", plain[:10]} {
		synctest.Test(t, func(t *testing.T) {
			client, c := pipe(t, limits())
			send(t, client, plain)
			wantRead(t, c, plain)
			done := background(c)
			send(t, client, sent)
			waiting(t, done)
			client.Close()
			if r := <-done; !errors.Is(r.err, io.EOF) {
				t.Errorf("Read returned %q, %v", r.text, r.err)
			}
			c.Done()
			if sent == "" {
				wantEnd(t, c, io.EOF)
				return
			}
			wantProblem(t, c, 2, wire.Malformed) // it is for the record; nobody reads the answer
		})
	}
}

func TestTheRestOfABodyHasItsTimeAfterDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		const head = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n"
		send(t, client, head+"12345")
		wantRead(t, c, head+"12345")
		done := background(c)
		<-time.After(time.Hour)
		waiting(t, done)
		c.Done()
		if r := after(t, done, time.Now(), 10*time.Second); !errors.Is(r.err, os.ErrDeadlineExceeded) {
			t.Errorf("Read returned %q, %v", r.text, r.err)
		}
		_ = c.SetReadDeadline(time.Time{})
		wantEnd(t, c, os.ErrDeadlineExceeded)
	})
}

func TestIdleSaysWhetherARequestIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		want := func(idle bool, when string) {
			t.Helper()
			if c.Idle() != idle {
				t.Errorf("Idle() = %v %s", !idle, when)
			}
		}
		want(true, "at the beginning")
		done := background(c)
		send(t, client, plain[:5])
		waiting(t, done)
		want(false, "with a part of a head")
		send(t, client, plain[5:])
		<-done
		want(false, "with a head")
		wantRead(t, c, plain[1:])
		c.Done()
		want(true, "after Done")
		c.Done()
		want(true, "after another Done")
		send(t, client, plain)
		wantRead(t, c, plain)
		want(false, "with the next head: a Done too many does not count")
	})
}

func TestAfterARefusalNothingIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe(t, limits())
		send(t, client, plain+"GET / HTTP/1.1\n"+plain)
		wantRead(t, c, plain)
		wantProblem(t, c, 2, wire.Malformed)
		c.Done()
		done := background(c)
		waiting(t, done) // the end would say that the client is gone
		_ = c.SetReadDeadline(past)
		if r := <-done; !errors.Is(r.err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read returned %q, %v", r.text, r.err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		done = background(c)
		if c.Tunnel() == nil {
			t.Error("a client that was refused got a tunnel")
		}
		waiting(t, done)
		c.Done()
		if r := <-done; !errors.Is(r.err, io.EOF) {
			t.Errorf("Read returned %q, %v", r.text, r.err)
		}
		wantEnd(t, c, io.EOF)
	})
}

func TestABodyThatBreaksTheRulesEndsTheConnection(t *testing.T) {
	t.Parallel()
	client, c := pipe(t, limits())
	const fine = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	send(t, client, fine+"x\r\n"+plain)
	wantRead(t, c, fine)
	for range 2 {
		got, err := read(c)
		if violation, ok := errors.AsType[*wire.BodyError](err); !ok || got != "" || violation.Problem.Status != 400 {
			t.Fatalf("Read returned %q, %v", got, err)
		}
		if c.Tunnel() == nil {
			t.Error("a client that was refused got a tunnel")
		}
		c.Done()
	}
	if _, err := read(c); !errors.Is(err, c.Err()) {
		t.Errorf("Err() = %v", c.Err())
	}
}

func TestExtensionsOfAllChunksTogetherAreBounded(t *testing.T) {
	t.Parallel()
	const chunk = 200
	for n, want := range map[int]bool{16<<10/chunk - 1: true, 16<<10/chunk + 1: false} {
		s := serve(t, limits(), nil, nil)
		c := s.dial(t)
		write(t, c, chunks(strings.Repeat("1;"+strings.Repeat("x", chunk-1)+"\r\ny\r\n", n)+"000000000000000\r\n\r\n"))
		if got := <-s.seen; (got.Status == 0) != want {
			t.Errorf("%d extensions of %d octets: %+v", n, chunk, got)
		}
	}
}

func TestALimitMeansWhatItSays(t *testing.T) {
	t.Parallel()
	l := limits()
	for _, tt := range []struct {
		name, stream string
		kind         wire.Kind
		refused      bool
	}{
		{"the largest head", plain[:len(plain)-2] + "A: " + strings.Repeat("b", l.HeaderBytes-len(plain)-5) + "\r\n\r\n", 0, false},
		{"one octet more", plain[:len(plain)-2] + "A: " + strings.Repeat("b", l.HeaderBytes-len(plain)-4) + "\r\n\r\n", wire.HeaderTooLarge, true},
		{"one octet more, without its end", plain[:len(plain)-2] + "A: " + strings.Repeat("b", l.HeaderBytes-len(plain)), wire.HeaderTooLarge, true},
		{"the largest trailer section", chunks("0\r\nA: " + strings.Repeat("b", 4<<10-7) + "\r\n\r\n"), 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, c := pipe(t, l)
			send(t, client, tt.stream)
			var got bytes.Buffer
			for !tt.refused && got.Len() < len(tt.stream) {
				text, err := read(c)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString(text)
			}
			if tt.refused {
				wantProblem(t, c, 1, tt.kind)
			} else if _, p := c.Problem(); p != nil || got.String() != tt.stream {
				t.Errorf("%d octets passed; the problem is %+v", got.Len(), p)
			}
		})
	}
}

func TestKindsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"": true}
	for k := range wire.Unsupported + 1 {
		if seen[k.String()] {
			t.Errorf("kind %d is called %q", k, k)
		}
		seen[k.String()] = true
	}
	if got := (wire.Unsupported + 1).String(); got != "" {
		t.Errorf("what is no kind is called %q", got)
	}
}
