package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/daemon"
	"sallyport/internal/demo"
	"sallyport/internal/gateway"
)

func demoCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try the gateway: throwaway certificates, an echo backend, and curl lines to paste",
		Long: `Demo makes a CA, a server's and three callers' certificates in a temporary folder, starts an echo backend and the
gateway on loopback, and prints what to try. It ends with Ctrl-C and removes the folder.`,
		Example: "  sallyport demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), address, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&address, "address", "127.0.0.1:8443", "where to listen; when it is taken, a free port is")
	return cmd
}

func runDemo(ctx context.Context, address string, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.RemoveAll(dir); err == nil {
			err = gone
		}
	}()
	backend, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	echo := &http.Server{Handler: demo.Echo(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = echo.Serve(backend) }() // ends with Close
	defer echo.Close()                      //nolint:errcheck // nothing is left to do about it

	site, err := demo.Write(dir, freeAddress(ctx, address), backend.Addr().String())
	if err != nil {
		return err
	}
	return daemon.Run(ctx, daemon.Options{
		Config: site.Config,
		Log:    out,
		Ready:  func(g *gateway.Gateway) { writeInvitation(out, site, g.Addresses()["public"]) },
	})
}

// freeAddress returns the address, or one with a free port of the same host when it is taken.
func freeAddress(ctx context.Context, address string) string {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		host, _, splitErr := net.SplitHostPort(address)
		if splitErr != nil {
			return address // Run says what is wrong with it
		}
		if l, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, "0")); err != nil {
			return address
		}
	}
	defer l.Close() //nolint:errcheck // it was never used
	return l.Addr().String()
}

// writeInvitation says what to try, each command on one line.
func writeInvitation(w io.Writer, site demo.Site, address string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		port = "8443"
	}
	url := "https://localhost:" + port + "/orders/"
	curl := fmt.Sprintf("curl --silent --show-error --cacert %s", site.Path("ca.pem"))
	caller := func(name string) string {
		return fmt.Sprintf("%s --cert %s --key %s %s", curl, site.Path(name+".pem"), site.Path(name+".key"), url)
	}
	fmt.Fprintf(w, `
Sallyport listens on %s; a backend behind it echoes what it gets. Try in another terminal:

  it works, and the backend sees who is calling (200):
%s

  no certificate (401 certificate_missing):
%s %s

  somebody else's certificate (403 certificate_untrusted):
%s

  a certificate of the right CA with the wrong name (403 certificate_not_allowed):
%s

  an API that asks for nothing (200):
%s https://localhost:%s/open/

Why a request was refused: in the log line below that has the request_id of the answer (reason, detail), or ask:
%s explain --config %s --cert %s %s

Ctrl-C ends it and removes %s.

`, address, caller("partner-a"), curl, url, caller("stranger"), caller("partner-b"), curl, port,
		os.Args[0], site.Config, site.Path("partner-b.pem"), url, site.Dir)
}
