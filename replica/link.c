#include "replica/link.h"

#include <sodium.h>
#include <stdlib.h>

#include "replica/handshake.h"

#define LENGTH_BYTES 2
#define HEAD_BYTES   1 /* urgency, LAST */
#define LAST         0x80
#define SEAL_BYTES   crypto_secretstream_xchacha20poly1305_ABYTES
#define PART_MAX     (LINK_FRAME_BYTES - LENGTH_BYTES - SEAL_BYTES - HEAD_BYTES)

/* An empty message's frame would be shorter. */
#define LENGTH_MIN (SEAL_BYTES + HEAD_BYTES + 1)
#define LENGTH_MAX (LINK_FRAME_BYTES - LENGTH_BYTES)
_Static_assert(LENGTH_MAX <= UINT16_MAX, "a length fits its field");

#define INBOX_KEEP_BYTES 65536 /* a larger one is given back with its message */

struct parcel {
    size_t references;
    size_t count;
    uint8_t bytes[];
};

/* Parcels that wait, a ring in the order of their coming; the first may have begun. */
struct queue {
    struct parcel **ring;
    size_t capacity, first, count; /* parcels; capacity is 0 or a power of two */
    size_t bytes;                  /* of all their messages */
    size_t sent;                   /* of the first one's */
};

/* The part of a message that has come, of one urgency. */
struct inbox {
    uint8_t *at;
    size_t count, capacity;
};

/* Taken when the peer is known. */
struct frames {
    crypto_secretstream_xchacha20poly1305_state send, receive;
    uint64_t sent, received;
    uint8_t in[LINK_FRAME_BYTES];          /* a frame whose end has not come */
    uint8_t opened[HEAD_BYTES + PART_MAX]; /* the newest; a message of one frame stays here */
    uint8_t to_seal[HEAD_BYTES + PART_MAX];
};

struct link {
    struct handshake handshake;
    uint8_t hello_in[HANDSHAKE_BYTES_MAX], hello_out[HANDSHAKE_BYTES_MAX];
    size_t in_count; /* of the message or frame whose end has not come */
    size_t hello_out_count;
    enum status failed;
    struct frames *frames;
    struct inbox inbox[NET_URGENCIES];
    struct queue queue[NET_URGENCIES];
    struct bytes message; /* whole and not taken; count 0: none */
    struct inbox *lent;   /* holds it, or the one that was taken last; NULL: `opened` does */
    struct link_stats stats;
};

/* ---- parcels ---- */

struct parcel *parcel_make(struct bytes message)
{
    assert(message.count > 0);
    struct parcel *parcel = malloc(sizeof *parcel + message.count);
    if (!parcel) return NULL;
    parcel->references = 1;
    parcel->count = message.count;
    memcpy(parcel->bytes, message.at, message.count);
    return parcel;
}

void parcel_drop(struct parcel *parcel)
{
    if (!parcel) return;
    assert(parcel->references > 0);
    if (--parcel->references == 0) free(parcel);
}

/* ---- queues ---- */

static struct parcel **queue_at(const struct queue *q, size_t index)
{
    return &q->ring[(q->first + index) & (q->capacity - 1)];
}

static void queue_remove_first(struct queue *q)
{
    struct parcel *parcel = *queue_at(q, 0);
    q->bytes -= parcel->count;
    q->sent = 0;
    q->first = (q->first + 1) & (q->capacity - 1);
    q->count--;
    parcel_drop(parcel);
}

/* queue_drop_oldest leaves the one that has begun; false: there is no other. */
static bool queue_drop_oldest(struct queue *q)
{
    if (q->count == 0 || (q->sent > 0 && q->count == 1)) return false;
    if (q->sent > 0) {
        size_t sent = q->sent;
        struct parcel *begun = *queue_at(q, 0);
        *queue_at(q, 0) = *queue_at(q, 1);
        *queue_at(q, 1) = begun;
        queue_remove_first(q);
        q->sent = sent;
        return true;
    }
    queue_remove_first(q);
    return true;
}

_Static_assert((LINK_QUEUE_PARCELS_MAX & (LINK_QUEUE_PARCELS_MAX - 1)) == 0, "rings wrap by mask");

/* queue_grow makes room for one more; false: memory or the bound forbids it. */
static bool queue_grow(struct queue *q)
{
    if (q->count < q->capacity) return true;
    if (q->capacity == LINK_QUEUE_PARCELS_MAX) return false;
    size_t capacity = q->capacity > 0 ? 2 * q->capacity : 16;
    struct parcel **ring = malloc(capacity * sizeof *ring);
    if (!ring) return false;
    for (size_t i = 0; i < q->count; i++) {
        ring[i] = *queue_at(q, i);
    }
    free(q->ring);
    q->ring = ring;
    q->first = 0;
    q->capacity = capacity;
    return true;
}

void link_queue(struct link *link, enum net_urgency urgency, struct parcel *parcel)
{
    assert((unsigned)urgency < NET_URGENCIES);
    if (!link_ready(link)) return;
    struct queue *q = &link->queue[urgency];
    size_t max = link->handshake.options.queue_bytes_max[urgency];
    while ((parcel->count > max || q->bytes > max - parcel->count) && queue_drop_oldest(q)) {
        link->stats.dropped++;
    }
    if (!queue_grow(q)) {
        link->stats.dropped++;
        if (!queue_drop_oldest(q)) return;
    }
    parcel->references++;
    q->count++;
    q->bytes += parcel->count;
    *queue_at(q, q->count - 1) = parcel;
}

size_t link_room(const struct link *link, enum net_urgency urgency)
{
    const struct queue *q = &link->queue[urgency];
    size_t max = link->handshake.options.queue_bytes_max[urgency];
    bool full = !link_ready(link) || q->count == LINK_QUEUE_PARCELS_MAX || q->bytes > max;
    return full ? 0 : max - q->bytes;
}

/* ---- sending ---- */

/* Every LINK_REKEY_FRAMES-th frame of a direction changes its key, so that who takes over a machine cannot
 * read what it sent and received before. No other tag is ever used. */
static uint8_t frame_tag(uint64_t index)
{
    return (index + 1) % LINK_REKEY_FRAMES == 0 ? crypto_secretstream_xchacha20poly1305_TAG_REKEY
                                                : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
}

/* frame_seal writes the frame of the next part of the queue's first parcel, if `room` bytes are enough. */
static size_t frame_seal(struct link *link, enum net_urgency urgency, uint8_t *out, size_t room)
{
    struct frames *f = link->frames;
    struct queue *q = &link->queue[urgency];
    const struct parcel *parcel = *queue_at(q, 0);
    size_t left = parcel->count - q->sent, part = left < PART_MAX ? left : PART_MAX;
    size_t plain = HEAD_BYTES + part, length = plain + SEAL_BYTES;
    if (room < LENGTH_BYTES + length) return 0;
    f->to_seal[0] = (uint8_t)(urgency | (part == left ? LAST : 0));
    memcpy(f->to_seal + HEAD_BYTES, parcel->bytes + q->sent, part);
    store_u16(out, (uint16_t)length);
    crypto_secretstream_xchacha20poly1305_push(&f->send, out + LENGTH_BYTES, NULL, f->to_seal,
                                               plain, out, LENGTH_BYTES, frame_tag(f->sent));
    f->sent++;
    q->sent += part;
    if (part == left) {
        queue_remove_first(q);
        link->stats.messages_out++;
    }
    return LENGTH_BYTES + length;
}

void link_next(struct link *link, uint8_t *out, size_t capacity, size_t *count)
{
    assert(capacity >= LINK_FRAME_BYTES);
    *count = 0;
    if (link->failed != STATUS_OK) return;
    memcpy(out, link->hello_out, link->hello_out_count);
    *count = link->hello_out_count;
    link->hello_out_count = 0;
    for (unsigned i = 0; i < NET_URGENCIES;) {
        if (link->queue[i].count == 0) {
            i++;
            continue;
        }
        size_t written = frame_seal(link, i, out + *count, capacity - *count);
        if (written == 0) break;
        *count += written;
    }
    link->stats.bytes_out += *count;
}

/* ---- receiving ---- */

/* inbox_reserve grows by what has come, never by what is promised. */
static enum status inbox_reserve(struct inbox *inbox, size_t count, size_t max)
{
    if (count <= inbox->capacity) return STATUS_OK;
    size_t capacity = 2 * inbox->capacity < max ? 2 * inbox->capacity : max;
    if (capacity < count) capacity = count;
    uint8_t *at = realloc(inbox->at, capacity);
    if (!at) return STATUS_NO_MEMORY;
    inbox->at = at;
    inbox->capacity = capacity;
    return STATUS_OK;
}

static enum status part_take(struct link *link, uint8_t head, const uint8_t *part, size_t count)
{
    unsigned urgency = head & (LAST - 1);
    bool last = (head & LAST) != 0;
    if (urgency >= NET_URGENCIES) return STATUS_NONCANONICAL;
    if (!last && count != PART_MAX) return STATUS_NONCANONICAL;
    struct inbox *inbox = &link->inbox[urgency];
    size_t max = link->handshake.options.message_bytes_max[urgency];
    assert(inbox->count <= max);
    if (count > max - inbox->count) return STATUS_RANGE;
    if (last && inbox->count == 0) {
        link->message = (struct bytes){part, count};
        return STATUS_OK;
    }
    TRY(inbox_reserve(inbox, inbox->count + count, max));
    memcpy(inbox->at + inbox->count, part, count);
    inbox->count += count;
    if (!last) return STATUS_OK;
    link->message = (struct bytes){inbox->at, inbox->count};
    link->lent = inbox;
    inbox->count = 0;
    return STATUS_OK;
}

/* frame_open takes a whole frame, whose length is within its range. */
static enum status frame_open(struct link *link, const uint8_t *frame)
{
    struct frames *f = link->frames;
    unsigned long long count;
    uint8_t tag;
    int error = crypto_secretstream_xchacha20poly1305_pull(&f->receive, f->opened, &count, &tag,
                                                           frame + LENGTH_BYTES, load_u16(frame),
                                                           frame, LENGTH_BYTES);
    if (error != 0) return STATUS_BAD_SIGNATURE;
    if (tag != frame_tag(f->received)) return STATUS_NONCANONICAL;
    f->received++;
    TRY(part_take(link, f->opened[0], f->opened + HEAD_BYTES, (size_t)count - HEAD_BYTES));
    if (link->message.count > 0) link->stats.messages_in++;
    return STATUS_OK;
}

/* gather fills `buffer` up to `wanted` bytes; false: more must come. */
static bool gather(struct link *link, struct reader *r, uint8_t *buffer, size_t wanted)
{
    size_t missing = wanted - link->in_count, count = missing < r->left ? missing : r->left;
    read_copy(r, buffer + link->in_count, count);
    link->in_count += count;
    return link->in_count == wanted;
}

static enum status length_check(const uint8_t *frame)
{
    uint16_t length = load_u16(frame);
    return length >= LENGTH_MIN && length <= LENGTH_MAX ? STATUS_OK : STATUS_RANGE;
}

/* receive_frame takes one frame, from where it lies if it is whole, or as much of it as there is. */
static enum status receive_frame(struct link *link, struct reader *r)
{
    uint8_t *in = link->frames->in;
    if (link->in_count == 0 && r->left >= LENGTH_BYTES) {
        TRY(length_check(r->at));
        size_t bytes = LENGTH_BYTES + (size_t)load_u16(r->at);
        if (r->left >= bytes) return frame_open(link, read_take(r, bytes));
    }
    if (link->in_count < LENGTH_BYTES) {
        if (!gather(link, r, in, LENGTH_BYTES)) return STATUS_OK;
        TRY(length_check(in));
    }
    if (!gather(link, r, in, LENGTH_BYTES + (size_t)load_u16(in))) return STATUS_OK;
    link->in_count = 0;
    return frame_open(link, in);
}

static enum status become_ready(struct link *link)
{
    static const uint8_t NONCE[crypto_secretstream_xchacha20poly1305_HEADERBYTES];
    struct handshake *h = &link->handshake;
    link->frames = malloc(sizeof *link->frames);
    if (!link->frames) return STATUS_NO_MEMORY;
    link->frames->sent = link->frames->received = 0;
    /* init_push would draw a random nonce and do the same; a key of ours has one stream. */
    crypto_secretstream_xchacha20poly1305_init_pull(&link->frames->send, NONCE, h->send_key);
    crypto_secretstream_xchacha20poly1305_init_pull(&link->frames->receive, NONCE, h->receive_key);
    sodium_memzero(h->send_key, sizeof h->send_key);
    sodium_memzero(h->receive_key, sizeof h->receive_key);
    return STATUS_OK;
}

static enum status receive_hello(struct link *link, struct reader *r)
{
    struct handshake *h = &link->handshake;
    bool whole = gather(link, r, link->hello_in, handshake_wants(h));
    if (!handshake_begins(h, link->hello_in, link->in_count)) return STATUS_NONCANONICAL;
    if (!whole) return STATUS_OK;
    link->in_count = 0;
    TRY(handshake_receive(h, link->hello_in, link->hello_out, &link->hello_out_count));
    return h->state == HANDSHAKE_DONE ? become_ready(link) : STATUS_OK;
}

enum status link_receive(struct link *link, const uint8_t *bytes, size_t count, size_t *used)
{
    struct reader r = reader_of(bytes, count);
    *used = 0;
    if (link->failed != STATUS_OK) return link->failed;
    if (link->message.count == 0 && link->lent) {
        if (link->lent->capacity > INBOX_KEEP_BYTES) {
            free(link->lent->at);
            *link->lent = (struct inbox){0};
        }
        link->lent = NULL;
    }
    while (r.left > 0 && link->message.count == 0 && link->failed == STATUS_OK) {
        link->failed = link->frames ? receive_frame(link, &r) : receive_hello(link, &r);
    }
    *used = count - r.left;
    link->stats.bytes_in += *used;
    return link->failed;
}

bool link_take(struct link *link, struct bytes *message)
{
    *message = link->message;
    link->message = (struct bytes){0};
    return message->count > 0;
}

/* ---- the whole ---- */

enum status link_open(struct link **out, const struct link_options *options)
{
    struct link *link = *out =
        aligned_alloc(_Alignof(struct link), sizeof *link); /* a hash state */
    if (!link) return STATUS_NO_MEMORY;
    memset(link, 0, sizeof *link);
    handshake_init(&link->handshake, options, link->hello_out, &link->hello_out_count);
    return STATUS_OK;
}

void link_close(struct link *link)
{
    if (!link) return;
    for (unsigned i = 0; i < NET_URGENCIES; i++) {
        while (link->queue[i].count > 0) {
            queue_remove_first(&link->queue[i]);
        }
        free(link->queue[i].ring);
        free(link->inbox[i].at);
    }
    if (link->frames) sodium_memzero(link->frames, sizeof *link->frames);
    free(link->frames);
    sodium_memzero(link, sizeof *link);
    free(link);
}

bool link_ready(const struct link *link)
{
    return link->frames != NULL && link->failed == STATUS_OK;
}

const uint8_t *link_peer_key(const struct link *link)
{
    assert(link->frames != NULL);
    return link->handshake.peer_key;
}

const uint8_t *link_peer_consensus_key(const struct link *link)
{
    assert(link->frames != NULL);
    const uint8_t *key = link->handshake.peer_consensus_key;
    return sodium_is_zero(key, 32) ? NULL : key;
}

void link_stats(const struct link *link, struct link_stats *stats)
{
    *stats = link->stats;
    for (unsigned i = 0; i < NET_URGENCIES; i++) {
        stats->queued_bytes += link->queue[i].bytes - link->queue[i].sent;
        stats->held_bytes += link->inbox[i].count;
    }
}
