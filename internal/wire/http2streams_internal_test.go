package wire

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exchange2 sends the pieces of a client, each behind what the server writes then, and returns what passed.
func exchange2(t *testing.T, pieces ...[2]string) []event {
	t.Helper()
	client := &script{}
	c := NewHTTP2(&sink{client}, fuzzLimits, nil)
	client.in = []byte(preface)
	var out []byte
	for _, piece := range pieces {
		for _, octet := range []byte(piece[0]) { // cut as finely as can be
			if _, err := c.Write([]byte{octet}); err != nil {
				t.Fatal(err)
			}
		}
		client.in = append(client.in, piece[1]...)
		got, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got...)
	}
	frames, err := frameList(out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range frames {
		frames[i].Raw = ""
	}
	return frames
}

// sink is a script that takes what is written.
type sink struct{ *script }

func (*sink) Write(p []byte) (int, error) { return len(p), nil }

func TestTrailersOfAStreamThatWasResetAreDropped(t *testing.T) {
	t.Parallel()
	const (
		resets  = "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x00"
		answers = "\x00\x00\x02\x01\x05\x00\x00\x00\x01\x88\x89" + "\x00\x00\x0d\x00\x00\x00\x00\x00\x01" + "\x00\x00\x04\x03\x00\x00\x00\x00\x01data" // that looks like a reset
	)
	posts := onStream(1, 1, 4, get())
	trailers := onStream(1, 1, 5, block("x-a", "b"))
	next := onStream(3, 1, 5, "\x82\x86\x84\xbe") // x-a by the table
	head := event{Kind: "head", Stream: 1, Fields: []pair{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/p"}}}
	trailer := event{Kind: "trailer", Stream: 1, Ends: true, Fields: []pair{{"x-a", "b"}}}
	second := event{Kind: "head", Stream: 3, Ends: true, Fields: []pair{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"x-a", "b"}}}
	tests := []struct {
		name   string
		pieces [][2]string
		want   []event
	}{
		{"a stream that goes on", [][2]string{{"", posts}, {answers, trailers + next}}, []event{head, trailer, second}},
		{"a stream that was reset", [][2]string{{"", posts}, {answers + resets, trailers + next}}, []event{head, second}},
		{"a stream that was reset, and trailers in pieces", [][2]string{
			{"", posts},
			{resets, onStream(1, 1, 1, "") + onStream(1, 9, 0, block("x-a", "b")[:3]) + onStream(1, 9, 4, block("x-a", "b")[3:]) + next},
		}, []event{head, second}},
		{"a reset between the pieces", [][2]string{
			{"", posts + onStream(1, 1, 1, block("x-a", "b")[:3])},
			{resets, onStream(1, 9, 4, block("x-a", "b")[3:]) + next},
		}, []event{head, second}},
		{"a second time", [][2]string{{"", posts}, {resets, trailers + onStream(1, 1, 5, "\xbe")}}, []event{head, trailer}},
		{"a second time, and another reset", [][2]string{{"", posts}, {resets, trailers}, {resets, onStream(1, 1, 5, "\xbe")}}, []event{head, trailer}},
		{"a stream that its client had ended", [][2]string{{"", onStream(1, 1, 5, get())}, {resets, trailers}}, []event{{Kind: "head", Stream: 1, Ends: true, Fields: head.Fields}, trailer}},
		{"a stream that was reset before it was opened", [][2]string{{resets, posts + trailers}}, []event{head, trailer}},
		{"a head that was replaced by one that is reset", [][2]string{{"", onStream(1, 1, 4, block("X", "y")) + trailers + next}}, []event{{Kind: "refused", Stream: 1}, second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := exchange2(t, tt.pieces...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is remembered of streams does not grow with them.
func TestStreamsThatWereResetLongAgoAreForgotten(t *testing.T) {
	t.Parallel()
	var s streams
	s.reset(1)
	s.opened(1, true)
	if s.trailer(1) || s.places != nil {
		t.Error("a stream without a body takes a place")
	}
	last := uint32(1<<31 - 1)
	for id := last - 2*10*manyStreams; id <= last; id += 2 {
		s.opened(id, false)
		s.reset(id)
	}
	if len(s.places) != manyStreams || s.trailer(last-2*manyStreams) {
		t.Errorf("%d streams are remembered", len(s.places))
	}
	for id := last - 2*(manyStreams-1); id < last; id += 2 {
		if !s.trailer(id) || s.trailer(id) {
			t.Fatalf("stream %d is not remembered once", id)
		}
	}
}

func TestAWriteOfHTTP2CostsNoAllocation(t *testing.T) {
	c := NewHTTP2(&sink{&script{}}, fuzzLimits, nil)
	text := []byte(onStream(1, 0, 0, "data") + onStream(1, 3, 0, "\x00\x00\x00\x00"))
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Write(text) }); n != 0 {
		t.Errorf("a Write allocates %v times", n)
	}
}

// A client that does not read must not hold up what else happens to its connection.
func TestAWriteOfHTTP2KeepsNoLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := NewHTTP2(server, fuzzLimits, nil)
		wrote := make(chan error)
		go func() {
			_, err := c.Write([]byte(onStream(1, 3, 0, "\x00\x00\x00\x00")))
			wrote <- err
		}()
		synctest.Wait() // it waits for the client
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if abuse := c.Abuse(); abuse != nil {
			t.Error(abuse)
		}
		client.Close()
		if err := <-wrote; err == nil {
			t.Error("Write returned no error")
		}
		c.Close()
	})
}
