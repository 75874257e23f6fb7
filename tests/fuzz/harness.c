#include "tests/fuzz/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "log/hash.h"

/* Of the sanitizers' runtime; absent in other builds. */
int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
                                              void (*freed)(const volatile void *))
    __attribute__((weak));
size_t __sanitizer_get_allocated_size(const volatile void *at) __attribute__((weak));

static _Thread_local int64_t live_bytes, live_bytes_max; /* libFuzzer has a thread of its own */
static long slow_ms;

_Noreturn void fuzz_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

uint64_t fuzz_next(struct fuzz_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t fuzz_below(struct fuzz_random *random, uint64_t bound)
{
    REQUIRE(bound > 0);
    return fuzz_next(random) % bound;
}

bool fuzz_odds(struct fuzz_random *random, uint64_t n)
{
    return fuzz_below(random, n) == 0;
}

void fuzz_fill(struct fuzz_random *random, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = (uint8_t)fuzz_next(random);
    }
}

static uint64_t fuzz_number(struct fuzz_input *input, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width && input->left > 0; i++, input->left--) {
        value |= (uint64_t)*input->at++ << (8 * i);
    }
    return value;
}

uint8_t fuzz_u8(struct fuzz_input *input)
{
    return (uint8_t)fuzz_number(input, 1);
}

uint16_t fuzz_u16(struct fuzz_input *input)
{
    return (uint16_t)fuzz_number(input, 2);
}

uint32_t fuzz_u32(struct fuzz_input *input)
{
    return (uint32_t)fuzz_number(input, 4);
}

uint64_t fuzz_u64(struct fuzz_input *input)
{
    return fuzz_number(input, 8);
}

struct bytes fuzz_take(struct fuzz_input *input, size_t count)
{
    struct bytes taken = {input->at, count < input->left ? count : input->left};
    input->at += taken.count;
    input->left -= taken.count;
    return taken;
}

size_t fuzz_splice(uint8_t *data, size_t count, size_t capacity, size_t at, size_t old_bytes,
                   const uint8_t *with, size_t new_bytes)
{
    REQUIRE(at <= count && old_bytes <= count - at);
    if (count - old_bytes > capacity || new_bytes > capacity - (count - old_bytes)) return count;
    memmove(data + at + new_bytes, data + at + old_bytes, count - at - old_bytes);
    if (new_bytes > 0) memmove(data + at, with, new_bytes);
    return count - old_bytes + new_bytes;
}

size_t fuzz_mutate_bytes(uint8_t *data, size_t count, size_t capacity)
{
    return LLVMFuzzerMutate(data, count, capacity);
}

static void allocated(const volatile void *at, size_t count)
{
    (void)at;
    live_bytes += (int64_t)count;
    if (live_bytes > live_bytes_max) live_bytes_max = live_bytes;
}

static void freed(const volatile void *at)
{
    if (at) live_bytes -= (int64_t)__sanitizer_get_allocated_size(at);
}

static uint64_t cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *slow = getenv("CAIRN_FUZZ_SLOW_MS");
    if (slow) slow_ms = strtol(slow, NULL, 10);
    FUZZ_TARGET.init();
    /* The first hash of a thread allocates its context. */
    uint8_t hash[HASH_BYTES];
    sha256_tagged(0, hash, 0, hash);
    if (__sanitizer_install_malloc_and_free_hooks)
        REQUIRE(__sanitizer_install_malloc_and_free_hooks(allocated, freed) > 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count > FUZZ_TARGET.input_bytes_max) return 0;
    uint64_t start_us = slow_ms > 0 ? cpu_us() : 0;
    int64_t before = live_bytes_max = live_bytes;
    FUZZ_TARGET.run(data, count);
    size_t bound = FUZZ_TARGET.allocation_base + FUZZ_TARGET.allocation_factor * count;
    REQUIRE(live_bytes_max - before <= (int64_t)bound);
    if (slow_ms > 0) REQUIRE(cpu_us() - start_us <= (uint64_t)slow_ms * 1000);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t count, size_t capacity, unsigned seed)
{
    struct fuzz_random random = {seed};
    if (capacity > FUZZ_TARGET.input_bytes_max) capacity = FUZZ_TARGET.input_bytes_max;
    if (count > capacity) count = capacity;
    size_t rounds = 1;
    while (rounds < 6 && fuzz_odds(&random, 3))
        rounds++;
    for (size_t i = 0; i < rounds; i++) {
        count = FUZZ_TARGET.mutate(data, count, capacity, &random);
        REQUIRE(count <= capacity);
    }
    return count;
}
