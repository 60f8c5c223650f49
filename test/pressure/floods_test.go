package pressure_test

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// What a flood may take of the program until its connection is ended: so many frames, so much CPU, and so much memory.
const (
	floodFrames = 100_000
	floodCPU    = 3.0       // seconds; most take hundredths
	floodMemory = 128 << 20 // bytes
)

// flood is something that costs its sender nothing.
type flood struct {
	name string
	// begin prepares the connection; nil for nothing to prepare.
	begin func(f *framer) error
	// frame sends the n-th time.
	frame func(f *framer, n int) error
	// most is how often it is sent at most, where that is not floodFrames.
	most int
	// harmless says that what is sent is allowed for ever: it need not be ended, only be survived.
	harmless bool
}

var floods = []flood{
	{name: "resets of requests", frame: func(f *framer, n int) error {
		if err := f.open(uint32(2*n+1), true, to("GET", "/")...); err != nil {
			return err
		}
		return f.WriteRSTStream(uint32(2*n+1), http2.ErrCodeCancel)
	}},
	{name: "resets of requests with bodies", frame: func(f *framer, n int) error {
		if err := f.open(uint32(2*n+1), false, to("POST", "/")...); err != nil {
			return err
		}
		return f.WriteRSTStream(uint32(2*n+1), http2.ErrCodeCancel)
	}},
	{name: "requests that make the server reset them", frame: func(f *framer, n int) error {
		if err := f.open(uint32(2*n+1), false, to("POST", "/")...); err != nil {
			return err
		}
		return f.WriteWindowUpdate(uint32(2*n+1), 0)
	}},
	{name: "requests with data behind their end", frame: func(f *framer, n int) error {
		if err := f.open(uint32(2*n+1), true, to("GET", "/")...); err != nil {
			return err
		}
		return f.WriteData(uint32(2*n+1), false, []byte("a"))
	}},
	{name: "windows that are opened too far", frame: func(f *framer, n int) error {
		if err := f.open(uint32(2*n+1), false, to("POST", "/")...); err != nil {
			return err
		}
		return f.WriteWindowUpdate(uint32(2*n+1), 1<<31-1)
	}},
	{name: "requests that are refused streams", frame: func(f *framer, n int) error {
		return f.open(uint32(2*n+1), false, to("POST", "/")...)
	}},
	{name: "malformed requests", frame: func(f *framer, n int) error {
		return f.open(uint32(2*n+1), true, ":method", "GET", "x", "y")
	}},
	{name: "resets of nothing", begin: func(f *framer) error { return f.open(1, true, to("GET", "/")...) }, frame: func(f *framer, _ int) error {
		return f.WriteRSTStream(1, http2.ErrCodeCancel)
	}},
	{name: "settings", frame: func(f *framer, n int) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(n % 1000)})
	}},
	{name: "empty settings", frame: func(f *framer, _ int) error { return f.WriteSettings() }},
	{name: "acknowledged settings", frame: func(f *framer, _ int) error { return f.WriteSettingsAck() }},
	{name: "pings", frame: func(f *framer, n int) error { return f.WritePing(false, [8]byte{byte(n)}) }},
	{name: "answered pings", frame: func(f *framer, n int) error { return f.WritePing(true, [8]byte{byte(n)}) }},
	{name: "priorities", frame: func(f *framer, n int) error {
		return f.WritePriority(uint32(2*n+1), http2.PriorityParam{StreamDep: uint32(2*n + 3), Weight: byte(n)})
	}},
	{name: "unknown frames", frame: func(f *framer, _ int) error { return f.WriteRawFrame(0xbe, 0, 0, nil) }},
	{name: "unknown frames on streams", frame: func(f *framer, n int) error { return f.WriteRawFrame(0xbf, 0, uint32(2*n+1), []byte("a")) }},
	{name: "windows that stay as they are", frame: func(f *framer, _ int) error { return f.WriteWindowUpdate(0, 0) }},
	{name: "data without data", begin: func(f *framer) error { return f.open(1, false, to("POST", "/")...) }, frame: func(f *framer, _ int) error {
		return f.WriteData(1, false, nil)
	}},
	{name: "padding", begin: func(f *framer) error { return f.open(1, false, to("POST", "/")...) }, frame: func(f *framer, _ int) error {
		return f.WriteDataPadded(1, false, nil, make([]byte, 10))
	}},
	{name: "continuations", begin: func(f *framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(to("GET", "/")...)})
	}, frame: func(f *framer, n int) error {
		return f.WriteContinuation(1, false, block("x-a", fmt.Sprint(n)))
	}},
	{name: "empty continuations", begin: func(f *framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(to("GET", "/")...)})
	}, frame: func(f *framer, _ int) error { return f.WriteContinuation(1, false, nil) }},
	{name: "large continuations", begin: func(f *framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(to("GET", "/")...)})
	}, frame: func(f *framer, _ int) error {
		return f.WriteContinuation(1, false, block("x-a", strings.Repeat("\x01", 10_000)))
	}},
	{name: "a header that grows", frame: headerBomb, most: 1000, harmless: true},
	{name: "windows that open by single bytes", frame: func(f *framer, _ int) error { return f.WriteWindowUpdate(0, 1) }, harmless: true},
	{name: "data of single bytes", begin: func(f *framer) error { return f.open(1, false, to("POST", "/")...) }, frame: func(f *framer, _ int) error {
		return f.WriteData(1, false, []byte("a"))
	}, harmless: true},
}

// headerBomb puts a large field into the table of the server, and then names it again and again: each time costs one byte.
func headerBomb(f *framer, n int) error {
	id := uint32(2*n + 1)
	b := block(to("GET", "/")...)
	if n == 0 { // a literal with incremental indexing, "a" and 3,900 octets (RFC 7541, section 6.2.1)
		value := bytes.Repeat([]byte("a"), 3900)
		b = append(b, 0x40, 1, 'a', 0x7f, byte((len(value)-127)&0x7f|0x80), byte((len(value)-127)>>7))
		b = append(b, value...)
	} else {
		b = append(b, bytes.Repeat([]byte{0x80 | 62}, 12_000)...) // 46 MB if anybody wrote it out
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b, EndHeaders: true, EndStream: true})
}

func TestFloodsAreEnded(t *testing.T) {
	t.Parallel()
	if runsElsewhere(t) {
		return
	}
	s := newCrowdSite(t, "{max_connections: 1000, header_timeout: 5s}")
	if err := s.callOnce(); err != nil {
		t.Fatal(err)
	}
	start := s.usage()
	for i := range floods {
		f := &floods[i]
		before := s.usage()
		finish := s.others(t, f.name, 5*time.Second)
		c, err := dialFrom(t.Context(), "127.0.0.2", s.front, "h2")
		if err != nil {
			t.Fatal(err)
		}
		client := newFramer(t, c, true)
		began := time.Now()
		sent := 0
		if f.begin != nil {
			err = f.begin(client)
		}
		if err == nil {
			sent, err = client.flood(cmp.Or(f.most, floodFrames), func(n int) error { return f.frame(client, n) })
		}
		took := time.Since(began)
		if err == nil && !f.harmless {
			t.Errorf("%s: %d did not end the connection", f.name, sent)
		}
		_ = client.Close()
		<-client.done
		s.awaitMetric(func(n float64) bool { return n == 0 }, "sallyport_requests_in_flight")
		finish()
		after := s.usage()
		cpu, memory := after.cpu-before.cpu, after.memory-before.memory
		t.Logf("%s: %d in %v, then %v; %.2f s of CPU, %.1f MiB more", f.name, sent, took.Round(time.Millisecond), client.last(), cpu, memory/(1<<20))
		if cpu > floodCPU || memory > floodMemory {
			t.Errorf("%s: it took %.2f s of CPU and %.1f MiB", f.name, cpu, memory/(1<<20))
		}
	}
	if n := s.metrics().sum("sallyport_connections_closed_total", `cause="abuse"`); n < 10 {
		t.Errorf("%v connections are counted as ended for abuse", n)
	}
	s.calmsDown(start)
	s.stop()
}

// last describes how a connection ended that has.
func (f *framer) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.goAway != nil {
		return "goaway " + f.goAway.code.String()
	}
	return "closed"
}
