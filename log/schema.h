/* log/schema.h - declare a record once; get its struct, its codec and its description.
 *
 * A declaration is a list of fields in wire order:
 *
 *     #define TRANSFER_FIELDS(F)                                             \
 *         F(ADDRESS, _, to, 0, 0, NONE, "the account that receives")          \
 *         F(U32, _, asset, 0, UINT32_MAX, NONE, "asset number, 0 is the coin") \
 *         F(U64, _, amount, 1, AMOUNT_MAX, BASE, "base units to move")
 *     SCHEMA_DECLARE(transfer, TRANSFER_FIELDS)                   in the header
 *     SCHEMA_DEFINE(transfer, TRANSFER_FIELDS, "move an amount")  in one source file
 *
 * F(kind, type, name, lo, hi, unit, text): `type` names the nested declaration of STRUCT, OPTION
 * and LIST and is _ elsewhere; lo and hi bound the value of a number, the byte count of BYTES and
 * TEXT, the element count of a LIST, and are 0 elsewhere; unit is one of SCHEMA_UNIT_LIST.
 *
 * That gives, for NAME:
 *     struct NAME                          fields under their names
 *     NAME_write(writer, value)            canonical bytes; a value out of its bounds is our own bug
 *     NAME_read(reader, value)             refuses what is out of bounds; borrows BYTES and LISTs
 *     NAME_encode, NAME_decode             a whole buffer; decode refuses trailing bytes
 *     NAME_bytes_max                       the longest encoding, a constant
 *     NAME_schema                          the description, for JSON, help texts and generators
 *
 * Wire format, little-endian, no padding: numbers in their width; HASH, KEY, ADDRESS 32 bytes,
 * SIGNATURE 64; BYTES and TEXT a length (u16 if hi <= 65535, else u32) and the bytes; LIST a count
 * in the same width and the elements; OPTION one byte 0 or 1, then the value if 1. TEXT is well-formed UTF-8
 * (RFC 3629) without control characters. Each value has exactly one encoding, so encode(decode(x)) == x.
 *
 * A LIST stays encoded: `struct list` borrows its bytes, validated by read; walk it with
 * list_reader and the element's read function.
 */
#ifndef CAIRN_LOG_SCHEMA_H
#define CAIRN_LOG_SCHEMA_H

#include <assert.h>
#include <stdbool.h>

#include "log/bytes.h"

#define SCHEMA_KIND_LIST(X)                                                            \
    X(U8, u8) X(U16, u16) X(U32, u32) X(U64, u64) X(HASH, hash) X(KEY, key)            \
    X(ADDRESS, address) X(SIGNATURE, signature) X(BYTES, bytes) X(TEXT, text)          \
    X(STRUCT, struct) X(OPTION, option) X(LIST, list)

/* BASE: base units of an asset; US: microseconds; BPS: basis points. */
#define SCHEMA_UNIT_LIST(X)                                                               \
    X(NONE, none) X(BASE, base) X(US, us) X(BLOCKS, blocks) X(BYTE, byte) X(GAS, gas)     \
    X(BPS, bps) X(HEIGHT, height) X(ROUND, round) X(COUNT, count) X(POWER, power)

enum schema_kind {
#define X(upper, lower) SCHEMA_##upper,
    SCHEMA_KIND_LIST(X)
#undef X
};

enum schema_unit {
#define X(upper, lower) SCHEMA_UNIT_##upper,
    SCHEMA_UNIT_LIST(X)
#undef X
};

struct schema;

struct schema_field {
    const char *name;
    const char *text;
    const struct schema *type; /* STRUCT, OPTION, LIST; else NULL */
    uint64_t lo, hi;
    enum schema_kind kind;
    enum schema_unit unit;
};

struct schema {
    const char *name;
    const char *text;
    const struct schema_field *fields;
    size_t field_count;
    size_t bytes_max;
};

/* One entry of a registry: a numbered body (an operation, an event, a state table ...). */
struct schema_entry {
    uint16_t number;
    const char *name;
    const struct schema *body;
    const struct schema *key; /* state tables only; else NULL */
};

struct list {
    const uint8_t *at;
    size_t bytes;
    uint32_t count;
};

static inline struct reader list_reader(const struct list *list)
{
    return reader_of(list->at, list->bytes);
}

const char *schema_kind_name(enum schema_kind kind);
const char *schema_unit_name(enum schema_unit unit);

/* schema_skip reads one value by description alone and applies every bound that the generated code
 * applies: the two agree on each input (tests/test_schema.c, fuzz_codec). */
void schema_skip(struct reader *r, const struct schema *schema);

/* schema_check: the bytes are exactly one canonical value of the schema. */
MUST_CHECK enum status schema_check(const struct schema *schema, const uint8_t *bytes, size_t count);

/* Shared by the generated code; they carry the bounds so that no comparison is written twice. Most are
 * inlined: with constant width and bounds little is left of them. */
__attribute__((always_inline)) static inline uint64_t
schema_read_number(struct reader *r, unsigned width, uint64_t lo, uint64_t hi)
{
    const uint8_t *p = read_take(r, width);
    if (!p) return 0;
    uint64_t value = width == 1 ? p[0] : width == 2 ? load_u16(p) : width == 4 ? load_u32(p) : load_u64(p);
    if (value < lo || value > hi) {
        reader_fail(r, STATUS_RANGE);
        return 0;
    }
    return value;
}

__attribute__((always_inline)) static inline void
schema_write_number(struct writer *w, unsigned width, uint64_t value, uint64_t lo, uint64_t hi)
{
    assert(value >= lo);
    assert(value <= hi);
    uint8_t *p = write_take(w, width);
    if (!p) return;
    if (width == 1) *p = (uint8_t)value;
    else if (width == 2) store_u16(p, (uint16_t)value);
    else if (width == 4) store_u32(p, (uint32_t)value);
    else store_u64(p, value);
}

#define SCHEMA_LENGTH_BYTES(hi) ((hi) <= 65535 ? 2 : 4)

__attribute__((always_inline)) static inline uint32_t
schema_read_count(struct reader *r, uint64_t lo, uint64_t hi)
{
    return (uint32_t)schema_read_number(r, SCHEMA_LENGTH_BYTES(hi), lo, hi);
}

__attribute__((always_inline)) static inline struct bytes
schema_read_bytes(struct reader *r, uint64_t lo, uint64_t hi)
{
    uint64_t count = SCHEMA_LENGTH_BYTES(hi) == 2 ? read_u16(r) : read_u32(r);
    if (r->status == STATUS_OK && (count < lo || count > hi)) reader_fail(r, STATUS_RANGE);
    const uint8_t *at = read_take(r, (size_t)count);
    return at ? (struct bytes){at, (size_t)count} : (struct bytes){NULL, 0};
}

__attribute__((always_inline)) static inline void
schema_write_bytes(struct writer *w, struct bytes value, uint64_t lo, uint64_t hi)
{
    assert(value.count >= lo);
    assert(value.count <= hi);
    if (SCHEMA_LENGTH_BYTES(hi) == 2)
        write_u16(w, (uint16_t)value.count);
    else
        write_u32(w, (uint32_t)value.count);
    write_copy(w, value.at, value.count);
}

__attribute__((always_inline)) static inline void
schema_write_list(struct writer *w, const struct list *list, uint64_t lo, uint64_t hi)
{
    schema_write_number(w, SCHEMA_LENGTH_BYTES(hi), list->count, lo, hi);
    write_copy(w, list->at, list->bytes);
}

struct bytes schema_read_text(struct reader *r, uint64_t lo, uint64_t hi);
bool schema_read_flag(struct reader *r);

/* struct members */
#define SCHEMA_MEMBER_U8(type, name)        uint8_t name;
#define SCHEMA_MEMBER_U16(type, name)       uint16_t name;
#define SCHEMA_MEMBER_U32(type, name)       uint32_t name;
#define SCHEMA_MEMBER_U64(type, name)       uint64_t name;
#define SCHEMA_MEMBER_HASH(type, name)      uint8_t name[32];
#define SCHEMA_MEMBER_KEY(type, name)       uint8_t name[32];
#define SCHEMA_MEMBER_ADDRESS(type, name)   uint8_t name[32];
#define SCHEMA_MEMBER_SIGNATURE(type, name) uint8_t name[64];
#define SCHEMA_MEMBER_BYTES(type, name)     struct bytes name;
#define SCHEMA_MEMBER_TEXT(type, name)      struct bytes name;
#define SCHEMA_MEMBER_STRUCT(type, name)    struct type name;
#define SCHEMA_MEMBER_OPTION(type, name) \
    bool has_##name;                     \
    struct type name;
#define SCHEMA_MEMBER_LIST(type, name) struct list name;

/* longest encodings */
#define SCHEMA_MAX_U8(type, hi)        1
#define SCHEMA_MAX_U16(type, hi)       2
#define SCHEMA_MAX_U32(type, hi)       4
#define SCHEMA_MAX_U64(type, hi)       8
#define SCHEMA_MAX_HASH(type, hi)      32
#define SCHEMA_MAX_KEY(type, hi)       32
#define SCHEMA_MAX_ADDRESS(type, hi)   32
#define SCHEMA_MAX_SIGNATURE(type, hi) 64
#define SCHEMA_MAX_BYTES(type, hi)     (SCHEMA_LENGTH_BYTES(hi) + (hi))
#define SCHEMA_MAX_TEXT(type, hi)      (SCHEMA_LENGTH_BYTES(hi) + (hi))
#define SCHEMA_MAX_STRUCT(type, hi)    type##_bytes_max
#define SCHEMA_MAX_OPTION(type, hi)    (1 + type##_bytes_max)
#define SCHEMA_MAX_LIST(type, hi)      (SCHEMA_LENGTH_BYTES(hi) + (hi) * type##_bytes_max)

/* reading; `r` and `v` are the generated function's parameters */
#define SCHEMA_READ_U8(type, name, lo, hi)  v->name = (uint8_t)schema_read_number(r, 1, lo, hi);
#define SCHEMA_READ_U16(type, name, lo, hi) v->name = (uint16_t)schema_read_number(r, 2, lo, hi);
#define SCHEMA_READ_U32(type, name, lo, hi) v->name = (uint32_t)schema_read_number(r, 4, lo, hi);
#define SCHEMA_READ_U64(type, name, lo, hi) v->name = schema_read_number(r, 8, lo, hi);
#define SCHEMA_READ_HASH(type, name, lo, hi)      read_copy(r, v->name, 32);
#define SCHEMA_READ_KEY(type, name, lo, hi)       read_copy(r, v->name, 32);
#define SCHEMA_READ_ADDRESS(type, name, lo, hi)   read_copy(r, v->name, 32);
#define SCHEMA_READ_SIGNATURE(type, name, lo, hi) read_copy(r, v->name, 64);
#define SCHEMA_READ_BYTES(type, name, lo, hi)     v->name = schema_read_bytes(r, lo, hi);
#define SCHEMA_READ_TEXT(type, name, lo, hi)      v->name = schema_read_text(r, lo, hi);
#define SCHEMA_READ_STRUCT(type, name, lo, hi)    type##_read(r, &v->name);
#define SCHEMA_READ_OPTION(type, name, lo, hi)     \
    v->has_##name = schema_read_flag(r);           \
    if (v->has_##name) type##_read(r, &v->name);   \
    else memset(&v->name, 0, sizeof v->name);
#define SCHEMA_READ_LIST(type, name, lo, hi)                                    \
    v->name.count = schema_read_count(r, lo, hi);                               \
    v->name.at = r->at;                                                         \
    for (uint32_t i = 0; i < v->name.count && r->status == STATUS_OK; i++) {    \
        struct type element;                                                    \
        type##_read(r, &element);                                               \
    }                                                                           \
    v->name.bytes = (size_t)(r->at - v->name.at);

/* writing; `w` and `v` are the generated function's parameters */
#define SCHEMA_WRITE_U8(type, name, lo, hi)        schema_write_number(w, 1, v->name, lo, hi);
#define SCHEMA_WRITE_U16(type, name, lo, hi)       schema_write_number(w, 2, v->name, lo, hi);
#define SCHEMA_WRITE_U32(type, name, lo, hi)       schema_write_number(w, 4, v->name, lo, hi);
#define SCHEMA_WRITE_U64(type, name, lo, hi)       schema_write_number(w, 8, v->name, lo, hi);
#define SCHEMA_WRITE_HASH(type, name, lo, hi)      write_copy(w, v->name, 32);
#define SCHEMA_WRITE_KEY(type, name, lo, hi)       write_copy(w, v->name, 32);
#define SCHEMA_WRITE_ADDRESS(type, name, lo, hi)   write_copy(w, v->name, 32);
#define SCHEMA_WRITE_SIGNATURE(type, name, lo, hi) write_copy(w, v->name, 64);
#define SCHEMA_WRITE_BYTES(type, name, lo, hi)     schema_write_bytes(w, v->name, lo, hi);
#define SCHEMA_WRITE_TEXT(type, name, lo, hi)      schema_write_bytes(w, v->name, lo, hi);
#define SCHEMA_WRITE_STRUCT(type, name, lo, hi)    type##_write(w, &v->name);
#define SCHEMA_WRITE_OPTION(type, name, lo, hi)  \
    write_u8(w, v->has_##name ? 1 : 0);          \
    if (v->has_##name) type##_write(w, &v->name);
#define SCHEMA_WRITE_LIST(type, name, lo, hi) schema_write_list(w, &v->name, lo, hi);

/* description of the nested type */
#define SCHEMA_TYPE_U8(type)        NULL
#define SCHEMA_TYPE_U16(type)       NULL
#define SCHEMA_TYPE_U32(type)       NULL
#define SCHEMA_TYPE_U64(type)       NULL
#define SCHEMA_TYPE_HASH(type)      NULL
#define SCHEMA_TYPE_KEY(type)       NULL
#define SCHEMA_TYPE_ADDRESS(type)   NULL
#define SCHEMA_TYPE_SIGNATURE(type) NULL
#define SCHEMA_TYPE_BYTES(type)     NULL
#define SCHEMA_TYPE_TEXT(type)      NULL
#define SCHEMA_TYPE_STRUCT(type)    &type##_schema
#define SCHEMA_TYPE_OPTION(type)    &type##_schema
#define SCHEMA_TYPE_LIST(type)      &type##_schema

#define SCHEMA_AS_MEMBER(kind, type, name, lo, hi, unit, text) SCHEMA_MEMBER_##kind(type, name)
#define SCHEMA_AS_MAX(kind, type, name, lo, hi, unit, text)    +SCHEMA_MAX_##kind(type, hi)
#define SCHEMA_AS_READ(kind, type, name, lo, hi, unit, text)   SCHEMA_READ_##kind(type, name, lo, hi)
#define SCHEMA_AS_WRITE(kind, type, name, lo, hi, unit, text)  SCHEMA_WRITE_##kind(type, name, lo, hi)
#define SCHEMA_AS_FIELD(kind, type, name, lo, hi, unit, text) \
    {#name, text, SCHEMA_TYPE_##kind(type), lo, hi, SCHEMA_##kind, SCHEMA_UNIT_##unit},

#define SCHEMA_DECLARE(NAME, FIELDS)                                                    \
    struct NAME {                                                                       \
        FIELDS(SCHEMA_AS_MEMBER)                                                        \
    };                                                                                  \
    enum { NAME##_bytes_max = 0 FIELDS(SCHEMA_AS_MAX) };                                \
    extern const struct schema NAME##_schema;                                           \
    void NAME##_read(struct reader *r, struct NAME *v);                                 \
    void NAME##_write(struct writer *w, const struct NAME *v);                          \
    MUST_CHECK enum status NAME##_decode(const uint8_t *bytes, size_t count, struct NAME *v); \
    MUST_CHECK enum status NAME##_encode(const struct NAME *v, uint8_t *out, size_t capacity, \
                                         size_t *count);

#define SCHEMA_DEFINE(NAME, FIELDS, TEXT)                                               \
    void NAME##_read(struct reader *r, struct NAME *v)                                  \
    {                                                                                   \
        FIELDS(SCHEMA_AS_READ)                                                          \
    }                                                                                   \
    void NAME##_write(struct writer *w, const struct NAME *v)                           \
    {                                                                                   \
        FIELDS(SCHEMA_AS_WRITE)                                                         \
    }                                                                                   \
    enum status NAME##_decode(const uint8_t *bytes, size_t count, struct NAME *v)       \
    {                                                                                   \
        struct reader r = reader_of(bytes, count);                                      \
        NAME##_read(&r, v);                                                             \
        return reader_end(&r);                                                          \
    }                                                                                   \
    enum status NAME##_encode(const struct NAME *v, uint8_t *out, size_t capacity,      \
                              size_t *count)                                            \
    {                                                                                   \
        struct writer w = writer_of(out, capacity);                                     \
        NAME##_write(&w, v);                                                            \
        *count = writer_bytes(&w);                                                      \
        return w.status;                                                                \
    }                                                                                   \
    static const struct schema_field NAME##_fields_[] = {FIELDS(SCHEMA_AS_FIELD)};      \
    const struct schema NAME##_schema = {#NAME, TEXT, NAME##_fields_,                   \
                                         sizeof NAME##_fields_ / sizeof NAME##_fields_[0], \
                                         NAME##_bytes_max};

#endif
