package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/inspect"
	"sallyport/internal/keystore"
)

// maxPasswordBytes bounds a password file.
const maxPasswordBytes = 4096

func certInspectCommand() *cobra.Command {
	var at, passwordFile string
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:   "inspect FILE...",
		Short: "Say what is in certificate files, and what is odd about it",
		Long: `Inspect shows every certificate of PEM, DER, PKCS#12 and JKS files: names and thumbprints in the usual spellings, what
the gateway would let it be used for, how the certificates belong together, and lints, each with what the gateway does
about it. A file called - is standard input, and a pipe will do for a file. Of names in BMPString or T61String
java_rfc2253 shows the text; Java's own getName() garbles them.

The password of a key store is the first line of --password-file (- is standard input), or else the environment variable
` + passwordVariable + `. It is never asked for, never shown, and no argument.

Exit code 0 means that every file could be read, 1 that one is damaged or of no known format, its password is wrong, or,
with --strict, that there are findings of severity warning or error. 2 is wrong usage, or a file that cannot be
read; the others are shown all the same.`,
		Example: "  sallyport cert inspect partner-a.pem\n  sallyport cert inspect --password-file pass.txt --json partner-a.p12",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			now, err := moment(at)
			if err != nil {
				return err
			}
			if now.IsZero() {
				now = time.Now()
			}
			if passwordFile == "" && cmd.Flags().Changed("password-file") {
				return errors.New("--password-file: the name of the file is empty")
			}
			files, err := inspectFiles(cmd.Context(), args, passwordFile, cmd.InOrStdin(), now)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), map[string]any{"files": files})
			} else {
				err = writeInspected(cmd.OutOrStdout(), files)
			}
			for _, f := range files {
				err = errors.Join(err, f.unread)
			}
			if err == nil && refusedByInspect(files, strict) {
				return refusal{errTold}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "the time to judge for (RFC 3339); by default now")
	f.StringVar(&passwordFile, "password-file", "", "a file whose first line is the password of key stores; - is standard input")
	f.BoolVar(&strict, "strict", false, "exit code 1 when there is a finding of severity warning or error")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// inspected is one file: its report, or why there is none.
type inspected struct {
	File string `json:"file"`
	*inspect.Report
	Error string `json:"error,omitempty"`

	unread error // why it could not even be read; it goes to standard error, and the exit code is 2
}

// inspectFiles reports about each file. The error is one of usage, or of the password; a file that is damaged or cannot be
// read is an entry.
func inspectFiles(ctx context.Context, names []string, passwordFile string, stdin io.Reader, at time.Time) ([]inspected, error) {
	if err := onceOnly(append([]string{passwordFile}, names...)...); err != nil {
		return nil, err
	}
	password, err := readPassword(ctx, passwordFile, stdin)
	if err != nil {
		return nil, err
	}
	var files []inspected
	for _, name := range names {
		f := inspected{File: name}
		if data, err := readGiven(ctx, stdin, name, keystore.MaxBytes); err != nil {
			f.Error, f.unread = err.Error(), err
		} else if found, err := parseAny(data, password); err != nil {
			f.Error = err.Error()
		} else {
			f.Report = inspect.New(*found, at)
		}
		files = append(files, f)
	}
	return files, nil
}

// parseAny reads a file of any format that package keystore knows.
func parseAny(data []byte, password string) (*inspect.File, error) {
	bundle, err := keystore.Look(data, password)
	if errors.Is(err, keystore.ErrNoPassword) {
		err = fmt.Errorf("%w (a password is taken from --password-file or %s)", err, passwordVariable)
	}
	if err != nil {
		return nil, err
	}
	words := map[keystore.Format]string{
		keystore.FormatPEM: "pem", keystore.FormatDER: "der", keystore.FormatPKCS12: "pkcs12", keystore.FormatJKS: "jks",
	}
	found := &inspect.File{Format: words[bundle.Format], Certificates: bundle.Certificates, Keys: publicKeys(bundle.Keys)}
	for _, e := range bundle.Entries {
		if e.Alias != "" && e.Certificate != nil {
			found.Aliases = append(found.Aliases, inspect.Alias{Name: e.Alias, Certificate: e.Certificate})
		}
	}
	return found, nil
}

// publicKeys keeps private keys out of reports.
func publicKeys(keys []crypto.Signer) []crypto.PublicKey {
	var public []crypto.PublicKey
	for _, key := range keys {
		public = append(public, key.Public())
	}
	return public
}

// readPassword returns the first line of the file, or what the environment says. Errors do not repeat it.
func readPassword(ctx context.Context, name string, stdin io.Reader) (string, error) {
	if name == "" {
		return os.Getenv(passwordVariable), nil
	}
	data, err := readGiven(ctx, stdin, name, maxPasswordBytes)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

func writeInspected(w io.Writer, files []inspected) error {
	first := true
	for _, f := range files {
		if f.unread != nil {
			continue // standard error has it
		}
		if !first {
			fmt.Fprintln(w)
		}
		first = false
		var err error
		if f.Report == nil {
			_, err = fmt.Fprintln(w, inspect.Printable(f.File+": "+f.Error))
		} else {
			err = f.Write(w, f.File)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refusedByInspect reports whether a file is damaged or, if asked, has findings that matter.
func refusedByInspect(files []inspected, strict bool) bool {
	for _, f := range files {
		if f.Report == nil {
			return true
		}
		if worst := f.Worst(); strict && (worst == inspect.Error || worst == inspect.Warning) {
			return true
		}
	}
	return false
}
