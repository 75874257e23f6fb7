/* apply/next_set.h - the validator set of the next epoch, while it may still change.
 *
 * Changes gather in the record VALIDATORS_NEXT; without it there are none. The block after which the
 * epoch is over freezes the set (DESIGN settlement 2): it becomes the record of the next epoch, and
 * VALIDATORS_NEXT goes. What changes later counts from the epoch behind that one.
 */
#ifndef CAIRN_APPLY_NEXT_SET_H
#define CAIRN_APPLY_NEXT_SET_H

#include "apply/store.h"
#include "apply/tables.h"

/* next_set_read answers the set that a change starts from, and the first epoch in which it counts: the
 * changed set if there is one, else that of the newest epoch which has one. False: a record is missing or
 * damaged. */
bool next_set_read(const struct store *store, struct validator_list *set, uint64_t *epoch);

/* next_set_encode writes VALIDATORS_NEXT or a set of VALIDATORS; the number of its bytes. */
size_t next_set_encode(const struct validator_list *set, uint8_t out[validators_bytes_max]);

#endif
