/* What consensus puts into blocks: votes counted, offences recorded, nothing that a block holds is a failure. */
#include "apply/context.h"
#include "apply/system.h"
#include "tests/support_chain.h"
#include "tests/support_validators.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static struct signers made;

static void end_epoch(struct fold *chain)
{
    struct epoch_record epoch;
    while (ledger_epoch(chain->ledger, &epoch), epoch.end_at == UINT64_MAX) {
        fold_apply(chain);
    }
    chain->flags = BLOCK_EPOCH_END;
    fold_apply(chain);
    chain->flags = 0;
}

/* A chain whose epoch 1 runs and belongs to the four signers; epochs are short. */
static void open_four(struct fold *chain, bool full_checks)
{
    struct ledger_options options = {.full_checks = full_checks};
    struct params params;
    fold_params(&params);
    params.dev_operations = 1;
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 1000000;
    params.evidence_epochs_max = 2;
    fold_open(chain, &params, &options);
    signers_make(&made, 1, 4, 10);
    for (uint32_t i = 0; i < 4; i++) {
        fold_add_set_power(chain, &chain->keys[0], i, made.set.key[i], 10 + i);
    }
    fold_add_set_power(chain, &chain->keys[0], 4, chain->validator.key, 0);
    chain->step_us = 1000000;
    fold_apply(chain);
    end_epoch(chain);
    chain->step_us = 1;
    assert_int_equal(chain->epoch, 1);
}

static void system_records_are_found_by_their_number(void **state)
{
    (void)state;
    assert_ptr_equal(system_find(SYSTEM_EVIDENCE)->body, &evidence_schema);
    assert_ptr_equal(system_find(SYSTEM_LATE_VOTE)->body, &vote_schema);
    assert_null(system_find(0));
    assert_null(system_find(3));
}

/* ---- participation ---- */

static void counts_of(const struct fold *chain, uint64_t epoch, struct participation *record,
                      struct participant *of)
{
    uint8_t key[epoch_key_bytes_max];
    store_u64(key, epoch);
    struct bytes value = store_get(ledger_store(chain->ledger), TABLE_PARTICIPATION, key);
    assert_non_null(value.at);
    OK(participation_decode(value.at, value.count, record));
    struct reader r = list_reader(&record->participants);
    for (uint32_t i = 0; i < record->participants.count; i++) {
        participant_read(&r, &of[i]);
    }
}

static struct vote vote_at(const struct fold *chain)
{
    struct vote vote = {.epoch = chain->epoch,
                        .round = chain->height,
                        .height = chain->height,
                        .parent_round = chain->height - 1,
                        .commit_height = chain->height - 1};
    memcpy(vote.block_id, chain->block_id, HASH_BYTES);
    vote.commit_id[0] = (uint8_t)chain->height;
    return vote;
}

/* apply_certified applies a block that certifies its parent by `voters`. */
static void apply_certified(struct fold *chain, uint32_t voters)
{
    struct qc_store qc;
    sign_qc(&made, chain->genesis_id, vote_at(chain), voters, &qc);
    struct justify justify = {.kind = 0, .has_qc = true, .qc = qc.qc};
    chain->justify = &justify;
    fold_apply(chain);
    chain->justify = NULL;
}

static void add_late_vote(struct fold *chain, const struct vote *vote)
{
    uint8_t bytes[vote_bytes_max];
    size_t count;
    OK(vote_encode(vote, bytes, sizeof bytes, &count));
    fold_add_system(chain, SYSTEM_LATE_VOTE, bytes, count);
}

static void participation_counts_the_votes_of_certificates_and_the_proposers(void **state)
{
    (void)state;
    struct fold chain;
    struct participation record;
    struct participant of[VALIDATORS_MAX];
    open_four(&chain, true);
    fold_apply(&chain); /* kind 1: no certificate of this epoch */
    chain.proposer = 2;
    apply_certified(&chain, 0x7);
    chain.proposer = 3;
    chain.skipped = 5;
    apply_certified(&chain, 0xd);
    chain.skipped = 0;
    chain.proposer = 77; /* nobody */
    apply_certified(&chain, 0xf);
    chain.proposer = 0;
    counts_of(&chain, 1, &record, of);
    assert_int_equal(record.blocks, 4);
    assert_int_equal(record.certified, 3);
    assert_int_equal(record.skipped, 5);
    assert_int_equal(record.participants.count, 4);
    assert_int_equal(record.recent.count, 3);
    static const uint64_t VOTED[4] = {3, 2, 3, 2}, PROPOSED[4] = {1, 0, 1, 1};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(of[i].voted, VOTED[i]);
        assert_int_equal(of[i].proposed, PROPOSED[i]);
    }
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void participation_takes_nothing_from_other_certificates(void **state)
{
    (void)state;
    struct fold chain;
    struct participation record;
    struct participant of[VALIDATORS_MAX];
    struct qc_store qc;
    open_four(&chain, true);
    sign_qc(&made, chain.genesis_id, vote_at(&chain), 0xf, &qc);
    struct justify justify = {.kind = 1, .has_qc = true, .qc = qc.qc}; /* of the epoch before */
    chain.justify = &justify;
    fold_apply(&chain);
    justify = (struct justify){.kind = 0};
    fold_apply(&chain);
    justify = (struct justify){.kind = 0, .has_qc = true, .qc = qc.qc};
    justify.qc.epoch = 2;
    fold_apply(&chain);
    justify.qc.epoch = 1;
    justify.qc.bitmap.count = 0;
    uint8_t wide[2] = {0xff, 0xff};
    justify.qc.bitmap = (struct bytes){wide, 2};
    fold_apply(&chain);
    justify.qc.bitmap.count = 1; /* bits of nobody */
    fold_apply(&chain);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(record.blocks, 5);
    assert_int_equal(record.certified, 1);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(of[i].voted, 1);
    }
    /* A round below its parent's: no block of consensus has it. */
    chain.justify = NULL;
    chain.skipped = -(chain.height + 1);
    chain.skipped += 1;
    fold_apply(&chain);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(record.skipped, 0);
    fold_close(&chain);
}

static void a_late_vote_counts_once_while_its_block_is_recent(void **state)
{
    (void)state;
    struct fold chain;
    struct participation record;
    struct participant of[VALIDATORS_MAX];
    struct vote late[6];
    open_four(&chain, true);
    fold_apply(&chain);
    for (size_t i = 0; i < 5; i++) {
        late[i] = vote_at(&chain);
        sign_vote(&made, chain.genesis_id, &late[i], 3);
        apply_certified(&chain, 0x7);
    }
    add_late_vote(&chain, &late[0]); /* five blocks ago */
    struct vote other = late[3];
    other.commit_height++; /* says something else of the same block */
    add_late_vote(&chain, &other);
    other = late[3];
    other.voter = 4;
    add_late_vote(&chain, &other);
    other.voter = 2; /* in the certificate */
    add_late_vote(&chain, &other);
    other = late[3];
    other.epoch = 0;
    add_late_vote(&chain, &other);
    fold_add_system(&chain, SYSTEM_LATE_VOTE, (const uint8_t *)"no vote", 7);
    fold_add_system(&chain, 99, (const uint8_t *)"unknown", 7);
    fold_apply(&chain);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(record.certified, 5);
    assert_int_equal(record.recent.count, LATE_VOTE_BLOCKS);
    assert_int_equal(of[3].voted, 0);
    assert_int_equal(of[2].voted, 5);

    add_late_vote(&chain, &late[1]);
    add_late_vote(&chain, &late[1]);
    add_late_vote(&chain, &late[4]);
    fold_apply(&chain);
    add_late_vote(&chain, &late[4]);
    fold_apply(&chain);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(of[3].voted, 2);

    /* The certificate of a block and a vote that it lacks, in one block. */
    late[5] = vote_at(&chain);
    sign_vote(&made, chain.genesis_id, &late[5], 3);
    add_late_vote(&chain, &late[5]);
    apply_certified(&chain, 0x7);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(of[3].voted, 3);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void late_votes_beyond_the_bound_of_a_block_do_not_count(void **state)
{
    (void)state;
    struct fold chain;
    struct participation record;
    struct participant of[VALIDATORS_MAX];
    open_four(&chain, true);
    fold_apply(&chain);
    struct vote late = vote_at(&chain);
    apply_certified(&chain, 0x7);
    for (size_t i = 0; i < SYSTEM_LATE_VOTES_MAX; i++) {
        fold_add_system(&chain, SYSTEM_LATE_VOTE, (const uint8_t *)"no vote", 7);
    }
    sign_vote(&made, chain.genesis_id, &late, 3);
    add_late_vote(&chain, &late);
    fold_apply(&chain);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(of[3].voted, 0);
    add_late_vote(&chain, &late);
    fold_apply(&chain);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(of[3].voted, 1);
    fold_close(&chain);
}

static void participation_stays_for_one_epoch_after_its_own(void **state)
{
    (void)state;
    struct fold chain;
    struct participation record;
    struct participant of[VALIDATORS_MAX];
    static const uint8_t EPOCH_0[8] = {0}, EPOCH_1[8] = {1};
    open_four(&chain, true);
    struct store *store = ledger_store(chain.ledger);
    counts_of(&chain, 0, &record, of);
    assert_int_equal(record.participants.count, 1);
    uint64_t blocks = record.blocks;
    assert_true(blocks >= 5);
    chain.step_us = 1000000;
    fold_apply(&chain);
    apply_certified(&chain, 0xe);
    end_epoch(&chain);
    assert_null(store_get(store, TABLE_PARTICIPATION, EPOCH_0).at);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(of[0].voted, 0);
    assert_int_equal(of[3].voted, 1);
    blocks = record.blocks;
    fold_apply(&chain);
    counts_of(&chain, 1, &record, of);
    assert_int_equal(record.blocks, blocks);
    counts_of(&chain, 2, &record, of);
    assert_int_equal(record.blocks, 1);
    end_epoch(&chain);
    assert_null(store_get(store, TABLE_PARTICIPATION, EPOCH_1).at);
    assert_int_equal(store_record_count(store, TABLE_PARTICIPATION), 2);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

/* ---- evidence ---- */

static struct evidence two_votes(const struct fold *chain, uint64_t epoch, uint64_t round,
                                 uint16_t offender)
{
    struct evidence e = {
        .kind = EVIDENCE_VOTES,
        .epoch = epoch,
        .round = round,
        .offender = offender,
        .has_vote = true,
        .has_vote_again = true,
        .vote = {.epoch = epoch, .round = round, .height = 7, .block_id = {1}},
        .vote_again = {.epoch = epoch, .round = round, .height = 7, .block_id = {2}}};
    sign_vote(&made, chain->genesis_id, &e.vote, offender);
    sign_vote(&made, chain->genesis_id, &e.vote_again, offender);
    return e;
}

static void add_evidence(struct fold *chain, const struct evidence *evidence)
{
    uint8_t bytes[evidence_bytes_max];
    size_t count;
    OK(evidence_encode(evidence, bytes, sizeof bytes, &count));
    fold_add_system(chain, SYSTEM_EVIDENCE, bytes, count);
}

/* outcome_of answers what the n-th event about evidence of the last block says. */
static enum outcome outcome_of(const struct fold *chain, uint32_t n)
{
    struct event event;
    struct event_evidence_recorded recorded;
    struct event_evidence_refused refused;
    for (uint32_t i = 0; i < chain->events.events.count; i++) {
        fold_event(chain, i, &event);
        if (event.kind == EVENT_EVIDENCE_RECORDED && n-- == 0) {
            OK(event_evidence_recorded_decode(event.body.at, event.body.count, &recorded));
            return OUTCOME_OK;
        }
        if (event.kind == EVENT_EVIDENCE_REFUSED && n-- == 0) {
            OK(event_evidence_refused_decode(event.body.at, event.body.count, &refused));
            return (enum outcome)refused.outcome;
        }
    }
    fail_msg("no such event");
    return OUTCOME_OK;
}

static enum outcome record(struct fold *chain, const struct evidence *evidence)
{
    enum outcome expected = ledger_evidence(chain->ledger, evidence);
    add_evidence(chain, evidence);
    fold_apply(chain);
    enum outcome outcome = outcome_of(chain, 0);
    assert_int_equal(outcome, expected);
    return outcome;
}

static uint32_t offences_of(const struct fold *chain, uint64_t epoch, uint16_t validator,
                            struct offences *offences)
{
    uint8_t key[offences_key_bytes_max];
    store_u64(key, epoch);
    memcpy(key + 8, made.set.key[validator], 32);
    struct bytes value = store_get(ledger_store(chain->ledger), TABLE_OFFENCES, key);
    if (!value.at) return 0;
    OK(offences_decode(value.at, value.count, offences));
    return offences->list.count;
}

static void evidence_is_recorded_once_with_its_offender(void **state)
{
    (void)state;
    struct fold chain;
    struct offences offences;
    struct offence offence;
    struct event event;
    struct event_evidence_recorded body;
    open_four(&chain, true);
    struct evidence e = two_votes(&chain, 1, 3, 2);
    fold_add_transfer(&chain, &chain.keys[1], 0, chain.keys[2].address, 5);
    assert_int_equal(record(&chain, &e), OUTCOME_OK);
    assert_int_equal(offences_of(&chain, 1, 2, &offences), 1);
    assert_int_equal(offences.validator, 2);
    assert_int_equal(offences.power, 12);
    struct reader r = list_reader(&offences.list);
    offence_read(&r, &offence);
    assert_int_equal(offence.kind, EVIDENCE_VOTES);
    assert_int_equal(offence.round, 3);
    assert_int_equal(offence.height, chain.height);
    fold_event(&chain, 3, &event); /* fee, transfer, fee split */
    assert_int_equal(event.kind, EVENT_EVIDENCE_RECORDED);
    assert_true(event.tx == EVENT_SYSTEM);
    OK(event_evidence_recorded_decode(event.body.at, event.body.count, &body));
    assert_memory_equal(body.key, made.set.key[2], 32);
    assert_int_equal(body.index, 0);

    assert_int_equal(record(&chain, &e), OUTCOME_EVIDENCE_REPEATED);
    struct evidence next = two_votes(&chain, 1, 4, 2); /* another round */
    assert_int_equal(record(&chain, &next), OUTCOME_OK);
    next = two_votes(&chain, 1, 3, 1); /* another validator */
    assert_int_equal(record(&chain, &next), OUTCOME_OK);
    struct evidence lock = {.kind = EVIDENCE_LOCK,
                            .epoch = 1,
                            .round = 3,
                            .offender = 2,
                            .has_vote = true,
                            .has_timeout = true,
                            .vote = {.epoch = 1, .round = 3, .height = 7, .parent_round = 2},
                            .timeout = {.epoch = 1, .round = 3, .hqc_round = 1}};
    sign_vote(&made, chain.genesis_id, &lock.vote, 2);
    sign_timeout(&made, chain.genesis_id, &lock.timeout, 2);
    assert_int_equal(record(&chain, &lock), OUTCOME_OK); /* another kind */
    assert_int_equal(offences_of(&chain, 1, 2, &offences), 3);
    assert_int_equal(offences_of(&chain, 1, 1, &offences), 1);

    /* Twice in one block. */
    next = two_votes(&chain, 1, 9, 0);
    add_evidence(&chain, &next);
    add_evidence(&chain, &next);
    fold_apply(&chain);
    assert_int_equal(outcome_of(&chain, 0), OUTCOME_OK);
    assert_int_equal(outcome_of(&chain, 1), OUTCOME_EVIDENCE_REPEATED);
    assert_int_equal(offences_of(&chain, 1, 0, &offences), 1);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void evidence_that_proves_nothing_has_no_effect(void **state)
{
    (void)state;
    struct fold chain;
    struct offences offences;
    open_four(&chain, true);
    struct evidence e = two_votes(&chain, 1, 3, 2);
    e.vote_again.signature[9] ^= 1;
    assert_int_equal(record(&chain, &e), OUTCOME_EVIDENCE_INVALID);
    e = two_votes(&chain, 1, 3, 2);
    e.vote_again = e.vote;
    assert_int_equal(record(&chain, &e), OUTCOME_EVIDENCE_INVALID);
    e = two_votes(&chain, 2, 3, 2); /* an epoch that is yet to come */
    assert_int_equal(record(&chain, &e), OUTCOME_EVIDENCE_INVALID);
    e = two_votes(&chain, 0, 3, 2); /* an epoch that had one validator */
    assert_int_equal(record(&chain, &e), OUTCOME_EVIDENCE_INVALID);
    e = two_votes(&chain, 1, 3, 2);
    e.offender = e.vote.voter = e.vote_again.voter = 3; /* framed */
    assert_int_equal(record(&chain, &e), OUTCOME_EVIDENCE_INVALID);
    fold_add_system(&chain, SYSTEM_EVIDENCE, (const uint8_t *)"no evidence", 11);
    fold_apply(&chain);
    assert_int_equal(outcome_of(&chain, 0), OUTCOME_EVIDENCE_INVALID);
    assert_int_equal(store_record_count(ledger_store(chain.ledger), TABLE_OFFENCES), 0);

    /* The ninth of a block is not looked at. */
    for (size_t i = 0; i < SYSTEM_EVIDENCE_MAX; i++) {
        fold_add_system(&chain, SYSTEM_EVIDENCE, (const uint8_t *)"no evidence", 11);
    }
    e = two_votes(&chain, 1, 3, 2);
    add_evidence(&chain, &e);
    fold_apply(&chain);
    assert_int_equal(chain.events.events.count, SYSTEM_EVIDENCE_MAX);
    assert_int_equal(offences_of(&chain, 1, 2, &offences), 0);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void evidence_has_a_window_of_epochs(void **state)
{
    (void)state;
    struct fold chain;
    struct offences offences;
    open_four(&chain, true);
    struct evidence first = two_votes(&chain, 1, 3, 0), second = two_votes(&chain, 1, 3, 1);
    struct evidence third = two_votes(&chain, 1, 3, 2);
    chain.step_us = 1000000;
    end_epoch(&chain);
    assert_int_equal(record(&chain, &first), OUTCOME_OK); /* epoch 2 */
    end_epoch(&chain);
    assert_int_equal(record(&chain, &second), OUTCOME_OK); /* epoch 3 */
    end_epoch(&chain);
    assert_int_equal(record(&chain, &third), OUTCOME_EVIDENCE_TOO_OLD);
    assert_int_equal(record(&chain, &first), OUTCOME_EVIDENCE_TOO_OLD);

    /* What is recorded stays as long as the set of its epoch. */
    while (chain.epoch < VALIDATOR_EPOCHS_KEPT) {
        end_epoch(&chain);
    }
    assert_int_equal(offences_of(&chain, 1, 0, &offences), 1);
    end_epoch(&chain);
    assert_int_equal(offences_of(&chain, 1, 0, &offences), 0);
    assert_int_equal(store_record_count(ledger_store(chain.ledger), TABLE_OFFENCES), 0);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void offences_of_a_validator_are_bounded(void **state)
{
    (void)state;
    struct fold chain;
    struct offences offences;
    open_four(&chain, true);
    for (uint64_t round = 1; round <= OFFENCES_MAX + 2; round++) {
        struct evidence e = two_votes(&chain, 1, round, 1);
        assert_int_equal(record(&chain, &e),
                         round <= OFFENCES_MAX ? OUTCOME_OK : OUTCOME_EVIDENCE_FULL);
    }
    assert_int_equal(offences_of(&chain, 1, 1, &offences), OFFENCES_MAX);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

/* ---- damage ---- */

static void an_undone_block_keeps_its_evidence_and_its_votes(void **state)
{
    (void)state;
    static const uint8_t SHORT[15] = {1};
    struct fold chain;
    struct offences offences;
    struct participation record_1;
    struct participant of[VALIDATORS_MAX];
    uint8_t pool[balance_key_bytes_max] = {0};
    open_four(&chain, false);
    fold_apply(&chain);
    pool_address(POOL_FEES, pool);
    OK(store_put(ledger_store(chain.ledger), TABLE_BALANCE, pool, SHORT, sizeof SHORT));
    struct evidence e = two_votes(&chain, 1, 3, 2);
    add_evidence(&chain, &e);
    fold_add_transfer(&chain, &chain.keys[1], 0, chain.keys[2].address, 5);
    apply_certified(&chain, 0xb);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_BLOCK_UNDONE);
    assert_int_equal(outcome_of(&chain, 0), OUTCOME_OK);
    assert_int_equal(chain.events.events.count, 2);
    assert_int_equal(offences_of(&chain, 1, 2, &offences), 1);
    counts_of(&chain, 1, &record_1, of);
    assert_int_equal(of[3].voted, 1);
    fold_close(&chain);
}

static void damaged_participation_raises_an_alarm_until_the_next_epoch(void **state)
{
    (void)state;
    static const uint8_t EPOCH_1[8] = {1}, BYTES[9] = {1};
    uint8_t value[participation_bytes_max], voters[2] = {1, 1};
    uint8_t participants[4 * participant_bytes_max] = {0}, recent[certified_bytes_max];
    struct certified certified = {.round = 1, .height = 1, .voters = {voters, 2}};
    struct writer w = writer_of(recent, sizeof recent);
    certified_write(&w, &certified);
    struct participation wide = {.participants = {participants, sizeof participants, 4},
                                 .recent = {recent, writer_bytes(&w), 1}};
    size_t count;
    OK(participation_encode(&wide, value, sizeof value, &count));
    for (size_t i = 0; i < 3; i++) {
        struct fold chain;
        struct participation record_1;
        struct participant of[VALIDATORS_MAX];
        open_four(&chain, false);
        struct store *store = ledger_store(chain.ledger);
        if (i == 0) OK(store_delete(store, TABLE_PARTICIPATION, EPOCH_1));
        if (i == 1) OK(store_put(store, TABLE_PARTICIPATION, EPOCH_1, BYTES, sizeof BYTES));
        if (i == 2) OK(store_put(store, TABLE_PARTICIPATION, EPOCH_1, value, count));
        fold_add_transfer(&chain, &chain.keys[1], 0, chain.keys[2].address, 5);
        apply_certified(&chain, 0xf);
        assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
        assert_int_equal(chain.alarms, 1);
        assert_string_equal(chain.alarm_invariant, "I42");
        chain.step_us = 1000000;
        end_epoch(&chain);
        unsigned alarms = chain.alarms;
        fold_apply(&chain);
        assert_int_equal(chain.alarms, alarms);
        counts_of(&chain, 2, &record_1, of);
        assert_int_equal(record_1.blocks, 1);
        fold_close(&chain);
    }
}

static void damaged_offences_are_left_alone_with_an_alarm(void **state)
{
    (void)state;
    static const uint8_t BYTES[9] = {1};
    struct fold chain;
    uint8_t key[offences_key_bytes_max];
    open_four(&chain, false);
    struct store *store = ledger_store(chain.ledger);
    store_u64(key, 1);
    memcpy(key + 8, made.set.key[2], 32);
    OK(store_put(store, TABLE_OFFENCES, key, BYTES, sizeof BYTES));
    struct evidence e = two_votes(&chain, 1, 3, 2);
    add_evidence(&chain, &e);
    fold_apply(&chain);
    assert_int_equal(outcome_of(&chain, 0), OUTCOME_EVIDENCE_INVALID);
    assert_int_equal(chain.alarms, 1);
    assert_string_equal(chain.alarm_invariant, "I18");
    assert_int_equal(store_get(store, TABLE_OFFENCES, key).count, sizeof BYTES);

    /* Without the set of the epoch there is nobody to convict. */
    static const uint8_t EPOCH_1[8] = {1};
    OK(store_put(store, TABLE_VALIDATORS, EPOCH_1, BYTES, sizeof BYTES));
    assert_int_equal(ledger_evidence(chain.ledger, &e), OUTCOME_EVIDENCE_INVALID);
    OK(store_delete(store, TABLE_VALIDATORS, EPOCH_1));
    assert_int_equal(ledger_evidence(chain.ledger, &e), OUTCOME_EVIDENCE_INVALID);
    fold_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_records_are_found_by_their_number),
        cmocka_unit_test(participation_counts_the_votes_of_certificates_and_the_proposers),
        cmocka_unit_test(participation_takes_nothing_from_other_certificates),
        cmocka_unit_test(a_late_vote_counts_once_while_its_block_is_recent),
        cmocka_unit_test(late_votes_beyond_the_bound_of_a_block_do_not_count),
        cmocka_unit_test(participation_stays_for_one_epoch_after_its_own),
        cmocka_unit_test(evidence_is_recorded_once_with_its_offender),
        cmocka_unit_test(evidence_that_proves_nothing_has_no_effect),
        cmocka_unit_test(evidence_has_a_window_of_epochs),
        cmocka_unit_test(offences_of_a_validator_are_bounded),
        cmocka_unit_test(an_undone_block_keeps_its_evidence_and_its_votes),
        cmocka_unit_test(damaged_participation_raises_an_alarm_until_the_next_epoch),
        cmocka_unit_test(damaged_offences_are_left_alone_with_an_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
