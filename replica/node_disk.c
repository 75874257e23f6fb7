/* Journal, chain log, head and superblock through the I/O driver.
 *
 * Each of them says what it wants written or synced; the pump submits it in a free slot, and the
 * completion goes back to whoever asked. A failure is final: the loop stops and signs nothing more.
 *
 * Making room in the journal, once a second or when the ring fills:
 *   IDLE --chain log durable further--> CHECKPOINT appended --durable--> superblock with the new tail
 *        <------------------------------- its last operation is done ----------------------------- */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>

#include "log/trace.h"
#include "replica/node_internal.h"

#define VALIDATOR_FOLDER   "validator"
#define OBSERVER_FOLDER    "data/journal"
#define JOURNAL_MEMORY_MAX (UINT64_C(512) << 20)
#define ROOM_WAIT_US       100000

/* An observer's journal is no sign state: it lies with what can be rebuilt. */
static enum status folder_of(const char *home, bool is_validator, char out[IO_PATH_MAX])
{
    int length = snprintf(out, IO_PATH_MAX, "%s/%s", home,
                          is_validator ? VALIDATOR_FOLDER : OBSERVER_FOLDER);
    return length > 0 && length < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

/* The longest block that the parameters allow: body, header, justification. */
static uint64_t block_bytes_max_of(const struct params *params)
{
    return params->block_bytes_max + (uint64_t)header_bytes_max + (uint64_t)justify_bytes_max;
}

static enum status format(struct io *io, const char *folder, const struct params *params,
                          const uint8_t genesis_id[HASH_BYTES], const uint8_t key[32],
                          uint64_t journal_bytes)
{
    struct journal_geometry geometry;
    struct journal_identity identity = {0};
    TRY(journal_geometry_make(journal_bytes, block_bytes_max_of(params), params->uncommitted_max,
                              &geometry));
    memcpy(identity.chain_id, genesis_id, HASH_BYTES);
    memcpy(identity.key, key, 32);
    do {
        randombytes_buf(&identity.incarnation, sizeof identity.incarnation);
    } while (identity.incarnation == 0);
    return journal_format(io, folder, &identity, &geometry);
}

enum status node_format(struct io *io, const char *home, const struct params *params,
                        const uint8_t genesis_id[HASH_BYTES], const uint8_t key[32],
                        uint64_t journal_bytes)
{
    char folder[IO_PATH_MAX];
    TRY(folder_of(home, true, folder));
    return format(io, folder, params, genesis_id, key, journal_bytes);
}

/* ready_observer makes an observer's journal if it has none. */
static enum status ready_observer(struct node *node, const char *folder)
{
    TRY(io_mkdir(&node->io, folder));
    enum status status = format(&node->io, folder, &node->genesis.params, node->genesis_id,
                                node->key, node->options.journal_bytes);
    return status == STATUS_EXISTS ? STATUS_OK : status;
}

/* ---- opening ---- */

enum status node_disk_open(struct node *node, struct log_mark *hint, const char **why)
{
    char folder[IO_PATH_MAX];
    struct journal_recovery recovery;
    bool is_validator = node->signer.driver != NULL;
    TRY(folder_of(node->options.home, is_validator, folder));
    if (!is_validator) {
        *why = "the journal of an observer cannot be made";
        TRY(ready_observer(node, folder));
    }
    enum status status = journal_open(&node->journal, &node->io, folder, node->genesis_id,
                                      node->key, JOURNAL_MEMORY_MAX, &recovery);
    if (status != STATUS_OK) {
        *why = recovery.why && recovery.why[0] ? recovery.why : "the journal cannot be opened";
        TRACE(ERROR, "replica", "journal", *why, trace_status("status", status),
              trace_u64("group", recovery.fault_seq), trace_u64("offset", recovery.fault_offset));
        return status;
    }
    TRACE(INFO, "replica", "journal", "recovered", trace_u64("records", recovery.record_count),
          trace_u64("next_lsn", recovery.next_lsn), trace_u64("torn_units", recovery.units_cut),
          trace_string("stop", recovery.was_clean ? "clean" : "unclean"));
    const struct superblock *super = journal_superblock(node->journal);
    hint->height = super->log_height;
    hint->segment = super->log_segment;
    memcpy(hint->id, super->log_block_id, HASH_BYTES);
    return STATUS_OK;
}

/* node_disk_recover_records hands the journal's records to the core, which may find that a block above
 * the chain log is committed. */
enum status node_disk_recover_records(struct node *node)
{
    for (;;) {
        struct journal_record record;
        enum status status = journal_next_record(node->journal, &record);
        if (status == STATUS_NOT_FOUND) return STATUS_OK;
        TRY(status);
        TRY(replica_recover_record(node->replica, record.lsn, record.type, record.body,
                                   &node->outputs));
        TRY(node_handle_outputs(node));
    }
}

/* node_disk_chain_is_behind: the chain log ends below what the superblock knows to have been durable. The superblock
 * says so before anything is written there: else a power cut on the way up again would look like damage. */
enum status node_disk_chain_is_behind(struct node *node)
{
    struct journal_marks marks = journal_marks_of(journal_superblock(node->journal));
    struct log_position end = chain_position(node->chain);
    marks.log_segment = end.segment;
    marks.log_offset = end.offset;
    marks.log_height = chain_height(node->chain);
    memcpy(marks.log_block_id, chain_last_id(node->chain), HASH_BYTES);
    memset(marks.exec_root, 0, HASH_BYTES);
    TRY(journal_release(node->journal, 0, &marks));
    return journal_settle(node->journal);
}

/* ---- the core's records ---- */

/* node_disk_append journals one record of the core. All records are the core's, so both count alike. */
enum status node_disk_append(struct node *node, const struct replica_output *output)
{
    uint64_t lsn;
    enum status status;
    while ((status = journal_append(node->journal, (enum journal_type)output->record_type,
                                    output->tag, &output->bytes, 1, &lsn)) == STATUS_BUSY) {
        TRY(node_disk_make_room(node));
    }
    /* Bodies are given only while there is room (node_disk_has_room): FULL is a fault. */
    TRY(status);
    assert(lsn == output->lsn);
    if (output->record_type == RECORD_CHECKPOINT) node->house_lsn = lsn;
    if (output->record_type == RECORD_VOTE) node->counters.votes++;
    if (output->record_type == RECORD_TIMEOUT) node->counters.timeouts++;
    return STATUS_OK;
}

bool node_disk_has_room(const struct node *node)
{
    return journal_check_room(node->journal, JOURNAL_BLOCK,
                              block_bytes_max_of(&node->genesis.params)) != STATUS_FULL;
}

/* node_held_add remembers where a committed block's record lies. */
void node_held_add(struct node *node, uint64_t height, uint64_t lsn)
{
    assert(node->held_count < NODE_HELD_MAX);
    size_t slot = (node->held_first + node->held_count++) % NODE_HELD_MAX;
    node->held[slot] = (struct node_held){height, lsn};
}

/* oldest_needed answers the first record that may not be dropped: of a committed block that the chain
 * log does not hold durably, of an uncommitted one, or the checkpoint. */
static uint64_t oldest_needed(struct node *node)
{
    uint64_t durable = chain_durable_height(node->chain);
    while (node->held_count > 0 && node->held[node->held_first].height <= durable) {
        node->held_first = (node->held_first + 1) % NODE_HELD_MAX;
        node->held_count--;
    }
    struct replica_view view;
    replica_view(node->replica, &view);
    uint64_t lsn = node->house_lsn;
    if (view.oldest_needed_lsn < lsn) lsn = view.oldest_needed_lsn;
    if (node->held_count > 0 && node->held[node->held_first].lsn < lsn) {
        lsn = node->held[node->held_first].lsn;
    }
    return lsn;
}

/* take_durable tells the core how far its records, and the base of its epoch, are safe. */
static enum status take_durable(struct node *node)
{
    uint64_t durable = journal_durable_lsn(node->journal),
             height = chain_durable_height(node->chain);
    if (node->chain_told < node->epoch.base_height && height >= node->epoch.base_height) {
        node->chain_told = height;
        TRY(node_step(node, &(struct replica_input){.kind = INPUT_CHAIN, .height = height}));
    }
    if (durable == node->durable_told) return STATUS_OK;
    node->durable_told = durable;
    struct replica_input input = {.kind = INPUT_DURABLE, .lsn = durable};
    return node_step(node, &input);
}

/* ---- housekeeping ---- */

static struct journal_marks marks_of(struct node *node)
{
    struct journal_marks marks = journal_marks_of(journal_superblock(node->journal));
    struct log_mark mark;
    if (chain_durable_mark(node->chain, &mark)) {
        marks.log_segment = mark.segment;
        marks.log_offset = mark.end[SEGMENT_CHAIN];
        marks.log_height = mark.height;
        memcpy(marks.log_block_id, mark.id, HASH_BYTES);
        memcpy(marks.exec_root, node->waiting[mark.height % NODE_HEADS_KEPT].state_root,
               HASH_BYTES);
    }
    return marks;
}

static bool ring_is_filling(const struct node *node)
{
    struct journal_stats stats;
    journal_stats(node->journal, &stats);
    return stats.free_bytes < stats.ring_bytes / 4 * 3;
}

static enum status housekeep(struct node *node, uint64_t now)
{
    switch (node->house) {
    case NODE_HOUSE_IDLE:
        if (chain_durable_height(node->chain) == node->house_height) return STATUS_OK;
        if (now < node->house_at_us + NODE_HOUSEKEEP_US && !ring_is_filling(node)) return STATUS_OK;
        node->house_at_us = now;
        node->house_height = chain_durable_height(node->chain);
        node->house = NODE_HOUSE_CHECKPOINT;
        node->house_lsn = 0;
        return node_step(node, &(struct replica_input){.kind = INPUT_CHECKPOINT});
    case NODE_HOUSE_CHECKPOINT: {
        if (node->house_lsn == 0 || journal_durable_lsn(node->journal) < node->house_lsn)
            return STATUS_OK;
        struct journal_marks marks = marks_of(node);
        node->house = NODE_HOUSE_SUPERBLOCK;
        return journal_release(node->journal, oldest_needed(node), &marks);
    }
    case NODE_HOUSE_SUPERBLOCK:
        if (!journal_is_releasing(node->journal)) node->house = NODE_HOUSE_IDLE;
        return STATUS_OK;
    }
    return STATUS_OK;
}

/* ---- operations ---- */

static struct node_slot *free_slot(struct node *node)
{
    for (size_t i = 0; i < NODE_SLOTS; i++) {
        if (node->slots[i].use == NODE_SLOT_FREE) return &node->slots[i];
    }
    return NULL;
}

/* ask fills the slot with the next operation of one asker; false: it wants nothing now. */
static enum status ask(struct node *node, enum node_slot_use use, struct io_op *op, bool *wanted)
{
    *wanted = false;
    switch (use) {
    case NODE_SLOT_JOURNAL_WRITE: *wanted = journal_next_write(node->journal, op); return STATUS_OK;
    case NODE_SLOT_SUPER: *wanted = journal_next_super(node->journal, op); return STATUS_OK;
    case NODE_SLOT_CHAIN_WRITE: return chain_next_write(node->chain, op, wanted);
    case NODE_SLOT_CHAIN_SYNC: chain_next_sync(node->chain, op, wanted); return STATUS_OK;
    case NODE_SLOT_HEAD: *wanted = head_next_write(node->head_file, op); return STATUS_OK;
    default: return STATUS_OK;
    }
}

static void note_sync(struct node *node, const struct node_slot *slot)
{
    uint64_t now = node_now_us(), spent = now > slot->started_us ? now - slot->started_us : 0;
    node->counters.journal_syncs++;
    node->counters.journal_sync_us_total += spent;
    if (spent > node->counters.journal_sync_us_max) node->counters.journal_sync_us_max = spent;
}

/* hand_back frees the slot of an operation and gives it to whoever asked. */
static enum status hand_back(struct node *node, struct io_op *op)
{
    struct node_slot *slot = op->owner;
    enum node_slot_use use = slot->use;
    slot->use = NODE_SLOT_FREE;
    node->in_flight--;
    switch (use) {
    case NODE_SLOT_JOURNAL_WRITE: note_sync(node, slot); return journal_written(node->journal, op);
    case NODE_SLOT_SUPER: return journal_super_done(node->journal, op);
    case NODE_SLOT_CHAIN_WRITE: return chain_written(node->chain, op);
    case NODE_SLOT_CHAIN_SYNC: return chain_synced(node->chain, op);
    case NODE_SLOT_HEAD: return head_written(node->head_file, op);
    case NODE_SLOT_FREE: break;
    }
    assert(0);
    return STATUS_IO;
}

static enum status submit_all(struct node *node, enum node_slot_use use)
{
    for (;;) {
        struct node_slot *slot = free_slot(node);
        if (!slot) return STATUS_OK;
        bool wanted;
        slot->op = (struct io_op){0};
        TRY(ask(node, use, &slot->op, &wanted));
        if (!wanted) return STATUS_OK;
        slot->op.owner = slot;
        slot->use = use;
        slot->started_us = node_now_us();
        node->in_flight++;
        enum status status = io_submit(&node->io, &slot->op);
        if (status == STATUS_OK) continue;
        slot->op.status = status;
        enum status ignored UNUSED = hand_back(node, &slot->op);
        return status;
    }
}

/* Whoever asked decides whether a failure is final: a superblock copy too few, for one, is not. */
static enum status node_disk_complete(struct node *node, struct io_op *op)
{
    if (op->kind >= IO_ACCEPT) {
        node->net.driver->complete(node->net.self, op, node_steady_us());
        return STATUS_OK;
    }
    if (op->status != STATUS_OK) {
        TRACE(ERROR, "replica", "disk", "an operation on a file of record failed",
              trace_status("status", op->status), trace_i64("errno", op->error));
    }
    enum status status = hand_back(node, op);
    if (status != STATUS_OK && op->status != STATUS_OK && !node->why) {
        node->why = "a file of record could not be written";
    }
    return status;
}

enum status node_disk_complete_all(struct node *node, struct io_op *const *done, size_t count)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count; i++) {
        enum status one = node_disk_complete(node, done[i]);
        if (status == STATUS_OK) status = one;
    }
    return status;
}

static void set_head(struct node *node)
{
    struct log_mark mark;
    if (!chain_durable_mark(node->chain, &mark)) return;
    if (node->head_is_set && mark.height == node->head_set_height) return;
    node->head_is_set = true;
    node->head_set_height = mark.height;
    head_set(node->head_file, &mark, mark.height,
             node->waiting[mark.height % NODE_HEADS_KEPT].state_root);
}

/* keep_chain: what is folded is written at once, for readers; its sync can wait, for the journal still holds the
 * blocks, and then serves many of them. Only a new epoch waits for it. */
static void keep_chain(struct node *node)
{
    uint64_t now = node_steady_us();
    struct log_mark mark = {0};
    bool any = chain_durable_mark(node->chain, &mark);
    if (any && mark.height == chain_height(node->chain)) {
        node->chain_sync_us = UINT64_MAX;
        return;
    }
    chain_push(node->chain);
    if (node->chain_sync_us == UINT64_MAX) node->chain_sync_us = now + NODE_CHAIN_SYNC_US;
    bool epoch_waits = chain_durable_height(node->chain) < node->epoch.base_height;
    if (now < node->chain_sync_us && !epoch_waits && !ring_is_filling(node)) return;
    chain_flush(node->chain);
    node->chain_sync_us = UINT64_MAX;
}

/* pump_files is the part of the pump that needs nothing of the core. */
static enum status pump_files(struct node *node)
{
    TRY(submit_all(node, NODE_SLOT_JOURNAL_WRITE));
    TRY(submit_all(node, NODE_SLOT_CHAIN_WRITE));
    TRY(submit_all(node, NODE_SLOT_CHAIN_SYNC));
    if (node->reader) set_head(node); /* not while the start refolds: its roots are not known */
    TRY(submit_all(node, NODE_SLOT_HEAD));
    return submit_all(node, NODE_SLOT_SUPER);
}

enum status node_disk_pump(struct node *node)
{
    TRY(take_durable(node));
    TRY(housekeep(node, node_now_us()));
    keep_chain(node);
    return pump_files(node);
}

/* node_disk_make_room waits for completions without stepping the core. */
enum status node_disk_make_room(struct node *node)
{
    struct io_op *done[NODE_SLOTS];
    size_t count;
    chain_flush(node->chain); /* at the start receipts and events alone may be behind */
    TRY(pump_files(node));
    if (chain_is_starved(node->chain) && node->in_flight == 0) return STATUS_NO_SPACE;
    TRY(io_poll(&node->io, ROOM_WAIT_US, done, NODE_SLOTS, &count));
    return node_disk_complete_all(node, done, count);
}

/* node_disk_settle makes the chain log durable, blocking; what is in flight comes back first. */
enum status node_disk_settle(struct node *node)
{
    while (node->in_flight > 0) {
        struct io_op *done[NODE_SLOTS];
        size_t count;
        TRY(io_poll(&node->io, ROOM_WAIT_US, done, NODE_SLOTS, &count));
        TRY(node_disk_complete_all(node, done, count));
    }
    return chain_settle(node->chain);
}

bool node_disk_idle(const struct node *node)
{
    bool quiet = !node->net.driver || node->net.driver->idle(node->net.self);
    return node->in_flight == 0 && quiet;
}

/* node_disk_publish_now brings the published head up to the chain log, blocking; at the start. */
enum status node_disk_publish_now(struct node *node)
{
    set_head(node);
    return head_settle(node->head_file);
}

/* node_disk_stop leaves nothing to mend: everything durable, the clean mark set. Nothing in flight. */
enum status node_disk_stop(struct node *node)
{
    TRY(node_disk_settle(node));
    TRY(node_disk_publish_now(node));
    TRY(journal_settle(node->journal));
    struct journal_marks marks = marks_of(node);
    return journal_stop(node->journal, &marks);
}

/* ---- closing ---- */

/* take_back waits for what a failure left in flight: the buffers belong to those who asked, and each of
 * them wants its operation back. A driver that cannot even be polled has let go of all of them. */
static void take_back(struct node *node)
{
    struct io_op *done[NODE_SLOTS];
    size_t count;
    while (!node_disk_idle(node) &&
           io_poll(&node->io, ROOM_WAIT_US, done, NODE_SLOTS, &count) == STATUS_OK) {
        enum status ignored UNUSED = node_disk_complete_all(node, done, count);
    }
    for (size_t i = 0; i < NODE_SLOTS; i++) {
        if (node->slots[i].use == NODE_SLOT_FREE) continue;
        node->slots[i].op.status = STATUS_ABANDONED;
        enum status ignored UNUSED = hand_back(node, &node->slots[i].op);
    }
}

void node_disk_close(struct node *node)
{
    if (node->net.driver) node->net.driver->stop(node->net.self);
    if (node->io.driver) take_back(node);
    node_net_close(node);
    if (node->reader) chain_reader_close(node->reader);
    if (node->index) index_close(node->index);
    if (node->head_file) head_close(node->head_file);
    if (node->chain) chain_close(node->chain);
    if (node->journal) journal_close(node->journal);
    if (node->lock_file >= 0 && io_close(&node->io, node->lock_file) != STATUS_OK) {
        TRACE(WARN, "replica", "stop", "the lock file could not be closed");
    }
    if (node->io.driver && !node->options.io) io_deinit(&node->io);
}
