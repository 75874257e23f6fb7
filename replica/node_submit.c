/* The submit door: other threads bring transactions, the verify pool checks their signatures, the loop
 * judges them. A submission is shared by its caller, who may stop waiting, and the loop, which answers
 * it; the last of the two frees it. */
#include "replica/node_internal.h"

#include <assert.h>
#include <stdlib.h>

struct ticket {
    struct node_submission *submission;
    struct node_verdict verdict;
};

struct node_submission {
    pthread_mutex_t lock;
    pthread_cond_t all_answered;
    void (*answered)(void *context);
    void *context;
    unsigned holders; /* the caller and the loop */
    size_t open;      /* tickets without an answer */
    size_t count;
    struct ticket tickets[];
};

static struct node_submission *submission_make(size_t count)
{
    struct node_submission *s = calloc(1, sizeof *s + count * sizeof s->tickets[0]);
    if (!s) return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->all_answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->holders = 2;
    s->open = s->count = count;
    for (size_t i = 0; i < count; i++) {
        s->tickets[i].submission = s;
    }
    return s;
}

static void submission_free(struct node_submission *s)
{
    pthread_cond_destroy(&s->all_answered);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* submission_leave gives up one holder's share; call it with the lock held. */
static void submission_leave(struct node_submission *s)
{
    bool last = --s->holders == 0;
    pthread_mutex_unlock(&s->lock);
    if (last) submission_free(s);
}

/* The caller is told under the lock, so that one who has left is never told. */
static void ticket_answer(uint64_t tag, const struct node_verdict *verdict)
{
    struct ticket *ticket = (struct ticket *)(uintptr_t)tag;
    struct node_submission *s = ticket->submission;
    ticket->verdict = *verdict;
    pthread_mutex_lock(&s->lock);
    assert(s->open > 0);
    if (--s->open > 0) {
        pthread_mutex_unlock(&s->lock);
        return;
    }
    pthread_cond_broadcast(&s->all_answered);
    if (s->answered) s->answered(s->context);
    submission_leave(s);
}

enum status node_submit_start(struct node *node, const struct bytes *txs, size_t count,
                              void (*answered)(void *context), void *context,
                              struct node_submission **out)
{
    uint64_t tags[NODE_SUBMIT_MAX];
    if (count == 0 || count > NODE_SUBMIT_MAX) return STATUS_RANGE;
    if (atomic_load(&node->stopping)) return STATUS_CLOSED;
    if (atomic_load(&node->space) >= NODE_SPACE_REFUSING) return STATUS_NO_SPACE;
    struct node_submission *s = submission_make(count);
    if (!s) return STATUS_NO_MEMORY;
    s->answered = answered;
    s->context = context;
    for (size_t i = 0; i < count; i++) {
        tags[i] = (uint64_t)(uintptr_t)&s->tickets[i];
        assert((tags[i] & NODE_TAG_MASK) == NODE_TAG_TICKET);
    }
    enum status status = verify_submit(node->verify, txs, tags, count);
    if (status != STATUS_OK) {
        submission_free(s);
        return status;
    }
    atomic_fetch_add(&node->submitted, count);
    *out = s;
    /* The loop may have ended in between and looked into the pool for the last time. */
    if (atomic_load(&node->stopped)) node_reject_all(node);
    return STATUS_OK;
}

bool node_submit_take(struct node_submission *s, struct node_verdict *verdicts)
{
    pthread_mutex_lock(&s->lock);
    bool all = s->open == 0;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; all && i < s->count; i++) {
        verdicts[i] = s->tickets[i].verdict;
    }
    return all;
}

void node_submit_leave(struct node_submission *s)
{
    pthread_mutex_lock(&s->lock);
    s->answered = NULL;
    submission_leave(s);
}

enum status node_submit(struct node *node, const struct bytes *txs, size_t count,
                        struct node_verdict *verdicts, uint64_t timeout_us)
{
    struct node_submission *s;
    if (count == 0) return STATUS_OK;
    TRY(node_submit_start(node, txs, count, NULL, NULL, &s));
    struct timespec until = node_deadline(timeout_us);
    pthread_mutex_lock(&s->lock);
    while (s->open > 0) {
        if (pthread_cond_timedwait(&s->all_answered, &s->lock, &until) != 0) break;
    }
    pthread_mutex_unlock(&s->lock);
    bool all = node_submit_take(s, verdicts);
    node_submit_leave(s);
    return all ? STATUS_OK : STATUS_TIMEOUT;
}

/* admit maps the mempool's answer onto the verdict; under the exclusive lock, for HTTP looks into the
 * mempool too. */
static void admit(struct node *node, const struct tx_view *view, struct node_verdict *verdict)
{
    uint64_t nonce, balance;
    ledger_account(node->ledger, view->sender, &nonce, &balance);
    struct mempool_verdict pool;
    mempool_admit(node->mempool, view, tx_gas(view, &node->params), nonce, balance,
                  node->head.height + 1, &pool);
    verdict->expected_nonce = pool.expected_nonce;
    if (pool.required_fee > verdict->required_fee) verdict->required_fee = pool.required_fee;
    verdict->answer = pool.answer;
    switch (pool.answer) {
    case MEMPOOL_ADDED: verdict->status = STATUS_OK; break;
    case MEMPOOL_KNOWN:
        verdict->status = STATUS_OK;
        verdict->known = true;
        break;
    case MEMPOOL_STALE:
        verdict->status = STATUS_RANGE;
        verdict->outcome = OUTCOME_NONCE_TOO_LOW;
        break;
    case MEMPOOL_UNPAYABLE:
        verdict->status = STATUS_RANGE;
        verdict->outcome = OUTCOME_FEE_UNPAYABLE;
        break;
    case MEMPOOL_EXPIRED:
        verdict->status = STATUS_RANGE;
        verdict->outcome = OUTCOME_EXPIRED;
        break;
    default: verdict->status = STATUS_FULL; break;
    }
}

/* look_at_sender answers the ledger's nonce and tells the verdict the next one to use. The lock is for
 * simulations, which change the ledger for a moment. */
static uint64_t look_at_sender(struct node *node, const uint8_t sender[HASH_BYTES],
                               struct node_verdict *verdict)
{
    uint64_t nonce, balance;
    ledger_account(node_read_begin(node), sender, &nonce, &balance);
    verdict->expected_nonce = mempool_next_nonce(node->mempool, sender, nonce);
    node_read_end(node);
    return nonce;
}

static void judge(struct node *node, const struct verify_verdict *job, struct node_verdict *verdict)
{
    *verdict = (struct node_verdict){.status = job->status};
    if (!job->opened) return;
    verdict->has_id = true;
    memcpy(verdict->id, job->view.id, HASH_BYTES);
    uint64_t nonce = look_at_sender(node, job->view.sender, verdict);
    if (job->status != STATUS_OK) return;
    /* Whoever paid has used its nonce: only then is the index asked, which may read files. If they
     * cannot be read, "nonce too low" would invite the sender to pay again. */
    if (job->view.tx.content.nonce < nonce) {
        verdict->status = node_tx_paid(node, job->view.id, &verdict->known);
        if (verdict->status != STATUS_OK || verdict->known) return;
    }
    verdict->required_fee = tx_gas(&job->view, &node->params) * node->params.gas_price_min;
    verdict->outcome =
        tx_check(&job->view, &node->params, ledger_chain_tag(node->ledger), node->head.height + 1);
    if (verdict->outcome != OUTCOME_OK) {
        verdict->status = STATUS_RANGE;
        return;
    }
    node_write_begin(node);
    admit(node, &job->view, verdict);
    node_write_end(node);
}

/* deliver brings a verdict where its transaction came from. What is new to the pool, and not from a
 * validator, goes on to the peers. */
static void deliver(struct node *node, const struct verify_verdict *job,
                    const struct node_verdict *verdict)
{
    bool added = verdict->status == STATUS_OK && !verdict->known;
    if ((job->tag & NODE_TAG_MASK) == NODE_TAG_TICKET) {
        if (added) node_gossip_add(node, job->view.bytes);
        ticket_answer(job->tag, verdict);
        return;
    }
    uint32_t peer = (uint32_t)(job->tag >> 3);
    if (added && !node->peers[peer].is_validator) node_gossip_add(node, job->view.bytes);
    if (!job->opened || job->status == STATUS_BAD_SIGNATURE)
        node->net.driver->blame(node->net.self, peer, "a transaction that is not valid");
}

bool node_judge_verified(struct node *node)
{
    struct verify_verdict *jobs = node->jobs;
    size_t count = verify_take(node->verify, jobs, NODE_JUDGE_BATCH);
    for (size_t i = 0; i < count; i++) {
        struct node_verdict verdict;
        judge(node, &jobs[i], &verdict);
        if (jobs[i].status == STATUS_OK)
            node->counters.verified++;
        else
            node->counters.verify_failed++;
        if (verdict.status != STATUS_OK) node->counters.mempool_rejected++;
        deliver(node, &jobs[i], &verdict);
        verify_release(node->verify, &jobs[i]);
    }
    return count > 0;
}

void node_reject_all(struct node *node)
{
    struct verify_stats stats;
    for (;;) {
        struct verify_verdict *jobs = node->jobs;
        size_t count = verify_take(node->verify, jobs, NODE_JUDGE_BATCH);
        for (size_t i = 0; i < count; i++) {
            struct node_verdict verdict = {.status = STATUS_CLOSED};
            verify_release(node->verify, &jobs[i]);
            if ((jobs[i].tag & NODE_TAG_MASK) == NODE_TAG_TICKET)
                ticket_answer(jobs[i].tag, &verdict);
        }
        verify_stats(node->verify, &stats);
        if (stats.pending == 0) return;
        usleep(1000);
    }
}
