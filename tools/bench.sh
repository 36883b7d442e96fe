#!/bin/sh
# Finds what only the bench expects of the machine: a C compiler, nginx, and util-linux to pin programs to a core.
#
# usage: tools/bench.sh [--install]
#
# Everything for people goes to stderr. Something missing: says what, prints the command that installs it, and exits 2.
# With --install, on a machine with apt-get, it installs the compiler (as root), and unpacks nginx into .cache/nginx
# without installing it: Debian's package would start a service, and nothing here may touch one.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'doorward: %s\n' "$*" >&2; }

has_nginx() {
    PATH="$PATH:/usr/sbin:$PWD/.cache/nginx/usr/sbin" command -v nginx >/dev/null 2>&1
}

# Sets `missing` to the Debian packages that are needed and not there, nginx aside.
find_missing() {
    missing=
    command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
    command -v taskset >/dev/null 2>&1 || missing="$missing util-linux"
}

install_missing() {
    say "installing:$missing"
    apt-get update >&2
    # shellcheck disable=SC2086 # a list of packages, one word each
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >&2
    find_missing
}

# The program is in the package that bears its name; what it is linked with comes with every Debian that has Python.
unpack_nginx() {
    say 'unpacking nginx into .cache/nginx'
    mkdir -p .cache/nginx
    # The download belongs to whoever runs this, and not to apt's own user, which may not write here.
    (cd .cache/nginx && apt-get -o APT::Sandbox::User="$(id -un)" download nginx >&2) || return 0
    for package in .cache/nginx/*.deb; do dpkg-deb -x "$package" .cache/nginx; done
    rm -f .cache/nginx/*.deb
    .cache/nginx/usr/sbin/nginx -v >&2 || rm -f .cache/nginx/usr/sbin/nginx
}

find_missing
if [ "${1:-}" = --install ] && command -v apt-get >/dev/null 2>&1; then
    if [ -n "$missing" ] && [ "$(id -u)" = 0 ]; then install_missing; fi
    has_nginx || unpack_nginx
fi
has_nginx || missing="$missing nginx"

if [ -n "$missing" ]; then
    say "the bench lacks:$missing. Install with:"
    say ""
    say "    apt-get install -y$missing"
    say ""
    exit 2
fi
