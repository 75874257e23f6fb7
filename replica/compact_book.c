/* Blocks in the making: which transactions are there, who was asked for the others. */
#include <assert.h>
#include <stdlib.h>

#include "replica/compact.h"

void compact_drop(struct compact_slot *slot)
{
    free(slot->memory);
    *slot = (struct compact_slot){0};
}

void compact_book_free(struct compact_book *book)
{
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        compact_drop(&book->slots[i]);
    }
    free(book->whole);
    *book = (struct compact_book){0};
}

void compact_drop_peer(struct compact_book *book, uint32_t peer)
{
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        struct compact_slot *slot = &book->slots[i];
        slot->peers[peer] = 0;
        if (slot->used && slot->peer == peer) compact_drop(slot);
    }
}

void compact_has(struct compact_book *book, uint32_t peer, const uint8_t id[HASH_BYTES])
{
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        struct compact_slot *slot = &book->slots[i];
        if (slot->used && memcmp(slot->id, id, HASH_BYTES) == 0) slot->peers[peer] |= COMPACT_HAS;
    }
}

/* ---- places ---- */

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* furthest answers the used slot of `peer` (NULL: of anyone) whose round is furthest from now. */
static struct compact_slot *furthest(struct compact_book *book, const uint32_t *peer, uint64_t now)
{
    struct compact_slot *found = NULL;
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        struct compact_slot *slot = &book->slots[i];
        if (!slot->used || (peer && slot->peer != *peer)) continue;
        if (!found || distance(slot->round, now) > distance(found->round, now)) found = slot;
    }
    return found;
}

static struct compact_slot *free_slot(struct compact_book *book)
{
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        if (!book->slots[i].used) return &book->slots[i];
    }
    return NULL;
}

/* make_room: a peer keeps to its share, a block to its own, all of them to theirs. */
static struct compact_slot *make_room(struct compact_book *book, uint32_t peer,
                                      const struct compact_view *view, uint64_t now)
{
    uint32_t of_peer = 0, of_block = 0;
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        const struct compact_slot *slot = &book->slots[i];
        if (!slot->used) continue;
        bool same = memcmp(slot->id, view->id, HASH_BYTES) == 0;
        if (same && slot->peer == peer) return NULL;
        of_peer += slot->peer == peer;
        of_block += same;
    }
    if (of_block >= COMPACT_BLOCK_SLOTS) return NULL;
    struct compact_slot *at = free_slot(book), *victim = NULL;
    if (of_peer >= COMPACT_PEER_SLOTS)
        victim = furthest(book, &peer, now);
    else if (!at)
        victim = furthest(book, NULL, now);
    if (!victim) return at;
    if (distance(victim->round, now) <= distance(view->compact.header.round, now)) return NULL;
    compact_drop(victim);
    return victim;
}

/* ---- transactions ---- */

static void keep(struct compact_slot *slot, uint32_t index, size_t bytes)
{
    slot->at[index] = (uint32_t)slot->store_bytes;
    slot->bytes[index] = (uint32_t)bytes;
    slot->store_bytes += bytes;
    slot->missing--;
}

void compact_look(struct compact_slot *slot, const struct compact_source *source)
{
    for (uint32_t i = 0; i < slot->count && slot->missing > 0; i++) {
        size_t bytes, left = slot->store_max - slot->store_bytes;
        if (slot->at[i] != COMPACT_MISSING) continue;
        const uint8_t *prefix = slot->prefixes + (size_t)i * COMPACT_PREFIX_BYTES;
        if (source->copy(source->context, prefix, slot->store + slot->store_bytes, left, &bytes))
            keep(slot, i, bytes);
    }
}

/* put takes transactions that somebody sent; one that does not belong where it is put breaks the slot. */
static void put(struct compact_slot *slot, const struct list *commands)
{
    struct reader r = list_reader(commands);
    for (uint32_t i = 0; i < commands->count && !slot->broken; i++) {
        struct indexed_command command;
        uint8_t id[HASH_BYTES];
        indexed_command_read(&r, &command);
        bool fits = command.index < slot->count;
        if (fits && slot->at[command.index] != COMPACT_MISSING) continue;
        hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, id);
        fits = fits && command.bytes.count <= slot->store_max - slot->store_bytes &&
               memcmp(id, slot->prefixes + (size_t)command.index * COMPACT_PREFIX_BYTES,
                      COMPACT_PREFIX_BYTES) == 0;
        slot->broken = !fits;
        if (!fits) return;
        memcpy(slot->store + slot->store_bytes, command.bytes.at, command.bytes.count);
        keep(slot, command.index, command.bytes.count);
    }
}

/* take_memory lays the slot out in one piece, words first. */
static bool take_memory(struct compact_slot *slot, const struct compact_view *view)
{
    size_t count = view->compact.header.cmd_count, words = 2 * count * sizeof(uint32_t);
    slot->front_bytes = MESSAGE_BLOCK_AT + view->front.count;
    slot->store_max = view->commands_bytes - 2 - 2 * count; /* without their lengths */
    slot->memory =
        malloc(words + count * COMPACT_PREFIX_BYTES + slot->front_bytes + slot->store_max);
    if (!slot->memory) return false;
    slot->at = (uint32_t *)(void *)slot->memory;
    slot->bytes = slot->at + count;
    slot->prefixes = slot->memory + words;
    slot->front = slot->prefixes + count * COMPACT_PREFIX_BYTES;
    slot->store = slot->front + slot->front_bytes;
    memset(slot->at, 0xff, words);
    memcpy(slot->prefixes, view->compact.prefixes.at, view->compact.prefixes.count);
    slot->front[0] = MESSAGE_PROPOSAL;
    memcpy(slot->front + 1, view->signature, 64);
    memcpy(slot->front + MESSAGE_BLOCK_AT, view->front.at, view->front.count);
    return true;
}

struct compact_slot *compact_begin(struct compact_book *book, uint32_t peer,
                                   const struct compact_view *view, uint64_t round_now,
                                   uint64_t now_us, const struct compact_source *source)
{
    const struct header *header = &view->compact.header;
    assert(peer < NET_PEERS_MAX);
    compact_has(book, peer, view->id);
    struct compact_slot *slot = make_room(book, peer, view, round_now);
    if (!slot || !take_memory(slot, view)) return NULL;
    slot->used = true;
    slot->peer = peer;
    slot->peers[peer] = COMPACT_HAS;
    slot->epoch = header->epoch;
    slot->round = header->round;
    slot->height = header->height;
    slot->due_us = now_us;
    slot->count = slot->missing = header->cmd_count;
    memcpy(slot->id, view->id, HASH_BYTES);
    memcpy(slot->body_root, header->body_root, HASH_BYTES);
    put(slot, &view->compact.prefilled);
    if (!slot->broken) compact_look(slot, source);
    return slot;
}

enum status compact_answer(struct compact_book *book, uint32_t peer, struct bytes body)
{
    struct block_commands answer;
    TRY(block_commands_decode(body.at, body.count, &answer));
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        struct compact_slot *slot = &book->slots[i];
        if (slot->used && !slot->broken && (slot->peers[peer] & COMPACT_ASKED_SOME) &&
            memcmp(slot->id, answer.id, HASH_BYTES) == 0)
            put(slot, &answer.commands);
    }
    return STATUS_OK;
}

/* ---- the end ---- */

static bool grow(struct compact_book *book, size_t count)
{
    if (count <= book->whole_capacity) return true;
    uint8_t *grown = realloc(book->whole, count);
    if (!grown) return false;
    book->whole = grown;
    book->whole_capacity = count;
    return true;
}

static size_t write_whole(struct compact_book *book, const struct compact_slot *slot)
{
    struct writer w = writer_of(book->whole, book->whole_capacity);
    write_copy(&w, slot->front, slot->front_bytes);
    write_u16(&w, (uint16_t)slot->count);
    for (uint32_t i = 0; i < slot->count; i++) {
        struct command command = {{slot->store + slot->at[i], slot->bytes[i]}};
        command_write(&w, &command);
    }
    assert(w.status == STATUS_OK);
    return writer_bytes(&w);
}

static bool is_the_headers(const struct compact_slot *slot, struct bytes message)
{
    struct block block;
    uint8_t root[HASH_BYTES];
    if (block_decode(message.at + MESSAGE_BLOCK_AT, message.count - MESSAGE_BLOCK_AT, &block) !=
        STATUS_OK)
        return false;
    body_root_of(&block.body, root);
    return memcmp(root, slot->body_root, HASH_BYTES) == 0;
}

bool compact_finish(struct compact_book *book, struct compact_slot *slot, struct bytes *proposal)
{
    if (slot->missing > 0 || slot->broken) return false;
    uint8_t id[HASH_BYTES];
    size_t count = slot->front_bytes + 2 + 2 * (size_t)slot->count + slot->store_bytes;
    /* Its length is not the header's, or there is no memory to find out more. */
    slot->broken = slot->store_bytes != slot->store_max || !grow(book, count);
    if (slot->broken) return false;
    *proposal = (struct bytes){book->whole, write_whole(book, slot)};
    slot->broken = !is_the_headers(slot, *proposal);
    if (slot->broken) return false;
    memcpy(id, slot->id, HASH_BYTES);
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        if (memcmp(book->slots[i].id, id, HASH_BYTES) == 0) compact_drop(&book->slots[i]);
    }
    return true;
}

/* ---- asking ---- */

bool compact_wants_whole(const struct compact_slot *slot)
{
    return slot->broken || slot->missing == slot->count || slot->asks >= COMPACT_ASKS_SOME_MAX;
}

static size_t write_request(const struct compact_slot *slot, uint8_t *out)
{
    struct writer w = writer_of(out, COMPACT_REQUEST_BYTES_MAX);
    write_u8(&w, MESSAGE_GET_COMMANDS);
    write_copy(&w, slot->id, HASH_BYTES);
    write_u16(&w, (uint16_t)slot->missing);
    for (uint32_t i = 0; i < slot->count; i++) {
        if (slot->at[i] == COMPACT_MISSING) write_u16(&w, (uint16_t)i);
    }
    assert(w.status == STATUS_OK);
    return writer_bytes(&w);
}

size_t compact_request(struct compact_slot *slot, uint32_t peer, uint64_t due_us, uint8_t *out)
{
    bool whole = compact_wants_whole(slot);
    assert(whole || slot->missing > 0);
    slot->asks++;
    slot->due_us = due_us;
    slot->peers[peer] |= whole ? COMPACT_ASKED_WHOLE : COMPACT_ASKED_SOME;
    if (!whole) return write_request(slot, out);
    struct block_request request = {.height = slot->height};
    memcpy(request.id, slot->id, HASH_BYTES);
    size_t count;
    out[0] = MESSAGE_GET_BLOCK;
    enum status status = block_request_encode(&request, out + 1, block_request_bytes_max, &count);
    assert(status == STATUS_OK);
    return 1 + count;
}
