package pressure_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/testpki"
	"sallyport/test/internal/run"
)

// serverName is what callers ask for where nothing else is said. The server's certificate is good for every name below test.
const serverName = "api.test"

// site is a folder with a document, certificates, and who they belong to.
type site struct {
	t   testing.TB
	dir string

	ca, otherCA      *testpki.Entity
	caller, stranger *testpki.Entity // of ca, and of otherCA
	roots            *x509.CertPool
}

// newSite makes a folder with server.pem, ca.pem and other.pem, which a document may name.
func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), roots: x509.NewCertPool()}
	s.ca = testpki.NewCA(t, testpki.Options{CommonName: "Partners"})
	s.otherCA = testpki.NewCA(t, testpki.Options{CommonName: "Others"})
	s.caller = s.ca.Leaf(t, testpki.Options{CommonName: "caller"})
	s.stranger = s.otherCA.Leaf(t, testpki.Options{CommonName: "stranger"})
	s.ca.Leaf(t, testpki.Options{Hosts: []string{"*.test", "localhost", "127.0.0.1"}}).Write(t, s.dir, "server")
	s.roots.AddCert(s.ca.Cert)
	s.write("ca.pem", string(s.ca.PEM()))
	s.write("other.pem", string(s.otherCA.PEM()))
	return s
}

// write replaces a file as careful programs do: all at once.
func (s *site) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}

// tls is how a caller speaks TLS; nobody presents no certificate, and protocols are for ALPN.
func (s *site) tls(caller *testpki.Entity, protocols ...string) *tls.Config {
	c := &tls.Config{RootCAs: s.roots, ServerName: serverName, NextProtos: protocols, MinVersion: tls.VersionTLS12}
	if caller != nil {
		c.GetClientCertificate = present(caller.TLS())
	}
	return c
}

// present presents a certificate even to a server that does not name its issuer.
func present(certificate tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
}

// nobody is a caller without a certificate.
var nobody *testpki.Entity

const documentName = "sallyport.yaml"

// running is a program that runs.
type running struct {
	*run.Process
	t     testing.TB
	site  *site
	admin string // address of the admin pages
}

// start runs a program with a document until the test ends, and waits until it serves.
func (s *site) start(program, document string) *running {
	s.t.Helper()
	s.write(documentName, document)
	cmd := exec.CommandContext(s.t.Context(), program, "run", "--config", documentName, "--admin", "127.0.0.1:0")
	cmd.Dir = s.dir
	cmd.Cancel = func() error { return nil } // the end of the test is told gently
	g := &running{Process: run.Start(s.t, cmd), t: s.t, site: s}
	g.admin = g.awaitLog(0, "admin").text("address")
	g.awaitLog(0, "serving")
	return g
}

// record is one line of the log.
type record map[string]any

func (r record) text(key string) string {
	s, _ := r[key].(string)
	return s
}

// parseRecord reads a line of the log in either format. Of the text format only words without quotes are read.
func parseRecord(line string) record {
	r := record{}
	if json.Unmarshal([]byte(line), &r) == nil {
		return r
	}
	for word := range strings.FieldsSeq(line) {
		if key, value, ok := strings.Cut(word, "="); ok {
			r[key] = value
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				r[key] = n
			}
		}
	}
	return r
}

// awaitRecord waits for a record, from line from on, that match accepts.
func (g *running) awaitRecord(from int, what string, match func(record) bool) record {
	g.t.Helper()
	var found record
	g.Await(g.t, g.Stdout, from, what, func(line string) bool {
		if r := parseRecord(line); match(r) {
			found = r
			return true
		}
		return false
	})
	return found
}

// awaitLog waits for a record with a message.
func (g *running) awaitLog(from int, message string) record {
	g.t.Helper()
	return g.awaitRecord(from, "the log record "+strconv.Quote(message), func(r record) bool { return r.text("msg") == message })
}

// access waits for the access record of a request, which is known by its path.
func (g *running) access(path string) record {
	g.t.Helper()
	return g.awaitRecord(0, "the access record of "+path, func(r record) bool { return r.text("msg") == "request" && r.text("path") == path })
}

// records returns all records with a message.
func (g *running) records(message string) []record {
	all, _ := g.Stdout.Since(0)
	var found []record
	for _, line := range all {
		if r := parseRecord(line); r.text("msg") == message {
			found = append(found, r)
		}
	}
	return found
}

// reload puts another document to work and waits until it does.
func (g *running) reload(document string) {
	g.t.Helper()
	from := g.Stdout.Count()
	g.site.write(documentName, document)
	if err := g.Signal(syscall.SIGHUP); err != nil {
		g.t.Fatal(err)
	}
	g.awaitReload(from, "signal")
}

// awaitReload waits for the reload that the signal or the change of a file has triggered. A refused one fails the test.
func (g *running) awaitReload(from int, trigger string) {
	g.t.Helper()
	r := g.awaitRecord(from, "a reload", func(r record) bool {
		message := r.text("msg")
		return message == "reloaded" && r.text("trigger") == trigger || strings.HasPrefix(message, "reload refused") || strings.HasPrefix(message, `"reload`)
	})
	if r.text("msg") != "reloaded" {
		g.t.Fatalf("the reload was refused: %s", g.tail())
	}
}

// stop ends the program as an operator would and checks that all went well.
func (g *running) stop() {
	g.t.Helper()
	if err := g.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
	g.ended()
}

// ended waits for an end that is well: exit code 0 and nothing on standard error, where races and panics would be.
func (g *running) ended() {
	g.t.Helper()
	if code := g.ExitCode(g.t); code != 0 {
		g.t.Errorf("exit code %d, want 0: %s", code, g.tail())
	}
	if text := g.Stderr.Text(); text != "" {
		g.t.Errorf("standard error: %s", text)
	}
}

// tail is the end of what the program said, without requests for which all went well.
func (g *running) tail() string {
	const most = 5
	all, _ := g.Stdout.Since(0)
	all = slices.DeleteFunc(all, func(line string) bool { return strings.Contains(line, `"status":200,`) })
	all = all[max(0, len(all)-most):]
	return strings.Join(all, "\n") + "\nstandard error:\n" + g.Stderr.Text()
}

// about is the end of what the log says of a peer.
func (g *running) about(remote string) string {
	const most = 3
	all, _ := g.Stdout.Since(0)
	all = slices.DeleteFunc(all, func(line string) bool { return remote == "" || !strings.Contains(line, remote) })
	return strings.Join(all[max(0, len(all)-most):], "\n")
}

// adminClient asks the admin pages on a connection of its own each time.
func adminClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: run.Patience}
}

// page asks for an admin page and returns the status with the text.
func (g *running) page(path string) (status int, text string, err error) {
	response, err := adminClient().Get("http://" + g.admin + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// series are the values of the metrics by name and labels, as the page writes them.
type series map[string]float64

// metrics reads all of them.
func (g *running) metrics() series {
	g.t.Helper()
	status, text, err := g.page("/metrics")
	if err != nil || status != http.StatusOK {
		g.t.Fatalf("/metrics: %d, %v\n%s", status, err, text)
	}
	all := series{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if cut := strings.LastIndex(lines.Text(), "} "); cut >= 0 { // label values may hold blanks
			name, value, ok = lines.Text()[:cut+1], lines.Text()[cut+2:], true
		}
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			all[name] = n
		}
	}
	return all
}

// sum adds up the series of a family whose labels hold every given part, such as `cause="idle"`.
func (s series) sum(family string, labels ...string) float64 {
	total := 0.0
next:
	for name, value := range s {
		rest, ok := strings.CutPrefix(name, family)
		if !ok || rest != "" && rest[0] != '{' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue next
			}
		}
		total += value
	}
	return total
}

// awaitMetric waits until a sum of series is what ok accepts.
func (g *running) awaitMetric(ok func(float64) bool, family string, labels ...string) {
	g.t.Helper()
	var all series
	g.eventually(fmt.Sprintf("%s%q", family, labels), func() bool {
		all = g.metrics()
		return ok(all.sum(family, labels...))
	}, func() string {
		maps.DeleteFunc(all, func(name string, _ float64) bool { return !strings.HasPrefix(name, family) })
		return fmt.Sprint("there is ", all)
	})
}

// eventually asks again and again until the answer is yes.
func (g *running) eventually(what string, yes func() bool, state func() string) {
	g.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(run.Patience)
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			g.t.Fatalf("waited %v in vain for %s: %s\n%s", run.Patience, what, state(), g.tail())
		}
	}
}

// dial opens a TCP connection that ends with the test at the latest, and whose reads and writes never wait for longer
// than run.Patience.
func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(run.Patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // it may be closed already
	return c
}

// dialTLS is dial with a handshake.
func dialTLS(t testing.TB, address string, config *tls.Config) *tls.Conn {
	t.Helper()
	c := tls.Client(dial(t, address), config)
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// replaceOnce replaces a word that must be in a text.
func replaceOnce(t testing.TB, text, word, by string) string {
	t.Helper()
	if strings.Count(text, word) != 1 {
		t.Fatalf("the document has %d %q", strings.Count(text, word), word)
	}
	return strings.Replace(text, word, by, 1)
}
