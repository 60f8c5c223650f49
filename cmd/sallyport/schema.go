package main

import (
	"io"

	"github.com/spf13/cobra"

	"sallyport/internal/schema"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Long: `Schema prints a JSON Schema (draft 2020-12) of the configuration that this build reads. Editors complete, explain
and check keys with it: put it into sallyport.schema.json beside the configuration, and begin that with

  # yaml-language-server: $schema=sallyport.schema.json

It never refuses what this build accepts. References, contradictions and files are for validate.`,
		Example: "  sallyport schema",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), schema.JSON())
			return err
		},
	}
}
