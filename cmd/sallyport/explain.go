package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/config"
	"sallyport/internal/daemon"
	"sallyport/internal/gateway"
	"sallyport/internal/judge"
	"sallyport/internal/keystore"
)

func explainCommand() *cobra.Command {
	var path, cert, at string
	var asJSON bool
	var q judge.Question
	cmd := &cobra.Command{
		Use:   "explain --config FILE [--cert PEM] URL",
		Short: "Say what the gateway would decide about a request, and why",
		Long: `Explain decides about a request that nobody sent, with the functions that decide about live ones, and shows the
checks that led there. Without --cert the caller has no certificate. Exit code 0 means allowed, 1 refused.`,
		Example: `  sallyport explain --config sallyport.yaml --cert partner-a.pem https://localhost:8443/orders/`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.URL = args[0]
			var err error
			if q.Presented, err = certificates(cert); err != nil {
				return err
			}
			if q.At, err = moment(at); err != nil {
				return err
			}
			e, err := explain(path, q)
			if err != nil {
				return refusedIfInvalid(err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), e)
			} else {
				err = writeExplanation(cmd.OutOrStdout(), e)
			}
			if err == nil && e.Decision != "allow" {
				return refusal{errTold}
			}
			return err
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	f := cmd.Flags()
	f.StringVar(&cert, "cert", "", "the caller's certificate: PEM, the leaf first, intermediates after it")
	f.StringVar(&q.Listener, "listener", "", "the listener's name; by default the one that has the URL's port")
	f.StringVar(&q.Method, "method", "GET", "the HTTP method")
	f.StringVar(&q.Host, "host", "", "the Host field, where it differs from the URL's host")
	notYet(cmd, "header", "certificates in headers")
	f.StringVar(&at, "at", "", "the time of the request (RFC 3339); by default now")
	return cmd
}

func explain(path string, q judge.Question) (*judge.Explanation, error) {
	clock := gateway.NewClock(nil)
	checked, err := daemon.Check(path, config.Options{ServePartial: true}, nil, clock)
	if err != nil {
		return nil, err
	}
	if err := checked.Runnable(); err != nil {
		return nil, err
	}
	return checked.Snapshot.Rules().Explain(q, clock.Now())
}

// certificates reads a PEM file; no name means no certificate.
func certificates(name string) ([]*x509.Certificate, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	bundle, err := keystore.ParsePEM(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(bundle.Certificates) == 0 {
		return nil, fmt.Errorf("%s: there is no certificate in it", name)
	}
	return bundle.Certificates, nil
}

// moment parses a time; no text means the zero time.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--at %q: want RFC 3339, such as 2027-03-15T00:00:00Z", text)
	}
	return t, nil
}

func writeExplanation(w io.Writer, e *judge.Explanation) error {
	status := ""
	switch {
	case e.Handshake:
		status = " (in the handshake: there is no HTTP answer)"
	case e.Status != 0:
		status = fmt.Sprintf(" (status %d)", e.Status)
	}
	fmt.Fprintf(w, "%s: %s%s\n", e.Decision, e.Reason, status)
	if e.Detail != "" {
		fmt.Fprintf(w, "  %s\n", e.Detail)
	}
	if e.WouldBe != nil {
		fmt.Fprintf(w, "  observe_only: without it the answer would be %s\n", *e.WouldBe)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"listener", e.Listener},
		{"server name", e.ServerName},
		{"TLS profile", e.Profile},
		{"API", joined(e.API, e.Version)},
		{"caller", e.Caller},
	} {
		if row[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
		}
	}
	fmt.Fprintln(table, "checks")
	for _, c := range e.Checks {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", c.Outcome, c.Name, c.Detail)
	}
	return table.Flush()
}

func joined(name, version string) string {
	if version == "" {
		return name
	}
	return name + "@" + version
}
