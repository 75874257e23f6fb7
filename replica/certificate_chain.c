/* Chains: what ancestry decides about a block. */
#include <assert.h>

#include "replica/certificate.h"

void chain_rules_of(const struct chain_epoch *epoch, uint8_t leaders[LEADER_SLOTS],
                    struct chain_rules *rules)
{
    leader_table_build(&epoch->set, epoch->base_id, leaders);
    *rules = (struct chain_rules){.set = &epoch->set,
                                  .set_before = epoch->number > 0 ? &epoch->set_before : NULL,
                                  .leaders = leaders,
                                  .block_interval_us = epoch->block_interval_us,
                                  .body_bytes_max = epoch->body_bytes_max,
                                  .uncommitted_rounds_max = epoch->uncommitted_rounds_max};
}

void chain_point_base(struct chain_point *point, uint64_t epoch, uint64_t height, uint64_t time_us,
                      const uint8_t id[HASH_BYTES])
{
    *point = (struct chain_point){.epoch = epoch,
                                  .height = height,
                                  .time_us = time_us,
                                  .exec_height = height,
                                  .parent_exec_height = height,
                                  .commit_height = height,
                                  .commit_exec_height = height,
                                  .target_exec_height = height,
                                  .busy_height = height};
    memcpy(point->id, id, HASH_BYTES);
}

static bool header_is_busy(const struct header *header)
{
    return header->body_bytes > BODY_EMPTY_BYTES;
}

/* Fills what the header and its justification say by themselves. */
static void point_from_header(struct chain_point *point, const struct header *header,
                              const uint8_t id[HASH_BYTES])
{
    point->epoch = header->epoch;
    point->height = header->height;
    point->time_us = header->time_us;
    point->round = header->round;
    point->parent_round = header->parent_round;
    point->flags = header->flags;
    point->exec_height = header->exec_height;
    memcpy(point->id, id, HASH_BYTES);
    point->target_height = 0;
    memset(point->target_id, 0, HASH_BYTES);
    if (header->parent_round >= 1 && header->parent_round + 1 == header->round) {
        point->target_height = header->height - 1;
        memcpy(point->target_id, header->parent_id, HASH_BYTES);
    }
}

void chain_point_next(const struct chain_point *parent, const struct header *header,
                      const uint8_t id[HASH_BYTES], const struct justify *justify,
                      struct chain_point *point)
{
    struct chain_point next = *parent;
    point_from_header(&next, header, id);
    next.parent_exec_height = parent->exec_height;
    if (parent->end_height != 0 && next.target_height != 0) {
        next.target_height = parent->end_height;
        memcpy(next.target_id, parent->end_id, HASH_BYTES);
    }
    /* The certificate of the parent commits the parent's target: C of this block. */
    if (justify->kind == 0 && justify->has_qc &&
        justify->qc.commit_height > parent->commit_height) {
        bool names_end = parent->end_height != 0 && justify->qc.commit_height == parent->end_height;
        next.commit_height = justify->qc.commit_height;
        next.commit_round = names_end ? parent->end_round : justify->qc.parent_round;
        next.commit_exec_height = names_end ? parent->exec_height : parent->parent_exec_height;
    }
    next.target_exec_height =
        next.target_height != 0 ? parent->exec_height : next.commit_exec_height;
    if (header_is_busy(header)) next.busy_height = header->height;
    if (header->flags & BLOCK_EPOCH_END) {
        next.end_height = header->height;
        next.end_round = header->round;
        memcpy(next.end_id, id, HASH_BYTES);
    }
    *point = next;
}

enum status chain_point_resume(const struct header *header, const uint8_t id[HASH_BYTES],
                               const struct justify *justify, struct chain_point *point)
{
    memset(point, 0, sizeof *point);
    point_from_header(point, header, id);
    point->busy_height = header_is_busy(header) ? header->height : header->height - 1;
    if (justify->kind == 0 && justify->qc.commit_height != 0) {
        point->commit_height = justify->qc.commit_height;
        point->commit_round = justify->qc.parent_round;
        return STATUS_OK;
    }
    /* The first or second block of the epoch: C is the base, which the header names. */
    if (justify->kind == 0 && justify->qc.parent_round != 0) return STATUS_RANGE;
    point->commit_height = header->exec_height;
    return STATUS_OK;
}

void vote_for(const struct chain_point *point, struct vote *vote)
{
    *vote = (struct vote){.epoch = point->epoch,
                          .round = point->round,
                          .height = point->height,
                          .parent_round = point->parent_round,
                          .commit_height = point->target_height};
    memcpy(vote->block_id, point->id, HASH_BYTES);
    memcpy(vote->commit_id, point->target_id, HASH_BYTES);
}

bool chain_is_quiescent(const struct chain_point *point)
{
    if (point->flags & (BLOCK_EPOCH_END | BLOCK_TAIL)) return false;
    return point->target_exec_height >= point->busy_height;
}

/* The certificate must say of the parent exactly what the parent's ancestry says: the vote that
 * every honest validator gave. */
static bool qc_names_point(const struct qc *qc, const struct chain_point *point)
{
    return qc->epoch == point->epoch && qc->round == point->round && qc->height == point->height &&
           qc->parent_round == point->parent_round && qc->commit_height == point->target_height &&
           memcmp(qc->block_id, point->id, HASH_BYTES) == 0 &&
           memcmp(qc->commit_id, point->target_id, HASH_BYTES) == 0;
}

/* 4.3, kind 1: the parent is the epoch's base, which for epochs after the first is the EPOCH_END
 * block of the one before, and an epoch certificate names it. */
static enum status base_justify_check(const struct chain_point *parent, const struct header *header,
                                      const struct justify *justify,
                                      const struct chain_rules *rules)
{
    if (header->parent_round != 0 || parent->round != 0) return STATUS_BAD_PROOF;
    if (header->epoch == 0) return justify->has_qc ? STATUS_BAD_PROOF : STATUS_OK;
    if (!justify->has_qc || !rules->set_before) return STATUS_BAD_PROOF;
    const struct qc *qc = &justify->qc;
    if (qc->epoch != header->epoch - 1 || qc->commit_height != parent->height ||
        memcmp(qc->commit_id, parent->id, HASH_BYTES) != 0) {
        return STATUS_BAD_PROOF;
    }
    return qc_check(qc, rules->set_before);
}

enum status justify_check(const struct chain_point *parent, const struct header *header,
                          const struct justify *justify, const struct chain_rules *rules)
{
    uint64_t qc_round = 0;
    if (header->epoch != parent->epoch || memcmp(header->parent_id, parent->id, HASH_BYTES) != 0) {
        return STATUS_BAD_PROOF;
    }
    if (justify->kind == 1) {
        TRY(base_justify_check(parent, header, justify, rules));
    } else {
        if (!justify->has_qc || header->parent_round < 1 ||
            justify->qc.round != header->parent_round || !qc_names_point(&justify->qc, parent)) {
            return STATUS_BAD_PROOF;
        }
        TRY(qc_check(&justify->qc, rules->set));
        qc_round = justify->qc.round;
    }
    if (header->round <= header->parent_round) return STATUS_BAD_PROOF;
    bool skipped = header->round - header->parent_round > 1;
    if (skipped != justify->has_tc) return STATUS_BAD_PROOF;
    if (!skipped) return STATUS_OK;
    uint64_t max_hqc;
    if (justify->tc.epoch != header->epoch || justify->tc.round != header->round - 1) {
        return STATUS_BAD_PROOF;
    }
    TRY(tc_check(&justify->tc, rules->set, &max_hqc));
    return qc_round >= max_hqc ? STATUS_OK : STATUS_BAD_PROOF;
}

enum status justify_verify(const struct chain_point *parent, const struct header *header,
                           const struct justify *justify, const struct chain_rules *rules,
                           const uint8_t genesis_id[HASH_BYTES])
{
    TRY(justify_check(parent, header, justify, rules));
    uint64_t max_hqc;
    if (justify->has_qc) {
        TRY(qc_verify(&justify->qc, justify->kind == 1 ? rules->set_before : rules->set,
                      genesis_id));
    }
    if (justify->has_tc) TRY(tc_verify(&justify->tc, rules->set, genesis_id, &max_hqc));
    return STATUS_OK;
}

/* exec_height is the height of C(parent), which for the first block of an epoch is its base; TAIL
 * blocks copy the epoch end's fields. */
static bool exec_height_holds(const struct chain_point *parent, const struct header *header,
                              bool tail)
{
    return header->exec_height == (tail ? parent->exec_height : parent->commit_height);
}

static bool flags_hold(const struct header *header, bool tail)
{
    static const uint8_t ZERO[HASH_BYTES];
    bool end = (header->flags & BLOCK_EPOCH_END) != 0;
    if (tail != ((header->flags & BLOCK_TAIL) != 0) || (tail && end)) return false;
    return end == (memcmp(header->next_set_hash, ZERO, HASH_BYTES) != 0);
}

enum status chain_link_check(const struct chain_point *parent, const struct header *header,
                             const struct chain_rules *rules)
{
    if (header->epoch != parent->epoch || header->height != parent->height + 1 ||
        memcmp(header->parent_id, parent->id, HASH_BYTES) != 0 ||
        header->parent_round != parent->round || header->round <= parent->round) {
        return STATUS_BAD_PROOF;
    }
    if (header->proposer != leader_of(rules->leaders, header->round)) return STATUS_BAD_PROOF;
    if (header->time_us < parent->time_us ||
        header->time_us - parent->time_us < rules->block_interval_us) {
        return STATUS_BAD_PROOF;
    }
    bool tail = parent->end_height != 0;
    if (!flags_hold(header, tail) || !exec_height_holds(parent, header, tail)) {
        return STATUS_BAD_PROOF;
    }
    if (header->body_bytes > rules->body_bytes_max) return STATUS_RANGE;
    bool empty = tail || header->round - parent->commit_round > rules->uncommitted_rounds_max;
    return empty && header_is_busy(header) ? STATUS_BAD_PROOF : STATUS_OK;
}
