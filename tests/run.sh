#!/usr/bin/env bash
# Builds cairn and runs all tests. Bare Debian 12 is enough: what is missing gets installed.
#
#   bash tests/run.sh            every test, long loops with their fixed share   (<= 25 minutes, 2 cores)
#   bash tests/run.sh --full     the whole counts of the long loops
#
# Two builds: release (gcc, LTO, assertions on) and clang with address and undefined-behaviour
# sanitizers. CAIRN_REQUIRE_VECTORS=1 makes absent test vectors a failure instead of a skip.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/packages.sh

export CAIRN_FULL=0
for argument in "$@"; do
    case $argument in
    --full) CAIRN_FULL=1 ;;
    *) echo "usage: bash tests/run.sh [--full]" >&2; exit 2 ;;
    esac
done

# shellcheck disable=SC2086 # a list of names
need_packages $CAIRN_BUILD_PACKAGES libcmocka-dev clang llvm libclang-rt-14-dev clang-format jq curl \
    python3 python3-cryptography-vectors prometheus ca-certificates e2fsprogs locales iproute2
# A Node.js that somebody installed from elsewhere brings its npm along and excludes Debian's.
command -v npm >/dev/null || need_packages nodejs npm

jobs=$(nproc)
build() { # folder, options...
    local folder=$1
    shift
    cmake -S . -B "$folder" -G Ninja "$@" >"$folder.configure.log" 2>&1 ||
        { cat "$folder.configure.log" >&2; return 1; }
    cmake --build "$folder" -j "$jobs" >"$folder.build.log" 2>&1 ||
        { tail -n 60 "$folder.build.log" >&2; return 1; }
}

if [ -f /usr/local/cuda/include/cuda.h ]; then echo "cairn: CUDA toolkit present; no CUDA code is built at this step"
else echo "cairn: no CUDA toolkit here; nothing needs one"; fi

echo "cairn: building release (gcc)"
build build -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Release
echo "cairn: building with sanitizers (clang)"
build build-asan -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DCAIRN_SANITIZE=address,undefined

failed=0
echo "cairn: tests with sanitizers"
CAIRN_BUILD="$PWD/build-asan" ctest --test-dir build-asan -j "$jobs" --output-on-failure \
    --timeout 900 -LE e2e || failed=1
echo "cairn: tests of the release build, end-to-end tests included"
CAIRN_BUILD="$PWD/build" ctest --test-dir build -j "$jobs" --output-on-failure --timeout 1500 || failed=1
exit "$failed"
