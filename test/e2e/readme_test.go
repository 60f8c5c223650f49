package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of README.md.
type block struct {
	line     int // of its fence
	language string
	lines    []string
}

// readBlocks takes the fenced blocks out of a Markdown text.
func readBlocks(t testing.TB, markdown string) []block {
	t.Helper()
	var blocks []block
	open := false
	n := 0
	for line := range strings.Lines(markdown) {
		n++
		language, fence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case fence && open && language != "":
			t.Fatalf("README.md:%d: a fence inside a block", n)
		case fence:
			if !open {
				blocks = append(blocks, block{line: n, language: language})
			}
			open = !open
		case open:
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, strings.TrimRight(line, "\n"))
		}
	}
	if open {
		t.Fatal("README.md: the last block does not end")
	}
	return blocks
}

// The commands of README.md that a test must not simply run to their end.
const (
	demoCommand = "go run ./cmd/sallyport demo"
	testCommand = "make test"
)

func TestReadme(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(moduleRoot, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]int{}
	for _, b := range readBlocks(t, string(data)) {
		switch b.language {
		case "sh":
			for _, command := range shellCommands(t, b) {
				commands[command]++
				runReadmeCommand(t, b.line, command)
			}
		case "yaml":
			validateReadmeDocument(t, b)
		default:
			t.Errorf("README.md:%d: a block in %q: this test knows sh, which it runs, and yaml, which it validates", b.line, b.language)
		}
	}
	for _, command := range []string{demoCommand, testCommand} {
		if commands[command] != 1 {
			t.Errorf("README.md has the command %q %d times, want once", command, commands[command])
		}
	}
}

// shellCommands returns the commands of a block, one a line. What goes over several lines is not understood.
func shellCommands(t testing.TB, b block) []string {
	t.Helper()
	var commands []string
	for i, line := range b.lines {
		switch command, _, _ := strings.Cut(line, " #"); {
		case strings.TrimSpace(command) == "" || strings.HasPrefix(command, "#"):
		case strings.HasSuffix(line, "\\") || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "$") || strings.Contains(line, "<<"):
			t.Errorf("README.md:%d: %q is not a command on a line of its own", b.line+1+i, line)
		default:
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if len(commands) == 0 {
		t.Errorf("README.md:%d: a block without a command", b.line)
	}
	return commands
}

func runReadmeCommand(t *testing.T, line int, command string) {
	t.Helper()
	switch {
	case command == demoCommand:
		tool(t, "curl")
		cmd := exec.Command("sh", "-c", "exec "+command)
		cmd.Dir = moduleRoot
		d := runDemo(t, cmd, t.TempDir())
		d.tryEverything(t)
		d.interrupt(t) // the exit code is that of go run, which was interrupted as well
	case command == testCommand:
		checkTestCommand(t)
	case strings.Contains(command, "make test"), strings.Contains(command, "go test"), strings.Contains(command, ".ci/run"), command == "make":
		t.Errorf("README.md:%d: %q would run this test; it is not understood", line, command)
	default:
		cmd := exec.Command("sh", "-e", "-c", command)
		cmd.Dir = moduleRoot
		if got := toEnd(t, cmd); got.Code != 0 {
			t.Errorf("README.md:%d: %s: exit code %d\n%s%s", line, command, got.Code, got.Stdout, got.Stderr)
		}
	}
}

// checkTestCommand checks that the command is what continuous integration calls and that it runs all tests, without
// running it: this test is one of them.
func checkTestCommand(t *testing.T) {
	t.Helper()
	script := filepath.Join(moduleRoot, ".ci", "run")
	data, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(script); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf(".ci/run cannot be run: %v, %v", info.Mode(), err)
	}
	if lines := strings.Split(string(data), "\n"); !slices.Contains(lines, testCommand) && !slices.Contains(lines, "exec "+testCommand) {
		t.Errorf(".ci/run does not call %q", testCommand)
	}
	cmd := exec.Command(tool(t, "make"), "--no-print-directory", "-n", "test")
	cmd.Dir = moduleRoot
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { // of the make that may run this test
		return strings.HasPrefix(v, "MAKEFLAGS=") || strings.HasPrefix(v, "MFLAGS=") || strings.HasPrefix(v, "MAKELEVEL=")
	})
	got := toEnd(t, cmd)
	if got.Code != 0 {
		t.Fatalf("make -n test: exit code %d: %s", got.Code, got.Stderr)
	}
	steps := strings.Split(got.Stdout, "\n")
	for _, step := range []string{"scripts/deps.sh", "go test -race -shuffle=on ./..."} {
		if !slices.Contains(steps, step) {
			t.Errorf("make test has no step %q:\n%s", step, got.Stdout)
		}
	}
}

// validateReadmeDocument checks that a configuration in README.md is valid, given the files that it names.
func validateReadmeDocument(t *testing.T, b block) {
	t.Helper()
	s := newSite(t)
	for file, from := range map[string]string{"server.pem": "server.pem", "server.key": "server.key", "partner-ca.pem": "ca.pem"} {
		s.write(t, file, s.read(t, filepath.Join("pki", from)))
	}
	s.write(t, "readme.yaml", strings.Join(b.lines, "\n")+"\n")
	got := sallyport(t, s.dir, "validate", "--config", "readme.yaml")
	if got.Code != 0 || !strings.HasPrefix(got.Stdout, "valid: ") {
		t.Errorf("README.md:%d: exit code %d, want 0 and a document that this build runs\n%s%s", b.line, got.Code, got.Stdout, got.Stderr)
	}
}
