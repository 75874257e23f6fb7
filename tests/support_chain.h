/* tests/support_chain.h - a chain in one process: keys, a genesis, signed transactions, blocks without
 * consensus, all from fixed seeds.
 *
 * A failure of the machinery fails the running test.
 */
#ifndef CAIRN_TESTS_SUPPORT_CHAIN_H
#define CAIRN_TESTS_SUPPORT_CHAIN_H

#include "apply/ledger.h"
#include "apply/receipt.h"
#include "tests/support_cmocka.h"

#define CHAIN_KEYS        32
#define CHAIN_BLOCK_BYTES (2u * 1024 * 1024)
#define CHAIN_AMOUNT      UINT64_C(1000000000000) /* 1,000 coins for each key */
#define CHAIN_FEE         UINT64_C(100000) /* enough for any transfer under test parameters */
#define CHAIN_TIME_US     UINT64_C(1700000000000000)
#define CHAIN_REWARD_POOL UINT64_C(5000000)

struct fold_key {
    uint8_t secret[64], key[32], address[32];
};

/* fold_key_make derives a key pair and its 1-of-1 address from a number. */
void fold_key_make(uint64_t seed, struct fold_key *key);

struct fold {
    struct fold_key keys[CHAIN_KEYS];  /* funded at genesis */
    struct fold_key validator;         /* the only one; its operator has no first balance */
    const struct fold_key *validators; /* of equal power, keys ascending; NULL: `validator` alone */
    uint32_t validator_count;
    struct params params;
    struct genesis genesis;
    uint8_t *genesis_bytes; /* owned, [genesis_count] */
    size_t genesis_count;
    uint8_t genesis_id[HASH_BYTES];
    struct ledger *ledger; /* owned */

    uint8_t *commands; /* owned: encoded commands of the next block */
    size_t command_bytes;
    uint32_t command_count;
    uint8_t system[32768]; /* encoded system records of the next block */
    size_t system_bytes;
    uint32_t system_count;
    uint8_t *block_bytes; /* owned: the last block */
    size_t block_count;
    uint8_t block_id[HASH_BYTES]; /* of the last block; the genesis id at height 0 */

    /* The next block's header takes these. */
    uint64_t height, time_us, step_us;
    uint64_t epoch;
    uint16_t flags, proposer;
    uint64_t skipped;              /* rounds before it without a block */
    const struct justify *justify; /* NULL: an empty one of kind 1 */

    struct ledger_result result; /* of the last block */
    struct block_receipts receipts;
    struct block_events events;
    unsigned alarms; /* heard so far, and the last one */
    char alarm_invariant[16];
};

/* fold_params: default parameters without a block interval and with long epochs. */
void fold_params(struct params *params);

/* fold_genesis_make encodes the genesis of `chain->keys` under chain->params. */
void fold_genesis_make(struct fold *chain);

/* fold_open makes everything; params NULL: fold_params; options NULL: built-in operations and full
 * checks. The alarm of the options is replaced. */
void fold_open(struct fold *chain, const struct params *params,
               const struct ledger_options *options);
void fold_close(struct fold *chain);

/* A transaction in the making. */
struct fold_tx {
    const struct fold_key *signer;
    uint8_t genesis_id[HASH_BYTES];
    uint32_t chain_tag;
    uint64_t nonce, fee, valid_until;
    const char *memo;
    uint8_t operations[32768];
    size_t operation_bytes;
    uint32_t operation_count;
};

/* fold_tx_start: CHAIN_FEE, valid for 100 more blocks, no operation yet. */
void fold_tx_start(const struct fold *chain, struct fold_tx *tx, const struct fold_key *signer,
                   uint64_t nonce);
void fold_tx_operation(struct fold_tx *tx, uint16_t kind, const uint8_t *body, size_t count);
void fold_tx_set_power(struct fold_tx *tx, const uint8_t key[32], uint64_t power);
void fold_tx_transfer(struct fold_tx *tx, const uint8_t to[32], uint32_t asset, uint64_t amount);
/* fold_tx_sign answers the length of the signed transaction. */
size_t fold_tx_sign(const struct fold_tx *tx, uint8_t out[TX_BYTES_MAX]);

/* fold_add puts a transaction into the next block; the next two sign one first. */
void fold_add(struct fold *chain, const uint8_t *bytes, size_t count);
void fold_add_tx(struct fold *chain, const struct fold_tx *tx);
void fold_add_transfer(struct fold *chain, const struct fold_key *from, uint64_t nonce,
                       const uint8_t to[32], uint64_t amount);

void fold_add_set_power(struct fold *chain, const struct fold_key *from, uint64_t nonce,
                        const uint8_t key[32], uint64_t power);

/* fold_add_system puts a system record into the next block. */
void fold_add_system(struct fold *chain, uint16_t kind, const uint8_t *body, size_t count);

/* fold_apply seals the waiting transactions into a block of the next height and applies it. It holds
 * for every block that receipts and events decode and that their root is the one reported. */
void fold_apply(struct fold *chain);

/* fold_take applies the block in chain->block_bytes, which somebody else has sealed. */
void fold_take(struct fold *chain);

/* fold_receipt reads receipt `index` of the last block; index command_count is the block's own;
 * fold_first_event answers where its events start. fold_event reads an event of the block. */
void fold_receipt(const struct fold *chain, uint32_t index, struct receipt *receipt);
enum outcome fold_outcome(const struct fold *chain, uint32_t index);
uint32_t fold_first_event(const struct fold *chain, uint32_t index);
void fold_event(const struct fold *chain, uint32_t index, struct event *event);

uint64_t fold_balance(const struct fold *chain, const uint8_t address[32]);
uint64_t fold_pool(const struct fold *chain, enum pool pool);
uint64_t fold_nonce(const struct fold *chain, const uint8_t address[32]);
void fold_root(const struct fold *chain, uint8_t root[HASH_BYTES]);

#endif
