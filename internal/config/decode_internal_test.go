package config

import (
	"encoding"
	"reflect"
	"testing"
	"time"
)

// TestEveryTypeOfTheDocumentCanBeDecoded walks over the types that a document is made of: each field has a key or says
// that it has none, each kind has a decoding, and each type that is a set of words lists them.
func TestEveryTypeOfTheDocumentCanBeDecoded(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	var walk func(where string, typ reflect.Type, enum bool)
	walk = func(where string, typ reflect.Type, enum bool) {
		switch {
		case typ == reflect.TypeFor[time.Duration](), typ == reflect.TypeFor[Size](), reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
			return
		case typ.Kind() == reflect.Pointer, typ.Kind() == reflect.Slice:
			walk(where, typ.Elem(), enum)
		case typ.Kind() == reflect.Map:
			if typ != reflect.TypeFor[map[string]string]() && typ != reflect.TypeFor[map[string]*string]() {
				t.Errorf("%s: no decoding for %s", where, typ)
			}
		case typ.Kind() == reflect.String:
			if typ != reflect.TypeFor[string]() && !enum {
				t.Errorf("%s: %s is a set of words, but the field lists none", where, typ)
			}
		case typ.Kind() == reflect.Bool, typ.Kind() == reflect.Int:
		case typ.Kind() == reflect.Struct:
			if seen[typ] {
				return
			}
			seen[typ] = true
			for f := range typ.Fields() {
				tag, tagged := f.Tag.Lookup("yaml")
				switch {
				case !f.IsExported() && !tagged, tag == "-":
				case !f.IsExported() || tag == "":
					t.Errorf("%s.%s: exported fields have a key, others none", typ, f.Name)
				default:
					walk(typ.String()+"."+f.Name, f.Type, f.Tag.Get("enum") != "")
				}
			}
		default:
			t.Errorf("%s: no decoding for %s", where, typ)
		}
	}
	walk("Document", reflect.TypeFor[Document](), false)
	if len(seen) < 30 {
		t.Errorf("only %d types were found", len(seen))
	}
}

func TestNearestFindsWhatWasMeantAndNothingElse(t *testing.T) {
	t.Parallel()
	words := []string{"client_auth", "client_certificate", "credentials", "trust", "mode", "min_version", "ca"}
	tests := []struct{ name, word, want string }{
		{"swapped letters", "clinet_auth", "client_auth"},
		{"a missing letter", "credential", "credentials"},
		{"another spelling", "Client-Certificate", "client_certificate"},
		{"another case", "MODE", "mode"},
		{"an added letter", "modes", "mode"},
		{"two mistakes in a long word", "min_vresoin", "min_version"},
		{"another word", "zebra", ""},
		{"a short word that is near to nothing", "x", ""},
		{"nothing", "", ""},
		{"a word too long to compare", string(make([]byte, 100)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := (&loader{}).nearest(tt.word, words); got != tt.want {
				t.Errorf("nearest(%q) = %q; want %q", tt.word, got, tt.want)
			}
		})
	}
	tired := &loader{suggests: maxSuggests}
	if got := tired.nearest("mdoe", words); got != "" {
		t.Errorf("nearest() = %q after the last suggestion", got)
	}
}
