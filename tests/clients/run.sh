#!/bin/sh
# Points clients in other languages at the emulator. `make test-clients` calls it, from the repository's root.
set -eu
lifetime=4
dir=target/clients
rm -f "$dir/emulator.env"
cargo build --quiet --example emulator --features emulator
cargo run --quiet --example emulator --features emulator -- --token-lifetime "$lifetime" >"$dir/emulator.env" &
emulator=$!
trap 'kill "$emulator"' EXIT
tries=0
until grep -q "AZURE_AUTHORITY_HOST=https" "$dir/emulator.env"; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "the emulator has not started" >&2; exit 1; }
    sleep 0.1
done
. "$dir/emulator.env"
"$dir/bin/python" tests/clients/redis_py_entraid.py "$lifetime"
