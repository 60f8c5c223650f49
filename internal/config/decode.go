package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// decoder fills the document from the node trees of its files.
type decoder struct {
	*loader
	file  *file // that the nodes at hand come from
	named namedValues
	types map[reflect.Type]*structInfo
	depth int
}

// structInfo is what the struct tags of a type say.
type structInfo struct {
	fields map[string]int // key to index in list
	list   []fieldInfo
	keys   []string
}

type fieldInfo struct {
	index int // in the struct
	options
}

// options say what a place in the document accepts.
type options struct {
	label      string   // what messages call the place
	enum       []string // the words that are allowed; nil means any text; of a size, the word for no limit
	empty      bool     // an empty text means something
	text       bool     // a secret may be written as a text
	secret     bool     // messages must not quote what stands here
	zero       bool     // a time of 0 means something
	templates  bool     // {{certificate.x}} and {{request.x}} mean something
	expression bool     // CEL: a {{ that is not a named value belongs to it
}

// element returns the options for the entries of a list or the values of a map.
func (o options) element() options {
	o.label = "an entry of " + o.label
	return o
}

func (d *decoder) info(t reflect.Type) *structInfo {
	if info := d.types[t]; info != nil {
		return info
	}
	info := &structInfo{fields: map[string]int{}}
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("yaml")
		if !ok || tag == "-" {
			continue
		}
		key, flags, _ := strings.Cut(tag, ",")
		f := fieldInfo{index: i, options: options{label: key, empty: flags == "empty", text: flags == "text", zero: flags == "zero", templates: flags == "templates", expression: flags == "expression"}}
		f.empty = f.empty || f.templates
		if words := t.Field(i).Tag.Get("enum"); words != "" {
			f.enum = strings.Fields(words)
		}
		info.fields[key] = len(info.list)
		info.list = append(info.list, f)
		info.keys = append(info.keys, key)
	}
	d.types[t] = info
	return info
}

// section is one mention of a section in a file.
type section struct {
	file       *file
	key, value *yaml.Node
}

// decode fills the document.
func (l *loader) decode(files []*file) {
	d := &decoder{loader: l, types: map[reflect.Type]*structInfo{}}
	doc := reflect.ValueOf(l.doc).Elem()
	info := d.info(doc.Type())
	sections := make([][]section, len(info.list))
	for _, f := range files {
		d.file = f
		known := d.mapping(f.root, options{label: "the document"}, info, func(i int, key, value *yaml.Node) {
			sections[i] = append(sections[i], section{f, key, value})
		})
		if !known {
			l.damaged[l.doc] = true
		}
	}
	names := info.fields["named_values"]
	d.section(info.list[names], doc, sections[names])
	d.named = newNamedValues(l.doc.NamedValues)
	for i, f := range info.list {
		if i != names {
			d.section(f, doc, sections[i])
		}
	}
}

// section decodes all mentions of one section: lists are joined, anything else is mentioned once.
func (d *decoder) section(f fieldInfo, doc reflect.Value, mentions []section) {
	if len(mentions) == 0 {
		return
	}
	before := len(d.errs)
	defer func() { d.unsound[f.label] = len(d.errs) > before }()
	v := doc.Field(f.index)
	if v.Kind() != reflect.Slice {
		d.file = mentions[0].file
		d.field(mentions[0].key, mentions[0].value, v, f.options)
		for _, m := range mentions[1:] {
			first := mentions[0]
			d.file = m.file
			d.fail(m.key, "%s is already given at %s: only lists can be spread over files", f.label, Position{first.file.path, first.key.Line, first.key.Column})
		}
		return
	}
	total := 0
	for _, m := range mentions {
		total += len(m.value.Content)
	}
	list := reflect.MakeSlice(v.Type(), total, total) // at full length first: positions are kept by address
	used := 0
	for _, m := range mentions {
		d.file = m.file
		d.mark(v.Addr(), m.key)
		if n := m.value; d.usable(n, f.options) && d.isList(n, f.options) {
			used += d.elements(n, list.Slice(used, total), f.options)
		}
	}
	v.Set(list.Slice(0, used))
}

// mapping walks over the keys of a mapping and hands every known one to use, with its index in info.
// It reports whether all keys were known.
func (d *decoder) mapping(n *yaml.Node, o options, info *structInfo, use func(i int, key, value *yaml.Node)) bool {
	ok := true
	seen := make([]*yaml.Node, len(info.list))
	for k := 0; k+1 < len(n.Content); k += 2 {
		key, value := n.Content[k], n.Content[k+1]
		if !d.isKey(key, o) {
			ok = false
			continue
		}
		i, known := info.fields[key.Value]
		ok = ok && known
		switch {
		case !known && o.secret:
			d.fail(key, "unknown key: %s takes %s", o.label, oneOf(info.keys))
		case !known:
			d.unknownKey(key, info)
		case seen[i] != nil:
			d.fail(key, "the key %s stands here twice, first at %s", key.Value, d.at(seen[i]))
		default:
			seen[i] = key
			use(i, key, value)
		}
	}
	return ok
}

func (d *decoder) unknownKey(key *yaml.Node, info *structInfo) {
	e := Error{Position: d.at(key), Message: fmt.Sprintf("unknown key %s", quote(key.Value))}
	if e.Suggestion = d.nearest(key.Value, info.keys); e.Suggestion == "" && len(info.keys) > 0 && len(info.keys) <= 8 {
		e.Message += ": " + oneOf(info.keys) + " would be known"
	}
	d.add(e)
}

// field decodes the value of a key.
func (d *decoder) field(key, value *yaml.Node, v reflect.Value, o options) {
	at := value
	if value.Kind != yaml.ScalarNode {
		at = key
	}
	d.mark(v.Addr(), at)
	if o.expression {
		if field, ok := reflect.TypeAssert[*string](v.Addr()); ok {
			d.written[field] = &expressed{d.file, value, o.label}
		}
	}
	if !d.value(value, at, v, o) {
		d.damaged[v.Addr().Interface()] = true
	}
}

// mark remembers where a field or element stands.
func (d *decoder) mark(pointer reflect.Value, n *yaml.Node) {
	d.doc.source.places[pointer.Interface()] = d.place(n)
}

func (d *decoder) place(n *yaml.Node) place {
	return place{d.file.index, uint32(n.Line), uint32(n.Column)} //nolint:gosec // bounded by maxFileSize
}

func (d *decoder) at(n *yaml.Node) Position { return Position{d.file.path, n.Line, n.Column} }

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.add(Error{Position: d.at(n), Message: fmt.Sprintf(format, args...)})
}

// value decodes a node into v, which is addressable; at is where v stands. It reports whether it could.
func (d *decoder) value(n, at *yaml.Node, v reflect.Value, o options) bool {
	if d.depth++; d.depth > maxDepth {
		d.fail(n, "lists and mappings are nested more than %d deep", maxDepth)
		d.depth--
		return false
	}
	defer func() { d.depth-- }()
	if v.Type() == reflect.TypeFor[Secret]() || v.Type() == reflect.TypeFor[*Secret]() {
		o.secret = true
	}
	if !d.usable(n, o) {
		return false
	}
	if v.Kind() == reflect.Pointer {
		target := reflect.New(v.Type().Elem())
		if target.Elem().Kind() == reflect.Struct && target.Elem().NumField() > 0 {
			d.mark(target, at)
		}
		if !d.value(n, at, target.Elem(), o) {
			return false
		}
		v.Set(target)
		return true
	}
	if n.Kind == yaml.ScalarNode {
		if ok, handled := d.scalarForm(n, v, o); handled {
			return ok
		}
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return d.unmarshal(n, u, o)
	}
	switch kind := v.Kind(); {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return d.duration(n, v, o)
	case v.Type() == reflect.TypeFor[Size]():
		return d.size(n, v, o)
	case kind == reflect.Struct:
		return d.structure(n, v, o)
	case kind == reflect.Slice:
		return d.list(n, v, o)
	case kind == reflect.Map:
		return d.stringMap(n, v, o)
	case kind == reflect.Bool:
		return d.boolean(n, v, o)
	case kind == reflect.Int:
		return d.integer(n, v, o)
	}
	text, ok := d.word(n, o)
	v.SetString(text) // of all other kinds the types of this package use this one alone
	return ok
}

// list decodes a list that is not a section.
func (d *decoder) list(n *yaml.Node, v reflect.Value, o options) bool {
	if !d.isList(n, o) {
		return false
	}
	if len(n.Content) == 0 {
		d.fail(n, "%s is an empty list: remove the key or name something", o.label)
		return false
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	d.elements(n, list, o)
	v.Set(list)
	return true
}

// elements decodes the entries of a list into the first len(n.Content) elements of v and returns their number.
func (d *decoder) elements(n *yaml.Node, v reflect.Value, o options) int {
	o = o.element()
	for i, entry := range n.Content {
		before := len(d.errs)
		d.mark(v.Index(i).Addr(), entry)
		if !d.value(entry, entry, v.Index(i), o) {
			d.damaged[v.Index(i).Addr().Interface()] = true
		}
		if d.depth == 0 && len(d.errs) > before {
			d.unsound[v.Index(i).Addr().Interface()] = true
		}
	}
	return len(n.Content)
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, o options) bool {
	info := d.info(v.Type())
	if n.Kind != yaml.MappingNode {
		hint := ""
		switch {
		case len(info.keys) == 0:
			hint = ": write {}"
		case o.secret:
			hint = ": write {env: NAME} or {file: path}"
		}
		d.fail(n, "%s must be a mapping, not %s%s", o.label, found(n, o), hint)
		return false
	}
	ok := d.mapping(n, o, info, func(i int, key, value *yaml.Node) {
		f := info.list[i].options
		f.secret = o.secret
		d.field(key, value, v.Field(info.list[i].index), f)
	})
	if !ok {
		d.damaged[v.Addr().Interface()] = true
	}
	return true
}

// stringMap decodes a mapping whose keys the user chooses, to texts or, where the map holds pointers, to texts or null.
func (d *decoder) stringMap(n *yaml.Node, v reflect.Value, o options) bool {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s must be a mapping, not %s", o.label, found(n, o))
		return false
	}
	if len(n.Content) == 0 {
		d.fail(n, "%s is an empty mapping: remove the key or name something", o.label)
		return false
	}
	nullable := v.Type().Elem().Kind() == reflect.Pointer
	m := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for k := 0; k+1 < len(n.Content); k += 2 {
		key, value := n.Content[k], n.Content[k+1]
		if !d.isKey(key, o) {
			continue
		}
		if before := first[key.Value]; before != nil {
			d.fail(key, "the key %s stands here twice, first at %s", quote(key.Value), d.at(before))
			continue
		}
		first[key.Value] = key
		d.doc.source.places[entry{v.Addr().Interface(), key.Value}] = d.place(key)
		if nullable && isNull(value) {
			m.SetMapIndex(reflect.ValueOf(key.Value), reflect.Zero(v.Type().Elem()))
			continue
		}
		o := o
		o.label = bare(key.Value)
		target := reflect.New(reflect.TypeFor[string]())
		if d.value(value, value, target.Elem(), o) {
			if !nullable {
				target = target.Elem()
			}
			m.SetMapIndex(reflect.ValueOf(key.Value), target)
		}
	}
	v.Set(m)
	return true
}
