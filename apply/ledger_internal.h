/* apply/ledger_internal.h - the parts of the ledger: opening, transactions, block end, reading. */
#ifndef CAIRN_APPLY_LEDGER_INTERNAL_H
#define CAIRN_APPLY_LEDGER_INTERNAL_H

#include "apply/context.h"
#include "apply/ledger.h"
#include "apply/receipt.h"

/* How far ahead of execution a command is opened, and its records are asked for. */
#define LEDGER_SEEK 16
#define LEDGER_NEAR 8

/* What became of a block's evidence; its event follows those of the transactions. */
struct judged {
    uint16_t index; /* among the system records */
    enum outcome outcome;
    struct event_evidence_recorded event; /* OUTCOME_OK: what was recorded */
};

struct ledger {
    struct store *store; /* owned */
    struct ledger_options options;
    const struct operation_rule *rules;
    size_t rule_count;
    uint8_t genesis_id[HASH_BYTES];
    uint32_t chain_tag;

    /* Copies of records: head, current parameters, epoch. */
    uint64_t height, time_us;
    struct params params;
    struct epoch_record epoch;

    /* The block in progress. */
    struct context context;
    struct context_mark block_mark;
    uint64_t gas_used, fees_total, nonces;
    enum invariant block_broken;
    uint32_t quarantined;
    bool simulating;
    struct judged judged[SYSTEM_EVIDENCE_MAX]; /* the block's evidence */
    uint32_t judged_count;

    struct event_buffer events, genesis_events, simulation_events; /* owned */
    struct receipt *receipts;                                      /* owned, [RECEIPTS_MAX] */
    size_t *event_ends;      /* owned, [RECEIPTS_MAX]: where the events of each receipt end */
    uint8_t *receipts_bytes; /* owned, [LEDGER_RECEIPTS_BYTES_MAX] */
    uint32_t receipt_count;  /* of the last executed block, its own included */
    size_t receipts_used;
    uint8_t *scratch; /* owned */
    size_t scratch_bytes;
};

#define LEDGER_RECEIPTS_BYTES_MAX block_receipts_bytes_max
#define LEDGER_RECEIPTS_OFFSET    (block_receipts_bytes_max - RECEIPTS_MAX * receipt_bytes_max)

/* The three steps of ledger_apply: transactions, due items and the epoch; the hashes over receipts
 * and their events; history and the end of the block. */
MUST_CHECK enum status ledger_execute(struct ledger *ledger, const struct block *block,
                                      const uint8_t id[HASH_BYTES], const struct tx_view *views);
MUST_CHECK enum status ledger_receipts_root(struct ledger *ledger, uint8_t root[HASH_BYTES]);
MUST_CHECK enum status ledger_finish(struct ledger *ledger, const struct header *header,
                                     const uint8_t id[HASH_BYTES], size_t block_bytes,
                                     const uint8_t receipts_root[HASH_BYTES]);

/* A system item: work that is due at the end of a block, with an undo of its own. */
enum ledger_item { ITEM_FEES_SPLIT = 1, ITEM_EPOCH_END = 2 };

/* ledger_alarm tells the owner, unless a simulation runs. */
void ledger_alarm(struct ledger *ledger, enum invariant invariant, const char *text);

/* ledger_run_transaction executes one opened transaction, or with `opened` false refuses the bytes,
 * and fills the receipt but for its events. */
void ledger_run_transaction(struct ledger *ledger, const struct tx_view *view, bool opened,
                            uint32_t index, struct receipt *receipt);

/* ledger_run_commands executes the commands of a block and fills their receipts. `views`: as in
 * ledger_apply_opened. */
void ledger_run_commands(struct ledger *ledger, const struct list *commands,
                         const struct tx_view *views);

/* ledger_system_records folds what consensus put into the block, before its transactions: participation
 * and evidence. Undoing the block keeps it, like history. ledger_system_events posts what became of the
 * evidence, behind the transactions, since the events of a receipt follow those of the one before. */
void ledger_system_records(struct ledger *ledger, const struct block *block);
void ledger_system_events(struct ledger *ledger);

/* ledger_items_due runs the items of the block's end that move money: the fee split. */
void ledger_items_due(struct ledger *ledger, const struct header *header);

/* ledger_epoch_step folds the epoch: freezes the next one or starts it. */
void ledger_epoch_step(struct ledger *ledger, const struct header *header,
                       const uint8_t id[HASH_BYTES]);

/* ledger_history folds what every executed block leaves: frontier, head, position of the chain log. */
void ledger_history(struct ledger *ledger, const struct header *header,
                    const uint8_t id[HASH_BYTES], const uint8_t receipts_root[HASH_BYTES],
                    size_t block_bytes);

/* ledger_reload copies head, parameters and epoch out of their records. STATUS_CORRUPT: one of them is
 * missing or damaged. */
MUST_CHECK enum status ledger_reload(struct ledger *ledger);

#endif
