package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAPipeThatNobodyWritesToIsAnError(t *testing.T) {
	t.Parallel()
	const patience = 30 * time.Millisecond
	tests := []struct {
		name  string
		write bool   // somebody has the pipe open
		text  string // what they write before they fall silent
	}{
		{name: "nobody opens it"},
		{name: "somebody opens it and says nothing", write: true},
		{name: "somebody stops in the middle", write: true, text: "listeners:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.write {
				f, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if _, err := f.WriteString(tt.text); err != nil {
					t.Fatal(err)
				}
			}
			data, err := readAny(path, maxFileSize, patience, nil)
			if err == nil || !strings.Contains(err.Error(), path+": nobody has written anything for 30ms") {
				t.Errorf("readAny() = %q, %v", data, err)
			}
		})
	}
}

func TestWhatComesThroughAPipeHasALimit(t *testing.T) {
	t.Parallel()
	if data, err := readAny("/dev/zero", 10, time.Second, nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("readAny() = %q, %v", data, err)
	}
	if data, err := readAny("/dev/null", 10, time.Hour, nil); err != nil || len(data) > 0 {
		t.Errorf("a device at its end: readAny() = %q, %v", data, err)
	}
	if data, err := readAny(t.TempDir(), 10, time.Second, nil); err == nil {
		t.Errorf("readAny() of a folder = %q", data)
	}
}

func TestNobodyHasToWaitForAPipe(t *testing.T) {
	t.Parallel()
	interrupted := make(chan struct{})
	close(interrupted)
	for _, tt := range []struct {
		name  string
		write bool // somebody has the pipe open
	}{
		{"that nobody opens", false},
		{"through which nothing comes", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.write {
				f, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
			}
			data, err := readAny(path, maxFileSize, time.Hour, interrupted)
			if err == nil || err.Error() != "read "+path+": interrupted" {
				t.Errorf("readAny() = %q, %v", data, err)
			}
		})
	}
}

// A shell's <(…) is a pipe without a name, whose writers are all there from the beginning: it has an end, even if nothing
// ever came.
func TestAnInheritedPipeHasAnEnd(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "listeners:"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/dev/fd/%d", r.Fd())
		if data, err := readAny(path, maxFileSize, time.Hour, nil); err != nil || string(data) != text {
			t.Errorf("readAny(%s) = %q, %v; want %q", path, data, err, text)
		}
	}
}

// A secret is often pasted where its name belongs: only what looks like a name is shown.
func TestOnlyWhatLooksLikeANameIsShown(t *testing.T) {
	t.Parallel()
	base64 := strings.Repeat("aB3d/", 30)
	tests := []struct {
		name, text      string
		variable, paths bool
	}{
		{"a variable", "PARTNER_KEY", true, false},
		{"a variable with digits", "_key9", true, false},
		{"the longest variable", strings.Repeat("A", 64), true, false},
		{"one that is longer", strings.Repeat("A", 65), false, false},
		{"one that begins with a digit", "9KEY", false, false},
		{"one with a hyphen", "PARTNER-KEY", false, false},
		{"letters that are not ASCII", "KÉY", false, false},
		{"nothing", "", false, false},
		{"a password", "hunter2!", false, false},
		{"a file", "server.key", false, true},
		{"a folder's file", "pki/server", false, true},
		{"a deep folder", "/etc/sallyport/partners/production/signing/credentials/partner-a.key", false, true},
		{"a path with a line break", "pki/a\nb.key", false, false},
		{"a path that is not UTF-8", "pki/\xff.key", false, false},
		{"a path of 201 bytes", strings.Repeat("a.b/", 50) + "c", false, false},
		{"a PEM block", "-----BEGIN PRIVATE KEY-----", false, false},
		{"a PEM block on one line", "-----BEGIN PRIVATE KEY----- a/b", false, false},
		{"base64", base64[:100] + "==", false, false},
		{"base64 after a dot", "./" + base64[:100], false, false},
		{"hex in a folder", "./" + strings.Repeat("0123456789abcdef", 4), false, false},
		{"a token in parts", "a." + strings.Repeat("x", 61) + ".b", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := variableName(tt.text) != hiddenName; got != tt.variable {
				t.Errorf("variableName(%q) shows it: %t", tt.text, got)
			}
			if got := looksLikePath(tt.text); got != tt.paths {
				t.Errorf("looksLikePath(%q) = %t", tt.text, got)
			}
		})
	}
}
