/* tests/fuzz/harness.h - what every fuzz target shares.
 *
 * A target is one struct fuzz_target named FUZZ_TARGET. It is linked with one of two mains:
 *
 *   libFuzzer   -DCAIRN_FUZZ=ON, clang: coverage-guided, for the long runs (tests/fuzz/run.sh)
 *   replay.c    every other build: all inputs of a corpus, then a fixed number of seeded mutations of
 *               them; deterministic, part of the test run
 *
 * The harness holds for each input: a wrong answer aborts (REQUIRE); the allocations of the code
 * under test stay below the target's bound (where the sanitizers count them); with
 * CAIRN_FUZZ_SLOW_MS in the environment, no input takes more CPU time than that.
 */
#ifndef CAIRN_TESTS_FUZZ_HARNESS_H
#define CAIRN_TESTS_FUZZ_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "log/bytes.h"

#define FUZZ_INPUT_BYTES_MAX (256 * 1024)

/* A wrong answer must end the run, in every build. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) fuzz_fail(__FILE__, __LINE__, #condition);                               \
    } while (0)

_Noreturn void fuzz_fail(const char *file, int line, const char *condition);

struct fuzz_random {
    uint64_t state;
};

uint64_t fuzz_next(struct fuzz_random *random);
/* fuzz_below: a number below `bound`, which is at least 1. */
uint64_t fuzz_below(struct fuzz_random *random, uint64_t bound);
/* fuzz_odds: true once in `n` times. */
bool fuzz_odds(struct fuzz_random *random, uint64_t n);
void fuzz_fill(struct fuzz_random *random, uint8_t *out, size_t count);

/* An input read as a program: beyond its end every number is 0. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

uint8_t fuzz_u8(struct fuzz_input *input);
uint16_t fuzz_u16(struct fuzz_input *input);
uint32_t fuzz_u32(struct fuzz_input *input);
uint64_t fuzz_u64(struct fuzz_input *input);
/* fuzz_take: `count` bytes, or as many as there are. */
struct bytes fuzz_take(struct fuzz_input *input, size_t count);

struct fuzz_target {
    size_t input_bytes_max; /* longer inputs are not looked at */
    /* Live bytes that one input may add, at most: base + factor * input. */
    size_t allocation_base, allocation_factor;
    void (*init)(void);
    void (*run)(const uint8_t *data, size_t count);
    /* mutate changes an input in place, or makes one of nothing (count 0), and answers its length. */
    size_t (*mutate)(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random);
};

extern const struct fuzz_target FUZZ_TARGET;

/* fuzz_splice replaces [at, at + old_bytes) by new_bytes of `with` and answers the new length, or the
 * old one, with nothing changed, where there is no room. */
size_t fuzz_splice(uint8_t *data, size_t count, size_t capacity, size_t at, size_t old_bytes,
                   const uint8_t *with, size_t new_bytes);

/* fuzz_mutate_bytes changes bytes without a look at what they mean (libFuzzer's own mutations, or
 * those of replay.c). */
size_t fuzz_mutate_bytes(uint8_t *data, size_t count, size_t capacity);

/* The interface of libFuzzer. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t count, size_t capacity, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t count, size_t capacity);

#endif
