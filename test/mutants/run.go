package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Bounds of a run of tests with a mutant. A mutant may never end, and may take all memory there is.
const (
	patience  = 6 // times as long as the tests take without a mutant
	least     = 10 * time.Second
	mostBytes = 4 << 20 // of memory, in KiB
)

// suite is the tests of one package, compiled with all mutants of a unit.
type suite struct {
	dir    string // of the package, relative to the root
	binary string
	folder string // where the tests run
	limit  time.Duration
}

// compile builds the tests of a package with an overlay and runs them without a mutant: they have to pass.
func compile(ctx context.Context, root, dir, overlay, folder string) (*suite, error) {
	s := &suite{dir: dir, binary: filepath.Join(folder, strings.ReplaceAll(dir, "/", "_")+".test"), folder: filepath.Join(root, dir)}
	if _, err := goCommand(ctx, root, "test", "-c", "-vet=off", "-overlay", overlay, "-o", s.binary, "./"+dir); err != nil {
		return nil, fmt.Errorf("compile the tests of %s with its mutants: %w", dir, err)
	}
	s.limit = 5 * time.Minute
	for range 2 { // twice, so that tests that fail now and then are noticed
		begin := time.Now()
		if failed, output := s.run(ctx, 0); failed {
			return nil, fmt.Errorf("the tests of %s fail without a mutant, at %s:\n%s", dir, blame(output), tail(output))
		}
		s.limit = max(least, patience*time.Since(begin))
	}
	return s, nil
}

// run runs the tests with one mutant, 0 for none, and reports whether they failed. Output is what they printed.
func (s *suite) run(ctx context.Context, id int) (failed bool, output string) {
	ctx, cancel := context.WithTimeout(ctx, s.limit+least)
	defer cancel()
	//nolint:gosec // G204: our own binary
	cmd := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, mostBytes), s.binary,
		"-test.v", "-test.failfast", "-test.count=1", "-test.timeout="+s.limit.String())
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, id))
	cmd.WaitDelay = time.Second
	out := &watched{stop: cancel}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	return err != nil, out.text.String()
}

// watched is the output of tests. It stops them when one has failed: nobody needs the others.
type watched struct {
	text bytes.Buffer
	stop func()
}

// Write takes what is printed.
func (w *watched) Write(text []byte) (int, error) {
	from := max(0, w.text.Len()-200) // the line may come in parts
	w.text.Write(text)
	if failedTest.Match(w.text.Bytes()[from:]) {
		w.stop()
	}
	return len(text), nil
}

var (
	failedTest  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+) .*\n`)
	stuckTest   = regexp.MustCompile(`(?m)^\t+((?:Test|Fuzz)\S+) \(\d`)
	crashedTest = regexp.MustCompile(`[./](Test\w+|Fuzz\w+)(?:\.func[\w.]+)?\(`)
	begunTest   = regexp.MustCompile(`(?m)^=== (?:RUN|CONT)\s+(\S+)`)
)

// blame names the test that failed, from what the tests printed; "" when there is none.
func blame(output string) string {
	if all := failedTest.FindAllStringSubmatch(output, -1); all != nil {
		name := ""
		for _, found := range all { // a subtest says more than the test around it
			if strings.HasPrefix(found[1], name) {
				name = found[1]
			}
		}
		return name
	}
	if at := strings.Index(output, "panic: test timed out"); at >= 0 {
		if found := stuckTest.FindStringSubmatch(output[at:]); found != nil {
			return found[1] + " (never ends)"
		}
	}
	if at := strings.Index(output, "\ngoroutine "); at >= 0 {
		if found := crashedTest.FindStringSubmatch(output[at:]); found != nil {
			return found[1] + " (panics)"
		}
	}
	if all := begunTest.FindAllStringSubmatch(output, -1); all != nil {
		return all[len(all)-1][1] + " (panics)"
	}
	return ""
}

// tail is the end of what tests printed.
func tail(output string) string {
	const most = 4000
	return output[max(0, len(output)-most):]
}

// runAll runs the tests of a package that build the program themselves, with one mutant in it.
func runAll(ctx context.Context, root, dir, overlay string, id int) (failed bool, output string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-v", "-failfast", "-count=1", "-vet=off", "./"+dir) //nolint:gosec // G204: our own arguments
	cmd.Dir = root
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, id), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return false, err.Error()
	}
	return err != nil, string(out)
}
