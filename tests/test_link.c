/* Two links back to back: what goes in comes out, in order and in urgency, whatever the cuts; and nothing
 * else ever does. */
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/signature.h"
#include "tests/support_cmocka.h"
#include "tests/support_link.h"
#include "tests/support_memory.h"
#include "tests/support_random.h"

#define CHAIN 5

struct pair {
    struct link_node node[2];
    struct link *link[2]; /* 0 dials */
};

static void pair_open(struct pair *pair, const struct link_options *dials,
                      const struct link_options *listens)
{
    struct link_options options[2];
    for (int i = 0; i < 2; i++) {
        const struct link_options *given = i == 0 ? dials : listens;
        link_node_init(&pair->node[i], (uint8_t)(i + 1));
        options[i] = link_options_of(&pair->node[i], CHAIN, i == 0);
        if (given) {
            options[i] = *given;
            options[i].secret_key = pair->node[i].secret;
        }
        assert_int_equal(link_open(&pair->link[i], &options[i]), STATUS_OK);
    }
}

static void pair_ready(struct pair *pair)
{
    pair_open(pair, NULL, NULL);
    assert_int_equal(link_introduce(pair->link[0], pair->link[1]), STATUS_OK);
    assert_true(link_ready(pair->link[0]) && link_ready(pair->link[1]));
}

static void pair_close(struct pair *pair)
{
    link_close(pair->link[0]);
    link_close(pair->link[1]);
}

/* Message: urgency u8 | number u32 | bytes that follow from both. */
static struct bytes message_make(unsigned urgency, uint32_t number, size_t count)
{
    static uint8_t bytes[17 << 20];
    assert_true(count >= 5 && count <= sizeof bytes);
    bytes[0] = (uint8_t)urgency;
    store_u32(bytes + 1, number);
    for (size_t i = 5; i < count; i++) {
        bytes[i] = (uint8_t)(i * 167 + (i >> 8) * 31 + number * 7 + urgency);
    }
    return (struct bytes){bytes, count};
}

static void queue_message(struct link *link, unsigned urgency, uint32_t number, size_t count)
{
    struct parcel *parcel = parcel_make(message_make(urgency, number, count));
    assert_non_null(parcel);
    link_queue(link, urgency, parcel);
    parcel_drop(parcel);
}

struct mailbox {
    uint32_t next[NET_URGENCIES]; /* the number that must come now */
    size_t bytes[NET_URGENCIES], count;
    unsigned last; /* urgency of the newest */
};

static void mailbox_take(struct mailbox *box, struct bytes message)
{
    assert_true(message.count >= 5 && message.at[0] < NET_URGENCIES);
    unsigned urgency = message.at[0];
    uint32_t number = load_u32(message.at + 1);
    assert_int_equal(number, box->next[urgency]);
    struct bytes expected = message_make(urgency, number, message.count);
    assert_memory_equal(message.at, expected.at, message.count);
    box->next[urgency]++;
    box->bytes[urgency] += message.count;
    box->last = urgency;
    box->count++;
}

/* deliver brings the bytes in cuts of at most `cut`, each in memory of its own. The first failure ends it. */
static enum status deliver(struct link *link, const uint8_t *bytes, size_t count, size_t cut,
                           struct mailbox *box)
{
    while (count > 0) {
        size_t piece = cut == 1 ? 1 : 1 + pick((uint32_t)cut), used;
        if (piece > count) piece = count;
        uint8_t *copy = malloc(piece);
        assert_non_null(copy);
        memcpy(copy, bytes, piece);
        enum status status = link_receive(link, copy, piece, &used);
        free(copy);
        assert_true(used <= piece);
        if (status != STATUS_OK) return status;
        struct bytes message;
        if (link_take(link, &message)) {
            assert_non_null(box);
            mailbox_take(box, message);
        } else {
            assert_int_equal(used, piece);
        }
        bytes += used;
        count -= used;
    }
    return STATUS_OK;
}

/* ---- handshake ---- */

static void handshake_tells_each_side_who_the_other_is(void **state)
{
    (void)state;
    for (unsigned claims = 0; claims < 4; claims++) {
        struct pair pair;
        struct link_node node[2];
        struct link_options options[2];
        for (int i = 0; i < 2; i++) {
            link_node_init(&node[i], (uint8_t)(i + 1));
            options[i] = link_options_of(&node[i], CHAIN, i == 0);
            if (claims >> i & 1) options[i].claim = link_claim_make(&node[i], CHAIN);
        }
        options[0].peer_is_known = true;
        memcpy(options[0].peer_key, node[1].secret + 32, 32);
        pair_open(&pair, &options[0], &options[1]);
        assert_int_equal(link_introduce(pair.link[0], pair.link[1]), STATUS_OK);
        for (int i = 0; i < 2; i++) {
            const struct link_node *peer = &node[1 - i];
            assert_true(link_ready(pair.link[i]));
            assert_memory_equal(link_peer_key(pair.link[i]), peer->secret + 32, 32);
            const uint8_t *claimed = link_peer_consensus_key(pair.link[i]);
            assert_true((claimed != NULL) == (claims >> (1 - i) & 1));
            if (claimed) assert_memory_equal(claimed, peer->consensus_secret + 32, 32);
        }
        pair_close(&pair);
    }
}

static void messages_come_whole_and_in_order_in_every_cut(void **state)
{
    (void)state;
    const size_t CUTS[] = {1, 2, 20, 700, 16384, 40000, 200000};
    for (size_t c = 0; c < sizeof CUTS / sizeof CUTS[0]; c++) {
        struct pair pair;
        struct mailbox box[2] = {0};
        uint32_t next[2][NET_URGENCIES] = {0};
        seed = 77 + c;
        pair_open(&pair, NULL, NULL);
        for (int turn = 0; turn < 60; turn++) {
            int from = turn & 1;
            struct link_wire wire = {0};
            link_drain(pair.link[from], &wire);
            assert_int_equal(
                deliver(pair.link[1 - from], wire.at, wire.count, CUTS[c], &box[1 - from]),
                STATUS_OK);
            link_wire_free(&wire);
            for (int i = 0; i < 8 && turn > 2; i++) {
                unsigned u = pick(NET_URGENCIES);
                size_t most = u == NET_VOTES ? 4096 : pick(8) == 0 ? 60000 : 300;
                queue_message(pair.link[from], u, next[from][u]++, 5 + pick((uint32_t)most - 5));
            }
        }
        for (int side = 0; side < 2; side++) {
            struct link_wire wire = {0};
            link_drain(pair.link[side], &wire);
            assert_int_equal(
                deliver(pair.link[1 - side], wire.at, wire.count, CUTS[c], &box[1 - side]),
                STATUS_OK);
            link_wire_free(&wire);
        }
        for (int side = 0; side < 2; side++) {
            assert_memory_equal(box[1 - side].next, next[side], sizeof next[side]);
        }
        pair_close(&pair);
    }
}

/* ---- urgency ---- */

static void a_vote_is_the_next_frame_while_a_block_is_being_sent(void **state)
{
    (void)state;
    struct pair pair;
    struct mailbox box = {0};
    static uint8_t out[LINK_FRAME_BYTES];
    size_t count;
    pair_ready(&pair);
    queue_message(pair.link[0], NET_BLOCKS, 0, 1 << 20);
    for (uint32_t i = 0; i < 40; i++) {
        link_next(pair.link[0], out, sizeof out, &count);
        assert_int_equal(count, LINK_FRAME_BYTES);
        assert_int_equal(deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
        queue_message(pair.link[0], NET_VOTES, i, 200);
        link_next(pair.link[0], out, 16384, &count);
        assert_int_equal(count, 220); /* the block's next frame does not fit behind it */
        assert_int_equal(deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
        assert_int_equal(box.next[NET_VOTES], i + 1);
        assert_int_equal(box.next[NET_BLOCKS], 0);
    }
    pair_close(&pair);
}

int main(void)
{
    if (hash_init() != STATUS_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_tells_each_side_who_the_other_is),
        cmocka_unit_test(messages_come_whole_and_in_order_in_every_cut),
        cmocka_unit_test(a_vote_is_the_next_frame_while_a_block_is_being_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
