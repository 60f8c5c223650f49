package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v4"
)

// FuzzDefinition reads whatever comes as an OpenAPI description. Mistakes have a place and one line. What is read without one has
// to be what the readers of others find: nothing that they see may be overlooked.
func FuzzDefinition(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/openapi.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		l := &loader{doc: &Document{source: newSource(nil)}}
		d := l.readDefinition(l.doc.source.file("openapi"), data)
		if d.bad != (len(l.errs) > 0) {
			t.Fatalf("bad is %v with %d mistakes", d.bad, len(l.errs))
		}
		for _, e := range l.errs {
			if e.File == "" || e.Line < 1 || e.Column < 1 || e.Message == "" || strings.ContainsAny(e.Message+e.Suggestion, "\n\r") {
				t.Errorf("mistake without a place or on several lines: %#v", e)
			}
		}
		if d.bad {
			return
		}
		if (d.path.text == "") != (d.noPath != "" || d.path.at == nil) {
			t.Errorf("path %q at %v: %q", d.path.text, d.path.at, d.noPath)
		}
		if top := otherwise(data); top != nil {
			d.compare(t, top)
		}
	})
}

// otherwise reads a description as others do; nil where they cannot.
func otherwise(data []byte) (top map[string]any) {
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	if json.Unmarshal(data, &top) == nil {
		return top
	}
	top = nil
	if yaml.Unmarshal(data, &top) != nil {
		return nil
	}
	return top
}

// compare holds a definition against what another reader made of its text.
func (d *definition) compare(t *testing.T, top map[string]any) {
	t.Helper()
	mode, asked := top[wso2MutualSSL]
	if text, _ := mode.(string); asked != (d.mode() != "") || asked && strings.ToLower(text) != d.mutualSSL.text {
		t.Errorf("the mode is %q, and others read %v", d.mode(), mode)
	}
	transports, asked := top[wso2Transports]
	if asked != (d.transports != nil) {
		t.Errorf("transports at %v, and others read %v", d.transports, transports)
	}
	http, https := false, d.mutualSSL.text == "mandatory" && asked
	list, _ := transports.([]any)
	for _, entry := range list {
		text, _ := entry.(string)
		http, https = http || strings.EqualFold(text, "http"), https || strings.EqualFold(text, "https")
	}
	if http != d.http || https != d.https {
		t.Errorf("http %v, https %v, and others read %v", d.http, d.https, transports)
	}
	info, ok := top["info"].(map[string]any)
	if !ok && top["info"] != nil { // a key that is no text makes it another type
		return
	}
	for key, got := range map[string]string{"title": d.title.text, "version": d.version.text} {
		want, isText := info[key].(string)
		if isText && want != got || info[key] == nil && got != "" {
			t.Errorf("%s is %q, and others read %v", key, got, info[key])
		}
	}
}
