package metrics

import (
	"crypto/tls"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// page is what users read about the metrics.
const page = "../../docs/metrics.md"

// quoted is a word in the page's tables.
var quoted = regexp.MustCompile("`([^`]*)`")

// words returns the words of a cell in the order of the alphabet.
func words(cell string) (list []string) {
	for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
		list = append(list, match[1])
	}
	slices.Sort(list)
	return list
}

// table returns the rows below a heading of the page, cell by cell.
func table(t *testing.T, heading string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// described is what the page or the program says of a family.
type described struct {
	Kind    string
	Labels  []string
	Meaning string
}

func TestThePageListsEveryFamilyAsItIs(t *testing.T) {
	t.Parallel()
	s := New("v1")
	s.Retain(slices.Values([]string{"public"}), slices.Values([]string{"orders"}), func(yield func(string, string) bool) { yield("shop", "one") })
	s.Reloaded(true, 1)
	l, a, target := s.Listener("public"), s.API("orders"), s.Target("shop", "one")
	l.Handshake(tls.VersionTLS13, false, HandshakeOK, time.Millisecond)
	l.HandshakeDenied("certificate_missing")
	l.HTTP2Error("ping")
	a.Decided(l, Allow, "ok")
	a.Answered(Exchange{Method: "GET", Status: 200})
	a.StreamOpened()
	a.StreamCut("no_route")
	target.Attempted("", false, time.Millisecond)
	target.Broke("reset")

	registry := prometheus.NewPedanticRegistry() // it complains about what was not described, too
	registry.MustRegister(collector{s})
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	program := map[string]described{}
	for _, f := range gathered {
		d := described{Kind: strings.ToLower(f.GetType().String()), Meaning: f.GetHelp()}
		for _, label := range f.GetMetric()[0].GetLabel() {
			d.Labels = append(d.Labels, label.GetName())
		}
		program[f.GetName()] = d
	}
	if len(program) != len(families) {
		t.Errorf("%d families are shown, there are %d: this test has to use all", len(program), len(families))
	}

	documented := map[string]described{}
	for _, row := range table(t, "Families") {
		if len(row) != 4 {
			t.Fatalf("a row of %d cells: %q", len(row), row)
		}
		documented[words(row[0])[0]] = described{Kind: row[1], Labels: words(row[2]), Meaning: row[3]}
	}
	if diff := cmp.Diff(program, documented); diff != "" {
		t.Errorf("%s (-program +page):\n%s", page, diff)
	}
}

// all returns the words of the first n values of a closed set.
func all[V interface {
	~uint8
	String() string
}](n V) (list []string) {
	for v := range n {
		list = append(list, v.String())
	}
	slices.Sort(list)
	return list
}

func TestThePageListsEveryWordOfTheClosedSets(t *testing.T) {
	t.Parallel()
	program := map[string][]string{
		"sallyport_config_reloads_total result":     {"refused", "success"},
		"sallyport_connections_refused_total cause": all(refusalCauses),
		"sallyport_connections_closed_total cause":  all(closeCauses),
		"sallyport_tls_handshakes_total version":    all(tlsVersion(tlsVersions))[1:], // the first is empty
		"sallyport_tls_handshakes_total result":     all(handshakeResults),
		"sallyport_client_auth_total result":        all(outcomes),
		"sallyport_requests_total method":           all(method(len(methods))),
	}
	documented := map[string][]string{}
	for _, row := range table(t, "Values") {
		documented[words(row[0])[0]+" "+words(row[1])[0]] = words(row[2])
	}
	if diff := cmp.Diff(program, documented); diff != "" {
		t.Errorf("%s (-program +page):\n%s", page, diff)
	}
}

func TestEveryValueOfAClosedSetHasAWordOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]string{
		"outcome": all(outcomes), "handshake": all(handshakeResults), "refusal": all(refusalCauses), "close": all(closeCauses),
		"method": all(method(len(methods))), "version": all(tlsVersion(tlsVersions)),
	} {
		if len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%s: %q", name, list)
		}
	}
	for _, beyond := range []struct{ got, want string }{
		{outcomes.String(), Deny.String()},
		{handshakeResults.String(), HandshakeFailed.String()},
		{refusalCauses.String(), ListenerFull.String()},
		{closeCauses.String(), ClosedOther.String()},
		{method(len(methods)).String(), "other"},
		{tlsVersion(tlsVersions).String(), ""},
	} {
		if beyond.got != beyond.want {
			t.Errorf("a value outside the set is %q, want %q", beyond.got, beyond.want)
		}
	}
}
