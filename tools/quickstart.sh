#!/usr/bin/env bash
# From a bare Debian 12 to a running ledger: installs what is missing, builds, starts a network on
# loopback, opens the explorer's address, sends real signed transactions and shows the progress.
#
#   bash tools/quickstart.sh           runs until Ctrl-C
#   bash tools/quickstart.sh --once    a bounded run; stops the network, audits every node's log from
#                                      genesis, and exits 0 only if all roots agree
#
# CAIRN_QUICKSTART_HOME (default: a new temporary folder) holds the network's data.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/packages.sh

once=0
for argument in "$@"; do
    case $argument in
    --once) once=1 ;;
    *) echo "usage: bash tools/quickstart.sh [--once]" >&2; exit 2 ;;
    esac
done

# shellcheck disable=SC2086 # a list of names
need_packages $CAIRN_BUILD_PACKAGES curl jq

echo "cairn: building"
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release >build.configure.log 2>&1 ||
    { cat build.configure.log; exit 1; }
cmake --build build -j "$(nproc)" --target cairn >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
cairn=$PWD/build/cairn

home=${CAIRN_QUICKSTART_HOME:-$(mktemp -d "${TMPDIR:-/tmp}/cairn-quickstart-XXXXXX")}
echo "cairn: a network of one validator in $home"
"$cairn" testnet --validators 1 --output-dir "$home/net" --preset dev

node=
stop() {
    [ -n "$node" ] || return 0
    kill -TERM "$node" 2>/dev/null || true
    wait "$node" 2>/dev/null || true
    node=
}
trap stop EXIT
trap 'exit 130' INT TERM

"$cairn" start --home "$home/net/node0" >"$home/node0.log" 2>&1 &
node=$!
url=
for _ in $(seq 100); do
    kill -0 "$node" 2>/dev/null || { tail -n 20 "$home/node0.log"; exit 1; }
    if [ -s "$home/net/node0/run/api" ]; then
        url=$(cat "$home/net/node0/run/api")
        curl -fsS "$url/readyz" >/dev/null 2>&1 && break
    fi
    sleep 0.1
done
curl -fsS "$url/readyz" >/dev/null || { echo "cairn: the node did not become ready"; tail "$home/node0.log"; exit 1; }

echo "cairn: explorer and API at $url/"
if [ "$once" = 0 ] && command -v xdg-open >/dev/null && [ -n "${DISPLAY:-}" ]; then
    xdg-open "$url/" >/dev/null 2>&1 || echo "cairn: open $url/ in a browser"
fi

if [ "$once" = 1 ]; then
    "$cairn" bench tx --node "$url" --keys-file "$home/net/load.seed" --keys 100 --txs 5000
    "$cairn" status --node "$url"
    stop
    "$cairn" audit replay --home "$home/net/node0"
    echo "cairn: demonstration finished; the audit from genesis found every root equal"
else
    echo "cairn: sending transactions until Ctrl-C"
    "$cairn" bench tx --node "$url" --keys-file "$home/net/load.seed" --keys 100 --rate 200 --forever
fi
