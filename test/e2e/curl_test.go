package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/textproto"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// protocols are curl's flags for the versions of HTTP that every row is asked in.
var protocols = []string{"--http1.1", "--http2"}

// call is a request that curl makes.
type call struct {
	protocol   string // a flag of curl; "" leaves it to curl
	serverName string // what the URL and so the handshake names
	port       string // the gateway's
	path       string
	host       string // the Host field where it is not the URL's host
	caller     string // whose certificate is shown; "" for none
	plain      bool   // without TLS
	args       []string
}

// reply is what curl says came of it.
type reply struct {
	exit        int // curl's exit code
	status      int // 0: no answer
	version     string
	localPort   string
	contentType string
	header      textproto.MIMEHeader
	body        string
	stderr      string
}

// curl returns the command that makes a call.
func (s *site) curl(t testing.TB, c call) *exec.Cmd {
	t.Helper()
	args := []string{
		"--disable", "--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "30",
		"--write-out", `\n%{http_code} %{http_version} %{local_port} %{content_type}`,
		"--cacert", "pki/ca.pem", "--connect-to", "::127.0.0.1:",
	}
	if c.protocol != "" {
		args = append(args, c.protocol)
	}
	if c.caller != "" {
		args = append(args, "--cert", "pki/"+c.caller+".pem", "--key", "pki/"+c.caller+".key")
	}
	if c.host != "" {
		args = append(args, "--header", "Host: "+c.host)
	}
	args = append(append(args, c.args...), c.url())
	cmd := exec.Command(tool(t, "curl"), args...)
	cmd.Dir = s.dir
	return cmd
}

func (c call) url() string {
	scheme := "https://"
	if c.plain {
		scheme = "http://"
	}
	return scheme + c.serverName + ":" + c.port + c.path
}

// call makes a call and waits for what comes of it.
func (s *site) call(t testing.TB, c call) reply {
	t.Helper()
	return parseReply(t, toEnd(t, s.curl(t, c)))
}

// parseReply takes curl's output apart: header, empty line, body, and the line that --write-out adds.
func parseReply(t testing.TB, r result) reply {
	t.Helper()
	end := strings.LastIndexByte(r.Stdout, '\n')
	if end < 0 {
		t.Fatalf("curl printed %q, %q", r.Stdout, r.Stderr)
	}
	words := strings.SplitN(r.Stdout[end+1:], " ", 4)
	status, err := strconv.Atoi(words[0])
	if err != nil || len(words) != 4 {
		t.Fatalf("curl's last line is %q: %v", r.Stdout[end+1:], err)
	}
	out := reply{exit: r.Code, status: status, version: words[1], localPort: words[2], contentType: words[3], stderr: r.Stderr}
	if status == 0 {
		return out
	}
	head, body, found := strings.Cut(r.Stdout[:end], "\r\n\r\n")
	_, fields, _ := strings.Cut(head, "\r\n")
	if !found {
		t.Fatalf("no header in %q", r.Stdout)
	}
	out.body = body
	out.header, err = textproto.NewReader(bufio.NewReader(strings.NewReader(fields + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("header %q: %v", fields, err)
	}
	return out
}

// requestID is the id under which the gateway logs the request, whoever answered it.
func (r reply) requestID() string {
	if id := r.header.Get("Backend-Saw-Request-Id"); id != "" {
		return id
	}
	return r.header.Get("X-Request-Id")
}

// problem is the body of a refusal (RFC 9457).
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Reason    string `json:"reason"`
	RequestID string `json:"request_id"`
}

func (r reply) problem(t testing.TB) problem {
	t.Helper()
	if r.contentType != "application/problem+json" {
		t.Fatalf("content type %q, want a problem: %s", r.contentType, r)
	}
	var p problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return p
}

func (r reply) String() string {
	return fmt.Sprintf("exit %d, status %d, header %v, body %q, %s", r.exit, r.status, r.header, r.body, r.stderr)
}
