package upstream_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
	"sallyport/internal/upstream"
)

var clientAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

// ask sends one request to the target that the upstream picks and returns the body.
func ask(t *testing.T, u *upstream.Upstream) (string, error) {
	t.Helper()
	target := u.Pick()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target.Scheme+"://"+target.Authority+target.BasePath+"/x", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := target.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), nil
}

func backend(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+r.URL.Path)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestTargetsTakeTurns(t *testing.T) {
	t.Parallel()
	u, err := upstream.New(upstream.Config{Name: "u", Targets: []string{backend(t, "a"), backend(t, "b") + "/base/", backend(t, "c")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	var got []string
	for range 6 {
		body, err := ask(t, u)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body)
	}
	if want := "a/x b/base/x c/x a/x b/base/x c/x"; strings.Join(got, " ") != want {
		t.Errorf("requests went to %q, want %s", got, want)
	}
}

func TestTargetsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"", "echo", "127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://:80", "https://user@127.0.0.1", "http://127.0.0.1/?q",
		"http://127.0.0.1/#f", "http://127.0.0.1:port", "//127.0.0.1", "http://[::1",
	} {
		if _, err := upstream.New(upstream.Config{Name: "u", Targets: []string{target}}); err == nil {
			t.Errorf("target %q was accepted", target)
		} else if !strings.Contains(err.Error(), `upstream "u"`) {
			t.Errorf("target %q: the error does not name the upstream: %v", target, err)
		}
	}
	if _, err := upstream.New(upstream.Config{Name: "u"}); err == nil {
		t.Error("an upstream without targets was accepted")
	}
	if (&upstream.Upstream{}).Pick() != nil {
		t.Error("the zero upstream has a target")
	}
}

// tlsBackend answers over TLS with the entity's certificate and returns its URL under another host name.
func tlsBackend(t *testing.T, who *testpki.Entity) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{who.TLS()}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	parsed, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return "https://localhost:" + parsed.Port()
}

func serverTrust(t *testing.T, pin bool, who *testpki.Entity) *trust.Set {
	t.Helper()
	store, err := trust.NewStore(trust.StoreConfig{Name: "backends", MaxDepth: -1, Anchors: []trust.Anchor{{Certificate: who.Cert, Pin: pin}}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := trust.NewSet(trust.ServerAuth, store)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestTheCertificateOfATargetIsCheckedByPathNameAndKey(t *testing.T) {
	t.Parallel()
	ca, foreign := testpki.NewCA(t, testpki.Options{}), testpki.NewCA(t, testpki.Options{CommonName: "Foreign CA"})
	right := ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}})
	byName := ca.Leaf(t, testpki.Options{CommonName: "localhost"}) // a common name is no name (RFC 9525)
	other := ca.Leaf(t, testpki.Options{Hosts: []string{"other.test"}})
	spki := func(e *testpki.Entity) identity.SHA256 { return sha256.Sum256(e.Cert.RawSubjectPublicKeyInfo) }
	for _, c := range []struct {
		name    string
		backend *testpki.Entity
		config  upstream.Config
		ok      bool
	}{
		{"its CA is trusted", right, upstream.Config{Trust: serverTrust(t, false, ca)}, true},
		{"another CA is trusted", right, upstream.Config{Trust: serverTrust(t, false, foreign)}, false},
		{"the certificate itself is pinned", right, upstream.Config{Trust: serverTrust(t, true, right)}, true},
		{"another certificate is pinned", right, upstream.Config{Trust: serverTrust(t, true, other)}, false},
		{"no trust is named: the system does not know the CA", right, upstream.Config{}, false},
		{"it has another name", other, upstream.Config{Trust: serverTrust(t, false, ca)}, false},
		{"the name is asked for", other, upstream.Config{Trust: serverTrust(t, false, ca), ServerName: "other.test"}, true},
		{"the name is only its common name", byName, upstream.Config{Trust: serverTrust(t, false, ca)}, false},
		{"it may not be a server", ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}, ExtKeyUsage: clientAuth}), upstream.Config{Trust: serverTrust(t, false, ca)}, false},
		{"its key is pinned", right, upstream.Config{Trust: serverTrust(t, false, ca), PinSPKI: []identity.SHA256{spki(other), spki(right)}}, true},
		{"another key is pinned", right, upstream.Config{Trust: serverTrust(t, false, ca), PinSPKI: []identity.SHA256{spki(other)}}, false},
		{"the key is right and the CA is not", right, upstream.Config{Trust: serverTrust(t, false, foreign), PinSPKI: []identity.SHA256{spki(right)}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.config.Name, c.config.Targets = "u", []string{tlsBackend(t, c.backend)}
			u, err := upstream.New(c.config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(u.Close)
			if _, err := ask(t, u); (err == nil) != c.ok {
				t.Errorf("error %v, want success %v", err, c.ok)
			}
		})
	}
}

func TestATargetThatIsSlowTimesOutAndOneThatIsGoneDoesNot(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(release); slow.Close() })
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for target, timedOut := range map[string]bool{slow.URL: true, gone: false} {
		u, err := upstream.New(upstream.Config{Name: "u", Targets: []string{target}, ResponseTimeout: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(u.Close)
		_, err = ask(t, u)
		if err == nil || upstream.TimedOut(err) != timedOut {
			t.Errorf("%s: error %v, timed out %v", target, err, upstream.TimedOut(err))
		}
	}
}

func TestAnUnchangedUpstreamKeepsItsConnections(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	config := func() upstream.Config {
		return upstream.Config{Name: "u", Targets: []string{"https://localhost:1"}, Trust: serverTrust(t, false, ca)}
	}
	first, err := upstream.Renew(nil, config())
	if err != nil {
		t.Fatal(err)
	}
	if same, err := upstream.Renew(first, config()); err != nil || same != first {
		t.Errorf("an equal configuration made a new upstream: %v", err)
	}
	changes := map[string]func(*upstream.Config){
		"Name":            func(c *upstream.Config) { c.Name = "v" },
		"Targets":         func(c *upstream.Config) { c.Targets = []string{"https://localhost:2"} },
		"Trust":           func(c *upstream.Config) { c.Trust = serverTrust(t, false, testpki.NewCA(t, testpki.Options{})) },
		"Trust, to none":  func(c *upstream.Config) { c.Trust = nil },
		"ServerName":      func(c *upstream.Config) { c.ServerName = "x" },
		"PinSPKI":         func(c *upstream.Config) { c.PinSPKI = []identity.SHA256{{1}} },
		"ConnectTimeout":  func(c *upstream.Config) { c.ConnectTimeout = time.Second },
		"ResponseTimeout": func(c *upstream.Config) { c.ResponseTimeout = time.Second },
		"IdleTimeout":     func(c *upstream.Config) { c.IdleTimeout = time.Second },
		"MaxIdle":         func(c *upstream.Config) { c.MaxIdle = 1 },
		"Max":             func(c *upstream.Config) { c.Max = 1 },
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[upstream.Config]()) {
		if changes[field.Name] == nil {
			t.Errorf("no change of %s is tried", field.Name)
		}
	}
	for name, change := range changes {
		changed := config()
		change(&changed)
		if other, err := upstream.Renew(first, changed); err != nil || other == first {
			t.Errorf("a change of %s kept the old upstream: %v", name, err)
		}
	}
}
