/* The light client: what it believes, and that it believes nothing else. */
#include "replica/light.h"

#include <stdio.h>
#include <stdlib.h>

#include "log/merkle.h"
#include "replica/light_make.h"
#include "tests/support_certified.h"

#define OK(call) assert_int_equal(call, STATUS_OK)

static struct certified_chain chain;
static struct {
    char directory[64], dir[80];
    struct io io;
    struct chain_reader *reader;
    struct light_source source;
} t;

static uint64_t tx_height; /* a block with five transactions */

/* publish writes the chain to disk, as a node would. */
static void publish(void)
{
    struct chain *log;
    struct chain_opened opened;
    strcpy(t.directory, "/tmp/cairn-light-XXXXXX");
    assert_non_null(mkdtemp(t.directory));
    snprintf(t.dir, sizeof t.dir, "%s/log", t.directory);
    OK(io_posix_init(&t.io, 4));
    OK(chain_open(&log, &t.io, t.dir, chain.fold.genesis_id, NULL, &opened));
    for (uint64_t h = 1; h <= chain.fold.height; h++) {
        OK(chain_append(log, (struct bytes){chain.at[h].bytes, chain.at[h].count}, chain.at[h].id,
                        chain.fold.params.segment_bytes));
        OK(chain_settle(log));
    }
    chain_close(log);
    OK(chain_reader_open(&t.reader, &t.io, t.dir, chain.fold.genesis_id));
    OK(chain_reader_limit(t.reader, chain.fold.height));
    t.source = (struct light_source){.reader = t.reader,
                                     .genesis_id = chain.fold.genesis_id,
                                     .epoch_of = light_epoch_of,
                                     .context = chain.fold.ledger};
}

/* Epoch 0 has one validator, epoch 1 four, epoch 2 four others, with other weights. */
static int setup(void **state)
{
    (void)state;
    const struct fold_key *from = &chain.fold.keys[0];
    certified_open(&chain);
    for (uint32_t i = 0; i < 4; i++) {
        fold_add_set_power(&chain.fold, from, i, chain.pool.set.key[i], 10);
    }
    fold_add_set_power(&chain.fold, from, 4, chain.fold.validator.key, 0);
    while (chain.epoch.number == 0) {
        certified_next(&chain);
    }
    for (uint32_t i = 0; i < 4; i++) {
        fold_add_set_power(&chain.fold, from, 5 + 2 * i, chain.pool.set.key[4 + i], 7 + i);
        fold_add_set_power(&chain.fold, from, 6 + 2 * i, chain.pool.set.key[i], 0);
    }
    while (chain.epoch.number == 1) {
        certified_next(&chain);
    }
    tx_height = chain.fold.height + 1;
    while (chain.epoch.number < 3 || chain.fold.height < chain.epoch.base_height + 5) {
        if (chain.fold.height + 1 == tx_height || chain.epoch.number == 3) {
            for (uint32_t i = 0; i < 5; i++) {
                const struct fold_key *key = &chain.fold.keys[1 + i];
                fold_add_transfer(&chain.fold, key, fold_nonce(&chain.fold, key->address),
                                  chain.fold.keys[9].address, 1 + i);
            }
        }
        certified_next(&chain);
    }
    publish();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    chain_reader_close(t.reader);
    io_deinit(&t.io);
    certified_close(&chain);
    snprintf(command, sizeof command, "rm -rf '%s'", t.directory);
    return system(command);
}

static struct light_trust genesis_trust(void)
{
    struct light_trust trust;
    light_trust_genesis(&chain.fold.genesis, chain.fold.genesis_id, &trust);
    return trust;
}

static struct bytes made(uint64_t height, uint64_t from_epoch, uint32_t command)
{
    struct bytes file;
    OK(light_make(&t.source, height, from_epoch, command, &file));
    return file;
}

static enum status verify(const struct light_trust *trust, struct bytes file,
                          struct light_result *result)
{
    const char *why;
    enum status status = light_verify(trust, file, result, &why);
    assert_int_equal(status == STATUS_OK, why[0] == 0);
    return status;
}

/* ---- what it believes ---- */

static void every_final_block_is_proven_from_the_genesis(void **state)
{
    (void)state;
    struct light_trust trust = genesis_trust();
    for (uint64_t h = 1; h <= chain.fold.height; h++) {
        struct bytes file;
        struct light_result result;
        enum status status = light_make(&t.source, h, 0, LIGHT_NO_COMMAND, &file);
        if (h + 2 > chain.fold.height) { /* certified by blocks that are yet to come */
            assert_int_equal(status, STATUS_BUSY);
            continue;
        }
        OK(status);
        OK(verify(&trust, file, &result));
        assert_memory_equal(result.id, chain.at[h].id, HASH_BYTES);
        assert_int_equal(result.header.height, h);
        assert_int_equal(result.trust.epoch, result.header.epoch);
        assert_false(result.has_command || result.has_state);
        free((void *)file.at);
    }
}

static void a_checkpoint_leads_on_from_where_a_proof_ended(void **state)
{
    (void)state;
    struct light_trust trust = genesis_trust(), checkpoint;
    struct light_result first, second;
    uint64_t height = chain.fold.height - 4;
    assert_true(chain.at[height].header.epoch >= 3);
    for (uint64_t epoch = 0; epoch <= chain.at[height].header.epoch; epoch++) {
        uint64_t h = 1;
        while (chain.at[h].header.epoch < epoch) {
            h++;
        }
        struct bytes file = made(h, 0, LIGHT_NO_COMMAND);
        OK(verify(&trust, file, &first));
        free((void *)file.at);
        light_trust_checkpoint(chain.fold.genesis_id, epoch, first.trust.base_id,
                               first.trust.set_hash, &checkpoint);
        if (epoch == 0) continue; /* that is the genesis */
        file = made(height, epoch, LIGHT_NO_COMMAND);
        OK(verify(&checkpoint, file, &second));
        assert_memory_equal(second.id, chain.at[height].id, HASH_BYTES);
        /* Neither another base nor another set. */
        checkpoint.set_hash[0] ^= 1;
        assert_int_equal(verify(&checkpoint, file, &second), STATUS_BAD_PROOF);
        free((void *)file.at);
        light_trust_checkpoint(chain.fold.genesis_id, epoch, chain.at[1].id, first.trust.set_hash,
                               &checkpoint);
        file = made(h, epoch, LIGHT_NO_COMMAND); /* the first block of the epoch */
        assert_int_equal(verify(&checkpoint, file, &second), STATUS_BAD_PROOF);
        free((void *)file.at);
    }
}

static void a_transaction_is_proven_in_its_block(void **state)
{
    (void)state;
    struct light_trust trust = genesis_trust();
    struct light_result result;
    struct block block;
    uint8_t id[HASH_BYTES];
    OK(block_open(chain.at[tx_height].bytes, chain.at[tx_height].count, &block, id));
    assert_int_equal(block.body.commands.count, 5);
    struct reader r = list_reader(&block.body.commands);
    for (uint32_t i = 0; i < 5; i++) {
        struct command command;
        command_read(&r, &command);
        struct bytes file = made(tx_height, 0, i);
        OK(verify(&trust, file, &result));
        assert_true(result.has_command);
        assert_int_equal(result.command.index, i);
        assert_int_equal(result.command.bytes.count, command.bytes.count);
        assert_memory_equal(result.command.bytes.at, command.bytes.at, command.bytes.count);
        free((void *)file.at);
    }
    struct bytes file;
    assert_int_equal(light_make(&t.source, tx_height, 0, 5, &file), STATUS_NOT_FOUND);
}

/* state_file makes a proof of a record in the newest state, which the header at `height` names. */
static struct bytes state_file(uint16_t table, const uint8_t *key, size_t key_bytes)
{
    static uint8_t proof[PROOF_BYTES_MAX];
    struct store *store = ledger_store(chain.fold.ledger);
    struct light_state record = {.table = table, .key = {key, key_bytes}};
    size_t count;
    OK(proof_state(store, table, key, proof, sizeof proof, &count));
    record.proof = (struct bytes){proof, count};
    struct bytes value = store_get(store, table, key);
    record.present = value.at != NULL;
    if (value.at) record.value = value;

    /* The chain goes on by headers that nobody keeps, until one is final that names this state. */
    struct light_proof file = {.magic = LIGHT_MAGIC, .version = 1};
    struct bytes steps = made(chain.fold.height - 2, 0, LIGHT_NO_COMMAND), out;
    OK(light_proof_decode(steps.at, steps.count, &file));
    struct chain_point point = chain.point;
    uint8_t headers[16 * header_bytes_max];
    struct writer w = writer_of(headers, sizeof headers);
    struct qc_store qc = chain.qc;
    file.headers = (struct list){.at = headers};
    for (unsigned n = 0; n < 16; n++) {
        struct block next = {.header = {.version = BLOCK_VERSION,
                                        .epoch = point.epoch,
                                        .round = point.round + 1,
                                        .height = point.height + 1,
                                        .parent_round = point.round,
                                        .time_us = point.time_us,
                                        .exec_height = point.commit_height},
                             .justify = {.has_qc = true, .qc = qc.qc}};
        uint8_t id[HASH_BYTES];
        memcpy(next.header.parent_id, point.id, HASH_BYTES);
        if (point.commit_height == chain.fold.height)
            memcpy(next.header.exec_root, chain.at[chain.fold.height].root, HASH_BYTES);
        justify_hash_of(&next.justify, next.header.justify_hash);
        block_id_of(&next.header, id);
        if (file.headers.count > 0 || next.header.exec_height == chain.fold.height) {
            header_write(&w, &next.header);
            file.headers.count++;
        }
        chain_point_next(&point, &next.header, id, &next.justify, &point);
        certified_certify(&chain, &point, &qc);
        if (file.headers.count == 2) break; /* its certificate commits the first of them */
    }
    file.headers.count = 1;
    file.headers.bytes = header_bytes_max;
    file.certificate = qc.qc;
    static uint8_t bytes[512 * 1024];
    OK(light_proof_encode(&file, bytes, sizeof bytes, &count));
    free((void *)steps.at);
    OK(light_attach((struct bytes){bytes, count}, &record, &out));
    return out;
}

static void records_of_the_state_are_proven_there_and_absent(void **state)
{
    (void)state;
    struct light_trust trust = genesis_trust();
    struct light_result result;
    uint8_t key[balance_key_bytes_max] = {0};
    memcpy(key, chain.fold.keys[9].address, 32);
    struct bytes file = state_file(TABLE_BALANCE, key, sizeof key);
    OK(verify(&trust, file, &result));
    assert_true(result.has_state && result.state.present);
    assert_int_equal(load_u64(result.state.value.at),
                     fold_balance(&chain.fold, chain.fold.keys[9].address));
    free((void *)file.at);
    key[5] ^= 1;
    file = state_file(TABLE_BALANCE, key, sizeof key);
    OK(verify(&trust, file, &result));
    assert_true(result.has_state && !result.state.present);

    /* An absent record has no value. */
    struct light_proof proof;
    OK(light_proof_decode(file.at, file.count, &proof));
    proof.state.value = (struct bytes){key, 1};
    assert_int_equal(light_state_holds(&result.header, &proof.state), STATUS_BAD_PROOF);
    proof.state.present = 1;
    assert_int_equal(light_state_holds(&result.header, &proof.state), STATUS_BAD_PROOF);
    free((void *)file.at);
}

/* ---- what it does not believe ---- */

static void flip_every_byte(const struct light_trust *trust, struct bytes file)
{
    struct light_result result;
    uint8_t *copy = malloc(file.count);
    assert_non_null(copy);
    OK(verify(trust, file, &result));
    for (size_t i = 0; i < file.count; i++) {
        memcpy(copy, file.at, file.count);
        copy[i] ^= (uint8_t)(1u << (i % 8));
        if (verify(trust, (struct bytes){copy, file.count}, &result) == STATUS_OK)
            fail_msg("byte %zu of %zu does not matter", i, file.count);
    }
    for (size_t cut = 1; cut <= file.count; cut += 1 + cut / 3) {
        assert_int_not_equal(verify(trust, (struct bytes){file.at, file.count - cut}, &result),
                             STATUS_OK);
    }
    free(copy);
}

static void every_byte_of_a_proof_matters(void **state)
{
    (void)state;
    struct light_trust trust = genesis_trust();
    uint8_t key[balance_key_bytes_max] = {0};
    struct bytes file = made(tx_height, 0, 2);
    flip_every_byte(&trust, file);
    free((void *)file.at);
    memcpy(key, chain.fold.keys[9].address, 32);
    file = state_file(TABLE_BALANCE, key, sizeof key);
    flip_every_byte(&trust, file);
    struct light_result result;
    OK(verify(&trust, file, &result));
    light_trust_checkpoint(chain.fold.genesis_id, result.trust.epoch, result.trust.base_id,
                           result.trust.set_hash, &trust);
    free((void *)file.at);
    file = made(chain.fold.height - 4, trust.epoch, LIGHT_NO_COMMAND);
    flip_every_byte(&trust, file);
    free((void *)file.at);
}

/* A proof taken apart, to be changed and put together again with good signatures where they matter. */
struct parts {
    struct light_proof proof;
    struct light_step step[8];
    struct header header[8];
    uint8_t steps[8 * light_step_bytes_max], headers[8 * header_bytes_max];
};

static void take_apart(struct bytes file, struct parts *parts)
{
    OK(light_proof_decode(file.at, file.count, &parts->proof));
    struct reader r = list_reader(&parts->proof.steps);
    for (uint32_t i = 0; i < parts->proof.steps.count; i++) {
        light_step_read(&r, &parts->step[i]);
    }
    r = list_reader(&parts->proof.headers);
    for (uint32_t i = 0; i < parts->proof.headers.count; i++) {
        header_read(&r, &parts->header[i]);
    }
}

static enum status verify_parts(struct parts *parts)
{
    static uint8_t bytes[1024 * 1024];
    struct light_trust trust = genesis_trust();
    struct light_result result;
    size_t count;
    struct writer w = writer_of(parts->steps, sizeof parts->steps);
    for (uint32_t i = 0; i < parts->proof.steps.count; i++) {
        light_step_write(&w, &parts->step[i]);
    }
    parts->proof.steps = (struct list){parts->steps, writer_bytes(&w), parts->proof.steps.count};
    w = writer_of(parts->headers, sizeof parts->headers);
    for (uint32_t i = 0; i < parts->proof.headers.count; i++) {
        header_write(&w, &parts->header[i]);
    }
    parts->proof.headers =
        (struct list){parts->headers, writer_bytes(&w), parts->proof.headers.count};
    OK(light_proof_encode(&parts->proof, bytes, sizeof bytes, &count));
    return verify(&trust, (struct bytes){bytes, count}, &result);
}

/* sign_by certifies that `header` is committed, by signers of the pool with these indexes. */
static void sign_by(const struct header *header, uint64_t epoch, uint32_t first, uint32_t count,
                    const uint64_t *power, struct qc_store *qc)
{
    struct signers some = {.set = {.count = count}};
    for (uint32_t i = 0; i < count; i++) {
        memcpy(some.set.key[i], chain.pool.set.key[first + i], 32);
        memcpy(some.secret[i], chain.pool.secret[first + i], 64);
        some.set.power[i] = power[i];
        some.set.total += power[i];
    }
    struct vote vote = {.epoch = epoch,
                        .round = header->round + 1,
                        .height = header->height + 1,
                        .parent_round = header->round,
                        .commit_height = header->height};
    block_id_of(header, vote.commit_id);
    sign_qc(&some, chain.fold.genesis_id, vote, (1u << count) - 1, qc);
}

#define EACH(answer, ...)                                                                          \
    do {                                                                                           \
        take_apart(file, &parts);                                                                  \
        __VA_ARGS__;                                                                               \
        assert_int_equal(verify_parts(&parts), answer);                                            \
    } while (0)

static void another_history_is_refused(void **state)
{
    (void)state;
    static struct parts parts;
    static const uint64_t EQUAL[4] = {10, 10, 10, 10}, LATER[4] = {7, 8, 9, 10};
    uint64_t height = tx_height;
    while (chain.at[height].header.epoch < 2) {
        height++;
    }
    struct bytes file = made(height, 0, LIGHT_NO_COMMAND);
    struct qc_store qc;
    EACH(STATUS_OK, (void)0);
    assert_int_equal(parts.proof.steps.count, 2);

    /* The set of epoch 1 signs for epoch 2, of which it is no part any more. */
    EACH(STATUS_BAD_SIGNATURE, sign_by(&parts.header[0], 2, 0, 4, EQUAL, &qc);
         parts.proof.certificate = qc.qc);
    /* The right set signs for an older epoch, or a header of another epoch. */
    EACH(STATUS_BAD_PROOF, sign_by(&parts.header[0], 1, 4, 4, LATER, &qc);
         parts.proof.certificate = qc.qc);
    EACH(STATUS_BAD_PROOF, parts.header[0].epoch = 1;
         sign_by(&parts.header[0], 2, 4, 4, LATER, &qc); parts.proof.headers.count = 1;
         parts.proof.certificate = qc.qc);
    /* The right set signs: then, and only then, the header may be what it likes. */
    EACH(STATUS_OK, parts.header[0].time_us++; sign_by(&parts.header[0], 2, 4, 4, LATER, &qc);
         parts.proof.headers.count = 1; parts.proof.certificate = qc.qc);
    /* Less than a quorum of it: weights 9 and 10 of 34. */
    EACH(STATUS_BAD_PROOF, sign_by(&parts.header[0], 2, 4, 4, LATER, &qc);
         parts.proof.headers.count = 1; ((uint8_t *)(uintptr_t)qc.qc.bitmap.at)[0] = 0xc;
         qc.qc.signatures = (struct list){qc.qc.signatures.at + 128, 128, 2};
         parts.proof.certificate = qc.qc);
    /* A certificate that commits nothing, or something else. */
    EACH(STATUS_BAD_PROOF, memset(parts.proof.certificate.commit_id, 0, HASH_BYTES));
    EACH(STATUS_BAD_PROOF, parts.proof.certificate.commit_height++);
    EACH(STATUS_BAD_PROOF, sign_by(&parts.header[0], 2, 4, 4, LATER, &qc);
         parts.header[0].time_us++; parts.proof.headers.count = 1; parts.proof.certificate = qc.qc);
    /* A tail is never final. */
    EACH(STATUS_BAD_PROOF, parts.header[0].flags = BLOCK_TAIL;
         sign_by(&parts.header[0], 2, 4, 4, LATER, &qc); parts.proof.headers.count = 1;
         parts.proof.certificate = qc.qc);
    /* Steps that are left out, swapped, of no end, of another set. */
    EACH(STATUS_BAD_PROOF, parts.proof.steps.count = 1);
    EACH(STATUS_BAD_PROOF, parts.proof.steps.count = 0);
    EACH(STATUS_BAD_PROOF, parts.step[0] = parts.step[1]);
    EACH(STATUS_BAD_PROOF, parts.step[1].header.flags = 0;
         sign_by(&parts.step[1].header, 1, 0, 4, EQUAL, &qc); parts.step[1].certificate = qc.qc);
    EACH(STATUS_BAD_PROOF, parts.step[1].next = parts.step[0].next);
    EACH(STATUS_BAD_PROOF, parts.step[1].next.params.gas_tx++);
    EACH(STATUS_BAD_PROOF, parts.step[1].header.parent_round = 0;
         sign_by(&parts.step[1].header, 1, 0, 4, EQUAL, &qc);
         parts.step[1].certificate = qc.qc); /* stands on no base */
    /* The trusted place. */
    EACH(STATUS_BAD_PROOF, parts.proof.from_epoch = 1);
    EACH(STATUS_BAD_PROOF, parts.proof.has_start = true; parts.proof.start = parts.step[0].next);
    EACH(STATUS_WRONG_CHAIN, parts.proof.genesis_id[0] ^= 1);
    free((void *)file.at);
}

static void headers_must_be_linked(void **state)
{
    (void)state;
    static struct parts parts;
    struct light_trust trust = genesis_trust();
    uint8_t bytes[3 * header_bytes_max];
    for (unsigned broken = 0; broken < 4; broken++) {
        struct writer w = writer_of(bytes, sizeof bytes);
        struct header header[3];
        for (uint64_t i = 0; i < 3; i++) {
            header[i] = chain.at[1 + i].header;
        }
        if (broken == 1) header[0].time_us++;   /* its id is no parent then */
        if (broken == 2) header[1] = header[2]; /* one is missing */
        if (broken == 3) header[1].epoch = 1;
        for (unsigned i = 0; i < 3; i++) {
            header_write(&w, &header[i]);
        }
        struct bytes file = made(3, 0, LIGHT_NO_COMMAND);
        take_apart(file, &parts);
        struct list list = {bytes, writer_bytes(&w), 3};
        assert_int_equal(light_final(&trust, &list, &parts.proof.certificate),
                         broken == 0 ? STATUS_OK : STATUS_BAD_PROOF);
        free((void *)file.at);
    }
    /* Without a set nothing is final. */
    struct bytes file = made(3, 0, LIGHT_NO_COMMAND);
    take_apart(file, &parts);
    trust.has_set = false;
    assert_int_equal(light_final(&trust, &parts.proof.headers, &parts.proof.certificate),
                     STATUS_BAD_PROOF);
    free((void *)file.at);
}

/* The end of epoch 0 is the parent of the first block of epoch 1, and final; but the trust is not of its epoch. */
static void headers_of_two_epochs_are_refused(void **state)
{
    (void)state;
    static struct parts parts;
    struct light_trust trust = genesis_trust();
    uint64_t first = 1;
    while (chain.at[first].header.epoch == 0) {
        first++;
    }
    struct bytes file = made(first, 0, LIGHT_NO_COMMAND);
    take_apart(file, &parts);
    OK(light_advance(&trust, &parts.step[0]));
    OK(light_final(&trust, &parts.proof.headers, &parts.proof.certificate));
    uint8_t bytes[9 * header_bytes_max];
    struct writer w = writer_of(bytes, sizeof bytes);
    header_write(&w, &chain.at[first - 1].header);
    write_copy(&w, parts.proof.headers.at, parts.proof.headers.bytes);
    struct list both = {bytes, writer_bytes(&w), parts.proof.headers.count + 1};
    assert_int_equal(light_final(&trust, &both, &parts.proof.certificate), STATUS_BAD_PROOF);
    free((void *)file.at);
}

static void only_the_end_of_an_epoch_leads_to_the_next(void **state)
{
    (void)state;
    static struct parts parts;
    static const uint64_t EQUAL[4] = {10, 10, 10, 10};
    struct bytes file = made(tx_height, 0, LIGHT_NO_COMMAND);
    struct qc_store qc;
    for (unsigned flags = 0; flags <= 3; flags++) {
        struct light_trust trust = genesis_trust();
        take_apart(file, &parts);
        OK(light_advance(&trust, &parts.step[0]));
        parts.step[1].header.flags = (uint16_t)flags;
        sign_by(&parts.step[1].header, 1, 0, 4, EQUAL, &qc);
        parts.step[1].certificate = qc.qc;
        assert_int_equal(light_advance(&trust, &parts.step[1]),
                         flags == BLOCK_EPOCH_END ? STATUS_OK : STATUS_BAD_PROOF);
    }
    free((void *)file.at);
}

static void sets_that_are_none_are_refused(void **state)
{
    (void)state;
    static struct parts parts;
    struct bytes file = made(tx_height, 0, LIGHT_NO_COMMAND);
    uint8_t entries[4 * validator_entry_bytes_max];
    take_apart(file, &parts);
    struct light_set set = parts.step[0].next;
    memcpy(entries, set.validators.at, set.validators.bytes);
    memcpy(entries, entries + validator_entry_bytes_max, validator_entry_bytes_max);
    set.validators.at = entries; /* the same key twice */
    struct light_trust trust = genesis_trust();
    assert_int_equal(light_show(&trust, &set), STATUS_BAD_PROOF);
    free((void *)file.at);
}

static void what_cannot_be_made_is_a_status(void **state)
{
    (void)state;
    struct bytes file;
    uint64_t last = chain.fold.height;
    assert_int_equal(light_make(&t.source, last + 1, 0, LIGHT_NO_COMMAND, &file), STATUS_NOT_FOUND);
    assert_int_equal(light_make(&t.source, last, 0, LIGHT_NO_COMMAND, &file), STATUS_BUSY);
    assert_int_equal(light_make(&t.source, 2, 1, LIGHT_NO_COMMAND, &file), STATUS_RANGE);
    assert_int_equal(light_attach((struct bytes){(const uint8_t *)"no file", 7},
                                  &(struct light_state){0}, &file),
                     STATUS_RANGE);
    struct params params;
    struct validator_list list;
    assert_int_equal(light_epoch_of(chain.fold.ledger, 99, &list, &params), STATUS_PRUNED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_final_block_is_proven_from_the_genesis),
        cmocka_unit_test(a_checkpoint_leads_on_from_where_a_proof_ended),
        cmocka_unit_test(a_transaction_is_proven_in_its_block),
        cmocka_unit_test(records_of_the_state_are_proven_there_and_absent),
        cmocka_unit_test(every_byte_of_a_proof_matters),
        cmocka_unit_test(another_history_is_refused),
        cmocka_unit_test(headers_must_be_linked),
        cmocka_unit_test(headers_of_two_epochs_are_refused),
        cmocka_unit_test(only_the_end_of_an_epoch_leads_to_the_next),
        cmocka_unit_test(sets_that_are_none_are_refused),
        cmocka_unit_test(what_cannot_be_made_is_a_status),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
