/* api/bech32m.h - text with a checksum that people can copy: bech32m (BIP-350), and addresses in
 * it.
 *
 *   text = hrp | "1" | values, one character each | 6 characters of checksum       at most 90
 *
 * The checksum finds every 4 wrong characters and, unlike bech32, inserted or deleted ones. A
 * decoder takes all lower or all upper case (QR codes like the latter), never a mixture. An address
 * is the 32 bytes of apply/transaction.h as 52 values behind "cairn": always ADDRESS_TEXT_BYTES - 1
 * = 64 characters, written in lower case. Hex is never an address.
 */
#ifndef CAIRN_API_BECH32M_H
#define CAIRN_API_BECH32M_H

#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define BECH32M_TEXT_BYTES 91 /* with the NUL */
#define BECH32M_HRP_BYTES  84 /* with the NUL */
#define BECH32M_VALUES_MAX 82
#define ADDRESS_HRP        "cairn"
#define ADDRESS_BYTES      32
#define ADDRESS_TEXT_BYTES 65 /* with the NUL */

/* bech32m_encode writes lower-case text.
 *
 *   hrp     1..83 characters 33..126, none of them upper case
 *   values  [count], each 0..31
 *
 * STATUS_RANGE: a rule above is broken, or the text would exceed 90 characters. */
MUST_CHECK enum status bech32m_encode(const char *hrp, const uint8_t *values, size_t count,
                                      char out[BECH32M_TEXT_BYTES]);

/* bech32m_decode answers the hrp in lower case and the values without the checksum.
 *
 * STATUS_RANGE: fewer than 8 or more than 90 characters, or no hrp; STATUS_NONCANONICAL: a
 * character outside the alphabet, or mixed case; STATUS_BAD_HASH: the checksum is wrong (a typing
 * error). */
MUST_CHECK enum status bech32m_decode(const char *text, char hrp[BECH32M_HRP_BYTES],
                                      uint8_t values[BECH32M_VALUES_MAX], size_t *count);

/* address_format cannot fail: the lengths are fixed. */
void address_format(const uint8_t address[ADDRESS_BYTES], char out[ADDRESS_TEXT_BYTES]);

/* address_parse: STATUS_RANGE: not 64 characters; STATUS_NONCANONICAL: not behind "cairn1", mixed
 * case, a foreign character or bits set in the padding; STATUS_BAD_HASH: the checksum is wrong. */
MUST_CHECK enum status address_parse(const char *text, uint8_t address[ADDRESS_BYTES]);

#endif
