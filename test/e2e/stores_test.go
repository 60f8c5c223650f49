package e2e_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// revocationBlock is what 08 says about revocation, which is not built.
var revocationBlock = regexp.MustCompile(`(?s)    revocation:.*?(\nupstreams:)`)

// TestKeyStoresCarryCredentialsAndTrust runs contract file 08 without what is not built: revocation.
func TestKeyStoresCarryCredentialsAndTrust(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text := revocationBlock.ReplaceAllString(s.read(t, "08-stores.yaml"), "$1")
	s.write(t, "stores.yaml", text)
	b := runNginx(t, s.ports[portBackend])
	g := s.runGateway(t, "stores.yaml")
	rows := []row{
		{
			name: "one alias", path: "/petstore/1.0.5/", want: [4]expect{missing, known, notAllowed, untrusted},
			listener: "public", api: "Swagger Petstore", version: "1.0.5",
		},
		{
			name: "two aliases", path: "/petstore/1.0.0/", want: [4]expect{missing, known, known, untrusted},
			listener: "public", api: "Swagger Petstore", version: "1.0.0",
		},
	}
	t.Run("rows", func(t *testing.T) { // ends when all of them have
		for _, r := range rows {
			for i, caller := range callers {
				t.Run(r.name+"/"+caller.name, func(t *testing.T) {
					t.Parallel()
					c := cell{s, g, b, r, r.want[i], caller.certificate}
					for _, protocol := range protocols {
						c.check(t, protocol)
					}
					c.explained(t, "stores.yaml")
				})
			}
		}
	})

	// The store loses partner-a. Nobody sends a signal.
	from := g.Stdout.Count()
	out, err := exec.Command(tool(t, "openssl"), "pkcs12", "-export", "-nokeys", "-caname", "partner-b", "-in", s.path("pki", "partner-b.pem"),
		"-passout", "pass:changeit", "-out", s.path("pki", "truststore.p12")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	g.awaitError(t, from, "an alias that is gone", `no entry of the trust stores' key stores has the alias "partner-a"`)
	s.write(t, "stores.yaml", strings.ReplaceAll(text, "{alias: ", "{common_name: "))
	g.awaitRecord(t, from, "the reload of the changed store", func(r *logRecord) bool { return r.Message == "reloaded" && r.Trigger != "signal" })
	for caller, want := range map[string]int{"partner-a": 403, "partner-b": 200} {
		got := s.call(t, call{serverName: "localhost", port: s.ports[portPublic], path: "/petstore/1.0.0/", caller: caller})
		if got.status != want {
			t.Errorf("%s: %s, want %d", caller, got, want)
		}
	}

	// A store that cannot be read changes nothing.
	from = g.Stdout.Count()
	s.write(t, "pki/truststore.p12", s.read(t, "pki/truststore.p12")[:500])
	g.awaitError(t, from, "the store that is cut off", "stores.yaml", "truststore.p12", "the file is cut off: it has 500 bytes")
	if got := s.call(t, call{serverName: "localhost", port: s.ports[portPublic], path: "/petstore/1.0.0/", caller: "partner-b"}); got.status != 200 {
		t.Errorf("partner-b: %s", got)
	}
	g.stop(t)
	if said := g.Said(); strings.Contains(said, "changeit") {
		t.Errorf("the password is in what was said: %s", said)
	}
}
