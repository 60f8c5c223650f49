package gateway

import (
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/certheader"
	"sallyport/internal/expression"
)

// fieldsOf are the header fields that expressions ask for, as a request has them before anything is taken out of it. They
// are copied: forwarding changes the header, and a stream is judged again. A field in another spelling that some backend
// takes for the same name is ambiguous, because nobody knows which of them the backend reads.
func fieldsOf(h http.Header, names []string) []expression.Field {
	if len(names) == 0 {
		return nil
	}
	fields := make([]expression.Field, len(names))
	seen := make([]bool, len(names))
	for i, name := range names {
		fields[i].Name = name
	}
	for name, values := range h {
		for i := range fields {
			f := &fields[i]
			if len(name) != len(f.Name) || !sameName(name, f.Name) {
				continue
			}
			if seen[i] || len(values) != 1 || !strings.EqualFold(name, f.Name) {
				f.Ambiguous = true
				continue
			}
			seen[i], f.Value = true, values[0]
		}
	}
	return fields
}

// keep copies header fields for whoever keeps them longer than the head of the request; nobody is shown them. Of a value
// that is too long for an expression it keeps enough to be too long again.
func keep(fields []expression.Field) []expression.Field {
	kept := slices.Clone(fields)
	for i := range kept {
		value := kept[i].Value
		kept[i].Value = strings.Clone(value[:min(len(value), expression.MaxText+1)])
	}
	return kept
}

// sameName reports whether some backend takes one name for the other; they are equally long.
func sameName(a, b string) bool {
	var first, second [64]byte
	return string(certheader.Fold(first[:0], a)) == string(certheader.Fold(second[:0], b))
}
