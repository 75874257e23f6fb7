/* What consensus puts into a block: participation and evidence. */
#include "apply/ledger_internal.h"
#include "apply/offence.h"
#include "apply/participation.h"

/* step_ended takes a step back that broke an expectation, with an alarm; the block goes on without it. */
static bool step_ended(struct ledger *ledger, const struct context_mark *start,
                       enum outcome outcome)
{
    if (outcome == OUTCOME_OK) return true;
    ledger_alarm(ledger, ledger->context.broken, "a record of consensus cannot be continued");
    context_undo(&ledger->context, start);
    return false;
}

/* judge_evidence records one piece of evidence, or says why not. */
static void judge_evidence(struct ledger *ledger, uint16_t index, struct bytes body)
{
    struct context *context = &ledger->context;
    struct judged *judged = &ledger->judged[ledger->judged_count++];
    struct evidence evidence;
    struct offender offender;
    *judged = (struct judged){.index = index, .outcome = OUTCOME_EVIDENCE_INVALID};
    if (evidence_decode(body.at, body.count, &evidence) != STATUS_OK) return;
    judged->outcome = offence_judge(context->store, context->params, ledger->epoch.number,
                                    ledger->genesis_id, &evidence, &offender);
    if (judged->outcome != OUTCOME_OK) return;
    struct context_mark start = context_mark(context);
    if (!step_ended(ledger, &start, offence_record(context, &evidence, &offender))) {
        judged->outcome = OUTCOME_EVIDENCE_INVALID;
        return;
    }
    judged->event = (struct event_evidence_recorded){
        .index = index, .kind = evidence.kind, .epoch = evidence.epoch, .round = evidence.round};
    memcpy(judged->event.key, offender.key, 32);
}

void ledger_system_records(struct ledger *ledger, const struct block *block)
{
    struct context *context = &ledger->context;
    const struct list *system = &block->body.system;
    ledger->judged_count = 0;
    context->history = true;
    struct context_mark start = context_mark(context);
    (void)step_ended(ledger, &start, participation_fold(context, ledger->epoch.number, block));
    struct reader r = list_reader(system);
    for (uint32_t i = 0; i < system->count; i++) {
        struct system_record record;
        system_record_read(&r, &record);
        if (record.kind == SYSTEM_EVIDENCE && ledger->judged_count < SYSTEM_EVIDENCE_MAX)
            judge_evidence(ledger, (uint16_t)i, record.body);
    }
    context->history = false;
}

void ledger_system_events(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->judged_count; i++) {
        const struct judged *judged = &ledger->judged[i];
        uint8_t body[event_evidence_recorded_bytes_max];
        struct writer w = writer_of(body, sizeof body);
        enum event_kind kind = EVENT_EVIDENCE_RECORDED;
        if (judged->outcome == OUTCOME_OK) {
            event_evidence_recorded_write(&w, &judged->event);
        } else {
            struct event_evidence_refused refused = {.index = judged->index,
                                                     .outcome = (uint16_t)judged->outcome};
            kind = EVENT_EVIDENCE_REFUSED;
            event_evidence_refused_write(&w, &refused);
        }
        (void)context_post(&ledger->context, kind, NULL, 0, (struct bytes){body, writer_bytes(&w)});
    }
}
