/* apply/ledger.h - the fold: committed blocks in, state, receipts and events out.
 *
 * The ledger is a pure function of the genesis and the blocks applied in height order. It never
 * fails and never aborts on input: a transaction that the rules refuse gets an outcome, one that
 * would break an invariant is undone alone (quarantined), and if that does not restore the
 * invariants the block is undone except height, time and history (apply/README.md). A status other
 * than OK means that this machine failed (memory): the owner stops.
 *
 * Threads: one writer. Readers share a lock of the owner's, which the writer holds exclusively
 * during ledger_apply.
 */
#ifndef CAIRN_APPLY_LEDGER_H
#define CAIRN_APPLY_LEDGER_H

#include "apply/evidence.h"
#include "apply/genesis.h"
#include "apply/operation.h"
#include "apply/outcome.h"
#include "apply/params.h"
#include "apply/store.h"
#include "apply/tables.h"
#include "apply/transaction.h"
#include "log/block.h"

struct ledger;

struct ledger_options {
    size_t view_bytes_max;              /* pre-images for older heights; 0: none */
    const struct operation_rule *rules; /* NULL: the built-in operations */
    size_t rule_count;
    bool full_checks; /* recompute every invariant after each block */
    void (*alarm)(void *context, const char *invariant, uint64_t height, const char *text);
    void *alarm_context;
};

/* What one block did. The bytes are borrowed until the next ledger_apply. */
struct ledger_result {
    uint64_t height;
    struct bytes receipts; /* canonical struct block_receipts */
    struct bytes events;   /* canonical struct block_events */
    uint8_t receipts_root[HASH_BYTES];
    uint32_t tx_count, event_count;
    uint32_t outcome_paid, outcome_ok; /* how many paid, how many succeeded */
    uint32_t quarantined;              /* transactions, plus one for an undone block */
};

/* ledger_open builds the state of height 0 from a genesis that genesis_check accepted.
 * STATUS_NO_MEMORY; STATUS_RANGE: the genesis is refused. */
MUST_CHECK enum status ledger_open(struct ledger **ledger, const struct genesis *genesis,
                                   const struct ledger_options *options);
void ledger_close(struct ledger *ledger);

/* ledger_genesis_events answers the events of height 0, which credit the first balances. */
struct bytes ledger_genesis_events(const struct ledger *ledger);

/* ledger_apply folds one committed block, whose height is ledger_height + 1 and whose bytes
 * block_open accepted. `block_bytes` is its full encoded length (it moves the log position). */
MUST_CHECK enum status ledger_apply(struct ledger *ledger, const struct block *block,
                                    const uint8_t id[HASH_BYTES], size_t block_bytes,
                                    struct ledger_result *result);

/* ledger_apply_opened is the same for an owner who opened the transactions elsewhere (verify pool).
 *   views  [commands.count], borrowed: what tx_open_rules, with the ledger's rules, made of each
 *          command; .bytes.at is NULL where it refused. NULL: they are opened here. */
MUST_CHECK enum status ledger_apply_opened(struct ledger *ledger, const struct block *block,
                                           const uint8_t id[HASH_BYTES], size_t block_bytes,
                                           const struct tx_view *views,
                                           struct ledger_result *result);

/* ledger_root answers the state root after the last applied block. */
MUST_CHECK enum status ledger_root(struct ledger *ledger, uint8_t root[HASH_BYTES]);

/* Reading. The store answers any record (apply/tables.h); these are the common ones. */
struct store *ledger_store(struct ledger *ledger);
uint64_t ledger_height(const struct ledger *ledger);
uint64_t ledger_time_us(const struct ledger *ledger);
const uint8_t *ledger_genesis_id(const struct ledger *ledger);
uint32_t ledger_chain_tag(const struct ledger *ledger);
void ledger_params(const struct ledger *ledger, struct params *params);
/* ledger_account answers nonce (paid transactions so far) and liquid balance of asset 0. */
void ledger_account(const struct ledger *ledger, const uint8_t address[32], uint64_t *nonce,
                    uint64_t *balance);

/* ledger_epoch answers the running epoch: base, end_at, and once that is set the hash that the
 * epoch-end header announces. */
void ledger_epoch(const struct ledger *ledger, struct epoch_record *epoch);

/* ledger_validators answers the set of an epoch: the running one, the next once it is frozen, or
 * one of the last VALIDATOR_EPOCHS_KEPT. STATUS_NOT_FOUND: not kept or not frozen yet. */
MUST_CHECK enum status ledger_validators(const struct ledger *ledger, uint64_t epoch,
                                         struct validator_list *set);

/* ledger_evidence answers what recording a piece of evidence would give now: OUTCOME_OK, or why it would
 * have no effect. */
enum outcome ledger_evidence(const struct ledger *ledger, const struct evidence *evidence);

/* ledger_epoch_params answers the parameters of an epoch up to the running one. STATUS_NOT_FOUND. */
MUST_CHECK enum status ledger_epoch_params(const struct ledger *ledger, uint64_t epoch,
                                           struct params *params);

/* ledger_next_params answers the parameters frozen for the next epoch. STATUS_NOT_FOUND: not
 * frozen. */
MUST_CHECK enum status ledger_next_params(const struct ledger *ledger, struct params *params);

/* ledger_simulate runs a transaction against the present state and undoes it; no signature is
 * needed. It changes nothing but needs the writer's side of the lock. The answer is what inclusion
 * in the next block would give. */
MUST_CHECK enum status ledger_simulate(struct ledger *ledger, const struct tx_view *tx,
                                       enum outcome *outcome, uint64_t *gas, struct bytes *events);

#endif
