#include "replica/node.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "log/hash_local.h"
#include "log/signature.h"
#include "log/trace.h"
#include "replica/node_internal.h"

uint64_t node_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct timespec node_deadline(uint64_t timeout_us)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t nanoseconds = (uint64_t)t.tv_nsec + timeout_us % 1000000 * 1000;
    t.tv_sec += (time_t)(timeout_us / 1000000 + nanoseconds / 1000000000);
    t.tv_nsec = (long)(nanoseconds % 1000000000);
    return t;
}

uint64_t node_steady_us(void)
{
    struct timespec t = node_deadline(0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void wake_loop(void *context)
{
    struct node *node = context;
    io_wake(&node->io);
}

static enum status open_locks(struct node *node)
{
    /* A waiting writer goes first: readers hold the lock only for one small read, but there may always
     * be one of them. */
    pthread_rwlockattr_t prefer_writer;
    pthread_rwlockattr_init(&prefer_writer);
    pthread_rwlockattr_setkind_np(&prefer_writer, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int error = pthread_rwlock_init(&node->state_lock, &prefer_writer);
    pthread_rwlockattr_destroy(&prefer_writer);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    if (error == 0) error = pthread_mutex_init(&node->head_lock, NULL);
    if (error == 0) error = pthread_cond_init(&node->head_moved, &monotonic);
    if (error == 0) error = pthread_mutex_init(&node->failed.lock, NULL);
    pthread_condattr_destroy(&monotonic);
    node->failed.next = 1;
    node->failed.ring = calloc(NODE_FAILED_MAX, sizeof *node->failed.ring);
    node->failed.places = calloc(NODE_FAILED_MAX, sizeof *node->failed.places);
    return error == 0 && node->failed.ring && node->failed.places ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status open_io(struct node *node)
{
    if (node->options.io) {
        node->io = *node->options.io;
        return STATUS_OK;
    }
    switch (node->options.io_backend) {
    case NODE_IO_URING: return io_uring_init(&node->io, NODE_OPS_MAX);
    case NODE_IO_POSIX: return io_posix_init(&node->io, NODE_OPS_MAX);
    default: return io_auto_init(&node->io, NODE_OPS_MAX);
    }
}

/* open_pools takes the memory of everything that admits transactions. */
static enum status open_pools(struct node *node)
{
    TRY(mempool_open(&node->mempool, &node->options.mempool));
    struct verify_options verify = {
        .threads = node->options.verify_threads,
        .jobs_max = NODE_JOBS_MAX,
        .bytes_max = UINT64_C(64) << 20,
        .cache_max = 262144,
        .wake = wake_loop,
        .wake_context = node,
    };
    memcpy(verify.genesis_id, node->genesis_id, HASH_BYTES);
    randombytes_buf(verify.hash_key, sizeof verify.hash_key);
    TRY(verify_open(&node->verify, &verify));
    node->body = malloc(node->genesis.params.block_bytes_max);
    node->body_plain = malloc(node->genesis.params.block_bytes_max);
    node->body_txs = malloc(sizeof *node->body_txs * BLOCK_COMMANDS_MAX);
    node->gossip = malloc(NODE_GOSSIP_BYTES + 2 + COMMAND_BYTES_MAX);
    return node->body && node->body_plain && node->body_txs && node->gossip ? STATUS_OK
                                                                            : STATUS_NO_MEMORY;
}

static enum status open_all(struct node *node, const char **why)
{
    TRY(hash_init());
    *why = "the signature rule of this libsodium differs from the ledger's";
    TRY(signature_self_test());
    *why = "the genesis is not valid";
    const char *rule;
    TRY(genesis_open(node->options.genesis.at, node->options.genesis.count, &node->genesis,
                     node->genesis_id, &rule));
    *why = "not enough memory";
    TRY(open_locks(node));
    TRY(open_pools(node));
    *why = "the I/O back end cannot be started";
    TRY(open_io(node));
    node_sign_open(node);
    return node_recover(node, why);
}

enum status node_open(struct node **out, const struct node_options *options, const char **why)
{
    struct node *node = calloc(1, sizeof *node);
    *why = "not enough memory";
    if (!node) return STATUS_NO_MEMORY;
    node->options = *options;
    node->lock_file = -1;
    node->start_us = node_now_us();
    enum status status = open_all(node, why);
    if (status != STATUS_OK) {
        node_close(node);
        return status;
    }
    *why = NULL;
    *out = node;
    return STATUS_OK;
}

void node_close(struct node *node)
{
    if (!node) return;
    node_sign_close(node);
    if (node->verify) verify_close(node->verify);
    mempool_close(node->mempool);
    replica_close(node->replica);
    if (node->ledger) ledger_close(node->ledger);
    node_disk_close(node);
    node_check_drop_all(node);
    node_branch_free(node);
    free(node->body_txs);
    free(node->body_plain);
    free(node->body);
    free(node->failed.ring);
    free(node->failed.places);
    free(node->waiting);
    pthread_cond_destroy(&node->head_moved);
    pthread_mutex_destroy(&node->head_lock);
    pthread_mutex_destroy(&node->failed.lock);
    pthread_rwlock_destroy(&node->state_lock);
    free(node);
}

void node_stop(struct node *node)
{
    atomic_store(&node->stopping, true);
    io_wake(&node->io);
}

/* ---- reading ---- */

struct ledger *node_read_begin(struct node *node)
{
    int error = pthread_rwlock_rdlock(&node->state_lock);
    assert(error == 0);
    return node->ledger;
}

void node_read_end(struct node *node)
{
    pthread_rwlock_unlock(&node->state_lock);
}

struct ledger *node_write_begin(struct node *node)
{
    int error = pthread_rwlock_wrlock(&node->state_lock);
    assert(error == 0);
    return node->ledger;
}

void node_write_end(struct node *node)
{
    pthread_rwlock_unlock(&node->state_lock);
}

void node_head(struct node *node, struct node_head *head)
{
    pthread_mutex_lock(&node->head_lock);
    *head = node->published;
    pthread_mutex_unlock(&node->head_lock);
}

uint64_t node_wait_height(struct node *node, uint64_t height, uint64_t timeout_us)
{
    struct timespec until = node_deadline(timeout_us);
    pthread_mutex_lock(&node->head_lock);
    while (node->published.height < height && !atomic_load(&node->stopped)) {
        if (pthread_cond_timedwait(&node->head_moved, &node->head_lock, &until) != 0) break;
    }
    uint64_t published = node->published.height;
    pthread_mutex_unlock(&node->head_lock);
    return published;
}

void node_stats(struct node *node, struct node_stats *stats)
{
    pthread_mutex_lock(&node->head_lock);
    *stats = node->stats_copy;
    stats->head = node->published;
    pthread_mutex_unlock(&node->head_lock);
    stats->submitted = atomic_load(&node->submitted);
}

struct chain_reader *node_chain(struct node *node)
{
    return node->reader;
}

struct tx_index *node_index(struct node *node)
{
    return node->index;
}

const uint8_t *node_genesis_id(const struct node *node)
{
    return node->genesis_id;
}

struct bytes node_genesis(const struct node *node)
{
    return node->options.genesis;
}

/* ---- the mempool, seen from outside: it changes under the state lock, like the state ---- */

uint64_t node_mempool_nonce(struct node *node, const uint8_t sender[32])
{
    struct ledger *ledger = node_read_begin(node);
    uint64_t nonce, balance;
    ledger_account(ledger, sender, &nonce, &balance);
    uint64_t next = mempool_next_nonce(node->mempool, sender, nonce);
    node_read_end(node);
    return next;
}

bool node_mempool_find(struct node *node, const uint8_t id[32])
{
    node_read_begin(node);
    bool found = mempool_find(node->mempool, id);
    node_read_end(node);
    return found;
}

/* ---- notices ---- */

/* place_of answers where the sequence of an id's newest notice stands. Two ids may share a place: the
 * older one is then forgotten early, and its transaction is "never seen" again. */
static uint64_t *place_of(struct node *node, const uint8_t id[32])
{
    return &node->failed.places[hash_local(id, HASH_BYTES) % NODE_FAILED_MAX];
}

void node_note_failed(struct node *node, const uint8_t id[32], const char *reason)
{
    pthread_mutex_lock(&node->failed.lock);
    uint64_t sequence = node->failed.next++;
    struct node_tx_failed *entry = &node->failed.ring[sequence % NODE_FAILED_MAX];
    *entry = (struct node_tx_failed){.sequence = sequence, .reason = reason};
    memcpy(entry->id, id, HASH_BYTES);
    *place_of(node, id) = sequence;
    pthread_mutex_unlock(&node->failed.lock);
}

bool node_mempool_failed(struct node *node, const uint8_t id[32], const char **reason)
{
    pthread_mutex_lock(&node->failed.lock);
    uint64_t sequence = *place_of(node, id);
    const struct node_tx_failed *entry = &node->failed.ring[sequence % NODE_FAILED_MAX];
    bool found =
        sequence != 0 && entry->sequence == sequence && memcmp(entry->id, id, HASH_BYTES) == 0;
    if (found) *reason = entry->reason;
    pthread_mutex_unlock(&node->failed.lock);
    return found;
}

size_t node_tx_failed_read(struct node *node, uint64_t sequence, struct node_tx_failed *out,
                           size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&node->failed.lock);
    if (sequence >= node->failed.next) sequence = node->failed.next - 1;
    uint64_t next = sequence + 1;
    if (next + NODE_FAILED_MAX < node->failed.next) next = node->failed.next - NODE_FAILED_MAX;
    while (count < max && next < node->failed.next) {
        out[count++] = node->failed.ring[next++ % NODE_FAILED_MAX];
    }
    pthread_mutex_unlock(&node->failed.lock);
    return count;
}
