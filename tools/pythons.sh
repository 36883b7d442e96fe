#!/bin/sh
# Runs tests under every other Python that the project supports and this machine has; says aloud which it has not.
#
# usage: tools/pythons.sh CACHE [pytest arguments…]
#
# Looks for python3.12 and python3.13 on PATH and among pyenv's versions. Each gets an environment of its own below
# CACHE/pythons, installed from the same lock by hash, and made anew when the lock changes.
set -eu
cd "$(dirname "$0")/.."
cache=$1
shift

say() { printf 'doorward: %s\n' "$*" >&2; }

# Sets `python` to one that runs, or to nothing.
find_python() {
    python=
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/"python$1"; do
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            python=$candidate
            return
        fi
    done
}

status=0
for version in 3.12 3.13; do
    find_python "$version"
    if [ -z "$python" ]; then
        say "Python $version: not found on this machine, so NOT tested"
        continue
    fi
    place=$cache/pythons/$version
    lock=$(sha256sum requirements/dev.txt | cut -c1-16)
    if [ ! -e "$place/$lock" ]; then
        say "Python $version: installing what its tests need"
        rm -rf "$place"
        "$python" -m venv "$place"
        "$place/bin/python" -m pip install --quiet --require-hashes --only-binary :all: -r requirements/dev.txt
        "$place/bin/python" -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
        touch "$place/$lock"
    fi
    say "$("$place/bin/python" -VV | head -n 1): testing"
    "$place/bin/python" -m pytest -q "$@" || status=1
done
exit $status
