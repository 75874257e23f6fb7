/* Stored bytes that are wrong behind checksums that fit: a node refuses them or comes to the state that
 * it would have come to without, the audit names what the node does not read, and no record of a
 * journal that is whole makes it abort.
 */
#include <stdio.h>
#include <stdlib.h>

#include "log/journal.h"
#include "log/trace.h"
#include "tests/support_clock.h"
#include "tests/support_crash.h"
#include "tests/support_damage.h"
#include "tests/support_node.h"
#include "tests/support_random.h"
#include "tools/audit.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define TXS              (UINT64_C(240)) /* segments roll */
#define YOUNG_OPERATIONS 200
#define RECORDS_MAX      512
#define VALIDATOR        SN_HOME "/validator"
#define TIME_AT          102 /* of time_us in a header */
#define JOURNAL_SPACE    (UINT64_C(64) << 20)

static struct sn_world world;

/* A node that was stopped, and what it had come to. */
static struct base {
    struct disk *disk;
    struct sn_witness witness;
    struct sn_life life; /* after sn_close: its numbers */
    uint64_t clock_us;
    uint64_t segments;
} base, young;

static void base_make(struct base *out, uint64_t txs)
{
    struct sn_script script = {.end_tx = txs, .batch = 4, .pause = 1, .total_txs = txs};
    disk_clone(world.fresh, &out->disk);
    sn_open(&out->life, &world, out->disk, &out->witness);
    OK(out->life.status);
    sn_run(&out->life, &script);
    OK(out->life.status);
    sn_close(&out->life);
    out->segments = out->life.segments;
    out->clock_us = sn_now_us();
}

/* A node that lost its power: the journal holds blocks that the chain log has, and newer ones. */
static void young_make(void)
{
    struct disk *disk, *copy;
    struct sn_script script = {.end_tx = TXS, .batch = 4, .pause = 1, .total_txs = TXS};
    disk_clone(world.fresh, &disk);
    sn_open(&young.life, &world, disk, &young.witness);
    OK(young.life.status);
    disk_crash_at(disk, YOUNG_OPERATIONS);
    sn_run(&young.life, &script);
    sn_close(&young.life);
    assert_true(disk_crashed(disk));
    disk_crash_image(disk, DISK_CHOICE_ALL, &young.disk);
    disk_close(disk);
    young.clock_us = sn_now_us();
    disk_clone(young.disk, &copy);
    sn_open(&young.life, &world, copy, &young.witness);
    OK(young.life.status);
    sn_close(&young.life);
    disk_close(copy);
}

static struct {
    uint64_t cases, refused, same;
} count;

static void report(const char *what)
{
    print_message("%s: %llu cases, %llu refused, %llu the same state\n", what,
                  (unsigned long long)count.cases, (unsigned long long)count.refused,
                  (unsigned long long)count.same);
    memset(&count, 0, sizeof count);
}

/* check_start: the node starts with the state and the blocks that it had, or does not start. */
static void check_start(struct disk *disk, const char *what, void *context)
{
    const struct base *before = context;
    struct sn_life life;
    struct sn_witness witness = before->witness;
    sn_clock_set(before->clock_us);
    count.cases++;
    sn_open(&life, &world, disk, &witness);
    if (life.status != STATUS_OK) {
        assert_true(life.why[0] != 0);
        count.refused++;
        return;
    }
    bool same = life.height == before->life.height && life.tx_total == before->life.tx_total &&
                memcmp(life.id, before->life.id, HASH_BYTES) == 0 &&
                memcmp(life.root, before->life.root, HASH_BYTES) == 0;
    sn_close(&life);
    if (!same) fail_msg("%s: started with another state", what);
    sn_check_chain(&world, disk, &before->witness);
    count.same++;
}

/* ---- the chain log ---- */

static void segment_path(enum segment_kind kind, uint64_t number, char path[IO_PATH_MAX])
{
    char name[SEGMENT_NAME_MAX];
    segment_name(kind, number, name);
    (void)snprintf(path, IO_PATH_MAX, SN_LOG "/%s", name);
}

static void node_folds_no_block_that_was_altered(void **state)
{
    (void)state;
    void (*const repairs[])(const uint8_t *, uint8_t *, size_t, size_t) = {damage_repair_sums,
                                                                           damage_repair_block};
    uint64_t step = crash_share(80021, 12007, 211);
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t number = 0; number < base.segments; number++) {
            char path[IO_PATH_MAX];
            segment_path(SEGMENT_CHAIN, number, path);
            const struct damage damage = {.whole = base.disk,
                                          .path = path,
                                          .repair = repairs[i],
                                          .check = check_start,
                                          .context = &base};
            (void)damage_bytes(&damage, step);
        }
    }
    assert_true(count.refused > 0);
    report("altered blocks");
}

/* Either the audit, which folds, or the verification, which reads every byte, names it. */
static void check_audit(struct disk *disk, const char *what, void *context)
{
    struct io io = disk_io(disk);
    struct audit_report audit;
    struct chain_report verify;
    const struct audit_options options = {
        .io = &io,
        .log_dir = SN_LOG,
        .genesis = {world.fold.genesis_bytes, world.fold.genesis_count},
        .to = UINT64_MAX,
        .threads = 1,
        .skip_signatures = true,
    };
    (void)context;
    count.cases++;
    enum status status = audit_run(&options, &audit, NULL);
    if (status != STATUS_OK || audit.violations > 0) {
        count.refused++;
        return;
    }
    if (chain_verify(&io, SN_LOG, world.fold.genesis_id, &verify) == STATUS_OK) {
        fail_msg("%s: nobody found it", what);
    }
}

static void audit_or_verification_names_every_altered_byte(void **state)
{
    (void)state;
    uint64_t step = crash_share(80021, 12007, 211);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0; number < base.segments; number++) {
            char path[IO_PATH_MAX];
            segment_path(kind, number, path);
            const struct damage damage = {.whole = base.disk,
                                          .path = path,
                                          .repair = kind == SEGMENT_CHAIN ? damage_repair_block
                                                                          : damage_repair_sums,
                                          .check = check_audit};
            (void)damage_bytes(&damage, step);
        }
    }
    assert_true(count.refused > 0);
    report("altered blocks, receipts and events, audited");
}

/* ---- head, superblock ---- */

static void node_starts_right_or_not_behind_an_altered_head_or_superblock(void **state)
{
    (void)state;
    struct damage damage = {.whole = young.disk,
                            .path = SN_LOG "/" HEAD_FILE,
                            .repair = damage_repair_head,
                            .check = check_start,
                            .context = &young};
    assert_true(damage_bytes(&damage, crash_share(2003, 307, 11)) > 0);
    assert_true(count.same > 0);
    report("altered head");
    damage.path = VALIDATOR "/" JOURNAL_SUPERBLOCK_FILE;
    damage.repair = damage_repair_super;
    assert_true(damage_bytes(&damage, crash_share(40009, 8009, 101)) > 0);
    assert_true(count.same > 0);
    report("altered superblock copy");
}

/* ---- the journal's records ---- */

struct record {
    uint16_t type;
    uint64_t tag;
    uint8_t *bytes; /* owned */
    size_t count;
};

struct records {
    struct record at[RECORDS_MAX];
    size_t count;
};

static struct record record_copy(const struct record *from)
{
    struct record copy = *from;
    copy.bytes = malloc(from->count + 1);
    assert_non_null(copy.bytes);
    memcpy(copy.bytes, from->bytes, from->count);
    return copy;
}

static void records_free(struct records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        free(records->at[i].bytes);
    }
    records->count = 0;
}

static void records_copy(const struct records *from, struct records *to)
{
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        to->at[i] = record_copy(&from->at[i]);
    }
}

static void records_read(const struct disk *disk, struct records *out)
{
    struct disk *copy;
    struct journal *journal;
    struct journal_recovery recovery;
    struct journal_record record;
    enum status status;
    disk_clone(disk, &copy);
    struct io io = disk_io(copy);
    OK(journal_open(&journal, &io, VALIDATOR, world.fold.genesis_id, world.fold.validator.key,
                    JOURNAL_SPACE, &recovery));
    out->count = 0;
    while ((status = journal_next_record(journal, &record)) == STATUS_OK) {
        struct record found = {record.type, record.tag, NULL, record.body.count};
        assert_true(out->count < RECORDS_MAX);
        found.bytes = (uint8_t *)record.body.at;
        out->at[out->count++] = record_copy(&found);
    }
    assert_int_equal(status, STATUS_NOT_FOUND);
    journal_close(journal);
    disk_close(copy);
}

/* records_write makes the journal anew, so that every checksum in it fits. */
static void records_write(struct disk *disk, const struct records *records)
{
    struct io io = disk_io(disk);
    struct journal *journal;
    struct journal_recovery recovery;
    struct journal_identity identity = {.incarnation = 77};
    struct journal_geometry geometry;
    memcpy(identity.chain_id, world.fold.genesis_id, HASH_BYTES);
    memcpy(identity.key, world.fold.validator.key, 32);
    OK(journal_geometry_make(SN_RING_BYTES, 8192, world.fold.params.uncommitted_max, &geometry));
    OK(io_unlink(&io, VALIDATOR "/" JOURNAL_FILE));
    OK(io_unlink(&io, VALIDATOR "/" JOURNAL_SUPERBLOCK_FILE));
    OK(journal_format(&io, VALIDATOR, &identity, &geometry));
    OK(journal_open(&journal, &io, VALIDATOR, identity.chain_id, identity.key, JOURNAL_SPACE,
                    &recovery));
    for (size_t i = 0; i < records->count; i++) {
        const struct record *record = &records->at[i];
        struct bytes body = {record->bytes, record->count};
        uint64_t lsn;
        enum status status =
            journal_append(journal, (enum journal_type)record->type, record->tag, &body, 1, &lsn);
        if (status == STATUS_FULL) break; /* a few were repeated */
        OK(status);
        OK(journal_settle(journal));
    }
    journal_close(journal);
}

/* Where other records name a block that has another id by now, they name the new one. */
static void ids_replace(struct record *record, const uint8_t (*ids)[2][HASH_BYTES], size_t id_count)
{
    for (size_t i = 0; i < id_count; i++) {
        for (size_t at = 0; at + HASH_BYTES <= record->count; at++) {
            if (memcmp(record->bytes + at, ids[i][0], HASH_BYTES) != 0) continue;
            memcpy(record->bytes + at, ids[i][1], HASH_BYTES);
        }
    }
}

static void block_id(const struct record *record, uint8_t id[HASH_BYTES])
{
    struct header header;
    struct reader r = reader_of(record->bytes, record->count);
    header_read(&r, &header);
    memset(id, 0, HASH_BYTES);
    if (r.status == STATUS_OK) block_id_of(&header, id);
}

/* Changes a byte of one record, and everything behind it that depends on it. */
static void record_alter(struct records *records, size_t chosen)
{
    static uint8_t ids[RECORDS_MAX][2][HASH_BYTES];
    size_t id_count = 0;
    for (size_t i = chosen; i < records->count; i++) {
        struct record *record = &records->at[i];
        size_t at = header_bytes_max;
        uint8_t before[HASH_BYTES];
        if (record->count == 0) continue;
        bool is_block = record->type == JOURNAL_BLOCK && record->count > header_bytes_max;
        if (is_block) block_id(record, before);
        ids_replace(record, (const uint8_t(*)[2][HASH_BYTES])ids, id_count);
        if (i == chosen) {
            at = pick((uint32_t)record->count);
            /* Numbers and flags of the front more often than transactions. */
            if (pick(2)) at = pick((uint32_t)(record->count < 300 ? record->count : 300));
            /* A block of days ahead that was voted for is followed, by waiting for days. */
            if (is_block && at >= TIME_AT + 3 && at < TIME_AT + 8) at = TIME_AT;
            record->bytes[at] = damage_byte(record->bytes[at], pick(DAMAGE_WAYS));
        }
        if (!is_block) continue;
        memcpy(ids[id_count][0], before, HASH_BYTES);
        block_id(record, ids[id_count][1]);
        damage_repair_parts(record->bytes, record->count, at, ids[id_count][1]);
        id_count++;
    }
}

static void record_insert(struct records *records, size_t at, struct record record)
{
    assert_true(records->count < RECORDS_MAX);
    memmove(&records->at[at + 1], &records->at[at], (records->count - at) * sizeof record);
    records->at[at] = record;
    records->count++;
}

static void records_change(struct records *records)
{
    size_t one = pick((uint32_t)records->count), other = pick((uint32_t)records->count);
    struct record kept = records->at[one];
    switch (pick(8)) {
    case 0: /* lost */
        free(kept.bytes);
        records->count--;
        memmove(&records->at[one], &records->at[one + 1], (records->count - one) * sizeof kept);
        break;
    case 1: record_insert(records, other, record_copy(&kept)); break;
    case 2:
        records->at[one] = records->at[other];
        records->at[other] = kept;
        break;
    case 3: records->at[one].type = (uint16_t)(1 + pick(JOURNAL_RELEASE)); break;
    case 4: records->at[one].count = pick((uint32_t)kept.count + 1); break;
    default: record_alter(records, one);
    }
}

/* With a shorter log, the node commits again what the journal proves. */
static void log_shorten(struct disk *disk, uint64_t height)
{
    struct io io = disk_io(disk);
    OK(chain_discard_above(&io, SN_LOG, SN_HOME "/data/quarantine", world.fold.genesis_id, height));
}

static enum status try_life(struct disk *disk)
{
    struct sn_life life;
    struct sn_witness witness = {0};
    sn_clock_set(young.clock_us);
    sn_open(&life, &world, disk, &witness);
    if (life.status != STATUS_OK) return life.status;
    struct sn_script script = {.stop_height = life.height + 2};
    sn_run(&life, &script);
    sn_close(&life);
    return life.status;
}

static void node_refuses_or_follows_whatever_whole_records_say(void **state)
{
    (void)state;
    static struct records made, changed;
    uint64_t cases = crash_share(60, 800, 40000), refused = 0, followed = 0;
    seed = 4711;
    records_read(young.disk, &made);

    assert_true(made.count > 10 && made.at[0].type == JOURNAL_BLOCK && made.at[0].tag > 1);
    for (uint64_t i = 0; i < cases; i++) {
        struct disk *disk;
        records_copy(&made, &changed);
        for (uint32_t changes = i < 2 ? 0 : 1 + pick(2); changes > 0 && changed.count > 0;
             changes--) {
            records_change(&changed);
        }
        disk_clone(young.disk, &disk);
        records_write(disk, &changed);
        if (i % 2 == 1) log_shorten(disk, made.at[0].tag - 1);
        enum status status = try_life(disk);
        if (i < 2) OK(status);
        refused += status != STATUS_OK;
        followed += status == STATUS_OK;
        disk_close(disk);
        records_free(&changed);
    }
    records_free(&made);
    print_message("whole records: %llu journals, %llu refused, %llu followed\n",
                  (unsigned long long)cases, (unsigned long long)refused,
                  (unsigned long long)followed);
    assert_true(refused > 0 && followed > 0);
}

int main(void)
{
    is_loop = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_refuses_or_follows_whatever_whole_records_say),
        cmocka_unit_test(node_folds_no_block_that_was_altered),
        cmocka_unit_test(audit_or_verification_names_every_altered_byte),
        cmocka_unit_test(node_starts_right_or_not_behind_an_altered_head_or_superblock),
    };
    if (trace_init(TRACE_FORMAT_LOGFMT, "off", 2) != STATUS_OK) return 1;
    sn_world_make(&world);
    base_make(&base, TXS);
    young_make();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_close(base.disk);
    disk_close(young.disk);
    sn_world_free(&world);
    return failed;
}
