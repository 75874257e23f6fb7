/* The ledger where there is no more: memory that runs out at each allocation, a genesis above the
 * bound of the state. */
#include <stdlib.h>

#include "apply/context.h"
#include "apply/ledger_internal.h"
#include "tests/support_chain.h"
#include "tests/support_memory.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define BLOCKS 3

/* Blocks to fold again, with more and more new accounts in them. */
static struct {
    struct fold chain;
    uint8_t *bytes[BLOCKS];
    size_t count[BLOCKS];
    struct tx_view tx; /* of the next block */
    uint8_t tx_bytes[TX_BYTES_MAX];
} story;

static void story_make(void)
{
    struct fold *chain = &story.chain;
    struct fold_tx tx;
    fold_open(chain, NULL, NULL);
    for (uint64_t b = 0; b < BLOCKS; b++) {
        for (uint64_t i = 0; i < (b == 1 ? 1200 : 40); i++) {
            uint8_t to[32] = {0xaa, (uint8_t)b, (uint8_t)i, (uint8_t)(i >> 8)};
            const struct fold_key *from = &chain->keys[i % CHAIN_KEYS];
            fold_add_transfer(chain, from, fold_nonce(chain, from->address) + i / CHAIN_KEYS, to,
                              1 + i);
        }
        fold_apply(chain);
        assert_int_equal(chain->result.outcome_ok, chain->result.tx_count);
        story.count[b] = chain->block_count;
        story.bytes[b] = malloc(chain->block_count);
        assert_non_null(story.bytes[b]);
        memcpy(story.bytes[b], chain->block_bytes, chain->block_count);
    }
    fold_tx_start(chain, &tx, &chain->keys[0], fold_nonce(chain, chain->keys[0].address));
    tx.fee = 100 * CHAIN_FEE;
    for (uint8_t i = 0; i < 40; i++) {
        fold_tx_transfer(&tx, (const uint8_t[32]){0xbb, i}, ASSET_COIN, 5);
    }
    size_t count = fold_tx_sign(&tx, story.tx_bytes);
    OK(tx_open(story.tx_bytes, count, &story.tx));
}

static void story_end(void)
{
    for (size_t b = 0; b < BLOCKS; b++) {
        free(story.bytes[b]);
    }
    fold_close(&story.chain);
}

static enum status fold_again(struct ledger **ledger, const struct ledger_options *options,
                              uint8_t root[HASH_BYTES])
{
    TRY(ledger_open(ledger, &story.chain.genesis, options));
    for (size_t b = 0; b < BLOCKS; b++) {
        struct block block;
        struct ledger_result result;
        uint8_t id[HASH_BYTES];
        OK(block_open(story.bytes[b], story.count[b], &block, id));
        TRY(ledger_apply(*ledger, &block, id, story.count[b], &result));
    }
    enum outcome outcome;
    uint64_t gas;
    struct bytes events;
    TRY(ledger_simulate(*ledger, &story.tx, &outcome, &gas, &events));
    assert_int_equal(outcome, OUTCOME_OK);
    return ledger_root(*ledger, root);
}

/* The answer is a status at once, or the one right root: never another state. */
static void ledger_without_memory_says_so_at_each_step(void **state)
{
    (void)state;
    struct ledger_options options = {.view_bytes_max = 1 << 20, .full_checks = true};
    uint8_t expected[HASH_BYTES], root[HASH_BYTES];
    unsigned failures = 0;
    story_make();
    fold_root(&story.chain, expected);
    for (uint64_t nth = 1;; nth++) {
        struct ledger *ledger = NULL;
        memory_fail_at(nth, nth % 2 == 0);
        enum status status = fold_again(&ledger, &options, root);
        bool failed = memory_failed();
        ledger_close(ledger);
        assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
        if (!failed) break;
        failures++;
    }
    assert_memory_equal(root, expected, HASH_BYTES);
    assert_in_range(failures, 20, 400);
    story_end();
}

/* A genesis with so many accounts beside its own records. */
static enum status open_with(uint32_t accounts, struct ledger **ledger)
{
    struct ledger_options options = {0};
    struct genesis genesis = story.chain.genesis;
    static uint8_t bytes[GENESIS_ACCOUNTS_MAX * genesis_account_bytes_max];
    struct writer w = writer_of(bytes, sizeof bytes);
    for (uint32_t i = 0; i < accounts; i++) {
        struct genesis_account account = {
            .address = {0x10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}, .amount = 1};
        genesis_account_write(&w, &account);
    }
    OK(w.status);
    genesis.accounts = (struct list){bytes, writer_bytes(&w), accounts};
    genesis.params.state_records_max = 1024;
    genesis.reward_pool = 1;
    genesis.treasury = GENESIS_SUPPLY - 1 - accounts;
    return ledger_open(ledger, &genesis, &options);
}

/* More accounts than the state may hold: what a genesis says is taken all the same. */
static void ledger_takes_every_genesis_whole(void **state)
{
    (void)state;
    static const uint32_t rows[] = {0, 1, 1024, 1025, GENESIS_ACCOUNTS_MAX};
    story_make();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ledger *ledger;
        OK(open_with(rows[i], &ledger));
        /* two pools, the supply, and the eight records of the chain */
        assert_int_equal(store_records(ledger_store(ledger)), rows[i] + 11);
        ledger_close(ledger);
    }
    story_end();
}

/* Tables that double while the first balances are issued, the pools' among them. */
static void ledger_without_memory_for_its_genesis_says_so(void **state)
{
    (void)state;
    story_make();
    for (uint32_t accounts = 760; accounts <= 770; accounts++) {
        for (uint64_t nth = 1;; nth++) {
            struct ledger *ledger = NULL;
            memory_fail_at(nth, nth % 2 == 0);
            enum status status = open_with(accounts, &ledger);
            bool failed = memory_failed();
            ledger_close(ledger);
            assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
            if (!failed) break;
        }
    }
    story_end();
}

/* Transactions opened elsewhere, malformed ones among them: the same bytes come out. */
static void ledger_folds_opened_transactions_to_the_same_bytes(void **state)
{
    (void)state;
    static struct tx_view views[64];
    struct fold chain;
    struct ledger_options options = {0};
    struct ledger *twin;
    struct ledger_result result;
    struct block block;
    uint8_t id[HASH_BYTES], root[HASH_BYTES], expected[HASH_BYTES];
    fold_open(&chain, NULL, NULL);
    OK(ledger_open(&twin, &chain.genesis, &options));
    for (uint64_t i = 0; i < 40; i++) {
        uint8_t garbage[100] = {(uint8_t)i, 1, 2};
        if (i % 7 == 3) fold_add(&chain, garbage, sizeof garbage - i);
        fold_add_transfer(&chain, &chain.keys[i % 20], i / 20, chain.keys[i % 5].address, 1 + i);
    }
    fold_apply(&chain);
    OK(block_open(chain.block_bytes, chain.block_count, &block, id));
    assert_in_range(block.body.commands.count, 44, 64);
    struct reader r = list_reader(&block.body.commands);
    for (uint32_t i = 0; i < block.body.commands.count; i++) {
        struct command command;
        command_read(&r, &command);
        if (tx_open(command.bytes.at, command.bytes.count, &views[i]) != STATUS_OK)
            views[i].bytes.at = NULL;
    }
    OK(ledger_apply_opened(twin, &block, id, chain.block_count, views, &result));
    assert_int_equal(result.receipts.count, chain.result.receipts.count);
    assert_memory_equal(result.receipts.at, chain.result.receipts.at, result.receipts.count);
    assert_int_equal(result.events.count, chain.result.events.count);
    assert_memory_equal(result.events.at, chain.result.events.at, result.events.count);
    assert_int_equal(result.outcome_ok, 40);
    fold_root(&chain, expected);
    OK(ledger_root(twin, root));
    assert_memory_equal(root, expected, HASH_BYTES);
    ledger_close(twin);
    fold_close(&chain);
}

static void ledger_refuses_a_genesis_that_breaks_a_rule(void **state)
{
    (void)state;
    struct ledger_options options = {0};
    struct ledger *ledger = NULL;
    story_make();
    struct genesis genesis = story.chain.genesis;
    genesis.treasury--;
    assert_int_equal(ledger_open(&ledger, &genesis, &options), STATUS_RANGE);
    assert_null(ledger);
    ledger_close(ledger);
    story_end();
}

/* A pool without a first balance has no record, and nothing is posted to it. */
static void ledger_issues_nothing_to_an_empty_pool(void **state)
{
    (void)state;
    struct ledger_options options = {.full_checks = true};
    struct ledger *ledger;
    uint8_t address[32];
    uint64_t nonce, balance;
    story_make();
    struct genesis genesis = story.chain.genesis;
    genesis.treasury += genesis.reward_pool;
    genesis.reward_pool = 0;
    OK(ledger_open(&ledger, &genesis, &options));
    pool_address(POOL_REWARD, address);
    ledger_account(ledger, address, &nonce, &balance);
    assert_int_equal(balance, 0);
    assert_int_equal(store_record_count(ledger_store(ledger), TABLE_BALANCE), CHAIN_KEYS + 1);
    ledger_close(ledger);
    story_end();
}

/* Records of the chain that are gone or damaged: the machine failed, and the owner stops. */
static void ledger_stops_when_its_own_records_are_damaged(void **state)
{
    (void)state;
    static const uint8_t KEY[8] = {0}, ONES[64] = {1, 1, 1, 1};
    static const uint16_t tables[] = {TABLE_HEAD, TABLE_PARAMS, TABLE_EPOCH, TABLE_VALIDATORS};
    struct ledger_options options = {0};
    story_make();
    for (int row = 0; row < 8; row++) {
        struct ledger *ledger;
        struct validator_list set;
        OK(ledger_open(&ledger, &story.chain.genesis, &options));
        OK(ledger_reload(ledger));
        OK(ledger_validators(ledger, 0, &set));
        uint16_t table = tables[row / 2];
        if (row % 2)
            OK(store_put(ledger_store(ledger), table, KEY, ONES, 5));
        else
            OK(store_delete(ledger_store(ledger), table, KEY));
        if (table != TABLE_VALIDATORS)
            assert_int_equal(ledger_reload(ledger), STATUS_CORRUPT);
        else
            assert_int_equal(ledger_validators(ledger, 0, &set),
                             row % 2 ? STATUS_RANGE : STATUS_NOT_FOUND);
        ledger_close(ledger);
    }
    story_end();
}

/* Nobody listens: the check runs all the same, and the fold goes on. */
static void ledger_without_an_ear_folds_on(void **state)
{
    (void)state;
    struct ledger_options options = {.full_checks = true};
    struct ledger *ledger;
    struct block block;
    struct ledger_result result;
    uint8_t id[HASH_BYTES], key[balance_key_bytes_max] = {0xcc}, value[balance_bytes_max] = {1};
    story_make();
    OK(ledger_open(&ledger, &story.chain.genesis, &options));
    OK(store_put(ledger_store(ledger), TABLE_BALANCE, key, value, sizeof value));
    OK(block_open(story.bytes[0], story.count[0], &block, id));
    OK(ledger_apply(ledger, &block, id, story.count[0], &result));
    assert_int_equal(ledger_height(ledger), 1);
    assert_int_equal(ledger_apply(ledger, &block, id, story.count[0], &result), STATUS_RANGE);
    ledger_close(ledger);
    story_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger_without_memory_says_so_at_each_step),
        cmocka_unit_test(ledger_takes_every_genesis_whole),
        cmocka_unit_test(ledger_without_memory_for_its_genesis_says_so),
        cmocka_unit_test(ledger_folds_opened_transactions_to_the_same_bytes),
        cmocka_unit_test(ledger_refuses_a_genesis_that_breaks_a_rule),
        cmocka_unit_test(ledger_issues_nothing_to_an_empty_pool),
        cmocka_unit_test(ledger_stops_when_its_own_records_are_damaged),
        cmocka_unit_test(ledger_without_an_ear_folds_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
