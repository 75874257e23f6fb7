#include "tests/support_mempool.h"

void mempool_make_tx(struct mempool_made *made, uint8_t sender, uint64_t nonce, uint64_t fee,
                     uint64_t valid_until, size_t count)
{
    memset(made, 0, sizeof *made);
    memset(made->view.sender, sender, HASH_BYTES);
    made->view.tx.content.nonce = nonce;
    made->view.tx.content.fee = fee;
    made->view.tx.content.valid_until = valid_until;
    store_u64(made->bytes, nonce);
    store_u64(made->bytes + 8, fee);
    store_u64(made->bytes + 16, valid_until);
    made->bytes[24] = sender;
    made->view.bytes = (struct bytes){made->bytes, count};
    hash_bytes(HASH_TRANSACTION, made->bytes, count, made->view.id);
}

static void make_model_tx(struct mempool_made *made, const struct mempool_model_tx *tx)
{
    mempool_make_tx(made, tx->sender, tx->nonce, tx->fee, tx->valid_until, 100);
}

/* ---- the rules ---- */

static struct mempool_model_tx *model_find(struct mempool_model *model, uint8_t sender,
                                           uint64_t nonce)
{
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        struct mempool_model_tx *tx = &model->tx[i];
        if (tx->used && tx->sender == sender && tx->nonce == nonce) return tx;
    }
    return NULL;
}

static uint64_t model_missing(struct mempool_model *model, uint8_t sender)
{
    uint64_t nonce = model->nonce[sender];
    while (model_find(model, sender, nonce)) {
        nonce++;
    }
    return nonce;
}

static uint64_t model_worth(const struct mempool_model *model, uint8_t sender, uint64_t nonce,
                            uint64_t fee)
{
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        const struct mempool_model_tx *tx = &model->tx[i];
        if (tx->used && tx->sender == sender && tx->nonce < nonce && tx->fee < fee) fee = tx->fee;
    }
    return fee;
}

/* The last one of a sender that must go first: gapped, mean, young. */
static struct mempool_model_tx *model_victim(struct mempool_model *model)
{
    struct mempool_model_tx *victim = NULL;
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        struct mempool_model_tx *tx = &model->tx[i];
        bool last = tx->used && !tx->held;
        for (int k = 0; last && k < MEMPOOL_MODEL_TXS; k++) {
            const struct mempool_model_tx *other = &model->tx[k];
            last = !other->used || other->sender != tx->sender || other->nonce <= tx->nonce;
        }
        if (!last) continue;
        if (!victim) {
            victim = tx;
            continue;
        }
        bool gapped = tx->nonce >= model_missing(model, tx->sender);
        bool victim_gapped = victim->nonce >= model_missing(model, victim->sender);
        uint64_t worth = model_worth(model, tx->sender, tx->nonce, tx->fee);
        uint64_t victim_worth = model_worth(model, victim->sender, victim->nonce, victim->fee);
        bool first = gapped != victim_gapped ? gapped
                     : worth != victim_worth ? worth < victim_worth
                                             : tx->arrival > victim->arrival;
        if (first) victim = tx;
    }
    return victim;
}

static struct mempool_model_tx *model_slot(struct mempool_model *model)
{
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        if (!model->tx[i].used) return &model->tx[i];
    }
    return NULL;
}

static void model_account(struct mempool_model *model, uint8_t sender)
{
    uint64_t fees = 0;
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        struct mempool_model_tx *tx = &model->tx[i];
        if (!tx->used || tx->sender != sender) continue;
        if (tx->nonce < model->nonce[sender] && !tx->held)
            tx->used = false;
        else
            fees += tx->fee;
    }
    while (fees > model->balance[sender]) {
        struct mempool_model_tx *last = NULL;
        for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
            struct mempool_model_tx *tx = &model->tx[i];
            if (tx->used && tx->sender == sender && (!last || tx->nonce > last->nonce)) last = tx;
        }
        if (!last || last->held) return;
        fees -= last->fee;
        last->used = false;
    }
}

static enum mempool_answer model_admit(struct mempool_model *model, uint8_t sender, uint64_t nonce,
                                       uint64_t fee, uint64_t valid_until)
{
    model_account(model, sender);
    struct mempool_model_tx *old = model_find(model, sender, nonce), *slot;
    uint64_t missing = model_missing(model, sender), fees = 0;
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        const struct mempool_model_tx *tx = &model->tx[i];
        if (!tx->used || tx->sender != sender) continue;
        fees += tx->fee;
        if (tx->nonce == nonce && tx->fee == fee && tx->valid_until == valid_until) {
            return MEMPOOL_KNOWN;
        }
    }
    if (valid_until < model->height) return MEMPOOL_EXPIRED;
    if (nonce < model->nonce[sender]) return MEMPOOL_STALE;
    if (nonce > missing + MEMPOOL_MODEL_GAP) return MEMPOOL_GAP;
    if (old && old->held) return MEMPOOL_IN_BLOCK;
    if (old && (fee * 10 < old->fee * 11 || fee <= old->fee)) return MEMPOOL_UNDERPRICED;
    if (fees - (old ? old->fee : 0) + fee > model->balance[sender]) return MEMPOOL_UNPAYABLE;
    if (old) old->used = false;
    slot = model_slot(model);
    if (!slot) {
        struct mempool_model_tx *victim = model_victim(model);
        if (!victim) return MEMPOOL_FULL;
        bool ready = nonce <= missing;
        bool victim_ready = victim->nonce < model_missing(model, victim->sender);
        if (!ready && victim_ready) return MEMPOOL_FULL;
        if (ready == victim_ready &&
            (model_worth(model, sender, nonce, fee) <=
                 model_worth(model, victim->sender, victim->nonce, victim->fee) ||
             fee < victim->fee)) {
            return MEMPOOL_FULL;
        }
        slot = victim;
    }
    *slot =
        (struct mempool_model_tx){true, false, sender, nonce, fee, model->arrivals++, valid_until};
    return MEMPOOL_ADDED;
}

static const char *model_compare(struct mempool_model *model)
{
    const char *fault = mempool_check(model->pool);
    if (fault) return fault;
    struct mempool_stats stats;
    mempool_stats(model->pool, &stats);
    uint64_t count = 0;
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        const struct mempool_model_tx *tx = &model->tx[i];
        if (!tx->used) continue;
        struct mempool_made made;
        make_model_tx(&made, tx);
        if (!mempool_find(model->pool, made.view.id)) return "a transaction is missing";
        count++;
    }
    for (uint8_t sender = 0; sender < MEMPOOL_MODEL_SENDERS; sender++) {
        uint8_t address[HASH_BYTES];
        memset(address, sender, sizeof address);
        if (mempool_next_nonce(model->pool, address, model->nonce[sender]) !=
            model_missing(model, sender))
            return "the next nonce differs";
    }
    struct mempool_notice notice;
    while (mempool_take_notice(model->pool, &notice)) {
    }
    return stats.txs == count ? NULL : "a transaction is there that should have left";
}

/* ---- operations ---- */

static uint64_t choose(struct mempool_model *model, uint64_t bound)
{
    return model->choose(model->context, bound);
}

static void settle(struct mempool_model *model, uint8_t sender)
{
    uint8_t address[HASH_BYTES];
    memset(address, sender, sizeof address);
    model_account(model, sender);
    mempool_account(model->pool, address, model->nonce[sender], model->balance[sender]);
}

static const char *step_admit(struct mempool_model *model, uint8_t sender)
{
    uint64_t nonce = model->nonce[sender] + choose(model, 7);
    uint64_t fee = 1 + choose(model, 100), valid_until = model->height + choose(model, 40);
    if (choose(model, 20) == 0) nonce = choose(model, 5);
    struct mempool_made made;
    struct mempool_verdict verdict;
    mempool_make_tx(&made, sender, nonce, fee, valid_until, 100);
    mempool_admit(model->pool, &made.view, MEMPOOL_MODEL_GAS, model->nonce[sender],
                  model->balance[sender], model->height, &verdict);
    return verdict.answer == model_admit(model, sender, nonce, fee, valid_until)
               ? NULL
               : "an admission was answered differently";
}

static void model_expire(struct mempool_model *model)
{
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        struct mempool_model_tx *tx = &model->tx[i];
        if (!tx->held && tx->valid_until < model->height) tx->used = false;
    }
}

/* The next one that a pick takes: the best head of a ready run, earlier arrival first. */
static struct mempool_model_tx *model_best(struct mempool_model *model)
{
    struct mempool_model_tx *best = NULL;
    for (uint8_t sender = 0; sender < MEMPOOL_MODEL_SENDERS; sender++) {
        uint64_t nonce = model->nonce[sender];
        struct mempool_model_tx *head = model_find(model, sender, nonce);
        while (head && head->held) {
            head = model_find(model, sender, ++nonce);
        }
        if (!head) continue;
        if (!best || head->fee > best->fee ||
            (head->fee == best->fee && head->arrival < best->arrival))
            best = head;
    }
    return best;
}

static const char *step_pick(struct mempool_model *model)
{
    uint8_t out[MEMPOOL_MODEL_TXS * 128];
    size_t count;
    uint32_t txs;
    struct body body;
    uint64_t most = choose(model, MEMPOOL_MODEL_TXS);
    model_expire(model);
    mempool_pick(model->pool, model->height, most * MEMPOOL_MODEL_GAS, out, sizeof out, &count,
                 &txs, NULL);
    if (body_decode(out, count, &body) != STATUS_OK || body.commands.count != txs)
        return "a pick is no body";
    struct reader r = list_reader(&body.commands);
    for (uint32_t i = 0; i < txs; i++) {
        struct command command;
        struct mempool_made made;
        struct mempool_model_tx *best = model_best(model);
        command_read(&r, &command);
        if (!best) return "a pick found more";
        make_model_tx(&made, best);
        if (command.bytes.count != made.view.bytes.count ||
            memcmp(command.bytes.at, made.bytes, command.bytes.count) != 0)
            return "a pick took another one first";
        best->held = true;
    }
    return txs == most || !model_best(model) ? NULL : "a pick took too few";
}

static const char *step_one(struct mempool_model *model, struct mempool_model_tx *tx)
{
    struct mempool_made made;
    make_model_tx(&made, tx);
    switch (choose(model, 4)) {
    case 0:
        tx->held = true;
        return mempool_hold(model->pool, made.view.id) == STATUS_OK ? NULL : "a hold was refused";
    case 1:
        tx->held = false;
        mempool_release(model->pool, made.view.id);
        settle(model, tx->sender);
        return NULL;
    case 2: {
        if (tx->nonce != model->nonce[tx->sender]) return NULL;
        uint64_t *balance = &model->balance[tx->sender];
        tx->used = false;
        mempool_commit(model->pool, made.view.id, true);
        model->nonce[tx->sender]++;
        *balance -= *balance < tx->fee ? *balance : tx->fee;
        settle(model, tx->sender);
        return NULL;
    }
    default:
        if (mempool_drop(model->pool, made.view.id) == tx->held) return "a drop differs";
        tx->used = tx->held;
        return NULL;
    }
}

const char *mempool_model_step(struct mempool_model *model)
{
    const char *fault = NULL;
    uint8_t sender = (uint8_t)choose(model, MEMPOOL_MODEL_SENDERS);
    uint64_t kind = choose(model, 20);
    if (kind < 13) {
        fault = step_admit(model, sender);
    } else if (kind < 17) {
        struct mempool_model_tx *tx = &model->tx[choose(model, MEMPOOL_MODEL_TXS)];
        if (tx->used) fault = step_one(model, tx);
    } else if (kind == 17) {
        model->balance[sender] = choose(model, 600);
        settle(model, sender);
    } else if (kind == 18) {
        model->height += choose(model, 4);
        model_expire(model);
        mempool_expire(model->pool, model->height);
    } else {
        fault = step_pick(model);
    }
    if (fault || model->compare_every == 0) return fault;
    return ++model->steps % model->compare_every == 0 ? model_compare(model) : NULL;
}

enum status mempool_model_open(struct mempool **pool)
{
    struct mempool_limits limits = {.txs_max = MEMPOOL_MODEL_TXS,
                                    .bytes_max = 1 << 18,
                                    .per_sender_max = 100,
                                    .nonce_gap_max = MEMPOOL_MODEL_GAP,
                                    .replace_bump_bps = 1000};
    return mempool_open(pool, &limits);
}

void mempool_model_start(struct mempool_model *model, struct mempool *pool)
{
    model->pool = pool;
    model->height = 1;
    for (int i = 0; i < MEMPOOL_MODEL_SENDERS; i++) {
        model->balance[i] = 400;
    }
}

const char *mempool_model_empty(struct mempool_model *model)
{
    struct mempool_stats stats;
    for (int i = 0; i < MEMPOOL_MODEL_TXS; i++) {
        struct mempool_model_tx *tx = &model->tx[i];
        struct mempool_made made;
        if (!tx->used) continue;
        make_model_tx(&made, tx);
        mempool_release(model->pool, made.view.id);
        if (!mempool_drop(model->pool, made.view.id)) return "a released one cannot be dropped";
        tx->used = false;
    }
    const char *fault = model_compare(model);
    mempool_stats(model->pool, &stats);
    if (fault) return fault;
    return stats.senders == 0 && stats.bytes == 0 ? NULL : "an empty pool keeps something";
}
