#!/bin/sh
# Names every tool that the tests call and that is missing, with the Debian package that has it, and fails. With the
# argument install, or under CI=true, it installs them instead.
# Usage: deps.sh [install]
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

# tool:package
tools='make:make gcc:gcc curl:curl openssl:openssl nginx:nginx keytool:default-jre-headless'

# missing prints the packages that are missing, one a line, and says why on standard error.
missing() {
	for tool in $tools; do
		command -v "${tool%:*}" >/dev/null && continue
		printf 'missing: %s (Debian package %s)\n' "${tool%:*}" "${tool#*:}" >&2
		printf '%s\n' "${tool#*:}"
	done
	# gcc alone cannot build the race detector's part: that takes the C library's headers.
	if command -v gcc >/dev/null && ! echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1; then
		printf 'missing: the headers of the C library, for go test -race (Debian package libc6-dev)\n' >&2
		printf 'libc6-dev\n'
	fi
}

# check_go fails when there is no Go, or one that is older than go.mod wants and may not fetch another.
check_go() {
	want=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)
	if ! command -v go >/dev/null; then
		printf 'missing: go, version %s or later (https://go.dev/dl/; Debian has an older one)\n' "$want" >&2
		return 1
	fi
	version=$(go env GOVERSION) || return 1
	have=$(printf '%s\n' "$version" | sed -n 's/^go\([0-9]*\.[0-9]*\).*/\1/p')
	[ -n "$have" ] || return 0 # a development version
	[ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ] && return 0
	printf 'go is version %s, %s or later is needed (https://go.dev/dl/)\n' "$have" "$want" >&2
	return 1
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		printf 'not root, and there is no sudo: cannot run %s\n' "$*" >&2
		return 1
	fi
}

# forbid_services keeps packages from starting services while they are installed. Where a policy is in place already
# (as in most container images) it stays.
policy=/usr/sbin/policy-rc.d
forbid_services() {
	[ -e "$policy" ] && return 0
	trap 'as_root rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	# shellcheck disable=SC2016 # the inner shell expands $1
	as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >"$1" && chmod 755 "$1"' sh "$policy"
}

# quiet_nginx keeps an nginx that was installed for the tests from running, now and after a restart of the machine. Each
# of these may fail where services cannot be managed, and that is fine: nothing starts nginx there.
quiet_nginx() {
	if [ -d /run/systemd/system ]; then
		as_root systemctl disable --now nginx || true
	elif [ -x /etc/init.d/nginx ]; then
		as_root /etc/init.d/nginx stop || true
		as_root update-rc.d nginx disable || true
	fi
}

install_packages() {
	if ! command -v apt-get >/dev/null; then
		printf 'there is no apt-get here: install them by hand\n' >&2
		return 1
	fi
	forbid_services
	as_root apt-get update -q
	# shellcheck disable=SC2086 # the words are package names, one each
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $1
	case " $1 " in *" nginx "*) quiet_nginx ;; esac
}

go_missing=
check_go || go_missing=yes
packages=$(missing | tr '\n' ' ')
if [ -n "$packages" ]; then
	if [ "${1:-}" = install ] || [ "${CI:-}" = true ]; then
		case " $packages " in *" gcc "*) packages="$packages libc6-dev" ;; esac
		install_packages "$packages"
		packages=$(missing | tr '\n' ' ')
	else
		printf 'to install: make deps, or apt-get install %s\n' "$packages" >&2
	fi
fi
[ -z "$packages$go_missing" ]
