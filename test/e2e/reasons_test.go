package e2e_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/test/internal/run"
)

// reasonsDocument provokes each reason somewhere. TLS, SLOW, BACKEND and DEAD stand for ports.
const reasonsDocument = `
listeners:
  - name: public
    address: 127.0.0.1:TLS
    tls:
      credentials: [server]
      client_auth: optional
      profiles: [{server_names: [strict.test], client_auth: required, trust: [partners]}]
  - {name: slow, address: "127.0.0.1:SLOW", limits: {header_timeout: 500ms}}
credentials: [{name: server, certificate: {file: server.pem}, private_key: {file: server.key}}]
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}]}
  - {name: gone, anchors: [{file: nowhere.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:BACKEND"]}
  - {name: narrow, targets: ["http://127.0.0.1:BACKEND"], pool: {max: 1}, timeouts: {queue: 100ms}}
  - {name: dead, targets: ["http://127.0.0.1:DEAD"]}
apis:
  - {name: open, path: /open/, methods: [GET, POST], upstream: echo, limits: {max_body_size: 1KiB}}
  - {name: narrow, path: /narrow/, upstream: narrow}
  - {name: dead, path: /dead/, upstream: dead}
  - {name: secure, path: /secure/, upstream: echo, policy: [{require_tls: {}}]}
  - name: orders
    path: /orders/
    listeners: [public]
    upstream: echo
    client_certificate:
      mode: required
      trust: [partners]
      allow: [{subject: "CN=partner"}, {common_name: "villain"}]
      deny: [{common_name: villain}]
  - name: broken
    path: /broken/
    listeners: [public]
    upstream: echo
    client_certificate: {mode: required, trust: [gone]}
`

// laxOpenSSL lets the clients use a key that is too weak.
const laxOpenSSL = `openssl_conf = conf
[conf]
ssl_conf = ssl
[ssl]
system_default = default
[default]
CipherString = DEFAULT@SECLEVEL=0
`

// unreachable are the reasons that no command line provokes yet, and why.
func unreachable() map[decision.Reason]string {
	const revocation, header, users, credentials, policy = "revocation is not built", "certificates in headers are not built",
		"users are not built", "credentials besides certificates are not built", "the steps that refuse with it are not built"
	return map[decision.Reason]string{
		decision.CertificateRevoked: revocation, decision.RevocationUnknown: revocation,
		decision.UserUnknown: users, decision.UserCertificateMismatch: users, decision.UserDisabled: users,
		decision.HeaderSourceUntrusted: header, decision.HeaderMalformed: header, decision.HeaderAmbiguous: header,
		decision.PolicyDenied:      policy,
		decision.CredentialMissing: credentials, decision.CredentialInvalid: credentials, decision.TokenBindingMismatch: credentials,
		decision.RateLimited: credentials, decision.QuotaExceeded: credentials,
		decision.InternalError: "it is a mistake of the gateway; TestAPanicIsAnInternalErrorAndIsLogged makes one",
	}
}

// provocation is a command line and what comes of it.
type provocation struct {
	reason  decision.Reason
	command string // for the shell; CURL is curl with what every call needs, AS:name shows a caller's certificate
	status  int
	explain string // the arguments of sallyport explain --config that lead to the same; "" where it is not for the rules to say
}

func provocations() []provocation {
	const orders = "https://localhost:TLS/orders/"
	list := []provocation{
		{decision.OK, "CURL AS:partner " + orders, 200, "--cert partner.pem " + orders},
		{decision.CertificateMissing, "CURL " + orders, 401, orders},
		{decision.MisdirectedRequest, "CURL --header 'Host: strict.test' https://localhost:TLS/open/", 421, "--host strict.test https://localhost:TLS/open/"},
		{decision.TLSRequired, "CURL http://127.0.0.1:SLOW/secure/", 403, "http://127.0.0.1:SLOW/secure/"},
		{decision.TrustUnavailable, "CURL AS:partner https://localhost:TLS/broken/", 503, "--cert partner.pem https://localhost:TLS/broken/"},
		{decision.MethodNotAllowed, "CURL --request DELETE https://localhost:TLS/open/", 405, "--method DELETE https://localhost:TLS/open/"},
		{decision.RequestMalformed, "CURL https://localhost:TLS/open/%2fx", 400, "https://localhost:TLS/open/%2fx"},
		{decision.NoRoute, "CURL https://localhost:TLS/nowhere", 404, "https://localhost:TLS/nowhere"},
		{decision.RequestTooLarge, "head -c 2000 /dev/zero | CURL --data-binary @- https://localhost:TLS/open/", 413, ""},
		{decision.RequestTimeout, `exec 3<>/dev/tcp/127.0.0.1/SLOW; printf 'GET /open/ HTTP/1.1\r\n' >&3; cat <&3`, 408, ""},
		{decision.Overloaded, "CURL https://localhost:TLS/narrow/", 503, ""},
		{decision.UpstreamUnavailable, "CURL https://localhost:TLS/dead/", 502, ""},
	}
	for _, c := range []struct {
		reason decision.Reason
		caller string
	}{
		{decision.CertificateMalformed, "malformed"},
		{decision.CertificateUntrusted, "stranger"},
		{decision.CertificateExpired, "expired"},
		{decision.CertificateNotYetValid, "early"},
		{decision.CertificatePurpose, "server"},
		{decision.CertificateWeak, "weak"},
		{decision.CertificateChain, "below"},
		{decision.CertificateNotAllowed, "somebody"},
		{decision.CertificateDenied, "villain"},
	} {
		list = append(list, provocation{c.reason, "CURL AS:" + c.caller + " " + orders, 403, "--cert " + c.caller + ".pem " + orders})
	}
	return list
}

// writeCallers makes the certificates of the document and of every caller.
func writeCallers(t *testing.T, dir string) {
	t.Helper()
	now := time.Now()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Partner CA"})
	name := func(cn string) testpki.Options { return testpki.Options{CommonName: cn} }
	expired, early, weak, malformed := name("partner"), name("partner"), name("partner"), testpki.Options{}
	expired.NotBefore, expired.NotAfter = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
	early.NotBefore, early.NotAfter = now.Add(24*time.Hour), now.Add(48*time.Hour)
	weak.Key = testpki.RSA1024
	nul, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("partner\x00.test")}}}})
	if err != nil {
		t.Fatal(err)
	}
	malformed.RawSubject = nul
	for file, e := range map[string]*testpki.Entity{
		"ca": ca, "partner": ca.Leaf(t, name("partner")), "somebody": ca.Leaf(t, name("somebody")), "villain": ca.Leaf(t, name("villain")),
		"stranger": testpki.NewCA(t, name("Foreign CA")).Leaf(t, name("partner")), "expired": ca.Leaf(t, expired), "early": ca.Leaf(t, early),
		"weak": ca.Leaf(t, weak), "malformed": ca.Leaf(t, malformed), "below": ca.Leaf(t, name("no CA")).Leaf(t, name("partner")),
		"server": ca.Leaf(t, testpki.Options{CommonName: "server", Hosts: []string{"localhost", "strict.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
	} {
		e.Write(t, dir, file)
	}
}

// For each reason that the code can produce: one command line that provokes it, and the reason in the answer, the access
// record, the metric, and what explain says of the logged request and, where the rules decide, of one that nobody sent.
func TestEveryReasonIsProvokedAndSaidEverywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCallers(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "openssl.cnf"), []byte(laxOpenSSL), 0o600); err != nil {
		t.Fatal(err)
	}
	held, release := make(chan struct{}, 1), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/narrow/hold" {
			held <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, "here\n")
	}))
	t.Cleanup(backend.Close)
	t.Cleanup(func() { close(release) }) // before the server is closed
	_, port, err := net.SplitHostPort(backend.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	places := strings.NewReplacer("TLS", freePort(t), "SLOW", freePort(t), "BACKEND", port, "DEAD", freePort(t))
	document := strings.NewReplacer("127.0.0.1:TLS", "127.0.0.1:"+places.Replace("TLS"), ":SLOW", ":"+places.Replace("SLOW"),
		":BACKEND", ":"+port, ":DEAD", ":"+places.Replace("DEAD")).Replace(reasonsDocument)
	if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := freePort(t)
	environment := append(environment(), "SALLYPORT_ADMIN_TOKEN=0123456789abcdef0123")
	cmd := exec.Command(program(t), "run", "--config", "sallyport.yaml", "--serve-partial", "--admin", ":"+admin)
	cmd.Dir, cmd.Env = dir, environment
	g := &gateway{start(t, cmd)}
	g.awaitLog(t, 0, "serving")

	shell := func(line string) *exec.Cmd {
		line = strings.NewReplacer(":TLS", ":"+places.Replace("TLS"), ":SLOW", ":"+places.Replace("SLOW"), "/SLOW", "/"+places.Replace("SLOW")).Replace(line)
		line = regexp.MustCompile(`AS:(\w+)`).ReplaceAllString(line, "--cert $1.pem --key $1.key")
		line = strings.ReplaceAll(line, "CURL", tool(t, "curl")+" --disable --silent --show-error --include --path-as-is --noproxy '*' --max-time 30 --cacert ca.pem --http1.1")
		cmd := exec.Command("bash", "-c", line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "OPENSSL_CONF="+filepath.Join(dir, "openssl.cnf"))
		return cmd
	}
	start(t, shell("CURL https://localhost:TLS/narrow/hold"))
	select {
	case <-held:
	case <-time.After(run.Patience):
		t.Fatal("the request that fills the pool never comes")
	}

	seen := map[decision.Reason]bool{}
	for _, p := range provocations() {
		seen[p.reason] = true
		t.Run(p.reason.String(), func(t *testing.T) {
			said := toEnd(t, shell(p.command))
			answered, id := said.Stdout, regexp.MustCompile(`"request_id":"([0-9a-f]{32})"`).FindStringSubmatch(said.Stdout)
			if !strings.HasPrefix(answered, fmt.Sprintf("HTTP/1.1 %d ", p.status)) {
				t.Fatalf("%s: answered %q %q, want %d", p.command, answered, said.Stderr, p.status)
			}
			record := g.recordOf(t, p, id)
			if record.Reason != p.reason.String() || record.Status != p.status || (record.Decision == "allow") != p.reason.Allowed() {
				t.Errorf("recorded as %s %s %d", record.Decision, record.Reason, record.Status)
			}
			g.metricSays(t, admin, p.reason)
			if p.explain != "" {
				expectExplained(t, sallyport(t, dir, append([]string{"explain", "--config", "sallyport.yaml"}, strings.Fields(strings.NewReplacer(":TLS", ":"+places.Replace("TLS"), ":SLOW", ":"+places.Replace("SLOW")).Replace(p.explain))...)...), p.reason, "")
			}
			if p.reason.Allowed() {
				return
			}
			if len(id) != 2 || !strings.Contains(answered, `"reason":"`+p.reason.String()+`"`) {
				t.Fatalf("answered %q", answered)
			}
			again := exec.Command(program(t), "explain", "--request-id", id[1], "--admin", ":"+admin)
			again.Dir, again.Env = dir, environment
			expectExplained(t, toEnd(t, again), p.reason, "was decided by generation 1: ")
		})
	}
	for reason := range decision.All() {
		if why := unreachable()[reason]; seen[reason] == (why != "") {
			t.Errorf("%s: provoked %v, and unreachable because %q", reason, seen[reason], why)
		}
	}
}

// recordOf waits for the access record of what a command line provoked.
func (g *gateway) recordOf(t *testing.T, p provocation, id []string) *logRecord {
	t.Helper()
	return g.awaitRecord(t, 0, "the record of "+p.command, func(r *logRecord) bool {
		return r.Message == "request" && (len(id) == 2 && r.RequestID == id[1] || p.reason.Allowed() && r.Reason == "ok" && r.Path == "/orders/")
	})
}

// metricSays fails unless a request was counted under the reason.
func (g *gateway) metricSays(t *testing.T, admin string, reason decision.Reason) {
	t.Helper()
	said := toEnd(t, exec.Command(tool(t, "curl"), "--disable", "--silent", "--noproxy", "*", "--max-time", "30", "http://127.0.0.1:"+admin+"/metrics"))
	counted := regexp.MustCompile(`(?m)^sallyport_client_auth_total\{.*reason="` + reason.String() + `".*\} [1-9]`)
	if !counted.MatchString(said.Stdout) {
		t.Errorf("no metric counts %s", reason)
	}
}

// expectExplained checks what explain printed, and its exit code. before is what stands in front of the decision, in its line.
func expectExplained(t *testing.T, r result, reason decision.Reason, before string) {
	t.Helper()
	word, code := "deny", 1
	if reason.Allowed() {
		word, code = "allow", 0
	}
	if r.Code != code || !regexp.MustCompile(`(?m)^`+before+word+`: `+reason.String()+`\b`).MatchString(r.Stdout) {
		t.Errorf("explain exits %d and says %s%s; want %d, %s: %s", r.Code, r.Stdout, r.Stderr, code, word, reason)
	}
}
