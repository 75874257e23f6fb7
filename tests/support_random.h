/* tests/support_random.h - a small deterministic generator (xorshift64*), seeded by each test.
 *
 * A test includes it once and sets `seed`, which is not 0; the same seed gives the same numbers.
 */
#ifndef CAIRN_TESTS_SUPPORT_RANDOM_H
#define CAIRN_TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

static uint64_t seed;
static uint32_t pick(uint32_t below)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (uint32_t)((seed * UINT64_C(2685821657736338717)) >> 33) % below;
}

#endif
