#include "log/segment.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_PREFIX     "seg-"
#define NAME_DIGITS     20
#define MAGIC_BYTES     8
#define ENTRY_MAGIC     UINT32_C(0x454e5243)         /* "CRNE" */
#define FOOTER_MAGIC    UINT32_C(0x464e5243)         /* "CRNF" */
#define END_MAGIC       UINT64_C(0x444c4145534e5243) /* "CRNSEALD" */
#define HEADER_SUM_AT   248
#define HEADER_RESERVED 152
#define ENTRY_SUM_AT    56
#define TAIL_DIGEST_AT  32
#define TAIL_LENGTH_AT  64
#define TAIL_SUM_AT     72
#define TAIL_MAGIC_AT   88
#define OFFSETS_FIRST   1024
#define LEAVES_FIRST    256

static const struct kind_text {
    const char *suffix;
    const char *magic;
    uint64_t first_height;
} KINDS[SEGMENT_KIND_COUNT] = {
#define X(upper, number, suffix, magic, first) {suffix, magic, first},
    SEGMENT_KIND_LIST(X)
#undef X
};

SCHEMA_DEFINE(log_position, LOG_POSITION_FIELDS, "where the chain log stands after a block")

static uint64_t round_up_8(uint64_t count)
{
    return (count + 7) & ~UINT64_C(7);
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* ---- the cut ---- */

uint64_t segment_entry_bytes(uint64_t body_bytes)
{
    return SEGMENT_ENTRY_BYTES + round_up_8(body_bytes);
}

struct log_position log_position_start(void)
{
    return (struct log_position){.first_height = 1, .offset = SEGMENT_HEADER_BYTES};
}

struct log_position log_position_next(struct log_position position, uint64_t height,
                                      uint64_t block_bytes, uint64_t epoch, uint64_t limit_bytes)
{
    uint64_t entry_bytes = segment_entry_bytes(block_bytes);
    bool empty = position.offset == SEGMENT_HEADER_BYTES;
    if (!empty && (epoch != position.epoch || position.offset + entry_bytes > limit_bytes)) {
        position.segment++;
        position.first_height = height;
        position.offset = SEGMENT_HEADER_BYTES;
    }
    position.offset += entry_bytes;
    position.epoch = epoch;
    return position;
}

/* ---- names ---- */

const char *segment_kind_name(enum segment_kind kind)
{
    return KINDS[kind].suffix;
}

uint64_t segment_first_height(enum segment_kind kind, uint64_t number, uint64_t first_height)
{
    return number == 0 ? KINDS[kind].first_height : first_height;
}

void segment_name(enum segment_kind kind, uint64_t number, char name[SEGMENT_NAME_MAX])
{
    int written = snprintf(name, SEGMENT_NAME_MAX, NAME_PREFIX "%0*llu.%s", NAME_DIGITS,
                           (unsigned long long)number, KINDS[kind].suffix);
    assert(written > 0 && written < SEGMENT_NAME_MAX);
}

bool segment_name_parse(const char *name, enum segment_kind *kind, uint64_t *number)
{
    size_t prefix = strlen(NAME_PREFIX);
    if (strncmp(name, NAME_PREFIX, prefix) != 0) return false;
    const char *digits = name + prefix;
    uint64_t value = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
        uint64_t digit = (uint64_t)(digits[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (digits[NAME_DIGITS] != '.') return false;
    for (enum segment_kind k = 0; k < SEGMENT_KIND_COUNT; k++) {
        if (strcmp(digits + NAME_DIGITS + 1, KINDS[k].suffix) != 0) continue;
        *kind = k;
        *number = value;
        return true;
    }
    return false;
}

/* ---- header ---- */

void segment_header_encode(const struct segment_header *header, uint8_t out[SEGMENT_HEADER_BYTES])
{
    memset(out, 0, SEGMENT_HEADER_BYTES);
    memcpy(out, KINDS[header->kind].magic, MAGIC_BYTES);
    store_u16(out + 8, SEGMENT_VERSION);
    store_u16(out + 10, (uint16_t)header->kind);
    memcpy(out + 16, header->chain_id, HASH_BYTES);
    store_u64(out + 48, header->number);
    store_u64(out + 56, header->first_height);
    memcpy(out + 64, header->previous_id, HASH_BYTES);
    store_u64(out + HEADER_SUM_AT, checksum64(out, HEADER_SUM_AT, 0));
}

enum status segment_header_decode(const uint8_t bytes[SEGMENT_HEADER_BYTES],
                                  struct segment_header *header)
{
    if (load_u64(bytes + HEADER_SUM_AT) != checksum64(bytes, HEADER_SUM_AT, 0)) {
        return STATUS_CORRUPT;
    }
    struct reader r = reader_of(bytes, HEADER_SUM_AT);
    const uint8_t *magic = read_take(&r, MAGIC_BYTES);
    uint16_t version = read_u16(&r);
    uint16_t kind = read_u16(&r);
    if (kind >= SEGMENT_KIND_COUNT || memcmp(magic, KINDS[kind].magic, MAGIC_BYTES) != 0) {
        return STATUS_CORRUPT;
    }
    if (version != SEGMENT_VERSION) return STATUS_UNSUPPORTED;
    if (read_u32(&r) != 0) return STATUS_CORRUPT;
    header->kind = (enum segment_kind)kind;
    read_copy(&r, header->chain_id, HASH_BYTES);
    header->number = read_u64(&r);
    header->first_height = read_u64(&r);
    read_copy(&r, header->previous_id, HASH_BYTES);
    return all_zero(read_take(&r, HEADER_RESERVED), HEADER_RESERVED) ? STATUS_OK : STATUS_CORRUPT;
}

/* ---- entry ---- */

/* The body is hashed on its own so that neither side copies it behind the header. */
static uint64_t entry_sum(const uint8_t header[SEGMENT_ENTRY_BYTES], const uint8_t *body,
                          size_t body_bytes)
{
    uint8_t joined[SEGMENT_ENTRY_BYTES];
    memcpy(joined, header, ENTRY_SUM_AT);
    store_u64(joined + ENTRY_SUM_AT, checksum64(body, body_bytes, 0));
    return checksum64(joined, sizeof joined, 0);
}

void segment_entry_encode(uint64_t height, uint32_t count, const uint8_t id[HASH_BYTES],
                          struct bytes body, uint8_t out[SEGMENT_ENTRY_BYTES])
{
    assert(body.count <= SEGMENT_BODY_BYTES_MAX);
    store_u32(out, ENTRY_MAGIC);
    store_u16(out + 4, SEGMENT_VERSION);
    store_u16(out + 6, 0);
    store_u64(out + 8, height);
    store_u32(out + 16, (uint32_t)body.count);
    store_u32(out + 20, count);
    memcpy(out + 24, id, HASH_BYTES);
    store_u64(out + ENTRY_SUM_AT, entry_sum(out, body.at, body.count));
}

enum status segment_entry_decode(const uint8_t bytes[SEGMENT_ENTRY_BYTES],
                                 struct segment_entry *entry)
{
    struct reader r = reader_of(bytes, SEGMENT_ENTRY_BYTES);
    uint32_t magic = read_u32(&r);
    if (magic == FOOTER_MAGIC) return STATUS_NOT_FOUND;
    if (magic != ENTRY_MAGIC) return STATUS_CORRUPT;
    if (read_u16(&r) != SEGMENT_VERSION || read_u16(&r) != 0) return STATUS_CORRUPT;
    entry->height = read_u64(&r);
    entry->body_bytes = read_u32(&r);
    entry->count = read_u32(&r);
    read_copy(&r, entry->id, HASH_BYTES);
    entry->sum = read_u64(&r);
    return entry->body_bytes <= SEGMENT_BODY_BYTES_MAX ? STATUS_OK : STATUS_CORRUPT;
}

enum status segment_entry_check(const uint8_t header[SEGMENT_ENTRY_BYTES],
                                const struct segment_entry *entry, const uint8_t *body)
{
    if (entry_sum(header, body, entry->body_bytes) != entry->sum) return STATUS_CORRUPT;
    size_t padding = (size_t)(round_up_8(entry->body_bytes) - entry->body_bytes);
    return all_zero(body + entry->body_bytes, padding) ? STATUS_OK : STATUS_CORRUPT;
}

/* ---- a segment being written ---- */

void segment_leaf_digest(const uint8_t *bytes, size_t count, uint8_t digest[HASH_BYTES])
{
    hash_bytes(HASH_DIGEST, bytes, count, digest);
}

static enum status grow(void **array, size_t *capacity, size_t wanted, size_t first, size_t width)
{
    if (wanted <= *capacity) return STATUS_OK;
    size_t count = *capacity ? *capacity : first;
    while (count < wanted) {
        count *= 2;
    }
    void *larger = realloc(*array, count * width);
    if (larger == NULL) return STATUS_NO_MEMORY;
    *array = larger;
    *capacity = count;
    return STATUS_OK;
}

/* Makes room for one more entry of `bytes` and for every leaf that they may finish. */
static enum status builder_reserve(struct segment_builder *builder, uint64_t bytes)
{
    void *offsets = builder->offsets, *leaves = builder->leaves;
    enum status status = grow(&offsets, &builder->entry_capacity, builder->entry_count + 1,
                              OFFSETS_FIRST, sizeof *builder->offsets);
    builder->offsets = (uint32_t *)offsets;
    if (status != STATUS_OK) return status;
    size_t leaves_wanted = (size_t)((builder->raw_bytes + bytes) / SEGMENT_LEAF_BYTES) + 1;
    status = grow(&leaves, &builder->leaf_capacity, leaves_wanted, LEAVES_FIRST, HASH_BYTES);
    builder->leaves = (uint8_t(*)[HASH_BYTES])leaves;
    return status;
}

static void builder_leaf_end(struct segment_builder *builder)
{
    assert(builder->leaf_count < builder->leaf_capacity);
    hash_final(&builder->leaf, builder->leaves[builder->leaf_count++]);
    hash_start(&builder->leaf, HASH_DIGEST);
    builder->leaf_fill = 0;
}

static void builder_hash(struct segment_builder *builder, const uint8_t *bytes, size_t count)
{
    builder->raw_bytes += count;
    while (count > 0) {
        size_t part = SEGMENT_LEAF_BYTES - builder->leaf_fill;
        if (part > count) part = count;
        hash_update(&builder->leaf, bytes, part);
        builder->leaf_fill += part;
        bytes += part;
        count -= part;
        if (builder->leaf_fill == SEGMENT_LEAF_BYTES) builder_leaf_end(builder);
    }
}

enum status segment_builder_start(struct segment_builder *builder,
                                  const struct segment_header *header,
                                  uint8_t out[SEGMENT_HEADER_BYTES])
{
    builder->header = *header;
    builder->raw_bytes = builder->item_count = 0;
    builder->entry_count = builder->leaf_count = builder->leaf_fill = 0;
    TRY(builder_reserve(builder, SEGMENT_HEADER_BYTES));
    hash_start(&builder->leaf, HASH_DIGEST);
    segment_header_encode(header, out);
    builder_hash(builder, out, SEGMENT_HEADER_BYTES);
    return STATUS_OK;
}

void segment_builder_deinit(struct segment_builder *builder)
{
    free(builder->offsets);
    free(builder->leaves);
    memset(builder, 0, sizeof *builder);
}

enum status segment_builder_add(struct segment_builder *builder,
                                const uint8_t header[SEGMENT_ENTRY_BYTES],
                                const struct segment_entry *entry, struct bytes body)
{
    static const uint8_t zeros[8];
    uint64_t bytes = segment_entry_bytes(body.count);
    if (builder->raw_bytes + bytes > SEGMENT_RAW_BYTES_MAX) return STATUS_FULL;
    TRY(builder_reserve(builder, bytes));
    builder->offsets[builder->entry_count++] = (uint32_t)(builder->raw_bytes / 8);
    builder->item_count += entry->count;
    builder->last_height = entry->height;
    memcpy(builder->last_id, entry->id, HASH_BYTES);
    builder_hash(builder, header, SEGMENT_ENTRY_BYTES);
    builder_hash(builder, body.at, body.count);
    builder_hash(builder, zeros, (size_t)(round_up_8(body.count) - body.count));
    return STATUS_OK;
}

static size_t footer_bytes(uint64_t entry_count, uint64_t leaf_count)
{
    return (size_t)(SEGMENT_FOOTER_BYTES + round_up_8(4 * entry_count) + HASH_BYTES * leaf_count +
                    SEGMENT_TAIL_BYTES);
}

static uint64_t leaves_of(uint64_t raw_bytes)
{
    return (raw_bytes + SEGMENT_LEAF_BYTES - 1) / SEGMENT_LEAF_BYTES;
}

size_t segment_builder_footer_bytes(const struct segment_builder *builder)
{
    return footer_bytes(builder->entry_count, leaves_of(builder->raw_bytes));
}

void segment_builder_footer(struct segment_builder *builder, uint8_t *out)
{
    assert(builder->entry_count > 0);
    size_t bytes = segment_builder_footer_bytes(builder);
    if (builder->leaf_fill > 0) builder_leaf_end(builder);
    assert(builder->leaf_count == leaves_of(builder->raw_bytes));
    struct writer w = writer_of(out, bytes);
    write_u32(&w, FOOTER_MAGIC);
    write_u16(&w, SEGMENT_VERSION);
    write_u16(&w, (uint16_t)builder->header.kind);
    write_u64(&w, builder->header.number);
    write_u64(&w, builder->last_height + 1 - builder->entry_count);
    write_u64(&w, builder->last_height);
    write_u32(&w, (uint32_t)builder->entry_count);
    write_u32(&w, (uint32_t)builder->leaf_count);
    write_u64(&w, builder->raw_bytes);
    write_u64(&w, builder->item_count);
    write_u64(&w, 0);
    for (size_t i = 0; i < builder->entry_count; i++) {
        write_u32(&w, builder->offsets[i]);
    }
    if (builder->entry_count % 2 != 0) write_u32(&w, 0);
    write_copy(&w, builder->leaves[0], builder->leaf_count * HASH_BYTES);
    write_copy(&w, builder->last_id, HASH_BYTES);
    size_t covered = writer_bytes(&w);
    hash_bytes(HASH_DIGEST, out, covered, write_take(&w, HASH_BYTES));
    write_u64(&w, bytes);
    covered = writer_bytes(&w);
    checksum128(out, covered, 0, write_take(&w, 16));
    write_u64(&w, END_MAGIC);
    assert(w.status == STATUS_OK && w.left == 0);
}

/* ---- footer ---- */

enum status segment_tail_decode(const uint8_t tail[SEGMENT_TAIL_BYTES], uint64_t file_bytes,
                                uint64_t *bytes)
{
    if (load_u64(tail + TAIL_MAGIC_AT) != END_MAGIC) return STATUS_NOT_FOUND;
    *bytes = load_u64(tail + TAIL_LENGTH_AT);
    uint64_t least = footer_bytes(1, 1);
    if (file_bytes < SEGMENT_HEADER_BYTES + SEGMENT_ENTRY_BYTES + least) return STATUS_CORRUPT;
    uint64_t most = file_bytes - SEGMENT_HEADER_BYTES - SEGMENT_ENTRY_BYTES;
    return *bytes >= least && *bytes <= most && *bytes % 8 == 0 ? STATUS_OK : STATUS_CORRUPT;
}

static enum status footer_offsets_check(const struct segment_footer *footer)
{
    uint64_t least = SEGMENT_HEADER_BYTES;
    for (uint32_t i = 0; i < footer->entry_count; i++) {
        uint64_t offset = segment_footer_offset(footer, i);
        if (i == 0 ? offset != least : offset < least) return STATUS_CORRUPT;
        least = offset + SEGMENT_ENTRY_BYTES;
    }
    if (footer->entry_count % 2 != 0 &&
        load_u32(footer->offsets + 4 * (size_t)footer->entry_count) != 0) {
        return STATUS_CORRUPT;
    }
    return least <= footer->raw_bytes ? STATUS_OK : STATUS_CORRUPT;
}

enum status segment_footer_decode(const uint8_t *bytes, size_t count, uint64_t file_bytes,
                                  struct segment_footer *footer)
{
    uint8_t sum[16], digest[HASH_BYTES];
    if (count < footer_bytes(1, 1) || count > file_bytes) return STATUS_CORRUPT;
    const uint8_t *tail = bytes + count - SEGMENT_TAIL_BYTES;
    checksum128(bytes, (size_t)(tail + TAIL_SUM_AT - bytes), 0, sum);
    if (memcmp(sum, tail + TAIL_SUM_AT, sizeof sum) != 0) return STATUS_CORRUPT;
    if (load_u64(tail + TAIL_MAGIC_AT) != END_MAGIC) return STATUS_CORRUPT;
    if (load_u64(tail + TAIL_LENGTH_AT) != count) return STATUS_CORRUPT;

    struct reader r = reader_of(bytes, count);
    if (read_u32(&r) != FOOTER_MAGIC) return STATUS_CORRUPT;
    if (read_u16(&r) != SEGMENT_VERSION) return STATUS_UNSUPPORTED;
    uint16_t kind = read_u16(&r);
    footer->kind = (enum segment_kind)kind;
    footer->number = read_u64(&r);
    footer->first_height = read_u64(&r);
    footer->last_height = read_u64(&r);
    footer->entry_count = read_u32(&r);
    footer->leaf_count = read_u32(&r);
    footer->raw_bytes = read_u64(&r);
    footer->item_count = read_u64(&r);
    uint64_t reserved = read_u64(&r);
    if (kind >= SEGMENT_KIND_COUNT || reserved != 0) return STATUS_CORRUPT;
    if (footer->raw_bytes != file_bytes - count || footer->raw_bytes > SEGMENT_RAW_BYTES_MAX ||
        footer->entry_count == 0 || footer->leaf_count != leaves_of(footer->raw_bytes) ||
        footer->last_height - footer->first_height != footer->entry_count - 1 ||
        count != footer_bytes(footer->entry_count, footer->leaf_count)) {
        return STATUS_CORRUPT;
    }
    footer->offsets = read_take(&r, (size_t)round_up_8(4 * (uint64_t)footer->entry_count));
    footer->leaves = read_take(&r, (size_t)footer->leaf_count * HASH_BYTES);
    read_copy(&r, footer->last_id, HASH_BYTES);
    hash_bytes(HASH_DIGEST, bytes, (size_t)(r.at - bytes), digest);
    read_copy(&r, footer->digest, HASH_BYTES);
    assert(r.status == STATUS_OK);
    if (memcmp(digest, footer->digest, HASH_BYTES) != 0) return STATUS_CORRUPT;
    return footer_offsets_check(footer);
}

uint64_t segment_footer_offset(const struct segment_footer *footer, uint32_t index)
{
    return 8 * (uint64_t)load_u32(footer->offsets + 4 * (size_t)index);
}
