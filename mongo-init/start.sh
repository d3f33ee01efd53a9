#!/usr/bin/env bash
# Starts mongod as a member of a replica set that asks everybody for a password.
#
# Arguments are mongod's own. The members of a set share a secret (the key file); it is made here, once, inside a
# volume, so that it is in no image and no repository. mongod is a child rather than this process, so that the exit
# codes that have a known cause can be explained in one line.
set -euo pipefail

key_file="${MONGO_KEY_FILE:-/data/configdb/keyfile}"

if [ ! -s "$key_file" ]; then
    if ! { umask 077 && head -c 512 /dev/urandom | base64 -w 0 >"$key_file.new" && chmod 400 "$key_file.new"; }; then
        echo "error: the key file cannot be written: give $(id -un) the directory $(dirname "$key_file")" >&2
        exit 1
    fi
    # Renamed when it is complete: a start that is interrupted here leaves no half of a secret behind.
    mv "$key_file.new" "$key_file"
fi

mongod --keyFile "$key_file" "$@" &
child=$!
stopping=
trap 'stopping=yes; kill -TERM "$child"' TERM INT

code=0
wait "$child" || code=$?
# A signal ends the wait before mongod has ended.
while [ -n "$stopping" ]; do
    stopping=
    code=0
    wait "$child" || code=$?
done

case "$code" in
    62) echo "error: the volume of MongoDB was written by another version than this one: start the image of that" \
            "version and upgrade one major version at a time (docs/how-to/upgrade.md)" >&2 ;;
    48) echo "error: the port of MongoDB is taken by another program on this machine" >&2 ;;
    100) echo "error: MongoDB cannot use its volume: it is full, belongs to another user, or is in use by another" \
            "mongod; the lines above name the reason" >&2 ;;
esac
exit "$code"
