#!/bin/sh
# Finds the browser that tests open pages in: Chromium, as the distribution has it.
#
# usage: tools/browser.sh [--install]
#
# Not there: says what installs it, and ends with 0, since only the tests of pages need it (with CI set, a test that is
# skipped for want of it fails the run). With --install, and as root on a machine with apt-get, it installs it instead.
set -eu

say() { printf 'doorward: %s\n' "$*" >&2; }

! command -v chromium >/dev/null 2>&1 || exit 0
if [ "${1:-}" = --install ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say 'installing chromium'
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium >&2
else
    say 'the tests of pages are skipped without a browser. Install with: apt-get install -y chromium'
fi
