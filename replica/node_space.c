/* Room on the disk, and what the node still does when it runs out.
 *
 *   GOOD <--> LOW <--> REFUSING <--> STOPPED
 *
 * Down as soon as less is free than the mark of a state says; up when a quarter more than the mark is,
 * so that a node on the edge does not flicker. STOPPED also while the chain log waits for blocks of the
 * disk. The marks are about good manners; that no write of record meets a full disk is owed to
 * reservations (README). */
#include <assert.h>
#include <stdio.h>

#include "log/trace.h"
#include "replica/node_internal.h"

#define SPACE_CHECK_US 1000000

static const struct {
    const char *name, *says;
} SPACES[] = {
    [NODE_SPACE_GOOD] = {"good", "the disk has room"},
    [NODE_SPACE_LOW] = {"low", "the disk fills up: what can wait is not written"},
    [NODE_SPACE_REFUSING] = {"refusing", "the disk is nearly full: transactions are refused"},
    [NODE_SPACE_STOPPED] = {"stopped", "the disk is full: nothing is signed until there is room"},
};

const char *node_space_name(enum node_space space)
{
    return SPACES[space].name;
}

const char *node_space_says(enum node_space space)
{
    return SPACES[space].says;
}

static uint64_t mark_of(const struct node *node, enum node_space space)
{
    switch (space) {
    case NODE_SPACE_GOOD: return 0;
    case NODE_SPACE_LOW: return node->options.space.warn_bytes;
    case NODE_SPACE_REFUSING: return node->options.space.refuse_bytes;
    case NODE_SPACE_STOPPED: return node->options.space.stop_bytes;
    }
    return 0;
}

/* state_of answers the worst state whose mark is not met; the marks of the present state and of better
 * ones count a quarter more. */
static enum node_space state_of(const struct node *node, enum node_space now)
{
    if (chain_is_starved(node->chain)) return NODE_SPACE_STOPPED;
    enum node_space space = NODE_SPACE_STOPPED;
    while (space > NODE_SPACE_GOOD) {
        uint64_t mark = mark_of(node, space);
        if (node->free_bytes < mark + (space <= now ? mark / 4 : 0)) break;
        space--;
    }
    return space;
}

static void measure(struct node *node)
{
    uint64_t now = node_now_us();
    bool early = now >= node->space_checked_us && now - node->space_checked_us < SPACE_CHECK_US;
    if (early) return;
    node->space_checked_us = now;
    char path[IO_PATH_MAX]; /* where files grow, which may be a disk of its own */
    int length = snprintf(path, sizeof path, "%s/data", node->options.home);
    assert(length > 0 && length < IO_PATH_MAX);
    if (io_space(&node->io, path, &node->free_bytes) != STATUS_OK) node->free_bytes = 0;
}

/* tell says what changed, as loud as it is bad. */
static void tell(const struct node *node, enum node_space before, enum node_space space)
{
    struct trace_field fields[] = {trace_u64("free_bytes", node->free_bytes),
                                   trace_string("state", SPACES[space].name)};
    if (space < before)
        TRACE(INFO, "replica", "space", SPACES[space].says, fields[0], fields[1]);
    else if (space == NODE_SPACE_STOPPED)
        TRACE(ERROR, "replica", "space", SPACES[space].says, fields[0], fields[1]);
    else
        TRACE(WARN, "replica", "space", SPACES[space].says, fields[0], fields[1]);
}

void node_space_watch(struct node *node)
{
    measure(node);
    enum node_space before = atomic_load(&node->space), space = state_of(node, before);
    if (space == before) return;
    atomic_store(&node->space, space);
    tell(node, before, space);
    index_defer(node->index, space >= NODE_SPACE_LOW);
}

bool node_space_allows_block(struct node *node)
{
    return atomic_load(&node->space) < NODE_SPACE_STOPPED && !chain_is_starved(node->chain);
}
