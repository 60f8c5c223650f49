package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sallyport/test/internal/run"
)

// scratch is a folder for what the tests share, while they run.
var scratch string

func TestMain(m *testing.M) { os.Exit(run.Tests(m, &scratch)) }

// What package run does for all tests, under the names of this one.
type (
	process = run.Process
	result  = run.Result
)

var ports run.Ports

func freePort(t testing.TB) string               { t.Helper(); return ports.Free(t) }
func tool(t testing.TB, name string) string      { t.Helper(); return run.Tool(t, name) }
func nginx(t testing.TB, blocks string) *process { t.Helper(); return run.Nginx(t, blocks) }
func start(t testing.TB, cmd *exec.Cmd) *process { t.Helper(); return run.Start(t, cmd) }
func toEnd(t testing.TB, cmd *exec.Cmd) result   { t.Helper(); return run.ToEnd(t, cmd) }

// moduleRoot is where go.mod is, seen from this package.
const moduleRoot = "../.."

var builtProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "sallyport")
	return path, run.Build(moduleRoot, path, run.WithRace())
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

// sallyport runs a subcommand of the program in a folder, to its end.
func sallyport(t testing.TB, dir string, args ...string) result {
	t.Helper()
	cmd := exec.Command(program(t), args...)
	cmd.Dir, cmd.Env = dir, environment()
	return toEnd(t, cmd)
}

// environment is what the program gets: what the tests got, and what the contract files ask for.
func environment() []string { return append(os.Environ(), "SCRIPT_API_KEY=correct horse") }
