/* Memory that runs out while a node starts: each allocation of ours fails, once and for good. The start
 * is refused with STATUS_NO_MEMORY or succeeds, nothing leaks (the sanitizer's leak checker looks at the
 * end), and the next start is as if nothing had been.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/trace.h"
#include "tests/support_memory.h"
#include "tests/support_node.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define TRANSFERS 150 /* so that a segment has rolled: the start reads footers and an index file */
#define BATCH     10
#define HOME_SIZE 64

static struct sn_world world;
static char home[HOME_SIZE] = "/dev/shm/cairn-start-XXXXXX";

static struct node_options options_make(struct io *io)
{
    return (struct node_options){.home = home,
                                 .io = io,
                                 .genesis = {world.fold.genesis_bytes, world.fold.genesis_count},
                                 .secret_key = world.fold.validator.secret,
                                 .mempool = {.txs_max = 1024,
                                             .bytes_max = 1 << 20,
                                             .per_sender_max = 256,
                                             .nonce_gap_max = 64,
                                             .replace_bump_bps = 1000},
                                 .verify_threads = 1};
}

static void *run_loop(void *node)
{
    static enum status status;
    status = node_run(node);
    return &status;
}

/* fill_log makes a chain log with transfers in it. */
static void fill_log(struct io *io)
{
    struct node_options options = options_make(io);
    struct node *node;
    struct node_head head = {0};
    struct node_verdict verdicts[BATCH];
    const char *why;
    pthread_t loop;
    void *result;
    OK(node_open(&node, &options, &why));
    assert_int_equal(pthread_create(&loop, NULL, run_loop, node), 0);
    for (size_t first = 0; first < TRANSFERS; first += BATCH) {
        struct bytes txs[BATCH];
        for (size_t i = 0; i < BATCH; i++) {
            txs[i] =
                (struct bytes){world.transfers[first + i].bytes, world.transfers[first + i].count};
        }
        OK(node_submit(node, txs, BATCH, verdicts, UINT64_C(60000000)));
        while (head.tx_total < first + BATCH) {
            node_wait_height(node, head.height + 1, 1000000);
            node_head(node, &head);
        }
    }
    node_stop(node);
    pthread_join(loop, &result);
    OK(*(enum status *)result);
    node_close(node);
}

static int make_home(void **state)
{
    (void)state;
    char path[HOME_SIZE + 16];
    struct io io;
    sn_world_make(&world);
    if (mkdtemp(home) == NULL) {
        (void)snprintf(home, sizeof home, "/tmp/cairn-start-XXXXXX");
        if (mkdtemp(home) == NULL) return -1;
    }
    OK(io_posix_init(&io, 64));
    (void)snprintf(path, sizeof path, "%s/validator", home);
    OK(io_mkdir(&io, path));
    OK(node_format(&io, home, &world.fold.params, world.fold.genesis_id, world.fold.validator.key,
                   SN_RING_BYTES));
    fill_log(&io);
    io_deinit(&io);
    return 0;
}

static int drop_home(void **state)
{
    (void)state;
    char command[HOME_SIZE + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", home);
    sn_world_free(&world);
    return system(command);
}

static void start_once(struct io *io, uint64_t nth, bool sticky, uint64_t *refused, bool *done)
{
    struct node_options options = options_make(io);
    struct node *node = NULL;
    const char *why = NULL;
    memory_fail_at(nth, sticky);
    enum status status = node_open(&node, &options, &why);
    bool failed = memory_failed();
    *done = !failed;
    if (status == STATUS_OK) {
        struct node_head head;
        node_head(node, &head);
        assert_int_equal(head.tx_total, TRANSFERS);
        node_close(node);
        return;
    }
    if (status != STATUS_NO_MEMORY || !failed || why == NULL) {
        fail_msg("allocation %llu%s: %s (%s)", (unsigned long long)nth, sticky ? " and on" : "",
                 status_name(status), why ? why : "no reason");
    }
    ++*refused;
}

static void start_survives_each_failing_allocation(void **state)
{
    (void)state;
    struct io io;
    OK(io_posix_init(&io, 64));
    for (int sticky = 0; sticky < 2; sticky++) {
        uint64_t refused = 0, nth = 0;
        bool done = false;
        while (!done) {
            start_once(&io, ++nth, sticky, &refused, &done);
        }
        print_message("%llu allocations%s: %llu starts refused\n", (unsigned long long)nth - 1,
                      sticky ? ", from the n-th on" : "", (unsigned long long)refused);
        assert_true(nth > 100);
        assert_int_equal(refused, nth - 1); /* none of them is dispensable */
    }
    uint64_t none = 0;
    bool done;
    start_once(&io, 0, false, &none, &done);
    assert_int_equal(none, 0);
    io_deinit(&io);
}

/* The drivers take memory themselves. */
static void drivers_survive_each_failing_allocation(void **state)
{
    (void)state;
    enum status (*const start[])(struct io *, unsigned) = {io_posix_init, io_uring_init};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t nth = 1;; nth++) {
            struct io io;
            memory_fail_at(nth, true);
            enum status status = start[i](&io, 8);
            bool failed = memory_failed();
            if (status == STATUS_OK) io_deinit(&io);
            if (!failed) break;
            assert_int_equal(status, STATUS_NO_MEMORY);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drivers_survive_each_failing_allocation),
        cmocka_unit_test(start_survives_each_failing_allocation),
    };
    if (trace_init(TRACE_FORMAT_LOGFMT, "off", 2) != STATUS_OK) return 1;
    return cmocka_run_group_tests(tests, make_home, drop_home);
}
