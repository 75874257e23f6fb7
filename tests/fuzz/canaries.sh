#!/usr/bin/env bash
# Every fuzz target must find the bug that is planted in its canary (tests/fuzz/CMakeLists.txt), in
# each of five seeds, from its corpus and from nothing: a corpus alone proves no mutator.
#
#   bash tests/fuzz/canaries.sh [BUILD]     a build without LTO, build-asan unless given
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build-asan}
bad=0
empty=$(mktemp)
trap 'rm -f "$empty"' EXIT
for program in "$build"/canary_*; do
    name=${program##*/canary_}
    for seed in 1 2 3 4 5; do
        "$program" tests/fuzz/corpus/"$name".corpus --canary 1000000 --seed $seed 2>/dev/null |
            sed "s/^/$name, seed $seed: /" || bad=1
    done
    "$program" "$empty" --canary 1000000 2>/dev/null | sed "s/^/$name, no corpus: /" || bad=1
done
exit $bad
