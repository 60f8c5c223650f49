#!/bin/sh
# Runs every fuzz target for the given time each, one after the other, and fails at the first finding, which `go test`
# leaves in the package's testdata/fuzz.
# Usage: fuzz.sh DURATION
set -eu
duration=$1
for package in $(go list ./...); do
	targets=$(go test -run='^$' -list='^Fuzz' "$package")
	for target in $(printf '%s\n' "$targets" | grep '^Fuzz' || true); do
		printf '%s %s\n' "$package" "$target"
		go test -run='^$' -fuzz="^$target\$" -fuzztime="$duration" "$package"
	done
done
