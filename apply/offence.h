/* apply/offence.h - evidence becomes a record, once.
 *
 * A record holds the offences of one validator in one epoch. It stays as long as the set of that epoch,
 * longer than evidence about it is taken, so that nothing is recorded twice. A penalty is not part of it.
 */
#ifndef CAIRN_APPLY_OFFENCE_H
#define CAIRN_APPLY_OFFENCE_H

#include "apply/context.h"
#include "apply/evidence.h"

/* Whom evidence convicts. */
struct offender {
    uint8_t key[32];
    uint64_t power;
};

/* offence_judge answers whether evidence would be recorded; the first fault counts:
 *   evidence_invalid   its statements do not contradict each other, or its epoch is yet to come
 *   evidence_too_old   the epoch is more than evidence_epochs_max before the running one
 *   evidence_invalid   no such validator in the set of its epoch
 *   evidence_repeated  recorded: same validator, epoch, kind, round
 *   evidence_full      OFFENCES_MAX of that validator and epoch are recorded
 *   evidence_invalid   a signature does not hold */
enum outcome offence_judge(const struct store *store, const struct params *params, uint64_t running,
                           const uint8_t genesis_id[HASH_BYTES], const struct evidence *evidence,
                           struct offender *offender);

/* offence_record adds what offence_judge accepted. */
enum outcome offence_record(struct context *context, const struct evidence *evidence,
                            const struct offender *offender);

/* offences_forget drops every record of an epoch, whose set is still there. */
enum outcome offences_forget(struct context *context, uint64_t epoch);

#endif
