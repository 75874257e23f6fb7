// Verifies proofs of presence with npm's @confio/ics23, and sees that mutated ones fail there too.
//
//   node tests/ics23_foreign.js PROOFS       PROOFS: JSON lines {key, value, root, proof} in hex, as
//                                            CAIRN_ICS23_EXPORT=PROOFS build/test_proof writes them
//
// The specification is given by hand, over the hashed path: the key is SHA-256(full key) and its
// prehash NO_HASH, which leads to the same leaf as the full key with prehash SHA-256.
"use strict";
const assert = require("assert");
const { createHash } = require("crypto");
const { readFileSync } = require("fs");
const { ics23, verifyExistence } = require("@confio/ics23");

const { HashOp, LengthOp } = ics23;
const SPEC = {
    leafSpec: {
        hash: HashOp.SHA256,
        prehashKey: HashOp.NO_HASH,
        prehashValue: HashOp.SHA256,
        length: LengthOp.NO_PREFIX,
        prefix: Uint8Array.from([0]),
    },
    innerSpec: {
        childOrder: [0, 1],
        childSize: 32,
        minPrefixLength: 1,
        maxPrefixLength: 1,
        emptyChild: new Uint8Array(32),
        hash: HashOp.SHA256,
    },
    maxDepth: 256,
};

const fromHex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const sha256 = (bytes) => Uint8Array.from(createHash("sha256").update(bytes).digest());

// Our proof names the full key; for this library the path takes its place.
function existenceOf(bytes) {
    const exist = ics23.CommitmentProof.decode(bytes).exist;
    assert.ok(exist && exist.leaf, "an existence proof");
    assert.strictEqual(exist.leaf.prehashKey, HashOp.SHA256);
    exist.key = sha256(exist.key);
    exist.leaf.prehashKey = HashOp.NO_HASH;
    return exist;
}

function holds(exist, claim) {
    try {
        verifyExistence(exist, SPEC, claim.root, claim.path, claim.value);
        return true;
    } catch {
        return false;
    }
}

// Each bit of `bytes`, flipped in place for one call.
function forEachFlip(bytes, call) {
    for (let i = 0; i < bytes.length; i++) {
        for (let bit = 0; bit < 8; bit++) {
            bytes[i] ^= 1 << bit;
            call();
            bytes[i] ^= 1 << bit;
        }
    }
}

function refuseMutations(claim) {
    let refused = 0;
    const refuse = () => {
        assert.ok(!holds(exist, claim), "a mutated proof verifies");
        refused++;
    };
    const exist = existenceOf(claim.proof);
    const parts = [claim.root, claim.path, claim.value, exist.key, exist.value, exist.leaf.prefix];
    for (const step of exist.path) {
        parts.push(step.prefix, step.suffix);
    }
    for (const part of parts) {
        forEachFlip(part, refuse);
    }
    // This library's decoder ignores wire types and unknown fields: a flip that it accepts must have
    // decoded to the very same message.
    const original = JSON.stringify(existenceOf(claim.proof));
    forEachFlip(claim.proof, () => {
        let mutated;
        try {
            mutated = existenceOf(claim.proof);
        } catch {
            refused++;
            return;
        }
        if (holds(mutated, claim)) assert.strictEqual(JSON.stringify(mutated), original);
        else refused++;
    });
    return refused;
}

const lines = readFileSync(process.argv[2], "utf8").trim().split("\n");
let refused = 0;
lines.forEach((line, index) => {
    const record = JSON.parse(line);
    const claim = {
        path: sha256(fromHex(record.key)),
        value: fromHex(record.value),
        root: fromHex(record.root),
        proof: fromHex(record.proof),
    };
    assert.ok(holds(existenceOf(claim.proof), claim), `proof ${index} verifies`);
    if (index < 4 || index % 97 === 0) refused += refuseMutations(claim);
});
assert.ok(lines.length > 100 && refused > 10000);
console.log(`${lines.length} proofs verified, ${refused} mutations refused by @confio/ics23`);
