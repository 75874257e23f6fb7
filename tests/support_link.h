/* tests/support_link.h - two links back to back, and a peer of our own making.
 *
 * The puppet is a second reading of replica/handshake.h, written with libsodium alone: it dials or listens,
 * lies where it is told to, and seals whatever frames a test wants.
 */
#ifndef CAIRN_TESTS_SUPPORT_LINK_H
#define CAIRN_TESTS_SUPPORT_LINK_H

#include "replica/link.h"

#define LINK_TEST_PART_MAX 16364 /* of a message in a full frame */

/* A node's keys, made of a number. */
struct link_node {
    uint8_t secret[64], consensus_secret[64];
};
void link_node_init(struct link_node *node, uint8_t number);
/* Options of a node on chain `chain`; ephemeral made of a counter, new each time. */
struct link_options link_options_of(const struct link_node *node, uint8_t chain, bool dials);
/* link_claim_make: the claim of the node's consensus key. */
struct link_claim link_claim_make(const struct link_node *node, uint8_t chain);

/* link_drain appends all that the link has to send. */
struct link_wire {
    uint8_t *at;
    size_t count, capacity;
};
void link_wire_add(struct link_wire *wire, const uint8_t *bytes, size_t count);
void link_wire_free(struct link_wire *wire);
void link_drain(struct link *link, struct link_wire *wire);

/* link_introduce runs the handshake of two links to its end; the status of the first that fails. */
enum status link_introduce(struct link *dialler, struct link *listener);

/* ---- two links ---- */

#define LINK_TEST_CHAIN 5

struct link_pair {
    struct link_node node[2];
    struct link *link[2]; /* 0 dials */
};
void link_pair_open(struct link_pair *pair);
void link_pair_ready(struct link_pair *pair); /* and introduced */
/* link_pair_ready_with: these bounds of queues, and votes may have 64 KiB. */
void link_pair_ready_with(struct link_pair *pair, const size_t queue_bytes_max[NET_URGENCIES]);
void link_pair_close(struct link_pair *pair);

/* A message that says what it is: urgency u8 | number u32 | bytes that follow from both. The same memory
 * each time. */
struct bytes link_message_make(unsigned urgency, uint32_t number, size_t count);
void link_queue_message(struct link *link, unsigned urgency, uint32_t number, size_t count);

/* What has come; any other message than the next of its urgency aborts. */
struct link_mailbox {
    uint32_t next[NET_URGENCIES];
    size_t bytes[NET_URGENCIES], count;
    unsigned last; /* urgency of the newest */
    bool mixed;    /* a more urgent one came after a less urgent one */
};

/* link_deliver brings the bytes in random cuts of at most `cut`, each in memory of its own. The first failure
 * ends it. */
void link_cuts_seed(uint64_t number);
uint32_t link_pick(uint32_t below);
enum status link_deliver(struct link *link, const uint8_t *bytes, size_t count, size_t cut,
                         struct link_mailbox *box);

/* ---- the puppet ---- */

enum puppet_lie {
    PUPPET_HONEST,
    PUPPET_MAGIC,         /* hello with another magic */
    PUPPET_VERSION_TWO,   /* offers, or answers, version 2 only */
    PUPPET_VERSION_RANGE, /* offers 1 to 9: honest, of a later release */
    PUPPET_VERSION_EMPTY, /* offers 2 to 1 */
    PUPPET_VERSION_ZERO,  /* offers 0 to 1, answers 0 */
    PUPPET_CHAIN,         /* hello of another chain */
    PUPPET_SMALL_ORDER,   /* an ephemeral key of small order */
    PUPPET_ROLE,          /* signs as the other role */
    PUPPET_TAG,           /* signs under another tag */
    PUPPET_SIGNATURE,     /* signs with another key */
    PUPPET_TRANSCRIPT,    /* signs another transcript */
    PUPPET_CLAIM_OTHER,   /* a claim made for another network key */
    PUPPET_CLAIM_CHAIN,   /* a claim made for another chain */
    PUPPET_CLAIM_EMPTY,   /* a claim of nobody: signature without a key */
    PUPPET_BOX_KEY,       /* encrypts with the other direction's key */
    PUPPET_LIES
};

struct puppet {
    bool dials;
    enum puppet_lie lie;
    uint8_t chain;
    const struct link_node *node;
    struct link_claim claim;
    uint8_t ephemeral[32];
    /* Added by exclusive or to its hello or answer, and to its identity, by itself: the transcript has them
     * changed, and so has the signature, if edit_before_signature. */
    uint8_t hello_edit[76], identity_edit[192];
    bool edit_before_signature;
    /* made on the way: */
    uint8_t said[1024]; /* the transcript, whole */
    size_t said_count;
    uint8_t shared[32];
    uint8_t peer_key[32], peer_consensus_key[32];
    uint8_t key_send[32], key_receive[32];       /* of the frames */
    uint8_t stream_send[64], stream_receive[64]; /* libsodium's states */
};

void puppet_init(struct puppet *puppet, const struct link_node *node, uint8_t chain, bool dials,
                 enum puppet_lie lie);
/* puppet_hello, puppet_answer and puppet_confirm write what the puppet says; the last two answer false if
 * they do not understand what they were told. */
size_t puppet_hello(struct puppet *puppet, uint8_t out[1024]);
bool puppet_answer(struct puppet *puppet, const uint8_t *hello, uint8_t out[1024], size_t *count);
bool puppet_confirm(struct puppet *puppet, const uint8_t *answer, uint8_t out[1024], size_t *count);
bool puppet_finish(struct puppet *puppet, const uint8_t *confirm);
/* puppet_meet: the handshake of a puppet with a link. The link's status. */
enum status puppet_meet(struct puppet *puppet, struct link *link);

/* puppet_seal makes a frame of any head, part and tag. */
size_t puppet_seal(struct puppet *puppet, uint8_t tag, uint8_t head, const uint8_t *part,
                   size_t count, uint8_t *out);
/* puppet_open reads a frame: its plain bytes, head first; false: it does not decrypt. */
bool puppet_open(struct puppet *puppet, const uint8_t *frame, uint8_t *tag, uint8_t *plain,
                 size_t *count);

#endif
