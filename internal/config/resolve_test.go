package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
)

func TestCertificatesCanStandInTheDocumentItself(t *testing.T) {
	t.Parallel()
	dir := pkiDir(t)
	ca, err := os.ReadFile(filepath.Join(dir, "pki", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block := strings.ReplaceAll(strings.TrimSpace(string(ca)), "\n", "\n          ")
	text := minimal + fmt.Sprintf(`  - {name: absolute, targets: ["http://127.0.0.1:1"]}
apis:
  - {name: a, upstream: echo, openapi: a.json, client_certificate: {mode: required, trust: [literal, text, mapping, absolute]}}
  - {name: b, upstream: echo, path: /b/, openapi: %[3]q}
users:
  - name: u
    provider: p
    certificates: [%[2]q]
identity_providers: [{name: p, type: internal}]
`, block, string(ca), filepath.Join(dir, "pki", "b.json"))
	for name, title := range map[string]string{"a.json": "other", filepath.Join("pki", "b.json"): "b"} {
		write(t, dir, name, `{"openapi": "3.0.0", "info": {"title": "`+title+`", "version": "1"}}`)
	}
	text = strings.Replace(text, "trust_stores:\n", fmt.Sprintf(`trust_stores:
  - name: literal
    anchors:
      - pem: |
          %[1]s
  - name: text
    anchors:
      - certificate: |
          %[1]s
  - {name: mapping, anchors: [{certificate: {pem: %[2]q}}]}
  - {name: absolute, anchors: [{file: %[3]q}]}
`, block, string(ca), filepath.Join(dir, "pki", "ca.pem")), 1)
	d, err := config.Load(write(t, dir, "sallyport.yaml", text), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.TrustStores {
		s := &d.TrustStores[i]
		if len(s.Anchors) != 1 || len(s.Anchors[0].Certificates) != 1 || s.Anchors[0].Certificates[0].Subject.CommonName != "Test CA" {
			t.Errorf("trust store %s: %+v", s.Name, s.Anchors)
		}
	}
	if len(d.Users[0].Certificates[0].Certificates) != 1 {
		t.Error("the user's certificate was not resolved")
	}
	if got := d.APIs[0].OpenAPI; got != filepath.Join(dir, "a.json") {
		t.Errorf("a relative path became %q", got)
	}
	if got := d.APIs[1].OpenAPI; got != filepath.Join(dir, "pki", "b.json") {
		t.Errorf("an absolute path became %q", got)
	}
	if d.Credentials[0].Resolved == nil || d.Credentials[0].Resolved.Leaf == nil {
		t.Error("the credential was not resolved")
	}
}

func TestPathsAreRelativeToTheFileThatNamesThem(t *testing.T) {
	dir := pkiDir(t)
	write(t, dir, "sallyport.yaml", minimal)
	t.Chdir(dir)
	for _, path := range []string{"sallyport.yaml", "./sallyport.yaml", "pki/../sallyport.yaml"} {
		if _, err := config.Load(path, config.Options{}); err != nil {
			t.Errorf("Load(%q) = %v", path, err)
		}
	}
	t.Chdir(t.TempDir())
	if _, err := config.Load(filepath.Join(dir, "sallyport.yaml"), config.Options{}); err != nil {
		t.Error(err)
	}
}

// Reading a named pipe would wait for a writer that never comes.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	t.Parallel()
	dir := pkiDir(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "pki", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(write(t, dir, "sallyport.yaml", strings.ReplaceAll(minimal, "pki/ca.pem", "pki/pipe")), config.Options{})
	if err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("Load() = %v", err)
	}
}

func TestTheEnvironmentIsTheProcessesUnlessSaidOtherwise(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_KEY", "from the process")
	text := minimal + "apis: [{name: a, upstream: echo}]\nkeys: [{name: k, apis: [a], secret: {env: SALLYPORT_TEST_KEY}}]\n"
	d, err := load(t, text, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(d.Keys[0].Secret.Reveal()); got != "from the process" {
		t.Errorf("secret = %q", got)
	}
	if _, err := load(t, text, config.Options{Env: func(string) (string, bool) { return "", false }}); err == nil {
		t.Error("a secret that is not set loads")
	}
}

func TestALongPathKeepsItsEndInMessages(t *testing.T) {
	t.Parallel()
	_, err := load(t, strings.ReplaceAll(minimal, "pki/ca.pem", strings.Repeat("folder/", 100)+"end.pem"), config.Options{})
	if err == nil || !strings.Contains(err.Error(), `folder/end.pem": no such file`) || len(err.Error()) > 600 {
		t.Errorf("Load() = %v", err)
	}
}

// A pipe in a configuration directory, or where a document should be, must not stop a gateway from starting or reloading.
func TestADirectoryIsReadFileByFile(t *testing.T) {
	t.Parallel()
	dir := pkiDir(t)
	write(t, dir, "10-base.yaml", minimal)
	for _, name := range []string{"20-pipe.yaml", "pki/pipe"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("pki/pipe", filepath.Join(dir, "30-link.yml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", filepath.Join(dir, "40-device.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("10-base.yaml", filepath.Join(dir, "notes.txt")); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(dir, config.Options{})
	want := []string{
		"20-pipe.yaml: is not a regular file, and a directory is read file by file",
		"30-link.yml: is not a regular file, and a directory is read file by file",
		"40-device.yaml: is not a regular file, and a directory is read file by file",
	}
	if diff := cmp.Diff(want, messages(err, dir)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

// What a shell calls <(…) and a named pipe that somebody opens later are documents as good as a file.
func TestADocumentCanComeThroughAPipe(t *testing.T) {
	t.Parallel()
	dir := pkiDir(t)
	path := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(minimal)
		}
		if err == nil {
			_, err = f.WriteString("log: {format: text}\n")
		}
		if err == nil {
			err = f.Close()
		}
		written <- err
	}()
	d, err := config.Load(path, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if len(d.Listeners) != 1 || d.Log.Format != "text" {
		t.Errorf("the document from the pipe is %+v", d)
	}
}
