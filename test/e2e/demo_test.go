package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// demonstration is a running demo and what it printed.
type demonstration struct {
	*process
	address string
	folder  string
	curls   []string // the lines to paste, in their order
	explain string
}

// runDemo starts the demo with a command and waits for its invitation. Its folder is made below temporary.
func runDemo(t testing.TB, cmd *exec.Cmd, temporary string) *demonstration {
	t.Helper()
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C goes to the whole group, as from a terminal
	d := &demonstration{process: start(t, cmd)}
	d.Await(t, d.Stdout, 0, "the end of the invitation", func(line string) bool {
		folder, found := strings.CutPrefix(line, "Ctrl-C ends it and removes ")
		if found {
			d.folder = strings.TrimSuffix(folder, ".")
		}
		return found
	})
	said, _ := d.Stdout.Since(0)
	for _, line := range said {
		rest, found := strings.CutPrefix(line, "Sallyport listens on ")
		switch {
		case found:
			d.address, _, _ = strings.Cut(rest, ";")
		case strings.HasPrefix(line, "curl "):
			d.curls = append(d.curls, line)
		case strings.Contains(line, " explain "):
			d.explain = line
		}
	}
	if d.address == "" || d.explain == "" {
		t.Fatalf("no address or no explain line: %s", d.Said())
	}
	if _, err := os.Stat(filepath.Join(d.folder, "sallyport.yaml")); err != nil {
		t.Fatal(err)
	}
	return d
}

// tryEverything runs every line that the demo printed, as somebody who pastes it into a shell.
func (d *demonstration) tryEverything(t testing.TB) {
	t.Helper()
	paste := func(line string) result {
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = moduleRoot
		return toEnd(t, cmd)
	}
	want := []struct {
		status int
		reason string // "": the backend answers
		caller string // the subject's attribute that the backend is told; "" for an anonymous caller
	}{
		{200, "", "partner-a"},
		{401, "certificate_missing", ""},
		{403, "certificate_untrusted", ""},
		{403, "certificate_not_allowed", ""},
		{200, "", ""},
	}
	if len(d.curls) != len(want) {
		t.Fatalf("%d curl lines, want %d: %s", len(d.curls), len(want), d.Said())
	}
	for i, line := range d.curls {
		got := paste(line)
		if got.Code != 0 {
			t.Errorf("%s: exit code %d: %s", line, got.Code, got.Stderr)
			continue
		}
		var answer struct {
			problem
			Path    string              `json:"path"`
			Headers map[string][]string `json:"headers"`
		}
		if err := json.Unmarshal([]byte(got.Stdout), &answer); err != nil {
			t.Errorf("%s: %v: %s", line, err, got.Stdout)
			continue
		}
		if want[i].reason == "" {
			if answer.Path == "" || (len(answer.Headers["Client-Cert"]) == 1) != (want[i].caller != "") {
				t.Errorf("%s: %s; want the backend's echo, with Client-Cert for a known caller", line, got.Stdout)
			}
			continue
		}
		if answer.Reason != want[i].reason || answer.Status != want[i].status {
			t.Errorf("%s: %s; want %d %s", line, got.Stdout, want[i].status, want[i].reason)
		}
		d.Await(t, d.Stdout, 0, "the log line of the refusal", func(logged string) bool {
			return strings.Contains(logged, "request_id="+answer.RequestID) && strings.Contains(logged, "reason="+answer.Reason)
		})
		if again := paste(line + ` --output /dev/null --write-out '%{http_code}'`); again.Stdout != fmt.Sprint(want[i].status) {
			t.Errorf("%s: status %s, want %d", line, again.Stdout, want[i].status)
		}
	}
	got := paste(d.explain)
	if got.Code != 1 || !strings.HasPrefix(got.Stdout, "deny: certificate_not_allowed (status 403)\n") {
		t.Errorf("%s: exit code %d, %s%s; want 1 and certificate_not_allowed", d.explain, got.Code, got.Stdout, got.Stderr)
	}
}

// interrupt ends the demo with Ctrl-C, checks that nothing is left of it and returns the exit code.
func (d *demonstration) interrupt(t testing.TB) int {
	t.Helper()
	if err := d.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	code := d.ExitCode(t)
	if said := d.Stdout.Text(); !strings.HasSuffix(said, "msg=stopped\n") {
		t.Errorf("it did not end in order: %s", d.Said())
	}
	if _, err := os.Stat(d.folder); !os.IsNotExist(err) {
		t.Errorf("the folder %s is still there (%v)", d.folder, err)
	}
	return code
}

func TestDemo(t *testing.T) {
	t.Parallel()
	tool(t, "curl")
	address := "127.0.0.1:" + freePort(t)
	first := runDemo(t, exec.Command(program(t), "demo", "--address", address), t.TempDir())
	if first.address != address {
		t.Errorf("it listens on %s, want %s", first.address, address)
	}
	second := runDemo(t, exec.Command(program(t), "demo", "--address", address), t.TempDir())
	if second.address == address || !strings.HasPrefix(second.address, "127.0.0.1:") {
		t.Errorf("the second listens on %s, want another port of the same host", second.address)
	}
	for _, d := range []*demonstration{first, second} {
		d.tryEverything(t)
	}
	if code := second.interrupt(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0", code)
	}
	first.tryEverything(t) // it does not care
	if code := first.interrupt(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0", code)
	}
}

func TestDemoInAFolderWithASpace(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "it's a folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	d := runDemo(t, exec.Command(program(t), "demo", "--address", "127.0.0.1:"+freePort(t)), folder)
	d.tryEverything(t)
	if code := d.interrupt(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0", code)
	}
}
