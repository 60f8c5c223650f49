// Package demo is the first five minutes: it writes a throwaway CA, a server's and three callers' certificates, and the
// document that joins them to an echo backend.
//
// It owns what the demonstration looks like and never serves anything but the backend. Nothing that it makes is meant to
// outlive the demonstration: keys are written unencrypted, for their owner alone, and certificates last a day.
package demo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Lifetime is how long the demonstration's certificates are valid.
const Lifetime = 24 * time.Hour

// Site is what Write made.
type Site struct {
	// Dir is the folder, Config the document in it.
	Dir, Config string
}

// Path returns the path of a file of the site, such as "ca.pem" or "partner-a.key".
func (s Site) Path(name string) string { return filepath.Join(s.Dir, name) }

// Write fills dir with certificates and a document that listens on address and sends requests to the backend's
// address. The callers are partner-a, who may call /orders/, partner-b, who may not, and a stranger of another CA.
func Write(dir, address, backend string) (Site, error) {
	site := Site{Dir: dir, Config: filepath.Join(dir, "sallyport.yaml")}
	ca, err := newAuthority("Demo CA")
	if err != nil {
		return site, err
	}
	foreign, err := newAuthority("Somebody else's CA")
	if err != nil {
		return site, err
	}
	if err := site.write("ca.pem", "CERTIFICATE", ca.certificate.Raw); err != nil {
		return site, err
	}
	for _, leaf := range []struct {
		name   string
		issuer *authority
		usage  x509.ExtKeyUsage
	}{
		{"server", ca, x509.ExtKeyUsageServerAuth},
		{"partner-a", ca, x509.ExtKeyUsageClientAuth},
		{"partner-b", ca, x509.ExtKeyUsageClientAuth},
		{"stranger", foreign, x509.ExtKeyUsageClientAuth},
	} {
		if err := site.issue(leaf.name, leaf.issuer, leaf.usage); err != nil {
			return site, fmt.Errorf("certificate of %s: %w", leaf.name, err)
		}
	}
	return site, os.WriteFile(site.Config, fmt.Appendf(nil, document, address, backend), 0o600)
}

// document is the demonstration's configuration; the verbs are the gateway's and the backend's address.
const document = `# The demonstration: one TLS listener that asks for a client certificate, an open API and a protected one.
listeners:
  - name: public
    address: %q
    tls:
      credentials: [server]
      client_auth: optional

credentials:
  - name: server
    certificate: {file: server.pem}
    private_key: {file: server.key}

trust_stores:
  - name: partners
    anchors: [{file: ca.pem}]

upstreams:
  - name: echo
    targets: ["http://%s"]

apis:
  - name: open
    path: /open/
    upstream: echo
  - name: orders
    path: /orders/
    upstream: echo
    client_certificate:
      mode: required
      trust: [partners]
      allow:
        - subject: "CN=partner-a,O=Acme,*"

log: {format: text}
`

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(name string) (*authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Sallyport demo"}, CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	certificate, key, err := sign(template, nil)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return &authority{certificate, key}, nil
}

func (s Site) issue(name string, issuer *authority, usage x509.ExtKeyUsage) error {
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Acme"}, CommonName: name},
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{usage},
	}
	if usage == x509.ExtKeyUsageServerAuth {
		template.DNSNames, template.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	certificate, key, err := sign(template, issuer)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := s.write(name+".key", "PRIVATE KEY", der); err != nil {
		return err
	}
	return s.write(name+".pem", "CERTIFICATE", certificate.Raw)
}

// sign completes a template with a new key; a nil issuer makes it sign itself.
func sign(template *x509.Certificate, issuer *authority) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(Lifetime)
	parent, signer := template, crypto.Signer(key)
	if issuer != nil {
		parent, signer = issuer.certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return certificate, key, err
}

func (s Site) write(name, kind string, der []byte) error {
	return os.WriteFile(s.Path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// Echo answers every request with what the backend saw of it.
func Echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		_ = out.Encode(map[string]any{ // a client that is gone is no trouble
			"method": r.Method, "host": r.Host, "path": r.URL.EscapedPath(), "headers": r.Header,
		})
	})
}
