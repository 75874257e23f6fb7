/* Whole nodes whose proposals go without the transactions that peers have (replica/compact.h). */
#include <stdlib.h>

#include "log/trace.h"
#include "replica/node_internal.h"
#include "tests/support_clock.h"
#include "tests/support_cluster.h"

#define NODES   4
#define SENDERS 4
#define KINDS   13  /* of messages, and 0 */
#define EACH    800 /* transactions of a sender */

/* What happens to messages on their way. */
enum lie {
    LIE_NONE,
    LIE_PREFIX,    /* a prefix that is nothing's */
    LIE_SIGNATURE, /* not the leader's; and gossip is lost, from here on */
    LIE_BITS,      /* any bit of any message about compact proposals */
    LIE_ANSWERS,   /* transactions that are not those of the block */
    LIE_COUNT
};
#define LIAR 2

static struct {
    uint32_t lose_ppm[KINDS];
    uint64_t sent[KINDS], sent_bytes[KINDS]; /* once for each receiver */
    enum lie lie;
    uint64_t random, lies;
    uint64_t liar_asked; /* for transactions */
    bool only_asked;     /* the observer gets whole blocks only after a request */
    bool asked[NODES];
} way;

static bool see(void *context, uint32_t from, uint32_t to, uint8_t *at, size_t count);

static struct cluster *make_sized(uint64_t seed, uint64_t block_bytes)
{
    struct cluster_options options = {.validators = NODES,
                                      .observers = 1,
                                      .seed = seed,
                                      .delay_us = 500,
                                      .jitter_us = 500,
                                      .sync_us = 1000,
                                      .block_interval_us = 50000,
                                      .block_bytes = block_bytes};
    sn_clock_set(CHAIN_TIME_US + 1000000);
    struct cluster *cluster = cluster_make(&options);
    memset(&way, 0, sizeof way);
    way.random = seed;
    cluster_watch(cluster, see, NULL);
    for (uint32_t i = 0; i <= NODES; i++) {
        cluster_start(cluster, i);
    }
    assert_true(cluster_run_until_height(cluster, 5, 5000000));
    return cluster;
}

static struct cluster *make(uint64_t seed)
{
    return make_sized(seed, 40000);
}

/* load brings transactions, some every few milliseconds, each sender's to a node of its own: whatever gossip
 * loses, that one has all of them. */
static void load(struct cluster *cluster)
{
    for (uint32_t i = 0; i < SENDERS * EACH / 40; i++) {
        cluster_submit(cluster, i % SENDERS, i % SENDERS, 40);
        cluster_run(cluster, 5000);
    }
}

static bool all_paid(struct cluster *cluster)
{
    for (uint32_t at = 0; at <= NODES; at++) {
        for (uint32_t sender = 0; sender < SENDERS; sender++) {
            if (cluster_nonce(cluster, at, sender) != EACH) return false;
        }
    }
    return true;
}

static void finish(struct cluster *cluster, uint64_t limit_us)
{
    for (uint64_t us = 0; us < limit_us && !all_paid(cluster); us += 100000) {
        cluster_run(cluster, 100000);
    }
    assert_true(all_paid(cluster));
    for (uint32_t at = 0; at <= NODES; at++) {
        cluster_stop(cluster, at);
    }
    cluster_check_files(cluster);
    cluster_free(cluster);
}

/* ---- on the way ---- */

static uint64_t draw(uint64_t below)
{
    way.random = way.random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (way.random >> 24) % below;
}

static uint32_t not_prefilled(const struct compact *compact)
{
    uint32_t index = 0;
    struct reader r = list_reader(&compact->prefilled);
    for (uint32_t i = 0; i < compact->prefilled.count; i++) {
        struct indexed_command command;
        indexed_command_read(&r, &command);
        if (command.index == index) index++;
    }
    assert_true(index < compact->header.cmd_count);
    return index;
}

static bool lie_to(uint8_t *at, size_t count)
{
    struct compact_view view;
    bool is_compact = at[0] == MESSAGE_COMPACT, is_answer = at[0] == MESSAGE_BLOCK_COMMANDS;
    if (way.lie == LIE_PREFIX && is_compact) {
        assert_int_equal(compact_open((struct bytes){at, count}, &view), STATUS_OK);
        uint32_t index = not_prefilled(&view.compact);
        at[(size_t)(view.compact.prefixes.at - at) + index * COMPACT_PREFIX_BYTES] ^= 1;
    } else if (way.lie == LIE_SIGNATURE && is_compact) {
        at[1 + draw(64)] ^= 1;
    } else if (way.lie == LIE_BITS && (is_compact || is_answer || at[0] == MESSAGE_GET_COMMANDS)) {
        at[1 + draw(count - 1)] ^= (uint8_t)(1u << draw(8));
    } else if (way.lie == LIE_ANSWERS && is_answer) {
        at[count - 1] ^= 1;
    } else {
        return false;
    }
    return true;
}

static bool see(void *context, uint32_t from, uint32_t to, uint8_t *at, size_t count)
{
    (void)context;
    if (from == NODES && at[0] == MESSAGE_GET_BLOCK) way.asked[to] = true;
    if (to == LIAR) way.liar_asked += at[0] == MESSAGE_GET_COMMANDS;
    if (way.only_asked && to == NODES && at[0] == MESSAGE_PROPOSAL) {
        if (!way.asked[from]) return false;
        way.asked[from] = false;
    }
    assert_true(count > 0 && at[0] < KINDS);
    way.sent[at[0]]++;
    way.sent_bytes[at[0]] += count;
    if (way.lose_ppm[at[0]] > 0 && draw(1000000) < way.lose_ppm[at[0]]) return false;
    if (from == LIAR) way.lies += lie_to(at, count);
    return true;
}

static struct node_counters sum(struct cluster *cluster)
{
    struct node_counters all = {0};
    for (uint32_t at = 0; at <= NODES; at++) {
        const struct node_counters *one = &cluster_node(cluster, at)->counters;
        all.compact_sent += one->compact_sent;
        all.compact_spared_bytes += one->compact_spared_bytes;
        all.compact_rebuilt += one->compact_rebuilt;
        all.compact_asked += one->compact_asked;
        all.compact_whole += one->compact_whole;
        all.timeouts += one->timeouts;
    }
    return all;
}

static void print_bytes(struct cluster *cluster)
{
    struct node_counters all = sum(cluster);
    uint64_t with = way.sent_bytes[MESSAGE_PROPOSAL] + way.sent_bytes[MESSAGE_COMPACT] +
                    way.sent_bytes[MESSAGE_GET_COMMANDS] + way.sent_bytes[MESSAGE_BLOCK_COMMANDS];
    uint64_t gossip = way.sent_bytes[MESSAGE_COMMANDS];
    uint64_t without = with + all.compact_spared_bytes * NODES;
    uint64_t received = (uint64_t)SENDERS * EACH * NODES; /* transactions times receivers */
    print_message("bytes a transaction and receiver: proposals %.1f instead of %.1f, gossip %.1f\n",
                  (double)with / (double)received, (double)without / (double)received,
                  (double)gossip / (double)received);
    print_message("compact sent %llu, rebuilt %llu, asked %llu, whole %llu, timeouts %llu\n",
                  (unsigned long long)all.compact_sent, (unsigned long long)all.compact_rebuilt,
                  (unsigned long long)all.compact_asked, (unsigned long long)all.compact_whole,
                  (unsigned long long)all.timeouts);
}

static void long_bodies_go_without_what_peers_have(void **state)
{
    (void)state;
    struct cluster *cluster = make_sized(1, 200000);
    load(cluster);
    struct node_counters all = sum(cluster);
    print_bytes(cluster);
    assert_true(all.compact_sent >= 5);
    assert_int_equal(all.timeouts, 0);
    finish(cluster, 5000000);
}

/* Half of the gossip is lost: what is missing is asked for, and no round fails. */
static void what_is_missing_is_asked_for(void **state)
{
    (void)state;
    struct cluster *cluster = make(2);
    way.lose_ppm[MESSAGE_COMMANDS] = 300000;
    load(cluster);
    struct node_counters all = sum(cluster);
    assert_true(all.compact_sent >= 5);
    assert_true(all.compact_asked >= 5);
    assert_true(way.sent[MESSAGE_BLOCK_COMMANDS] >= 5);
    assert_int_equal(all.timeouts, 0);
    finish(cluster, 5000000);
}

/* Nobody but one has any transaction: he proposes alone, and whole blocks are asked for. */
static void without_gossip_whole_blocks_are_asked_for(void **state)
{
    (void)state;
    struct cluster *cluster = make(3);
    way.lose_ppm[MESSAGE_COMMANDS] = 1000000;
    for (uint32_t i = 0; i < SENDERS; i++) {
        cluster_submit(cluster, 0, i, EACH);
    }
    cluster_run(cluster, 1000000);
    struct node_counters all = sum(cluster);
    assert_true(all.compact_sent >= 2);
    assert_true(all.compact_whole >= 5);
    assert_int_equal(all.compact_rebuilt, 0);
    assert_int_equal(all.timeouts, 0);
    finish(cluster, 5000000);
}

/* Answers do not come: after the second peer the whole block is asked for, before the round fails. */
static void without_answers_whole_blocks_are_asked_for(void **state)
{
    (void)state;
    struct cluster *cluster = make(4);
    way.lose_ppm[MESSAGE_COMMANDS] = 200000;
    way.lose_ppm[MESSAGE_BLOCK_COMMANDS] = 1000000;
    load(cluster);
    struct node_counters all = sum(cluster);
    assert_true(all.compact_asked >= 4);
    assert_true(all.compact_whole >= 2);
    assert_int_equal(all.timeouts, 0);
    finish(cluster, 20000000);
}

static void lost_messages_lose_nothing(void **state)
{
    (void)state;
    static const uint8_t LOST[] = {MESSAGE_COMPACT,   MESSAGE_GET_COMMANDS, MESSAGE_BLOCK_COMMANDS,
                                   MESSAGE_GET_BLOCK, MESSAGE_PROPOSAL,     MESSAGE_COMMANDS,
                                   MESSAGE_VOTE};
    struct cluster *cluster = make(5);
    for (size_t i = 0; i < sizeof LOST; i++) {
        way.lose_ppm[LOST[i]] = 100000;
    }
    load(cluster);
    cluster_run(cluster, 10000000);
    assert_true(sum(cluster).compact_sent >= 3);
    for (size_t i = 0; i < sizeof LOST; i++) {
        way.lose_ppm[LOST[i]] = 0;
    }
    for (uint32_t i = 0; i < SENDERS;
         i++) { /* who came to miss transactions that wait gets them again */
        cluster_run(cluster, 1000000);
    }
    finish(cluster, 120000000);
}

static void liars_stop_nobody(void **state)
{
    (void)state;
    for (int lie = LIE_NONE + 1; lie < LIE_COUNT; lie++) {
        struct cluster *cluster = make(10 + (uint64_t)lie);
        struct cluster_counts counts;
        way.lie = (enum lie)lie;
        if (lie != LIE_PREFIX) cluster_lies(cluster, LIAR); /* that one could be chance */
        if (lie >= LIE_SIGNATURE) way.lose_ppm[MESSAGE_COMMANDS] = 200000;
        load(cluster);
        assert_true(way.lies >= 2);
        cluster_counts(cluster, &counts);
        if (lie == LIE_SIGNATURE) { /* nothing of it is kept, so that nothing is missing */
            assert_true(counts.blamed >= NODES);
            assert_int_equal(way.liar_asked, 0);
            way.lie = LIE_NONE; /* some transactions nobody else has */
        }
        if (lie == LIE_PREFIX) assert_true(sum(cluster).compact_whole >= way.lies);
        if (lie == LIE_PREFIX || lie == LIE_ANSWERS) assert_int_equal(sum(cluster).timeouts, 0);
        finish(cluster, 60000000);
    }
}

/* An observer that heard nothing for a while has only compact proposals of far rounds to learn from. */
static void who_fell_behind_catches_up_under_load(void **state)
{
    (void)state;
    struct cluster *cluster = make(6);
    uint32_t sent = 0, total = SENDERS * EACH / 40;
    for (uint32_t from = 0; from < NODES; from++) {
        cluster_cut(cluster, from, NODES, true);
    }
    cluster_run(cluster, 15000000);
    uint64_t before = cluster_height(cluster, NODES);
    assert_true(cluster_height(cluster, 0) > before + 2 * NODE_COMPACT_ROUNDS);
    cluster_heal(cluster);
    way.only_asked = true;
    memset(way.asked, 0, sizeof way.asked);
    while (sent < total && cluster_height(cluster, NODES) < before + 2 * NODE_COMPACT_ROUNDS) {
        cluster_submit(cluster, sent % SENDERS, sent % SENDERS, 40);
        cluster_run(cluster, 5000);
        sent++;
    }
    assert_true(cluster_height(cluster, NODES) >= before + 2 * NODE_COMPACT_ROUNDS);
    assert_true(cluster_node(cluster, NODES)->counters.compact_whole > 0);
    cluster_free(cluster);
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    uint64_t digest[2];
    for (int i = 0; i < 2; i++) {
        struct cluster *cluster = make(77);
        way.lose_ppm[MESSAGE_COMMANDS] = 300000;
        load(cluster);
        digest[i] = cluster_digest(cluster);
        cluster_free(cluster);
    }
    assert_int_equal(digest[0], digest[1]);
}

int main(void)
{
    is_loop = true;
    if (trace_init(TRACE_FORMAT_LOGFMT, getenv("CLUSTER_TRACE") ? "debug" : "off", 2) != STATUS_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_bodies_go_without_what_peers_have),
        cmocka_unit_test(what_is_missing_is_asked_for),
        cmocka_unit_test(without_gossip_whole_blocks_are_asked_for),
        cmocka_unit_test(without_answers_whole_blocks_are_asked_for),
        cmocka_unit_test(lost_messages_lose_nothing),
        cmocka_unit_test(liars_stop_nobody),
        cmocka_unit_test(who_fell_behind_catches_up_under_load),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
