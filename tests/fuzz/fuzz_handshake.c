/* The handshake of a link against a puppet (tests/support_link.h) whose words are changed: on the way, or
 * before it computes anything from them itself, so that everything else about them is right. A link is ready
 * only if nothing was changed, except what a later release may say or X25519 ignores; and then both have the
 * same keys.
 *
 * Input: flags (1), cut (1), then edits of three bytes: where, offset, what is added by exclusive or. With the
 * flag RAW the rest is what the link hears instead. */
#include <sodium.h>

#include "tests/fuzz/harness.h"
#include "tests/support_link.h"

#define FRONT_BYTES 2

enum flag {
    FLAG_DIALS = 1,  /* the link does */
    FLAG_CLAIM = 2,  /* the puppet makes one */
    FLAG_KNOWN = 4,  /* the link knows whom it expects: the puppet */
    FLAG_OTHER = 8,  /* the link expects another one */
    FLAG_SIGNS = 16, /* an identity is signed as it was changed, else changed as it was signed */
    FLAG_SELF = 32,  /* the puppet has the link's key */
    FLAG_RAW = 64,
};

enum where { ON_THE_WAY, ON_THE_WAY_LATER, IN_HELLO, IN_IDENTITY, WHERES };

static struct link_node node[3];
static uint8_t ephemeral[2][32];
static struct link_claim claim;

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
    for (uint8_t i = 0; i < 3; i++) {
        link_node_init(&node[i], (uint8_t)(i + 1));
        if (i < 2) memset(ephemeral[i], i + 1, 32);
    }
    claim = link_claim_make(&node[1], LINK_TEST_CHAIN);
}

static struct link *link_make(uint8_t flags)
{
    struct link *link;
    struct link_options options =
        link_options_of(&node[0], LINK_TEST_CHAIN, (flags & FLAG_DIALS) != 0);
    memcpy(options.ephemeral, ephemeral[0], 32);
    options.peer_is_known = (flags & (FLAG_KNOWN | FLAG_OTHER)) != 0;
    memcpy(options.peer_key, node[flags & FLAG_OTHER ? 2 : 1].secret + 32, 32);
    REQUIRE(link_open(&link, &options) == STATUS_OK);
    return link;
}

/* hear brings bytes in pieces of `cut`; the link's answer to each goes to `out`. */
static enum status hear(struct link *link, struct bytes bytes, size_t cut, uint8_t *out,
                        size_t *out_count)
{
    enum status status = STATUS_OK;
    struct bytes message;
    *out_count = 0;
    for (size_t used; bytes.count > 0 && status == STATUS_OK;) {
        size_t count;
        status = link_receive(link, bytes.at, cut < bytes.count ? cut : bytes.count, &used);
        REQUIRE(used <= bytes.count && (used > 0 || status != STATUS_OK));
        REQUIRE(!link_take(link, &message));
        link_next(link, out + *out_count, LINK_FRAME_BYTES, &count);
        REQUIRE(status == STATUS_OK || count == 0);
        *out_count += count;
        bytes.at += used;
        bytes.count -= used;
    }
    return status;
}

/* same_keys: what the link seals, the puppet opens, and the other way round. */
static bool same_keys(struct link *link, struct puppet *puppet)
{
    uint8_t frame[LINK_FRAME_BYTES], plain[LINK_FRAME_BYTES], tag;
    struct bytes message = {(const uint8_t *)"hello", 5};
    struct parcel *parcel = parcel_make(message);
    size_t count, used;
    REQUIRE(parcel != NULL);
    link_queue(link, NET_VOTES, parcel);
    parcel_drop(parcel);
    link_next(link, frame, sizeof frame, &count);
    if (!puppet_open(puppet, frame, &tag, plain, &count) || count != 6) return false;
    count = puppet_seal(puppet, 0, 0x80, message.at, 5, frame);
    return link_receive(link, frame, count, &used) == STATUS_OK && link_take(link, &message);
}

/* The verdict about a hello that is in itself well made, from its declaration; STATUS_OK: the rest decides. */
static enum status hello_verdict(const uint8_t *edit)
{
    uint16_t lowest = 1 ^ load_u16(edit + 8), highest = 1 ^ load_u16(edit + 10);
    if (!sodium_is_zero(edit, 8)) return STATUS_NONCANONICAL;
    if (lowest == 0 || highest == 0) return STATUS_RANGE;
    if (lowest > highest) return STATUS_NONCANONICAL;
    if (!sodium_is_zero(edit + 12, 32)) return STATUS_WRONG_CHAIN;
    return lowest > 1 ? STATUS_UNSUPPORTED : STATUS_OK;
}

static enum status answer_verdict(const uint8_t *edit)
{
    uint16_t version = 1 ^ load_u16(edit);
    return version == 0 ? STATUS_RANGE : version != 1 ? STATUS_UNSUPPORTED : STATUS_OK;
}

static bool key_is_the_same(const uint8_t edit[32])
{
    return sodium_is_zero(edit, 31) && (edit[31] & 0x7f) == 0;
}

static void judge(struct link *link, struct puppet *puppet, uint8_t flags, enum status status,
                  uint8_t edits[WHERES][256], bool heard_all)
{
    const uint8_t *hello = edits[IN_HELLO];
    bool dials = (flags & FLAG_DIALS) != 0, ready = link_ready(link);
    bool on_the_way =
        !sodium_is_zero(edits[ON_THE_WAY], 256) || !sodium_is_zero(edits[ON_THE_WAY_LATER], 256);
    REQUIRE(ready == (heard_all && status == STATUS_OK));
    enum status first = dials ? answer_verdict(hello) : hello_verdict(hello);
    if (!on_the_way && first != STATUS_OK) REQUIRE(status == first);
    bool honest = !on_the_way && first == STATUS_OK && key_is_the_same(hello + (dials ? 2 : 44)) &&
                  sodium_is_zero(edits[IN_IDENTITY], 256);
    if (!ready) {
        REQUIRE(!honest || (flags & (FLAG_OTHER | FLAG_SELF)));
        if (honest)
            REQUIRE(status ==
                    (flags & (FLAG_KNOWN | FLAG_OTHER) ? STATUS_BAD_SIGNATURE : STATUS_EXISTS));
        return;
    }
    REQUIRE(honest && !(flags & (FLAG_OTHER | FLAG_SELF)));
    REQUIRE(memcmp(link_peer_key(link), node[1].secret + 32, 32) == 0);
    const uint8_t *consensus_key = link_peer_consensus_key(link);
    REQUIRE((consensus_key != NULL) == ((flags & FLAG_CLAIM) != 0));
    if (consensus_key) REQUIRE(memcmp(consensus_key, claim.consensus_key, 32) == 0);
    REQUIRE(same_keys(link, puppet));
}

static void change(uint8_t *bytes, size_t count, const uint8_t *edit)
{
    for (size_t i = 0; i < count; i++) {
        bytes[i] ^= edit[i];
    }
}

static void run_edited(struct fuzz_input *input, uint8_t flags, size_t cut)
{
    static uint8_t edits[WHERES][256];
    uint8_t said[1024], heard[4 * LINK_FRAME_BYTES];
    struct puppet puppet;
    size_t count, heard_count;
    bool dials = (flags & FLAG_DIALS) != 0, heard_all = false;
    memset(edits, 0, sizeof edits);
    size_t lengths[WHERES] = {dials ? 242 : 76, dials ? 0 : 208, dials ? 34 : 76, 192};
    while (input->left >= 3) {
        uint8_t where = fuzz_u8(input) % WHERES, offset = fuzz_u8(input), what = fuzz_u8(input);
        if (lengths[where] > 0) edits[where][offset % lengths[where]] ^= what;
    }
    struct link *link = link_make(flags);
    puppet_init(&puppet, &node[flags & FLAG_SELF ? 0 : 1], LINK_TEST_CHAIN, !dials, PUPPET_HONEST);
    memcpy(puppet.ephemeral, ephemeral[1], 32);
    memcpy(puppet.hello_edit, edits[IN_HELLO], sizeof puppet.hello_edit);
    memcpy(puppet.identity_edit, edits[IN_IDENTITY], sizeof puppet.identity_edit);
    puppet.edit_before_signature = (flags & FLAG_SIGNS) != 0;
    if (flags & FLAG_CLAIM) puppet.claim = claim;
    enum status status = STATUS_OK;
    if (dials) {
        link_next(link, heard, LINK_FRAME_BYTES, &count);
        REQUIRE(count == 76);
        REQUIRE(puppet_answer(&puppet, heard, said, &count));
        change(said, count, edits[ON_THE_WAY]);
        status = hear(link, (struct bytes){said, count}, cut, heard, &heard_count);
        heard_all = true;
        if (status == STATUS_OK) REQUIRE(puppet_finish(&puppet, heard));
    } else {
        count = puppet_hello(&puppet, said);
        change(said, count, edits[ON_THE_WAY]);
        status = hear(link, (struct bytes){said, count}, cut, heard, &heard_count);
        if (status == STATUS_OK && puppet_confirm(&puppet, heard, said, &count)) {
            change(said, count, edits[ON_THE_WAY_LATER]);
            status = hear(link, (struct bytes){said, count}, cut, heard, &heard_count);
            heard_all = true;
        }
    }
    judge(link, &puppet, flags, status, edits, heard_all);
    link_close(link);
}

static void run_raw(struct fuzz_input *input, uint8_t flags, size_t cut)
{
    static uint8_t heard[FUZZ_INPUT_BYTES_MAX];
    size_t heard_count;
    struct link *link = link_make(flags);
    struct bytes bytes = fuzz_take(input, 4096);
    enum status status = hear(link, bytes, cut, heard, &heard_count);
    REQUIRE(!link_ready(link));
    REQUIRE(heard_count <= LINK_HELLO_BYTES_MAX);
    struct link_stats stats;
    link_stats(link, &stats);
    REQUIRE(stats.bytes_in <= LINK_HELLO_BYTES_MAX);
    REQUIRE(status != STATUS_OK || stats.bytes_in == bytes.count);
    link_close(link);
}

static void run(const uint8_t *data, size_t count)
{
    struct fuzz_input input = {data, count};
    uint8_t flags = fuzz_u8(&input);
    size_t cut = 1 + (size_t)fuzz_u8(&input);
    if (flags & FLAG_RAW)
        run_raw(&input, flags, cut);
    else
        run_edited(&input, flags, cut);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    /* First and last bytes of fields, in any of the messages. */
    static const uint8_t EDGES[] = {0,  1,  2,  7,  8,  9,  10, 11,  12,  31,  32,  33,
                                    34, 43, 44, 63, 64, 75, 96, 127, 128, 159, 160, 191};
    uint8_t edit[3];
    if (capacity < FRONT_BYTES) return count;
    if (count < FRONT_BYTES || fuzz_odds(random, 4)) {
        /* Flags that let it come far are likely. */
        data[0] = (uint8_t)(fuzz_next(random) & (fuzz_odds(random, 4) ? 0x7f : 0x17));
        data[1] = fuzz_odds(random, 2) ? 255 : (uint8_t)fuzz_next(random);
        if (count < FRONT_BYTES) count = FRONT_BYTES;
    }
    if (data[0] & FLAG_RAW) {
        struct puppet puppet;
        uint8_t hello[1024];
        if (!fuzz_odds(random, 3)) return fuzz_mutate_bytes(data, count, capacity);
        puppet_init(&puppet, &node[1], LINK_TEST_CHAIN, true, PUPPET_HONEST);
        memcpy(puppet.ephemeral, ephemeral[1], 32);
        return fuzz_splice(data, count, capacity, FRONT_BYTES, count - FRONT_BYTES, hello,
                           puppet_hello(&puppet, hello));
    }
    switch (fuzz_below(random, 4)) {
    case 0: /* one edit less */
        if (count >= FRONT_BYTES + 3)
            return fuzz_splice(data, count, capacity, FRONT_BYTES, 3, NULL, 0);
        return count;
    case 1: return FRONT_BYTES;
    default:
        edit[0] = (uint8_t)fuzz_below(random, WHERES);
        edit[1] = fuzz_odds(random, 2) ? EDGES[fuzz_below(random, sizeof EDGES)]
                                       : (uint8_t)fuzz_next(random);
        edit[2] = fuzz_odds(random, 2) ? (uint8_t)(1u << fuzz_below(random, 8))
                                       : (uint8_t)fuzz_next(random);
        return fuzz_splice(data, count, capacity, FRONT_BYTES, 0, edit, 3);
    }
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 1024,
    .allocation_base = 160 * 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
