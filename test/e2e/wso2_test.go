package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The walk through WSO2's text about mutual TLS of its microgateway, as far as it is about definitions, aliases and the trust store.
// Certificates in a header of a load balancer are walked with the header source.

// wso2Definitions are the definitions of the text, as its users have them: the version of the example that wants certificates, the
// one that takes them, one that takes the text's optional at its most lenient, and one for TLS alone.
var wso2Definitions = map[string]string{
	"petstore-1.0.5.yaml": `openapi: 3.0.0
info:
  title: Swagger Petstore
  version: 1.0.5
servers:
  - url: http://petstore.example.test/petstore/1.0.5
x-wso2-mutual-ssl: "mandatory" # can be "mandatory" or "optional"
x-wso2-transports: [http, https]
paths:
  /pet: {get: {responses: {"200": {description: a pet}}}}
`,
	"petstore-1.0.0.json": `{
	"swagger": "2.0",
	"info": {"title": "Swagger Petstore", "version": "1.0.0"},
	"basePath": "/petstore/1.0.0",
	"x-wso2-mutual-ssl": "optional",
	"x-wso2-production-endpoints": {"urls": ["http://petstore.example.test"]},
	"paths": {}
}
`,
	"lenient.yaml": `openapi: 3.0.0
info: {title: Lenient, version: 1.0.0}
x-wso2-basePath: /lenient/{version}
x-wso2-mutual-ssl: Optional
`,
	"tls-alone.yaml": `swagger: "2.0"
info: {title: TLS Alone, version: 1.0.0}
basePath: /tls-alone
x-wso2-mutual-ssl: OPTIONAL
x-wso2-transports: [https]
`,
}

// wso2Document is what stands in micro-gw.conf: key store, trust store, and the lists of aliases by name and version.
const wso2Document = `
listeners:
  - {name: https, address: 127.0.0.1:18443, tls: {credentials: [keyStore], client_auth: optional}}
  - {name: http, address: 127.0.0.1:18445}
credentials:
  - {name: keyStore, pkcs12: {file: pki/server.p12, password: changeit}}
trust_stores:
  - {name: trustStore, anchors: [{pkcs12: {file: pki/ballerinaTruststore.p12, password: ballerina}, pin: true}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:18080"]}
client_certificate: {trust: [trustStore], errors: wso2}
apis:
  - openapi: api/petstore-1.0.5.yaml
    upstream: echo
    client_certificate: {allow: [{alias: ballerina}, {alias: wso2apim310}, {alias: outdated}]}
  - openapi: api/petstore-1.0.0.json
    upstream: echo
    client_certificate: {allow: [{alias: ballerina}, {alias: wso2apim320}, {alias: outdated}]}
  - openapi: api/lenient.yaml
    upstream: echo
    client_certificate: {allow: [{alias: ballerina}], on_invalid: ignore}
  - openapi: api/tls-alone.yaml
    upstream: echo
    client_certificate: {allow: [{alias: ballerina}]}
`

// wso2 is the gateway of the walk.
type wso2 struct {
	*site
	gateway *gateway
	backend *backend
}

// newWSO2 makes the folder: definitions, the client's own certificates, a trust store that knows them by their aliases, and the
// document.
func newWSO2(t *testing.T) *wso2 {
	t.Helper()
	w := &wso2{site: newSite(t)}
	if err := os.Mkdir(w.path("api"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range wso2Definitions {
		w.write(t, filepath.Join("api", name), text)
	}
	w.selfSigned(t, "ballerina", farOff)
	w.selfSigned(t, "outdated", yearAgo)
	w.selfSigned(t, "newcomer", farOff)
	for alias, name := range map[string]string{"wso2apim310": "partner-a", "wso2apim320": "partner-b"} {
		for _, ext := range []string{".pem", ".key"} {
			w.write(t, "pki/"+alias+ext, w.read(t, "pki/"+name+ext))
		}
	}
	w.trust(t, "ballerina", "wso2apim310", "wso2apim320", "outdated")
	text := wso2Document
	for _, port := range []string{portPublic, portHolders, portBackend} {
		text = strings.ReplaceAll(text, "127.0.0.1:"+port, "127.0.0.1:"+w.ports[port])
	}
	w.write(t, "wso2.yaml", text)
	return w
}

// selfSigned makes a certificate that nobody else signed, as the text's tutorial has it.
func (w *wso2) selfSigned(t testing.TB, name, until string) {
	t.Helper()
	w.opensslRuns(t, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/C=LK/O=WSO2/CN="+name, "-keyout", name+".key", "-out", name+".csr")
	w.write(t, "pki/"+name+".txt", "")
	w.write(t, "pki/"+name+".cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase="+name+".txt\nnew_certs_dir=.\ndefault_md=sha256\nrand_serial=yes\npolicy=p\n[p]\ncommonName=supplied\n"+
		"[e]\nbasicConstraints=critical,CA:TRUE\n")
	w.opensslRuns(t, "ca", "-batch", "-notext", "-preserveDN", "-selfsign", "-config", name+".cnf", "-keyfile", name+".key",
		"-in", name+".csr", "-extensions", "e", "-startdate", longAgo, "-enddate", until, "-out", name+".pem")
}

// trust makes the trust store: these certificates, by the names of their files.
func (w *wso2) trust(t testing.TB, aliases ...string) {
	t.Helper()
	all, args := "", []string{"pkcs12", "-export", "-nokeys", "-passout", "pass:ballerina", "-in", "all.pem", "-out", "ballerinaTruststore.p12.new"}
	for _, alias := range aliases {
		all += w.read(t, "pki/"+alias+".pem")
		args = append(args, "-caname", alias)
	}
	w.write(t, "pki/all.pem", all)
	w.opensslRuns(t, args...)
	if err := os.Rename(w.path("pki", "ballerinaTruststore.p12.new"), w.path("pki", "ballerinaTruststore.p12")); err != nil {
		t.Fatal(err)
	}
}

// sum is the SHA-256 of a caller's certificate as records have it.
func (w *wso2) sum(t testing.TB, caller string) string {
	t.Helper()
	if caller == "" {
		return ""
	}
	return strings.ToLower(strings.ReplaceAll(w.fingerprint(t, "-sha256", caller), ":", ""))
}

// outcome is what becomes of a request: a reason, and whether the backend is told who calls.
type outcome struct {
	reason string
	known  bool
}

// The answers of the microgateway to a caller without the right certificate, whatever is wrong with it.
const (
	wso2Fault     = `{"fault":{"code":900901, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct access token"}}`
	wso2Challenge = `Mutual SSL realm="WSO2 API Microgateway"`
)

// ask calls with curl and compares answer, record and what the backend saw.
func (w *wso2) ask(t *testing.T, protocol, path, api, version, caller string, want outcome) {
	t.Helper()
	got := w.call(t, call{protocol: protocol, serverName: "localhost", port: w.ports[portPublic], path: path, caller: caller, args: spoofed})
	r := w.gateway.access(t, got.requestID())
	status, decision := 401, "deny"
	if want.reason == "ok" {
		status, decision = 200, "allow"
	}
	if got.status != status || r.Status != status || r.Decision != decision || r.Reason != want.reason {
		t.Fatalf("%s: %s; the record %+v; want %d, %s", protocol, got, r, status, want.reason)
	}
	if r.API != api || r.APIVersion != version || r.ClientSHA256 != w.sum(t, caller) || r.Listener != "https" {
		t.Errorf("the record %+v; want the API %q %q and the certificate of %q", r, api, version, caller)
	}
	if accepted := r.ClientAccepted != nil && *r.ClientAccepted; accepted != want.known {
		t.Errorf("the record says that the certificate is accepted: %v", accepted)
	}
	if status == 401 {
		if got.body != wso2Fault || got.contentType != "application/json" || got.header.Get("Www-Authenticate") != wso2Challenge {
			t.Errorf("%s: the answer is not the microgateway's: %s", protocol, got)
		}
		return
	}
	saw := w.backend.saw(t, got.requestID())
	if saw.URI != path || (saw.ClientCert != "") != want.known || saw.SSLCert != "" {
		t.Errorf("the backend saw %+v", saw)
	}
}

// TestWSO2 walks through the text.
func TestWSO2(t *testing.T) {
	t.Parallel()
	w := newWSO2(t)
	if got := sallyport(t, w.dir, "validate", "--config", "wso2.yaml"); got.Code != 0 {
		t.Fatalf("validate: %s%s", got.Stdout, got.Stderr)
	}
	w.backend = runNginx(t, w.ports[portBackend])
	w.gateway = w.runGateway(t, "wso2.yaml")
	var (
		nobody, missing      = outcome{"ok", false}, outcome{"certificate_missing", false}
		fine, unlisted       = outcome{"ok", true}, outcome{"certificate_not_allowed", false}
		strange, outOfDate   = outcome{"certificate_untrusted", false}, outcome{"certificate_expired", false}
		strangerIsNobodyHere = outcome{"ok", false}
	)
	t.Run("steps", func(t *testing.T) {
		for _, step := range []struct {
			says, path, api, version string
			want                     map[string]outcome
		}{
			{
				"mandatory: the client has to be verified", "/petstore/1.0.5/pet", "Swagger Petstore", "1.0.5",
				map[string]outcome{"": missing, "ballerina": fine, "wso2apim310": fine, "wso2apim320": unlisted, "stranger": strange, "outdated": outOfDate},
			},
			{
				"optional: who shows nothing passes, who shows something is filtered", "/petstore/1.0.0/pet", "Swagger Petstore", "1.0.0",
				map[string]outcome{"": nobody, "ballerina": fine, "wso2apim310": unlisted, "wso2apim320": fine, "stranger": strange, "outdated": outOfDate},
			},
			{
				"optional: a handshake that failed is not yet a refusal", "/lenient/1.0.0/pet", "Lenient", "1.0.0",
				map[string]outcome{"": nobody, "ballerina": fine, "wso2apim310": unlisted, "stranger": strangerIsNobodyHere, "outdated": strangerIsNobodyHere},
			},
			{
				"transports: over TLS", "/tls-alone/pet", "TLS Alone", "1.0.0",
				map[string]outcome{"": nobody, "ballerina": fine, "wso2apim310": unlisted, "stranger": strange},
			},
		} {
			for caller, want := range step.want {
				t.Run(step.says+"/"+caller, func(t *testing.T) {
					t.Parallel()
					for _, protocol := range protocols { // the text's gateway does it over HTTP/1.1 alone
						w.ask(t, protocol, step.path, step.api, step.version, caller, want)
					}
				})
			}
		}
	})
	t.Run("transports: without TLS", w.withoutTLS)
	t.Run("explain says what comes from the definition", w.explains)
	t.Run("the client's own tool", w.shows)
	t.Run("a definition with a bad value", w.changes)
	t.Run("a certificate more", w.imports)
	w.gateway.stop(t)
}

// withoutTLS asks on the port that speaks no TLS: mandatory is never met there, optional passes, TLS alone refuses.
func (w *wso2) withoutTLS(t *testing.T) {
	for path, want := range map[string]struct {
		status int
		reason string
	}{
		"/petstore/1.0.5/pet": {401, "certificate_missing"},
		"/petstore/1.0.0/pet": {200, "ok"},
		"/tls-alone/pet":      {403, "tls_required"},
		"/elsewhere":          {404, "no_route"},
	} {
		cmd := exec.Command(tool(t, "curl"), "--disable", "--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "30",
			"--write-out", `\n%{http_code} %{http_version} %{local_port} %{content_type}`, "http://127.0.0.1:"+w.ports[portHolders]+path)
		got := parseReply(t, toEnd(t, cmd))
		r := w.gateway.access(t, got.requestID())
		if got.status != want.status || r.Reason != want.reason || r.Listener != "http" {
			t.Errorf("%s: %s; the record %+v; want %d, %s", path, got, r, want.status, want.reason)
		}
		if want.reason == "tls_required" && got.problem(t).Reason != want.reason {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// explains asks explain about a caller whom a list of aliases leaves out.
func (w *wso2) explains(t *testing.T) {
	got := sallyport(t, w.dir, "explain", "--config", "wso2.yaml", "--cert", "pki/wso2apim320.pem", "https://localhost:"+w.ports[portPublic]+"/petstore/1.0.5/pet")
	for _, says := range []string{"Swagger Petstore", "1.0.5", "certificate_not_allowed", "required (api/petstore-1.0.5.yaml:7)"} {
		if got.Code != 1 || !strings.Contains(got.Stdout, says) {
			t.Errorf("explain: exit %d, want 1 and %q: %s%s", got.Code, says, got.Stdout, got.Stderr)
		}
	}
	got = sallyport(t, w.dir, "explain", "--json", "--config", "wso2.yaml", "--cert", "pki/ballerina.pem", "https://localhost:"+w.ports[portPublic]+"/petstore/1.0.5/pet")
	var e explanation
	if err := json.Unmarshal([]byte(got.Stdout), &e); err != nil || e.Decision != "allow" || e.API != "Swagger Petstore" || e.Version != "1.0.5" {
		t.Errorf("explain: %+v, %v: %s", e, err, got.Stderr)
	}
}

// shows asks with openssl instead of curl: the listener asks for a certificate, and one that is shown counts.
func (w *wso2) shows(t *testing.T) {
	const request = "GET /petstore/1.0.5/pet HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	for caller, want := range map[string]int{"": 401, "ballerina": 200, "stranger": 401} {
		c := w.openssl(t, portPublic, caller, "-servername", "localhost", "-quiet")
		c.send(t, request)
		c.ExitCode(t)
		if got := parseAnswer(t, c.Stdout.Text()); got.status != want {
			t.Errorf("%q: %+v, want %d", caller, got, want)
		}
	}
}

// changes writes definitions anew, as an editor would, while the gateway runs. Nobody sends a signal.
func (w *wso2) changes(t *testing.T) {
	const name = "api/petstore-1.0.5.yaml"
	good := w.read(t, name)
	from := w.gateway.Stdout.Count()
	w.replace(t, name, strings.Replace(good, `"mandatory" #`, `"required" #`, 1))
	const says = "the API 'Swagger Petstore' version '1.0.5' contains x-wso2-mutual-ssl but only optional and mandatory are allowed for mutual SSL"
	w.gateway.awaitError(t, from, "the bad value", name+":7:20: ", says)
	if got := sallyport(t, w.dir, "validate", "--config", "wso2.yaml"); got.Code != 1 || !strings.Contains(got.Stderr+got.Stdout, name+":7:20: "+says) {
		t.Errorf("validate: exit %d: %s%s", got.Code, got.Stdout, got.Stderr)
	}
	w.ask(t, "--http2", "/petstore/1.0.5/pet", "Swagger Petstore", "1.0.5", "", outcome{"certificate_missing", false})

	from = w.gateway.Stdout.Count()
	w.replace(t, name, strings.Replace(good, `"mandatory" #`, `"optional" #`, 1))
	w.gateway.awaitRecord(t, from, "the reload of the definition", func(r *logRecord) bool { return r.Message == "reloaded" && r.Trigger != "signal" })
	w.ask(t, "--http2", "/petstore/1.0.5/pet", "Swagger Petstore", "1.0.5", "", outcome{"ok", false})

	from = w.gateway.Stdout.Count()
	w.replace(t, name, good)
	w.gateway.awaitRecord(t, from, "the reload of the definition", func(r *logRecord) bool { return r.Message == "reloaded" && r.Trigger != "signal" })
	w.ask(t, "--http2", "/petstore/1.0.5/pet", "Swagger Petstore", "1.0.5", "", outcome{"certificate_missing", false})
}

// imports adds a client's certificate to the trust store, which lets nobody in yet, and then its alias to the list of one version.
func (w *wso2) imports(t *testing.T) {
	ask := func(version string, want outcome) {
		t.Helper()
		w.ask(t, "--http1.1", "/petstore/"+version+"/pet", "Swagger Petstore", version, "newcomer", want)
	}
	ask("1.0.5", outcome{"certificate_untrusted", false})
	w.trust(t, "ballerina", "wso2apim310", "wso2apim320", "outdated", "newcomer")
	w.gateway.hangup(t, "reloaded")
	ask("1.0.5", outcome{"certificate_not_allowed", false})
	w.replace(t, "wso2.yaml", strings.Replace(w.read(t, "wso2.yaml"), "{alias: wso2apim310}", "{alias: wso2apim310}, {alias: newcomer}", 1))
	w.gateway.hangup(t, "reloaded")
	ask("1.0.5", outcome{"ok", true})
	ask("1.0.0", outcome{"certificate_not_allowed", false})
}
