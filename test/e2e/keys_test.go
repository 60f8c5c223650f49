package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

// keysDocument has an API for each mode. TLS and BACKEND stand for ports.
const keysDocument = `
listeners: [{name: public, address: "127.0.0.1:TLS", tls: {credentials: [server], client_auth: optional}}]
credentials: [{name: server, certificate: {file: server.pem}, private_key: {file: server.key}}]
trust_stores: [{name: partners, anchors: [{file: ca.pem}]}]
upstreams: [{name: echo, targets: ["http://127.0.0.1:BACKEND"]}]
client_certificate: {trust: [partners]}
apis:
  - {name: required, path: /required/, upstream: echo, client_certificate: {mode: required}}
  - {name: optional, path: /optional/, upstream: echo, client_certificate: {mode: optional, on_invalid: ignore}}
`

// Whether a client sends its certificate is for its key and the version of TLS to decide. What OpenSSL does is what explain
// says.
func TestExplainKnowsWhichKeysClientsSendCertificatesFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Partner CA"})
	ca.Write(t, dir, "ca")
	ca.Leaf(t, testpki.Options{CommonName: "server", Hosts: []string{"localhost"}}).Write(t, dir, "server")
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(backend.Close)
	_, port, err := net.SplitHostPort(backend.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	public := freePort(t)
	for name, text := range map[string]string{
		"sallyport.yaml": strings.NewReplacer("TLS", public, "BACKEND", port).Replace(keysDocument), "openssl.cnf": laxOpenSSL,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shell := func(line string) *exec.Cmd {
		line = strings.NewReplacer("OPENSSL", tool(t, "openssl"),
			"CURL", tool(t, "curl")+" --disable --silent --show-error --include --noproxy '*' --max-time 30 --cacert ca.pem --http1.1").Replace(line)
		cmd := exec.Command("bash", "-c", "set -e -o pipefail; "+line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "OPENSSL_CONF="+filepath.Join(dir, "openssl.cnf"))
		return cmd
	}
	cmd := exec.Command(program(t), "run", "--config", "sallyport.yaml")
	cmd.Dir, cmd.Env = dir, environment()
	g := &gateway{start(t, cmd)}
	g.awaitLog(t, 0, "serving")

	for _, key := range []struct {
		name, make   string
		required13   string // what the API that requires a certificate says over TLS 1.3
		over12, said string // over TLS 1.2, and how explain puts it
	}{
		{"rsa", "OPENSSL genrsa 2048", "200 ok", "200 ok", ""},
		{"p521", "OPENSSL ecparam -name secp521r1 -genkey -noout", "200 ok", "200 ok", ""},
		{"ed25519", "OPENSSL genpkey -algorithm ed25519", "200 ok", "200 ok", ""},
		{"weak", "OPENSSL genrsa 1024", "403 certificate_weak", "403 certificate_weak", ""},
		{"ed448", "OPENSSL genpkey -algorithm ed448", "401 certificate_missing", "401 certificate_missing", "no client sends it either"},
		{"rsapss", "OPENSSL genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "401 certificate_missing", "401 certificate_missing", "no client sends it either"},
		{"dsa", "OPENSSL dsaparam -genkey -noout 2048", "401 certificate_missing", "401 certificate_missing", "no client sends it either"},
		{"brainpool", "OPENSSL ecparam -name brainpoolP256r1 -genkey -noout", "401 certificate_missing", "broken off", "TLS breaks the handshake off"},
		{"secp256k1", "OPENSSL ecparam -name secp256k1 -genkey -noout", "401 certificate_missing", "broken off", "TLS breaks the handshake off"},
		{"p224", "OPENSSL ecparam -name secp224r1 -genkey -noout", "401 certificate_missing", "403 certificate_weak", "refused: certificate_weak"},
	} {
		t.Run(key.name, func(t *testing.T) {
			t.Parallel()
			made := toEnd(t, shell(strings.ReplaceAll(key.make+` >NAME.key
				OPENSSL req -new -key NAME.key -subj /CN=NAME -out NAME.csr
				OPENSSL x509 -req -in NAME.csr -CA ca.pem -CAkey ca.key -days 30 -extfile <(echo extendedKeyUsage=clientAuth) -out NAME.pem`, "NAME", key.name)))
			if made.Code != 0 {
				t.Fatalf("%s", made.Stderr)
			}
			call := func(version, path string) string {
				t.Helper()
				said := toEnd(t, shell(fmt.Sprintf("CURL --tlsv%s --tls-max %s --cert %s.pem --key %s.key https://localhost:%s/%s/", version, version, key.name, key.name, public, path)))
				status := regexp.MustCompile(`^HTTP/1.1 (\d+) `).FindStringSubmatch(said.Stdout)
				if status == nil {
					if said.Code == 0 || !strings.Contains(said.Stderr, "alert") {
						t.Errorf("curl exits %d: %s", said.Code, said.Stderr)
					}
					return "broken off"
				}
				if reason := regexp.MustCompile(`"reason":"(\w+)"`).FindStringSubmatch(said.Stdout); reason != nil {
					return status[1] + " " + reason[1]
				}
				return status[1] + " ok"
			}
			if got := call("1.3", "required"); got != key.required13 {
				t.Errorf("over TLS 1.3: %s, want %s", got, key.required13)
			}
			if got := call("1.2", "required"); got != key.over12 {
				t.Errorf("over TLS 1.2: %s, want %s", got, key.over12)
			}
			shown := sallyport(t, dir, "cert", "inspect", key.name+".pem", "ca.pem")
			if shown.Code != 0 || !strings.Contains(shown.Stdout, "CN="+key.name) || strings.Contains(shown.Stdout, "weak_key") == strings.HasSuffix(key.over12, "ok") {
				t.Errorf("inspect exits %d: %s%s", shown.Code, shown.Stdout, shown.Stderr)
			}
			for _, path := range []string{"required", "optional"} {
				var e struct {
					Reason  string `json:"reason"`
					Status  int    `json:"status"`
					NotSent string `json:"not_sent"`
					Checks  []struct{ Detail string }
				}
				said := sallyport(t, dir, "explain", "--json", "--config", "sallyport.yaml", "--cert", key.name+".pem", "https://localhost:"+public+"/"+path+"/")
				if err := json.Unmarshal([]byte(said.Stdout), &e); err != nil {
					t.Fatalf("%v: %s%s", err, said.Stdout, said.Stderr)
				}
				if e.Reason == "ok" {
					e.Status = 200
				}
				if got, want := fmt.Sprint(e.Status, " ", e.Reason), call("1.3", path); got != want {
					t.Errorf("%s: answered %s, explained as %s", path, want, got)
				}
				if (e.NotSent != "") != (key.said != "") || !strings.Contains(fmt.Sprint(e.Checks), key.said) {
					t.Errorf("not sent: %q, checks %q, want %q", e.NotSent, e.Checks, key.said)
				}
			}
		})
	}
}
