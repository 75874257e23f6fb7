/* bench link: two links on one thread, against the bare stream cipher.
 *
 *   build/bench/link [--rounds N] [--json]
 *
 * Subject: messages are queued at one link, link_next fills 64 KiB, link_receive takes them at the other,
 * each message is taken. Nothing is between the two, so it is the price of both ends together; a node pays
 * each half on its own machine. Reference, in the same round: crypto_secretstream push and pull of as many
 * bytes in frames of the same sizes. And the handshake, against its arithmetic alone.
 */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "log/signature.h"
#include "replica/link.h"

#define OUT_BYTES 65536
#define PART_MAX  16364

static struct bench bench = {.name = "link"};
static struct link *links[2];
static uint8_t out[OUT_BYTES];

static void must(enum status status)
{
    bench_must("link", status);
}

static size_t carry(int from)
{
    size_t count, used;
    link_next(links[from], out, sizeof out, &count);
    size_t messages = 0;
    for (size_t at = 0; at < count; at += used) {
        struct bytes message;
        must(link_receive(links[1 - from], out + at, count - at, &used));
        messages += link_take(links[1 - from], &message);
    }
    return count == 0 ? SIZE_MAX : messages;
}

static void links_close(void)
{
    link_close(links[0]);
    link_close(links[1]);
}

static void links_open(void)
{
    for (int i = 0; i < 2; i++) {
        static uint8_t secret[2][64];
        uint8_t seed[32] = {(uint8_t)(i + 1)}, key[32];
        signature_keypair(seed, secret[i], key);
        struct link_options options = {.secret_key = secret[i], .dials = i == 0};
        memset(options.ephemeral, i + 1, 32);
        for (int u = 0; u < NET_URGENCIES; u++) {
            options.message_bytes_max[u] = options.queue_bytes_max[u] = (size_t)64 << 20;
        }
        must(link_open(&links[i], &options));
    }
    for (int i = 0; i < 3; i++) {
        carry(i & 1);
    }
    assert(link_ready(links[0]) && link_ready(links[1]));
}

/* What a handshake cannot do without, of both ends: two X25519 keys and two products, two signatures and
 * their checks. */
static double bare_handshakes(size_t count)
{
    uint8_t scalar[32] = {9}, point[32], product[32], secret[64], key[32], signature[64];
    const uint8_t seed[32] = {5}, message[41] = {0};
    signature_keypair(seed, secret, key);
    double start = bench_seconds();
    for (size_t i = 0; i < 2 * count; i++) {
        crypto_scalarmult_base(point, scalar);
        int error = crypto_scalarmult(product, scalar, point);
        signature_make(secret, message, sizeof message, signature);
        assert(error == 0 && signature_verify(key, message, sizeof message, signature));
    }
    return bench_seconds() - start;
}

static void measure_handshakes(size_t count)
{
    static struct bench_rounds rounds;
    for (size_t i = 0; i < bench.rounds; i++) {
        double start = bench_seconds();
        for (size_t n = 0; n < count; n++) {
            links_open();
            links_close();
        }
        double ours = bench_seconds() - start;
        bench_round(&rounds, (double)count / ours, (double)count / bare_handshakes(count));
    }
    bench_report(&bench, "handshakes, both ends", "1/s", "their arithmetic alone", &rounds,
                 BENCH_AT_LEAST, 0);
}

/* Seconds for `count` copies of a parcel. */
static double subject(struct parcel *parcel, enum net_urgency urgency, size_t count)
{
    double start = bench_seconds();
    size_t came = 0;
    for (size_t sent = 0; came < count;) {
        for (int i = 0; i < 16 && sent < count; i++, sent++) {
            link_queue(links[0], urgency, parcel);
        }
        for (size_t messages; (messages = carry(0)) != SIZE_MAX;) {
            came += messages;
        }
    }
    return bench_seconds() - start;
}

static double reference(const uint8_t *bytes, size_t message_bytes, size_t count)
{
    static uint8_t plain[PART_MAX + 1];
    static crypto_secretstream_xchacha20poly1305_state push, pull;
    const uint8_t key[32] = {1}, header[24] = {0};
    crypto_secretstream_xchacha20poly1305_init_pull(&push, header, key);
    crypto_secretstream_xchacha20poly1305_init_pull(&pull, header, key);
    double start = bench_seconds();
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < message_bytes; at += PART_MAX) {
            size_t part = message_bytes - at < PART_MAX ? message_bytes - at : PART_MAX;
            uint8_t tag;
            crypto_secretstream_xchacha20poly1305_push(&push, out, NULL, bytes + at, part, NULL, 0,
                                                       0);
            int error = crypto_secretstream_xchacha20poly1305_pull(&pull, plain, NULL, &tag, out,
                                                                   part + 17, NULL, 0);
            assert(error == 0);
        }
    }
    return bench_seconds() - start;
}

static void measure(const char *metric, enum net_urgency urgency, size_t message_bytes,
                    size_t count)
{
    static struct bench_rounds rounds;
    uint8_t *bytes = calloc(1, message_bytes);
    assert(bytes);
    struct parcel *parcel = parcel_make((struct bytes){bytes, message_bytes});
    assert(parcel);
    double megabytes = (double)(message_bytes * count) / 1e6;
    subject(parcel, urgency, count);
    for (size_t i = 0; i < bench.rounds; i++) {
        double ours = subject(parcel, urgency, count);
        bench_round(&rounds, megabytes / ours, megabytes / reference(bytes, message_bytes, count));
    }
    bench_report(&bench, metric, "MB/s", "secretstream alone", &rounds, BENCH_AT_LEAST, 0);
    parcel_drop(parcel);
    free(bytes);
}

int main(int argc, char **argv)
{
    bench_options(&bench, argc, argv, NULL, 0);
    must(hash_init());
    links_open();
    measure("messages of 1 MiB, sent and received", NET_BLOCKS, 1 << 20, 64);
    measure("messages of 200 bytes, sent and received", NET_VOTES, 200, 100000);
    links_close();
    measure_handshakes(500);
    return 0;
}
