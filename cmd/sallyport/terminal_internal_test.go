package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// What an error repeats, such as the name of a file, does not move the cursor or turn the line around.
func TestErrorsAreFitForATerminal(t *testing.T) {
	t.Parallel()
	const evil = "a\x1b[2J\x1b]0;x\x07\u202egnp\x9b31m.yaml"
	dir := t.TempDir()
	document := filepath.Join(dir, evil)
	if err := os.WriteFile(document, []byte("listeners: 1\napis: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, strings.TrimSuffix(evil, ".yaml")+".yml"), []byte("nothing: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args  []string
		code  int
		lines int // at least
	}{
		"a file that is not there":         {[]string{"cert", "inspect", dir + "/x" + evil}, exitUsage, 1},
		"several that are not there":       {[]string{"cert", "inspect", dir + "/x" + evil, dir + "/y" + evil}, exitUsage, 2},
		"a certificate":                    {[]string{"cert", "verify", "--trust", document, document}, exitUsage, 1},
		"a document":                       {[]string{"validate", "--config", document}, exitRefused, 3},
		"a folder":                         {[]string{"validate", "--config", folder}, exitRefused, 2},
		"a document that is run":           {[]string{"run", "--config", document}, exitRefused, 2},
		"a document that explains nothing": {[]string{"explain", "--config", document, "https://localhost/"}, exitRefused, 2},
		"a command":                        {[]string{evil}, exitUsage, 1},
		"a time":                           {[]string{"cert", "inspect", "--at", evil, document}, exitUsage, 1},
	} {
		var out, errs bytes.Buffer
		if code := execute(t.Context(), tt.args, &out, &errs); code != tt.code {
			t.Errorf("%s: exit code %d, want %d: %q", name, code, tt.code, errs.String())
		}
		text := errs.String()
		if strings.Count(text, "\n") < tt.lines {
			t.Errorf("%s: %q, want %d lines", name, text, tt.lines)
		}
		if strings.ContainsFunc(text+out.String(), func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }) {
			t.Errorf("%s: %q and %q", name, text, out.String())
		}
	}
	if got, want := terminalLines("a\n\tb\x1b\n"), "a\n\tb\uFFFD\n"; got != want {
		t.Errorf("terminalLines: %q, want %q", got, want)
	}
}

// Whoever waits for standard input can be ended.
func TestReadingStandardInputEndsWithTheProgram(t *testing.T) {
	t.Parallel()
	silent, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if data, err := readGiven(ctx, silent, "-", 10); err == nil || !strings.Contains(err.Error(), "read standard input: ") {
		t.Errorf("readGiven() = %q, %v", data, err)
	}
	if data, err := readGiven(t.Context(), strings.NewReader("0123456789a"), "-", 10); err == nil || !strings.Contains(err.Error(), "more than 10 bytes") {
		t.Errorf("readGiven() of too much = %q, %v", data, err)
	}
}
