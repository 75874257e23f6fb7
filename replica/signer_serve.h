/* replica/signer_serve.h - a signer's socket, and the loop that serves one node at a time.
 *
 * The socket has mode 0600 in a folder of mode 0700 that is ours; a connection of another user is closed
 * without a word. A second node is told so, and closed: the first one is served until it closes.
 */
#ifndef CAIRN_REPLICA_SIGNER_SERVE_H
#define CAIRN_REPLICA_SIGNER_SERVE_H

#include "replica/signer_wire.h"

/* signer_listen makes the socket. STATUS_PERMISSION: the folder is not ours alone; STATUS_BUSY: somebody
 * answers there; STATUS_RANGE: the path is too long for a socket; STATUS_EXISTS: there is something else. */
MUST_CHECK enum status signer_listen(const char *path, int *listener, const char **why);

struct signer_service {
    struct sign_file *file;
    const uint8_t *secret; /* [64], borrowed */
    int listener;
    int stop; /* a descriptor that becomes readable when the loop is to end */
};

/* signer_serve returns STATUS_OK after `stop`, or why it cannot go on: STATUS_IO: the sign state cannot be
 * written, nothing was answered. */
MUST_CHECK enum status signer_serve(const struct signer_service *service);

#endif
