#include "replica/peers_internal.h"

/* ---- sockets that were accepted ------------------------------------------------------------- */

static bool greets(const struct connection *connection)
{
    return connection->inbound && connection->state == CONNECTION_GREETS;
}

static bool same_group(const struct connection *a, const struct connection *b)
{
    uint8_t first[16], second[16];
    book_group(a->endpoint.ip, first);
    book_group(b->endpoint.ip, second);
    return memcmp(first, second, sizeof first) == 0;
}

/* Of those who greet, one of the group that has most of them leaves, the oldest: whoever is honest needs a
 * round trip and a half, and an attacker has to be faster than that from many networks. */
static void make_room_to_greet(struct peers *peers)
{
    struct connection *victim = NULL;
    unsigned victim_group = 0, all = 0;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *one = &peers->connection[i];
        if (!greets(one)) continue;
        unsigned group = 0;
        for (size_t j = 0; j < CONNECTIONS_MAX; j++) {
            const struct connection *other = &peers->connection[j];
            group += greets(other) && same_group(one, other);
        }
        all++;
        bool older = victim != NULL && group == victim_group && one->serial < victim->serial;
        if (victim == NULL || group > victim_group || older) {
            victim = one;
            victim_group = group;
        }
    }
    if (all >= HALF_OPEN_MAX) connection_end(victim, STATUS_FULL, "too many greet at once");
}

/* At most per_address_max of one address greet; the oldest leaves. */
static void make_room_of_address(struct peers *peers, const uint8_t ip[16])
{
    struct connection *oldest = NULL;
    unsigned count = 0;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *one = &peers->connection[i];
        if (!greets(one) || memcmp(one->endpoint.ip, ip, 16) != 0) continue;
        count++;
        if (oldest == NULL || one->serial < oldest->serial) oldest = one;
    }
    if (count >= peers->options.per_address_max && oldest != NULL) {
        connection_end(oldest, STATUS_FULL, "too many of one address greet");
    }
}

/* Each one that comes costs its address a point; so nobody comes more often than once a second for long. */
static bool may_come(struct peers *peers, const struct io_endpoint *endpoint)
{
    uint8_t subject[SCORE_SUBJECT_BYTES];
    if (dial_is_target_ip(peers, endpoint->ip)) return true;
    score_subject_of_ip(endpoint->ip, subject);
    if (!score_may_try(&peers->scores, subject, peers->now_us)) return false;
    if (score_add(&peers->scores, subject, POINTS_COME, peers->now_us) >= SCORE_BOUND) {
        score_refuse(&peers->scores, subject, peers->now_us);
        if (peers_may_trace(peers, TRACE_WARN)) {
            char address[IO_ENDPOINT_TEXT_BYTES];
            io_endpoint_text(endpoint, address);
            TRACE(WARN, "replica", "peers", "an address connects too often",
                  trace_string("address", address));
        }
        return false;
    }
    return true;
}

void admit_accepted(struct peers *peers, int file)
{
    struct io_endpoint endpoint;
    struct connection *connection = NULL;
    if (io_socket_peer(file, &endpoint) == STATUS_OK && may_come(peers, &endpoint)) {
        make_room_of_address(peers, endpoint.ip);
        make_room_to_greet(peers);
        connection = connection_new(peers, &endpoint, true, NULL);
    }
    if (connection != NULL)
        connection_greet(connection, file);
    else
        io_release(peers->options.io, file);
}

/* ---- who is up ------------------------------------------------------------------------------ */

struct connection *admit_find(struct peers *peers, const uint8_t key[32])
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *one = &peers->connection[i];
        if (one->state == CONNECTION_UP && memcmp(link_peer_key(one->link), key, 32) == 0) {
            return one;
        }
    }
    return NULL;
}

bool admit_is_validator(const struct connection *connection)
{
    const struct peers_options *options = &connection->peers->options;
    if (options->is_validator == NULL || !link_ready(connection->link)) return false;
    const uint8_t *key = link_peer_consensus_key(connection->link);
    return key != NULL && options->is_validator(options->context, key);
}

/* The configuration may say who this is; the key that it lacked is learnt. */
static void recognize(struct connection *connection)
{
    struct peers *peers = connection->peers;
    const uint8_t *key = link_peer_key(connection->link);
    struct target *own = connection->target;
    if (own != NULL && !own->key_given) {
        own->has_key = true;
        memcpy(own->key, key, sizeof own->key);
    }
    for (size_t i = 0; i < peers->target_count; i++) {
        const struct target *target = &peers->target[i];
        connection->persistent |=
            target->persistent && target->has_key && memcmp(target->key, key, 32) == 0;
    }
}

static bool is_refused(struct connection *connection)
{
    struct peers *peers = connection->peers;
    uint8_t subject[SCORE_SUBJECT_BYTES];
    score_subject_of_ip(connection->endpoint.ip, subject);
    return score_is_refused(&peers->scores, subject, peers->now_us) ||
           score_is_refused(&peers->scores, link_peer_key(connection->link), peers->now_us);
}

/* true: the new connection stays, and an old one to the same node is over. Whoever dials has no connection to
 * that node, as far as he knows; if he has, he ends the new one before the other end accepts it. So a second
 * one that was accepted means that both dialled at once, or that the old one is dead at the other end. */
static bool survives_its_twin(struct connection *connection)
{
    struct peers *peers = connection->peers;
    const uint8_t *key = link_peer_key(connection->link);
    struct connection *old = admit_find(peers, key);
    if (old == NULL) return true;
    bool at_once = !old->inbound && peers->now_us < old->up_since_us + GREET_US;
    bool old_stays = at_once && memcmp(peers->key, key, 32) < 0;
    if (!connection->inbound || old_stays) {
        old->persistent |= connection->persistent;
        connection_end(connection, STATUS_EXISTS, "connected already");
        /* The link may be gone with the connection: the key is that of the old one. */
        if (!connection->inbound) {
            book_answer(&peers->book, &connection->endpoint, link_peer_key(old->link));
        }
        return false;
    }
    connection_end(old, STATUS_EXISTS, "the peer has connected anew");
    return true;
}

struct places {
    unsigned up, inbound, of_address;
    struct connection *newest; /* inbound, neither validator nor persistent */
};

static struct places count_places(struct peers *peers, const uint8_t ip[16])
{
    struct places places = {0};
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *one = &peers->connection[i];
        if (one->state != CONNECTION_UP) continue;
        places.up++;
        if (!one->inbound) continue;
        places.inbound++;
        if (admit_has_rank(one)) continue;
        places.of_address += memcmp(one->endpoint.ip, ip, 16) == 0;
        if (places.newest == NULL || one->serial > places.newest->serial) places.newest = one;
    }
    return places;
}

static bool gets_place(struct connection *connection)
{
    struct peers *peers = connection->peers;
    struct places places = count_places(peers, connection->endpoint.ip);
    bool ranks = admit_has_rank(connection);
    bool full = places.up >= NET_PEERS_MAX ||
                (connection->inbound && places.inbound >= peers->options.max_inbound);
    if (!ranks && connection->inbound && places.of_address >= peers->options.per_address_max) {
        return false;
    }
    if (!full) return true;
    if (ranks && places.newest != NULL) {
        connection_end(places.newest, STATUS_FULL, "its place is needed");
        return true;
    }
    return ranks && places.up < NET_PEERS_MAX;
}

static void trace_up(struct connection *connection)
{
    enum trace_level level = admit_has_rank(connection) ? TRACE_INFO : TRACE_DEBUG;
    if (!peers_may_trace(connection->peers, level)) return;
    char address[IO_ENDPOINT_TEXT_BYTES];
    io_endpoint_text(&connection->endpoint, address);
    trace_event(level, "replica", "peers", "a peer is connected",
                trace_hex("key", link_peer_key(connection->link), 32),
                trace_string("address", address), trace_u64("inbound", connection->inbound),
                trace_u64("validator", admit_is_validator(connection)), trace_end());
}

void admit_greeted(struct connection *connection)
{
    struct peers *peers = connection->peers;
    recognize(connection);
    if (!survives_its_twin(connection)) return;
    if (!admit_has_rank(connection) && is_refused(connection)) {
        connection_end(connection, STATUS_PERMISSION, "refused for a while");
        return;
    }
    if (!gets_place(connection)) {
        connection_end(connection, STATUS_FULL, "no place");
        return;
    }
    connection->state = CONNECTION_UP;
    connection->up_since_us = peers->now_us;
    peers->news++;
    peers->stale = true;
    trace_up(connection);
    if (!connection->inbound) {
        book_answer(&peers->book, &connection->endpoint, link_peer_key(connection->link));
        address_introduce(connection);
        address_ask(connection);
    }
    connection_send(connection);
}
