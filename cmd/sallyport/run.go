package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport/internal/config"
	"sallyport/internal/daemon"
)

func runCommand() *cobra.Command {
	var o daemon.Options
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the gateway",
		Long: `Run serves the configuration until it is interrupted. It loads it again on SIGHUP and when one of its files
changes; a configuration that is wrong changes nothing and the log says why. Log lines go to standard output.

SIGTERM and SIGINT end it in order: /readyz says no, everything is served for shutdown.delay, nobody new is accepted, and
requests may go on for shutdown.drain. A second signal ends it at once.`,
		Example: "  sallyport run --config sallyport.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.AdminHosts) > 0 && o.Admin == "" {
				return errors.New("--admin-host goes with --admin")
			}
			reload := make(chan struct{}, 1)
			stop := reloadOnHangup(reload)
			defer stop()
			o.AdminToken = os.Getenv(adminToken)
			o.Log, o.Reload, o.Version = cmd.OutOrStdout(), reload, readVersion().Version
			o.Logger = slog.SetDefault //nolint:forbidigo // net/http says some things to the default log only
			return refusedIfInvalid(daemon.Run(cmd.Context(), o))
		},
	}
	configFlag(cmd, &o.Config)
	cmd.Flags().BoolVar(&o.ServePartial, "serve-partial", false, "start although references are broken; the APIs that need them refuse")
	notYet(cmd, "data-dir", "the store")
	cmd.Flags().StringVar(&o.Admin, "admin", "", "address of /livez, /readyz, /metrics and, with "+adminToken+", refusals, such as :9901;\nloopback unless a host is given (default: none)")
	cmd.Flags().StringArrayVar(&o.AdminHosts, "admin-host", nil, "with --admin: a name, such as that of a service in a cluster, that requests may be sent to beside\nIP addresses and localhost; may be repeated")
	notYet(cmd, "etcd", "the store")
	return cmd
}

// notYet makes a flag that scripts may use one day say so, rather than be unknown or, worse, be ignored.
func notYet(cmd *cobra.Command, flag, what string) {
	cmd.Flags().Var(&unbuiltFlag{what}, flag, what+": not in this build")
	cmd.Flags().Lookup(flag).NoOptDefVal = "true" // with or without a value, the answer is the same
	_ = cmd.Flags().MarkHidden(flag)              // the flag exists
}

// unbuiltFlag refuses every value.
type unbuiltFlag struct{ what string }

func (*unbuiltFlag) String() string     { return "" }
func (*unbuiltFlag) Type() string       { return "value" }
func (f *unbuiltFlag) Set(string) error { return fmt.Errorf("this build does not have %s yet", f.what) }

func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "", "configuration: a file or a directory (required)")
	_ = cmd.MarkFlagRequired("config") // the flag exists
}

// reloadOnHangup sends on reload at every SIGHUP until the returned function is called. Several signals during one
// reload are one.
func reloadOnHangup(reload chan<- struct{}) (stop func()) {
	hangup, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-hangup:
				select {
				case reload <- struct{}{}:
				default:
				}
			}
		}
	}()
	return func() { signal.Stop(hangup); close(done) }
}

// refusedIfInvalid makes a wrong document exit code 1 rather than 2.
func refusedIfInvalid(err error) error {
	if list, ok := errors.AsType[config.ErrorList](err); ok {
		return refusal{list}
	}
	return err
}
