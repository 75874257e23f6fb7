/* replica/validators.h - what consensus takes from the state: validator sets and epochs. */
#ifndef CAIRN_REPLICA_VALIDATORS_H
#define CAIRN_REPLICA_VALIDATORS_H

#include "apply/ledger.h"
#include "replica/certificate.h"

/* validator_set_of fills the set from a list that was decoded and checked (genesis_check, or a record of
 * the state). */
void validator_set_of(const struct validator_list *list, struct validator_set *set);

/* ledger_chain_epoch answers the epoch that runs after the newest folded block.
 * STATUS_NOT_FOUND: the state lacks its set. */
MUST_CHECK enum status ledger_chain_epoch(const struct ledger *ledger, struct chain_epoch *epoch);

/* ledger_epoch_over: the state after the newest folded block says that its epoch is over; `next_set_hash`
 * receives what the header of the epoch's last block announces, zero otherwise. */
bool ledger_epoch_over(const struct ledger *ledger, uint8_t next_set_hash[HASH_BYTES]);

#endif
