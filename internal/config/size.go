package config

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Size is a number of bytes; zero means that the key is absent. In YAML it is a whole number of bytes, or of KiB, MiB or
// GiB with the unit directly behind it, as in 64KiB.
type Size int64

// NoLimit is what the words unlimited and none stand for, where a key takes one of them.
const NoLimit Size = -1

const (
	kib Size = 1 << 10
	mib Size = 1 << 20
	gib Size = 1 << 30
)

// String returns the size as YAML has it, in the largest unit that leaves a whole number, and "unlimited" for NoLimit.
func (s Size) String() string {
	switch {
	case s == NoLimit:
		return "unlimited"
	case s <= 0 || s%kib != 0:
		return strconv.FormatInt(int64(s), 10)
	case s%mib != 0:
		return strconv.FormatInt(int64(s/kib), 10) + "KiB"
	case s%gib != 0:
		return strconv.FormatInt(int64(s/mib), 10) + "MiB"
	}
	return strconv.FormatInt(int64(s/gib), 10) + "GiB"
}

// size decodes a Size. The words of o are those that mean NoLimit.
func (d *decoder) size(n *yaml.Node, v reflect.Value, o options) bool {
	word := oneOf(o.enum)
	want := "a number of bytes such as 500, 64KiB or 1GiB"
	if word != "" {
		want = word + " or " + want
	}
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "%s must be %s, not %s", o.label, want, found(n, o))
		return false
	}
	text, ok := d.text(n, o)
	if !ok {
		return false
	}
	if slices.Contains(o.enum, text) {
		v.SetInt(int64(NoLimit))
		return true
	}
	size, ok := parseSize(text)
	switch {
	case !ok:
		d.add(Error{
			Position:   d.at(n),
			Message:    fmt.Sprintf("%s must be %s, not %s", o.label, want, quote(text)),
			Suggestion: cmp.Or(meantSize(text), d.nearest(text, o.enum)),
		})
		return false
	case size == 0 && word != "":
		d.fail(n, "%s must be more than 0, not %s: write %s if that is meant", o.label, quote(text), word)
		return false
	case size == 0:
		d.fail(n, "%s must be more than 0, not %s", o.label, quote(text))
		return false
	}
	v.SetInt(int64(size))
	return true
}

// parseSize parses a size in its only spelling. The size is 0 or more.
func parseSize(text string) (Size, bool) {
	digits, unit := text, Size(1)
	switch {
	case strings.HasSuffix(text, "KiB"):
		unit = kib
	case strings.HasSuffix(text, "MiB"):
		unit = mib
	case strings.HasSuffix(text, "GiB"):
		unit = gib
	}
	if unit > 1 {
		digits = text[:len(text)-len("KiB")]
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || number < 0 || strconv.FormatInt(number, 10) != digits || number > math.MaxInt64/int64(unit) {
		return 0, false
	}
	return Size(number) * unit, true
}

// meantSize returns the size that was probably meant by a text that is none, such as 64KiB for 64k and 64 KB: decimal
// units are close enough for a limit, but not to be taken for binary ones in silence. It returns "" when there is none.
func meantSize(text string) string {
	text = strings.TrimSpace(text)
	unit := strings.TrimLeft(text, "0123456789")
	digits := text[:len(text)-len(unit)]
	switch strings.ToLower(strings.TrimSuffix(strings.TrimSpace(unit), "/s")) {
	case "", "b", "byte", "bytes":
		unit = ""
	case "k", "kb", "kib":
		unit = "KiB"
	case "m", "mb", "mib":
		unit = "MiB"
	case "g", "gb", "gib":
		unit = "GiB"
	default:
		return ""
	}
	if size, ok := parseSize(digits + unit); !ok || size == 0 {
		return ""
	}
	return digits + unit
}
