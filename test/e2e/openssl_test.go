package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// client is an openssl s_client whose standard input the test holds, so that the connection stays.
type client struct {
	*process
	input io.WriteCloser
}

// openssl starts s_client towards one of the site's ports. A caller's certificate is shown where one is named.
func (s *site) openssl(t testing.TB, port, caller string, args ...string) *client {
	t.Helper()
	all := []string{"s_client", "-connect", "127.0.0.1:" + s.ports[port], "-CAfile", "pki/ca.pem", "-verify_return_error"}
	if caller != "" {
		all = append(all, "-cert", "pki/"+caller+".pem", "-key", "pki/"+caller+".key")
	}
	cmd := exec.Command(tool(t, "openssl"), append(all, args...)...)
	cmd.Dir = s.dir
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return &client{start(t, cmd), input}
}

// send writes to the connection. That a refused client has ended already is no failure: what it said tells.
func (c *client) send(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(c.input, text); err != nil && !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("%v: %s", err, c.Said())
	}
}

// finish closes the connection from this side.
func (c *client) finish(t testing.TB) {
	t.Helper()
	if err := c.input.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestHandshakesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	g := s.runGateway(t, "09-listeners.yaml")
	const (
		handshakeFailure    = 40
		badCertificate      = 42
		protocolVersion     = 70
		certificateRequired = 116
	)
	tests := []struct {
		name, port, caller string
		args               []string
		alert              int
		reason             string // "" for one that is no refusal of a certificate
	}{
		{"TLS 1.3, a profile that insists, no certificate", portPublic, "", []string{"-servername", "partners.example.test", "-tls1_3"}, certificateRequired, "certificate_missing"},
		{"TLS 1.2, a profile that insists, no certificate", portPublic, "", []string{"-servername", "partners.example.test", "-tls1_2"}, handshakeFailure, "certificate_missing"},
		{"a wildcard name of the profile, no certificate", portPublic, "", []string{"-servername", "x.b2b.example.test"}, certificateRequired, "certificate_missing"},
		{"the name in capitals, no certificate", portPublic, "", []string{"-servername", "PARTNERS.example.TEST"}, certificateRequired, "certificate_missing"},
		{"TLS 1.3, a profile that insists, a stranger", portPublic, "stranger", []string{"-servername", "partners.example.test", "-tls1_3"}, badCertificate, "certificate_untrusted"},
		{"TLS 1.2, a profile that insists, a stranger", portPublic, "stranger", []string{"-servername", "partners.example.test", "-tls1_2"}, badCertificate, "certificate_untrusted"},
		{"a server's certificate is no client's", portPublic, "server", []string{"-servername", "partners.example.test"}, badCertificate, "certificate_purpose"},
		{"the holders' port, no certificate", portHolders, "", []string{"-servername", "localhost"}, certificateRequired, "certificate_missing"},
		{"the holders' port, no certificate, no server name", portHolders, "", []string{"-noservername"}, certificateRequired, "certificate_missing"},
		{"the holders' port, a stranger", portHolders, "stranger", []string{"-servername", "localhost"}, badCertificate, "certificate_untrusted"},
		{"the holders' port, TLS 1.2", portHolders, "partner-a", []string{"-servername", "localhost", "-tls1_2"}, protocolVersion, ""},
		{"the public port, TLS 1.1", portPublic, "", []string{"-servername", "localhost", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, protocolVersion, ""},
	}
	t.Run("alerts", func(t *testing.T) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				c := s.openssl(t, test.port, test.caller, test.args...)
				if code := c.ExitCode(t); code == 0 {
					t.Errorf("exit code 0, want another: %s", c.Said())
				}
				if want := fmt.Sprintf("SSL alert number %d", test.alert); !strings.Contains(c.Stderr.Text(), want) {
					t.Errorf("no %q in %s", want, c.Said())
				}
			})
		}
	})
	g.stop(t)

	want, got := map[string]int{}, map[string]int{}
	for _, test := range tests {
		if test.reason != "" {
			want[test.reason]++
		}
	}
	said, _ := g.Stdout.Since(0)
	for _, line := range said {
		if r := parseRecord(t, line); r.Message == "handshake" {
			got[r.Reason]++
			if r.Decision != "deny" {
				t.Errorf("a refused handshake with the decision %q", r.Decision)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("handshake records by reason (-want +got):\n%s", diff)
	}
}

func TestAnnouncedAuthorities(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.runGateway(t, "09-listeners.yaml")
	partners := []string{"C=US, O=Acme, CN=Partner CA"}
	tests := []struct {
		name, port string
		args       []string
		want       []string // nil: no certificate is asked for
	}{
		{"client_auth none", portPublic, []string{"-servername", "localhost"}, nil},
		{"no server name", portPublic, []string{"-noservername"}, nil},
		{"a name that no profile has", portPublic, []string{"-servername", "other.example.test"}, nil},
		{"client_auth required", portPublic, []string{"-servername", "partners.example.test"}, partners},
		{"client_auth optional, by the trust of its APIs", portPublic, []string{"-servername", "mixed.example.test"}, partners},
		{"the holders' port", portHolders, []string{"-servername", "localhost"}, partners},
	}
	for _, test := range tests {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			if test.port == portHolders && version == "-tls1_2" {
				continue // the port does not speak it
			}
			t.Run(test.name+" "+version, func(t *testing.T) {
				t.Parallel()
				c := s.openssl(t, test.port, "", append(test.args, version)...)
				if diff := cmp.Diff(test.want, c.announced(t)); diff != "" {
					t.Errorf("announced (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// announced ends the connection and returns the names of which the client was asked for a certificate; nil when it was not asked.
func (c *client) announced(t testing.TB) []string {
	t.Helper()
	c.finish(t)
	c.ExitCode(t) // whatever it is: the handshake may be refused
	_, names, found := strings.Cut(c.Stdout.Text(), "Acceptable client certificate CA names\n")
	if !found && !strings.Contains(c.Stdout.Text(), "No client certificate CA names sent") {
		t.Fatalf("s_client says nothing about names: %s", c.Said())
	}
	var all []string
	for line := range strings.Lines(names) {
		if !strings.Contains(line, "CN") { // what follows the names differs from version to version
			break
		}
		all = append(all, strings.ReplaceAll(strings.TrimSpace(line), " = ", "="))
	}
	return all
}

// answer is what a gateway answered on a connection of s_client.
type answer struct {
	status    int
	requestID string
	body      string
}

// parseAnswer reads the first answer in a text.
func parseAnswer(t testing.TB, text string) answer {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		t.Fatalf("answer %q: %v", text, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("answer %q: %v", text, err)
	}
	id := reply{header: map[string][]string(response.Header)}.requestID()
	return answer{response.StatusCode, id, string(body)}
}

func TestServerNameAgainstHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, document, caller string
		serverName             string // "" for none
		target, host           string
		status                 int
		reason, wouldBe        string
	}{
		{"another profile's host", "09-listeners.yaml", "", "localhost", "/tyk/", "mixed.example.test", 421, "misdirected_request", ""},
		{"another profile's host, other letters and a dot", "09-listeners.yaml", "", "localhost", "/tyk/", "MIXED.Example.TEST.", 421, "misdirected_request", ""},
		{"another profile's host by its wildcard", "09-listeners.yaml", "", "localhost", "/anyone/", "x.b2b.example.test", 421, "misdirected_request", ""},
		{"a stricter connection for a laxer host", "09-listeners.yaml", "partner-a", "partners.example.test", "/anyone/", "localhost", 421, "misdirected_request", ""},
		{"absolute-form: its authority is the host", "09-listeners.yaml", "", "localhost", "https://mixed.example.test/tyk/", "localhost", 421, "misdirected_request", ""},
		{"absolute-form: the Host field is not", "09-listeners.yaml", "", "localhost", "https://localhost/anyone/", "mixed.example.test", 200, "ok", ""},
		{"the profile's own host, other letters, a dot and a port", "09-listeners.yaml", "partner-a", "mixed.example.test", "/tyk/", "Mixed.Example.Test.:18443", 200, "ok", ""},
		{"two names of one profile", "09-listeners.yaml", "partner-b", "partners.example.test", "/anyone/", "x.b2b.example.test", 200, "ok", ""},
		{"no server name, the default profile's host", "09-listeners.yaml", "", "", "/anyone/", "localhost", 200, "ok", ""},
		{"no server name, Tyk's host", "09-listeners.yaml", "", "", "/tyk/", "mixed.example.test", 403, "certificate_missing", ""},
		{"no server name, the watched host", "09-listeners.yaml", "", "", "/watched/", "mixed.example.test", 200, "ok", "certificate_missing"},
		{"no server name, a host that insists", "09-listeners.yaml", "", "", "/anyone/", "partners.example.test", 401, "certificate_missing", ""},
		{"no server name, asked and allowed", "01-first.yaml", "partner-a", "", "/orders/", "localhost", 200, "ok", ""},
		{"no server name, asked and not allowed", "01-first.yaml", "partner-b", "", "/orders/", "localhost", 403, "certificate_not_allowed", ""},
		{"no server name, asked and untrusted", "01-first.yaml", "stranger", "", "/orders/", "localhost", 403, "certificate_untrusted", ""},
		{"no server name, asked and nothing there", "01-first.yaml", "", "", "/orders/", "localhost", 401, "certificate_missing", ""},
	}
	sites, gateways := map[string]*site{}, map[string]*gateway{}
	for _, document := range []string{"01-first.yaml", "09-listeners.yaml"} {
		sites[document] = newSite(t)
		runNginx(t, sites[document].ports[portBackend])
		gateways[document] = sites[document].runGateway(t, document)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			name := []string{"-noservername"}
			if test.serverName != "" {
				name = []string{"-servername", test.serverName}
			}
			c := sites[test.document].openssl(t, portPublic, test.caller, append(name, "-quiet")...)
			c.send(t, "GET "+test.target+" HTTP/1.1\r\nHost: "+test.host+"\r\nConnection: close\r\n\r\n")
			c.ExitCode(t) // the answer counts; versions of s_client differ in what they make of a closed connection
			got := parseAnswer(t, c.Stdout.Text())
			if got.status != test.status {
				t.Fatalf("status %d, want %d: %s", got.status, test.status, got.body)
			}
			r := gateways[test.document].access(t, got.requestID)
			if r.Reason != test.reason || r.WouldBeReason != test.wouldBe {
				t.Errorf("reason %q, would be %q; want %q, %q", r.Reason, r.WouldBeReason, test.reason, test.wouldBe)
			}
			if r.ServerName != test.serverName {
				t.Errorf("server name %q, want %q", r.ServerName, test.serverName)
			}
		})
	}
}

func TestASessionOfALaxProfileOpensNoStrictOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	runNginx(t, s.ports[portBackend])
	s.runGateway(t, "09-listeners.yaml")
	tests := []struct {
		name, version string
		from, to      string // server names of the session and of its resumption
		caller        string // of the first handshake
		resumed       bool
		status        int // 0: the handshake is refused
	}{
		{name: "TLS 1.3, the same profile", version: "-tls1_3", from: "partners.example.test", to: "partners.example.test", caller: "partner-a", resumed: true, status: 200},
		{name: "TLS 1.2, the same profile", version: "-tls1_2", from: "partners.example.test", to: "partners.example.test", caller: "partner-a", resumed: true, status: 200},
		{name: "TLS 1.3, from one that never asks to one that insists", version: "-tls1_3", from: "localhost", to: "partners.example.test"},
		{name: "TLS 1.2, from one that never asks to one that insists", version: "-tls1_2", from: "localhost", to: "partners.example.test"},
		{name: "TLS 1.3, from one that asks to one that insists", version: "-tls1_3", from: "mixed.example.test", to: "partners.example.test"},
		{name: "TLS 1.2, from one that asks to one that insists", version: "-tls1_2", from: "mixed.example.test", to: "partners.example.test"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			session := fmt.Sprintf("session-%d.pem", i)
			first := s.openssl(t, portPublic, test.caller, test.version, "-servername", test.from, "-ign_eof", "-sess_out", session)
			first.send(t, "GET /anyone/ HTTP/1.1\r\nHost: "+test.from+"\r\nConnection: close\r\n\r\n")
			first.ExitCode(t) // tickets of TLS 1.3 come before the answer
			s.read(t, session)

			// The certificate is shown in the first handshake only.
			second := s.openssl(t, portPublic, "", test.version, "-servername", test.to, "-ign_eof", "-sess_in", session)
			second.send(t, "GET /anyone/ HTTP/1.1\r\nHost: "+test.to+"\r\nConnection: close\r\n\r\n")
			code := second.ExitCode(t)
			said := second.Stdout.Text()
			if got := strings.Contains(said, "\nReused, "); got != test.resumed {
				t.Errorf("resumed: %t, want %t: %s", got, test.resumed, second.Said())
			}
			status := 0
			if at := strings.Index(said, "HTTP/1.1 "); at >= 0 {
				status = parseAnswer(t, said[at:]).status
			}
			if status != test.status || test.status == 0 && code == 0 {
				t.Errorf("status %d, exit code %d; want status %d: %s", status, code, test.status, second.Said())
			}
		})
	}
}
