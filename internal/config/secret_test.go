package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/config"
)

const withKeys = minimal + `apis:
  - {name: a, upstream: echo}
keys:
  - {name: env, apis: [a], secret: {env: KEY}}
  - {name: file, apis: [a], secret: {file: pki/secret}}
`

func loadSecrets(t *testing.T) *config.Document {
	t.Helper()
	dir := pkiDir(t)
	if err := os.WriteFile(filepath.Join(dir, "pki", "secret"), []byte("from the file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := config.Load(write(t, dir, "sallyport.yaml", withKeys), config.Options{Env: func(name string) (string, bool) {
		return "from the environment", name == "KEY"
	}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRevealReturnsACopyOfTheSecret(t *testing.T) {
	t.Parallel()
	d := loadSecrets(t)
	if got := string(d.Keys[0].Secret.Reveal()); got != "from the environment" {
		t.Errorf("Reveal() = %q", got)
	}
	if got := string(d.Keys[1].Secret.Reveal()); got != "from the file" {
		t.Errorf("Reveal() = %q; want the text without its line break", got)
	}
	clear(d.Keys[0].Secret.Reveal())
	if got := string(d.Keys[0].Secret.Reveal()); got != "from the environment" {
		t.Errorf("changing what Reveal returned changed the secret: %q", got)
	}
	var none *config.Secret
	if none.Reveal() != nil {
		t.Error("a nil secret reveals something")
	}
}

func TestASecretPrintsAsNothingElseWhateverFormatsIt(t *testing.T) {
	t.Parallel()
	d := loadSecrets(t)
	s := d.Keys[0].Secret
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T %v", "%10.3s"} {
		args := []any{s, *s}
		for _, a := range args {
			text := fmt.Sprintf(strings.Replace(verb, "%T ", "", 1), a)
			if leaks(text) {
				t.Errorf("%s of %T = %q", verb, a, text)
			}
			if verb != "%p" && text != "[secret]" {
				t.Errorf("%s of %T = %q; want [secret]", verb, a, text)
			}
		}
	}
	if s.String() != "[secret]" || s.GoString() != "[secret]" {
		t.Errorf("String() = %q, GoString() = %q", s.String(), s.GoString())
	}
	for _, v := range []any{s, *s, d.Keys[0], map[string]any{"x": s}} {
		out, err := json.Marshal(v)
		if err != nil || bytes.Contains(out, []byte("environment")) || !bytes.Contains(out, []byte("[secret]")) {
			t.Errorf("JSON of %T = %s, %v", v, out, err)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("secret", s), slog.Any("value", *s), slog.Any("key", d.Keys[0]))
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("secret", s), slog.Any("value", *s), slog.Any("key", d.Keys[0]))
	if strings.Contains(log.String(), "environment") {
		t.Errorf("the log holds the secret: %s", log.String())
	}
	private := struct{ secret config.Secret }{*s} // package fmt calls no methods of such fields
	if text := fmt.Sprintf("%+v %#v %v %+v %#v", d.Keys, d, private, private, private); leaks(text) {
		t.Error("printing the document prints the secret")
	}
}

// leaks reports whether a text holds the secret of the tests, as it is, in hex or as numbers.
func leaks(text string) bool {
	numbers := strings.Trim(fmt.Sprintf("%d", []byte("environment")), "[]")
	hexes := fmt.Sprintf("%#v", []byte("environment"))
	return strings.Contains(text, "environment") || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", "environment")) ||
		strings.Contains(text, numbers) || strings.Contains(text, hexes[len("[]byte{"):len(hexes)-1])
}
