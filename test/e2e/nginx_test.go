package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"
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

// nginxConfig has everything below its own folder. The verbs are the user line and the port.
const nginxConfig = `%s
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
events {}
http {
    log_format seen escape=json '{"request_id":"$http_x_request_id","method":"$request_method","uri":"$request_uri","host":"$http_host",'
        '"client_cert":"$http_client_cert","client_cert_chain":"$http_client_cert_chain","x_forwarded_for":"$http_x_forwarded_for",'
        '"x_forwarded_proto":"$http_x_forwarded_proto","x_forwarded_host":"$http_x_forwarded_host","x_ssl_cert":"$http_x_ssl_cert",'
        '"xfcc":"$http_x_forwarded_client_cert","x_client_dn":"$http_x_client_dn"}';
    access_log /dev/stdout seen;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    underscores_in_headers on;
    server {
        listen 127.0.0.1:%s;
        default_type text/plain;
        add_header Backend-Saw-Request-Id $http_x_request_id always;
        location / { return 200 "backend\n"; }
    }
}
`

// runNginx starts nginx on a port of 127.0.0.1 and waits until it listens.
func runNginx(t testing.TB, port string) *backend {
	t.Helper()
	path, dir := tool(t, "nginx"), t.TempDir()
	userLine := ""
	if who, err := user.Current(); err == nil && who.Uid == "0" {
		userLine = "user root;" // the folder is root's alone, so its workers must not become somebody else
	}
	if err := os.WriteFile(dir+"/nginx.conf", fmt.Appendf(nil, nginxConfig, userLine, port), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &backend{start(t, exec.Command(path, "-e", "stderr", "-p", dir, "-c", dir+"/nginx.conf"))}
	b.await(t, b.stderr, 0, "nginx's worker", func(line string) bool { return strings.Contains(line, "start worker process ") })
	return b
}

// saw waits for what nginx wrote down about a request.
func (b *backend) saw(t testing.TB, requestID string) *seen {
	t.Helper()
	var found *seen
	b.await(t, b.stdout, 0, "a request "+requestID+" at the backend", func(line string) bool {
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
	said, _ := b.stdout.since(0)
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
