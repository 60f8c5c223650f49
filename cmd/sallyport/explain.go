package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"sallyport/internal/admin"
	"sallyport/internal/config"
	"sallyport/internal/daemon"
	"sallyport/internal/gateway"
	"sallyport/internal/judge"
	"sallyport/internal/keystore"
)

// adminToken is the environment variable with the token of the admin address, for run and for those who ask it.
const adminToken = "SALLYPORT_ADMIN_TOKEN"

func explainCommand() *cobra.Command {
	var path, cert, at, requestID, address string
	var fields []string
	var asJSON bool
	var q judge.Question
	cmd := &cobra.Command{
		Use:   "explain {--config FILE [--cert PEM] URL | --request-id ID --admin ADDR}",
		Short: "Say what the gateway would decide about a request, or why it refused one",
		Long: `Explain decides about a request that nobody sent, with the functions that decide about live ones, and shows the
checks that led there and what to change. Without --cert the caller has no certificate. Exit code 0 means allowed, 1
refused.

With --request-id it asks a running gateway about a request that it refused. The id is in the answer and in the access
record; the gateway remembers about the last thousand refusals. It has to run with --admin and ` + adminToken + `, and
the same token has to be in the environment here. What was presented is judged again by the rules that run now.`,
		Example: `  sallyport explain --config sallyport.yaml --cert partner-a.pem https://localhost:8443/orders/
  sallyport explain --request-id 0123456789abcdef0123456789abcdef --admin :9901`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("request-id") {
				if len(args) > 0 {
					return errors.New("--request-id is about a request of the past: it goes with --admin alone, and without a URL")
				}
				if requestID == "" {
					return errors.New("--request-id is empty: the id is in the answer and in the access record")
				}
				for _, flag := range []string{"config", "cert", "at", "listener", "method", "host", "field"} {
					if cmd.Flags().Changed(flag) {
						return errors.New("--request-id is about a request of the past: it goes with --admin alone, and without --" + flag)
					}
				}
				return explainPast(cmd, &admin.Client{Address: address, Token: os.Getenv(adminToken)}, requestID, asJSON)
			}
			if address != "" || path == "" || len(args) != 1 {
				return errors.New("want --config and a URL, or --request-id and --admin")
			}
			q.URL = args[0]
			var err error
			if cmd.Flags().Changed("cert") { // an empty name is a variable that nobody set, not a caller without a certificate
				if q.Presented, err = certificates(cmd.Context(), cmd.InOrStdin(), keystore.Look, "--cert", cert); err != nil {
					return err
				}
			}
			if q.At, err = moment(at); err != nil {
				return err
			}
			if q.Fields, err = questionFields(fields); err != nil {
				return err
			}
			e, err := explain(cmd.Context(), path, q)
			if err != nil {
				return unexplained(cmd.OutOrStdout(), err, asJSON)
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
	jsonFlag(cmd, &asJSON)
	f := cmd.Flags()
	f.StringVarP(&path, "config", "c", "", "configuration: a file or a directory")
	f.StringVar(&cert, "cert", "", "the caller's certificate: PEM or DER, the leaf first, intermediates after it, or a key store\n(its password in SALLYPORT_PASSWORD); - is standard input")
	f.StringVar(&q.Listener, "listener", "", "the listener's name; by default the one that has the URL's port")
	f.StringVar(&q.Method, "method", "GET", "the HTTP method")
	f.StringVar(&q.Host, "host", "", "the Host field, where it differs from the URL's host")
	f.StringArrayVar(&fields, "field", nil, "a header field of the request, such as 'X-Tenant: acme', for expressions; may be repeated")
	notYet(cmd, "header", "certificates in headers")
	f.StringVar(&at, "at", "", "the time of the request (RFC 3339); by default now")
	f.StringVar(&requestID, "request-id", "", "the id of a request that a running gateway refused")
	f.StringVar(&address, "admin", "", "with --request-id: the admin address of that gateway")
	return cmd
}

// invalid is what explain --json says of a document that cannot be explained by: its errors, as validate has them.
type invalid struct {
	Errors []finding `json:"errors"`
}

// unexplained is the error of a question that has no answer; for programs the errors of a document are written.
func unexplained(w io.Writer, err error, asJSON bool) error {
	list, ok := errors.AsType[config.ErrorList](err)
	if !ok || !asJSON {
		return refusedIfInvalid(err)
	}
	if err := writeJSON(w, invalid{findingsOf(list)}); err != nil {
		return err
	}
	return refusal{errTold}
}

// explainPast prints what a running gateway says about a request that it refused. The exit code is that of the decision of
// then.
func explainPast(cmd *cobra.Command, client *admin.Client, requestID string, asJSON bool) error {
	switch {
	case client.Address == "":
		return errors.New("--request-id needs --admin: the address of the running gateway")
	case client.Token == "":
		return errors.New("--request-id needs the token of the admin address in " + adminToken)
	}
	past, err := client.Refusal(cmd.Context(), requestID)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), past)
	} else {
		err = writePast(cmd.OutOrStdout(), past)
	}
	if err == nil && past.Decision != "allow" {
		return refusal{errTold}
	}
	return err
}

func writePast(w io.Writer, p *gateway.Recollection) error {
	what := p.Method + " " + p.Host + p.Path
	if p.Handshake {
		what = "a handshake"
	}
	fmt.Fprintf(w, "%s: %s from %s on listener %s\n", p.Time.UTC().Format(time.RFC3339), terminal(what), p.Remote, p.Listener)
	observed := ""
	if p.Decision == "allow" && p.Failure == "" {
		observed = " (observe_only; it would have been refused)"
	}
	fmt.Fprintf(w, "was decided by generation %d: %s%s: %s", p.Generation, p.Decision, observed, p.Reason)
	if p.Status != 0 {
		fmt.Fprintf(w, " (status %d)", p.Status)
	}
	fmt.Fprintln(w)
	for _, text := range []string{p.Detail, p.Failure} {
		if text != "" {
			fmt.Fprintf(w, "  %s\n", terminal(text))
		}
	}
	fmt.Fprintln(w)
	if p.Explanation == nil {
		fmt.Fprintf(w, "it cannot be judged again: %s\n", p.Unexplained)
		writeChanges(w, p.Changes)
		return nil
	}
	fmt.Fprintf(w, "judged again by generation %d, at the time of then:\n", p.ExplainedBy)
	if p.After {
		fmt.Fprintln(w, "(the rules let it pass; what refused it came afterwards, and stands above)")
		writeChanges(w, p.Changes)
	}
	return writeExplanation(w, p.Explanation)
}

func explain(ctx context.Context, path string, q judge.Question) (*judge.Explanation, error) {
	clock := gateway.NewClock(nil)
	checked, err := daemon.Check(path, config.Options{ServePartial: true, Done: ctx.Done()}, nil, clock)
	if err != nil {
		return nil, err
	}
	if err := checked.Runnable(); err != nil {
		return nil, err
	}
	return checked.Snapshot.Rules().Explain(q, clock.Now())
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

// insists is what the table says of a handshake.
func insists(yes bool) string {
	if !yes {
		return ""
	}
	return "insists on an acceptable certificate"
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
		fmt.Fprintf(w, "  %s\n", terminal(e.Detail))
	}
	if e.WouldBe != nil {
		fmt.Fprintf(w, "  observe_only: without it the answer would be %s\n", *e.WouldBe)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"listener", e.Listener},
		{"server name", e.ServerName},
		{"TLS profile", e.Profile},
		{"handshake", insists(e.Insists)},
		{"TLS alert", e.Alert},
		{"API", joined(e.API, e.Version)},
		{"rules", e.Rules},
		{"caller", callerOf(e)},
		{"certificate path", path(e.Path)},
	} {
		if row[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", row[0], terminal(row[1]))
		}
	}
	fmt.Fprintln(table, "checks")
	for _, c := range e.Checks {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", c.Outcome, c.Name, terminal(c.Detail))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	writeChanges(w, e.Changes)
	return nil
}

func writeChanges(w io.Writer, changes []string) {
	for i, text := range changes {
		if i == 0 {
			fmt.Fprintln(w, "what to change")
		}
		fmt.Fprintf(w, "  - %s\n", terminal(text))
	}
}

// emptySubject stands for a name without attributes.
const emptySubject = "(empty subject)"

// callerOf names the caller, "" for an anonymous one.
func callerOf(e *judge.Explanation) string {
	if e.CallerSHA256 == "" {
		return ""
	}
	return cmp.Or(e.Caller, emptySubject)
}

// path is a certification path in one line, the leaf first.
func path(certs []judge.Certificate) string {
	var names []string
	for _, c := range certs {
		names = append(names, cmp.Or(c.Subject, emptySubject))
	}
	return strings.Join(names, "  <  ")
}

func joined(name, version string) string {
	if version == "" {
		return name
	}
	return name + "@" + version
}

// terminalLines is terminal for texts of several lines, such as lists of errors.
func terminalLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		parts := strings.Split(line, "\t")
		for k, part := range parts {
			parts[k] = terminal(part)
		}
		lines[i] = strings.Join(parts, "\t")
	}
	return strings.Join(lines, "\n")
}

// terminal makes a text fit for a terminal: what callers and certificates say must not move the cursor or turn the
// direction of writing.
func terminal(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
