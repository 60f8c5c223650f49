package config

import (
	"strings"
	"testing"
	"time"
)

func TestASizeHasOneSpelling(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       Size
		meant      string // what is suggested where the text is no size
	}{
		{"bytes", "500", 500, ""},
		{"nothing, which is a size", "0", 0, ""},
		{"kibibytes", "64KiB", 64 << 10, ""},
		{"mebibytes", "3MiB", 3 << 20, ""},
		{"gibibytes", "1GiB", 1 << 30, ""},
		{"the largest", "9223372036854775807", 1<<63 - 1, ""},
		{"the largest in a unit", "8589934591GiB", 8589934591 << 30, ""},
		{"more than the largest", "9223372036854775808", -1, ""},
		{"more than the largest in a unit", "8589934592GiB", -1, ""},
		{"a product that comes round to 0", "17179869184GiB", -1, ""},
		{"a suggestion that would be too large", "8589934592GB", -1, ""},
		{"a decimal unit", "64KB", -1, "64KiB"},
		{"a letter", "64k", -1, "64KiB"},
		{"a letter for more", "2G", -1, "2GiB"},
		{"a unit in small letters", "3mib", -1, "3MiB"},
		{"a blank", "64 KiB", -1, "64KiB"},
		{"blanks around", " 64\t", -1, "64"},
		{"a unit of one", "64 Bytes", -1, "64"},
		{"a rate", "1KiB/s", -1, "1KiB"},
		{"a rate without a unit", "240/s", -1, "240"},
		{"two units", "1KiBKiB", -1, ""},
		{"a unit alone", "KiB", -1, ""},
		{"nothing at all", "", -1, ""},
		{"a sign", "+1", -1, ""},
		{"less than nothing", "-1KiB", -1, ""},
		{"less than nothing by its sign", "-0", -1, ""},
		{"a fraction", "1.5KiB", -1, ""},
		{"a zero in front", "01KiB", -1, ""},
		{"a zero in front, and no suggestion of the like", "01KB", -1, ""},
		{"a suggestion of nothing", "0KB", -1, ""},
		{"hexadecimal", "0x10", -1, ""},
		{"other digits", "١KiB", -1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseSize(tt.text)
			if ok != (tt.want >= 0) || ok && got != tt.want {
				t.Errorf("parseSize(%q) = %d, %t; want %d", tt.text, got, ok, tt.want)
			}
			if ok {
				return
			}
			if meant := meantSize(tt.text); meant != tt.meant {
				t.Errorf("meantSize(%q) = %q; want %q", tt.text, meant, tt.meant)
			}
		})
	}
}

func TestTimesAreWrittenShort(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"24h": 24 * time.Hour, "1h30m": 90 * time.Minute, "1h0m10s": time.Hour + 10*time.Second, "10m": 10 * time.Minute, "10s": 10 * time.Second,
		"1m10s": 70 * time.Second, "1ms": time.Millisecond, "0s": time.Duration(0), "100": 100, "1MiB": mib,
	} {
		if got := amount(v); got != want {
			t.Errorf("amount(%v) = %s; want %s", v, got, want)
		}
	}
}

// FuzzParseSize holds that a size has one spelling for each unit, that it prints as a size, and that what is suggested is
// one.
func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"500", "64KiB", "1GiB", "0", "64KB", "64 k", "1KiB/s", "9223372036854775807KiB", "01", "-1", "1.5GiB", "unlimited"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, ok := parseSize(text)
		if !ok {
			if meant := meantSize(text); meant != "" {
				if again, ok := parseSize(meant); !ok || again <= 0 {
					t.Errorf("meantSize(%q) = %q, which is %d, %t", text, meant, again, ok)
				}
			}
			return
		}
		if size < 0 || strings.Trim(text, "0123456789KMGiB") != "" {
			t.Errorf("parseSize(%q) = %d", text, size)
		}
		if again, ok := parseSize(size.String()); !ok || again != size {
			t.Errorf("%q is %d, and prints as %s, which is %d, %t", text, size, size, again, ok)
		}
	})
}
