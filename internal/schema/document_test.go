package schema_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v4"

	"sallyport/internal/config"
	"sallyport/internal/schema"
	"sallyport/internal/testpki"
)

// compiled returns the schema of this build, which is a schema itself.
func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:sallyport:configuration", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:sallyport:configuration")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// document is a text as an editor sees it: values of JSON, and where they stand.
type document struct {
	root   any // nil when the text is not YAML
	places map[place][]string
	values map[string]any // by pointer
}

type place struct{ line, column int }

// parse reads a text as YAML 1.2 with the core schema, as editors do.
func parse(text []byte) document {
	d := document{places: map[place][]string{}, values: map[string]any{}}
	var n yaml.Node
	if err := yaml.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &n); err != nil || len(n.Content) == 0 {
		return d
	}
	d.root = d.value(n.Content[0], "")
	return d
}

// value turns a node into a value of JSON. Pointers are those of RFC 6901 without its escapes: no key has a slash or tilde
// that matters here.
func (d *document) value(n *yaml.Node, pointer string) any {
	d.mark(n, pointer)
	var v any
	switch n.Kind {
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if n.Content[i].Kind != yaml.ScalarNode {
				key = "a key that is no text"
			}
			below := pointer + "/" + key
			d.mark(n.Content[i], below)
			object[key] = d.value(n.Content[i+1], below)
		}
		v = object
	case yaml.SequenceNode:
		list := []any{}
		for i, entry := range n.Content {
			list = append(list, d.value(entry, pointer+"/"+string(rune('0'+i/100%10))+string(rune('0'+i/10%10))+string(rune('0'+i%10))))
		}
		v = list
	default:
		v = scalar(n)
	}
	d.values[pointer] = v
	return v
}

func (d *document) mark(n *yaml.Node, pointer string) {
	at := place{n.Line, n.Column}
	d.places[at] = append(d.places[at], pointer)
}

func scalar(n *yaml.Node) any {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return n.Value
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return n.Value
	}
	switch v.(type) {
	case nil, bool, int, int64, uint64, float64:
		return v
	}
	return n.Value
}

// refusal is what the validator says against a value.
type refusal struct {
	message string
	unknown []string // the keys of a mapping that it should not have; nil when it is about something else
}

// refusals are what the schema refuses, by pointer.
func refusals(s *jsonschema.Schema, d document) map[string][]refusal {
	found := map[string][]refusal{}
	failed, ok := errors.AsType[*jsonschema.ValidationError](s.Validate(d.root))
	if !ok {
		return found
	}
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			pointer := ""
			for _, token := range e.InstanceLocation {
				if _, list := d.values[pointer].([]any); list {
					token = strings.Repeat("0", max(3-len(token), 0)) + token
				}
				pointer += "/" + token
			}
			r := refusal{message: e.Error()}
			if extra, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
				r.unknown = extra.Properties
			}
			found[pointer] = append(found[pointer], r)
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(failed)
	return found
}

// refusedAt reports whether the schema refuses what stands at a place: the value itself, something inside it, or, for a
// key, the mapping that it stands in, unless that is for the sake of other keys.
func (d *document) refusedAt(at place, refused map[string][]refusal) bool {
	for _, pointer := range d.places[at] {
		for r := range refused {
			if r == pointer || strings.HasPrefix(r, pointer+"/") {
				return true
			}
		}
		slash := max(strings.LastIndexByte(pointer, '/'), 0)
		above, key := pointer[:slash], pointer[min(slash+1, len(pointer)):]
		if _, inMapping := d.values[above].(map[string]any); !inMapping {
			continue
		}
		for _, r := range refused[above] {
			if r.unknown == nil || slices.Contains(r.unknown, key) {
				return true
			}
		}
	}
	return false
}

// folder is a place for documents with the files that those of the corpus name. Some of their certificates are not what
// their names say: no rule of the schema opens a file.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	pki := filepath.Join(dir, "pki")
	if err := os.Mkdir(pki, 0o700); err != nil {
		t.Fatal(err)
	}
	ca := testpki.NewCA(t, testpki.Options{})
	ca.Write(t, pki, "ca")
	ca.Write(t, dir, "partner-ca")
	ca.Write(t, dir, "backend-ca")
	leaf := func(in, name string) *testpki.Entity {
		e := ca.Leaf(t, testpki.Options{Hosts: []string{"localhost"}})
		e.Write(t, in, name)
		return e
	}
	for _, name := range []string{"server", "partner-a", "partner-b", "gateway-out", "weak"} {
		leaf(pki, name)
	}
	leaf(dir, "server")
	leaf(dir, "contractor")
	e := leaf(pki, "expired")
	e.Write(t, pki, "early")
	write(t, filepath.Join(pki, "readable.key"), e.KeyPEM())
	write(t, filepath.Join(pki, "ca.crl.pem"), nil)
	return dir
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// load gives a text to config.Load, as a file of its own in dir, and returns its errors.
func load(t testing.TB, dir string, text []byte) config.ErrorList {
	t.Helper()
	path := filepath.Join(dir, "document.yaml")
	write(t, path, text)
	_, err := config.Load(path, config.Options{Env: func(name string) (string, bool) {
		switch name {
		case "SCRIPT_API_KEY", "ACME_KEY":
			return "correct horse", true
		case "EMPTY":
			return " \n", true
		}
		return "", false
	}})
	list, ok := errors.AsType[config.ErrorList](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	return list
}
