package pressure_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/test/internal/run"
)

// state is what varies in the document of the reload test.
type state struct {
	comes   bool   // the listener "comes" exists
	moved   bool   // the listener "moves" is on all addresses, instead of one
	hopped  bool   // the listener "hops" is on its second port
	toggled string // client_auth of the server name toggled.test
	second  bool   // the store "second" has the CA of the stranger
	extra   bool   // the API "extra" exists
	listed  bool   // the caller is on the list of the API "listed"
	small   bool   // the API "limited" takes small bodies only
	targets string
	pool    string
	limits  string
	log     string
}

// change is one reload: what it does to the state.
type change struct {
	what string
	do   func(*state)
}

// round is what a reload does, one after the other; the test goes through it several times.
var round = []change{
	{"a listener comes", func(s *state) { s.comes = true }},
	{"a listener moves to all addresses", func(s *state) { s.moved = true }},
	{"a server name asks for certificates", func(s *state) { s.toggled = "optional" }},
	{"a CA is not trusted any more", func(s *state) { s.second = false }},
	{"an API goes", func(s *state) { s.extra = false }},
	{"a caller is taken off a list", func(s *state) { s.listed = false }},
	{"the requests go to another target", func(s *state) { s.targets = `["TWO"]` }},
	{"the log is text", func(s *state) { s.log = "{access: on, format: text}" }},
	{"a server name requires certificates", func(s *state) { s.toggled = "required" }},
	{"limits change", func(s *state) { s.limits = "{max_connections: 3000, idle_timeout: 30s, max_streams: 50}" }},
	{"a listener changes its port", func(s *state) { s.hopped = true }},
	{"a listener goes", func(s *state) { s.comes = false }},
	{"a CA is trusted", func(s *state) { s.second = true }},
	{"an API comes", func(s *state) { s.extra = true }},
	{"the log is sampled JSON", func(s *state) { s.log = "{access: sampled}" }},
	{"a caller is put on a list", func(s *state) { s.listed = true }},
	{"a listener moves back to one address", func(s *state) { s.moved = false }},
	{"a server name asks for nothing", func(s *state) { s.toggled = "none" }},
	{"bodies are smaller, requests go to both targets", func(s *state) {
		s.small, s.targets, s.pool = true, `["ONE", "TWO"]`, "{max_idle: 4, max: 500}"
	}},
	{"everything is as it was", func(s *state) { *s = initially }},
}

var initially = state{
	toggled: "none", second: true, extra: true, listed: true, targets: `["ONE"]`, pool: "{max_idle: 64}", limits: "{max_connections: 5000}", log: "{access: on}",
}

const rounds = 5 // of 20 reloads

// document writes the document of a state.
func (s *state) document(replace ...string) string {
	const text = `
log: LOG
shutdown: {drain: 12s}
listeners:
  - name: stays
    address: 127.0.0.1:STAYS
    limits: LIMITS
    tls: {credentials: [server], client_auth: optional, profiles: [{server_names: [toggled.test], client_auth: TOGGLED, trust: [partners]}]}
  - {name: moves, address: "MOVES", tls: {credentials: [server], client_auth: optional}}
  - {name: hops, address: "127.0.0.1:HOPS", tls: {credentials: [server], client_auth: optional}}
COMES
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: second, anchors: [SECOND]}
upstreams:
  - {name: echo, targets: TARGETS, pool: POOL}
apis:
  - {name: orders, hosts: [api.test], path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
  - {name: toggled, hosts: [toggled.test], path: /, upstream: echo}
  - {name: second, hosts: [api.test], path: /second/, upstream: echo, client_certificate: {mode: required, trust: [second]}}
  - {name: listed, hosts: [api.test], path: /listed/, upstream: echo, client_certificate: {mode: required, trust: [partners], allow: [{common_name: LISTED}]}}
  - {name: limited, hosts: [api.test], path: /limited/, upstream: echo, limits: {max_body_size: LARGEST}}
EXTRA
`
	pick := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	return strings.NewReplacer(replace...).Replace(strings.NewReplacer(
		"LOG", s.log, "LIMITS", s.limits, "TOGGLED", s.toggled, "TARGETS", s.targets, "POOL", s.pool,
		"MOVES", pick(s.moved, "0.0.0.0:MOVES", "127.0.0.1:MOVES"),
		"HOPS", pick(s.hopped, "HOPS2", "HOPS1"),
		"COMES", pick(s.comes, `  - {name: comes, address: "127.0.0.1:COMES", tls: {credentials: [server], client_auth: optional}}`, ""),
		"SECOND", pick(s.second, "{file: ca.pem}, {file: other.pem}", "{file: ca.pem}"),
		"LISTED", pick(s.listed, "caller", "nobody"),
		"LARGEST", pick(s.small, "32KiB", "1MiB"),
		"EXTRA", pick(s.extra, "  - {name: extra, hosts: [api.test], path: /extra/, upstream: echo}", ""),
	).Replace(text))
}

// phase is a state and when it was in effect: from when the reload began that brought it, until the next was live. While
// two overlap either may be in effect.
type phase struct {
	state
	what              string
	from, live, until int64
}

// excuse says why an outcome is what a reload itself refuses; "" when nothing excuses it. The rules are these:
//
//   - On a listener that is gone nobody connects. A connection that was opened after its removal began may end before an
//     answer. What is sent on one that was open before gets an answer, which may be 421: come back elsewhere. With HTTP/2,
//     GOAWAY may name a request that was on its way as not processed, which is the protocol's own way to say that nothing was
//     done with it (RFC 9113, section 6.8).
//   - On a listener that moves only that last may happen. Nobody finds its address closed, and nobody is sent away.
//   - A server name that requires a certificate turns away who has none, in the handshake or with 401, 403 or 421. Who has one
//     is told to come back (421) on a connection that is older than the rule.
//   - A caller whose CA is not trusted gets 403; one who is not on the list, too; an API that is gone is a 404; a body that is
//     too large now is a 413.
func (p *phase) excuse(l *lane, o *outcome) string {
	surface, _, _ := strings.Cut(l.Name, " ")
	early := o.Stage == stageDial || o.Stage == stageHandshake || o.Stage == stageSend && o.Opened >= p.from || o.Stage == stageUnprocessed
	answered := func(status int, reason string) bool {
		return o.Stage == stageDone && o.Status == status && o.Reason == reason
	}
	gone := map[string]bool{"comes": !p.comes, "hops1": p.hopped, "hops2": !p.hopped}
	switch {
	case gone[surface] && (early || answered(421, "misdirected_request")):
		return "there is no listener"
	case surface == "moves" && o.Stage == stageUnprocessed && o.Opened < p.live:
		return "its listener has moved"
	case surface == "toggled" && p.toggled == "required" && l.Cert == "":
		if early || strings.HasSuffix(o.Error, "tls: certificate required") || answered(401, "certificate_missing") || answered(421, "misdirected_request") {
			return "a certificate is required"
		}
	case surface == "toggled" && p.toggled == "required" && o.Opened <= p.live && answered(421, "misdirected_request"):
		return "a certificate is required, and the connection is older"
	case surface == "second" && !p.second && (answered(403, "certificate_untrusted") || o.Stage == stageUnprocessed):
		return "the CA is not trusted"
	case surface == "listed" && !p.listed && answered(403, "certificate_not_allowed"):
		return "the caller is not on the list"
	case surface == "extra" && !p.extra && answered(404, "no_route"):
		return "the API is gone"
	case surface == "limited" && p.small && answered(413, "request_too_large"):
		return "the body is too large"
	}
	return ""
}

// lanes are how the callers call; the first word of a name is what the rules above go by.
func reloadLanes(stays, moves, comes, hops1, hops2 string) []lane {
	base := lane{Address: stays, ServerName: serverName, Path: "/orders/", Cert: "caller", Requests: 1, Streams: 1, Callers: 1, Pace: 25 * time.Millisecond}
	var all []lane
	add := func(name string, adjust func(*lane)) {
		l := base
		l.Name = name
		adjust(&l)
		all = append(all, l)
	}
	for surface, address := range map[string]string{"stays": stays, "moves": moves, "comes": comes} {
		add(surface+" h1 new", func(l *lane) { l.Address, l.Callers = address, 2 })
		add(surface+" h1 kept", func(l *lane) { l.Address, l.Requests, l.Body, l.Chunked = address, 50, 5000, true })
		add(surface+" h2 new", func(l *lane) { l.Address, l.HTTP2, l.Body = address, true, 500 })
		add(surface+" h2 kept", func(l *lane) { l.Address, l.HTTP2, l.Requests, l.Streams, l.Body = address, true, 50, 3, 3000 })
		add(surface+" h1 slow upload", func(l *lane) { l.Address, l.Body, l.Slow = address, 50_000, true })
		add(surface+" h2 slow upload", func(l *lane) { l.Address, l.Body, l.Slow, l.HTTP2 = address, 50_000, true, true })
		add(surface+" h1 slow answer", func(l *lane) { l.Address, l.Path = address, l.Path+slowAnswer })
		add(surface+" h2 slow answer", func(l *lane) { l.Address, l.Path, l.HTTP2, l.Streams = address, l.Path+slowAnswer, true, 2 })
	}
	add("hops1 h1 new", func(l *lane) { l.Address = hops1 })
	add("hops2 h1 new", func(l *lane) { l.Address = hops2 })
	for cert, who := range map[string]string{"": "nobody", "caller": "caller"} {
		at := func(l *lane) { l.ServerName, l.Path, l.Cert = "toggled.test", "/", cert }
		add("toggled h1 new "+who, at)
		add("toggled h1 kept "+who, func(l *lane) { at(l); l.Requests, l.Body = 30, 1000 })
		add("toggled h2 kept "+who, func(l *lane) { at(l); l.HTTP2, l.Requests, l.Streams, l.Body = true, 30, 2, 1000 })
		add("toggled h1 slow upload "+who, func(l *lane) { at(l); l.Slow, l.Body = true, 50_000 })
		add("toggled h2 slow answer "+who, func(l *lane) { at(l); l.Path, l.HTTP2 = "/"+slowAnswer, true })
	}
	add("second h1 new", func(l *lane) { l.Path, l.Cert = "/second/", "stranger" })
	add("second h2 kept", func(l *lane) { l.Path, l.Cert, l.HTTP2, l.Requests, l.Streams = "/second/", "stranger", true, 30, 2 })
	add("listed h1 kept", func(l *lane) { l.Path, l.Requests = "/listed/", 30 })
	add("extra h2 kept", func(l *lane) { l.Path, l.HTTP2, l.Requests = "/extra/", true, 30 })
	add("limited h1 kept", func(l *lane) { l.Path, l.Requests, l.Body = "/limited/", 30, 60_000 })
	return all
}

// tally is what the callers have said so far.
type tally struct {
	mu       sync.Mutex
	outcomes []outcome
	latest   map[string]int64 // by lane: the latest start of a call that has ended
	changed  chan struct{}
}

func (y *tally) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var o outcome
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return fmt.Errorf("the callers said %q", lines.Text())
		}
		y.mu.Lock()
		y.outcomes = append(y.outcomes, o)
		y.latest[o.Lane] = max(y.latest[o.Lane], o.Start)
		close(y.changed)
		y.changed = make(chan struct{})
		y.mu.Unlock()
	}
	return lines.Err()
}

// await waits until every quick lane has made a call that began after a time.
func (y *tally) await(t *testing.T, lanes []lane, since int64) {
	t.Helper()
	timeout := time.After(run.Patience)
	for {
		y.mu.Lock()
		changed := y.changed
		behind := slices.IndexFunc(lanes, func(l lane) bool { return !slow(&l) && y.latest[l.Name] <= since })
		y.mu.Unlock()
		if behind < 0 {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the lane %q makes no calls any more", lanes[behind].Name)
		}
	}
}

func slow(l *lane) bool { return l.Slow || strings.HasSuffix(l.Path, slowAnswer) }

// newEchoBackend starts the backend of the reload test.
func newEchoBackend(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
		case strings.HasSuffix(r.URL.Path, slowAnswer):
			w.Header().Set("Content-Length", fmt.Sprint(slowPieces*len("piece\n")))
			for range slowPieces {
				wait(r.Context(), slowPace)
				_, _ = io.WriteString(w, "piece\n")
				_ = http.NewResponseController(w).Flush()
			}
		default:
			_, _ = io.WriteString(w, echo(r.Method, r.URL.Path, body))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	port := func() string { return free.Free(t) }
	stays, moves, comes, hops1, hops2 := port(), port(), port(), port(), port()
	replace := []string{
		"STAYS", stays, ":MOVES", ":" + moves, ":COMES", ":" + comes, "HOPS1", hops1, "HOPS2", hops2,
		"ONE", newEchoBackend(t), "TWO", newEchoBackend(t),
	}
	now := initially
	g := s.start(built(t, builtProgram), now.document(replace...))
	lanes := reloadLanes("127.0.0.1:"+stays, "127.0.0.1:"+moves, "127.0.0.1:"+comes, "127.0.0.1:"+hops1, "127.0.0.1:"+hops2)
	y, finish := startCallers(t, &order{
		Roots: string(s.ca.PEM()),
		Certs: map[string]string{"caller": string(s.caller.PEM()) + string(s.caller.KeyPEM()), "stranger": string(s.stranger.PEM()) + string(s.stranger.KeyPEM())},
		Lanes: lanes,
	})
	phases := []phase{{state: now, what: "the beginning"}}
	y.await(t, lanes, time.Now().UnixNano())
	for n := range rounds * len(round) {
		c := round[n%len(round)]
		c.do(&now)
		p := phase{state: now, what: c.what, from: time.Now().UnixNano()}
		if from := g.Stdout.Count(); n%20 == 5 { // now and then nobody sends a signal
			s.write(documentName, now.document(replace...))
			g.awaitReload(from, "file change")
		} else {
			g.reload(now.document(replace...))
		}
		p.live = time.Now().UnixNano()
		phases[len(phases)-1].until = p.live
		phases = append(phases, p)
		y.await(t, lanes, p.live)
	}
	phases[len(phases)-1].until = 1 << 62
	finish()
	checkOutcomes(t, g, lanes, phases, y.outcomes)
	if n := g.metrics().sum("sallyport_config_reloads_total", `result="success"`); n != float64(len(phases)) {
		t.Errorf("%v reloads are counted, want %d", n, len(phases))
	}
	g.stop()
}

// startCallers starts the process of the callers. finish lets their last calls end, and waits for it.
func startCallers(t *testing.T, o *order) (y *tally, finish func()) {
	t.Helper()
	y = &tally{latest: map[string]int64{}, changed: make(chan struct{})}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), built(t, builtTests))
	cmd.Env = append(os.Environ(), role+"="+callersRole)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		if err := y.read(out); err != nil {
			t.Error(err)
		}
	}()
	end := sync.OnceFunc(func() {
		_ = in.Close() // says that it is over
		select {
		case <-read:
		case <-time.After(2 * run.Patience):
			t.Error("the callers do not end")
			_ = cmd.Process.Signal(syscall.SIGKILL)
			<-read
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the callers: %v", err)
		}
	})
	t.Cleanup(end)
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(append(text, '\n')); err != nil {
		t.Fatal(err)
	}
	return y, end
}

// longestCall is what no quick call takes, also when it is refused: the drain of a listener takes longer.
const longestCall = 8 * time.Second

// checkOutcomes complains about every call that failed and that no reload itself refuses, and about lanes that prove
// nothing.
func checkOutcomes(t *testing.T, g *running, lanes []lane, phases []phase, outcomes []outcome) {
	t.Helper()
	byName := map[string]*lane{}
	for i := range lanes {
		byName[lanes[i].Name] = &lanes[i]
	}
	good, excused, longest := map[string]int{}, map[string]int{}, map[string]time.Duration{}
	failed := 0
	for i := range outcomes {
		o := &outcomes[i]
		longest[o.Lane] = max(longest[o.Lane], time.Duration(o.End-o.Opened))
		if o.Stage == stageDone && o.Status == http.StatusOK && o.Error == "" {
			good[o.Lane]++
			continue
		}
		why, during, start := "", []string(nil), o.Start
		if o.Stage != stageDone {
			start = o.Opened // what became of the connection counts
		}
		for k := range phases {
			if p := &phases[k]; p.from <= o.End && start <= p.until {
				during = append(during, p.what)
				if why == "" {
					why = p.excuse(byName[o.Lane], o)
				}
			}
		}
		if why != "" && (slow(byName[o.Lane]) || o.End-o.Start < int64(longestCall)) {
			excused[o.Lane+": "+why]++
			continue
		}
		if failed++; failed <= 20 {
			t.Errorf("%+v\nthe connection was %v old; during %q; the log says of it\n%s", *o, time.Duration(o.Start-o.Opened), during, g.about(o.Local))
		}
	}
	t.Logf("%d calls while %d reloads changed something: %d failed", len(outcomes), len(phases)-1, failed)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		t.Logf("%6d answered on %s, the longest connection %v", good[name], name, longest[name])
		if good[name] == 0 {
			t.Errorf("no call was answered on %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(excused)) {
		t.Logf("%6d refused on %s", excused[name], name)
	}
	for _, surface := range []string{"comes", "hops1", "hops2", "toggled", "second", "listed", "extra", "limited"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(excused)), func(name string) bool { return strings.HasPrefix(name, surface+" ") }) {
			t.Errorf("nobody was ever refused on %s: the reloads changed nothing there", surface)
		}
	}
}
