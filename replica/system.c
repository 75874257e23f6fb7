#include "replica/system.h"

#include <assert.h>

#include "log/signature.h"

/* ---- what a voter asks ---- */

/* A set as it was read last: the records of a body are mostly of one epoch. */
struct sets {
    const struct ledger *ledger;
    bool known;
    uint64_t epoch;
    struct validator_list list;
};

static enum status key_of(struct sets *sets, uint64_t epoch, uint16_t index, uint8_t key[32])
{
    if (!sets->known || sets->epoch != epoch) {
        sets->known = ledger_validators(sets->ledger, epoch, &sets->list) == STATUS_OK;
        sets->epoch = epoch;
    }
    if (!sets->known || index >= sets->list.count) return STATUS_BAD_PROOF;
    memcpy(key, sets->list.at[index].key, 32);
    return STATUS_OK;
}

static enum status check_evidence(struct sets *sets, uint64_t epoch, struct system_item *item)
{
    struct evidence evidence;
    struct params params;
    ledger_params(sets->ledger, &params);
    if (evidence_decode(item->body.at, item->body.count, &evidence) != STATUS_OK)
        return STATUS_BAD_PROOF;
    TRY(evidence_check(&evidence));
    if (evidence.epoch > epoch || epoch - evidence.epoch > params.evidence_epochs_max)
        return STATUS_BAD_PROOF;
    return key_of(sets, evidence.epoch, evidence.offender, item->key);
}

static enum status check_late_vote(struct sets *sets, uint64_t epoch, struct system_item *item)
{
    struct vote vote;
    if (vote_decode(item->body.at, item->body.count, &vote) != STATUS_OK || vote.epoch != epoch)
        return STATUS_BAD_PROOF;
    return key_of(sets, epoch, vote.voter, item->key);
}

enum status system_check(const struct ledger *ledger, uint64_t epoch, const struct list *system,
                         struct system_item *items, uint32_t *count)
{
    struct sets sets = {.ledger = ledger};
    struct reader r = list_reader(system);
    uint32_t evidence = 0, late_votes = 0;
    *count = 0;
    for (uint32_t i = 0; i < system->count; i++) {
        struct system_record record;
        system_record_read(&r, &record);
        struct system_item *item = &items[i];
        *item = (struct system_item){.kind = (enum system_kind)record.kind, .body = record.body};
        switch (record.kind) {
        case SYSTEM_EVIDENCE:
            if (++evidence > SYSTEM_EVIDENCE_MAX) return STATUS_BAD_PROOF;
            TRY(check_evidence(&sets, epoch, item));
            break;
        case SYSTEM_LATE_VOTE:
            if (++late_votes > SYSTEM_LATE_VOTES_MAX) return STATUS_BAD_PROOF;
            TRY(check_late_vote(&sets, epoch, item));
            break;
        default: return STATUS_BAD_PROOF;
        }
    }
    *count = system->count;
    return STATUS_OK;
}

enum status system_verify(const struct system_item *item, const uint8_t genesis_id[HASH_BYTES])
{
    struct vote vote;
    struct evidence evidence;
    uint8_t message[VOTE_SIGNED_BYTES];
    if (item->kind == SYSTEM_EVIDENCE) {
        TRY(evidence_decode(item->body.at, item->body.count, &evidence));
        return evidence_verify_key(&evidence, item->key, genesis_id);
    }
    TRY(vote_decode(item->body.at, item->body.count, &vote));
    vote_signed_bytes(genesis_id, &vote, message);
    return signature_verify(item->key, message, sizeof message, vote.signature)
               ? STATUS_OK
               : STATUS_BAD_SIGNATURE;
}

/* ---- what a proposer does ---- */

void system_batch_init(struct system_batch *batch, size_t bytes_max)
{
    batch->evidence_bytes = batch->late_vote_bytes = 0;
    batch->evidence_count = batch->late_vote_count = 0;
    batch->bytes_max = bytes_max;
}

size_t system_batch_bytes(const struct system_batch *batch)
{
    return batch->evidence_bytes + batch->late_vote_bytes;
}

/* add writes a record behind those of its kind; the caller has looked at their number. */
static bool add(struct system_batch *batch, uint16_t kind, struct bytes body, uint8_t *at,
                size_t *bytes)
{
    struct system_record record = {.kind = kind, .body = body};
    size_t room = batch->bytes_max - system_batch_bytes(batch);
    struct writer w = writer_of(at + *bytes, room);
    system_record_write(&w, &record);
    if (w.status != STATUS_OK) return false;
    *bytes += writer_bytes(&w);
    return true;
}

bool system_batch_add_evidence(struct system_batch *batch, const struct evidence *evidence)
{
    uint8_t body[evidence_bytes_max];
    struct writer w = writer_of(body, sizeof body);
    evidence_write(&w, evidence);
    if (batch->evidence_count == SYSTEM_EVIDENCE_MAX ||
        !add(batch, SYSTEM_EVIDENCE, (struct bytes){body, writer_bytes(&w)}, batch->evidence,
             &batch->evidence_bytes))
        return false;
    batch->evidence_count++;
    return true;
}

bool system_batch_add_late_vote(struct system_batch *batch, const struct vote *vote)
{
    uint8_t body[vote_bytes_max];
    struct writer w = writer_of(body, sizeof body);
    vote_write(&w, vote);
    if (batch->late_vote_count == SYSTEM_LATE_VOTES_MAX ||
        !add(batch, SYSTEM_LATE_VOTE, (struct bytes){body, writer_bytes(&w)}, batch->late_votes,
             &batch->late_vote_bytes))
        return false;
    batch->late_vote_count++;
    return true;
}

enum status body_with_system(const struct system_batch *batch, struct bytes body, uint8_t *out,
                             size_t capacity, size_t *count)
{
    assert(body.count >= BODY_EMPTY_BYTES && load_u16(body.at) == 0);
    bool idle = body.count == BODY_EMPTY_BYTES && batch->evidence_count == 0;
    uint32_t late_votes = idle ? 0 : batch->late_vote_count;
    struct writer w = writer_of(out, capacity);
    write_u16(&w, (uint16_t)(batch->evidence_count + late_votes));
    write_copy(&w, batch->evidence, batch->evidence_bytes);
    write_copy(&w, batch->late_votes, idle ? 0 : batch->late_vote_bytes);
    write_copy(&w, body.at + 2, body.count - 2);
    *count = writer_bytes(&w);
    return w.status;
}

bool qc_omits(const struct qc *qc, const struct vote *vote)
{
    struct vote certified;
    qc_vote(qc, &certified);
    return vote_compare(&certified, vote) == 0 && vote->voter / 8 < qc->bitmap.count &&
           !(qc->bitmap.at[vote->voter / 8] >> (vote->voter % 8) & 1);
}

/* ---- evidence that waits ---- */

static bool is_same(const struct evidence *a, const struct evidence *b)
{
    return a->epoch == b->epoch && a->offender == b->offender && a->kind == b->kind &&
           a->round == b->round;
}

bool evidence_pool_add(struct evidence_pool *pool, const struct evidence *evidence)
{
    if (pool->count == EVIDENCE_POOL_MAX) return false;
    for (uint32_t i = 0; i < pool->count; i++) {
        if (is_same(&pool->at[i], evidence)) return false;
    }
    pool->at[pool->count++] = *evidence;
    return true;
}

void evidence_pool_pick(struct evidence_pool *pool, const struct ledger *ledger,
                        struct system_batch *batch)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < pool->count; i++) {
        if (ledger_evidence(ledger, &pool->at[i]) != OUTCOME_OK) continue;
        (void)system_batch_add_evidence(batch, &pool->at[i]);
        if (kept != i) pool->at[kept] = pool->at[i];
        kept++;
    }
    pool->count = kept;
}
