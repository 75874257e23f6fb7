/* F13. Sequences of mempool operations against the naive model (tests/support_mempool.h): every
 * answer, every pick, every departure, and the pool's own invariants every few steps.
 * The pool is opened once and emptied after each input: opening takes longer than most inputs.
 *
 * Input: the choices, one byte each (two where more than 256 ways lead on). */
#include "log/hash.h"
#include "tests/fuzz/harness.h"
#include "tests/support_mempool.h"

static struct mempool *pool;

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
    REQUIRE(mempool_model_open(&pool) == STATUS_OK);
}

static uint64_t choose(void *context, uint64_t bound)
{
    struct fuzz_input *input = context;
    return (bound > 256 ? fuzz_u16(input) : fuzz_u8(input)) % bound;
}

static void run(const uint8_t *data, size_t count)
{
    struct fuzz_input input = {data, count};
    struct mempool_model model = {.choose = choose, .context = &input, .compare_every = 16};
    const char *fault = NULL;
    mempool_model_start(&model, pool);
    while (input.left > 0 && !fault) {
        fault = mempool_model_step(&model);
    }
    if (!fault) fault = mempool_model_empty(&model);
    if (fault) fuzz_fail(__FILE__, __LINE__, fault);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    uint8_t steps[64];
    if (count > 0 && !fuzz_odds(random, 3)) return fuzz_mutate_bytes(data, count, capacity);
    size_t bytes = 1 + fuzz_below(random, sizeof steps);
    fuzz_fill(random, steps, bytes);
    return fuzz_splice(data, count, capacity, fuzz_below(random, count + 1), 0, steps, bytes);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 320,
    .init = init,
    .run = run,
    .mutate = mutate,
};
