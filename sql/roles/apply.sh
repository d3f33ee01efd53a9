#!/bin/sh
# Makes the database, the roles, the schemas and their privileges in PostgreSQL. Again changes nothing but passwords.
#
# MONGO_DATABASE names the schema of the replicated tables. The server and its administrator are in psql's own variables (PGHOST, PGPORT, PGUSER, PGPASSWORD), the passwords of
# the roles in those that are asked for below. They reach psql by the environment alone: a command line could be read by
# others. All but the creation of the database is one transaction.
set -eu

fail() {
    echo "error: $1" >&2
    exit 1
}

problems=
for name in POSTGRES_REPLICATOR_PASSWORD POSTGRES_CONN_LOGIN POSTGRES_CONN_PASSWORD POSTGRES_ANALYST_PASSWORD; do
    eval "value=\${$name:-}"
    case "$value" in
        '') problems="$problems$name is missing; " ;;
        *[!A-Za-z0-9._~-]*) problems="$problems$name may only have letters, digits and the characters . _ ~ -; " ;;
    esac
done
case "${POSTGRES_CONN_LOGIN:-}" in
    postgres | replicator | analyst | public | none | pg_*) problems="${problems}POSTGRES_CONN_LOGIN is the name of another role; " ;;
esac
login=${POSTGRES_CONN_LOGIN:-}
[ "${#login}" -le 63 ] || problems="${problems}POSTGRES_CONN_LOGIN has more than 63 characters; "
export MONGO_DATABASE="${MONGO_DATABASE:-origin}"
case "$MONGO_DATABASE" in
    [0-9]* | *[!a-z0-9_]*) problems="${problems}MONGO_DATABASE may only have small letters, digits and _; " ;;
    replicator | mart | public | pg_*) problems="${problems}MONGO_DATABASE is the name of another schema; " ;;
esac
[ -z "$problems" ] || fail "${problems%; } (see .env and .env-dev)"

here=$(dirname "$0")
run_psql() {
    PGOPTIONS="-c client_min_messages=warning" psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"
}

if ! answer=$(run_psql --dbname postgres --command 'select 1' 2>&1); then
    case "$answer" in
        *'password authentication failed'*)
            fail "PostgreSQL refuses POSTGRES_PASSWORD: its volume was made with another one; set that one in .env \
again, or change the password of postgres in PostgreSQL first" ;;
        *) fail "PostgreSQL cannot be asked: $answer" ;;
    esac
fi

run_psql --dbname postgres --file "$here/01_database.sql"
run_psql --dbname destination --single-transaction \
    --file "$here/02_roles.sql" --file "$here/03_schemas.sql" --file "$here/04_privileges.sql"
echo "postgres-init: ready"
