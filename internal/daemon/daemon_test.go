package daemon_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/daemon"
	"sallyport/internal/gateway"
	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

const document = `
listeners:
  - {name: public, address: "127.0.0.1:0", tls: {credentials: [server], client_auth: optional}}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: anchors.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
apis:
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
`

// running is a daemon and what it works with.
type running struct {
	t       *testing.T
	dir     string
	log     *lines
	reload  chan struct{}
	gateway *gateway.Gateway
	stop    context.CancelFunc
	ended   chan error

	ca, foreign, caller *testpki.Entity
	backend             string
}

// prepare writes everything that the document needs.
func prepare(t *testing.T) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), log: newLines(), reload: make(chan struct{}), ended: make(chan error, 1)}
	r.ca, r.foreign = testpki.NewCA(t, testpki.Options{CommonName: "CA"}), testpki.NewCA(t, testpki.Options{CommonName: "Foreign"})
	r.caller = r.ca.Leaf(t, testpki.Options{CommonName: "caller"})
	r.ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}}).Write(t, r.dir, "server")
	r.write("anchors.pem", string(r.ca.PEM()))
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	t.Cleanup(b.Close)
	r.backend = b.Listener.Addr().String()
	r.write("sallyport.yaml", document)
	return r
}

// write replaces a file of the folder as careful programs do: all at once.
func (r *running) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	text = strings.ReplaceAll(text, "BACKEND", r.backend)
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
		r.t.Fatal(err)
	}
}

// start runs the daemon until the test ends. A zero poll looks at the files so rarely that only reload counts.
func (r *running) start(poll time.Duration, adjust ...func(*daemon.Options)) {
	r.t.Helper()
	if poll == 0 {
		poll = time.Hour
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	ready := make(chan *gateway.Gateway, 1)
	o := daemon.Options{
		Config: filepath.Join(r.dir, "sallyport.yaml"), Log: r.log, Reload: r.reload, Poll: poll,
		Ready: func(g *gateway.Gateway) { ready <- g },
	}
	for _, f := range adjust {
		f(&o)
	}
	go func() { r.ended <- daemon.Run(ctx, o) }()
	select {
	case r.gateway = <-ready:
	case err := <-r.ended:
		r.t.Fatalf("the daemon did not start: %v", err)
	}
	r.t.Cleanup(func() {
		cancel()
		if err := <-r.ended; err != nil {
			r.t.Errorf("the daemon ended with %v", err)
		}
	})
}

// status asks for a path with the caller's certificate on a connection of its own.
func (r *running) status(path string) int {
	r.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(r.ca.Cert)
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			d := &tls.Dialer{Config: &tls.Config{
				RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					c := r.caller.TLS()
					return &c, nil
				},
			}}
			return d.DialContext(ctx, network, r.gateway.Addresses()["public"])
		},
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "https://localhost"+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func (r *running) expect(path string, want int) {
	r.t.Helper()
	if got := r.status(path); got != want {
		r.t.Errorf("GET %s: %d, want %d", path, got, want)
	}
}

func TestASignalReloadsTheDocument(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	r.start(0)
	r.expect("/orders/", 200)
	r.expect("/more/", 404)
	r.write("sallyport.yaml", document+"  - {name: more, path: /more/, upstream: echo}\n")
	r.reload <- struct{}{}
	line := r.log.wait(t, "reloaded", 1)
	if line["generation"] != 2.0 || line["trigger"] != "signal" || line["apis"] != 2.0 {
		t.Errorf("record %v", line)
	}
	r.expect("/more/", 200)
}

func TestAWrongDocumentChangesNothingAndIsReported(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	r.start(0)
	for i, wrong := range []struct{ name, text, says string }{
		{"a wrong key", strings.Replace(document, "client_auth", "clinet_auth", 1), `clinet_auth`},
		{"no YAML", "listeners: [", "sallyport.yaml:2:1: "},
		{"an empty store", strings.Replace(document, "[{file: anchors.pem}]", "[]", 1), "anchors"},
		{"an unreadable anchor", strings.Replace(document, "anchors.pem", "gone.pem", 1), "gone.pem"},
		{"nothing", "", "sallyport.yaml"},
		{"an address that is taken", strings.Replace(document, `"127.0.0.1:0"`, fmt.Sprintf("%q", r.backend), 1), "in use"},
		{"what is not built", document + "  - {name: p, path: /p/, upstream: echo, policy: [{respond: {status: 403}}]}\n", "policy"},
	} {
		r.write("sallyport.yaml", wrong.text)
		r.reload <- struct{}{}
		r.log.wait(t, "reload refused; the running configuration stays", i+1)
		if !r.log.contains(wrong.says) {
			t.Errorf("%s: the log does not say %q", wrong.name, wrong.says)
		}
		r.expect("/orders/", 200)
	}
	if g := r.gateway.Snapshot().Generation(); g != 1 {
		t.Errorf("generation %d runs", g)
	}
}

func TestAChangedFileReloadsTheDocument(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	r.start(5 * time.Millisecond)
	r.expect("/orders/", 200)
	r.write("anchors.pem", string(r.foreign.PEM())) // named by the document, not the document itself
	if line := r.log.wait(t, "reloaded", 1); line["trigger"] != "file change" {
		t.Errorf("record %v", line)
	}
	r.expect("/orders/", 403)
}

func TestAThumbprintThatIsAddedToAFileIsDenied(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	caller, other := identity.Thumbprint(r.caller.Cert).String(), identity.Thumbprint(r.foreign.Cert).String()
	r.write("denied.txt", other+"\n")
	r.write("sallyport.yaml", strings.Replace(document, "trust: [partners]}", "trust: [partners], deny: [{sha256_file: denied.txt}]}", 1))
	r.start(5 * time.Millisecond)
	r.expect("/orders/", 200)
	r.write("denied.txt", other+"\n"+caller+"\n")
	r.log.wait(t, "reloaded", 1)
	r.expect("/orders/", 403)
	r.write("denied.txt", "") // whoever truncates it lets nobody in
	r.log.wait(t, "reload refused; the running configuration stays", 1)
	r.expect("/orders/", 403)
	r.write("denied.txt", other+"\n")
	r.log.wait(t, "reloaded", 2)
	r.expect("/orders/", 200)
}

func TestAFileThatWasMissingIsNoticedWhenItComes(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	r.start(5 * time.Millisecond)
	r.write("sallyport.yaml", strings.Replace(document, "anchors.pem", "later.pem", 1))
	r.log.wait(t, "reload refused; the running configuration stays", 1)
	r.expect("/orders/", 200)
	r.write("later.pem", string(r.foreign.PEM()))
	r.log.wait(t, "reloaded", 1)
	r.expect("/orders/", 403)
}

func TestAWrongDocumentDoesNotStart(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a wrong key":     strings.Replace(document, "apis:", "api:", 1),
		"a broken file":   strings.Replace(document, "anchors.pem", "gone.pem", 1),
		"nothing to do":   "log: {level: info}\n",
		"not built":       document + "  - {name: p, path: /p/, upstream: echo, policy: [{respond: {status: 403}}]}\n",
		"no valid secret": document + "keys: [{name: k, secret: {env: SALLYPORT_TEST_UNSET}, apis: [orders]}]\n",
	} {
		r := prepare(t)
		r.write("sallyport.yaml", text)
		if err := daemon.Run(t.Context(), daemon.Options{Config: filepath.Join(r.dir, "sallyport.yaml"), Log: r.log}); err == nil {
			t.Errorf("%s: the daemon ran", name)
		}
	}
}

func TestServePartialStartsWithTheAffectedAPIsRefusing(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	r.write("sallyport.yaml", document+"  - {name: open, path: /open/, upstream: echo}\n")
	if err := os.Remove(filepath.Join(r.dir, "anchors.pem")); err != nil {
		t.Fatal(err)
	}
	r.start(0, func(o *daemon.Options) { o.ServePartial = true })
	r.expect("/open/", 200)
	r.expect("/orders/", 503)
	if !r.log.contains("anchors.pem") {
		t.Error("the log does not name the file")
	}
	r.reload <- struct{}{} // a reload is strict: what runs stays
	r.log.wait(t, "reload refused; the running configuration stays", 1)
	r.expect("/open/", 200)
}

func TestTheLogNamesThePlaceOfAnAnchorThatExpired(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	old := testpki.NewCA(t, testpki.Options{CommonName: "Old CA", NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)})
	r.write("old.pem", string(old.PEM()))
	r.write("sallyport.yaml", strings.Replace(document, "[{file: anchors.pem}]", "[{file: anchors.pem}, {file: old.pem}]", 1))
	r.start(0)
	want := filepath.Join(r.dir, "sallyport.yaml") + `:7:53: trust store "partners": "CN=Old CA" is skipped: it expired after 2021-01-01T00:00:00Z`
	if got := r.log.wait(t, "configuration", 1)["note"]; got != want {
		t.Errorf("the note is %q, want %q", got, want)
	}
}

func TestCheckReportsAWrongDocumentAsAList(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	r.write("sallyport.yaml", strings.Replace(document, "client_auth", "clinet_auth", 1))
	_, err := daemon.Check(filepath.Join(r.dir, "sallyport.yaml"), config.Options{}, nil, gateway.NewClock(nil))
	if _, ok := errors.AsType[config.ErrorList](err); !ok {
		t.Errorf("the error is a %T: %v", err, err)
	}
}

func TestFormatAndLevelFollowTheDocument(t *testing.T) {
	t.Parallel()
	r := prepare(t)
	r.start(0)
	r.write("sallyport.yaml", document+"log: {format: text, level: error}\n")
	r.reload <- struct{}{}
	r.log.waitText(t, "msg=request", func() { r.expect("/orders/", 200) }) // no level silences the access log
	if r.log.contains("msg=reloaded") {
		t.Error("level error still logs reloads")
	}
}

// lines are the log lines of a daemon.
type lines struct {
	mu   sync.Mutex
	text []string
	more chan struct{}
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(bytes.TrimSpace(p)))
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

func (l *lines) contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(strings.Join(l.text, "\n"), text)
}

// wait returns the n-th JSON line with the message.
func (l *lines) wait(t *testing.T, message string, n int) map[string]any {
	t.Helper()
	var found map[string]any
	l.await(t, message, func() bool {
		seen := 0
		for _, text := range l.text {
			var line map[string]any
			if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == message {
				if seen++; seen == n {
					found = line
					return true
				}
			}
		}
		return false
	})
	return found
}

// waitText does something and waits for a line that contains the text.
func (l *lines) waitText(t *testing.T, text string, do func()) {
	t.Helper()
	do()
	l.await(t, text, func() bool { return strings.Contains(strings.Join(l.text, "\n"), text) })
}

func (l *lines) await(t *testing.T, what string, there func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		ok, more := there(), l.more
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no line %q in\n%s", what, strings.Join(l.text, "\n"))
		}
	}
}
