/* log/amount.h - checked arithmetic on amounts of base units.
 *
 * An amount is a uint64_t of base units, 0 <= amount <= AMOUNT_MAX, 10^9 base units to the coin.
 * Nothing wraps: each function answers STATUS_OVERFLOW and leaves its result untouched. Rates are
 * basis points (10,000 to the whole). Divisions round down; the caller places the remainder.
 */
#ifndef CAIRN_LOG_AMOUNT_H
#define CAIRN_LOG_AMOUNT_H

#include <stdint.h>

#include "log/status.h"

#define AMOUNT_MAX      UINT64_C(9223372036854775807) /* 2^63 - 1: sums of two never wrap */
#define AMOUNT_PER_COIN UINT64_C(1000000000)
#define BASIS_POINTS    UINT64_C(10000)

/* amount_add: *sum = a + b. STATUS_OVERFLOW: the sum exceeds AMOUNT_MAX. */
MUST_CHECK static inline enum status amount_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    if (a > AMOUNT_MAX || b > AMOUNT_MAX - a) return STATUS_OVERFLOW;
    *sum = a + b;
    return STATUS_OK;
}

/* amount_sub: *difference = a - b. STATUS_OVERFLOW: b > a. */
MUST_CHECK static inline enum status amount_sub(uint64_t a, uint64_t b, uint64_t *difference)
{
    if (b > a) return STATUS_OVERFLOW;
    *difference = a - b;
    return STATUS_OK;
}

/* amount_mul: *product = a * b. STATUS_OVERFLOW: the product exceeds AMOUNT_MAX. */
MUST_CHECK static inline enum status amount_mul(uint64_t a, uint64_t b, uint64_t *product)
{
    u128 wide = (u128)a * b;
    if (wide > AMOUNT_MAX) return STATUS_OVERFLOW;
    *product = (uint64_t)wide;
    return STATUS_OK;
}

/* share_floor: *share = floor(amount * part / whole), the product 128 bits wide.
 * The caller places the remainder. STATUS_OVERFLOW: whole is 0 or part > whole. */
MUST_CHECK static inline enum status share_floor(uint64_t amount, uint64_t part, uint64_t whole,
                                                 uint64_t *share)
{
    if (whole == 0 || part > whole) return STATUS_OVERFLOW;
    *share = (uint64_t)((u128)amount * part / whole);
    return STATUS_OK;
}

#endif
