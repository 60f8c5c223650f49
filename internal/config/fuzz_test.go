package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/config"
)

// FuzzDecode loads whatever comes: it must neither panic nor hang, an error must be a list of positioned lines, and a
// document that loads must be one that can be asked for everything.
func FuzzDecode(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	contract, err := filepath.Glob("testdata/contract/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(seeds, contract...) {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	dir := pkiDir(f)
	path := filepath.Join(dir, "fuzz.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, partial := range []bool{false, true} {
			d, err := config.Load(path, config.Options{Env: contractEnv, ServePartial: partial})
			if (d == nil) == (err == nil) {
				t.Fatalf("Load() = %v, %v", d, err)
			}
			if err != nil {
				checkErrors(t, err)
				continue
			}
			if s := d.Shutdown.Bounds(); s.Delay < 0 || s.Drain <= 0 {
				t.Errorf("shutdown of a document that loads: %+v", s)
			}
			for l := range d.Listeners {
				if problem := contradiction(d.Listeners[l].Bounds()); problem != "" {
					t.Errorf("bounds of a document that loads: %s: %+v", problem, d.Listeners[l].Bounds())
				}
				for a := range d.APIs {
					if b := d.RequestBounds(&d.Listeners[l], &d.APIs[a]); b.MaxBody < 0 || b.MinBodyRate < 0 || b.StreamIdle <= 0 {
						t.Errorf("request bounds of a document that loads: %+v", b)
					}
					r := d.Rules(&d.Listeners[l], &d.APIs[a])
					if r.Mode == "" || r.Mode == config.ModeInherit || r.Trust != nil && len(r.Trust) == 0 || r.Allow != nil && len(r.Allow) == 0 {
						t.Errorf("rules of a document that loads: %+v", r)
					}
				}
			}
		}
	})
}

func checkErrors(t *testing.T, err error) {
	t.Helper()
	list, ok := errors.AsType[config.ErrorList](err)
	if !ok || len(list) == 0 {
		t.Fatalf("%T without mistakes: %v", err, err)
	}
	for _, e := range list {
		if e.Line < 1 || e.Column < 1 || e.File == "" || e.Message == "" || strings.ContainsAny(e.Message+e.Suggestion, "\n\r") {
			t.Errorf("error without a place or on several lines: %#v", e)
		}
	}
}

// staysInside reports whether a value that is put behind the last key of a text is that key's value as a whole: one line,
// or a block whose lines are further in than the key.
func staysInside(text, value string) bool {
	first, rest, more := strings.Cut(value, "\n")
	if !more {
		return true
	}
	if !strings.HasPrefix(first, "|") {
		return false
	}
	key := text[strings.LastIndexByte(text, '\n')+1:]
	inside := key[:len(key)-len(strings.TrimLeft(key, " "))] + " "
	for line := range strings.SplitSeq(rest, "\n") {
		if strings.TrimLeft(line, " ") != "" && !strings.HasPrefix(line, inside) {
			return false
		}
	}
	return true
}

// FuzzSecretsStaySecret puts a marker where a secret stands, in whatever spelling of YAML: no error, note or text of the
// document may hold it.
func FuzzSecretsStaySecret(f *testing.F) {
	for _, seed := range []string{
		"M", "{env: M}", "{file: M}", "{env: [M]}", "{M: x}", "{M}", "[M]", "!M x", "!!M x", "&M x", "*M", "{{M}}", `"M\q"`, "{env: \"{{named.M}}\"}",
		"{env: M, env: M}", "|\n      M\n", "|\n        M\n        M: M\n", "{? M : x}", "{? [M] : x}", "{env: &M x}", "{file: *M}", "{env: M", "'M", "@M", "`M", "%M", "{env: !M x}", "- M", "M: M: M", "{file: M/M}", "{file: ./M.pem}", "{env: \"{{M\"}", "{env: \"{{M}}\"}", "{file: \"{{ named.M }\"}", "{env: {M: M}}", "{<<: M}",
	} {
		f.Add(seed)
	}
	dir := pkiDir(f)
	path := filepath.Join(dir, "fuzz.yaml")
	// Long enough to look like a key: what looks like the name of a variable or a file is shown. Messages shorten what they
	// quote, so what they must not hold is how the marker begins.
	const beginning = "Zq7Marker"
	marker := beginning + strings.Repeat("0aB1cD2eF", 8)
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.ReplaceAll(value, "M", marker)
		if len(value) > 4096 || !strings.Contains(value, marker) {
			return
		}
		for _, place := range []string{
			"keys:\n  - name: k\n    apis: [a]\n    secret: ", "credentials:\n  - name: c\n    certificate: {file: pki/server.pem}\n    private_key: ",
			"credentials:\n  - name: c\n    pkcs12:\n      file: x\n      password: ", "credentials:\n  - name: c\n    pkcs12:\n      file: pki/server.p12\n      password: ",
			"trust_stores:\n  - name: t\n    anchors:\n      - certificate:\n          pkcs12: pki/truststore.p12\n          alias: a\n          password: ",
		} {
			if !staysInside(place, value) {
				continue
			}
			if err := os.WriteFile(path, []byte("listeners: [{name: l, address: \":1\"}]\n"+place+value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := config.Load(path, config.Options{Env: func(string) (string, bool) { return marker, true }, ServePartial: true})
			if err != nil && strings.Contains(err.Error(), beginning) {
				t.Errorf("%s%s\nthe error holds the secret: %v", place, value, err)
			}
			if d == nil {
				continue
			}
			for _, n := range d.Notes() {
				if strings.Contains(n.String(), beginning) {
					t.Errorf("%s%s\na note holds the secret: %v", place, value, n)
				}
			}
		}
	})
}
