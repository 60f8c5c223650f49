// Package schema owns what is said about the document to those who write it: its JSON Schema, which editors use to
// complete, explain and check keys, and docs/configuration.md. Both are made from the types of package config and their
// comments by Generate; the schema is committed and built into the program.
//
// The schema looks at each mapping for itself: keys, types, words, numbers, what has to be there and what excludes each
// other. It never refuses what config.Load accepts, and never follows a reference, compares two keys or opens a file: that
// stays with config.Load. The tests hold both to that.
//
// Standards: JSON Schema draft 2020-12.
package schema

import _ "embed"

//go:embed document.schema.json
var document string

// JSON returns the JSON Schema of the document, with a line break at its end.
func JSON() string { return document }
