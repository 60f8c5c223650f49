package pressure_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// This file is the process of its own that calls the gateway while it is reloaded: the test binary in another role. It
// reads one order from its standard input, calls until that is closed, lets what runs end, and writes every outcome as a
// line of JSON. Nothing is ever sent twice.

const callersRole = "callers"

// order says who calls what.
type order struct {
	Roots string            // PEM
	Certs map[string]string // by name; PEM of certificate and key
	Lanes []lane
}

// lane is one way to call, again and again.
type lane struct {
	Name       string
	Address    string
	ServerName string
	Path       string
	Cert       string // name; empty for none
	HTTP2      bool
	Requests   int // per connection, on each of its streams
	Streams    int // at once, with HTTP/2
	Callers    int // that do the same at the same time
	Body       int // bytes; 0 for GET
	Chunked    bool
	Slow       bool // the body takes slowPieces * slowPace
	Pace       time.Duration
}

// A slow body or answer comes in so many pieces, one after each pace.
const (
	slowPieces = 50
	slowPace   = 100 * time.Millisecond
)

// stage is how far a call came.
type stage string

const (
	stageDial        stage = "dial"
	stageHandshake   stage = "handshake"
	stageSend        stage = "send"        // nothing came back
	stageUnprocessed stage = "unprocessed" // HTTP/2: GOAWAY says that the request was not looked at
	stageAnswer      stage = "answer"      // its header came, not all of it
	stageDone        stage = "done"
)

// outcome is what became of one call. Times are nanoseconds since 1970.
type outcome struct {
	Lane       string
	Local      string // the caller's end of the connection
	Opened     int64  // when the connection was dialled
	Start, End int64
	Stage      stage
	Status     int
	Reason     string // of a refusal
	Error      string
}

// callersProcess is the process.
type callersProcess struct {
	order order
	roots *x509.CertPool
	certs map[string]tls.Certificate

	mu  sync.Mutex
	out *json.Encoder
}

func runCallers(in io.Reader, out io.Writer) int {
	input := bufio.NewReader(in)
	p := &callersProcess{roots: x509.NewCertPool(), certs: map[string]tls.Certificate{}, out: json.NewEncoder(out)}
	line, err := input.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.order)
	}
	for name, text := range p.order.Certs {
		certificate, bad := tls.X509KeyPair([]byte(text), []byte(text))
		p.certs[name], err = certificate, errors.Join(err, bad)
	}
	if err != nil || !p.roots.AppendCertsFromPEM([]byte(p.order.Roots)) {
		fmt.Fprintln(out, "the order cannot be read:", err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range p.order.Lanes {
		for range p.order.Lanes[i].Callers {
			wg.Go(func() { p.call(ctx, &p.order.Lanes[i]) })
		}
	}
	_, _ = io.Copy(io.Discard, input) // until it is closed
	cancel()
	wg.Wait()
	return 0
}

func (p *callersProcess) report(o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.out.Encode(o) // whoever started this reads it
}

// call opens connections and uses them until ctx ends.
func (p *callersProcess) call(ctx context.Context, l *lane) {
	for ctx.Err() == nil {
		opened := time.Now()
		c, at, err := p.connect(l)
		if err != nil {
			p.report(outcome{Lane: l.Name, Opened: opened.UnixNano(), Start: opened.UnixNano(), End: time.Now().UnixNano(), Stage: at, Error: err.Error()})
			wait(ctx, 20*time.Millisecond)
			continue
		}
		if l.HTTP2 {
			p.overHTTP2(ctx, l, c, opened)
		} else {
			p.overHTTP1(ctx, l, c, opened)
		}
		_ = c.Close()
		wait(ctx, l.Pace)
	}
}

// wait waits, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// callTimeout bounds a call; nothing of the program takes so long.
const callTimeout = 60 * time.Second

func (p *callersProcess) connect(l *lane) (*tls.Conn, stage, error) {
	raw, err := (&net.Dialer{Timeout: callTimeout}).DialContext(context.Background(), "tcp", l.Address)
	if err != nil {
		return nil, stageDial, err
	}
	config := &tls.Config{RootCAs: p.roots, ServerName: l.ServerName, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if l.HTTP2 {
		config.NextProtos = []string{"h2"}
	}
	if l.Cert != "" {
		config.GetClientCertificate = present(p.certs[l.Cert])
	}
	c := tls.Client(raw, config)
	_ = c.SetDeadline(time.Now().Add(callTimeout))
	if err := c.HandshakeContext(context.Background()); err != nil {
		_ = raw.Close()
		return nil, stageHandshake, err
	}
	return c, "", nil
}

// overHTTP1 makes the calls of one connection, one after the other.
func (p *callersProcess) overHTTP1(ctx context.Context, l *lane, c *tls.Conn, opened time.Time) {
	in := bufio.NewReader(c)
	for n := range l.Requests {
		if n > 0 && !rests(ctx, c, in, l.Pace) {
			return
		}
		if ctx.Err() != nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(callTimeout))
		r, want := l.request(n)
		o := outcome{Lane: l.Name, Local: c.LocalAddr().String(), Opened: opened.UnixNano(), Start: time.Now().UnixNano(), Stage: stageSend}
		closes := true
		if err := r.Write(c); err != nil {
			o.Error = err.Error()
		} else if response, err := http.ReadResponse(in, r); err != nil {
			o.Error = err.Error()
		} else {
			closes = response.Close
			o.read(response, want)
		}
		o.End = time.Now().UnixNano()
		p.report(o)
		if closes || o.Stage != stageDone {
			return
		}
	}
}

// rests waits between two requests as a careful client does: it watches for the end of the connection, after which
// nothing is sent. It reports whether the connection is there.
func rests(ctx context.Context, c net.Conn, in *bufio.Reader, pace time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	_ = c.SetReadDeadline(time.Now().Add(pace))
	_, err := in.Peek(1)
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// overHTTP2 makes the calls of one connection, on several streams at once.
func (p *callersProcess) overHTTP2(ctx context.Context, l *lane, c *tls.Conn, opened time.Time) {
	_ = c.SetDeadline(time.Time{})
	var only http.Protocols
	only.SetHTTP2(true)
	transport := &http.Transport{
		DisableCompression: true, Protocols: &only,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}
	client, err := transport.NewClientConn(context.Background(), "https", l.Address)
	if err != nil {
		p.report(outcome{Lane: l.Name, Opened: opened.UnixNano(), Start: opened.UnixNano(), End: time.Now().UnixNano(), Stage: stageSend, Error: err.Error()})
		return
	}
	var wg sync.WaitGroup
	for range l.Streams {
		wg.Go(func() {
			for n := range l.Requests {
				if n > 0 {
					wait(ctx, l.Pace)
				}
				if ctx.Err() != nil || client.Reserve() != nil || !p.overStream(l, client, n, opened, c.LocalAddr().String()) {
					return
				}
			}
		})
	}
	wg.Wait()
	_ = client.Close()
}

// overStream makes one call and reports whether others may follow on the connection.
func (p *callersProcess) overStream(l *lane, client *http.ClientConn, n int, opened time.Time, local string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	r, want := l.request(n)
	o := outcome{Lane: l.Name, Local: local, Opened: opened.UnixNano(), Start: time.Now().UnixNano(), Stage: stageSend}
	response, err := client.RoundTrip(r.WithContext(ctx))
	switch {
	case err == nil:
		o.read(response, want)
	case strings.Contains(err.Error(), "client conn not usable"):
		return false // it ended before anything was sent
	case strings.Contains(err.Error(), "graceful shutdown GOAWAY"):
		o.Stage, o.Error = stageUnprocessed, err.Error()
	default:
		o.Error = err.Error()
	}
	o.End = time.Now().UnixNano()
	p.report(o)
	return o.Stage == stageDone
}

// request makes a call's request, and says what the backend answers to it.
func (l *lane) request(n int) (r *http.Request, want string) {
	method, body := http.MethodGet, []byte(nil)
	if l.Body > 0 {
		method = http.MethodPost
		body = bytes.Repeat(fmt.Appendf(nil, "%s %d\n", l.Name, n), l.Body/8+1)[:l.Body]
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "https://"+l.ServerName+l.Path, http.NoBody)
	if err != nil {
		panic(err) // the test's own address
	}
	r.Header.Set("User-Agent", "callers")
	if body != nil {
		content := io.Reader(bytes.NewReader(body))
		if l.Slow {
			content = &slowReader{data: body}
		}
		r.Body = struct { // no GetBody, so that nobody can send it twice
			io.Reader
			io.Closer
		}{content, io.NopCloser(nil)}
		if r.ContentLength = int64(len(body)); l.Chunked {
			r.ContentLength = -1
		}
	}
	return r, echo(method, l.Path, body)
}

// read reads an answer and compares it.
func (o *outcome) read(response *http.Response, want string) {
	o.Status, o.Stage = response.StatusCode, stageAnswer
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it was read
	if err != nil {
		o.Error = err.Error()
		return
	}
	o.Stage = stageDone
	if o.Status != http.StatusOK {
		var problem struct{ Reason string }
		_ = json.Unmarshal(body, &problem)
		o.Reason = problem.Reason
		return
	}
	if got := string(body); got != want {
		o.Error = fmt.Sprintf("the answer is %.200q, want %.200q", got, want)
	}
}

// echo is what the backend of the reload test answers.
func echo(method, path string, body []byte) string {
	if strings.HasSuffix(path, slowAnswer) {
		return strings.Repeat("piece\n", slowPieces)
	}
	sum := sha256.Sum256(body)
	return method + " " + path + " " + hex.EncodeToString(sum[:])
}

// slowAnswer is the end of a path that the backend answers slowly.
const slowAnswer = "slow-answer"

// slowReader gives its data in slowPieces pieces, with slowPace before each.
type slowReader struct {
	data  []byte
	piece int
}

func (r *slowReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	if r.piece == 0 {
		r.piece = max(1, len(r.data)/slowPieces)
	}
	wait(context.Background(), slowPace)
	n := copy(p, r.data[:min(r.piece, len(r.data))])
	r.data = r.data[n:]
	return n, nil
}
