/* apply/tables.h - the records of the state: their numbers, keys and values.
 *
 * Presence rule (invariant I5): a balance record exists iff its amount or its nonce is not zero. Only
 * the coin's records have nonces. Keys are the canonical bytes of their declaration.
 *
 * Numbers are public, never reused; tests/golden/tables.txt pins them. Number 2 is not in use.
 */
#ifndef CAIRN_APPLY_TABLES_H
#define CAIRN_APPLY_TABLES_H

#include "apply/genesis.h"
#include "apply/store.h"
#include "apply/system.h"
#include "log/merkle.h"
#include "log/segment.h"

/* ---- keys ---- */

#define SLOT_KEY_FIELDS(F) F(U8, _, slot, 0, 2, NONE, "0, or as the table says")
SCHEMA_DECLARE(slot_key, SLOT_KEY_FIELDS)

#define BALANCE_KEY_FIELDS(F)                                                                      \
    F(ADDRESS, _, address, 0, 0, NONE, "owner")                                                    \
    F(U32, _, asset, 0, UINT32_MAX, NONE, "asset number, 0 is the coin")
SCHEMA_DECLARE(balance_key, BALANCE_KEY_FIELDS)

#define ASSET_KEY_FIELDS(F) F(U32, _, asset, 0, UINT32_MAX, NONE, "asset number, 0 is the coin")
SCHEMA_DECLARE(asset_key, ASSET_KEY_FIELDS)

#define EPOCH_KEY_FIELDS(F) F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")
SCHEMA_DECLARE(epoch_key, EPOCH_KEY_FIELDS)

#define PARKED_KEY_FIELDS(F)                                                                       \
    F(U64, _, height, 0, UINT64_MAX, HEIGHT, "where it was due")                                   \
    F(U16, _, index, 0, UINT16_MAX, COUNT, "among those of the height")
SCHEMA_DECLARE(parked_key, PARKED_KEY_FIELDS)

#define OFFENCES_KEY_FIELDS(F)                                                                     \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch of the offences")                                 \
    F(KEY, _, key, 0, 0, NONE, "consensus key of the offender")
SCHEMA_DECLARE(offences_key, OFFENCES_KEY_FIELDS)

/* ---- values ---- */

#define CHAIN_HEAD_FIELDS(F)                                                                       \
    F(U64, _, height, 0, UINT64_MAX, HEIGHT, "last executed block")                                \
    F(U64, _, time_us, 0, UINT64_MAX, US, "its time")                                              \
    F(HASH, _, block_id, 0, 0, NONE, "its id; the genesis id at height 0")                         \
    F(HASH, _, receipts_root, 0, 0, NONE, "root of its receipts; zero at height 0")
SCHEMA_DECLARE(chain_head, CHAIN_HEAD_FIELDS)

#define BALANCE_FIELDS(F)                                                                          \
    F(U64, _, amount, 0, AMOUNT_MAX, BASE, "liquid amount")                                        \
    F(U64, _, nonce, 0, UINT64_MAX, COUNT, "paid transactions so far; 0 but in the coin's record")
SCHEMA_DECLARE(balance, BALANCE_FIELDS)

#define SUPPLY_FIELDS(F)                                                                           \
    F(U64, _, issued, 1, AMOUNT_MAX, BASE, "all balances together")                                \
    F(U64, _, burned, 0, AMOUNT_MAX, BASE, "balance of the burned pool")
SCHEMA_DECLARE(supply, SUPPLY_FIELDS)

#define VALIDATORS_FIELDS(F)                                                                       \
    F(LIST, validator_entry, entries, 1, VALIDATORS_MAX, NONE, "strictly ascending by key")
SCHEMA_DECLARE(validators, VALIDATORS_FIELDS)

/* end_at, next_set_hash: set by the block that freezes the next set; UINT64_MAX and zero before. */
#define EPOCH_RECORD_FIELDS(F)                                                                     \
    F(U64, _, number, 0, UINT64_MAX, NONE, "the running epoch")                                    \
    F(U64, _, base_height, 0, UINT64_MAX, HEIGHT, "its base: the last block before it")            \
    F(HASH, _, base_id, 0, 0, NONE, "id of the base")                                              \
    F(U64, _, base_time_us, 0, UINT64_MAX, US, "time of the base")                                 \
    F(U64, _, end_at, 0, UINT64_MAX, HEIGHT, "executed heights from here on end it")               \
    F(HASH, _, next_set_hash, 0, 0, NONE, "next validators and parameters")
SCHEMA_DECLARE(epoch_record, EPOCH_RECORD_FIELDS)

/* RFC 6962 frontier; leaf h - 1 hashes block id | receipts root of height h. `nodes` are the
 * 32-byte roots of the complete subtrees, largest first, one for each set bit of `count`. */
#define FRONTIER_RECORD_FIELDS(F)                                                                  \
    F(U64, _, count, 0, UINT64_MAX, COUNT, "leaves")                                               \
    F(BYTES, _, nodes, 0, MERKLE_DEPTH_MAX *HASH_BYTES, NONE, "subtree roots")
SCHEMA_DECLARE(frontier_record, FRONTIER_RECORD_FIELDS)

#define PARKED_RECORD_FIELDS(F)                                                                    \
    F(U16, _, item, 0, UINT16_MAX, NONE, "kind of the due item")                                   \
    F(U16, _, invariant, 0, UINT16_MAX, NONE, "what it would have broken")                         \
    F(U64, _, time_us, 0, UINT64_MAX, US, "block time of the attempt")
SCHEMA_DECLARE(parked_record, PARKED_RECORD_FIELDS)

/* Who took part in an epoch, as its blocks show it (apply/participation.h). */
#define PARTICIPANT_FIELDS(F)                                                                      \
    F(U64, _, voted, 0, UINT64_MAX, BLOCKS, "certified blocks for which its vote was seen")        \
    F(U64, _, proposed, 0, UINT64_MAX, BLOCKS, "blocks that it proposed")
SCHEMA_DECLARE(participant, PARTICIPANT_FIELDS)

#define CERTIFIED_FIELDS(F)                                                                        \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the certified block")                         \
    F(HASH, _, block_id, 0, 0, NONE, "the certified block")                                        \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "its height")                                         \
    F(U64, _, parent_round, 0, UINT64_MAX, ROUND, "its parent's round")                            \
    F(HASH, _, commit_id, 0, 0, NONE, "what its certificate commits, or zero")                     \
    F(U64, _, commit_height, 0, UINT64_MAX, HEIGHT, "height of commit_id, or zero")                \
    F(BYTES, _, voters, 1, VALIDATORS_MAX / 8, NONE, "whose votes are counted, bit i of byte i/8")
SCHEMA_DECLARE(certified, CERTIFIED_FIELDS)

#define PARTICIPATION_FIELDS(F)                                                                    \
    F(U64, _, blocks, 0, UINT64_MAX, BLOCKS, "blocks of the epoch")                                \
    F(U64, _, certified, 0, UINT64_MAX, BLOCKS, "of these, whose certificate was seen")            \
    F(U64, _, skipped, 0, UINT64_MAX, ROUND, "rounds without a block")                             \
    F(LIST, participant, participants, 1, VALIDATORS_MAX, NONE, "by index in the set")             \
    F(LIST, certified, recent, 0, LATE_VOTE_BLOCKS, NONE, "for which late votes count, newest last")
SCHEMA_DECLARE(participation, PARTICIPATION_FIELDS)

#define OFFENCE_FIELDS(F)                                                                          \
    F(U8, _, kind, 1, 3, NONE, "1 votes, 2 proposals, 3 lock")                                     \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the offence")                                 \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "block that recorded it")
SCHEMA_DECLARE(offence, OFFENCE_FIELDS)

#define OFFENCES_FIELDS(F)                                                                         \
    F(U16, _, validator, 0, VALIDATORS_MAX - 1, NONE, "index in the set of that epoch")            \
    F(U64, _, power, 1, POWER_TOTAL_MAX, POWER, "its weight in that epoch")                        \
    F(LIST, offence, list, 1, OFFENCES_MAX, NONE, "in the order in which they were recorded")
SCHEMA_DECLARE(offences, OFFENCES_FIELDS)

/* Slots of the params table. */
#define PARAMS_CURRENT   0 /* of the running epoch */
#define PARAMS_SCHEDULED 1 /* asked for; frozen by the block that sets end_at */
#define PARAMS_NEXT      2 /* frozen for the next epoch */

/* A validator set stays for as many epochs, for evidence; and so does what was recorded with it. */
#define VALIDATOR_EPOCHS_KEPT 32
_Static_assert(EVIDENCE_EPOCHS_MAX < VALIDATOR_EPOCHS_KEPT, "evidence finds the set of its epoch");

/* X(number, upper, lower, value record, key record, text) */
#define TABLE_LIST(X)                                                                              \
    X(1, HEAD, head, chain_head, slot_key, "the last executed block")                              \
    X(3, BALANCE, balance, balance, balance_key, "amounts, and the nonces of those who paid")      \
    X(4, SUPPLY, supply, supply, asset_key, "totals of an asset")                                  \
    X(5, PARAMS, params, params, slot_key, "0 current, 1 scheduled, 2 frozen for the next epoch")  \
    X(6, PARAMS_HISTORY, params_history, params, epoch_key, "parameters from that epoch on")       \
    X(7, VALIDATORS, validators, validators, epoch_key, "validator set of an epoch")               \
    X(8, EPOCH, epoch, epoch_record, slot_key, "the running epoch")                                \
    X(9, FRONTIER, frontier, frontier_record, slot_key,                                            \
      "commits to all blocks and their receipts")                                                  \
    X(10, POSITION, position, log_position, slot_key, "end of the chain log")                      \
    X(11, PARKED, parked, parked_record, parked_key, "due items that were undone")                 \
    X(12, VALIDATORS_NEXT, validators_next, validators, slot_key,                                  \
      "the next set that is not frozen yet, if it was changed")                                    \
    X(13, PARTICIPATION, participation, participation, epoch_key,                                  \
      "who took part in the running epoch, and in the one before")                                 \
    X(14, OFFENCES, offences, offences, offences_key, "what a validator signed and should not have")

enum table {
#define X(number, upper, lower, value, key, text) TABLE_##upper = number,
    TABLE_LIST(X)
#undef X
};

/* The registry, ascending by number, and the same as the store wants it. */
extern const struct schema_entry TABLES[];
extern const struct store_table STORE_TABLES[];
extern const size_t TABLE_COUNT;
const struct schema_entry *table_find(uint16_t number);

#endif
