/* log/signature_table.h - edge cases of the signature rule with their verdicts, for the self-test.
 *
 * The table is made by tools/make_signature_table.py from the rules of log/signature.h alone; it is
 * small so that every start can afford it.
 */
#ifndef CAIRN_LOG_SIGNATURE_TABLE_H
#define CAIRN_LOG_SIGNATURE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct signature_case {
    const char *claim;
    bool valid;
    uint8_t key[32];
    uint8_t message[8];
    uint8_t signature[64];
};

extern const struct signature_case SIGNATURE_TABLE[];
extern const size_t SIGNATURE_TABLE_COUNT;

#endif
