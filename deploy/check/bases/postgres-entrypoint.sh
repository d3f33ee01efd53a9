#!/bin/bash
# As the published image: an empty volume becomes a cluster of POSTGRES_USER, and the server runs as postgres.
set -euo pipefail
if [ "${1:-}" != postgres ]; then
    exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups bash "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user="${POSTGRES_USER:-postgres}"
    initdb --username "$user" --auth scram-sha-256 --pwfile <(printf '%s' "$POSTGRES_PASSWORD") \
        --encoding UTF8 --locale C.UTF-8 --no-instructions
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    if [ "$user" != postgres ]; then
        # By a server that nobody else can reach, as in the published image.
        PGPORT=5432 pg_ctl --silent --wait --options "-c listen_addresses='' -k /var/run/postgresql -p 5432" start
        PGPASSWORD="$POSTGRES_PASSWORD" createdb --host /var/run/postgresql --port 5432 \
            --username "$user" --maintenance-db postgres "$user"
        PGPORT=5432 pg_ctl --silent --wait --mode fast stop
    fi
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
