#include "tests/support_certified.h"

#include <stdlib.h>

#include "log/signature.h"
#include "replica/validators.h"

static void keep(struct certified_chain *chain)
{
    uint64_t height = chain->fold.height;
    assert_true(height < CERTIFIED_BLOCKS);
    fold_root(&chain->fold, chain->at[height].root);
    chain->at[height].epoch_over =
        ledger_epoch_over(chain->fold.ledger, chain->at[height].next_set_hash);
}

static void begin_epoch(struct certified_chain *chain)
{
    struct chain_epoch *epoch = &chain->epoch;
    assert_int_equal(ledger_chain_epoch(chain->fold.ledger, epoch), STATUS_OK);
    chain_rules_of(epoch, chain->leaders, &chain->rules);
    chain_point_base(&chain->point, epoch->number, epoch->base_height, epoch->base_time_us,
                     epoch->base_id);
}

void certified_open(struct certified_chain *chain)
{
    struct params params;
    struct ledger_options options = {.view_bytes_max = 1 << 20};
    memset(chain, 0, sizeof *chain);
    fold_params(&params);
    params.dev_operations = 1;
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 0;
    fold_open(&chain->fold, &params, &options);
    signers_make(&chain->pool, 1, 8, 1);
    keep(chain);
    begin_epoch(chain);
}

void certified_close(struct certified_chain *chain)
{
    for (size_t i = 0; i < CERTIFIED_BLOCKS; i++) {
        free(chain->at[i].bytes);
    }
    fold_close(&chain->fold);
}

static const uint8_t *secret_of(const struct certified_chain *chain, const uint8_t key[32])
{
    int at = validator_set_find(&chain->pool.set, key);
    if (at >= 0) return chain->pool.secret[at];
    assert_memory_equal(key, chain->fold.validator.key, 32);
    return chain->fold.validator.secret;
}

void certified_certify(const struct certified_chain *chain, const struct chain_point *point,
                       struct qc_store *qc)
{
    const struct validator_set *set = &chain->epoch.set;
    struct vote_group group;
    struct vote vote;
    uint8_t message[VOTE_SIGNED_BYTES];
    vote_for(point, &vote);
    vote_group_start(&group, &vote);
    for (uint16_t i = 0; i < set->count; i++) {
        if (chain->absent >> i & 1 && set->count > 3) continue;
        vote_signed_bytes(chain->fold.genesis_id, &vote, message);
        vote.voter = i;
        signature_make(secret_of(chain, set->key[i]), message, sizeof message, vote.signature);
        assert_true(vote_group_add(&group, set, &vote));
    }
    vote_group_certify(&group, set, qc);
}

/* justify_of: why the newest block is a good parent. */
static struct justify justify_of(const struct certified_chain *chain)
{
    return (struct justify){
        .kind = chain->point.round == 0, .has_qc = chain->has_qc, .qc = chain->qc.qc};
}

static struct header header_of(const struct certified_chain *chain, uint16_t flags)
{
    const struct chain_point *parent = &chain->point;
    struct header header = {.version = BLOCK_VERSION,
                            .flags = flags,
                            .epoch = chain->epoch.number,
                            .round = parent->round + 1,
                            .height = parent->height + 1,
                            .parent_round = parent->round,
                            .proposer = leader_of(chain->leaders, parent->round + 1),
                            .time_us = parent->time_us + 1000,
                            .exec_height = parent->commit_height};
    memcpy(header.parent_id, parent->id, HASH_BYTES);
    if (flags & BLOCK_TAIL) header.exec_height = parent->exec_height;
    memcpy(header.exec_root, chain->at[header.exec_height].root, HASH_BYTES);
    if (flags & BLOCK_EPOCH_END)
        memcpy(header.next_set_hash, chain->at[header.exec_height].next_set_hash, HASH_BYTES);
    return header;
}

/* advance makes the point at a sealed block. */
static void advance(struct certified_chain *chain, const struct block *block,
                    const uint8_t id[HASH_BYTES])
{
    struct chain_point next;
    assert_int_equal(chain_link_check(&chain->point, &block->header, &chain->rules), STATUS_OK);
    assert_int_equal(justify_verify(&chain->point, &block->header, &block->justify, &chain->rules,
                                    chain->fold.genesis_id),
                     STATUS_OK);
    chain_point_next(&chain->point, &block->header, id, &block->justify, &next);
    chain->point = next;
    certified_certify(chain, &chain->point, &chain->qc);
    chain->has_qc = true;
}

/* end_epoch: a tail block, whose certificate commits the end, and the base of the next epoch. */
static void end_epoch(struct certified_chain *chain)
{
    uint8_t id[HASH_BYTES];
    struct block tail = {.header = header_of(chain, BLOCK_TAIL), .justify = justify_of(chain)};
    tail.header.body_bytes = BODY_EMPTY_BYTES;
    justify_hash_of(&tail.justify, tail.header.justify_hash);
    body_root_of(&tail.body, tail.header.body_root);
    block_id_of(&tail.header, id);
    advance(chain, &tail, id);
    begin_epoch(chain);
}

void certified_next(struct certified_chain *chain)
{
    struct fold *fold = &chain->fold;
    bool ends = chain->at[chain->point.commit_height].epoch_over;
    struct block block = {.header = header_of(chain, ends ? BLOCK_EPOCH_END : 0),
                          .justify = justify_of(chain)};
    block.body.system = (struct list){fold->system, fold->system_bytes, fold->system_count};
    block.body.commands = (struct list){fold->commands, fold->command_bytes, fold->command_count};
    block.header.cmd_count = fold->command_count;
    block.header.body_bytes =
        (uint32_t)(BODY_EMPTY_BYTES + fold->system_bytes + fold->command_bytes);
    justify_hash_of(&block.justify, block.header.justify_hash);
    body_root_of(&block.body, block.header.body_root);
    assert_int_equal(block_encode(&block, fold->block_bytes, CHAIN_BLOCK_BYTES, &fold->block_count),
                     STATUS_OK);
    uint64_t height = block.header.height;
    fold_take(fold);
    chain->at[height].header = block.header;
    memcpy(chain->at[height].id, fold->block_id, HASH_BYTES);
    chain->at[height].bytes = malloc(fold->block_count);
    assert_non_null(chain->at[height].bytes);
    memcpy(chain->at[height].bytes, fold->block_bytes, fold->block_count);
    chain->at[height].count = fold->block_count;
    keep(chain);
    /* The block's own parts lie in the fold's memory, which is free again. */
    struct block again;
    uint8_t id[HASH_BYTES];
    assert_int_equal(block_open(chain->at[height].bytes, chain->at[height].count, &again, id),
                     STATUS_OK);
    advance(chain, &again, id);
    if (ends) end_epoch(chain);
}
