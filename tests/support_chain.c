#include "tests/support_chain.h"

#include <stdio.h>
#include <stdlib.h>

#include "log/signature.h"

static void ok(enum status status, const char *what)
{
    if (status != STATUS_OK) fail_msg("%s: %s", what, status_name(status));
}

static void *take(size_t count)
{
    void *at = calloc(1, count);
    if (!at) fail_msg("no memory");
    return at;
}

void fold_key_make(uint64_t seed, struct fold_key *key)
{
    uint8_t bytes[32] = "cairn test key";
    store_u64(bytes + 24, seed);
    signature_keypair(bytes, key->secret, key->key);
    address_of_key(key->key, key->address);
}

static int by_address(const void *a, const void *b)
{
    return memcmp(((const struct fold_key *)a)->address, ((const struct fold_key *)b)->address, 32);
}

void fold_params(struct params *params)
{
    params_default(params);
    params->block_interval_us = 0;
    params->epoch_blocks_min = 1000000;
    params->state_records_max = 100000;
}

void fold_genesis_make(struct fold *chain)
{
    uint8_t accounts[CHAIN_KEYS * genesis_account_bytes_max];
    static uint8_t validators[VALIDATORS_MAX * validator_entry_bytes_max];
    struct writer w = writer_of(accounts, sizeof accounts);
    for (size_t i = 0; i < CHAIN_KEYS; i++) {
        struct genesis_account account = {.amount = CHAIN_AMOUNT};
        memcpy(account.address, chain->keys[i].address, 32);
        genesis_account_write(&w, &account);
    }
    struct writer v = writer_of(validators, sizeof validators);
    uint32_t count = chain->validators ? chain->validator_count : 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct fold_key *key = chain->validators ? &chain->validators[i] : &chain->validator;
        struct validator_entry entry = {.power = 10};
        memcpy(entry.key, key->key, 32);
        memcpy(entry.operator_address, key->address, 32);
        validator_entry_write(&v, &entry);
    }
    static const char NAME[] = "test chain";
    struct genesis genesis = {
        .version = GENESIS_VERSION,
        .chain_name = {(const uint8_t *)NAME, sizeof NAME - 1},
        .time_us = CHAIN_TIME_US,
        .accounts = {accounts, writer_bytes(&w), CHAIN_KEYS},
        .validators = {validators, writer_bytes(&v), count},
        .params = chain->params,
        .reward_pool = CHAIN_REWARD_POOL,
        .treasury = GENESIS_SUPPLY - CHAIN_REWARD_POOL - CHAIN_KEYS * CHAIN_AMOUNT,
    };
    free(chain->genesis_bytes);
    chain->genesis_bytes = take(genesis_bytes_max);
    ok(genesis_encode(&genesis, chain->genesis_bytes, genesis_bytes_max, &chain->genesis_count),
       "genesis_encode");
    const char *rule;
    enum status status = genesis_open(chain->genesis_bytes, chain->genesis_count, &chain->genesis,
                                      chain->genesis_id, &rule);
    if (status != STATUS_OK) fail_msg("genesis: %s %s", status_name(status), rule ? rule : "");
}

static void hear(void *context, const char *invariant, uint64_t height, const char *text)
{
    struct fold *chain = context;
    (void)height;
    (void)text;
    chain->alarms++;
    snprintf(chain->alarm_invariant, sizeof chain->alarm_invariant, "%s", invariant);
}

void fold_open(struct fold *chain, const struct params *params,
               const struct ledger_options *options)
{
    ok(hash_init(), "hash_init");
    *chain = (struct fold){.time_us = CHAIN_TIME_US, .step_us = 1000};
    for (size_t i = 0; i < CHAIN_KEYS; i++) {
        fold_key_make(i, &chain->keys[i]);
    }
    qsort(chain->keys, CHAIN_KEYS, sizeof chain->keys[0], by_address);
    fold_key_make(1000, &chain->validator);
    fold_params(&chain->params);
    if (params) chain->params = *params;
    fold_genesis_make(chain);
    struct ledger_options own = {.full_checks = true};
    if (options) own = *options;
    own.alarm = hear;
    own.alarm_context = chain;
    ok(ledger_open(&chain->ledger, &chain->genesis, &own), "ledger_open");
    chain->commands = take(CHAIN_BLOCK_BYTES);
    chain->block_bytes = take(CHAIN_BLOCK_BYTES);
    memcpy(chain->block_id, chain->genesis_id, HASH_BYTES);
}

void fold_close(struct fold *chain)
{
    ledger_close(chain->ledger);
    free(chain->commands);
    free(chain->block_bytes);
    free(chain->genesis_bytes);
}

/* ---- transactions ---- */

void fold_tx_start(const struct fold *chain, struct fold_tx *tx, const struct fold_key *signer,
                   uint64_t nonce)
{
    *tx = (struct fold_tx){.signer = signer,
                           .chain_tag = chain_tag_of(chain->genesis_id),
                           .nonce = nonce,
                           .fee = CHAIN_FEE,
                           .valid_until = chain->height + 100,
                           .memo = ""};
    memcpy(tx->genesis_id, chain->genesis_id, HASH_BYTES);
}

void fold_tx_operation(struct fold_tx *tx, uint16_t kind, const uint8_t *body, size_t count)
{
    struct operation operation = {.kind = kind, .body = {body, count}};
    struct writer w = writer_of(tx->operations + tx->operation_bytes,
                                sizeof tx->operations - tx->operation_bytes);
    operation_write(&w, &operation);
    ok(w.status, "operation_write");
    tx->operation_bytes += writer_bytes(&w);
    tx->operation_count++;
}

void fold_tx_transfer(struct fold_tx *tx, const uint8_t to[32], uint32_t asset, uint64_t amount)
{
    uint8_t body[transfer_bytes_max];
    size_t count;
    struct transfer transfer = {.asset = asset, .amount = amount};
    memcpy(transfer.to, to, 32);
    ok(transfer_encode(&transfer, body, sizeof body, &count), "transfer_encode");
    fold_tx_operation(tx, OPERATION_TRANSFER, body, count);
}

void fold_tx_set_power(struct fold_tx *tx, const uint8_t key[32], uint64_t power)
{
    uint8_t body[set_power_bytes_max];
    size_t count;
    struct set_power operation = {.power = power};
    memcpy(operation.key, key, 32);
    ok(set_power_encode(&operation, body, sizeof body, &count), "set_power_encode");
    fold_tx_operation(tx, OPERATION_SET_POWER, body, count);
}

size_t fold_tx_sign(const struct fold_tx *tx, uint8_t out[TX_BYTES_MAX])
{
    struct tx_content content = {
        .version = TX_VERSION,
        .chain_tag = tx->chain_tag,
        .authority = {.scheme = TX_SCHEME_ED25519,
                      .threshold = 1,
                      .keys = {tx->signer->key, 32, 1}},
        .nonce = tx->nonce,
        .fee = tx->fee,
        .valid_until = tx->valid_until,
        .operations = {tx->operations, tx->operation_bytes, tx->operation_count},
        .memo = {(const uint8_t *)tx->memo, strlen(tx->memo)},
    };
    struct writer w = writer_of(out, TX_BYTES_MAX);
    tx_content_write(&w, &content);
    uint8_t message[TX_SIGNED_BYTES_MAX];
    size_t count;
    ok(tx_signed_bytes((struct bytes){out, writer_bytes(&w)}, tx->genesis_id, message,
                       sizeof message, &count),
       "tx_signed_bytes");
    struct tx_signature signature = {.key_index = 0};
    signature_make(tx->signer->secret, message, count, signature.signature);
    write_u16(&w, 1);
    tx_signature_write(&w, &signature);
    ok(w.status, "a transaction");
    return writer_bytes(&w);
}

void fold_add(struct fold *chain, const uint8_t *bytes, size_t count)
{
    struct command command = {.bytes = {bytes, count}};
    struct writer w =
        writer_of(chain->commands + chain->command_bytes, CHAIN_BLOCK_BYTES - chain->command_bytes);
    command_write(&w, &command);
    ok(w.status, "command_write");
    chain->command_bytes += writer_bytes(&w);
    chain->command_count++;
}

void fold_add_tx(struct fold *chain, const struct fold_tx *tx)
{
    uint8_t bytes[TX_BYTES_MAX];
    size_t count = fold_tx_sign(tx, bytes);
    fold_add(chain, bytes, count);
}

void fold_add_transfer(struct fold *chain, const struct fold_key *from, uint64_t nonce,
                       const uint8_t to[32], uint64_t amount)
{
    struct fold_tx tx;
    fold_tx_start(chain, &tx, from, nonce);
    fold_tx_transfer(&tx, to, ASSET_COIN, amount);
    fold_add_tx(chain, &tx);
}

void fold_add_set_power(struct fold *chain, const struct fold_key *from, uint64_t nonce,
                        const uint8_t key[32], uint64_t power)
{
    struct fold_tx tx;
    fold_tx_start(chain, &tx, from, nonce);
    fold_tx_set_power(&tx, key, power);
    fold_add_tx(chain, &tx);
}

void fold_add_system(struct fold *chain, uint16_t kind, const uint8_t *body, size_t count)
{
    struct system_record record = {.kind = kind, .body = {body, count}};
    struct writer w =
        writer_of(chain->system + chain->system_bytes, sizeof chain->system - chain->system_bytes);
    system_record_write(&w, &record);
    ok(w.status, "system_record_write");
    chain->system_bytes += writer_bytes(&w);
    chain->system_count++;
}

/* ---- blocks ---- */

static void seal(struct fold *chain)
{
    struct block block = {
        .header = {.version = BLOCK_VERSION,
                   .flags = chain->flags,
                   .epoch = chain->epoch,
                   .round = chain->height + 1 + chain->skipped,
                   .height = chain->height + 1,
                   .parent_round = chain->height,
                   .proposer = chain->proposer,
                   .time_us = chain->time_us + chain->step_us,
                   .cmd_count = chain->command_count,
                   .body_bytes = (uint32_t)(4 + chain->system_bytes + chain->command_bytes)},
        .justify = {.kind = 1},
        .body = {.system = {chain->system, chain->system_bytes, chain->system_count},
                 .commands = {chain->commands, chain->command_bytes, chain->command_count}},
    };
    if (chain->justify) block.justify = *chain->justify;
    memcpy(block.header.parent_id, chain->block_id, HASH_BYTES);
    justify_hash_of(&block.justify, block.header.justify_hash);
    body_root_of(&block.body, block.header.body_root);
    ok(block_encode(&block, chain->block_bytes, CHAIN_BLOCK_BYTES, &chain->block_count),
       "block_encode");
}

void fold_apply(struct fold *chain)
{
    seal(chain);
    fold_take(chain);
}

void fold_take(struct fold *chain)
{
    struct block block;
    ok(block_open(chain->block_bytes, chain->block_count, &block, chain->block_id), "block_open");
    ok(ledger_apply(chain->ledger, &block, chain->block_id, chain->block_count, &chain->result),
       "ledger_apply");
    chain->height = block.header.height;
    chain->time_us = block.header.time_us;
    if (block.header.flags & BLOCK_EPOCH_END) chain->epoch++;
    chain->command_bytes = 0;
    chain->command_count = 0;
    chain->system_bytes = 0;
    chain->system_count = 0;

    const struct ledger_result *result = &chain->result;
    uint8_t root[HASH_BYTES];
    ok(block_receipts_decode(result->receipts.at, result->receipts.count, &chain->receipts),
       "receipts");
    ok(block_events_decode(result->events.at, result->events.count, &chain->events), "events");
    ok(receipts_root_of(&chain->receipts, &chain->events, root), "receipts_root_of");
    assert_memory_equal(root, result->receipts_root, HASH_BYTES);
    assert_int_equal(chain->events.events.count, result->event_count);
    assert_int_equal(chain->receipts.receipts.count, result->tx_count + 1);
    struct reader r = list_reader(&chain->events.events);
    for (uint32_t i = 0; i < chain->events.events.count; i++) {
        struct event event;
        event_read(&r, &event);
        ok(event_check(&event), "event_check");
    }
}

void fold_receipt(const struct fold *chain, uint32_t index, struct receipt *receipt)
{
    assert_true(index < chain->receipts.receipts.count);
    struct reader r = list_reader(&chain->receipts.receipts);
    for (uint32_t i = 0; i <= index; i++) {
        receipt_read(&r, receipt);
    }
}

enum outcome fold_outcome(const struct fold *chain, uint32_t index)
{
    struct receipt receipt;
    fold_receipt(chain, index, &receipt);
    return (enum outcome)receipt.outcome;
}

uint32_t fold_first_event(const struct fold *chain, uint32_t index)
{
    uint32_t events = 0;
    for (uint32_t i = 0; i < index; i++) {
        struct receipt receipt;
        fold_receipt(chain, i, &receipt);
        events += receipt.event_count;
    }
    return events;
}

void fold_event(const struct fold *chain, uint32_t index, struct event *event)
{
    assert_true(index < chain->events.events.count);
    struct reader r = list_reader(&chain->events.events);
    for (uint32_t i = 0; i <= index; i++) {
        event_read(&r, event);
    }
}

/* ---- reading ---- */

uint64_t fold_balance(const struct fold *chain, const uint8_t address[32])
{
    uint64_t nonce, balance;
    ledger_account(chain->ledger, address, &nonce, &balance);
    return balance;
}

uint64_t fold_pool(const struct fold *chain, enum pool pool)
{
    uint8_t address[32];
    pool_address(pool, address);
    return fold_balance(chain, address);
}

uint64_t fold_nonce(const struct fold *chain, const uint8_t address[32])
{
    uint64_t nonce, balance;
    ledger_account(chain->ledger, address, &nonce, &balance);
    return nonce;
}

void fold_root(const struct fold *chain, uint8_t root[HASH_BYTES])
{
    ok(ledger_root(chain->ledger, root), "ledger_root");
}
