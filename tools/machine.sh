#!/bin/sh
# Finds what Doorward expects of the machine: make, git, and a Python of at least 3.11 that can make environments.
#
# usage: tools/machine.sh [--install]
#
# Prints the path of the chosen Python on stdout; everything for people goes to stderr. Something missing: says what,
# prints the exact command that installs it, and exits 2. With --install, and as root on a machine with apt-get, it
# installs it instead. PYTHON=/path/to/python overrides the search.
set -eu

say() { printf 'doorward: %s\n' "$*" >&2; }

# A Python that runs (a version manager's shim may not), is new enough, and brings venv with pip.
# Answers 0 usable, 1 not there, 2 too old, 3 without venv.
examine() {
    "$1" -c '' >/dev/null 2>&1 || return 1
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || return 2
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 || return 3
}

version() { "$1" -c 'import platform; print(platform.python_version())'; }

# Sets `python` to the first usable candidate, else `package` to what would bring one.
find_python() {
    python='' package=python3-venv
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        status=0
        examine "$candidate" || status=$?
        case $status in
        0)
            python=$("$candidate" -c 'import sys; print(sys.executable)')
            say "using Python $(version "$candidate") at $python"
            return 0
            ;;
        1) [ -z "${PYTHON:-}" ] || say "PYTHON=$PYTHON does not run" ;;
        2) say "$candidate is Python $(version "$candidate") at $(command -v "$candidate"): too old, 3.11 or newer is needed" ;;
        3)
            say "$candidate is Python $(version "$candidate") at $(command -v "$candidate"), but cannot make environments (no venv)"
            # Debian splits venv off each Python; python3-venv belongs to the one it calls python3.
            if [ "$candidate" != python3 ] && [ "$package" = python3-venv ] && ! same_as_default "$candidate"; then
                package=$candidate-venv
            fi
            ;;
        esac
    done
}

same_as_default() {
    [ -x /usr/bin/python3 ] && [ "$(version "$1")" = "$(version /usr/bin/python3)" ]
}

# Sets `missing` to the Debian packages that are needed and not there.
find_missing() {
    missing=
    command -v make >/dev/null 2>&1 || missing="$missing make"
    command -v git >/dev/null 2>&1 || missing="$missing git"
    find_python
    [ -n "$python" ] || [ -n "${PYTHON:-}" ] || missing="$missing $package"
}

find_missing
if [ -n "$missing" ] && [ "${1:-}" = --install ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say "installing:$missing"
    apt-get update >&2
    # shellcheck disable=SC2086 # a list of packages, one word each
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >&2
    find_missing
fi

if [ -n "$missing" ]; then
    say "this machine lacks:$missing. Install with:"
    say ""
    say "    apt-get install -y$missing"
    say ""
    exit 2
fi
[ -n "$python" ] || exit 2 # PYTHON was given and is not usable; the reason is said above
printf '%s\n' "$python"
