package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
)

// target is a package to mutate.
type target struct {
	dir string
	// only is the file of header hygiene, "" for the whole package. Each call in it is a refusal, because what is set is as
	// important as what is removed; calls are the functions whose calls are left out in the other files.
	only  string
	calls []string
	tests []string // the packages whose tests can tell, the cheapest first
	whole []string // packages whose tests build the program, for what nobody else kills; they may not exist
}

// targets are the places that decide.
func targets() []target {
	whole := []string{"test/museum", "test/e2e"}
	return []target{
		{dir: "internal/certheader", tests: []string{"internal/certheader", "internal/gateway"}, whole: whole},
		{
			dir: "internal/gateway", only: "headers.go", calls: []string{"strip", "stripMethodOverrides", "identify"},
			tests: []string{"internal/gateway"}, whole: whole,
		},
		{dir: "internal/trust", tests: []string{"internal/trust", "internal/judge", "internal/gateway"}, whole: whole},
		{dir: "internal/judge", tests: []string{"internal/judge", "internal/gateway"}, whole: whole},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run does what the arguments say and writes the report to out. The error says that mutants survived, or that nothing could
// be found out.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	dir := flags.String("pkg", "", "mutate this package only, such as internal/judge")
	list := flags.Bool("list", false, "list the mutants and run nothing")
	own := flags.Bool("own", false, "run the package's own tests alone")
	match := flags.String("run", "", "only mutants whose place, such as internal/trust/set.go:35 NewSet, matches this expression")
	workers := flags.Int("parallel", runtime.NumCPU(), "how many mutants are tried at a time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*match)
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a folder for temporary files
	known := false
	var failed []error
	for _, t := range targets() {
		if *dir != "" && *dir != t.dir {
			continue
		}
		known = true
		if *own {
			t.tests, t.whole = t.tests[:1], nil
		}
		h := &hunt{root: root, folder: folder, target: t, equivalents: equivalents(), workers: *workers, pattern: pattern, out: out}
		if *list {
			err = h.list(ctx)
		} else {
			err = h.hunt(ctx)
		}
		failed = append(failed, err)
	}
	if !known {
		return fmt.Errorf("%q is no package that is mutated", *dir)
	}
	return errors.Join(failed...)
}
