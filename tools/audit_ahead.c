#include "tools/audit_ahead.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "replica/verify.h"

#define JOBS_MAX  32768
#define BYTES_MAX ((uint64_t)64 << 20) /* of transactions above VERIFY_SMALL_BYTES */
#define TAKE      256
#define SUBMIT    64

_Static_assert(COMMAND_BYTES_MAX <= TX_BYTES_MAX, "the pool takes every command of a block");

struct slot {
    struct ahead_block out;
    struct chain_buffer buffer;
    struct reader commands;          /* those not submitted yet */
    uint32_t count, submitted, done; /* transactions of the block */
    uint8_t *verdicts;               /* [verdicts_max] */
    uint32_t verdicts_max;
};

struct ahead {
    struct chain_reader *reader;
    struct verify_pool *pool;
    uint64_t next, last;            /* heights: to be read next, the last one */
    struct slot slot[AHEAD_BLOCKS]; /* by height */
    uint64_t head;                  /* height that ahead_next answers next */
    uint64_t submitting;            /* height whose transactions are being submitted */
    pthread_mutex_t mutex;          /* guards `woken` */
    pthread_cond_t wake;
    bool woken;
};

static struct slot *slot_of(struct ahead *ahead, uint64_t height)
{
    return &ahead->slot[height % AHEAD_BLOCKS];
}

static void on_wake(void *context)
{
    struct ahead *ahead = context;
    pthread_mutex_lock(&ahead->mutex);
    ahead->woken = true;
    pthread_cond_signal(&ahead->wake);
    pthread_mutex_unlock(&ahead->mutex);
}

static void wait_for_verdicts(struct ahead *ahead)
{
    pthread_mutex_lock(&ahead->mutex);
    while (!ahead->woken) {
        pthread_cond_wait(&ahead->wake, &ahead->mutex);
    }
    ahead->woken = false;
    pthread_mutex_unlock(&ahead->mutex);
}

enum status ahead_open(struct ahead **out, struct chain_reader *reader,
                       const uint8_t genesis_id[HASH_BYTES], unsigned threads, uint64_t first,
                       uint64_t last)
{
    struct ahead *ahead = calloc(1, sizeof *ahead);
    if (!ahead) return STATUS_NO_MEMORY;
    ahead->reader = reader;
    ahead->next = ahead->head = ahead->submitting = first;
    ahead->last = last;
    pthread_mutex_init(&ahead->mutex, NULL);
    pthread_cond_init(&ahead->wake, NULL);
    struct verify_options options = {.threads = threads,
                                     .jobs_max = JOBS_MAX,
                                     .bytes_max = BYTES_MAX,
                                     .wake = on_wake,
                                     .wake_context = ahead};
    memcpy(options.genesis_id, genesis_id, HASH_BYTES);
    if (threads > 0 && verify_open(&ahead->pool, &options) != STATUS_OK) {
        ahead->pool = NULL;
        ahead_close(ahead);
        return STATUS_NO_MEMORY;
    }
    *out = ahead;
    return STATUS_OK;
}

void ahead_close(struct ahead *ahead)
{
    if (!ahead) return;
    verify_close(ahead->pool);
    for (size_t i = 0; i < AHEAD_BLOCKS; i++) {
        chain_buffer_free(&ahead->slot[i].buffer);
        free(ahead->slot[i].verdicts);
    }
    pthread_cond_destroy(&ahead->wake);
    pthread_mutex_destroy(&ahead->mutex);
    free(ahead);
}

static void read_block(struct ahead *ahead)
{
    struct slot *slot = slot_of(ahead, ahead->next);
    struct ahead_block *out = &slot->out;
    *out = (struct ahead_block){0};
    slot->count = slot->submitted = slot->done = 0;
    out->status =
        chain_read(ahead->reader, SEGMENT_CHAIN, ahead->next++, &slot->buffer, &out->record);
    if (out->status != STATUS_OK) return;
    out->open_status =
        block_open(out->record.body.at, out->record.body.count, &out->block, out->id);
    out->opened = out->open_status == STATUS_OK;
    if (!out->opened || !ahead->pool) return;
    uint32_t count = out->block.body.commands.count;
    if (count > slot->verdicts_max) {
        uint8_t *more = realloc(slot->verdicts, count);
        if (!more) {
            out->status = STATUS_NO_MEMORY;
            return;
        }
        slot->verdicts = more;
        slot->verdicts_max = count;
    }
    slot->count = count;
    slot->commands = list_reader(&out->block.body.commands);
    out->verdicts = slot->verdicts;
}

/* submit_some gives the pool what it takes of the transactions read so far. */
static void submit_some(struct ahead *ahead)
{
    while (ahead->submitting < ahead->next) {
        struct slot *slot = slot_of(ahead, ahead->submitting);
        while (slot->submitted < slot->count) {
            struct bytes txs[SUBMIT];
            uint64_t tags[SUBMIT];
            size_t n = 0;
            struct reader ahead_of = slot->commands;
            for (uint32_t at = slot->submitted; n < SUBMIT && at < slot->count; at++, n++) {
                struct command command;
                command_read(&ahead_of, &command);
                txs[n] = command.bytes;
                tags[n] = ahead->submitting << 32 | at;
            }
            enum status status = verify_submit(ahead->pool, txs, tags, n);
            if (status == STATUS_BUSY) return;
            assert(status == STATUS_OK); /* block_open bounded each command by TX_BYTES_MAX */
            slot->commands = ahead_of;
            slot->submitted += (uint32_t)n;
        }
        ahead->submitting++;
    }
}

static void take_verdicts(struct ahead *ahead)
{
    struct verify_verdict verdicts[TAKE];
    size_t count;
    while ((count = verify_take(ahead->pool, verdicts, TAKE)) > 0) {
        for (size_t i = 0; i < count; i++) {
            struct slot *slot = slot_of(ahead, verdicts[i].tag >> 32);
            slot->verdicts[(uint32_t)verdicts[i].tag] = (uint8_t)verdicts[i].status;
            slot->done++;
            verify_release(ahead->pool, &verdicts[i]);
        }
    }
}

const struct ahead_block *ahead_next(struct ahead *ahead)
{
    assert(ahead->head <= ahead->last);
    struct slot *slot = slot_of(ahead, ahead->head);
    for (;;) {
        while (ahead->next <= ahead->last && ahead->next < ahead->head + AHEAD_BLOCKS) {
            read_block(ahead);
        }
        if (!ahead->pool) break;
        take_verdicts(ahead);
        submit_some(ahead);
        if (slot->done == slot->count) break;
        wait_for_verdicts(ahead);
    }
    ahead->head++;
    return &slot->out;
}
