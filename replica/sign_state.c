#include "replica/sign_state.h"

#include "replica/link.h"

SCHEMA_DEFINE(sign_proposal, SIGN_PROPOSAL_FIELDS, "a proposal as it is signed")
SCHEMA_DEFINE(sign_vote, SIGN_VOTE_FIELDS, "a vote as it is signed")
SCHEMA_DEFINE(sign_timeout, SIGN_TIMEOUT_FIELDS, "a timeout as it is signed")
SCHEMA_DEFINE(sign_state, SIGN_STATE_FIELDS, "what a consensus key has signed")

#define TAG_BYTES    8
#define PREFIX_BYTES (TAG_BYTES + HASH_BYTES)

static const char *const NAMES[SIGN_ANSWERS] = {
#define X(upper, lower, number, text) [number] = #lower,
    SIGN_ANSWER_LIST(X)
#undef X
};
static const char *const TEXTS[SIGN_ANSWERS] = {
#define X(upper, lower, number, text) [number] = text,
    SIGN_ANSWER_LIST(X)
#undef X
};

const char *sign_answer_name(enum sign_answer answer)
{
    return (unsigned)answer < SIGN_ANSWERS ? NAMES[answer] : "unknown";
}

const char *sign_answer_text(enum sign_answer answer)
{
    return (unsigned)answer < SIGN_ANSWERS ? TEXTS[answer] : "an answer of no known number";
}

void sign_state_start(struct sign_state *state, const uint8_t genesis_id[HASH_BYTES],
                      const uint8_t key[32])
{
    memset(state, 0, sizeof *state);
    memcpy(state->genesis_id, genesis_id, HASH_BYTES);
    memcpy(state->key, key, 32);
}

/* order: where (epoch, round) stands to another one: -1 below, 0 the same, 1 above. */
static int order(uint64_t epoch, uint64_t round, uint64_t other_epoch, uint64_t other_round)
{
    if (epoch != other_epoch) return epoch < other_epoch ? -1 : 1;
    if (round != other_round) return round < other_round ? -1 : 1;
    return 0;
}

static enum sign_answer judge_proposal(struct sign_state *state, struct bytes said, bool *is_new)
{
    struct sign_proposal next, *last = &state->proposal;
    if (sign_proposal_decode(said.at, said.count, &next) != STATUS_OK) return SIGN_FORM;
    if (state->has_proposal) {
        int place = order(next.epoch, next.round, last->epoch, last->round);
        if (place < 0) return SIGN_PROPOSAL_BELOW;
        if (place == 0) {
            bool same = memcmp(next.block_id, last->block_id, HASH_BYTES) == 0;
            return same ? SIGN_GRANTED : SIGN_PROPOSAL_TWICE;
        }
    }
    state->has_proposal = *is_new = true;
    *last = next;
    return SIGN_GRANTED;
}

static bool is_same_vote(const struct sign_vote *a, const struct sign_vote *b)
{
    return memcmp(a->block_id, b->block_id, HASH_BYTES) == 0 && a->height == b->height &&
           a->parent_round == b->parent_round &&
           memcmp(a->commit_id, b->commit_id, HASH_BYTES) == 0 &&
           a->commit_height == b->commit_height;
}

static enum sign_answer judge_vote(struct sign_state *state, struct bytes said, bool *is_new)
{
    struct sign_vote next, *last = &state->vote;
    const struct sign_timeout *timeout = &state->timeout;
    if (sign_vote_decode(said.at, said.count, &next) != STATUS_OK) return SIGN_FORM;
    if (next.parent_round >= next.round) return SIGN_FORM;
    if (state->has_vote) {
        int place = order(next.epoch, next.round, last->epoch, last->round);
        if (place < 0) return SIGN_VOTE_BELOW;
        if (place == 0) return is_same_vote(&next, last) ? SIGN_GRANTED : SIGN_VOTE_TWICE;
    }
    if (state->has_timeout && order(next.epoch, next.round, timeout->epoch, timeout->round) <= 0)
        return SIGN_VOTE_TIMED_OUT;
    bool fresh_epoch = !state->has_vote || last->epoch != next.epoch;
    if (fresh_epoch || state->lock_round < next.parent_round) state->lock_round = next.parent_round;
    state->has_vote = *is_new = true;
    *last = next;
    return SIGN_GRANTED;
}

static enum sign_answer judge_timeout(struct sign_state *state, struct bytes said, bool *is_new)
{
    struct sign_timeout next, *last = &state->timeout;
    const struct sign_vote *vote = &state->vote;
    if (sign_timeout_decode(said.at, said.count, &next) != STATUS_OK) return SIGN_FORM;
    if (next.hqc_round >= next.round) return SIGN_FORM;
    if (state->has_timeout) {
        int place = order(next.epoch, next.round, last->epoch, last->round);
        if (place < 0) return SIGN_TIMEOUT_BELOW;
        if (place == 0)
            return next.hqc_round == last->hqc_round ? SIGN_GRANTED : SIGN_TIMEOUT_TWICE;
    }
    if (state->has_vote) {
        if (order(next.epoch, next.round, vote->epoch, vote->round) < 0) return SIGN_TIMEOUT_BELOW;
        if (next.epoch == vote->epoch && next.hqc_round < state->lock_round)
            return SIGN_TIMEOUT_LOCK;
    }
    state->has_timeout = *is_new = true;
    *last = next;
    return SIGN_GRANTED;
}

enum sign_answer sign_state_judge(struct sign_state *state, struct bytes request, bool *is_new)
{
    *is_new = false;
    if (request.count < PREFIX_BYTES || request.count > SIGN_BYTES_MAX) return SIGN_FORM;
    struct bytes said = {request.at + PREFIX_BYTES, request.count - PREFIX_BYTES};
    const char *tag = (const char *)request.at;
    bool proposal = memcmp(tag, "cairn pr", TAG_BYTES) == 0;
    bool vote = memcmp(tag, "cairn vo", TAG_BYTES) == 0;
    bool timeout = memcmp(tag, "cairn to", TAG_BYTES) == 0;
    bool binding = memcmp(tag, "cairn nk", TAG_BYTES) == 0;
    if (!proposal && !vote && !timeout && !binding) return SIGN_FORM;
    if (memcmp(request.at + TAG_BYTES, state->genesis_id, HASH_BYTES) != 0) return SIGN_CHAIN;
    if (proposal) return judge_proposal(state, said, is_new);
    if (vote) return judge_vote(state, said, is_new);
    if (timeout) return judge_timeout(state, said, is_new);
    return request.count == LINK_CLAIM_SIGNED_BYTES ? SIGN_GRANTED : SIGN_FORM;
}
