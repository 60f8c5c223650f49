package run

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"testing"
)

// nginxConfig has everything below its own folder. The verbs are the user line and what goes into the http block.
const nginxConfig = `%s
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
events {}
http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
%s
}
`

// Nginx starts nginx in a folder of its own and waits until it listens. blocks are the directives of its http block, among
// them an access_log.
func Nginx(t testing.TB, blocks string) *Process {
	t.Helper()
	path, dir := Tool(t, "nginx"), t.TempDir()
	userLine := ""
	if who, err := user.Current(); err == nil && who.Uid == "0" {
		userLine = "user root;" // the folder is root's alone, so its workers must not become somebody else
	}
	if err := os.WriteFile(dir+"/nginx.conf", fmt.Appendf(nil, nginxConfig, userLine, blocks), 0o600); err != nil {
		t.Fatal(err)
	}
	//nolint:gosec,noctx // G204: the folder is the test's; Start ends the process, more gently than a context would
	p := Start(t, exec.Command(path, "-e", "stderr", "-p", dir, "-c", dir+"/nginx.conf"))
	p.Await(t, p.Stderr, 0, "nginx's worker", func(line string) bool { return strings.Contains(line, "start worker process ") })
	return p
}
