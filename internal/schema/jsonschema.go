package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/config"
)

// node is a JSON Schema, with the keywords in the order in which they are written. Two of them are not in the standard, and
// ignored but by editors: patternErrorMessage, shown instead of a regular expression, and markdownDescription, for those
// that would show the marks of a description.
type node struct {
	Dialect              string            `json:"$schema,omitempty"`
	ID                   string            `json:"$id,omitempty"`
	Ref                  string            `json:"$ref,omitempty"`
	Title                string            `json:"title,omitempty"`
	Description          string            `json:"description,omitempty"`
	MarkdownDescription  string            `json:"markdownDescription,omitempty"`
	Type                 any               `json:"type,omitempty"` // a text or a list of texts
	Const                any               `json:"const,omitempty"`
	Enum                 []any             `json:"enum,omitempty"`
	Default              any               `json:"default,omitempty"`
	Minimum              *int64            `json:"minimum,omitempty"`
	Maximum              *int64            `json:"maximum,omitempty"`
	MinLength            int               `json:"minLength,omitempty"`
	Pattern              string            `json:"pattern,omitempty"`
	PatternErrorMessage  string            `json:"patternErrorMessage,omitempty"`
	MinItems             int               `json:"minItems,omitempty"`
	Items                *node             `json:"items,omitempty"`
	MinProperties        int               `json:"minProperties,omitempty"`
	MaxProperties        int               `json:"maxProperties,omitempty"`
	Required             []string          `json:"required,omitempty"`
	Properties           members[*node]    `json:"properties,omitempty"`
	AdditionalProperties any               `json:"additionalProperties,omitempty"` // false or a *node
	DependentRequired    members[[]string] `json:"dependentRequired,omitempty"`
	DependentSchemas     members[*node]    `json:"dependentSchemas,omitempty"`
	If                   *node             `json:"if,omitempty"`
	Then                 *node             `json:"then,omitempty"`
	AllOf                []*node           `json:"allOf,omitempty"`
	AnyOf                []*node           `json:"anyOf,omitempty"`
	OneOf                []*node           `json:"oneOf,omitempty"`
	Defs                 members[*node]    `json:"$defs,omitempty"`
}

// members is a JSON object that keeps its order.
type members[T any] []member[T]

type member[T any] struct {
	name  string
	value T
}

// MarshalJSON writes the object.
func (m members[T]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	for i, e := range m {
		b.WriteByte("{,"[min(i, 1)])
		if err := out.Encode(e.name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := out.Encode(e.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// The names of what is no type of package config.
const (
	defText       = "Text"
	defEmpty      = "TextOrEmpty"
	defNamed      = "NamedValueInText"
	defTime       = "Time"
	defTimeOrZero = "TimeOrZero"
	defNetwork    = "Network"
	defMoment     = "Moment"
)

// namedPattern finds a named value in a text. What has one is looked at when it is filled in, which the schema cannot.
const namedPattern = `\{\{[^}]*named\.`

// Times, as time.ParseDuration reads them: a part that is nothing, a part that is something, any part.
const (
	timeUnit = `(?:ns|us|µs|μs|ms|s|m|h)`
	zeroTime = `(?:0+(?:\.0*)?|\.0+)` + timeUnit
	someTime = `(?:0*[1-9][0-9]*(?:\.[0-9]*)?|0*\.0*[1-9][0-9]*)` + timeUnit
	anyTime  = `(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)` + timeUnit
)

// jsonSchema returns the JSON Schema of the model.
func (m *model) jsonSchema() ([]byte, error) {
	root, err := m.objectSchema(m.objects[0], false)
	if err != nil {
		return nil, err
	}
	root.Dialect, root.ID, root.Title = "https://json-schema.org/draft/2020-12/schema", "urn:sallyport:configuration", "Sallyport configuration"
	for _, o := range m.objects[1:] {
		for _, ofListener := range []bool{false, true} {
			if ofListener && !o.listenerOnly() {
				continue
			}
			n, err := m.objectSchema(o, ofListener)
			if err != nil {
				return nil, err
			}
			root.Defs = append(root.Defs, member[*node]{defName(o.of, ofListener), n})
		}
	}
	root.Defs = append(root.Defs, scalars()...)
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	err = out.Encode(root)
	return b.Bytes(), err
}

// scalars are the definitions of values that are no mappings. YAML has types where the document has texts: what looks
// like a number or a truth value is a text there, too. Said with type, editors would propose true and false for names.
func scalars() members[*node] {
	noScalar := &node{Type: []string{"object", "array", "null"}}
	times := func(list ...string) string { return `^(?:` + strings.Join(list, "|") + `)$|` + namedPattern }
	return members[*node]{
		{defText, &node{If: noScalar, Then: &node{Type: "string"}, MinLength: 1}},
		{defEmpty, &node{If: noScalar, Then: &node{Type: "string"}}},
		{defNamed, &node{Description: "A named value, as in \"{{named.x}}\".", Type: "string", Pattern: namedPattern, PatternErrorMessage: `a named value is written "{{named.x}}"`}},
		{defTime, &node{
			Type: "string", Pattern: times(`\+?(?:` + zeroTime + `)*` + someTime + `(?:` + anyTime + `)*`),
			PatternErrorMessage: "a time is more than 0 and has a unit, such as 250ms, 5s, 2m or 24h",
		}},
		{defTimeOrZero, &node{AnyOf: []*node{
			{
				Type: "string", Pattern: times(`[-+]?0`, `\+?(?:`+anyTime+`)+`, `-(?:`+zeroTime+`)+`),
				PatternErrorMessage: "a time has a unit, such as 250ms, 5s, 2m or 24h",
			},
			{Const: 0},
		}}},
		{defNetwork, &node{Type: "string", Pattern: `^[0-9A-Fa-f:.]+/[0-9]+$|` + namedPattern, PatternErrorMessage: "a network is written 10.0.0.0/8 or 2001:db8::/32"}},
		{defMoment, &node{
			Type: "string", Pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2}))?$|` + namedPattern,
			PatternErrorMessage: "a day is written 2027-03-14, a moment 2027-03-14T18:00:00Z",
		}},
	}
}

func defName(t reflect.Type, ofListener bool) string {
	if ofListener {
		return "Listener" + t.Name()
	}
	return t.Name()
}

func ref(name string) *node { return &node{Ref: "#/$defs/" + name} }

// objectSchema returns the schema of a mapping. OfListener includes the keys that only a listener's has.
func (m *model) objectSchema(o *object, ofListener bool) (*node, error) {
	n := &node{Type: "object", AdditionalProperties: false}
	n.describe(o.doc)
	for i := range o.keys {
		k := &o.keys[i]
		if k.listenerOnly && !ofListener {
			continue
		}
		v, err := m.keySchema(o, k)
		if err != nil {
			return nil, fmt.Errorf("the key %s of %s: %w", k.name, o.of.Name(), err)
		}
		n.Properties = append(n.Properties, member[*node]{k.name, v})
		switch {
		case k.unless != "":
			n.AllOf = append(n.AllOf, &node{AnyOf: oneRequired([]string{k.name, k.unless})})
		case k.need:
			n.Required = append(n.Required, k.name)
		}
		switch len(k.with) {
		case 0:
		case 1:
			n.DependentRequired = append(n.DependentRequired, member[[]string]{k.name, k.with})
		default:
			n.DependentSchemas = append(n.DependentSchemas, member[*node]{k.name, &node{AnyOf: oneRequired(k.with)}})
		}
	}
	one := o.group("one")
	switch {
	case len(one) == 0:
	case len(one) == len(o.keys):
		n.MinProperties, n.MaxProperties = 1, 1
	default:
		n.OneOf = oneRequired(one)
	}
	n.AnyOf = oneRequired(o.group("some"))
	return n, nil
}

func (n *node) describe(text string) {
	n.Description = text
	if strings.Contains(text, "`") {
		n.MarkdownDescription = text
	}
}

func oneRequired(names []string) (list []*node) {
	for _, name := range names {
		list = append(list, &node{Required: []string{name}})
	}
	return list
}

// keySchema returns the schema of what stands behind a key.
func (m *model) keySchema(o *object, k *key) (*node, error) {
	n, err := m.valueSchema(o, k)
	if err != nil {
		return nil, err
	}
	if k.isList() {
		n = &node{Type: "array", Items: n, MinItems: 1}
		if o == m.objects[0] {
			n.MinItems = 0 // a file may say that it has none
		}
	}
	text := k.doc
	if bounds := k.rangeText(); bounds != "" {
		text += " " + upper(bounds) + "."
	}
	n.describe(strings.TrimSpace(text + " " + k.notRun()))
	n.Default, err = k.defaultValue()
	return n, err
}

// valueSchema returns the schema of a value, or of the entries of a list.
func (m *model) valueSchema(o *object, k *key) (*node, error) {
	t := k.value()
	switch {
	case t == reflect.TypeFor[netip.Prefix]():
		return ref(defNetwork), nil
	case t == reflect.TypeFor[config.Size]():
		return sizeSchema(k)
	case t == reflect.TypeFor[config.Moment]():
		return ref(defMoment), nil
	case t == reflect.TypeFor[time.Duration]() && k.zero:
		return ref(defTimeOrZero), nil
	case t == reflect.TypeFor[time.Duration]():
		return ref(defTime), nil
	case m.byType[t] != nil:
		return m.mappingSchema(o, k), nil
	}
	switch t.Kind() { //nolint:exhaustive // the kinds that the decoder knows; the last case is the texts
	case reflect.Bool:
		return &node{AnyOf: []*node{{Type: "boolean"}, ref(defNamed)}}, nil
	case reflect.Int:
		n := &node{Type: "integer"}
		var err error
		if n.Minimum, err = number(k.least); err == nil {
			n.Maximum, err = number(k.most)
		}
		return &node{AnyOf: []*node{n, ref(defNamed)}}, err
	case reflect.Map:
		n := &node{Type: "object", MinProperties: 1, AdditionalProperties: ref(defText)}
		if t.Elem().Kind() == reflect.Pointer {
			n.AdditionalProperties = &node{AnyOf: []*node{ref(defEmpty), {Type: "null"}}}
		}
		return n, nil
	}
	switch {
	case len(k.enum) > 0:
		return &node{AnyOf: []*node{{Enum: words(k.enum)}, ref(defNamed)}}, nil
	case k.empty:
		return ref(defEmpty), nil
	}
	return ref(defText), nil
}

// mappingSchema returns the schema of a value that is a mapping, or a text that stands for one; see scalarForm of package
// config.
func (m *model) mappingSchema(o *object, k *key) *node {
	t := k.value()
	below := m.byType[t]
	mapping := ref(defName(t, o.of == reflect.TypeFor[config.Listener]() && below.listenerOnly()))
	switch reflect.Zero(t).Interface().(type) {
	case config.Secret:
		if k.text {
			return &node{AnyOf: []*node{ref(defText), mapping}}
		}
	case config.CertificateRef, config.Anchor, config.KeyStoreRef, config.CRLSource:
		return &node{AnyOf: []*node{ref(defText), mapping}}
	case config.Matcher:
		if k.inherit {
			return &node{AnyOf: []*node{mapping, {Const: "inherit"}, ref(defNamed)}}
		}
	case config.Errors:
		style := below.keys[slices.IndexFunc(below.keys, func(k key) bool { return k.name == "style" })]
		return &node{AnyOf: []*node{{Enum: words(style.enum)}, mapping, ref(defNamed)}}
	}
	return mapping
}

// sizeSchema returns the schema of a size: a number of bytes, a text with a unit, or the word for no limit.
func sizeSchema(k *key) (*node, error) {
	least, err := bytesOf(k.least)
	if err != nil {
		return nil, err
	}
	most, err := bytesOf(k.most)
	if err != nil {
		return nil, err
	}
	n := &node{
		Type: []string{"integer", "string"}, Minimum: &least, Maximum: &most, Pattern: `^[1-9][0-9]*(?:KiB|MiB|GiB)?$|` + namedPattern,
		PatternErrorMessage: "a size is a number of bytes, or of KiB, MiB or GiB with the unit directly behind it, such as 64KiB",
	}
	if len(k.enum) == 0 {
		return n, nil
	}
	return &node{AnyOf: []*node{n, {Enum: words(k.enum)}}}, nil
}

// words are the values that YAML may have for words: 1.2 without quotes is a number.
func words(list []string) (all []any) {
	for _, w := range list {
		all = append(all, w)
	}
	for _, w := range list {
		if f, err := strconv.ParseFloat(w, 64); err == nil {
			all = append(all, f)
		}
	}
	return all
}

// defaultValue is the default as JSON has it; nil where there is none.
func (k *key) defaultValue() (any, error) {
	t := k.value()
	switch {
	case k.byDefault == "":
		return nil, nil
	case t.Kind() == reflect.Bool:
		return strconv.ParseBool(k.byDefault)
	case t.Kind() == reflect.Int, t == reflect.TypeFor[config.Size]() && strings.Trim(k.byDefault, "0123456789") == "":
		return strconv.Atoi(k.byDefault)
	}
	return k.byDefault, nil
}

func number(text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return &n, err
}

// bytesOf reads a size in a range tag.
func bytesOf(text string) (int64, error) {
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			return n << (10 * (i + 1)), err
		}
	}
	return strconv.ParseInt(text, 10, 64)
}
