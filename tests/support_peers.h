/* tests/support_peers.h - nodes of replica/peers.h over loopback, in one thread and in time of our own.
 *
 * Time stands still but in peers_until and peers_pass. Sockets are the kernel's, so what has been sent arrives
 * when it does: a test waits for what must come, with patience that no claim depends on.
 */
#ifndef CAIRN_TESTS_SUPPORT_PEERS_H
#define CAIRN_TESTS_SUPPORT_PEERS_H

#include "replica/peers.h"
#include "tests/support_link.h"

#define WORLD_NODES     8
#define WORLD_STRANGERS 160
#define WORLD_MESSAGES  4096
#define WORLD_CHAIN     7
#define WORLD_OUT_BYTES 65536

struct world_message {
    uint32_t peer;
    size_t count;
    uint8_t kind, number; /* its first two bytes */
};

struct world_node {
    bool open, deaf; /* deaf: it takes nothing */
    struct io io;
    struct peers *peers;
    struct net net;
    struct link_node keys;
    uint64_t next_us;
    bool is_up[NET_PEERS_MAX];
    uint8_t key[NET_PEERS_MAX][32];
    unsigned up, ups, downs;
    struct world_message *message; /* [WORLD_MESSAGES] */
    size_t message_count;
    unsigned pumps;
};

/* Somebody with a link of his own and a socket of the test; without `link` he says nothing. */
struct world_stranger {
    bool open, closed, deaf; /* closed: by the node */
    int file;
    struct link *link;
    uint8_t *out; /* [WORLD_OUT_BYTES] said and not taken by the kernel yet */
    size_t out_count;
    struct world_message *message;
    size_t message_count;
};

struct world {
    enum status (*io_init)(struct io *io, unsigned ops_max);
    uint64_t now_us;
    int64_t patience_s; /* of the real clock: a test that waits longer has failed */
    struct world_node node[WORLD_NODES];
    struct world_stranger stranger[WORLD_STRANGERS];
    uint8_t validator[4][32]; /* consensus keys */
    size_t validator_count;
    char directory[64];
};

/* world_trace_nowhere: what is traced is written, but nobody reads it. */
bool world_trace_nowhere(void);

struct world *world_new(enum status (*io_init)(struct io *io, unsigned ops_max));
void world_free(struct world *world);

/* world_options: of node `index`, which has keys made of index + 1; it listens on a port of the kernel's. */
struct peers_options world_options(struct world *world, size_t index);
struct peer_address world_address(struct world *world, size_t index, bool with_key);
void world_open(struct world *world, size_t index, const struct peers_options *options);
void world_close(struct world *world, size_t index);

/* world_turn: everybody does what is due and gets what has come; true: something happened. */
bool world_turn(struct world *world);
/* world_until turns until the condition holds; when nothing happens, time passes to what is due next, but at most
 * `limit_us` in all. Fails the test when it runs out of time or of patience. */
void world_until(struct world *world, bool (*condition)(struct world *world), uint64_t limit_us);
/* world_pass lets time pass in steps of what is due. */
void world_pass(struct world *world, uint64_t span_us);

bool world_knows(const struct world *world, size_t index, size_t other);
/* world_send from node `index` to the peer that node `other` is there: kind, number, zeros. */
void world_send(struct world *world, size_t index, uint32_t peer, enum net_urgency urgency,
                uint8_t kind, uint8_t number, size_t count);
uint32_t world_peer_of(const struct world *world, size_t index, const uint8_t key[32]);

/* A stranger comes to node `index` from a loopback address; `number` 0: without a link, else its key. */
struct world_stranger *world_come(struct world *world, size_t index, const char *from,
                                  uint8_t number, bool validator);
void world_leave(struct world_stranger *stranger);

#endif
