package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// callers are the columns of the contract's table.
var callers = []struct{ name, certificate string }{
	{"no certificate", ""}, {"partner-a", "partner-a"}, {"partner-b", "partner-b"}, {"stranger", "stranger"},
}

// expect is a cell of the contract's table.
type expect struct {
	status    int    // 0: the handshake is refused
	reason    string // of the record, and of the problem where there is one
	wouldBe   string // observe_only: the reason that the record has as well
	tyk       string // Tyk's message; {} stands for the caller's SHA-256
	plain     string // the whole answer, where it is one sentence of plain text
	validated bool   // the backend is told who is calling
}

// The cells that occur more than once.
var (
	anonymous          = expect{status: 200, reason: "ok"}
	known              = expect{status: 200, reason: "ok", validated: true}
	missing            = expect{status: 401, reason: "certificate_missing"}
	untrusted          = expect{status: 403, reason: "certificate_untrusted"}
	notAllowed         = expect{status: 403, reason: "certificate_not_allowed"}
	misdirected        = expect{status: 421, reason: "misdirected_request"}
	noRoute            = expect{status: 404, reason: "no_route"}
	handshakeMissing   = expect{reason: "certificate_missing"}
	handshakeUntrusted = expect{reason: "certificate_untrusted"}
)

// row is a row of the contract's table, with what it leaves to the reader.
type row struct {
	name       string
	port       string // as in the contract; "" is the public one
	serverName string // "" is localhost
	host       string // the Host field where it is another
	path       string
	unasked    bool // the handshake does not ask for a certificate
	tls12      bool // TLS 1.2 works as well
	want       [4]expect

	listener, api, version string // for the record; the API only when there is a decision about it
}

func everybody(e expect) [4]expect { return [4]expect{e, e, e, e} }

// contract is the table, by document.
var contract = map[string][]row{
	"01-first.yaml": {
		{
			name: "an API that asks for nothing", path: "/open/", tls12: true, want: everybody(anonymous),
			listener: "public", api: "open",
		},
		{
			name: "an API that allows one subject", path: "/orders/", tls12: true,
			want:     [4]expect{missing, known, notAllowed, untrusted},
			listener: "public", api: "orders", version: "v1",
		},
	},
	"02-inherit.yaml": {
		{
			name: "inherited", path: "/inherited/", want: [4]expect{missing, known, notAllowed, untrusted},
			listener: "public", api: "inherited",
		},
		{
			name: "relaxed to optional", path: "/relaxed/", want: [4]expect{anonymous, known, notAllowed, untrusted},
			listener: "public", api: "relaxed",
		},
		{
			name: "another allow-list", path: "/other-names/", want: [4]expect{missing, notAllowed, known, untrusted},
			listener: "public", api: "other-names",
		},
	},
	"09-listeners.yaml": {
		{
			name: "never asked", path: "/anyone/", unasked: true, tls12: true, want: everybody(anonymous),
			listener: "everybody", api: "anyone",
		},
		{
			name: "another port's API", path: "/holders/", unasked: true, want: everybody(noRoute), listener: "everybody",
		},
		{
			name: "the holders' port", port: portHolders, path: "/holders/",
			want:     [4]expect{handshakeMissing, known, known, handshakeUntrusted},
			listener: "holders", api: "holders-only",
		},
		{
			name: "a profile that insists", serverName: "partners.example.test", path: "/anyone/", tls12: true,
			want:     [4]expect{handshakeMissing, known, known, handshakeUntrusted},
			listener: "everybody", api: "anyone",
		},
		{
			name: "Tyk's answers", serverName: "mixed.example.test", path: "/tyk/", tls12: true,
			want: [4]expect{
				{status: 403, reason: "certificate_missing", tyk: "Client TLS certificate is required"},
				known,
				{status: 403, reason: "certificate_not_allowed", tyk: "Certificate with SHA256 {} not allowed"},
				{status: 403, reason: "certificate_untrusted", tyk: "Certificate with SHA256 {} not allowed"},
			},
			listener: "everybody", api: "tyk-style",
		},
		{
			name: "observe only", serverName: "mixed.example.test", path: "/watched/",
			want: [4]expect{
				{status: 200, reason: "ok", wouldBe: "certificate_missing"},
				known, known,
				{status: 200, reason: "ok", wouldBe: "certificate_untrusted"},
			},
			listener: "everybody", api: "watched",
		},
		{
			name: "server name against Host", host: "mixed.example.test", path: "/watched/", unasked: true,
			want: everybody(misdirected), listener: "everybody",
		},
		{
			name: "server name against Host with a port", host: "mixed.example.test:443", path: "/tyk/", unasked: true,
			want: everybody(misdirected), listener: "everybody",
		},
	},
}

// spoofed are fields with which a client pretends to be somebody else. The backend must see none of them.
var spoofed = []string{
	"--header", "Client-Cert: :c3Bvb2ZlZA==:", "--header", "Client-Cert-Chain: :c3Bvb2ZlZA==:",
	"--header", "client_cert: :c3Bvb2ZlZA==:", "--header", "X-SSL-CERT: spoofed", "--header", "X_SSL_CERT: spoofed",
	"--header", "X-Forwarded-Client-Cert: Hash=spoofed", "--header", "X-Client-DN: CN=spoofed",
	"--header", "X-Forwarded-For: 203.0.113.9", "--header", "X-Forwarded-Proto: spoofed",
	"--header", "X-Forwarded-Host: spoofed.example.test", "--header", "X-Request-Id: spoofed",
	"--header", "Connection: Client-Cert, X-Forwarded-For, X-Request-Id",
}

func TestContract(t *testing.T) {
	t.Parallel()
	for document, rows := range contract {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := runNginx(t, s.ports[portBackend])
			g := s.runGateway(t, document)
			t.Run("rows", func(t *testing.T) { // ends when all of them have
				for _, r := range rows {
					for i, caller := range callers {
						t.Run(r.name+"/"+caller.name, func(t *testing.T) {
							t.Parallel()
							c := cell{s, g, b, r, r.want[i], caller.certificate}
							for _, protocol := range protocols {
								c.check(t, protocol)
							}
							if r.tls12 {
								c.check(t, "--http2", "--tls-max", "1.2")
							}
							c.explained(t, document)
						})
					}
				}
			})
			for _, saw := range b.everything(t) {
				if r := g.access(t, saw.RequestID); r.Decision != "allow" {
					t.Errorf("the backend saw a request that was refused: %+v, %+v", saw, r)
				}
			}
			g.stop(t)
		})
	}
}

// cell is a cell of the table with everything that is needed to look at it.
type cell struct {
	site    *site
	gateway *gateway
	backend *backend
	row     row
	want    expect
	caller  string
}

func (c *cell) call(protocol string, args ...string) call {
	serverName, port := c.row.serverName, c.row.port
	if serverName == "" {
		serverName = "localhost"
	}
	if port == "" {
		port = portPublic
	}
	return call{
		protocol: protocol, serverName: serverName, port: c.site.ports[port], path: c.row.path, host: c.row.host,
		caller: c.caller, args: args,
	}
}

// check makes the call and compares the answer, the access record and what the backend saw.
func (c *cell) check(t *testing.T, protocol string, args ...string) {
	t.Helper()
	asked := c.call(protocol, append(args, spoofed...)...)
	from := c.gateway.Stdout.Count()
	got := c.site.call(t, asked)
	if got.status != c.want.status {
		t.Fatalf("%s %v: %s; want status %d", protocol, args, got, c.want.status)
	}
	if c.want.status == 0 {
		c.handshakeRefused(t, from, got)
		return
	}
	if want := map[string]string{"--http1.1": "1.1", "--http2": "2"}[protocol]; got.exit != 0 || got.version != want {
		t.Errorf("%s: exit %d, HTTP %s, want 0 and %s", protocol, got.exit, got.version, want)
	}
	c.answer(t, got)
	r := c.gateway.access(t, got.requestID())
	c.record(t, r, asked)
	if r.Status != got.status || r.BytesOut != len(got.body) {
		t.Errorf("the record has status %d, %d bytes; the answer %d, %d", r.Status, r.BytesOut, got.status, len(got.body))
	}
	if want := map[string]string{"1.1": "HTTP/1.1", "2": "HTTP/2.0"}[got.version]; r.Protocol != want {
		t.Errorf("the record has protocol %q, want %q", r.Protocol, want)
	}
	if got.status == 200 {
		c.backendSaw(t, got.requestID(), asked)
	}
}

// answer compares what the caller gets.
func (c *cell) answer(t *testing.T, got reply) {
	t.Helper()
	switch {
	case got.status == 200:
		if got.body != "backend\n" {
			t.Errorf("body %q, want the backend's", got.body)
		}
	case c.want.tyk != "":
		want := "{\n    \"error\": \"" + strings.Replace(c.want.tyk, "{}", c.site.caller(t, c.caller).sha256, 1) + "\"\n}"
		if got.body != want || got.contentType != "application/json" {
			t.Errorf("body %q (%s), want Tyk's %q", got.body, got.contentType, want)
		}
	case c.want.plain != "":
		if got.body != c.want.plain || got.contentType != "text/plain; charset=utf-8" {
			t.Errorf("body %q (%s), want the text %q", got.body, got.contentType, c.want.plain)
		}
	default:
		want := problem{
			Type: "urn:sallyport:" + c.want.reason, Status: c.want.status, Reason: c.want.reason,
			RequestID: got.header.Get("X-Request-Id"),
		}
		have := got.problem(t)
		if text := defaultText[c.want.status]; text != "" && have.Detail != text {
			t.Errorf("detail %q, want %q", have.Detail, text)
		}
		if have.Title == "" || have.Detail == "" {
			t.Errorf("a problem without a title or a detail: %+v", have)
		}
		have.Title, have.Detail = "", ""
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("problem (-want +got):\n%s", diff)
		}
	}
	if got.status != 200 && got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a refusal that may be cached: %v", got.header)
	}
}

// defaultText is what refused callers read unless an API says otherwise.
var defaultText = map[int]string{
	401: "Certificate authorization required to access the resource.",
	403: "Certificate validation failed. You are not allowed to access the resource.",
}

// record compares what the access log says of the decision.
func (c *cell) record(t *testing.T, r *logRecord, asked call) {
	t.Helper()
	want := logRecord{
		Message: "request", Level: "INFO", RequestID: r.RequestID, Remote: r.Remote, Listener: c.row.listener,
		Method: "GET", Host: asked.host, ServerName: asked.serverName, API: c.row.api, APIVersion: c.row.version,
		Decision: "allow", Reason: c.want.reason, WouldBeReason: c.want.wouldBe, Generation: 1,
		Protocol: r.Protocol, Status: r.Status, BytesOut: r.BytesOut, Path: r.Path, Detail: r.Detail,
	}
	if want.Host == "" {
		want.Host = asked.serverName + ":" + asked.port
	}
	if c.want.status != 200 {
		want.Decision = "deny"
	}
	if !c.row.unasked {
		who := c.site.caller(t, c.caller)
		want.ClientSHA256, want.ClientSubject = who.sha256, who.subject
		if who.sha256 != "" {
			want.ClientAccepted = new(c.want.validated)
		}
	}
	if !strings.HasPrefix(r.Remote, "127.0.0.1:") {
		t.Errorf("the record has the remote %q", r.Remote)
	}
	if diff := cmp.Diff(want, *r); diff != "" {
		t.Errorf("access record (-want +got):\n%s", diff)
	}
	if r.Path != c.row.path {
		t.Errorf("the record has path %q, want %q", r.Path, c.row.path)
	}
}

// handshakeRefused checks that a refused handshake gave no answer and a record.
func (c *cell) handshakeRefused(t *testing.T, from int, got reply) {
	t.Helper()
	if got.exit == 0 || got.stderr == "" {
		t.Errorf("curl says that nothing went wrong: %s", got)
	}
	r := c.gateway.refusedHandshake(t, from, c.row.listener, got.localPort)
	who := c.site.caller(t, c.caller)
	want := logRecord{
		Message: "handshake", Level: "INFO", Remote: r.Remote, Listener: c.row.listener, ServerName: c.call("").serverName,
		ClientSHA256: who.sha256, ClientSubject: who.subject, Decision: "deny", Reason: c.want.reason, Detail: r.Detail,
		RequestID: r.RequestID,
	}
	if len(r.RequestID) != 32 {
		t.Errorf("request id %q", r.RequestID)
	}
	if diff := cmp.Diff(want, *r); diff != "" {
		t.Errorf("handshake record (-want +got):\n%s", diff)
	}
	if c.caller != "" && r.Detail == "" {
		t.Error("the record does not say what is wrong with the certificate")
	}
}

// backendSaw compares what nginx was told about the caller.
func (c *cell) backendSaw(t *testing.T, requestID string, asked call) {
	t.Helper()
	host := asked.host
	if host == "" {
		host = asked.serverName + ":" + asked.port
	}
	want := seen{
		RequestID: requestID, Method: "GET", URI: c.row.path, Host: host,
		ForwardedFor: "127.0.0.1", ForwardedProto: "https", ForwardedHost: host,
	}
	if c.want.validated {
		want.ClientCert = c.site.caller(t, c.caller).clientCert
	}
	if diff := cmp.Diff(want, *c.backend.saw(t, requestID)); diff != "" {
		t.Errorf("what the backend saw (-want +got):\n%s", diff)
	}
}

// explanation is what explain --json prints.
type explanation struct {
	Decision  string `json:"decision"`
	Reason    string `json:"reason"`
	Status    int    `json:"status"`
	Handshake bool   `json:"handshake_refused"`
	WouldBe   string `json:"would_be"`
	Listener  string `json:"listener"`
	API       string `json:"api"`
	Version   string `json:"api_version"`
	Caller    string `json:"caller"`
}

// explained checks that explain says of the call what the gateway did about it.
func (c *cell) explained(t *testing.T, document string) {
	t.Helper()
	asked := c.call("")
	args := []string{"explain", "--json", "--config", document}
	if c.caller != "" {
		args = append(args, "--cert", "pki/"+c.caller+".pem")
	}
	if asked.host != "" {
		args = append(args, "--host", asked.host)
	}
	got := sallyport(t, c.site.dir, append(args, asked.url())...)
	want := explanation{
		Decision: "allow", Reason: c.want.reason, Handshake: c.want.status == 0, WouldBe: c.want.wouldBe,
		Listener: c.row.listener, API: c.row.api, Version: c.row.version,
	}
	wantCode := 0
	if c.want.status != 200 {
		want.Decision, want.Status, wantCode = "deny", c.want.status, 1
	}
	if want.Handshake {
		want.API = ""
	}
	if c.want.validated {
		want.Caller = c.site.caller(t, c.caller).subject
	}
	var have explanation
	if err := json.Unmarshal([]byte(got.Stdout), &have); err != nil || got.Code != wantCode {
		t.Fatalf("explain: exit %d, want %d; %v\n%s%s", got.Code, wantCode, err, got.Stdout, got.Stderr)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("explain (-want +got):\n%s", diff)
	}
}
