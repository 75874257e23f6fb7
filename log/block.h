/* log/block.h - the block and the certificates that bind it, as bytes.
 *
 *   block = header | justify | body          what is stored, synced and the same on every node
 *
 * block_id = BLAKE2b-256("cairn block", header); the header binds the justification (justify_hash)
 * and the body (body_root). The proposer's signature stands outside the block. Meanings and rules:
 * replica/README.md; the execution anchors (exec_height, exec_root): apply/README.md.
 *
 * body_root = BLAKE2b-256("cairn body", sys_root | cmd_root), each the RFC 6962 SHA-256 root over the
 * full bytes of its entries (log/merkle.h).
 */
#ifndef CAIRN_LOG_BLOCK_H
#define CAIRN_LOG_BLOCK_H

#include "log/hash.h"
#include "log/schema.h"

#define VALIDATORS_MAX          128
#define BLOCK_VERSION           1
#define BLOCK_COMMANDS_MAX      8192
#define BLOCK_BYTES_MAX         (16u * 1024 * 1024) /* of the body; the parameter may ask for less */
#define BODY_EMPTY_BYTES        4 /* the encoding of a body without entries */
#define SYSTEM_RECORDS_MAX      64
#define SYSTEM_RECORD_BYTES_MAX 65535
#define COMMAND_BYTES_MAX       65535

/* Header flags. EPOCH_END: the last block of its epoch. TAIL: an empty block that only certifies the
 * epoch end; it never enters the chain log. */
#define BLOCK_EPOCH_END 1u
#define BLOCK_TAIL      2u

#define HEADER_FIELDS(F)                                                                         \
    F(U16, _, version, BLOCK_VERSION, BLOCK_VERSION, NONE, "format version")                     \
    F(U16, _, flags, 0, 3, NONE, "bit 0 epoch end, bit 1 tail")                                  \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                        \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round within the epoch")                             \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "parent height + 1; genesis is 0")                  \
    F(HASH, _, parent_id, 0, 0, NONE, "id of the parent block; of the genesis at height 1")      \
    F(U64, _, parent_round, 0, UINT64_MAX, ROUND, "round of the parent, 0 for the epoch's base") \
    F(HASH, _, justify_hash, 0, 0, NONE, "hash of the justification's bytes")                    \
    F(U16, _, proposer, 0, VALIDATORS_MAX - 1, NONE, "index in the epoch's validator set")       \
    F(U64, _, time_us, 0, UINT64_MAX, US, "block time since 1970, not below the parent's")       \
    F(HASH, _, body_root, 0, 0, NONE, "commits to system records and commands")                  \
    F(U32, _, cmd_count, 0, BLOCK_COMMANDS_MAX, COUNT, "commands in the body")                   \
    F(U32, _, body_bytes, 0, BLOCK_BYTES_MAX, BYTE, "encoded length of the body")                \
    F(U64, _, exec_height, 0, UINT64_MAX, HEIGHT, "height whose state exec_root names")          \
    F(HASH, _, exec_root, 0, 0, NONE, "state tree root after exec_height")                       \
    F(HASH, _, next_set_hash, 0, 0, NONE, "next validators and parameters; zero unless epoch end")
SCHEMA_DECLARE(header, HEADER_FIELDS)

#define SIGNATURE_ENTRY_FIELDS(F) F(SIGNATURE, _, bytes, 0, 0, NONE, "Ed25519 signature")
SCHEMA_DECLARE(signature_entry, SIGNATURE_ENTRY_FIELDS)

/* A quorum certificate: votes of weight >= Q for one block. commit_id is zero when nothing is
 * committed by it. */
#define QC_FIELDS(F)                                                                        \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                   \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the certified block")                  \
    F(HASH, _, block_id, 0, 0, NONE, "the certified block")                                 \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "its height")                                  \
    F(U64, _, parent_round, 0, UINT64_MAX, ROUND, "its parent's round")                     \
    F(HASH, _, commit_id, 0, 0, NONE, "the block that this certificate commits, or zero")   \
    F(U64, _, commit_height, 0, UINT64_MAX, HEIGHT, "height of commit_id, or zero")         \
    F(BYTES, _, bitmap, 1, VALIDATORS_MAX / 8, NONE, "signers, bit i of byte i/8")           \
    F(LIST, signature_entry, signatures, 1, VALIDATORS_MAX, NONE, "in ascending signer order")
SCHEMA_DECLARE(qc, QC_FIELDS)

#define TC_ENTRY_FIELDS(F)                                                              \
    F(U16, _, voter, 0, VALIDATORS_MAX - 1, NONE, "index in the validator set")         \
    F(U64, _, hqc_round, 0, UINT64_MAX, ROUND, "round of the highest QC it had")        \
    F(SIGNATURE, _, signature, 0, 0, NONE, "over the TIMEOUT bytes")
SCHEMA_DECLARE(tc_entry, TC_ENTRY_FIELDS)

#define TC_FIELDS(F)                                                                    \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                               \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "the round that failed")                     \
    F(LIST, tc_entry, entries, 1, VALIDATORS_MAX, NONE, "in ascending voter order")
SCHEMA_DECLARE(tc, TC_FIELDS)

/* kind 0: a QC of the same epoch for the parent. kind 1: the parent is the epoch's base; no QC in
 * epoch 0, an epoch certificate later. A TC stands beside it iff a round was skipped. */
#define JUSTIFY_FIELDS(F)                                                   \
    F(U8, _, kind, 0, 1, NONE, "0 parent certified, 1 base of the epoch")   \
    F(OPTION, qc, qc, 0, 0, NONE, "certificate of the parent")              \
    F(OPTION, tc, tc, 0, 0, NONE, "certificate of the failed round")
SCHEMA_DECLARE(justify, JUSTIFY_FIELDS)

#define SYSTEM_RECORD_FIELDS(F)                                             \
    F(U16, _, kind, 0, UINT16_MAX, NONE, "evidence or late vote")           \
    F(BYTES, _, body, 0, SYSTEM_RECORD_BYTES_MAX, NONE, "its record")
SCHEMA_DECLARE(system_record, SYSTEM_RECORD_FIELDS)

#define COMMAND_FIELDS(F) F(BYTES, _, bytes, 1, COMMAND_BYTES_MAX, NONE, "a signed transaction")
SCHEMA_DECLARE(command, COMMAND_FIELDS)

#define BODY_FIELDS(F)                                                                  \
    F(LIST, system_record, system, 0, SYSTEM_RECORDS_MAX, NONE, "system records")       \
    F(LIST, command, commands, 0, BLOCK_COMMANDS_MAX, NONE, "transactions in order")
SCHEMA_DECLARE(body, BODY_FIELDS)

#define BLOCK_FIELDS(F)                                             \
    F(STRUCT, header, header, 0, 0, NONE, "what the id hashes")     \
    F(STRUCT, justify, justify, 0, 0, NONE, "why the parent is right") \
    F(STRUCT, body, body, 0, 0, NONE, "what is ordered")
SCHEMA_DECLARE(block, BLOCK_FIELDS)

/* block_id_of hashes the header's canonical bytes. */
void block_id_of(const struct header *header, uint8_t id[HASH_BYTES]);

/* justify_hash_of hashes the justification's canonical bytes. */
void justify_hash_of(const struct justify *justify, uint8_t hash[HASH_BYTES]);

/* body_root_of computes body_root; every list element is already validated by body_read. */
void body_root_of(const struct body *body, uint8_t root[HASH_BYTES]);

/* block_open decodes a whole stored block and checks what needs no context: canonical bytes,
 * justify_hash, body_root, cmd_count, body_bytes. `id` receives the block id. The result borrows
 * `bytes`. STATUS_BAD_HASH: a part does not match the header. */
MUST_CHECK enum status block_open(const uint8_t *bytes, size_t count, struct block *block,
                                  uint8_t id[HASH_BYTES]);

#endif
