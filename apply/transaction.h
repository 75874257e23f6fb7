/* apply/transaction.h - the signed envelope.
 *
 *   transaction = content | signatures
 *   id          = BLAKE2b-256("cairn tx", all bytes, signatures included)
 *   signed      = "cairn tx" (8 bytes) | genesis id (32) | content bytes
 *   address     = BLAKE2b-256("cairn address", authority bytes), shown as bech32m cairn1...
 *
 * An authority is a threshold over 1..16 Ed25519 keys in strictly ascending order; a single key is
 * the policy 1 of 1. Signatures name their key by index, strictly ascending, exactly `threshold` of
 * them.
 *
 * Three kinds of rules, in this order, each written once:
 *   tx_open      bytes alone: canonical, sizes, sorted keys and signers, known operations with
 * bodies that decode. Block validity and admission. tx_check     bytes, parameters of the epoch and
 * a height: chain tag, expiry window, gas and fee. Block validity, admission, and once more in
 * apply, where a refusal is an unpaid outcome. tx_verify    signatures, by the frozen rule
 * (log/signature.h).
 */
#ifndef CAIRN_APPLY_TRANSACTION_H
#define CAIRN_APPLY_TRANSACTION_H

#include "apply/operation.h"
#include "apply/outcome.h"
#include "apply/params.h"
#include "log/hash.h"
#include "log/schema.h"

#define TX_VERSION             1
#define TX_SCHEME_ED25519      1
#define TX_KEYS_MAX            16
#define TX_OPERATIONS_MAX      64
#define TX_OPERATION_BYTES_MAX 8192
#define TX_MEMO_BYTES_MAX      256
#define TX_BYTES_MAX           65535

#define KEY_ENTRY_FIELDS(F) F(KEY, _, key, 0, 0, NONE, "Ed25519 public key")
SCHEMA_DECLARE(key_entry, KEY_ENTRY_FIELDS)

#define AUTHORITY_FIELDS(F)                                                                        \
    F(U8, _, scheme, TX_SCHEME_ED25519, TX_SCHEME_ED25519, NONE, "1: Ed25519")                     \
    F(U8, _, threshold, 1, TX_KEYS_MAX, COUNT, "signatures needed")                                \
    F(LIST, key_entry, keys, 1, TX_KEYS_MAX, NONE, "keys in strictly ascending order")
SCHEMA_DECLARE(authority, AUTHORITY_FIELDS)

#define OPERATION_FIELDS(F)                                                                        \
    F(U16, _, kind, 0, UINT16_MAX, NONE, "number of the operation")                                \
    F(BYTES, _, body, 0, TX_OPERATION_BYTES_MAX, NONE, "its declared record")
SCHEMA_DECLARE(operation, OPERATION_FIELDS)

#define TX_CONTENT_FIELDS(F)                                                                       \
    F(U8, _, version, TX_VERSION, TX_VERSION, NONE, "format version")                              \
    F(U32, _, chain_tag, 0, UINT32_MAX, NONE, "first four bytes of the genesis id")                \
    F(STRUCT, authority, authority, 0, 0, NONE, "who pays and acts")                               \
    F(U64, _, nonce, 0, UINT64_MAX - 1, COUNT, "paid transactions of this account before")         \
    F(U64, _, fee, 0, AMOUNT_MAX, BASE, "charged whole")                                           \
    F(U64, _, valid_until, 1, UINT64_MAX, HEIGHT, "last height that may include it")               \
    F(LIST, operation, operations, 1, TX_OPERATIONS_MAX, NONE, "all or nothing, in order")         \
    F(TEXT, _, memo, 0, TX_MEMO_BYTES_MAX, NONE, "for people; the ledger ignores it")
SCHEMA_DECLARE(tx_content, TX_CONTENT_FIELDS)

#define TX_SIGNATURE_FIELDS(F)                                                                     \
    F(U8, _, key_index, 0, TX_KEYS_MAX - 1, NONE, "index in the authority's keys")                 \
    F(SIGNATURE, _, signature, 0, 0, NONE, "over the signed bytes")
SCHEMA_DECLARE(tx_signature, TX_SIGNATURE_FIELDS)

#define TX_FIELDS(F)                                                                               \
    F(STRUCT, tx_content, content, 0, 0, NONE, "what is signed")                                   \
    F(LIST, tx_signature, signatures, 1, TX_KEYS_MAX, NONE, "in ascending key order")
SCHEMA_DECLARE(tx, TX_FIELDS)

/* A transaction that tx_open accepted; borrows the bytes. */
struct tx_view {
    struct tx tx;
    struct bytes bytes;   /* all */
    struct bytes content; /* the part that is signed */
    uint8_t id[HASH_BYTES];
    uint8_t sender[HASH_BYTES];         /* address of the authority */
    const struct operation_rule *rules; /* the registry that it was opened with */
    size_t rule_count;
};

/* tx_open decodes and applies the rules on bytes alone, with the built-in operations. A failure
 * leaves the view undefined: the codec's status, STATUS_NONCANONICAL (order of keys or signers),
 * STATUS_RANGE (threshold, number of signatures, index of a key), STATUS_UNSUPPORTED (unknown
 * operation). tx_open_rules takes another registry. */
MUST_CHECK enum status tx_open(const uint8_t *bytes, size_t count, struct tx_view *view);
MUST_CHECK enum status tx_open_rules(const uint8_t *bytes, size_t count,
                                     const struct operation_rule *rules, size_t rule_count,
                                     struct tx_view *view);

/* tx_gas answers the exact gas of a transaction under these parameters: a base, its bytes, its
 * signatures and its operations, each at its declared price. It cannot overflow within the bounds.
 */
uint64_t tx_gas(const struct tx_view *view, const struct params *params);

/* tx_check applies the rules that need parameters and a height: OUTCOME_OK, or in this order
 * OUTCOME_WRONG_CHAIN, OUTCOME_TOO_LARGE, OUTCOME_EXPIRED (valid_until < height),
 * OUTCOME_EXPIRY_TOO_FAR, OUTCOME_FEE_TOO_LOW. */
enum outcome tx_check(const struct tx_view *view, const struct params *params, uint32_t chain_tag,
                      uint64_t height);

/* tx_check_gas is tx_check for an owner who knows tx_gas already. */
enum outcome tx_check_gas(const struct tx_view *view, uint64_t gas, const struct params *params,
                          uint32_t chain_tag, uint64_t height);

/* tx_fee_min answers gas times the minimum price: the lowest fee that tx_check accepts. */
uint64_t tx_fee_min(const struct tx_view *view, const struct params *params);

/* tx_verify checks all signatures. STATUS_BAD_SIGNATURE: one of them does not hold. Thread-safe. */
MUST_CHECK enum status tx_verify(const struct tx_view *view, const uint8_t genesis_id[HASH_BYTES]);

/* TX_SIGNED_BYTES_MAX is room enough for the signed bytes of every transaction. */
#define TX_SIGNED_BYTES_MAX (8 + HASH_BYTES + TX_BYTES_MAX)

/* tx_signed_bytes writes "cairn tx" | genesis id | content. STATUS_FULL: capacity too small. */
MUST_CHECK enum status tx_signed_bytes(struct bytes content, const uint8_t genesis_id[HASH_BYTES],
                                       uint8_t *out, size_t capacity, size_t *count);

/* address_of hashes an authority's canonical bytes. address_of_key: the 1-of-1 policy of one key.
 */
void address_of(const struct authority *authority, uint8_t address[HASH_BYTES]);
void address_of_key(const uint8_t key[32], uint8_t address[HASH_BYTES]);

#endif
