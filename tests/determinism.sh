#!/usr/bin/env bash
# One log folded by many builds in many environments: the same root at every height, the same bytes of
# every segment and side file.
#
#   bash tests/determinism.sh BUILD            the share of the test run
#   bash tests/determinism.sh BUILD --full     every build (also with CAIRN_FULL=1)
#   CAIRN_DETERMINISM_BLOCKS=N                 another length
#
# BUILD holds determinism_make, which writes the log, and determinism_replay, the first of the builds
# compared; the others are log and apply compiled here. A row of the matrix is one run.
set -euo pipefail
build=$(cd "$1" && pwd)
full=${CAIRN_FULL:-0}
[ "${2:-}" = --full ] && full=1
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ "$full" = 1 ]; then blocks=20000 restarts=20; else blocks=1000 restarts=5; fi
blocks=${CAIRN_DETERMINISM_BLOCKS:-$blocks}

# ---- builds: name, compiler, flags ----

common="-std=c17 -D_GNU_SOURCE -fno-strict-aliasing -I. -w"
sources="log/*.c apply/*.c tests/determinism_rules.c tests/determinism_replay.c"
libraries=$(pkg-config --libs libsodium libcrypto libxxhash libzstd liburing)
zero="-ftrivial-auto-var-init=zero"
clang_zero="$zero -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang"
sanitize="-g1 -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize"
# What libsodium, libcrypto and libxxhash do with memory is told by tests/determinism_msan.c.
msan_wraps() {
    sed -n 's/^WRAP([^,]*, \([A-Za-z0-9_]*\),.*/-Wl,--wrap=\1/p; s/^void __wrap_\(.*\)(.*;/-Wl,--wrap=\1/p' \
        tests/determinism_msan.c | tr '\n' ' '
}
builds() {
    echo "gcc-O0        gcc   -O0 -funsigned-char -ftrivial-auto-var-init=pattern"
    echo "gcc-O3-lto    gcc   -O3 -flto=auto -march=native -fsigned-char $zero"
    echo "clang-O3      clang -O3 -funsigned-char $clang_zero"
    echo "clang-asan    clang -O1 $sanitize=address,undefined"
    echo "clang-ubsan   clang -O2 $sanitize=undefined" # malloc of the address sanitizer over-aligns
    [ "$full" = 1 ] || return 0
    echo "gcc-O2        gcc   -O2 -ftrapv -fsigned-char"
    echo "gcc-Os        gcc   -Os -fwrapv -fno-builtin"
    echo "gcc-asan      gcc   -O2 $sanitize=address,undefined"
    echo "clang-O0      clang -O0 -fsigned-char -ftrivial-auto-var-init=pattern"
    echo "clang-native  clang -O3 -march=native"
    echo "clang-msan    clang -O1 $sanitize=memory tests/determinism_msan.c $(msan_wraps)"
}

compile() { # name, compiler, flags...
    local name=$1 compiler=$2 program=$programs/$1
    shift 2
    [ -e "$program" ] && [ -z "$(find log apply tests/determinism* -newer "$program" -print -quit)" ] &&
        return 0
    # shellcheck disable=SC2086 # lists
    "$compiler" $common $sources "$@" -o "$program.new" $libraries -lpthread 2>"$program.errors" ||
        { echo "determinism: $name does not build:" >&2; cat "$program.errors" >&2; exit 255; }
    mv "$program.new" "$program"
}
programs=$build/determinism
mkdir -p "$programs"
ln -sf "$build/determinism_replay" "$programs/release"
export programs common sources libraries
export -f compile
echo "determinism: building $(builds | wc -l) variants of log and apply"
builds | xargs -P "$(nproc)" -I{} bash -c 'compile {}'

# ---- the log and the environment ----

"$build/determinism_make" "$work/source" "$blocks" 1 >"$work/made"
head -n 1 "$work/made" | sed 's/^/determinism: /'
mkdir "$work/locale"
for language in tr_TR de_DE; do
    localedef -i "$language" -f UTF-8 "$work/locale/$language.UTF-8"
done
export LOCPATH=$work/locale

# ---- the matrix: build, arguments of the replay, command before it ----

runs() {
    echo "release       --signatures|"
    echo "release       --seed 2 --restarts $restarts|env LC_ALL=tr_TR.UTF-8 TZ=Asia/Kathmandu"
    echo "release       --seed 3 --uring|env MALLOC_PERTURB_=165 setarch -R"
    echo "gcc-O0        --seed 4|env LC_ALL=de_DE.UTF-8 TZ=America/St_Johns"
    echo "gcc-O3-lto    --seed 5 --restarts 2|env MALLOC_PERTURB_=255"
    echo "clang-O3      --seed 6 --restarts 2|env LC_ALL=tr_TR.UTF-8 MALLOC_PERTURB_=1"
    echo "clang-asan    --seed 7 --signatures|env TZ=Asia/Kathmandu"
    echo "clang-ubsan   --seed 8|env TZ=Pacific/Apia"
    [ "$full" = 1 ] || return 0
    for perturb in 2 90 254; do
        echo "gcc-O2    --seed 1$perturb --restarts $restarts|env MALLOC_PERTURB_=$perturb"
    done
    echo "gcc-Os        --seed 20|prlimit --stack=524288 env LC_ALL=de_DE.UTF-8"
    echo "gcc-asan      --seed 21 --restarts 3|setarch -R"
    echo "clang-O0      --seed 22 --uring|env LC_ALL=tr_TR.UTF-8 TZ=UTC-14"
    echo "clang-native  --seed 23 --restarts $restarts|env MALLOC_PERTURB_=127 setarch -R"
    echo "clang-msan    --seed 24 --signatures|env LC_ALL=tr_TR.UTF-8 TZ=Asia/Kathmandu"
}

failed=0 count=0 signatures=
while IFS='|' read -r what before; do
    read -r name arguments <<<"$what"
    out=$work/out
    mkdir "$out"
    began=$(date +%s%N)
    # shellcheck disable=SC2086 # lists
    $before "$programs/$name" "$work/source/genesis.bin" "$work/source/log" "$out/log" \
        $arguments >"$out/roots" </dev/null || { echo "determinism: $what ($before) ended with $?" >&2
                                                 failed=1; }
    grep -v '^signatures' "$out/roots" >"$out/heights" || true
    [ -e "$work/heights" ] || cp "$out/heights" "$work/heights"
    [ "$(wc -l <"$out/heights")" -eq $((blocks + 1)) ] && cmp "$work/heights" "$out/heights" >&2 ||
        { echo "determinism: other roots: $what ($before)" >&2; failed=1; }
    diff -rq "$work/source/log" "$out/log" >"$work/differences" ||
        { echo "determinism: other files: $what ($before)" >&2
          head -n 3 "$work/differences" >&2; failed=1; }
    held=$(sed -n 's/^signatures //p' "$out/roots")
    signatures=${signatures:-$held}
    [ -z "$held" ] || [ "$held" = "$signatures" ] ||
        { echo "determinism: other signatures: $what ($before)" >&2; failed=1; }
    printf 'determinism: %-11s %6d ms  %s %s\n' "$name" $((($(date +%s%N) - began) / 1000000)) \
        "$before" "$arguments"
    rm -rf "$out"
    count=$((count + 1))
done < <(runs)
[ "$failed" -eq 0 ] || exit 1
echo "determinism: $count runs, $((blocks + 1)) roots and $(find "$work/source/log" -type f | wc -l)" \
    "files each, all equal; roots $(sha256sum <"$work/heights" | cut -c 1-16)"
