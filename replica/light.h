/* replica/light.h - what somebody can check who has a genesis and nothing else: a light client.
 *
 * Pure functions of bytes. Trust is a validator set: that of the genesis, or of a checkpoint (epoch, id of
 * its base, hash of set and parameters). A proof file leads from there to one header, and from that header
 * to a transaction or a record of the state:
 *
 *   epoch step   the last header of the epoch, a certificate of the epoch that commits it, the next set
 *                and parameters, whose hash it announces
 *   header       linked by parent ids to one that a certificate of its epoch commits
 *   transaction  an RFC 6962 path to the body root
 *   record       an ICS-23 proof under exec_root: the state after exec_height
 *
 * One certificate an epoch and one for the header are all the signatures there are (consensus.md 4.19). A
 * set that is long gone could sign another history: a checkpoint must be younger than what validators
 * can lose for that, and how old the header is, is for the caller to judge.
 *
 * Each file has exactly one encoding, and every byte of it is bound: changing any makes it worthless.
 */
#ifndef CAIRN_REPLICA_LIGHT_H
#define CAIRN_REPLICA_LIGHT_H

#include "apply/proof.h"
#include "replica/certificate.h"

#define LIGHT_MAGIC       0x4354474c /* "LGTC", little-endian */
#define LIGHT_STEPS_MAX   1024
#define LIGHT_HEADERS_MAX 1024
#define LIGHT_PATH_MAX    13 /* of BLOCK_COMMANDS_MAX leaves */

#define LIGHT_SET_FIELDS(F)                                                                        \
    F(LIST, validator_entry, validators, 1, VALIDATORS_MAX, NONE, "strictly ascending by key")     \
    F(STRUCT, params, params, 0, 0, NONE, "parameters of the epoch")
SCHEMA_DECLARE(light_set, LIGHT_SET_FIELDS)

#define LIGHT_STEP_FIELDS(F)                                                                       \
    F(STRUCT, header, header, 0, 0, NONE, "the last block of an epoch")                            \
    F(STRUCT, qc, certificate, 0, 0, NONE, "of that epoch, which commits it")                      \
    F(STRUCT, light_set, next, 0, 0, NONE, "what it announces")
SCHEMA_DECLARE(light_step, LIGHT_STEP_FIELDS)

#define LIGHT_SIBLING_FIELDS(F) F(HASH, _, bytes, 0, 0, NONE, "a node beside the path")
SCHEMA_DECLARE(light_sibling, LIGHT_SIBLING_FIELDS)

#define LIGHT_COMMAND_FIELDS(F)                                                                    \
    F(U32, _, index, 0, BLOCK_COMMANDS_MAX - 1, COUNT, "among the block's transactions")           \
    F(BYTES, _, bytes, 1, COMMAND_BYTES_MAX, NONE, "the transaction")                              \
    F(LIST, light_sibling, path, 0, LIGHT_PATH_MAX, NONE, "deepest first")                         \
    F(HASH, _, system_root, 0, 0, NONE, "of the block's system records")
SCHEMA_DECLARE(light_command, LIGHT_COMMAND_FIELDS)

#define LIGHT_STATE_FIELDS(F)                                                                      \
    F(U16, _, table, 0, UINT16_MAX, NONE, "number of the table")                                   \
    F(BYTES, _, key, 1, STORE_KEY_BYTES_MAX, NONE, "key of the record, without the table")         \
    F(U8, _, present, 0, 1, NONE, "0: there is no such record")                                    \
    F(BYTES, _, value, 0, STORE_VALUE_BYTES_MAX, NONE, "its bytes; empty where it is absent")      \
    F(BYTES, _, proof, 0, PROOF_BYTES_MAX, NONE, "ICS-23 CommitmentProof under exec_root")
SCHEMA_DECLARE(light_state, LIGHT_STATE_FIELDS)

#define LIGHT_PROOF_FIELDS(F)                                                                      \
    F(U32, _, magic, LIGHT_MAGIC, LIGHT_MAGIC, NONE, "LGTC")                                       \
    F(U16, _, version, 1, 1, NONE, "format version")                                               \
    F(HASH, _, genesis_id, 0, 0, NONE, "the chain")                                                \
    F(U64, _, from_epoch, 0, UINT64_MAX, NONE, "the epoch whose set is trusted")                   \
    F(OPTION, light_set, start, 0, 0, NONE, "its set, unless it is epoch 0")                       \
    F(LIST, light_step, steps, 0, LIGHT_STEPS_MAX, NONE, "one for each epoch that ended since")    \
    F(LIST, header, headers, 1, LIGHT_HEADERS_MAX, NONE, "the proven one, and its children")       \
    F(STRUCT, qc, certificate, 0, 0, NONE, "which commits the last of them")                       \
    F(OPTION, light_command, command, 0, 0, NONE, "a transaction of the first")                    \
    F(OPTION, light_state, state, 0, 0, NONE, "a record of the state that the first names")
SCHEMA_DECLARE(light_proof, LIGHT_PROOF_FIELDS)

/* ---- trust ---- */

struct light_trust {
    uint8_t genesis_id[HASH_BYTES];
    uint64_t epoch;
    uint8_t base_id[HASH_BYTES];  /* the last block before the epoch */
    uint8_t set_hash[HASH_BYTES]; /* of set and parameters (validator_set_hash) */
    bool has_set;                 /* of a checkpoint: once the file has shown it */
    struct validator_set set;
};

void light_trust_genesis(const struct genesis *genesis, const uint8_t genesis_id[HASH_BYTES],
                         struct light_trust *trust);
void light_trust_checkpoint(const uint8_t genesis_id[HASH_BYTES], uint64_t epoch,
                            const uint8_t base_id[HASH_BYTES], const uint8_t set_hash[HASH_BYTES],
                            struct light_trust *trust);

/* ---- the parts ---- */

/* All answer STATUS_OK, STATUS_BAD_PROOF (what they are given does not fit together) or
 * STATUS_BAD_SIGNATURE. */

/* light_show: the set is the one whose hash is trusted; afterwards trust->has_set. */
MUST_CHECK enum status light_show(struct light_trust *trust, const struct light_set *set);

/* light_advance moves the trust to the next epoch. */
MUST_CHECK enum status light_advance(struct light_trust *trust, const struct light_step *step);

/* light_final: headers, each the parent of the next, all of the trusted epoch, the last one committed by the
 * certificate. */
MUST_CHECK enum status light_final(const struct light_trust *trust, const struct list *headers,
                                   const struct qc *certificate);

/* light_includes: the body of the header's block holds the transaction. */
MUST_CHECK enum status light_includes(const struct header *header,
                                      const struct light_command *command);

/* light_state_holds: the state after the header's exec_height has the record, or has none. */
MUST_CHECK enum status light_state_holds(const struct header *header,
                                         const struct light_state *state);

/* ---- a file ---- */

struct light_result {
    struct header header; /* final */
    uint8_t id[HASH_BYTES];
    struct light_trust trust; /* of its epoch: a checkpoint to go on from */
    uint64_t signatures;      /* that were verified */
    bool has_command, has_state;
    struct light_command command; /* borrow the file */
    struct light_state state;
};

/* light_verify does all of it. *why says in words what failed, a static text; a decoder's status says that
 * the bytes are no proof file. */
MUST_CHECK enum status light_verify(const struct light_trust *trust, struct bytes file,
                                    struct light_result *result, const char **why);

#endif
