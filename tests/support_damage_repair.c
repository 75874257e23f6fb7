#include <assert.h>
#include <string.h>

#include "log/block.h"
#include "log/head.h"
#include "log/journal.h"
#include "log/segment.h"
#include "tests/support_damage.h"

/* ---- segment files ---- */

#define HEADER_SUM_AT 248
#define ENTRY_SUM_AT  56
#define ENTRY_ID_AT   24
#define DIGEST_BACK   64 /* from the file's end */
#define SUM_BACK      24

/* Where the entries of a file end, and the entry that holds `at`; *entry = 0: none does. */
static size_t entries_end(const uint8_t *file, size_t count, size_t at, size_t *entry)
{
    size_t offset = SEGMENT_HEADER_BYTES;
    struct segment_entry decoded;
    *entry = 0;
    while (count - offset >= SEGMENT_ENTRY_BYTES &&
           segment_entry_decode(file + offset, &decoded) == STATUS_OK) {
        size_t next = offset + (size_t)segment_entry_bytes(decoded.body_bytes);
        if (at >= offset && at < next) *entry = offset;
        offset = next;
    }
    return offset;
}

static void entry_repair(uint8_t *entry, size_t left)
{
    uint8_t joined[SEGMENT_ENTRY_BYTES];
    uint32_t bytes = load_u32(entry + 16);
    if (bytes > left - SEGMENT_ENTRY_BYTES) return;
    memcpy(joined, entry, ENTRY_SUM_AT);
    store_u64(joined + ENTRY_SUM_AT, checksum64(entry + SEGMENT_ENTRY_BYTES, bytes, 0));
    store_u64(entry + ENTRY_SUM_AT, checksum64(joined, sizeof joined, 0));
}

static void footer_repair(uint8_t *file, size_t count, size_t raw)
{
    uint8_t *footer = file + raw;
    size_t footer_bytes = count - raw;
    if (footer_bytes < SEGMENT_FOOTER_BYTES + SEGMENT_TAIL_BYTES) return;
    size_t offsets = (4 * (size_t)load_u32(footer + 32) + 7) / 8 * 8;
    uint8_t *leaf = footer + SEGMENT_FOOTER_BYTES + offsets;
    for (size_t at = 0; at < raw && leaf + HASH_BYTES <= file + count - SEGMENT_TAIL_BYTES;
         at += SEGMENT_LEAF_BYTES, leaf += HASH_BYTES) {
        segment_leaf_digest(file + at,
                            raw - at < SEGMENT_LEAF_BYTES ? raw - at : SEGMENT_LEAF_BYTES, leaf);
    }
}

static void footer_seal(uint8_t *file, size_t count, size_t raw)
{
    uint8_t *footer = file + raw;
    size_t footer_bytes = count - raw;
    if (footer_bytes < SEGMENT_FOOTER_BYTES + SEGMENT_TAIL_BYTES) return;
    hash_bytes(HASH_DIGEST, footer, footer_bytes - DIGEST_BACK, file + count - DIGEST_BACK);
    checksum128(footer, footer_bytes - SUM_BACK, 0, file + count - SUM_BACK);
}

void damage_repair_sums(const uint8_t *old, uint8_t *bytes, size_t count, size_t at)
{
    size_t entry, raw = entries_end(old, count, at, &entry);
    if (at < SEGMENT_HEADER_BYTES) {
        store_u64(bytes + HEADER_SUM_AT, checksum64(bytes, HEADER_SUM_AT, 0));
    }
    if (entry > 0) entry_repair(bytes + entry, raw - entry);
    if (at < raw) footer_repair(bytes, count, raw);
    footer_seal(bytes, count, raw);
}

void damage_repair_parts(uint8_t *block, size_t count, size_t at, uint8_t id[HASH_BYTES])
{
    struct block parts;
    struct reader r = reader_of(block, count);
    header_read(&r, &parts.header);
    const uint8_t *justify = r.at;
    justify_read(&r, &parts.justify);
    const uint8_t *body = r.at;
    body_read(&r, &parts.body);
    if (reader_end(&r) != STATUS_OK) return;
    if (block + at >= justify) {
        struct writer w = writer_of(block, (size_t)(justify - block));
        hash_bytes(HASH_JUSTIFY, justify, (size_t)(body - justify), parts.header.justify_hash);
        body_root_of(&parts.body, parts.header.body_root);
        parts.header.cmd_count = parts.body.commands.count;
        parts.header.body_bytes = (uint32_t)(block + count - body);
        header_write(&w, &parts.header);
        assert(w.status == STATUS_OK && w.left == 0);
    }
    block_id_of(&parts.header, id);
}

void damage_repair_block(const uint8_t *old, uint8_t *bytes, size_t count, size_t at)
{
    size_t entry, raw = entries_end(old, count, at, &entry);
    size_t body = entry + SEGMENT_ENTRY_BYTES;
    size_t body_bytes = entry > 0 ? load_u32(old + entry + 16) : 0;
    if (at >= body && at - body < body_bytes && memcmp(old, "CRNCHAIN", 8) == 0) {
        damage_repair_parts(bytes + body, body_bytes, at - body, bytes + entry + ENTRY_ID_AT);
        bool last = entry + segment_entry_bytes(body_bytes) == raw;
        if (last && raw < count) {
            memcpy(bytes + count - SEGMENT_TAIL_BYTES, bytes + entry + ENTRY_ID_AT, HASH_BYTES);
        }
    }
    damage_repair_sums(old, bytes, count, at);
}

/* ---- the others ---- */

void damage_repair_head(const uint8_t *old, uint8_t *bytes, size_t count, size_t at)
{
    size_t slot = at / HEAD_SLOT_BYTES * HEAD_SLOT_BYTES;
    (void)old;
    assert(slot + HEAD_SLOT_BYTES <= count);
    store_u64(bytes + slot + 168, checksum64(bytes + slot, 168, slot));
}

void damage_repair_index(const uint8_t *old, uint8_t *bytes, size_t count, size_t at)
{
    enum { HEADER = 96, PAGE = 256 * 16, FENCE = 8 };
    size_t entries = 16 * (size_t)load_u64(old + 72), fences = HEADER + entries;
    if (at >= HEADER && at < fences) {
        size_t page = (at - HEADER) / PAGE, start = HEADER + page * PAGE;
        size_t left = fences - start;
        store_u64(bytes + fences + page * FENCE,
                  checksum64(bytes + start, left < PAGE ? left : PAGE, page));
    }
    store_u64(bytes + 80, checksum64(bytes + fences, count - fences, 0));
    store_u64(bytes + 88, checksum64(bytes, 88, 0));
}

void damage_repair_super(const uint8_t *old, uint8_t *bytes, size_t count, size_t at)
{
    enum { SUM = 20 };
    size_t copy = at / SUPERBLOCK_STRIDE_BYTES * SUPERBLOCK_STRIDE_BYTES;
    (void)old;
    (void)count;
    if (at - copy >= SUPERBLOCK_COPY_BYTES) return; /* between the copies */
    checksum128(bytes + copy + SUM, SUPERBLOCK_COPY_BYTES - SUM, 0, bytes + copy);
}
