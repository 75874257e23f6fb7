/* F15. Requests to a signer, in any cut and with any damage, and its state file: whatever comes, no two granted
 * statements contradict each other, the last one of each kind is granted again, and no damaged copy is believed.
 *
 * Input: part (1), then
 *   requests   operations of 6 bytes: kind, epoch and round, about, what, cut, damage; each becomes a frame
 *   file       the place (2), and bytes laid over a good state file there */
#include "replica/link.h"
#include "replica/signer_wire.h"
#include "tests/fuzz/harness.h"

#define OPERATION_BYTES 6
#define SAID_MAX        2048

static const uint8_t GENESIS[HASH_BYTES] = {1, 2, 3}, KEY[32] = {9};

struct said {
    uint8_t kind, what; /* 0 proposal, 1 vote, 2 timeout */
    uint64_t epoch, round, about;
};
static struct said granted[SAID_MAX];
static size_t granted_count;
static struct sign_state state;

static bool is_same(const struct said *a, const struct said *b)
{
    return a->kind == b->kind && a->what == b->what && a->epoch == b->epoch &&
           a->round == b->round && a->about == b->about;
}

/* contradicts, in the words of apply/evidence.h and of the protocol: `next` was granted after `first`. */
static bool contradicts(const struct said *first, const struct said *next)
{
    bool older =
        next->epoch < first->epoch || (next->epoch == first->epoch && next->round < first->round);
    bool same = next->epoch == first->epoch && next->round == first->round;
    if (first->kind == next->kind) return older || same;
    if (first->kind == 0 || next->kind == 0) return false;
    if (first->kind == 2) return older || same;
    return older || (next->epoch == first->epoch && next->about < first->about);
}

static void note(const struct said *said)
{
    for (size_t i = 0; i < granted_count; i++) {
        if (is_same(&granted[i], said)) return;
    }
    for (size_t i = 0; i < granted_count; i++) {
        REQUIRE(!contradicts(&granted[i], said));
    }
    if (granted_count < SAID_MAX) granted[granted_count++] = *said;
}

static size_t statement(const struct said *said, uint8_t out[SIGN_BYTES_MAX])
{
    uint8_t id[HASH_BYTES] = {said->what};
    struct vote vote = {
        .epoch = said->epoch, .round = said->round, .height = 1, .parent_round = said->about};
    memcpy(vote.block_id, id, HASH_BYTES);
    if (said->kind == 0) proposal_signed_bytes(GENESIS, said->epoch, said->round, id, out);
    if (said->kind == 1) vote_signed_bytes(GENESIS, &vote, out);
    if (said->kind == 2) timeout_signed_bytes(GENESIS, said->epoch, said->round, said->about, out);
    static const size_t COUNTS[] = {PROPOSAL_SIGNED_BYTES, VOTE_SIGNED_BYTES, TIMEOUT_SIGNED_BYTES};
    return COUNTS[said->kind];
}

/* judge_message is what signer_answer_frame does before it signs. `said`: what was sent, NULL: nobody knows. */
static void judge_message(struct bytes message, const struct said *said)
{
    struct signer_request_message request;
    bool is_new, again;
    enum status status = signer_request_message_decode(message.at, message.count, &request);
    REQUIRE(status == schema_check(&signer_request_message_schema, message.at, message.count));
    if (said) REQUIRE(status == STATUS_OK);
    if (status != STATUS_OK) return;
    const struct sign_state before = state;
    enum sign_answer answer = sign_state_judge(&state, request.bytes, &is_new);
    if (answer != SIGN_GRANTED) REQUIRE(!is_new && memcmp(&before, &state, sizeof state) == 0);
    if (answer != SIGN_GRANTED) return;
    REQUIRE(sign_state_judge(&state, request.bytes, &again) == SIGN_GRANTED && !again);
    if (said) note(said);
}

/* send_cut brings a frame in two parts. It is taken once, whole, unless it was damaged. */
static bool send_cut(struct signer_inbox *inbox, const uint8_t *frame, size_t count, size_t cut,
                     const struct said *said)
{
    const uint8_t *at = frame;
    size_t taken = 0;
    for (int part = 0; part < 2; part++) {
        size_t left = part == 0 ? cut : count - cut;
        while (left > 0) {
            struct bytes message;
            size_t before = left;
            if (signer_inbox_take(inbox, &at, &left, &message) != STATUS_OK) {
                REQUIRE(!said);
                return false;
            }
            REQUIRE(message.count <= SIGNER_MESSAGE_MAX && left <= before);
            REQUIRE(message.count > 0 || left == 0);
            if (message.count > 0) judge_message(message, said);
            taken += message.count > 0;
        }
    }
    if (said) REQUIRE(taken == 1);
    return true;
}

static void run_requests(struct fuzz_input *input)
{
    static struct signer_inbox inbox;
    bool damaged = false; /* since the inbox was empty: frames may lie anywhere */
    granted_count = 0;
    inbox.count = 0;
    sign_state_start(&state, GENESIS, KEY);
    while (input->left >= OPERATION_BYTES) {
        uint8_t bytes[SIGN_BYTES_MAX], frame[SIGNER_FRAME_MAX];
        uint8_t kind = fuzz_u8(input), when = fuzz_u8(input), about = fuzz_u8(input);
        uint8_t what = fuzz_u8(input), cut = fuzz_u8(input), damage = fuzz_u8(input);
        struct said said = {.kind = kind % 3, .epoch = when >> 6, .round = 1 + (when & 15)};
        if (said.kind != 2) said.what = what % 4;
        if (said.kind != 0) said.about = about % said.round;
        size_t count = statement(&said, bytes);
        signer_request_frame(when, (struct bytes){bytes, count}, frame, &count);
        if (damage >= 224) {
            frame[((size_t)about * 256 + what % 8) % count] ^= (uint8_t)(1 << (damage & 7));
            damaged = true;
        }
        bool lives = send_cut(&inbox, frame, count, cut % (count + 1), damaged ? NULL : &said);
        if (!lives) { /* the connection ends, and another begins */
            inbox.count = 0;
            damaged = false;
        }
        if (damaged) return; /* what was granted is no longer known by name */
    }
}

static void run_file(struct fuzz_input *input)
{
    uint8_t good[SIGN_FILE_BYTES] = {0}, bytes[SIGN_FILE_BYTES], again[SIGN_WRITE_BYTES];
    struct sign_record older = {.generation = 6}, newer = {.generation = 7}, found;
    const char *why;
    sign_state_start(&older.state, GENESIS, KEY);
    newer.state = older.state;
    newer.state.lock_round = 3;
    sign_record_copies(&older, good);
    sign_record_copies(&newer, good + SIGN_HALF_BYTES);
    memcpy(bytes, good, sizeof bytes);
    size_t at = fuzz_u16(input) % SIGN_FILE_BYTES, room = SIGN_FILE_BYTES - at;
    if (input->left > 0) memcpy(bytes + at, input->at, input->left < room ? input->left : room);
    if (sign_file_judge(bytes, &found, &why) != STATUS_OK) {
        REQUIRE(why != NULL);
        return;
    }
    /* A copy that is believed is one that a signer wrote, at its place. */
    size_t half = found.generation % 2 * SIGN_HALF_BYTES;
    sign_record_copies(&found, again);
    REQUIRE(memcmp(bytes + half, again, SIGN_COPY_BYTES) == 0 ||
            memcmp(bytes + half + SIGN_COPY_BYTES, again + SIGN_COPY_BYTES, SIGN_COPY_BYTES) == 0);
}

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
}

static void run(const uint8_t *data, size_t count)
{
    struct fuzz_input input = {data, count};
    if (fuzz_u8(&input) % 8 == 7)
        run_file(&input);
    else
        run_requests(&input);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    uint8_t operation[OPERATION_BYTES];
    fuzz_fill(random, operation, sizeof operation);
    if (!fuzz_odds(random, 8)) operation[5] = 0;
    if (!fuzz_odds(random, 4)) operation[1] &= 15;
    if (count == 0) {
        data[0] = 0;
        count = 1;
    }
    if (fuzz_odds(random, 8)) return fuzz_mutate_bytes(data, count, capacity);
    size_t places = (count - 1) / OPERATION_BYTES;
    size_t at = 1 + fuzz_below(random, places + 1) * OPERATION_BYTES;
    size_t old = at + OPERATION_BYTES <= count && fuzz_odds(random, 2) ? OPERATION_BYTES : 0;
    return fuzz_splice(data, count, capacity, at, old, operation, sizeof operation);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 4096,
    .allocation_base = 0,
    .allocation_factor = 0,
    .init = init,
    .run = run,
    .mutate = mutate,
};
