#!/bin/sh
# Finds the message bus that the tests of guard.ServiceControl start for themselves: dbus-daemon, as the distribution has it.
#
# usage: tools/bus.sh [--install]
#
# Not there: says what installs it, and ends with 0, since only those tests need it (with CI set, a test that is skipped
# for want of it fails the run). With --install, and as root on a machine with apt-get, it installs it instead.
set -eu

say() { printf 'doorward: %s\n' "$*" >&2; }

! command -v dbus-daemon >/dev/null 2>&1 || exit 0
if [ "${1:-}" = --install ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say 'installing dbus-daemon'
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends dbus-daemon >&2
else
    say 'the tests of services are skipped without a bus. Install with: apt-get install -y dbus-daemon'
fi
