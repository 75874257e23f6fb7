#include "replica/peers_internal.h"

#define PAUSE_MIN_US  (SECOND_US / 4)
#define PAUSE_MAX_US  (10 * SECOND_US)
#define STABLE_US     (10 * SECOND_US) /* a connection that lasted so long was a good one */
#define DIAL_EVERY_US (SECOND_US / 4)  /* of the book */
#define LOOK_EVERY_US SECOND_US        /* when the book has nobody to dial */
#define SEED_PAUSE_US (30 * SECOND_US)
#define ASK_EVERY_US  (90 * SECOND_US) /* peers answer once a minute */
/* Of two that know each other the lower key dials first: its connection would stay anyway. */
#define YIELD_US (SECOND_US * 3 / 10)

/* Between three quarters and five quarters, so that nodes that stopped together do not dial together. */
static uint64_t jittered(struct peers *peers, uint64_t span_us)
{
    return span_us - span_us / 4 + random_next(&peers->random) % (span_us / 2);
}

bool dial_is_target_ip(const struct peers *peers, const uint8_t ip[16])
{
    for (size_t i = 0; i < peers->target_count; i++) {
        const struct target *target = &peers->target[i];
        if (target->persistent && memcmp(target->endpoint.ip, ip, 16) == 0) return true;
    }
    return false;
}

void dial_ended(struct connection *connection, bool was_up)
{
    struct peers *peers = connection->peers;
    struct target *target = connection->target;
    bool lasted = was_up && peers->now_us >= connection->up_since_us + STABLE_US;
    if (!was_up) book_fail(&peers->book, &connection->endpoint, peers->now_us);
    if (target == NULL) return;
    target->connection = NULL;
    uint64_t pause = lasted ? PAUSE_MIN_US : target->pause_us * 2;
    if (pause > PAUSE_MAX_US) pause = PAUSE_MAX_US;
    target->pause_us = pause;
    if (!target->persistent && pause < SEED_PAUSE_US) pause = SEED_PAUSE_US;
    target->due_us = peers->now_us + jittered(peers, pause);
}

static uint64_t due_of(const struct peers *peers, const struct target *target)
{
    bool yields = target->has_key && memcmp(peers->key, target->key, sizeof peers->key) > 0;
    uint64_t due = target->due_us > peers->started_us ? target->due_us : peers->started_us;
    return due + (yields ? YIELD_US : 0);
}

static bool is_served(struct peers *peers, const struct target *target)
{
    if (target->self || target->connection != NULL) return true;
    return target->has_key && admit_find(peers, target->key) != NULL;
}

static unsigned count_dials(const struct peers *peers)
{
    unsigned count = 0;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *one = &peers->connection[i];
        count +=
            !one->inbound && (one->state == CONNECTION_DIALS || one->state == CONNECTION_GREETS);
    }
    return count;
}

static void dial(struct peers *peers, const struct io_endpoint *endpoint, struct target *target)
{
    if (count_dials(peers) >= DIALS_MAX) return;
    struct connection *connection = connection_new(peers, endpoint, false, target);
    if (connection == NULL) return;
    if (target != NULL) target->connection = connection;
    connection_dial(connection);
}

static void dial_targets(struct peers *peers, bool persistent)
{
    for (size_t i = 0; i < peers->target_count; i++) {
        struct target *target = &peers->target[i];
        if (target->persistent != persistent || due_of(peers, target) > peers->now_us) continue;
        if (!is_served(peers, target)) dial(peers, &target->endpoint, target);
    }
}

/* ---- of the book ---------------------------------------------------------------------------- */

struct wanted {
    struct peers *peers;
    bool other_group; /* than those that we are connected to by choice */
};

static bool is_taken(const struct connection *one, const struct book_entry *entry, bool other_group)
{
    uint8_t own[16], group[16];
    if (one->state == CONNECTION_FREE || one->state == CONNECTION_ENDS) return false;
    if (!one->inbound && io_endpoint_is(&one->endpoint, &entry->endpoint)) return true;
    if (!other_group || !connection_is_outbound_choice(one)) return false;
    book_group(one->endpoint.ip, own);
    book_group(entry->endpoint.ip, group);
    return memcmp(own, group, sizeof own) == 0;
}

static bool is_usable(void *context, const struct book_entry *entry)
{
    const struct wanted *wanted = context;
    struct peers *peers = wanted->peers;
    uint8_t subject[SCORE_SUBJECT_BYTES];
    if (entry->has_key && admit_find(peers, entry->key) != NULL) return false;
    score_subject_of_ip(entry->endpoint.ip, subject);
    if (score_is_refused(&peers->scores, subject, peers->now_us)) return false;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (is_taken(&peers->connection[i], entry, wanted->other_group)) return false;
    }
    return true;
}

static bool wants_more(const struct peers *peers)
{
    unsigned chosen = 0;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        chosen += connection_is_outbound_choice(&peers->connection[i]);
    }
    return chosen < peers->options.max_outbound;
}

/* Another network first: one of them must not hold all that we chose. */
static void dial_book(struct peers *peers)
{
    struct wanted wanted = {.peers = peers, .other_group = true};
    const struct book_entry *entry = book_pick(&peers->book, peers->now_us, is_usable, &wanted);
    if (entry == NULL) {
        wanted.other_group = false;
        entry = book_pick(&peers->book, peers->now_us, is_usable, &wanted);
    }
    peers->dial_due_us = peers->now_us + jittered(peers, entry ? DIAL_EVERY_US : LOOK_EVERY_US);
    if (entry == NULL) {
        dial_targets(peers, false);
    } else {
        struct io_endpoint endpoint = entry->endpoint;
        dial(peers, &endpoint, NULL);
    }
}

static void ask_somebody(struct peers *peers)
{
    struct connection *fit[CONNECTIONS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *one = &peers->connection[i];
        bool rested = peers->now_us >= one->asked_us + ASK_EVERY_US;
        if (one->state == CONNECTION_UP && !one->inbound && rested) fit[count++] = one;
    }
    peers->ask_due_us = peers->now_us + jittered(peers, ASK_EVERY_US);
    if (count > 0) address_ask(fit[random_next(&peers->random) % count]);
}

void dial_due(struct peers *peers)
{
    dial_targets(peers, true);
    if (!wants_more(peers)) return;
    if (peers->now_us >= peers->dial_due_us) dial_book(peers);
    if (peers->now_us >= peers->ask_due_us) ask_somebody(peers);
}

uint64_t dial_next_us(struct peers *peers)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < peers->target_count; i++) {
        const struct target *target = &peers->target[i];
        if (!target->persistent || is_served(peers, target)) continue;
        if (due_of(peers, target) < next) next = due_of(peers, target);
    }
    if (wants_more(peers)) {
        if (peers->dial_due_us < next) next = peers->dial_due_us;
        if (peers->ask_due_us < next) next = peers->ask_due_us;
    }
    return next;
}
