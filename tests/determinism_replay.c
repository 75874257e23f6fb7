/* determinism_replay GENESIS LOG OUT [--seed N] [--restarts N] [--to HEIGHT] [--signatures] [--uring]
 *
 * Folds the blocks of the chain log in folder LOG and writes their log with receipts and events to the
 * empty folder OUT, as a node would. Prints a line "height block-id state-root" for every height and
 * how many signatures held. Its output and the files are functions of GENESIS and LOG alone, which
 * is what the determinism matrix holds for every compiler, flag, machine and environment.
 *
 * The seed draws what must not matter: when the files are written and synced, how many pre-images are
 * kept, whether all invariants are recomputed, in which order the parts of the tree are hashed. With --restarts the process state is dropped that many
 * times at heights drawn from it, in the middle of a block's work and with writes unfinished; what
 * follows recovers the files, refolds the blocks they hold and goes on, as a node does.
 *
 * Links log and apply only, so that it builds for a machine that has nothing else. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "apply/event.h"
#include "apply/ledger.h"
#include "apply/receipt.h"
#include "log/chain.h"
#include "log/signature.h"
#include "tests/determinism_rules.h"

#define TAIL_ROOTS 128 /* after a restart, roots are computed again for this many heights */

struct root {
    uint8_t id[HASH_BYTES], root[HASH_BYTES];
    bool known;
};

struct replay {
    const char *genesis_path, *source_path, *out_path;
    uint64_t seed, restarts, to;
    bool signatures, uring;

    struct io io;
    uint8_t genesis_bytes[1 << 16];
    struct genesis genesis;
    uint8_t genesis_id[HASH_BYTES];
    struct chain_reader *source;
    uint64_t last;
    struct root *roots; /* [last + 1] */
    struct parallel shuffled;
    uint64_t random, good, bad;

    /* Of one life of the process. */
    struct ledger *ledger;
    struct chain *chain;
    struct chain_buffer buffer;
};

static void ok(enum status status, const char *what)
{
    if (status == STATUS_OK) return;
    fprintf(stderr, "determinism_replay: %s: %s\n", what, status_name(status));
    exit(1);
}

static uint64_t draw(struct replay *r, uint64_t bound)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random % bound;
}

/* ---- files ---- */

/* pump does what the writer asks for; without `all` a part of it, so that a restart finds holes. */
static void pump(struct replay *r, bool all)
{
    for (bool ready = true; ready && (all || draw(r, 4) != 0);) {
        struct io_op op = {0};
        ok(chain_next_write(r->chain, &op, &ready), "chain_next_write");
        if (ready) {
            io_perform(&r->io, &op);
            ok(chain_written(r->chain, &op), "chain_written");
            continue;
        }
        chain_next_sync(r->chain, &op, &ready);
        if (!ready) break;
        io_perform(&r->io, &op);
        ok(chain_synced(r->chain, &op), "chain_synced");
    }
}

static void append_side(struct replay *r, enum segment_kind kind, uint64_t height,
                        const uint8_t id[HASH_BYTES], struct bytes body, uint32_t count)
{
    if (chain_next_height(r->chain, kind) > height) return; /* written before a restart */
    enum status status = chain_append_side(r->chain, kind, height, id, body, count);
    if (status == STATUS_BUSY) {
        pump(r, true);
        status = chain_append_side(r->chain, kind, height, id, body, count);
    }
    ok(status, segment_kind_name(kind));
}

static void append_block(struct replay *r, struct bytes block, const uint8_t id[HASH_BYTES])
{
    struct params params;
    ledger_params(r->ledger, &params);
    enum status status = chain_append(r->chain, block, id, params.segment_bytes);
    if (status == STATUS_BUSY) {
        chain_flush(r->chain);
        pump(r, true);
        status = chain_append(r->chain, block, id, params.segment_bytes);
    }
    ok(status, "chain_append");
}

/* ---- the fold ---- */

static void note_root(struct replay *r, uint64_t height, const uint8_t id[HASH_BYTES])
{
    struct root *slot = &r->roots[height];
    uint8_t root[HASH_BYTES];
    ok(ledger_root(r->ledger, root), "ledger_root");
    if (slot->known &&
        (memcmp(slot->root, root, HASH_BYTES) != 0 || memcmp(slot->id, id, HASH_BYTES) != 0)) {
        fprintf(stderr, "determinism_replay: height %llu folds differently after a restart\n",
                (unsigned long long)height);
        exit(1);
    }
    memcpy(slot->root, root, HASH_BYTES);
    memcpy(slot->id, id, HASH_BYTES);
    slot->known = true;
}

static void verify_signatures(struct replay *r, const struct block *block)
{
    struct reader commands = list_reader(&block->body.commands);
    for (uint32_t i = 0; i < block->body.commands.count; i++) {
        struct command command;
        struct tx_view view;
        command_read(&commands, &command);
        if (tx_open_rules(command.bytes.at, command.bytes.count, determinism_rules,
                          DETERMINISM_RULE_COUNT, &view) != STATUS_OK)
            continue;
        if (tx_verify(&view, r->genesis_id) == STATUS_OK)
            r->good++;
        else
            r->bad++;
    }
}

/* fold_next takes the next block, from the own files if they hold it and else from the source. False:
 * the life ended in between. */
static bool fold_next(struct replay *r, struct chain_reader *own, uint64_t own_last, bool dies)
{
    struct chain_record record;
    struct block block;
    struct ledger_result result;
    uint8_t id[HASH_BYTES];
    uint64_t height = ledger_height(r->ledger) + 1;
    ok(chain_read(height <= own_last ? own : r->source, SEGMENT_CHAIN, height, &r->buffer, &record),
       "chain_read");
    ok(block_open(record.body.at, record.body.count, &block, id), "block_open");
    if (chain_height(r->chain) < height) append_block(r, record.body, id);
    if (dies && draw(r, 2) == 0) return false;
    ok(ledger_apply(r->ledger, &block, id, record.body.count, &result), "ledger_apply");
    append_side(r, SEGMENT_RECEIPTS, height, id, result.receipts, result.tx_count + 1);
    if (dies && draw(r, 2) == 0) return false;
    append_side(r, SEGMENT_EVENTS, height, id, result.events, result.event_count);
    if (r->signatures && !r->roots[height].known) verify_signatures(r, &block);
    if (height + TAIL_ROOTS > own_last) note_root(r, height, id);
    if (draw(r, 16) == 0) chain_flush(r->chain);
    pump(r, false);
    return !dies;
}

/* shuffle runs independent turns in another order each time. */
static void shuffle(void *owner, uint32_t count, void (*turn)(void *context, uint32_t i),
                    void *context)
{
    uint64_t first = draw(owner, count + 1), backwards = draw(owner, 2);
    for (uint32_t i = 0; i < count; i++) {
        turn(context, (uint32_t)((first + (backwards ? count - 1 - i : i)) % count));
    }
}

static void on_alarm(void *context, const char *invariant, uint64_t height, const char *text)
{
    (void)context, (void)invariant, (void)height, (void)text;
}

static void open_ledger(struct replay *r)
{
    struct block_events events;
    struct ledger_options options = {
        .view_bytes_max = (size_t)draw(r, 3) * 100000,
        .rules = determinism_rules,
        .rule_count = DETERMINISM_RULE_COUNT,
        .full_checks = draw(r, 4) == 0 && r->last <= 2000,
        .alarm = on_alarm,
    };
    ok(ledger_open(&r->ledger, &r->genesis, &options), "ledger_open");
    if (draw(r, 4) > 0) store_parallel(ledger_store(r->ledger), &r->shuffled);
    struct bytes bytes = ledger_genesis_events(r->ledger);
    ok(block_events_decode(bytes.at, bytes.count, &events), "events of the genesis");
    append_side(r, SEGMENT_EVENTS, 0, r->genesis_id, bytes, events.events.count);
    note_root(r, 0, r->genesis_id);
}

/* live folds from the genesis to `end`, in the files' tail as an earlier life left it. */
static void live(struct replay *r, uint64_t end, bool dies)
{
    struct chain_opened opened;
    struct chain_reader *own;
    ok(chain_open(&r->chain, &r->io, r->out_path, r->genesis_id, NULL, &opened), r->out_path);
    ok(chain_reader_open(&own, &r->io, r->out_path, r->genesis_id), r->out_path);
    ok(chain_reader_limit(own, opened.height), r->out_path);
    open_ledger(r);
    while (ledger_height(r->ledger) < end &&
           fold_next(r, own, opened.height, dies && ledger_height(r->ledger) + 1 == end)) {
    }
    if (!dies) ok(chain_settle(r->chain), "chain_settle");
    chain_reader_close(own);
    ledger_close(r->ledger);
    chain_close(r->chain);
}

/* ---- all of it ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void replay(struct replay *r)
{
    uint64_t *heights = calloc(r->restarts + 1, sizeof *heights);
    r->roots = calloc(r->last + 1, sizeof *r->roots);
    if (!heights || !r->roots) ok(STATUS_NO_MEMORY, "roots");
    for (uint64_t i = 0; i < r->restarts; i++) {
        heights[i] = 1 + draw(r, r->last);
    }
    qsort(heights, r->restarts, sizeof *heights, by_number);
    for (uint64_t i = 0; i < r->restarts; i++) {
        live(r, heights[i], true);
    }
    live(r, r->last, false);
    free(heights);
}

static void open_source(struct replay *r)
{
    const char *rule;
    struct chain_report report;
    int file;
    size_t count;
    ok(io_open(&r->io, r->genesis_path, 0, &file), r->genesis_path);
    ok(io_read_at(&r->io, file, 0, r->genesis_bytes, sizeof r->genesis_bytes, &count),
       r->genesis_path);
    io_release(&r->io, file);
    ok(genesis_open(r->genesis_bytes, count, &r->genesis, r->genesis_id, &rule), "genesis");
    ok(chain_verify(&r->io, r->source_path, r->genesis_id, &report), r->source_path);
    if (report.first_height != 1) ok(STATUS_PRUNED, r->source_path);
    ok(chain_reader_open(&r->source, &r->io, r->source_path, r->genesis_id), r->source_path);
    ok(chain_reader_limit(r->source, report.last_height), r->source_path);
    r->last = report.last_height < r->to ? report.last_height : r->to;
}

static void print_hex(const uint8_t bytes[HASH_BYTES])
{
    printf(" ");
    for (size_t i = 0; i < HASH_BYTES; i++) {
        printf("%02x", bytes[i]);
    }
}

static bool parse(struct replay *r, int count, char **arguments)
{
    if (count < 4) return false;
    r->genesis_path = arguments[1];
    r->source_path = arguments[2];
    r->out_path = arguments[3];
    r->to = UINT64_MAX;
    r->seed = 1;
    for (int i = 4; i < count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--signatures") == 0) {
            r->signatures = true;
        } else if (strcmp(name, "--uring") == 0) {
            r->uring = true;
        } else {
            uint64_t *number = strcmp(name, "--seed") == 0       ? &r->seed
                               : strcmp(name, "--restarts") == 0 ? &r->restarts
                               : strcmp(name, "--to") == 0       ? &r->to
                                                                 : NULL;
            if (!number || ++i == count) return false;
            *number = strtoull(arguments[i], NULL, 10);
        }
    }
    return true;
}

int main(int count, char **arguments)
{
    struct replay *r = calloc(1, sizeof *r);
    if (!r) return 1;
    if (!parse(r, count, arguments)) {
        fprintf(stderr, "usage: determinism_replay GENESIS LOG OUT [--seed N] [--restarts N] "
                        "[--to HEIGHT] [--signatures] [--uring]\n");
        return 2;
    }
    /* The environment's locale and time zone are in force: nothing may depend on them. */
    if (!setlocale(LC_ALL, "")) ok(STATUS_NOT_FOUND, "the locale");
    tzset();
    r->random = r->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    r->shuffled = (struct parallel){.run = shuffle, .owner = r};
    determinism_rules_init();
    ok(hash_init(), "hash_init");
    ok(signature_self_test(), "signature_self_test");
    ok(r->uring ? io_uring_init(&r->io, 8) : io_posix_init(&r->io, 8), "io");
    open_source(r);
    replay(r);
    for (uint64_t height = 0; height <= r->last; height++) {
        printf("%llu", (unsigned long long)height);
        print_hex(r->roots[height].id);
        print_hex(r->roots[height].root);
        printf("\n");
    }
    if (r->signatures) {
        printf("signatures good %llu bad %llu\n", (unsigned long long)r->good,
               (unsigned long long)r->bad);
    }
    chain_buffer_free(&r->buffer);
    chain_reader_close(r->source);
    io_deinit(&r->io);
    free(r->roots);
    free(r);
    return 0;
}
