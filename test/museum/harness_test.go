package museum_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/testpki"
	"sallyport/test/internal/run"
)

// scratch is a folder for what the tests share, while they run.
var scratch string

func TestMain(m *testing.M) { os.Exit(run.Tests(m, &scratch)) }

// moduleRoot is where go.mod is, seen from this package.
const moduleRoot = "../.."

var builtProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "sallyport")
	return path, run.Build(moduleRoot, path, run.WithRace())
})

// site is a folder with certificates and documents, and a backend.
type site struct {
	t       *testing.T
	dir     string
	backend *backend

	gateways         int             // that were started
	serverCA         *testpki.Entity // issues the gateway's own certificate, and nobody else's
	partners, others *testpki.Entity // CAs
	alice, bob       *testpki.Entity // of partners
	stranger         *testpki.Entity // alice's name, by others
	expected         atomic.Int64    // requests that had to reach the backend
}

// newSite makes a folder with server.pem, partners.pem and others.pem, which a document may name.
func newSite(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	s := &site{t: t, dir: t.TempDir()}
	s.backend = newBackend(t)
	s.serverCA = testpki.NewCA(t, testpki.Options{CommonName: "Server CA"})
	s.partners = testpki.NewCA(t, testpki.Options{CommonName: "Partner CA"})
	s.others = testpki.NewCA(t, testpki.Options{CommonName: "Other CA"})
	s.alice = s.partners.Leaf(t, testpki.Options{CommonName: "alice"})
	s.bob = s.partners.Leaf(t, testpki.Options{CommonName: "bob"})
	s.stranger = s.others.Leaf(t, testpki.Options{CommonName: "alice"})
	s.serverCA.Leaf(t, testpki.Options{Hosts: []string{"localhost", "*.test", "*.b2b.test", "127.0.0.1"}}).Write(t, s.dir, "server")
	s.write("partners.pem", string(s.partners.PEM()))
	s.write("others.pem", string(s.others.PEM()))
	return s
}

// write replaces a file all at once.
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

// parts are the sections that most documents have in common.
const parts = `
credentials: [{name: server, certificate: {file: server.pem}, private_key: {file: server.key}}]
trust_stores:
  - {name: partners, anchors: [{file: partners.pem}]}
  - {name: others, anchors: [{file: others.pem}]}
upstreams: [{name: echo, targets: ["http://BACKEND"]}]
`

// asking is a listener that asks everybody for a certificate and insists nowhere.
const asking = `
listeners: [{name: public, address: "127.0.0.1:0", tls: {credentials: [server], client_auth: optional}}]
`

// document writes a document.
func (s *site) document(name, text string) {
	s.t.Helper()
	s.write(name, strings.ReplaceAll(text, "BACKEND", s.backend.address()))
}

// command is the program with a subcommand, in the site's folder.
func (s *site) command(args ...string) *exec.Cmd {
	s.t.Helper()
	program, err := builtProgram()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=10") // a second for each of them would be most of the time
	return cmd
}

// wrong is the name of documents that nobody must be able to run.
const wrong = "wrong.yaml"

// fails tries to run such a document, and returns what the program says.
func (s *site) fails(document string) string {
	s.t.Helper()
	s.document(wrong, document)
	validated := run.ToEnd(s.t, s.command("validate", "--config", wrong))
	ran := run.ToEnd(s.t, s.command("run", "--config", wrong))
	if validated.Code != 1 || ran.Code != 1 {
		s.t.Errorf("validate ended with %d and run with %d, want 1: %s%s", validated.Code, ran.Code, validated.Stderr, ran.Stderr)
	}
	return ran.Stderr
}

// gateway is the program, serving.
type gateway struct {
	*run.Process
	s        *site
	document string // the name of its file
	address  string // of the listener
	admin    string // of the admin pages
}

// serve runs a document until the test ends.
func (s *site) serve(document string, args ...string) *gateway {
	s.t.Helper()
	name := fmt.Sprintf("sallyport-%d.yaml", s.gateways) // each reloads when its own changes
	s.gateways++
	s.document(name, document)
	cmd := s.command(append([]string{"run", "--config", name, "--admin", "127.0.0.1:0"}, args...)...)
	g := &gateway{Process: run.Start(s.t, cmd), s: s, document: name}
	g.admin = g.await(0, "the admin pages", message("admin")).Address
	for _, address := range g.await(0, "the gateway to serve", message("serving")).Listeners {
		g.address = address
	}
	s.t.Cleanup(g.stop)
	return g
}

// stop ends the program as an operator would. It has to say that all went well, races and panics included, and the backend
// must have seen what was expected and nothing else.
func (g *gateway) stop() {
	if err := g.Signal(syscall.SIGTERM); err != nil {
		g.s.t.Error(err)
	}
	if code := g.ExitCode(g.s.t); code != 0 || g.Stderr.Text() != "" {
		g.s.t.Errorf("exit code %d, want 0; standard error: %s", code, g.Stderr.Text())
	}
	if want, got := int(g.s.expected.Load()), g.s.backend.count(); got != want {
		g.s.t.Errorf("the backend has seen %d requests, want %d", got, want)
	}
}

// record is a line of the log.
type record struct {
	Message    string            `json:"msg"`
	Error      string            `json:"error"`
	Address    string            `json:"address"`
	Listeners  map[string]string `json:"listeners"`
	RequestID  string            `json:"request_id"`
	Remote     string            `json:"remote"`
	Decision   string            `json:"decision"`
	Reason     string            `json:"reason"`
	Detail     string            `json:"detail"`
	Trigger    string            `json:"trigger"`
	Generation int               `json:"generation"`

	ClientSubject  string `json:"client_subject"`
	ClientAccepted bool   `json:"client_accepted"`
}

func message(text string) func(*record) bool {
	return func(r *record) bool { return r.Message == text }
}

// await waits for a record, from line from on, that fits.
func (g *gateway) await(from int, what string, fits func(*record) bool) *record {
	g.s.t.Helper()
	var found *record
	g.Await(g.s.t, g.Stdout, from, what, func(line string) bool {
		r := &record{}
		if err := json.Unmarshal([]byte(line), r); err != nil {
			g.s.t.Errorf("the log line %q is no JSON: %v", line, err)
			return false
		}
		if fits(r) {
			found = r
		}
		return found != nil
	})
	return found
}

// hangup sends SIGHUP and returns what came of it.
func (g *gateway) hangup() *record {
	g.s.t.Helper()
	from := g.Stdout.Count()
	if err := g.Signal(syscall.SIGHUP); err != nil {
		g.s.t.Fatal(err)
	}
	return g.await(from, "the end of a reload", func(r *record) bool {
		return r.Trigger == "signal" && strings.HasPrefix(r.Message, "reload")
	})
}

// reload puts another document to work.
func (g *gateway) reload(document string) {
	g.s.t.Helper()
	g.s.document(g.document, document)
	if r := g.hangup(); r.Message != "reloaded" {
		g.s.t.Fatalf("%s: %s", r.Message, r.Error)
	}
}

// requestID is the field that the gateway numbers requests with.
const requestID = "X-Request-ID"

// seen is a request that reached the backend.
type seen struct {
	*http.Request
	id string // that the gateway gave it
}

// backend remembers the requests that reach it and answers all of them with 200.
type backend struct {
	server *httptest.Server

	mu   sync.Mutex
	seen []seen
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

// newBackendOverTLS is another address of a backend, with a certificate; it returns its URL.
func newBackendOverTLS(t *testing.T, b *backend, credential tls.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(b)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{credential}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) // refused handshakes are what is wanted
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func (b *backend) address() string { return b.server.Listener.Addr().String() }

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(requestID)
	b.mu.Lock()
	b.seen = append(b.seen, seen{r, id})
	b.mu.Unlock()
	w.Header().Set("Backend-Saw-Request-Id", id)
	fmt.Fprintf(w, "the backend got %s %s", r.Method, r.RequestURI)
}

func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen)
}

// request returns the request with an id of the gateway's, nil for none.
func (b *backend) request(id string) *seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.seen {
		if b.seen[i].id == id {
			return &b.seen[i]
		}
	}
	return nil
}

// eventually asks again and again until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(run.Patience); !yes(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain for %s", run.Patience, what)
		}
	}
}

// quoted is a text as YAML takes it whatever it holds.
func quoted(text string) string { return strconv.Quote(text) }
