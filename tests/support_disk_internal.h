/* tests/support_disk_internal.h - the state of a simulated disk and the changes to it.
 *
 * A change is made once as a struct disk_item and applied with state_apply: whole to the live
 * state; whole to the durable state when synced; and piece by piece to the image of a power cut. */
#ifndef CAIRN_TESTS_SUPPORT_DISK_INTERNAL_H
#define CAIRN_TESTS_SUPPORT_DISK_INTERNAL_H

#include "tests/support_disk.h"
#include "tests/support_memory.h"

#define DISK_ROOT   0
#define DISK_SECTOR 512
#define DISK_PAGE   4096

/* A file or directory. Bytes behind the length are zero or were written before it grew. */
struct disk_node {
    bool is_directory;
    size_t length;
    struct disk_page **pages; /* [page_count], owned; NULL: zeros */
    size_t page_count;
    uint8_t *flat;     /* owned: the content as disk_file last showed it */
    uint64_t reserved; /* bytes taken by io_allocate, of a finite disk */
};

struct disk_entry {
    unsigned directory, node;
    char *name;
};

struct disk_state {
    struct disk_node *nodes; /* never removed; indices are the same in live and durable */
    size_t node_count;
    struct disk_entry *entries;
    size_t entry_count;
};

enum disk_item_kind { ITEM_WRITE, ITEM_EXTEND, ITEM_TRUNCATE, ITEM_LINK, ITEM_UNLINK, ITEM_RENAME };

struct disk_item {
    enum disk_item_kind kind;
    bool doomed; /* a sync of it failed */
    uint64_t sequence;
    unsigned node;   /* the file; LINK, RENAME: what the name leads to */
    uint64_t offset; /* WRITE; EXTEND, TRUNCATE: the length */
    uint8_t *bytes;  /* WRITE, owned */
    size_t count;
    size_t piece;       /* WRITE: torn at multiples of it */
    unsigned directory; /* LINK, UNLINK, RENAME: where the name (the new one) is */
    char *name;         /* owned */
    unsigned from_directory;
    char *from_name; /* RENAME, owned */
};

struct disk_handle {
    bool is_open, writes, direct, locked;
    unsigned node;
};

struct disk_armed {
    enum disk_fault kind;
    uint64_t at;
    bool sticky;
};

struct disk {
    struct disk_state live, durable;
    struct disk_item *items;
    size_t item_count;
    uint64_t sequence; /* of the newest item */
    struct disk_handle handles[DISK_FILES_MAX];
    struct io_op *ops[DISK_OPS_MAX];
    size_t op_count;
    uint64_t operations, changes, crash_at, crash_at_change, fired;
    struct disk_armed faults[DISK_FAULTS];
    size_t fault_count;
    uint64_t random;
    bool shuffled, crashed;
    uint64_t space;
    uint64_t capacity, foreign, fill_at, refused; /* of a finite disk; capacity 0: of none */
    size_t piece;                                 /* of the writes to come */
};

/* What a fault can strike. */
enum disk_class { CLASS_LOOK, CLASS_CHANGE, CLASS_READ, CLASS_WRITE, CLASS_SYNC };

/* How an operation begins. */
struct disk_start {
    bool is_cut;  /* the power fails in it */
    bool is_dead; /* it failed before */
    enum disk_fault fault;
    enum status status; /* of a fault with an errno; ABANDONED when cut or dead */
};

/* disk_begin counts an operation and decides what befalls it. */
struct disk_start disk_begin(struct disk *disk, enum disk_class class);
int disk_fault_errno(enum disk_fault fault); /* 0: the fault is reported as success */
uint64_t disk_random(struct disk *disk);

extern const struct io_driver DISK_DRIVER;

/* disk_change_write makes the items of a write as the fault (or none) leaves it. */
void disk_change_write(struct disk *disk, unsigned node, uint64_t offset, const uint8_t *buffer,
                       size_t count, enum disk_fault fault);

/* disk_takes: a finite disk has room for the file's bytes up to `end` (for another name). */
bool disk_takes(const struct disk *disk, unsigned node, uint64_t end);
bool disk_takes_name(const struct disk *disk);

/* disk_require aborts the test program when memory is short. */
void *disk_require(void *memory);
uint64_t disk_mix(uint64_t value);

/* ---- the bytes of a file (support_disk_page.c) ---- */

void node_free(struct disk_node *node);
/* node_share makes `to` a copy that shares all pages. */
void node_share(const struct disk_node *from, struct disk_node *to);
/* node_write leaves the length alone; node_read stays within it. */
void node_write(struct disk_node *node, size_t offset, const uint8_t *bytes, size_t count);
void node_read(const struct disk_node *node, size_t offset, uint8_t *out, size_t count);
void node_extend(struct disk_node *node, size_t length);
void node_truncate(struct disk_node *node, size_t length);
uint64_t node_hash(const struct disk_node *node);
/* node_flat: the content in one piece, borrowed until the next call. */
const uint8_t *node_flat(struct disk_node *node);

/* ---- states ---- */

void state_init(struct disk_state *state);
void state_deinit(struct disk_state *state);
void state_copy(const struct disk_state *from, struct disk_state *to);
/* state_trim zeroes what lies behind the length of each file: a reboot does not find it. */
void state_trim(struct disk_state *state);
/* state_node_add makes a node without a name. */
unsigned state_node_add(struct disk_state *state, bool is_directory);
/* state_find_entry: the index of a name, or -1. */
long state_find_entry(const struct disk_state *state, unsigned directory, const char *name);
/* state_walk resolves the directory part of a path: *directory holds it, *name the last component,
 * "" for the root itself. false: a component is missing or a file. */
bool state_walk(const struct disk_state *state, const char *path, unsigned *directory,
                char name[IO_PATH_MAX]);
/* state_resolve: the node that a path names; false: none. */
bool state_resolve(const struct disk_state *state, const char *path, unsigned *node);
uint64_t state_hash(const struct disk_state *state);

/* The pieces of a write are cut at multiples of item->piece of the file; other items have one. */
size_t item_pieces(const struct disk_item *item);
void item_free(struct disk_item *item);

/* state_apply makes the change, of a write only the pieces that `keep` says; NULL: all of it. */
void state_apply(struct disk_state *state, const struct disk_item *item, size_t item_index,
                 bool (*keep)(const void *context, size_t item_index, size_t piece),
                 const void *context);

#endif
