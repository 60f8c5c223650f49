package judge

import (
	"slices"
	"strings"

	"sallyport/internal/certheader"
	"sallyport/internal/expression"
)

// Fields are the header fields of a request that expressions ask for, one for each name; names are those of Rules.Headers,
// and a nil or empty list gives nil. header has the values of the request by name, in any spelling, and is only read; the
// fields are its caller's to keep. A field that is there twice is ambiguous, and so is one in another spelling that some
// backend takes for the same name, even alone, because nobody knows which of them the backend reads; and one that Connection names,
// which the backend does not get; and Cache-Control where Pragma says it. An ambiguous field has no value.
func Fields(names []string, header map[string][]string) []expression.Field {
	if len(names) == 0 {
		return nil
	}
	fields := make([]expression.Field, len(names))
	seen := make([]bool, len(names))
	for i, name := range names {
		fields[i].Name = name
	}
	for name, values := range header {
		for i := range fields {
			f := &fields[i]
			if !SameName(name, f.Name) {
				continue
			}
			if f.Ambiguous || seen[i] || len(values) != 1 || !strings.EqualFold(name, f.Name) {
				f.Ambiguous, f.Value = true, ""
				continue
			}
			seen[i], f.Value = true, values[0]
		}
	}
	for _, list := range header["Connection"] {
		for option := range strings.SplitSeq(list, ",") {
			for i := range fields {
				if f := &fields[i]; SameName(strings.TrimSpace(option), f.Name) {
					f.Ambiguous, f.Value = true, ""
				}
			}
		}
	}
	for i := range fields {
		if f := &fields[i]; SameName(f.Name, "cache-control") && saidByPragma(header) {
			f.Ambiguous, f.Value = true, ""
		}
	}
	return fields
}

// saidByPragma reports whether Cache-Control may be net/http's word alone, which reads it out of Pragma: over HTTP/1 it adds what RFC
// 9111, section 5.4, lets a cache assume.
func saidByPragma(header map[string][]string) bool {
	pragma, control := valuesOf(header, "Pragma"), valuesOf(header, "Cache-Control")
	return slices.Contains(pragma, "no-cache") && (len(control) == 0 || len(control) == 1 && control[0] == "no-cache")
}

func valuesOf(header map[string][]string, name string) (values []string) {
	for n, v := range header {
		if strings.EqualFold(n, name) {
			values = append(values, v...)
		}
	}
	return values
}

// SameName reports whether some backend takes one name of a header field for the other.
func SameName(a, b string) bool {
	if len(a) != len(b) {
		return false // folding keeps the length
	}
	var first, second [64]byte
	return string(certheader.Fold(first[:0], a)) == string(certheader.Fold(second[:0], b))
}
