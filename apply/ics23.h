/* apply/ics23.h - the protobuf messages of ICS-23 that a single proof needs, read strictly.
 *
 *   CommitmentProof    1 exist: ExistenceProof | 2 nonexist: NonExistenceProof
 *   NonExistenceProof  1 key, 2 left: ExistenceProof, 3 right: ExistenceProof
 *   ExistenceProof     1 key, 2 value, 3 leaf: LeafOp, 4 path: InnerOp, repeated
 *   LeafOp             1 hash, 2 prehash_key, 3 prehash_value, 4 length, 5 prefix
 *   InnerOp            1 hash, 2 prefix, 3 suffix
 *
 * Protobuf allows many encodings of one message; here there is one: fields in ascending order, each
 * at most once (path excepted), none unknown, none with its default value, varints of minimal
 * length. It is what the common encoders write. Batches, compressed batches and exclusion proofs
 * are refused. Source: cosmos/ics23, proto/cosmos/ics23/v1/proofs.proto.
 */
#ifndef CAIRN_APPLY_ICS23_H
#define CAIRN_APPLY_ICS23_H

#include <stdbool.h>

#include "log/bytes.h"

#define ICS23_PATH_MAX 256

/* HashOp and LengthOp, as far as the two specifications use them. */
enum ics23_hash { ICS23_NO_HASH = 0, ICS23_SHA256 = 1 };
enum ics23_length { ICS23_NO_PREFIX = 0, ICS23_VAR_PROTO = 1 };

struct ics23_leaf {
    uint32_t hash, prehash_key, prehash_value, length;
    struct bytes prefix;
};

struct ics23_inner {
    uint32_t hash;
    struct bytes prefix, suffix;
};

struct ics23_existence {
    bool present; /* the message is there at all */
    struct bytes key, value;
    bool has_leaf;
    struct ics23_leaf leaf;
    size_t path_count;
    struct ics23_inner path[ICS23_PATH_MAX]; /* from the leaf to the root */
};

/* A proof of presence with `left` alone, or one of absence with `key`, `left` and `right`. */
struct ics23_proof {
    bool absence;
    struct bytes key;
    struct ics23_existence left;
    struct ics23_existence right;
};

/* ics23_decode reads a CommitmentProof; its bytes are borrowed by *proof. STATUS_TRUNCATED,
 * STATUS_TRAILING, STATUS_RANGE (a path beyond ICS23_PATH_MAX, a number beyond 32 bits),
 * STATUS_NONCANONICAL, STATUS_UNSUPPORTED (another kind of proof). */
MUST_CHECK enum status ics23_decode(struct bytes bytes, struct ics23_proof *proof);

/* ics23_encode writes a CommitmentProof, and encode(decode(x)) == x. STATUS_FULL: out[capacity] is
 * too small. */
MUST_CHECK enum status ics23_encode(const struct ics23_proof *proof, uint8_t *out, size_t capacity,
                                    size_t *count);

/* ics23_varint_bytes answers the encoded length of a number, ics23_varint_write writes it. */
size_t ics23_varint_bytes(uint32_t value);
void ics23_varint_write(struct writer *w, uint32_t value);

#endif
