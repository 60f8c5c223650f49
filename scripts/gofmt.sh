#!/bin/sh
# Names the Go files that are not gofmt'ed and fails when there are any.
set -eu
files=$(gofmt -l .)
[ -z "$files" ] && exit 0
printf 'not formatted (make fmt):\n%s\n' "$files" >&2
exit 1
