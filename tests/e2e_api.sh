#!/usr/bin/env bash
# The API of a started node, seen by foreign programs: curl, promtool, redocly, spectral. And a node with
# open streams stops at once.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
cairn=$build/cairn
home=$(mktemp -d "${TMPDIR:-/tmp}/cairn-e2e-api-XXXXXX")
node=
stream=
finish() {
    [ -z "$stream" ] || kill "$stream" 2>/dev/null || true
    [ -z "$node" ] || kill -KILL "$node" 2>/dev/null || true
    rm -rf "$home"
}
trap finish EXIT

"$cairn" testnet --validators 1 --output-dir "$home/net" --preset dev --base-port 0 --load-keys 10 >/dev/null
"$cairn" start --home "$home/net/node0" >"$home/log" 2>&1 &
node=$!
for _ in $(seq 100); do
    [ -s "$home/net/node0/run/metrics" ] && break
    sleep 0.1
done
api=$(cat "$home/net/node0/run/api")
metrics=$(cat "$home/net/node0/run/metrics")
curl -fsS --retry 50 --retry-delay 0 --retry-max-time 20 --retry-all-errors "$api/readyz" >/dev/null

"$cairn" bench tx --node "$api" --keys-file "$home/net/load.seed" --keys 10 --txs 200 --no-progress >/dev/null
bash tests/api_lint.sh "$build" "$api" "$metrics"

# Each event exactly once, though the reader goes away after every tenth line.
curl -fsS "$api/v1/status" >"$home/status"
height=$(sed -E 's/.*"height":"([0-9]+)".*"certified_height".*/\1/' "$home/status")
curl -fsS "$api/v1/events?from=0&to=$height" | sed -E 's/.*"position":"([0-9.]+)".*/\1/' >"$home/whole"
[ "$(wc -l <"$home/whole")" -ge 400 ] || { echo "e2e_api: 200 transfers left fewer than 400 events"; exit 1; }
position=0
: >"$home/parts"
while [ "$(wc -l <"$home/parts")" -lt "$(wc -l <"$home/whole")" ]; do
    { curl -fsS "$api/v1/events?from=$position&to=$height" 2>/dev/null || true; } | head -n 10 |
        sed -E 's/.*"position":"([0-9.]+)".*/\1/' >>"$home/parts" || true
    position=$(tail -n 1 "$home/parts")
done
cmp "$home/whole" "$home/parts" || { echo "e2e_api: a resumed stream differs"; exit 1; }

curl -sN -H 'Accept: text/event-stream' "$api/v1/events" >/dev/null 2>&1 &
stream=$!
sleep 0.5
began=$(date +%s)
kill -TERM "$node"
wait "$node" || { echo "e2e_api: the node did not stop cleanly"; cat "$home/log"; exit 1; }
node=
[ $(($(date +%s) - began)) -le 5 ] || { echo "e2e_api: an open stream delayed the stop"; exit 1; }
echo "e2e_api: clean"
