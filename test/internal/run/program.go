package run

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
)

// Tool returns the path of a program that is not ours. A test that needs one which is missing fails with the name of its
// Debian package.
func Tool(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} { // not in everybody's PATH on Debian
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: install the Debian package %s (make deps does)", name, name)
	return ""
}

// Build builds the program of the module into a file and returns an error that says what the compiler said. root is the
// folder of go.mod. With race what races in the program fails its exit code.
func Build(root, file string, race bool) error {
	args := []string{"build", "-buildvcs=false", "-o", file}
	if race {
		args = append(args, "-race")
	}
	//nolint:gosec,noctx // G204: the caller is a test; a build that was begun is of use to every other test
	cmd := exec.Command("go", append(args, "./cmd/sallyport")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return nil
}

// BuildTests builds the tests of the package in a folder into a file, without the race detector: for work that is about
// memory or much data, in tests that have it.
func BuildTests(dir, file string) error {
	//nolint:gosec,noctx // as in Build
	cmd := exec.Command("go", "test", "-c", "-o", file, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the tests: %w\n%s", err, out)
	}
	return nil
}

// WithRace reports whether the tests were built with the race detector.
func WithRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Ports gives out ports, each one once, so that tests that run at the same time never get the same. The zero value has
// given out none. It may be used concurrently.
type Ports struct {
	mu    sync.Mutex
	given map[string]bool
}

// Free returns a port of 127.0.0.1 that nobody listens on. It lies below the range from which the system takes ports for
// outgoing connections and for port 0, so that nobody else gets it before it is used.
func (p *Ports) Free(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range 1000 {
		port := fmt.Sprint(20000 + (os.Getpid()*101+len(p.given)+i)%12000) // test binaries that run at the same time begin elsewhere
		if p.given[port] {
			continue
		}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if p.given == nil {
			p.given = map[string]bool{}
		}
		p.given[port] = true
		return port
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}
