/* Frames behind a handshake, against a naive model. A puppet (tests/support_link.h) that has the keys seals
 * whatever frames the input asks for: the link answers each as the model does, and messages come out as the
 * model has them. Garbage, repeated and changed frames give no message ever after. What the link has to send is
 * opened by the puppet: the frames that the model expects, from queues that lose what the model loses.
 *
 * Input: cut (1), then operations, below, with their choices. */
#include "tests/fuzz/harness.h"
#include "tests/support_link.h"

#define PART_MAX  LINK_TEST_PART_MAX
#define QUEUE_MAX 64
#define LAST      0x80
#define WORK_MAX  (512 * 1024) /* bytes that one input moves: it may move them one by one */

enum operation { FRAME, MESSAGE, QUEUE, NEXT, RAW, REPEAT, CHANGE, OPERATIONS };

static const size_t MESSAGE_MAX[NET_URGENCIES] = {300, 3 * PART_MAX + 7, PART_MAX, 2 * PART_MAX};
static const size_t WAIT_MAX[NET_URGENCIES] = {1000, 60000, 40000, 0};

struct waiting {
    size_t bytes, sent;
    uint8_t serial;
};

struct model {
    uint8_t partial[NET_URGENCIES][4 * PART_MAX];
    size_t partial_bytes[NET_URGENCIES];
    struct waiting queue[NET_URGENCIES][QUEUE_MAX];
    size_t queue_count[NET_URGENCIES];
    uint64_t messages_in, messages_out, dropped;
    size_t work;                 /* bytes sent and received */
    bool lost;                   /* the stream is out of step: no message may come any more */
    uint8_t frame[5 * PART_MAX]; /* the newest */
    size_t frame_bytes;          /* 0: none yet */
};

static struct link_node node[2];
static uint8_t ephemeral[32];
static uint8_t hello[76], confirm[208];
static struct puppet met; /* as it is after the handshake, which is the same every time */
static struct model model;

static struct link *link_make(void)
{
    struct link *link;
    struct link_options options = link_options_of(&node[0], LINK_TEST_CHAIN, false);
    memcpy(options.ephemeral, ephemeral, 32);
    memcpy(options.message_bytes_max, MESSAGE_MAX, sizeof MESSAGE_MAX);
    memcpy(options.queue_bytes_max, WAIT_MAX, sizeof WAIT_MAX);
    REQUIRE(link_open(&link, &options) == STATUS_OK);
    return link;
}

static void init(void)
{
    uint8_t heard[LINK_FRAME_BYTES], said[1024];
    size_t count, used;
    REQUIRE(hash_init() == STATUS_OK);
    link_node_init(&node[0], 1);
    link_node_init(&node[1], 2);
    memset(ephemeral, 1, 32);
    struct link *link = link_make();
    puppet_init(&met, &node[1], LINK_TEST_CHAIN, true, PUPPET_HONEST);
    memcpy(hello, said, puppet_hello(&met, said));
    REQUIRE(link_receive(link, hello, sizeof hello, &used) == STATUS_OK);
    link_next(link, heard, sizeof heard, &count);
    REQUIRE(puppet_confirm(&met, heard, said, &count));
    REQUIRE(count == sizeof confirm);
    memcpy(confirm, said, sizeof confirm);
    link_close(link);
}

static void fill(uint8_t *out, size_t count, uint8_t serial)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = (uint8_t)(i * 31 + (i >> 8) + serial * 7u);
    }
}

/* Sizes at which something changes are likely. */
static size_t size_of(struct fuzz_input *input)
{
    uint8_t kind = fuzz_u8(input);
    switch (kind % 4) {
    case 0: return fuzz_u8(input);
    case 1: return PART_MAX;
    case 2: return PART_MAX - 2 + (size_t)kind / 4 % 5;
    default: return fuzz_u16(input) % (4 * PART_MAX);
    }
}

/* ---- receiving ---- */

/* model_frame: what a frame that decrypts must be answered; *whole: it ends a message. */
static enum status model_frame(uint8_t tag, uint8_t head, const uint8_t *part, size_t count,
                               bool *whole)
{
    unsigned urgency = head & 0x7f;
    *whole = false;
    if (count < 1 || count > PART_MAX) return STATUS_RANGE;
    if (tag != 0 || urgency >= NET_URGENCIES) return STATUS_NONCANONICAL;
    if (!(head & LAST) && count != PART_MAX) return STATUS_NONCANONICAL;
    if (model.partial_bytes[urgency] + count > MESSAGE_MAX[urgency]) return STATUS_RANGE;
    memcpy(model.partial[urgency] + model.partial_bytes[urgency], part, count);
    model.partial_bytes[urgency] += count;
    *whole = (head & LAST) != 0;
    return STATUS_OK;
}

/* hear brings bytes in pieces. A message that comes must be the model's of that urgency, at most one of them. */
static enum status hear(struct link *link, const uint8_t *bytes, size_t count, size_t cut,
                        size_t *messages, unsigned urgency)
{
    enum status status = STATUS_OK;
    *messages = 0;
    model.work += count;
    for (size_t used; count > 0 && status == STATUS_OK; bytes += used, count -= used) {
        struct bytes message;
        status = link_receive(link, bytes, cut < count ? cut : count, &used);
        REQUIRE(used <= count);
        if (!link_take(link, &message)) continue;
        REQUIRE(status == STATUS_OK && !model.lost && *messages == 0);
        REQUIRE(message.count == model.partial_bytes[urgency]);
        REQUIRE(memcmp(message.at, model.partial[urgency], message.count) == 0);
        ++*messages;
    }
    return status;
}

static enum status do_frame(struct link *link, struct puppet *puppet, size_t cut, uint8_t tag,
                            uint8_t head, size_t count, const uint32_t *flip)
{
    static uint8_t part[4 * PART_MAX];
    static uint8_t serial;
    bool whole = false;
    size_t messages;
    fill(part, count, ++serial);
    model.frame_bytes = puppet_seal(puppet, tag, head, part, count, model.frame);
    if (flip) {
        model.frame[*flip / 8 % model.frame_bytes] ^= (uint8_t)(1u << *flip % 8);
        model.lost = true;
    }
    enum status expected = model.lost ? STATUS_OK : model_frame(tag, head, part, count, &whole);
    enum status status = hear(link, model.frame, model.frame_bytes, cut, &messages, head & 3);
    if (!model.lost) REQUIRE(status == expected);
    REQUIRE(messages == whole);
    if (whole) {
        model.partial_bytes[head & 3] = 0;
        model.messages_in++;
    }
    return status;
}

static enum status do_message(struct link *link, struct puppet *puppet, size_t cut,
                              struct fuzz_input *input)
{
    uint8_t urgency = fuzz_u8(input) % NET_URGENCIES;
    size_t left = size_of(input);
    enum status status = STATUS_OK;
    while (left > 0 && status == STATUS_OK) {
        size_t part = left < PART_MAX ? left : PART_MAX;
        uint8_t head = (uint8_t)(urgency | (part == left ? LAST : 0));
        status = do_frame(link, puppet, cut, 0, head, part, NULL);
        left -= part;
    }
    return status;
}

/* ---- sending ---- */

static void model_remove(unsigned urgency, size_t index)
{
    struct waiting *queue = model.queue[urgency];
    model.queue_count[urgency]--;
    memmove(queue + index, queue + index + 1, (model.queue_count[urgency] - index) * sizeof *queue);
}

static void do_queue(struct link *link, struct fuzz_input *input)
{
    static uint8_t bytes[4 * PART_MAX];
    unsigned urgency = fuzz_u8(input) % NET_URGENCIES;
    struct waiting *queue = model.queue[urgency];
    size_t count = size_of(input), *waiting = &model.queue_count[urgency];
    if (count == 0 || *waiting == QUEUE_MAX) return;
    uint8_t serial = fuzz_u8(input);
    fill(bytes, count, serial);
    struct parcel *parcel = parcel_make((struct bytes){bytes, count});
    REQUIRE(parcel != NULL);
    link_queue(link, urgency, parcel);
    parcel_drop(parcel);
    for (;;) {
        size_t total = count, oldest = *waiting > 0 && queue[0].sent > 0 ? 1 : 0;
        for (size_t i = 0; i < *waiting; i++) {
            total += queue[i].bytes;
        }
        if (total <= WAIT_MAX[urgency] || oldest >= *waiting) break;
        model_remove(urgency, oldest);
        model.dropped++;
    }
    queue[(*waiting)++] = (struct waiting){count, 0, serial};
}

/* model_next: the frame that must come now; false: there is none, or no room for it. */
static bool model_next(size_t room, uint8_t plain[1 + PART_MAX], size_t *count)
{
    static uint8_t bytes[4 * PART_MAX];
    unsigned urgency = 0;
    while (urgency < NET_URGENCIES && model.queue_count[urgency] == 0)
        urgency++;
    if (urgency == NET_URGENCIES) return false;
    struct waiting *first = &model.queue[urgency][0];
    size_t left = first->bytes - first->sent, part = left < PART_MAX ? left : PART_MAX;
    if (part + 20 > room) return false;
    fill(bytes, first->bytes, first->serial);
    plain[0] = (uint8_t)(urgency | (part == left ? LAST : 0));
    memcpy(plain + 1, bytes + first->sent, part);
    *count = 1 + part;
    first->sent += part;
    if (part == left) {
        model_remove(urgency, 0);
        model.messages_out++;
    }
    return true;
}

static void do_next(struct link *link, struct puppet *puppet, size_t capacity)
{
    static uint8_t out[2 * LINK_FRAME_BYTES], opened[LINK_FRAME_BYTES], expected[1 + PART_MAX];
    size_t count, at = 0, opened_count, expected_count;
    link_next(link, out, capacity, &count);
    REQUIRE(count <= capacity);
    model.work += count;
    while (model_next(capacity - at, expected, &expected_count)) {
        uint8_t tag;
        REQUIRE(count - at >= expected_count + 19 && load_u16(out + at) == expected_count + 17);
        REQUIRE(puppet_open(puppet, out + at, &tag, opened, &opened_count));
        REQUIRE(tag == 0 && opened_count == expected_count);
        REQUIRE(memcmp(opened, expected, expected_count) == 0);
        at += expected_count + 19;
    }
    REQUIRE(at == count);
}

/* ---- programs ---- */

static void check_stats(const struct link *link)
{
    struct link_stats stats;
    size_t queued = 0, held = 0;
    link_stats(link, &stats);
    for (unsigned u = 0; u < NET_URGENCIES; u++) {
        size_t whole = 0;
        held += model.partial_bytes[u];
        for (size_t i = 0; i < model.queue_count[u]; i++) {
            queued += model.queue[u][i].bytes - model.queue[u][i].sent;
            whole += model.queue[u][i].bytes;
        }
        size_t room = whole < WAIT_MAX[u] ? WAIT_MAX[u] - whole : 0;
        REQUIRE(link_room(link, u) == (link_ready(link) ? room : 0));
    }
    REQUIRE(stats.queued_bytes == queued && stats.dropped == model.dropped);
    REQUIRE(stats.messages_out == model.messages_out && stats.messages_in == model.messages_in);
    if (!model.lost) REQUIRE(stats.held_bytes == held);
}

static enum status step(struct link *link, struct puppet *puppet, size_t cut,
                        struct fuzz_input *input)
{
    size_t messages;
    switch (fuzz_u8(input) % OPERATIONS) {
    case FRAME: {
        uint8_t head = fuzz_u8(input), tag = fuzz_u8(input);
        size_t count = size_of(input);
        return do_frame(link, puppet, cut, tag < 250 ? 0 : tag & 3, head, count, NULL);
    }
    case MESSAGE: return do_message(link, puppet, cut, input);
    case QUEUE: do_queue(link, input); return STATUS_OK;
    case NEXT:
        do_next(link, puppet, LINK_FRAME_BYTES + (size_t)fuzz_u8(input) * 32);
        return STATUS_OK;
    case RAW: {
        struct bytes raw = fuzz_take(input, 1 + (size_t)fuzz_u8(input));
        model.lost |= raw.count > 0;
        return hear(link, raw.at, raw.count, cut, &messages, 0);
    }
    case REPEAT: {
        if (model.frame_bytes == 0) return STATUS_OK;
        bool in_step = !model.lost;
        model.lost = true;
        enum status status = hear(link, model.frame, model.frame_bytes, cut, &messages, 0);
        if (in_step) REQUIRE(status == STATUS_BAD_SIGNATURE);
        return status;
    }
    default: {
        uint32_t flip = fuzz_u16(input);
        uint8_t head = fuzz_u8(input) & 0x83;
        return do_frame(link, puppet, cut, 0, head, size_of(input), &flip);
    }
    }
}

static void run(const uint8_t *data, size_t count)
{
    struct fuzz_input input = {data, count};
    struct puppet puppet = met;
    uint8_t heard[LINK_FRAME_BYTES];
    size_t used, heard_count, cut = 1 + (size_t)fuzz_u8(&input) * 97;
    enum status status = STATUS_OK;
    struct link *link = link_make();
    memset(&model, 0, sizeof model);
    REQUIRE(link_receive(link, hello, sizeof hello, &used) == STATUS_OK);
    link_next(link, heard, sizeof heard, &heard_count);
    REQUIRE(link_receive(link, confirm, sizeof confirm, &used) == STATUS_OK && link_ready(link));
    while (input.left > 0 && status == STATUS_OK && model.work < WORK_MAX) {
        status = step(link, &puppet, cut, &input);
        check_stats(link);
    }
    if (status != STATUS_OK) {
        link_next(link, heard, sizeof heard, &heard_count);
        REQUIRE(heard_count == 0 && !link_ready(link));
        REQUIRE(link_receive(link, heard, 1, &used) == status && used == 0);
    }
    link_close(link);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    uint8_t steps[24];
    size_t bytes = 0;
    if (count == 0 || fuzz_odds(random, 3)) {
        /* One operation whole, with choices that are mostly good. */
        steps[0] = (uint8_t)fuzz_below(random, fuzz_odds(random, 8) ? OPERATIONS : RAW);
        fuzz_fill(random, steps + 1, sizeof steps - 1);
        if (steps[0] == FRAME) {
            if (!fuzz_odds(random, 8)) steps[1] &= 0x83;
            if (!fuzz_odds(random, 8)) steps[2] = 0;
        }
        bytes = steps[0] == FRAME ? 6 : steps[0] == NEXT ? 2 : steps[0] == MESSAGE ? 5 : 6;
        size_t at = count == 0 ? 0 : fuzz_odds(random, 2) ? count : fuzz_below(random, count) + 1;
        if (count == 0 && capacity > 0) data[0] = (uint8_t)fuzz_next(random), count = at = 1;
        return fuzz_splice(data, count, capacity, at < count ? at : count, 0, steps, bytes);
    }
    return fuzz_mutate_bytes(data, count, capacity);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 512,
    .allocation_base = 1024 * 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
