#!/usr/bin/env bash
# Starts PostgreSQL on its volume, as the operating system's user postgres. Arguments are those of postgres.
#
# An empty volume gets a cluster whose administrator is POSTGRES_USER with POSTGRES_PASSWORD. The cluster is made beside
# its place and renamed when it is complete: a first start that is interrupted leaves nothing half-made behind, which
# every later start would take for a cluster. A volume of another version is named rather than passed by.
set -euo pipefail

data="${PGDATA:?}"
volume="${POSTGRES_VOLUME:-/var/lib/postgresql}"

fail() {
    echo "error: $1" >&2
    exit 1
}

version="$(postgres --version | sed -E 's/.*\) ([0-9]+).*/\1/')"

refuse() {
    fail "the volume of PostgreSQL holds data of version $(cat "$1/PG_VERSION") in $1, and this is version $version, \
with data in $data: start the image that made them and dump the databases (docs/how-to/upgrade.md)"
}

if [ ! -s "$data/PG_VERSION" ]; then
    # Where images of other versions keep their data.
    for place in "$volume" "$volume"/data "$volume"/*/docker; do
        [ ! -s "$place/PG_VERSION" ] || refuse "$place"
    done
    case "${POSTGRES_PASSWORD:-}" in
        '') fail "the password of the administrator $POSTGRES_USER is missing (see .env and .env-dev)" ;;
        *[!A-Za-z0-9._~-]*) fail "the password of the administrator $POSTGRES_USER may only have letters, digits and the \
characters . _ ~ - (see .env and .env-dev)" ;;
    esac
    rm -rf "$data.new"
    mkdir -p "$data.new"
    # The order of texts comes with PostgreSQL itself: it stays the same when the operating system of the image changes.
    initdb --pgdata "$data.new" --username "$POSTGRES_USER" --pwfile <(printf '%s' "$POSTGRES_PASSWORD") \
        --auth-local trust --auth-host scram-sha-256 --encoding UTF8 --locale C.UTF-8 \
        --locale-provider builtin --builtin-locale C.UTF-8 --no-instructions >/dev/null
    echo "host all all all scram-sha-256" >>"$data.new/pg_hba.conf"
    rmdir "$data" 2>/dev/null || true
    mv --no-target-directory "$data.new" "$data"
fi
[ "$(cat "$data/PG_VERSION")" = "$version" ] || refuse "$data"
exec postgres -c listen_addresses='*' "$@"
