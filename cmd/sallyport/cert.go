package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/keystore"
	"sallyport/internal/trust"
)

func certCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Look at certificates",
	}
	cmd.AddCommand(certInspectCommand(), certVerifyCommand())
	return cmd
}

func certVerifyCommand() *cobra.Command {
	var anchors, intermediates []string
	var at, purpose string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify --trust FILE [--intermediates FILE] LEAF",
		Short: "Say whether a certificate has an acceptable path to a trust anchor, and why not",
		Long: `Verify checks a certificate as a trust store of the gateway would: the path to an anchor (RFC 5280), validity,
purpose, and the strength of keys and signatures. A CA certificate in --trust is an anchor, any other is a pin: exactly
that certificate. A file called - is standard input, and a pipe will do for a file. Exit code 0 means accepted, 1 refused.`,
		Example: "  sallyport cert verify --trust ca.pem --intermediates issuing.pem partner-a.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			names := given{anchors: anchors, intermediates: intermediates, leaf: args[0], stdin: cmd.InOrStdin()}
			r, err := certVerify(cmd.Context(), names, at, purpose)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.write(cmd.OutOrStdout())
			}
			if err == nil && !r.Reason.Allowed() {
				return refusal{errTold}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&anchors, "trust", nil, "PEM with trust anchors and pins (required, may be repeated)")
	_ = cmd.MarkFlagRequired("trust") // the flag exists
	f.StringArrayVar(&intermediates, "intermediates", nil, "PEM with intermediates that a client would send (may be repeated)")
	notYet(cmd, "crl", "revocation")
	f.StringVar(&at, "at", "", "the time to check for (RFC 3339); by default now")
	f.StringVar(&purpose, "purpose", "client_auth", "client_auth, server_auth, any or client_auth_or_missing")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// verification is what cert verify found.
type verification struct {
	Reason  decision.Reason  `json:"reason"`
	Detail  string           `json:"detail,omitempty"`
	Subject string           `json:"subject"`
	SHA256  string           `json:"sha256"`
	At      time.Time        `json:"at"`
	Path    []pathElement    `json:"path"` // leaf first; empty unless the reason is ok
	Pinned  bool             `json:"pinned"`
	Checks  []decision.Check `json:"checks"`
}

type pathElement struct {
	Subject  string    `json:"subject"`
	SHA256   string    `json:"sha256"`
	NotAfter time.Time `json:"not_after"`
}

// given is where the certificates of a verification are.
type given struct {
	anchors, intermediates []string
	leaf                   string
	stdin                  io.Reader
}

func certVerify(ctx context.Context, names given, at, purpose string) (*verification, error) {
	use, ok := map[string]trust.Purpose{
		"client_auth": trust.ClientAuth, "server_auth": trust.ServerAuth, "any": trust.Any,
		"client_auth_or_missing": trust.ClientAuthOrMissing,
	}[purpose]
	if !ok {
		return nil, fmt.Errorf("--purpose %q: want client_auth, server_auth, any or client_auth_or_missing", purpose)
	}
	now, err := moment(at)
	if err != nil {
		return nil, err
	}
	if now.IsZero() {
		now = time.Now()
	}
	config := trust.StoreConfig{Name: "--trust", Purpose: use, MaxDepth: -1}
	if err := onceOnly(slices.Concat(names.anchors, names.intermediates, []string{names.leaf})...); err != nil {
		return nil, err
	}
	read := func(flag string, files ...string) (certs []*x509.Certificate) { // nothing once there is an error
		for _, name := range files {
			var more []*x509.Certificate
			if err == nil {
				more, err = certificates(ctx, names.stdin, keystore.Parse, flag, name)
			}
			certs = append(certs, more...)
		}
		return certs
	}
	for _, c := range read("--trust", names.anchors...) {
		config.Anchors = append(config.Anchors, trust.Anchor{Certificate: c})
	}
	presented := append(read("", names.leaf), read("--intermediates", names.intermediates...)...)
	if err != nil {
		return nil, err
	}
	store, err := trust.NewStore(config)
	if err != nil {
		return nil, fmt.Errorf("--trust: %w", err)
	}
	judged := trust.ClientAuth // a set wants to know whom it judges, whatever the store asks for
	if use == trust.ServerAuth {
		judged = use
	}
	set, err := trust.NewSet(judged, store)
	if err != nil {
		return nil, fmt.Errorf("--trust: %w", err)
	}
	trace := &decision.Trace{}
	v := set.Explain(trust.NewChain(presented), now, trace)
	r := &verification{
		Reason: v.Reason, Detail: v.Detail, Subject: identity.SubjectText(presented[0]),
		SHA256: identity.Thumbprint(presented[0]).String(), At: now.UTC(), Path: []pathElement{}, Pinned: v.Pinned, Checks: trace.Checks,
	}
	for _, c := range v.Path {
		r.Path = append(r.Path, pathElement{identity.SubjectText(c), identity.Thumbprint(c).String(), c.NotAfter.UTC()})
	}
	return r, nil
}

func (r *verification) write(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s\n", terminal(r.Subject), r.Reason)
	if r.Detail != "" {
		fmt.Fprintf(w, "  %s\n", terminal(r.Detail))
	}
	for _, c := range r.Path {
		fmt.Fprintf(w, "  %s  %s  until %s\n", c.SHA256[:16], terminal(c.Subject), c.NotAfter.Format(time.RFC3339))
	}
	if r.Reason.Allowed() {
		return nil
	}
	fmt.Fprintln(w, "checks")
	for _, c := range r.Checks {
		if _, err := fmt.Fprintf(w, "  %s  %s: %s\n", c.Outcome, c.Name, terminal(c.Detail)); err != nil {
			return err
		}
	}
	return nil
}
