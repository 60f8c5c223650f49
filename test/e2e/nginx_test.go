package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// backend is an nginx that answers every request with 200 and writes down what it saw.
type backend struct {
	*process
}

// seen is what nginx saw of one request.
type seen struct {
	RequestID       string `json:"request_id"`
	Method          string `json:"method"`
	URI             string `json:"uri"`
	Host            string `json:"host"`
	ClientCert      string `json:"client_cert"`
	ClientCertChain string `json:"client_cert_chain"`
	ForwardedFor    string `json:"x_forwarded_for"`
	ForwardedProto  string `json:"x_forwarded_proto"`
	ForwardedHost   string `json:"x_forwarded_host"`
	SSLCert         string `json:"x_ssl_cert"`
	XFCC            string `json:"xfcc"`
	ClientDN        string `json:"x_client_dn"`
}

// nginxConfig is what goes into nginx's http block. The verb is the port.
const nginxConfig = `
    log_format seen escape=json '{"request_id":"$http_x_request_id","method":"$request_method","uri":"$request_uri","host":"$http_host",'
        '"client_cert":"$http_client_cert","client_cert_chain":"$http_client_cert_chain","x_forwarded_for":"$http_x_forwarded_for",'
        '"x_forwarded_proto":"$http_x_forwarded_proto","x_forwarded_host":"$http_x_forwarded_host","x_ssl_cert":"$http_x_ssl_cert",'
        '"xfcc":"$http_x_forwarded_client_cert","x_client_dn":"$http_x_client_dn"}';
    access_log /dev/stdout seen;
    underscores_in_headers on;
    server {
        listen 127.0.0.1:%s;
        default_type text/plain;
        add_header Backend-Saw-Request-Id $http_x_request_id always;
        location / { return 200 "backend\n"; }
    }`

// runNginx starts nginx on a port of 127.0.0.1 and waits until it listens.
func runNginx(t testing.TB, port string) *backend {
	t.Helper()
	return &backend{nginx(t, fmt.Sprintf(nginxConfig, port))}
}

// saw waits for what nginx wrote down about a request.
func (b *backend) saw(t testing.TB, requestID string) *seen {
	t.Helper()
	var found *seen
	b.Await(t, b.Stdout, 0, "a request "+requestID+" at the backend", func(line string) bool {
		s := b.parse(t, line)
		if s.RequestID != requestID {
			return false
		}
		found = s
		return true
	})
	return found
}

// everything returns what nginx saw until now.
func (b *backend) everything(t testing.TB) []*seen {
	t.Helper()
	var all []*seen
	said, _ := b.Stdout.Since(0)
	for _, line := range said {
		all = append(all, b.parse(t, line))
	}
	return all
}

func (b *backend) parse(t testing.TB, line string) *seen {
	t.Helper()
	s := &seen{}
	if err := json.Unmarshal([]byte(line), s); err != nil {
		t.Fatalf("nginx wrote %q: %v", line, err)
	}
	return s
}
