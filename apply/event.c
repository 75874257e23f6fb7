#include "apply/event.h"

#include <string.h>

SCHEMA_DEFINE(posting, POSTING_FIELDS, "one side of a change of balances")
SCHEMA_DEFINE(event, EVENT_FIELDS, "something that happened")
SCHEMA_DEFINE(block_events, BLOCK_EVENTS_FIELDS, "the events of a block")

SCHEMA_DEFINE(event_issued, EVENT_ISSUED_FIELDS, "a first balance, at height 0")
SCHEMA_DEFINE(event_fee, EVENT_FEE_FIELDS, "a transaction paid its fee")
SCHEMA_DEFINE(event_transfer, EVENT_TRANSFER_FIELDS, "an amount moved between accounts")
SCHEMA_DEFINE(event_fees_split, EVENT_FEES_SPLIT_FIELDS, "the fees of a block were divided")
SCHEMA_DEFINE(event_quarantined, EVENT_QUARANTINED_FIELDS, "a transaction was undone alone")
SCHEMA_DEFINE(event_parked, EVENT_PARKED_FIELDS, "a due item was undone and put aside")
SCHEMA_DEFINE(event_block_undone, EVENT_BLOCK_UNDONE_FIELDS, "the block was undone")
SCHEMA_DEFINE(event_epoch_ending, EVENT_EPOCH_ENDING_FIELDS, "the next epoch was frozen")
SCHEMA_DEFINE(event_epoch_started, EVENT_EPOCH_STARTED_FIELDS, "an epoch started")
SCHEMA_DEFINE(event_evidence_recorded, EVENT_EVIDENCE_RECORDED_FIELDS, "an offence was recorded")
SCHEMA_DEFINE(event_evidence_refused, EVENT_EVIDENCE_REFUSED_FIELDS, "evidence had no effect")
SCHEMA_DEFINE(event_power_set, EVENT_POWER_SET_FIELDS, "a validator of the next set changed")

#define X(number, upper, name, body)                                                               \
    _Static_assert((int)body##_bytes_max <= EVENT_BODY_BYTES_MAX, "an event can hold " #name);
EVENT_LIST(X)
#undef X

const struct schema_entry EVENTS[] = {
#define X(number, upper, name, body) {number, #name, &body##_schema, NULL},
    EVENT_LIST(X)
#undef X
};
const size_t EVENT_COUNT = sizeof EVENTS / sizeof EVENTS[0];

const struct schema_entry *event_find(uint16_t number)
{
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        if (EVENTS[i].number == number) return &EVENTS[i];
    }
    return NULL;
}

enum status event_check(const struct event *event)
{
    const struct schema_entry *entry = event_find(event->kind);
    if (!entry) return STATUS_CORRUPT;
    if (schema_check(entry->body, event->body.at, event->body.count) != STATUS_OK)
        return STATUS_CORRUPT;
    struct posting postings[EVENT_POSTINGS_MAX];
    if (event->postings.count > EVENT_POSTINGS_MAX) return STATUS_CORRUPT;
    struct reader r = list_reader(&event->postings);
    for (uint32_t i = 0; i < event->postings.count; i++) {
        posting_read(&r, &postings[i]);
    }
    if (r.status != STATUS_OK) return STATUS_CORRUPT;
    return postings_balance(postings, event->postings.count) ? STATUS_OK : STATUS_CORRUPT;
}

bool postings_balance(const struct posting *postings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        u128 debits = 0, credits = 0;
        for (size_t j = 0; j < count; j++) {
            if (postings[j].asset != postings[i].asset) continue;
            if (postings[j].side == POSTING_DEBIT)
                debits += postings[j].amount;
            else
                credits += postings[j].amount;
        }
        if (debits != credits) return false;
    }
    return true;
}
