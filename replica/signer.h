/* replica/signer.h - whoever holds the consensus key, behind one interface, so that it can live elsewhere.
 *
 * Drivers: local (below: the key in this process, the journal is its sign state), remote
 * (replica/signer_remote.h: a process with a sign state of its own), and in tests others.
 *
 * The node asks in the order in which the core decided. An answer may come at once, late, twice or never: the
 * node keeps what it asked, believes no signature that it has not verified, and forgets a request when a newer
 * one of the same kind is asked; what then still comes fits nothing.
 */
#ifndef CAIRN_REPLICA_SIGNER_H
#define CAIRN_REPLICA_SIGNER_H

#include "replica/sign_state.h"

struct signer_answer {
    uint64_t sign_id;
    enum sign_answer answer;
    uint8_t signature[64]; /* SIGN_GRANTED; not verified yet */
};

struct signer_driver {
    const char *name;
    /* ask copies `request`, at most SIGN_BYTES_MAX bytes, and does not wait. */
    void (*ask)(void *self, uint64_t sign_id, struct bytes request);
    /* take answers false when no answer waits. */
    bool (*take)(void *self, struct signer_answer *answer);
    /* attach: `wake` is called, on any thread, when an answer waits; NULL: no more, and none runs when attach
     * has returned. */
    void (*attach)(void *self, void (*wake)(void *context), void *context);
};

struct signer {
    const struct signer_driver *driver;
    void *self;
};

/* signer_kind tells requests of different kinds apart (replica/sign_state.h), by their tag: a newer request
 * replaces one of its kind that waits. */
enum signer_kind { SIGNER_PROPOSAL, SIGNER_VOTE, SIGNER_TIMEOUT, SIGNER_OTHER, SIGNER_KINDS };
enum signer_kind signer_kind(struct bytes request);

/* The local key: it signs whatever the core asks, for the core asks nothing that its journal does not know.
 * One thread. */
#define SIGNER_LOCAL_MAX 4
struct signer_local {
    const uint8_t *secret; /* [64], borrowed */
    struct signer_answer answers[SIGNER_LOCAL_MAX];
    size_t count; /* that wait; the oldest leaves when there is no room */
};
struct signer signer_local(struct signer_local *local, const uint8_t secret[64]);

#endif
