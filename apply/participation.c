#include "apply/participation.h"

/* The record taken apart. */
struct counts {
    struct participation record;
    uint32_t count; /* of validators */
    struct participant participants[VALIDATORS_MAX];
    uint32_t recent_count;
    struct certified recent[LATE_VOTE_BLOCKS];
    uint8_t voters[LATE_VOTE_BLOCKS][VALIDATORS_MAX / 8]; /* of `recent` */
};

static bool bit_of(const uint8_t *bits, uint32_t index)
{
    return bits[index / 8] >> (index % 8) & 1;
}

/* counts_read answers false for a record that no fold wrote. */
static bool counts_read(struct bytes value, struct counts *counts)
{
    if (!value.at || participation_decode(value.at, value.count, &counts->record) != STATUS_OK)
        return false;
    const struct participation *record = &counts->record;
    counts->count = record->participants.count;
    struct reader r = list_reader(&record->participants);
    for (uint32_t i = 0; i < counts->count; i++) {
        participant_read(&r, &counts->participants[i]);
    }
    counts->recent_count = record->recent.count;
    r = list_reader(&record->recent);
    for (uint32_t i = 0; i < counts->recent_count; i++) {
        certified_read(&r, &counts->recent[i]);
        if (counts->recent[i].voters.count != (counts->count + 7) / 8) return false;
        memcpy(counts->voters[i], counts->recent[i].voters.at, counts->recent[i].voters.count);
    }
    return true;
}

static enum outcome counts_put(struct context *context, const uint8_t *key, struct counts *counts)
{
    uint8_t participants[VALIDATORS_MAX * participant_bytes_max];
    uint8_t recent[LATE_VOTE_BLOCKS * certified_bytes_max], value[participation_bytes_max];
    struct writer p = writer_of(participants, sizeof participants);
    for (uint32_t i = 0; i < counts->count; i++) {
        participant_write(&p, &counts->participants[i]);
    }
    struct writer c = writer_of(recent, sizeof recent);
    for (uint32_t i = 0; i < counts->recent_count; i++) {
        counts->recent[i].voters = (struct bytes){counts->voters[i], (counts->count + 7) / 8};
        certified_write(&c, &counts->recent[i]);
    }
    struct participation record = counts->record;
    record.participants = (struct list){participants, writer_bytes(&p), counts->count};
    record.recent = (struct list){recent, writer_bytes(&c), counts->recent_count};
    struct writer w = writer_of(value, sizeof value);
    participation_write(&w, &record);
    return context_put(context, TABLE_PARTICIPATION, key, value, writer_bytes(&w));
}

static void count_voter(struct counts *counts, uint32_t block, uint32_t voter)
{
    uint8_t *byte = &counts->voters[block][voter / 8];
    *byte = (uint8_t)(*byte | 1u << (voter % 8));
    counts->participants[voter].voted++;
}

/* add_certificate counts the votes of a certificate; its block becomes the newest of the recent ones. */
static void add_certificate(struct counts *counts, const struct qc *qc)
{
    if (qc->bitmap.count != (counts->count + 7) / 8) return;
    if (counts->recent_count == LATE_VOTE_BLOCKS) {
        counts->recent_count--;
        memmove(&counts->recent[0], &counts->recent[1],
                counts->recent_count * sizeof *counts->recent);
        memmove(counts->voters[0], counts->voters[1],
                counts->recent_count * sizeof *counts->voters);
    }
    uint32_t block = counts->recent_count++;
    struct certified *certified = &counts->recent[block];
    *certified = (struct certified){.round = qc->round,
                                    .height = qc->height,
                                    .parent_round = qc->parent_round,
                                    .commit_height = qc->commit_height};
    memcpy(certified->block_id, qc->block_id, HASH_BYTES);
    memcpy(certified->commit_id, qc->commit_id, HASH_BYTES);
    memset(counts->voters[block], 0, sizeof counts->voters[block]);
    for (uint32_t i = 0; i < counts->count; i++) {
        if (bit_of(qc->bitmap.at, i)) count_voter(counts, block, i);
    }
    counts->record.certified++;
}

static void add_late_vote(struct counts *counts, uint64_t epoch, const struct vote *vote)
{
    for (uint32_t i = 0; i < counts->recent_count; i++) {
        const struct certified *certified = &counts->recent[i];
        struct vote said = {.epoch = epoch,
                            .round = certified->round,
                            .height = certified->height,
                            .parent_round = certified->parent_round,
                            .commit_height = certified->commit_height};
        memcpy(said.block_id, certified->block_id, HASH_BYTES);
        memcpy(said.commit_id, certified->commit_id, HASH_BYTES);
        if (vote_compare(&said, vote) != 0) continue;
        if (vote->voter < counts->count && !bit_of(counts->voters[i], vote->voter))
            count_voter(counts, i, vote->voter);
    }
}

static void add_late_votes(struct counts *counts, uint64_t epoch, const struct list *system)
{
    struct reader r = list_reader(system);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < system->count; i++) {
        struct system_record record;
        struct vote vote;
        system_record_read(&r, &record);
        if (record.kind != SYSTEM_LATE_VOTE || ++seen > SYSTEM_LATE_VOTES_MAX) continue;
        if (vote_decode(record.body.at, record.body.count, &vote) == STATUS_OK)
            add_late_vote(counts, epoch, &vote);
    }
}

enum outcome participation_start(struct context *context, uint64_t epoch, uint32_t count)
{
    uint8_t key[epoch_key_bytes_max];
    struct counts counts = {.count = count};
    store_u64(key, epoch);
    enum outcome outcome = counts_put(context, key, &counts);
    if (outcome != OUTCOME_OK || epoch < 2) return outcome;
    store_u64(key, epoch - 2);
    return context_delete(context, TABLE_PARTICIPATION, key);
}

enum outcome participation_fold(struct context *context, uint64_t epoch, const struct block *block)
{
    uint8_t key[epoch_key_bytes_max];
    struct counts counts;
    store_u64(key, epoch);
    CHECK(context, counts_read(store_get(context->store, TABLE_PARTICIPATION, key), &counts), I42);
    const struct header *header = &block->header;
    counts.record.blocks++;
    if (header->proposer < counts.count) counts.participants[header->proposer].proposed++;
    if (header->round > header->parent_round)
        counts.record.skipped += header->round - header->parent_round - 1;
    const struct justify *justify = &block->justify;
    if (justify->kind == 0 && justify->has_qc && justify->qc.epoch == epoch)
        add_certificate(&counts, &justify->qc);
    add_late_votes(&counts, epoch, &block->body.system);
    return counts_put(context, key, &counts);
}
