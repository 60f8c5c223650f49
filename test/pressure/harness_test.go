package pressure_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sallyport/test/internal/run"
)

// role tells the test binary to be something else than a test: the callers of TestReloadUnderLoad.
const role = "SALLYPORT_PRESSURE_ROLE"

// scratch is a folder for what the tests share, while they run.
var scratch string

func TestMain(m *testing.M) {
	if os.Getenv(role) == callersRole {
		os.Exit(runCallers(os.Stdin, os.Stdout))
	}
	os.Exit(run.Tests(m, &scratch))
}

// moduleRoot is where go.mod is, seen from this package.
const moduleRoot = "../.."

// builds are the programs that the tests need, each built once. What is named by the environment was built by the tests
// that started these.
var (
	builtProgram = sync.OnceValues(func() (string, error) { return buildProgram("sallyport", run.WithRace()) })
	builtPlain   = sync.OnceValues(func() (string, error) {
		if path := os.Getenv(plainProgram); path != "" {
			return path, nil
		}
		if !run.WithRace() {
			return builtProgram()
		}
		return buildProgram("sallyport-plain", false)
	})
	builtTests = sync.OnceValues(func() (string, error) {
		if !run.WithRace() {
			return os.Executable()
		}
		return goBuild("pressure.test", ".", "test", "-c", "-vet=off")
	})
	builtH2spec = sync.OnceValues(func() (string, error) {
		return goBuild("h2spec", moduleRoot, "build", "-modfile=tools/h2spec/go.mod", "github.com/summerwind/h2spec/cmd/h2spec")
	})
)

// plainProgram names the program without the race detector to tests that were started by tests.
const plainProgram = "SALLYPORT_PRESSURE_PROGRAM"

func buildProgram(name string, race bool) (string, error) {
	path := filepath.Join(scratch, name)
	return path, run.Build(moduleRoot, path, race)
}

// goBuild runs the go command in a folder; the words go between "go build" and the like and the output file.
func goBuild(name, dir, verb string, words ...string) (string, error) {
	path := filepath.Join(scratch, name)
	cmd := exec.Command("go", append([]string{verb, "-o", path}, words...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// built returns the path of a program; the first call builds it.
func built(t testing.TB, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// runsElsewhere hands a test over to a build without the race detector, and reports whether it did. What counts memory
// and ten thousand connections would count the detector otherwise.
func runsElsewhere(t *testing.T) bool {
	t.Helper()
	if !run.WithRace() {
		return false
	}
	cmd := exec.CommandContext(t.Context(), built(t, builtTests), "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), plainProgram+"="+built(t, builtPlain))
	out, err := cmd.CombinedOutput()
	t.Logf("without the race detector:\n%s", strings.TrimSpace(string(out)))
	if err != nil {
		t.Errorf("%s: %v", cmd, err)
	}
	return true
}

// free gives out ports that no two tests get.
var free run.Ports
