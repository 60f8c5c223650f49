// Package run starts real programs for the tests that look at the gateway from outside: the gateway itself, nginx, curl.
//
// It owns processes from their start to their end, what they say, the building of the program, and ports that nobody
// has. A process is always ended by its id, never by its name, and nothing here sleeps: everything waits for what a
// process says or for its end, for Patience at most.
//
// Errors fail the test through testing.TB. A Process and its Lines may be used by several goroutines.
package run

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience bounds every wait. It is long because a machine may be busy; nothing waits for it to pass.
const Patience = 40 * time.Second

// Lines collects what a process says. It is an io.Writer. Its zero value is not usable.
type Lines struct {
	mu      sync.Mutex
	rest    []byte
	all     []string
	changed chan struct{} // closed at the next line
}

func newLines() *Lines { return &Lines{changed: make(chan struct{})} }

// Write implements io.Writer. It never fails.
func (l *Lines) Write(p []byte) (int, error) {
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

// Since returns the whole lines from number n on, the first being number 0, and a channel that is closed when there is
// another.
func (l *Lines) Since(n int) ([]string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all[min(n, len(l.all)):]), l.changed
}

// Count returns how many whole lines there are.
func (l *Lines) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// Text returns everything as it was written.
func (l *Lines) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.all {
		b.WriteString(line + "\n")
	}
	b.Write(l.rest)
	return b.String()
}

// Process is a program that a test started.
type Process struct {
	// Stdout and Stderr are what it says.
	Stdout, Stderr *Lines
	// Exited is closed when it has ended and everything that it said is there.
	Exited <-chan struct{}

	cmd *exec.Cmd
	err error // of Wait; read it after Exited
}

// Start starts a process, which gets SIGTERM at the end of the test if it runs until then. Its standard output and error
// are collected; cmd must not use them.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	exited := make(chan struct{})
	p := &Process{cmd: cmd, Stdout: newLines(), Stderr: newLines(), Exited: exited}
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	cmd.WaitDelay = 5 * time.Second // a child of the process that keeps the pipe open is not waited for
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = p.Signal(syscall.SIGTERM) // it may have ended already
		select {
		case <-p.Exited:
		case <-time.After(Patience):
			t.Errorf("%s did not end within %v after SIGTERM", cmd, Patience)
			_ = cmd.Process.Kill()
			<-p.Exited
		}
	})
	return p
}

// ID returns the id of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process, or to its group where it leads one. After its end that is os.ErrProcessDone.
func (p *Process) Signal(s syscall.Signal) error {
	select {
	case <-p.Exited:
		return os.ErrProcessDone
	default:
	}
	if p.cmd.SysProcAttr != nil && p.cmd.SysProcAttr.Setpgid {
		return syscall.Kill(-p.cmd.Process.Pid, s)
	}
	return p.cmd.Process.Signal(s)
}

// Said describes everything that the process said, for the text of a failure.
func (p *Process) Said() string {
	return fmt.Sprintf("%s\nstandard output:\n%s\nstandard error:\n%s", p.cmd, p.Stdout.Text(), p.Stderr.Text())
}

// ExitCode waits for the end of the process.
func (p *Process) ExitCode(t testing.TB) int {
	t.Helper()
	select {
	case <-p.Exited:
	case <-time.After(Patience):
		t.Fatalf("still running after %v: %s", Patience, p.Said())
	}
	if failed, ok := errors.AsType[*exec.ExitError](p.err); p.err != nil && !ok {
		t.Fatalf("%v: %s", p.err, p.Said())
	} else if ok {
		return failed.ExitCode()
	}
	return 0
}

// Await waits for a line of one of the two outputs, from line number from on, that match accepts. what names it in the
// text of a failure.
func (p *Process) Await(t testing.TB, l *Lines, from int, what string, match func(line string) bool) {
	t.Helper()
	timeout := time.After(Patience)
	for seen := from; ; {
		ended := false
		select { // before looking: what was said before the end is looked at below
		case <-p.Exited:
			ended = true
		default:
		}
		fresh, changed := l.Since(seen)
		if slices.ContainsFunc(fresh, match) {
			return
		}
		seen += len(fresh)
		if ended {
			t.Fatalf("ended (%v) without %s: %s", p.err, what, p.Said())
		}
		select {
		case <-changed:
		case <-p.Exited:
		case <-timeout:
			t.Fatalf("waited %v in vain for %s: %s", Patience, what, p.Said())
		}
	}
}

// Result is what a command that ran to its end left behind.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// ToEnd runs a command to its end.
func ToEnd(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	p := Start(t, cmd)
	code := p.ExitCode(t)
	return Result{Code: code, Stdout: p.Stdout.Text(), Stderr: p.Stderr.Text()}
}
