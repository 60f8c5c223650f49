package schema

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"sallyport/internal/config"
)

// object is a mapping of the document: a struct type of package config.
type object struct {
	of   reflect.Type
	doc  string
	keys []key
	uses []use
}

// use is a key that takes an object, or a list of them.
type use struct {
	in  *object
	key string // with [] where it is a list
}

// key is one key of an object, with everything that its field says.
type key struct {
	name string
	of   reflect.Type // without pointers; a list stays one
	doc  string

	enum         []string
	unbuilt      []string // words that are not run yet; "*" stands for the key
	need         bool
	unless       string   // with need: the other key that makes it optional
	choice       string   // "one" or "some"
	with         []string // one of these keys has to be there as well
	least, most  string   // "" means no bound
	byDefault    string
	inherit      bool
	listenerOnly bool

	empty, text, zero, templates bool // see config's options of the decoder
}

// model is the document as its types describe it.
type model struct {
	objects []*object // in the order of the document, the document itself first
	byType  map[reflect.Type]*object
	said    comments
}

// newModel reads the types of package config, and their comments from the source below root.
func newModel(root string) (*model, error) {
	said, err := readComments(root)
	if err != nil {
		return nil, err
	}
	m := &model{byType: map[reflect.Type]*object{}, said: said}
	if _, err := m.object(reflect.TypeFor[config.Document]()); err != nil {
		return nil, err
	}
	return m, nil
}

// object returns the object of a struct type, which is read when it is met first.
func (m *model) object(t reflect.Type) (*object, error) {
	if o := m.byType[t]; o != nil {
		return o, nil
	}
	doc, err := m.said.ofType(t.Name())
	if err != nil {
		return nil, err
	}
	o := &object{of: t, doc: doc}
	m.byType[t] = o
	m.objects = append(m.objects, o)
	for f := range t.Fields() {
		tag, ok := f.Tag.Lookup("yaml")
		if !ok || tag == "-" {
			continue
		}
		k, err := m.key(t, f)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		o.keys = append(o.keys, k)
	}
	for _, k := range o.keys {
		inner, name := k.of, k.name
		if k.isList() {
			inner, name = deref(k.of.Elem()), name+"[]"
		}
		if !isObject(inner) {
			continue
		}
		below, err := m.object(inner)
		if err != nil {
			return nil, err
		}
		below.uses = append(below.uses, use{o, name})
	}
	return o, nil
}

func (m *model) key(t reflect.Type, f reflect.StructField) (key, error) {
	name, flag, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	k := key{
		name: name, of: deref(f.Type),
		enum: strings.Fields(f.Tag.Get("enum")), unbuilt: strings.Fields(f.Tag.Get("unbuilt")), with: strings.Fields(f.Tag.Get("with")),
		need: f.Tag.Get("need") != "", unless: f.Tag.Get("unless"), choice: f.Tag.Get("choice"), byDefault: f.Tag.Get("default"),
		inherit: f.Tag.Get("inherit") != "", listenerOnly: f.Tag.Get("level") == "listener",
		empty: flag == "empty" || flag == "templates", text: flag == "text", zero: flag == "zero", templates: flag == "templates",
	}
	if bounds := strings.Fields(f.Tag.Get("range")); len(bounds) > 0 {
		k.least = bounds[0]
		if len(bounds) > 1 {
			k.most = bounds[1]
		}
	}
	var err error
	k.doc, err = m.said.ofField(t.Name(), f.Name)
	return k, err
}

func (k *key) isList() bool { return k.of.Kind() == reflect.Slice }

// value is the type of the key's value, or of the entries of its list.
func (k *key) value() reflect.Type {
	if k.isList() {
		return deref(k.of.Elem())
	}
	return k.of
}

func (k *key) isUnbuilt() bool { return len(k.unbuilt) == 1 && k.unbuilt[0] == "*" }

// rangeText says between which values the key's lies; "" where there are no bounds.
func (k *key) rangeText() string {
	switch {
	case k.least == "":
		return ""
	case k.most == "":
		return "at least " + k.least
	}
	return k.least + " to " + k.most
}

// notRun says what of the key this build does not run yet; "" where it runs everything.
func (k *key) notRun() string {
	switch {
	case len(k.unbuilt) == 0:
		return ""
	case k.isUnbuilt():
		return "Not run by this build yet."
	}
	return "Not run by this build yet: `" + strings.Join(k.unbuilt, "`, `") + "`."
}

// listenerOnly reports whether the object has keys that only a listener's has.
func (o *object) listenerOnly() bool {
	for _, k := range o.keys {
		if k.listenerOnly {
			return true
		}
	}
	return false
}

// group returns the names of the keys with the same word in their choice tag.
func (o *object) group(choice string) (names []string) {
	for _, k := range o.keys {
		if k.choice == choice {
			names = append(names, k.name)
		}
	}
	return names
}

// isObject reports whether a type is a mapping of the document; other structs, such as netip.Prefix and what reads its own
// text, are texts.
func isObject(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return false
	}
	return t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[config.Document]().PkgPath()
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}
