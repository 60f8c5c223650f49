package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"

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
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("--address %q: want host:port, such as 127.0.0.1:8443", address)
	}
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
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, splitErr := net.SplitHostPort(address)
		if splitErr != nil {
			return address
		}
		l, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return address // Run says what is wrong with it
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
	file := func(name string) string { return shellWord(site.Path(name)) }
	curl := "curl --silent --show-error --cacert " + file("ca.pem")
	caller := func(name string) string {
		return fmt.Sprintf("%s --cert %s --key %s %s", curl, file(name+".pem"), file(name+".key"), url)
	}
	program, err := os.Executable() // absolute: the other terminal may be elsewhere
	if err != nil {
		program = os.Args[0]
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
		shellWord(program), shellWord(site.Config), file("partner-b.pem"), url, site.Dir)
}

// shellWord writes a text so that a POSIX shell reads it as one word.
func shellWord(text string) string {
	special := func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%,=", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	if text != "" && !strings.ContainsFunc(text, special) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
