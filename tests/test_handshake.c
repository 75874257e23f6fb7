/* The handshake of a link: it ends well between two honest nodes of one chain, and in no other way. */
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>

#include "log/signature.h"
#include "replica/handshake.h"
#include "tests/support_cmocka.h"
#include "tests/support_link.h"
#include "tests/support_memory.h"

#define CHAIN 5

static struct link_node node[3];

static struct link *open_link(const struct link_options *options)
{
    struct link *link;
    assert_int_equal(link_open(&link, options), STATUS_OK);
    return link;
}

static struct link_options options_of(int number, bool dials)
{
    return link_options_of(&node[number], CHAIN, dials);
}

/* What the link has to say, at most one message of the handshake. */
static size_t hear(struct link *link, uint8_t out[LINK_FRAME_BYTES])
{
    size_t count;
    link_next(link, out, LINK_FRAME_BYTES, &count);
    assert_true(count <= LINK_HELLO_BYTES_MAX);
    return count;
}

static enum status tell(struct link *link, const uint8_t *bytes, size_t count)
{
    size_t used;
    return link_receive(link, bytes, count, &used);
}

/* A handshake between two links, recorded. */
struct record {
    uint8_t bytes[3][LINK_FRAME_BYTES];
    size_t count[3];
};

static void record_make(struct record *record, const struct link_options *dials,
                        const struct link_options *listens)
{
    struct link *link[2] = {open_link(dials), open_link(listens)};
    for (int i = 0; i < 3; i++) {
        record->count[i] = hear(link[i & 1], record->bytes[i]);
        assert_true(record->count[i] > 0);
        assert_int_equal(tell(link[~i & 1], record->bytes[i], record->count[i]), STATUS_OK);
    }
    assert_true(link_ready(link[0]) && link_ready(link[1]));
    link_close(link[0]);
    link_close(link[1]);
}

/* ---- who is honest ---- */

static void handshake_tells_each_side_who_the_other_is(void **state)
{
    (void)state;
    for (unsigned claims = 0; claims < 4; claims++) {
        struct link *link[2];
        for (int i = 0; i < 2; i++) {
            struct link_options options = options_of(i, i == 0);
            if (claims >> i & 1) options.claim = link_claim_make(&node[i], CHAIN);
            options.peer_is_known = true;
            memcpy(options.peer_key, node[1 - i].secret + 32, 32);
            link[i] = open_link(&options);
        }
        assert_int_equal(link_introduce(link[0], link[1]), STATUS_OK);
        for (int i = 0; i < 2; i++) {
            const struct link_node *peer = &node[1 - i];
            assert_true(link_ready(link[i]));
            assert_memory_equal(link_peer_key(link[i]), peer->secret + 32, 32);
            const uint8_t *claimed = link_peer_consensus_key(link[i]);
            assert_true((claimed != NULL) == (claims >> (1 - i) & 1));
            if (claimed) assert_memory_equal(claimed, peer->consensus_secret + 32, 32);
        }
        link_close(link[0]);
        link_close(link[1]);
    }
}

/* The bytes change only with LINK_VERSION. */
static void handshake_bytes_are_pinned(void **state)
{
    (void)state;
    static struct record record;
    const size_t COUNTS[3] = {76, 242, 208};
    const char *const HASHES[3] = {
        "ed2794cb1dce5db24e6153ab151a21c065021960ff50ad513ea3fc303e6291f4",
        "6befdf13157c43fe9e977e4abc6f09f256210a2614f6179e065cd7060f56c34b",
        "f374c1977df1d50cdc2a54b8083fdcafea57910896b6c6670d959e5daaa2d4e4"};
    struct link_options options[2];
    for (int i = 0; i < 2; i++) {
        options[i] = options_of(i, i == 0);
        memset(options[i].ephemeral, i + 1, 32);
    }
    options[0].claim = link_claim_make(&node[0], CHAIN);
    record_make(&record, &options[0], &options[1]);
    for (int i = 0; i < 3; i++) {
        uint8_t hash[HASH_BYTES];
        char text[65];
        assert_int_equal(record.count[i], COUNTS[i]);
        hash_bytes(HASH_DIGEST, record.bytes[i], record.count[i], hash);
        assert_string_equal(sodium_bin2hex(text, sizeof text, hash, 32), HASHES[i]);
    }
}

static void a_second_reading_of_the_handshake_agrees(void **state)
{
    (void)state;
    for (int dials = 0; dials < 2; dials++) {
        struct link_options options = options_of(0, !dials);
        struct link *link = open_link(&options);
        struct puppet puppet;
        puppet_init(&puppet, &node[1], CHAIN, dials, PUPPET_HONEST);
        puppet.claim = link_claim_make(&node[1], CHAIN);
        assert_int_equal(puppet_meet(&puppet, link), STATUS_OK);
        assert_true(link_ready(link));
        assert_memory_equal(link_peer_key(link), node[1].secret + 32, 32);
        assert_memory_equal(link_peer_consensus_key(link), node[1].consensus_secret + 32, 32);
        assert_memory_equal(puppet.peer_key, node[0].secret + 32, 32);
        assert_true(sodium_is_zero(puppet.peer_consensus_key, 32));
        link_close(link);
    }
}

static void handshake_is_done_with_its_last_byte(void **state)
{
    (void)state;
    struct link_options options[2] = {options_of(0, true), options_of(1, false)};
    struct link *link[2] = {open_link(&options[0]), open_link(&options[1])};
    uint8_t bytes[LINK_FRAME_BYTES];
    for (int i = 0; i < 3; i++) {
        struct link *to = link[~i & 1];
        size_t count = hear(link[i & 1], bytes);
        for (size_t b = 0; b < count; b++) {
            uint8_t said[LINK_FRAME_BYTES];
            assert_false(link_ready(to));
            assert_int_equal(hear(to, said), 0);
            assert_int_equal(tell(to, bytes + b, 1), STATUS_OK);
        }
    }
    assert_true(link_ready(link[0]) && link_ready(link[1]));
    link_close(link[0]);
    link_close(link[1]);
}

/* ---- who is not ---- */

static void handshake_refuses_each_lie(void **state)
{
    (void)state;
    static const struct {
        enum puppet_lie lie;
        enum status to_listener, to_dialler;
    } ROWS[] = {
        {PUPPET_MAGIC, STATUS_NONCANONICAL, STATUS_OK},
        {PUPPET_VERSION_TWO, STATUS_UNSUPPORTED, STATUS_UNSUPPORTED},
        {PUPPET_VERSION_RANGE, STATUS_OK, STATUS_OK},
        {PUPPET_VERSION_EMPTY, STATUS_NONCANONICAL, STATUS_OK},
        {PUPPET_VERSION_ZERO, STATUS_RANGE, STATUS_RANGE},
        {PUPPET_CHAIN, STATUS_WRONG_CHAIN, STATUS_OK},
        {PUPPET_SMALL_ORDER, STATUS_NONCANONICAL, STATUS_NONCANONICAL},
        {PUPPET_ROLE, STATUS_BAD_SIGNATURE, STATUS_BAD_SIGNATURE},
        {PUPPET_TAG, STATUS_BAD_SIGNATURE, STATUS_BAD_SIGNATURE},
        {PUPPET_SIGNATURE, STATUS_BAD_SIGNATURE, STATUS_BAD_SIGNATURE},
        {PUPPET_TRANSCRIPT, STATUS_BAD_SIGNATURE, STATUS_BAD_SIGNATURE},
        {PUPPET_CLAIM_OTHER, STATUS_BAD_SIGNATURE, STATUS_BAD_SIGNATURE},
        {PUPPET_CLAIM_CHAIN, STATUS_BAD_SIGNATURE, STATUS_BAD_SIGNATURE},
        {PUPPET_CLAIM_EMPTY, STATUS_NONCANONICAL, STATUS_NONCANONICAL},
        {PUPPET_BOX_KEY, STATUS_BAD_SIGNATURE, STATUS_BAD_SIGNATURE},
    };
    assert_int_equal(sizeof ROWS / sizeof ROWS[0], PUPPET_LIES - 1);
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        for (int dials = 0; dials < 2; dials++) {
            enum status expected = dials ? ROWS[i].to_listener : ROWS[i].to_dialler;
            struct link_options options = options_of(0, !dials);
            struct link *link = open_link(&options);
            struct puppet puppet;
            uint8_t said[LINK_FRAME_BYTES];
            puppet_init(&puppet, &node[1], CHAIN, dials, ROWS[i].lie);
            assert_int_equal(puppet_meet(&puppet, link), expected);
            assert_true(link_ready(link) == (expected == STATUS_OK));
            if (expected != STATUS_OK) {
                assert_int_equal(hear(link, said), 0);
                assert_int_equal(tell(link, said, 1), expected);
            }
            link_close(link);
        }
    }
}

static void handshake_refuses_each_flipped_bit(void **state)
{
    (void)state;
    static struct record record;
    uint8_t heard[LINK_FRAME_BYTES];
    struct link_options options[2] = {options_of(0, true), options_of(1, false)};
    options[0].claim = link_claim_make(&node[0], CHAIN);
    record_make(&record, &options[0], &options[1]);
    for (int m = 0; m < 3; m++) {
        for (size_t bit = 0; bit < 8 * record.count[m]; bit++) {
            struct link *link[2] = {open_link(&options[0]), open_link(&options[1])};
            enum status status = STATUS_OK;
            for (int i = 0; i < 3 && status == STATUS_OK; i++) {
                size_t count = hear(link[i & 1], heard);
                assert_int_equal(count, record.count[i]);
                if (i == m) heard[bit / 8] ^= (uint8_t)(1u << bit % 8);
                status = tell(link[~i & 1], heard, count);
            }
            /* What the dialler says is answered by somebody who heard something else. */
            assert_int_not_equal(status, STATUS_OK);
            assert_false(link_ready(link[m == 2 ? 1 : 0]));
            assert_false(link_ready(link[1]));
            link_close(link[0]);
            link_close(link[1]);
        }
    }
}

static void a_wrong_magic_is_refused_at_its_first_wrong_byte(void **state)
{
    (void)state;
    for (size_t at = 0; at < 8; at++) {
        for (unsigned other = 1; other < 256; other++) {
            uint8_t magic[8];
            struct link_options options = options_of(0, false);
            struct link *link = open_link(&options);
            store_u64(magic, HANDSHAKE_MAGIC);
            magic[at] ^= (uint8_t)other;
            assert_int_equal(tell(link, magic, at), STATUS_OK);
            assert_int_equal(tell(link, magic + at, 1), STATUS_NONCANONICAL);
            link_close(link);
        }
    }
}

static void a_recorded_handshake_opens_nothing(void **state)
{
    (void)state;
    static struct record record;
    uint8_t heard[LINK_FRAME_BYTES];
    struct link_options options[2] = {options_of(0, true), options_of(1, false)};
    record_make(&record, &options[0], &options[1]);
    /* To the one who listened then. */
    struct link_options again = options_of(1, false);
    struct link *link = open_link(&again);
    assert_int_equal(tell(link, record.bytes[0], record.count[0]), STATUS_OK);
    hear(link, heard);
    assert_int_equal(tell(link, record.bytes[2], record.count[2]), STATUS_BAD_SIGNATURE);
    link_close(link);
    /* To the one who dialled. */
    again = options_of(0, true);
    link = open_link(&again);
    hear(link, heard);
    assert_int_equal(tell(link, record.bytes[1], record.count[1]), STATUS_BAD_SIGNATURE);
    link_close(link);
}

static void a_link_does_not_take_its_own_words_for_a_peer(void **state)
{
    (void)state;
    uint8_t hello[LINK_FRAME_BYTES], answer[LINK_FRAME_BYTES];
    /* A dialler who hears his own hello, in the shape of an answer too. */
    struct link_options options = options_of(0, true);
    struct link *link = open_link(&options);
    size_t count = hear(link, hello);
    memset(hello + count, 0, HANDSHAKE_ANSWER_BYTES);
    assert_int_equal(tell(link, hello, HANDSHAKE_ANSWER_BYTES), STATUS_UNSUPPORTED);
    link_close(link);
    options = options_of(0, true);
    link = open_link(&options);
    hear(link, hello);
    memset(answer, 0, sizeof answer);
    store_u16(answer, LINK_VERSION);
    memcpy(answer + 2, hello + handshake_hello_bytes_max - 32, 32);
    assert_int_equal(tell(link, answer, HANDSHAKE_ANSWER_BYTES), STATUS_BAD_SIGNATURE);
    link_close(link);
    /* A listener who hears his own answer, and his own box. */
    options = options_of(0, true);
    link = open_link(&options);
    hear(link, hello);
    link_close(link);
    options = options_of(1, false);
    link = open_link(&options);
    assert_int_equal(tell(link, hello, handshake_hello_bytes_max), STATUS_OK);
    hear(link, answer);
    assert_int_equal(tell(link, answer + handshake_answer_bytes_max, HANDSHAKE_BOX_BYTES),
                     STATUS_BAD_SIGNATURE);
    link_close(link);
    options = options_of(1, false);
    link = open_link(&options);
    assert_int_equal(tell(link, answer, 1), STATUS_NONCANONICAL);
    link_close(link);
}

static void a_node_does_not_link_with_itself(void **state)
{
    (void)state;
    struct link_options options[2] = {options_of(0, true), options_of(0, false)};
    struct link *link[2] = {open_link(&options[0]), open_link(&options[1])};
    assert_int_equal(link_introduce(link[0], link[1]), STATUS_EXISTS);
    assert_false(link_ready(link[0]) || link_ready(link[1]));
    link_close(link[0]);
    link_close(link[1]);
    /* Who listens sees it too, whatever the dialler thinks of it. */
    link[1] = open_link(&options[1]);
    struct puppet puppet;
    puppet_init(&puppet, &node[0], CHAIN, true, PUPPET_HONEST);
    assert_int_equal(puppet_meet(&puppet, link[1]), STATUS_EXISTS);
    link_close(link[1]);
}

static void nodes_of_two_chains_do_not_link(void **state)
{
    (void)state;
    uint8_t bytes[LINK_FRAME_BYTES];
    struct link_options options[2] = {options_of(0, true),
                                      link_options_of(&node[1], CHAIN + 1, false)};
    struct link *link[2] = {open_link(&options[0]), open_link(&options[1])};
    assert_int_equal(link_introduce(link[0], link[1]), STATUS_WRONG_CHAIN);
    link_close(link[0]);
    link_close(link[1]);
    /* Nor if somebody between them changes the word. */
    link[0] = open_link(&options[0]);
    link[1] = open_link(&options[1]);
    size_t count = hear(link[0], bytes);
    assert_int_equal(bytes[12], CHAIN);
    bytes[12] = CHAIN + 1;
    assert_int_equal(tell(link[1], bytes, count), STATUS_OK);
    count = hear(link[1], bytes);
    assert_int_equal(tell(link[0], bytes, count), STATUS_BAD_SIGNATURE);
    link_close(link[0]);
    link_close(link[1]);
}

static void who_dials_a_known_key_accepts_no_other(void **state)
{
    (void)state;
    uint8_t bytes[LINK_FRAME_BYTES];
    struct link_options options[2] = {options_of(0, true), options_of(1, false)};
    options[0].peer_is_known = true;
    memcpy(options[0].peer_key, node[2].secret + 32, 32);
    struct link *link[2] = {open_link(&options[0]), open_link(&options[1])};
    assert_int_equal(link_introduce(link[0], link[1]), STATUS_BAD_SIGNATURE);
    assert_int_equal(hear(link[0], bytes), 0); /* nor does he say who he is */
    link_close(link[0]);
    link_close(link[1]);
}

/* Every encoding of a point whose order divides 8; RFC 7748 asks for the check of the product. */
static void ephemeral_keys_of_small_order_are_refused(void **state)
{
    (void)state;
    static const char *const POINTS[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
    for (size_t i = 0; i < 2 * sizeof POINTS / sizeof POINTS[0]; i++) {
        uint8_t point[32], heard[LINK_FRAME_BYTES], answer[HANDSHAKE_ANSWER_BYTES] = {0};
        assert_int_equal(sodium_hex2bin(point, 32, POINTS[i / 2], 64, NULL, NULL, NULL), 0);
        if (i & 1) point[31] |= 0x80; /* the bit that X25519 ignores */
        struct link_options options = options_of(0, false);
        struct link *link = open_link(&options);
        struct puppet puppet;
        uint8_t hello[1024];
        puppet_init(&puppet, &node[1], CHAIN, true, PUPPET_HONEST);
        puppet_hello(&puppet, hello);
        memcpy(hello + 44, point, 32);
        assert_int_equal(tell(link, hello, 76), STATUS_NONCANONICAL);
        link_close(link);
        options = options_of(0, true);
        link = open_link(&options);
        hear(link, heard);
        store_u16(answer, LINK_VERSION);
        memcpy(answer + 2, point, 32);
        assert_int_equal(tell(link, answer, sizeof answer), STATUS_NONCANONICAL);
        link_close(link);
    }
}

/* ---- bounds and secrets ---- */

static void a_stranger_causes_no_allocation(void **state)
{
    (void)state;
    uint8_t bytes[LINK_FRAME_BYTES];
    struct link_options options[2] = {options_of(0, true), options_of(1, false)};
    struct link *link[2] = {open_link(&options[0]), open_link(&options[1])};
    size_t count = hear(link[0], bytes);
    memory_fail_at(1, true);
    assert_int_equal(tell(link[1], bytes, count), STATUS_OK);
    count = hear(link[1], bytes);
    assert_false(memory_failed());
    /* The first allocation is for a peer who has proved its key. */
    memory_fail_at(1, true);
    assert_int_equal(tell(link[0], bytes, count), STATUS_NO_MEMORY);
    assert_true(memory_failed());
    assert_false(link_ready(link[0]));
    memset(bytes, 0x55, sizeof bytes);
    memory_fail_at(1, true);
    assert_int_equal(tell(link[1], bytes, sizeof bytes), STATUS_BAD_SIGNATURE);
    assert_false(memory_failed());
    struct link_stats stats;
    link_stats(link[1], &stats);
    assert_true(stats.bytes_in <= LINK_HELLO_BYTES_MAX);
    link_close(link[0]);
    link_close(link[1]);
}

static void a_link_lies_where_its_hash_state_may(void **state)
{
    (void)state;
    struct link_options options = options_of(0, true);
    struct link *link[16];
    for (int i = 0; i < 16; i++) {
        link[i] = open_link(&options);
        assert_int_equal((uintptr_t)link[i] % _Alignof(struct hash_state), 0);
    }
    for (int i = 0; i < 16; i++) {
        link_close(link[i]);
    }
}

static bool memory_holds(const void *at, size_t count, const uint8_t *secret)
{
    return memmem(at, count, secret, 32) != NULL;
}

static void secrets_of_the_handshake_are_gone_after_it(void **state)
{
    (void)state;
    for (int dials = 0; dials < 2; dials++) {
        struct link_options options = options_of(0, !dials);
        struct link *link = open_link(&options);
        size_t bytes = malloc_usable_size(link);
        struct puppet puppet;
        assert_true(memory_holds(link, bytes, options.ephemeral));
        puppet_init(&puppet, &node[1], CHAIN, dials, PUPPET_HONEST);
        assert_int_equal(puppet_meet(&puppet, link), STATUS_OK);
        assert_false(memory_holds(link, bytes, options.ephemeral));
        assert_false(memory_holds(link, bytes, puppet.shared));
        assert_false(memory_holds(link, bytes, puppet.key_send));
        assert_false(memory_holds(link, bytes, puppet.key_receive));
        link_close(link);
    }
}

int main(void)
{
    if (hash_init() != STATUS_OK) return 1;
    for (int i = 0; i < 3; i++) {
        link_node_init(&node[i], (uint8_t)(i + 1));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_tells_each_side_who_the_other_is),
        cmocka_unit_test(handshake_bytes_are_pinned),
        cmocka_unit_test(a_second_reading_of_the_handshake_agrees),
        cmocka_unit_test(handshake_is_done_with_its_last_byte),
        cmocka_unit_test(handshake_refuses_each_lie),
        cmocka_unit_test(handshake_refuses_each_flipped_bit),
        cmocka_unit_test(a_wrong_magic_is_refused_at_its_first_wrong_byte),
        cmocka_unit_test(a_recorded_handshake_opens_nothing),
        cmocka_unit_test(a_link_does_not_take_its_own_words_for_a_peer),
        cmocka_unit_test(a_node_does_not_link_with_itself),
        cmocka_unit_test(nodes_of_two_chains_do_not_link),
        cmocka_unit_test(who_dials_a_known_key_accepts_no_other),
        cmocka_unit_test(ephemeral_keys_of_small_order_are_refused),
        cmocka_unit_test(a_stranger_causes_no_allocation),
        cmocka_unit_test(a_link_lies_where_its_hash_state_may),
        cmocka_unit_test(secrets_of_the_handshake_are_gone_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
