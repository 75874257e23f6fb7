/* Public names, numbers and bytes, pinned. A golden file changes only with a version or by appending:
 * CAIRN_GOLDEN_WRITE=1 writes them anew. */
#include <stdio.h>
#include <stdlib.h>

#include "apply/invariant.h"
#include "apply/ledger.h"
#include "tests/support_chain.h"

static FILE *open_text(char **text, size_t *count)
{
    FILE *file = open_memstream(text, count);
    assert_non_null(file);
    return file;
}

/* hold compares a text (freed) with tests/golden/NAME, or writes it. */
static void hold(const char *name, FILE *stream, char **text, const size_t *count)
{
    char path[128];
    assert_int_equal(fclose(stream), 0);
    snprintf(path, sizeof path, "tests/golden/%s", name);
    const char *write = getenv("CAIRN_GOLDEN_WRITE");
    FILE *file = fopen(path, write ? "w" : "r");
    if (!file) fail_msg("%s is absent", path);
    if (write) {
        assert_int_equal(fwrite(*text, 1, *count, file), *count);
    } else {
        char *stored = calloc(1, *count + 2);
        assert_non_null(stored);
        size_t length = fread(stored, 1, *count + 1, file);
        if (length != *count || memcmp(stored, *text, length) != 0)
            fail_msg("%s has changed; now it would be:\n%s", path, *text);
        free(stored);
    }
    fclose(file);
    free(*text);
}

static void write_schema(FILE *file, const struct schema *schema, int depth)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        fprintf(file, "%*s%s %s %llu..%llu %s\n", 4 * depth, "", field->name,
                schema_kind_name(field->kind), (unsigned long long)field->lo,
                (unsigned long long)field->hi, schema_unit_name(field->unit));
        if (field->type) write_schema(file, field->type, depth + 1);
    }
}

static void hold_registry(const char *name, const struct schema_entry *entries, size_t count)
{
    char *text;
    size_t bytes;
    FILE *file = open_text(&text, &bytes);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "%u %s\n", entries[i].number, entries[i].name);
        if (entries[i].key) {
            fprintf(file, "  key\n");
            write_schema(file, entries[i].key, 1);
            fprintf(file, "  value\n");
        }
        write_schema(file, entries[i].body, 1);
    }
    hold(name, file, &text, &bytes);
}

static void numbers_of_statuses_outcomes_invariants_and_hashes_are_pinned(void **state)
{
    (void)state;
    char *text;
    size_t count;
    FILE *file = open_text(&text, &count);
#define X(upper, lower, number, words) fprintf(file, "%d %s\n", number, #lower);
    STATUS_LIST(X)
#undef X
    hold("status.txt", file, &text, &count);

    file = open_text(&text, &count);
#define X(upper, lower, number, paid, words)                                                       \
    fprintf(file, "%d %s %s\n", number, #lower, (paid) ? "paid" : "unpaid");                       \
    assert_string_equal(outcome_name(OUTCOME_##upper), #lower);                                    \
    assert_int_equal(outcome_paid(OUTCOME_##upper), paid);                                         \
    assert_true(outcome_known(number));
    OUTCOME_LIST(X)
#undef X
    assert_false(outcome_known(31));
    hold("outcomes.txt", file, &text, &count);

    file = open_text(&text, &count);
#define X(number, id, costs, words) fprintf(file, "%d %s %u\n", number, #id, costs);
    INVARIANT_LIST(X)
#undef X
    hold("invariants.txt", file, &text, &count);

    file = open_text(&text, &count);
#define X(name, words) fprintf(file, "%d %s\n", HASH_##name, words);
    HASH_DOMAIN_LIST(X)
#undef X
    hold("hash-domains.txt", file, &text, &count);
}

static void declarations_of_the_registries_are_pinned(void **state)
{
    (void)state;
    struct schema_entry operations[64];
    assert_true(OPERATION_RULE_COUNT <= 64);
    for (size_t i = 0; i < OPERATION_RULE_COUNT; i++) {
        operations[i] = OPERATION_RULES[i].entry;
    }
    hold_registry("operations.txt", operations, OPERATION_RULE_COUNT);
    hold_registry("events.txt", EVENTS, EVENT_COUNT);
    hold_registry("tables.txt", TABLES, TABLE_COUNT);
    hold_registry("system.txt", SYSTEM_RECORDS, SYSTEM_RECORD_COUNT);
    const struct schema_entry records[] = {
        {0, "params", &params_schema, NULL},
        {0, "genesis", &genesis_schema, NULL},
        {0, "tx", &tx_schema, NULL},
        {0, "block", &block_schema, NULL},
        {0, "block_receipts", &block_receipts_schema, NULL},
        {0, "block_events", &block_events_schema, NULL},
    };
    hold_registry("records.txt", records, sizeof records / sizeof records[0]);
}

static void write_bytes(FILE *file, const char *name, const uint8_t *bytes, size_t count)
{
    fprintf(file, "%s\n", name);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "%02x%s", bytes[i], i % 48 == 47 || i + 1 == count ? "\n" : "");
    }
}

static void write_block(FILE *file, const struct fold *chain)
{
    uint8_t root[32];
    fprintf(file, "height %llu\n", (unsigned long long)chain->height);
    write_bytes(file, "block", chain->block_bytes, chain->block_count);
    write_bytes(file, "block id", chain->block_id, 32);
    write_bytes(file, "receipts", chain->result.receipts.at, chain->result.receipts.count);
    write_bytes(file, "receipts root", chain->result.receipts_root, 32);
    write_bytes(file, "events", chain->result.events.at, chain->result.events.count);
    fold_root(chain, root);
    write_bytes(file, "state root", root, 32);
}

static void bytes_of_a_small_chain_are_pinned(void **state)
{
    (void)state;
    struct fold chain;
    struct fold_tx tx;
    struct params params;
    uint8_t bytes[TX_BYTES_MAX], root[32], treasury[32];
    char *text;
    size_t count;
    fold_params(&params);
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 0;
    fold_open(&chain, &params, NULL);
    FILE *file = open_text(&text, &count);
    write_bytes(file, "genesis", chain.genesis_bytes, chain.genesis_count);
    write_bytes(file, "genesis id", chain.genesis_id, 32);
    struct bytes events = ledger_genesis_events(chain.ledger);
    write_bytes(file, "genesis events", events.at, events.count);
    fold_root(&chain, root);
    write_bytes(file, "genesis root", root, 32);

    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    tx.memo = "golden";
    fold_tx_transfer(&tx, chain.keys[1].address, ASSET_COIN, 123456789);
    fold_tx_transfer(&tx, chain.keys[2].address, ASSET_COIN, 1);
    write_bytes(file, "transaction", bytes, fold_tx_sign(&tx, bytes));
    fold_add_tx(&chain, &tx);
    fold_apply(&chain);
    write_block(file, &chain);
    fold_apply(&chain);
    pool_address(POOL_TREASURY, treasury);
    fold_add_transfer(&chain, &chain.keys[1], 0, treasury, 5);
    fold_add_transfer(&chain, &chain.keys[1], 7, chain.keys[0].address, 5);
    fold_add(&chain, (const uint8_t *)"no transaction", 14);
    fold_apply(&chain);
    write_block(file, &chain);
    fold_apply(&chain);
    chain.flags = BLOCK_EPOCH_END;
    fold_apply(&chain);
    write_block(file, &chain);
    hold("chain.txt", file, &text, &count);
    fold_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_statuses_outcomes_invariants_and_hashes_are_pinned),
        cmocka_unit_test(declarations_of_the_registries_are_pinned),
        cmocka_unit_test(bytes_of_a_small_chain_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
