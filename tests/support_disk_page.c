/* The bytes of a file as pages that states share: the image of a power cut, or a copy of a disk,
 * costs the pages in which it differs, and so does its hash. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "log/hash.h"
#include "tests/support_disk_internal.h"

struct disk_page {
    size_t owners;
    bool hashed;
    uint64_t hash;
    uint8_t bytes[DISK_PAGE];
};

static void page_drop(struct disk_page *page)
{
    if (page != NULL && --page->owners == 0) free(page);
}

/* The page as one that this node may change. */
static struct disk_page *page_own(struct disk_node *node, size_t index)
{
    struct disk_page *page = node->pages[index];
    if (page != NULL && page->owners == 1) {
        page->hashed = false;
        return page;
    }
    struct disk_page *own = disk_require(memory_malloc(sizeof *own));
    if (page != NULL)
        memcpy(own->bytes, page->bytes, DISK_PAGE);
    else
        memset(own->bytes, 0, DISK_PAGE);
    page_drop(page);
    own->owners = 1;
    own->hashed = false;
    node->pages[index] = own;
    return own;
}

static void node_reserve(struct disk_node *node, size_t bytes)
{
    size_t pages = (bytes + DISK_PAGE - 1) / DISK_PAGE;
    if (pages <= node->page_count) return;
    node->pages = disk_require(memory_realloc(node->pages, pages * sizeof(struct disk_page *)));
    for (size_t i = node->page_count; i < pages; i++) {
        node->pages[i] = NULL;
    }
    node->page_count = pages;
}

void node_free(struct disk_node *node)
{
    for (size_t i = 0; i < node->page_count; i++) {
        page_drop(node->pages[i]);
    }
    free(node->pages);
    free(node->flat);
    *node = (struct disk_node){0};
}

void node_share(const struct disk_node *from, struct disk_node *to)
{
    *to = (struct disk_node){.is_directory = from->is_directory, .length = from->length};
    node_reserve(to, from->page_count * DISK_PAGE);
    for (size_t i = 0; i < from->page_count; i++) {
        to->pages[i] = from->pages[i];
        if (to->pages[i] != NULL) to->pages[i]->owners++;
    }
}

void node_write(struct disk_node *node, size_t offset, const uint8_t *bytes, size_t count)
{
    node_reserve(node, offset + count);
    while (count > 0) {
        size_t inside = offset % DISK_PAGE, part = DISK_PAGE - inside;
        if (part > count) part = count;
        memcpy(page_own(node, offset / DISK_PAGE)->bytes + inside, bytes, part);
        offset += part;
        bytes += part;
        count -= part;
    }
}

void node_read(const struct disk_node *node, size_t offset, uint8_t *out, size_t count)
{
    assert(offset + count <= node->length);
    while (count > 0) {
        size_t index = offset / DISK_PAGE, inside = offset % DISK_PAGE, part = DISK_PAGE - inside;
        if (part > count) part = count;
        const struct disk_page *page = index < node->page_count ? node->pages[index] : NULL;
        if (page != NULL)
            memcpy(out, page->bytes + inside, part);
        else
            memset(out, 0, part);
        offset += part;
        out += part;
        count -= part;
    }
}

void node_extend(struct disk_node *node, size_t length)
{
    if (node->length < length) node->length = length;
}

/* Zeros stand behind the length afterwards. */
void node_truncate(struct disk_node *node, size_t length)
{
    size_t keep = (length + DISK_PAGE - 1) / DISK_PAGE, inside = length % DISK_PAGE;
    for (size_t i = keep; i < node->page_count; i++) {
        page_drop(node->pages[i]);
        node->pages[i] = NULL;
    }
    bool partial = inside > 0 && keep <= node->page_count && node->pages[keep - 1] != NULL;
    if (partial) memset(page_own(node, keep - 1)->bytes + inside, 0, DISK_PAGE - inside);
    node->length = length;
    node->reserved = 0;
}

uint64_t node_hash(const struct disk_node *node)
{
    static const uint8_t zeros[DISK_PAGE];
    static uint64_t of_zeros;
    if (of_zeros == 0) of_zeros = checksum64(zeros, sizeof zeros, 2);
    size_t pages = (node->length + DISK_PAGE - 1) / DISK_PAGE;
    uint64_t hash = disk_mix(node->length);
    for (size_t i = 0; i < pages; i++) {
        struct disk_page *page = i < node->page_count ? node->pages[i] : NULL;
        if (page != NULL && !page->hashed) {
            page->hash = checksum64(page->bytes, DISK_PAGE, 2);
            page->hashed = true;
        }
        hash = disk_mix(hash ^ (page != NULL ? page->hash : of_zeros));
    }
    return hash;
}

const uint8_t *node_flat(struct disk_node *node)
{
    node->flat = disk_require(memory_realloc(node->flat, node->length + 1));
    node_read(node, 0, node->flat, node->length);
    return node->flat;
}
