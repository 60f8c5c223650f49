package upstream_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
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

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"", "echo", "127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://:80", "https://user@127.0.0.1", "http://127.0.0.1/?q",
		"http://127.0.0.1/#f", "http://127.0.0.1:port", "//127.0.0.1", "http://[::1",
	} {
		if _, err := upstream.New(upstream.Config{Name: "u", Targets: []string{target}}, nil); err == nil {
			t.Errorf("target %q was accepted", target)
		} else if !strings.Contains(err.Error(), `upstream "u"`) {
			t.Errorf("target %q: the error does not name the upstream: %v", target, err)
		}
	}
	for name, config := range map[string]upstream.Config{
		"no targets":         {},
		"a negative time":    {Targets: []string{"http://a"}, PauseTimeout: -1},
		"a negative count":   {Targets: []string{"http://a"}, Max: -1},
		"unknown balancing":  {Targets: []string{"http://a"}, Balancing: 2},
		"an unknown dialect": {Targets: []string{"http://a"}, Protocol: 2},
	} {
		if _, err := upstream.New(config, nil); err == nil {
			t.Errorf("%s: the configuration was accepted", name)
		}
	}
}

func TestTheZeroUpstreamRefuses(t *testing.T) {
	t.Parallel()
	var zero upstream.Upstream
	if _, err := get(t, &zero); failure(t, err).Cause != upstream.CauseConnect {
		t.Errorf("the zero upstream: %v", err)
	}
	zero.Close()
}

func TestRequestsThatCannotBeSentAreRefusedBeforeATargetIsChosen(t *testing.T) {
	t.Parallel()
	hits := 0
	u := start(t, upstream.Config{Targets: []string{serve(t, func(http.ResponseWriter, *http.Request) { hits++ })}, MaxFailures: 1}, nil)
	for name, r := range map[string]*http.Request{
		"a path without a slash":     request(t.Context(), http.MethodGet, "x", nil),
		"an empty path":              request(t.Context(), http.MethodGet, "", nil),
		"an asterisk":                request(t.Context(), http.MethodOptions, "*", nil),
		"a path that is a host":      request(t.Context(), http.MethodGet, "//elsewhere/x", nil),
		"a tunnel":                   request(t.Context(), http.MethodConnect, "/x", nil),
		"a method that is none":      request(t.Context(), "G T", "/x", nil),
		"a field that ends the line": withHeader(request(t.Context(), http.MethodGet, "/x", nil), "A", "b\r\nC: d"),
		"a name that is none":        withHeader(request(t.Context(), http.MethodGet, "/x", nil), "A B", "c"),
	} {
		_, err := exchange(t, u, r)
		if f := failure(t, err); f.Cause != upstream.CauseRequest || f.TimedOut() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if hits != 0 || upstream.Out(u)[0] {
		t.Errorf("the target got %d requests and is out: %v", hits, upstream.Out(u)[0])
	}
}

func withHeader(r *http.Request, name, value string) *http.Request {
	r.Header[name] = []string{value}
	return r
}

func TestTheTargetGetsThePathAndTheHostAsGiven(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Host + " " + r.RequestURI })
	u := start(t, upstream.Config{Targets: []string{address + "/base/"}}, nil)
	host := strings.TrimPrefix(address, "http://")
	for _, c := range []struct {
		url  url.URL
		host string
		want string
	}{
		{url.URL{Opaque: "/x"}, "", host + " /base/x"},
		{url.URL{Opaque: "/a%2Fb;c/"}, "api.test", "api.test /base/a%2Fb;c/"},
		{url.URL{Opaque: "/x", RawQuery: "a=%zz&;"}, "api.test:1", "api.test:1 /base/x?a=%zz&;"},
		{url.URL{Opaque: "/x", ForceQuery: true}, "", host + " /base/x?"},
		{url.URL{Scheme: "https", Host: "elsewhere.test", Path: "/other", Opaque: "/x"}, "", host + " /base/x"},
	} {
		r := request(t.Context(), http.MethodGet, "", nil)
		r.URL, r.Host, r.RequestURI, r.Close = &c.url, c.host, "/other", true
		before := *r
		if _, err := exchange(t, u, r); err != nil {
			t.Fatal(err)
		}
		if g := <-got; g != c.want {
			t.Errorf("the target got %q, want %q", g, c.want)
		}
		if !reflect.DeepEqual(&before, r) {
			t.Errorf("the caller's request was changed: %+v", r)
		}
	}
}

func TestTheReplyNamesItsTarget(t *testing.T) {
	t.Parallel()
	u := start(t, upstream.Config{Targets: []string{backend(t, "a") + "/base/"}}, nil)
	reply, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Response.Body.Close()
	if got := reply.Target; got.Scheme != "http" || got.BasePath != "/base" || got.String() != "http://"+got.Authority+"/base" {
		t.Errorf("the target is %+v", got)
	}
}

// tlsBackend answers over TLS with the entity's certificate and returns its URL under another host name.
func tlsBackend(t *testing.T, who *testpki.Entity, protocols ...string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{who.TLS()}, MinVersion: tls.VersionTLS12, NextProtos: protocols}
	mute(s)
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
		for protocol, name := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(c.name+" over "+name, func(t *testing.T) {
				t.Parallel()
				config := c.config
				config.Targets, config.Protocol = []string{tlsBackend(t, c.backend, "h2", "http/1.1")}, upstream.Protocol(protocol)
				got, err := get(t, start(t, config, nil))
				switch {
				case c.ok && got != name:
					t.Errorf("got %q, %v", got, err)
				case !c.ok && failure(t, err).Cause != upstream.CauseTLS:
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func TestAnUnchangedUpstreamKeepsItsConnections(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	config := func() upstream.Config {
		return upstream.Config{Name: "u", Targets: []string{"https://localhost:1"}, Trust: serverTrust(t, false, ca)}
	}
	first, err := upstream.Renew(nil, config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := upstream.Renew(first, config(), nil); err != nil || same != first {
		t.Errorf("an equal configuration made a new upstream: %v", err)
	}
	changes := map[string]func(*upstream.Config){
		"Name":            func(c *upstream.Config) { c.Name = "v" },
		"Targets":         func(c *upstream.Config) { c.Targets = []string{"https://localhost:2"} },
		"Balancing":       func(c *upstream.Config) { c.Balancing = upstream.LeastRequests },
		"Protocol":        func(c *upstream.Config) { c.Protocol = upstream.HTTP2 },
		"MaxFailures":     func(c *upstream.Config) { c.MaxFailures = 1 },
		"Recovery":        func(c *upstream.Config) { c.Recovery = time.Second },
		"NoRetry":         func(c *upstream.Config) { c.NoRetry = true },
		"Trust":           func(c *upstream.Config) { c.Trust = serverTrust(t, false, testpki.NewCA(t, testpki.Options{})) },
		"Trust, to none":  func(c *upstream.Config) { c.Trust = nil },
		"ServerName":      func(c *upstream.Config) { c.ServerName = "x" },
		"PinSPKI":         func(c *upstream.Config) { c.PinSPKI = []identity.SHA256{{1}} },
		"ConnectTimeout":  func(c *upstream.Config) { c.ConnectTimeout = time.Second },
		"ResponseTimeout": func(c *upstream.Config) { c.ResponseTimeout = time.Second },
		"PauseTimeout":    func(c *upstream.Config) { c.PauseTimeout = time.Second },
		"IdleTimeout":     func(c *upstream.Config) { c.IdleTimeout = time.Second },
		"QueueTimeout":    func(c *upstream.Config) { c.QueueTimeout = time.Second },
		"MaxIdle":         func(c *upstream.Config) { c.MaxIdle = 1 },
		"Max":             func(c *upstream.Config) { c.Max = 1 },
		"ResolveEvery":    func(c *upstream.Config) { c.ResolveEvery = time.Second },
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[upstream.Config]()) {
		if changes[field.Name] == nil {
			t.Errorf("no change of %s is tried", field.Name)
		}
	}
	for name, change := range changes {
		changed := config()
		change(&changed)
		if other, err := upstream.Renew(first, changed, nil); err != nil || other == first {
			t.Errorf("a change of %s kept the old upstream: %v", name, err)
		}
	}
}

func TestAClosedUpstreamServesOnAndKeepsNothing(t *testing.T) {
	t.Parallel()
	for protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		address, open := counting(t, protocol == 1)
		u := start(t, upstream.Config{Targets: []string{address}, Protocol: upstream.Protocol(protocol)}, nil)
		running, err := u.Send(request(t.Context(), http.MethodGet, "/x", nil), upstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
		if body, err := io.ReadAll(running.Response.Body); err != nil || string(body) != "ok" {
			t.Errorf("the request that was running got %q, %v", body, err)
		}
		if err := running.Response.Body.Close(); err != nil {
			t.Error(err)
		}
		until(t, "the end of the connection that was in use", func() bool { return open() == 0 })
		if body, err := get(t, u); err != nil || body != "ok" {
			t.Errorf("a request after Close got %q, %v", body, err)
		}
		until(t, "the end of the connection that was made afterwards", func() bool { return open() == 0 })
	}
}

func TestAClosedUpstreamKeepsNothingOfARequestThatWasGivenUp(t *testing.T) {
	t.Parallel()
	for protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		arrived := make(chan struct{})
		address, open := handling(t, protocol == 1, func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
		})
		u := start(t, upstream.Config{Targets: []string{address}, Protocol: upstream.Protocol(protocol)}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; u.Close(); cancel() }()
		if _, err := exchange(t, u, request(ctx, http.MethodGet, "/x", nil)); failure(t, err).Cause != upstream.CauseCanceled {
			t.Error(err)
		}
		until(t, "the end of its connection", func() bool { return open() == 0 })
	}
}
