#include "tests/support_damage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support_disk_internal.h"

#define WHAT_BYTES 96

/* Hands one version of the file to the check, unless it is the one that was. */
static uint64_t try_file(const struct damage *damage, const uint8_t *bytes, size_t count,
                         const char *what)
{
    const uint8_t *old;
    size_t old_count;
    bool found = disk_file(damage->whole, damage->path, &old, &old_count);
    assert(found);
    if (count == old_count && memcmp(bytes, old, count) == 0) return 0;
    struct disk *copy;
    disk_clone(damage->whole, &copy);
    disk_put(copy, damage->path, bytes, count);
    damage->check(copy, what, damage->context);
    disk_close(copy);
    return 1;
}

/* An owned copy of the file with `extra` bytes of room behind it. */
static uint8_t *file_copy(const struct disk *disk, const char *path, size_t extra, size_t *count)
{
    const uint8_t *bytes;
    bool found = disk_file(disk, path, &bytes, count);
    assert(found);
    uint8_t *copy = disk_require(malloc(*count + extra + 1));
    memcpy(copy, bytes, *count);
    return copy;
}

uint64_t damage_bytes(const struct damage *damage, uint64_t step)
{
    const uint8_t *bytes;
    size_t count;
    uint64_t tried = 0;
    bool found = disk_file(damage->whole, damage->path, &bytes, &count);
    assert(found);
    uint8_t *changed = disk_require(malloc(count + 1));
    for (uint64_t i = disk_mix(count) % step; i < (uint64_t)count * DAMAGE_WAYS; i += step) {
        char what[WHAT_BYTES];
        size_t at = (size_t)(i / DAMAGE_WAYS);
        uint8_t byte = damage_byte(bytes[at], (unsigned)(i % DAMAGE_WAYS));
        if (byte == bytes[at]) continue;
        struct disk *copy;
        bool undone = false; /* it was a byte of a checksum, and was repaired */
        (void)snprintf(what, sizeof what, "byte %zu: %02x", at, byte);
        disk_clone(damage->whole, &copy);
        if (damage->repair != NULL) {
            memcpy(changed, bytes, count);
            changed[at] = byte;
            damage->repair(bytes, changed, count, at);
            disk_put(copy, damage->path, changed, count);
            undone = memcmp(changed, bytes, count) == 0;
        } else {
            disk_flip(copy, damage->path, at, byte ^ bytes[at]);
        }
        if (!undone) damage->check(copy, what, damage->context);
        disk_close(copy);
        tried += !undone;
    }
    free(changed);
    return tried;
}

/* Another version of sector `index`: which = 0 zeros, 1 its neighbour's content, 2 swapped with a far
 * one, 3 zeros up to the next page and beyond, 4 as in the older state. */
static uint64_t try_sector(const struct damage *damage, size_t index, unsigned which)
{
    char what[WHAT_BYTES];
    size_t count, older_count = 0;
    uint8_t *bytes = file_copy(damage->whole, damage->path, 0, &count);
    size_t sectors = (count + DISK_SECTOR - 1) / DISK_SECTOR;
    size_t at = index * DISK_SECTOR;
    size_t size = count - at < DISK_SECTOR ? count - at : DISK_SECTOR;
    size_t other = (index + (which == 1 ? 1 : 1 + disk_mix(index) % (sectors - 1))) % sectors;
    size_t other_at = other * DISK_SECTOR;
    size_t both = count - other_at < size ? count - other_at : size;
    uint8_t kept[DISK_SECTOR];
    memcpy(kept, bytes + at, size);
    if (which == 0) memset(bytes + at, 0, size);
    if (which == 1 || which == 2) memcpy(bytes + at, bytes + other_at, both);
    if (which == 2) memcpy(bytes + other_at, kept, both);
    if (which == 3) memset(bytes + at, 0, count - at < 5000 ? count - at : 5000);
    if (which == 4) {
        uint8_t *older = file_copy(damage->older, damage->path, 0, &older_count);
        if (at + size <= older_count) memcpy(bytes + at, older + at, size);
        free(older);
    }
    (void)snprintf(what, sizeof what, "sector %zu of %zu, way %u, other %zu", index, sectors, which,
                   other);
    uint64_t tried = try_file(damage, bytes, count, what);
    free(bytes);
    return tried;
}

static uint64_t try_lengths(const struct damage *damage, uint64_t step)
{
    uint64_t tried = 0;
    char what[WHAT_BYTES];
    size_t count;
    uint8_t *bytes = file_copy(damage->whole, damage->path, 8192, &count);
    for (size_t length = count % step; length < count; length += step) {
        (void)snprintf(what, sizeof what, "cut at %zu of %zu", length, count);
        tried += try_file(damage, bytes, length, what);
    }
    for (size_t i = 0; i < 8192; i++) {
        bytes[count + i] = (uint8_t)disk_mix(i);
    }
    for (size_t more = 1; more <= 8192; more = more * 3 + 1) {
        (void)snprintf(what, sizeof what, "%zu bytes of garbage behind", more);
        tried += try_file(damage, bytes, count + more, what);
    }
    free(bytes);
    return tried;
}

uint64_t damage_stretches(const struct damage *damage, uint64_t step)
{
    size_t count;
    uint64_t tried = 0;
    free(file_copy(damage->whole, damage->path, 0, &count));
    size_t sectors = (count + DISK_SECTOR - 1) / DISK_SECTOR;
    for (size_t index = 0; index < sectors && sectors > 1; index++) {
        for (unsigned which = 0; which < (damage->older != NULL ? 5u : 4u); which++) {
            tried += try_sector(damage, index, which);
        }
    }
    return tried + try_lengths(damage, step);
}
