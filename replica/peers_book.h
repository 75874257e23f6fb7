/* replica/peers_book.h - addresses of the network, told and answered. Sans-IO; nobody can fill it.
 *
 * An address that somebody told stands in one of BOOK_TOLD_BUCKETS buckets, one whose owner answered
 * (handshake done) in one of BOOK_ANSWERED_BUCKETS; each bucket has BOOK_SLOTS slots. A keyed hash decides,
 * so that nobody outside knows which address meets which:
 *
 *   told      bucket by (source group, address group); one source group reaches BOOK_SOURCE_BUCKETS of them
 *   answered  bucket by (address group, address); one address group reaches BOOK_GROUP_BUCKETS of them
 *
 * A group is a /16 of IPv4 and a /32 of IPv6. Whoever has a slot keeps it until it has failed
 * BOOK_FAILURES_LOST times since it last answered; so addresses told a thousand times push nothing out that
 * works (Heilman, Kendler, Zohar, Goldberg: Eclipse Attacks on Bitcoin's Peer-to-Peer Network, 2015, §7).
 * A told address is dropped after BOOK_FAILURES_TOLD failures, one that answered after BOOK_FAILURES_ANSWERED.
 *
 * Only an answer binds a key to an address: keys are not told.
 *
 * File, version 1, little-endian; entries in the order of their slots:
 *   offset  size  field
 *        0     8  "cairnbok"
 *        8     2  version, 1
 *       10     2  entries n
 *       12    16  secret of the buckets
 *       28  68 n  flags u8 (1 answered, 2 key known) | failures u8 | port u16 | ip 16 | source group 16 | key 32
 *  28+68 n     8  xxh3-64 of all before
 */
#ifndef CAIRN_REPLICA_PEERS_BOOK_H
#define CAIRN_REPLICA_PEERS_BOOK_H

#include "log/bytes.h"
#include "log/io.h"

#define BOOK_TOLD_BUCKETS      128
#define BOOK_ANSWERED_BUCKETS  32
#define BOOK_SLOTS             16
#define BOOK_SOURCE_BUCKETS    8
#define BOOK_GROUP_BUCKETS     4
#define BOOK_TOLD_ENTRIES      (BOOK_TOLD_BUCKETS * BOOK_SLOTS)
#define BOOK_ENTRIES           (BOOK_TOLD_ENTRIES + BOOK_ANSWERED_BUCKETS * BOOK_SLOTS)
#define BOOK_FAILURES_LOST     2
#define BOOK_FAILURES_TOLD     4
#define BOOK_FAILURES_ANSWERED 12
#define BOOK_ASKED_MAX         32 /* entries that book_pick looks at */
#define BOOK_SECRET_BYTES      16
#define BOOK_ENTRY_BYTES       68
#define BOOK_BYTES_MAX         (28 + BOOK_ENTRIES * BOOK_ENTRY_BYTES + 8)

struct book_entry {
    struct io_endpoint endpoint;
    uint8_t source[16]; /* group of who told it first */
    bool used, answered, has_key;
    uint8_t key[32];  /* of who answered */
    uint8_t failures; /* since it last answered */
    uint64_t due_us;  /* not to be tried before */
};

struct book {
    uint8_t secret[BOOK_SECRET_BYTES];
    size_t count, answered_count;
    bool changed; /* since it was last encoded */
    uint64_t random;
    struct book_entry entry[BOOK_ENTRIES]; /* told, then answered */
};

/* random_next: splitmix64, for jitter and choices that nobody gains from guessing. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* book_init empties the book. `secret` is unpredictable; `random` seeds choices. */
void book_init(struct book *book, const uint8_t secret[BOOK_SECRET_BYTES], uint64_t random);

/* book_group: the group of an address, the rest zero. */
void book_group(const uint8_t ip[16], uint8_t group[16]);

/* book_is_fit: what can be dialled and may be told by `source`: local addresses only by local ones, private
 * ones by those and by private ones. */
bool book_is_fit(const struct io_endpoint *endpoint, const uint8_t source[16]);

/* book_tell adds an address that `source` told; false: it is known, unfit, or its slot is taken. */
bool book_tell(struct book *book, const struct io_endpoint *endpoint, const uint8_t source[16]);

/* book_answer: whoever has `key` answered there. */
void book_answer(struct book *book, const struct io_endpoint *endpoint, const uint8_t key[32]);

/* book_fail: nobody of ours answered there; it rests for a while, longer each time. */
void book_fail(struct book *book, const struct io_endpoint *endpoint, uint64_t now_us);

/* book_forget removes an address: our own. */
void book_forget(struct book *book, const struct io_endpoint *endpoint);

/* book_pick chooses at random an entry that is due and that `usable` agrees with, of those that answered in half
 * of the cases. NULL: among BOOK_ASKED_MAX of either kind there is none. */
const struct book_entry *book_pick(struct book *book, uint64_t now_us,
                                   bool (*usable)(void *context, const struct book_entry *entry),
                                   void *context);

/* book_sample fills out[max] with different entries at random, and answers how many. */
size_t book_sample(struct book *book, struct io_endpoint *out, size_t max);

/* book_encode writes the file; out[BOOK_BYTES_MAX]. */
void book_encode(struct book *book, uint8_t *out, size_t *count);
/* book_decode: anything but STATUS_OK leaves an empty book as after book_init. */
MUST_CHECK enum status book_decode(struct book *book, const uint8_t *bytes, size_t count);

#endif
