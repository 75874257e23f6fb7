#include "api/txs.h"

#include <string.h>

#include "apply/transaction.h"

void tx_fact_release(struct tx_fact *fact)
{
    block_release(&fact->block);
}

/* read_candidate loads one place and tells whether the transaction there is the one that is sought. */
static enum status read_candidate(struct node *node, const struct index_candidate *place,
                                  const uint8_t id[HASH_BYTES], struct loaded_block *loaded,
                                  struct bytes *tx, bool *same)
{
    uint8_t there[HASH_BYTES];
    TRY(chain_read(node_chain(node), SEGMENT_CHAIN, place->height, &loaded->buffer,
                   &loaded->record));
    TRY(chain_block_open(loaded->record.body, loaded->record.id, &loaded->block));
    *tx = block_command(&loaded->block, place->position);
    if (!tx->at) return STATUS_CORRUPT;
    hash_bytes(HASH_TRANSACTION, tx->at, tx->count, there);
    *same = memcmp(there, id, HASH_BYTES) == 0;
    return STATUS_OK;
}

static bool read_receipt(struct node *node, uint64_t height, uint32_t index,
                         struct receipt *receipt)
{
    struct event_walk walk = {.index = 0};
    bool found = walk_load(&walk, node, height) == STATUS_OK && walk_receipt(&walk, index, receipt);
    walk_release(&walk);
    return found;
}

/* find_inclusion keeps the paid place, or the newest one. The index answers newest first. */
static enum status find_inclusion(struct node *node, const uint8_t id[HASH_BYTES],
                                  const struct node_head *head, struct tx_fact *fact)
{
    struct index_candidate places[INDEX_CANDIDATES_MAX];
    size_t count;
    enum status status = index_candidates(node_index(node), id, places, &count);
    if (status == STATUS_NOT_FOUND) return STATUS_OK;
    TRY(status);
    for (size_t i = 0; i < count; i++) {
        struct loaded_block loaded = {.buffer = {NULL, 0}};
        struct receipt receipt;
        struct bytes tx;
        bool same = false;
        if (places[i].height > head->height) continue;
        status = read_candidate(node, &places[i], id, &loaded, &tx, &same);
        bool known = same && read_receipt(node, places[i].height, places[i].position, &receipt);
        bool paid = known && outcome_paid((enum outcome)receipt.outcome);
        if (status != STATUS_OK || !same || (fact->included && !paid)) {
            block_release(&loaded);
            TRY(status);
            continue;
        }
        block_release(&fact->block);
        fact->block = loaded;
        fact->tx = tx;
        fact->included = true;
        fact->height = places[i].height;
        fact->index = places[i].position;
        fact->has_receipt = known;
        if (known) fact->receipt = receipt;
        if (paid) break;
    }
    return STATUS_OK;
}

static const char *unpaid_status(const struct tx_fact *fact, const struct node_head *head)
{
    struct tx_view view;
    bool expired = tx_open(fact->tx.at, fact->tx.count, &view) == STATUS_OK &&
                   view.tx.content.valid_until <= head->height;
    return expired ? "expired" : "rejected";
}

enum status tx_find(struct node *node, const uint8_t id[HASH_BYTES], struct tx_fact *fact)
{
    struct node_head head;
    memset(fact, 0, sizeof *fact);
    /* In this order: what leaves the pool for a block is in the index before the pool forgets it only
     * if the pool is asked first. */
    bool pending = node_mempool_find(node, id);
    node_head(node, &head);
    TRY(find_inclusion(node, id, &head, fact));
    bool paid =
        fact->included && fact->has_receipt && outcome_paid((enum outcome)fact->receipt.outcome);
    if (paid) {
        fact->status = "committed";
        fact->certified = fact->height <= head.certified_height;
    } else if (pending) {
        fact->status = "pending";
    } else if (node_mempool_failed(node, id, &fact->reason)) {
        fact->status = strcmp(fact->reason, "expired") == 0 ? "expired" : "rejected";
    } else if (fact->included) {
        fact->status = unpaid_status(fact, &head);
    } else if (index_height(node_index(node)) < head.height) {
        return STATUS_BUSY;
    }
    return STATUS_OK;
}
