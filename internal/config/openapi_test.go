package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
)

// asked is what a document says in the end about an API.
type asked struct {
	Name, Version, Path string
	Mode                config.Mode
	Listeners           []string
	TLSOnly             bool
}

// described loads the document with good definitions from the folder that it returns.
func described(t *testing.T) (*config.Document, string) {
	t.Helper()
	dir := corpusDir(t)
	text, err := os.ReadFile("testdata/openapi.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := config.Load(write(t, dir, "sallyport.yaml", string(text)), config.Options{Env: corpusEnv})
	if err != nil {
		t.Fatal(err)
	}
	return d, dir
}

func TestAnOpenAPIDescriptionSaysWhatTheDocumentLeavesOut(t *testing.T) {
	t.Parallel()
	d, _ := described(t)
	var got []asked
	for i := range d.APIs {
		a := &d.APIs[i]
		got = append(got, asked{a.Name, a.Version, a.Prefix.String(), d.Rules(nil, a).Mode, a.Listeners, a.TLSOnly})
	}
	want := []asked{
		{"Swagger Petstore", "1.0.5", "/petstore/1.0.5/", config.ModeRequired, nil, true},
		{"Optional", "1.0", "/optional/v1/", config.ModeOptional, nil, false},
		{"Plain 😀", "2", "/plain/", config.ModeNone, []string{"plain"}, false},
		{"Both", "1", "/both/1/", config.ModeRequired, nil, false},
		{"Nothing", "1", "/", config.ModeNone, nil, false},
		{"mine", "2", "/mine/", config.ModeNone, []string{"plain", "public"}, false},
		{"also-mine", "2", "/also/", config.ModeNone, []string{"public"}, false},
		{"Relative", "1", "/relative/", config.ModeNone, nil, false},
		{"Host", "1", "/", config.ModeNone, nil, false},
		{"titled", "1", "/untitled/", config.ModeNone, nil, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is asked (-want +got):\n%s", diff)
	}
}

func TestWhatADescriptionSaysStandsThere(t *testing.T) {
	t.Parallel()
	d, dir := described(t)
	petstore, plain := &d.APIs[0], &d.APIs[2]
	for what, tt := range map[string]struct {
		field any
		want  string
	}{
		"the name":               {&petstore.Name, "petstore.yaml:3:10"},
		"the version":            {&petstore.Version, "petstore.yaml:4:12"},
		"the path":               {&petstore.Path, "petstore.yaml:6:11"},
		"the mode":               {&petstore.ClientCertificate.Mode, "petstore.yaml:7:20"},
		"TLS alone":              {&petstore.TLSOnly, "petstore.yaml:8:1"},
		"a name in JSON":         {&plain.Name, "plain.json:3:20"},
		"a version behind a 😀":   {&plain.Version, "plain.json:3:53"},
		"a listener":             {&plain.Listeners[0], "plain.json:5:2"},
		"a path of OpenAPI 3":    {&plain.Path, "plain.json:4:22"},
		"what the document says": {&d.APIs[5].Version, "sallyport.yaml:17:27"},
	} {
		at := d.Position(tt.field).String()
		if got := strings.TrimPrefix(strings.TrimPrefix(at, dir+"/"), "api/"); got != tt.want {
			t.Errorf("%s stands at %s, want %s", what, got, tt.want)
		}
	}
	for _, name := range []string{"petstore.yaml", "plain.json"} {
		if !slices.Contains(d.Files(), filepath.Join(dir, "api", name)) {
			t.Errorf("%s is not among the files to watch", name)
		}
	}
}

// TestABrokenDescriptionIsNeverTolerated: an API of which only a part is known could own less than was written, and a laxer
// API would answer what it does not own.
func TestABrokenDescriptionIsNeverTolerated(t *testing.T) {
	t.Parallel()
	dir := corpusDir(t)
	for name, tt := range map[string]struct{ text, want string }{
		"a file that is not there": {"", "no such file"},
		"a file that is too large": {`{"openapi": "3.0.0", "info": {"title": "a", "version": "1"}}` + strings.Repeat(" ", 4<<20), "larger than 4 MiB"},
		"a value that is none":     {`{"openapi": "3.0.0", "info": {"title": "a", "version": "1"}, "x-wso2-mutual-ssl": "no"}`, "only optional and mandatory"},
		"a text that is not UTF-8": {"openapi: 3.0.0\ninfo: {title: \xff}\n", "not UTF-8"},
	} {
		file := strings.ReplaceAll(name, " ", "-") + ".json"
		if tt.text != "" {
			write(t, dir, file, tt.text)
		}
		var seen []string
		_, err := config.Load(write(t, dir, file+".yaml", minimal+"apis:\n  - {name: a, upstream: echo, openapi: "+file+"}\n"), config.Options{
			ServePartial: true, Seen: func(path string) { seen = append(seen, path) },
		})
		list, _ := errors.AsType[config.ErrorList](err)
		if len(list) != 1 || !strings.Contains(list[0].Message, tt.want) || list[0].Kind != config.Shape {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Contains(seen, filepath.Join(dir, file)) {
			t.Errorf("%s: nobody watches the file", name)
		}
	}
}

// TestADescriptionNeverAsksForLess than what the API would inherit: whoever writes the description could open what the document
// requires a certificate for.
func TestADescriptionNeverAsksForLess(t *testing.T) {
	t.Parallel()
	const open, strict = "", "client_certificate: {mode: required, trust: [partners]}"
	for name, c := range map[string]struct{ gateway, listener, api, want string }{
		"nobody requires":             {"client_certificate: {trust: [partners]}", open, "", ""},
		"the gateway requires":        {strict, open, "", "mode required of the gateway"},
		"the listener requires":       {open, ", " + strict, "", `mode required of the listener "public"`},
		"the listener takes it back":  {strict, ", client_certificate: {mode: optional}", "", ""},
		"the listener inherits it":    {strict, ", client_certificate: {mode: inherit}", "", "mode required of the gateway"},
		"the API says it itself":      {strict, open, ", client_certificate: {mode: optional}", ""},
		"the API says something else": {strict, open, `, client_certificate: {allow: [{common_name: a}]}`, "mode required of the gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := corpusDir(t)
			write(t, dir, "api.yaml", "swagger: '2.0'\ninfo: {title: a, version: '1'}\nbasePath: /a\nx-wso2-mutual-ssl: optional\n")
			text := strings.Replace(minimal, "client_auth: optional}", "client_auth: optional}"+c.listener, 1)
			_, err := config.Load(write(t, dir, "site.yaml", c.gateway+"\n"+text+"apis:\n  - {upstream: echo, openapi: api.yaml"+c.api+"}\n"), config.Options{})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), "api.yaml:4:20: x-wso2-mutual-ssl: optional asks for less than "+c.want)):
				t.Errorf("%v", err)
			}
		})
	}
}
