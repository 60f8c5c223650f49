package main

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"sallyport/internal/testpki"
)

// TestMain lets the scripts run the program: they execute this test binary under its name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sallyport": main})
}

// TestScripts runs testdata/script/*.txtar. Each has a folder with certificates (see writeCertificates) and the command
// exits CODE PROGRAM ARG…, which wants that very exit code.
func TestScripts(t *testing.T) {
	t.Parallel()
	pki := t.TempDir()
	thumbprints := writeCertificates(t, pki)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Deadline:            time.Now().Add(2 * time.Minute), // a command that should have ended is interrupted
		Setup: func(env *testscript.Env) error {
			for name, sum := range thumbprints {
				env.Setenv("SHA256_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), sum)
			}
			return copyCertificates(filepath.Join(env.WorkDir, "pki"), pki)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func copyCertificates(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	keys, err := filepath.Glob(filepath.Join(to, "*.key"))
	for _, key := range keys { // CopyFS makes them readable by everybody
		err = errors.Join(err, os.Chmod(key, 0o600))
	}
	return err
}

// exits runs a program and fails unless it ends with the exit code. Its outputs are those that stdout, stderr and cmp
// look at afterwards.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// writeCertificates makes what the scripts need and returns the thumbprint of each certificate:
//
//	ca, foreign-ca   certification authorities
//	old-ca           one whose validity ended in 2021
//	issuing          an intermediate of ca
//	server           for localhost, of ca, for servers only
//	partner-a, -b    callers, of ca, valid through 2098
//	deep             a caller, of issuing; deep-chain.pem has its chain
//	stranger         a caller, of foreign-ca
//	old              a caller, of ca, whose validity ended in 2021
//	nameless         a caller, of ca, with an empty subject
//	weak             a caller, of ca, with an RSA key of 1024 bits
func writeCertificates(t *testing.T, dir string) map[string]string {
	t.Helper()
	name := func(cn string) testpki.Options {
		return testpki.Options{
			Subject:     pkix.Name{CommonName: cn, Organization: []string{"Acme"}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			NotBefore:   time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
			NotAfter:    time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC),
		}
	}
	ca, foreign := testpki.NewCA(t, testpki.Options{CommonName: "Partner CA"}), testpki.NewCA(t, testpki.Options{CommonName: "Foreign CA"})
	issuing := ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	server, old, weak := name("localhost"), name("old"), name("weak")
	server.ExtKeyUsage, server.Hosts = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"localhost"}
	old.NotAfter = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	weak.Key = testpki.RSA1024
	nameless := name("")
	nameless.RawSubject = []byte{0x30, 0}
	thumbprints := map[string]string{}
	for file, e := range map[string]*testpki.Entity{
		"ca": ca, "foreign-ca": foreign, "old-ca": testpki.NewCA(t, testpki.Options{CommonName: "Old CA", NotAfter: old.NotAfter}),
		"issuing": issuing, "server": ca.Leaf(t, server),
		"partner-a": ca.Leaf(t, name("partner-a")), "partner-b": ca.Leaf(t, name("partner-b")), "deep": issuing.Leaf(t, name("deep")),
		"stranger": foreign.Leaf(t, name("partner-a")), "old": ca.Leaf(t, old), "weak": ca.Leaf(t, weak), "nameless": ca.Leaf(t, nameless),
	} {
		e.Write(t, dir, file)
		if file == "deep" { // Write puts the chain into the file
			if err := os.WriteFile(filepath.Join(dir, "deep-chain.pem"), e.PEM(), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "deep.pem"), testpki.EncodePEM(e.Cert), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		sum := sha256.Sum256(e.Cert.Raw)
		thumbprints[file] = hex.EncodeToString(sum[:])
	}
	return thumbprints
}

// everyCommand returns the commands of this program, without those that cobra adds.
func everyCommand() []*cobra.Command {
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			return
		}
		all = append(all, cmd)
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(command())
	return all
}

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	names := []string{}
	for _, cmd := range everyCommand() {
		names = append(names, cmd.CommandPath())
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: Short is %q, want a phrase without a full stop", cmd.CommandPath(), cmd.Short)
		}
		if cmd.HasSubCommands() {
			continue
		}
		if cmd.Args == nil {
			t.Errorf("%s takes any arguments", cmd.CommandPath())
		}
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			words := strings.Fields(line)
			if !strings.HasPrefix(line, "  sallyport ") {
				t.Errorf("%s: the example %q is not two blanks and a call of sallyport", cmd.CommandPath(), line)
				continue
			}
			found, rest, err := command().Find(words[1:])
			if err != nil || found.CommandPath() != cmd.CommandPath() {
				t.Errorf("the example %q is one of %v (%v), want %s", line, found.CommandPath(), err, cmd.CommandPath())
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("the example %q: %v", line, err)
			}
			if err := found.ValidateRequiredFlags(); err != nil {
				t.Errorf("the example %q: %v", line, err)
			}
			if err := found.Args(found, found.Flags().Args()); err != nil {
				t.Errorf("the example %q: %v", line, err)
			}
		}
	}
	slices.Sort(names)
	want := []string{
		"sallyport", "sallyport cert", "sallyport cert inspect", "sallyport cert verify", "sallyport demo", "sallyport explain", "sallyport run",
		"sallyport schema", "sallyport validate", "sallyport version",
	}
	if !slices.Equal(names, want) {
		t.Errorf("commands %q, want %q", names, want)
	}
}

func TestShellWord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "/tmp/plain-1.2_3/ca.pem", "two words", "it's", "''", `"quoted"`, "$HOME", "`id`", "a;b", "a\nb", "*", "~", "#", `back\slash`, "größe", "!x",
	} {
		out, err := exec.Command("sh", "-c", "printf %s. "+shellWord(text)).Output()
		if err != nil {
			t.Errorf("%q is written %s: %v", text, shellWord(text), err)
		}
		if got := string(out); got != text+"." {
			t.Errorf("%q is written %s, which a shell reads as %q", text, shellWord(text), got)
		}
	}
	if got := shellWord("/tmp/plain-1.2_3/ca.pem"); got != "/tmp/plain-1.2_3/ca.pem" {
		t.Errorf("a plain path is written %s", got)
	}
}
