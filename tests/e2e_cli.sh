#!/usr/bin/env bash
# The command line against a running node and its data directory: what a wallet, an operator and an
# auditor type, with the exit code of each.
set -euo pipefail
cd "$(dirname "$0")/.."
cairn=$(realpath "${1:-build}")/cairn
dir=$(mktemp -d "${TMPDIR:-/tmp}/cairn-e2e-cli-XXXXXX")
node=
finish() {
    [ -z "$node" ] || kill -KILL "$node" 2>/dev/null || :
    rm -rf "$dir"
}
trap finish EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
passed=0
# expect CODE NAME COMMAND...: the exit code, output in $dir/out
expect() {
    local wanted=$1 name=$2 code=0
    shift 2
    "$@" >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" = "$wanted" ] || { cat "$dir/out" "$dir/err" >&2; fail "$name: exit $code, not $wanted"; }
    passed=$((passed + 1))
}
has() { grep -q -- "$2" "$dir/$1" || { cat "$dir/$1" >&2; fail "no $2 in $1"; }; }

start() {
    "$cairn" start --home "$dir/net/node0" >>"$dir/log" 2>&1 &
    node=$!
    for _ in $(seq 200); do
        [ -s "$dir/net/node0/run/api" ] && curl -fsS "$(cat "$dir/net/node0/run/api")/readyz" >/dev/null 2>&1 && break
        sleep 0.05
    done
    url=$(cat "$dir/net/node0/run/api")
}
stop() {
    kill -TERM "$node"
    wait "$node" || fail "the node did not stop in order"
    node=
}

expect 0 testnet "$cairn" testnet --validators 1 --output-dir "$dir/net" --preset bench --base-port 0 --load-keys 3
expect 1 "testnet twice" "$cairn" testnet --validators 1 --output-dir "$dir/net"
has err exists
expect 0 "network of three" "$cairn" testnet --validators 2 --observers 1 --powers 3,2 --output-dir "$dir/three" --base-port 31000 --load-keys 1 --json
[ "$(jq -r '.nodes | map([.validator, .api, .peers] | join(" ")) | join(",")' "$dir/out")" = \
    "true http://127.0.0.1:31000 127.0.0.1:30999,true http://127.0.0.1:31010 127.0.0.1:31009,false http://127.0.0.1:31020 127.0.0.1:31019" ] || fail "the nodes of the network"
id=$(jq -r '.nodes[2].node' "$dir/out")
[ -d "$dir/three/node1/validator" ] && [ ! -e "$dir/three/node2/validator" ] || fail "who signs"
expect 0 "node id" "$cairn" node id --home "$dir/three/node2"
has out "$id"
grep -q "$id@127.0.0.1:31019" "$dir/three/node0/config/config.yaml" || fail "the observer is no peer of node0"
expect 2 "powers of too few" "$cairn" testnet --validators 2 --powers 3 --output-dir "$dir/none"
expect 2 "no power" "$cairn" testnet --validators 2 --powers 3,0 --output-dir "$dir/none"
expect 2 "ports beyond the last" "$cairn" testnet --validators 100 --base-port 64600 --output-dir "$dir/none"
sed 's/@127.0.0.1:31019/@nowhere:31019/' "$dir/three/node0/config/config.yaml" >"$dir/config.yaml"
expect 1 "a peer that is none" "$cairn" config check --config "$dir/config.yaml"
has out "config.yaml:$(grep -n nowhere "$dir/config.yaml" | cut -d: -f1): p2p.persistent_peers"
rm -rf "$dir/three"
start
wallet=(--home "$dir/net/wallet" --passphrase-file "$dir/net/passphrase" --node "$url")
expect 4 "two nodes on one home" "$cairn" start --home "$dir/net/node0"

expect 0 transfer "$cairn" tx transfer "${wallet[@]}" --from faucet --to operator --amount 12.5 --json
has out '"outcome":"ok"'
hash=$(jq -r .hash "$dir/out")
expect 0 "tx status" "$cairn" tx status "$hash" --node "$url" --json
has out committed
expect 3 "unknown transaction" "$cairn" tx status "$(printf '0%.0s' $(seq 64))" --node "$url"
expect 2 "half a hash" "$cairn" tx status 12ab --node "$url"

key=$(curl -fsS "$url/v1/validators" | jq -r '.data[0].key')
expect 0 set-power "$cairn" tx set-power "${wallet[@]}" --from faucet --key "$key" --power 7 --json
has out '"outcome":"ok"'
expect 5 "remove the last validator" "$cairn" tx set-power "${wallet[@]}" --from faucet --key "$key" --power 0 --json
has out last_validator
curl -fsS "$url/v1/validators" | jq -e '.data[0] | (.proposed | tonumber) > 0 and (.voted | tonumber) > 0' >/dev/null ||
    fail "the validator took no part"
expect 2 "set-power without a power" "$cairn" tx set-power "${wallet[@]}" --from faucet --key "$key"

genesis=$dir/net/node0/config/genesis.bin
expect 0 "light prove tx" "$cairn" light prove --node "$url" --tx "$hash" "$dir/tx.light"
expect 0 "light verify tx" "$cairn" light verify --genesis "$genesis" "$dir/tx.light" --json
has out "$hash"
checkpoint=$(jq -r .checkpoint "$dir/out")
expect 0 "light verify from a checkpoint" "$cairn" light verify --genesis "$genesis" --checkpoint "$checkpoint" "$dir/tx.light"
other=${checkpoint%?}$([ "${checkpoint: -1}" = 0 ] && echo 1 || echo 0)
expect 10 "light verify from another" "$cairn" light verify --genesis "$genesis" --checkpoint "$other" "$dir/tx.light"
expect 2 "half a checkpoint" "$cairn" light verify --genesis "$genesis" --checkpoint "0:12" "$dir/tx.light"
expect 2 "light verify from nothing" "$cairn" light verify "$dir/tx.light"
expect 10 "a proof that is too old" "$cairn" light verify --genesis "$genesis" --max-age 1ms "$dir/tx.light"
expect 0 "light prove state" "$cairn" light prove --node "$url" --table validators --key 0000000000000000 "$dir/state.light"
expect 0 "light verify state" "$cairn" light verify --genesis "$genesis" "$dir/state.light" --json
has out "$key"
printf x | dd of="$dir/state.light" bs=1 seek=200 conv=notrunc 2>/dev/null
expect 10 "a changed proof" "$cairn" light verify --genesis "$genesis" "$dir/state.light"

expect 0 build "$cairn" tx build "${wallet[@]}" --from operator --to faucet --amount 1 --memo "rent"
cp "$dir/out" "$dir/unsigned.json"
expect 0 simulate "$cairn" tx simulate "$dir/unsigned.json" "${wallet[@]}" --json
has out '"outcome":"ok"'
expect 0 sign "$cairn" tx sign "$dir/unsigned.json" "${wallet[@]}" --from operator
cp "$dir/out" "$dir/signed.json"
expect 2 "sign with a stranger's key" "$cairn" tx sign "$dir/unsigned.json" "${wallet[@]}" --from faucet
expect 0 show "$cairn" tx show "$dir/signed.json"
expect 0 submit "$cairn" tx submit "$dir/signed.json" "${wallet[@]}" --json
has out committed
expect 0 "submit again, nobody pays twice" "$cairn" tx submit "$dir/signed.json" "${wallet[@]}" --json
sed 's/"amount": *"1000000000"/"amount":"2000000000"/' "$dir/signed.json" >"$dir/forged.json"
cmp -s "$dir/signed.json" "$dir/forged.json" && fail "nothing was forged"
expect 10 "show a forged file" "$cairn" tx show "$dir/forged.json"
expect 5 "submit a forged file" "$cairn" tx submit "$dir/forged.json" "${wallet[@]}" --json
has err bad_signature
expect 5 "more than there is" "$cairn" tx transfer "${wallet[@]}" --from operator --to faucet --amount 1000
expect 5 "a used nonce" "$cairn" tx transfer "${wallet[@]}" --from operator --to faucet --amount 1 --nonce 0 --json
has err nonce_too_low
expect 5 "a low fee" "$cairn" tx transfer "${wallet[@]}" --from operator --to faucet --amount 1 --fee 1 --json
has err fee_too_low
expect 5 "an expiry in the past" "$cairn" tx transfer "${wallet[@]}" --from operator --to faucet --amount 1 --valid-until 1 --json
has err expired
expect 2 "a mistyped address" "$cairn" tx transfer "${wallet[@]}" --from operator --to cairn1qqqq --amount 1
expect 2 "a bad amount" "$cairn" tx transfer "${wallet[@]}" --from operator --to faucet --amount 1e3
expect 1 "another chain" "$cairn" tx transfer "${wallet[@]}" --from operator --to faucet --amount 1 --chain-id 00
has err 'serves chain'
expect 0 account "$cairn" account show operator "${wallet[@]}" --json
address=$(jq -r .address "$dir/out")
expect 0 status "$cairn" status --node "$url" --json
stop

home=(--home "$dir/net/node0")
expect 0 "audit replay" "$cairn" audit replay "${home[@]}" --json
[ "$(jq -r .violations "$dir/out")" = 0 ] || fail "the audit found something"
expect 0 "audit invariants" "$cairn" audit invariants "${home[@]}" --json
expect 0 "audit supply" "$cairn" audit supply "${home[@]}" --json
python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))
sys.exit(sum(int(s[k]) for k in ("burned", "reward_pool", "treasury", "fees", "accounts")) != 10 ** 18)' "$dir/out" ||
    fail "the supply does not add up"
expect 0 "proof of presence" "$cairn" audit proof "${home[@]}" "$address" --json
[ "$(jq -r .value "$dir/out")" != null ] || fail "no value"
expect 0 "proof of absence" "$cairn" audit proof "${home[@]}" "$address" --asset 7 --json
[ "$(jq -r .value "$dir/out")" = null ] || fail "a value of an unknown asset"
cp -r "$dir/net/node0" "$dir/copy"
expect 0 "audit diff" "$cairn" audit diff "$dir/net/node0" "$dir/copy"
expect 0 "log verify" "$cairn" log verify "${home[@]}" --json
expect 0 "log stats" "$cairn" log stats "${home[@]}"
expect 0 "log dump" "$cairn" log dump "${home[@]}" --kind events --json
[ "$(wc -l <"$dir/out")" -gt 3 ] || fail "a short dump"
expect 0 "genesis show" "$cairn" genesis show "${home[@]}" --json
jq .genesis "$dir/out" >"$dir/genesis.json"
expect 0 "genesis make" "$cairn" genesis make "$dir/genesis.json" --home "$dir/again"
cmp "$dir/net/node0/config/genesis.bin" "$dir/again/config/genesis.bin" || fail "genesis.json and back differs"

# One rotten byte in the middle of the log is found, by the verifier and by the auditor.
log=$(ls "$dir"/copy/data/log/*.chain)
printf '\xff' | dd of="$log" bs=1 seek=$(($(stat -c %s "$log") / 2)) conv=notrunc status=none
expect 10 "log verify of a rotten log" "$cairn" log verify --home "$dir/copy"
code=0
"$cairn" audit replay --home "$dir/copy" >"$dir/out" 2>"$dir/err" || code=$?
[ "$code" != 0 ] || fail "the audit of a rotten log is content"

# Derived data is rebuilt: index, receipts and events come back byte for byte.
rm -rf "$dir/net/node0/data/index" "$dir"/net/node0/data/log/*.events "$dir"/net/node0/data/log/*.receipts
start
expect 0 "the index is rebuilt" "$cairn" tx status "$hash" --node "$url"
stop
expect 0 "audit after the rebuild" "$cairn" audit replay "${home[@]}"
expect 0 "log verify after the rebuild" "$cairn" log verify "${home[@]}"
echo "$passed passed, 0 failed"
