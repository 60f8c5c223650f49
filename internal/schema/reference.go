package schema

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"sallyport/internal/config"
)

const referenceHead = `# Configuration

<!-- Made by "make generate" from the types of internal/config and their comments: change those. -->

Every key of the document. ` + "`sallyport validate --config F`" + ` says what is wrong with one, all at once, with file, line, column and a
suggestion; a key that is not here is an error. How the parts work together is in [architecture.md](architecture.md), what is
answered beyond a limit in [limits.md](limits.md).

## In an editor

` + "`sallyport schema`" + ` prints a JSON Schema (draft 2020-12) of this very build. Editors complete, explain and check keys with it:

` + "```sh\nsallyport schema > sallyport.schema.json\n```" + `

` + "```yaml\n# yaml-language-server: $schema=sallyport.schema.json\nlisteners:\n  - name: public\n```" + `

The first line is for editors with yaml-language-server: VS Code with the YAML extension, Neovim, Helix, Emacs. IDEs of
JetBrains take it as well. The path is relative to the document. Instead of the line, a setting can name the schema for all
documents, in VS Code ` + "`\"yaml.schemas\": {\"sallyport.schema.json\": \"sallyport*.yaml\"}`" + `.

The schema looks at one mapping at a time. It never refuses what the program accepts; names that refer to nothing, keys that
contradict each other and files are for ` + "`validate`" + `.

## How values are written

| Value | How |
|---|---|
| text | With or without quotes; ` + "`version: 1.0` is the text 1.0" + `. An empty text is an error, unless the key says otherwise. |
| number | A whole number, without quotes. |
| true or false | These two words, without quotes. |
| time | A number with a unit: ` + "`250ms`, `5s`, `2m`, `1h30m`" + `. |
| size | A number of bytes, or of KiB, MiB or GiB: ` + "`500`, `64KiB`, `1GiB`" + `. |
| network | ` + "`10.0.0.0/8`, `2001:db8::/32`" + `. |
| day or moment | ` + "`2027-03-14`, `2027-03-14T18:00:00Z`" + ` (RFC 3339). |
| list | Never empty, and in brackets or with dashes also where it has one entry. |
| path | Relative to the file that names it. |

Texts, numbers and all other single values can be named values, in quotes: ` + "`\"{{named.x}}\"`" + ` (see
[named_values](#named_values)). YAML's anchors, aliases, merge keys and tags are errors. ` + "`--config`" + ` takes one file, or a folder:
its ` + "`*.yaml` and `*.yml`" + ` files are one document, lists are joined, any other section stands in one file.

A key without a default may be left out and means what its description says.
`

// reference returns docs/configuration.md.
func (m *model) reference(root string) ([]byte, error) {
	examples, err := readExamples(root)
	if err != nil {
		return nil, err
	}
	document := m.objects[0]
	w := &writer{model: m, titles: map[reflect.Type]string{}, anchors: map[reflect.Type]string{}}
	w.nameObjects()
	w.WriteString(referenceHead + "\n## Sections\n\n" + document.doc + "\n\n| Section | What it holds |\n|---|---|\n")
	for i := range document.keys {
		k := &document.keys[i]
		fmt.Fprintf(w, "| [%s](#%s) | %s |\n", k.name, k.name, cell(k.doc, k.notRun()))
	}
	done := map[*object]bool{document: true}
	for i := range document.keys {
		k := &document.keys[i]
		fmt.Fprintf(w, "\n## %s\n\n%s\n", k.name, strings.TrimSpace(k.doc+" "+k.notRun()))
		example, ok := examples[k.name]
		if !ok {
			return nil, fmt.Errorf("%s has no section %s", exampleFile, k.name)
		}
		fmt.Fprintf(w, "\n```yaml\n%s```\n", example)
		if o := m.byType[k.value()]; o != nil {
			if about := aboutEntries(k, o); about != k.doc {
				fmt.Fprintf(w, "\n%s\n", about)
			}
			w.keys(o)
			done[o] = true
			w.below(o, done)
		}
	}
	w.WriteString("\n## Shared forms\n\nWhat several sections have in common.\n")
	for _, o := range m.objects {
		if w.shared(o) && !done[o] {
			w.object(o, done)
		}
	}
	return w.Bytes(), nil
}

// aboutEntries says what the mapping of a section is.
func aboutEntries(k *key, o *object) string {
	if !k.isList() {
		return o.doc
	}
	return "An entry is " + strings.ToLower(o.doc[:1]) + o.doc[1:]
}

// writer writes the reference.
type writer struct {
	bytes.Buffer
	model   *model
	titles  map[reflect.Type]string // what an object's heading says
	anchors map[reflect.Type]string // the link to it; "" where it has no heading
}

// sectionsOf returns the sections below which an object is met. What lies below another section is that one's.
func (w *writer) sectionsOf(o *object, seen map[*object]bool) (found []string) {
	if seen[o] {
		return nil
	}
	seen[o] = true
	for _, u := range o.uses {
		if u.in == w.model.objects[0] {
			return []string{strings.TrimSuffix(u.key, "[]")}
		}
	}
	for _, u := range o.uses {
		found = append(found, w.sectionsOf(u.in, seen)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (w *writer) shared(o *object) bool { return len(w.sectionsOf(o, map[*object]bool{})) > 1 }

// nameObjects gives every object that has keys a heading: its path, or its name where it is met in several sections.
func (w *writer) nameObjects() {
	for _, o := range w.model.objects[1:] {
		if len(o.keys) == 0 {
			continue
		}
		var title string
		switch {
		case w.shared(o):
			title = spaced(o.of.Name())
		case o.uses[0].in == w.model.objects[0]:
			title = strings.TrimSuffix(o.uses[0].key, "[]")
		default:
			var paths []string
			for _, u := range o.uses {
				above := w.titles[u.in.of]
				if above == "" { // of what comes later, which is where it stands again
					continue
				}
				if isSectionList(w.model, u.in) {
					above += "[]"
				}
				paths = append(paths, above+"."+u.key)
			}
			title = strings.Join(paths, ", ")
		}
		w.titles[o.of] = title
		w.anchors[o.of] = strings.Map(anchorRune, strings.ToLower(title))
	}
}

func isSectionList(m *model, o *object) bool {
	return slices.ContainsFunc(o.uses, func(u use) bool { return u.in == m.objects[0] && strings.HasSuffix(u.key, "[]") })
}

// anchorRune is what becomes of a character of a heading in the link to it.
func anchorRune(r rune) rune {
	switch {
	case r == ' ':
		return '-'
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
		return r
	}
	return -1
}

// spaced turns the name of a type into words: "CertificateRef" is "Certificate ref".
func spaced(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return strings.Replace(b.String(), " ref", " reference", 1)
}

// below writes the objects that the keys of o take, unless they have been written or are shared.
func (w *writer) below(o *object, done map[*object]bool) {
	for i := range o.keys {
		next := w.model.byType[o.keys[i].value()]
		if next != nil && len(next.keys) > 0 && !done[next] && !w.shared(next) && next.uses[0].in != w.model.objects[0] {
			w.object(next, done)
		}
	}
}

func (w *writer) object(o *object, done map[*object]bool) {
	done[o] = true
	fmt.Fprintf(w, "\n### %s\n\n%s\n", w.titles[o.of], o.doc)
	w.keys(o)
	w.below(o, done)
}

// keys writes the table of an object's keys.
func (w *writer) keys(o *object) {
	w.WriteString("\n| Key | Value | Default | What it means |\n|---|---|---|---|\n")
	for i := range o.keys {
		k := &o.keys[i]
		byDefault := ""
		switch {
		case k.unless != "":
			byDefault = "needed without `" + k.unless + "`"
		case k.need:
			byDefault = "needed"
		case k.byDefault != "":
			byDefault = "`" + k.byDefault + "`"
		}
		mark := ""
		if k.listenerOnly {
			mark = "Of a listener only."
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", k.name, w.value(k), byDefault, cell(k.doc, mark, k.notRun()))
	}
	if one := o.group("one"); len(one) > 1 {
		fmt.Fprintf(w, "\nOne of %s is needed, and only one.\n", listed(one, "and"))
	}
	if some := o.group("some"); len(some) > 1 && len(some) <= 4 {
		fmt.Fprintf(w, "\nAt least one of %s is needed.\n", listed(some, "and"))
	}
}

// value says what stands behind a key.
func (w *writer) value(k *key) string {
	t := k.value()
	var text string
	switch o := w.model.byType[t]; {
	case o != nil && len(o.keys) == 0:
		return "`{}`"
	case o != nil:
		text = fmt.Sprintf("[%s](#%s)", kindOf(t), w.anchors[t])
	case t.Kind() == reflect.Map:
		return "mapping of texts"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case len(k.enum) > 0 && t == reflect.TypeFor[config.Size]():
		text = "size or " + listed(k.enum, "or")
	case len(k.enum) > 0:
		text = listed(k.enum, "or")
	case t == reflect.TypeFor[config.Size]():
		text = "size"
	case t == reflect.TypeFor[time.Duration]():
		text = "time"
	case t == reflect.TypeFor[netip.Prefix]():
		text = "network"
	case t == reflect.TypeFor[config.Moment]():
		text = "day or moment"
	case t.Kind() == reflect.Int:
		text = "number"
	default:
		text = "text"
	}
	if bounds := k.rangeText(); bounds != "" {
		text += ", " + bounds
	}
	if k.isList() {
		text = "list of " + plural(text)
	}
	return text
}

// kindOf says what a mapping is, or a text that may stand for one.
func kindOf(t reflect.Type) string {
	switch reflect.Zero(t).Interface().(type) {
	case config.Matcher:
		return "matcher"
	case config.CertificateRef:
		return "certificate"
	case config.Secret:
		return "secret"
	case config.KeyStoreRef:
		return "key store"
	case config.Anchor:
		return "anchor"
	case config.CRLSource:
		return "text or mapping"
	case config.Errors:
		return "word or mapping"
	case config.Step:
		return "step"
	}
	return "mapping"
}

func plural(text string) string {
	words := map[string]string{
		"text": "texts", "network": "networks", "[mapping]": "[mappings]", "[matcher]": "[matchers]", "[certificate]": "[certificates]",
		"[anchor]": "[anchors]", "[step]": "[steps]", "[text or mapping]": "[texts or mappings]",
	}
	head, rest, linked := strings.Cut(text, "(")
	if p, ok := words[head]; ok {
		head = p
	}
	if linked {
		return head + "(" + rest
	}
	return head
}

// listed writes words one after the other.
func listed(words []string, last string) string {
	var b strings.Builder
	for i, word := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" " + last + " ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString("`" + word + "`")
	}
	return b.String()
}

// cell joins sentences for a table.
func cell(sentences ...string) string {
	text := strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), " ")
	return strings.ReplaceAll(text, "|", `\|`)
}

// readExamples cuts the example into its sections, which all stand at the beginning of a line.
func readExamples(root string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(exampleFile)))
	if err != nil {
		return nil, fmt.Errorf("read the examples: %w", err)
	}
	sections, name := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		if key, _, ok := strings.Cut(line, ":"); ok && !strings.ContainsAny(key, " #") {
			name = key
		}
		sections[name] += line
	}
	return sections, nil
}
