#include <assert.h>

#include "replica/replica_internal.h"

#define EXPECT(condition, text)                                                                    \
    do {                                                                                           \
        if (!(condition)) return text;                                                             \
    } while (0)

static const char *check_votes(const struct replica *replica)
{
    EXPECT(replica->signed_round >= replica->signed_before, "S6: signed_round fell");
    if (!replica->has_last_vote) return NULL;
    EXPECT(replica->last_vote.round <= replica->signed_round, "S3: vote above signed_round");
    uint64_t lock_round = replica->has_lock ? replica->lock.qc.round : 0;
    EXPECT(replica->state == STATE_IDLE || lock_round >= replica->last_vote.parent_round,
           "S4: lock below a voted parent");
    EXPECT(lock_round >= replica->lock_before, "S6: lock fell");
    EXPECT(replica->state != STATE_SIGN || replica->last_vote_lsn <= replica->durable_lsn,
           "S5: signing before the intent is durable");
    return NULL;
}

static const char *check_rounds(const struct replica *replica)
{
    uint64_t certified = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    EXPECT(replica->round == certified + 1, "S6: round is not the highest certificate's + 1");
    EXPECT(replica->round >= replica->round_before, "S6: round fell");
    EXPECT(replica->state == STATE_IDLE || replica->state == STATE_HALTED ||
               replica->round >= replica->signed_round,
           "S6: round below signed_round");
    EXPECT(replica->head.height >= replica->committed_before, "S6: committed height fell");
    EXPECT(replica->state != STATE_WAIT || replica->signed_round < replica->round,
           "S3: about to propose in a round that is signed");
    return NULL;
}

static const char *check_tree(const struct replica *replica)
{
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (!block->used) continue;
        EXPECT(block->parent == TREE_NONE || replica->tree[block->parent].used,
               "S7: a block hangs on nothing");
        const struct chain_point *parent = tree_point(replica, block->parent);
        EXPECT(block->point.height == parent->height + 1, "S7: height is not the parent's + 1");
        EXPECT(block->point.round > parent->round, "S2: round not above the parent's");
        EXPECT(block->point.time_us >= parent->time_us, "time went back");
        for (uint32_t k = 0; k < i; k++) {
            EXPECT(!replica->tree[k].used || replica->tree[k].point.round != block->point.round ||
                       replica->state == STATE_IDLE,
                   "S2: two blocks of one round");
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

static uint64_t oldest_needed_lsn(const struct replica *replica)
{
    uint64_t oldest = replica->next_lsn;
    if (replica->has_last_vote) oldest = replica->last_vote_lsn;
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->used && block->lsn < oldest) oldest = block->lsn;
    }
    return oldest;
}

void replica_view(const struct replica *replica, struct replica_view *view)
{
    static const char *const NAMES[] = {
        [STATE_IDLE] = "idle",       [STATE_WAIT] = "wait", [STATE_BODY] = "body",
        [STATE_PERSIST] = "persist", [STATE_SIGN] = "sign", [STATE_HALTED] = "halted"};
    *view =
        (struct replica_view){.epoch = replica->config.epoch,
                              .round = replica->round,
                              .signed_round = replica->signed_round,
                              .lock_round = replica->has_lock ? replica->lock.qc.round : 0,
                              .high_qc_round = replica->has_high_qc ? replica->high_qc.qc.round : 0,
                              .committed_height = replica->head.height,
                              .executed_height = replica->executed_height,
                              .uncommitted_count = tree_count(replica),
                              .wait_until_us = replica->wait_until_us,
                              .oldest_needed_lsn = oldest_needed_lsn(replica),
                              .next_lsn = replica->next_lsn,
                              .state = NAMES[replica->state]};
}

/* The branch ends in the block of this round if it is built already, else in the highest certified.
 */
static uint32_t branch_end(const struct replica *replica)
{
    bool built = replica->state == STATE_PERSIST || replica->state == STATE_SIGN;
    if (built) return replica->proposal;
    return replica->has_high_qc ? tree_find(replica, replica->high_qc.qc.block_id) : TREE_NONE;
}

void replica_uncommitted(const struct replica *replica,
                         void (*each)(void *context, const struct block *block), void *context)
{
    uint32_t path[REPLICA_TREE_MAX];
    uint32_t length = 0;
    for (uint32_t at = branch_end(replica); at != TREE_NONE; at = replica->tree[at].parent) {
        assert(length < REPLICA_TREE_MAX);
        path[length++] = at;
    }
    while (length > 0) {
        const struct tree_block *kept = &replica->tree[path[--length]];
        struct block block;
        enum status status = block_decode(kept->bytes, kept->count, &block);
        assert(status == STATUS_OK);
        each(context, &block);
    }
}
