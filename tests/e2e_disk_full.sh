#!/usr/bin/env bash
# A disk that is full for real; see e2e_disk_full.py. It needs root and a loop device, and is skipped
# (77) where the machine does not give them; test_node_space makes the same claims everywhere.
skip() { echo "skipped: $1"; exit 77; }
[ "$(id -u)" = 0 ] || skip "only root may mount"
command -v mkfs.ext4 >/dev/null || skip "mkfs.ext4 (package e2fsprogs) is missing"
image=$(mktemp /tmp/cairn-disk-XXXXXX)
trap 'rm -f "$image"' EXIT
truncate -s 64M "$image" && mkfs.ext4 -q -F "$image" || skip "no file system can be made in /tmp"
unshare -m bash -c 'd=$(mktemp -d) && mount -o loop "$1" "$d" && umount "$d" && rmdir "$d"' - "$image" \
    2>/dev/null || skip "this machine does not let us mount a loop device in a namespace of our own"
CAIRN_DISK_IMAGE=$image unshare -m python3 "$(dirname "$0")/e2e_disk_full.py" "${1:-build}"
