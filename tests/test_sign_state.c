/* The sign state of a signer: no two signatures that contradict each other, whatever is asked, damaged or cut
 * off; and no refusal of what an honest node asks (that is shown by cairn-sim, too: tests/sim/judge.c). */
#include "tests/support_cmocka.h"

#include <stdlib.h>

#include "replica/link.h"
#include "replica/sign_file.h"
#include "tests/support_crash.h"
#include "tests/support_random.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define DIR            "validator"
#define PATH           DIR "/sign_state"
#define SAID_MAX       4096

static const uint8_t GENESIS[HASH_BYTES] = {1, 2, 3}, OTHER[HASH_BYTES] = {1, 2, 4};
static const uint8_t KEY[32] = {9, 8};

/* A statement; `about` is a vote's parent round or a timeout's hqc_round, `what` tells blocks apart. */
struct said {
    char kind; /* 'p', 'v', 't' */
    uint64_t epoch, round, about;
    uint8_t what;
    bool has_left; /* its signature; false: it was asked for when the disk failed */
};

struct log {
    struct said said[SAID_MAX];
    size_t count;
};

static struct bytes bytes_of(const struct said *said)
{
    static uint8_t out[SIGN_BYTES_MAX];
    uint8_t id[HASH_BYTES] = {said->what};
    if (said->kind == 'p') {
        proposal_signed_bytes(GENESIS, said->epoch, said->round, id, out);
        return (struct bytes){out, PROPOSAL_SIGNED_BYTES};
    }
    if (said->kind == 't') {
        timeout_signed_bytes(GENESIS, said->epoch, said->round, said->about, out);
        return (struct bytes){out, TIMEOUT_SIGNED_BYTES};
    }
    struct vote vote = {.epoch = said->epoch,
                        .round = said->round,
                        .height = said->round,
                        .parent_round = said->about};
    memcpy(vote.block_id, id, HASH_BYTES);
    vote_signed_bytes(GENESIS, &vote, out);
    return (struct bytes){out, VOTE_SIGNED_BYTES};
}

static bool is_same(const struct said *a, const struct said *b)
{
    return a->kind == b->kind && a->epoch == b->epoch && a->round == b->round &&
           a->about == b->about && a->what == b->what;
}

/* contradicts: an honest key never signs `next` once it has signed `first`. */
static bool contradicts(const struct said *first, const struct said *next)
{
    if (is_same(first, next)) return false;
    bool below =
        next->epoch < first->epoch || (next->epoch == first->epoch && next->round < first->round);
    bool same_round = next->epoch == first->epoch && next->round == first->round;
    if (first->kind == next->kind) return below || same_round;
    if (first->kind == 'p' || next->kind == 'p') return false;
    if (first->kind == 't') return below || same_round; /* a vote for what was given up */
    bool forgets = next->epoch == first->epoch && next->about < first->about;
    return below || forgets;
}

/* rival answers a statement that left and that the one at `at` contradicts, or NULL. */
static const struct said *rival(const struct log *log, size_t at)
{
    const struct said *own = &log->said[at];
    for (size_t i = 0; i < log->count; i++) {
        const struct said *other = &log->said[i];
        if (i == at || !other->has_left) continue;
        if (i < at ? contradicts(other, own) : contradicts(own, other)) return other;
    }
    return NULL;
}

static size_t find(const struct log *log, const struct said *said)
{
    size_t at = 0;
    while (at < log->count && !is_same(&log->said[at], said)) {
        at++;
    }
    return at;
}

/* note keeps statements in the order in which they came to be: a repeated one says nothing new. One that was
 * asked for when the disk failed came to be then, or when it is asked again. */
static void note(struct log *log, const struct said *said, bool has_left)
{
    size_t at = find(log, said);
    if (at < log->count && (log->said[at].has_left || !has_left)) return;
    if (at < log->count && rival(log, at)) {
        log->count--;
        memmove(&log->said[at], &log->said[at + 1], (log->count - at) * sizeof *said);
        at = log->count;
    }
    assert_true(at < SAID_MAX);
    if (at == log->count) log->count++;
    log->said[at] = *said;
    log->said[at].has_left = has_left;
    const struct said *old = has_left ? rival(log, at) : NULL;
    if (old)
        fail_msg("%c %d.%d about %d and %c %d.%d about %d", said->kind, (int)said->epoch,
                 (int)said->round, (int)said->about, old->kind, (int)old->epoch, (int)old->round,
                 (int)old->about);
}

static struct said any_said(uint64_t base)
{
    struct said said = {.kind = "pvt"[pick(3)],
                        .epoch = pick(16) == 0 ? 1 : 0,
                        .round = base + 1 + pick(4),
                        .what = (uint8_t)pick(2)};
    if (said.kind != 'p') said.about = said.round - 1 - pick(said.round < 3 ? 1 : 3);
    if (said.kind == 't') said.what = 0;
    return said;
}

/* ---- rules ---- */

static enum sign_answer judge(struct sign_state *state, char kind, uint64_t epoch, uint64_t round,
                              uint64_t about, uint8_t what)
{
    struct said said = {.kind = kind, .epoch = epoch, .round = round, .about = about, .what = what};
    bool is_new;
    struct sign_state before = *state;
    enum sign_answer answer = sign_state_judge(state, bytes_of(&said), &is_new);
    assert_true(is_new == (memcmp(&before, state, sizeof before) != 0));
    if (answer != SIGN_GRANTED) assert_false(is_new);
    return answer;
}

static void a_round_has_one_proposal_and_none_follows_below(void **unused)
{
    (void)unused;
    struct sign_state s;
    sign_state_start(&s, GENESIS, KEY);
    assert_int_equal(judge(&s, 'p', 0, 3, 0, 1), SIGN_GRANTED);
    assert_int_equal(judge(&s, 'p', 0, 3, 0, 1), SIGN_GRANTED);
    assert_int_equal(judge(&s, 'p', 0, 3, 0, 2), SIGN_PROPOSAL_TWICE);
    assert_int_equal(judge(&s, 'p', 0, 2, 0, 1), SIGN_PROPOSAL_BELOW);
    assert_int_equal(judge(&s, 'p', 0, 4, 0, 1), SIGN_GRANTED);
    assert_int_equal(judge(&s, 'p', 0, 3, 0, 1), SIGN_PROPOSAL_BELOW);
    assert_int_equal(judge(&s, 'p', 1, 1, 0, 1), SIGN_GRANTED);
    assert_int_equal(judge(&s, 'p', 0, 9, 0, 1), SIGN_PROPOSAL_BELOW);
}

static void a_round_has_one_vote_and_none_follows_below_or_what_was_timed_out(void **unused)
{
    (void)unused;
    struct sign_state s;
    sign_state_start(&s, GENESIS, KEY);
    assert_int_equal(judge(&s, 'v', 0, 3, 2, 1), SIGN_GRANTED);
    assert_int_equal(judge(&s, 'v', 0, 3, 2, 2), SIGN_VOTE_TWICE);
    assert_int_equal(judge(&s, 'v', 0, 3, 1, 1), SIGN_VOTE_TWICE);
    assert_int_equal(judge(&s, 'v', 0, 2, 1, 1), SIGN_VOTE_BELOW);
    assert_int_equal(judge(&s, 't', 0, 5, 2, 0), SIGN_GRANTED);
    assert_int_equal(judge(&s, 'v', 0, 5, 2, 1), SIGN_VOTE_TIMED_OUT);
    assert_int_equal(judge(&s, 'v', 0, 4, 2, 1), SIGN_VOTE_TIMED_OUT);
    assert_int_equal(judge(&s, 'v', 0, 3, 2, 1), SIGN_GRANTED); /* again */
    assert_int_equal(judge(&s, 'v', 0, 6, 2, 1), SIGN_GRANTED);
    assert_int_equal(judge(&s, 't', 0, 5, 2, 0), SIGN_GRANTED); /* again */
    assert_int_equal(judge(&s, 'v', 1, 1, 0, 1), SIGN_GRANTED);
    assert_int_equal(judge(&s, 'v', 0, 9, 2, 1), SIGN_VOTE_BELOW);
}

static void a_timeout_stands_alone_in_its_round_and_forgets_no_parent(void **unused)
{
    (void)unused;
    struct sign_state s;
    sign_state_start(&s, GENESIS, KEY);
    assert_int_equal(judge(&s, 'v', 0, 5, 4, 1), SIGN_GRANTED);
    assert_int_equal(judge(&s, 'v', 0, 8, 3, 1), SIGN_GRANTED); /* on an older parent, by a TC */
    assert_int_equal(judge(&s, 't', 0, 7, 4, 0), SIGN_TIMEOUT_BELOW);
    assert_int_equal(judge(&s, 't', 0, 8, 3, 0), SIGN_TIMEOUT_LOCK); /* the vote of round 5 */
    assert_int_equal(judge(&s, 't', 0, 8, 4, 0), SIGN_GRANTED);
    assert_int_equal(judge(&s, 't', 0, 8, 5, 0), SIGN_TIMEOUT_TWICE);
    assert_int_equal(judge(&s, 't', 0, 9, 3, 0), SIGN_TIMEOUT_LOCK);
    assert_int_equal(judge(&s, 't', 0, 9, 8, 0), SIGN_GRANTED);
    assert_int_equal(judge(&s, 't', 0, 8, 4, 0), SIGN_TIMEOUT_BELOW);
    assert_int_equal(judge(&s, 't', 1, 1, 0, 0), SIGN_GRANTED); /* another epoch, no lock */
    assert_int_equal(judge(&s, 'v', 1, 2, 0, 0), SIGN_GRANTED);
    assert_int_equal(judge(&s, 't', 1, 2, 0, 0), SIGN_GRANTED);
}

static void other_chains_and_other_forms_are_refused(void **unused)
{
    (void)unused;
    struct sign_state s, before;
    bool is_new;
    uint8_t b[SIGN_BYTES_MAX + 1], binding[LINK_CLAIM_SIGNED_BYTES];
    sign_state_start(&s, GENESIS, KEY);
    before = s;
    link_claim_signed_bytes(GENESIS, KEY, binding);
    struct bytes request = {binding, sizeof binding};
    assert_int_equal(sign_state_judge(&s, request, &is_new), SIGN_GRANTED);
    assert_false(is_new);
    link_claim_signed_bytes(OTHER, KEY, binding);
    assert_int_equal(sign_state_judge(&s, request, &is_new), SIGN_CHAIN);
    request.count--;
    link_claim_signed_bytes(GENESIS, KEY, binding);
    assert_int_equal(sign_state_judge(&s, request, &is_new), SIGN_FORM);
    static const struct said EACH[] = {
        {'p', 0, 3, 0, 1, true}, {'v', 0, 3, 2, 1, true}, {'t', 0, 3, 2, 0, true}};
    for (size_t i = 0; i < 3; i++) {
        struct bytes good = bytes_of(&EACH[i]);
        memset(b, 0, sizeof b);
        memcpy(b, good.at, good.count);
        for (size_t count = 0; count <= sizeof b; count++) { /* every other length */
            if (count == good.count) continue;
            assert_int_equal(sign_state_judge(&s, (struct bytes){b, count}, &is_new), SIGN_FORM);
        }
        b[7] ^= 0x20; /* another tag: what transactions and headers are signed under */
        assert_int_equal(sign_state_judge(&s, (struct bytes){b, good.count}, &is_new), SIGN_FORM);
        b[7] ^= 0x20;
        b[8] ^= 1;
        assert_int_equal(sign_state_judge(&s, (struct bytes){b, good.count}, &is_new), SIGN_CHAIN);
    }
    assert_int_equal(judge(&s, 'p', 0, 0, 0, 0), SIGN_FORM); /* the base has no signature */
    assert_int_equal(judge(&s, 't', 0, 3, 3, 0), SIGN_FORM);
    assert_int_equal(judge(&s, 'v', 0, 3, 3, 0), SIGN_FORM);
    assert_memory_equal(&s, &before, sizeof s);
}

static void no_two_grants_ever_contradict(void **unused)
{
    (void)unused;
    static struct log log;
    uint64_t granted = 0, refused[SIGN_ANSWERS] = {0};
    for (uint64_t run = 0; run < crash_share(2000, 20000, 200000); run++) {
        struct sign_state s;
        seed = run + 1;
        log.count = 0;
        sign_state_start(&s, GENESIS, KEY);
        for (uint64_t i = 0; i < 40; i++) {
            struct said said = any_said(i / 8);
            bool is_new;
            enum sign_answer answer = sign_state_judge(&s, bytes_of(&said), &is_new);
            refused[answer]++;
            if (answer != SIGN_GRANTED) continue;
            note(&log, &said, true);
            granted++;
            assert_int_equal(sign_state_judge(&s, bytes_of(&said), &is_new), SIGN_GRANTED);
            assert_false(is_new);
        }
    }
    assert_true(granted > 0);
    for (unsigned i = SIGN_PROPOSAL_TWICE; i <= SIGN_TIMEOUT_LOCK; i++) {
        assert_true(refused[i] > 0);
    }
}

/* ---- the file ---- */

static struct disk *fresh_disk(void)
{
    struct disk *disk;
    disk_open(&disk);
    struct io io = disk_io(disk);
    OK(io_mkdir(&io, DIR));
    OK(io_dir_sync(&io, "."));
    OK(sign_file_format(&io, DIR, PATH, GENESIS, KEY));
    return disk;
}

static enum status open_on(struct io *io, struct sign_file **file)
{
    const char *why;
    return sign_file_open(file, io, PATH, GENESIS, KEY, &why);
}

static void a_state_survives_and_belongs_to_one_chain_and_key(void **unused)
{
    (void)unused;
    struct disk *disk = fresh_disk();
    struct io io = disk_io(disk);
    struct sign_file *file;
    const char *why;
    struct said vote = {'v', 0, 3, 2, 1, true}, other = {'v', 0, 3, 2, 2, true};
    assert_int_equal(sign_file_format(&io, DIR, PATH, GENESIS, KEY), STATUS_EXISTS);
    for (int i = 0; i < 3; i++) {
        OK(open_on(&io, &file));
        struct sign_file *second;
        assert_int_equal(open_on(&io, &second), STATUS_LOCKED);
        assert_int_equal(sign_file_ask(file, bytes_of(&vote)), SIGN_GRANTED);
        assert_int_equal(sign_file_ask(file, bytes_of(&other)), SIGN_VOTE_TWICE);
        sign_file_close(file);
    }
    assert_int_equal(sign_file_open(&file, &io, PATH, OTHER, KEY, &why), STATUS_WRONG_CHAIN);
    assert_int_equal(sign_file_open(&file, &io, PATH, GENESIS, OTHER, &why), STATUS_WRONG_CHAIN);
    OK(io_unlink(&io, PATH));
    assert_int_equal(open_on(&io, &file), STATUS_AMNESIA);
    disk_close(disk);
}

/* Any byte of any copy: the state is what it was, or nothing is signed. Both copies of a half: nothing is. */
static void damage_is_found_and_never_guessed_around(void **unused)
{
    (void)unused;
    static const size_t COPIES[] = {0, 512, 4096, 4608};
    struct disk *disk = fresh_disk();
    struct io io = disk_io(disk);
    struct sign_file *file;
    struct said vote = {'v', 0, 3, 2, 1, true}, other = {'v', 0, 3, 2, 2, true};
    OK(open_on(&io, &file));
    assert_int_equal(sign_file_ask(file, bytes_of(&vote)), SIGN_GRANTED);
    sign_file_close(file);
    for (size_t i = 0; i < 4; i++) {
        for (size_t at = 0; at < SIGN_COPY_BYTES; at++) {
            struct disk *copy;
            disk_clone(disk, &copy);
            struct io on = disk_io(copy);
            disk_flip(copy, PATH, COPIES[i] + at, (uint8_t)(1 << at % 8));
            OK(open_on(&on, &file));
            assert_int_equal(sign_file_ask(file, bytes_of(&other)), SIGN_VOTE_TWICE);
            sign_file_close(file);
            OK(open_on(&on, &file)); /* it was repaired: */
            sign_file_close(file);
            disk_flip(copy, PATH, COPIES[i ^ 1] + at, 1);
            OK(open_on(&on, &file));
            sign_file_close(file);
            disk_flip(copy, PATH, COPIES[i] + at, 1);
            disk_flip(copy, PATH, COPIES[i ^ 1] + at, 1);
            assert_int_equal(open_on(&on, &file), STATUS_CORRUPT);
            disk_close(copy);
        }
    }
    uint8_t zeros[SIGN_FILE_BYTES + 1] = {0};
    disk_put(disk, PATH, zeros, SIGN_FILE_BYTES);
    assert_int_equal(open_on(&io, &file), STATUS_CORRUPT);
    disk_put(disk, PATH, zeros, SIGN_FILE_BYTES + 1);
    assert_int_equal(open_on(&io, &file), STATUS_AMNESIA);
    disk_put(disk, PATH, zeros, 0);
    assert_int_equal(open_on(&io, &file), STATUS_AMNESIA);
    disk_close(disk);
}

static void a_half_that_says_two_things_is_corrupt(void **unused)
{
    (void)unused;
    uint8_t bytes[SIGN_FILE_BYTES] = {0}, twin[SIGN_WRITE_BYTES];
    struct sign_record record = {.generation = 2}, found;
    const char *why;
    sign_state_start(&record.state, GENESIS, KEY);
    sign_record_copies(&record, bytes);
    record.generation = 3;
    sign_record_copies(&record, bytes + SIGN_HALF_BYTES);
    OK(sign_file_judge(bytes, &found, &why));
    assert_int_equal(found.generation, 3);
    record.state.lock_round = 1;
    sign_record_copies(&record, twin);
    memcpy(bytes + SIGN_HALF_BYTES, twin, SIGN_COPY_BYTES);
    assert_int_equal(sign_file_judge(bytes, &found, &why), STATUS_CORRUPT);
    /* A copy in another's place. */
    memcpy(bytes + SIGN_HALF_BYTES, twin, SIGN_WRITE_BYTES);
    OK(sign_file_judge(bytes, &found, &why));
    memcpy(bytes, twin, SIGN_WRITE_BYTES);
    assert_int_equal(sign_file_judge(bytes, &found, &why), STATUS_CORRUPT);
}

/* ---- cuts and faults ---- */

struct cut {
    struct log log;
    uint64_t seed, images;
    unsigned depth;
};

/* work asks for anything and notes what is granted, until the disk is gone. */
static void work(struct io *io, struct log *log, uint64_t base, uint64_t count)
{
    struct sign_file *file;
    bool broken = false;
    if (open_on(io, &file) != STATUS_OK) return;
    for (uint64_t i = 0; i < count; i++) {
        struct said said = any_said(base + i / 6);
        enum sign_answer answer = sign_file_ask(file, bytes_of(&said));
        if (broken) assert_int_equal(answer, SIGN_BROKEN);
        if (!broken && (answer == SIGN_BROKEN || answer == SIGN_GRANTED))
            note(log, &said, answer == SIGN_GRANTED);
        broken = answer == SIGN_BROKEN;
    }
    sign_file_close(file);
}

static void check_image(struct disk *image, void *context);

static void cut_in_recovery(struct disk *image, const struct cut *before)
{
    for (uint64_t nth = 1;; nth++) {
        struct cut *cut = malloc(sizeof *cut);
        struct disk *copy;
        *cut = *before;
        cut->depth = 2;
        disk_clone(image, &copy);
        struct io io = disk_io(copy);
        disk_crash_at_change(copy, nth);
        seed = before->seed + nth;
        work(&io, &cut->log, 2, 3);
        bool crashed = disk_crashed(copy);
        const struct crash_cut crash = {
            .most = 20, .turn = nth, .promise = cut->log.count, .depth = 2};
        if (crashed) crash_each(copy, &crash, check_image, cut);
        disk_close(copy);
        free(cut);
        if (!crashed) break;
    }
}

/* check_image: what lies there opens, remembers, and grants nothing that contradicts what ever left. */
static void check_image(struct disk *image, void *context)
{
    const struct cut *cut = context;
    struct log *log = malloc(sizeof *log);
    struct disk *copy;
    struct sign_file *file;
    *log = cut->log;
    disk_clone(image, &copy);
    struct io io = disk_io(copy);
    OK(open_on(&io, &file));
    if (log->count > 0) {
        struct said last = log->said[log->count - 1];
        bool again = sign_file_ask(file, bytes_of(&last)) == SIGN_GRANTED;
        if (last.has_left) assert_true(again);
        if (again) note(log, &last, true);
    }
    sign_file_close(file);
    seed = cut->seed * 3 + 1;
    work(&io, log, 0, 40);
    work(&io, log, 3, 20);
    disk_close(copy);
    free(log);
    if (cut->depth == 1) cut_in_recovery(image, cut);
}

static void power_cuts_leave_no_two_signatures_that_contradict(void **unused)
{
    (void)unused;
    for (uint64_t run = 0; run < crash_share(5, 100, 1000); run++) {
        for (uint64_t nth = 1;; nth++) {
            static struct cut cut;
            struct disk *disk = fresh_disk();
            struct io io = disk_io(disk);
            cut.log.count = 0;
            cut.depth = 1;
            seed = cut.seed = run + 1;
            disk_crash_at_change(disk, nth);
            work(&io, &cut.log, 0, 20);
            bool crashed = disk_crashed(disk);
            const struct crash_cut crash = {
                .most = 60, .turn = nth, .promise = (run << 20) + cut.log.count, .depth = 1};
            if (crashed) crash_each(disk, &crash, check_image, &cut);
            disk_close(disk);
            if (!crashed) break;
        }
    }
    crash_report();
    assert_true(crash_images() > 100);
}

/* A write or sync that fails: nothing more is answered, and whatever the disk kept contradicts nothing. */
static void a_failure_of_the_disk_ends_the_signing(void **unused)
{
    (void)unused;
    static const enum disk_fault FAULTS[] = {DISK_EIO, DISK_ENOSPC, DISK_SHORT_WRITE};
    for (size_t f = 0; f < sizeof FAULTS / sizeof FAULTS[0]; f++) {
        for (uint64_t run = 0; run < 40 * 50; run++) {
            uint64_t nth = 1 + run % 40;
            static struct log log;
            struct disk *disk = fresh_disk();
            struct io io = disk_io(disk);
            log.count = 0;
            seed = run + 1;
            disk_fault(disk, nth, FAULTS[f], false);
            work(&io, &log, 0, 20);
            disk_faults_clear(disk);
            work(&io, &log, 0, 40);
            disk_crash(disk);
            struct disk *image;
            disk_crash_image(disk, DISK_CHOICE_NONE, &image);
            struct io on = disk_io(image);
            work(&on, &log, 1, 40);
            disk_close(image);
            disk_close(disk);
        }
    }
}

int main(void)
{
    if (hash_init() != STATUS_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_has_one_proposal_and_none_follows_below),
        cmocka_unit_test(a_round_has_one_vote_and_none_follows_below_or_what_was_timed_out),
        cmocka_unit_test(a_timeout_stands_alone_in_its_round_and_forgets_no_parent),
        cmocka_unit_test(other_chains_and_other_forms_are_refused),
        cmocka_unit_test(no_two_grants_ever_contradict),
        cmocka_unit_test(a_state_survives_and_belongs_to_one_chain_and_key),
        cmocka_unit_test(damage_is_found_and_never_guessed_around),
        cmocka_unit_test(a_half_that_says_two_things_is_corrupt),
        cmocka_unit_test(power_cuts_leave_no_two_signatures_that_contradict),
        cmocka_unit_test(a_failure_of_the_disk_ends_the_signing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
