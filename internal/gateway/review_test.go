package gateway_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gateway"
	"sallyport/internal/testpki"
)

func TestAStreamThatWasOpenedWithAnIdentityEndsWithIt(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{
		"an invalid certificate counts as none": "{mode: optional, on_invalid: ignore, trust: [partners]}",
		"no certificate is demanded":            "{mode: none, trust: [partners]}",
		"refusals are observed only":            "{mode: required, trust: [partners], observe_only: true}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newStreamer(t)
			document := func(ca string) string {
				return strings.Replace(streams(b, ca, "{common_name: partner-a}"), "{mode: required, trust: [partners]}", rule, 1)
			}
			s := newSite(t, firstDocument)
			s.apply(document("ca.pem"))
			known, stranger, nobody := s.webSocket(s.a, "/members/ws"), s.webSocket(s.outsider, "/members/ws"), s.webSocket(nil, "/members/ws")
			s.apply(document("stranger-ca.pem"))
			isCut(t, known)
			record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["api"] == "members" })
			if failure, _ := record["failure"].(string); !strings.Contains(failure, "judged again: certificate_untrusted") || record["client_accepted"] != true {
				t.Errorf("the record: %v", record)
			}
			s.echoes(stranger) // whoever was nobody before stays what he was to the backend
			s.echoes(nobody)
		})
	}
}

func TestAStreamWhoseCertificateExpiresIsCutWhereItWouldBeAnonymous(t *testing.T) {
	t.Parallel()
	b := newStreamer(t)
	s := newSite(t, firstDocument)
	s.apply(strings.Replace(streams(b, "ca.pem", "{common_name: partner-a}"), "mode: required, trust: [partners]", "mode: optional, on_invalid: ignore, trust: [partners]", 1))
	brief := s.ca.Leaf(t, testpki.Options{CommonName: "partner-a", NotAfter: time.Now().Add(time.Hour)})
	open := s.webSocket(brief, "/members/ws")
	s.clock.set(brief.Cert.NotAfter.Add(time.Second))
	isCut(t, open)
	record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["api"] == "members" })
	if failure, _ := record["failure"].(string); !strings.Contains(failure, "judged again: certificate_expired") {
		t.Errorf("the record: %v", record)
	}
}

// transfers is a backend that takes uploads without end and sends half of a download.
func transfers(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				if r.Method == http.MethodGet {
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
				}
				_, _ = io.Copy(io.Discard, in)
			}()
		}
	}()
	return l.Addr().String()
}

func TestABodyOfDeclaredLengthIsJudgedAgainWhenItLasts(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"an upload":  "POST /members/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc",
		"a download": "GET /members/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &streamer{address: transfers(t)}
			s := newSite(t, firstDocument)
			s.apply(streams(b, "ca.pem", "{common_name: partner-a}"))
			conn := s.caller("public", "localhost", s.a).dial()
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			s.open(t, 1)
			moved := strings.Replace(streams(b, "ca.pem", "{common_name: partner-a}"), "path: /members/", "path: /elsewhere/", 1)
			gateway.AgeExchanges(s.gateway, time.Minute)
			s.apply(moved) // not for something else than its caller
			gateway.Review(s.gateway)
			if gateway.Exchanges(s.gateway) != 1 {
				t.Fatal("it was cut because its path is another API's now")
			}
			s.apply(streams(b, "stranger-ca.pem", "{common_name: partner-a}"))
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("it goes on")
			}
			record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "request" && r["path"] == "/members/x" })
			if failure, _ := record["failure"].(string); !strings.Contains(failure+fmt.Sprint(record["detail"]), "judged again: certificate_untrusted") {
				t.Errorf("the record: %v", record)
			}
		})
	}
}

// open waits until so many exchanges are on their way.
func (s *site) open(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); gateway.Exchanges(s.gateway) != n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d exchanges are on their way, not %d", gateway.Exchanges(s.gateway), n)
		}
	}
}

func TestACallerThatLeavesATunnelIsNoticedThoughTheTargetTakesNothing(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = http.ReadRequest(bufio.NewReaderSize(conn, 4096))
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		<-release
	}()
	s := newSite(t, firstDocument)
	s.apply(strings.Replace(limited("send_timeout: 300ms"), "BACKEND", l.Addr().String(), 1))
	c := s.caller("public", "localhost", nil)
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(t.Context(), "tcp", s.address("public"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "GET /open/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", response, err)
	}
	_ = response.Body.Close()
	for piece := make([]byte, 1<<20); err == nil; {
		_, err = conn.Write(piece) // until the gateway gives up
	}
	record := s.records.wait(t, func(r map[string]any) bool { return r["path"] == "/open/" })
	if record["failure"] != "the target took longer than send_timeout to receive" {
		t.Errorf("the record: %v", record)
	}
}
