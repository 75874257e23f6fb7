/* Evidence as a pure function of bytes: what contradicts itself, and who signed it. */
#include "apply/evidence.h"

#include "tests/support_cmocka.h"
#include "tests/support_validators.h"

static const uint8_t GENESIS[HASH_BYTES] = {0xab};
static struct signers made;

static struct vote some_vote(void)
{
    return (struct vote){.epoch = 3,
                         .round = 9,
                         .block_id = {1},
                         .height = 7,
                         .parent_round = 8,
                         .commit_id = {2},
                         .commit_height = 6};
}

static struct evidence two_votes(void)
{
    struct evidence e = {.kind = EVIDENCE_VOTES,
                         .epoch = 3,
                         .round = 9,
                         .offender = 2,
                         .has_vote = true,
                         .has_vote_again = true};
    e.vote = e.vote_again = some_vote();
    e.vote_again.block_id[31] = 1;
    sign_vote(&made, GENESIS, &e.vote, 2);
    sign_vote(&made, GENESIS, &e.vote_again, 2);
    return e;
}

static struct evidence two_proposals(void)
{
    struct evidence e = {.kind = EVIDENCE_PROPOSALS,
                         .epoch = 3,
                         .round = 9,
                         .offender = 1,
                         .has_proposal = true,
                         .has_proposal_again = true,
                         .proposal = {.id = {1}},
                         .proposal_again = {.id = {2}}};
    sign_proposal(&made, GENESIS, 3, 9, &e.proposal, 1);
    sign_proposal(&made, GENESIS, 3, 9, &e.proposal_again, 1);
    return e;
}

static struct evidence broken_lock(void)
{
    struct evidence e = {.kind = EVIDENCE_LOCK,
                         .epoch = 3,
                         .round = 9,
                         .offender = 0,
                         .has_vote = true,
                         .has_timeout = true,
                         .vote = some_vote(),
                         .timeout = {.epoch = 3, .round = 9, .hqc_round = 7}};
    sign_vote(&made, GENESIS, &e.vote, 0);
    sign_timeout(&made, GENESIS, &e.timeout, 0);
    return e;
}

static void evidence_of_each_kind_holds(void **state)
{
    (void)state;
    const struct evidence all[] = {two_votes(), two_proposals(), broken_lock()};
    for (size_t i = 0; i < 3; i++) {
        uint8_t bytes[evidence_bytes_max];
        size_t count;
        struct evidence again;
        assert_int_equal(evidence_encode(&all[i], bytes, sizeof bytes, &count), STATUS_OK);
        assert_int_equal(evidence_decode(bytes, count, &again), STATUS_OK);
        assert_int_equal(evidence_verify(&again, &made.set, GENESIS), STATUS_OK);
    }
}

/* vary changes the n-th thing that a judge must look at; false: there are no more. */
static bool vary(struct evidence *e, unsigned n)
{
    switch (n) {
    case 0: e->has_vote = !e->has_vote; return true;
    case 1: e->has_vote_again = !e->has_vote_again; return true;
    case 2: e->has_proposal = !e->has_proposal; return true;
    case 3: e->has_proposal_again = !e->has_proposal_again; return true;
    case 4: e->has_timeout = !e->has_timeout; return true;
    case 5: e->kind = e->kind == 0 ? 1 : 0; return true;
    default: return false;
    }
}

static void evidence_has_exactly_its_statements(void **state)
{
    (void)state;
    const struct evidence all[] = {two_votes(), two_proposals(), broken_lock()};
    for (size_t i = 0; i < 3; i++) {
        struct evidence e = all[i];
        for (unsigned n = 0; vary(&e, n); n++, e = all[i]) {
            assert_int_equal(evidence_check(&e), STATUS_BAD_PROOF);
            assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_PROOF);
        }
    }
}

#define REFUSED(make, change)                                                                      \
    do {                                                                                           \
        struct evidence e = make();                                                                \
        assert_int_equal(evidence_check(&e), STATUS_OK);                                           \
        change;                                                                                    \
        assert_int_equal(evidence_check(&e), STATUS_BAD_PROOF);                                    \
    } while (0)

static void votes_must_be_of_one_round_and_differ(void **state)
{
    (void)state;
    REFUSED(two_votes, e.vote.epoch++);
    REFUSED(two_votes, e.vote_again.epoch++);
    REFUSED(two_votes, e.vote.round++);
    REFUSED(two_votes, e.vote_again.round++);
    REFUSED(two_votes, e.vote.voter++);
    REFUSED(two_votes, e.vote_again.voter++);
    REFUSED(two_votes, e.round++);
    REFUSED(two_votes, e.vote_again = e.vote);
    REFUSED(two_votes, struct vote first = e.vote; e.vote = e.vote_again; e.vote_again = first);
}

static void proposals_must_differ_and_ascend(void **state)
{
    (void)state;
    REFUSED(two_proposals, e.proposal_again = e.proposal);
    REFUSED(two_proposals, e.proposal.id[0] = 3);
}

static void a_lock_is_broken_only_by_an_older_certificate_at_or_after_the_vote(void **state)
{
    (void)state;
    REFUSED(broken_lock, e.timeout.hqc_round = 8); /* knows the parent's certificate */
    REFUSED(broken_lock, e.timeout.round = 8);     /* gave up before it voted */
    REFUSED(broken_lock, e.vote.epoch++);
    REFUSED(broken_lock, e.timeout.epoch++);
    REFUSED(broken_lock, e.vote.round = 8);
    REFUSED(broken_lock, e.vote.voter = 1);
    REFUSED(broken_lock, e.timeout.voter = 1);
}

static void evidence_needs_every_signature_of_the_offender(void **state)
{
    (void)state;
    struct evidence e = two_votes();
    e.vote.signature[5] ^= 1;
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_SIGNATURE);
    e = two_votes();
    e.vote_again.signature[5] ^= 1;
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_SIGNATURE);
    e = two_proposals();
    e.proposal.signature[5] ^= 1;
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_SIGNATURE);
    e = two_proposals();
    e.proposal_again.signature[5] ^= 1;
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_SIGNATURE);
    e = two_proposals();
    e.epoch++; /* proposals say neither epoch nor round but in what is signed */
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_SIGNATURE);
    e = broken_lock();
    e.timeout.signature[5] ^= 1;
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_SIGNATURE);
    e = broken_lock();
    e.vote.signature[5] ^= 1;
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_SIGNATURE);

    /* Another chain, another validator, nobody. */
    uint8_t other[HASH_BYTES] = {0xac};
    e = two_votes();
    assert_int_equal(evidence_verify(&e, &made.set, other), STATUS_BAD_SIGNATURE);
    e.offender = e.vote.voter = e.vote_again.voter = 1;
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_SIGNATURE);
    e.offender = e.vote.voter = e.vote_again.voter = 4;
    assert_int_equal(evidence_verify(&e, &made.set, GENESIS), STATUS_BAD_PROOF);
}

static void votes_are_ordered_by_each_field(void **state)
{
    (void)state;
    const struct vote low = some_vote();
    struct vote v[7] = {low, low, low, low, low, low, low};
    v[0].epoch++;
    v[1].round++;
    v[2].block_id[0]++;
    v[3].height++;
    v[4].parent_round++;
    v[5].commit_id[0]++;
    v[6].commit_height++;
    for (size_t i = 0; i < 7; i++) {
        assert_true(vote_compare(&low, &v[i]) < 0);
        assert_true(vote_compare(&v[i], &low) > 0);
        for (size_t later = i + 1; later < 7; later++) {
            assert_true(vote_compare(&v[later], &v[i]) < 0); /* the first difference decides */
        }
    }
    v[0] = low;
    v[0].voter = 9;
    v[0].signature[0] = 1;
    assert_int_equal(vote_compare(&low, &v[0]), 0);
}

static int setup(void **state)
{
    (void)state;
    signers_make(&made, 1, 4, 10);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_of_each_kind_holds),
        cmocka_unit_test(evidence_has_exactly_its_statements),
        cmocka_unit_test(votes_must_be_of_one_round_and_differ),
        cmocka_unit_test(proposals_must_differ_and_ascend),
        cmocka_unit_test(a_lock_is_broken_only_by_an_older_certificate_at_or_after_the_vote),
        cmocka_unit_test(evidence_needs_every_signature_of_the_offender),
        cmocka_unit_test(votes_are_ordered_by_each_field),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
