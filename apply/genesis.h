/* apply/genesis.h - the first state of a chain, whose hash is the chain's name.
 *
 * Canonical binary like everything below api. genesis id = BLAKE2b-256("cairn genesis", bytes); its
 * first four bytes (little-endian number) are the chain tag of every transaction.
 *
 * Money: account amounts + reward pool + treasury = GENESIS_SUPPLY, exactly. Nothing is minted
 * later.
 */
#ifndef CAIRN_APPLY_GENESIS_H
#define CAIRN_APPLY_GENESIS_H

#include "apply/params.h"

#define GENESIS_VERSION      1
#define GENESIS_SUPPLY       UINT64_C(1000000000000000000) /* 10^9 coins of 10^9 base units */
#define GENESIS_ACCOUNTS_MAX 65535
#define POWER_TOTAL_MAX      ((UINT64_C(1) << 62) - 1) /* 2W must fit (quorum arithmetic) */

#define GENESIS_ACCOUNT_FIELDS(F)                                                                  \
    F(ADDRESS, _, address, 0, 0, NONE, "who owns it")                                              \
    F(U64, _, amount, 1, AMOUNT_MAX, BASE, "liquid coins")
SCHEMA_DECLARE(genesis_account, GENESIS_ACCOUNT_FIELDS)

#define VALIDATOR_ENTRY_FIELDS(F)                                                                  \
    F(KEY, _, key, 0, 0, NONE, "consensus key; the set is sorted by it")                           \
    F(ADDRESS, _, operator_address, 0, 0, NONE, "receives the proposer's share")                   \
    F(U64, _, power, 1, POWER_TOTAL_MAX, POWER, "voting weight")
SCHEMA_DECLARE(validator_entry, VALIDATOR_ENTRY_FIELDS)

#define GENESIS_FIELDS(F)                                                                          \
    F(U16, _, version, GENESIS_VERSION, GENESIS_VERSION, NONE, "format version")                   \
    F(TEXT, _, chain_name, 1, 64, NONE, "for people, part of the id")                              \
    F(U64, _, time_us, 0, UINT64_MAX, US, "time of height 0, since 1970")                          \
    F(LIST, genesis_account, accounts, 0, GENESIS_ACCOUNTS_MAX, NONE,                              \
      "strictly ascending by address")                                                             \
    F(LIST, validator_entry, validators, 1, VALIDATORS_MAX, NONE, "strictly ascending by key")     \
    F(STRUCT, params, params, 0, 0, NONE, "first parameters")                                      \
    F(U64, _, reward_pool, 0, AMOUNT_MAX, BASE, "funds rewards, since nothing is minted")          \
    F(U64, _, treasury, 0, AMOUNT_MAX, BASE, "funds grants")
SCHEMA_DECLARE(genesis, GENESIS_FIELDS)

/* genesis_check holds the rules between values. NULL: they hold; else the name of the first broken
 * rule, a static string: the rules of params_check, "account_order", "account_reserved",
 * "validator_order", "validator_key" (signature_key_check), "validator_operator" (a reserved
 * address), "power_total", "supply". The lists are as genesis_read made them. */
const char *genesis_check(const struct genesis *genesis);

/* genesis_open decodes, checks and names a genesis. `genesis` borrows the bytes. STATUS_RANGE with
 * *rule set: a rule between values is broken; otherwise *rule is NULL and the status is the
 * codec's. */
MUST_CHECK enum status genesis_open(const uint8_t *bytes, size_t count, struct genesis *genesis,
                                    uint8_t id[HASH_BYTES], const char **rule);

/* genesis_id_of hashes canonical genesis bytes. */
void genesis_id_of(const uint8_t *bytes, size_t count, uint8_t id[HASH_BYTES]);

/* chain_tag_of answers the tag that transactions of this chain carry. */
uint32_t chain_tag_of(const uint8_t genesis_id[HASH_BYTES]);

/* validators_check holds the rules of a decoded validator set: NULL, or those named above. validators_agree is
 * the same but for the keys' own check, which takes 50 us each. */
const char *validators_check(const struct list *validators);
const char *validators_agree(const struct list *validators);

/* A validator set taken out of its encoding, in key order. */
struct validator_list {
    uint32_t count; /* 1..VALIDATORS_MAX */
    struct validator_entry at[VALIDATORS_MAX];
};

/* validator_list_of copies a decoded list. validator_set_hash answers what an epoch-end header
 * announces: BLAKE2b-256("cairn valset", count u16 | entries | params). */
void validator_list_of(const struct list *list, struct validator_list *out);
void validator_set_hash(const struct validator_list *set, const struct params *params,
                        uint8_t hash[HASH_BYTES]);

#endif
