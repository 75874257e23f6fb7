/* Evidence and late votes on their way into a block, what a voter asks, and what an audit sees. */
#include <stdio.h>
#include <stdlib.h>

#include "log/chain.h"
#include "log/head.h"
#include "replica/system.h"
#include "tests/support_certified.h"
#include "tools/audit.h"

#define OK(call) assert_int_equal(call, STATUS_OK)

static struct certified_chain chain;

/* Four signers are the set of epoch 1, which runs. */
static int setup(void **state)
{
    (void)state;
    certified_open(&chain);
    for (uint32_t i = 0; i < 4; i++) {
        fold_add_set_power(&chain.fold, &chain.fold.keys[0], i, chain.pool.set.key[i], 10);
    }
    fold_add_set_power(&chain.fold, &chain.fold.keys[0], 4, chain.fold.validator.key, 0);
    while (chain.epoch.number == 0) {
        certified_next(&chain);
    }
    chain.absent = 8;
    certified_next(&chain);
    certified_next(&chain);
    assert_int_equal(chain.epoch.set.count, 4);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    certified_close(&chain);
    return 0;
}

static struct evidence evidence_of(uint64_t round, uint16_t offender)
{
    struct evidence e = {.kind = EVIDENCE_VOTES,
                         .epoch = 1,
                         .round = round,
                         .offender = offender,
                         .has_vote = true,
                         .has_vote_again = true,
                         .vote = {.epoch = 1, .round = round, .height = 7, .block_id = {1}},
                         .vote_again = {.epoch = 1, .round = round, .height = 7, .block_id = {2}}};
    sign_vote(&chain.pool, chain.fold.genesis_id, &e.vote, offender);
    sign_vote(&chain.pool, chain.fold.genesis_id, &e.vote_again, offender);
    return e;
}

/* The vote that the newest certificate lacks. */
static struct vote late_vote(void)
{
    struct vote vote;
    vote_for(&chain.point, &vote);
    sign_vote(&chain.pool, chain.fold.genesis_id, &vote, 3);
    return vote;
}

/* A body with these records. */
struct records {
    uint8_t bytes[64 * 1024];
    struct writer w;
    struct list list;
};

static void records_start(struct records *records)
{
    records->w = writer_of(records->bytes, sizeof records->bytes);
    records->list = (struct list){.at = records->bytes};
}

static void records_add(struct records *records, uint16_t kind, const uint8_t *body, size_t count)
{
    struct system_record record = {.kind = kind, .body = {body, count}};
    system_record_write(&records->w, &record);
    OK(records->w.status);
    records->list.bytes = writer_bytes(&records->w);
    records->list.count++;
}

static void records_add_evidence(struct records *records, const struct evidence *evidence)
{
    uint8_t bytes[evidence_bytes_max];
    size_t count;
    OK(evidence_encode(evidence, bytes, sizeof bytes, &count));
    records_add(records, SYSTEM_EVIDENCE, bytes, count);
}

static void records_add_vote(struct records *records, const struct vote *vote)
{
    uint8_t bytes[vote_bytes_max];
    size_t count;
    OK(vote_encode(vote, bytes, sizeof bytes, &count));
    records_add(records, SYSTEM_LATE_VOTE, bytes, count);
}

static enum status check(const struct records *records)
{
    struct system_item items[SYSTEM_RECORDS_MAX];
    uint32_t count;
    enum status status =
        system_check(chain.fold.ledger, chain.epoch.number, &records->list, items, &count);
    assert_int_equal(count, status == STATUS_OK ? records->list.count : 0);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = system_verify(&items[i], chain.fold.genesis_id);
    }
    return status;
}

/* ---- what a voter asks ---- */

static void voters_take_good_records_up_to_the_bounds(void **state)
{
    (void)state;
    static struct records records;
    struct vote vote = late_vote();
    records_start(&records);
    OK(check(&records));
    for (uint64_t i = 0; i < SYSTEM_EVIDENCE_MAX; i++) {
        struct evidence e = evidence_of(1 + i, (uint16_t)(i % 4));
        records_add_evidence(&records, &e);
    }
    OK(check(&records));
    for (size_t i = 0; i < SYSTEM_LATE_VOTES_MAX; i++) {
        records_add_vote(&records, &vote);
    }
    OK(check(&records));

    records_start(&records);
    for (size_t i = 0; i < SYSTEM_LATE_VOTES_MAX + 1; i++) {
        records_add_vote(&records, &vote);
    }
    assert_int_equal(check(&records), STATUS_BAD_PROOF);
    records_start(&records);
    struct evidence e = evidence_of(1, 1);
    for (size_t i = 0; i < SYSTEM_EVIDENCE_MAX + 1; i++) {
        records_add_evidence(&records, &e);
    }
    assert_int_equal(check(&records), STATUS_BAD_PROOF);
}

static void voters_refuse_each_bad_record(void **state)
{
    (void)state;
    static struct records records;
    struct vote vote = late_vote();
    records_start(&records);
    records_add(&records, 3, (const uint8_t *)"unknown", 7);
    assert_int_equal(check(&records), STATUS_BAD_PROOF);
#define REFUSED_VOTE(change, answer)                                                               \
    do {                                                                                           \
        vote = late_vote();                                                                        \
        change;                                                                                    \
        records_start(&records);                                                                   \
        records_add_vote(&records, &vote);                                                         \
        assert_int_equal(check(&records), answer);                                                 \
    } while (0)
    REFUSED_VOTE((void)0, STATUS_OK);
    REFUSED_VOTE(vote.epoch = 0, STATUS_BAD_PROOF);
    REFUSED_VOTE(vote.epoch = 2, STATUS_BAD_PROOF);
    REFUSED_VOTE(vote.voter = 4, STATUS_BAD_PROOF);
    REFUSED_VOTE(vote.voter = 2, STATUS_BAD_SIGNATURE);
    REFUSED_VOTE(vote.height++, STATUS_BAD_SIGNATURE);
    REFUSED_VOTE(vote.signature[0] ^= 1, STATUS_BAD_SIGNATURE);
    struct evidence e;
#define REFUSED_EVIDENCE(change, answer)                                                           \
    do {                                                                                           \
        e = evidence_of(5, 2);                                                                     \
        change;                                                                                    \
        records_start(&records);                                                                   \
        records_add_evidence(&records, &e);                                                        \
        assert_int_equal(check(&records), answer);                                                 \
    } while (0)
    REFUSED_EVIDENCE((void)0, STATUS_OK);
    REFUSED_EVIDENCE(e.vote_again = e.vote, STATUS_BAD_PROOF);
    REFUSED_EVIDENCE(e.offender = e.vote.voter = e.vote_again.voter = 4, STATUS_BAD_PROOF);
    REFUSED_EVIDENCE(e.offender = e.vote.voter = e.vote_again.voter = 1, STATUS_BAD_SIGNATURE);
    REFUSED_EVIDENCE(e.vote.signature[0] ^= 1, STATUS_BAD_SIGNATURE);
    REFUSED_EVIDENCE(e.epoch = e.vote.epoch = e.vote_again.epoch = 2, STATUS_BAD_PROOF);
    REFUSED_EVIDENCE(e.epoch = e.vote.epoch = e.vote_again.epoch = 0, STATUS_BAD_PROOF);
    records_start(&records);
    records_add(&records, SYSTEM_EVIDENCE, (const uint8_t *)"no evidence", 11);
    assert_int_equal(check(&records), STATUS_BAD_PROOF);
    records_start(&records);
    records_add(&records, SYSTEM_LATE_VOTE, (const uint8_t *)"no vote", 7);
    assert_int_equal(check(&records), STATUS_BAD_PROOF);
}

static void voters_take_evidence_within_its_window_of_epochs(void **state)
{
    (void)state;
    static struct records records;
    struct system_item items[SYSTEM_RECORDS_MAX];
    uint32_t count;
    struct evidence e = evidence_of(5, 2);
    records_start(&records);
    records_add_evidence(&records, &e);
    OK(system_check(chain.fold.ledger, 15, &records.list, items, &count)); /* 14 epochs later */
    assert_int_equal(system_check(chain.fold.ledger, 16, &records.list, items, &count),
                     STATUS_BAD_PROOF);
}

/* ---- what a proposer does ---- */

static void a_batch_stops_at_its_bounds(void **state)
{
    (void)state;
    static struct system_batch batch;
    struct vote vote = late_vote();
    struct evidence e = evidence_of(5, 2);
    system_batch_init(&batch, SYSTEM_BYTES_MAX);
    for (uint32_t i = 0; i < 2 * SYSTEM_RECORDS_MAX; i++) {
        assert_int_equal(system_batch_add_evidence(&batch, &e), i < SYSTEM_EVIDENCE_MAX);
        assert_int_equal(system_batch_add_late_vote(&batch, &vote), i < SYSTEM_LATE_VOTES_MAX);
    }
    size_t vote_bytes = batch.late_vote_bytes / SYSTEM_LATE_VOTES_MAX;
    system_batch_init(&batch, 2 * vote_bytes + 1);
    assert_true(system_batch_add_late_vote(&batch, &vote));
    assert_true(system_batch_add_late_vote(&batch, &vote));
    assert_false(system_batch_add_late_vote(&batch, &vote));
    assert_false(system_batch_add_evidence(&batch, &e));
    assert_int_equal(system_batch_bytes(&batch), 2 * vote_bytes);
}

static void a_body_with_system_is_canonical_and_gets_votes(void **state)
{
    (void)state;
    static struct system_batch batch;
    static uint8_t plain[BODY_EMPTY_BYTES + 100], out[SYSTEM_BYTES_MAX + sizeof plain];
    struct vote vote = late_vote();
    struct evidence e = evidence_of(5, 2);
    struct body body = {.commands = {(const uint8_t *)"\3\0abc\2\0de", 9, 2}};
    struct system_item items[SYSTEM_RECORDS_MAX];
    size_t plain_count, count;
    uint32_t item_count;
    OK(body_encode(&body, plain, sizeof plain, &plain_count));
    system_batch_init(&batch, SYSTEM_BYTES_MAX);
    assert_true(system_batch_add_late_vote(&batch, &vote));
    assert_true(system_batch_add_evidence(&batch, &e));
    OK(body_with_system(&batch, (struct bytes){plain, plain_count}, out, sizeof out, &count));
    assert_int_equal(count, plain_count + system_batch_bytes(&batch));
    struct body read;
    OK(body_decode(out, count, &read));
    assert_int_equal(read.system.count, 2);
    assert_int_equal(read.commands.count, 2);
    assert_int_equal(read.commands.bytes, 9);
    assert_memory_equal(read.commands.at, body.commands.at, 9);
    OK(system_check(chain.fold.ledger, 1, &read.system, items, &item_count));
    assert_int_equal(items[0].kind, SYSTEM_EVIDENCE); /* first */
    assert_int_equal(items[1].kind, SYSTEM_LATE_VOTE);
    size_t exactly = count;
    OK(body_with_system(&batch, (struct bytes){plain, plain_count}, out, exactly, &count));
    assert_int_equal(
        body_with_system(&batch, (struct bytes){plain, plain_count}, out, exactly - 1, &count),
        STATUS_FULL);
}

static void late_votes_alone_do_not_fill_an_empty_body(void **state)
{
    (void)state;
    static struct system_batch batch;
    static uint8_t out[SYSTEM_BYTES_MAX + BODY_EMPTY_BYTES];
    static const uint8_t EMPTY[BODY_EMPTY_BYTES] = {0};
    struct vote vote = late_vote();
    struct evidence e = evidence_of(5, 2);
    struct body read;
    size_t count;
    system_batch_init(&batch, SYSTEM_BYTES_MAX);
    assert_true(system_batch_add_late_vote(&batch, &vote));
    OK(body_with_system(&batch, (struct bytes){EMPTY, sizeof EMPTY}, out, sizeof out, &count));
    assert_int_equal(count, BODY_EMPTY_BYTES);
    OK(body_decode(out, count, &read));
    assert_true(system_batch_add_evidence(&batch, &e));
    OK(body_with_system(&batch, (struct bytes){EMPTY, sizeof EMPTY}, out, sizeof out, &count));
    OK(body_decode(out, count, &read));
    assert_int_equal(read.system.count, 2);
}

static void a_certificate_knows_whom_it_omits(void **state)
{
    (void)state;
    struct vote vote = late_vote();
    assert_true(qc_omits(&chain.qc.qc, &vote));
    vote.voter = 2;
    assert_false(qc_omits(&chain.qc.qc, &vote));
    vote.voter = 9; /* beyond its bits */
    assert_false(qc_omits(&chain.qc.qc, &vote));
    vote.voter = 3;
    vote.commit_height++;
    assert_false(qc_omits(&chain.qc.qc, &vote));
}

static void evidence_waits_until_the_state_has_it(void **state)
{
    (void)state;
    static struct evidence_pool pool;
    static struct system_batch batch;
    memset(&pool, 0, sizeof pool);
    for (uint64_t i = 0; i < EVIDENCE_POOL_MAX; i++) {
        struct evidence e = evidence_of(40 + i, (uint16_t)(i % 4));
        assert_true(evidence_pool_add(&pool, &e));
        assert_false(evidence_pool_add(&pool, &e));
    }
    struct evidence more = evidence_of(39, 0);
    assert_false(evidence_pool_add(&pool, &more));
    pool.at[1].vote.signature[3] ^= 1; /* never taken */
    system_batch_init(&batch, SYSTEM_BYTES_MAX);
    evidence_pool_pick(&pool, chain.fold.ledger, &batch);
    assert_int_equal(pool.count, EVIDENCE_POOL_MAX - 1);
    assert_int_equal(batch.evidence_count, SYSTEM_EVIDENCE_MAX);
    assert_true(evidence_pool_add(&pool, &more));

    uint8_t out[SYSTEM_BYTES_MAX + BODY_EMPTY_BYTES];
    static const uint8_t EMPTY[BODY_EMPTY_BYTES] = {0};
    struct body body;
    size_t count;
    OK(body_with_system(&batch, (struct bytes){EMPTY, sizeof EMPTY}, out, sizeof out, &count));
    OK(body_decode(out, count, &body));
    memcpy(chain.fold.system, body.system.at, body.system.bytes);
    chain.fold.system_bytes = body.system.bytes;
    chain.fold.system_count = body.system.count;
    certified_next(&chain);
    system_batch_init(&batch, SYSTEM_BYTES_MAX);
    evidence_pool_pick(&pool, chain.fold.ledger, &batch);
    assert_int_equal(pool.count, EVIDENCE_POOL_MAX - SYSTEM_EVIDENCE_MAX);
}

/* ---- what an audit sees ---- */

/* audit writes the whole chain to disk, as a node would, and audits it. */
static void audit(struct audit_report *report)
{
    char directory[64] = "/tmp/cairn-system-XXXXXX", dir[80], command[128];
    struct io io;
    struct chain *log;
    struct chain_opened opened;
    struct ledger *ledger;
    struct ledger_result result;
    struct ledger_options plain = {.view_bytes_max = 0};
    struct block_events events;
    assert_non_null(mkdtemp(directory));
    snprintf(dir, sizeof dir, "%s/log", directory);
    OK(io_posix_init(&io, 4));
    OK(chain_open(&log, &io, dir, chain.fold.genesis_id, NULL, &opened));
    OK(ledger_open(&ledger, &chain.fold.genesis, &plain));
    struct bytes first = ledger_genesis_events(ledger);
    OK(block_events_decode(first.at, first.count, &events));
    OK(chain_append_side(log, SEGMENT_EVENTS, 0, chain.fold.genesis_id, first,
                         events.events.count));
    for (uint64_t h = 1; h <= chain.fold.height; h++) {
        struct block block;
        uint8_t id[HASH_BYTES];
        OK(block_open(chain.at[h].bytes, chain.at[h].count, &block, id));
        OK(chain_append(log, (struct bytes){chain.at[h].bytes, chain.at[h].count}, id,
                        chain.fold.params.segment_bytes));
        OK(ledger_apply(ledger, &block, id, chain.at[h].count, &result));
        OK(chain_append_side(log, SEGMENT_RECEIPTS, h, id, result.receipts, result.tx_count + 1));
        OK(chain_append_side(log, SEGMENT_EVENTS, h, id, result.events, result.event_count));
        OK(chain_settle(log));
    }
    ledger_close(ledger);
    struct head_writer *head;
    struct log_mark mark;
    OK(head_open(&head, &io, dir, chain.fold.genesis_id));
    assert_true(chain_durable_mark(log, &mark));
    head_set(head, &mark, mark.height, chain.at[mark.height].root);
    OK(head_settle(head));
    head_close(head);
    chain_close(log);
    struct audit_options options = {.io = &io,
                                    .log_dir = dir,
                                    .genesis = {chain.fold.genesis_bytes, chain.fold.genesis_count},
                                    .to = UINT64_MAX,
                                    .threads = 1};
    OK(audit_run(&options, report, NULL));
    io_deinit(&io);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

static void an_audit_verifies_evidence_and_late_votes(void **state)
{
    (void)state;
    struct audit_report report, before;
    audit(&before);
    assert_string_equal(before.fault, "");
    assert_int_equal(before.heights, chain.fold.height);
    struct evidence e = evidence_of(200, 1);
    uint8_t bytes[evidence_bytes_max];
    size_t count;
    OK(evidence_encode(&e, bytes, sizeof bytes, &count));
    fold_add_system(&chain.fold, SYSTEM_EVIDENCE, bytes, count);
    certified_next(&chain);
    audit(&report);
    assert_string_equal(report.fault, "");
    assert_true(report.signatures > before.signatures + 2);
}

/* The last one: it spoils the chain. */
static void an_audit_names_a_forged_late_vote(void **state)
{
    (void)state;
    struct audit_report report;
    uint8_t bytes[vote_bytes_max];
    size_t count;
    struct vote vote = late_vote();
    vote.epoch = chain.epoch.number;
    vote.signature[7] ^= 1;
    OK(vote_encode(&vote, bytes, sizeof bytes, &count));
    fold_add_system(&chain.fold, SYSTEM_LATE_VOTE, bytes, count);
    certified_next(&chain);
    audit(&report);
    assert_int_equal(report.violations, 1);
    assert_int_equal(report.fault_height, chain.fold.height);
    assert_non_null(strstr(report.fault, "system record 0"));
    fold_add_system(&chain.fold, 77, bytes, count);
    certified_next(&chain);
    audit(&report);
    assert_int_equal(report.violations, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(voters_take_good_records_up_to_the_bounds),
        cmocka_unit_test(voters_refuse_each_bad_record),
        cmocka_unit_test(voters_take_evidence_within_its_window_of_epochs),
        cmocka_unit_test(a_batch_stops_at_its_bounds),
        cmocka_unit_test(a_body_with_system_is_canonical_and_gets_votes),
        cmocka_unit_test(late_votes_alone_do_not_fill_an_empty_body),
        cmocka_unit_test(a_certificate_knows_whom_it_omits),
        cmocka_unit_test(evidence_waits_until_the_state_has_it),
        cmocka_unit_test(an_audit_verifies_evidence_and_late_votes),
        cmocka_unit_test(an_audit_names_a_forged_late_vote),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
