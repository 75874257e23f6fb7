/* The fold: order of checks, undo, records, epochs, simulation. */
#include "apply/context.h"
#include "apply/ledger.h"
#include "log/merkle.h"
#include "tests/support_chain.h"

#define AMOUNT UINT64_C(1000000)

/* ---- the order of checks ---- */

/* Every row has all the faults of the rows below it; each mends the fault of the row above and meets
 * the next check. */
struct row {
    enum outcome outcome;
    bool trailing;       /* a byte after the end */
    uint32_t tag;        /* added to the chain tag */
    uint32_t operations; /* how many transfers */
    uint64_t valid_until;
    uint64_t fee;
    bool crowded; /* others use up the block's gas first */
    int nonce;    /* relative to the account's */
    uint32_t asset;
    bool reserved; /* the recipient is a pool */
    uint64_t amount;
};

static const struct row ROWS[] = {
    {OUTCOME_MALFORMED, true, 1, 12, 1, 0, true, -1, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_WRONG_CHAIN, false, 1, 12, 1, 0, true, -1, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_TOO_LARGE, false, 0, 12, 1, 0, true, -1, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_EXPIRED, false, 0, 1, 1, 0, true, -1, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_EXPIRY_TOO_FAR, false, 0, 1, UINT64_MAX, 0, true, -1, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_FEE_TOO_LOW, false, 0, 1, 50, 0, true, -1, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_BLOCK_GAS, false, 0, 1, 50, 2 * CHAIN_AMOUNT, true, -1, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_NONCE_TOO_LOW, false, 0, 1, 50, 2 * CHAIN_AMOUNT, false, -1, 7, true,
     9 * CHAIN_AMOUNT},
    {OUTCOME_NONCE_TOO_HIGH, false, 0, 1, 50, 2 * CHAIN_AMOUNT, false, 1, 7, true,
     9 * CHAIN_AMOUNT},
    {OUTCOME_FEE_UNPAYABLE, false, 0, 1, 50, 2 * CHAIN_AMOUNT, false, 0, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_UNKNOWN_ASSET, false, 0, 1, 50, CHAIN_FEE, false, 0, 7, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_RECIPIENT_RESERVED, false, 0, 1, 50, CHAIN_FEE, false, 0, 0, true, 9 * CHAIN_AMOUNT},
    {OUTCOME_INSUFFICIENT_BALANCE, false, 0, 1, 50, CHAIN_FEE, false, 0, 0, false,
     9 * CHAIN_AMOUNT},
    {OUTCOME_OK, false, 0, 1, 50, CHAIN_FEE, false, 0, 0, false, AMOUNT},
};

static void crowd(struct fold *chain)
{
    for (size_t i = 8; i < 24; i++) {
        fold_add_transfer(chain, &chain->keys[i], fold_nonce(chain, chain->keys[i].address),
                          chain->keys[2].address, 1);
    }
}

static void run_row(struct fold *chain, const struct row *row)
{
    const struct fold_key *sender = &chain->keys[0];
    uint8_t to[32], bytes[TX_BYTES_MAX];
    struct fold_tx tx;
    fold_tx_start(chain, &tx, sender, fold_nonce(chain, sender->address) + (uint64_t)row->nonce);
    tx.chain_tag += row->tag;
    tx.valid_until = row->valid_until;
    tx.fee = row->fee;
    pool_address(POOL_TREASURY, to);
    if (!row->reserved) memcpy(to, chain->keys[1].address, 32);
    for (uint32_t i = 0; i < row->operations; i++) {
        fold_tx_transfer(&tx, to, row->asset, row->amount);
    }
    if (row->crowded) crowd(chain);
    uint32_t index = chain->command_count;
    size_t count = fold_tx_sign(&tx, bytes);
    bytes[count] = 0;
    fold_add(chain, bytes, count + row->trailing);

    uint64_t nonce = fold_nonce(chain, sender->address);
    uint64_t balance = fold_balance(chain, sender->address);
    fold_apply(chain);
    struct receipt receipt;
    fold_receipt(chain, index, &receipt);
    if (receipt.outcome != row->outcome)
        fail_msg("%s, not %s", outcome_name(receipt.outcome), outcome_name(row->outcome));
    bool paid = outcome_paid(row->outcome);
    uint64_t spent = (paid ? row->fee : 0) + (row->outcome == OUTCOME_OK ? row->amount : 0);
    assert_int_equal(fold_nonce(chain, sender->address), nonce + paid);
    assert_int_equal(fold_balance(chain, sender->address), balance - spent);
    assert_int_equal(receipt.fee, paid ? row->fee : 0);
    assert_int_equal(receipt.event_count, paid + (row->outcome == OUTCOME_OK));
    assert_int_equal(receipt.gas > 0, paid);
}

static void ledger_refuses_in_the_documented_order(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    fold_params(&params);
    params.tx_bytes_max = 512;
    params.block_gas_max = 10000 + 512 * 20 + 16 * 3000 + 64 * 4000;
    params.valid_until_max_blocks = 100;
    fold_open(&chain, &params, NULL);
    fold_add_transfer(&chain, &chain.keys[0], 0, chain.keys[1].address, 1);
    fold_apply(&chain);
    fold_apply(&chain);
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        run_row(&chain, &ROWS[i]);
    }
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

/* ---- records ---- */

static void ledger_refuses_records_beyond_the_parameter(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    struct fold_tx tx;
    uint8_t to[32] = {0xee};
    fold_params(&params);
    params.state_records_max = 1024;
    params.gas_price_min = 0;
    fold_open(&chain, &params, NULL);
    /* Make accounts, one a transaction towards the end, until the ledger says no. */
    uint64_t made = 0;
    enum outcome outcome = OUTCOME_OK;
    for (uint64_t n = 0; outcome == OUTCOME_OK; n++) {
        uint64_t room = 1024 - store_records(ledger_store(chain.ledger));
        fold_tx_start(&chain, &tx, &chain.keys[0], n);
        tx.fee = 1000000;
        for (uint64_t i = 0; i < (room > 70 ? 64 : 1); i++) {
            store_u64(to + 8, ++made);
            fold_tx_transfer(&tx, to, ASSET_COIN, 1);
        }
        fold_add_tx(&chain, &tx);
        fold_apply(&chain);
        outcome = fold_outcome(&chain, 0);
    }
    assert_int_equal(outcome, OUTCOME_STATE_FULL);
    uint64_t nonce = fold_nonce(&chain, chain.keys[0].address);
    store_u64(to + 8, made + 1);
    fold_add_transfer(&chain, &chain.keys[0], nonce, to, 1);
    fold_add_transfer(&chain, &chain.keys[1], 0, chain.keys[0].address, 1);
    fold_add_transfer(&chain, &chain.keys[0], nonce + 1, chain.keys[1].address, 1);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_STATE_FULL);
    assert_int_equal(fold_outcome(&chain, 1), OUTCOME_OK); /* paying makes no record */
    assert_int_equal(fold_outcome(&chain, 2), OUTCOME_OK);
    assert_int_equal(fold_balance(&chain, chain.keys[1].address), CHAIN_AMOUNT - CHAIN_FEE);
    assert_int_equal(fold_nonce(&chain, chain.keys[1].address), 1);
    assert_int_equal(chain.alarms, 0);

    /* However full the state is, the fees of a block find room; a payer without a record does not. */
    struct store *store = ledger_store(chain.ledger);
    uint8_t key[balance_key_bytes_max] = {0xaa};
    for (; store_records(store) < 1024; key[1]++) {
        assert_int_equal(store_put(store, TABLE_BALANCE, key, to, balance_bytes_max), STATUS_OK);
    }
    struct fold_key stranger;
    fold_key_make(77, &stranger);
    fold_add_transfer(&chain, &chain.keys[1], 1, chain.keys[0].address, 1);
    fold_tx_start(&chain, &tx, &stranger, 0);
    tx.fee = 0;
    fold_tx_transfer(&tx, chain.keys[0].address, ASSET_COIN, 1);
    fold_add_tx(&chain, &tx);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
    assert_int_equal(fold_outcome(&chain, 1), OUTCOME_ACCOUNT_REFUSED);
    assert_int_equal(fold_nonce(&chain, stranger.address), 0);
    fold_close(&chain);
}

static void ledger_keeps_no_empty_balance_and_restarts_no_nonce(void **state)
{
    (void)state;
    struct fold chain;
    fold_open(&chain, NULL, NULL);
    const struct fold_key *poor = &chain.keys[3], *rich = &chain.keys[4];
    struct store *store = ledger_store(chain.ledger);
    uint8_t key[balance_key_bytes_max] = {0};
    memcpy(key, poor->address, 32);
    uint64_t balances = store_record_count(store, TABLE_BALANCE);
    fold_add_transfer(&chain, poor, 0, rich->address, CHAIN_AMOUNT - CHAIN_FEE);
    fold_apply(&chain);
    assert_non_null(store_get(store, TABLE_BALANCE, key).at); /* it has a nonce */
    assert_int_equal(fold_balance(&chain, poor->address), 0);
    pool_address(POOL_FEES, key);
    assert_null(store_get(store, TABLE_BALANCE, key).at);
    /* burned and the proposer are new */
    assert_int_equal(store_record_count(store, TABLE_BALANCE), balances + 2);
    fold_add_transfer(&chain, rich, 0, poor->address, 2 * CHAIN_FEE);
    fold_add_transfer(&chain, poor, 0, rich->address, 1);
    fold_add_transfer(&chain, poor, 1, rich->address, 1);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 1), OUTCOME_NONCE_TOO_LOW);
    assert_int_equal(fold_outcome(&chain, 2), OUTCOME_OK);
    assert_int_equal(fold_nonce(&chain, poor->address), 2);
    fold_close(&chain);
}

static void ledger_batch_is_all_or_nothing(void **state)
{
    (void)state;
    struct fold chain;
    struct fold_tx tx;
    fold_open(&chain, NULL, NULL);
    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    fold_tx_transfer(&tx, chain.keys[1].address, ASSET_COIN, 5);
    fold_tx_transfer(&tx, chain.keys[0].address, ASSET_COIN, 5); /* to oneself */
    fold_tx_transfer(&tx, chain.keys[2].address, ASSET_COIN, CHAIN_AMOUNT);
    fold_add_tx(&chain, &tx);
    fold_tx_start(&chain, &tx, &chain.keys[0], 1);
    fold_tx_transfer(&tx, chain.keys[1].address, ASSET_COIN, 5);
    fold_tx_transfer(&tx, chain.keys[0].address, ASSET_COIN, 5);
    fold_tx_transfer(&tx, chain.keys[2].address, ASSET_COIN, 6);
    fold_add_tx(&chain, &tx);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_INSUFFICIENT_BALANCE);
    assert_int_equal(fold_outcome(&chain, 1), OUTCOME_OK);
    struct receipt receipt;
    fold_receipt(&chain, 0, &receipt);
    assert_int_equal(receipt.event_count, 1);
    fold_receipt(&chain, 1, &receipt);
    assert_int_equal(fold_first_event(&chain, 1), 1);
    assert_int_equal(receipt.event_count, 4);
    assert_int_equal(fold_balance(&chain, chain.keys[0].address),
                     CHAIN_AMOUNT - 2 * CHAIN_FEE - 11);
    assert_int_equal(fold_balance(&chain, chain.keys[1].address), CHAIN_AMOUNT + 5);
    assert_int_equal(fold_balance(&chain, chain.keys[2].address), CHAIN_AMOUNT + 6);
    for (uint32_t i = 1; i <= 3; i++) {
        struct event event;
        struct event_transfer body;
        fold_event(&chain, fold_first_event(&chain, 1) + i, &event);
        assert_int_equal(event.kind, EVENT_TRANSFER);
        assert_int_equal(event.tx, 1);
        assert_int_equal(event_transfer_decode(event.body.at, event.body.count, &body), STATUS_OK);
        assert_int_equal(body.operation, i - 1);
    }
    fold_close(&chain);
}

/* ---- history ---- */

static void ledger_frontier_commits_to_every_block_and_its_receipts(void **state)
{
    (void)state;
    static const uint8_t SLOT[1] = {0};
    struct fold chain;
    struct merkle_frontier expected;
    fold_open(&chain, NULL, NULL);
    merkle_frontier_init(&expected);
    for (uint64_t h = 1; h <= 21; h++) {
        if (h % 3) fold_add_transfer(&chain, &chain.keys[h], 0, chain.keys[0].address, h);
        fold_apply(&chain);
        uint8_t entry[64], leaf[32];
        memcpy(entry, chain.block_id, 32);
        memcpy(entry + 32, chain.result.receipts_root, 32);
        merkle_leaf(entry, sizeof entry, leaf);
        merkle_frontier_append(&expected, leaf);
    }
    struct store *store = ledger_store(chain.ledger);
    struct bytes value = store_get(store, TABLE_FRONTIER, SLOT);
    struct frontier_record record;
    assert_int_equal(frontier_record_decode(value.at, value.count, &record), STATUS_OK);
    assert_int_equal(record.count, 21);
    assert_int_equal(record.nodes.count, 3 * 32);
    assert_memory_equal(record.nodes.at, expected.node, 3 * 32);
    struct chain_head head;
    value = store_get(store, TABLE_HEAD, SLOT);
    assert_int_equal(chain_head_decode(value.at, value.count, &head), STATUS_OK);
    assert_int_equal(head.height, 21);
    assert_memory_equal(head.block_id, chain.block_id, 32);
    assert_memory_equal(head.receipts_root, chain.result.receipts_root, 32);
    fold_close(&chain);
}

static void ledger_receipt_commits_to_its_events(void **state)
{
    (void)state;
    struct fold chain;
    fold_open(&chain, NULL, NULL);
    fold_add_transfer(&chain, &chain.keys[0], 0, chain.keys[1].address, 7);
    fold_apply(&chain);
    uint8_t events[4096], root[32];
    size_t count = chain.result.events.count;
    assert_true(count <= sizeof events);
    /* Change the amount of each posting in turn: the root must change with every byte of it. */
    for (size_t i = 52; i < count; i++) {
        memcpy(events, chain.result.events.at, count);
        events[i] ^= 1;
        struct block_events changed;
        if (block_events_decode(events, count, &changed) != STATUS_OK) continue;
        assert_int_equal(receipts_root_of(&chain.receipts, &changed, root), STATUS_OK);
        assert_memory_not_equal(root, chain.result.receipts_root, 32);
    }
    fold_close(&chain);
}

static void ledger_same_blocks_give_the_same_bytes(void **state)
{
    (void)state;
    struct fold a, b;
    struct ledger_options plain = {.view_bytes_max = 1 << 20};
    fold_open(&a, NULL, NULL);
    fold_open(&b, NULL, &plain);
    for (uint64_t h = 0; h < 10; h++) {
        for (size_t i = 0; i < 20; i++) {
            fold_add_transfer(&a, &a.keys[i], h, a.keys[(i + 3) % 25].address, 100 + i);
            fold_add_transfer(&b, &b.keys[i], h, b.keys[(i + 3) % 25].address, 100 + i);
        }
        fold_apply(&a);
        fold_apply(&b);
        uint8_t root_a[32], root_b[32];
        fold_root(&a, root_a);
        fold_root(&b, root_b);
        assert_memory_equal(root_a, root_b, 32);
        assert_int_equal(a.result.events.count, b.result.events.count);
        assert_memory_equal(a.result.events.at, b.result.events.at, a.result.events.count);
        assert_memory_equal(a.result.receipts.at, b.result.receipts.at, a.result.receipts.count);
    }
    fold_close(&a);
    fold_close(&b);
}

static void ledger_refuses_a_block_out_of_turn(void **state)
{
    (void)state;
    struct fold chain;
    fold_open(&chain, NULL, NULL);
    fold_apply(&chain);
    struct block block;
    struct ledger_result result;
    uint8_t id[32];
    assert_int_equal(block_open(chain.block_bytes, chain.block_count, &block, id), STATUS_OK);
    assert_int_equal(ledger_apply(chain.ledger, &block, id, chain.block_count, &result),
                     STATUS_RANGE);
    assert_int_equal(ledger_height(chain.ledger), 1);
    fold_close(&chain);
}

/* ---- epochs ---- */

static uint64_t segment_of(const struct fold *chain)
{
    static const uint8_t SLOT[1] = {0};
    struct bytes value = store_get(ledger_store(chain->ledger), TABLE_POSITION, SLOT);
    struct log_position position;
    assert_int_equal(log_position_decode(value.at, value.count, &position), STATUS_OK);
    return position.segment;
}

static void ledger_epoch_ends_after_its_span_and_its_blocks(void **state)
{
    (void)state;
    struct fold chain;
    struct params params, next;
    struct epoch_record epoch;
    struct validator_list set;
    uint8_t hash[32];
    fold_params(&params);
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 6000; /* 6 blocks of the test's step */
    fold_open(&chain, &params, NULL);
    for (uint64_t h = 1; h <= 5; h++) {
        fold_apply(&chain);
        ledger_epoch(chain.ledger, &epoch);
        assert_int_equal(epoch.end_at, UINT64_MAX);
        assert_int_equal(ledger_validators(chain.ledger, 1, &set), STATUS_NOT_FOUND);
        assert_int_equal(ledger_next_params(chain.ledger, &next), STATUS_NOT_FOUND);
    }
    fold_apply(&chain);
    ledger_epoch(chain.ledger, &epoch);
    assert_int_equal(epoch.end_at, 6);
    assert_int_equal(ledger_validators(chain.ledger, 1, &set), STATUS_OK);
    assert_int_equal(ledger_next_params(chain.ledger, &next), STATUS_OK);
    validator_set_hash(&set, &next, hash);
    assert_memory_equal(hash, epoch.next_set_hash, 32);
    struct event event;
    fold_event(&chain, 0, &event);
    assert_int_equal(event.kind, EVENT_EPOCH_ENDING);
    fold_apply(&chain); /* end_at stays where it was set */
    ledger_epoch(chain.ledger, &epoch);
    assert_int_equal(epoch.end_at, 6);

    chain.flags = BLOCK_EPOCH_END;
    fold_apply(&chain);
    chain.flags = 0;
    ledger_epoch(chain.ledger, &epoch);
    assert_int_equal(epoch.number, 1);
    assert_int_equal(epoch.base_height, 8);
    assert_memory_equal(epoch.base_id, chain.block_id, 32);
    assert_int_equal(epoch.base_time_us, chain.time_us);
    assert_int_equal(epoch.end_at, UINT64_MAX);
    fold_event(&chain, 0, &event);
    assert_int_equal(event.kind, EVENT_EPOCH_STARTED);
    assert_int_equal(segment_of(&chain), 0);
    fold_apply(&chain);
    assert_int_equal(segment_of(&chain), 1); /* a segment ends with its epoch */
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void ledger_epochs_have_their_least_blocks_each(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    struct epoch_record epoch;
    fold_params(&params);
    params.epoch_blocks_min = 5;
    params.epoch_span_us = 0;
    fold_open(&chain, &params, NULL);
    for (uint64_t number = 0; number < 4; number++) {
        uint64_t base = chain.height;
        for (uint64_t i = 1; i <= 6; i++) {
            fold_apply(&chain);
            ledger_epoch(chain.ledger, &epoch);
            assert_int_equal(epoch.number, number);
            assert_int_equal(epoch.end_at, i < 5 ? UINT64_MAX : base + 5);
        }
        chain.flags = BLOCK_EPOCH_END;
        fold_apply(&chain);
        chain.flags = 0;
    }
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void ledger_keeps_the_sets_of_recent_epochs_only(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    struct validator_list set;
    fold_params(&params);
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 0;
    fold_open(&chain, &params, NULL);
    for (uint64_t epoch = 1; epoch <= VALIDATOR_EPOCHS_KEPT + 3; epoch++) {
        for (size_t i = 0; i < 4; i++) {
            fold_apply(&chain);
        }
        chain.flags = BLOCK_EPOCH_END;
        fold_apply(&chain);
        chain.flags = 0;
    }
    assert_int_equal(ledger_validators(chain.ledger, 3, &set), STATUS_NOT_FOUND);
    assert_int_equal(ledger_validators(chain.ledger, 4, &set), STATUS_OK);
    assert_int_equal(set.count, 1);
    assert_memory_equal(set.at[0].key, chain.validator.key, 32);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

/* ---- simulation ---- */

static void ledger_simulation_tells_the_outcome_and_changes_nothing(void **state)
{
    (void)state;
    struct fold chain;
    struct fold_tx tx;
    uint8_t bytes[TX_BYTES_MAX], before[32], after[32], copy[8192];
    fold_open(&chain, NULL, NULL);
    fold_apply(&chain);
    size_t kept = chain.result.events.count;
    memcpy(copy, chain.result.events.at, kept);
    fold_root(&chain, before);
    for (uint64_t amount = 1; amount <= 9 * CHAIN_AMOUNT; amount += 9 * CHAIN_AMOUNT - 1) {
        fold_tx_start(&chain, &tx, &chain.keys[0], fold_nonce(&chain, chain.keys[0].address));
        fold_tx_transfer(&tx, chain.keys[1].address, ASSET_COIN, amount);
        size_t count = fold_tx_sign(&tx, bytes);
        struct tx_view view;
        enum outcome outcome;
        uint64_t gas;
        struct bytes events;
        struct block_events list;
        assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
        assert_int_equal(ledger_simulate(chain.ledger, &view, &outcome, &gas, &events), STATUS_OK);
        assert_int_equal(outcome, amount == 1 ? OUTCOME_OK : OUTCOME_INSUFFICIENT_BALANCE);
        assert_int_equal(gas, tx_gas(&view, &chain.params));
        assert_int_equal(block_events_decode(events.at, events.count, &list), STATUS_OK);
        assert_int_equal(list.events.count, amount == 1 ? 2 : 1);
        assert_memory_equal(chain.result.events.at, copy, kept);
        fold_root(&chain, after);
        assert_memory_equal(before, after, 32);
        fold_add_tx(&chain, &tx);
        fold_apply(&chain);
        assert_int_equal(fold_outcome(&chain, 0), outcome);
        struct receipt receipt;
        fold_receipt(&chain, 0, &receipt);
        assert_int_equal(receipt.gas, gas);
        kept = chain.result.events.count;
        memcpy(copy, chain.result.events.at, kept);
        fold_root(&chain, before);
    }
    fold_close(&chain);
}

static void ledger_genesis_events_add_up_to_the_first_balances(void **state)
{
    (void)state;
    struct fold chain;
    fold_open(&chain, NULL, NULL);
    struct bytes bytes = ledger_genesis_events(chain.ledger);
    struct block_events events;
    assert_int_equal(block_events_decode(bytes.at, bytes.count, &events), STATUS_OK);
    assert_int_equal(events.height, 0);
    assert_int_equal(events.events.count, CHAIN_KEYS + 2);
    assert_memory_equal(events.block_id, chain.genesis_id, 32);
    struct reader r = list_reader(&events.events);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < events.events.count; i++) {
        struct event event;
        struct posting posting;
        event_read(&r, &event);
        assert_int_equal(event_check(&event), STATUS_OK);
        struct reader p = list_reader(&event.postings);
        posting_read(&p, &posting);
        assert_string_equal(pool_name(posting.address), "issuance");
        posting_read(&p, &posting);
        assert_int_equal(fold_balance(&chain, posting.address), posting.amount);
        sum += posting.amount;
    }
    assert_int_equal(sum, GENESIS_SUPPLY);
    fold_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger_refuses_in_the_documented_order),
        cmocka_unit_test(ledger_refuses_records_beyond_the_parameter),
        cmocka_unit_test(ledger_keeps_no_empty_balance_and_restarts_no_nonce),
        cmocka_unit_test(ledger_batch_is_all_or_nothing),
        cmocka_unit_test(ledger_frontier_commits_to_every_block_and_its_receipts),
        cmocka_unit_test(ledger_receipt_commits_to_its_events),
        cmocka_unit_test(ledger_same_blocks_give_the_same_bytes),
        cmocka_unit_test(ledger_refuses_a_block_out_of_turn),
        cmocka_unit_test(ledger_epoch_ends_after_its_span_and_its_blocks),
        cmocka_unit_test(ledger_epochs_have_their_least_blocks_each),
        cmocka_unit_test(ledger_keeps_the_sets_of_recent_epochs_only),
        cmocka_unit_test(ledger_simulation_tells_the_outcome_and_changes_nothing),
        cmocka_unit_test(ledger_genesis_events_add_up_to_the_first_balances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
