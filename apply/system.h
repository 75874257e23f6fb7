/* apply/system.h - what consensus itself puts into a block, before the transactions.
 *
 *   1  evidence    an offence, recorded once (apply/offence.h)
 *   2  late_vote   a vote that a certificate left out (apply/participation.h)
 *
 * Both are declared records. Beyond the number that a block may carry of a kind they have no effect, nor
 * have unknown kinds and bytes that are no record; a block with such a one does not get an honest vote
 * (replica/system.h). Numbers are public, never reused; tests/golden/system.txt pins them.
 */
#ifndef CAIRN_APPLY_SYSTEM_H
#define CAIRN_APPLY_SYSTEM_H

#include "apply/evidence.h"
#include "apply/vote.h"

#define SYSTEM_EVIDENCE_MAX   8 /* of a block */
#define SYSTEM_LATE_VOTES_MAX 56
_Static_assert(SYSTEM_EVIDENCE_MAX + SYSTEM_LATE_VOTES_MAX <= SYSTEM_RECORDS_MAX,
               "a block has room for both");

#define LATE_VOTE_BLOCKS 4  /* late votes count for the newest certified blocks */
#define OFFENCES_MAX     16 /* of a validator in an epoch */

/* X(number, upper, name, record) */
#define SYSTEM_LIST(X)                                                                             \
    X(1, EVIDENCE, evidence, evidence)                                                             \
    X(2, LATE_VOTE, late_vote, vote)

enum system_kind {
#define X(number, upper, name, record) SYSTEM_##upper = number,
    SYSTEM_LIST(X)
#undef X
};

/* The registry, ascending by number, and its search (NULL: unknown). */
extern const struct schema_entry SYSTEM_RECORDS[];
extern const size_t SYSTEM_RECORD_COUNT;
const struct schema_entry *system_find(uint16_t number);

#endif
