/* The chain log under load, by a thread of its own. */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "bench/subject.h"
#include "log/chain.h"

#define OPS           16
#define SEGMENT_BYTES (UINT64_C(64) << 20)

static const uint8_t CHAIN_ID[HASH_BYTES] = {0xca};

struct log_load {
    pthread_t thread;
    atomic_bool stopping;
    struct io io;
    struct chain *chain;
    uint8_t *block;
    size_t block_bytes;
    uint64_t bytes_per_second, bytes_total;
    double seconds;
    struct io_op ops[OPS];
    bool used[OPS], write[OPS];
};

static void must(enum status status)
{
    bench_must("chain log", status);
}

/* Appends the next block; its body is the same each time, which the log does not look into. */
static void append(struct log_load *load)
{
    static const uint8_t side[64];
    uint64_t height = chain_next_height(load->chain, SEGMENT_CHAIN);
    struct header header = {
        .version = BLOCK_VERSION, .round = height, .height = height, .cmd_count = 1};
    memcpy(header.parent_id, chain_last_id(load->chain), HASH_BYTES);
    uint8_t id[HASH_BYTES];
    size_t count;
    must(header_encode(&header, load->block, load->block_bytes, &count));
    block_id_of(&header, id);
    struct bytes block = {load->block, load->block_bytes}, body = {side, sizeof side};
    must(chain_append(load->chain, block, id, SEGMENT_BYTES));
    for (int i = 0; i < SEGMENT_KIND_COUNT; i++) {
        enum segment_kind kind = (enum segment_kind)i;
        if (kind != SEGMENT_CHAIN) must(chain_append_side(load->chain, kind, height, id, body, 1));
    }
    load->bytes_total += load->block_bytes;
}

static bool ask(struct log_load *load, bool write, struct io_op *op)
{
    bool ready;
    if (write)
        must(chain_next_write(load->chain, op, &ready));
    else
        chain_next_sync(load->chain, op, &ready);
    return ready;
}

static size_t submit_all(struct log_load *load, bool write)
{
    size_t busy = 0;
    bool more = true;
    for (size_t i = 0; i < OPS; i++) {
        if (!load->used[i] && more) {
            more = ask(load, write, &load->ops[i]);
            load->used[i] = more;
            load->write[i] = write;
            if (more) must(io_submit(&load->io, &load->ops[i]));
        }
        busy += load->used[i];
    }
    return busy;
}

/* One turn of the loop; false: nothing is in flight. */
static bool turn(struct log_load *load, int64_t wait_us)
{
    struct io_op *done[OPS];
    size_t count;
    if (chain_height(load->chain) > chain_durable_height(load->chain)) chain_flush(load->chain);
    (void)submit_all(load, true);
    bool busy = submit_all(load, false) > 0;
    must(io_poll(&load->io, wait_us, done, OPS, &count));
    for (size_t i = 0; i < count; i++) {
        size_t slot = (size_t)(done[i] - load->ops);
        load->used[slot] = false;
        must(done[i]->status);
        if (load->write[slot])
            must(chain_written(load->chain, done[i]));
        else
            must(chain_synced(load->chain, done[i]));
    }
    return busy;
}

static void *load_run(void *context)
{
    struct log_load *load = context;
    double start = bench_seconds(), rate = (double)load->bytes_per_second;
    while (!atomic_load(&load->stopping)) {
        double due = rate > 0 ? start + (double)load->bytes_total / rate : 0, now = bench_seconds();
        bool behind = chain_height(load->chain) > chain_durable_height(load->chain) + 64;
        if (now >= due && !behind) append(load);
        (void)turn(load, now < due ? (int64_t)((due - now) * 1e6) + 1 : behind ? 1000 : 0);
    }
    while (chain_height(load->chain) > chain_durable_height(load->chain)) {
        (void)turn(load, 1000);
    }
    while (turn(load, 1000)) {
    }
    load->seconds = bench_seconds() - start;
    return NULL;
}

struct log_load *log_load_start(const char *dir, uint64_t bytes_per_second, size_t block_bytes)
{
    struct log_load *load = calloc(1, sizeof *load);
    if (!load) must(STATUS_NO_MEMORY);
    load->bytes_per_second = bytes_per_second;
    load->block_bytes = block_bytes;
    load->block = malloc(block_bytes);
    assert(load->block && block_bytes >= (size_t)header_bytes_max);
    uint64_t seed = 1;
    for (size_t i = 0; i + 8 <= block_bytes; i += 8) {
        store_u64(load->block + i, bench_random(&seed));
    }
    must(io_auto_init(&load->io, OPS));
    struct chain_opened opened;
    must(chain_open(&load->chain, &load->io, dir, CHAIN_ID, NULL, &opened));
    uint8_t genesis[64] = {0};
    struct bytes body = {genesis, sizeof genesis};
    must(chain_append_side(load->chain, SEGMENT_EVENTS, 0, CHAIN_ID, body, 1));
    if (pthread_create(&load->thread, NULL, load_run, load) != 0) must(STATUS_NO_MEMORY);
    return load;
}

uint64_t log_load_stop(struct log_load *load, double *seconds)
{
    atomic_store(&load->stopping, true);
    pthread_join(load->thread, NULL);
    uint64_t bytes = load->bytes_total;
    *seconds = load->seconds;
    chain_close(load->chain);
    io_deinit(&load->io);
    free(load->block);
    free(load);
    return bytes;
}
