package config

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxExpansion bounds the text that named values add to one document.
const maxExpansion = 64 << 20

// namedValues are the texts that {{named.x}} stands for. The zero value is the state before they are known: nothing may
// use them then.
type namedValues struct {
	ready    bool
	byName   map[string]*NamedValue
	expanded int
}

func newNamedValues(list []NamedValue) namedValues {
	n := namedValues{ready: true, byName: make(map[string]*NamedValue, len(list))}
	for i := range list {
		if n.byName[list[i].Name] == nil {
			n.byName[list[i].Name] = &list[i]
		}
	}
	return n
}

// substitute fills named values into a text. Where templates are evaluated for each request, those of the request
// (certificate, request) stay as they are; in an expression any other {{ is the expression's own, and a named value cannot end
// a text that it stands in. Everywhere else {{ is
// nothing but a named value: what looks like one and is none would be compared as it stands, and match nobody.
func (d *decoder) substitute(n *yaml.Node, text string, o options) (string, bool) {
	if !d.named.ready {
		d.fail(n, "a named value cannot hold {{: it would have to be resolved itself")
		return "", false
	}
	var b strings.Builder
	ok := true
	for {
		before, rest, found := strings.Cut(text, "{{")
		b.WriteString(before)
		if !found {
			return b.String(), ok
		}
		raw, after, closed := strings.Cut(rest, "}}")
		inner := strings.TrimSpace(raw)
		name, isNamed := strings.CutPrefix(inner, "named.")
		switch {
		case closed && isNamed:
			value, resolved := d.resolveName(n, name, o)
			if o.expression && strings.ContainsAny(value, "\"'`\\\r\n") {
				d.fail(n, "the named value %s holds a quote, a backslash or a line break, which would change the expression: write named[%s] instead of {{named.%s}}", quote(name), quote(name), bare(name))
				resolved = false
			}
			if d.named.expanded += len(value); d.named.expanded > maxExpansion {
				d.fail(n, "named values add more than %d MiB to the document", maxExpansion>>20)
				return "", false
			}
			b.WriteString(value)
			ok = ok && resolved
			text = after
		case o.expression:
			b.WriteString("{{")
			text = rest
		case !closed:
			d.fail(n, "{{ is never closed: }} is missing")
			return "", false
		case o.templates && (strings.HasPrefix(inner, "certificate.") || strings.HasPrefix(inner, "request.")):
			b.WriteString("{{" + raw + "}}")
			text = after
		default:
			d.unknownTemplate(n, inner, o)
			ok = false
			text = after
		}
	}
}

// unknownTemplate reports what stands in {{…}} and means nothing there.
func (d *decoder) unknownTemplate(n *yaml.Node, inner string, o options) {
	if o.secret {
		d.fail(n, "what stands in {{…}} here is not a named value: only {{named.…}} can be used here")
		return
	}
	word, _, _ := strings.Cut(inner, ".")
	e := Error{Position: d.at(n), Message: "{{" + bare(inner) + "}} is unknown: "}
	words := []string{"named"}
	switch {
	case o.templates:
		e.Message += "{{named.…}}, {{certificate.…}} and {{request.…}} can be used here"
		words = append(words, "certificate", "request")
	case word == "certificate" || word == "request":
		e.Message += "only {{named.…}} can be used here; {{" + word + ".…}} is for set_header and respond"
	default:
		e.Message += "only {{named.…}} can be used here"
	}
	if e.Suggestion = d.nearest(word, words); e.Suggestion == "" && d.named.byName[inner] != nil {
		e.Suggestion = "named." + inner
	}
	d.add(e)
}

func (d *decoder) resolveName(n *yaml.Node, name string, o options) (string, bool) {
	value := d.named.byName[name]
	switch {
	case value == nil && o.secret:
		d.fail(n, "a named value that is used here is not defined")
	case value == nil:
		d.add(Error{
			Position:   d.at(n),
			Message:    "the named value " + quote(name) + " is not defined",
			Suggestion: d.nearest(name, slices.Sorted(maps.Keys(d.named.byName))),
		})
	case d.doc.source.given(&value.Values):
		d.fail(n, "the named value %s is a list: it cannot be used inside a text", quote(name))
	default:
		return value.Value, true
	}
	return "", false
}
