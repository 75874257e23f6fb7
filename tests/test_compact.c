/* Compact proposals: exactly the whole one comes out, or nothing does; whatever peers send. */
#include <stdlib.h>

#include "log/signature.h"
#include "replica/compact.h"
#include "tests/support_cmocka.h"
#include "tests/support_memory.h"

#define TXS_MAX       40
#define MESSAGE_BYTES 65536

/* A proposal, and what a receiver has of its transactions. */
struct world {
    uint8_t tx[TXS_MAX][300], id[TXS_MAX][HASH_BYTES];
    size_t bytes[TXS_MAX];
    uint32_t count, system_count;
    bool known[TXS_MAX], is_new[TXS_MAX];
    uint32_t lied; /* in the place of this one stands another of its length; 0: none */
    uint8_t block_id[HASH_BYTES];
    uint8_t proposal[MESSAGE_BYTES], compact[MESSAGE_BYTES];
    size_t proposal_bytes, compact_bytes;
};

static struct world world;

static void write_body(struct writer *w)
{
    write_u16(w, (uint16_t)world.system_count);
    for (uint32_t i = 0; i < world.system_count; i++) {
        struct system_record record = {(uint16_t)(i + 1), {(const uint8_t *)"record", 6}};
        system_record_write(w, &record);
    }
    write_u16(w, (uint16_t)world.count);
    for (uint32_t i = 0; i < world.count; i++) {
        struct command command = {{world.tx[i], world.bytes[i]}};
        command_write(w, &command);
    }
}

/* make_world: `count` transactions of different lengths, `round` in the header. */
static void make_world(uint32_t count, uint32_t system_count, uint64_t round)
{
    uint8_t bytes[MESSAGE_BYTES];
    struct writer w = writer_of(bytes, sizeof bytes);
    assert_int_equal(hash_init(), STATUS_OK);
    memset(&world, 0, sizeof world);
    world.count = count;
    world.system_count = system_count;
    for (uint32_t i = 0; i < count; i++) {
        world.bytes[i] = 1 + (i * 37 + 20) % 300;
        memset(world.tx[i], (int)i + 1, world.bytes[i]);
        hash_bytes(HASH_TRANSACTION, world.tx[i], world.bytes[i], world.id[i]);
    }
    write_body(&w);
    struct body body;
    assert_int_equal(body_decode(bytes, writer_bytes(&w), &body), STATUS_OK);
    struct justify justify = {.kind = 1};
    struct header header = {.version = BLOCK_VERSION,
                            .round = round,
                            .height = 7,
                            .cmd_count = count,
                            .body_bytes = (uint32_t)writer_bytes(&w)};
    body_root_of(&body, header.body_root);
    justify_hash_of(&justify, header.justify_hash);
    block_id_of(&header, world.block_id);
    struct writer out = writer_of(world.proposal, sizeof world.proposal);
    write_u8(&out, MESSAGE_PROPOSAL);
    for (uint8_t i = 0; i < 64; i++) {
        write_u8(&out, i);
    }
    header_write(&out, &header);
    justify_write(&out, &justify);
    write_copy(&out, bytes, writer_bytes(&w));
    assert_int_equal(out.status, STATUS_OK);
    world.proposal_bytes = writer_bytes(&out);
}

static uint32_t index_of(const uint8_t prefix[COMPACT_PREFIX_BYTES])
{
    uint32_t i = 0;
    while (i < world.count && memcmp(world.id[i], prefix, COMPACT_PREFIX_BYTES) != 0) {
        i++;
    }
    return i;
}

static bool is_new(void *context, const uint8_t prefix[COMPACT_PREFIX_BYTES])
{
    (void)context;
    return world.is_new[index_of(prefix)];
}

static bool copy(void *context, const uint8_t prefix[COMPACT_PREFIX_BYTES], uint8_t *out,
                 size_t capacity, size_t *count)
{
    (void)context;
    uint32_t i = index_of(prefix);
    if (i == world.count || !world.known[i]) return false;
    if (world.bytes[i] > capacity) return false;
    memcpy(out, world.tx[world.lied != 0 && world.lied == i ? i - 1 : i], world.bytes[i]);
    *count = world.bytes[i];
    return true;
}

static const struct compact_source SOURCE = {copy, NULL};

static struct bytes proposal_of(void)
{
    return (struct bytes){world.proposal, world.proposal_bytes};
}

static void make_compact(void)
{
    assert_true(compact_make(proposal_of(), is_new, NULL, world.compact, sizeof world.compact,
                             &world.compact_bytes));
}

static struct compact_slot *begin(struct compact_book *book, uint32_t peer, uint64_t round_now)
{
    struct compact_view view;
    assert_int_equal(compact_open((struct bytes){world.compact, world.compact_bytes}, &view),
                     STATUS_OK);
    assert_memory_equal(view.id, world.block_id, HASH_BYTES);
    return compact_begin(book, peer, &view, round_now, 0, &SOURCE);
}

static void expect_whole(struct compact_book *book, struct compact_slot *slot)
{
    struct bytes whole;
    assert_true(compact_finish(book, slot, &whole));
    assert_int_equal(whole.count, world.proposal_bytes);
    assert_memory_equal(whole.at, world.proposal, whole.count);
    assert_false(slot->used);
}

/* answer lets the sender answer a request, as a node does. */
static size_t answer(const uint8_t *request, size_t count, uint8_t *out)
{
    struct commands_request wanted;
    struct block block;
    size_t bytes;
    assert_int_equal(request[0], MESSAGE_GET_COMMANDS);
    assert_int_equal(commands_request_decode(request + 1, count - 1, &wanted), STATUS_OK);
    assert_memory_equal(wanted.id, world.block_id, HASH_BYTES);
    assert_int_equal(block_decode(world.proposal + MESSAGE_BLOCK_AT,
                                  world.proposal_bytes - MESSAGE_BLOCK_AT, &block),
                     STATUS_OK);
    assert_int_equal(compact_serve(&wanted, &block, out, MESSAGE_BYTES, &bytes), STATUS_OK);
    assert_int_equal(out[0], MESSAGE_BLOCK_COMMANDS);
    return bytes;
}

/* ask asks a peer for what is missing and answers how long its answer is. */
static size_t ask(struct compact_slot *slot, uint32_t peer, uint8_t *out)
{
    static uint8_t request[COMPACT_REQUEST_BYTES_MAX];
    size_t count = compact_request(slot, peer, 1, request);
    return answer(request, count, out);
}

static void the_same_bytes_come_out(void **state)
{
    (void)state;
    static uint8_t message[MESSAGE_BYTES];
    uint64_t random = 1;
    for (uint32_t run = 0; run < 400; run++) {
        struct compact_book book = {0};
        make_world(1 + run % TXS_MAX, run % 3, 5);
        for (uint32_t i = 0; i < world.count; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            world.known[i] = random >> 62 != 0;
            world.is_new[i] = (random >> 58 & 7) == 0;
        }
        make_compact();
        struct compact_slot *slot = begin(&book, 3, 5);
        assert_non_null(slot);
        if (slot->missing > 0) {
            struct bytes whole;
            assert_false(compact_finish(&book, slot, &whole));
            if (compact_wants_whole(slot)) {
                assert_int_equal(slot->missing, world.count);
                compact_book_free(&book);
                continue;
            }
            size_t count = ask(slot, 3, message);
            assert_int_equal(compact_answer(&book, 3, (struct bytes){message + 1, count - 1}),
                             STATUS_OK);
        }
        expect_whole(&book, slot);
        compact_book_free(&book);
    }
}

/* check_result: whatever comes out is a block that is what its id says. */
static void check_result(struct compact_book *book, struct compact_slot *slot)
{
    uint8_t id[HASH_BYTES], got[HASH_BYTES];
    struct bytes whole;
    struct block block;
    memcpy(id, slot->id, HASH_BYTES);
    if (!compact_finish(book, slot, &whole)) {
        assert_true(slot->missing > 0 || slot->broken);
        return;
    }
    assert_int_equal(whole.at[0], MESSAGE_PROPOSAL);
    assert_int_equal(
        block_open(whole.at + MESSAGE_BLOCK_AT, whole.count - MESSAGE_BLOCK_AT, &block, got),
        STATUS_OK);
    assert_memory_equal(id, got, HASH_BYTES);
}

/* try_compact opens what somebody sent; where it stands, everything is looked up. */
static bool try_compact(const uint8_t *bytes, size_t count)
{
    struct compact_book book = {0};
    struct compact_view view;
    uint8_t *exact = malloc(count ? count : 1); /* so that a sanitizer sees a step beyond */
    assert_non_null(exact);
    memcpy(exact, bytes, count);
    bool opens = compact_open((struct bytes){exact, count}, &view) == STATUS_OK;
    if (opens) {
        struct compact_slot *slot = compact_begin(&book, 3, &view, 5, 0, &SOURCE);
        assert_non_null(slot);
        check_result(&book, slot);
    }
    compact_book_free(&book);
    free(exact);
    return opens;
}

static void damage_never_yields_a_wrong_body(void **state)
{
    (void)state;
    make_world(12, 2, 5);
    for (uint32_t i = 0; i < world.count; i++) {
        world.known[i] = true;
        world.is_new[i] = i % 4 == 1;
    }
    make_compact();
    for (size_t count = 0; count < world.compact_bytes; count++) {
        assert_false(try_compact(world.compact, count));
    }
    for (size_t bit = 0; bit < world.compact_bytes * 8; bit++) {
        world.compact[bit / 8] ^= (uint8_t)(1u << bit % 8);
        try_compact(world.compact, world.compact_bytes);
        world.compact[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(try_compact(world.compact, world.compact_bytes));
}

static void try_answer(const uint8_t *bytes, size_t count)
{
    static uint8_t request[COMPACT_REQUEST_BYTES_MAX];
    struct compact_book book = {0};
    struct compact_slot *slot = begin(&book, 3, 5);
    compact_request(slot, 3, 1, request);
    uint8_t *exact = malloc(count ? count : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, count);
    enum status status = compact_answer(&book, 3, (struct bytes){exact, count});
    if (status == STATUS_OK) check_result(&book, slot);
    compact_book_free(&book);
    free(exact);
}

static void damaged_answers_never_yield_a_wrong_body(void **state)
{
    (void)state;
    static uint8_t message[MESSAGE_BYTES];
    struct compact_book book = {0};
    make_world(12, 1, 5);
    for (uint32_t i = 0; i < world.count; i++) {
        world.known[i] = i % 3 != 0;
    }
    make_compact();
    size_t count = ask(begin(&book, 3, 5), 3, message);
    compact_book_free(&book);
    for (size_t cut = 0; cut + 1 < count; cut++) {
        try_answer(message + 1, cut);
    }
    for (size_t bit = 8; bit < count * 8; bit++) {
        message[bit / 8] ^= (uint8_t)(1u << bit % 8);
        try_answer(message + 1, count - 1);
        message[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void shared_prefixes_need_the_whole_block(void **state)
{
    (void)state;
    for (uint32_t lied = 1; lied < 10; lied++) {
        struct compact_book book = {0};
        struct bytes whole;
        make_world(10, 0, 5);
        memset(world.known, true, sizeof world.known);
        make_compact();
        world.lied = lied;
        struct compact_slot *slot = begin(&book, 3, 5);
        assert_false(compact_wants_whole(slot));
        assert_false(compact_finish(&book, slot, &whole));
        assert_true(compact_wants_whole(slot));
        static uint8_t request[COMPACT_REQUEST_BYTES_MAX];
        size_t count = compact_request(slot, 3, 1, request);
        struct block_request wanted;
        assert_int_equal(request[0], MESSAGE_GET_BLOCK);
        assert_int_equal(block_request_decode(request + 1, count - 1, &wanted), STATUS_OK);
        assert_memory_equal(wanted.id, slot->id, HASH_BYTES);
        assert_int_equal(wanted.height, 7);
        compact_book_free(&book);
    }
}

static void only_who_was_asked_may_answer(void **state)
{
    (void)state;
    static uint8_t message[MESSAGE_BYTES];
    struct compact_book book = {0};
    make_world(10, 0, 5);
    memset(world.known, true, sizeof world.known);
    world.known[4] = false;
    make_compact();
    struct compact_slot *slot = begin(&book, 3, 5);
    size_t count = ask(slot, 3, message);
    struct bytes body = {message + 1, count - 1};
    assert_int_equal(compact_answer(&book, 4, body), STATUS_OK);
    assert_int_equal(slot->missing, 1);
    assert_int_equal(compact_answer(&book, 3, body), STATUS_OK);
    expect_whole(&book, slot);
    compact_book_free(&book);
}

/* change writes a number into the compact form, at an offset from the prefixes' length. */
static void change(size_t at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        world.compact[at + i] = (uint8_t)(value >> 8 * i);
    }
}

static void hostile_counts_are_refused(void **state)
{
    (void)state;
    struct compact_view view;
    make_world(10, 0, 5);
    memset(world.is_new, true, sizeof world.is_new);
    make_compact();
    assert_int_equal(compact_open((struct bytes){world.compact, world.compact_bytes}, &view),
                     STATUS_OK);
    size_t prefixes = (size_t)(view.compact.prefixes.at - world.compact);
    size_t prefilled = (size_t)(view.compact.prefilled.at - world.compact);
    static const uint64_t LENGTHS[] = {0, 1, 15, 144, 159, 161, 176, UINT32_MAX, 131072, 131073};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        change(prefixes - 4, LENGTHS[i], 4);
        assert_false(try_compact(world.compact, world.compact_bytes));
    }
    change(prefixes - 4, 160, 4);
    static const uint64_t COUNTS[] = {0, 9, 11, 8192, 8193, UINT16_MAX};
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        change(prefilled - 2, COUNTS[i], 2);
        assert_false(try_compact(world.compact, world.compact_bytes));
    }
    change(prefilled - 2, 10, 2);
    assert_true(try_compact(world.compact, world.compact_bytes));
    static const uint64_t INDEXES[] = {1, 10, 8191, 8192, UINT16_MAX};
    for (size_t i = 0; i < sizeof INDEXES / sizeof INDEXES[0]; i++) {
        change(prefilled, INDEXES[i], 2); /* twice the same, or beyond the end */
        assert_false(try_compact(world.compact, world.compact_bytes));
    }
}

/* A header may claim fewer bytes than its transactions have: nothing is written beyond what was taken. */
static void lengths_that_lie_break_the_block(void **state)
{
    (void)state;
    size_t at = MESSAGE_BLOCK_AT + header_bytes_max - 32 - 32 - 8 - 4; /* body_bytes */
    for (uint32_t less = 0; less < 3000; less++) {
        struct compact_book book = {0};
        struct compact_view view;
        make_world(20, 0, 5);
        for (uint32_t i = 0; i < world.count; i++) {
            world.known[i] = i % 2 != 0;
            world.is_new[i] = i % 2 == 0;
        }
        make_compact();
        uint32_t bytes = load_u32(world.compact + at);
        assert_int_equal(bytes, world.proposal_bytes - MESSAGE_BLOCK_AT - header_bytes_max - 3);
        if (less > bytes) break;
        change(at, bytes - less, 4);
        struct bytes message = {world.compact, world.compact_bytes};
        if (compact_open(message, &view) != STATUS_OK) {
            assert_true(bytes - less < 4 + 3 * world.count);
            continue;
        }
        struct compact_slot *slot = compact_begin(&book, 3, &view, 5, 0, &SOURCE);
        struct bytes whole;
        assert_non_null(slot);
        assert_int_equal(compact_finish(&book, slot, &whole), less == 0);
        compact_book_free(&book);
    }
}

static void requests_for_what_nobody_has_are_refused(void **state)
{
    (void)state;
    static uint8_t out[MESSAGE_BYTES];
    static const uint16_t LISTS[][3] = {{0, 1, 10}, {0, 2, 1}, {3, 3, 4}, {8191, 0, 1}};
    struct block block;
    size_t count;
    make_world(10, 0, 5);
    assert_int_equal(block_decode(world.proposal + MESSAGE_BLOCK_AT,
                                  world.proposal_bytes - MESSAGE_BLOCK_AT, &block),
                     STATUS_OK);
    for (size_t i = 0; i < sizeof LISTS / sizeof LISTS[0]; i++) {
        uint8_t bytes[6];
        for (size_t j = 0; j < 3; j++) {
            store_u16(bytes + 2 * j, LISTS[i][j]);
        }
        struct commands_request request = {.indexes = {bytes, 6, 3}};
        assert_int_equal(compact_serve(&request, &block, out, sizeof out, &count), STATUS_RANGE);
    }
    uint8_t good[4] = {0, 0, 9, 0};
    struct commands_request request = {.indexes = {good, 4, 2}};
    assert_int_equal(compact_serve(&request, &block, out, sizeof out, &count), STATUS_OK);
    for (size_t capacity = 0; capacity < count; capacity++) {
        size_t unused;
        assert_int_equal(compact_serve(&request, &block, out, capacity, &unused), STATUS_FULL);
    }
}

static uint32_t used(const struct compact_book *book)
{
    uint32_t count = 0;
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        count += book->slots[i].used;
    }
    return count;
}

static struct compact_slot *begin_round(struct compact_book *book, uint32_t peer, uint64_t round)
{
    make_world(10, 0, round);
    world.known[0] = true;
    make_compact();
    return begin(book, peer, 100);
}

static void a_peer_holds_two_and_all_hold_eight(void **state)
{
    (void)state;
    struct compact_book book = {0};
    assert_non_null(begin_round(&book, 1, 103));
    assert_non_null(begin_round(&book, 1, 102));
    assert_null(begin_round(&book, 1, 102)); /* the same again */
    assert_null(begin_round(&book, 1, 104)); /* further than both */
    assert_non_null(begin_round(&book, 1, 100));
    assert_int_equal(used(&book), 2);
    assert_non_null(begin_round(&book, 2, 100)); /* the same block of another */
    assert_null(begin_round(&book, 3, 100));     /* and of a third */
    for (uint32_t peer = 4; peer < 40; peer++) {
        begin_round(&book, peer, 110 + peer);
    }
    assert_int_equal(used(&book), COMPACT_SLOTS);
    assert_null(begin_round(&book, 50, 200));
    assert_non_null(begin_round(&book, 50, 101));
    assert_int_equal(used(&book), COMPACT_SLOTS);
    bool current = false;
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        current = current || (book.slots[i].round == 100 && book.slots[i].peer == 1);
    }
    assert_true(current);
    compact_drop_peer(&book, 1);
    assert_int_equal(used(&book), COMPACT_SLOTS - 2);
    compact_book_free(&book);
}

static void peers_that_do_not_answer_lead_to_the_whole_block(void **state)
{
    (void)state;
    static uint8_t request[COMPACT_REQUEST_BYTES_MAX];
    struct compact_book book = {0};
    struct compact_slot *slot = begin_round(&book, 1, 100);
    assert_int_equal(slot->missing, 9);
    for (uint32_t i = 0; i < COMPACT_ASKS_SOME_MAX; i++) {
        assert_false(compact_wants_whole(slot));
        compact_request(slot, 1 + i, 77, request);
        assert_int_equal(request[0], MESSAGE_GET_COMMANDS);
        assert_int_equal(slot->due_us, 77);
    }
    assert_true(compact_wants_whole(slot));
    compact_request(slot, 1, 78, request);
    assert_int_equal(request[0], MESSAGE_GET_BLOCK);
    assert_int_equal(slot->peers[1], COMPACT_HAS | COMPACT_ASKED_SOME | COMPACT_ASKED_WHOLE);
    memset(world.known, true, sizeof world.known);
    compact_look(slot, &SOURCE); /* they have come otherwise */
    expect_whole(&book, slot);
    compact_book_free(&book);
}

static void no_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    struct compact_book book = {0};
    struct bytes whole;
    make_world(10, 0, 5);
    memset(world.known, true, sizeof world.known);
    make_compact();
    memory_fail_at(1, false);
    struct compact_slot *slot = begin(&book, 3, 5);
    memory_fail_at(0, false);
    assert_null(slot);
    assert_int_equal(used(&book), 0);
    slot = begin(&book, 3, 5);
    memory_fail_at(1, false);
    bool done = compact_finish(&book, slot, &whole);
    memory_fail_at(0, false);
    assert_false(done);
    assert_true(compact_wants_whole(slot));
    compact_book_free(&book);
}

static void short_capacity_makes_no_message(void **state)
{
    (void)state;
    size_t count;
    make_world(10, 1, 5);
    make_compact();
    static uint8_t out[MESSAGE_BYTES];
    for (size_t capacity = 0; capacity < world.compact_bytes; capacity++) {
        assert_false(compact_make(proposal_of(), is_new, NULL, out, capacity, &count));
    }
    assert_true(compact_make(proposal_of(), is_new, NULL, out, world.compact_bytes, &count));
    for (size_t cut = 0; cut < world.proposal_bytes; cut++) {
        assert_false(compact_make((struct bytes){world.proposal, cut}, is_new, NULL, out,
                                  sizeof out, &count));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_come_out),
        cmocka_unit_test(damage_never_yields_a_wrong_body),
        cmocka_unit_test(damaged_answers_never_yield_a_wrong_body),
        cmocka_unit_test(shared_prefixes_need_the_whole_block),
        cmocka_unit_test(only_who_was_asked_may_answer),
        cmocka_unit_test(hostile_counts_are_refused),
        cmocka_unit_test(lengths_that_lie_break_the_block),
        cmocka_unit_test(requests_for_what_nobody_has_are_refused),
        cmocka_unit_test(a_peer_holds_two_and_all_hold_eight),
        cmocka_unit_test(peers_that_do_not_answer_lead_to_the_whole_block),
        cmocka_unit_test(no_memory_leaves_nothing_behind),
        cmocka_unit_test(short_capacity_makes_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
