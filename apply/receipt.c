#include "apply/receipt.h"

#include <stdlib.h>
#include <string.h>

#include "log/merkle.h"

_Static_assert((int)receipt_bytes_max == 54, "with the prefix of a leaf one block of SHA-256");

SCHEMA_DEFINE(receipt, RECEIPT_FIELDS, "what became of a transaction")
SCHEMA_DEFINE(block_receipts, BLOCK_RECEIPTS_FIELDS, "the receipts of a block")

/* leaf_of joins both parts in scratch[receipt.count + events.count]. */
static void leaf_of(struct bytes receipt, struct bytes events, uint8_t *scratch,
                    uint8_t leaf[HASH_BYTES])
{
    memcpy(scratch, receipt.at, receipt.count);
    if (events.count > 0) memcpy(scratch + receipt.count, events.at, events.count);
    merkle_leaf(scratch, receipt.count + events.count, leaf);
}

enum status receipt_leaf(struct bytes receipt, struct bytes events, uint8_t leaf[HASH_BYTES])
{
    uint8_t *scratch = malloc(receipt.count + events.count + 1);
    if (!scratch) return STATUS_NO_MEMORY;
    leaf_of(receipt, events, scratch, leaf);
    free(scratch);
    return STATUS_OK;
}

enum status receipts_root_of(const struct block_receipts *receipts,
                             const struct block_events *events, uint8_t root[HASH_BYTES])
{
    uint8_t *scratch = malloc(receipt_bytes_max + events->events.bytes);
    if (!scratch) return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    struct reader r = list_reader(&receipts->receipts);
    struct reader e = list_reader(&events->events);
    uint32_t next = 0;
    for (uint32_t i = 0; i < receipts->receipts.count; i++) {
        struct bytes bytes = {.at = r.at}, run = {.at = e.at};
        struct receipt receipt;
        receipt_read(&r, &receipt);
        bytes.count = (size_t)(r.at - bytes.at);
        if (receipt.event_count > events->events.count - next) {
            status = STATUS_CORRUPT;
            goto out;
        }
        for (uint32_t k = 0; k < receipt.event_count; k++) {
            schema_skip(&e, &event_schema);
        }
        run.count = (size_t)(e.at - run.at);
        next += receipt.event_count;
        uint8_t leaf[HASH_BYTES];
        leaf_of(bytes, run, scratch, leaf);
        merkle_frontier_append(&frontier, leaf);
    }
    if (r.status != STATUS_OK || reader_end(&e) != STATUS_OK || next != events->events.count)
        status = STATUS_CORRUPT;
    merkle_frontier_root(&frontier, root);
out:
    free(scratch);
    return status;
}
