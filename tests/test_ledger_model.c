/* The fold against a naive model: random blocks of good and bad transfers, predicted one by one; and
 * against the events, which add up to every balance by themselves. CAIRN_MODEL_BLOCKS sets the length. */
#include <stdio.h>
#include <stdlib.h>

#include "apply/ledger.h"
#include "tests/support_chain.h"

#define PLAYERS        (CHAIN_KEYS + 8) /* the last 8 start with nothing */
#define OPERATIONS_MAX 4

struct model {
    struct fold_key keys[PLAYERS];
    uint64_t balance[PLAYERS], nonce[PLAYERS], summed[PLAYERS];
    uint64_t burned, reward, proposer, treasury, fees;
    u128 sum_burned, sum_reward, sum_proposer, sum_treasury, sum_fees;
};

static uint64_t random_state;

static uint64_t random_next(uint64_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % bound;
}

/* ---- the model: as plain as it can be ---- */

struct plan {
    size_t from;
    uint64_t nonce, fee;
    uint32_t count;
    struct {
        size_t to; /* PLAYERS: the treasury */
        uint32_t asset;
        uint64_t amount;
    } operation[OPERATIONS_MAX];
};

static enum outcome model_run(struct model *model, const struct plan *plan, uint64_t fee_min)
{
    if (plan->fee < fee_min) return OUTCOME_FEE_TOO_LOW;
    if (plan->nonce < model->nonce[plan->from]) return OUTCOME_NONCE_TOO_LOW;
    if (plan->nonce > model->nonce[plan->from]) return OUTCOME_NONCE_TOO_HIGH;
    if (model->balance[plan->from] < plan->fee) return OUTCOME_FEE_UNPAYABLE;
    model->balance[plan->from] -= plan->fee;
    model->nonce[plan->from]++;
    model->fees += plan->fee;
    uint64_t before[PLAYERS];
    memcpy(before, model->balance, sizeof before);
    for (uint32_t i = 0; i < plan->count; i++) {
        enum outcome outcome = OUTCOME_OK;
        uint64_t amount = plan->operation[i].amount;
        if (plan->operation[i].asset != 0)
            outcome = OUTCOME_UNKNOWN_ASSET;
        else if (plan->operation[i].to == PLAYERS)
            outcome = OUTCOME_RECIPIENT_RESERVED;
        else if (model->balance[plan->from] < amount)
            outcome = OUTCOME_INSUFFICIENT_BALANCE;
        if (outcome != OUTCOME_OK) {
            memcpy(model->balance, before, sizeof before);
            return outcome;
        }
        model->balance[plan->from] -= amount;
        model->balance[plan->operation[i].to] += amount;
    }
    return OUTCOME_OK;
}

static void model_block_end(struct model *model, const struct params *params)
{
    uint64_t burned = model->fees * params->fee_burn_bps / 10000;
    uint64_t reward = model->fees * params->fee_stakers_bps / 10000;
    uint64_t proposer = model->fees * params->fee_proposer_bps / 10000;
    model->burned += burned;
    model->reward += reward;
    model->proposer += proposer;
    model->treasury += model->fees - burned - reward - proposer;
    model->fees = 0;
}

/* ---- the events ---- */

static void sum_posting(struct model *model, const struct fold *chain,
                        const struct posting *posting)
{
    uint64_t amount = posting->side == POSTING_CREDIT ? posting->amount : 0 - posting->amount;
    const char *pool = pool_name(posting->address);
    assert_int_equal(posting->asset, ASSET_COIN);
    if (pool && strcmp(pool, "issuance") == 0) return;
    if (pool && strcmp(pool, "burned") == 0) model->sum_burned += amount;
    if (pool && strcmp(pool, "reward") == 0) model->sum_reward += amount;
    if (pool && strcmp(pool, "treasury") == 0) model->sum_treasury += amount;
    if (pool && strcmp(pool, "fees") == 0) model->sum_fees += amount;
    if (pool) return;
    if (memcmp(posting->address, chain->validator.address, 32) == 0) {
        model->sum_proposer += amount;
        return;
    }
    for (size_t i = 0; i < PLAYERS; i++) {
        if (memcmp(posting->address, model->keys[i].address, 32) != 0) continue;
        model->summed[i] += amount;
        return;
    }
    fail_msg("a posting to somebody unknown");
}

static void sum_events(struct model *model, const struct fold *chain, struct bytes bytes)
{
    struct block_events events;
    assert_int_equal(block_events_decode(bytes.at, bytes.count, &events), STATUS_OK);
    struct reader r = list_reader(&events.events);
    for (uint32_t i = 0; i < events.events.count; i++) {
        struct event event;
        event_read(&r, &event);
        struct reader p = list_reader(&event.postings);
        for (uint32_t k = 0; k < event.postings.count; k++) {
            struct posting posting;
            posting_read(&p, &posting);
            sum_posting(model, chain, &posting);
        }
    }
}

/* ---- the run ---- */

static void plan_make(const struct model *model, struct plan *plan)
{
    *plan = (struct plan){.from = random_next(PLAYERS), .count = 1 + (uint32_t)random_next(2)};
    plan->nonce = model->nonce[plan->from];
    if (random_next(16) == 0) plan->nonce += random_next(3);
    if (random_next(16) == 0 && plan->nonce > 0) plan->nonce--;
    plan->fee = random_next(16) == 0 ? random_next(CHAIN_FEE / 4) : CHAIN_FEE + random_next(9999);
    if (random_next(64) == 0) plan->fee = CHAIN_AMOUNT / 2;
    if (random_next(8) == 0) plan->count = OPERATIONS_MAX;
    for (uint32_t i = 0; i < plan->count; i++) {
        uint64_t balance = model->balance[plan->from];
        plan->operation[i].to = random_next(40) == 0 ? PLAYERS : random_next(PLAYERS);
        plan->operation[i].asset = random_next(40) == 0;
        plan->operation[i].amount = 1 + random_next(CHAIN_AMOUNT / 8);
        if (random_next(10) == 0) plan->operation[i].amount = 1 + random_next(3 * CHAIN_AMOUNT);
        if (random_next(20) == 0 && balance > plan->fee) /* all there is, to the last unit */
            plan->operation[i].amount = balance - plan->fee;
    }
}

static uint64_t plan_add(struct fold *chain, const struct model *model, const struct plan *plan)
{
    struct fold_tx tx;
    uint8_t bytes[TX_BYTES_MAX], treasury[32];
    struct tx_view view;
    pool_address(POOL_TREASURY, treasury);
    fold_tx_start(chain, &tx, &model->keys[plan->from], plan->nonce);
    tx.fee = plan->fee;
    for (uint32_t i = 0; i < plan->count; i++) {
        size_t to = plan->operation[i].to;
        fold_tx_transfer(&tx, to == PLAYERS ? treasury : model->keys[to].address,
                         plan->operation[i].asset, plan->operation[i].amount);
    }
    size_t count = fold_tx_sign(&tx, bytes);
    assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
    fold_add(chain, bytes, count);
    return tx_fee_min(&view, &chain->params);
}

static void compare(const struct model *model, const struct fold *chain)
{
    for (size_t i = 0; i < PLAYERS; i++) {
        assert_int_equal(fold_balance(chain, model->keys[i].address), model->balance[i]);
        assert_int_equal(fold_nonce(chain, model->keys[i].address), model->nonce[i]);
        assert_int_equal(model->summed[i], model->balance[i]);
    }
    assert_int_equal(fold_pool(chain, POOL_BURNED), model->burned);
    assert_int_equal(fold_pool(chain, POOL_REWARD), model->reward);
    assert_int_equal(fold_pool(chain, POOL_TREASURY), model->treasury);
    assert_int_equal(fold_balance(chain, chain->validator.address), model->proposer);
    assert_true((uint64_t)model->sum_burned == model->burned);
    assert_true((uint64_t)model->sum_reward == model->reward);
    assert_true((uint64_t)model->sum_treasury == model->treasury);
    assert_true((uint64_t)model->sum_proposer == model->proposer);
    assert_true((uint64_t)model->sum_fees == 0);
}

static void play(uint64_t seed, uint64_t blocks, uint64_t seen[64])
{
    static struct model model;
    struct fold chain;
    enum outcome predicted[64];
    random_state = seed;
    fold_open(&chain, NULL, NULL);
    model = (struct model){.reward = CHAIN_REWARD_POOL};
    model.treasury = fold_pool(&chain, POOL_TREASURY);
    for (size_t i = 0; i < PLAYERS; i++) {
        if (i < CHAIN_KEYS)
            model.keys[i] = chain.keys[i];
        else
            fold_key_make(2000 + i, &model.keys[i]);
        model.balance[i] = i < CHAIN_KEYS ? CHAIN_AMOUNT : 0;
    }
    sum_events(&model, &chain, ledger_genesis_events(chain.ledger));
    for (uint64_t b = 0; b < blocks; b++) {
        uint32_t count = (uint32_t)random_next(24);
        for (uint32_t i = 0; i < count; i++) {
            struct plan plan;
            plan_make(&model, &plan);
            uint64_t fee_min = plan_add(&chain, &model, &plan);
            predicted[i] = model_run(&model, &plan, fee_min);
        }
        model_block_end(&model, &chain.params);
        fold_apply(&chain);
        for (uint32_t i = 0; i < count; i++) {
            enum outcome outcome = fold_outcome(&chain, i);
            if (outcome != predicted[i])
                fail_msg("seed %llu block %llu tx %u: %s, model %s", (unsigned long long)seed,
                         (unsigned long long)b, i, outcome_name(outcome),
                         outcome_name(predicted[i]));
            seen[outcome]++;
        }
        sum_events(&model, &chain, chain.result.events);
        compare(&model, &chain);
        assert_int_equal(chain.alarms, 0);
    }
    fold_close(&chain);
}

static void ledger_agrees_with_a_naive_model_and_with_its_events(void **state)
{
    (void)state;
    const char *wanted = getenv("CAIRN_MODEL_BLOCKS");
    uint64_t blocks = wanted ? strtoull(wanted, NULL, 10) : 100, seen[64] = {0};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        play(seed * UINT64_C(0x9e3779b97f4a7c15), blocks, seen);
    }
    /* The players met every answer that a transfer can get. */
    static const enum outcome WANTED[] = {OUTCOME_OK,
                                          OUTCOME_FEE_TOO_LOW,
                                          OUTCOME_NONCE_TOO_LOW,
                                          OUTCOME_NONCE_TOO_HIGH,
                                          OUTCOME_FEE_UNPAYABLE,
                                          OUTCOME_UNKNOWN_ASSET,
                                          OUTCOME_RECIPIENT_RESERVED,
                                          OUTCOME_INSUFFICIENT_BALANCE};
    for (size_t i = 0; i < sizeof WANTED / sizeof WANTED[0]; i++) {
        if (seen[WANTED[i]] == 0) fail_msg("%s never happened", outcome_name(WANTED[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger_agrees_with_a_naive_model_and_with_its_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
