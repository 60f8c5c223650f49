// Command sallyport is an API gateway whose callers prove themselves by client certificate.
//
// It owns flags, subcommands and what the terminal shows; deciding, serving and reading files is done by the packages
// below internal. It never exits but at the end of main: 0 is done or allowed, 1 refused or invalid, 2 wrong usage or
// input and output that failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait for anything
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// refusal is an error that ends with exit code 1: the answer is no, rather than that there is none. An empty one has
// been told already.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

var errTold = errors.New("")

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	refused, isRefusal := errors.AsType[refusal](err)
	if !isRefusal {
		fmt.Fprintf(stderr, "sallyport: %s\n", terminalLines(err.Error()))
		return exitUsage
	}
	if refused.error != errTold { //nolint:errorlint // the very value, not what wraps it
		fmt.Fprintln(stderr, terminalLines(refused.Error()))
	}
	return exitRefused
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "An API gateway whose callers prove themselves by client certificate",
		Long: `Sallyport ends TLS, asks for client certificates, judges every request against trust stores, lists and names,
tells the backend who is calling, and says why whenever it refuses.

Exit codes: 0 done or allowed, 1 refused or invalid, 2 wrong usage, or input and output that failed.`,
		Version:       readVersion().text(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(runCommand(), demoCommand(), validateCommand(), explainCommand(), certCommand(), schemaCommand(), versionCommand())
	refuseUnknownWords(root)
	return root
}

// refuseUnknownWords makes what is no command an error everywhere. By itself cobra shows the help of a command that only
// has subcommands, and is content: a script with a misspelt "cert verify" would go on as if the answer were yes.
func refuseUnknownWords(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch {
		case cmd.Name() == "help":
			cmd.Args = func(_ *cobra.Command, topic []string) error {
				_, rest, err := root.Find(topic)
				if err == nil && len(rest) > 0 {
					err = fmt.Errorf("unknown help topic %q", rest[0])
				}
				return err
			}
		case cmd.HasSubCommands():
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}
