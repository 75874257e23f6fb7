/* apply/transfer.c - the operation "transfer". Order of checks: apply/README.md. */
#include "apply/context.h"
#include "apply/operation_list.h"

enum outcome transfer_apply(struct context *context, struct bytes body)
{
    struct transfer transfer;
    CHECK(context, transfer_decode(body.at, body.count, &transfer) == STATUS_OK, X1);
    if (transfer.asset != ASSET_COIN) return OUTCOME_UNKNOWN_ASSET;
    if (address_is_reserved(transfer.to)) return OUTCOME_RECIPIENT_RESERVED;

    uint8_t bytes[event_transfer_bytes_max];
    struct event_transfer record = {.operation = context->operation};
    struct writer w = writer_of(bytes, sizeof bytes);
    event_transfer_write(&w, &record);
    return context_move(context, EVENT_TRANSFER, context->sender, transfer.to, transfer.asset,
                        transfer.amount, (struct bytes){bytes, writer_bytes(&w)});
}
