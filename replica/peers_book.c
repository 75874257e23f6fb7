#include "replica/peers_book.h"

#include <assert.h>

#include "log/hash.h"

#define FILE_VERSION    1
#define FILE_HEAD_BYTES 28
#define FLAG_ANSWERED   1
#define FLAG_KEY        2
#define PAUSE_US                                                                                   \
    (UINT64_C(30) * 1000000) /* after a failure, twice as long after each further one */
#define PAUSE_SHIFT_MAX 7    /* 64 minutes */

_Static_assert(BOOK_ENTRIES < UINT16_MAX, "the file counts entries in 16 bits");

static const uint8_t MAGIC[8] = "cairnbok";

void book_init(struct book *book, const uint8_t secret[BOOK_SECRET_BYTES], uint64_t random)
{
    memset(book, 0, sizeof *book);
    memcpy(book->secret, secret, BOOK_SECRET_BYTES);
    book->random = random;
}

void book_group(const uint8_t ip[16], uint8_t group[16])
{
    size_t kept = io_ip_is_four(ip) ? 14 : 4;
    memset(group, 0, 16);
    memcpy(group, ip, kept);
}

/* ---- which addresses ------------------------------------------------------------------------ */

enum reach { REACH_NONE, REACH_LOCAL, REACH_PRIVATE, REACH_ALL };

static enum reach reach_of_four(const uint8_t ip[4])
{
    if (ip[0] == 127) return REACH_LOCAL;
    if (ip[0] == 0 || ip[0] >= 224) return REACH_NONE;
    bool private = ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
                   (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254) ||
                   (ip[0] == 100 && (ip[1] & 0xc0) == 64);
    return private ? REACH_PRIVATE : REACH_ALL;
}

static enum reach reach_of(const uint8_t ip[16])
{
    static const uint8_t LOOPBACK[16] = {[15] = 1}, NOBODY[16] = {0};
    if (io_ip_is_four(ip)) return reach_of_four(ip + 12);
    if (memcmp(ip, LOOPBACK, 16) == 0) return REACH_LOCAL;
    if (memcmp(ip, NOBODY, 16) == 0 || ip[0] == 0xff) return REACH_NONE;
    bool private = (ip[0] & 0xfe) == 0xfc || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
    return private ? REACH_PRIVATE : REACH_ALL;
}

bool book_is_fit(const struct io_endpoint *endpoint, const uint8_t source[16])
{
    enum reach reach = reach_of(endpoint->ip);
    return endpoint->port != 0 && reach != REACH_NONE && reach_of(source) <= reach;
}

/* ---- places --------------------------------------------------------------------------------- */

static uint64_t keyed(const struct book *book, uint8_t tag, const void *a, size_t a_count,
                      const void *b, size_t b_count)
{
    struct hash_state state;
    uint8_t out[HASH_BYTES];
    hash_start(&state, HASH_DIGEST);
    hash_update(&state, book->secret, BOOK_SECRET_BYTES);
    hash_update(&state, &tag, 1);
    hash_update(&state, a, a_count);
    hash_update(&state, b, b_count);
    hash_final(&state, out);
    return load_u64(out);
}

static uint64_t keyed_endpoint(const struct book *book, uint8_t tag, const struct io_endpoint *at)
{
    uint8_t port[2];
    store_u16(port, at->port);
    return keyed(book, tag, at->ip, 16, port, 2);
}

/* The only slot that an address told by `source` may have. */
static size_t told_place(const struct book *book, const struct io_endpoint *endpoint,
                         const uint8_t source[16])
{
    uint8_t group[16];
    book_group(endpoint->ip, group);
    uint64_t one = keyed(book, 1, source, 16, group, 16) % BOOK_SOURCE_BUCKETS;
    uint64_t bucket = keyed(book, 2, source, 16, &one, sizeof one) % BOOK_TOLD_BUCKETS;
    return (size_t)(bucket * BOOK_SLOTS + keyed_endpoint(book, 3, endpoint) % BOOK_SLOTS);
}

static size_t answered_place(const struct book *book, const struct io_endpoint *endpoint)
{
    uint8_t group[16];
    book_group(endpoint->ip, group);
    uint64_t one = keyed_endpoint(book, 4, endpoint) % BOOK_GROUP_BUCKETS;
    uint64_t bucket = keyed(book, 5, group, 16, &one, sizeof one) % BOOK_ANSWERED_BUCKETS;
    uint64_t slot = keyed_endpoint(book, 6, endpoint) % BOOK_SLOTS;
    return BOOK_TOLD_ENTRIES + (size_t)(bucket * BOOK_SLOTS + slot);
}

static struct book_entry *book_find(struct book *book, const struct io_endpoint *endpoint)
{
    for (size_t i = 0; i < BOOK_ENTRIES; i++) {
        struct book_entry *entry = &book->entry[i];
        if (entry->used && io_endpoint_is(&entry->endpoint, endpoint)) return entry;
    }
    return NULL;
}

static void book_remove(struct book *book, struct book_entry *entry)
{
    book->count--;
    book->answered_count -= entry->answered;
    book->changed = true;
    *entry = (struct book_entry){0};
}

/* Whoever has a slot keeps it while it works. */
static bool book_place(struct book *book, size_t place, const struct book_entry *entry)
{
    struct book_entry *slot = &book->entry[place];
    if (slot->used && slot->failures < BOOK_FAILURES_LOST) return false;
    if (slot->used) book_remove(book, slot);
    *slot = *entry;
    book->count++;
    book->answered_count += entry->answered;
    book->changed = true;
    return true;
}

/* ---- what happened -------------------------------------------------------------------------- */

bool book_tell(struct book *book, const struct io_endpoint *endpoint, const uint8_t source[16])
{
    if (!book_is_fit(endpoint, source) || book_find(book, endpoint) != NULL) return false;
    struct book_entry entry = {.endpoint = *endpoint, .used = true};
    book_group(source, entry.source);
    return book_place(book, told_place(book, endpoint, entry.source), &entry);
}

void book_answer(struct book *book, const struct io_endpoint *endpoint, const uint8_t key[32])
{
    struct book_entry *found = book_find(book, endpoint);
    struct book_entry entry = {.endpoint = *endpoint, .used = true, .answered = true};
    if (found != NULL) memcpy(entry.source, found->source, 16);
    if (found == NULL) book_group(endpoint->ip, entry.source);
    entry.has_key = true;
    memcpy(entry.key, key, 32);
    if (found != NULL && found->answered) {
        book->changed |= memcmp(found->key, key, 32) != 0 || found->failures != 0;
        *found = entry;
    } else if (book_place(book, answered_place(book, endpoint), &entry)) {
        if (found != NULL) book_remove(book, found);
    } else if (found != NULL) {
        /* There is no room among those that answered: it stays with the others. */
        entry.answered = false;
        *found = entry;
        book->changed = true;
    }
}

void book_fail(struct book *book, const struct io_endpoint *endpoint, uint64_t now_us)
{
    struct book_entry *entry = book_find(book, endpoint);
    if (entry == NULL) return;
    unsigned max = entry->answered ? BOOK_FAILURES_ANSWERED : BOOK_FAILURES_TOLD;
    unsigned shift = entry->failures < PAUSE_SHIFT_MAX ? entry->failures : PAUSE_SHIFT_MAX;
    entry->due_us = now_us + (PAUSE_US << shift);
    entry->failures++;
    book->changed = true;
    if (entry->failures >= max) book_remove(book, entry);
}

void book_forget(struct book *book, const struct io_endpoint *endpoint)
{
    struct book_entry *entry = book_find(book, endpoint);
    if (entry != NULL) book_remove(book, entry);
}

/* ---- choices -------------------------------------------------------------------------------- */

struct choice {
    uint64_t now_us;
    bool (*usable)(void *context, const struct book_entry *entry);
    void *context;
};

/* Chance decides whom `usable` is asked about, a bounded number of times. */
static const struct book_entry *pick_among(struct book *book, size_t first, size_t end,
                                           const struct choice *choice)
{
    uint16_t due[BOOK_ENTRIES];
    size_t count = 0;
    for (size_t i = first; i < end; i++) {
        const struct book_entry *entry = &book->entry[i];
        if (entry->used && entry->due_us <= choice->now_us) due[count++] = (uint16_t)i;
    }
    for (size_t asked = 0; asked < count && asked < BOOK_ASKED_MAX; asked++) {
        size_t other = asked + (size_t)(random_next(&book->random) % (count - asked));
        const struct book_entry *entry = &book->entry[due[other]];
        if (choice->usable(choice->context, entry)) return entry;
        due[other] = due[asked];
    }
    return NULL;
}

const struct book_entry *book_pick(struct book *book, uint64_t now_us,
                                   bool (*usable)(void *context, const struct book_entry *entry),
                                   void *context)
{
    const struct choice choice = {now_us, usable, context};
    bool answered = (random_next(&book->random) & 1) != 0;
    const struct book_entry *entry = NULL;
    for (int turn = 0; turn < 2 && entry == NULL; turn++, answered = !answered) {
        size_t first = answered ? BOOK_TOLD_ENTRIES : 0;
        size_t end = answered ? BOOK_ENTRIES : BOOK_TOLD_ENTRIES;
        entry = pick_among(book, first, end, &choice);
    }
    return entry;
}

size_t book_sample(struct book *book, struct io_endpoint *out, size_t max)
{
    uint16_t fit[BOOK_ENTRIES];
    size_t count = 0, taken = 0;
    for (size_t i = 0; i < BOOK_ENTRIES; i++) {
        const struct book_entry *entry = &book->entry[i];
        if (entry->used && entry->failures == 0) fit[count++] = (uint16_t)i;
    }
    for (; taken < count && taken < max; taken++) {
        size_t other = taken + (size_t)(random_next(&book->random) % (count - taken));
        uint16_t chosen = fit[other];
        fit[other] = fit[taken];
        out[taken] = book->entry[chosen].endpoint;
    }
    return taken;
}

/* ---- file ----------------------------------------------------------------------------------- */

void book_encode(struct book *book, uint8_t *out, size_t *count)
{
    struct writer w = writer_of(out, BOOK_BYTES_MAX);
    write_copy(&w, MAGIC, sizeof MAGIC);
    write_u16(&w, FILE_VERSION);
    write_u16(&w, (uint16_t)book->count);
    write_copy(&w, book->secret, BOOK_SECRET_BYTES);
    for (size_t i = 0; i < BOOK_ENTRIES; i++) {
        const struct book_entry *entry = &book->entry[i];
        if (!entry->used) continue;
        write_u8(
            &w, (uint8_t)((entry->answered ? FLAG_ANSWERED : 0) | (entry->has_key ? FLAG_KEY : 0)));
        write_u8(&w, entry->failures);
        write_u16(&w, entry->endpoint.port);
        write_copy(&w, entry->endpoint.ip, 16);
        write_copy(&w, entry->source, 16);
        write_copy(&w, entry->key, 32);
    }
    write_u64(&w, checksum64(out, writer_bytes(&w), 0));
    assert(w.status == STATUS_OK);
    *count = writer_bytes(&w);
    book->changed = false;
}

static void read_entry(struct reader *r, struct book_entry *entry)
{
    uint8_t flags = read_u8(r);
    entry->used = true;
    entry->answered = (flags & FLAG_ANSWERED) != 0;
    entry->has_key = (flags & FLAG_KEY) != 0;
    entry->failures = read_u8(r);
    entry->endpoint.port = read_u16(r);
    read_copy(r, entry->endpoint.ip, 16);
    read_copy(r, entry->source, 16);
    read_copy(r, entry->key, 32);
    if (flags > (FLAG_ANSWERED | FLAG_KEY) || !book_is_fit(&entry->endpoint, entry->endpoint.ip) ||
        entry->failures >= BOOK_FAILURES_ANSWERED) {
        reader_fail(r, STATUS_NONCANONICAL);
    }
}

static enum status decode_into(struct book *book, const uint8_t *bytes, size_t count)
{
    if (count < FILE_HEAD_BYTES + 8 || count > BOOK_BYTES_MAX) return STATUS_TRUNCATED;
    if (load_u64(bytes + count - 8) != checksum64(bytes, count - 8, 0)) return STATUS_CORRUPT;
    struct reader r = reader_of(bytes, count - 8);
    const uint8_t *magic = read_take(&r, sizeof MAGIC);
    if (memcmp(magic, MAGIC, sizeof MAGIC) != 0) return STATUS_CORRUPT;
    if (read_u16(&r) != FILE_VERSION) return STATUS_UNSUPPORTED;
    uint16_t entries = read_u16(&r);
    read_copy(&r, book->secret, BOOK_SECRET_BYTES);
    size_t last = 0;
    for (uint16_t i = 0; i < entries && r.status == STATUS_OK; i++) {
        struct book_entry entry = {0};
        read_entry(&r, &entry);
        size_t place = entry.answered ? answered_place(book, &entry.endpoint)
                                      : told_place(book, &entry.endpoint, entry.source);
        bool in_order = i == 0 || place > last;
        if (!in_order || !book_place(book, place, &entry)) reader_fail(&r, STATUS_NONCANONICAL);
        last = place;
    }
    return reader_end(&r);
}

enum status book_decode(struct book *book, const uint8_t *bytes, size_t count)
{
    uint8_t secret[BOOK_SECRET_BYTES];
    memcpy(secret, book->secret, BOOK_SECRET_BYTES);
    uint64_t random = book->random;
    book_init(book, secret, random);
    enum status status = decode_into(book, bytes, count);
    if (status != STATUS_OK) book_init(book, secret, random);
    book->changed = false;
    return status;
}
