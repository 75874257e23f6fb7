/* Proposals that no honest leader makes: of the leader's own block something is changed, the hashes and the signature
 * are made to fit again. */
#include <string.h>

#include "tests/sim/world_internal.h"

#define BODY_ROOM (4 * SIM_BODY_MAX)

/* A block taken apart. */
struct draft {
    struct header header;
    struct justify justify;
    struct qc_store qc;
    struct tc_store tc;
    uint8_t body[BODY_ROOM];
    size_t body_count;
};

static bool draft_open(const struct packet *packet, struct draft *draft)
{
    struct block block;
    if (packet->count <= MESSAGE_BLOCK_AT ||
        block_decode(packet->bytes + MESSAGE_BLOCK_AT, packet->count - MESSAGE_BLOCK_AT, &block) !=
            STATUS_OK) {
        return false;
    }
    draft->header = block.header;
    draft->justify = block.justify;
    draft->body_count = block.header.body_bytes;
    memcpy(draft->body, packet->bytes + packet->count - draft->body_count, draft->body_count);
    return true;
}

/* draft_packet signs with the key of the machine, whoever the header says has made it. */
static struct packet *draft_packet(struct world *world, uint32_t at, struct draft *draft)
{
    uint8_t id[HASH_BYTES], message[PROPOSAL_SIGNED_BYTES];
    size_t room = MESSAGE_BLOCK_AT + header_bytes_max + justify_bytes_max + draft->body_count;
    struct packet *packet = sim_checked(malloc(sizeof *packet + room));
    packet->references = 1;
    packet->bytes[0] = MESSAGE_PROPOSAL;
    justify_hash_of(&draft->justify, draft->header.justify_hash);
    block_id_of(&draft->header, id);
    proposal_signed_bytes(world->genesis_id, draft->header.epoch, draft->header.round, id, message);
    sim_sign(world, world->machines[at].key, (struct bytes){message, sizeof message},
             packet->bytes + 1);
    struct writer w = writer_of(packet->bytes + MESSAGE_BLOCK_AT, room - MESSAGE_BLOCK_AT);
    header_write(&w, &draft->header);
    justify_write(&w, &draft->justify);
    write_copy(&w, draft->body, draft->body_count);
    if (w.status != STATUS_OK) abort();
    packet->count = MESSAGE_BLOCK_AT + writer_bytes(&w);
    world->machines[at].forged = true;
    return packet;
}

/* ---- what is changed ---- */

static void bind_body(struct draft *draft)
{
    struct body body;
    if (body_decode(draft->body, draft->body_count, &body) != STATUS_OK) abort();
    body_root_of(&body, draft->header.body_root);
    draft->header.cmd_count = body.commands.count;
    draft->header.body_bytes = (uint32_t)draft->body_count;
}

static void bad_commands(struct world *world, struct draft *draft)
{
    struct writer w = writer_of(draft->body, sizeof draft->body);
    uint16_t commands = (uint16_t)(1 + sim_below(world, 3));
    write_u16(&w, 0);
    write_u16(&w, commands);
    for (uint16_t i = 0; i < commands; i++) {
        write_u16(&w, 16);
        write_u64(&w, sim_random(world));
        write_u64(&w, UINT64_MAX);
    }
    draft->body_count = writer_bytes(&w);
    bind_body(draft);
}

static void bad_body(struct world *world, struct draft *draft)
{
    switch (sim_below(world, 4)) {
    case 0: draft->header.body_root[0] ^= 1; break;
    case 1: draft->body[sim_below(world, draft->body_count)] ^= 1; break;
    case 2: draft->header.cmd_count++; break;
    default: /* longer than an epoch allows */
        memset(draft->body + draft->body_count, 0, SIM_BODY_MAX + 1);
        draft->body_count += SIM_BODY_MAX + 1;
        draft->header.body_bytes = (uint32_t)draft->body_count;
        break;
    }
}

/* A time that honest leaders do not stamp; the third kind is valid, and costs the next leader its time if the deadline
 * does not know. */
static void wrong_time(struct world *world, uint32_t at, struct draft *draft)
{
    const struct machine *machine = &world->machines[at];
    switch (sim_below(world, 3)) {
    case 0: draft->header.time_us = 1; break;
    case 1: draft->header.time_us += UINT64_C(3600000000); break;
    default: draft->header.time_us = world->now_us + machine->config.drift_us; break;
    }
}

static void wrong_parent(struct world *world, struct draft *draft)
{
    switch (sim_below(world, 4)) {
    case 0: draft->header.parent_id[0] ^= 1; break;
    case 1: draft->header.parent_round ^= 1; break;
    case 2: draft->header.height++; break;
    default: draft->header.round += 1 + sim_below(world, 3); break;
    }
}

static void wrong_flags(struct world *world, struct draft *draft)
{
    struct header *header = &draft->header;
    header->flags = sim_chance(world, 500) ? BLOCK_EPOCH_END : BLOCK_TAIL;
    memset(header->next_set_hash, header->flags == BLOCK_EPOCH_END ? 7 : 0, HASH_BYTES);
}

static void wrong_root(struct world *world, struct draft *draft)
{
    if (sim_chance(world, 700) || draft->header.exec_height == 0) {
        draft->header.exec_root[0] ^= 1;
    } else {
        draft->header.exec_height--;
    }
}

/* The child of a block that was certified long ago, without what would allow it. */
static bool stale_qc(struct world *world, struct draft *draft)
{
    if (world->chain_count < 2 || draft->justify.kind != 0) return false;
    const struct known *known = &world->chain[sim_below(world, world->chain_count)];
    if (known->qc.qc.epoch != draft->header.epoch ||
        known->qc.qc.round >= draft->header.parent_round) {
        return false;
    }
    qc_keep(&draft->qc, &known->qc.qc);
    draft->justify.qc = draft->qc.qc;
    draft->header.parent_round = draft->qc.qc.round;
    draft->header.height = draft->qc.qc.height + 1;
    memcpy(draft->header.parent_id, draft->qc.qc.block_id, HASH_BYTES);
    if (sim_chance(world, 300)) draft->justify.has_tc = false;
    return true;
}

static void mutate(struct world *world, struct draft *draft)
{
    struct header *header = &draft->header;
    switch (sim_below(world, 6)) {
    case 0: header->epoch += 1 + sim_below(world, 2); break;
    case 1: header->round += sim_below(world, 100); break;
    case 2: header->proposer ^= 1; break;
    case 3: draft->justify.kind ^= 1; break;
    case 4: draft->justify.has_tc = false; break;
    default: header->height += sim_below(world, 50); break;
    }
}

/* ---- the tricks ---- */

static bool change(struct world *world, uint32_t at, enum sim_fault trick, struct draft *draft)
{
    switch (trick) {
    case FAULT_TWO_BLOCKS: draft->header.time_us++; return true;
    case FAULT_BAD_BODY: bad_body(world, draft); return true;
    case FAULT_BAD_COMMANDS: bad_commands(world, draft); return true;
    case FAULT_WRONG_ROOT: wrong_root(world, draft); return true;
    case FAULT_WRONG_TIME: wrong_time(world, at, draft); return true;
    case FAULT_WRONG_PARENT: wrong_parent(world, draft); return true;
    case FAULT_WRONG_FLAGS: wrong_flags(world, draft); return true;
    case FAULT_STALE_QC: return stale_qc(world, draft);
    case FAULT_MUTANT: mutate(world, draft); return true;
    case FAULT_FAKE_QC:
        if (!draft->justify.has_qc) return false;
        fake_qc(world, at, &draft->qc, &draft->justify.qc);
        return true;
    case FAULT_FAKE_TC:
        if (!draft->justify.has_tc) return false;
        fake_tc(world, at, &draft->tc, &draft->justify.tc);
        return true;
    default: return false;
    }
}

struct packet *forge_block(struct world *world, uint32_t at, enum sim_fault trick,
                           const struct packet *packet)
{
    struct draft *draft = sim_checked(calloc(1, sizeof *draft));
    struct packet *forged = NULL;
    if (draft_open(packet, draft) && change(world, at, trick, draft))
        forged = draft_packet(world, at, draft);
    free(draft);
    return forged;
}

/* Somebody else's proposal as one's own, or under his name. */
struct packet *forge_out_of_turn(struct world *world, uint32_t at, const struct packet *proposal)
{
    struct draft *draft = sim_checked(calloc(1, sizeof *draft));
    struct packet *forged = NULL;
    const struct replica_config *config = &world->machines[at].config;
    int own = validator_set_find(&config->epoch.set, config->key);
    if (draft_open(proposal, draft) && own >= 0) {
        if (sim_chance(world, 500)) draft->header.proposer = (uint16_t)own;
        draft->header.time_us++;
        forged = draft_packet(world, at, draft);
    }
    free(draft);
    return forged;
}
