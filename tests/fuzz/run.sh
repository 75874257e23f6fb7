#!/usr/bin/env bash
# Long fuzz runs with libFuzzer, address and undefined-behaviour sanitizers (clang).
#
#   bash tests/fuzz/run.sh [TARGET...]                 their full counts, one after the other
#   EXECUTIONS=N bash tests/fuzz/run.sh TARGET...      another count
#   SANITIZE=undefined bash tests/fuzz/run.sh TARGET   without the address sanitizer: two to eight times as many a second
#   MINIMISE=1 bash tests/fuzz/run.sh TARGET...        and afterwards keep what adds coverage in
#                                                      tests/fuzz/corpus/TARGET.corpus
#
# An input fails that crashes, is answered wrongly, takes 100 ms of CPU or drives memory beyond
# 512 MiB. It is left as build-fuzz/found-TARGET-*; `build/fuzz_TARGET - --input FILE` runs it alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/fuzz
sanitize=${SANITIZE:-address,undefined}
build=build-fuzz
[ "$sanitize" = address,undefined ] || build=build-fuzz-$sanitize
codecs="codec tx block message journal segment json config proof signer compact"
stateful="apply mempool recover replica handshake link"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || read -ra targets <<<"$codecs $stateful"

build_some() { # folder, flags, targets...
    cmake -S . -B "$1" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Release -DCAIRN_FUZZ=ON \
        -DCAIRN_FUZZ_SANITIZE="$sanitize" -DCMAKE_C_FLAGS="$2" >/dev/null
    cmake --build "$1" -j "$(nproc)" --target "${@:3}" >/dev/null
}
# What compares equal tells libFuzzer which bytes a codec waits for. The inputs of the stateful targets are
# programs: there it is a third of the time, and so is the weighing of inputs by how rare their paths are.
is_stateful() { [[ " $stateful " == *" $1 "* ]]; }
for target in "${targets[@]}"; do
    if is_stateful "$target"; then build_some "$build-stateful" -fno-sanitize-coverage=trace-cmp "fuzz_$target"
    else build_some "$build" "" "fuzz_$target"; fi
done

export CAIRN_FUZZ_SLOW_MS=100
export ASAN_OPTIONS=quarantine_size_mb=8:malloc_context_size=4:${ASAN_OPTIONS:-}
failed=0
for target in "${targets[@]}"; do
    executions=${EXECUTIONS:-10000000} leaks=1 entropic=1 program=$build/fuzz_$target
    if is_stateful "$target"; then # what lives on from input to input is no leak
        executions=${EXECUTIONS:-1000000} leaks=0 entropic=0 program=$build-stateful/fuzz_$target
    fi
    [ "$sanitize" = address,undefined ] || leaks=0
    work=$build/work-$target
    mkdir -p "$work"
    python3 $here/pack.py unpack $here/corpus/"$target".corpus "$work"
    start=$(date +%s)
    chrt -i 0 "$program" -runs="$executions" -entropic=$entropic -len_control=0 -max_len=65536 \
        -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=25 -reload=0 -detect_leaks=$leaks -print_final_stats=1 \
        -artifact_prefix=$build/found-"$target"- "$work" >$build/"$target".log 2>&1 || failed=1
    last=$(grep -a -E '^#[0-9]+.*(DONE|NEW|REDUCE|pulse)' $build/"$target".log | tail -n 1 | tr '\t' ' ' || true)
    echo "$target: $last, $(($(date +%s) - start)) s, peak $(sed -n 's/^stat::peak_rss_mb: *//p' $build/"$target".log) MiB," \
        "findings: $(find $build -maxdepth 1 -name "found-$target-*" | wc -l)"
    if [ "${MINIMISE:-0}" = 1 ]; then
        rm -rf "$work.least" && mkdir "$work.least"
        "$program" -merge=1 -use_counters=0 -max_len=4096 "$work.least" "$work" >$build/"$target".merge.log 2>&1
        python3 $here/pack.py pack $here/corpus/"$target".corpus "$work.least"
    fi
done
exit $failed
