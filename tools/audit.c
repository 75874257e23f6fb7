#include "tools/audit.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "apply/invariant.h"
#include "apply/receipt.h"
#include "apply/tables.h"
#include "apply/transaction.h"
#include "log/chain.h"
#include "log/signature.h"
#include "replica/system.h"
#include "replica/validators.h"
#include "replica/verify.h"
#include "tools/audit_ahead.h"

#define ANCHORS_KEPT 256 /* states that a header may name */

/* What the state after a height says that blocks above it name. */
struct anchor {
    uint8_t root[HASH_BYTES];
    bool epoch_over;
    uint8_t next_set_hash[HASH_BYTES];
};

struct audit {
    const struct audit_options *options;
    struct audit_report *report;
    struct genesis genesis;
    struct ledger *ledger;
    struct chain_reader *reader;
    struct ahead *ahead;
    struct chain_buffer side_buffer;
    struct chain_point point; /* at the last block */
    struct chain_rules rules;
    struct chain_epoch epoch;
    uint8_t leaders[LEADER_SLOTS];
    struct anchor anchors[ANCHORS_KEPT]; /* by height */
    uint64_t height;                     /* being looked at */
    struct tx_view
        views[BLOCK_COMMANDS_MAX]; /* its transactions, opened once for checks and fold */
};

PRINTF_LIKE(2, 3) static void violation(struct audit *a, const char *format, ...)
{
    struct audit_report *report = a->report;
    if (report->violations++ > 0) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->fault, sizeof report->fault, format, arguments);
    va_end(arguments);
    report->fault_height = a->height;
}

static void on_alarm(void *context, const char *invariant, uint64_t height, const char *text)
{
    (void)height;
    violation(context, "invariant %s: %s", invariant, text);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- one block ---- */

static void check_protocol(struct audit *a, const struct block *block, const uint8_t id[HASH_BYTES])
{
    enum status status = chain_link_check(&a->point, &block->header, &a->rules);
    if (status != STATUS_OK) violation(a, "header: %s", status_text(status));
    status = justify_verify(&a->point, &block->header, &block->justify, &a->rules,
                            a->report->genesis_id);
    if (status != STATUS_OK) violation(a, "justification: %s", status_text(status));
    if (block->justify.has_qc) a->report->signatures += block->justify.qc.signatures.count;
    struct chain_point next;
    chain_point_next(&a->point, &block->header, id, &block->justify, &next);
    a->point = next;
}

/* check_system: what an honest voter would have asked of evidence and late votes. */
static void check_system(struct audit *a, const struct block *block)
{
    struct system_item items[SYSTEM_RECORDS_MAX];
    uint32_t count;
    enum status status =
        system_check(a->ledger, block->header.epoch, &block->body.system, items, &count);
    if (status != STATUS_OK) violation(a, "system records: %s", status_text(status));
    for (uint32_t i = 0; i < count; i++) {
        status = system_verify(&items[i], a->report->genesis_id);
        if (status != STATUS_OK) violation(a, "system record %u: %s", i, status_text(status));
        a->report->signatures += items[i].kind == SYSTEM_EVIDENCE ? 2 : 1;
    }
}

static void check_command(struct audit *a, uint32_t index, struct bytes bytes,
                          const uint8_t *verdicts)
{
    struct tx_view *view = &a->views[index];
    struct params params;
    ledger_params(a->ledger, &params);
    enum status status = tx_open(bytes.at, bytes.count, view);
    if (status != STATUS_OK) {
        violation(a, "transaction %u: %s", index, status_text(status));
        view->bytes.at = NULL;
        return;
    }
    enum outcome outcome = tx_check(view, &params, ledger_chain_tag(a->ledger), a->height);
    if (outcome != OUTCOME_OK) violation(a, "transaction %u: %s", index, outcome_text(outcome));
    if (!verdicts) return;
    a->report->signatures += view->tx.signatures.count;
    status = (enum status)verdicts[index];
    if (status != STATUS_OK) violation(a, "transaction %u: %s", index, status_text(status));
}

static void check_side(struct audit *a, enum segment_kind kind, const uint8_t id[HASH_BYTES],
                       struct bytes expected)
{
    struct chain_record record;
    enum status status = chain_read(a->reader, kind, a->height, &a->side_buffer, &record);
    if (status != STATUS_OK) {
        violation(a, "%s on disk: %s", segment_kind_name(kind), status_text(status));
    } else if (record.body.count != expected.count ||
               memcmp(record.body.at, expected.at, expected.count) != 0 ||
               memcmp(record.id, id, HASH_BYTES) != 0) {
        violation(a, "%s on disk differ from what the fold gives", segment_kind_name(kind));
    }
}

/* How many invariants are checked with each change, by apply itself. */
static const unsigned CHANGED_CHECKS = 0
#define X(number, id, costs, text) +(((costs)&INVARIANT_CHANGED) != 0)
    INVARIANT_LIST(X)
#undef X
    ;

static void on_broken(void *context, enum invariant invariant, const char *text)
{
    violation(context, "invariant %s: %s", invariant_id(invariant), text);
}

static enum status check_invariants(struct audit *a)
{
    uint64_t checked;
    TRY(invariant_check_all(ledger_store(a->ledger), on_broken, a, &checked));
    a->report->invariants_checked += checked;
    return STATUS_OK;
}

/* check_position: the block lies where the state says, so that files of honest nodes are equal. */
static void check_position(struct audit *a, const struct chain_record *record)
{
    uint8_t slot = 0;
    struct log_position position;
    struct bytes value = store_get(ledger_store(a->ledger), TABLE_POSITION, &slot);
    if (!value.at || log_position_decode(value.at, value.count, &position) != STATUS_OK ||
        position.segment != record->segment ||
        position.offset != record->offset + segment_entry_bytes(record->body.count)) {
        violation(a, "the block does not lie where the state says");
    }
}

static enum status keep_anchor(struct audit *a, uint64_t height)
{
    struct anchor *anchor = &a->anchors[height % ANCHORS_KEPT];
    TRY(ledger_root(a->ledger, anchor->root));
    anchor->epoch_over = ledger_epoch_over(a->ledger, anchor->next_set_hash);
    memcpy(a->report->last_root, anchor->root, HASH_BYTES);
    return STATUS_OK;
}

/* check_anchor: the root that the header certifies was computed here before, and the epoch ends where, and
 * as, that state says. */
static void check_anchor(struct audit *a, const struct header *header)
{
    uint64_t height = header->exec_height;
    const struct anchor *anchor = &a->anchors[height % ANCHORS_KEPT];
    if (height >= a->height || a->height - height >= ANCHORS_KEPT) {
        violation(a, "the header names the state of height %llu", (unsigned long long)height);
        return;
    }
    if (memcmp(header->exec_root, anchor->root, HASH_BYTES) != 0)
        violation(a, "the certified root of height %llu differs", (unsigned long long)height);
    bool end = (header->flags & BLOCK_EPOCH_END) != 0;
    if (end != anchor->epoch_over ||
        (end && memcmp(header->next_set_hash, anchor->next_set_hash, HASH_BYTES) != 0)) {
        violation(a, "the epoch does not end as the state of height %llu says",
                  (unsigned long long)height);
    }
}

static enum status begin_epoch(struct audit *a)
{
    TRY(ledger_chain_epoch(a->ledger, &a->epoch));
    chain_rules_of(&a->epoch, a->leaders, &a->rules);
    chain_point_base(&a->point, a->epoch.number, a->epoch.base_height, a->epoch.base_time_us,
                     a->epoch.base_id);
    return STATUS_OK;
}

static enum status fold_block(struct audit *a, const struct block *block,
                              const uint8_t id[HASH_BYTES], size_t block_bytes)
{
    struct ledger_result result;
    TRY(ledger_apply_opened(a->ledger, block, id, block_bytes, a->views, &result));
    TRY(keep_anchor(a, a->height));
    check_side(a, SEGMENT_RECEIPTS, id, result.receipts);
    check_side(a, SEGMENT_EVENTS, id, result.events);
    memcpy(a->report->last_id, id, HASH_BYTES);
    a->report->transactions += result.tx_count;
    a->report->invariants_checked += (uint64_t)CHANGED_CHECKS * (result.tx_count + 1);
    if (a->options->block)
        a->options->block(a->options->context, a->height, id, a->report->last_root);
    return block->header.flags & BLOCK_EPOCH_END ? begin_epoch(a) : STATUS_OK;
}

static enum status audit_block(struct audit *a)
{
    const struct ahead_block *read = ahead_next(a->ahead);
    TRY(read->status);
    if (!read->opened) {
        violation(a, "block: %s", status_text(read->open_status));
        return read->open_status;
    }
    const struct block *block = &read->block;
    if (memcmp(read->id, read->record.id, HASH_BYTES) != 0)
        violation(a, "the entry names another block id");
    check_protocol(a, block, read->id);
    check_system(a, block);
    struct reader r = list_reader(&block->body.commands);
    for (uint32_t i = 0; i < block->body.commands.count; i++) {
        struct command command;
        command_read(&r, &command);
        check_command(a, i, command.bytes, read->verdicts);
    }
    check_anchor(a, &block->header);
    TRY(fold_block(a, block, read->id, read->record.body.count));
    check_position(a, &read->record);
    return STATUS_OK;
}

/* ---- all of them ---- */

static enum status begin(struct audit *a)
{
    const struct audit_options *options = a->options;
    const char *rule;
    TRY(hash_init());
    TRY(signature_self_test());
    TRY(genesis_open(options->genesis.at, options->genesis.count, &a->genesis,
                     a->report->genesis_id, &rule));
    struct ledger_options ledger = {.alarm = on_alarm, .alarm_context = a};
    TRY(ledger_open(&a->ledger, &a->genesis, &ledger));
    TRY(keep_anchor(a, 0));
    TRY(begin_epoch(a));
    return chain_reader_open(&a->reader, options->io, options->log_dir, a->report->genesis_id);
}

/* As many threads verify as there are cores: the one that folds needs a small part of one. */
static unsigned threads_of(const struct audit_options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (options->threads > 0) return options->threads;
    if (cores < 1) return 1;
    return cores > VERIFY_THREADS_MAX ? VERIFY_THREADS_MAX : (unsigned)cores;
}

static enum status run(struct audit *a)
{
    TRY(begin(a));
    uint64_t first, last;
    enum status status = chain_range(a->reader, SEGMENT_CHAIN, &first, &last);
    if (status == STATUS_NOT_FOUND)
        last = 0;
    else if (status != STATUS_OK)
        return status;
    if (last > 0 && first != 1) return STATUS_PRUNED;
    if (a->options->to < last) last = a->options->to;
    TRY(ahead_open(&a->ahead, a->reader, a->report->genesis_id,
                   a->options->skip_signatures ? 0 : threads_of(a->options), 1, last));
    check_side(a, SEGMENT_EVENTS, a->report->genesis_id, ledger_genesis_events(a->ledger));
    uint64_t start = now_us();
    for (a->height = 1; a->height <= last; a->height++) {
        TRY(audit_block(a));
        a->report->heights = a->height;
        if (a->options->full_every > 0 && a->height % a->options->full_every == 0) {
            TRY(check_invariants(a));
        }
        if (a->options->progress) a->options->progress(a->options->context, a->height, last);
    }
    a->report->fold_microseconds = now_us() - start;
    a->height = last;
    return check_invariants(a);
}

enum status audit_run(const struct audit_options *options, struct audit_report *report,
                      struct ledger **ledger)
{
    struct audit *a = calloc(1, sizeof *a);
    if (!a) return STATUS_NO_MEMORY;
    *report = (struct audit_report){0};
    a->options = options;
    a->report = report;
    uint64_t start = now_us();
    enum status status = run(a);
    report->microseconds = now_us() - start;
    ahead_close(a->ahead);
    chain_buffer_free(&a->side_buffer);
    if (a->reader) chain_reader_close(a->reader);
    if (ledger)
        *ledger = a->ledger;
    else if (a->ledger)
        ledger_close(a->ledger);
    free(a);
    return status;
}
