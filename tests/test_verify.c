/* The verify pool: every job gets one right verdict, whatever the threads do. */
#include <pthread.h>
#include <stdlib.h>

#include "apply/operation.h"
#include "log/signature.h"
#include "replica/verify.h"
#include "tests/support_cmocka.h"

#define TXS 300

static const uint8_t GENESIS[HASH_BYTES] = {0xcd};

struct signed_tx {
    uint8_t bytes[8192];
    size_t count;
};

/* A transfer signed by key `signer`; a memo makes it long. */
static void make_tx(struct signed_tx *made, uint8_t signer, uint64_t nonce, uint32_t operations)
{
    uint8_t seed[32] = {signer, 1}, secret[64], key[32], content[8000], message[8100];
    uint8_t transfer_bytes[transfer_bytes_max], list[7900];
    size_t count, transfer_count;
    signature_keypair(seed, secret, key);
    struct transfer transfer = {.amount = 1 + nonce};
    memset(transfer.to, 0x55, sizeof transfer.to);
    assert_int_equal(
        transfer_encode(&transfer, transfer_bytes, sizeof transfer_bytes, &transfer_count),
        STATUS_OK);
    struct writer w = writer_of(list, sizeof list);
    for (uint32_t i = 0; i < operations; i++) {
        struct operation operation = {OPERATION_TRANSFER, {transfer_bytes, transfer_count}};
        operation_write(&w, &operation);
    }
    struct tx tx = {
        .content = {
            .version = TX_VERSION,
            .chain_tag = load_u32(GENESIS),
            .authority = {.scheme = TX_SCHEME_ED25519, .threshold = 1, .keys = {key, 32, 1}},
            .nonce = nonce,
            .fee = 1000,
            .valid_until = 100,
            .operations = {list, writer_bytes(&w), operations}}};
    assert_int_equal(tx_content_encode(&tx.content, content, sizeof content, &count), STATUS_OK);
    assert_int_equal(
        tx_signed_bytes((struct bytes){content, count}, GENESIS, message, sizeof message, &count),
        STATUS_OK);
    struct tx_signature signature = {0};
    uint8_t signature_bytes[tx_signature_bytes_max];
    signature_make(secret, message, count, signature.signature);
    assert_int_equal(
        tx_signature_encode(&signature, signature_bytes, sizeof signature_bytes, &count),
        STATUS_OK);
    tx.signatures = (struct list){signature_bytes, count, 1};
    assert_int_equal(tx_encode(&tx, made->bytes, sizeof made->bytes, &made->count), STATUS_OK);
}

struct bell {
    pthread_mutex_t mutex;
    pthread_cond_t rung;
    uint64_t count;
};

static void bell_ring(void *context)
{
    struct bell *bell = context;
    pthread_mutex_lock(&bell->mutex);
    bell->count++;
    pthread_cond_signal(&bell->rung);
    pthread_mutex_unlock(&bell->mutex);
}

static struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static struct verify_pool *open_pool(unsigned threads, uint32_t jobs_max, uint32_t cache_max)
{
    assert_int_equal(hash_init(), STATUS_OK);
    struct verify_options options = {.threads = threads,
                                     .jobs_max = jobs_max,
                                     .bytes_max = 4 * TX_BYTES_MAX,
                                     .cache_max = cache_max,
                                     .wake = bell_ring,
                                     .wake_context = &bell};
    memcpy(options.genesis_id, GENESIS, HASH_BYTES);
    struct verify_pool *pool;
    assert_int_equal(verify_open(&pool, &options), STATUS_OK);
    return pool;
}

/* Waits for the bell until `count` verdicts are taken; each is handed to `each` and released. */
static void take_all(struct verify_pool *pool, size_t count,
                     void (*each)(const struct verify_verdict *verdict))
{
    while (count > 0) {
        struct verify_verdict verdicts[7];
        pthread_mutex_lock(&bell.mutex);
        uint64_t seen = bell.count;
        pthread_mutex_unlock(&bell.mutex);
        size_t got = verify_take(pool, verdicts, 7);
        for (size_t i = 0; i < got; i++) {
            each(&verdicts[i]);
            verify_release(pool, &verdicts[i]);
        }
        assert_true(got <= count);
        count -= got;
        pthread_mutex_lock(&bell.mutex);
        while (got == 0 && bell.count == seen) {
            pthread_cond_wait(&bell.rung, &bell.mutex);
        }
        pthread_mutex_unlock(&bell.mutex);
    }
}

static struct signed_tx made[TXS];
static unsigned answered[TXS];

/* Every third has a broken signature, every fifth does not decode. */
static void expect_verdict(const struct verify_verdict *verdict)
{
    uint64_t i = verdict->tag;
    assert_true(i < TXS);
    answered[i]++;
    if (i % 5 == 0) {
        assert_int_equal(verdict->status, STATUS_TRAILING);
        assert_false(verdict->opened);
    } else if (i % 3 == 0) {
        assert_int_equal(verdict->status, STATUS_BAD_SIGNATURE);
        assert_true(verdict->opened);
    } else {
        assert_int_equal(verdict->status, STATUS_OK);
        assert_int_equal(verdict->view.tx.content.nonce, i);
        assert_int_equal(verdict->view.bytes.count, made[i].count);
        assert_memory_equal(verdict->view.bytes.at, made[i].bytes, made[i].count);
    }
}

static void verify_answers_each_job_once(void **state)
{
    (void)state;
    struct verify_pool *pool = open_pool(3, TXS, 0);
    struct bytes txs[TXS];
    uint64_t tags[TXS];
    memset(answered, 0, sizeof answered);
    for (uint64_t i = 0; i < TXS; i++) {
        make_tx(&made[i], (uint8_t)(i % 11), i, 1);
        if (i % 5 == 0)
            made[i].count++;
        else if (i % 3 == 0)
            made[i].bytes[made[i].count - 40] ^= 1;
        txs[i] = (struct bytes){made[i].bytes, made[i].count};
        tags[i] = i;
    }
    for (size_t i = 0; i < TXS; i += 50) {
        assert_int_equal(verify_submit(pool, txs + i, tags + i, 50), STATUS_OK);
    }
    take_all(pool, TXS, expect_verdict);
    for (uint64_t i = 0; i < TXS; i++) {
        assert_int_equal(answered[i], 1);
    }
    struct verify_stats stats;
    verify_stats(pool, &stats);
    assert_int_equal(stats.pending, 0);
    assert_int_equal(stats.jobs_total, TXS);
    assert_int_equal(stats.good_total + stats.bad_total, TXS);
    verify_close(pool);
}

static bool want_cached;

static void expect_cached(const struct verify_verdict *verdict)
{
    assert_int_equal(verdict->status, STATUS_OK);
    assert_int_equal(verdict->cached, want_cached);
}

static void expect_bad(const struct verify_verdict *verdict)
{
    assert_int_equal(verdict->status, STATUS_BAD_SIGNATURE);
}

static void verify_checks_the_same_bytes_once(void **state)
{
    (void)state;
    struct verify_pool *pool = open_pool(1, 10, 64);
    struct signed_tx tx;
    uint64_t tag = 0;
    make_tx(&tx, 1, 7, 1);
    struct bytes bytes = {tx.bytes, tx.count};
    want_cached = false;
    assert_int_equal(verify_submit(pool, &bytes, &tag, 1), STATUS_OK);
    take_all(pool, 1, expect_cached);
    want_cached = true;
    assert_int_equal(verify_submit(pool, &bytes, &tag, 1), STATUS_OK);
    take_all(pool, 1, expect_cached);
    struct tx_view view;
    assert_int_equal(tx_open(tx.bytes, tx.count, &view), STATUS_OK);
    assert_true(verify_known(pool, view.id));
    /* The same content under another signature is another id, and a bad one is never remembered. */
    tx.bytes[tx.count - 1] ^= 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(verify_submit(pool, &bytes, &tag, 1), STATUS_OK);
        take_all(pool, 1, expect_bad);
    }
    assert_int_equal(tx_open(tx.bytes, tx.count, &view), STATUS_OK);
    assert_false(verify_known(pool, view.id));
    /* The cache forgets, it does not grow. */
    for (uint64_t i = 0; i < 200; i++) {
        make_tx(&tx, 2, i, 1);
        bytes.count = tx.count;
        want_cached = false;
        assert_int_equal(verify_submit(pool, &bytes, &tag, 1), STATUS_OK);
        take_all(pool, 1, expect_cached);
    }
    verify_close(pool);
}

static void ignore_verdict(const struct verify_verdict *verdict)
{
    (void)verdict;
}

static void verify_takes_all_of_a_batch_or_nothing(void **state)
{
    (void)state;
    struct verify_pool *pool = open_pool(2, 8, 0);
    static struct signed_tx tx;
    uint64_t tags[9] = {0};
    struct bytes txs[9];
    make_tx(&tx, 1, 7, 1);
    for (int i = 0; i < 9; i++) {
        txs[i] = (struct bytes){tx.bytes, tx.count};
    }
    assert_int_equal(verify_submit(pool, txs, tags, 9), STATUS_BUSY);
    assert_int_equal(verify_submit(pool, txs, tags, 8), STATUS_OK);
    assert_int_equal(verify_submit(pool, txs, tags, 1), STATUS_BUSY);
    take_all(pool, 8, ignore_verdict);
    assert_int_equal(verify_submit(pool, txs, tags, 8), STATUS_OK);
    take_all(pool, 8, ignore_verdict);
    /* Four large buffers. */
    make_tx(&tx, 1, 7, 60);
    for (int i = 0; i < 9; i++) {
        txs[i].count = tx.count;
    }
    assert_true(tx.count > VERIFY_SMALL_BYTES);
    assert_int_equal(verify_submit(pool, txs, tags, 5), STATUS_BUSY);
    assert_int_equal(verify_submit(pool, txs, tags, 4), STATUS_OK);
    want_cached = false;
    take_all(pool, 4, expect_cached);
    txs[1].count = TX_BYTES_MAX + 1;
    assert_int_equal(verify_submit(pool, txs, tags, 2), STATUS_RANGE);
    txs[1].count = 0;
    assert_int_equal(verify_submit(pool, txs, tags, 2), STATUS_RANGE);
    verify_close(pool);
}

static void verify_close_drops_what_waits(void **state)
{
    (void)state;
    struct verify_pool *pool = open_pool(2, 200, 0);
    static struct signed_tx tx;
    make_tx(&tx, 1, 7, 1);
    struct bytes bytes = {tx.bytes, tx.count};
    uint64_t tag = 0;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(verify_submit(pool, &bytes, &tag, 1), STATUS_OK);
    }
    verify_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verify_answers_each_job_once),
        cmocka_unit_test(verify_checks_the_same_bytes_once),
        cmocka_unit_test(verify_takes_all_of_a_batch_or_nothing),
        cmocka_unit_test(verify_close_drops_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
