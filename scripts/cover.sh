#!/bin/sh
# Counts the statements that the packages' own tests reach where a mistake lets somebody in: judging, trust and header
# hygiene. Fails below 95 % in any of them.
# Usage: cover.sh
set -eu
cd "$(dirname "$0")/.."
least=95
profile=$(mktemp)
trap 'rm -f "$profile"' EXIT

# measure runs the tests of a package and counts in the files whose names match; what they print is for failures alone.
measure() {
	output=$(go test -count=1 -coverprofile="$profile" "./$1") || {
		printf '%s\n' "$output" >&2
		return 1
	}
	awk -v what="$1${3:+ ($3)}" -v files="^[^:]*/$1/($2):" -v least="$least" '
		# file:from,to statements times; a block that several test binaries report has several lines
		$1 ~ files { statements[$1] = $2; if ($3 > 0) reached[$1] = 1 }
		END {
			for (block in statements) { all += statements[block]; if (block in reached) some += statements[block] }
			if (all == 0) { printf "%s: no statements\n", what; exit 1 }
			printf "%-40s %5.1f %% of %d statements\n", what, 100 * some / all, all
			exit 100 * some < least * all
		}' "$profile"
}

failed=0
measure internal/certheader '.*' || failed=1
measure internal/trust '.*' || failed=1
measure internal/judge '.*' || failed=1
measure internal/gateway 'headers[.]go' headers.go || failed=1
[ "$failed" -eq 0 ] || printf 'less than %s %%, or a test failed\n' "$least" >&2
exit "$failed"
