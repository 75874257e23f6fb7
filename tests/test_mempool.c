/* The mempool against its rules, and random operations against a naive model. */
#include <stdlib.h>

#include "replica/mempool.h"
#include "tests/support_cmocka.h"
#include "tests/support_mempool.h"

static uint64_t random_state;

static uint64_t random_below(uint64_t bound)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % bound;
}

static struct mempool *open_pool(uint32_t txs_max)
{
    assert_int_equal(hash_init(), STATUS_OK);
    struct mempool_limits limits = MEMPOOL_LIMITS_DEFAULT;
    limits.txs_max = txs_max;
    limits.bytes_max = 1 << 20;
    struct mempool *pool;
    assert_int_equal(mempool_open(&pool, &limits), STATUS_OK);
    return pool;
}

static enum mempool_answer admit(struct mempool *pool, uint8_t sender, uint64_t nonce, uint64_t fee)
{
    struct mempool_made made;
    struct mempool_verdict verdict;
    mempool_make_tx(&made, sender, nonce, fee, 1000, 100);
    mempool_admit(pool, &made.view, 10, 0, UINT64_C(1) << 40, 1, &verdict);
    const char *fault = mempool_check(pool);
    if (fault) fail_msg("%s", fault);
    return verdict.answer;
}

static bool has(struct mempool *pool, uint8_t sender, uint64_t nonce, uint64_t fee)
{
    struct mempool_made made;
    mempool_make_tx(&made, sender, nonce, fee, 1000, 100);
    return mempool_find(pool, made.view.id);
}

static size_t drain(struct mempool *pool, const char *reason)
{
    struct mempool_notice notice;
    size_t count = 0;
    while (mempool_take_notice(pool, &notice)) {
        assert_string_equal(notice.reason, reason);
        count++;
    }
    return count;
}

/* Picks one block and answers sender and nonce of each transaction. */
static size_t pick(struct mempool *pool, size_t capacity, uint8_t *senders, uint64_t *nonces)
{
    static uint8_t bytes[1 << 20];
    size_t count;
    uint32_t txs;
    mempool_pick(pool, 1, UINT64_MAX, bytes, capacity, &count, &txs, NULL);
    struct body body;
    assert_true(count <= capacity);
    assert_int_equal(body_decode(bytes, count, &body), STATUS_OK);
    assert_int_equal(body.commands.count, txs);
    struct reader r = list_reader(&body.commands);
    for (uint32_t i = 0; i < txs; i++) {
        struct command command;
        command_read(&r, &command);
        senders[i] = command.bytes.at[24];
        nonces[i] = load_u64(command.bytes.at);
    }
    const char *fault = mempool_check(pool);
    if (fault) fail_msg("%s", fault);
    return txs;
}

static void mempool_picks_by_fee_in_nonce_order(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(100);
    assert_int_equal(admit(pool, 1, 0, 50), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 1, 1, 900), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 2, 0, 100), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 3, 0, 50), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 4, 1, 9999), MEMPOOL_ADDED); /* behind a hole */
    uint8_t senders[10];
    uint64_t nonces[10];
    assert_true(mempool_waiting(pool));
    assert_int_equal(pick(pool, 4096, senders, nonces), 4);
    assert_memory_equal(senders, ((uint8_t[]){2, 1, 1, 3}), 4);
    assert_int_equal(nonces[1], 0);
    assert_int_equal(nonces[2], 1);
    /* Held: a second pick finds nothing, a release brings it back. */
    assert_false(mempool_waiting(pool));
    assert_int_equal(pick(pool, 4096, senders, nonces), 0);
    struct mempool_made made;
    mempool_make_tx(&made, 2, 0, 100, 1000, 100);
    mempool_release(pool, made.view.id);
    assert_int_equal(pick(pool, 4096, senders, nonces), 1);
    assert_int_equal(senders[0], 2);
    mempool_close(pool);
}

static void mempool_pick_keeps_its_limits(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(100);
    for (uint8_t s = 0; s < 20; s++) {
        assert_int_equal(admit(pool, s, 0, 100 + s), MEMPOOL_ADDED);
    }
    uint8_t senders[20];
    uint64_t nonces[20];
    assert_int_equal(pick(pool, 4 + 3 * 102 + 101, senders, nonces), 3);
    uint8_t bytes[4096];
    size_t count;
    uint32_t txs;
    mempool_pick(pool, 1, 25, bytes, sizeof bytes, &count, &txs, NULL); /* 10 gas each */
    assert_int_equal(txs, 2);
    mempool_pick(pool, 1, UINT64_MAX, bytes, BODY_EMPTY_BYTES, &count, &txs, NULL);
    assert_int_equal(txs, 0);
    assert_int_equal(count, BODY_EMPTY_BYTES);
    mempool_close(pool);
}

static void mempool_gapped_waits_for_the_missing_nonce(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(100);
    uint8_t senders[20], address[HASH_BYTES];
    uint64_t nonces[20];
    memset(address, 1, sizeof address);
    assert_int_equal(admit(pool, 1, 2, 100), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 1, 64, 100), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 1, 65, 100), MEMPOOL_GAP);
    assert_int_equal(mempool_next_nonce(pool, address, 0), 0);
    assert_int_equal(pick(pool, 4096, senders, nonces), 0);
    assert_int_equal(admit(pool, 1, 0, 100), MEMPOOL_ADDED);
    assert_int_equal(mempool_next_nonce(pool, address, 0), 1);
    assert_int_equal(admit(pool, 1, 1, 100), MEMPOOL_ADDED);
    assert_int_equal(mempool_next_nonce(pool, address, 0), 3);
    assert_int_equal(admit(pool, 1, 65, 100), MEMPOOL_ADDED);
    assert_int_equal(pick(pool, 4096, senders, nonces), 3);
    assert_int_equal(nonces[2], 2);
    mempool_close(pool);
}

static void mempool_replaces_only_for_ten_percent_more(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(100);
    struct mempool_made made;
    struct mempool_verdict verdict;
    assert_int_equal(admit(pool, 1, 0, 1001), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 1, 0, 1001), MEMPOOL_KNOWN);
    mempool_make_tx(&made, 1, 0, 1101, 1000, 100);
    mempool_admit(pool, &made.view, 10, 0, 100000, 1, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_UNDERPRICED);
    assert_int_equal(verdict.required_fee, 1102);
    /* The rate must rise too: more gas for the same bump is not enough. */
    mempool_make_tx(&made, 1, 0, 1102, 1000, 100);
    mempool_admit(pool, &made.view, 20, 0, 100000, 1, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_UNDERPRICED);
    assert_int_equal(verdict.required_fee, 2204);
    mempool_admit(pool, &made.view, 10, 0, 100000, 1, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_ADDED);
    assert_int_equal(drain(pool, MEMPOOL_REASON_REPLACED), 1);
    assert_false(has(pool, 1, 0, 1001));
    uint8_t senders[4];
    uint64_t nonces[4];
    assert_int_equal(pick(pool, 4096, senders, nonces), 1);
    assert_int_equal(admit(pool, 1, 0, 99999), MEMPOOL_IN_BLOCK);
    mempool_close(pool);
}

static void mempool_admission_refuses_in_order(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(3000);
    struct mempool_made made;
    struct mempool_verdict verdict;
    mempool_make_tx(&made, 1, 4, 10, 5, 100);
    mempool_admit(pool, &made.view, 10, 5, 100, 6, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_EXPIRED);
    mempool_admit(pool, &made.view, 10, 5, 100, 5, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_STALE);
    assert_int_equal(verdict.expected_nonce, 5);
    mempool_admit(pool, &made.view, 10, 4, 9, 5, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_UNPAYABLE);
    mempool_admit(pool, &made.view, 10, 4, 10, 5, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_ADDED);
    /* The fees of all pending ones count. */
    mempool_make_tx(&made, 1, 5, 1, 5, 100);
    mempool_admit(pool, &made.view, 10, 4, 10, 5, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_UNPAYABLE);
    for (uint64_t n = 0; n < 1000; n++) {
        mempool_make_tx(&made, 2, n, 1, 5, 100);
        mempool_admit(pool, &made.view, 10, 0, 10000, 5, &verdict);
        assert_int_equal(verdict.answer, MEMPOOL_ADDED);
    }
    mempool_make_tx(&made, 2, 1000, 1, 5, 100);
    mempool_admit(pool, &made.view, 10, 0, 10000, 5, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_SENDER_FULL);
    assert_null(mempool_check(pool));
    mempool_close(pool);
}

static void mempool_expires_what_is_too_old(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(100);
    struct mempool_made made;
    struct mempool_verdict verdict;
    for (uint64_t n = 0; n < 10; n++) {
        mempool_make_tx(&made, 1, n, 100, 10 + n, 100);
        mempool_admit(pool, &made.view, 10, 0, 100000, 1, &verdict);
        assert_int_equal(verdict.answer, MEMPOOL_ADDED);
    }
    mempool_expire(pool, 10);
    assert_int_equal(drain(pool, MEMPOOL_REASON_EXPIRED), 0);
    mempool_expire(pool, 13);
    assert_int_equal(drain(pool, MEMPOOL_REASON_EXPIRED), 3);
    assert_null(mempool_check(pool));
    assert_false(mempool_waiting(pool)); /* the rest is behind a hole now */
    mempool_close(pool);
}

static void mempool_full_pool_gives_way_to_better_ones(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(4);
    struct mempool_made made;
    struct mempool_verdict verdict;
    assert_int_equal(admit(pool, 1, 0, 100), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 1, 1, 500), MEMPOOL_ADDED); /* worth 100: behind a mean one */
    assert_int_equal(admit(pool, 2, 0, 300), MEMPOOL_ADDED);
    assert_int_equal(admit(pool, 3, 5, 9000), MEMPOOL_ADDED); /* gapped */
    mempool_make_tx(&made, 4, 0, 1, 1000, 100);
    mempool_admit(pool, &made.view, 10, 0, 100000, 1, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_ADDED); /* any ready one beats a gapped one */
    assert_false(has(pool, 3, 5, 9000));
    assert_int_equal(admit(pool, 5, 1, 99999), MEMPOOL_FULL); /* a gapped one beats no ready one */
    assert_int_equal(admit(pool, 6, 0, 1), MEMPOOL_FULL);     /* not more than the cheapest */
    assert_int_equal(admit(pool, 6, 0, 2), MEMPOOL_ADDED);
    /* The generous one behind the mean one goes first of its chain, and its fee must be outbid. */
    assert_int_equal(admit(pool, 7, 0, 200), MEMPOOL_ADDED); /* pushes out the 2 */
    mempool_make_tx(&made, 8, 0, 400, 1000, 100);
    mempool_admit(pool, &made.view, 10, 0, 100000, 1, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_FULL);
    assert_int_equal(verdict.required_fee, 500);
    assert_int_equal(admit(pool, 8, 0, 500), MEMPOOL_ADDED);
    assert_false(has(pool, 1, 1, 500));
    assert_true(has(pool, 1, 0, 100));
    assert_int_equal(drain(pool, MEMPOOL_REASON_EVICTED), 4);
    mempool_close(pool);
}

static void mempool_accounts_settle_a_block(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(100);
    struct mempool_made made;
    uint8_t senders[10], address[HASH_BYTES];
    uint64_t nonces[10];
    memset(address, 1, sizeof address);
    for (uint64_t n = 0; n < 4; n++) {
        assert_int_equal(admit(pool, 1, n, 100), MEMPOOL_ADDED);
    }
    assert_int_equal(pick(pool, 4 + 2 * 102, senders, nonces), 2);
    mempool_make_tx(&made, 1, 0, 100, 1000, 100);
    mempool_commit(pool, made.view.id, true);
    mempool_make_tx(&made, 1, 1, 100, 1000, 100);
    mempool_commit(pool, made.view.id, true);
    mempool_account(pool, address, 2, 150);
    assert_null(mempool_check(pool));
    assert_int_equal(drain(pool, MEMPOOL_REASON_INVALID), 1); /* 200 of fees, 150 left */
    assert_true(has(pool, 1, 2, 100));
    /* Another transaction took nonce 2. */
    mempool_account(pool, address, 3, 150);
    assert_int_equal(drain(pool, MEMPOOL_REASON_REPLACED), 1);
    struct mempool_stats stats;
    mempool_stats(pool, &stats);
    assert_int_equal(stats.txs + stats.senders + stats.bytes, 0);
    mempool_close(pool);
}

static void mempool_unpaid_stays_includable(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(100);
    struct mempool_made made;
    uint8_t senders[10], address[HASH_BYTES];
    uint64_t nonces[10];
    memset(address, 1, sizeof address);
    assert_int_equal(admit(pool, 1, 0, 100), MEMPOOL_ADDED);
    assert_int_equal(pick(pool, 4096, senders, nonces), 1);
    mempool_make_tx(&made, 1, 0, 100, 1000, 100);
    mempool_commit(pool, made.view.id, false);
    mempool_account(pool, address, 0, 5000);
    assert_int_equal(pick(pool, 4096, senders, nonces), 1);
    mempool_commit(pool, made.view.id, false);
    mempool_account(pool, address, 0, 50); /* unpayable now */
    assert_int_equal(drain(pool, MEMPOOL_REASON_INVALID), 1);
    mempool_close(pool);
}

static void mempool_ids_of_recovered_blocks_are_known(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(100);
    struct mempool_made made;
    mempool_make_tx(&made, 1, 0, 100, 1000, 100);
    assert_int_equal(mempool_hold(pool, made.view.id), STATUS_OK);
    assert_int_equal(admit(pool, 1, 0, 100), MEMPOOL_KNOWN);
    mempool_release(pool, made.view.id);
    assert_int_equal(admit(pool, 1, 0, 100), MEMPOOL_ADDED);
    uint8_t id[HASH_BYTES] = {0};
    for (uint32_t i = 0; i < MEMPOOL_HELD_MAX; i++) {
        store_u32(id, i);
        assert_int_equal(mempool_hold(pool, id), STATUS_OK);
    }
    store_u32(id, UINT32_MAX);
    assert_int_equal(mempool_hold(pool, id), STATUS_FULL);
    mempool_close(pool);
}

static void mempool_bytes_come_back_as_they_went_in(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(50);
    for (size_t count = 32; count < 600; count += 13) {
        struct mempool_made made;
        struct mempool_verdict verdict;
        mempool_make_tx(&made, (uint8_t)count, 0, count, 1000, count);
        made.bytes[count - 1] = 0x5a;
        mempool_admit(pool, &made.view, 1, 0, 100000, 1, &verdict);
        uint8_t out[600];
        size_t got;
        assert_int_equal(mempool_copy(pool, made.view.id, out, sizeof out, &got), STATUS_OK);
        assert_int_equal(got, count);
        assert_memory_equal(out, made.bytes, count);
        assert_int_equal(mempool_copy(pool, made.view.id, out, count - 1, &got), STATUS_FULL);
    }
    mempool_close(pool);
}

/* ---- a naive model ---- */

static uint64_t model_choose(void *context, uint64_t bound)
{
    (void)context;
    return random_below(bound);
}

static void mempool_agrees_with_a_naive_model(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        random_state = seed;
        struct mempool *pool;
        struct mempool_model model = {.choose = model_choose, .compare_every = 1};
        assert_int_equal(mempool_model_open(&pool), STATUS_OK);
        mempool_model_start(&model, pool);
        for (int i = 0; i < 3000; i++) {
            const char *fault = mempool_model_step(&model);
            if (fault) fail_msg("seed %llu step %d: %s", (unsigned long long)seed, i, fault);
        }
        assert_null(mempool_model_empty(&model));
        mempool_close(pool);
    }
}

/* T21: whatever an attacker sends, ready fees above what he could be charged stay. */
static void mempool_attacker_cannot_push_out_more_than_he_spends(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        random_state = 1000 + seed;
        struct mempool *pool = open_pool(40);
        for (uint8_t s = 0; s < 40; s++) {
            assert_int_equal(admit(pool, s, 0, 1000 + s), MEMPOOL_ADDED);
        }
        /* The attacker: many keys, 999 coins each at most, any nonce, gas and size. */
        for (int i = 0; i < 3000; i++) {
            struct mempool_made made;
            struct mempool_verdict verdict;
            mempool_make_tx(&made, (uint8_t)(100 + random_below(100)), random_below(20),
                            random_below(1000), 1000, 40 + random_below(500));
            mempool_admit(pool, &made.view, 1 + random_below(20), 0, 999, 1, &verdict);
        }
        for (uint8_t s = 0; s < 40; s++) {
            assert_true(has(pool, s, 0, UINT64_C(1000) + s));
        }
        assert_null(mempool_check(pool));
        mempool_close(pool);
    }
}

/* Many small victims for one large newcomer: all go or none. */
static void mempool_eviction_is_all_or_nothing(void **state)
{
    (void)state;
    assert_int_equal(hash_init(), STATUS_OK);
    struct mempool_limits limits = MEMPOOL_LIMITS_DEFAULT;
    limits.txs_max = 2000;
    limits.bytes_max = TX_BYTES_MAX + MEMPOOL_UNIT_BYTES + 1;
    struct mempool *pool;
    assert_int_equal(mempool_open(&pool, &limits), STATUS_OK);
    uint64_t count = 0;
    while (admit(pool, (uint8_t)(count % 200), count / 200, 10) == MEMPOOL_ADDED) {
        count++;
    }
    static uint8_t big[60000];
    struct mempool_made made;
    struct mempool_verdict verdict;
    mempool_make_tx(&made, 250, 0, 1000, 1000, 100);
    made.view.bytes = (struct bytes){big, sizeof big};
    mempool_admit(pool, &made.view, 10, 0, 1000000, 1, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_FULL);
    struct mempool_stats stats;
    mempool_stats(pool, &stats);
    assert_int_equal(stats.txs, count);
    assert_int_equal(stats.evicted_total, 0);
    assert_null(mempool_check(pool));
    mempool_make_tx(&made, 250, 0, 100000, 1000, 100);
    made.view.bytes = (struct bytes){big, sizeof big};
    mempool_admit(pool, &made.view, 10, 0, 1000000, 1, &verdict);
    assert_int_equal(verdict.answer, MEMPOOL_ADDED);
    mempool_stats(pool, &stats);
    assert_true(stats.evicted_total > 400);
    assert_null(mempool_check(pool));
    mempool_close(pool);
}

static void the_front_of_an_id_finds_its_transaction(void **state)
{
    (void)state;
    struct mempool *pool = open_pool(64);
    for (uint8_t sender = 0; sender < 40; sender++) {
        assert_int_equal(admit(pool, sender, 0, 1000), MEMPOOL_ADDED);
        assert_int_equal(mempool_arrivals(pool), sender + 1);
    }
    for (uint8_t sender = 0; sender < 41; sender++) {
        struct mempool_made made;
        uint8_t prefix[MEMPOOL_PREFIX_BYTES], bytes[600];
        size_t count = 0;
        mempool_make_tx(&made, sender, 0, 1000, 1000, 100);
        memcpy(prefix, made.view.id, sizeof prefix);
        bool known = sender < 40;
        assert_int_equal(mempool_copy_prefix(pool, prefix, bytes, sizeof bytes, &count),
                         known ? STATUS_OK : STATUS_NOT_FOUND);
        assert_int_equal(mempool_arrival(pool, prefix), known ? sender : UINT64_MAX);
        if (!known) continue;
        assert_int_equal(count, made.view.bytes.count);
        assert_memory_equal(bytes, made.view.bytes.at, count);
        assert_int_equal(mempool_copy_prefix(pool, prefix, bytes, count - 1, &count), STATUS_FULL);
        prefix[MEMPOOL_PREFIX_BYTES - 1] ^= 1;
        assert_int_equal(mempool_copy_prefix(pool, prefix, bytes, sizeof bytes, &count),
                         STATUS_NOT_FOUND);
    }
    mempool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mempool_picks_by_fee_in_nonce_order),
        cmocka_unit_test(mempool_pick_keeps_its_limits),
        cmocka_unit_test(mempool_gapped_waits_for_the_missing_nonce),
        cmocka_unit_test(mempool_replaces_only_for_ten_percent_more),
        cmocka_unit_test(mempool_admission_refuses_in_order),
        cmocka_unit_test(mempool_expires_what_is_too_old),
        cmocka_unit_test(mempool_full_pool_gives_way_to_better_ones),
        cmocka_unit_test(mempool_accounts_settle_a_block),
        cmocka_unit_test(mempool_unpaid_stays_includable),
        cmocka_unit_test(mempool_ids_of_recovered_blocks_are_known),
        cmocka_unit_test(mempool_bytes_come_back_as_they_went_in),
        cmocka_unit_test(mempool_agrees_with_a_naive_model),
        cmocka_unit_test(mempool_attacker_cannot_push_out_more_than_he_spends),
        cmocka_unit_test(mempool_eviction_is_all_or_nothing),
        cmocka_unit_test(the_front_of_an_id_finds_its_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
