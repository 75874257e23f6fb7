/* tests/support_cluster_internal.h - what the sources of support_cluster share. */
#ifndef CAIRN_TESTS_SUPPORT_CLUSTER_INTERNAL_H
#define CAIRN_TESTS_SUPPORT_CLUSTER_INTERNAL_H

#include <stdlib.h>

#include "replica/node_internal.h"
#include "tests/support_cluster.h"
#include "tests/support_node.h"

#define HOME       "home"
#define RING_BYTES (UINT64_C(1024) * 4096)
#define HELD_MAX   256

struct packet {
    uint64_t due_us, order;
    enum net_event_kind kind;
    uint32_t from, to;
    uint64_t life; /* of the receiver, when it was sent */
    size_t count;
    uint8_t *bytes;
};

struct held_op {
    struct io_op *op;
    uint64_t due_us;
};

struct machine {
    struct cluster *cluster;
    uint32_t at, key; /* of a validator: the number of its key */
    bool is_validator, up, in_turn;
    struct sim_line *line; /* to the signer of the key */
    struct signer signer;
    struct disk *disk;
    struct io_driver driver;
    struct io inner, io;
    struct net net;
    struct node *node;
    uint64_t wake_us, life, polls;
    uint64_t paused_us, sync_us; /* stands still until then; longest operation of its disk */
    int64_t skew_us;
    bool is_full;
    bool may_stop;   /* a fault of its disk was armed */
    bool keeps_head; /* of the folder that is lost */
    bool lied;       /* once, and what it sent then may arrive late */
    uint32_t corrupt_ppm;
    struct held_op held[HELD_MAX];
    size_t held_count;
    struct packet *inbox; /* delivered and not taken, a queue */
    size_t inbox_first, inbox_count, inbox_capacity;
    uint8_t *taken; /* of the message lent last */
    uint64_t witnessed;
};

struct cluster {
    struct cluster_options options;
    uint64_t random;
    struct fold fold;
    struct fold_key validators[CLUSTER_NODES_MAX];
    struct machine machines[CLUSTER_NODES_MAX];
    struct sim_signer *signers[CLUSTER_NODES_MAX]; /* by key */
    uint32_t count;
    bool cut[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX];
    cluster_see *see;
    void *see_context;
    struct packet *packets; /* a heap by due_us, order */
    size_t packet_count, packet_capacity;
    uint64_t next_order;
    uint64_t nonces[CHAIN_KEYS];
    bool known[CLUSTER_HEIGHTS_MAX];
    uint8_t ids[CLUSTER_HEIGHTS_MAX][HASH_BYTES], roots[CLUSTER_HEIGHTS_MAX][HASH_BYTES];
    uint64_t digest;
    struct cluster_counts counts;
};

void *cluster_grow(void *at, size_t *capacity, size_t needed, size_t each);
uint64_t cluster_draw(struct cluster *cluster, uint64_t below);

extern const struct net_driver CLUSTER_NET;
/* cluster_post: an event or a message sets out. cluster_deliver: the next one arrives. */
void cluster_post(struct cluster *cluster, enum net_event_kind kind, uint32_t from, uint32_t to,
                  struct bytes bytes);
void cluster_deliver(struct cluster *cluster);
void cluster_drop_packets(struct cluster *cluster);

#endif
