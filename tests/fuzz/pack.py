"""A corpus as one file and as one file an input: length (u32, little-endian), bytes; shortest first.

python3 pack.py pack FILE.corpus FOLDER | unpack FILE.corpus FOLDER
"""
import os
import struct
import sys

INPUTS_MAX = 200


def pack(path, folder):
    inputs = [open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder)]
    inputs.sort(key=lambda one: (len(one), one))
    with open(path, "wb") as out:
        for one in inputs[:INPUTS_MAX]:
            out.write(struct.pack("<I", len(one)) + one)
    print(f"{path}: {min(len(inputs), INPUTS_MAX)} of {len(inputs)} inputs, {os.path.getsize(path)} bytes")


def unpack(path, folder):
    data, at, count = open(path, "rb").read(), 0, 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        with open(os.path.join(folder, f"corpus-{count:04}"), "wb") as out:
            out.write(data[at + 4:at + 4 + length])
        at, count = at + 4 + length, count + 1


{"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
