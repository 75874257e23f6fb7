/* tests/sim/world_internal.h - the state of a simulated cluster, shared by its sources only. */
#ifndef CAIRN_TESTS_SIM_WORLD_INTERNAL_H
#define CAIRN_TESTS_SIM_WORLD_INTERNAL_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/world.h"

enum event_kind {
    EVENT_MESSAGE,
    EVENT_TIMER,
    EVENT_DURABLE,
    EVENT_SIGNED,
    EVENT_EXECUTED,
    EVENT_VERIFIED,
    EVENT_CHECKED,
    EVENT_BODY,
    EVENT_CHAIN_SYNC,
    EVENT_RESTART,
    EVENT_FAULT,
    EVENT_COMMAND
};

struct event {
    uint64_t time_us, sequence;
    enum event_kind kind;
    uint32_t machine, peer;
    uint64_t incarnation; /* of the machine it is for; 0: any */
    uint64_t number;      /* lsn, id, height, body bytes */
    bool good;
    uint8_t id[HASH_BYTES];
    uint8_t signature[64];
    struct packet *packet; /* EVENT_MESSAGE, counted */
};

struct packet {
    uint32_t references;
    size_t count;
    uint8_t bytes[];
};

struct record {
    uint64_t lsn;
    uint16_t type;
    uint8_t *bytes; /* owned */
    size_t count;
};

/* A committed block as a machine's chain log has it. */
struct stored {
    const struct known *block;
};

/* A committed block, once for the whole world. */
struct known {
    uint8_t id[HASH_BYTES];
    uint8_t root[HASH_BYTES]; /* of the state after it */
    uint8_t *bytes;           /* owned */
    size_t count;
    uint64_t epoch; /* of the block */
    uint64_t time_us;
    bool end;           /* the last of its epoch */
    bool epoch_over;    /* the state after it says so */
    struct qc_store qc; /* one that commits it */
};

enum misbehaviour { HONEST, TWIN, TRICKSTER };

struct machine {
    struct replica *replica; /* NULL: down */
    struct replica_config config;
    uint32_t key; /* index of its key */
    enum misbehaviour kind;
    uint64_t tricks; /* TRICKSTER: bit of each */
    bool mute;   /* TRICKSTER: says nothing after the faults have ended; else it is honest then */
    bool forged; /* it has signed what no honest validator signs */
    uint64_t slow_until_us;
    uint64_t incarnation, started_us, paused_until_us;
    int64_t skew_us;
    uint64_t timer_sequence; /* of the newest timer */
    uint64_t body_sequence;  /* of the newest request for a body */
    uint64_t executing;      /* heights whose execution is under way, up to here */
    uint64_t executed;
    /* The disk. */
    struct record *records;
    size_t record_count, durable_count, record_room;
    uint64_t checkpoint_lsn, syncing_lsn;
    uint64_t chain_count, chain_durable; /* heights */
    uint64_t *block_lsn;                 /* by height - 1: its BLOCK record, 0: none */
    size_t block_room;
    uint64_t commands;
};

/* Who hears what in the first rounds of the first epoch (Twins, Bano et al., with kinds of messages apart). */
#define SCHEDULE_ROUNDS   12
#define SCHEDULE_MACHINES 16
enum traffic { TRAFFIC_PROPOSALS, TRAFFIC_VOTES, TRAFFIC_TIMEOUTS, TRAFFIC_OTHERS, TRAFFIC_KINDS };
struct schedule {
    uint64_t rounds;                                                   /* 0: none */
    uint16_t reach[SCHEDULE_ROUNDS][TRAFFIC_KINDS][SCHEDULE_MACHINES]; /* by sender: receivers */
};

#define HEARD_MAX 64

/* Rounds since the last commit, once all faults have ended. */
struct progress {
    uint64_t epoch, round; /* the highest that an honest machine is in */
    uint64_t from_round;   /* that was so at the last commit */
    uint64_t bound;        /* of this epoch; 0: not worked out yet */
    uint64_t chain_count;
};

struct world {
    struct sim_options options;
    struct sim_report *report;
    uint64_t random;
    uint64_t now_us, sequence;
    struct event *heap;
    size_t heap_count, heap_room;
    struct machine machines[SIM_MACHINES_MAX];
    uint32_t machine_count;
    uint8_t secret[SIM_MACHINES_MAX][64], key[SIM_MACHINES_MAX][32];
    uint32_t key_count;
    bool blocked[SIM_MACHINES_MAX][SIM_MACHINES_MAX]; /* from, to */
    uint64_t heal_us;                                 /* when the present partition ends */
    bool stable;                                      /* after GST: no faults any more */
    uint64_t trouble_us; /* until then something that a fault held up may still come */
    uint64_t base_latency_us, regroup_us;
    struct schedule schedule;
    struct packet *heard[HEARD_MAX]; /* some of what was sent, for replays */
    uint64_t tricks_sent;            /* messages that tricksters sent: salt of their choices */
    uint32_t restored;         /* the machine whose chain log may be replaced by an older copy */
    size_t checkpoint_records; /* a journal with so many wants a checkpoint */
    uint64_t chain_sync_us;    /* how long a chain log may go without a sync */
    struct known *chain;       /* by height - 1 */
    uint64_t chain_count, chain_room;
    struct chain_epoch **epochs; /* by number, NULL: not made yet */
    uint64_t epoch_room;
    struct judge *judge;
    struct progress progress;
    struct hash_state digest;
    struct replica_outputs outputs;
    uint8_t genesis_id[HASH_BYTES], genesis_root[HASH_BYTES];
    uint64_t commands_sent;
};

/* ---- random ---- */
uint64_t sim_random(struct world *world);
uint64_t sim_below(struct world *world, uint64_t bound);
bool sim_chance(struct world *world, unsigned permille);

/* ---- events.c ---- */
void events_push(struct world *world, struct event event, uint64_t delay_us);
bool events_pop(struct world *world, struct event *event);
/* events_take takes any event out of the queue. */
void events_take(struct world *world, size_t at, struct event *event);
struct packet *packet_make(struct bytes bytes);
void packet_drop(struct packet *packet);

/* ---- crypto ---- */
void sim_sign(struct world *world, uint32_t key, struct bytes message, uint8_t signature[64]);
bool sim_verify(struct world *world, const uint8_t key[32], struct bytes message,
                const uint8_t signature[64]);

/* ---- machine.c ---- */
void machine_input(struct world *world, uint32_t at, struct replica_input *input);
void machine_event(struct world *world, const struct event *event);
void machine_handle(struct world *world, uint32_t at, const struct replica_output *output);
bool machine_is_honest(const struct machine *machine);
bool command_is_valid(struct bytes command);

/* ---- disk.c ---- */
void disk_append(struct world *world, uint32_t at, const struct replica_output *output);
void disk_sync(struct world *world, uint32_t at);
void disk_durable(struct world *world, uint32_t at, uint64_t lsn);
void disk_commit(struct world *world, uint32_t at, const struct replica_output *output);
void disk_execute(struct world *world, uint32_t at);
void disk_executed(struct world *world, uint32_t at, uint64_t height);
void machine_start(struct world *world, uint32_t at);
void machine_crash(struct world *world, uint32_t at);
const struct known *known_at(const struct world *world, uint64_t height);

/* ---- network.c ---- */
void network_send(struct world *world, uint32_t from, uint32_t peer, struct bytes bytes);
void network_serve(struct world *world, uint32_t at, const struct replica_output *output);
/* network_transmit: the network has the message; it may lose it. Borrows the packet. */
void network_transmit(struct world *world, uint32_t from, uint32_t to, struct packet *packet,
                      uint64_t delay_us);

/* ---- byzantine.c, byzantine_block.c ---- */
void byzantine_send(struct world *world, uint32_t at, uint32_t to, struct packet *packet);
/* Each answers a new packet, or NULL: it does not fit this message. */
struct packet *forge_block(struct world *world, uint32_t at, enum sim_fault trick,
                           const struct packet *packet);
struct packet *forge_out_of_turn(struct world *world, uint32_t at, const struct packet *proposal);
/* fake_qc changes a certificate into one that proves nothing. */
void fake_qc(struct world *world, uint32_t at, struct qc_store *store, struct qc *qc);
void fake_tc(struct world *world, uint32_t at, struct tc_store *store, struct tc *tc);

/* ---- schedule.c ---- */
void schedule_draw(struct world *world);
bool schedule_cuts(struct world *world, uint32_t from, uint32_t to, const struct packet *packet);
uint64_t message_round(const struct packet *packet, uint64_t *epoch); /* 0: of none */

/* ---- world.c ---- */
/* world_open: all machines have started. */
struct world *world_open(const struct sim_options *options, struct sim_report *report);
void world_close(struct world *world);
const struct chain_epoch *sim_epoch_at(struct world *world, uint64_t number);
void *sim_checked(void *memory);

/* ---- faults.c ---- */
/* fault_strikes: a fault that was drawn does happen, unless the options leave it out. Counts it. */
bool fault_strikes(struct world *world, enum sim_fault fault);
/* fault_chance draws a fault of a time with faults. */
bool fault_chance(struct world *world, enum sim_fault fault, unsigned permille);
/* fault_delay draws how long something is held up. */
uint64_t fault_delay(struct world *world, uint64_t least_us, uint64_t range_us);
void faults_begin(struct world *world);
void faults_event(struct world *world);
void faults_heal(struct world *world);

/* ---- judge.c ---- */
struct judge *judge_open(void);
void judge_close(struct judge *judge);
void judge_fail(struct world *world, const char *what, const char *detail);
void judge_signature(struct world *world, uint32_t at, struct bytes message);
void judge_commit(struct world *world, uint32_t at, const struct replica_output *output);
void judge_evidence(struct world *world, uint32_t at, struct bytes bytes);
void judge_step(struct world *world, uint32_t at);

/* ---- progress.c ---- */
/* progress_step: after all faults there is a commit within a bounded number of rounds (L1). */
void progress_step(struct world *world, uint32_t at, const struct replica_view *view);

#endif
