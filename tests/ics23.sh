#!/usr/bin/env bash
# Foreign verification of our state proofs: npm's @confio/ics23 must accept them and refuse mutations.
#
#   bash tests/ics23.sh BUILD_FOLDER
#
# The package goes into BUILD_FOLDER/ics23 once; afterwards no network is needed. Without npm, or
# without both network and package, the test is skipped (77), or fails if CAIRN_REQUIRE_VECTORS=1.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(cd "${1:?build folder}" && pwd)
package=@confio/ics23
version=0.6.8

absent() {
    echo "ics23: $1"
    [ "${CAIRN_REQUIRE_VECTORS:-0}" = 1 ] && exit 1
    exit 77
}

command -v node >/dev/null || absent "node is absent"
folder=$build/ics23
if ! grep -q "\"version\": \"$version\"" "$folder/node_modules/$package/package.json" 2>/dev/null; then
    command -v npm >/dev/null || absent "npm is absent"
    mkdir -p "$folder"
    echo '{"private": true}' >"$folder/package.json"
    npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error \
        "$package@$version" >"$folder/npm.log" 2>&1 || absent "npm could not install $package: $folder/npm.log"
fi
CAIRN_ICS23_EXPORT=$folder/proofs.jsonl "$build/test_proof"
NODE_PATH=$folder/node_modules node tests/ics23_foreign.js "$folder/proofs.jsonl"
