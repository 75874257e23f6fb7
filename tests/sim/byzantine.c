/* Validators that play tricks. Each runs the real core, so that it knows where the others stand; what it sends is
 * changed on the way out, for each receiver, and signed with its key. */
#include <string.h>

#include "tests/sim/world_internal.h"

#define DELAY_US UINT64_C(240000) /* shortly before the deadline of a round */

static struct packet *packet_of(uint8_t kind, const uint8_t *body, size_t count)
{
    struct packet *packet = sim_checked(malloc(sizeof *packet + 1 + count));
    packet->references = 1;
    packet->count = 1 + count;
    packet->bytes[0] = kind;
    memcpy(packet->bytes + 1, body, count);
    return packet;
}

/* ---- certificates that prove nothing ---- */

static unsigned signers(const struct qc *qc)
{
    unsigned count = 0;
    for (size_t i = 0; i < qc->bitmap.count; i++) {
        count += (unsigned)__builtin_popcount(qc->bitmap.at[i]);
    }
    return count;
}

/* All signatures by one key, under as many names. */
static void sign_all(struct world *world, uint32_t at, const struct qc *qc, uint8_t *signatures)
{
    struct vote vote;
    uint8_t message[VOTE_SIGNED_BYTES];
    qc_vote(qc, &vote);
    vote_signed_bytes(world->genesis_id, &vote, message);
    for (uint32_t i = 0; i < qc->signatures.count; i++) {
        sim_sign(world, world->machines[at].key, (struct bytes){message, sizeof message},
                 signatures + (size_t)i * 64);
    }
    world->machines[at].forged = true;
}

void fake_qc(struct world *world, uint32_t at, struct qc_store *store, struct qc *qc)
{
    enum { FEWER, BEYOND, LONGER, ALL_MINE, NEXT_ROUND, COMMITS_MORE, WAYS };
    uint8_t bitmap[VALIDATORS_MAX / 8 + 1] = {0};
    uint8_t signatures[VALIDATORS_MAX * 64];
    uint64_t way = sim_below(world, WAYS);
    uint32_t n = world->machines[at].config.epoch.set.count;
    memcpy(bitmap, qc->bitmap.at, qc->bitmap.count);
    memcpy(signatures, qc->signatures.at, qc->signatures.bytes);
    qc->bitmap.at = bitmap;
    qc->signatures.at = signatures;
    if (way == FEWER && signers(qc) > 1) { /* the first signer leaves */
        unsigned bit = 0;
        while (!(bitmap[bit / 8] >> (bit % 8) & 1)) {
            bit++;
        }
        bitmap[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
        qc->signatures.at = signatures + 64;
        qc->signatures.bytes -= 64;
        qc->signatures.count--;
    } else if (way == BEYOND && n % 8 != 0) {
        bitmap[n / 8] |= (uint8_t)(1u << (n % 8));
    } else if (way == LONGER && qc->bitmap.count < VALIDATORS_MAX / 8) {
        qc->bitmap.count++;
    } else if (way == COMMITS_MORE) {
        memcpy(qc->commit_id, qc->block_id, HASH_BYTES);
        qc->commit_height = qc->height - 1;
    } else {
        if (way == NEXT_ROUND) qc->round++;
        sign_all(world, at, qc, signatures);
    }
    qc_keep(store, qc);
    *qc = store->qc;
}

void fake_tc(struct world *world, uint32_t at, struct tc_store *store, struct tc *tc)
{
    uint8_t entries[VALIDATORS_MAX * tc_entry_bytes_max];
    struct writer w = writer_of(entries, sizeof entries);
    struct reader r = list_reader(&tc->entries);
    uint32_t count = tc->entries.count;
    enum { FEWER, TWICE, ALL_MINE, KNOWS_LESS, WAYS };
    uint64_t way = sim_below(world, WAYS);
    for (uint32_t i = 0; i < count; i++) {
        struct tc_entry entry;
        uint8_t message[TIMEOUT_SIGNED_BYTES];
        tc_entry_read(&r, &entry);
        if (way == KNOWS_LESS) entry.hqc_round = 0;
        if (way == ALL_MINE) {
            timeout_signed_bytes(world->genesis_id, tc->epoch, tc->round, entry.hqc_round, message);
            sim_sign(world, world->machines[at].key, (struct bytes){message, sizeof message},
                     entry.signature);
            world->machines[at].forged = true;
        }
        if (way == FEWER && i > 0) {
            tc->entries.count--;
            continue;
        }
        tc_entry_write(&w, &entry);
        if (way != TWICE || i + 1 == count) continue;
        tc_entry_write(&w, &entry);
        (void)tc_entry_read(&r, &entry); /* in place of the next */
        i++;
    }
    tc->entries.at = entries;
    tc->entries.bytes = writer_bytes(&w);
    tc_keep(store, tc);
    *tc = store->tc;
}

/* ---- votes and timeouts ---- */

static struct packet *signed_vote(struct world *world, uint32_t at, struct vote *vote)
{
    uint8_t message[VOTE_SIGNED_BYTES], body[vote_bytes_max];
    size_t count;
    vote_signed_bytes(world->genesis_id, vote, message);
    sim_sign(world, world->machines[at].key, (struct bytes){message, sizeof message},
             vote->signature);
    world->machines[at].forged = true;
    if (vote_encode(vote, body, sizeof body, &count) != STATUS_OK) abort();
    return packet_of(MESSAGE_VOTE, body, count);
}

/* A vote for something else in the same round, or with one field changed. */
static struct packet *forge_vote(struct world *world, uint32_t at, enum sim_fault trick,
                                 const struct packet *packet)
{
    struct vote vote;
    if (packet->bytes[0] != MESSAGE_VOTE ||
        vote_decode(packet->bytes + 1, packet->count - 1, &vote) != STATUS_OK) {
        return NULL;
    }
    switch (trick == FAULT_TWO_VOTES ? 0 : sim_below(world, 6)) {
    case 0: vote.block_id[0] ^= 1; break;
    case 1: vote.height++; break;
    case 2: vote.parent_round ^= 1; break;
    case 3: vote.commit_height ^= 1; break;
    case 4: memcpy(vote.commit_id, vote.block_id, HASH_BYTES); break;
    default: vote.round += 1 + sim_below(world, 40); break;
    }
    return signed_vote(world, at, &vote);
}

static struct packet *timeout_packet(const struct timeout_message *message)
{
    uint8_t *body = sim_checked(malloc(timeout_message_bytes_max));
    size_t count;
    if (timeout_message_encode(message, body, timeout_message_bytes_max, &count) != STATUS_OK)
        abort();
    struct packet *packet = packet_of(MESSAGE_TIMEOUT, body, count);
    free(body);
    return packet;
}

static void sign_timeout(struct world *world, uint32_t at, struct timeout *timeout)
{
    uint8_t message[TIMEOUT_SIGNED_BYTES];
    timeout_signed_bytes(world->genesis_id, timeout->epoch, timeout->round, timeout->hqc_round,
                         message);
    sim_sign(world, world->machines[at].key, (struct bytes){message, sizeof message},
             timeout->signature);
    world->machines[at].forged = true;
}

static struct packet *forge_timeout(struct world *world, uint32_t at, enum sim_fault trick,
                                    const struct packet *packet)
{
    struct timeout_message message;
    struct qc_store qc;
    struct tc_store tc;
    struct timeout *timeout = &message.timeout;
    if (packet->bytes[0] != MESSAGE_TIMEOUT ||
        timeout_message_decode(packet->bytes + 1, packet->count - 1, &message) != STATUS_OK) {
        return NULL;
    }
    if (trick == FAULT_INFLATED) {
        timeout->hqc_round = timeout->round - 1;
        message.has_high_qc = message.has_high_qc && sim_chance(world, 500);
    } else if (trick == FAULT_FAKE_QC && message.has_high_qc) {
        fake_qc(world, at, &qc, &message.high_qc);
        if (sim_chance(world, 500)) timeout->hqc_round = message.high_qc.round;
    } else if (trick == FAULT_FAKE_TC && message.has_entry_tc) {
        fake_tc(world, at, &tc, &message.entry_tc);
    } else if (trick == FAULT_MUTANT) {
        timeout->round += sim_below(world, 20);
        timeout->hqc_round = sim_chance(world, 500) ? 0 : sim_below(world, timeout->round + 2);
    } else {
        return NULL;
    }
    sign_timeout(world, at, timeout);
    return timeout_packet(&message);
}

/* ---- standings and answers ---- */

static struct packet *forge_standing(struct world *world, uint32_t at, enum sim_fault trick,
                                     const struct packet *packet)
{
    struct standing standing;
    struct qc_store qc;
    struct tc_store tc;
    size_t count;
    if (packet->bytes[0] != MESSAGE_STANDING ||
        standing_decode(packet->bytes + 1, packet->count - 1, &standing) != STATUS_OK) {
        return NULL;
    }
    if (trick == FAULT_FAKE_QC && standing.has_commit_qc && sim_chance(world, 500)) {
        fake_qc(world, at, &qc, &standing.commit_qc);
    } else if (trick == FAULT_FAKE_QC && standing.has_high_qc) {
        fake_qc(world, at, &qc, &standing.high_qc);
    } else if (trick == FAULT_FAKE_TC && standing.has_high_tc) {
        fake_tc(world, at, &tc, &standing.high_tc);
    } else if (trick == FAULT_FALSE_HEIGHT) {
        standing.committed_height += sim_below(world, 1000000);
    } else if (trick == FAULT_MUTANT) {
        standing.epoch += sim_below(world, 3);
        standing.asks = (uint16_t)sim_random(world);
    } else {
        return NULL;
    }
    uint8_t *body = sim_checked(malloc(standing_bytes_max));
    if (standing_encode(&standing, body, standing_bytes_max, &count) != STATUS_OK) abort();
    struct packet *forged = packet_of(MESSAGE_STANDING, body, count);
    free(body);
    return forged;
}

/* Where nothing is known of the message: a byte. */
static struct packet *forge_byte(struct world *world, const struct packet *packet, size_t from)
{
    if (packet->count <= from) return NULL;
    struct packet *copy = packet_make((struct bytes){packet->bytes, packet->count});
    copy->bytes[from + sim_below(world, copy->count - from)] ^=
        (uint8_t)(1u << sim_below(world, 8));
    return copy;
}

static struct packet *forge(struct world *world, uint32_t at, enum sim_fault trick,
                            const struct packet *packet)
{
    switch (packet->bytes[0]) {
    case MESSAGE_PROPOSAL: return forge_block(world, at, trick, packet);
    case MESSAGE_VOTE:
        return trick == FAULT_TWO_VOTES || trick == FAULT_MUTANT
                   ? forge_vote(world, at, trick, packet)
                   : NULL;
    case MESSAGE_TIMEOUT: return forge_timeout(world, at, trick, packet);
    case MESSAGE_STANDING: return forge_standing(world, at, trick, packet);
    case MESSAGE_BLOCK:
        return trick == FAULT_BAD_ANSWER ? forge_byte(world, packet, MESSAGE_BLOCK_AT) : NULL;
    default: return trick == FAULT_MUTANT ? forge_byte(world, packet, 1) : NULL;
    }
}

/* ---- sending ---- */

static void flood(struct world *world, uint32_t at, uint32_t to, struct packet *packet)
{
    if (packet->bytes[0] != MESSAGE_STANDING) return;
    for (unsigned i = 0; i < 8; i++) {
        network_transmit(world, at, to, packet, sim_below(world, 20000));
    }
}

static void replay(struct world *world, uint32_t at, uint32_t to)
{
    struct packet *old = world->heard[sim_below(world, HEARD_MAX)];
    if (!old) return;
    old->references++;
    network_transmit(world, at, to, old, 0);
    packet_drop(old);
}

static void out_of_turn(struct world *world, uint32_t at, uint32_t to)
{
    for (unsigned i = 0; i < HEARD_MAX; i++) {
        const struct packet *old = world->heard[i];
        if (!old || old->bytes[0] != MESSAGE_PROPOSAL) continue;
        struct packet *forged = forge_out_of_turn(world, at, old);
        if (!forged) continue;
        network_transmit(world, at, to, forged, 0);
        packet_drop(forged);
        return;
    }
}

/* The chosen trick with one message for one receiver. True: the message itself goes out besides. */
static bool play(struct world *world, uint32_t at, uint32_t to, enum sim_fault trick,
                 struct packet *packet)
{
    switch (trick) {
    case FAULT_SILENT: return !fault_strikes(world, trick);
    case FAULT_SPLIT: return to % 2 == 0 || !fault_strikes(world, trick);
    case FAULT_DELAYED:
        if (!fault_strikes(world, trick)) return true;
        network_transmit(world, at, to, packet, DELAY_US);
        return false;
    case FAULT_REPLAYED:
        if (fault_strikes(world, trick)) replay(world, at, to);
        return true;
    case FAULT_FLOOD:
        if (packet->bytes[0] == MESSAGE_STANDING && fault_strikes(world, trick))
            flood(world, at, to, packet);
        return true;
    case FAULT_OUT_OF_TURN:
        if (fault_strikes(world, trick)) out_of_turn(world, at, to);
        return true;
    default: break;
    }
    struct packet *forged = forge(world, at, trick, packet);
    if (!forged || !fault_strikes(world, trick)) {
        packet_drop(forged);
        return true;
    }
    network_transmit(world, at, to, forged, 0);
    packet_drop(forged);
    /* What replaces a proposal does so for half of the others; votes go out both. */
    return trick == FAULT_TWO_VOTES || sim_chance(world, 300);
}

/* choose answers one of its tricks, FAULT_COUNT: it plays none with this message. */
static enum sim_fault choose(struct world *world, const struct machine *machine)
{
    uint64_t count = (uint64_t)__builtin_popcountll(machine->tricks);
    if (!sim_chance(world, 500)) return FAULT_COUNT;
    uint64_t at = sim_below(world, count);
    for (unsigned fault = FAULT_TRICK_FIRST; fault <= FAULT_TRICK_LAST; fault++) {
        if (machine->tricks >> fault & 1 && at-- == 0) return (enum sim_fault)fault;
    }
    return FAULT_COUNT;
}

void byzantine_send(struct world *world, uint32_t at, uint32_t to, struct packet *packet)
{
    const struct machine *machine = &world->machines[at];
    if (world->stable && machine->mute) return;
    enum sim_fault trick = world->stable ? FAULT_COUNT : choose(world, machine);
    if (trick == FAULT_COUNT || play(world, at, to, trick, packet))
        network_transmit(world, at, to, packet, 0);
}
