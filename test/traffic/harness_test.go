package traffic_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sallyport/internal/testpki"
	"sallyport/test/internal/run"
)

// scratch is a folder for what the tests share, while they run.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // they wait for peers far more than they compute
		panic(err)
	}
	os.Exit(run.Tests(m, &scratch))
}

// The program as the tests want it: with the race detector if they have it, and as users run it. The first to ask builds it.
var (
	checkedProgram = sync.OnceValues(func() (string, error) { return build("checked", run.WithRace()) })
	plainProgram   = sync.OnceValues(func() (string, error) { return build("plain", false) })
)

func build(name string, race bool) (string, error) {
	file := filepath.Join(scratch, name)
	return file, run.Build("../..", file, race)
}

var ports run.Ports

// document says what a gateway of a test serves: a TLS listener that requires a certificate, and APIs. The strings are
// further keys in YAML's flow style, without braces.
type document struct {
	limits string // of the listeners
	apis   []api
	open   bool // there is a second listener, without TLS, for HTTP/1.1 and HTTP/2; nobody has a certificate there
	plain  bool // the program is built as users build it, whatever the tests are
}

// api is an API with an upstream of its own.
type api struct {
	path     string // the prefix; its letters are the name as well
	target   string
	limits   string
	upstream string
	methods  string
	callers  string // what it says about the certificates of callers, besides what it inherits
}

// yaml is the document as text.
func (d document) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners:\n  - {name: public, address: \"127.0.0.1:0\", tls: {credentials: [server], client_auth: optional}, "+
		"client_certificate: {mode: required, trust: [partners]}, limits: {%s}}\n", d.limits)
	if d.open {
		fmt.Fprintf(&b, "  - {name: open, address: \"127.0.0.2:0\", protocols: [h1, h2c], limits: {%s}}\n", d.limits)
	}
	b.WriteString(`credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: backends, anchors: [{file: ca.pem}]}
shutdown: {drain: 2s}
`)
	b.WriteString("apis:\n")
	for _, a := range d.apis {
		fmt.Fprintf(&b, "  - {name: %s, path: %s, upstream: %s, limits: {%s}%s}\n", a.name(), a.path, a.name(), a.limits, more(a.methods)+more(a.callers))
	}
	b.WriteString("upstreams:\n")
	for _, a := range d.apis {
		fmt.Fprintf(&b, "  - {name: %s, targets: [%q]%s}\n", a.name(), a.target, more(a.upstream))
	}
	return b.String()
}

func more(keys string) string {
	if keys == "" {
		return ""
	}
	return ", " + keys
}

func (a api) name() string { return notAWord.ReplaceAllString(strings.Trim(a.path, "/"), "-") }

var notAWord = regexp.MustCompile(`[^A-Za-z0-9]+`)

// pathOf returns a path below a prefix that is only this test's, by which its record can be found.
func pathOf(t testing.TB, prefix string) string {
	t.Helper()
	return prefix + notAWord.ReplaceAllString(t.Name(), "-")
}

// gateway is a running sallyport.
type gateway struct {
	*run.Process
	ca      *testpki.Entity
	partner *testpki.Entity // whose certificate clients show
	address string          // of the TLS listener
	open    string          // of the one without TLS; "" without it
}

// serve starts sallyport with a document and waits until it serves. environment is added to that of the tests. When the
// test ends the program has to end well: a data race, a panic or a word on standard error fails the test.
func serve(t testing.TB, d document, environment ...string) *gateway {
	t.Helper()
	return serveWith(t, testpki.NewCA(t, testpki.Options{}), d, environment...)
}

// serveWith is serve with a certification authority that is there already, because a backend has a certificate of it.
func serveWith(t testing.TB, ca *testpki.Entity, d document, environment ...string) *gateway {
	t.Helper()
	file, err := checkedProgram()
	if d.plain {
		file, err = plainProgram()
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca.Write(t, dir, "ca")
	ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}}).Write(t, dir, "server")
	if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte(d.yaml()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, "run", "--config", "sallyport.yaml")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...)
	g := &gateway{Process: run.Start(t, cmd), ca: ca, partner: ca.Leaf(t, testpki.Options{CommonName: "partner"})}
	t.Cleanup(func() { g.endsWell(t) })
	ready := g.await(t, `the record "serving"`, func(r *record) bool { return r.Message == "serving" })
	g.address, g.open = ready.Listeners["public"], ready.Listeners["open"]
	return g
}

// endsWell ends the gateway as an operator would and checks that all went well.
func (g *gateway) endsWell(t testing.TB) {
	if err := g.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the program had ended before: %s", g.Said())
		return
	}
	if code := g.ExitCode(t); code != 0 || g.Stderr.Text() != "" {
		t.Errorf("exit code %d, want 0 and nothing on standard error: %s", code, g.Said())
	}
	all, _ := g.Stdout.Since(0)
	for _, line := range all {
		if r := parse(t, line); r.Level == "ERROR" || strings.HasPrefix(r.Message, "stopped before") {
			t.Errorf("the log has an error, or a request that did not end with its client: %s", line)
		}
	}
	if t.Failed() {
		t.Log(g.Said())
	}
}

// record is a line of the log.
type record struct {
	Message   string            `json:"msg"`
	Level     string            `json:"level"`
	Listeners map[string]string `json:"listeners"`

	RequestID  string  `json:"request_id"`
	Remote     string  `json:"remote"`
	Listener   string  `json:"listener"`
	Method     string  `json:"method"`
	Path       string  `json:"path"`
	Protocol   string  `json:"protocol"`
	API        string  `json:"api"`
	Decision   string  `json:"decision"`
	Reason     string  `json:"reason"`
	Detail     string  `json:"detail"`
	Target     string  `json:"target"`
	Failure    string  `json:"failure"`
	Status     int     `json:"status"`
	BytesIn    int64   `json:"bytes_in"`
	BytesOut   int64   `json:"bytes_out"`
	DurationMS float64 `json:"duration_ms"`
}

func parse(t testing.TB, line string) *record {
	t.Helper()
	r := &record{}
	if err := json.Unmarshal([]byte(line), r); err != nil {
		t.Fatalf("the log line %q is no JSON: %v", line, err)
	}
	return r
}

// await waits for a line of the log that match accepts.
func (g *gateway) await(t testing.TB, what string, match func(*record) bool) *record {
	t.Helper()
	var found *record
	g.Await(t, g.Stdout, 0, what, func(line string) bool {
		r := parse(t, line)
		if !match(r) {
			return false
		}
		found = r
		return true
	})
	return found
}

// passed waits for the access record of a path and checks that it says of the request what becomes of most: it was let
// through, its answer has a status, and nothing failed. The bytes are those of the two bodies; less than zero is any number.
func (g *gateway) passed(t testing.TB, path string, status int, in, out int64) *record {
	t.Helper()
	r := g.record(t, path)
	if r.Decision != "allow" || r.Reason != "ok" || r.Status != status || r.Failure != "" {
		t.Errorf("the record says %s; want allow, ok and status %d without a failure", r, status)
	}
	if in >= 0 && r.BytesIn != in || out >= 0 && r.BytesOut != out {
		t.Errorf("the record counts %d bytes in and %d out, want %d and %d", r.BytesIn, r.BytesOut, in, out)
	}
	return r
}

// refused waits for the access record of a path and checks that it says why the request was refused, and how it was
// answered. detail is a part of the detail.
func (g *gateway) refused(t testing.TB, path, reason string, status int, detail string) *record {
	t.Helper()
	r := g.record(t, path)
	if r.Decision != "deny" || r.Reason != reason || r.Status != status || !strings.Contains(r.Detail, detail) {
		t.Errorf("the record says %s; want deny, %s and status %d with %q in the detail", r, reason, status, detail)
	}
	return r
}

// failed waits for the access record of a path and checks that it says of a request that was let through what went wrong with
// it: failure is a part of it.
func (g *gateway) failed(t testing.TB, path, failure string, status int) *record {
	t.Helper()
	r := g.record(t, path)
	if r.Decision != "allow" || r.Reason != "ok" || r.Status != status || r.Failure == "" || !strings.Contains(r.Failure, failure) {
		t.Errorf("the record says %s; want allow, ok and status %d with %q in the failure", r, status, failure)
	}
	return r
}

// record waits for the access record of a path.
func (g *gateway) record(t testing.TB, path string) *record {
	t.Helper()
	return g.await(t, "the access record of "+path, func(r *record) bool { return r.Message == "request" && r.Path == path })
}

// String is what matters of a record in the text of a failure.
func (r *record) String() string {
	return fmt.Sprintf("{%s %s over %s: %s %s %q, status %d, failure %q, %d bytes in, %d out}",
		r.Method, r.Path, r.Protocol, r.Decision, r.Reason, r.Detail, r.Status, r.Failure, r.BytesIn, r.BytesOut)
}
