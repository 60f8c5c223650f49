package gateway_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// recordClient writes TLS 1.3 records of its own making on a connection whose handshake crypto/tls has done (RFC 8446,
// sections 5.2 and 7.2): crypto/tls itself never asks for another key.
type recordClient struct {
	net.Conn

	t        *testing.T
	secret   []byte
	sequence uint64
}

const (
	applicationData = 23
	handshakeRecord = 22
)

func (s *site) recordClient(listener string) *recordClient {
	s.t.Helper()
	var keys bytes.Buffer
	raw, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.address(listener))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = raw.Close() })
	c := tls.Client(raw, &tls.Config{ServerName: "localhost", RootCAs: s.trustsServer(), MinVersion: tls.VersionTLS13, KeyLogWriter: &keys})
	if err := c.HandshakeContext(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if suite := c.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		s.t.Fatalf("the cipher suite is %s, and this client knows another", tls.CipherSuiteName(suite))
	}
	for line := range strings.Lines(keys.String()) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				s.t.Fatal(err)
			}
			_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
			return &recordClient{Conn: raw, t: s.t, secret: secret}
		}
	}
	s.t.Fatal("crypto/tls did not log the secret")
	return nil
}

// expand is HKDF-Expand-Label without a context.
func (c *recordClient) expand(label string, length int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(append(info, "tls13 "+label...), 0)
	key, err := hkdf.Expand(sha256.New, c.secret, string(info), length)
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

// record returns a protected record.
func (c *recordClient) record(kind byte, content []byte) []byte {
	block, err := aes.NewCipher(c.expand("key", 16))
	if err != nil {
		c.t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		c.t.Fatal(err)
	}
	nonce := c.expand("iv", 12)
	for i, b := range binary.BigEndian.AppendUint64(nil, c.sequence) {
		nonce[4+i] ^= b
	}
	c.sequence++
	inner := append(bytes.Clone(content), kind)
	head := binary.BigEndian.AppendUint16([]byte{applicationData, 3, 3}, uint16(len(inner)+aead.Overhead()))
	return aead.Seal(head, nonce, inner, head)
}

// keyUpdate returns one that asks for another in return, and goes on with the next key.
func (c *recordClient) keyUpdate() []byte {
	record := c.record(handshakeRecord, []byte{24, 0, 0, 1, 1})
	c.secret, c.sequence = c.expand("traffic upd", sha256.Size), 0
	return record
}

// ends returns when the connection does.
func (c *recordClient) ends() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Error("the connection goes on")
	}
}

func TestAFewKeyUpdatesAreAnsweredAndManyEndTheConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, firstDocument)
	few := s.recordClient("public")
	for range 10 {
		if _, err := few.Write(few.keyUpdate()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := few.Write(few.record(applicationData, []byte("GET /open/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	few.ends()
	s.records.wait(t, func(r map[string]any) bool { return r["path"] == "/open/" && r["status"] == 200.0 })

	many := s.recordClient("public") // it never ends its head, and says so little that nothing times out soon
	began := time.Now()
	for i := range 100 {
		piece := []byte("a")
		if i == 0 {
			piece = []byte("GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
		}
		out := many.record(applicationData, piece)
		for range 10 {
			out = append(out, many.keyUpdate()...)
		}
		if _, err := many.Write(out); err != nil {
			break // it was cut
		}
	}
	many.ends()
	if took := time.Since(began); took > 8*time.Second { // header_timeout is ten seconds
		t.Errorf("it took %v", took)
	}
	record := s.records.wait(t, func(r map[string]any) bool { return r["msg"] == "connection closed" })
	if detail, _ := record["detail"].(string); !strings.Contains(detail, "KeyUpdate") || record["reason"] != "overloaded" {
		t.Errorf("the log says %v", record)
	}
}
