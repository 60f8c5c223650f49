package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"sallyport/internal/config"
	"sallyport/internal/schema"
)

// strange are values that stand in for others, as YAML.
var strange = []string{
	"true", "7", "word", `"7"`, `""`, "null", "[]", "[word]", "[[word]]", "{}", "{word: word}", "[{word: word}]", "[inherit]",
}

// words are more of them, for what is no list and no mapping.
var words = []string{
	"True", "0", "1.5", "0s", "-5s", "+1m.5h", "64KiB", "0KiB", "unlimited", "inherit", "1.20", "10.0.0.0/8", `"{{named.nobody}}"`, "0x10",
}

// numbers are the edges of every range, and what lies beyond.
var numbers = []string{
	"-1", "0", "1", "2", "100", "101", "199", "200", "399", "400", "599", "600", "1023", "1024", "10000", "10001", "100000", "100001", "1000000", "1000001",
	"1048576", "1048577", "1073741824", "1073741825",
}

// mutant is a document that was good until one place of it changed.
type mutant struct {
	name string
	text []byte
}

// breeder makes mutants. It changes places that have the same keys above them only once, in whatever document.
type breeder struct {
	t       testing.TB
	root    *yaml.Node
	seen    map[string]bool
	samples map[string]*yaml.Node      // a good value of a key, by its path
	keys    map[string]map[string]bool // the keys below a path
	use     func(m mutant)
}

var inList = regexp.MustCompile(`\[\d+\]`)

// shared are the forms that are the same wherever they stand.
var shared = regexp.MustCompile(`^.*?\.(proxy_certificate\.allow|allow|deny|forward|errors|certificate|private_key|secret|password|pkcs12|jks|respond|on_failure)\b`)

// try hands over the document as it is now.
func (b *breeder) try(path, change string) {
	name := shared.ReplaceAllString(inList.ReplaceAllString(path, "[]"), "….$1") + " " + change
	if b.seen[name] {
		return
	}
	b.seen[name] = true
	text, err := yaml.Marshal(b.root)
	if err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	b.use(mutant{name, text})
}

// learn remembers which keys there are and a value of each.
func (b *breeder) learn(n *yaml.Node, path string) {
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			b.learn(c, path+"[]")
		case i%2 == 1:
			key := n.Content[i-1].Value
			below := path + "." + key
			if b.keys[path] == nil {
				b.keys[path] = map[string]bool{}
			}
			b.keys[path][key] = true
			if b.samples[below] == nil {
				b.samples[below] = c
			}
			b.learn(c, below)
		}
	}
}

// breed changes every place at and below n, one at a time.
func (b *breeder) breed(n *yaml.Node, path string) {
	switch n.Kind {
	case yaml.MappingNode:
		b.mapping(n, path)
	case yaml.SequenceNode:
		for i := range n.Content {
			b.replace(&n.Content[i], fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

func (b *breeder) mapping(n *yaml.Node, path string) {
	shape := inList.ReplaceAllString(path, "[]")
	whole := n.Content
	given := map[string]bool{}
	for i := 0; i < len(whole); i += 2 {
		key := whole[i].Value
		given[key] = true
		below := path + "." + key
		n.Content = slices.Delete(slices.Clone(whole), i, i+2)
		b.try(below, "is gone")
		n.Content = whole
		whole[i].Value = key + "x"
		b.try(below, "is misspelt")
		whole[i].Value = key
		b.replace(&whole[i+1], below)
	}
	for _, key := range slices.Sorted(maps.Keys(b.keys[shape])) {
		if !given[key] {
			n.Content = append(slices.Clone(whole), &yaml.Node{Kind: yaml.ScalarNode, Value: key}, b.samples[shape+"."+key])
			b.try(path+" with "+strings.Join(slices.Sorted(maps.Keys(given)), " "), "has "+key+" as well")
		}
	}
	n.Content = whole
}

func (b *breeder) replace(at **yaml.Node, path string) {
	good := *at
	values := strange
	switch {
	case good.Kind != yaml.ScalarNode:
	case good.Tag == "!!int":
		values = slices.Concat(strange, words, numbers)
	default:
		values = slices.Concat(strange, words)
	}
	for _, text := range values {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			b.t.Fatal(err)
		}
		*at = n.Content[0]
		b.try(path, "is "+text)
	}
	*at = good
	b.breed(good, path)
}

// apart returns a document for each entry of each section: small ones are changed faster. What they refer to is not there,
// which the program says besides, and which is nothing to the schema.
func apart(root *yaml.Node) (list []*yaml.Node) {
	for i := 0; i < len(root.Content); i += 2 {
		key, section := root.Content[i], root.Content[i+1]
		values := []*yaml.Node{section}
		if section.Kind == yaml.SequenceNode {
			values = nil
			for _, entry := range section.Content {
				values = append(values, &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{entry}})
			}
		}
		for _, v := range values {
			list = append(list, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key.Value}, v}})
		}
	}
	return list
}

// TestTheSchemaAgreesWithTheProgramAboutEveryChange changes good documents, one place at a time. What the schema refuses
// the program has to refuse at that very place, and what the program refuses for a reason that the schema knows the schema
// has to refuse there, too.
func TestTheSchemaAgreesWithTheProgramAboutEveryChange(t *testing.T) {
	t.Parallel()
	dir, s, all := folder(t), compiled(t), rules()
	tried, refusedByBoth := 0, 0
	b := &breeder{t: t, seen: map[string]bool{}, samples: map[string]*yaml.Node{}, keys: map[string]map[string]bool{}}
	b.use = func(m mutant) {
		tried++
		d, list := parse(m.text), load(t, dir, m.text)
		if d.root == nil {
			t.Errorf("%s is no YAML any more:\n%s", m.name, m.text)
			return
		}
		refused := refusals(s, d)
		found := complain(list, d, refused, all)
		known := slices.ContainsFunc(list, func(e config.Error) bool {
			return d.refusedAt(place{e.Line, e.Column}, refused)
		})
		if len(refused) > 0 && !known {
			found = append(found, fmt.Sprintf("the schema alone refuses it: %v; the program says: %v", refused, list))
		}
		if len(refused) > 0 {
			refusedByBoth++
		}
		if len(found) > 0 {
			t.Errorf("%s: %s", m.name, strings.Join(found, "\n\t"))
		}
	}
	texts := corpus(t)
	names := slices.Sorted(maps.Keys(texts))
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, ".bad.yaml") })
	roots := map[string]*yaml.Node{}
	for _, name := range names {
		var n yaml.Node
		if err := yaml.Unmarshal(texts[name], &n); err != nil {
			t.Fatal(err)
		}
		roots[name] = n.Content[0]
		b.learn(n.Content[0], "")
	}
	for _, name := range names {
		for _, alone := range apart(roots[name]) {
			b.root = alone
			b.breed(alone, "")
		}
	}
	if tried < 5000 || refusedByBoth < 2000 {
		t.Errorf("%d changes, %d of them refused: too few to mean anything", tried, refusedByBoth)
	}
	t.Logf("%d changes, %d of them refused by both", tried, refusedByBoth)
}

// TestTheCorpusHasEveryKey keeps the tests above honest: a key that no good document has is not looked at by any.
func TestTheCorpusHasEveryKey(t *testing.T) {
	t.Parallel()
	var root map[string]any
	if err := json.Unmarshal([]byte(schema.JSON()), &root); err != nil {
		t.Fatal(err)
	}
	c := coverage{defs: root["$defs"].(map[string]any), met: map[string]bool{}}
	for name, text := range corpus(t) {
		if !strings.HasSuffix(name, ".bad.yaml") {
			c.walk("", root, parse(text).root)
		}
	}
	count := 0
	for name, def := range c.defs {
		properties, _ := def.(map[string]any)["properties"].(map[string]any)
		for key := range properties {
			if count++; !c.met[name+"."+key] {
				t.Errorf("no good document has the key %s of %s: write it into testdata/every-key.yaml", key, name)
			}
		}
	}
	for key := range root["properties"].(map[string]any) {
		if !c.met["."+key] {
			t.Errorf("no good document has the section %s", key)
		}
	}
	if count < 150 {
		t.Errorf("the schema has %d keys", count)
	}
}

// coverage is which keys of which definitions documents have.
type coverage struct {
	defs map[string]any
	met  map[string]bool
}

func (c *coverage) walk(def string, n map[string]any, v any) {
	if name, ok := n["$ref"].(string); ok {
		def = strings.TrimPrefix(name, "#/$defs/")
		c.walk(def, c.defs[def].(map[string]any), v)
	}
	for _, keyword := range []string{"anyOf", "oneOf"} {
		branches, _ := n[keyword].([]any)
		for _, b := range branches {
			c.walk(def, b.(map[string]any), v)
		}
	}
	switch v := v.(type) {
	case []any:
		if items, ok := n["items"].(map[string]any); ok {
			for _, entry := range v {
				c.walk(def, items, entry)
			}
		}
	case map[string]any:
		properties, _ := n["properties"].(map[string]any)
		for key, below := range v {
			if p, ok := properties[key].(map[string]any); ok {
				c.met[def+"."+key] = true
				c.walk(def, p, below)
			}
		}
	}
}
