/* Transactions in a block: order of checks, fee and nonce, undo, quarantine (apply/README.md). */
#include "apply/ledger_internal.h"

/* precheck: everything that is refused without effect, but for room in the state. */
static enum outcome precheck(const struct ledger *ledger, const struct tx_view *view, uint64_t gas)
{
    const struct tx_content *content = &view->tx.content;
    enum outcome outcome =
        tx_check_gas(view, gas, &ledger->params, ledger->chain_tag, ledger->context.height);
    if (outcome != OUTCOME_OK) return outcome;
    if (gas > ledger->params.block_gas_max - ledger->gas_used) return OUTCOME_BLOCK_GAS;
    struct balance account = context_account(&ledger->context, view->sender);
    if (content->nonce < account.nonce) return OUTCOME_NONCE_TOO_LOW;
    if (content->nonce > account.nonce) return OUTCOME_NONCE_TOO_HIGH;
    if (account.amount < content->fee) return OUTCOME_FEE_UNPAYABLE;
    return OUTCOME_OK;
}

/* charge takes nonce and fee, in this order, so that an account which pays its last coin is not deleted
 * in between. OUTCOME_STATE_FULL: no room for a record that this needs. */
static enum outcome charge(struct context *context, const struct tx_view *view, uint64_t gas)
{
    const struct tx_content *content = &view->tx.content;
    enum outcome outcome = context_nonce_set(context, view->sender, content->nonce + 1);
    if (outcome != OUTCOME_OK || content->fee == 0) return outcome;
    uint8_t collector[32], bytes[event_fee_bytes_max];
    pool_address(POOL_FEES, collector);
    struct event_fee fee = {.nonce = content->nonce, .gas = gas};
    struct writer w = writer_of(bytes, sizeof bytes);
    event_fee_write(&w, &fee);
    return context_move(context, EVENT_FEE, view->sender, collector, ASSET_COIN, content->fee,
                        (struct bytes){bytes, writer_bytes(&w)});
}

static enum outcome run_operations(struct context *context, const struct tx_view *view)
{
    struct reader r = list_reader(&view->tx.content.operations);
    for (uint32_t i = 0; i < view->tx.content.operations.count; i++) {
        struct operation operation;
        operation_read(&r, &operation);
        const struct operation_rule *rule =
            operation_find(view->rules, view->rule_count, operation.kind);
        CHECK(context, rule, X1);
        context->operation = (uint16_t)i;
        enum outcome outcome = rule->apply(context, operation.body);
        if (outcome != OUTCOME_OK) return outcome;
    }
    return OUTCOME_OK;
}

/* quarantine undoes the whole transaction, takes fee and nonce again and says why. If even that breaks
 * an invariant, the block is lost. */
static enum outcome quarantine(struct ledger *ledger, const struct context_mark *start,
                               const struct tx_view *view, uint64_t gas)
{
    struct context *context = &ledger->context;
    enum invariant broken = context->broken;
    ledger_alarm(ledger, broken, context->broken_text);
    context_undo(context, start);
    struct event_quarantined record = {.invariant = (uint16_t)broken};
    uint8_t bytes[event_quarantined_bytes_max];
    struct writer w = writer_of(bytes, sizeof bytes);
    event_quarantined_write(&w, &record);
    enum outcome outcome = charge(context, view, gas);
    if (outcome == OUTCOME_OK)
        outcome = context_post(context, EVENT_QUARANTINED, NULL, 0,
                               (struct bytes){bytes, writer_bytes(&w)});
    if (outcome == OUTCOME_OK) outcome = context_check(context, start, view->sender, 1);
    if (outcome == OUTCOME_OK) {
        ledger->quarantined++;
        return OUTCOME_QUARANTINED;
    }
    ledger->block_broken = context->broken != INVARIANT_NONE ? context->broken : broken;
    ledger_alarm(ledger, ledger->block_broken, "taking the fee alone breaks it too");
    context_undo(context, start);
    return OUTCOME_BLOCK_UNDONE;
}

static enum outcome charge_again(struct context *context, const struct tx_view *view, uint64_t gas)
{
    CHECK(context, charge(context, view, gas) == OUTCOME_OK, X1);
    return OUTCOME_OK;
}

/* execute takes fee and nonce, then does the operations, all or none. */
static enum outcome execute(struct ledger *ledger, const struct tx_view *view, uint64_t gas)
{
    struct context *context = &ledger->context;
    struct context_mark start = context_mark(context);
    enum outcome outcome = charge(context, view, gas);
    if (outcome == OUTCOME_STATE_FULL) {
        context_undo(context, &start);
        return OUTCOME_ACCOUNT_REFUSED;
    }
    if (outcome == OUTCOME_OK) {
        outcome = run_operations(context, view);
        /* A refusal takes back everything, and then fee and nonce again, which succeeded a moment ago: so
         * a transaction that succeeds needs no mark between them and its operations. */
        if (context->broken == INVARIANT_NONE && outcome != OUTCOME_OK) {
            context_undo(context, &start);
            (void)charge_again(context, view, gas); /* the outcome stays the refusal */
        }
    }
    if (context->broken == INVARIANT_NONE &&
        (!outcome_paid(outcome) || outcome == OUTCOME_QUARANTINED))
        (void)context_break(context, INVARIANT_X1, "an operation answered an unpaid outcome");
    if (context->broken == INVARIANT_NONE) (void)context_check(context, &start, view->sender, 1);
    if (context->broken != INVARIANT_NONE) return quarantine(ledger, &start, view, gas);
    return outcome;
}

void ledger_run_transaction(struct ledger *ledger, const struct tx_view *view, bool opened,
                            uint32_t index, struct receipt *receipt)
{
    struct context *context = &ledger->context;
    uint32_t events_before = context->events->count;
    *receipt = (struct receipt){.outcome = OUTCOME_MALFORMED};
    if (opened) {
        uint64_t gas = tx_gas(view, &ledger->params);
        context->tx = index;
        context->sender = view->sender;
        enum outcome outcome = precheck(ledger, view, gas);
        if (outcome == OUTCOME_OK) outcome = execute(ledger, view, gas);
        memcpy(receipt->tx_id, view->id, HASH_BYTES);
        receipt->outcome = (uint16_t)outcome;
        if (outcome_paid(outcome)) {
            receipt->gas = gas;
            receipt->fee = view->tx.content.fee;
            ledger->gas_used += gas;
            ledger->fees_total += view->tx.content.fee; /* <= supply: each fee was a balance */
            ledger->nonces++;
        }
        context->sender = NULL;
        context->tx = EVENT_SYSTEM;
    }
    receipt->event_count = context->events->count - events_before;
}

/* ---- the commands of a block ---- */

/* Two steps ahead of execution: at LEDGER_SEEK a command is opened and the records that it will touch
 * are sought, at LEDGER_NEAR their rows are asked for. */
struct ahead {
    const struct tx_view *view;
    struct bytes bytes;
    struct store_hint hints[STORE_HELD_MAX];
    size_t hint_count;
};

#define VIEWS_AHEAD 4 /* of those to be opened */

struct run {
    struct ledger *ledger;
    const struct tx_view *views; /* NULL: opened into `own` */
    uint32_t count;
    struct reader commands;
    struct tx_view own[LEDGER_SEEK];
    struct ahead window[LEDGER_SEEK];
};

static bool is_opened(const struct ahead *ahead)
{
    return ahead->view->bytes.at != NULL;
}

/* seek hints at the sender and at the recipient of a leading transfer. */
static void seek(const struct store *store, struct ahead *ahead)
{
    const struct tx_view *view = ahead->view;
    uint8_t key[balance_key_bytes_max] = {0};
    memcpy(key, view->sender, 32);
    store_seek(store, TABLE_BALANCE, key, &ahead->hints[0]);
    ahead->hint_count = 1;
    struct reader r = list_reader(&view->tx.content.operations);
    struct operation operation;
    operation_read(&r, &operation);
    if (operation.kind != OPERATION_TRANSFER || operation.body.count < 32) return;
    memcpy(key, operation.body.at, 32);
    store_seek(store, TABLE_BALANCE, key, &ahead->hints[1]);
    ahead->hint_count = 2;
}

/* views_near asks for a view of the owner's that will be opened soon. */
static void views_near(const struct tx_view *view)
{
    for (size_t at = 0; at < sizeof *view; at += 64) {
        __builtin_prefetch((const uint8_t *)view + at);
    }
}

static void open_next(struct run *run, uint32_t index)
{
    struct ahead *ahead = &run->window[index % LEDGER_SEEK];
    const struct ledger *ledger = run->ledger;
    struct command command;
    command_read(&run->commands, &command);
    ahead->bytes = command.bytes;
    ahead->hint_count = 0;
    if (run->views) {
        ahead->view = &run->views[index];
        if (index + VIEWS_AHEAD < run->count) views_near(&run->views[index + VIEWS_AHEAD]);
    } else {
        struct tx_view *view = &run->own[index % LEDGER_SEEK];
        if (tx_open_rules(command.bytes.at, command.bytes.count, ledger->rules, ledger->rule_count,
                          view) != STATUS_OK)
            view->bytes.at = NULL;
        ahead->view = view;
    }
    if (is_opened(ahead)) seek(ledger->store, ahead);
}

static void near(const struct store *store, struct ahead *ahead)
{
    for (size_t i = 0; i < ahead->hint_count; i++) {
        store_near(store, &ahead->hints[i]);
    }
}

void ledger_run_commands(struct ledger *ledger, const struct list *commands,
                         const struct tx_view *views)
{
    struct run run = {.ledger = ledger,
                      .views = views,
                      .count = commands->count,
                      .commands = list_reader(commands)};
    uint32_t opened = 0, neared = 0, count = commands->count;
    uint8_t fees[balance_key_bytes_max] = {0};
    struct store_hint fees_hint;
    pool_address(POOL_FEES, fees);
    store_seek(ledger->store, TABLE_BALANCE, fees, &fees_hint);
    for (uint32_t i = 0; i < count; i++) {
        for (; opened < count && opened < i + LEDGER_SEEK; opened++) {
            open_next(&run, opened);
        }
        for (; neared < opened && neared < i + LEDGER_NEAR; neared++) {
            near(ledger->store, &run.window[neared % LEDGER_SEEK]);
        }
        struct ahead *ahead = &run.window[i % LEDGER_SEEK];
        store_near(ledger->store, &fees_hint);
        ahead->hints[ahead->hint_count++] = fees_hint;
        store_hold(ledger->store, ahead->hints, ahead->hint_count);
        struct receipt *receipt = &ledger->receipts[i];
        ledger_run_transaction(ledger, ahead->view, is_opened(ahead), i, receipt);
        if (!is_opened(ahead))
            hash_bytes(HASH_TRANSACTION, ahead->bytes.at, ahead->bytes.count, receipt->tx_id);
        ledger->event_ends[i] = ledger->context.events->bytes;
    }
    store_hold(ledger->store, NULL, 0);
}
