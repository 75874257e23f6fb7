#include <assert.h>

#include "replica/replica_internal.h"

#define EXPECT(condition, text)                                                                    \
    do {                                                                                           \
        if (!(condition)) return text;                                                             \
    } while (0)

static const char *check_votes(const struct replica *replica)
{
    bool same = replica->config.epoch.number == replica->epoch_before;
    uint64_t lock_round = replica->has_lock ? replica->lock.qc.round : 0;
    if (same) {
        EXPECT(replica->signed_round >= replica->signed_before, "S6: signed_round fell");
        EXPECT(lock_round >= replica->lock_before, "S6: lock fell");
    }
    if (replica->has_last_vote) {
        EXPECT(replica->last_vote.round <= replica->signed_round, "S3: vote above signed_round");
        EXPECT(!replica->started || lock_round >= replica->last_vote.parent_round,
               "S4: lock below a voted parent");
    }
    if (replica->has_last_timeout) {
        EXPECT(replica->last_timeout.round <= replica->signed_round,
               "S3: timeout above signed_round");
    }
    EXPECT(replica->vote.sign_id == 0 || replica->vote.lsn <= replica->durable_lsn,
           "S5: signing before the intent is durable");
    EXPECT(replica->timeout.sign_id == 0 || replica->timeout.lsn <= replica->durable_lsn,
           "S5: signing before the intent is durable");
    EXPECT(replica->propose.sign_id == 0 || replica->propose.lsn <= replica->durable_lsn,
           "S5: proposing before the reservation is durable");
    return NULL;
}

static const char *check_rounds(const struct replica *replica)
{
    uint64_t certified = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    uint64_t failed = replica->has_high_tc ? replica->high_tc.tc.round : 0;
    uint64_t entered = certified > failed ? certified : failed;
    EXPECT(replica->round == entered + 1, "S6: round is not the highest certificate's + 1");
    EXPECT(replica->config.epoch.number >= replica->epoch_before, "S6: epoch fell");
    if (replica->config.epoch.number == replica->epoch_before)
        EXPECT(replica->round >= replica->round_before, "S6: round fell");
    if (replica->started && !replica->halted &&
        replica->safety_epoch == replica->config.epoch.number) {
        EXPECT(replica->rejoins || replica->round >= replica->signed_round,
               "S6: round below signed_round");
        EXPECT(replica->rejoins || !replica->has_lock || certified >= replica->lock.qc.round,
               "S6: lock above the highest certificate");
    }
    EXPECT(replica->head.height >= replica->committed_before, "S6: committed height fell");
    return NULL;
}

static const char *check_tree(const struct replica *replica)
{
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->stage != BLOCK_LINKED) continue;
        EXPECT(block->parent == TREE_NONE || replica->tree[block->parent].stage == BLOCK_LINKED,
               "S7: a block hangs on nothing");
        const struct chain_point *parent = tree_point(replica, block->parent);
        EXPECT(block->point.height == parent->height + 1, "S7: height is not the parent's + 1");
        EXPECT(block->point.round > parent->round, "S2: round not above the parent's");
        EXPECT(block->point.time_us >= parent->time_us, "time went back");
        for (uint32_t k = 0; k < i; k++) {
            EXPECT(replica->tree[k].stage != BLOCK_LINKED || !replica->tree[k].certified ||
                       !block->certified || replica->tree[k].header.round != block->header.round,
                   "S2: two certified blocks of one round");
        }
    }
    EXPECT(!replica->has_executed || replica->executed_height <= replica->head.height,
           "S7: executed above the committed head");
    return NULL;
}

const char *replica_check(const struct replica *replica)
{
    const char *fault = check_votes(replica);
    if (!fault) fault = check_rounds(replica);
    if (!fault) fault = check_tree(replica);
    return fault;
}

/* A vote promises that its block stays on this disk until the chain log holds it. */
static uint64_t oldest_needed_lsn(const struct replica *replica)
{
    uint64_t oldest = replica->next_lsn;
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->stage != BLOCK_FREE && block->lsn != 0 && block->lsn < oldest)
            oldest = block->lsn;
    }
    return oldest;
}

static const char *state_name(const struct replica *replica)
{
    if (!replica->started) return "idle";
    if (replica->halted) return "halted";
    if (replica->ended) return "ending";
    if (replica->guard_until_us != 0) return "guard";
    if (replica->has_last_timeout && replica->last_timeout.round >= replica->round)
        return "timed out";
    return leader_of(replica->leaders, replica->round) == replica->self ? "lead" : "follow";
}

void replica_view(const struct replica *replica, struct replica_view *view)
{
    *view =
        (struct replica_view){.epoch = replica->config.epoch.number,
                              .round = replica->round,
                              .signed_round = replica->signed_round,
                              .asked_round = replica->asked_round,
                              .reserve_round = replica->reserve_round,
                              .lock_round = replica->has_lock ? replica->lock.qc.round : 0,
                              .high_qc_round = replica->has_high_qc ? replica->high_qc.qc.round : 0,
                              .high_tc_round = replica->has_high_tc ? replica->high_tc.tc.round : 0,
                              .committed_height = replica->head.height,
                              .executed_height = replica->executed_height,
                              .uncommitted_count = tree_count(replica),
                              .timer_us = replica->timer_us,
                              .oldest_needed_lsn = oldest_needed_lsn(replica),
                              .next_lsn = replica->next_lsn,
                              .leads = leader_of(replica->leaders, replica->round) == replica->self,
                              .halted = replica->halted,
                              .syncing = fetch_is_behind(replica),
                              .state = state_name(replica)};
}

/* The next proposal extends the block of this round if it is built already, else the highest certified
 * one. */
static uint32_t branch_end(const struct replica *replica)
{
    uint32_t slot;
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->stage == BLOCK_LINKED && block->header.round == replica->round &&
            block->lsn != 0) {
            return i;
        }
    }
    return propose_parent(replica, &slot) ? slot : TREE_NONE;
}

void replica_branch(const struct replica *replica, const uint8_t *id,
                    void (*each)(void *context, const struct block *block), void *context)
{
    uint32_t path[REPLICA_TREE_MAX], length = 0;
    uint32_t at = id ? tree_find(replica, id) : branch_end(replica);
    for (; at != TREE_NONE && replica->tree[at].stage == BLOCK_LINKED;
         at = replica->tree[at].parent) {
        assert(length < REPLICA_TREE_MAX);
        path[length++] = at;
    }
    while (length > 0) {
        struct bytes bytes = tree_bytes(&replica->tree[path[--length]]);
        struct block block;
        enum status status = block_decode(bytes.at, bytes.count, &block);
        assert(status == STATUS_OK);
        each(context, &block);
    }
}

uint16_t replica_leader(const struct replica *replica, uint64_t round)
{
    return leader_of(replica->leaders, round);
}

bool replica_knows(const struct replica *replica, const uint8_t id[HASH_BYTES])
{
    uint32_t at = tree_find(replica, id);
    return at != TREE_NONE && replica->tree[at].stage != BLOCK_CHECKING;
}

struct bytes replica_block(const struct replica *replica, const uint8_t id[HASH_BYTES])
{
    uint32_t at = tree_find(replica, id);
    if (at == TREE_NONE || replica->tree[at].stage != BLOCK_LINKED) return (struct bytes){NULL, 0};
    return tree_bytes(&replica->tree[at]);
}
