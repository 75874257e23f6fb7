#include "log/schema.h"

const char *schema_kind_name(enum schema_kind kind)
{
    static const char *const NAMES[] = {
#define X(upper, lower) #lower,
        SCHEMA_KIND_LIST(X)
#undef X
    };
    assert((size_t)kind < sizeof NAMES / sizeof NAMES[0]);
    return NAMES[kind];
}

const char *schema_unit_name(enum schema_unit unit)
{
    static const char *const NAMES[] = {
#define X(upper, lower) #lower,
        SCHEMA_UNIT_LIST(X)
#undef X
    };
    assert((size_t)unit < sizeof NAMES / sizeof NAMES[0]);
    return NAMES[unit];
}

/* text_char answers the length of the well-formed UTF-8 sequence at p (RFC 3629 section 4), or 0.
 */
static size_t text_char(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) return p[0] >= 0x20 && p[0] != 0x7f ? 1 : 0;
    size_t length = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                    : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                    : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                   : 0;
    if (length == 0 || length > left) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }
    if (p[0] == 0xc2 && p[1] < 0xa0) return 0; /* C1 controls */
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0; /* overlong */
    if (p[0] == 0xed && p[1] > 0x9f) return 0; /* surrogates */
    if (p[0] == 0xf0 && p[1] < 0x90) return 0; /* overlong */
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0; /* beyond U+10FFFF */
    return length;
}

struct bytes schema_read_text(struct reader *r, uint64_t lo, uint64_t hi)
{
    struct bytes text = schema_read_bytes(r, lo, hi);
    for (size_t i = 0; i < text.count;) {
        size_t length = text_char(text.at + i, text.count - i);
        if (length == 0) {
            reader_fail(r, STATUS_NONCANONICAL);
            return (struct bytes){NULL, 0};
        }
        i += length;
    }
    return text;
}

bool schema_read_flag(struct reader *r)
{
    uint8_t flag = read_u8(r);
    if (flag > 1) reader_fail(r, STATUS_NONCANONICAL);
    return r->status == STATUS_OK && flag == 1;
}

static void skip_field(struct reader *r, const struct schema_field *field)
{
    switch (field->kind) {
    case SCHEMA_U8: schema_read_number(r, 1, field->lo, field->hi); break;
    case SCHEMA_U16: schema_read_number(r, 2, field->lo, field->hi); break;
    case SCHEMA_U32: schema_read_number(r, 4, field->lo, field->hi); break;
    case SCHEMA_U64: schema_read_number(r, 8, field->lo, field->hi); break;
    case SCHEMA_HASH:
    case SCHEMA_KEY:
    case SCHEMA_ADDRESS: read_take(r, 32); break;
    case SCHEMA_SIGNATURE: read_take(r, 64); break;
    case SCHEMA_BYTES: schema_read_bytes(r, field->lo, field->hi); break;
    case SCHEMA_TEXT: schema_read_text(r, field->lo, field->hi); break;
    case SCHEMA_STRUCT: schema_skip(r, field->type); break;
    case SCHEMA_OPTION:
        if (schema_read_flag(r)) schema_skip(r, field->type);
        break;
    case SCHEMA_LIST: {
        uint32_t count = schema_read_count(r, field->lo, field->hi);
        for (uint32_t i = 0; i < count && r->status == STATUS_OK; i++) {
            schema_skip(r, field->type);
        }
        break;
    }
    }
}

void schema_skip(struct reader *r, const struct schema *schema)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        skip_field(r, &schema->fields[i]);
    }
}

enum status schema_check(const struct schema *schema, const uint8_t *bytes, size_t count)
{
    struct reader r = reader_of(bytes, count);
    schema_skip(&r, schema);
    return reader_end(&r);
}
