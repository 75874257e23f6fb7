/* Compact proposals: a block of the input's choice is sent in compact form, bytes of what is sent are changed, some
 * transactions are known, some of these are others that share the prefix; what comes out is the PROPOSAL itself, or
 * a block that is what its id says, or nothing. Nothing was changed: the PROPOSAL itself.
 *
 * Input: transactions (1), system records (1), known (u16), new (u16), lies (u16), count of edits (1), edits: what (1),
 * offset (u16), xor (1); the rest: bytes of a message. */
#include "replica/compact.h"
#include "tests/fuzz/records.h"

#define TXS_MAX        16
#define EDITS_MAX      8
#define BODY_BYTES_MAX 16384 /* the caller's bound */

RECORD_ROUND_TRIP(compact)
RECORD_ROUND_TRIP(commands_request)
RECORD_ROUND_TRIP(block_commands)

struct edit {
    uint8_t target, value;
    uint16_t offset;
};

static struct {
    uint8_t tx[TXS_MAX][64], id[TXS_MAX][HASH_BYTES];
    size_t bytes[TXS_MAX];
    uint32_t count, edit_count;
    uint16_t known, is_new, lies;
    struct edit edits[EDITS_MAX];
    uint8_t proposal[8192], sent[8192], answer[8192];
    size_t proposal_bytes, sent_bytes, answer_bytes;
} world;

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
}

static void choose(struct fuzz_input *input, uint32_t *system_count)
{
    memset(&world, 0, sizeof world);
    world.count = 1 + fuzz_u8(input) % TXS_MAX;
    *system_count = fuzz_u8(input) % 3u;
    world.known = fuzz_u16(input);
    world.is_new = fuzz_u16(input);
    world.lies = fuzz_u16(input);
    world.edit_count = fuzz_u8(input) % (EDITS_MAX + 1u);
    for (uint32_t i = 0; i < world.edit_count; i++) {
        world.edits[i].target = fuzz_u8(input) % 2;
        world.edits[i].offset = fuzz_u16(input);
        world.edits[i].value = fuzz_u8(input);
    }
    for (uint32_t i = 0; i < world.count; i++) {
        world.bytes[i] = 1 + i * 5 % 60;
        memset(world.tx[i], (int)i + 1, sizeof world.tx[i]);
        hash_bytes(HASH_TRANSACTION, world.tx[i], world.bytes[i], world.id[i]);
    }
}

static void make_proposal(uint32_t system_count)
{
    uint8_t bytes[4096];
    struct writer w = writer_of(bytes, sizeof bytes);
    write_u16(&w, (uint16_t)system_count);
    for (uint32_t i = 0; i < system_count; i++) {
        struct system_record record = {(uint16_t)(i + 1), {(const uint8_t *)"record", 6}};
        system_record_write(&w, &record);
    }
    write_u16(&w, (uint16_t)world.count);
    for (uint32_t i = 0; i < world.count; i++) {
        struct command command = {{world.tx[i], world.bytes[i]}};
        command_write(&w, &command);
    }
    struct body body;
    REQUIRE(body_decode(bytes, writer_bytes(&w), &body) == STATUS_OK);
    struct justify justify = {.kind = 1};
    struct header header = {.version = BLOCK_VERSION,
                            .round = 5,
                            .height = 7,
                            .cmd_count = world.count,
                            .body_bytes = (uint32_t)writer_bytes(&w)};
    body_root_of(&body, header.body_root);
    justify_hash_of(&justify, header.justify_hash);
    struct writer out = writer_of(world.proposal, sizeof world.proposal);
    write_u8(&out, MESSAGE_PROPOSAL);
    for (uint8_t i = 0; i < 64; i++) {
        write_u8(&out, i);
    }
    header_write(&out, &header);
    justify_write(&out, &justify);
    write_copy(&out, bytes, writer_bytes(&w));
    REQUIRE(out.status == STATUS_OK);
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
    return (world.is_new >> index_of(prefix) & 1) != 0;
}

static bool copy(void *context, const uint8_t prefix[COMPACT_PREFIX_BYTES], uint8_t *out,
                 size_t capacity, size_t *count)
{
    (void)context;
    uint32_t i = index_of(prefix);
    if (i == world.count || !(world.known >> i & 1) || world.bytes[i] > capacity) return false;
    memcpy(out, world.tx[i], world.bytes[i]);
    if (world.lies >> i & 1) out[0] ^= 0x80;
    *count = world.bytes[i];
    return true;
}

/* edit answers whether it changed anything. */
static bool edit(uint8_t target, uint8_t *bytes, size_t count)
{
    bool any = false;
    for (uint32_t i = 0; i < world.edit_count; i++) {
        const struct edit *one = &world.edits[i];
        if (one->target != target) continue;
        bytes[1 + one->offset % (count - 1)] ^= one->value;
        any = any || one->value != 0;
    }
    return any;
}

static void answer(const uint8_t *request, size_t count)
{
    struct commands_request wanted;
    struct block block;
    REQUIRE(commands_request_decode(request + 1, count - 1, &wanted) == STATUS_OK);
    REQUIRE(block_decode(world.proposal + MESSAGE_BLOCK_AT, world.proposal_bytes - MESSAGE_BLOCK_AT,
                         &block) == STATUS_OK);
    enum status status =
        compact_serve(&wanted, &block, world.answer, sizeof world.answer, &world.answer_bytes);
    if (status != STATUS_OK) world.answer_bytes = 0;
}

/* finish: `honest`, nothing was changed on the way and nobody lied. */
static void finish(struct compact_book *book, struct compact_slot *slot, bool honest)
{
    uint8_t id[HASH_BYTES], got[HASH_BYTES];
    struct bytes whole;
    struct block block;
    bool complete = slot->missing == 0;
    memcpy(id, slot->id, HASH_BYTES);
    if (!compact_finish(book, slot, &whole)) {
        REQUIRE(!honest || !complete);
        return;
    }
    REQUIRE(whole.at[0] == MESSAGE_PROPOSAL);
    REQUIRE(block_open(whole.at + MESSAGE_BLOCK_AT, whole.count - MESSAGE_BLOCK_AT, &block, got) ==
            STATUS_OK);
    REQUIRE(memcmp(id, got, HASH_BYTES) == 0);
    REQUIRE(!honest || (whole.count == world.proposal_bytes &&
                        memcmp(whole.at, world.proposal, whole.count) == 0));
}

static void assemble(struct compact_book *book)
{
    static const struct compact_source SOURCE = {copy, NULL};
    static uint8_t request[COMPACT_REQUEST_BYTES_MAX];
    struct compact_view view;
    bool honest = !edit(0, world.sent, world.sent_bytes) && (world.lies & world.known) == 0;
    enum status status = compact_open((struct bytes){world.sent, world.sent_bytes}, &view);
    REQUIRE(status == STATUS_OK || !honest);
    if (status != STATUS_OK || view.compact.header.body_bytes > BODY_BYTES_MAX) return;
    struct compact_slot *slot = compact_begin(book, 3, &view, 5, 0, &SOURCE);
    REQUIRE(slot);
    finish(book, slot, honest);
    if (!slot->used) return;
    size_t count = compact_request(slot, 3, 1, request);
    if (request[0] != MESSAGE_GET_COMMANDS) return;
    answer(request, count);
    if (world.answer_bytes == 0) return;
    honest = !edit(1, world.answer, world.answer_bytes) && honest;
    status = compact_answer(book, 3, (struct bytes){world.answer + 1, world.answer_bytes - 1});
    REQUIRE(status == STATUS_OK || !honest);
    if (status == STATUS_OK) finish(book, slot, honest);
    REQUIRE(!honest || !slot->used);
}

static void run(const uint8_t *data, size_t count)
{
    struct fuzz_input input = {data, count};
    struct compact_book book = {0};
    uint32_t system_count;
    choose(&input, &system_count);
    make_proposal(system_count);
    REQUIRE(compact_make((struct bytes){world.proposal, world.proposal_bytes}, is_new, NULL,
                         world.sent, sizeof world.sent, &world.sent_bytes));
    assemble(&book);
    compact_book_free(&book);
    check_compact(input.at, input.left);
    check_commands_request(input.at, input.left);
    check_block_commands(input.at, input.left);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    uint8_t front[9 + 4 * EDITS_MAX];
    if (count > 0 && !fuzz_odds(random, 3)) return fuzz_mutate_bytes(data, count, capacity);
    fuzz_fill(random, front, sizeof front);
    if (fuzz_odds(random, 2)) front[2] = front[3] = 0xff; /* all known */
    if (fuzz_odds(random, 2)) front[6] = front[7] = 0;    /* nobody lies */
    if (fuzz_odds(random, 2)) front[8] = 1;               /* one edit */
    return fuzz_splice(data, count, capacity, 0, count < sizeof front ? count : sizeof front, front,
                       sizeof front);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 4096,
    .allocation_base = 65536,
    .allocation_factor = 4,
    .init = init,
    .run = run,
    .mutate = mutate,
};
