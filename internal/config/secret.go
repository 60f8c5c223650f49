package config

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// redacted is what every secret prints as.
const redacted = "[secret]"

// hidden keeps a secret behind a pointer: package fmt prints the fields of a value without its methods where it is a
// field that is not exported, or the verb is %p, but does not follow pointers there.
type hidden struct{ bytes []byte }

// Reveal returns a copy of what the secret stands for; nil when the reference is broken or the secret is nil.
func (s *Secret) Reveal() []byte {
	if s == nil || s.value == nil {
		return nil
	}
	return slices.Clone(s.value.bytes)
}

// String returns "[secret]".
func (Secret) String() string { return redacted }

// GoString returns "[secret]".
func (Secret) GoString() string { return redacted }

// Format writes "[secret]" whatever the verb, so that no verb of package fmt reaches the fields.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[secret]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[secret]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// hiddenName stands in messages for what may be a secret that was put where a name belongs.
const hiddenName = "that is named here"

// variableName returns the name of an environment variable for messages, unless it does not look like one.
func variableName(text string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
	if text == "" || len(text) > 64 || !strings.Contains(letters, text[:1]) ||
		strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(letters+"0123456789", r) }) {
		return hiddenName
	}
	return quote(text)
}

// looksLikePath reports whether a text can be shown as the path of a file: it has a slash or a dot, and is neither PEM nor
// anything like a key in hex or base64.
func looksLikePath(text string) bool {
	const maxRun = 60
	if len(text) > 200 || !strings.ContainsAny(text, "/.") || strings.Contains(text, "-----BEGIN") || !utf8.ValidString(text) ||
		strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return false
	}
	noDigit := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("+/=_-", r)
	}
	for run := range strings.FieldsFuncSeq(text, noDigit) {
		if len(run) <= maxRun {
			continue
		}
		// A slash is a digit of base64, too, but a path is rarely written in all of its digits.
		mixed := strings.ContainsFunc(run, unicode.IsUpper) && strings.ContainsFunc(run, unicode.IsLower) && strings.ContainsFunc(run, unicode.IsDigit)
		if mixed || slices.ContainsFunc(strings.Split(run, "/"), func(segment string) bool { return len(segment) > maxRun }) {
			return false
		}
	}
	return true
}
