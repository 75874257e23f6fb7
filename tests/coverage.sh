#!/usr/bin/env bash
# Branch coverage by the unit, model, fault and crash tests. Fails when a branch of the files that must be
# covered whole was never taken: codec, journal and its recovery, superblock, all of apply.
#
#   bash tests/coverage.sh              the table of those files
#   bash tests/coverage.sh --list       and each branch that was never taken
#   bash tests/coverage.sh FILE...      a table of other files
#
# The measure is clang's source-based coverage: one branch for each outcome of each leaf condition, the
# parts of && and || included, on the source as it stands; gcc's counters see what is left after folding.
# tests/coverage_table.py says what counts. Counts stay in build-coverage/profiles, one file a test; a test runs
# again only when its program has changed. tests/mutants.py reads there which test runs which line.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/build-coverage
profiles=$folder/profiles
options=()
files=()
for argument in "$@"; do
    case $argument in
    --*) options+=("$argument") ;;
    *) files+=("$argument") ;;
    esac
done
if [ "${#files[@]}" -eq 0 ]; then
    files=(log/amount.h log/bytes.h log/schema.h log/schema.c log/block.c log/merkle.c log/journal*.c
        log/superblock.c apply/*.h apply/*.c)
fi

mapfile -t names < <(basename -s .c tests/test_*.c)
mkdir -p "$folder"
{
    cmake -S . -B "$folder" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DCAIRN_COVERAGE=ON &&
        cmake --build "$folder" -j "$(nproc)" --target "${names[@]}"
} >"$folder/build.log" 2>&1 || { tail -n 60 "$folder/build.log" >&2; exit 1; }

run_test() { # program, folder for its counts
    local name sum seconds=$SECONDS
    name=$(basename "$1")
    sum=$(sha256sum <"$1")
    [ -s "$2/$name.profraw" ] && [ "$(cat "$2/$name.sum" 2>/dev/null)" = "$sum" ] && return 0
    rm -f "$2/$name.sum"
    if ! LLVM_PROFILE_FILE="$2/$name.profraw" timeout 900 "$1" >"$2/$name.log" 2>&1; then
        tail -n 30 "$2/$name.log" >&2
        echo "coverage: $name failed" >&2
        return 1
    fi
    echo "$sum" >"$2/$name.sum"
    echo "$name: $((SECONDS - seconds)) s"
}
export -f run_test
programs=("${names[@]/#/$folder/}")
mkdir -p "$profiles"
printf '%s\0' "${programs[@]}" |
    xargs -0 -P "$(nproc)" -I {} bash -c 'run_test "$1" "$2"' _ {} "$profiles" >&2

# Debian names the tools by version; they must be of clang's.
tool() { command -v "$1" || ls "$(dirname "$(readlink -f "$(command -v clang)")")/$1"; }
"$(tool llvm-profdata)" merge -sparse "$profiles"/*.profraw -o "$profiles/all.profdata"
"$(tool llvm-cov)" export -instr-profile "$profiles/all.profdata" "${programs[@]/#/--object=}" >"$profiles/all.json"
python3 tests/coverage_table.py "$PWD" "${options[@]}" "${files[@]}" <"$profiles/all.json"
