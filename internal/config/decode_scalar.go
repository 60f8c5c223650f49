package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// usable refuses what YAML allows and a configuration should not hold: aliases, anchors, tags, braces that were meant as
// a template, and values that are not there.
func (d *decoder) usable(n *yaml.Node, o options) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.fail(n, "aliases (*name) are not supported: repeat the value")
	case n.Anchor != "":
		d.fail(n, "anchors (&name) are not supported: write the value without one, or quote it if the text begins with &")
	case n.Style&yaml.TaggedStyle != 0 && o.secret:
		d.fail(n, "a value that begins with ! must be quoted")
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n, "%s is a YAML tag here, and the value would lose it: quote the whole value", quote(n.Tag))
	case n.Kind == yaml.MappingNode && len(n.Content) > 0 && n.Content[0].Kind == yaml.MappingNode:
		d.fail(n, `braces without quotes are a mapping: quote the value, as in "{{named.x}}"`)
	case isNull(n):
		d.fail(n, "%s has no value: remove the key or give it a value", o.label)
	default:
		return true
	}
	return false
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style == 0 && n.Tag == "!!null"
}

// isKey refuses keys that are not plain words or quoted texts.
func (d *decoder) isKey(n *yaml.Node, o options) bool {
	switch {
	case n.Kind == yaml.ScalarNode && n.Style == 0 && n.Value == "<<":
		d.fail(n, "merge keys (<<) are not supported: write the keys out")
	case n.Kind == yaml.MappingNode:
		d.fail(n, `braces without quotes are a mapping: quote the value, as in "{{named.x}}"`)
	case n.Kind == yaml.SequenceNode:
		d.fail(n, "a key must be a text, not a list")
	case isNull(n):
		d.fail(n, "a key is missing here")
	default:
		return d.usable(n, o)
	}
	return false
}

func (d *decoder) isList(n *yaml.Node, o options) bool {
	if n.Kind == yaml.SequenceNode {
		return true
	}
	if n.Kind == yaml.MappingNode {
		d.fail(n, `%s must be a list, not a mapping: put "- " before its first key`, o.label)
	} else {
		d.fail(n, "%s must be a list, not %s: write [%s]", o.label, found(n, o), bare(n.Value))
	}
	return false
}

// text returns what a scalar says, whatever YAML would resolve it to, with named values filled in.
func (d *decoder) text(n *yaml.Node, o options) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "%s must be a text, not %s", o.label, found(n, o))
		return "", false
	}
	text := n.Value
	if strings.Contains(text, "{{") {
		var ok bool
		if text, ok = d.substitute(n, text, o); !ok {
			return "", false
		}
	}
	if strings.ContainsRune(text, 0) {
		d.fail(n, "%s holds a NUL character", o.label)
		return "", false
	}
	if text == "" && !o.empty {
		d.fail(n, "%s is empty: remove the key or give it a value", o.label)
		return "", false
	}
	return text, true
}

// word returns a text that is one of those allowed.
func (d *decoder) word(n *yaml.Node, o options) (string, bool) {
	text, ok := d.text(n, o)
	if !ok || o.enum == nil || slices.Contains(o.enum, text) {
		return text, ok
	}
	d.add(Error{
		Position:   d.at(n),
		Message:    fmt.Sprintf("%s must be %s, not %s", o.label, oneOf(o.enum), quote(text)),
		Suggestion: d.nearest(text, o.enum),
	})
	return "", false
}

func (d *decoder) boolean(n *yaml.Node, v reflect.Value, o options) bool {
	text, ok := d.plain(n, o, "true or false")
	if !ok {
		return false
	}
	if text != "true" && text != "false" {
		d.fail(n, "%s must be true or false, not %s", o.label, found(n, o))
		return false
	}
	v.SetBool(text == "true")
	return true
}

func (d *decoder) integer(n *yaml.Node, v reflect.Value, o options) bool {
	text, ok := d.plain(n, o, "a whole number")
	if !ok {
		return false
	}
	number, err := strconv.Atoi(text)
	if err != nil || text != strconv.Itoa(number) {
		d.fail(n, "%s must be a whole number, not %s", o.label, found(n, o))
		return false
	}
	v.SetInt(int64(number))
	return true
}

// plain returns the text of a scalar without quotes, or of one that a named value was filled into.
func (d *decoder) plain(n *yaml.Node, o options, want string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fail(n, "%s must be %s, not %s", o.label, want, found(n, o))
	case n.Style != 0 && !strings.Contains(n.Value, "{{"):
		d.fail(n, "%s must be %s without quotes", o.label, want)
	default:
		return d.text(n, o)
	}
	return "", false
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, o options) bool {
	text, ok := d.text(n, o)
	if !ok {
		return false
	}
	length, err := time.ParseDuration(text)
	switch {
	case err != nil && strings.Trim(text, "0123456789") == "":
		d.fail(n, "%s needs a unit: write %ss for seconds, or ms, m or h", o.label, shorten(text))
		return false
	case err != nil:
		d.fail(n, "%s must be a time such as 250ms, 5s or 24h, not %s", o.label, quote(text))
		return false
	case length < 0 && o.zero:
		d.fail(n, "%s must be at least 0, not %s", o.label, quote(text))
		return false
	case length <= 0 && !o.zero:
		d.fail(n, "%s must be more than 0, not %s", o.label, quote(text))
		return false
	}
	v.SetInt(int64(length))
	return true
}

// unmarshal decodes a type that reads its own text.
func (d *decoder) unmarshal(n *yaml.Node, to encoding.TextUnmarshaler, o options) bool {
	text, ok := d.text(n, o)
	if !ok {
		return false
	}
	if p, ok := to.(*netip.Prefix); ok {
		return d.network(n, p, text)
	}
	if err := to.UnmarshalText([]byte(text)); err != nil {
		d.fail(n, "%s: %s", o.label, oneLine(err.Error()))
		return false
	}
	return true
}

// network decodes an IP network in its canonical form, so that what is written is what is compared.
func (d *decoder) network(n *yaml.Node, p *netip.Prefix, text string) bool {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		if addr, aerr := netip.ParseAddr(text); aerr == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			d.fail(n, "%s is an address: write the network %s", quote(text), netip.PrefixFrom(addr, addr.BitLen()))
			return false
		}
		d.fail(n, "%s is not a network such as 10.0.0.0/8 or 2001:db8::/32", quote(text))
		return false
	}
	canonical := prefix.Masked()
	if a := canonical.Addr(); a.Is4In6() && canonical.Bits() >= 96 {
		canonical = netip.PrefixFrom(a.Unmap(), canonical.Bits()-96)
	}
	if canonical != prefix {
		d.fail(n, "%s is not the network's canonical form: write %s", quote(text), canonical)
		return false
	}
	*p = prefix
	return true
}

// scalarForm decodes the types that a scalar can stand for; handled is false for all others.
func (d *decoder) scalarForm(n *yaml.Node, v reflect.Value, o options) (ok, handled bool) {
	switch v := v.Addr().Interface().(type) {
	case *Secret:
		if !o.text {
			return false, false
		}
		text, ok := d.text(n, o)
		if ok {
			v.value = &hidden{[]byte(text)}
		}
		return ok, true
	case *CertificateRef:
		text, ok := d.text(n, o)
		d.doc.source.places[v.classify(text)] = d.place(n)
		return ok, true
	case *Anchor:
		text, ok := d.text(n, o)
		if !ok {
			return false, true
		}
		v.Certificate = &CertificateRef{}
		for _, at := range []any{&v.Certificate, v.Certificate, v.Certificate.classify(text)} {
			d.doc.source.places[at] = d.place(n)
		}
		return true, true
	case *KeyStoreRef:
		v.File, ok = d.text(n, o)
		d.doc.source.places[any(&v.File)] = d.place(n)
		return ok, true
	case *CRLSource:
		text, ok := d.text(n, o)
		if strings.Contains(text, "://") {
			v.URL = text
			d.doc.source.places[any(&v.URL)] = d.place(n)
		} else {
			v.File = text
			d.doc.source.places[any(&v.File)] = d.place(n)
		}
		return ok, true
	case *Matcher:
		text, ok := d.text(n, o)
		if ok && text != inheritWord {
			d.fail(n, "%s must be a mapping such as {subject: …} or the word inherit, not %s", o.label, quote(text))
			ok = false
		}
		v.Inherit = true // also when it is wrong: nothing else in it needs to be checked
		return ok, true
	case *Errors:
		o.enum = d.styles()
		style, ok := d.word(n, o)
		v.Style = ErrorStyle(style)
		return ok, true
	}
	return false, false
}

// styles are the vendors' styles of Errors, for its scalar form.
func (d *decoder) styles() []string {
	info := d.info(reflect.TypeFor[Errors]())
	return info.list[info.fields["style"]].enum
}

// classify tells what a certificate reference written as a text means, and returns the field that it went to.
func (r *CertificateRef) classify(text string) *string {
	field := &r.Name
	switch {
	case strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN"):
		field = &r.PEM
	case len(text) == 64 && strings.Trim(text, "0123456789abcdefABCDEF") == "":
		field = &r.ID
	case strings.Contains(text, "/"), strings.Contains(text, ".") && !strings.Contains(text, "@"):
		field = &r.File
	}
	*field = text
	return field
}

// found says what stands where something else was expected.
func found(n *yaml.Node, o options) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case o.secret:
		return "a text"
	}
	return quote(n.Value)
}

// quote quotes what the user wrote, shortened so that a message stays a line.
func quote(s string) string { return strconv.Quote(shorten(s)) }

// quotePath quotes a path; what counts is its end.
func quotePath(path string) string {
	const limit = 300
	if runes := []rune(path); len(runes) > limit {
		path = "…" + string(runes[len(runes)-limit:])
	}
	return strconv.Quote(path)
}

func shorten(s string) string {
	const limit = 60
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// bare is quote without the quotes where they change nothing.
func bare(s string) string {
	if quoted := quote(s); quoted[1:len(quoted)-1] != shorten(s) {
		return quoted
	}
	return shorten(s)
}

// oneLine keeps a message of another package on one line and free of what a terminal would act on.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}
