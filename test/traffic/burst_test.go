package traffic_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/test/internal/run"
)

// TestABurstIsMoreThanAConnectionTakes: nginx takes ten streams on a connection and refuses the eleventh. The gateway has no
// connection when sixty requests come, and none of them ends before all have arrived.
func TestABurstIsMoreThanAConnectionTakes(t *testing.T) {
	t.Parallel()
	const requests = 60
	var arrived atomic.Int32
	all := make(chan struct{})
	backend := goBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == requests {
			close(all)
		}
		select {
		case <-all:
			_, _ = io.Copy(w, r.Body)
		case <-r.Context().Done():
		}
	})
	port := ports.Free(t)
	run.Nginx(t, fmt.Sprintf(`
    access_log /dev/stdout;
    server {
        listen 127.0.0.1:%s http2;
        http2_max_concurrent_streams 10;
        location / { proxy_pass %s; }
    }`, port, backend))
	g := serve(t, document{apis: []api{{path: "/few/", target: "http://127.0.0.1:" + port, upstream: "protocol: h2, health: {max_failures: 1}"}}})
	c := g.caller(t, http1Front)
	var answers sync.WaitGroup
	for i := range requests {
		method := []string{http.MethodPost, http.MethodPut}[i%2]
		r := c.request(t, method, fmt.Sprintf("/few/%d", i), strings.NewReader("body"))
		answers.Go(func() {
			if a := c.send(r); a.status != http.StatusOK || a.body != "body" || a.err != nil {
				t.Errorf("%s: status %d, %q, %v", r.URL.Path, a.status, a.body, a.err)
			}
		})
	}
	answers.Wait()
	lines, _ := g.Stdout.Since(0)
	for _, line := range lines {
		if r := parse(t, line); r.Level == "WARN" {
			t.Errorf("a target that takes all of it is blamed: %s", line)
		}
	}
}
