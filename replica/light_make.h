/* replica/light_make.h - proof files for light clients, out of a chain log and the sets of its epochs. */
#ifndef CAIRN_REPLICA_LIGHT_MAKE_H
#define CAIRN_REPLICA_LIGHT_MAKE_H

#include "log/chain.h"
#include "replica/light.h"

struct light_source {
    struct chain_reader *reader;
    const uint8_t *genesis_id; /* [32] */
    /* epoch_of answers set and parameters of an epoch. STATUS_PRUNED: not kept any more. */
    enum status (*epoch_of)(void *context, uint64_t epoch, struct validator_list *set,
                            struct params *params);
    void *context;
};

#define LIGHT_NO_COMMAND UINT32_MAX

/* light_make writes the proof of the block at `height`, from the set of `from_epoch`, with its transaction
 * `command` unless that is LIGHT_NO_COMMAND.
 *   file  receives malloc'd bytes, owned by the caller
 * STATUS_NOT_FOUND: no such block or transaction. STATUS_BUSY: no certificate in the log makes it final yet.
 * STATUS_RANGE: from_epoch lies behind the block, or too far before it. STATUS_PRUNED, and those of chain_read. */
MUST_CHECK enum status light_make(const struct light_source *source, uint64_t height,
                                  uint64_t from_epoch, uint32_t command, struct bytes *file);

/* light_attach writes a file again, with a record of the state in it. */
MUST_CHECK enum status light_attach(struct bytes file, const struct light_state *state,
                                    struct bytes *out);

/* light_epoch_of is epoch_of over a ledger, whose lock is held: it knows the last VALIDATOR_EPOCHS_KEPT. */
enum status light_epoch_of(void *ledger, uint64_t epoch, struct validator_list *set,
                           struct params *params);

#endif
