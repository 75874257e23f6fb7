/* apply/participation.h - who votes and who proposes, counted from the blocks of an epoch.
 *
 * One record an epoch, changed once a block. A block shows the certificate of its parent: each vote in it
 * counts for its validator. A vote that came too late for the certificate counts as well, once, when a
 * leader brings it as a system record while its block is among the LATE_VOTE_BLOCKS newest certified ones.
 * The last block of an epoch is certified by blocks that are not part of the chain, so it does not count.
 *
 * What a certificate or a late vote says is believed: block validity verified the signatures, as it did
 * those of transactions. Nothing that a block can hold is an error here.
 */
#ifndef CAIRN_APPLY_PARTICIPATION_H
#define CAIRN_APPLY_PARTICIPATION_H

#include "apply/context.h"

/* participation_start makes the record of an epoch with `count` validators, and drops that of the epoch
 * two before. */
enum outcome participation_start(struct context *context, uint64_t epoch, uint32_t count);

/* participation_fold counts a block of the running epoch. */
enum outcome participation_fold(struct context *context, uint64_t epoch, const struct block *block);

#endif
