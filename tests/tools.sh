#!/bin/sh
# Provides what the tests need and Python's packages do not have: `sh tests/tools.sh DIRECTORY` (of programs).
#
# * Chromium, to look at the page in a real browser: Debian's package, installed.
# * redis-server, for Airflow's Celery workers: Debian's package of its tools has the same program, and starts no server.
# * PostgreSQL 15, PgBouncer and HAProxy: Debian's packages, unpacked into the cache of servers, where none is installed.
# * promtool, to judge metrics and alerts: one program of Debian's package, put into the directory. Installing the whole
#   package would start a Prometheus on this machine.
set -eu

directory=$1
has() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

servers="postgresql-15 pgbouncer haproxy"
needed=
has chromium || has chromium-browser || has google-chrome || has google-chrome-stable || needed="$needed chromium"
has promtool || [ -x "$directory/promtool" ] || needed="$needed promtool"
has redis-server || [ -x "$directory/redis-server" ] || needed="$needed redis-tools"
# What apt-get knows of its packages may be missing or old.
# shellcheck disable=SC2086
"$directory/python" -m devstack.debian $servers 2>/dev/null || needed="$needed $servers"
[ -n "$needed" ] || exit 0

if ! has apt-get; then
    echo "error: the tests need$needed: install them with this machine's package manager" >&2
    exit 1
fi
as_root apt-get update -qq
# shellcheck disable=SC2086
"$directory/python" -m devstack.debian $servers
case "$needed" in
    *chromium*) as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core ;;
esac
case "$needed" in
    *redis-tools*)
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-tools
        # The program decides by the name that it is called by what it is.
        ln -sf "$(command -v redis-check-rdb)" "$directory/redis-server"
        ;;
esac
case "$needed" in
    *promtool*)
        scratch=$(mktemp -d)
        trap 'rm -rf "$scratch"' EXIT
        (
            cd "$scratch"
            chmod 755 .
            apt-get download -qq prometheus
            dpkg-deb --extract ./*.deb package
        )
        mv "$scratch/package/usr/bin/promtool" "$directory/promtool"
        ;;
esac
