// Package archtest holds the rules of the house as tests: which package may import which, what every package has to say
// about itself, how long files and functions may be, and that the documents name what exists.
//
// It owns the layer table that docs/architecture.md prints; the two are compared. It reads source and documents as
// text and syntax, so it never builds, runs or imports the packages that it judges, and no package imports it. Every
// rule is also fed a small module that breaks it, so that a rule which can no longer complain is noticed.
package archtest
