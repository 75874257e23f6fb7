/* Claims about a running node: what its submit door answers, and how it ends when its disk fails. */
#include "tests/support_cmocka.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/transaction_json.h"
#include "apply/genesis.h"
#include "log/hash.h"
#include "replica/node_internal.h"
#include "tools/home.h"
#include "tools/keystore.h"
#include "tools/load.h"
#include "tools/make_tx.h"
#include "tools/testnet.h"

#define KEYS       2
#define TIMEOUT_US UINT64_C(30000000)
#define PASSPHRASE "nothing of worth"

static struct {
    char home[128], node_home[256];
    struct io io; /* of the set-up */
    struct home_genesis genesis;
    struct keystore_key key;
    uint8_t seed[LOAD_SEED_BYTES];
    struct io disk; /* of the node */
    struct io_driver driver;
    const struct io_driver *inner;
    _Atomic bool fails; /* every write that completes is a failure from now on */
    struct node *node;
    pthread_t loop;
    enum status end; /* what node_run answered */
} net;

/* ---- a disk whose writes fail on demand ---- */

static enum status failing_poll(void *self, int64_t timeout_us, struct io_op **done,
                                size_t done_max, size_t *count)
{
    enum status status = net.inner->poll(self, timeout_us, done, done_max, count);
    for (size_t i = 0; status == STATUS_OK && net.fails && i < *count; i++) {
        bool writes = done[i]->kind == IO_WRITE || done[i]->kind == IO_WRITE_SYNC;
        if (writes) done[i]->status = STATUS_NO_SPACE;
    }
    return status;
}

/* ---- the network ---- */

static int make_net(void **state)
{
    (void)state;
    char path[320];
    uint8_t *text = NULL;
    size_t count = 0;
    snprintf(net.home, sizeof net.home, "/tmp/cairn-test-node-XXXXXX");
    if (!mkdtemp(net.home) || hash_init() != STATUS_OK) return -1;
    if (io_posix_init(&net.io, 16) != STATUS_OK) return -1;
    struct testnet_options options = {.directory = net.home,
                                      .chain_name = "test",
                                      .preset = TESTNET_BENCH,
                                      .validators = 1,
                                      .load_keys = KEYS,
                                      .journal_bytes = UINT64_C(128) << 20,
                                      .time_us = UINT64_C(1700000000000000)};
    assert_int_equal(testnet_make(&net.io, &options, NULL), STATUS_OK);
    snprintf(path, sizeof path, "%s/load.seed", net.home);
    assert_int_equal(home_read(&net.io, path, 2 * LOAD_SEED_BYTES, &text, &count), STATUS_OK);
    for (size_t i = 0; i < LOAD_SEED_BYTES; i++) {
        unsigned byte;
        assert_int_equal(sscanf((char *)text + 2 * i, "%2x", &byte), 1);
        net.seed[i] = (uint8_t)byte;
    }
    free(text);
    snprintf(net.node_home, sizeof net.node_home, "%s/node0", net.home);
    assert_int_equal(home_open_genesis(&net.io, net.node_home, &net.genesis), STATUS_OK);
    snprintf(path, sizeof path, "%s/validator/key.enc", net.node_home);
    assert_int_equal(keystore_open(&net.io, path, PASSPHRASE, strlen(PASSPHRASE), &net.key),
                     STATUS_OK);
    return 0;
}

static int drop_net(void **state)
{
    (void)state;
    char command[256];
    keystore_close(&net.key);
    home_close_genesis(&net.genesis);
    io_deinit(&net.io);
    snprintf(command, sizeof command, "rm -rf '%s'", net.home);
    return system(command);
}

static void *run_loop(void *node)
{
    net.end = node_run(node);
    return NULL;
}

static void start_node(uint64_t stop_bytes)
{
    const char *why = "";
    net.fails = false;
    assert_int_equal(io_posix_init(&net.disk, 64), STATUS_OK);
    net.inner = net.disk.driver;
    net.driver = *net.inner;
    net.driver.poll = failing_poll;
    net.disk.driver = &net.driver;
    struct node_options options = {.home = net.node_home,
                                   .io = &net.disk,
                                   .genesis = {net.genesis.bytes, net.genesis.count},
                                   .secret_key = net.key.secret,
                                   .mempool = MEMPOOL_LIMITS_DEFAULT,
                                   .verify_threads = 2,
                                   .space = {stop_bytes, stop_bytes, stop_bytes},
                                   .view_bytes_max = 1 << 20};
    assert_int_equal(node_open(&net.node, &options, &why), STATUS_OK);
    assert_int_equal(pthread_create(&net.loop, NULL, run_loop, net.node), 0);
}

static void close_node(void)
{
    pthread_join(net.loop, NULL);
    node_close(net.node);
    io_deinit(&net.disk);
}

static void stop_node(void)
{
    node_stop(net.node);
    close_node();
    assert_int_equal(net.end, STATUS_OK);
}

/* ---- transactions ---- */

static void make_payment(uint64_t nonce, struct made_tx *tx)
{
    uint8_t secret[64], other[64], to_key[32];
    struct transfer_intent intent = {.amount = 5, .nonce = nonce, .valid_until = 1000};
    assert_int_equal(load_key(net.seed, 0, secret, intent.key), STATUS_OK);
    assert_int_equal(load_key(net.seed, 1, other, to_key), STATUS_OK);
    address_of_key(to_key, intent.to);
    assert_int_equal(make_transfer(tx, net.genesis.id, &net.genesis.genesis.params, &intent),
                     STATUS_OK);
    assert_int_equal(make_signature(tx, secret), STATUS_OK);
}

static void submit(const struct made_tx *tx, struct node_verdict *verdict)
{
    struct bytes bytes = {tx->bytes, tx->bytes_count};
    assert_int_equal(node_submit(net.node, &bytes, 1, verdict, TIMEOUT_US), STATUS_OK);
}

/* ---- claims ---- */

/* From admission through fold and publication to long after: the same bytes are never refused. */
static void node_knows_a_transaction_at_every_moment(void **state)
{
    (void)state;
    static struct made_tx tx;
    struct node_verdict verdict;
    struct node_head head = {0};
    start_node(0);
    for (uint64_t nonce = 0; nonce < 20; nonce++) {
        make_payment(nonce, &tx);
        submit(&tx, &verdict);
        assert_int_equal(verdict.status, STATUS_OK);
        assert_false(verdict.known);
        do {
            submit(&tx, &verdict);
            assert_int_equal(verdict.status, STATUS_OK);
            assert_true(verdict.known);
            assert_int_equal(verdict.expected_nonce, nonce + 1);
            node_head(net.node, &head);
        } while (head.tx_total <= nonce);
    }
    stop_node();
}

static void node_tells_the_next_nonce_with_every_refusal(void **state)
{
    (void)state;
    static struct made_tx tx;
    struct node_verdict verdict;
    start_node(0);
    make_payment(20, &tx);
    tx.bytes[tx.bytes_count - 1] ^= 1;
    submit(&tx, &verdict);
    assert_int_equal(verdict.status, STATUS_BAD_SIGNATURE);
    assert_true(verdict.has_id);
    assert_int_equal(verdict.expected_nonce, 20);
    stop_node();
}

static void node_without_space_signs_nothing_and_refuses(void **state)
{
    (void)state;
    static struct made_tx tx;
    struct node_verdict verdict;
    struct node_stats stats;
    start_node(UINT64_MAX / 2);
    do {
        node_stats(net.node, &stats);
    } while (stats.space != NODE_SPACE_STOPPED);
    assert_false(stats.signing);
    make_payment(20, &tx);
    struct bytes bytes = {tx.bytes, tx.bytes_count};
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(node_submit(net.node, &bytes, 1, &verdict, TIMEOUT_US), STATUS_NO_SPACE);
    }
    /* What was voted for before the stop is signed again and may still commit; nothing new is begun. */
    node_stats(net.node, &stats);
    assert_int_equal(stats.votes, 0);
    assert_int_equal(stats.proposals, 0);
    stop_node(); /* with room again it goes on at once */
    start_node(0);
    stop_node();
}

static void node_whose_disk_fails_stops_in_order(void **state)
{
    (void)state;
    static struct made_tx tx;
    struct node_verdict verdict;
    struct bytes bytes;
    struct node_stats stats;
    start_node(0);
    make_payment(20, &tx);
    net.fails = true;
    bytes = (struct bytes){tx.bytes, tx.bytes_count};
    enum status status = node_submit(net.node, &bytes, 1, &verdict, TIMEOUT_US);
    assert_true(status == STATUS_OK || status == STATUS_CLOSED);
    pthread_join(net.loop, NULL);
    assert_int_equal(net.end, STATUS_NO_SPACE);
    assert_int_equal(node_submit(net.node, &bytes, 1, &verdict, TIMEOUT_US), STATUS_CLOSED);
    node_stats(net.node, &stats);
    assert_false(stats.signing);
    assert_non_null(stats.stopped);
    node_close(net.node); /* asserts that nothing is in flight */
    io_deinit(&net.disk);
    start_node(0);
    stop_node();
}

static void count_answers(void *context)
{
    atomic_fetch_add((_Atomic unsigned *)context, 1);
}

/* A client that hangs up changes nothing for its transactions; one that stays is told once. */
static void node_admits_what_its_submitter_has_left(void **state)
{
    (void)state;
    static struct made_tx tx;
    uint8_t secret[64], key[32], sender[32];
    struct node_verdict verdict;
    struct node_submission *left, *kept;
    _Atomic unsigned answers = 0;
    start_node(0);
    assert_int_equal(load_key(net.seed, 0, secret, key), STATUS_OK);
    address_of_key(key, sender);
    uint64_t nonce = node_mempool_nonce(net.node, sender);
    make_payment(nonce, &tx);
    struct bytes bytes = {tx.bytes, tx.bytes_count};
    assert_int_equal(node_submit_start(net.node, &bytes, 1, NULL, NULL, &left), STATUS_OK);
    node_submit_leave(left);
    while (node_mempool_nonce(net.node, sender) != nonce + 1) {
        usleep(1000);
    }
    assert_int_equal(node_submit_start(net.node, &bytes, 1, count_answers, &answers, &kept),
                     STATUS_OK);
    while (!node_submit_take(kept, &verdict)) {
        usleep(1000);
    }
    node_submit_leave(kept);
    assert_int_equal(atomic_load(&answers), 1);
    assert_int_equal(verdict.status, STATUS_OK);
    assert_true(verdict.known);
    stop_node();
}

static void node_notices_after_the_newest_are_none(void **state)
{
    (void)state;
    struct node_tx_failed notices[4];
    start_node(0);
    assert_int_equal(node_tx_failed_read(net.node, UINT64_MAX, notices, 4), 0);
    assert_int_equal(node_tx_failed_read(net.node, 0, notices, 4), 0);
    stop_node();
}

/* Readers of this process see a height before it is durable; the head's file names it soon after. */
static void node_names_in_its_head_what_it_has_published(void **state)
{
    (void)state;
    char folder[320];
    struct node_head published;
    struct head named = {.generation = 0};
    struct chain_buffer buffer = {0};
    start_node(0);
    snprintf(folder, sizeof folder, "%s/data/log", net.node_home);
    uint64_t height = node_wait_height(net.node, 1, TIMEOUT_US);
    assert_true(height > 0);
    node_head(net.node, &published);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        struct chain_record record;
        assert_int_equal(chain_read(node_chain(net.node), kind, published.height, &buffer, &record),
                         STATUS_OK);
    }
    for (uint64_t waited = 0; named.mark.height < height; waited += 1000) {
        assert_true(waited < TIMEOUT_US);
        usleep(1000);
        enum status status = head_read(&net.io, folder, node_genesis_id(net.node), &named);
        assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    }
    chain_buffer_free(&buffer);
    stop_node();
}

static size_t own_bodies(const struct node *node, uint8_t first)
{
    size_t count = 0;
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        const struct node_pending *pending = &node->pending[i];
        count += pending->own && pending->round == node->body_round && pending->txs[0][0] == first;
    }
    return count;
}

/* A body may be asked for twice in a round: only the last one can have been proposed. */
static void node_remembers_the_last_body_of_a_round(void **state)
{
    (void)state;
    struct node *node = calloc(1, sizeof *node);
    uint8_t txs[1][HASH_BYTES] = {{1}};
    assert_non_null(node);
    for (node->body_round = 7; node->body_round < 9; node->body_round++) {
        for (txs[0][0] = 1; txs[0][0] < 4; txs[0][0]++) {
            assert_int_equal(node_branch_own(node, txs, 1), STATUS_OK);
        }
    }
    for (node->body_round = 7; node->body_round < 9; node->body_round++) {
        assert_int_equal(own_bodies(node, 1) + own_bodies(node, 2), 0);
        assert_int_equal(own_bodies(node, 3), 1);
    }
    node_branch_free(node);
    free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_knows_a_transaction_at_every_moment),
        cmocka_unit_test(node_tells_the_next_nonce_with_every_refusal),
        cmocka_unit_test(node_without_space_signs_nothing_and_refuses),
        cmocka_unit_test(node_whose_disk_fails_stops_in_order),
        cmocka_unit_test(node_notices_after_the_newest_are_none),
        cmocka_unit_test(node_admits_what_its_submitter_has_left),
        cmocka_unit_test(node_remembers_the_last_body_of_a_round),
        cmocka_unit_test(node_names_in_its_head_what_it_has_published),
    };
    return cmocka_run_group_tests(tests, make_net, drop_net);
}
