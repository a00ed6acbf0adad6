#!/bin/sh
# Points clients in other languages at the emulator. `make test-clients` calls it, from the repository's root.
set -eu
lifetime=4
dir=target/clients
# What the clients share is imported: nothing is to be left beside it.
export PYTHONDONTWRITEBYTECODE=1
cargo build --quiet --features cli --bin entra-redis
emulator=
trap '[ -z "$emulator" ] || kill "$emulator"' EXIT

# Starts the emulator with these options in place of the last one, and takes over what it prints.
start() {
    [ -z "$emulator" ] || kill "$emulator"
    emulator=
    : >"$dir/emulator.env"
    cargo run --quiet --features cli -- emulator --token-lifetime "$lifetime" --write-dir "$dir" "$@" \
        >"$dir/emulator.env" &
    emulator=$!
    tries=0
    until grep -q "IDENTITY_HEADER=" "$dir/emulator.env"; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "the emulator has not started" >&2; exit 1; }
        sleep 0.1
    done
    # All of its lines, and the authority with https, which comes after the one without.
    sed -i.printed 's/^# export /export /' "$dir/emulator.env"
    . "$dir/emulator.env"
}

start
"$dir/bin/python" tests/clients/redis_py_entraid.py "$lifetime"
"$dir/bin/python" tests/clients/azure_identity.py
# Node looks for libraries beside its programs.
cp tests/clients/node_entraid.mjs "$dir"
NODE_EXTRA_CA_CERTS="$REDIS_CA_CERT" node "$dir/node_entraid.mjs" "$lifetime"
start --cluster 3 --policy oss-cluster
"$dir/bin/python" tests/clients/redis_py_cluster.py "$lifetime"
