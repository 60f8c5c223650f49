package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"sallyport/internal/config"
	"sallyport/internal/daemon"
	"sallyport/internal/gateway"
)

func validateCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate --config FILE",
		Short: "Check a configuration and everything that it names",
		Long: `Validate reads the configuration and the files that it names and reports every error at once, each with its
place. Notes are remarks that keep nothing from running; what this build reads but does not run yet is said, too.`,
		Example: "  sallyport validate --config sallyport.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := validate(cmd.Context(), path)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.write(cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			if err == nil && !report.Valid {
				return refusal{errTold}
			}
			return err
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "write JSON for programs")
}

// validation is what validate found.
type validation struct {
	Valid   bool         `json:"valid"`
	Errors  []finding    `json:"errors"`
	Notes   []finding    `json:"notes"`
	Unbuilt []finding    `json:"unbuilt"` // what run refuses with this build
	Counts  sectionCount `json:"counts"`
}

type sectionCount struct {
	Listeners int `json:"listeners"`
	APIs      int `json:"apis"`
}

// finding is a sentence about a place in a file.
type finding struct {
	File       string `json:"file"`
	Line       int    `json:"line"`
	Column     int    `json:"column"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"`

	text string
}

func findingOf(e *config.Error) finding {
	return finding{e.File, e.Line, e.Column, e.Message, e.Suggestion, e.Error()}
}

func findingsOf(list config.ErrorList) []finding {
	found := []finding{}
	for i := range list {
		found = append(found, findingOf(&list[i]))
	}
	return found
}

func validate(ctx context.Context, path string) (*validation, error) {
	v := &validation{Errors: []finding{}, Notes: []finding{}, Unbuilt: []finding{}}
	checked, err := daemon.Check(path, config.Options{Done: ctx.Done()}, nil, gateway.NewClock(nil))
	if list, ok := errors.AsType[config.ErrorList](err); ok {
		v.Errors = findingsOf(list)
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	v.Valid = true
	v.Counts = sectionCount{len(checked.Document.Listeners), len(checked.Document.APIs)}
	for _, n := range checked.Notes() {
		v.Notes = append(v.Notes, finding{n.File, n.Line, n.Column, n.Message, "", n.String()})
	}
	for i := range checked.Unbuilt {
		v.Unbuilt = append(v.Unbuilt, findingOf(&checked.Unbuilt[i]))
	}
	return v, nil
}

func (v *validation) write(out, notes io.Writer) error {
	for _, f := range v.Errors {
		fmt.Fprintln(notes, terminalLines(f.text))
	}
	for _, f := range v.Notes {
		fmt.Fprintf(notes, "note: %s\n", terminalLines(f.text))
	}
	for _, f := range v.Unbuilt {
		fmt.Fprintf(notes, "note: %s\n", terminalLines(f.text))
	}
	var err error
	switch {
	case !v.Valid:
		_, err = fmt.Fprintf(notes, "invalid: %s\n", count(len(v.Errors), "error"))
	case len(v.Unbuilt) > 0:
		_, err = fmt.Fprintf(out, "valid, but this build refuses to run it (see the notes): %s, %s\n",
			count(v.Counts.Listeners, "listener"), count(v.Counts.APIs, "API"))
	default:
		_, err = fmt.Fprintf(out, "valid: %s, %s\n", count(v.Counts.Listeners, "listener"), count(v.Counts.APIs, "API"))
	}
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// writeJSON writes JSON in which everything that is not printable is escaped, C1 controls and characters that turn text
// around included: it may end on a terminal.
func writeJSON(w io.Writer, v any) error {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(v); err != nil {
		return err
	}
	var escaped strings.Builder
	for _, r := range text.String() {
		switch {
		case r == '\n' || unicode.IsPrint(r): // line breaks in strings are escaped already
			escaped.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&escaped, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&escaped, `\u%04x\u%04x`, high, low)
		}
	}
	_, err := io.WriteString(w, escaped.String())
	return err
}
