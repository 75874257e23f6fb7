#include "tests/fuzz/records.h"

#define SPANS_MAX      400
#define GENERATED_MAX  (64 * 1024)
#define LIST_SMALL_MAX 4

/* ---- generate ---- */

static uint64_t number_generate(struct fuzz_random *random, uint64_t lo, uint64_t hi)
{
    uint64_t range = hi - lo;
    switch (fuzz_below(random, 6)) {
    case 0: return lo;
    case 1: return hi;
    case 2: return lo + (range < 8 ? fuzz_below(random, range + 1) : fuzz_below(random, 8));
    case 3: return hi - (range < 8 ? fuzz_below(random, range + 1) : fuzz_below(random, 8));
    default: {
        uint64_t value = fuzz_next(random) >> fuzz_below(random, 64);
        return range == UINT64_MAX ? value : lo + value % (range + 1);
    }
    }
}

static unsigned number_width(enum schema_kind kind)
{
    return kind == SCHEMA_U8 ? 1 : kind == SCHEMA_U16 ? 2 : kind == SCHEMA_U32 ? 4 : 8;
}

static size_t length_width(const struct schema_field *field)
{
    return SCHEMA_LENGTH_BYTES(field->hi);
}

static void length_write(struct writer *w, const struct schema_field *field, uint64_t count)
{
    schema_write_number(w, (unsigned)length_width(field), count, 0, UINT64_MAX);
}

/* Hashes, keys and addresses come from a small set, so that equal and neighbouring ones meet. */
static void blob_generate(struct fuzz_random *random, struct writer *w, size_t count)
{
    uint8_t bytes[64] = {0};
    if (fuzz_odds(random, 4)) {
        fuzz_fill(random, bytes, count);
    } else {
        bytes[0] = (uint8_t)fuzz_below(random, 8);
        bytes[count - 1] = (uint8_t)fuzz_below(random, 4);
    }
    write_copy(w, bytes, count);
}

static void record_write(const struct schema *schema, struct fuzz_random *random, struct writer *w);

static void text_write(const struct schema_field *field, struct fuzz_random *random,
                       struct writer *w)
{
    static const char *const PIECES[] = {"a",        "Z9",           " ",
                                         "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\xa6\x89"};
    uint64_t wanted = number_generate(random, field->lo, field->hi < 40 ? field->hi : 40);
    uint8_t text[48];
    size_t count = 0;
    while (count < wanted) {
        const char *piece = PIECES[fuzz_below(random, sizeof PIECES / sizeof PIECES[0])];
        if (count + strlen(piece) > wanted) piece = "x";
        memcpy(text + count, piece, strlen(piece));
        count += strlen(piece);
    }
    length_write(w, field, count);
    write_copy(w, text, count);
}

static void bytes_write(const struct schema_field *field, struct fuzz_random *random,
                        struct writer *w)
{
    uint64_t most = field->hi < 80 ? field->hi : 80;
    uint64_t count = number_generate(random, field->lo, most > field->lo ? most : field->lo);
    length_write(w, field, count);
    uint8_t *at = write_take(w, count);
    if (at) fuzz_fill(random, at, count);
}

static void field_write(const struct schema_field *field, struct fuzz_random *random,
                        struct writer *w)
{
    switch (field->kind) {
    case SCHEMA_U8:
    case SCHEMA_U16:
    case SCHEMA_U32:
    case SCHEMA_U64:
        schema_write_number(w, number_width(field->kind),
                            number_generate(random, field->lo, field->hi), field->lo, field->hi);
        break;
    case SCHEMA_HASH:
    case SCHEMA_KEY:
    case SCHEMA_ADDRESS: blob_generate(random, w, 32); break;
    case SCHEMA_SIGNATURE: blob_generate(random, w, 64); break;
    case SCHEMA_BYTES: bytes_write(field, random, w); break;
    case SCHEMA_TEXT: text_write(field, random, w); break;
    case SCHEMA_STRUCT: record_write(field->type, random, w); break;
    case SCHEMA_OPTION: {
        bool present = fuzz_odds(random, 2);
        write_u8(w, present);
        if (present) record_write(field->type, random, w);
        break;
    }
    case SCHEMA_LIST: {
        uint64_t most = field->hi < LIST_SMALL_MAX ? field->hi : LIST_SMALL_MAX;
        uint64_t count = number_generate(random, field->lo, most > field->lo ? most : field->lo);
        length_write(w, field, count);
        for (uint64_t i = 0; i < count; i++) {
            record_write(field->type, random, w);
        }
        break;
    }
    }
}

static void record_write(const struct schema *schema, struct fuzz_random *random, struct writer *w)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        field_write(&schema->fields[i], random, w);
    }
}

size_t record_generate(const struct schema *schema, struct fuzz_random *random, uint8_t *out,
                       size_t capacity)
{
    struct writer w = writer_of(out, capacity);
    record_write(schema, random, &w);
    return w.status == STATUS_OK ? writer_bytes(&w) : 0;
}

/* ---- mutate ---- */

/* The whole encoding of one field, its length or flag included. */
struct span {
    const struct schema_field *field;
    size_t at, bytes;
};

struct spans {
    struct span at[SPANS_MAX];
    size_t count;
    const uint8_t *start;
};

static void record_spans(struct spans *spans, struct reader *r, const struct schema *schema);

static void field_spans(struct spans *spans, struct reader *r, const struct schema_field *field)
{
    size_t slot = spans->count;
    const uint8_t *start = r->at;
    if (slot == SPANS_MAX) {
        const struct schema one = {.fields = field, .field_count = 1};
        schema_skip(r, &one);
        return;
    }
    spans->at[slot] = (struct span){field, (size_t)(start - spans->start), 0};
    spans->count++;
    if (field->kind == SCHEMA_STRUCT) {
        record_spans(spans, r, field->type);
    } else if (field->kind == SCHEMA_OPTION) {
        if (schema_read_flag(r)) record_spans(spans, r, field->type);
    } else if (field->kind == SCHEMA_LIST) {
        uint32_t count = schema_read_count(r, field->lo, field->hi);
        for (uint32_t i = 0; i < count && r->status == STATUS_OK; i++) {
            record_spans(spans, r, field->type);
        }
    } else {
        const struct schema one = {.fields = field, .field_count = 1};
        schema_skip(r, &one);
    }
    if (r->status != STATUS_OK)
        spans->count = slot; /* what is broken is left to the mutations of bytes */
    else
        spans->at[slot].bytes = (size_t)(r->at - start);
}

static void record_spans(struct spans *spans, struct reader *r, const struct schema *schema)
{
    for (size_t i = 0; i < schema->field_count && r->status == STATUS_OK; i++) {
        field_spans(spans, r, &schema->fields[i]);
    }
}

static void number_mutate(const struct span *span, uint8_t *at, struct fuzz_random *random)
{
    const struct schema_field *field = span->field;
    uint64_t value = 0;
    for (size_t i = 0; i < span->bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    switch (fuzz_below(random, 8)) {
    case 0: value++; break;
    case 1: value--; break;
    case 2: value = field->lo - 1; break;
    case 3: value = field->hi + 1; break;
    case 4: value ^= UINT64_C(1) << fuzz_below(random, 8 * span->bytes); break;
    default: value = number_generate(random, field->lo, field->hi);
    }
    for (size_t i = 0; i < span->bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

/* blob_mutate: another of the same length, a bit, the neighbour, or new. */
static void blob_mutate(const struct spans *spans, const struct span *span, uint8_t *data,
                        struct fuzz_random *random)
{
    const struct span *other = &spans->at[fuzz_below(random, spans->count)];
    uint8_t *at = data + span->at;
    switch (fuzz_below(random, 4)) {
    case 0:
        if (other->bytes == span->bytes) memmove(at, data + other->at, span->bytes);
        break;
    case 1: at[fuzz_below(random, span->bytes)] ^= (uint8_t)(1u << fuzz_below(random, 8)); break;
    case 2: at[span->bytes - 1] = (uint8_t)(at[span->bytes - 1] + 1); break;
    default: {
        struct writer w = writer_of(at, span->bytes);
        blob_generate(random, &w, span->bytes);
    }
    }
}

static size_t elements_find(const struct span *span, const uint8_t *data, size_t *starts,
                            size_t starts_max)
{
    struct reader r = reader_of(data + span->at, span->bytes);
    uint32_t count = schema_read_count(&r, span->field->lo, span->field->hi);
    size_t found = 0;
    for (uint32_t i = 0; i < count && found + 1 < starts_max; i++) {
        starts[found++] = (size_t)(r.at - data);
        schema_skip(&r, span->field->type);
    }
    starts[found] = (size_t)(r.at - data);
    return found;
}

static void count_write(const struct span *span, uint8_t *data, uint64_t count)
{
    struct writer w = writer_of(data + span->at, length_width(span->field));
    length_write(&w, span->field, count);
}

static uint64_t count_read(const struct span *span, const uint8_t *data)
{
    struct reader r = reader_of(data + span->at, span->bytes);
    return schema_read_count(&r, 0, UINT64_MAX >> (length_width(span->field) == 2 ? 48 : 32));
}

static size_t list_mutate(const struct span *span, uint8_t *data, size_t count, size_t capacity,
                          struct fuzz_random *random)
{
    static uint8_t element[GENERATED_MAX];
    size_t starts[64];
    uint64_t declared = count_read(span, data), most = UINT16_MAX;
    size_t found = elements_find(span, data, starts, sizeof starts / sizeof starts[0]);
    size_t pick = found > 0 ? fuzz_below(random, found) : 0, bytes = 0, after;
    uint64_t choice = fuzz_below(random, 16);
    if (choice == 0) {
        count_write(span, data, fuzz_below(random, most));
    } else if (choice < 6 && found > 0) { /* remove */
        after = fuzz_splice(data, count, capacity, starts[pick], starts[pick + 1] - starts[pick],
                            NULL, 0);
        if (after != count || starts[pick + 1] == starts[pick])
            count_write(span, data, declared - 1);
        return after;
    } else if (choice < 10 && found > 1) { /* swap neighbours */
        if (pick + 1 == found) pick--;
        size_t a = starts[pick], b = starts[pick + 1], end = starts[pick + 2];
        if (b - a > sizeof element) return count;
        memcpy(element, data + a, b - a);
        memmove(data + a, data + b, end - b);
        memcpy(data + a + (end - b), element, b - a);
    } else if (declared < most) { /* one more: a copy, or new */
        if (choice < 13 && found > 0 && starts[pick + 1] - starts[pick] <= sizeof element) {
            bytes = starts[pick + 1] - starts[pick];
            memcpy(element, data + starts[pick], bytes);
        } else {
            bytes = record_generate(span->field->type, random, element, sizeof element);
        }
        after = fuzz_splice(data, count, capacity, starts[pick], 0, element, bytes);
        if (after != count || bytes == 0) count_write(span, data, declared + 1);
        return after;
    }
    return count;
}

/* bytes_mutate gives a run of bytes another length, or changes some of them. */
static size_t bytes_mutate(const struct span *span, uint8_t *data, size_t count, size_t capacity,
                           struct fuzz_random *random)
{
    size_t width = length_width(span->field), bytes = span->bytes - width;
    uint8_t piece[64];
    if (bytes > 0 && fuzz_odds(random, 2)) {
        data[span->at + width + fuzz_below(random, bytes)] ^=
            (uint8_t)(1u << fuzz_below(random, 8));
        return count;
    }
    if (fuzz_odds(random, 8)) {
        count_write(span, data, fuzz_below(random, UINT16_MAX));
        return count;
    }
    size_t cut = bytes > 0 && fuzz_odds(random, 2) ? fuzz_below(random, bytes + 1) : 0;
    size_t add = fuzz_below(random, sizeof piece + 1);
    if (bytes - cut + add > UINT16_MAX) return count;
    fuzz_fill(random, piece, add);
    size_t after = fuzz_splice(data, count, capacity, span->at + width, cut, piece, add);
    if (after == count - cut + add) count_write(span, data, bytes - cut + add);
    return after;
}

/* replace_field writes a new value of the field in the place of the old one. */
static size_t replace_field(const struct span *span, uint8_t *data, size_t count, size_t capacity,
                            struct fuzz_random *random)
{
    static uint8_t fresh[GENERATED_MAX];
    struct writer w = writer_of(fresh, sizeof fresh);
    field_write(span->field, random, &w);
    if (w.status != STATUS_OK) return count;
    return fuzz_splice(data, count, capacity, span->at, span->bytes, fresh, writer_bytes(&w));
}

size_t record_mutate(const struct schema *schema, uint8_t *data, size_t count, size_t capacity,
                     struct fuzz_random *random)
{
    static struct spans spans;
    struct reader r = reader_of(data, count);
    if (fuzz_odds(random, 16)) return fuzz_mutate_bytes(data, count, capacity);
    spans.count = 0;
    spans.start = data;
    record_spans(&spans, &r, schema);
    if (spans.count == 0 || fuzz_odds(random, 64)) {
        size_t made = record_generate(schema, random, data, capacity);
        return made > 0 ? made : fuzz_mutate_bytes(data, count, capacity);
    }
    const struct span *span = &spans.at[fuzz_below(random, spans.count)];
    switch (span->field->kind) {
    case SCHEMA_U8:
    case SCHEMA_U16:
    case SCHEMA_U32:
    case SCHEMA_U64: number_mutate(span, data + span->at, random); return count;
    case SCHEMA_HASH:
    case SCHEMA_KEY:
    case SCHEMA_ADDRESS:
    case SCHEMA_SIGNATURE: blob_mutate(&spans, span, data, random); return count;
    case SCHEMA_TEXT:
    case SCHEMA_BYTES: return bytes_mutate(span, data, count, capacity, random);
    case SCHEMA_LIST: return list_mutate(span, data, count, capacity, random);
    case SCHEMA_STRUCT:
    case SCHEMA_OPTION: return replace_field(span, data, count, capacity, random);
    }
    return count;
}
