package wire_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/wire"
)

func TestPrefaceTellsTheProtocols(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		pieces []string
		http2  bool
	}{
		{"HTTP/1", []string{plain}, false},
		{"HTTP/2", []string{preface + "more"}, true},
		{"HTTP/2 in pieces", []string{preface[:1], preface[1:20], preface[20:] + "more"}, true},
		{"HTTP/1 that begins alike", []string{"P", "RI * HTTP/1.1\r\n"}, false},
		{"HTTP/2 that ends otherwise", []string{preface[:23] + "\r"}, false},
		{"one octet", []string{"G"}, false},
		{"a part of the preface, then the end", []string{preface[:12]}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, server := net.Pipe()
			defer server.Close()
			sent := ""
			for _, piece := range tt.pieces {
				sent += piece
			}
			go func() {
				defer client.Close()
				for _, piece := range tt.pieces {
					_, _ = io.WriteString(client, piece)
				}
			}()
			http2, c, err := wire.Preface(server, limits())
			if err != nil || http2 != tt.http2 {
				t.Fatalf("Preface returned %v, %v", http2, err)
			}
			if got, err := io.ReadAll(c); err != nil || string(got) != sent {
				t.Errorf("the connection reads %q, %v; want %q", got, err, sent)
			}
			if below := c.(interface{ NetConn() net.Conn }).NetConn(); below != server {
				t.Errorf("the connection below is %v", below)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("CloseWrite returned %v", err)
			}
		})
	}
}

func TestPrefaceDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		defer client.Close()
		start := time.Now()
		if _, c, err := wire.Preface(server, limits()); !errors.Is(err, os.ErrDeadlineExceeded) || c != nil || time.Since(start) != limits().IdleTimeout {
			t.Errorf("Preface returned %v, %v after %v", c, err, time.Since(start))
		}
		send(t, client, "G")
		_, c, err := wire.Preface(server, limits())
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		send(t, client, plain[1:])
		wantRead(t, c, "G")
		wantRead(t, c, plain[1:]) // the deadline is gone
	})
}

func TestAHeadThatBeginsAsThePrefaceHasTheTimeOfAHead(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"P", preface[:5], preface[:16]} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			defer server.Close()
			defer client.Close()
			start := time.Now()
			go func() {
				<-time.After(50 * time.Second) // it may be silent for as long as a connection may be idle
				_, _ = io.WriteString(client, first)
			}()
			http2, c, err := wire.Preface(server, limits())
			if err != nil || http2 {
				t.Fatalf("%q: Preface returned %v, %v", first, http2, err)
			}
			h := wire.NewHTTP1(c, limits())
			if _, err := read(h); err != nil {
				t.Fatal(err)
			}
			if _, problem := h.Problem(); problem == nil || problem.Kind != wire.TooSlow && first != preface[:16] {
				t.Errorf("%q: the problem is %v", first, problem)
			}
			if took := time.Since(start); took != 50*time.Second+limits().HeaderTimeout {
				t.Errorf("%q: it took %v", first, took)
			}
			h.Done()
		})
	}
}

func TestTheRequestAfterOneThatBeganAsThePrefaceHasItsOwnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		defer client.Close()
		const patch = "PATCH / HTTP/1.1\r\nHost: a.test\r\n\r\n"
		send(t, client, patch)
		_, c, err := wire.Preface(server, limits())
		if err != nil {
			t.Fatal(err)
		}
		h := wire.NewHTTP1(c, limits())
		wantRead(t, h, patch)
		h.Done()
		<-time.After(50 * time.Second)
		send(t, client, plain[:5])
		start := time.Now()
		wantProblem(t, h, 2, wire.TooSlow)
		if took := time.Since(start); took != limits().HeaderTimeout {
			t.Errorf("it took %v", took)
		}
	})
}

func TestPrefaceReportsAConnectionThatIsGone(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer server.Close()
	go client.Close()
	if _, c, err := wire.Preface(server, limits()); err == nil || c != nil {
		t.Errorf("Preface returned %v, %v", c, err)
	}
	server.Close()
	if _, c, err := wire.Preface(server, limits()); err == nil || c != nil {
		t.Errorf("Preface returned %v, %v", c, err)
	}
}
