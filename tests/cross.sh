#!/usr/bin/env bash
# The same log on other machines: aarch64, and s390x, whose bytes lie the other way round, by user-mode
# emulation. Identical roots at every height, identical segments and side files. Not part of the test run.
#
#   bash tests/cross.sh BUILD [BLOCKS]      BUILD holds determinism_make and determinism_replay
#
# Installs Debian's cross compilers and qemu-user-static. The target's libraries are unpacked below
# BUILD/cross, by an apt whose lists and status lie there too: the machine's own packages stay alone.
set -euo pipefail
build=$(cd "$1" && pwd)
blocks=${2:-1000}
cd "$(dirname "$0")/.."
. tools/packages.sh
need_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross \
    qemu-user-static
cross=$build/cross
mkdir -p "$cross"
export LC_ALL=C # a locale's compiled form belongs to its machine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# sysroot ARCHITECTURE: headers and static libraries of what log links, below $cross/ARCHITECTURE.
sysroot() {
    local root=$cross/$1 apt=$cross/$1.apt
    [ -e "$root/complete" ] && return 0
    mkdir -p "$root" "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
    : >"$apt/status"
    local options=(-qq -o "Dir::State=$apt" -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
        -o "Dir::State::status=$apt/status" -o "APT::Architecture=$1" -o "APT::Architectures::=$1"
        -o Debug::NoLocking=1 -o APT::Sandbox::User=)
    apt-get "${options[@]}" update
    (cd "$apt/debs" && apt-get "${options[@]}" download libsodium-dev libssl-dev libxxhash-dev \
        libzstd-dev liburing-dev >/dev/null)
    for package in "$apt"/debs/*.deb; do dpkg -x "$package" "$root"; done
    touch "$root/complete"
}

"$build/determinism_make" "$work/source" "$blocks" 1 >"$work/made"
head -n 1 "$work/made" | sed 's/^/cross: /'

# Signatures are emulated slowly: those of the first heights are verified, and each start verifies the
# table of edge cases.
signed=50

# fold NAME COMMAND...: replays and compares with what the log's maker wrote and with the first roots.
fold() {
    local name=$1 began log=("$work/source/genesis.bin" "$work/source/log")
    began=$(date +%s)
    shift
    mkdir "$work/$name"
    "$@" "${log[@]}" "$work/$name/log" --restarts 2 --seed "$began" >"$work/$name/roots"
    "$@" "${log[@]}" "$work/$name/first" --to "$signed" --signatures >>"$work/$name/roots"
    [ -e "$work/roots" ] || cp "$work/$name/roots" "$work/roots"
    cmp "$work/roots" "$work/$name/roots"
    diff -rq "$work/source/log" "$work/$name/log"
    echo "cross: $name: $((blocks + 1)) roots and $(find "$work/$name/log" -type f | wc -l) files equal," \
        "$(tail -n 1 "$work/$name/roots"), $(($(date +%s) - began)) s"
}

fold "$(uname -m)" "$build/determinism_replay"
for target in "arm64 aarch64" "s390x s390x"; do
    read -r architecture machine <<<"$target"
    sysroot "$architecture"
    root=$cross/$architecture
    "$machine-linux-gnu-gcc" -std=c17 -D_GNU_SOURCE -O2 -fno-strict-aliasing -w -static -I. \
        -isystem "$root/usr/include" -isystem "$root/usr/include/$machine-linux-gnu" \
        log/*.c apply/*.c tests/determinism_rules.c tests/determinism_replay.c \
        -L "$root/usr/lib/$machine-linux-gnu" -lsodium -lcrypto -lxxhash -lzstd -luring -lpthread \
        -o "$cross/determinism_replay.$machine"
    fold "$machine" "qemu-$machine-static" "$cross/determinism_replay.$machine"
done
