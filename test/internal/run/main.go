package run

import (
	"fmt"
	"os"
	"testing"
)

// Tests runs the tests of a package, for its TestMain, and returns the exit code. While they run scratch is a folder for
// what they share, such as the program; it is removed afterwards.
func Tests(m *testing.M, scratch *string) int {
	dir, err := os.MkdirTemp("", "sallyport-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*scratch = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
