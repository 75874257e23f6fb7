#include "bench/offer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply/transaction.h"
#include "bench/bench.h"

#define REFERENCE_TXS 4096
#define BATCH_PATH    "/v1/txs/batch"
#define RAW           "application/octet-stream"

/* ---- reference ---- */

struct verifier {
    const struct rig_frames *frames;
    uint64_t first, count;
};

static void *verify_part(void *argument)
{
    static struct tx_view views[RIG_CORES][REFERENCE_TXS];
    const struct verifier *work = argument;
    const struct rig_frames *frames = work->frames;
    struct tx_view *view = views[work->first / REFERENCE_TXS];
    for (uint64_t i = 0; i < work->count; i++) {
        const uint8_t *frame = frames->bytes + (work->first + i) % frames->count * frames->stride;
        bench_must("offer", tx_open(frame + 4, frames->stride - 4, &view[i]));
    }
    static double seconds[RIG_CORES];
    double start = bench_seconds();
    for (uint64_t i = 0; i < work->count; i++) {
        bench_must("offer", tx_verify(&view[i], rig_genesis_id()));
    }
    seconds[work->first / REFERENCE_TXS] = bench_seconds() - start;
    return &seconds[work->first / REFERENCE_TXS];
}

double offer_verify_rate(const struct rig_frames *frames)
{
    pthread_t threads[RIG_CORES];
    struct verifier work[RIG_CORES];
    double rate = 0;
    for (uint64_t i = 0; i < RIG_CORES; i++) {
        work[i] = (struct verifier){frames, i * REFERENCE_TXS, REFERENCE_TXS};
        if (pthread_create(&threads[i], NULL, verify_part, &work[i]) != 0) rig_fail("no thread");
    }
    for (uint64_t i = 0; i < RIG_CORES; i++) {
        void *seconds;
        pthread_join(threads[i], &seconds);
        rate += REFERENCE_TXS / *(double *)seconds;
    }
    return rate;
}

/* ---- posting ---- */

static void note_code(struct offer *run, const struct wire_answer *answer)
{
    const char *at = strstr((const char *)answer->body.at, "\"code\":\"");
    if (!at || run->code[0]) return;
    size_t count = strcspn(at + 8, "\"");
    if (count < sizeof run->code) memcpy(run->code, at + 8, count);
}

static bool wait_turn(struct offer *run)
{
    uint64_t slot = atomic_fetch_add(&run->slot, 1);
    if (run->rate > 0) {
        double due = run->begin + (double)(slot * run->batch) / run->rate, now = bench_seconds();
        if (run->end != 0 && due > run->end) return false;
        if (due > now) usleep((useconds_t)((due - now) * 1e6));
    }
    return run->end == 0 || bench_seconds() < run->end;
}

struct poster {
    struct offer *run;
    unsigned node;
};

static void *poster_main(void *argument)
{
    const struct poster *poster = argument;
    struct offer *run = poster->run;
    struct wire wire;
    bench_must("offer", wire_open(&wire, rig_port[poster->node]));
    uint64_t at = 0, count = 0;
    for (bool mine = false;;) {
        if (!mine) {
            if (!wait_turn(run)) break;
            at = atomic_fetch_add(&run->next, run->batch);
            if (at >= run->count) break;
            count = run->count - at < run->batch ? run->count - at : run->batch;
        } else if (!run->attempts || !wait_turn(run)) {
            usleep(20000); /* a hole in the nonces would keep what is behind it waiting for ever */
        }
        const struct bytes body = {run->frames->bytes + (run->first + at) * run->frames->stride,
                                   count * run->frames->stride};
        struct wire_answer answer = wire_post(&wire, BATCH_PATH, RAW, body);
        mine = answer.status == 503 || answer.status == 429;
        if (mine) {
            atomic_fetch_add(&run->refused, 1);
            note_code(run, &answer);
        } else if (answer.status == 200) {
            uint64_t taken = wire_member(&answer, "admitted") + wire_member(&answer, "known");
            if (taken <
                count) { /* a hole in the nonces would keep what is behind it waiting for ever */
                mine = run->attempts;
                if (!mine) atomic_fetch_add(&run->rejected, count - taken);
                note_code(run, &answer);
            }
        } else {
            atomic_fetch_add(&run->unanswered, 1);
            mine = run->attempts;
        }
    }
    wire_close(&wire);
    return NULL;
}

void offer_post(struct offer *run, unsigned posters)
{
    pthread_t threads[OFFER_POSTERS_MAX];
    struct poster each[OFFER_POSTERS_MAX];
    for (unsigned i = 0; i < posters; i++) {
        each[i] = (struct poster){run, i % rig_nodes};
        if (pthread_create(&threads[i], NULL, poster_main, &each[i]) != 0) rig_fail("no thread");
    }
    for (unsigned i = 0; i < posters; i++) {
        pthread_join(threads[i], NULL);
    }
}

void offer_wait(uint64_t total)
{
    double start = bench_seconds();
    for (unsigned i = 0; i < rig_nodes; i++) {
        struct wire wire;
        bench_must("offer", wire_open(&wire, rig_port[i]));
        while (rig_ask(&wire, "/v1/status", "tx_total") < total) {
            if (bench_seconds() > start + 60) rig_fail("transactions are missing");
            usleep(1000);
        }
        wire_close(&wire);
    }
}

/* ---- finality ---- */

/* A watcher reads the blocks as they come and knows each transaction by its bytes. */
struct watch {
    const struct rig_frames *frames;
    double *seen;   /* [frames->count], 0: not yet */
    uint32_t *slot; /* hash of the bytes -> frame + 1 */
    uint64_t mask, height;
    _Atomic uint64_t found;
    _Atomic bool done;
};

static void watch_open(struct watch *watch, const struct rig_frames *frames, uint64_t height)
{
    *watch = (struct watch){.frames = frames, .height = height + 1, .mask = 1023};
    while (watch->mask < frames->count * 2) {
        watch->mask = watch->mask * 2 + 1;
    }
    watch->seen = calloc(frames->count, sizeof *watch->seen);
    watch->slot = calloc(watch->mask + 1, sizeof *watch->slot);
    if (!watch->seen || !watch->slot) rig_fail("not enough memory");
    for (uint64_t i = 0; i < frames->count; i++) {
        uint64_t at =
            checksum64(frames->bytes + i * frames->stride + 4, frames->stride - 4, 0) & watch->mask;
        while (watch->slot[at] != 0) {
            at = (at + 1) & watch->mask;
        }
        watch->slot[at] = (uint32_t)i + 1;
    }
}

static void watch_close(struct watch *watch)
{
    free(watch->seen);
    free(watch->slot);
}

static void watch_block(struct watch *watch, const uint8_t *bytes, size_t count, double now)
{
    struct block block;
    const struct rig_frames *frames = watch->frames;
    bench_must("offer", block_decode(bytes, count, &block));
    struct reader r = list_reader(&block.body.commands);
    for (uint32_t i = 0; i < block.body.commands.count; i++) {
        struct command command;
        command_read(&r, &command);
        if (command.bytes.count + 4 != frames->stride) continue;
        uint64_t at = checksum64(command.bytes.at, command.bytes.count, 0) & watch->mask;
        for (; watch->slot[at] != 0; at = (at + 1) & watch->mask) {
            uint64_t frame = watch->slot[at] - 1;
            if (memcmp(frames->bytes + frame * frames->stride + 4, command.bytes.at,
                       command.bytes.count) != 0)
                continue;
            watch->seen[frame] = now;
            atomic_fetch_add(&watch->found, 1);
            break;
        }
    }
}

static void *watcher(void *argument)
{
    struct watch *watch = argument;
    struct wire wire;
    bench_must("offer", wire_open(&wire, rig_port[0]));
    while (!atomic_load(&watch->done)) {
        char path[96];
        snprintf(path, sizeof path, "/v1/log/blocks?from=%llu&limit=4",
                 (unsigned long long)watch->height);
        struct wire_answer answer = wire_get(&wire, path, RAW);
        struct reader r = reader_of(answer.body.at, answer.status == 200 ? answer.body.count : 0);
        uint64_t height = watch->height;
        while (r.left > 0 && r.status == STATUS_OK) {
            uint32_t count = read_u32(&r);
            const uint8_t *block = read_take(&r, count);
            if (!block) break;
            watch_block(watch, block, count, bench_seconds());
            watch->height++;
        }
        if (watch->height == height) usleep(2000);
    }
    wire_close(&wire);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct offer_finality finality_of(const struct watch *watch, const struct offer *run)
{
    struct offer_finality result = {.missing = 0};
    double *ms = malloc(run->count * sizeof *ms);
    if (!ms) rig_fail("not enough memory");
    for (uint64_t i = 0; i < run->count; i++) {
        double due = run->begin + (double)(i / run->batch * run->batch) / run->rate;
        double seen = watch->seen[run->first + i];
        ms[i] = seen > 0 ? (seen - due) * 1000 : 1e9;
        if (!(seen > 0)) result.missing++;
    }
    qsort(ms, run->count, sizeof *ms, by_size);
    result.p50 = ms[run->count / 2];
    result.p99 = ms[run->count * 99 / 100];
    result.max = ms[run->count - 1];
    free(ms);
    return result;
}

struct offer_finality offer_finality(const struct rig_frames *frames, double rate, uint64_t batch,
                                     unsigned posters)
{
    struct watch watch;
    struct wire wire;
    pthread_t thread;
    bench_must("offer", wire_open(&wire, rig_port[0]));
    watch_open(&watch, frames, rig_ask(&wire, "/v1/status", "height"));
    wire_close(&wire);
    if (pthread_create(&thread, NULL, watcher, &watch) != 0) rig_fail("no thread");
    struct offer run = {.frames = frames, .count = frames->count, .batch = batch, .rate = rate};
    run.begin = bench_seconds() + 0.02;
    offer_post(&run, posters);
    double until = bench_seconds() + 5;
    while (atomic_load(&watch.found) < frames->count && bench_seconds() < until) {
        usleep(1000);
    }
    atomic_store(&watch.done, true);
    pthread_join(thread, NULL);
    struct offer_finality result = finality_of(&watch, &run);
    watch_close(&watch);
    return result;
}
