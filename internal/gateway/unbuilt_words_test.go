package gateway_test

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/gateway"
)

// TestTheTypesSayWhatIsNotBuilt compares the unbuilt tags of the document's types, which editors and the reference show,
// with Unbuilt: for each key, alone in a document, and each word that it may have.
func TestTheTypesSayWhatIsNotBuilt(t *testing.T) {
	t.Parallel()
	w := &unbuiltWalk{tagged: map[string]bool{}, t: t}
	doc := &config.Document{}
	w.walk(doc, reflect.ValueOf(doc).Elem(), "document", map[reflect.Type]bool{})
	for key, said := range w.tagged {
		if !said {
			t.Errorf("%s is tagged as not built, and Unbuilt never says so", key)
		}
	}
	if w.tried < 150 || len(w.tagged) < 15 {
		t.Errorf("%d values were tried and %d are tagged: too few to mean anything", w.tried, len(w.tagged))
	}
}

// loadSaysIt are the tags of what config.Load refuses already.
func loadSaysIt(of, key string) bool {
	switch key {
	case "id", "name", "pkcs12", "jks":
		return of == "CertificateRef" || of == "Anchor" || of == "Credential"
	}
	return false
}

type unbuiltWalk struct {
	t      *testing.T
	tagged map[string]bool // by type, key and word: whether Unbuilt said so somewhere
	tried  int
}

// walk sets every key below v, one at a time, and asks Unbuilt about the document. V is what it was in the end.
func (w *unbuiltWalk) walk(doc *config.Document, v reflect.Value, path string, above map[reflect.Type]bool) {
	if above[v.Type()] {
		return
	}
	above[v.Type()] = true
	defer delete(above, v.Type())
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		words := strings.Fields(f.Tag.Get("unbuilt"))
		field, was := v.Field(i), reflect.New(f.Type).Elem()
		for _, word := range candidates(f) {
			target := set(field, word)
			w.tried++
			id := v.Type().Name() + "." + key + " " + word
			tagged := slices.Contains(words, word) || slices.Contains(words, "*")
			said := len(gateway.Unbuilt(doc)) > 0
			switch {
			case tagged && !loadSaysIt(v.Type().Name(), key):
				w.tagged[id] = w.tagged[id] || said
			case said && !tagged && (target.Kind() != reflect.Struct || target.NumField() == 0): // of a mapping its keys say it
				w.t.Errorf("%s.%s %s: Unbuilt says %v, and the field has no tag that says so", path, key, word, gateway.Unbuilt(doc))
			}
			if target.Kind() == reflect.Struct && !slices.Contains(words, "*") {
				w.walk(doc, target, path+"."+key, above)
			}
			field.Set(was)
		}
	}
}

// candidates are the words that a field may have; "" where one value says as much as any other.
func candidates(f reflect.StructField) []string {
	of := f.Type
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	switch {
	case of.Kind() == reflect.String && f.Tag.Get("enum") != "":
		return strings.Fields(f.Tag.Get("enum"))
	case of.Kind() == reflect.Bool:
		return []string{"false", "true"}
	}
	return []string{""}
}

// set gives a field a value, makes what stands above it, and returns the innermost.
func set(v reflect.Value, word string) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return set(v.Elem(), word)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return set(v.Index(0), word)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(v.Type().Elem()))
	case reflect.Bool:
		b, _ := strconv.ParseBool(word)
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.String:
		v.SetString(word)
		if word == "" {
			v.SetString("x")
		}
	}
	return v
}
