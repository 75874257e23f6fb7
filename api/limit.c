#include "api/limit.h"

#include <assert.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SETS         1024
#define SET_PLACES   8
#define MICROS_PER_S UINT64_C(1000000)

struct place {
    uint64_t key; /* 0: free */
    uint64_t seen_us;
    uint64_t tokens_micro; /* millionths of a token */
    unsigned connections;
};

struct limit {
    struct limit_options options;
    unsigned connections;
    unsigned char hash_key[crypto_shorthash_KEYBYTES];
    struct place places[SETS][SET_PLACES];
};

enum status limit_open(struct limit **limit, const struct limit_options *options)
{
    *limit = calloc(1, sizeof **limit);
    if (!*limit) return STATUS_NO_MEMORY;
    (*limit)->options = *options;
    randombytes_buf((*limit)->hash_key, sizeof(*limit)->hash_key);
    return STATUS_OK;
}

void limit_close(struct limit *limit)
{
    free(limit);
}

uint64_t limit_key(const struct limit *limit, const struct sockaddr *address)
{
    unsigned char name[1 + 16] = {0};
    size_t count = 1;
    if (address && address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        name[0] = 4;
        memcpy(name + 1, &v4->sin_addr, 4);
        count = 5;
    } else if (address && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        name[0] = 6;
        memcpy(name + 1, &v6->sin6_addr, 8);
        count = 9;
    }
    uint64_t key;
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, name, count, limit->hash_key);
    memcpy(&key, hash, sizeof key);
    return key | 1;
}

static struct place *place_of(struct limit *limit, uint64_t key, uint64_t now_us)
{
    struct place *set = limit->places[(key >> 1) % SETS], *oldest = NULL;
    for (size_t i = 0; i < SET_PLACES; i++) {
        if (set[i].key == key) return &set[i];
        if (set[i].key != 0 && set[i].connections > 0) continue;
        if (!oldest || set[i].seen_us < oldest->seen_us) oldest = &set[i];
    }
    if (!oldest) return NULL;
    *oldest = (struct place){
        .key = key, .seen_us = now_us, .tokens_micro = limit->options.tokens_max * MICROS_PER_S};
    return oldest;
}

bool limit_may_connect(struct limit *limit, uint64_t key, uint64_t now_us)
{
    if (limit->connections >= limit->options.connections_max) return false;
    struct place *place = place_of(limit, key, now_us);
    /* A set full of connected addresses refuses newcomers: without a place nothing can be counted. */
    if (!place) return false;
    return limit->options.per_address_max == 0 ||
           place->connections < limit->options.per_address_max;
}

void limit_connect(struct limit *limit, uint64_t key, uint64_t now_us)
{
    limit->connections++;
    struct place *place = place_of(limit, key, now_us);
    if (place) place->connections++;
}

void limit_disconnect(struct limit *limit, uint64_t key, uint64_t now_us)
{
    assert(limit->connections > 0);
    limit->connections--;
    struct place *place = place_of(limit, key, now_us);
    if (place && place->connections > 0) place->connections--;
}

unsigned limit_connections(const struct limit *limit)
{
    return limit->connections;
}

static void refill(const struct limit *limit, struct place *place, uint64_t now_us)
{
    uint64_t full = limit->options.tokens_max * MICROS_PER_S;
    uint64_t passed = now_us > place->seen_us ? now_us - place->seen_us : 0;
    uint64_t room = full - place->tokens_micro;
    place->seen_us = now_us;
    if (passed >= room / limit->options.tokens_per_s + 1)
        place->tokens_micro = full;
    else
        place->tokens_micro += passed * limit->options.tokens_per_s;
}

bool limit_take(struct limit *limit, uint64_t key, unsigned tokens, uint64_t now_us,
                unsigned *wait_s, unsigned *left)
{
    *wait_s = 0;
    *left = limit->options.tokens_max;
    if (limit->options.tokens_per_s == 0 || tokens == 0) return true;
    struct place *place = place_of(limit, key, now_us);
    if (!place) return true;
    refill(limit, place, now_us);
    uint64_t wanted = tokens * MICROS_PER_S;
    if (place->tokens_micro < wanted) {
        uint64_t missing = wanted - place->tokens_micro;
        uint64_t per_s = limit->options.tokens_per_s * MICROS_PER_S;
        *wait_s = (unsigned)((missing + per_s - 1) / per_s);
        *left = (unsigned)(place->tokens_micro / MICROS_PER_S);
        return false;
    }
    place->tokens_micro -= wanted;
    *left = (unsigned)(place->tokens_micro / MICROS_PER_S);
    return true;
}
