/* replica/signer_remote.h - a signer in another process, reached by its unix socket.
 *
 * A thread of its own connects, asks and listens, and connects again, for ever, when the signer goes away: what
 * waits is asked again (replica/signer_queue.h), the node follows meanwhile. Nothing is asked of a signer that
 * holds another key or another chain's.
 */
#ifndef CAIRN_REPLICA_SIGNER_REMOTE_H
#define CAIRN_REPLICA_SIGNER_REMOTE_H

#include "replica/signer.h"

struct signer_remote;

struct signer_remote_options {
    const char *path; /* of the socket, copied */
    uint8_t genesis_id[HASH_BYTES];
    uint8_t key[32];
};

/* signer_remote_open starts the thread; the signer need not be there yet. STATUS_RANGE: the path is too long
 * for a socket; STATUS_NO_MEMORY. */
MUST_CHECK enum status signer_remote_open(struct signer_remote **remote,
                                          const struct signer_remote_options *options);
void signer_remote_close(struct signer_remote *remote);
struct signer signer_remote(struct signer_remote *remote);

#endif
