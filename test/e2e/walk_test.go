package e2e_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A walk goes through the text that a product has about client certificates, step by step, and does with curl and openssl what
// each of its sentences promises. Steps that stand for one say so in their names, in other words than the text's. What a
// text says about headers, upstreams, users, policies and importing is walked with those.

// walk is one product's text with the gateway that all of its steps ask.
type walk struct {
	*site
	gateway  *gateway
	backend  *backend
	document string
}

// step is a place of the text: a request, and what becomes of it for everybody who may make it.
type step struct {
	says string // in our words
	row  row    // without its columns
	want cast
	also map[string]expect // other certificates
}

// cast is who asks in every step.
type cast struct {
	nobody, right, wrong, stranger, expired expect
}

// byCaller are the parts and who plays them. The expired one and the stranger have the name of the right one.
func (c cast) byCaller() map[string]expect {
	return map[string]expect{"": c.nobody, "partner-a": c.right, "partner-b": c.wrong, "stranger": c.stranger, "expired": c.expired}
}

// called is what a caller is called in the name of a test.
func called(caller string) string {
	if caller == "" {
		return "nobody"
	}
	return caller
}

// all is a step that treats everybody alike.
func all(e expect) cast { return cast{e, e, e, e, e} }

var (
	outdated          = expect{status: 403, reason: "certificate_expired"}
	handshakeOutdated = expect{reason: "certificate_expired"}
)

// The names that certificates of the site have in openssl's notation, and when they are valid.
const (
	partnerSubject = "/C=US/ST=NY/L=NYC/O=Acme/OU=API/CN=partner-a"
	longAgo        = "20240101000000Z"
	yearAgo        = "20250101000000Z"
	farOff         = "20991231235959Z"
)

// newWalkSite makes a site with an expired certificate and a port more.
func newWalkSite(t testing.TB) *site {
	t.Helper()
	s := newSite(t)
	s.issue(t, "ca", "expired", partnerSubject, yearAgo)
	s.ports[portPlain] = freePort(t)
	return s
}

// Ports of walks besides those of the contract.
const (
	portSecond = "18444"
	portPlain  = "18446"
)

// walk starts the gateway and the backend of a document, in which the ports are those of the contract.
func (s *site) walk(t testing.TB, document string) *walk {
	t.Helper()
	var pairs []string
	for port, free := range s.ports {
		pairs = append(pairs, "127.0.0.1:"+port, "127.0.0.1:"+free)
	}
	s.write(t, "walk.yaml", strings.NewReplacer(pairs...).Replace(document))
	return &walk{s, s.runGateway(t, "walk.yaml"), runNginx(t, s.ports[portBackend]), "walk.yaml"}
}

// steps asks with curl, over HTTP/1.1 and HTTP/2, and compares the answer, the record and what the backend saw, and for the wrong
// caller what explain says. It returns when all of them are done.
func (w *walk) steps(t *testing.T, steps []step) {
	t.Helper()
	t.Run("steps", func(t *testing.T) {
		for _, step := range steps {
			everybody := step.want.byCaller()
			maps.Copy(everybody, step.also)
			for caller, e := range everybody {
				t.Run(step.says+"/"+called(caller), func(t *testing.T) {
					t.Parallel()
					c := cell{w.site, w.gateway, w.backend, step.row, e, caller}
					for _, protocol := range protocols {
						c.check(t, protocol)
					}
					if caller == "partner-b" { // each is a start of the program; the contract asks it of everybody
						c.explained(t, w.document)
					}
				})
			}
		}
	})
}

// refused checks that validate refuses the document with one of its texts replaced, and says why.
func (w *walk) refused(t *testing.T, says, text, replacement, want string) {
	t.Helper()
	t.Run(says, func(t *testing.T) {
		changed := strings.Replace(w.read(t, w.document), text, replacement, 1)
		if changed == w.read(t, w.document) {
			t.Fatalf("the document does not say %q", text)
		}
		w.write(t, "refused.yaml", changed)
		if got := sallyport(t, w.dir, "validate", "--config", "refused.yaml"); got.Code != 1 || !strings.Contains(got.Stderr, want) {
			t.Errorf("validate: exit %d, want 1 and %q: %s", got.Code, want, got.Stderr)
		}
	})
}

// ends checks that the backend saw nothing that was refused, and stops the gateway.
func (w *walk) ends(t *testing.T) {
	t.Helper()
	for _, saw := range w.backend.everything(t) {
		if r := w.gateway.access(t, saw.RequestID); r.Decision != "allow" {
			t.Errorf("the backend saw a request that was refused: %+v, %+v", saw, r)
		}
	}
	w.gateway.stop(t)
}

// opensslRuns runs openssl in the site's pki folder and returns what it prints.
func (s *site) opensslRuns(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, "openssl"), args...)
	cmd.Dir = s.path("pki")
	got := toEnd(t, cmd)
	if got.Code != 0 {
		t.Fatalf("openssl %v: exit %d: %s", args, got.Code, got.Stderr)
	}
	return got.Stdout
}

// issue makes a certificate of a client with openssl, valid until a time: pki/NAME.pem and pki/NAME.key.
func (s *site) issue(t testing.TB, authority, name, subject, until string) {
	t.Helper()
	s.certify(t, authority, name, subject, until, "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n")
}

// issueCA makes the certificate of an authority below another.
func (s *site) issueCA(t testing.TB, authority, name, subject string) {
	t.Helper()
	s.certify(t, authority, name, subject, farOff, "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n")
}

func (s *site) certify(t testing.TB, authority, name, subject, until, extensions string) {
	t.Helper()
	s.opensslRuns(t, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", name+".key", "-out", name+".csr")
	s.write(t, filepath.Join("pki", name+".ext"), extensions)
	s.write(t, filepath.Join("pki", name+".txt"), "")
	s.write(t, filepath.Join("pki", name+".cnf"), "[ca]\ndefault_ca=d\n[d]\ndatabase="+name+".txt\nnew_certs_dir=.\ndefault_md=sha256\nrand_serial=yes\nunique_subject=no\npolicy=p\n[p]\ncommonName=supplied\n")
	s.opensslRuns(t, "ca", "-batch", "-notext", "-preserveDN", "-config", name+".cnf", "-cert", authority+".pem", "-keyfile", authority+".key",
		"-in", name+".csr", "-extfile", name+".ext", "-startdate", longAgo, "-enddate", until, "-out", name+".pem")
	s.named(t, name)
}

// named takes down the subject of pki/NAME.pem, for the records that have it.
func (s *site) named(t testing.TB, name string) {
	t.Helper()
	s.subjects[name] = strings.TrimSpace(strings.TrimPrefix(s.opensslRuns(t, "x509", "-in", name+".pem", "-noout", "-subject", "-nameopt", "RFC2253"), "subject="))
}

// fingerprint is what openssl prints as the fingerprint of pki/NAME.pem, with its colons and capitals.
func (s *site) fingerprint(t testing.TB, digest, name string) string {
	t.Helper()
	_, sum, found := strings.Cut(strings.TrimSpace(s.opensslRuns(t, "x509", "-in", name+".pem", "-noout", "-fingerprint", digest)), "=")
	if !found {
		t.Fatalf("openssl prints no fingerprint of %s", name)
	}
	return sum
}

// join puts PEM files of the site's pki folder into one.
func (s *site) join(t testing.TB, name string, files ...string) {
	t.Helper()
	var all []byte
	for _, file := range files {
		data, err := os.ReadFile(s.path("pki", file))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	s.write(t, filepath.Join("pki", name), string(all))
}

// unnamed asks with s_client, which says no server name, and returns the answer and its record.
func (w *walk) unnamed(t testing.TB, port, caller, host, path string) (answer, *logRecord) {
	t.Helper()
	c := w.openssl(t, port, caller, "-noservername", "-quiet")
	c.send(t, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	c.ExitCode(t) // the answer counts
	got := parseAnswer(t, c.Stdout.Text())
	return got, w.gateway.access(t, got.requestID)
}
