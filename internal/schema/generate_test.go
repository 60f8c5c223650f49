package schema_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/schema"
)

var update = flag.Bool("update", false, "write what is generated")

// root is the folder of go.mod.
const root = "../.."

func TestWhatIsCommittedIsWhatTheTypesSayNow(t *testing.T) {
	t.Parallel()
	files, err := schema.Generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the types of package config say now: run make generate, and look at the difference", name)
		}
	}
}
