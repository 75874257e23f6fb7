/* replica/signer_queue.h - requests on their way to a signer that may be away. Pure.
 *
 * The newest request of each kind waits until it is answered, in the order in which they were asked; an older
 * one of its kind leaves, for the core has forgotten it. So the queue is as short as there are kinds, however
 * long the signer is away, and what a node asks again after its own start is never older than what went out.
 *
 * A request is sent, and sent again after its connection was lost: the signer answers the same bytes with the
 * same signature. At most SIGNER_WINDOW are under way, so that what a slow signer has not read stays small.
 */
#ifndef CAIRN_REPLICA_SIGNER_QUEUE_H
#define CAIRN_REPLICA_SIGNER_QUEUE_H

#include "replica/signer.h"

#define SIGNER_WINDOW 4

struct signer_request {
    uint64_t sign_id;
    enum signer_kind kind;
    bool is_sent;
    size_t count;
    uint8_t bytes[SIGN_BYTES_MAX];
};

struct signer_queue {
    struct signer_request requests[SIGNER_KINDS]; /* in their order, those that were sent first */
    size_t count, under_way;
};

void signer_queue_ask(struct signer_queue *queue, uint64_t sign_id, struct bytes request);

/* signer_queue_next answers what is to be sent next, or NULL; it counts as sent. Borrowed until the next call. */
const struct signer_request *signer_queue_next(struct signer_queue *queue);

/* signer_queue_answered: *waits tells whether this request still waited. STATUS_NONCANONICAL: nothing was
 * under way that could be answered. */
MUST_CHECK enum status signer_queue_answered(struct signer_queue *queue, uint64_t sign_id,
                                             bool *waits);

/* signer_queue_lost: the connection is gone; whatever waits is to be sent anew. */
void signer_queue_lost(struct signer_queue *queue);

#endif
