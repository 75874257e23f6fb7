#!/usr/bin/env python3
"""Makes log/signature_table.c: edge cases of Ed25519 verification with the ledger's verdicts.

Everything follows from the rules in log/signature.h, computed here with plain integers; no library
is asked. With --verdicts FILE it prints the verdicts about the vectors of a JSON file instead, one
character each (1 valid, 0 not), which is how tests/golden/ed25519-verdicts.txt was made.

    python3 tools/make_signature_table.py > log/signature_table.c
"""
import hashlib
import json
import sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)  # of -1


def recover_x(y, sign):
    """x of the point with this y (RFC 8032 section 5.1.3), or None."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    return x if x & 1 == sign else (P - x) % P


def add(a, b):
    x1, y1 = a
    x2, y2 = b
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P)


def multiply(n, point):
    result = (0, 1)
    while n:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


BASE_Y = 4 * pow(5, -1, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y)


def order_eight():
    """A generator of the torsion group: [L] of a point outside the subgroup, of full order 8."""
    y = 2
    while True:
        x = recover_x(y, 0)
        if x is not None:
            point = multiply(L, (x, y))
            if multiply(4, point) != (0, 1):
                return point
        y += 1


TORSION = [multiply(i, order_eight()) for i in range(8)]
SMALL_ORDER = {y for _, y in TORSION} | {P, P + 1}


def number(data):
    return int.from_bytes(data, "little")


def y_of(data):
    return number(data) & (1 << 255) - 1


def challenge(r, key, message):
    return number(hashlib.sha512(r + key + message).digest()) % L


def verdict(key, message, signature):
    """The six rules of log/signature.h."""
    r, s = signature[:32], number(signature[32:])
    if s >= L or y_of(r) in SMALL_ORDER:
        return False
    if y_of(key) >= P or y_of(key) in SMALL_ORDER:
        return False
    x = recover_x(y_of(key), key[31] >> 7)
    if x is None:
        return False
    k = challenge(r, key, message)
    negative = ((P - x) % P, y_of(key))
    return encode(add(multiply(s, BASE), multiply(k, negative))) == r


def scalar(label):
    return number(hashlib.sha512(b"cairn signature table " + label.encode()).digest()) % L


def sign(a, nonce, key, message, r=None):
    """A signature with secret scalar a; key and R are encoded as given."""
    r = r if r is not None else encode(multiply(nonce, BASE))
    return r + ((nonce + challenge(r, key, message) * a) % L).to_bytes(32, "little")


def cases():
    a, n = scalar("key"), scalar("nonce")
    point = multiply(a, BASE)
    key, message = encode(point), b"cairn 01"
    good = sign(a, n, key, message)
    yield "a plain signature", key, message, good
    yield "another message", key, b"cairn 02", good
    yield "a flipped bit in R", key, message, bytes([good[0] ^ 1]) + good[1:]
    yield "a flipped bit in S", key, message, good[:32] + bytes([good[32] ^ 1]) + good[33:]
    yield "the sign of the key flipped", key[:31] + bytes([key[31] ^ 128]), message, good
    s = number(good[32:])
    yield "S + L", key, message, good[:32] + (s + L).to_bytes(32, "little")
    yield "S + 8L", key, message, good[:32] + (s + 8 * L).to_bytes(32, "little")
    yield "S = L", key, message, good[:32] + L.to_bytes(32, "little")
    yield "a high bit of S set", key, message, good[:63] + bytes([good[63] | 128])
    for i, torsion in enumerate(TORSION):
        r = encode(torsion)
        yield f"R of small order {i}", key, message, sign(a, 0, key, message, r)
    for y in (P, P + 1):
        for top in (0, 1 << 255):
            r = (y | top).to_bytes(32, "little")
            yield "R of small order, not canonical", key, message, sign(a, 0, key, message, r)
            yield "key of small order, not canonical", r, message, sign(0, n, r, message)
    for i, torsion in enumerate(TORSION):
        yield f"key of small order {i}", encode(torsion), message, sign(0, n, encode(torsion), message)
    # Torsion in the key: the verdict depends on k mod 8, and must be the same everywhere.
    for i in (1, 2, 4):
        mixed = encode(add(point, TORSION[i]))
        for wanted in (True, False):
            j = 0
            while True:
                text = b"mixed%03d" % j
                signature = sign(a, n, mixed, text)
                if verdict(mixed, text, signature) == wanted:
                    break
                j += 1
            yield f"key with torsion {i}, k {'fits' if wanted else 'does not fit'}", mixed, text, signature
    # Torsion in R: only a cofactored rule accepts it.
    for i in (1, 2, 4):
        r = encode(add(multiply(n, BASE), TORSION[i]))
        yield f"R with torsion {i}", key, message, sign(a, n, key, message, r)
    # Torsion in both, cancelling: R - T and A + T with k = 1 mod 8.
    mixed, r = encode(add(point, TORSION[1])), encode(add(multiply(n, BASE), TORSION[7]))
    j = 0
    while challenge(r, mixed, b"both %03d" % j) % 8 != 1:
        j += 1
    yield "torsion of R and key cancel", mixed, b"both %03d" % j, sign(a, n, mixed, b"both %03d" % j, r)
    off = next(y for y in range(2, 99) if recover_x(y, 0) is None).to_bytes(32, "little")
    yield "a key that is no point", off, message, good
    yield "R that is no point", key, message, sign(a, n, key, message, off)
    high = (P + next(y for y in range(2, 19) if recover_x(y, 0) is not None)).to_bytes(32, "little")
    yield "a key that is not canonical", high, message, sign(0, n, high, message)
    yield "R that is not canonical", key, message, sign(a, 0, key, message, high)
    yield "all zero", bytes(32), message, bytes(64)


def lines(data):
    for i in range(0, len(data), 16):
        yield "     " + ", ".join(f"0x{b:02x}" for b in data[i:i + 16])


def array(data):
    return "{\n" + ",\n".join(lines(data)) + "}"


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--verdicts":
        with open(sys.argv[2], encoding="utf-8") as file:
            vectors = json.load(file)
        marks = "".join(str(int(verdict(bytes.fromhex(v["key"]), v["msg"].encode(),
                                        bytes.fromhex(v["sig"])))) for v in vectors)
        print("\n".join(marks[i:i + 64] for i in range(0, len(marks), 64)))
        return
    print('/* Made by tools/make_signature_table.py; do not edit. */')
    print('#include "log/signature_table.h"\n')
    print('/* clang-format off */')
    print("const struct signature_case SIGNATURE_TABLE[] = {")
    for claim, key, message, signature in cases():
        truth = "true" if verdict(key, message, signature) else "false"
        print(f'    {{"{claim}", {truth},\n     {array(key)},\n     {array(message)},\n'
              f'     {array(signature)}}},')
    print("};")
    print("/* clang-format on */")
    print("const size_t SIGNATURE_TABLE_COUNT = sizeof SIGNATURE_TABLE / sizeof SIGNATURE_TABLE[0];")


main()
