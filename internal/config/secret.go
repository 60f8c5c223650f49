package config

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
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
