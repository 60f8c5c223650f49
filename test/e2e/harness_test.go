package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. It is long because a machine may be busy; nothing waits for it to pass.
const patience = 40 * time.Second

// scratch is a folder for what the tests share; TestMain makes and removes it.
var scratch string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "sallyport-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// tool returns the path of a program that is not ours.
func tool(t testing.TB, name string) string {
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

// moduleRoot is where go.mod is, seen from this package.
const moduleRoot = "../.."

var builtProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "sallyport")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race") // what races in the program fails its exit code
	}
	cmd := exec.Command("go", append(args, "./cmd/sallyport")...)
	cmd.Dir = moduleRoot
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// program returns the path of the program; the first call builds it.
func program(t testing.TB) string {
	t.Helper()
	path, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ports remembers which ports were given out, so that tests that run at the same time never get the same one.
var ports struct {
	sync.Mutex
	given map[string]bool
}

// freePort returns a port of 127.0.0.1 that nobody listens on. It lies below the range from which the system takes ports
// for outgoing connections and for port 0, so that nobody else gets it before it is used.
func freePort(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		port := fmt.Sprint(20000 + rand.IntN(12000))
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if ports.given == nil {
			ports.given = map[string]bool{}
		}
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}

// lines collects what a process says. It is an io.Writer.
type lines struct {
	mu      sync.Mutex
	rest    []byte
	all     []string
	changed chan struct{} // closed at the next line
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.all, l.rest = append(l.all, string(line)), rest
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// since returns the lines from number n on, and a channel that is closed when there is another.
func (l *lines) since(n int) ([]string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all[min(n, len(l.all)):]), l.changed
}

func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n") + "\n" + string(l.rest)
}

// process is a program that a test started.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *lines
	exited         chan struct{} // closed when it has ended and everything that it said is there
	err            error         // of Wait; read it after exited
}

// start starts a process, which ends with the test at the latest. Its standard output and error are collected.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, stdout: newLines(), stderr: newLines(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.WaitDelay = 5 * time.Second // a child of the process that keeps the pipe open is not waited for
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.signal(syscall.SIGTERM) // it may have ended already
		select {
		case <-p.exited:
		case <-time.After(patience):
			t.Errorf("%s did not end within %v after SIGTERM", cmd, patience)
			_ = cmd.Process.Kill()
			<-p.exited
		}
	})
	return p
}

// signal sends a signal to the process, or to its group where it leads one.
func (p *process) signal(s syscall.Signal) error {
	select {
	case <-p.exited:
		return os.ErrProcessDone
	default:
	}
	if p.cmd.SysProcAttr != nil && p.cmd.SysProcAttr.Setpgid {
		return syscall.Kill(-p.cmd.Process.Pid, s)
	}
	return p.cmd.Process.Signal(s)
}

// said describes everything that the process said, for the text of a failure.
func (p *process) said() string {
	return fmt.Sprintf("%s\nstandard output:\n%s\nstandard error:\n%s", p.cmd, p.stdout, p.stderr)
}

// exitCode waits for the end of the process.
func (p *process) exitCode(t testing.TB) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("still running after %v: %s", patience, p.said())
	}
	if failed, ok := errors.AsType[*exec.ExitError](p.err); p.err != nil && !ok {
		t.Fatalf("%v: %s", p.err, p.said())
	} else if ok {
		return failed.ExitCode()
	}
	return 0
}

// await waits for a line of one of the outputs, from line number from on, that match accepts.
func (p *process) await(t testing.TB, l *lines, from int, what string, match func(line string) bool) {
	t.Helper()
	timeout := time.After(patience)
	for seen := from; ; {
		ended := false
		select { // before looking: what was said before the end is looked at below
		case <-p.exited:
			ended = true
		default:
		}
		fresh, changed := l.since(seen)
		if slices.ContainsFunc(fresh, match) {
			return
		}
		seen += len(fresh)
		if ended {
			t.Fatalf("ended (%v) without %s: %s", p.err, what, p.said())
		}
		select {
		case <-changed:
		case <-p.exited:
		case <-timeout:
			t.Fatalf("waited %v in vain for %s: %s", patience, what, p.said())
		}
	}
}

// result is what a command that ran to its end left behind.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command to its end.
func run(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	p := start(t, cmd)
	code := p.exitCode(t)
	return result{code: code, stdout: p.stdout.text(), stderr: p.stderr.text()}
}

// text returns everything as it was written.
func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.all {
		b.WriteString(line + "\n")
	}
	b.Write(l.rest)
	return b.String()
}

// sallyport runs a subcommand of the program in a folder, to its end.
func sallyport(t testing.TB, dir string, args ...string) result {
	t.Helper()
	cmd := exec.Command(program(t), args...)
	cmd.Dir, cmd.Env = dir, environment()
	return run(t, cmd)
}

// environment is what the program gets: what the tests got, and what the contract files ask for.
func environment() []string { return append(os.Environ(), "SCRIPT_API_KEY=correct horse") }
