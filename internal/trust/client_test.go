package trust_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// serve runs a TLS server that says "hello" to every connection until the test ends.
func serve(tb testing.TB, cfg *tls.Config) (address string) {
	tb.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello") // the client may have hung up: that is what it is tested for
			_ = conn.Close()
		}
	}()
	tb.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// dial connects, reads what the server says, and reports whether the session was resumed.
func dial(tb testing.TB, address string, cfg *tls.Config) (resumed bool, err error) {
	tb.Helper()
	raw, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(tb.Context()); err != nil {
		return false, err
	}
	if text, err := io.ReadAll(conn); err != nil || string(text) != "hello" {
		tb.Fatalf("read %q, %v", text, err)
	}
	return conn.ConnectionState().DidResume, nil
}

func TestClientTLSVerifiesPathAndName(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	local := testpki.Options{Hosts: []string{"localhost", "127.0.0.1", "*.example.test"}}
	expired := local
	expired.NotAfter = time.Now().Add(-time.Hour)
	clientOnly := local
	clientOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	good := ca.Intermediate(t, testpki.Options{}).Leaf(t, local)
	self := testpki.NewCA(t, local)
	var none *trust.Set
	trusted := newSet(t, trust.ServerAuth, anchored(t, ca, self))
	ok := decision.OK

	for _, tc := range []struct {
		name       string
		server     *testpki.Entity
		set        *trust.Set
		serverName string
		want       decision.Reason
	}{
		{"the right name", good, trusted, "localhost", ok},
		{"the right name with a trailing dot and capitals", good, trusted, "LocalHost.", ok},
		{"the right address", good, trusted, "127.0.0.1", ok},
		{"a name below a wildcard", good, trusted, "a.example.test", ok},
		{"a name two labels below a wildcard", good, trusted, "a.b.example.test", decision.CertificateNotAllowed},
		{"another name", good, trusted, "localhost.evil.test", decision.CertificateNotAllowed},
		{"another address", good, trusted, "127.0.0.2", decision.CertificateNotAllowed},
		{"no name at all", good, trusted, "", decision.InternalError},
		{"a common name is no name", ca.Leaf(t, testpki.Options{CommonName: "localhost"}), trusted, "localhost", decision.CertificateNotAllowed},
		{"an expired certificate", ca.Leaf(t, expired), trusted, "localhost", decision.CertificateExpired},
		{"a caller's certificate", ca.Leaf(t, clientOnly), trusted, "localhost", decision.CertificatePurpose},
		{"a stranger's certificate", testpki.NewCA(t, testpki.Options{}).Leaf(t, local), trusted, "localhost", decision.CertificateUntrusted},
		{"a self-signed CA certificate that is its own anchor", self, trusted, "localhost", ok},
		{"a pinned certificate", testpki.NewSelfSigned(t, local), nil, "localhost", ok},
		{"a pinned certificate with another name", testpki.NewSelfSigned(t, local), nil, "evil.test", decision.CertificateNotAllowed},
		{"no set", good, none, "localhost", decision.TrustUnavailable},
	} {
		set := tc.set
		if strings.HasPrefix(tc.name, "a pinned") {
			set = newSet(t, trust.ServerAuth, newStore(t, trust.StoreConfig{Anchors: cas(tc.server)}))
		}
		for version, number := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
			t.Run(tc.name+", "+version, func(t *testing.T) {
				t.Parallel()
				address := serve(t, &tls.Config{Certificates: []tls.Certificate{tc.server.TLS()}, MinVersion: number, MaxVersion: number})
				_, err := dial(t, address, set.ClientTLS(tc.serverName))
				wantError(t, err, tc.want)
			})
		}
	}
}

func wantError(tb testing.TB, err error, want decision.Reason) {
	tb.Helper()
	refused, is := errors.AsType[*trust.Error](err)
	switch {
	case want == decision.OK && err != nil:
		tb.Errorf("refused: %v", err)
	case want != decision.OK && (!is || refused.Reason != want):
		tb.Errorf("error = %v, want the reason %s", err, want)
	case want != decision.OK && !strings.HasPrefix(err.Error(), want.String()+": "):
		tb.Errorf("error = %q does not begin with the reason", err)
	}
}

// A handshake that ends without a certificate must not pass because there was nothing to refuse.
func TestClientTLSRefusesAPeerWithoutACertificate(t *testing.T) {
	t.Parallel()
	cfg := newSet(t, trust.ServerAuth, anchored(t, testpki.NewCA(t, testpki.Options{}))).ClientTLS("localhost")
	err := cfg.VerifyConnection(tls.ConnectionState{})
	if refused, is := errors.AsType[*trust.Error](err); !is || refused.Reason != decision.CertificateMissing {
		t.Errorf("error = %v", err)
	}
}

func TestErrorsAboutNamesAreOneBoundedLine(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	var hosts []string
	for range 20 { // with many more names crypto/x509 leaves them out
		hosts = append(hosts, strings.Repeat("long.", 40)+"example.test")
	}
	leaf := ca.Leaf(t, testpki.Options{Hosts: hosts})
	cfg := newSet(t, trust.ServerAuth, anchored(t, ca)).ClientTLS("localhost")
	err := cfg.VerifyConnection(tls.ConnectionState{PeerCertificates: leaf.Chain()})
	if err == nil || !strings.HasSuffix(err.Error(), "...") || len(err.Error()) > 2200 {
		t.Errorf("error of %d bytes: %.300q", len(err.Error()), err)
	}
}

func TestClientTLSNeedsTLS12(t *testing.T) {
	t.Parallel()
	cfg := newSet(t, trust.ServerAuth, anchored(t, testpki.NewCA(t, testpki.Options{}))).ClientTLS("localhost")
	if cfg.MinVersion != tls.VersionTLS12 || cfg.ServerName != "localhost" || cfg.VerifyConnection == nil {
		t.Errorf("configuration = %+v", cfg)
	}
}

// A session that is resumed sends no certificate: the one of the first connection must be judged again.
func TestClientTLSVerifiesResumedSessions(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	server := ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}})
	trusted := newSet(t, trust.ServerAuth, anchored(t, ca))
	changed := newSet(t, trust.ServerAuth, anchored(t, testpki.NewCA(t, testpki.Options{})))
	for version, number := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			address := serve(t, &tls.Config{Certificates: []tls.Certificate{server.TLS()}, MinVersion: number, MaxVersion: number})
			sessions := tls.NewLRUClientSessionCache(4)
			with := func(set *trust.Set) *tls.Config {
				cfg := set.ClientTLS("localhost")
				cfg.ClientSessionCache = sessions
				return cfg
			}
			if _, err := dial(t, address, with(trusted)); err != nil {
				t.Fatal(err)
			}
			if resumed, err := dial(t, address, with(trusted)); err != nil || !resumed {
				t.Fatalf("resumed %v, %v: the test does not test resumption", resumed, err)
			}
			_, err := dial(t, address, with(changed))
			wantError(t, err, decision.CertificateUntrusted)
		})
	}
}
