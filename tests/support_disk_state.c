#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "log/hash.h"
#include "tests/support_disk_internal.h"

void *disk_require(void *memory)
{
    if (memory == NULL) abort();
    return memory;
}

/* splitmix64's finalizer: a fixed scrambling of 64 bits. */
uint64_t disk_mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static char *name_copy(const char *name)
{
    return disk_require(strdup(name));
}

void state_init(struct disk_state *state)
{
    *state = (struct disk_state){0};
    unsigned root = state_node_add(state, true);
    assert(root == DISK_ROOT);
}

void state_deinit(struct disk_state *state)
{
    for (size_t i = 0; i < state->node_count; i++) {
        node_free(&state->nodes[i]);
    }
    for (size_t i = 0; i < state->entry_count; i++) {
        free(state->entries[i].name);
    }
    free(state->nodes);
    free(state->entries);
    *state = (struct disk_state){0};
}

void state_copy(const struct disk_state *from, struct disk_state *to)
{
    *to = (struct disk_state){.node_count = from->node_count, .entry_count = from->entry_count};
    to->nodes = disk_require(memory_calloc(from->node_count + 1, sizeof *to->nodes));
    to->entries = disk_require(memory_calloc(from->entry_count + 1, sizeof *to->entries));
    for (size_t i = 0; i < from->node_count; i++) {
        node_share(&from->nodes[i], &to->nodes[i]);
    }
    for (size_t i = 0; i < from->entry_count; i++) {
        to->entries[i] = from->entries[i];
        to->entries[i].name = name_copy(from->entries[i].name);
    }
}

void state_trim(struct disk_state *state)
{
    for (size_t i = 0; i < state->node_count; i++) {
        node_truncate(&state->nodes[i], state->nodes[i].length);
    }
}

unsigned state_node_add(struct disk_state *state, bool is_directory)
{
    size_t bytes = (state->node_count + 1) * sizeof *state->nodes;
    state->nodes = disk_require(memory_realloc(state->nodes, bytes));
    state->nodes[state->node_count] = (struct disk_node){.is_directory = is_directory};
    return (unsigned)state->node_count++;
}

long state_find_entry(const struct disk_state *state, unsigned directory, const char *name)
{
    for (size_t i = 0; i < state->entry_count; i++) {
        const struct disk_entry *entry = &state->entries[i];
        if (entry->directory == directory && strcmp(entry->name, name) == 0) return (long)i;
    }
    return -1;
}

/* Takes the next component of a path, skipping "." and slashes; "" at the end. */
static const char *path_next(const char *path, char name[IO_PATH_MAX])
{
    size_t count;
    do {
        path += strspn(path, "/");
        count = strcspn(path, "/");
        assert(count < IO_PATH_MAX);
        memcpy(name, path, count);
        name[count] = '\0';
        path += count;
    } while (strcmp(name, ".") == 0);
    return path;
}

bool state_walk(const struct disk_state *state, const char *path, unsigned *directory,
                char name[IO_PATH_MAX])
{
    char next[IO_PATH_MAX];
    *directory = DISK_ROOT;
    path = path_next(path, name);
    while (name[0] != '\0') {
        path = path_next(path, next);
        if (next[0] == '\0') return true;
        long found = state_find_entry(state, *directory, name);
        if (found < 0) return false;
        *directory = state->entries[found].node;
        if (!state->nodes[*directory].is_directory) return false;
        memcpy(name, next, strlen(next) + 1);
    }
    return true;
}

bool state_resolve(const struct disk_state *state, const char *path, unsigned *node)
{
    unsigned directory;
    char name[IO_PATH_MAX];
    if (!state_walk(state, path, &directory, name)) return false;
    *node = directory;
    if (name[0] == '\0') return true;
    long found = state_find_entry(state, directory, name);
    if (found < 0) return false;
    *node = state->entries[found].node;
    return true;
}

/* The order of entries depends on history, so the hashes of one directory's entries are summed. */
static uint64_t hash_directory(const struct disk_state *state, unsigned directory)
{
    uint64_t sum = 1;
    for (size_t i = 0; i < state->entry_count; i++) {
        const struct disk_entry *entry = &state->entries[i];
        if (entry->directory != directory) continue;
        const struct disk_node *node = &state->nodes[entry->node];
        uint64_t content =
            node->is_directory ? hash_directory(state, entry->node) : node_hash(node);
        sum += checksum64((const uint8_t *)entry->name, strlen(entry->name), content);
    }
    return disk_mix(sum);
}

uint64_t state_hash(const struct disk_state *state)
{
    return hash_directory(state, DISK_ROOT);
}

size_t item_pieces(const struct disk_item *item)
{
    if (item->kind != ITEM_WRITE) return 1;
    return (size_t)((item->offset + item->count - 1) / item->piece - item->offset / item->piece) +
           1;
}

void item_free(struct disk_item *item)
{
    free(item->bytes);
    free(item->name);
    free(item->from_name);
}

static void entry_remove(struct disk_state *state, unsigned directory, const char *name)
{
    long found = state_find_entry(state, directory, name);
    if (found < 0) return;
    struct disk_entry *last = &state->entries[--state->entry_count];
    free(state->entries[found].name);
    state->entries[found] = *last;
    last->name = NULL; /* moved, or just released */
}

static void entry_set(struct disk_state *state, unsigned directory, const char *name, unsigned node)
{
    entry_remove(state, directory, name);
    size_t bytes = (state->entry_count + 1) * sizeof *state->entries;
    state->entries = disk_require(memory_realloc(state->entries, bytes));
    state->entries[state->entry_count++] =
        (struct disk_entry){.directory = directory, .node = node, .name = name_copy(name)};
}

static void write_pieces(struct disk_node *node, const struct disk_item *item, size_t item_index,
                         bool (*keep)(const void *context, size_t item_index, size_t piece),
                         const void *context)
{
    size_t start = (size_t)item->offset, end = start + item->count;
    for (size_t piece = 0, at = start; at < end; piece++) {
        size_t next = (at / item->piece + 1) * item->piece;
        if (next > end) next = end;
        if (keep(context, item_index, piece)) {
            node_write(node, at, item->bytes + (at - start), next - at);
        }
        at = next;
    }
}

void state_apply(struct disk_state *state, const struct disk_item *item, size_t item_index,
                 bool (*keep)(const void *context, size_t item_index, size_t piece),
                 const void *context)
{
    assert(item->node < state->node_count);
    struct disk_node *node = &state->nodes[item->node];
    if (item->kind == ITEM_WRITE && keep == NULL) {
        node_write(node, (size_t)item->offset, item->bytes, item->count);
        return;
    }
    if (item->kind == ITEM_WRITE) {
        write_pieces(node, item, item_index, keep, context);
        return;
    }
    if (keep != NULL && !keep(context, item_index, 0)) return;
    switch (item->kind) {
    case ITEM_WRITE: break;
    case ITEM_EXTEND: node_extend(node, (size_t)item->offset); break;
    case ITEM_TRUNCATE: node_truncate(node, (size_t)item->offset); break;
    case ITEM_LINK: entry_set(state, item->directory, item->name, item->node); break;
    case ITEM_UNLINK: entry_remove(state, item->directory, item->name); break;
    case ITEM_RENAME:
        entry_remove(state, item->from_directory, item->from_name);
        entry_set(state, item->directory, item->name, item->node);
        break;
    }
}
