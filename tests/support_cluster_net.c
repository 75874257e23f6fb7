/* The network of a simulated cluster: packets in a heap by the time at which they arrive. */
#include "tests/support_cluster_internal.h"

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void heap_push(struct cluster *cluster, struct packet packet)
{
    cluster->packets = cluster_grow(cluster->packets, &cluster->packet_capacity,
                                    cluster->packet_count + 1, sizeof packet);
    size_t at = cluster->packet_count++;
    while (at > 0 && is_before(&packet, &cluster->packets[(at - 1) / 2])) {
        cluster->packets[at] = cluster->packets[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    cluster->packets[at] = packet;
}

static struct packet heap_pop(struct cluster *cluster)
{
    struct packet top = cluster->packets[0], last = cluster->packets[--cluster->packet_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= cluster->packet_count) break;
        if (child + 1 < cluster->packet_count &&
            is_before(&cluster->packets[child + 1], &cluster->packets[child]))
            child++;
        if (!is_before(&cluster->packets[child], &last)) break;
        cluster->packets[at] = cluster->packets[child];
        at = child;
    }
    cluster->packets[at] = last;
    return top;
}

static bool happens(struct cluster *cluster, uint32_t ppm)
{
    return ppm > 0 && cluster_draw(cluster, 1000000) < ppm;
}

static uint8_t *copy_of(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.count ? bytes.count : 1);
    assert_non_null(copy);
    if (bytes.count > 0) memcpy(copy, bytes.at, bytes.count);
    return copy;
}

void cluster_post(struct cluster *cluster, enum net_event_kind kind, uint32_t from, uint32_t to,
                  struct bytes bytes)
{
    const struct cluster_options *o = &cluster->options;
    struct packet packet = {.kind = kind,
                            .from = from,
                            .to = to,
                            .life = cluster->machines[to].life,
                            .order = cluster->next_order++,
                            .due_us =
                                sn_now_us() + o->delay_us + cluster_draw(cluster, o->jitter_us + 1),
                            .count = bytes.count};
    if (kind != NET_MESSAGE) {
        packet.due_us = sn_now_us();
        heap_push(cluster, packet);
        return;
    }
    cluster->counts.messages++;
    cluster->counts.cut += cluster->cut[from][to];
    if (cluster->cut[from][to]) return;
    if (happens(cluster, o->loss_ppm)) {
        cluster->counts.lost++;
        return;
    }
    packet.bytes = copy_of(bytes);
    if (cluster->see && !cluster->see(cluster->see_context, from, to, packet.bytes, packet.count)) {
        free(packet.bytes);
        return;
    }
    if (bytes.count > 0 && happens(cluster, cluster->machines[from].corrupt_ppm)) {
        packet.bytes[cluster_draw(cluster, bytes.count)] ^=
            (uint8_t)(1 + cluster_draw(cluster, 255));
        cluster->counts.corrupted++;
    }
    heap_push(cluster, packet);
    if (!happens(cluster, o->double_ppm)) return;
    cluster->counts.doubled++;
    packet.bytes = copy_of((struct bytes){packet.bytes, packet.count});
    packet.due_us += cluster_draw(cluster, 4 * o->delay_us + 1);
    packet.order = cluster->next_order++;
    heap_push(cluster, packet);
}

static void net_send(void *self, uint32_t peer, enum net_urgency urgency, struct bytes message)
{
    struct machine *machine = self;
    (void)urgency;
    for (uint32_t to = 0; to < machine->cluster->count; to++) {
        bool wanted = peer == NET_PEER_ALL ? to != machine->at : to == peer;
        if (wanted && machine->cluster->machines[to].up)
            cluster_post(machine->cluster, NET_MESSAGE, machine->at, to, message);
    }
}

static size_t net_room(void *self, uint32_t peer, enum net_urgency urgency)
{
    (void)self;
    (void)peer;
    (void)urgency;
    return 1 << 24;
}

static bool net_take(void *self, struct net_event *event)
{
    struct machine *machine = self;
    free(machine->taken);
    machine->taken = NULL;
    if (machine->inbox_count == 0) return false;
    struct packet packet = machine->inbox[machine->inbox_first++];
    machine->inbox_count--;
    machine->taken = packet.bytes;
    *event =
        (struct net_event){.kind = packet.kind,
                           .peer = packet.from,
                           .is_validator = machine->cluster->machines[packet.from].is_validator,
                           .bytes = {packet.bytes, packet.count}};
    return true;
}

static void net_blame(void *self, uint32_t peer, const char *text)
{
    struct machine *machine = self;
    machine->cluster->counts.blamed++;
    if (machine->cluster->machines[peer].lied) return;
    unsigned kind = machine->taken ? machine->taken[0] : 0; /* of the message at hand */
    fail_msg("node %u blames node %u, which is honest: %s (kind %u)", machine->at, peer, text,
             kind);
}

static enum status net_pump(void *self, uint64_t now_us, uint64_t *next_us)
{
    (void)self;
    (void)now_us;
    *next_us = UINT64_MAX;
    return STATUS_OK;
}

static void net_complete(void *self, struct io_op *op, uint64_t now_us)
{
    (void)self;
    (void)op;
    (void)now_us;
    fail_msg("a socket operation that nobody submitted");
}

static void net_stop(void *self)
{
    (void)self;
}

static bool net_idle(const void *self)
{
    (void)self;
    return true;
}

const struct net_driver CLUSTER_NET = {
    .name = "simulated",
    .send = net_send,
    .room = net_room,
    .take = net_take,
    .blame = net_blame,
    .pump = net_pump,
    .complete = net_complete,
    .stop = net_stop,
    .idle = net_idle,
};

void cluster_deliver(struct cluster *cluster)
{
    struct packet packet = heap_pop(cluster);
    struct machine *machine = &cluster->machines[packet.to];
    if (!machine->up || machine->life != packet.life) {
        free(packet.bytes);
        return;
    }
    if (machine->inbox_count == 0) machine->inbox_first = 0;
    machine->inbox = cluster_grow(machine->inbox, &machine->inbox_capacity,
                                  machine->inbox_first + machine->inbox_count + 1, sizeof packet);
    machine->inbox[machine->inbox_first + machine->inbox_count++] = packet;
    machine->wake_us = sn_now_us();
}

void cluster_drop_packets(struct cluster *cluster)
{
    while (cluster->packet_count > 0) {
        free(heap_pop(cluster).bytes);
    }
    free(cluster->packets);
}
