package e2e_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/testpki"
)

// askingDocument has a name that insists by its TLS profile, one that insists because its only API says so, and one that two
// APIs share.
const askingDocument = `
listeners:
  - name: public
    address: 127.0.0.1:PUBLIC
    tls:
      credentials: [server]
      client_auth: optional
      profiles:
        - {server_names: [strict.example.test], client_auth: required}
        - {server_names: [silent.example.test], announce_authorities: false, session_tickets: false}
credentials:
  - {name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: partners, anchors: [{file: pki/callers.pem}, {file: pki/pinned.pem}]}
  - {name: others, anchors: [{file: pki/ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:BACKEND"]}
client_certificate: {trust: [partners], enforce: auto}
apis:
  - {name: strict, hosts: [strict.example.test], upstream: echo, client_certificate: {mode: required}}
  - {name: own, hosts: [own.example.test, silent.example.test], upstream: echo, client_certificate: {mode: required}}
  - {name: shared, hosts: [shared.example.test], upstream: echo, client_certificate: {mode: required}}
  - {name: beside, hosts: [shared.example.test], path: /beside/, upstream: echo, client_certificate: {mode: optional, trust: [others]}}
`

// askingSite runs askingDocument with a caller for each reason that a handshake is refused for. A "" stands for nobody.
func askingSite(t *testing.T) (*site, *gateway, map[string]string) {
	t.Helper()
	s := newSite(t)
	runNginx(t, s.ports[portBackend])
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Callers"})
	narrow := ca.Intermediate(t, testpki.Options{CommonName: "Narrow", PathLen: new(0)})
	now := time.Now()
	for name, e := range map[string]*testpki.Entity{
		"callers": ca, "caller": ca.Leaf(t, testpki.Options{}), "pinned": testpki.NewSelfSigned(t, testpki.Options{CommonName: "Pinned"}),
		"expired": ca.Leaf(t, testpki.Options{NotAfter: now.Add(-time.Hour)}),
		"early":   ca.Leaf(t, testpki.Options{NotBefore: now.Add(time.Hour)}),
		"servers": ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
		"weak":    ca.Leaf(t, testpki.Options{Key: testpki.RSA1024}),
		"deep":    narrow.Intermediate(t, testpki.Options{CommonName: "Too deep"}).Leaf(t, testpki.Options{}),
		"garbled": ca.Leaf(t, testpki.Options{Extensions: []pkix.Extension{
			{Id: []int{2, 5, 29, 17}, Value: []byte{0x30, 0x05, 0x82, 0x03, 'a', 0x01, 'b'}},
		}}),
	} {
		e.Write(t, s.path("pki"), name)
	}
	s.write(t, "asking.yaml", strings.NewReplacer("PUBLIC", s.ports[portPublic], "BACKEND", s.ports[portBackend]).Replace(askingDocument))
	return s, s.runGateway(t, "asking.yaml"), map[string]string{
		"certificate_missing": "", "certificate_untrusted": "stranger", "certificate_expired": "expired", "certificate_not_yet_valid": "early",
		"certificate_purpose": "servers", "certificate_weak": "weak", "certificate_chain": "deep", "certificate_malformed": "garbled",
	}
}

// with are the arguments for a caller, with the chain and a key that openssl takes for weak as well.
func with(s *site, caller string, args ...string) []string {
	args = append(args, "-cipher", "DEFAULT@SECLEVEL=0")
	if caller != "" {
		args = append(args, "-cert_chain", s.path("pki", caller+".pem"))
	}
	return args
}

var documentedAlert = regexp.MustCompile("(?m)^\\| [^|]+ \\| `(certificate_\\w+)` \\| `\\w+` \\((\\d+)\\) \\| `\\w+` \\((\\d+)\\) \\|$")

func TestTheAlertOfEachRefusalAsOpenSSLSeesIt(t *testing.T) {
	t.Parallel()
	s, g, callers := askingSite(t)
	page, err := os.ReadFile(moduleRoot + "/docs/asking.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][2]int{}
	for _, row := range documentedAlert.FindAllStringSubmatch(string(page), -1) {
		newer, _ := strconv.Atoi(row[2])
		older, _ := strconv.Atoi(row[3])
		documented[row[1]] = [2]int{newer, older}
	}
	seen := map[string][2]int{}
	for reason, caller := range callers {
		for _, name := range []string{"strict.example.test", "own.example.test"} {
			var alerts [2]int
			for i, version := range []string{"-tls1_3", "-tls1_2"} {
				c := s.openssl(t, portPublic, caller, with(s, caller, "-servername", name, version)...)
				c.ExitCode(t)
				_, after, _ := strings.Cut(c.Stderr.Text(), "SSL alert number ")
				if n, err := fmt.Sscan(after, &alerts[i]); n != 1 || err != nil {
					t.Errorf("%s, %s, %s: no alert in %s", reason, name, version, c.Said())
				}
			}
			if before, ok := seen[reason]; ok && before != alerts {
				t.Errorf("%s: %v, and %v where the profile insists", reason, alerts, before)
			}
			seen[reason] = alerts
		}
	}
	if diff := cmp.Diff(documented, seen); diff != "" {
		t.Errorf("docs/asking.md (-page +openssl):\n%s", diff)
	}
	g.stop(t)
	records := map[string]int{}
	said, _ := g.Stdout.Since(0)
	for _, line := range said {
		if r := parseRecord(t, line); r.Message == "handshake" {
			records[r.Reason]++
		}
	}
	for reason := range callers {
		if records[reason] != 4 {
			t.Errorf("%d records with %s, want 4", records[reason], reason)
		}
	}
}

func TestASharedNameAnswersOverHTTP(t *testing.T) {
	t.Parallel()
	s, g, callers := askingSite(t)
	callers["ok"] = "caller"
	for reason, caller := range callers {
		for _, name := range [][]string{{"-servername", "shared.example.test"}, {"-noservername"}} {
			c := s.openssl(t, portPublic, caller, with(s, caller, append(name, "-quiet")...)...)
			host := "shared.example.test"
			if name[0] == "-noservername" {
				host = "own.example.test"
			}
			c.send(t, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			c.ExitCode(t)
			got := parseAnswer(t, c.Stdout.Text())
			want := map[string]int{"ok": 200, "certificate_missing": 401}[reason]
			if want == 0 {
				want = 403
			}
			if r := g.access(t, got.requestID); got.status != want || r.Reason != reason {
				t.Errorf("%s, %q: %d %s", reason, name, got.status, r.Reason)
			}
		}
	}
}

func TestWhatIsAnnouncedAndWhetherATicketComes(t *testing.T) {
	t.Parallel()
	s, _, _ := askingSite(t)
	for _, c := range []struct {
		name   string
		want   string // names, in the order of their DER
		ticket bool
	}{
		{"own.example.test", "CN=Pinned, CN=Callers", true},
		{"strict.example.test", "CN=Pinned, CN=Callers", true},
		{"shared.example.test", "CN=Pinned, CN=Callers, C=US, O=Acme, CN=Partner CA", true},
		{"silent.example.test", "", false},
	} {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			session := c.name + version + ".pem"
			client := s.openssl(t, portPublic, "caller", "-servername", c.name, version, "-sess_out", session, "-ign_eof")
			client.send(t, "GET / HTTP/1.1\r\nHost: "+c.name+"\r\nConnection: close\r\n\r\n")
			client.ExitCode(t)
			said := client.Stdout.Text()
			_, names, _ := strings.Cut(said, "Acceptable client certificate CA names\n")
			var got []string
			for line := range strings.Lines(names) {
				if !strings.Contains(line, "CN") {
					break
				}
				got = append(got, strings.ReplaceAll(strings.TrimSpace(line), " = ", "="))
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%s %s announces %q", c.name, version, got)
			}
			again := s.openssl(t, portPublic, "caller", "-servername", c.name, version, "-sess_in", session, "-ign_eof")
			again.send(t, "GET / HTTP/1.1\r\nHost: "+c.name+"\r\nConnection: close\r\n\r\n")
			again.ExitCode(t)
			if got := strings.Contains(again.Stdout.Text(), "\nReused, "); got != c.ticket {
				t.Errorf("%s %s: reused %t, want %t: %s", c.name, version, got, c.ticket, again.Said())
			}
		}
	}
}
