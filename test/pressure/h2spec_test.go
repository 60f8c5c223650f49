package pressure_test

import (
	"encoding/xml"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sallyport/test/internal/run"
)

// deviations are the cases of h2spec that the gateway is known not to pass, each with the reason. A case that passes
// after all has to go from the list.
var deviations = map[string]string{
	"http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                            "net/http takes a setting that is in a frame twice for an attack and ends the connection",
	"http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field":                       "the gateway answers 400, with a reason, where it might reset the stream (RFC 9113, section 8.1.1); nothing of it is passed on",
	"http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "as above",
}

// deviationsWithoutTLS are further ones where HTTP/1 is spoken at the same address.
var deviationsWithoutTLS = map[string]string{
	"http2/3.5: Sends invalid connection preface": "what does not begin as HTTP/2 is HTTP/1 there, and is answered 400 in it",
}

// h2specReport is what h2spec writes, as JUnit does.
type h2specReport struct {
	Suites []struct {
		Cases []struct {
			Section  string   `xml:"package,attr"`
			Name     string   `xml:"classname,attr"`
			Failures []string `xml:"failure"`
			Errors   []string `xml:"error"`
			Skipped  *string  `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestH2spec(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, nil, "127.0.0.1", "{max_header_size: 256KiB, max_target_size: 16KiB}")
	tool := built(t, builtH2spec)
	for name, row := range map[string]struct {
		address string
		flags   []string
		more    map[string]string
	}{
		"over TLS":             {s.tls, []string{"--tls", "--insecure"}, nil},
		"with prior knowledge": {s.plain, nil, deviationsWithoutTLS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, port, err := net.SplitHostPort(row.address)
			if err != nil {
				t.Fatal(err)
			}
			report := filepath.Join(t.TempDir(), "report.xml")
			cmd := exec.CommandContext(t.Context(), tool, append(row.flags, "--host", host, "--port", port, "--strict", "--timeout", "3", "--max-header-length", "18000", "--junit-report", report)...)
			out := run.ToEnd(t, cmd) // it ends with 1 when a case fails, which the report says better
			known := maps.Clone(deviations)
			maps.Copy(known, row.more)
			checkH2spec(t, report, out.Stdout+out.Stderr, known)
		})
	}
}

// checkH2spec compares the report with the known deviations, both ways.
func checkH2spec(t *testing.T, report, said string, deviations map[string]string) {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v; h2spec said:\n%s", err, said)
	}
	var all h2specReport
	if err := xml.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	cases, failed := 0, map[string]bool{}
	for _, suite := range all.Suites {
		for _, c := range suite.Cases {
			cases++
			if len(c.Failures)+len(c.Errors) == 0 && c.Skipped == nil {
				continue
			}
			name := c.Section + ": " + c.Name
			failed[name] = true
			if deviations[name] == "" {
				t.Errorf("%s: %q %q", name, c.Failures, c.Errors)
			}
		}
	}
	const wanted = 146 // of version 2.2.1 with --strict
	if cases != wanted {
		t.Errorf("%d cases were tried, want %d; h2spec said:\n%s", cases, wanted, said)
	}
	for name := range deviations {
		if !failed[name] {
			t.Errorf("%s passes: it is no deviation any more", name)
		}
	}
}
