#include "api/bech32m.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define TEXT_MIN       8
#define TEXT_MAX       90
#define CHECKSUM_COUNT 6
#define ADDRESS_VALUES 52 /* 32 bytes in groups of five bits, the last four bits are padding */

/* BIP-350: the checksum's residue; bech32 has 1 here. */
#define BECH32M_RESIDUE 0x2bc830a3u

static const char ALPHABET[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* One step of the BCH code over GF(32), BIP-173. */
static uint32_t polymod_step(uint32_t sum, uint8_t value)
{
    static const uint32_t GENERATOR[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                          0x2a1462b3};
    uint32_t top = sum >> 25;
    sum = (sum & 0x1ffffff) << 5 ^ value;
    for (unsigned i = 0; i < 5; i++) {
        if (top >> i & 1) sum ^= GENERATOR[i];
    }
    return sum;
}

static uint32_t polymod_hrp(const char *hrp)
{
    uint32_t sum = 1;
    for (const char *c = hrp; *c; c++) {
        sum = polymod_step(sum, (uint8_t)*c >> 5);
    }
    sum = polymod_step(sum, 0);
    for (const char *c = hrp; *c; c++) {
        sum = polymod_step(sum, (uint8_t)*c & 31);
    }
    return sum;
}

enum status bech32m_encode(const char *hrp, const uint8_t *values, size_t count,
                           char out[BECH32M_TEXT_BYTES])
{
    size_t hrp_count = strnlen(hrp, BECH32M_HRP_BYTES);
    if (hrp_count == 0 || hrp_count >= BECH32M_HRP_BYTES || count > BECH32M_VALUES_MAX ||
        hrp_count + 1 + count + CHECKSUM_COUNT > TEXT_MAX)
        return STATUS_RANGE;
    for (size_t i = 0; i < hrp_count; i++) {
        if (hrp[i] < 33 || hrp[i] > 126 || (hrp[i] >= 'A' && hrp[i] <= 'Z')) return STATUS_RANGE;
    }
    char *at = out;
    memcpy(at, hrp, hrp_count);
    at += hrp_count;
    *at++ = '1';
    uint32_t sum = polymod_hrp(hrp);
    for (size_t i = 0; i < count; i++) {
        if (values[i] > 31) return STATUS_RANGE;
        sum = polymod_step(sum, values[i]);
        *at++ = ALPHABET[values[i]];
    }
    for (int i = 0; i < CHECKSUM_COUNT; i++) {
        sum = polymod_step(sum, 0);
    }
    sum ^= BECH32M_RESIDUE;
    for (int i = 0; i < CHECKSUM_COUNT; i++) {
        *at++ = ALPHABET[sum >> (5 * (CHECKSUM_COUNT - 1 - i)) & 31];
    }
    *at = 0;
    return STATUS_OK;
}

/* Copies into lower case. false: a character outside 33..126, or both cases. */
static bool fold_case(const char *text, size_t count, char out[TEXT_MAX + 1])
{
    bool upper = false, lower = false;
    for (size_t i = 0; i < count; i++) {
        char c = text[i];
        if (c < 33 || c > 126) return false;
        if (c >= 'a' && c <= 'z') lower = true;
        if (c >= 'A' && c <= 'Z') {
            upper = true;
            c = (char)(c + ('a' - 'A'));
        }
        out[i] = c;
    }
    out[count] = 0;
    return !(upper && lower);
}

enum status bech32m_decode(const char *text, char hrp[BECH32M_HRP_BYTES],
                           uint8_t values[BECH32M_VALUES_MAX], size_t *count)
{
    char folded[TEXT_MAX + 1];
    size_t text_count = strnlen(text, TEXT_MAX + 1);
    if (text_count < TEXT_MIN || text_count > TEXT_MAX) return STATUS_RANGE;
    if (!fold_case(text, text_count, folded)) return STATUS_NONCANONICAL;
    const char *one = strrchr(folded, '1');
    if (!one || one == folded) return STATUS_RANGE;
    size_t hrp_count = (size_t)(one - folded);
    size_t values_count = text_count - hrp_count - 1;
    if (values_count < CHECKSUM_COUNT) return STATUS_RANGE;
    memcpy(hrp, folded, hrp_count);
    hrp[hrp_count] = 0;

    uint32_t sum = polymod_hrp(hrp);
    for (size_t i = 0; i < values_count; i++) {
        const char *letter = strchr(ALPHABET, one[1 + i]);
        if (!letter) return STATUS_NONCANONICAL;
        uint8_t value = (uint8_t)(letter - ALPHABET);
        sum = polymod_step(sum, value);
        if (i < values_count - CHECKSUM_COUNT) values[i] = value;
    }
    if (sum != BECH32M_RESIDUE) return STATUS_BAD_HASH;
    *count = values_count - CHECKSUM_COUNT;
    return STATUS_OK;
}

void address_format(const uint8_t address[ADDRESS_BYTES], char out[ADDRESS_TEXT_BYTES])
{
    uint8_t values[ADDRESS_VALUES] = {0};
    for (size_t bit = 0; bit < ADDRESS_BYTES * 8; bit++) {
        unsigned set = address[bit / 8] >> (7 - bit % 8) & 1;
        values[bit / 5] = (uint8_t)(values[bit / 5] | set << (4 - bit % 5));
    }
    char text[BECH32M_TEXT_BYTES];
    enum status status = bech32m_encode(ADDRESS_HRP, values, ADDRESS_VALUES, text);
    assert(status == STATUS_OK);
    assert(strlen(text) == ADDRESS_TEXT_BYTES - 1);
    memcpy(out, text, ADDRESS_TEXT_BYTES);
}

enum status address_parse(const char *text, uint8_t address[ADDRESS_BYTES])
{
    char hrp[BECH32M_HRP_BYTES];
    uint8_t values[BECH32M_VALUES_MAX];
    size_t count;
    if (strnlen(text, ADDRESS_TEXT_BYTES) != ADDRESS_TEXT_BYTES - 1) return STATUS_RANGE;
    enum status status = bech32m_decode(text, hrp, values, &count);
    /* 64 characters cannot be too short or too long: what is missing is the "1". */
    if (status != STATUS_OK) return status == STATUS_RANGE ? STATUS_NONCANONICAL : status;
    if (strcmp(hrp, ADDRESS_HRP) != 0) return STATUS_NONCANONICAL;
    assert(count == ADDRESS_VALUES);
    if (values[ADDRESS_VALUES - 1] & 15) return STATUS_NONCANONICAL;
    memset(address, 0, ADDRESS_BYTES);
    for (size_t bit = 0; bit < ADDRESS_BYTES * 8; bit++) {
        unsigned set = values[bit / 5] >> (4 - bit % 5) & 1;
        address[bit / 8] = (uint8_t)(address[bit / 8] | set << (7 - bit % 8));
    }
    return STATUS_OK;
}
