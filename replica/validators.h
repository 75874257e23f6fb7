/* replica/validators.h - the validator set as consensus uses it, from the set as the state keeps it. */
#ifndef CAIRN_REPLICA_VALIDATORS_H
#define CAIRN_REPLICA_VALIDATORS_H

#include "apply/genesis.h"
#include "replica/certificate.h"

/* validator_set_of fills the set from a list of struct validator_entry that was decoded and checked
 * (genesis_check, or a record of the state). */
void validator_set_of(const struct list *entries, struct validator_set *set);

#endif
