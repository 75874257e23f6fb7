/* log/bytes.h - bounded reader and writer of little-endian bytes.
 *
 * The first fault sticks: read or write straight through, look at `status` once at the end. After a
 * fault reads answer zero and writes do nothing. Lengths are compared with what is left before any
 * arithmetic on them. Neither object owns the bytes it walks.
 */
#ifndef CAIRN_LOG_BYTES_H
#define CAIRN_LOG_BYTES_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "log/status.h"

/* A borrowed run of bytes. */
struct bytes {
    const uint8_t *at;
    size_t count;
};

struct reader {
    const uint8_t *at;
    size_t left;
    enum status status;
};

struct writer {
    uint8_t *at;
    size_t left;
    uint8_t *start;
    enum status status;
};

static inline struct reader reader_of(const uint8_t *bytes, size_t count)
{
    return (struct reader){.at = bytes, .left = count, .status = STATUS_OK};
}

static inline struct writer writer_of(uint8_t *bytes, size_t count)
{
    return (struct writer){.at = bytes, .left = count, .start = bytes, .status = STATUS_OK};
}

/* writer_bytes answers how many bytes were written so far. */
static inline size_t writer_bytes(const struct writer *w)
{
    return (size_t)(w->at - w->start);
}

static inline void reader_fail(struct reader *r, enum status status)
{
    if (r->status == STATUS_OK) r->status = status;
}

static inline void writer_fail(struct writer *w, enum status status)
{
    if (w->status == STATUS_OK) w->status = status;
}

/* reader_end: STATUS_OK if everything was read and nothing is left, STATUS_TRAILING if bytes
 * remain, else the fault. */
MUST_CHECK static inline enum status reader_end(const struct reader *r)
{
    if (r->status != STATUS_OK) return r->status;
    return r->left == 0 ? STATUS_OK : STATUS_TRAILING;
}

/* read_take answers a pointer to the next `count` bytes, or NULL after a fault. */
static inline const uint8_t *read_take(struct reader *r, size_t count)
{
    if (r->status == STATUS_OK && r->left < count) r->status = STATUS_TRUNCATED;
    if (r->status != STATUS_OK) return NULL;
    const uint8_t *p = r->at;
    r->at += count;
    r->left -= count;
    return p;
}

/* By memcpy: compilers take shifted bytes apart again when two numbers lie side by side. */
static inline uint16_t load_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return le16toh(v);
}

static inline uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static inline uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static inline void store_u16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof v);
}

static inline void store_u32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static inline void store_u64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

static inline uint8_t read_u8(struct reader *r)
{
    const uint8_t *p = read_take(r, 1);
    return p ? *p : 0;
}

static inline uint16_t read_u16(struct reader *r)
{
    const uint8_t *p = read_take(r, 2);
    return p ? load_u16(p) : 0;
}

static inline uint32_t read_u32(struct reader *r)
{
    const uint8_t *p = read_take(r, 4);
    return p ? load_u32(p) : 0;
}

static inline uint64_t read_u64(struct reader *r)
{
    const uint8_t *p = read_take(r, 8);
    return p ? load_u64(p) : 0;
}

/* read_copy fills out[count]; after a fault with zeros. */
static inline void read_copy(struct reader *r, uint8_t *out, size_t count)
{
    const uint8_t *p = read_take(r, count);
    if (p)
        memcpy(out, p, count);
    else
        memset(out, 0, count);
}

/* write_take reserves `count` bytes and answers where they start, or NULL after a fault
 * (STATUS_FULL when they do not fit). */
static inline uint8_t *write_take(struct writer *w, size_t count)
{
    if (w->status == STATUS_OK && w->left < count) w->status = STATUS_FULL;
    if (w->status != STATUS_OK) return NULL;
    uint8_t *p = w->at;
    w->at += count;
    w->left -= count;
    return p;
}

static inline void write_u8(struct writer *w, uint8_t v)
{
    uint8_t *p = write_take(w, 1);
    if (p) *p = v;
}

static inline void write_u16(struct writer *w, uint16_t v)
{
    uint8_t *p = write_take(w, 2);
    if (p) store_u16(p, v);
}

static inline void write_u32(struct writer *w, uint32_t v)
{
    uint8_t *p = write_take(w, 4);
    if (p) store_u32(p, v);
}

static inline void write_u64(struct writer *w, uint64_t v)
{
    uint8_t *p = write_take(w, 8);
    if (p) store_u64(p, v);
}

/* write_copy: `bytes` may lie where they are to be written already, but not overlap that place. */
static inline void write_copy(struct writer *w, const uint8_t *bytes, size_t count)
{
    uint8_t *p = write_take(w, count);
    if (p && count > 0 && p != bytes) memcpy(p, bytes, count);
}

#endif
