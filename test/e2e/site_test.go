package e2e_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// contractFiles are the documents that must run as they are, and the script that makes their certificates. They have one
// home, with the tests of what they mean.
const contractFiles = "../../internal/config/testdata/contract"

// The ports that the contract files name. A site has others in their place.
const (
	portPublic  = "18443"
	portHolders = "18445"
	portBackend = "18080"
)

// site is a folder with a document and certificates, and the ports that it uses.
type site struct {
	dir      string
	ports    map[string]string // by the port of the contract
	subjects map[string]string // of the certificates that the test issued, as openssl writes them by RFC 2253
}

var sharedPKI = sync.OnceValues(func() (string, error) {
	script, err := filepath.Abs(contractFiles + "/make-pki.sh")
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("bash", script, scratch).CombinedOutput(); err != nil {
		return "", fmt.Errorf("make-pki.sh: %w\n%s", err, out)
	}
	return filepath.Join(scratch, "pki"), nil
})

// newSite makes a folder with every contract file and a copy of the certificates. Only the ports of the files are
// replaced.
func newSite(t testing.TB) *site {
	t.Helper()
	tool(t, "openssl")
	pki, err := sharedPKI()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: t.TempDir(), ports: map[string]string{}, subjects: map[string]string{}}
	if err := os.CopyFS(filepath.Join(s.dir, "pki"), os.DirFS(pki)); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(s.path("pki", "*.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys { // CopyFS makes them readable by everybody
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var pairs []string
	for _, port := range []string{portPublic, "18444", portHolders, portBackend} {
		s.ports[port] = freePort(t)
		pairs = append(pairs, "127.0.0.1:"+port, "127.0.0.1:"+s.ports[port])
	}
	files := os.DirFS(contractFiles)
	names, err := fs.Glob(files, "*.yaml")
	if err != nil || len(names) != 9 {
		t.Fatalf("contract files: %v (%v), want 9", names, err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, name, strings.NewReplacer(pairs...).Replace(string(data)))
	}
	return s
}

func (s *site) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// write puts text into a file in place: the file keeps its inode.
func (s *site) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts text into a file as careful programs do: into a new file that is then renamed.
func (s *site) replace(t testing.TB, name, text string) {
	t.Helper()
	s.write(t, name+".new", text)
	if err := os.Rename(s.path(name+".new"), s.path(name)); err != nil {
		t.Fatal(err)
	}
}

func (s *site) read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// presented is what a record and a backend say about one of the site's client certificates.
type presented struct {
	sha256, subject, clientCert string
}

// caller returns what is to be said about a caller, the zero value for "" (no certificate).
func (s *site) caller(t testing.TB, name string) presented {
	t.Helper()
	if name == "" {
		return presented{}
	}
	block, _ := pem.Decode([]byte(s.read(t, filepath.Join("pki", name+".pem"))))
	if block == nil {
		t.Fatalf("pki/%s.pem is not PEM", name)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(block.Bytes)
	subject, ok := map[string]string{
		"partner-a": "CN=partner-a,OU=API,O=Acme,L=NYC,ST=NY,C=US",
		"partner-b": "CN=partner-b,OU=API,O=Beta,L=NYC,ST=NY,C=US",
		"stranger":  "CN=partner-a,OU=API,O=Acme,L=NYC,ST=NY,C=US", // it claims to be partner-a
	}[name]
	if !ok {
		subject, ok = s.subjects[name]
	}
	if !ok {
		t.Fatalf("who is %q?", name)
	}
	return presented{
		sha256: hex.EncodeToString(sum[:]), subject: subject,
		clientCert: ":" + base64.StdEncoding.EncodeToString(block.Bytes) + ":",
	}
}

// gateway is a running sallyport.
type gateway struct {
	*process
}

// runGateway starts sallyport with a document of the site and waits until it serves.
func (s *site) runGateway(t testing.TB, document string) *gateway {
	t.Helper()
	cmd := exec.Command(program(t), "run", "--config", document)
	cmd.Dir, cmd.Env = s.dir, environment()
	g := &gateway{start(t, cmd)}
	g.awaitLog(t, 0, "serving")
	return g
}

// logRecord is one line of the log.
type logRecord struct {
	Message    string            `json:"msg"`
	Level      string            `json:"level"`
	Error      string            `json:"error"`
	Errors     int               `json:"errors"`
	Trigger    string            `json:"trigger"`
	Generation int               `json:"generation"`
	Listeners  map[string]string `json:"listeners"`

	RequestID     string `json:"request_id"`
	Remote        string `json:"remote"`
	Listener      string `json:"listener"`
	Method        string `json:"method"`
	Host          string `json:"host"`
	Path          string `json:"path"`
	Protocol      string `json:"protocol"`
	ServerName    string `json:"server_name"`
	API           string `json:"api"`
	APIVersion    string `json:"api_version"`
	ClientSHA256  string `json:"client_sha256"`
	ClientSubject string `json:"client_subject"`

	ClientAccepted *bool  `json:"client_accepted"` // nil where nothing was presented
	Decision       string `json:"decision"`
	Reason         string `json:"reason"`
	Detail         string `json:"detail"`
	WouldBeReason  string `json:"would_be_reason"`
	Status         int    `json:"status"`
	BytesOut       int    `json:"bytes_out"`
}

func parseRecord(t testing.TB, line string) *logRecord {
	t.Helper()
	r := &logRecord{}
	if err := json.Unmarshal([]byte(line), r); err != nil {
		t.Fatalf("the log line %q is no JSON: %v", line, err)
	}
	return r
}

// awaitRecord waits for a log record from line number from on that match accepts.
func (g *gateway) awaitRecord(t testing.TB, from int, what string, match func(*logRecord) bool) *logRecord {
	t.Helper()
	var found *logRecord
	g.Await(t, g.Stdout, from, what, func(line string) bool {
		r := parseRecord(t, line)
		if !match(r) {
			return false
		}
		found = r
		return true
	})
	return found
}

// awaitLog waits for a log record with a message.
func (g *gateway) awaitLog(t testing.TB, from int, message string) *logRecord {
	t.Helper()
	return g.awaitRecord(t, from, fmt.Sprintf("the log record %q", message), func(r *logRecord) bool { return r.Message == message })
}

// access waits for the access record of a request.
func (g *gateway) access(t testing.TB, requestID string) *logRecord {
	t.Helper()
	if requestID == "" {
		t.Fatal("an answer without a request id")
	}
	return g.awaitRecord(t, 0, "the access record of "+requestID, func(r *logRecord) bool {
		return r.Message == "request" && r.RequestID == requestID
	})
}

// refusedHandshake waits for the record of a refused handshake of a client's port, from line number from on. Two clients
// of two listeners may have the same port at the same time.
func (g *gateway) refusedHandshake(t testing.TB, from int, listener, localPort string) *logRecord {
	t.Helper()
	what := "the record of the refused handshake of listener " + listener + " from port " + localPort
	return g.awaitRecord(t, from, what, func(r *logRecord) bool {
		return r.Message == "handshake" && r.Listener == listener && r.Remote == "127.0.0.1:"+localPort
	})
}

// hangup sends SIGHUP and waits for what comes of it, the record with the message.
func (g *gateway) hangup(t testing.TB, message string) *logRecord {
	t.Helper()
	from := g.Stdout.Count()
	if err := g.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	return g.awaitRecord(t, from, fmt.Sprintf("%q after SIGHUP", message), func(r *logRecord) bool {
		return r.Message == message && r.Trigger == "signal"
	})
}

// stop ends the gateway as an operator would and checks that it says that all went well.
func (g *gateway) stop(t testing.TB) {
	t.Helper()
	if err := g.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := g.ExitCode(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0: %s", code, g.Said())
	}
	g.awaitLog(t, 0, "stopped")
	if text := g.Stderr.Text(); text != "" {
		t.Errorf("standard error: %s", text)
	}
}
