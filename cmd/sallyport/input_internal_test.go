package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/internal/testpki"
)

// A pipe through which nothing comes keeps nobody from ending the program, and the error says what was waited for.
func TestWaitingForAPipeEndsWithTheProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	known, _ := testpki.NewCA(t, testpki.Options{}).Write(t, dir, "ca")
	document := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(document, []byte("listeners: [{name: plain, address: \"127.0.0.1:0\"}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, says string // what stands before the path
		args       []string
	}{
		{"an argument of cert inspect", "read ", []string{"cert", "inspect", "PIPE"}},
		{"a password of cert inspect", "--password-file: read ", []string{"cert", "inspect", "--password-file", "PIPE", known}},
		{"the leaf of cert verify", "read ", []string{"cert", "verify", "--trust", known, "PIPE"}},
		{"the trust of cert verify", "--trust: read ", []string{"cert", "verify", "--trust", "PIPE", known}},
		{"the intermediates of cert verify", "--intermediates: read ", []string{"cert", "verify", "--trust", known, "--intermediates", "PIPE", known}},
		{"the certificate of explain", "--cert: read ", []string{"explain", "--config", document, "--cert", "PIPE", "http://localhost/"}},
		{"the document of explain", "load configuration: read ", []string{"explain", "--config", "PIPE", "http://localhost/"}},
		{"the document of validate", "load configuration: read ", []string{"validate", "--config", "PIPE"}},
		{"the document of run", "load configuration: read ", []string{"run", "--config", "PIPE"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			args := strings.Split(strings.ReplaceAll(strings.Join(tt.args, "\x00"), "PIPE", pipe), "\x00")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var out, errs bytes.Buffer
			code := make(chan int, 1)
			go func() {
				code <- execute(ctx, args, &out, &errs)
				if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil { // whoever still waits for the program to open it need not
					defer f.Close()
				}
			}()
			writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // it waits until the program reads
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Close()
			cancel()
			if got := <-code; got != exitUsage {
				t.Errorf("exit code %d, want %d", got, exitUsage)
			}
			if want := "sallyport: " + tt.says + pipe + ": interrupted\n"; errs.String() != want {
				t.Errorf("%q, want %q", errs.String(), want)
			}
			if out.Len() > 0 {
				t.Errorf("standard output has %q", out.String())
			}
		})
	}
}
