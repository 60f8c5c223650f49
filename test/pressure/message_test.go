package pressure_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// This file is the tests' own reader of HTTP/1.1. It knows one reading of a message and refuses whatever anybody could
// read otherwise, so what it accepts is not ambiguous.

// message is one request or response.
type message struct {
	raw      []byte // all of it
	start    []string
	fields   []field
	trailers []field
	body     []byte
}

type field struct{ name, value string }

// target is the request target; the status for a response.
func (m *message) target() string { return m.start[1] }

// values returns the values of every field whose name is the one given when letters, digits and everything else are
// compared as careless backends do.
func (m *message) values(name string) []string {
	var found []string
	for _, f := range m.fields {
		if foldName(f.name) == foldName(name) {
			found = append(found, f.value)
		}
	}
	return found
}

func foldName(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

var errEnded = errors.New("the connection ended inside a message")

// ambiguity is what can be read in two ways.
type ambiguity struct{ what string }

func (a *ambiguity) Error() string { return a.what }

// reader reads messages.
type reader struct {
	in  *bufio.Reader
	raw bytes.Buffer // of the message that is being read
}

func newReader(in io.Reader) *reader { return &reader{in: bufio.NewReader(in)} }

// request reads one request. The error is io.EOF when there is none, errEnded for a part of one, and an *ambiguity.
func (r *reader) request() (*message, error) {
	m, err := r.head()
	if err != nil {
		return nil, err
	}
	if len(m.start) != 3 || m.start[2] != "HTTP/1.1" || !isToken(m.start[0]) || m.start[1] == "" {
		return nil, &ambiguity{fmt.Sprintf("request line %q", m.start)}
	}
	if n := len(m.values("Host")); n != 1 {
		return nil, &ambiguity{fmt.Sprintf("%d Host fields", n)}
	}
	return r.rest(m, 0)
}

// response reads the response to a request of the given method, interim ones left out.
func (r *reader) response(method string) (*message, error) {
	for {
		m, err := r.head()
		if err != nil {
			return nil, err
		}
		if len(m.start) < 2 || m.start[0] != "HTTP/1.1" && m.start[0] != "HTTP/1.0" || len(m.start[1]) != 3 {
			return nil, &ambiguity{fmt.Sprintf("status line %q", m.start)}
		}
		switch status := m.start[1]; {
		case status[0] == '1' && status != "101":
			r.raw.Reset()
			continue
		case method == "HEAD", status == "204", status == "304", status == "101":
			m.raw = bytes.Clone(r.raw.Bytes())
			return m, nil
		}
		return r.rest(m, -1)
	}
}

// head reads a start line and the fields.
func (r *reader) head() (*message, error) {
	r.raw.Reset()
	line, err := r.line()
	if err != nil {
		if errors.Is(err, errEnded) && r.raw.Len() == 0 {
			return nil, io.EOF
		}
		return nil, err
	}
	m := &message{start: strings.SplitN(line, " ", 3)}
	if len(m.start) == 3 && strings.HasPrefix(m.start[2], "HTTP/") && strings.Contains(m.start[2], " ") {
		return nil, &ambiguity{fmt.Sprintf("request line %q", line)}
	}
	m.fields, err = r.fields()
	return m, err
}

// fields reads field lines up to the empty one.
func (r *reader) fields() ([]field, error) {
	var all []field
	for {
		line, err := r.line()
		if err != nil || line == "" {
			return all, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return nil, &ambiguity{fmt.Sprintf("field line %q", line)}
		}
		if i := strings.IndexFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }); i >= 0 {
			return nil, &ambiguity{fmt.Sprintf("field line %q", line)}
		}
		all = append(all, field{name, strings.Trim(value, " \t")})
	}
}

// rest reads the body; its length is unlessSaid where nothing is said about it, below zero for up to the end.
func (r *reader) rest(m *message, unlessSaid int) (*message, error) {
	lengths, codings := m.values("Content-Length"), m.values("Transfer-Encoding")
	var err error
	switch {
	case len(lengths)+len(codings) > 1:
		return nil, &ambiguity{fmt.Sprintf("framed by Content-Length %q and Transfer-Encoding %q", lengths, codings)}
	case len(codings) == 1 && codings[0] != "chunked":
		return nil, &ambiguity{fmt.Sprintf("Transfer-Encoding %q", codings[0])}
	case len(codings) == 1:
		err = r.chunks(m)
	case len(lengths) == 1:
		n, ok := digits(lengths[0], 10)
		if !ok {
			return nil, &ambiguity{fmt.Sprintf("Content-Length %q", lengths[0])}
		}
		m.body, err = r.bytes(n)
	case unlessSaid < 0:
		m.body, err = io.ReadAll(io.TeeReader(r.in, &r.raw))
	default:
		m.body, err = r.bytes(unlessSaid)
	}
	m.raw = bytes.Clone(r.raw.Bytes())
	if err != nil {
		return m, err // what there is of it
	}
	return m, nil
}

func (r *reader) chunks(m *message) error {
	for {
		line, err := r.line()
		if err != nil {
			return err
		}
		n, ok := digits(line, 16)
		if !ok {
			return &ambiguity{fmt.Sprintf("chunk size %q", line)}
		}
		if n == 0 {
			m.trailers, err = r.fields()
			return err
		}
		chunk, err := r.bytes(n)
		m.body = append(m.body, chunk...)
		if err != nil {
			return err
		}
		if end, err := r.line(); err != nil || end != "" {
			return errors.Join(err, &ambiguity{fmt.Sprintf("behind a chunk %q", end)})
		}
	}
}

// line reads up to CRLF; a CR or LF that stands alone is an ambiguity.
func (r *reader) line() (string, error) {
	line, err := r.in.ReadString('\n')
	r.raw.WriteString(line)
	if err != nil {
		return "", errEnded
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\x00") {
		return "", &ambiguity{fmt.Sprintf("line %q", line)}
	}
	return text, nil
}

func (r *reader) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	k, err := io.ReadFull(r.in, b)
	r.raw.Write(b[:k])
	if err != nil {
		return b[:k], errEnded
	}
	return b, nil
}

// digits reads a number that is nothing but digits.
func digits(text string, base int) (n int, ok bool) {
	for _, c := range strings.ToLower(text) {
		d := strings.IndexRune("0123456789abcdef"[:base], c)
		if d < 0 || n > 1<<40 {
			return 0, false
		}
		n = n*base + d
	}
	return n, text != ""
}

func isToken(text string) bool {
	return text != "" && strings.IndexFunc(text, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", c)
	}) < 0
}

func TestTheStrictReaderRefusesWhatIsAmbiguous(t *testing.T) {
	t.Parallel()
	const host = "Host: a\r\n"
	for name, text := range map[string]string{
		"both lengths":         "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a look-alike":         "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":          "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\ncontent-length: 1\r\n\r\n0",
		"a bare LF":            "GET / HTTP/1.1\n" + host + "\r\n",
		"a bare CR":            "GET / HTTP/1.1\r\n" + host + "A: b\rC: d\r\n\r\n",
		"a folded line":        "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n",
		"two hosts":            "GET / HTTP/1.1\r\n" + host + host + "\r\n",
		"no host":              "GET / HTTP/1.1\r\n\r\n",
		"a signed length":      "POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\n0",
		"a chunk extension":    "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0;a\r\n\r\n",
		"a longer chunk":       "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
		"a blank in a name":    "GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n",
		"a blank in a target":  "GET /a b HTTP/1.1\r\n" + host + "\r\n",
		"an unknown coding":    "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"another version":      "GET / HTTP/1.0\r\n" + host + "\r\n",
		"a NUL in a value":     "GET / HTTP/1.1\r\n" + host + "A: \x00\r\n\r\n",
		"a control in a value": "GET / HTTP/1.1\r\n" + host + "A: \x0b\r\n\r\n",
	} {
		var bad *ambiguity
		if m, err := newReader(strings.NewReader(text)).request(); !errors.As(err, &bad) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	r := newReader(strings.NewReader("POST /a HTTP/1.1\r\n" + host + "Content-Length: 2\r\n\r\nabPOST /b HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: u\r\n\r\nGET /c HTTP/1.1\r\n" + host + "\r\n"))
	for _, want := range []string{"/a ab", "/b a", "/c "} {
		m, err := r.request()
		if err != nil {
			t.Fatal(err)
		}
		if got := m.target() + " " + string(m.body); got != want {
			t.Errorf("read %q, want %q", got, want)
		}
	}
	if _, err := r.request(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}
