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
validators=4
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
echo "cairn: a network of $validators validators in $home"
"$cairn" testnet --validators "$validators" --output-dir "$home/net" --preset dev

declare -a nodes=()
stop() {
    for node in "${nodes[@]}"; do kill -TERM "$node" 2>/dev/null || true; done
    for node in "${nodes[@]}"; do wait "$node" 2>/dev/null || true; done
    nodes=()
}
trap stop EXIT
trap 'exit 130' INT TERM

for ((i = 0; i < validators; i++)); do
    "$cairn" start --home "$home/net/node$i" >"$home/node$i.log" 2>&1 &
    nodes+=("$!")
done

# wait_ready I: node I answers and has seen a new block; prints its address.
wait_ready() {
    local api="$home/net/node$1/run/api" url=
    for _ in $(seq 300); do
        kill -0 "${nodes[$1]}" 2>/dev/null || break
        [ -s "$api" ] && url=$(cat "$api") && curl -fsS "$url/readyz" >/dev/null 2>&1 && { echo "$url"; return; }
        sleep 0.1
    done
    echo "cairn: node $1 did not become ready" >&2
    tail -n 20 "$home/node$1.log" >&2
    return 1
}
urls=()
for ((i = 0; i < validators; i++)); do urls+=("$(wait_ready "$i")"); done
url=${urls[0]}

echo "cairn: explorer and API at $url/"
if [ "$once" = 0 ] && command -v xdg-open >/dev/null && [ -n "${DISPLAY:-}" ]; then
    xdg-open "$url/" >/dev/null 2>&1 || echo "cairn: open $url/ in a browser"
fi

if [ "$once" = 1 ]; then
    "$cairn" bench tx --node "$url" --keys-file "$home/net/load.seed" --keys 100 --txs 5000
    "$cairn" status --node "$url"
    stop
    common=
    for ((i = 0; i < validators; i++)); do
        "$cairn" audit replay --home "$home/net/node$i"
        "$cairn" audit replay --home "$home/net/node$i" --print-roots --json |
            jq -r 'select(.block) | "\(.height) \(.block) \(.root)"' >"$home/roots$i"
        count=$(wc -l <"$home/roots$i")
        if [ -z "$common" ] || [ "$count" -lt "$common" ]; then common=$count; fi
    done
    for ((i = 1; i < validators; i++)); do
        cmp <(head -n "$common" "$home/roots0") <(head -n "$common" "$home/roots$i") ||
            { echo "cairn: nodes 0 and $i have different roots" >&2; exit 1; }
    done
    echo "cairn: demonstration finished; the audits from genesis found every root of $validators nodes equal, $common heights"
else
    echo "cairn: sending transactions until Ctrl-C"
    "$cairn" bench tx --node "$url" --keys-file "$home/net/load.seed" --keys 100 --rate 200 --forever
fi
