package config_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
)

// contractDir returns a folder with the contract files and a pki folder made by openssl.
func contractDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob("testdata/contract/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no contract files: %v", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("bash", filepath.Join(dir, "make-pki.sh"), dir).CombinedOutput(); err != nil {
		t.Fatalf("make-pki.sh (needs bash and openssl): %v\n%s", err, out)
	}
	return dir
}

func contractEnv(name string) (string, bool) {
	if name == "SCRIPT_API_KEY" {
		return "correct horse", true
	}
	return "", false
}

func TestContractFilesLoadAsTheyAre(t *testing.T) {
	t.Parallel()
	dir := contractDir(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) != 9 {
		t.Fatalf("contract files: %v, %v; want 9", files, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			t.Parallel()
			d, err := config.Load(f, config.Options{Env: contractEnv})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range d.Notes() {
				t.Log(n)
			}
		})
	}
}

// minimal is a document that loads; tests add to it.
const minimal = `listeners:
  - {name: public, address: "127.0.0.1:8443", tls: {credentials: [server], client_auth: optional}}
credentials:
  - {name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: partners, anchors: [{file: pki/ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:18080"]}
`

func TestPositionsPointAtWhatTheFileSays(t *testing.T) {
	t.Parallel()
	d := mustLoad(t, `listeners:
  - name: public
    address: "127.0.0.1:8080"
    client_certificate:
      mode: none
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:1"]}
apis:
  - name: ünï
    path: /
    upstream: echo
    policy:
      - require_tls: {}
`)
	tests := []struct {
		name  string
		field any
		want  string
	}{
		{"a section stands at its key", &d.Listeners, "1:1"},
		{"a list element stands at its first key", &d.Listeners[0], "2:5"},
		{"a text stands where it begins, quotes included", &d.Listeners[0].Address, "3:14"},
		{"a mapping stands at its key", &d.Listeners[0].ClientCertificate, "4:5"},
		{"and so does what the pointer points to", d.Listeners[0].ClientCertificate, "4:5"},
		{"a nested text", &d.Listeners[0].ClientCertificate.Mode, "5:13"},
		{"an entry of a flow list", &d.Upstreams[0].Targets[0], "7:28"},
		{"a name that is not ASCII", &d.APIs[0].Name, "9:11"},
		{"a list stands at its key", &d.APIs[0].Policy, "12:5"},
		{"a step", &d.APIs[0].Policy[0], "13:9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := d.Position(tt.field)
			if got := p.String(); filepath.Base(p.File) != "sallyport.yaml" || !strings.HasSuffix(got, "sallyport.yaml:"+tt.want) {
				t.Errorf("Position() = %s; want line and column %s", got, tt.want)
			}
		})
	}
	for name, field := range map[string]any{
		"what is absent": &d.APIs[0].Hosts, "another document's": &config.API{}, "nil": nil, "no pointer": d.APIs[0].Name,
	} {
		if p := d.Position(field); !p.IsZero() || p.String() != "" {
			t.Errorf("Position(%s) = %v; want none", name, p)
		}
	}
}

func TestADirectoryIsOneDocument(t *testing.T) {
	t.Parallel()
	dir := pkiDir(t)
	write(t, dir, "10-base.yaml", minimal)
	write(t, dir, "20-a.yml", "apis:\n  - {name: a, path: /a/, upstream: echo}\n")
	write(t, dir, "30-b.yaml", "apis:\n  - {name: b, path: /b/, upstream: echo}\nlog: {format: text}\n")
	write(t, dir, ".hidden.yaml", "nonsense")
	write(t, dir, "README.md", "nonsense")
	if err := os.Mkdir(filepath.Join(dir, "sub.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := config.Load(dir, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.APIs) != 2 || d.APIs[0].Name != "a" || d.APIs[1].Name != "b" || d.Log.Format != "text" {
		t.Errorf("APIs = %+v, log = %+v", d.APIs, d.Log)
	}
	if got := d.Position(&d.APIs[1]).String(); got != filepath.Join(dir, "30-b.yaml")+":2:5" {
		t.Errorf("the second API stands at %s", got)
	}
	var files []string
	for _, f := range d.Files() {
		rel, err := filepath.Rel(dir, f)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, rel)
	}
	want := []string{".", "10-base.yaml", "20-a.yml", "30-b.yaml", "pki/server.pem", "pki/server.key", "pki/ca.pem"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("Files() (-want +got):\n%s", diff)
	}
	notes := d.Notes()
	if len(notes) != 1 || !strings.Contains(notes[0].String(), "README.md: ignored") {
		t.Errorf("Notes() = %v; want one about README.md", notes)
	}
}

func TestFilesOfADirectoryMustAgree(t *testing.T) {
	t.Parallel()
	dir := pkiDir(t)
	write(t, dir, "a.yaml", minimal+"log: {format: text}\nclient_certificate: {mode: none}\n")
	write(t, dir, "b.yaml", "log: {format: json}\nclient_certificate: {mode: none}\nupstreams:\n  - {name: echo, targets: [\"http://127.0.0.1:2\"]}\n")
	write(t, dir, "c.yaml", "apis: {\n")
	_, err := config.Load(dir, config.Options{})
	want := []string{
		"b.yaml:1:1: log is already given at a.yaml:9:1: only lists can be spread over files",
		"b.yaml:2:1: client_certificate is already given at a.yaml:10:1: only lists can be spread over files",
		`b.yaml:4:12: the upstream "echo" is already defined at a.yaml:8:12`,
		"c.yaml:2:1: the text is not YAML: did not find expected node content",
	}
	if diff := cmp.Diff(want, messages(err, dir)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

// messages are the lines of an error without the folder's name.
func messages(err error, dir string) []string {
	if err == nil {
		return nil
	}
	return strings.Split(strings.ReplaceAll(err.Error(), dir+"/", ""), "\n")
}

func TestWhatCannotBeReadIsNotADocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Mkdir(dangling, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dangling, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 64<<20+1); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path, want string
		isList           bool
	}{
		{"a path to nothing", filepath.Join(dir, "none.yaml"), "load configuration: stat ", false},
		{"a folder without configuration", empty, "holds no *.yaml or *.yml file", true},
		{"a folder with a link to nothing", dangling, "load configuration: stat ", false},
		{"a file above the limit", large, "larger than 64 MiB", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := config.Load(tt.path, config.Options{})
			if err == nil || d != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Load() = %v, %v; want an error with %q", d, err, tt.want)
			}
			if _, ok := errors.AsType[config.ErrorList](err); ok != tt.isList {
				t.Errorf("the error is %T; a list of mistakes: %t", err, tt.isList)
			}
		})
	}
}

func TestErrorListGivesEveryMistakeAsAnError(t *testing.T) {
	t.Parallel()
	_, err := load(t, minimal+"apis:\n  - {name: a, upstream: ecko}\n  - {name: a, upstream: echo, path: /b/}\n", config.Options{})
	one, ok := errors.AsType[config.Error](err)
	if !ok || one.Kind != config.Broken || one.Line != 10 || one.Column != 25 || one.Suggestion != "echo" {
		t.Errorf("first error = %#v, %t", one, ok)
	}
	list, ok := errors.AsType[config.ErrorList](err)
	if !ok || len(list) != 2 || list[1].Kind != config.Shape || list[1].Kind.String() != "shape" || list[0].Kind.String() != "broken" {
		t.Errorf("list = %#v", list)
	}
}

func TestPositionTextLeavesOutWhatIsUnknown(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]config.Position{
		"":      {},
		"f":     {File: "f"},
		"f:3":   {File: "f", Line: 3},
		"f:3:4": {File: "f", Line: 3, Column: 4},
	} {
		if got := p.String(); got != want {
			t.Errorf("String() = %q; want %q", got, want)
		}
	}
	if got := (config.Note{Message: "m"}).String(); got != "m" {
		t.Errorf("a note without position = %q", got)
	}
	if got := (config.Error{Message: "m", Suggestion: "s"}).Error(); got != `m (did you mean "s"?)` {
		t.Errorf("an error without position = %q", got)
	}
}

func TestNestingHasALimit(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[{choose: [{then: ", 60) + "x" + strings.Repeat("}]}]", 60)
	_, err := load(t, minimal+"apis:\n  - {name: a, upstream: echo, policy: "+deep+"}\n", config.Options{})
	if err == nil || !strings.Contains(err.Error(), "nested more than 100 deep") {
		t.Errorf("Load() = %v", err)
	}
	_, err = load(t, strings.Repeat("[", 1_000_000), config.Options{})
	if err == nil || !strings.Contains(err.Error(), "not YAML") {
		t.Errorf("Load() of a million brackets = %v", err)
	}
}
