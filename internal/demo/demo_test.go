package demo_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/demo"
)

func TestTheSiteHasACAAServerAndThreeCallers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	site, err := demo.Write(dir, "127.0.0.1:8443", "127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(site.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`address: "127.0.0.1:8443"`, `"http://127.0.0.1:9000"`} {
		if !strings.Contains(string(document), want) {
			t.Errorf("the document lacks %s", want)
		}
	}
	ca, err := os.ReadFile(site.Path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("ca.pem holds no certificate")
	}
	for name, want := range map[string]struct {
		usage   x509.ExtKeyUsage
		trusted bool
	}{
		"server":    {x509.ExtKeyUsageServerAuth, true},
		"partner-a": {x509.ExtKeyUsageClientAuth, true},
		"partner-b": {x509.ExtKeyUsageClientAuth, true},
		"stranger":  {x509.ExtKeyUsageClientAuth, false},
	} {
		pair, err := tls.LoadX509KeyPair(site.Path(name+".pem"), site.Path(name+".key"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{want.usage}})
		if (err == nil) != want.trusted {
			t.Errorf("%s: %v", name, err)
		}
		if want.usage == x509.ExtKeyUsageServerAuth && pair.Leaf.VerifyHostname("localhost") != nil {
			t.Error("the server is not localhost")
		}
		if info, err := os.Stat(site.Path(name + ".key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key of %s: %v %v", name, info, err)
		}
	}
}

func TestASiteThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := demo.Write(filepath.Join(t.TempDir(), "missing"), "127.0.0.1:1", "127.0.0.1:2"); err == nil {
		t.Error("a missing folder was written to")
	}
}

func TestEchoSaysWhatItGot(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://echo.test/a%20b", http.NoBody)
	request.Header.Set("Client-Cert", ":x:")
	demo.Echo().ServeHTTP(answer, request)
	var got struct {
		Method, Host, Path string
		Headers            http.Header
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.Host != "echo.test" || got.Path != "/a%20b" || got.Headers.Get("Client-Cert") != ":x:" {
		t.Errorf("echo says %+v", got)
	}
}
