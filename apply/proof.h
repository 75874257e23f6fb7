/* apply/proof.h - proofs of presence and absence in the state tree, in the form of ICS-23.
 *
 * The tree is the compact sparse Merkle tree of the ICS-23 SMT specification: the path of a record
 * is SHA-256(full key); leaf = SHA-256(00 | SHA-256(full key) | SHA-256(value)), inner = SHA-256(01
 * | left | right), an empty child is 32 zero bytes, a leaf stands at its shortest unique prefix.
 *
 * Verification also knows ICS-23's Tendermint specification, so that roots of other chains can be
 * checked by the same code. Source: cosmos/ics23, proto/cosmos/ics23/v1/proofs.proto.
 */
#ifndef CAIRN_APPLY_PROOF_H
#define CAIRN_APPLY_PROOF_H

#include "apply/store.h"

#define PROOF_BYTES_MAX       (160u * 1024) /* two neighbours with the longest values and paths */
#define PROOF_KEY_BYTES_MAX   256
#define PROOF_VALUE_BYTES_MAX STORE_VALUE_BYTES_MAX

enum proof_spec { PROOF_SMT, PROOF_TENDERMINT };

/* proof_state writes the ICS-23 CommitmentProof (protobuf) for one record of the store as it
 * stands: an existence proof if the record is there, else a non-existence proof with the record's
 * neighbours in tree order (one of them at an end of the tree). In an empty tree, whose root is
 * zero, the proof of absence is empty. out[capacity] receives the bytes, *count their number; the
 * root is that of store_root, which it calls. STATUS_FULL: capacity is too small. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status proof_state(struct store *store, uint16_t table, const uint8_t *key,
                                   uint8_t *out, size_t capacity, size_t *count);

/* proof_verify_presence: the CommitmentProof shows that `key` has `value` under `root`.
 * proof_verify_absence: it shows that `key` has no value under `root`.
 * `key` is the full key (store_full_key), 1..PROOF_KEY_BYTES_MAX bytes. Encoding and shape are
 * stricter than ICS-23 asks (apply/ics23.h): no other bytes than these prove the same.
 * STATUS_BAD_PROOF: it does not; also every malformed, oversized or non-canonical proof. */
MUST_CHECK enum status proof_verify_presence(enum proof_spec spec, const uint8_t root[HASH_BYTES],
                                             struct bytes key, struct bytes value,
                                             struct bytes proof);
MUST_CHECK enum status proof_verify_absence(enum proof_spec spec, const uint8_t root[HASH_BYTES],
                                            struct bytes key, struct bytes proof);

#endif
