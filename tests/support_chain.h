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

/* log/chain.h has functions of these names: a program that uses both must not link one for the
 * other. */
#define chain_open  fold_chain_open
#define chain_close fold_chain_close

#define CHAIN_KEYS        32
#define CHAIN_BLOCK_BYTES (2u * 1024 * 1024)
#define CHAIN_AMOUNT      UINT64_C(1000000000000) /* 1,000 coins for each key */
#define CHAIN_FEE         UINT64_C(100000) /* enough for any transfer under test parameters */
#define CHAIN_TIME_US     UINT64_C(1700000000000000)
#define CHAIN_REWARD_POOL UINT64_C(5000000)

struct chain_key {
    uint8_t secret[64], key[32], address[32];
};

/* chain_key_make derives a key pair and its 1-of-1 address from a number. */
void chain_key_make(uint64_t seed, struct chain_key *key);

struct chain {
    struct chain_key keys[CHAIN_KEYS]; /* funded at genesis */
    struct chain_key validator;        /* the only one; its operator has no first balance */
    struct params params;
    struct genesis genesis;
    uint8_t *genesis_bytes; /* owned, [genesis_count] */
    size_t genesis_count;
    uint8_t genesis_id[HASH_BYTES];
    struct ledger *ledger; /* owned */

    uint8_t *commands; /* owned: encoded commands of the next block */
    size_t command_bytes;
    uint32_t command_count;
    uint8_t *block_bytes; /* owned: the last block */
    size_t block_count;
    uint8_t block_id[HASH_BYTES]; /* of the last block; the genesis id at height 0 */

    /* The next block's header takes these. */
    uint64_t height, time_us, step_us;
    uint64_t epoch;
    uint16_t flags, proposer;

    struct ledger_result result; /* of the last block */
    struct block_receipts receipts;
    struct block_events events;
    unsigned alarms; /* heard so far, and the last one */
    char alarm_invariant[16];
};

/* chain_params: default parameters without a block interval and with long epochs. */
void chain_params(struct params *params);

/* chain_genesis_make encodes the genesis of `chain->keys` under chain->params. */
void chain_genesis_make(struct chain *chain);

/* chain_open makes everything; params NULL: chain_params; options NULL: built-in operations and full
 * checks. The alarm of the options is replaced. */
void chain_open(struct chain *chain, const struct params *params,
                const struct ledger_options *options);
void chain_close(struct chain *chain);

/* A transaction in the making. */
struct chain_tx {
    const struct chain_key *signer;
    uint8_t genesis_id[HASH_BYTES];
    uint32_t chain_tag;
    uint64_t nonce, fee, valid_until;
    const char *memo;
    uint8_t operations[32768];
    size_t operation_bytes;
    uint32_t operation_count;
};

/* chain_tx_start: CHAIN_FEE, valid for 100 more blocks, no operation yet. */
void chain_tx_start(const struct chain *chain, struct chain_tx *tx, const struct chain_key *signer,
                    uint64_t nonce);
void chain_tx_operation(struct chain_tx *tx, uint16_t kind, const uint8_t *body, size_t count);
void chain_tx_transfer(struct chain_tx *tx, const uint8_t to[32], uint32_t asset, uint64_t amount);
/* chain_tx_sign answers the length of the signed transaction. */
size_t chain_tx_sign(const struct chain_tx *tx, uint8_t out[TX_BYTES_MAX]);

/* chain_add puts a transaction into the next block; the next two sign one first. */
void chain_add(struct chain *chain, const uint8_t *bytes, size_t count);
void chain_add_tx(struct chain *chain, const struct chain_tx *tx);
void chain_add_transfer(struct chain *chain, const struct chain_key *from, uint64_t nonce,
                        const uint8_t to[32], uint64_t amount);

/* chain_apply seals the waiting transactions into a block of the next height and applies it. It holds
 * for every block that receipts and events decode and that their root is the one reported. */
void chain_apply(struct chain *chain);

/* chain_receipt reads receipt `index` of the last block; index command_count is the block's own.
 * chain_event reads one of its events. */
void chain_receipt(const struct chain *chain, uint32_t index, struct receipt *receipt);
enum outcome chain_outcome(const struct chain *chain, uint32_t index);
void chain_event(const struct chain *chain, uint32_t index, struct event *event);

uint64_t chain_balance(const struct chain *chain, const uint8_t address[32]);
uint64_t chain_pool(const struct chain *chain, enum pool pool);
uint64_t chain_nonce(const struct chain *chain, const uint8_t address[32]);
void chain_root(const struct chain *chain, uint8_t root[HASH_BYTES]);

#endif
